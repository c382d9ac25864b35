/* The block walker: cuts a strided view into chunks of outputs and segments, which any number of
 * threads take and reduce block by block, and puts the results where they belong.
 *
 * An output is one element of the result. Along RUNS the elements of one output follow each other
 * in memory and are taken in run by run, or as ROWS, a tile of them at a time, where each output is
 * one short run. Down COLUMNS those of neighbouring outputs follow each other, and a tile of
 * outputs is taken in row by row. What the kernels cannot read in place (strides, other byte
 * orders, masks, other types) is first gathered into a buffer of the worker's.
 *
 * A chunk is a group of tiles, or of one tile a segment of the reduced elements. Chunks are
 * numbered; every worker has a slice of the numbers and takes from the others' when its own is used
 * up. Work can stop after any block and go on later: where it stands is in the worker.
 *
 * Worker 0 is told that all is done when no other one is at work. To wait for their threads instead
 * would take two more wakings, and in Python two more waits for the GIL, of 5 ms each where another
 * thread does not let go of it. A worker that comes later finds the job closed. Both sides write
 * before they read, in the one order of sequential consistency: a worker is counted before it looks
 * whether the job is closed, and the job is closed before the count is looked at. */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "convert.h"
#include "dispatch.h"
#include "kernels.h"
#include "parsum.h"
#include "reductions.h"

#define DEFAULT_BLOCK ((size_t)1 << 20) /* bytes of a chunk */
#define STEP_BYTES ((size_t)1 << 18)    /* bytes between looks at the clock and the cancel flag */
#define GATHER_BYTES ((size_t)1 << 18)
#define STATES_BYTES ((size_t)8 << 20) /* most memory for the states of a job */
/* Elements that a map computes at a time: few enough that the processor begins to read the next
 * ones while those of before are still added up. Of 1024, both took their turns: 22 ms where these
 * take 17, as long as to read the two arrays. */
#define MAPPED 512
#define TRANSPOSED 16      /* columns that are copied one after the other at a time */
#define SHORT_RUN 32       /* shorter runs are better taken as columns */
#define DIRECT_RUN 256     /* runs from here on are not gathered with their neighbours */
#define GATHERED_ROW 16    /* from here on they are gathered row by row, shorter ones as columns */
#define ROWS_GATHERED 8192 /* elements of a tile of such rows */
#define NARROW_TILE 1024   /* elements; tiles of fewer are gathered with others */
#define PICKED_TILE 64     /* outputs of a tile in a fixed tree, or whose elements are picked */
#define SHORT_ORDERED_TILE 1024 /* outputs of a tile in a fixed tree that a short cut may take */
#define ORDERED_TILE 256        /* outputs of a tile in a fixed tree */
#define ORDERED_GATHERED 128    /* those of one whose leaves are gathered: 1 MB of doubles */
#define TILE_STATES ((size_t)1 << 20) /* bytes of a tile's states */

/* Rows of parsum_view.dims. */
enum { SHAPE, DATA, OTHER, WHERE, MASK, RESULT, NUMBER, DIMS };

/* One of the arrays: where its elements are, and what becomes of them on the way to the kernels. */
typedef struct {
    const char *data;
    int row;         /* of dims */
    int element;     /* the type in memory */
    size_t size;     /* of an element in memory */
    size_t swap;     /* bytes to reverse at a time, 0 for none */
    int converts;    /* to the reduction's element type */
    int gathers;     /* a map cannot read it where it is */
    ptrdiff_t along; /* the innermost reduced stride */
} source;

enum {
    INPUTS = 2, /* of a kernel: data, other */
    SOURCES = PARSUM_ARRAYS_LIMIT
};

typedef struct {
    _Alignas(64) _Atomic int64_t next; /* the next chunk of the slice */
    int64_t end;
    /* from here on the worker's own */
    int64_t chunk; /* the chunk at hand, -1 for none */
    size_t tile, last_tile;
    size_t position; /* reduced elements of the tile that are taken in */
    size_t leaves;   /* of the fixed tree */
    size_t unreported;
    int used, flags;
    int counted; /* among those at work */
    int fresh;   /* no element of the tile is taken in yet, nor its states made */
    size_t made; /* states that were identities once */
    char *memory;
    char *states, *nodes, *results, *transposed;
    char *gathered[SOURCES], *converted[INPUTS], *mapped;
    ptrdiff_t *kept_offsets[SOURCES], *result_offsets;
} worker;

struct parsum_job {
    const parsum_reduction *reduction;
    parsum_view view;
    ptrdiff_t *dims;
    source source[SOURCES];
    int sources; /* one for each input, or the arrays of a map */
    int inputs;
    size_t size;    /* bytes in memory of what one step takes in: an element of each source */
    size_t element; /* of the kernels */
    size_t result_size;
    size_t outputs, n; /* results, and elements of each */
    enum { RUNS, ROWS, COLUMNS } walk;
    int picks;    /* elements may be left out: by `where`, `mask` or as NaN */
    int plain;    /* kernels read the arrays themselves */
    int one_run;  /* an output's elements have a single stride */
    size_t inner; /* outputs whose tiles do not reach over its multiples */
    size_t tile;  /* outputs of a tile */
    size_t tiles_of_inner, tiles, tiles_of_chunk;
    size_t segment, segments;
    int64_t chunks;
    size_t gather_rows;
    int levels;  /* of the fixed tree */
    char *slots; /* states of segments (ordered) or workers, for each output */
    size_t slot_count;
    int workers;
    worker *worker;
    _Atomic int cancelled;
    _Atomic int closed;  /* worker 0 has found nothing left to do */
    _Atomic int at_work; /* how many others may have a chunk */
    _Atomic int settled; /* no element that is left can change the only result */
    _Atomic int64_t bytes_done;
};

static const ptrdiff_t *row_of(const parsum_job *job, int row)
{
    return job->dims + (ptrdiff_t)row * (job->view.kept + job->view.reduced);
}

/* Offsets of `count` positions from number `first` on, in C order over the dimensions. */
static void offsets(const ptrdiff_t *shape, const ptrdiff_t *strides, int ndim, size_t first,
                    size_t count, ptrdiff_t *out)
{
    if (ndim == 0) {
        for (size_t k = 0; k < count; k++)
            out[k] = 0;
        return;
    }
    const size_t length = (size_t)shape[ndim - 1];
    const ptrdiff_t stride = strides[ndim - 1];
    for (size_t k = 0; k < count;) {
        size_t outer = (first + k) / length, i = (first + k) % length;
        ptrdiff_t base = 0;
        for (int d = ndim - 2; d >= 0; d--) {
            base += (ptrdiff_t)(outer % (size_t)shape[d]) * strides[d];
            outer /= (size_t)shape[d];
        }
        for (; i < length && k < count; i++, k++)
            out[k] = base + (ptrdiff_t)i * stride;
    }
}

static ptrdiff_t offset_of(const parsum_job *job, int row, int reduced, size_t index)
{
    const int kept = job->view.kept;
    ptrdiff_t out;
    if (reduced)
        offsets(row_of(job, SHAPE) + kept, row_of(job, row) + kept, job->view.reduced, index, 1,
                &out);
    else
        offsets(row_of(job, SHAPE), row_of(job, row), kept, index, 1, &out);
    return out;
}

static size_t first_output(const parsum_job *job, size_t tile)
{
    return tile / job->tiles_of_inner * job->inner + tile % job->tiles_of_inner * job->tile;
}

/* Elements from number `first` on that lie in one run of the innermost reduced dimension. */
static size_t run_length(const parsum_job *job, size_t first)
{
    if (job->view.reduced == 0)
        return 1;
    size_t length = (size_t)row_of(job, SHAPE)[job->view.kept + job->view.reduced - 1];
    return length - first % length;
}

static ptrdiff_t inner_stride(const parsum_job *job, int row)
{
    return job->view.reduced ? row_of(job, row)[job->view.kept + job->view.reduced - 1] : 0;
}

/* Tells a state the numbers of the elements that come next, from position `first` in their run. */
static void place(const parsum_job *job, void *state, size_t first)
{
    job->reduction->place(state, job->view.first + offset_of(job, NUMBER, 1, first),
                          inner_stride(job, NUMBER));
}

/* Whether kernels may be called with what is in memory from `data` on, in a job that is not plain
 * only because an element may be NaN. */
static int lacks_nan(const parsum_job *job, const char *data, size_t n)
{
    return !parsum_has_nan(job->reduction->element, data, n);
}

/* The elements that the map gives of n elements of each source: of source k from data[k] on, in
 * steps of strides[k]. */
static void map_elements(const parsum_job *job, worker *w, const char *data[SOURCES],
                         const ptrdiff_t strides[SOURCES], size_t n, char *out)
{
    const void *arrays[SOURCES];
    ptrdiff_t steps[SOURCES];
    for (int k = 0; k < job->sources; k++) {
        const source *s = &job->source[k];
        arrays[k] = data[k];
        steps[k] = strides[k];
        if (s->gathers) {
            parsum_gather(w->gathered[k], data[k], n, strides[k], s->size, s->swap);
            arrays[k] = w->gathered[k];
            steps[k] = (ptrdiff_t)s->size;
        }
    }
    job->view.map(out, arrays, steps, n);
}

/* What the map gave, as elements of the kernels' type. */
static char *mapped(const parsum_job *job, worker *w, size_t n)
{
    if (job->view.element == job->reduction->element)
        return w->mapped;
    parsum_convert(job->view.element, job->reduction->element, w->mapped, n, w->converted[0]);
    return w->converted[0];
}

static char *map_run(const parsum_job *job, worker *w, size_t output, size_t first, size_t n)
{
    const size_t size = parsum_type_size[job->view.element];
    const char *kept[SOURCES], *data[SOURCES];
    ptrdiff_t strides[SOURCES];
    for (int k = 0; k < job->sources; k++) {
        kept[k] = job->source[k].data + offset_of(job, job->source[k].row, 0, output);
        strides[k] = job->source[k].along;
    }
    for (size_t i = 0; i < n;) {
        size_t run = run_length(job, first + i);
        run = run < n - i ? run : n - i;
        for (int k = 0; k < job->sources; k++)
            data[k] = kept[k] + offset_of(job, job->source[k].row, 1, first + i);
        map_elements(job, w, data, strides, run, w->mapped + i * size);
        i += run;
    }
    return mapped(job, w, n);
}

/* How many rows of a tile, from element `first` of each output on, are one run in sources number
 * `begin` to `end`: rows that are as long as the innermost dimension (they begin where that does,
 * as what stands before them are tiles of that width, or all other outputs) and follow each other.
 */
static size_t joined_rows(const parsum_job *job, int begin, int end, size_t width, size_t first,
                          size_t rows)
{
    const int last = job->view.kept - 1;
    const size_t length = (size_t)row_of(job, SHAPE)[last], run = run_length(job, first);
    if (width != length)
        return 1;
    for (int k = begin; k < end; k++)
        if (job->source[k].along != (ptrdiff_t)length * row_of(job, job->source[k].row)[last])
            return 1;
    return run < rows ? run : rows;
}

/* Outputs of a tile from number j on whose elements lie in one run of the innermost dimension. */
static size_t kept_run(const parsum_job *job, const worker *w, size_t width, size_t j)
{
    const size_t length = (size_t)row_of(job, SHAPE)[job->view.kept - 1];
    const size_t run = length - (first_output(job, w->tile) + j) % length;
    return run < width - j ? run : width - j;
}

static char *map_rows(const parsum_job *job, worker *w, size_t width, size_t first, size_t rows)
{
    const size_t size = parsum_type_size[job->view.element];
    const char *data[SOURCES];
    ptrdiff_t strides[SOURCES];
    for (int k = 0; k < job->sources; k++)
        strides[k] = row_of(job, job->source[k].row)[job->view.kept - 1];
    for (size_t r = 0; r < rows;) {
        const size_t joined = joined_rows(job, 0, job->sources, width, first + r, rows - r);
        for (size_t j = 0; j < width;) {
            const size_t run = kept_run(job, w, width, j);
            for (int k = 0; k < job->sources; k++)
                data[k] = job->source[k].data + w->kept_offsets[k][j] +
                          offset_of(job, job->source[k].row, 1, first + r);
            map_elements(job, w, data, strides, run * joined, w->mapped + (r * width + j) * size);
            j += run;
        }
        r += joined;
    }
    return mapped(job, w, rows * width);
}

/* n elements of one output from number `first` on, one after the other in the worker's buffers and
 * of the kernels' type. */
static void gather_run(const parsum_job *job, worker *w, size_t output, size_t first, size_t n,
                       char *values[INPUTS])
{
    if (job->view.map) {
        values[0] = map_run(job, w, output, first, n);
        return;
    }
    for (int k = 0; k < job->sources; k++) {
        const source *s = &job->source[k];
        const char *data = s->data + offset_of(job, s->row, 0, output);
        for (size_t i = 0; i < n;) {
            size_t run = run_length(job, first + i);
            run = run < n - i ? run : n - i;
            parsum_gather(w->gathered[k] + i * s->size, data + offset_of(job, s->row, 1, first + i),
                          run, s->along, s->size, s->swap);
            i += run;
        }
        values[k] = w->gathered[k];
        if (s->converts) {
            values[k] = w->converted[k];
            parsum_convert(s->element, job->reduction->element, w->gathered[k], n, values[k]);
        }
    }
}

static void accumulate_values(const parsum_job *job, char *state, char *values[INPUTS], size_t n)
{
    const parsum_reduction *reduction = job->reduction;
    const ptrdiff_t element = (ptrdiff_t)job->element;
    if (!n)
        return;
    if (job->inputs == 2)
        reduction->accumulate_pairs(state, values[0], values[1], n, element, element);
    else
        reduction->accumulate(state, values[0], n, element);
}

/* Moves the elements that are left in to the front, and says how many. */
static size_t pick(const parsum_job *job, size_t output, size_t first, size_t n,
                   char *values[INPUTS])
{
    const parsum_view *view = &job->view;
    const size_t size = job->element;
    size_t left = 0;
    if (view->where || view->mask) {
        const ptrdiff_t where_stride = inner_stride(job, WHERE),
                        mask_stride = inner_stride(job, MASK);
        for (size_t i = 0; i < n;) {
            size_t run = run_length(job, first + i);
            run = run < n - i ? run : n - i;
            static const uint8_t all = 1, none = 0;
            const uint8_t *where = &all, *mask = &none;
            if (view->where)
                where = view->where + offset_of(job, WHERE, 0, output) +
                        offset_of(job, WHERE, 1, first + i);
            if (view->mask)
                mask = view->mask + offset_of(job, MASK, 0, output) +
                       offset_of(job, MASK, 1, first + i);
            for (int k = 0; k < job->inputs; k++) {
                const size_t picked =
                    parsum_pick(values[k] + left * size, values[k] + i * size, run, size, where,
                                view->where ? where_stride : 0, mask, view->mask ? mask_stride : 0);
                if (k == job->inputs - 1)
                    left += picked;
            }
            i += run;
        }
        n = left;
    }
    if (view->skip_nan && !lacks_nan(job, values[0], n))
        n = parsum_drop_nan(job->reduction->element, values[0], n, values[0]);
    return n;
}

/* Takes n elements of one output into a state, by way of the worker's buffers. */
static void take_in(const parsum_job *job, worker *w, char *state, size_t output, size_t first,
                    size_t n)
{
    char *values[INPUTS];
    if (!job->reduction->place) {
        gather_run(job, w, output, first, n, values);
        accumulate_values(job, state, values, job->picks ? pick(job, output, first, n, values) : n);
        return;
    }
    /* Elements that keep their numbers: runs of them, without those that are left out. */
    while (n) {
        size_t run = run_length(job, first);
        run = run < n ? run : n;
        if (!job->picks) {
            gather_run(job, w, output, first, run, values);
            place(job, state, first);
            accumulate_values(job, state, values, run);
        } else {
            for (size_t i = 0; i < run; i++) {
                gather_run(job, w, output, first + i, 1, values);
                place(job, state, first + i);
                accumulate_values(job, state, values, pick(job, output, first + i, 1, values));
            }
        }
        first += run;
        n -= run;
    }
}

/* Rows of a tile in the worker's buffers, one after the other. */
static void gather_rows(const parsum_job *job, worker *w, size_t width, size_t first, size_t rows,
                        const char *values[INPUTS])
{
    if (job->view.map) {
        values[0] = map_rows(job, w, width, first, rows);
        return;
    }
    for (int k = 0; k < job->sources; k++) {
        const source *s = &job->source[k];
        const ptrdiff_t stride = row_of(job, s->row)[job->view.kept - 1];
        const int in_runs = row_of(job, SHAPE)[job->view.kept - 1] >= SHORT_RUN;
        for (size_t r = 0; r < rows;) {
            const size_t joined = joined_rows(job, k, k + 1, width, first + r, rows - r);
            const char *data = s->data + offset_of(job, s->row, 1, first + r);
            char *out = w->gathered[k] + r * width * s->size;
            if (in_runs || joined > 1)
                for (size_t j = 0; j < width;) {
                    const size_t run = kept_run(job, w, width, j);
                    parsum_gather(out + j * s->size, data + w->kept_offsets[k][j], run * joined,
                                  stride, s->size, s->swap);
                    j += run;
                }
            else
                parsum_gather_offsets(out, data, width, w->kept_offsets[k], s->size, s->swap);
            r += joined;
        }
        values[k] = w->gathered[k];
        if (s->converts) {
            values[k] = w->converted[k];
            parsum_convert(s->element, job->reduction->element, w->gathered[k], rows * width,
                           w->converted[k]);
        }
    }
}

/* A complete subtree joins its equal before it, as carries do in a binary counter: the tree's shape
 * is a function of the number of leaves. */
static void push_leaf(const parsum_job *job, worker *w, size_t width)
{
    const parsum_reduction *reduction = job->reduction;
    const size_t state_size = reduction->state_size;
    int level = 0;
    for (; w->leaves >> level & 1; level++) {
        char *node = w->nodes + (size_t)level * job->tile * state_size;
        for (size_t j = 0; j < width; j++)
            reduction->combine(node + j * state_size, w->states + j * state_size);
        memcpy(w->states, node, width * state_size);
    }
    memcpy(w->nodes + (size_t)level * job->tile * state_size, w->states, width * state_size);
    w->leaves++;
}

/* The subtrees that are left, from the least (the last) up, into the worker's states. */
static void join_leaves(const parsum_job *job, worker *w, size_t width)
{
    const parsum_reduction *reduction = job->reduction;
    const size_t state_size = reduction->state_size;
    int first = 1;
    for (int level = 0; level < job->levels && w->leaves >> level; level++) {
        if (!(w->leaves >> level & 1))
            continue;
        char *node = w->nodes + (size_t)level * job->tile * state_size;
        if (!first)
            for (size_t j = 0; j < width; j++)
                reduction->combine(node + j * state_size, w->states + j * state_size);
        memcpy(w->states, node, width * state_size);
        first = 0;
    }
}

static void identities(const parsum_job *job, char *states, size_t n)
{
    for (size_t j = 0; j < n; j++)
        parsum_identity(job->reduction, job->view.parameter,
                        states + j * job->reduction->state_size);
}

static void begin_states(const parsum_job *job, worker *w, size_t width)
{
    const parsum_reduction *reduction = job->reduction;
    w->fresh = 0;
    for (size_t j = 0; j < width; j++) {
        char *state = w->states + j * reduction->state_size;
        if (j < w->made && reduction->restart)
            reduction->restart(state, job->view.parameter);
        else
            parsum_identity(reduction, job->view.parameter, state);
    }
    w->made = width > w->made ? width : w->made;
}

static void store_result(const parsum_job *job, const char *value, char *result)
{
    if (!job->view.swap_result) {
        memcpy(result, value, job->result_size);
        return;
    }
    const size_t size = parsum_type_size[job->view.type];
    parsum_gather(result, value, job->result_size / size, (ptrdiff_t)size, size,
                  parsum_swap_size(job->view.type));
}

/* The result of a state, or the state itself, to where it belongs. */
static int finish_output(const parsum_job *job, const worker *w, char *state, size_t output)
{
    const parsum_reduction *reduction = job->reduction;
    char *value = w->results;
    char *result = (char *)job->view.result + offset_of(job, RESULT, 0, output);
    if (job->view.into_states) {
        /* An identity may show in the bits of an ordered reduction (the sign of a zero). */
        if (reduction->ordered)
            memcpy(result, state, reduction->state_size);
        else
            reduction->combine(result, state);
        return 0;
    }
    if (job->view.initial) {
        /* A fresh sum of the two: the initial state is shared between workers. */
        reduction->combine(state, job->view.initial);
    }
    if (reduction->takes_result)
        memcpy(value, result, job->result_size);
    int flags = reduction->finish(state, job->view.type, value);
    store_result(job, value, result);
    return flags;
}

static size_t width_of(const parsum_job *job, size_t tile)
{
    size_t first = tile % job->tiles_of_inner * job->tile;
    return job->inner - first < job->tile ? job->inner - first : job->tile;
}

static char *slot(const parsum_job *job, size_t number, size_t output)
{
    return job->slots + (number * job->outputs + output) * job->reduction->state_size;
}

static void start_tile(const parsum_job *job, worker *w, size_t width)
{
    const int kept = job->view.kept;
    w->leaves = 0;
    w->fresh = 1;
    if (job->walk == RUNS)
        return;
    for (int k = 0; k < job->sources; k++)
        offsets(row_of(job, SHAPE), row_of(job, job->source[k].row), kept,
                first_output(job, w->tile), job->plain && job->one_run ? 1 : width,
                w->kept_offsets[k]);
}

static void end_tile(const parsum_job *job, worker *w, size_t width, size_t segment)
{
    const parsum_reduction *reduction = job->reduction;
    const size_t state_size = reduction->state_size, first = first_output(job, w->tile);
    if (reduction->ordered && w->leaves)
        join_leaves(job, w, width);
    for (size_t j = 0; j < width; j++) {
        char *state = w->states + j * state_size;
        if (job->segments == 1)
            w->flags |= finish_output(job, w, state, first + j);
        else if (reduction->ordered)
            memcpy(slot(job, segment, first + j), state, state_size);
        else
            reduction->combine(slot(job, (size_t)(w - job->worker), first + j), state);
    }
}

/* Elements of one output where they are; those that may be NaN block by block. */
static void take_in_place(const parsum_job *job, worker *w, size_t output, size_t first, size_t n)
{
    const parsum_reduction *reduction = job->reduction;
    const ptrdiff_t element = (ptrdiff_t)job->element;
    const char *data[INPUTS];
    for (int k = 0; k < job->sources; k++)
        data[k] = job->source[k].data + offset_of(job, job->source[k].row, 0, output) +
                  offset_of(job, job->source[k].row, 1, first);
    if (reduction->place)
        place(job, w->states, first);
    if (job->inputs == 2) {
        reduction->accumulate_pairs(w->states, data[0], data[1], n, element, element);
        return;
    }
    if (!job->view.skip_nan) {
        reduction->accumulate(w->states, data[0], n, element);
        return;
    }
    for (size_t i = 0; i < n;) {
        size_t count = n - i < BLOCK ? n - i : BLOCK;
        const char *block = data[0] + i * job->element;
        if (lacks_nan(job, block, count)) {
            reduction->accumulate(w->states, block, count, element);
        } else {
            size_t left = parsum_drop_nan(reduction->element, block, count, w->gathered[0]);
            if (left)
                reduction->accumulate(w->states, w->gathered[0], left, element);
        }
        i += count;
    }
}

/* Elements of one run that a map gives, and that are all taken in. */
static void take_mapped(const parsum_job *job, worker *w, size_t output, size_t first, size_t n)
{
    const parsum_reduction *reduction = job->reduction;
    const char *data[SOURCES];
    ptrdiff_t strides[SOURCES];
    for (int k = 0; k < job->sources; k++) {
        const source *s = &job->source[k];
        data[k] = s->data + offset_of(job, s->row, 0, output) + offset_of(job, s->row, 1, first);
        strides[k] = s->along;
    }
    if (reduction->place)
        place(job, w->states, first);
    while (n) {
        const size_t count = n < MAPPED ? n : MAPPED;
        map_elements(job, w, data, strides, count, w->mapped);
        reduction->accumulate(w->states, mapped(job, w, count), count, (ptrdiff_t)job->element);
        for (int k = 0; k < job->sources; k++)
            data[k] += (ptrdiff_t)count * strides[k];
        n -= count;
    }
}

/* Takes in the next block of one output; returns its elements. */
static size_t step_run(const parsum_job *job, worker *w, size_t end)
{
    const parsum_reduction *reduction = job->reduction;
    const size_t output = first_output(job, w->tile);
    size_t run = run_length(job, w->position);
    size_t count = end - w->position;
    if (reduction->ordered && count > LEAF - w->position % LEAF)
        count = LEAF - w->position % LEAF;
    if (count > STEP_BYTES / job->size)
        count = STEP_BYTES / job->size;
    if (job->plain && (run >= count || (!reduction->ordered && run >= DIRECT_RUN))) {
        count = run < count ? run : count;
        take_in_place(job, w, output, w->position, count);
    } else if (job->view.map && !reduction->ordered && !job->picks && run >= MAPPED) {
        count = run < count ? run : count;
        take_mapped(job, w, output, w->position, count);
    } else {
        count = count < LEAF ? count : LEAF;
        take_in(job, w, w->states, output, w->position, count);
    }
    if (reduction->ordered) {
        push_leaf(job, w, 1);
        identities(job, w->states, 1);
    }
    return count;
}

/* Columns of a reduction that knows runs only: some at a time are copied one after the other, as
 * else each would read all of the rows' cache lines for itself. */
static void accumulate_transposed(const parsum_job *job, worker *w, const char *data, size_t rows,
                                  ptrdiff_t row_stride, size_t width)
{
    const parsum_reduction *reduction = job->reduction;
    const size_t size = job->element;
    /* A leaf of a fixed tree is never cut: it has no more than LEAF rows. */
    for (size_t first = 0; first < rows; first += LEAF) {
        const size_t count = rows - first < LEAF ? rows - first : LEAF;
        const char *top = data + (ptrdiff_t)first * row_stride;
        for (size_t j = 0; j < width; j += TRANSPOSED) {
            const size_t columns = width - j < TRANSPOSED ? width - j : TRANSPOSED;
            parsum_transpose(w->transposed, top + j * size, count, row_stride, columns, size);
            for (size_t k = 0; k < columns; k++)
                reduction->accumulate(w->states + (j + k) * reduction->state_size,
                                      w->transposed + k * count * size, count, (ptrdiff_t)size);
        }
    }
}

static void accumulate_columns(const parsum_job *job, worker *w, const char *const data[INPUTS],
                               size_t rows, const ptrdiff_t row_stride[INPUTS], size_t width)
{
    const parsum_reduction *reduction = job->reduction;
    if (reduction->place)
        for (size_t j = 0; j < width; j++)
            place(job, w->states + j * reduction->state_size, w->position);
    if (job->inputs == 2 && reduction->accumulate_pair_columns) {
        reduction->accumulate_pair_columns(w->states, data[0], data[1], rows, row_stride[0],
                                           row_stride[1], width);
        return;
    }
    if (job->inputs == 1 && reduction->accumulate_columns) {
        reduction->accumulate_columns(w->states, data[0], rows, row_stride[0], width);
        return;
    }
    if (job->inputs == 1) {
        accumulate_transposed(job, w, data[0], rows, row_stride[0], width);
        return;
    }
    for (size_t j = 0; j < width; j++)
        reduction->accumulate_pairs(w->states + j * reduction->state_size,
                                    data[0] + j * job->element, data[1] + j * job->element, rows,
                                    row_stride[0], row_stride[1]);
}

/* Where the tile's results are to be written one after the other: to where they belong, if that is
 * so there, else to memory of the worker's, for store_results. */
static char *results_of_tile(const parsum_job *job, const worker *w)
{
    const parsum_view *view = &job->view;
    const size_t size = job->result_size, part = parsum_swap_size(view->type);
    char *result = view->result;
    const int one_run = view->kept == 1 || job->inner == (size_t)row_of(job, SHAPE)[view->kept - 1];
    if (view->swap_result || !one_run || row_of(job, RESULT)[view->kept - 1] != (ptrdiff_t)size)
        return w->results;
    result += offset_of(job, RESULT, 0, first_output(job, w->tile));
    return (uintptr_t)result % (part < 8 ? part : 8) ? w->results : result;
}

static void store_results(const parsum_job *job, worker *w, const char *results, size_t width)
{
    const parsum_view *view = &job->view;
    if (results != w->results)
        return;
    offsets(row_of(job, SHAPE), row_of(job, RESULT), view->kept, first_output(job, w->tile), width,
            w->result_offsets);
    for (size_t j = 0; j < width; j++)
        store_result(job, results + j * job->result_size,
                     (char *)view->result + w->result_offsets[j]);
}

/* Whether elements are numbered 0, 1, 2, ... as short cuts number them. */
static int numbered_simply(const parsum_job *job)
{
    return !job->reduction->place ||
           (job->view.first == 0 && (job->n == 1 || inner_stride(job, NUMBER) == 1) &&
            run_length(job, 0) == job->n);
}

static int rows_lack_nan(const parsum_job *job, const char *data, size_t rows, ptrdiff_t row_stride,
                         size_t n)
{
    if (row_stride == (ptrdiff_t)(n * job->element))
        return lacks_nan(job, data, rows * n);
    for (size_t r = 0; r < rows; r++)
        if (!lacks_nan(job, data + (ptrdiff_t)r * row_stride, n))
            return 0;
    return 1;
}

/* Marks what is to be reduced again without its NaNs; returns how many. */
static size_t mark_columns(const parsum_job *job, const char *data, size_t rows,
                           ptrdiff_t row_stride, size_t width, uint8_t *marks)
{
    size_t marked = 0;
    memset(marks, 0, width);
    for (size_t r = 0; r < rows; r++)
        parsum_mark_nan(job->reduction->element, data + (ptrdiff_t)r * row_stride, width, marks);
    for (size_t j = 0; j < width; j++)
        marked += marks[j];
    return marked;
}

static size_t mark_rows(const parsum_job *job, const char *data, size_t rows, ptrdiff_t row_stride,
                        size_t n, uint8_t *marks)
{
    size_t marked = 0;
    for (size_t r = 0; r < rows; r++) {
        marks[r] = !lacks_nan(job, data + (ptrdiff_t)r * row_stride, n);
        marked += marks[r];
    }
    return marked;
}

/* One result of n elements but for those that are NaN. */
static void reduce_without_nan(const parsum_job *job, worker *w, const char *data, size_t n,
                               ptrdiff_t stride, char *values, char *result)
{
    const parsum_reduction *reduction = job->reduction;
    parsum_gather(values, data, n, stride, job->element, 0);
    const size_t left = parsum_drop_nan(reduction->element, values, n, values);
    begin_states(job, w, 1);
    if (left)
        reduction->accumulate(w->states, values, left, (ptrdiff_t)job->element);
    w->flags |= reduction->finish(w->states, job->view.type, result);
}

/* The whole of a tile at once, if it is short and the reduction has a short cut for that. */
static int short_tile(const parsum_job *job, worker *w, size_t width)
{
    const parsum_reduction *reduction = job->reduction;
    const parsum_view *view = &job->view;
    if (!(reduction->reduce_columns || reduction->reduce_pair_columns) || job->segments != 1 ||
        !job->n || job->n > SHORT_ROWS || view->initial || view->into_states || view->where ||
        view->mask || !numbered_simply(job))
        return 0;
    const char *data[INPUTS];
    ptrdiff_t row_strides[INPUTS];
    uint8_t marks[TILE];
    size_t marked = 0;
    for (int k = 0; k < job->inputs; k++) {
        data[k] = job->source[k].data + w->kept_offsets[k][0];
        row_strides[k] =
            job->plain && job->one_run ? job->source[k].along : (ptrdiff_t)(width * job->element);
    }
    if (job->plain && job->one_run) {
        /* where they are */
    } else if (job->n <= job->gather_rows) {
        gather_rows(job, w, width, 0, job->n, data);
    } else {
        return 0;
    }
    if (view->skip_nan && !rows_lack_nan(job, data[0], job->n, row_strides[0], width)) {
        marked = mark_columns(job, data[0], job->n, row_strides[0], width, marks);
        if (reduction->place || 2 * marked > width)
            return 0;
    }
    char *results = results_of_tile(job, w);
    if (job->inputs == 2) {
        w->flags |= reduction->reduce_pair_columns(data[0], data[1], job->n, row_strides[0],
                                                   row_strides[1], width, view->type, results);
        store_results(job, w, results, width);
        return 1;
    }
    const ptrdiff_t row_stride = row_strides[0];
    w->flags |= reduction->reduce_columns(data[0], job->n, row_stride, width, view->parameter,
                                          view->type, results);
    for (size_t j = 0; marked && j < width; j++) {
        char column[SHORT_ROWS * ELEMENT_MAX];
        if (marks[j])
            reduce_without_nan(job, w, data[0] + j * job->element, job->n, row_stride, column,
                               results + j * job->result_size);
    }
    store_results(job, w, results, width);
    return 1;
}

/* The rows of a tile one after the other in the worker's buffers, of the kernels' type. */
static void gather_tile(const parsum_job *job, worker *w, size_t width, const char *values[INPUTS])
{
    const int map = job->view.map != NULL, last = job->view.kept - 1;
    for (int k = 0; k < (map ? 1 : job->sources); k++) {
        const int end = map ? job->sources : k + 1;
        const char *data[SOURCES];
        ptrdiff_t strides[SOURCES];
        int follow = 1;
        for (int s = k; s < end; s++) {
            strides[s] = job->source[s].along;
            follow &= row_of(job, job->source[s].row)[last] == (ptrdiff_t)job->n * strides[s];
        }
        for (size_t j = 0; j < width;) {
            const size_t rows = follow ? kept_run(job, w, width, j) : 1;
            const size_t first = j * job->n, count = rows * job->n;
            for (int s = k; s < end; s++)
                data[s] = job->source[s].data + w->kept_offsets[s][j];
            if (map)
                map_elements(job, w, data, strides, count,
                             w->mapped + first * parsum_type_size[job->view.element]);
            else
                parsum_gather(w->gathered[k] + first * job->source[k].size, data[k], count,
                              strides[k], job->source[k].size, job->source[k].swap);
            j += rows;
        }
        if (map) {
            values[0] = mapped(job, w, width * job->n);
        } else if (job->source[k].converts) {
            parsum_convert(job->source[k].element, job->reduction->element, w->gathered[k],
                           width * job->n, w->converted[k]);
            values[k] = w->converted[k];
        } else {
            values[k] = w->gathered[k];
        }
    }
}

/* A tile of rows, each an output of its own. */
static void step_rows(const parsum_job *job, worker *w, size_t width)
{
    const parsum_reduction *reduction = job->reduction;
    const parsum_view *view = &job->view;
    const char *data[INPUTS];
    ptrdiff_t row_stride[INPUTS];
    const ptrdiff_t element = (ptrdiff_t)job->element;
    for (int k = 0; job->plain && k < job->sources; k++) {
        data[k] = job->source[k].data + w->kept_offsets[k][0];
        row_stride[k] = row_of(job, job->source[k].row)[view->kept - 1];
    }
    if (!job->plain) {
        gather_tile(job, w, width, data);
        row_stride[0] = row_stride[1] = (ptrdiff_t)job->n * element;
    }
    uint8_t marks[TILE];
    size_t marked = 0;
    int whole =
        reduction->reduce_rows && job->inputs == 1 && !view->into_states && numbered_simply(job);
    if (whole && view->skip_nan && !rows_lack_nan(job, data[0], width, row_stride[0], job->n)) {
        marked = mark_rows(job, data[0], width, row_stride[0], job->n, marks);
        whole = !reduction->place && 2 * marked <= width;
    }
    const int pairs = job->inputs == 2 && reduction->reduce_pair_rows && !view->into_states;
    char *results = whole || pairs ? results_of_tile(job, w) : w->results;
    if (pairs) {
        w->flags |= reduction->reduce_pair_rows(data[0], data[1], width, row_stride[0],
                                                row_stride[1], job->n, view->type, results);
    } else if (whole) {
        w->flags |= reduction->reduce_rows(data[0], width, row_stride[0], job->n, view->parameter,
                                           view->type, results);
        for (size_t j = 0; marked && j < width; j++)
            if (marks[j])
                reduce_without_nan(job, w, data[0] + (ptrdiff_t)j * row_stride[0], job->n, element,
                                   w->gathered[0], results + j * job->result_size);
    } else {
        for (size_t j = 0; j < width; j++) {
            const char *row = data[0] + (ptrdiff_t)j * row_stride[0];
            size_t n = job->n;
            if (view->skip_nan && !lacks_nan(job, row, n)) {
                n = parsum_drop_nan(reduction->element, row, n, w->gathered[0]);
                row = w->gathered[0];
            }
            const size_t output = first_output(job, w->tile) + j;
            begin_states(job, w, 1);
            if (reduction->place)
                place(job, w->states, 0);
            if (n && job->inputs == 2)
                reduction->accumulate_pairs(w->states, row, data[1] + (ptrdiff_t)j * row_stride[1],
                                            n, element, element);
            else if (n)
                reduction->accumulate(w->states, row, n, element);
            w->flags |= finish_output(job, w, w->states, output);
        }
    }
    if (whole || pairs)
        store_results(job, w, results, width);
}

/* Takes in the next rows of a tile; returns how many. */
static size_t step_columns(const parsum_job *job, worker *w, size_t width, size_t end)
{
    const parsum_reduction *reduction = job->reduction;
    size_t count = end - w->position;
    size_t run = run_length(job, w->position);
    const char *data[INPUTS];
    ptrdiff_t row_stride[INPUTS];
    if (reduction->ordered && count > LEAF - w->position % LEAF)
        count = LEAF - w->position % LEAF;
    if (!reduction->ordered) {
        size_t most = STEP_BYTES / (job->size * width);
        /* What is looked through for NaN is read again, so it has to stay in cache. */
        if (!job->view.skip_nan)
            most = most < SHORT_ROWS ? SHORT_ROWS : most;
        most = most ? most : 1;
        count = count < most ? count : most;
    }
    int in_place = job->plain && (run >= count || (!reduction->ordered && run >= SHORT_RUN));
    int picks = job->picks;
    if (in_place) {
        count = run < count ? run : count;
        for (int k = 0; k < job->sources; k++) {
            data[k] = job->source[k].data + w->kept_offsets[k][0] +
                      offset_of(job, job->source[k].row, 1, w->position);
            row_stride[k] = job->source[k].along;
        }
        if (job->view.skip_nan)
            picks = !rows_lack_nan(job, data[0], count, row_stride[0], width);
    }
    if (picks) {
        count = count < LEAF ? count : LEAF;
        const size_t first = first_output(job, w->tile);
        for (size_t j = 0; j < width; j++)
            take_in(job, w, w->states + j * reduction->state_size, first + j, w->position, count);
    } else if (in_place) {
        accumulate_columns(job, w, data, count, row_stride, width);
    } else {
        count = count < job->gather_rows ? count : job->gather_rows;
        /* The rows of a gathered block are numbered alike only within a run. */
        if (reduction->place)
            count = count < run ? count : run;
        gather_rows(job, w, width, w->position, count, data);
        row_stride[0] = row_stride[1] = (ptrdiff_t)(width * job->element);
        accumulate_columns(job, w, data, count, row_stride, width);
    }
    if (reduction->ordered) {
        push_leaf(job, w, width);
        identities(job, w->states, width);
    }
    return count;
}

/* Takes the next chunk: of the worker's own slice, then of the others'. */
static int take_chunk(parsum_job *job, worker *w)
{
    const int own = (int)(w - job->worker);
    if (atomic_load_explicit(&job->settled, memory_order_relaxed))
        return 0;
    for (int k = 0; k < job->workers; k++) {
        worker *from = &job->worker[(own + k) % job->workers];
        if (atomic_load_explicit(&from->next, memory_order_relaxed) >= from->end)
            continue;
        int64_t chunk = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed);
        if (chunk >= from->end)
            continue;
        size_t group = (size_t)chunk / job->segments;
        w->chunk = chunk;
        w->tile = group * job->tiles_of_chunk;
        w->last_tile = w->tile + job->tiles_of_chunk;
        if (w->last_tile > job->tiles)
            w->last_tile = job->tiles;
        w->position = (size_t)chunk % job->segments * job->segment;
        if (!w->used && job->segments > 1 && !job->reduction->ordered)
            identities(job, slot(job, (size_t)own, 0), job->outputs);
        w->used = 1;
        start_tile(job, w, width_of(job, w->tile));
        return 1;
    }
    return 0;
}

/* One block of the chunk at hand; returns its bytes. */
static size_t step(parsum_job *job, worker *w)
{
    const size_t segment = (size_t)w->chunk % job->segments;
    const size_t width = width_of(job, w->tile);
    size_t end = (segment + 1) * job->segment;
    size_t taken = 0;
    end = end < job->n ? end : job->n;
    if (job->walk == ROWS) {
        step_rows(job, w, width);
        taken = job->n;
    } else if (job->walk == COLUMNS && w->fresh && short_tile(job, w, width)) {
        taken = job->n;
    } else {
        if (w->fresh)
            begin_states(job, w, width);
        if (w->position < end) {
            taken = job->walk == COLUMNS ? step_columns(job, w, width, end) : step_run(job, w, end);
            w->position += taken;
            if (job->walk == RUNS && job->reduction->settled &&
                job->reduction->settled(w->states)) {
                w->position = end;
                if (job->outputs == 1)
                    atomic_store_explicit(&job->settled, 1, memory_order_relaxed);
            }
        }
        if (w->position < end)
            return taken * width * job->size;
        end_tile(job, w, width, segment);
    }
    w->position = segment * job->segment;
    if (++w->tile < w->last_tile)
        start_tile(job, w, width_of(job, w->tile));
    else
        w->chunk = -1;
    return taken * width * job->size;
}

static int64_t now(void)
{
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Whether all others are done, once they are; not if the job is cancelled or the time is over. */
static int others_done(parsum_job *job, int64_t start, int64_t nanoseconds)
{
    atomic_store(&job->closed, 1);
    while (atomic_load(&job->at_work)) {
        const int64_t passed = now() - start;
        if (passed < 0 || passed > nanoseconds ||
            atomic_load_explicit(&job->cancelled, memory_order_relaxed))
            return 0;
        sched_yield();
    }
    return 1;
}

int parsum_job_work(parsum_job *job, int number, int64_t nanoseconds)
{
    if (number < 0 || number >= job->workers)
        return PARSUM_BAD_ARGUMENT;
    worker *w = &job->worker[number];
    const int64_t start = now();
    int code = PARSUM_DONE;
    if (number && !w->counted) {
        atomic_fetch_add(&job->at_work, 1);
        if (atomic_load(&job->closed)) {
            atomic_fetch_sub(&job->at_work, 1);
            return PARSUM_DONE;
        }
        w->counted = 1;
    }
    environment outer = enter_environment();
    while (w->chunk >= 0 || take_chunk(job, w)) {
        w->unreported += step(job, w);
        if (w->unreported < STEP_BYTES)
            continue;
        atomic_fetch_add_explicit(&job->bytes_done, (int64_t)w->unreported, memory_order_relaxed);
        w->unreported = 0;
        if (atomic_load_explicit(&job->cancelled, memory_order_relaxed)) {
            code = PARSUM_CANCELLED;
            break;
        }
        /* A clock that is set back must not keep the caller here: any jump ends the slice. */
        int64_t passed = now() - start;
        if (passed < 0 || passed > nanoseconds) {
            code = PARSUM_AGAIN;
            break;
        }
    }
    int raised = leave_environment(&outer);
    w->flags |= parsum_flags_of(job->reduction, raised);
    if (code == PARSUM_DONE) {
        atomic_fetch_add_explicit(&job->bytes_done, (int64_t)w->unreported, memory_order_relaxed);
        w->unreported = 0;
    }
    if (number == 0) {
        if (code == PARSUM_DONE && !others_done(job, start, nanoseconds))
            code = atomic_load_explicit(&job->cancelled, memory_order_relaxed) ? PARSUM_CANCELLED
                                                                               : PARSUM_AGAIN;
    } else if (code != PARSUM_AGAIN) {
        w->counted = 0;
        atomic_fetch_sub(&job->at_work, 1);
    }
    return code;
}

void parsum_job_cancel(parsum_job *job)
{
    atomic_store_explicit(&job->cancelled, 1, memory_order_relaxed);
}

int64_t parsum_job_bytes_done(parsum_job *job)
{
    return atomic_load_explicit(&job->bytes_done, memory_order_relaxed);
}

int64_t parsum_job_bytes(const parsum_job *job)
{
    return (int64_t)(job->outputs * job->n * job->size);
}

int parsum_job_finish(parsum_job *job)
{
    int flags = 0;
    environment outer = enter_environment();
    if (job->segments > 1) {
        const parsum_reduction *reduction = job->reduction;
        worker *w = job->worker;
        for (size_t output = 0; output < job->outputs; output++) {
            w->leaves = 0;
            parsum_identity(reduction, job->view.parameter, w->states);
            if (reduction->ordered) {
                for (size_t k = 0; k < job->segments; k++) {
                    memcpy(w->states, slot(job, k, output), reduction->state_size);
                    push_leaf(job, w, 1);
                }
                join_leaves(job, w, 1);
            } else {
                for (int k = 0; k < job->workers; k++)
                    if (job->worker[k].used)
                        reduction->combine(w->states, slot(job, (size_t)k, output));
            }
            flags |= finish_output(job, w, w->states, output);
        }
    }
    flags |= parsum_flags_of(job->reduction, leave_environment(&outer));
    for (int k = 0; k < job->workers; k++)
        flags |= job->worker[k].flags;
    return flags;
}

static size_t product(const ptrdiff_t *shape, int ndim)
{
    size_t n = 1;
    for (int d = 0; d < ndim; d++)
        n *= (size_t)shape[d];
    return n;
}

static size_t ceiling(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

/* Whether kernels can read the elements where they are, given that they follow each other along
 * dimension number `along`. NaNs may still have to be left out. */
static int readable(const parsum_job *job, int along)
{
    const parsum_view *view = &job->view;
    if (view->where || view->mask || view->map)
        return 0;
    for (int k = 0; k < job->sources; k++) {
        const source *s = &job->source[k];
        const ptrdiff_t *strides = row_of(job, s->row);
        if (s->converts || s->swap || along < 0 || strides[along] != (ptrdiff_t)s->size)
            return 0;
        uintptr_t all = (uintptr_t)s->data;
        for (int d = 0; d < view->kept + view->reduced; d++)
            all |= (uintptr_t)strides[d];
        const size_t part = parsum_swap_size(s->element);
        if (all % (part < 8 ? part : 8) != 0)
            return 0;
    }
    return 1;
}

/* Chooses between runs and columns, and the sizes of tiles and segments. Nothing here shows in the
 * results: exact states do not mind, and ordered ones are combined in a tree of their own. */
static void lay_out(parsum_job *job, size_t block)
{
    const parsum_view *view = &job->view;
    const int ordered = job->reduction->ordered;
    const ptrdiff_t *shape = row_of(job, SHAPE), *strides = row_of(job, DATA);
    const size_t run = job->n ? run_length(job, 0) : 1;
    const int along = view->reduced ? view->kept + view->reduced - 1 : -1;
    const ptrdiff_t across = view->kept ? strides[view->kept - 1] : 0;
    const size_t width = view->kept ? (size_t)shape[view->kept - 1] : 1;
    const size_t workers = (size_t)job->workers;
    job->one_run = run == job->n;

    const size_t row_max = ordered ? LEAF : ROW_MAX;
    const size_t item = view->map ? parsum_type_size[view->element] : job->source[0].size;
    const int in_columns = job->outputs > 1 && across == (ptrdiff_t)item;
    if (job->outputs > 1 && !in_columns && job->n && run == job->n && job->n <= row_max &&
        !view->initial && readable(job, along)) {
        job->walk = ROWS;
        job->plain = 1;
        job->inner = width;
        job->tile = width < TILE_OF_ROWS ? width : TILE_OF_ROWS;
        /* A step of all rows of a tile is not to be longer than others. */
        while (job->tile > 1 && job->tile * job->n * job->size > STEP_BYTES)
            job->tile /= 2;
    } else if (job->outputs > 1 && !in_columns && run == job->n && job->n >= GATHERED_ROW &&
               job->n < DIRECT_RUN && !view->initial && !job->picks) {
        job->walk = ROWS;
        job->inner = job->outputs;
        job->tile = ROWS_GATHERED / job->n;
        job->tile = job->tile < job->outputs ? job->tile : job->outputs;
    } else if (in_columns || (job->outputs > 1 && job->n < SHORT_RUN)) {
        job->walk = COLUMNS;
        job->plain = readable(job, view->kept - 1);
        /* What a short cut takes at once needs no states, of which an ordered tile has many. */
        const int short_cut = job->reduction->reduce_columns && job->n <= SHORT_ROWS &&
                              !view->where && !view->mask && !view->initial;
        size_t most = view->where || view->mask ? PICKED_TILE
                      : !ordered                ? TILE
                      : short_cut               ? SHORT_ORDERED_TILE
                                                : ORDERED_TILE;
        const size_t fewest = job->reduction->state_size > TILE_STATES / 64 ? 1 : 64;
        while (most > fewest && most * job->reduction->state_size > TILE_STATES)
            most /= 2;
        /* A narrow tile of few rows is not worth its overhead: gather a wide one instead. */
        if (job->plain && width * job->n < NARROW_TILE && width < job->outputs)
            job->plain = 0;
        if (job->plain && run < SHORT_RUN && run < job->n)
            job->plain = 0;
        if (!job->plain) {
            size_t fits = ordered ? ORDERED_GATHERED : most;
            /* All rows, for a short cut. */
            if (short_cut && !ordered)
                fits = GATHER_BYTES / (job->size * (job->n + 1));
            fits = fits < 64 ? 64 : fits;
            most = fits < most ? fits : most;
        }
        job->inner = job->plain ? width : job->outputs;
        /* Whole rows are read faster; they are cut only if segments cannot give all workers work.
         */
        while (most > 64 && workers > 1 && job->outputs / most < 4 * workers &&
               workers * job->outputs * job->reduction->state_size > STATES_BYTES)
            most /= 2;
        job->tile = job->inner < most ? job->inner : most;
    } else {
        job->walk = RUNS;
        job->plain = readable(job, along);
        job->inner = job->outputs;
        job->tile = 1;
    }
    job->tiles_of_inner = ceiling(job->inner, job->tile);
    job->tiles = job->outputs / job->inner * job->tiles_of_inner;
    const size_t tile_bytes = job->tile * job->n * job->size;
    job->tiles_of_chunk = 1;
    while (job->tiles_of_chunk * tile_bytes < block && job->tiles_of_chunk < job->tiles)
        job->tiles_of_chunk *= 2;
    while (job->tiles_of_chunk > 1 && job->tiles / job->tiles_of_chunk < 4 * workers)
        job->tiles_of_chunk /= 2;
    const size_t groups = ceiling(job->tiles, job->tiles_of_chunk);

    job->segment = job->n;
    if (workers > 1 && groups < 4 * workers && job->walk != ROWS) {
        size_t segment = LEAF;
        while (segment < block / (job->tile * job->size))
            segment *= 2;
        while (ordered &&
               ceiling(job->n, segment) * job->outputs * job->reduction->state_size > STATES_BYTES)
            segment *= 2;
        const size_t slots = workers * job->outputs * job->reduction->state_size;
        if (segment < job->n && (ordered || slots <= STATES_BYTES))
            job->segment = segment;
    }
    job->segments = job->segment ? ceiling(job->n, job->segment) : 1;
    if (job->segments > 1) {
        job->tiles_of_chunk = 1;
        job->chunks = (int64_t)(job->tiles * job->segments);
    } else {
        job->segments = 1;
        job->chunks = (int64_t)groups;
    }
}

/* Room for `size` bytes at the end of what is `used`; where it begins. */
static size_t room(size_t *used, size_t size)
{
    const size_t at = *used;
    *used += (size + 63) / 64 * 64;
    return at;
}

/* Gives a worker its memory, all at once, or only says how much that is (memory is NULL). */
static size_t divide(const parsum_job *job, worker *w, char *memory, size_t elements)
{
    const parsum_reduction *reduction = job->reduction;
    const size_t states = job->tile * reduction->state_size, kernel = elements * job->element + 64;
    const size_t tile_offsets = job->tile * sizeof(ptrdiff_t);
    size_t used = 0;
#define PART(NAME, SIZE)                                                                           \
    do {                                                                                           \
        const size_t at_ = room(&used, SIZE);                                                      \
        if (memory)                                                                                \
            w->NAME = (void *)(memory + at_);                                                      \
    } while (0)
    PART(states, states);
    PART(nodes, reduction->ordered ? (size_t)job->levels * states : 0);
    PART(results, job->tile * job->result_size);
    PART(result_offsets, tile_offsets);
    for (int k = 0; k < job->sources; k++) {
        const source *s = &job->source[k];
        const size_t size = s->size > job->element ? s->size : job->element;
        PART(gathered[k], job->view.map && !s->gathers ? 0 : elements * size + 64);
        PART(kept_offsets[k], tile_offsets);
    }
    for (int k = 0; k < job->inputs; k++)
        PART(converted[k], job->source[k].converts || job->view.map ? kernel : 0);
    PART(mapped, job->view.map ? elements * parsum_type_size[job->view.element] + 64 : 0);
    PART(transposed, job->walk == COLUMNS && !reduction->accumulate_columns
                         ? TRANSPOSED * LEAF * job->element
                         : 0);
#undef PART
    return used;
}

static int allocate(parsum_job *job)
{
    const parsum_reduction *reduction = job->reduction;
    size_t elements = job->view.skip_nan ? BLOCK : LEAF;
    if (job->walk == COLUMNS && !job->plain) {
        job->gather_rows = reduction->ordered ? (job->n < LEAF ? job->n : LEAF)
                                              : GATHER_BYTES / (job->tile * job->size);
        job->gather_rows = job->gather_rows ? job->gather_rows : 1;
        elements = job->gather_rows * job->tile;
        elements = elements < BLOCK ? BLOCK : elements;
    } else if (job->walk == COLUMNS) {
        /* The ends of runs are gathered even where the runs are not. */
        job->gather_rows = reduction->ordered ? LEAF : SHORT_RUN;
        elements = job->gather_rows * job->tile;
        elements = elements < BLOCK ? BLOCK : elements;
    } else if (job->walk == ROWS) {
        const size_t tile = job->plain ? job->n : job->tile * job->n;
        elements = elements < tile ? tile : elements;
    }
    /* Node k holds 2^k leaves; while segments are joined, 2^k of them. */
    const size_t leaves = ceiling(job->n, LEAF);
    const size_t most = leaves > job->segments ? leaves : job->segments;
    job->levels = 1;
    while (most >> job->levels)
        job->levels++;
    const size_t all = divide(job, NULL, NULL, elements);
    for (int k = 0; k < job->workers; k++) {
        worker *w = &job->worker[k];
        w->memory = aligned_alloc(64, all);
        if (!w->memory)
            return PARSUM_NO_MEMORY;
        /* States that the caller keeps hold no bytes of whoever had this memory before. */
        if (job->view.into_states)
            memset(w->memory, 0, all);
        divide(job, w, w->memory, elements);
    }
    if (job->segments > 1) {
        job->slot_count = reduction->ordered ? job->segments : (size_t)job->workers;
        size_t bytes = job->slot_count * job->outputs * reduction->state_size;
        job->slots = aligned_alloc(64, (bytes + 63) / 64 * 64);
        if (!job->slots)
            return PARSUM_NO_MEMORY;
    }
    return 0;
}

/* Whether a map reads elements where they are. */
static int aligned(const parsum_job *job, const source *s)
{
    const size_t part = parsum_swap_size(s->element);
    const ptrdiff_t *strides = row_of(job, s->row);
    uintptr_t all = (uintptr_t)s->data;
    for (int d = 0; d < job->view.kept + job->view.reduced; d++)
        all |= (uintptr_t)strides[d];
    return all % (part < 8 ? part : part < 16 ? 8 : 16) == 0;
}

/* What a map reads. Arrays of a single element count for nothing: they stay in cache. */
static void set_sources_of_map(parsum_job *job)
{
    const parsum_view *view = &job->view;
    job->sources = view->arrays;
    for (int k = 0; k < job->sources; k++) {
        const parsum_array *array = &view->array[k];
        source *s = &job->source[k];
        *s = (source){.data = array->data,
                      .row = DIMS + k,
                      .element = array->element,
                      .size = parsum_type_size[array->element],
                      .swap = array->swap ? parsum_swap_size(array->element) : 0,
                      .along = inner_stride(job, DIMS + k)};
        s->gathers = s->swap || !aligned(job, s);
        int steps = 0;
        for (int d = 0; d < view->kept + view->reduced; d++)
            steps |= row_of(job, s->row)[d] != 0;
        job->size += steps ? s->size : 0;
    }
    job->size = job->size ? job->size : 1;
}

static int map_is_valid(const parsum_view *view)
{
    if (!view->map)
        return view->arrays == 0;
    if (view->arrays < 1 || view->arrays > PARSUM_ARRAYS_LIMIT || view->other)
        return 0;
    for (int k = 0; k < view->arrays; k++)
        if (view->array[k].element < 0 || view->array[k].element >= PARSUM_TYPES)
            return 0;
    return 1;
}

int parsum_job_create(const parsum_reduction *reduction, const parsum_view *view, int workers,
                      size_t block, parsum_job **out)
{
    *out = NULL;
    if (!reduction || workers < 1 || view->kept < 0 || view->reduced < 0 || view->element < 0 ||
        view->element >= PARSUM_TYPES || view->type < 0 || view->type >= PARSUM_TYPES ||
        (view->other != NULL) != (reduction->accumulate_pairs != NULL) || !map_is_valid(view) ||
        (view->into_states && view->initial))
        return PARSUM_BAD_ARGUMENT;
    const int elements[INPUTS] = {view->element, view->other_element};
    for (int k = 0; k < (view->other ? 2 : 1); k++)
        if (elements[k] != reduction->element &&
            (elements[k] < 0 || elements[k] >= PARSUM_TYPES ||
             !parsum_can_convert(elements[k], reduction->element)))
            return PARSUM_BAD_ARGUMENT;
    parsum_job *job = calloc(1, sizeof *job);
    const size_t numbers = (size_t)(DIMS + view->arrays) * (size_t)(view->kept + view->reduced);
    if (!job)
        return PARSUM_NO_MEMORY;
    job->dims = malloc((numbers + 1) * sizeof *job->dims);
    job->worker = aligned_alloc(64, (size_t)workers * sizeof *job->worker);
    if (!job->dims || !job->worker) {
        free(job->worker);
        job->worker = NULL;
        parsum_job_destroy(job);
        return PARSUM_NO_MEMORY;
    }
    memset(job->worker, 0, (size_t)workers * sizeof *job->worker);
    if (numbers)
        memcpy(job->dims, view->dims, numbers * sizeof *job->dims);
    job->reduction = reduction;
    job->view = *view;
    job->view.dims = job->dims;
    job->workers = workers;
    job->element = parsum_type_size[reduction->element];
    job->result_size =
        view->into_states ? 0 : parsum_type_size[view->type] * (size_t)parsum_values(reduction);
    job->outputs = product(job->dims, view->kept);
    job->n = product(job->dims + view->kept, view->reduced);
    job->picks = view->where || view->mask || view->skip_nan;
    job->inputs = view->other ? 2 : 1;
    const void *data[INPUTS] = {view->data, view->other};
    const int rows[INPUTS] = {DATA, OTHER}, swaps[INPUTS] = {view->swap_element, view->swap_other};
    if (view->map)
        set_sources_of_map(job);
    for (int k = 0; !view->map && k < job->inputs; k++) {
        job->sources = k + 1;
        job->source[k] = (source){.data = data[k],
                                  .row = rows[k],
                                  .element = elements[k],
                                  .size = parsum_type_size[elements[k]],
                                  .swap = swaps[k] ? parsum_swap_size(elements[k]) : 0,
                                  .converts = elements[k] != reduction->element,
                                  .along = inner_stride(job, rows[k])};
        job->size += job->source[k].size;
    }
    if (job->outputs) {
        lay_out(job, block ? block : DEFAULT_BLOCK);
        int code = allocate(job);
        if (code < 0) {
            parsum_job_destroy(job);
            return code;
        }
    } else {
        job->segments = 1;
    }
    for (int k = 0; k < workers; k++) {
        worker *w = &job->worker[k];
        w->chunk = -1;
        atomic_init(&w->next, job->chunks * k / workers);
        w->end = job->chunks * (k + 1) / workers;
    }
    *out = job;
    return 0;
}

void parsum_job_destroy(parsum_job *job)
{
    if (!job)
        return;
    for (int k = 0; job->worker && k < job->workers; k++)
        free(job->worker[k].memory);
    free(job->worker);
    free(job->slots);
    free(job->dims);
    free(job);
}
