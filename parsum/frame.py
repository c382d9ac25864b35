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
#: States of more bytes have a single lane.
_LANE_STATE = 64

#: Names that C and NumPy both take.
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
#define ALWAYS_INLINE inline __attribute__((always_inline, unused))
typedef {element} T;
{result}
{header}
typedef struct {{
{fields}
    double parameter_;
}} state;

static ALWAYS_INLINE void identity_of(state *s)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{identity}
}}

static ALWAYS_INLINE void accumulate_one(state *s, const T x)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{accumulate}
}}

static ALWAYS_INLINE void combine_two(state *s, const state *o)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{combine}
}}

static ALWAYS_INLINE int finish_one(const state *s, R *r)
{{
    const double parameter = s->parameter_;
    (void)parameter;
{finish}
    return 0;
}}

size_t state_size(void)
{{
    return sizeof(state);
}}

void identity(void *memory, double parameter)
{{
    state *s = memory;
    memset(s, 0, sizeof *s);
    s->parameter_ = parameter;
    identity_of(s);
}}

void combine(void *memory, const void *other)
{{
    combine_two(memory, other);
}}

int finish(const void *memory, int type, void *result)
{{
    /* The result may not lie where its type would have it. */
    union {{ RESULT_T value; char bytes[sizeof(RESULT_T)]; }} to;
    (void)type;
    memset(&to, 0, sizeof to);
    int flags = finish_one(memory, RESULT_POINTER(to.value));
    memcpy(result, to.bytes, sizeof to.bytes);
    return flags;
}}
"""

_ACCUMULATE = """
void accumulate(void *memory, const void *data, size_t n, ptrdiff_t stride)
{
    state *s = memory;
    const char *p = data;
    if (stride == (ptrdiff_t)sizeof(T)) {
        const T *x = data;
        for (size_t i = 0; i < n; i++)
            accumulate_one(s, x[i]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        accumulate_one(s, *(const T *)(const void *)(p + (ptrdiff_t)i * stride));
}
"""

# Element i goes to lane i % LANES whatever the layout, and lanes are combined in a fixed tree. A
# field of all lanes is an array, so that the compiler can keep it in vector registers.
_ACCUMULATE_LANES = """
#define LANES {lanes}
typedef struct {{
{arrays}
}} lane_states;

static ALWAYS_INLINE state get_lane(const lane_states *lanes, size_t k, double parameter)
{{
    state s;
    s.parameter_ = parameter;
{get}
    return s;
}}

static ALWAYS_INLINE void put_lane(lane_states *lanes, size_t k, const state *s)
{{
{put}
}}

static ALWAYS_INLINE void accumulate_lane(lane_states *lanes, size_t k, double parameter, T x)
{{
    state s = get_lane(lanes, k, parameter);
    accumulate_one(&s, x);
    put_lane(lanes, k, &s);
}}

static ALWAYS_INLINE void combine_lanes(lane_states *lanes, size_t width, double parameter)
{{
    for (size_t k = 0; k < width; k++) {{
        state s = get_lane(lanes, k, parameter);
        const state o = get_lane(lanes, k + width, parameter);
        combine_two(&s, &o);
        put_lane(lanes, k, &s);
    }}
}}

void accumulate(void *memory, const void *data, size_t n, ptrdiff_t stride)
{{
    const double parameter = ((const state *)memory)->parameter_;
    const char *p = data;
    lane_states lanes;
    state s;
    size_t i = 0;
    identity(&s, parameter);
    for (size_t k = 0; k < LANES; k++)
        put_lane(&lanes, k, &s);
    if (stride == (ptrdiff_t)sizeof(T)) {{
        const T *x = data;
        for (; i + LANES <= n; i += LANES)
            for (size_t k = 0; k < LANES; k++)
                accumulate_lane(&lanes, k, parameter, x[i + k]);
    }}
    for (; i < n; i++)
        accumulate_lane(&lanes, i % LANES, parameter,
                        *(const T *)(const void *)(p + (ptrdiff_t)i * stride));
{joins}
    s = get_lane(&lanes, 0, parameter);
    combine_two(memory, &s);
}}
"""


def lanes_for(fields: list[tuple[str, str, int]], lanes: int | None, commutative: bool) -> int:
    """Return how many states take elements in turn: as asked for, or as many as pay."""
    if any(length for _, _, length in fields) or not commutative:
        return 1
    if lanes is not None:
        return lanes
    if 8 * len(fields) > _LANE_STATE:
        return 1
    return _LANES


def c_result(dtype: DType) -> str:
    """Return what makes R the C type that has the layout of a dtype."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        length = int(np.prod(shape))
        return (
            f"typedef {_c_type(base)} R;\ntypedef R RESULT_T[{length}];\n"
            "#define RESULT_POINTER(value) (value)"
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
            f"typedef struct {{\n{fields}\n}} R;\ntypedef R RESULT_T;\n"
            "#define RESULT_POINTER(value) (&(value))"
        )
    return (
        f"typedef {_c_type(dtype)} R;\ntypedef R RESULT_T;\n"
        "#define RESULT_POINTER(value) (&(value))"
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
    lanes: int,
) -> str:
    """Return the file of a reduction of elements of one dtype to results of another."""
    declared = [
        f"    {kind} {name}[{length}];" if length else f"    {kind} {name};"
        for name, kind, length in fields
    ]
    # Messages of the compiler then speak of the user's lines.
    numbered = {key: f'#line 1 "{key}"\n{text}\n#line 1 "parsum"' for key, text in texts.items()}
    frame = _FRAME.format(
        element=C_TYPES[dtype],
        result=c_result(to),
        fields='#line 1 "state"\n' + "\n".join(declared) + '\n#line 1 "parsum"',
        **numbered,
    )
    if lanes == 1:
        return frame + _ACCUMULATE
    names = [name for name, _, _ in fields]
    return frame + _ACCUMULATE_LANES.format(
        lanes=lanes,
        arrays="\n".join(f"    {kind} {name}[LANES];" for name, kind, _ in fields),
        get="\n".join(f"    s.{name} = lanes->{name}[k];" for name in names),
        put="\n".join(f"    lanes->{name}[k] = s->{name};" for name in names),
        # Each of a constant width, which makes vector instructions of it.
        joins="\n".join(
            f"    combine_lanes(&lanes, {lanes >> level}, parameter);"
            for level in range(1, lanes.bit_length())
        ),
    )
