/* Descriptions: count, NaNs, minimum, maximum, sum, mean, variance and standard deviation of
 * numbers in one pass, and on request skewness and kurtosis; all but the counts rounded once from
 * exact sums of powers. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "convert.h"
#include "cubes.h"
#include "exact.h"
#include "kernels.h"
#include "moments_state.h"
#include "rational.h"
#include "reductions.h"
#include "states.h"

/* The values of a description, in their order. */
enum { COUNT, NANS, LEAST, LARGEST, SUM, MEAN, VAR, STD, VALUES, SKEW = VALUES, KURTOSIS, ALL };

/* The exact sums of the first powers of `count` numbers. */
typedef struct {
    uint64_t count;
    double ddof;
    big s1, s2, s3, s4;
} power_sums;

static void no_values(double *values, int count)
{
    for (int k = 0; k < count; k++)
        values[k] = (double)NAN;
}

/* Fills in what is made of the sums. */
static int round_values(const power_sums *sums, int count, double *values)
{
    int flags = big_round(&sums->s1, PARSUM_FLOAT64, &values[SUM]);
    if (!sums->count)
        return flags;
    big n;
    big_from_uint64(sums->count, &n);
    big_round_quotient(&sums->s1, &n, PARSUM_FLOAT64, &values[MEAN]);
    if ((double)sums->count - sums->ddof > 0)
        for (int k = VAR; k <= STD; k++)
            flags |= big_round_variance(&sums->s1, NULL, &sums->s2, sums->count, sums->ddof,
                                        k == STD, PARSUM_FLOAT64, &values[k]);
    if (count == ALL)
        big_round_shape(&sums->s1, &sums->s2, &sums->s3, &sums->s4, sums->count, &values[SKEW],
                        &values[KURTOSIS]);
    return flags & PARSUM_OVERFLOW;
}

/* ---- columns ---- */

typedef void accumulate_function(void *state, const void *data, size_t n, ptrdiff_t stride);

#define TURN_BYTES 16384 /* what is turned at once: half of L1 */
#define TURN_COLUMNS 16

/* Element k of row r goes to place k * rows + r. */
static void turn(const char *data, size_t rows, ptrdiff_t row_stride, size_t n, size_t item,
                 char *out)
{
    for (size_t r = 0; r < rows; r++, data += row_stride)
        for (size_t k = 0; k < n; k++)
            memcpy(out + (k * rows + r) * item, data + k * item, item);
}

/* Groups of columns are turned to rows, which are taken in one after the other. */
static void accumulate_turned(accumulate_function *accumulate, char *states, size_t state_size,
                              const char *data, size_t item, size_t rows, ptrdiff_t row_stride,
                              size_t columns)
{
    _Alignas(64) char turned[TURN_BYTES];
    for (size_t first = 0; first < columns; first += TURN_COLUMNS) {
        const size_t width = columns - first < TURN_COLUMNS ? columns - first : TURN_COLUMNS;
        const size_t most = TURN_BYTES / (width * item) / 64 * 64;
        for (size_t done = 0; done < rows;) {
            const size_t count = rows - done < most ? rows - done : most;
            const char *from = data + (ptrdiff_t)done * row_stride + first * item;
            turn(from, count, row_stride, width, item, turned);
            for (size_t j = 0; j < width; j++)
                accumulate(states + (first + j) * state_size, turned + j * count * item, count,
                           (ptrdiff_t)item);
            done += count;
        }
    }
}

#define COLUMNS(NAME, ELEMENT, SIZE, SHAPE_SIZE)                                                   \
    static void accumulate_columns_##NAME(void *states, const void *data, size_t rows,             \
                                          ptrdiff_t row_stride, size_t columns)                    \
    {                                                                                              \
        accumulate_turned(accumulate_##NAME, states, SIZE, data, sizeof(ELEMENT), rows,            \
                          row_stride, columns);                                                    \
    }                                                                                              \
    static void accumulate_shape_columns_##NAME(void *states, const void *data, size_t rows,       \
                                                ptrdiff_t row_stride, size_t columns)              \
    {                                                                                              \
        accumulate_turned(accumulate_shape_##NAME, states, SHAPE_SIZE, data, sizeof(ELEMENT),      \
                          rows, row_stride, columns);                                              \
    }

/* ---- floats ---- */

static const number_ends NO_ENDS = {0, (double)INFINITY, -(double)INFINITY};

typedef struct {
    number_ends ends;
    moments_state moments; /* the real ones */
    /* not in the state of a description without them */
    _Alignas(STATE_ALIGNMENT) cube_sums cubes;
} real_state;

#define REAL_SIZE offsetof(real_state, cubes)

_Static_assert(sizeof(real_state) <= STATE_MAX, "there is room for a state");

static void identity_real(void *state, double ddof)
{
    real_state *real = state;
    real->ends = NO_ENDS;
    parsum_moments_identity(&real->moments, ddof);
}

static void identity_real_shape(void *state, double ddof)
{
    identity_real(state, ddof);
    parsum_cubes_identity(&((real_state *)state)->cubes);
}

static void restart_real(void *state, double ddof)
{
    real_state *real = state;
    real->ends = NO_ENDS;
    parsum_moments_restart(&real->moments, ddof);
}

static void restart_real_shape(void *state, double ddof)
{
    restart_real(state, ddof);
    parsum_cubes_identity(&((real_state *)state)->cubes);
}

static void combine_real(void *state, const void *other)
{
    real_state *real = state;
    const real_state *more = other;
    real->ends.nans += more->ends.nans;
    parsum_join_ends(&real->ends, more->ends.least, more->ends.largest);
    parsum_moments_combine(&real->moments, &more->moments);
}

static void combine_real_shape(void *state, const void *other)
{
    combine_real(state, other);
    parsum_cubes_combine(&((real_state *)state)->cubes, &((const real_state *)other)->cubes);
}

static void accumulate_cubes(cube_sums *cubes, const float_kernels *kernels, size_t item,
                             const char *data, size_t n, ptrdiff_t stride)
{
    const int plain = stride == (ptrdiff_t)item && (uintptr_t)data % item == 0;
    if (plain && item == sizeof(double)) {
        parsum_cubes_add(cubes, (const double *)(const void *)data, n);
        return;
    }
    double gathered[BLOCK], values[BLOCK];
    while (n) {
        const size_t count = n < BLOCK ? n : BLOCK;
        const char *from = data;
        if (!plain) {
            parsum_gather((char *)gathered, data, count, stride, item, 0);
            from = (const char *)gathered;
        }
        kernels->widen(from, count, values);
        if (item == sizeof(double))
            parsum_cubes_add(cubes, values, count);
        else
            parsum_cubes_add_narrow(cubes, values, count);
        data += (ptrdiff_t)count * stride;
        n -= count;
    }
}

static int valid_real(const real_state *real, int type)
{
    return !isnan(real->ends.least) && !isnan(real->ends.largest) &&
           parsum_moments_valid(&real->moments, type);
}

#define REAL(NAME, TYPE, ELEMENT)                                                                  \
    static int valid_##NAME(const void *state)                                                     \
    {                                                                                              \
        return valid_real(state, TYPE);                                                            \
    }                                                                                              \
    static int valid_shape_##NAME(const void *state)                                               \
    {                                                                                              \
        return valid_real(state, TYPE) && parsum_cubes_valid(&((const real_state *)state)->cubes); \
    }                                                                                              \
    static void accumulate_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)       \
    {                                                                                              \
        real_state *real = state;                                                                  \
        parsum_moments_describe(&real->moments, &real->ends, TYPE, data, n, stride);               \
    }                                                                                              \
    static void accumulate_shape_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride) \
    {                                                                                              \
        accumulate_##NAME(state, data, n, stride);                                                 \
        accumulate_cubes(&((real_state *)state)->cubes, &parsum_kernels()->NAME, sizeof(ELEMENT),  \
                         data, n, stride);                                                         \
    }                                                                                              \
    COLUMNS(NAME, ELEMENT, REAL_SIZE, sizeof(real_state))

REAL(f16, PARSUM_FLOAT16, uint16_t)
REAL(f32, PARSUM_FLOAT32, float)
REAL(f64, PARSUM_FLOAT64, double)

/* Infinities have a sum and a mean, or neither, and no variance. A sum of -0.0 alone is -0.0, and
 * so is its mean. */
static int finish_numbers(const real_state *real, int count, double *values)
{
    const exact_state *sum = &real->moments.sums[0];
    power_sums sums = {.count = real->moments.count, .ddof = real->moments.ddof};
    no_values(values, count);
    values[COUNT] = (double)sums.count;
    values[NANS] = (double)real->ends.nans;
    if (sums.count) {
        values[LEAST] = real->ends.least;
        values[LARGEST] = real->ends.largest;
    }
    if (sum->plus_infinity || sum->minus_infinity) {
        values[SUM] = (sum->plus_infinity ? (double)INFINITY : 0.0) -
                      (sum->minus_infinity ? (double)INFINITY : 0.0);
        values[MEAN] = values[SUM];
        return 0;
    }
    parsum_moments_value(&real->moments, &sums.s1, &sums.s2);
    if (count == ALL)
        parsum_cubes_value(&real->cubes, &sums.s3, &sums.s4);
    const int flags = round_values(&sums, count, values);
    const uint64_t minus_zero = bits_of(-0.0);
    if (bits_of(values[LEAST]) == minus_zero && bits_of(values[LARGEST]) == minus_zero)
        values[SUM] = values[MEAN] = -0.0;
    return flags;
}

/* ---- integers ---- */

/* Overlapping limbs as in exact.h, of the sums of the first four powers of 2^64 integers. */
enum { LIMBS_1 = 5, LIMBS_2 = 7, LIMBS_3 = 9, LIMBS_4 = 11 };
#define LIMB_ADDS 1000 /* of less than 2^52 to a limb; 2^62 / 2^52 = 1024 */

typedef struct {
    uint64_t count;
    double ddof;
    uint64_t least, largest; /* as 64-bit integers of their signedness, if there are any */
    int64_t adds;
    int64_t s1[LIMBS_1], s2[LIMBS_2];
    /* not in the state of a description without them */
    _Alignas(STATE_ALIGNMENT) int64_t s3[LIMBS_3];
    int64_t s4[LIMBS_4];
} integer_state;

#define INTEGER_SIZE offsetof(integer_state, s3)

static void identity_integer(void *state, double ddof)
{
    memset(state, 0, INTEGER_SIZE);
    ((integer_state *)state)->ddof = ddof;
}

static void identity_integer_shape(void *state, double ddof)
{
    memset(state, 0, sizeof(integer_state));
    ((integer_state *)state)->ddof = ddof;
}

static void pass_carries(int64_t *limb, int count)
{
    int64_t carry = 0;
    for (int i = 0; i < count - 1; i++) {
        const int64_t value = limb[i] + carry;
        limb[i] = value & 0xffffffff;
        carry = value >> 32;
    }
    limb[count - 1] = wrapping_sum(limb[count - 1], carry);
}

static void pass_all_carries(integer_state *state, int shape)
{
    pass_carries(state->s1, LIMBS_1);
    pass_carries(state->s2, LIMBS_2);
    if (shape) {
        pass_carries(state->s3, LIMBS_3);
        pass_carries(state->s4, LIMBS_4);
    }
    state->adds = 1;
}

static void reserve(integer_state *state, int64_t adds, int shape)
{
    if (state->adds + adds > LIMB_ADDS)
        pass_all_carries(state, shape);
    state->adds += adds;
}

static void add_limbs(int64_t *limb, const int64_t *more, int count)
{
    for (int i = 0; i < count; i++)
        limb[i] = wrapping_sum(limb[i], more[i]);
}

static int is_less(uint64_t a, uint64_t b, int is_signed)
{
    return is_signed ? (int64_t)a < (int64_t)b : a < b;
}

/* Takes in the count and the ends of others. */
static void join_integers(integer_state *state, uint64_t count, uint64_t least, uint64_t largest,
                          int is_signed)
{
    if (!state->count || is_less(least, state->least, is_signed))
        state->least = least;
    if (!state->count || is_less(state->largest, largest, is_signed))
        state->largest = largest;
    state->count += count;
}

static void combine_integers(integer_state *state, const integer_state *other, int is_signed,
                             int shape)
{
    if (!other->count)
        return;
    if (!state->count) {
        const double ddof = state->ddof;
        memcpy(state, other, shape ? sizeof *state : INTEGER_SIZE);
        state->ddof = ddof;
        return;
    }
    join_integers(state, other->count, other->least, other->largest, is_signed);
    reserve(state, other->adds + 1, shape);
    add_limbs(state->s1, other->s1, LIMBS_1);
    add_limbs(state->s2, other->s2, LIMBS_2);
    if (shape) {
        add_limbs(state->s3, other->s3, LIMBS_3);
        add_limbs(state->s4, other->s4, LIMBS_4);
    }
    if (state->adds > LIMB_ADDS)
        pass_all_carries(state, shape);
}

static int valid_integers(const integer_state *state, int shape)
{
    if (state->adds < 0 || state->adds > LIMB_ADDS)
        return 0;
    const int64_t most = state->adds << 52;
    return limbs_are_valid(state->s1, LIMBS_1, most) && limbs_are_valid(state->s2, LIMBS_2, most) &&
           (!shape || (limbs_are_valid(state->s3, LIMBS_3, most) &&
                       limbs_are_valid(state->s4, LIMBS_4, most)));
}

static int valid_integer(const void *state)
{
    return valid_integers(state, 0);
}

static int valid_integer_shape(const void *state)
{
    return valid_integers(state, 1);
}

static void combine_signed(void *state, const void *other)
{
    combine_integers(state, other, 1, 0);
}

static void combine_signed_shape(void *state, const void *other)
{
    combine_integers(state, other, 1, 1);
}

static void combine_unsigned(void *state, const void *other)
{
    combine_integers(state, other, 0, 0);
}

static void combine_unsigned_shape(void *state, const void *other)
{
    combine_integers(state, other, 0, 1);
}

/* What the functions below need to know of an integer type. */
typedef struct {
    const integer_kernels *kernels;
    void (*ends)(const void *data, size_t n, uint64_t *ends); /* as 64-bit integers */
    size_t size;
    int is_signed;
} integer_type;

/* n contiguous, aligned elements. */
static void take_integers(integer_state *state, const integer_type *type, const char *data,
                          size_t n, int shape)
{
    while (n) {
        const size_t count = n < BLOCK ? n : BLOCK;
        uint64_t ends[2];
        int64_t low = 0, high = 0;
        type->ends(data, count, ends);
        join_integers(state, count, ends[0], ends[1], type->is_signed);
        reserve(state, 1, shape);
        type->kernels->sum(data, count, &low, &high);
        state->s1[0] += low;
        state->s1[1] += high;
        type->kernels->squares(data, count, state->s2);
        if (shape)
            type->kernels->powers(data, count, state->s3, state->s4);
        data += count * type->size;
        n -= count;
    }
}

/* Of truth values all powers are alike. */
static void take_truths(integer_state *state, const integer_type *type, const char *data, size_t n,
                        int shape)
{
    while (n) {
        const size_t count = n < INTEGER_BLOCK ? n : INTEGER_BLOCK;
        int64_t trues = 0, none = 0;
        type->kernels->sum(data, count, &trues, &none);
        join_integers(state, count, (size_t)trues == count, trues != 0, type->is_signed);
        reserve(state, 1, shape);
        state->s1[0] += trues;
        state->s2[0] += trues;
        if (shape) {
            state->s3[0] += trues;
            state->s4[0] += trues;
        }
        data += count;
        n -= count;
    }
}

static void accumulate_integers(integer_state *state, const integer_type *type, const char *data,
                                size_t n, ptrdiff_t stride, int shape)
{
    void (*take)(integer_state *, const integer_type *, const char *, size_t, int) =
        type->ends ? take_integers : take_truths;
    if (stride == (ptrdiff_t)type->size && (uintptr_t)data % type->size == 0) {
        take(state, type, data, n, shape);
        return;
    }
    uint64_t gathered[BLOCK];
    while (n) {
        const size_t count = n < BLOCK ? n : BLOCK;
        parsum_gather((char *)gathered, data, count, stride, type->size, 0);
        take(state, type, (const char *)gathered, count, shape);
        data += (ptrdiff_t)count * stride;
        n -= count;
    }
}

#define INTEGER(NAME, ELEMENT, ENDS, SIGNED)                                                       \
    static integer_type type_##NAME(void)                                                          \
    {                                                                                              \
        return (integer_type){&parsum_kernels()->NAME, ENDS, sizeof(ELEMENT), SIGNED};             \
    }                                                                                              \
    static void accumulate_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)       \
    {                                                                                              \
        const integer_type type = type_##NAME();                                                   \
        accumulate_integers(state, &type, data, n, stride, 0);                                     \
    }                                                                                              \
    static void accumulate_shape_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride) \
    {                                                                                              \
        const integer_type type = type_##NAME();                                                   \
        accumulate_integers(state, &type, data, n, stride, 1);                                     \
    }                                                                                              \
    COLUMNS(NAME, ELEMENT, INTEGER_SIZE, sizeof(integer_state))

#define ENDS(NAME, ELEMENT)                                                                        \
    static void ends_##NAME(const void *data, size_t n, uint64_t *ends)                            \
    {                                                                                              \
        ELEMENT both[2];                                                                           \
        const ELEMENT *p = data;                                                                   \
        both[0] = both[1] = p[0];                                                                  \
        for (size_t i = 1; i < n; i++) {                                                           \
            both[0] = p[i] < both[0] ? p[i] : both[0];                                             \
            both[1] = p[i] > both[1] ? p[i] : both[1];                                             \
        }                                                                                          \
        ends[0] = (uint64_t)both[0];                                                               \
        ends[1] = (uint64_t)both[1];                                                               \
    }

ENDS(i8, int8_t)
ENDS(u8, uint8_t)
ENDS(i16, int16_t)
ENDS(u16, uint16_t)
ENDS(i32, int32_t)
ENDS(u32, uint32_t)
ENDS(i64, int64_t)
ENDS(u64, uint64_t)
INTEGER(boolean, uint8_t, NULL, 0)
INTEGER(i8, int8_t, ends_i8, 1)
INTEGER(u8, uint8_t, ends_u8, 0)
INTEGER(i16, int16_t, ends_i16, 1)
INTEGER(u16, uint16_t, ends_u16, 0)
INTEGER(i32, int32_t, ends_i32, 1)
INTEGER(u32, uint32_t, ends_u32, 0)
INTEGER(i64, int64_t, ends_i64, 1)
INTEGER(u64, uint64_t, ends_u64, 0)

static int finish_integers(const integer_state *state, int count, double *values)
{
    power_sums sums = {.count = state->count, .ddof = state->ddof};
    no_values(values, count);
    values[COUNT] = (double)state->count;
    values[NANS] = 0;
    values[LEAST] = double_of(state->least);
    values[LARGEST] = double_of(state->largest);
    big_from_limbs(state->s1, LIMBS_1, 0, &sums.s1);
    big_from_limbs(state->s2, LIMBS_2, 0, &sums.s2);
    if (count == ALL) {
        big_from_limbs(state->s3, LIMBS_3, 0, &sums.s3);
        big_from_limbs(state->s4, LIMBS_4, 0, &sums.s4);
    }
    return round_values(&sums, count, values);
}

/* ---- the table ---- */

#define FINISH(NAME, STATE, NUMBERS, COUNT_OF_VALUES)                                              \
    static int finish_##NAME(const void *state, int type, void *result)                            \
    {                                                                                              \
        double values[ALL];                                                                        \
        (void)type;                                                                                \
        const int flags = NUMBERS((const STATE *)state, COUNT_OF_VALUES, values);                  \
        memcpy(result, values, (COUNT_OF_VALUES) * sizeof *values);                                \
        return flags;                                                                              \
    }

FINISH(real, real_state, finish_numbers, VALUES)
FINISH(real_shape, real_state, finish_numbers, ALL)
FINISH(integer, integer_state, finish_integers, VALUES)
FINISH(integer_shape, integer_state, finish_integers, ALL)

#define ROW(NAME, ELEMENT_TYPE, KIND, RESTART, COMBINE, SIZE, VALID)                               \
    {                                                                                              \
        .operation = "describe",                                                                   \
        .element = ELEMENT_TYPE,                                                                   \
        .results = BIT(PARSUM_FLOAT64),                                                            \
        .values = VALUES,                                                                          \
        .state_size = SIZE,                                                                        \
        .identity = identity_##KIND,                                                               \
        .restart = RESTART,                                                                        \
        .accumulate = accumulate_##NAME,                                                           \
        .accumulate_columns = accumulate_columns_##NAME,                                           \
        .combine = combine_##COMBINE,                                                              \
        .finish = finish_##KIND,                                                                   \
        .valid = VALID,                                                                            \
    }
#define SHAPE_ROW(NAME, ELEMENT_TYPE, KIND, RESTART, COMBINE, SIZE, VALID)                         \
    {                                                                                              \
        .operation = "describe_shape",                                                             \
        .element = ELEMENT_TYPE,                                                                   \
        .results = BIT(PARSUM_FLOAT64),                                                            \
        .values = ALL,                                                                             \
        .state_size = SIZE,                                                                        \
        .identity = identity_##KIND##_shape,                                                       \
        .restart = RESTART,                                                                        \
        .accumulate = accumulate_shape_##NAME,                                                     \
        .accumulate_columns = accumulate_shape_columns_##NAME,                                     \
        .combine = combine_##COMBINE##_shape,                                                      \
        .finish = finish_##KIND##_shape,                                                           \
        .valid = VALID,                                                                            \
    }
#define INTEGER_ROWS(NAME, ELEMENT_TYPE, COMBINE)                                                  \
    ROW(NAME, ELEMENT_TYPE, integer, NULL, COMBINE, INTEGER_SIZE, valid_integer),                  \
        SHAPE_ROW(NAME, ELEMENT_TYPE, integer, NULL, COMBINE, sizeof(integer_state),               \
                  valid_integer_shape)
#define REAL_ROWS(NAME, ELEMENT_TYPE)                                                              \
    ROW(NAME, ELEMENT_TYPE, real, restart_real, real, REAL_SIZE, valid_##NAME),                    \
        SHAPE_ROW(NAME, ELEMENT_TYPE, real, restart_real_shape, real, sizeof(real_state),          \
                  valid_shape_##NAME)

const parsum_reduction parsum_descriptions[] = {
    INTEGER_ROWS(boolean, PARSUM_BOOL, unsigned),
    INTEGER_ROWS(i8, PARSUM_INT8, signed),
    INTEGER_ROWS(u8, PARSUM_UINT8, unsigned),
    INTEGER_ROWS(i16, PARSUM_INT16, signed),
    INTEGER_ROWS(u16, PARSUM_UINT16, unsigned),
    INTEGER_ROWS(i32, PARSUM_INT32, signed),
    INTEGER_ROWS(u32, PARSUM_UINT32, unsigned),
    INTEGER_ROWS(i64, PARSUM_INT64, signed),
    INTEGER_ROWS(u64, PARSUM_UINT64, unsigned),
    REAL_ROWS(f16, PARSUM_FLOAT16),
    REAL_ROWS(f32, PARSUM_FLOAT32),
    REAL_ROWS(f64, PARSUM_FLOAT64),
    {.operation = NULL},
};
