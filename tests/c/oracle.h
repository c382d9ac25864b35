/* An oracle of exact sums: integers so long that every double, and every product of two, is a whole
 * number of them. It has nothing of the library but the types' names. */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <stdint.h>

/* Two's complement, the least limb first; bit 0 weighs 2^-2148. The largest product of doubles
 * ends at bit 4196, 2^64 of them at bit 4260. */
enum { ORACLE_LIMBS = 68, ORACLE_POINT = 2148 };

typedef struct {
    uint64_t limb[ORACLE_LIMBS];
    int nan, plus_infinity, minus_infinity;
    int seen, not_minus_zero;
} oracle;

void oracle_clear(oracle *sum);
void oracle_add(oracle *sum, double value);
void oracle_add_product(oracle *sum, double a, double b);
/* The bits of the sum, divided by `count` if that is not 0, rounded once to a binary format of so
 * many bits of fraction and exponent: half to even, NaN as the quiet one that is positive. */
uint64_t oracle_round(const oracle *sum, uint64_t count, int fraction, int exponent);

#endif
