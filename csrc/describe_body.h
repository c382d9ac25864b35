/* The loops over integer elements for sums of their powers: included by each CPU level. Up to 32
 * bits they are plain enough for compilers to make vectors of. Sums are added to limbs of 32 bits
 * (kernels.h). */
#include "exact.h"
#include "kernels.h"

/* Elements of 8 bits: 2^16 = INTEGER_BLOCK squares below 2^16 - 2^9 stay below 2^32. */
#define SQUARES_8(NAME, TYPE)                                                                      \
    static void squares_##NAME(const void *data, size_t n, int64_t *limbs)                         \
    {                                                                                              \
        const TYPE *p = data;                                                                      \
        uint32_t sum = 0;                                                                          \
        for (size_t i = 0; i < n; i++)                                                             \
            sum += (uint32_t)(p[i] * p[i]);                                                        \
        limbs[0] += sum;                                                                           \
    }

/* Of 16 bits: their squares are below 2^32. */
#define SQUARES_16(NAME, TYPE)                                                                     \
    static void squares_##NAME(const void *data, size_t n, int64_t *limbs)                         \
    {                                                                                              \
        const TYPE *p = data;                                                                      \
        int64_t sum = 0;                                                                           \
        for (size_t i = 0; i < n; i++)                                                             \
            sum += (uint32_t)p[i] * (uint32_t)p[i];                                                \
        limbs[0] += sum;                                                                           \
    }

/* Of 32 bits: halves of squares below 2^64. */
#define SQUARES_32(NAME, TYPE, MAGNITUDE)                                                          \
    static void squares_##NAME(const void *data, size_t n, int64_t *limbs)                         \
    {                                                                                              \
        const TYPE *p = data;                                                                      \
        uint64_t low = 0, high = 0;                                                                \
        for (size_t i = 0; i < n; i++) {                                                           \
            const uint32_t m = (MAGNITUDE);                                                        \
            const uint64_t square = (uint64_t)m * m;                                               \
            low += (uint32_t)square;                                                               \
            high += square >> 32;                                                                  \
        }                                                                                          \
        limbs[0] += (int64_t)low;                                                                  \
        limbs[1] += (int64_t)high;                                                                 \
    }

/* Of 64 bits: (low + high 2^32)^2 in halves of the three products. */
#define SQUARES_64(NAME, TYPE, MAGNITUDE)                                                          \
    static void squares_##NAME(const void *data, size_t n, int64_t *limbs)                         \
    {                                                                                              \
        const TYPE *p = data;                                                                      \
        uint64_t sums[4] = {0};                                                                    \
        for (size_t i = 0; i < n; i++) {                                                           \
            const uint64_t m = (MAGNITUDE);                                                        \
            const uint32_t low = (uint32_t)m, high = (uint32_t)(m >> 32);                          \
            const uint64_t a = (uint64_t)low * low, b = (uint64_t)low * high,                      \
                           c = (uint64_t)high * high;                                              \
            sums[0] += (uint32_t)a;                                                                \
            sums[1] += (a >> 32) + 2 * (b & 0xffffffff);                                           \
            sums[2] += 2 * (b >> 32) + (uint32_t)c;                                                \
            sums[3] += c >> 32;                                                                    \
        }                                                                                          \
        for (int k = 0; k < 4; k++)                                                                \
            limbs[k] += (int64_t)sums[k];                                                          \
    }

#define MAGNITUDE_OF(UNSIGNED) (p[i] < 0 ? 0 - (UNSIGNED)p[i] : (UNSIGNED)p[i])

SQUARES_8(i8, int8_t)
SQUARES_8(u8, uint8_t)
SQUARES_16(i16, int16_t)
SQUARES_16(u16, uint16_t)
SQUARES_32(i32, int32_t, MAGNITUDE_OF(uint32_t))
SQUARES_32(u32, uint32_t, p[i])
SQUARES_64(i64, int64_t, MAGNITUDE_OF(uint64_t))
SQUARES_64(u64, uint64_t, p[i])

/* Third and fourth powers of elements of 8 and 16 bits: of |x|^3 < 2^48, 2^15 stay below 2^63; x^4
 * < 2^64 in halves. */
#define POWERS_16(NAME, TYPE)                                                                      \
    static void powers_##NAME(const void *data, size_t n, int64_t *cubes, int64_t *fourths)        \
    {                                                                                              \
        const TYPE *p = data;                                                                      \
        int64_t cube = 0;                                                                          \
        uint64_t low = 0, high = 0;                                                                \
        for (size_t i = 0; i < n; i++) {                                                           \
            const uint32_t square = (uint32_t)p[i] * (uint32_t)p[i];                               \
            const uint64_t fourth = (uint64_t)square * square;                                     \
            cube += (int64_t)square * p[i];                                                        \
            low += (uint32_t)fourth;                                                               \
            high += fourth >> 32;                                                                  \
        }                                                                                          \
        cubes[0] += cube & 0xffffffff;                                                             \
        cubes[1] += cube >> 32;                                                                    \
        fourths[0] += (int64_t)low;                                                                \
        fourths[1] += (int64_t)high;                                                               \
    }

INLINE void add_to_limbs(int64_t *limbs, uint128 value)
{
    for (int k = 0; k < 4; k++, value >>= 32)
        limbs[k] += (uint32_t)value;
}

INLINE void take_from_limbs(int64_t *limbs, uint128 value)
{
    for (int k = 0; k < 4; k++, value >>= 32)
        limbs[k] -= (uint32_t)value;
}

/* Of 32 bits: |x|^3 < 2^96; x^4 < 2^128 in halves. FACTOR holds all squares. */
#define POWERS_32(NAME, TYPE, FACTOR, PRODUCT)                                                     \
    static void powers_##NAME(const void *data, size_t n, int64_t *cubes, int64_t *fourths)        \
    {                                                                                              \
        const TYPE *p = data;                                                                      \
        int128 cube = 0;                                                                           \
        uint128 low = 0, high = 0;                                                                 \
        for (size_t i = 0; i < n; i++) {                                                           \
            const FACTOR x = p[i], square = x * x;                                                 \
            const uint128 fourth = (uint128)(uint64_t)square * (uint64_t)square;                   \
            cube += (int128)((PRODUCT)square * x);                                                 \
            low += (uint64_t)fourth;                                                               \
            high += fourth >> 64;                                                                  \
        }                                                                                          \
        if (cube < 0)                                                                              \
            take_from_limbs(cubes, -(uint128)cube);                                                \
        else                                                                                       \
            add_to_limbs(cubes, (uint128)cube);                                                    \
        add_to_limbs(fourths, low);                                                                \
        add_to_limbs(fourths + 2, high);                                                           \
    }

/* A sum of products of 64 bits by 64. */
typedef struct {
    uint128 low;
    uint64_t high;
} wide_sum;

INLINE void add_wide(wide_sum *sum, uint64_t a, uint64_t b)
{
    const uint128 product = (uint128)a * b;
    sum->low += product;
    sum->high += sum->low < product;
}

/* Of 64 bits: with m^2 = low + high 2^64, m^3 = low m + high m 2^64, m^4 = low^2 + 2 low high 2^64
 * + high^2 2^128. */
#define POWERS_64(NAME, TYPE, MAGNITUDE, NEGATIVE)                                                 \
    static void powers_##NAME(const void *data, size_t n, int64_t *cubes, int64_t *fourths)        \
    {                                                                                              \
        const TYPE *p = data;                                                                      \
        wide_sum cube[2][2] = {{{0, 0}}}, fourth[3] = {{0, 0}};                                    \
        for (size_t i = 0; i < n; i++) {                                                           \
            const uint64_t m = (MAGNITUDE);                                                        \
            const uint128 square = (uint128)m * m;                                                 \
            const uint64_t low = (uint64_t)square, high = (uint64_t)(square >> 64);                \
            add_wide(&cube[NEGATIVE][0], low, m);                                                  \
            add_wide(&cube[NEGATIVE][1], high, m);                                                 \
            add_wide(&fourth[0], low, low);                                                        \
            add_wide(&fourth[1], low, high);                                                       \
            add_wide(&fourth[2], high, high);                                                      \
        }                                                                                          \
        for (int k = 0; k < 2; k++) {                                                              \
            add_to_limbs(cubes + 2 * k, cube[0][k].low);                                           \
            take_from_limbs(cubes + 2 * k, cube[1][k].low);                                        \
            cubes[2 * k + 4] += (int64_t)cube[0][k].high - (int64_t)cube[1][k].high;               \
        }                                                                                          \
        for (int k = 0; k < 3; k++)                                                                \
            for (int times = 0; times < (k == 1 ? 2 : 1); times++) {                               \
                add_to_limbs(fourths + 2 * k, fourth[k].low);                                      \
                fourths[2 * k + 4] += (int64_t)fourth[k].high;                                     \
            }                                                                                      \
    }

POWERS_16(i8, int8_t)
POWERS_16(u8, uint8_t)
POWERS_16(i16, int16_t)
POWERS_16(u16, uint16_t)
POWERS_32(i32, int32_t, int64_t, int128)
POWERS_32(u32, uint32_t, uint64_t, uint128)
POWERS_64(i64, int64_t, MAGNITUDE_OF(uint64_t), p[i] < 0)
POWERS_64(u64, uint64_t, p[i], 0)
