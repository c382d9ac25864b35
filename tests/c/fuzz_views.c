/* libFuzzer: reductions of strided views that the input chooses, against plain loops, in memory
 * with guards. */
#include "checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static size_t wanted, passed;

static void check_wanted(const parsum_reduction *row)
{
    if (passed++ == wanted)
        check_one_view(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    choose_from(bytes, n);
    use_level((int)choose((size_t)parsum_levels()));
    wanted = choose(count_rows());
    passed = 0;
    for_each_row(check_wanted);
    return 0;
}
