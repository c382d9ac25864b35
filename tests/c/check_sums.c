/* Exact sums against the oracle of long integers, and fast ones within their bound. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "oracle.h"

static const int floats[] = {PARSUM_FLOAT16, PARSUM_FLOAT32, PARSUM_FLOAT64};
static const struct {
    int fraction, exponent;
} formats[] = {{10, 5}, {23, 8}, {52, 11}};

/* Exactly, and without the library's help. */
static double as_double(int type, const void *element)
{
    double value;
    float single;
    uint16_t bits;
    if (type == PARSUM_FLOAT64) {
        memcpy(&value, element, sizeof value);
        return value;
    }
    if (type == PARSUM_FLOAT32) {
        memcpy(&single, element, sizeof single);
        return (double)single;
    }
    memcpy(&bits, element, sizeof bits);
    const int field = bits >> 10 & 31, fraction = bits & 1023;
    if (field == 31)
        value = fraction ? (double)NAN : (double)INFINITY;
    else
        value = ldexp(field ? fraction + 1024 : fraction, (field ? field : 1) - 25);
    return bits >> 15 ? -value : value;
}

static uint64_t bits_of_result(int type, const void *result)
{
    uint8_t bytes[8];
    uint64_t bits = 0;
    const size_t size = canonical(type, result, 1, bytes);
    for (size_t k = size; k-- > 0;)
        bits = bits << 8 | bytes[k];
    return bits;
}

static void compare(int format, const void *result, uint64_t expected, const char *how)
{
    const int type = floats[format];
    const uint64_t infinity = ((UINT64_C(1) << formats[format].exponent) - 1)
                              << formats[format].fraction;
    const uint64_t found = bits_of_result(type, result);
    const uint64_t magnitude = expected & ((UINT64_C(1) << (8 * parsum_type_size[type] - 1)) - 1);
    if (is_nan(type, result) ? magnitude <= infinity : found != expected)
        fail("%s: result type %d has bits %llx, but %llx are right", how, type,
             (unsigned long long)found, (unsigned long long)expected);
}

enum { SUM, MEAN, MAGNITUDES, PRODUCTS, WAYS };
static const char *const operations[] = {"sum", "mean", "abs_sum", "dot"};

typedef struct {
    const parsum_reduction *row;
    const char *a, *b;
    size_t n, item;
} problem;

static void take(const problem *p, void *state, size_t first, size_t n)
{
    const ptrdiff_t item = (ptrdiff_t)p->item;
    const char *a = p->a + first * p->item;
    if (p->b)
        parsum_accumulate_pairs(p->row, state, a, p->b + first * p->item, n, item, item);
    else
        parsum_accumulate(p->row, state, a, n, item);
}

/* States of random parts, some of no elements, merged in random order into the first. */
static void *state_of_parts(const problem *p)
{
    enum { PARTS = 12 };
    const size_t parts = 1 + choose(PARTS);
    char *states[PARTS];
    size_t first = 0;
    for (size_t k = 0; k < parts; k++) {
        const size_t left = p->n - first, n = k == parts - 1 ? left : choose(left + 1);
        states[k] = room_for(p->row->state_size);
        parsum_identity(p->row, 0, states[k]);
        const size_t cut = choose(n + 1);
        take(p, states[k], first, cut);
        take(p, states[k], first + cut, n - cut);
        first += n;
    }
    for (size_t left = parts; left > 1; left--) {
        const size_t from = choose(left);
        char *merged = states[from];
        states[from] = states[left - 1];
        states[left - 1] = NULL;
        const size_t to = choose(left - 1);
        parsum_combine(p->row, states[to], merged);
        if (!parsum_state_valid(p->row, states[to]))
            fail("a combined state is not valid");
        free(merged);
    }
    return states[0];
}

/* Leaves of 1024 in 32 lanes, and a tree of leaves: less than 5 + 32 + 32 roundings on the way. */
static void check_fast(const problem *p, int element, int way)
{
    const parsum_reduction *row = parsum_find(operations[way], "fast", element, PARSUM_FLOAT64);
    if (way != SUM || row->ordered == 0)
        return;
    double fast, exact, size;
    oracle sum, magnitudes;
    oracle_clear(&sum);
    oracle_clear(&magnitudes);
    for (size_t i = 0; i < p->n; i++) {
        const double v = as_double(element, p->a + i * p->item);
        oracle_add(&sum, v);
        oracle_add(&magnitudes, fabs(v));
    }
    uint64_t bits = oracle_round(&sum, 0, 52, 11);
    memcpy(&exact, &bits, sizeof exact);
    bits = oracle_round(&magnitudes, 0, 52, 11);
    memcpy(&size, &bits, sizeof size);
    if (!isfinite(exact) || size > 0x1p1000)
        return;
    parsum_reduce(row, 0, p->a, p->n, PARSUM_FLOAT64, &fast);
    if (!(fabs(fast - exact) <= size * 0x1p-46))
        fail("a fast sum is %a, but the exact one is %a", fast, exact);
}

static void check_sum(int way, int format, element_kind kind, size_t n, int front)
{
    const int element = floats[format];
    problem p = {.n = n, .item = parsum_type_size[element]};
    p.row = parsum_find(operations[way], "exact", element, PARSUM_FLOAT64);
    if (!p.row)
        fail("there is no exact %s", operations[way]);
    now_doing(p.row, "sums", n);
    char *a = guarded(n * p.item, front), *b = NULL;
    fill(element, kind, a, n);
    p.a = a;
    if (way == PRODUCTS) {
        b = guarded(n * p.item, !front);
        fill(element, choose(2) ? kind : ORDINARY, b, n);
        p.b = b;
    }
    oracle sum;
    oracle_clear(&sum);
    for (size_t i = 0; i < n; i++) {
        const double v = as_double(element, a + i * p.item);
        if (way == PRODUCTS)
            oracle_add_product(&sum, v, as_double(element, b + i * p.item));
        else
            oracle_add(&sum, way == MAGNITUDES ? fabs(v) : v);
    }
    void *state = state_of_parts(&p);
    for (int to = 0; to < 3; to++) {
        if (!(p.row->results >> floats[to] & 1) || (way == MEAN && n == 0))
            continue;
        const uint64_t expected =
            oracle_round(&sum, way == MEAN ? n : 0, formats[to].fraction, formats[to].exponent);
        double result;
        parsum_reduce_two(p.row, 0, a, b, n, floats[to], &result);
        compare(to, &result, expected, "in one piece");
        parsum_finish(p.row, state, floats[to], &result);
        compare(to, &result, expected, "in parts");
        const parsum_reduction *row = parsum_find(operations[way], "exact", element, floats[to]);
        if (way == PRODUCTS)
            continue;
        parsum_reduce_axis(row, 0, 0, a, 1, n, 1, floats[to], &result);
        compare(to, &result, expected, "as a job");
    }
    free(state);
    check_fast(&p, element, way);
    return_guarded(a);
    if (b)
        return_guarded(b);
}

void check_one_sum(size_t most)
{
    const size_t bound = choose(4) ? 40 : most;
    const int way = (int)choose(WAYS), format = (int)choose(3);
    const element_kind kind = (element_kind)choose(KINDS);
    check_sum(way, format, kind, choose(bound), (int)choose(2));
}

void check_sums(int scale)
{
    static const size_t lengths[] = {
        0,  1,   2,   3,   4,   5,   7,   8,   9,   15,  16,   17,   31,   32,   33,   63,   64,
        65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049, 4097};
    const size_t count = sizeof lengths / sizeof *lengths;
    for (int level = 0; level < parsum_levels(); level++) {
        if (use_level(level))
            continue;
        seed_choices(1);
        for (int way = 0; way < WAYS; way++)
            for (int format = 0; format < 3; format++)
                for (element_kind kind = 0; kind < KINDS; kind++)
                    for (size_t k = 0; k < (scale ? count : 20); k++)
                        check_sum(way, format, kind, lengths[k], k % 2 == 0);
        for (int k = 0; k < 2000 * scale; k++)
            check_one_sum(5000);
    }
}
