/* libFuzzer: exact sums, means and products of elements, parts and orders that the input chooses,
 * against the oracle of long integers. */
#include "checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    choose_from(bytes, n);
    use_level((int)choose((size_t)parsum_levels()));
    check_one_sum(3000);
    return 0;
}
