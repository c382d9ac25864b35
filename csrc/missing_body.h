/* Finding and leaving out what stands for a missing element, NaN and NaT: included by each CPU
 * level. A NaN is told by its bits, magnitude above infinity's, so signalling ones raise nothing.
 */

#define MISSING_KERNELS(NAME, WORD, SIGNED, MISSING, START)                                        \
    static int has_missing_##NAME(const void *data, size_t n)                                      \
    {                                                                                              \
        const WORD *p = data;                                                                      \
        SIGNED any = 0;                                                                            \
        for (size_t i = 0; i < n; i++) {                                                           \
            const SIGNED bits = (SIGNED)p[i];                                                      \
            any |= (SIGNED)(MISSING);                                                              \
        }                                                                                          \
        return any != 0;                                                                           \
    }                                                                                              \
    static size_t drop_missing_##NAME(const void *data, size_t n, void *to)                        \
    {                                                                                              \
        const WORD *p = data;                                                                      \
        WORD *out = to;                                                                            \
        size_t i = 0;                                                                              \
        size_t left = START;                                                                       \
        for (; i < n; i++) {                                                                       \
            const SIGNED bits = (SIGNED)p[i];                                                      \
            out[left] = p[i];                                                                      \
            left += !(MISSING);                                                                    \
        }                                                                                          \
        return left;                                                                               \
    }

/* Where the machine can squeeze a vector, a whole one at a time. The last is written beyond what is
 * left of it, but never beyond what was read: `out` may be `data`. */
#if defined(PARSUM_SQUEEZE_64)
static size_t squeeze_64(const uint64_t *p, size_t n, uint64_t *out, size_t *done)
{
    size_t left = 0, i = 0;
    for (; i + LANES <= n; i += LANES)
        left += PARSUM_SQUEEZE_64(p + i, out + left);
    *done = i;
    return left;
}

static size_t squeeze_32(const uint32_t *p, size_t n, uint32_t *out, size_t *done)
{
    size_t left = 0, i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES)
        left += PARSUM_SQUEEZE_32(p + i, out + left);
    *done = i;
    return left;
}
#define SQUEEZE(BITS, p, n, out, done) squeeze_##BITS(p, n, out, done)
#else
#define SQUEEZE(BITS, p, n, out, done) 0
#endif

MISSING_KERNELS(f16, uint16_t, int16_t, (bits & INT16_MAX) > 0x7c00, 0)
MISSING_KERNELS(f32, uint32_t, int32_t, (bits & INT32_MAX) > 0x7f800000, SQUEEZE(32, p, n, out, &i))
MISSING_KERNELS(f64, uint64_t, int64_t, (bits & INT64_MAX) > (int64_t)INFINITY_BITS,
                SQUEEZE(64, p, n, out, &i))
MISSING_KERNELS(time, uint64_t, int64_t, bits == INT64_MIN, 0)

/* Either part of a complex number. */
#define MISSING_PAIRS(NAME, WORD, SIGNED, INFINITE, MOST)                                          \
    static size_t drop_missing_##NAME(const void *data, size_t n, void *to)                        \
    {                                                                                              \
        const WORD *p = data;                                                                      \
        WORD *out = to;                                                                            \
        size_t left = 0;                                                                           \
        for (size_t i = 0; i < 2 * n; i += 2) {                                                    \
            const WORD real = p[i], imaginary = p[i + 1];                                          \
            out[2 * left] = real;                                                                  \
            out[2 * left + 1] = imaginary;                                                         \
            left += ((SIGNED)real & MOST) <= (SIGNED)INFINITE &&                                   \
                    ((SIGNED)imaginary & MOST) <= (SIGNED)INFINITE;                                \
        }                                                                                          \
        return left;                                                                               \
    }

MISSING_PAIRS(c64, uint32_t, int32_t, 0x7f800000, INT32_MAX)
MISSING_PAIRS(c128, uint64_t, int64_t, INFINITY_BITS, INT64_MAX)
