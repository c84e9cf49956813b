/*
 * fleet_track — who sent what: loss, duplicates and order, exactly
 *
 * Why it is so:   "no message was lost" is worth saying only if every message was looked at, and if
 *                 a late one is told from a second one however late it is. A window of the last few
 *                 numbers forgets; so for each pair that talks we keep which numbers are missing,
 *                 as ranges: in a run without faults that is nothing at all.
 *                     Several filters of a receiver may match one topic. Then a server sends one
 *                 copy, or one for each filter; both are right (4.8.2 of 5.0, 3.3.5 of 3.1.1). So a
 *                 message may come as often as filters match: first copies make one ledger, second
 *                 ones a ledger of their own, and so on. Loss and order are those of first copies;
 *                 only what has come in every one of these ledgers is a duplicate.
 *                     Of a shared subscription a receiver gets what others do not: numbers tell
 *                 nothing there, and messages that come only by one are not checked
 * Words:          track: what a receiver has seen of one topic of one publisher, see fleet_track.h;
 *                 pair: the two of them; return: coming back to a session that was not kept
 * Invariants:     (1) received = once + copies + redelivered + duplicate + unchecked, of messages
 *                 with a mark  (2) once = numbers from base to next of all first layers, without
 *                 those in gaps  (3) a track begins with 0 if its receiver was there before anybody
 *                 sent, and the publisher is ours; else with the first number seen: a receiver may
 *                 join late. What was sent before that and comes after it was missing, too  (4) a
 *                 return closes what a receiver's tracks know and begins them anew, each when it is
 *                 touched next
 * Memory:         28 bytes for each pair that talks and 6 to 11 to find it, on the receiver's
 *                 shard; 20 for each range that is missing
 * Threads:        owning shard
 * Limits:         FMX_LEDGER_BYTES_MAX over all shards, 65,536 origins: what is beyond is counted
 *                 as unchecked, and a pair without memory for a gap stays so for good. 65,536
 *                 returns between two messages of a pair look like none
 * Not here:       what never came at all: fleet_settle.c
 */
#include "engine/roles/fleet_track.h"
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_message.h"

#include "proto/topic.h"

#include <stdlib.h>
#include <sys/random.h>

#define PLACE_BITS  26u
#define TAG_BITS    6u
#define PLACES_MAX  ((1u << PLACE_BITS) - 1) /* the last one is none: its entry could be EMPTY */
#define EMPTY       UINT32_MAX
#define TABLE_BEGIN 16u

/* ── the ledger ── */

bool fmx_fleet_ledger_open(struct fmx_fleet_shard *fleet)
{
    struct fmx_fleet_ledger *ledger = calloc(1, sizeof(*ledger));
    uint64_t seeds[2] = {1, 2};

    fleet->ledger = ledger;
    if (ledger == NULL) {
        return false;
    }
    (void)!getrandom(seeds, sizeof(seeds), 0); /* without it we are only slower, if attacked */
    ledger->seed = seeds[0];
    ledger->gaps.seed = seeds[1];
    ledger->bytes_max = FMX_LEDGER_BYTES_MAX / fleet->shard->shards_count;
    ledger->gaps.bytes_max = ledger->bytes_max;
    ledger->sums = calloc(fleet->fleet->teams_count + (size_t)1, sizeof(*ledger->sums));
    ledger->closed = calloc(fleet->fleet->teams_count + (size_t)1, sizeof(*ledger->closed));
    return ledger->sums != NULL && ledger->closed != NULL;
}

void fmx_fleet_ledger_close(struct fmx_fleet_shard *fleet)
{
    struct fmx_fleet_ledger *ledger = fleet->ledger;

    if (ledger == NULL) {
        return;
    }
    for (uint32_t i = 0; i < FMX_LEDGER_TABLES; i++) {
        free(ledger->tables[i].entries);
    }
    for (uint32_t i = 0; i < ledger->count; i += FMX_TRACK_CHUNK) {
        free(ledger->chunks[i / FMX_TRACK_CHUNK]);
    }
    free(ledger->chunks);
    free(ledger->origins);
    free(ledger->sums);
    fmx_refusals_wipe(&ledger->refused);
    for (uint32_t i = 0; ledger->closed != NULL && i < fleet->fleet->teams_count; i++) {
        fmx_refusals_wipe(&ledger->closed[i]);
    }
    free(ledger->closed);
    fmx_gaps_close(&ledger->gaps);
    free(ledger);
    fleet->ledger = NULL;
}

static bool is_full(const struct fmx_fleet_ledger *ledger)
{
    return ledger->bytes + ledger->gaps.bytes >= ledger->bytes_max;
}

static bool reserve_gap(struct fmx_fleet_ledger *ledger)
{
    ledger->gaps.bytes_max =
        ledger->bytes_max > ledger->bytes ? ledger->bytes_max - ledger->bytes : 0;
    return fmx_gaps_reserve(&ledger->gaps, 1);
}

/* Mostly there is one, or they come in runs. False: there is no place for it. */
static bool find_origin(struct fmx_fleet_ledger *ledger, uint32_t origin, uint16_t *out_place)
{
    uint32_t place = ledger->origins_last;

    if (place >= ledger->origins_count || ledger->origins[place] != origin) {
        for (place = 0; place < ledger->origins_count && ledger->origins[place] != origin;
             place++) {
        }
    }
    if (place == ledger->origins_count) {
        uint32_t *origins = NULL;
        if (place < FMX_TRACK_ORIGINS_MAX) {
            origins = realloc(ledger->origins, (place + (size_t)1) * sizeof(*origins));
        }
        if (origins == NULL) {
            return false;
        }
        ledger->origins = origins;
        origins[ledger->origins_count++] = origin;
    }
    ledger->origins_last = place;
    *out_place = (uint16_t)place;
    return true;
}

/* ── tracks ── */

/* Names a track; the rest of it has no meaning here. */
static struct fmx_fleet_track name_track(const struct fmx_fleet_client *receiver,
                                         const struct fmx_fleet_mark *mark, uint16_t origin,
                                         uint32_t layer)
{
    return (struct fmx_fleet_track){.gaps = FMX_GAPS_NONE,
                                    .publisher = mark->publisher & FMX_TRACK_RECEIVER_MAX,
                                    .topic = mark->topic,
                                    .receiver =
                                        fmx_fleet_index_of(receiver) & FMX_TRACK_RECEIVER_MAX,
                                    .layer = layer & (FMX_TRACK_LAYERS_MAX - 1),
                                    .origin = origin,
                                    .returns = (uint16_t)receiver->returns};
}

static uint64_t hash_of(const struct fmx_fleet_ledger *ledger, const struct fmx_fleet_track *name)
{
    uint64_t who = (uint64_t)name->publisher << 40 | (uint64_t)name->topic << 32 |
                   (uint64_t)name->layer << 24 | name->receiver;

    return fmx_fleet_mix(fmx_fleet_mix(ledger->seed, who), name->origin);
}

static bool is_of(const struct fmx_fleet_track *track, const struct fmx_fleet_track *name)
{
    return track->publisher == name->publisher && track->topic == name->topic &&
           track->receiver == name->receiver && track->layer == name->layer &&
           track->origin == name->origin;
}

static struct fmx_fleet_table *table_of(struct fmx_fleet_ledger *ledger, uint64_t hash)
{
    return &ledger->tables[hash % FMX_LEDGER_TABLES];
}

static uint32_t home_of(const struct fmx_fleet_table *table, uint64_t hash)
{
    return (uint32_t)(hash / FMX_LEDGER_TABLES) & (table->capacity - 1);
}

static uint32_t entry_of(uint32_t place, uint64_t hash)
{
    return (uint32_t)(hash >> (64 - TAG_BITS)) << PLACE_BITS | place;
}

static struct fmx_fleet_track *find(struct fmx_fleet_ledger *ledger,
                                    const struct fmx_fleet_track *name, uint64_t hash)
{
    const struct fmx_fleet_table *table = table_of(ledger, hash);
    uint32_t tag = entry_of(0, hash) >> PLACE_BITS;

    if (table->capacity == 0) {
        return NULL;
    }
    for (uint32_t at = home_of(table, hash);; at = (at + 1) & (table->capacity - 1)) {
        uint32_t entry = table->entries[at];
        if (entry == EMPTY) {
            return NULL;
        }
        if (entry >> PLACE_BITS == tag && is_of(fmx_track_at(ledger, entry & PLACES_MAX), name)) {
            return fmx_track_at(ledger, entry & PLACES_MAX);
        }
    }
}

static void put(struct fmx_fleet_table *table, uint32_t entry, uint64_t hash)
{
    uint32_t at = home_of(table, hash);

    while (table->entries[at] != EMPTY) {
        at = (at + 1) & (table->capacity - 1);
    }
    table->entries[at] = entry;
}

/* Room for one more in a table. */
static bool reserve_entry(struct fmx_fleet_ledger *ledger, struct fmx_fleet_table *table)
{
    struct fmx_fleet_table old = *table;

    if (table->used < table->capacity / 4 * 3) {
        return true;
    }
    uint32_t capacity = old.capacity == 0 ? TABLE_BEGIN : old.capacity * 2;
    uint32_t *entries = malloc(capacity * sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    memset(entries, 0xff, capacity * sizeof(*entries)); /* all EMPTY */
    *table = (struct fmx_fleet_table){.entries = entries, .capacity = capacity, .used = old.used};
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.entries[i] != EMPTY) {
            put(table, old.entries[i],
                hash_of(ledger, fmx_track_at(ledger, old.entries[i] & PLACES_MAX)));
        }
    }
    free(old.entries);
    ledger->bytes += (capacity - old.capacity) * sizeof(*entries);
    return true;
}

static bool add_chunk(struct fmx_fleet_ledger *ledger)
{
    uint32_t chunks = ledger->count / FMX_TRACK_CHUNK;
    struct fmx_fleet_track **grown = realloc(ledger->chunks, (chunks + (size_t)1) * sizeof(*grown));

    if (grown == NULL) {
        return false;
    }
    ledger->chunks = grown;
    grown[chunks] = malloc(FMX_TRACK_CHUNK * sizeof(**grown));
    if (grown[chunks] == NULL) {
        return false;
    }
    ledger->bytes += FMX_TRACK_CHUNK * sizeof(**grown) + sizeof(*grown);
    return true;
}

static struct fmx_fleet_track *add(struct fmx_fleet_ledger *ledger,
                                   const struct fmx_fleet_track *name, uint64_t hash)
{
    struct fmx_fleet_table *table = table_of(ledger, hash);

    if (is_full(ledger) || ledger->count == PLACES_MAX || !reserve_entry(ledger, table) ||
        (ledger->count % FMX_TRACK_CHUNK == 0 && !add_chunk(ledger))) {
        return NULL;
    }
    put(table, entry_of(ledger->count, hash), hash);
    table->used++;
    struct fmx_fleet_track *track = fmx_track_at(ledger, ledger->count++);
    *track = *name;
    return track;
}

static void set_next(struct fmx_fleet_track *track, uint64_t next)
{
    track->next_low = (uint32_t)next;
    track->next_high = (uint16_t)(next >> 32);
}

static void set_base(struct fmx_fleet_track *track, uint64_t base)
{
    track->base_low = (uint32_t)base;
    track->base_high = (uint16_t)(base >> 32);
}

static void begin_with(struct fmx_fleet_track *track, uint64_t number)
{
    set_base(track, number);
    set_next(track, number);
}

void fmx_track_close(struct fmx_fleet_ledger *ledger, struct fmx_fleet_sums *sums,
                     struct fmx_fleet_track *track, uint64_t end)
{
    uint64_t
        never_sent; /* a server that makes numbers up does not make us expect what is between */
    uint64_t lost = fmx_gaps_drain(&ledger->gaps, &track->gaps, end, &never_sent);

    if (track->layer == 0 && !track->is_unchecked) {
        sums->expected += fmx_track_next(track) - fmx_track_base(track) - never_sent;
        sums->lost += lost;
    }
    begin_with(track, fmx_track_next(track));
}

const struct fmx_fleet_team *fmx_track_team_of(const struct fmx_fleet *fleet, uint32_t index)
{
    const struct fmx_fleet_team *team = fleet->teams;

    for (uint32_t i = 0; i < fleet->teams_count; i++, team++) {
        uint32_t number = index - team->first_index;
        if (index >= team->first_index && number < team->plan.clients_count) {
            return number % fleet->plan.parts_count == fleet->plan.part ? team : NULL;
        }
    }
    return NULL;
}

/* Could the server have refused what is missing? Of ours alone we hear of it, and of QoS 1. */
static bool may_be_refused(const struct fmx_fleet_ledger *ledger, const struct fmx_fleet *fleet,
                           const struct fmx_fleet_track *track)
{
    bool is_ours = track->layer == 0 && ledger->origins[track->origin] == fleet->origin;
    const struct fmx_fleet_team *team = is_ours ? fmx_track_team_of(fleet, track->publisher) : NULL;

    return team != NULL && track->topic < team->plan.publishes_count &&
           team->plan.publishes[track->topic].qos > 0;
}

/* While others still run: what is missing is lost, unless it turns out to have been refused. */
static void close_track(const struct fmx_fleet_client *receiver, struct fmx_fleet_track *track)
{
    struct fmx_fleet_ledger *ledger = receiver->crew->fleet->ledger;
    uint32_t group = receiver->crew->team->group;
    bool is_remembered = may_be_refused(ledger, receiver->crew->team->fleet, track);
    uint32_t gaps = track->gaps;
    uint64_t lost = 0;
    uint64_t first;
    uint64_t end;

    while (fmx_gaps_pop(&ledger->gaps, &gaps, &first, &end)) {
        lost += end - first;
        if (is_remembered) {
            fmx_refusals_close(receiver, track, first, end);
        }
    }
    track->gaps = gaps;
    ledger->sums[group].lost += track->layer == 0 && !track->is_unchecked ? lost : 0;
    fmx_track_close(ledger, &ledger->sums[group], track, UINT64_MAX);
}

/* ── filters ── */

/* "$share/NAME/FILTER" without its first two levels. */
static fmx_slice without_share(fmx_slice filter)
{
    struct fmx_topic_walk walk = fmx_topic_walk_of(filter);
    fmx_slice level;

    if (fmx_topic_next_level(&walk, &level) && fmx_topic_next_level(&walk, &level) && !walk.ended) {
        return walk.rest;
    }
    return (fmx_slice){0};
}

uint32_t fmx_track_filters(const struct fmx_fleet_client *receiver, fmx_slice topic,
                           bool *out_is_shared)
{
    const struct fmx_fleet_group *group = fmx_fleet_group_of(receiver);
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];
    uint32_t own = 0;
    uint32_t shared = 0;

    for (size_t i = 0; i < group->subscribes_count; i++) {
        fmx_slice filter = fmx_fleet_fill(receiver, group->subscribes[i].filter, filled);
        bool is_shared = fmx_topic_is_shared(filter);
        filter = is_shared ? without_share(filter) : filter;
        if (filter.bytes > 0 && fmx_topic_matches(filter, topic)) {
            own += !is_shared;
            shared += is_shared;
        }
    }
    *out_is_shared = own == 0 && shared > 0;
    return own;
}

/* ── one message ── */

enum seen {
    SEEN_FIRST,  /* in order */
    SEEN_BEHIND, /* the first time, behind a later one */
    SEEN_AGAIN,
    SEEN_UNCHECKED, /* no memory */
};

static uint64_t gap_counted(const struct fmx_fleet_track *track, uint64_t numbers)
{
    return track->layer == 0 ? numbers : 0;
}

/* A number that is to come after `next`, or came before `base`: between them, all is missing. */
static bool add_gap(struct fmx_fleet_crew *crew, struct fmx_fleet_track *track, uint64_t first,
                    uint64_t end)
{
    struct fmx_fleet_ledger *ledger = crew->fleet->ledger;

    if (first == end) {
        return true;
    }
    if (!reserve_gap(ledger)) {
        return false;
    }
    uint32_t gaps = track->gaps;
    fmx_gaps_add(&ledger->gaps, &gaps, first, end);
    track->gaps = gaps;
    fmx_count(&crew->counters.received_gap, gap_counted(track, end - first));
    return true;
}

static enum seen look_behind(struct fmx_fleet_crew *crew, struct fmx_fleet_track *track,
                             uint64_t number)
{
    struct fmx_fleet_ledger *ledger = crew->fleet->ledger;

    if (number < fmx_track_base(track)) {
        if (!add_gap(crew, track, number + 1, fmx_track_base(track))) {
            return SEEN_UNCHECKED;
        }
        set_base(track, number);
        return SEEN_BEHIND;
    }
    if (!fmx_gaps_has(&ledger->gaps, track->gaps, number)) {
        return SEEN_AGAIN;
    }
    if (!reserve_gap(ledger)) {
        return SEEN_UNCHECKED;
    }
    uint32_t gaps = track->gaps;
    fmx_gaps_take(&ledger->gaps, &gaps, number);
    track->gaps = gaps;
    fmx_count_down(&crew->counters.received_gap, gap_counted(track, 1));
    return SEEN_BEHIND;
}

/* Enters a number; without memory the track ends here. */
static enum seen enter(struct fmx_fleet_client *receiver, struct fmx_fleet_track *track,
                       uint64_t number)
{
    struct fmx_fleet_crew *crew = receiver->crew;
    enum seen seen = SEEN_UNCHECKED;

    if (track->is_unchecked) {
        return SEEN_UNCHECKED;
    }
    if (fmx_track_is_of_before(track, receiver)) {
        close_track(receiver, track);
        begin_with(track, number);
        track->returns = (uint16_t)receiver->returns;
    }
    if (number < fmx_track_next(track)) {
        seen = look_behind(crew, track, number);
    } else if (add_gap(crew, track, fmx_track_next(track), number)) {
        set_next(track, number + 1);
        seen = SEEN_FIRST;
    }
    if (seen == SEEN_UNCHECKED) {
        close_track(receiver, track);
        track->is_unchecked = true;
    }
    return seen;
}

/* Is the publisher a client of this process, and was the receiver there before it began? */
static bool begins_at_0(const struct fmx_fleet_client *receiver, const struct fmx_fleet_mark *mark)
{
    const struct fmx_fleet *fleet = receiver->crew->team->fleet;

    if (!receiver->is_from_start || mark->origin != fleet->origin ||
        receiver->crew->fleet->ledger->was_full) {
        return false;
    }
    const struct fmx_fleet_team *team = fmx_track_team_of(fleet, mark->publisher);
    return team != NULL && mark->topic < team->plan.publishes_count;
}

static struct fmx_fleet_track *find_or_add(struct fmx_fleet_client *receiver, fmx_slice topic,
                                           const struct fmx_fleet_mark *mark, uint32_t layer)
{
    struct fmx_fleet_ledger *ledger = receiver->crew->fleet->ledger;
    uint16_t origin = 0;

    if (!find_origin(ledger, mark->origin, &origin)) {
        ledger->was_full = true;
        return NULL;
    }
    struct fmx_fleet_track name = name_track(receiver, mark, origin, layer);
    uint64_t hash = hash_of(ledger, &name);
    struct fmx_fleet_track *track = find(ledger, &name, hash);
    if (track != NULL) {
        return track;
    }
    track = add(ledger, &name, hash);
    if (track == NULL) {
        ledger->was_full = true;
        return NULL;
    }
    begin_with(track, layer == 0 && begins_at_0(receiver, mark) ? 0 : mark->sequence);
    if (layer == 0) {
        bool is_shared;
        track->is_matched = fmx_track_filters(receiver, topic, &is_shared) > 0;
        track->is_unchecked = is_shared;
    }
    return track;
}

/* It has come before. Each further filter that matches may have brought one copy. */
static void count_again(struct fmx_fleet_client *receiver, fmx_slice topic,
                        const struct fmx_fleet_mark *mark, bool dup)
{
    struct fmx_crew_counters *counters = &receiver->crew->counters;
    bool is_shared;

    if (dup) {
        fmx_count(&counters->received_redelivered, 1);
        return;
    }
    uint32_t copies = fmx_fleet_group_of(receiver)->subscribes_count > 1
                          ? fmx_track_filters(receiver, topic, &is_shared)
                          : 1;
    for (uint32_t layer = 1; layer < copies && layer < FMX_TRACK_LAYERS_MAX; layer++) {
        struct fmx_fleet_track *track = find_or_add(receiver, topic, mark, layer);
        enum seen seen = track != NULL ? enter(receiver, track, mark->sequence) : SEEN_UNCHECKED;
        if (seen == SEEN_UNCHECKED) {
            fmx_count(&counters->received_unchecked, 1);
            return;
        }
        if (seen != SEEN_AGAIN) {
            fmx_count(&counters->received_copies, 1);
            return;
        }
    }
    fmx_count(&counters->received_duplicate, 1);
}

void fmx_fleet_track(struct fmx_fleet_client *receiver, fmx_slice topic,
                     const struct fmx_fleet_mark *mark, bool dup)
{
    struct fmx_crew_counters *counters = &receiver->crew->counters;
    struct fmx_fleet_track *track = NULL;
    enum seen seen = SEEN_UNCHECKED;

    if (mark->sequence < FMX_TRACK_NUMBERS_MAX) {
        track = find_or_add(receiver, topic, mark, 0);
    }
    if (track != NULL) {
        seen = enter(receiver, track, mark->sequence);
    }
    switch (seen) {
    case SEEN_BEHIND:
        fmx_count(&counters->received_reordered, 1);
        fmx_count(&counters->received_once, 1);
        break;
    case SEEN_FIRST:
        fmx_count(&counters->received_once, 1);
        break;
    case SEEN_AGAIN:
        count_again(receiver, topic, mark, dup);
        break;
    case SEEN_UNCHECKED:
        fmx_count(&counters->received_unchecked, 1);
        break;
    }
}

/* ── coming and going ── */

void fmx_fleet_track_leave(struct fmx_fleet_client *receiver)
{
    receiver->is_away = true;
}

void fmx_fleet_track_return(struct fmx_fleet_client *receiver, bool is_kept)
{
    receiver->is_away = false;
    if (!is_kept) {
        receiver->is_from_start = false;
        receiver->returns++;
    }
}
