/* Products of complex numbers and of long doubles, with a power of two kept apart.
 *
 * Every factor is scaled by a power of two to a largest part in [1/2, 1), and so is the product
 * after every multiplication, so nothing over- or underflows but what is 2^-1000 times smaller than
 * the other part. A product of two complex numbers is off by at most sqrt(5) u of its magnitude
 * (Brent, Percival and Zimmermann, "Error bounds on complex floating-point multiplication", 2007),
 * u half a unit in the last place: n factors by n sqrt(5) u, real ones by n u. complex64 is
 * multiplied in double, complex128 too; the fixed tree makes the result the same for any workers.
 *
 * Infinities and NaN go the way of plain multiplication, (ac - bd, ad + bc), of the scaled factors.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "exact.h"
#include "prod.h"
#include "reductions.h"
#include "states.h"

#define WIDE_PRODUCT(NAME, REAL, FREXP, LDEXP, FABS)                                               \
    typedef struct {                                                                               \
        REAL part[2];                                                                              \
        int64_t exponent;                                                                          \
        uint64_t nan, infinite; /* one came in */                                                  \
    } product_##NAME;                                                                              \
                                                                                                   \
    static void identity_##NAME(void *state, double parameter)                                     \
    {                                                                                              \
        (void)parameter;                                                                           \
        memset(state, 0, sizeof(product_##NAME));                                                  \
        ((product_##NAME *)state)->part[0] = 1;                                                    \
    }                                                                                              \
                                                                                                   \
    static void scale_##NAME(REAL *part, int64_t *exponent)                                        \
    {                                                                                              \
        const REAL a = FABS(part[0]), b = FABS(part[1]), larger = a > b ? a : b;                   \
        if (!isfinite(a) || !isfinite(b) || larger == 0)                                           \
            return;                                                                                \
        int shift;                                                                                 \
        (void)FREXP(larger, &shift);                                                               \
        part[0] = LDEXP(part[0], -shift);                                                          \
        part[1] = LDEXP(part[1], -shift);                                                          \
        *exponent += shift;                                                                        \
    }                                                                                              \
                                                                                                   \
    static void multiply_##NAME(product_##NAME *state, const REAL *factor, int is_complex)         \
    {                                                                                              \
        const REAL a = state->part[0], b = state->part[1];                                         \
        state->part[0] = is_complex ? a * factor[0] - b * factor[1] : a * factor[0];               \
        state->part[1] = is_complex ? a * factor[1] + b * factor[0] : 0;                           \
        scale_##NAME(state->part, &state->exponent);                                               \
    }                                                                                              \
                                                                                                   \
    static void take_##NAME(product_##NAME *state, REAL real, REAL imaginary, int is_complex)      \
    {                                                                                              \
        REAL factor[2] = {real, imaginary};                                                        \
        state->nan |= isnan(real) || isnan(imaginary);                                             \
        state->infinite |= isinf(real) || isinf(imaginary);                                        \
        scale_##NAME(factor, &state->exponent);                                                    \
        multiply_##NAME(state, factor, is_complex);                                                \
    }                                                                                              \
                                                                                                   \
    static int is_identity_##NAME(const product_##NAME *state)                                     \
    {                                                                                              \
        return state->part[0] == 1 && state->part[1] == 0 && !state->exponent && !state->nan &&    \
               !state->infinite;                                                                   \
    }                                                                                              \
                                                                                                   \
    static int valid_##NAME(const void *state)                                                     \
    {                                                                                              \
        const product_##NAME *product = state;                                                     \
        return exponent_is_valid(product->exponent) && product->nan <= 1 &&                        \
               product->infinite <= 1 &&                                                           \
               (sizeof(REAL) == sizeof(double) ||                                                  \
                longs_are_valid((const void *)product->part, 2));                                  \
    }                                                                                              \
                                                                                                   \
    static void clear_padding_##NAME(void *state)                                                  \
    {                                                                                              \
        if (sizeof(REAL) != sizeof(double)) /* the parts come first */                             \
            clear_long_padding(state, 2);                                                          \
    }                                                                                              \
                                                                                                   \
    static void combine_of_##NAME(product_##NAME *a, const product_##NAME *b, int is_complex)      \
    {                                                                                              \
        if (is_identity_##NAME(a)) {                                                               \
            /* Times it, zeros could lose signs and infinities come to NaN. */                     \
            memcpy(a->part, b->part, sizeof a->part);                                              \
            a->exponent = b->exponent;                                                             \
            a->nan = b->nan;                                                                       \
            a->infinite = b->infinite;                                                             \
            return;                                                                                \
        }                                                                                          \
        a->exponent = sum_of_exponents(a->exponent, b->exponent);                                  \
        a->nan |= b->nan;                                                                          \
        a->infinite |= b->infinite;                                                                \
        multiply_##NAME(a, b->part, is_complex);                                                   \
    }                                                                                              \
                                                                                                   \
    static int finish_parts_##NAME(const product_##NAME *state, int parts, int type, char *result) \
    {                                                                                              \
        int flags = 0;                                                                             \
        for (int k = 0; k < parts; k++, result += parsum_type_size[type]) {                        \
            const REAL value = state->part[k];                                                     \
            flags |= isnan(value) && !state->nan ? PARSUM_INVALID : 0;                             \
            flags |= store_##NAME(value, state->exponent, type, result);                           \
        }                                                                                          \
        return flags;                                                                              \
    }

static int clamp_exponent(int64_t exponent)
{
    return exponent > 40000 ? 40000 : exponent < -40000 ? -40000 : (int)exponent;
}

/* Once rounded: the parts are doubles, and the power of two is put on in integers. */
static int store_double(double value, int64_t exponent, int type, void *result)
{
    if (!isfinite(value) || value == 0)
        return parsum_round_double(value, type, result);
    int shift;
    const double fraction = frexp(value, &shift);
    int flags = parsum_round_int128((int128)ldexp(fraction, 53),
                                    clamp_exponent(exponent) + shift - 53, type, result);
    return flags;
}

static int store_long(long double value, int64_t exponent, int type, void *result)
{
    if (!isfinite(value) || value == 0) {
        if (type != PARSUM_LONGDOUBLE)
            return parsum_round_double((double)value, type, result);
        memset(result, 0, sizeof value);
        memcpy(result, &value, sizeof value);
        return 0;
    }
    int shift;
    const long double fraction = frexpl(value, &shift);
    return parsum_round_int128((int128)ldexpl(fraction, LDBL_MANT_DIG),
                               clamp_exponent(exponent) + shift - LDBL_MANT_DIG, type, result);
}

WIDE_PRODUCT(double, double, frexp, ldexp, fabs)
WIDE_PRODUCT(long, long double, frexpl, ldexpl, fabsl)

static int part_of_result(int type)
{
    return type == PARSUM_COMPLEX64    ? PARSUM_FLOAT32
           : type == PARSUM_COMPLEX128 ? PARSUM_FLOAT64
                                       : PARSUM_LONGDOUBLE;
}

#define PRODUCT_OF(NAME, KIND, ELEMENT, IS_COMPLEX)                                                \
    static void accumulate_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)       \
    {                                                                                              \
        const char *p = data;                                                                      \
        for (size_t i = 0; i < n; i++, p += stride) {                                              \
            ELEMENT v[2] = {0, 0};                                                                 \
            memcpy(v, p, (IS_COMPLEX) ? sizeof v : sizeof v[0]);                                   \
            take_##KIND(state, v[0], v[1], IS_COMPLEX);                                            \
        }                                                                                          \
    }                                                                                              \
    static void combine_##NAME(void *state, const void *other)                                     \
    {                                                                                              \
        combine_of_##KIND(state, other, IS_COMPLEX);                                               \
    }                                                                                              \
    static int finish_##NAME(const void *state, int type, void *result)                            \
    {                                                                                              \
        return finish_parts_##KIND(state, (IS_COMPLEX) ? 2 : 1,                                    \
                                   (IS_COMPLEX) ? part_of_result(type) : type, result);            \
    }

PRODUCT_OF(c64, double, float, 1)
PRODUCT_OF(c128, double, double, 1)
PRODUCT_OF(clong, long, long double, 1)
PRODUCT_OF(long, long, long double, 0)

#define ROW(NAME, KIND, ELEMENT, RESULTS)                                                          \
    {                                                                                              \
        .operation = "prod",                                                                       \
        .element = ELEMENT,                                                                        \
        .results = RESULTS,                                                                        \
        .ordered = 1,                                                                              \
        .state_size = sizeof(product_##KIND),                                                      \
        .identity = identity_##KIND,                                                               \
        .accumulate = accumulate_##NAME,                                                           \
        .combine = combine_##NAME,                                                                 \
        .finish = finish_##NAME,                                                                   \
        .valid = valid_##KIND,                                                                     \
        .clear_padding = clear_padding_##KIND,                                                     \
    }
#define COMPLEX_RESULTS (BIT(PARSUM_COMPLEX64) | BIT(PARSUM_COMPLEX128) | BIT(PARSUM_CLONGDOUBLE))

const parsum_reduction parsum_wide_prods[] = {
    ROW(c64, double, PARSUM_COMPLEX64, COMPLEX_RESULTS),
    ROW(c128, double, PARSUM_COMPLEX128, COMPLEX_RESULTS),
    ROW(clong, long, PARSUM_CLONGDOUBLE, COMPLEX_RESULTS),
    ROW(long, long, PARSUM_LONGDOUBLE, FLOATS),
    {.operation = NULL},
};
