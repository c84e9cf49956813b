/*
 * backlog.h — QoS 1 messages that wait for one session, oldest first; bounded by its owner
 */
#ifndef ENGINE_ROLES_BACKLOG_H
#define ENGINE_ROLES_BACKLOG_H

#include "engine/payload.h"

struct fmx_backlog_entry {
    struct fmx_payload *payload;
    uint16_t packet_id; /* it was sent under this identifier and not acknowledged; 0: never sent */
};

struct fmx_backlog_ring {
    uint32_t first;
    uint32_t count;
    uint32_t capacity; /* power of two */
    uint64_t bytes;    /* of all payloads, as fmx_payload_bytes counts */
    struct fmx_backlog_entry entries[];
};

/* All zero is an empty backlog, which owns nothing: most sessions have one. */
struct fmx_backlog {
    struct fmx_backlog_ring *ring;
};

static inline uint32_t fmx_backlog_count(const struct fmx_backlog *backlog)
{
    return backlog->ring == NULL ? 0 : backlog->ring->count;
}

static inline uint64_t fmx_backlog_bytes(const struct fmx_backlog *backlog)
{
    return backlog->ring == NULL ? 0 : backlog->ring->bytes;
}

/* Takes over the entry's reference. False if memory ran out: the reference stays the caller's. */
bool fmx_backlog_push(struct fmx_backlog *backlog, const struct fmx_backlog_entry *entry);

/* The entry at a place counted from the oldest, below the count. */
static inline const struct fmx_backlog_entry *fmx_backlog_at(const struct fmx_backlog *backlog,
                                                             uint32_t place)
{
    const struct fmx_backlog_ring *ring = backlog->ring;

    return &ring->entries[(ring->first + place) & (ring->capacity - 1)];
}

/* The oldest, whose reference is now the caller's. False if empty. */
bool fmx_backlog_pop(struct fmx_backlog *backlog, struct fmx_backlog_entry *out_entry);

/*
 * Moves all of `from` behind all of `into`. Entries that find no memory are dropped: returns how
 * many.
 */
uint32_t fmx_backlog_append(struct fmx_backlog *into, struct fmx_backlog *from);

/* Gives everything back; the backlog is empty afterwards. */
void fmx_backlog_wipe(struct fmx_backlog *backlog);

/* Makes every payload its own, so that the backlog may cross to another shard. As append: drops. */
uint32_t fmx_backlog_export(struct fmx_backlog *backlog);

/* What a session hands over when it moves between shards, or from one to its home. */
struct fmx_parcel {
    struct fmx_backlog backlog;
};

/*
 * An allocated parcel with the backlog's content, exported; NULL if it is empty or memory ran
 * out.
 */
struct fmx_parcel *fmx_parcel_pack(struct fmx_backlog *backlog, uint32_t *out_dropped);

/* Moves the content behind `into` and frees the parcel; NULL is an empty parcel. Returns drops. */
uint32_t fmx_parcel_unpack(struct fmx_parcel *parcel, struct fmx_backlog *into);

#endif
