/* Moves elements from strided memory of any byte order to a contiguous buffer, and converts them.
 */
#ifndef PARSUM_CONVERT_H
#define PARSUM_CONVERT_H

#include <stddef.h>
#include <stdint.h>

/* Copies n elements of `size` bytes, reversing the bytes of each if `swap`. */
void parsum_gather(char *out, const char *data, size_t n, ptrdiff_t stride, size_t size, int swap);
/* The same from data + offsets[i]. */
void parsum_gather_offsets(char *out, const char *data, size_t n, const ptrdiff_t *offsets,
                           size_t size, int swap);
/* Whether elements can be converted: from any type to bool, from floating ones to 64-bit integers,
 * as C casts do (toward zero; out of range as x86 does, the least int64). */
int parsum_can_convert(int from, int to);
void parsum_convert(int from, int to, const char *data, size_t n, char *out);

#endif
