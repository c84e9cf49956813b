/*
 * fleet_settle — what had to come and never came, when all is over
 *
 * Why it is so:   a track knows what is missing between two messages; that a last one is missing
 *                 only its publisher knows, and of a pair that has never met nobody does.
 *                 Publishers and receivers of this process are ours, so we can say who should have
 *                 heard what: each message of a topic, once for each receiver with a filter that
 *                 matches, if it was there before anybody sent, and to the end.
 *                     100,000 of each are 10,000,000,000 pairs, so pairs are not looked at; sums
 *                 are. A receiver had to get the sum over all topics that match its filters; what
 *                 it has a track of is subtracted, since its track tells that part. Filters without
 *                 variables are the same for all clients of a group, so they are matched once for
 *                 each group, others once for each client that has them: an exact one is a look
 *                 into the table of topics, one with wildcards stands in a router.
 * Words:          common: the same for all clients of a group; own: filled in for one client;
 *                 owner: a client with an own filter; topic: one text, of however many flows
 * Invariants:     (1) a topic counts once for a receiver, however many filters match: what a common
 *                 one matches no own one counts; an exact one does not count if an own one with
 *                 wildcards matches; where several with wildcards match, all but one are taken off
 *                 again  (2) nothing is expected that the receiver would not have tracked: no mark,
 *                 calls and requests that it answers, its own messages with No Local, what comes
 *                 only by shared subscriptions
 * Memory:         while it lasts: 40 bytes for each topic, 12 for each client that receives, some
 *                 200 for each own filter with wildcards
 * Threads:        none other runs
 * Limits:         a message that was on its way when a connection ended was sent and is expected;
 *                 the counter of unacknowledged ones stands beside it. Those that were refused and
 *                 did not come are not expected: fleet_refuse.c knows which, as far as its memory
 *                 goes. Texts are told apart by hashes of 64 bits
 */
#include "engine/roles/fleet_track.h"
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_message.h"
#include "engine/roles/fleet_request.h"

#include "engine/router.h"
#include "proto/topic.h"

#include <stdlib.h>

#define NONE UINT32_MAX

static_assert(FMX_FLEET_GROUPS_MAX <= 64 && FMX_FLEET_SUBSCRIBES_MAX <= 64, "a bit for each");

/* Messages of one topic name. */
struct topic {
    uint64_t hash;
    uint64_t sent;
    uint64_t requests;  /* of them, with a response topic */
    uint64_t common_of; /* groups of which a common filter matches, a bit each */
    bool is_call;
    bool is_reply;
    bool has_owners;
};

/* A filter of one group: in the router under its place in the list. */
struct entry {
    uint64_t hash;
    uint64_t sum; /* own ones: of all that no common filter matches */
    uint32_t group;
    uint32_t owners; /* first in the list of owners; NONE: nobody asked for it */
    bool is_common;
};

struct owner {
    uint32_t client; /* place among the receivers of its crew */
    uint32_t next;
    uint32_t shard;
};

/* What is to be taken off a receiver's sum. */
struct receiver {
    uint64_t less;
    uint32_t seen_in; /* round of the last topic that was counted for it */
};

struct group {
    const struct fmx_fleet_team *team;
    uint64_t sum;     /* over topics that a common filter matches */
    uint64_t commons; /* filters, a bit each */
    uint32_t owns;    /* filters that are neither common nor shared */
    bool receives;
};

struct settling {
    struct fmx_fleet *fleet;
    struct fmx_fleet_shard *const *shards;
    uint32_t shards_count;
    struct group *groups;
    struct receiver **receivers; /* by group and shard */
    struct fmx_index topics_index;
    struct topic *topics;
    uint32_t topics_count;
    uint32_t topics_capacity;
    struct fmx_index entries_index;
    struct entry *entries;
    uint32_t entries_count;
    uint32_t entries_capacity;
    struct owner *owners;
    uint32_t owners_count;
    uint32_t owners_capacity;
    struct fmx_router *router;
    uint32_t round;
    struct fmx_refusals refused;
    uint8_t *filled; /* FMX_TEMPLATE_BYTES_MAX for each filter of a client */
    fmx_slice filters[FMX_FLEET_SUBSCRIBES_MAX];
};

/* ── who is who ── */

static struct fmx_fleet_crew *crew_of(const struct settling *settling, uint32_t shard,
                                      uint32_t group)
{
    return settling->shards[shard]->crews[group];
}

static struct receiver *receivers_of(const struct settling *settling, uint32_t shard,
                                     uint32_t group)
{
    return settling->receivers[group * settling->shards_count + shard];
}

/* Numbers are dealt out to parts first, then to shards. */
static struct fmx_fleet_client *find_client(const struct settling *settling, uint32_t index)
{
    const struct fmx_fleet_team *team = fmx_track_team_of(settling->fleet, index);

    if (team == NULL) {
        return NULL;
    }
    uint32_t number = index - team->first_index;
    uint32_t among_ours = number / settling->fleet->plan.parts_count;
    uint32_t place = among_ours / settling->shards_count;
    struct fmx_fleet_crew *crew =
        crew_of(settling, among_ours % settling->shards_count, team->group);
    FMX_ASSERT(place < crew->clients_count && crew->clients[place].number == number);
    return &crew->clients[place];
}

static uint64_t sent_of(const struct fmx_fleet_client *client, uint32_t topic)
{
    const struct fmx_fleet_crew *crew = client->crew;
    size_t place = (size_t)fmx_fleet_place_of(client) * crew->team->plan.publishes_count;

    if (crew->flows == NULL || !fmx_fleet_is_marked(crew->team, topic)) {
        return 0;
    }
    return crew->flows[place + topic].sequence - crew->flows[place + topic].skipped;
}

/* Of them all that somebody had to get: refused ones are not among them. */
static uint64_t due_of(const struct settling *settling, const struct fmx_fleet_client *client,
                       uint32_t topic)
{
    uint64_t sent = sent_of(client, topic);

    return sent == 0 ? 0
                     : sent - fmx_refusals_count(&settling->refused, fmx_fleet_index_of(client),
                                                 topic, 0, sent);
}

/* Is its sum to be made? */
static bool is_asked(const struct fmx_fleet_client *client)
{
    return client->is_from_start && !client->is_away && !client->crew->fleet->ledger->was_full;
}

static fmx_slice topic_of(const struct fmx_fleet_client *client, uint32_t topic, uint8_t *out)
{
    return fmx_fleet_fill(client, client->crew->team->plan.publishes[topic].topic, out);
}

static bool is_request(const struct fmx_fleet_team *team, uint32_t topic)
{
    return team->plan.version == FMX_MQTT_50 &&
           team->plan.publishes[topic].properties.response_topic != NULL;
}

/* So many of a topic's messages a client of the group would have tracked. */
static uint64_t tracked(const struct fmx_fleet_team *team, const struct topic *topic, uint64_t sent,
                        uint64_t requests)
{
    bool answers = team->plan.calls.answer != FMX_FLEET_ANSWER_OFF;

    if ((topic->is_reply && team->has_posts) || (topic->is_call && answers)) {
        return 0;
    }
    return answers && team->plan.version == FMX_MQTT_50 ? sent - requests : sent;
}

/* ── lists ── */

static bool grow(void **list, uint32_t count, uint32_t *capacity, size_t each)
{
    if (count < *capacity) {
        return true;
    }
    uint32_t wanted = *capacity == 0 ? 1024 : *capacity * 2;
    void *grown = *capacity < UINT32_MAX / 2 ? realloc(*list, wanted * each) : NULL;
    if (grown == NULL) {
        return false;
    }
    *list = grown;
    *capacity = wanted;
    return true;
}

static struct topic *find_topic(const struct settling *settling, uint64_t hash)
{
    uint32_t probe = UINT32_MAX;
    uint32_t value;

    while ((value = fmx_index_find(&settling->topics_index, hash, &probe)) != FMX_INDEX_NONE) {
        if (settling->topics[value].hash == hash) {
            return &settling->topics[value];
        }
    }
    return NULL;
}

static struct entry *find_entry(const struct settling *settling, uint64_t hash)
{
    uint32_t probe = UINT32_MAX;
    uint32_t value;

    while ((value = fmx_index_find(&settling->entries_index, hash, &probe)) != FMX_INDEX_NONE) {
        if (settling->entries[value].hash == hash) {
            return &settling->entries[value];
        }
    }
    return NULL;
}

static uint64_t hash_of_topic(fmx_slice topic)
{
    return fmx_topic_hash(topic, 2);
}

static uint64_t hash_of_filter(uint32_t group, fmx_slice filter)
{
    return fmx_topic_hash(filter, 3 + group);
}

/* ── filters ── */

/* A filter of a group, once, into the router. NULL: no memory. */
static struct entry *add_entry(struct settling *settling, uint32_t group, fmx_slice filter,
                               bool is_common)
{
    uint64_t hash = hash_of_filter(group, filter);
    struct entry *found = find_entry(settling, hash);
    uint32_t head = FMX_SUBSCRIPTION_NONE;
    bool existed;
    bool is_first;

    if (found != NULL) {
        return found;
    }
    if (!grow((void **)&settling->entries, settling->entries_count, &settling->entries_capacity,
              sizeof(*settling->entries)) ||
        fmx_router_add(settling->router, filter, settling->entries_count, 0, &head, &existed,
                       &is_first) != FMX_OK ||
        fmx_index_put(&settling->entries_index, hash, settling->entries_count) != FMX_OK) {
        return NULL;
    }
    found = &settling->entries[settling->entries_count++];
    *found = (struct entry){.hash = hash, .group = group, .owners = NONE, .is_common = is_common};
    return found;
}

static bool add_owner(struct settling *settling, struct entry *entry, uint32_t shard,
                      uint32_t place)
{
    if (!grow((void **)&settling->owners, settling->owners_count, &settling->owners_capacity,
              sizeof(*settling->owners))) {
        return false;
    }
    settling->owners[settling->owners_count] =
        (struct owner){.client = place, .next = entry->owners, .shard = shard};
    entry->owners = settling->owners_count++;
    return true;
}

/* Would it be the same text for each client of the group? User names may be. */
static bool is_common(const struct fmx_fleet_group *group, const char *filter)
{
    bool has_name = group->username != NULL && fmx_template_has_variables(group->username);

    for (const char *at = strchr(filter, '%'); at != NULL; at = strchr(at + 2, '%')) {
        if (at[1] != '%' && (at[1] != 'u' || has_name || fmx_fleet_has_devices(group))) {
            return false;
        }
    }
    return true;
}

static bool is_usable(fmx_slice filter)
{
    return fmx_topic_check_filter(filter) == FMX_OK && !fmx_topic_is_shared(filter);
}

/* Fills in the own filters of a client: empty ones do not count, as those that stand twice. */
static void fill_owns(struct settling *settling, const struct fmx_fleet_client *client)
{
    const struct fmx_fleet_team *team = client->crew->team;
    uint64_t commons = settling->groups[team->group].commons;

    for (uint32_t i = 0; i < team->plan.subscribes_count; i++) {
        fmx_slice *filter = &settling->filters[i];
        *filter = (fmx_slice){0};
        if ((commons >> i & 1) != 0) {
            continue;
        }
        fmx_slice filled = fmx_fleet_fill(client, team->plan.subscribes[i].filter,
                                          settling->filled + (size_t)i * FMX_TEMPLATE_BYTES_MAX);
        bool is_new = is_usable(filled);
        for (uint32_t before = 0; before < i; before++) {
            is_new = is_new && !fmx_slice_equal(filled, settling->filters[before]);
        }
        *filter = is_new ? filled : (fmx_slice){0};
    }
}

static bool add_commons(struct settling *settling, uint32_t group)
{
    struct group *into = &settling->groups[group];
    const struct fmx_fleet_group *plan = &into->team->plan;
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];

    for (uint32_t i = 0; i < plan->subscribes_count; i++) {
        const char *text = plan->subscribes[i].filter;
        fmx_slice filter;
        if (!is_common(plan, text)) {
            into->owns++;
            continue;
        }
        into->commons |= 1ull << i;
        if (fmx_fleet_fill_any(plan, 0, text, filled, &filter) && is_usable(filter) &&
            add_entry(settling, group, filter, true) == NULL) {
            return false;
        }
    }
    return true;
}

static bool add_owns(struct settling *settling, const struct fmx_fleet_client *client,
                     uint32_t shard)
{
    uint32_t group = client->crew->team->group;
    size_t count = client->crew->team->plan.subscribes_count;

    fill_owns(settling, client);
    for (size_t i = 0; i < count; i++) {
        fmx_slice filter = settling->filters[i];
        if (filter.bytes == 0 || !fmx_topic_has_wildcard(filter)) {
            continue;
        }
        struct entry *entry = add_entry(settling, group, filter, false);
        if (entry == NULL || (settling->groups[group].owns > 1 &&
                              !add_owner(settling, entry, shard, fmx_fleet_place_of(client)))) {
            return false;
        }
    }
    return true;
}

static bool add_filters_of(struct settling *settling, uint32_t group)
{
    if (!add_commons(settling, group)) {
        return false;
    }
    for (uint32_t shard = 0; settling->groups[group].owns > 0 && shard < settling->shards_count;
         shard++) {
        const struct fmx_fleet_crew *crew = crew_of(settling, shard, group);
        for (uint32_t i = 0; i < crew->clients_count; i++) {
            if (is_asked(&crew->clients[i]) && !add_owns(settling, &crew->clients[i], shard)) {
                return false;
            }
        }
    }
    return true;
}

/* ── topics ── */

static struct topic *add_topic(struct settling *settling, uint64_t hash, fmx_slice name)
{
    uint8_t unused[FMX_TEMPLATE_BYTES_MAX];
    const struct fmx_match *matches;

    if (!grow((void **)&settling->topics, settling->topics_count, &settling->topics_capacity,
              sizeof(*settling->topics)) ||
        fmx_index_put(&settling->topics_index, hash, settling->topics_count) != FMX_OK) {
        return NULL;
    }
    struct topic *topic = &settling->topics[settling->topics_count++];
    *topic = (struct topic){.hash = hash,
                            .is_call = fmx_fleet_answer_topic(name, unused).bytes > 0,
                            .is_reply = fmx_fleet_is_thing_reply(name)};
    size_t count = fmx_router_match(settling->router, name, &matches);
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &settling->entries[matches[i].receiver];
        if (entry->is_common) {
            topic->common_of |= 1ull << entry->group;
        } else {
            topic->has_owners = true;
        }
    }
    return topic;
}

/* Several own filters of a group match: whoever has two of them has been given it twice. */
static void take_off_doubles(struct settling *settling, const struct entry *entry, uint64_t sent)
{
    for (uint32_t i = entry->owners; i != NONE; i = settling->owners[i].next) {
        const struct owner *owner = &settling->owners[i];
        struct receiver *receiver =
            &receivers_of(settling, owner->shard, entry->group)[owner->client];
        receiver->less += receiver->seen_in == settling->round ? sent : 0;
        receiver->seen_in = settling->round;
    }
}

static void add_to_owners(struct settling *settling, const struct topic *topic, fmx_slice name,
                          uint64_t sent, uint64_t requests)
{
    const struct fmx_match *matches;
    size_t count = fmx_router_match(settling->router, name, &matches);

    settling->round++;
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &settling->entries[matches[i].receiver];
        if (entry->is_common || (topic->common_of >> entry->group & 1) != 0) {
            continue;
        }
        uint64_t counted = tracked(settling->groups[entry->group].team, topic, sent, requests);
        entry->sum += counted;
        if (count > 1) {
            take_off_doubles(settling, entry, counted);
        }
    }
}

static bool add_flow(struct settling *settling, const struct fmx_fleet_client *client,
                     uint32_t flow)
{
    uint64_t sent = due_of(settling, client, flow);
    uint64_t requests = is_request(client->crew->team, flow) ? sent : 0;
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];

    if (sent == 0) {
        return true;
    }
    fmx_slice name = topic_of(client, flow, filled);
    if (fmx_topic_check_name(name) != FMX_OK) {
        return true;
    }
    uint64_t hash = hash_of_topic(name);
    struct topic *topic = find_topic(settling, hash);
    topic = topic != NULL ? topic : add_topic(settling, hash, name);
    if (topic == NULL) {
        return false;
    }
    topic->sent += sent;
    topic->requests += requests;
    for (uint64_t left = topic->common_of; left != 0; left &= left - 1) {
        struct group *group = &settling->groups[__builtin_ctzll(left)];
        group->sum += tracked(group->team, topic, sent, requests);
    }
    if (topic->has_owners) {
        add_to_owners(settling, topic, name, sent, requests);
    }
    return true;
}

static bool add_flows_of(struct settling *settling, const struct fmx_fleet_crew *crew)
{
    for (uint32_t i = 0; i < crew->clients_count; i++) {
        for (uint32_t flow = 0; flow < crew->team->plan.publishes_count; flow++) {
            if (!add_flow(settling, &crew->clients[i], flow)) {
                return false;
            }
        }
    }
    return true;
}

/* ── tracks ── */

/* Is a message of its own one that only filters with No Local match? */
static bool is_kept_away(const struct fmx_fleet_client *client, uint32_t flow)
{
    const struct fmx_fleet_team *team = client->crew->team;
    bool answers = team->plan.calls.answer != FMX_FLEET_ANSWER_OFF; /* then all have it */
    uint8_t name_filled[FMX_TEMPLATE_BYTES_MAX];
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];
    bool is_matched = false;

    if (team->plan.version != FMX_MQTT_50) {
        return false;
    }
    fmx_slice name = topic_of(client, flow, name_filled);
    for (size_t i = 0; i < team->plan.subscribes_count; i++) {
        const struct fmx_fleet_subscribe *subscribe = &team->plan.subscribes[i];
        fmx_slice filter = fmx_fleet_fill(client, subscribe->filter, filled);
        if (is_usable(filter) && fmx_topic_matches(filter, name)) {
            is_matched = true;
            if (!subscribe->no_local && !answers) {
                return false;
            }
        }
    }
    return is_matched;
}

/* How many of the numbers that a track misses were refused. */
static uint64_t refused_of(const struct settling *settling, const struct fmx_fleet_track *track,
                           const struct fmx_gaps *gaps)
{
    const struct fmx_refusals *all = &settling->refused;
    uint64_t from = fmx_track_base(track);
    uint32_t at = fmx_refusals_find(all, track->publisher, track->topic, from);
    uint64_t next = fmx_track_next(track);
    struct fmx_span span;
    uint64_t count = 0;

    while (track->gaps != FMX_GAPS_NONE &&
           fmx_refusals_next(all, track->publisher, track->topic, &at, from, next, &span)) {
        count += fmx_gaps_count(gaps, track->gaps, span.first, span.end);
    }
    return count;
}

/* It tells of this pair, so the receiver's sum is not to. */
static void take_off_track(struct settling *settling, uint32_t shard,
                           const struct fmx_fleet_track *track,
                           const struct fmx_fleet_client *receiver,
                           const struct fmx_fleet_client *publisher, uint64_t sent)
{
    struct receiver *receivers = settling->receivers != NULL
                                     ? receivers_of(settling, shard, receiver->crew->team->group)
                                     : NULL;

    if (receivers == NULL || !track->is_matched ||
        (receiver == publisher && is_kept_away(receiver, track->topic))) {
        return;
    }
    receivers[fmx_fleet_place_of(receiver)].less += sent;
}

static void settle_track(struct settling *settling, uint32_t shard, struct fmx_fleet_track *track)
{
    struct fmx_fleet_ledger *ledger = settling->shards[shard]->ledger;
    const struct fmx_fleet_client *receiver = find_client(settling, track->receiver);
    const struct fmx_fleet_client *publisher = NULL;
    uint64_t next = fmx_track_next(track);
    uint64_t end = UINT64_MAX;
    uint64_t refused = 0;

    FMX_ASSERT(receiver != NULL); /* a track is made by one */
    struct fmx_fleet_sums *sums = &ledger->sums[receiver->crew->team->group];
    if (ledger->origins[track->origin] == settling->fleet->origin) {
        publisher = find_client(settling, track->publisher);
    }
    if (publisher != NULL && track->topic < publisher->crew->team->plan.publishes_count) {
        end = sent_of(publisher, track->topic);
        if (track->layer == 0) {
            take_off_track(settling, shard, track, receiver, publisher,
                           due_of(settling, publisher, track->topic));
        }
        if (track->layer == 0 && !track->is_unchecked && !receiver->is_away && next < end &&
            !fmx_track_is_of_before(track, receiver)) {
            uint64_t tail =
                end - next -
                fmx_refusals_count(&settling->refused, track->publisher, track->topic, next, end);
            sums->expected += tail;
            sums->lost += tail;
        }
        if (track->layer == 0 && !track->is_unchecked) {
            refused = refused_of(settling, track, &ledger->gaps);
        }
    }
    fmx_track_close(ledger, sums, track, end);
    sums->expected -= refused;
    sums->lost -= refused;
}

static void settle_tracks(struct settling *settling, uint32_t shard)
{
    const struct fmx_fleet_ledger *ledger = settling->shards[shard]->ledger;

    for (uint32_t i = 0; i < ledger->count; i++) {
        settle_track(settling, shard, fmx_track_at(ledger, i));
    }
}

/* What tracks have missed before their receiver came back. */
static void settle_closed(struct settling *settling, uint32_t shard)
{
    struct fmx_fleet_ledger *ledger = settling->shards[shard]->ledger;

    for (uint32_t group = 0; group < settling->fleet->teams_count; group++) {
        const struct fmx_refusals *closed = &ledger->closed[group];
        for (uint32_t i = 0; i < closed->count; i++) {
            const struct fmx_refused *range = &closed->ranges[i];
            uint64_t refused =
                fmx_refusals_count(&settling->refused, range->flow >> 8, range->flow & 0xff,
                                   range->first, range->first + range->count);
            ledger->sums[group].expected -= refused;
            ledger->sums[group].lost -= refused;
        }
    }
}

/* ── receivers ── */

/* Of what it has sent itself, the part that does not come back. */
static uint64_t own_not_local(const struct settling *settling,
                              const struct fmx_fleet_client *client)
{
    const struct fmx_fleet_team *team = client->crew->team;
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];
    uint64_t sum = 0;

    for (uint32_t flow = 0; flow < team->plan.publishes_count; flow++) {
        uint64_t sent = due_of(settling, client, flow);
        if (sent == 0 || !is_kept_away(client, flow)) {
            continue;
        }
        const struct topic *topic =
            find_topic(settling, hash_of_topic(topic_of(client, flow, filled)));
        sum += topic == NULL ? 0 : tracked(team, topic, sent, is_request(team, flow) ? sent : 0);
    }
    return sum;
}

/* An exact filter is one topic, unless one with wildcards has counted it. */
static uint64_t sum_of_exact(const struct settling *settling, const struct fmx_fleet_team *team,
                             uint32_t place)
{
    fmx_slice filter = settling->filters[place];
    const struct topic *topic = find_topic(settling, hash_of_topic(filter));

    if (topic == NULL || (topic->common_of >> team->group & 1) != 0) {
        return 0;
    }
    for (size_t i = 0; i < team->plan.subscribes_count; i++) {
        fmx_slice other = settling->filters[i];
        if (other.bytes > 0 && fmx_topic_has_wildcard(other) && fmx_topic_matches(other, filter)) {
            return 0;
        }
    }
    return tracked(team, topic, topic->sent, topic->requests);
}

static uint64_t sum_of(struct settling *settling, const struct fmx_fleet_client *client)
{
    const struct fmx_fleet_team *team = client->crew->team;
    const struct group *group = &settling->groups[team->group];
    uint64_t sum = group->sum;

    if (group->owns == 0) {
        return sum;
    }
    fill_owns(settling, client);
    for (uint32_t i = 0; i < team->plan.subscribes_count; i++) {
        fmx_slice filter = settling->filters[i];
        if (filter.bytes == 0) {
            continue;
        }
        if (!fmx_topic_has_wildcard(filter)) {
            sum += sum_of_exact(settling, team, i);
            continue;
        }
        const struct entry *entry = find_entry(settling, hash_of_filter(team->group, filter));
        sum += entry != NULL ? entry->sum : 0;
    }
    return sum;
}

static bool has_no_local(const struct fmx_fleet_group *plan)
{
    bool has = plan->calls.answer != FMX_FLEET_ANSWER_OFF;

    for (size_t i = 0; i < plan->subscribes_count; i++) {
        has = has || plan->subscribes[i].no_local;
    }
    return has;
}

/* Of the pairs that have never met: whatever of the sum no track tells. */
static void settle_receivers(struct settling *settling, uint32_t shard, uint32_t group)
{
    const struct fmx_fleet_crew *crew = crew_of(settling, shard, group);
    const struct receiver *receivers = receivers_of(settling, shard, group);
    struct fmx_fleet_sums *sums = &settling->shards[shard]->ledger->sums[group];
    bool looks_at_own = has_no_local(&crew->team->plan);

    for (uint32_t i = 0; i < crew->clients_count; i++) {
        const struct fmx_fleet_client *client = &crew->clients[i];
        if (!is_asked(client)) {
            continue;
        }
        uint64_t sum = sum_of(settling, client);
        uint64_t less = receivers[i].less;
        less += looks_at_own ? own_not_local(settling, client) : 0;
        if (sum > less) {
            sums->expected += sum - less;
            sums->lost += sum - less;
        }
    }
}

/* ── all of it ── */

/* Room for what is asked of receivers. False: no memory. */
static bool open_receivers(struct settling *settling)
{
    const struct fmx_fleet *fleet = settling->fleet;
    size_t count = (size_t)fleet->teams_count * settling->shards_count;

    settling->groups = calloc(fleet->teams_count + (size_t)1, sizeof(*settling->groups));
    settling->receivers = calloc(count + 1, sizeof(*settling->receivers));
    settling->filled = malloc((size_t)FMX_FLEET_SUBSCRIBES_MAX * FMX_TEMPLATE_BYTES_MAX);
    if (settling->groups == NULL || settling->receivers == NULL || settling->filled == NULL ||
        fmx_router_open(&settling->router, fmx_fleet_mix(fleet->plan.seed, 1)) != FMX_OK) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t group = i / settling->shards_count;
        const struct fmx_fleet_crew *crew = crew_of(settling, i % settling->shards_count, group);
        settling->groups[group].team = crew->team;
        if (crew->team->plan.subscribes_count == 0) {
            continue;
        }
        settling->groups[group].receives = true;
        settling->receivers[i] = calloc(crew->clients_count + (size_t)1, sizeof(struct receiver));
        if (settling->receivers[i] == NULL) {
            return false;
        }
    }
    return true;
}

static void close_all(struct settling *settling)
{
    size_t count = (size_t)settling->fleet->teams_count * settling->shards_count;

    for (size_t i = 0; settling->receivers != NULL && i < count; i++) {
        free(settling->receivers[i]);
    }
    fmx_router_close(settling->router);
    fmx_index_close(&settling->topics_index);
    fmx_index_close(&settling->entries_index);
    free(settling->receivers);
    free(settling->groups);
    free(settling->topics);
    free(settling->entries);
    free(settling->owners);
    free(settling->filled);
    fmx_refusals_wipe(&settling->refused);
}

static bool add_all(struct settling *settling)
{
    bool is_good = true;

    for (uint32_t i = 0; is_good && i < settling->fleet->teams_count; i++) {
        is_good = !settling->groups[i].receives || add_filters_of(settling, i);
    }
    for (uint32_t i = 0; is_good && i < settling->fleet->teams_count; i++) {
        for (uint32_t shard = 0; is_good && shard < settling->shards_count; shard++) {
            is_good = add_flows_of(settling, crew_of(settling, shard, i));
        }
    }
    return is_good && fmx_router_cut_count(settling->router) == 0;
}

static void write_sums(struct settling *settling)
{
    struct fmx_fleet *fleet = settling->fleet;

    fleet->deliveries_expected = fleet->deliveries_lost = 0;
    for (uint32_t shard = 0; shard < settling->shards_count; shard++) {
        for (uint32_t i = 0; i < fleet->teams_count; i++) {
            const struct fmx_fleet_sums *sums = &settling->shards[shard]->ledger->sums[i];
            struct fmx_crew_counters *counters = &crew_of(settling, shard, i)->counters;
            fmx_count_set(&counters->deliveries_expected, sums->expected);
            fmx_count_set(&counters->deliveries_lost, sums->lost);
            fleet->deliveries_expected += sums->expected;
            fleet->deliveries_lost += sums->lost;
        }
    }
}

bool fmx_ledger_settle_shards(struct fmx_fleet *fleet, struct fmx_fleet_shard *const *shards,
                              uint32_t shards_count)
{
    struct settling settling = {.fleet = fleet, .shards = shards, .shards_count = shards_count};
    bool is_whole = fmx_refusals_gather(shards, shards_count, &settling.refused) &&
                    open_receivers(&settling) && add_all(&settling);

    for (uint32_t shard = 0; shard < shards_count; shard++) {
        settle_tracks(&settling, shard);
        settle_closed(&settling, shard);
    }
    for (uint32_t i = 0; is_whole && i < fleet->teams_count; i++) {
        for (uint32_t shard = 0; settling.groups[i].receives && shard < shards_count; shard++) {
            settle_receivers(&settling, shard, i);
        }
    }
    write_sums(&settling);
    close_all(&settling);
    return is_whole;
}

bool fmx_fleet_ledger_settle(struct fmx_fleet *fleet)
{
    uint32_t count = fmx_mux_shards_count(fleet->mux);
    struct fmx_fleet_shard **shards = calloc(count, sizeof(*shards));
    bool is_whole = shards != NULL;

    for (uint32_t i = 0; shards != NULL && i < count; i++) {
        shards[i] = fmx_fleet_of(fmx_mux_shard(fleet->mux, i));
    }
    is_whole = is_whole && fmx_ledger_settle_shards(fleet, shards, count);
    free(shards);
    return is_whole;
}
