/*
 * inflight.h — packet identifiers in use towards the peer, in the order in which they were taken
 *
 * A window of positions: identifiers are handed out in a row (1 … 65,535, then 1 again), so the
 * oldest unacknowledged one and the newest bound a span, and an acknowledgement finds its entry
 * without a search. An entry is a 64-bit tag of the caller's (not 0). Storage is the caller's and
 * can be exchanged for a larger one at any time, and for a smaller one that holds the span.
 * (MQTT 5.0, 2.2.1, 4.4, 4.9)
 *
 * An identifier is its own position. Position 0 is nobody's, but has a place: where the span runs
 * over it, it takes up the room of one entry.
 */
#ifndef PROTO_INFLIGHT_H
#define PROTO_INFLIGHT_H

#include "proto/limits.h"
#include <fleetmux/error.h>
#include <fleetmux/types.h>

struct fmx_inflight {
    uint64_t *tags;    /* `capacity` entries; 0 = acknowledged */
    uint16_t capacity; /* power of two, at most FMX_INFLIGHT_MAX, or 0 */
    uint16_t used;     /* entries in use */
    uint16_t first;    /* position of the oldest entry in use, or == next */
    uint16_t next;     /* position of the next identifier; 0: it will be 1 */
};

static_assert(sizeof(struct fmx_inflight) == 16, "part of every session");
static_assert(FMX_PACKET_ID_MAX == UINT16_MAX, "positions wrap by themselves");

/* Places between the oldest entry in use and the next one, holes among them. */
static inline uint32_t fmx_inflight_span(const struct fmx_inflight *window)
{
    return (uint16_t)(window->next - window->first);
}

/* Has the storage room for one more? If it is to lie behind position 0, for both. */
static inline bool fmx_inflight_has_room(const struct fmx_inflight *window)
{
    uint32_t places = window->next == 0 && window->first != 0 ? 2 : 1;

    return fmx_inflight_span(window) + places <= window->capacity;
}

/* Begins empty, at identifier 1. `capacity` is a power of two; with 0 `storage` may be NULL. */
void fmx_inflight_init(struct fmx_inflight *window, uint64_t *storage, uint32_t capacity);

/*
 * Takes the next identifier for `tag`. FMX_OK, or FMX_FULL if fmx_inflight_has_room says no (give
 * it a larger storage with fmx_inflight_move, or wait).
 */
enum fmx_status fmx_inflight_take(struct fmx_inflight *window, uint64_t tag,
                                  uint16_t *out_id) FMX_MUST_USE;

/*
 * Takes this very identifier: for a message that was sent under it on an earlier connection and
 * goes out again (4.4). Identifiers are restored in the order in which they were taken, before any
 * fresh one; what lies between two of them stays free. FMX_OK, or FMX_FULL if the storage has no
 * room for the span.
 */
enum fmx_status fmx_inflight_restore(struct fmx_inflight *window, uint16_t id,
                                     uint64_t tag) FMX_MUST_USE;

/* Gives an identifier back. FMX_OK with its tag, or FMX_PEER_ACK if it is not in use. */
enum fmx_status fmx_inflight_give(struct fmx_inflight *window, uint16_t id,
                                  uint64_t *out_tag) FMX_MUST_USE;

/* The tag of an identifier in use, or 0. */
uint64_t fmx_inflight_tag(const struct fmx_inflight *window, uint16_t id);

/*
 * Walks what is in use, oldest first. `position` begins at window->first. FMX_OK with an
 * identifier and its tag, or FMX_END. During the walk identifiers may be given back, none taken.
 */
enum fmx_status fmx_inflight_next(const struct fmx_inflight *window, uint16_t *position,
                                  uint16_t *out_id, uint64_t *out_tag) FMX_MUST_USE;

/*
 * Moves all into other storage that holds the span (fmx_inflight_span); the caller then releases
 * the old one. Identifiers stay. An empty window may be moved to NULL and capacity 0.
 */
void fmx_inflight_move(struct fmx_inflight *window, uint64_t *storage, uint32_t capacity);

/* Asserts the invariants (debug builds and tests). */
void fmx_inflight_check(const struct fmx_inflight *window);

#endif
