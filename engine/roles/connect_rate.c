/*
 * connect_rate — what of a client's rates outlives its connections, at its home
 *
 * Why it is so:   a client that is thrown out and comes back at once has no session that could
 *                 remember it. What has to be remembered is one time: when its bucket is full
 *                 again. A bucket that is full is the same as none, so entries go by themselves
 *                 whenever the table is full: it holds the clients of the last minute and no others
 * Invariants:     (1) used ≤ 3/4 of capacity  (2) an entry is found from the slot of its hash
 *                 onwards, with no free one between
 * Memory:         32 bytes a client of the last minute, at most 2.7 times that
 * Threads:        owning shard
 * Limits:         hashes that collide share a bucket: one in 2^64 pairs of clients
 */
#include "engine/roles/connect_rate.h"

#include "proto/limits.h"
#include <fleetmux/private/assert.h>
#include <stdlib.h>

#define CAPACITY_FIRST 256u

static struct fmx_connect_rate_entry *slot_of(struct fmx_connect_rate_entry *entries,
                                              uint32_t capacity, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (capacity - 1);

    while (entries[at].hash != 0 && entries[at].hash != hash) {
        at = (at + 1) & (capacity - 1);
    }
    return &entries[at];
}

static bool is_live(const struct fmx_connect_rate_entry *entry, uint64_t now_ns)
{
    return entry->hash != 0 && (entry->full_ns > now_ns || entry->rates.up_full_ns > now_ns ||
                                entry->rates.up_qos1_full_ns > now_ns);
}

static uint32_t count_live(const struct fmx_connect_rate *table, uint64_t now_ns)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < table->capacity; i++) {
        count += is_live(&table->entries[i], now_ns);
    }
    return count;
}

/* A new table without the buckets that are full. False: no memory, nothing changed. */
static bool renew(struct fmx_connect_rate *table, uint64_t now_ns)
{
    uint32_t live = count_live(table, now_ns);
    uint32_t capacity = CAPACITY_FIRST;

    while (capacity / 2 <= live) {
        capacity *= 2;
    }
    struct fmx_connect_rate_entry *entries = calloc(capacity, sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < table->capacity; i++) {
        if (is_live(&table->entries[i], now_ns)) {
            *slot_of(entries, capacity, table->entries[i].hash) = table->entries[i];
        }
    }
    free(table->entries);
    *table = (struct fmx_connect_rate){.entries = entries, .capacity = capacity, .used = live};
    return true;
}

/* The client's entry, made if it is not there. NULL: no memory. */
static struct fmx_connect_rate_entry *entry_of(struct fmx_connect_rate *table, uint64_t hash,
                                               uint64_t now_ns)
{
    hash = hash == 0 ? 1 : hash;
    if (table->used >= table->capacity / 4 * 3 && !renew(table, now_ns)) {
        return NULL;
    }
    struct fmx_connect_rate_entry *entry = slot_of(table->entries, table->capacity, hash);
    table->used += entry->hash == 0;
    entry->hash = hash;
    return entry;
}

bool fmx_connect_rate_allows(struct fmx_connect_rate *table, uint64_t hash, uint32_t per_minute,
                             uint64_t now_ns)
{
    uint64_t token_ns = 60 * FMX_NS_PER_S / per_minute;

    FMX_ASSERT(per_minute > 0);
    struct fmx_connect_rate_entry *entry = entry_of(table, hash, now_ns);
    if (entry == NULL) {
        return true;
    }
    uint64_t full_ns = entry->full_ns > now_ns ? entry->full_ns : now_ns;
    if (full_ns + token_ns > now_ns + per_minute * token_ns) {
        return false;
    }
    entry->full_ns = full_ns + token_ns;
    return true;
}

void fmx_connect_rate_remember(struct fmx_connect_rate *table, uint64_t hash,
                               const struct fmx_rate_memory *rates, uint64_t now_ns)
{
    if (rates->up_full_ns <= now_ns && rates->up_qos1_full_ns <= now_ns) {
        return;
    }
    struct fmx_connect_rate_entry *entry = entry_of(table, hash, now_ns);
    if (entry != NULL) {
        entry->rates = *rates;
    }
}

struct fmx_rate_memory fmx_connect_rate_recall(const struct fmx_connect_rate *table, uint64_t hash)
{
    if (table->capacity == 0) {
        return (struct fmx_rate_memory){0};
    }
    return slot_of(table->entries, table->capacity, hash == 0 ? 1 : hash)->rates;
}

void fmx_connect_rate_wipe(struct fmx_connect_rate *table)
{
    free(table->entries);
    *table = (struct fmx_connect_rate){0};
}
