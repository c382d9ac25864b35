/* Every row at every CPU level: the same bits, in one piece or in parts, and on every machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"

/* Those of the digest come first. */
static const size_t lengths[] = {0,   1,   2,    3,    4,    5,    7,    9,    17,  33,
                                 130, 700, 1025, 2049, 6,    8,    15,   16,   31,  32,
                                 63,  64,  65,   127,  128,  129,  255,  256,  257, 511,
                                 512, 513, 1023, 1024, 2047, 2048, 4095, 4096, 4097};
enum { ALL_LENGTHS = sizeof lengths / sizeof *lengths, DIGESTED = 14, MOST = 4097 };

/* Elements of each type and kind, made once; results of every level must be those of the first. */
static char *pool[PARSUM_TYPES][KINDS];
static uint64_t *of_first_level;
static size_t row_number;
static int first_level, used_lengths;
static uint64_t row_hash, portable_hash;

typedef struct {
    const char *operation;
    uint64_t hash;
} operation_digest;
static operation_digest digests[256];
static size_t digest_count;

static void make_pool(void)
{
    for (int type = 0; type < PARSUM_TYPES; type++)
        for (element_kind kind = 0; kind < KINDS; kind++) {
            const size_t size = parsum_type_size[type];
            if (!pool[type][kind])
                pool[type][kind] = room_for(3 * MOST * size);
            seed_choices((uint64_t)(type * KINDS) + kind + 1);
            fill(type, kind, pool[type][kind], 3 * MOST);
        }
}

/* Takes one result of one length into the hashes. */
static void take_result(const parsum_reduction *row, int type, int flags, const void *result,
                        int digested)
{
    uint8_t bytes[RESULT_ROOM];
    const uint8_t tags[2] = {(uint8_t)type, (uint8_t)flags};
    const size_t n = canonical(type, result, (size_t)parsum_values(row), bytes);
    row_hash = hash_bytes(hash_bytes(row_hash, tags, 2), bytes, n);
    if (digested && is_portable(row, type))
        portable_hash = hash_bytes(hash_bytes(portable_hash, tags, 2), bytes, n);
}

static void same_results(const parsum_reduction *row, const void *state, const void *other,
                         const char *how)
{
    if (memcmp(state, other, row->state_size) == 0)
        return;
    for (int type = 0; type < PARSUM_TYPES; type++) {
        if (!(row->results >> type & 1))
            continue;
        char found[RESULT_ROOM], expected[RESULT_ROOM];
        uint8_t bytes[RESULT_ROOM], others[RESULT_ROOM];
        prepare_result(row, type, found);
        prepare_result(row, type, expected);
        const int flags = parsum_finish(row, other, type, found);
        if (parsum_finish(row, state, type, expected) != flags)
            fail("%s: other flags than in one piece", how);
        const size_t values = (size_t)parsum_values(row);
        const size_t n = canonical(type, found, values, bytes);
        canonical(type, expected, values, others);
        if (memcmp(bytes, others, n) != 0)
            fail("%s: another result of type %d than in one piece", how, type);
    }
}

static void take(const parsum_reduction *row, void *state, const char *a, const char *b, size_t n,
                 ptrdiff_t a_stride, ptrdiff_t b_stride)
{
    if (row->accumulate_pairs)
        parsum_accumulate_pairs(row, state, a, b, n, a_stride, b_stride);
    else
        parsum_accumulate(row, state, a, n, a_stride);
}

/* The same elements at other addresses and strides, one at a time in the buffer. */
static void spread(const char *from, size_t n, size_t size, char *to, ptrdiff_t stride)
{
    for (size_t i = 0; i < n; i++)
        memcpy(to + (ptrdiff_t)i * stride, from + i * size, size);
}

static void check_length(const parsum_reduction *row, element_kind kind, size_t n, int digested)
{
    static _Alignas(64) char spreads[2][(MOST + 1) * (ELEMENT_MAX + 24)];
    const size_t size = parsum_type_size[row->element], state_size = row->state_size;
    const ptrdiff_t item = (ptrdiff_t)size;
    const char *a = pool[row->element][kind];
    const char *b = pool[row->element][kind == ORDINARY ? WIDE : ORDINARY] + MOST * size;
    char *state = room_for(state_size), *other = room_for(state_size), *copy = room_for(state_size);
    const double parameter = parameter_of(row);
    now_doing(row, "rows", n);
    parsum_identity(row, parameter, state);
    if (parsum_state_of(row, parameter, a, row->accumulate_pairs ? b : NULL, n, state) < 0)
        fail("the state does not fit the stack");
    if (!parsum_state_valid(row, state))
        fail("the state is not valid");
    for (int type = 0; type < PARSUM_TYPES; type++) {
        if (!(row->results >> type & 1))
            continue;
        char result[RESULT_ROOM];
        prepare_result(row, type, result);
        const int flags = parsum_finish(row, state, type, result);
        take_result(row, type, flags, result, digested);
    }
    parsum_state_copy(row, parameter, copy, state);
    same_results(row, state, copy, "copied");

    /* Where the order of combination shows, a state takes leaves alone. */
    if (!row->ordered || n <= parsum_leaf()) {
        static const ptrdiff_t extra[] = {0, 1, 8, 24};
        for (int k = 0; k < 4; k++) {
            const ptrdiff_t stride = item + extra[k];
            char *first[2];
            for (int j = 0; j < 2; j++) {
                /* Backwards, as seen from memory, if it is odd. */
                first[j] = spreads[j] + (k % 2 && n ? (ptrdiff_t)(n - 1) * stride : 0);
                spread(j ? b : a, n, size, first[j], k % 2 ? -stride : stride);
            }
            parsum_identity(row, parameter, other);
            take(row, other, first[0], first[1], n, k % 2 ? -stride : stride,
                 k % 2 ? -stride : stride);
            same_results(row, state, other, "with strides");
        }
    }
    if (!row->ordered) {
        const size_t cut = n / 3;
        parsum_identity(row, parameter, other);
        parsum_identity(row, parameter, copy);
        take(row, other, a, b, cut, item, item);
        parsum_place(row, copy, 1, (int64_t)cut);
        take(row, copy, a + cut * size, b + cut * size, n - cut, item, item);
        parsum_combine(row, copy, other);
        same_results(row, state, copy, "combined");
    }
    free(state);
    free(other);
    free(copy);
}

static void add_to_digest(const parsum_reduction *row)
{
    size_t k = 0;
    while (k < digest_count && strcmp(digests[k].operation, row->operation) != 0)
        k++;
    if (k == sizeof digests / sizeof *digests)
        fail("more operations than there is room for");
    if (k == digest_count)
        digests[digest_count++] = (operation_digest){row->operation, 0};
    /* Whatever the order of rows in their tables. */
    uint64_t hash = hash_bytes(portable_hash, &(uint8_t){(uint8_t)row->element}, 1);
    if (row->method)
        hash = hash_bytes(hash, row->method, strlen(row->method));
    digests[k].hash += hash;
}

static void check_row(const parsum_reduction *row)
{
    row_hash = portable_hash = HASH_START;
    for (element_kind kind = 0; kind < KINDS; kind++)
        for (int k = 0; k < used_lengths; k++)
            check_length(row, kind, lengths[k], k < DIGESTED);
    if (first_level)
        of_first_level[row_number] = row_hash;
    else if (of_first_level[row_number] != row_hash)
        fail("results are not those of the first level");
    if (first_level && is_portable(row, row->element))
        add_to_digest(row);
    row_number++;
}

uint64_t check_rows(int scale)
{
    used_lengths = scale ? ALL_LENGTHS : DIGESTED;
    of_first_level = calloc(count_rows(), sizeof *of_first_level);
    if (!of_first_level)
        fail("no memory");
    first_level = 1;
    digest_count = 0;
    make_pool();
    for (int level = 0; level < parsum_levels(); level++) {
        if (use_level(level))
            continue;
        row_number = 0;
        for_each_row(check_row);
        first_level = 0;
    }
    free(of_first_level);
    uint64_t digest = 0;
    for (size_t k = 0; k < digest_count; k++) {
        printf("digest %s: %016llx\n", digests[k].operation, (unsigned long long)digests[k].hash);
        digest += digests[k].hash;
    }
    return digest;
}
