/* What the kernels of products (products_body.h) and those who call them (products.c) agree on: the
 * windows, and the parts that sums are kept in. */
#ifndef PARSUM_PRODUCTS_H
#define PARSUM_PRODUCTS_H

#include <stdint.h>

#include "kernels.h"

/* Window w takes products with 2^w <= |p| < 2^(w + PRODUCT_SPAN), and zeros; products_body.h proves
 * it. */
#define PRODUCT_SPAN 39
#define PRODUCT_MORE_F32 5 /* binades that the window of float32 products reaches further down */
#define PRODUCT_WINDOW_F16 (-7)
/* All parts end above the least subnormal: w - 106 >= -1074. All accumulators are finite: w + 47 <=
 * 1023. */
#define PRODUCT_WINDOW_MIN (-968)
#define PRODUCT_WINDOW_MAX 976
/* Additions that an accumulator takes before its integer is read off. */
#define PRODUCT_ADDS 64

/* The parts of sums in window w: of the products in units of 2^(w-6) and 2^(w-52), of their errors
 * in units of 2^(w-60) and 2^(w-106); of the factors as `hi` and `lo` of an exact_state in window
 * sum_window(w). */
enum {
    PART_HIGH,
    PART_LOW,
    PART_HIGH_ERROR,
    PART_LOW_ERROR,
    PART_SUM_HIGH,
    PART_SUM_LOW,
    PRODUCT_PARTS
};

/* The window (exact.h) that takes x if x^2 is in window w; `type` is of enum product_type.
 *
 * Doubles: w is even, and x^2 in [2^w, 2^(w+39)) makes |x| in [2^(w/2), 2^(w/2+20)), multiples of
 * 2^(w/2-52). At window w/2, 2^6 of them sum to less than 2^(w/2+26), and what the high accumulator
 * leaves, to at most 2^(w/2-5): within its bounds of 2^(w/2+41) and 2^(w/2-1).
 * float32: w is odd, and |x| in [2^v, 2^(v+22)), v = (w-5)/2, are multiples of 2^(v-23). The high
 * accumulator of window v-13 alone, with the bound 2^(v+28) and the unit 2^(v-23), takes 2^6.
 * float16: multiples of 2^-24 below 2^16, in the one of window -14. */
enum product_type { OF_F64, OF_F32, OF_F16 };

static inline int sum_window(int type, int window)
{
    if (type == OF_F64)
        return window / 2;
    return type == OF_F32 ? (window - PRODUCT_MORE_F32) / 2 - 13 : -14;
}

#endif
