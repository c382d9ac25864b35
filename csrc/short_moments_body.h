/* The loops over short columns and rows whose variance, or sum of squares, is found without a
 * state: with an error bound that shows whether it is rounded correctly. Included by each CPU level
 * after products_body.h.
 *
 * With any centre m, d = x - m and n elements: n var = sum of d^2 - (sum of d)^2 / n. As m is close
 * to the mean, the second term is small. What follows bounds the error of S, the first term, and so
 * of the variance, for n <= SHORT_MOMENTS.
 *
 * Precise: d = h + l exactly (TwoSum, Knuth 1969), d^2 = h^2 + 2 h l + l^2, h^2 = p + e exactly.
 * Sums are pairs: the error of each addition to the high part is exact and goes to the low one,
 * which stays below (n + 3) 2^-53 S; each of its n roundings costs 2^-53 of that: n (n + 3) 2^-106
 * S. What is left out of a term, l^2, and its roundings are below 2^-103 of it. The sum of d has
 * the error n (n + 3) 2^-106 A, with A, the sum of |d|, at most sqrt(n S) (Cauchy-Schwarz), so (sum
 * of d)^2 / n has twice n (n + 3) 2^-106 S at most. All in all, with a few roundings of pairs to
 * 2^-100 at the end: ((n + 16)^2 2^-104 + 2^-98) S.
 *
 * Else, for results of 24 bits or fewer: everything in double, each with a relative error of 2^-53:
 * (n + 16) 2^-50 S.
 *
 * Sums of squares beyond [2^-900, 2^1000] are not trusted, as parts of them may have vanished. */
#include "kernels.h"

typedef struct {
    vec_f64 high, low, sum, sum_low, largest;
} short_sums;

INLINE void two_sum(const vec_f64 *a, const vec_f64 *b, vec_f64 *sum, vec_f64 *error)
{
    const vec_f64 s = *a + *b, part = s - *a;
    *error = (*a - (s - part)) + (*b - part);
    *sum = s;
}

INLINE void take_deviations(short_sums *to, const vec_f64 *x, const vec_f64 *center,
                            const int precise)
{
    vec_f64 h = *x - *center;
    if (precise) {
        const vec_f64 minus = -*center;
        vec_f64 l, p, e, error;
        two_sum(x, &minus, &h, &l);
        p = h * h;
        product_error(&h, &h, &p, &e);
        e += 2 * h * l;
        two_sum(&to->high, &p, &to->high, &error);
        to->low += error + e;
        two_sum(&to->sum, &h, &to->sum, &error);
        to->sum_low += error + l;
    } else {
        to->high += h * h;
        to->sum += h;
    }
    const vec_f64 size = (vec_f64)((vec_i64)h & INT64_MAX);
    to->largest = largest_f64(size, to->largest);
}

INLINE void store_sums(const short_sums *from, short_moments *to, size_t j)
{
    memcpy(to->high + j, &from->high, sizeof from->high);
    memcpy(to->low + j, &from->low, sizeof from->low);
    memcpy(to->sum + j, &from->sum, sizeof from->sum);
    memcpy(to->sum_low + j, &from->sum_low, sizeof from->sum_low);
    memcpy(to->largest + j, &from->largest, sizeof from->largest);
}

INLINE void load_sums(const short_moments *from, short_sums *to, size_t j)
{
    memcpy(&to->high, from->high + j, sizeof to->high);
    memcpy(&to->low, from->low + j, sizeof to->low);
    memcpy(&to->sum, from->sum + j, sizeof to->sum);
    memcpy(&to->sum_low, from->sum_low + j, sizeof to->sum_low);
    memcpy(&to->largest, from->largest + j, sizeof to->largest);
}

#define SHORT_AT_ONCE 4 /* rows that a column's sums stay in registers for */

/* At least a vector of columns. The last vector overlaps the one before where they do not fill
 * vectors; its sums are kept beyond those of the columns, so that nothing is taken in twice. */
INLINE void deviations_of_columns(const int type, const int precise, const char *data, size_t rows,
                                  ptrdiff_t row_stride, size_t columns, int about_mean,
                                  short_moments *to)
{
    const size_t size = type == OF_F64 ? 8 : type == OF_F32 ? 4 : 2;
    const size_t strips = (columns + LANES - 1) / LANES, overlapping = columns / LANES;
    const vec_f64 zero = {0};
    const short_sums none = {zero, zero, zero, zero, zero};
    vec_f64 x, center;
    for (size_t s = 0; s < strips; s++) {
        memcpy(to->center + s * LANES, &zero, sizeof zero);
        store_sums(&none, to, s * LANES);
    }
    if (rows <= 2 * SHORT_AT_ONCE) {
        for (size_t s = 0; s < strips; s++) {
            const size_t j = s == overlapping ? columns - LANES : s * LANES;
            short_sums sums = none;
            center = zero;
            for (size_t r = 0; about_mean && r < rows; r++) {
                load_as(type, &x, data + (ptrdiff_t)r * row_stride + j * size, 0);
                center += x;
            }
            center /= (double)rows;
            for (size_t r = 0; r < rows; r++) {
                load_as(type, &x, data + (ptrdiff_t)r * row_stride + j * size, 0);
                take_deviations(&sums, &x, &center, precise);
            }
            store_sums(&sums, to, s * LANES);
        }
        return;
    }
    for (int pass = about_mean ? 0 : 1; pass < 2; pass++) {
        for (size_t r = 0; r < rows; r += SHORT_AT_ONCE) {
            const char *row = data + (ptrdiff_t)r * row_stride;
            const size_t count = rows - r < SHORT_AT_ONCE ? rows - r : SHORT_AT_ONCE;
            for (size_t s = 0; s < strips; s++) {
                const size_t j = s == overlapping ? columns - LANES : s * LANES;
                const char *from = row + j * size;
                memcpy(&center, to->center + s * LANES, sizeof center);
                if (pass) {
                    short_sums sums;
                    load_sums(to, &sums, s * LANES);
                    for (size_t k = 0; k < count; k++, from += row_stride) {
                        load_as(type, &x, from, 0);
                        take_deviations(&sums, &x, &center, precise);
                    }
                    store_sums(&sums, to, s * LANES);
                } else {
                    for (size_t k = 0; k < count; k++, from += row_stride) {
                        load_as(type, &x, from, 0);
                        center += x;
                    }
                    memcpy(to->center + s * LANES, &center, sizeof center);
                }
            }
        }
        for (size_t s = 0; !pass && s < strips; s++) {
            memcpy(&center, to->center + s * LANES, sizeof center);
            center /= (double)rows;
            memcpy(to->center + s * LANES, &center, sizeof center);
        }
    }
}

INLINE void rotate_lanes(const vec_f64 *v, int k, vec_f64 *out)
{
    *out = (vec_f64)rotate_words((vec_u64)*v, k);
}

/* All lanes of each sum become the sum of all lanes. */
INLINE void join_deviations(short_sums *sums)
{
    for (int k = LANES / 2; k; k /= 2) {
        vec_f64 other, error, low;
        rotate_lanes(&sums->high, k, &other);
        rotate_lanes(&sums->low, k, &low);
        two_sum(&sums->high, &other, &sums->high, &error);
        sums->low += low + error;
        rotate_lanes(&sums->sum, k, &other);
        rotate_lanes(&sums->sum_low, k, &low);
        two_sum(&sums->sum, &other, &sums->sum, &error);
        sums->sum_low += low + error;
        rotate_lanes(&sums->largest, k, &other);
        sums->largest = largest_f64(other, sums->largest);
    }
}

/* Rows of n elements. */
INLINE void deviations_of_rows(const int type, const int precise, const char *data, size_t rows,
                               ptrdiff_t row_stride, size_t n, int about_mean, short_moments *to)
{
    const size_t size = type == OF_F64 ? 8 : type == OF_F32 ? 4 : 2;
    const size_t whole = n / LANES * LANES, left = n - whole;
    const vec_f64 zero = {0};
    double lanes[LANES];
    vec_i64 is_left;
    int64_t flags[LANES];
    for (size_t l = 0; l < LANES; l++)
        flags[l] = l < left ? -1 : 0;
    memcpy(&is_left, flags, sizeof is_left);
    for (size_t r = 0; r < rows; r++, data += row_stride) {
        short_sums sums = {zero, zero, zero, zero, zero};
        vec_f64 x, last = zero, center = zero;
        if (left) {
            char padded[LANES * sizeof(double)] = {0};
            memcpy(padded, data + whole * size, left * size);
            load_as(type, &last, padded, 0);
        }
        if (about_mean) {
            double sum = 0;
            center = last;
            for (size_t i = 0; i < whole; i += LANES) {
                load_as(type, &x, data + i * size, 0);
                center += x;
            }
            memcpy(lanes, &center, sizeof lanes);
            for (size_t l = 0; l < LANES; l++)
                sum += lanes[l];
            center = zero + sum / (double)n;
        }
        for (size_t i = 0; i < whole; i += LANES) {
            load_as(type, &x, data + i * size, 0);
            take_deviations(&sums, &x, &center, precise);
        }
        if (left) {
            /* No deviation where there is no element. */
            last = (vec_f64)(((vec_i64)last & is_left) | ((vec_i64)center & ~is_left));
            take_deviations(&sums, &last, &center, precise);
        }
        join_deviations(&sums);
        to->high[r] = sums.high[0];
        to->low[r] = sums.low[0];
        to->sum[r] = sums.sum[0];
        to->sum_low[r] = sums.sum_low[0];
        to->largest[r] = sums.largest[0];
    }
}

/* high + low = (high + low) / divisor, where low is small beside high. */
INLINE void divide_sums(vec_f64 *high, vec_f64 *low, double divisor)
{
    const vec_f64 by = (vec_f64){0} + divisor, quotient = *high / by, product = quotient * by;
    vec_f64 error;
    product_error(&quotient, &by, &product, &error);
    *low = (((*high - product) - error) + *low) / by;
    *high = quotient;
}

INLINE void roots_of(const vec_f64 *v, vec_f64 *root)
{
    double lanes[LANES];
    memcpy(lanes, v, sizeof lanes);
    for (int l = 0; l < LANES; l++)
        lanes[l] = __builtin_sqrt(lanes[l]);
    memcpy(root, lanes, sizeof lanes);
}

/* Bounds of results: the variance, or the sum of squares with divisor 0, or their roots, are
 * between them, rounded to double if precise. Where a bound is NaN nothing is known. */
INLINE void bounds_of_moments(const short_moments *from, size_t count, size_t n, double divisor,
                              int root, const int precise, double *least, double *most)
{
    const double terms = (double)(n + 16);
    const double relative = precise ? terms * terms * 0x1p-104 + 0x1p-98 : terms * 0x1p-50;
    const double rounding = precise ? 0x1p-98 : 0x1p-50;
    for (size_t j = 0; j < count; j += LANES) {
        short_sums sums;
        vec_f64 high, low, error, square, square_low, slack, zero = {0};
        load_sums(from, &sums, j);
        slack = sums.high * relative;
        high = sums.high + sums.low;
        low = sums.low - (high - sums.high);
        const vec_i64 trusted = (vec_i64)(sums.high >= 0x1p-900) & (vec_i64)(high <= 0x1p1000);
        if (divisor != 0) {
            const vec_f64 sum = sums.sum + sums.sum_low, sum_low = sums.sum_low - (sum - sums.sum);
            square = sum * sum;
            product_error(&sum, &sum, &square, &square_low);
            square_low += 2 * sum * sum_low;
            divide_sums(&square, &square_low, (double)n);
            const vec_f64 minus = -square;
            two_sum(&high, &minus, &high, &error);
            low = error + (low - square_low);
            divide_sums(&high, &low, divisor);
            slack /= divisor;
        }
        const vec_f64 value = high + low;
        low -= value - high;
        high = value;
        slack += high * rounding;
        if (root) {
            vec_f64 s, rest;
            roots_of(&high, &s);
            square = s * s;
            product_error(&s, &s, &square, &square_low);
            rest = ((high - square) - square_low) + low;
            low = rest / (2 * s);
            slack = slack / s + s * rounding;
            high = s;
        }
        vec_f64 below = high + (low - slack), above = high + (low + slack);
        /* No deviation, no variance. */
        const vec_i64 none = (vec_i64)(sums.largest == zero) & (vec_i64)(sums.high == zero);
        const vec_f64 unknown = zero + (double)NAN;
        below = (vec_f64)(((vec_i64)below & trusted) | ((vec_i64)unknown & ~trusted & ~none));
        above = (vec_f64)(((vec_i64)above & trusted) | ((vec_i64)unknown & ~trusted & ~none));
        memcpy(least + j, &below, sizeof below);
        memcpy(most + j, &above, sizeof above);
    }
}

/* ---- products ----
 *
 * The same for the sum of x y, with the sum of |x y| in the place of S in the bounds: p + e is x y
 * exactly, and nothing else is left out of a term. */

INLINE void take_products(short_sums *to, const vec_f64 *x, const vec_f64 *y, const int precise)
{
    const vec_f64 p = *x * *y;
    if (precise) {
        vec_f64 e, error;
        product_error(x, y, &p, &e);
        two_sum(&to->high, &p, &to->high, &error);
        to->low += error + e;
    } else {
        to->high += p;
    }
    to->sum += (vec_f64)((vec_i64)p & INT64_MAX);
}

INLINE void products_of_columns(const int type, const int precise, const char *a, const char *b,
                                size_t rows, ptrdiff_t a_stride, ptrdiff_t b_stride, size_t columns,
                                short_moments *to)
{
    const size_t size = type == OF_F64 ? 8 : type == OF_F32 ? 4 : 2;
    const size_t strips = (columns + LANES - 1) / LANES, overlapping = columns / LANES;
    const vec_f64 zero = {0};
    const short_sums none = {zero, zero, zero, zero, zero};
    for (size_t s = 0; s < strips; s++)
        store_sums(&none, to, s * LANES);
    for (size_t r = 0; r < rows; r += 2 * SHORT_AT_ONCE) {
        const size_t count = rows - r < 2 * SHORT_AT_ONCE ? rows - r : 2 * SHORT_AT_ONCE;
        for (size_t s = 0; s < strips; s++) {
            const size_t j = s == overlapping ? columns - LANES : s * LANES;
            const char *p = a + (ptrdiff_t)r * a_stride + j * size;
            const char *q = b + (ptrdiff_t)r * b_stride + j * size;
            short_sums sums;
            load_sums(to, &sums, s * LANES);
            for (size_t k = 0; k < count; k++, p += a_stride, q += b_stride) {
                vec_f64 x, y;
                load_as(type, &x, p, 0);
                load_as(type, &y, q, 0);
                take_products(&sums, &x, &y, precise);
            }
            store_sums(&sums, to, s * LANES);
        }
    }
}

INLINE void products_of_rows(const int type, const int precise, const char *a, const char *b,
                             size_t rows, ptrdiff_t a_stride, ptrdiff_t b_stride, size_t n,
                             short_moments *to)
{
    const size_t size = type == OF_F64 ? 8 : type == OF_F32 ? 4 : 2;
    const size_t whole = n / LANES * LANES, left = n - whole;
    const vec_f64 zero = {0};
    for (size_t r = 0; r < rows; r++, a += a_stride, b += b_stride) {
        short_sums sums = {zero, zero, zero, zero, zero};
        vec_f64 x, y;
        for (size_t i = 0; i < whole; i += LANES) {
            load_as(type, &x, a + i * size, 0);
            load_as(type, &y, b + i * size, 0);
            take_products(&sums, &x, &y, precise);
        }
        if (left) {
            char padded[2][LANES * sizeof(double)] = {{0}};
            memcpy(padded[0], a + whole * size, left * size);
            memcpy(padded[1], b + whole * size, left * size);
            load_as(type, &x, padded[0], 0);
            load_as(type, &y, padded[1], 0);
            take_products(&sums, &x, &y, precise);
        }
        join_deviations(&sums);
        to->high[r] = sums.high[0];
        to->low[r] = sums.low[0];
        to->sum[r] = sums.sum[0];
    }
}

INLINE void bounds_of_products(const short_moments *from, size_t count, size_t n, const int precise,
                               double *least, double *most)
{
    const double terms = (double)(n + 16);
    const double relative = precise ? terms * terms * 0x1p-104 + 0x1p-98 : terms * 0x1p-50;
    for (size_t j = 0; j < count; j += LANES) {
        short_sums sums;
        load_sums(from, &sums, j);
        const vec_f64 slack = sums.sum * relative, value = sums.high + sums.low;
        const vec_f64 low = sums.low - (value - sums.high), zero = {0};
        const vec_i64 trusted = (vec_i64)(sums.sum >= 0x1p-900) & (vec_i64)(sums.sum <= 0x1p1000);
        const vec_f64 unknown = zero + (double)NAN;
        vec_f64 below = value + (low - slack), above = value + (low + slack);
        below = (vec_f64)(((vec_i64)below & trusted) | ((vec_i64)unknown & ~trusted));
        above = (vec_f64)(((vec_i64)above & trusted) | ((vec_i64)unknown & ~trusted));
        memcpy(least + j, &below, sizeof below);
        memcpy(most + j, &above, sizeof above);
    }
}

#define SHORT_MOMENTS_OF(NAME, TYPE, PRECISE)                                                      \
    static void short_columns_##NAME(const void *data, size_t rows, ptrdiff_t row_stride,          \
                                     size_t columns, int about_mean, short_moments *to)            \
    {                                                                                              \
        deviations_of_columns(TYPE, PRECISE, data, rows, row_stride, columns, about_mean, to);     \
    }                                                                                              \
    static void short_rows_##NAME(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,   \
                                  int about_mean, short_moments *to)                               \
    {                                                                                              \
        deviations_of_rows(TYPE, PRECISE, data, rows, row_stride, n, about_mean, to);              \
    }                                                                                              \
    static void short_product_columns_##NAME(const void *a, const void *b, size_t rows,            \
                                             ptrdiff_t a_stride, ptrdiff_t b_stride,               \
                                             size_t columns, short_moments *to)                    \
    {                                                                                              \
        products_of_columns(TYPE, PRECISE, a, b, rows, a_stride, b_stride, columns, to);           \
    }                                                                                              \
    static void short_product_rows_##NAME(const void *a, const void *b, size_t rows,               \
                                          ptrdiff_t a_stride, ptrdiff_t b_stride, size_t n,        \
                                          short_moments *to)                                       \
    {                                                                                              \
        products_of_rows(TYPE, PRECISE, a, b, rows, a_stride, b_stride, n, to);                    \
    }

SHORT_MOMENTS_OF(f64, OF_F64, 0)
SHORT_MOMENTS_OF(f32, OF_F32, 0)
SHORT_MOMENTS_OF(f16, OF_F16, 0)
SHORT_MOMENTS_OF(precise_f64, OF_F64, 1)
SHORT_MOMENTS_OF(precise_f32, OF_F32, 1)
SHORT_MOMENTS_OF(precise_f16, OF_F16, 1)

static void short_bounds(const short_moments *from, size_t count, size_t n, double divisor,
                         int root, int precise, double *least, double *most)
{
    if (precise)
        bounds_of_moments(from, count, n, divisor, root, 1, least, most);
    else
        bounds_of_moments(from, count, n, divisor, root, 0, least, most);
}

static void short_product_bounds(const short_moments *from, size_t count, size_t n, int precise,
                                 double *least, double *most)
{
    if (precise)
        bounds_of_products(from, count, n, 1, least, most);
    else
        bounds_of_products(from, count, n, 0, least, most);
}
