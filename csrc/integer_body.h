/* The loops over integer elements, for every width and sign: included by each CPU level.
 *
 * A sum takes elements as unsigned numbers (signed ones biased by 2^(bits-1), by way of their sign
 * bit) and adds the even and the odd ones of each lane of twice the width; no sum of a block can
 * overflow its lane, as the comment at each loop counts. */
#include "kernels.h"

#define INTEGER_VECTORS 4

/* Calls STEP_FUNCTION on every STEP bytes, the last ones padded with zeros in a buffer of their
 * own; biased zeros are taken off again with the rest. */
enum { STEP = INTEGER_VECTORS * PARSUM_VECTOR_BYTES };
#define FOR_STEPS(P, BYTES, CALL)                                                                  \
    do {                                                                                           \
        size_t i_ = 0;                                                                             \
        for (; i_ + STEP <= (BYTES); i_ += STEP) {                                                 \
            const char *q = (P) + i_;                                                              \
            CALL;                                                                                  \
        }                                                                                          \
        if (i_ < (BYTES)) {                                                                        \
            uint64_t tail_[STEP / 8] = {0};                                                        \
            memcpy(tail_, (P) + i_, (BYTES) - i_);                                                 \
            const char *q = (const char *)tail_;                                                   \
            CALL;                                                                                  \
        }                                                                                          \
    } while (0)

INLINE void step_words(const char *q, uint64_t bias, int nat, vec_u64 *evens, vec_u64 *odds,
                       vec_i64 *found)
{
#pragma GCC unroll 4
    for (int j = 0; j < INTEGER_VECTORS; j++) {
        vec_u64 v;
        memcpy(&v, q + j * PARSUM_VECTOR_BYTES, sizeof v);
        if (nat)
            *found |= (vec_i64)(v == SIGN_BIT);
        v ^= bias;
        evens[j] += v & 0xffffffff;
        odds[j] += v >> 32;
    }
}

INLINE void step_halves(const char *q, uint16_t bias, vec_u32 *sums)
{
#pragma GCC unroll 4
    for (int j = 0; j < INTEGER_VECTORS; j++) {
        vec_u16 v;
        memcpy(&v, q + j * PARSUM_VECTOR_BYTES, sizeof v);
        v ^= bias;
        vec_u32 pairs = (vec_u32)v;
        sums[j] += (pairs & 0xffff) + (pairs >> 16);
    }
}

INLINE void step_bytes(const char *q, uint8_t bias, int truth, vec_u16 *sums)
{
#pragma GCC unroll 4
    for (int j = 0; j < INTEGER_VECTORS; j++) {
        vec_u8 v;
        memcpy(&v, q + j * PARSUM_VECTOR_BYTES, sizeof v);
        if (truth)
            v = (vec_u8)(v != 0) & 1;
        v ^= bias;
        vec_u16 pairs = (vec_u16)v;
        sums[j] += (pairs & 0xff) + (pairs >> 8);
    }
}

/* Adds the 32-bit (64-bit elements: the low 32 bits of every) elements in even places and those in
 * odd places: up to 2^16 elements below 2^32 stay below 2^48. */
INLINE int sum_words(const void *data, size_t bytes, uint64_t bias, int nat, uint64_t *even,
                     uint64_t *odd)
{
    const char *p = data;
    vec_u64 evens[INTEGER_VECTORS] = {{0}}, odds[INTEGER_VECTORS] = {{0}};
    vec_i64 found = {0};
    FOR_STEPS(p, bytes, step_words(q, bias, nat, evens, odds, &found));
    int64_t any = 0;
    for (int j = 0; j < INTEGER_VECTORS; j++)
        for (int l = 0; l < LANES; l++) {
            *even += evens[j][l];
            *odd += odds[j][l];
        }
    for (int l = 0; l < LANES; l++)
        any |= found[l];
    return any != 0;
}

/* 16-bit elements: below 2^16 each, two of a 32-bit lane at once, so 2^15 steps stay below 2^32. */
INLINE uint64_t sum_halves(const void *data, size_t bytes, uint16_t bias)
{
    const char *p = data;
    uint64_t total = 0;
    vec_u32 sums[INTEGER_VECTORS] = {{0}};
    FOR_STEPS(p, bytes, step_halves(q, bias, sums));
    for (int j = 0; j < INTEGER_VECTORS; j++)
        for (int l = 0; l < 2 * LANES; l++)
            total += sums[j][l];
    return total;
}

/* 8-bit elements: at most 2 * 255 to a 16-bit lane in a step, so 128 steps stay below 2^16. */
INLINE uint64_t sum_bytes(const void *data, size_t bytes, uint8_t bias, int truth)
{
    const char *p = data;
    uint64_t total = 0;
    enum { MOST = 128 * STEP };
    vec_u32 wide[INTEGER_VECTORS] = {{0}};
    for (size_t i = 0; i < bytes; i += MOST) {
        const size_t count = bytes - i < MOST ? bytes - i : MOST;
        vec_u16 sums[INTEGER_VECTORS] = {{0}};
        FOR_STEPS(p + i, count, step_bytes(q, bias, truth, sums));
        for (int j = 0; j < INTEGER_VECTORS; j++) {
            vec_u32 pairs = (vec_u32)sums[j];
            wide[j] += (pairs & 0xffff) + (pairs >> 16);
        }
    }
    for (int j = 0; j < INTEGER_VECTORS; j++)
        for (int l = 0; l < 2 * LANES; l++)
            total += wide[j][l];
    return total;
}

/* How many elements a sum has seen with the tail's zeros counted in. */
static inline int64_t padded(size_t bytes, size_t size)
{
    const size_t step = INTEGER_VECTORS * PARSUM_VECTOR_BYTES;
    return (int64_t)((bytes + step - 1) / step * step / size);
}

#define INTEGER_KERNELS(NAME, TYPE)                                                                \
    static void columns_##NAME(const void *data, size_t rows, ptrdiff_t row_stride,                \
                               size_t columns, int64_t *low, int64_t *high)                        \
    {                                                                                              \
        (void)high;                                                                                \
        const char *p = data;                                                                      \
        for (; rows >= 4; rows -= 4, p += 4 * row_stride) {                                        \
            const TYPE *a = (const TYPE *)p, *b = (const TYPE *)(p + row_stride);                  \
            const TYPE *c = (const TYPE *)(p + 2 * row_stride);                                    \
            const TYPE *d = (const TYPE *)(p + 3 * row_stride);                                    \
            for (size_t j = 0; j < columns; j++)                                                   \
                low[j] += (int64_t)a[j] + b[j] + (int64_t)c[j] + d[j];                             \
        }                                                                                          \
        for (; rows; rows--, p += row_stride)                                                      \
            for (size_t j = 0; j < columns; j++)                                                   \
                low[j] += ((const TYPE *)p)[j];                                                    \
    }

INTEGER_KERNELS(i8, int8_t)
INTEGER_KERNELS(u8, uint8_t)
INTEGER_KERNELS(i16, int16_t)
INTEGER_KERNELS(u16, uint16_t)
INTEGER_KERNELS(i32, int32_t)
INTEGER_KERNELS(u32, uint32_t)

#define INTEGER_MAGNITUDES(NAME, TYPE)                                                             \
    static void magnitudes_##NAME(const void *data, size_t n, void *out)                           \
    {                                                                                              \
        const TYPE *p = data;                                                                      \
        u##TYPE *to = out;                                                                         \
        for (size_t i = 0; i < n; i++)                                                             \
            to[i] = p[i] < 0 ? (u##TYPE)(0 - (u##TYPE)p[i]) : (u##TYPE)p[i];                       \
    }

INTEGER_MAGNITUDES(i8, int8_t)
INTEGER_MAGNITUDES(i16, int16_t)
INTEGER_MAGNITUDES(i32, int32_t)
INTEGER_MAGNITUDES(i64, int64_t)

/* 64-bit columns in halves: the low one unsigned, the high one signed by way of the bias. */
INLINE void columns_words(const char *p, size_t rows, ptrdiff_t row_stride, size_t columns,
                          uint64_t bias, int64_t *low, int64_t *high)
{
    const size_t all = rows;
    for (; rows >= 4; rows -= 4, p += 4 * row_stride) {
        const uint64_t *a = (const uint64_t *)p, *b = (const uint64_t *)(p + row_stride);
        const uint64_t *c = (const uint64_t *)(p + 2 * row_stride);
        const uint64_t *d = (const uint64_t *)(p + 3 * row_stride);
        for (size_t j = 0; j < columns; j++) {
            const uint64_t v[4] = {a[j] ^ bias, b[j] ^ bias, c[j] ^ bias, d[j] ^ bias};
            low[j] += (int64_t)((v[0] & 0xffffffff) + (v[1] & 0xffffffff) + (v[2] & 0xffffffff) +
                                (v[3] & 0xffffffff));
            high[j] += (int64_t)((v[0] >> 32) + (v[1] >> 32) + (v[2] >> 32) + (v[3] >> 32));
        }
    }
    for (; rows; rows--, p += row_stride) {
        const uint64_t *q = (const uint64_t *)p;
        for (size_t j = 0; j < columns; j++) {
            uint64_t v = q[j] ^ bias;
            low[j] += (int64_t)(v & 0xffffffff);
            high[j] += (int64_t)(v >> 32);
        }
    }
    for (size_t j = 0; j < columns; j++)
        high[j] -= (int64_t)((bias >> 32) * all);
}

static void columns_i64(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                        int64_t *low, int64_t *high)
{
    columns_words(data, rows, row_stride, columns, SIGN_BIT, low, high);
}

static void columns_u64(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                        int64_t *low, int64_t *high)
{
    columns_words(data, rows, row_stride, columns, 0, low, high);
}

static void columns_boolean(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                            int64_t *low, int64_t *high)
{
    (void)high;
    const uint8_t *p = data;
    for (; rows; rows--, p += row_stride)
        for (size_t j = 0; j < columns; j++)
            low[j] += p[j] != 0;
}

static int sum_boolean(const void *data, size_t n, int64_t *low, int64_t *high)
{
    (void)high;
    *low += (int64_t)sum_bytes(data, n, 0, 1);
    return 0;
}

#define SMALL_SUM(NAME, SIZE, BIAS, SUM)                                                           \
    static int sum_##NAME(const void *data, size_t n, int64_t *low, int64_t *high)                 \
    {                                                                                              \
        (void)high;                                                                                \
        *low += (int64_t)(SUM) - (BIAS) * padded(n * (SIZE), SIZE);                                \
        return 0;                                                                                  \
    }

SMALL_SUM(i8, 1, 0x80, sum_bytes(data, n, 0x80, 0))
SMALL_SUM(u8, 1, 0, sum_bytes(data, n, 0, 0))
SMALL_SUM(i16, 2, 0x8000, sum_halves(data, 2 * n, 0x8000))
SMALL_SUM(u16, 2, 0, sum_halves(data, 2 * n, 0))

static int sum_i32(const void *data, size_t n, int64_t *low, int64_t *high)
{
    (void)high;
    uint64_t even = 0, odd = 0;
    sum_words(data, 4 * n, UINT64_C(0x8000000080000000), 0, &even, &odd);
    *low += (int64_t)(even + odd) - INT64_C(0x80000000) * padded(4 * n, 4);
    return 0;
}

static int sum_u32(const void *data, size_t n, int64_t *low, int64_t *high)
{
    (void)high;
    uint64_t even = 0, odd = 0;
    sum_words(data, 4 * n, 0, 0, &even, &odd);
    *low += (int64_t)(even + odd);
    return 0;
}

static int sum_signed_64(const void *data, size_t n, int nat, int64_t *low, int64_t *high)
{
    uint64_t even = 0, odd = 0;
    int found = nat ? sum_words(data, 8 * n, SIGN_BIT, 1, &even, &odd)
                    : sum_words(data, 8 * n, SIGN_BIT, 0, &even, &odd);
    *low += (int64_t)even;
    *high += (int64_t)odd - INT64_C(0x80000000) * padded(8 * n, 8);
    return found;
}

static int sum_i64(const void *data, size_t n, int64_t *low, int64_t *high)
{
    return sum_signed_64(data, n, 0, low, high);
}

static int sum_timedelta(const void *data, size_t n, int64_t *low, int64_t *high)
{
    return sum_signed_64(data, n, 1, low, high);
}

static int sum_u64(const void *data, size_t n, int64_t *low, int64_t *high)
{
    uint64_t even = 0, odd = 0;
    sum_words(data, 8 * n, 0, 0, &even, &odd);
    *low += (int64_t)even;
    *high += (int64_t)odd;
    return 0;
}
