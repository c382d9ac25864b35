/* Norms of any order p: sums of |x|^p with a power of two kept apart, so that neither overflows.
 *
 * A state is sum * 2^(p * exponent). The exponent is that of the largest element of a leaf, or of
 * the least one if p < 0: every term is at most 2^|p|, the greatest at least 2^-|p|, and what
 * underflows beside it is less than 2^(-1074 |p|) of it. For |p| below SMALL_P nothing can
 * overflow and elements far apart all count, so the exponent is 0.
 *
 * Terms are the C library's pow, good to a unit or so in the last place; their sum is taken in the
 * fixed tree of ordered reductions, with the error bound of pairwise summation above a leaf. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "exact.h"
#include "kernels.h"
#include "reductions.h"
#include "states.h"

#define SMALL_P 0.4
#define FLAG_NAN 1
#define FLAG_INFINITY 2
#define FLAG_ZERO 4

/* Exponents are those of elements: LEAST is of the format's least subnormal, MOST of its largest.
 */
#define POWER(NAME, REAL, FREXP, LDEXP, POW, EXP2, LEAST, MOST)                                    \
    typedef struct {                                                                               \
        REAL sum;                                                                                  \
        double p;                                                                                  \
        int64_t exponent;                                                                          \
        uint64_t flags, count;                                                                     \
    } power_state_##NAME;                                                                          \
                                                                                                   \
    static void identity_##NAME(void *state, double parameter)                                     \
    {                                                                                              \
        memset(state, 0, sizeof(power_state_##NAME));                                              \
        ((power_state_##NAME *)state)->p = parameter;                                              \
    }                                                                                              \
                                                                                                   \
    static void add_##NAME(power_state_##NAME *state, REAL sum, int64_t exponent)                  \
    {                                                                                              \
        const int64_t apart = exponent - state->exponent;                                          \
        if (sum == 0)                                                                              \
            return;                                                                                \
        if (state->sum == 0 || apart == 0) {                                                       \
            state->exponent = exponent;                                                            \
            state->sum += sum;                                                                     \
        } else if ((apart > 0) == (state->p > 0)) {                                                \
            state->sum = state->sum * EXP2(-(REAL)apart * (REAL)state->p) + sum;                   \
            state->exponent = exponent;                                                            \
        } else {                                                                                   \
            state->sum += sum * EXP2((REAL)apart * (REAL)state->p);                                \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static int valid_##NAME(const void *state)                                                     \
    {                                                                                              \
        const power_state_##NAME *power = state;                                                   \
        return power->exponent >= (LEAST) && power->exponent <= (MOST) &&                          \
               power->flags <= (FLAG_NAN | FLAG_INFINITY | FLAG_ZERO) &&                           \
               (sizeof(REAL) == sizeof(double) || long_is_valid((const void *)&power->sum));       \
    }                                                                                              \
                                                                                                   \
    static void clear_padding_##NAME(void *state)                                                  \
    {                                                                                              \
        if (sizeof(REAL) != sizeof(double)) /* the sum comes first */                              \
            clear_long_padding(state, 1);                                                          \
    }                                                                                              \
                                                                                                   \
    static void combine_##NAME(void *state, const void *other)                                     \
    {                                                                                              \
        power_state_##NAME *a = state;                                                             \
        const power_state_##NAME *b = other;                                                       \
        a->flags |= b->flags;                                                                      \
        a->count += b->count;                                                                      \
        add_##NAME(a, b->sum, b->exponent);                                                        \
    }                                                                                              \
                                                                                                   \
    /* At most LEAF magnitudes. */                                                                 \
    static void add_leaf_##NAME(power_state_##NAME *state, REAL *values, size_t n)                 \
    {                                                                                              \
        int extreme = 0, any = 0;                                                                  \
        for (size_t i = 0; i < n; i++) {                                                           \
            int exponent;                                                                          \
            if (values[i] == 0 || !isfinite(values[i])) {                                          \
                state->flags |= values[i] == 0     ? FLAG_ZERO                                     \
                                : isnan(values[i]) ? FLAG_NAN                                      \
                                                   : FLAG_INFINITY;                                \
                values[i] = 0;                                                                     \
                continue;                                                                          \
            }                                                                                      \
            (void)FREXP(values[i], &exponent);                                                     \
            if (!any || (state->p > 0 ? exponent > extreme : exponent < extreme))                  \
                extreme = exponent;                                                                \
            any = 1;                                                                               \
        }                                                                                          \
        if (fabs(state->p) < SMALL_P)                                                              \
            extreme = 0;                                                                           \
        REAL sum = 0;                                                                              \
        for (size_t i = 0; i < n; i++)                                                             \
            if (values[i] != 0)                                                                    \
                sum += POW(LDEXP(values[i], -extreme), (REAL)state->p);                            \
        state->count += n;                                                                         \
        add_##NAME(state, sum, extreme);                                                           \
    }                                                                                              \
                                                                                                   \
    /* The p-th root of the sum; zeros and infinities decide where |x|^p is infinite. */           \
    static REAL norm_##NAME(const power_state_##NAME *state)                                       \
    {                                                                                              \
        const uint64_t endless = state->p > 0 ? FLAG_INFINITY : FLAG_ZERO;                         \
        if (state->flags & FLAG_NAN)                                                               \
            return (REAL)NAN;                                                                      \
        if (state->flags & endless)                                                                \
            return state->p > 0 ? (REAL)INFINITY : 0;                                              \
        if (state->sum == 0)                                                                       \
            return state->p > 0 ? 0 : (REAL)INFINITY;                                              \
        return LDEXP(POW(state->sum, 1 / (REAL)state->p), (int)state->exponent);                   \
    }

POWER(double, double, frexp, ldexp, pow, exp2, DBL_MIN_EXP - DBL_MANT_DIG, DBL_MAX_EXP)
POWER(long, long double, frexpl, ldexpl, powl, exp2l, LDBL_MIN_EXP - LDBL_MANT_DIG, LDBL_MAX_EXP)

static int finish_double(const void *state, int type, void *result)
{
    const power_state_double *power = state;
    const double norm = norm_double(power);
    const int flags = parsum_round_double(norm, type, result);
    return isinf(norm) && !(power->flags & (FLAG_INFINITY | FLAG_ZERO)) && power->count
               ? flags | PARSUM_OVERFLOW
               : flags;
}

static int finish_long(const void *state, int type, void *result)
{
    const long double norm = norm_long(state);
    if (type == PARSUM_LONGDOUBLE) {
        memset(result, 0, sizeof norm);
        memcpy(result, &norm, sizeof norm);
        return 0;
    }
    return parsum_round_double((double)norm, type, result);
}

static double magnitude_f16(const char *p)
{
    double v;
    parsum_kernels()->f16.widen(p, 1, &v);
    return fabs(v);
}

#define MAGNITUDE(NAME, ELEMENT, REAL, VALUE)                                                      \
    static REAL magnitude_##NAME(const char *p)                                                    \
    {                                                                                              \
        ELEMENT v;                                                                                 \
        memcpy(&v, p, sizeof v);                                                                   \
        return VALUE;                                                                              \
    }
#define MAGNITUDE_PAIR(NAME, ELEMENT, REAL, HYPOT)                                                 \
    static REAL magnitude_##NAME(const char *p)                                                    \
    {                                                                                              \
        ELEMENT v[2];                                                                              \
        memcpy(v, p, sizeof v);                                                                    \
        return HYPOT(v[0], v[1]);                                                                  \
    }

MAGNITUDE(f32, float, double, fabs((double)v))
MAGNITUDE(f64, double, double, fabs(v))
MAGNITUDE(long, long double, long double, fabsl(v))
MAGNITUDE(boolean, uint8_t, double, v != 0)
MAGNITUDE(i8, int8_t, double, fabs((double)v))
MAGNITUDE(u8, uint8_t, double, v)
MAGNITUDE(i16, int16_t, double, fabs((double)v))
MAGNITUDE(u16, uint16_t, double, v)
MAGNITUDE(i32, int32_t, double, fabs((double)v))
MAGNITUDE(u32, uint32_t, double, v)
MAGNITUDE(i64, int64_t, double, fabs((double)v))
MAGNITUDE(u64, uint64_t, double, (double)v)
MAGNITUDE_PAIR(c64, float, double, hypot)
MAGNITUDE_PAIR(c128, double, double, hypot)
MAGNITUDE_PAIR(clong, long double, long double, hypotl)

#define ACCUMULATE(NAME, REAL, KIND)                                                               \
    static void accumulate_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)       \
    {                                                                                              \
        const char *p = data;                                                                      \
        REAL values[LEAF];                                                                         \
        while (n) {                                                                                \
            const size_t count = n < LEAF ? n : LEAF;                                              \
            for (size_t i = 0; i < count; i++, p += stride)                                        \
                values[i] = magnitude_##NAME(p);                                                   \
            add_leaf_##KIND(state, values, count);                                                 \
            n -= count;                                                                            \
        }                                                                                          \
    }

ACCUMULATE(f16, double, double)
ACCUMULATE(f32, double, double)
ACCUMULATE(f64, double, double)
ACCUMULATE(long, long double, long)
ACCUMULATE(boolean, double, double)
ACCUMULATE(i8, double, double)
ACCUMULATE(u8, double, double)
ACCUMULATE(i16, double, double)
ACCUMULATE(u16, double, double)
ACCUMULATE(i32, double, double)
ACCUMULATE(u32, double, double)
ACCUMULATE(i64, double, double)
ACCUMULATE(u64, double, double)
ACCUMULATE(c64, double, double)
ACCUMULATE(c128, double, double)
ACCUMULATE(clong, long double, long)

#define ROW(NAME, ELEMENT, KIND)                                                                   \
    {.operation = "norm_p",                                                                        \
     .element = ELEMENT,                                                                           \
     .results = FLOATS,                                                                            \
     .ordered = 1,                                                                                 \
     .state_size = sizeof(power_state_##KIND),                                                     \
     .identity = identity_##KIND,                                                                  \
     .accumulate = accumulate_##NAME,                                                              \
     .combine = combine_##KIND,                                                                    \
     .finish = finish_##KIND,                                                                      \
     .valid = valid_##KIND,                                                                        \
     .clear_padding = clear_padding_##KIND}

const parsum_reduction parsum_powers[] = {
    ROW(boolean, PARSUM_BOOL, double),
    ROW(i8, PARSUM_INT8, double),
    ROW(u8, PARSUM_UINT8, double),
    ROW(i16, PARSUM_INT16, double),
    ROW(u16, PARSUM_UINT16, double),
    ROW(i32, PARSUM_INT32, double),
    ROW(u32, PARSUM_UINT32, double),
    ROW(i64, PARSUM_INT64, double),
    ROW(u64, PARSUM_UINT64, double),
    ROW(f16, PARSUM_FLOAT16, double),
    ROW(f32, PARSUM_FLOAT32, double),
    ROW(f64, PARSUM_FLOAT64, double),
    ROW(long, PARSUM_LONGDOUBLE, long),
    ROW(c64, PARSUM_COMPLEX64, double),
    ROW(c128, PARSUM_COMPLEX128, double),
    ROW(clong, PARSUM_CLONGDOUBLE, long),
    {.operation = NULL},
};
