/* The products of integers modulo 2^64, and what tells whether they fit: included by
 * prod_body.h. */

INLINE void add_to_lanes(const vec_u64 *v, const int number, const int size, vec_u64 *out)
{
    if (size == 1)
        *out = (vec_u64)((vec_u8)*v + (uint8_t)number);
    else if (size == 2)
        *out = (vec_u64)((vec_u16)*v + (uint16_t)number);
    else if (size == 4)
        *out = (vec_u64)((vec_u32)*v + (uint32_t)number);
    else
        *out = *v + (uint64_t)number;
}

/* Whether all elements are -1, 0 or 1: those that have no bit from bit 2 on in v + 1, nor in v + 2.
 * Then also whether one is 0, and whether the product of the others is negative. */
INLINE int are_units(const void *data, size_t n, const int is_signed, const int size, int *zero,
                     int *negative)
{
    const char *p = data;
    const uint64_t one = size == 8   ? 1
                         : size == 4 ? UINT64_C(0x0000000100000001)
                         : size == 2 ? UINT64_C(0x0001000100010001)
                                     : UINT64_C(0x0101010101010101);
    vec_u64 more = {0}, zeros = {0}, signs = {0}, v, t;
    for (size_t left = n * (size_t)size; left;) {
        const size_t bytes = left < sizeof v ? left : sizeof v;
        v = (vec_u64){0} + one;
        if (bytes == sizeof v)
            memcpy(&v, p, sizeof v);
        else
            memcpy(&v, p, bytes);
        if (is_signed) {
            add_to_lanes(&v, 1, size, &t);
            more |= t;
            add_to_lanes(&v, 2, size, &t);
            more |= t;
            signs ^= v;
        } else {
            more |= v;
        }
        zero_lanes(&v, size, &t);
        zeros |= t;
        left -= bytes;
        p += bytes;
    }
    const vec_u64 beyond = more & ~(is_signed ? 3 * one : one);
    uint64_t sign = 0;
    for (int l = 0; l < LANES; l++)
        sign ^= signs[l];
    *zero = any_bit(&zeros);
    *negative = __builtin_parityll(sign & one << (8 * size - 1));
    return !any_bit(&beyond);
}

/* 64-bit integers as doubles, rounded once: 32 bits each in the fractions of 2^84 and 2^52. */
INLINE void doubles_of(const vec_u64 *v, const int is_signed, vec_f64 *out)
{
#if PARSUM_VECTOR_BYTES == 64
    *out = is_signed ? __builtin_convertvector((vec_i64)*v, vec_f64)
                     : __builtin_convertvector(*v, vec_f64);
#else
    const uint64_t bias = is_signed ? UINT64_C(0x80000000) : 0;
    const vec_u64 high = (*v >> 32) ^ (UINT64_C(0x4530000000000000) | bias);
    const vec_u64 low = (*v & 0xffffffff) | UINT64_C(0x4330000000000000);
    *out = ((vec_f64)high - (0x1p84 + 0x1p52 + (is_signed ? 0x1p63 : 0))) + (vec_f64)low;
#endif
}

/* One vector of columns. */
INLINE void multiply_lanes(const vec_u64 *v, const int is_signed, vec_u64 *product, vec_f64 *size,
                           vec_u64 *zero)
{
    vec_f64 factor;
    const vec_u64 none = (vec_u64)(*v == 0), nonzero = *v - none; /* ones for zeros */
    doubles_of(&nonzero, is_signed, &factor);
    *product *= nonzero;
    *size *= factor;
    *zero |= none;
}

#define INTEGER_PRODUCTS(NAME, TYPE, IS_SIGNED)                                                    \
    typedef TYPE narrow_##NAME##_lanes __attribute__((vector_size(LANES * sizeof(TYPE))));         \
    INLINE void load_lanes_##NAME(const char *p, vec_u64 *out)                                     \
    {                                                                                              \
        narrow_##NAME##_lanes narrow;                                                              \
        memcpy(&narrow, p, sizeof narrow);                                                         \
        *out = (vec_u64) __builtin_convertvector(narrow, vec_i64);                                 \
    }                                                                                              \
    static int units_##NAME(const void *data, size_t n, int *zero, int *negative)                  \
    {                                                                                              \
        return are_units(data, n, IS_SIGNED, sizeof(TYPE), zero, negative);                        \
    }                                                                                              \
    static uint64_t multiply_##NAME(const void *data, size_t n)                                    \
    {                                                                                              \
        const char *p = data;                                                                      \
        vec_u64 products[4], v;                                                                    \
        for (int k = 0; k < 4; k++)                                                                \
            products[k] = (vec_u64){0} + 1;                                                        \
        for (; n >= 4 * LANES; n -= 4 * LANES)                                                     \
            for (int k = 0; k < 4; k++, p += LANES * sizeof(TYPE)) {                               \
                load_lanes_##NAME(p, &v);                                                          \
                products[k] *= v;                                                                  \
            }                                                                                      \
        v = products[0] * products[1] * products[2] * products[3];                                 \
        uint64_t product = 1;                                                                      \
        for (int l = 0; l < LANES; l++)                                                            \
            product *= v[l];                                                                       \
        for (; n; n--, p += sizeof(TYPE)) {                                                        \
            TYPE value;                                                                            \
            memcpy(&value, p, sizeof value);                                                       \
            product *= (uint64_t)value;                                                            \
        }                                                                                          \
        return product;                                                                            \
    }                                                                                              \
    INLINE void multiply_rows_##NAME(const char *p, const int rows, ptrdiff_t row_stride,          \
                                     size_t columns, uint64_t *products, double *sizes,            \
                                     uint64_t *zeros)                                              \
    {                                                                                              \
        for (size_t j = 0; j < columns; j += LANES) {                                              \
            vec_u64 product, zero, v;                                                              \
            vec_f64 size;                                                                          \
            memcpy(&product, products + j, sizeof product);                                        \
            memcpy(&size, sizes + j, sizeof size);                                                 \
            memcpy(&zero, zeros + j, sizeof zero);                                                 \
            for (int r = 0; r < rows; r++) {                                                       \
                const char *q = p + r * row_stride + (ptrdiff_t)(j * sizeof(TYPE));                \
                if (columns - j >= LANES) {                                                        \
                    load_lanes_##NAME(q, &v);                                                      \
                } else {                                                                           \
                    char part[LANES * sizeof(TYPE)] = {0};                                         \
                    memcpy(part, q, (columns - j) * sizeof(TYPE));                                 \
                    load_lanes_##NAME(part, &v);                                                   \
                }                                                                                  \
                multiply_lanes(&v, IS_SIGNED, &product, &size, &zero);                             \
            }                                                                                      \
            memcpy(products + j, &product, sizeof product);                                        \
            memcpy(sizes + j, &size, sizeof size);                                                 \
            memcpy(zeros + j, &zero, sizeof zero);                                                 \
        }                                                                                          \
    }                                                                                              \
    static void multiply_columns_##NAME(const void *data, size_t rows, ptrdiff_t row_stride,       \
                                        size_t columns, uint64_t *products, double *sizes,         \
                                        uint64_t *zeros)                                           \
    {                                                                                              \
        const char *p = data;                                                                      \
        /* Rows in step are in pages of their own, as float_type_body.h says. */                   \
        const size_t steps = rows / ROWS_AT_ONCE;                                                  \
        const int is_short = row_stride < PAGE && row_stride > -PAGE;                              \
        const ptrdiff_t apart = is_short ? (ptrdiff_t)steps * row_stride : row_stride;             \
        const ptrdiff_t next = is_short ? row_stride : ROWS_AT_ONCE * row_stride;                  \
        for (size_t k = 0; k < steps; k++)                                                         \
            multiply_rows_##NAME(p + (ptrdiff_t)k * next, ROWS_AT_ONCE, apart, columns, products,  \
                                 sizes, zeros);                                                    \
        p += (ptrdiff_t)(ROWS_AT_ONCE * steps) * row_stride;                                       \
        for (size_t k = ROWS_AT_ONCE * steps; k < rows; k++, p += row_stride)                      \
            multiply_rows_##NAME(p, 1, row_stride, columns, products, sizes, zeros);               \
    }

INTEGER_PRODUCTS(i8, int8_t, 1)
INTEGER_PRODUCTS(u8, uint8_t, 0)
INTEGER_PRODUCTS(i16, int16_t, 1)
INTEGER_PRODUCTS(u16, uint16_t, 0)
INTEGER_PRODUCTS(i32, int32_t, 1)
INTEGER_PRODUCTS(u32, uint32_t, 0)
INTEGER_PRODUCTS(i64, int64_t, 1)
INTEGER_PRODUCTS(u64, uint64_t, 0)
