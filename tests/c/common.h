/* What the C tests share: choices at random that are the same on every machine, elements of all
 * kinds, memory that ends at a page which must not be touched, and one way to fail. */
#ifndef TESTS_COMMON_H
#define TESTS_COMMON_H

#include <stddef.h>
#include <stdint.h>

#include "parsum.h"
#include "reductions.h"

/* ---- choices ---- */

void seed_choices(uint64_t seed);
/* Choices are read off these bytes, as a fuzzer gives them, until they are used up. */
void choose_from(const uint8_t *bytes, size_t n);
uint64_t choose_bits(void);
size_t choose(size_t n); /* a number below n */

/* ---- elements ---- */

typedef enum {
    ORDINARY, /* of a few binades */
    WIDE,     /* of all exponents */
    SPECIAL,  /* ordinary ones, and every eighth a special value or a bound of its type */
    ANY_BITS,
    MINUS_ZEROS,
    CANCELLING, /* wide ones, each followed by its negative or next to it */
    KINDS
} element_kind;

void fill(int type, element_kind kind, void *data, size_t n);
int is_long(int type);    /* of long doubles, which differ from machine to machine */
int is_complex(int type); /* of two parts */
int is_nan(int type, const void *element); /* or NaT, or either part is NaN */

/* ---- memory ---- */

/* `size` bytes, of which one end (the `front` one or the other) is that of a page: what is beyond
 * cannot be touched without a signal. On the other side return_guarded looks for bytes that were
 * written. */
void *guarded(size_t size, int front);
void return_guarded(void *memory);
void watch_for_faults(void);
/* What is being done, for failures and faults. The texts must stay. */
void now_doing(const parsum_reduction *row, const char *what, size_t n);

/* Aligned as states are. */
void *room_for(size_t size);

/* ---- results ---- */

/* The bits of n results in the order of a little-endian machine; all NaNs are one, as machines
 * differ in the sign of those that they make, and padding is none. */
size_t canonical(int type, const void *results, size_t n, uint8_t *out);
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n);
#define HASH_START UINT64_C(0xcbf29ce484222325)

/* Whether rows of elements and results of these types are the same on all machines: long doubles
 * are not, nor what the C library's pow gives. */
int is_portable(const parsum_reduction *row, int type);
/* The parameter that tests give an operation. */
double parameter_of(const parsum_reduction *row);
/* Fills what a finish that takes its results finds there (the mean that a variance is about). */
void prepare_result(const parsum_reduction *row, int type, void *result);
enum { RESULT_ROOM = 64 * 32 }; /* bytes that the results of any row fit in */

/* Says what failed and ends the program. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether this CPU can run a level and PARSUM_CPU_LEVEL does not name another. */
int is_level_wanted(int level);
/* Uses such a level, as parsum_use_level does. */
int use_level(int level);

/* Calls visit for every row of the library. */
void for_each_row(void (*visit)(const parsum_reduction *row));
size_t count_rows(void);

#endif
