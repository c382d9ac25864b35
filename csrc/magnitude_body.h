/* The loops that turn complex numbers to their magnitudes, rounded once: included by each CPU
 * level, after products_body.h.
 *
 * Where a vector's arithmetic cannot tell which of two neighbours is nearest, or leaves the range
 * in which it is proved, the magnitude is written as NaN and the caller computes it in integers. */
#include "kernels.h"

#define MAGNITUDE_STEP 128 /* numbers whose parts are taken apart at once */

/* Doubles x and y, a the larger magnitude and b the other, scaled by a power of two so that 1 <= a
 * <
 * 2. If that makes b inexact it is below 2^-1022 and of no matter, as its square and all that is
 * lost with it is below 2^-1070.
 *
 * a^2 + b^2 = h + l: h = RN(RN(a^2) + RN(b^2)) <= 8, its error, and those of the squares, are below
 * 2^-51, and adding them errs by less than 2^-102. r = RN(sqrt(h)), and l becomes h + l - r^2, in
 * magnitude below 2^-48, by additions that err by less than 2^-101 together. Then
 *   sqrt(a^2 + b^2) = r + l / 2r - (l / 2r)^2 / 2r + ...
 * is r + l / 2r but for 2^-98. The nearest double is RN(r + l / 2r), unless what lies beyond it is
 * as close as 2^-95 to half the distance to the next one: 2^-52, 2^-53, and just below 2 too. */
INLINE void magnitude_vector_f64(const vec_f64 *x, const vec_f64 *y, vec_f64 *out, vec_i64 *unsure)
{
    const int64_t exponents = INT64_C(0x7ff0000000000000);
    const vec_i64 x_size = (vec_i64)*x & INT64_MAX, y_size = (vec_i64)*y & INT64_MAX;
    const vec_i64 more = y_size > x_size;
    const vec_i64 a_size = (y_size & more) | (x_size & ~more);
    const vec_i64 b_size = (x_size & more) | (y_size & ~more);
    const vec_i64 exponent = a_size & exponents;
    /* Scales from 2^-1000 to 2^1000 are exact both ways. */
    const vec_i64 zero = (vec_i64)(a_size == 0);
    const vec_i64 ordinary =
        (a_size >= INT64_C(0x0170000000000000)) & (a_size < INT64_C(0x7e70000000000000));
    const vec_f64 scale = (vec_f64)((INT64_C(2046) << 52) - exponent);
    const vec_f64 a = (vec_f64)a_size * scale, b = (vec_f64)b_size * scale;
    const vec_f64 aa = a * a, bb = b * b;
    vec_f64 a_error, b_error, r_error;
    product_error(&a, &a, &aa, &a_error);
    product_error(&b, &b, &bb, &b_error);
    const vec_f64 h = aa + bb;
    vec_f64 l = (a_error + b_error) + (bb - (h - aa));
    const vec_f64 r = PARSUM_ROOT(h), rr = r * r;
    product_error(&r, &r, &rr, &r_error);
    l = ((h - rr) - r_error) + l;
    const vec_f64 correction = l / (r + r), sum = r + correction;
    const vec_f64 rest = (vec_f64)((vec_i64)(correction - (sum - r)) & INT64_MAX);
    const vec_i64 tie = (vec_i64)((vec_f64)((vec_i64)(rest - 0x1p-53) & INT64_MAX) < 0x1p-95) |
                        (vec_i64)((vec_f64)((vec_i64)(rest - 0x1p-52) & INT64_MAX) < 0x1p-95);
    const vec_i64 bad = ~zero & (tie | ~ordinary);
    const vec_f64 value = sum * (vec_f64)exponent;
    *out = (vec_f64)(((vec_i64)value & ~zero) | (bad & INT64_MAX));
    *unsure |= bad;
}

/* Floats: their squares are exact doubles, so the root is off by less than two units of its last
 * place. Rounding it to float is right unless it is as close as that to the middle of two floats,
 * or is subnormal as a float or too large for one. */
INLINE void magnitude_vector_f32(const vec_f64 *x, const vec_f64 *y, vec_f64 *out, vec_i64 *unsure)
{
    const vec_f64 r = PARSUM_ROOT(*x * *x + *y * *y);
    const vec_i64 bits = (vec_i64)r;
    const vec_i64 middle = ((bits - (INT64_C(0x10000000) - 2)) & INT64_C(0x1fffffff)) < 5;
    const vec_i64 ordinary = (vec_i64)(r >= 0x1p-126) & (vec_i64)(r < 0x1p127);
    const vec_i64 bad = (vec_i64)(r != 0) & (middle | ~ordinary);
    *out = (vec_f64)(bits | (bad & INT64_MAX));
    *unsure |= bad;
}

#define MAGNITUDES(NAME, ELEMENT, TYPE)                                                            \
    static int NAME(const void *data, size_t n, void *out)                                         \
    {                                                                                              \
        const ELEMENT *p = data;                                                                   \
        ELEMENT *to = out;                                                                         \
        vec_i64 unsure = {0};                                                                      \
        for (size_t i = 0; i < n; i += MAGNITUDE_STEP) {                                           \
            double x[MAGNITUDE_STEP] = {0}, y[MAGNITUDE_STEP] = {0};                               \
            const size_t count = n - i < MAGNITUDE_STEP ? n - i : MAGNITUDE_STEP;                  \
            for (size_t k = 0; k < count; k++) {                                                   \
                x[k] = p[2 * (i + k)];                                                             \
                y[k] = p[2 * (i + k) + 1];                                                         \
            }                                                                                      \
            for (size_t k = 0; k < count; k += LANES) {                                            \
                vec_f64 a, b, magnitude;                                                           \
                load_f64(&a, x + k);                                                               \
                load_f64(&b, y + k);                                                               \
                magnitude_vector_##TYPE(&a, &b, &magnitude, &unsure);                              \
                memcpy(x + k, &magnitude, sizeof magnitude);                                       \
            }                                                                                      \
            for (size_t k = 0; k < count; k++)                                                     \
                to[i + k] = (ELEMENT)x[k];                                                         \
        }                                                                                          \
        int64_t any = 0;                                                                           \
        for (int l = 0; l < LANES; l++)                                                            \
            any |= unsure[l];                                                                      \
        return any != 0;                                                                           \
    }

MAGNITUDES(magnitudes_c64, float, f32)
MAGNITUDES(magnitudes_c128, double, f64)
