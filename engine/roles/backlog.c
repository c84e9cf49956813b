/*
 * backlog — QoS 1 messages that wait for one session, oldest first; bounded by its owner
 *
 * Why it is so:   a message at QoS 1 may not be lost because its receiver is slow, or away. While
 *                 the window is full it waits here; when the session ends, what was sent and not
 *                 acknowledged goes in front, and the whole moves with the session
 * Invariants:     (1) entries with a packet identifier come before those without
 *                 (2) one reference of each payload belongs to its entry
 *                 (3) a ring has an entry
 * Memory:         the ring of entries; freed when empty
 * Threads:        the shard that owns it; a parcel belongs to the message it travels in
 * Limits:         none here: the owner knows the session's bounds
 */
#include "engine/roles/backlog.h"

#include <fleetmux/private/assert.h>

#define FIRST_ENTRIES 8u

static struct fmx_backlog_entry *entry_at(struct fmx_backlog_ring *ring, uint32_t i)
{
    return &ring->entries[(ring->first + i) & (ring->capacity - 1)];
}

static bool grow(struct fmx_backlog *backlog)
{
    struct fmx_backlog_ring *old = backlog->ring;
    uint32_t capacity = old == NULL ? FIRST_ENTRIES : old->capacity * 2;
    struct fmx_backlog_ring *grown = malloc(sizeof(*grown) + capacity * sizeof(grown->entries[0]));

    if (grown == NULL) {
        return false;
    }
    *grown = (struct fmx_backlog_ring){.count = fmx_backlog_count(backlog),
                                       .capacity = capacity,
                                       .bytes = fmx_backlog_bytes(backlog)};
    for (uint32_t i = 0; i < grown->count; i++) {
        grown->entries[i] = *entry_at(old, i);
    }
    free(old);
    backlog->ring = grown;
    return true;
}

bool fmx_backlog_push(struct fmx_backlog *backlog, const struct fmx_backlog_entry *entry)
{
    bool is_full = backlog->ring == NULL || backlog->ring->count == backlog->ring->capacity;

    if (is_full && !grow(backlog)) {
        return false;
    }
    struct fmx_backlog_ring *ring = backlog->ring;
    *entry_at(ring, ring->count++) = *entry;
    ring->bytes += fmx_payload_bytes(entry->payload);
    return true;
}

bool fmx_backlog_pop(struct fmx_backlog *backlog, struct fmx_backlog_entry *out_entry)
{
    struct fmx_backlog_ring *ring = backlog->ring;

    if (ring == NULL) {
        return false;
    }
    *out_entry = *entry_at(ring, 0);
    ring->first = (ring->first + 1) & (ring->capacity - 1);
    ring->count--;
    ring->bytes -= fmx_payload_bytes(out_entry->payload);
    if (ring->count == 0) {
        FMX_ASSERT(ring->bytes == 0);
        free(ring);
        backlog->ring = NULL;
    }
    return true;
}

uint32_t fmx_backlog_append(struct fmx_backlog *into, struct fmx_backlog *from)
{
    struct fmx_backlog_entry entry;
    uint32_t dropped = 0;

    if (into->ring == NULL) {
        *into = *from;
        *from = (struct fmx_backlog){0};
        return 0;
    }
    while (fmx_backlog_pop(from, &entry)) {
        if (!fmx_backlog_push(into, &entry)) {
            fmx_payload_give(entry.payload);
            dropped++;
        }
    }
    return dropped;
}

void fmx_backlog_wipe(struct fmx_backlog *backlog)
{
    struct fmx_backlog_entry entry;

    while (fmx_backlog_pop(backlog, &entry)) {
        fmx_payload_give(entry.payload);
    }
}

uint32_t fmx_backlog_export(struct fmx_backlog *backlog)
{
    struct fmx_backlog exported = {0};
    struct fmx_backlog_entry entry;
    uint32_t dropped = 0;

    while (fmx_backlog_pop(backlog, &entry)) {
        entry.payload = fmx_payload_export(entry.payload);
        if (entry.payload == NULL) {
            dropped++;
        } else if (!fmx_backlog_push(&exported, &entry)) {
            fmx_payload_give(entry.payload);
            dropped++;
        }
    }
    *backlog = exported;
    return dropped;
}

struct fmx_parcel *fmx_parcel_pack(struct fmx_backlog *backlog, uint32_t *out_dropped)
{
    uint32_t dropped = fmx_backlog_export(backlog);
    struct fmx_parcel *parcel = backlog->ring != NULL ? malloc(sizeof(*parcel)) : NULL;

    if (parcel != NULL) {
        parcel->backlog = *backlog;
        *backlog = (struct fmx_backlog){0};
    }
    *out_dropped = dropped + fmx_backlog_count(backlog);
    fmx_backlog_wipe(backlog);
    return parcel;
}

uint32_t fmx_parcel_unpack(struct fmx_parcel *parcel, struct fmx_backlog *into)
{
    if (parcel == NULL) {
        return 0;
    }
    uint32_t dropped = fmx_backlog_append(into, &parcel->backlog);
    fmx_backlog_wipe(&parcel->backlog);
    free(parcel);
    return dropped;
}
