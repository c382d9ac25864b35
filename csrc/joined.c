/* The product of several reductions of the same elements: all their states side by side, so that
 * memory is read once. It is a reduction as any other. */
#include <stdlib.h>
#include <string.h>

#include "convert.h"
#include "kernels.h"
#include "reductions.h"

/* Bytes of a block of elements, which all members but the first find in cache. */
#define BLOCK_BYTES 8192
_Static_assert(BLOCK_BYTES <= LEAF * ELEMENT_MAX, "a block fits on the stack");
#define RECORD_HEAD 16 /* bytes from the flags of a member's result to its values */

typedef struct {
    parsum_member as; /* what the caller asked for */
    size_t state;     /* where its state and its result are */
    size_t result;
} member;

typedef struct {
    parsum_reduction row; /* first, so that either address is the other's */
    int count;
    member members[];
} product;

/* A state begins with where its product is, as only identity_of is told. */
static const product *product_of(const void *state)
{
    const product *self;
    memcpy(&self, state, sizeof self);
    return self;
}

static void identity_of_product(const parsum_reduction *reduction, void *state, double parameter)
{
    const product *self = (const void *)reduction;
    (void)parameter; /* members have their own */
    memset(state, 0, STATE_ALIGNMENT);
    memcpy(state, &self, sizeof self);
    for (int k = 0; k < self->count; k++)
        parsum_identity(self->members[k].as.reduction, self->members[k].as.parameter,
                        (char *)state + self->members[k].state);
}

static void restart_product(void *state, double parameter)
{
    const product *self = product_of(state);
    (void)parameter;
    for (int k = 0; k < self->count; k++) {
        const parsum_member *as = &self->members[k].as;
        void *part = (char *)state + self->members[k].state;
        if (as->reduction->restart)
            as->reduction->restart(part, as->parameter);
        else
            parsum_identity(as->reduction, as->parameter, part);
    }
}

static void place_product(void *state, int64_t number, int64_t step)
{
    const product *self = product_of(state);
    for (int k = 0; k < self->count; k++)
        if (self->members[k].as.reduction->place)
            self->members[k].as.reduction->place((char *)state + self->members[k].state, number,
                                                 step);
}

static int product_valid(const void *state)
{
    const product *self = product_of(state);
    for (int k = 0; k < self->count; k++)
        if (!parsum_state_valid(self->members[k].as.reduction,
                                (const char *)state + self->members[k].state))
            return 0;
    return 1;
}

static void clear_product_padding(void *state)
{
    const product *self = product_of(state);
    for (int k = 0; k < self->count; k++)
        if (self->members[k].as.reduction->clear_padding)
            self->members[k].as.reduction->clear_padding((char *)state + self->members[k].state);
}

static void shift_product(void *state, int64_t by)
{
    const product *self = product_of(state);
    for (int k = 0; k < self->count; k++)
        if (self->members[k].as.reduction->shift)
            self->members[k].as.reduction->shift((char *)state + self->members[k].state, by);
}

/* A block without its NaNs, whose copy is on the stack. */
static void accumulate_without_nan(const parsum_reduction *reduction, void *state,
                                   const char *block, size_t n, ptrdiff_t stride)
{
    _Alignas(STATE_ALIGNMENT) char left[LEAF * ELEMENT_MAX];
    const size_t size = parsum_type_size[reduction->element];
    parsum_gather(left, block, n, stride, size, 0);
    if (!parsum_has_nan(reduction->element, left, n)) {
        reduction->accumulate(state, left, n, (ptrdiff_t)size);
        return;
    }
    n = parsum_drop_nan(reduction->element, left, n, left);
    if (n)
        reduction->accumulate(state, left, n, (ptrdiff_t)size);
}

static void accumulate_product(void *state, const void *data, size_t n, ptrdiff_t stride)
{
    const product *self = product_of(state);
    /* Never less than a leaf, which an ordered member must see as one. */
    const size_t fits = BLOCK_BYTES / parsum_type_size[self->row.element];
    const size_t most = fits < LEAF ? LEAF : fits;
    const char *block = data;
    while (n) {
        const size_t count = n < most ? n : most;
        for (int k = 0; k < self->count; k++) {
            const parsum_member *as = &self->members[k].as;
            void *part = (char *)state + self->members[k].state;
            if (as->skip_nan)
                accumulate_without_nan(as->reduction, part, block, count, stride);
            else
                as->reduction->accumulate(part, block, count, stride);
        }
        block += (ptrdiff_t)count * stride;
        n -= count;
    }
}

static int product_settled(const void *state)
{
    const product *self = product_of(state);
    for (int k = 0; k < self->count; k++)
        if (!self->members[k].as.reduction->settled((const char *)state + self->members[k].state))
            return 0;
    return 1;
}

static void combine_products(void *state, const void *other)
{
    const product *self = product_of(state);
    for (int k = 0; k < self->count; k++)
        self->members[k].as.reduction->combine((char *)state + self->members[k].state,
                                               (const char *)other + self->members[k].state);
}

static int finish_product(const void *state, int type, void *result)
{
    const product *self = product_of(state);
    (void)type;
    for (int k = 0; k < self->count; k++) {
        char *record = (char *)result + self->members[k].result;
        const int32_t flags =
            self->members[k].as.reduction->finish((const char *)state + self->members[k].state,
                                                  self->members[k].as.type, record + RECORD_HEAD);
        memcpy(record, &flags, sizeof flags);
    }
    return 0;
}

static size_t aligned_size(size_t size)
{
    return (size + STATE_ALIGNMENT - 1) / STATE_ALIGNMENT * STATE_ALIGNMENT;
}

/* Whether a reduction can be a member: the walker does for others what a product cannot. */
static int joins(const parsum_member *as, int element)
{
    const parsum_reduction *reduction = as->reduction;
    return reduction && reduction->element == element && reduction->accumulate &&
           !reduction->takes_result && !reduction->identity_of &&
           (reduction->results >> as->type & 1) && !(as->skip_nan && reduction->place);
}

int parsum_join(const parsum_member *members, int count, size_t *offsets, parsum_reduction **out)
{
    *out = NULL;
    if (count < 1 || count > PARSUM_MEMBERS_LIMIT)
        return PARSUM_BAD_ARGUMENT;
    for (int k = 0; k < count; k++)
        if (members[k].type < 0 || members[k].type >= PARSUM_TYPES ||
            !joins(&members[k], members[0].reduction->element))
            return PARSUM_BAD_ARGUMENT;
    product *self = calloc(1, sizeof *self + (size_t)count * sizeof self->members[0]);
    if (!self)
        return PARSUM_NO_MEMORY;
    parsum_reduction *row = &self->row;
    size_t state = STATE_ALIGNMENT, result = 0;
    int settles = 1;
    self->count = count;
    for (int k = 0; k < count; k++) {
        const parsum_reduction *reduction = members[k].reduction;
        self->members[k] = (member){.as = members[k], .state = state, .result = result};
        offsets[k] = result;
        state += aligned_size(reduction->state_size);
        result += RECORD_HEAD + aligned_size(parsum_type_size[members[k].type] *
                                             (size_t)parsum_values(reduction));
        row->ordered |= reduction->ordered;
        row->floating_exceptions |= reduction->floating_exceptions;
        if (reduction->place) {
            row->place = place_product;
            row->shift = shift_product;
        }
        settles &= reduction->settled != NULL;
    }
    if (row->ordered && row->place) {
        /* Elements with numbers come in runs, which would cut the leaves of the tree. */
        free(self);
        return PARSUM_BAD_ARGUMENT;
    }
    row->operation = "joined";
    row->element = members[0].reduction->element;
    row->results = BIT(PARSUM_UINT8);
    row->values = (int)result;
    row->state_size = state;
    row->identity_of = identity_of_product;
    row->restart = restart_product;
    row->valid = product_valid;
    row->clear_padding = clear_product_padding;
    row->accumulate = accumulate_product;
    row->settled = settles ? product_settled : NULL;
    row->combine = combine_products;
    row->finish = finish_product;
    *out = row;
    return 0;
}

size_t parsum_state_header(const parsum_reduction *reduction)
{
    return reduction->identity_of ? STATE_ALIGNMENT : 0;
}
