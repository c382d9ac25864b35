/* The read limit: how fast a plain C loop gets through memory; contestants.py compiles and calls
 * it.
 *
 * It adds 64-bit words, whatever they stand for: unlike a floating sum, compilers may reorder and
 * vectorise that as it is, and NaNs or subnormals in the data cannot slow it down. */
#include <stddef.h>
#include <stdint.h>

static inline __attribute__((always_inline)) uint64_t add(const void *data, size_t count)
{
    const uint64_t *words = data;
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += words[i];
    }
    return sum;
}

#if defined(__x86_64__) || defined(__i386__)

/* AVX-512 reads no faster from memory. */
static __attribute__((target("avx2"))) uint64_t add_avx2(const void *data, size_t count)
{
    return add(data, count);
}

uint64_t read_words(const void *data, size_t count)
{
    return __builtin_cpu_supports("avx2") ? add_avx2(data, count) : add(data, count);
}

#else

uint64_t read_words(const void *data, size_t count)
{
    return add(data, count);
}

#endif
