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
 * Words:          position: a running number that never wraps in practice (64 bits); identifier:
 *                 1 + position % 65,535; span: the positions first … next − 1; hole: a position in
 *                 the span that has been acknowledged out of order
 * Invariants:     (1) next − first ≤ capacity ≤ 32,768 < 65,535: within the span an identifier
 *                 names one position  (2) the tag at `first` is not 0 unless the span is empty:
 *                 holes lie behind it  (3) `used` is the number of tags in the span that are not 0
 *                 (4) positions only grow: an identifier is handed out again only after the row has
 *                 gone round, so that a late acknowledgement seldom finds a stranger
 *
 *                     tags[position & (capacity − 1)]
 *                                first                     next
 *                     . . . . .  T  T  0  T  0  0  T  T  .  . . .
 *                                └──────── the span ──┘
 *
 * Memory:         the ring is the caller's; we borrow it until fmx_inflight_move or the end
 * Threads:        pure
 * Limits:         capacity: a power of two, at most FMX_INFLIGHT_MAX, or 0
 * Not here:       how many the peer allows: session.c; the messages themselves: whoever tags mean
 */
#include "proto/inflight.h"

#include <fleetmux/private/assert.h>

static uint64_t *tag_at(const struct fmx_inflight *window, uint64_t position)
{
    return &window->tags[position & (window->capacity - 1)];
}

static bool is_capacity(uint32_t capacity)
{
    return capacity <= FMX_INFLIGHT_MAX && (capacity & (capacity - 1)) == 0;
}

/* The tag of an identifier within the span, perhaps 0; NULL if it lies outside. */
static uint64_t *find(const struct fmx_inflight *window, uint16_t id, uint64_t *out_position)
{
    uint32_t place_of_first = (uint32_t)(window->first % FMX_PACKET_ID_MAX);
    uint32_t place = id + FMX_PACKET_ID_MAX - 1u;
    uint64_t offset = (place - place_of_first) % FMX_PACKET_ID_MAX;

    if (id == 0 || offset >= window->next - window->first) {
        return NULL;
    }
    *out_position = window->first + offset;
    return tag_at(window, *out_position);
}

void fmx_inflight_init(struct fmx_inflight *window, uint64_t *storage, uint32_t capacity)
{
    FMX_ASSERT(is_capacity(capacity));
    FMX_ASSERT(storage != NULL || capacity == 0);
    *window = (struct fmx_inflight){.tags = storage, .capacity = capacity};
}

enum fmx_status fmx_inflight_take(struct fmx_inflight *window, uint64_t tag, uint16_t *out_id)
{
    FMX_ASSERT(tag != 0);
    if (window->next - window->first >= window->capacity) {
        return FMX_FULL;
    }
    *out_id = fmx_inflight_id(window->next);
    *tag_at(window, window->next) = tag;
    window->next++;
    window->used++;
    return FMX_OK;
}

enum fmx_status fmx_inflight_restore(struct fmx_inflight *window, uint16_t id, uint64_t tag)
{
    FMX_ASSERT(tag != 0 && id != 0);
    uint64_t now_at = window->next % FMX_PACKET_ID_MAX;
    uint64_t position = window->next + (id - 1u + FMX_PACKET_ID_MAX - now_at) % FMX_PACKET_ID_MAX;

    if (window->used == 0) {
        window->first = window->next = position;
    }
    if (position - window->first >= window->capacity) {
        return FMX_FULL;
    }
    while (window->next < position) {
        *tag_at(window, window->next++) = 0;
    }
    return fmx_inflight_take(window, tag, &id);
}

enum fmx_status fmx_inflight_give(struct fmx_inflight *window, uint16_t id, uint64_t *out_tag)
{
    uint64_t position;
    uint64_t *tag = find(window, id, &position);

    if (tag == NULL || *tag == 0) {
        return FMX_PEER_ACK;
    }
    *out_tag = *tag;
    *tag = 0;
    window->used--;
    while (window->first < window->next && *tag_at(window, window->first) == 0) {
        window->first++;
    }
    return FMX_OK;
}

uint64_t fmx_inflight_tag(const struct fmx_inflight *window, uint16_t id)
{
    uint64_t position;
    const uint64_t *tag = find(window, id, &position);

    return tag != NULL ? *tag : 0;
}

enum fmx_status fmx_inflight_next(const struct fmx_inflight *window, uint64_t *position,
                                  uint16_t *out_id, uint64_t *out_tag)
{
    /* What has been acknowledged since the last step is no longer there to be walked. */
    uint64_t at = *position > window->first ? *position : window->first;

    while (at < window->next && *tag_at(window, at) == 0) {
        at++;
    }
    if (at >= window->next) {
        *position = window->next;
        return FMX_END;
    }
    *out_id = fmx_inflight_id(at);
    *out_tag = *tag_at(window, at);
    *position = at + 1;
    return FMX_OK;
}

void fmx_inflight_move(struct fmx_inflight *window, uint64_t *storage, uint32_t capacity)
{
    FMX_ASSERT(is_capacity(capacity));
    FMX_ASSERT(storage != NULL || capacity == 0);
    FMX_ASSERT(storage != window->tags || storage == NULL);
    FMX_ASSERT(window->next - window->first <= capacity);
    for (uint64_t at = window->first; at < window->next; at++) {
        storage[at & (capacity - 1)] = *tag_at(window, at);
    }
    window->tags = storage;
    window->capacity = capacity;
}

void fmx_inflight_check(const struct fmx_inflight *window)
{
    uint32_t used = 0;

    FMX_ASSERT(is_capacity(window->capacity));
    FMX_ASSERT(window->tags != NULL || window->capacity == 0);
    FMX_ASSERT(window->first <= window->next);
    FMX_ASSERT(window->next - window->first <= window->capacity);
    FMX_ASSERT(window->first == window->next || *tag_at(window, window->first) != 0);
    for (uint64_t at = window->first; at < window->next; at++) {
        used += *tag_at(window, at) != 0;
    }
    FMX_ASSERT(used == window->used);
}
