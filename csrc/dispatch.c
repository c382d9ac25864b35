/* Chooses the CPU level: the best usable one at first, another on request. */
#include "dispatch.h"

#include "parsum.h"

#include <stdatomic.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const kernel_table *const levels[] = {
    &parsum_kernels_baseline,
#if defined(__x86_64__)
    &parsum_kernels_avx2,
    &parsum_kernels_avx512,
#endif
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

/* -1 until the first question; finding out twice at once gives the same answer twice. */
static _Atomic int current = -1;

int parsum_levels(void)
{
    return LEVELS;
}

const char *parsum_level_name(int level)
{
    return level >= 0 && level < LEVELS ? levels[level]->name : NULL;
}

int parsum_level_usable(int level)
{
#if defined(__x86_64__)
    unsigned eax, ebx, ecx, edx;
    __builtin_cpu_init();
    /* Not every compiler's __builtin_cpu_supports knows F16C: CPUID leaf 1, ECX bit 29. */
    int f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx >> 29 & 1);
    int avx2 = f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
               __builtin_cpu_supports("fma");
    if (level == 1)
        return avx2;
    if (level == 2)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
    return level == 0;
}

int parsum_level(void)
{
    int level = atomic_load_explicit(&current, memory_order_relaxed);
    if (level < 0) {
        for (level = LEVELS - 1; !parsum_level_usable(level); level--)
            ;
        atomic_store_explicit(&current, level, memory_order_relaxed);
    }
    return level;
}

int parsum_use_level(int level)
{
    if (level < 0 || level >= LEVELS || !parsum_level_usable(level))
        return PARSUM_BAD_ARGUMENT;
    atomic_store_explicit(&current, level, memory_order_relaxed);
    return 0;
}

const kernel_table *parsum_kernels(void)
{
    return levels[parsum_level()];
}
