/* libparsum without Python: the exact sum of numbers, or of a file of float64, by several threads.
 *
 *     sum [-t THREADS] NUMBER...
 *     sum [-t THREADS] -f FILE
 *
 * Each thread takes a slice into a state of its own; the states are combined, in any order. */
#define _POSIX_C_SOURCE 200809L

#include "parsum.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_THREADS = 1024, BLOCK = 1 << 15 };

typedef struct {
    const parsum_reduction *reduction;
    const double *numbers; /* NULL for those of a file */
    int file;
    size_t begin, end; /* numbers of elements */
    void *state;
    const char *error; /* NULL if all went well */
} slice;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "sum: %s: %s\n", what, why);
    exit(1);
}

static const char *read_slice(slice *of)
{
    double *block = malloc(BLOCK * sizeof *block);
    const char *error = block ? NULL : "out of memory";
    for (size_t k = of->begin; !error && k < of->end;) {
        size_t wanted = of->end - k < BLOCK ? of->end - k : BLOCK, got = 0;
        while (!error && got < wanted * sizeof *block) {
            ssize_t bytes = pread(of->file, (char *)block + got, wanted * sizeof *block - got,
                                  (off_t)(k * sizeof *block + got));
            if (bytes > 0)
                got += (size_t)bytes;
            else if (bytes == 0)
                error = "the file became shorter";
            else if (errno != EINTR)
                error = strerror(errno);
        }
        if (!error)
            parsum_accumulate(of->reduction, of->state, block, wanted, sizeof *block);
        k += wanted;
    }
    free(block);
    return error;
}

static void *work(void *argument)
{
    slice *of = argument;
    if (of->numbers)
        parsum_accumulate(of->reduction, of->state, of->numbers + of->begin, of->end - of->begin,
                          sizeof *of->numbers);
    else
        of->error = read_slice(of);
    return NULL;
}

static double sum(const double *numbers, int file, size_t n, int threads, const char *what)
{
    slice slices[MOST_THREADS];
    pthread_t workers[MOST_THREADS];
    const parsum_reduction *reduction = parsum_find("sum", "exact", PARSUM_FLOAT64, PARSUM_FLOAT64);
    size_t state_size = (parsum_state_size(reduction) + 15) / 16 * 16;
    for (int k = 0; k < threads; k++) {
        slices[k] = (slice){.reduction = reduction, .numbers = numbers, .file = file};
        slices[k].begin = n / (size_t)threads * (size_t)k;
        slices[k].end = k + 1 < threads ? n / (size_t)threads * (size_t)(k + 1) : n;
        slices[k].state = aligned_alloc(16, state_size);
        if (!slices[k].state)
            fail(what, "out of memory");
        parsum_identity(reduction, 0, slices[k].state);
        if (pthread_create(&workers[k], NULL, work, &slices[k]) != 0)
            fail(what, "no more threads can be started");
    }
    for (int k = 0; k < threads; k++) {
        pthread_join(workers[k], NULL);
        if (slices[k].error)
            fail(what, slices[k].error);
        if (k > 0) {
            parsum_combine(reduction, slices[0].state, slices[k].state);
            free(slices[k].state);
        }
    }
    double result;
    parsum_finish(reduction, slices[0].state, PARSUM_FLOAT64, &result);
    free(slices[0].state);
    return result;
}

static double sum_of_file(const char *path, int threads)
{
    int file = open(path, O_RDONLY);
    struct stat status;
    if (file < 0 || fstat(file, &status) < 0)
        fail(path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        fail(path, "not a regular file");
    if (status.st_size % (off_t)sizeof(double) != 0)
        fail(path, "its size is no multiple of 8 bytes");
    double result = sum(NULL, file, (size_t)status.st_size / sizeof(double), threads, path);
    close(file);
    return result;
}

static double sum_of_words(char **words, size_t n, int threads)
{
    double *numbers = malloc((n + 1) * sizeof *numbers);
    if (!numbers)
        fail("numbers", "out of memory");
    for (size_t k = 0; k < n; k++) {
        char *end;
        errno = 0;
        numbers[k] = strtod(words[k], &end);
        if (errno == ERANGE && isinf(numbers[k]))
            fail(words[k], "too large for a float64");
        if (end == words[k] || *end)
            fail(words[k], "not a number");
    }
    double result = sum(numbers, -1, n, threads, "numbers");
    free(numbers);
    return result;
}

int main(int count, char **words)
{
    int first = 1, threads = 2;
    if (first + 1 < count && strcmp(words[first], "-t") == 0) {
        char *end;
        long given = strtol(words[first + 1], &end, 10);
        if (end == words[first + 1] || *end || given < 1 || given > MOST_THREADS)
            fail(words[first + 1], "THREADS must be from 1 to 1024");
        threads = (int)given;
        first += 2;
    }
    if (first >= count) {
        fputs("usage: sum [-t THREADS] NUMBER...\n       sum [-t THREADS] -f FILE\n", stderr);
        return 2;
    }
    int of_file = strcmp(words[first], "-f") == 0;
    if (of_file && first + 2 != count)
        fail("-f", "must be followed by one FILE");
    double result = of_file ? sum_of_file(words[first + 1], threads)
                            : sum_of_words(words + first, (size_t)(count - first), threads);
    printf("%.17g\n", result);
    return 0;
}
