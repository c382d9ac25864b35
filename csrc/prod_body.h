/* The loops that multiply: floats in two parts (prod_float_body.h is included for each type),
 * and integers modulo 2^64; included by each CPU level.
 *
 * A leaf of floats has 16 lanes (prod.h). Elements are multiplied by twos, or fours if they are
 * halves, to a factor q + e, where q = RN(ab) and e is its error, and a lane (p, c) becomes
 *   p' = RN(p q),  c' = RN(RN(c q) + RN(error of p' + RN(p e))).
 * Scaling by a power of two changes no rounding while nothing underflows. So elements are taken as
 * they are if all q are within a window that keeps lanes normal; otherwise in a second pass, which
 * takes the exponents off, to the same bits.
 *
 * The window. Floats: q in [2^-32, 2^32), 16 of them to a lane before it is made normal, so p is in
 * [2^-512, 2^512]. Halves: q in [2^-96, 2^64) whatever the elements, 8 to a lane: [2^-768, 2^512].
 * Errors are multiples of 2^-104 p, and so c, if not zero, is at least about 2^-157 p: should it
 * cancel, it does so against a number of at least 2^-104 p. Its products' last bits are at
 * 2^-210 p, above 2^-1022. So nothing underflows, and TwoProd has the same result by FMA and by
 * Dekker. */
#include "kernels.h"
#include "prod.h"

#define PROD_PACKED 32 /* columns up to which a row of the array is not a row of a leaf */
#define PROD_WIDTH 512 /* PROD_PACKED * PROD_LANES, and at least PROD_COLUMNS */

#define FACTOR_FLOOR ((uint64_t)(1023 - FACTOR_WINDOW) << 52)

/* The error of p = a * b. */
INLINE void prod_errors(const vec_f64 *a, const vec_f64 *b, const vec_f64 *p, vec_f64 *error)
{
#if defined(PARSUM_FMSUB)
    *error = PARSUM_FMSUB(*a, *b, *p);
#else
    const vec_u64 half = (vec_u64){0} + (UINT64_C(1) << 26), upper = ~((half << 1) - 1);
    const vec_f64 ah = (vec_f64)(((vec_u64)*a + half) & upper), al = *a - ah;
    const vec_f64 bh = (vec_f64)(((vec_u64)*b + half) & upper), bl = *b - bh;
    *error = ((ah * bh - *p) + ah * bl + al * bh) + al * bl;
#endif
}

static inline double prod_error(double a, double b, double p)
{
#if defined(PARSUM_FMSUB)
    return __builtin_fma(a, b, -p);
#else
    return dekker_error(a, b, p);
#endif
}

INLINE void load_factor_f64(vec_f64 *out, const char *p)
{
    load_f64(out, p);
}

INLINE void load_factor_f32(vec_f64 *out, const char *p)
{
    load_f32(out, p);
}

INLINE void load_factor_f16(vec_f64 *out, const char *p)
{
    load_f16(out, p);
#if !defined(PARSUM_HAVE_F16C)
    /* Infinities and NaNs came as what the largest exponent would be. */
    const vec_i64 special = (vec_i64)(*out >= 65536.0) | (vec_i64)(*out <= -65536.0);
    *out = (vec_f64)((vec_i64)*out | (special & (int64_t)INFINITY_BITS));
#endif
}

/* Whether a difference to the window's floor had a bit from `bits` on. */
INLINE int is_outside(const vec_u64 *difference, int bits)
{
    uint64_t any = 0;
    for (int l = 0; l < LANES; l++)
        any |= (*difference)[l];
    return (any << 1 >> 1) >> bits != 0;
}

/* Where in a row of `width` elements the vector for lanes from j on is read: the last overlaps the
 * one before, and has lanes of its own. */
INLINE size_t place_of_lane(size_t j, size_t width)
{
    return j + LANES <= width || width < LANES ? j : width - LANES;
}

INLINE size_t lane_of_column(size_t j, size_t width)
{
    const size_t full = width / LANES * LANES;
    return j < full || width < LANES ? j : full + (j + LANES - width);
}

static inline int is_finite(double value)
{
    return (bits_of(value) & INFINITY_BITS) != INFINITY_BITS;
}

/* Leaves high + low as it is, but low at most half an ulp of high (FastTwoSum). */
INLINE void renew(vec_f64 *high, vec_f64 *low)
{
    const vec_f64 sum = *high + *low;
    *low -= sum - *high;
    *high = sum;
}

/* The same, and high in [1, 2) or (-2, -1]. */
INLINE void normalise(vec_f64 *high, vec_f64 *low, vec_i64 *exponent, const int compensated)
{
    if (compensated)
        renew(high, low);
    const vec_u64 field = ((vec_u64)*high >> 52) & 0x7ff;
    if (compensated)
        *low *= (vec_f64)((2046 - field) << 52);
    *high = (vec_f64)(((vec_u64)*high & ~INFINITY_BITS) | ONE_BITS);
    *exponent += (vec_i64)field - 1023;
}

INLINE void normalise_lanes(double *p, double *c, size_t n, int64_t *exponents,
                            const int compensated)
{
    for (size_t j = 0; j < n; j += LANES) {
        vec_f64 high, low;
        vec_i64 exponent;
        memcpy(&high, p + j, sizeof high);
        if (compensated)
            memcpy(&low, c + j, sizeof low);
        memcpy(&exponent, exponents + j, sizeof exponent);
        normalise(&high, &low, &exponent, compensated);
        memcpy(p + j, &high, sizeof high);
        if (compensated)
            memcpy(c + j, &low, sizeof low);
        memcpy(exponents + j, &exponent, sizeof exponent);
    }
}

/* Multiplies one lane by another: low * low, the least of four products, is left out. */
INLINE void join_products(vec_f64 *high, vec_f64 *low, const vec_f64 *b, const vec_f64 *b_low,
                          const int compensated)
{
    const vec_f64 product = *high * *b;
    if (compensated) {
        vec_f64 error;
        prod_errors(high, b, &product, &error);
        *low = error + (*high * *b_low + *low * *b);
    }
    *high = product;
}

INLINE void join_one(double *high, double *low, double b, double b_low, const int compensated)
{
    const double product = *high * b;
    if (compensated)
        *low = prod_error(*high, b, product) + (*high * b_low + *low * b);
    *high = product;
}

/* Multiplies the first `half` lanes by the next. */
INLINE void join_lanes(double *p, double *c, size_t half, const int compensated)
{
    size_t j = 0;
    for (; j + LANES <= half; j += LANES) {
        vec_f64 a, b, a_low, b_low;
        memcpy(&a, p + j, sizeof a);
        memcpy(&b, p + half + j, sizeof b);
        if (compensated) {
            memcpy(&a_low, c + j, sizeof a_low);
            memcpy(&b_low, c + half + j, sizeof b_low);
        }
        join_products(&a, &a_low, &b, &b_low, compensated);
        memcpy(p + j, &a, sizeof a);
        if (compensated)
            memcpy(c + j, &a_low, sizeof a_low);
    }
    for (; j < half; j++)
        join_one(&p[j], &c[j], p[half + j], compensated ? c[half + j] : 0, compensated);
}

/* All lanes of a run. Nonzero if it failed: a half of a number next to the largest may have become
 * infinite on its way, see Dekker. */
INLINE int join_run(vec_f64 *highs, vec_f64 *lows, const int compensated, double *high, double *low)
{
    double p[LANES], c[LANES];
#pragma GCC unroll 4
    for (int half = PROD_LANES / LANES / 2; half; half /= 2) {
#pragma GCC unroll 4
        for (int k = 0; k < half; k++)
            join_products(&highs[k], &lows[k], &highs[k + half], &lows[k + half], compensated);
    }
    memcpy(p, &highs[0], sizeof p);
    memcpy(c, &lows[0], sizeof c);
#pragma GCC unroll 4
    for (int half = LANES / 2; half; half /= 2) {
#pragma GCC unroll 4
        for (int l = 0; l < half; l++)
            join_one(&p[l], &c[l], p[l + half], c[l + half], compensated);
    }
    *high = p[0];
    *low = c[0];
    return !is_finite(c[0]);
}

#define TYPE f64
#define VECTOR vec_u64
#define ELEMENT double
#define WORD uint64_t
#define FIELD 11
#define BIAS 1023
#define FACTORS 2
#define COMPENSATED 1
#define FACTOR_WINDOW 32
#define FACTOR_BITS 58
#include "prod_float_body.h"
#undef TYPE
#undef VECTOR
#undef ELEMENT
#undef WORD
#undef FIELD
#undef BIAS

#undef COMPENSATED
#define COMPENSATED 0

#define TYPE f32
#define VECTOR vec_u32
#define ELEMENT float
#define WORD uint32_t
#define FIELD 8
#define BIAS 127
#include "prod_float_body.h"
#undef TYPE
#undef VECTOR
#undef ELEMENT
#undef WORD
#undef FIELD
#undef BIAS
#undef FACTORS
#undef FACTOR_WINDOW
#undef FACTOR_BITS

#define TYPE f16
#define VECTOR vec_u16
#define ELEMENT uint16_t
#define WORD uint16_t
#define FIELD 5
#define BIAS 15
#define FACTORS 4
#define FACTOR_WINDOW 128
#define FACTOR_BITS 60
#include "prod_float_body.h"
#undef TYPE
#undef VECTOR
#undef ELEMENT
#undef WORD
#undef FIELD
#undef BIAS
#undef FACTORS
#undef COMPENSATED
#undef FACTOR_WINDOW
#undef FACTOR_BITS

INLINE int round_all(const double *highs, const double *lows, const int64_t *exponents, size_t n,
                     const int type, const size_t size, char *result)
{
    int flags = 0;
    for (size_t j = 0; j < n; j++)
        flags |= round_near(highs[j], lows[j], exponents[j], type, result + j * size);
    return flags;
}

static int round_prods(const double *highs, const double *lows, const int64_t *exponents,
                       const int *met, size_t n, int type, void *result)
{
    int special = 0;
    uint64_t far = 0;
    for (size_t j = 0; j < n; j++) {
        special |= met[j];
        far |= (uint64_t)(exponents[j] + NEAR) / (2 * NEAR);
    }
    if (special || far)
        return -1;
    if (type == PARSUM_FLOAT64)
        return round_all(highs, lows, exponents, n, PARSUM_FLOAT64, sizeof(double), result);
    if (type == PARSUM_FLOAT32)
        return round_all(highs, lows, exponents, n, PARSUM_FLOAT32, sizeof(float), result);
    if (type == PARSUM_FLOAT16)
        return round_all(highs, lows, exponents, n, PARSUM_FLOAT16, sizeof(uint16_t), result);
    return -1;
}

#include "prod_integer_body.h"
