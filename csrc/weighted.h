/* How two exact sums end as a weighted mean, whatever elements they are of. */
#ifndef PARSUM_WEIGHTED_H
#define PARSUM_WEIGHTED_H

#include "rational.h"

#pragma GCC visibility push(hidden)

/* Writes products / weights and weights, each rounded once. If the weights sum to zero, the mean is
 * NaN, and the flag is PARSUM_DIVIDE whatever the products are. */
int parsum_finish_weighted(const big *products, const big *weights, int type, void *result);

#pragma GCC visibility pop

#endif
