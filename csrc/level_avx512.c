/* The kernels for x86-64 with AVX-512 F, DQ, BW and VL. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx2,bmi2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl"))),              \
    apply_to = function)
#else
#pragma GCC target("avx2,bmi2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl")
#endif
#define PARSUM_VECTOR_BYTES 64
#define PARSUM_HAVE_F16C
#define PARSUM_MAX_U32(a, b) ((vec_u32)_mm512_max_epu32((__m512i)(a), (__m512i)(b)))
#define PARSUM_MIN_U32(a, b) ((vec_u32)_mm512_min_epu32((__m512i)(a), (__m512i)(b)))
/* Writes the numbers of a vector of doubles (floats), without its NaNs; says how many. In
 * integers, as comparing signalling NaNs raises invalid. A register
 * is squeezed and then stored: storing only what is left is slow on some CPUs. */
static inline size_t squeeze_f64(const void *p, void *out)
{
    const __m512i v = _mm512_loadu_si512(p);
    const __m512i magnitude = _mm512_and_si512(v, _mm512_set1_epi64(INT64_MAX));
    const __mmask8 numbers =
        _mm512_cmple_epi64_mask(magnitude, _mm512_set1_epi64(INT64_C(0x7ff0000000000000)));
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi64(numbers, v));
    return (size_t)__builtin_popcount(numbers);
}
static inline size_t squeeze_f32(const void *p, void *out)
{
    const __m512i v = _mm512_loadu_si512(p);
    const __m512i magnitude = _mm512_and_si512(v, _mm512_set1_epi32(INT32_MAX));
    const __mmask16 numbers = _mm512_cmple_epi32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(numbers, v));
    return (size_t)__builtin_popcount(numbers);
}
#define PARSUM_SQUEEZE_64(p, out) squeeze_f64(p, out)
#define PARSUM_SQUEEZE_32(p, out) squeeze_f32(p, out)
#define PARSUM_FMADD(a, b, c) ((vec_f64)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#define PARSUM_FMSUB(a, b, c) ((vec_f64)_mm512_fmsub_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#define PARSUM_ANY(v) (_mm512_test_epi64_mask((__m512i)(v), (__m512i)(v)) != 0)
#define PARSUM_SWAP_PAIRS(v) ((vec_f64)_mm512_permute_pd((__m512d)(v), 0x55))
#define PARSUM_ROOT(v) ((vec_f64)_mm512_sqrt_pd((__m512d)(v)))
#define LEVEL_NAME "avx512"
#define LEVEL_TABLE parsum_kernels_avx512
#include "level_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int parsum_no_avx512; /* ISO C wants a declaration */
#endif
