/* The states of least and greatest elements, and of their places, for the types that have no
 * integer key: included by order_parts.c with TYPE, REAL (the C type of a part), PARTS (1 or 2, of
 * a complex number), ELEMENT_TYPE and VECTORS (whether there are kernels) set.
 *
 * Complex numbers are in NumPy's order, by real part, then by imaginary part. Between equal
 * elements the signs of zeros decide, first the real part's, so that the result does not depend on
 * which came first. A NaN in any part makes all parts of the result NaN. */

#define NAME(verb) CONCAT(CONCAT(verb, _), TYPE)

typedef struct {
    REAL v[PARTS];
    int64_t seen;
} NAME(end_state);

typedef struct {
    int64_t next, step, number, seen;
    REAL v[PARTS];
} NAME(place_state);

static int NAME(is_missing)(const REAL *v)
{
    return isnan(v[0]) || isnan(v[PARTS - 1]);
}

/* Below zero if a comes before b; neither has a NaN. */
static int NAME(compare)(const REAL *a, const REAL *b)
{
    for (int k = 0; k < PARTS; k++)
        if (a[k] != b[k])
            return a[k] < b[k] ? -1 : 1;
    return 0;
}

static int NAME(compare_signs)(const REAL *a, const REAL *b)
{
    int order = NAME(compare)(a, b);
    for (int k = 0; k < PARTS && !order; k++)
        order = !signbit(a[k]) - !signbit(b[k]);
    return order;
}

/* ---- the least and the greatest ---- */

static void NAME(identity_end)(void *state, double parameter)
{
    (void)parameter;
    memset(state, 0, sizeof(NAME(end_state)));
}

static void NAME(take_end)(NAME(end_state) * state, const REAL *v, int greatest)
{
    const int order = state->seen & SEEN ? NAME(compare_signs)(v, state->v) : 0;
    if (!(state->seen & SEEN) || (greatest ? order > 0 : order < 0))
        memcpy(state->v, v, sizeof state->v);
    state->seen |= SEEN;
}

static void NAME(combine_end)(NAME(end_state) * a, const NAME(end_state) * b, int greatest)
{
    const int64_t seen = a->seen | b->seen;
    if (b->seen & SEEN)
        NAME(take_end)(a, b->v, greatest);
    a->seen = seen;
}

static void NAME(combine_min)(void *state, const void *other)
{
    NAME(combine_end)(state, other, 0);
}

static void NAME(combine_max)(void *state, const void *other)
{
    NAME(combine_end)(state, other, 1);
}

static int NAME(settled_end)(const void *state)
{
    return (((const NAME(end_state) *)state)->seen & HAS_NAN) != 0;
}

static int NAME(valid_end)(const void *state)
{
    const NAME(end_state) *end = state;
    return (end->seen & ~(int64_t)(SEEN | HAS_NAN)) == 0 &&
           !(end->seen & SEEN && NAME(is_missing)(end->v));
}

static void NAME(clear_end_padding)(void *state)
{
    CLEAR_PADDING(((NAME(end_state) *)state)->v, PARTS);
}

static int NAME(finish_end)(const void *state, int type, void *result)
{
    const NAME(end_state) *end = state;
    (void)type;
    for (size_t k = 0; k < PARTS; k++) {
        const REAL part = end->seen == SEEN ? end->v[k] : (REAL)NAN;
        PUT_PART(part, (char *)result + k * sizeof part);
    }
    return end->seen ? 0 : PARSUM_EMPTY;
}

/* The end of n elements, of those that are not NaN if `skip`. Returns SEEN, or HAS_NAN, or 0 if
 * there is none; or 0 if all are beyond `bound`. */
static int NAME(block_end)(const char *p, size_t n, int greatest, int skip, const REAL *bound,
                           REAL *v)
{
#if VECTORS
    _Alignas(64) char left[RUN_BYTES];
    const complex_order_kernels *kernels = &parsum_kernels()->NAME(order);
    const complex_end_kernels *end = greatest ? &kernels->largest : &kernels->least;
    if (end->real(p, n, v)) {
        if (!skip)
            return HAS_NAN;
        n = parsum_drop_nan(ELEMENT_TYPE, p, n, left);
        p = left;
        if (!n)
            return 0;
        end->real(p, n, v);
    }
    if (bound && (greatest ? v[0] < bound[0] : v[0] > bound[0]))
        return 0;
    end->whole(p, n, v);
    return SEEN;
#else
    int seen = 0;
    (void)bound;
    for (; n; n--, p += sizeof(REAL[PARTS])) {
        REAL one[PARTS];
        memcpy(one, p, sizeof one);
        if (NAME(is_missing)(one)) {
            if (!skip)
                return HAS_NAN;
            continue;
        }
        if (seen && (greatest ? one[0] < v[0] : one[0] > v[0]))
            continue;
        const int order = seen ? NAME(compare_signs)(one, v) : 0;
        if (!seen || (greatest ? order > 0 : order < 0))
            memcpy(v, one, sizeof one);
        seen = SEEN;
    }
    return seen;
#endif
}

static void NAME(accumulate_end)(NAME(end_state) * state, int greatest, int skip, const char *data,
                                 size_t n, ptrdiff_t stride)
{
    _Alignas(64) char buffer[RUN_BYTES];
    const size_t size = sizeof(REAL[PARTS]), block = RUN_BYTES / size;
    while (n && !(state->seen & HAS_NAN)) {
        const size_t count = n < block ? n : block;
        const char *p = aligned_block(buffer, data, count, stride, size, sizeof(REAL));
        REAL v[PARTS] = {0};
        const int seen =
            NAME(block_end)(p, count, greatest, skip, state->seen & SEEN ? state->v : NULL, v);
        if (seen == SEEN)
            NAME(take_end)(state, v, greatest);
        state->seen |= seen;
        data += (ptrdiff_t)count * stride;
        n -= count;
    }
}

/* ---- places ---- */

static void NAME(shift_place)(void *state, int64_t by)
{
    NAME(place_state) *place = state;
    if (place->seen)
        place->number = number_at(place->number, by, 1);
}

static void NAME(identity_place)(void *state, double parameter)
{
    (void)parameter;
    memset(state, 0, sizeof(NAME(place_state)));
    ((NAME(place_state) *)state)->step = 1;
}

static void NAME(place_place)(void *state, int64_t number, int64_t step)
{
    ((NAME(place_state) *)state)->next = number;
    ((NAME(place_state) *)state)->step = step;
}

/* Below zero if an element, perhaps a NaN, is better than the state's, zero if it is as good. */
static int NAME(compare_place)(const REAL *v, const NAME(place_state) * state, int greatest)
{
    const int nan = NAME(is_missing)(v), had_nan = (state->seen & HAS_NAN) != 0;
    if (!state->seen)
        return -1;
    if (nan || had_nan)
        return had_nan - nan;
    return greatest ? NAME(compare)(state->v, v) : NAME(compare)(v, state->v);
}

static void NAME(take_place)(NAME(place_state) * state, const REAL *v, int64_t number, int greatest)
{
    const int order = NAME(compare_place)(v, state, greatest);
    if (order > 0 || (order == 0 && number >= state->number))
        return;
    memcpy(state->v, v, sizeof state->v);
    state->number = number;
    state->seen = SEEN | (NAME(is_missing)(v) ? HAS_NAN : 0);
}

static void NAME(combine_argmin)(void *state, const void *other)
{
    const NAME(place_state) *b = other;
    if (b->seen)
        NAME(take_place)(state, b->v, b->number, 0);
}

static void NAME(combine_argmax)(void *state, const void *other)
{
    const NAME(place_state) *b = other;
    if (b->seen)
        NAME(take_place)(state, b->v, b->number, 1);
}

static int NAME(settled_place)(const void *state)
{
    const NAME(place_state) *place = state;
    return (place->seen & HAS_NAN) && place->number == 0;
}

/* Any numbers may be next, as those that no element has are not counted up to. */
static int NAME(valid_place)(const void *state)
{
    const NAME(place_state) *place = state;
    return place->number >= 0 &&
           (place->seen ? place->seen == (NAME(is_missing)(place->v) ? SEEN | HAS_NAN : SEEN) : 1);
}

static void NAME(clear_place_padding)(void *state)
{
    CLEAR_PADDING(((NAME(place_state) *)state)->v, PARTS);
}

static int NAME(finish_place)(const void *state, int type, void *result)
{
    const NAME(place_state) *place = state;
    (void)type;
    memcpy(result, &place->number, sizeof place->number);
    return place->seen ? 0 : PARSUM_EMPTY;
}

static int NAME(matches)(const char *p, const REAL *value)
{
    REAL v[PARTS];
    memcpy(v, p, sizeof v);
    if (NAME(is_missing)(v) || NAME(is_missing)(value))
        return NAME(is_missing)(v) && NAME(is_missing)(value);
    return NAME(compare)(v, value) == 0;
}

/* The first of n elements equal to `value`, or NaN if that is; there is one. The last one is found
 * by a negative stride. */
static size_t NAME(find)(const char *p, size_t n, ptrdiff_t stride, const REAL *value)
{
    size_t i = 0;
    while (i + 1 < n && !NAME(matches)(p + (ptrdiff_t)i * stride, value))
        i++;
    return i;
}

static void NAME(accumulate_place)(NAME(place_state) * state, int greatest, int skip,
                                   const char *data, size_t n, ptrdiff_t stride)
{
    _Alignas(64) char buffer[RUN_BYTES];
    const size_t size = sizeof(REAL[PARTS]), block = RUN_BYTES / size;
    const int64_t first = state->next, step = state->step;
    const int forward = step >= 0;
    if (!n)
        return;
    const int64_t least_number = forward ? first : number_at(first, step, n - 1);
    state->next = number_at(first, step, n);
    if ((state->seen & HAS_NAN) && state->number <= least_number)
        return;
    NAME(place_state) best = *state;
    size_t winner = n;
    for (size_t i = 0; i < n; i += block) {
        const size_t count = n - i < block ? n - i : block;
        const char *p =
            aligned_block(buffer, data + (ptrdiff_t)i * stride, count, stride, size, sizeof(REAL));
        REAL v[PARTS] = {0};
        const int seen =
            NAME(block_end)(p, count, greatest, skip, best.seen == SEEN ? best.v : NULL, v);
        if (!seen)
            continue;
        for (int k = 0; k < PARTS && seen == HAS_NAN; k++)
            v[k] = (REAL)NAN;
        const int order = NAME(compare_place)(v, &best, greatest);
        const int even = winner == n ? least_number < state->number : !forward;
        if (order < 0 || (order == 0 && even)) {
            memcpy(best.v, v, sizeof best.v);
            best.seen = SEEN | (seen & HAS_NAN);
            winner = i;
            if (forward && seen == HAS_NAN)
                break;
        }
    }
    if (winner == n)
        return;
    const size_t count = n - winner < block ? n - winner : block;
    const char *p = data + (ptrdiff_t)winner * stride;
    const size_t place =
        forward
            ? NAME(find)(p, count, stride, best.v)
            : count - 1 - NAME(find)(p + (ptrdiff_t)(count - 1) * stride, count, -stride, best.v);
    NAME(take_place)(state, best.v, number_at(first, step, winner + place), greatest);
}

#if VECTORS

static void NAME(columns)(int greatest, int skip, const char *data, size_t rows,
                          ptrdiff_t row_stride, size_t columns, char *found, uint8_t *flags)
{
    const complex_order_kernels *kernels = &parsum_kernels()->NAME(order);
    const complex_end_kernels *end = greatest ? &kernels->largest : &kernels->least;
    (skip ? end->nan_columns : end->columns)(data, rows, row_stride, columns, found, flags);
}

static void NAME(accumulate_end_columns)(NAME(end_state) * states, int greatest, int skip,
                                         const char *data, size_t rows, ptrdiff_t row_stride,
                                         size_t columns)
{
    _Alignas(64) REAL found[2 * TILE];
    uint8_t flags[TILE];
    if (!rows)
        return;
    NAME(columns)(greatest, skip, data, rows, row_stride, columns, (char *)found, flags);
    for (size_t j = 0; j < columns; j++) {
        if (flags[j] == skip)
            NAME(take_end)(&states[j], found + 2 * j, greatest);
        else if (!skip)
            states[j].seen |= HAS_NAN;
    }
}

static int NAME(reduce_end_columns)(int greatest, int skip, const char *data, size_t rows,
                                    ptrdiff_t row_stride, size_t columns, char *result)
{
    uint8_t flags[TILE];
    const REAL nan[2] = {NAN, NAN};
    int empty = 0;
    NAME(columns)(greatest, skip, data, rows, row_stride, columns, result, flags);
    for (size_t j = 0; j < columns; j++)
        if (flags[j] != skip) {
            memcpy(result + j * sizeof nan, nan, sizeof nan);
            empty = skip;
        }
    return empty ? PARSUM_EMPTY : 0;
}

static int NAME(reduce_end_rows)(int greatest, int skip, const char *data, size_t rows,
                                 ptrdiff_t row_stride, size_t n, char *result)
{
    _Alignas(64) char turned[TURNED_BYTES];
    const size_t size = 2 * sizeof(REAL);
    int flags = 0;
    if (n * size <= TURNED_ROW && rows > 1) {
        const size_t fits = TURNED_BYTES / (n * size), most = fits < TILE ? fits : TILE;
        while (rows) {
            const size_t count = rows < most ? rows : most;
            parsum_turn(size, data, count, row_stride, n, turned);
            flags |= NAME(reduce_end_columns)(greatest, skip, turned, n, (ptrdiff_t)(count * size),
                                              count, result);
            data += (ptrdiff_t)count * row_stride;
            result += count * size;
            rows -= count;
        }
        return flags;
    }
    for (; rows; rows--, data += row_stride, result += size) {
        NAME(end_state) state;
        NAME(identity_end)(&state, 0);
        NAME(accumulate_end)(&state, greatest, skip, data, n, (ptrdiff_t)size);
        flags |= NAME(finish_end)(&state, ELEMENT_TYPE, result);
    }
    return flags;
}

static void NAME(accumulate_place_columns)(NAME(place_state) * states, int greatest, int skip,
                                           const char *data, size_t rows, ptrdiff_t row_stride,
                                           size_t columns)
{
    _Alignas(64) REAL found[2 * TILE];
    uint8_t flags[TILE];
    const size_t size = 2 * sizeof(REAL);
    int64_t first = states->next, step = states->step;
    const int64_t next = number_at(first, step, rows);
    if (step < 0 && rows) {
        /* From the last row up, so that numbers grow. */
        data += (ptrdiff_t)(rows - 1) * row_stride;
        row_stride = -row_stride;
        first = number_at(first, step, rows - 1);
        step = (int64_t)(0 - (uint64_t)step);
    }
    size_t block = COLUMNS_BYTES / (columns * size);
    block = block < 64 ? 64 : block;
    int open = 0;
    for (size_t j = 0; j < columns; j++)
        open |= !(states[j].seen & HAS_NAN) || states[j].number > first;
    for (size_t r = 0; open && r < rows; r += block) {
        const size_t count = rows - r < block ? rows - r : block;
        const int64_t number = number_at(first, step, r);
        NAME(columns)(greatest, skip, data, count, row_stride, columns, (char *)found, flags);
        for (size_t j = 0; j < columns; j++) {
            REAL *v = found + 2 * j;
            if (flags[j] != skip) {
                if (skip)
                    continue;
                v[0] = v[1] = NAN;
            }
            const int order = NAME(compare_place)(v, &states[j], greatest);
            if (order > 0 || (order == 0 && number >= states[j].number))
                continue;
            const size_t place = NAME(find)(data + j * size, count, row_stride, v);
            NAME(take_place)(&states[j], v, number_at(number, step, place), greatest);
        }
        data += (ptrdiff_t)count * row_stride;
    }
    for (size_t j = 0; j < columns; j++)
        states[j].next = next;
}

static int NAME(reduce_place_columns)(int greatest, int skip, const char *data, size_t rows,
                                      ptrdiff_t row_stride, size_t columns, char *result)
{
    _Alignas(64) REAL found[2 * TILE];
    uint8_t flags[TILE];
    int empty = 0;
    NAME(columns)(greatest, skip, data, rows, row_stride, columns, (char *)found, flags);
    for (size_t j = 0; j < columns; j++, result += sizeof(int64_t)) {
        REAL *v = found + 2 * j;
        int64_t place = 0;
        if (flags[j] != skip)
            v[0] = v[1] = NAN;
        if (flags[j] != skip && skip)
            empty = 1;
        else
            place = (int64_t)NAME(find)(data + j * 2 * sizeof(REAL), rows, row_stride, v);
        memcpy(result, &place, sizeof place);
    }
    return empty ? PARSUM_EMPTY : 0;
}

static int NAME(reduce_place_rows)(int greatest, int skip, const char *data, size_t rows,
                                   ptrdiff_t row_stride, size_t n, char *result)
{
    _Alignas(64) char turned[TURNED_BYTES];
    const size_t size = 2 * sizeof(REAL);
    int flags = 0;
    if (n * size <= TURNED_ROW && rows > 1) {
        const size_t fits = TURNED_BYTES / (n * size), most = fits < TILE ? fits : TILE;
        while (rows) {
            const size_t count = rows < most ? rows : most;
            parsum_turn(size, data, count, row_stride, n, turned);
            flags |= NAME(reduce_place_columns)(greatest, skip, turned, n,
                                                (ptrdiff_t)(count * size), count, result);
            data += (ptrdiff_t)count * row_stride;
            result += count * sizeof(int64_t);
            rows -= count;
        }
        return flags;
    }
    for (; rows; rows--, data += row_stride, result += sizeof(int64_t)) {
        NAME(place_state) state;
        NAME(identity_place)(&state, 0);
        NAME(accumulate_place)(&state, greatest, skip, data, n, (ptrdiff_t)size);
        flags |= NAME(finish_place)(&state, PARSUM_INT64, result);
    }
    return flags;
}

#endif

/* ---- what the rows of the table call ---- */

#define END_FUNCTIONS(OP, GREATEST, SKIP)                                                          \
    static void NAME(accumulate_##OP)(void *state, const void *data, size_t n, ptrdiff_t stride)   \
    {                                                                                              \
        NAME(accumulate_end)(state, GREATEST, SKIP, data, n, stride);                              \
    }                                                                                              \
    static void NAME(accumulate_arg##OP)(void *state, const void *data, size_t n,                  \
                                         ptrdiff_t stride)                                         \
    {                                                                                              \
        NAME(accumulate_place)(state, GREATEST, SKIP, data, n, stride);                            \
    }

END_FUNCTIONS(min, 0, 0)
END_FUNCTIONS(max, 1, 0)
END_FUNCTIONS(nanmin, 0, 1)
END_FUNCTIONS(nanmax, 1, 1)

#if VECTORS

#define COLUMN_FUNCTIONS(OP, GREATEST, SKIP)                                                       \
    static void NAME(accumulate_columns_##OP)(void *states, const void *data, size_t rows,         \
                                              ptrdiff_t row_stride, size_t columns)                \
    {                                                                                              \
        NAME(accumulate_end_columns)(states, GREATEST, SKIP, data, rows, row_stride, columns);     \
    }                                                                                              \
    static void NAME(accumulate_columns_arg##OP)(void *states, const void *data, size_t rows,      \
                                                 ptrdiff_t row_stride, size_t columns)             \
    {                                                                                              \
        NAME(accumulate_place_columns)(states, GREATEST, SKIP, data, rows, row_stride, columns);   \
    }                                                                                              \
    static int NAME(reduce_columns_##OP)(const void *data, size_t rows, ptrdiff_t row_stride,      \
                                         size_t columns, double parameter, int type, char *result) \
    {                                                                                              \
        (void)parameter, (void)type;                                                               \
        return NAME(reduce_end_columns)(GREATEST, SKIP, data, rows, row_stride, columns, result);  \
    }                                                                                              \
    static int NAME(reduce_columns_arg##OP)(const void *data, size_t rows, ptrdiff_t row_stride,   \
                                            size_t columns, double parameter, int type,            \
                                            char *result)                                          \
    {                                                                                              \
        (void)parameter, (void)type;                                                               \
        return NAME(reduce_place_columns)(GREATEST, SKIP, data, rows, row_stride, columns,         \
                                          result);                                                 \
    }                                                                                              \
    static int NAME(reduce_rows_##OP)(const void *data, size_t rows, ptrdiff_t row_stride,         \
                                      size_t n, double parameter, int type, char *result)          \
    {                                                                                              \
        (void)parameter, (void)type;                                                               \
        return NAME(reduce_end_rows)(GREATEST, SKIP, data, rows, row_stride, n, result);           \
    }                                                                                              \
    static int NAME(reduce_rows_arg##OP)(const void *data, size_t rows, ptrdiff_t row_stride,      \
                                         size_t n, double parameter, int type, char *result)       \
    {                                                                                              \
        (void)parameter, (void)type;                                                               \
        return NAME(reduce_place_rows)(GREATEST, SKIP, data, rows, row_stride, n, result);         \
    }

COLUMN_FUNCTIONS(min, 0, 0)
COLUMN_FUNCTIONS(max, 1, 0)
COLUMN_FUNCTIONS(nanmin, 0, 1)
COLUMN_FUNCTIONS(nanmax, 1, 1)
#undef COLUMN_FUNCTIONS

#endif

#undef END_FUNCTIONS
#undef NAME
#undef TYPE
#undef REAL
#undef PARTS
#undef ELEMENT_TYPE
#undef VECTORS
