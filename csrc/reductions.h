/* A reduction as the rest of the C code sees it: the monoid's four functions and what the walker
 * needs to know to call them. */
#ifndef PARSUM_REDUCTIONS_H
#define PARSUM_REDUCTIONS_H

#include "exact.h"
#include "parsum.h"

#define STATE_ALIGNMENT 16
#define STATE_MAX 8192 /* bytes of the largest state */
#define ELEMENT_MAX 32 /* bytes of the largest element */

struct parsum_reduction {
    const char *operation;
    const char *method; /* NULL if all methods are alike */
    int element;
    unsigned results; /* a bit for each result type that finish can write */
    int values;       /* how many finish writes, one after the other */
    int takes_result; /* finish finds parameters of its own where the result goes */
    int ordered;
    int floating_exceptions; /* overflow and invalid show in the floating-point environment alone */
    size_t state_size;

    void (*identity)(void *state, double parameter);
    /* The same for a product of reductions, whose states begin with a pointer to it; NULL for all
     * else. Call parsum_identity, which knows. */
    void (*identity_of)(const parsum_reduction *reduction, void *state, double parameter);
    /* identity for a state that was in use, which may keep hints for the next; NULL for identity.
     */
    void (*restart)(void *state, double parameter);
    /* Tells a state the number of the next element and what a step adds to it; from then on it
     * counts by itself. NULL unless the place of elements matters; an identity begins at 0, in
     * steps of 1. A state that has it begins with both numbers, int64_t each. */
    void (*place)(void *state, int64_t number, int64_t step);
    /* Adds to the numbers that a state has kept: those of elements that came after others. NULL
     * unless there is `place`. */
    void (*shift)(void *state, int64_t by);
    /* Whether no further element can change the result; NULL for never. */
    int (*settled)(const void *state);
    /* Any stride, any alignment. An element's byte order is the machine's. */
    void (*accumulate)(void *state, const void *data, size_t n, ptrdiff_t stride);
    /* Column j, at data + j * element size, into state number j; aligned; NULL to do it one by one.
     */
    void (*accumulate_columns)(void *states, const void *data, size_t rows, ptrdiff_t row_stride,
                               size_t columns);
    /* The same for operations on two arrays, which have no other. */
    void (*accumulate_pairs)(void *state, const void *a, const void *b, size_t n,
                             ptrdiff_t a_stride, ptrdiff_t b_stride);
    void (*accumulate_pair_columns)(void *states, const void *a, const void *b, size_t rows,
                                    ptrdiff_t a_row_stride, ptrdiff_t b_row_stride, size_t columns);
    /* Whole columns of at most SHORT_ROWS rows, or whole rows of at most ROW_MAX elements, without
     * states, to one result after the other; NULL if there is no such short cut. */
    int (*reduce_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                          double parameter, int type, char *result);
    int (*reduce_rows)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,
                       double parameter, int type, char *result);
    int (*reduce_pair_columns)(const void *a, const void *b, size_t rows, ptrdiff_t a_row_stride,
                               ptrdiff_t b_row_stride, size_t columns, int type, char *result);
    int (*reduce_pair_rows)(const void *a, const void *b, size_t rows, ptrdiff_t a_row_stride,
                            ptrdiff_t b_row_stride, size_t n, int type, char *result);
    void (*combine)(void *state, const void *other);
    int (*finish)(const void *state, int type, void *result);
    /* Whether any bytes of state_size are a state that the other functions can be called with:
     * every index, exponent, count and flag in it is within its bounds, and integers are so small
     * that they cannot overflow. What is not initialised before it is needed is not looked at.
     * NULL if all bytes are: sums modulo 2^64 or 2^128, and doubles that are added only. */
    int (*valid)(const void *state);
    /* Clears bytes that belong to no value, which copying a value may fill with anything; NULL if
     * there are none but what nothing is ever written to. */
    void (*clear_padding)(void *state);
};

/* Most rows that reduce_columns takes. */
#define SHORT_ROWS 512

#define BIT(type) (1u << (type))
#define FLOATS                                                                                     \
    (BIT(PARSUM_FLOAT16) | BIT(PARSUM_FLOAT32) | BIT(PARSUM_FLOAT64) | BIT(PARSUM_LONGDOUBLE))
#define INTEGERS                                                                                   \
    (BIT(PARSUM_BOOL) | BIT(PARSUM_INT8) | BIT(PARSUM_UINT8) | BIT(PARSUM_INT16) |                 \
     BIT(PARSUM_UINT16) | BIT(PARSUM_INT32) | BIT(PARSUM_UINT32) | BIT(PARSUM_INT64) |             \
     BIT(PARSUM_UINT64))

extern const size_t parsum_type_size[PARSUM_TYPES];

/* Writes the low bits of an integer; returns PARSUM_OVERFLOW unless they are all of it. */
int parsum_store_integer(int128 value, int type, void *result);

/* What floating-point exceptions (fenv.h) say of a reduction, if they say anything. */
int parsum_flags_of(const parsum_reduction *reduction, int raised);

/* The tables of the modules that define reductions; each ends with a row without an operation. */
extern const parsum_reduction parsum_sums[];
extern const parsum_reduction parsum_pairs[];
extern const parsum_reduction parsum_powers[];
extern const parsum_reduction parsum_logic[];
extern const parsum_reduction parsum_products[];
extern const parsum_reduction parsum_wide_prods[];
extern const parsum_reduction parsum_both_ends[];
extern const parsum_reduction parsum_long_products[];
extern const parsum_reduction parsum_integer_products[];
extern const parsum_reduction parsum_weighted_means[];
extern const parsum_reduction parsum_descriptions[];
extern const parsum_reduction parsum_prods[];
extern const parsum_reduction parsum_order[];
extern const parsum_reduction parsum_order_of_parts[];
extern const parsum_reduction parsum_integer_prods[];
/* All of them, and NULL. */
extern const parsum_reduction *const parsum_tables[];

#endif
