/* Integers of 256 bits: what exact sums of like-sized numbers end as, where rational.h would spend
 * its time on bookkeeping. */
#ifndef PARSUM_WIDE_H
#define PARSUM_WIDE_H

#include <math.h>

#include "exact.h"
#include "parsum.h"
#include "rational.h"

/* The least significant word first. */
typedef struct {
    uint64_t word[4];
} wide;

static inline int wide_is_zero(const wide *a)
{
    return !(a->word[0] | a->word[1] | a->word[2] | a->word[3]);
}

/* Of a number in two's complement, whose sign is set. */
static inline void wide_negate(wide *a)
{
    uint64_t carry = 1;
    for (int k = 0; k < 4; k++) {
        a->word[k] = ~a->word[k] + carry;
        carry = carry && a->word[k] == 0;
    }
}

/* high * 2^places + low in two's complement, 0 < places < 64. */
static inline wide wide_joined(int128 high, int places, int128 low)
{
    const uint128 h = (uint128)high;
    const uint64_t sign = high < 0 ? UINT64_MAX : 0, low_sign = low < 0 ? UINT64_MAX : 0;
    wide sum = {{(uint64_t)h << places, (uint64_t)(h >> (64 - places)),
                 sign << places | (uint64_t)(h >> 64) >> (64 - places), sign}};
    uint128 part = (uint128)sum.word[0] + (uint64_t)low;
    sum.word[0] = (uint64_t)part;
    part = (uint128)sum.word[1] + (uint64_t)((uint128)low >> 64) + (uint64_t)(part >> 64);
    sum.word[1] = (uint64_t)part;
    part = (uint128)sum.word[2] + low_sign + (uint64_t)(part >> 64);
    sum.word[2] = (uint64_t)part;
    sum.word[3] += low_sign + (uint64_t)(part >> 64);
    return sum;
}

/* a += b * factor; the sum is to fit. */
static inline void wide_add_product(wide *a, const wide *b, uint64_t factor)
{
    uint64_t carry = 0;
    for (int k = 0; k < 4; k++) {
        const uint128 part = (uint128)b->word[k] * factor + a->word[k] + carry;
        a->word[k] = (uint64_t)part;
        carry = (uint64_t)(part >> 64);
    }
}

/* a^2 */
static inline wide wide_square(uint128 a)
{
    const uint64_t low = (uint64_t)a, high = (uint64_t)(a >> 64);
    const uint128 lows = (uint128)low * low, highs = (uint128)high * high;
    const uint128 mixed = (uint128)low * high;
    wide square = {
        {(uint64_t)lows, (uint64_t)(lows >> 64), (uint64_t)highs, (uint64_t)(highs >> 64)}};
    const wide twice = {
        {0, (uint64_t)mixed << 1, (uint64_t)(mixed >> 63), (uint64_t)(mixed >> 127)}};
    wide_add_product(&square, &twice, 1);
    return square;
}

/* a -= b, which is not more than a. */
static inline void wide_subtract(wide *a, const wide *b)
{
    uint64_t borrow = 0;
    for (int k = 0; k < 4; k++) {
        const uint128 part = (uint128)a->word[k] - b->word[k] - borrow;
        a->word[k] = (uint64_t)part;
        borrow = (uint64_t)(part >> 64) & 1;
    }
}

/* Bits before the topmost that is set; a is not zero. */
static inline int wide_leading_zeros(const wide *a)
{
    int zeros = 0, k = 3;
    for (; a->word[k] == 0; k--)
        zeros += 64;
    return zeros + __builtin_clzll(a->word[k]);
}

/* a * 2^places, 0 <= places < 256; what does not fit is lost. */
static inline wide wide_shifted(const wide *a, int places)
{
    const int words = places >> 6, bits = places & 63;
    wide out;
    for (int k = 0; k < 4; k++) {
        const uint64_t high = k >= words ? a->word[k - words] : 0;
        const uint64_t low = k > words ? a->word[k - words - 1] : 0;
        out.word[k] = bits ? high << bits | low >> (64 - bits) : high;
    }
    return out;
}

/* Writes the nearest value of the type to a * 2^exponent; a is not zero. */
static inline int wide_round(int negative, const wide *a, int exponent, int type, void *result)
{
    const int zeros = wide_leading_zeros(a);
    const wide top = wide_shifted(a, zeros);
    const uint128 magnitude = (uint128)top.word[3] << 64 | top.word[2];
    return parsum_round_magnitude(negative, magnitude, exponent + 128 - zeros,
                                  (top.word[0] | top.word[1]) != 0, type, result);
}

/* The same to a / divisor * 2^exponent, or its root. The type has less than 62 bits. */
static inline int wide_round_quotient(const wide *a, uint64_t divisor, int exponent, int root,
                                      int type, void *result)
{
    if (wide_is_zero(a))
        return parsum_round_int128(0, 0, type, result);
    const int zeros = wide_leading_zeros(a), divisor_zeros = __builtin_clzll(divisor);
    /* a = top * 2^(128 - zeros), of 256 bits, divisor = d * 2^-divisor_zeros, so that
     * a / divisor = (top / 2^128) / d * 2^(256 - zeros + divisor_zeros). */
    wide top = wide_shifted(a, zeros);
    const uint64_t d = divisor << divisor_zeros;
    exponent += 256 - zeros + divisor_zeros - 128;
    /* The first 128 bits are halved at least, below d * 2^64; roots want an even exponent. */
    const int down = root && !(exponent & 1) ? 2 : 1;
    uint64_t lost = (top.word[0] | top.word[1] << (64 - down)) != 0;
    const uint64_t next = top.word[2] << (64 - down) | top.word[1] >> down;
    const uint128 first = ((uint128)top.word[3] << 64 | top.word[2]) >> down;
    exponent += down;
    const uint64_t quotient = (uint64_t)(first / d), rest = (uint64_t)(first % d);
    if (!root)
        return parsum_round_magnitude(0, quotient, exponent, (rest | next | lost) != 0, type,
                                      result);
    const uint128 second = (uint128)rest << 64 | next;
    const uint128 all = (uint128)quotient << 64 | (uint64_t)(second / d);
    uint128 left;
    lost |= (uint64_t)(second % d) != 0;
    exponent -= 64;
    const uint64_t whole = big_root_128(all, &left);
    return parsum_round_magnitude(0, whole, exponent / 2, lost || left != 0, type, result);
}

#endif
