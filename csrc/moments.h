/* How exact sums end as variances and standard deviations, whatever elements they are of. */
#ifndef PARSUM_MOMENTS_H
#define PARSUM_MOMENTS_H

#include "rational.h"
#include "wide.h"

enum {
    MOMENTS_ROOT = 1,   /* the deviation, not the variance */
    MOMENTS_NUMBER = 2, /* NaN where no more than ddof elements came, never an infinity */
    MOMENTS_ABOUT = 4   /* about the mean, of two parts, that stands where the result goes */
};

/* Writes what `what` asks for: of `count` elements, the exact sums of which are `sum`, and of their
 * imaginary parts `imaginary` unless that is NULL, and that of their squares `squares`. */
int parsum_finish_moments(const big *sum, const big *imaginary, const big *squares, uint64_t count,
                          double ddof, int what, int type, void *result);
/* The same from count * squares - sum^2 = numerator * 2^exponent, if parsum_is_simple says so. */
int parsum_is_simple(uint64_t count, double ddof, int what, int type);
int parsum_finish_wide_moments(const wide *numerator, int exponent, uint64_t count, double ddof,
                               int what, int type, void *result);
/* The same where there was no number but an infinity, or NaN. */
int parsum_finish_no_moments(int is_nan, uint64_t count, double ddof, int what, int type,
                             void *result);

#endif
