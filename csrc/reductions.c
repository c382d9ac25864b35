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
    [PARSUM_TIMEDELTA] = 8,
};

const parsum_reduction *parsum_find(const char *operation, const char *method, int element,
                                    int result)
{
    if (result < 0 || result >= PARSUM_TYPES)
        return NULL;
    for (const parsum_reduction *row = parsum_sums; row->operation; row++)
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

void parsum_identity(const parsum_reduction *reduction, void *state)
{
    reduction->identity(state);
}

void parsum_accumulate(const parsum_reduction *reduction, void *state, const void *data, size_t n,
                       ptrdiff_t stride)
{
    environment outer = enter_environment();
    reduction->accumulate(state, data, n, stride);
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

int parsum_is_ordered(const parsum_reduction *reduction)
{
    return reduction->ordered;
}

size_t parsum_leaf(void)
{
    return LEAF;
}

/* The canonical tree on the stack: node k holds a complete subtree of 2^k leaves. */
static void reduce_leaves(const parsum_reduction *reduction, const char *data, size_t n,
                          void *state)
{
    enum { LEVELS = 48, SIZE = 64 };
    _Alignas(STATE_ALIGNMENT) char nodes[LEVELS][SIZE];
    const size_t item = parsum_type_size[reduction->element];
    size_t leaves = 0;
    while (n) {
        size_t count = n < LEAF ? n : LEAF;
        reduction->identity(state);
        reduction->accumulate(state, data, count, (ptrdiff_t)item);
        int level = 0;
        for (; leaves >> level & 1; level++) {
            reduction->combine(nodes[level], state);
            memcpy(state, nodes[level], reduction->state_size);
        }
        memcpy(nodes[level], state, reduction->state_size);
        leaves++;
        data += count * item;
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

int parsum_reduce(const parsum_reduction *reduction, const void *data, size_t n, int type,
                  void *result)
{
    _Alignas(STATE_ALIGNMENT) char state[1024];
    environment outer = enter_environment();
    reduction->identity(state);
    if (n) {
        if (reduction->ordered)
            reduce_leaves(reduction, data, n, state);
        else
            reduction->accumulate(state, data, n, (ptrdiff_t)parsum_type_size[reduction->element]);
    }
    int flags = reduction->finish(state, type, result);
    int raised = leave_environment(&outer);
    if (reduction->floating_exceptions) {
        flags |= raised & FE_OVERFLOW ? PARSUM_OVERFLOW : 0;
        flags |= raised & FE_INVALID ? PARSUM_INVALID : 0;
    }
    return flags;
}

int parsum_reduce_pairs(const parsum_reduction *reduction, const void *data, size_t n, int type,
                        void *result)
{
    _Alignas(STATE_ALIGNMENT) char states[2 * 1024];
    const size_t item = parsum_type_size[reduction->element];
    char *second = states + reduction->state_size;
    if (reduction->ordered || !reduction->accumulate_columns || (uintptr_t)data % item)
        return PARSUM_BAD_ARGUMENT;
    environment outer = enter_environment();
    reduction->identity(states);
    reduction->identity(second);
    reduction->accumulate_columns(states, data, n, (ptrdiff_t)(2 * item), 2);
    int flags = reduction->finish(states, type, result);
    flags |= reduction->finish(second, type, (char *)result + parsum_type_size[type]);
    leave_environment(&outer);
    return flags;
}

double parsum_reduce_float64(const parsum_reduction *reduction, const void *data, size_t n)
{
    double result;
    parsum_reduce(reduction, data, n, PARSUM_FLOAT64, &result);
    return result;
}
