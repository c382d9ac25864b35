/* What a CPU level offers: the loops over elements, as a table of functions that every level fills
 * from the same bodies. They never allocate, lock or fail. */
#ifndef PARSUM_KERNELS_H
#define PARSUM_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define BLOCK 2048          /* elements of a block of the exact kernels: 16 KB, half of L1 */
#define LEAF 1024           /* elements of a leaf of the fixed tree */
#define FAST_LANES 32       /* partial sums of a leaf */
#define TILE 1024           /* most columns that a kernel takes at once */
#define ROW_MAX 2048        /* most elements of a row that is reduced in one go */
#define INTEGER_BLOCK 65536 /* most elements of one call of the integer kernels */

/* Kernels of one floating element type. */
typedef struct {
    /* Adds a block's exact sums in window `window` to hi and lo, element i to number i % columns,
     * which is 1, 2, 4 or 8. Nonzero if an element is outside of the window, and then the sums are
     * worth nothing. n is at most `block`. */
    int (*window_block)(const void *data, size_t n, int window, unsigned columns, int64_t *hi,
                        int64_t *lo);
    size_t block;
    void (*widen)(const void *data, size_t n, double *out);
    /* The bits of the largest magnitude of each column. */
    void (*column_maxima)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                          int64_t *maxima);
    /* Adds rows, at most WINDOW_ADDS, to each column's offset accumulators `high` and `low`;
     * floors[j] has the bits of 2^w of column j. outside[j] has a bit from WINDOW_BITS up to 62 set
     * if an element was not in the window. */
    void (*fold_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                         const int64_t *floors, double *high, double *low, int64_t *outside);
    /* Whole columns of at most WINDOW_ADDS rows, and whole rows of at most ROW_MAX elements in
     * window `window`: the exact sum of number j is highs[j] + lows[j], both exact, unless
     * outside[j] says as above that they are worth nothing; sums[j] is it rounded. Zero if all are
     * worth something and no sum is zero. */
    int (*reduce_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                          double *sums, double *highs, double *lows, int64_t *outside);
    int (*reduce_rows)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n, int window,
                       double *sums, double *highs, double *lows, int64_t *outside);
    /* The sum of a leaf in FAST_LANES lanes. */
    double (*leaf)(const void *data, size_t n);
    void (*leaf_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                         double *sums);
} float_kernels;

/* Kernels of one integer element type. */
typedef struct {
    /* Adds the sum of n elements, at most INTEGER_BLOCK; returns nonzero if one is NaT. */
    int (*sum)(const void *data, size_t n, int64_t *low, int64_t *high);
    /* The same per column; the sum is low + high * 2^32, and each is below 2^63. */
    void (*columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                    int64_t *low, int64_t *high);
} integer_kernels;

/* In a difference of bit patterns, everything from this bit up is clear if the number is in the
 * window: 52 bits of fraction and 5 of the exponent's 32 binades. */
#define WINDOW_BITS 57
#define WINDOW_OUTSIDE ((int64_t)(UINT64_C(0x7fffffffffffffff) >> WINDOW_BITS << WINDOW_BITS))

typedef struct {
    const char *name;
    float_kernels f16, f32, f64;
    integer_kernels boolean, i8, u8, i16, u16, i32, u32, i64, u64, timedelta;
    /* Bits of the largest magnitude and of the least nonzero one (INT64_MAX if all are zero); a bit
     * of `groups` is set for each 32 binades that have an element. */
    void (*bounds)(const double *data, size_t n, int64_t *largest, int64_t *least,
                   uint64_t *groups);
    /* Like window_block, but leaves out what is below the window, or above `largest`, which is in
     * it. Returns the bits of the largest magnitude below the window. */
    int64_t (*peel)(const double *data, size_t n, int window, int64_t largest, unsigned columns,
                    int64_t *hi, int64_t *lo);
    /* Adds finite elements data[0], data[step], ... to the limbs of a superaccumulator (exact.h),
     * in turn to two of them. */
    void (*scatter)(const double *data, size_t n, size_t step, int64_t *even, int64_t *odd);
} kernel_table;

extern const kernel_table parsum_kernels_baseline;
#if defined(__x86_64__)
extern const kernel_table parsum_kernels_avx2, parsum_kernels_avx512;
#endif

/* The table of the level in use (dispatch.c). */
const kernel_table *parsum_kernels(void);

#endif
