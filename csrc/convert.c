/* Gathering and conversion, block by block, of what the kernels cannot read in place. */
#include "convert.h"

#include <string.h>

#include "kernels.h"
#include "parsum.h"
#include "reductions.h"

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

static void copy_wide(char *out, const char *p, size_t size, size_t swap)
{
    if (!swap) {
        memcpy(out, p, size);
        return;
    }
    for (size_t part = 0; part < size; part += swap)
        for (size_t k = 0; k < swap; k++)
            out[part + k] = p[part + swap - 1 - k];
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
    if (swap && swap != size)                                                                      \
        for (size_t i = 0; i < n; i++)                                                             \
            copy_wide(out + i * size, data + (WHERE), size, swap);                                 \
    else                                                                                           \
        switch (size) {                                                                            \
        case 1:                                                                                    \
            COPY(8, WHERE)                                                                         \
            break;                                                                                 \
        case 2:                                                                                    \
            COPY(16, WHERE)                                                                        \
            break;                                                                                 \
        case 4:                                                                                    \
            COPY(32, WHERE)                                                                        \
            break;                                                                                 \
        case 8:                                                                                    \
            COPY(64, WHERE)                                                                        \
            break;                                                                                 \
        default:                                                                                   \
            for (size_t i = 0; i < n; i++)                                                         \
                copy_wide(out + i * size, data + (WHERE), size, swap);                             \
        }

void parsum_gather(char *out, const char *data, size_t n, ptrdiff_t stride, size_t size,
                   size_t swap)
{
    if (stride == (ptrdiff_t)size && !swap) {
        memcpy(out, data, n * size);
        return;
    }
    COPY_ALL((ptrdiff_t)i * stride)
}

void parsum_gather_offsets(char *out, const char *data, size_t n, const ptrdiff_t *offsets,
                           size_t size, size_t swap){COPY_ALL(offsets[i])}

#define TRANSPOSE(TYPE)                                                                            \
    do {                                                                                           \
        for (size_t i = 0; i < rows; i++) {                                                        \
            const TYPE *row = (const void *)(data + (ptrdiff_t)i * row_stride);                    \
            TYPE *to = (TYPE *)(void *)out + i;                                                    \
            for (size_t k = 0; k < columns; k++)                                                   \
                to[k * rows] = row[k];                                                             \
        }                                                                                          \
    } while (0)

void parsum_transpose(char *out, const char *data, size_t rows, ptrdiff_t row_stride,
                      size_t columns, size_t size)
{
    switch (size) {
    case 1:
        TRANSPOSE(uint8_t);
        break;
    case 2:
        TRANSPOSE(uint16_t);
        break;
    case 4:
        TRANSPOSE(uint32_t);
        break;
    case 8:
        TRANSPOSE(uint64_t);
        break;
    default:
        for (size_t k = 0; k < columns; k++)
            parsum_gather(out + k * rows * size, data + k * size, rows, row_stride, size, 0);
    }
}

static int part_of(int type)
{
    switch (type) {
    case PARSUM_COMPLEX64:
        return PARSUM_FLOAT32;
    case PARSUM_COMPLEX128:
        return PARSUM_FLOAT64;
    case PARSUM_CLONGDOUBLE:
        return PARSUM_LONGDOUBLE;
    default:
        return type;
    }
}

size_t parsum_swap_size(int type)
{
    return parsum_type_size[part_of(type)];
}

int parsum_can_convert(int from, int to)
{
    const int floating = from >= PARSUM_FLOAT16 && from <= PARSUM_LONGDOUBLE;
    const int real = from <= PARSUM_LONGDOUBLE;
    if (from <= PARSUM_UINT64 && to >= PARSUM_INT8 && to <= PARSUM_UINT32)
        return 1;
    if (to == PARSUM_BOOL || to >= PARSUM_COMPLEX64)
        return from != PARSUM_TIME || to == PARSUM_BOOL;
    if (to == PARSUM_INT64 || to == PARSUM_UINT64)
        return real;
    return real && to >= PARSUM_FLOAT32 && to <= PARSUM_LONGDOUBLE && (floating || from != to);
}

static int64_t truncate_i64(long double v)
{
    return v >= -0x1p63L && v < 0x1p63L ? (int64_t)v : INT64_MIN;
}

static uint64_t truncate_u64(long double v)
{
    return v >= 0x1p63L && v < 0x1p64L ? (uint64_t)v : (uint64_t)truncate_i64(v);
}

#define READ(TYPE)                                                                                 \
    {                                                                                              \
        TYPE v;                                                                                    \
        memcpy(&v, p, sizeof v);                                                                   \
        return v;                                                                                  \
    }

/* One real element, as a long double, which every floating type fits in. */
static long double floating(int type, const char *p)
{
    switch (type) {
    case PARSUM_FLOAT16: {
        double v;
        parsum_kernels()->f16.widen(p, 1, &v);
        return v;
    }
    case PARSUM_FLOAT32:
        READ(float)
    case PARSUM_FLOAT64:
        READ(double)
    default:
        READ(long double)
    }
}

/* One bool or integer; uint64 wraps. */
static int64_t integral(int type, const char *p)
{
    switch (type) {
    case PARSUM_BOOL:
        return *p != 0;
    case PARSUM_INT8:
        READ(int8_t)
    case PARSUM_UINT8:
        READ(uint8_t)
    case PARSUM_INT16:
        READ(int16_t)
    case PARSUM_UINT16:
        READ(uint16_t)
    case PARSUM_INT32:
        READ(int32_t)
    case PARSUM_UINT32:
        READ(uint32_t)
    default:
        READ(int64_t)
    }
}

static void write_real(int to, long double v, char *out)
{
    if (to == PARSUM_FLOAT32) {
        const float narrow = (float)v;
        memcpy(out, &narrow, sizeof narrow);
    } else if (to == PARSUM_FLOAT64) {
        const double narrow = (double)v;
        memcpy(out, &narrow, sizeof narrow);
    } else {
        memset(out, 0, sizeof v);
        memcpy(out, &v, sizeof v);
    }
}

/* The low bytes of an integer. */
static void write_narrow(size_t size, uint64_t v, char *out)
{
    const uint8_t byte = (uint8_t)v;
    const uint16_t half = (uint16_t)v;
    const uint32_t word = (uint32_t)v;
    memcpy(out, size == 1 ? (const void *)&byte : size == 2 ? (const void *)&half : &word, size);
}

static void convert_real(int from, int to, const char *p, char *out)
{
    const int is_float = from >= PARSUM_FLOAT16 && from <= PARSUM_LONGDOUBLE;
    if (to == PARSUM_INT64 || to == PARSUM_UINT64) {
        const uint64_t v = !is_float            ? (uint64_t)integral(from, p)
                           : to == PARSUM_INT64 ? (uint64_t)truncate_i64(floating(from, p))
                                                : truncate_u64(floating(from, p));
        memcpy(out, &v, sizeof v);
    } else if (to <= PARSUM_UINT32) {
        write_narrow(parsum_type_size[to], (uint64_t)integral(from, p), out);
    } else if (is_float) {
        write_real(to, floating(from, p), out);
    } else if (from == PARSUM_UINT64) {
        write_real(to, (long double)(uint64_t)integral(from, p), out);
    } else {
        write_real(to, (long double)integral(from, p), out);
    }
}

#define CONVERT_LOOP(FROM, TO)                                                                     \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            FROM v;                                                                                \
            memcpy(&v, data + i * sizeof v, sizeof v);                                             \
            const TO w = (TO)v;                                                                    \
            memcpy(out + i * sizeof w, &w, sizeof w);                                              \
        }                                                                                          \
        return;                                                                                    \
    }

void parsum_convert(int from, int to, const char *data, size_t n, char *out)
{
    const size_t size = parsum_type_size[from], to_size = parsum_type_size[to];
    /* the common ones as loops that the compiler can vectorise */
    if (to == PARSUM_FLOAT64)
        switch (from) {
        case PARSUM_FLOAT32:
            CONVERT_LOOP(float, double)
        case PARSUM_INT32:
            CONVERT_LOOP(int32_t, double)
        case PARSUM_INT64:
            CONVERT_LOOP(int64_t, double)
        case PARSUM_UINT8:
            CONVERT_LOOP(uint8_t, double)
        case PARSUM_INT16:
            CONVERT_LOOP(int16_t, double)
        case PARSUM_FLOAT16:
            parsum_kernels()->f16.widen(data, n, (double *)(void *)out);
            return;
        default:
            break;
        }
    const int part = part_of(to), from_part = part_of(from);
    const size_t part_size = parsum_type_size[part];
    for (size_t i = 0; i < n; i++, data += size, out += to_size) {
        if (to == PARSUM_BOOL) {
            static const char zero[8];
            const char *second = data + parsum_type_size[from_part];
            int truth;
            if (from_part >= PARSUM_FLOAT16 && from_part <= PARSUM_LONGDOUBLE)
                truth = floating(from_part, data) != 0 ||
                        (from_part != from && floating(from_part, second) != 0);
            else
                truth = memcmp(data, zero, size) != 0;
            *out = (char)truth;
        } else if (part != to) {
            convert_real(from_part, part, data, out);
            if (from_part != from)
                convert_real(from_part, part, data + size / 2, out + part_size);
            else
                memset(out + part_size, 0, part_size);
        } else {
            convert_real(from, to, data, out);
        }
    }
}

size_t parsum_pick(char *out, const char *data, size_t n, size_t size, const uint8_t *where,
                   ptrdiff_t where_stride, const uint8_t *mask, ptrdiff_t mask_stride)
{
    size_t left = 0;
#define PICK(BYTES)                                                                                \
    for (size_t i = 0; i < n; i++) {                                                               \
        memmove(out + left * (BYTES), data + i * (BYTES), BYTES);                                  \
        left += where[(ptrdiff_t)i * where_stride] != 0 && mask[(ptrdiff_t)i * mask_stride] == 0;  \
    }
    switch (size) {
    case 1:
        PICK(1)
        break;
    case 2:
        PICK(2)
        break;
    case 4:
        PICK(4)
        break;
    case 8:
        PICK(8)
        break;
    default:
        PICK(size)
    }
    return left;
}

int parsum_has_nan(int type, const char *data, size_t n)
{
    const kernel_table *kernels = parsum_kernels();
    switch (type) {
    case PARSUM_FLOAT16:
        return kernels->missing_f16.has(data, n);
    case PARSUM_FLOAT32:
        return kernels->missing_f32.has(data, n);
    case PARSUM_FLOAT64:
        return kernels->missing_f64.has(data, n);
    case PARSUM_TIME:
        return kernels->missing_time.has(data, n);
    case PARSUM_COMPLEX64:
        return kernels->missing_f32.has(data, 2 * n);
    case PARSUM_COMPLEX128:
        return kernels->missing_f64.has(data, 2 * n);
    case PARSUM_LONGDOUBLE:
    case PARSUM_CLONGDOUBLE:
        return 1; /* not worth a look of its own */
    default:
        return 0;
    }
}

#define MARK(TYPE, IS_MISSING)                                                                     \
    {                                                                                              \
        TYPE v;                                                                                    \
        for (size_t i = 0; i < n; i++) {                                                           \
            memcpy(&v, data + i * sizeof v, sizeof v);                                             \
            marks[i] |= IS_MISSING;                                                                \
        }                                                                                          \
        return;                                                                                    \
    }
#define MARK_PAIR(TYPE)                                                                            \
    {                                                                                              \
        TYPE v[2];                                                                                 \
        for (size_t i = 0; i < n; i++) {                                                           \
            memcpy(v, data + i * sizeof v, sizeof v);                                              \
            marks[i] |= (v[0] != v[0]) | (v[1] != v[1]);                                           \
        }                                                                                          \
        return;                                                                                    \
    }

void parsum_mark_nan(int type, const char *data, size_t n, uint8_t *marks)
{
    switch (type) {
    case PARSUM_FLOAT16:
        MARK(uint16_t, (v & 0x7fff) > 0x7c00)
    case PARSUM_FLOAT32:
        MARK(float, v != v)
    case PARSUM_FLOAT64:
        MARK(double, v != v)
    case PARSUM_TIME:
        MARK(int64_t, v == INT64_MIN)
    case PARSUM_COMPLEX64:
        MARK_PAIR(float)
    case PARSUM_COMPLEX128:
        MARK_PAIR(double)
    case PARSUM_LONGDOUBLE:
        MARK(long double, v != v)
    case PARSUM_CLONGDOUBLE:
        MARK_PAIR(long double)
    default:
        return;
    }
}

static size_t drop_long(const char *data, size_t n, int parts, char *out)
{
    const size_t size = (size_t)parts * sizeof(long double);
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        const char *p = data + i * size;
        int nan = 0;
        for (int k = 0; k < parts; k++) {
            const long double v = floating(PARSUM_LONGDOUBLE, p + (size_t)k * sizeof v);
            nan |= v != v;
        }
        memmove(out + left * size, p, size);
        left += !nan;
    }
    return left;
}

size_t parsum_drop_nan(int type, const char *data, size_t n, char *out)
{
    const kernel_table *kernels = parsum_kernels();
    switch (type) {
    case PARSUM_FLOAT16:
        return kernels->missing_f16.drop(data, n, out);
    case PARSUM_FLOAT32:
        return kernels->missing_f32.drop(data, n, out);
    case PARSUM_FLOAT64:
        return kernels->missing_f64.drop(data, n, out);
    case PARSUM_TIME:
        return kernels->missing_time.drop(data, n, out);
    case PARSUM_COMPLEX64:
        return kernels->drop_c64(data, n, out);
    case PARSUM_COMPLEX128:
        return kernels->drop_c128(data, n, out);
    case PARSUM_LONGDOUBLE:
        return drop_long(data, n, 1, out);
    case PARSUM_CLONGDOUBLE:
        return drop_long(data, n, 2, out);
    default:
        if (out != data)
            memcpy(out, data, n * parsum_type_size[type]);
        return n;
    }
}
