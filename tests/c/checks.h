/* The checks, which the test program runs many times over and fuzzers run on choices of theirs. */
#ifndef TESTS_CHECKS_H
#define TESTS_CHECKS_H

#include "common.h"

/* One sum, mean, sum of magnitudes or of products at random: in one piece, and in states of random
 * parts, combined in random order; against the oracle of long integers. */
void check_one_sum(size_t most);
void check_sums(int scale);

/* Every row at every CPU level: results of all kinds of elements at lengths around those of
 * kernels, in one piece, with strides and in states that are combined. All levels must have the
 * same bits. Returns the digest of what is the same on all machines; prints it by operation. */
uint64_t check_rows(int scale);

/* One reduction of a strided view at random, which is guarded, against a plain loop. */
void check_one_view(const parsum_reduction *row);
void check_views(int scale);
/* Scans likewise; returns a digest as above. */
uint64_t check_scans(int scale);
/* Runs, columns and rows of every type that end or begin where nothing may be read. */
void check_bounds(int scale);

/* The first calls of a process, from several threads at once. */
void check_first_calls(void);
/* Jobs with several threads, which are cancelled, watched and run side by side. */
void check_threads(int scale);

#endif
