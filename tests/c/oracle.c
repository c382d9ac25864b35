/* Exact sums in long integers, and rounding by hand. */
#include "oracle.h"

#include <math.h>
#include <string.h>

void oracle_clear(oracle *sum)
{
    memset(sum, 0, sizeof *sum);
}

/* The significand and the exponent of its last bit. */
static uint64_t take_apart(double value, int *exponent)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const int field = (int)(bits >> 52 & 0x7ff);
    const uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    *exponent = (field ? field : 1) - 1075;
    return field ? fraction | UINT64_C(1) << 52 : fraction;
}

/* Adds or subtracts high * 2^64 + low, times 2^position. */
static void shifted(oracle *sum, int negative, uint64_t high, uint64_t low, int position)
{
    const int limb = position / 64, by = position % 64;
    uint64_t words[3] = {low << by, high << by, 0};
    if (by) {
        words[1] |= low >> (64 - by);
        words[2] = high >> (64 - by);
    }
    uint64_t carry = 0;
    for (int k = limb; k < ORACLE_LIMBS; k++) {
        const uint64_t word = k - limb < 3 ? words[k - limb] : 0, before = sum->limb[k];
        if (negative) {
            const uint64_t less = before - word;
            sum->limb[k] = less - carry;
            carry = (uint64_t)(before < word) | (uint64_t)(less < carry);
        } else {
            const uint64_t more = before + word;
            sum->limb[k] = more + carry;
            carry = (uint64_t)(more < word) | (uint64_t)(sum->limb[k] < carry);
        }
    }
}

static void see(oracle *sum, double value)
{
    sum->seen = 1;
    sum->nan |= isnan(value);
    sum->plus_infinity |= isinf(value) && value > 0;
    sum->minus_infinity |= isinf(value) && value < 0;
    sum->not_minus_zero |= value != 0 || !signbit(value);
}

void oracle_add(oracle *sum, double value)
{
    int exponent;
    see(sum, value);
    if (!isfinite(value))
        return;
    const uint64_t significand = take_apart(value, &exponent);
    shifted(sum, signbit(value) != 0, 0, significand, exponent + ORACLE_POINT);
}

void oracle_add_product(oracle *sum, double a, double b)
{
    int exponents[2];
    const int finite = isfinite(a) && isfinite(b);
    see(sum, finite ? 0.0 : a * b); /* a sum of products that is zero is positive */
    if (!finite)
        return;
    const uint64_t x = take_apart(a, &exponents[0]), y = take_apart(b, &exponents[1]);
    const uint64_t mask = 0xffffffff;
    const uint64_t middle = (x >> 32) * (y & mask) + ((x & mask) * (y & mask) >> 32);
    const uint64_t other = (x & mask) * (y >> 32) + (middle & mask);
    const uint64_t high = (x >> 32) * (y >> 32) + (middle >> 32) + (other >> 32);
    shifted(sum, signbit(a) != signbit(b), high, x * y, exponents[0] + exponents[1] + ORACLE_POINT);
}

static int bit(const uint64_t *limb, int at)
{
    return at >= 0 && (int)(limb[at / 64] >> at % 64 & 1);
}

/* One bit at a time: slow, and there is nothing in it to be wrong. Returns the remainder. */
static uint64_t divide(uint64_t *limb, uint64_t by)
{
    uint64_t rest = 0;
    for (int at = ORACLE_LIMBS * 64 - 1; at >= 0; at--) {
        rest = rest << 1 | (uint64_t)bit(limb, at);
        limb[at / 64] &= ~(UINT64_C(1) << at % 64);
        if (rest >= by) {
            rest -= by;
            limb[at / 64] |= UINT64_C(1) << at % 64;
        }
    }
    return rest;
}

uint64_t oracle_round(const oracle *sum, uint64_t count, int fraction, int exponent)
{
    const uint64_t infinity = ((UINT64_C(1) << exponent) - 1) << fraction;
    const uint64_t minus = UINT64_C(1) << (fraction + exponent);
    if (sum->nan || (sum->plus_infinity && sum->minus_infinity))
        return infinity | UINT64_C(1) << (fraction - 1);
    if (sum->plus_infinity || sum->minus_infinity)
        return infinity | (sum->minus_infinity ? minus : 0);

    oracle magnitude = *sum;
    const int negative = (int)(sum->limb[ORACLE_LIMBS - 1] >> 63);
    if (negative) {
        uint64_t carry = 1;
        for (int k = 0; k < ORACLE_LIMBS; k++) {
            magnitude.limb[k] = ~magnitude.limb[k] + carry;
            carry &= magnitude.limb[k] == 0;
        }
    }
    int sticky = count > 1 && divide(magnitude.limb, count) != 0;
    int top = ORACLE_LIMBS * 64 - 1;
    while (top >= 0 && !bit(magnitude.limb, top))
        top--;
    if (top < 0)
        return sum->seen && !sum->not_minus_zero ? minus : 0;

    /* The last bit that the format has: of a normal number, or of the subnormals. */
    const int least = 2 - (1 << (exponent - 1)) - fraction + ORACLE_POINT;
    const int last = top - fraction > least ? top - fraction : least;
    uint64_t kept = 0;
    for (int at = top; at >= last; at--)
        kept = kept << 1 | (uint64_t)bit(magnitude.limb, at);
    for (int at = last - 2; at >= 0 && !sticky; at--)
        sticky = bit(magnitude.limb, at);
    const int up = bit(magnitude.limb, last - 1) && (sticky || (kept & 1));
    /* Adding the significand, its leading bit and all, to the exponent carries where it should. */
    uint64_t bits = ((uint64_t)(last - least) << fraction) + kept + (uint64_t)up;
    if (bits > infinity)
        bits = infinity;
    return bits | (negative ? minus : 0);
}
