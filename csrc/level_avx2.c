/* The kernels for x86-64 with AVX2, BMI2, FMA and F16C. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,bmi2,fma,f16c")
#endif
#define PARSUM_VECTOR_BYTES 32
#define PARSUM_HAVE_F16C
#define PARSUM_MAX_U32(a, b) ((vec_u32)_mm256_max_epu32((__m256i)(a), (__m256i)(b)))
#define PARSUM_MIN_U32(a, b) ((vec_u32)_mm256_min_epu32((__m256i)(a), (__m256i)(b)))
#define PARSUM_FMADD(a, b, c) ((vec_f64)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#define PARSUM_FMSUB(a, b, c) ((vec_f64)_mm256_fmsub_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#define PARSUM_ANY(v) (!_mm256_testz_si256((__m256i)(v), (__m256i)(v)))
#define PARSUM_SWAP_PAIRS(v) ((vec_f64)_mm256_permute_pd((__m256d)(v), 0x5))
#define PARSUM_ROOT(v) ((vec_f64)_mm256_sqrt_pd((__m256d)(v)))
#define LEVEL_NAME "avx2"
#define LEVEL_TABLE parsum_kernels_avx2
#include "level_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int parsum_no_avx2; /* ISO C wants a declaration */
#endif
