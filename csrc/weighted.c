/* Weighted means of floats and complex numbers: the exact sum of products with the weights, over
 * the exact sum of the weights, rounded once. (Those of integers are in integer_products.c.) */
#include "weighted.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "exact.h"
#include "kernels.h"
#include "moments_state.h"
#include "reductions.h"

/* A state is that of a dot product, then that of a sum: for each part of a number one product_sum,
 * and one exact_state. */
#define STATE_SIZE(PARTS) ((PARTS) * (sizeof(product_sum) + sizeof(exact_state)))

/* The monoids that this one is made of. */
typedef struct {
    const parsum_reduction *dot;
    const parsum_reduction *sum;
    const parsum_reduction *sum_of_parts; /* the same for real numbers */
    int element, parts;
} weighted_type;

/* The row of an operation that a table is known to have. */
static const parsum_reduction *row_in(const parsum_reduction *table, const char *operation,
                                      int element)
{
    while (table->element != element || strcmp(table->operation, operation) != 0 ||
           (table->method && strcmp(table->method, "exact") != 0))
        table++;
    return table;
}

static weighted_type type_of(int element)
{
    const int part = element == PARSUM_COMPLEX64    ? PARSUM_FLOAT32
                     : element == PARSUM_COMPLEX128 ? PARSUM_FLOAT64
                                                    : element;
    const parsum_reduction *real = row_in(parsum_sums, "sum", part);
    return (weighted_type){
        .dot = row_in(parsum_products, "dot", element),
        .sum = part == element ? real : row_in(parsum_pairs, "sum", element),
        .sum_of_parts = real,
        .element = element,
        .parts = part == element ? 1 : 2,
    };
}

static exact_state *weights_of(void *state, int parts)
{
    return (exact_state *)(void *)((product_sum *)state + parts);
}

static const exact_state *known_weights(const void *state, int parts)
{
    return (const exact_state *)(const void *)((const product_sum *)state + parts);
}

static void begin(int element, void *state, double parameter, int again)
{
    const weighted_type type = type_of(element);
    (again ? type.dot->restart : type.dot->identity)(state, parameter);
    for (int j = 0; j < type.parts; j++)
        (again ? parsum_exact_restart : parsum_exact_identity)(&weights_of(state, type.parts)[j]);
}

/* Elements of a run whose products are taken in before their weights are, from cache. */
#define RUN ((size_t)8 * BLOCK)

static void accumulate(int element, void *state, const char *a, const char *b, size_t n,
                       ptrdiff_t a_stride, ptrdiff_t b_stride)
{
    const weighted_type type = type_of(element);
    while (n) {
        const size_t count = n < RUN ? n : RUN;
        type.dot->accumulate_pairs(state, a, b, count, a_stride, b_stride);
        type.sum->accumulate(weights_of(state, type.parts), b, count, b_stride);
        a += (ptrdiff_t)count * a_stride;
        b += (ptrdiff_t)count * b_stride;
        n -= count;
    }
}

/* Columns whose weights are summed on the stack before they join the states, which do not lie side
 * by side as sums' own do. They take the states' windows over, so that they join without limbs. */
#define COLUMNS 64

static void accumulate_columns(int element, char *states, const char *a, const char *b, size_t rows,
                               ptrdiff_t a_stride, ptrdiff_t b_stride, size_t columns)
{
    const weighted_type type = type_of(element);
    const size_t parts = (size_t)type.parts, size = STATE_SIZE(parts);
    exact_state sums[2 * COLUMNS];
    parsum_dot_columns(element, states, size, a, b, rows, a_stride, b_stride, columns);
    while (columns) {
        const size_t count = columns < COLUMNS ? columns : COLUMNS;
        for (size_t k = 0; k < parts * count; k++) {
            parsum_exact_identity(&sums[k]);
            sums[k].window = weights_of(states + k / parts * size, type.parts)[k % parts].window;
        }
        type.sum_of_parts->accumulate_columns(sums, b, rows, b_stride, parts * count);
        for (size_t k = 0; k < parts * count; k++)
            parsum_exact_combine(&weights_of(states + k / parts * size, type.parts)[k % parts],
                                 &sums[k]);
        states += count * size;
        b += count * parsum_type_size[element];
        columns -= count;
    }
}

static void combine(int element, void *state, const void *other)
{
    const weighted_type type = type_of(element);
    type.dot->combine(state, other);
    for (int j = 0; j < type.parts; j++)
        parsum_exact_combine(&weights_of(state, type.parts)[j],
                             &known_weights(other, type.parts)[j]);
}

static int valid(int element, const void *state)
{
    const weighted_type type = type_of(element);
    int valid = parsum_state_valid(type.dot, state);
    for (int j = 0; j < type.parts; j++)
        valid &= parsum_exact_valid(&known_weights(state, type.parts)[j]);
    return valid;
}

/* ---- finishing ---- */

int parsum_finish_weighted(const big *products, const big *weights, int type, void *result)
{
    const int flags = big_round(weights, type, (char *)result + parsum_type_size[type]);
    if (big_is_zero(weights)) {
        parsum_store(type, (double)NAN, result);
        return PARSUM_DIVIDE;
    }
    return flags | big_round_quotient(products, weights, type, result);
}

/* A sum: a number, or what special values made of it. */
typedef struct {
    int special;
    double value; /* if special: NaN or an infinity */
    big number;   /* else */
} sum_value;

static int value_of_products(const product_sum *sum, sum_value *out)
{
    out->special = sum->nan || sum->invalid || sum->plus_infinity || sum->minus_infinity;
    if (out->special)
        return row_in(parsum_products, "dot", PARSUM_FLOAT64)
            ->finish(sum, PARSUM_FLOAT64, &out->value);
    parsum_products_value(sum, &out->number);
    return 0;
}

static int value_of_weights(const exact_state *sum, sum_value *out)
{
    out->special = sum->nan || sum->plus_infinity || sum->minus_infinity;
    if (out->special)
        return parsum_exact_finish(sum, PARSUM_FLOAT64, &out->value);
    big_from_exact(sum, &out->number);
    return 0;
}

/* Of a number beside special values no more matters than its sign and whether it is zero. */
static double as_double(const sum_value *sum)
{
    double value = sum->value;
    if (!sum->special)
        big_round(&sum->number, PARSUM_FLOAT64, &value);
    return sum->special || !isinf(value) ? value : copysign(DBL_MAX, value);
}

static int is_zero(const sum_value *sum)
{
    return !sum->special && big_is_zero(&sum->number);
}

static int finish_real(const void *state, int type, void *result)
{
    const exact_state *sum = known_weights(state, 1);
    sum_value products, weights;
    int flags = value_of_products(state, &products) | value_of_weights(sum, &weights);
    if (!products.special && !weights.special)
        return parsum_finish_weighted(&products.number, &weights.number, type, result);
    flags |= parsum_exact_finish(sum, type, (char *)result + parsum_type_size[type]);
    const double a = as_double(&products), b = as_double(&weights), mean = a / b;
    if (is_zero(&weights)) {
        parsum_store(type, (double)NAN, result);
        return PARSUM_DIVIDE;
    }
    parsum_store(type, mean, result);
    return flags | (isnan(mean) && !isnan(a) && !isnan(b) ? PARSUM_INVALID : 0);
}

/* a * b + sign * c * d */
static void two_products(const big *a, const big *b, int sign, const big *c, const big *d, big *out)
{
    big first, second;
    big_multiply(a, b, &first);
    big_multiply(c, d, &second);
    if (sign < 0)
        big_subtract(&first, &second, out);
    else
        big_add(&first, &second, out);
}

/* products / weights = products * conj(weights) / |weights|^2 */
static int exact_quotient(const sum_value *products, const sum_value *weights, int part,
                          char *result)
{
    const big *x = &products[0].number, *y = &products[1].number;
    const big *u = &weights[0].number, *v = &weights[1].number;
    big numerator, square;
    two_products(u, u, 1, v, v, &square);
    two_products(x, u, 1, y, v, &numerator);
    int flags = big_round_quotient(&numerator, &square, part, result);
    two_products(y, u, -1, x, v, &numerator);
    return flags | big_round_quotient(&numerator, &square, part, result + parsum_type_size[part]);
}

/* As NumPy divides complex numbers (Smith, "Algorithm 116: Complex division", 1962), so that
 * special values end up in the same places. */
static int special_quotient(const sum_value *products, const sum_value *weights, int part,
                            char *result)
{
    const double x = as_double(&products[0]), y = as_double(&products[1]);
    const double u = as_double(&weights[0]), v = as_double(&weights[1]);
    double real, imaginary;
    if (fabs(u) >= fabs(v)) {
        const double ratio = v / u, scale = 1 / (u + v * ratio);
        real = (x + y * ratio) * scale;
        imaginary = (y - x * ratio) * scale;
    } else {
        const double ratio = u / v, scale = 1 / (u * ratio + v);
        real = (x * ratio + y) * scale;
        imaginary = (y * ratio - x) * scale;
    }
    parsum_store(part, real, result);
    parsum_store(part, imaginary, result + parsum_type_size[part]);
    const int given = isnan(x) || isnan(y) || isnan(u) || isnan(v);
    return (isnan(real) || isnan(imaginary)) && !given ? PARSUM_INVALID : 0;
}

static int finish_complex(const void *state, int type, void *result)
{
    const int part = type == PARSUM_COMPLEX64    ? PARSUM_FLOAT32
                     : type == PARSUM_COMPLEX128 ? PARSUM_FLOAT64
                                                 : PARSUM_LONGDOUBLE;
    const size_t size = parsum_type_size[part];
    const exact_state *sums = known_weights(state, 2);
    sum_value products[2], weights[2];
    char *mean = result;
    int flags = 0, special = 0;
    for (int j = 0; j < 2; j++) {
        flags |= value_of_products((const product_sum *)state + j, &products[j]);
        flags |= value_of_weights(&sums[j], &weights[j]);
        flags |= parsum_exact_finish(&sums[j], part, mean + (size_t)(2 + j) * size);
        special |= products[j].special || weights[j].special;
    }
    if (is_zero(&weights[0]) && is_zero(&weights[1])) {
        for (int j = 0; j < 2; j++)
            parsum_store(part, (double)NAN, mean + (size_t)j * size);
        return PARSUM_DIVIDE;
    }
    return flags | (special ? special_quotient : exact_quotient)(products, weights, part, mean);
}

/* ---- the table ---- */

#define WEIGHTED(NAME, ELEMENT)                                                                    \
    static void identity_##NAME(void *state, double parameter)                                     \
    {                                                                                              \
        begin(ELEMENT, state, parameter, 0);                                                       \
    }                                                                                              \
    static void restart_##NAME(void *state, double parameter)                                      \
    {                                                                                              \
        begin(ELEMENT, state, parameter, 1);                                                       \
    }                                                                                              \
    static void accumulate_##NAME(void *state, const void *a, const void *b, size_t n,             \
                                  ptrdiff_t a_stride, ptrdiff_t b_stride)                          \
    {                                                                                              \
        accumulate(ELEMENT, state, a, b, n, a_stride, b_stride);                                   \
    }                                                                                              \
    static void accumulate_columns_##NAME(void *states, const void *a, const void *b, size_t rows, \
                                          ptrdiff_t a_stride, ptrdiff_t b_stride, size_t columns)  \
    {                                                                                              \
        accumulate_columns(ELEMENT, states, a, b, rows, a_stride, b_stride, columns);              \
    }                                                                                              \
    static void combine_##NAME(void *state, const void *other)                                     \
    {                                                                                              \
        combine(ELEMENT, state, other);                                                            \
    }                                                                                              \
    static int valid_##NAME(const void *state)                                                     \
    {                                                                                              \
        return valid(ELEMENT, state);                                                              \
    }

WEIGHTED(f16, PARSUM_FLOAT16)
WEIGHTED(f32, PARSUM_FLOAT32)
WEIGHTED(f64, PARSUM_FLOAT64)
WEIGHTED(c64, PARSUM_COMPLEX64)
WEIGHTED(c128, PARSUM_COMPLEX128)

#define ROW(NAME, ELEMENT, PARTS, RESULTS, FINISH)                                                 \
    {                                                                                              \
        .operation = "weighted_mean",                                                              \
        .element = ELEMENT,                                                                        \
        .results = RESULTS,                                                                        \
        .values = 2,                                                                               \
        .state_size = STATE_SIZE(PARTS),                                                           \
        .identity = identity_##NAME,                                                               \
        .restart = restart_##NAME,                                                                 \
        .accumulate_pairs = accumulate_##NAME,                                                     \
        .accumulate_pair_columns = accumulate_columns_##NAME,                                      \
        .combine = combine_##NAME,                                                                 \
        .finish = FINISH,                                                                          \
        .valid = valid_##NAME,                                                                     \
    }

#define COMPLEX (BIT(PARSUM_COMPLEX64) | BIT(PARSUM_COMPLEX128) | BIT(PARSUM_CLONGDOUBLE))

const parsum_reduction parsum_weighted_means[] = {
    ROW(f16, PARSUM_FLOAT16, 1, FLOATS, finish_real),
    ROW(f32, PARSUM_FLOAT32, 1, FLOATS, finish_real),
    ROW(f64, PARSUM_FLOAT64, 1, FLOATS, finish_real),
    ROW(c64, PARSUM_COMPLEX64, 2, COMPLEX, finish_complex),
    ROW(c128, PARSUM_COMPLEX128, 2, COMPLEX, finish_complex),
    {.operation = NULL},
};
