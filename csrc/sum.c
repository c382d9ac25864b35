/* The sums: exact and fast for floats, 128-bit for integers, compensated for long double. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "exact.h"
#include "kernels.h"
#include "reductions.h"

/* ---- exact sums of floats ---- */

static void identity_exact(void *state)
{
    parsum_exact_identity(state);
}

static void restart_exact(void *state)
{
    parsum_exact_restart(state);
}

static void combine_exact(void *state, const void *other)
{
    parsum_exact_combine(state, other);
}

static int finish_exact(const void *state, int type, void *result)
{
    return parsum_exact_finish(state, type, result);
}

/* What the exact functions need to know of an element type. */
typedef struct {
    const float_kernels *kernels;
    size_t size;
    int first_window; /* the distance from the largest exponent down to a good window */
} float_type;

static float_type type_f64(void)
{
    return (float_type){&parsum_kernels()->f64, sizeof(double), -29};
}

/* float32's own window reaches 3 binades higher: see float_body.h. */
static float_type type_f32(void)
{
    return (float_type){&parsum_kernels()->f32, sizeof(float), -32};
}

static float_type type_f16(void)
{
    return (float_type){&parsum_kernels()->f16, sizeof(uint16_t), 0};
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
    state->seen |= SEEN_ANY;
    for (; n && !(state->seen & SEEN_NOT_MINUS_ZERO); n--, data += stride) {
        double value;
        type->kernels->widen(data, 1, &value);
        if (bits_of(value) != SIGN_BIT)
            state->seen |= SEEN_NOT_MINUS_ZERO;
    }
}

static int try_window(exact_state *states, unsigned columns, const float_kernels *kernels,
                      const void *data, size_t n, int window)
{
    int64_t hi[8] = {0}, lo[8] = {0};
    if (kernels->window_block(data, n, window, columns, hi, lo))
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

/* A block that is not in the window at hand: finds the window from the block itself (and returns
 * 0), or takes more than one, or adds its elements one by one. `bins` is NULL or of one column. */
static int add_unruly_block(exact_state *states, unsigned columns, const float_type *type,
                            const void *data, size_t n, exact_bins *bins)
{
    double copy[BLOCK];
    const double *values = data;
    int64_t largest, least;
    uint64_t groups;
    if (type->size < sizeof(double)) {
        type->kernels->widen(data, n, copy);
        values = copy;
    }
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
        if (try_window(states, columns, type->kernels, data, n, window))
            return 0;
    }
    if (!largest)
        return 0;
    for (int headroom = HEADROOM; headroom >= 0; headroom -= HEADROOM) {
        int window = clamp_window(exponent_of(largest) + headroom - WINDOW_SPAN + 1);
        if (exponent_of(least) >= window &&
            try_window(states, columns, &parsum_kernels()->f64, values, n, window))
            return 0;
    }
    if (exponent_of(largest) - WINDOW_SPAN + 1 <= WINDOW_MAX &&
        __builtin_popcountll(groups) <= PEELS)
        add_in_windows(states, columns, values, n, largest);
    else if (bins)
        parsum_bins_add(states, bins, values, n, (unsigned)(least >> 52),
                        (unsigned)(largest >> 52));
    else
        for (unsigned j = 0; j < columns && j < n; j++)
            parsum_exact_add_elements(&states[j], values + j, (n - j + columns - 1) / columns,
                                      columns);
    return 1;
}

/* Element i goes to states[i % columns]; columns is 1, 2, 4 or 8. */
static void accumulate_interleaved(exact_state *states, unsigned columns, const float_type *type,
                                   const char *data, size_t n)
{
    exact_bins bins;
    int binned = 0;
    int unruly = 0; /* after such a block, the next is likely one too */
    /* Clearing the bins and passing them on takes as long as adding some blocks without them. */
    const int worth = columns == 1 && n >= 4 * BLOCK;
    while (n) {
        size_t count = n < type->kernels->block ? n : type->kernels->block;
        if (columns == 1 && states->nan)
            break; /* the result is known */
        if (unruly || states->window == WINDOW_NONE ||
            !try_window(states, columns, type->kernels, data, count, states->window)) {
            if (worth && !binned) {
                parsum_bins_clear(&bins);
                binned = 1;
            }
            unruly = add_unruly_block(states, columns, type, data, count, binned ? &bins : NULL);
        }
        data += count * type->size;
        n -= count;
    }
    if (binned)
        parsum_bins_flush(states, &bins);
}

static void accumulate_exact(exact_state *state, const float_type *type, const char *data, size_t n,
                             ptrdiff_t stride)
{
    if (!n)
        return;
    if (!(state->seen & SEEN_NOT_MINUS_ZERO))
        mark_seen(state, type, data, n, stride);
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
        type->kernels->fold_columns(data, count, row_stride, width, w.floors, w.high, w.low,
                                    w.outside);
        for (size_t k = 0, j = 0; k < width; k++, j = j + 1 < columns ? j + 1 : 0) {
            if (w.outside[k] & WINDOW_OUTSIDE)
                accumulate_exact(&states[j], type, data + k * type->size, count, row_stride);
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
    for (size_t j = 0; j < columns; j++)
        if (!(states[j].seen & SEEN_NOT_MINUS_ZERO))
            mark_seen(&states[j], type, data + j * type->size, rows, row_stride);
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

/* Rounds the exact sum of two doubles to the type, once: to double by the addition itself; to a
 * narrower type by way of a double rounded to odd, which keeps the side of every tie (Boldo and
 * Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to
 * odd", 2008; 53 >= 24 + 2). */
static int round_pair(double high, double low, int type, char *result)
{
    double sum = high + low;
    if (type == PARSUM_FLOAT64) {
        memcpy(result, &sum, sizeof sum);
        return 0;
    }
    if (type == PARSUM_LONGDOUBLE) {
        long double wide = (long double)high + low;
        memset(result, 0, sizeof wide);
        memcpy(result, &wide, sizeof wide);
        return 0;
    }
    const double part = sum - high;
    const double error = (high - (sum - part)) + (low - part);
    uint64_t bits = bits_of(sum);
    if (error != 0 && !(bits & 1))
        sum = double_of((error > 0) == (sum > 0) ? bits + 1 : bits - 1);
    if (type == PARSUM_FLOAT32) {
        float narrow = (float)sum;
        memcpy(result, &narrow, sizeof narrow);
        return isinf(narrow) ? PARSUM_OVERFLOW : 0;
    }
    int exponent;
    const double fraction = frexp(sum, &exponent);
    return parsum_round_int128((int128)ldexp(fraction, 53), exponent - 53, type, result);
}

/* Rounds what a kernel summed, or sums it by way of a state if it was not in its window. Returns
 * flags; `window`, if not NULL, is set to the state's. */
static int finish_pair(const float_type *type, const char *data, size_t n, ptrdiff_t stride,
                       double high, double low, int64_t outside, int result_type, char *result,
                       int *window)
{
    int unsure = (outside & WINDOW_OUTSIDE) != 0;
    if (!unsure && high == 0 && low == 0) {
        double first; /* all of them may be -0.0 */
        type->kernels->widen(data, 1, &first);
        unsure = bits_of(first) == SIGN_BIT;
    }
    if (!unsure)
        return round_pair(high, low, result_type, result);
    exact_state state;
    parsum_exact_identity(&state);
    accumulate_exact(&state, type, data, n, stride);
    if (window && state.window != WINDOW_NONE)
        *window = state.window;
    return parsum_exact_finish(&state, result_type, result);
}

static int reduce_exact_columns(const float_type *type, const char *data, size_t rows,
                                ptrdiff_t row_stride, size_t columns, int result_type, char *result)
{
    double sums[TILE];
    _Alignas(64) double highs[TILE];
    _Alignas(64) double lows[TILE];
    _Alignas(64) int64_t outside[TILE];
    int flags = 0;
    const int bad =
        type->kernels->reduce_columns(data, rows, row_stride, columns, sums, highs, lows, outside);
    if (result_type == PARSUM_FLOAT64 && !bad) {
        memcpy(result, sums, columns * sizeof *sums);
        return 0;
    }
    for (size_t j = 0; j < columns; j++, result += parsum_type_size[result_type])
        flags |= finish_pair(type, data + j * type->size, rows, row_stride, highs[j], lows[j],
                             outside[j], result_type, result, NULL);
    return flags;
}

#define ROW_BATCH 64 /* rows between changes of the window */

static int reduce_exact_rows(const float_type *type, const char *data, size_t rows,
                             ptrdiff_t row_stride, size_t n, int result_type, char *result)
{
    double sums[ROW_BATCH], highs[ROW_BATCH], lows[ROW_BATCH], values[ROW_MAX];
    int64_t outside[ROW_BATCH], largest, least;
    uint64_t groups;
    int flags = 0;
    type->kernels->widen(data, n, values);
    parsum_kernels()->bounds(values, n, &largest, &least, &groups);
    int window = clamp_window(exponent_of(largest) + HEADROOM - WINDOW_SPAN + 1);
    while (rows) {
        const size_t count = rows < ROW_BATCH ? rows : ROW_BATCH;
        const int bad = type->kernels->reduce_rows(data, count, row_stride, n, window, sums, highs,
                                                   lows, outside);
        if (result_type == PARSUM_FLOAT64 && !bad) {
            memcpy(result, sums, count * sizeof *sums);
            data += (ptrdiff_t)count * row_stride;
            result += count * sizeof(double);
            rows -= count;
            continue;
        }
        for (size_t r = 0; r < count; r++, data += row_stride) {
            flags |= finish_pair(type, data, n, (ptrdiff_t)type->size, highs[r], lows[r],
                                 outside[r], result_type, result, &window);
            result += parsum_type_size[result_type];
        }
        rows -= count;
    }
    return flags;
}

#define EXACT(TYPE)                                                                                \
    static void accumulate_exact_##TYPE(void *state, const void *data, size_t n, ptrdiff_t stride) \
    {                                                                                              \
        float_type type = type_##TYPE();                                                           \
        accumulate_exact(state, &type, data, n, stride);                                           \
    }                                                                                              \
    static void accumulate_exact_columns_##TYPE(void *states, const void *data, size_t rows,       \
                                                ptrdiff_t row_stride, size_t columns)              \
    {                                                                                              \
        float_type type = type_##TYPE();                                                           \
        accumulate_exact_columns(states, &type, data, rows, row_stride, columns);                  \
    }                                                                                              \
    static int reduce_exact_columns_##TYPE(const void *data, size_t rows, ptrdiff_t row_stride,    \
                                           size_t columns, int result_type, char *result)          \
    {                                                                                              \
        float_type type = type_##TYPE();                                                           \
        return reduce_exact_columns(&type, data, rows, row_stride, columns, result_type, result);  \
    }                                                                                              \
    static int reduce_exact_rows_##TYPE(const void *data, size_t rows, ptrdiff_t row_stride,       \
                                        size_t n, int result_type, char *result)                   \
    {                                                                                              \
        float_type type = type_##TYPE();                                                           \
        return reduce_exact_rows(&type, data, rows, row_stride, n, result_type, result);           \
    }

EXACT(f16)
EXACT(f32)
EXACT(f64)

/* ---- fast sums of floats: leaves of the fixed tree ---- */

typedef struct {
    double sum;
    uint64_t seen;
} fast_state;

static void identity_fast(void *state)
{
    *(fast_state *)state = (fast_state){-0.0, 0};
}

static void combine_fast(void *state, const void *other)
{
    fast_state *a = state;
    const fast_state *b = other;
    a->sum += b->sum;
    a->seen |= b->seen;
}

static int finish_fast(const void *state, int type, void *result)
{
    const fast_state *fast = state;
    double sum = !fast->seen ? 0.0 : isnan(fast->sum) ? (double)NAN : fast->sum;
    int flags = 0;
    switch (type) {
    case PARSUM_FLOAT64:
        memcpy(result, &sum, sizeof sum);
        return 0;
    case PARSUM_FLOAT32: {
        float narrow = (float)sum;
        memcpy(result, &narrow, sizeof narrow);
        return isinf(narrow) && isfinite(sum) ? PARSUM_OVERFLOW : 0;
    }
    default: {
        exact_state exact;
        float_type f64 = type_f64();
        parsum_exact_identity(&exact);
        accumulate_exact(&exact, &f64, (const char *)&sum, 1, sizeof sum);
        flags = parsum_exact_finish(&exact, type, result);
        return flags;
    }
    }
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
            fast->seen = 1;                                                                        \
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
            fast[j].seen = 1;                                                                      \
        }                                                                                          \
    }

FAST(f16, uint16_t)
FAST(f32, float)
FAST(f64, double)

/* ---- integers: 128 bits hold 2^64 elements of 64 bits ---- */

typedef struct {
    uint64_t low, high; /* two's complement */
    uint64_t nat;
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

static void identity_integer(void *state)
{
    memset(state, 0, sizeof(integer_state));
}

static void combine_integer(void *state, const void *other)
{
    integer_state *a = state;
    const integer_state *b = other;
    add_to_integer(a, integer_sum(b));
    a->nat |= b->nat;
}

/* Writes the low bits; says whether they are all of it. */
static int finish_integer(const void *state, int type, void *result)
{
    const int128 sum = integer_sum(state);
    if (type == PARSUM_BOOL) {
        uint8_t truth = sum != 0;
        memcpy(result, &truth, sizeof truth);
        return 0;
    }
    if (type == PARSUM_TIMEDELTA && ((const integer_state *)state)->nat) {
        int64_t nat = INT64_MIN;
        memcpy(result, &nat, sizeof nat);
        return 0;
    }
    const int is_signed = type == PARSUM_INT8 || type == PARSUM_INT16 || type == PARSUM_INT32 ||
                          type == PARSUM_INT64 || type == PARSUM_TIMEDELTA;
    const int bits = 8 * (int)parsum_type_size[type];
    /* The low bytes come first on little-endian machines only. */
    const uint64_t low = (uint64_t)sum;
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
    return sum < least || sum > most ? PARSUM_OVERFLOW : 0;
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

#define INTEGER(NAME, SIZE)                                                                        \
    static void accumulate_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)       \
    {                                                                                              \
        integer_state *integer = state;                                                            \
        add_to_integer(integer,                                                                    \
                       sum_of_run(&parsum_kernels()->NAME, SIZE, data, n, stride, &integer->nat)); \
    }                                                                                              \
    static void accumulate_columns_##NAME(void *states, const void *data, size_t rows,             \
                                          ptrdiff_t row_stride, size_t columns)                    \
    {                                                                                              \
        int64_t low[TILE] = {0}, high[TILE] = {0};                                                 \
        parsum_kernels()->NAME.columns(data, rows, row_stride, columns, low, high);                \
        for (size_t j = 0; j < columns; j++)                                                       \
            add_to_integer((integer_state *)states + j, joined(low[j], high[j]));                  \
    }                                                                                              \
    /* The same sum on its way to a floating result, which may start from a float. */              \
    static void accumulate_real_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)  \
    {                                                                                              \
        uint64_t nat = 0;                                                                          \
        exact_state *exact = state;                                                                \
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
            exact[j].seen |= rows ? SEEN_ANY | SEEN_NOT_MINUS_ZERO : 0;                            \
            parsum_exact_add_int128(&exact[j], joined(low[j], high[j]), 0);                        \
        }                                                                                          \
    }

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
    add_to_integer(integer, sum_of_run(&parsum_kernels()->timedelta, sizeof(int64_t), data, n,
                                       stride, &integer->nat));
}

/* ---- long double: compensated, in the fixed tree ----
 *
 * A pair (sum, rest) after Knuth's TwoSum and Neumaier 1974: sum + rest is the exact sum but for
 * the roundings of rest itself, each below 2^-(2p) of the sum of magnitudes. Not correctly rounded;
 * deterministic, as the tree is fixed. */

typedef struct {
    long double sum, rest;
    uint64_t seen, special; /* bits: an infinity came, a NaN came */
} compensated_state;

static void identity_compensated(void *state)
{
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
    compensated->seen |= n != 0;
}

static void combine_compensated(void *state, const void *other)
{
    const compensated_state *b = other;
    add_compensated(state, b->sum, b->rest);
    ((compensated_state *)state)->seen |= b->seen;
    ((compensated_state *)state)->special |= b->special;
}

static int finish_compensated(const void *state, int type, void *result)
{
    const compensated_state *compensated = state;
    long double sum = compensated->seen ? compensated->sum : 0.0L;
    /* Once infinite, the rest is NaN and of no matter; zero must keep its sign. */
    if (isfinite(sum) && compensated->rest != 0)
        sum += compensated->rest;
    if (isnan(sum))
        sum = NAN;
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

/* ---- the table ---- */

#define BIT(type) (1u << (type))
#define FLOATS                                                                                     \
    (BIT(PARSUM_FLOAT16) | BIT(PARSUM_FLOAT32) | BIT(PARSUM_FLOAT64) | BIT(PARSUM_LONGDOUBLE))
#define INTEGERS                                                                                   \
    (BIT(PARSUM_BOOL) | BIT(PARSUM_INT8) | BIT(PARSUM_UINT8) | BIT(PARSUM_INT16) |                 \
     BIT(PARSUM_UINT16) | BIT(PARSUM_INT32) | BIT(PARSUM_UINT32) | BIT(PARSUM_INT64) |             \
     BIT(PARSUM_UINT64))

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define MINUS_ZERO(SIZE) {0x80}
#else
#define MINUS_ZERO(SIZE) {[(SIZE) - 1] = 0x80}
#endif
/* x86's long double has 10 bytes of 16. */
#if LDBL_MANT_DIG == 64
#define LONGDOUBLE_BYTES 10
#else
#define LONGDOUBLE_BYTES sizeof(long double)
#endif

#define EXACT_ROW(TYPE, ELEMENT_TYPE, SIZE)                                                        \
    {                                                                                              \
        .operation = "sum",                                                                        \
        .method = "exact",                                                                         \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .state_size = sizeof(exact_state),                                                         \
        .neutral = MINUS_ZERO(SIZE),                                                               \
        .identity = identity_exact,                                                                \
        .restart = restart_exact,                                                                  \
        .accumulate = accumulate_exact_##TYPE,                                                     \
        .accumulate_columns = accumulate_exact_columns_##TYPE,                                     \
        .reduce_columns = reduce_exact_columns_##TYPE,                                             \
        .reduce_rows = reduce_exact_rows_##TYPE,                                                   \
        .combine = combine_exact,                                                                  \
        .finish = finish_exact,                                                                    \
    }
#define FAST_ROW(TYPE, ELEMENT_TYPE, SIZE)                                                         \
    {                                                                                              \
        .operation = "sum",                                                                        \
        .method = "fast",                                                                          \
        .element = ELEMENT_TYPE,                                                                   \
        .results = FLOATS,                                                                         \
        .ordered = 1,                                                                              \
        .floating_exceptions = 1,                                                                  \
        .state_size = sizeof(fast_state),                                                          \
        .neutral = MINUS_ZERO(SIZE),                                                               \
        .identity = identity_fast,                                                                 \
        .accumulate = accumulate_fast_##TYPE,                                                      \
        .accumulate_columns = accumulate_fast_columns_##TYPE,                                      \
        .combine = combine_fast,                                                                   \
        .finish = finish_fast,                                                                     \
    }
/* Integers are exact by either method, so their rows name none. */
#define INTEGER_ROWS(NAME, ELEMENT_TYPE)                                                           \
    {                                                                                              \
        .operation = "sum",                                                                        \
        .element = ELEMENT_TYPE,                                                                   \
        .results = INTEGERS,                                                                       \
        .state_size = sizeof(integer_state),                                                       \
        .identity = identity_integer,                                                              \
        .accumulate = accumulate_##NAME,                                                           \
        .accumulate_columns = accumulate_columns_##NAME,                                           \
        .combine = combine_integer,                                                                \
        .finish = finish_integer,                                                                  \
    },                                                                                             \
    {                                                                                              \
        .operation = "sum", .element = ELEMENT_TYPE, .results = FLOATS,                            \
        .state_size = sizeof(exact_state), .identity = identity_exact,                             \
        .accumulate = accumulate_real_##NAME,                                                      \
        .accumulate_columns = accumulate_real_columns_##NAME, .combine = combine_exact,            \
        .finish = finish_exact,                                                                    \
    }

const parsum_reduction parsum_sums[] = {
    EXACT_ROW(f16, PARSUM_FLOAT16, 2),
    EXACT_ROW(f32, PARSUM_FLOAT32, 4),
    EXACT_ROW(f64, PARSUM_FLOAT64, 8),
    FAST_ROW(f16, PARSUM_FLOAT16, 2),
    FAST_ROW(f32, PARSUM_FLOAT32, 4),
    FAST_ROW(f64, PARSUM_FLOAT64, 8),
    INTEGER_ROWS(boolean, PARSUM_BOOL),
    INTEGER_ROWS(i8, PARSUM_INT8),
    INTEGER_ROWS(u8, PARSUM_UINT8),
    INTEGER_ROWS(i16, PARSUM_INT16),
    INTEGER_ROWS(u16, PARSUM_UINT16),
    INTEGER_ROWS(i32, PARSUM_INT32),
    INTEGER_ROWS(u32, PARSUM_UINT32),
    INTEGER_ROWS(i64, PARSUM_INT64),
    INTEGER_ROWS(u64, PARSUM_UINT64),
    {
        .operation = "sum",
        .element = PARSUM_TIMEDELTA,
        .results = BIT(PARSUM_TIMEDELTA),
        .state_size = sizeof(integer_state),
        .identity = identity_integer,
        .accumulate = accumulate_timedelta,
        .combine = combine_integer,
        .finish = finish_integer,
    },
    {
        .operation = "sum",
        .element = PARSUM_LONGDOUBLE,
        .results = FLOATS,
        .ordered = 1,
        .state_size = sizeof(compensated_state),
        .neutral = MINUS_ZERO(LONGDOUBLE_BYTES),
        .identity = identity_compensated,
        .accumulate = accumulate_compensated,
        .combine = combine_compensated,
        .finish = finish_compensated,
    },
    {.operation = NULL},
};
