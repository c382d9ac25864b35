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
 * up. Work can stop after any block and go on later: where it stands is in the worker. */
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
#define GATHER_BYTES ((size_t)1 << 16)
#define STATES_BYTES ((size_t)8 << 20) /* most memory for the states of a job */
#define TREE_LEVELS 48                 /* 2^48 leaves */
#define SHORT_RUN 32                   /* shorter runs are better taken as columns */
#define DIRECT_RUN 256 /* runs from here on are not gathered with their neighbours */
#define ORDERED_TILE 64

/* Rows of parsum_view.dims. */
enum { SHAPE, DATA, WHERE, MASK, RESULT, DIMS };

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
    int fresh;   /* no element of the tile is taken in yet, nor its states made */
    size_t made; /* states that were identities once */
    char *states, *nodes, *gathered, *converted, *results;
    uint8_t *any; /* whether an output has taken in an element that `where` and `mask` leave */
    ptrdiff_t *kept_offsets[3];
} worker;

struct parsum_job {
    const parsum_reduction *reduction;
    parsum_view view;
    ptrdiff_t *dims;
    size_t size;       /* of an element in memory */
    size_t outputs, n; /* results, and elements of each */
    enum { RUNS, ROWS, COLUMNS } walk;
    int masked, converts, plain;
    int one_run;  /* an output's elements have a single stride */
    size_t inner; /* outputs whose tiles do not reach over its multiples */
    size_t tile;  /* outputs of a tile */
    size_t tiles_of_inner, tiles, tiles_of_chunk;
    size_t segment, segments;
    int64_t chunks;
    size_t gather_rows;
    char *slots; /* states of segments (ordered) or workers, for each output */
    size_t slot_count;
    int workers;
    worker *worker;
    _Atomic int cancelled;
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

/* Puts the neutral element in place of those that `where` and `mask` leave out. Returns how many
 * are left in; `any`, if not NULL, notes it for each. */
static size_t leave_out(const parsum_job *job, char *out, size_t n, const uint8_t *where,
                        const ptrdiff_t *where_offsets, ptrdiff_t where_stride, const uint8_t *mask,
                        const ptrdiff_t *mask_offsets, ptrdiff_t mask_stride, uint8_t *any)
{
    const parsum_reduction *reduction = job->reduction;
    const size_t size = parsum_type_size[reduction->element];
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        int in = 1;
        if (where)
            in = where[where_offsets ? where_offsets[i] : (ptrdiff_t)i * where_stride] != 0;
        if (mask)
            in &= mask[mask_offsets ? mask_offsets[i] : (ptrdiff_t)i * mask_stride] == 0;
        left += (size_t)in;
        if (any)
            any[i] |= (uint8_t)in;
        if (!in)
            memcpy(out + i * size, reduction->neutral, size);
    }
    return left;
}

/* n elements of one output from number `first` on, in the worker's buffer; how many are left in. */
static size_t gather_run(const parsum_job *job, worker *w, size_t output, size_t first, size_t n,
                         const char **out)
{
    const parsum_view *view = &job->view;
    const char *data = (const char *)view->data + offset_of(job, DATA, 0, output);
    const size_t element = parsum_type_size[job->reduction->element];
    size_t left = n;
    for (size_t k = 0; k < n;) {
        size_t run = run_length(job, first + k);
        run = run < n - k ? run : n - k;
        parsum_gather(w->gathered + k * job->size, data + offset_of(job, DATA, 1, first + k), run,
                      inner_stride(job, DATA), job->size, view->swap_element);
        k += run;
    }
    char *values = w->gathered;
    if (job->converts) {
        values = w->converted;
        parsum_convert(view->element, job->reduction->element, w->gathered, n, values);
    }
    if (job->masked) {
        left = 0;
        for (size_t k = 0; k < n;) {
            size_t run = run_length(job, first + k);
            run = run < n - k ? run : n - k;
            const uint8_t *where = view->where, *mask = view->mask;
            if (where)
                where += offset_of(job, WHERE, 0, output) + offset_of(job, WHERE, 1, first + k);
            if (mask)
                mask += offset_of(job, MASK, 0, output) + offset_of(job, MASK, 1, first + k);
            left += leave_out(job, values + k * element, run, where, NULL, inner_stride(job, WHERE),
                              mask, NULL, inner_stride(job, MASK), NULL);
            k += run;
        }
    }
    *out = values;
    return left;
}

/* Rows of a tile in the worker's buffer, one after the other. */
static const char *gather_rows(const parsum_job *job, worker *w, size_t width, size_t first,
                               size_t rows)
{
    const parsum_view *view = &job->view;
    const size_t element = parsum_type_size[job->reduction->element];
    for (size_t r = 0; r < rows; r++)
        parsum_gather_offsets(w->gathered + r * width * job->size,
                              (const char *)view->data + offset_of(job, DATA, 1, first + r), width,
                              w->kept_offsets[0], job->size, view->swap_element);
    char *values = w->gathered;
    if (job->converts) {
        values = w->converted;
        parsum_convert(view->element, job->reduction->element, w->gathered, rows * width, values);
    }
    if (job->masked) {
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *where = view->where, *mask = view->mask;
            if (where)
                where += offset_of(job, WHERE, 1, first + r);
            if (mask)
                mask += offset_of(job, MASK, 1, first + r);
            leave_out(job, values + r * width * element, width, where, w->kept_offsets[1], 0, mask,
                      w->kept_offsets[2], 0, w->any);
        }
    }
    return values;
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
    for (int level = 0; level < TREE_LEVELS && w->leaves >> level; level++) {
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
        job->reduction->identity(states + j * job->reduction->state_size);
}

static void begin_states(const parsum_job *job, worker *w, size_t width)
{
    const parsum_reduction *reduction = job->reduction;
    w->fresh = 0;
    for (size_t j = 0; j < width; j++) {
        char *state = w->states + j * reduction->state_size;
        if (j < w->made && reduction->restart)
            reduction->restart(state);
        else
            reduction->identity(state);
    }
    w->made = width > w->made ? width : w->made;
}

static void store_result(const parsum_job *job, char *value, size_t output)
{
    const size_t size = parsum_type_size[job->view.type];
    char *result = (char *)job->view.result + offset_of(job, RESULT, 0, output);
    parsum_gather(result, value, 1, 0, size, job->view.swap_result);
}

static int finish_output(const parsum_job *job, char *state, size_t output)
{
    _Alignas(STATE_ALIGNMENT) char value[ELEMENT_MAX];
    const parsum_reduction *reduction = job->reduction;
    if (job->view.initial) {
        /* A fresh sum of the two: the initial state is shared between workers. */
        reduction->combine(state, job->view.initial);
    }
    int flags = reduction->finish(state, job->view.type, value);
    store_result(job, value, output);
    return flags;
}

static size_t first_output(const parsum_job *job, size_t tile)
{
    return tile / job->tiles_of_inner * job->inner + tile % job->tiles_of_inner * job->tile;
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
    const ptrdiff_t *shape = row_of(job, SHAPE);
    const size_t first = first_output(job, w->tile);
    w->leaves = 0;
    w->fresh = 1;
    if (job->walk != RUNS)
        offsets(shape, row_of(job, DATA), kept, first, job->plain && job->one_run ? 1 : width,
                w->kept_offsets[0]);
    if (job->masked) {
        memset(w->any, 0, width);
        if (job->walk == COLUMNS) {
            offsets(shape, row_of(job, WHERE), kept, first, width, w->kept_offsets[1]);
            offsets(shape, row_of(job, MASK), kept, first, width, w->kept_offsets[2]);
        }
    }
}

static void end_tile(const parsum_job *job, worker *w, size_t width, size_t segment)
{
    const parsum_reduction *reduction = job->reduction;
    const size_t state_size = reduction->state_size, first = first_output(job, w->tile);
    if (reduction->ordered && w->leaves)
        join_leaves(job, w, width);
    for (size_t j = 0; j < width; j++) {
        char *state = w->states + j * state_size;
        if (job->masked && !w->any[j])
            reduction->identity(state);
        if (job->segments == 1)
            w->flags |= finish_output(job, state, first + j);
        else if (reduction->ordered)
            memcpy(slot(job, segment, first + j), state, state_size);
        else
            reduction->combine(slot(job, (size_t)(w - job->worker), first + j), state);
    }
}

/* Takes in the next block of one output; returns its elements. */
static size_t step_run(const parsum_job *job, worker *w, size_t end)
{
    const parsum_reduction *reduction = job->reduction;
    const size_t element = parsum_type_size[reduction->element];
    const size_t output = first_output(job, w->tile);
    size_t run = run_length(job, w->position);
    size_t count = end - w->position;
    if (reduction->ordered && count > LEAF - w->position % LEAF)
        count = LEAF - w->position % LEAF;
    if (count > STEP_BYTES / job->size)
        count = STEP_BYTES / job->size;
    if (job->plain && (run >= count || (!reduction->ordered && run >= DIRECT_RUN))) {
        count = run < count ? run : count;
        const char *data = (const char *)job->view.data + offset_of(job, DATA, 0, output) +
                           offset_of(job, DATA, 1, w->position);
        reduction->accumulate(w->states, data, count, (ptrdiff_t)element);
    } else {
        const char *values;
        if (count > LEAF)
            count = LEAF;
        size_t left = gather_run(job, w, output, w->position, count, &values);
        w->any[0] |= left != 0;
        if (left)
            reduction->accumulate(w->states, values, count, (ptrdiff_t)element);
    }
    if (reduction->ordered) {
        push_leaf(job, w, 1);
        reduction->identity(w->states);
    }
    return count;
}

static void accumulate_columns(const parsum_job *job, worker *w, const char *data, size_t rows,
                               ptrdiff_t row_stride, size_t width)
{
    const parsum_reduction *reduction = job->reduction;
    if (reduction->accumulate_columns) {
        reduction->accumulate_columns(w->states, data, rows, row_stride, width);
        return;
    }
    const size_t element = parsum_type_size[reduction->element];
    for (size_t j = 0; j < width; j++)
        reduction->accumulate(w->states + j * reduction->state_size, data + j * element, rows,
                              row_stride);
}

/* Puts the tile's results, which the worker has one after the other, where they belong. */
static void store_results(const parsum_job *job, worker *w, size_t width)
{
    const parsum_view *view = &job->view;
    const size_t size = parsum_type_size[view->type];
    ptrdiff_t *to = w->kept_offsets[1];
    char *result = view->result;
    const int one_run = view->kept == 1 || job->inner == (size_t)row_of(job, SHAPE)[view->kept - 1];
    if (!view->swap_result && one_run && row_of(job, RESULT)[view->kept - 1] == (ptrdiff_t)size) {
        result += offset_of(job, RESULT, 0, first_output(job, w->tile));
        memcpy(result, w->results, width * size);
        return;
    }
    offsets(row_of(job, SHAPE), row_of(job, RESULT), view->kept, first_output(job, w->tile), width,
            to);
    for (size_t j = 0; j < width; j++)
        parsum_gather(result + to[j], w->results + j * size, 1, 0, size, view->swap_result);
}

/* The whole of a tile at once, if it is short and the reduction has a short cut for that. */
static int short_tile(const parsum_job *job, worker *w, size_t width)
{
    const parsum_reduction *reduction = job->reduction;
    const parsum_view *view = &job->view;
    if (!reduction->reduce_columns || job->segments != 1 || !job->n || job->n > SHORT_ROWS ||
        view->initial || job->masked)
        return 0;
    const char *data;
    ptrdiff_t row_stride = (ptrdiff_t)(width * parsum_type_size[reduction->element]);
    if (job->plain && job->one_run) {
        data = (const char *)view->data + w->kept_offsets[0][0];
        row_stride = inner_stride(job, DATA);
    } else if (job->n <= job->gather_rows) {
        data = gather_rows(job, w, width, 0, job->n);
    } else {
        return 0;
    }
    w->flags |= reduction->reduce_columns(data, job->n, row_stride, width, view->type, w->results);
    store_results(job, w, width);
    return 1;
}

/* A tile of rows, each an output of its own. */
static void step_rows(const parsum_job *job, worker *w, size_t width)
{
    const parsum_reduction *reduction = job->reduction;
    const parsum_view *view = &job->view;
    const char *data = (const char *)view->data + w->kept_offsets[0][0];
    const ptrdiff_t row_stride = row_of(job, DATA)[view->kept - 1];
    if (reduction->reduce_rows) {
        w->flags |= reduction->reduce_rows(data, width, row_stride, job->n, view->type, w->results);
    } else {
        for (size_t j = 0; j < width; j++, data += row_stride) {
            reduction->identity(w->states);
            reduction->accumulate(w->states, data, job->n, (ptrdiff_t)job->size);
            w->flags |= reduction->finish(w->states, view->type,
                                          w->results + j * parsum_type_size[view->type]);
        }
    }
    store_results(job, w, width);
}

/* Takes in the next rows of a tile; returns how many. */
static size_t step_columns(const parsum_job *job, worker *w, size_t width, size_t end)
{
    const parsum_reduction *reduction = job->reduction;
    size_t count = end - w->position;
    size_t run = run_length(job, w->position);
    if (reduction->ordered && count > LEAF - w->position % LEAF)
        count = LEAF - w->position % LEAF;
    if (!reduction->ordered) {
        size_t most = STEP_BYTES / (job->size * width);
        most = most < SHORT_ROWS ? SHORT_ROWS : most;
        count = count < most ? count : most;
    }
    if (job->plain && (run >= count || (!reduction->ordered && run >= SHORT_RUN))) {
        count = run < count ? run : count;
        const char *data = (const char *)job->view.data + w->kept_offsets[0][0] +
                           offset_of(job, DATA, 1, w->position);
        accumulate_columns(job, w, data, count, inner_stride(job, DATA), width);
    } else {
        const size_t element = parsum_type_size[reduction->element];
        count = count < job->gather_rows ? count : job->gather_rows;
        const char *values = gather_rows(job, w, width, w->position, count);
        accumulate_columns(job, w, values, count, (ptrdiff_t)(width * element), width);
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

int parsum_job_work(parsum_job *job, int number, int64_t nanoseconds)
{
    if (number < 0 || number >= job->workers)
        return PARSUM_BAD_ARGUMENT;
    worker *w = &job->worker[number];
    const int64_t start = now();
    int code = PARSUM_DONE;
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
    if (job->reduction->floating_exceptions) {
        w->flags |= raised & FE_OVERFLOW ? PARSUM_OVERFLOW : 0;
        w->flags |= raised & FE_INVALID ? PARSUM_INVALID : 0;
    }
    if (code == PARSUM_DONE) {
        atomic_fetch_add_explicit(&job->bytes_done, (int64_t)w->unreported, memory_order_relaxed);
        w->unreported = 0;
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
            reduction->identity(w->states);
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
            flags |= finish_output(job, w->states, output);
        }
    }
    int raised = leave_environment(&outer);
    if (job->reduction->floating_exceptions) {
        flags |= raised & FE_OVERFLOW ? PARSUM_OVERFLOW : 0;
        flags |= raised & FE_INVALID ? PARSUM_INVALID : 0;
    }
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
 * the dimension that `stride` belongs to. */
static int readable(const parsum_job *job, ptrdiff_t stride)
{
    const parsum_view *view = &job->view;
    if (job->masked || job->converts || view->swap_element || stride != (ptrdiff_t)job->size)
        return 0;
    uintptr_t all = (uintptr_t)view->data;
    for (int d = 0; d < view->kept + view->reduced; d++)
        all |= (uintptr_t)row_of(job, DATA)[d];
    size_t alignment = job->size < 8 ? job->size : 8;
    return all % alignment == 0;
}

/* Chooses between runs and columns, and the sizes of tiles and segments. Nothing here shows in the
 * results: exact states do not mind, and ordered ones are combined in a tree of their own. */
static void lay_out(parsum_job *job, size_t block)
{
    const parsum_view *view = &job->view;
    const int ordered = job->reduction->ordered;
    const ptrdiff_t *shape = row_of(job, SHAPE), *strides = row_of(job, DATA);
    const size_t run = job->n ? run_length(job, 0) : 1;
    const ptrdiff_t along = inner_stride(job, DATA);
    const ptrdiff_t across = view->kept ? strides[view->kept - 1] : 0;
    const size_t width = view->kept ? (size_t)shape[view->kept - 1] : 1;
    const size_t workers = (size_t)job->workers;
    job->one_run = run == job->n;

    const size_t row_max = ordered ? LEAF : ROW_MAX;
    const int in_columns = job->outputs > 1 && across == (ptrdiff_t)job->size;
    if (job->outputs > 1 && !in_columns && job->n && run == job->n && job->n <= row_max &&
        !view->initial && readable(job, along)) {
        job->walk = ROWS;
        job->plain = 1;
        job->inner = width;
        job->tile = width < TILE ? width : TILE;
        /* A step of all rows of a tile is not to be longer than others. */
        while (job->tile > 1 && job->tile * job->n * job->size > STEP_BYTES)
            job->tile /= 2;
    } else if (in_columns || (job->outputs > 1 && job->n < SHORT_RUN)) {
        job->walk = COLUMNS;
        job->plain = readable(job, across);
        size_t most = ordered ? ORDERED_TILE : TILE;
        /* A narrow tile of few rows is not worth its overhead: gather a wide one instead. */
        if (job->plain && width * job->n < TILE && width < job->outputs)
            job->plain = 0;
        if (job->plain && run < SHORT_RUN && run < job->n)
            job->plain = 0;
        if (!job->plain) {
            size_t fits = GATHER_BYTES / (job->size * (ordered ? LEAF : job->n + 1));
            fits = fits < 64 ? 64 : fits;
            fits = ordered ? (job->n < LEAF ? ORDERED_TILE : 32) : fits;
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

static int allocate(parsum_job *job)
{
    const parsum_reduction *reduction = job->reduction;
    const size_t element = parsum_type_size[reduction->element];
    const size_t widest = job->size > element ? job->size : element;
    const size_t states = job->tile * reduction->state_size;
    size_t elements = LEAF;
    if (job->walk == COLUMNS && !job->plain) {
        job->gather_rows = reduction->ordered ? (job->n < LEAF ? job->n : LEAF)
                                              : GATHER_BYTES / (job->tile * job->size);
        job->gather_rows = job->gather_rows ? job->gather_rows : 1;
        elements = job->gather_rows * job->tile;
        elements = elements < LEAF ? LEAF : elements;
    } else if (job->walk == COLUMNS) {
        /* The ends of runs are gathered even where the runs are not. */
        job->gather_rows = reduction->ordered ? LEAF : SHORT_RUN;
        elements = job->gather_rows * job->tile;
    }
    const size_t gathered = elements * widest + 64;
    size_t all = 0, at[6];
    const size_t sizes[6] = {states,
                             reduction->ordered ? TREE_LEVELS * states : 0,
                             gathered,
                             job->converts ? gathered : 0,
                             job->tile * ELEMENT_MAX,
                             3 * job->tile * sizeof(ptrdiff_t) + job->tile};
    for (int k = 0; k < 6; k++) {
        at[k] = all;
        all += (sizes[k] + 63) / 64 * 64;
    }
    for (int k = 0; k < job->workers; k++) {
        worker *w = &job->worker[k];
        char *memory = aligned_alloc(64, all);
        if (!memory)
            return PARSUM_NO_MEMORY;
        w->states = memory; /* the first part: freeing it frees all */
        w->nodes = memory + at[1];
        w->gathered = memory + at[2];
        w->converted = memory + at[3];
        w->results = memory + at[4];
        for (int d = 0; d < 3; d++)
            w->kept_offsets[d] = (ptrdiff_t *)(void *)(memory + at[5]) + (size_t)d * job->tile;
        w->any = (uint8_t *)(memory + at[5] + 3 * job->tile * sizeof(ptrdiff_t));
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

int parsum_job_create(const parsum_reduction *reduction, const parsum_view *view, int workers,
                      size_t block, parsum_job **out)
{
    *out = NULL;
    if (!reduction || workers < 1 || view->kept < 0 || view->reduced < 0 || view->element < 0 ||
        view->element >= PARSUM_TYPES || view->type < 0 || view->type >= PARSUM_TYPES)
        return PARSUM_BAD_ARGUMENT;
    if (view->element != reduction->element &&
        !parsum_can_convert(view->element, reduction->element))
        return PARSUM_BAD_ARGUMENT;
    parsum_job *job = calloc(1, sizeof *job);
    const size_t numbers = (size_t)DIMS * (size_t)(view->kept + view->reduced);
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
    job->size = parsum_type_size[view->element];
    job->outputs = product(job->dims, view->kept);
    job->n = product(job->dims + view->kept, view->reduced);
    job->masked = view->where || view->mask;
    job->converts = view->element != reduction->element;
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
        free(job->worker[k].states);
    free(job->worker);
    free(job->slots);
    free(job->dims);
    free(job);
}
