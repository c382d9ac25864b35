/* The least and the greatest of complex numbers at once: the states of both side by side. */
#include "reductions.h"

/* Room for the state of either; parsum_find gives rows whose state_size is no larger. */
#define END_SIZE 48

static const parsum_reduction *end_row(const char *operation, int element)
{
    return parsum_find(operation, "exact", element, element);
}

static void *greatest(void *state)
{
    return (char *)state + END_SIZE;
}

static const void *greatest_of(const void *state)
{
    return (const char *)state + END_SIZE;
}

#define BOTH(NAME, ELEMENT)                                                                        \
    static void identity_##NAME(void *state, double parameter)                                     \
    {                                                                                              \
        end_row("min", ELEMENT)->identity(state, parameter);                                       \
        end_row("max", ELEMENT)->identity(greatest(state), parameter);                             \
    }                                                                                              \
    static void accumulate_##NAME(void *state, const void *data, size_t n, ptrdiff_t stride)       \
    {                                                                                              \
        /* Blocks, which the second finds in cache. */                                             \
        const parsum_reduction *min = end_row("min", ELEMENT), *max = end_row("max", ELEMENT);     \
        const char *p = data;                                                                      \
        while (n) {                                                                                \
            const size_t count = n < 1024 ? n : 1024;                                              \
            min->accumulate(state, p, count, stride);                                              \
            max->accumulate(greatest(state), p, count, stride);                                    \
            p += (ptrdiff_t)count * stride;                                                        \
            n -= count;                                                                            \
        }                                                                                          \
    }                                                                                              \
    static void combine_##NAME(void *state, const void *other)                                     \
    {                                                                                              \
        end_row("min", ELEMENT)->combine(state, other);                                            \
        end_row("max", ELEMENT)->combine(greatest(state), greatest_of(other));                     \
    }                                                                                              \
    static int finish_##NAME(const void *state, int type, void *result)                            \
    {                                                                                              \
        char *second = (char *)result + parsum_type_size[type];                                    \
        return end_row("min", ELEMENT)->finish(state, type, result) |                              \
               end_row("max", ELEMENT)->finish(greatest_of(state), type, second);                  \
    }                                                                                              \
    static int valid_##NAME(const void *state)                                                     \
    {                                                                                              \
        return parsum_state_valid(end_row("min", ELEMENT), state) &&                               \
               parsum_state_valid(end_row("max", ELEMENT), greatest_of(state));                    \
    }                                                                                              \
    static void clear_padding_##NAME(void *state)                                                  \
    {                                                                                              \
        const parsum_reduction *end = end_row("min", ELEMENT);                                     \
        if (end->clear_padding) {                                                                  \
            end->clear_padding(state);                                                             \
            end->clear_padding(greatest(state));                                                   \
        }                                                                                          \
    }

BOTH(c64, PARSUM_COMPLEX64)
BOTH(c128, PARSUM_COMPLEX128)
BOTH(clong, PARSUM_CLONGDOUBLE)

#define ROW(NAME, ELEMENT)                                                                         \
    {                                                                                              \
        .operation = "minmax",                                                                     \
        .element = ELEMENT,                                                                        \
        .results = BIT(ELEMENT),                                                                   \
        .values = 2,                                                                               \
        .state_size = 2 * END_SIZE,                                                                \
        .identity = identity_##NAME,                                                               \
        .accumulate = accumulate_##NAME,                                                           \
        .combine = combine_##NAME,                                                                 \
        .finish = finish_##NAME,                                                                   \
        .valid = valid_##NAME,                                                                     \
        .clear_padding = clear_padding_##NAME,                                                     \
    }

const parsum_reduction parsum_both_ends[] = {
    ROW(c64, PARSUM_COMPLEX64),
    ROW(c128, PARSUM_COMPLEX128),
    ROW(clong, PARSUM_CLONGDOUBLE),
    {.operation = NULL},
};
