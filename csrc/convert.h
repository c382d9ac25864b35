/* Moves elements from strided memory of any byte order to a contiguous buffer, and converts them.
 */
#ifndef PARSUM_CONVERT_H
#define PARSUM_CONVERT_H

#include <stddef.h>
#include <stdint.h>

#include "parsum.h"

/* Copies n elements of `size` bytes, reversing each `swap` bytes of them (0: none). */
void parsum_gather(char *out, const char *data, size_t n, ptrdiff_t stride, size_t size,
                   size_t swap);
/* The same from data + offsets[i]. */
void parsum_gather_offsets(char *out, const char *data, size_t n, const ptrdiff_t *offsets,
                           size_t size, size_t swap);
/* Copies aligned columns of `rows` elements one after the other. */
void parsum_transpose(char *out, const char *data, size_t rows, ptrdiff_t row_stride,
                      size_t columns, size_t size);
/* Bytes to reverse at a time in a type of the other byte order: a complex number's parts. */
size_t parsum_swap_size(int type);
/* What can be converted (parsum_can_convert): any to bool, bools and integers to integers, real
 * ones to 64-bit integers and floats, and anything to a complex type. As C casts do; floats to
 * integers toward zero, out of range as x86 does, the least int64. */
void parsum_convert(int from, int to, const char *data, size_t n, char *out);
/* Copies the elements whose `where` is not zero and whose `mask` is; returns how many. `out` may be
 * `data` or lie before it. */
size_t parsum_pick(char *out, const char *data, size_t n, size_t size, const uint8_t *where,
                   ptrdiff_t where_stride, const uint8_t *mask, ptrdiff_t mask_stride);
/* Whether an aligned run has a NaN (either part of a complex number) or a NaT, and a copy without
 * them, which may be in place. Types that have none have none. Or marks[i] is set where element i
 * is one. */
int parsum_has_nan(int type, const char *data, size_t n);
void parsum_mark_nan(int type, const char *data, size_t n, uint8_t *marks);
size_t parsum_drop_nan(int type, const char *data, size_t n, char *out);

#endif
