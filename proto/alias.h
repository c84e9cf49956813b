/*
 * alias.h — topic alias ↔ topic, one table per direction of a connection (MQTT 5.0, 3.3.2.3.4)
 *
 * The tables hold slices whose bytes the caller owns: what falls out of a table is handed back so
 * that the caller can release it. Tables have a fixed capacity, given with their storage; the one
 * from the peer is its storage, so that a session without aliases has one pointer for it.
 */
#ifndef PROTO_ALIAS_H
#define PROTO_ALIAS_H

#include <fleetmux/error.h>
#include <fleetmux/types.h>

/* From the peer: alias → topic. topics[alias - 1] is empty until the peer has named it. */
struct fmx_alias_in {
    uint16_t capacity;  /* the Topic Alias Maximum that was announced; 0: none allowed */
    fmx_slice topics[]; /* `capacity` of them */
};

/* What storage of a table takes. */
static inline size_t fmx_alias_in_bytes(uint16_t capacity)
{
    return sizeof(struct fmx_alias_in) + capacity * sizeof(fmx_slice);
}

/* Fills storage of fmx_alias_in_bytes(capacity). */
void fmx_alias_in_init(struct fmx_alias_in *table, uint16_t capacity);

/*
 * Names an alias. `owned` stays where it is until it is handed back in `out_old` (empty if there
 * was none). FMX_OK, or FMX_PEER_ALIAS if the alias is 0 or above the capacity.
 */
enum fmx_status fmx_alias_in_put(struct fmx_alias_in *table, uint16_t alias, fmx_slice owned,
                                 fmx_slice *out_old) FMX_MUST_USE;

/*
 * FMX_OK, or FMX_PEER_ALIAS if the alias is 0, above the capacity or not named yet. `table` may be
 * NULL: then none is.
 */
enum fmx_status fmx_alias_in_get(const struct fmx_alias_in *table, uint16_t alias,
                                 fmx_slice *out_topic) FMX_MUST_USE;

/* Towards the peer: topic → alias, the least used of the last round falls out. */
struct fmx_alias_entry {
    fmx_slice topic;
    uint32_t hash;
    uint32_t hits;
};

struct fmx_alias_out {
    struct fmx_alias_entry *entries;
    uint16_t capacity; /* the smaller of the peer's Topic Alias Maximum and ours */
    uint16_t used;
    uint16_t hand; /* where the search for a victim goes on */
};

void fmx_alias_out_init(struct fmx_alias_out *table, struct fmx_alias_entry *storage,
                        uint16_t capacity);

/* The alias of a topic that has one, or 0. Counts a hit. */
uint16_t fmx_alias_out_find(struct fmx_alias_out *table, fmx_slice topic);

/*
 * Gives `owned` an alias (1 … capacity) and returns it; `out_old` is the topic that fell out, or
 * empty. The topic must not have one already. Returns 0, keeping nothing, if the capacity is 0.
 */
uint16_t fmx_alias_out_put(struct fmx_alias_out *table, fmx_slice owned, fmx_slice *out_old);

#endif
