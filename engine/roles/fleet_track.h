/*
 * fleet_track.h — the ledger of a shard: between fleet_track.c, which keeps it, and fleet_settle.c
 */
#ifndef ENGINE_ROLES_FLEET_TRACK_H
#define ENGINE_ROLES_FLEET_TRACK_H

#include "engine/roles/fleet.h"
#include "engine/roles/fleet_gaps.h"
#include "engine/roles/fleet_refuse.h"

#include <assert.h>

#define FMX_LEDGER_BYTES_MAX   ((size_t)1 << 30) /* of all shards */
#define FMX_LEDGER_TABLES      64u
#define FMX_TRACK_CHUNK        4096u
#define FMX_TRACK_LAYERS_MAX   64u
#define FMX_TRACK_NUMBERS_MAX  ((1ull << 48) - 1) /* of which the last is none */
#define FMX_TRACK_ORIGINS_MAX  65536u
#define FMX_TRACK_RECEIVER_MAX 0xffffffu

/*
 * What one receiver has seen of one topic of one publisher: of the numbers from `base` on and below
 * `next` all but those in `gaps`. With several filters that match, layer 1 is what came once more,
 * layer 2 what came once more again.
 */
struct fmx_fleet_track {
    uint32_t next_low;
    uint32_t base_low;
    uint16_t next_high;
    uint16_t base_high;
    uint32_t gaps;
    uint32_t publisher : 24;
    uint32_t topic : 8;
    uint32_t receiver : 24;
    uint32_t layer : 6;
    bool is_unchecked : 1; /* for good: counted no more, its part of the ledger is closed */
    bool is_matched : 1;   /* a filter of the receiver's own matches */
    uint16_t origin;       /* its place in the ledger's list */
    uint16_t returns;      /* of the receiver, when it was begun */
};

static_assert(sizeof(struct fmx_fleet_track) == 28, "what a pair that talks costs");

/* What is closed of the ledger of a group. */
struct fmx_fleet_sums {
    uint64_t expected;
    uint64_t lost;
};

/* Finds a track: an entry is its place, and 6 bits of its hash above. */
struct fmx_fleet_table {
    uint32_t *entries;
    uint32_t capacity; /* power of two, or 0 */
    uint32_t used;     /* at most 3 of 4 */
};

struct fmx_fleet_ledger {
    struct fmx_fleet_table tables[FMX_LEDGER_TABLES]; /* small ones grow, not one large */
    struct fmx_fleet_track **chunks;
    uint32_t count;
    uint32_t *origins;
    uint32_t origins_count;
    uint32_t origins_last; /* found last */
    uint64_t seed;
    struct fmx_gaps gaps;
    struct fmx_fleet_sums *sums; /* by group */
    struct fmx_refusals
        refused; /* messages of this shard's clients, in the order of their PUBACK */
    struct fmx_refusals *closed; /* by group: counted as lost already, and perhaps refused */
    size_t bytes;                /* without those of gaps */
    size_t bytes_max;
    bool was_full; /* not every pair is in it */
};

static inline struct fmx_fleet_track *fmx_track_at(const struct fmx_fleet_ledger *ledger,
                                                   uint32_t track)
{
    return &ledger->chunks[track / FMX_TRACK_CHUNK][track % FMX_TRACK_CHUNK];
}

static inline uint64_t fmx_track_next(const struct fmx_fleet_track *track)
{
    return (uint64_t)track->next_high << 32 | track->next_low;
}

static inline uint64_t fmx_track_base(const struct fmx_fleet_track *track)
{
    return (uint64_t)track->base_high << 32 | track->base_low;
}

static inline bool fmx_track_is_of_before(const struct fmx_fleet_track *track,
                                          const struct fmx_fleet_client *receiver)
{
    return track->returns != (uint16_t)receiver->returns;
}

/* ── fleet_track.c ── */

/* Whose the client with this index is; NULL: another process's, or nobody's. */
const struct fmx_fleet_team *fmx_track_team_of(const struct fmx_fleet *fleet, uint32_t index);

/* Puts what came, and what is missing below `end`, into the sums; the track is empty then. */
void fmx_track_close(struct fmx_fleet_ledger *ledger, struct fmx_fleet_sums *sums,
                     struct fmx_fleet_track *track, uint64_t end);

/* How many of its own filters match, and whether only a shared one does. */
uint32_t fmx_track_filters(const struct fmx_fleet_client *receiver, fmx_slice topic,
                           bool *out_is_shared);

/* ── fleet_settle.c ── */

/* As fmx_fleet_ledger_settle, with the shards given. */
bool fmx_ledger_settle_shards(struct fmx_fleet *fleet, struct fmx_fleet_shard *const *shards,
                              uint32_t shards_count);

#endif
