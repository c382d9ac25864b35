/* Small arrays reduced along an axis: a job that one call makes, runs and frees. */
#include "parsum.h"
#include "reductions.h"

int parsum_reduce_axis(const parsum_reduction *reduction, double parameter, int skip_nan,
                       const void *data, size_t outer, size_t n, size_t inner, int type,
                       void *result)
{
    if (!reduction || type < 0 || type >= PARSUM_TYPES || !(reduction->results >> type & 1))
        return PARSUM_BAD_ARGUMENT;
    const ptrdiff_t size = (ptrdiff_t)parsum_type_size[reduction->element];
    const ptrdiff_t result_size = (ptrdiff_t)parsum_type_size[type] * parsum_values(reduction);
    const ptrdiff_t outer_length = (ptrdiff_t)outer, inner_length = (ptrdiff_t)inner;
    const ptrdiff_t length = (ptrdiff_t)n;
    /* Length, strides of data and result, and step of the numbers: see parsum_view. */
    const ptrdiff_t axes[3][4] = {
        {outer_length, length * inner_length * size, inner_length * result_size, 0},
        {inner_length, size, result_size, 0},
        {length, inner_length * size, 0, 1},
    };
    /* Axes of length 1 would hide from the walker that others follow each other in memory. */
    ptrdiff_t dims[7 * 3] = {0};
    const int kept = (outer != 1) + (inner != 1), ndim = kept + 1;
    for (int axis = 0, k = 0; axis < 3; axis++) {
        if (axis < 2 && axes[axis][0] == 1)
            continue;
        dims[k] = axes[axis][0];
        dims[ndim + k] = axes[axis][1];
        dims[5 * ndim + k] = axes[axis][2];
        dims[6 * ndim + k] = axes[axis][3];
        k++;
    }
    const parsum_view view = {.data = data,
                              .result = result,
                              .dims = dims,
                              .parameter = parameter,
                              .kept = kept,
                              .reduced = 1,
                              .element = reduction->element,
                              .type = type,
                              .skip_nan = skip_nan};
    parsum_job *job;
    int code = parsum_job_create(reduction, &view, 1, 0, &job);
    if (code < 0)
        return code;
    while (parsum_job_work(job, 0, INT64_MAX) == PARSUM_AGAIN)
        continue;
    code = parsum_job_finish(job);
    parsum_job_destroy(job);
    return code;
}
