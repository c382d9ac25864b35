/* What all scans share: rounding to narrower types, writing past the cache, and tiles of columns
 * that are scanned as doubles. */
#include <math.h>
#include <string.h>

#include "convert.h"
#include "exact.h"
#include "scans.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

int parsum_scan_narrow(const double *values, size_t n, int type, void *result)
{
    switch (type) {
    case PARSUM_FLOAT16:
        return parsum_kernels()->scan.narrow_f16(values, n, result);
    case PARSUM_FLOAT32:
        return parsum_kernels()->scan.narrow_f32(values, n, result);
    case PARSUM_LONGDOUBLE:
        for (size_t i = 0; i < n; i++)
            parsum_store(type, values[i], (char *)result + i * sizeof(long double));
        return 0;
    default:
        memcpy(result, values, n * sizeof *values);
        return 0;
    }
}

/* An ordinary store first reads the line that it writes to; these do not, which saves a third of
 * the traffic of a scan. They pay for whole lines. */
void parsum_stream(void *out, const void *data, size_t bytes)
{
    char *to = out;
    const char *from = data;
#if defined(__x86_64__)
    size_t head = -(uintptr_t)to & 63;
    head = head < bytes ? head : bytes;
    memcpy(to, from, head);
    to += head;
    from += head;
    bytes -= head;
    for (; bytes >= 64; bytes -= 64, to += 64, from += 64)
        for (int k = 0; k < 64; k += 16)
            _mm_stream_si128((__m128i *)(void *)(to + k),
                             _mm_loadu_si128((const __m128i *)(const void *)(from + k)));
#endif
    memcpy(to, from, bytes);
}

void parsum_stream_end(void)
{
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

void parsum_tile_load(const scan_tile *tile, void (*widen)(const void *, size_t, double *),
                      size_t first, scan_buffer *buffer, scan_rows *rows)
{
    const char *data = tile->data + (ptrdiff_t)first * tile->row_stride;
    rows->rows = tile->rows - first < SCAN_GROUP ? tile->rows - first : SCAN_GROUP;
    rows->columns = tile->columns;
    rows->data = (const double *)(const void *)data;
    rows->stride = tile->row_stride;
    if (widen) {
        for (size_t i = 0; i < rows->rows; i++)
            widen(data + (ptrdiff_t)i * tile->row_stride, tile->columns,
                  buffer->in + i * SCAN_TILE);
        rows->data = buffer->in;
        rows->stride = SCAN_TILE * sizeof(double);
    }
    rows->out = (double *)(void *)(tile->result + (ptrdiff_t)first * tile->result_stride);
    rows->out_stride = tile->result_stride;
    if (tile->type != PARSUM_FLOAT64 || tile->stream) {
        rows->out = buffer->out;
        rows->out_stride = SCAN_TILE * sizeof(double);
    }
}

int parsum_tile_store(const scan_tile *tile, size_t first, const scan_rows *rows)
{
    char *result = tile->result + (ptrdiff_t)first * tile->result_stride;
    if (tile->type == PARSUM_FLOAT64 && !tile->stream)
        return 0;
    int over = 0;
    for (size_t i = 0; i < rows->rows; i++, result += tile->result_stride) {
        const double *values = rows->out + i * SCAN_TILE;
        _Alignas(64) char narrow[SCAN_TILE * sizeof(long double)];
        if (!tile->stream) {
            over |= parsum_scan_narrow(values, rows->columns, tile->type, result);
            continue;
        }
        if (tile->type == PARSUM_FLOAT64) {
            parsum_stream(result, values, rows->columns * sizeof *values);
            continue;
        }
        over |= parsum_scan_narrow(values, rows->columns, tile->type, narrow);
        parsum_stream(result, narrow, rows->columns * parsum_type_size[tile->type]);
    }
    return over;
}

int parsum_tile_overflowed(const scan_tile *tile, size_t j)
{
    const size_t size = parsum_type_size[tile->type];
    const char *p = tile->result + j * size;
    for (size_t i = 0; i < tile->rows; i++, p += tile->result_stride) {
        float narrow;
        double value = 0;
        long double wide;
        switch (tile->type) {
        case PARSUM_FLOAT16:
            parsum_kernels()->f16.widen(p, 1, &value);
            break;
        case PARSUM_FLOAT32:
            memcpy(&narrow, p, sizeof narrow);
            value = narrow;
            break;
        case PARSUM_FLOAT64:
            memcpy(&value, p, sizeof value);
            break;
        default:
            memcpy(&wide, p, sizeof wide);
            value = isinf(wide) ? (double)INFINITY : 0;
        }
        if (isinf(value))
            return 1;
    }
    return 0;
}

int parsum_tile_column(const parsum_scan *scan, const scan_tile *tile, size_t j)
{
    const size_t size = parsum_type_size[scan->element], result = parsum_type_size[tile->type];
    _Alignas(64) char data[SCAN_LEAF * ELEMENT_MAX], prefixes[SCAN_LEAF * ELEMENT_MAX];
    parsum_gather(data, tile->data + j * size, tile->rows, tile->row_stride, size, 0);
    char *prefix = tile->prefixes + j * scan->prefix_size;
    if (tile->whole)
        scan->start_prefix(scan, prefix);
    const int flags = scan->scan(scan, prefix, data, tile->rows, tile->type, prefixes);
    char *out = tile->result + j * result;
    for (size_t i = 0; i < tile->rows; i++, out += tile->result_stride)
        memcpy(out, prefixes + i * result, result);
    return flags;
}
