/* The table of a CPU level: included once by each level file, which has set the target and the
 * vector width, and defines LEVEL_NAME and LEVEL_TABLE. */
#include "vectors.h"

#include "describe_body.h"
#include "float_body.h"
#include "integer_body.h"
#include "integer_products_body.h"
#include "logic_body.h"
#include "missing_body.h"
#include "order_body.h"
#include "prod_body.h"
#include "products_body.h"
#include "scan_body.h"
#include "short_moments_body.h"

#include "magnitude_body.h"

#define FLOAT_TABLE(TYPE, LENGTH)                                                                  \
    {                                                                                              \
        .window_block = {window_block_##TYPE, window_block_abs_##TYPE, window_block_nan_##TYPE},   \
        .block = (LENGTH),                                                                         \
        .widen = widen_##TYPE,                                                                     \
        .column_maxima = column_maxima_##TYPE,                                                     \
        .fold_columns = {fold_columns_##TYPE, fold_columns_abs_##TYPE, fold_columns_nan_##TYPE},   \
        .reduce_columns = {reduce_columns_##TYPE, reduce_columns_abs_##TYPE,                       \
                           reduce_columns_nan_##TYPE},                                             \
        .reduce_rows = {reduce_rows_##TYPE, reduce_rows_abs_##TYPE, reduce_rows_nan_##TYPE},       \
        .leaf = leaf_##TYPE,                                                                       \
        .leaf_columns = leaf_columns_##TYPE,                                                       \
    }

#define PRODUCT_TABLE(TYPE)                                                                        \
    {                                                                                              \
        .products = products_##TYPE,                                                               \
        .squares = squares_##TYPE,                                                                 \
        .moments = moments_##TYPE,                                                                 \
        .ends = ends_##TYPE,                                                                       \
        .largest = largest_product_##TYPE,                                                         \
        .product_columns = product_columns_##TYPE,                                                 \
        .square_columns = square_columns_##TYPE,                                                   \
        .moment_columns = moment_columns_##TYPE,                                                   \
    }

#define SHORT_KERNELS(NAME)                                                                        \
    {short_columns_##NAME, short_rows_##NAME, short_product_columns_##NAME,                        \
     short_product_rows_##NAME}
#define SHORT_TABLE(TYPE) {SHORT_KERNELS(TYPE), SHORT_KERNELS(precise_##TYPE)}

#define INTEGER_PRODUCT_TABLE(TYPE) {.dot = dot_##TYPE, .columns = dot_columns_##TYPE}
#define INTEGER_FIELDS(TYPE)                                                                       \
    .sum = sum_##TYPE, .columns = columns_##TYPE, .squares = squares_##TYPE, .powers = powers_##TYPE
#define INTEGER_TABLE(TYPE) {INTEGER_FIELDS(TYPE)}
#define SIGNED_TABLE(TYPE) {INTEGER_FIELDS(TYPE), .magnitudes = magnitudes_##TYPE}

#define LOGIC_TABLE(BITS)                                                                          \
    {                                                                                              \
        .any = any_##BITS,                                                                         \
        .all = all_##BITS,                                                                         \
        .count = count_##BITS,                                                                     \
        .any_columns = any_columns_##BITS,                                                         \
        .all_columns = all_columns_##BITS,                                                         \
        .count_columns = count_columns_##BITS,                                                     \
    }

#define PROD_TABLE(TYPE) {.run = prod_run_##TYPE, .columns = prod_columns_##TYPE}
#define PROD_INTEGER_TABLE(TYPE)                                                                   \
    {                                                                                              \
        .units = units_##TYPE,                                                                     \
        .multiply = multiply_##TYPE,                                                               \
        .columns = multiply_columns_##TYPE,                                                        \
    }
#define ORDER_KERNEL(TYPE, OP) {.run = OP##_run_##TYPE, .columns = OP##_columns_##TYPE}
#define ORDER_PLAIN(TYPE)                                                                          \
    .find = order_find_##TYPE, .find_columns = order_find_columns_##TYPE,                          \
    .by[ORDER_MIN] = ORDER_KERNEL(TYPE, min), .by[ORDER_MAX] = ORDER_KERNEL(TYPE, max),            \
    .by[ORDER_MINMAX] = ORDER_KERNEL(TYPE, minmax)
#define ORDER_PLACE(TYPE)                                                                          \
    .place_of_least = order_place_of_least_##TYPE, .place_of_largest = order_place_of_largest_##TYPE
#define ORDER_NAN(TYPE)                                                                            \
    .by[ORDER_NANMIN] = ORDER_KERNEL(TYPE, nanmin),                                                \
    .by[ORDER_NANMAX] = ORDER_KERNEL(TYPE, nanmax),                                                \
    .by[ORDER_NANMINMAX] = ORDER_KERNEL(TYPE, nanminmax)
#define ORDER_ABS(TYPE)                                                                            \
    .by[ORDER_MIN_ABS] = ORDER_KERNEL(TYPE, min_abs),                                              \
    .by[ORDER_MAX_ABS] = ORDER_KERNEL(TYPE, max_abs)
#define ORDER_COMPLEX_END(TYPE, END, OP)                                                           \
    {                                                                                              \
        .real = order_##END##_real_##TYPE,                                                         \
        .whole = order_##END##_of_##TYPE,                                                          \
        .columns = order_##OP##_columns_##TYPE,                                                    \
        .nan_columns = order_nan##OP##_columns_##TYPE,                                             \
    }
#define ORDER_COMPLEX(TYPE)                                                                        \
    {                                                                                              \
        .least = ORDER_COMPLEX_END(TYPE, least, min),                                              \
        .largest = ORDER_COMPLEX_END(TYPE, largest, max),                                          \
        .find = order_find_##TYPE,                                                                 \
        .squares = order_squares_##TYPE,                                                           \
    }

const kernel_table LEVEL_TABLE = {
    .name = LEVEL_NAME,
    .f16 = FLOAT_TABLE(f16, BLOCK),
    .f32 = FLOAT_TABLE(f32, F32_BLOCK),
    .f64 = FLOAT_TABLE(f64, BLOCK),
    .missing_f16 = {.has = has_missing_f16, .drop = drop_missing_f16},
    .missing_f32 = {.has = has_missing_f32, .drop = drop_missing_f32},
    .missing_f64 = {.has = has_missing_f64, .drop = drop_missing_f64},
    .missing_time = {.has = has_missing_time, .drop = drop_missing_time},
    .drop_c64 = drop_missing_c64,
    .drop_c128 = drop_missing_c128,
    .products_f16 = PRODUCT_TABLE(f16),
    .products_f32 = PRODUCT_TABLE(f32),
    .products_f64 = PRODUCT_TABLE(f64),
    .products_boolean = INTEGER_PRODUCT_TABLE(boolean),
    .products_i8 = INTEGER_PRODUCT_TABLE(i8),
    .products_u8 = INTEGER_PRODUCT_TABLE(u8),
    .products_i16 = INTEGER_PRODUCT_TABLE(i16),
    .products_u16 = INTEGER_PRODUCT_TABLE(u16),
    .products_i32 = INTEGER_PRODUCT_TABLE(i32),
    .products_u32 = INTEGER_PRODUCT_TABLE(u32),
    .products_i64 = INTEGER_PRODUCT_TABLE(i64),
    .products_u64 = INTEGER_PRODUCT_TABLE(u64),
    .boolean = {.sum = sum_boolean, .columns = columns_boolean},
    .i8 = SIGNED_TABLE(i8),
    .u8 = INTEGER_TABLE(u8),
    .i16 = SIGNED_TABLE(i16),
    .u16 = INTEGER_TABLE(u16),
    .i32 = SIGNED_TABLE(i32),
    .u32 = INTEGER_TABLE(u32),
    .i64 = SIGNED_TABLE(i64),
    .u64 = INTEGER_TABLE(u64),
    .timedelta = {.sum = sum_timedelta, .columns = columns_i64},
    .logic_8 = LOGIC_TABLE(8),
    .logic_16 = LOGIC_TABLE(16),
    .logic_32 = LOGIC_TABLE(32),
    .logic_64 = LOGIC_TABLE(64),
    .logic_128 = LOGIC_TABLE(128),
    .logic_256 = LOGIC_TABLE(256),
    .prod_f16 = PROD_TABLE(f16),
    .prod_f32 = PROD_TABLE(f32),
    .prod_f64 = PROD_TABLE(f64),
    .round_prods = round_prods,
    .prod_i8 = PROD_INTEGER_TABLE(i8),
    .prod_u8 = PROD_INTEGER_TABLE(u8),
    .prod_i16 = PROD_INTEGER_TABLE(i16),
    .prod_u16 = PROD_INTEGER_TABLE(u16),
    .prod_i32 = PROD_INTEGER_TABLE(i32),
    .prod_u32 = PROD_INTEGER_TABLE(u32),
    .prod_i64 = PROD_INTEGER_TABLE(i64),
    .prod_u64 = PROD_INTEGER_TABLE(u64),
    .bounds = bounds,
    .peel = peel,
    .scatter = scatter,
    .divide_pairs = divide_pairs,
    .scan = SCAN_TABLE,
    .turn_8 = turn_8,
    .turn_16 = turn_16,
    .turn_32 = turn_32,
    .turn_64 = turn_64,
    .turn_128 = turn_128,
    .short_moments = {[OF_F64] = SHORT_TABLE(f64),
                      [OF_F32] = SHORT_TABLE(f32),
                      [OF_F16] = SHORT_TABLE(f16)},
    .lanes = LANES,
    .short_bounds = short_bounds,
    .short_product_bounds = short_product_bounds,
    .order_boolean = {ORDER_PLAIN(boolean)},
    .order_i8 = {ORDER_PLAIN(i8), ORDER_ABS(i8)},
    .order_u8 = {ORDER_PLAIN(u8)},
    .order_i16 = {ORDER_PLAIN(i16), ORDER_ABS(i16)},
    .order_u16 = {ORDER_PLAIN(u16)},
    .order_i32 = {ORDER_PLAIN(i32), ORDER_PLACE(i32), ORDER_ABS(i32)},
    .order_u32 = {ORDER_PLAIN(u32), ORDER_PLACE(u32)},
    .order_i64 = {ORDER_PLAIN(i64), ORDER_PLACE(i64), ORDER_ABS(i64)},
    .order_u64 = {ORDER_PLAIN(u64), ORDER_PLACE(u64)},
    .order_f16 = {ORDER_PLAIN(f16), ORDER_NAN(f16), ORDER_ABS(f16)},
    .order_f32 = {ORDER_PLAIN(f32), ORDER_PLACE(f32), ORDER_NAN(f32), ORDER_ABS(f32)},
    .order_f64 = {ORDER_PLAIN(f64), ORDER_PLACE(f64), ORDER_NAN(f64), ORDER_ABS(f64)},
    .order_time = {ORDER_PLAIN(time), ORDER_NAN(time)},
    .order_c64 = ORDER_COMPLEX(c64),
    .order_c128 = ORDER_COMPLEX(c128),
    .magnitudes_c64 = magnitudes_c64,
    .magnitudes_c128 = magnitudes_c128,
};
