/* Jobs that scan strided arrays with any number of threads, in one pass over memory.
 *
 * A chunk is a tile of lines, or a segment of one. Chunks are numbered and taken in order. Where
 * lines are cut in segments, a worker first totals its chunk, which brings it into the cache; when
 * the prefix that the chunk starts from is known, it passes on that prefix and its own total to the
 * next, and scans the chunk from the cache. In the meantime it may take further chunks, a few. (It
 * is a chained scan, as on GPUs: Merrill and Garland, "Single-pass parallel prefix scan with
 * decoupled look-back", 2016.) A worker that is alone scans without totalling first.
 *
 * Nobody waits in here for a worker to come: chunks are taken by those who work, each one's prefix
 * depends on chunks that were taken before, and a worker whose chunks all wait for others returns
 * at the end of its time. Work can stop after any step and go on later. */
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "convert.h"
#include "dispatch.h"
#include "kernels.h"
#include "parsum.h"
#include "scans.h"

#define DEFAULT_BLOCK ((size_t)1 << 18) /* bytes of a chunk: total and scan share the cache */
#define STEP_BYTES ((size_t)1 << 16)    /* bytes between looks at the clock and the cancel flag */
#define STREAM_BYTES ((size_t)3200 << 20)
#define PENDING 3                       /* chunks that a worker has at once */
#define LEAST_COLUMNS 8                 /* fewer are scanned one by one */
#define LEAST_TILE 64                   /* columns, that tiles are not halved below */
#define GATHERED_TILE ((size_t)1 << 15) /* elements of a tile that is gathered, if it has more */
#define SHORT_LINE 10                   /* elements of lines that are rather scanned in columns */
#define NEAR_LINES 16                   /* most neighbours that are scanned one by one at once */
#define SPINS 64
#define SHORT_PREFIX 8192 /* bytes of the largest prefix that is kept on the stack */

/* Rows of parsum_scan_view.dims. */
enum { SHAPE, DATA, MASK, RESULT, DIMS };

/* A chunk that a worker has taken, and what it has done of it. */
typedef struct {
    enum { FREE, ADDING, ADDED, SCANNING } stage;
    size_t tile, last_tile; /* the one at hand; the first that is not of the chunk */
    size_t segment;
    int done;        /* the stage at hand */
    size_t position; /* the next element of the tile's lines, or the next line if they are short */
    int passes_on;   /* nobody else has the prefix yet: it goes on from the end of the scan */
    char *totals, *prefixes;
} slot;

typedef struct {
    _Alignas(64) slot slots[PENDING];
    int begun;
    int flags;
    char *memory, *gathered, *converted, *results;
} worker;

/* The segment, of a tile, that the carry is the prefix of. */
typedef struct {
    _Atomic size_t segment;
} turn;

struct parsum_scan_job {
    const parsum_scan *scan;
    parsum_scan_view view;
    ptrdiff_t *dims;
    size_t size, result_size; /* of an element in memory, of a result */
    size_t lines, n;
    /* Short lines, each scanned whole; or a few lines at a time; or many, side by side. */
    enum { WHOLE_LINES, LINES, COLUMNS } walk;
    int whole; /* a tile of columns is scanned in one step */
    int converts;
    int direct;        /* elements can be read where they are, as far as they follow each other */
    int direct_result; /* results too */
    int side_by_side;  /* what LINES take at once has neighbouring elements that can be read */
    int pairs;         /* and they are two, with neighbouring results */
    int stream;
    size_t inner; /* lines whose tiles do not reach over its multiples */
    size_t tile;
    size_t tiles_of_inner, tiles;
    size_t tiles_of_chunk; /* one if there are segments */
    size_t segment, segments;
    int64_t chunks;
    char *carry; /* prefixes, for each line */
    turn *turns;
    int workers;
    worker *worker;
    _Atomic int64_t next;
    _Atomic int begun; /* workers that have come */
    _Atomic int cancelled;
    _Atomic int64_t bytes_done;
};

/* ---- where things are ---- */

static const ptrdiff_t *row_of(const parsum_scan_job *job, int row)
{
    return job->dims + (ptrdiff_t)row * (job->view.kept + job->view.scanned);
}

static ptrdiff_t offset_in(const ptrdiff_t *shape, const ptrdiff_t *strides, int ndim, size_t index)
{
    ptrdiff_t offset = 0;
    for (int d = ndim - 1; d > 0; d--) {
        offset += (ptrdiff_t)(index % (size_t)shape[d]) * strides[d];
        index /= (size_t)shape[d];
    }
    return ndim ? offset + (ptrdiff_t)index * strides[0] : 0;
}

static ptrdiff_t line_offset(const parsum_scan_job *job, int row, size_t line)
{
    return offset_in(row_of(job, SHAPE), row_of(job, row), job->view.kept, line);
}

static ptrdiff_t element_offset(const parsum_scan_job *job, int row, size_t i)
{
    const int kept = job->view.kept;
    return offset_in(row_of(job, SHAPE) + kept, row_of(job, row) + kept, job->view.scanned, i);
}

static ptrdiff_t inner_stride(const parsum_scan_job *job, int row)
{
    return row_of(job, row)[job->view.kept + job->view.scanned - 1];
}

/* Elements from number i on that have a single stride. */
static size_t run_length(const parsum_scan_job *job, size_t i)
{
    const size_t length = (size_t)row_of(job, SHAPE)[job->view.kept + job->view.scanned - 1];
    return length - i % length;
}

static size_t first_line(const parsum_scan_job *job, size_t tile)
{
    return tile / job->tiles_of_inner * job->inner + tile % job->tiles_of_inner * job->tile;
}

static size_t width_of(const parsum_scan_job *job, size_t tile)
{
    const size_t first = tile % job->tiles_of_inner * job->tile;
    return job->inner - first < job->tile ? job->inner - first : job->tile;
}

/* ---- conversion ---- */

static int is_complex(int type)
{
    return type >= PARSUM_COMPLEX64 && type <= PARSUM_CLONGDOUBLE;
}

static int part_of(int type)
{
    return type == PARSUM_COMPLEX64     ? PARSUM_FLOAT32
           : type == PARSUM_COMPLEX128  ? PARSUM_FLOAT64
           : type == PARSUM_CLONGDOUBLE ? PARSUM_LONGDOUBLE
                                        : type;
}

static int can_convert(int from, int to)
{
    if (from == to)
        return 1;
    if (from == PARSUM_TIME || to == PARSUM_TIME)
        return 0;
    if (to == PARSUM_FLOAT64)
        return from <= PARSUM_UINT64;
    if (to == PARSUM_LONGDOUBLE || to == PARSUM_COMPLEX128)
        return !is_complex(from);
    if (to == PARSUM_CLONGDOUBLE)
        return 1;
    return !is_complex(from) && to <= PARSUM_UINT64 && parsum_can_convert(from, to);
}

static long double real_value(int type, const char *p)
{
    union {
        uint8_t truth;
        int8_t i8;
        uint8_t u8;
        int16_t i16;
        uint16_t u16;
        int32_t i32;
        uint32_t u32;
        int64_t i64;
        uint64_t u64;
        float f32;
        double f64;
        long double wide;
    } v;
    memcpy(&v, p, parsum_type_size[type]);
    switch (type) {
    case PARSUM_BOOL:
        return v.truth != 0;
    case PARSUM_INT8:
        return v.i8;
    case PARSUM_UINT8:
        return v.u8;
    case PARSUM_INT16:
        return v.i16;
    case PARSUM_UINT16:
        return v.u16;
    case PARSUM_INT32:
        return (long double)v.i32;
    case PARSUM_UINT32:
        return (long double)v.u32;
    case PARSUM_INT64:
        return (long double)v.i64;
    case PARSUM_UINT64:
        return (long double)v.u64;
    case PARSUM_FLOAT16:
        parsum_kernels()->f16.widen(p, 1, &v.f64);
        return v.f64;
    case PARSUM_FLOAT32:
        return v.f32;
    case PARSUM_FLOAT64:
        return v.f64;
    default:
        return v.wide;
    }
}

/* As parsum_convert, and to types that have room for the element. */
static void convert(int from, int to, const char *data, size_t n, char *out)
{
    if (to <= PARSUM_UINT64) {
        parsum_convert(from, to, data, n, out);
        return;
    }
    const int part = part_of(from), to_part = part_of(to);
    const size_t size = parsum_type_size[from], to_size = parsum_type_size[to];
    memset(out, 0, n * to_size);
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k <= is_complex(from); k++) {
            const long double wide =
                real_value(part, data + i * size + (size_t)k * parsum_type_size[part]);
            const double narrow = (double)wide;
            char *place = out + i * to_size + (size_t)k * parsum_type_size[to_part];
            if (to_part == PARSUM_LONGDOUBLE)
                memcpy(place, &wide, sizeof wide);
            else
                memcpy(place, &narrow, sizeof narrow);
        }
}

/* ---- elements in, results out ---- */

/* Reverses the bytes of n numbers, or parts of complex ones, of that type. */
static void swap_bytes(int type, char *values, size_t n)
{
    const size_t size = parsum_swap_size(type);
    n *= parsum_type_size[type] / size;
    for (size_t i = 0; i < n; i++, values += size)
        for (size_t k = 0; k < size / 2; k++) {
            const char byte = values[k];
            values[k] = values[size - 1 - k];
            values[size - 1 - k] = byte;
        }
}

/* Turns elements that were gathered into those that the scan takes, maybe in another buffer. */
static char *prepare(const parsum_scan_job *job, const worker *w, char *gathered, size_t n)
{
    const parsum_scan_view *view = &job->view;
    if (!job->converts)
        return gathered;
    convert(view->element, job->scan->element, gathered, n, w->converted);
    return w->converted;
}

/* Bytes to reverse at a time on the way to the kernels. */
static size_t swap_of(const parsum_scan_job *job)
{
    return job->view.swap_element ? parsum_swap_size(job->view.element) : 0;
}

static void leave_out(const parsum_scan_job *job, char *values, size_t n, const uint8_t *mask,
                      ptrdiff_t stride)
{
    const size_t size = parsum_type_size[job->scan->element];
    for (size_t i = 0; i < n; i++)
        if (mask[(ptrdiff_t)i * stride])
            memcpy(values + i * size, job->scan->neutral, size);
}

/* n elements of a line from number i on, for the scan to read. */
static const char *elements_of(const parsum_scan_job *job, const worker *w, size_t line, size_t i,
                               size_t n)
{
    const parsum_scan_view *view = &job->view;
    const char *data = (const char *)view->data + line_offset(job, DATA, line);
    if (job->direct && run_length(job, i) >= n)
        return data + element_offset(job, DATA, i);
    for (size_t k = 0; k < n;) {
        const size_t left = run_length(job, i + k), run = left < n - k ? left : n - k;
        parsum_gather(w->gathered + k * job->size, data + element_offset(job, DATA, i + k), run,
                      inner_stride(job, DATA), job->size, swap_of(job));
        k += run;
    }
    char *values = prepare(job, w, w->gathered, n);
    for (size_t k = 0; view->mask && k < n;) {
        const size_t left = run_length(job, i + k), run = left < n - k ? left : n - k;
        leave_out(job, values + k * parsum_type_size[job->scan->element], run,
                  view->mask + line_offset(job, MASK, line) + element_offset(job, MASK, i + k),
                  inner_stride(job, MASK));
        k += run;
    }
    return values;
}

static void scatter(char *out, ptrdiff_t stride, const char *data, size_t n, size_t size)
{
    switch (size) {
    case 4:
        for (size_t i = 0; i < n; i++)
            memcpy(out + (ptrdiff_t)i * stride, data + i * 4, 4);
        break;
    case 8:
        for (size_t i = 0; i < n; i++)
            memcpy(out + (ptrdiff_t)i * stride, data + i * 8, 8);
        break;
    default:
        for (size_t i = 0; i < n; i++)
            memcpy(out + (ptrdiff_t)i * stride, data + i * size, size);
    }
}

/* Puts n results from the worker's buffer where they belong. */
static void put_results(const parsum_scan_job *job, char *results, size_t n, char *out,
                        ptrdiff_t stride)
{
    const size_t size = job->result_size;
    if (job->view.swap_result)
        swap_bytes(job->view.type, results, n);
    if (stride != (ptrdiff_t)size)
        scatter(out, stride, results, n, size);
    else if (job->stream)
        parsum_stream(out, results, n * size);
    else
        memcpy(out, results, n * size);
}

/* ---- steps ---- */

static void scan_elements(const parsum_scan_job *job, worker *w, char *prefix, size_t line,
                          size_t i, size_t n)
{
    const char *data = elements_of(job, w, line, i, n);
    const ptrdiff_t stride = inner_stride(job, RESULT);
    char *out = (char *)job->view.result + line_offset(job, RESULT, line) + (ptrdiff_t)i * stride;
    char *to = job->direct_result ? out : w->results;
    w->flags |= job->scan->scan(job->scan, prefix, data, n, job->view.type, to);
    if (to != out)
        put_results(job, to, n, out, stride);
}

static void scan_pairs(const parsum_scan_job *job, worker *w, char *prefixes, const char *data,
                       size_t line, size_t i, size_t n)
{
    char *out = (char *)job->view.result + line_offset(job, RESULT, line) +
                (ptrdiff_t)i * inner_stride(job, RESULT);
    char *to = job->stream || job->view.in_place ? w->results : out;
    w->flags |= job->scan->scan_pairs(job->scan, prefixes, data, n, job->view.type, to);
    if (to != out)
        put_results(job, to, 2 * n, out, (ptrdiff_t)job->result_size);
}

/* The next leaf of each line of the slot's tile, into totals or prefixes. */
static void step_lines(const parsum_scan_job *job, worker *w, slot *s, size_t end)
{
    const parsum_scan *scan = job->scan;
    const size_t width = width_of(job, s->tile), line = first_line(job, s->tile);
    const size_t left = end - s->position, n = left < SCAN_LEAF ? left : SCAN_LEAF;
    if (job->side_by_side && (job->pairs || s->stage == ADDING)) {
        const char *data = (const char *)job->view.data + line_offset(job, DATA, line) +
                           element_offset(job, DATA, s->position);
        if (s->stage == ADDING)
            scan->add_columns(scan, s->totals, data, n, inner_stride(job, DATA), width);
        else
            scan_pairs(job, w, s->prefixes, data, line, s->position, n);
        s->position += n;
        return;
    }
    for (size_t j = 0; j < width; j++) {
        if (s->stage == SCANNING)
            scan_elements(job, w, s->prefixes + j * scan->prefix_size, line + j, s->position, n);
        else
            scan->add(scan, s->totals + j * scan->total_size,
                      elements_of(job, w, line + j, s->position, n), n);
    }
    s->position += n;
}

static void step_whole_lines(const parsum_scan_job *job, worker *w, slot *s)
{
    job->scan->start_prefix(job->scan, s->prefixes);
    scan_elements(job, w, s->prefixes, first_line(job, s->tile) + s->position, 0, job->n);
    s->position++;
}

static ptrdiff_t across(const parsum_scan_job *job, int row)
{
    return row_of(job, row)[job->view.kept - 1];
}

/* Rows of a tile in the worker's buffer, one after the other. */
static const char *gather_rows(const parsum_scan_job *job, const worker *w, size_t line,
                               size_t width, size_t i, size_t rows)
{
    const parsum_scan_view *view = &job->view;
    const size_t size = parsum_type_size[job->scan->element];
    const char *data = (const char *)view->data + line_offset(job, DATA, line);
    for (size_t r = 0; r < rows; r++)
        parsum_gather(w->gathered + r * width * job->size, data + element_offset(job, DATA, i + r),
                      width, across(job, DATA), job->size, swap_of(job));
    char *values = prepare(job, w, w->gathered, rows * width);
    for (size_t r = 0; view->mask && r < rows; r++)
        leave_out(job, values + r * width * size, width,
                  view->mask + line_offset(job, MASK, line) + element_offset(job, MASK, i + r),
                  across(job, MASK));
    return values;
}

static void step_columns(const parsum_scan_job *job, worker *w, slot *s, size_t end)
{
    const parsum_scan *scan = job->scan;
    const size_t width = width_of(job, s->tile), line = first_line(job, s->tile), i = s->position;
    const size_t left = end - i, rows = left < SCAN_LEAF ? left : SCAN_LEAF;
    const char *data;
    ptrdiff_t row_stride = (ptrdiff_t)(width * parsum_type_size[scan->element]);
    if (job->direct && run_length(job, i) >= rows) {
        data = (const char *)job->view.data + line_offset(job, DATA, line) +
               element_offset(job, DATA, i);
        row_stride = inner_stride(job, DATA);
    } else {
        data = gather_rows(job, w, line, width, i, rows);
    }
    s->position += rows;
    if (s->stage == ADDING) {
        scan->add_columns(scan, s->totals, data, rows, row_stride, width);
        return;
    }
    const ptrdiff_t stride = inner_stride(job, RESULT);
    char *out = (char *)job->view.result + line_offset(job, RESULT, line) + (ptrdiff_t)i * stride;
    scan_tile tile = {
        .prefixes = s->prefixes,
        .whole = job->whole,
        .data = data,
        .row_stride = row_stride,
        .rows = rows,
        .columns = width,
        .type = job->view.type,
        .result = out,
        .result_stride = stride,
        .stream = job->stream,
    };
    if (!job->direct_result) {
        tile.result = w->results;
        tile.result_stride = (ptrdiff_t)(width * job->result_size);
        tile.stream = 0;
    }
    w->flags |= scan->scan_columns(scan, &tile);
    for (size_t r = 0; !job->direct_result && r < rows; r++)
        put_results(job, w->results + r * width * job->result_size, width,
                    out + (ptrdiff_t)r * stride, across(job, RESULT));
}

static size_t end_of(const parsum_scan_job *job, const slot *s)
{
    const size_t end = (s->segment + 1) * job->segment;
    return job->walk == WHOLE_LINES ? width_of(job, s->tile) : end < job->n ? end : job->n;
}

static void start_prefixes(const parsum_scan_job *job, slot *s)
{
    if (job->walk == WHOLE_LINES || job->whole)
        return;
    for (size_t j = 0; j < width_of(job, s->tile); j++)
        job->scan->start_prefix(job->scan, s->prefixes + j * job->scan->prefix_size);
}

/* A step of the slot's chunk; returns its bytes. */
static size_t step(const parsum_scan_job *job, worker *w, slot *s)
{
    size_t taken = 0;
    while (!s->done && taken < STEP_BYTES) {
        const size_t before = s->position, end = end_of(job, s), lines = width_of(job, s->tile);
        if (job->walk == WHOLE_LINES) {
            step_whole_lines(job, w, s);
            taken += job->n * job->size;
        } else {
            if (job->walk == LINES)
                step_lines(job, w, s, end);
            else
                step_columns(job, w, s, end);
            taken += (s->position - before) * lines * job->size;
        }
        if (s->position < end)
            continue;
        s->done = s->tile + 1 == s->last_tile;
        if (!s->done) {
            s->tile++;
            s->position = 0;
            start_prefixes(job, s);
        }
    }
    return taken;
}

/* ---- the chain ---- */

static char *carry_of(const parsum_scan_job *job, size_t tile)
{
    return job->carry + first_line(job, tile) * job->scan->prefix_size;
}

static int has_turn(const parsum_scan_job *job, const slot *s)
{
    return atomic_load_explicit(&job->turns[s->tile].segment, memory_order_acquire) == s->segment;
}

static void pass_turn(const parsum_scan_job *job, const slot *s)
{
    atomic_store_explicit(&job->turns[s->tile].segment, s->segment + 1, memory_order_release);
}

/* Begins to scan a segment whose turn it is. Its prefix is passed on with its total, or at the end
 * if it has none. */
static void begin_scan(const parsum_scan_job *job, slot *s, int has_totals)
{
    const parsum_scan *scan = job->scan;
    const size_t width = width_of(job, s->tile);
    char *carry = carry_of(job, s->tile);
    s->stage = SCANNING;
    s->done = 0;
    s->position = s->segment * job->segment;
    s->passes_on = !has_totals;
    memcpy(s->prefixes, carry, width * scan->prefix_size);
    if (!has_totals)
        return;
    for (size_t j = 0; j < width; j++)
        scan->advance(scan, carry + j * scan->prefix_size, s->totals + j * scan->total_size);
    pass_turn(job, s);
}

static void end_scan(const parsum_scan_job *job, slot *s)
{
    s->stage = FREE;
    if (job->segments == 1 || !s->passes_on)
        return;
    memcpy(carry_of(job, s->tile), s->prefixes, width_of(job, s->tile) * job->scan->prefix_size);
    pass_turn(job, s);
}

static int take_chunk(parsum_scan_job *job, slot *s)
{
    const parsum_scan *scan = job->scan;
    if (atomic_load_explicit(&job->next, memory_order_relaxed) >= job->chunks)
        return 0;
    const int64_t chunk = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
    if (chunk >= job->chunks)
        return 0;
    s->tile = (size_t)chunk / job->segments * job->tiles_of_chunk;
    s->last_tile = s->tile + job->tiles_of_chunk;
    s->last_tile = s->last_tile < job->tiles ? s->last_tile : job->tiles;
    s->segment = (size_t)chunk % job->segments;
    s->done = 0;
    s->position = s->segment * job->segment;
    if (job->segments == 1) {
        s->stage = SCANNING;
        start_prefixes(job, s);
    } else if (atomic_load_explicit(&job->begun, memory_order_relaxed) < 2 && has_turn(job, s)) {
        begin_scan(job, s, 0);
    } else if (s->segment + 1 == job->segments) {
        s->stage = ADDED; /* nobody asks for its total */
    } else {
        s->stage = ADDING;
        for (size_t j = 0; j < width_of(job, s->tile); j++)
            scan->start_total(scan, s->totals + j * scan->total_size);
    }
    return 1;
}

/* What there is to do next: a slot to scan, or to total; a chunk to take; or NULL. */
static slot *next_slot(parsum_scan_job *job, worker *w, int *busy)
{
    slot *adding = NULL, *scanning = NULL, *free_slot = NULL;
    *busy = 0;
    for (int k = 0; k < PENDING; k++) {
        slot *s = &w->slots[k];
        if (s->stage == ADDED && has_turn(job, s))
            begin_scan(job, s, s->segment + 1 != job->segments);
        if (s->stage == SCANNING)
            scanning = s;
        if (s->stage == ADDING)
            adding = s;
        if (s->stage != FREE)
            *busy = 1;
        else if (s->prefixes) /* there is one alone if chunks do not wait for others */
            free_slot = s;
    }
    if (scanning)
        return scanning;
    if (adding)
        return adding;
    return free_slot && take_chunk(job, free_slot) ? free_slot : NULL;
}

static int64_t now(void)
{
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int parsum_scan_work(parsum_scan_job *job, int number, int64_t nanoseconds)
{
    if (number < 0 || number >= job->workers)
        return PARSUM_BAD_ARGUMENT;
    worker *w = &job->worker[number];
    const int64_t start = now();
    int code = PARSUM_AGAIN;
    if (!w->begun) {
        w->begun = 1;
        atomic_fetch_add_explicit(&job->begun, 1, memory_order_relaxed);
    }
    environment outer = enter_environment();
    for (int spins = 0;;) {
        int busy;
        slot *s = next_slot(job, w, &busy);
        if (s && s->stage == SCANNING) {
            const size_t bytes = step(job, w, s);
            atomic_fetch_add_explicit(&job->bytes_done, (int64_t)bytes, memory_order_relaxed);
            if (s->done)
                end_scan(job, s);
        } else if (s && s->stage == ADDING) {
            step(job, w, s);
            if (s->done)
                s->stage = ADDED;
        } else if (!s && !busy) {
            code = PARSUM_DONE;
            break;
        } else if (!s && ++spins > SPINS) {
            spins = 0;
            sched_yield();
        }
        if (atomic_load_explicit(&job->cancelled, memory_order_relaxed)) {
            code = PARSUM_CANCELLED;
            break;
        }
        /* A clock that is set back must not keep the caller here: any jump ends the slice. */
        const int64_t passed = now() - start;
        if (passed < 0 || passed > nanoseconds)
            break;
    }
    leave_environment(&outer);
    if (job->stream)
        parsum_stream_end();
    return code;
}

void parsum_scan_cancel(parsum_scan_job *job)
{
    atomic_store_explicit(&job->cancelled, 1, memory_order_relaxed);
}

int64_t parsum_scan_bytes_done(parsum_scan_job *job)
{
    return atomic_load_explicit(&job->bytes_done, memory_order_relaxed);
}

int64_t parsum_scan_bytes(const parsum_scan_job *job)
{
    return (int64_t)(job->lines * job->n * job->size);
}

int parsum_scan_finish(parsum_scan_job *job)
{
    int flags = 0;
    for (int k = 0; k < job->workers; k++)
        flags |= job->worker[k].flags;
    return flags;
}

/* ---- layout ---- */

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

/* Whether elements of a type at an address and strides apart are aligned. */
static int is_aligned(const parsum_scan_job *job, const void *data, int row, int type)
{
    uintptr_t all = (uintptr_t)data;
    for (int d = 0; d < job->view.kept + job->view.scanned; d++)
        if (row_of(job, SHAPE)[d] > 1)
            all |= (uintptr_t)row_of(job, row)[d];
    return all % parsum_type_size[part_of(type)] == 0;
}

/* Nothing here shows in the results. */
static void lay_out(parsum_scan_job *job, size_t block)
{
    const parsum_scan_view *view = &job->view;
    const ptrdiff_t *shape = row_of(job, SHAPE);
    const size_t workers = (size_t)job->workers;
    const size_t width = view->kept ? (size_t)shape[view->kept - 1] : 1;
    const ptrdiff_t across_data = view->kept ? row_of(job, DATA)[view->kept - 1] : 0;
    const ptrdiff_t across_result = view->kept ? row_of(job, RESULT)[view->kept - 1] : 0;
    const int readable = !job->converts && !view->swap_element && !view->mask &&
                         is_aligned(job, view->data, DATA, view->element);
    const int writable =
        !view->swap_result && !view->in_place && is_aligned(job, view->result, RESULT, view->type);
    const ptrdiff_t along = inner_stride(job, DATA);
    /* Neighbouring lines are closer than a line's elements: what is read with one serves others. */
    const int near = width > 1 && (job->n == 1 || across_data < (along < 0 ? -along : along));

    job->stream = job->lines * job->n * job->result_size >= STREAM_BYTES;
    job->inner = width;
    if ((near || job->n <= SHORT_LINE) && width >= LEAST_COLUMNS && job->scan->scan_columns) {
        job->walk = COLUMNS;
        job->direct = readable && across_data == (ptrdiff_t)job->size;
        job->direct_result = writable && across_result == (ptrdiff_t)job->result_size;
        size_t most = SCAN_TILE;
        while (most > LEAST_TILE && job->lines / most < 4 * workers)
            most /= 2;
        while (most > LEAST_TILE && (!job->direct || !job->direct_result) &&
               most * (job->n < SCAN_LEAF ? job->n : SCAN_LEAF) > GATHERED_TILE)
            most /= 2;
        job->tile = width < most ? width : most;
    } else {
        job->direct = readable && along == (ptrdiff_t)job->size;
        job->direct_result =
            writable && !job->stream && inner_stride(job, RESULT) == (ptrdiff_t)job->result_size;
        if (job->n <= SCAN_LEAF) {
            job->walk = WHOLE_LINES;
            job->inner = job->lines;
            job->tile = block / (job->n * job->size) + 1;
            while (job->tile > 1 && ceiling(job->lines, job->tile) < 4 * workers)
                job->tile /= 2;
            job->tile = job->tile < job->lines ? job->tile : job->lines;
        } else {
            job->walk = LINES;
            job->tile = !near ? 1 : width < NEAR_LINES ? width : NEAR_LINES;
            job->side_by_side = job->tile > 1 && readable && across_data == (ptrdiff_t)job->size &&
                                view->scanned == 1 && job->scan->add_columns;
            job->pairs = job->side_by_side && width == 2 && job->scan->scan_pairs &&
                         along == 2 * across_data && !view->swap_result &&
                         is_aligned(job, view->result, RESULT, view->type) &&
                         across_result == (ptrdiff_t)job->result_size &&
                         inner_stride(job, RESULT) == 2 * across_result;
        }
    }
    job->tiles_of_inner = ceiling(job->inner, job->tile);
    job->tiles = job->lines / job->inner * job->tiles_of_inner;
    job->segment = job->n;
    job->segments = 1;
    if (job->walk != WHOLE_LINES && workers > 1 && job->tiles < 4 * workers &&
        (job->walk == LINES || job->scan->add_columns)) {
        /* a power of two of leaves: see scan_ordered.c */
        size_t segment = SCAN_LEAF;
        while (2 * segment * job->tile * job->size <= block)
            segment *= 2;
        if (segment < job->n)
            job->segment = segment;
        job->segments = ceiling(job->n, job->segment);
    }
    job->whole = job->walk == COLUMNS && job->n <= SCAN_LEAF && job->segments == 1;
    job->tiles_of_chunk = 1;
    while (job->segments == 1 && job->tiles_of_chunk * job->tile * job->n * job->size < block &&
           job->walk == COLUMNS && job->tiles / (2 * job->tiles_of_chunk) >= 4 * workers)
        job->tiles_of_chunk *= 2;
    job->chunks = (int64_t)(ceiling(job->tiles, job->tiles_of_chunk) * job->segments);
}

static int allocate(parsum_scan_job *job)
{
    const parsum_scan *scan = job->scan;
    const size_t element = parsum_type_size[scan->element];
    const size_t widest = job->size > element ? job->size : element;
    const size_t states = job->walk == WHOLE_LINES ? 1 : job->tile;
    const size_t leaf = job->n < SCAN_LEAF ? job->n : SCAN_LEAF;
    const size_t elements = job->walk == COLUMNS ? job->tile * leaf : leaf;
    const int gathers = !job->direct || job->view.scanned > 1;
    const int slots = job->segments > 1 ? PENDING : 1;
    const size_t sizes[] = {
        states * scan->prefix_size * (size_t)slots,
        job->segments > 1 ? states * scan->total_size * (size_t)slots : 0,
        gathers ? elements * widest : 0,
        job->converts ? elements * element : 0,
        job->direct_result ? 0 : (job->pairs ? 2 * elements : elements) * job->result_size,
    };
    enum { PARTS = sizeof sizes / sizeof sizes[0] };
    size_t all = 64, at[PARTS];
    for (int k = 0; k < PARTS; k++) {
        at[k] = all;
        all += (sizes[k] + 63) / 64 * 64;
    }
    for (int k = 0; k < job->workers; k++) {
        worker *w = &job->worker[k];
        char *memory = aligned_alloc(64, all);
        if (!memory)
            return PARSUM_NO_MEMORY;
        w->memory = memory;
        for (int i = 0; i < slots; i++) {
            w->slots[i].prefixes = memory + at[0] + (size_t)i * states * scan->prefix_size;
            w->slots[i].totals = memory + at[1] + (size_t)i * states * scan->total_size;
        }
        w->gathered = memory + at[2];
        w->converted = memory + at[3];
        w->results = memory + at[4];
    }
    if (job->segments == 1)
        return 0;
    const size_t bytes = job->lines * scan->prefix_size;
    job->carry = aligned_alloc(64, (bytes + 63) / 64 * 64);
    job->turns = malloc(job->tiles * sizeof *job->turns);
    if (!job->carry || !job->turns)
        return PARSUM_NO_MEMORY;
    for (size_t line = 0; line < job->lines; line++)
        scan->start_prefix(scan, job->carry + line * scan->prefix_size);
    for (size_t tile = 0; tile < job->tiles; tile++)
        atomic_init(&job->turns[tile].segment, 0);
    return 0;
}

int parsum_scan_create(const parsum_scan *scan, const parsum_scan_view *view, int workers,
                       size_t block, parsum_scan_job **out)
{
    *out = NULL;
    if (!scan || workers < 1 || view->kept < 0 || view->scanned < 1 || view->element < 0 ||
        view->element >= PARSUM_TYPES || view->type < 0 || view->type >= PARSUM_TYPES ||
        !(scan->results >> view->type & 1) || !can_convert(view->element, scan->element))
        return PARSUM_BAD_ARGUMENT;
    parsum_scan_job *job = calloc(1, sizeof *job);
    const size_t numbers = (size_t)DIMS * (size_t)(view->kept + view->scanned);
    if (!job)
        return PARSUM_NO_MEMORY;
    job->dims = malloc(numbers * sizeof *job->dims);
    job->worker = aligned_alloc(64, (size_t)workers * sizeof *job->worker);
    if (!job->dims || !job->worker) {
        free(job->worker);
        job->worker = NULL;
        parsum_scan_destroy(job);
        return PARSUM_NO_MEMORY;
    }
    memset(job->worker, 0, (size_t)workers * sizeof *job->worker);
    memcpy(job->dims, view->dims, numbers * sizeof *job->dims);
    job->scan = scan;
    job->view = *view;
    job->view.dims = job->dims;
    job->workers = workers;
    job->size = parsum_type_size[view->element];
    job->result_size = parsum_type_size[view->type];
    job->lines = product(job->dims, view->kept);
    job->n = product(job->dims + view->kept, view->scanned);
    job->converts = view->element != scan->element;
    atomic_init(&job->next, 0);
    atomic_init(&job->begun, 0);
    atomic_init(&job->cancelled, 0);
    atomic_init(&job->bytes_done, 0);
    if (job->lines && job->n) {
        lay_out(job, block ? block : DEFAULT_BLOCK);
        const int code = allocate(job);
        if (code < 0) {
            parsum_scan_destroy(job);
            return code;
        }
    }
    *out = job;
    return 0;
}

void parsum_scan_destroy(parsum_scan_job *job)
{
    if (!job)
        return;
    for (int k = 0; job->worker && k < job->workers; k++)
        free(job->worker[k].memory);
    free(job->worker);
    free(job->carry);
    free(job->turns);
    free(job->dims);
    free(job);
}

/* ---- small arrays ---- */

/* A line, or two whose elements come in turn, without a job. */
static int scan_line(const parsum_scan *scan, const char *data, size_t n, size_t lines, int type,
                     char *result)
{
    _Alignas(64) char prefixes[2 * SHORT_PREFIX];
    const size_t size = lines * parsum_type_size[scan->element];
    const size_t result_size = lines * parsum_type_size[type];
    int flags = 0;
    environment outer = enter_environment();
    for (size_t k = 0; k < lines; k++)
        scan->start_prefix(scan, prefixes + k * scan->prefix_size);
    for (size_t i = 0; i < n; i += SCAN_LEAF) {
        const size_t left = n - i, leaf = left < SCAN_LEAF ? left : SCAN_LEAF;
        flags |= (lines == 2 ? scan->scan_pairs : scan->scan)(scan, prefixes, data + i * size, leaf,
                                                              type, result + i * result_size);
    }
    leave_environment(&outer);
    return flags;
}

int parsum_scan_axis(const parsum_scan *scan, const void *data, size_t outer, size_t n,
                     size_t inner, int type, void *result)
{
    if (!scan || type < 0 || type >= PARSUM_TYPES || !(scan->results >> type & 1))
        return PARSUM_BAD_ARGUMENT;
    const size_t size = parsum_type_size[scan->element], result_size = parsum_type_size[type];
    const int aligned = (uintptr_t)data % parsum_type_size[part_of(scan->element)] == 0 &&
                        (uintptr_t)result % parsum_type_size[part_of(type)] == 0;
    if (aligned && outer == 1 && scan->prefix_size <= SHORT_PREFIX &&
        (inner == 1 || (inner == 2 && scan->scan_pairs)))
        return scan_line(scan, data, n, inner, type, result);
    const ptrdiff_t dims[DIMS][3] = {
        [SHAPE] = {(ptrdiff_t)outer, (ptrdiff_t)inner, (ptrdiff_t)n},
        [DATA] = {(ptrdiff_t)(n * inner * size), (ptrdiff_t)size, (ptrdiff_t)(inner * size)},
        [RESULT] = {(ptrdiff_t)(n * inner * result_size), (ptrdiff_t)result_size,
                    (ptrdiff_t)(inner * result_size)},
    };
    /* A dimension of one line would hide the other from the choice of a walk. */
    ptrdiff_t rows[DIMS * 3];
    int ndim = 0;
    for (int d = 0; d < 3; d++)
        ndim += d == 2 || dims[SHAPE][d] != 1;
    for (int row = 0; row < DIMS; row++)
        for (int d = 0, k = 0; d < 3; d++)
            if (d == 2 || dims[SHAPE][d] != 1)
                rows[row * ndim + k++] = dims[row][d];
    const parsum_scan_view view = {.data = data,
                                   .result = result,
                                   .dims = rows,
                                   .kept = ndim - 1,
                                   .scanned = 1,
                                   .element = scan->element,
                                   .type = type};
    parsum_scan_job *job;
    int code = parsum_scan_create(scan, &view, 1, 0, &job);
    if (code < 0)
        return code;
    while (parsum_scan_work(job, 0, INT64_MAX) == PARSUM_AGAIN)
        continue;
    code = parsum_scan_finish(job);
    parsum_scan_destroy(job);
    return code;
}

/* ---- the table ---- */

static const parsum_scan *const tables[] = {
    parsum_exact_scans,
    parsum_integer_scans,
    parsum_ordered_scans,
};

const parsum_scan *parsum_scan_find(const char *operation, const char *method, int element,
                                    int result)
{
    if (result < 0 || result >= PARSUM_TYPES)
        return NULL;
    for (size_t k = 0; k < sizeof tables / sizeof tables[0]; k++)
        for (const parsum_scan *row = tables[k]; row->operation; row++)
            if (row->element == element && (row->results >> result & 1) &&
                strcmp(row->operation, operation) == 0 &&
                (!row->method || strcmp(row->method, method) == 0))
                return row;
    return NULL;
}
