/* Vectors of the width that the including file's CPU level has natively.
 *
 * Generic vectors wider than the registers spill: the exact body with 64-byte vectors compiled for
 * AVX2 runs at 5 GB/s, with 32-byte ones at over 40. So each level sets PARSUM_VECTOR_BYTES before
 * it includes this file, and all bodies are written for that width. Vectors are never passed by
 * value between functions that are not inlined (-Wpsabi). */
#ifndef PARSUM_VECTOR_BYTES
#error "a level file defines PARSUM_VECTOR_BYTES and includes vectors.h first"
#endif

#include <stdint.h>
#include <string.h>

#include "kernels.h"

#define LANES (PARSUM_VECTOR_BYTES / 8) /* 64-bit lanes of a vector */
#define INLINE static inline __attribute__((always_inline))

typedef double vec_f64 __attribute__((vector_size(PARSUM_VECTOR_BYTES)));
typedef int64_t vec_i64 __attribute__((vector_size(PARSUM_VECTOR_BYTES)));
typedef uint64_t vec_u64 __attribute__((vector_size(PARSUM_VECTOR_BYTES)));
typedef uint32_t vec_u32 __attribute__((vector_size(PARSUM_VECTOR_BYTES)));
typedef uint16_t vec_u16 __attribute__((vector_size(PARSUM_VECTOR_BYTES)));
typedef uint8_t vec_u8 __attribute__((vector_size(PARSUM_VECTOR_BYTES)));

/* LANES elements of the narrower float types, to be widened to a vec_f64. */
typedef float half_f32 __attribute__((vector_size(PARSUM_VECTOR_BYTES / 2)));
typedef uint32_t half_u32 __attribute__((vector_size(PARSUM_VECTOR_BYTES / 2)));

/* What an element counts for; `taken` is a constant. */
INLINE void take_as(vec_f64 *v, const int taken)
{
    if (taken == TAKEN_ABSOLUTE)
        *v = (vec_f64)((vec_i64)*v & INT64_MAX);
    if (taken == TAKEN_UNLESS_NAN)
        *v = (vec_f64)((vec_i64)*v & (vec_i64)(*v == *v));
}

INLINE void load_f64(vec_f64 *out, const void *p)
{
    memcpy(out, p, sizeof *out);
}

/* GCC would convert a vector in halves of halves. */
INLINE void load_f32(vec_f64 *out, const void *p)
{
#if defined(PARSUM_HAVE_F16C) && PARSUM_VECTOR_BYTES == 64
    *out = (vec_f64)_mm512_cvtps_pd(_mm256_loadu_ps((const float *)p));
#elif defined(PARSUM_HAVE_F16C) && PARSUM_VECTOR_BYTES == 32
    *out = (vec_f64)_mm256_cvtps_pd(_mm_loadu_ps((const float *)p));
#else
    half_f32 narrow;
    memcpy(&narrow, p, sizeof narrow);
    *out = __builtin_convertvector(narrow, vec_f64);
#endif
}

/* float16 without F16C: with exponent and fraction moved to float32's places the value is off by
 * 2^112, subnormals included; one exact product puts it right. Infinity and NaN come out as large
 * finite values: callers sort them out first. */
INLINE void load_f16(vec_f64 *out, const void *p)
{
#if defined(PARSUM_HAVE_F16C) && PARSUM_VECTOR_BYTES == 32
    uint64_t bits;
    memcpy(&bits, p, sizeof bits);
    *out = (vec_f64)_mm256_cvtps_pd(_mm_cvtph_ps(_mm_cvtsi64_si128((long long)bits)));
#elif defined(PARSUM_HAVE_F16C) && PARSUM_VECTOR_BYTES == 64
    *out = (vec_f64)_mm512_cvtps_pd(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)));
#else
    uint16_t narrow[LANES];
    half_u32 bits;
    memcpy(narrow, p, sizeof narrow);
    for (int i = 0; i < LANES; i++)
        bits[i] = narrow[i];
    half_u32 magnitude = (bits & 0x7fff) << 13;
    half_u32 sign = (bits & 0x8000) << 16;
    half_f32 value = (half_f32)magnitude * 0x1p112f;
    value = (half_f32)((half_u32)value | sign);
    *out = __builtin_convertvector(value, vec_f64);
#endif
}
