"""The places in csrc that mutate.py breaks, and the tests that are to notice each."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    file: str
    what: str
    old: str
    new: str
    tests: tuple[str, ...]


EXACT = ("test_exact.py", "test_monoid.py", "test_dtypes.py", "test_accumulator.py")
SUMS = ("test_exact.py", "test_dtypes.py", "test_layouts.py", "test_slices.py")
WALKER = (
    "test_layouts.py",
    "test_slices.py",
    "test_engine.py",
    "test_family.py",
    "test_hazards.py",
)
INTEGERS = ("test_integers.py", "test_dtypes.py")
ORDER = ("test_order_kernels.py", "test_family.py", "test_family_edges.py")
RATIONAL = ("test_rational.py", "test_family.py", "test_describe.py")
SCANS = ("test_family_scans.py",)

MUTATIONS = [
    # ---- the superaccumulator ----
    Mutation(
        "exact.c",
        "ties go down, not to even",
        "(rest == half && (sticky || (magnitude & 1)))",
        "(rest == half && sticky)",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "the lowest limb does not break ties",
        "for (i--; i >= 0 && !sticky; i--)",
        "for (i--; i > 0 && !sticky; i--)",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "the last carry is lost",
        "limb[EXACT_LIMBS - 1] = wrapping_sum(limb[EXACT_LIMBS - 1], carry);",
        "(void)carry;",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "limbs are never made room in",
        "if (state->limb_adds + n > EXACT_LIMB_ADDS) {",
        "if (0) {",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "a merge forgets the low part of the window's sum",
        "        state->lo += other->lo;\n",
        "",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "a merge forgets -inf",
        "    state->minus_infinity |= other->minus_infinity;\n",
        "",
        EXACT,
    ),
    Mutation("exact.c", "a merge forgets NaN", "    state->nan |= other->nan;\n", "", EXACT),
    Mutation(
        "exact.c",
        "windows are merged whatever their exponents",
        "(state->window != other->window || state->pending + other->pending > WINDOW_PENDING)",
        "(state->pending + other->pending > WINDOW_PENDING)",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "pending sums are merged without end",
        "(state->window != other->window || state->pending + other->pending > WINDOW_PENDING)",
        "(state->window != other->window)",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "limbs of merged states are not counted",
        "reserve_limbs(state, other->limb_adds + 1);",
        "reserve_limbs(state, 1);",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "the largest number of a type overflows a binade late",
        "if (top + exponent >= target.overflow) {",
        "if (top + exponent > target.overflow) {",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "what rounds up to the least subnormal is 0",
        "if (drop > top + 1) {",
        "if (drop > top) {",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "subnormal halves are twice as large",
        ">> (28 - exponent)",
        ">> (27 - exponent)",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "float32 has one subnormal bit fewer",
        "return (format){24, -149, 128};",
        "return (format){24, -148, 128};",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "a sum of -0.0 alone is 0.0",
        "if (state->seen == SEEN_ANY) {",
        "if (0) {",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "full bins are not emptied in time",
        "if (any > EXACT_BIN_ADDS)",
        "if (0)",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "subnormal floats in bins count as normal ones",
        "sum += field ? count << 23 : 0;",
        "sum += count << 23;",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "bins know no -inf",
        "if (bins->count[0x7ff] | bins->count[0xfff])",
        "if (bins->count[0x7ff])",
        EXACT,
    ),
    Mutation(
        "exact.c",
        "states with too many additions are taken for sound",
        "state->limb_adds >= 0 && state->limb_adds <= EXACT_LIMB_ADDS &&",
        "1 &&",
        ("test_state_validity.py", "test_accumulator.py"),
    ),
    # ---- kernels of floating sums ----
    Mutation(
        "float_body.h",
        "the last element of a float64 block is left out",
        "        double tail[GROUP] = {0};\n        memcpy(tail, p + i, (n - i) * sizeof *p);",
        "        double tail[GROUP] = {0};\n        memcpy(tail, p + i, (n - i - 1) * sizeof *p);",
        SUMS,
    ),
    Mutation(
        "float_body.h",
        "float32 above the window are taken in",
        "bound_exponent = window + 35 + 127",
        "bound_exponent = window + 37 + 127",
        SUMS,
    ),
    Mutation(
        "float_body.h",
        "float32 below the window are taken in",
        "floor_exponent = window + 13 + 127",
        "floor_exponent = window + 11 + 127",
        SUMS,
    ),
    Mutation(
        "float_body.h",
        "infinite halves are not seen",
        "*special |= (bits & 0x7c00) + 0x0400;",
        "*special |= (bits & 0x7c00) + 0x0300;",
        SUMS,
    ),
    Mutation(
        "float_body.h",
        "limbs get normal numbers one bit too high",
        "const uint64_t position = exponent - normal;",
        "const uint64_t position = exponent;",
        SUMS,
    ),
    Mutation(
        "float_body.h",
        "elements above the window are kept when it is peeled",
        "const vec_f64 v = (vec_f64)((vec_i64)*all & ~(small | large));",
        "const vec_f64 v = (vec_f64)((vec_i64)*all & ~small);\n    (void)large;",
        SUMS,
    ),
    # ---- kernels of integers ----
    Mutation(
        "integer_body.h",
        "8-bit lanes overflow",
        "enum { MOST = 128 * STEP };",
        "enum { MOST = 130 * STEP };",
        INTEGERS,
    ),
    Mutation(
        "integer_body.h",
        "NaT is not seen",
        "*found |= (vec_i64)(v == SIGN_BIT);",
        "*found |= (vec_i64)(v == SIGN_BIT + 1);",
        (*INTEGERS, "test_family.py"),
    ),
    Mutation(
        "integer_body.h",
        "any byte but 1 is false",
        "v = (vec_u8)(v != 0) & 1;",
        "v = (vec_u8)(v == 1) & 1;",
        INTEGERS,
    ),
    # ---- the walker ----
    Mutation(
        "walker.c",
        "the first chunk of a neighbour is taken twice",
        "        if (chunk >= from->end)\n            continue;",
        "        if (chunk > from->end)\n            continue;",
        WALKER,
    ),
    Mutation(
        "walker.c",
        "only the first worker's states are combined",
        "if (job->worker[k].used)",
        "if (k == 0 && job->worker[k].used)",
        WALKER,
    ),
    Mutation(
        "walker.c",
        "initial is left out",
        "reduction->combine(state, job->view.initial);",
        ";",
        WALKER,
    ),
    Mutation(
        "walker.c",
        "a cancelled job goes on",
        "if (atomic_load_explicit(&job->cancelled, memory_order_relaxed)) {",
        "if (0) {",
        ("test_interrupt.py", "test_progress.py", "test_engine.py"),
    ),
    Mutation(
        "walker.c",
        "the last chunks of other workers are not waited for",
        "while (atomic_load(&job->at_work)) {",
        "while (0) {",
        ("test_engine.py", "test_workers.py"),
    ),
    Mutation(
        "walker.c",
        "flags of workers are lost",
        "        flags |= job->worker[k].flags;\n",
        "        (void)0;\n",
        (*WALKER, "test_errstate.py"),
    ),
    Mutation(
        "walker.c",
        "one element that is left beside NaNs is lost",
        "            if (left)\n                reduction->accumulate(w->states, w->gathered",
        "            if (left > 1)\n                reduction->accumulate(w->states, w->gathered",
        ("test_family_edges.py",),
    ),
    Mutation(
        "walker.c",
        "any and all stop at the first block",
        "job->reduction->settled(w->states)) {",
        "1) {",
        ("test_logic_kernels.py", "test_family.py", "test_family_determinism.py"),
    ),
    Mutation(
        "walker.c",
        "results of the other byte order are not swapped",
        "if (!job->view.swap_result) {",
        "if (1) {",
        WALKER,
    ),
    Mutation(
        "walker.c",
        "places are not told where a block begins",
        "    if (reduction->place)\n        place(job, w->states, first);\n"
        "    if (job->inputs == 2) {",
        "    if (job->inputs == 2) {",
        (*WALKER, "test_order_kernels.py"),
    ),
    Mutation(
        "walker.c",
        "a strided walk takes elements of another size for contiguous",
        "strides[along] != (ptrdiff_t)s->size)",
        "0)",
        WALKER,
    ),
    Mutation(
        "walker.c",
        "leaves of the fixed tree are cut by runs",
        "    if (reduction->ordered && count > LEAF - w->position % LEAF)\n"
        "        count = LEAF - w->position % LEAF;\n    if (count > STEP_BYTES / job->size)",
        "    if (count > STEP_BYTES / job->size)",
        ("test_fast.py", "test_family_determinism.py", "test_custom.py"),
    ),
    # ---- minima, maxima, places ----
    Mutation(
        "order_body.h",
        "a NaT does not make the maximum NaT",
        "const wide_i64 nat = -(wide_i64)(*least == INT64_MIN);",
        "const wide_i64 nat = -(wide_i64)(*least == INT64_MAX);",
        ORDER,
    ),
    Mutation(
        "order_body.h",
        "float16 NaNs end one code early",
        "#define F16_SHIFT 0x3ff",
        "#define F16_SHIFT 0x3fe",
        ORDER,
    ),
    Mutation(
        "order.c",
        "a maximum of nothing has a result",
        "return empty ? PARSUM_EMPTY : 0;\n}\n\n/* Puts a kernel's findings",
        "return 0;\n}\n\n/* Puts a kernel's findings",
        (*ORDER, "test_accumulator.py"),
    ),
    Mutation(
        "order.c",
        "places do not move when states are joined",
        "place->number = number_at(place->number, by, 1);",
        "(void)by;",
        ("test_accumulator.py", "test_sources.py"),
    ),
    # ---- quotients, roots, moments ----
    Mutation(
        "rational.c",
        "roots that are not exact lose what is left",
        "exponent / 2, inexact || rest != 0, type",
        "exponent / 2, inexact, type",
        RATIONAL,
    ),
    Mutation(
        "rational.c",
        "the imaginary part of a variance is left out",
        "        add_product(&numerator, 1, 0, s1_imaginary, s1_imaginary);",
        "        ;",
        RATIONAL,
    ),
    Mutation(
        "rational.c",
        "the kurtosis is not less three",
        "    subtract_thrice(&f, &v2);\n",
        "",
        RATIONAL,
    ),
    Mutation(
        "rational.c",
        "a root is one too large",
        "while ((uint128)root * root > a)",
        "while (0)",
        RATIONAL,
    ),
    Mutation(
        "products.c",
        "squares of sums are aligned one bit off",
        "square = wide_shifted(&square, -places);",
        "square = wide_shifted(&square, -places - 1);",
        ("test_product_sums.py", "test_family.py", "test_family_edges.py"),
    ),
    Mutation(
        "products.c",
        "merged variances forget how many elements they are of",
        "    moments->count += more->count;\n",
        "",
        (*RATIONAL, "test_accumulator.py"),
    ),
    # ---- several at once ----
    Mutation(
        "joined.c",
        "several reductions tell their flags to nobody",
        "memcpy(record, &flags, sizeof flags);",
        "memset(record, 0, sizeof flags);",
        ("test_several.py",),
    ),
    Mutation(
        "joined.c",
        "several reductions settle when the first does",
        "        if (!self->members[k].as.reduction->settled((const char *)state + "
        "self->members[k].state))\n            return 0;",
        "        if (self->members[k].as.reduction->settled((const char *)state + "
        "self->members[k].state))\n            return 1;",
        ("test_several.py",),
    ),
    # ---- elements on their way ----
    Mutation(
        "convert.c",
        "every byte but 1 is false when it is converted",
        "return *p != 0;",
        "return *p == 1;",
        ("test_dtypes.py", "test_integers.py", "test_family.py"),
    ),
    Mutation(
        "scan.c",
        "runs of a scan have the length of the array",
        "return length - i % length;",
        "return length;",
        SCANS,
    ),
]
