/*
 * inflight — packet identifiers that await their acknowledgement, oldest first
 *
 * Why it is so:   an acknowledgement must find its message in constant time, and after a resume all
 *                 must be walked in the order of sending. Identifiers are therefore handed out in a
 *                 row; the oldest unacknowledged one and the newest bound a span, and an identifier
 *                 is a place in a ring. A hash table would find as fast but forget the order; a
 *                 list would keep the order but search. The price: one message that is never
 *                 acknowledged holds the span open behind it. FMX_FULL says so; the caller then
 *                 moves to larger storage or waits.
 *                 Every session has a window and few use it, so positions are no wider than the
 *                 identifiers they stand for, and wrap with them. 65,536 is a multiple of every
 *                 capacity: places go on in a row across the wrap, without a division. That is why
 *                 0, which is no identifier, has a place all the same
 * Words:          position: an identifier, or 0; span: the positions first … next − 1, counted
 *                 across the wrap; hole: a position in the span that is not in use, because it was
 *                 acknowledged out of order or is 0
 * Invariants:     (1) next − first ≤ capacity ≤ 32,768 < 65,536: a position lies in the span once,
 *                 and a full span is not an empty one  (2) the tag at `first` is not 0 unless the
 *                 span is empty: holes lie behind it  (3) `used` is the number of tags in the span
 *                 that are not 0  (4) position 0 is in the span only as a hole  (5) positions only
 *                 go on: an identifier is handed out again only after the row has gone round, so
 *                 that a late acknowledgement seldom finds a stranger
 *
 *                     tags[position & (capacity − 1)]
 *                                first       65,535  0  1        next
 *                     . . . . .  T  T  0  T    T     0  T  0  T  .  . . .
 *                                └───────────── the span ────┘
 *
 * Memory:         the ring is the caller's; we borrow it until fmx_inflight_move or the end
 * Threads:        pure
 * Limits:         capacity: a power of two, at most FMX_INFLIGHT_MAX, or 0; one less can be in use
 *                 where the span runs over position 0
 * Not here:       how many the peer allows: session.c; the messages themselves: whoever tags mean
 */
#include "proto/inflight.h"

#include <fleetmux/private/assert.h>

static uint64_t *tag_at(const struct fmx_inflight *window, uint16_t position)
{
    return &window->tags[position & (window->capacity - 1u)];
}

static bool is_capacity(uint32_t capacity)
{
    return capacity <= FMX_INFLIGHT_MAX && (capacity & (capacity - 1)) == 0;
}

static bool is_in_span(const struct fmx_inflight *window, uint16_t position)
{
    return (uint16_t)(position - window->first) < fmx_inflight_span(window);
}

static void append(struct fmx_inflight *window, uint64_t tag)
{
    *tag_at(window, window->next++) = tag;
}

void fmx_inflight_init(struct fmx_inflight *window, uint64_t *storage, uint32_t capacity)
{
    FMX_ASSERT(is_capacity(capacity));
    FMX_ASSERT(storage != NULL || capacity == 0);
    *window = (struct fmx_inflight){
        .tags = storage, .capacity = (uint16_t)capacity, .first = 1, .next = 1};
}

/* The next identifier is 1: an empty span begins there, any other has a hole before it. */
static void pass_zero(struct fmx_inflight *window)
{
    if (window->first == 0) {
        window->first = window->next = 1;
    } else {
        append(window, 0);
    }
}

enum fmx_status fmx_inflight_take(struct fmx_inflight *window, uint64_t tag, uint16_t *out_id)
{
    FMX_ASSERT(tag != 0);
    if (!fmx_inflight_has_room(window)) {
        return FMX_FULL;
    }
    if (window->next == 0) {
        pass_zero(window);
    }
    *out_id = window->next;
    append(window, tag);
    window->used++;
    return FMX_OK;
}

enum fmx_status fmx_inflight_restore(struct fmx_inflight *window, uint16_t id, uint64_t tag)
{
    FMX_ASSERT(tag != 0 && id != 0);
    if (window->used == 0) {
        window->first = window->next = id;
    }
    uint32_t gap = (uint16_t)(id - window->next);
    if (fmx_inflight_span(window) + gap >= window->capacity) {
        return FMX_FULL;
    }
    while (window->next != id) {
        append(window, 0);
    }
    append(window, tag);
    window->used++;
    return FMX_OK;
}

enum fmx_status fmx_inflight_give(struct fmx_inflight *window, uint16_t id, uint64_t *out_tag)
{
    if (!is_in_span(window, id) || *tag_at(window, id) == 0) {
        return FMX_PEER_ACK;
    }
    *out_tag = *tag_at(window, id);
    *tag_at(window, id) = 0;
    window->used--;
    while (window->first != window->next && *tag_at(window, window->first) == 0) {
        window->first++;
    }
    return FMX_OK;
}

uint64_t fmx_inflight_tag(const struct fmx_inflight *window, uint16_t id)
{
    return is_in_span(window, id) ? *tag_at(window, id) : 0;
}

enum fmx_status fmx_inflight_next(const struct fmx_inflight *window, uint16_t *position,
                                  uint16_t *out_id, uint64_t *out_tag)
{
    /* What has been acknowledged since the last step is no longer there to be walked. */
    bool is_there = is_in_span(window, *position) || *position == window->next;
    uint16_t at = is_there ? *position : window->first;

    while (at != window->next && *tag_at(window, at) == 0) {
        at++;
    }
    *position = at;
    if (at == window->next) {
        return FMX_END;
    }
    *out_id = at;
    *out_tag = *tag_at(window, at);
    (*position)++;
    return FMX_OK;
}

void fmx_inflight_move(struct fmx_inflight *window, uint64_t *storage, uint32_t capacity)
{
    FMX_ASSERT(is_capacity(capacity));
    FMX_ASSERT(storage != NULL || capacity == 0);
    FMX_ASSERT(storage != window->tags || storage == NULL);
    FMX_ASSERT(fmx_inflight_span(window) <= capacity);
    for (uint16_t at = window->first; at != window->next; at++) {
        storage[at & (capacity - 1)] = *tag_at(window, at);
    }
    window->tags = storage;
    window->capacity = (uint16_t)capacity;
}

void fmx_inflight_check(const struct fmx_inflight *window)
{
    uint32_t used = 0;

    FMX_ASSERT(is_capacity(window->capacity));
    FMX_ASSERT(window->tags != NULL || window->capacity == 0);
    FMX_ASSERT(fmx_inflight_span(window) <= window->capacity);
    FMX_ASSERT(window->first == window->next || *tag_at(window, window->first) != 0);
    FMX_ASSERT(fmx_inflight_tag(window, 0) == 0);
    for (uint16_t at = window->first; at != window->next; at++) {
        used += *tag_at(window, at) != 0;
    }
    FMX_ASSERT(used == window->used);
}
