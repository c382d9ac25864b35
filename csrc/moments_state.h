/* The exact sums of numbers, of their squares and of products, for reductions that have more to say
 * of the same numbers (describe.c, weighted.c). They are taken in by products.c. */
#ifndef PARSUM_MOMENTS_STATE_H
#define PARSUM_MOMENTS_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "exact.h"
#include "products.h"
#include "rational.h"

/* One exact sum of products. As the state of a sum (exact.h): a superaccumulator with room for
 * every product of two doubles, a window's pending parts in front of it, and what there was of
 * special values.
 *
 * Limb i has the weight 2^(32 i - 2148). Bit 0 of limb 0 is the last bit of the least product; the
 * largest ends at bit 4196, 2^64 of them at bit 4260, in limb 133. */
#define PRODUCT_LIMBS 136

typedef struct {
    int64_t part[PART_SUM_HIGH]; /* pending, in units of the window */
    int32_t window;
    int32_t pending;
    int32_t limb_adds;
    uint8_t limbs_used; /* limbs are not even cleared before they are needed */
    uint8_t nan, invalid, plus_infinity, minus_infinity;
    uint8_t unused[7];
    int64_t limb[PRODUCT_LIMBS];
} product_sum;

typedef struct {
    uint64_t count;
    double ddof;
    product_sum squares;
    exact_state sums[2]; /* of the real and, of complex numbers, of the imaginary parts */
} moments_state;

/* Bytes of it that are used for real numbers. */
#define REAL_MOMENTS offsetof(moments_state, sums[1])

/* How many NaN there were, and the least and the largest of all other numbers; -0.0 is less than
 * 0.0. Of none they are infinity and -infinity. */
typedef struct {
    uint64_t nans;
    double least, largest;
} number_ends;

#pragma GCC visibility push(hidden)

/* Moments of real numbers. */
void parsum_moments_identity(moments_state *moments, double ddof);
void parsum_moments_restart(moments_state *moments, double ddof);
void parsum_moments_combine(moments_state *moments, const moments_state *other);
/* Whether any bytes are moments of numbers of that element type. */
int parsum_moments_valid(const moments_state *moments, int type);
/* Takes in all of n elements that are not NaN. */
void parsum_moments_describe(moments_state *moments, number_ends *ends, int type, const void *data,
                             size_t n, ptrdiff_t stride);
void parsum_moments_value(const moments_state *moments, big *sum, big *squares);
/* Takes in the ends of others. */
void parsum_join_ends(number_ends *ends, double least, double largest);

/* The value of a sum of products without its special values. */
void parsum_products_value(const product_sum *sum, big *value);
/* Takes in columns of two arrays as the dot products of that element type do, each into a sum, or
 * for complex numbers two, at the beginning of a state of `size` bytes. */
void parsum_dot_columns(int element, void *states, size_t size, const void *a, const void *b,
                        size_t rows, ptrdiff_t a_stride, ptrdiff_t b_stride, size_t columns);

#pragma GCC visibility pop

#endif
