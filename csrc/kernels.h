/* What a CPU level offers: the loops over elements, as a table of functions that every level fills
 * from the same bodies. They never allocate, lock or fail. */
#ifndef PARSUM_KERNELS_H
#define PARSUM_KERNELS_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Every operation on floats is rounded to float, which what is proved of them rests on. GCC's C11
 * for s390x, and x87 arithmetic, do otherwise. */
_Static_assert(FLT_EVAL_METHOD == 0, "compile with -fexcess-precision=fast, or for SSE2");

#define BLOCK 2048    /* elements of a block of the exact kernels: 16 KB, half of L1 */
#define LEAF 1024     /* elements of a leaf of the fixed tree */
#define FAST_LANES 32 /* partial sums of a leaf */
#define TILE 4096     /* most columns that a kernel takes at once */
#define PLACE_RUN 16  /* fewest elements that place_of_least takes */
/* What the elements of a sum count for: themselves, their magnitudes, or themselves unless they are
 * NaN, which count for zero. */
enum { TAKEN_AS_IS, TAKEN_ABSOLUTE, TAKEN_UNLESS_NAN, TAKEN_WAYS };
#define TILE_OF_ROWS 1024   /* most rows that are reduced in one go */
#define ROW_MAX 2048        /* most elements of a row that is reduced in one go */
#define INTEGER_BLOCK 65536 /* most elements of one call of the integer kernels */

/* Kernels of one floating element type. Of two in brackets, the second takes magnitudes instead of
 * elements. */
typedef struct {
    /* By the way elements are taken. Adds a block's exact sums in window `window` to hi and lo,
     * element i to number i % columns, which is 1, 2, 4 or 8. Nonzero if an element is outside of
     * the window, and then the sums are worth nothing. n is at most `block`. */
    int (*window_block[TAKEN_WAYS])(const void *data, size_t n, int window, unsigned columns,
                                    int64_t *hi, int64_t *lo);
    size_t block;
    void (*widen)(const void *data, size_t n, double *out);
    /* The bits of the largest magnitude of each column. */
    void (*column_maxima)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                          int64_t *maxima);
    /* Adds rows, at most WINDOW_ADDS, to each column's offset accumulators `high` and `low`;
     * floors[j] has the bits of 2^w of column j. outside[j] has a bit from WINDOW_BITS up to 62 set
     * if an element was not in the window. */
    void (*fold_columns[TAKEN_WAYS])(const void *data, size_t rows, ptrdiff_t row_stride,
                                     size_t columns, const int64_t *floors, double *high,
                                     double *low, int64_t *outside);
    /* Whole columns of at most WINDOW_ADDS rows, and whole rows of at most ROW_MAX elements in
     * window `window`: the exact sum of number j is highs[j] + lows[j], both exact, unless
     * outside[j] says as above that they are worth nothing; sums[j] is it rounded. Zero if all are
     * worth something and no sum is zero. */
    int (*reduce_columns[TAKEN_WAYS])(const void *data, size_t rows, ptrdiff_t row_stride,
                                      size_t columns, double *sums, double *highs, double *lows,
                                      int64_t *outside);
    int (*reduce_rows[TAKEN_WAYS])(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,
                                   int window, double *sums, double *highs, double *lows,
                                   int64_t *outside);
    /* The sum of a leaf in FAST_LANES lanes. */
    double (*leaf)(const void *data, size_t n);
    void (*leaf_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                         double *sums);
} float_kernels;

#define PRODUCT_TILE                                                                               \
    256 /* most columns of products at once: all accumulators stay in L1 and L2                    \
         */

/* Kernels of products of one floating element type; see products.h for windows and parts. */
typedef struct {
    /* Adds the sums of n products, at most BLOCK, to parts[0] (those of even number) and parts[1],
     * but for those outside of the window, whose numbers are listed; `outliers` has room for
     * OUTLIERS_ROOM. Returns how many, or -1 if it gave up, and then the sums are worth nothing.
     * With `swap`, element i is multiplied by element i ^ 1. */
    int (*products)(const void *a, const void *b, size_t n, int swap, int window,
                    int64_t (*parts)[6], uint16_t *outliers);
    int (*squares)(const void *data, size_t n, int window, int64_t (*parts)[6], uint16_t *outliers);
    /* The same with the sums of the elements themselves. */
    int (*moments)(const void *data, size_t n, int window, int64_t (*parts)[6], uint16_t *outliers);
    /* The same with the least and the largest of ends[0] and ends[1] and all numbers, of which
     * those outside of the window are some, but NaN is none. Of zeros it is either. */
    int (*ends)(const void *data, size_t n, int window, int64_t (*parts)[6], uint16_t *outliers,
                double *ends);
    /* Bits of the largest product that is finite. */
    int64_t (*largest)(const void *a, const void *b, size_t n, int swap);
    /* The sums of at most PRODUCT_TILE columns in a window each. outside[j] is negative if one of
     * column j's products is not in it, and then the sums are worth nothing. */
    void (*product_columns)(const void *a, const void *b, size_t rows, ptrdiff_t a_stride,
                            ptrdiff_t b_stride, size_t columns, int swap, const int *windows,
                            int64_t (*parts)[PRODUCT_TILE], int64_t *outside);
    void (*square_columns)(const void *data, size_t rows, ptrdiff_t stride, size_t columns,
                           const int *windows, int64_t (*parts)[PRODUCT_TILE], int64_t *outside);
    void (*moment_columns)(const void *data, size_t rows, ptrdiff_t stride, size_t columns,
                           const int *windows, int64_t (*parts)[PRODUCT_TILE], int64_t *outside);
} product_kernels;

#define PRODUCT_OUTLIERS 256 /* more of a block are better taken one by one from the start */
#define OUTLIERS_ROOM (PRODUCT_OUTLIERS + 64)

/* Kernels of one integer element type. */
typedef struct {
    /* Adds the sum of n elements, at most INTEGER_BLOCK; returns nonzero if one is NaT. */
    int (*sum)(const void *data, size_t n, int64_t *low, int64_t *high);
    /* The same per column; the sum is low + high * 2^32, and each is below 2^63. */
    void (*columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                    int64_t *low, int64_t *high);
    /* Writes magnitudes as unsigned numbers of the same size; NULL for unsigned types. */
    void (*magnitudes)(const void *data, size_t n, void *out);
    /* Adds the sum of squares, or of third and of fourth powers, of n elements, at most
     * POWER_BLOCK: limb k counts units of 2^(32 k). Less than 2^52 is added to each, which are at
     * most four, and seven, and nine. */
    void (*squares)(const void *data, size_t n, int64_t *limbs);
    void (*powers)(const void *data, size_t n, int64_t *cubes, int64_t *fourths);
} integer_kernels;

#define POWER_BLOCK 32768

/* Kernels that tell missing elements, NaN or NaT, from others. */
typedef struct {
    int (*has)(const void *data, size_t n);
    /* A copy, which may be in place, without them; returns how many are left. */
    size_t (*drop)(const void *data, size_t n, void *out);
} missing_kernels;

/* Kernels of the truth values of elements of one size. An element is true if a bit of it is set
 * that `mask`, two words in turn, has too. */
typedef struct {
    int (*any)(const void *data, size_t n, const uint64_t *mask);
    int (*all)(const void *data, size_t n, const uint64_t *mask);
    size_t (*count)(const void *data, size_t n, const uint64_t *mask);
    /* Whether any, and whether all of each column are true. */
    void (*any_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                        const uint64_t *mask, uint8_t *out);
    void (*all_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                        const uint64_t *mask, uint8_t *out);
    /* How many of each column, of at most COUNT_ROWS rows, are true. */
    void (*count_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                          const uint64_t *mask, uint8_t *counts);
} logic_kernels;

#define COUNT_ROWS 255

/* Kernels of the product of all elements of one floating type, in the fixed tree (prod.h): (high +
 * low) * 2^exponent. Nonzero if the elements cannot be taken as they are; then the kernel is to be
 * called again with `clean`, which takes any. Zeros, infinities and NaNs then count as ones with a
 * sign, and are told in `met`. Any alignment. */
typedef struct {
    /* At most LEAF elements. */
    int (*run)(const void *data, size_t n, int clean, double *high, double *low, int64_t *exponent,
               int *met);
    /* At most LEAF rows and PROD_COLUMNS columns. */
    int (*columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns, int clean,
                   double *highs, double *lows, int64_t *exponents, int *met);
} prod_kernels;

/* Rounds n products to float64, float32 or float16. Negative if that is not for it: one met a
 * special value, or has an exponent that is not near. */
typedef int prod_rounder(const double *highs, const double *lows, const int64_t *exponents,
                         const int *met, size_t n, int type, void *result);

/* Kernels of the product of all elements of one integer type. */
typedef struct {
    /* Whether all elements are -1, 0 or 1; and then whether one is 0, and whether the product of
     * the others is -1. */
    int (*units)(const void *data, size_t n, int *zero, int *negative);
    /* The product modulo 2^64. */
    uint64_t (*multiply)(const void *data, size_t n);
    /* Multiplies each column's product modulo 2^64 by its nonzero elements, and its size, which is
     * rounded, too; a bit of zeros is set if there was one. At most SHORT_ROWS rows, and the arrays
     * have room for PROD_ROOM columns. */
    void (*columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                    uint64_t *products, double *sizes, uint64_t *zeros);
} prod_integer_kernels;

#define PROD_ROOM (TILE + 8)
#define SCAN_GROUP 8    /* elements whose prefixes are formed in a tree of three rounds */
#define SCAN_STRETCH 64 /* elements of the fast method's middle level */
#define SCAN_LEAF 512   /* elements of a leaf of the scans' fixed tree, and most for one call */
#define SCAN_TILE 256   /* most columns of a scan at once */

/* A cut of the exact scan, c (scan_body.h): the offset 1.5 * 2^(c+52), and the least prefix that
 * is rightly rounded if something below the unit is left out. */
#define SCAN_CUT_MIN (-1031) /* the unit, 2^(c-43), is the least subnormal */
#define SCAN_CUT_MAX 970     /* the offset is finite */
/* A first cut is made so high that prefixes may grow to 2^14 times the largest element. */
#define SCAN_HEADROOM 14

static inline double scan_power(int exponent) /* of a normal number */
{
    const uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double scan_offset(int cut)
{
    return 1.5 * scan_power(cut + 52);
}

static inline double scan_least(int cut)
{
    return scan_power(cut + 12);
}

/* factor * 2^exponent: the factor is +-[1, 2), or zero, infinite or NaN, of no exponent. */
typedef struct {
    double factor;
    int64_t exponent;
} scan_factor;

static inline scan_factor scan_factor_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const unsigned field = (unsigned)(bits >> 52) & 0x7ff;
    scan_factor result = {value, 0};
    if (field == 0x7ff || value == 0)
        return result;
    if (field == 0) {
        result = scan_factor_of(value * 0x1p64);
        result.exponent -= 64;
        return result;
    }
    bits = (bits & ~(UINT64_C(0x7ff) << 52)) | UINT64_C(1023) << 52;
    memcpy(&result.factor, &bits, sizeof bits);
    result.exponent = (int64_t)field - 1023;
    return result;
}

static inline scan_factor scan_times(const scan_factor *a, const scan_factor *b)
{
    scan_factor product = scan_factor_of(a->factor * b->factor);
    product.exponent += a->exponent + b->exponent;
    return product;
}

/* The two numbers to multiply a number between 2^-515 and 2^515 by, one after the other, to scale
 * it by 2^exponent with one rounding: the first product is exact, or ends in zero or infinity. */
static inline void scan_scales(int64_t exponent, double *first, double *second)
{
    int64_t one = exponent, other;
    if (exponent > 1000 || exponent < -1000)
        one = exponent > 0 ? 600 : -600;
    other = exponent - one;
    other = other > 1000 ? 1000 : other < -1000 ? -1000 : other;
    *first = scan_power((int)one);
    *second = scan_power((int)other);
}

/* Rows of doubles to scan down the columns, and where the prefixes go (NULL: nowhere); strides are
 * in bytes. Arrays that kernels take with it have room for SCAN_TILE columns. */
typedef struct {
    const double *data;
    ptrdiff_t stride;
    size_t rows, columns;
    double *out;
    ptrdiff_t out_stride;
} scan_rows;

/* Kernels of scans. Sizes are at most SCAN_LEAF elements and SCAN_TILE columns. `out` is nothing
 * that is still to be read. */
typedef struct {
    /* The exact prefixes of `high` + `low` and the elements, rounded to double or, `to_odd`, on to
     * odd. Nonzero if an element or a prefix does not suit the cut; high, low and out are worth
     * nothing then. `sticky` if low has a half unit for what is left out of it. */
    int (*window)(const double *v, size_t n, int cut, int sticky, int to_odd, double *high,
                  double *low, double *out);
    /* The same for n pairs of elements, and two of all else; prefixes below `least` are refused. */
    int (*window_pairs)(const double *v, size_t n, const double *offsets, const double *least,
                        int to_odd, double *high, double *low, double *out);
    /* The same for columns with offsets and least prefixes of their own; `failed` gets bits. */
    void (*window_columns)(const scan_rows *in, const double *offsets, const double *least,
                           int to_odd, double *high, double *low, int64_t *failed);
    /* The same for whole columns, whose cuts it finds; sets `failed` of each. */
    void (*short_columns)(const scan_rows *in, int to_odd, int64_t *failed);
    /* The fast prefixes of a leaf that the sum `start` comes before; `out` may be NULL. Returns the
     * sum of the leaf; `special` says whether a prefix is infinite or NaN. */
    double (*fast)(double start, const double *v, size_t n, double *out, int *special);
    /* The exact prefixes of float16 that the sum `start`, a multiple of 2^-24 of at most 2^25,
     * comes before, as float16. Returns the sum of the leaf; where that is no finite number the
     * results are worth nothing. `large` gets bits if a prefix overflowed. */
    double (*halves)(double start, const void *v, size_t n, void *out, int64_t *large);
    /* At most SCAN_GROUP rows, from number `first` of the leaf on; the sums of the leaf so far are
     * in `stretches` (-0.0 at first) and `groups`; `special` gets bits. */
    void (*fast_columns)(const scan_rows *in, size_t first, const double *start, double *stretches,
                         double *groups, int64_t *special);
    /* Whether all elements are zero or in [2^-64, 2^64), as the two functions below ask for. */
    int (*moderate)(const double *v, size_t n);
    /* The prefix products of a leaf. Nonzero if one overflowed. */
    int (*product)(const scan_factor *start, const double *v, size_t n, double *out,
                   scan_factor *total);
    /* At most SCAN_GROUP rows. Bits in `failed` for columns with elements that are not moderate, in
     * `over` for those with prefixes that overflowed. */
    void (*product_columns)(const scan_rows *in, const double *start_factor,
                            const int64_t *start_exponent, double *factor, int64_t *exponent,
                            int64_t *failed, int64_t *over);
    /* Prefixes modulo 2^64; nonzero if one did not fit. */
    int (*integers)(uint64_t start, const uint64_t *v, size_t n, int is_signed, uint64_t *out);
    /* The same for a row of columns whose prefixes so far are in `sums`. */
    int (*integer_row)(const uint64_t *v, size_t columns, int is_signed, uint64_t *sums,
                       uint64_t *out);
    void (*widen_boolean)(const void *data, size_t n, uint64_t *out);
    void (*widen_i8)(const void *data, size_t n, uint64_t *out);
    void (*widen_u8)(const void *data, size_t n, uint64_t *out);
    void (*widen_i16)(const void *data, size_t n, uint64_t *out);
    void (*widen_u16)(const void *data, size_t n, uint64_t *out);
    void (*widen_i32)(const void *data, size_t n, uint64_t *out);
    void (*widen_u32)(const void *data, size_t n, uint64_t *out);
    /* Rounds doubles; nonzero if a finite one overflowed. */
    int (*narrow_f32)(const double *v, size_t n, void *result);
    int (*narrow_f16)(const double *v, size_t n, void *result);
} scan_kernels;
/* What can be asked of the order of elements. The nan ones leave NaN and NaT out. */
enum order_operation {
    ORDER_MIN,
    ORDER_MAX,
    ORDER_MINMAX,
    ORDER_NANMIN,
    ORDER_NANMAX,
    ORDER_NANMINMAX,
    ORDER_MIN_ABS,
    ORDER_MAX_ABS,
    ORDER_OPERATIONS
};

/* Kernels of one real element type: the least and the largest element, one after the other if both
 * are asked for. They are of the element's type, or, if they are magnitudes of signed integers, one
 * less than those. -0.0 is less than 0.0. NaN and NaT stand for what has no other result: an
 * element is NaN, or, if those are left out, all are. n, rows and columns are at least one. */
typedef struct {
    struct {
        void (*run)(const void *data, size_t n, void *out);
        void (*columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                        void *least, void *largest);
    } by[ORDER_OPERATIONS]; /* NULL if the type has no such operation */
    /* The place of the first element that counts as equal to `value`, where zeros are equal, and
     * NaNs are; n if there is none. */
    size_t (*find)(const void *data, size_t n, const void *value);
    /* The same in each column j that has wanted[j] set: there is one. */
    void (*find_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                         const void *values, const uint8_t *wanted, int64_t *places);
    /* The first place of the least (largest) of n elements, PLACE_RUN at least; NULL for types that
     * have no such kernel. */
    size_t (*place_of_least)(const void *data, size_t n);
    size_t (*place_of_largest)(const void *data, size_t n);
} order_kernels;

/* Kernels of one complex element type, in NumPy's order: by real part, then by imaginary part. */
typedef struct {
    /* The least (largest) real part; nonzero, and nothing else, if any part is NaN. */
    int (*real)(const void *data, size_t n, void *out);
    /* Of elements without NaN, the least (largest) of those with the real part out[0]. */
    void (*whole)(const void *data, size_t n, void *out);
    /* That of each column without NaN; `flags` says which have one. Or that of the elements that
     * are not NaN; `flags` says where there are any. */
    void (*columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns, void *out,
                    uint8_t *flags);
    void (*nan_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                        void *out, uint8_t *flags);
} complex_end_kernels;

typedef struct {
    complex_end_kernels least, largest;
    size_t (*find)(const void *data, size_t n, const void *value);
    /* The least and the largest square of the magnitude of an element times `scale`, a power of
     * two, rounded; nonzero if one is NaN. */
    int (*squares)(const void *data, size_t n, double scale, double *least, double *largest);
} complex_order_kernels;

/* What the variances of short columns or rows are made of (short_moments_body.h): sums, of two
 * parts each, of the squares of deviations from a centre and of the deviations, and the largest
 * deviation. A vector more than there are columns. */
#define SHORT_TILE 1024
#define SHORT_ROOM (SHORT_TILE + 8)
typedef struct {
    double high[SHORT_ROOM], low[SHORT_ROOM], sum[SHORT_ROOM], sum_low[SHORT_ROOM];
    double largest[SHORT_ROOM], center[SHORT_ROOM];
} short_moments;

/* The deviations are from the mean, or the elements themselves. At least `lanes` columns, at most
 * SHORT_TILE columns or rows. The sums of columns stand one after the other; those of the last
 * columns that do not fill a vector are the last lanes of the last one. */
typedef struct {
    void (*columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                    int about_mean, short_moments *to);
    void (*rows)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n, int about_mean,
                 short_moments *to);
    /* The same of products: `high` and `low` are their sums, `sum` those of their magnitudes. */
    void (*product_columns)(const void *a, const void *b, size_t rows, ptrdiff_t a_stride,
                            ptrdiff_t b_stride, size_t columns, short_moments *to);
    void (*product_rows)(const void *a, const void *b, size_t rows, ptrdiff_t a_stride,
                         ptrdiff_t b_stride, size_t n, short_moments *to);
} short_moment_kernels;

/* Products of one integer type: sums of 192 bits, the least significant word first. */
typedef struct {
    void (*dot)(const void *a, const void *b, size_t n, uint64_t *sum);
    void (*columns)(const void *a, const void *b, size_t rows, ptrdiff_t a_stride,
                    ptrdiff_t b_stride, size_t columns, uint64_t (*sums)[3]);
} integer_product_kernels;

/* In a difference of bit patterns, everything from this bit up is clear if the number is in the
 * window: 52 bits of fraction and 5 of the exponent's 32 binades. */
#define WINDOW_BITS 57
#define WINDOW_OUTSIDE ((int64_t)(UINT64_C(0x7fffffffffffffff) >> WINDOW_BITS << WINDOW_BITS))

typedef struct {
    const char *name;
    float_kernels f16, f32, f64;
    missing_kernels missing_f16, missing_f32, missing_f64, missing_time;
    size_t (*drop_c64)(const void *data, size_t n, void *out);
    size_t (*drop_c128)(const void *data, size_t n, void *out);
    product_kernels products_f16, products_f32, products_f64;
    integer_product_kernels products_boolean, products_i8, products_u8, products_i16, products_u16,
        products_i32, products_u32, products_i64, products_u64;
    integer_kernels boolean, i8, u8, i16, u16, i32, u32, i64, u64, timedelta;
    logic_kernels logic_8, logic_16, logic_32, logic_64, logic_128, logic_256;
    prod_kernels prod_f16, prod_f32, prod_f64;
    prod_rounder *round_prods;
    prod_integer_kernels prod_i8, prod_u8, prod_i16, prod_u16, prod_i32, prod_u32, prod_i64,
        prod_u64;
    /* Bits of the largest magnitude and of the least nonzero one (INT64_MAX if all are zero); a bit
     * of `groups` is set for each 32 binades that have an element. */
    void (*bounds)(const double *data, size_t n, int64_t *largest, int64_t *least,
                   uint64_t *groups);
    /* Like window_block, but leaves out what is below the window, or above `largest`, which is in
     * it. Returns the bits of the largest magnitude below the window. */
    int64_t (*peel)(const double *data, size_t n, int window, int64_t largest, unsigned columns,
                    int64_t *hi, int64_t *lo);
    /* Divides the exact sums highs[j] + lows[j] of n elements, from 2 to ROW_MAX, as made above:
     * quotients[j] is the nearest double, and rests[j] zero or of the sign of what lies beyond it,
     * unless unsure[j] is not zero. Nonzero if any is unsure. */
    int (*divide_pairs)(const double *highs, const double *lows, size_t count, double n,
                        double *quotients, double *rests, int64_t *unsure);
    /* Writes the magnitudes of complex numbers, rounded to the type of their parts. Nonzero if some
     * are NaN only because they were too hard for a vector. */
    int (*magnitudes_c64)(const void *data, size_t n, void *out);
    int (*magnitudes_c128)(const void *data, size_t n, void *out);
    /* Adds finite elements data[0], data[step], ... to the limbs of a superaccumulator (exact.h),
     * in turn to two of them. */
    void (*scatter)(const double *data, size_t n, size_t step, int64_t *even, int64_t *odd);
    scan_kernels scan;
    /* Turns short rows into columns: element k of row r goes to place k * rows + r. */
    void (*turn_8)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n, void *out);
    void (*turn_16)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n, void *out);
    void (*turn_32)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n, void *out);
    void (*turn_64)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n, void *out);
    void (*turn_128)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n, void *out);
    /* By element type (enum product_type) and precision. */
    short_moment_kernels short_moments[3][2];
    size_t lanes; /* of doubles */
    void (*short_bounds)(const short_moments *from, size_t count, size_t n, double divisor,
                         int root, int precise, double *least, double *most);
    void (*short_product_bounds)(const short_moments *from, size_t count, size_t n, int precise,
                                 double *least, double *most);
    order_kernels order_boolean, order_i8, order_u8, order_i16, order_u16, order_i32, order_u32;
    order_kernels order_i64, order_u64, order_f16, order_f32, order_f64, order_time;
    complex_order_kernels order_c64, order_c128;
} kernel_table;

extern const kernel_table parsum_kernels_baseline;
#if defined(__x86_64__)
extern const kernel_table parsum_kernels_avx2, parsum_kernels_avx512;
#endif

/* The table of the level in use (dispatch.c). */
const kernel_table *parsum_kernels(void);

#endif
