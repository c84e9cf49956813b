/*
 * inflight.h — packet identifiers in use towards the peer, in the order in which they were taken
 *
 * A window of positions: identifiers are handed out in a row (1 … 65,535, then 1 again), so the
 * oldest unacknowledged one and the newest bound a span, and an acknowledgement finds its entry
 * without a search. An entry is a 64-bit tag of the caller's (not 0). Storage is the caller's and
 * can be exchanged for a larger one at any time, and for a smaller one that holds the span.
 * (MQTT 5.0, 2.2.1, 4.4, 4.9)
 */
#ifndef PROTO_INFLIGHT_H
#define PROTO_INFLIGHT_H

#include "proto/limits.h"
#include <fleetmux/error.h>
#include <fleetmux/types.h>

struct fmx_inflight {
    uint64_t *tags;    /* `capacity` entries; 0 = acknowledged */
    uint32_t capacity; /* power of two, at most FMX_INFLIGHT_MAX */
    uint32_t used;     /* entries in use */
    uint64_t first;    /* position of the oldest entry in use, or == next */
    uint64_t next;     /* position of the next identifier */
};

/* Position p has the identifier 1 + p % 65535; positions run freely. */
static inline uint16_t fmx_inflight_id(uint64_t position)
{
    return (uint16_t)(1u + position % FMX_PACKET_ID_MAX);
}

/* Begins empty. `capacity` is a power of two; `storage` may be NULL if it is 0. */
void fmx_inflight_init(struct fmx_inflight *window, uint64_t *storage, uint32_t capacity);

/*
 * Takes the next identifier for `tag`. FMX_OK, or FMX_FULL if the span first … next fills the
 * storage (give it a larger one with fmx_inflight_move, or wait).
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
 * identifier and its tag, or FMX_END. Identifiers may be given back during the walk.
 */
enum fmx_status fmx_inflight_next(const struct fmx_inflight *window, uint64_t *position,
                                  uint16_t *out_id, uint64_t *out_tag) FMX_MUST_USE;

/*
 * Moves all into other storage that holds the span (next − first); the caller then releases the old
 * one. Identifiers stay. An empty window may be moved to NULL and capacity 0.
 */
void fmx_inflight_move(struct fmx_inflight *window, uint64_t *storage, uint32_t capacity);

/* Asserts the invariants (debug builds and tests). */
void fmx_inflight_check(const struct fmx_inflight *window);

#endif
