/*
 * index — hash → 32-bit value, open addressing; the caller compares keys
 *
 * Why it is so:   topics, levels of filters, client ids: each has keys of another shape, so the
 *                 table holds none and compares none. An entry is 8 bytes, eight of them a cache
 *                 line, and looking on means the next entry and nearly always the same line.
 *                 Deletion shifts the followers back instead of leaving tombstones: a table that
 *                 has seen a million come and go is as fast as a new one
 * Words:          tag: the upper half of a hash, the only half used; home: where a tag would stand
 *                 if nothing were in its way, its lower bits; run: entries without a gap
 * Invariants:     (1) from an entry's home to the entry there is no gap  (2) at most 5 of 8 places
 *                 are taken, so a search ends  (3) capacity is a power of two, 16 or more; without
 *                 entries it is 0, unless room has been reserved
 * Memory:         owns the table: 13 to 26 bytes for each value while growing, at most 64 after a
 *                 peak has gone
 * Threads:        owning shard only
 * Limits:         2^31 places. A hash must be seeded where a peer chooses the keys, or it could
 *                 make runs long. Growing and shrinking move the whole table at one stroke: some
 *                 10 ns for each value
 * Not here:       the hash of topics: proto/topic.c
 */
#include "engine/index.h"

#include <fleetmux/private/assert.h>
#include <stdlib.h>

#define CAPACITY_MIN 16u
#define CAPACITY_MAX (1u << 31)

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

/* How many values a table of this capacity holds before it has to grow. */
static uint32_t room_of(uint32_t capacity)
{
    return capacity / 8 * 5;
}

static void insert(struct fmx_index *index, struct fmx_index_entry entry)
{
    uint32_t mask = index->capacity - 1;
    uint32_t at = entry.tag & mask;

    while (index->entries[at].value != FMX_INDEX_NONE) {
        at = (at + 1) & mask;
    }
    index->entries[at] = entry;
}

static enum fmx_status resize(struct fmx_index *index, uint32_t capacity)
{
    struct fmx_index old = *index;
    struct fmx_index_entry *entries = malloc(capacity * sizeof *entries);

    FMX_ASSERT(room_of(capacity) >= old.used);
    if (entries == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    memset(entries, 0xff, capacity * sizeof *entries); /* all FMX_INDEX_NONE */
    index->entries = entries;
    index->capacity = capacity;
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].value != FMX_INDEX_NONE) {
            insert(index, old.entries[i]);
        }
    }
    free(old.entries);
    return FMX_OK;
}

enum fmx_status fmx_index_reserve(struct fmx_index *index, uint32_t more)
{
    uint64_t wanted = (uint64_t)index->used + more;
    uint32_t capacity = index->capacity != 0 ? index->capacity : CAPACITY_MIN;

    while (room_of(capacity) < wanted) {
        if (capacity == CAPACITY_MAX) {
            return FMX_LIMIT_MEMORY;
        }
        capacity *= 2;
    }
    return capacity == index->capacity ? FMX_OK : resize(index, capacity);
}

uint32_t fmx_index_find(const struct fmx_index *index, uint64_t hash, uint32_t *probe)
{
    uint32_t tag = tag_of(hash);

    if (index->capacity == 0) {
        return FMX_INDEX_NONE;
    }
    uint32_t mask = index->capacity - 1;
    uint32_t at = (*probe == UINT32_MAX ? tag : *probe + 1) & mask;
    while (index->entries[at].value != FMX_INDEX_NONE && index->entries[at].tag != tag) {
        at = (at + 1) & mask;
    }
    *probe = at;
    return index->entries[at].value;
}

enum fmx_status fmx_index_put(struct fmx_index *index, uint64_t hash, uint32_t value)
{
    FMX_ASSERT(value != FMX_INDEX_NONE);
    enum fmx_status status = fmx_index_reserve(index, 1);
    if (status != FMX_OK) {
        return status;
    }
    insert(index, (struct fmx_index_entry){.tag = tag_of(hash), .value = value});
    index->used++;
    return FMX_OK;
}

static uint32_t place_of(const struct fmx_index *index, uint64_t hash, uint32_t value)
{
    uint32_t probe = UINT32_MAX;
    uint32_t found;

    do {
        found = fmx_index_find(index, hash, &probe);
        FMX_ASSERT(found != FMX_INDEX_NONE);
    } while (found != value);
    return probe;
}

/* Empties a place; followers that may stand there, or nearer to home, move up (1). */
static void close_gap(struct fmx_index *index, uint32_t gap)
{
    uint32_t mask = index->capacity - 1;

    for (uint32_t at = (gap + 1) & mask; index->entries[at].value != FMX_INDEX_NONE;
         at = (at + 1) & mask) {
        uint32_t from_home = (at - index->entries[at].tag) & mask;
        if (from_home >= ((at - gap) & mask)) {
            index->entries[gap] = index->entries[at];
            gap = at;
        }
    }
    index->entries[gap].value = FMX_INDEX_NONE;
}

/* A table that could not be made smaller stays as it is; that is no harm. */
static void shrink(struct fmx_index *index)
{
    if (index->used == 0) {
        fmx_index_close(index);
    } else if (index->capacity > CAPACITY_MIN && index->used < index->capacity / 8) {
        (void)!resize(index, index->capacity / 2);
    }
}

void fmx_index_remove(struct fmx_index *index, uint64_t hash, uint32_t value)
{
    close_gap(index, place_of(index, hash, value));
    index->used--;
    shrink(index);
}

void fmx_index_close(struct fmx_index *index)
{
    free(index->entries);
    *index = (struct fmx_index){0};
}

void fmx_index_check(const struct fmx_index *index)
{
    uint32_t mask = index->capacity - 1;
    uint32_t used = 0;

    FMX_ASSERT((index->capacity & mask) == 0 && index->used <= room_of(index->capacity));
    for (uint32_t i = 0; i < index->capacity; i++) {
        if (index->entries[i].value == FMX_INDEX_NONE) {
            continue;
        }
        used++;
        for (uint32_t at = index->entries[i].tag & mask; at != i; at = (at + 1) & mask) {
            FMX_ASSERT(index->entries[at].value != FMX_INDEX_NONE);
        }
    }
    FMX_ASSERT(used == index->used);
}
