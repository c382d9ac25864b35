/* Sums and means of complex numbers as units, two states of the real operation side by side: for
 * walks that leave out a number if either of its parts is NaN. (Others take the parts as a last
 * axis of real numbers.) */
#include "exact.h"
#include "reductions.h"
#include "sum.h"

/* The row of the parts. */
static const parsum_reduction *part_row(const char *operation, const char *method, int part)
{
    return parsum_find(operation, method, part, part);
}

static int part_of_result(int type)
{
    return type == PARSUM_COMPLEX64    ? PARSUM_FLOAT32
           : type == PARSUM_COMPLEX128 ? PARSUM_FLOAT64
                                       : PARSUM_LONGDOUBLE;
}

static void identity_of(const parsum_reduction *part, void *state, double parameter)
{
    part->identity(state, parameter);
    part->identity((char *)state + part->state_size, parameter);
}

static void accumulate_of(const parsum_reduction *part, void *state, const char *data, size_t n,
                          ptrdiff_t stride)
{
    const size_t size = parsum_type_size[part->element];
    if (part->accumulate_columns && stride == (ptrdiff_t)(2 * size) &&
        (uintptr_t)data % size == 0) {
        part->accumulate_columns(state, data, n, stride, 2);
        return;
    }
    part->accumulate(state, data, n, stride);
    part->accumulate((char *)state + part->state_size, data + size, n, stride);
}

static void combine_of(const parsum_reduction *part, void *state, const void *other)
{
    part->combine(state, other);
    part->combine((char *)state + part->state_size, (const char *)other + part->state_size);
}

static int finish_of(const parsum_reduction *part, const void *state, int type, void *result)
{
    const int real = part_of_result(type);
    return part->finish(state, real, result) |
           part->finish((const char *)state + part->state_size, real,
                        (char *)result + parsum_type_size[real]);
}

static int valid_of(const parsum_reduction *part, const void *state)
{
    return parsum_state_valid(part, state) &&
           parsum_state_valid(part, (const char *)state + part->state_size);
}

static void clear_padding_of(const parsum_reduction *part, void *state)
{
    if (!part->clear_padding)
        return;
    part->clear_padding(state);
    part->clear_padding((char *)state + part->state_size);
}

/* A leaf of the fixed tree may be taken in by columns only up to a leaf at a time, which is how
 * walks and short calls take it in. */
#define PAIR(NAME, OPERATION, METHOD, PART)                                                        \
    static void identity_##NAME(void *state, double parameter)                                     \
    {                                                                                              \
        identity_of(part_row(OPERATION, METHOD, PART), state, parameter);                          \
    }                                                                                              \
    static void accumulate_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)       \
    {                                                                                              \
        accumulate_of(part_row(OPERATION, METHOD, PART), state, data, n, stride);                  \
    }                                                                                              \
    static void combine_##NAME(void *state, const void *other)                                     \
    {                                                                                              \
        combine_of(part_row(OPERATION, METHOD, PART), state, other);                               \
    }                                                                                              \
    static int finish_##NAME(const void *state, int type, void *result)                            \
    {                                                                                              \
        return finish_of(part_row(OPERATION, METHOD, PART), state, type, result);                  \
    }                                                                                              \
    static int valid_##NAME(const void *state)                                                     \
    {                                                                                              \
        return valid_of(part_row(OPERATION, METHOD, PART), state);                                 \
    }                                                                                              \
    static void clear_padding_##NAME(void *state)                                                  \
    {                                                                                              \
        clear_padding_of(part_row(OPERATION, METHOD, PART), state);                                \
    }

#define PAIRS(PART_NAME, PART)                                                                     \
    PAIR(sum_exact_##PART_NAME, "sum", "exact", PART)                                              \
    PAIR(sum_fast_##PART_NAME, "sum", "fast", PART)                                                \
    PAIR(mean_exact_##PART_NAME, "mean", "exact", PART)                                            \
    PAIR(mean_fast_##PART_NAME, "mean", "fast", PART)

PAIRS(f32, PARSUM_FLOAT32)
PAIRS(f64, PARSUM_FLOAT64)
PAIR(sum_exact_long, "sum", "exact", PARSUM_LONGDOUBLE)
PAIR(mean_exact_long, "mean", "exact", PARSUM_LONGDOUBLE)

#define PAIR_ROW(NAME, OPERATION, METHOD, ELEMENT, ORDERED, SIZE)                                  \
    {.operation = OPERATION,                                                                       \
     .method = METHOD,                                                                             \
     .element = ELEMENT,                                                                           \
     .results = BIT(PARSUM_COMPLEX64) | BIT(PARSUM_COMPLEX128) | BIT(PARSUM_CLONGDOUBLE),          \
     .ordered = ORDERED,                                                                           \
     .floating_exceptions = ORDERED,                                                               \
     .state_size = 2 * (SIZE),                                                                     \
     .identity = identity_##NAME,                                                                  \
     .accumulate = accumulate_##NAME,                                                              \
     .combine = combine_##NAME,                                                                    \
     .finish = finish_##NAME,                                                                      \
     .valid = valid_##NAME,                                                                        \
     .clear_padding = clear_padding_##NAME}
#define PAIR_ROWS(PART_NAME, ELEMENT)                                                              \
    PAIR_ROW(sum_exact_##PART_NAME, "sum", "exact", ELEMENT, 0, sizeof(exact_state)),              \
        PAIR_ROW(mean_exact_##PART_NAME, "mean", "exact", ELEMENT, 0, sizeof(exact_state)),        \
        PAIR_ROW(sum_fast_##PART_NAME, "sum", "fast", ELEMENT, 1, sizeof(fast_state)),             \
        PAIR_ROW(mean_fast_##PART_NAME, "mean", "fast", ELEMENT, 1, sizeof(fast_state))

const parsum_reduction parsum_pairs[] = {
    PAIR_ROWS(f32, PARSUM_COMPLEX64),
    PAIR_ROWS(f64, PARSUM_COMPLEX128),
    PAIR_ROW(sum_exact_long, "sum", NULL, PARSUM_CLONGDOUBLE, 1, sizeof(compensated_state)),
    PAIR_ROW(mean_exact_long, "mean", NULL, PARSUM_CLONGDOUBLE, 1, sizeof(compensated_state)),
    {.operation = NULL},
};
