/* Variances, deviations and norms of short columns and rows without states. */
#ifndef PARSUM_SHORT_MOMENTS_H
#define PARSUM_SHORT_MOMENTS_H

#include <stddef.h>

typedef struct {
    const char *operation; /* whose row does what cannot be done without a state */
    int element;
    int about_mean; /* the variance; else the sum of squares */
    int root;
} short_operation;

/* As reduce_columns and reduce_rows of a reduction; `parameter` is ddof, if it is about the mean.
 */
int parsum_short_columns(short_operation operation, const char *data, size_t rows,
                         ptrdiff_t row_stride, size_t columns, double parameter, int type,
                         char *result);
int parsum_short_rows(short_operation operation, const char *data, size_t rows,
                      ptrdiff_t row_stride, size_t n, double parameter, int type, char *result);

/* As reduce_pair_columns and reduce_pair_rows; of `operation` the name and the element count. */
int parsum_short_pair_columns(short_operation operation, const char *a, const char *b, size_t rows,
                              ptrdiff_t a_stride, ptrdiff_t b_stride, size_t columns, int type,
                              char *result);
int parsum_short_pair_rows(short_operation operation, const char *a, const char *b, size_t rows,
                           ptrdiff_t a_stride, ptrdiff_t b_stride, size_t n, int type,
                           char *result);

#endif
