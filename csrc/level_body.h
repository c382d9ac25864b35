/* The table of a CPU level: included once by each level file, which has set the target and the
 * vector width, and defines LEVEL_NAME and LEVEL_TABLE. */
#include "vectors.h"

#include "float_body.h"
#include "integer_body.h"

#define FLOAT_TABLE(TYPE, LENGTH)                                                                  \
    {                                                                                              \
        .window_block = window_block_##TYPE,                                                       \
        .block = (LENGTH),                                                                         \
        .widen = widen_##TYPE,                                                                     \
        .column_maxima = column_maxima_##TYPE,                                                     \
        .fold_columns = fold_columns_##TYPE,                                                       \
        .reduce_columns = reduce_columns_##TYPE,                                                   \
        .reduce_rows = reduce_rows_##TYPE,                                                         \
        .leaf = leaf_##TYPE,                                                                       \
        .leaf_columns = leaf_columns_##TYPE,                                                       \
    }

#define INTEGER_TABLE(TYPE) {.sum = sum_##TYPE, .columns = columns_##TYPE}

const kernel_table LEVEL_TABLE = {
    .name = LEVEL_NAME,
    .f16 = FLOAT_TABLE(f16, BLOCK),
    .f32 = FLOAT_TABLE(f32, F32_BLOCK),
    .f64 = FLOAT_TABLE(f64, BLOCK),
    .boolean = INTEGER_TABLE(boolean),
    .i8 = INTEGER_TABLE(i8),
    .u8 = INTEGER_TABLE(u8),
    .i16 = INTEGER_TABLE(i16),
    .u16 = INTEGER_TABLE(u16),
    .i32 = INTEGER_TABLE(i32),
    .u32 = INTEGER_TABLE(u32),
    .i64 = INTEGER_TABLE(i64),
    .u64 = INTEGER_TABLE(u64),
    .timedelta = {.sum = sum_timedelta, .columns = columns_i64},
    .bounds = bounds,
    .peel = peel,
    .scatter = scatter,
};
