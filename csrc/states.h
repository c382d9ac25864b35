/* What states of many kinds have in common when they come from outside, and are checked and copied
 * byte by byte: overlapping limbs, flags, long doubles. */
#ifndef PARSUM_STATES_H
#define PARSUM_STATES_H

#include <float.h>
#include <stdint.h>
#include <string.h>

/* Whether each of the overlapping limbs is at most `most` (and that below 2^62 + 2^61), so that
 * carries can be passed on, and their sum is below half of the room that they have. */
static inline int limbs_are_valid(const int64_t *limb, int count, int64_t most)
{
    int64_t sum = 0;
    for (int i = 0; i < count; i++) {
        if (limb[i] < -most || limb[i] > most)
            return 0;
        sum = limb[i] + (sum >> 32);
    }
    return sum >= -(INT64_C(1) << 31) && sum < INT64_C(1) << 31;
}

/* Whether the long double has an encoding that arithmetic gives. The 80-bit format has a bit for
 * what other formats leave out, and processors and libraries differ in what they make of numbers
 * where it does not go with the exponent. */
static inline int long_is_valid(const long double *value)
{
    if (LDBL_MANT_DIG != 64)
        return 1;
    uint64_t significand;
    uint16_t exponent;
    memcpy(&significand, value, sizeof significand);
    memcpy(&exponent, (const char *)value + sizeof significand, sizeof exponent);
    return (int)(significand >> 63) == ((exponent & 0x7fff) != 0);
}

static inline int longs_are_valid(const long double *values, int count)
{
    int valid = 1;
    for (int k = 0; k < count; k++)
        valid &= long_is_valid(&values[k]);
    return valid;
}

/* That format leaves the last bytes to chance. */
static inline void clear_long_padding(long double *values, int count)
{
    const size_t used = LDBL_MANT_DIG == 64 ? 10 : sizeof *values;
    for (int k = 0; k < count; k++)
        memset((char *)&values[k] + used, 0, sizeof *values - used);
}

#endif
