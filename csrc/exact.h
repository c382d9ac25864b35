/* The exact state of a floating-point sum: a superaccumulator with room for every double, a
 * window's pending totals in front of it, and what IEEE 754 asks to remember of special values.
 *
 * Limb i is a signed 64-bit integer of weight 2^(32 i - 1074). Limbs overlap: each holds 32 bits of
 * the sum and 31 bits of carries not yet passed on, so an element is two plain additions (Neal,
 * "Fast exact summation using small and large superaccumulators", 2015).
 *
 * Homogeneous data never reach the limbs. A window w takes nonzero |v| in [2^w, 2^(w+32)); its sums
 * are kept as two integers, `hi` in units of 2^(w-10) and `lo` in units of 2^(w-52); see
 * sum_body.h for where those units come from. */
#ifndef PARSUM_EXACT_H
#define PARSUM_EXACT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

/* Bit 0 of limb 0 is the last bit of the least subnormal. The largest double ends at bit 2097,
 * 2^64 of them at bit 2161, in limb 67. */
#define EXACT_LIMBS 68
#define EXACT_EXPONENT (-1074)
/* After carries are passed on |limb| < 2^32; an addition adds less than 2^53; 2^63 / 2^53 = 1024.
 */
#define EXACT_LIMB_ADDS 1000

/* Window exponents: the floor 2^w is a normal number whose ulp, 2^(w-52), limb 0 still has; and the
 * accumulators at 1.5 * 2^(w+42) are finite. */
#define WINDOW_MIN (-1022)
#define WINDOW_MAX 980
#define WINDOW_NONE INT32_MIN
#define WINDOW_SPAN 32 /* binades that a window takes in */
#define WINDOW_HI 10   /* hi counts units of 2^(w - 10) */
#define WINDOW_LO 52   /* lo counts units of 2^(w - 52) */
/* The accumulators' offsets: 1.5 * 2^(w + WINDOW_OFFSET) has the ulp 2^(w-10), 1.5 * 2^w has the
 * ulp 2^(w-52). */
#define WINDOW_OFFSET 42
/* Additions that one accumulator takes before its integer is read off: 2^9; see sum_body.h. */
#define WINDOW_ADDS 512
/* A pending sum from the kernels is below 2^56 units; 64 of them stay below 2^62. */
#define WINDOW_PENDING 64

enum {
    SEEN_ANY = 1,           /* an element was taken in */
    SEEN_NOT_MINUS_ZERO = 2 /* one that is not -0.0: a sum of zeros alone is -0.0 without it */
};

typedef struct {
    int64_t hi, lo; /* pending sums of the window */
    uint64_t count; /* elements, as whoever takes them in counts them: what a mean divides by */
    int32_t window;
    int32_t pending; /* how many sums hi and lo hold */
    int32_t limb_adds;
    uint8_t seen;
    uint8_t limbs_used; /* limbs are not even cleared before they are needed */
    uint8_t nan, plus_infinity, minus_infinity;
    uint8_t overflow; /* an infinity came of finite numbers, on their way here */
    uint8_t unused[2];
    int64_t limb[EXACT_LIMBS];
} exact_state;

void parsum_exact_identity(exact_state *state);
/* The identity again, but for the window: the next data are likely in the same. */
void parsum_exact_restart(exact_state *state);
void parsum_exact_combine(exact_state *state, const exact_state *other);
int parsum_exact_valid(const exact_state *state);
/* Passes pending window sums on to the limbs. */
void parsum_exact_flush(exact_state *state);
/* Adds n finite elements, data[0], data[step], ... */
void parsum_exact_add_elements(exact_state *state, const double *data, size_t n, size_t step);
/* A bin for each sign and exponent of a double, which sums the bits as they are, modulo 2^64, and
 * counts the elements: one addition to an element where the limbs take two and a shift. (It is the
 * large superaccumulator of Neal, "Fast exact summation using small and large superaccumulators",
 * 2015.) What sign and exponent have added is known from the count; what is left, significands
 * below 2^53, is below 2^64 for up to 2^11 elements. So before 2^10 more, no bin has more than
 * 2^10. Those of floats have both in one number: the count from bit 40 on, below it sums of up to
 * 2^17 fractions below 2^23. Too large for a state; it serves one call. */
#define EXACT_BINS 4096
#define EXACT_BIN_ADDS 1024
#define EXACT_NARROW_BINS 512
#define EXACT_NARROW_ADDS (1 << 17)
typedef struct {
    uint64_t sum[EXACT_BINS];
    uint16_t count[EXACT_BINS];
    uint64_t narrow[EXACT_NARROW_BINS];
    int narrow_adds;
} exact_bins;

void parsum_bins_clear(exact_bins *bins);
/* Adds n elements; special ones go to the state. */
void parsum_bins_add(exact_state *state, exact_bins *bins, const double *data, size_t n);
/* The same of floats. */
void parsum_narrow_bins_add(exact_state *state, exact_bins *bins, const float *data, size_t n);
/* Passes all bins on to the limbs. */
void parsum_bins_flush(exact_state *state, exact_bins *bins);
void parsum_exact_add_special(exact_state *state, double value);
/* Adds value * 2^position to overlapping limbs: less than 2^32 to each of at most five. */
void parsum_limbs_add(int64_t *limb, int count, int128 value, unsigned position);
/* Adds value * 2^exponent, exponent >= -1074. */
void parsum_exact_add_int128(exact_state *state, int128 value, int exponent);
int parsum_exact_finish(const exact_state *state, int type, void *result);
/* Writes the nearest value of the type to sum * 2^exponent. */
int parsum_round_int128(int128 sum, int exponent, int type, void *result);
/* Writes the nearest value of the type, half to even, to magnitude * 2^exponent, plus something
 * below 2^exponent if `sticky`, which takes a magnitude of more bits than the type's significand.
 * The magnitude is not zero. Returns PARSUM_OVERFLOW or 0. */
int parsum_round_magnitude(int negative, uint128 magnitude, int exponent, int sticky, int type,
                           void *result);
/* Writes a value that the type has. */
void parsum_store(int type, double value, void *result);

/* The same for a double, infinity and NaN among them. */
int parsum_round_double(double value, int type, void *result);

/* The window's pending sum in units of 2^(window - WINDOW_LO): |hi| < 2^62, so it is below 2^105.
 */
static inline int128 exact_pending(const exact_state *state)
{
    return (int128)((uint128)(int128)state->hi << (WINDOW_LO - WINDOW_HI)) + state->lo;
}

/* Makes room for one more window sum of window w. */
static inline void exact_window(exact_state *state, int window)
{
    if (state->window != window || state->pending >= WINDOW_PENDING) {
        if (state->pending)
            parsum_exact_flush(state);
        state->window = window;
    }
}

static inline void exact_add_window(exact_state *state, int window, int64_t hi, int64_t lo)
{
    exact_window(state, window);
    state->hi += hi;
    state->lo += lo;
    state->pending++;
}

/* Of topmost limbs, which have room for 2^64 elements and some bits more: a state that is merged
 * with itself again and again stands for more than that, and then it is to be wrong, but defined.
 */
static inline int64_t wrapping_sum(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define SIGN_BIT UINT64_C(0x8000000000000000)
#define INFINITY_BITS UINT64_C(0x7ff0000000000000)

#endif
