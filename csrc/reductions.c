/* The public face of the monoid: finds reductions and calls their four functions. */
#include "reductions.h"

#include <string.h>

#include "dispatch.h"
#include "kernels.h"

const size_t parsum_type_size[PARSUM_TYPES] = {
    [PARSUM_BOOL] = 1,
    [PARSUM_INT8] = 1,
    [PARSUM_UINT8] = 1,
    [PARSUM_INT16] = 2,
    [PARSUM_UINT16] = 2,
    [PARSUM_INT32] = 4,
    [PARSUM_UINT32] = 4,
    [PARSUM_INT64] = 8,
    [PARSUM_UINT64] = 8,
    [PARSUM_FLOAT16] = 2,
    [PARSUM_FLOAT32] = 4,
    [PARSUM_FLOAT64] = 8,
    [PARSUM_LONGDOUBLE] = sizeof(long double),
    [PARSUM_TIME] = 8,
    [PARSUM_COMPLEX64] = 8,
    [PARSUM_COMPLEX128] = 16,
    [PARSUM_CLONGDOUBLE] = 2 * sizeof(long double),
};

/* clang-format off */
const parsum_reduction *const parsum_tables[] = {
    parsum_sums,
    parsum_powers,
    parsum_logic,
    parsum_products,
    parsum_long_products,
    parsum_integer_products,
    parsum_weighted_means,
    parsum_prods,
    parsum_wide_prods,
    parsum_both_ends,
    parsum_pairs,
    parsum_descriptions,
    parsum_order,
    parsum_order_of_parts,
    parsum_integer_prods,
    NULL,
};
/* clang-format on */

const parsum_reduction *parsum_find(const char *operation, const char *method, int element,
                                    int result)
{
    if (result < 0 || result >= PARSUM_TYPES)
        return NULL;
    for (const parsum_reduction *const *table = parsum_tables; *table; table++)
        for (const parsum_reduction *row = *table; row->operation; row++)
            if (row->element == element && (row->results >> result & 1) &&
                strcmp(row->operation, operation) == 0 &&
                (!row->method || strcmp(row->method, method) == 0))
                return row;
    return NULL;
}

size_t parsum_state_size(const parsum_reduction *reduction)
{
    return reduction->state_size;
}

void parsum_identity(const parsum_reduction *reduction, double parameter, void *state)
{
    if (reduction->identity_of)
        reduction->identity_of(reduction, state, parameter);
    else
        reduction->identity(state, parameter);
}

void parsum_accumulate(const parsum_reduction *reduction, void *state, const void *data, size_t n,
                       ptrdiff_t stride)
{
    environment outer = enter_environment();
    reduction->accumulate(state, data, n, stride);
    leave_environment(&outer);
}

void parsum_accumulate_pairs(const parsum_reduction *reduction, void *state, const void *a,
                             const void *b, size_t n, ptrdiff_t a_stride, ptrdiff_t b_stride)
{
    environment outer = enter_environment();
    reduction->accumulate_pairs(state, a, b, n, a_stride, b_stride);
    leave_environment(&outer);
}

void parsum_combine(const parsum_reduction *reduction, void *state, const void *other)
{
    environment outer = enter_environment();
    reduction->combine(state, other);
    leave_environment(&outer);
}

int parsum_finish(const parsum_reduction *reduction, const void *state, int type, void *result)
{
    environment outer = enter_environment();
    int flags = reduction->finish(state, type, result);
    leave_environment(&outer);
    return flags;
}

void parsum_identities(const parsum_reduction *reduction, double parameter, void *states, size_t n)
{
    for (size_t k = 0; k < n; k++)
        parsum_identity(reduction, parameter, (char *)states + k * reduction->state_size);
}

int parsum_valid_all(const parsum_reduction *reduction, const void *states, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (!parsum_state_valid(reduction, (const char *)states + k * reduction->state_size))
            return 0;
    return 1;
}

void parsum_copy_all(const parsum_reduction *reduction, double parameter, void *states,
                     const void *others, size_t n)
{
    for (size_t k = 0; k < n; k++)
        parsum_state_copy(reduction, parameter, (char *)states + k * reduction->state_size,
                          (const char *)others + k * reduction->state_size);
}

int parsum_combine_all(const parsum_reduction *reduction, void *states, const void *others,
                       size_t n)
{
    environment outer = enter_environment();
    for (size_t k = 0; k < n; k++)
        reduction->combine((char *)states + k * reduction->state_size,
                           (const char *)others + k * reduction->state_size);
    return parsum_flags_of(reduction, leave_environment(&outer));
}

int parsum_finish_all(const parsum_reduction *reduction, const void *states, size_t n, int type,
                      void *results)
{
    const size_t size = parsum_type_size[type] * (size_t)parsum_values(reduction);
    int flags = 0;
    environment outer = enter_environment();
    for (size_t k = 0; k < n; k++)
        flags |= reduction->finish((const char *)states + k * reduction->state_size, type,
                                   (char *)results + k * size);
    return flags | parsum_flags_of(reduction, leave_environment(&outer));
}

void parsum_place(const parsum_reduction *reduction, void *states, size_t n, int64_t number)
{
    for (size_t k = 0; reduction->place && k < n; k++)
        reduction->place((char *)states + k * reduction->state_size, number, 1);
}

void parsum_shift(const parsum_reduction *reduction, void *states, size_t n, int64_t by)
{
    for (size_t k = 0; reduction->shift && k < n; k++)
        reduction->shift((char *)states + k * reduction->state_size, by);
}

int parsum_element(const parsum_reduction *reduction)
{
    return reduction->element;
}

int parsum_state_valid(const parsum_reduction *reduction, const void *state)
{
    return !reduction->valid || reduction->valid(state);
}

void parsum_state_copy(const parsum_reduction *reduction, double parameter, void *state,
                       const void *other)
{
    memset(state, 0, reduction->state_size);
    parsum_identity(reduction, parameter, state);
    parsum_combine(reduction, state, other);
    if (reduction->place && !reduction->identity_of) {
        int64_t next[2]; /* which combine leaves as they are */
        memcpy(next, other, sizeof next);
        reduction->place(state, next[0], next[1]);
    }
    if (reduction->clear_padding)
        reduction->clear_padding(state);
}

int parsum_values(const parsum_reduction *reduction)
{
    return reduction->values ? reduction->values : 1;
}

int parsum_flags_of(const parsum_reduction *reduction, int raised)
{
    if (!reduction->floating_exceptions)
        return 0;
    return (raised & FE_OVERFLOW ? PARSUM_OVERFLOW : 0) |
           (raised & FE_INVALID ? PARSUM_INVALID : 0);
}

int parsum_is_ordered(const parsum_reduction *reduction)
{
    return reduction->ordered;
}

int parsum_flags_jobs(const parsum_reduction *reduction)
{
    return reduction->floating_exceptions;
}

size_t parsum_leaf(void)
{
    return LEAF;
}

/* Elements of one array, or of two; b is NULL for one. */
static void accumulate(const parsum_reduction *reduction, void *state, const char *a, const char *b,
                       size_t n)
{
    const ptrdiff_t item = (ptrdiff_t)parsum_type_size[reduction->element];
    if (b)
        reduction->accumulate_pairs(state, a, b, n, item, item);
    else
        reduction->accumulate(state, a, n, item);
}

enum { LEVELS = 48, NODE = 256 };

/* The canonical tree on the stack: node k holds a complete subtree of 2^k leaves. */
static void reduce_leaves(const parsum_reduction *reduction, double parameter, const char *a,
                          const char *b, size_t n, void *state)
{
    _Alignas(STATE_ALIGNMENT) char nodes[LEVELS][NODE];
    const size_t item = parsum_type_size[reduction->element];
    size_t leaves = 0;
    while (n) {
        size_t count = n < LEAF ? n : LEAF;
        parsum_identity(reduction, parameter, state);
        accumulate(reduction, state, a, b, count);
        int level = 0;
        for (; leaves >> level & 1; level++) {
            reduction->combine(nodes[level], state);
            memcpy(state, nodes[level], reduction->state_size);
        }
        memcpy(nodes[level], state, reduction->state_size);
        leaves++;
        a += count * item;
        b = b ? b + count * item : NULL;
        n -= count;
    }
    /* From the least subtree up, which comes last. */
    int first = 1;
    for (int level = 0; level < LEVELS && leaves >> level; level++) {
        if (!(leaves >> level & 1))
            continue;
        if (!first)
            reduction->combine(nodes[level], state);
        memcpy(state, nodes[level], reduction->state_size);
        first = 0;
    }
}

int parsum_fits_stack(const parsum_reduction *reduction)
{
    return reduction->state_size <= (reduction->ordered ? NODE : STATE_MAX);
}

/* What the callers below have in common: the state of n elements. */
static void take_in(const parsum_reduction *reduction, double parameter, const void *a,
                    const void *b, size_t n, void *state)
{
    parsum_identity(reduction, parameter, state);
    if (n && reduction->ordered)
        reduce_leaves(reduction, parameter, a, b, n, state);
    else if (n)
        accumulate(reduction, state, a, b, n);
}

static int refuses(const parsum_reduction *reduction, const void *b)
{
    return (b != NULL) != (reduction->accumulate_pairs != NULL) || !parsum_fits_stack(reduction);
}

int parsum_state_of(const parsum_reduction *reduction, double parameter, const void *a,
                    const void *b, size_t n, void *state)
{
    if (refuses(reduction, b))
        return PARSUM_BAD_ARGUMENT;
    environment outer = enter_environment();
    take_in(reduction, parameter, a, b, n, state);
    return parsum_flags_of(reduction, leave_environment(&outer));
}

int parsum_reduce_two(const parsum_reduction *reduction, double parameter, const void *a,
                      const void *b, size_t n, int type, void *result)
{
    _Alignas(STATE_ALIGNMENT) char state[STATE_MAX];
    if (refuses(reduction, b))
        return PARSUM_BAD_ARGUMENT;
    environment outer = enter_environment();
    take_in(reduction, parameter, a, b, n, state);
    int flags = reduction->finish(state, type, result);
    return flags | parsum_flags_of(reduction, leave_environment(&outer));
}

int parsum_reduce(const parsum_reduction *reduction, double parameter, const void *data, size_t n,
                  int type, void *result)
{
    return parsum_reduce_two(reduction, parameter, data, NULL, n, type, result);
}

int parsum_reduce_pairs(const parsum_reduction *reduction, double parameter, const void *data,
                        size_t n, int type, void *result)
{
    _Alignas(STATE_ALIGNMENT) char states[2 * STATE_MAX];
    const size_t item = parsum_type_size[reduction->element];
    char *second = states + reduction->state_size;
    if (reduction->ordered || !reduction->accumulate_columns || (uintptr_t)data % item)
        return PARSUM_BAD_ARGUMENT;
    environment outer = enter_environment();
    reduction->identity(states, parameter);
    reduction->identity(second, parameter);
    reduction->accumulate_columns(states, data, n, (ptrdiff_t)(2 * item), 2);
    int flags = reduction->finish(states, type, result);
    flags |= reduction->finish(second, type, (char *)result + parsum_type_size[type]);
    leave_environment(&outer);
    return flags;
}

double parsum_reduce_float64(const parsum_reduction *reduction, const void *a, const void *b,
                             size_t n)
{
    double result;
    parsum_reduce_two(reduction, 0, a, b, n, PARSUM_FLOAT64, &result);
    return result;
}
