/* A scan as the rest of the C code sees it: a monoid whose prefixes are all written.
 *
 * A worker that comes late to a line needs to know what comes before its elements. So there are two
 * states: a total of some elements, and a prefix, of all elements up to a place, which scan() takes
 * further. A total that follows a prefix is joined to it by advance(), which gives the same bits as
 * scanning its elements. */
#ifndef PARSUM_SCANS_H
#define PARSUM_SCANS_H

#include "kernels.h"
#include "parsum.h"
#include "reductions.h"

/* Rows of elements to scan down the columns: aligned, of the machine's byte order, neighbouring
 * columns next to each other, and likewise the results. */
typedef struct {
    char *prefixes; /* of the columns, one after the other */
    int whole;      /* but these columns begin here and end, and nobody has set theirs */
    const char *data;
    ptrdiff_t row_stride;
    size_t rows;    /* at most SCAN_LEAF */
    size_t columns; /* at most SCAN_TILE */
    int type;       /* of the results */
    char *result;
    ptrdiff_t result_stride;
    int stream; /* the results are too many to be kept in the cache */
} scan_tile;

struct parsum_scan {
    const char *operation;
    const char *method; /* NULL if all methods are alike */
    int element;
    unsigned results;    /* a bit for each result type */
    const void *neutral; /* the element that changes nothing */
    size_t total_size, prefix_size;
    /* What else the functions below, which are given their row, need to know of the type. */
    const void *kind;

    void (*start_total)(const parsum_scan *scan, void *total);
    /* All calls but the last of a line are for whole leaves of SCAN_LEAF elements; contiguous,
     * aligned. */
    void (*add)(const parsum_scan *scan, void *total, const void *data, size_t n);
    /* The same for rows of columns; NULL to do it one by one. */
    void (*add_columns)(const parsum_scan *scan, void *totals, const void *data, size_t rows,
                        ptrdiff_t row_stride, size_t columns);
    void (*start_prefix)(const parsum_scan *scan, void *prefix);
    void (*advance)(const parsum_scan *scan, void *prefix, const void *total);
    /* Writes n prefixes, at most SCAN_LEAF; returns flags. */
    int (*scan)(const parsum_scan *scan, void *prefix, const void *data, size_t n, int type,
                void *result);
    /* The same for two lines whose elements come in turn, and so do the results; or NULL. */
    int (*scan_pairs)(const parsum_scan *scan, void *prefixes, const void *data, size_t n, int type,
                      void *result);
    /* The same for columns; NULL to do it one by one. */
    int (*scan_columns)(const parsum_scan *scan, const scan_tile *tile);
};

extern const parsum_scan parsum_exact_scans[], parsum_integer_scans[], parsum_ordered_scans[];

/* Writes n doubles, at most SCAN_LEAF, as any float type; nonzero if a finite one overflowed. */
int parsum_scan_narrow(const double *values, size_t n, int type, void *result);

/* Copies to memory that is not soon read again, past the cache. parsum_stream_end() comes before
 * another thread is told of it. */
void parsum_stream(void *out, const void *data, size_t bytes);
void parsum_stream_end(void);

/* What tiles that are scanned as doubles, SCAN_GROUP rows at a time, are widened to and narrowed
 * from. */
typedef struct {
    _Alignas(64) double in[SCAN_GROUP * SCAN_TILE];
    _Alignas(64) double out[SCAN_GROUP * SCAN_TILE];
} scan_buffer;

/* Finds or makes the doubles of the group that begins with row `first`, and a place for their
 * prefixes, which parsum_tile_store() then puts where they belong. `widen` is NULL for doubles. */
void parsum_tile_load(const scan_tile *tile, void (*widen)(const void *, size_t, double *),
                      size_t first, scan_buffer *buffer, scan_rows *rows);
int parsum_tile_store(const scan_tile *tile, size_t first, const scan_rows *rows);
/* Whether column j of a tile of floats has an infinite prefix. */
int parsum_tile_overflowed(const scan_tile *tile, size_t j);
/* Scans column j of a tile on its own, once more; sets its prefix if nobody has. */
int parsum_tile_column(const parsum_scan *scan, const scan_tile *tile, size_t j);

#endif
