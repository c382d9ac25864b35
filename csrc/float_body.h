/* The loops over floating elements, written once: float_type_body.h is included for each element
 * type, and this file by each CPU level.
 *
 * The exact method (after Rump, Ogita and Oishi, "Accurate floating-point summation", 2008, and
 * Demmel and Nguyen, "Fast reproducible floating-point summation", 2013) cuts every element at a
 * fixed place by adding it to an accumulator of known magnitude. Window w takes nonzero v with
 * 2^w <= |v| < 2^(w+32), and N <= 2^9 = WINDOW_ADDS elements to an accumulator:
 *
 *   high starts at 1.5 * 2^(w+42). t = high + v; q = t - high; r = v - q.
 *     |sum of q| <= 2^9 * 2^(w+32) = 2^(w+41), so high stays within [2^(w+42), 2^(w+43)], where
 *     its ulp is 2^(w-10): FastTwoSum, q and r are exact, q is a multiple of 2^(w-10), and
 *     |r| <= 2^(w-11).
 *   low starts at 1.5 * 2^w. low += r.
 *     v, hence r, is a multiple of 2^(w-52); |sum of r| <= 2^9 * 2^(w-11) = 2^(w-2), so low stays
 *     within [2^w, 2^(w+1)], where its ulp is 2^(w-52): every addition is exact.
 *
 * Within a binade the bit pattern of a double is linear in its value, so bits(high) - bits(start)
 * is the sum of q in units of 2^(w-10) as an integer, and likewise for low in units of 2^(w-52).
 *
 * An element is in the window if bits(v) - bits(2^w) has no bit set from bit 57 to 62: the
 * difference is 5 bits of exponent and 52 of fraction. (Bit 63 is the sign of v and of no matter.)
 * A smaller |v| borrows, which sets bit 62; NaN and infinity are too large. Zeros are let through
 * by a comparison: they change neither accumulator. */
#include "exact.h"
#include "kernels.h"

#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_(a, b)

#define ACCUMULATORS                                                                               \
    4 /* vectors each of high and low: enough to hide the latency of an addition                   \
       */
#define GROUP (ACCUMULATORS * LANES)
#define PAGE 4096
#define ROWS_AT_ONCE 8 /* rows that a column's accumulators stay in registers for */

static inline double window_high(int64_t floor_bits)
{
    return double_of((uint64_t)floor_bits + ((uint64_t)WINDOW_OFFSET << 52) + (UINT64_C(1) << 51));
}

static inline double window_low(int64_t floor_bits)
{
    return double_of((uint64_t)floor_bits + (UINT64_C(1) << 51));
}

static inline int64_t window_floor(int window)
{
    return (int64_t)(window + 1023) << 52;
}

INLINE void fold(const vec_f64 *v, const vec_i64 *floor_bits, vec_f64 *high, vec_f64 *low,
                 vec_i64 *outside)
{
    vec_f64 sum = *high + *v;
    vec_f64 rest = *v - (sum - *high);
    *high = sum;
    *low += rest;
    *outside |= (vec_i64)((vec_u64)*v - (vec_u64)*floor_bits) & (vec_i64)(*v != 0);
}

/* Lane l of accumulator j has the elements whose number is j * LANES + l modulo GROUP. */
INLINE void sum_interleaved(const vec_i64 *sums, unsigned columns, int64_t *out)
{
    if (LANES % columns == 0) {
        vec_i64 total = sums[0];
        for (int j = 1; j < ACCUMULATORS; j++)
            total += sums[j];
        if (columns == 1)
            for (int l = 0; l < LANES; l++)
                out[0] += total[l];
        else
            for (unsigned l = 0; l < LANES; l++)
                out[l & (columns - 1)] += total[l];
        return;
    }
    for (unsigned l = 0; l < GROUP; l++)
        out[l & (columns - 1)] += sums[l / LANES][l % LANES];
}

/* As fold, but of what is in the window and not above `largest`; `below` becomes the largest
 * magnitude under its floor. */
INLINE void peel_fold(const vec_f64 *all, const vec_i64 *floor_bits, const vec_i64 *largest,
                      vec_f64 *high, vec_f64 *low, vec_i64 *below)
{
    const vec_i64 magnitude = (vec_i64)*all & INT64_MAX;
    const vec_i64 small = magnitude < *floor_bits;
    const vec_i64 large = magnitude > *largest;
    const vec_f64 v = (vec_f64)((vec_i64)*all & ~(small | large));
    const vec_i64 more = small & (magnitude > *below);
    *below = (magnitude & more) | (*below & ~more);
    vec_f64 sum = *high + v;
    *low += v - (sum - *high);
    *high = sum;
}

INLINE void fold_group(const double *p, const int peels, const int taken, const vec_i64 *floors,
                       const vec_i64 *largest, vec_f64 *high, vec_f64 *low, vec_i64 *seen)
{
#pragma GCC unroll 4
    for (int j = 0; j < ACCUMULATORS; j++) {
        vec_f64 v;
        load_f64(&v, p + j * LANES);
        take_as(&v, taken);
        if (peels)
            peel_fold(&v, floors, largest, &high[j], &low[j], seen);
        else
            fold(&v, floors, &high[j], &low[j], seen);
    }
}

/* Both kinds of block. Peels or not, the sums are added unless `seen` says that an element was
 * outside; returns what was seen, the largest of it if peeling, else all bits of it. */
INLINE int64_t fold_block(const double *p, size_t n, int window, const int peels, const int taken,
                          int64_t largest_bits, unsigned columns, int64_t *hi, int64_t *lo)
{
    const int64_t floor_bits = window_floor(window);
    const vec_i64 floors = floor_bits - (vec_i64){0};
    const vec_f64 high_start = window_high(floor_bits) - (vec_f64){0};
    const vec_f64 low_start = window_low(floor_bits) - (vec_f64){0};
    vec_f64 high[ACCUMULATORS], low[ACCUMULATORS];
    const vec_i64 largest = largest_bits - (vec_i64){0};
    vec_i64 seen = {0}, sums[ACCUMULATORS];
    for (int j = 0; j < ACCUMULATORS; j++) {
        high[j] = high_start;
        low[j] = low_start;
    }
    size_t i = 0;
    for (; i + GROUP <= n; i += GROUP)
        fold_group(p + i, peels, taken, &floors, &largest, high, low, &seen);
    if (i < n) {
        double tail[GROUP] = {0};
        memcpy(tail, p + i, (n - i) * sizeof *p);
        fold_group(tail, peels, taken, &floors, &largest, high, low, &seen);
    }
    int64_t result = 0;
    for (int l = 0; l < LANES; l++)
        result = !peels ? result | seen[l] : seen[l] > result ? seen[l] : result;
    if (!peels && (result & WINDOW_OUTSIDE))
        return result;
    for (int j = 0; j < ACCUMULATORS; j++)
        sums[j] = (vec_i64)high[j] - (vec_i64)high_start;
    sum_interleaved(sums, columns, hi);
    for (int j = 0; j < ACCUMULATORS; j++)
        sums[j] = (vec_i64)low[j] - (vec_i64)low_start;
    sum_interleaved(sums, columns, lo);
    return result;
}

static int window_block_f64(const void *data, size_t n, int window, unsigned columns, int64_t *hi,
                            int64_t *lo)
{
    return (fold_block(data, n, window, 0, 0, 0, columns, hi, lo) & WINDOW_OUTSIDE) != 0;
}

static int window_block_abs_f64(const void *data, size_t n, int window, unsigned columns,
                                int64_t *hi, int64_t *lo)
{
    return (fold_block(data, n, window, 0, 1, 0, columns, hi, lo) & WINDOW_OUTSIDE) != 0;
}

static int window_block_nan_f64(const void *data, size_t n, int window, unsigned columns,
                                int64_t *hi, int64_t *lo)
{
    return (fold_block(data, n, window, 0, TAKEN_UNLESS_NAN, 0, columns, hi, lo) &
            WINDOW_OUTSIDE) != 0;
}

static int64_t peel(const double *p, size_t n, int window, int64_t largest, unsigned columns,
                    int64_t *hi, int64_t *lo)
{
    return fold_block(p, n, window, 1, 0, largest, columns, hi, lo);
}

INLINE void scatter_one(double value, int64_t *limbs)
{
    const uint64_t bits = bits_of(value);
    const uint64_t exponent = (bits >> 52) & 0x7ff;
    const uint64_t normal = exponent != 0;
    const uint64_t fraction = (bits & UINT64_C(0xfffffffffffff)) | (normal << 52);
    const uint64_t position = exponent - normal; /* of the last bit, above 2^-1074 */
    const int64_t sign = (int64_t)bits >> 63;
    const unsigned shift = position & 31;
    const int64_t low = (int64_t)(uint32_t)(fraction << shift);
    const int64_t high = (int64_t)(fraction >> (32 - shift)); /* below 2^52 */
    int64_t *limb = limbs + (position >> 5);
    limb[0] += (low ^ sign) - sign;
    limb[1] += (high ^ sign) - sign;
}

/* Additions to one limb wait for the one before (store forwarding): two chains hide that. */
static void scatter(const double *data, size_t n, size_t step, int64_t *even, int64_t *odd)
{
    size_t i = 0;
    for (; i + 2 <= n; i += 2) {
        scatter_one(data[i * step], even);
        scatter_one(data[(i + 1) * step], odd);
    }
    if (i < n)
        scatter_one(data[i * step], even);
}

/* The narrow types need the high accumulator alone. A float32 has 24 bits, so if 2^(w+13) <= |v| it
 * is a multiple of 2^(w-10), and with at most 2^6 elements to an accumulator |v| may go up to
 * 2^(w+35): 22 binades. A float16 is a multiple of 2^-24 below 2^16: window -14 takes all. */
#define NARROW_ACCUMULATORS 8
#define NARROW_GROUP (NARROW_ACCUMULATORS * LANES)
#define F32_BLOCK (64 * NARROW_GROUP < BLOCK ? 64 * NARROW_GROUP : BLOCK)

INLINE void take_bounds(const vec_u32 *v, vec_u32 *largest, vec_u32 *least)
{
    vec_u32 below = *v - 1; /* zeros wrap to the largest number */
#if defined(PARSUM_MAX_U32)
    *largest = PARSUM_MAX_U32(*largest, *v);
    *least = PARSUM_MIN_U32(*least, below);
#else
    vec_u32 more = (vec_u32)(*v > *largest), fewer = (vec_u32)(below < *least);
    *largest = (*v & more) | (*largest & ~more);
    *least = (below & fewer) | (*least & ~fewer);
#endif
}

INLINE void narrow_sums(const vec_f64 *high, const vec_f64 *start, unsigned columns, int64_t *hi)
{
    vec_i64 sums[ACCUMULATORS];
    for (int j = 0; j < ACCUMULATORS; j++)
        sums[j] = ((vec_i64)high[j] - (vec_i64)*start) +
                  ((vec_i64)high[j + ACCUMULATORS] - (vec_i64)*start);
    sum_interleaved(sums, columns, hi);
}

INLINE void fold_f32(const float *p, const int taken, vec_f64 *high, vec_u32 *largest,
                     vec_u32 *least)
{
    for (int j = 0; j < NARROW_ACCUMULATORS; j++) {
        vec_f64 v;
        load_f32(&v, p + j * LANES);
        take_as(&v, taken);
        high[j] += v;
    }
    for (int j = 0; j < NARROW_ACCUMULATORS / 2; j++) {
        vec_u32 bits;
        memcpy(&bits, p + 2 * j * LANES, sizeof bits);
        bits &= 0x7fffffff;
        if (taken == TAKEN_UNLESS_NAN)
            bits &= (vec_u32)(bits <= 0x7f800000);
        take_bounds(&bits, largest, least);
    }
}

INLINE int fold_block_f32(const float *p, size_t n, int window, const int taken, unsigned columns,
                          int64_t *hi)
{
    /* float32 exponents of the floor and of the bound, biased */
    const int floor_exponent = window + 13 + 127, bound_exponent = window + 35 + 127;
    if (floor_exponent < 1 || bound_exponent > 254)
        return 1;
    const vec_f64 start = window_high(window_floor(window)) - (vec_f64){0};
    vec_f64 high[NARROW_ACCUMULATORS];
    vec_u32 largest = {0}, least = ~(vec_u32){0};
    for (int j = 0; j < NARROW_ACCUMULATORS; j++)
        high[j] = start;
    size_t i = 0;
    for (; i + NARROW_GROUP <= n; i += NARROW_GROUP)
        fold_f32(p + i, taken, high, &largest, &least);
    if (i < n) {
        float tail[NARROW_GROUP] = {0};
        memcpy(tail, p + i, (n - i) * sizeof *p);
        fold_f32(tail, taken, high, &largest, &least);
    }
    uint32_t all_largest = 0, all_least = UINT32_MAX;
    for (int l = 0; l < 2 * LANES; l++) {
        all_largest = largest[l] > all_largest ? largest[l] : all_largest;
        all_least = least[l] < all_least ? least[l] : all_least;
    }
    if (all_largest >= (uint32_t)bound_exponent << 23 ||
        all_least < ((uint32_t)floor_exponent << 23) - 1)
        return 1;
    narrow_sums(high, &start, columns, hi);
    return 0;
}

INLINE void fold_f16(const uint16_t *p, const int taken, vec_f64 *high, vec_u16 *special)
{
    for (int j = 0; j < NARROW_ACCUMULATORS; j++) {
        vec_f64 v;
        load_f16(&v, p + j * LANES);
#if !defined(PARSUM_HAVE_F16C)
        /* NaN and infinity come out from 2^16 up; of infinity `special` tells. */
        if (taken == TAKEN_UNLESS_NAN)
            v = (vec_f64)((vec_i64)v & (vec_i64)(v < 0x1p16) & (vec_i64)(v > -0x1p16));
#endif
        take_as(&v, taken);
        high[j] += v;
    }
    for (int j = 0; j < NARROW_ACCUMULATORS / 4; j++) {
        vec_u16 bits;
        memcpy(&bits, p + 4 * j * LANES, sizeof bits);
        if (taken == TAKEN_UNLESS_NAN)
            bits &= (vec_u16)((bits & 0x7fff) <= 0x7c00);
        *special |= (bits & 0x7c00) + 0x0400; /* an exponent of ones carries into bit 15 */
    }
}

#define F16_WINDOW (-14)

INLINE int fold_block_f16(const uint16_t *p, size_t n, int window, const int taken,
                          unsigned columns, int64_t *hi)
{
    if (window != F16_WINDOW)
        return 1;
    const vec_f64 start = window_high(window_floor(window)) - (vec_f64){0};
    vec_f64 high[NARROW_ACCUMULATORS];
    vec_u16 special = {0};
    for (int j = 0; j < NARROW_ACCUMULATORS; j++)
        high[j] = start;
    size_t i = 0;
    for (; i + NARROW_GROUP <= n; i += NARROW_GROUP)
        fold_f16(p + i, taken, high, &special);
    if (i < n) {
        uint16_t tail[NARROW_GROUP] = {0};
        memcpy(tail, p + i, (n - i) * sizeof *p);
        fold_f16(tail, taken, high, &special);
    }
    uint16_t any = 0;
    for (int l = 0; l < 4 * LANES; l++)
        any |= special[l];
    if (any & 0x8000)
        return 1;
    narrow_sums(high, &start, columns, hi);
    return 0;
}

/* float32 and float16 have no low sums. */
#define NARROW_BLOCK(NAME, TYPE, ABSOLUTE)                                                         \
    static int NAME(const void *data, size_t n, int window, unsigned columns, int64_t *hi,         \
                    int64_t *lo)                                                                   \
    {                                                                                              \
        (void)lo;                                                                                  \
        return fold_block_##TYPE(data, n, window, ABSOLUTE, columns, hi);                          \
    }

NARROW_BLOCK(window_block_f32, f32, 0)
NARROW_BLOCK(window_block_abs_f32, f32, 1)
NARROW_BLOCK(window_block_nan_f32, f32, TAKEN_UNLESS_NAN)
NARROW_BLOCK(window_block_nan_f16, f16, TAKEN_UNLESS_NAN)
NARROW_BLOCK(window_block_f16, f16, 0)
NARROW_BLOCK(window_block_abs_f16, f16, 1)

static void bounds(const double *data, size_t n, int64_t *largest, int64_t *least, uint64_t *groups)
{
    vec_i64 most = {0}, fewest = INT64_MAX - (vec_i64){0};
    vec_u64 present = {0};
    const vec_u64 one = 1 - (vec_u64){0};
    for (size_t i = 0; i < n; i += LANES) {
        double tail[LANES] = {0};
        const double *p = data + i;
        if (n - i < LANES) {
            memcpy(tail, p, (n - i) * sizeof *p);
            p = tail;
        }
        vec_i64 bits;
        memcpy(&bits, p, sizeof bits);
        bits &= INT64_MAX;
        present |= one << ((vec_u64)bits >> WINDOW_BITS);
        vec_i64 nonzero = (bits - 1) & INT64_MAX; /* zeros wrap to the largest number */
        vec_i64 more = bits > most, fewer = nonzero < fewest;
        most = (bits & more) | (most & ~more);
        fewest = (nonzero & fewer) | (fewest & ~fewer);
    }
    *largest = 0;
    *least = INT64_MAX;
    *groups = 0;
    for (int l = 0; l < LANES; l++) {
        *groups |= present[l];
        *largest = most[l] > *largest ? most[l] : *largest;
        *least = fewest[l] < *least ? fewest[l] : *least;
    }
    if (*least != INT64_MAX)
        *least += 1;
}

static inline double widen_scalar_f64(const void *p)
{
    double value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline double widen_scalar_f32(const void *p)
{
    float value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline double widen_scalar_f16(const void *p)
{
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    uint32_t exponent = (bits >> 10) & 0x1f, fraction = bits & 0x3ff;
    uint64_t sign = (uint64_t)(bits & 0x8000) << 48;
    if (exponent == 31)
        return double_of(sign | INFINITY_BITS | ((uint64_t)fraction << 42));
    double value = exponent
                       ? double_of(((uint64_t)(exponent + 1008) << 52) | ((uint64_t)fraction << 42))
                       : (double)fraction * 0x1p-24;
    return double_of(bits_of(value) | sign);
}

/* The sum of a vector's lanes, for lanes whose sum is exact in any order. */
INLINE double sum_of_lanes(const vec_f64 *v)
{
    typedef double pair __attribute__((vector_size(16)));
    pair parts[LANES / 2];
    memcpy(parts, v, sizeof parts);
    for (int half = LANES / 4; half; half /= 2)
        for (int k = 0; k < half; k++)
            parts[k] += parts[k + half];
    return parts[0][0] + parts[0][1];
}

/* Bits of 2^w for the window w whose topmost binade, less some headroom, is that of `most`. */
INLINE void floors_below(const vec_i64 *most, int headroom, vec_i64 *floors)
{
    const vec_i64 zero = {0};
    const vec_i64 least = (WINDOW_MIN + 1023) + zero, largest = (WINDOW_MAX + 1023) + zero;
    vec_i64 biased = (vec_i64)((vec_u64)*most >> 52) + (headroom - WINDOW_SPAN + 1);
    const vec_i64 under = biased < least;
    biased = (least & under) | (biased & ~under);
    const vec_i64 over = biased > largest;
    biased = (largest & over) | (biased & ~over);
    *floors = biased << 52;
}

INLINE void start_accumulators(const vec_i64 *floors, vec_f64 *high, vec_f64 *low)
{
    *high = (vec_f64)(*floors + (((int64_t)WINDOW_OFFSET << 52) + (INT64_C(1) << 51)));
    *low = (vec_f64)(*floors + (INT64_C(1) << 51));
}

/* s - q n, exact if q is s / n but for some units of its last place: a sum of q's upper 41 bits and
 * its lower 12, each times n < 2^12. */
INLINE void remainder_of(const vec_f64 *s, const vec_f64 *q, double n, vec_f64 *r)
{
    const vec_f64 upper = (vec_f64)((vec_i64)*q & ~INT64_C(0xfff));
    *r = (*s - upper * n) - (*q - upper) * n;
}

/* The exact sum is s + e, s the nearest double. A quotient q leaves t = s + e - q n, and it is the
 * nearest one if |t| < n u / 2, u the distance of doubles next to q (on the closer side, if q is a
 * power of two), or if it is even and |t| = n u / 2.
 *
 * t is exact: s - q n is a multiple of u below 2^12 u in magnitude; and in window w either e is 0,
 * or e is a multiple of 2^(w-52) and u, as |q| < 2^(w+32), is at most 2^(w-21), so that t has at
 * most 44 bits. Of two elements, s / 2 is a double next to it and e is left.
 *
 * An exponent of q that leaves no room for that of u / 2, as 0 and subnormals have, wraps around to
 * the sign: then nothing is below. */
INLINE void divide_vector(const vec_f64 *high, const vec_f64 *low, double n, vec_f64 *quotient,
                          vec_f64 *rest, vec_i64 *unsure)
{
    const int64_t fraction = INT64_C(0xfffffffffffff);
    const double inverse = 1 / n;
    vec_f64 r;
    const vec_f64 s = *high + *low, part = s - *high;
    const vec_f64 e = (*high - (s - part)) + (*low - part);
    vec_f64 q = s * inverse;
    remainder_of(&s, &q, n, &r);
    q += (r + e) * inverse;
    remainder_of(&s, &q, n, &r);
    const vec_f64 t = r + e, distance = (vec_f64)((vec_i64)t & INT64_MAX);
    const vec_i64 size = (vec_i64)q & INT64_MAX;
    const vec_f64 limit = (vec_f64)(((size - 1) & ~fraction) - (INT64_C(53) << 52)) * n;
    const vec_i64 even_tie = (vec_i64)(distance == limit) & ~-(size & 1);
    *unsure = ~((vec_i64)(distance < limit) | even_tie);
    *quotient = q;
    *rest = t;
}

static int divide_pairs(const double *highs, const double *lows, size_t count, double n,
                        double *quotients, double *rests, int64_t *unsure)
{
    vec_i64 any = {0};
    for (size_t j = 0; j < count; j += LANES) {
        const size_t kept = count - j < LANES ? count - j : LANES;
        vec_f64 high, low, quotient, rest;
        vec_i64 out;
        if (kept == LANES) {
            load_f64(&high, highs + j);
            load_f64(&low, lows + j);
        } else {
            high = 1 - (vec_f64){0};
            low = (vec_f64){0};
            memcpy(&high, highs + j, kept * sizeof *highs);
            memcpy(&low, lows + j, kept * sizeof *lows);
        }
        divide_vector(&high, &low, n, &quotient, &rest, &out);
        any |= out;
        memcpy(quotients + j, &quotient, kept * sizeof *quotients);
        memcpy(rests + j, &rest, kept * sizeof *rests);
        memcpy(unsure + j, &out, kept * sizeof *unsure);
    }
    int64_t bits = 0;
    for (int l = 0; l < LANES; l++)
        bits |= any[l];
    return bits != 0;
}

#define TYPE f64
#define ELEMENT double
#include "float_type_body.h"
#undef TYPE
#undef ELEMENT

#define TYPE f32
#define ELEMENT float
#include "float_type_body.h"
#undef TYPE
#undef ELEMENT

#define TYPE f16
#define ELEMENT uint16_t
#include "float_type_body.h"
#undef TYPE
#undef ELEMENT
