/* The loops that look at truth values, for elements of every size: included by each CPU level.
 *
 * An element is true if a bit is set that its type's mask has: all bits of an integer, all but the
 * signs of floats and complex numbers. So the size of an element is all that matters, and what is
 * counted are the zeros of a lane. */
#include "kernels.h"

#define LOGIC_VECTORS 4 /* accumulators: as many loads are under way */
#define LOGIC_STEP (LOGIC_VECTORS * PARSUM_VECTOR_BYTES)
#define LOGIC_CHECK 16 /* steps between looks at whether the result is known */

/* All ones in the lanes of `size` bytes that are zero. */
INLINE void zero_lanes(const vec_u64 *v, const int size, vec_u64 *out)
{
    if (size == 1)
        *out = (vec_u64)((vec_u8)*v == 0);
    else if (size == 2)
        *out = (vec_u64)((vec_u16)*v == 0);
    else if (size == 4)
        *out = (vec_u64)((vec_u32)*v == 0);
    else
        *out = (vec_u64)(*v == 0);
}

/* Takes lanes of all ones as -1: adds one to `counts` for each. */
INLINE void count_lanes(vec_u64 *counts, const vec_u64 *ones, const int size)
{
    if (size == 1)
        *counts = (vec_u64)((vec_u8)*counts - (vec_u8)*ones);
    else if (size == 2)
        *counts = (vec_u64)((vec_u16)*counts - (vec_u16)*ones);
    else if (size == 4)
        *counts = (vec_u64)((vec_u32)*counts - (vec_u32)*ones);
    else
        *counts -= *ones;
}

INLINE size_t sum_lanes(const vec_u64 *counts, const int size)
{
    size_t sum = 0;
    uint8_t bytes[PARSUM_VECTOR_BYTES];
    uint16_t halves[PARSUM_VECTOR_BYTES / 2];
    uint32_t words[PARSUM_VECTOR_BYTES / 4];
    if (size == 1) {
        memcpy(bytes, counts, sizeof bytes);
        for (int l = 0; l < PARSUM_VECTOR_BYTES; l++)
            sum += bytes[l];
    } else if (size == 2) {
        memcpy(halves, counts, sizeof halves);
        for (int l = 0; l < PARSUM_VECTOR_BYTES / 2; l++)
            sum += halves[l];
    } else if (size == 4) {
        memcpy(words, counts, sizeof words);
        for (int l = 0; l < PARSUM_VECTOR_BYTES / 4; l++)
            sum += words[l];
    } else {
        for (int l = 0; l < LANES; l++)
            sum += (*counts)[l];
    }
    return sum;
}

INLINE int any_bit(const vec_u64 *v)
{
    uint64_t bits = 0;
    for (int l = 0; l < LANES; l++)
        bits |= (*v)[l];
    return bits != 0;
}

INLINE void mask_vector(const uint64_t *mask, vec_u64 *out)
{
    for (int l = 0; l < LANES; l++)
        (*out)[l] = mask[l & 1];
}

/* Up to PARSUM_VECTOR_BYTES, filled up with bytes that count for nothing. */
INLINE void load_part(const char *p, size_t bytes, const int fill, vec_u64 *out)
{
    char padded[PARSUM_VECTOR_BYTES];
    memset(padded, fill, sizeof padded);
    memcpy(padded, p, bytes);
    memcpy(out, padded, sizeof padded);
}

/* The next vector of those up to `end`, the last filled up with ones; zero if there is none. */
INLINE int next_vector(const char **p, const char *end, vec_u64 *out)
{
    const size_t left = (size_t)(end - *p);
    if (left >= PARSUM_VECTOR_BYTES)
        memcpy(out, *p, sizeof *out);
    else
        load_part(*p, left, 0xff, out);
    *p += left < PARSUM_VECTOR_BYTES ? left : PARSUM_VECTOR_BYTES;
    return left != 0;
}

/* Whether a masked bit is set: the same for every size. */
static int any_true(const void *data, size_t bytes, const uint64_t *mask)
{
    const char *p = data, *end = p + bytes;
    vec_u64 m, v, found[LOGIC_VECTORS] = {{0}};
    mask_vector(mask, &m);
    while ((size_t)(end - p) >= LOGIC_STEP) {
        for (int check = 0; check < LOGIC_CHECK && (size_t)(end - p) >= LOGIC_STEP; check++) {
#pragma GCC unroll 4
            for (int k = 0; k < LOGIC_VECTORS; k++) {
                memcpy(&v, p + k * PARSUM_VECTOR_BYTES, sizeof v);
                found[k] |= v;
            }
            p += LOGIC_STEP;
        }
        v = (found[0] | found[1] | found[2] | found[3]) & m;
        if (any_bit(&v))
            return 1;
    }
    found[0] = (vec_u64){0};
    for (; (size_t)(end - p) >= PARSUM_VECTOR_BYTES; p += PARSUM_VECTOR_BYTES) {
        memcpy(&v, p, sizeof v);
        found[0] |= v;
    }
    load_part(p, (size_t)(end - p), 0, &v);
    v = (v | found[0]) & m;
    return any_bit(&v);
}

INLINE int all_lanes(const void *data, size_t bytes, const uint64_t *mask, const int size)
{
    const char *p = data, *end = p + bytes;
    vec_u64 m, v, found[LOGIC_VECTORS] = {{0}};
    mask_vector(mask, &m);
    while ((size_t)(end - p) >= LOGIC_STEP) {
        for (int check = 0; check < LOGIC_CHECK && (size_t)(end - p) >= LOGIC_STEP; check++) {
#pragma GCC unroll 4
            for (int k = 0; k < LOGIC_VECTORS; k++) {
                memcpy(&v, p + k * PARSUM_VECTOR_BYTES, sizeof v);
                v &= m;
                zero_lanes(&v, size, &v);
                found[k] |= v;
            }
            p += LOGIC_STEP;
        }
        v = found[0] | found[1] | found[2] | found[3];
        if (any_bit(&v))
            return 0;
    }
    while (next_vector(&p, end, &v)) {
        v &= m;
        zero_lanes(&v, size, &v);
        found[0] |= v;
    }
    return !any_bit(&found[0]);
}

/* How many elements are false. A lane of 8 bits takes 255. */
INLINE size_t count_false(const void *data, size_t bytes, const uint64_t *mask, const int size)
{
    const char *p = data, *end = p + bytes;
    vec_u64 m, v;
    size_t sum = 0;
    mask_vector(mask, &m);
    while ((size_t)(end - p) >= LOGIC_STEP) {
        vec_u64 counts[LOGIC_VECTORS] = {{0}};
        for (int step = 0; step < 255 && (size_t)(end - p) >= LOGIC_STEP; step++) {
#pragma GCC unroll 4
            for (int k = 0; k < LOGIC_VECTORS; k++) {
                memcpy(&v, p + k * PARSUM_VECTOR_BYTES, sizeof v);
                v &= m;
                zero_lanes(&v, size, &v);
                count_lanes(&counts[k], &v, size);
            }
            p += LOGIC_STEP;
        }
        for (int k = 0; k < LOGIC_VECTORS; k++)
            sum += sum_lanes(&counts[k], size);
    }
    vec_u64 rest = {0};
    while (next_vector(&p, end, &v)) {
        v &= m;
        zero_lanes(&v, size, &v);
        count_lanes(&rest, &v, size);
    }
    return sum + sum_lanes(&rest, size);
}

/* Adds what `rows` rows (a constant) have of zero lanes at one place of `bytes` bytes. */
INLINE void count_rows(const char *p, const int rows, ptrdiff_t row_stride, size_t bytes,
                       const vec_u64 *m, const int size, char *counts)
{
    vec_u64 v, c;
    memcpy(&c, counts, sizeof c);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        if (bytes == PARSUM_VECTOR_BYTES)
            memcpy(&v, p + r * row_stride, sizeof v);
        else
            load_part(p + r * row_stride, bytes, 0xff, &v);
        v &= *m;
        zero_lanes(&v, size, &v);
        count_lanes(&c, &v, size);
    }
    memcpy(counts, &c, sizeof c);
}

INLINE void count_all_rows(const char *p, const int rows, ptrdiff_t row_stride, size_t bytes,
                           const vec_u64 *m, const int size, char *counts)
{
    size_t i = 0;
    for (; i + PARSUM_VECTOR_BYTES <= bytes; i += PARSUM_VECTOR_BYTES)
        count_rows(p + i, rows, row_stride, PARSUM_VECTOR_BYTES, m, size, counts + i);
    if (i < bytes)
        count_rows(p + i, rows, row_stride, bytes - i, m, size, counts + i);
}

INLINE uint64_t lane_of(const char *lanes, size_t j, const int size)
{
    uint8_t byte;
    uint16_t half;
    uint32_t word;
    uint64_t whole;
    if (size == 1) {
        memcpy(&byte, lanes + j, sizeof byte);
        return byte;
    }
    if (size == 2) {
        memcpy(&half, lanes + 2 * j, sizeof half);
        return half;
    }
    if (size == 4) {
        memcpy(&word, lanes + 4 * j, sizeof word);
        return word;
    }
    memcpy(&whole, lanes + 8 * j, sizeof whole);
    return whole;
}

/* How many elements of each column are true; rows is at most 255. */
INLINE void count_columns(const char *p, size_t rows, ptrdiff_t row_stride, size_t columns,
                          const uint64_t *mask, const int size, uint8_t *counts)
{
    _Alignas(64) char zeros[TILE * 8 + PARSUM_VECTOR_BYTES];
    const size_t bytes = columns * (size_t)size;
    vec_u64 m;
    mask_vector(mask, &m);
    memset(zeros, 0, bytes + PARSUM_VECTOR_BYTES);
    /* Rows in step are in pages of their own, as float_type_body.h says. */
    const size_t steps = rows / ROWS_AT_ONCE;
    const int is_short = row_stride < PAGE && row_stride > -PAGE;
    const ptrdiff_t apart = is_short ? (ptrdiff_t)steps * row_stride : row_stride;
    const ptrdiff_t next = is_short ? row_stride : ROWS_AT_ONCE * row_stride;
    for (size_t k = 0; k < steps; k++)
        count_all_rows(p + (ptrdiff_t)k * next, ROWS_AT_ONCE, apart, bytes, &m, size, zeros);
    p += (ptrdiff_t)(ROWS_AT_ONCE * steps) * row_stride;
    for (size_t k = ROWS_AT_ONCE * steps; k < rows; k++, p += row_stride)
        count_all_rows(p, 1, row_stride, bytes, &m, size, zeros);
    for (size_t j = 0; j < columns; j++)
        counts[j] = (uint8_t)(rows - lane_of(zeros, j, size));
}

/* A byte for each lane of the wider vectors. */
typedef uint8_t narrow_u16 __attribute__((vector_size(PARSUM_VECTOR_BYTES / 2)));
typedef uint8_t narrow_u32 __attribute__((vector_size(PARSUM_VECTOR_BYTES / 4)));
typedef uint8_t narrow_u64 __attribute__((vector_size(PARSUM_VECTOR_BYTES / 8)));

/* As one byte for each lane of `size` bytes: whether it is nonzero. */
INLINE void narrow_lanes(const vec_u64 *v, const int size, uint8_t *out)
{
    if (size == 1) {
        const vec_u8 ones = (vec_u8)((vec_u8)*v != 0) & 1;
        memcpy(out, &ones, sizeof ones);
    } else if (size == 2) {
        const narrow_u16 ones =
            __builtin_convertvector((vec_u16)((vec_u16)*v != 0) & 1, narrow_u16);
        memcpy(out, &ones, sizeof ones);
    } else if (size == 4) {
        const narrow_u32 ones =
            __builtin_convertvector((vec_u32)((vec_u32)*v != 0) & 1, narrow_u32);
        memcpy(out, &ones, sizeof ones);
    } else {
        const narrow_u64 ones = __builtin_convertvector((vec_u64)(*v != 0) & 1, narrow_u64);
        memcpy(out, &ones, sizeof ones);
    }
}

/* Whether any (or else all) of each column are true: for few rows, as those of a vector of columns
 * are read one after the other. */
INLINE void decide_columns(const char *p, size_t rows, ptrdiff_t row_stride, size_t columns,
                           const uint64_t *mask, const int all, const int size, uint8_t *out)
{
    const size_t lanes = PARSUM_VECTOR_BYTES / (size_t)size;
    vec_u64 m, v;
    mask_vector(mask, &m);
    for (size_t j = 0; j < columns; j += lanes) {
        const char *q = p + j * (size_t)size;
        const size_t left = columns - j;
        vec_u64 found = {0};
        for (size_t r = 0; r < rows; r++, q += row_stride) {
            if (left >= lanes)
                memcpy(&v, q, sizeof v);
            else
                load_part(q, left * (size_t)size, 0, &v);
            v &= m;
            if (all)
                zero_lanes(&v, size, &v);
            found |= v;
        }
        if (all)
            zero_lanes(&found, size, &found);
        if (left >= lanes) {
            narrow_lanes(&found, size, out + j);
        } else {
            uint8_t part[PARSUM_VECTOR_BYTES];
            narrow_lanes(&found, size, part);
            memcpy(out + j, part, left);
        }
    }
}

#define LOGIC_KERNELS(BITS)                                                                        \
    static int any_##BITS(const void *data, size_t n, const uint64_t *mask)                        \
    {                                                                                              \
        return any_true(data, n * (BITS / 8), mask);                                               \
    }                                                                                              \
    static int all_##BITS(const void *data, size_t n, const uint64_t *mask)                        \
    {                                                                                              \
        return all_lanes(data, n * (BITS / 8), mask, BITS / 8);                                    \
    }                                                                                              \
    static size_t count_##BITS(const void *data, size_t n, const uint64_t *mask)                   \
    {                                                                                              \
        return n - count_false(data, n * (BITS / 8), mask, BITS / 8);                              \
    }                                                                                              \
    static void any_columns_##BITS(const void *data, size_t rows, ptrdiff_t row_stride,            \
                                   size_t columns, const uint64_t *mask, uint8_t *out)             \
    {                                                                                              \
        decide_columns(data, rows, row_stride, columns, mask, 0, BITS / 8, out);                   \
    }                                                                                              \
    static void all_columns_##BITS(const void *data, size_t rows, ptrdiff_t row_stride,            \
                                   size_t columns, const uint64_t *mask, uint8_t *out)             \
    {                                                                                              \
        decide_columns(data, rows, row_stride, columns, mask, 1, BITS / 8, out);                   \
    }                                                                                              \
    static void count_columns_##BITS(const void *data, size_t rows, ptrdiff_t row_stride,          \
                                     size_t columns, const uint64_t *mask, uint8_t *counts)        \
    {                                                                                              \
        count_columns(data, rows, row_stride, columns, mask, BITS / 8, counts);                    \
    }

LOGIC_KERNELS(8)
LOGIC_KERNELS(16)
LOGIC_KERNELS(32)
LOGIC_KERNELS(64)

/* Elements of several words of 64 bits: a word of each is made first. */
INLINE uint64_t joined_words(const char *p, const int words, const uint64_t *mask)
{
    uint64_t bits = 0;
#pragma GCC unroll 4
    for (int k = 0; k < words; k++) {
        uint64_t word;
        memcpy(&word, p + 8 * k, sizeof word);
        bits |= word & mask[k & 1];
    }
    return bits;
}

INLINE size_t count_words(const char *p, size_t n, const int words, const uint64_t *mask)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += joined_words(p + 8 * (size_t)words * i, words, mask) != 0;
    return count;
}

INLINE void decide_wide_columns(const char *p, size_t rows, ptrdiff_t row_stride, size_t columns,
                                const uint64_t *mask, const int all, const int words, uint8_t *out)
{
    memset(out, all, columns);
    for (; rows; rows--, p += row_stride)
        for (size_t j = 0; j < columns; j++) {
            const uint8_t truth = joined_words(p + 8 * (size_t)words * j, words, mask) != 0;
            out[j] = all ? out[j] & truth : out[j] | truth;
        }
}

#define WIDE_LOGIC_KERNELS(BITS, WORDS)                                                            \
    static int any_##BITS(const void *data, size_t n, const uint64_t *mask)                        \
    {                                                                                              \
        return any_true(data, n * (BITS / 8), mask);                                               \
    }                                                                                              \
    static int all_##BITS(const void *data, size_t n, const uint64_t *mask)                        \
    {                                                                                              \
        const char *p = data;                                                                      \
        for (size_t i = 0; i < n; i += 64) {                                                       \
            const size_t some = n - i < 64 ? n - i : 64;                                           \
            if (count_words(p + i * (BITS / 8), some, WORDS, mask) != some)                        \
                return 0;                                                                          \
        }                                                                                          \
        return 1;                                                                                  \
    }                                                                                              \
    static size_t count_##BITS(const void *data, size_t n, const uint64_t *mask)                   \
    {                                                                                              \
        return count_words(data, n, WORDS, mask);                                                  \
    }                                                                                              \
    static void any_columns_##BITS(const void *data, size_t rows, ptrdiff_t row_stride,            \
                                   size_t columns, const uint64_t *mask, uint8_t *out)             \
    {                                                                                              \
        decide_wide_columns(data, rows, row_stride, columns, mask, 0, WORDS, out);                 \
    }                                                                                              \
    static void all_columns_##BITS(const void *data, size_t rows, ptrdiff_t row_stride,            \
                                   size_t columns, const uint64_t *mask, uint8_t *out)             \
    {                                                                                              \
        decide_wide_columns(data, rows, row_stride, columns, mask, 1, WORDS, out);                 \
    }                                                                                              \
    static void count_columns_##BITS(const void *data, size_t rows, ptrdiff_t row_stride,          \
                                     size_t columns, const uint64_t *mask, uint8_t *counts)        \
    {                                                                                              \
        const char *p = data;                                                                      \
        memset(counts, 0, columns);                                                                \
        for (; rows; rows--, p += row_stride)                                                      \
            for (size_t j = 0; j < columns; j++)                                                   \
                counts[j] += joined_words(p + j * (BITS / 8), WORDS, mask) != 0;                   \
    }

WIDE_LOGIC_KERNELS(128, 2)
WIDE_LOGIC_KERNELS(256, 4)
