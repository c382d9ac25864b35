/* What orders elements, one at a time: a key for each real type, which compares as they do, and
 * what is missing (NaN and NaT). The vector kernels (order_body.h) and the states (order.c) agree
 * by it.
 */
#ifndef PARSUM_ORDER_H
#define PARSUM_ORDER_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RUN_BYTES ((size_t)1 << 13)     /* of a block of a run: it is read twice at most, from L1 */
#define COLUMNS_BYTES ((size_t)1 << 19) /* of a block of columns; from L2 */
#define TURNED_BYTES ((size_t)1 << 14)
#define TURNED_ROW 128 /* bytes of the longest row that is turned into a column */

/* A number some steps on; in unsigned arithmetic, as the one after the last may be out of range. */
static inline int64_t number_at(int64_t first, int64_t step, size_t steps)
{
    return (int64_t)((uint64_t)first + (uint64_t)step * (uint64_t)steps);
}

/* Keys of integers are they themselves; those of unsigned 64-bit ones start at the other end. */
#define ORDER_INTEGER(TYPE, ELEMENT, KEY)                                                          \
    static inline int64_t key_##TYPE(ELEMENT value)                                                \
    {                                                                                              \
        return (KEY);                                                                              \
    }                                                                                              \
    static inline int missing_##TYPE(ELEMENT value)                                                \
    {                                                                                              \
        (void)value;                                                                               \
        return 0;                                                                                  \
    }                                                                                              \
    static inline int same_##TYPE(ELEMENT a, ELEMENT b)                                            \
    {                                                                                              \
        return a == b;                                                                             \
    }

ORDER_INTEGER(i8, int8_t, value)
ORDER_INTEGER(u8, uint8_t, value)
ORDER_INTEGER(i16, int16_t, value)
ORDER_INTEGER(u16, uint16_t, value)
ORDER_INTEGER(i32, int32_t, value)
ORDER_INTEGER(u32, uint32_t, value)
ORDER_INTEGER(i64, int64_t, value)
ORDER_INTEGER(u64, uint64_t, (int64_t)(value ^ UINT64_C(1) << 63))

static inline int64_t key_boolean(uint8_t value)
{
    return value != 0;
}

static inline int missing_boolean(uint8_t value)
{
    (void)value;
    return 0;
}

static inline int same_boolean(uint8_t a, uint8_t b)
{
    return !a == !b;
}

static inline int64_t key_time(int64_t value)
{
    return value;
}

static inline int missing_time(int64_t value)
{
    return value == INT64_MIN;
}

static inline int same_time(int64_t a, int64_t b)
{
    return a == b;
}

/* A float's bits are a sign and a magnitude, which grows with the value: negative ones in two's
 * complement of one less, so that -0.0 comes before 0.0, are a total order. */
#define ORDER_FLOAT(TYPE, ELEMENT, WORD, MAGNITUDE, INFINITE)                                      \
    static inline WORD bits_##TYPE(ELEMENT value)                                                  \
    {                                                                                              \
        WORD bits;                                                                                 \
        memcpy(&bits, &value, sizeof bits);                                                        \
        return bits;                                                                               \
    }                                                                                              \
    static inline int64_t key_##TYPE(ELEMENT value)                                                \
    {                                                                                              \
        const WORD bits = bits_##TYPE(value);                                                      \
        return bits < 0 ? (WORD)(bits ^ (MAGNITUDE)) : bits;                                       \
    }                                                                                              \
    static inline int missing_##TYPE(ELEMENT value)                                                \
    {                                                                                              \
        return (WORD)(bits_##TYPE(value) & (MAGNITUDE)) > (INFINITE);                              \
    }                                                                                              \
    static inline int same_##TYPE(ELEMENT a, ELEMENT b)                                            \
    {                                                                                              \
        const WORD x = bits_##TYPE(a), y = bits_##TYPE(b);                                         \
        return x == y || ((x | y) & (MAGNITUDE)) == 0 || (missing_##TYPE(a) && missing_##TYPE(b)); \
    }

ORDER_FLOAT(f16, uint16_t, int16_t, INT16_MAX, 0x7c00)
ORDER_FLOAT(f32, float, int32_t, INT32_MAX, 0x7f800000)
ORDER_FLOAT(f64, double, int64_t, INT64_MAX, INT64_C(0x7ff0000000000000))

/* Short rows turned into columns by the kernels (order.c). */
void parsum_turn(size_t size, const char *data, size_t rows, ptrdiff_t row_stride, size_t n,
                 char *out);

#endif
