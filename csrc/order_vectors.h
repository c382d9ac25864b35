/* The lesser and the greater of two vectors, comparisons and a few moves, for every element type at
 * every CPU level: what order_body.h is written in.
 *
 * least_T(a, b) is `a < b ? a : b` in every lane and largest_T(a, b) is `a > b ? a : b`, hence b if
 * a float is NaN. Compilers know that for integers where the machine has it, but make four
 * operations of one for floats and for vectors written as such, so the instructions are named. */
#ifndef PARSUM_ORDER_VECTORS_H
#define PARSUM_ORDER_VECTORS_H

#if defined(__x86_64__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

typedef float vec_f32 __attribute__((vector_size(PARSUM_VECTOR_BYTES)));
typedef int8_t vec_i8 __attribute__((vector_size(PARSUM_VECTOR_BYTES)));
typedef int16_t vec_i16 __attribute__((vector_size(PARSUM_VECTOR_BYTES)));
typedef int32_t vec_i32 __attribute__((vector_size(PARSUM_VECTOR_BYTES)));

/* 64-bit integers as the order kernels take them: SSE2 cannot compare them, and one at a time is
 * faster than what stands for it. */
#if defined(__x86_64__) && PARSUM_VECTOR_BYTES == 16
typedef int64_t wide_i64;
typedef uint64_t wide_u64;
#else
typedef vec_i64 wide_i64;
typedef vec_u64 wide_u64;
#endif

#define ORDER_PAIR(TYPE, VECTOR, BITS, LEAST, LARGEST)                                             \
    INLINE VECTOR least_##TYPE(VECTOR a, VECTOR b)                                                 \
    {                                                                                              \
        return (VECTOR)LEAST((BITS)a, (BITS)b);                                                    \
    }                                                                                              \
    INLINE VECTOR largest_##TYPE(VECTOR a, VECTOR b)                                               \
    {                                                                                              \
        return (VECTOR)LARGEST((BITS)a, (BITS)b);                                                  \
    }

/* Where the machine has no such instruction. `MASK` is the vector of a comparison's result. */
#define ORDER_PAIR_BY_MASKS(TYPE, VECTOR, MASK)                                                    \
    INLINE VECTOR least_##TYPE(VECTOR a, VECTOR b)                                                 \
    {                                                                                              \
        const MASK less = (MASK)(a < b);                                                           \
        return (VECTOR)(((MASK)a & less) | ((MASK)b & ~less));                                     \
    }                                                                                              \
    INLINE VECTOR largest_##TYPE(VECTOR a, VECTOR b)                                               \
    {                                                                                              \
        const MASK more = (MASK)(a > b);                                                           \
        return (VECTOR)(((MASK)a & more) | ((MASK)b & ~more));                                     \
    }

/* flag_T has a lane for each float of a vector: set by unordered_T where a or b is NaN, by less_T,
 * greater_T and equal_T where a float is so; choose_T(f, a, b) has a's lanes where it is set. */
#define ORDER_FLAGS_BY_MASKS(TYPE, VECTOR, MASK)                                                   \
    typedef MASK flag_##TYPE;                                                                      \
    INLINE flag_##TYPE unordered_##TYPE(VECTOR a, VECTOR b)                                        \
    {                                                                                              \
        return (MASK)(a != a) | (MASK)(b != b);                                                    \
    }                                                                                              \
    INLINE flag_##TYPE less_##TYPE(VECTOR a, VECTOR b)                                             \
    {                                                                                              \
        return (MASK)(a < b);                                                                      \
    }                                                                                              \
    INLINE flag_##TYPE greater_##TYPE(VECTOR a, VECTOR b)                                          \
    {                                                                                              \
        return (MASK)(a > b);                                                                      \
    }                                                                                              \
    INLINE flag_##TYPE equal_##TYPE(VECTOR a, VECTOR b)                                            \
    {                                                                                              \
        return (MASK)(a == b);                                                                     \
    }                                                                                              \
    INLINE VECTOR choose_##TYPE(flag_##TYPE f, VECTOR a, VECTOR b)                                 \
    {                                                                                              \
        return (VECTOR)(((MASK)a & f) | ((MASK)b & ~f));                                           \
    }                                                                                              \
    INLINE int any_##TYPE(flag_##TYPE f)                                                           \
    {                                                                                              \
        return any_lane((vec_u64)f);                                                               \
    }

/* rotate_words(v, k): 64-bit lane i of the result is lane i + k of v, where k is a constant power
 * of two and lanes are counted around. */
#if PARSUM_VECTOR_BYTES == 64

INLINE int any_lane(vec_u64 v)
{
    return _mm512_test_epi64_mask((__m512i)v, (__m512i)v) != 0;
}

INLINE vec_u64 rotate_words(vec_u64 v, int k)
{
    const __m512i a = (__m512i)v;
    return (vec_u64)(k == 4   ? _mm512_alignr_epi64(a, a, 4)
                     : k == 2 ? _mm512_alignr_epi64(a, a, 2)
                              : _mm512_alignr_epi64(a, a, 1));
}

ORDER_PAIR(i8, vec_i8, __m512i, _mm512_min_epi8, _mm512_max_epi8)
ORDER_PAIR(u8, vec_u8, __m512i, _mm512_min_epu8, _mm512_max_epu8)
ORDER_PAIR(i16, vec_i16, __m512i, _mm512_min_epi16, _mm512_max_epi16)
ORDER_PAIR(u16, vec_u16, __m512i, _mm512_min_epu16, _mm512_max_epu16)
ORDER_PAIR(i32, vec_i32, __m512i, _mm512_min_epi32, _mm512_max_epi32)
ORDER_PAIR(u32, vec_u32, __m512i, _mm512_min_epu32, _mm512_max_epu32)
ORDER_PAIR(i64, vec_i64, __m512i, _mm512_min_epi64, _mm512_max_epi64)
ORDER_PAIR(u64, vec_u64, __m512i, _mm512_min_epu64, _mm512_max_epu64)
ORDER_PAIR(f32, vec_f32, __m512, _mm512_min_ps, _mm512_max_ps)
ORDER_PAIR(f64, vec_f64, __m512d, _mm512_min_pd, _mm512_max_pd)

#define ORDER_FLAGS(TYPE, VECTOR, BITS, SUFFIX, MASK)                                              \
    typedef MASK flag_##TYPE;                                                                      \
    INLINE flag_##TYPE unordered_##TYPE(VECTOR a, VECTOR b)                                        \
    {                                                                                              \
        return _mm512_cmp_##SUFFIX##_mask((BITS)a, (BITS)b, _CMP_UNORD_Q);                         \
    }                                                                                              \
    INLINE flag_##TYPE less_##TYPE(VECTOR a, VECTOR b)                                             \
    {                                                                                              \
        return _mm512_cmp_##SUFFIX##_mask((BITS)a, (BITS)b, _CMP_LT_OQ);                           \
    }                                                                                              \
    INLINE flag_##TYPE greater_##TYPE(VECTOR a, VECTOR b)                                          \
    {                                                                                              \
        return _mm512_cmp_##SUFFIX##_mask((BITS)a, (BITS)b, _CMP_GT_OQ);                           \
    }                                                                                              \
    INLINE flag_##TYPE equal_##TYPE(VECTOR a, VECTOR b)                                            \
    {                                                                                              \
        return _mm512_cmp_##SUFFIX##_mask((BITS)a, (BITS)b, _CMP_EQ_OQ);                           \
    }                                                                                              \
    INLINE VECTOR choose_##TYPE(flag_##TYPE f, VECTOR a, VECTOR b)                                 \
    {                                                                                              \
        return (VECTOR)_mm512_mask_mov_##SUFFIX((BITS)b, f, (BITS)a);                              \
    }                                                                                              \
    INLINE int any_##TYPE(flag_##TYPE f)                                                           \
    {                                                                                              \
        return f != 0;                                                                             \
    }
ORDER_FLAGS(f32, vec_f32, __m512, ps, __mmask16)
ORDER_FLAGS(f64, vec_f64, __m512d, pd, __mmask8)

#elif PARSUM_VECTOR_BYTES == 32

INLINE int any_lane(vec_u64 v)
{
    return !_mm256_testz_si256((__m256i)v, (__m256i)v);
}

INLINE vec_u64 rotate_words(vec_u64 v, int k)
{
    const __m256i a = (__m256i)v;
    return (vec_u64)(k == 2 ? _mm256_permute4x64_epi64(a, 0x4e)
                            : _mm256_permute4x64_epi64(a, 0x39));
}

ORDER_PAIR(i8, vec_i8, __m256i, _mm256_min_epi8, _mm256_max_epi8)
ORDER_PAIR(u8, vec_u8, __m256i, _mm256_min_epu8, _mm256_max_epu8)
ORDER_PAIR(i16, vec_i16, __m256i, _mm256_min_epi16, _mm256_max_epi16)
ORDER_PAIR(u16, vec_u16, __m256i, _mm256_min_epu16, _mm256_max_epu16)
ORDER_PAIR(i32, vec_i32, __m256i, _mm256_min_epi32, _mm256_max_epi32)
ORDER_PAIR(u32, vec_u32, __m256i, _mm256_min_epu32, _mm256_max_epu32)
ORDER_PAIR(f32, vec_f32, __m256, _mm256_min_ps, _mm256_max_ps)
ORDER_PAIR(f64, vec_f64, __m256d, _mm256_min_pd, _mm256_max_pd)

INLINE vec_i64 blend_words(vec_i64 a, vec_i64 b, vec_i64 first)
{
    return (vec_i64)_mm256_blendv_epi8((__m256i)b, (__m256i)a, (__m256i)first);
}

INLINE vec_i64 least_i64(vec_i64 a, vec_i64 b)
{
    return blend_words(a, b, b > a);
}

INLINE vec_i64 largest_i64(vec_i64 a, vec_i64 b)
{
    return blend_words(a, b, a > b);
}

#define ORDER_FLAGS(TYPE, VECTOR, BITS, SUFFIX, MASK)                                              \
    typedef MASK flag_##TYPE;                                                                      \
    INLINE flag_##TYPE unordered_##TYPE(VECTOR a, VECTOR b)                                        \
    {                                                                                              \
        return (MASK)_mm256_cmp_##SUFFIX((BITS)a, (BITS)b, _CMP_UNORD_Q);                          \
    }                                                                                              \
    INLINE flag_##TYPE less_##TYPE(VECTOR a, VECTOR b)                                             \
    {                                                                                              \
        return (MASK)_mm256_cmp_##SUFFIX((BITS)a, (BITS)b, _CMP_LT_OQ);                            \
    }                                                                                              \
    INLINE flag_##TYPE greater_##TYPE(VECTOR a, VECTOR b)                                          \
    {                                                                                              \
        return (MASK)_mm256_cmp_##SUFFIX((BITS)a, (BITS)b, _CMP_GT_OQ);                            \
    }                                                                                              \
    INLINE flag_##TYPE equal_##TYPE(VECTOR a, VECTOR b)                                            \
    {                                                                                              \
        return (MASK)_mm256_cmp_##SUFFIX((BITS)a, (BITS)b, _CMP_EQ_OQ);                            \
    }                                                                                              \
    INLINE VECTOR choose_##TYPE(flag_##TYPE f, VECTOR a, VECTOR b)                                 \
    {                                                                                              \
        return (VECTOR)_mm256_blendv_##SUFFIX((BITS)b, (BITS)a, (BITS)f);                          \
    }                                                                                              \
    INLINE int any_##TYPE(flag_##TYPE f)                                                           \
    {                                                                                              \
        return any_lane((vec_u64)f);                                                               \
    }
ORDER_FLAGS(f32, vec_f32, __m256, ps, vec_i32)
ORDER_FLAGS(f64, vec_f64, __m256d, pd, vec_i64)

#else /* 16 bytes */

INLINE int any_lane(vec_u64 v)
{
    return (v[0] | v[1]) != 0;
}

INLINE vec_u64 rotate_words(vec_u64 v, int k)
{
    (void)k;
    return (vec_u64){v[1], v[0]};
}

#if defined(__x86_64__)

ORDER_PAIR_BY_MASKS(i8, vec_i8, vec_i8)
ORDER_PAIR(u8, vec_u8, __m128i, _mm_min_epu8, _mm_max_epu8)
ORDER_PAIR(i16, vec_i16, __m128i, _mm_min_epi16, _mm_max_epi16)
ORDER_PAIR_BY_MASKS(u16, vec_u16, vec_i16)
ORDER_PAIR_BY_MASKS(i32, vec_i32, vec_i32)
ORDER_PAIR_BY_MASKS(u32, vec_u32, vec_i32)
ORDER_PAIR(f32, vec_f32, __m128, _mm_min_ps, _mm_max_ps)
ORDER_PAIR(f64, vec_f64, __m128d, _mm_min_pd, _mm_max_pd)

#define ORDER_FLAGS(TYPE, VECTOR, BITS, SUFFIX, MASK)                                              \
    typedef MASK flag_##TYPE;                                                                      \
    INLINE flag_##TYPE unordered_##TYPE(VECTOR a, VECTOR b)                                        \
    {                                                                                              \
        return (MASK)_mm_cmpunord_##SUFFIX((BITS)a, (BITS)b);                                      \
    }                                                                                              \
    INLINE flag_##TYPE less_##TYPE(VECTOR a, VECTOR b)                                             \
    {                                                                                              \
        return (MASK)_mm_cmplt_##SUFFIX((BITS)a, (BITS)b);                                         \
    }                                                                                              \
    INLINE flag_##TYPE greater_##TYPE(VECTOR a, VECTOR b)                                          \
    {                                                                                              \
        return (MASK)_mm_cmpgt_##SUFFIX((BITS)a, (BITS)b);                                         \
    }                                                                                              \
    INLINE flag_##TYPE equal_##TYPE(VECTOR a, VECTOR b)                                            \
    {                                                                                              \
        return (MASK)_mm_cmpeq_##SUFFIX((BITS)a, (BITS)b);                                         \
    }                                                                                              \
    INLINE VECTOR choose_##TYPE(flag_##TYPE f, VECTOR a, VECTOR b)                                 \
    {                                                                                              \
        return (VECTOR)(((MASK)a & f) | ((MASK)b & ~f));                                           \
    }                                                                                              \
    INLINE int any_##TYPE(flag_##TYPE f)                                                           \
    {                                                                                              \
        return any_lane((vec_u64)f);                                                               \
    }
ORDER_FLAGS(f32, vec_f32, __m128, ps, vec_i32)
ORDER_FLAGS(f64, vec_f64, __m128d, pd, vec_i64)

INLINE int64_t least_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

INLINE int64_t largest_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

INLINE uint64_t least_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

INLINE uint64_t largest_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#else /* any other machine */

ORDER_PAIR_BY_MASKS(i8, vec_i8, vec_i8)
ORDER_PAIR_BY_MASKS(u8, vec_u8, vec_i8)
ORDER_PAIR_BY_MASKS(i16, vec_i16, vec_i16)
ORDER_PAIR_BY_MASKS(u16, vec_u16, vec_i16)
ORDER_PAIR_BY_MASKS(i32, vec_i32, vec_i32)
ORDER_PAIR_BY_MASKS(u32, vec_u32, vec_i32)
ORDER_PAIR_BY_MASKS(i64, vec_i64, vec_i64)
ORDER_PAIR_BY_MASKS(u64, vec_u64, vec_i64)
ORDER_PAIR_BY_MASKS(f32, vec_f32, vec_i32)
ORDER_PAIR_BY_MASKS(f64, vec_f64, vec_i64)
ORDER_FLAGS_BY_MASKS(f32, vec_f32, vec_i32)
ORDER_FLAGS_BY_MASKS(f64, vec_f64, vec_i64)

#endif
#endif

/* even_T(a, b) has the even lanes of a and of b, in an order of its own, odd_T(a, b) the odd ones
 * in the same order; low_T and high_T of these two are a and b again. */
#define ORDER_ZIPS(TYPE, VECTOR, EVEN, ODD, LOW, HIGH)                                             \
    INLINE VECTOR even_##TYPE(VECTOR a, VECTOR b)                                                  \
    {                                                                                              \
        return (VECTOR)EVEN;                                                                       \
    }                                                                                              \
    INLINE VECTOR odd_##TYPE(VECTOR a, VECTOR b)                                                   \
    {                                                                                              \
        return (VECTOR)ODD;                                                                        \
    }                                                                                              \
    INLINE VECTOR low_##TYPE(VECTOR a, VECTOR b)                                                   \
    {                                                                                              \
        return (VECTOR)LOW;                                                                        \
    }                                                                                              \
    INLINE VECTOR high_##TYPE(VECTOR a, VECTOR b)                                                  \
    {                                                                                              \
        return (VECTOR)HIGH;                                                                       \
    }

#if PARSUM_VECTOR_BYTES == 64
ORDER_ZIPS(f32, vec_f32, _mm512_shuffle_ps((__m512)a, (__m512)b, 0x88),
           _mm512_shuffle_ps((__m512)a, (__m512)b, 0xdd), _mm512_unpacklo_ps((__m512)a, (__m512)b),
           _mm512_unpackhi_ps((__m512)a, (__m512)b))
ORDER_ZIPS(f64, vec_f64, _mm512_unpacklo_pd((__m512d)a, (__m512d)b),
           _mm512_unpackhi_pd((__m512d)a, (__m512d)b), _mm512_unpacklo_pd((__m512d)a, (__m512d)b),
           _mm512_unpackhi_pd((__m512d)a, (__m512d)b))
#elif PARSUM_VECTOR_BYTES == 32
ORDER_ZIPS(f32, vec_f32, _mm256_shuffle_ps((__m256)a, (__m256)b, 0x88),
           _mm256_shuffle_ps((__m256)a, (__m256)b, 0xdd), _mm256_unpacklo_ps((__m256)a, (__m256)b),
           _mm256_unpackhi_ps((__m256)a, (__m256)b))
ORDER_ZIPS(f64, vec_f64, _mm256_unpacklo_pd((__m256d)a, (__m256d)b),
           _mm256_unpackhi_pd((__m256d)a, (__m256d)b), _mm256_unpacklo_pd((__m256d)a, (__m256d)b),
           _mm256_unpackhi_pd((__m256d)a, (__m256d)b))
#elif defined(__x86_64__)
ORDER_ZIPS(f32, vec_f32, _mm_shuffle_ps((__m128)a, (__m128)b, 0x88),
           _mm_shuffle_ps((__m128)a, (__m128)b, 0xdd), _mm_unpacklo_ps((__m128)a, (__m128)b),
           _mm_unpackhi_ps((__m128)a, (__m128)b))
ORDER_ZIPS(f64, vec_f64, _mm_unpacklo_pd((__m128d)a, (__m128d)b),
           _mm_unpackhi_pd((__m128d)a, (__m128d)b), _mm_unpacklo_pd((__m128d)a, (__m128d)b),
           _mm_unpackhi_pd((__m128d)a, (__m128d)b))
#else
ORDER_ZIPS(f32, vec_f32, ((vec_f32){a[0], a[2], b[0], b[2]}), ((vec_f32){a[1], a[3], b[1], b[3]}),
           ((vec_f32){a[0], b[0], a[1], b[1]}), ((vec_f32){a[2], b[2], a[3], b[3]}))
ORDER_ZIPS(f64, vec_f64, ((vec_f64){a[0], b[0]}), ((vec_f64){a[1], b[1]}), ((vec_f64){a[0], b[0]}),
           ((vec_f64){a[1], b[1]}))
#endif

#if PARSUM_VECTOR_BYTES == 32
/* Unsigned 64-bit ones are compared as signed, with the top bit turned over. */
INLINE vec_u64 least_u64(vec_u64 a, vec_u64 b)
{
    const uint64_t top = UINT64_C(1) << 63;
    return (vec_u64)least_i64((vec_i64)(a ^ top), (vec_i64)(b ^ top)) ^ top;
}

INLINE vec_u64 largest_u64(vec_u64 a, vec_u64 b)
{
    const uint64_t top = UINT64_C(1) << 63;
    return (vec_u64)largest_i64((vec_i64)(a ^ top), (vec_i64)(b ^ top)) ^ top;
}
#endif

#endif
