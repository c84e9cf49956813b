/*
 * fleet_track — who sent what: duplicates and gaps
 *
 * Why it is so:   "no message was lost" is worth saying only if every message was looked at. Made
 *                 payloads carry their publisher and a number that grows by one; each receiver
 *                 remembers the next number of each publisher it has heard
 * Words:          track: what one receiver has seen of one publisher; gap: numbers that are missing
 *                 before a later one
 * Invariants:     (1) a track begins with the first number seen: a receiver may join late
 * Memory:         24 bytes for each pair that talks, on the receiver's shard
 * Threads:        owning shard
 * Limits:         pairs that find no memory are counted as foreign: not checked
 */
#include "engine/roles/fleet.h"

#include "proto/topic.h"

static uint64_t pair_hash(uint32_t receiver, uint32_t publisher)
{
    uint32_t pair[2] = {receiver, publisher};

    return fmx_topic_hash((fmx_slice){.data = (const uint8_t *)pair, .bytes = sizeof(pair)}, 1);
}

static struct fmx_fleet_track *find(struct fmx_fleet_shard *fleet, uint64_t hash, uint32_t receiver,
                                    uint32_t publisher)
{
    uint32_t probe = UINT32_MAX;
    uint32_t value;

    while ((value = fmx_index_find(&fleet->tracks_index, hash, &probe)) != FMX_INDEX_NONE) {
        struct fmx_fleet_track *track = &fleet->tracks[value];
        if (track->receiver == receiver && track->publisher == publisher) {
            return track;
        }
    }
    return NULL;
}

static bool grow(struct fmx_fleet_shard *fleet)
{
    uint32_t capacity = fleet->tracks_capacity == 0 ? 1024 : fleet->tracks_capacity * 2;
    struct fmx_fleet_track *tracks = realloc(fleet->tracks, capacity * sizeof(*tracks));

    if (tracks == NULL) {
        return false;
    }
    fleet->tracks = tracks;
    fleet->tracks_capacity = capacity;
    return true;
}

static struct fmx_fleet_track *add(struct fmx_fleet_shard *fleet, uint64_t hash, uint32_t receiver,
                                   uint32_t publisher, uint64_t sequence)
{
    if (fleet->tracks_count == fleet->tracks_capacity && !grow(fleet)) {
        return NULL;
    }
    if (fmx_index_put(&fleet->tracks_index, hash, fleet->tracks_count) != FMX_OK) {
        return NULL;
    }
    struct fmx_fleet_track *track = &fleet->tracks[fleet->tracks_count++];
    *track = (struct fmx_fleet_track){
        .receiver = receiver, .publisher = publisher, .next_sequence = sequence};
    return track;
}

void fmx_fleet_track(struct fmx_fleet_shard *fleet, uint32_t receiver, uint32_t publisher,
                     uint64_t sequence, bool dup)
{
    uint64_t hash = pair_hash(receiver, publisher);
    struct fmx_fleet_track *track = find(fleet, hash, receiver, publisher);

    if (track == NULL) {
        track = add(fleet, hash, receiver, publisher, sequence);
    }
    if (track == NULL) {
        fmx_count(&fleet->counters.received_foreign, 1);
        return;
    }
    if (sequence < track->next_sequence) {
        fmx_count(&fleet->counters.received_duplicate, dup ? 0 : 1);
        return;
    }
    fmx_count(&fleet->counters.received_gap, sequence - track->next_sequence);
    track->next_sequence = sequence + 1;
}

void fmx_fleet_track_close(struct fmx_fleet_shard *fleet)
{
    fmx_index_close(&fleet->tracks_index);
    free(fleet->tracks);
}
