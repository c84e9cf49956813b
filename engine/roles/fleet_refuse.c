/*
 * fleet_refuse — messages that the server has refused: nobody had to get them
 *
 * Why it is so:   receivers see a number missing and do not know why; the publisher is told why,
 *                 under an identifier that says nothing of numbers. So each message in flight has
 *                 its name kept beside its identifier, and when it is refused the name goes into a
 *                 list of its shard. When all is over the lists are put together, sorted, and taken
 *                 off what receivers miss. What was refused and came all the same has come
 * Words:          name: topic and the low bits of a number, which are enough while it is in flight;
 *                 flow: client and topic in one word; closed: numbers that a track missed when its
 *                 receiver came back to a session that was not kept, of QoS 1
 * Invariants:     (1) as many names as the window has places  (2) after fmx_refusals_gather ranges
 *                 are in order and apart
 * Memory:         4 bytes for each place of a window, only where this process also subscribes; 16
 *                 for each range of refused numbers, and for each closed one
 * Threads:        owning shard; gathering when no shard runs
 * Limits:         FMX_REFUSALS_MAX ranges of refused numbers over all shards, and as many closed
 *                 ones for each group: what is beyond counts as lost, and publishes_refused tells
 *                 how much it may be
 */
#include "engine/roles/fleet_track.h"
#include "engine/roles/fleet_message.h"

#include <stdlib.h>

#define NUMBER_BITS 26u
#define NUMBER_MASK ((1u << NUMBER_BITS) - 1)

static_assert(FMX_FLEET_PUBLISHES_MAX <= 1u << (32 - NUMBER_BITS), "a topic fits into a name");
static_assert(FMX_INFLIGHT_MAX <= 1u << (NUMBER_BITS - 1), "a number in flight is told by its end");

struct fmx_fleet_names_sent {
    uint32_t capacity; /* a power of two, as the window's */
    uint32_t names[];
};

/* ── names of what is in flight ── */

static uint32_t *name_at(struct fmx_fleet_names_sent *sent, uint16_t packet_id)
{
    return &sent->names[packet_id & (sent->capacity - 1)];
}

/* Messages without a mark too: their identifiers are of the same window. */
static bool needs_names(const struct fmx_fleet_client *client, uint32_t topic)
{
    const struct fmx_fleet_team *team = client->crew->team;

    return team->fleet->has_subscribes && team->plan.publishes[topic].qos > 0;
}

bool fmx_fleet_names_make(struct fmx_conn *conn, uint32_t topic)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    const struct fmx_inflight *out = &conn->session.out;
    struct fmx_fleet_names_sent *old = part->sent;

    if (!needs_names(part->client, topic) || (old != NULL && old->capacity == out->capacity)) {
        return true;
    }
    struct fmx_fleet_names_sent *sent =
        calloc(1, sizeof(*sent) + out->capacity * sizeof(sent->names[0]));
    if (sent == NULL) {
        return false;
    }
    sent->capacity = out->capacity;
    for (uint16_t at = out->first; old != NULL && at != out->next; at++) {
        *name_at(sent, at) = *name_at(old, at);
    }
    free(old);
    part->sent = sent;
    return true;
}

void fmx_fleet_names_put(struct fmx_conn *conn, uint16_t packet_id, uint32_t topic, uint64_t number)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);

    if (part->sent != NULL && needs_names(part->client, topic)) {
        *name_at(part->sent, packet_id) = topic << NUMBER_BITS | ((uint32_t)number & NUMBER_MASK);
    }
}

void fmx_fleet_names_drop(struct fmx_conn *conn)
{
    free(fmx_fleet_part_of(conn)->sent);
    fmx_fleet_part_of(conn)->sent = NULL;
}

/* ── lists of a shard ── */

static uint32_t flow_of(uint32_t index, uint32_t topic)
{
    return index << 8 | topic;
}

/* False: there is no room. */
static bool append(struct fmx_refusals *list, uint32_t most, struct fmx_refused range)
{
    struct fmx_refused *last = list->count > 0 ? &list->ranges[list->count - 1] : NULL;

    if (last != NULL && last->flow == range.flow && last->first + last->count == range.first &&
        last->count < UINT32_MAX - range.count) {
        last->count += range.count;
        return true;
    }
    if (list->count >= most) {
        return false;
    }
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        struct fmx_refused *grown = realloc(list->ranges, capacity * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        list->ranges = grown;
        list->capacity = capacity;
    }
    list->ranges[list->count++] = range;
    return true;
}

void fmx_refusals_note(const struct fmx_fleet_client *client, uint32_t topic, uint64_t number)
{
    const struct fmx_fleet_shard *fleet = client->crew->fleet;

    (void)append(&fleet->ledger->refused, FMX_REFUSALS_MAX / fleet->shard->shards_count,
                 (struct fmx_refused){.first = number,
                                      .flow = flow_of(fmx_fleet_index_of(client), topic),
                                      .count = 1});
}

void fmx_fleet_refused(struct fmx_conn *conn, uint16_t packet_id)
{
    const struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    const struct fmx_fleet_client *client = part->client;
    const struct fmx_fleet_crew *crew = client->crew;

    if (part->sent == NULL) {
        return; /* nobody here would miss it */
    }
    uint32_t name = *name_at(part->sent, packet_id);
    uint32_t topic = name >> NUMBER_BITS;
    if (topic >= crew->team->plan.publishes_count || !fmx_fleet_is_marked(crew->team, topic)) {
        return; /* nobody looks for it */
    }
    const struct fmx_fleet_flow *flow =
        &crew->flows[(size_t)fmx_fleet_place_of(client) * crew->team->plan.publishes_count + topic];
    uint64_t newest = flow->sequence - flow->skipped; /* or one more: it is below in any case */
    uint64_t number = newest - ((newest - name) & NUMBER_MASK);
    fmx_refusals_note(client, topic, number);
}

/* A gap wider than a count is none of ours. */
void fmx_refusals_close(const struct fmx_fleet_client *receiver,
                        const struct fmx_fleet_track *track, uint64_t first, uint64_t end)
{
    const struct fmx_fleet_crew *crew = receiver->crew;
    struct fmx_fleet_shard *fleet = crew->fleet;
    uint64_t most = UINT32_MAX / 2;

    (void)append(
        &fleet->ledger->closed[crew->team->group], FMX_REFUSALS_MAX / fleet->shard->shards_count,
        (struct fmx_refused){.first = first,
                             .flow = flow_of(track->publisher, track->topic),
                             .count = (uint32_t)(end - first < most ? end - first : most)});
}

/* ── when no shard runs ── */

static int by_flow(const void *a, const void *b)
{
    const struct fmx_refused *one = a;
    const struct fmx_refused *other = b;

    if (one->flow != other->flow) {
        return one->flow < other->flow ? -1 : 1;
    }
    return one->first < other->first ? -1 : one->first > other->first;
}

bool fmx_refusals_gather(struct fmx_fleet_shard *const *shards, uint32_t shards_count,
                         struct fmx_refusals *out_all)
{
    size_t count = 0;

    for (uint32_t i = 0; i < shards_count; i++) {
        count += shards[i]->ledger->refused.count;
    }
    *out_all = (struct fmx_refusals){.ranges = malloc((count + 1) * sizeof(struct fmx_refused))};
    if (out_all->ranges == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < shards_count; i++) {
        const struct fmx_refusals *list = &shards[i]->ledger->refused;
        for (uint32_t j = 0; j < list->count; j++) {
            out_all->ranges[out_all->count++] = list->ranges[j];
        }
    }
    qsort(out_all->ranges, out_all->count, sizeof(struct fmx_refused), by_flow);
    return true;
}

uint32_t fmx_refusals_find(const struct fmx_refusals *all, uint32_t index, uint32_t topic,
                           uint64_t from)
{
    uint32_t flow = flow_of(index, topic);
    uint32_t low = 0;
    uint32_t high = all->count;

    while (low < high) { /* the first that ends behind `from` */
        uint32_t middle = low + (high - low) / 2;
        const struct fmx_refused *range = &all->ranges[middle];
        bool is_before =
            range->flow < flow || (range->flow == flow && range->first + range->count <= from);
        low = is_before ? middle + 1 : low;
        high = is_before ? high : middle;
    }
    return low;
}

bool fmx_refusals_next(const struct fmx_refusals *all, uint32_t index, uint32_t topic, uint32_t *at,
                       uint64_t from, uint64_t end, struct fmx_span *out_span)
{
    if (*at >= all->count || all->ranges[*at].flow != flow_of(index, topic) ||
        all->ranges[*at].first >= end) {
        return false;
    }
    const struct fmx_refused *range = &all->ranges[(*at)++];
    uint64_t last = range->first + range->count;
    out_span->first = range->first > from ? range->first : from;
    out_span->end = last < end ? last : end;
    return true;
}

uint64_t fmx_refusals_count(const struct fmx_refusals *all, uint32_t index, uint32_t topic,
                            uint64_t from, uint64_t end)
{
    uint32_t at = fmx_refusals_find(all, index, topic, from);
    struct fmx_span span;
    uint64_t count = 0;

    while (fmx_refusals_next(all, index, topic, &at, from, end, &span)) {
        count += span.end - span.first;
    }
    return count;
}

void fmx_refusals_wipe(struct fmx_refusals *list)
{
    free(list->ranges);
    *list = (struct fmx_refusals){0};
}
