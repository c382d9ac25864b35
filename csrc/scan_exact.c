/* The exact prefixes of floats: each is the sum of all elements up to it, rounded once.
 *
 * A prefix is kept in two parts. Most blocks suit a cut (scan_body.h), in which the part that is in
 * use is two doubles, and the kernels do all the work. The rest of it, what lies below the unit of
 * the cut, or all if there is no cut, is in a superaccumulator. A block that suits no cut, because
 * its exponents are too far apart or the prefixes too close to zero for what was left out, is
 * added element by element to a number of 35 words, which is rounded each time. */
#include <math.h>

#include "convert.h"
#include "exact.h"
#include "kernels.h"
#include "scans.h"

#define NO_CUT INT32_MIN
/* Blocks of this many elements are tried on their own if a longer one does not suit its cut. */
#define SCAN_PIECE 64
/* Blocks to add one by one after one of which most pieces had to be. */
#define HARD_BLOCKS 8

typedef struct {
    exact_state rest;
    double high, low; /* of the cut, and low has half a unit if sticky */
    int32_t cut;
    int32_t sticky;
    int32_t hard;
} exact_prefix;

/* ---- the sum as a number of words ---- */

/* Two's complement; word i has the weight 2^(64 (i - BELOW) - 1074). Those below are zero, for
 * rounding to look at. The largest double ends at bit 2097, 2^64 of them at bit 2161. */
#define BELOW 2
#define WORDS (BELOW + 35)

typedef struct {
    uint64_t word[WORDS];
} words;

static void words_of(const exact_state *state, words *out)
{
    memset(out, 0, sizeof *out);
    if (!state->limbs_used)
        return;
    int64_t carry = 0;
    for (int i = 0; i < EXACT_LIMBS; i++) {
        const int64_t value = state->limb[i] + carry; /* |limb| < 2^63 - 2^53 */
        carry = value >> 32;
        out->word[BELOW + i / 2] |= (uint64_t)(value & 0xffffffff) << (i % 2 * 32);
    }
    out->word[WORDS - 1] = (uint64_t)carry;
}

static void words_to(const words *in, exact_state *state)
{
    for (int i = 0; i < EXACT_LIMBS; i++)
        state->limb[i] = (int64_t)(in->word[BELOW + i / 2] >> (i % 2 * 32) & 0xffffffff);
    /* The sum is below 2^2162, so the last limb's upper half is sign alone. */
    state->limb[EXACT_LIMBS - 1] = (int64_t)in->word[WORDS - 2] >> 32;
    state->limbs_used = 1;
    state->limb_adds = 1;
}

/* Returns the index of the last word that it adds to, carries aside. */
static int words_add(words *sum, double value)
{
    const uint64_t bits = bits_of(value);
    const unsigned field = (unsigned)(bits >> 52) & 0x7ff, normal = field != 0;
    const uint64_t fraction = (bits & UINT64_C(0xfffffffffffff)) | (uint64_t)normal << 52;
    const unsigned position = field - normal, shift = position & 63;
    const uint64_t low = fraction << shift, high = fraction >> 1 >> (63 - shift);
    uint64_t *word = sum->word + BELOW + (position >> 6);
    uint64_t *const end = sum->word + WORDS;
    unsigned carry;
    if (bits >> 63) {
        carry = word[0] < low;
        word[0] -= low;
        const uint64_t take = high + carry; /* high < 2^53 */
        carry = word[1] < take;
        word[1] -= take;
        for (word += 2; carry && word < end; word++)
            carry = (*word)-- == 0;
    } else {
        word[0] += low;
        carry = word[0] < low;
        const uint64_t give = high + carry;
        word[1] += give;
        carry = word[1] < give;
        for (word += 2; carry && word < end; word++)
            carry = ++(*word) == 0;
    }
    return BELOW + (int)(position >> 6) + 1;
}

/* The exponent e of |sum| <= 2^e; INT32_MIN for zero. */
static int words_exponent(const words *sum)
{
    const uint64_t sign = (uint64_t)((int64_t)sum->word[WORDS - 1] >> 63);
    for (int i = WORDS - 1; i >= BELOW; i--)
        if (sum->word[i] != sign)
            return 64 * (i - BELOW) + 64 - __builtin_clzll(sum->word[i] ^ sign) - 1074;
    return sign ? -1074 : INT32_MIN;
}

/* Words above *top are known to be sign alone; lowers it to the topmost word that is more. */
static int words_round(const words *sum, int *top, int type, void *result)
{
    const uint64_t sign = (uint64_t)((int64_t)sum->word[WORDS - 1] >> 63);
    while (*top > BELOW && sum->word[*top] == sign)
        (*top)--;
    const uint64_t *word = sum->word + *top;
    if (*word == 0 && !sign) {
        parsum_store(type, 0.0, result);
        return 0;
    }
    uint64_t below = 0;
    for (int i = BELOW; i < *top - 2; i++)
        below |= sum->word[i];
    uint64_t part[3] = {word[0], word[-1], word[-2]};
    int exponent = 64 * (*top - BELOW) - 1074;
    if (sign) {
        /* The magnitude is the complement and one, which is carried here if all below is zero. */
        unsigned carry = below == 0;
        for (int k = 2; k >= 0; k--) {
            part[k] = ~part[k] + carry;
            carry = carry && part[k] == 0;
        }
        if (carry) {
            part[0] = 1;
            exponent += 64;
        }
    }
    const int free_bits = __builtin_clzll(part[0]);
    uint128 magnitude = (uint128)part[0] << 64 | part[1];
    if (free_bits) {
        magnitude = magnitude << free_bits | part[2] >> (64 - free_bits);
        part[2] <<= free_bits;
    }
    return parsum_round_magnitude(sign != 0, magnitude, exponent - 64 - free_bits,
                                  (below | part[2]) != 0, type, result);
}

/* ---- cuts ---- */

static void end_cut(exact_prefix *prefix)
{
    if (prefix->cut == NO_CUT)
        return;
    double parts[2] = {prefix->high, prefix->low};
    if (prefix->sticky)
        parts[1] -= ldexp(1, prefix->cut - 44);
    prefix->cut = NO_CUT;
    if (parts[0] != 0 || parts[1] != 0)
        parsum_exact_add_elements(&prefix->rest, parts, 2, 1);
}

static int is_empty(const exact_state *state)
{
    return !state->limbs_used && !state->pending;
}

static void flush(exact_state *state)
{
    if (state->pending)
        parsum_exact_flush(state);
}

/* A cut for elements whose largest magnitude has these bits, with room for the prefixes to grow;
 * NO_CUT if they are too large for any. There is none in the prefix. */
static int choose_cut(exact_prefix *prefix, int64_t largest)
{
    int exponent = (int)(largest >> 52) - 1022 + SCAN_HEADROOM;
    if (!is_empty(&prefix->rest)) {
        words all;
        flush(&prefix->rest);
        words_of(&prefix->rest, &all);
        const int before = words_exponent(&all);
        if (before != INT32_MIN && before + 4 > exponent)
            exponent = before + 4;
    }
    const int cut = exponent - 50;
    return cut > SCAN_CUT_MAX ? NO_CUT : cut < SCAN_CUT_MIN ? SCAN_CUT_MIN : cut;
}

/* Cuts the sum: its whole units into high and low, the rest stays where it is. */
static void begin_cut(exact_prefix *prefix, int cut)
{
    prefix->cut = cut;
    prefix->high = prefix->low = 0;
    prefix->sticky = 0;
    if (is_empty(&prefix->rest))
        return;
    words all;
    words_of(&prefix->rest, &all);
    const unsigned position = (unsigned)(cut - 43 + 1074), shift = position & 63;
    uint64_t *word = all.word + BELOW + (position >> 6);
    uint64_t *const end = all.word + WORDS;
    const uint64_t mask = (UINT64_C(1) << shift) - 1;
    const uint64_t sign = (uint64_t)((int64_t)all.word[WORDS - 1] >> 63);
    /* |sum| < 2^(cut + 50): 93 bits and the sign */
    uint64_t part[3] = {word[0], sign, sign};
    for (int k = 1; k < 3 && word + k < end; k++)
        part[k] = word[k];
    const uint128 bits = (uint128)part[1] << 64 | part[0];
    const int128 units = (int128)(shift ? bits >> shift | (uint128)part[2] << (128 - shift) : bits);
    uint64_t left = word[0] & mask;
    word[0] = left;
    for (uint64_t *above = word + 1; above < end; above++)
        *above = 0;
    for (const uint64_t *under = all.word + BELOW; under < word; under++)
        left |= *under;
    const int64_t high = (int64_t)((units + ((int128)1 << 42)) >> 43);
    const int64_t low = (int64_t)(units - (int128)high * ((int128)1 << 43));
    prefix->high = ldexp((double)high, cut);
    prefix->low = ldexp((double)low, cut - 43);
    words_to(&all, &prefix->rest);
    if (left) {
        prefix->sticky = 1;
        prefix->low += ldexp(1, cut - 44);
    } else {
        prefix->rest.limbs_used = 0;
    }
}

/* ---- blocks ---- */

static int is_special(const exact_state *state)
{
    return state->nan | state->plus_infinity | state->minus_infinity;
}

static void fill(int type, double value, size_t n, char *result)
{
    const size_t size = parsum_type_size[type];
    for (size_t i = 0; i < n; i++)
        parsum_store(type, value, result + i * size);
}

/* From the first infinity or NaN on, finite elements do not count. */
static int scan_special(exact_state *state, const double *v, size_t n, int type, char *result)
{
    const size_t size = parsum_type_size[type];
    int flags = 0;
    for (size_t i = 0; i < n; i++) {
        const int was_nan = state->nan || (state->plus_infinity && state->minus_infinity);
        if (was_nan) {
            fill(type, (double)NAN, n - i, result + i * size);
            break;
        }
        if (!isfinite(v[i]))
            parsum_exact_add_special(state, v[i]);
        flags |= parsum_exact_finish(state, type, result + i * size);
    }
    return flags;
}

static int scan_one_by_one(exact_prefix *prefix, const double *v, size_t n, int type, char *result)
{
    const size_t size = parsum_type_size[type];
    int flags = 0, top = WORDS - 1;
    words sum;
    end_cut(prefix);
    flush(&prefix->rest);
    words_of(&prefix->rest, &sum);
    for (size_t i = 0; i < n; i++) {
        const int last = words_add(&sum, v[i]);
        /* A carry turns words that are sign alone into such, but for the lowest of them. */
        top = (last > top ? last : top) + 1;
        top = top < WORDS ? top : WORDS - 1;
        flags |= words_round(&sum, &top, type, result + i * size);
    }
    words_to(&sum, &prefix->rest);
    return flags;
}

/* Tries the cut that there is; nonzero if it does not suit. */
static int scan_cut(exact_prefix *prefix, const double *v, size_t n, int type, char *result,
                    int *flags)
{
    double high = prefix->high, low = prefix->low, rounded[SCAN_LEAF];
    double *out = type == PARSUM_FLOAT64 ? (double *)(void *)result : rounded;
    if (parsum_kernels()->scan.window(v, n, prefix->cut, prefix->sticky, type != PARSUM_FLOAT64,
                                      &high, &low, out))
        return 1;
    prefix->high = high;
    prefix->low = low;
    if (out == rounded && parsum_scan_narrow(rounded, n, type, result))
        *flags |= PARSUM_OVERFLOW;
    return 0;
}

static int64_t largest_of(const double *v, size_t n)
{
    int64_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        const int64_t bits = (int64_t)(bits_of(v[i]) & ~SIGN_BIT);
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

/* A block that does not suit the cut at hand, of finite elements: by a cut of its own, in pieces,
 * or one by one. */
static int scan_unruly(exact_prefix *prefix, const double *v, size_t n, int64_t largest, int type,
                       char *result)
{
    const size_t size = parsum_type_size[type];
    int flags = 0;
    /* A double has too few bits to round a long double from. */
    if (type == PARSUM_LONGDOUBLE)
        return scan_one_by_one(prefix, v, n, type, result);
    if (prefix->hard) {
        prefix->hard--;
        return scan_one_by_one(prefix, v, n, type, result);
    }
    end_cut(prefix);
    const int cut = choose_cut(prefix, largest);
    if (cut != NO_CUT) {
        begin_cut(prefix, cut);
        if (!scan_cut(prefix, v, n, type, result, &flags))
            return flags;
    }
    if (n <= SCAN_PIECE)
        return scan_one_by_one(prefix, v, n, type, result);
    size_t hard = 0;
    for (size_t i = 0; i < n; i += SCAN_PIECE) {
        const size_t count = n - i < SCAN_PIECE ? n - i : SCAN_PIECE;
        char *out = result + i * size;
        if (prefix->cut != NO_CUT && !scan_cut(prefix, v + i, count, type, out, &flags))
            continue;
        flags |= scan_unruly(prefix, v + i, count, largest_of(v + i, count), type, out);
        hard += prefix->cut == NO_CUT ? count : 0;
    }
    prefix->hard = 2 * hard > n ? HARD_BLOCKS : 0;
    return flags;
}

static int scan_doubles(exact_prefix *prefix, const double *v, size_t n, int type, char *result)
{
    const size_t size = parsum_type_size[type];
    int flags = 0;
    for (; !(prefix->rest.seen & SEEN_NOT_MINUS_ZERO) && n; n--, v++, result += size) {
        prefix->rest.seen |= SEEN_ANY;
        if (bits_of(*v) != SIGN_BIT) {
            prefix->rest.seen |= SEEN_NOT_MINUS_ZERO;
            break;
        }
        parsum_store(type, -0.0, result);
    }
    if (is_special(&prefix->rest))
        return scan_special(&prefix->rest, v, n, type, result);
    if (prefix->cut != NO_CUT && !scan_cut(prefix, v, n, type, result, &flags))
        return flags;
    const int64_t largest = largest_of(v, n);
    if (largest < (int64_t)INFINITY_BITS)
        return scan_unruly(prefix, v, n, largest, type, result);
    size_t finite = 0;
    while (isfinite(v[finite]))
        finite++;
    flags = scan_doubles(prefix, v, finite, type, result);
    return flags |
           scan_special(&prefix->rest, v + finite, n - finite, type, result + finite * size);
}

/* ---- the functions of the table ---- */

static void start_exact_total(const parsum_scan *scan, void *total)
{
    (void)scan;
    parsum_exact_identity(total);
}

static const parsum_reduction *sum_of(const parsum_scan *scan)
{
    return parsum_find("sum", "exact", scan->element, PARSUM_FLOAT64);
}

static void add_exact(const parsum_scan *scan, void *total, const void *data, size_t n)
{
    sum_of(scan)->accumulate(total, data, n, (ptrdiff_t)parsum_type_size[scan->element]);
}

static void add_exact_columns(const parsum_scan *scan, void *totals, const void *data, size_t rows,
                              ptrdiff_t row_stride, size_t columns)
{
    sum_of(scan)->accumulate_columns(totals, data, rows, row_stride, columns);
}

static void start_exact_prefix(const parsum_scan *scan, void *state)
{
    exact_prefix *prefix = state;
    (void)scan;
    parsum_exact_identity(&prefix->rest);
    prefix->cut = NO_CUT;
    prefix->hard = 0;
}

static void advance_exact(const parsum_scan *scan, void *state, const void *total)
{
    exact_prefix *prefix = state;
    (void)scan;
    end_cut(prefix);
    parsum_exact_combine(&prefix->rest, total);
}

static const float_kernels *kernels_of(int element)
{
    const kernel_table *kernels = parsum_kernels();
    return element == PARSUM_FLOAT16   ? &kernels->f16
           : element == PARSUM_FLOAT32 ? &kernels->f32
                                       : &kernels->f64;
}

/* The cut of which every float16 is whole units. */
#define HALF_CUT (-24)

/* A block of float16 whose sums are doubles, to float16; nonzero if it, or what comes before, is
 * something else. */
static int scan_halves(exact_prefix *prefix, const void *data, size_t n, void *result, int *flags)
{
    const uint16_t *v = data;
    const exact_state *rest = &prefix->rest;
    const double before = prefix->cut == NO_CUT ? 0 : prefix->high + prefix->low;
    const int begins = !(rest->seen & SEEN_NOT_MINUS_ZERO);
    int64_t large = 0;
    if (!is_empty(rest) || is_special(rest) || fabs(before) > 0x1p25 || (begins && *v == 0x8000) ||
        (prefix->cut != NO_CUT && prefix->sticky))
        return 1;
    const double total = parsum_kernels()->scan.halves(before, data, n, result, &large);
    if (!isfinite(total))
        return 1;
    prefix->rest.seen |= SEEN_ANY | SEEN_NOT_MINUS_ZERO;
    prefix->cut = HALF_CUT;
    prefix->high = before + total;
    prefix->low = 0;
    prefix->sticky = 0;
    *flags = large ? PARSUM_OVERFLOW : 0;
    return 0;
}

static int scan_exact(const parsum_scan *scan, void *prefix, const void *data, size_t n, int type,
                      void *result)
{
    double wide[SCAN_LEAF];
    const double *v = data;
    int flags;
    if (scan->element == PARSUM_FLOAT16 && type == PARSUM_FLOAT16 && n &&
        !scan_halves(prefix, data, n, result, &flags))
        return flags;
    if (scan->element != PARSUM_FLOAT64) {
        kernels_of(scan->element)->widen(data, n, wide);
        v = wide;
    }
    return scan_doubles(prefix, v, n, type, result);
}

/* Makes a cut for the elements of a line, unless there is one: nonzero if they do not suit any, or
 * must be looked at one by one before. */
static int lacks_cut(exact_prefix *prefix, double first, int64_t largest, int type)
{
    if (prefix->hard || is_special(&prefix->rest) || type == PARSUM_LONGDOUBLE)
        return 1;
    if (!(prefix->rest.seen & SEEN_NOT_MINUS_ZERO)) {
        if (bits_of(first) == SIGN_BIT)
            return 1;
        prefix->rest.seen |= SEEN_ANY | SEEN_NOT_MINUS_ZERO;
    }
    if (prefix->cut != NO_CUT)
        return 0;
    const int cut = largest < (int64_t)INFINITY_BITS ? choose_cut(prefix, largest) : NO_CUT;
    if (cut == NO_CUT)
        return 1;
    begin_cut(prefix, cut);
    return 0;
}

/* Side by side if both have a cut that suits; else one after the other. */
static int scan_exact_pairs(const parsum_scan *scan, void *states, const void *data, size_t n,
                            int type, void *result)
{
    exact_prefix *prefixes = states;
    const size_t size = parsum_type_size[scan->element], result_size = parsum_type_size[type];
    double wide[2 * SCAN_LEAF], rounded[2 * SCAN_LEAF];
    const double *v = data;
    double *side_by_side = type == PARSUM_FLOAT64 ? result : rounded;
    if (scan->element != PARSUM_FLOAT64) {
        kernels_of(scan->element)->widen(data, 2 * n, wide);
        v = wide;
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        int64_t largest[2] = {0, 0};
        double offsets[2], least[2], high[2], low[2];
        if (prefixes[0].cut == NO_CUT || prefixes[1].cut == NO_CUT)
            for (size_t i = 0; i < 2 * n; i++) {
                const int64_t bits = (int64_t)(bits_of(v[i]) & ~SIGN_BIT);
                largest[i & 1] = bits > largest[i & 1] ? bits : largest[i & 1];
            }
        if (lacks_cut(&prefixes[0], v[0], largest[0], type) ||
            lacks_cut(&prefixes[1], v[1], largest[1], type))
            break;
        for (int k = 0; k < 2; k++) {
            offsets[k] = scan_offset(prefixes[k].cut);
            least[k] = prefixes[k].sticky ? scan_least(prefixes[k].cut) : 0;
            high[k] = prefixes[k].high;
            low[k] = prefixes[k].low;
        }
        if (!parsum_kernels()->scan.window_pairs(v, n, offsets, least, side_by_side == rounded,
                                                 high, low, side_by_side)) {
            for (int k = 0; k < 2; k++) {
                prefixes[k].high = high[k];
                prefixes[k].low = low[k];
            }
            if (side_by_side == rounded && parsum_scan_narrow(rounded, 2 * n, type, result))
                return PARSUM_OVERFLOW;
            return 0;
        }
        end_cut(&prefixes[0]);
        end_cut(&prefixes[1]);
    }
    int flags = 0;
    char *out = result;
    for (size_t k = 0; k < 2; k++) {
        _Alignas(64) char line[SCAN_LEAF * sizeof(double)];
        _Alignas(64) char sums[SCAN_LEAF * sizeof(long double)];
        parsum_gather(line, (const char *)data + k * size, n, 2 * (ptrdiff_t)size, size, 0);
        flags |= scan_exact(scan, &prefixes[k], line, n, type, sums);
        for (size_t i = 0; i < n; i++)
            memcpy(out + (2 * i + k) * result_size, sums + i * result_size, result_size);
    }
    return flags;
}

/* Whole columns of few rows: the kernel finds their cuts, and there is no prefix before or after.
 */
#define SHORT_COLUMN 32

static int scan_short_columns(const parsum_scan *scan, const scan_tile *all)
{
    const float_kernels *kernels = kernels_of(scan->element);
    const size_t size = parsum_type_size[scan->element];
    /* as many columns at once as the buffer has room for */
    const size_t most = SCAN_GROUP * SCAN_TILE / SHORT_COLUMN;
    scan_buffer buffer;
    int flags = 0;
    for (size_t j = 0; j < all->columns; j += most) {
        scan_tile tile = *all;
        tile.columns = all->columns - j < most ? all->columns - j : most;
        tile.prefixes += j * scan->prefix_size;
        tile.data += j * size;
        tile.result += j * parsum_type_size[tile.type];
        scan_rows rows = {.data = (const double *)(const void *)tile.data,
                          .stride = tile.row_stride,
                          .rows = tile.rows,
                          .columns = tile.columns,
                          .out = (double *)(void *)tile.result,
                          .out_stride = tile.result_stride};
        int64_t failed[SCAN_TILE] = {0};
        int over = 0;
        if (scan->element != PARSUM_FLOAT64) {
            for (size_t i = 0; i < tile.rows; i++)
                kernels->widen(tile.data + (ptrdiff_t)i * tile.row_stride, tile.columns,
                               buffer.in + i * most);
            rows.data = buffer.in;
            rows.stride = (ptrdiff_t)(most * sizeof(double));
        }
        if (tile.type != PARSUM_FLOAT64) {
            rows.out = buffer.out;
            rows.out_stride = (ptrdiff_t)(most * sizeof(double));
        }
        parsum_kernels()->scan.short_columns(&rows, tile.type != PARSUM_FLOAT64, failed);
        for (size_t i = 0; tile.type != PARSUM_FLOAT64 && i < tile.rows; i++)
            over |= parsum_scan_narrow(buffer.out + i * most, tile.columns, tile.type,
                                       tile.result + (ptrdiff_t)i * tile.result_stride);
        for (size_t k = 0; k < tile.columns; k++)
            if (failed[k])
                flags |= parsum_tile_column(scan, &tile, k);
            else if (over && !(flags & PARSUM_OVERFLOW) && parsum_tile_overflowed(&tile, k))
                flags |= PARSUM_OVERFLOW;
    }
    return flags;
}

/* Columns have cuts of their own and are scanned side by side; one that does not suit its cut is
 * done again on its own. */
static int scan_exact_columns(const parsum_scan *scan, const scan_tile *tile)
{
    const float_kernels *kernels = kernels_of(scan->element);
    exact_prefix *prefixes = (exact_prefix *)(void *)tile->prefixes;
    scan_buffer buffer;
    double offsets[SCAN_TILE], least[SCAN_TILE], high[SCAN_TILE], low[SCAN_TILE];
    int64_t failed[SCAN_TILE], largest[SCAN_TILE];
    int flags = 0, found = 0, over = 0;
    if (tile->whole && tile->rows <= SHORT_COLUMN && tile->type != PARSUM_LONGDOUBLE)
        return scan_short_columns(scan, tile);
    const size_t padded = (tile->columns + 7) / 8 * 8; /* the widest vector */
    for (size_t j = 0; j < padded; j++) {
        exact_prefix *prefix = &prefixes[j];
        offsets[j] = scan_offset(0);
        least[j] = high[j] = low[j] = 0;
        failed[j] = 0;
        if (j >= tile->columns)
            continue;
        if (tile->whole)
            start_exact_prefix(scan, prefix);
        double first;
        kernels->widen(tile->data + j * parsum_type_size[scan->element], 1, &first);
        if (!found && prefix->cut == NO_CUT) {
            kernels->column_maxima(tile->data, tile->rows, tile->row_stride, tile->columns,
                                   largest);
            found = 1;
        }
        failed[j] = lacks_cut(prefix, first, largest[j], tile->type);
        if (failed[j])
            continue;
        offsets[j] = scan_offset(prefix->cut);
        least[j] = prefix->sticky ? scan_least(prefix->cut) : 0;
        high[j] = prefix->high;
        low[j] = prefix->low;
    }
    for (size_t first = 0; first < tile->rows; first += SCAN_GROUP) {
        scan_rows rows;
        parsum_tile_load(tile, scan->element == PARSUM_FLOAT64 ? NULL : kernels->widen, first,
                         &buffer, &rows);
        parsum_kernels()->scan.window_columns(&rows, offsets, least, tile->type != PARSUM_FLOAT64,
                                              high, low, failed);
        over |= parsum_tile_store(tile, first, &rows);
    }
    for (size_t j = 0; j < tile->columns; j++) {
        if (failed[j]) {
            flags |= parsum_tile_column(scan, tile, j);
            continue;
        }
        prefixes[j].high = high[j];
        prefixes[j].low = low[j];
        /* What overflowed may have been in a column that failed. */
        if (over && !(flags & PARSUM_OVERFLOW) && parsum_tile_overflowed(tile, j))
            flags |= PARSUM_OVERFLOW;
    }
    return flags;
}

static const double minus_zero_f64 = -0.0;
static const float minus_zero_f32 = -0.0f;
static const uint16_t minus_zero_f16 = 0x8000;

#define EXACT_SCAN(TYPE, ELEMENT)                                                                  \
    {                                                                                              \
        .operation = "sum",                                                                        \
        .method = "exact",                                                                         \
        .element = ELEMENT,                                                                        \
        .results = FLOATS,                                                                         \
        .neutral = &minus_zero_##TYPE,                                                             \
        .total_size = sizeof(exact_state),                                                         \
        .prefix_size = sizeof(exact_prefix),                                                       \
        .start_total = start_exact_total,                                                          \
        .add = add_exact,                                                                          \
        .add_columns = add_exact_columns,                                                          \
        .start_prefix = start_exact_prefix,                                                        \
        .advance = advance_exact,                                                                  \
        .scan = scan_exact,                                                                        \
        .scan_pairs = scan_exact_pairs,                                                            \
        .scan_columns = scan_exact_columns,                                                        \
    }

const parsum_scan parsum_exact_scans[] = {
    EXACT_SCAN(f16, PARSUM_FLOAT16),
    EXACT_SCAN(f32, PARSUM_FLOAT32),
    EXACT_SCAN(f64, PARSUM_FLOAT64),
    {.operation = NULL},
};
