/* Products of floats in two parts, as kernels and states share them.
 *
 * A number is high + low, low being what high lacks: TwoProd gives the error of a product, a double
 * itself (Dekker 1971; by one FMA, Ogita, Rump and Oishi, "Accurate sum and dot product", 2005),
 * and low gathers the errors as Graillat's CompProd does ("Accurate floating-point product and
 * exponentiation", 2009). */
#ifndef PARSUM_PROD_H
#define PARSUM_PROD_H

#include <math.h>

#include "exact.h"
#include "parsum.h"

/* Row r of a leaf goes to lane r % PROD_LANES; lanes are made normal again every PROD_ROWS
 * rows and at the end, and then multiplied in a tree. */
#define PROD_LANES 8
#define PROD_ROWS 256
#define PROD_COLUMNS 512 /* most columns that the kernels take at once */

/* What a product met. */
enum { MET_ZERO = 1, MET_INFINITY = 2, MET_NAN = 4 };

#define FRACTION_BITS UINT64_C(0xfffffffffffff)
#define ONE_BITS UINT64_C(0x3ff0000000000000)

/* The upper 26 bits of the fraction, rounded, so that at most 26 bits with a sign are left. */
static inline double upper_half(double a)
{
    return double_of((bits_of(a) + (UINT64_C(1) << 26)) & ~((UINT64_C(1) << 27) - 1));
}

/* The error of p = a * b rounded: exact unless a part of it underflows or a half overflows. Every
 * product of halves has at most 53 bits, and the partial sums are Dekker's. */
static inline double dekker_error(double a, double b, double p)
{
    const double ah = upper_half(a), al = a - ah;
    const double bh = upper_half(b), bl = b - bh;
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
}

/* Exponents of products end here, far beyond any result's: less than 2^48 elements do not lead
 * there. */
#define EXPONENT_MAX (INT64_C(1) << 60)

static inline int64_t sum_of_exponents(int64_t a, int64_t b)
{
    const int64_t sum = a + b;
    return sum > EXPONENT_MAX ? EXPONENT_MAX : sum < -EXPONENT_MAX ? -EXPONENT_MAX : sum;
}

/* Of a state: such a sum, and what normalising has added to it since. */
static inline int exponent_is_valid(int64_t exponent)
{
    return exponent >= -2 * EXPONENT_MAX && exponent <= 2 * EXPONENT_MAX;
}

static inline double power_of_two(int64_t exponent)
{
    return double_of((uint64_t)(exponent + 1023) << 52);
}

/* high + low with a last bit that tells whether there is more: a type of at most 51 bits may be
 * rounded from it as from the sum itself (Boldo and Melquiond 2008; see sum.c). */
static inline double rounded_to_odd(double high, double low)
{
    const double sum = high + low, rest = low - (sum - high);
    const uint64_t bits = bits_of(sum), back = (bits ^ bits_of(rest)) >> 63;
    return double_of(bits + ((uint64_t)(rest != 0) & ~bits & 1) * (1 - 2 * back));
}

/* The nearest float16, half to even; subnormal ones by way of a sum whose ulp is theirs. */
static inline uint16_t half_of(double value)
{
    const uint64_t sign = bits_of(value) >> 48 & 0x8000, bits = bits_of(value) << 1 >> 1;
    if (bits >= bits_of(65520.0))
        return (uint16_t)(sign | 0x7c00);
    if (bits < bits_of(0x1p-14))
        return (uint16_t)(sign | (bits_of(fabs(value) + 0x1p28) & 0xffff));
    const uint64_t half =
        bits - (UINT64_C(1008) << 52) + (UINT64_C(1) << 41) - 1 + (bits >> 42 & 1);
    return (uint16_t)(sign | half >> 42);
}

/* Exponents from -NEAR up to NEAR - 1 are a double's, whatever high has gathered below 2^16. (Where
 * high is not made normal the exponent is 0.) */
#define NEAR 512

/* Rounds (high + low) * 2^exponent to a type that has less than a double, or to a double. */
static inline int round_near(double high, double low, int64_t exponent, int type, char *result)
{
    if (type == PARSUM_FLOAT64) {
        const double value = (high + low) * power_of_two(exponent);
        memcpy(result, &value, sizeof value);
        return 0;
    }
    const double odd = rounded_to_odd(high, low) * power_of_two(exponent);
    if (type == PARSUM_FLOAT32) {
        const float value = (float)odd;
        memcpy(result, &value, sizeof value);
        return isinf(value) ? PARSUM_OVERFLOW : 0;
    }
    const uint16_t value = half_of(odd);
    memcpy(result, &value, sizeof value);
    return (value & 0x7fff) == 0x7c00 ? PARSUM_OVERFLOW : 0;
}

#endif
