/* any, all and count_nonzero, for every element type by way of its size and its mask. */
#include <float.h>
#include <string.h>

#include "kernels.h"
#include "reductions.h"

/* What is to be known of an element type: its kernels, and which bits make it true. */
typedef struct {
    const logic_kernels *kernels;
    size_t size;
    uint64_t mask[2];
} logic_type;

#define ALL_BITS UINT64_C(0xffffffffffffffff)
#define NO_SIGN UINT64_C(0x7fffffffffffffff)

#define LOGIC_TYPE(NAME, BITS, FIRST, SECOND)                                                      \
    static logic_type type_##NAME(void)                                                            \
    {                                                                                              \
        return (logic_type){&parsum_kernels()->logic_##BITS, (BITS) / 8, {FIRST, SECOND}};         \
    }

LOGIC_TYPE(u8, 8, ALL_BITS, ALL_BITS)
LOGIC_TYPE(u16, 16, ALL_BITS, ALL_BITS)
LOGIC_TYPE(u32, 32, ALL_BITS, ALL_BITS)
LOGIC_TYPE(u64, 64, ALL_BITS, ALL_BITS)
LOGIC_TYPE(f16, 16, UINT64_C(0x7fff7fff7fff7fff), UINT64_C(0x7fff7fff7fff7fff))
LOGIC_TYPE(f32, 32, UINT64_C(0x7fffffff7fffffff), UINT64_C(0x7fffffff7fffffff))
LOGIC_TYPE(f64, 64, NO_SIGN, NO_SIGN)
LOGIC_TYPE(c64, 64, UINT64_C(0x7fffffff7fffffff), UINT64_C(0x7fffffff7fffffff))
LOGIC_TYPE(c128, 128, NO_SIGN, NO_SIGN)
#if LDBL_MANT_DIG == 53
LOGIC_TYPE(ld, 64, NO_SIGN, NO_SIGN)
LOGIC_TYPE(cld, 128, NO_SIGN, NO_SIGN)
#else
_Static_assert(sizeof(long double) == 16, "a long double is two words");
/* The 80-bit format leaves the last six bytes to chance; the other's sign comes last. */
#define LONG_SECOND (LDBL_MANT_DIG == 64 ? UINT64_C(0x7fff) : NO_SIGN)
LOGIC_TYPE(ld, 128, ALL_BITS, LONG_SECOND)
LOGIC_TYPE(cld, 256, ALL_BITS, LONG_SECOND)
#endif

/* any: whether a true element came; all: whether a false one did; count: how many true ones. */
typedef struct {
    uint64_t seen;
} logic_state;

enum operation { ANY, ALL, COUNT };

static void identity_logic(void *state, double parameter)
{
    (void)parameter;
    ((logic_state *)state)->seen = 0;
}

static int settled_logic(const void *state)
{
    return ((const logic_state *)state)->seen != 0;
}

static void combine_seen(void *state, const void *other)
{
    ((logic_state *)state)->seen |= ((const logic_state *)other)->seen;
}

static void combine_count(void *state, const void *other)
{
    ((logic_state *)state)->seen += ((const logic_state *)other)->seen;
}

static int finish_any(const void *state, int type, void *result)
{
    (void)type;
    *(uint8_t *)result = ((const logic_state *)state)->seen != 0;
    return 0;
}

static int finish_all(const void *state, int type, void *result)
{
    (void)type;
    *(uint8_t *)result = ((const logic_state *)state)->seen == 0;
    return 0;
}

static int finish_count(const void *state, int type, void *result)
{
    (void)type;
    memcpy(result, &((const logic_state *)state)->seen, sizeof(int64_t));
    return 0;
}

static uint64_t take(const logic_type *type, enum operation operation, const char *data, size_t n)
{
    if (operation == ANY)
        return (uint64_t)type->kernels->any(data, n, type->mask);
    if (operation == ALL)
        return !type->kernels->all(data, n, type->mask);
    return type->kernels->count(data, n, type->mask);
}

#define GATHERED 256 /* elements that are brought together at a time */

static void gather(char *to, const char *data, size_t n, ptrdiff_t stride, size_t size)
{
    for (size_t i = 0; i < n; i++, data += stride)
        memcpy(to + i * size, data, size);
}

static void accumulate(logic_state *state, const logic_type *type, enum operation operation,
                       const char *data, size_t n, ptrdiff_t stride)
{
    char gathered[GATHERED * ELEMENT_MAX];
    if (stride == (ptrdiff_t)type->size) {
        if (operation == COUNT || !state->seen)
            state->seen += take(type, operation, data, n);
        return;
    }
    while (n && (operation == COUNT || !state->seen)) {
        const size_t count = n < GATHERED ? n : GATHERED;
        gather(gathered, data, count, stride, type->size);
        state->seen += take(type, operation, gathered, count);
        data += (ptrdiff_t)count * stride;
        n -= count;
    }
}

/* What a count of true elements among `rows` is to a state. */
static inline uint64_t meaning(enum operation operation, uint64_t count, size_t rows)
{
    return operation == ANY ? count != 0 : operation == ALL ? count != rows : count;
}

/* `columns` states, each for `repeat` columns: column j belongs to states[j % columns]. */
static void accumulate_wide(logic_state *states, const logic_type *type, enum operation operation,
                            const char *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                            size_t repeat)
{
    uint8_t counts[TILE];
    while (rows) {
        const size_t count = rows < COUNT_ROWS ? rows : COUNT_ROWS;
        uint64_t open = operation == COUNT;
        type->kernels->count_columns(data, count, row_stride, columns * repeat, type->mask, counts);
        for (size_t k = 0; k < repeat; k++)
            for (size_t j = 0; j < columns; j++)
                states[j].seen += meaning(operation, counts[k * columns + j], count);
        for (size_t j = 0; j < columns; j++)
            open |= states[j].seen == 0;
        if (!open)
            return;
        data += (ptrdiff_t)count * row_stride;
        rows -= count;
    }
}

#define REPEATED 16     /* rows from which columns are worth repeating side by side, */
#define SIDE_BYTES 2048 /* to rows of no more bytes: shorter than a page, as kernels like them */

static void accumulate_columns(logic_state *states, const logic_type *type,
                               enum operation operation, const char *data, size_t rows,
                               ptrdiff_t row_stride, size_t columns)
{
    const size_t most = SIDE_BYTES / type->size < TILE ? SIDE_BYTES / type->size : TILE;
    const size_t repeat = most / columns;
    if (row_stride == (ptrdiff_t)(columns * type->size) && repeat > 1 &&
        rows >= REPEATED * repeat) {
        const size_t wide = rows / repeat;
        accumulate_wide(states, type, operation, data, wide, (ptrdiff_t)repeat * row_stride,
                        columns, repeat);
        data += (ptrdiff_t)(wide * repeat) * row_stride;
        rows -= wide * repeat;
    }
    accumulate_wide(states, type, operation, data, rows, row_stride, columns, 1);
}

static void put(enum operation operation, uint64_t seen, size_t j, char *result)
{
    if (operation == COUNT)
        memcpy(result + j * sizeof seen, &seen, sizeof seen);
    else
        result[j] = operation == ANY ? seen != 0 : seen == 0;
}

#define FEW_ROWS 16 /* rows up to which a column is best read from end to end */

static int reduce_columns(const logic_type *type, enum operation operation, const char *data,
                          size_t rows, ptrdiff_t row_stride, size_t columns, char *result)
{
    uint8_t counts[TILE];
    if (rows <= FEW_ROWS && operation != COUNT) {
        (operation == ANY ? type->kernels->any_columns : type->kernels->all_columns)(
            data, rows, row_stride, columns, type->mask, (uint8_t *)result);
        return 0;
    }
    if (rows <= COUNT_ROWS) {
        type->kernels->count_columns(data, rows, row_stride, columns, type->mask, counts);
        for (size_t j = 0; j < columns; j++)
            put(operation, meaning(operation, counts[j], rows), j, result);
        return 0;
    }
    logic_state states[TILE] = {{0}};
    accumulate_columns(states, type, operation, data, rows, row_stride, columns);
    for (size_t j = 0; j < columns; j++)
        put(operation, states[j].seen, j, result);
    return 0;
}

#define SHORT_ROW 64 /* elements of a row up to which rows are looked at together */

/* How many of n bytes, 0 or 1 each, are 1; reads up to 7 bytes more. */
static inline uint64_t sum_bytes(const uint8_t *bytes, size_t n)
{
    uint64_t sum = 0, word;
    for (; n >= 8; n -= 8, bytes += 8) {
        memcpy(&word, bytes, sizeof word);
        sum += word;
    }
    memcpy(&word, bytes, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word &= n ? ~UINT64_C(0) << (64 - 8 * n) : 0;
#else
    word &= n ? ~UINT64_C(0) >> (64 - 8 * n) : 0;
#endif
    return (sum + word) * UINT64_C(0x0101010101010101) >> 56;
}

static int reduce_rows(const logic_type *type, enum operation operation, const char *data,
                       size_t rows, ptrdiff_t row_stride, size_t n, char *result)
{
    if (n > SHORT_ROW) {
        for (size_t r = 0; r < rows; r++, data += row_stride)
            put(operation, take(type, operation, data, n), r, result);
        return 0;
    }
    uint8_t truths[TILE + 8];
    char gathered[TILE * ELEMENT_MAX];
    const ptrdiff_t packed = (ptrdiff_t)(n * type->size);
    const size_t most = TILE / n;
    for (size_t first = 0; first < rows; first += most) {
        const size_t count = rows - first < most ? rows - first : most;
        const char *values = data;
        if (row_stride != packed) {
            for (size_t r = 0; r < count; r++)
                memcpy(gathered + (ptrdiff_t)r * packed, data + (ptrdiff_t)r * row_stride,
                       (size_t)packed);
            values = gathered;
        }
        type->kernels->count_columns(values, 1, packed, count * n, type->mask, truths);
        for (size_t r = 0; r < count; r++)
            put(operation, meaning(operation, sum_bytes(truths + r * n, n), n), first + r, result);
        data += (ptrdiff_t)count * row_stride;
    }
    return 0;
}

#define LOGIC(VERB, OPERATION, NAME)                                                               \
    static void accumulate_##VERB##_##NAME(void *state, const void *data, size_t n,                \
                                           ptrdiff_t stride)                                       \
    {                                                                                              \
        const logic_type type = type_##NAME();                                                     \
        accumulate(state, &type, OPERATION, data, n, stride);                                      \
    }                                                                                              \
    static void accumulate_##VERB##_columns_##NAME(void *states, const void *data, size_t rows,    \
                                                   ptrdiff_t row_stride, size_t columns)           \
    {                                                                                              \
        const logic_type type = type_##NAME();                                                     \
        accumulate_columns(states, &type, OPERATION, data, rows, row_stride, columns);             \
    }                                                                                              \
    static int reduce_##VERB##_columns_##NAME(const void *data, size_t rows, ptrdiff_t row_stride, \
                                              size_t columns, double parameter, int result_type,   \
                                              char *result)                                        \
    {                                                                                              \
        (void)parameter, (void)result_type;                                                        \
        const logic_type type = type_##NAME();                                                     \
        return reduce_columns(&type, OPERATION, data, rows, row_stride, columns, result);          \
    }                                                                                              \
    static int reduce_##VERB##_rows_##NAME(const void *data, size_t rows, ptrdiff_t row_stride,    \
                                           size_t n, double parameter, int result_type,            \
                                           char *result)                                           \
    {                                                                                              \
        (void)parameter, (void)result_type;                                                        \
        const logic_type type = type_##NAME();                                                     \
        return reduce_rows(&type, OPERATION, data, rows, row_stride, n, result);                   \
    }

#define LOGIC_FUNCTIONS(NAME)                                                                      \
    LOGIC(any, ANY, NAME)                                                                          \
    LOGIC(all, ALL, NAME)                                                                          \
    LOGIC(count, COUNT, NAME)

LOGIC_FUNCTIONS(u8)
LOGIC_FUNCTIONS(u16)
LOGIC_FUNCTIONS(u32)
LOGIC_FUNCTIONS(u64)
LOGIC_FUNCTIONS(f16)
LOGIC_FUNCTIONS(f32)
LOGIC_FUNCTIONS(f64)
LOGIC_FUNCTIONS(c64)
LOGIC_FUNCTIONS(c128)
LOGIC_FUNCTIONS(ld)
LOGIC_FUNCTIONS(cld)

#define LOGIC_ROW(OPERATION, VERB, NAME, ELEMENT_TYPE, RESULT_TYPE, SETTLED, COMBINE)              \
    {                                                                                              \
        .operation = (OPERATION),                                                                  \
        .element = (ELEMENT_TYPE),                                                                 \
        .results = BIT(RESULT_TYPE),                                                               \
        .state_size = sizeof(logic_state),                                                         \
        .identity = identity_logic,                                                                \
        .settled = (SETTLED),                                                                      \
        .accumulate = accumulate_##VERB##_##NAME,                                                  \
        .accumulate_columns = accumulate_##VERB##_columns_##NAME,                                  \
        .reduce_columns = reduce_##VERB##_columns_##NAME,                                          \
        .reduce_rows = reduce_##VERB##_rows_##NAME,                                                \
        .combine = (COMBINE),                                                                      \
        .finish = finish_##VERB,                                                                   \
    }

#define LOGIC_ROWS(NAME, TYPE)                                                                     \
    LOGIC_ROW("any", any, NAME, TYPE, PARSUM_BOOL, settled_logic, combine_seen),                   \
        LOGIC_ROW("all", all, NAME, TYPE, PARSUM_BOOL, settled_logic, combine_seen),               \
        LOGIC_ROW("count_nonzero", count, NAME, TYPE, PARSUM_INT64, NULL, combine_count)

const parsum_reduction parsum_logic[] = {
    LOGIC_ROWS(u8, PARSUM_BOOL),         LOGIC_ROWS(u8, PARSUM_INT8),
    LOGIC_ROWS(u8, PARSUM_UINT8),        LOGIC_ROWS(u16, PARSUM_INT16),
    LOGIC_ROWS(u16, PARSUM_UINT16),      LOGIC_ROWS(u32, PARSUM_INT32),
    LOGIC_ROWS(u32, PARSUM_UINT32),      LOGIC_ROWS(u64, PARSUM_INT64),
    LOGIC_ROWS(u64, PARSUM_UINT64),      LOGIC_ROWS(u64, PARSUM_TIME),
    LOGIC_ROWS(f16, PARSUM_FLOAT16),     LOGIC_ROWS(f32, PARSUM_FLOAT32),
    LOGIC_ROWS(f64, PARSUM_FLOAT64),     LOGIC_ROWS(ld, PARSUM_LONGDOUBLE),
    LOGIC_ROWS(c64, PARSUM_COMPLEX64),   LOGIC_ROWS(c128, PARSUM_COMPLEX128),
    LOGIC_ROWS(cld, PARSUM_CLONGDOUBLE), {.operation = NULL},
};
