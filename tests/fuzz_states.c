/* Throws damaged states at every reduction: whatever parsum_state_valid calls a state, the other
 * functions must take without a crash. Built with sanitizers and csrc by test_state_validity.py.
 *
 * fuzz_states               lists the reductions: operation, method, element type
 * fuzz_states SEED SECONDS [LEVEL]
 *
 * With LIBFUZZER defined it is a target of that: the input chooses all that is random here. */
#define _POSIX_C_SOURCE 200112L
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "parsum.h"
#include "reductions.h"

enum { COLUMNS = 3, MOST = 3000, KEPT = 4 };

static uint64_t seed;
static const uint8_t *input; /* choices come of these bytes first */
static size_t input_left;

static uint64_t any(void)
{
    if (input_left >= 2) {
        /* below() takes the upper half. */
        const uint64_t word = (uint64_t)input[0] << 8 | input[1];
        input += 2;
        input_left -= 2;
        return word * UINT64_C(0x0000000200000001);
    }
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}

static size_t below(size_t n)
{
    return (size_t)(any() >> 33) % n;
}

/* Of exactly that size, so that the sanitizer sees any access beyond. */
static void *room(size_t size)
{
    void *memory = NULL;
    if (posix_memalign(&memory, STATE_ALIGNMENT, size ? size : 1))
        abort();
    memset(memory, (int)any(), size);
    return memory;
}

/* ---- elements, parameters, words ---- */

static double number(void)
{
    static const double special[] = {0,
                                     -0.0,
                                     1,
                                     -1,
                                     0.5,
                                     1e300,
                                     -1e300,
                                     5e-324,
                                     1e-310,
                                     (double)INFINITY,
                                     -(double)INFINITY,
                                     (double)NAN};
    switch (below(4)) {
    case 0:
        return special[below(sizeof special / sizeof *special)];
    case 1:
        return ldexp((double)(int64_t)any(), (int)below(1900) - 1050);
    default:
        return (double)(int64_t)any() * 0x1p-60;
    }
}

static void put_half(double value, char *to)
{
    parsum_round_double(value, PARSUM_FLOAT16, to);
}

/* n elements, which may be bits of any kind. */
static char *elements(int type, size_t n)
{
    const size_t size = parsum_type_size[type];
    char *data = room(n * size);
    const int kind = (int)below(4); /* random bits, numbers of all kinds or of one */
    const int zero = below(8) == 0;
    for (size_t i = 0; i < n; i++) {
        char *p = data + i * size;
        double v[2] = {number(), number()};
        if (kind > 1 || zero)
            v[0] = zero ? 0 : 1 + (double)below(1000) / 7, v[1] = -v[0];
        const float f[2] = {(float)v[0], (float)v[1]};
        const long double l[2] = {v[0], v[1]};
        const uint64_t bits = kind ? below(5) - 2 : any();
        switch (type) {
        case PARSUM_BOOL:
            *p = (char)below(2);
            break;
        case PARSUM_FLOAT16:
            put_half(v[0], p);
            break;
        case PARSUM_FLOAT32:
        case PARSUM_COMPLEX64:
            memcpy(p, f, size);
            break;
        case PARSUM_FLOAT64:
        case PARSUM_COMPLEX128:
            memcpy(p, v, size);
            break;
        case PARSUM_LONGDOUBLE:
        case PARSUM_CLONGDOUBLE:
            memcpy(p, l, size);
            break;
        default:
            memcpy(p, &bits, size);
        }
        if (kind == 0 && type >= PARSUM_FLOAT16 && type <= PARSUM_FLOAT64)
            memcpy(p, &bits, size);
    }
    return data;
}

static double parameter(void)
{
    static const double values[] = {0, 1, 2.5, -1, 0.3, 3, 1e300, (double)NAN, (double)INFINITY};
    return values[below(2) ? below(3) : below(sizeof values / sizeof *values)];
}

/* Words that are at bounds of something, or not. */
static uint64_t word(void)
{
    const double value = number();
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    switch (below(6)) {
    case 0:
        return below(80);
    case 1:
        return -(uint64_t)below(80);
    case 2:
        return (UINT64_C(1) << below(64)) - below(2);
    case 3:
        return -(UINT64_C(1) << below(64)) + below(2);
    case 4:
        return bits;
    default:
        return any();
    }
}

/* ---- states ---- */

/* What functions make of a damaged state may be beyond some bound. */
static int damaged;

static void check(const parsum_reduction *row, const void *state, const char *when)
{
    if (!damaged && !parsum_state_valid(row, state)) {
        fprintf(stderr, "%s, type %d: not valid %s\n", row->operation, row->element, when);
        abort();
    }
}

static size_t count_of_elements(void)
{
    return below(4) ? below(20) : below(MOST);
}

static void accumulate(const parsum_reduction *row, void *state)
{
    const size_t n = count_of_elements(), size = parsum_type_size[row->element];
    const ptrdiff_t step = below(3) ? 1 : 2;
    char *a = elements(row->element, n * (size_t)step), *b = elements(row->element, n);
    if (row->accumulate_pairs)
        parsum_accumulate_pairs(row, state, a, b, n, step * (ptrdiff_t)size, (ptrdiff_t)size);
    else
        parsum_accumulate(row, state, a, n, step * (ptrdiff_t)size);
    free(a);
    free(b);
}

/* As walks do: states side by side, the first of them `state`. */
static void accumulate_columns(const parsum_reduction *row, const void *state)
{
    const size_t size = row->state_size, item = parsum_type_size[row->element];
    const size_t rows = 1 + below(below(8) ? 100 : MOST), columns = 1 + below(COLUMNS);
    char *states = room(columns * size);
    for (size_t j = 0; j < columns; j++) {
        row->identity(states + j * size, 1);
        if (below(2))
            memcpy(states + j * size, state, size);
    }
    char *a = elements(row->element, rows * columns), *b = elements(row->element, rows * columns);
    const int64_t step = below(2) ? 1 : -1;
    if (row->place)
        for (size_t j = 0; j < columns; j++)
            row->place(states + j * size, 1 << 20, step);
    if (row->accumulate_columns)
        row->accumulate_columns(states, a, rows, (ptrdiff_t)(columns * item), columns);
    if (row->accumulate_pair_columns)
        row->accumulate_pair_columns(states, a, b, rows, (ptrdiff_t)(columns * item),
                                     (ptrdiff_t)(columns * item), columns);
    for (size_t j = 0; j < columns; j++)
        check(row, states + j * size, "after accumulating columns");
    free(a);
    free(b);
    free(states);
}

static void finish(const parsum_reduction *row, const void *state)
{
    for (int type = 0; type < PARSUM_TYPES; type++) {
        if (!(row->results >> type & 1))
            continue;
        const size_t values = (size_t)parsum_values(row);
        /* What a reduction takes there is a result of another. */
        char *result = elements(type, values);
        parsum_finish(row, state, type, result);
        free(result);
    }
}

/* All that can be done with a state. */
static void use(const parsum_reduction *row, const void *state, const void *honest)
{
    const size_t size = row->state_size;
    char *a = room(size), *b = room(size);
    finish(row, state);
    if (row->settled)
        row->settled(state);
    parsum_state_copy(row, parameter(), a, state);
    check(row, a, "after copying");
    finish(row, a);
    memcpy(a, state, size);
    memcpy(b, honest, size);
    for (size_t k = below(4); k; k--)
        accumulate(row, a);
    check(row, a, "after accumulating");
    finish(row, a);
    if (!row->accumulate_pairs || row->accumulate_pair_columns)
        accumulate_columns(row, state);
    memcpy(a, below(2) ? a : state, below(2) ? 0 : size);
    parsum_combine(row, b, a);
    check(row, b, "after it was combined");
    parsum_combine(row, a, b);
    check(row, a, "after it was combined with another");
    finish(row, a);
    finish(row, b);
    /* More elements than there can be, by merging. */
    for (size_t k = below(8) ? 0 : 200; k; k--) {
        memcpy(b, a, size);
        parsum_combine(row, a, b);
        if (k % 16 == 0)
            finish(row, a);
    }
    if (row->restart) {
        row->restart(a, parameter());
        check(row, a, "after a restart");
        accumulate(row, a);
        finish(row, a);
    }
    free(a);
    free(b);
}

static void build(const parsum_reduction *row, void *state)
{
    parsum_identity(row, parameter(), state);
    if (row->place && below(2))
        row->place(state, (1 << 20) + (int64_t)below(1000), below(2) ? 1 : -3);
    for (size_t k = below(4); k; k--)
        accumulate(row, state);
}

static void damage(char *state, const char *other, size_t size)
{
    const uint64_t value = word();
    const size_t width = (size_t)1 << below(4), at = below(size);
    const size_t start = at / width * width, left = size - start;
    switch (below(6)) {
    case 0:
        state[at] ^= (char)(1 << below(8));
        break;
    case 1: /* a word, of the width of a field */
        memcpy(state + start, &value, left < width ? left : width);
        break;
    case 2: { /* the same word in a row, as limbs are */
        size_t words = 1 + below(40);
        for (size_t k = at / 8 * 8; words && k + 8 <= size; words--, k += 8)
            memcpy(state + k, &value, 8);
        break;
    }
    case 3: /* a piece of another state */
        memcpy(state + at, other + at, 1 + below(size - at));
        break;
    case 4: { /* a field that grew */
        uint64_t grown = 0;
        memcpy(&grown, state + start, left < width ? left : width);
        grown = below(2) ? grown * 2 : grown + below(9) - 4;
        memcpy(state + start, &grown, left < width ? left : width);
        break;
    }
    default:
        if (below(20) == 0)
            for (size_t k = 0; k < size; k++)
                state[k] = (char)any();
    }
}

/* Damages states, and damages further what is valid still. */
static void attack(const parsum_reduction *row, unsigned long *tried, unsigned long *used)
{
    const size_t size = row->state_size;
    char *kept[KEPT], *honest = room(size), *state = room(size);
    build(row, honest);
    damaged = 0;
    check(row, honest, "as it was made");
    use(row, honest, honest);
    for (int k = 0; k < KEPT; k++) {
        kept[k] = room(size);
        build(row, kept[k]);
    }
    damaged = 1;
    for (int trial = 0; trial < 64; trial++) {
        char *from = kept[below(KEPT)];
        memcpy(state, from, size);
        for (size_t k = 1 + below(5); k; k--)
            damage(state, kept[below(KEPT)], size);
        ++*tried;
        if (!parsum_state_valid(row, state))
            continue;
        ++*used;
        use(row, state, honest);
        memcpy(from, state, size);
    }
    for (int k = 0; k < KEPT; k++)
        free(kept[k]);
    free(honest);
    free(state);
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    unsigned long tried = 0, used = 0;
    const parsum_reduction *const *table = parsum_tables;
    size_t rows = 0;
    seed = 1;
    input = bytes;
    input_left = n;
    for (; *table; table++)
        for (const parsum_reduction *row = *table; row->operation; row++)
            rows++;
    size_t wanted = below(rows);
    for (table = parsum_tables; *table; table++)
        for (const parsum_reduction *row = *table; row->operation; row++)
            if (wanted-- == 0)
                attack(row, &tried, &used);
    return 0;
}
#else
int main(int count, char **arguments)
{
    unsigned long tried = 0, used = 0;
    if (count < 3) {
        for (const parsum_reduction *const *table = parsum_tables; *table; table++)
            for (const parsum_reduction *row = *table; row->operation; row++)
                printf("%s %s %d\n", row->operation, row->method ? row->method : "-", row->element);
        return 0;
    }
    seed = strtoull(arguments[1], NULL, 0) * 2 + 1;
    if (count > 3 && parsum_use_level(atoi(arguments[3])))
        return 2;
    const time_t end = time(NULL) + atoi(arguments[2]);
    do
        for (const parsum_reduction *const *table = parsum_tables; *table; table++)
            for (const parsum_reduction *row = *table; row->operation; row++)
                attack(row, &tried, &used);
    while (time(NULL) < end);
    printf("%lu states damaged, %lu of them valid and used\n", tried, used);
    return 0;
}
#endif
