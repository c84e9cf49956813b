/*
 * cut — a parser must not care how its bytes arrive, nor look past them
 *
 * Why it is so:   each span is copied to a heap block of its very size, so that the address
 *                 sanitizer sees a read beyond it
 * Memory:         allocates and frees per step; the parser keeps nothing
 */
#include "tests/support/cut.h"

#include <CUnit/CUnit.h>

#include <fleetmux/private/assert.h>

struct outcome {
    enum fmx_status status;
    size_t used;
    uint64_t digest;
};

/* A copy without a spare byte; an empty one is NULL. */
static uint8_t *copy_exactly(fmx_slice span)
{
    uint8_t *copy = NULL;

    if (span.bytes > 0) {
        copy = malloc(span.bytes);
        FMX_ASSERT(copy != NULL);
        memcpy(copy, span.data, span.bytes);
    }
    return copy;
}

static enum fmx_status feed_copy(const struct fmx_cut_parser *parser, fmx_slice unread,
                                 size_t *out_used)
{
    uint8_t *copy = copy_exactly(unread);
    enum fmx_status status =
        parser->feed(parser->context, (fmx_slice){copy, unread.bytes}, out_used);

    free(copy);
    return status;
}

/* All that can be understood of the first `arrived` bytes. */
static enum fmx_status feed_until(const struct fmx_cut_parser *parser, fmx_slice input,
                                  size_t arrived, size_t *used)
{
    enum fmx_status status = FMX_OK;

    while (status == FMX_OK) {
        size_t step = 0;
        fmx_slice unread = {input.data + *used, arrived - *used};
        status = feed_copy(parser, unread, &step);
        *used += status == FMX_OK ? step : 0;
        FMX_ASSERT(*used <= arrived && (status != FMX_OK || step > 0));
    }
    return status;
}

/* First `first` bytes, then pieces of `step`. */
static struct outcome feed_pieces(const struct fmx_cut_parser *parser, fmx_slice input,
                                  size_t first, size_t step)
{
    struct outcome outcome = {.status = FMX_MORE};
    size_t arrived = first;

    parser->begin(parser->context);
    while (outcome.status == FMX_MORE) {
        outcome.status = feed_until(parser, input, arrived, &outcome.used);
        if (arrived == input.bytes) {
            break;
        }
        arrived += step < input.bytes - arrived ? step : input.bytes - arrived;
    }
    outcome.digest = parser->digest(parser->context);
    return outcome;
}

static void expect_same(struct outcome whole, struct outcome cut, size_t position)
{
    bool is_same =
        whole.status == cut.status && whole.used == cut.used && whole.digest == cut.digest;

    if (!is_same) {
        fprintf(stderr, "cut at %zu: %s after %zu, whole: %s after %zu\n", position,
                fmx_status_name(cut.status), cut.used, fmx_status_name(whole.status), whole.used);
    }
    CU_ASSERT(is_same);
}

enum fmx_status fmx_cut_every_way(fmx_slice input, const struct fmx_cut_parser *parser)
{
    struct outcome whole = feed_pieces(parser, input, input.bytes, 1);

    expect_same(whole, feed_pieces(parser, input, 0, 1), 0);
    for (size_t first = 0; first < input.bytes; first++) {
        expect_same(whole, feed_pieces(parser, input, first, input.bytes), first);
    }
    return whole.status;
}

void fmx_cut_every_prefix(fmx_slice input, void (*check)(void *context, fmx_slice prefix),
                          void *context)
{
    for (size_t bytes = 0; bytes <= input.bytes; bytes++) {
        uint8_t *copy = copy_exactly((fmx_slice){input.data, bytes});
        check(context, (fmx_slice){copy, bytes});
        free(copy);
    }
}
