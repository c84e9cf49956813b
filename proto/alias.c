/*
 * alias — topic alias ↔ topic, one table for each direction of a connection
 *
 * Why it is so:   an alias replaces a topic of some fifty bytes by three; who may use how many is
 *                 agreed anew on each connection. From the peer, the alias is an index. Towards the
 *                 peer, there are few aliases (often 20) and any number of topics: a scan over
 *                 hashes that lie side by side is faster there than any tree, and the table's only
 *                 art is to let the coldest topic fall out.
 * Words:          hit: one use of an alias; round: the time between two topics falling out; at its
 *                 end all hits are halved, so that old fame fades
 * Invariants:     (1) an alias is an index + 1, never 0 and never above the capacity  (2) towards
 *                 the peer no two entries hold the same topic  (3) entries 0 … used − 1 are
 *                 filled, and used only grows up to the capacity  (4) a topic that was kept is
 *                 handed back exactly once: as `out_old`, or by the caller's own walk at the end
 * Memory:         the tables' storage and the bytes of every topic are the caller's; a topic is
 *                 borrowed from put until it is handed back
 * Threads:        pure
 * Limits:         capacity 0 … 65,535 entries; 0 means that aliases are not in use. A search is
 *                 linear: whoever sets a limit in the thousands pays for it
 * Not here:       which topics deserve an alias: the roles; what a breach leads to: session.c
 */
#include "proto/alias.h"

#include "proto/topic.h"
#include <fleetmux/private/assert.h>

/* Only a sieve before bytes are compared, and the topics are ours: any seed will do. */
#define ALIAS_HASH_SEED 0x616c696173u

void fmx_alias_in_init(struct fmx_alias_in *table, uint16_t capacity)
{
    table->capacity = capacity;
    for (unsigned i = 0; i < capacity; i++) {
        table->topics[i] = (fmx_slice){0};
    }
}

enum fmx_status fmx_alias_in_put(struct fmx_alias_in *table, uint16_t alias, fmx_slice owned,
                                 fmx_slice *out_old)
{
    FMX_ASSERT(owned.bytes > 0);
    if (alias == 0 || alias > table->capacity) {
        return FMX_PEER_ALIAS;
    }
    *out_old = table->topics[alias - 1];
    table->topics[alias - 1] = owned;
    return FMX_OK;
}

enum fmx_status fmx_alias_in_get(const struct fmx_alias_in *table, uint16_t alias,
                                 fmx_slice *out_topic)
{
    if (table == NULL || alias == 0 || alias > table->capacity ||
        table->topics[alias - 1].bytes == 0) {
        return FMX_PEER_ALIAS;
    }
    *out_topic = table->topics[alias - 1];
    return FMX_OK;
}

void fmx_alias_out_init(struct fmx_alias_out *table, struct fmx_alias_entry *storage,
                        uint16_t capacity)
{
    FMX_ASSERT(storage != NULL || capacity == 0);
    *table = (struct fmx_alias_out){.entries = storage, .capacity = capacity};
}

static uint32_t hash_of(fmx_slice topic)
{
    return (uint32_t)fmx_topic_hash(topic, ALIAS_HASH_SEED);
}

uint16_t fmx_alias_out_find(struct fmx_alias_out *table, fmx_slice topic)
{
    if (table->used == 0) {
        return 0;
    }
    uint32_t hash = hash_of(topic);
    for (unsigned i = 0; i < table->used; i++) {
        struct fmx_alias_entry *entry = &table->entries[i];
        if (entry->hash == hash && fmx_slice_equal(entry->topic, topic)) {
            entry->hits += entry->hits < UINT32_MAX;
            return (uint16_t)(i + 1);
        }
    }
    return 0;
}

/* Ends a round: the entry with the fewest hits, the first one from the hand on; all fade. */
static uint16_t end_round(struct fmx_alias_out *table)
{
    unsigned victim = table->hand;
    unsigned at = table->hand;
    uint32_t fewest = UINT32_MAX;

    for (unsigned i = 0; i < table->capacity; i++) {
        struct fmx_alias_entry *entry = &table->entries[at];
        if (entry->hits < fewest) {
            fewest = entry->hits;
            victim = at;
        }
        entry->hits /= 2;
        at = at + 1u < table->capacity ? at + 1u : 0;
    }
    table->hand = (uint16_t)(victim + 1u < table->capacity ? victim + 1u : 0);
    return (uint16_t)victim;
}

uint16_t fmx_alias_out_put(struct fmx_alias_out *table, fmx_slice owned, fmx_slice *out_old)
{
    FMX_ASSERT(owned.bytes > 0);
    *out_old = (fmx_slice){0};
    if (table->capacity == 0) {
        return 0;
    }
    uint16_t index = table->used;
    if (table->used < table->capacity) {
        table->used++;
    } else {
        index = end_round(table);
        *out_old = table->entries[index].topic;
    }
    table->entries[index] =
        (struct fmx_alias_entry){.topic = owned, .hash = hash_of(owned), .hits = 1};
    return (uint16_t)(index + 1);
}
