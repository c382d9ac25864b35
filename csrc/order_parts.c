/* The operations that order elements, for the types without integer keys: complex numbers, by parts
 * and by magnitude, and long double. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "convert.h"
#include "exact.h"
#include "kernels.h"
#include "order.h"
#include "reductions.h"
#include "states.h"

#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_(a, b)

enum { SEEN = 1, HAS_NAN = 2 };

/* n elements where kernels can read them: aligned to their parts. */
static const char *aligned_block(char *buffer, const char *data, size_t n, ptrdiff_t stride,
                                 size_t size, size_t alignment)
{
    if (stride == (ptrdiff_t)size && (uintptr_t)data % alignment == 0)
        return data;
    parsum_gather(buffer, data, n, stride, size, 0);
    return buffer;
}

/* The 80-bit format's padding is cleared, so that results have the same bytes. */
static void put_long(long double value, char *result)
{
    memset(result, 0, sizeof value);
    memcpy(result, &value, LDBL_MANT_DIG == 64 ? 10 : sizeof value);
}

#define PUT_PART(value, to) memcpy(to, &(value), sizeof(value))
#define CLEAR_PADDING(values, count) (void)(values)

#define TYPE c64
#define REAL float
#define PARTS 2
#define ELEMENT_TYPE PARSUM_COMPLEX64
#define VECTORS 1
#include "order_parts_body.h"

#define TYPE c128
#define REAL double
#define PARTS 2
#define ELEMENT_TYPE PARSUM_COMPLEX128
#define VECTORS 1
#include "order_parts_body.h"

#undef PUT_PART
#undef CLEAR_PADDING
#define PUT_PART(value, to) put_long(value, to)
#define CLEAR_PADDING(values, count) clear_long_padding(values, count)

#define TYPE ld
#define REAL long double
#define PARTS 1
#define ELEMENT_TYPE PARSUM_LONGDOUBLE
#define VECTORS 0
#include "order_parts_body.h"

#define TYPE cld
#define REAL long double
#define PARTS 2
#define ELEMENT_TYPE PARSUM_CLONGDOUBLE
#define VECTORS 0
#include "order_parts_body.h"

/* ---- both ends of long doubles ---- */

typedef struct {
    end_state_ld least, greatest;
} pair_state_ld;

static void identity_minmax_ld(void *state, double parameter)
{
    (void)parameter;
    memset(state, 0, sizeof(pair_state_ld));
}

static void combine_minmax_ld(void *state, const void *other)
{
    combine_end_ld(&((pair_state_ld *)state)->least, &((const pair_state_ld *)other)->least, 0);
    combine_end_ld(&((pair_state_ld *)state)->greatest, &((const pair_state_ld *)other)->greatest,
                   1);
}

static int settled_minmax_ld(const void *state)
{
    return settled_end_ld(&((const pair_state_ld *)state)->least);
}

static int valid_minmax_ld(const void *state)
{
    const pair_state_ld *pair = state;
    return valid_end_ld(&pair->least) && valid_end_ld(&pair->greatest);
}

static void clear_minmax_padding_ld(void *state)
{
    pair_state_ld *pair = state;
    clear_end_padding_ld(&pair->least);
    clear_end_padding_ld(&pair->greatest);
}

static void accumulate_minmax_ld(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    accumulate_end_ld(&((pair_state_ld *)state)->least, 0, 0, data, n, stride);
    accumulate_end_ld(&((pair_state_ld *)state)->greatest, 1, 0, data, n, stride);
}

static void accumulate_nanminmax_ld(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    accumulate_end_ld(&((pair_state_ld *)state)->least, 0, 1, data, n, stride);
    accumulate_end_ld(&((pair_state_ld *)state)->greatest, 1, 1, data, n, stride);
}

static int finish_minmax_ld(const void *state, int type, void *result)
{
    const pair_state_ld *pair = state;
    return finish_end_ld(&pair->least, type, result) |
           finish_end_ld(&pair->greatest, type, (char *)result + sizeof(long double));
}

/* ---- magnitudes of long doubles ---- */

static void accumulate_magnitude_ld(end_state_ld *state, int parts, int greatest, const char *data,
                                    size_t n, ptrdiff_t stride)
{
    for (; n && !(state->seen & HAS_NAN); n--, data += stride) {
        long double v[2] = {0, 0};
        memcpy(v, data, (size_t)parts * sizeof *v);
        const long double magnitude = parts == 1 ? fabsl(v[0]) : hypotl(v[0], v[1]);
        if (isnan(magnitude))
            state->seen |= HAS_NAN;
        else
            take_end_ld(state, &magnitude, greatest);
    }
}

#define LONG_MAGNITUDE(OP, GREATEST)                                                               \
    static void accumulate_##OP##_ld(void *state, const void *data, size_t n, ptrdiff_t stride)    \
    {                                                                                              \
        accumulate_magnitude_ld(state, 1, GREATEST, data, n, stride);                              \
    }                                                                                              \
    static void accumulate_##OP##_cld(void *state, const void *data, size_t n, ptrdiff_t stride)   \
    {                                                                                              \
        accumulate_magnitude_ld(state, 2, GREATEST, data, n, stride);                              \
    }
LONG_MAGNITUDE(min_abs, 0)
LONG_MAGNITUDE(max_abs, 1)

/* ---- magnitudes of complex numbers, correctly rounded ----
 *
 * The result is that of the element whose exact magnitude is extreme, rounded once. Kernels give
 * the extreme of the squares, which are rounded. An element's square q is within 2^-52 of what it
 * should be, relatively: both products are off by at most 2^-53 of themselves, hence of the sum,
 * and the sum once more. (Nothing underflows that matters: squares are taken of elements scaled
 * so that the extreme one is above 2^-960.) So the extreme element is among those with q within
 * 2^-50 of the extreme q; these few are rounded in integers. */

/* A positive finite number as significand * 2^exponent, with the precision of its format. */
static uint64_t significand(double value, int precision, int least_exponent, int *exponent)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const int biased = (int)(bits >> 52);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    int e = biased ? biased - 1075 : -1074;
    fraction |= biased ? UINT64_C(1) << 52 : 0;
    /* A float is a double whose last bits are clear. */
    int shift = 53 - precision;
    if (e + shift < least_exponent)
        shift = least_exponent - e;
    *exponent = e + shift;
    return fraction >> shift;
}

/* sqrt(a^2 + b^2) rounded to `precision` bits, half to even, for finite a and b of that precision
 * whose least bit is 2^least_exponent. It may be as large as the next power of two above the
 * format's largest number.
 *
 * With a >= b let a = A 2^e, b = B 2^(e-d), so that the square is S 2^2e with S = A^2 + B^2 2^-2d.
 * If 2d > precision + 1, then A has all its bits, and sqrt(S) - A < B^2 2^-2d / 2A < 2^(p-2d) <
 * 1/2: the result is a. Else an integer H is right if (2H - 1)^2 <= 4S <= (2H + 1)^2. With T = 2H +
 * 1, T^2 against 4S is (T - 2A)(T + 2A) 2^2d against 4 B^2 < 2^108; H being within a few units of
 * sqrt(S), the left side is within 2^113 of the right. If H has a bit too many, the unit is two. */
static double rounded_magnitude(double a, double b, int precision, int least_exponent)
{
    int e, f;
    a = fabs(a);
    b = fabs(b);
    if (a < b) {
        const double c = a;
        a = b;
        b = c;
    }
    if (b == 0)
        return a;
    const uint64_t A = significand(a, precision, least_exponent, &e);
    const uint64_t B = significand(b, precision, least_exponent, &f);
    const int d = e - f;
    if (2 * d > precision + 1)
        return a;
    const double x = (double)A, y = ldexp((double)B, -d);
    const double root = sqrt(x * x + y * y);
    const int128 right = (int128)4 * B * B;
    int64_t h = 0, unit = 1;
    for (; unit <= 2; unit *= 2) {
        h = (int64_t)(root / (double)unit);
#define BEYOND(T)                                                                                  \
    ((int128)((T) - 2 * (int64_t)A) * ((T) + 2 * (int64_t)A) * ((int128)1 << 2 * d) - right)
        while (BEYOND((2 * h + 1) * unit) < 0 || (BEYOND((2 * h + 1) * unit) == 0 && (h & 1)))
            h++;
        while (BEYOND((2 * h - 1) * unit) > 0 || (BEYOND((2 * h - 1) * unit) == 0 && (h & 1)))
            h--;
#undef BEYOND
        if (h < INT64_C(1) << precision)
            break;
    }
    return ldexp((double)h * (double)(unit > 2 ? 2 : unit), e);
}

/* Keys of magnitudes, a monotone number for each: the result's bits as an integer. One too large
 * for its type is told from an infinity by the key of infinity itself, which then is one more. */
typedef struct {
    int64_t least, greatest; /* as in order.c: NaN is below and above, no element the reverse */
} magnitude_state;

static void identity_magnitude(void *state, double parameter)
{
    (void)parameter;
    *(magnitude_state *)state = (magnitude_state){INT64_MAX, INT64_MIN};
}

static void take_magnitude(magnitude_state *state, int64_t least, int64_t greatest)
{
    state->least = least < state->least ? least : state->least;
    state->greatest = greatest > state->greatest ? greatest : state->greatest;
}

static void combine_magnitude(void *state, const void *other)
{
    const magnitude_state *b = other;
    take_magnitude(state, b->least, b->greatest);
}

static int settled_magnitude(const void *state)
{
    return ((const magnitude_state *)state)->least == INT64_MIN;
}

typedef struct {
    size_t size; /* of a part */
    int precision, least_exponent;
    int64_t infinity; /* key of what is too large */
} magnitude_type;

static const magnitude_type magnitude_c64 = {sizeof(float), FLT_MANT_DIG, -149, 0x7f800000};
static const magnitude_type magnitude_c128 = {sizeof(double), DBL_MANT_DIG, -1074,
                                              INT64_C(0x7ff0000000000000)};

static int valid_magnitude(const magnitude_state *state, const magnitude_type *type)
{
    if (state->least > state->greatest)
        return state->least == INT64_MAX && state->greatest == INT64_MIN;
    if (state->least == INT64_MIN)
        return state->greatest == INT64_MAX;
    return state->least >= 0 && state->greatest <= type->infinity + 1;
}

static int valid_magnitude_c64(const void *state)
{
    return valid_magnitude(state, &magnitude_c64);
}

static int valid_magnitude_c128(const void *state)
{
    return valid_magnitude(state, &magnitude_c128);
}

static double value_of_key(const magnitude_type *type, int64_t key)
{
    if (type->size == sizeof(float)) {
        const int32_t bits = (int32_t)key;
        float value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    double value;
    memcpy(&value, &key, sizeof value);
    return value;
}

static int64_t key_of_magnitude(const magnitude_type *type, double a, double b)
{
    if (isinf(a) || isinf(b))
        return type->infinity + 1;
    const double magnitude = rounded_magnitude(a, b, type->precision, type->least_exponent);
    if (type->size == sizeof(float)) {
        const float narrow = (float)magnitude;
        int32_t bits;
        memcpy(&bits, &narrow, sizeof bits);
        return bits;
    }
    int64_t bits;
    memcpy(&bits, &magnitude, sizeof bits);
    return bits;
}

static void load_parts(const magnitude_type *type, const char *p, double *a, double *b)
{
    if (type->size == sizeof(float)) {
        float v[2];
        memcpy(v, p, sizeof v);
        *a = v[0];
        *b = v[1];
    } else {
        memcpy(a, p, sizeof *a);
        memcpy(b, p + sizeof *a, sizeof *b);
    }
}

static void accumulate_magnitude(magnitude_state *state, const magnitude_type *type,
                                 const complex_order_kernels *kernels, int greatest,
                                 const char *data, size_t n, ptrdiff_t stride)
{
    _Alignas(64) char buffer[RUN_BYTES];
    const size_t size = 2 * type->size, block = RUN_BYTES / size;
    while (n && state->least != INT64_MIN) {
        const size_t count = n < block ? n : block;
        const char *p = aligned_block(buffer, data, count, stride, size, type->size);
        double scale = 1, ends[2];
        int nan = kernels->squares(p, count, scale, &ends[0], &ends[1]);
        /* Squares of floats are neither too large nor too small; those of the least subnormal
         * double times 2^600 are 2^-948. */
        if (type->size == sizeof(double) &&
            !(ends[greatest] >= 0x1p-960 && ends[greatest] <= 0x1p1020)) {
            scale = ends[greatest] > 1 ? 0x1p-600 : 0x1p600;
            nan = kernels->squares(p, count, scale, &ends[0], &ends[1]);
        }
        data += (ptrdiff_t)count * stride;
        n -= count;
        if (!nan && state->least <= state->greatest) {
            /* The result so far has an error of 2^-53 at most, or is infinite. */
            const double best =
                value_of_key(type, greatest ? state->greatest : state->least) * scale;
            const double square = best * best;
            if (greatest ? ends[1] < square * (1 - 0x1p-48) : ends[0] > square * (1 + 0x1p-48))
                continue;
        }
        const double bound = ends[greatest] * (greatest ? 1 - 0x1p-50 : 1 + 0x1p-50);
        for (size_t i = 0; i < count; i++) {
            double a, b;
            load_parts(type, p + i * size, &a, &b);
            const double x = a * scale, y = b * scale, square = x * x + y * y;
            if (greatest ? square < bound : square > bound)
                continue;
            if (isnan(square) && !isinf(a) && !isinf(b)) {
                take_magnitude(state, INT64_MIN, INT64_MAX);
                return;
            }
            const int64_t key = key_of_magnitude(type, a, b);
            take_magnitude(state, key, key);
        }
    }
}

static int finish_magnitude(const magnitude_state *state, const magnitude_type *type, int greatest,
                            void *result)
{
    const int empty = state->least > state->greatest;
    int64_t key = greatest ? state->greatest : state->least;
    const int flags = empty ? PARSUM_EMPTY : key == type->infinity ? PARSUM_OVERFLOW : 0;
    key = key > type->infinity ? type->infinity : key;
    const double value = empty || state->least == INT64_MIN ? (double)NAN : value_of_key(type, key);
    if (type->size == sizeof(float)) {
        const float narrow = (float)value;
        memcpy(result, &narrow, sizeof narrow);
    } else {
        memcpy(result, &value, sizeof value);
    }
    return flags;
}

#define MAGNITUDE(OP, TYPE, GREATEST)                                                              \
    static void accumulate_##OP##_##TYPE(void *state, const void *data, size_t n,                  \
                                         ptrdiff_t stride)                                         \
    {                                                                                              \
        accumulate_magnitude(state, &magnitude_##TYPE, &parsum_kernels()->order_##TYPE, GREATEST,  \
                             data, n, stride);                                                     \
    }                                                                                              \
    static int finish_##OP##_##TYPE(const void *state, int type, void *result)                     \
    {                                                                                              \
        (void)type;                                                                                \
        return finish_magnitude(state, &magnitude_##TYPE, GREATEST, result);                       \
    }
MAGNITUDE(min_abs, c64, 0)
MAGNITUDE(max_abs, c64, 1)
MAGNITUDE(min_abs, c128, 0)
MAGNITUDE(max_abs, c128, 1)

/* ---- the table ---- */

#define END_ROW(OPERATION, OP, COMBINE, TYPE, ELEMENT_TYPE, ...)                                   \
    {.operation = (OPERATION),                                                                     \
     .element = (ELEMENT_TYPE),                                                                    \
     .results = BIT(ELEMENT_TYPE),                                                                 \
     .state_size = sizeof(end_state_##TYPE),                                                       \
     .identity = identity_end_##TYPE,                                                              \
     .settled = settled_end_##TYPE,                                                                \
     .accumulate = accumulate_##OP##_##TYPE,                                                       \
     .combine = combine_##COMBINE##_##TYPE,                                                        \
     .finish = finish_end_##TYPE,                                                                  \
     .valid = valid_end_##TYPE,                                                                    \
     .clear_padding = clear_end_padding_##TYPE,                                                    \
     __VA_ARGS__}
#define PLACE_ROW(OPERATION, OP, COMBINE, TYPE, ELEMENT_TYPE, ...)                                 \
    {.operation = (OPERATION),                                                                     \
     .element = (ELEMENT_TYPE),                                                                    \
     .results = BIT(PARSUM_INT64),                                                                 \
     .state_size = sizeof(place_state_##TYPE),                                                     \
     .identity = identity_place_##TYPE,                                                            \
     .place = place_place_##TYPE,                                                                  \
     .shift = shift_place_##TYPE,                                                                  \
     .settled = settled_place_##TYPE,                                                              \
     .accumulate = accumulate_arg##OP##_##TYPE,                                                    \
     .combine = combine_arg##COMBINE##_##TYPE,                                                     \
     .finish = finish_place_##TYPE,                                                                \
     .valid = valid_place_##TYPE,                                                                  \
     .clear_padding = clear_place_padding_##TYPE,                                                  \
     __VA_ARGS__}
/* Short cuts of the types that have kernels. */
#define VECTOR_FIELDS(OP, TYPE)                                                                    \
    .accumulate_columns = accumulate_columns_##OP##_##TYPE,                                        \
    .reduce_columns = reduce_columns_##OP##_##TYPE, .reduce_rows = reduce_rows_##OP##_##TYPE
#define NO_FIELDS(OP, TYPE) .accumulate_columns = NULL

#define ROWS(TYPE, ELEMENT_TYPE, FIELDS)                                                           \
    END_ROW("min", min, min, TYPE, ELEMENT_TYPE, FIELDS(min, TYPE)),                               \
        END_ROW("max", max, max, TYPE, ELEMENT_TYPE, FIELDS(max, TYPE)),                           \
        END_ROW("nanmin", nanmin, min, TYPE, ELEMENT_TYPE, FIELDS(nanmin, TYPE)),                  \
        END_ROW("nanmax", nanmax, max, TYPE, ELEMENT_TYPE, FIELDS(nanmax, TYPE)),                  \
        PLACE_ROW("argmin", min, min, TYPE, ELEMENT_TYPE, FIELDS(argmin, TYPE)),                   \
        PLACE_ROW("argmax", max, max, TYPE, ELEMENT_TYPE, FIELDS(argmax, TYPE)),                   \
        PLACE_ROW("nanargmin", nanmin, min, TYPE, ELEMENT_TYPE, FIELDS(argnanmin, TYPE)),          \
        PLACE_ROW("nanargmax", nanmax, max, TYPE, ELEMENT_TYPE, FIELDS(argnanmax, TYPE))

#define MAGNITUDE_ROW(OP, TYPE, ELEMENT_TYPE, RESULT)                                              \
    {                                                                                              \
        .operation = #OP,                                                                          \
        .element = (ELEMENT_TYPE),                                                                 \
        .results = BIT(RESULT),                                                                    \
        .state_size = sizeof(magnitude_state),                                                     \
        .identity = identity_magnitude,                                                            \
        .settled = settled_magnitude,                                                              \
        .accumulate = accumulate_##OP##_##TYPE,                                                    \
        .combine = combine_magnitude,                                                              \
        .finish = finish_##OP##_##TYPE,                                                            \
        .valid = valid_magnitude_##TYPE,                                                           \
    }
#define LONG_ROW(OPERATION, OP, STATE, TYPE, COMBINE, ELEMENT_TYPE, VALUES)                        \
    {                                                                                              \
        .operation = (OPERATION),                                                                  \
        .element = (ELEMENT_TYPE),                                                                 \
        .results = BIT(PARSUM_LONGDOUBLE),                                                         \
        .values = (VALUES),                                                                        \
        .state_size = sizeof(STATE##_state_ld),                                                    \
        .identity = identity_##COMBINE##_ld,                                                       \
        .settled = settled_##COMBINE##_ld,                                                         \
        .accumulate = accumulate_##OP##_##TYPE,                                                    \
        .combine = combine_##OP##_ld,                                                              \
        .finish = finish_##COMBINE##_ld,                                                           \
        .valid = valid_##COMBINE##_ld,                                                             \
        .clear_padding = clear_##COMBINE##_padding_ld,                                             \
    }
#define combine_min_abs_ld combine_min_ld
#define combine_max_abs_ld combine_max_ld
#define combine_nanminmax_ld combine_minmax_ld

const parsum_reduction parsum_order_of_parts[] = {
    ROWS(c64, PARSUM_COMPLEX64, VECTOR_FIELDS),
    ROWS(c128, PARSUM_COMPLEX128, VECTOR_FIELDS),
    ROWS(ld, PARSUM_LONGDOUBLE, NO_FIELDS),
    ROWS(cld, PARSUM_CLONGDOUBLE, NO_FIELDS),
    LONG_ROW("minmax", minmax, pair, ld, minmax, PARSUM_LONGDOUBLE, 2),
    LONG_ROW("nanminmax", nanminmax, pair, ld, minmax, PARSUM_LONGDOUBLE, 2),
    LONG_ROW("min_abs", min_abs, end, ld, end, PARSUM_LONGDOUBLE, 1),
    LONG_ROW("max_abs", max_abs, end, ld, end, PARSUM_LONGDOUBLE, 1),
    LONG_ROW("min_abs", min_abs, end, cld, end, PARSUM_CLONGDOUBLE, 1),
    LONG_ROW("max_abs", max_abs, end, cld, end, PARSUM_CLONGDOUBLE, 1),
    MAGNITUDE_ROW(min_abs, c64, PARSUM_COMPLEX64, PARSUM_FLOAT32),
    MAGNITUDE_ROW(max_abs, c64, PARSUM_COMPLEX64, PARSUM_FLOAT32),
    MAGNITUDE_ROW(min_abs, c128, PARSUM_COMPLEX128, PARSUM_FLOAT64),
    MAGNITUDE_ROW(max_abs, c128, PARSUM_COMPLEX128, PARSUM_FLOAT64),
    {.operation = NULL},
};
