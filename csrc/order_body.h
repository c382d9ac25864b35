/* Kernels of the operations that order elements: included by each CPU level.
 *
 * Integers, float16 and times are compared as signed or unsigned integers, which every float16 and
 * every time has a key for; float32 and float64 as what they are, with a flag for NaN. A kernel
 * gives values of the element's type: NaN (NaT) if an element is NaN, or, where NaNs are left out,
 * if all are. */
#include "kernels.h"
#include "order.h"
#include "order_vectors.h"

#define WANTS_LEAST(op)                                                                            \
    ((op) == ORDER_MIN || (op) == ORDER_MINMAX || (op) == ORDER_NANMIN ||                          \
     (op) == ORDER_NANMINMAX || (op) == ORDER_MIN_ABS)
#define WANTS_LARGEST(op)                                                                          \
    ((op) == ORDER_MAX || (op) == ORDER_MINMAX || (op) == ORDER_NANMAX ||                          \
     (op) == ORDER_NANMINMAX || (op) == ORDER_MAX_ABS)
#define WANTS_NAN(op) ((op) != ORDER_NANMIN && (op) != ORDER_NANMAX && (op) != ORDER_NANMINMAX)

#define STREAMS 16    /* rows that are read side by side */
#define SHORT_FIND 32 /* vectors that are searched without a branch */
#define NOINLINE static __attribute__((noinline))

#if defined(__x86_64__) && PARSUM_VECTOR_BYTES == 16
#define WORDS_ONE_LANE 1 /* see wide_i64 */
#else
#define WORDS_ONE_LANE 0
#endif

/* ---- integers ---- */

/* The magnitude of a signed integer less one fits its type, and orders as the magnitude does: v
 * with its bits turned over if negative is |v| - 1 then, and v else. */
#define INTEGER_KEYS(TYPE, KEY, SIGN_SHIFT)                                                        \
    INLINE void keys_##TYPE(const char *p, const int op, KEY *least, KEY *largest)                 \
    {                                                                                              \
        KEY v;                                                                                     \
        memcpy(&v, p, sizeof v);                                                                   \
        if ((SIGN_SHIFT) && (op == ORDER_MIN_ABS || op == ORDER_MAX_ABS)) {                        \
            const KEY sign = v >> (SIGN_SHIFT);                                                    \
            v = (v ^ sign) + ~sign;                                                                \
        }                                                                                          \
        *least = *largest = v;                                                                     \
    }                                                                                              \
    INLINE void settle_##TYPE(KEY *least, KEY *largest, char flag, const int op)                   \
    {                                                                                              \
        (void)least, (void)largest, (void)flag, (void)op;                                          \
    }                                                                                              \
    INLINE void same_bits_##TYPE(const char *p, KEY *out)                                          \
    {                                                                                              \
        memcpy(out, p, sizeof *out);                                                               \
    }

INTEGER_KEYS(i8, vec_i8, 7)
INTEGER_KEYS(u8, vec_u8, 0)
INTEGER_KEYS(i16, vec_i16, 15)
INTEGER_KEYS(u16, vec_u16, 0)
INTEGER_KEYS(i32, vec_i32, 31)
INTEGER_KEYS(u32, vec_u32, 0)
INTEGER_KEYS(i64, wide_i64, 63)
INTEGER_KEYS(u64, wide_u64, 0)

/* Any byte but 0 is true. */
INLINE void same_bits_boolean(const char *p, vec_u8 *out)
{
    vec_u8 v;
    memcpy(&v, p, sizeof v);
    *out = least_u8(v, (vec_u8){0} + 1);
}

INLINE void keys_boolean(const char *p, const int op, vec_u8 *least, vec_u8 *largest)
{
    (void)op;
    same_bits_boolean(p, least);
    *largest = *least;
}

INLINE void settle_boolean(vec_u8 *least, vec_u8 *largest, char flag, const int op)
{
    (void)least, (void)largest, (void)flag, (void)op;
}

INLINE vec_u8 least_boolean(vec_u8 a, vec_u8 b)
{
    return least_u8(a, b);
}

INLINE vec_u8 largest_boolean(vec_u8 a, vec_u8 b)
{
    return largest_u8(a, b);
}

/* ---- times ----
 *
 * NaT is the least integer, so it comes out of any minimum. One less than itself it is the largest,
 * and the others keep their order. */

INLINE void keys_time(const char *p, const int op, wide_i64 *least, wide_i64 *largest)
{
    wide_u64 v, lowered;
    memcpy(&v, p, sizeof v);
    lowered = v - 1;
    *least = (wide_i64)(WANTS_NAN(op) ? v : lowered);
    *largest = (wide_i64)(op == ORDER_MAX ? lowered : v);
}

INLINE wide_i64 least_time(wide_i64 a, wide_i64 b)
{
    return least_i64(a, b);
}

INLINE wide_i64 largest_time(wide_i64 a, wide_i64 b)
{
    return largest_i64(a, b);
}

INLINE void settle_time(wide_i64 *least, wide_i64 *largest, char flag, const int op)
{
    (void)flag;
    if (op == ORDER_NANMIN || op == ORDER_NANMINMAX)
        *least = (wide_i64)((wide_u64)*least + 1);
    if (op == ORDER_MAX)
        *largest = (wide_i64)((wide_u64)*largest + 1);
    if (op == ORDER_MINMAX) {
#if WORDS_ONE_LANE
        const wide_i64 nat = -(wide_i64)(*least == INT64_MIN);
#else
        const wide_i64 nat = *least == INT64_MIN;
#endif
        *largest = (*least & nat) | (*largest & ~nat);
    }
}

INLINE void same_bits_time(const char *p, wide_i64 *out)
{
    memcpy(out, p, sizeof *out);
}

/* ---- float16 ----
 *
 * As integers in two's complement (order.h) the numbers reach from -0x7c01 (-infinity) to 0x7c00.
 * The NaNs are beyond both ends, 0x3ff codes on each side; taken around the circle of 16 bits they
 * are neighbours. So with 0x3ff taken off, every NaN is larger than infinity, now 0x7801, and with
 * 0x3ff added, every NaN is less than minus infinity, now -0x7802: the minimum or maximum itself
 * says whether there was one. */

#define F16_TOP 0x7801
#define F16_BOTTOM (-0x7802)
#define F16_SHIFT 0x3ff

INLINE void keys_f16(const char *p, const int op, vec_i16 *least, vec_i16 *largest)
{
    vec_u16 v;
    memcpy(&v, p, sizeof v);
    if (op == ORDER_MIN_ABS || op == ORDER_MAX_ABS) {
        v &= 0x7fff;
        *least = (vec_i16)(v + F16_SHIFT); /* NaN wraps around to the negative numbers */
        *largest = (vec_i16)v;             /* NaN is larger than infinity */
        return;
    }
    const vec_u16 key = v ^ ((vec_u16)((vec_i16)v >> 15) >> 1);
    const vec_i16 high = (vec_i16)(key - F16_SHIFT), low = (vec_i16)(key + F16_SHIFT);
    *least = op == ORDER_MIN ? low : high;
    *largest = op == ORDER_MAX || op == ORDER_MINMAX ? high : low;
}

INLINE vec_i16 least_f16(vec_i16 a, vec_i16 b)
{
    return least_i16(a, b);
}

INLINE vec_i16 largest_f16(vec_i16 a, vec_i16 b)
{
    return largest_i16(a, b);
}

INLINE void settle_f16(vec_i16 *least, vec_i16 *largest, char flag, const int op)
{
    (void)flag;
    if (op == ORDER_MIN_ABS || op == ORDER_MAX_ABS) {
        const vec_i16 missing = op == ORDER_MIN_ABS ? *least < 0 : *largest > 0x7c00;
        *least = (vec_i16)((vec_u16)*least - F16_SHIFT);
        *least = (missing & 0x7e00) | (*least & ~missing);
        *largest = (missing & 0x7e00) | (*largest & ~missing);
        return;
    }
    const int high = op != ORDER_MIN; /* whether the least is a key with NaN on top */
    const int top = op == ORDER_MAX || op == ORDER_MINMAX;
    vec_i16 missing_least = high ? *least > F16_TOP : *least < F16_BOTTOM;
    vec_i16 missing_largest = top ? *largest > F16_TOP : *largest < F16_BOTTOM;
    if (op == ORDER_MINMAX)
        missing_least = missing_largest;
    const vec_u16 a = (vec_u16)*least + (uint16_t)(high ? F16_SHIFT : -F16_SHIFT);
    const vec_u16 b = (vec_u16)*largest + (uint16_t)(top ? F16_SHIFT : -F16_SHIFT);
    *least = (vec_i16)(a ^ ((vec_u16)((vec_i16)a >> 15) >> 1));
    *largest = (vec_i16)(b ^ ((vec_u16)((vec_i16)b >> 15) >> 1));
    *least = (missing_least & 0x7e00) | (*least & ~missing_least);
    *largest = (missing_largest & 0x7e00) | (*largest & ~missing_largest);
}

/* Zeros alike, and NaNs. */
INLINE void same_bits_f16(const char *p, vec_i16 *out)
{
    vec_i16 v;
    memcpy(&v, p, sizeof v);
    const vec_i16 magnitude = v & 0x7fff;
    const vec_i16 missing = magnitude > 0x7c00, zero = magnitude == 0;
    *out = ((v & ~zero) | missing) & (~missing | 0x7fff);
}

/* ---- float32 and float64 ---- */

#define FLOAT_KEYS(TYPE, KEY, BITS, MAGNITUDE)                                                     \
    INLINE void keys_##TYPE(const char *p, const int op, KEY *least, KEY *largest)                 \
    {                                                                                              \
        KEY v;                                                                                     \
        memcpy(&v, p, sizeof v);                                                                   \
        if (op == ORDER_MIN_ABS || op == ORDER_MAX_ABS)                                            \
            v = (KEY)((BITS)v & (MAGNITUDE));                                                      \
        *least = *largest = v;                                                                     \
    }                                                                                              \
    INLINE void settle_##TYPE(KEY *least, KEY *largest, flag_##TYPE flag, const int op)            \
    {                                                                                              \
        const KEY nan = (KEY){0} + NAN;                                                            \
        if (WANTS_NAN(op)) {                                                                       \
            *least = choose_##TYPE(flag, nan, *least);                                             \
            *largest = choose_##TYPE(flag, nan, *largest);                                         \
        }                                                                                          \
    }                                                                                              \
    /* Adding 0.0 makes one of both zeros. */                                                      \
    INLINE void same_bits_##TYPE(const char *p, BITS *out)                                         \
    {                                                                                              \
        KEY v;                                                                                     \
        memcpy(&v, p, sizeof v);                                                                   \
        *out = (BITS)choose_##TYPE(unordered_##TYPE(v, v), (KEY){0} + NAN, v + (KEY){0});          \
    }                                                                                              \
    INLINE int sign_of_##TYPE(__typeof__(((KEY){0})[0]) value)                                     \
    {                                                                                              \
        return bits_##TYPE(value) < 0;                                                             \
    }

FLOAT_KEYS(f32, vec_f32, vec_i32, INT32_MAX)
FLOAT_KEYS(f64, vec_f64, vec_i64, INT64_MAX)

/* ---- the loops, for each type ---- */

#define KERNEL(TYPE, OP, CODE)                                                                     \
    static void OP##_run_##TYPE(const void *data, size_t n, void *out)                             \
    {                                                                                              \
        order_ends_of_run_##TYPE(data, n, out, CODE);                                              \
    }                                                                                              \
    NOINLINE void OP##_strips_##TYPE(const char *p, size_t rows, ptrdiff_t row_stride,             \
                                     size_t columns, order_element_##TYPE *least,                  \
                                     order_element_##TYPE *largest)                                \
    {                                                                                              \
        order_strips_##TYPE(p, rows, row_stride, columns, least, largest, CODE);                   \
    }                                                                                              \
    NOINLINE void OP##_sliver_##TYPE(const char *p, size_t rows, ptrdiff_t row_stride,             \
                                     size_t columns, order_element_##TYPE *least,                  \
                                     order_element_##TYPE *largest)                                \
    {                                                                                              \
        order_sliver_##TYPE(p, rows, row_stride, columns, least, largest, CODE);                   \
    }                                                                                              \
    static void OP##_columns_##TYPE(const void *data, size_t rows, ptrdiff_t row_stride,           \
                                    size_t columns, void *least, void *largest)                    \
    {                                                                                              \
        order_ends_of_columns_##TYPE(data, rows, row_stride, columns, least, largest, CODE,        \
                                     OP##_strips_##TYPE, OP##_sliver_##TYPE);                      \
    }
#define PLAIN_KERNELS(TYPE)                                                                        \
    KERNEL(TYPE, min, ORDER_MIN)                                                                   \
    KERNEL(TYPE, max, ORDER_MAX) KERNEL(TYPE, minmax, ORDER_MINMAX)
#define NAN_KERNELS(TYPE)                                                                          \
    KERNEL(TYPE, nanmin, ORDER_NANMIN)                                                             \
    KERNEL(TYPE, nanmax, ORDER_NANMAX) KERNEL(TYPE, nanminmax, ORDER_NANMINMAX)
#define ABS_KERNELS(TYPE) KERNEL(TYPE, min_abs, ORDER_MIN_ABS) KERNEL(TYPE, max_abs, ORDER_MAX_ABS)

#define TYPE boolean
#define ELEMENT uint8_t
#define KEY vec_u8
#define BITS vec_u8
#define WORD uint8_t
#define FLAG char
#define FLOATING 0
#define ONE_LANE 0
#define KEY_LARGEST UINT8_MAX
#define KEY_LEAST 0
#include "order_type_body.h"
PLAIN_KERNELS(boolean)

#define TYPE i8
#define ELEMENT int8_t
#define KEY vec_i8
#define BITS vec_i8
#define WORD int8_t
#define FLAG char
#define FLOATING 0
#define ONE_LANE 0
#define KEY_LARGEST INT8_MAX
#define KEY_LEAST INT8_MIN
#include "order_type_body.h"
PLAIN_KERNELS(i8)
ABS_KERNELS(i8)

#define TYPE u8
#define ELEMENT uint8_t
#define KEY vec_u8
#define BITS vec_u8
#define WORD uint8_t
#define FLAG char
#define FLOATING 0
#define ONE_LANE 0
#define KEY_LARGEST UINT8_MAX
#define KEY_LEAST 0
#include "order_type_body.h"
PLAIN_KERNELS(u8)

#define TYPE i16
#define ELEMENT int16_t
#define KEY vec_i16
#define BITS vec_i16
#define WORD int16_t
#define FLAG char
#define FLOATING 0
#define ONE_LANE 0
#define KEY_LARGEST INT16_MAX
#define KEY_LEAST INT16_MIN
#include "order_type_body.h"
PLAIN_KERNELS(i16)
ABS_KERNELS(i16)

#define TYPE u16
#define ELEMENT uint16_t
#define KEY vec_u16
#define BITS vec_u16
#define WORD uint16_t
#define FLAG char
#define FLOATING 0
#define ONE_LANE 0
#define KEY_LARGEST UINT16_MAX
#define KEY_LEAST 0
#include "order_type_body.h"
PLAIN_KERNELS(u16)

#define TYPE i32
#define PLACES_OF_RUNS
#define ELEMENT int32_t
#define KEY vec_i32
#define BITS vec_i32
#define WORD int32_t
#define FLAG char
#define FLOATING 0
#define ONE_LANE 0
#define KEY_LARGEST INT32_MAX
#define KEY_LEAST INT32_MIN
#include "order_type_body.h"
PLAIN_KERNELS(i32)
ABS_KERNELS(i32)

#define TYPE u32
#define PLACES_OF_RUNS
#define ELEMENT uint32_t
#define KEY vec_u32
#define BITS vec_u32
#define WORD uint32_t
#define FLAG char
#define FLOATING 0
#define ONE_LANE 0
#define KEY_LARGEST UINT32_MAX
#define KEY_LEAST 0
#include "order_type_body.h"
PLAIN_KERNELS(u32)

#define TYPE i64
#define PLACES_OF_RUNS
#define ELEMENT int64_t
#define KEY wide_i64
#define BITS wide_i64
#define WORD int64_t
#define FLAG char
#define FLOATING 0
#define ONE_LANE WORDS_ONE_LANE
#define KEY_LARGEST INT64_MAX
#define KEY_LEAST INT64_MIN
#include "order_type_body.h"
PLAIN_KERNELS(i64)
ABS_KERNELS(i64)

#define TYPE u64
#define PLACES_OF_RUNS
#define ELEMENT uint64_t
#define KEY wide_u64
#define BITS wide_u64
#define WORD uint64_t
#define FLAG char
#define FLOATING 0
#define ONE_LANE WORDS_ONE_LANE
#define KEY_LARGEST UINT64_MAX
#define KEY_LEAST 0
#include "order_type_body.h"
PLAIN_KERNELS(u64)

#define TYPE time
#define ELEMENT int64_t
#define KEY wide_i64
#define BITS wide_i64
#define WORD int64_t
#define FLAG char
#define FLOATING 0
#define ONE_LANE WORDS_ONE_LANE
#define KEY_LARGEST INT64_MAX
#define KEY_LEAST INT64_MIN
#include "order_type_body.h"
PLAIN_KERNELS(time)
NAN_KERNELS(time)

#define TYPE f16
#define ELEMENT uint16_t
#define KEY vec_i16
#define BITS vec_i16
#define WORD int16_t
#define FLAG char
#define FLOATING 0
#define ONE_LANE 0
#define KEY_LARGEST INT16_MAX
#define KEY_LEAST INT16_MIN
#include "order_type_body.h"
PLAIN_KERNELS(f16)
NAN_KERNELS(f16)
ABS_KERNELS(f16)

#define TYPE f32
#define PLACES_OF_RUNS
#define ELEMENT float
#define KEY vec_f32
#define BITS vec_i32
#define WORD int32_t
#define FLAG flag_f32
#define FLOATING 1
#define ONE_LANE 0
#define KEY_LARGEST INFINITY
#define KEY_LEAST -INFINITY
#include "order_type_body.h"
PLAIN_KERNELS(f32)
NAN_KERNELS(f32)
ABS_KERNELS(f32)

#define TYPE f64
#define PLACES_OF_RUNS
#define ELEMENT double
#define KEY vec_f64
#define BITS vec_i64
#define WORD int64_t
#define FLAG flag_f64
#define FLOATING 1
#define ONE_LANE 0
#define KEY_LARGEST INFINITY
#define KEY_LEAST -INFINITY
#include "order_type_body.h"
PLAIN_KERNELS(f64)
NAN_KERNELS(f64)
ABS_KERNELS(f64)

/* ---- complex ---- */

#define TYPE c64
#define PART f32
#define REAL float
#define KEY vec_f32
#define BITS vec_i32
#include "order_complex_body.h"

#define TYPE c128
#define PART f64
#define REAL double
#define KEY vec_f64
#define BITS vec_i64
#include "order_complex_body.h"

/* ---- short rows, turned into columns ---- */

/* Element k of row r goes to place k * rows + r. */
#define TURN_ROWS(WORD, COUNT)                                                                     \
    for (size_t k = 0; k < (COUNT); k++)                                                           \
        for (size_t r = 0; r < rows; r++)                                                          \
            to[k * rows + r] = from[r * (COUNT) + k];
#define TURN(BITS, WORD)                                                                           \
    static void turn_##BITS(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,         \
                            void *out)                                                             \
    {                                                                                              \
        const WORD *restrict from = data;                                                          \
        WORD *restrict to = out;                                                                   \
        if (row_stride == (ptrdiff_t)(n * sizeof(WORD)) && n == 2) {                               \
            TURN_ROWS(WORD, 2)                                                                     \
        } else if (row_stride == (ptrdiff_t)(n * sizeof(WORD)) && n == 3) {                        \
            TURN_ROWS(WORD, 3)                                                                     \
        } else if (row_stride == (ptrdiff_t)(n * sizeof(WORD)) && n == 4) {                        \
            TURN_ROWS(WORD, 4)                                                                     \
        } else {                                                                                   \
            for (size_t r = 0; r < rows; r++) {                                                    \
                from = (const WORD *)((const char *)data + (ptrdiff_t)r * row_stride);             \
                for (size_t k = 0; k < n; k++)                                                     \
                    to[k * rows + r] = from[k];                                                    \
            }                                                                                      \
        }                                                                                          \
    }

typedef struct {
    uint64_t words[2];
} turned_128;

TURN(8, uint8_t)
TURN(16, uint16_t)
TURN(32, uint32_t)
TURN(64, uint64_t)
TURN(128, turned_128)
