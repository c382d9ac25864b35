/* Dot products, variances and norms of long doubles, which no exact state has room for: sums of
 * products in pairs of long doubles.
 *
 * A pair (high, low) has twice the precision p. A product is two numbers exactly (Dekker 1971), a
 * sum of pairs is off by at most 2^(3-2p) of the sum of magnitudes (Knuth's TwoSum; Joldes, Muller
 * and Popescu, "Tight and rigorous error bounds for basic building blocks of double-word
 * arithmetic", 2017). Not correctly rounded; deterministic, as the fixed tree is. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "exact.h"
#include "moments.h"
#include "reductions.h"
#include "states.h"

typedef struct {
    long double high, low;
} pair;

/* Two numbers each. */
static int pairs_are_valid(const pair *pairs, int count)
{
    int valid = 1;
    for (int k = 0; k < count; k++)
        valid &= long_is_valid(&pairs[k].high) && long_is_valid(&pairs[k].low);
    return valid;
}

static void clear_pairs_padding(pair *pairs, int count)
{
    for (int k = 0; k < count; k++) {
        clear_long_padding(&pairs[k].high, 1);
        clear_long_padding(&pairs[k].low, 1);
    }
}

static pair fast_sum(long double a, long double b)
{
    const long double sum = a + b;
    /* An infinity has no rest. */
    return (pair){sum, isfinite(sum) ? b - (sum - a) : 0};
}

static pair add(pair a, pair b)
{
    const long double sum = a.high + b.high;
    if (!isfinite(sum))
        return (pair){sum, 0};
    const long double part = sum - a.high;
    const long double rest = (a.high - (sum - part)) + (b.high - part);
    return fast_sum(sum, rest + (a.low + b.low));
}

static pair negative(pair a)
{
    return (pair){-a.high, -a.low};
}

/* 2^ceil(p/2) + 1 cuts a number in two halves whose products are exact. */
#define SPLITTER ((long double)(UINT64_C(1) << ((LDBL_MANT_DIG + 1) / 2)) + 1)

static pair product(long double a, long double b)
{
    const long double p = a * b;
    const long double a_wide = a * SPLITTER, b_wide = b * SPLITTER;
    if (!isfinite(p) || !isfinite(a_wide) || !isfinite(b_wide))
        return (pair){p, 0};
    const long double a_high = a_wide - (a_wide - a), a_low = a - a_high;
    const long double b_high = b_wide - (b_wide - b), b_low = b - b_high;
    return (pair){p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low};
}

static pair multiply(pair a, pair b)
{
    pair p = product(a.high, b.high);
    if (!isfinite(p.high))
        return p;
    return fast_sum(p.high, p.low + (a.high * b.low + a.low * b.high));
}

static pair divide(pair a, pair b)
{
    const long double first = a.high / b.high;
    if (!isfinite(first))
        return (pair){first, 0};
    const pair rest = add(a, negative(multiply((pair){first, 0}, b)));
    return fast_sum(first, rest.high / b.high);
}

static int store(long double value, int type, void *result)
{
    if (type == PARSUM_LONGDOUBLE) {
        memset(result, 0, sizeof value);
        memcpy(result, &value, sizeof value);
        return 0;
    }
    const int flags = parsum_round_double((double)value, type, result);
    return isfinite(value) && isinf((double)value) ? flags | PARSUM_OVERFLOW : flags;
}

static long double read_long(const char *p)
{
    long double value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* ---- dot products ---- */

typedef struct {
    pair part[2];
    uint64_t nan; /* one came in */
} dot_state;

static void identity_dot(void *state, double parameter)
{
    (void)parameter;
    memset(state, 0, sizeof(dot_state));
}

static void combine_dot(void *state, const void *other)
{
    dot_state *a = state;
    const dot_state *b = other;
    for (int k = 0; k < 2; k++)
        a->part[k] = add(a->part[k], b->part[k]);
    a->nan |= b->nan;
}

static int valid_dot(const void *state)
{
    const dot_state *dot = state;
    return pairs_are_valid(dot->part, 2) && dot->nan <= 1;
}

static void clear_dot_padding(void *state)
{
    clear_pairs_padding(((dot_state *)state)->part, 2);
}

static int finish_parts(const dot_state *dot, int parts, int type, char *result)
{
    int flags = 0;
    for (int k = 0; k < parts; k++, result += parsum_type_size[type]) {
        const long double value = dot->part[k].high;
        flags |= store(value, type, result);
        flags |= isnan(value) && !dot->nan ? PARSUM_INVALID : 0;
    }
    return flags;
}

static int finish_dot(const void *state, int type, void *result)
{
    return finish_parts(state, 1, type, result);
}

static int finish_complex_dot(const void *state, int type, void *result)
{
    const int part = type == PARSUM_COMPLEX64    ? PARSUM_FLOAT32
                     : type == PARSUM_COMPLEX128 ? PARSUM_FLOAT64
                                                 : PARSUM_LONGDOUBLE;
    return finish_parts(state, 2, part, result);
}

static void accumulate_dot(void *state, const void *a, const void *b, size_t n, ptrdiff_t a_stride,
                           ptrdiff_t b_stride)
{
    dot_state *dot = state;
    const char *p = a, *q = b;
    for (size_t i = 0; i < n; i++, p += a_stride, q += b_stride) {
        const long double x = read_long(p), y = read_long(q);
        dot->nan |= isnan(x) || isnan(y);
        dot->part[0] = add(dot->part[0], product(x, y));
    }
}

static void accumulate_complex(dot_state *dot, int conjugate, const char *p, const char *q,
                               size_t n, ptrdiff_t a_stride, ptrdiff_t b_stride)
{
    for (size_t i = 0; i < n; i++, p += a_stride, q += b_stride) {
        const long double a = read_long(p), b = read_long(p + sizeof a);
        const long double c = read_long(q), d = read_long(q + sizeof c);
        const long double s = conjugate ? -b : b;
        dot->nan |= isnan(a) || isnan(b) || isnan(c) || isnan(d);
        dot->part[0] = add(dot->part[0], add(product(a, c), product(-s, d)));
        dot->part[1] = add(dot->part[1], add(product(a, d), product(s, c)));
    }
}

static void accumulate_complex_dot(void *state, const void *a, const void *b, size_t n,
                                   ptrdiff_t a_stride, ptrdiff_t b_stride)
{
    accumulate_complex(state, 0, a, b, n, a_stride, b_stride);
}

static void accumulate_complex_vdot(void *state, const void *a, const void *b, size_t n,
                                    ptrdiff_t a_stride, ptrdiff_t b_stride)
{
    accumulate_complex(state, 1, a, b, n, a_stride, b_stride);
}

/* ---- moments ---- */

typedef struct {
    pair sum[2], squares;
    uint64_t count, nan;
    double ddof;
} moments_long;

static void identity_moments(void *state, double parameter)
{
    memset(state, 0, sizeof(moments_long));
    ((moments_long *)state)->ddof = parameter;
}

static void combine_moments(void *state, const void *other)
{
    moments_long *a = state;
    const moments_long *b = other;
    for (int k = 0; k < 2; k++)
        a->sum[k] = add(a->sum[k], b->sum[k]);
    a->squares = add(a->squares, b->squares);
    a->count += b->count;
    a->nan |= b->nan;
}

static int valid_moments(const void *state)
{
    const moments_long *moments = state;
    return pairs_are_valid(moments->sum, 2) && pairs_are_valid(&moments->squares, 1) &&
           moments->nan <= 1;
}

static void clear_moments_padding(void *state)
{
    moments_long *moments = state;
    clear_pairs_padding(moments->sum, 2);
    clear_pairs_padding(&moments->squares, 1);
}

static void accumulate_parts(moments_long *moments, int parts, const char *p, size_t n,
                             ptrdiff_t stride)
{
    moments->count += n;
    for (size_t i = 0; i < n; i++, p += stride)
        for (int k = 0; k < parts; k++) {
            const long double x = read_long(p + (size_t)k * sizeof x);
            moments->nan |= isnan(x);
            moments->sum[k] = add(moments->sum[k], (pair){x, 0});
            moments->squares = add(moments->squares, product(x, x));
        }
}

static void accumulate_real(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    accumulate_parts(state, 1, data, n, stride);
}

static void accumulate_pairs_of_parts(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    accumulate_parts(state, 2, data, n, stride);
}

static int finish_norm(const void *state, int type, void *result)
{
    const moments_long *moments = state;
    return store(sqrtl(moments->squares.high), type, result);
}

static long double mean_at(int type, const char *p)
{
    switch (type) {
    case PARSUM_LONGDOUBLE:
        return read_long(p);
    case PARSUM_FLOAT64: {
        double value;
        memcpy(&value, p, sizeof value);
        return value;
    }
    case PARSUM_FLOAT32: {
        float value;
        memcpy(&value, p, sizeof value);
        return value;
    }
    default:
        return 0;
    }
}

/* (S2 - sum S1^2 / n) / (n - ddof), or about a mean m, (S2 - 2 m S1 + n m^2) / (n - ddof). */
static int finish_spread(const moments_long *moments, int what, int type, void *result)
{
    const long double n = (long double)moments->count, freedom = n - moments->ddof;
    const int empty = !(freedom > 0) ? PARSUM_EMPTY : 0;
    if (empty && (what & MOMENTS_NUMBER)) {
        store(NAN, type, result);
        return empty;
    }
    if (!moments->count) {
        store(NAN, type, result);
        return empty | PARSUM_INVALID;
    }
    pair total = moments->squares;
    for (int k = 0; k < 2; k++) {
        const pair sum = moments->sum[k];
        if (what & MOMENTS_ABOUT) {
            const char *means = result;
            const long double m = mean_at(type, means + (size_t)k * parsum_type_size[type]);
            total = add(total, multiply((pair){-2 * m, 0}, sum));
            total = add(total, multiply(product(m, m), (pair){n, 0}));
        } else {
            total = add(total, negative(divide(multiply(sum, sum), (pair){n, 0})));
        }
    }
    /* The exact one is not negative; this may be off by its roundings. */
    if (total.high < 0)
        total = (pair){0, 0};
    if (empty && total.high == 0) {
        store(NAN, type, result);
        return empty | PARSUM_INVALID;
    }
    if (empty) {
        store(isnan(total.high) ? (long double)NAN : (long double)INFINITY, type, result);
        return empty | (isnan(total.high) ? 0 : PARSUM_DIVIDE);
    }
    const long double spread = divide(total, (pair){freedom, 0}).high;
    const int flags = store(what & MOMENTS_ROOT ? sqrtl(spread) : spread, type, result);
    return isnan(spread) && !moments->nan ? flags | PARSUM_INVALID : flags;
}

#define FINISH(NAME, WHAT)                                                                         \
    static int finish_##NAME(const void *state, int type, void *result)                            \
    {                                                                                              \
        return finish_spread(state, WHAT, type, result);                                           \
    }

FINISH(var, 0)
FINISH(std, MOMENTS_ROOT)
FINISH(nanvar, MOMENTS_NUMBER)
FINISH(nanstd, MOMENTS_NUMBER | MOMENTS_ROOT)
FINISH(var_about, MOMENTS_ABOUT)
FINISH(std_about, MOMENTS_ABOUT | MOMENTS_ROOT)
FINISH(nanvar_about, MOMENTS_ABOUT | MOMENTS_NUMBER)
FINISH(nanstd_about, MOMENTS_ABOUT | MOMENTS_NUMBER | MOMENTS_ROOT)

#define MOMENTS_ROW(OPERATION, VALUES, ELEMENT, ACCUMULATE)                                        \
    {                                                                                              \
        .operation = #OPERATION,                                                                   \
        .element = ELEMENT,                                                                        \
        .results = FLOATS,                                                                         \
        .values = VALUES,                                                                          \
        .takes_result = VALUES > 1,                                                                \
        .ordered = 1,                                                                              \
        .state_size = sizeof(moments_long),                                                        \
        .identity = identity_moments,                                                              \
        .accumulate = ACCUMULATE,                                                                  \
        .combine = combine_moments,                                                                \
        .finish = finish_##OPERATION,                                                              \
        .valid = valid_moments,                                                                    \
        .clear_padding = clear_moments_padding,                                                    \
    }
#define MOMENTS_ROWS(ELEMENT, ACCUMULATE)                                                          \
    MOMENTS_ROW(var, 1, ELEMENT, ACCUMULATE), MOMENTS_ROW(std, 1, ELEMENT, ACCUMULATE),            \
        MOMENTS_ROW(nanvar, 1, ELEMENT, ACCUMULATE), MOMENTS_ROW(nanstd, 1, ELEMENT, ACCUMULATE),  \
        MOMENTS_ROW(var_about, 2, ELEMENT, ACCUMULATE),                                            \
        MOMENTS_ROW(std_about, 2, ELEMENT, ACCUMULATE),                                            \
        MOMENTS_ROW(nanvar_about, 2, ELEMENT, ACCUMULATE),                                         \
        MOMENTS_ROW(nanstd_about, 2, ELEMENT, ACCUMULATE),                                         \
    {                                                                                              \
        .operation = "norm2", .element = ELEMENT, .results = FLOATS, .ordered = 1,                 \
        .state_size = sizeof(moments_long), .identity = identity_moments,                          \
        .accumulate = ACCUMULATE, .combine = combine_moments, .finish = finish_norm,               \
        .valid = valid_moments, .clear_padding = clear_moments_padding,                            \
    }
#define DOT_ROW(OPERATION, ELEMENT, RESULTS, ACCUMULATE, FINISH)                                   \
    {                                                                                              \
        .operation = OPERATION,                                                                    \
        .element = ELEMENT,                                                                        \
        .results = RESULTS,                                                                        \
        .ordered = 1,                                                                              \
        .state_size = sizeof(dot_state),                                                           \
        .identity = identity_dot,                                                                  \
        .accumulate_pairs = ACCUMULATE,                                                            \
        .combine = combine_dot,                                                                    \
        .finish = FINISH,                                                                          \
        .valid = valid_dot,                                                                        \
        .clear_padding = clear_dot_padding,                                                        \
    }
#define COMPLEX_RESULTS (BIT(PARSUM_COMPLEX64) | BIT(PARSUM_COMPLEX128) | BIT(PARSUM_CLONGDOUBLE))

const parsum_reduction parsum_long_products[] = {
    DOT_ROW("dot", PARSUM_LONGDOUBLE, FLOATS, accumulate_dot, finish_dot),
    DOT_ROW("vdot", PARSUM_LONGDOUBLE, FLOATS, accumulate_dot, finish_dot),
    DOT_ROW("dot", PARSUM_CLONGDOUBLE, COMPLEX_RESULTS, accumulate_complex_dot, finish_complex_dot),
    DOT_ROW("vdot", PARSUM_CLONGDOUBLE, COMPLEX_RESULTS, accumulate_complex_vdot,
            finish_complex_dot),
    MOMENTS_ROWS(PARSUM_LONGDOUBLE, accumulate_real),
    MOMENTS_ROWS(PARSUM_CLONGDOUBLE, accumulate_pairs_of_parts),
    {.operation = NULL},
};
