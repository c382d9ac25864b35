/* The loops of scans, which write every prefix: included by each CPU level.
 *
 * Prefixes within a group of SCAN_GROUP elements are formed by a fixed tree (Sklansky, "Conditional
 * sum addition logic", 1960): in each of three rounds the last prefix of a half joins all of the
 * next half. It is the same tree whether a group lies along a vector, across vectors or down a
 * column, so that neither the vector's width nor the layout shows in the results.
 *
 * The exact prefixes. A cut c splits every element as float_body.h does, but at one fixed place:
 *
 *   offset = 1.5 * 2^(c+52). t = offset + v; q = t - offset; r = v - q.
 *     If |v| < 2^(c+51), t stays within the binade of offset, whose ulp is 2^c: q and r are exact
 *     (FastTwoSum), q is a multiple of 2^c and |r| <= 2^(c-1).
 *   The element is accepted if r is a multiple of the unit u = 2^(c-43): 1.5 * 2^(c+9) has the ulp
 *     u, so adding and subtracting it leaves such an r, and no other, as it is.
 *   high is the sum of all q so far, and every high is to be within [-2^(c+50), 2^(c+50)): it is a
 *     multiple of 2^c of at most 50 bits, and every sum in a group's tree is a difference of two
 *     such, so all additions are exact. That is checked for each high, by adding 1.5 * 2^(c+51),
 *     which has room for just that. The first element v that is too large (or no number) to be cut
 *     as above makes the first high that fails: those before are exact, and no sum of them hides
 *     it, as |v| >= 2^(c+51) is at least the distance of any two accepted values of high.
 *   low is the sum of all r so far. It starts with |low| <= 2^(c-1), as a multiple of u/2 (see
 *     below), and takes at most SCAN_LEAF = 2^9 more, so |low| < 2^(c+9) = 2^53 * u/2: exact.
 *
 * The prefix is high + low, of which one addition is the correctly rounded sum.
 *
 * What the total has below u, when the cut is made, is left out of it: some T with 0 <= T < u. It
 * matters in the rounding of a prefix alone, and there any number strictly between 0 and u is as
 * good as T, as long as the halves of the result's ulp are multiples of u: |prefix| >= 2^54 u =
 * 2^(c+11). So low has u/2 for T, and smaller prefixes are refused.
 *
 * A result of a narrower type than double must not be rounded twice: it goes through a double
 * rounded to odd (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved
 * algorithms using rounding to odd", 2008). */
#include "exact.h"
#include "kernels.h"

#define SCAN_VECTORS (SCAN_GROUP / LANES) /* vectors of a group */

#if defined(__clang__)
#define SHUFFLE(A, B, ...) __builtin_shufflevector(A, B, __VA_ARGS__)
#else
#define SHUFFLE(A, B, ...) __builtin_shuffle(A, B, (vec_i64){__VA_ARGS__})
#endif
#if LANES == 8
#define LAST_LANE(V) SHUFFLE(V, V, 7, 7, 7, 7, 7, 7, 7, 7)
#elif LANES == 4
#define LAST_LANE(V) SHUFFLE(V, V, 3, 3, 3, 3)
#else
#define LAST_LANE(V) SHUFFLE(V, V, 1, 1)
#endif

/* Makes the elements of a group into its prefixes; OP with `none` changes nothing. */
#if LANES == 8
#define DEFINE_GROUP(NAME, VECTOR, OP)                                                             \
    INLINE void NAME(VECTOR *x, const VECTOR *none)                                                \
    {                                                                                              \
        *x = *x OP SHUFFLE(*x, *none, 8, 0, 8, 2, 8, 4, 8, 6);                                     \
        *x = *x OP SHUFFLE(*x, *none, 8, 8, 1, 1, 8, 8, 5, 5);                                     \
        *x = *x OP SHUFFLE(*x, *none, 8, 8, 8, 8, 3, 3, 3, 3);                                     \
    }
#elif LANES == 4
#define DEFINE_GROUP(NAME, VECTOR, OP)                                                             \
    INLINE void NAME(VECTOR *x, const VECTOR *none)                                                \
    {                                                                                              \
        for (int k = 0; k < 2; k++) {                                                              \
            x[k] = x[k] OP SHUFFLE(x[k], *none, 4, 0, 4, 2);                                       \
            x[k] = x[k] OP SHUFFLE(x[k], *none, 4, 4, 1, 1);                                       \
        }                                                                                          \
        x[1] = x[1] OP LAST_LANE(x[0]);                                                            \
    }
#else
#define DEFINE_GROUP(NAME, VECTOR, OP)                                                             \
    INLINE void NAME(VECTOR *x, const VECTOR *none)                                                \
    {                                                                                              \
        for (int k = 0; k < 4; k++)                                                                \
            x[k] = x[k] OP SHUFFLE(x[k], *none, 2, 0);                                             \
        x[1] = x[1] OP LAST_LANE(x[0]);                                                            \
        x[3] = x[3] OP LAST_LANE(x[2]);                                                            \
        x[2] = x[2] OP LAST_LANE(x[1]);                                                            \
        x[3] = x[3] OP LAST_LANE(x[1]);                                                            \
    }
#endif

DEFINE_GROUP(group_sums, vec_f64, +)
DEFINE_GROUP(group_products, vec_f64, *)
DEFINE_GROUP(group_integers, vec_u64, +)

/* The same down a column, with a vector of columns for each row. */
#define DEFINE_ROWS(NAME, OP)                                                                      \
    INLINE void NAME(vec_f64 *x)                                                                   \
    {                                                                                              \
        for (int half = 1; half < SCAN_GROUP; half *= 2)                                           \
            for (int first = half; first < SCAN_GROUP; first += 2 * half)                          \
                for (int k = 0; k < half; k++)                                                     \
                    x[first + k] = x[first + k] OP x[first - 1];                                   \
    }
DEFINE_ROWS(row_sums, +)
DEFINE_ROWS(row_products, *)

/* A group of at most SCAN_GROUP elements, filled up with `none`. */
INLINE void load_group(vec_f64 *x, const double *p, size_t n, double none)
{
    double all[SCAN_GROUP];
    if (n < SCAN_GROUP) {
        for (size_t i = 0; i < SCAN_GROUP; i++)
            all[i] = i < n ? p[i] : none;
        p = all;
    }
    for (int k = 0; k < SCAN_VECTORS; k++)
        memcpy(&x[k], p + k * LANES, sizeof x[k]);
}

INLINE void store_group(double *out, const vec_f64 *x, size_t n)
{
    double all[SCAN_GROUP], *to = n < SCAN_GROUP ? all : out;
    for (int k = 0; k < SCAN_VECTORS; k++)
        memcpy(to + k * LANES, &x[k], sizeof x[k]);
    if (n < SCAN_GROUP)
        memcpy(out, all, n * sizeof *out);
}

/* ---- exact sums ---- */

/* The numbers 1.5 * 2^k that a cut comes with. */
typedef struct {
    vec_f64 offset, room, unit;
    vec_f64 least; /* prefixes below are refused: 2^(c+12) if there is a T, else 0 */
} cut_numbers;

INLINE void cut_numbers_of(const vec_i64 *offset_bits, cut_numbers *cut)
{
    cut->offset = (vec_f64)*offset_bits;
    cut->room = (vec_f64)(*offset_bits - (INT64_C(1) << 52));
    cut->unit = (vec_f64)(*offset_bits - (INT64_C(43) << 52));
}

INLINE void split(const vec_f64 *v, const cut_numbers *cut, vec_f64 *q, vec_f64 *r, vec_i64 *odd)
{
    *q = (cut->offset + *v) - cut->offset;
    *r = *v - *q;
    const vec_f64 kept = (*r + cut->unit) - cut->unit;
    *odd |= (vec_i64)kept ^ (vec_i64)*r;
}

/* `odd` of a split without the sign, which of zeros may differ; of `far` the exponent. */
#define SPLIT_BITS INT64_MAX
#define FAR_BITS ((int64_t)UINT64_C(0xfff0000000000000))

/* Moves what low has of multiples of 2^c to high; then |low| <= 2^(c-1). */
INLINE void settle(vec_f64 *high, vec_f64 *low, const cut_numbers *cut)
{
    const vec_f64 q = (cut->offset + *low) - cut->offset;
    *high += q;
    *low -= q;
}

/* The prefix high + low, rounded to nearest, or to odd. */
INLINE void round_pair_vector(const vec_f64 *high, const vec_f64 *low, const cut_numbers *cut,
                              const int sticky, const int to_odd, vec_f64 *sum, vec_i64 *far,
                              vec_i64 *small)
{
    *far |= (vec_i64)(*high + cut->room) ^ (vec_i64)cut->room;
    *sum = *high + *low;
    if (to_odd) {
        const vec_f64 part = *sum - *high;
        const vec_f64 rest = (*high - (*sum - part)) + (*low - part);
        const vec_i64 bits = (vec_i64)*sum;
        const vec_i64 toward = (((vec_i64)rest ^ bits) >> 63) | 1;
        *sum = (vec_f64)(bits + (toward & (vec_i64)(rest != 0) & ((bits & 1) - 1)));
    }
    if (sticky) {
        const vec_f64 magnitude = (vec_f64)((vec_i64)*sum & INT64_MAX);
        *small |= (vec_i64)(magnitude < cut->least);
    }
}

INLINE int scan_window_as(const double *v, size_t n, int cut, const int sticky, const int to_odd,
                          double *high, double *low, double *out)
{
    cut_numbers numbers;
    const vec_f64 zero = {0};
    const vec_i64 offset_bits = (int64_t)bits_of(scan_offset(cut)) - (vec_i64){0};
    cut_numbers_of(&offset_bits, &numbers);
    numbers.least = scan_least(cut) - zero;
    vec_f64 highs = *high - zero, lows = *low - zero;
    vec_i64 odd = {0}, far = {0}, small = {0};
    settle(&highs, &lows, &numbers);
    for (size_t i = 0; i < n; i += SCAN_GROUP) {
        vec_f64 x[SCAN_VECTORS], q[SCAN_VECTORS], r[SCAN_VECTORS];
        load_group(x, v + i, n - i, 0);
#pragma GCC unroll 4
        for (int k = 0; k < SCAN_VECTORS; k++)
            split(&x[k], &numbers, &q[k], &r[k], &odd);
        group_sums(q, &zero);
        group_sums(r, &zero);
#pragma GCC unroll 4
        for (int k = 0; k < SCAN_VECTORS; k++) {
            const vec_f64 above = highs + q[k], below = lows + r[k];
            round_pair_vector(&above, &below, &numbers, sticky, to_odd, &x[k], &far, &small);
        }
        store_group(out + i, x, n - i);
        highs += LAST_LANE(q[SCAN_VECTORS - 1]);
        lows += LAST_LANE(r[SCAN_VECTORS - 1]);
    }
    int64_t failed = 0;
    for (int l = 0; l < LANES; l++)
        failed |= (odd[l] & SPLIT_BITS) | (far[l] & FAR_BITS) | small[l];
    *high = highs[0];
    *low = lows[0];
    return failed != 0;
}

static int scan_window(const double *v, size_t n, int cut, int sticky, int to_odd, double *high,
                       double *low, double *out)
{
    if (to_odd)
        return scan_window_as(v, n, cut, sticky, 1, high, low, out);
    if (sticky)
        return scan_window_as(v, n, cut, 1, 0, high, low, out);
    return scan_window_as(v, n, cut, 0, 0, high, low, out);
}

/* The first vectors of rows, filled up with `none`; the columns that are there. */
INLINE void load_columns(vec_f64 *x, const char *p, size_t columns, double none)
{
    if (columns >= LANES) {
        memcpy(x, p, sizeof *x);
        return;
    }
    double all[LANES];
    for (int l = 0; l < LANES; l++)
        all[l] = none;
    memcpy(all, p, columns * sizeof *all);
    memcpy(x, all, sizeof *x);
}

INLINE void store_columns(char *out, const vec_f64 *x, size_t columns)
{
    memcpy(out, x, (columns < LANES ? columns : LANES) * sizeof(double));
}

INLINE void scan_window_columns_as(const scan_rows *in, const double *offsets, const double *least,
                                   const int to_odd, double *high, double *low, int64_t *failed)
{
    for (size_t j = 0; j < in->columns; j += LANES) {
        const size_t columns = in->columns - j;
        const char *p = (const char *)(in->data + j);
        char *out = (char *)(in->out + j);
        cut_numbers numbers;
        vec_i64 offset_bits, odd = {0}, far = {0}, small = {0};
        vec_f64 highs, lows;
        memcpy(&offset_bits, offsets + j, sizeof offset_bits);
        cut_numbers_of(&offset_bits, &numbers);
        memcpy(&numbers.least, least + j, sizeof numbers.least);
        memcpy(&highs, high + j, sizeof highs);
        memcpy(&lows, low + j, sizeof lows);
        settle(&highs, &lows, &numbers);
        for (size_t i = 0; i < in->rows; i++, p += in->stride, out += in->out_stride) {
            vec_f64 x, q, r;
            load_columns(&x, p, columns, 0);
            split(&x, &numbers, &q, &r, &odd);
            highs += q;
            lows += r;
            round_pair_vector(&highs, &lows, &numbers, 1, to_odd, &x, &far, &small);
            store_columns(out, &x, columns);
        }
        memcpy(high + j, &highs, sizeof highs);
        memcpy(low + j, &lows, sizeof lows);
        vec_i64 bad;
        memcpy(&bad, failed + j, sizeof bad);
        bad |= (odd & SPLIT_BITS) | (far & FAR_BITS) | small;
        memcpy(failed + j, &bad, sizeof bad);
    }
}

static void scan_window_columns(const scan_rows *in, const double *offsets, const double *least,
                                int to_odd, double *high, double *low, int64_t *failed)
{
    if (to_odd)
        scan_window_columns_as(in, offsets, least, 1, high, low, failed);
    else
        scan_window_columns_as(in, offsets, least, 0, high, low, failed);
}

/* Whole columns of few rows: their cuts come from their largest elements, as choose_cut() in
 * scan_exact.c has it. Those that begin with -0.0 fail, for the sign of their prefixes. */
INLINE void scan_short_columns_as(const scan_rows *in, const int to_odd, int64_t *failed)
{
    const vec_i64 none = {0};
    const vec_i64 least = SCAN_CUT_MIN - none, most = SCAN_CUT_MAX - none;
    for (size_t j = 0; j < in->columns; j += LANES) {
        const size_t columns = in->columns - j;
        const char *p = (const char *)(in->data + j);
        char *out = (char *)(in->out + j);
        cut_numbers numbers;
        vec_i64 largest = none, odd = none, far = none, small = none;
        vec_f64 highs = {0}, lows = {0}, x;
        load_columns(&x, p, columns, 0);
        vec_i64 bad = (vec_i64)((vec_i64)x == INT64_MIN);
        for (size_t i = 0; i < in->rows; i++) {
            load_columns(&x, p + (ptrdiff_t)i * in->stride, columns, 0);
            const vec_i64 bits = (vec_i64)x & INT64_MAX;
            const vec_i64 more = (vec_i64)((vec_f64)bits > (vec_f64)largest);
            largest = (bits & more) | (largest & ~more);
        }
        vec_i64 cut = (largest >> 52) + (-1022 + SCAN_HEADROOM - 50);
        cut = (cut & (vec_i64)(cut > least)) | (least & (vec_i64)(cut <= least));
        bad |= (vec_i64)(cut > most);
        cut &= (vec_i64)(cut <= most);
        const vec_i64 offset_bits = ((cut + (52 + 1023)) << 52) + (INT64_C(1) << 51);
        cut_numbers_of(&offset_bits, &numbers);
        for (size_t i = 0; i < in->rows; i++, p += in->stride, out += in->out_stride) {
            vec_f64 q, r;
            load_columns(&x, p, columns, 0);
            split(&x, &numbers, &q, &r, &odd);
            highs += q;
            lows += r;
            round_pair_vector(&highs, &lows, &numbers, 0, to_odd, &x, &far, &small);
            store_columns(out, &x, columns);
        }
        bad |= (odd & SPLIT_BITS) | (far & FAR_BITS);
        memcpy(failed + j, &bad, sizeof bad);
    }
}

static void scan_short_columns(const scan_rows *in, int to_odd, int64_t *failed)
{
    if (to_odd)
        scan_short_columns_as(in, 1, failed);
    else
        scan_short_columns_as(in, 0, failed);
}

/* The parts of complex numbers, or any two columns: lanes belong to them in turn. The sums are
 * exact, so the tree need not be that of lines. */
#if LANES == 8
#define LAST_PAIR(V) SHUFFLE(V, V, 6, 7, 6, 7, 6, 7, 6, 7)
INLINE void pair_sums(vec_f64 *x)
{
    const vec_f64 zero = {0};
    *x += SHUFFLE(*x, zero, 8, 8, 0, 1, 8, 8, 4, 5);
    *x += SHUFFLE(*x, zero, 8, 8, 8, 8, 2, 3, 2, 3);
}
#elif LANES == 4
#define LAST_PAIR(V) SHUFFLE(V, V, 2, 3, 2, 3)
INLINE void pair_sums(vec_f64 *x)
{
    const vec_f64 zero = {0};
    *x += SHUFFLE(*x, zero, 4, 4, 0, 1);
}
#else
#define LAST_PAIR(V) (V)
INLINE void pair_sums(vec_f64 *x)
{
    (void)x;
}
#endif

INLINE void load_pair(vec_f64 *out, const double *pair)
{
    double all[LANES];
    for (int l = 0; l < LANES; l++)
        all[l] = pair[l & 1];
    memcpy(out, all, sizeof *out);
}

INLINE int scan_window_pairs_as(const double *v, size_t n, const double *offsets,
                                const double *least, const int to_odd, double *high, double *low,
                                double *out)
{
    cut_numbers numbers;
    vec_f64 offset, highs, lows;
    vec_i64 odd = {0}, far = {0}, small = {0};
    load_pair(&offset, offsets);
    load_pair(&highs, high);
    load_pair(&lows, low);
    const vec_i64 offset_bits = (vec_i64)offset;
    cut_numbers_of(&offset_bits, &numbers);
    load_pair(&numbers.least, least);
    settle(&highs, &lows, &numbers);
    for (size_t i = 0; i < 2 * n; i += LANES) {
        vec_f64 x, q, r;
        load_columns(&x, (const char *)(v + i), 2 * n - i, 0);
        split(&x, &numbers, &q, &r, &odd);
        pair_sums(&q);
        pair_sums(&r);
        const vec_f64 above = highs + q, below = lows + r;
        round_pair_vector(&above, &below, &numbers, 1, to_odd, &x, &far, &small);
        store_columns((char *)(out + i), &x, 2 * n - i);
        highs += LAST_PAIR(q);
        lows += LAST_PAIR(r);
    }
    int64_t failed = 0;
    for (int l = 0; l < LANES; l++)
        failed |= (odd[l] & SPLIT_BITS) | (far[l] & FAR_BITS) | small[l];
    for (int k = 0; k < 2; k++) {
        high[k] = highs[k];
        low[k] = lows[k];
    }
    return failed != 0;
}

static int scan_window_pairs(const double *v, size_t n, const double *offsets, const double *least,
                             int to_odd, double *high, double *low, double *out)
{
    return to_odd ? scan_window_pairs_as(v, n, offsets, least, 1, high, low, out)
                  : scan_window_pairs_as(v, n, offsets, least, 0, high, low, out);
}

/* ---- fast sums ---- */

/* Bit 63 is set for infinities and NaN: their exponent of ones carries into it. */
INLINE void note_special(const vec_f64 *x, vec_i64 *found)
{
    *found |= ((vec_i64)*x & INT64_MAX) + (INT64_C(1) << 52);
}

/* With S the prefix at the start of the leaf, a prefix is ((S + V) + y) + x: x within the group, y
 * of the groups before in the same SCAN_STRETCH elements, V of the stretches before, both in order.
 * -0.0 is what a sum starts from: added to anything it leaves that as it is. */
static double scan_fast(double start, const double *v, size_t n, double *out, int *special)
{
    const vec_f64 zero = {0}, none = -0.0 - zero;
    vec_f64 stretches = none;
    vec_i64 exponents = {0};
    for (size_t i = 0; i < n; i += SCAN_STRETCH) {
        const size_t end = n - i < SCAN_STRETCH ? n : i + SCAN_STRETCH;
        const vec_f64 before = start + stretches;
        vec_f64 groups = none;
        for (size_t j = i; j < end; j += SCAN_GROUP) {
            vec_f64 x[SCAN_VECTORS];
            load_group(x, v + j, n - j, -0.0);
            group_sums(x, &none);
            const vec_f64 total = LAST_LANE(x[SCAN_VECTORS - 1]);
            if (out) {
                const vec_f64 base = before + groups;
                for (int k = 0; k < SCAN_VECTORS; k++) {
                    x[k] = base + x[k];
                    note_special(&x[k], &exponents);
                }
                store_group(out + j, x, n - j);
            }
            groups += total;
        }
        stretches += groups;
    }
    int64_t any = 0;
    for (int l = 0; l < LANES; l++)
        any |= exponents[l];
    *special = any < 0;
    return stretches[0];
}

/* A group of rows, the `first` of which is that number in the leaf. */
static void scan_fast_columns(const scan_rows *in, size_t first, const double *start,
                              double *stretches, double *groups, int64_t *special)
{
    const vec_f64 zero = {0}, none = -0.0 - zero;
    for (size_t j = 0; j < in->columns; j += LANES) {
        const size_t columns = in->columns - j;
        const char *p = (const char *)(in->data + j);
        vec_f64 x[SCAN_GROUP], s, v, y;
        memcpy(&s, start + j, sizeof s);
        memcpy(&v, stretches + j, sizeof v);
        memcpy(&y, groups + j, sizeof y);
        if (first % SCAN_STRETCH == 0)
            y = none;
        for (size_t i = 0; i < SCAN_GROUP; i++, p += in->stride) {
            x[i] = none;
            if (i < in->rows)
                load_columns(&x[i], p, columns, -0.0);
        }
        row_sums(x);
        if (in->out) {
            char *out = (char *)(in->out + j);
            const vec_f64 base = (s + v) + y;
            vec_i64 found = {0}, all;
            for (size_t i = 0; i < in->rows; i++, out += in->out_stride) {
                const vec_f64 prefix = base + x[i];
                note_special(&prefix, &found);
                store_columns(out, &prefix, columns);
            }
            memcpy(&all, special + j, sizeof all);
            all |= found & INT64_MIN;
            memcpy(special + j, &all, sizeof all);
        }
        y += x[SCAN_GROUP - 1];
        memcpy(groups + j, &y, sizeof y);
        if ((first + SCAN_GROUP) % SCAN_STRETCH == 0 || in->rows < SCAN_GROUP) {
            v += y;
            memcpy(stretches + j, &v, sizeof v);
        }
    }
}

/* ---- products of floats ---- */

/* A prefix is (S * y) * x as for sums, with S and y as a factor in [1, 2) and an exponent apart.
 * Elements of a group that are zero or in [2^-64, 2^64) have products between 2^-512 and 2^512, or
 * zero: nothing overflows or underflows until the prefix itself is scaled. */
#define MODERATE_LEAST (INT64_C(0x3bf) << 52) /* bits of 2^-64 */
#define MODERATE_BITS (INT64_MAX >> 59 << 59) /* of the difference: 128 binades */

static int scan_moderate(const double *v, size_t n)
{
    vec_i64 outside = {0};
    for (size_t i = 0; i < n; i += SCAN_GROUP) {
        vec_f64 x[SCAN_VECTORS];
        load_group(x, v + i, n - i, 1);
        for (int k = 0; k < SCAN_VECTORS; k++)
            outside |= ((vec_i64)x[k] - MODERATE_LEAST) & (vec_i64)(x[k] != 0);
    }
    int64_t any = 0;
    for (int l = 0; l < LANES; l++)
        any |= outside[l];
    return (any & MODERATE_BITS) == 0;
}

static int scan_product(const scan_factor *start, const double *v, size_t n, double *out,
                        scan_factor *total)
{
    const vec_f64 zero = {0}, none = 1.0 - zero;
    scan_factor groups = {1, 0};
    int over = 0;
    for (size_t i = 0; i < n; i += SCAN_GROUP) {
        vec_f64 x[SCAN_VECTORS];
        load_group(x, v + i, n - i, 1);
        group_products(x, &none);
        const double last = x[SCAN_VECTORS - 1][LANES - 1];
        if (out) {
            const scan_factor base = scan_times(start, &groups);
            double first, second;
            scan_scales(base.exponent, &first, &second);
            for (int k = 0; k < SCAN_VECTORS; k++)
                x[k] = base.factor * x[k] * first * second;
            store_group(out + i, x, n - i);
            if (base.exponent > 500 && !over) /* else below 2^(512 + 1 + 500) */
                for (size_t k = i; k < n && k < i + SCAN_GROUP; k++)
                    over |= out[k] - out[k] != 0;
        }
        scan_factor product = scan_factor_of(groups.factor * last);
        product.exponent += groups.exponent;
        groups = product;
    }
    *total = groups;
    return over;
}

/* A group of rows; `over` gets nonzero bits for columns with a prefix that overflowed. */
static void scan_product_columns(const scan_rows *in, const double *start_factor,
                                 const int64_t *start_exponent, double *factor, int64_t *exponent,
                                 int64_t *failed, int64_t *over)
{
    const vec_f64 zero = {0}, none = 1.0 - zero;
    for (size_t j = 0; j < in->columns; j += LANES) {
        const size_t columns = in->columns - j;
        const char *p = (const char *)(in->data + j);
        char *out = (char *)(in->out + j);
        vec_f64 x[SCAN_GROUP], s, y;
        vec_i64 s_exponent, y_exponent, outside, infinite;
        memcpy(&s, start_factor + j, sizeof s);
        memcpy(&s_exponent, start_exponent + j, sizeof s_exponent);
        memcpy(&y, factor + j, sizeof y);
        memcpy(&y_exponent, exponent + j, sizeof y_exponent);
        memcpy(&outside, failed + j, sizeof outside);
        memcpy(&infinite, over + j, sizeof infinite);
        for (size_t i = 0; i < SCAN_GROUP; i++, p += in->stride) {
            x[i] = none;
            if (i < in->rows)
                load_columns(&x[i], p, columns, 1);
            outside |= ((vec_i64)x[i] - MODERATE_LEAST) & (vec_i64)(x[i] != 0) & MODERATE_BITS;
        }
        row_products(x);
        memcpy(failed + j, &outside, sizeof outside);
        if (in->out) {
            vec_f64 base, first, second;
            vec_i64 base_exponent = s_exponent + y_exponent;
            base = s * y;
            for (int l = 0; l < LANES; l++) {
                double one, other;
                scan_scales(base_exponent[l], &one, &other);
                first[l] = one;
                second[l] = other;
            }
            for (size_t i = 0; i < in->rows; i++, out += in->out_stride) {
                const vec_f64 prefix = base * x[i] * first * second;
                infinite |= (vec_i64)(prefix - prefix != 0);
                store_columns(out, &prefix, columns);
            }
            memcpy(over + j, &infinite, sizeof infinite);
        }
        /* zero stays zero, of whatever exponent */
        y *= x[SCAN_GROUP - 1];
        const vec_i64 bits = (vec_i64)y, nonzero = (vec_i64)(y != 0);
        y_exponent += (((bits >> 52) & 0x7ff) - 1023) & nonzero;
        y = (vec_f64)((((bits & ~(INT64_C(0x7ff) << 52)) | (INT64_C(1023) << 52)) & nonzero) |
                      (bits & ~nonzero));
        memcpy(factor + j, &y, sizeof y);
        memcpy(exponent + j, &y_exponent, sizeof y_exponent);
    }
}

/* ---- integers, modulo 2^64 ---- */

/* Bit 63 is set if p = before + v does not fit: the carry out of it, or for signed numbers a sign
 * that neither of the two has. */
INLINE void note_overflow(const vec_u64 *before, const vec_u64 *v, const vec_u64 *p,
                          const int is_signed, vec_u64 *over)
{
    if (is_signed)
        *over |= (*p ^ *before) & (*p ^ *v);
    else
        *over |= (*v & *before) | ((*v | *before) & ~*p);
}

INLINE int scan_integers_as(uint64_t start, const uint64_t *v, size_t n, const int is_signed,
                            uint64_t *out)
{
    const vec_u64 none = {0};
    vec_u64 sums = start + none, over = {0};
    for (size_t i = 0; i < n; i += SCAN_GROUP) {
        vec_u64 x[SCAN_VECTORS], element[SCAN_VECTORS];
        uint64_t last[SCAN_GROUP] = {0};
        const int whole = n - i >= SCAN_GROUP;
        if (!whole)
            memcpy(last, v + i, (n - i) * sizeof *v);
        const uint64_t *p = whole ? v + i : last;
        for (int k = 0; k < SCAN_VECTORS; k++) {
            memcpy(&element[k], p + k * LANES, sizeof element[k]);
            x[k] = element[k];
        }
        group_integers(x, &none);
        const vec_u64 total = LAST_LANE(x[SCAN_VECTORS - 1]);
#pragma GCC unroll 4
        for (int k = 0; k < SCAN_VECTORS; k++) {
            x[k] += sums;
            const vec_u64 before = x[k] - element[k];
            note_overflow(&before, &element[k], &x[k], is_signed, &over);
        }
        sums += total;
        uint64_t *to = whole ? out + i : last;
        for (int k = 0; k < SCAN_VECTORS; k++)
            memcpy(to + k * LANES, &x[k], sizeof x[k]);
        if (!whole)
            memcpy(out + i, last, (n - i) * sizeof *out);
    }
    uint64_t any = 0;
    for (int l = 0; l < LANES; l++)
        any |= over[l];
    return (any & SIGN_BIT) != 0;
}

static int scan_integers(uint64_t start, const uint64_t *v, size_t n, int is_signed, uint64_t *out)
{
    return is_signed ? scan_integers_as(start, v, n, 1, out)
                     : scan_integers_as(start, v, n, 0, out);
}

/* A row, of which `sums` has the prefixes so far. */
INLINE int scan_integer_row_as(const uint64_t *v, size_t columns, const int is_signed,
                               uint64_t *sums, uint64_t *out)
{
    uint64_t any = 0;
    for (size_t j = 0; j < columns; j++) {
        const uint64_t before = sums[j], p = before + v[j];
        any |= is_signed ? (p ^ before) & (p ^ v[j]) : (v[j] & before) | ((v[j] | before) & ~p);
        sums[j] = p;
        out[j] = p;
    }
    return (any & SIGN_BIT) != 0;
}

static int scan_integer_row(const uint64_t *v, size_t columns, int is_signed, uint64_t *sums,
                            uint64_t *out)
{
    return is_signed ? scan_integer_row_as(v, columns, 1, sums, out)
                     : scan_integer_row_as(v, columns, 0, sums, out);
}

/* ---- narrower types ---- */

#define SCAN_WIDEN(NAME, TYPE)                                                                     \
    static void scan_widen_##NAME(const void *data, size_t n, uint64_t *out)                       \
    {                                                                                              \
        const TYPE *p = data;                                                                      \
        for (size_t i = 0; i < n; i++)                                                             \
            out[i] = (uint64_t)(int64_t)p[i];                                                      \
    }
SCAN_WIDEN(i8, int8_t)
SCAN_WIDEN(u8, uint8_t)
SCAN_WIDEN(i16, int16_t)
SCAN_WIDEN(u16, uint16_t)
SCAN_WIDEN(i32, int32_t)
SCAN_WIDEN(u32, uint32_t)

static void scan_widen_boolean(const void *data, size_t n, uint64_t *out)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++)
        out[i] = p[i] != 0;
}

/* Rounds doubles to a narrower type, half to even. Nonzero if a finite one overflowed. */
static int scan_narrow_f32(const double *v, size_t n, void *result)
{
    float *out = result;
    int large = 0;
    for (size_t i = 0; i < n; i++) {
        const double magnitude = v[i] < 0 ? -v[i] : v[i];
        out[i] = (float)v[i];
        /* from halfway between the largest float and 2^128 on */
        large |= (magnitude >= 0x1.ffffffp127) & (magnitude <= 0x1.fffffffffffffp1023);
    }
    return large;
}

static int scan_narrow_f16(const double *v, size_t n, void *result)
{
    uint16_t *out = result;
    int large = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t bits = bits_of(v[i]), magnitude_bits = bits & ~SIGN_BIT;
        const double magnitude = double_of(magnitude_bits);
        /* The fraction is rounded where it is and carries into the exponent; below 2^-14 an
         * addition rounds to multiples of 2^-24. */
        const uint64_t normal = (magnitude_bits + UINT64_C(0x1ffffffffff) +
                                 ((magnitude_bits >> 42) & 1) - (UINT64_C(1008) << 52)) >>
                                42;
        const uint64_t small = bits_of(magnitude + 0x1p28) & 0x7ff;
        const uint64_t special = magnitude_bits > INFINITY_BITS ? 0x7e00 : 0x7c00;
        uint64_t half = magnitude < 0x1p-14 ? small : normal;
        half = magnitude < 65520 ? half : special;
        large |= (magnitude >= 65520) & (magnitude_bits < INFINITY_BITS);
        out[i] = (uint16_t)(half | bits >> 63 << 15);
    }
    return large;
}

/* Rounds multiples of 2^-24 below 2^29 to float16, and anything to something. A float rounded to
 * odd has bits enough to round on from, and none of them is subnormal. */
INLINE void store_halves(uint16_t *out, const vec_f64 *v)
{
#if defined(PARSUM_HAVE_F16C)
    const int64_t cut_off = (INT64_C(1) << 29) - 1; /* bits of a double that a float has not */
    const vec_i64 bits = (vec_i64)*v;
    const vec_f64 odd =
        (vec_f64)((bits & ~cut_off) | (((bits & cut_off) != 0) & (INT64_C(1) << 29)));
#if PARSUM_VECTOR_BYTES == 64
    const __m128i halves = _mm256_cvtps_ph(_mm512_cvtpd_ps((__m512d)odd), 0);
    memcpy(out, &halves, sizeof halves);
#else
    const __m128i halves = _mm_cvtps_ph(_mm256_cvtpd_ps((__m256d)odd), 0);
    memcpy(out, &halves, sizeof halves / 2);
#endif
#else
    double values[LANES];
    memcpy(values, v, sizeof values);
    scan_narrow_f16(values, LANES, out);
#endif
}

/* Sums of float16 are multiples of 2^-24, and those below 2^29 are doubles: in any order, so these
 * are the exact prefixes and the fast ones alike. */
static double scan_halves(double start, const void *data, size_t n, void *result, int64_t *large)
{
    const uint16_t *p = data;
    uint16_t *out = result;
    const vec_f64 zero = {0}, none = -0.0 - zero;
    vec_f64 groups = none;
    vec_i64 over = {0};
    for (size_t i = 0; i < n; i += SCAN_GROUP) {
        const size_t left = n - i;
        uint16_t all[SCAN_GROUP], *to = out + i;
        const uint16_t *from = p + i;
        vec_f64 x[SCAN_VECTORS];
        if (left < SCAN_GROUP) {
            for (size_t k = 0; k < SCAN_GROUP; k++)
                all[k] = k < left ? from[k] : 0x8000;
            from = to = all;
        }
        for (int k = 0; k < SCAN_VECTORS; k++)
            load_any_f16(&x[k], from + k * LANES);
        group_sums(x, &none);
        const vec_f64 total = LAST_LANE(x[SCAN_VECTORS - 1]), base = start + groups;
        for (int k = 0; k < SCAN_VECTORS; k++) {
            x[k] = base + x[k];
            /* from halfway between the largest float16 and 2^16 on */
            over |= (vec_i64)x[k] >= (int64_t)bits_of(65520.0);
            over |= (vec_i64)(-x[k]) >= (int64_t)bits_of(65520.0);
            store_halves(to + k * LANES, &x[k]);
        }
        if (left < SCAN_GROUP)
            memcpy(out + i, all, left * sizeof *out);
        groups += total;
    }
    for (int l = 0; l < LANES; l++)
        *large |= over[l];
    return groups[0];
}

#define SCAN_TABLE                                                                                 \
    {                                                                                              \
        .window = scan_window,                                                                     \
        .window_pairs = scan_window_pairs,                                                         \
        .short_columns = scan_short_columns,                                                       \
        .window_columns = scan_window_columns,                                                     \
        .fast = scan_fast,                                                                         \
        .halves = scan_halves,                                                                     \
        .fast_columns = scan_fast_columns,                                                         \
        .moderate = scan_moderate,                                                                 \
        .product = scan_product,                                                                   \
        .product_columns = scan_product_columns,                                                   \
        .integers = scan_integers,                                                                 \
        .integer_row = scan_integer_row,                                                           \
        .widen_boolean = scan_widen_boolean,                                                       \
        .widen_i8 = scan_widen_i8,                                                                 \
        .widen_u8 = scan_widen_u8,                                                                 \
        .widen_i16 = scan_widen_i16,                                                               \
        .widen_u16 = scan_widen_u16,                                                               \
        .widen_i32 = scan_widen_i32,                                                               \
        .widen_u32 = scan_widen_u32,                                                               \
        .narrow_f32 = scan_narrow_f32,                                                             \
        .narrow_f16 = scan_narrow_f16,                                                             \
    }
