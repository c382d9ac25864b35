/* Big binary numbers, and their exact quotients and square roots, rounded once to any float type.
 *
 * What ends a mean, a variance or a norm: sums are exact binary numbers, and so are the numerator
 * and the denominator made of them. Only as many bits of the quotient or root are computed as the
 * rounding needs; the exact remainder says on which side of them the result lies. */
#ifndef PARSUM_RATIONAL_H
#define PARSUM_RATIONAL_H

#include <stdint.h>

#include "exact.h"

/* Short names, so none that another library could take for its own. */
#pragma GCC visibility push(hidden)

/* Sums of doubles are integers times 2^-1074 below 2^1088, sums of their k-th powers integers times
 * 2^-1074k below 2^(1024k+64). A variance's numerator, a count times a sum of squares, has up to
 * 2176 + 2148 = 4324 bits, 136 limbs; of a skewness it is that to the third power, 408 limbs. With
 * anything at all in the 64 bits of the topmost limbs that they are made of, it is 139 and 417.
 * Limbs that are not in use cost nothing. */
#define BIG_LIMBS 420

/* sign * sum of limb[i] * 2^(32 i + exponent). The topmost limb is not zero; zero has no limbs and
 * no sign. */
typedef struct {
    int negative;
    int size;
    int exponent;
    uint32_t limb[BIG_LIMBS];
} big;

/* Results are not checked for room: every function asks that its result has at most BIG_LIMBS - 1
 * limbs. `out` is no operand. */

/* The signed, overlapping limbs of a superaccumulator, of weight 2^(32 i + exponent) and each below
 * 2^63 - 2^32. */
void big_from_limbs(const int64_t *limbs, int count, int exponent, big *out);
/* value * 2^exponent */
void big_from_int128(int128 value, int exponent, big *out);
void big_from_uint64(uint64_t value, big *out);
void big_from_double(double value, big *out);            /* a finite one */
void big_from_exact(const exact_state *state, big *out); /* without its special values */

void big_add(const big *a, const big *b, big *out);
void big_subtract(const big *a, const big *b, big *out);
void big_multiply(const big *a, const big *b, big *out);

static inline int big_is_zero(const big *a)
{
    return a->size == 0;
}

/* All that follow write the nearest value of the type, half to even, and return flags:
 * PARSUM_OVERFLOW, PARSUM_DIVIDE for x / 0 (an infinity), PARSUM_INVALID for 0 / 0 and the root of
 * a negative number (NaN). A result of zero is +0.0 if it is exact. */

int big_round(const big *a, int type, void *result);
int big_round_quotient(const big *numerator, const big *denominator, int type, void *result);
/* The square root of the quotient. */
int big_round_root(const big *numerator, const big *denominator, int type, void *result);

/* floor(sqrt(a)) for a >= 2^125, and what is left, at most twice the root. */
uint64_t big_root_128(uint128 a, uint128 *left);

/* The variance of `count` numbers with the exact sum s1 and the exact sum of squares s2, (count *
 * s2 - s1^2) / (count * (count - ddof)), or its root. Complex numbers have the sum of their
 * imaginary parts too, and s2 is that of all squares; else it is NULL. A difference count - ddof
 * below zero is taken as zero. */
int big_round_variance(const big *s1, const big *s1_imaginary, const big *s2, uint64_t count,
                       double ddof, int root, int type, void *result);
/* The same about a given mean, (s2 - 2 mean s1 + count mean^2) / (count - ddof). */
int big_round_variance_about(const big *s1, const big *s1_imaginary, const big *s2, uint64_t count,
                             double mean, double mean_imaginary, double ddof, int root, int type,
                             void *result);

/* The skewness of `count` numbers and their kurtosis less 3, from the exact sums of their first
 * four powers: NaN if all numbers are the same. They do not overflow. */
void big_round_shape(const big *s1, const big *s2, const big *s3, const big *s4, uint64_t count,
                     double *skewness, double *kurtosis);

#pragma GCC visibility pop

#endif
