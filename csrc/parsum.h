/* The public C interface of parsum: reductions as monoids, and jobs that run them over strided
 * arrays with any number of threads. Plain C11; usable from C, ctypes and cffi alike.
 *
 * Everything is a reduction over a small fixed-size state of plain bytes (no pointers):
 *   identity(state)                        the state of no elements
 *   accumulate(state, data, n, stride)     takes in a run of elements
 *   combine(state, other)                  merges two states
 *   finish(state, type, result)            the result, rounded once
 */
#ifndef PARSUM_H
#define PARSUM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The text between the two marks is also what the Python binding reads. */
/* cffi begin */

/* Element and result types. The complex ones are pairs of their real parts, a trailing axis of
 * length 2; parsum knows only the parts. */
enum parsum_type {
    PARSUM_BOOL,
    PARSUM_INT8,
    PARSUM_UINT8,
    PARSUM_INT16,
    PARSUM_UINT16,
    PARSUM_INT32,
    PARSUM_UINT32,
    PARSUM_INT64,
    PARSUM_UINT64,
    PARSUM_FLOAT16,
    PARSUM_FLOAT32,
    PARSUM_FLOAT64,
    PARSUM_LONGDOUBLE,
    PARSUM_TIMEDELTA, /* int64 whose least value is NaT */
    PARSUM_TYPES
};

/* What a function returns: below zero an error, else a set of flags. */
enum {
    PARSUM_NO_MEMORY = -1,
    PARSUM_BAD_ARGUMENT = -2,
    PARSUM_OVERFLOW = 1, /* the result does not fit its type: an integer wrapped, a float is inf */
    PARSUM_INVALID = 2   /* inf - inf */
};

/* What parsum_job_work returns when it has no error to tell. */
enum {
    PARSUM_DONE = 0,  /* no work is left to take */
    PARSUM_AGAIN = 1, /* the time slice is over; call again with the same worker */
    PARSUM_CANCELLED = 2
};

typedef struct parsum_reduction parsum_reduction;
typedef struct parsum_job parsum_job;

/* The reduction of that operation ("sum"), method ("exact" or "fast"), element type and result
 * type; NULL where there is none. It lives as long as the process. */
const parsum_reduction *parsum_find(const char *operation, const char *method, int element,
                                    int result);

/* The four functions of the monoid, and the size of its state. States are aligned to 16 bytes. */
size_t parsum_state_size(const parsum_reduction *reduction);
void parsum_identity(const parsum_reduction *reduction, void *state);
void parsum_accumulate(const parsum_reduction *reduction, void *state, const void *data, size_t n,
                       ptrdiff_t stride);
void parsum_combine(const parsum_reduction *reduction, void *state, const void *other);
int parsum_finish(const parsum_reduction *reduction, const void *state, int type, void *result);

/* Whether the order of combination shows in the bits of the result. Such a reduction is cut into
 * leaves of parsum_leaf() elements, which are combined in a binary tree that depends on the number
 * of elements alone. */
int parsum_is_ordered(const parsum_reduction *reduction);
size_t parsum_leaf(void);

/* The whole reduction of n contiguous, aligned elements by the calling thread alone. */
int parsum_reduce(const parsum_reduction *reduction, const void *data, size_t n, int type,
                  void *result);
/* The same for n pairs of elements, which give a pair of results; not for ordered reductions. */
int parsum_reduce_pairs(const parsum_reduction *reduction, const void *data, size_t n, int type,
                        void *result);
/* As parsum_reduce, for a result of type double. */
double parsum_reduce_float64(const parsum_reduction *reduction, const void *data, size_t n);

/* One strided array, reduced along some axes. `dims` holds five rows of kept + reduced numbers:
 * the shape, then the strides in bytes of the data, of `where`, of `mask` and of the result (the
 * last counts for kept axes only). Kept axes stand first. */
typedef struct {
    const void *data;
    const uint8_t *where; /* elements to take in are nonzero; NULL for all */
    const uint8_t *mask;  /* elements to leave out are nonzero; NULL for none */
    void *result;
    const void *initial; /* a state that every result starts from, or NULL */
    const ptrdiff_t *dims;
    int kept;
    int reduced;
    int element;      /* the type in memory; converted block by block if the reduction's differs */
    int type;         /* the type of the result */
    int swap_element; /* the data are of the other byte order */
    int swap_result;
} parsum_view;

/* Prepares the reduction of a view by at most `workers` threads. The view is copied; the memory
 * it points at must stay until the job is destroyed. `block` bytes of data are one unit of work,
 * 0 for the default. */
int parsum_job_create(const parsum_reduction *reduction, const parsum_view *view, int workers,
                      size_t block, parsum_job **job);
/* Does work until none is left, the job is cancelled, or about `nanoseconds` have passed. Each
 * worker number is for one thread at a time. */
int parsum_job_work(parsum_job *job, int worker, int64_t nanoseconds);
void parsum_job_cancel(parsum_job *job);
/* Combines what the workers left and writes the results. Call when all workers are done. */
int parsum_job_finish(parsum_job *job);
/* Bytes of data taken in so far, and in all. */
int64_t parsum_job_bytes_done(parsum_job *job);
int64_t parsum_job_bytes(const parsum_job *job);
void parsum_job_destroy(parsum_job *job);

/* CPU levels: kernels of the same results for different vector instructions. */
int parsum_levels(void); /* how many were built */
const char *parsum_level_name(int level);
int parsum_level_usable(int level); /* whether this CPU can run it */
int parsum_level(void);             /* the one in use: at first the best usable one */
int parsum_use_level(int level);    /* before any other thread uses parsum */

/* cffi end */

#ifdef __cplusplus
}
#endif

#endif
