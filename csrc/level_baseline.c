/* The kernels for any CPU of the architecture: SSE2 on x86-64, NEON on arm64. */
#define PARSUM_VECTOR_BYTES 16
#if defined(__aarch64__)
#include <arm_neon.h>
#define PARSUM_FMADD(a, b, c)                                                                      \
    ((vec_f64)vfmaq_f64((float64x2_t)(c), (float64x2_t)(a), (float64x2_t)(b)))
#define PARSUM_FMSUB(a, b, c)                                                                      \
    ((vec_f64)vfmaq_f64((float64x2_t)(-(c)), (float64x2_t)(a), (float64x2_t)(b)))
#define PARSUM_ROOT(v) ((vec_f64)vsqrtq_f64((float64x2_t)(v)))
#define LEVEL_NAME "neon"
#else
#define LEVEL_NAME "baseline"
#endif
#define PARSUM_ANY(v) (((v)[0] | (v)[1]) != 0)
#if defined(__SSE2__)
#include <emmintrin.h>
#define PARSUM_SIGNS(v) (_mm_movemask_pd((__m128d)(v)))
#define PARSUM_ROOT(v) ((vec_f64)_mm_sqrt_pd((__m128d)(v)))
#else
#define PARSUM_SIGNS(v) (((v)[0] | (v)[1]) < 0)
#endif
#if !defined(PARSUM_ROOT)
#include <math.h>
#define PARSUM_ROOT(v) ((vec_f64){sqrt((v)[0]), sqrt((v)[1])})
#endif
#define PARSUM_SWAP_PAIRS(v) ((vec_f64){(v)[1], (v)[0]})
#define LEVEL_TABLE parsum_kernels_baseline
#include "level_body.h"
