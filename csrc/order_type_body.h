/* The loops over elements of one real type that find the least and the largest: included by
 * order_body.h with TYPE, ELEMENT (its C type), KEY (a vector of what it is compared by, as wide as
 * the element), BITS and WORD (a vector of integers as wide and its element), FLAG and FLOATING
 * set, and keys_, settle_ and same_bits_ of the type defined.
 *
 * Any of these operations may take an element twice: so the last vector of a row is the one that
 * ends with it, whatever it shares with the one before. */

#define NAME(verb) CONCAT(CONCAT(order_##verb, _), TYPE)
#define HOOK(verb) CONCAT(CONCAT(verb, _), TYPE)
#define NUMBER_OF_LANES (sizeof(KEY) / sizeof(ELEMENT))

/* Of equal words all bits. A comparison of vectors gives that, one of scalars does not. */
#if ONE_LANE
#define WHERE(condition) (-(BITS)(condition))
#else
#define WHERE(condition) ((BITS)(condition))
#endif
#define MATCH(a, b) WHERE((a) == (b))

typedef ELEMENT NAME(element);

typedef struct {
    KEY least, largest;
    FLAG flag; /* floats: lanes that have seen a NaN */
} NAME(ends);

/* Elements at p into x, those at q into y, which may be the same. */
INLINE void NAME(take)(NAME(ends) * x, NAME(ends) * y, const char *p, const char *q, const int op)
{
    KEY least, largest, next_least, next_largest;
    HOOK(keys)(p, op, &least, &largest);
    HOOK(keys)(q, op, &next_least, &next_largest);
    if (WANTS_LEAST(op)) {
        x->least = HOOK(least)(least, x->least);
        y->least = HOOK(least)(next_least, y->least);
    }
    if (WANTS_LARGEST(op)) {
        x->largest = HOOK(largest)(largest, x->largest);
        y->largest = HOOK(largest)(next_largest, y->largest);
    }
#if FLOATING
    if (WANTS_NAN(op))
        x->flag |= HOOK(unordered)(WANTS_LEAST(op) ? least : largest,
                                   WANTS_LEAST(op) ? next_least : next_largest);
#endif
}

INLINE void NAME(begin)(NAME(ends) * x)
{
    ELEMENT least[NUMBER_OF_LANES], largest[NUMBER_OF_LANES];
    for (size_t l = 0; l < NUMBER_OF_LANES; l++) {
        least[l] = (ELEMENT)(KEY_LARGEST);
        largest[l] = (ELEMENT)(KEY_LEAST);
    }
    memcpy(&x->least, least, sizeof least);
    memcpy(&x->largest, largest, sizeof largest);
    memset(&x->flag, 0, sizeof x->flag);
}

INLINE void NAME(join)(NAME(ends) * x, const NAME(ends) * y, const int op)
{
    if (WANTS_LEAST(op))
        x->least = HOOK(least)(y->least, x->least);
    if (WANTS_LARGEST(op))
        x->largest = HOOK(largest)(y->largest, x->largest);
#if FLOATING
    x->flag |= y->flag;
#endif
}

/* Lane 0 becomes the least (or largest) of all. */
INLINE void NAME(fold)(KEY *v, const int least)
{
    KEY other;
    vec_u64 words;
    if (NUMBER_OF_LANES == 1)
        return;
    for (int k = LANES / 2; k; k /= 2) {
        memcpy(&words, v, sizeof words);
        words = rotate_words(words, k);
        memcpy(&other, &words, sizeof other);
        *v = least ? HOOK(least)(other, *v) : HOOK(largest)(other, *v);
    }
    for (int shift = 32; shift >= 8 * (int)sizeof(ELEMENT); shift /= 2) {
        memcpy(&words, v, sizeof words);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        words <<= shift; /* lane 0 is at the other end of its word */
#else
        words >>= shift;
#endif
        memcpy(&other, &words, sizeof other);
        *v = least ? HOOK(least)(other, *v) : HOOK(largest)(other, *v);
    }
}

#if FLOATING
/* Lanes of the columns at p that have an element of these bits: all ones there. */
INLINE void NAME(having)(const char *p, size_t rows, ptrdiff_t row_stride, ELEMENT value, BITS *out)
{
    ELEMENT all[NUMBER_OF_LANES];
    BITS wanted, found = {0}, v;
    for (size_t l = 0; l < NUMBER_OF_LANES; l++)
        all[l] = value;
    memcpy(&wanted, all, sizeof wanted);
    for (size_t r = 0; r < rows; r++, p += row_stride) {
        memcpy(&v, p, sizeof v);
        found |= (BITS)(v == wanted);
    }
    *out = found;
}

/* What a comparison of floats leaves open. A zero may be either zero, where -0.0 is the lesser. An
 * infinity may be what the search began with, if NaNs are left out and there is nothing else. */
INLINE int NAME(is_open)(ELEMENT value, const int largest, const int op)
{
    if (op == ORDER_MIN_ABS || op == ORDER_MAX_ABS)
        return 0;
    if (value == 0)
        return !!HOOK(sign_of)(value) == largest;
    return !WANTS_NAN(op) && value == (largest ? -(ELEMENT)INFINITY : (ELEMENT)INFINITY);
}

INLINE ELEMENT NAME(sought)(ELEMENT value, const int largest)
{
    return value == 0 ? (largest ? (ELEMENT)0.0 : -(ELEMENT)0.0) : value;
}

INLINE ELEMENT NAME(closed)(ELEMENT value, const int largest, const int found)
{
    if (value == 0)
        return found ? NAME(sought)(value, largest) : value;
    return found ? value : (ELEMENT)NAN;
}

/* Mends the lanes that are open. */
INLINE void NAME(close)(KEY *v, const char *p, size_t rows, ptrdiff_t row_stride, const int largest,
                        const int op)
{
    const KEY zero = {0};
    const ELEMENT infinity = largest ? -(ELEMENT)INFINITY : (ELEMENT)INFINITY;
    ELEMENT values[NUMBER_OF_LANES];
    if (op == ORDER_MIN_ABS || op == ORDER_MAX_ABS)
        return;
    for (int pass = 0; pass < 2; pass++) {
        const ELEMENT open = pass ? infinity : 0;
        if ((pass && WANTS_NAN(op)) || !HOOK(any)(HOOK(equal)(*v, zero + open)))
            continue;
        BITS found;
        WORD lanes[NUMBER_OF_LANES];
        NAME(having)(p, rows, row_stride, NAME(sought)(open, largest), &found);
        memcpy(lanes, &found, sizeof lanes);
        memcpy(values, v, sizeof values);
        for (size_t l = 0; l < NUMBER_OF_LANES; l++)
            if (values[l] == open)
                values[l] = NAME(closed)(values[l], largest, lanes[l] != 0);
        memcpy(v, values, sizeof values);
    }
}
#endif

/* n elements, one after the other. */
INLINE void NAME(ends_of_run)(const void *data, size_t n, void *out, const int op)
{
    enum { STEPS = 4 };
    const size_t lanes = NUMBER_OF_LANES, vector = sizeof(KEY);
    const char *p = data;
    ELEMENT padded[NUMBER_OF_LANES];
    if (n < lanes) {
        ELEMENT first;
        memcpy(&first, p, sizeof first);
        for (size_t l = 0; l < lanes; l++)
            padded[l] = first;
        memcpy(padded, p, n * sizeof(ELEMENT));
        p = (const char *)padded;
        n = lanes;
    }
    const char *end = p + n * sizeof(ELEMENT);
    const char *q = p;
    NAME(ends) x[STEPS];
    NAME(begin)(&x[0]);
    if (n >= STEPS * lanes) {
        for (int k = 1; k < STEPS; k++)
            NAME(begin)(&x[k]);
        for (; (size_t)(end - q) >= STEPS * vector; q += STEPS * vector) {
            NAME(take)(&x[0], &x[1], q, q + vector, op);
            NAME(take)(&x[2], &x[3], q + 2 * vector, q + 3 * vector, op);
        }
        NAME(join)(&x[0], &x[1], op);
        NAME(join)(&x[2], &x[3], op);
        NAME(join)(&x[0], &x[2], op);
    }
    for (; (size_t)(end - q) >= 2 * vector; q += 2 * vector)
        NAME(take)(&x[0], &x[0], q, q + vector, op);
    if (q < end) {
        if ((size_t)(end - q) < vector)
            q = end - vector;
        NAME(take)(&x[0], &x[0], q, end - vector, op);
    }
    ELEMENT values[2][NUMBER_OF_LANES];
    if (WANTS_LEAST(op))
        NAME(fold)(&x[0].least, 1);
    if (WANTS_LARGEST(op))
        NAME(fold)(&x[0].largest, 0);
#if FLOATING
    /* One NaN is as many as a lane for each. */
    const int nan = WANTS_NAN(op) && HOOK(any)(x[0].flag);
    memset(&x[0].flag, 0, sizeof x[0].flag);
#endif
    HOOK(settle)(&x[0].least, &x[0].largest, x[0].flag, op);
    memcpy(values[0], &x[0].least, sizeof values[0]);
    memcpy(values[1], &x[0].largest, sizeof values[1]);
    ELEMENT *to = out;
    for (int largest = 0; largest < 2; largest++) {
        if (!(largest ? WANTS_LARGEST(op) : WANTS_LEAST(op)))
            continue;
        ELEMENT value = values[largest][0];
#if FLOATING
        if (nan) {
            value = (ELEMENT)NAN;
        } else if (NAME(is_open)(value, largest, op)) {
            BITS found, last;
            const ELEMENT sought = NAME(sought)(value, largest);
            NAME(having)(p, n / lanes, (ptrdiff_t)vector, sought, &found);
            NAME(having)(end - vector, 1, 0, sought, &last);
            found |= last;
            value = NAME(closed)(value, largest, any_lane((vec_u64)found));
        }
#endif
        *to++ = value;
    }
}

/* Puts a vector of columns' results where they belong. */
INLINE void NAME(end_strip)(NAME(ends) * x, const char *p, size_t rows, ptrdiff_t row_stride,
                            ELEMENT *least, ELEMENT *largest, const int op)
{
    (void)p, (void)rows, (void)row_stride;
    HOOK(settle)(&x->least, &x->largest, x->flag, op);
    if (WANTS_LEAST(op)) {
#if FLOATING
        NAME(close)(&x->least, p, rows, row_stride, 0, op);
#endif
        memcpy(least, &x->least, sizeof(KEY));
    }
    if (WANTS_LARGEST(op)) {
#if FLOATING
        NAME(close)(&x->largest, p, rows, row_stride, 1, op);
#endif
        memcpy(largest, &x->largest, sizeof(KEY));
    }
}

/* Whole vectors of columns, rows at least one. */
INLINE void NAME(strips)(const char *p, size_t rows, ptrdiff_t row_stride, size_t columns,
                         ELEMENT *least, ELEMENT *largest, const int op)
{
    enum { MOST = TILE / NUMBER_OF_LANES + 1 };
    const size_t lanes = NUMBER_OF_LANES;
    const size_t strips = (columns + lanes - 1) / lanes;
    NAME(ends) x[MOST];
    if (rows <= STREAMS) {
        /* A stream for each row: prefetching goes on from tile to tile. */
        for (size_t s = 0; s < strips; s++) {
            const size_t j = s * lanes + lanes <= columns ? s * lanes : columns - lanes;
            const char *from = p + j * sizeof(ELEMENT), *q = from;
            NAME(ends) e;
            NAME(begin)(&e);
            size_t r = 0;
            for (; r + 2 <= rows; r += 2, q += 2 * row_stride)
                NAME(take)(&e, &e, q, q + row_stride, op);
            if (r < rows)
                NAME(take)(&e, &e, q, q, op);
            NAME(end_strip)(&e, from, rows, row_stride, least + j, largest + j, op);
        }
        return;
    }
    for (size_t s = 0; s < strips; s++)
        NAME(begin)(&x[s]);
    /* As in float_type_body.h: short rows are taken with those a fraction of all rows further on.
     */
    const size_t steps = rows / ROWS_AT_ONCE;
    const int is_short = row_stride < PAGE && row_stride > -PAGE;
    const ptrdiff_t apart = is_short ? (ptrdiff_t)steps * row_stride : row_stride;
    const ptrdiff_t next = is_short ? row_stride : ROWS_AT_ONCE * row_stride;
    for (size_t k = 0; k < steps; k++) {
        const char *q = p + (ptrdiff_t)k * next;
        for (size_t s = 0; s < strips; s++) {
            const size_t j = s * lanes + lanes <= columns ? s * lanes : columns - lanes;
            const char *from = q + j * sizeof(ELEMENT);
            NAME(ends) e = x[s];
            for (int r = 0; r < ROWS_AT_ONCE; r += 2)
                NAME(take)(&e, &e, from + r * apart, from + (r + 1) * apart, op);
            x[s] = e;
        }
    }
    for (size_t r = steps * ROWS_AT_ONCE; r < rows; r++) {
        const char *q = p + (ptrdiff_t)r * row_stride;
        for (size_t s = 0; s < strips; s++) {
            const size_t j = s * lanes + lanes <= columns ? s * lanes : columns - lanes;
            const char *from = q + j * sizeof(ELEMENT);
            NAME(ends) e = x[s];
            NAME(take)(&e, &e, from, from, op);
            x[s] = e;
        }
    }
    for (size_t s = 0; s < strips; s++) {
        const size_t j = s * lanes + lanes <= columns ? s * lanes : columns - lanes;
        NAME(end_strip)(&x[s], p + j * sizeof(ELEMENT), rows, row_stride, least + j, largest + j,
                        op);
    }
}

/* Fewer columns than lanes: a vector that goes on beyond them, as far as there are rows to read;
 * what comes of those lanes is of no matter. */
INLINE void NAME(sliver)(const char *p, size_t rows, ptrdiff_t row_stride, size_t columns,
                         ELEMENT *least, ELEMENT *largest, const int op)
{
    const size_t size = columns * sizeof(ELEMENT), vector = sizeof(KEY);
    ELEMENT padded[2][NUMBER_OF_LANES], values[2][NUMBER_OF_LANES];
    NAME(ends) x;
    NAME(begin)(&x);
    size_t safe = 0; /* rows whose vector ends within the last row or before it */
    if (row_stride > 0 && rows > (vector - size) / (size_t)row_stride + 1)
        safe = rows - ((vector - size) / (size_t)row_stride + 1);
    const char *q = p;
    size_t r = 0;
    for (; r + 2 <= safe; r += 2, q += 2 * row_stride)
        NAME(take)(&x, &x, q, q + row_stride, op);
    memset(padded, 0, sizeof padded);
    for (; r < rows; r += 2, q += 2 * row_stride) {
        memcpy(padded[0], q, size);
        memcpy(padded[1], r + 1 < rows ? q + row_stride : q, size);
        NAME(take)(&x, &x, (const char *)padded[0], (const char *)padded[1], op);
    }
    HOOK(settle)(&x.least, &x.largest, x.flag, op);
    memcpy(values[0], &x.least, sizeof values[0]);
    memcpy(values[1], &x.largest, sizeof values[1]);
    for (int k = 0; k < 2; k++) {
        ELEMENT *to = k ? largest : least;
        if (!(k ? WANTS_LARGEST(op) : WANTS_LEAST(op)))
            continue;
        for (size_t j = 0; j < columns; j++) {
            to[j] = values[k][j];
#if FLOATING
            if (NAME(is_open)(to[j], k, op)) {
                const ELEMENT sought = NAME(sought)(to[j], k);
                const char *at = p + j * sizeof(ELEMENT);
                int found = 0;
                for (size_t i = 0; i < rows && !found; i++, at += row_stride)
                    found = memcmp(at, &sought, sizeof sought) == 0;
                to[j] = NAME(closed)(to[j], k, found);
            }
#endif
        }
    }
}

/* Every a[j] becomes the result of two runs of elements, from those of each, a[j] and b[j]. */
NOINLINE void NAME(merge)(ELEMENT *a, const ELEMENT *b, size_t n, int largest, int wants_nan)
{
    for (size_t j = 0; j < n; j++) {
        if (HOOK(missing)(a[j]) || HOOK(missing)(b[j])) {
            if (HOOK(missing)(a[j]) != wants_nan)
                a[j] = b[j];
        } else if (largest ? HOOK(key)(b[j]) > HOOK(key)(a[j])
                           : HOOK(key)(b[j]) < HOOK(key)(a[j])) {
            a[j] = b[j];
        }
    }
}

typedef void (*NAME(strips_function))(const char *p, size_t rows, ptrdiff_t row_stride,
                                      size_t columns, ELEMENT *least, ELEMENT *largest);

/* Each column's results; rows and columns at least one. `strips` and `sliver` are those of `op`,
 * compiled once. */
INLINE void NAME(ends_of_columns)(const void *data, size_t rows, ptrdiff_t row_stride,
                                  size_t columns, void *least_out, void *largest_out, const int op,
                                  const NAME(strips_function) strips,
                                  const NAME(strips_function) sliver)
{
    const size_t lanes = NUMBER_OF_LANES;
    const char *p = data;
    ELEMENT *least = least_out, *largest = largest_out;
    if (row_stride < 0) {
        p += (ptrdiff_t)(rows - 1) * row_stride;
        row_stride = -row_stride;
    }
    /* A few packed columns are repeated side by side to fill vectors. */
    const size_t repeat = columns < 4 && lanes > 1 ? 4 * lanes : lanes;
    if (row_stride == (ptrdiff_t)(columns * sizeof(ELEMENT)) && columns % lanes &&
        columns < 4 * lanes && columns * repeat <= TILE && rows >= 2 * repeat) {
        ELEMENT wide[2][TILE], rest[2][4 * NUMBER_OF_LANES];
        const size_t width = columns * repeat, times = rows / repeat, left = rows % repeat;
        strips(p, times, (ptrdiff_t)repeat * row_stride, width, wide[0], wide[1]);
        p += (ptrdiff_t)(times * repeat) * row_stride;
        if (left && columns < lanes)
            sliver(p, left, row_stride, columns, rest[0], rest[1]);
        else if (left)
            strips(p, left, row_stride, columns, rest[0], rest[1]);
        for (int k = 0; k < 2; k++) {
            ELEMENT *to = k ? largest : least;
            if (!(k ? WANTS_LARGEST(op) : WANTS_LEAST(op)))
                continue;
            for (size_t half = width / 2; half >= columns; half /= 2)
                NAME(merge)(wide[k], wide[k] + half, half, k, WANTS_NAN(op));
            if (left)
                NAME(merge)(wide[k], rest[k], columns, k, WANTS_NAN(op));
            memcpy(to, wide[k], columns * sizeof(ELEMENT));
        }
        return;
    }
    if (columns < lanes)
        sliver(p, rows, row_stride, columns, least, largest);
    else
        strips(p, rows, row_stride, columns, least, largest);
}

INLINE int NAME(any_word)(const BITS *v)
{
    vec_u64 words = {0};
    memcpy(&words, v, sizeof *v);
    return any_lane(words);
}

/* The first lane that has a bit set, of which there is one. */
INLINE size_t NAME(first_lane)(const BITS *found)
{
    uint64_t words[sizeof(BITS) < 8 ? 1 : sizeof(BITS) / 8] = {0};
    size_t k = 0;
    memcpy(words, found, sizeof *found);
    while (!words[k])
        k++;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    const size_t bit = (size_t)__builtin_clzll(words[k]);
#else
    const size_t bit = (size_t)__builtin_ctzll(words[k]);
#endif
    return (8 * k + bit / 8) / sizeof(ELEMENT);
}

/* The first of n elements that counts as equal to `value`, n if there is none. */
static size_t NAME(find)(const void *data, size_t n, const void *value)
{
    const char *p = data;
    const size_t lanes = NUMBER_OF_LANES;
    ELEMENT all[NUMBER_OF_LANES], one;
    BITS wanted, v, found[4];
    memcpy(&one, value, sizeof one);
    for (size_t l = 0; l < lanes; l++)
        all[l] = one;
    HOOK(same_bits)((const char *)all, &wanted);
    if (lanes <= 16 && lanes <= n && n <= SHORT_FIND * lanes) {
        /* From the last vector back: the first that matches is what stays in a lane. No branch
         * depends on the elements, which would be mispredicted once a row. */
        BITS place = ~(BITS){0};
        WORD lane[NUMBER_OF_LANES];
        const size_t vectors = n / lanes;
        if (n % lanes) {
            HOOK(same_bits)(p + (n - lanes) * sizeof(ELEMENT), &v);
            v = MATCH(v, wanted);
            place = (v & ((BITS){0} + (WORD)SHORT_FIND)) | (~v & place);
        }
        for (size_t k = vectors; k-- > 0;) {
            HOOK(same_bits)(p + k * lanes * sizeof(ELEMENT), &v);
            v = MATCH(v, wanted);
            place = (v & ((BITS){0} + (WORD)k)) | (~v & place);
        }
        memcpy(lane, &place, sizeof lane);
        size_t first = n;
        for (size_t l = 0; l < lanes; l++) {
            const size_t at = lane[l] == SHORT_FIND ? n - lanes + l : (size_t)lane[l] * lanes + l;
            first = lane[l] != (WORD) ~(WORD)0 && at < first ? at : first;
        }
        return first;
    }
    size_t i = 0;
    for (; i + 4 * lanes <= n; i += 4 * lanes) {
        vec_u64 any[4];
        for (int k = 0; k < 4; k++) {
            HOOK(same_bits)(p + (i + (size_t)k * lanes) * sizeof(ELEMENT), &v);
            found[k] = MATCH(v, wanted);
        }
        memset(any, 0, sizeof any);
        for (int k = 0; k < 4; k++)
            memcpy(&any[k], &found[k], sizeof found[k]);
        if (!any_lane(any[0] | any[1] | any[2] | any[3]))
            continue;
        size_t k = 0;
        while (!NAME(any_word)(&found[k]))
            k++;
        return i + k * lanes + NAME(first_lane)(&found[k]);
    }
    if (n < lanes) {
        for (; i < n; i++) {
            memcpy(&one, p + i * sizeof(ELEMENT), sizeof one);
            if (HOOK(same)(one, all[0]))
                return i;
        }
        return n;
    }
    /* What the last vector shares with the one before is known not to match. */
    for (; i < n; i += lanes) {
        const size_t at = i + lanes <= n ? i : n - lanes;
        HOOK(same_bits)(p + at * sizeof(ELEMENT), &v);
        found[0] = MATCH(v, wanted);
        if (NAME(any_word)(&found[0]))
            return at + NAME(first_lane)(&found[0]);
    }
    return n;
}

#ifdef PLACES_OF_RUNS
/* Takes the elements at p, the first of them number `from`, where they are better than what lanes
 * have; NaN never are. */
INLINE void NAME(take_places)(KEY *best, BITS *number, BITS *nan, const char *p, size_t from,
                              const int largest)
{
    KEY v;
    memcpy(&v, p + from * sizeof(ELEMENT), sizeof v);
    const BITS better = largest ? WHERE(v > *best) : WHERE(v < *best);
    *best = (KEY)((better & (BITS)v) | (~better & (BITS)*best));
    *number = (better & ((BITS){0} + (WORD)from)) | (~better & *number);
#if FLOATING
    *nan |= WHERE(v != v);
#else
    (void)nan;
#endif
}

/* The first place of the least or the largest of n elements, at least a vector of them and fewer
 * than 2^31, in one pass: each lane keeps its best element so far and where it was. */
INLINE size_t NAME(place_of_run)(const void *data, size_t n, const int largest)
{
    enum { CHAINS = 2 };
    const char *p = data;
    const size_t lanes = NUMBER_OF_LANES;
    KEY best[CHAINS], top;
    BITS number[CHAINS], place, nan;
    WORD first[NUMBER_OF_LANES];
    ELEMENT all[NUMBER_OF_LANES];
    memset(&nan, 0, sizeof nan);
    for (int c = 0; c < CHAINS; c++) {
        memcpy(&best[c], p, sizeof best[c]);
        memset(&number[c], 0, sizeof number[c]);
    }
    NAME(take_places)(&best[0], &number[0], &nan, p, 0, largest);
    size_t from = lanes;
    for (; from + CHAINS * lanes <= n; from += CHAINS * lanes)
        for (int c = 0; c < CHAINS; c++)
            NAME(take_places)(&best[c], &number[c], &nan, p, from + (size_t)c * lanes, largest);
    for (int c = 0; c < CHAINS - 1; c++, from += lanes)
        if (from + lanes <= n)
            NAME(take_places)(&best[c], &number[c], &nan, p, from, largest);
    NAME(take_places)(&best[CHAINS - 1], &number[CHAINS - 1], &nan, p, n - lanes, largest);
#if FLOATING
    if (NAME(any_word)(&nan)) {
        const ELEMENT missing = (ELEMENT)NAN;
        return NAME(find)(data, n, &missing);
    }
#endif
    for (size_t l = 0; l < lanes; l++)
        first[l] = (WORD)l;
    memcpy(&place, first, sizeof place);
    for (int c = 0; c < CHAINS; c++)
        number[c] += place;
    top = best[0];
    for (int c = 1; c < CHAINS; c++)
        top = largest ? HOOK(largest)(top, best[c]) : HOOK(least)(top, best[c]);
    NAME(fold)(&top, !largest);
    memcpy(all, &top, sizeof all);
    for (size_t l = 1; l < lanes; l++)
        all[l] = all[0];
    memcpy(&top, all, sizeof top);
    place = (BITS){0} + (WORD)n;
    for (int c = 0; c < CHAINS; c++) {
        const BITS here = MATCH(best[c], top) & WHERE(number[c] < place);
        place = (here & number[c]) | (~here & place);
    }
    memcpy(first, &place, sizeof first);
    WORD least = first[0];
    for (size_t l = 1; l < lanes; l++)
        least = first[l] < least ? first[l] : least;
    return (size_t)least;
}

static size_t NAME(place_of_least)(const void *data, size_t n)
{
    return NAME(place_of_run)(data, n, 0);
}

static size_t NAME(place_of_largest)(const void *data, size_t n)
{
    return NAME(place_of_run)(data, n, 1);
}
#undef PLACES_OF_RUNS
#endif

INLINE int NAME(any_wanted)(const uint8_t *wanted)
{
    uint64_t words[NUMBER_OF_LANES < 8 ? 1 : NUMBER_OF_LANES / 8] = {0}, any = 0;
    memcpy(words, wanted, NUMBER_OF_LANES);
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        any |= words[k];
    return any != 0;
}

/* The same for each of the columns that are wanted, down the column. */
static void NAME(find_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                               const void *values, const uint8_t *wanted, int64_t *places)
{
    const char *p = data;
    const ELEMENT *value = values;
    const size_t lanes = NUMBER_OF_LANES;
    if (columns < lanes) {
        for (size_t j = 0; j < columns; j++) {
            const char *q = p + j * sizeof(ELEMENT);
            ELEMENT one;
            for (size_t r = 0; wanted[j] && r < rows; r++, q += row_stride) {
                memcpy(&one, q, sizeof one);
                if (HOOK(same)(one, value[j])) {
                    places[j] = (int64_t)r;
                    break;
                }
            }
        }
        return;
    }
    for (size_t s = 0; s < columns; s += lanes) {
        const size_t j = s + lanes <= columns ? s : columns - lanes;
        const char *q = p + j * sizeof(ELEMENT);
        WORD lane[NUMBER_OF_LANES];
        BITS v, target, left;
        if (!NAME(any_wanted)(wanted + j))
            continue;
        HOOK(same_bits)((const char *)(value + j), &target);
        if (rows <= STREAMS) {
            /* From the last row up: the first that matches is what stays. No branch depends on the
             * elements. */
            BITS place = {0};
            q += (ptrdiff_t)rows * row_stride;
            for (size_t r = rows; r-- > 0;) {
                q -= row_stride;
                HOOK(same_bits)(q, &v);
                v = MATCH(v, target);
                place = (v & ((BITS){0} + (WORD)r)) | (~v & place);
            }
            memcpy(lane, &place, sizeof lane);
            for (size_t l = 0; l < lanes; l++)
                places[j + l] = wanted[j + l] ? (int64_t)lane[l] : places[j + l];
            continue;
        }
        for (size_t l = 0; l < lanes; l++)
            lane[l] = (WORD)(wanted[j + l] ? -1 : 0);
        memcpy(&left, lane, sizeof left);
        for (size_t r = 0; r < rows && NAME(any_word)(&left); r++, q += row_stride) {
            HOOK(same_bits)(q, &v);
            v = MATCH(v, target) & left;
            if (!NAME(any_word)(&v))
                continue;
            left &= ~v;
            memcpy(lane, &v, sizeof lane);
            for (size_t l = 0; l < lanes; l++)
                if (lane[l])
                    places[j + l] = (int64_t)r;
        }
    }
}

#undef NAME
#undef HOOK
#undef NUMBER_OF_LANES
#undef WHERE
#undef MATCH
#undef TYPE
#undef ELEMENT
#undef KEY
#undef BITS
#undef WORD
#undef FLAG
#undef FLOATING
#undef ONE_LANE
#undef KEY_LARGEST
#undef KEY_LEAST
