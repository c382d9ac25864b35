/* Big binary numbers: products, sums, and the rounding of quotients and square roots. */
#include "rational.h"

#include <math.h>

#include "parsum.h"

/* ---- making, adding and multiplying ---- */

static void trim(big *a)
{
    while (a->size && a->limb[a->size - 1] == 0)
        a->size--;
    if (a->size == 0)
        a->negative = 0;
}

/* Zeros at the low end cost time in every product; sums far above the base they are held to have
 * many. */
static void trim_low(big *a)
{
    int zeros = 0;
    while (zeros < a->size && a->limb[zeros] == 0)
        zeros++;
    if (!zeros)
        return;
    a->size -= zeros;
    a->exponent += 32 * zeros;
    memmove(a->limb, a->limb + zeros, (size_t)a->size * sizeof *a->limb);
}

/* Turns a negative number in two's complement to its magnitude. */
static void negate_limbs(big *a)
{
    uint64_t carry = 1;
    for (int i = 0; i < a->size; i++) {
        carry += (uint32_t)~a->limb[i];
        a->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

void big_from_limbs(const int64_t *limbs, int count, int exponent, big *out)
{
    int first = 0, n = 0;
    while (first < count && limbs[first] == 0)
        first++;
    while (count > first && limbs[count - 1] == 0)
        count--;
    int64_t carry = 0; /* from -2^31 to 2^31 */
    for (int i = first; i < count; i++) {
        carry = wrapping_sum(carry, limbs[i]);
        out->limb[n++] = (uint32_t)carry;
        carry >>= 32;
    }
    out->limb[n++] = (uint32_t)carry;
    out->size = n;
    out->exponent = exponent + 32 * first;
    out->negative = carry < 0;
    if (out->negative)
        negate_limbs(out);
    trim(out);
    trim_low(out);
}

static void from_magnitude(uint128 magnitude, int negative, int exponent, big *out)
{
    out->negative = negative;
    out->exponent = exponent;
    out->size = 4;
    for (int i = 0; i < 4; i++)
        out->limb[i] = (uint32_t)(magnitude >> (32 * i));
    trim(out);
    trim_low(out);
}

void big_from_int128(int128 value, int exponent, big *out)
{
    from_magnitude(value < 0 ? -(uint128)value : (uint128)value, value < 0, exponent, out);
}

void big_from_uint64(uint64_t value, big *out)
{
    from_magnitude(value, 0, 0, out);
}

void big_from_double(double value, big *out)
{
    const uint64_t bits = bits_of(value);
    const int exponent = (int)(bits >> 52 & 0x7ff);
    const uint64_t fraction = bits & UINT64_C(0xfffffffffffff);
    from_magnitude(exponent ? fraction | UINT64_C(1) << 52 : fraction, (int)(bits >> 63),
                   (exponent ? exponent : 1) - 1075, out);
}

void big_from_exact(const exact_state *state, big *out)
{
    const int128 sum = exact_pending(state);
    if (!state->limbs_used) {
        big_from_int128(sum, state->pending ? state->window - WINDOW_LO : 0, out);
        return;
    }
    if (!state->pending) {
        big_from_limbs(state->limb, EXACT_LIMBS, EXACT_EXPONENT, out);
        return;
    }
    big window, limbs;
    big_from_int128(sum, state->window - WINDOW_LO, &window);
    big_from_limbs(state->limb, EXACT_LIMBS, EXACT_EXPONENT, &limbs);
    big_add(&window, &limbs, out);
}

static void copy(const big *a, int negative, big *out)
{
    out->negative = a->size ? negative : 0;
    out->size = a->size;
    out->exponent = a->exponent;
    memcpy(out->limb, a->limb, (size_t)a->size * sizeof *a->limb);
}

static uint32_t limb_at(const big *a, int i)
{
    return i >= 0 && i < a->size ? a->limb[i] : 0;
}

static void add_signed(const big *a, const big *b, int negate, big *out)
{
    int a_negative = a->negative, b_negative = b->negative ^ negate;
    if (big_is_zero(b)) {
        copy(a, a_negative, out);
        return;
    }
    if (big_is_zero(a)) {
        copy(b, b_negative, out);
        return;
    }
    if (a->exponent > b->exponent) {
        const big *other = a;
        const int other_negative = a_negative;
        a = b, a_negative = b_negative;
        b = other, b_negative = other_negative;
    }
    /* b is shifted up to a's exponent: limb i of it is made of two neighbours. */
    const int shift = b->exponent - a->exponent, words = shift >> 5, bits = shift & 31;
    const int b_size = b->size + words + (bits != 0);
    const int subtract = a_negative != b_negative;
    int64_t carry = 0; /* -1, 0 or 1 */
    out->size = (a->size > b_size ? a->size : b_size) + 1;
    out->exponent = a->exponent;
    for (int i = 0; i < out->size; i++) {
        const uint64_t pair = (uint64_t)limb_at(b, i - words) << 32 | limb_at(b, i - words - 1);
        const int64_t shifted = (int64_t)(uint32_t)(pair >> (32 - bits));
        carry += (int64_t)limb_at(a, i) + (subtract ? -shifted : shifted);
        out->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    out->negative = a_negative;
    if (carry < 0) { /* |b| > |a| */
        negate_limbs(out);
        out->negative = b_negative;
    }
    trim(out);
}

void big_add(const big *a, const big *b, big *out)
{
    add_signed(a, b, 0, out);
}

void big_subtract(const big *a, const big *b, big *out)
{
    add_signed(a, b, 1, out);
}

void big_multiply(const big *a, const big *b, big *out)
{
    out->size = a->size + b->size;
    out->negative = a->negative ^ b->negative;
    out->exponent = a->exponent + b->exponent;
    memset(out->limb, 0, (size_t)out->size * sizeof *out->limb);
    for (int i = 0; i < a->size; i++) {
        const uint64_t factor = a->limb[i];
        uint64_t carry = 0; /* (2^32 - 1)^2 + 2 (2^32 - 1) is below 2^64 */
        for (int j = 0; j < b->size; j++) {
            carry += factor * b->limb[j] + out->limb[i + j];
            out->limb[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        out->limb[i + b->size] = (uint32_t)carry;
    }
    trim(out);
}

/* ---- rounding ---- */

/* Most limbs of a quotient: a root of 128 bits takes one of 256. */
#define QUOTIENT_MAX 8

/* Writes the topmost 32 * size bits of a to `out`, the first of them `lead` places below the top;
 * zeros follow where a ends. a is out * 2^exponent and, if the return value is not zero, something
 * less than 2^exponent. */
static int take_top(const big *a, int lead, int size, uint32_t *out, int *exponent)
{
    const int top = 32 * a->size - 1 - __builtin_clz(a->limb[a->size - 1]);
    const int shift = top - (32 * size - 1 - lead); /* out = a / 2^shift, rounded down */
    const int words = shift >> 5, bits = shift & 31;
    for (int i = 0; i < size; i++) {
        const uint64_t pair = (uint64_t)limb_at(a, i + words + 1) << 32 | limb_at(a, i + words);
        out[i] = (uint32_t)(pair >> bits);
    }
    *exponent = a->exponent + shift;
    if (shift <= 0)
        return 0;
    uint32_t rest = limb_at(a, words) & ((UINT32_C(1) << bits) - 1);
    for (int i = 0; i < words && i < a->size && !rest; i++)
        rest = a->limb[i];
    return rest != 0;
}

int big_round(const big *a, int type, void *result)
{
    uint32_t limbs[4];
    int exponent;
    if (big_is_zero(a))
        return parsum_round_int128(0, 0, type, result);
    const int sticky = take_top(a, 0, 4, limbs, &exponent);
    const uint64_t low = limbs[0] | (uint64_t)limbs[1] << 32;
    const uint64_t high = limbs[2] | (uint64_t)limbs[3] << 32;
    return parsum_round_magnitude(a->negative, (uint128)high << 64 | low, exponent, sticky, type,
                                  result);
}

/* Knuth's algorithm D (The Art of Computer Programming, volume 2, 4.3.1): divides `rest`, of size +
 * digits limbs, by `divisor`, of `size` >= 2 limbs and with its top bit set; the topmost `size`
 * limbs of `rest` are below the divisor. What is left in `rest` is the remainder. */
static void divide(uint32_t *rest, const uint32_t *divisor, int size, int digits,
                   uint32_t *quotient)
{
    const uint64_t first = divisor[size - 1], second = divisor[size - 2];
    for (int k = digits - 1; k >= 0; k--) {
        uint32_t *part = rest + k;
        const uint64_t top = (uint64_t)part[size] << 32 | part[size - 1];
        uint64_t digit = top / first, over = top % first;
        while (digit >> 32 || digit * second > (over << 32 | part[size - 2])) {
            digit--;
            over += first;
            if (over >> 32)
                break;
        }
        uint64_t carry = 0;
        int64_t borrow = 0;
        for (int i = 0; i < size; i++) {
            carry += digit * divisor[i];
            borrow += (int64_t)part[i] - (int64_t)(uint32_t)carry;
            part[i] = (uint32_t)borrow;
            carry >>= 32;
            borrow >>= 32;
        }
        borrow += (int64_t)part[size] - (int64_t)carry;
        part[size] = (uint32_t)borrow;
        if (borrow < 0) { /* the digit was one too large, as happens twice in 2^32 */
            digit--;
            carry = 0;
            for (int i = 0; i < size; i++) {
                carry += (uint64_t)part[i] + divisor[i];
                part[i] = (uint32_t)carry;
                carry >>= 32;
            }
            part[size] += (uint32_t)carry;
        }
        quotient[k] = (uint32_t)digit;
    }
}

/* The leading bits of |numerator / denominator|: `quotient`, of `digits` limbs, times 2^exponent;
 * returns whether there is a rest. With b limbs of the denominator, 2^(32b-1) <= divisor <
 * 2^(32b), and the numerator is scaled to one of
 *   2^(32(b+digits)-2) <= dividend < 2^(32(b+digits)-1), or half of that if `even` asks for it.
 * So 2^(32 digits - 3) < quotient < 2^(32 digits), and algorithm D may begin: the dividend is below
 * the divisor times 2^(32 digits). What of the numerator is below the dividend is below one unit
 * of it: it cannot change the quotient, only make the remainder nonzero. */
static int leading_quotient(const big *numerator, const big *denominator, int digits, int even,
                            uint32_t *quotient, int *exponent)
{
    uint32_t divisor[BIG_LIMBS], rest[BIG_LIMBS + QUOTIENT_MAX];
    int below, above;
    const int size = denominator->size < 2 ? 2 : denominator->size;
    take_top(denominator, 0, size, divisor, &below);
    /* The exponent of the dividend falls by one for each place that its top bit rises. */
    const int top = 32 * numerator->size - 1 - __builtin_clz(numerator->limb[numerator->size - 1]);
    above = numerator->exponent + top - (32 * (size + digits) - 2);
    const int lead = even && ((above - below) & 1) ? 2 : 1;
    const int sticky = take_top(numerator, lead, size + digits, rest, &above);
    divide(rest, divisor, size, digits, quotient);
    *exponent = above - below;
    uint32_t left = 0;
    for (int i = 0; i < size && !left; i++)
        left = rest[i];
    return sticky || left;
}

static uint128 joined(const uint32_t *limbs)
{
    return (uint128)(limbs[2] | (uint64_t)limbs[3] << 32) << 64 |
           (limbs[0] | (uint64_t)limbs[1] << 32);
}

static int no_quotient(const big *numerator, int type, void *result)
{
    if (big_is_zero(numerator)) {
        parsum_store(type, (double)NAN, result);
        return PARSUM_INVALID;
    }
    parsum_store(type, numerator->negative ? -(double)INFINITY : (double)INFINITY, result);
    return PARSUM_DIVIDE;
}

/* 61 bits or more, and whether there is more, round to any type but the widest; 125 to every one:
 * no format here has more than 113. */
static int is_wide(int type)
{
    return type == PARSUM_LONGDOUBLE;
}

int big_round_quotient(const big *numerator, const big *denominator, int type, void *result)
{
    uint32_t quotient[4] = {0};
    int exponent;
    if (big_is_zero(denominator))
        return no_quotient(numerator, type, result);
    if (big_is_zero(numerator))
        return parsum_round_int128(0, 0, type, result);
    const int sticky =
        leading_quotient(numerator, denominator, is_wide(type) ? 4 : 2, 0, quotient, &exponent);
    return parsum_round_magnitude(numerator->negative ^ denominator->negative, joined(quotient),
                                  exponent, sticky, type, result);
}

/* The estimate is off by some 2^11 of 2^64, one step of Newton's method by less than 2 (its error
 * is the square of the former over the root); but only the loops are trusted, which end at the root
 * whatever they begin with. */
uint64_t big_root_128(uint128 a, uint128 *left)
{
    const double estimate = sqrt((double)a);
    uint64_t root = estimate < 0x1p64 ? (uint64_t)estimate : UINT64_MAX;
    const int128 error = (int128)(a - (uint128)root * root);
    /* |error| < 2^78, so the correction is small */
    const int64_t correction = (int64_t)((double)error / (2 * estimate));
    if (correction < 0 || root <= UINT64_MAX - (uint64_t)correction)
        root += (uint64_t)correction;
    while ((uint128)root * root > a)
        root--;
    uint128 rest = a - (uint128)root * root;
    while (rest > 2 * (uint128)root) {
        rest -= 2 * (uint128)root + 1;
        root++;
    }
    *left = rest;
    return root;
}

/* floor(sqrt(a)) of a = high * 2^128 + low, high >= 2^125, and whether it is not exact. One step of
 * Zimmermann's "Karatsuba Square Root" (1999): with upper = floor(sqrt(high)), high = upper^2 +
 * rest, the root is upper * 2^64 + lower, or less, where
 *   lower = floor((rest * 2^64 + (low >> 64)) / (2 upper)), or 2^64 - 1 if that is less.
 * It is not more: with the former, a - root^2 < 2 upper * 2^64; with the latter, root + 1 is
 * (upper + 1) * 2^64, whose square is above a. */
static uint128 root_256(uint128 high, uint128 low, int *inexact)
{
    uint128 rest;
    const uint64_t upper = big_root_128(high, &rest);
    /* rest <= 2 upper < 2^65; halving both sides of the fraction changes no floor */
    uint128 lower = (rest << 63 | low >> 65) / upper;
    lower = lower > UINT64_MAX ? UINT64_MAX : lower;
    uint128 root = (uint128)upper << 64 | lower;
    /* a - root^2 = (rest * 2^64 + (low >> 64) - 2 upper lower) * 2^64 + low % 2^64 - lower^2, as
     * `over` * 2^64 + `under`. What is in the parentheses is from 0 to 2^66, so that taking it
     * modulo 2^128 does no harm. */
    const uint128 square = lower * lower;
    int128 over = (int128)((rest << 64 | low >> 64) - 2 * (uint128)upper * lower);
    over -= (int128)(square >> 64);
    uint64_t under = (uint64_t)low;
    over -= under < (uint64_t)square;
    under -= (uint64_t)square;
    while (over < 0) { /* once or twice; a - (root - 1)^2 is 2 root - 1 more */
        root--;
        const uint128 more = 2 * root + 1;
        under += (uint64_t)more;
        over += (int128)((root >> 127) << 64 | more >> 64) + (under < (uint64_t)more);
    }
    *inexact = over != 0 || under != 0;
    return root;
}

/* With quotient = floor(x), floor(sqrt(quotient)) is floor(sqrt(x)), as a square of an integer is
 * at most x exactly if it is at most floor(x); and it is the root of x itself only if both have
 * nothing left. The quotient is above 2^125 (2^253), so the root has 63 bits (127) or more. */
int big_round_root(const big *numerator, const big *denominator, int type, void *result)
{
    uint32_t quotient[QUOTIENT_MAX];
    int exponent;
    if (big_is_zero(denominator) && !numerator->negative)
        return no_quotient(numerator, type, result);
    if (big_is_zero(numerator))
        return parsum_round_int128(0, 0, type, result);
    if (numerator->negative != denominator->negative) {
        parsum_store(type, (double)NAN, result);
        return PARSUM_INVALID;
    }
    if (is_wide(type)) {
        int inexact = leading_quotient(numerator, denominator, 8, 1, quotient, &exponent), more;
        const uint128 root = root_256(joined(quotient + 4), joined(quotient), &more);
        return parsum_round_magnitude(0, root, exponent / 2, inexact || more, type, result);
    }
    const int inexact = leading_quotient(numerator, denominator, 4, 1, quotient, &exponent);
    uint128 rest;
    const uint64_t root = big_root_128(joined(quotient), &rest);
    return parsum_round_magnitude(0, root, exponent / 2, inexact || rest != 0, type, result);
}

/* ---- variances ---- */

/* count - ddof, or zero if that is less; exact. ddof is finite. */
static void degrees_of_freedom(uint64_t count, double ddof, big *out)
{
    if (ddof >= 0 && ddof <= 0x1p53 && ddof == floor(ddof)) {
        const uint64_t whole = (uint64_t)ddof;
        big_from_uint64(count > whole ? count - whole : 0, out);
        return;
    }
    big all, less;
    big_from_uint64(count, &all);
    big_from_double(ddof, &less);
    big_subtract(&all, &less, out);
    if (out->negative)
        big_from_uint64(0, out);
}

/* sum += sign * 2^shift * a * b */
static void add_product(big *sum, int negate, int shift, const big *a, const big *b)
{
    big product, before;
    if (big_is_zero(a) || big_is_zero(b))
        return;
    big_multiply(a, b, &product);
    product.exponent += shift;
    copy(sum, sum->negative, &before);
    add_signed(&before, &product, negate, sum);
}

/* numerator / (factor * (count - ddof)), or its root; factor is NULL for 1. */
static int round_over_freedom(const big *numerator, const big *factor, uint64_t count, double ddof,
                              int root, int type, void *result)
{
    big freedom, denominator;
    if (isnan(ddof)) {
        parsum_store(type, (double)NAN, result);
        return 0;
    }
    if (isinf(ddof) && ddof < 0) {
        parsum_store(type, 0.0, result);
        return 0;
    }
    degrees_of_freedom(count, isinf(ddof) ? 0x1p64 : ddof, &freedom);
    if (factor)
        big_multiply(factor, &freedom, &denominator);
    else
        copy(&freedom, 0, &denominator);
    return root ? big_round_root(numerator, &denominator, type, result)
                : big_round_quotient(numerator, &denominator, type, result);
}

int big_round_variance(const big *s1, const big *s1_imaginary, const big *s2, uint64_t count,
                       double ddof, int root, int type, void *result)
{
    big numerator, n;
    big_from_uint64(count, &n);
    big_multiply(&n, s2, &numerator);
    add_product(&numerator, 1, 0, s1, s1);
    if (s1_imaginary)
        add_product(&numerator, 1, 0, s1_imaginary, s1_imaginary);
    return round_over_freedom(&numerator, &n, count, ddof, root, type, result);
}

int big_round_variance_about(const big *s1, const big *s1_imaginary, const big *s2, uint64_t count,
                             double mean, double mean_imaginary, double ddof, int root, int type,
                             void *result)
{
    big numerator, n, m, square;
    const big *sums[2] = {s1, s1_imaginary};
    const double means[2] = {mean, s1_imaginary ? mean_imaginary : 0.0};
    if (isnan(means[0]) || isnan(means[1]) || isinf(means[0]) || isinf(means[1])) {
        /* every distance is NaN or infinite */
        if (!count)
            return round_over_freedom(&(big){.size = 0}, NULL, count, ddof, root, type, result);
        const int is_nan = isnan(means[0]) || isnan(means[1]) || isnan(ddof);
        parsum_store(type, is_nan ? (double)NAN : (double)INFINITY, result);
        return 0;
    }
    big_from_uint64(count, &n);
    copy(s2, s2->negative, &numerator);
    for (int k = 0; k < 2 && sums[k]; k++) {
        big_from_double(means[k], &m);
        big_multiply(&m, &m, &square);
        add_product(&numerator, 1, 1, &m, sums[k]);
        add_product(&numerator, 0, 0, &square, &n);
    }
    return round_over_freedom(&numerator, NULL, count, ddof, root, type, result);
}

/* ---- skewness and kurtosis ---- */

/* sum -= 3 * a */
static void subtract_thrice(big *sum, const big *a)
{
    big three;
    big_from_uint64(3, &three);
    add_product(sum, 1, 0, &three, a);
}

/* With n = count, the central moments are m2 = v / n^2, m3 = t / n^3 and m4 = f / n^4, where
 *   v = n s2 - s1^2
 *   t = n^2 s3 - 3 n s1 s2 + 2 s1^3               = n (n s3 - s1 s2) - 2 s1 v
 *   f = n^3 s4 - 4 n^2 s1 s3 + 6 n s1^2 s2 - 3 s1^4 = n^2 (n s4 - s1 s3) - 3 s1 (t + s1 v)
 * and every n cancels:
 *   skewness      m3 / m2^(3/2) = t / v^(3/2), of the sign of t and of the square t^2 / v^3
 *   kurtosis - 3  m4 / m2^2 - 3 = (f - 3 v^2) / v^2
 */
void big_round_shape(const big *s1, const big *s2, const big *s3, const big *s4, uint64_t count,
                     double *skewness, double *kurtosis)
{
    big n, v, t, f, v2, v3, a, b;
    big_from_uint64(count, &n);
    big_multiply(&n, s2, &v);
    add_product(&v, 1, 0, s1, s1);
    if (big_is_zero(&v)) {
        *skewness = *kurtosis = (double)NAN;
        return;
    }
    trim_low(&v);
    big_multiply(&v, &v, &v2);
    big_multiply(&n, s3, &a);
    add_product(&a, 1, 0, s1, s2);
    big_multiply(&n, &a, &t);
    add_product(&t, 1, 1, s1, &v);

    big_multiply(&t, &t, &a);
    big_multiply(&v2, &v, &v3);
    big_round_root(&a, &v3, PARSUM_FLOAT64, skewness);
    if (t.negative)
        *skewness = -*skewness;

    big_multiply(&n, s4, &a);
    add_product(&a, 1, 0, s1, s3);
    big_multiply(&n, &a, &b);
    big_multiply(&n, &b, &f);
    copy(&t, t.negative, &a);
    add_product(&a, 0, 0, s1, &v);
    big_multiply(s1, &a, &b);
    subtract_thrice(&f, &b);
    subtract_thrice(&f, &v2);
    big_round_quotient(&f, &v2, PARSUM_FLOAT64, kurtosis);
}
