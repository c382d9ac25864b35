/* Reductions by functions that are not of this library. */
#include <stdlib.h>

#include "reductions.h"

int parsum_define(const parsum_functions *functions, parsum_reduction **out)
{
    *out = NULL;
    if (functions->state_size < 1 || functions->state_size > PARSUM_STATE_LIMIT ||
        functions->element < 0 || functions->element >= PARSUM_TYPES || functions->result < 0 ||
        functions->result >= PARSUM_TYPES || functions->values < 1 ||
        functions->values > PARSUM_VALUES_LIMIT || !functions->identity || !functions->accumulate ||
        !functions->combine || !functions->finish)
        return PARSUM_BAD_ARGUMENT;
    parsum_reduction *reduction = calloc(1, sizeof *reduction);
    if (!reduction)
        return PARSUM_NO_MEMORY;
    reduction->operation = "custom";
    reduction->element = functions->element;
    reduction->results = BIT(functions->result);
    reduction->values = functions->values;
    reduction->ordered = functions->ordered;
    /* Every state of several begins where it is aligned. */
    reduction->state_size =
        (functions->state_size + STATE_ALIGNMENT - 1) / STATE_ALIGNMENT * STATE_ALIGNMENT;
    reduction->identity = functions->identity;
    reduction->accumulate = functions->accumulate;
    reduction->combine = functions->combine;
    reduction->finish = functions->finish;
    reduction->accumulate_columns = functions->accumulate_columns;
    reduction->reduce_columns = functions->reduce_columns;
    reduction->reduce_rows = functions->reduce_rows;
    *out = reduction;
    return 0;
}

void parsum_forget(parsum_reduction *reduction)
{
    free(reduction);
}
