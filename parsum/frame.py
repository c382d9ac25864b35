"""The C text around the functions of a user's reduction: from four texts to a file to compile."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

DType = np.dtype[Any]

#: The C types of elements, and of what results are made of, by dtype.
C_TYPES: dict[DType, str] = {
    np.dtype(name): text
    for name, text in {
        "bool": "_Bool",
        "int8": "int8_t",
        "uint8": "uint8_t",
        "int16": "int16_t",
        "uint16": "uint16_t",
        "int32": "int32_t",
        "uint32": "uint32_t",
        "int64": "int64_t",
        "uint64": "uint64_t",
        "float16": "_Float16",
        "float32": "float",
        "float64": "double",
        "longdouble": "long double",
        "complex64": "float _Complex",
        "complex128": "double _Complex",
        "clongdouble": "long double _Complex",
    }.items()
}

#: Partial states of a leaf, each of which takes every so manieth element: few enough to be combined
#: in no time, and as many as GCC turns into vector instructions (of 16 doubles or fewer it makes
#: scalar ones). They show in the bits of sums, so they are the same on every CPU.
_LANES = 32
#: States whose fields have more bytes have a single lane, unless asked for.
_LANE_STATE = 64
#: States of more bytes have no lanes at all.
_LARGE_STATE = 1024

#: Names that C and NumPy both take. What the frame calls its own ends in an underscore.
NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*\Z")

_FRAME = """\
#include <complex.h>
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {{ PARSUM_OVERFLOW = 1, PARSUM_INVALID = 2, PARSUM_DIVIDE = 4, PARSUM_EMPTY = 8 }};
#define ALWAYS_INLINE_ inline __attribute__((always_inline, unused))
typedef {element} T;
{result}
{header}
typedef struct {{
{fields}
    double parameter_;
}} state_;

static ALWAYS_INLINE_ void identity_of_(state_ *s)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{identity}
}}

static ALWAYS_INLINE_ void accumulate_one_(state_ *s, const T x)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{accumulate}
}}

static ALWAYS_INLINE_ void combine_two_(state_ *s, const state_ *o)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{combine}
}}

static ALWAYS_INLINE_ int finish_one_(const state_ *s, R *r)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{finish}
    return 0;
}}

static ALWAYS_INLINE_ void begin_(state_ *s, double parameter)
{{
    memset(s, 0, sizeof *s);
    s->parameter_ = parameter;
    identity_of_(s);
}}

size_t state_size_(void)
{{
    return sizeof(state_);
}}

int has_short_cuts_(void)
{{
    return {short_cuts};
}}

void identity_(void *memory, double parameter)
{{
    begin_(memory, parameter);
}}

void combine_(void *memory, const void *other)
{{
    combine_two_(memory, other);
}}

static ALWAYS_INLINE_ int finish_to_(const state_ *s, void *result)
{{
    /* The result may not lie where its type would have it. */
    union {{ RESULT_T_ value; char bytes[sizeof(RESULT_T_)]; }} to;
    memset(&to, 0, sizeof to);
    int flags = finish_one_(s, RESULT_POINTER_(to.value));
    memcpy(result, to.bytes, sizeof to.bytes);
    return flags;
}}

int finish_(const void *memory, int type, void *result)
{{
    (void)type;
    return finish_to_(memory, result);
}}
"""

_ACCUMULATE = """
static ALWAYS_INLINE_ void accumulate_in_place_(state_ *s, const void *data, size_t n,
                                                ptrdiff_t stride)
{
    const char *p = data;
    if (stride == (ptrdiff_t)sizeof(T)) {
        const T *x = data;
        for (size_t i = 0; i < n; i++)
            accumulate_one_(s, x[i]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        accumulate_one_(s, *(const T *)(const void *)(p + (ptrdiff_t)i * stride));
}
"""

_WITHOUT_LANES = """
void accumulate_(void *memory, const void *data, size_t n, ptrdiff_t stride)
{
    accumulate_in_place_(memory, data, n, stride);
}
"""

# Of many states, each field is an array, so that the compiler can keep it in vector registers.
_STATES = """
typedef struct {{
{arrays}
}} {name}_states_;

static ALWAYS_INLINE_ state_ get_{name}_(const {name}_states_ *all, size_t k, double parameter)
{{
    state_ s;
    s.parameter_ = parameter;
{get}
    return s;
}}

static ALWAYS_INLINE_ void put_{name}_(const state_ *s, {name}_states_ *all, size_t k)
{{
{put}
}}

static ALWAYS_INLINE_ void accumulate_{name}_({name}_states_ *all, size_t k, double parameter, T x)
{{
    state_ s = get_{name}_(all, k, parameter);
    accumulate_one_(&s, x);
    put_{name}_(&s, all, k);
}}

static ALWAYS_INLINE_ void combine_{name}s_({name}_states_ *all, size_t n, double parameter)
{{
    for (size_t k = 0; k < n; k++) {{
        state_ s = get_{name}_(all, k, parameter);
        const state_ o = get_{name}_(all, k + n, parameter);
        combine_two_(&s, &o);
        put_{name}_(&s, all, k);
    }}
}}
"""

# Element i goes to lane i % LANES and lanes are combined in a fixed tree, in runs, rows and columns
# alike: the layout does not show in the bits.
_WITH_LANES = """
enum {{
    STATE_STEP_ = (sizeof(state_) + 15) / 16 * 16,
    LARGE_ = sizeof(state_) > {large},
    LANES_ = LARGE_ ? 1 : {lanes},
    ORDERED_ = {ordered},
    /* Columns side by side: as many as leave the caches to their lanes. */
    FITS_ = 65536 / (LANES_ * sizeof(state_)),
    GROUP_ = FITS_ >= 1024  ? 1024
             : FITS_ >= 128 ? 128
             : FITS_ >= 32  ? 32
             : FITS_ >= 8   ? 8
                            : 1,
    CHUNK_ = GROUP_ < 32 ? GROUP_ : 32,
    WIDE_ = 2048,
    SHORT_ = 16, /* elements of rows that are turned into columns */
    TURNED_ = GROUP_ < 128 ? GROUP_ : 128
}};

/* A few elements do not fill all lanes: those beyond a power of two have no part in it. */
static ALWAYS_INLINE_ size_t lanes_of_(size_t n, size_t most)
{{
    while (most > 1 && most / 2 >= n)
        most /= 2;
    return most;
}}
{lane_states}
void accumulate_(void *memory, const void *data, size_t n, ptrdiff_t stride)
{{
    const double parameter = ((const state_ *)memory)->parameter_;
    const size_t width = lanes_of_(n, LANES_);
    const char *p = data;
    lane_states_ lanes;
    state_ s;
    size_t i = 0;
    if (LARGE_) {{
        accumulate_in_place_(memory, data, n, stride);
        return;
    }}
    begin_(&s, parameter);
    for (size_t k = 0; k < width; k++)
        put_lane_(&s, &lanes, k);
    if (stride == (ptrdiff_t)sizeof(T)) {{
        const T *x = data;
        for (; i + LANES_ <= n; i += LANES_)
            for (size_t k = 0; k < LANES_; k++)
                accumulate_lane_(&lanes, k, parameter, x[i + k]);
    }}
    for (; i < n; i++)
        accumulate_lane_(&lanes, i % LANES_, parameter,
                         *(const T *)(const void *)(p + (ptrdiff_t)i * stride));
{joins}
    s = get_lane_(&lanes, 0, parameter);
    combine_two_(memory, &s);
}}

{column_states}
/* How many lanes a column has. Where their number may not show in the bits it is one, if columns
 * side by side are enough for vectors: long rows are then read as they lie in memory. */
static ALWAYS_INLINE_ size_t lanes_of_columns_(size_t columns)
{{
    return ORDERED_ || columns < CHUNK_ ? LANES_ : 1;
}}

/* One element each into the states from number `first` on. */
static ALWAYS_INLINE_ void accumulate_row_(column_states_ *all, size_t first, double parameter,
                                           const T *x, size_t columns)
{{
    size_t j = 0;
    for (; j + CHUNK_ <= columns; j += CHUNK_)
        for (size_t e = 0; e < CHUNK_; e++)
            accumulate_column_(all, first + j + e, parameter, x[j + e]);
    for (; j < columns; j++)
        accumulate_column_(all, first + j, parameter, x[j]);
}}

/* Leaves the states of columns in the first of their lanes, up to LANES * GROUP in all. Lane k of
 * column j has number k * columns + j: as elements follow each other, where rows do. */
static void fold_columns_(column_states_ *all, double parameter, size_t lanes, const char *data,
                          size_t rows, ptrdiff_t row_stride, size_t columns)
{{
    const size_t width = lanes_of_(rows, lanes);
    state_ s;
    size_t i = 0;
    begin_(&s, parameter);
    for (size_t k = 0; k < width * columns; k++)
        put_column_(&s, all, k);
    if (lanes > 1 && row_stride == (ptrdiff_t)(columns * sizeof(T))) {{
        for (; i + LANES_ <= rows; i += LANES_) {{
            const T *x = (const void *)(data + (ptrdiff_t)i * row_stride);
            for (size_t k = 0; k < LANES_ * columns; k += LANES_)
                for (size_t e = 0; e < LANES_; e++)
                    accumulate_column_(all, k + e, parameter, x[k + e]);
        }}
    }}
    /* States that fill the nearest cache stay in registers for some rows. Of fewer columns, some
     * rows at a time are read more slowly than one after the other. */
    for (; lanes == 1 && columns >= WIDE_ && i + 4 <= rows; i += 4) {{
        const char *row = data + (ptrdiff_t)i * row_stride;
        const T *x0 = (const void *)row, *x1 = (const void *)(row + row_stride);
        const T *x2 = (const void *)(row + 2 * row_stride);
        const T *x3 = (const void *)(row + 3 * row_stride);
        const size_t rest = columns % CHUNK_, even = columns - rest;
        for (size_t j = 0; j < even; j += CHUNK_)
            for (size_t e = 0; e < CHUNK_; e++) {{
                state_ one = get_column_(all, j + e, parameter);
                accumulate_one_(&one, x0[j + e]);
                accumulate_one_(&one, x1[j + e]);
                accumulate_one_(&one, x2[j + e]);
                accumulate_one_(&one, x3[j + e]);
                put_column_(&one, all, j + e);
            }}
        accumulate_row_(all, even, parameter, x0 + even, rest);
        accumulate_row_(all, even, parameter, x1 + even, rest);
        accumulate_row_(all, even, parameter, x2 + even, rest);
        accumulate_row_(all, even, parameter, x3 + even, rest);
    }}
    for (; i < rows; i++)
        accumulate_row_(all, i % lanes * columns, parameter,
                        (const void *)(data + (ptrdiff_t)i * row_stride), columns);
    for (size_t half = width / 2; half; half /= 2)
        combine_columns_(all, half * columns, parameter);
}}

/* Columns into states, or to one result after the other where there are none; returns flags. */
static int take_columns_(char *states, const char *data, size_t rows, ptrdiff_t row_stride,
                         size_t columns, double parameter, char *results)
{{
    const size_t lanes = lanes_of_columns_(columns), group = LANES_ * GROUP_ / lanes;
    column_states_ all;
    int flags = 0;
    for (size_t first = 0; first < columns; first += group) {{
        const size_t count = columns - first < group ? columns - first : group;
        fold_columns_(&all, parameter, lanes, data + first * sizeof(T), rows, row_stride, count);
        for (size_t j = 0; j < count; j++) {{
            const state_ o = get_column_(&all, j, parameter);
            if (states) {{
                combine_two_((state_ *)(void *)(states + (first + j) * STATE_STEP_), &o);
            }} else {{
                state_ s;
                begin_(&s, parameter);
                combine_two_(&s, &o);
                flags |= finish_to_(&s, results + (first + j) * sizeof(RESULT_T_));
            }}
        }}
    }}
    return flags;
}}

void accumulate_columns_(void *states, const void *data, size_t rows, ptrdiff_t row_stride,
                         size_t columns)
{{
    take_columns_(states, data, rows, row_stride, columns, ((const state_ *)states)->parameter_,
                  NULL);
}}

int reduce_columns_(const void *data, size_t rows, ptrdiff_t row_stride, size_t columns,
                    double parameter, int type, char *results)
{{
    (void)type;
    return take_columns_(NULL, data, rows, row_stride, columns, parameter, results);
}}

int reduce_rows_(const void *data, size_t rows, ptrdiff_t row_stride, size_t n, double parameter,
                 int type, char *results)
{{
    int flags = 0;
    (void)type;
    if (n > SHORT_) {{
        for (size_t r = 0; r < rows; r++) {{
            state_ s;
            begin_(&s, parameter);
            accumulate_(&s, (const char *)data + (ptrdiff_t)r * row_stride, n, sizeof(T));
            flags |= finish_to_(&s, results + r * sizeof(RESULT_T_));
        }}
        return flags;
    }}
    /* As columns, which make vectors of many of them. */
    for (size_t first = 0; first < rows; first += TURNED_) {{
        const size_t count = rows - first < TURNED_ ? rows - first : TURNED_;
        T turned[SHORT_ * TURNED_];
        for (size_t j = 0; j < count; j++) {{
            const T *x = (const void *)((const char *)data + (ptrdiff_t)(first + j) * row_stride);
            for (size_t i = 0; i < n; i++)
                turned[i * count + j] = x[i];
        }}
        flags |= take_columns_(NULL, (const char *)turned, n, (ptrdiff_t)(count * sizeof(T)), count,
                               parameter, results + first * sizeof(RESULT_T_));
    }}
    return flags;
}}
"""


def has_arrays(fields: list[tuple[str, str, int]]) -> bool:
    """Tell whether a state has fields that C cannot assign."""
    return any(length for _, _, length in fields)


def c_result(dtype: DType) -> str:
    """Return what makes R the C type that has the layout of a dtype."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        length = int(np.prod(shape))
        return (
            f"typedef {_c_type(base)} R;\ntypedef R RESULT_T_[{length}];\n"
            "#define RESULT_POINTER_(value) (value)"
        )
    if dtype.names is not None:
        lines = []
        for name in dtype.names:
            if not NAME.match(name):
                raise ValueError(f"result must have C identifiers as names, got {name!r}")
            lines.append(f"    {_c_type(dtype[name])} {name};")
        if not dtype.isalignedstruct:
            raise ValueError(f"result must be an aligned record, got {dtype}")
        fields = "\n".join(lines)
        return (
            f"typedef struct {{\n{fields}\n}} R;\ntypedef R RESULT_T_;\n"
            "#define RESULT_POINTER_(value) (&(value))"
        )
    return (
        f"typedef {_c_type(dtype)} R;\ntypedef R RESULT_T_;\n"
        "#define RESULT_POINTER_(value) (&(value))"
    )


def _c_type(dtype: DType) -> str:
    text = C_TYPES.get(dtype)
    if text is None or not dtype.isnative:
        raise TypeError(
            "result must be of bool, integers, floats or complex numbers of this machine's byte "
            f"order, got {dtype}"
        )
    return text


def source_of(
    fields: list[tuple[str, str, int]],
    texts: dict[str, str],
    dtype: DType,
    to: DType,
    lanes: int | None,
    ordered: bool,
) -> str:
    """Return the file of a reduction of elements of one dtype to results of another.

    ``lanes`` says how many states take elements in in turn, None as many as pay.
    """
    declared = [
        f"    {kind} {name}[{length}];" if length else f"    {kind} {name};"
        for name, kind, length in fields
    ]
    # Messages of the compiler then speak of the user's lines.
    numbered = {key: f'#line 1 "{key}"\n{text}\n#line 1 "parsum"' for key, text in texts.items()}
    frame = _FRAME.format(
        element=C_TYPES[dtype],
        result=c_result(to),
        short_cuts="0" if has_arrays(fields) else f"sizeof(state_) <= {_LARGE_STATE}",
        fields='#line 1 "state"\n' + "\n".join(declared) + '\n#line 1 "parsum"',
        **numbered,
    )
    if has_arrays(fields):
        return frame + _ACCUMULATE + _WITHOUT_LANES
    few = f"(sizeof(state_) <= {_LANE_STATE} + sizeof(double) ? {_LANES} : 1)"
    text, most = (few, _LANES) if lanes is None else (str(lanes), lanes)
    kernels = _WITH_LANES.format(
        large=_LARGE_STATE,
        lanes=text,
        ordered=int(ordered),
        lane_states=_states("lane", "LANES_", fields),
        column_states=_states("column", "LANES_ * GROUP_", fields),
        # Each of a constant width, which makes vector instructions of it.
        joins="\n".join(
            f"    if (width > {most >> level})\n"
            f"        combine_lanes_(&lanes, {most >> level}, parameter);"
            for level in range(1, most.bit_length())
        ),
    )
    return frame + _ACCUMULATE + kernels


def _states(name: str, length: str, fields: list[tuple[str, str, int]]) -> str:
    """Return the C text of so many states whose fields are arrays."""
    return _STATES.format(
        name=name,
        arrays="\n".join(f"    {kind} {field}[{length}];" for field, kind, _ in fields),
        get="\n".join(f"    s.{field} = all->{field}[k];" for field, _, _ in fields),
        put="\n".join(f"    all->{field}[k] = s->{field};" for field, _, _ in fields),
    )
