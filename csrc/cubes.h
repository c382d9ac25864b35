/* Exact sums of third and fourth powers of floating elements: what skewness and kurtosis are made
 * of, besides the moments of products.h. */
#ifndef PARSUM_CUBES_H
#define PARSUM_CUBES_H

#include <stddef.h>
#include <stdint.h>

#include "rational.h"

/* Bit 0 is the last bit of the least subnormal's power. The largest cube ends at bit 6294, 2^64 of
 * them at bit 6358, in limb 198; the largest fourth power at bit 8392, 2^64 of them at bit 8456, in
 * limb 264. */
#define CUBE_LIMBS 200
#define CUBE_EXPONENT (-3 * 1074)
#define FOURTH_LIMBS 266
#define FOURTH_EXPONENT (-4 * 1074)

/* Limbs overlap as in exact.h. */
typedef struct {
    int32_t adds;    /* to a limb, of less than 2^32 each */
    int32_t is_used; /* limbs are not even cleared before they are needed */
    int64_t cube[CUBE_LIMBS];
    int64_t fourth[FOURTH_LIMBS];
} cube_sums;

#pragma GCC visibility push(hidden)

void parsum_cubes_identity(cube_sums *sums);
void parsum_cubes_combine(cube_sums *sums, const cube_sums *other);
int parsum_cubes_valid(const cube_sums *sums);
/* Adds the powers of n elements; those that are not finite are left out. */
void parsum_cubes_add(cube_sums *sums, const double *data, size_t n);
/* The same for elements that were float32 or float16 once. */
void parsum_cubes_add_narrow(cube_sums *sums, const double *data, size_t n);
void parsum_cubes_value(const cube_sums *sums, big *cubes, big *fourths);

#pragma GCC visibility pop

#endif
