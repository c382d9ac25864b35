/* Gathering and conversion, block by block, of what the kernels cannot read in place. */
#include "convert.h"

#include <string.h>

#include "kernels.h"
#include "parsum.h"

static inline uint16_t swap16(uint16_t v)
{
    return __builtin_bswap16(v);
}

static inline uint32_t swap32(uint32_t v)
{
    return __builtin_bswap32(v);
}

static inline uint64_t swap64(uint64_t v)
{
    return __builtin_bswap64(v);
}

static inline uint8_t swap8(uint8_t v)
{
    return v;
}

static void copy_wide(char *out, const char *p, size_t size, int swap)
{
    if (!swap) {
        memcpy(out, p, size);
        return;
    }
    for (size_t k = 0; k < size; k++)
        out[k] = p[size - 1 - k];
}

#define COPY(BITS, WHERE)                                                                          \
    if (swap)                                                                                      \
        for (size_t i = 0; i < n; i++) {                                                           \
            uint##BITS##_t v;                                                                      \
            memcpy(&v, data + (WHERE), sizeof v);                                                  \
            v = swap##BITS(v);                                                                     \
            memcpy(out + i * sizeof v, &v, sizeof v);                                              \
        }                                                                                          \
    else                                                                                           \
        for (size_t i = 0; i < n; i++)                                                             \
            memcpy(out + i * (BITS / 8), data + (WHERE), BITS / 8);

#define COPY_ALL(WHERE)                                                                            \
    switch (size) {                                                                                \
    case 1:                                                                                        \
        COPY(8, WHERE)                                                                             \
        break;                                                                                     \
    case 2:                                                                                        \
        COPY(16, WHERE)                                                                            \
        break;                                                                                     \
    case 4:                                                                                        \
        COPY(32, WHERE)                                                                            \
        break;                                                                                     \
    case 8:                                                                                        \
        COPY(64, WHERE)                                                                            \
        break;                                                                                     \
    default:                                                                                       \
        for (size_t i = 0; i < n; i++)                                                             \
            copy_wide(out + i * size, data + (WHERE), size, swap);                                 \
    }

void parsum_gather(char *out, const char *data, size_t n, ptrdiff_t stride, size_t size, int swap)
{
    if (stride == (ptrdiff_t)size && !swap) {
        memcpy(out, data, n * size);
        return;
    }
    COPY_ALL((ptrdiff_t)i * stride)
}

void parsum_gather_offsets(char *out, const char *data, size_t n, const ptrdiff_t *offsets,
                           size_t size, int swap)
{
    COPY_ALL(offsets[i])
}

int parsum_can_convert(int from, int to)
{
    const int floating = from >= PARSUM_FLOAT16 && from <= PARSUM_LONGDOUBLE;
    return to == PARSUM_BOOL || (floating && (to == PARSUM_INT64 || to == PARSUM_UINT64));
}

static int64_t truncate_i64(long double v)
{
    return v >= -0x1p63L && v < 0x1p63L ? (int64_t)v : INT64_MIN;
}

static uint64_t truncate_u64(long double v)
{
    return v >= 0x1p63L && v < 0x1p64L ? (uint64_t)v : (uint64_t)truncate_i64(v);
}

/* One element, as a long double, which every floating type fits in. */
static long double floating(int type, const char *p)
{
    switch (type) {
    case PARSUM_FLOAT16: {
        double v;
        parsum_kernels()->f16.widen(p, 1, &v);
        return v;
    }
    case PARSUM_FLOAT32: {
        float v;
        memcpy(&v, p, sizeof v);
        return v;
    }
    case PARSUM_FLOAT64: {
        double v;
        memcpy(&v, p, sizeof v);
        return v;
    }
    default: {
        long double v;
        memcpy(&v, p, sizeof v);
        return v;
    }
    }
}

void parsum_convert(int from, int to, const char *data, size_t n, char *out)
{
    const int is_float = from >= PARSUM_FLOAT16 && from <= PARSUM_LONGDOUBLE;
    const size_t size = from == PARSUM_LONGDOUBLE ? sizeof(long double)
                        : from == PARSUM_FLOAT64  ? 8
                        : from == PARSUM_FLOAT32  ? 4
                        : from == PARSUM_FLOAT16  ? 2
                        : from <= PARSUM_UINT8    ? 1
                        : from <= PARSUM_UINT16   ? 2
                        : from <= PARSUM_UINT32   ? 4
                                                  : 8;
    static const char zero[8];
    for (size_t i = 0; i < n; i++, data += size) {
        if (to == PARSUM_BOOL) {
            uint8_t truth = is_float ? floating(from, data) != 0 : memcmp(data, zero, size) != 0;
            out[i] = (char)truth;
        } else if (to == PARSUM_INT64) {
            int64_t v = truncate_i64(floating(from, data));
            memcpy(out + i * sizeof v, &v, sizeof v);
        } else {
            uint64_t v = truncate_u64(floating(from, data));
            memcpy(out + i * sizeof v, &v, sizeof v);
        }
    }
}
