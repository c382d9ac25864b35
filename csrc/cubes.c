/* Exact sums of third and fourth powers: integers in bins, one for each sign and exponent, which
 * are passed on to superaccumulators. */
#include "cubes.h"

#include <string.h>

#include "exact.h"
#include "states.h"

/* An element is m * 2^place with an integer m below 2^53. m^2 = low + high * 2^53, both below 2^53,
 * so that
 *   m^3 = low m + high m 2^53
 *   m^4 = low^2 + 2 low high 2^53 + high^2 2^106
 * are sums of products below 2^106. A bin takes 2^20 of each: they stay below 2^126. Elements of
 * different sign or exponent have different bins, so nothing is shifted before a bin is emptied.
 *
 * There are bins for 2^BIN_BITS neighbouring exponents; one that is wanted for another exponent is
 * emptied first. Elements far apart in turn make that slow, but never wrong. */
enum { LOW_CUBE, HIGH_CUBE, LOW_FOURTH, MIDDLE_FOURTH, HIGH_FOURTH, PARTS };
#define PART_BITS 53
#define BIN_BITS 7
#define FEW_BIN_BITS 3 /* looking through all of them takes longer than some elements do */
#define FEW 16
#define BIN_ADDS ((size_t)1 << 20)
#define NO_EXPONENT UINT16_MAX /* of a bin that is empty */
#define SPECIAL 0x7ff          /* of infinities and NaN, which go to no bin */

typedef struct {
    uint128 part[PARTS];
} power_bin;

typedef struct {
    cube_sums *sums;
    unsigned bits;
    int narrow; /* m is below 2^24, all of it in `low`: m^3 and m^4 are one product each */
    uint16_t exponent[2 << BIN_BITS];
    power_bin bin[2 << BIN_BITS];
} power_bins;

/* A bin's parts add less than 5 * 2^32 to a limb; 2^27 of them stay below 2^62. */
#define LIMB_ADDS (1 << 27)

void parsum_cubes_identity(cube_sums *sums)
{
    sums->adds = 0;
    sums->is_used = 0;
}

static void pass_carries(int64_t *limb, int count)
{
    int64_t carry = 0;
    for (int i = 0; i < count - 1; i++) {
        const int64_t value = limb[i] + carry;
        limb[i] = value & 0xffffffff;
        carry = value >> 32;
    }
    limb[count - 1] = wrapping_sum(limb[count - 1], carry);
}

static void pass_all_carries(cube_sums *sums)
{
    pass_carries(sums->cube, CUBE_LIMBS);
    pass_carries(sums->fourth, FOURTH_LIMBS);
    sums->adds = 1;
}

static void reserve(cube_sums *sums, int32_t adds)
{
    if (!sums->is_used) {
        memset(sums->cube, 0, sizeof sums->cube);
        memset(sums->fourth, 0, sizeof sums->fourth);
        sums->is_used = 1;
        sums->adds = 0;
    }
    if (sums->adds > LIMB_ADDS - adds)
        pass_all_carries(sums);
    sums->adds += adds;
}

void parsum_cubes_combine(cube_sums *sums, const cube_sums *other)
{
    if (!other->is_used)
        return;
    if (!sums->is_used) {
        memcpy(sums, other, sizeof *sums);
        return;
    }
    reserve(sums, other->adds + 1);
    for (int i = 0; i < CUBE_LIMBS; i++)
        sums->cube[i] = wrapping_sum(sums->cube[i], other->cube[i]);
    for (int i = 0; i < FOURTH_LIMBS; i++)
        sums->fourth[i] = wrapping_sum(sums->fourth[i], other->fourth[i]);
    if (sums->adds > LIMB_ADDS)
        pass_all_carries(sums);
}

int parsum_cubes_valid(const cube_sums *sums)
{
    if (!sums->is_used)
        return 1;
    if (sums->is_used != 1 || sums->adds < 0 || sums->adds > LIMB_ADDS)
        return 0;
    const int64_t most = (int64_t)sums->adds * 5 << 32;
    return limbs_are_valid(sums->cube, CUBE_LIMBS, most) &&
           limbs_are_valid(sums->fourth, FOURTH_LIMBS, most);
}

static void add_cube(cube_sums *sums, uint128 value, int negative, unsigned position)
{
    parsum_limbs_add(sums->cube, CUBE_LIMBS, negative ? -(int128)value : (int128)value, position);
}

static void add_fourth(cube_sums *sums, uint128 value, unsigned position)
{
    parsum_limbs_add(sums->fourth, FOURTH_LIMBS, (int128)value, position);
}

/* Bits that are zero below the significand of a narrow element. */
#define NARROW_SHIFT 29

static void empty_bin(power_bins *bins, unsigned k)
{
    cube_sums *sums = bins->sums;
    const uint128 *part = bins->bin[k].part;
    const unsigned exponent = bins->exponent[k];
    const unsigned place = exponent - (exponent != 0) + (bins->narrow ? NARROW_SHIFT : 0);
    const int negative = (int)(k >> bins->bits);
    if (exponent == NO_EXPONENT)
        return;
    reserve(sums, 1);
    add_cube(sums, part[LOW_CUBE], negative, 3 * place);
    add_fourth(sums, part[LOW_FOURTH], 4 * place);
    if (!bins->narrow) {
        add_cube(sums, part[HIGH_CUBE], negative, 3 * place + PART_BITS);
        add_fourth(sums, part[MIDDLE_FOURTH], 4 * place + PART_BITS + 1);
        add_fourth(sums, part[HIGH_FOURTH], 4 * place + 2 * PART_BITS);
    }
    bins->exponent[k] = NO_EXPONENT;
}

static void empty_bins(power_bins *bins)
{
    for (unsigned k = 0; k < 2u << bins->bits; k++)
        empty_bin(bins, k);
}

static void clear_bins(power_bins *bins, cube_sums *sums, size_t n, int narrow)
{
    bins->sums = sums;
    bins->bits = n < FEW ? FEW_BIN_BITS : BIN_BITS;
    bins->narrow = narrow;
    for (unsigned k = 0; k < 2u << bins->bits; k++)
        bins->exponent[k] = NO_EXPONENT;
}

static inline unsigned bin_of(const power_bins *bins, uint64_t bits)
{
    return (unsigned)(bits >> 63 << bins->bits | (bits >> 52 & ((1u << bins->bits) - 1)));
}

/* Makes the bin the exponent's own; zero if there is none for it. */
static __attribute__((noinline)) int take_bin(power_bins *bins, unsigned k, unsigned exponent)
{
    if (exponent == SPECIAL)
        return 0;
    empty_bin(bins, k);
    bins->exponent[k] = (uint16_t)exponent;
    memset(&bins->bin[k], 0, sizeof bins->bin[k]);
    return 1;
}

static void add_block(power_bins *bins, const double *data, size_t n)
{
    const uint64_t fraction = (UINT64_C(1) << 52) - 1, part_mask = (UINT64_C(1) << PART_BITS) - 1;
    for (size_t i = 0; i < n; i++) {
        const uint64_t bits = bits_of(data[i]);
        const unsigned exponent = bits >> 52 & 0x7ff, k = bin_of(bins, bits);
        const uint64_t m = (bits & fraction) | (uint64_t)(exponent != 0) << 52;
        if (bins->exponent[k] != exponent)
            if (!take_bin(bins, k, exponent))
                continue;
        uint128 *part = bins->bin[k].part;
        const uint128 square = (uint128)m * m;
        const uint64_t low = (uint64_t)square & part_mask;
        /* in halves, lest compilers take it for a number of 128 bits */
        const uint64_t high =
            (uint64_t)(square >> 64) << (64 - PART_BITS) | (uint64_t)square >> PART_BITS;
        part[LOW_CUBE] += (uint128)low * m;
        part[HIGH_CUBE] += (uint128)high * m;
        part[LOW_FOURTH] += (uint128)low * low;
        part[MIDDLE_FOURTH] += (uint128)low * high;
        part[HIGH_FOURTH] += (uint128)high * high;
    }
}

/* Zeros apart, narrow elements are normal doubles. */
static void add_narrow_block(power_bins *bins, const double *data, size_t n)
{
    const uint64_t fraction = (UINT64_C(1) << 52) - 1;
    for (size_t i = 0; i < n; i++) {
        const uint64_t bits = bits_of(data[i]);
        const unsigned exponent = bits >> 52 & 0x7ff, k = bin_of(bins, bits);
        const uint64_t m = ((bits & fraction) | (uint64_t)(exponent != 0) << 52) >> NARROW_SHIFT;
        if (bins->exponent[k] != exponent)
            if (!take_bin(bins, k, exponent))
                continue;
        uint128 *part = bins->bin[k].part;
        const uint64_t square = m * m;
        part[LOW_CUBE] += (uint128)square * m;
        part[LOW_FOURTH] += (uint128)square * square;
    }
}

static void add(cube_sums *sums, const double *data, size_t n, int narrow)
{
    power_bins bins;
    clear_bins(&bins, sums, n, narrow);
    while (n) {
        const size_t count = n < BIN_ADDS ? n : BIN_ADDS;
        if (narrow)
            add_narrow_block(&bins, data, count);
        else
            add_block(&bins, data, count);
        empty_bins(&bins);
        data += count;
        n -= count;
    }
}

void parsum_cubes_add(cube_sums *sums, const double *data, size_t n)
{
    add(sums, data, n, 0);
}

void parsum_cubes_add_narrow(cube_sums *sums, const double *data, size_t n)
{
    add(sums, data, n, 1);
}

void parsum_cubes_value(const cube_sums *sums, big *cubes, big *fourths)
{
    if (!sums->is_used) {
        big_from_uint64(0, cubes);
        big_from_uint64(0, fourths);
        return;
    }
    big_from_limbs(sums->cube, CUBE_LIMBS, CUBE_EXPONENT, cubes);
    big_from_limbs(sums->fourth, FOURTH_LIMBS, FOURTH_EXPONENT, fourths);
}
