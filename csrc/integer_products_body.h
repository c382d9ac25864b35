/* The loops over products of integers, for every width and sign: included by each CPU level. Plain
 * loops, which compilers vectorise. */
#include "exact.h"
#include "kernels.h"

/* Adds a number of 128 bits, whose sign is `extension`, to one of 192. */
INLINE void add_three_words(uint64_t *sum, uint64_t low, uint64_t high, uint64_t extension)
{
    uint128 part = (uint128)sum[0] + low;
    sum[0] = (uint64_t)part;
    part = (uint128)sum[1] + high + (uint64_t)(part >> 64);
    sum[1] = (uint64_t)part;
    sum[2] += extension + (uint64_t)(part >> 64);
}

/* low + high * 2^32 */
INLINE void add_halves(uint64_t *sum, int64_t low, int64_t high)
{
    const int128 value = (int128)low + (int128)((uint128)(int128)high << 32);
    add_three_words(sum, (uint64_t)value, (uint64_t)((uint128)value >> 64),
                    value < 0 ? UINT64_MAX : 0);
}

/* Products of less than 32 bits, in sums of type SUM: it holds CHUNK of them. TIMES is their
 * product in a type that holds it. */
#define SMALL_PRODUCTS(NAME, TYPE, SUM, CHUNK, TIMES)                                              \
    static void dot_##NAME(const void *a, const void *b, size_t n, uint64_t *sum)                  \
    {                                                                                              \
        const TYPE *p = a, *q = b;                                                                 \
        while (n) {                                                                                \
            const size_t count = n < (CHUNK) ? n : (CHUNK);                                        \
            SUM part = 0;                                                                          \
            for (size_t i = 0; i < count; i++)                                                     \
                part += TIMES(p[i], q[i]);                                                         \
            add_halves(sum, (int64_t)part, 0);                                                     \
            p += count;                                                                            \
            q += count;                                                                            \
            n -= count;                                                                            \
        }                                                                                          \
    }                                                                                              \
    static void dot_columns_##NAME(const void *a, const void *b, size_t rows, ptrdiff_t a_stride,  \
                                   ptrdiff_t b_stride, size_t columns, uint64_t (*sums)[3])        \
    {                                                                                              \
        const char *p = a, *q = b;                                                                 \
        int64_t parts[TILE] = {0}; /* 2^31 rows do not overflow them */                            \
        for (; rows; rows--, p += a_stride, q += b_stride) {                                       \
            const TYPE *x = (const TYPE *)p, *y = (const TYPE *)q;                                 \
            for (size_t j = 0; j < columns; j++)                                                   \
                parts[j] += TIMES(x[j], y[j]);                                                     \
        }                                                                                          \
        for (size_t j = 0; j < columns; j++)                                                       \
            add_halves(sums[j], parts[j], 0);                                                      \
    }

#define BOTH(x, y) ((x) != 0 && (y) != 0)
#define SIGNED_TIMES(x, y) ((int32_t)(x) * (int32_t)(y))
#define UNSIGNED_TIMES(x, y) ((uint32_t)(x) * (uint32_t)(y))
SMALL_PRODUCTS(boolean, uint8_t, uint32_t, (size_t)1 << 31, BOTH)
SMALL_PRODUCTS(i8, int8_t, int32_t, (size_t)1 << 16, SIGNED_TIMES)
SMALL_PRODUCTS(u8, uint8_t, uint32_t, (size_t)1 << 16, UNSIGNED_TIMES)
SMALL_PRODUCTS(i16, int16_t, int64_t, (size_t)1 << 32, SIGNED_TIMES)
SMALL_PRODUCTS(u16, uint16_t, int64_t, (size_t)1 << 31, UNSIGNED_TIMES)

/* Products of 64 bits, in halves: 2^31 low ones stay below 2^63, and as many high ones, which are
 * the signed or unsigned rest. */
#define WORD_PRODUCTS(NAME, TYPE, PRODUCT, CHUNK)                                                  \
    static void dot_##NAME(const void *a, const void *b, size_t n, uint64_t *sum)                  \
    {                                                                                              \
        const TYPE *p = a, *q = b;                                                                 \
        while (n) {                                                                                \
            const size_t count = n < (CHUNK) ? n : (CHUNK);                                        \
            int64_t low = 0, high = 0;                                                             \
            for (size_t i = 0; i < count; i++) {                                                   \
                const PRODUCT product = (PRODUCT)p[i] * q[i];                                      \
                low += (int64_t)(product & 0xffffffff);                                            \
                high += (int64_t)(product >> 32);                                                  \
            }                                                                                      \
            add_halves(sum, low, high);                                                            \
            p += count;                                                                            \
            q += count;                                                                            \
            n -= count;                                                                            \
        }                                                                                          \
    }                                                                                              \
    static void dot_columns_##NAME(const void *a, const void *b, size_t rows, ptrdiff_t a_stride,  \
                                   ptrdiff_t b_stride, size_t columns, uint64_t (*sums)[3])        \
    {                                                                                              \
        const char *p = a, *q = b;                                                                 \
        int64_t low[TILE] = {0}, high[TILE] = {0};                                                 \
        for (; rows; rows--, p += a_stride, q += b_stride) {                                       \
            const TYPE *x = (const TYPE *)p, *y = (const TYPE *)q;                                 \
            for (size_t j = 0; j < columns; j++) {                                                 \
                const PRODUCT product = (PRODUCT)x[j] * y[j];                                      \
                low[j] += (int64_t)(product & 0xffffffff);                                         \
                high[j] += (int64_t)(product >> 32);                                               \
            }                                                                                      \
        }                                                                                          \
        for (size_t j = 0; j < columns; j++)                                                       \
            add_halves(sums[j], low[j], high[j]);                                                  \
    }

WORD_PRODUCTS(i32, int32_t, int64_t, (size_t)1 << 31)
WORD_PRODUCTS(u32, uint32_t, uint64_t, (size_t)1 << 31)

#define WIDE_PRODUCTS(NAME, TYPE, PRODUCT, NEGATIVE)                                               \
    INLINE void add_product_##NAME(uint64_t *sum, TYPE x, TYPE y)                                  \
    {                                                                                              \
        const PRODUCT product = (PRODUCT)x * y;                                                    \
        add_three_words(sum, (uint64_t)product, (uint64_t)((uint128)product >> 64),                \
                        NEGATIVE(product) ? UINT64_MAX : 0);                                       \
    }                                                                                              \
    static void dot_##NAME(const void *a, const void *b, size_t n, uint64_t *sum)                  \
    {                                                                                              \
        const TYPE *p = a, *q = b;                                                                 \
        uint64_t total[3] = {sum[0], sum[1], sum[2]};                                              \
        for (size_t i = 0; i < n; i++)                                                             \
            add_product_##NAME(total, p[i], q[i]);                                                 \
        memcpy(sum, total, sizeof total);                                                          \
    }                                                                                              \
    static void dot_columns_##NAME(const void *a, const void *b, size_t rows, ptrdiff_t a_stride,  \
                                   ptrdiff_t b_stride, size_t columns, uint64_t (*sums)[3])        \
    {                                                                                              \
        const char *p = a, *q = b;                                                                 \
        for (; rows; rows--, p += a_stride, q += b_stride)                                         \
            for (size_t j = 0; j < columns; j++)                                                   \
                add_product_##NAME(sums[j], ((const TYPE *)p)[j], ((const TYPE *)q)[j]);           \
    }

#define IS_NEGATIVE(product) ((product) < 0)
#define NEVER(product) 0
WIDE_PRODUCTS(i64, int64_t, int128, IS_NEGATIVE)
WIDE_PRODUCTS(u64, uint64_t, uint128, NEVER)
