/* The products of floats, in two parts and with the exponent apart. */
#include "prod.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "reductions.h"

/* ---- floats ----
 *
 * (high + low) * 2^exponent, with high in [1, 2) or (-2, -1] and |low| at most half an ulp of it.
 *
 * The bound, with u = 2^-53. A lane multiplies at most 32 elements before it is made normal: its
 * relative error is below 2 * 32^2 u^2 = 2^-95 (Graillat 2009, theorem 3.2: gamma_n gamma_2n), and
 * so n elements' below (n / 32 + 1) 2^-95 for what lanes do. Each join, in a leaf or of leaves,
 * adds below 16 * 8 u^2 = 2^-99, as the lows are below 16 u: at most n joins. So
 *
 *     |result - product| <= (2^-53 + n 2^-98) |product|
 *
 * for a float64 result in its normal range, and u is that of the result otherwise (or half its
 * least subnormal): it is rounded once. */

typedef struct {
    double high, low;
    int64_t exponent;
    int32_t met;
    int32_t unused;
} product_state;

static void identity_product(void *state, double parameter)
{
    (void)parameter;
    *(product_state *)state = (product_state){1.0, 0.0, 0, 0, 0};
}

/* high + low, both finite and high normal, as a state. */
static product_state normalised(double high, double low, int64_t exponent, int met)
{
    const double sum = high + low;
    const int field = (int)(bits_of(sum) >> 52 & 0x7ff);
    const double scale = double_of((uint64_t)(2046 - field) << 52);
    return (product_state){sum * scale, (low - (sum - high)) * scale, exponent + field - 1023, met,
                           0};
}

static void combine_product(void *state, const void *other)
{
    product_state *a = state;
    const product_state *b = other;
    if (a->high == 1.0 && a->low == 0.0) { /* above all an identity: the same, in less time */
        *a = (product_state){b->high, b->low, sum_of_exponents(a->exponent, b->exponent),
                             a->met | b->met, 0};
        return;
    }
    const double high = a->high * b->high;
    const double error = dekker_error(a->high, b->high, high);
    *a = normalised(high, error + (a->high * b->low + a->low * b->high),
                    sum_of_exponents(a->exponent, b->exponent), a->met | b->met);
}

static int valid_product(const void *state)
{
    const product_state *product = state;
    return fabs(product->high) >= 1 && fabs(product->high) < 2 && fabs(product->low) <= 0x1p-53 &&
           exponent_is_valid(product->exponent) && product->met >= 0 &&
           product->met <= (MET_ZERO | MET_INFINITY | MET_NAN);
}

/* Zero, infinity or NaN, which every type has. */
static void put_special(double value, int type, void *result)
{
    const float narrow = (float)value;
    const long double wide = value;
    uint16_t half = (uint16_t)((bits_of(value) >> 48 & 0x8000) | (isnan(value)   ? 0x7e00
                                                                  : isinf(value) ? 0x7c00
                                                                                 : 0));
    switch (type) {
    case PARSUM_FLOAT16:
        memcpy(result, &half, sizeof half);
        break;
    case PARSUM_FLOAT32:
        memcpy(result, &narrow, sizeof narrow);
        break;
    case PARSUM_LONGDOUBLE:
        memset(result, 0, sizeof wide);
        memcpy(result, &wide, sizeof wide);
        break;
    default:
        memcpy(result, &value, sizeof value);
    }
}

#define FAR 40000 /* an exponent that overflows or vanishes in every type */

/* Rounds a normalised product once. */
static int round_product(double high, double low, int64_t exponent, int type, void *result)
{
    if (type != PARSUM_LONGDOUBLE && exponent >= -NEAR && exponent < NEAR)
        return round_near(high, low, exponent, type, result);
    /* 118 bits before the point, and the last one set if there is more. */
    const double below = low * 0x1p118;
    int128 rest = (int128)below;
    if ((double)rest != below && !(rest & 1))
        rest += below > 0 ? 1 : -1;
    const int128 whole = (int128)(high * 0x1p52) * ((int128)1 << 66);
    exponent = exponent > FAR ? FAR : exponent < -FAR ? -FAR : exponent;
    return parsum_round_int128(whole + rest, (int)exponent - 118, type, result);
}

static int finish_product(const void *state, int type, void *result)
{
    const product_state *product = state;
    const double sign = product->high < 0 ? -1.0 : 1.0;
    const int met = product->met;
    if (!met)
        return round_product(product->high, product->low, product->exponent, type, result);
    if (met & MET_NAN || met == (MET_ZERO | MET_INFINITY)) {
        put_special((double)NAN, type, result);
        return met & MET_NAN ? 0 : PARSUM_INVALID;
    }
    put_special(sign * (met & MET_ZERO ? 0.0 : (double)INFINITY), type, result);
    return 0;
}

/* The products of columns of at most LEAF rows. */
typedef struct {
    double high[PROD_COLUMNS], low[PROD_COLUMNS];
    int64_t exponent[PROD_COLUMNS];
    int met[PROD_COLUMNS];
} leaf_products;

static void multiply_leaf(const prod_kernels *kernels, const char *data, size_t rows,
                          ptrdiff_t row_stride, size_t columns, leaf_products *out)
{
    for (int clean = 0; clean < 2; clean++)
        if (!kernels->columns(data, rows, row_stride, columns, clean, out->high, out->low,
                              out->exponent, out->met))
            return;
}

static product_state state_of(const leaf_products *leaf, size_t j)
{
    return normalised(leaf->high[j], leaf->low[j], leaf->exponent[j], leaf->met[j]);
}

/* The product of at most LEAF elements that follow each other, as number j. */
static void multiply_run(const prod_kernels *kernels, const char *data, size_t n,
                         leaf_products *out, size_t j)
{
    for (int clean = 0; clean < 2; clean++)
        if (!kernels->run(data, n, clean, &out->high[j], &out->low[j], &out->exponent[j],
                          &out->met[j]))
            return;
}

static void accumulate_product(product_state *state, const prod_kernels *kernels, size_t size,
                               const char *data, size_t n, ptrdiff_t stride)
{
    char gathered[LEAF * sizeof(double)];
    leaf_products leaf;
    while (n) {
        const size_t count = n < LEAF ? n : LEAF;
        const char *values = data;
        if (stride != (ptrdiff_t)size) {
            for (size_t i = 0; i < count; i++)
                memcpy(gathered + i * size, data + (ptrdiff_t)i * stride, size);
            values = gathered;
        }
        multiply_run(kernels, values, count, &leaf, 0);
        const product_state product = state_of(&leaf, 0);
        combine_product(state, &product);
        data += (ptrdiff_t)count * stride;
        n -= count;
    }
}

static void accumulate_prod_columns(product_state *states, const prod_kernels *kernels, size_t size,
                                    const char *data, size_t rows, ptrdiff_t row_stride,
                                    size_t columns)
{
    leaf_products leaf;
    for (; rows; rows -= rows < LEAF ? rows : LEAF, data += LEAF * row_stride) {
        const size_t count = rows < LEAF ? rows : LEAF;
        for (size_t first = 0; first < columns; first += PROD_COLUMNS) {
            const size_t some = columns - first < PROD_COLUMNS ? columns - first : PROD_COLUMNS;
            multiply_leaf(kernels, data + first * size, count, row_stride, some, &leaf);
            for (size_t j = 0; j < some; j++) {
                const product_state product = state_of(&leaf, j);
                combine_product(&states[first + j], &product);
            }
        }
    }
}

/* Rounds the products of columns. */
static int finish_leaf(const leaf_products *leaf, size_t columns, int type, char *result)
{
    const size_t size = parsum_type_size[type];
    int flags = parsum_kernels()->round_prods(leaf->high, leaf->low, leaf->exponent, leaf->met,
                                              columns, type, result);
    if (flags >= 0)
        return flags;
    flags = 0;
    for (size_t j = 0; j < columns; j++) {
        const product_state product = state_of(leaf, j);
        flags |= finish_product(&product, type, result + j * size);
    }
    return flags;
}

static int reduce_prod_columns(const prod_kernels *kernels, size_t size, const char *data,
                               size_t rows, ptrdiff_t row_stride, size_t columns, int type,
                               char *result)
{
    leaf_products leaf;
    int flags = 0;
    for (size_t first = 0; first < columns; first += PROD_COLUMNS) {
        const size_t some = columns - first < PROD_COLUMNS ? columns - first : PROD_COLUMNS;
        multiply_leaf(kernels, data + first * size, rows, row_stride, some, &leaf);
        flags |= finish_leaf(&leaf, some, type, result + first * parsum_type_size[type]);
    }
    return flags;
}

#define TURNED 32       /* elements of a row up to which rows are turned into columns */
#define TURNED_ROWS 128 /* so many at once: they stay in L1 */

static inline
    __attribute__((always_inline)) void turn(char *out, const char *data, size_t rows,
                                             ptrdiff_t row_stride, size_t n, const size_t size)
{
    for (size_t i = 0; i < n; i++, data += size)
        for (size_t r = 0; r < rows; r++, out += size)
            memcpy(out, data + (ptrdiff_t)r * row_stride, size);
}

static inline __attribute__((always_inline)) int
reduce_prod_rows(const prod_kernels *kernels, const size_t size, const char *data, size_t rows,
                 ptrdiff_t row_stride, size_t n, int type, char *result)
{
    char turned[TURNED * TURNED_ROWS * sizeof(double)];
    leaf_products leaf;
    int flags = 0;
    for (size_t first = 0; first < rows; first += TURNED_ROWS) {
        const size_t some = rows - first < TURNED_ROWS ? rows - first : TURNED_ROWS;
        if (n <= TURNED) {
            turn(turned, data, some, row_stride, n, size);
            multiply_leaf(kernels, turned, n, (ptrdiff_t)(some * size), some, &leaf);
        } else {
            for (size_t r = 0; r < some; r++)
                multiply_run(kernels, data + (ptrdiff_t)r * row_stride, n, &leaf, r);
        }
        flags |= finish_leaf(&leaf, some, type, result + first * parsum_type_size[type]);
        data += (ptrdiff_t)some * row_stride;
    }
    return flags;
}

#define FLOAT_PRODUCT(NAME, TYPE, SIZE)                                                            \
    static void accumulate_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)       \
    {                                                                                              \
        accumulate_product(state, &parsum_kernels()->prod_##TYPE, SIZE, data, n, stride);          \
    }                                                                                              \
    static void accumulate_columns_##NAME(void *states, const void *data, size_t rows,             \
                                          ptrdiff_t row_stride, size_t columns)                    \
    {                                                                                              \
        accumulate_prod_columns(states, &parsum_kernels()->prod_##TYPE, SIZE, data, rows,          \
                                row_stride, columns);                                              \
    }                                                                                              \
    static int reduce_columns_##NAME(const void *data, size_t rows, ptrdiff_t row_stride,          \
                                     size_t columns, double parameter, int type, char *result)     \
    {                                                                                              \
        (void)parameter;                                                                           \
        return reduce_prod_columns(&parsum_kernels()->prod_##TYPE, SIZE, data, rows, row_stride,   \
                                   columns, type, result);                                         \
    }                                                                                              \
    static int reduce_rows_##NAME(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,   \
                                  double parameter, int type, char *result)                        \
    {                                                                                              \
        (void)parameter;                                                                           \
        return reduce_prod_rows(&parsum_kernels()->prod_##TYPE, SIZE, data, rows, row_stride, n,   \
                                type, result);                                                     \
    }

FLOAT_PRODUCT(f16, f16, sizeof(uint16_t))
FLOAT_PRODUCT(f32, f32, sizeof(float))
FLOAT_PRODUCT(f64, f64, sizeof(double))

/* ---- elements that are brought to double first ----
 *
 * Integers on their way to a floating result, and narrow floats on theirs to a wider one. An
 * integer of 64 bits is value (1 + rest / value), where value has 53 bits. The product of the last
 * factors of a leaf is 1 + the sum of rest / value but for its square, below n^2 2^-106 = n 2^-96.
 */

typedef void widener(const char *data, size_t n, ptrdiff_t stride, double *out);

static void widen_f16(const char *data, size_t n, ptrdiff_t stride, double *out)
{
    uint16_t half;
    if (stride == (ptrdiff_t)sizeof half && (uintptr_t)data % sizeof half == 0) {
        parsum_kernels()->f16.widen(data, n, out);
        return;
    }
    for (; n; n--, data += stride) {
        memcpy(&half, data, sizeof half);
        parsum_kernels()->f16.widen(&half, 1, out++);
    }
}

#define WIDEN(NAME, TYPE, VALUE)                                                                   \
    static void widen_##NAME(const char *data, size_t n, ptrdiff_t stride, double *out)            \
    {                                                                                              \
        for (size_t i = 0; i < n; i++, data += stride) {                                           \
            TYPE value;                                                                            \
            memcpy(&value, data, sizeof value);                                                    \
            out[i] = (double)(VALUE);                                                              \
        }                                                                                          \
    }

WIDEN(f32, float, value)
WIDEN(boolean, uint8_t, value != 0)
WIDEN(i8, int8_t, value)
WIDEN(u8, uint8_t, value)
WIDEN(i16, int16_t, value)
WIDEN(u16, uint16_t, value)
WIDEN(i32, int32_t, value)
WIDEN(u32, uint32_t, value)
WIDEN(i64, int64_t, value)
WIDEN(u64, uint64_t, value)

/* The sum of rest / value. */
static double rests_i64(const char *data, size_t n, ptrdiff_t stride, const double *values)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++, data += stride) {
        int64_t value;
        memcpy(&value, data, sizeof value);
        if (fabs(values[i]) > 0x1p53)
            sum += (double)((int128)value - (int128)values[i]) / values[i];
    }
    return sum;
}

static double rests_u64(const char *data, size_t n, ptrdiff_t stride, const double *values)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++, data += stride) {
        uint64_t value;
        memcpy(&value, data, sizeof value);
        if (values[i] > 0x1p53)
            sum += (double)((int128)value - (int128)values[i]) / values[i];
    }
    return sum;
}

typedef double rests(const char *data, size_t n, ptrdiff_t stride, const double *values);

static void accumulate_widened(product_state *state, widener *widen, rests *rests_of,
                               const char *data, size_t n, ptrdiff_t stride)
{
    double values[LEAF];
    leaf_products leaf;
    while (n) {
        const size_t count = n < LEAF ? n : LEAF;
        widen(data, count, stride, values);
        multiply_run(&parsum_kernels()->prod_f64, (const char *)values, count, &leaf, 0);
        if (rests_of)
            leaf.low[0] += leaf.high[0] * rests_of(data, count, stride, values);
        const product_state product = state_of(&leaf, 0);
        combine_product(state, &product);
        data += (ptrdiff_t)count * stride;
        n -= count;
    }
}

#define WIDENED 8192 /* elements that are widened at a time: 64 KB */

/* Columns by the strip: as many of them as there is room for. */
static void accumulate_widened_columns(product_state *states, widener *widen, size_t size,
                                       const char *data, size_t rows, ptrdiff_t row_stride,
                                       size_t columns)
{
    double values[WIDENED];
    for (; rows; rows -= rows < LEAF ? rows : LEAF, data += LEAF * row_stride) {
        const size_t count = rows < LEAF ? rows : LEAF, most = WIDENED / count;
        for (size_t first = 0; first < columns; first += most) {
            const size_t some = columns - first < most ? columns - first : most;
            for (size_t r = 0; r < count; r++)
                widen(data + (ptrdiff_t)r * row_stride + (ptrdiff_t)(first * size), some,
                      (ptrdiff_t)size, values + r * some);
            accumulate_prod_columns(states + first, &parsum_kernels()->prod_f64, sizeof(double),
                                    (const char *)values, count, (ptrdiff_t)(some * sizeof(double)),
                                    some);
        }
    }
}

static int reduce_widened_columns(widener *widen, size_t size, const char *data, size_t rows,
                                  ptrdiff_t row_stride, size_t columns, int type, char *result)
{
    double values[WIDENED];
    const size_t most = WIDENED / rows;
    int flags = 0;
    for (size_t first = 0; first < columns; first += most) {
        const size_t some = columns - first < most ? columns - first : most;
        for (size_t r = 0; r < rows; r++)
            widen(data + (ptrdiff_t)r * row_stride + (ptrdiff_t)(first * size), some,
                  (ptrdiff_t)size, values + r * some);
        flags |= reduce_prod_columns(&parsum_kernels()->prod_f64, sizeof(double),
                                     (const char *)values, rows, (ptrdiff_t)(some * sizeof(double)),
                                     some, type, result + first * parsum_type_size[type]);
    }
    return flags;
}

static int reduce_widened_rows(widener *widen, size_t size, const char *data, size_t rows,
                               ptrdiff_t row_stride, size_t n, int type, char *result)
{
    double values[WIDENED];
    const size_t most = WIDENED / n;
    int flags = 0;
    for (size_t first = 0; first < rows; first += most) {
        const size_t some = rows - first < most ? rows - first : most;
        for (size_t r = 0; r < some; r++, data += row_stride)
            widen(data, n, (ptrdiff_t)size, values + r * n);
        flags |= reduce_prod_rows(&parsum_kernels()->prod_f64, sizeof(double), (const char *)values,
                                  some, (ptrdiff_t)(n * sizeof(double)), n, type,
                                  result + first * parsum_type_size[type]);
    }
    return flags;
}

#define WIDENED_PRODUCT(NAME, SIZE)                                                                \
    static void accumulate_wide_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)  \
    {                                                                                              \
        accumulate_widened(state, widen_##NAME, NULL, data, n, stride);                            \
    }                                                                                              \
    static void accumulate_columns_wide_##NAME(void *states, const void *data, size_t rows,        \
                                               ptrdiff_t row_stride, size_t columns)               \
    {                                                                                              \
        accumulate_widened_columns(states, widen_##NAME, SIZE, data, rows, row_stride, columns);   \
    }                                                                                              \
    static int reduce_columns_wide_##NAME(const void *data, size_t rows, ptrdiff_t row_stride,     \
                                          size_t columns, double parameter, int type,              \
                                          char *result)                                            \
    {                                                                                              \
        (void)parameter;                                                                           \
        return reduce_widened_columns(widen_##NAME, SIZE, data, rows, row_stride, columns, type,   \
                                      result);                                                     \
    }                                                                                              \
    static int reduce_rows_wide_##NAME(const void *data, size_t rows, ptrdiff_t row_stride,        \
                                       size_t n, double parameter, int type, char *result)         \
    {                                                                                              \
        (void)parameter;                                                                           \
        return reduce_widened_rows(widen_##NAME, SIZE, data, rows, row_stride, n, type, result);   \
    }

WIDENED_PRODUCT(f16, 2)
WIDENED_PRODUCT(f32, 4)
WIDENED_PRODUCT(boolean, 1)
WIDENED_PRODUCT(i8, 1)
WIDENED_PRODUCT(u8, 1)
WIDENED_PRODUCT(i16, 2)
WIDENED_PRODUCT(u16, 2)
WIDENED_PRODUCT(i32, 4)
WIDENED_PRODUCT(u32, 4)

static void accumulate_wide_i64(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    accumulate_widened(state, widen_i64, rests_i64, data, n, stride);
}

static void accumulate_wide_u64(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    accumulate_widened(state, widen_u64, rests_u64, data, n, stride);
}

/* ---- the table ---- */

#define NARROW (BIT(PARSUM_FLOAT16) | BIT(PARSUM_FLOAT32))
#define WIDE (BIT(PARSUM_FLOAT64) | BIT(PARSUM_LONGDOUBLE))

#define FLOAT_FUNCTIONS(NAME)                                                                      \
    .operation = "prod", .ordered = 1, .state_size = sizeof(product_state),                        \
    .identity = identity_product, .accumulate = accumulate_##NAME, .combine = combine_product,     \
    .finish = finish_product, .valid = valid_product
#define FLOAT_ROW(NAME, ELEMENT_TYPE, RESULTS)                                                     \
    {                                                                                              \
        .element = ELEMENT_TYPE,                                                                   \
        .results = RESULTS,                                                                        \
        FLOAT_FUNCTIONS(NAME),                                                                     \
        .accumulate_columns = accumulate_columns_##NAME,                                           \
        .reduce_columns = reduce_columns_##NAME,                                                   \
        .reduce_rows = reduce_rows_##NAME,                                                         \
    }

const parsum_reduction parsum_prods[] = {
    FLOAT_ROW(f16, PARSUM_FLOAT16, NARROW),
    FLOAT_ROW(f32, PARSUM_FLOAT32, NARROW),
    FLOAT_ROW(f64, PARSUM_FLOAT64, FLOATS),
    FLOAT_ROW(wide_f16, PARSUM_FLOAT16, WIDE),
    FLOAT_ROW(wide_f32, PARSUM_FLOAT32, WIDE),
    FLOAT_ROW(wide_boolean, PARSUM_BOOL, FLOATS),
    FLOAT_ROW(wide_i8, PARSUM_INT8, FLOATS),
    FLOAT_ROW(wide_u8, PARSUM_UINT8, FLOATS),
    FLOAT_ROW(wide_i16, PARSUM_INT16, FLOATS),
    FLOAT_ROW(wide_u16, PARSUM_UINT16, FLOATS),
    FLOAT_ROW(wide_i32, PARSUM_INT32, FLOATS),
    FLOAT_ROW(wide_u32, PARSUM_UINT32, FLOATS),
    {.element = PARSUM_INT64, .results = FLOATS, FLOAT_FUNCTIONS(wide_i64)},
    {.element = PARSUM_UINT64, .results = FLOATS, FLOAT_FUNCTIONS(wide_u64)},
    {.operation = NULL},
};
