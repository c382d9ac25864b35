/* The superaccumulator: additions, carries, combination, and the one rounding at the end. */
#include "exact.h"

#include <float.h>
#include <math.h>

#include "kernels.h"
#include "parsum.h"
#include "states.h"

void parsum_exact_identity(exact_state *state)
{
    memset(state, 0, offsetof(exact_state, limb));
    state->window = WINDOW_NONE;
}

/* Leaves limbs 0 .. n-2 in [0, 2^32) and the sign in the last. */
static void pass_carries(int64_t *limb)
{
    int64_t carry = 0;
    for (int i = 0; i < EXACT_LIMBS - 1; i++) {
        int64_t value = limb[i] + carry;
        limb[i] = value & 0xffffffff;
        carry = value >> 32;
    }
    limb[EXACT_LIMBS - 1] = wrapping_sum(limb[EXACT_LIMBS - 1], carry);
}

/* Makes room for n additions of less than 2^53 to any limb. */
static inline void reserve_limbs(exact_state *state, int n)
{
    if (!state->limbs_used) {
        memset(state->limb, 0, sizeof state->limb);
        state->limbs_used = 1;
        state->limb_adds = 0;
    }
    if (state->limb_adds + n > EXACT_LIMB_ADDS) {
        pass_carries(state->limb);
        state->limb_adds = 0;
    }
    state->limb_adds += n;
}

void parsum_limbs_add(int64_t *limb, int count, int128 value, unsigned position)
{
    int64_t sign = value < 0 ? -1 : 0;
    uint128 magnitude = value < 0 ? -(uint128)value : (uint128)value;
    int i = (int)(position >> 5);
    unsigned shift = position & 31;
    /* 128 bits shifted by up to 31 touch five limbs, each piece below 2^32. */
    uint64_t pieces[5];
    uint64_t low = (uint64_t)magnitude, high = (uint64_t)(magnitude >> 64);
    pieces[0] = (low << shift) & 0xffffffff;
    pieces[1] = (low >> (32 - shift)) & 0xffffffff;
    pieces[2] = ((uint64_t)(magnitude >> (64 - shift))) & 0xffffffff;
    pieces[3] = (high >> (32 - shift)) & 0xffffffff;
    pieces[4] = shift ? high >> (64 - shift) : 0;
    /* The limbs have room for the sum, so a piece beyond the last one is zero. */
    for (int k = 0; k < 5 && i + k < count; k++)
        limb[i + k] += ((int64_t)pieces[k] ^ sign) - sign;
}

void parsum_exact_add_int128(exact_state *state, int128 value, int exponent)
{
    if (value == 0)
        return;
    reserve_limbs(state, 1);
    parsum_limbs_add(state->limb, EXACT_LIMBS, value, (unsigned)(exponent - EXACT_EXPONENT));
}

void parsum_exact_flush(exact_state *state)
{
    parsum_exact_add_int128(state, exact_pending(state), state->window - WINDOW_LO);
    state->hi = 0;
    state->lo = 0;
    state->pending = 0;
}

void parsum_exact_add_special(exact_state *state, double value)
{
    if (value != value)
        state->nan = 1;
    else if (value > 0)
        state->plus_infinity = 1;
    else
        state->minus_infinity = 1;
}

void parsum_exact_add_elements(exact_state *state, const double *data, size_t n, size_t step)
{
    int64_t odd[EXACT_LIMBS];
    const int split = n >= 2 * EXACT_LIMBS;
    if (split)
        memset(odd, 0, sizeof odd);
    while (n) {
        size_t count = n < EXACT_LIMB_ADDS / 2 ? n : EXACT_LIMB_ADDS / 2;
        reserve_limbs(state, (int)count);
        parsum_kernels()->scatter(data, count, step, state->limb, split ? odd : state->limb);
        data += count * step;
        n -= count;
        if (!split)
            continue;
        /* At most as many additions as without the split: the merged limb is within the reserve. */
        for (int i = 0; i < EXACT_LIMBS; i++) {
            state->limb[i] += odd[i];
            odd[i] = 0;
        }
    }
}

void parsum_bins_clear(exact_bins *bins)
{
    memset(bins, 0, sizeof *bins);
}

/* Passes on the bins of more elements than that. */
static void flush_bins(exact_state *state, exact_bins *bins, unsigned most)
{
    /* A group reaches five limbs, the next one those that are one further: to a limb, five numbers
     * below 2^32 of each sign. */
    reserve_limbs(state, 1);
    for (unsigned first = 0; first < EXACT_BINS; first += 32) {
        unsigned any = 0;
        for (unsigned k = first; k < first + 32; k++)
            any |= bins->count[k] > most;
        if (!any)
            continue;
        /* A last bit is worth 2^(field - 1) units of the limbs, that of subnormals as of field 1.
         * Doubled, 32 neighbours stay below 2^97. */
        const unsigned field = first & 0x7ff;
        uint128 total = 0;
        for (unsigned k = first; k < first + 32; k++) {
            const uint64_t count = bins->count[k], normal = (k & 0x7ff) != 0;
            if (count <= most)
                continue;
            const uint64_t sum = bins->sum[k] - count * ((k - normal) << 52);
            total += (uint128)sum << (normal ? k & 31 : 1);
            bins->sum[k] = 0;
            bins->count[k] = 0;
        }
        const int128 value = (int128)(field ? total : total >> 1);
        parsum_limbs_add(state->limb, EXACT_LIMBS, first < 0x800 ? value : -value,
                         field ? field - 1 : 0);
    }
}

/* Infinities and NaN, which were taken for numbers of the exponent field 0x7ff. */
static void take_special(exact_state *state, exact_bins *bins, const double *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(data[i]))
            parsum_exact_add_special(state, data[i]);
    for (unsigned k = 0x7ff; k < EXACT_BINS; k += 0x800) {
        bins->sum[k] = 0;
        bins->count[k] = 0;
    }
}

void parsum_bins_add(exact_state *state, exact_bins *bins, const double *data, size_t n)
{
    while (n) {
        const size_t count = n < EXACT_BIN_ADDS ? n : EXACT_BIN_ADDS;
        for (size_t i = 0; i < count; i++) {
            const uint64_t bits = bits_of(data[i]), k = bits >> 52;
            bins->sum[k] += bits;
            bins->count[k]++;
        }
        if (bins->count[0x7ff] | bins->count[0xfff])
            take_special(state, bins, data, count);
        uint16_t any = 0;
        for (unsigned k = 0; k < EXACT_BINS; k++)
            any |= bins->count[k];
        if (any > EXACT_BIN_ADDS)
            flush_bins(state, bins, EXACT_BIN_ADDS);
        data += count;
        n -= count;
    }
}

#define NARROW_COUNT 40 /* the bit where the count begins */

static void flush_narrow(exact_state *state, exact_bins *bins)
{
    /* To a limb, at most a number below 2^32 of each bin: together below 2^41. */
    reserve_limbs(state, 1);
    for (unsigned k = 0; k < EXACT_NARROW_BINS; k++) {
        const uint64_t count = bins->narrow[k] >> NARROW_COUNT;
        if (!count)
            continue;
        const unsigned field = k & 0xff;
        uint64_t sum = bins->narrow[k] & ((UINT64_C(1) << NARROW_COUNT) - 1);
        sum += field ? count << 23 : 0;
        /* The last bit is worth 2^(field - 150), that of subnormals as of field 1. */
        const unsigned position = (field ? field : 1) - 150 - EXACT_EXPONENT;
        parsum_limbs_add(state->limb, EXACT_LIMBS, k < 0x100 ? (int128)sum : -(int128)sum,
                         position);
        bins->narrow[k] = 0;
    }
    bins->narrow_adds = 0;
}

void parsum_narrow_bins_add(exact_state *state, exact_bins *bins, const float *data, size_t n)
{
    while (n) {
        if (bins->narrow_adds == EXACT_NARROW_ADDS)
            flush_narrow(state, bins);
        const size_t room = (size_t)(EXACT_NARROW_ADDS - bins->narrow_adds);
        const size_t count = n < room ? n : room;
        for (size_t i = 0; i < count; i++) {
            uint32_t bits;
            memcpy(&bits, &data[i], sizeof bits);
            bins->narrow[bits >> 23] += (bits & 0x7fffff) | UINT64_C(1) << NARROW_COUNT;
        }
        if (bins->narrow[0xff] | bins->narrow[0x1ff]) {
            for (size_t i = 0; i < count; i++)
                if (!isfinite(data[i]))
                    parsum_exact_add_special(state, (double)data[i]);
            bins->narrow[0xff] = bins->narrow[0x1ff] = 0;
        }
        bins->narrow_adds += (int)count;
        data += count;
        n -= count;
    }
}

void parsum_bins_flush(exact_state *state, exact_bins *bins)
{
    flush_bins(state, bins, 0);
    if (bins->narrow_adds)
        flush_narrow(state, bins);
}

void parsum_exact_restart(exact_state *state)
{
    const int32_t window = state->window;
    parsum_exact_identity(state);
    state->window = window;
}

void parsum_exact_combine(exact_state *state, const exact_state *other)
{
    state->count += other->count;
    state->seen |= other->seen;
    state->nan |= other->nan;
    state->plus_infinity |= other->plus_infinity;
    state->minus_infinity |= other->minus_infinity;
    state->overflow |= other->overflow;
    if (other->pending) {
        if (state->pending &&
            (state->window != other->window || state->pending + other->pending > WINDOW_PENDING))
            parsum_exact_flush(state);
        state->window = other->window;
        state->hi += other->hi;
        state->lo += other->lo;
        state->pending += other->pending;
    }
    if (!other->limbs_used)
        return;
    if (!state->limbs_used) {
        memcpy(state->limb, other->limb, sizeof state->limb);
        state->limbs_used = 1;
        state->limb_adds = other->limb_adds;
        return;
    }
    reserve_limbs(state, other->limb_adds + 1);
    for (int i = 0; i < EXACT_LIMBS; i++)
        state->limb[i] = wrapping_sum(state->limb[i], other->limb[i]);
    if (state->limb_adds > EXACT_LIMB_ADDS) {
        pass_carries(state->limb);
        state->limb_adds = 0;
    }
}

/* As the comments in exact.h have it. */
int parsum_exact_valid(const exact_state *state)
{
    const int no_window = state->window == WINDOW_NONE;
    if (state->pending < 0 || state->pending > (no_window ? 0 : WINDOW_PENDING))
        return 0;
    if (!no_window && (state->window < WINDOW_MIN || state->window > WINDOW_MAX))
        return 0;
    const int64_t most = (int64_t)state->pending << 56;
    if (state->hi < -most || state->hi > most || state->lo < -most || state->lo > most)
        return 0;
    if (state->seen > (SEEN_ANY | SEEN_NOT_MINUS_ZERO) || state->limbs_used > 1 || state->nan > 1 ||
        state->plus_infinity > 1 || state->minus_infinity > 1 || state->overflow > 1)
        return 0;
    if (!state->limbs_used)
        return 1;
    return state->limb_adds >= 0 && state->limb_adds <= EXACT_LIMB_ADDS &&
           limbs_are_valid(state->limb, EXACT_LIMBS,
                           (INT64_C(1) << 32) + ((int64_t)state->limb_adds << 53));
}

/* The binary formats: bits of the significand, exponent of the last bit of the least subnormal,
 * and exponent above the largest finite number. */
typedef struct {
    int precision, least, overflow;
} format;

static format format_of(int type)
{
    switch (type) {
    case PARSUM_FLOAT16:
        return (format){11, -24, 16};
    case PARSUM_FLOAT32:
        return (format){24, -149, 128};
    case PARSUM_LONGDOUBLE:
        return (format){LDBL_MANT_DIG, LDBL_MIN_EXP - LDBL_MANT_DIG, LDBL_MAX_EXP};
    default:
        return (format){53, -1074, 1024};
    }
}

void parsum_store(int type, double value, void *result)
{
    switch (type) {
    case PARSUM_FLOAT16: {
        uint64_t bits = bits_of(value);
        uint16_t half = (uint16_t)((bits >> 48) & 0x8000);
        int exponent = (int)((bits >> 52) & 0x7ff) - 1023;
        uint64_t fraction = bits & UINT64_C(0xfffffffffffff);
        if (exponent == 1024)
            half |= (uint16_t)(0x7c00 | (fraction ? 0x200 : 0));
        else if (exponent >= -14)
            half |= (uint16_t)(((uint64_t)(exponent + 15) << 10) | (fraction >> 42));
        else if (exponent >= -24)
            half |= (uint16_t)((fraction | (UINT64_C(1) << 52)) >> (28 - exponent));
        memcpy(result, &half, sizeof half);
        break;
    }
    case PARSUM_FLOAT32: {
        float narrow = (float)value;
        memcpy(result, &narrow, sizeof narrow);
        break;
    }
    case PARSUM_LONGDOUBLE: {
        long double wide = value;
        memset(result, 0, sizeof wide);
        memcpy(result, &wide, sizeof wide);
        break;
    }
    default:
        memcpy(result, &value, sizeof value);
    }
}

/* The result has at most `precision` bits of the magnitude and ends at the least subnormal or
 * above, so there is one rounding whatever the type. */
int parsum_round_magnitude(int negative, uint128 magnitude, int exponent, int sticky, int type,
                           void *result)
{
    const format target = format_of(type);
    uint64_t high = (uint64_t)(magnitude >> 64), low = (uint64_t)magnitude;
    int top = high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll(low);
    int drop = top + 1 - target.precision;
    if (drop < target.least - exponent)
        drop = target.least - exponent;
    if (drop > 0) {
        if (drop > top + 1) { /* below half of the least subnormal */
            parsum_store(type, negative ? -0.0 : 0.0, result);
            return 0;
        }
        uint128 half = (uint128)1 << (drop - 1);
        uint128 rest = magnitude & ((half << 1) - 1);
        magnitude = drop > 127 ? 0 : magnitude >> drop;
        exponent += drop;
        if (rest > half || (rest == half && (sticky || (magnitude & 1))))
            magnitude++;
        high = (uint64_t)(magnitude >> 64), low = (uint64_t)magnitude;
        if (magnitude == 0) {
            parsum_store(type, negative ? -0.0 : 0.0, result);
            return 0;
        }
        top = high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll(low);
    }
    if (top + exponent >= target.overflow) {
        parsum_store(type, negative ? -(double)INFINITY : (double)INFINITY, result);
        return PARSUM_OVERFLOW;
    }
    /* From here on every step is exact: the magnitude has at most `precision` bits. */
    if (type == PARSUM_LONGDOUBLE) {
        long double wide = ldexpl((long double)magnitude, exponent);
        wide = negative ? -wide : wide;
        memset(result, 0, sizeof wide);
        memcpy(result, &wide, sizeof wide);
        return 0;
    }
    double value;
    if (top + exponent >= -1022) {
        /* a normal number: put fraction and exponent in their places */
        uint64_t fraction = top <= 52 ? low << (52 - top) : low >> (top - 52);
        value = double_of((fraction & UINT64_C(0xfffffffffffff)) |
                          ((uint64_t)(top + exponent + 1023) << 52));
    } else {
        value = double_of(low << (exponent + 1074));
    }
    parsum_store(type, negative ? -value : value, result);
    return 0;
}

int parsum_round_int128(int128 sum, int exponent, int type, void *result)
{
    if (sum == 0) {
        parsum_store(type, 0.0, result);
        return 0;
    }
    return parsum_round_magnitude(sum < 0, sum < 0 ? -(uint128)sum : (uint128)sum, exponent, 0,
                                  type, result);
}

int parsum_round_double(double value, int type, void *result)
{
    int exponent;
    if (!isfinite(value) || value == 0 || type == PARSUM_FLOAT64 || type == PARSUM_LONGDOUBLE) {
        parsum_store(type, value, result);
        return 0;
    }
    if (type == PARSUM_FLOAT32) {
        const float narrow = (float)value;
        memcpy(result, &narrow, sizeof narrow);
        return isinf(narrow) ? PARSUM_OVERFLOW : 0;
    }
    const double fraction = frexp(value, &exponent);
    return parsum_round_int128((int128)ldexp(fraction, 53), exponent - 53, type, result);
}

static int round_limbs(int64_t *limb, int type, void *result)
{
    pass_carries(limb);
    int negative = limb[EXACT_LIMBS - 1] < 0;
    if (negative) {
        for (int i = 0; i < EXACT_LIMBS; i++)
            limb[i] = (int64_t)(0 - (uint64_t)limb[i]);
        pass_carries(limb);
    }
    int top = EXACT_LIMBS - 1;
    while (top > 0 && limb[top] == 0)
        top--;
    /* Limbs are in [0, 2^32) now. Four of them, and as many bits of the fifth as the topmost has
     * leading zeros, make a magnitude of 128 bits: more than any format's significand. */
    uint128 magnitude = 0;
    int taken = 0, i = top;
    for (; i >= 0 && taken < 4; i--, taken++)
        magnitude = (magnitude << 32) | (uint64_t)limb[i];
    int exponent = EXACT_EXPONENT + 32 * (i + 1);
    if (i >= 0) {
        int free_bits = limb[top] >> 32 ? 0 : __builtin_clz((uint32_t)limb[top]);
        if (free_bits) {
            magnitude = (magnitude << free_bits) | ((uint64_t)limb[i] >> (32 - free_bits));
            exponent -= free_bits;
        }
        int sticky = (((uint64_t)limb[i] << free_bits) & 0xffffffff) != 0;
        for (i--; i >= 0 && !sticky; i--)
            sticky = limb[i] != 0;
        if (magnitude == 0)
            return parsum_round_int128(0, 0, type, result);
        return parsum_round_magnitude(negative, magnitude, exponent, sticky, type, result);
    }
    if (magnitude == 0)
        return parsum_round_int128(0, 0, type, result);
    return parsum_round_magnitude(negative, magnitude, exponent, 0, type, result);
}

int parsum_exact_finish(const exact_state *state, int type, void *result)
{
    if (state->nan || (state->plus_infinity && state->minus_infinity)) {
        parsum_store(type, (double)NAN, result);
        return state->nan ? 0 : PARSUM_INVALID;
    }
    if (state->plus_infinity || state->minus_infinity) {
        parsum_store(type, state->plus_infinity ? (double)INFINITY : -(double)INFINITY, result);
        return 0;
    }
    if (state->seen == SEEN_ANY) {
        parsum_store(type, -0.0, result);
        return 0;
    }
    if (!state->limbs_used) {
        if (!state->pending)
            return parsum_round_int128(0, 0, type, result);
        return parsum_round_int128(exact_pending(state), state->window - WINDOW_LO, type, result);
    }
    exact_state copy = *state;
    if (copy.pending)
        parsum_exact_flush(&copy);
    return round_limbs(copy.limb, type, result);
}
