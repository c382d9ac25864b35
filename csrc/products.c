/* Exact sums of products: dot products, and the sums of squares that variances and norms are made
 * of. */
#include "products.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "exact.h"
#include "kernels.h"
#include "moments.h"
#include "moments_state.h"
#include "rational.h"
#include "reductions.h"
#include "short_moments.h"
#include "states.h"
#include "wide.h"

/* ---- one exact sum of products ---- */

#define LIMB_EXPONENT (-2148)
/* An addition adds less than 2^32 to a limb: 2^30 of them stay below 2^62. */
#define LIMB_ADDS (1 << 30)
/* A kernel's parts are below 2^56 units; 64 of them stay below 2^62. */
#define PENDING 64
#define NO_WINDOW INT32_MIN

static void clear_sum(product_sum *sum)
{
    memset(sum, 0, offsetof(product_sum, limb));
    sum->window = NO_WINDOW;
}

/* Cleared but for the window: the next data are likely in the same. */
static void restart_sum(product_sum *sum)
{
    const int32_t window = sum->window;
    clear_sum(sum);
    sum->window = window;
}

/* Limbs 0 .. n-2 to [0, 2^32). */
static void pass_carries(product_sum *sum)
{
    int64_t carry = 0;
    for (int i = 0; i < PRODUCT_LIMBS - 1; i++) {
        const int64_t value = sum->limb[i] + carry;
        sum->limb[i] = value & 0xffffffff;
        carry = value >> 32;
    }
    sum->limb[PRODUCT_LIMBS - 1] = wrapping_sum(sum->limb[PRODUCT_LIMBS - 1], carry);
    sum->limb_adds = 1;
}

static void reserve_limbs(product_sum *sum, int32_t adds)
{
    if (!sum->limbs_used) {
        memset(sum->limb, 0, sizeof sum->limb);
        sum->limbs_used = 1;
        sum->limb_adds = 0;
    }
    if (sum->limb_adds > LIMB_ADDS - adds)
        pass_carries(sum);
    sum->limb_adds += adds;
}

static void add_int128(product_sum *sum, int128 value, int exponent)
{
    if (value == 0)
        return;
    reserve_limbs(sum, 1);
    parsum_limbs_add(sum->limb, PRODUCT_LIMBS, value, (unsigned)(exponent - LIMB_EXPONENT));
}

/* |part| < 2^62, so both are below 2^109. */
static int128 pending_products(const product_sum *sum)
{
    return (int128)((uint128)(int128)sum->part[PART_HIGH] << 46) + sum->part[PART_LOW];
}

static int128 pending_errors(const product_sum *sum)
{
    return (int128)((uint128)(int128)sum->part[PART_HIGH_ERROR] << 46) + sum->part[PART_LOW_ERROR];
}

static void flush(product_sum *sum)
{
    add_int128(sum, pending_products(sum), sum->window - 52);
    add_int128(sum, pending_errors(sum), sum->window - 106);
    memset(sum->part, 0, sizeof sum->part);
    sum->pending = 0;
}

static void add_parts(product_sum *sum, int window, const int64_t *parts)
{
    if (sum->window != window || sum->pending >= PENDING) {
        if (sum->pending)
            flush(sum);
        sum->window = window;
    }
    for (int k = 0; k < PART_SUM_HIGH; k++)
        sum->part[k] += parts[k];
    sum->pending++;
}

static void combine_sums(product_sum *sum, const product_sum *other)
{
    sum->nan |= other->nan;
    sum->invalid |= other->invalid;
    sum->plus_infinity |= other->plus_infinity;
    sum->minus_infinity |= other->minus_infinity;
    if (other->pending) {
        if (sum->pending &&
            (sum->window != other->window || sum->pending + other->pending > PENDING))
            flush(sum);
        sum->window = other->window;
        for (int k = 0; k < PART_SUM_HIGH; k++)
            sum->part[k] += other->part[k];
        sum->pending += other->pending;
    }
    if (!other->limbs_used)
        return;
    if (!sum->limbs_used) {
        memcpy(sum->limb, other->limb, sizeof sum->limb);
        sum->limbs_used = 1;
        sum->limb_adds = other->limb_adds;
        return;
    }
    reserve_limbs(sum, other->limb_adds + 1);
    for (int i = 0; i < PRODUCT_LIMBS; i++)
        sum->limb[i] = wrapping_sum(sum->limb[i], other->limb[i]);
    if (sum->limb_adds > LIMB_ADDS)
        pass_carries(sum);
}

/* Of elements of that enum product_type, or their squares: their kernels ask more of a window (see
 * products.h). */
static int valid_sum(const product_sum *sum, int type, int squares)
{
    const int window = sum->window, no_window = window == NO_WINDOW;
    if (sum->pending < 0 || sum->pending > (no_window ? 0 : PENDING))
        return 0;
    if (!no_window && (window < PRODUCT_WINDOW_MIN || window > PRODUCT_WINDOW_MAX ||
                       (type == OF_F16 && window != PRODUCT_WINDOW_F16) ||
                       (type != OF_F16 && squares && (window & 1) != (type == OF_F32))))
        return 0;
    const int64_t most = (int64_t)sum->pending << 56;
    for (int k = 0; k < PART_SUM_HIGH; k++)
        if (sum->part[k] < -most || sum->part[k] > most)
            return 0;
    if (sum->limbs_used > 1 || sum->nan > 1 || sum->invalid > 1 || sum->plus_infinity > 1 ||
        sum->minus_infinity > 1)
        return 0;
    if (!sum->limbs_used)
        return 1;
    return sum->limb_adds >= 0 && sum->limb_adds <= LIMB_ADDS &&
           limbs_are_valid(sum->limb, PRODUCT_LIMBS, (int64_t)sum->limb_adds << 32);
}

static void exact_value(const product_sum *sum, big *out)
{
    big limbs, window;
    if (!sum->pending) {
        if (sum->limbs_used)
            big_from_limbs(sum->limb, PRODUCT_LIMBS, LIMB_EXPONENT, out);
        else
            big_from_uint64(0, out);
        return;
    }
    big high, low;
    big_from_int128(pending_products(sum), sum->window - 52, &high);
    big_from_int128(pending_errors(sum), sum->window - 106, &low);
    if (!sum->limbs_used) {
        big_add(&high, &low, out);
        return;
    }
    big_add(&high, &low, &window);
    big_from_limbs(sum->limb, PRODUCT_LIMBS, LIMB_EXPONENT, &limbs);
    big_add(&window, &limbs, out);
}

/* Whether special values decide the result, and then it and its flags. */
static int is_special(const product_sum *sum, int type, void *result, int *flags)
{
    *flags = 0;
    if (sum->nan || sum->invalid || (sum->plus_infinity && sum->minus_infinity)) {
        parsum_store(type, (double)NAN, result);
        *flags = sum->nan ? 0 : PARSUM_INVALID;
        return 1;
    }
    if (sum->plus_infinity || sum->minus_infinity) {
        parsum_store(type, sum->plus_infinity ? (double)INFINITY : -(double)INFINITY, result);
        return 1;
    }
    return 0;
}

/* The sum of a window, times 2^(106 - window): all there is where no limbs are in use. */
static wide window_sum(const product_sum *sum)
{
    return wide_joined(pending_products(sum), 54, pending_errors(sum));
}

static int finish_sum(const product_sum *sum, int type, void *result)
{
    int flags;
    big value;
    if (is_special(sum, type, result, &flags))
        return flags;
    if (!sum->limbs_used && sum->pending) {
        wide all = window_sum(sum);
        const int negative = (int64_t)all.word[3] < 0;
        if (negative)
            wide_negate(&all);
        if (wide_is_zero(&all))
            return parsum_round_int128(0, 0, type, result);
        return wide_round(negative, &all, sum->window - 106, type, result);
    }
    exact_value(sum, &value);
    return big_round(&value, type, result);
}

/* ---- products one by one ---- */

#define FRACTION UINT64_C(0xfffffffffffff)

/* The significand of a finite double and the place of its last bit above 2^-1074. */
static inline int64_t significand(uint64_t bits, unsigned *place)
{
    const uint64_t exponent = bits >> 52 & 0x7ff, normal = exponent != 0;
    *place = (unsigned)(exponent - normal);
    return (int64_t)((bits & FRACTION) | normal << 52);
}

static int is_finite(uint64_t bits)
{
    return (bits >> 52 & 0x7ff) != 0x7ff;
}

static void add_special(product_sum *sum, double a, double b)
{
    const double product = a * b;
    if (a != a || b != b)
        sum->nan = 1;
    else if (product != product)
        sum->invalid = 1;
    else if (product > 0)
        sum->plus_infinity = 1;
    else
        sum->minus_infinity = 1;
}

static void add_product(product_sum *sum, double a, double b)
{
    unsigned i, j;
    const uint64_t x = bits_of(a), y = bits_of(b);
    if (!is_finite(x) || !is_finite(y)) {
        add_special(sum, a, b);
        return;
    }
    const int128 product = (int128)significand(x, &i) * significand(y, &j);
    reserve_limbs(sum, 1);
    parsum_limbs_add(sum->limb, PRODUCT_LIMBS, (x ^ y) >> 63 ? -product : product, i + j);
}

/* A bin for each place that a product can end at sums products of significands as they are, one for
 * each place of an element the elements: an addition of 128 bits to each, three times as fast as
 * the limbs. Too large for a state; they serve one call. A product is below 2^106, so that 2^20 of
 * them are below 2^126. */
#define PLACES 2046
#define BIN_ADDS ((size_t)1 << 20)

typedef struct {
    size_t adds;
    unsigned least, largest; /* places of products in use */
    int128 product[2 * PLACES];
} product_bins;

typedef struct {
    size_t adds;
    unsigned least, largest; /* places of elements in use */
    int128 square[PLACES];
    int128 sum[2][PLACES]; /* of the elements of even and of odd number */
} moment_bins;

static void flush_product_bins(product_sum *sum, product_bins *bins)
{
    for (unsigned k = bins->least; k <= bins->largest; k++) {
        add_int128(sum, bins->product[k], (int)k + LIMB_EXPONENT);
        bins->product[k] = 0;
    }
    bins->adds = 0;
}

/* Values of any kind; those of odd number count negative if `negate_odd`, and `swap` is as for the
 * kernels. */
static void add_to_product_bins(product_sum *sum, product_bins *bins, const double *a,
                                const double *b, size_t n, size_t swap, int negate_odd)
{
    if (bins->adds + n > BIN_ADDS)
        flush_product_bins(sum, bins);
    bins->adds += n;
    for (size_t i = 0; i < n; i++) {
        unsigned j, k;
        const uint64_t x = bits_of(a[i]) ^ ((uint64_t)(negate_odd & (int)i) << 63);
        const uint64_t y = bits_of(b[i ^ swap]);
        if (!is_finite(x) || !is_finite(y)) {
            add_special(sum, double_of(x), double_of(y));
            continue;
        }
        const int64_t sign = (int64_t)(x ^ y) >> 63;
        const int64_t left = (significand(x, &j) ^ sign) - sign, right = significand(y, &k);
        bins->product[j + k] += (int128)left * right;
        bins->least = j + k < bins->least ? j + k : bins->least;
        bins->largest = j + k > bins->largest ? j + k : bins->largest;
    }
}

/* ---- runs of products ---- */

static void gather(void *out, const char *data, size_t n, ptrdiff_t stride, size_t item)
{
    char *to = out;
    for (size_t i = 0; i < n; i++, to += item, data += stride)
        memcpy(to, data, item);
}

/* What the functions below need to know of an element type. */
typedef struct {
    const product_kernels *kernels;
    const missing_kernels *missing;
    void (*widen)(const void *data, size_t n, double *out);
    size_t size;
    int type;
} product_type;

static product_type type_f64(void)
{
    const kernel_table *table = parsum_kernels();
    return (product_type){&table->products_f64, &table->missing_f64, table->f64.widen,
                          sizeof(double), OF_F64};
}

static product_type type_f32(void)
{
    const kernel_table *table = parsum_kernels();
    return (product_type){&table->products_f32, &table->missing_f32, table->f32.widen,
                          sizeof(float), OF_F32};
}

static product_type type_f16(void)
{
    const kernel_table *table = parsum_kernels();
    return (product_type){&table->products_f16, &table->missing_f16, table->f16.widen,
                          sizeof(uint16_t), OF_F16};
}

/* That of an element, or of its parts. */
static product_type type_of_numbers(int element)
{
    switch (element) {
    case PARSUM_FLOAT16:
        return type_f16();
    case PARSUM_FLOAT32:
    case PARSUM_COMPLEX64:
        return type_f32();
    default:
        return type_f64();
    }
}

/* Two binades above the largest product so far are left for those to come. */
#define HEADROOM 2

/* The window for products up to one of these bits. */
static int window_below(const product_type *type, int64_t largest)
{
    if (type->type == OF_F16)
        return PRODUCT_WINDOW_F16;
    const int window = (int)(largest >> 52) - 1023 + 1 + HEADROOM - PRODUCT_SPAN;
    return window < PRODUCT_WINDOW_MIN   ? PRODUCT_WINDOW_MIN
           : window > PRODUCT_WINDOW_MAX ? PRODUCT_WINDOW_MAX
                                         : window;
}

/* Where products go, and how they are taken: see add_to_product_bins. */
typedef struct {
    product_sum *sum;
    product_bins *bins; /* NULL before they are needed */
    size_t swap;
    int negate_odd;
    int unruly; /* the block before did not fit a window, so the next is likely not to either */
} product_run;

static double widened(const product_type *type, const char *data, size_t i)
{
    double value;
    type->widen(data + i * type->size, 1, &value);
    return value;
}

static int try_products(const product_run *run, const product_type *type, const char *a,
                        const char *b, size_t n, int window)
{
    int64_t parts[2][PRODUCT_PARTS] = {{0}};
    uint16_t outliers[OUTLIERS_ROOM];
    product_sum *sum = run->sum;
    const int listed = type->kernels->products(a, b, n, (int)run->swap, window, parts, outliers);
    if (listed < 0)
        return 0;
    for (int k = 0; k < PART_SUM_HIGH; k++)
        parts[0][k] += run->negate_odd ? -parts[1][k] : parts[1][k];
    add_parts(sum, window, parts[0]);
    for (int k = 0; k < listed; k++) {
        const size_t i = outliers[k];
        const double x = widened(type, a, i);
        add_product(sum, run->negate_odd & (int)i ? -x : x, widened(type, b, i ^ run->swap));
    }
    return 1;
}

static void add_unruly_products(product_run *run, const product_type *type, const char *a,
                                const char *b, size_t n)
{
    double x[BLOCK], y[BLOCK];
    type->widen(a, n, x);
    type->widen(b, n, y);
    if (run->bins) {
        add_to_product_bins(run->sum, run->bins, x, y, n, run->swap, run->negate_odd);
        return;
    }
    for (size_t i = 0; i < n; i++)
        add_product(run->sum, run->negate_odd & (int)i ? -x[i] : x[i], y[i ^ run->swap]);
}

/* The window for a block whose largest product has these bits; of zeros any will do. */
static int window_of(const product_sum *sum, const product_type *type, int64_t largest)
{
    if (!largest && sum->window != NO_WINDOW)
        return sum->window;
    return window_below(type, largest);
}

static int fits_window(const product_run *run, const product_type *type, const char *a,
                       const char *b, size_t n)
{
    const product_sum *sum = run->sum;
    if (!run->unruly && sum->window != NO_WINDOW && try_products(run, type, a, b, n, sum->window))
        return 1;
    const int64_t largest = type->kernels->largest(a, b, n, (int)run->swap);
    return try_products(run, type, a, b, n, window_of(sum, type, largest));
}

/* Clearing the bins and passing them on takes as long as adding some blocks without them. */
#define WORTH_BINS (4 * BLOCK)

/* n contiguous, aligned elements of either array, taken in by some runs each. */
static void take_products(product_run *runs, int count, const product_type *type, const char *a,
                          const char *b, size_t n)
{
    product_bins bins[2];
    const int worth = n >= WORTH_BINS;
    while (n) {
        const size_t block = n < BLOCK ? n : BLOCK;
        int known = 1;
        for (int k = 0; k < count; k++) {
            product_run *run = &runs[k];
            if (run->sum->nan)
                continue; /* the result is known */
            known = 0;
            run->unruly = !fits_window(run, type, a, b, block);
            if (!run->unruly)
                continue;
            if (worth && !run->bins) {
                run->bins = &bins[k];
                memset(run->bins, 0, sizeof *run->bins);
                run->bins->least = 2 * PLACES;
            }
            add_unruly_products(run, type, a, b, block);
        }
        if (known)
            break;
        a += block * type->size;
        b += block * type->size;
        n -= block;
    }
    for (int k = 0; k < count; k++)
        if (runs[k].bins)
            flush_product_bins(runs[k].sum, runs[k].bins);
}

/* Elements of `item` bytes at any stride and alignment, each one or two numbers of the type. */
static void accumulate_products(product_run *runs, int count, const product_type *type, size_t item,
                                const char *a, const char *b, size_t n, ptrdiff_t a_stride,
                                ptrdiff_t b_stride)
{
    const size_t numbers = item / type->size;
    const int a_plain = a_stride == (ptrdiff_t)item && (uintptr_t)a % type->size == 0;
    const int b_plain = b_stride == (ptrdiff_t)item && (uintptr_t)b % type->size == 0;
    if (a_plain && b_plain) {
        take_products(runs, count, type, a, b, numbers * n);
        return;
    }
    double x[BLOCK], y[BLOCK];
    while (n) {
        const size_t block = n < BLOCK / numbers ? n : BLOCK / numbers;
        const char *p = a, *q = b;
        if (!a_plain) {
            gather(x, a, block, a_stride, item);
            p = (const char *)x;
        }
        if (!b_plain) {
            gather(y, b, block, b_stride, item);
            q = (const char *)y;
        }
        take_products(runs, count, type, p, q, numbers * block);
        a += (ptrdiff_t)block * a_stride;
        b += (ptrdiff_t)block * b_stride;
        n -= block;
    }
}

/* ---- runs of squares, with sums of the elements themselves ---- */

/* `parts` is the number of parts that an element has: 2 for complex numbers. Without sums only the
 * squares are taken in. */
typedef struct {
    product_sum *squares;
    exact_state *sums; /* NULL if they are not wanted */
    int parts;
    moment_bins *bins;
    int unruly;
    number_ends *ends; /* NULL if they are not wanted; else numbers may be NaN */
    int gaps;          /* the block before had NaN, so the next is likely to have too */
} moment_run;

static void flush_moment_bins(const moment_run *run)
{
    moment_bins *bins = run->bins;
    for (unsigned k = bins->least; k <= bins->largest; k++) {
        add_int128(run->squares, bins->square[k], 2 * (int)k + LIMB_EXPONENT);
        bins->square[k] = 0;
        for (int j = 0; j < run->parts && run->sums; j++) {
            parsum_exact_add_int128(&run->sums[j], bins->sum[j][k], (int)k - 1074);
            bins->sum[j][k] = 0;
        }
    }
    bins->adds = 0;
}

static void add_special_square(const moment_run *run, double value, size_t i)
{
    if (run->sums)
        parsum_exact_add_special(&run->sums[i % (size_t)run->parts], value);
    add_special(run->squares, value, value);
}

static void add_to_moment_bins(const moment_run *run, const double *values, size_t n)
{
    moment_bins *bins = run->bins;
    const size_t odd = (size_t)run->parts - 1;
    if (bins->adds + n > BIN_ADDS)
        flush_moment_bins(run);
    bins->adds += n;
    for (size_t i = 0; i < n; i++) {
        unsigned k;
        const uint64_t bits = bits_of(values[i]);
        if (!is_finite(bits)) {
            add_special_square(run, values[i], i);
            continue;
        }
        const int64_t value = significand(bits, &k), sign = (int64_t)bits >> 63;
        bins->square[k] += (int128)value * value;
        bins->sum[i & odd][k] += (value ^ sign) - sign;
        bins->least = k < bins->least ? k : bins->least;
        bins->largest = k > bins->largest ? k : bins->largest;
    }
}

static void add_square(const moment_run *run, double value, size_t i)
{
    if (!is_finite(bits_of(value))) {
        add_special_square(run, value, i);
        return;
    }
    add_product(run->squares, value, value);
    if (run->sums)
        parsum_exact_add_elements(&run->sums[i % (size_t)run->parts], &value, 1, 1);
}

/* Whether a is less than b, and -0.0 than 0.0. */
static int precedes(double a, double b)
{
    return a < b || (a == b && signbit(a) > signbit(b));
}

void parsum_join_ends(number_ends *ends, double least, double largest)
{
    ends->least = precedes(least, ends->least) ? least : ends->least;
    ends->largest = precedes(ends->largest, largest) ? largest : ends->largest;
}

/* The ends of numbers without NaN. */
static void find_ends(const product_type *type, const char *data, size_t n, number_ends *ends)
{
    for (size_t i = 0; i < n; i++) {
        const double value = widened(type, data, i);
        parsum_join_ends(ends, value, value);
    }
}

/* A window's sums, and the ends along with them; not if there is a NaN. */
static int try_ends(const moment_run *run, const product_type *type, const char *data, size_t n,
                    int window, int64_t (*parts)[PRODUCT_PARTS], uint16_t *outliers)
{
    double ends[2] = {(double)INFINITY, -(double)INFINITY};
    const int listed = type->kernels->ends(data, n, window, parts, outliers, ends);
    for (int k = 0; k < listed; k++)
        if (isnan(widened(type, data, outliers[k])))
            return -1;
    if (listed >= 0 && ends[0] != 0 && ends[1] != 0)
        parsum_join_ends(run->ends, ends[0], ends[1]);
    else if (listed >= 0) /* zeros, but which? */
        find_ends(type, data, n, run->ends);
    return listed;
}

static int try_moments(const moment_run *run, const product_type *type, const char *data, size_t n,
                       int window)
{
    int64_t parts[2][PRODUCT_PARTS] = {{0}};
    uint16_t outliers[OUTLIERS_ROOM];
    const int listed = run->ends ? try_ends(run, type, data, n, window, parts, outliers)
                                 : (run->sums ? type->kernels->moments : type->kernels->squares)(
                                       data, n, window, parts, outliers);
    if (listed < 0)
        return 0;
    if (run->sums && run->parts == 1)
        for (int k = PART_SUM_HIGH; k < PRODUCT_PARTS; k++)
            parts[0][k] += parts[1][k];
    for (int j = 0; j < run->parts && run->sums; j++)
        exact_add_window(&run->sums[j], sum_window(type->type, window), parts[j][PART_SUM_HIGH],
                         parts[j][PART_SUM_LOW]);
    for (int k = 0; k < PART_SUM_HIGH; k++)
        parts[0][k] += parts[1][k];
    add_parts(run->squares, window, parts[0]);
    for (int k = 0; k < listed; k++)
        add_square(run, widened(type, data, outliers[k]), outliers[k]);
    return 1;
}

/* The window that takes squares up to one of these bits; half of it is a window of elements too. */
static int square_window(const product_type *type, int64_t largest)
{
    const int window = window_below(type, largest);
    return type->type == OF_F16 || (window & 1) == (type->type == OF_F32) ? window : window + 1;
}

static int fits_last_window(const moment_run *run, const product_type *type, const char *data,
                            size_t n)
{
    const int window = run->squares->window;
    return !run->unruly && window != NO_WINDOW && try_moments(run, type, data, n, window);
}

static int fits_own_window(const moment_run *run, const product_type *type, const char *data,
                           size_t n)
{
    const product_sum *squares = run->squares;
    const int64_t largest = type->kernels->largest(data, data, n, 0);
    const int window =
        !largest && squares->window != NO_WINDOW ? squares->window : square_window(type, largest);
    return try_moments(run, type, data, n, window);
}

static void add_unruly_squares(const moment_run *run, const product_type *type, const char *data,
                               size_t n)
{
    double values[BLOCK];
    type->widen(data, n, values);
    if (run->bins) {
        add_to_moment_bins(run, values, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        add_square(run, values[i], i);
}

/* Leaves NaN out of a block that may have some: where what is left begins, and how much it is. */
static const char *without_nan(moment_run *run, const product_type *type, const char *data,
                               size_t *n, double *room)
{
    const size_t all = *n;
    run->gaps = type->missing->has(data, all);
    if (!run->gaps)
        return data;
    *n = type->missing->drop(data, all, room);
    run->ends->nans += all - *n;
    return (const char *)room;
}

/* n contiguous, aligned numbers. */
static void take_squares(moment_run *run, const product_type *type, const char *data, size_t n)
{
    moment_bins bins;
    const int worth = n >= WORTH_BINS;
    while (n && !run->squares->nan) {
        const size_t block = n < BLOCK ? n : BLOCK;
        double room[BLOCK];
        const char *at = data;
        size_t count = block;
        const int whole = !run->gaps;
        int fits = whole && fits_last_window(run, type, at, count);
        if (!fits && run->ends) {
            at = without_nan(run, type, at, &count, room);
            const int new = !whole || run->gaps;
            fits = !count || (new && fits_last_window(run, type, at, count));
        }
        run->unruly = !fits && !fits_own_window(run, type, at, count);
        if (run->unruly) {
            if (worth && !run->bins) {
                run->bins = &bins;
                memset(&bins, 0, sizeof bins);
                bins.least = PLACES;
            }
            add_unruly_squares(run, type, at, count);
            if (run->ends)
                find_ends(type, at, count, run->ends);
        }
        data += block * type->size;
        n -= block;
    }
    if (run->bins)
        flush_moment_bins(run);
}

/* Elements of run->parts numbers at any stride and alignment. */
static void accumulate_run(moment_run *run, const product_type *type, const char *data, size_t n,
                           ptrdiff_t stride)
{
    const size_t parts = (size_t)run->parts, item = parts * type->size;
    if (stride == (ptrdiff_t)item && (uintptr_t)data % type->size == 0) {
        take_squares(run, type, data, parts * n);
        return;
    }
    double gathered[BLOCK];
    while (n) {
        const size_t block = n < BLOCK / parts ? n : BLOCK / parts;
        gather(gathered, data, block, stride, item);
        take_squares(run, type, (const char *)gathered, parts * block);
        data += (ptrdiff_t)block * stride;
        n -= block;
    }
}

static void accumulate_squares(product_sum *squares, exact_state *sums, int parts,
                               const product_type *type, const char *data, size_t n,
                               ptrdiff_t stride)
{
    moment_run run = {.squares = squares, .sums = sums, .parts = parts};
    accumulate_run(&run, type, data, n, stride);
}

/* ---- columns ---- */

/* Where the products of columns go: column j has states[j], of `size` bytes, with a product_sum at
 * `products` and, if that is not 0, the sums of elements at `sums`. A column is `parts` numbers
 * wide, whose products are summed together, but elements apart. */
typedef struct {
    char *states;
    size_t size, products, sums;
    size_t parts;
    size_t swap;    /* as in product_run */
    int negate_odd; /* likewise */
} column_states;

static product_sum *products_of(const column_states *to, size_t j)
{
    return (product_sum *)(void *)(to->states + j * to->size + to->products);
}

static exact_state *sums_of(const column_states *to, size_t j)
{
    return to->sums ? (exact_state *)(void *)(to->states + j * to->size + to->sums) : NULL;
}

/* Rows of two arrays, or of one, whose squares are meant, and b == NULL. */
typedef struct {
    const char *a, *b;
    ptrdiff_t a_stride, b_stride;
} row_pair;

#define SAMPLE_ROWS 8    /* rows that a column's first window is chosen from */
#define COLUMN_ROWS 2048 /* most rows of one call of a kernel: parts stay below 2^56 */
#define NARROW 64        /* numbers of a row up to here are repeated side by side */

/* The largest product of each column in some of the rows, which have the columns `repeat` times. */
static void sample_columns(const column_states *to, const product_type *type, const row_pair *at,
                           size_t rows, size_t columns, size_t repeat, int64_t *largest)
{
    double x[PRODUCT_TILE], y[PRODUCT_TILE];
    const size_t width = columns * to->parts * repeat, step = rows / SAMPLE_ROWS + 1;
    memset(largest, 0, columns * sizeof *largest);
    for (size_t r = 0; r < rows; r += step) {
        type->widen(at->a + (ptrdiff_t)r * at->a_stride, width, x);
        if (at->b)
            type->widen(at->b + (ptrdiff_t)r * at->b_stride, width, y);
        for (size_t k = 0; k < width; k++) {
            const double product = x[k] * (at->b ? y[k ^ to->swap] : x[k]);
            const int64_t bits = (int64_t)(bits_of(product) & ~SIGN_BIT);
            int64_t *most = &largest[k / to->parts % columns];
            if (bits > *most && bits < (int64_t)INFINITY_BITS)
                *most = bits;
        }
    }
}

/* The window of each column; one of zeros takes the largest of all. */
static void choose_windows(const column_states *to, const product_type *type, const row_pair *at,
                           size_t rows, size_t columns, size_t repeat, int *windows)
{
    int64_t largest[PRODUCT_TILE], all = 0;
    int fresh = 0;
    for (size_t j = 0; j < columns; j++) {
        windows[j] = products_of(to, j)->window;
        fresh |= windows[j] == NO_WINDOW;
    }
    if (!fresh)
        return;
    sample_columns(to, type, at, rows, columns, repeat, largest);
    for (size_t j = 0; j < columns; j++)
        all = largest[j] > all ? largest[j] : all;
    for (size_t j = 0; j < columns; j++) {
        const int64_t bits = largest[j] ? largest[j] : all;
        if (windows[j] == NO_WINDOW)
            windows[j] = at->b ? window_below(type, bits) : square_window(type, bits);
    }
}

/* Takes a column in on its own: it has elements that are not in its window. */
static void take_column(const column_states *to, const product_type *type, const row_pair *at,
                        size_t rows, size_t offset, size_t j)
{
    const size_t item = to->parts * type->size;
    if (!at->b) {
        accumulate_squares(products_of(to, j), sums_of(to, j), (int)to->parts, type, at->a + offset,
                           rows, at->a_stride);
        return;
    }
    product_run run = {.sum = products_of(to, j), .swap = to->swap, .negate_odd = to->negate_odd};
    accumulate_products(&run, 1, type, item, at->a + offset, at->b + offset, rows, at->a_stride,
                        at->b_stride);
}

/* Rows that have the columns `repeat` times, at most PRODUCT_TILE numbers. */
static void take_wide_rows(const column_states *to, const product_type *type, const row_pair *at,
                           size_t rows, size_t columns, size_t repeat)
{
    const size_t parts = to->parts, width = columns * parts * repeat;
    _Alignas(64) int64_t sums[PRODUCT_PARTS][PRODUCT_TILE];
    int64_t outside[PRODUCT_TILE];
    int of_columns[PRODUCT_TILE], windows[PRODUCT_TILE];
    choose_windows(to, type, at, rows, columns, repeat, of_columns);
    for (size_t k = 0; k < width; k++)
        windows[k] = of_columns[k / parts % columns];
    if (at->b)
        type->kernels->product_columns(at->a, at->b, rows, at->a_stride, at->b_stride, width,
                                       (int)to->swap, windows, sums, outside);
    else
        (to->sums ? type->kernels->moment_columns : type->kernels->square_columns)(
            at->a, rows, at->a_stride, width, windows, sums, outside);
    for (size_t k = 0; k < width; k += parts) {
        const size_t j = k / parts % columns;
        int64_t sum[PART_SUM_HIGH];
        if (outside[k] < 0 || outside[k + parts - 1] < 0) {
            take_column(to, type, at, rows, k * type->size, j);
            continue;
        }
        for (int part = 0; part < PART_SUM_HIGH; part++) {
            const int64_t odd = parts > 1 ? sums[part][k + 1] : 0;
            sum[part] = sums[part][k] + (to->negate_odd ? -odd : odd);
        }
        add_parts(products_of(to, j), windows[k], sum);
        for (size_t i = 0; i < parts && to->sums; i++)
            exact_add_window(&sums_of(to, j)[i], sum_window(type->type, windows[k]),
                             sums[PART_SUM_HIGH][k + i], sums[PART_SUM_LOW][k + i]);
    }
}

static void take_rows(const column_states *to, const product_type *type, row_pair at, size_t rows,
                      size_t columns, size_t repeat)
{
    while (rows) {
        const size_t count = rows < COLUMN_ROWS ? rows : COLUMN_ROWS;
        take_wide_rows(to, type, &at, count, columns, repeat);
        at.a += (ptrdiff_t)count * at.a_stride;
        if (at.b)
            at.b += (ptrdiff_t)count * at.b_stride;
        rows -= count;
    }
}

static void accumulate_columns(const column_states *to, const product_type *type, row_pair at,
                               size_t rows, size_t columns)
{
    const size_t item = to->parts * type->size, width = columns * to->parts;
    const ptrdiff_t packed = (ptrdiff_t)(columns * item);
    if (!rows || !columns)
        return;
    if (columns == 1) {
        take_column(to, type, &at, rows, 0, 0);
        return;
    }
    if (width <= NARROW && at.a_stride == packed && (!at.b || at.b_stride == packed)) {
        const size_t repeat = PRODUCT_TILE / width, all = rows / repeat;
        const row_pair repeated = {at.a, at.b, (ptrdiff_t)repeat * packed,
                                   (ptrdiff_t)repeat * packed};
        take_rows(to, type, repeated, all, columns, repeat);
        at.a += (ptrdiff_t)(all * repeat) * packed;
        if (at.b)
            at.b += (ptrdiff_t)(all * repeat) * packed;
        rows -= all * repeat;
        if (rows)
            take_rows(to, type, at, rows, columns, 1);
        return;
    }
    const size_t tile = PRODUCT_TILE / to->parts;
    for (size_t j = 0; j < columns; j += tile) {
        const size_t count = columns - j < tile ? columns - j : tile;
        column_states part = *to;
        part.states += j * to->size;
        take_rows(
            &part, type,
            (row_pair){at.a + j * item, at.b ? at.b + j * item : NULL, at.a_stride, at.b_stride},
            rows, count, 1);
    }
}

/* ---- variances and standard deviations ---- */

static void clear_moments(void *state, double parameter, int parts)
{
    moments_state *moments = state;
    moments->count = 0;
    moments->ddof = parameter;
    clear_sum(&moments->squares);
    for (int j = 0; j < parts; j++)
        parsum_exact_identity(&moments->sums[j]);
}

static void restart_moments(void *state, double parameter, int parts)
{
    moments_state *moments = state;
    moments->count = 0;
    moments->ddof = parameter;
    restart_sum(&moments->squares);
    for (int j = 0; j < parts; j++)
        parsum_exact_restart(&moments->sums[j]);
}

static void combine_moments(void *state, const void *other, int parts)
{
    moments_state *moments = state;
    const moments_state *more = other;
    moments->count += more->count;
    combine_sums(&moments->squares, &more->squares);
    for (int j = 0; j < parts; j++)
        parsum_exact_combine(&moments->sums[j], &more->sums[j]);
}

static int valid_moments(const moments_state *moments, int parts, int type)
{
    int valid = valid_sum(&moments->squares, type, 1);
    for (int j = 0; j < parts; j++)
        valid &= parsum_exact_valid(&moments->sums[j]);
    return valid;
}

int parsum_moments_valid(const moments_state *moments, int type)
{
    return valid_moments(moments, 1, type_of_numbers(type).type);
}

void parsum_moments_identity(moments_state *moments, double ddof)
{
    clear_moments(moments, ddof, 1);
}

void parsum_moments_restart(moments_state *moments, double ddof)
{
    restart_moments(moments, ddof, 1);
}

void parsum_moments_combine(moments_state *moments, const moments_state *other)
{
    combine_moments(moments, other, 1);
}

void parsum_moments_describe(moments_state *moments, number_ends *ends, int type, const void *data,
                             size_t n, ptrdiff_t stride)
{
    const product_type of = type_of_numbers(type);
    moment_run run = {
        .squares = &moments->squares, .sums = moments->sums, .parts = 1, .ends = ends};
    const uint64_t nans = ends->nans;
    accumulate_run(&run, &of, data, n, stride);
    moments->count += n - (ends->nans - nans);
}

void parsum_moments_value(const moments_state *moments, big *sum, big *squares)
{
    big_from_exact(&moments->sums[0], sum);
    exact_value(&moments->squares, squares);
}

static double value_of(int type, const char *p)
{
    switch (type) {
    case PARSUM_FLOAT16: {
        double value;
        parsum_kernels()->f16.widen(p, 1, &value);
        return value;
    }
    case PARSUM_FLOAT32: {
        float value;
        memcpy(&value, p, sizeof value);
        return value;
    }
    case PARSUM_FLOAT64: {
        double value;
        memcpy(&value, p, sizeof value);
        return value;
    }
    default: {
        long double value;
        memcpy(&value, p, sizeof value);
        return (double)value;
    }
    }
}

static int no_freedom(uint64_t count, double ddof)
{
    return !((double)count - ddof > 0) ? PARSUM_EMPTY : 0;
}

int parsum_finish_moments(const big *sum, const big *imaginary, const big *squares, uint64_t count,
                          double ddof, int what, int type, void *result)
{
    const int empty = no_freedom(count, ddof), root = what & MOMENTS_ROOT;
    if (empty && (what & MOMENTS_NUMBER)) {
        parsum_store(type, (double)NAN, result);
        return empty;
    }
    if (what & MOMENTS_ABOUT) {
        const char *mean = result;
        const double real = value_of(type, mean);
        return empty | big_round_variance_about(sum, imaginary, squares, count, real,
                                                value_of(type, mean + parsum_type_size[type]), ddof,
                                                root, type, result);
    }
    return empty | big_round_variance(sum, imaginary, squares, count, ddof, root, type, result);
}

int parsum_is_simple(uint64_t count, double ddof, int what, int type)
{
    return type != PARSUM_LONGDOUBLE && !(what & MOMENTS_ABOUT) && count >> 32 == 0 && ddof >= 0 &&
           ddof < (double)count && ddof == floor(ddof);
}

int parsum_finish_wide_moments(const wide *numerator, int exponent, uint64_t count, double ddof,
                               int what, int type, void *result)
{
    return wide_round_quotient(numerator, count * (count - (uint64_t)ddof), exponent,
                               what & MOMENTS_ROOT, type, result);
}

/* A distance to an infinite mean is no number. */
int parsum_finish_no_moments(int is_nan, uint64_t count, double ddof, int what, int type,
                             void *result)
{
    const int empty = no_freedom(count, ddof);
    parsum_store(type, (double)NAN, result);
    return empty | (is_nan || (empty && (what & MOMENTS_NUMBER)) ? 0 : PARSUM_INVALID);
}

/* count * squares - sum^2 of numbers that are still in their windows, times 2^-exponent. Returns 0
 * if they are not. The numerator is below 2^64 * 2^145 * 2^40: a square in window w is below
 * 2^(w+39) = 2^145 * 2^(w-106). */
static int window_moments(const moments_state *moments, int parts, wide *numerator, int *exponent)
{
    const product_sum *squares = &moments->squares;
    const int window = moments->sums[0].window;
    if (squares->limbs_used || !squares->pending || moments->count >> 32)
        return 0;
    for (int j = 0; j < parts; j++)
        if (moments->sums[j].limbs_used || !moments->sums[j].pending ||
            moments->sums[j].window != window)
            return 0;
    const wide all = window_sum(squares);
    /* What the last bit of the squares' sum is above that of a square of a sum. */
    const int places = squares->window - 106 - 2 * (window - WINDOW_LO);
    if (places < -2 || places > 40)
        return 0;
    *numerator = (wide){{0}};
    wide_add_product(numerator, &all, moments->count);
    if (places > 0)
        *numerator = wide_shifted(numerator, places);
    for (int j = 0; j < parts; j++) {
        const int128 sum = exact_pending(&moments->sums[j]);
        wide square = wide_square(sum < 0 ? -(uint128)sum : (uint128)sum);
        if (places < 0)
            square = wide_shifted(&square, -places);
        wide_subtract(numerator, &square);
    }
    *exponent = places < 0 ? squares->window - 106 : 2 * (window - WINDOW_LO);
    return 1;
}

static int finish_moments(const moments_state *moments, int parts, int what, int type, void *result)
{
    const product_sum *squares = &moments->squares;
    big s1[2], s2;
    wide numerator;
    int exponent;
    if (squares->nan || squares->plus_infinity)
        return parsum_finish_no_moments(squares->nan, moments->count, moments->ddof, what, type,
                                        result);
    if (parsum_is_simple(moments->count, moments->ddof, what, type) &&
        window_moments(moments, parts, &numerator, &exponent))
        return parsum_finish_wide_moments(&numerator, exponent, moments->count, moments->ddof, what,
                                          type, result);
    for (int j = 0; j < parts; j++)
        big_from_exact(&moments->sums[j], &s1[j]);
    exact_value(squares, &s2);
    return parsum_finish_moments(&s1[0], parts > 1 ? &s1[1] : NULL, &s2, moments->count,
                                 moments->ddof, what, type, result);
}

#define FINISH(VERB, NAME, PARTS, WHAT)                                                            \
    static int finish_##VERB##_##NAME(const void *state, int type, void *result)                   \
    {                                                                                              \
        return finish_moments(state, PARTS, WHAT, type, result);                                   \
    }
#define MOMENTS_OF(NAME, PARTS)                                                                    \
    static void identity_##NAME(void *state, double parameter)                                     \
    {                                                                                              \
        clear_moments(state, parameter, PARTS);                                                    \
    }                                                                                              \
    static void restart_##NAME(void *state, double parameter)                                      \
    {                                                                                              \
        restart_moments(state, parameter, PARTS);                                                  \
    }                                                                                              \
    static void combine_##NAME(void *state, const void *other)                                     \
    {                                                                                              \
        combine_moments(state, other, PARTS);                                                      \
    }                                                                                              \
    FINISH(var, NAME, PARTS, 0)                                                                    \
    FINISH(std, NAME, PARTS, MOMENTS_ROOT)                                                         \
    FINISH(nanvar, NAME, PARTS, MOMENTS_NUMBER)                                                    \
    FINISH(nanstd, NAME, PARTS, MOMENTS_NUMBER | MOMENTS_ROOT)                                     \
    FINISH(var_about, NAME, PARTS, MOMENTS_ABOUT)                                                  \
    FINISH(std_about, NAME, PARTS, MOMENTS_ABOUT | MOMENTS_ROOT)                                   \
    FINISH(nanvar_about, NAME, PARTS, MOMENTS_ABOUT | MOMENTS_NUMBER)                              \
    FINISH(nanstd_about, NAME, PARTS, MOMENTS_ABOUT | MOMENTS_NUMBER | MOMENTS_ROOT)

MOMENTS_OF(real, 1)
MOMENTS_OF(complex, 2)

#define MOMENTS(NAME, TYPE, PARTS)                                                                 \
    static int valid_moments_##NAME(const void *state)                                             \
    {                                                                                              \
        return valid_moments(state, PARTS, type_##TYPE().type);                                    \
    }                                                                                              \
    static void accumulate_moments_##NAME(void *state, const void *data, size_t n,                 \
                                          ptrdiff_t stride)                                        \
    {                                                                                              \
        moments_state *moments = state;                                                            \
        const product_type type = type_##TYPE();                                                   \
        moments->count += n;                                                                       \
        accumulate_squares(&moments->squares, moments->sums, PARTS, &type, data, n, stride);       \
    }                                                                                              \
    static void accumulate_moments_columns_##NAME(void *states, const void *data, size_t rows,     \
                                                  ptrdiff_t row_stride, size_t columns)            \
    {                                                                                              \
        const product_type type = type_##TYPE();                                                   \
        const column_states to = {.states = states,                                                \
                                  .size = offsetof(moments_state, sums[PARTS]),                    \
                                  .products = offsetof(moments_state, squares),                    \
                                  .sums = offsetof(moments_state, sums),                           \
                                  .parts = PARTS};                                                 \
        const row_pair at = {.a = data, .a_stride = row_stride};                                   \
        for (size_t j = 0; j < columns; j++)                                                       \
            ((moments_state *)(void *)(to.states + j * to.size))->count += rows;                   \
        accumulate_columns(&to, &type, at, rows, columns);                                         \
    }

MOMENTS(f16, f16, 1)
MOMENTS(f32, f32, 1)
MOMENTS(f64, f64, 1)
MOMENTS(c64, f32, 2)
MOMENTS(c128, f64, 2)

/* ---- dot products ---- */

static void identity_dot(void *state, double parameter)
{
    (void)parameter;
    clear_sum(state);
}

static void restart_dot(void *state, double parameter)
{
    (void)parameter;
    restart_sum(state);
}

static void combine_dot(void *state, const void *other)
{
    combine_sums(state, other);
}

static int finish_dot(const void *state, int type, void *result)
{
    return finish_sum(state, type, result);
}

void parsum_products_value(const product_sum *sum, big *value)
{
    exact_value(sum, value);
}

/* Complex numbers have two sums side by side: of the real and of the imaginary part. */
static void take_dot_columns(int element, int conjugate, void *states, size_t size, row_pair at,
                             size_t rows, size_t columns)
{
    const product_type type = type_of_numbers(element);
    const size_t parts = parsum_type_size[element] / type.size;
    column_states to = {
        .states = states, .size = size, .parts = parts, .negate_odd = parts > 1 && !conjugate};
    accumulate_columns(&to, &type, at, rows, columns);
    if (parts == 1)
        return;
    to.products = sizeof(product_sum);
    to.negate_odd = conjugate;
    to.swap = 1;
    accumulate_columns(&to, &type, at, rows, columns);
}

void parsum_dot_columns(int element, void *states, size_t size, const void *a, const void *b,
                        size_t rows, ptrdiff_t a_stride, ptrdiff_t b_stride, size_t columns)
{
    take_dot_columns(element, 0, states, size, (row_pair){a, b, a_stride, b_stride}, rows, columns);
}

#define DOT(TYPE, ELEMENT)                                                                         \
    static int valid_dot_##TYPE(const void *state)                                                 \
    {                                                                                              \
        return valid_sum(state, type_##TYPE().type, 0);                                            \
    }                                                                                              \
    static void accumulate_dot_##TYPE(void *state, const void *a, const void *b, size_t n,         \
                                      ptrdiff_t a_stride, ptrdiff_t b_stride)                      \
    {                                                                                              \
        const product_type type = type_##TYPE();                                                   \
        product_run run = {.sum = state};                                                          \
        accumulate_products(&run, 1, &type, type.size, a, b, n, a_stride, b_stride);               \
    }                                                                                              \
    static void accumulate_dot_columns_##TYPE(void *states, const void *a, const void *b,          \
                                              size_t rows, ptrdiff_t a_stride, ptrdiff_t b_stride, \
                                              size_t columns)                                      \
    {                                                                                              \
        take_dot_columns(ELEMENT, 0, states, sizeof(product_sum),                                  \
                         (row_pair){a, b, a_stride, b_stride}, rows, columns);                     \
    }

DOT(f16, PARSUM_FLOAT16)
DOT(f32, PARSUM_FLOAT32)
DOT(f64, PARSUM_FLOAT64)

/* Of complex numbers: the real and the imaginary part, each the sum of two products of parts. With
 * a conjugated, the second product of the real part counts positive, and of the imaginary part
 * negative, instead of the other way round. */
typedef struct {
    product_sum parts[2];
} complex_sum;

static void identity_complex_dot(void *state, double parameter)
{
    complex_sum *sum = state;
    (void)parameter;
    clear_sum(&sum->parts[0]);
    clear_sum(&sum->parts[1]);
}

static void restart_complex_dot(void *state, double parameter)
{
    complex_sum *sum = state;
    (void)parameter;
    restart_sum(&sum->parts[0]);
    restart_sum(&sum->parts[1]);
}

static void combine_complex_dot(void *state, const void *other)
{
    complex_sum *sum = state;
    const complex_sum *more = other;
    combine_sums(&sum->parts[0], &more->parts[0]);
    combine_sums(&sum->parts[1], &more->parts[1]);
}

static int finish_complex_dot(const void *state, int type, void *result)
{
    const complex_sum *sum = state;
    const int part = type == PARSUM_COMPLEX64    ? PARSUM_FLOAT32
                     : type == PARSUM_COMPLEX128 ? PARSUM_FLOAT64
                                                 : PARSUM_LONGDOUBLE;
    const int flags = finish_sum(&sum->parts[0], part, result);
    return flags | finish_sum(&sum->parts[1], part, (char *)result + parsum_type_size[part]);
}

#define COMPLEX_DOT(OPERATION, NAME, TYPE, ELEMENT, CONJUGATE)                                     \
    static int valid_##OPERATION##_##NAME(const void *state)                                       \
    {                                                                                              \
        const complex_sum *sum = state;                                                            \
        const int type = type_##TYPE().type;                                                       \
        return valid_sum(&sum->parts[0], type, 0) && valid_sum(&sum->parts[1], type, 0);           \
    }                                                                                              \
    static void accumulate_##OPERATION##_##NAME(void *state, const void *a, const void *b,         \
                                                size_t n, ptrdiff_t a_stride, ptrdiff_t b_stride)  \
    {                                                                                              \
        const product_type type = type_##TYPE();                                                   \
        complex_sum *sum = state;                                                                  \
        product_run runs[2] = {                                                                    \
            {.sum = &sum->parts[0], .negate_odd = !(CONJUGATE)},                                   \
            {.sum = &sum->parts[1], .negate_odd = (CONJUGATE), .swap = 1},                         \
        };                                                                                         \
        accumulate_products(runs, 2, &type, 2 * type.size, a, b, n, a_stride, b_stride);           \
    }                                                                                              \
    static void accumulate_##OPERATION##_columns_##NAME(                                           \
        void *states, const void *a, const void *b, size_t rows, ptrdiff_t a_stride,               \
        ptrdiff_t b_stride, size_t columns)                                                        \
    {                                                                                              \
        take_dot_columns(ELEMENT, CONJUGATE, states, sizeof(complex_sum),                          \
                         (row_pair){a, b, a_stride, b_stride}, rows, columns);                     \
    }

COMPLEX_DOT(dot, c64, f32, PARSUM_COMPLEX64, 0)
COMPLEX_DOT(dot, c128, f64, PARSUM_COMPLEX128, 0)
COMPLEX_DOT(vdot, c64, f32, PARSUM_COMPLEX64, 1)
COMPLEX_DOT(vdot, c128, f64, PARSUM_COMPLEX128, 1)

/* ---- norms ---- */

static int finish_norm(const void *state, int type, void *result)
{
    const product_sum *squares = state;
    big one, value;
    int flags;
    if (is_special(squares, type, result, &flags))
        return flags;
    if (!squares->limbs_used && squares->pending && type != PARSUM_LONGDOUBLE) {
        const wide all = window_sum(squares);
        return wide_round_quotient(&all, 1, squares->window - 106, 1, type, result);
    }
    exact_value(squares, &value);
    big_from_uint64(1, &one);
    return big_round_root(&value, &one, type, result);
}

#define NORM(NAME, TYPE, PARTS)                                                                    \
    static int valid_norm_##NAME(const void *state)                                                \
    {                                                                                              \
        return valid_sum(state, type_##TYPE().type, 1);                                            \
    }                                                                                              \
    static void accumulate_norm_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)  \
    {                                                                                              \
        const product_type type = type_##TYPE();                                                   \
        accumulate_squares(state, NULL, PARTS, &type, data, n, stride);                            \
    }                                                                                              \
    static void accumulate_norm_columns_##NAME(void *states, const void *data, size_t rows,        \
                                               ptrdiff_t row_stride, size_t columns)               \
    {                                                                                              \
        const product_type type = type_##TYPE();                                                   \
        const column_states to = {.states = states, .size = sizeof(product_sum), .parts = PARTS};  \
        const row_pair at = {.a = data, .a_stride = row_stride};                                   \
        accumulate_columns(&to, &type, at, rows, columns);                                         \
    }

NORM(f16, f16, 1)
NORM(f32, f32, 1)
NORM(f64, f64, 1)
NORM(c64, f32, 2)
NORM(c128, f64, 2)

/* ---- the table ---- */

#define SHORT_CUTS(OPERATION, NAME, ELEMENT_TYPE, ABOUT_MEAN, ROOT)                                \
    static int reduce_columns_##OPERATION##_##NAME(const void *data, size_t rows,                  \
                                                   ptrdiff_t row_stride, size_t columns,           \
                                                   double parameter, int type, char *result)       \
    {                                                                                              \
        return parsum_short_columns((short_operation){#OPERATION, ELEMENT_TYPE, ABOUT_MEAN, ROOT}, \
                                    data, rows, row_stride, columns, parameter, type, result);     \
    }                                                                                              \
    static int reduce_rows_##OPERATION##_##NAME(const void *data, size_t rows,                     \
                                                ptrdiff_t row_stride, size_t n, double parameter,  \
                                                int type, char *result)                            \
    {                                                                                              \
        return parsum_short_rows((short_operation){#OPERATION, ELEMENT_TYPE, ABOUT_MEAN, ROOT},    \
                                 data, rows, row_stride, n, parameter, type, result);              \
    }
#define ALL_SHORT_CUTS(NAME, ELEMENT_TYPE)                                                         \
    SHORT_CUTS(var, NAME, ELEMENT_TYPE, 1, 0)                                                      \
    SHORT_CUTS(std, NAME, ELEMENT_TYPE, 1, 1)                                                      \
    SHORT_CUTS(nanvar, NAME, ELEMENT_TYPE, 1, 0)                                                   \
    SHORT_CUTS(nanstd, NAME, ELEMENT_TYPE, 1, 1)                                                   \
    SHORT_CUTS(norm2, NAME, ELEMENT_TYPE, 0, 1)

ALL_SHORT_CUTS(f16, PARSUM_FLOAT16)
ALL_SHORT_CUTS(f32, PARSUM_FLOAT32)
ALL_SHORT_CUTS(f64, PARSUM_FLOAT64)

#define WITH_SHORT_CUTS(OPERATION, NAME)                                                           \
    .reduce_columns = reduce_columns_##OPERATION##_##NAME,                                         \
    .reduce_rows = reduce_rows_##OPERATION##_##NAME,
#define NO_SHORT_CUTS(OPERATION, NAME)

#define SHORT_DOTS(NAME, ELEMENT_TYPE)                                                             \
    static int reduce_dot_columns_##NAME(const void *a, const void *b, size_t rows,                \
                                         ptrdiff_t a_stride, ptrdiff_t b_stride, size_t columns,   \
                                         int type, char *result)                                   \
    {                                                                                              \
        return parsum_short_pair_columns((short_operation){"dot", ELEMENT_TYPE, 0, 0}, a, b, rows, \
                                         a_stride, b_stride, columns, type, result);               \
    }                                                                                              \
    static int reduce_dot_rows_##NAME(const void *a, const void *b, size_t rows,                   \
                                      ptrdiff_t a_stride, ptrdiff_t b_stride, size_t n, int type,  \
                                      char *result)                                                \
    {                                                                                              \
        return parsum_short_pair_rows((short_operation){"dot", ELEMENT_TYPE, 0, 0}, a, b, rows,    \
                                      a_stride, b_stride, n, type, result);                        \
    }

SHORT_DOTS(f16, PARSUM_FLOAT16)
SHORT_DOTS(f32, PARSUM_FLOAT32)
SHORT_DOTS(f64, PARSUM_FLOAT64)

#define DOT_ROW(OPERATION, TYPE, ELEMENT_TYPE)                                                     \
    {                                                                                              \
        .operation = OPERATION,                                                                    \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .state_size = sizeof(product_sum),                                                         \
        .identity = identity_dot,                                                                  \
        .restart = restart_dot,                                                                    \
        .accumulate_pairs = accumulate_dot_##TYPE,                                                 \
        .accumulate_pair_columns = accumulate_dot_columns_##TYPE,                                  \
        .reduce_pair_columns = reduce_dot_columns_##TYPE,                                          \
        .reduce_pair_rows = reduce_dot_rows_##TYPE,                                                \
        .combine = combine_dot,                                                                    \
        .finish = finish_dot,                                                                      \
        .valid = valid_dot_##TYPE,                                                                 \
    }
#define DOT_ROWS(TYPE, ELEMENT_TYPE)                                                               \
    DOT_ROW("dot", TYPE, ELEMENT_TYPE), DOT_ROW("vdot", TYPE, ELEMENT_TYPE)

#define COMPLEX_DOT_ROW(OPERATION, NAME, ELEMENT_TYPE)                                             \
    {                                                                                              \
        .operation = #OPERATION,                                                                   \
        .element = ELEMENT_TYPE,                                                                   \
        .results = BIT(PARSUM_COMPLEX64) | BIT(PARSUM_COMPLEX128) | BIT(PARSUM_CLONGDOUBLE),       \
        .state_size = sizeof(complex_sum),                                                         \
        .identity = identity_complex_dot,                                                          \
        .restart = restart_complex_dot,                                                            \
        .accumulate_pairs = accumulate_##OPERATION##_##NAME,                                       \
        .accumulate_pair_columns = accumulate_##OPERATION##_columns_##NAME,                        \
        .combine = combine_complex_dot,                                                            \
        .finish = finish_complex_dot,                                                              \
        .valid = valid_##OPERATION##_##NAME,                                                       \
    }

#define MOMENTS_ROW(OPERATION, VALUES, NAME, PARTS, SIZE, ELEMENT_TYPE, CUTS)                      \
    {                                                                                              \
        .operation = #OPERATION,                                                                   \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .values = VALUES,                                                                          \
        .takes_result = VALUES > 1,                                                                \
        .state_size = SIZE,                                                                        \
        .identity = identity_##PARTS,                                                              \
        .restart = restart_##PARTS,                                                                \
        .accumulate = accumulate_moments_##NAME,                                                   \
        .accumulate_columns = accumulate_moments_columns_##NAME,                                   \
        CUTS(OPERATION, NAME).combine = combine_##PARTS,                                           \
        .finish = finish_##OPERATION##_##PARTS,                                                    \
        .valid = valid_moments_##NAME,                                                             \
    }
#define NORM_ROW(NAME, ELEMENT_TYPE, CUTS)                                                         \
    {                                                                                              \
        .operation = "norm2",                                                                      \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .state_size = sizeof(product_sum),                                                         \
        .identity = identity_dot,                                                                  \
        .restart = restart_dot,                                                                    \
        .accumulate = accumulate_norm_##NAME,                                                      \
        .accumulate_columns = accumulate_norm_columns_##NAME,                                      \
        CUTS(norm2, NAME).combine = combine_dot,                                                   \
        .finish = finish_norm,                                                                     \
        .valid = valid_norm_##NAME,                                                                \
    }
#define SQUARE_ROWS(NAME, PARTS, SIZE, ELEMENT_TYPE, CUTS)                                         \
    MOMENTS_ROW(var, 1, NAME, PARTS, SIZE, ELEMENT_TYPE, CUTS),                                    \
        MOMENTS_ROW(std, 1, NAME, PARTS, SIZE, ELEMENT_TYPE, CUTS),                                \
        MOMENTS_ROW(nanvar, 1, NAME, PARTS, SIZE, ELEMENT_TYPE, CUTS),                             \
        MOMENTS_ROW(nanstd, 1, NAME, PARTS, SIZE, ELEMENT_TYPE, CUTS),                             \
        MOMENTS_ROW(var_about, 2, NAME, PARTS, SIZE, ELEMENT_TYPE, NO_SHORT_CUTS),                 \
        MOMENTS_ROW(std_about, 2, NAME, PARTS, SIZE, ELEMENT_TYPE, NO_SHORT_CUTS),                 \
        MOMENTS_ROW(nanvar_about, 2, NAME, PARTS, SIZE, ELEMENT_TYPE, NO_SHORT_CUTS),              \
        MOMENTS_ROW(nanstd_about, 2, NAME, PARTS, SIZE, ELEMENT_TYPE, NO_SHORT_CUTS),              \
        NORM_ROW(NAME, ELEMENT_TYPE, CUTS)

const parsum_reduction parsum_products[] = {
    DOT_ROWS(f16, PARSUM_FLOAT16),
    DOT_ROWS(f32, PARSUM_FLOAT32),
    DOT_ROWS(f64, PARSUM_FLOAT64),
    COMPLEX_DOT_ROW(dot, c64, PARSUM_COMPLEX64),
    COMPLEX_DOT_ROW(dot, c128, PARSUM_COMPLEX128),
    COMPLEX_DOT_ROW(vdot, c64, PARSUM_COMPLEX64),
    COMPLEX_DOT_ROW(vdot, c128, PARSUM_COMPLEX128),
    SQUARE_ROWS(f16, real, REAL_MOMENTS, PARSUM_FLOAT16, WITH_SHORT_CUTS),
    SQUARE_ROWS(f32, real, REAL_MOMENTS, PARSUM_FLOAT32, WITH_SHORT_CUTS),
    SQUARE_ROWS(f64, real, REAL_MOMENTS, PARSUM_FLOAT64, WITH_SHORT_CUTS),
    SQUARE_ROWS(c64, complex, sizeof(moments_state), PARSUM_COMPLEX64, NO_SHORT_CUTS),
    SQUARE_ROWS(c128, complex, sizeof(moments_state), PARSUM_COMPLEX128, NO_SHORT_CUTS),
    {.operation = NULL},
};
