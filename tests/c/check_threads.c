/* Threads: first calls at once, jobs that many work on, cancel and watch, and jobs side by side. */
#define _POSIX_C_SOURCE 200112L /* barriers */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "scans.h"

enum { THREADS = 9, ELEMENTS = 30000 };

/* What is to be done by a thread, and its number. */
typedef struct {
    void (*act)(void *subject, int number);
    void *subject;
    int number;
} errand;

static void *run_errand(void *given)
{
    const errand *e = given;
    e->act(e->subject, e->number);
    return NULL;
}

static void in_threads(int count, void (*act)(void *subject, int number), void *subject)
{
    pthread_t threads[THREADS];
    errand errands[THREADS];
    for (int k = 0; k < count; k++) {
        errands[k] = (errand){act, subject, k};
        if (pthread_create(&threads[k], NULL, run_errand, &errands[k]))
            fail("no thread");
    }
    for (int k = 0; k < count; k++)
        pthread_join(threads[k], NULL);
}

/* ---- first calls ---- */

typedef struct {
    pthread_barrier_t barrier;
    const double *data;
    double sums[THREADS];
    int levels[THREADS];
} first_calls;

static void call_first(void *subject, int number)
{
    first_calls *calls = subject;
    pthread_barrier_wait(&calls->barrier);
    const parsum_reduction *row = parsum_find("sum", "exact", PARSUM_FLOAT64, PARSUM_FLOAT64);
    parsum_reduce(row, 0, calls->data, 5000, PARSUM_FLOAT64, &calls->sums[number]);
    calls->levels[number] = parsum_level();
}

void check_first_calls(void)
{
    static first_calls calls;
    double *data = room_for(5000 * sizeof *data);
    fill(PARSUM_FLOAT64, WIDE, data, 5000);
    calls.data = data;
    pthread_barrier_init(&calls.barrier, NULL, THREADS);
    in_threads(THREADS, call_first, &calls);
    pthread_barrier_destroy(&calls.barrier);
    for (int k = 1; k < THREADS; k++)
        if (bits_of(calls.sums[k]) != bits_of(calls.sums[0]) || calls.levels[k] != calls.levels[0])
            fail("first calls of several threads differ");
    free(data);
}

/* ---- jobs ---- */

typedef struct {
    parsum_job *job;
    parsum_scan_job *scan;
    int cancels; /* which thread cancels in the middle, -1 for none */
    int64_t slice;
    char *data; /* of a job, and its bytes */
    size_t size;
    int finished; /* what the job was finished with */
} shared_job;

static void work(void *subject, int number)
{
    shared_job *shared = subject;
    for (int turn = 0;; turn++) {
        int code;
        if (shared->job) {
            if (turn == 1 && number == shared->cancels)
                parsum_job_cancel(shared->job);
            code = parsum_job_work(shared->job, number, shared->slice);
            if (parsum_job_bytes_done(shared->job) > parsum_job_bytes(shared->job))
                fail("more bytes are done than there are");
        } else {
            if (turn == 1 && number == shared->cancels)
                parsum_scan_cancel(shared->scan);
            code = parsum_scan_work(shared->scan, number, shared->slice);
            if (parsum_scan_bytes_done(shared->scan) > parsum_scan_bytes(shared->scan))
                fail("more bytes are done than there are");
        }
        if (code == PARSUM_AGAIN)
            continue;
        if (shared->job && number == 0 && code == PARSUM_DONE) {
            /* The others may not even have come yet. */
            shared->finished = parsum_job_finish(shared->job);
            memset(shared->data, 0xff, shared->size);
        }
        return;
    }
}

/* All of a (rows, columns) array along one axis, by so many threads; the results' canonical bytes.
 */
static size_t reduce(const parsum_reduction *row, const char *a, const char *b, size_t rows,
                     size_t columns, int kept, int workers, int cancels, uint8_t *bytes)
{
    const ptrdiff_t item = (ptrdiff_t)parsum_type_size[row->element];
    int type = 0;
    while (!(row->results >> type & 1))
        type++;
    const size_t values = (size_t)parsum_values(row);
    const ptrdiff_t size = (ptrdiff_t)(values * parsum_type_size[type]);
    const ptrdiff_t dims[7][2] = {
        {(ptrdiff_t)(kept ? columns : rows), (ptrdiff_t)(kept ? rows : columns)},
        {kept ? item : (ptrdiff_t)columns * item, kept ? (ptrdiff_t)columns * item : item},
        {kept ? item : (ptrdiff_t)columns * item, kept ? (ptrdiff_t)columns * item : item},
        {0},
        {0},
        {kept ? size : 0, 0},
        {kept ? 0 : (ptrdiff_t)columns, 1}};
    const size_t outputs = kept ? columns : 1;
    char *result = room_for(outputs * RESULT_ROOM);
    for (size_t k = outputs; k-- > 0;)
        prepare_result(row, type, result + k * (size_t)size);
    const size_t size_of_data = rows * columns * (size_t)item;
    char *data = memcpy(room_for(size_of_data), a, size_of_data);
    const parsum_view view = {.data = data,
                              .other = b,
                              .result = result,
                              .dims = &dims[0][0],
                              .parameter = parameter_of(row),
                              .kept = kept,
                              .reduced = 2 - kept,
                              .element = row->element,
                              .other_element = row->element,
                              .type = type};
    shared_job shared = {.cancels = cancels,
                         .slice = cancels < 0 ? 200000 : 0,
                         .data = data,
                         .size = size_of_data,
                         .finished = -1};
    if (parsum_job_create(row, &view, workers, 4096, &shared.job) < 0)
        fail("a job was refused");
    if (workers == 1)
        work(&shared, 0);
    else
        in_threads(workers, work, &shared);
    size_t n = 0;
    if (cancels < 0) {
        if (shared.finished < 0)
            fail("a job failed");
        n = canonical(type, result, outputs * values, bytes);
    }
    parsum_job_destroy(shared.job);
    free(result);
    free(data);
    return n;
}

static char *elements[2];
static int thread_scale;

static void check_row(const parsum_reduction *row)
{
    const size_t rows = 1500, columns = ELEMENTS / rows;
    const char *a = elements[0], *b = row->accumulate_pairs ? elements[1] : NULL;
    static uint8_t alone[ELEMENTS * 32], together[ELEMENTS * 32];
    now_doing(row, "threads", ELEMENTS);
    fill(row->element, choose(3) ? WIDE : ORDINARY, elements[0], ELEMENTS);
    if (b)
        fill(row->element, ORDINARY, elements[1], ELEMENTS);
    for (int kept = 0; kept < 2; kept++) {
        const size_t n = reduce(row, a, b, rows, columns, kept, 1, -1, alone);
        for (int workers = 2; workers <= THREADS; workers += thread_scale > 1 ? 1 : 3) {
            reduce(row, a, b, rows, columns, kept, workers, -1, together);
            if (memcmp(alone, together, n) != 0)
                fail("%d workers have another result than one", workers);
        }
        reduce(row, a, b, rows, columns, kept, 3, 1, together);
    }
}

static void check_scan(const parsum_scan *scan)
{
    const parsum_reduction names = {.operation = scan->operation, .element = scan->element};
    int type = 0;
    while (!(scan->results >> type & 1))
        type++;
    const size_t item = parsum_type_size[scan->element], size = parsum_type_size[type];
    const ptrdiff_t dims[] = {ELEMENTS, (ptrdiff_t)item, 0, (ptrdiff_t)size};
    char *alone = room_for(ELEMENTS * size), *together = room_for(ELEMENTS * size);
    uint8_t *bytes[2] = {room_for(ELEMENTS * size), room_for(ELEMENTS * size)};
    now_doing(&names, "threads of a scan", ELEMENTS);
    fill(scan->element, WIDE, elements[0], ELEMENTS);
    const int flags = parsum_scan_axis(scan, elements[0], 1, ELEMENTS, 1, type, alone);
    for (int turn = 0; turn < 4; turn++) {
        const int workers = 2 + turn, cancels = turn == 3 ? 0 : -1;
        parsum_scan_view view = {.data = elements[0],
                                 .result = together,
                                 .dims = dims,
                                 .scanned = 1,
                                 .element = scan->element,
                                 .type = type,
                                 .in_place = 1};
        shared_job shared = {.cancels = cancels, .slice = cancels < 0 ? 200000 : 0};
        if (parsum_scan_create(scan, &view, workers, 8192, &shared.scan) < 0)
            fail("a scan was refused");
        in_threads(workers, work, &shared);
        if (cancels < 0) {
            if (parsum_scan_finish(shared.scan) != flags)
                fail("a scan of %d workers has other flags than that of one", workers);
            const size_t n = canonical(type, alone, ELEMENTS, bytes[0]);
            canonical(type, together, ELEMENTS, bytes[1]);
            if (memcmp(bytes[0], bytes[1], n) != 0)
                fail("a scan of %d workers differs from that of one", workers);
        }
        parsum_scan_destroy(shared.scan);
    }
    free(alone);
    free(together);
    free(bytes[0]);
    free(bytes[1]);
}

/* ---- side by side ---- */

static void reduce_everything(void *subject, int number)
{
    uint64_t *hashes = subject;
    uint64_t hash = HASH_START;
    for (const parsum_reduction *const *table = parsum_tables; *table; table++)
        for (const parsum_reduction *row = *table; row->operation; row++) {
            char result[RESULT_ROOM];
            uint8_t bytes[RESULT_ROOM];
            int type = 0;
            while (!(row->results >> type & 1))
                type++;
            prepare_result(row, type, result);
            parsum_reduce_two(row, parameter_of(row), elements[0],
                              row->accumulate_pairs ? elements[1] : NULL, 700, type, result);
            hash =
                hash_bytes(hash, bytes, canonical(type, result, (size_t)parsum_values(row), bytes));
        }
    hashes[number] = hash;
}

/* ---- rows that are not the library's ---- */

static void no_elements(void *state, double parameter)
{
    (void)parameter;
    memset(state, 0, sizeof(uint64_t));
}

static void add_words(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    uint64_t sum, word;
    memcpy(&sum, state, sizeof sum);
    for (size_t i = 0; i < n; i++) {
        memcpy(&word, (const char *)data + (ptrdiff_t)i * stride, sizeof word);
        sum += word;
    }
    memcpy(state, &sum, sizeof sum);
}

static void add_states(void *state, const void *other)
{
    add_words(state, other, 1, 0);
}

static int write_sum(const void *state, int type, void *result)
{
    (void)type;
    memcpy(result, state, sizeof(uint64_t));
    return 0;
}

static void check_own_rows(void)
{
    const parsum_functions functions = {.state_size = sizeof(uint64_t),
                                        .element = PARSUM_UINT64,
                                        .result = PARSUM_UINT64,
                                        .values = 1,
                                        .identity = no_elements,
                                        .accumulate = add_words,
                                        .combine = add_states,
                                        .finish = write_sum};
    parsum_reduction *own, *joined;
    if (parsum_define(&functions, &own))
        fail("a row of one's own was refused");
    const parsum_member members[] = {
        {.reduction = own, .type = PARSUM_UINT64},
        {.reduction = parsum_find("sum", "exact", PARSUM_UINT64, PARSUM_UINT64),
         .type = PARSUM_UINT64},
        {.reduction = parsum_find("max", "exact", PARSUM_UINT64, PARSUM_UINT64),
         .type = PARSUM_UINT64}};
    size_t offsets[3];
    if (parsum_join(members, 3, offsets, &joined))
        fail("rows were not joined");
    fill(PARSUM_UINT64, ANY_BITS, elements[0], ELEMENTS);
    uint64_t sum = 0, largest = 0, word;
    for (size_t i = 0; i < ELEMENTS; i++) {
        memcpy(&word, elements[0] + i * sizeof word, sizeof word);
        sum += word;
        largest = word > largest ? word : largest;
    }
    const uint64_t expected[] = {sum, sum, largest};
    for (int workers = 1; workers <= THREADS; workers += 2) {
        static uint8_t bytes[RESULT_ROOM];
        now_doing(joined, "rows of one's own", ELEMENTS);
        reduce(joined, elements[0], NULL, 1500, ELEMENTS / 1500, 0, workers, -1, bytes);
        for (int k = 0; k < 3; k++) {
            memcpy(&word, bytes + offsets[k] + 16, sizeof word);
            if (word != expected[k])
                fail("member %d of a joined row is wrong with %d workers", k, workers);
        }
    }
    parsum_forget(joined);
    parsum_forget(own);
}

void check_threads(int scale)
{
    uint64_t hashes[THREADS];
    thread_scale = scale;
    seed_choices(7);
    for (int k = 0; k < 2; k++)
        elements[k] = room_for(ELEMENTS * ELEMENT_MAX);
    for (int level = parsum_levels() - 1; level >= 0; level--) {
        if (use_level(level))
            continue;
        memset(elements[0], 0, ELEMENTS * ELEMENT_MAX);
        memset(elements[1], 0, ELEMENTS * ELEMENT_MAX);
        in_threads(THREADS, reduce_everything, hashes);
        for (int k = 1; k < THREADS; k++)
            if (hashes[k] != hashes[0])
                fail("reductions of several threads side by side differ");
        check_own_rows();
        for_each_row(check_row);
        const parsum_scan *const tables[] = {parsum_exact_scans, parsum_integer_scans,
                                             parsum_ordered_scans};
        for (size_t k = 0; k < 3; k++)
            for (const parsum_scan *scan = tables[k]; scan->operation; scan++)
                check_scan(scan);
        if (scale < 2)
            break; /* the levels' kernels know nothing of threads */
    }
    free(elements[0]);
    free(elements[1]);
}
