/* Variances, deviations and norms of short columns and rows without states: the kernels bound them,
 * and where both bounds round to the same number that is the result. What is left, which is next to
 * nothing of ordinary data, is done with a state. */
#include "short_moments.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "order.h"
#include "products.h"
#include "reductions.h"

#define TURNED_ROW_MAX 16              /* elements of a row that is turned into a column */
#define CACHED_BYTES ((size_t)1 << 18) /* of columns that are read twice */

static int product_type_of(int element)
{
    return element == PARSUM_FLOAT64 ? OF_F64 : element == PARSUM_FLOAT32 ? OF_F32 : OF_F16;
}

/* Whether the kernels can bound a result of this type, divided so. */
static int is_bounded(short_operation operation, size_t n, double parameter, int type)
{
    if (type == PARSUM_LONGDOUBLE)
        return 0;
    /* n less the degrees of freedom is exact, and not nothing. */
    return !operation.about_mean ||
           (parameter == (double)(int32_t)parameter && parameter > -1e6 && parameter < (double)n);
}

static int with_state(short_operation operation, const char *data, size_t n, ptrdiff_t stride,
                      double parameter, int type, char *result)
{
    _Alignas(64) char state[STATE_MAX];
    const parsum_reduction *row =
        parsum_find(operation.operation, "exact", operation.element, type);
    row->identity(state, parameter);
    row->accumulate(state, data, n, stride);
    return row->finish(state, type, result);
}

/* Writes the result that lies between two bounds; returns whether there is only one. Zeros of both
 * signs are two. */
static int is_rounded(double least, double most, int type, char *result)
{
    float narrow[2] = {(float)least, (float)most};
    uint16_t half[2];
    switch (type) {
    case PARSUM_FLOAT64:
        memcpy(result, &least, sizeof least);
        return memcmp(&least, &most, sizeof least) == 0 && isfinite(most);
    case PARSUM_FLOAT32:
        memcpy(result, &narrow[0], sizeof narrow[0]);
        return memcmp(&narrow[0], &narrow[1], sizeof narrow[0]) == 0 && isfinite(narrow[1]);
    default:
        if (!(most - most == 0) || parsum_round_double(least, type, &half[0]) ||
            parsum_round_double(most, type, &half[1]))
            return 0;
        memcpy(result, &half[0], sizeof half[0]);
        return half[0] == half[1];
    }
}

/* The deviation of a pair from its mean, |a - b| / 2, rounded by one subtraction; in the general
 * way it would often be half way between two numbers. Returns whether that is it: all is finite and
 * halving exact. */
static int deviation_of_pair(int element, const char *a, const char *b, char *result)
{
    if (element == PARSUM_FLOAT64) {
        double x, y;
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        x = fabs(x - y) * 0.5;
        memcpy(result, &x, sizeof x);
        return x >= DBL_MIN && x < INFINITY;
    }
    float x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    x = fabsf(x - y) * 0.5f;
    memcpy(result, &x, sizeof x);
    return x >= FLT_MIN && x < INFINITY;
}

static double divisor_of(short_operation operation, size_t n, double parameter)
{
    return operation.about_mean ? (double)n - parameter : 0;
}

/* The last vector of columns ends with the last column. */
static void move_last(size_t lanes, size_t count, double *least, double *most)
{
    const size_t whole = count / lanes * lanes;
    for (size_t j = whole; j < count; j++) {
        least[j] = least[j + lanes - (count - whole)];
        most[j] = most[j + lanes - (count - whole)];
    }
}

/* Columns of a tile: as many as stay in cache while they are read twice, and none that leaves fewer
 * columns for the next than fill a vector. */
static size_t columns_of_tile(size_t lanes, size_t column_bytes, size_t columns)
{
    size_t tile = CACHED_BYTES / column_bytes;
    tile = tile < 64 ? 64 : tile > SHORT_TILE ? SHORT_TILE : tile;
    if (columns <= tile)
        return columns;
    return columns - tile < lanes ? tile - lanes : tile;
}

int parsum_short_columns(short_operation operation, const char *data, size_t rows,
                         ptrdiff_t row_stride, size_t columns, double parameter, int type,
                         char *result)
{
    const kernel_table *kernels = parsum_kernels();
    const size_t size = parsum_type_size[operation.element], to = parsum_type_size[type];
    const int precise = type == PARSUM_FLOAT64;
    const int bounded = is_bounded(operation, rows, parameter, type);
    const double divisor = divisor_of(operation, rows, parameter);
    short_moments moments;
    double least[SHORT_ROOM], most[SHORT_ROOM];
    int flags = 0;
    if (rows == 2 && divisor == 2 && operation.root && type == operation.element &&
        type != PARSUM_FLOAT16) {
        for (size_t j = 0; j < columns; j++, data += size, result += to)
            if (!deviation_of_pair(type, data, data + row_stride, result))
                flags |= with_state(operation, data, rows, row_stride, parameter, type, result);
        return flags;
    }
    while (columns) {
        const size_t count = columns_of_tile(kernels->lanes, rows * size, columns);
        const int known = bounded && count >= kernels->lanes;
        if (known) {
            kernels->short_moments[product_type_of(operation.element)][precise].columns(
                data, rows, row_stride, count, operation.about_mean, &moments);
            kernels->short_bounds(&moments, count, rows, divisor, operation.root, precise, least,
                                  most);
            move_last(kernels->lanes, count, least, most);
        }
        for (size_t j = 0; j < count; j++)
            if (!known || !is_rounded(least[j], most[j], type, result + j * to))
                flags |= with_state(operation, data + j * size, rows, row_stride, parameter, type,
                                    result + j * to);
        data += count * size;
        result += count * to;
        columns -= count;
    }
    return flags;
}

int parsum_short_rows(short_operation operation, const char *data, size_t rows,
                      ptrdiff_t row_stride, size_t n, double parameter, int type, char *result)
{
    const kernel_table *kernels = parsum_kernels();
    const size_t size = parsum_type_size[operation.element], to = parsum_type_size[type];
    const int precise = type == PARSUM_FLOAT64;
    const int bounded = is_bounded(operation, n, parameter, type);
    const double divisor = divisor_of(operation, n, parameter);
    int flags = 0;
    if (bounded && n <= TURNED_ROW_MAX && rows >= kernels->lanes) {
        _Alignas(64) char turned[TURNED_BYTES];
        const size_t most = TURNED_BYTES / (n * size);
        while (rows) {
            const size_t count = rows < most ? rows : most;
            parsum_turn(size, data, count, row_stride, n, turned);
            flags |= parsum_short_columns(operation, turned, n, (ptrdiff_t)(count * size), count,
                                          parameter, type, result);
            data += (ptrdiff_t)count * row_stride;
            result += count * to;
            rows -= count;
        }
        return flags;
    }
    while (rows) {
        short_moments moments;
        double least[SHORT_ROOM], most[SHORT_ROOM];
        const size_t count = rows < SHORT_TILE ? rows : SHORT_TILE;
        if (bounded) {
            kernels->short_moments[product_type_of(operation.element)][precise].rows(
                data, count, row_stride, n, operation.about_mean, &moments);
            kernels->short_bounds(&moments, count, n, divisor, operation.root, precise, least,
                                  most);
        }
        for (size_t r = 0; r < count; r++, data += row_stride, result += to)
            if (!bounded || !is_rounded(least[r], most[r], type, result))
                flags |= with_state(operation, data, n, (ptrdiff_t)size, parameter, type, result);
        rows -= count;
    }
    return flags;
}

static int pair_with_state(short_operation operation, const char *a, const char *b, size_t n,
                           ptrdiff_t a_stride, ptrdiff_t b_stride, int type, char *result)
{
    _Alignas(64) char state[STATE_MAX];
    const parsum_reduction *row =
        parsum_find(operation.operation, "exact", operation.element, type);
    row->identity(state, 0);
    row->accumulate_pairs(state, a, b, n, a_stride, b_stride);
    return row->finish(state, type, result);
}

int parsum_short_pair_columns(short_operation operation, const char *a, const char *b, size_t rows,
                              ptrdiff_t a_stride, ptrdiff_t b_stride, size_t columns, int type,
                              char *result)
{
    const kernel_table *kernels = parsum_kernels();
    const size_t size = parsum_type_size[operation.element], to = parsum_type_size[type];
    const int precise = type == PARSUM_FLOAT64;
    int flags = 0;
    while (columns) {
        short_moments sums;
        double least[SHORT_ROOM], most[SHORT_ROOM];
        const size_t count = columns_of_tile(kernels->lanes, 2 * rows * size, columns);
        const int known = type != PARSUM_LONGDOUBLE && count >= kernels->lanes;
        if (known) {
            kernels->short_moments[product_type_of(operation.element)][precise].product_columns(
                a, b, rows, a_stride, b_stride, count, &sums);
            kernels->short_product_bounds(&sums, count, rows, precise, least, most);
            move_last(kernels->lanes, count, least, most);
        }
        for (size_t j = 0; j < count; j++)
            if (!known || !is_rounded(least[j], most[j], type, result + j * to))
                flags |= pair_with_state(operation, a + j * size, b + j * size, rows, a_stride,
                                         b_stride, type, result + j * to);
        a += count * size;
        b += count * size;
        result += count * to;
        columns -= count;
    }
    return flags;
}

int parsum_short_pair_rows(short_operation operation, const char *a, const char *b, size_t rows,
                           ptrdiff_t a_stride, ptrdiff_t b_stride, size_t n, int type, char *result)
{
    const kernel_table *kernels = parsum_kernels();
    const size_t size = parsum_type_size[operation.element], to = parsum_type_size[type];
    const int precise = type == PARSUM_FLOAT64, known = type != PARSUM_LONGDOUBLE;
    const int turns = n <= TURNED_ROW_MAX && rows >= kernels->lanes;
    int flags = 0;
    while (rows) {
        size_t count = turns ? TURNED_BYTES / (n * size) : SHORT_TILE;
        count = rows < count ? rows : count;
        if (turns) {
            _Alignas(64) char turned[2][TURNED_BYTES];
            const ptrdiff_t stride = (ptrdiff_t)(count * size);
            parsum_turn(size, a, count, a_stride, n, turned[0]);
            parsum_turn(size, b, count, b_stride, n, turned[1]);
            flags |= parsum_short_pair_columns(operation, turned[0], turned[1], n, stride, stride,
                                               count, type, result);
        } else {
            short_moments sums;
            double least[SHORT_ROOM], most[SHORT_ROOM];
            if (known) {
                kernels->short_moments[product_type_of(operation.element)][precise].product_rows(
                    a, b, count, a_stride, b_stride, n, &sums);
                kernels->short_product_bounds(&sums, count, n, precise, least, most);
            }
            for (size_t r = 0; r < count; r++)
                if (!known || !is_rounded(least[r], most[r], type, result + r * to))
                    flags |= pair_with_state(operation, a + (ptrdiff_t)r * a_stride,
                                             b + (ptrdiff_t)r * b_stride, n, (ptrdiff_t)size,
                                             (ptrdiff_t)size, type, result + r * to);
        }
        a += (ptrdiff_t)count * a_stride;
        b += (ptrdiff_t)count * b_stride;
        result += count * to;
        rows -= count;
    }
    return flags;
}
