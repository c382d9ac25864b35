/* Scans: sums against plain loops and long integers, every level alike, and the digest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "oracle.h"
#include "scans.h"

static const parsum_scan *const tables[] = {parsum_exact_scans, parsum_integer_scans,
                                            parsum_ordered_scans};

/* Prefixes of every third length, each summed from the start. */
static void against_oracle(const parsum_scan *scan, int type, const char *data, const char *result,
                           size_t n)
{
    if (strcmp(scan->operation, "sum") != 0 || scan->element != PARSUM_FLOAT64 ||
        type != PARSUM_FLOAT64 || !scan->method || strcmp(scan->method, "exact") != 0)
        return;
    oracle sum;
    oracle_clear(&sum);
    for (size_t i = 0; i < n; i++) {
        double value, found;
        memcpy(&value, data + i * sizeof value, sizeof value);
        memcpy(&found, result + i * sizeof found, sizeof found);
        oracle_add(&sum, value);
        const uint64_t expected = oracle_round(&sum, 0, 52, 11);
        if (is_nan(type, &found) ? (expected & ~SIGN_BIT) <= INFINITY_BITS
                                 : bits_of(found) != expected)
            fail("prefix %zu has bits %llx, but %llx are right", i,
                 (unsigned long long)bits_of(found), (unsigned long long)expected);
    }
}

static uint64_t digest, level_hash;

static void check_shape(const parsum_scan *scan, int type, element_kind kind, size_t outer,
                        size_t n, size_t inner, int digested)
{
    const size_t count = outer * n * inner, size = parsum_type_size[type];
    char *data = guarded(count * parsum_type_size[scan->element], n % 2 == 0);
    char *result = guarded(count * size, n % 2 == 1);
    uint8_t *bytes = room_for(count * size);
    fill(scan->element, kind, data, count);
    const int flags = parsum_scan_axis(scan, data, outer, n, inner, type, result);
    if (flags < 0)
        fail("a scan was refused: %d", flags);
    if (outer == 1 && inner == 1)
        against_oracle(scan, type, data, result, n);
    const size_t length = canonical(type, result, count, bytes);
    level_hash = hash_bytes(level_hash ^ (uint64_t)flags, bytes, length);
    if (digested && !is_long(scan->element) && !is_long(type))
        digest = hash_bytes(digest ^ (uint64_t)flags, bytes, length);
    free(bytes);
    return_guarded(data);
    return_guarded(result);
}

static void check_scan(const parsum_scan *scan, int scale, int digested)
{
    static const size_t lengths[] = {1, 2, 3, 7, 9, 33, 130, 1025, 64, 129, 511, 1023, 1024, 2500};
    const parsum_reduction names = {.operation = scan->operation, .element = scan->element};
    for (int type = 0; type < PARSUM_TYPES; type++) {
        if (!(scan->results >> type & 1))
            continue;
        for (element_kind kind = 0; kind < KINDS; kind++) {
            for (size_t k = 0; k < (scale ? 14 : 8); k++) {
                now_doing(&names, "scans", lengths[k]);
                check_shape(scan, type, kind, 1, lengths[k], 1, digested && k < 8);
            }
            now_doing(&names, "scans of rows and columns", 0);
            check_shape(scan, type, kind, 5, 9, 1, digested);
            check_shape(scan, type, kind, 1, 9, 19, digested);
            check_shape(scan, type, kind, 3, 130, 2, digested);
        }
    }
}

uint64_t check_scans(int scale)
{
    uint64_t of_first = 0;
    int first = 1;
    digest = HASH_START;
    for (int level = 0; level < parsum_levels(); level++) {
        if (use_level(level))
            continue;
        seed_choices(5);
        level_hash = HASH_START;
        /* Choices are the same whatever is digested, so lengths that are not come last. */
        for (size_t k = 0; k < sizeof tables / sizeof *tables; k++)
            for (const parsum_scan *scan = tables[k]; scan->operation; scan++) {
                seed_choices((uint64_t)(k * 1000 + (size_t)(scan - tables[k])));
                check_scan(scan, 0, first);
            }
        for (size_t k = 0; scale && k < sizeof tables / sizeof *tables; k++)
            for (const parsum_scan *scan = tables[k]; scan->operation; scan++)
                check_scan(scan, scale, 0);
        if (first)
            of_first = level_hash;
        else if (level_hash != of_first)
            fail("scans at level %s differ from those of the first", parsum_level_name(level));
        first = 0;
    }
    printf("digest scans: %016llx\n", (unsigned long long)digest);
    return digest;
}
