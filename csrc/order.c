/* The operations that order elements: the least and the greatest, where they are, and the least and
 * the greatest magnitude. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "convert.h"
#include "kernels.h"
#include "order.h"
#include "reductions.h"

#define INLINE static inline __attribute__((always_inline))

static int has_pair(int op)
{
    return op == ORDER_MINMAX || op == ORDER_NANMINMAX;
}

static int leaves_nan(int op)
{
    return op == ORDER_NANMIN || op == ORDER_NANMAX || op == ORDER_NANMINMAX;
}

static int is_least(int op)
{
    return op == ORDER_MIN || op == ORDER_NANMIN || op == ORDER_MIN_ABS;
}

/* What is to be known of a real element type. Its functions are inlined where the type is a
 * constant. */
typedef struct {
    size_t size;
    int has_nan;             /* or NaT */
    int has_zeros;           /* that are equal, but of different keys, -1 and 0 */
    int reversed;            /* whether the greatest is found by the key's negative; see rank_of */
    int64_t lowest, highest; /* keys of elements that are no NaN */
    int64_t (*key)(const char *p);
    int (*missing)(const char *p);
    /* The element of a key; the missing one. */
    void (*put)(int64_t key, char *p);
    void (*put_missing)(char *p);
} order_type;

#define ORDER_TYPE(TYPE, ELEMENT, VALUE, MISSING, HAS_NAN, HAS_ZEROS, REVERSED, LOWEST, HIGHEST)   \
    INLINE int64_t key_at_##TYPE(const char *p)                                                    \
    {                                                                                              \
        ELEMENT value;                                                                             \
        memcpy(&value, p, sizeof value);                                                           \
        return key_##TYPE(value);                                                                  \
    }                                                                                              \
    INLINE int missing_at_##TYPE(const char *p)                                                    \
    {                                                                                              \
        ELEMENT value;                                                                             \
        memcpy(&value, p, sizeof value);                                                           \
        return missing_##TYPE(value);                                                              \
    }                                                                                              \
    INLINE void put_##TYPE(int64_t key, char *p)                                                   \
    {                                                                                              \
        const ELEMENT value = (VALUE);                                                             \
        memcpy(p, &value, sizeof value);                                                           \
    }                                                                                              \
    INLINE void put_missing_##TYPE(char *p)                                                        \
    {                                                                                              \
        const ELEMENT value = (MISSING);                                                           \
        memcpy(p, &value, sizeof value);                                                           \
    }                                                                                              \
    static const order_type type_##TYPE = {                                                        \
        sizeof(ELEMENT), HAS_NAN,       HAS_ZEROS,         REVERSED,   LOWEST,                     \
        HIGHEST,         key_at_##TYPE, missing_at_##TYPE, put_##TYPE, put_missing_##TYPE,         \
    };

#define INTEGER_TYPE(TYPE, ELEMENT, LOWEST, HIGHEST)                                               \
    ORDER_TYPE(TYPE, ELEMENT, (ELEMENT)key, 0, 0, 0, 0, LOWEST, HIGHEST)

INTEGER_TYPE(boolean, uint8_t, 0, 1)
INTEGER_TYPE(i8, int8_t, INT8_MIN, INT8_MAX)
INTEGER_TYPE(u8, uint8_t, 0, UINT8_MAX)
INTEGER_TYPE(i16, int16_t, INT16_MIN, INT16_MAX)
INTEGER_TYPE(u16, uint16_t, 0, UINT16_MAX)
INTEGER_TYPE(i32, int32_t, INT32_MIN, INT32_MAX)
INTEGER_TYPE(u32, uint32_t, 0, UINT32_MAX)
INTEGER_TYPE(i64, int64_t, INT64_MIN, INT64_MAX)
ORDER_TYPE(u64, uint64_t, (uint64_t)key ^ UINT64_C(1) << 63, 0, 0, 0, 0, INT64_MIN, INT64_MAX)
ORDER_TYPE(time, int64_t, key, INT64_MIN, 1, 0, 1, -INT64_MAX, INT64_MAX)

static float float_of_key(int64_t key)
{
    const int32_t bits = (int32_t)(key < 0 ? key ^ INT32_MAX : key);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double double_of_key(int64_t key)
{
    const int64_t bits = key < 0 ? key ^ INT64_MAX : key;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

ORDER_TYPE(f16, uint16_t, (uint16_t)(key < 0 ? key ^ INT16_MAX : key), 0x7e00, 1, 1, 0, -0x7c01,
           0x7c00)
ORDER_TYPE(f32, float, float_of_key(key), NAN, 1, 1, 0, -0x7f800001LL, 0x7f800000)
ORDER_TYPE(f64, double, double_of_key(key), NAN, 1, 1, 0, -(int64_t)INFINITY_BITS - 1,
           (int64_t)INFINITY_BITS)

void parsum_turn(size_t size, const char *data, size_t rows, ptrdiff_t row_stride, size_t n,
                 char *out)
{
    const kernel_table *kernels = parsum_kernels();
    (size == 1   ? kernels->turn_8
     : size == 2 ? kernels->turn_16
     : size == 4 ? kernels->turn_32
     : size == 8 ? kernels->turn_64
                 : kernels->turn_128)(data, rows, row_stride, n, out);
}

/* ---- least and greatest of real elements ---- */

/* Keys of the least and of the greatest element so far. With none so far the least is above the
 * greatest. Where only one of them is asked for, the other keeps company, so that it does not look
 * so. A NaN is both below and above everything: no float has these keys, and NaT is the least time.
 */
typedef struct {
    int64_t least, greatest;
} end_state;

static void identity_end(void *state, double parameter)
{
    (void)parameter;
    *(end_state *)state = (end_state){INT64_MAX, INT64_MIN};
}

static void combine_end(void *state, const void *other)
{
    end_state *a = state;
    const end_state *b = other;
    a->least = b->least < a->least ? b->least : a->least;
    a->greatest = b->greatest > a->greatest ? b->greatest : a->greatest;
}

/* Times have the key of NaT, the least integer, for nothing else. */
INLINE int valid_end(const end_state *state, const order_type *type)
{
    if (state->least > state->greatest)
        return state->least == INT64_MAX && state->greatest == INT64_MIN;
    if (type->has_nan && state->least == INT64_MIN)
        return state->greatest == INT64_MAX;
    return state->least >= type->lowest && state->greatest <= type->highest;
}

/* Takes in what a kernel found in some elements. */
INLINE void take_ends(end_state *state, const order_type *type, int op, const char *least,
                      const char *greatest)
{
    end_state found = {INT64_MIN, INT64_MAX};
    if (type->missing(least)) {
        if (leaves_nan(op))
            return;
    } else {
        found.least = type->key(least);
        found.greatest = type->key(greatest);
    }
    combine_end(state, &found);
}

INLINE int settled_end(const end_state *state, const order_type *type, int op)
{
    if (type->has_nan)
        return !leaves_nan(op) && state->least == INT64_MIN;
    if (op == ORDER_MIN_ABS || op == ORDER_MAX_ABS)
        return 0;
    const int least = state->least == type->lowest, greatest = state->greatest == type->highest;
    return has_pair(op) ? least && greatest : is_least(op) ? least : greatest;
}

/* n elements as the kernels want them: where they are, or in `buffer`. */
INLINE const char *contiguous(char *buffer, const char *data, size_t n, ptrdiff_t stride,
                              size_t size)
{
    if (stride == (ptrdiff_t)size)
        return data;
    parsum_gather(buffer, data, n, stride, size, 0);
    return buffer;
}

INLINE void accumulate_end(end_state *state, const order_type *type, const order_kernels *kernels,
                           int op, const char *data, size_t n, ptrdiff_t stride)
{
    _Alignas(64) char buffer[RUN_BYTES];
    const size_t size = type->size, block = RUN_BYTES / size;
    _Alignas(int64_t) char found[2 * sizeof(int64_t)];
    while (n && !settled_end(state, type, op)) {
        const size_t count = n < block ? n : block;
        kernels->by[op].run(contiguous(buffer, data, count, stride, size), count, found);
        take_ends(state, type, op, found, has_pair(op) ? found + size : found);
        data += (ptrdiff_t)count * stride;
        n -= count;
    }
}

INLINE void accumulate_end_columns(end_state *states, const order_type *type,
                                   const order_kernels *kernels, int op, const char *data,
                                   size_t rows, ptrdiff_t row_stride, size_t columns)
{
    _Alignas(64) char least[TILE * sizeof(int64_t)], greatest[TILE * sizeof(int64_t)];
    if (!rows)
        return;
    kernels->by[op].columns(data, rows, row_stride, columns, least, greatest);
    const char *a = has_pair(op) || is_least(op) ? least : greatest;
    const char *b = has_pair(op) ? greatest : a;
    for (size_t j = 0; j < columns; j++)
        take_ends(&states[j], type, op, a + j * type->size, b + j * type->size);
}

INLINE int finish_end(const end_state *state, const order_type *type, int op, char *result)
{
    const int empty = state->least > state->greatest;
    const int missing = type->has_nan && (empty || state->least == INT64_MIN);
    for (int k = 0; k <= has_pair(op); k++, result += type->size)
        if (missing || empty)
            type->put_missing(result);
        else
            type->put(has_pair(op)   ? (k ? state->greatest : state->least)
                      : is_least(op) ? state->least
                                     : state->greatest,
                      result);
    return empty ? PARSUM_EMPTY : 0;
}

/* Puts a kernel's findings where results belong. Those of `least` are there already if no pairs are
 * asked for. */
INLINE int finish_columns(const order_type *type, int op, const char *least, const char *greatest,
                          size_t columns, char *result)
{
    const size_t size = type->size;
    int empty = 0;
    if (has_pair(op))
        for (size_t j = 0; j < columns; j++) {
            memcpy(result + 2 * j * size, least + j * size, size);
            memcpy(result + (2 * j + 1) * size, greatest + j * size, size);
        }
    if (leaves_nan(op))
        for (size_t j = 0; j < columns; j++)
            empty |= type->missing(least + j * size);
    return empty ? PARSUM_EMPTY : 0;
}

INLINE int reduce_end_columns(const order_type *type, const order_kernels *kernels, int op,
                              const char *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                              char *result)
{
    _Alignas(64) char least[TILE * sizeof(int64_t)], greatest[TILE * sizeof(int64_t)];
    if (!has_pair(op)) {
        kernels->by[op].columns(data, rows, row_stride, columns, result, result);
        return finish_columns(type, op, result, result, columns, result);
    }
    kernels->by[op].columns(data, rows, row_stride, columns, least, greatest);
    return finish_columns(type, op, least, greatest, columns, result);
}

INLINE int reduce_end_rows(const order_type *type, const order_kernels *kernels, int op,
                           const char *data, size_t rows, ptrdiff_t row_stride, size_t n,
                           char *result)
{
    _Alignas(64) char turned[TURNED_BYTES];
    const size_t size = type->size, values = has_pair(op) ? 2 : 1;
    int flags = 0;
    if (n * size <= TURNED_ROW && rows > 1) {
        const size_t fits = TURNED_BYTES / (n * size);
        const size_t most = fits < TILE_OF_ROWS ? fits : TILE_OF_ROWS;
        while (rows) {
            const size_t count = rows < most ? rows : most;
            parsum_turn(size, data, count, row_stride, n, turned);
            flags |= reduce_end_columns(type, kernels, op, turned, n, (ptrdiff_t)(count * size),
                                        count, result);
            data += (ptrdiff_t)count * row_stride;
            result += count * values * size;
            rows -= count;
        }
        return flags;
    }
    for (; rows; rows--, data += row_stride, result += values * size) {
        kernels->by[op].run(data, n, result);
        flags |= leaves_nan(op) && type->missing(result) ? PARSUM_EMPTY : 0;
    }
    return flags;
}

/* Magnitudes of integers as a double. Kernels give those of signed ones less one (kernels.h). */
INLINE int finish_magnitude(const end_state *state, int op, int is_signed, int is_u64, void *result)
{
    const int64_t key = is_least(op) ? state->least : state->greatest;
    const int empty = state->least > state->greatest;
    const uint64_t magnitude = is_u64      ? (uint64_t)key ^ UINT64_C(1) << 63
                               : is_signed ? (uint64_t)key + 1
                                           : (uint64_t)key;
    const double value = empty ? 0 : (double)magnitude;
    memcpy(result, &value, sizeof value);
    return empty ? PARSUM_EMPTY : 0;
}

/* ---- places of real elements ---- */

/* The rank of the best element so far, the less the better, and of equal ones the least number;
 * INT64_MAX for none. */
typedef struct {
    int64_t next, step, number, rank;
} place_state;

static void identity_place(void *state, double parameter)
{
    (void)parameter;
    *(place_state *)state = (place_state){0, 1, INT64_MAX, INT64_MAX};
}

static void place_place(void *state, int64_t number, int64_t step)
{
    ((place_state *)state)->next = number;
    ((place_state *)state)->step = step;
}

static void shift_place(void *state, int64_t by)
{
    place_state *place = state;
    if (place->number != INT64_MAX)
        place->number = number_at(place->number, by, 1);
}

static int precedes(int64_t rank, int64_t number, const place_state *state)
{
    return rank < state->rank || (rank == state->rank && number < state->number);
}

static void combine_place(void *state, const void *other)
{
    place_state *a = state;
    const place_state *b = other;
    if (precedes(b->rank, b->number, a)) {
        a->rank = b->rank;
        a->number = b->number;
    }
}

/* Any numbers may be next, as those that no element has are not counted up to. */
static int valid_place(const void *state)
{
    return ((const place_state *)state)->number >= 0;
}

static int finish_place(const void *state, int type, void *result)
{
    (void)type;
    const int64_t number = ((const place_state *)state)->number;
    const int empty = number == INT64_MAX;
    const int64_t place = empty ? 0 : number;
    memcpy(result, &place, sizeof place);
    return empty ? PARSUM_EMPTY : 0;
}

/* Ranks are keys for the least element, and keys with all bits turned over, which turns their order
 * around, for the greatest; but for times the negative ones, so that NaT, the least integer and its
 * own negative, comes first by either. A NaN comes before all: no other rank of a float is so low.
 * Both zeros have one rank. */
INLINE int64_t rank_of(const order_type *type, int op, const char *p)
{
    if (type->has_zeros && type->missing(p))
        return INT64_MIN;
    int64_t key = type->key(p);
    if (type->has_zeros && key == -1)
        key = 0;
    return is_least(op) ? key : type->reversed ? (int64_t)(0 - (uint64_t)key) : ~key;
}

/* What no element is before. */
INLINE int64_t first_rank(const order_type *type, int op)
{
    return type->has_nan ? INT64_MIN : is_least(op) ? type->lowest : ~type->highest;
}

/* The last of n elements equal to `value`, of which there is one. */
static size_t find_last(const order_kernels *kernels, size_t size, const char *data, size_t n,
                        const char *value)
{
    enum { PART = 64 };
    for (size_t end = n;; end -= PART) {
        const size_t start = end > PART ? end - PART : 0;
        size_t i = start + kernels->find(data + start * size, end - start, value);
        if (i == end)
            continue;
        for (;;) {
            const size_t more = kernels->find(data + (i + 1) * size, end - i - 1, value);
            if (i + 1 + more == end)
                return i;
            i += 1 + more;
        }
    }
}

INLINE void accumulate_place(place_state *state, const order_type *type,
                             const order_kernels *kernels, int op, const char *data, size_t n,
                             ptrdiff_t stride)
{
    _Alignas(64) char buffer[RUN_BYTES];
    if (!n)
        return;
    const size_t size = type->size, block = RUN_BYTES / size;
    const int64_t first = state->next, step = state->step;
    const int forward = step >= 0;
    const int64_t least_number = forward ? first : number_at(first, step, n - 1);
    const int64_t best = first_rank(type, op);
    state->next = number_at(first, step, n);
    if (state->rank == best && state->number <= least_number)
        return;
    /* The block with the best element; it is searched when all have been seen. Of equal ones, the
     * one with the lesser numbers. */
    int64_t rank = state->rank;
    size_t winner = n;
    _Alignas(int64_t) char value[sizeof(int64_t)];
    _Alignas(int64_t) char found[sizeof(int64_t)];
    for (size_t i = 0; i < n; i += block) {
        const size_t count = n - i < block ? n - i : block;
        const char *p = contiguous(buffer, data + (ptrdiff_t)i * stride, count, stride, size);
        kernels->by[op].run(p, count, found);
        if (leaves_nan(op) && type->missing(found))
            continue;
        const int64_t here = rank_of(type, op, found);
        const int even = winner == n ? least_number < state->number : !forward;
        if (here < rank || (here == rank && even)) {
            rank = here;
            winner = i;
            memcpy(value, found, sizeof value);
            if (forward && rank == best)
                break;
        }
    }
    if (winner == n)
        return;
    const size_t count = n - winner < block ? n - winner : block;
    const char *p = contiguous(buffer, data + (ptrdiff_t)winner * stride, count, stride, size);
    const size_t place =
        forward ? kernels->find(p, count, value) : find_last(kernels, size, p, count, value);
    const int64_t number = number_at(first, step, winner + place);
    if (precedes(rank, number, state)) {
        state->rank = rank;
        state->number = number;
    }
}

/* All columns have the same next number and the same step. */
INLINE void accumulate_place_columns(place_state *states, const order_type *type,
                                     const order_kernels *kernels, int op, const char *data,
                                     size_t rows, ptrdiff_t row_stride, size_t columns)
{
    _Alignas(64) char found[TILE * sizeof(int64_t)];
    int64_t places[TILE];
    uint8_t wanted[TILE];
    const size_t size = type->size;
    int64_t first = states->next, step = states->step;
    const int64_t next = number_at(first, step, rows), best = first_rank(type, op);
    if (step < 0 && rows) {
        /* From the last row up, so that numbers grow. */
        data += (ptrdiff_t)(rows - 1) * row_stride;
        row_stride = -row_stride;
        first = number_at(first, step, rows - 1);
        step = (int64_t)(0 - (uint64_t)step);
    }
    size_t block = COLUMNS_BYTES / (columns * size);
    block = block < 16 ? 16 : block;
    int open = 0;
    for (size_t j = 0; j < columns; j++)
        open |= states[j].rank != best || states[j].number > first;
    for (size_t r = 0; open && r < rows; r += block) {
        const size_t count = rows - r < block ? rows - r : block;
        const int64_t number = number_at(first, step, r);
        kernels->by[op].columns(data, count, row_stride, columns, found, found);
        int any = 0;
        for (size_t j = 0; j < columns; j++) {
            const char *value = found + j * size;
            wanted[j] = !(leaves_nan(op) && type->missing(value)) &&
                        precedes(rank_of(type, op, value), number, &states[j]);
            any |= wanted[j];
        }
        if (any) {
            kernels->find_columns(data, count, row_stride, columns, found, wanted, places);
            for (size_t j = 0; j < columns; j++) {
                if (!wanted[j])
                    continue;
                const int64_t rank = rank_of(type, op, found + j * size);
                const int64_t place = number_at(number, step, (size_t)places[j]);
                if (precedes(rank, place, &states[j])) {
                    states[j].rank = rank;
                    states[j].number = place;
                }
            }
        }
        data += (ptrdiff_t)count * row_stride;
    }
    for (size_t j = 0; j < columns; j++)
        states[j].next = next;
}

INLINE int reduce_place_columns(const order_type *type, const order_kernels *kernels, int op,
                                const char *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                                char *result)
{
    _Alignas(64) char found[TILE * sizeof(int64_t)];
    uint8_t wanted[TILE];
    int64_t *places = (int64_t *)(void *)result;
    int empty = 0;
    if (rows * columns * type->size > COLUMNS_BYTES && rows > 16) {
        place_state states[TILE];
        for (size_t j = 0; j < columns; j++)
            identity_place(&states[j], 0);
        accumulate_place_columns(states, type, kernels, op, data, rows, row_stride, columns);
        for (size_t j = 0; j < columns; j++)
            empty |= finish_place(&states[j], PARSUM_INT64, result + j * sizeof(int64_t));
        return empty;
    }
    kernels->by[op].columns(data, rows, row_stride, columns, found, found);
    memset(wanted, 1, columns);
    memset(places, 0, columns * sizeof *places);
    if (leaves_nan(op))
        for (size_t j = 0; j < columns; j++) {
            wanted[j] = !type->missing(found + j * type->size);
            empty |= !wanted[j];
        }
    kernels->find_columns(data, rows, row_stride, columns, found, wanted, places);
    return empty ? PARSUM_EMPTY : 0;
}

INLINE int reduce_place_rows(const order_type *type, const order_kernels *kernels, int op,
                             const char *data, size_t rows, ptrdiff_t row_stride, size_t n,
                             char *result)
{
    _Alignas(64) char turned[TURNED_BYTES];
    const size_t size = type->size;
    int flags = 0;
    if (n * size <= TURNED_ROW && rows > 1) {
        const size_t fits = TURNED_BYTES / (n * size);
        const size_t most = fits < TILE_OF_ROWS ? fits : TILE_OF_ROWS;
        while (rows) {
            const size_t count = rows < most ? rows : most;
            parsum_turn(size, data, count, row_stride, n, turned);
            flags |= reduce_place_columns(type, kernels, op, turned, n, (ptrdiff_t)(count * size),
                                          count, result);
            data += (ptrdiff_t)count * row_stride;
            result += count * sizeof(int64_t);
            rows -= count;
        }
        return flags;
    }
    size_t (*place_of)(const void *, size_t) = op == ORDER_MIN   ? kernels->place_of_least
                                               : op == ORDER_MAX ? kernels->place_of_largest
                                                                 : NULL;
    if (place_of && n >= PLACE_RUN) {
        for (; rows; rows--, data += row_stride, result += sizeof(int64_t)) {
            const int64_t place = (int64_t)place_of(data, n);
            memcpy(result, &place, sizeof place);
        }
        return 0;
    }
    for (; rows; rows--, data += row_stride, result += sizeof(int64_t)) {
        _Alignas(int64_t) char found[sizeof(int64_t)];
        int64_t place = 0;
        kernels->by[op].run(data, n, found);
        if (leaves_nan(op) && type->missing(found))
            flags = PARSUM_EMPTY;
        else
            place = (int64_t)kernels->find(data, n, found);
        memcpy(result, &place, sizeof place);
    }
    return flags;
}

/* ---- the table ---- */

#define END_FUNCTIONS(TYPE, OP, CODE)                                                              \
    static void accumulate_##OP##_##TYPE(void *state, const void *data, size_t n,                  \
                                         ptrdiff_t stride)                                         \
    {                                                                                              \
        accumulate_end_##TYPE(state, CODE, data, n, stride);                                       \
    }                                                                                              \
    static void accumulate_columns_##OP##_##TYPE(void *states, const void *data, size_t rows,      \
                                                 ptrdiff_t row_stride, size_t columns)             \
    {                                                                                              \
        accumulate_end_columns_##TYPE(states, CODE, data, rows, row_stride, columns);              \
    }                                                                                              \
    static int settled_##OP##_##TYPE(const void *state)                                            \
    {                                                                                              \
        return settled_end(state, &type_##TYPE, CODE);                                             \
    }
/* Results of the element's type. */
#define RESULT_FUNCTIONS(TYPE, OP, CODE)                                                           \
    static int finish_##OP##_##TYPE(const void *state, int type, void *result)                     \
    {                                                                                              \
        (void)type;                                                                                \
        return finish_end(state, &type_##TYPE, CODE, result);                                      \
    }                                                                                              \
    static int reduce_columns_##OP##_##TYPE(const void *data, size_t rows, ptrdiff_t row_stride,   \
                                            size_t columns, double parameter, int type,            \
                                            char *result)                                          \
    {                                                                                              \
        (void)parameter, (void)type;                                                               \
        return reduce_columns_##TYPE(CODE, data, rows, row_stride, columns, result);               \
    }                                                                                              \
    static int reduce_rows_##OP##_##TYPE(const void *data, size_t rows, ptrdiff_t row_stride,      \
                                         size_t n, double parameter, int type, char *result)       \
    {                                                                                              \
        (void)parameter, (void)type;                                                               \
        return reduce_rows_##TYPE(CODE, data, rows, row_stride, n, result);                        \
    }
#define MAGNITUDE_FUNCTIONS(TYPE, OP, CODE, IS_SIGNED, IS_U64)                                     \
    static int finish_##OP##_##TYPE(const void *state, int type, void *result)                     \
    {                                                                                              \
        (void)type;                                                                                \
        return finish_magnitude(state, CODE, IS_SIGNED, IS_U64, result);                           \
    }
#define PLACE_FUNCTIONS(TYPE, OP, CODE)                                                            \
    static void accumulate_##OP##_##TYPE(void *state, const void *data, size_t n,                  \
                                         ptrdiff_t stride)                                         \
    {                                                                                              \
        accumulate_place_##TYPE(state, CODE, data, n, stride);                                     \
    }                                                                                              \
    static void accumulate_columns_##OP##_##TYPE(void *states, const void *data, size_t rows,      \
                                                 ptrdiff_t row_stride, size_t columns)             \
    {                                                                                              \
        accumulate_place_columns_##TYPE(states, CODE, data, rows, row_stride, columns);            \
    }                                                                                              \
    static int settled_##OP##_##TYPE(const void *state)                                            \
    {                                                                                              \
        const place_state *place = state;                                                          \
        return place->rank == first_rank(&type_##TYPE, CODE) && place->number == 0;                \
    }                                                                                              \
    static int reduce_columns_##OP##_##TYPE(const void *data, size_t rows, ptrdiff_t row_stride,   \
                                            size_t columns, double parameter, int type,            \
                                            char *result)                                          \
    {                                                                                              \
        (void)parameter, (void)type;                                                               \
        return reduce_places_of_columns_##TYPE(CODE, data, rows, row_stride, columns, result);     \
    }                                                                                              \
    static int reduce_rows_##OP##_##TYPE(const void *data, size_t rows, ptrdiff_t row_stride,      \
                                         size_t n, double parameter, int type, char *result)       \
    {                                                                                              \
        (void)parameter, (void)type;                                                               \
        return reduce_places_of_rows_##TYPE(CODE, data, rows, row_stride, n, result);              \
    }

#define TYPE_FUNCTIONS(TYPE)                                                                       \
    static int valid_end_##TYPE(const void *state)                                                 \
    {                                                                                              \
        return valid_end(state, &type_##TYPE);                                                     \
    }                                                                                              \
    static void accumulate_end_##TYPE(end_state *state, int op, const char *data, size_t n,        \
                                      ptrdiff_t stride)                                            \
    {                                                                                              \
        accumulate_end(state, &type_##TYPE, &parsum_kernels()->order_##TYPE, op, data, n, stride); \
    }                                                                                              \
    static void accumulate_end_columns_##TYPE(end_state *states, int op, const char *data,         \
                                              size_t rows, ptrdiff_t row_stride, size_t columns)   \
    {                                                                                              \
        accumulate_end_columns(states, &type_##TYPE, &parsum_kernels()->order_##TYPE, op, data,    \
                               rows, row_stride, columns);                                         \
    }                                                                                              \
    static int reduce_columns_##TYPE(int op, const char *data, size_t rows, ptrdiff_t row_stride,  \
                                     size_t columns, char *result)                                 \
    {                                                                                              \
        return reduce_end_columns(&type_##TYPE, &parsum_kernels()->order_##TYPE, op, data, rows,   \
                                  row_stride, columns, result);                                    \
    }                                                                                              \
    static int reduce_rows_##TYPE(int op, const char *data, size_t rows, ptrdiff_t row_stride,     \
                                  size_t n, char *result)                                          \
    {                                                                                              \
        return reduce_end_rows(&type_##TYPE, &parsum_kernels()->order_##TYPE, op, data, rows,      \
                               row_stride, n, result);                                             \
    }                                                                                              \
    static void accumulate_place_##TYPE(place_state *state, int op, const char *data, size_t n,    \
                                        ptrdiff_t stride)                                          \
    {                                                                                              \
        accumulate_place(state, &type_##TYPE, &parsum_kernels()->order_##TYPE, op, data, n,        \
                         stride);                                                                  \
    }                                                                                              \
    static void accumulate_place_columns_##TYPE(place_state *states, int op, const char *data,     \
                                                size_t rows, ptrdiff_t row_stride, size_t columns) \
    {                                                                                              \
        accumulate_place_columns(states, &type_##TYPE, &parsum_kernels()->order_##TYPE, op, data,  \
                                 rows, row_stride, columns);                                       \
    }                                                                                              \
    static int reduce_places_of_columns_##TYPE(int op, const char *data, size_t rows,              \
                                               ptrdiff_t row_stride, size_t columns, char *result) \
    {                                                                                              \
        return reduce_place_columns(&type_##TYPE, &parsum_kernels()->order_##TYPE, op, data, rows, \
                                    row_stride, columns, result);                                  \
    }                                                                                              \
    static int reduce_places_of_rows_##TYPE(int op, const char *data, size_t rows,                 \
                                            ptrdiff_t row_stride, size_t n, char *result)          \
    {                                                                                              \
        return reduce_place_rows(&type_##TYPE, &parsum_kernels()->order_##TYPE, op, data, rows,    \
                                 row_stride, n, result);                                           \
    }                                                                                              \
    END_FUNCTIONS(TYPE, min, ORDER_MIN)                                                            \
    END_FUNCTIONS(TYPE, max, ORDER_MAX)                                                            \
    END_FUNCTIONS(TYPE, minmax, ORDER_MINMAX)                                                      \
    RESULT_FUNCTIONS(TYPE, min, ORDER_MIN)                                                         \
    RESULT_FUNCTIONS(TYPE, max, ORDER_MAX)                                                         \
    RESULT_FUNCTIONS(TYPE, minmax, ORDER_MINMAX)                                                   \
    PLACE_FUNCTIONS(TYPE, argmin, ORDER_MIN)                                                       \
    PLACE_FUNCTIONS(TYPE, argmax, ORDER_MAX)
#define NAN_FUNCTIONS(TYPE)                                                                        \
    END_FUNCTIONS(TYPE, nanmin, ORDER_NANMIN)                                                      \
    END_FUNCTIONS(TYPE, nanmax, ORDER_NANMAX)                                                      \
    END_FUNCTIONS(TYPE, nanminmax, ORDER_NANMINMAX)                                                \
    RESULT_FUNCTIONS(TYPE, nanmin, ORDER_NANMIN)                                                   \
    RESULT_FUNCTIONS(TYPE, nanmax, ORDER_NANMAX)                                                   \
    RESULT_FUNCTIONS(TYPE, nanminmax, ORDER_NANMINMAX)                                             \
    PLACE_FUNCTIONS(TYPE, nanargmin, ORDER_NANMIN)                                                 \
    PLACE_FUNCTIONS(TYPE, nanargmax, ORDER_NANMAX)
#define FLOAT_FUNCTIONS(TYPE)                                                                      \
    TYPE_FUNCTIONS(TYPE)                                                                           \
    NAN_FUNCTIONS(TYPE)                                                                            \
    END_FUNCTIONS(TYPE, min_abs, ORDER_MIN_ABS)                                                    \
    END_FUNCTIONS(TYPE, max_abs, ORDER_MAX_ABS)                                                    \
    RESULT_FUNCTIONS(TYPE, min_abs, ORDER_MIN_ABS)                                                 \
    RESULT_FUNCTIONS(TYPE, max_abs, ORDER_MAX_ABS)
#define SIGNED_FUNCTIONS(TYPE)                                                                     \
    TYPE_FUNCTIONS(TYPE)                                                                           \
    END_FUNCTIONS(TYPE, min_abs, ORDER_MIN_ABS)                                                    \
    END_FUNCTIONS(TYPE, max_abs, ORDER_MAX_ABS)                                                    \
    MAGNITUDE_FUNCTIONS(TYPE, min_abs, ORDER_MIN_ABS, 1, 0)                                        \
    MAGNITUDE_FUNCTIONS(TYPE, max_abs, ORDER_MAX_ABS, 1, 0)
/* They are their own magnitudes. */
#define UNSIGNED_FUNCTIONS(TYPE, IS_U64)                                                           \
    TYPE_FUNCTIONS(TYPE)                                                                           \
    END_FUNCTIONS(TYPE, min_abs, ORDER_MIN)                                                        \
    END_FUNCTIONS(TYPE, max_abs, ORDER_MAX)                                                        \
    MAGNITUDE_FUNCTIONS(TYPE, min_abs, ORDER_MIN, 0, IS_U64)                                       \
    MAGNITUDE_FUNCTIONS(TYPE, max_abs, ORDER_MAX, 0, IS_U64)

UNSIGNED_FUNCTIONS(boolean, 0)
SIGNED_FUNCTIONS(i8)
UNSIGNED_FUNCTIONS(u8, 0)
SIGNED_FUNCTIONS(i16)
UNSIGNED_FUNCTIONS(u16, 0)
SIGNED_FUNCTIONS(i32)
UNSIGNED_FUNCTIONS(u32, 0)
SIGNED_FUNCTIONS(i64)
UNSIGNED_FUNCTIONS(u64, 1)
FLOAT_FUNCTIONS(f16)
FLOAT_FUNCTIONS(f32)
FLOAT_FUNCTIONS(f64)
TYPE_FUNCTIONS(time)
NAN_FUNCTIONS(time)

#define END_FIELDS(OP, TYPE, ELEMENT_TYPE, RESULT)                                                 \
    .operation = #OP, .element = (ELEMENT_TYPE), .results = BIT(RESULT),                           \
    .state_size = sizeof(end_state), .identity = identity_end, .settled = settled_##OP##_##TYPE,   \
    .accumulate = accumulate_##OP##_##TYPE,                                                        \
    .accumulate_columns = accumulate_columns_##OP##_##TYPE, .combine = combine_end,                \
    .finish = finish_##OP##_##TYPE, .valid = valid_end_##TYPE
#define END_ROW(OP, TYPE, ELEMENT_TYPE, VALUES)                                                    \
    {                                                                                              \
        END_FIELDS(OP, TYPE, ELEMENT_TYPE, ELEMENT_TYPE),                                          \
        .values = (VALUES),                                                                        \
        .reduce_columns = reduce_columns_##OP##_##TYPE,                                            \
        .reduce_rows = reduce_rows_##OP##_##TYPE,                                                  \
    }
#define MAGNITUDE_ROWS(TYPE, ELEMENT_TYPE)                                                         \
    {END_FIELDS(min_abs, TYPE, ELEMENT_TYPE, PARSUM_FLOAT64)},                                     \
    {                                                                                              \
        END_FIELDS(max_abs, TYPE, ELEMENT_TYPE, PARSUM_FLOAT64)                                    \
    }
#define PLACE_ROW(OP, TYPE, ELEMENT_TYPE)                                                          \
    {                                                                                              \
        .operation = #OP,                                                                          \
        .element = (ELEMENT_TYPE),                                                                 \
        .results = BIT(PARSUM_INT64),                                                              \
        .state_size = sizeof(place_state),                                                         \
        .identity = identity_place,                                                                \
        .shift = shift_place,                                                                      \
        .place = place_place,                                                                      \
        .settled = settled_##OP##_##TYPE,                                                          \
        .accumulate = accumulate_##OP##_##TYPE,                                                    \
        .accumulate_columns = accumulate_columns_##OP##_##TYPE,                                    \
        .reduce_columns = reduce_columns_##OP##_##TYPE,                                            \
        .reduce_rows = reduce_rows_##OP##_##TYPE,                                                  \
        .combine = combine_place,                                                                  \
        .finish = finish_place,                                                                    \
        .valid = valid_place,                                                                      \
    }
#define TYPE_ROWS(TYPE, ELEMENT_TYPE)                                                              \
    END_ROW(min, TYPE, ELEMENT_TYPE, 1), END_ROW(max, TYPE, ELEMENT_TYPE, 1),                      \
        END_ROW(minmax, TYPE, ELEMENT_TYPE, 2), PLACE_ROW(argmin, TYPE, ELEMENT_TYPE),             \
        PLACE_ROW(argmax, TYPE, ELEMENT_TYPE)
#define NAN_ROWS(TYPE, ELEMENT_TYPE)                                                               \
    END_ROW(nanmin, TYPE, ELEMENT_TYPE, 1), END_ROW(nanmax, TYPE, ELEMENT_TYPE, 1),                \
        END_ROW(nanminmax, TYPE, ELEMENT_TYPE, 2), PLACE_ROW(nanargmin, TYPE, ELEMENT_TYPE),       \
        PLACE_ROW(nanargmax, TYPE, ELEMENT_TYPE)
#define INTEGER_ROWS(TYPE, ELEMENT_TYPE)                                                           \
    TYPE_ROWS(TYPE, ELEMENT_TYPE), MAGNITUDE_ROWS(TYPE, ELEMENT_TYPE)
#define FLOAT_ROWS(TYPE, ELEMENT_TYPE)                                                             \
    TYPE_ROWS(TYPE, ELEMENT_TYPE), NAN_ROWS(TYPE, ELEMENT_TYPE),                                   \
        END_ROW(min_abs, TYPE, ELEMENT_TYPE, 1), END_ROW(max_abs, TYPE, ELEMENT_TYPE, 1)

const parsum_reduction parsum_order[] = {
    INTEGER_ROWS(boolean, PARSUM_BOOL),
    INTEGER_ROWS(i8, PARSUM_INT8),
    INTEGER_ROWS(u8, PARSUM_UINT8),
    INTEGER_ROWS(i16, PARSUM_INT16),
    INTEGER_ROWS(u16, PARSUM_UINT16),
    INTEGER_ROWS(i32, PARSUM_INT32),
    INTEGER_ROWS(u32, PARSUM_UINT32),
    INTEGER_ROWS(i64, PARSUM_INT64),
    INTEGER_ROWS(u64, PARSUM_UINT64),
    FLOAT_ROWS(f16, PARSUM_FLOAT16),
    FLOAT_ROWS(f32, PARSUM_FLOAT32),
    FLOAT_ROWS(f64, PARSUM_FLOAT64),
    TYPE_ROWS(time, PARSUM_TIME),
    NAN_ROWS(time, PARSUM_TIME),
    {.operation = NULL},
};
