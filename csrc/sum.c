/* The sums, the means and the sums of magnitudes: exact and fast for floats, 128-bit for integers,
 * compensated for long double. A mean is a sum with another end, a sum of magnitudes one with
 * another beginning. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "exact.h"
#include "kernels.h"
#include "order.h"
#include "rational.h"
#include "reductions.h"
#include "states.h"
#include "sum.h"

/* ---- exact sums of floats ---- */

static void identity_exact(void *state, double parameter)
{
    (void)parameter;
    parsum_exact_identity(state);
}

static void restart_exact(void *state, double parameter)
{
    (void)parameter;
    parsum_exact_restart(state);
}

static void combine_exact(void *state, const void *other)
{
    parsum_exact_combine(state, other);
}

static int valid_exact(const void *state)
{
    return parsum_exact_valid(state);
}

static int finish_exact(const void *state, int type, void *result)
{
    return parsum_exact_finish(state, type, result);
}

/* What a mean of no elements is, after NumPy. */
static int no_mean(int type, void *result)
{
    parsum_store(type, (double)NAN, result);
    return PARSUM_INVALID | PARSUM_EMPTY;
}

/* Special values, and a sum of -0.0 alone, are their own mean. */
static int finish_exact_mean(const void *state, int type, void *result)
{
    const exact_state *exact = state;
    big sum, count;
    if (!exact->count)
        return no_mean(type, result);
    if (exact->nan || exact->plus_infinity || exact->minus_infinity || exact->seen == SEEN_ANY)
        return parsum_exact_finish(exact, type, result);
    big_from_exact(exact, &sum);
    big_from_uint64(exact->count, &count);
    return big_round_quotient(&sum, &count, type, result);
}

/* What the exact functions need to know of an element type. */
typedef struct {
    const float_kernels *kernels;
    size_t size;
    int first_window; /* the distance from the largest exponent down to a good window */
    int taken;        /* what elements count for */
} float_type;

static float_type type_f64(void)
{
    return (float_type){&parsum_kernels()->f64, sizeof(double), -29, 0};
}

/* float32's own window reaches 3 binades higher: see float_body.h. */
static float_type type_f32(void)
{
    return (float_type){&parsum_kernels()->f32, sizeof(float), -32, 0};
}

static float_type type_f16(void)
{
    return (float_type){&parsum_kernels()->f16, sizeof(uint16_t), 0, 0};
}

/* Two binades above the largest element so far are left for those to come. */
#define HEADROOM 2

static int clamp_window(int window)
{
    return window < WINDOW_MIN ? WINDOW_MIN : window > WINDOW_MAX ? WINDOW_MAX : window;
}

static int exponent_of(int64_t magnitude)
{
    return (int)(magnitude >> 52) - 1023;
}

/* Notes that elements came, and whether one is not -0.0; mostly the first settles it. */
static void mark_seen(exact_state *state, const float_type *type, const char *data, size_t n,
                      ptrdiff_t stride)
{
    if (type->taken == TAKEN_ABSOLUTE)
        state->seen |= SEEN_ANY | SEEN_NOT_MINUS_ZERO;
    for (; n && !(state->seen & SEEN_NOT_MINUS_ZERO); n--, data += stride) {
        double value;
        type->kernels->widen(data, 1, &value);
        if (type->taken == TAKEN_UNLESS_NAN && isnan(value))
            continue;
        state->seen |= bits_of(value) == SIGN_BIT ? SEEN_ANY : SEEN_ANY | SEEN_NOT_MINUS_ZERO;
    }
}

static int try_window(exact_state *states, unsigned columns, const float_kernels *kernels,
                      int taken, const void *data, size_t n, int window)
{
    int64_t hi[8] = {0}, lo[8] = {0};
    if (kernels->window_block[taken](data, n, window, columns, hi, lo))
        return 0;
    for (unsigned j = 0; j < columns; j++)
        exact_add_window(&states[j], window, hi[j], lo[j]);
    return 1;
}

/* One window after the other, from the largest elements down. Subnormals are in none. The last
 * window may reach up into the one before, as there is none below 2^-1022: `largest` keeps them
 * apart. */
#define PEELS 3 /* more passes take longer than adding the elements one by one */

static void add_in_windows(exact_state *states, unsigned columns, const double *values, size_t n,
                           int64_t largest)
{
    while (largest) {
        const int window = clamp_window(exponent_of(largest) - WINDOW_SPAN + 1);
        if (exponent_of(largest) < WINDOW_MIN) {
            for (size_t i = 0; i < n; i++)
                if (fabs(values[i]) < 0x1p-1022)
                    parsum_exact_add_elements(&states[i % columns], &values[i], 1, 1);
            return;
        }
        int64_t hi[8] = {0}, lo[8] = {0};
        largest = parsum_kernels()->peel(values, n, window, largest, columns, hi, lo);
        for (unsigned j = 0; j < columns; j++)
            exact_add_window(&states[j], window, hi[j], lo[j]);
    }
}

/* The elements of a block as doubles: where they are, or in the copy, which has room for them. */
static const double *as_doubles(const float_type *type, const void *data, size_t n, double *copy)
{
    const double *values = data;
    if (type->size < sizeof(double)) {
        type->kernels->widen(data, n, copy);
        values = copy;
    }
    if (type->taken != TAKEN_AS_IS) {
        for (size_t i = 0; i < n; i++)
            copy[i] = type->taken == TAKEN_ABSOLUTE ? fabs(values[i])
                      : isnan(values[i])            ? 0
                                                    : values[i];
        values = copy;
    }
    return values;
}

/* Bins of floats take less time than two windows. */
static int has_narrow_bins(const float_type *type)
{
    return type->size == sizeof(float) && type->taken == TAKEN_AS_IS;
}

/* What a block turned out to be: in a window of its own, in more than one, or in none. */
enum { RULY, UNRULY, BINNED };

/* A block that is not in the window at hand: finds the window from the block itself, or takes more
 * than one, or adds its elements one by one. `bins` is NULL or of one column. */
static int add_unruly_block(exact_state *states, unsigned columns, const float_type *type,
                            const void *data, size_t n, exact_bins *bins)
{
    double copy[BLOCK];
    const double *values = as_doubles(type, data, n, copy);
    int64_t largest, least;
    uint64_t groups;
    parsum_kernels()->bounds(values, n, &largest, &least, &groups);
    if (largest >= (int64_t)INFINITY_BITS) {
        for (size_t i = 0; i < n; i++)
            if (!isfinite(values[i]))
                parsum_exact_add_special(&states[i % columns], values[i]);
        for (size_t i = 0; i < n; i++)
            copy[i] = isfinite(values[i]) ? values[i] : 0;
        values = copy;
        parsum_kernels()->bounds(values, n, &largest, &least, &groups);
    } else if (largest && type->size < sizeof(double)) {
        int window =
            type->first_window ? clamp_window(exponent_of(largest) + type->first_window) : -14;
        if (try_window(states, columns, type->kernels, type->taken, data, n, window))
            return RULY;
    }
    if (!largest)
        return RULY;
    for (int headroom = HEADROOM; headroom >= 0; headroom -= HEADROOM) {
        int window = clamp_window(exponent_of(largest) + headroom - WINDOW_SPAN + 1);
        if (exponent_of(least) >= window &&
            try_window(states, columns, &parsum_kernels()->f64, 0, values, n, window))
            return RULY;
    }
    const int few = exponent_of(largest) - WINDOW_SPAN + 1 <= WINDOW_MAX &&
                    __builtin_popcountll(groups) <= PEELS;
    if (bins && (!few || has_narrow_bins(type))) {
        parsum_bins_add(states, bins, values, n);
        return BINNED;
    }
    if (few) {
        add_in_windows(states, columns, values, n, largest);
        return UNRULY;
    }
    for (unsigned j = 0; j < columns && j < n; j++)
        parsum_exact_add_elements(&states[j], values + j, (n - j + columns - 1) / columns, columns);
    return UNRULY;
}

static void bin_block(exact_state *state, const float_type *type, const void *data, size_t n,
                      exact_bins *bins)
{
    if (has_narrow_bins(type)) {
        parsum_narrow_bins_add(state, bins, data, n);
        return;
    }
    double copy[BLOCK];
    parsum_bins_add(state, bins, as_doubles(type, data, n, copy), n);
}

/* To look at a block takes half as long as to bin it. */
#define UNSEEN 15

/* Element i goes to states[i % columns]; columns is 1, 2, 4 or 8. */
static void accumulate_interleaved(exact_state *states, unsigned columns, const float_type *type,
                                   const char *data, size_t n)
{
    exact_bins bins;
    int binned = 0;
    int unruly = RULY; /* after another block, the next is likely such a one too */
    int unseen = 0;    /* blocks that are binned like the one before, whatever they are */
    /* Clearing the bins and passing them on takes as long as adding some blocks without them. */
    const int worth = columns == 1 && n >= 4 * BLOCK;
    while (n) {
        size_t count = n < type->kernels->block ? n : type->kernels->block;
        if (columns == 1 && states->nan)
            break; /* the result is known */
        if (unseen) {
            bin_block(states, type, data, count, &bins);
            unseen--;
        } else if (unruly || states->window == WINDOW_NONE ||
                   !try_window(states, columns, type->kernels, type->taken, data, count,
                               states->window)) {
            if (worth && !binned) {
                parsum_bins_clear(&bins);
                binned = 1;
            }
            unruly = add_unruly_block(states, columns, type, data, count, binned ? &bins : NULL);
            unseen = unruly == BINNED ? UNSEEN : 0;
        }
        data += count * type->size;
        n -= count;
    }
    if (binned)
        parsum_bins_flush(states, &bins);
}

/* Elements that are counted and marked as seen. */
static void accumulate_run(exact_state *state, const float_type *type, const char *data, size_t n,
                           ptrdiff_t stride)
{
    if (stride == (ptrdiff_t)type->size && (uintptr_t)data % type->size == 0) {
        accumulate_interleaved(state, 1, type, data, n);
        return;
    }
    char gathered[BLOCK * sizeof(double)];
    while (n) {
        size_t count = n < type->kernels->block ? n : type->kernels->block;
        for (size_t i = 0; i < count; i++, data += stride)
            memcpy(gathered + i * type->size, data, type->size);
        accumulate_interleaved(state, 1, type, gathered, count);
        n -= count;
    }
}

static void accumulate_exact(exact_state *state, const float_type *type, const char *data, size_t n,
                             ptrdiff_t stride)
{
    if (!n)
        return;
    state->count += n;
    if (!(state->seen & SEEN_NOT_MINUS_ZERO))
        mark_seen(state, type, data, n, stride);
    accumulate_run(state, type, data, n, stride);
}

/* Window floors for columns, from their maxima; a column of zeros takes the largest of all. */
static void choose_floors(const int64_t *maxima, size_t columns, int64_t *floors)
{
    int64_t all = 0;
    for (size_t j = 0; j < columns; j++)
        all = maxima[j] > all ? maxima[j] : all;
    for (size_t j = 0; j < columns; j++) {
        int64_t most = (maxima[j] ? maxima[j] : all) >> 52;
        int64_t biased = most + HEADROOM - WINDOW_SPAN + 1;
        biased = biased < WINDOW_MIN + 1023 ? WINDOW_MIN + 1023 : biased;
        biased = biased > WINDOW_MAX + 1023 ? WINDOW_MAX + 1023 : biased;
        floors[j] = biased << 52;
    }
}

#define SAMPLE_ROWS 8 /* rows that a column's first window is chosen from */
#define NARROW 32     /* columns up to here are repeated side by side to fill vectors */
#define NARROW_WIDTH (NARROW * 8)

static uint64_t high_start(int64_t floor_bits)
{
    return (uint64_t)floor_bits + ((uint64_t)WINDOW_OFFSET << 52) + (UINT64_C(1) << 51);
}

static uint64_t low_start(int64_t floor_bits)
{
    return (uint64_t)floor_bits + (UINT64_C(1) << 51);
}

/* Aligned to cache lines: a vector's load from a store that crossed two waits for both. */
typedef struct {
    _Alignas(64) int64_t floors[TILE];
    _Alignas(64) int64_t outside[TILE];
    _Alignas(64) double high[TILE];
    _Alignas(64) double low[TILE];
} column_windows;

static void start_columns(column_windows *w, size_t columns)
{
    for (size_t j = 0; j < columns; j++) {
        w->high[j] = double_of(high_start(w->floors[j]));
        w->low[j] = double_of(low_start(w->floors[j]));
        w->outside[j] = 0;
    }
}

/* Rows of `columns` states repeated `repeat` times: column j belongs to states[j % columns]. */
static void accumulate_wide(exact_state *states, size_t columns, size_t repeat,
                            const float_type *type, const char *data, size_t rows,
                            ptrdiff_t row_stride)
{
    column_windows w;
    const size_t width = columns * repeat;
    while (rows) {
        const size_t count = rows < WINDOW_ADDS ? rows : WINDOW_ADDS;
        int fresh = 0;
        for (size_t j = 0; j < columns; j++)
            fresh |= states[j].window == WINDOW_NONE;
        if (fresh) {
            int64_t maxima[TILE];
            type->kernels->column_maxima(data, count < SAMPLE_ROWS ? count : SAMPLE_ROWS,
                                         row_stride, width, maxima);
            for (size_t j = columns; j < width; j++)
                maxima[j % columns] =
                    maxima[j] > maxima[j % columns] ? maxima[j] : maxima[j % columns];
            choose_floors(maxima, columns, w.floors);
        }
        for (size_t j = 0; j < columns; j++)
            if (states[j].window != WINDOW_NONE)
                w.floors[j] = (int64_t)(states[j].window + 1023) << 52;
        for (size_t j = columns; j < width; j++)
            w.floors[j] = w.floors[j - columns];
        start_columns(&w, width);
        type->kernels->fold_columns[type->taken](data, count, row_stride, width, w.floors, w.high,
                                                 w.low, w.outside);
        for (size_t k = 0, j = 0; k < width; k++, j = j + 1 < columns ? j + 1 : 0) {
            if (w.outside[k] & WINDOW_OUTSIDE)
                accumulate_run(&states[j], type, data + k * type->size, count, row_stride);
            else
                exact_add_window(&states[j], exponent_of(w.floors[k]),
                                 (int64_t)(bits_of(w.high[k]) - high_start(w.floors[k])),
                                 (int64_t)(bits_of(w.low[k]) - low_start(w.floors[k])));
        }
        data += (ptrdiff_t)count * row_stride;
        rows -= count;
    }
}

static void accumulate_exact_columns(exact_state *states, const float_type *type, const char *data,
                                     size_t rows, ptrdiff_t row_stride, size_t columns)
{
    if (!rows)
        return;
    for (size_t j = 0; j < columns; j++) {
        states[j].count += rows;
        if (!(states[j].seen & SEEN_NOT_MINUS_ZERO))
            mark_seen(&states[j], type, data + j * type->size, rows, row_stride);
    }
    int packed = row_stride == (ptrdiff_t)(columns * type->size);
    if (packed && columns <= 8 && (columns & (columns - 1)) == 0) {
        /* The columns take turns in one run; they share a window while they can. */
        accumulate_interleaved(states, (unsigned)columns, type, data, rows * columns);
        return;
    }
    if (packed && columns <= NARROW) {
        size_t repeat = NARROW_WIDTH / columns / 8 * 8;
        size_t wide_rows = rows / repeat;
        accumulate_wide(states, columns, repeat, type, data, wide_rows,
                        (ptrdiff_t)repeat * row_stride);
        data += (ptrdiff_t)(wide_rows * repeat) * row_stride;
        rows -= wide_rows * repeat;
    }
    accumulate_wide(states, columns, 1, type, data, rows, row_stride);
}

/* Rounds to the type, once, a number whose nearest double and the sign of the rest beyond it are
 * known: to a narrower type by way of a double rounded to odd, which keeps the side of every tie
 * (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
 * rounding to odd", 2008; 53 >= 24 + 2). Not for long double. */
static int round_nearest(double nearest, double rest, int type, char *result)
{
    if (type == PARSUM_FLOAT64) {
        memcpy(result, &nearest, sizeof nearest);
        return 0;
    }
    const uint64_t bits = bits_of(nearest);
    if (rest != 0 && !(bits & 1))
        nearest = double_of((rest > 0) == (nearest > 0) ? bits + 1 : bits - 1);
    return parsum_round_double(nearest, type, result);
}

/* The same for the exact sum of two doubles. */
static int round_pair(double high, double low, int type, char *result)
{
    const double sum = high + low;
    if (type == PARSUM_LONGDOUBLE) {
        long double wide = (long double)high + low;
        memset(result, 0, sizeof wide);
        memcpy(result, &wide, sizeof wide);
        return 0;
    }
    const double part = sum - high;
    return round_nearest(sum, (high - (sum - part)) + (low - part), type, result);
}

/* And for the n-th part of such a sum. */
static int round_part(double high, double low, size_t n, int type, char *result)
{
    big first, second, sum, count;
    big_from_double(high, &first);
    big_from_double(low, &second);
    big_add(&first, &second, &sum);
    big_from_uint64(n, &count);
    return big_round_quotient(&sum, &count, type, result);
}

/* What kernels say of sums, and of means if those are wanted; see kernels.h. */
typedef struct {
    double *highs, *lows, *sums, *quotients, *rests;
    int64_t *outside, *unsure;
    int means;
} pairs;

/* Nonzero if not all quotients are as good as the sums they are made of. */
static int divide_pairs(const pairs *p, size_t count, size_t n)
{
    return parsum_kernels()->divide_pairs(p->highs, p->lows, count, (double)n, p->quotients,
                                          p->rests, p->unsure);
}

/* Rounds number k of what a kernel made of runs of n elements, or takes the run in by way of a
 * state if it was not in the kernel's window. Returns flags; `window`, if not NULL, is set to the
 * state's. */
static int finish_pair(const float_type *type, const char *data, size_t n, ptrdiff_t stride,
                       const pairs *p, size_t k, int result_type, char *result, int *window)
{
    const double high = p->highs[k], low = p->lows[k];
    int unsure = (p->outside[k] & WINDOW_OUTSIDE) != 0;
    if (!unsure && high == 0 && low == 0) {
        double first; /* all of them may be -0.0 */
        type->kernels->widen(data, 1, &first);
        unsure = (bits_of(first) == SIGN_BIT && type->taken != TAKEN_ABSOLUTE) ||
                 (isnan(first) && type->taken == TAKEN_UNLESS_NAN);
    }
    if (!unsure) {
        if (!p->means)
            return round_pair(high, low, result_type, result);
        if (p->unsure[k] || result_type == PARSUM_LONGDOUBLE)
            return round_part(high, low, n, result_type, result);
        return round_nearest(p->quotients[k], p->rests[k], result_type, result);
    }
    exact_state state;
    parsum_exact_identity(&state);
    accumulate_exact(&state, type, data, n, stride);
    if (window && state.window != WINDOW_NONE)
        *window = state.window;
    return (p->means ? finish_exact_mean : finish_exact)(&state, result_type, result);
}

/* Rounds numbers whose nearest doubles are known, and on which side of them they are: once more to
 * float, which is once for the number itself unless its double lies half way between two floats and
 * it does not. Nonzero if that, or the end of the range, is met. */
static int round_to_floats(const double *values, const double *rests, size_t count, char *result)
{
    const uint64_t below = (UINT64_C(1) << 29) - 1, half = UINT64_C(1) << 28;
    int unsure = 0;
    for (size_t j = 0; j < count; j++) {
        const float rounded = (float)values[j];
        unsure |= ((bits_of(values[j]) & below) == half) & (rests[j] != 0);
        unsure |= !(fabsf(rounded) > FLT_MIN) | !(fabsf(rounded) <= FLT_MAX);
        memcpy(result + j * sizeof rounded, &rounded, sizeof rounded);
    }
    return unsure;
}

/* What is left of the exact sums highs + lows beyond their nearest doubles; with the n-th part of
 * both for n a power of two, where division is exact. */
static void rests_of_sums(const pairs *p, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        const double part = p->sums[j] - p->highs[j];
        p->rests[j] = (p->highs[j] - (p->sums[j] - part)) + (p->lows[j] - part);
    }
}

/* Sums or means that are all as good as the kernel's, to double or float; nonzero if not. */
static int round_pairs(const pairs *p, size_t count, size_t n, int type, char *result)
{
    const int halves = p->means && (n & (n - 1)) == 0;
    if (type != PARSUM_FLOAT64 && type != PARSUM_FLOAT32)
        return 1;
    if (p->means && !halves && divide_pairs(p, count, n))
        return 1;
    if (halves) {
        const double part = 1.0 / (double)n;
        int subnormal = 0;
        for (size_t j = 0; j < count; j++) {
            p->quotients[j] = p->sums[j] * part;
            subnormal |= !(fabs(p->quotients[j]) >= DBL_MIN);
        }
        if (subnormal)
            return 1;
    }
    const double *values = p->means ? p->quotients : p->sums;
    if (type == PARSUM_FLOAT64) {
        memcpy(result, values, count * sizeof *values);
        return 0;
    }
    if (!p->means || halves)
        rests_of_sums(p, count);
    return round_to_floats(values, p->rests, count, result);
}

/* The exact sum of two elements, rounded once, is IEEE addition itself, and their mean the half of
 * it. Nonzero if a result overflows, or is a mean that may not be so halved, or no number. */
#define ADD_TWO(TYPE, LEAST, LARGEST, MAGNITUDE)                                                   \
    static int add_two_##TYPE(const char *a, const char *b, size_t n, int means, char *result)     \
    {                                                                                              \
        const TYPE part = means ? (TYPE)0.5 : 1, least = means ? LEAST : 0;                        \
        int bad = 0;                                                                               \
        for (size_t j = 0; j < n; j++) {                                                           \
            TYPE x, y;                                                                             \
            memcpy(&x, a + j * sizeof x, sizeof x);                                                \
            memcpy(&y, b + j * sizeof y, sizeof y);                                                \
            x = (x + y) * part;                                                                    \
            bad |= !(MAGNITUDE(x) >= least) | !(MAGNITUDE(x) <= LARGEST);                          \
            memcpy(result + j * sizeof x, &x, sizeof x);                                           \
        }                                                                                          \
        return bad;                                                                                \
    }

ADD_TWO(float, FLT_MIN, FLT_MAX, fabsf)
ADD_TWO(double, DBL_MIN, DBL_MAX, fabs)

static int reduce_exact_columns(const float_type *type, const char *data, size_t rows,
                                ptrdiff_t row_stride, size_t columns, int means, int result_type,
                                char *result)
{
    double sums[TILE], quotients[TILE], rests[TILE];
    _Alignas(64) double highs[TILE];
    _Alignas(64) double lows[TILE];
    _Alignas(64) int64_t outside[TILE];
    int64_t unsure[TILE];
    const pairs p = {highs, lows, sums, quotients, rests, outside, unsure, means && rows > 1};
    int flags = 0;
    if (rows == 2 && type->taken == TAKEN_AS_IS) {
        if (type->size == sizeof(float) && result_type == PARSUM_FLOAT32 &&
            !add_two_float(data, data + row_stride, columns, means, result))
            return 0;
        if (type->size == sizeof(double) && result_type == PARSUM_FLOAT64 &&
            !add_two_double(data, data + row_stride, columns, means, result))
            return 0;
    }
    int bad = type->kernels->reduce_columns[type->taken](data, rows, row_stride, columns, sums,
                                                         highs, lows, outside);
    if (!bad && !round_pairs(&p, columns, rows, result_type, result))
        return 0;
    if (p.means)
        divide_pairs(&p, columns, rows);
    for (size_t j = 0; j < columns; j++, result += parsum_type_size[result_type])
        flags |= finish_pair(type, data + j * type->size, rows, row_stride, &p, j, result_type,
                             result, NULL);
    return flags;
}

#define ROW_BATCH 64 /* rows between changes of the window */

static int reduce_exact_rows(const float_type *type, const char *data, size_t rows,
                             ptrdiff_t row_stride, size_t n, int means, int result_type,
                             char *result)
{
    double sums[ROW_BATCH], quotients[ROW_BATCH], rests[ROW_BATCH];
    double highs[ROW_BATCH], lows[ROW_BATCH], values[ROW_MAX];
    int64_t outside[ROW_BATCH], unsure[ROW_BATCH], largest, least;
    const pairs p = {highs, lows, sums, quotients, rests, outside, unsure, means && n > 1};
    uint64_t groups;
    int flags = 0;
    type->kernels->widen(data, n, values);
    for (size_t i = 0; type->taken == TAKEN_UNLESS_NAN && i < n; i++)
        values[i] = isnan(values[i]) ? 0 : values[i];
    parsum_kernels()->bounds(values, n, &largest, &least, &groups);
    int window = clamp_window(exponent_of(largest) + HEADROOM - WINDOW_SPAN + 1);
    while (rows) {
        const size_t count = rows < ROW_BATCH ? rows : ROW_BATCH;
        int bad = type->kernels->reduce_rows[type->taken](data, count, row_stride, n, window, sums,
                                                          highs, lows, outside);
        if (!bad && !round_pairs(&p, count, n, result_type, result)) {
            data += (ptrdiff_t)count * row_stride;
            result += count * parsum_type_size[result_type];
            rows -= count;
            continue;
        }
        if (p.means)
            divide_pairs(&p, count, n);
        for (size_t r = 0; r < count; r++, data += row_stride) {
            flags |= finish_pair(type, data, n, (ptrdiff_t)type->size, &p, r, result_type, result,
                                 &window);
            result += parsum_type_size[result_type];
        }
        rows -= count;
    }
    return flags;
}

static float_type taken(float_type type, int as)
{
    type.taken = as;
    return type;
}

#define EXACT(NAME, TYPE)                                                                          \
    static void accumulate_exact_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride) \
    {                                                                                              \
        const float_type type = TYPE;                                                              \
        accumulate_exact(state, &type, data, n, stride);                                           \
    }                                                                                              \
    static void accumulate_exact_columns_##NAME(void *states, const void *data, size_t rows,       \
                                                ptrdiff_t row_stride, size_t columns)              \
    {                                                                                              \
        const float_type type = TYPE;                                                              \
        accumulate_exact_columns(states, &type, data, rows, row_stride, columns);                  \
    }
#define EXACT_RUNS(NAME, TYPE, MEANS)                                                              \
    static int reduce_columns_##NAME(const void *data, size_t rows, ptrdiff_t row_stride,          \
                                     size_t columns, double parameter, int result_type,            \
                                     char *result)                                                 \
    {                                                                                              \
        (void)parameter;                                                                           \
        const float_type type = TYPE;                                                              \
        return reduce_exact_columns(&type, data, rows, row_stride, columns, MEANS, result_type,    \
                                    result);                                                       \
    }                                                                                              \
    static int reduce_rows_##NAME(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,   \
                                  double parameter, int result_type, char *result)                 \
    {                                                                                              \
        (void)parameter;                                                                           \
        const float_type type = TYPE;                                                              \
        return reduce_exact_rows(&type, data, rows, row_stride, n, MEANS, result_type, result);    \
    }
#define EXACT_TYPE(TYPE)                                                                           \
    EXACT(TYPE, type_##TYPE())                                                                     \
    EXACT(abs_##TYPE, taken(type_##TYPE(), TAKEN_ABSOLUTE))                                        \
    EXACT(nan_##TYPE, taken(type_##TYPE(), TAKEN_UNLESS_NAN))                                      \
    EXACT_RUNS(sum_##TYPE, type_##TYPE(), 0)                                                       \
    EXACT_RUNS(mean_##TYPE, type_##TYPE(), 1)                                                      \
    EXACT_RUNS(abs_sum_##TYPE, taken(type_##TYPE(), TAKEN_ABSOLUTE), 0)                            \
    EXACT_RUNS(nan_sum_##TYPE, taken(type_##TYPE(), TAKEN_UNLESS_NAN), 0)

EXACT_TYPE(f16)
EXACT_TYPE(f32)
EXACT_TYPE(f64)

/* ---- exact sums of the magnitudes of complex numbers ---- */

typedef struct {
    int (*magnitudes)(const void *data, size_t n, void *out);
    float_type part;
    int type; /* of the parts */
} complex_type;

static complex_type type_c64(void)
{
    return (complex_type){parsum_kernels()->magnitudes_c64, type_f32(), PARSUM_FLOAT32};
}

static complex_type type_c128(void)
{
    return (complex_type){parsum_kernels()->magnitudes_c128, type_f64(), PARSUM_FLOAT64};
}

/* The magnitude of one number, by exact squares. Infinity counts for more than NaN (C11, G.6). */
static int round_magnitude(double x, double y, int type, void *result)
{
    big part, squares[2], sum, one;
    if (!isfinite(x) || !isfinite(y)) {
        parsum_store(type, isinf(x) || isinf(y) ? (double)INFINITY : (double)NAN, result);
        return 0;
    }
    big_from_double(x, &part);
    big_multiply(&part, &part, &squares[0]);
    big_from_double(y, &part);
    big_multiply(&part, &part, &squares[1]);
    big_add(&squares[0], &squares[1], &sum);
    big_from_uint64(1, &one);
    return big_round_root(&sum, &one, type, result);
}

/* Number i is on its way to states[i * step]. */
static void take_magnitudes(exact_state *states, size_t step, const complex_type *type,
                            const char *data, size_t n, char *out)
{
    const size_t size = type->part.size;
    if (!type->magnitudes(data, n, out))
        return;
    for (size_t i = 0; i < n; i++) {
        double value, parts[2];
        type->part.kernels->widen(out + i * size, 1, &value);
        if (!isnan(value))
            continue;
        type->part.kernels->widen(data + 2 * i * size, 2, parts);
        if (round_magnitude(parts[0], parts[1], type->type, out + i * size) & PARSUM_OVERFLOW)
            states[i * step].overflow = 1;
    }
}

static void accumulate_magnitudes(exact_state *state, const complex_type *type, const char *data,
                                  size_t n, ptrdiff_t stride)
{
    enum { NUMBERS = BLOCK / 2 };
    char gathered[2 * NUMBERS * sizeof(double)], magnitudes[NUMBERS * sizeof(double)];
    const size_t size = type->part.size;
    const int direct = stride == (ptrdiff_t)(2 * size) && (uintptr_t)data % size == 0;
    state->count += n;
    state->seen |= n ? SEEN_ANY | SEEN_NOT_MINUS_ZERO : 0;
    while (n && !state->nan) {
        const size_t count = n < NUMBERS ? n : NUMBERS;
        const char *p = data;
        if (!direct) {
            for (size_t i = 0; i < count; i++)
                memcpy(gathered + 2 * i * size, data + (ptrdiff_t)i * stride, 2 * size);
            p = gathered;
        }
        take_magnitudes(state, 0, type, p, count, magnitudes);
        accumulate_interleaved(state, 1, &type->part, magnitudes, count);
        data += (ptrdiff_t)count * stride;
        n -= count;
    }
}

static void accumulate_magnitude_columns(exact_state *states, const complex_type *type,
                                         const char *data, size_t rows, ptrdiff_t row_stride,
                                         size_t columns)
{
    char magnitudes[8 * TILE * sizeof(double)];
    const size_t size = type->part.size, most = 8 * TILE / columns;
    while (rows) {
        const size_t count = rows < most ? rows : most;
        for (size_t r = 0; r < count; r++, data += row_stride)
            take_magnitudes(states, 1, type, data, columns, magnitudes + r * columns * size);
        accumulate_exact_columns(states, &type->part, magnitudes, count,
                                 (ptrdiff_t)(columns * size), columns);
        rows -= count;
    }
}

static int finish_magnitudes(const void *state, int type, void *result)
{
    const exact_state *exact = state;
    const int flags = parsum_exact_finish(exact, type, result);
    return exact->overflow && !exact->nan ? flags | PARSUM_OVERFLOW : flags;
}

#define MAGNITUDES(TYPE)                                                                           \
    static void accumulate_abs_##TYPE(void *state, const void *data, size_t n, ptrdiff_t stride)   \
    {                                                                                              \
        const complex_type type = type_##TYPE();                                                   \
        accumulate_magnitudes(state, &type, data, n, stride);                                      \
    }                                                                                              \
    static void accumulate_abs_columns_##TYPE(void *states, const void *data, size_t rows,         \
                                              ptrdiff_t row_stride, size_t columns)                \
    {                                                                                              \
        const complex_type type = type_##TYPE();                                                   \
        accumulate_magnitude_columns(states, &type, data, rows, row_stride, columns);              \
    }

MAGNITUDES(c64)
MAGNITUDES(c128)

/* ---- fast sums of floats: leaves of the fixed tree ---- */

static void identity_fast(void *state, double parameter)
{
    (void)parameter;
    *(fast_state *)state = (fast_state){-0.0, 0};
}

static void combine_fast(void *state, const void *other)
{
    fast_state *a = state;
    const fast_state *b = other;
    a->sum += b->sum;
    a->count += b->count;
}

static int finish_fast(const void *state, int type, void *result)
{
    const fast_state *fast = state;
    const double sum = !fast->count ? 0.0 : isnan(fast->sum) ? (double)NAN : fast->sum;
    return parsum_round_double(sum, type, result);
}

static int finish_fast_mean(const void *state, int type, void *result)
{
    const fast_state *fast = state;
    if (!fast->count)
        return no_mean(type, result);
    const double mean = isnan(fast->sum) ? (double)NAN : fast->sum / (double)fast->count;
    return parsum_round_double(mean, type, result);
}

#define FAST(TYPE, ELEMENT)                                                                        \
    static void accumulate_fast_##TYPE(void *state, const void *data, size_t n, ptrdiff_t stride)  \
    {                                                                                              \
        fast_state *fast = state;                                                                  \
        const float_kernels *kernels = &parsum_kernels()->TYPE;                                    \
        const char *p = data;                                                                      \
        ELEMENT gathered[LEAF];                                                                    \
        while (n) {                                                                                \
            size_t count = n < LEAF ? n : LEAF;                                                    \
            const void *leaf = p;                                                                  \
            if (stride != (ptrdiff_t)sizeof(ELEMENT) || (uintptr_t)p % sizeof(ELEMENT)) {          \
                for (size_t i = 0; i < count; i++)                                                 \
                    memcpy(&gathered[i], p + (ptrdiff_t)i * stride, sizeof(ELEMENT));              \
                leaf = gathered;                                                                   \
            }                                                                                      \
            fast->sum += kernels->leaf(leaf, count);                                               \
            fast->count += count;                                                                  \
            p += (ptrdiff_t)count * stride;                                                        \
            n -= count;                                                                            \
        }                                                                                          \
    }                                                                                              \
    static void accumulate_fast_columns_##TYPE(void *states, const void *data, size_t rows,        \
                                               ptrdiff_t row_stride, size_t columns)               \
    {                                                                                              \
        fast_state *fast = states;                                                                 \
        double sums[TILE];                                                                         \
        if (!rows)                                                                                 \
            return;                                                                                \
        parsum_kernels()->TYPE.leaf_columns(data, rows, row_stride, columns, sums);                \
        for (size_t j = 0; j < columns; j++) {                                                     \
            fast[j].sum += sums[j];                                                                \
            fast[j].count += rows;                                                                 \
        }                                                                                          \
    }

FAST(f16, uint16_t)
FAST(f32, float)
FAST(f64, double)

/* Whole columns and rows of at most a leaf. */
static int finish_fast_sums(const double *sums, size_t n, uint64_t count,
                            int (*finish)(const void *state, int type, void *result), int type,
                            char *result)
{
    int flags = 0;
    for (size_t j = 0; j < n; j++) {
        const fast_state state = {sums[j], count};
        flags |= finish(&state, type, result + j * parsum_type_size[type]);
    }
    return flags;
}

#define SHORT_FAST_ROW 16 /* rows of so many elements are turned into columns */
#define FAST_ROWS 64      /* so many at a time */

#define SHORT_FAST(VERB, FINISH, TYPE, ELEMENT)                                                    \
    static int reduce_##VERB##_columns_##TYPE(const void *data, size_t rows, ptrdiff_t row_stride, \
                                              size_t columns, double parameter, int type,          \
                                              char *result)                                        \
    {                                                                                              \
        double sums[TILE];                                                                         \
        (void)parameter;                                                                           \
        parsum_kernels()->TYPE.leaf_columns(data, rows, row_stride, columns, sums);                \
        return finish_fast_sums(sums, columns, rows, FINISH, type, result);                        \
    }                                                                                              \
    static int reduce_##VERB##_rows_##TYPE(const void *data, size_t rows, ptrdiff_t row_stride,    \
                                           size_t n, double parameter, int type, char *result)     \
    {                                                                                              \
        const float_kernels *kernels = &parsum_kernels()->TYPE;                                    \
        const size_t size = parsum_type_size[type];                                                \
        int flags = 0;                                                                             \
        (void)parameter;                                                                           \
        for (size_t first = 0; first < rows; first += FAST_ROWS) {                                 \
            const size_t count = rows - first < FAST_ROWS ? rows - first : FAST_ROWS;              \
            const char *row = (const char *)data + (ptrdiff_t)first * row_stride;                  \
            double sums[FAST_ROWS];                                                                \
            ELEMENT turned[SHORT_FAST_ROW * FAST_ROWS];                                            \
            if (n <= SHORT_FAST_ROW) {                                                             \
                for (size_t j = 0; j < count; j++)                                                 \
                    for (size_t i = 0; i < n; i++)                                                 \
                        memcpy(&turned[i * count + j],                                             \
                               row + (ptrdiff_t)j * row_stride + i * sizeof(ELEMENT),              \
                               sizeof(ELEMENT));                                                   \
                kernels->leaf_columns(turned, n, (ptrdiff_t)(count * sizeof(ELEMENT)), count,      \
                                      sums);                                                       \
            } else {                                                                               \
                for (size_t j = 0; j < count; j++)                                                 \
                    sums[j] = kernels->leaf(row + (ptrdiff_t)j * row_stride, n);                   \
            }                                                                                      \
            flags |= finish_fast_sums(sums, count, n, FINISH, type, result + first * size);        \
        }                                                                                          \
        return flags;                                                                              \
    }

#define SHORT_FASTS(TYPE, ELEMENT)                                                                 \
    SHORT_FAST(fast_sum, finish_fast, TYPE, ELEMENT)                                               \
    SHORT_FAST(fast_mean, finish_fast_mean, TYPE, ELEMENT)

SHORT_FASTS(f16, uint16_t)
SHORT_FASTS(f32, float)
SHORT_FASTS(f64, double)

/* ---- integers: 128 bits hold 2^64 elements of 64 bits ---- */

#define EXACT_INTEGER (INT64_C(1) << 53) /* a double has all integers up to here */

typedef struct {
    uint64_t low, high; /* two's complement */
    uint64_t nat;
    uint64_t count;
} integer_state;

static int128 integer_sum(const integer_state *state)
{
    return (int128)((uint128)state->high << 64 | state->low);
}

static void add_to_integer(integer_state *state, int128 value)
{
    uint128 sum = (uint128)(integer_sum(state)) + (uint128)value;
    state->low = (uint64_t)sum;
    state->high = (uint64_t)(sum >> 64);
}

static void identity_integer(void *state, double parameter)
{
    (void)parameter;
    memset(state, 0, sizeof(integer_state));
}

static void combine_integer(void *state, const void *other)
{
    integer_state *a = state;
    const integer_state *b = other;
    add_to_integer(a, integer_sum(b));
    a->nat |= b->nat;
    a->count += b->count;
}

int parsum_store_integer(int128 value, int type, void *result)
{
    const int is_signed = type == PARSUM_INT8 || type == PARSUM_INT16 || type == PARSUM_INT32 ||
                          type == PARSUM_INT64 || type == PARSUM_TIME;
    const int bits = 8 * (int)parsum_type_size[type];
    /* The low bytes come first on little-endian machines only. */
    const uint64_t low = (uint64_t)value;
    const uint8_t low8 = (uint8_t)low;
    const uint16_t low16 = (uint16_t)low;
    const uint32_t low32 = (uint32_t)low;
    const void *source = bits == 8    ? (const void *)&low8
                         : bits == 16 ? (const void *)&low16
                         : bits == 32 ? (const void *)&low32
                                      : (const void *)&low;
    memcpy(result, source, (size_t)bits / 8);
    const int128 most = ((int128)1 << (is_signed ? bits - 1 : bits)) - 1;
    const int128 least = is_signed ? -most - 1 : 0;
    return value < least || value > most ? PARSUM_OVERFLOW : 0;
}

static int finish_integer(const void *state, int type, void *result)
{
    const int128 sum = integer_sum(state);
    if (type == PARSUM_BOOL) {
        uint8_t truth = sum != 0;
        memcpy(result, &truth, sizeof truth);
        return 0;
    }
    if (type == PARSUM_TIME && ((const integer_state *)state)->nat) {
        int64_t nat = INT64_MIN;
        memcpy(result, &nat, sizeof nat);
        return 0;
    }
    return parsum_store_integer(sum, type, result);
}

static int finish_integer_mean(const void *state, int type, void *result)
{
    const integer_state *integer = state;
    const int128 sum = integer_sum(integer);
    big numerator, count;
    if (!integer->count)
        return no_mean(type, result);
    const int64_t narrow = (int64_t)integer->low;
    if (type == PARSUM_FLOAT64 && sum == narrow && narrow <= EXACT_INTEGER &&
        narrow >= -EXACT_INTEGER && integer->count <= (uint64_t)EXACT_INTEGER) {
        /* Both are doubles, so IEEE division is it. */
        const double mean = (double)narrow / (double)integer->count;
        memcpy(result, &mean, sizeof mean);
        return 0;
    }
    big_from_int128(sum, 0, &numerator);
    big_from_uint64(integer->count, &count);
    return big_round_quotient(&numerator, &count, type, result);
}

/* Truncated toward zero; the mean of 64-bit integers is one. */
static int finish_time_mean(const void *state, int type, void *result)
{
    (void)type;
    const integer_state *integer = state;
    int64_t mean = INT64_MIN; /* NaT */
    if (integer->count && !integer->nat)
        mean = (int64_t)(integer_sum(integer) / (int128)integer->count);
    memcpy(result, &mean, sizeof mean);
    return integer->count ? 0 : PARSUM_INVALID | PARSUM_EMPTY;
}

static int128 joined(int64_t low, int64_t high)
{
    return (int128)low + (int128)((uint128)(int128)high << 32);
}

/* The sum of a run, as any state takes it. */
static int128 sum_of_run(const integer_kernels *kernels, size_t size, const char *data, size_t n,
                         ptrdiff_t stride, uint64_t *nat)
{
    int128 total = 0;
    char gathered[BLOCK * sizeof(int64_t)];
    const int direct = stride == (ptrdiff_t)size && (uintptr_t)data % size == 0;
    const size_t block = direct ? INTEGER_BLOCK : BLOCK;
    while (n) {
        size_t count = n < block ? n : block;
        const char *p = data;
        if (!direct) {
            for (size_t i = 0; i < count; i++)
                memcpy(gathered + i * size, data + (ptrdiff_t)i * stride, size);
            p = gathered;
        }
        int64_t low = 0, high = 0;
        if (kernels->sum(p, count, &low, &high))
            *nat = 1;
        total += joined(low, high);
        data += (ptrdiff_t)count * stride;
        n -= count;
    }
    return total;
}

/* One short sum, of two parts, in the general way. */
static int finish_parts(int64_t low, int64_t high, size_t n, int means, int type, char *result)
{
    integer_state state = {.count = n};
    add_to_integer(&state, joined(low, high));
    return (means ? finish_integer_mean : finish_integer)(&state, type, result);
}

/* Sums of at most 2^12 elements, so that |high| < 2^44 and |low| < 2^45 and 2^44 of narrow ones, or
 * their means. */
static int finish_all_parts(const int64_t *low, const int64_t *high, size_t count, size_t n,
                            int means, int type, char *result)
{
    const size_t size = parsum_type_size[type];
    int flags = 0;
    if (!means && (type == PARSUM_INT64 || type == PARSUM_UINT64)) {
        int64_t beyond = 0; /* bits that the result has no room for */
        for (size_t j = 0; j < count; j++) {
            const int64_t upper = high[j] + (low[j] >> 32);
            const uint64_t sum = (uint64_t)upper << 32 | (uint64_t)(low[j] & 0xffffffff);
            beyond |= (upper + (type == PARSUM_INT64 ? INT64_C(1) << 31 : 0)) >> 32;
            memcpy(result + j * sizeof sum, &sum, sizeof sum);
        }
        return beyond ? PARSUM_OVERFLOW : 0;
    }
    if (means && type == PARSUM_FLOAT64) {
        int64_t beyond = 0;
        for (size_t j = 0; j < count; j++) {
            /* Within 2^53 both are doubles, so IEEE division is it. */
            const int64_t upper = high[j] + (low[j] >> 32);
            const int64_t sum = (int64_t)((uint64_t)upper << 32 | (uint64_t)(low[j] & 0xffffffff));
            const double mean = (double)sum / (double)n;
            beyond |= (upper + (INT64_C(1) << 20)) >> 21;
            memcpy(result + j * sizeof mean, &mean, sizeof mean);
        }
        if (!beyond)
            return 0;
    }
    for (size_t j = 0; j < count; j++)
        flags |= finish_parts(low[j], high[j], n, means, type, result + j * size);
    return flags;
}

static int reduce_integer_columns(const integer_kernels *kernels, const char *data, size_t rows,
                                  ptrdiff_t row_stride, size_t columns, int means, int type,
                                  char *result)
{
    int64_t low[TILE], high[TILE];
    memset(low, 0, columns * sizeof *low);
    memset(high, 0, columns * sizeof *high);
    kernels->columns(data, rows, row_stride, columns, low, high);
    return finish_all_parts(low, high, columns, rows, means, type, result);
}

#define TURNED_INTEGERS 8 /* elements of a row up to which rows are turned into columns */

static int reduce_integer_rows(const integer_kernels *kernels, size_t size, const char *data,
                               size_t rows, ptrdiff_t row_stride, size_t n, int means, int type,
                               char *result)
{
    enum { BATCH = 256 };
    _Alignas(64) char turned[BATCH * TURNED_INTEGERS * sizeof(int64_t)];
    int64_t low[BATCH], high[BATCH];
    int flags = 0;
    while (rows) {
        const size_t count = rows < BATCH ? rows : BATCH;
        memset(low, 0, sizeof low);
        memset(high, 0, sizeof high);
        if (n <= TURNED_INTEGERS) {
            parsum_turn(size, data, count, row_stride, n, turned);
            kernels->columns(turned, n, (ptrdiff_t)(count * size), count, low, high);
        } else {
            for (size_t r = 0; r < count; r++)
                kernels->sum(data + (ptrdiff_t)r * row_stride, n, &low[r], &high[r]);
        }
        flags |= finish_all_parts(low, high, count, n, means, type, result);
        data += (ptrdiff_t)count * row_stride;
        result += count * parsum_type_size[type];
        rows -= count;
    }
    return flags;
}

#define INTEGER_RUNS(VERB, NAME, SIZE, MEANS)                                                      \
    static int reduce_columns_##VERB##_##NAME(const void *data, size_t rows, ptrdiff_t row_stride, \
                                              size_t columns, double parameter, int type,          \
                                              char *result)                                        \
    {                                                                                              \
        (void)parameter;                                                                           \
        return reduce_integer_columns(&parsum_kernels()->NAME, data, rows, row_stride, columns,    \
                                      MEANS, type, result);                                        \
    }                                                                                              \
    static int reduce_rows_##VERB##_##NAME(const void *data, size_t rows, ptrdiff_t row_stride,    \
                                           size_t n, double parameter, int type, char *result)     \
    {                                                                                              \
        (void)parameter;                                                                           \
        return reduce_integer_rows(&parsum_kernels()->NAME, SIZE, data, rows, row_stride, n,       \
                                   MEANS, type, result);                                           \
    }

#define INTEGER(NAME, SIZE)                                                                        \
    INTEGER_RUNS(sum, NAME, SIZE, 0)                                                               \
    INTEGER_RUNS(mean, NAME, SIZE, 1)                                                              \
    static void accumulate_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)       \
    {                                                                                              \
        integer_state *integer = state;                                                            \
        integer->count += n;                                                                       \
        add_to_integer(integer,                                                                    \
                       sum_of_run(&parsum_kernels()->NAME, SIZE, data, n, stride, &integer->nat)); \
    }                                                                                              \
    static void accumulate_columns_##NAME(void *states, const void *data, size_t rows,             \
                                          ptrdiff_t row_stride, size_t columns)                    \
    {                                                                                              \
        int64_t low[TILE] = {0}, high[TILE] = {0};                                                 \
        parsum_kernels()->NAME.columns(data, rows, row_stride, columns, low, high);                \
        integer_state *integer = states;                                                           \
        for (size_t j = 0; j < columns; j++) {                                                     \
            integer[j].count += rows;                                                              \
            add_to_integer(&integer[j], joined(low[j], high[j]));                                  \
        }                                                                                          \
    }                                                                                              \
    /* The same sum on its way to a floating result, which may start from a float. */              \
    static void accumulate_real_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)  \
    {                                                                                              \
        uint64_t nat = 0;                                                                          \
        exact_state *exact = state;                                                                \
        exact->count += n;                                                                         \
        exact->seen |= n ? SEEN_ANY | SEEN_NOT_MINUS_ZERO : 0;                                     \
        parsum_exact_add_int128(                                                                   \
            exact, sum_of_run(&parsum_kernels()->NAME, SIZE, data, n, stride, &nat), 0);           \
    }                                                                                              \
    static void accumulate_real_columns_##NAME(void *states, const void *data, size_t rows,        \
                                               ptrdiff_t row_stride, size_t columns)               \
    {                                                                                              \
        int64_t low[TILE] = {0}, high[TILE] = {0};                                                 \
        exact_state *exact = states;                                                               \
        parsum_kernels()->NAME.columns(data, rows, row_stride, columns, low, high);                \
        for (size_t j = 0; j < columns; j++) {                                                     \
            exact[j].count += rows;                                                                \
            exact[j].seen |= rows ? SEEN_ANY | SEEN_NOT_MINUS_ZERO : 0;                            \
            parsum_exact_add_int128(&exact[j], joined(low[j], high[j]), 0);                        \
        }                                                                                          \
    }

/* Magnitudes are unsigned numbers of the same size; an unsigned element is its own. */
static int128 sum_of_magnitudes(const integer_kernels *kernels, const integer_kernels *magnitudes,
                                size_t size, const char *data, size_t n, ptrdiff_t stride)
{
    char gathered[BLOCK * sizeof(int64_t)], out[BLOCK * sizeof(int64_t)];
    const int direct = stride == (ptrdiff_t)size && (uintptr_t)data % size == 0;
    const size_t block = sizeof out / size;
    int128 total = 0;
    while (n) {
        const size_t count = n < block ? n : block;
        const char *p = data;
        if (!direct) {
            for (size_t i = 0; i < count; i++)
                memcpy(gathered + i * size, data + (ptrdiff_t)i * stride, size);
            p = gathered;
        }
        int64_t low = 0, high = 0;
        kernels->magnitudes(p, count, out);
        magnitudes->sum(out, count, &low, &high);
        total += joined(low, high);
        data += (ptrdiff_t)count * stride;
        n -= count;
    }
    return total;
}

static void sum_magnitude_columns(const integer_kernels *kernels, const integer_kernels *magnitudes,
                                  size_t size, const char *data, size_t rows, ptrdiff_t row_stride,
                                  size_t columns, int64_t *low, int64_t *high)
{
    enum { ROWS = 4 }; /* what the kernels take at once */
    char out[ROWS * TILE * sizeof(int64_t)];
    while (rows) {
        const size_t count = rows < ROWS ? rows : ROWS;
        for (size_t r = 0; r < count; r++, data += row_stride)
            kernels->magnitudes(data, columns, out + r * columns * size);
        magnitudes->columns(out, count, (ptrdiff_t)(columns * size), columns, low, high);
        rows -= count;
    }
}

static int finish_integer_magnitudes(const void *state, int type, void *result)
{
    return parsum_round_int128(integer_sum(state), 0, type, result);
}

#define INTEGER_MAGNITUDES(NAME, MAGNITUDE, SIZE)                                                  \
    static void accumulate_abs_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)   \
    {                                                                                              \
        const kernel_table *table = parsum_kernels();                                              \
        add_to_integer(state,                                                                      \
                       sum_of_magnitudes(&table->NAME, &table->MAGNITUDE, SIZE, data, n, stride)); \
    }                                                                                              \
    static void accumulate_abs_columns_##NAME(void *states, const void *data, size_t rows,         \
                                              ptrdiff_t row_stride, size_t columns)                \
    {                                                                                              \
        const kernel_table *table = parsum_kernels();                                              \
        int64_t low[TILE] = {0}, high[TILE] = {0};                                                 \
        sum_magnitude_columns(&table->NAME, &table->MAGNITUDE, SIZE, data, rows, row_stride,       \
                              columns, low, high);                                                 \
        for (size_t j = 0; j < columns; j++)                                                       \
            add_to_integer((integer_state *)states + j, joined(low[j], high[j]));                  \
    }

INTEGER_MAGNITUDES(i8, u8, 1)
INTEGER_MAGNITUDES(i16, u16, 2)
INTEGER_MAGNITUDES(i32, u32, 4)
INTEGER_MAGNITUDES(i64, u64, 8)

INTEGER(boolean, 1)
INTEGER(i8, 1)
INTEGER(u8, 1)
INTEGER(i16, 2)
INTEGER(u16, 2)
INTEGER(i32, 4)
INTEGER(u32, 4)
INTEGER(i64, 8)
INTEGER(u64, 8)

static void accumulate_timedelta(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    integer_state *integer = state;
    integer->count += n;
    add_to_integer(integer, sum_of_run(&parsum_kernels()->timedelta, sizeof(int64_t), data, n,
                                       stride, &integer->nat));
}

/* ---- long double: compensated, in the fixed tree ----
 *
 * A pair (sum, rest) after Knuth's TwoSum and Neumaier 1974: sum + rest is the exact sum but for
 * the roundings of rest itself, each below 2^-(2p) of the sum of magnitudes. Not correctly rounded;
 * deterministic, as the tree is fixed. */

static void identity_compensated(void *state, double parameter)
{
    (void)parameter;
    *(compensated_state *)state = (compensated_state){-0.0L, 0.0L, 0, 0};
}

static void add_compensated(compensated_state *state, long double value, long double rest)
{
    long double sum = state->sum + value;
    long double part = sum - state->sum;
    state->rest += ((state->sum - (sum - part)) + (value - part)) + rest;
    state->sum = sum;
}

static void accumulate_compensated(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    compensated_state *compensated = state;
    const char *p = data;
    for (size_t i = 0; i < n; i++, p += stride) {
        long double value;
        memcpy(&value, p, sizeof value);
        compensated->special |= isinf(value) ? 1 : isnan(value) ? 2 : 0;
        add_compensated(compensated, value, 0);
    }
    compensated->count += n;
}

static void accumulate_abs_long(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    compensated_state *compensated = state;
    const char *p = data;
    for (size_t i = 0; i < n; i++, p += stride) {
        long double value;
        memcpy(&value, p, sizeof value);
        compensated->special |= isinf(value) ? 1 : isnan(value) ? 2 : 0;
        add_compensated(compensated, fabsl(value), 0);
    }
    compensated->count += n;
}

static void accumulate_abs_clong(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    compensated_state *compensated = state;
    const char *p = data;
    for (size_t i = 0; i < n; i++, p += stride) {
        long double parts[2];
        memcpy(parts, p, sizeof parts);
        const long double value = hypotl(parts[0], parts[1]);
        compensated->special |= isinf(parts[0]) || isinf(parts[1]) ? 1 : isnan(value) ? 2 : 0;
        add_compensated(compensated, value, 0);
    }
    compensated->count += n;
}

static void combine_compensated(void *state, const void *other)
{
    const compensated_state *b = other;
    add_compensated(state, b->sum, b->rest);
    ((compensated_state *)state)->count += b->count;
    ((compensated_state *)state)->special |= b->special;
}

static int valid_compensated(const void *state)
{
    const compensated_state *compensated = state;
    return long_is_valid(&compensated->sum) && long_is_valid(&compensated->rest) &&
           compensated->special <= 3;
}

static void clear_compensated_padding(void *state)
{
    compensated_state *compensated = state;
    clear_long_padding(&compensated->sum, 1);
    clear_long_padding(&compensated->rest, 1);
}

static int round_compensated(const compensated_state *compensated, long double count, int type,
                             void *result)
{
    long double sum = compensated->count ? compensated->sum : 0.0L;
    /* Once infinite, the rest is NaN and of no matter; zero must keep its sign. */
    if (isfinite(sum) && compensated->rest != 0)
        sum += compensated->rest;
    if (isnan(sum))
        sum = NAN;
    sum /= count;
    int flags = 0;
    if (isinf(sum) && !(compensated->special & 1))
        flags = PARSUM_OVERFLOW;
    if (isnan(sum) && !(compensated->special & 2))
        flags = PARSUM_INVALID;
    switch (type) {
    case PARSUM_LONGDOUBLE:
        memset(result, 0, sizeof sum);
        memcpy(result, &sum, sizeof sum);
        break;
    case PARSUM_FLOAT64: {
        double narrow = (double)sum;
        memcpy(result, &narrow, sizeof narrow);
        flags |= isinf(narrow) && isfinite(sum) ? PARSUM_OVERFLOW : 0;
        break;
    }
    default: {
        /* float32 and float16: by two doubles that sum to it, so rounded once */
        double parts[2] = {(double)sum, 0};
        if (isfinite(parts[0]))
            parts[1] = (double)(sum - parts[0]);
        exact_state exact;
        float_type f64 = type_f64();
        parsum_exact_identity(&exact);
        accumulate_exact(&exact, &f64, (const char *)parts, parts[1] != 0 ? 2 : 1, sizeof(double));
        flags |= parsum_exact_finish(&exact, type, result);
        if (isfinite(sum) && !isfinite(parts[0]))
            flags |= PARSUM_OVERFLOW;
    }
    }
    return flags;
}

static int finish_compensated(const void *state, int type, void *result)
{
    return round_compensated(state, 1, type, result);
}

static int finish_compensated_mean(const void *state, int type, void *result)
{
    const compensated_state *compensated = state;
    if (!compensated->count)
        return no_mean(type, result);
    return round_compensated(compensated, (long double)compensated->count, type, result);
}

/* ---- the table ---- */

#define EXACT_ROW(OPERATION, METHOD, NAME, RUNS, FINISH, ELEMENT_TYPE)                             \
    {                                                                                              \
        .operation = OPERATION,                                                                    \
        .method = METHOD,                                                                          \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .state_size = sizeof(exact_state),                                                         \
        .identity = identity_exact,                                                                \
        .restart = restart_exact,                                                                  \
        .accumulate = accumulate_exact_##NAME,                                                     \
        .accumulate_columns = accumulate_exact_columns_##NAME,                                     \
        .reduce_columns = reduce_columns_##RUNS,                                                   \
        .reduce_rows = reduce_rows_##RUNS,                                                         \
        .combine = combine_exact,                                                                  \
        .finish = FINISH,                                                                          \
        .valid = valid_exact,                                                                      \
    }
#define FAST_ROW(VERB, FINISH, TYPE, ELEMENT_TYPE)                                                 \
    {                                                                                              \
        .operation = #VERB,                                                                        \
        .method = "fast",                                                                          \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .ordered = 1,                                                                              \
        .floating_exceptions = 1,                                                                  \
        .state_size = sizeof(fast_state),                                                          \
        .identity = identity_fast,                                                                 \
        .accumulate = accumulate_fast_##TYPE,                                                      \
        .accumulate_columns = accumulate_fast_columns_##TYPE,                                      \
        .reduce_columns = reduce_fast_##VERB##_columns_##TYPE,                                     \
        .reduce_rows = reduce_fast_##VERB##_rows_##TYPE,                                           \
        .combine = combine_fast,                                                                   \
        .finish = FINISH,                                                                          \
    }
#define FLOAT_ROWS(TYPE, ELEMENT_TYPE)                                                             \
    EXACT_ROW("sum", "exact", TYPE, sum_##TYPE, finish_exact, ELEMENT_TYPE),                       \
        EXACT_ROW("mean", "exact", TYPE, mean_##TYPE, finish_exact_mean, ELEMENT_TYPE),            \
        EXACT_ROW("abs_sum", NULL, abs_##TYPE, abs_sum_##TYPE, finish_exact, ELEMENT_TYPE),        \
        EXACT_ROW("nansum", "exact", nan_##TYPE, nan_sum_##TYPE, finish_exact, ELEMENT_TYPE),      \
        FAST_ROW(sum, finish_fast, TYPE, ELEMENT_TYPE),                                            \
        FAST_ROW(mean, finish_fast_mean, TYPE, ELEMENT_TYPE)

/* Integers are exact by either method, so their rows name none. */
#define INTEGER_ROW(OPERATION, RESULTS, FINISH, NAME, ELEMENT_TYPE)                                \
    {                                                                                              \
        .operation = #OPERATION,                                                                   \
        .reduce_columns = reduce_columns_##OPERATION##_##NAME,                                     \
        .reduce_rows = reduce_rows_##OPERATION##_##NAME,                                           \
        .element = ELEMENT_TYPE,                                                                   \
        .results = RESULTS,                                                                        \
        .state_size = sizeof(integer_state),                                                       \
        .identity = identity_integer,                                                              \
        .accumulate = accumulate_##NAME,                                                           \
        .accumulate_columns = accumulate_columns_##NAME,                                           \
        .combine = combine_integer,                                                                \
        .finish = FINISH,                                                                          \
    }
#define ABS_ROW(ACCUMULATE, NAME, ELEMENT_TYPE)                                                    \
    {                                                                                              \
        .operation = "abs_sum",                                                                    \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .state_size = sizeof(integer_state),                                                       \
        .identity = identity_integer,                                                              \
        .accumulate = ACCUMULATE##_##NAME,                                                         \
        .accumulate_columns = ACCUMULATE##_columns_##NAME,                                         \
        .combine = combine_integer,                                                                \
        .finish = finish_integer_magnitudes,                                                       \
    }
#define COMPLEX_ROW(NAME, ELEMENT_TYPE)                                                            \
    {                                                                                              \
        .operation = "abs_sum",                                                                    \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .state_size = sizeof(exact_state),                                                         \
        .identity = identity_exact,                                                                \
        .restart = restart_exact,                                                                  \
        .accumulate = accumulate_abs_##NAME,                                                       \
        .accumulate_columns = accumulate_abs_columns_##NAME,                                       \
        .combine = combine_exact,                                                                  \
        .finish = finish_magnitudes,                                                               \
        .valid = valid_exact,                                                                      \
    }
#define INTEGER_ROWS(NAME, ELEMENT_TYPE)                                                           \
    INTEGER_ROW(sum, INTEGERS, finish_integer, NAME, ELEMENT_TYPE),                                \
        INTEGER_ROW(mean, FLOATS, finish_integer_mean, NAME, ELEMENT_TYPE),                        \
    {                                                                                              \
        .operation = "sum", .element = ELEMENT_TYPE, .results = FLOATS,                            \
        .state_size = sizeof(exact_state), .identity = identity_exact,                             \
        .accumulate = accumulate_real_##NAME,                                                      \
        .accumulate_columns = accumulate_real_columns_##NAME, .combine = combine_exact,            \
        .finish = finish_exact, .valid = valid_exact,                                              \
    }

#define TIME_ROW(OPERATION, FINISH)                                                                \
    {                                                                                              \
        .operation = OPERATION,                                                                    \
        .element = PARSUM_TIME,                                                                    \
        .results = BIT(PARSUM_TIME),                                                               \
        .state_size = sizeof(integer_state),                                                       \
        .identity = identity_integer,                                                              \
        .accumulate = accumulate_timedelta,                                                        \
        .combine = combine_integer,                                                                \
        .finish = FINISH,                                                                          \
    }
#define COMPENSATED_ROW(OPERATION, ACCUMULATE, FINISH, ELEMENT_TYPE)                               \
    {                                                                                              \
        .operation = OPERATION,                                                                    \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .ordered = 1,                                                                              \
        .state_size = sizeof(compensated_state),                                                   \
        .identity = identity_compensated,                                                          \
        .accumulate = ACCUMULATE,                                                                  \
        .combine = combine_compensated,                                                            \
        .finish = FINISH,                                                                          \
        .valid = valid_compensated,                                                                \
        .clear_padding = clear_compensated_padding,                                                \
    }

const parsum_reduction parsum_sums[] = {
    FLOAT_ROWS(f16, PARSUM_FLOAT16),
    FLOAT_ROWS(f32, PARSUM_FLOAT32),
    FLOAT_ROWS(f64, PARSUM_FLOAT64),
    INTEGER_ROWS(boolean, PARSUM_BOOL),
    INTEGER_ROWS(i8, PARSUM_INT8),
    INTEGER_ROWS(u8, PARSUM_UINT8),
    INTEGER_ROWS(i16, PARSUM_INT16),
    INTEGER_ROWS(u16, PARSUM_UINT16),
    INTEGER_ROWS(i32, PARSUM_INT32),
    INTEGER_ROWS(u32, PARSUM_UINT32),
    INTEGER_ROWS(i64, PARSUM_INT64),
    INTEGER_ROWS(u64, PARSUM_UINT64),
    TIME_ROW("sum", finish_integer),
    TIME_ROW("mean", finish_time_mean),
    ABS_ROW(accumulate, boolean, PARSUM_BOOL),
    ABS_ROW(accumulate_abs, i8, PARSUM_INT8),
    ABS_ROW(accumulate, u8, PARSUM_UINT8),
    ABS_ROW(accumulate_abs, i16, PARSUM_INT16),
    ABS_ROW(accumulate, u16, PARSUM_UINT16),
    ABS_ROW(accumulate_abs, i32, PARSUM_INT32),
    ABS_ROW(accumulate, u32, PARSUM_UINT32),
    ABS_ROW(accumulate_abs, i64, PARSUM_INT64),
    ABS_ROW(accumulate, u64, PARSUM_UINT64),
    COMPLEX_ROW(c64, PARSUM_COMPLEX64),
    COMPLEX_ROW(c128, PARSUM_COMPLEX128),
    COMPENSATED_ROW("sum", accumulate_compensated, finish_compensated, PARSUM_LONGDOUBLE),
    COMPENSATED_ROW("mean", accumulate_compensated, finish_compensated_mean, PARSUM_LONGDOUBLE),
    COMPENSATED_ROW("abs_sum", accumulate_abs_long, finish_compensated, PARSUM_LONGDOUBLE),
    COMPENSATED_ROW("abs_sum", accumulate_abs_clong, finish_compensated, PARSUM_CLONGDOUBLE),
    {.operation = NULL},
};
