/* Jobs over strided views against plain loops, with guards where nothing may be read or written. */
#include <stdlib.h>
#include <string.h>

#include "checks.h"

enum { DIMENSIONS = 4, MOST_ELEMENTS = 20000 };
enum { SHAPE, DATA, OTHER, WHERE, MASK, RESULT, NUMBER, ROWS };

/* Strides of a random memory layout: any order of the dimensions, some backwards, with gaps, or of
 * no step at all. `*first` is the offset of element 0; returns how many bytes the array spans. */
static size_t lay_out(const ptrdiff_t *shape, int ndim, size_t item, int may_repeat,
                      ptrdiff_t *strides, ptrdiff_t *first)
{
    int order[DIMENSIONS];
    for (int d = 0; d < ndim; d++)
        order[d] = d;
    if (choose(2))
        for (int d = ndim - 1; d > 0; d--) {
            const int other = (int)choose((size_t)d + 1), swap = order[d];
            order[d] = order[other];
            order[other] = swap;
        }
    size_t span = item, lowest = 0;
    for (int k = ndim - 1; k >= 0; k--) {
        const int d = order[k];
        const size_t steps = (size_t)shape[d] - 1;
        ptrdiff_t stride = (ptrdiff_t)span;
        if (choose(4) == 0)
            stride += (ptrdiff_t)(choose(2) ? item * choose(4) : choose(9));
        if (may_repeat && choose(8) == 0)
            stride = 0;
        span += steps * (size_t)stride;
        strides[d] = stride;
        if (choose(4) == 0) {
            strides[d] = -stride;
            lowest += steps * (size_t)stride;
        }
    }
    *first = (ptrdiff_t)lowest;
    return span;
}

static void reverse(char *bytes, size_t n)
{
    for (size_t k = 0; k < n / 2; k++) {
        const char swap = bytes[k];
        bytes[k] = bytes[n - 1 - k];
        bytes[n - 1 - k] = swap;
    }
}

/* One element as the kernels shall see it. */
static void load(int type, const char *from, int swap, char *to)
{
    const size_t size = parsum_type_size[type], parts = is_complex(type) ? 2 : 1;
    memcpy(to, from, size);
    for (size_t k = 0; swap && k < parts; k++)
        reverse(to + k * (size / parts), size / parts);
}

/* Walks the indices of some dimensions in C order. Returns 0 after the last. */
static int next(ptrdiff_t *index, const ptrdiff_t *shape, int ndim)
{
    for (int d = ndim - 1; d >= 0; d--) {
        if (++index[d] < shape[d])
            return 1;
        index[d] = 0;
    }
    return 0;
}

static ptrdiff_t offset(const ptrdiff_t *index, const ptrdiff_t *strides, int ndim)
{
    ptrdiff_t at = 0;
    for (int d = 0; d < ndim; d++)
        at += index[d] * strides[d];
    return at;
}

typedef struct {
    parsum_view view;
    ptrdiff_t dims[ROWS][DIMENSIONS];
    ptrdiff_t packed[ROWS * DIMENSIONS]; /* the same without gaps */
    char *data, *other, *where, *mask, *result;
    int ndim;
    size_t outputs, n;
} problem;

static char *array(problem *p, int row, size_t item, int may_repeat, ptrdiff_t *first, size_t *span)
{
    *span = lay_out(p->dims[SHAPE], p->ndim, item, may_repeat, p->dims[row], first);
    return guarded(*span, (int)choose(2));
}

static void choose_shape(problem *p)
{
    const int kept = (int)choose(3), reduced = (int)choose(3);
    p->view.kept = kept;
    p->view.reduced = reduced;
    p->ndim = kept + reduced;
    p->outputs = p->n = 1;
    for (int d = 0; d < p->ndim; d++) {
        static const size_t most[] = {4, 12, 70, 2600};
        const size_t bound = most[choose(4)];
        const size_t left = MOST_ELEMENTS / (p->outputs * p->n);
        size_t length = 1 + choose(bound);
        length = length < left ? length : left;
        p->dims[SHAPE][d] = (ptrdiff_t)length;
        *(d < kept ? &p->outputs : &p->n) *= length;
    }
}

static void choose_view(const parsum_reduction *row, problem *p)
{
    memset(p, 0, sizeof *p);
    choose_shape(p);
    parsum_view *view = &p->view;
    const int element = row->element;
    const size_t item = parsum_type_size[element];
    ptrdiff_t first;
    size_t span;
    element_kind kind = (element_kind)choose(KINDS);
    p->data = array(p, DATA, item, 1, &first, &span);
    /* Whatever lies in gaps and between dimensions is an element too, and must not count. */
    if (is_long(element))
        memset(p->data, 0, span);
    ptrdiff_t index[DIMENSIONS] = {0};
    do {
        fill(element, kind, p->data + first + offset(index, p->dims[DATA], p->ndim), 1);
    } while (next(index, p->dims[SHAPE], p->ndim));
    view->data = p->data + first;
    view->element = view->other_element = element;
    view->swap_element = item > 1 && !is_long(element) && choose(4) == 0;
    if (row->accumulate_pairs) {
        p->other = array(p, OTHER, item, 1, &first, &span);
        if (is_long(element))
            memset(p->other, 0, span);
        do {
            fill(element, ORDINARY, p->other + first + offset(index, p->dims[OTHER], p->ndim), 1);
        } while (next(index, p->dims[SHAPE], p->ndim));
        view->other = p->other + first;
        view->swap_other = item > 1 && !is_long(element) && choose(4) == 0;
    }
    if (choose(4) == 0) {
        p->where = array(p, WHERE, 1, 1, &first, &span);
        fill(PARSUM_BOOL, ORDINARY, p->where, span);
        view->where = (const uint8_t *)p->where + first;
    }
    if (choose(4) == 0) {
        p->mask = array(p, MASK, 1, 1, &first, &span);
        fill(PARSUM_BOOL, choose(2) ? ORDINARY : MINUS_ZEROS, p->mask, span);
        view->mask = (const uint8_t *)p->mask + first;
    }
    view->skip_nan = choose(4) == 0 && !row->accumulate_pairs;
    do
        view->type = (int)choose(PARSUM_TYPES);
    while (!(row->results >> view->type & 1));
    view->swap_result = !is_long(view->type) && choose(8) == 0;
    view->parameter = parameter_of(row);
    ptrdiff_t number = 1;
    for (int d = p->ndim - 1; d >= view->kept; d--) {
        p->dims[NUMBER][d] = number;
        number *= p->dims[SHAPE][d];
    }
    ptrdiff_t result = (ptrdiff_t)(parsum_type_size[view->type] * (size_t)parsum_values(row));
    p->result = guarded((size_t)result * p->outputs, (int)choose(2));
    for (int d = view->kept - 1; d >= 0; d--) {
        p->dims[RESULT][d] = result;
        result *= p->dims[SHAPE][d];
    }
    view->result = p->result;
    for (int k = 0; k < ROWS; k++)
        memcpy(p->packed + k * p->ndim, p->dims[k], (size_t)p->ndim * sizeof *p->packed);
    view->dims = p->packed;
}

/* The elements of one output that count, one after the other, and the numbers they have. */
static size_t gather(const problem *p, const ptrdiff_t *kept, char *a, char *b, int64_t *numbers)
{
    const parsum_view *view = &p->view;
    const size_t item = parsum_type_size[view->element];
    ptrdiff_t index[DIMENSIONS] = {0};
    size_t n = 0;
    int64_t number = 0;
    memcpy(index, kept, sizeof index);
    do {
        char element[ELEMENT_MAX];
        load(view->element, (const char *)view->data + offset(index, p->dims[DATA], p->ndim),
             view->swap_element, element);
        const int left_out =
            (view->where && !view->where[offset(index, p->dims[WHERE], p->ndim)]) ||
            (view->mask && view->mask[offset(index, p->dims[MASK], p->ndim)]) ||
            (view->skip_nan && is_nan(view->element, element));
        if (!left_out) {
            memcpy(a + n * item, element, item);
            if (view->other)
                load(view->element,
                     (const char *)view->other + offset(index, p->dims[OTHER], p->ndim),
                     view->swap_other, b + n * item);
            numbers[n++] = number;
        }
        number++;
    } while (next(index + view->kept, p->dims[SHAPE] + view->kept, view->reduced));
    return n;
}

static void run_job(const parsum_reduction *row, const parsum_view *view, int *flags)
{
    static const size_t blocks[] = {0, 1, 1000, 30000};
    const int workers = 1 + (int)choose(5);
    parsum_job *job;
    const int made = parsum_job_create(row, view, workers, blocks[choose(4)], &job);
    if (made < 0)
        fail("a job was refused: %d", made);
    /* Some workers of it never come. */
    for (int worker = 0; worker < workers; worker++) {
        const int64_t slice = choose(4) ? INT64_MAX : 0;
        while (worker == workers - 1 || choose(3))
            if (parsum_job_work(job, worker, slice) == PARSUM_DONE)
                break;
    }
    /* What a worker has begun it alone can end; worker 0 waits for all that have begun. */
    for (int worker = workers; worker-- > 0;)
        while (parsum_job_work(job, worker, INT64_MAX) != PARSUM_DONE)
            ;
    *flags = parsum_job_finish(job);
    if (parsum_job_bytes_done(job) != parsum_job_bytes(job) && !row->settled)
        fail("%lld of %lld bytes are done", (long long)parsum_job_bytes_done(job),
             (long long)parsum_job_bytes(job));
    parsum_job_destroy(job);
}

void check_one_view(const parsum_reduction *row)
{
    static problem p;
    choose_view(row, &p);
    const parsum_view *view = &p.view;
    const size_t values = (size_t)parsum_values(row), size = parsum_type_size[view->type];
    const int places =
        strncmp(row->operation, "arg", 3) == 0 || strncmp(row->operation, "nanarg", 6) == 0;
    now_doing(row, "views", p.n);
    const int picks = view->where || view->mask || view->skip_nan;
    char found[RESULT_ROOM], expected[RESULT_ROOM];
    /* An order of combination that shows is that of leaves before elements are left out. */
    const int comparable = !row->ordered || !picks || p.n <= parsum_leaf();
    for (size_t k = 0; k < p.outputs; k++) {
        prepare_result(row, view->type, expected);
        memcpy(p.result + k * values * size, expected, values * size);
    }
    int flags, expected_flags = 0;
    run_job(row, view, &flags);

    char *a = room_for(p.n * ELEMENT_MAX), *b = room_for(p.n * ELEMENT_MAX);
    int64_t *numbers = room_for(p.n * sizeof *numbers);
    ptrdiff_t index[DIMENSIONS] = {0};
    size_t output = 0;
    do {
        const size_t n = gather(&p, index, a, b, numbers);
        uint8_t bytes[RESULT_ROOM], others[RESULT_ROOM];
        prepare_result(row, view->type, expected);
        expected_flags |= parsum_reduce_two(row, view->parameter, a, view->other ? b : NULL, n,
                                            view->type, expected);
        if (places && n) {
            int64_t place;
            memcpy(&place, expected, sizeof place);
            memcpy(expected, &numbers[place], sizeof place);
        }
        memcpy(found, p.result + output++ * values * size, values * size);
        for (size_t j = 0; j < values; j++)
            load(view->type, p.result + ((output - 1) * values + j) * size, view->swap_result,
                 found + j * size);
        const size_t count = canonical(view->type, found, values, bytes);
        canonical(view->type, expected, values, others);
        if (comparable && memcmp(bytes, others, count) != 0)
            fail("result %zu of a view is not that of a plain loop", output - 1);
    } while (next(index, p.dims[SHAPE], view->kept));
    if (flags < 0 || (comparable && flags != expected_flags))
        fail("the flags of a job are %d, but %d are those of a plain loop", flags, expected_flags);
    free(a);
    free(b);
    free(numbers);
    char *const arrays[] = {p.data, p.other, p.where, p.mask, p.result};
    for (int k = 0; k < 5; k++)
        if (arrays[k])
            return_guarded(arrays[k]);
}

static int repeats;

static void check_row(const parsum_reduction *row)
{
    for (int k = 0; k < repeats; k++)
        check_one_view(row);
}

static void at_every_level(void (*visit)(const parsum_reduction *row))
{
    for (int level = 0; level < parsum_levels(); level++) {
        if (use_level(level))
            continue;
        seed_choices(3);
        for_each_row(visit);
    }
}

void check_views(int scale)
{
    repeats = 1 + 10 * scale;
    at_every_level(check_row);
}

/* ---- bounds ---- */

static int bound_scale;

static void bound_job(const parsum_reduction *row, char *a, char *b, size_t rows, size_t columns,
                      int axis)
{
    const ptrdiff_t item = (ptrdiff_t)parsum_type_size[row->element];
    const ptrdiff_t strides[2] = {(ptrdiff_t)columns * item, item};
    int type = 0;
    while (!(row->results >> type & 1))
        type++;
    const ptrdiff_t result = (ptrdiff_t)(parsum_type_size[type] * (size_t)parsum_values(row));
    const size_t outputs = axis ? rows : columns;
    ptrdiff_t dims[ROWS][2] = {{0}};
    dims[SHAPE][0] = (ptrdiff_t)outputs;
    dims[SHAPE][1] = (ptrdiff_t)(axis ? columns : rows);
    for (int k = DATA; k <= OTHER; k++) {
        dims[k][0] = strides[1 - axis];
        dims[k][1] = strides[axis];
    }
    dims[RESULT][0] = result;
    dims[NUMBER][1] = 1;
    char *out = guarded(outputs * (size_t)result, 0);
    for (size_t k = 0; k < outputs; k++) {
        char prepared[RESULT_ROOM];
        prepare_result(row, type, prepared);
        memcpy(out + k * (size_t)result, prepared, (size_t)result);
    }
    const parsum_view view = {.data = a,
                              .other = b,
                              .result = out,
                              .dims = &dims[0][0],
                              .kept = 1,
                              .reduced = 1,
                              .parameter = parameter_of(row),
                              .element = row->element,
                              .other_element = row->element,
                              .type = type};
    parsum_job *job;
    if (parsum_job_create(row, &view, 1, 0, &job) < 0)
        fail("a job was refused");
    while (parsum_job_work(job, 0, INT64_MAX) != PARSUM_DONE)
        ;
    if (parsum_job_finish(job) < 0)
        fail("a job failed");
    parsum_job_destroy(job);
    return_guarded(out);
}

static void bound_run(const parsum_reduction *row, size_t n, ptrdiff_t stride, int front)
{
    const size_t item = parsum_type_size[row->element];
    const size_t step = (size_t)(stride < 0 ? -stride : stride);
    const size_t size = n ? (n - 1) * step + item : 0;
    char *a = guarded(size, front), *b = row->accumulate_pairs ? guarded(size, front) : NULL;
    memset(a, 0, size);
    if (b)
        memset(b, 0, size);
    void *state = room_for(row->state_size);
    parsum_identity(row, parameter_of(row), state);
    const char *first = a + (stride < 0 && n ? (n - 1) * step : 0);
    const char *second = b ? b + (first - a) : NULL;
    /* Elements that differ, in a few patterns: kernels look at them before they choose a way. */
    for (size_t i = 0; i < n; i++) {
        fill(row->element, (element_kind)(i % 7 == 6 ? SPECIAL : ORDINARY), a + i * step, 1);
        if (b)
            fill(row->element, ORDINARY, b + i * step, 1);
    }
    if (b)
        parsum_accumulate_pairs(row, state, first, second, n, stride, stride);
    else
        parsum_accumulate(row, state, first, n, stride);
    free(state);
    return_guarded(a);
    if (b)
        return_guarded(b);
}

static void bounds_of_row(const parsum_reduction *row)
{
    static const size_t shapes[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33, 65};
    const size_t count = bound_scale ? sizeof shapes / sizeof *shapes : 5;
    const ptrdiff_t item = (ptrdiff_t)parsum_type_size[row->element];
    for (size_t n = 0; n <= (bound_scale ? 70 : 20); n++) {
        now_doing(row, "bounds of a run", n);
        for (int front = 0; front < 2; front++) {
            bound_run(row, n, item, front);
            bound_run(row, n, -item, front);
            bound_run(row, n, item + 1, front);
            bound_run(row, n, 3 * item, front);
        }
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            for (int front = 0; front < 2; front++) {
                const size_t n = shapes[i] * shapes[j], size = n * (size_t)item;
                char *a = guarded(size, front);
                char *b = row->accumulate_pairs ? guarded(size, front) : NULL;
                now_doing(row, "bounds of rows and columns", n);
                fill(row->element, ORDINARY, a, n);
                if (b)
                    fill(row->element, ORDINARY, b, n);
                bound_job(row, a, b, shapes[i], shapes[j], 0);
                bound_job(row, a, b, shapes[i], shapes[j], 1);
                return_guarded(a);
                if (b)
                    return_guarded(b);
            }
}

void check_bounds(int scale)
{
    bound_scale = scale;
    at_every_level(bounds_of_row);
}
