/* The products of floats, in runs and down columns: included by prod_body.h with TYPE (f64, f32,
 * f16), ELEMENT (its C type), WORD (the integer of its width) and VECTOR of them, FIELD (bits of
 * its exponent), BIAS, FACTORS, COMPENSATED, FACTOR_WINDOW and
 * FACTOR_BITS set. */

#define NAME(verb) CONCAT(CONCAT(verb, _), TYPE)
#define SIZE sizeof(ELEMENT)
#define GROUP_ROWS (FACTORS * PROD_LANES) /* rows that give each lane a factor */
#define DEPTH (8 / FACTORS)               /* factors that a column's lanes stay in registers for */
#define FRACTION (8 * (int)SIZE - 1 - FIELD)
#define SIGN ((WORD)((WORD)1 << (8 * SIZE - 1)))
#define INFINITE ((WORD)((((WORD)1 << FIELD) - 1) << FRACTION))
#define ONE ((WORD)((WORD)BIAS << FRACTION))

/* One vector of each of FACTORS rows, multiplied: the product is q + e. */
INLINE void NAME(factor)(const char *const *rows, size_t at, vec_f64 *q, vec_f64 *e,
                         vec_u64 *outside)
{
    vec_f64 a, b;
    NAME(load_factor)(&a, rows[0] + at);
    NAME(load_factor)(&b, rows[1] + at);
    *q = a * b;
    if (COMPENSATED)
        prod_errors(&a, &b, q, e);
#if FACTORS == 4
    NAME(load_factor)(&a, rows[2] + at);
    NAME(load_factor)(&b, rows[3] + at);
    *q *= a * b;
#endif
    *outside |= (vec_u64)*q - FACTOR_FLOOR;
}

INLINE void NAME(multiply)(vec_f64 *high, vec_f64 *low, const vec_f64 *q, const vec_f64 *e)
{
    const vec_f64 product = *high * *q;
    if (COMPENSATED) {
        vec_f64 error;
        prod_errors(high, q, &product, &error);
        *low = *low * *q + (error + *high * *e);
    }
    *high = product;
}

/* ---- elements as they are not to be multiplied ---- */

#if FACTORS == 4
/* Halves keep their exponents: all of them are in the window. */
#define CLEANED(BITS, MAGNITUDE, SPECIAL) ((SPECIAL) ? ((BITS) & SIGN) | ONE : (BITS))
#else
#define CLEANED(BITS, MAGNITUDE, SPECIAL) (((BITS) & ((SPECIAL) ? SIGN : (WORD)~INFINITE)) | ONE)
#endif

/* The exponent of a subnormal, which is brought to [1, 2). */
static int NAME(clean_subnormal)(WORD *bits)
{
    WORD fraction = *bits & (WORD)~SIGN;
    int exponent = 1 - BIAS;
    for (; !(fraction >> FRACTION); exponent--)
        fraction = (WORD)(fraction << 1);
    *bits = (*bits & SIGN) | (fraction & (WORD)~INFINITE) | ONE;
    return exponent;
}

/* Elements brought to [1, 2) or (-2, -1]: their exponents are added to `exponents`, and zeros,
 * infinities and NaNs, which become ones, told in `met`. */
static void NAME(clean_row)(const char *row, size_t n, WORD *out, int64_t *exponents, WORD *met)
{
    WORD subnormal = 0;
    for (size_t j = 0; j < n; j++) {
        WORD bits;
        memcpy(&bits, row + j * SIZE, SIZE);
        const WORD magnitude = bits & (WORD)~SIGN, field = magnitude >> FRACTION;
        const WORD special = FACTORS == 4 ? magnitude == 0 || magnitude >= INFINITE
                                          : field == 0 || magnitude >= INFINITE;
        out[j] = (WORD)CLEANED(bits, magnitude, special);
        if (FACTORS != 4) {
            exponents[j] += special ? 0 : (int64_t)field - BIAS;
            subnormal |= field == 0 && magnitude != 0;
        }
        met[j] |=
            (WORD)((magnitude == 0 ? MET_ZERO : 0) | (magnitude == INFINITE ? MET_INFINITY : 0) |
                   (magnitude > INFINITE ? MET_NAN : 0));
    }
    for (size_t j = 0; subnormal && j < n; j++) {
        WORD bits;
        memcpy(&bits, row + j * SIZE, SIZE);
        if ((bits & (WORD)~SIGN) && !(bits & INFINITE)) {
            exponents[j] += NAME(clean_subnormal)(&bits);
            out[j] = bits;
        }
    }
}

/* ---- runs ---- */

/* The same for a run, with the sum of its exponents. */
static int64_t NAME(clean_run)(const char *p, size_t n, WORD *out, int *met)
{
    enum { WORDS = PARSUM_VECTOR_BYTES / (int)SIZE };
    VECTOR fields = {0}, zeros = {0}, subnormals = {0}, infinities = {0}, nans = {0}, bits;
    int64_t exponent = 0;
    WORD part[WORDS], met_zero = 0, met_subnormal = 0, met_infinity = 0, met_nan = 0;
    for (size_t i = 0; i < n; i += WORDS) {
        if (n - i >= WORDS) {
            memcpy(&bits, p + i * SIZE, sizeof bits);
        } else {
            for (int l = 0; l < WORDS; l++)
                part[l] = ONE;
            memcpy(part, p + i * SIZE, (n - i) * SIZE);
            memcpy(&bits, part, sizeof bits);
        }
        const VECTOR magnitude = bits & (WORD)~SIGN;
        const VECTOR zero = (VECTOR)(magnitude == 0), infinite = (VECTOR)(magnitude == INFINITE),
                     nan = (VECTOR)(magnitude > INFINITE);
        VECTOR special = zero | infinite | nan;
#if FACTORS != 4
        const VECTOR field = magnitude >> FRACTION, subnormal = (VECTOR)(field == 0) & ~zero;
        special |= subnormal;
        subnormals |= subnormal;
        fields += (field & ~special) | (special & BIAS);
        bits &= (special & SIGN) | (~special & (WORD)~INFINITE);
        bits |= ONE;
#else
        bits = (bits & ~special) | (special & ((bits & SIGN) | ONE));
#endif
        zeros |= zero;
        infinities |= infinite;
        nans |= nan;
        memcpy(out + i, &bits, sizeof bits);
    }
    for (int l = 0; l < WORDS; l++) {
        exponent += (int64_t)fields[l];
        met_zero |= zeros[l];
        met_subnormal |= subnormals[l];
        met_infinity |= infinities[l];
        met_nan |= nans[l];
    }
    if (FACTORS != 4)
        exponent -= BIAS * (int64_t)((n + WORDS - 1) / WORDS * WORDS);
    *met = (met_zero ? MET_ZERO : 0) | (met_infinity ? MET_INFINITY : 0) | (met_nan ? MET_NAN : 0);
    for (size_t i = 0; met_subnormal && i < n; i++) {
        WORD word;
        memcpy(&word, p + i * SIZE, SIZE);
        if ((word & (WORD)~SIGN) && !(word & INFINITE)) {
            exponent += NAME(clean_subnormal)(&word);
            out[i] = word;
        }
    }
    return exponent;
}

/* The next GROUP_ROWS elements, a factor for each lane. */
INLINE void NAME(multiply_group)(const char *p, vec_f64 *high, vec_f64 *low, vec_u64 *outside)
{
    const char *rows[FACTORS];
    for (int f = 0; f < FACTORS; f++)
        rows[f] = p + (size_t)f * PROD_LANES * SIZE;
#pragma GCC unroll 8
    for (int k = 0; k < PROD_LANES / LANES; k++) {
        vec_f64 q, e;
        NAME(factor)(rows, (size_t)k * LANES * SIZE, &q, &e, outside);
        NAME(multiply)(&high[k], &low[k], &q, &e);
    }
}

static int NAME(prod_run)(const void *data, size_t n, int clean, double *high, double *low,
                          int64_t *exponent, int *met)
{
    enum { VECTORS = PROD_LANES / LANES };
    const char *p = data;
    WORD cleaned[LEAF], rest[GROUP_ROWS];
    vec_f64 highs[VECTORS], lows[VECTORS];
    vec_i64 exponents = {0};
    vec_u64 outside = {0};
    *met = 0;
    *exponent = 0;
    if (clean) {
        *exponent = NAME(clean_run)(p, n, cleaned, met);
        p = (const char *)cleaned;
    }
    for (int k = 0; k < VECTORS; k++) {
        highs[k] = (vec_f64){0} + 1.0;
        lows[k] = (vec_f64){0};
    }
    for (size_t done = 0; done < n;) {
        const size_t count = n - done < PROD_ROWS ? n - done : PROD_ROWS;
        const size_t whole = count / GROUP_ROWS;
        for (size_t k = 0; k < whole; k++)
            NAME(multiply_group)(p + (done + k * GROUP_ROWS) * SIZE, highs, lows, &outside);
        const size_t left = count - whole * GROUP_ROWS;
        if (left) {
            for (int i = 0; i < GROUP_ROWS; i++)
                rest[i] = ONE;
            memcpy(rest, p + (done + whole * GROUP_ROWS) * SIZE, left * SIZE);
            NAME(multiply_group)((const char *)rest, highs, lows, &outside);
        }
        if (is_outside(&outside, FACTOR_BITS))
            return 1;
        for (int k = 0; k < VECTORS; k++)
            normalise(&highs[k], &lows[k], &exponents, COMPENSATED);
        done += count;
    }
    for (int l = 0; l < LANES; l++)
        *exponent += exponents[l];
    return join_run(highs, lows, COMPENSATED, high, low);
}

/* ---- columns ---- */

/* Up to LANES elements, with ones beside. */
INLINE void NAME(pad)(const char *row, size_t width, WORD *out)
{
    for (int l = 0; l < LANES; l++)
        out[l] = ONE;
    memcpy(out, row, width * SIZE);
}

/* A vector of lanes of one column each, times `factors` factors; the first ones if `fresh`. */
INLINE void NAME(multiply_vector)(const char *const *rows, const int factors, const int fresh,
                                  size_t at, double *p, double *c, vec_u64 *outside)
{
    vec_f64 high, low, q, e;
    if (!fresh) {
        memcpy(&high, p, sizeof high);
        if (COMPENSATED)
            memcpy(&low, c, sizeof low);
    }
#pragma GCC unroll 4
    for (int k = 0; k < factors; k++) {
        NAME(factor)(rows + k * FACTORS, at, &q, &e, outside);
        if (fresh && k == 0) {
            high = q;
            low = e;
        } else {
            NAME(multiply)(&high, &low, &q, &e);
        }
    }
    memcpy(p, &high, sizeof high);
    if (COMPENSATED)
        memcpy(c, &low, sizeof low);
}

INLINE void NAME(multiply_lanes)(const char *const *rows, const int factors, const int fresh,
                                 size_t width, double *p, double *c, vec_u64 *outside)
{
    WORD padded[8][LANES];
    const char *pointers[8];
    if (width < LANES) {
        for (int r = 0; r < factors * FACTORS; r++) {
            NAME(pad)(rows[r], width, padded[r]);
            pointers[r] = (const char *)padded[r];
        }
        NAME(multiply_vector)(pointers, factors, fresh, 0, p, c, outside);
        return;
    }
    for (size_t j = 0; j < width; j += LANES)
        NAME(multiply_vector)(rows, factors, fresh, place_of_lane(j, width) * SIZE, p + j, c + j,
                              outside);
}

/* Where the rows of a leaf are. */
typedef struct {
    const char *data;
    const char *last; /* row number `whole`, filled up with ones; NULL if there is none */
    const char *ones; /* what is past the end */
    ptrdiff_t stride;
    size_t whole, width;
    WORD *cleaned; /* room for eight rows; NULL if they are to be read as they are */
    int64_t *exponents;
    WORD *met;
} NAME(leaf_rows);

INLINE void NAME(multiply_from)(const NAME(leaf_rows) * leaf, size_t r, size_t lanes,
                                const int factors, const int fresh, double *p, double *c,
                                vec_u64 *outside)
{
    const char *rows[8];
    for (int k = 0; k < factors * FACTORS; k++, r += lanes) {
        rows[k] = r < leaf->whole                  ? leaf->data + (ptrdiff_t)r * leaf->stride
                  : r == leaf->whole && leaf->last ? leaf->last
                                                   : leaf->ones;
        if (leaf->cleaned && rows[k] != leaf->ones) {
            WORD *out = leaf->cleaned + k * PROD_WIDTH;
            NAME(clean_row)(rows[k], leaf->width, out, leaf->exponents, leaf->met);
            rows[k] = (const char *)out;
        }
    }
    NAME(multiply_lanes)(rows, factors, fresh, leaf->width, p, c, outside);
}

/* Few rows, in `lanes` lanes of so many factors each, or of one element if 0: a tree over them, in
 * registers. Lanes stay normal without more ado: see FEW_ROWS. */
INLINE void NAME(multiply_few)(const char *data, size_t rows, ptrdiff_t row_stride, const int lanes,
                               const int factors, size_t width, const char *ones, double *highs,
                               double *lows, vec_u64 *outside)
{
    for (size_t j = 0; j < width; j += LANES) {
        const size_t at = place_of_lane(j, width) * SIZE;
        vec_f64 high[PROD_LANES], low[PROD_LANES];
#pragma GCC unroll 8
        for (size_t l = 0; l < (size_t)lanes; l++) {
            low[l] = (vec_f64){0};
            if (!factors) {
                const char *row = l < rows ? data + (ptrdiff_t)l * row_stride : ones;
                NAME(load_factor)(&high[l], row + at);
                *outside |= (vec_u64)high[l] - FACTOR_FLOOR;
            }
#pragma GCC unroll 2
            for (int k = 0; k < factors; k++) {
                const char *pointers[FACTORS];
                vec_f64 q, e;
                for (size_t f = 0; f < FACTORS; f++) {
                    const size_t r = l + ((size_t)k * FACTORS + f) * PROD_LANES;
                    pointers[f] = r < rows ? data + (ptrdiff_t)r * row_stride : ones;
                }
                if (k == 0) {
                    NAME(factor)(pointers, at, &high[l], &low[l], outside);
                } else {
                    NAME(factor)(pointers, at, &q, &e, outside);
                    NAME(multiply)(&high[l], &low[l], &q, &e);
                    if (COMPENSATED)
                        renew(&high[l], &low[l]);
                }
            }
        }
#pragma GCC unroll 3
        for (int half = lanes / 2; half; half /= 2) {
#pragma GCC unroll 4
            for (int l = 0; l < half; l++)
                join_products(&high[l], &low[l], &high[l + half], &low[l + half], COMPENSATED);
        }
        memcpy(highs + at / SIZE, &high[0], sizeof high[0]);
        memcpy(lows + at / SIZE, &low[0], sizeof low[0]);
    }
}

/* Eight lanes of two factors within 2^-32 and 2^32 are within 2^-512 and 2^512; of one factor, if
 * it is four halves, within 2^-768 and 2^512. */
#define FEW_ROWS (4 * PROD_LANES)

static int NAME(prod_few)(const char *data, size_t rows, ptrdiff_t row_stride, size_t width,
                          const char *ones, double *highs, double *lows)
{
    vec_u64 outside = {0};
    if (rows <= 1)
        NAME(multiply_few)(data, rows, row_stride, 1, 0, width, ones, highs, lows, &outside);
    else if (rows == 2)
        NAME(multiply_few)(data, rows, row_stride, 2, 0, width, ones, highs, lows, &outside);
    else if (rows <= 4)
        NAME(multiply_few)(data, rows, row_stride, 4, 0, width, ones, highs, lows, &outside);
    else if (rows <= PROD_LANES)
        NAME(multiply_few)(data, rows, row_stride, 8, 0, width, ones, highs, lows, &outside);
    else if (rows <= GROUP_ROWS)
        NAME(multiply_few)(data, rows, row_stride, 8, 1, width, ones, highs, lows, &outside);
    else
        NAME(multiply_few)(data, rows, row_stride, 8, 2, width, ones, highs, lows, &outside);
    return is_outside(&outside, FACTOR_BITS);
}

static int NAME(prod_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                              int clean, double *highs, double *lows, int64_t *exponents, int *met)
{
    enum { ROOM = PROD_LANES * PROD_COLUMNS };
    _Alignas(64) double p[ROOM], c[ROOM];
    _Alignas(64) int64_t scales[PROD_WIDTH];
    WORD ones[PROD_WIDTH], last[PROD_WIDTH], cleaned[8 * PROD_WIDTH];
    WORD row_met[PROD_WIDTH];
    int64_t row_exponents[PROD_WIDTH];
    if (rows <= FEW_ROWS && columns >= LANES && !clean) {
        for (size_t j = 0; j < columns; j++)
            ones[j] = ONE;
        memset(exponents, 0, columns * sizeof *exponents);
        memset(met, 0, columns * sizeof *met);
        return NAME(prod_few)(data, rows, row_stride, columns, (const char *)ones, highs, lows);
    }
    /* A packed leaf of few columns is read as rows of PROD_LANES rows, without lanes. */
    const int packed = columns <= PROD_PACKED && row_stride == (ptrdiff_t)(columns * SIZE);
    const size_t joined = packed ? PROD_LANES : 1, lanes = PROD_LANES / joined;
    const size_t width = columns * joined, pitch = (width + LANES - 1) / LANES * LANES;
    const size_t whole = rows / joined, rest = rows % joined, n = whole + (rest != 0);
    const NAME(leaf_rows) leaf = {.data = data,
                                  .last = rest ? (const char *)last : NULL,
                                  .ones = (const char *)ones,
                                  .stride = row_stride * (ptrdiff_t)joined,
                                  .whole = whole,
                                  .width = width,
                                  .cleaned = clean ? cleaned : NULL,
                                  .exponents = row_exponents,
                                  .met = row_met};
    vec_u64 outside = {0};
    for (size_t j = 0; j < pitch; j++) {
        ones[j] = ONE;
        scales[j] = 0;
        row_exponents[j] = 0;
        row_met[j] = 0;
    }
    if (rest) {
        memcpy(last, ones, width * SIZE);
        memcpy(last, leaf.data + (ptrdiff_t)whole * leaf.stride, rest * columns * SIZE);
    }
    for (size_t r = 0, end; r < n; r = end) {
        end = r + PROD_ROWS / joined < n ? r + PROD_ROWS / joined : n;
        int fresh = r == 0;
        for (; end - r >= FACTORS * DEPTH * lanes; r += FACTORS * DEPTH * lanes, fresh = 0)
            for (size_t l = 0; l < lanes; l++)
                if (fresh)
                    NAME(multiply_from)(&leaf, r + l, lanes, DEPTH, 1, p + l * pitch, c + l * pitch,
                                        &outside);
                else
                    NAME(multiply_from)(&leaf, r + l, lanes, DEPTH, 0, p + l * pitch, c + l * pitch,
                                        &outside);
        for (; r < end; r += FACTORS * lanes, fresh = 0)
            for (size_t l = 0; l < lanes && (fresh || r + l < end); l++)
                if (fresh)
                    NAME(multiply_from)(&leaf, r + l, lanes, 1, 1, p + l * pitch, c + l * pitch,
                                        &outside);
                else
                    NAME(multiply_from)(&leaf, r + l, lanes, 1, 0, p + l * pitch, c + l * pitch,
                                        &outside);
        if (is_outside(&outside, FACTOR_BITS))
            return 1;
        for (size_t l = 0; l < lanes; l++)
            normalise_lanes(p + l * pitch, c + l * pitch, pitch, scales, COMPENSATED);
    }
    const size_t stop = packed ? columns : pitch;
    for (size_t half = lanes * pitch / 2; half >= stop; half /= 2)
        join_lanes(p, c, half, COMPENSATED);
    int failed = 0;
    for (size_t j = 0; j < columns; j++) {
        const size_t lane = packed ? j : lane_of_column(j, width);
        highs[j] = p[lane];
        lows[j] = COMPENSATED ? c[lane] : 0;
        failed |= !is_finite(lows[j]);
        exponents[j] = scales[lane];
        met[j] = 0;
        for (size_t k = lane + columns; packed && k < width; k += columns)
            exponents[j] += scales[k];
        for (size_t k = j; clean && k < width; k += columns) {
            exponents[j] += row_exponents[k];
            met[j] |= (int)row_met[k];
        }
    }
    return failed;
}

#undef NAME
#undef SIZE
#undef GROUP_ROWS
#undef FEW_ROWS
#undef DEPTH
#undef FRACTION
#undef SIGN
#undef INFINITE
#undef ONE
#undef CLEANED
