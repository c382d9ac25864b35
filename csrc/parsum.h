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

/* Element and result types. */
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
    PARSUM_TIME, /* int64 whose least value is NaT: datetime64 and timedelta64 */
    PARSUM_COMPLEX64,
    PARSUM_COMPLEX128,
    PARSUM_CLONGDOUBLE,
    PARSUM_TYPES
};

/* What a function returns: below zero an error, else a set of flags. */
enum {
    PARSUM_NO_MEMORY = -1,
    PARSUM_BAD_ARGUMENT = -2,
    PARSUM_OVERFLOW = 1, /* the result does not fit its type: an integer wrapped, a float is inf */
    PARSUM_INVALID = 2,  /* inf - inf */
    PARSUM_DIVIDE = 4,   /* a division by zero */
    PARSUM_EMPTY = 8     /* no element was taken in, and the operation has no result of none */
};

/* What parsum_job_work returns when it has no error to tell. */
enum {
    PARSUM_DONE = 0,  /* no work is left to take */
    PARSUM_AGAIN = 1, /* the time slice is over; call again with the same worker */
    PARSUM_CANCELLED = 2
};

typedef struct parsum_reduction parsum_reduction;
typedef struct parsum_job parsum_job;
typedef struct parsum_scan parsum_scan;
typedef struct parsum_scan_job parsum_scan_job;

/* The reduction of that operation ("sum"), method ("exact" or "fast"), element type and result
 * type; NULL where there is none. It lives as long as the process. */
const parsum_reduction *parsum_find(const char *operation, const char *method, int element,
                                    int result);

/* A reduction by functions of one's own. They are called by many threads at once, each with states
 * of its own, and must neither fail nor keep anything anywhere else. */
typedef struct {
    size_t state_size; /* at most PARSUM_STATE_LIMIT */
    int element;
    int result;
    int values;  /* how many of the result type finish writes */
    int ordered; /* whether the order of combination may show in the bits of the result */
    void (*identity)(void *state, double parameter);
    /* The elements are aligned, and `stride` bytes apart. */
    void (*accumulate)(void *state, const void *data, size_t n, ptrdiff_t stride);
    void (*combine)(void *state, const void *other);
    int (*finish)(const void *state, int type, void *result); /* returns flags */
    /* These may be NULL, and are the same but faster: column j into the state that is j times its
     * size, rounded up to 16, after the first; columns of at most 512 rows and rows of at most 2048
     * elements to one result after the other. Elements of a row follow each other. */
    void (*accumulate_columns)(void *states, const void *data, size_t rows, ptrdiff_t row_stride,
                               size_t columns);
    int (*reduce_columns)(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                          double parameter, int type, char *results);
    int (*reduce_rows)(const void *data, size_t rows, ptrdiff_t row_stride, size_t n,
                       double parameter, int type, char *results);
} parsum_functions;

enum { PARSUM_STATE_LIMIT = 1 << 20, PARSUM_VALUES_LIMIT = 1 << 20, PARSUM_MEMBERS_LIMIT = 64 };

int parsum_define(const parsum_functions *functions, parsum_reduction **out);

/* Several reductions of the same elements as one, which reads them once. The result is a record:
 * for each member, at offsets[k], the flags of its finish as an int32, and 16 bytes on its values.
 */
typedef struct {
    const parsum_reduction *reduction;
    double parameter;
    int type;     /* of its result */
    int skip_nan; /* leave out elements that are NaN or NaT */
} parsum_member;

/* The members' rows must live as long as the product. Results are of type PARSUM_UINT8. Ordered
 * reductions do not go with those that need places. */
int parsum_join(const parsum_member *members, int count, size_t *offsets, parsum_reduction **out);
/* How many bytes at the start of a state are no part of its value: a product's point at itself. */
size_t parsum_state_header(const parsum_reduction *reduction);
/* Of a reduction that was defined or joined. */
void parsum_forget(parsum_reduction *reduction);

/* The four functions of the monoid, and the size of its state. States are aligned to 16 bytes.
 * Some operations have a parameter (the ddof of a variance, the p of a norm); states that are
 * combined have the same. */
size_t parsum_state_size(const parsum_reduction *reduction);
void parsum_identity(const parsum_reduction *reduction, double parameter, void *state);
void parsum_accumulate(const parsum_reduction *reduction, void *state, const void *data, size_t n,
                       ptrdiff_t stride);
void parsum_combine(const parsum_reduction *reduction, void *state, const void *other);
/* accumulate for an operation on two arrays (a dot product). */
void parsum_accumulate_pairs(const parsum_reduction *reduction, void *state, const void *a,
                             const void *b, size_t n, ptrdiff_t a_stride, ptrdiff_t b_stride);
int parsum_finish(const parsum_reduction *reduction, const void *state, int type, void *result);
/* These functions for n states, one after the other. */
void parsum_identities(const parsum_reduction *reduction, double parameter, void *states, size_t n);
int parsum_combine_all(const parsum_reduction *reduction, void *states, const void *others,
                       size_t n);
int parsum_finish_all(const parsum_reduction *reduction, const void *states, size_t n, int type,
                      void *results);
/* What a reduction whose result depends on the places of elements (argmin) has to be told, of n
 * states: the number of the element that comes next, or by how much all numbers so far are too
 * small. Others have no use for it. */
void parsum_place(const parsum_reduction *reduction, void *states, size_t n, int64_t number);
void parsum_shift(const parsum_reduction *reduction, void *states, size_t n, int64_t by);
/* The type of the elements that its kernels take. */
int parsum_element(const parsum_reduction *reduction);
/* States from outside, as plain bytes. Whether the bytes, which may be any, are a state that the
 * functions above can be called with. They need not be one that any elements lead to, nor have
 * the parameter of others. */
int parsum_state_valid(const parsum_reduction *reduction, const void *state);
/* Makes the memory at `state`, of any contents, an equal state of that parameter, whose every byte
 * is determined by what the other has taken in: there are no bytes left as they were in memory. */
void parsum_state_copy(const parsum_reduction *reduction, double parameter, void *state,
                       const void *other);
/* Both for n states. */
int parsum_valid_all(const parsum_reduction *reduction, const void *states, size_t n);
void parsum_copy_all(const parsum_reduction *reduction, double parameter, void *states,
                     const void *others, size_t n);
/* How many values of the result type finish writes, one after the other: one for most. */
int parsum_values(const parsum_reduction *reduction);

/* Whether the order of combination shows in the bits of the result. Such a reduction is cut into
 * leaves of parsum_leaf() elements, which are combined in a binary tree that depends on the number
 * of elements alone. */
int parsum_is_ordered(const parsum_reduction *reduction);
size_t parsum_leaf(void);
/* Whether the flags of a job, but not of a finish, tell of overflow and of invalid operations. */
int parsum_flags_jobs(const parsum_reduction *reduction);
/* Whether the elements of a view can be of another type than the reduction's. */
int parsum_can_convert(int from, int to);

/* Whether the functions below take it, which keep states on the stack. */
int parsum_fits_stack(const parsum_reduction *reduction);
/* Makes the state of n contiguous, aligned elements of an array, or of two (else b is NULL), by the
 * calling thread alone. */
int parsum_state_of(const parsum_reduction *reduction, double parameter, const void *a,
                    const void *b, size_t n, void *state);

/* The whole reduction of n contiguous, aligned elements by the calling thread alone. */
int parsum_reduce(const parsum_reduction *reduction, double parameter, const void *data, size_t n,
                  int type, void *result);
/* The same of two arrays, for an operation on two. */
int parsum_reduce_two(const parsum_reduction *reduction, double parameter, const void *a,
                      const void *b, size_t n, int type, void *result);
/* parsum_reduce for n pairs of elements, which give a pair of results; not for ordered reductions.
 */
int parsum_reduce_pairs(const parsum_reduction *reduction, double parameter, const void *data,
                        size_t n, int type, void *result);
/* As parsum_reduce_two (b is NULL for one array), for a result of type double. */
double parsum_reduce_float64(const parsum_reduction *reduction, const void *a, const void *b,
                             size_t n);

/* Computes n elements from those of several arrays: of array k from arrays[k] on, in steps of
 * strides[k] bytes. Arrays are aligned and of the machine's byte order. As kernels do, it neither
 * allocates, locks nor fails; it is called by many threads at once. */
typedef void (*parsum_map)(void *result, const void *const *arrays, const ptrdiff_t *strides,
                           size_t n);

enum { PARSUM_ARRAYS_LIMIT = 16 };

/* An array that a map reads. */
typedef struct {
    const void *data;
    int element; /* the type in memory */
    int swap;    /* it is of the other byte order */
} parsum_array;

/* One strided array, or two of one shape, reduced along some axes. `dims` holds seven rows of kept
 * + reduced numbers: the shape, then the strides in bytes of the data, of `other`, of `where`, of
 * `mask` and of the result (which counts for kept axes only), and last what a step adds to the
 * number of an element (for reduced axes only; argmin gives that number). Kept axes stand first.
 * If the elements come of a map, the strides of each of its arrays follow as one more row. */
typedef struct {
    const void *data;
    const void *other;    /* the second array of an operation on two */
    const uint8_t *where; /* elements to take in are nonzero; NULL for all */
    const uint8_t *mask;  /* elements to leave out are nonzero; NULL for none */
    void *result;
    const void *initial; /* a state that every result starts from, or NULL */
    const ptrdiff_t *dims;
    int64_t first; /* the number of the element at `data` */
    double parameter;
    int kept;
    int reduced;
    int element;       /* the type in memory; converted block by block if the reduction's differs */
    int other_element; /* that of the second array */
    int type;          /* the type of the result */
    int swap_element;  /* the data are of the other byte order */
    int swap_other;
    int swap_result;
    int skip_nan; /* leave out elements that are NaN or NaT */
    /* Elements of type `element` are what `map` gives of `arrays` arrays, not what is at `data`;
     * NULL for none. */
    parsum_map map;
    const parsum_array *array;
    int arrays;
    /* What is at `result` are states, aligned, which take in those of the results in their place;
     * of an ordered reduction, they become these. */
    int into_states;
} parsum_view;

/* Prepares the reduction of a view by at most `workers` threads. The view is copied; the memory
 * it points at must stay until the job is destroyed. `block` bytes of data are one unit of work,
 * 0 for the default. */
int parsum_job_create(const parsum_reduction *reduction, const parsum_view *view, int workers,
                      size_t block, parsum_job **job);
/* Does work until none is left, the job is cancelled, or about `nanoseconds` have passed. Each
 * worker number is for one thread at a time. Worker 0 is told PARSUM_DONE when all are done, and
 * waits for those that have begun until then; those that come later have nothing to do, and what
 * the view points at is not looked at any more. */
int parsum_job_work(parsum_job *job, int worker, int64_t nanoseconds);
void parsum_job_cancel(parsum_job *job);
/* Combines what the workers left and writes the results. Call when worker 0 was told that all are
 * done. */
int parsum_job_finish(parsum_job *job);
/* Bytes of data taken in so far, and in all. */
int64_t parsum_job_bytes_done(parsum_job *job);
int64_t parsum_job_bytes(const parsum_job *job);
void parsum_job_destroy(parsum_job *job);
/* Such a job as a whole, by the calling thread alone: reduces the middle axis of a C-contiguous
 * array of shape (outer, n, inner), of the reduction's element type. Returns flags or an error. */
int parsum_reduce_axis(const parsum_reduction *reduction, double parameter, int skip_nan,
                       const void *data, size_t outer, size_t n, size_t inner, int type,
                       void *result);

/* Scans: the results of all prefixes of a line of elements (cumulative sums and products). They are
 * found as reductions are; NULL where there is none. */
const parsum_scan *parsum_scan_find(const char *operation, const char *method, int element,
                                    int result);

/* Lines of elements, each scanned on its own. `dims` holds four rows of kept + scanned numbers: the
 * shape, then the strides in bytes of the data, of `mask` and of the result. The kept dimensions,
 * which stand first, tell the lines apart; a line's elements follow each other in C order over the
 * scanned ones, along which the result has a single stride, that of the last. */
typedef struct {
    const void *data;
    const uint8_t *mask; /* elements to leave out are nonzero; NULL for none */
    void *result;
    const ptrdiff_t *dims;
    int kept;
    int scanned;
    int element;      /* the type in memory; converted block by block if the scan's differs */
    int type;         /* the type of the result */
    int swap_element; /* the data are of the other byte order */
    int swap_result;
    int in_place; /* every result lies where its element is read, or no element is written over */
} parsum_scan_view;

/* As parsum_job_create, and so on. Any worker alone finishes a job that the others have left at the
 * end of a call, if they do not come back with work of their own begun: then it goes on to return
 * PARSUM_AGAIN until they do. */
int parsum_scan_create(const parsum_scan *scan, const parsum_scan_view *view, int workers,
                       size_t block, parsum_scan_job **job);
int parsum_scan_work(parsum_scan_job *job, int worker, int64_t nanoseconds);
void parsum_scan_cancel(parsum_scan_job *job);
/* The flags of all prefixes. Call when all workers are done. */
int parsum_scan_finish(parsum_scan_job *job);
int64_t parsum_scan_bytes_done(parsum_scan_job *job);
int64_t parsum_scan_bytes(const parsum_scan_job *job);
void parsum_scan_destroy(parsum_scan_job *job);
/* As parsum_reduce_axis: scans along the middle axis, to an array of the same shape that does not
 * overlap the data. */
int parsum_scan_axis(const parsum_scan *scan, const void *data, size_t outer, size_t n,
                     size_t inner, int type, void *result);

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
