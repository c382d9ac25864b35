/* Tests csrc without Python: check_csrc [CHECK...], or all of them. PARSUM_TEST_SCALE says how much
 * (0 for a slow machine, 1, or more for hours of it), PARSUM_CPU_LEVEL which level is the only one.
 * The digest of results is the same on every machine and at every scale. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "checks.h"

static uint64_t digest;

static void first(int scale)
{
    (void)scale;
    check_first_calls();
}

static void rows(int scale)
{
    digest += check_rows(scale);
}

static void scans(int scale)
{
    digest += check_scans(scale);
}

static const struct {
    const char *name;
    void (*check)(int scale);
} checks[] = {{"first", first}, /* of the process, so it comes first */
              {"sums", check_sums},   {"rows", rows},           {"scans", scans},
              {"views", check_views}, {"bounds", check_bounds}, {"threads", check_threads}};

static int is_wanted(const char *name, int count, char **wanted)
{
    for (int k = 1; k < count; k++)
        if (strcmp(wanted[k], name) == 0)
            return 1;
    return count < 2;
}

int main(int count, char **wanted)
{
    const char *scale = getenv("PARSUM_TEST_SCALE");
    int done = 0, levels = 0;
    watch_for_faults();
    for (int level = 0; level < parsum_levels(); level++)
        levels += is_level_wanted(level);
    if (levels == 0) {
        fprintf(stderr, "PARSUM_CPU_LEVEL must be a level that this CPU can run, got %s\n",
                getenv("PARSUM_CPU_LEVEL"));
        return 2;
    }
    for (size_t k = 0; k < sizeof checks / sizeof *checks; k++) {
        if (!is_wanted(checks[k].name, count, wanted))
            continue;
        const clock_t begin = clock();
        checks[k].check(scale ? atoi(scale) : 1);
        printf("%s: passed in %.1f s of CPU time\n", checks[k].name,
               (double)(clock() - begin) / CLOCKS_PER_SEC);
        fflush(stdout);
        done++;
    }
    if (done == 0 || (count > 1 && done != count - 1)) {
        fprintf(stderr, "checks are:");
        for (size_t k = 0; k < sizeof checks / sizeof *checks; k++)
            fprintf(stderr, " %s", checks[k].name);
        fprintf(stderr, "\n");
        return 2;
    }
    printf("%zu rows, digest %016" PRIx64 "\n", count_rows(), digest);
    return 0;
}
