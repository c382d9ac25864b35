/* The products of integers modulo 2^64, and whether they fit.
 *
 * Whether the product fits is to be told exactly, but once the nonzero elements' is beyond 64 bits
 * it stays so, unless a zero comes: its size is kept as long as it is below. At most 63 elements
 * are not -1, 0 or 1 by then, so what looks at one after the other is rarely called for. */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "reductions.h"

typedef struct {
    uint64_t product; /* of the nonzero elements, modulo 2^64 */
    uint64_t size;    /* its magnitude, 0 if that is not below 2^64 */
    uint32_t zero;
    uint32_t negative; /* while size is not 0 */
} integer_product;

static void identity_integer_product(void *state, double parameter)
{
    (void)parameter;
    *(integer_product *)state = (integer_product){1, 1, 0, 0};
}

static uint64_t multiply_sizes(uint64_t a, uint64_t b)
{
    uint64_t size;
    return __builtin_mul_overflow(a, b, &size) ? 0 : size;
}

static void combine_integer_product(void *state, const void *other)
{
    integer_product *a = state;
    const integer_product *b = other;
    a->product *= b->product;
    a->size = multiply_sizes(a->size, b->size);
    a->zero |= b->zero;
    a->negative ^= b->negative;
}

static int settled_integer_product(const void *state)
{
    return ((const integer_product *)state)->zero != 0;
}

static int valid_integer_product(const void *state)
{
    const integer_product *product = state;
    return product->zero <= 1 && product->negative <= 1;
}

static void multiply_integer(integer_product *state, uint64_t value, int negative)
{
    if (value == 0) {
        state->zero = 1;
        return;
    }
    state->product *= value;
    state->size = multiply_sizes(state->size, negative ? -value : value);
    state->negative ^= (uint32_t)negative;
}

/* Writes the low bits; says whether they are all of it. */
static int finish_integer_product(const void *state, int type, void *result)
{
    const integer_product *product = state;
    const uint64_t low = product->zero ? 0 : product->product;
    const uint8_t low8 = (uint8_t)low, truth = !product->zero;
    const uint16_t low16 = (uint16_t)low;
    const uint32_t low32 = (uint32_t)low;
    const int is_signed =
        type == PARSUM_INT8 || type == PARSUM_INT16 || type == PARSUM_INT32 || type == PARSUM_INT64;
    const int bits = 8 * (int)parsum_type_size[type];
    const void *source = type == PARSUM_BOOL ? (const void *)&truth
                         : bits == 8         ? (const void *)&low8
                         : bits == 16        ? (const void *)&low16
                         : bits == 32        ? (const void *)&low32
                                             : (const void *)&low;
    memcpy(result, source, (size_t)bits / 8);
    if (type == PARSUM_BOOL || product->zero)
        return 0;
    if (product->size == 0)
        return PARSUM_OVERFLOW;
    /* The largest magnitude of that sign. */
    uint64_t most = UINT64_MAX >> (64 - bits);
    if (is_signed)
        most = (most >> 1) + product->negative;
    else if (product->negative)
        most = 0;
    return product->size > most ? PARSUM_OVERFLOW : 0;
}

/* What the functions need to know of an element type. */
typedef struct {
    const prod_integer_kernels *kernels;
    const logic_kernels *logic;
    size_t size;
    void (*multiply)(integer_product *state, const char *data, size_t n, ptrdiff_t stride);
} integer_type;

#define INTEGER_TYPE(NAME, TYPE, BITS)                                                             \
    static void multiply_each_##NAME(integer_product *state, const char *data, size_t n,           \
                                     ptrdiff_t stride)                                             \
    {                                                                                              \
        for (; n && !state->zero; n--, data += stride) {                                           \
            TYPE value;                                                                            \
            memcpy(&value, data, sizeof value);                                                    \
            multiply_integer(state, (uint64_t)value, value < 1 && value != 0);                     \
        }                                                                                          \
    }                                                                                              \
    static integer_type type_##NAME(void)                                                          \
    {                                                                                              \
        return (integer_type){&parsum_kernels()->prod_##NAME, &parsum_kernels()->logic_##BITS,     \
                              sizeof(TYPE), multiply_each_##NAME};                                 \
    }

INTEGER_TYPE(i8, int8_t, 8)
INTEGER_TYPE(u8, uint8_t, 8)
INTEGER_TYPE(i16, int16_t, 16)
INTEGER_TYPE(u16, uint16_t, 16)
INTEGER_TYPE(i32, int32_t, 32)
INTEGER_TYPE(u32, uint32_t, 32)
INTEGER_TYPE(i64, int64_t, 64)
INTEGER_TYPE(u64, uint64_t, 64)

static int has_zero(const logic_kernels *kernels, const char *data, size_t n)
{
    static const uint64_t mask[2] = {UINT64_MAX, UINT64_MAX};
    return !kernels->all(data, n, mask);
}

#define FEW 16          /* elements that are not worth a kernel's call */
#define UNITS_BLOCK 512 /* elements looked at for others than -1, 0 and 1 */

static void accumulate_integers(integer_product *state, const integer_type *type, const char *data,
                                size_t n, ptrdiff_t stride)
{
    char gathered[BLOCK * sizeof(uint64_t)];
    const int in_place = stride == (ptrdiff_t)type->size;
    while (n && !state->zero) {
        const size_t most = state->size ? UNITS_BLOCK : BLOCK, count = n < most ? n : most;
        const char *values = data;
        if (!in_place && count > FEW) {
            for (size_t i = 0; i < count; i++)
                memcpy(gathered + i * type->size, data + (ptrdiff_t)i * stride, type->size);
            values = gathered;
        }
        int zero, negative;
        if (count <= FEW) {
            type->multiply(state, data, count, stride);
        } else if (!state->size) {
            state->zero = (uint32_t)has_zero(type->logic, values, count);
            if (state->product && !state->zero)
                state->product *= type->kernels->multiply(values, count);
        } else if (type->kernels->units(values, count, &zero, &negative)) {
            state->zero = (uint32_t)zero;
            state->negative ^= (uint32_t)negative;
            state->product = negative ? -state->product : state->product;
        } else {
            for (size_t i = 0; i < count; i += FEW) {
                const size_t some = count - i < FEW ? count - i : FEW;
                type->multiply(state, values + i * type->size, some, (ptrdiff_t)type->size);
            }
        }
        data += (ptrdiff_t)count * stride;
        n -= count;
    }
}

/* The products of columns, before what is near to 2^64 is looked at. */
typedef struct {
    _Alignas(64) uint64_t product[PROD_ROOM];
    _Alignas(64) double size[PROD_ROOM];
    _Alignas(64) uint64_t zero[PROD_ROOM];
} integer_columns;

static void multiply_integer_columns(const integer_type *type, const char *data, size_t rows,
                                     ptrdiff_t row_stride, size_t columns, integer_columns *out)
{
    for (size_t j = 0; j < columns + 8; j++) {
        out->product[j] = 1;
        out->size[j] = 1;
        out->zero[j] = 0;
    }
    type->kernels->columns(data, rows, row_stride, columns, out->product, out->size, out->zero);
}

/* Sizes are rounded at most 2 * SHORT_ROWS times, to a relative error below 2^-42. */
#define SURELY_BELOW 0x1p62
#define SURELY_BEYOND 0x1p65

static integer_product state_of_column(const integer_type *type, const integer_columns *columns,
                                       size_t j, const char *data, size_t rows,
                                       ptrdiff_t row_stride)
{
    const double size = columns->size[j];
    integer_product state = {columns->product[j], 0, columns->zero[j] != 0, size < 0};
    if (fabs(size) < SURELY_BELOW) {
        state.size = size < 0 ? -state.product : state.product;
    } else if (fabs(size) < SURELY_BEYOND && !state.zero) {
        identity_integer_product(&state, 0);
        type->multiply(&state, data + j * type->size, rows, row_stride);
    }
    return state;
}

/* `columns` states, each for `repeat` columns: column j belongs to states[j % columns]. */
static void accumulate_integers_wide(integer_product *states, const integer_type *type,
                                     const char *data, size_t rows, ptrdiff_t row_stride,
                                     size_t columns, size_t repeat)
{
    integer_columns products;
    while (rows) {
        const size_t count = rows < SHORT_ROWS ? rows : SHORT_ROWS;
        int open = 0;
        multiply_integer_columns(type, data, count, row_stride, columns * repeat, &products);
        for (size_t k = 0, j = 0; k < columns * repeat; k++, j = j + 1 < columns ? j + 1 : 0) {
            const integer_product state =
                state_of_column(type, &products, k, data, count, row_stride);
            combine_integer_product(&states[j], &state);
        }
        for (size_t j = 0; j < columns; j++)
            open |= !states[j].zero;
        if (!open)
            return;
        data += (ptrdiff_t)count * row_stride;
        rows -= count;
    }
}

#define SIDE_BYTES 2048 /* columns are repeated side by side to rows shorter than a page */

static void accumulate_integer_columns(integer_product *states, const integer_type *type,
                                       const char *data, size_t rows, ptrdiff_t row_stride,
                                       size_t columns)
{
    const size_t most = SIDE_BYTES / type->size < TILE ? SIDE_BYTES / type->size : TILE;
    const size_t repeat = most / columns;
    if (row_stride == (ptrdiff_t)(columns * type->size) && repeat > 1 && rows >= 16 * repeat) {
        const size_t wide = rows / repeat;
        accumulate_integers_wide(states, type, data, wide, (ptrdiff_t)repeat * row_stride, columns,
                                 repeat);
        data += (ptrdiff_t)(wide * repeat) * row_stride;
        rows -= wide * repeat;
    }
    accumulate_integers_wide(states, type, data, rows, row_stride, columns, 1);
}

static int reduce_integer_columns(const integer_type *type, const char *data, size_t rows,
                                  ptrdiff_t row_stride, size_t columns, int result_type,
                                  char *result)
{
    integer_columns products;
    int flags = 0, unsure = 0;
    multiply_integer_columns(type, data, rows, row_stride, columns, &products);
    if (result_type == PARSUM_INT64 || result_type == PARSUM_UINT64) {
        for (size_t j = 0; j < columns; j++) {
            const uint64_t low = products.product[j] & ~products.zero[j];
            unsure |= !(fabs(products.size[j]) < SURELY_BELOW) & !products.zero[j];
            unsure |= result_type == PARSUM_UINT64 && products.size[j] < 0;
            memcpy(result + j * sizeof low, &low, sizeof low);
        }
        if (!unsure)
            return 0;
    }
    for (size_t j = 0; j < columns; j++) {
        const integer_product state = state_of_column(type, &products, j, data, rows, row_stride);
        flags |=
            finish_integer_product(&state, result_type, result + j * parsum_type_size[result_type]);
    }
    return flags;
}

static int reduce_integer_rows(const integer_type *type, const char *data, size_t rows,
                               ptrdiff_t row_stride, size_t n, int result_type, char *result)
{
    int flags = 0;
    for (size_t r = 0; r < rows; r++, data += row_stride) {
        integer_product state = {1, 1, 0, 0};
        accumulate_integers(&state, type, data, n, (ptrdiff_t)type->size);
        flags |=
            finish_integer_product(&state, result_type, result + r * parsum_type_size[result_type]);
    }
    return flags;
}

/* Any byte but zero is true. */
static void accumulate_boolean(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    integer_product *product = state;
    const char *p = data;
    if (stride == 1 && !product->zero)
        product->zero = (uint32_t)has_zero(&parsum_kernels()->logic_8, p, n);
    for (; stride != 1 && n && !product->zero; n--, p += stride)
        product->zero = *p == 0;
}

static void accumulate_columns_boolean(void *states, const void *data, size_t rows,
                                       ptrdiff_t row_stride, size_t columns)
{
    static const uint64_t mask[2] = {UINT64_MAX, UINT64_MAX};
    integer_product *product = states;
    const char *p = data;
    uint8_t all[TILE];
    for (; rows; rows -= rows < 16 ? rows : 16, p += 16 * row_stride) {
        parsum_kernels()->logic_8.all_columns(p, rows < 16 ? rows : 16, row_stride, columns, mask,
                                              all);
        for (size_t j = 0; j < columns; j++)
            product[j].zero |= !all[j];
    }
}

#define INTEGER_PRODUCT(NAME)                                                                      \
    static void accumulate_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)       \
    {                                                                                              \
        const integer_type type = type_##NAME();                                                   \
        accumulate_integers(state, &type, data, n, stride);                                        \
    }                                                                                              \
    static void accumulate_columns_##NAME(void *states, const void *data, size_t rows,             \
                                          ptrdiff_t row_stride, size_t columns)                    \
    {                                                                                              \
        const integer_type type = type_##NAME();                                                   \
        accumulate_integer_columns(states, &type, data, rows, row_stride, columns);                \
    }                                                                                              \
    static int reduce_columns_##NAME(const void *data, size_t rows, ptrdiff_t row_stride,          \
                                     size_t columns, double parameter, int result_type,            \
                                     char *result)                                                 \
    {                                                                                              \
        (void)parameter;                                                                           \
        const integer_type type = type_##NAME();                                                   \
        return reduce_integer_columns(&type, data, rows, row_stride, columns, result_type,         \
                                      result);                                                     \
    }                                                                                              \
    static int reduce_rows_##NAME(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,   \
                                  double parameter, int result_type, char *result)                 \
    {                                                                                              \
        (void)parameter;                                                                           \
        const integer_type type = type_##NAME();                                                   \
        return reduce_integer_rows(&type, data, rows, row_stride, n, result_type, result);         \
    }

INTEGER_PRODUCT(i8)
INTEGER_PRODUCT(u8)
INTEGER_PRODUCT(i16)
INTEGER_PRODUCT(u16)
INTEGER_PRODUCT(i32)
INTEGER_PRODUCT(u32)
INTEGER_PRODUCT(i64)
INTEGER_PRODUCT(u64)

#define INTEGER_FUNCTIONS(NAME)                                                                    \
    .operation = "prod", .results = INTEGERS, .state_size = sizeof(integer_product),               \
    .identity = identity_integer_product, .settled = settled_integer_product,                      \
    .accumulate = accumulate_##NAME, .accumulate_columns = accumulate_columns_##NAME,              \
    .combine = combine_integer_product, .finish = finish_integer_product,                          \
    .valid = valid_integer_product
#define INTEGER_ROW(NAME, ELEMENT_TYPE)                                                            \
    {                                                                                              \
        .element = ELEMENT_TYPE,                                                                   \
        INTEGER_FUNCTIONS(NAME),                                                                   \
        .reduce_columns = reduce_columns_##NAME,                                                   \
        .reduce_rows = reduce_rows_##NAME,                                                         \
    }

const parsum_reduction parsum_integer_prods[] = {
    {.element = PARSUM_BOOL, INTEGER_FUNCTIONS(boolean)},
    INTEGER_ROW(i8, PARSUM_INT8),
    INTEGER_ROW(u8, PARSUM_UINT8),
    INTEGER_ROW(i16, PARSUM_INT16),
    INTEGER_ROW(u16, PARSUM_UINT16),
    INTEGER_ROW(i32, PARSUM_INT32),
    INTEGER_ROW(u32, PARSUM_UINT32),
    INTEGER_ROW(i64, PARSUM_INT64),
    INTEGER_ROW(u64, PARSUM_UINT64),
    {.operation = NULL},
};
