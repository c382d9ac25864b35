/* Two kernels over the data of arrays, plain C that knows nothing of Python: one reads, one writes.
 * They are what extension.c, ctypes and cffi all call. */
#ifndef FOUR_WAYS_H
#define FOUR_WAYS_H

#include <stddef.h>

/* The text between the two marks is also what cffi reads. */
/* cffi begin */

/* What a kernel was given and when it ran, in seconds of CLOCK_MONOTONIC. */
typedef struct {
    const void *data;
    const void *out; /* NULL if it only reads */
    double begin;
    double end;
} four_ways_visit;

/* The exact sum of n numbers, rounded once. It is computed `times` times over, so that a call on
 * little memory lasts long enough to be watched. */
double four_ways_sum(const double *data, size_t n, int times);

/* Writes factor * data[k] to each out[k], `times` times over. The two must not overlap. */
void four_ways_scale(double *out, const double *data, size_t n, double factor, int times);

/* The last visit of a kernel by the calling thread. */
four_ways_visit four_ways_last_visit(void);

/* cffi end */

#endif
