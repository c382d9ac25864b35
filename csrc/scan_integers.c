/* The prefixes of integers: sums and products modulo 2^bits, which say whether one did not fit;
 * sums of timedeltas; sums of integers as floats; "or" and "and" of bools.
 *
 * Prefixes wrap around, so a late worker starts from a sum modulo 2^64. It can tell all the same
 * whether one of its own is the first that does not fit, for then the one before does fit and is
 * the number that it has; and if an earlier one did not fit, that is told already. */
#include "exact.h"
#include "kernels.h"
#include "scans.h"

typedef struct {
    int128 sum; /* of a prefix with an integer result: right modulo 2^64 */
    uint64_t nat;
} integer_state;

typedef struct {
    const integer_kernels *(*sums)(void);                              /* NULL for products */
    void (*(*widen)(void))(const void *data, size_t n, uint64_t *out); /* NULL for 64 bits */
} integer_kind;

static int128 wide_value(int element, uint64_t word)
{
    return element == PARSUM_UINT64 ? (int128)word : (int128)(int64_t)word;
}

static int is_signed_type(int type)
{
    return type == PARSUM_INT8 || type == PARSUM_INT16 || type == PARSUM_INT32 ||
           type == PARSUM_INT64 || type == PARSUM_TIME;
}

/* Whether the 64-bit kernels find every prefix of the type that does not fit. */
static int is_plain(int element, int type)
{
    if (type == PARSUM_INT64 || type == PARSUM_TIME)
        return element != PARSUM_UINT64;
    return type == PARSUM_UINT64 && !is_signed_type(element);
}

/* Writes the low bits; says whether they are all of it. */
static int store_integer(int128 value, int type, char *result)
{
    /* The low bytes come first on little-endian machines only. */
    const uint64_t low = (uint64_t)value;
    const uint8_t low8 = (uint8_t)low;
    const uint16_t low16 = (uint16_t)low;
    const uint32_t low32 = (uint32_t)low;
    const size_t size = parsum_type_size[type];
    const void *source = size == 1   ? (const void *)&low8
                         : size == 2 ? (const void *)&low16
                         : size == 4 ? (const void *)&low32
                                     : (const void *)&low;
    memcpy(result, source, size);
    const int is_signed = is_signed_type(type);
    const int128 most = ((int128)1 << (8 * (int)size - is_signed)) - 1;
    const int128 least = is_signed ? -most - 1 : 0;
    return value < least || value > most ? PARSUM_OVERFLOW : 0;
}

static int store_float(int128 value, int type, char *result)
{
    const int64_t low = (int64_t)value;
    if (low == value && type == PARSUM_FLOAT64) {
        const double rounded = (double)low;
        memcpy(result, &rounded, sizeof rounded);
        return 0;
    }
    if (low == value && type == PARSUM_FLOAT32) {
        const float rounded = (float)low;
        memcpy(result, &rounded, sizeof rounded);
        return 0;
    }
    return parsum_round_int128(value, 0, type, result);
}

/* The elements as 64-bit numbers, in `buffer` if they are not such. */
static const uint64_t *words_of(const parsum_scan *scan, const void *data, size_t n,
                                uint64_t *buffer)
{
    const integer_kind *kind = scan->kind;
    if (!kind->widen)
        return data;
    kind->widen()(data, n, buffer);
    return buffer;
}

/* ---- sums ---- */

static void start_sum(const parsum_scan *scan, void *state)
{
    (void)scan;
    memset(state, 0, sizeof(integer_state));
}

static int128 joined(int64_t low, int64_t high)
{
    return (int128)low + (int128)((uint128)(int128)high << 32);
}

static void add_sum(const parsum_scan *scan, void *state, const void *data, size_t n)
{
    const integer_kind *kind = scan->kind;
    integer_state *total = state;
    const char *p = data;
    while (n) {
        const size_t count = n < INTEGER_BLOCK ? n : INTEGER_BLOCK;
        int64_t low = 0, high = 0;
        total->nat |= kind->sums()->sum(p, count, &low, &high) != 0;
        total->sum += joined(low, high);
        p += count * parsum_type_size[scan->element];
        n -= count;
    }
}

static void add_sum_columns(const parsum_scan *scan, void *states, const void *data, size_t rows,
                            ptrdiff_t row_stride, size_t columns)
{
    const integer_kind *kind = scan->kind;
    integer_state *totals = states;
    int64_t low[SCAN_TILE] = {0}, high[SCAN_TILE] = {0};
    kind->sums()->columns(data, rows, row_stride, columns, low, high);
    for (size_t j = 0; j < columns; j++)
        totals[j].sum += joined(low[j], high[j]);
}

static void advance_sum(const parsum_scan *scan, void *state, const void *other)
{
    integer_state *prefix = state;
    const integer_state *total = other;
    (void)scan;
    prefix->sum += total->sum;
    prefix->nat |= total->nat;
}

static int scan_sum_slowly(const parsum_scan *scan, integer_state *prefix, const uint64_t *v,
                           size_t n, int type, char *result)
{
    const size_t size = parsum_type_size[type];
    const int is_float = FLOATS >> type & 1;
    int flags = 0;
    for (size_t i = 0; i < n; i++, result += size) {
        prefix->sum += wide_value(scan->element, v[i]);
        flags |= is_float ? store_float(prefix->sum, type, result)
                          : store_integer(prefix->sum, type, result);
    }
    return flags;
}

static int scan_sum(const parsum_scan *scan, void *state, const void *data, size_t n, int type,
                    void *result)
{
    integer_state *prefix = state;
    uint64_t buffer[SCAN_LEAF], *out = result;
    const uint64_t *v = words_of(scan, data, n, buffer);
    if (!n)
        return 0;
    if (!is_plain(scan->element, type))
        return scan_sum_slowly(scan, prefix, v, n, type, result);
    size_t before = n; /* the first NaT */
    if (type == PARSUM_TIME) {
        before = 0;
        while (before < n && !prefix->nat && v[before] != SIGN_BIT)
            before++;
        prefix->nat |= before < n;
        for (size_t i = before; i < n; i++)
            out[i] = SIGN_BIT;
    }
    if (!before)
        return 0;
    const int is_signed = type != PARSUM_UINT64;
    const int over =
        parsum_kernels()->scan.integers((uint64_t)prefix->sum, v, before, is_signed, out);
    prefix->sum = wide_value(type, out[before - 1]);
    return over ? PARSUM_OVERFLOW : 0;
}

static int scan_sum_columns(const parsum_scan *scan, const scan_tile *tile)
{
    integer_state *prefixes = (integer_state *)(void *)tile->prefixes;
    int flags = 0;
    if (!is_plain(scan->element, tile->type)) {
        for (size_t j = 0; j < tile->columns; j++)
            flags |= parsum_tile_column(scan, tile, j);
        return flags;
    }
    uint64_t sums[SCAN_TILE], wide[SCAN_TILE], row[SCAN_TILE];
    for (size_t j = 0; j < tile->columns; j++)
        sums[j] = tile->whole ? 0 : (uint64_t)prefixes[j].sum;
    int over = 0;
    for (size_t i = 0; i < tile->rows; i++) {
        const uint64_t *v =
            words_of(scan, tile->data + (ptrdiff_t)i * tile->row_stride, tile->columns, wide);
        char *result = tile->result + (ptrdiff_t)i * tile->result_stride;
        over |=
            parsum_kernels()->scan.integer_row(v, tile->columns, tile->type != PARSUM_UINT64, sums,
                                               tile->stream ? row : (uint64_t *)(void *)result);
        if (tile->stream)
            parsum_stream(result, row, tile->columns * sizeof *row);
    }
    for (size_t j = 0; !tile->whole && j < tile->columns; j++)
        prefixes[j].sum = wide_value(tile->type, sums[j]);
    return over ? PARSUM_OVERFLOW : 0;
}

/* ---- products ---- */

static void start_product(const parsum_scan *scan, void *state)
{
    (void)scan;
    *(uint64_t *)state = 1;
}

static void add_product(const parsum_scan *scan, void *state, const void *data, size_t n)
{
    uint64_t *total = state, buffer[SCAN_LEAF];
    const char *p = data;
    while (n) {
        const size_t count = n < SCAN_LEAF ? n : SCAN_LEAF;
        const uint64_t *v = words_of(scan, p, count, buffer);
        uint64_t parts[4] = {*total, 1, 1, 1}; /* chains that do not wait for each other */
        size_t i = 0;
        for (; i + 4 <= count; i += 4)
            for (int k = 0; k < 4; k++)
                parts[k] *= v[i + (size_t)k];
        for (; i < count; i++)
            parts[0] *= v[i];
        *total = parts[0] * parts[1] * (parts[2] * parts[3]);
        p += count * parsum_type_size[scan->element];
        n -= count;
    }
}

static void advance_product(const parsum_scan *scan, void *prefix, const void *total)
{
    (void)scan;
    *(uint64_t *)prefix *= *(const uint64_t *)total;
}

/* The product of a prefix that the type has, or had before it wrapped, and an element. */
static int store_product(int element, uint64_t prefix, uint64_t v, int type, char *result)
{
    if (is_signed_type(type) || element != PARSUM_UINT64) {
        /* at most 2^64 * 2^63 */
        const int128 product = wide_value(is_signed_type(type) ? type : PARSUM_UINT64, prefix) *
                               wide_value(element, v);
        return store_integer(product, type, result);
    }
    uint64_t product;
    const int over = __builtin_mul_overflow(prefix, v, &product);
    return store_integer((int128)product, type, result) | (over ? PARSUM_OVERFLOW : 0);
}

/* The next prefix but one is the one before times the product of two elements: the chain from one
 * to the next has half as many products as elements. */
#define SCAN_PRODUCTS(NAME, TYPE)                                                                  \
    static int scan_products_##NAME(uint64_t *prefix, const uint64_t *v, size_t n, uint64_t *out)  \
    {                                                                                              \
        int over = 0;                                                                              \
        uint64_t before = *prefix;                                                                 \
        size_t i = 0;                                                                              \
        for (; i + 2 <= n; i += 2) {                                                               \
            TYPE one, two;                                                                         \
            over |= __builtin_mul_overflow((TYPE)before, (TYPE)v[i], &one);                        \
            over |= __builtin_mul_overflow(one, (TYPE)v[i + 1], &two);                             \
            before *= v[i] * v[i + 1];                                                             \
            out[i] = (uint64_t)one;                                                                \
            out[i + 1] = (uint64_t)two;                                                            \
        }                                                                                          \
        if (i < n) {                                                                               \
            TYPE one;                                                                              \
            over |= __builtin_mul_overflow((TYPE)before, (TYPE)v[i], &one);                        \
            out[i] = before = (uint64_t)one;                                                       \
        }                                                                                          \
        *prefix = before;                                                                          \
        return over;                                                                               \
    }
SCAN_PRODUCTS(signed, int64_t)
SCAN_PRODUCTS(unsigned, uint64_t)

static int scan_product(const parsum_scan *scan, void *state, const void *data, size_t n, int type,
                        void *result)
{
    uint64_t buffer[SCAN_LEAF], *prefix = state;
    const uint64_t *v = words_of(scan, data, n, buffer);
    if (is_plain(scan->element, type)) {
        const int over = type == PARSUM_UINT64 ? scan_products_unsigned(prefix, v, n, result)
                                               : scan_products_signed(prefix, v, n, result);
        return over ? PARSUM_OVERFLOW : 0;
    }
    int flags = 0;
    for (size_t i = 0; i < n; i++) {
        flags |= store_product(scan->element, *prefix, v[i], type,
                               (char *)result + i * parsum_type_size[type]);
        *prefix *= v[i];
    }
    return flags;
}

static int scan_product_columns(const parsum_scan *scan, const scan_tile *tile)
{
    uint64_t *prefixes = (uint64_t *)(void *)tile->prefixes;
    int flags = 0;
    if (!is_plain(scan->element, tile->type)) {
        for (size_t j = 0; j < tile->columns; j++)
            flags |= parsum_tile_column(scan, tile, j);
        return flags;
    }
    uint64_t wide[SCAN_TILE];
    int over = 0;
    for (size_t j = 0; tile->whole && j < tile->columns; j++)
        prefixes[j] = 1;
    for (size_t i = 0; i < tile->rows; i++) {
        const uint64_t *v =
            words_of(scan, tile->data + (ptrdiff_t)i * tile->row_stride, tile->columns, wide);
        char *result = tile->result + (ptrdiff_t)i * tile->result_stride;
        if (tile->type == PARSUM_UINT64) {
            for (size_t j = 0; j < tile->columns; j++)
                over |= __builtin_mul_overflow(prefixes[j], v[j], &prefixes[j]);
        } else {
            for (size_t j = 0; j < tile->columns; j++) {
                int64_t product;
                over |= __builtin_mul_overflow((int64_t)prefixes[j], (int64_t)v[j], &product);
                prefixes[j] = (uint64_t)product;
            }
        }
        if (tile->stream)
            parsum_stream(result, prefixes, tile->columns * sizeof *prefixes);
        else
            memcpy(result, prefixes, tile->columns * sizeof *prefixes);
    }
    return over ? PARSUM_OVERFLOW : 0;
}

/* ---- bools: a sum is "or", a product is "and" ---- */

/* The state is the truth so far; it changes once at most, to `settled`. */
static int settled_truth(const parsum_scan *scan)
{
    return scan->operation[0] == 's';
}

static void start_truth(const parsum_scan *scan, void *state)
{
    *(uint64_t *)state = !settled_truth(scan);
}

static void add_truth(const parsum_scan *scan, void *state, const void *data, size_t n)
{
    const uint8_t *v = data;
    const int settled = settled_truth(scan);
    for (size_t i = 0; i < n; i++)
        if ((v[i] != 0) == settled) {
            *(uint64_t *)state = (uint64_t)settled;
            return;
        }
}

static void advance_truth(const parsum_scan *scan, void *prefix, const void *total)
{
    if (*(const uint64_t *)total == (uint64_t)settled_truth(scan))
        *(uint64_t *)prefix = *(const uint64_t *)total;
}

static int scan_truth(const parsum_scan *scan, void *state, const void *data, size_t n, int type,
                      void *result)
{
    const uint8_t *v = data;
    uint8_t *out = result;
    const int settled = settled_truth(scan);
    size_t i = 0;
    (void)type;
    if (*(uint64_t *)state != (uint64_t)settled)
        while (i < n && (v[i] != 0) != settled)
            out[i++] = (uint8_t)!settled;
    if (i < n) {
        *(uint64_t *)state = (uint64_t)settled;
        memset(out + i, settled, n - i);
    }
    return 0;
}

/* ---- the table ---- */

#define WIDEN_FUNCTION(NAME)                                                                       \
    static void (*widen_##NAME(void))(const void *, size_t, uint64_t *)                            \
    {                                                                                              \
        return parsum_kernels()->scan.widen_##NAME;                                                \
    }
WIDEN_FUNCTION(boolean)
WIDEN_FUNCTION(i8)
WIDEN_FUNCTION(u8)
WIDEN_FUNCTION(i16)
WIDEN_FUNCTION(u16)
WIDEN_FUNCTION(i32)
WIDEN_FUNCTION(u32)

#define INTEGER_KIND(NAME, WIDEN)                                                                  \
    static const integer_kernels *sums_##NAME(void)                                                \
    {                                                                                              \
        return &parsum_kernels()->NAME;                                                            \
    }                                                                                              \
    static const integer_kind kind_##NAME = {sums_##NAME, WIDEN};
INTEGER_KIND(boolean, widen_boolean)
INTEGER_KIND(i8, widen_i8)
INTEGER_KIND(u8, widen_u8)
INTEGER_KIND(i16, widen_i16)
INTEGER_KIND(u16, widen_u16)
INTEGER_KIND(i32, widen_i32)
INTEGER_KIND(u32, widen_u32)
INTEGER_KIND(i64, NULL)
INTEGER_KIND(u64, NULL)
INTEGER_KIND(timedelta, NULL)

static const uint64_t zero = 0;
static const uint8_t one_8 = 1;
static const uint16_t one_16 = 1;
static const uint32_t one_32 = 1;
static const uint64_t one_64 = 1;

#define SUM_SCAN(ELEMENT, RESULTS, KIND)                                                           \
    .operation = "sum", .element = ELEMENT, .results = RESULTS, .neutral = &zero,                  \
    .total_size = sizeof(integer_state), .prefix_size = sizeof(integer_state), .kind = &(KIND),    \
    .start_total = start_sum, .add = add_sum, .start_prefix = start_sum, .advance = advance_sum,   \
    .scan = scan_sum
#define INTEGER_SCANS(NAME, ELEMENT, ONE)                                                          \
    {SUM_SCAN(ELEMENT, (INTEGERS & ~BIT(PARSUM_BOOL)) | FLOATS, kind_##NAME),                      \
     .add_columns = add_sum_columns, .scan_columns = scan_sum_columns},                            \
    {                                                                                              \
        .operation = "prod", .element = ELEMENT, .results = INTEGERS & ~BIT(PARSUM_BOOL),          \
        .neutral = &(ONE), .total_size = sizeof(uint64_t), .prefix_size = sizeof(uint64_t),        \
        .kind = &kind_##NAME, .start_total = start_product, .add = add_product,                    \
        .start_prefix = start_product, .advance = advance_product, .scan = scan_product,           \
        .scan_columns = scan_product_columns,                                                      \
    }
#define TRUTH_SCAN(OPERATION, NEUTRAL)                                                             \
    {                                                                                              \
        .operation = OPERATION,                                                                    \
        .element = PARSUM_BOOL,                                                                    \
        .results = BIT(PARSUM_BOOL),                                                               \
        .neutral = &(NEUTRAL),                                                                     \
        .total_size = sizeof(uint64_t),                                                            \
        .prefix_size = sizeof(uint64_t),                                                           \
        .start_total = start_truth,                                                                \
        .add = add_truth,                                                                          \
        .start_prefix = start_truth,                                                               \
        .advance = advance_truth,                                                                  \
        .scan = scan_truth,                                                                        \
    }

const parsum_scan parsum_integer_scans[] = {
    INTEGER_SCANS(boolean, PARSUM_BOOL, one_8),
    INTEGER_SCANS(i8, PARSUM_INT8, one_8),
    INTEGER_SCANS(u8, PARSUM_UINT8, one_8),
    INTEGER_SCANS(i16, PARSUM_INT16, one_16),
    INTEGER_SCANS(u16, PARSUM_UINT16, one_16),
    INTEGER_SCANS(i32, PARSUM_INT32, one_32),
    INTEGER_SCANS(u32, PARSUM_UINT32, one_32),
    INTEGER_SCANS(i64, PARSUM_INT64, one_64),
    INTEGER_SCANS(u64, PARSUM_UINT64, one_64),
    TRUTH_SCAN("sum", zero),
    TRUTH_SCAN("prod", one_8),
    {SUM_SCAN(PARSUM_TIME, BIT(PARSUM_TIME), kind_timedelta)},
    {.operation = NULL},
};
