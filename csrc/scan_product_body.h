/* The prefix products of long double and of complex numbers, in plain loops: included by
 * scan_ordered.c with PART (the real C type), NAME(x), IS_COMPLEX, MAGNITUDE (its fabs) and SCALE
 * (its ldexp) set, and MODERATE(v, n), which says
 * whether all parts have a size between 2^-64 and 2^64, or, if it cares, are zero: the product of
 * eight such elements is below 2^(8 * 64 + 8), which leaves room for that of two such.
 *
 * A value is (re, im) * 2^exponent, and its larger part is zero, not finite, or in [2^-64, 2^64):
 * nothing overflows or underflows before the prefix itself is scaled. A prefix is (S * y) * x as in
 * scan_body.h, but x is formed in order. */

typedef struct {
    PART re, im;
    int64_t exponent;
} NAME(value);

static void NAME(normalise)(NAME(value) * v)
{
    PART size = MAGNITUDE(v->re);
    if (IS_COMPLEX && MAGNITUDE(v->im) > size)
        size = MAGNITUDE(v->im);
    if ((size >= (PART)0x1p-64 && size < (PART)0x1p64) || size == 0)
        return;
    if (!isfinite(v->re) || !isfinite(v->im))
        return;
    const int exponent = ilogbl((long double)size);
    v->re = SCALE(v->re, -exponent);
    v->im = SCALE(v->im, -exponent);
    v->exponent += exponent;
}

static inline void NAME(times)(NAME(value) * a, const NAME(value) * b)
{
    if (IS_COMPLEX) {
        const PART re = a->re * b->re - a->im * b->im;
        a->im = a->re * b->im + a->im * b->re;
        a->re = re;
    } else {
        a->re *= b->re;
    }
    a->exponent += b->exponent;
}

static void NAME(join)(void *left, const void *right)
{
    NAME(times)(left, right);
    NAME(normalise)(left);
}

static const NAME(value) NAME(none) = {1, 0, 0};

/* The last step of a prefix: its exponent. Returns flags. */
static int NAME(scale)(int64_t exponent, int nan_given, PART *part)
{
    const PART unscaled = *part;
    const int64_t most = 40000;
    *part = SCALE(unscaled, (int)(exponent > most ? most : exponent < -most ? -most : exponent));
    if (isnan(*part)) {
        *part = (PART)NAN;
        return nan_given ? 0 : PARSUM_INVALID;
    }
    return isinf(*part) && isfinite(unscaled) ? PARSUM_OVERFLOW : 0;
}

/* As a normalised value; products of moderate elements (see MODERATE) need not be it. */
static inline NAME(value) NAME(normalised)(PART re, PART im, int64_t exponent)
{
    NAME(value) v = {re, im, exponent};
    NAME(normalise)(&v);
    return v;
}

/* SCAN_CHAINS groups of moderate elements; their products do not wait for each other. */
static inline void NAME(groups)(const PART *v, PART (*re)[SCAN_CHAINS], PART (*im)[SCAN_CHAINS])
{
    const size_t parts = 1 + IS_COMPLEX;
    for (size_t k = 0; k < SCAN_GROUP; k++)
        for (size_t g = 0; g < SCAN_CHAINS; g++) {
            re[k][g] = v[(g * SCAN_GROUP + k) * parts];
            im[k][g] = IS_COMPLEX ? v[(g * SCAN_GROUP + k) * parts + 1] : 0;
        }
    for (size_t k = 1; k < SCAN_GROUP; k++)
        for (size_t g = 0; g < SCAN_CHAINS; g++) {
            const PART x = re[k - 1][g], y = im[k - 1][g];
            const PART a = re[k][g], b = im[k][g];
            re[k][g] = IS_COMPLEX ? x * a - y * b : x * a;
            im[k][g] = IS_COMPLEX ? x * b + y * a : 0;
        }
}

/* One group of at most SCAN_GROUP elements of any size: prefix k has an exponent of its own. */
static inline void NAME(group)(const PART *v, size_t n, NAME(value) * x)
{
    const size_t parts = 1 + IS_COMPLEX;
    const int moderate = MODERATE(v, n * parts);
    for (size_t k = 0; k < n; k++) {
        x[k].re = v[k * parts];
        x[k].im = IS_COMPLEX ? v[k * parts + 1] : 0;
        x[k].exponent = 0;
        if (!moderate)
            NAME(normalise)(&x[k]);
        if (k) {
            NAME(value) product = x[k - 1];
            NAME(times)(&product, &x[k]);
            x[k] = product;
        }
        if (!moderate)
            NAME(normalise)(&x[k]);
    }
}

/* Writes the prefixes to `out`, parts one after the other, unless it is NULL. */
static int NAME(leaf)(const NAME(value) * start, const PART *v, size_t n, PART *out,
                      NAME(value) * total)
{
    const size_t parts = 1 + IS_COMPLEX;
    const int moderate = MODERATE(v, n * parts);
    NAME(value) groups = NAME(none);
    int flags = 0, nan_given = isnan(start->re) || isnan(start->im);
    for (size_t i = 0; i < n;) {
        NAME(value) base[SCAN_CHAINS], x[SCAN_GROUP];
        PART re[SCAN_GROUP][SCAN_CHAINS], im[SCAN_GROUP][SCAN_CHAINS];
        const int side_by_side = moderate && n - i >= SCAN_CHAINS * SCAN_GROUP;
        const size_t left = n - i < SCAN_GROUP ? n - i : SCAN_GROUP;
        const size_t count = side_by_side ? SCAN_CHAINS * SCAN_GROUP : left;
        int64_t exponent = 0; /* whether there is one */
        PART check = 0;       /* zero if all prefixes are finite: products of moderate ones are */
        if (side_by_side)
            NAME(groups)(v + i * parts, re, im);
        else
            NAME(group)(v + i * parts, count, x);
        for (size_t g = 0; g < (side_by_side ? SCAN_CHAINS : 1); g++) {
            base[g] = *start;
            NAME(times)(&base[g], &groups);
            NAME(normalise)(&base[g]);
            exponent |= base[g].exponent;
            check += base[g].re - base[g].re + (base[g].im - base[g].im);
            const NAME(value) last =
                side_by_side
                    ? NAME(normalised)(re[SCAN_GROUP - 1][g], im[SCAN_GROUP - 1][g], 0)
                    : NAME(normalised)(x[left - 1].re, x[left - 1].im, x[left - 1].exponent);
            NAME(times)(&groups, &last);
            NAME(normalise)(&groups);
        }
        PART *to = out ? out + i * parts : NULL;
        if (out && side_by_side)
            for (size_t g = 0; g < SCAN_CHAINS; g++)
                for (size_t k = 0; k < SCAN_GROUP; k++) {
                    const PART a = base[g].re, b = base[g].im, c = re[k][g], d = im[k][g];
                    PART *p = to + (g * SCAN_GROUP + k) * parts;
                    p[0] = IS_COMPLEX ? a * c - b * d : a * c;
                    if (IS_COMPLEX)
                        p[1] = a * d + b * c;
                }
        else if (out)
            for (size_t k = 0; k < count; k++) {
                NAME(value) prefix = base[0];
                NAME(times)(&prefix, &x[k]);
                exponent |= x[k].exponent;
                to[k * parts] = prefix.re;
                if (IS_COMPLEX)
                    to[k * parts + 1] = prefix.im;
                check += prefix.re - prefix.re + (prefix.im - prefix.im);
            }
        for (size_t k = 0; out && (exponent || check != 0) && k < count; k++) {
            const PART *element = v + (i + k) * parts;
            const int64_t one =
                side_by_side ? base[k / SCAN_GROUP].exponent : base[0].exponent + x[k].exponent;
            nan_given |= isnan(element[0]) || isnan(element[parts - 1]);
            for (size_t part = 0; part < parts; part++)
                flags |= NAME(scale)(one, nan_given, &to[k * parts + part]);
        }
        i += count;
    }
    *total = groups;
    return flags;
}

#undef PART
#undef NAME
#undef IS_COMPLEX
#undef MAGNITUDE
#undef SCALE
#undef MODERATE
