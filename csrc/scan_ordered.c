/* The prefixes that are rounded on their way: fast sums of floats, sums of long doubles, products
 * of floats and complex numbers.
 *
 * Their bits depend on the order of operations, so that is fixed by the elements' numbers alone.
 * Leaves of SCAN_LEAF elements are joined in a binary counter: node k holds 2^k leaves, and the
 * prefix of so many leaves is that of the nodes for the bits of their number, from the largest
 * node, which comes first, down. A worker's chunk is a power of two of leaves that begins at a
 * multiple of its size: one node, made of the same leaves in the same way by whomever. */
#include <math.h>

#include "exact.h"
#include "kernels.h"
#include "scans.h"

#define LEVELS 48 /* 2^48 leaves */
#define VALUE_MAX 64

/* What a tree is made of. */
typedef struct {
    size_t size; /* of a value */
    const void *none;
    void (*join)(void *left, const void *right);
    void (*total)(const parsum_scan *scan, const void *data, size_t n, void *total);
    /* The prefixes of a leaf; `total` as above. */
    int (*prefixes)(const parsum_scan *scan, const void *start, const void *data, size_t n,
                    int type, void *result, void *total);
} ordered_kind;

/* ---- the tree ---- */

/* Values: the prefix of all leaves, then for each level a node and the prefix of all that is above
 * the node. */
typedef struct {
    uint64_t leaves;
    uint64_t unused;
    char values[];
} ordered_state;

#define STATE_BYTES(VALUE) (sizeof(ordered_state) + (1 + 2 * LEVELS) * sizeof(VALUE))

static char *node_of(const ordered_kind *kind, ordered_state *state, int level)
{
    return state->values + (size_t)(1 + 2 * level) * kind->size;
}

static void start_ordered(const parsum_scan *scan, void *memory)
{
    const ordered_kind *kind = scan->kind;
    ordered_state *state = memory;
    state->leaves = 0;
    memcpy(state->values, kind->none, kind->size);
}

/* Adds a node to a state that has none below its level. */
static void push(const ordered_kind *kind, ordered_state *state, int level, const void *node)
{
    _Alignas(16) char value[VALUE_MAX], above[VALUE_MAX];
    const uint64_t leaves = state->leaves;
    memcpy(value, node, kind->size);
    memcpy(above, state->values, kind->size);
    state->leaves += UINT64_C(1) << level;
    for (; leaves >> level & 1; level++) {
        char *left = node_of(kind, state, level);
        kind->join(left, value);
        memcpy(value, left, kind->size);
        memcpy(above, left + kind->size, kind->size);
    }
    memcpy(node_of(kind, state, level), value, kind->size);
    memcpy(node_of(kind, state, level) + kind->size, above, kind->size);
    kind->join(above, value);
    memcpy(state->values, above, kind->size);
}

static void add_ordered(const parsum_scan *scan, void *total, const void *data, size_t n)
{
    const ordered_kind *kind = scan->kind;
    const char *p = data;
    /* The last leaf of a line may be short, but then nothing comes after it. */
    for (; n >= SCAN_LEAF; n -= SCAN_LEAF, p += SCAN_LEAF * parsum_type_size[scan->element]) {
        _Alignas(16) char value[VALUE_MAX];
        kind->total(scan, p, SCAN_LEAF, value);
        push(kind, total, 0, value);
    }
}

static void advance_ordered(const parsum_scan *scan, void *prefix, const void *total)
{
    const ordered_kind *kind = scan->kind;
    ordered_state other = *(const ordered_state *)total;
    for (int level = LEVELS - 1; level >= 0; level--)
        if (other.leaves >> level & 1) {
            const char *values = (const char *)total + sizeof(ordered_state);
            push(kind, prefix, level, values + (size_t)(1 + 2 * level) * kind->size);
        }
}

static int scan_ordered(const parsum_scan *scan, void *prefix, const void *data, size_t n, int type,
                        void *result)
{
    const ordered_kind *kind = scan->kind;
    ordered_state *state = prefix;
    _Alignas(16) char value[VALUE_MAX];
    const int flags = kind->prefixes(scan, state->values, data, n, type, result, value);
    if (n == SCAN_LEAF)
        push(kind, state, 0, value);
    return flags;
}

/* ---- floats as doubles ---- */

static const float_kernels *kernels_of(int element)
{
    const kernel_table *kernels = parsum_kernels();
    return element == PARSUM_FLOAT16   ? &kernels->f16
           : element == PARSUM_FLOAT32 ? &kernels->f32
                                       : &kernels->f64;
}

static const double *doubles_of(const parsum_scan *scan, const void *data, size_t n, double *buffer)
{
    if (scan->element == PARSUM_FLOAT64)
        return data;
    kernels_of(scan->element)->widen(data, n, buffer);
    return buffer;
}

/* ---- fast sums ---- */

static const double no_sum = -0.0;

static void join_sums(void *left, const void *right)
{
    *(double *)left += *(const double *)right;
}

static void total_fast(const parsum_scan *scan, const void *data, size_t n, void *total)
{
    double buffer[SCAN_LEAF];
    int special;
    *(double *)total =
        parsum_kernels()->scan.fast(no_sum, doubles_of(scan, data, n, buffer), n, NULL, &special);
}

/* NaN is always the same one, and flags are for what the elements did not bring themselves. */
static int settle_specials(double start, const double *v, size_t n, double *out)
{
    int flags = 0, nan_given = isnan(start), given = !isfinite(start);
    for (size_t i = 0; i < n; i++) {
        nan_given |= isnan(v[i]);
        given |= !isfinite(v[i]);
        if (isnan(out[i])) {
            out[i] = (double)NAN;
            flags |= nan_given ? 0 : PARSUM_INVALID;
        } else if (isinf(out[i]) && !given) {
            flags |= PARSUM_OVERFLOW;
        }
    }
    return flags;
}

static int prefixes_fast(const parsum_scan *scan, const void *start, const void *data, size_t n,
                         int type, void *result, void *total)
{
    double buffer[SCAN_LEAF], sums[SCAN_LEAF];
    const double before = *(const double *)start;
    if (scan->element == PARSUM_FLOAT16 && type == PARSUM_FLOAT16 && fabs(before) <= 0x1p25) {
        int64_t large = 0;
        *(double *)total = parsum_kernels()->scan.halves(before, data, n, result, &large);
        if (isfinite(*(double *)total))
            return large ? PARSUM_OVERFLOW : 0;
    }
    const double *v = doubles_of(scan, data, n, buffer);
    double *out = type == PARSUM_FLOAT64 ? result : sums;
    int special, flags = 0;
    *(double *)total = parsum_kernels()->scan.fast(before, v, n, out, &special);
    if (special)
        flags = settle_specials(before, v, n, out);
    if (out == sums && parsum_scan_narrow(sums, n, type, result))
        flags |= PARSUM_OVERFLOW;
    return flags;
}

/* What is alike for columns of sums and products: each has its place in the tree. */
static void push_columns(const parsum_scan *scan, const scan_tile *tile, size_t j,
                         const void *total)
{
    if (tile->rows == SCAN_LEAF && !tile->whole)
        push(scan->kind, (ordered_state *)(void *)(tile->prefixes + j * scan->prefix_size), 0,
             total);
}

static const void *start_of(const parsum_scan *scan, const scan_tile *tile, size_t j)
{
    if (tile->whole)
        return ((const ordered_kind *)scan->kind)->none;
    return ((const ordered_state *)(const void *)(tile->prefixes + j * scan->prefix_size))->values;
}

static int scan_fast_columns(const parsum_scan *scan, const scan_tile *tile)
{
    const scan_kernels *kernels = &parsum_kernels()->scan;
    scan_buffer buffer;
    double start[SCAN_TILE] = {0}, stretches[SCAN_TILE], groups[SCAN_TILE];
    int64_t special[SCAN_TILE] = {0};
    int flags = 0, over = 0;
    for (size_t j = 0; j < SCAN_TILE; j++) {
        stretches[j] = groups[j] = no_sum;
        if (j < tile->columns)
            memcpy(&start[j], start_of(scan, tile, j), sizeof start[j]);
    }
    for (size_t first = 0; first < tile->rows; first += SCAN_GROUP) {
        scan_rows rows;
        parsum_tile_load(tile,
                         scan->element == PARSUM_FLOAT64 ? NULL : kernels_of(scan->element)->widen,
                         first, &buffer, &rows);
        kernels->fast_columns(&rows, first, start, stretches, groups, special);
        over |= parsum_tile_store(tile, first, &rows);
    }
    for (size_t j = 0; j < tile->columns; j++) {
        if (special[j]) {
            flags |= parsum_tile_column(scan, tile, j);
            continue;
        }
        push_columns(scan, tile, j, &stretches[j]);
        if (over && !(flags & PARSUM_OVERFLOW) && parsum_tile_overflowed(tile, j))
            flags |= PARSUM_OVERFLOW;
    }
    return flags;
}

/* ---- products of floats ---- */

static const scan_factor no_factor = {1, 0};

static void join_factors(void *left, const void *right)
{
    *(scan_factor *)left = scan_times(left, right);
}

/* As the kernel does, for elements of any size, with their exponents apart: factors alone have the
 * same significands in the same places of the tree. */
static int product_slowly(const scan_factor *start, const double *v, size_t n, double *out,
                          scan_factor *total)
{
    int flags = 0, nan_given = isnan(start->factor);
    scan_factor groups = no_factor;
    for (size_t i = 0; i < n; i += SCAN_GROUP) {
        scan_factor x[SCAN_GROUP];
        for (size_t k = 0; k < SCAN_GROUP; k++)
            x[k] = i + k < n ? scan_factor_of(v[i + k]) : no_factor;
        for (int half = 1; half < SCAN_GROUP; half *= 2)
            for (int first = half; first < SCAN_GROUP; first += 2 * half)
                for (int k = 0; k < half; k++) {
                    x[first + k].factor *= x[first - 1].factor;
                    x[first + k].exponent += x[first - 1].exponent;
                }
        const scan_factor base = scan_times(start, &groups);
        for (size_t k = i; out && k < n && k < i + SCAN_GROUP; k++) {
            double one, other;
            const double unscaled = base.factor * x[k - i].factor;
            scan_scales(base.exponent + x[k - i].exponent, &one, &other);
            out[k] = unscaled * one * other;
            nan_given |= isnan(v[k]);
            if (isinf(out[k]) && isfinite(unscaled))
                flags |= PARSUM_OVERFLOW;
            if (isnan(out[k])) {
                out[k] = (double)NAN;
                flags |= nan_given ? 0 : PARSUM_INVALID;
            }
        }
        scan_factor last = scan_factor_of(x[SCAN_GROUP - 1].factor);
        last.exponent += x[SCAN_GROUP - 1].exponent;
        groups = scan_times(&groups, &last);
    }
    *total = groups;
    return flags;
}

static int product_of_leaf(const scan_factor *start, const double *v, size_t n, double *out,
                           scan_factor *total)
{
    const scan_kernels *kernels = &parsum_kernels()->scan;
    if (!isfinite(start->factor) || !kernels->moderate(v, n))
        return product_slowly(start, v, n, out, total);
    return kernels->product(start, v, n, out, total) ? PARSUM_OVERFLOW : 0;
}

static void total_product(const parsum_scan *scan, const void *data, size_t n, void *total)
{
    double buffer[SCAN_LEAF];
    product_of_leaf(&no_factor, doubles_of(scan, data, n, buffer), n, NULL, total);
}

static int prefixes_product(const parsum_scan *scan, const void *start, const void *data, size_t n,
                            int type, void *result, void *total)
{
    double buffer[SCAN_LEAF], products[SCAN_LEAF];
    const double *v = doubles_of(scan, data, n, buffer);
    double *out = type == PARSUM_FLOAT64 ? result : products;
    int flags = product_of_leaf(start, v, n, out, total);
    if (out == products && parsum_scan_narrow(products, n, type, result))
        flags |= PARSUM_OVERFLOW;
    return flags;
}

static int scan_product_columns(const parsum_scan *scan, const scan_tile *tile)
{
    const scan_kernels *kernels = &parsum_kernels()->scan;
    scan_buffer buffer;
    double start[SCAN_TILE], factor[SCAN_TILE];
    int64_t start_exponent[SCAN_TILE], exponent[SCAN_TILE];
    int64_t failed[SCAN_TILE], infinite[SCAN_TILE];
    int flags = 0, over = 0;
    for (size_t j = 0; j < SCAN_TILE; j++) {
        scan_factor before = no_factor;
        if (j < tile->columns)
            memcpy(&before, start_of(scan, tile, j), sizeof before);
        start[j] = before.factor;
        start_exponent[j] = before.exponent;
        failed[j] = !isfinite(before.factor);
        factor[j] = 1;
        exponent[j] = infinite[j] = 0;
    }
    for (size_t first = 0; first < tile->rows; first += SCAN_GROUP) {
        scan_rows rows;
        parsum_tile_load(tile,
                         scan->element == PARSUM_FLOAT64 ? NULL : kernels_of(scan->element)->widen,
                         first, &buffer, &rows);
        kernels->product_columns(&rows, start, start_exponent, factor, exponent, failed, infinite);
        over |= parsum_tile_store(tile, first, &rows);
    }
    for (size_t j = 0; j < tile->columns; j++) {
        if (failed[j]) {
            flags |= parsum_tile_column(scan, tile, j);
            continue;
        }
        const scan_factor total = {factor[j], exponent[j]};
        push_columns(scan, tile, j, &total);
        if (infinite[j] || (over && !(flags & PARSUM_OVERFLOW) && parsum_tile_overflowed(tile, j)))
            flags |= PARSUM_OVERFLOW;
    }
    return flags;
}

/* ---- sums of long doubles ---- */

/* A sum and what rounding has taken from it so far (Neumaier 1974). */
typedef struct {
    long double sum, rest;
} compensated;

static const compensated no_compensated = {-0.0L, 0};

static void join_compensated(void *left, const void *right)
{
    compensated *a = left;
    const compensated *b = right;
    const long double sum = a->sum + b->sum, part = sum - a->sum;
    const long double lost = (a->sum - (sum - part)) + (b->sum - part);
    a->sum = sum;
    /* an infinite sum would make it NaN, and has no use for it */
    a->rest = isfinite(sum) ? a->rest + b->rest + lost : 0;
}

static inline int store_long_double(long double value, int type, void *result)
{
    double narrow;
    switch (type) {
    case PARSUM_LONGDOUBLE:
        memset(result, 0, sizeof value); /* the padding too: results are compared by their bytes */
        *(long double *)result = value;
        return 0;
    case PARSUM_FLOAT32: {
        const float narrower = (float)value;
        memcpy(result, &narrower, sizeof narrower);
        return isinf(narrower) && isfinite(value) ? PARSUM_OVERFLOW : 0;
    }
    default:
        narrow = (double)value;
        if (parsum_scan_narrow(&narrow, 1, type, result) || (isinf(narrow) && isfinite(value)))
            return PARSUM_OVERFLOW;
        return 0;
    }
}

/* Adds an element without asking whether the sum is finite. */
static inline void add_compensated(compensated *sum, long double v)
{
    const long double next = sum->sum + v, part = next - sum->sum;
    sum->rest += (sum->sum - (next - part)) + (v - part);
    sum->sum = next;
}

static void total_compensated(const parsum_scan *scan, const void *data, size_t n, void *total)
{
    const long double *v = data;
    compensated sum = no_compensated;
    (void)scan;
    for (size_t i = 0; i < n; i++)
        add_compensated(&sum, v[i]);
    if (!isfinite(sum.sum))
        sum.rest = 0;
    memcpy(total, &sum, sizeof sum);
}

static int prefixes_compensated(const parsum_scan *scan, const void *start, const void *data,
                                size_t n, int type, void *result, void *total)
{
    const long double *v = data;
    const size_t size = parsum_type_size[type];
    compensated sum = no_compensated, before;
    int flags = 0;
    (void)scan;
    memcpy(&before, start, sizeof before);
    int nan_given = isnan(before.sum), given = !isfinite(before.sum);
    size_t seen = 0; /* elements that these two tell of */
    for (size_t i = 0; i < n; i++) {
        add_compensated(&sum, v[i]);
        compensated all = before;
        add_compensated(&all, sum.sum);
        /* once infinite, the rest is NaN and of no use */
        const long double rest = all.rest + sum.rest;
        long double prefix = all.sum;
        if (rest != 0 && isfinite(prefix))
            prefix += rest;
        if (prefix - prefix != 0) {
            for (; seen <= i; seen++) {
                nan_given |= isnan(v[seen]);
                given |= !isfinite(v[seen]);
            }
            if (isnan(prefix)) {
                prefix = (long double)NAN;
                flags |= nan_given ? 0 : PARSUM_INVALID;
            } else {
                flags |= given ? 0 : PARSUM_OVERFLOW;
            }
        }
        flags |= store_long_double(prefix, type, (char *)result + i * size);
    }
    if (!isfinite(sum.sum))
        sum.rest = 0;
    memcpy(total, &sum, sizeof sum);
    return flags;
}

/* ---- products of long doubles and complex numbers ---- */

#define SCAN_CHAINS 4

static int moderate_long(const long double *v, size_t n)
{
    uint64_t outside = 0;
    for (size_t i = 0; i < n; i++)
        outside |= bits_of((double)v[i]) - bits_of(0x1p-64);
    return (outside & (UINT64_C(0xf) << 59)) == 0;
}

static int moderate_double(const double *v, size_t n)
{
    return parsum_kernels()->scan.moderate(v, n);
}

#define PART long double
#define NAME(x) x##_long
#define IS_COMPLEX 0
#define MAGNITUDE fabsl
#define SCALE ldexpl
#define MODERATE moderate_long
#include "scan_product_body.h"

#define PART double
#define NAME(x) x##_complex
#define IS_COMPLEX 1
#define MAGNITUDE fabs
#define SCALE ldexp
#define MODERATE moderate_double
#include "scan_product_body.h"

#define PART long double
#define NAME(x) x##_complex_long
#define IS_COMPLEX 1
#define MAGNITUDE fabsl
#define SCALE ldexpl
#define MODERATE moderate_long
#include "scan_product_body.h"

static int part_type(int type)
{
    return type == PARSUM_COMPLEX64     ? PARSUM_FLOAT32
           : type == PARSUM_COMPLEX128  ? PARSUM_FLOAT64
           : type == PARSUM_CLONGDOUBLE ? PARSUM_LONGDOUBLE
                                        : type;
}

static int store_long_doubles(const long double *values, size_t n, int type, char *result)
{
    int flags = 0;
    for (size_t i = 0; i < n; i++)
        flags |= store_long_double(values[i], type, result + i * parsum_type_size[type]);
    return flags;
}

static void total_product_long(const parsum_scan *scan, const void *data, size_t n, void *total)
{
    (void)scan;
    leaf_long(&none_long, data, n, NULL, total);
}

static int prefixes_product_long(const parsum_scan *scan, const void *start, const void *data,
                                 size_t n, int type, void *result, void *total)
{
    long double products[SCAN_LEAF];
    (void)scan;
    const int flags = leaf_long(start, data, n, products, total);
    return flags | store_long_doubles(products, n, type, result);
}

static void total_product_complex_long(const parsum_scan *scan, const void *data, size_t n,
                                       void *total)
{
    (void)scan;
    leaf_complex_long(&none_complex_long, data, n, NULL, total);
}

static int prefixes_product_complex_long(const parsum_scan *scan, const void *start,
                                         const void *data, size_t n, int type, void *result,
                                         void *total)
{
    long double products[2 * SCAN_LEAF];
    (void)scan;
    const int flags = leaf_complex_long(start, data, n, products, total);
    return flags | store_long_doubles(products, 2 * n, part_type(type), result);
}

static const double *complex_of(const parsum_scan *scan, const void *data, size_t n, double *buffer)
{
    if (scan->element == PARSUM_COMPLEX128)
        return data;
    parsum_kernels()->f32.widen(data, 2 * n, buffer);
    return buffer;
}

static void total_product_complex(const parsum_scan *scan, const void *data, size_t n, void *total)
{
    double buffer[2 * SCAN_LEAF];
    leaf_complex(&none_complex, complex_of(scan, data, n, buffer), n, NULL, total);
}

static int prefixes_product_complex(const parsum_scan *scan, const void *start, const void *data,
                                    size_t n, int type, void *result, void *total)
{
    double buffer[2 * SCAN_LEAF], products[2 * SCAN_LEAF];
    int flags = leaf_complex(start, complex_of(scan, data, n, buffer), n, products, total);
    if (parsum_scan_narrow(products, 2 * n, part_type(type), result))
        flags |= PARSUM_OVERFLOW;
    return flags;
}

/* ---- the table ---- */

static const double minus_zero_f64 = -0.0, one_f64 = 1;
static const float minus_zero_f32 = -0.0f, one_f32 = 1;
static const uint16_t minus_zero_f16 = 0x8000, one_f16 = 0x3c00;
static const long double minus_zero_long = -0.0L, one_long[2] = {1, 0};
static const float one_complex64[2] = {1, 0};
static const double one_complex128[2] = {1, 0};

static const ordered_kind fast_kind = {sizeof(double), &no_sum, join_sums, total_fast,
                                       prefixes_fast};
static const ordered_kind product_kind = {sizeof(scan_factor), &no_factor, join_factors,
                                          total_product, prefixes_product};
static const ordered_kind compensated_kind = {sizeof(compensated), &no_compensated,
                                              join_compensated, total_compensated,
                                              prefixes_compensated};
static const ordered_kind long_kind = {sizeof(value_long), &none_long, join_long,
                                       total_product_long, prefixes_product_long};
static const ordered_kind complex_kind = {sizeof(value_complex), &none_complex, join_complex,
                                          total_product_complex, prefixes_product_complex};
static const ordered_kind complex_long_kind = {sizeof(value_complex_long), &none_complex_long,
                                               join_complex_long, total_product_complex_long,
                                               prefixes_product_complex_long};

#define COMPLEXES (BIT(PARSUM_COMPLEX64) | BIT(PARSUM_COMPLEX128) | BIT(PARSUM_CLONGDOUBLE))
#define ORDERED_SCAN(OPERATION, ELEMENT, RESULTS, NEUTRAL, KIND, VALUE)                            \
    .operation = OPERATION, .element = ELEMENT, .results = RESULTS, .neutral = &(NEUTRAL),         \
    .total_size = STATE_BYTES(VALUE), .prefix_size = STATE_BYTES(VALUE), .kind = &(KIND),          \
    .start_total = start_ordered, .add = add_ordered, .start_prefix = start_ordered,               \
    .advance = advance_ordered, .scan = scan_ordered
#define FLOAT_SCANS(TYPE, ELEMENT)                                                                 \
    {ORDERED_SCAN("sum", ELEMENT, FLOATS, minus_zero_##TYPE, fast_kind, double), .method = "fast", \
     .scan_columns = scan_fast_columns},                                                           \
    {                                                                                              \
        ORDERED_SCAN("prod", ELEMENT, FLOATS, one_##TYPE, product_kind, scan_factor),              \
            .scan_columns = scan_product_columns                                                   \
    }

const parsum_scan parsum_ordered_scans[] = {
    FLOAT_SCANS(f16, PARSUM_FLOAT16),
    FLOAT_SCANS(f32, PARSUM_FLOAT32),
    FLOAT_SCANS(f64, PARSUM_FLOAT64),
    {ORDERED_SCAN("sum", PARSUM_LONGDOUBLE, FLOATS, minus_zero_long, compensated_kind,
                  compensated)},
    {ORDERED_SCAN("prod", PARSUM_LONGDOUBLE, FLOATS, one_long, long_kind, value_long)},
    {ORDERED_SCAN("prod", PARSUM_COMPLEX64, COMPLEXES, one_complex64, complex_kind, value_complex)},
    {ORDERED_SCAN("prod", PARSUM_COMPLEX128, COMPLEXES, one_complex128, complex_kind,
                  value_complex)},
    {ORDERED_SCAN("prod", PARSUM_CLONGDOUBLE, COMPLEXES, one_long, complex_long_kind,
                  value_complex_long)},
    {.operation = NULL},
};
