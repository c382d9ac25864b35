/* A reduction as the rest of the C code sees it: the monoid's four functions and what the walker
 * needs to know to call them. */
#ifndef PARSUM_REDUCTIONS_H
#define PARSUM_REDUCTIONS_H

#include "parsum.h"

#define STATE_ALIGNMENT 16
#define ELEMENT_MAX 16 /* bytes of the largest element */

struct parsum_reduction {
    const char *operation, *method;
    int element;
    unsigned results; /* a bit for each result type that finish can write */
    int ordered;
    int floating_exceptions; /* overflow and invalid show in the floating-point environment alone */
    size_t state_size;
    unsigned char neutral[ELEMENT_MAX]; /* an element that changes no state that has seen others */

    void (*identity)(void *state);
    /* The same for a state that was in use, which may keep hints for the next; NULL for identity.
     */
    void (*restart)(void *state);
    void (*accumulate)(void *state, const void *data, size_t n, ptrdiff_t stride);
    /* Column j, at data + j * element size, into state number j; NULL to do it one by one. */
    void (*accumulate_columns)(void *states, const void *data, size_t rows, ptrdiff_t row_stride,
                               size_t columns);
    /* Whole columns of at most SHORT_ROWS rows, or whole rows of at most ROW_MAX elements, without
     * states, to one result after the other; NULL if there is no such short cut. */
    int (*reduce_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                          int type, char *result);
    int (*reduce_rows)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n, int type,
                       char *result);
    void (*combine)(void *state, const void *other);
    int (*finish)(const void *state, int type, void *result);
};

/* Most rows that reduce_columns takes. */
#define SHORT_ROWS 512

extern const size_t parsum_type_size[PARSUM_TYPES];

/* The tables of the modules that define reductions; each ends with a row without an operation. */
extern const parsum_reduction parsum_sums[];

#endif
