/* Choices, elements, guarded memory and failures for the C tests. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "common.h"

#include <float.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- choices ---- */

static uint64_t generator = 1;
static const uint8_t *tape;
static size_t tape_left;

void seed_choices(uint64_t seed)
{
    generator = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    tape_left = 0;
}

void choose_from(const uint8_t *bytes, size_t n)
{
    generator = 1;
    tape = bytes;
    tape_left = n;
}

static uint64_t read_tape(size_t bytes)
{
    uint64_t value = 0;
    for (size_t k = 0; k < bytes && tape_left; k++, tape_left--)
        value = value << 8 | *tape++;
    return value;
}

uint64_t choose_bits(void)
{
    if (tape_left)
        return read_tape(8);
    generator ^= generator << 13;
    generator ^= generator >> 7;
    generator ^= generator << 17;
    return generator * UINT64_C(0x2545f4914f6cdd1d);
}

size_t choose(size_t n)
{
    if (tape_left)
        return (size_t)(read_tape(n > 256 ? n > 65536 ? 4 : 2 : 1) % n);
    return (size_t)((choose_bits() >> 33) % n);
}

/* ---- elements ---- */

typedef struct {
    int fraction, exponent; /* bits */
} float_format;

static const float_format half = {10, 5}, single = {23, 8}, binary64 = {52, 11};

static uint64_t sign_of(const float_format *f)
{
    return (choose_bits() >> 40 & 1) << (f->fraction + f->exponent);
}

static uint64_t float_bits(const float_format *f, uint64_t exponent)
{
    const uint64_t fraction = choose_bits() & ((UINT64_C(1) << f->fraction) - 1);
    return sign_of(f) | exponent << f->fraction | fraction;
}

static uint64_t special_float(const float_format *f)
{
    const uint64_t one = UINT64_C(1) << f->fraction, top = (UINT64_C(1) << f->exponent) - 1;
    const uint64_t values[] = {
        0,
        1,
        one - 1,
        one,
        top * one - 1,
        top * one,             /* infinity */
        top * one + (one / 2), /* a quiet NaN */
        (top / 2) * one        /* 1.0 */
    };
    return sign_of(f) | values[choose(sizeof values / sizeof *values)];
}

static uint64_t one_float(const float_format *f, element_kind kind, uint64_t before, size_t i)
{
    const uint64_t top = (UINT64_C(1) << f->exponent) - 1;
    const uint64_t negative = UINT64_C(1) << (f->fraction + f->exponent);
    switch (kind) {
    case ANY_BITS:
        return choose_bits() & (2 * negative - 1);
    case MINUS_ZEROS:
        return negative;
    case SPECIAL:
        if (choose(8) == 0)
            return special_float(f);
        break;
    case WIDE:
        return float_bits(f, choose((size_t)top));
    case CANCELLING:
        if (i % 2)
            return before ^ negative ^ (choose(8) == 0);
        return float_bits(f, choose((size_t)top - 1));
    default:
        break;
    }
    return float_bits(f, top / 2 - 3 + choose(6));
}

static const float_format *format_of(int type)
{
    switch (type) {
    case PARSUM_FLOAT16:
        return &half;
    case PARSUM_FLOAT32:
    case PARSUM_COMPLEX64:
        return &single;
    default:
        return &binary64;
    }
}

int is_long(int type)
{
    return type == PARSUM_LONGDOUBLE || type == PARSUM_CLONGDOUBLE;
}

int is_complex(int type)
{
    return type == PARSUM_COMPLEX64 || type == PARSUM_COMPLEX128 || type == PARSUM_CLONGDOUBLE;
}

static int is_floating(int type)
{
    return type >= PARSUM_FLOAT16 && type != PARSUM_TIME;
}

/* An integer's low bytes, wherever this machine has them. */
static void store_low(void *to, uint64_t value, size_t size)
{
    const uint8_t byte = (uint8_t)value;
    const uint16_t two = (uint16_t)value;
    const uint32_t four = (uint32_t)value;
    memcpy(to,
           size == 1   ? (const void *)&byte
           : size == 2 ? (const void *)&two
           : size == 4 ? (const void *)&four
                       : (const void *)&value,
           size);
}

static uint64_t load_low(const void *from, size_t size)
{
    uint8_t byte;
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (size) {
    case 1:
        memcpy(&byte, from, size);
        return byte;
    case 2:
        memcpy(&two, from, size);
        return two;
    case 4:
        memcpy(&four, from, size);
        return four;
    default:
        memcpy(&eight, from, size);
        return eight;
    }
}

static void fill_floats(int type, element_kind kind, char *data, size_t n)
{
    const float_format *f = format_of(type);
    const size_t parts = is_complex(type) ? 2 : 1, size = parsum_type_size[type] / parts;
    uint64_t bits[2] = {0, 0};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < parts; k++) {
            bits[k] = one_float(f, kind, bits[k], i);
            char *to = data + (i * parts + k) * size;
            if (is_long(type)) {
                const double value = double_of(bits[k]);
                long double wide = (long double)value;
                if (isfinite(value) && kind != MINUS_ZEROS)
                    wide += (long double)value * (long double)0x1p-58;
                memset(to, 0, size);
                memcpy(to, &wide, LDBL_MANT_DIG == 64 ? 10 : size);
            } else {
                store_low(to, bits[k], size);
            }
        }
}

static uint64_t special_integer(size_t size)
{
    const uint64_t top = UINT64_C(1) << (8 * size - 1);
    const uint64_t values[] = {0, 1, UINT64_MAX, top, top - 1, top + 1};
    return values[choose(sizeof values / sizeof *values)];
}

void fill(int type, element_kind kind, void *data, size_t n)
{
    const size_t size = parsum_type_size[type];
    if (is_floating(type)) {
        fill_floats(type, kind, data, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t value = choose(201) - UINT64_C(100);
        if (kind == MINUS_ZEROS)
            value = 0;
        else if (type == PARSUM_BOOL)
            value = value & 1;
        else if (kind == ANY_BITS || kind == WIDE || kind == CANCELLING)
            value = choose_bits();
        else if (kind == SPECIAL && choose(8) == 0)
            value = special_integer(size);
        store_low((char *)data + i * size, value, size);
    }
}

int is_nan(int type, const void *element)
{
    if (type == PARSUM_TIME)
        return load_low(element, 8) == UINT64_C(1) << 63;
    if (!is_floating(type))
        return 0;
    const size_t parts = is_complex(type) ? 2 : 1, size = parsum_type_size[type] / parts;
    for (size_t k = 0; k < parts; k++) {
        const char *part = (const char *)element + k * size;
        if (is_long(type)) {
            long double value;
            memcpy(&value, part, sizeof value);
            if (isnan(value))
                return 1;
        } else {
            const float_format *f = format_of(type);
            const uint64_t bits = load_low(part, size);
            const uint64_t magnitude = bits & ((UINT64_C(1) << (f->fraction + f->exponent)) - 1);
            if (magnitude > ((UINT64_C(1) << f->exponent) - 1) << f->fraction)
                return 1;
        }
    }
    return 0;
}

/* ---- memory ---- */

enum { GUARDED = 16, WATCHED = 128, WATCHED_BYTE = 0xa5 };

static struct {
    char *pages;
    size_t bytes; /* of all pages, guards among them */
    char *memory;
    size_t size;
} guards[GUARDED];

static struct {
    const char *operation, *method, *what;
    int element;
    size_t n;
} doing = {"-", "-", "begin", 0, 0};

void now_doing(const parsum_reduction *row, const char *what, size_t n)
{
    doing.operation = row->operation;
    doing.method = row->method ? row->method : "-";
    doing.element = row->element;
    doing.what = what;
    doing.n = n;
}

static void say_doing(void)
{
    char text[200];
    const int length = snprintf(text, sizeof text, "at %s %s, type %d, %s, n = %zu, level %s\n",
                                doing.operation, doing.method, doing.element, doing.what, doing.n,
                                parsum_level_name(parsum_level()));
    if (write(2, text, (size_t)length) < 0)
        _exit(3);
}

static void on_fault(int number)
{
    static const char text[] = "memory that is not the array's was touched ";
    if (write(2, text, sizeof text - 1) >= 0)
        say_doing();
    signal(number, SIG_DFL);
    raise(number);
}

void watch_for_faults(void)
{
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
}

_Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    say_doing();
    abort();
}

static size_t watched(ptrdiff_t room)
{
    return room < WATCHED ? (size_t)room : WATCHED;
}

void *guarded(size_t size, int front)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t inside = (size + page - 1) / page * page;
    int k = 0;
    while (k < GUARDED && guards[k].memory)
        k++;
    if (k == GUARDED)
        fail("more than %d pieces of guarded memory", GUARDED);
    if (guards[k].bytes < inside + 2 * page) {
        if (guards[k].pages)
            munmap(guards[k].pages, guards[k].bytes);
        guards[k].bytes = inside + 2 * page;
        guards[k].pages =
            mmap(NULL, guards[k].bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (guards[k].pages == MAP_FAILED || mprotect(guards[k].pages, page, PROT_NONE) ||
            mprotect(guards[k].pages + guards[k].bytes - page, page, PROT_NONE))
            fail("mmap or mprotect failed");
    }
    char *begin = guards[k].pages + page, *end = guards[k].pages + guards[k].bytes - page;
    char *memory = front ? begin : end - size;
    if (front)
        memset(memory + size, WATCHED_BYTE, watched(end - memory - (ptrdiff_t)size));
    else
        memset(memory - watched(memory - begin), WATCHED_BYTE, watched(memory - begin));
    guards[k].size = size;
    guards[k].memory = memory;
    return guards[k].memory;
}

void return_guarded(void *memory)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int k = 0; k < GUARDED; k++) {
        if (guards[k].memory != memory || !memory)
            continue;
        const char *begin = guards[k].pages + page, *end = guards[k].pages + guards[k].bytes - page;
        const char *after = guards[k].memory + guards[k].size;
        const char *open =
            after == end ? guards[k].memory - watched(guards[k].memory - begin) : after;
        const size_t n = watched(after == end ? guards[k].memory - begin : end - after);
        for (size_t i = 0; i < n; i++)
            if ((uint8_t)open[i] != WATCHED_BYTE)
                fail("a byte outside of an array was written");
        guards[k].memory = NULL;
        return;
    }
    fail("memory that was not guarded is returned");
}

void *room_for(size_t size)
{
    void *memory = NULL;
    if (posix_memalign(&memory, STATE_ALIGNMENT, size ? size : 1))
        fail("no memory");
    return memory;
}

/* ---- results ---- */

size_t canonical(int type, const void *results, size_t n, uint8_t *out)
{
    const size_t parts = is_complex(type) ? 2 : 1, size = parsum_type_size[type] / parts;
    const size_t used = is_long(type) && LDBL_MANT_DIG == 64 ? 10 : size;
    const int part = type == PARSUM_COMPLEX64     ? PARSUM_FLOAT32
                     : type == PARSUM_COMPLEX128  ? PARSUM_FLOAT64
                     : type == PARSUM_CLONGDOUBLE ? PARSUM_LONGDOUBLE
                                                  : type;
    size_t written = 0;
    for (size_t k = 0; k < n * parts; k++) {
        const char *from = (const char *)results + k * size;
        uint8_t *to = out + written;
        written += used;
        if (is_floating(part) && is_nan(part, from)) {
            memset(to, 0xff, used);
        } else if (size > 8) {
            memcpy(to, from, used);
        } else {
            const uint64_t value = load_low(from, size);
            for (size_t byte = 0; byte < size; byte++)
                to[byte] = (uint8_t)(value >> 8 * byte);
        }
    }
    return written;
}

/* FNV-1a. */
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
    const uint8_t *byte = bytes;
    for (size_t k = 0; k < n; k++)
        hash = (hash ^ byte[k]) * UINT64_C(0x100000001b3);
    return hash;
}

int is_portable(const parsum_reduction *row, int type)
{
    return !is_long(row->element) && !is_long(type) && strcmp(row->operation, "norm_p") != 0;
}

double parameter_of(const parsum_reduction *row)
{
    return strcmp(row->operation, "norm_p") == 0 ? 2.5 : 1;
}

void prepare_result(const parsum_reduction *row, int type, void *result)
{
    memset(result, 0, RESULT_ROOM);
    if (row->takes_result)
        for (int k = 0; k < parsum_values(row); k++)
            parsum_store(type, 0.5, (char *)result + (size_t)k * parsum_type_size[type]);
}

void for_each_row(void (*visit)(const parsum_reduction *row))
{
    for (const parsum_reduction *const *table = parsum_tables; *table; table++)
        for (const parsum_reduction *row = *table; row->operation; row++)
            visit(row);
}

static size_t counted;

static void count(const parsum_reduction *row)
{
    (void)row;
    counted++;
}

size_t count_rows(void)
{
    counted = 0;
    for_each_row(count);
    return counted;
}

int is_level_wanted(int level)
{
    const char *only = getenv("PARSUM_CPU_LEVEL");
    return parsum_level_usable(level) && (!only || strcmp(only, parsum_level_name(level)) == 0);
}

int use_level(int level)
{
    return is_level_wanted(level) ? parsum_use_level(level) : PARSUM_BAD_ARGUMENT;
}
