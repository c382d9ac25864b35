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
            vec_i64 more = bits > old;
            old = (bits & more) | (old & ~more);
            memcpy(maxima + j, &old, sizeof old);
        }
        for (; j < columns; j++) {
            int64_t bits = (int64_t)(bits_of(WIDEN(p + j)) & INT64_MAX);
            maxima[j] = bits > maxima[j] ? bits : maxima[j];
        }
    }
}

INLINE void NAME(fold_rows)(const char *data, const int rows, ptrdiff_t row_stride, size_t columns,
                            const int64_t *floors, double *high, double *low, int64_t *outside)
{
    size_t j = 0;
    for (; j + LANES <= columns; j += LANES) {
        vec_f64 h, l;
        vec_i64 f, o;
        memcpy(&h, high + j, sizeof h);
        memcpy(&l, low + j, sizeof l);
        memcpy(&f, floors + j, sizeof f);
        memcpy(&o, outside + j, sizeof o);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            vec_f64 v;
            NAME(load_any)(&v, (const ELEMENT *)(data + r * row_stride) + j);
            fold(&v, &f, &h, &l, &o);
        }
        memcpy(high + j, &h, sizeof h);
        memcpy(low + j, &l, sizeof l);
        memcpy(outside + j, &o, sizeof o);
    }
    for (; j < columns; j++) {
        double h = high[j], l = low[j];
        int64_t o = outside[j];
        for (int r = 0; r < rows; r++) {
            double v = WIDEN((const ELEMENT *)(data + r * row_stride) + j);
            double sum = h + v;
            l += v - (sum - h);
            h = sum;
            o |= v != 0 ? (int64_t)(bits_of(v) - (uint64_t)floors[j]) : 0;
        }
        high[j] = h;
        low[j] = l;
        outside[j] = o;
    }
}

static void NAME(fold_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                               const int64_t *floors, double *high, double *low, int64_t *outside)
{
    const char *p = data;
    for (; rows >= ROWS_AT_ONCE; rows -= ROWS_AT_ONCE, p += ROWS_AT_ONCE * row_stride)
        NAME(fold_rows)(p, ROWS_AT_ONCE, row_stride, columns, floors, high, low, outside);
    for (; rows; rows--, p += row_stride)
        NAME(fold_rows)(p, 1, row_stride, columns, floors, high, low, outside);
}

/* The fixed tree of method "fast": element i of a leaf goes to lane i % FAST_LANES, in order; the
 * lanes are added pairwise. -0.0 is the identity of addition for every float. */
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
    return sum_lanes(lanes, 1);
}

/* The same tree for every column: lane i % FAST_LANES of column j is lanes[i % FAST_LANES][j]. */
static void NAME(leaf_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                               double *sums)
{
    enum { WIDTH = 64 }; /* columns at once: 16 KB of lanes */
    double lanes[FAST_LANES * WIDTH];
    for (size_t first = 0; first < columns; first += WIDTH) {
        size_t width = columns - first < WIDTH ? columns - first : WIDTH;
        for (size_t k = 0; k < FAST_LANES * width; k++)
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
        for (size_t half = FAST_LANES / 2; half; half /= 2)
            for (size_t k = 0; k < half * width; k++)
                lanes[k] += lanes[k + half * width];
        memcpy(sums + first, lanes, width * sizeof *sums);
    }
}

#undef NAME
#undef LOAD
#undef WIDEN
