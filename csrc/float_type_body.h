/* The loops that are alike for all floating element types: included by float_body.h with TYPE (f64,
 * f32, f16) and ELEMENT (its C type) set. All widen to double in registers. */

#define NAME(verb) CONCAT(CONCAT(verb, _), TYPE)
#define LOAD CONCAT(load_, TYPE)
#define WIDEN CONCAT(widen_scalar_, TYPE)

/* A vector of any elements, also infinities and NaN of float16. */
INLINE void NAME(load_any)(vec_f64 *out, const ELEMENT *p)
{
#if !defined(PARSUM_HAVE_F16C)
    if (sizeof(ELEMENT) == sizeof(uint16_t)) { /* load_f16 is for finite elements */
        vec_f64 wide;
        for (int l = 0; l < LANES; l++)
            wide[l] = WIDEN(p + l);
        *out = wide;
        return;
    }
#endif
    LOAD(out, p);
}

/* The same or their magnitudes. */
INLINE void NAME(load_value)(vec_f64 *out, const ELEMENT *p, const int taken)
{
    NAME(load_any)(out, p);
    take_as(out, taken);
}

static void NAME(widen)(const void *data, size_t n, double *out)
{
    const ELEMENT *p = data;
    for (size_t i = 0; i < n; i++)
        out[i] = WIDEN(p + i);
}

static void NAME(column_maxima)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                                int64_t *maxima)
{
    for (size_t j = 0; j < columns; j++)
        maxima[j] = 0;
    for (size_t r = 0; r < rows; r++) {
        const ELEMENT *p = (const ELEMENT *)((const char *)data + (ptrdiff_t)r * row_stride);
        size_t j = 0;
        for (; j + LANES <= columns; j += LANES) {
            vec_f64 v;
            NAME(load_any)(&v, p + j);
            vec_i64 bits = (vec_i64)v & INT64_MAX, old;
            memcpy(&old, maxima + j, sizeof old);
            vec_i64 more = (bits > old) & (bits <= (int64_t)INFINITY_BITS);
            old = (bits & more) | (old & ~more);
            memcpy(maxima + j, &old, sizeof old);
        }
        for (; j < columns; j++) {
            int64_t bits = (int64_t)(bits_of(WIDEN(p + j)) & INT64_MAX);
            maxima[j] = bits > maxima[j] && bits <= (int64_t)INFINITY_BITS ? bits : maxima[j];
        }
    }
}

/* Rows of one vector of columns. */
INLINE void NAME(fold_vector)(const char *p, const int rows, ptrdiff_t row_stride, const int taken,
                              const vec_i64 *floors, vec_f64 *high, vec_f64 *low, vec_i64 *outside)
{
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        vec_f64 v;
        NAME(load_value)(&v, (const ELEMENT *)(p + r * row_stride), taken);
        fold(&v, floors, high, low, outside);
    }
}

INLINE void NAME(fold_rows)(const char *data, const int rows, ptrdiff_t row_stride, size_t columns,
                            const int taken, const int64_t *floors, double *high, double *low,
                            int64_t *outside)
{
    size_t j = 0;
    vec_f64 h, l;
    vec_i64 f, o;
    for (; j + LANES <= columns; j += LANES) {
        memcpy(&h, high + j, sizeof h);
        memcpy(&l, low + j, sizeof l);
        memcpy(&f, floors + j, sizeof f);
        memcpy(&o, outside + j, sizeof o);
        NAME(fold_vector)(data + j * sizeof(ELEMENT), rows, row_stride, taken, &f, &h, &l, &o);
        memcpy(high + j, &h, sizeof h);
        memcpy(low + j, &l, sizeof l);
        memcpy(outside + j, &o, sizeof o);
    }
    if (j == columns)
        return;
    if (columns >= LANES) {
        /* The last vector overlaps the one before; only its new lanes are kept. */
        const size_t kept = columns - j, first = columns - LANES, old = LANES - kept;
        memcpy(&h, high + first, sizeof h);
        memcpy(&l, low + first, sizeof l);
        memcpy(&f, floors + first, sizeof f);
        memcpy(&o, outside + first, sizeof o);
        NAME(fold_vector)(data + first * sizeof(ELEMENT), rows, row_stride, taken, &f, &h, &l, &o);
        memcpy(high + j, (double *)&h + old, kept * sizeof *high);
        memcpy(low + j, (double *)&l + old, kept * sizeof *low);
        memcpy(outside + j, (int64_t *)&o + old, kept * sizeof *outside);
        return;
    }
    for (; j < columns; j++) {
        double sum, accumulator = high[j], rests = low[j];
        int64_t bits = outside[j];
        for (int r = 0; r < rows; r++) {
            double v = WIDEN((const ELEMENT *)(data + r * row_stride) + j);
            if (taken == TAKEN_ABSOLUTE)
                v = double_of(bits_of(v) & INT64_MAX);
            if (taken == TAKEN_UNLESS_NAN && v != v)
                v = 0;
            sum = accumulator + v;
            rests += v - (sum - accumulator);
            accumulator = sum;
            bits |= v != 0 ? (int64_t)(bits_of(v) - (uint64_t)floors[j]) : 0;
        }
        high[j] = accumulator;
        low[j] = rests;
        outside[j] = bits;
    }
}

INLINE void NAME(fold_all_rows)(const char *p, size_t rows, ptrdiff_t row_stride, size_t columns,
                                const int taken, const int64_t *floors, double *high, double *low,
                                int64_t *outside)
{
    /* The hardware's prefetching follows several streams in pages of their own, but loses its way
     * when reads of one page jump from row to row. So short rows are not taken in with their
     * neighbours but with those a fraction of all rows further on: 6-8 GB/s before, 20 so. */
    const size_t steps = rows / ROWS_AT_ONCE;
    const int is_short = row_stride < PAGE && row_stride > -PAGE;
    const ptrdiff_t apart = is_short ? (ptrdiff_t)steps * row_stride : row_stride;
    const ptrdiff_t next = is_short ? row_stride : ROWS_AT_ONCE * row_stride;
    for (size_t k = 0; k < steps; k++)
        NAME(fold_rows)(p + (ptrdiff_t)k * next, ROWS_AT_ONCE, apart, columns, taken, floors, high,
                        low, outside);
    p += (ptrdiff_t)(steps * ROWS_AT_ONCE) * row_stride;
    for (size_t k = steps * ROWS_AT_ONCE; k < rows; k++, p += row_stride)
        NAME(fold_rows)(p, 1, row_stride, columns, taken, floors, high, low, outside);
}

static void NAME(fold_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                               const int64_t *floors, double *high, double *low, int64_t *outside)
{
    NAME(fold_all_rows)(data, rows, row_stride, columns, 0, floors, high, low, outside);
}

static void NAME(fold_columns_abs)(const void *data, size_t rows, ptrdiff_t row_stride,
                                   size_t columns, const int64_t *floors, double *high, double *low,
                                   int64_t *outside)
{
    NAME(fold_all_rows)(data, rows, row_stride, columns, 1, floors, high, low, outside);
}

static void NAME(fold_columns_nan)(const void *data, size_t rows, ptrdiff_t row_stride,
                                   size_t columns, const int64_t *floors, double *high, double *low,
                                   int64_t *outside)
{
    NAME(fold_all_rows)(data, rows, row_stride, columns, TAKEN_UNLESS_NAN, floors, high, low,
                        outside);
}

/* A vector of columns, from beginning to end in registers. */
INLINE void NAME(reduce_vector)(const char *p, size_t rows, ptrdiff_t row_stride, const int taken,
                                double *sums, double *highs, double *lows, int64_t *outside,
                                vec_i64 *bad)
{
    vec_i64 most = {0}, floors, out = {0};
    vec_f64 high, low, high_start, low_start, v;
    const char *q = p;
    if (rows <= 2) {
        /* IEEE addition itself: the exact sum of two, rounded once. */
        vec_f64 first, second = {0};
        NAME(load_value)(&first, (const ELEMENT *)p, taken);
        if (rows == 2)
            NAME(load_value)(&second, (const ELEMENT *)(p + row_stride), taken);
        const vec_f64 sum = first + second;
        out = (vec_i64)(((vec_i64)sum & INT64_MAX) >= (int64_t)INFINITY_BITS);
        *bad |= out | (vec_i64)(sum == 0);
        memcpy(sums, &sum, sizeof sum);
        memcpy(highs, &first, sizeof first);
        memcpy(lows, &second, sizeof second);
        memcpy(outside, &out, sizeof out);
        return;
    }
    for (size_t r = 0; r < rows; r++, q += row_stride) {
        NAME(load_value)(&v, (const ELEMENT *)q, taken);
        const vec_i64 bits = (vec_i64)v & INT64_MAX, more = bits > most;
        most = (bits & more) | (most & ~more);
    }
    floors_below(&most, 0, &floors);
    start_accumulators(&floors, &high_start, &low_start);
    high = high_start;
    low = low_start;
    q = p;
    for (size_t r = 0; r < rows; r++, q += row_stride) {
        NAME(load_value)(&v, (const ELEMENT *)q, taken);
        fold(&v, &floors, &high, &low, &out);
    }
    high -= high_start;
    low -= low_start;
    const vec_f64 sum = high + low;
    *bad |= out | (vec_i64)(sum == 0); /* a comparison sets all bits */
    memcpy(sums, &sum, sizeof sum);
    memcpy(highs, &high, sizeof high);
    memcpy(lows, &low, sizeof low);
    memcpy(outside, &out, sizeof out);
}

#define FEW_ROWS 24   /* columns up to here are worth two passes, in registers */
#define SAMPLE_ROWS 8 /* rows that a taller column's window is chosen from */

INLINE int NAME(reduce_all_columns)(const char *p, size_t rows, ptrdiff_t row_stride,
                                    size_t columns, const int taken, double *sums, double *highs,
                                    double *lows, int64_t *outside)
{
    const size_t size = sizeof(ELEMENT);
    vec_i64 bad = {0};
    int64_t any = 0;
    if (columns < LANES) {
        /* A vector's width of them, with zeros beside. */
        ELEMENT padded[WINDOW_ADDS * LANES];
        double sum[LANES], high[LANES], low[LANES];
        int64_t out[LANES];
        memset(padded, 0, rows * LANES * size);
        for (size_t r = 0; r < rows; r++)
            memcpy(padded + r * LANES, p + (ptrdiff_t)r * row_stride, columns * size);
        NAME(reduce_vector)((const char *)padded, rows, (ptrdiff_t)(LANES * size), taken, sum, high,
                            low, out, &bad);
        memcpy(sums, sum, columns * sizeof *sums);
        memcpy(highs, high, columns * sizeof *highs);
        memcpy(lows, low, columns * sizeof *lows);
        memcpy(outside, out, columns * sizeof *outside);
        return 1; /* the zeros beside look like bad ones */
    }
    if (rows <= FEW_ROWS) {
        size_t j = 0;
        for (; j + LANES <= columns; j += LANES)
            NAME(reduce_vector)(p + j * size, rows, row_stride, taken, sums + j, highs + j,
                                lows + j, outside + j, &bad);
        j = columns - LANES; /* the last vector may do some again */
        NAME(reduce_vector)(p + j * size, rows, row_stride, taken, sums + j, highs + j, lows + j,
                            outside + j, &bad);
        for (int l = 0; l < LANES; l++)
            any |= bad[l] & (WINDOW_OUTSIDE);
        return any != 0;
    }
    _Alignas(64) int64_t floors[TILE + LANES];
    int64_t all = 0;
    NAME(column_maxima)(p, SAMPLE_ROWS, row_stride, columns, floors);
    for (size_t j = 0; j < columns; j++)
        all = floors[j] > all ? floors[j] : all;
    for (size_t j = 0; j < columns; j += LANES) {
        vec_i64 most, f;
        vec_f64 h, l;
        const vec_i64 none = {0};
        double starts[2][LANES];
        const size_t count = columns - j < LANES ? columns - j : LANES;
        memcpy(&most, floors + j, sizeof most); /* beyond `columns` there is room, not values */
        most |= (vec_i64)(most == 0) & (all + none);
        floors_below(&most, 2, &f);
        start_accumulators(&f, &h, &l);
        memcpy(starts[0], &h, sizeof h);
        memcpy(starts[1], &l, sizeof l);
        memcpy(floors + j, &f, sizeof f);
        memcpy(highs + j, starts[0], count * sizeof *highs);
        memcpy(lows + j, starts[1], count * sizeof *lows);
        memset(outside + j, 0, count * sizeof *outside);
    }
    (taken == TAKEN_ABSOLUTE ? NAME(fold_columns_abs)
     : taken == TAKEN_UNLESS_NAN
         ? NAME(fold_columns_nan)
         : NAME(fold_columns))(p, rows, row_stride, columns, floors, highs, lows, outside);
    for (size_t j = 0; j < columns; j++) {
        highs[j] -= window_high(floors[j]);
        lows[j] -= window_low(floors[j]);
        sums[j] = highs[j] + lows[j];
        any |= (outside[j] & WINDOW_OUTSIDE) | -(int64_t)(sums[j] == 0);
    }
    return any != 0;
}

static int NAME(reduce_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                                double *sums, double *highs, double *lows, int64_t *outside)
{
    return NAME(reduce_all_columns)(data, rows, row_stride, columns, 0, sums, highs, lows, outside);
}

static int NAME(reduce_columns_abs)(const void *data, size_t rows, ptrdiff_t row_stride,
                                    size_t columns, double *sums, double *highs, double *lows,
                                    int64_t *outside)
{
    return NAME(reduce_all_columns)(data, rows, row_stride, columns, 1, sums, highs, lows, outside);
}

static int NAME(reduce_columns_nan)(const void *data, size_t rows, ptrdiff_t row_stride,
                                    size_t columns, double *sums, double *highs, double *lows,
                                    int64_t *outside)
{
    return NAME(reduce_all_columns)(data, rows, row_stride, columns, TAKEN_UNLESS_NAN, sums, highs,
                                    lows, outside);
}

/* Rows, `count` accumulators each. The sums of all lanes are exact as doubles: with N <= 2^11
 * elements the high ones end below 2^(w+43), 2^53 units of 2^(w-10), and the low ones below 2^w,
 * 2^52 units of 2^(w-52). */
INLINE int NAME(reduce_some_rows)(const char *p, size_t rows, ptrdiff_t row_stride, size_t n,
                                  int window, const int taken, const int count, double *sums,
                                  double *highs, double *lows, int64_t *outside)
{
    const vec_i64 floors = window_floor(window) - (vec_i64){0};
    vec_f64 high_start, low_start;
    start_accumulators(&floors, &high_start, &low_start);
    const size_t tail = n % LANES, whole = n - tail;
    vec_i64 in_tail;
    for (size_t l = 0; l < LANES; l++)
        in_tail[l] = l < tail ? -1 : 0;
    /* A vector at the end of a packed row reads on into the next ones, and masks that out. */
    const char *end = p + (ptrdiff_t)(rows - 1) * row_stride + n * sizeof(ELEMENT);
    const int packed = row_stride == (ptrdiff_t)(n * sizeof(ELEMENT));
    int64_t bad = 0;
    for (size_t r = 0; r < rows; r++, p += row_stride) {
        vec_f64 high[ACCUMULATORS], low[ACCUMULATORS], v;
        vec_i64 out = {0};
        for (int k = 0; k < count; k++) {
            high[k] = high_start;
            low[k] = low_start;
        }
        const ELEMENT *q = (const ELEMENT *)p;
        size_t i = 0;
        for (; i + (size_t)count * LANES <= whole; i += (size_t)count * LANES) {
#pragma GCC unroll 4
            for (int k = 0; k < count; k++) {
                NAME(load_value)(&v, q + i + k * LANES, taken);
                fold(&v, &floors, &high[k], &low[k], &out);
            }
        }
        for (; i < whole; i += LANES) {
            NAME(load_value)(&v, q + i, taken);
            fold(&v, &floors, &high[0], &low[0], &out);
        }
        if (tail) {
            if (packed && (const char *)(q + i + LANES) <= end) {
                NAME(load_value)(&v, q + i, taken);
                v = (vec_f64)((vec_i64)v & in_tail);
            } else {
                ELEMENT padded[LANES] = {0};
                for (size_t l = 0; l < tail; l++)
                    padded[l] = q[i + l];
                NAME(load_value)(&v, padded, taken);
            }
            fold(&v, &floors, &high[0], &low[0], &out);
        }
        vec_f64 h = high[0] - high_start, l = low[0] - low_start;
        for (int k = 1; k < count; k++) {
            h += high[k] - high_start;
            l += low[k] - low_start;
        }
        highs[r] = sum_of_lanes(&h);
        lows[r] = sum_of_lanes(&l);
        int64_t any = 0;
        for (int k = 0; k < LANES; k++)
            any |= out[k];
        outside[r] = any;
        sums[r] = highs[r] + lows[r];
        bad |= (any & WINDOW_OUTSIDE) | -(int64_t)(sums[r] == 0);
    }
    return bad != 0;
}

INLINE int NAME(reduce_all_rows)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,
                                 int window, const int taken, double *sums, double *highs,
                                 double *lows, int64_t *outside)
{
    if (n < 2 * GROUP)
        return NAME(reduce_some_rows)(data, rows, row_stride, n, window, taken, 1, sums, highs,
                                      lows, outside);
    return NAME(reduce_some_rows)(data, rows, row_stride, n, window, taken, ACCUMULATORS, sums,
                                  highs, lows, outside);
}

static int NAME(reduce_rows)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,
                             int window, double *sums, double *highs, double *lows,
                             int64_t *outside)
{
    return NAME(reduce_all_rows)(data, rows, row_stride, n, window, 0, sums, highs, lows, outside);
}

static int NAME(reduce_rows_abs)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,
                                 int window, double *sums, double *highs, double *lows,
                                 int64_t *outside)
{
    return NAME(reduce_all_rows)(data, rows, row_stride, n, window, 1, sums, highs, lows, outside);
}

static int NAME(reduce_rows_nan)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,
                                 int window, double *sums, double *highs, double *lows,
                                 int64_t *outside)
{
    return NAME(reduce_all_rows)(data, rows, row_stride, n, window, TAKEN_UNLESS_NAN, sums, highs,
                                 lows, outside);
}

/* The pairwise tree over so many lanes of a leaf, for every column. */
static inline void NAME(join_lanes)(double *lanes, size_t count, size_t width, double *sums)
{
    for (size_t half = count / 2; half; half /= 2)
        for (size_t k = 0; k < half * width; k++)
            lanes[k] += lanes[k + half * width];
    memcpy(sums, lanes, width * sizeof *sums);
}

/* The fixed tree of method "fast": element i of a leaf goes to lane i % FAST_LANES, in order; the
 * lanes are added pairwise. -0.0 is the identity of addition for every float: lanes that no element
 * goes to need not be there. */
static double NAME(leaf)(const void *data, size_t n)
{
    const ELEMENT *p = data;
    double lanes[FAST_LANES];
    vec_f64 sums[FAST_LANES / LANES];
    for (int k = 0; k < FAST_LANES / LANES; k++)
        sums[k] = -(vec_f64){0};
    size_t i = 0;
    for (; i + FAST_LANES <= n; i += FAST_LANES) {
#pragma GCC unroll 16
        for (int k = 0; k < FAST_LANES / LANES; k++) {
            vec_f64 v;
            NAME(load_any)(&v, p + i + k * LANES);
            sums[k] += v;
        }
    }
    memcpy(lanes, sums, sizeof lanes);
    for (size_t l = 0; i < n; i++, l++)
        lanes[l] += WIDEN(p + i);
    double sum;
    NAME(join_lanes)(lanes, FAST_LANES, 1, &sum);
    return sum;
}

/* The same tree for every column: lane i % FAST_LANES of column j is lanes[i % FAST_LANES][j]. */
static void NAME(leaf_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                               double *sums)
{
    enum { WIDTH = 64 }; /* columns at once: 16 KB of lanes */
    double lanes[FAST_LANES * WIDTH];
    size_t count = FAST_LANES;
    while (count / 2 >= rows && count > 1)
        count /= 2;
    if (row_stride == (ptrdiff_t)(columns * sizeof(ELEMENT)) && columns <= WIDTH) {
        /* As many rows are one run, as long as the lanes are. */
        const ELEMENT *p = data;
        const size_t period = count * columns, all = rows * columns;
        for (size_t k = 0; k < period; k++)
            lanes[k] = -0.0;
        for (size_t i = 0; i < all; i += period) {
            const size_t run = all - i < period ? all - i : period;
            size_t k = 0;
            for (; k + LANES <= run; k += LANES) {
                vec_f64 v, sum;
                NAME(load_any)(&v, p + i + k);
                memcpy(&sum, lanes + k, sizeof sum);
                sum += v;
                memcpy(lanes + k, &sum, sizeof sum);
            }
            for (; k < run; k++)
                lanes[k] += WIDEN(p + i + k);
        }
        NAME(join_lanes)(lanes, count, columns, sums);
        return;
    }
    for (size_t first = 0; first < columns; first += WIDTH) {
        size_t width = columns - first < WIDTH ? columns - first : WIDTH;
        for (size_t k = 0; k < count * width; k++)
            lanes[k] = -0.0;
        for (size_t r = 0; r < rows; r++) {
            const ELEMENT *p =
                (const ELEMENT *)((const char *)data + (ptrdiff_t)r * row_stride) + first;
            double *lane = lanes + (r % FAST_LANES) * width;
            size_t j = 0;
            for (; j + LANES <= width; j += LANES) {
                vec_f64 v, sum;
                NAME(load_any)(&v, p + j);
                memcpy(&sum, lane + j, sizeof sum);
                sum += v;
                memcpy(lane + j, &sum, sizeof sum);
            }
            for (; j < width; j++)
                lane[j] += WIDEN(p + j);
        }
        NAME(join_lanes)(lanes, count, width, sums + first);
    }
}

#undef FEW_ROWS
#undef SAMPLE_ROWS
#undef NAME
#undef LOAD
#undef WIDEN
