/* The loops over complex elements that find the least and the largest in NumPy's order, by real
 * part, then by imaginary part: included by order_body.h with TYPE (c64, c128), PART (f32, f64),
 * REAL (its C type), KEY and BITS (vectors of floats, and of integers as wide) set.
 *
 * So that zeros of different signs leave no choice, the sign of the real part, then that of the
 * imaginary part, decides between elements that are equal, -0.0 being the lesser. */

#define NAME(verb) CONCAT(CONCAT(order_##verb, _), TYPE)
#define PART_NAME(verb) CONCAT(CONCAT(order_##verb, _), PART)
#define OF_PART(verb) CONCAT(CONCAT(verb, _), PART)
#define NUMBER_OF_LANES (sizeof(KEY) / sizeof(REAL))

/* The least (or largest) real part of n elements; nonzero, and nothing else, if a part is NaN. */
INLINE int NAME(real_end)(const void *data, size_t n, REAL *out, const int op)
{
    enum { STEPS = 4 };
    const size_t lanes = NUMBER_OF_LANES, vector = sizeof(KEY);
    const char *p = data;
    REAL padded[NUMBER_OF_LANES];
    n *= 2;
    if (n < lanes) {
        memcpy(padded, p, n * sizeof(REAL));
        for (size_t l = n; l < lanes; l++)
            padded[l] = padded[l % 2];
        p = (const char *)padded;
        n = lanes;
    }
    const char *end = p + n * sizeof(REAL), *q = p;
    PART_NAME(ends) x[STEPS];
    for (int k = 0; k < STEPS; k++)
        PART_NAME(begin)(&x[k]);
    for (; (size_t)(end - q) >= STEPS * vector; q += STEPS * vector) {
        PART_NAME(take)(&x[0], &x[1], q, q + vector, op);
        PART_NAME(take)(&x[2], &x[3], q + 2 * vector, q + 3 * vector, op);
    }
    PART_NAME(join)(&x[0], &x[1], op);
    PART_NAME(join)(&x[2], &x[3], op);
    PART_NAME(join)(&x[0], &x[2], op);
    for (; (size_t)(end - q) >= vector; q += vector)
        PART_NAME(take)(&x[0], &x[0], q, q, op);
    if (q < end)
        PART_NAME(take)(&x[0], &x[0], end - vector, end - vector, op);
    if (OF_PART(any)(x[0].flag))
        return 1;
    KEY v = op == ORDER_MIN ? x[0].least : x[0].largest, other;
    /* Real parts are in even lanes, and stay there. */
    for (size_t k = LANES / 2; 8 * k > sizeof(REAL); k /= 2) {
        vec_u64 words = rotate_words((vec_u64)v, (int)k);
        other = (KEY)words;
        v = op == ORDER_MIN ? OF_PART(least)(other, v) : OF_PART(largest)(other, v);
    }
    REAL values[NUMBER_OF_LANES];
    memcpy(values, &v, sizeof values);
    *out = values[0];
    return 0;
}

static int NAME(least_real)(const void *data, size_t n, void *out)
{
    return NAME(real_end)(data, n, out, ORDER_MIN);
}

static int NAME(largest_real)(const void *data, size_t n, void *out)
{
    return NAME(real_end)(data, n, out, ORDER_MAX);
}

/* Nonzero if a is before b, which has no NaN either. */
static inline int NAME(precedes)(const REAL *a, const REAL *b)
{
    if (a[0] != b[0])
        return a[0] < b[0];
    if (a[1] != b[1])
        return a[1] < b[1];
    if (OF_PART(sign_of)(a[0]) != OF_PART(sign_of)(b[0]))
        return OF_PART(sign_of)(a[0]);
    return OF_PART(sign_of)(a[1]) > OF_PART(sign_of)(b[1]);
}

/* The least (or largest) of the n elements, none of which is NaN, whose real part is `out[0]`. */
INLINE void NAME(whole_end)(const void *data, size_t n, REAL *out, const int largest)
{
    const REAL *p = data;
    const REAL real = out[0], none = largest ? -(REAL)INFINITY : (REAL)INFINITY;
    REAL ends[2] = {none, none};
    size_t i = 0;
    for (; i + 2 <= n; i += 2)
        for (size_t k = 0; k < 2; k++) {
            const REAL v = p[2 * (i + k)] == real ? p[2 * (i + k) + 1] : none;
            ends[k] = (largest ? v > ends[k] : v < ends[k]) ? v : ends[k];
        }
    for (; i < n; i++) {
        const REAL v = p[2 * i] == real ? p[2 * i + 1] : none;
        ends[0] = (largest ? v > ends[0] : v < ends[0]) ? v : ends[0];
    }
    const REAL imaginary = (largest ? ends[1] > ends[0] : ends[1] < ends[0]) ? ends[1] : ends[0];
    out[1] = imaginary;
    if (real != 0 && imaginary != 0)
        return;
    REAL best[2] = {largest ? -(REAL)0.0 : (REAL)0.0, largest ? -(REAL)0.0 : (REAL)0.0};
    best[0] = real == 0 ? best[0] : real;
    best[1] = imaginary == 0 ? best[1] : imaginary;
    for (i = 0; i < n; i++)
        if (p[2 * i] == real && p[2 * i + 1] == imaginary &&
            (largest ? NAME(precedes)(best, p + 2 * i) : NAME(precedes)(p + 2 * i, best)))
            memcpy(best, p + 2 * i, sizeof best);
    memcpy(out, best, sizeof best);
}

static void NAME(least_of)(const void *data, size_t n, void *out)
{
    NAME(whole_end)(data, n, out, 0);
}

static void NAME(largest_of)(const void *data, size_t n, void *out)
{
    NAME(whole_end)(data, n, out, 1);
}

/* The first of n elements that is equal to `value`, or that has a NaN if it has one; n if there is
 * none. */
static size_t NAME(find)(const void *data, size_t n, const void *value)
{
    const REAL *p = data;
    REAL v[2];
    memcpy(v, value, sizeof v);
    size_t i = 0;
    if (v[0] != v[0] || v[1] != v[1]) {
        while (i < n && p[2 * i] == p[2 * i] && p[2 * i + 1] == p[2 * i + 1])
            i++;
        return i;
    }
    while (i < n && (p[2 * i] != v[0] || p[2 * i + 1] != v[1]))
        i++;
    return i;
}

/* Squares of magnitudes of elements times `scale`, which is a power of two: the least and the
 * largest. Nonzero if one is NaN, as it is for an infinity beside a NaN too. Squares of float32 are
 * exact in double. */
static int NAME(squares)(const void *data, size_t n, double scale, double *least, double *largest)
{
    const char *p = data;
    const size_t lanes = LANES; /* of elements, two vectors */
    const vec_f64 factor = scale - (vec_f64){0};
    REAL padded[2 * LANES];
    if (n < lanes) {
        memcpy(padded, p, n * 2 * sizeof(REAL));
        for (size_t l = 2 * n; l < 2 * lanes; l++)
            padded[l] = padded[l % 2];
        p = (const char *)padded;
        n = lanes;
    }
    order_ends_f64 x;
    order_begin_f64(&x);
    for (size_t i = 0; i < n; i += lanes) {
        vec_f64 a, b;
        const char *q = p + (i + lanes <= n ? i : n - lanes) * 2 * sizeof(REAL);
        CONCAT(load_, PART)(&a, q);
        CONCAT(load_, PART)(&b, q + LANES * sizeof(REAL));
        vec_f64 real = even_f64(a, b) * factor, imaginary = odd_f64(a, b) * factor;
        vec_f64 square = real * real + imaginary * imaginary;
        x.least = least_f64(square, x.least);
        x.largest = largest_f64(square, x.largest);
        x.flag |= unordered_f64(square, square);
    }
    order_fold_f64(&x.least, 1);
    order_fold_f64(&x.largest, 0);
    *least = x.least[0];
    *largest = x.largest[0];
    return any_f64(x.flag);
}

/* LANES' worth of columns: real parts and imaginary parts in vectors of their own. */
typedef struct {
    KEY real, imaginary;
    OF_PART(flag) flag; /* a NaN was there; if those are left out, something else was */
} NAME(strip);

INLINE void NAME(take)(NAME(strip) * x, const char *p, const int largest, const int skip)
{
    KEY a, b;
    memcpy(&a, p, sizeof a);
    memcpy(&b, p + sizeof a, sizeof b);
    const KEY real = OF_PART(even)(a, b), imaginary = OF_PART(odd)(a, b);
    const OF_PART(flag) nan = OF_PART(unordered)(real, imaginary);
    const OF_PART(flag) further =
        largest ? OF_PART(greater)(real, x->real) : OF_PART(less)(real, x->real);
    const OF_PART(flag) beyond = largest ? OF_PART(greater)(imaginary, x->imaginary)
                                         : OF_PART(less)(imaginary, x->imaginary);
    OF_PART(flag) better = further | (OF_PART(equal)(real, x->real) & beyond);
    if (skip)
        better &= ~nan;
    x->real = OF_PART(choose)(better, real, x->real);
    x->imaginary = OF_PART(choose)(better, imaginary, x->imaginary);
    x->flag |= skip ? ~nan : nan;
}

/* One column, one element after the other. Returns its flag. */
static int NAME(column)(const char *p, size_t rows, ptrdiff_t row_stride, REAL *out, int largest,
                        int skip)
{
    int some = 0;
    for (; rows; rows--, p += row_stride) {
        REAL v[2];
        memcpy(v, p, sizeof v);
        if (v[0] != v[0] || v[1] != v[1]) {
            if (skip)
                continue;
            return 1;
        }
        if (!some || (largest ? NAME(precedes)(out, v) : NAME(precedes)(v, out)))
            memcpy(out, v, sizeof v);
        some = 1;
    }
    return skip ? some : 0;
}

INLINE void NAME(strips)(const char *p, size_t rows, ptrdiff_t row_stride, size_t columns,
                         REAL *out, uint8_t *flags, const int largest, const int skip)
{
    enum { MOST = TILE / NUMBER_OF_LANES + 1 };
    const size_t lanes = NUMBER_OF_LANES, size = 2 * sizeof(REAL);
    const size_t strips = (columns + lanes - 1) / lanes;
    const KEY none = (KEY){0} + (largest ? -(REAL)INFINITY : (REAL)INFINITY), zero = {0};
    NAME(strip) x[MOST];
    for (size_t s = 0; s < strips; s++) {
        x[s].real = x[s].imaginary = none;
        memset(&x[s].flag, 0, sizeof x[s].flag);
    }
    const size_t steps = rows / ROWS_AT_ONCE;
    const int is_short = row_stride < PAGE && row_stride > -PAGE;
    const ptrdiff_t apart = is_short ? (ptrdiff_t)steps * row_stride : row_stride;
    const ptrdiff_t next = is_short ? row_stride : ROWS_AT_ONCE * row_stride;
    for (size_t k = 0; k < steps; k++)
        for (size_t s = 0; s < strips; s++) {
            const size_t j = s * lanes + lanes <= columns ? s * lanes : columns - lanes;
            const char *q = p + (ptrdiff_t)k * next + j * size;
            NAME(strip) e = x[s];
            for (int r = 0; r < ROWS_AT_ONCE; r++)
                NAME(take)(&e, q + r * apart, largest, skip);
            x[s] = e;
        }
    for (size_t r = steps * ROWS_AT_ONCE; r < rows; r++)
        for (size_t s = 0; s < strips; s++) {
            const size_t j = s * lanes + lanes <= columns ? s * lanes : columns - lanes;
            NAME(take)(&x[s], p + (ptrdiff_t)r * row_stride + j * size, largest, skip);
        }
    for (size_t s = 0; s < strips; s++) {
        const size_t j = s * lanes + lanes <= columns ? s * lanes : columns - lanes;
        const char *q = p + j * size;
        const KEY a = OF_PART(low)(x[s].real, x[s].imaginary);
        const KEY b = OF_PART(high)(x[s].real, x[s].imaginary);
        memcpy(out + 2 * j, &a, sizeof a);
        memcpy(out + 2 * j + lanes, &b, sizeof b);
        /* The flags, in the order of the columns. */
        REAL lane[2 * NUMBER_OF_LANES];
        const KEY seen = OF_PART(choose)(x[s].flag, zero + 1, zero);
        const KEY seen_a = OF_PART(low)(seen, seen), seen_b = OF_PART(high)(seen, seen);
        memcpy(lane, &seen_a, sizeof seen_a);
        memcpy(lane + lanes, &seen_b, sizeof seen_b);
        for (size_t l = 0; l < lanes; l++)
            flags[j + l] = lane[2 * l] != 0;
        if (!OF_PART(any)(OF_PART(equal)(a, zero) | OF_PART(equal)(b, zero)))
            continue;
        BITS negative, more;
        PART_NAME(having)(q, rows, row_stride, -(REAL)0.0, &negative);
        PART_NAME(having)(q + sizeof a, rows, row_stride, -(REAL)0.0, &more);
        if (any_lane((vec_u64)(negative | more)))
            for (size_t l = j; l < j + lanes; l++)
                if (out[2 * l] == 0 || out[2 * l + 1] == 0)
                    flags[l] = (uint8_t)NAME(column)(p + l * size, rows, row_stride, out + 2 * l,
                                                     largest, skip);
    }
}

typedef void (*NAME(strips_function))(const char *p, size_t rows, ptrdiff_t row_stride,
                                      size_t columns, REAL *out, uint8_t *flags);

/* Each column's result, and its flag: whether there was a NaN, or, if NaNs are left out, whether
 * there was anything else. The result counts if there was none, or if there was. */
INLINE void NAME(all_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                              void *result, uint8_t *flags, const int largest, const int skip,
                              const NAME(strips_function) strips)
{
    const size_t lanes = NUMBER_OF_LANES, size = 2 * sizeof(REAL);
    const char *p = data;
    REAL *out = result;
    if (row_stride == (ptrdiff_t)(columns * size) && columns < lanes && rows >= 2 * lanes) {
        /* A few packed columns are repeated side by side to fill vectors. */
        REAL wide[2 * NUMBER_OF_LANES * NUMBER_OF_LANES], v[2];
        uint8_t wide_flags[NUMBER_OF_LANES * NUMBER_OF_LANES];
        const size_t times = rows / lanes;
        strips(p, times, (ptrdiff_t)lanes * row_stride, columns * lanes, wide, wide_flags);
        for (size_t j = 0; j < columns; j++) {
            const size_t left = rows - times * lanes;
            int flag = NAME(column)(p + (ptrdiff_t)(times * lanes) * row_stride + j * size, left,
                                    row_stride, out + 2 * j, largest, skip);
            int some = skip ? flag : left != 0 && !flag;
            for (size_t k = j; k < columns * lanes; k += columns) {
                memcpy(v, wide + 2 * k, sizeof v);
                flag |= wide_flags[k];
                if (wide_flags[k] != skip)
                    continue;
                if (!some ||
                    (largest ? NAME(precedes)(out + 2 * j, v) : NAME(precedes)(v, out + 2 * j)))
                    memcpy(out + 2 * j, v, sizeof v);
                some = 1;
            }
            flags[j] = (uint8_t)flag;
        }
        return;
    }
    if (columns >= lanes) {
        strips(p, rows, row_stride, columns, out, flags);
        return;
    }
    for (size_t j = 0; j < columns; j++)
        flags[j] =
            (uint8_t)NAME(column)(p + j * size, rows, row_stride, out + 2 * j, largest, skip);
}

#define COMPLEX_COLUMNS(OP, LARGEST, SKIP)                                                         \
    NOINLINE void NAME(OP##_strips)(const char *p, size_t rows, ptrdiff_t row_stride,              \
                                    size_t columns, REAL *out, uint8_t *flags)                     \
    {                                                                                              \
        NAME(strips)(p, rows, row_stride, columns, out, flags, LARGEST, SKIP);                     \
    }                                                                                              \
    static void NAME(OP)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,      \
                         void *out, uint8_t *flags)                                                \
    {                                                                                              \
        NAME(all_columns)(data, rows, row_stride, columns, out, flags, LARGEST, SKIP,              \
                          NAME(OP##_strips));                                                      \
    }
COMPLEX_COLUMNS(min_columns, 0, 0)
COMPLEX_COLUMNS(max_columns, 1, 0)
COMPLEX_COLUMNS(nanmin_columns, 0, 1)
COMPLEX_COLUMNS(nanmax_columns, 1, 1)

#undef COMPLEX_COLUMNS
#undef NAME
#undef PART_NAME
#undef OF_PART
#undef NUMBER_OF_LANES
#undef TYPE
#undef PART
#undef REAL
#undef KEY
#undef BITS
