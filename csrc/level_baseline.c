/* The kernels for any CPU of the architecture: SSE2 on x86-64, NEON on arm64. */
#define PARSUM_VECTOR_BYTES 16
#if defined(__aarch64__)
#define LEVEL_NAME "neon"
#else
#define LEVEL_NAME "baseline"
#endif
#define LEVEL_TABLE parsum_kernels_baseline
#include "level_body.h"
