/* Exact sums of products of integers: dot products, weighted means, and the variances, deviations
 * and 2-norms of integers and bools. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "exact.h"
#include "kernels.h"
#include "moments.h"
#include "rational.h"
#include "reductions.h"
#include "weighted.h"

/* Two's complement, the least significant word first: 2^63 products of 64-bit integers are below
 * 2^191. */
typedef struct {
    uint64_t word[3];
} wide_integer;

static void add_three_words(wide_integer *sum, uint64_t low, uint64_t middle, uint64_t high)
{
    uint128 part = (uint128)sum->word[0] + low;
    sum->word[0] = (uint64_t)part;
    part = (uint128)sum->word[1] + middle + (uint64_t)(part >> 64);
    sum->word[1] = (uint64_t)part;
    sum->word[2] += high + (uint64_t)(part >> 64);
}

static void exact_value(const wide_integer *sum, big *out)
{
    int64_t limbs[6];
    for (int k = 0; k < 6; k++)
        limbs[k] = (int64_t)(sum->word[k / 2] >> (k % 2 ? 32 : 0) & 0xffffffff);
    limbs[5] -= limbs[5] >> 31 << 32; /* the sign */
    big_from_limbs(limbs, 6, 0, out);
}

static int128 joined(int64_t low, int64_t high)
{
    return (int128)low + (int128)((uint128)(int128)high << 32);
}

/* ---- runs and columns, of one array (b == a) or two ---- */

/* What the functions below need to know of an element type. */
typedef struct {
    const integer_product_kernels *products;
    const integer_kernels *sums;
    size_t size;
} integer_type;

static const char *packed(const char *data, size_t n, ptrdiff_t stride, size_t size, void *out)
{
    if (stride == (ptrdiff_t)size && (uintptr_t)data % size == 0)
        return data;
    char *to = out;
    for (size_t i = 0; i < n; i++, to += size, data += stride)
        memcpy(to, data, size);
    return out;
}

/* Adds the products of the elements, and the elements of a to `total` unless that is NULL. */
static void take_run(const integer_type *type, const char *a, const char *b, size_t n,
                     ptrdiff_t a_stride, ptrdiff_t b_stride, wide_integer *sum, int128 *total)
{
    uint64_t x[BLOCK], y[BLOCK];
    const int same = a == b && a_stride == b_stride;
    while (n) {
        const size_t count = n < BLOCK ? n : BLOCK;
        const char *p = packed(a, count, a_stride, type->size, x);
        const char *q = same ? p : packed(b, count, b_stride, type->size, y);
        type->products->dot(p, q, count, sum->word);
        if (total) {
            int64_t low = 0, high = 0;
            type->sums->sum(p, count, &low, &high);
            *total += joined(low, high);
        }
        a += (ptrdiff_t)count * a_stride;
        b += (ptrdiff_t)count * b_stride;
        n -= count;
    }
}

/* Rows of one call of a kernel: the halves of their sums stay below 2^63. */
#define COLUMN_ROWS ((size_t)1 << 30)

/* Adds column j to the wide_integer at `offset` in state j. */
static void take_columns(const integer_type *type, const char *a, const char *b, size_t rows,
                         ptrdiff_t a_stride, ptrdiff_t b_stride, size_t columns, char *states,
                         size_t state_size, size_t offset)
{
    uint64_t sums[TILE][3];
    memset(sums, 0, columns * sizeof *sums);
    while (rows) {
        const size_t count = rows < COLUMN_ROWS ? rows : COLUMN_ROWS;
        type->products->columns(a, b, count, a_stride, b_stride, columns, sums);
        a += (ptrdiff_t)count * a_stride;
        b += (ptrdiff_t)count * b_stride;
        rows -= count;
    }
    for (size_t j = 0; j < columns; j++)
        add_three_words((wide_integer *)(void *)(states + j * state_size + offset), sums[j][0],
                        sums[j][1], sums[j][2]);
}

/* ---- dot products ---- */

static void identity_dot(void *state, double parameter)
{
    (void)parameter;
    memset(state, 0, sizeof(wide_integer));
}

static void combine_dot(void *state, const void *other)
{
    const wide_integer *more = other;
    add_three_words(state, more->word[0], more->word[1], more->word[2]);
}

/* Writes the low bits; says whether they are all of it. */
static int finish_dot(const void *state, int type, void *result)
{
    const wide_integer *sum = state;
    const uint64_t low = sum->word[0];
    const int128 value = (int128)((uint128)sum->word[1] << 64 | low);
    const uint64_t extension = value < 0 ? UINT64_MAX : 0;
    if (type == PARSUM_BOOL) {
        const uint8_t truth = (low | sum->word[1] | sum->word[2]) != 0;
        memcpy(result, &truth, sizeof truth);
        return 0;
    }
    return parsum_store_integer(value, type, result) |
           (sum->word[2] != extension ? PARSUM_OVERFLOW : 0);
}

/* ---- variances, deviations and norms ---- */

typedef struct {
    uint64_t count;
    double ddof;
    wide_integer squares;
    uint64_t sum[2]; /* of the elements: two's complement */
} integer_moments;

static int128 sum_of(const integer_moments *moments)
{
    return (int128)((uint128)moments->sum[1] << 64 | moments->sum[0]);
}

static void add_to_sum(integer_moments *moments, int128 value)
{
    const uint128 sum = (uint128)sum_of(moments) + (uint128)value;
    moments->sum[0] = (uint64_t)sum;
    moments->sum[1] = (uint64_t)(sum >> 64);
}

static void identity_moments(void *state, double parameter)
{
    integer_moments *moments = state;
    memset(moments, 0, sizeof *moments);
    moments->ddof = parameter;
}

static void combine_moments(void *state, const void *other)
{
    integer_moments *moments = state;
    const integer_moments *more = other;
    moments->count += more->count;
    combine_dot(&moments->squares, &more->squares);
    add_to_sum(moments, sum_of(more));
}

static int finish_moments(const integer_moments *moments, int what, int type, void *result)
{
    const int128 total = sum_of(moments);
    big sum, squares;
    if (parsum_is_simple(moments->count, moments->ddof, what, type)) {
        /* Below 2^32 * 2^32 * 2^128. */
        const uint64_t *word = moments->squares.word;
        const wide all = {{word[0], word[1], word[2], 0}};
        const wide square = wide_square(total < 0 ? -(uint128)total : (uint128)total);
        wide numerator = {{0}};
        wide_add_product(&numerator, &all, moments->count);
        wide_subtract(&numerator, &square);
        return parsum_finish_wide_moments(&numerator, 0, moments->count, moments->ddof, what, type,
                                          result);
    }
    big_from_int128(total, 0, &sum);
    exact_value(&moments->squares, &squares);
    return parsum_finish_moments(&sum, NULL, &squares, moments->count, moments->ddof, what, type,
                                 result);
}

#define FINISH(OPERATION, WHAT)                                                                    \
    static int finish_##OPERATION(const void *state, int type, void *result)                       \
    {                                                                                              \
        return finish_moments(state, WHAT, type, result);                                          \
    }

FINISH(var, 0)
FINISH(std, MOMENTS_ROOT)
FINISH(nanvar, MOMENTS_NUMBER)
FINISH(nanstd, MOMENTS_NUMBER | MOMENTS_ROOT)
FINISH(var_about, MOMENTS_ABOUT)
FINISH(std_about, MOMENTS_ABOUT | MOMENTS_ROOT)
FINISH(nanvar_about, MOMENTS_ABOUT | MOMENTS_NUMBER)
FINISH(nanstd_about, MOMENTS_ABOUT | MOMENTS_NUMBER | MOMENTS_ROOT)

/* Of weighted elements, the squares are their products with the weights, and the sum is that of the
 * weights. */
static int finish_weighted_mean(const void *state, int type, void *result)
{
    const integer_moments *moments = state;
    big products, weights;
    exact_value(&moments->squares, &products);
    big_from_int128(sum_of(moments), 0, &weights);
    return parsum_finish_weighted(&products, &weights, type, result);
}

static int finish_norm(const void *state, int type, void *result)
{
    const wide_integer *sum = state;
    big one, squares;
    if (type != PARSUM_LONGDOUBLE) {
        const wide all = {{sum->word[0], sum->word[1], sum->word[2], 0}};
        return wide_round_quotient(&all, 1, 0, 1, type, result);
    }
    big_from_uint64(1, &one);
    exact_value(state, &squares);
    return big_round_root(&squares, &one, type, result);
}

/* ---- the table ---- */

#define INTEGER_FUNCTIONS(NAME, TYPE)                                                              \
    static integer_type type_##NAME(void)                                                          \
    {                                                                                              \
        const kernel_table *table = parsum_kernels();                                              \
        return (integer_type){&table->products_##NAME, &table->NAME, sizeof(TYPE)};                \
    }                                                                                              \
    static void accumulate_dot_##NAME(void *state, const void *a, const void *b, size_t n,         \
                                      ptrdiff_t a_stride, ptrdiff_t b_stride)                      \
    {                                                                                              \
        const integer_type type = type_##NAME();                                                   \
        take_run(&type, a, b, n, a_stride, b_stride, state, NULL);                                 \
    }                                                                                              \
    static void accumulate_dot_columns_##NAME(void *states, const void *a, const void *b,          \
                                              size_t rows, ptrdiff_t a_stride, ptrdiff_t b_stride, \
                                              size_t columns)                                      \
    {                                                                                              \
        const integer_type type = type_##NAME();                                                   \
        take_columns(&type, a, b, rows, a_stride, b_stride, columns, states, sizeof(wide_integer), \
                     0);                                                                           \
    }                                                                                              \
    static void accumulate_norm_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)  \
    {                                                                                              \
        const integer_type type = type_##NAME();                                                   \
        take_run(&type, data, data, n, stride, stride, state, NULL);                               \
    }                                                                                              \
    static void accumulate_norm_columns_##NAME(void *states, const void *data, size_t rows,        \
                                               ptrdiff_t row_stride, size_t columns)               \
    {                                                                                              \
        accumulate_dot_columns_##NAME(states, data, data, rows, row_stride, row_stride, columns);  \
    }                                                                                              \
    static void accumulate_weighted_##NAME(void *state, const void *a, const void *b, size_t n,    \
                                           ptrdiff_t a_stride, ptrdiff_t b_stride)                 \
    {                                                                                              \
        const integer_type type = type_##NAME();                                                   \
        integer_moments *moments = state;                                                          \
        int128 total = 0;                                                                          \
        take_run(&type, b, a, n, b_stride, a_stride, &moments->squares, &total);                   \
        add_to_sum(moments, total);                                                                \
        moments->count += n;                                                                       \
    }                                                                                              \
    static void accumulate_weighted_columns_##NAME(void *states, const void *a, const void *b,     \
                                                   size_t rows, ptrdiff_t a_stride,                \
                                                   ptrdiff_t b_stride, size_t columns)             \
    {                                                                                              \
        const integer_type type = type_##NAME();                                                   \
        int64_t low[TILE] = {0}, high[TILE] = {0};                                                 \
        integer_moments *moments = states;                                                         \
        take_columns(&type, a, b, rows, a_stride, b_stride, columns, states,                       \
                     sizeof(integer_moments), offsetof(integer_moments, squares));                 \
        type.sums->columns(b, rows, b_stride, columns, low, high);                                 \
        for (size_t j = 0; j < columns; j++) {                                                     \
            add_to_sum(&moments[j], joined(low[j], high[j]));                                      \
            moments[j].count += rows;                                                              \
        }                                                                                          \
    }                                                                                              \
    static void accumulate_moments_##NAME(void *state, const void *data, size_t n,                 \
                                          ptrdiff_t stride)                                        \
    {                                                                                              \
        accumulate_weighted_##NAME(state, data, data, n, stride, stride);                          \
    }                                                                                              \
    static void accumulate_moments_columns_##NAME(void *states, const void *data, size_t rows,     \
                                                  ptrdiff_t row_stride, size_t columns)            \
    {                                                                                              \
        accumulate_weighted_columns_##NAME(states, data, data, rows, row_stride, row_stride,       \
                                           columns);                                               \
    }

INTEGER_FUNCTIONS(boolean, uint8_t)
INTEGER_FUNCTIONS(i8, int8_t)
INTEGER_FUNCTIONS(u8, uint8_t)
INTEGER_FUNCTIONS(i16, int16_t)
INTEGER_FUNCTIONS(u16, uint16_t)
INTEGER_FUNCTIONS(i32, int32_t)
INTEGER_FUNCTIONS(u32, uint32_t)
INTEGER_FUNCTIONS(i64, int64_t)
INTEGER_FUNCTIONS(u64, uint64_t)

#define DOT_ROW(OPERATION, NAME, ELEMENT_TYPE)                                                     \
    {                                                                                              \
        .operation = OPERATION,                                                                    \
        .element = ELEMENT_TYPE,                                                                   \
        .results = INTEGERS,                                                                       \
        .state_size = sizeof(wide_integer),                                                        \
        .identity = identity_dot,                                                                  \
        .accumulate_pairs = accumulate_dot_##NAME,                                                 \
        .accumulate_pair_columns = accumulate_dot_columns_##NAME,                                  \
        .combine = combine_dot,                                                                    \
        .finish = finish_dot,                                                                      \
    }
#define MOMENTS_ROW(OPERATION, VALUES, NAME, ELEMENT_TYPE)                                         \
    {                                                                                              \
        .operation = #OPERATION,                                                                   \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .values = VALUES,                                                                          \
        .takes_result = VALUES > 1,                                                                \
        .state_size = sizeof(integer_moments),                                                     \
        .identity = identity_moments,                                                              \
        .accumulate = accumulate_moments_##NAME,                                                   \
        .accumulate_columns = accumulate_moments_columns_##NAME,                                   \
        .combine = combine_moments,                                                                \
        .finish = finish_##OPERATION,                                                              \
    }
#define WEIGHTED_ROW(NAME, ELEMENT_TYPE)                                                           \
    {                                                                                              \
        .operation = "weighted_mean",                                                              \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .values = 2,                                                                               \
        .state_size = sizeof(integer_moments),                                                     \
        .identity = identity_moments,                                                              \
        .accumulate_pairs = accumulate_weighted_##NAME,                                            \
        .accumulate_pair_columns = accumulate_weighted_columns_##NAME,                             \
        .combine = combine_moments,                                                                \
        .finish = finish_weighted_mean,                                                            \
    }
#define NORM_ROW(NAME, ELEMENT_TYPE)                                                               \
    {                                                                                              \
        .operation = "norm2",                                                                      \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .state_size = sizeof(wide_integer),                                                        \
        .identity = identity_dot,                                                                  \
        .accumulate = accumulate_norm_##NAME,                                                      \
        .accumulate_columns = accumulate_norm_columns_##NAME,                                      \
        .combine = combine_dot,                                                                    \
        .finish = finish_norm,                                                                     \
    }
#define ROWS(NAME, ELEMENT_TYPE)                                                                   \
    DOT_ROW("dot", NAME, ELEMENT_TYPE), DOT_ROW("vdot", NAME, ELEMENT_TYPE),                       \
        MOMENTS_ROW(var, 1, NAME, ELEMENT_TYPE), MOMENTS_ROW(std, 1, NAME, ELEMENT_TYPE),          \
        MOMENTS_ROW(nanvar, 1, NAME, ELEMENT_TYPE), MOMENTS_ROW(nanstd, 1, NAME, ELEMENT_TYPE),    \
        MOMENTS_ROW(var_about, 2, NAME, ELEMENT_TYPE),                                             \
        MOMENTS_ROW(std_about, 2, NAME, ELEMENT_TYPE),                                             \
        MOMENTS_ROW(nanvar_about, 2, NAME, ELEMENT_TYPE),                                          \
        MOMENTS_ROW(nanstd_about, 2, NAME, ELEMENT_TYPE), WEIGHTED_ROW(NAME, ELEMENT_TYPE),        \
        NORM_ROW(NAME, ELEMENT_TYPE)

const parsum_reduction parsum_integer_products[] = {
    ROWS(boolean, PARSUM_BOOL), ROWS(i8, PARSUM_INT8),    ROWS(u8, PARSUM_UINT8),
    ROWS(i16, PARSUM_INT16),    ROWS(u16, PARSUM_UINT16), ROWS(i32, PARSUM_INT32),
    ROWS(u32, PARSUM_UINT32),   ROWS(i64, PARSUM_INT64),  ROWS(u64, PARSUM_UINT64),
    {.operation = NULL},
};
