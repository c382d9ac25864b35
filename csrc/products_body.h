/* The loops over products of floating elements: a[i] * b[i], or x[i]^2 along with x[i] itself.
 * Included by each CPU level.
 *
 * A product of doubles is p + e exactly, with p = RN(a b) and e = a b - p (Dekker, "A
 * floating-point technique for extending the available precision", 1971; by one fused operation
 * where there is one). Both are cut in two by an accumulator of known magnitude, as the elements of
 * a sum are in float_body.h, and all four parts are summed exactly. Window w takes products with
 * 2^w <= |p| < 2^(w+39), and zeros; there are N <= 2^6 = PRODUCT_ADDS additions to an accumulator:
 *
 *   high starts at 1.5 * 2^(w+46). t = high + p; q = t - high; r = p - q.
 *     |sum of q| <= 2^6 * 2^(w+39) = 2^(w+45): high stays within [2^(w+46), 2^(w+47)], where its
 *     ulp is 2^(w-6). So q and r are exact, and |r| <= 2^(w-7).
 *   low starts at 1.5 * 2^w. low += r.
 *     p, hence r, is a multiple of 2^(w-52); |sum of r| <= 2^6 * 2^(w-7) = 2^(w-1): low stays
 *     within [2^w, 2^(w+1)], where its ulp is 2^(w-52).
 *   high_error starts at 1.5 * 2^(w-8) and takes e likewise: |e| <= 2^(w-15), half an ulp of p, so
 *     |sum of q| <= 2^(w-9), and |r| <= 2^(w-61), half an ulp of high_error.
 *   low_error starts at 1.5 * 2^(w-54), with the ulp 2^(w-106): |sum of r| <= 2^(w-55).
 *     a = m 2^i and b = n 2^j with |m|, |n| < 2^53, and |a b| >= 2^w (1 - 2^-53), so that 2^(i+j)
 *     > 2^(w-106): a b, p, e and r are multiples of 2^(w-105).
 *
 * All of this must be above the least subnormal, and finite: PRODUCT_WINDOW_MIN, _MAX.
 *
 * The product of two float32 is exact in double. It has 48 bits, so if 2^(w-5) <= |p|, it is a
 * multiple of 2^(w-52): e is zero, and the window reaches 5 binades further down. Products of
 * float16 are multiples of 2^-48 below 2^32: window -7 takes them all.
 *
 * The moments' sum of x itself goes to accumulators of the windows of exact.h: sum_window(w) says
 * which, and why they hold.
 *
 * Elements whose product is outside of the window are left out, and their numbers are listed. */
#include "exact.h"
#include "kernels.h"
#include "order_vectors.h"
#include "products.h"

enum { OF_PRODUCTS, OF_SQUARES, OF_MOMENTS };

#define PRODUCT_STEP (PRODUCT_GROUP * LANES)
/* Sets of accumulators: narrow elements have so little to do that a single one would be waited for.
 */
#define PRODUCT_SETS(type) ((type) == OF_F64 ? 1 : 2)
#define PRODUCT_GROUP 4 /* vectors between two looks for elements outside of the window */

/* The exponent, above the window's, of each accumulator's binade. */
INLINE int part_offset(int part)
{
    return part == PART_HIGH ? 46 : part == PART_LOW ? 0 : part == PART_HIGH_ERROR ? -8 : -54;
}

INLINE double part_start(const int type, int part, int window)
{
    int exponent = window + part_offset(part);
    if (part == PART_SUM_HIGH)
        exponent = sum_window(type, window) + WINDOW_OFFSET;
    if (part == PART_SUM_LOW)
        exponent = sum_window(type, window);
    return double_of(((uint64_t)(exponent + 1023) << 52) + (UINT64_C(1) << 51));
}

INLINE void load_as(const int type, vec_f64 *out, const void *p, size_t i)
{
    if (type == OF_F64) {
        load_f64(out, (const double *)p + i);
    } else if (type == OF_F32) {
        load_f32(out, (const float *)p + i);
    } else {
        load_f16(out, (const uint16_t *)p + i);
#if !defined(PARSUM_HAVE_F16C)
        /* load_f16 is for finite elements; others come out from 2^16 up. */
        const vec_i64 special = (vec_i64)((vec_f64)((vec_i64)*out & INT64_MAX) >= 0x1p16);
        *out = (vec_f64)((vec_i64)*out | (special & (int64_t)INFINITY_BITS));
#endif
    }
}

/* e = a b - p */
INLINE void product_error(const vec_f64 *a, const vec_f64 *b, const vec_f64 *p, vec_f64 *e)
{
#if defined(PARSUM_FMSUB)
    *e = PARSUM_FMSUB(*a, *b, *p);
#else
    /* Each factor is cut to 26 bits, by rounding its bit pattern, and what is left, at most 26 bits
     * too: the four products are exact. Patterns near infinity may round up to it, in which case
     * the error is no number. */
    const vec_u64 half = (UINT64_C(1) << 26) + (vec_u64){0},
                  mask = ~((UINT64_C(1) << 27) - 1) + (vec_u64){0};
    const vec_f64 a_high = (vec_f64)(((vec_u64)*a + half) & mask), a_low = *a - a_high;
    const vec_f64 b_high = (vec_f64)(((vec_u64)*b + half) & mask), b_low = *b - b_high;
    *e = ((a_high * b_high - *p) + a_high * b_low + a_low * b_high) + a_low * b_low;
#endif
}

/* On some CPUs additions have pipes of their own, and multiplications too: the additions that no
 * other waits for are given to the multipliers. */
INLINE void add_aside(vec_f64 *sum, const vec_f64 *v)
{
#if defined(PARSUM_FMADD)
    const vec_f64 one = 1 + (vec_f64){0};
    *sum = PARSUM_FMADD(*v, one, *sum);
#else
    *sum += *v;
#endif
}

INLINE void subtract_aside(vec_f64 *difference, const vec_f64 *v, const vec_f64 *less)
{
#if defined(PARSUM_FMSUB)
    const vec_f64 one = 1 + (vec_f64){0};
    *difference = PARSUM_FMSUB(*v, one, *less);
#else
    *difference = *v - *less;
#endif
}

INLINE void fold_pair(const vec_f64 *v, vec_f64 *high, vec_f64 *low)
{
    const vec_f64 sum = *high + *v, cut = sum - *high;
    vec_f64 rest;
    subtract_aside(&rest, v, &cut);
    *high = sum;
    add_aside(low, &rest);
}

/* fold_pair of the product of narrow elements. Where it can be fused, p need not be known: a b - q
 * is p - q, which is exact. */
INLINE void fold_narrow(const vec_f64 *a, const vec_f64 *b, vec_f64 *high, vec_f64 *low)
{
#if defined(PARSUM_FMADD)
    const vec_f64 sum = PARSUM_FMADD(*a, *b, *high), cut = sum - *high;
    *high = sum;
    *low += PARSUM_FMSUB(*a, *b, cut);
#else
    const vec_f64 p = *a * *b;
    fold_pair(&p, high, low);
#endif
}

INLINE void fold_product(const int type, const int what, const vec_f64 *a, const vec_f64 *b,
                         vec_f64 *sums)
{
    if (type == OF_F64) {
        const vec_f64 p = *a * *b;
        vec_f64 e;
        product_error(a, b, &p, &e);
        fold_pair(&p, &sums[PART_HIGH], &sums[PART_LOW]);
        fold_pair(&e, &sums[PART_HIGH_ERROR], &sums[PART_LOW_ERROR]);
        if (what == OF_MOMENTS)
            fold_pair(a, &sums[PART_SUM_HIGH], &sums[PART_SUM_LOW]);
    } else {
        fold_narrow(a, b, &sums[PART_HIGH], &sums[PART_LOW]);
        if (what == OF_MOMENTS)
            add_aside(&sums[PART_SUM_HIGH], a);
    }
}

/* The sign bit of a lane is set if its product is not in the window. Products of doubles may be
 * zero without a factor that is; zero times infinity is let through, and makes high_error NaN. Of
 * float16, infinities and NaN alone are outside. */
INLINE void find_outside(const int type, const int what, const vec_f64 *a, const vec_f64 *b,
                         const vec_i64 *floors, const vec_i64 *ceilings, vec_i64 *outside)
{
    const vec_f64 p = *a * *b;
    const vec_i64 magnitude = (vec_i64)p & INT64_MAX;
    if (type == OF_F16) {
        *outside = *ceilings - 1 - magnitude;
        return;
    }
    *outside = (magnitude - *floors) | (*ceilings - 1 - magnitude);
    if (type == OF_F32)
        *outside &= (vec_i64)(p != 0);
    else if (what == OF_PRODUCTS)
        *outside &= (vec_i64)(*a != 0) & (vec_i64)(*b != 0);
    else
        *outside &= (vec_i64)(*a != 0);
}

/* Looks for elements that are outside, for a group to note that it has any: squares of float32 and
 * products of float16 are looked for in the elements as they are in memory, more of them to a
 * vector. A square is in the window if 2^((w-5)/2) <= |x| < 2^((w+39)/2). */
INLINE uint32_t exponent_bits_f32(int exponent)
{
    if (exponent < -149)
        return 1; /* whatever is not zero is more */
    if (exponent < -126)
        return UINT32_C(1) << (exponent + 149);
    return (uint32_t)((exponent > 127 ? 128 : exponent) + 127) << 23;
}

#if PARSUM_VECTOR_BYTES == 64
/* GCC makes vectors of masks where intrinsics do without. */
typedef unsigned outside_flags;

INLINE void flag_products(const int type, const int what, const vec_f64 *a, const vec_f64 *b,
                          const vec_i64 *floors, const vec_i64 *ceilings, outside_flags *flags)
{
    const __m512d zero = _mm512_setzero_pd();
    const vec_f64 p = *a * *b;
    const vec_i64 magnitude = (vec_i64)p & INT64_MAX;
    __mmask8 nonzero;
    if (type == OF_F32)
        nonzero = _mm512_cmp_pd_mask((__m512d)p, zero, _CMP_NEQ_UQ);
    else
        nonzero = _mm512_cmp_pd_mask((__m512d)*a, zero, _CMP_NEQ_UQ);
    if (type == OF_F64 && what == OF_PRODUCTS)
        nonzero = _mm512_mask_cmp_pd_mask(nonzero, (__m512d)*b, zero, _CMP_NEQ_UQ);
    *flags |= _mm512_mask_cmpge_epu64_mask(nonzero, (__m512i)(magnitude - *floors),
                                           (__m512i)(*ceilings - *floors));
}

INLINE void flag_squares_f32(const float *p, const vec_u32 *floors, const vec_u32 *ceilings,
                             outside_flags *flags)
{
    for (int k = 0; k < PRODUCT_GROUP / 2; k++) {
        vec_u32 bits;
        memcpy(&bits, p + 2 * k * LANES, sizeof bits);
        bits &= 0x7fffffff;
        const __mmask16 nonzero = _mm512_test_epi32_mask((__m512i)bits, (__m512i)bits);
        *flags |= _mm512_mask_cmpge_epu32_mask(nonzero, (__m512i)(bits - *floors),
                                               (__m512i)(*ceilings - *floors));
    }
}

INLINE void flag_f16(const uint16_t *p, outside_flags *flags)
{
    vec_u16 bits;
    memcpy(&bits, p, sizeof bits);
    *flags |= _mm512_cmpge_epu16_mask((__m512i)(bits & 0x7c00), _mm512_set1_epi16(0x7c00));
}

#define ANY_FLAG(flags) ((flags) != 0)
#else
typedef vec_i64 outside_flags;

INLINE void flag_products(const int type, const int what, const vec_f64 *a, const vec_f64 *b,
                          const vec_i64 *floors, const vec_i64 *ceilings, outside_flags *flags)
{
    vec_i64 outside;
    find_outside(type, what, a, b, floors, ceilings, &outside);
    *flags |= outside & INT64_MIN;
}

INLINE void flag_squares_f32(const float *p, const vec_u32 *floors, const vec_u32 *ceilings,
                             outside_flags *flags)
{
    const vec_u32 last = *ceilings - 1;
    for (int k = 0; k < PRODUCT_GROUP / 2; k++) {
        vec_u32 bits;
        memcpy(&bits, p + 2 * k * LANES, sizeof bits);
        bits &= 0x7fffffff;
        bits = ((bits - *floors) | (last - bits)) & (vec_u32)(bits != 0);
        *flags |= (vec_i64)(bits & UINT32_C(0x80000000));
    }
}

INLINE void flag_f16(const uint16_t *p, outside_flags *flags)
{
    vec_u16 bits;
    memcpy(&bits, p, sizeof bits);
    /* an exponent of ones carries into bit 15 */
    *flags |= (vec_i64)(((bits & 0x7c00) + 0x0400) & 0x8000);
}

#define ANY_FLAG(flags) PARSUM_ANY(flags)
#endif

/* Lists the lanes that are outside, from number `first` on. */
static __attribute__((noinline)) size_t list_outside(const vec_i64 *outside, size_t first,
                                                     uint16_t *list)
{
    size_t count = 0;
    for (size_t i = 0; i < PRODUCT_GROUP * LANES; i++) {
        list[count] = (uint16_t)(first + i);
        count += ((const int64_t *)outside)[i] < 0;
    }
    return count;
}

/* Bits of the least magnitude in the window, and of the least above it. */
INLINE int64_t floor_bits_of(const int type, int window)
{
    return (int64_t)(window + 1023 - (type == OF_F32 ? PRODUCT_MORE_F32 : 0)) << 52;
}

INLINE int64_t ceiling_bits_of(int window)
{
    return (int64_t)(window + 1023 + PRODUCT_SPAN) << 52;
}

/* Adds the lanes of integers to parts[0], those of odd number to parts[1]. */
INLINE void add_lanes(const vec_i64 *sum, int64_t *even, int64_t *odd)
{
    for (int l = 0; l < LANES; l += 2) {
        *even += (*sum)[l];
        *odd += (*sum)[l + 1];
    }
}

/* The bounds of a window: of products as doubles, of elements as float32. */
typedef struct {
    vec_i64 floors, ceilings;
    vec_u32 floors_f32, ceilings_f32;
} window_bounds;

/* The least and the largest element in each lane of vectors of them: doubles, floats, or the keys
 * of float16, which are integers that compare as they do. */
typedef struct {
    vec_u64 least, largest;
} lane_ends;

INLINE void ordered_f16(vec_i16 *v)
{
    *v ^= (*v >> 15) & INT16_MAX;
}

/* A group of elements. NaN is neither less nor more, or, of float16, beyond infinity. */
INLINE void take_ends(const int type, const void *data, lane_ends *ends)
{
    const char *p = data;
    if (type == OF_F16) {
        vec_i16 v;
        memcpy(&v, p, sizeof v);
        ordered_f16(&v);
        ends->least = (vec_u64)least_i16(v, (vec_i16)ends->least);
        ends->largest = (vec_u64)largest_i16(v, (vec_i16)ends->largest);
        return;
    }
    const int vectors = type == OF_F32 ? PRODUCT_GROUP / 2 : PRODUCT_GROUP;
#pragma GCC unroll 4
    for (int k = 0; k < vectors; k++, p += sizeof(vec_u64)) {
        if (type == OF_F32) {
            vec_f32 v;
            memcpy(&v, p, sizeof v);
            ends->least = (vec_u64)least_f32(v, (vec_f32)ends->least);
            ends->largest = (vec_u64)largest_f32(v, (vec_f32)ends->largest);
        } else {
            vec_f64 v;
            load_f64(&v, p);
            ends->least = (vec_u64)least_f64(v, (vec_f64)ends->least);
            ends->largest = (vec_u64)largest_f64(v, (vec_f64)ends->largest);
        }
    }
}

/* Both infinities, that there is something less and more than. */
INLINE void begin_ends(const int type, lane_ends *ends)
{
    const uint64_t infinity = type == OF_F64   ? INFINITY_BITS
                              : type == OF_F32 ? UINT64_C(0x7f8000007f800000)
                                               : UINT64_C(0x7c007c007c007c00);
    const uint64_t signs = type == OF_F64   ? SIGN_BIT
                           : type == OF_F32 ? UINT64_C(0x8000000080000000)
                                            : UINT64_C(0x8000800080008000);
    vec_u64 largest = (infinity | signs) - (vec_u64){0};
    if (type == OF_F16) {
        vec_i16 keys = (vec_i16)largest;
        ordered_f16(&keys);
        largest = (vec_u64)keys;
    }
    ends->least = infinity - (vec_u64){0};
    ends->largest = largest;
}

/* Of the lanes, the least to out[0] if it is less, the largest to out[1]. */
INLINE void join_lane_ends(const int type, const lane_ends *ends, double *out)
{
    vec_u64 both[2] = {ends->least, ends->largest};
    const size_t size = type == OF_F64 ? sizeof(double) : type == OF_F32 ? sizeof(float) : 2;
    for (int k = 0; k < 2; k++) {
        if (type == OF_F16) {
            vec_i16 bits = (vec_i16)both[k];
            ordered_f16(&bits);
            both[k] = (vec_u64)bits;
        }
        for (size_t i = 0; i < sizeof both[k] / size; i += LANES) {
            vec_f64 v;
            load_as(type, &v, &both[k], i);
            for (int l = 0; l < LANES; l++)
                if (k ? v[l] > out[k] : v[l] < out[k])
                    out[k] = v[l];
        }
    }
}

/* A group of vectors at a and b, the first of them number i. `ends` is NULL if not wanted. */
INLINE size_t fold_product_group(const int type, const int what, const int swap, const void *a,
                                 const void *b, size_t i, const window_bounds *bounds,
                                 vec_f64 (*sums)[PRODUCT_PARTS], uint16_t *outliers,
                                 lane_ends *ends)
{
    vec_f64 x[PRODUCT_GROUP], y[PRODUCT_GROUP];
    outside_flags flags = {0};
    size_t count = 0;
    if (ends)
        take_ends(type, a, ends);
#pragma GCC unroll 4
    for (int k = 0; k < PRODUCT_GROUP; k++) {
        load_as(type, &x[k], a, (size_t)k * LANES);
        y[k] = x[k];
        if (what == OF_PRODUCTS)
            load_as(type, &y[k], b, (size_t)k * LANES);
        if (swap)
            y[k] = PARSUM_SWAP_PAIRS(y[k]);
        if (type == OF_F64 || (type == OF_F32 && what == OF_PRODUCTS))
            flag_products(type, what, &x[k], &y[k], &bounds->floors, &bounds->ceilings, &flags);
    }
    if (type == OF_F32 && what != OF_PRODUCTS)
        flag_squares_f32(a, &bounds->floors_f32, &bounds->ceilings_f32, &flags);
    if (type == OF_F16)
        flag_f16(a, &flags);
    if (type == OF_F16 && what == OF_PRODUCTS)
        flag_f16(b, &flags);
    if (__builtin_expect(ANY_FLAG(flags), 0)) {
        vec_i64 outside[PRODUCT_GROUP];
        for (int k = 0; k < PRODUCT_GROUP; k++) {
            find_outside(type, what, &x[k], &y[k], &bounds->floors, &bounds->ceilings, &outside[k]);
            const vec_i64 in = (vec_i64)(outside[k] >= 0);
            x[k] = (vec_f64)((vec_i64)x[k] & in);
            y[k] = (vec_f64)((vec_i64)y[k] & in);
        }
        count = list_outside(outside, i, outliers);
    }
#pragma GCC unroll 4
    for (int k = 0; k < PRODUCT_GROUP; k++)
        fold_product(type, what, &x[k], &y[k], sums[k % PRODUCT_SETS(type)]);
    return count;
}

INLINE int fold_block_of_products(const int type, const int what, const int swap, const void *a,
                                  const void *b, size_t n, int window,
                                  int64_t (*parts)[PRODUCT_PARTS], uint16_t *outliers, double *ends)
{
    const int count = what == OF_MOMENTS ? PRODUCT_PARTS : PART_SUM_HIGH;
    const size_t size = type == OF_F64 ? sizeof(double) : type == OF_F32 ? sizeof(float) : 2;
    const char *p = a, *q = b;
    window_bounds bounds;
    vec_i64 totals[PRODUCT_PARTS] = {{0}};
    vec_f64 starts[PRODUCT_PARTS], sums[2][PRODUCT_PARTS];
    const size_t sets = PRODUCT_SETS(type), stretch = sets * PRODUCT_ADDS * LANES;
    lane_ends lanes;
    lane_ends *const both = ends ? &lanes : NULL;
    size_t listed = 0;
    bounds.floors = floor_bits_of(type, window) - (vec_i64){0};
    bounds.ceilings = ceiling_bits_of(window) - (vec_i64){0};
    bounds.floors_f32 = exponent_bits_f32((window - PRODUCT_MORE_F32) / 2) - (vec_u32){0};
    bounds.ceilings_f32 = exponent_bits_f32((window + PRODUCT_SPAN) / 2) - (vec_u32){0};
    for (int k = 0; k < count; k++)
        starts[k] = part_start(type, k, window) - (vec_f64){0};
    begin_ends(type, &lanes);
    for (size_t i = 0; i < n;) {
        const size_t end = n - i < stretch ? n : i + stretch;
        for (size_t set = 0; set < sets; set++)
            for (int k = 0; k < count; k++)
                sums[set][k] = starts[k];
        for (; i + PRODUCT_STEP <= end; i += PRODUCT_STEP) {
            listed += fold_product_group(type, what, swap, p + i * size, q + i * size, i, &bounds,
                                         sums, outliers + listed, both);
            if (listed > PRODUCT_OUTLIERS)
                return -1;
        }
        if (i < end) {
            double tails[2][PRODUCT_STEP] = {{0}};
            memcpy(tails[0], p + i * size, (end - i) * size);
            if (what == OF_PRODUCTS)
                memcpy(tails[1], q + i * size, (end - i) * size);
            listed += fold_product_group(type, what, swap, tails[0], tails[1], i, &bounds, sums,
                                         outliers + listed, NULL);
            if (ends) { /* which the zeros after it are none of */
                char *tail = (char *)tails[0];
                for (size_t k = end - i; k < PRODUCT_STEP; k++)
                    memcpy(tail + k * size, tail, size);
                take_ends(type, tail, &lanes);
            }
            i = end;
        }
        if (type == OF_F64 && what == OF_PRODUCTS) {
            const vec_i64 none = (vec_i64)(sums[0][PART_HIGH_ERROR] != sums[0][PART_HIGH_ERROR]);
            if (PARSUM_ANY(none))
                return -1;
        }
        for (size_t set = 0; set < sets; set++)
            for (int k = 0; k < count; k++)
                totals[k] += (vec_i64)sums[set][k] - (vec_i64)starts[k];
    }
    for (int k = 0; k < count; k++)
        add_lanes(&totals[k], &parts[0][k], &parts[1][k]);
    if (ends)
        join_lane_ends(type, &lanes, ends);
    return (int)listed;
}

/* Bits of the largest finite product. */
INLINE int64_t largest_of_products(const int type, const int swap, const void *a, const void *b,
                                   size_t n)
{
    const size_t size = type == OF_F64 ? sizeof(double) : type == OF_F32 ? sizeof(float) : 2;
    vec_i64 most = {0};
    for (size_t i = 0; i < n; i += LANES) {
        double tails[2][LANES] = {{0}};
        const void *p = (const char *)a + i * size, *q = (const char *)b + i * size;
        vec_f64 x, y;
        if (n - i < LANES) {
            memcpy(tails[0], p, (n - i) * size);
            memcpy(tails[1], q, (n - i) * size);
            p = tails[0];
            q = tails[1];
        }
        load_as(type, &x, p, 0);
        load_as(type, &y, q, 0);
        if (swap)
            y = PARSUM_SWAP_PAIRS(y);
        vec_i64 bits = (vec_i64)(x * y) & INT64_MAX;
        bits &= (vec_i64)(bits < (int64_t)INFINITY_BITS);
        const vec_i64 more = (vec_i64)(bits > most);
        most = (bits & more) | (most & ~more);
    }
    int64_t largest = 0;
    for (int l = 0; l < LANES; l++)
        largest = most[l] > largest ? most[l] : largest;
    return largest;
}

/* ---- columns ---- */

/* Accumulators of a tile's columns, each with a window of its own, whose 2^w has the bits
 * windows[j]. Vectors begin at columns 0, LANES, ..., and the last one at columns - LANES: what it
 * has in common with the one before is taken in twice and used once. */
typedef struct {
    _Alignas(64) int64_t windows[PRODUCT_TILE];
    _Alignas(64) int64_t outside[PRODUCT_TILE];
    _Alignas(64) double sums[PRODUCT_PARTS][PRODUCT_TILE];
    _Alignas(64) int64_t totals[PRODUCT_PARTS][PRODUCT_TILE];
} product_columns;

INLINE void column_start(const int type, const int part, const vec_i64 *windows, vec_f64 *start)
{
    vec_i64 bits;
    if (part < PART_SUM_HIGH) {
        bits = *windows + ((int64_t)part_offset(part) * (INT64_C(1) << 52));
    } else {
        /* sum_window: exponents are biased by 1023 */
        const int more = type == OF_F32 ? PRODUCT_MORE_F32 : 0, less = type == OF_F32 ? 13 : 0;
        bits = (vec_i64)(((vec_u64)*windows + ((uint64_t)(1023 - more) << 52)) >> 1);
        bits -= (int64_t)less << 52;
        if (type == OF_F16)
            bits = ((int64_t)(sum_window(OF_F16, 0) + 1023) << 52) + (vec_i64){0};
        if (part == PART_SUM_HIGH)
            bits += (int64_t)WINDOW_OFFSET << 52;
    }
    *start = (vec_f64)(bits + (INT64_C(1) << 51));
}

/* Rows of one vector of columns. */
INLINE void fold_vector_of_products(const int type, const int what, const int swap, const char *a,
                                    const char *b, const int rows, ptrdiff_t a_stride,
                                    ptrdiff_t b_stride, product_columns *columns, size_t slot)
{
    const int count = what == OF_MOMENTS ? PRODUCT_PARTS : PART_SUM_HIGH;
    vec_f64 sums[PRODUCT_PARTS];
    vec_i64 windows, outside;
    memcpy(&windows, columns->windows + slot, sizeof windows);
    memcpy(&outside, columns->outside + slot, sizeof outside);
    for (int k = 0; k < count; k++)
        memcpy(&sums[k], columns->sums[k] + slot, sizeof sums[k]);
    const int64_t more = type == OF_F32 ? (int64_t)PRODUCT_MORE_F32 << 52 : 0;
    const vec_i64 floors = windows - more, ceilings = windows + ((int64_t)PRODUCT_SPAN << 52);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        vec_f64 x, y;
        vec_i64 out;
        load_as(type, &x, a + r * a_stride, 0);
        y = x;
        if (what == OF_PRODUCTS)
            load_as(type, &y, b + r * b_stride, 0);
        if (swap)
            y = PARSUM_SWAP_PAIRS(y);
        find_outside(type, what, &x, &y, &floors, &ceilings, &out);
        fold_product(type, what, &x, &y, sums);
        outside |= out;
    }
    memcpy(columns->outside + slot, &outside, sizeof outside);
    for (int k = 0; k < count; k++)
        memcpy(columns->sums[k] + slot, &sums[k], sizeof sums[k]);
}

/* Accumulators back to their starts, and what was in them to the totals. */
INLINE void drain_columns(const int type, const int what, product_columns *columns, size_t slots,
                          const int first)
{
    const int count = what == OF_MOMENTS ? PRODUCT_PARTS : PART_SUM_HIGH;
    for (size_t slot = 0; slot < slots; slot += LANES) {
        vec_i64 windows, total = {0};
        memcpy(&windows, columns->windows + slot, sizeof windows);
        for (int k = 0; k < count; k++) {
            vec_f64 start, sum;
            column_start(type, k, &windows, &start);
            if (!first) {
                memcpy(&sum, columns->sums[k] + slot, sizeof sum);
                memcpy(&total, columns->totals[k] + slot, sizeof total);
                total += (vec_i64)sum - (vec_i64)start;
                if (type == OF_F64 && what == OF_PRODUCTS && k == PART_HIGH_ERROR) {
                    vec_i64 outside;
                    memcpy(&outside, columns->outside + slot, sizeof outside);
                    outside |= (vec_i64)(sum != sum);
                    memcpy(columns->outside + slot, &outside, sizeof outside);
                }
            }
            memcpy(columns->sums[k] + slot, &start, sizeof start);
            memcpy(columns->totals[k] + slot, &total, sizeof total);
        }
    }
}

INLINE void fold_columns_of_products(const int type, const int what, const int swap, const char *a,
                                     const char *b, size_t rows, ptrdiff_t a_stride,
                                     ptrdiff_t b_stride, size_t columns, const int *windows,
                                     int64_t (*parts)[PRODUCT_TILE], int64_t *outside)
{
    enum { AT_ONCE = 8 };
    const int count = what == OF_MOMENTS ? PRODUCT_PARTS : PART_SUM_HIGH;
    const size_t size = type == OF_F64 ? sizeof(double) : type == OF_F32 ? sizeof(float) : 2;
    const size_t slots = (columns + LANES - 1) / LANES * LANES, whole = columns / LANES * LANES;
    /* Where the last vector's columns begin, and in it the first that no other has. */
    const size_t last = columns < LANES ? 0 : columns - LANES;
    const size_t repeated = columns < LANES ? 0 : whole - last;
    double padded[2][AT_ONCE * LANES];
    product_columns at;
    for (size_t slot = 0; slot < slots; slot++) {
        size_t j = slot < whole ? slot : last + (slot - whole);
        j = j < columns ? j : 0;
        at.windows[slot] = (int64_t)(windows[j] + 1023) << 52;
        at.outside[slot] = 0;
    }
    drain_columns(type, what, &at, slots, 1);
    /* Short rows are taken in a fraction of all rows apart, as in fold_columns. */
    const size_t steps = rows / AT_ONCE, left = rows % AT_ONCE;
    const int is_short = a_stride < PAGE && a_stride > -PAGE;
    size_t adds = 0;
    for (size_t step = 0; step < steps + left; step++) {
        const int single = step >= steps;
        const size_t first = single     ? steps * AT_ONCE + (step - steps)
                             : is_short ? step
                                        : step * AT_ONCE;
        const ptrdiff_t apart = single || !is_short ? 1 : (ptrdiff_t)steps;
        const char *p = a + (ptrdiff_t)first * a_stride, *q = b + (ptrdiff_t)first * b_stride;
        ptrdiff_t p_apart = apart * a_stride, q_apart = apart * b_stride;
        if (adds + (single ? 1 : AT_ONCE) > PRODUCT_ADDS) {
            drain_columns(type, what, &at, slots, 0);
            adds = 0;
        }
        adds += single ? 1 : AT_ONCE;
        if (columns < LANES) {
            memset(padded, 0, sizeof padded);
            for (int r = 0; r < (single ? 1 : AT_ONCE); r++) {
                memcpy(padded[0] + r * LANES, p + r * p_apart, columns * size);
                memcpy(padded[1] + r * LANES, q + r * q_apart, columns * size);
            }
            p = (const char *)padded[0];
            q = (const char *)padded[1];
            p_apart = q_apart = LANES * sizeof(double);
        }
        for (size_t slot = 0; slot < slots; slot += LANES) {
            const size_t offset = (slot < whole ? slot : last) * size;
            if (single)
                fold_vector_of_products(type, what, swap, p + offset, q + offset, 1, p_apart,
                                        q_apart, &at, slot);
            else
                fold_vector_of_products(type, what, swap, p + offset, q + offset, AT_ONCE, p_apart,
                                        q_apart, &at, slot);
        }
    }
    drain_columns(type, what, &at, slots, 0);
    for (size_t j = 0; j < columns; j++) {
        const size_t slot = j < whole ? j : j + repeated;
        outside[j] = at.outside[slot];
        for (int k = 0; k < count; k++)
            parts[k][j] = at.totals[k][slot];
    }
}

#define PRODUCT_KERNELS(NAME, TYPE)                                                                \
    static int products_##NAME(const void *a, const void *b, size_t n, int swap, int window,       \
                               int64_t (*parts)[PRODUCT_PARTS], uint16_t *outliers)                \
    {                                                                                              \
        return swap ? fold_block_of_products(TYPE, OF_PRODUCTS, 1, a, b, n, window, parts,         \
                                             outliers, NULL)                                       \
                    : fold_block_of_products(TYPE, OF_PRODUCTS, 0, a, b, n, window, parts,         \
                                             outliers, NULL);                                      \
    }                                                                                              \
    static int squares_##NAME(const void *data, size_t n, int window,                              \
                              int64_t (*parts)[PRODUCT_PARTS], uint16_t *outliers)                 \
    {                                                                                              \
        return fold_block_of_products(TYPE, OF_SQUARES, 0, data, data, n, window, parts, outliers, \
                                      NULL);                                                       \
    }                                                                                              \
    static int moments_##NAME(const void *data, size_t n, int window,                              \
                              int64_t (*parts)[PRODUCT_PARTS], uint16_t *outliers)                 \
    {                                                                                              \
        return fold_block_of_products(TYPE, OF_MOMENTS, 0, data, data, n, window, parts, outliers, \
                                      NULL);                                                       \
    }                                                                                              \
    static int ends_##NAME(const void *data, size_t n, int window,                                 \
                           int64_t (*parts)[PRODUCT_PARTS], uint16_t *outliers, double *ends)      \
    {                                                                                              \
        return fold_block_of_products(TYPE, OF_MOMENTS, 0, data, data, n, window, parts, outliers, \
                                      ends);                                                       \
    }                                                                                              \
    static void product_columns_##NAME(const void *a, const void *b, size_t rows,                  \
                                       ptrdiff_t a_stride, ptrdiff_t b_stride, size_t columns,     \
                                       int swap, const int *windows,                               \
                                       int64_t (*parts)[PRODUCT_TILE], int64_t *outside)           \
    {                                                                                              \
        if (swap)                                                                                  \
            fold_columns_of_products(TYPE, OF_PRODUCTS, 1, a, b, rows, a_stride, b_stride,         \
                                     columns, windows, parts, outside);                            \
        else                                                                                       \
            fold_columns_of_products(TYPE, OF_PRODUCTS, 0, a, b, rows, a_stride, b_stride,         \
                                     columns, windows, parts, outside);                            \
    }                                                                                              \
    static void square_columns_##NAME(const void *data, size_t rows, ptrdiff_t stride,             \
                                      size_t columns, const int *windows,                          \
                                      int64_t (*parts)[PRODUCT_TILE], int64_t *outside)            \
    {                                                                                              \
        fold_columns_of_products(TYPE, OF_SQUARES, 0, data, data, rows, stride, stride, columns,   \
                                 windows, parts, outside);                                         \
    }                                                                                              \
    static void moment_columns_##NAME(const void *data, size_t rows, ptrdiff_t stride,             \
                                      size_t columns, const int *windows,                          \
                                      int64_t (*parts)[PRODUCT_TILE], int64_t *outside)            \
    {                                                                                              \
        fold_columns_of_products(TYPE, OF_MOMENTS, 0, data, data, rows, stride, stride, columns,   \
                                 windows, parts, outside);                                         \
    }                                                                                              \
    static int64_t largest_product_##NAME(const void *a, const void *b, size_t n, int swap)        \
    {                                                                                              \
        return swap ? largest_of_products(TYPE, 1, a, b, n)                                        \
                    : largest_of_products(TYPE, 0, a, b, n);                                       \
    }

PRODUCT_KERNELS(f64, OF_F64)
PRODUCT_KERNELS(f32, OF_F32)
PRODUCT_KERNELS(f16, OF_F16)
