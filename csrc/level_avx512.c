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
#define LEVEL_NAME "avx512"
#define LEVEL_TABLE parsum_kernels_avx512
#include "level_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int parsum_no_avx512; /* ISO C wants a declaration */
#endif
