/* The states of sums that are not exact_state (exact.h), for those who put them side by side. */
#ifndef PARSUM_SUM_H
#define PARSUM_SUM_H

#include <stdint.h>

typedef struct {
    double sum;
    uint64_t count;
} fast_state;

typedef struct {
    long double sum, rest;
    uint64_t count, special; /* bits: an infinity came, a NaN came */
} compensated_state;

#endif
