/*
 * fleet_request — requests of ours and their answers (MQTT 5.0, 4.10)
 *
 * Why it is so:   an answer says by its Correlation Data which request it is for, so a request is
 *                 one entry under that name, and does not know its connection: one that was sent
 *                 before a loss may be answered behind it. All requests of one topic wait equally
 *                 long, so those of a lane stand in the order in which their time will be over, and
 *                 one timer waits for the first of all
 * Words:          name: 64 bits, the same request's in all the plan; lane: the requests of one
 *                 publish of one crew, oldest first
 * Invariants:     (1) an entry is in the index and in one lane, or in the list of free ones
 *                 (2) sent times of a lane do not decrease  (3) while anything waits the timer is
 *                 armed, not later than the first one's time is over
 * Memory:         48 bytes and 13 to 26 in the index for each request that waits; all of it is
 *                 given back when none does. Without requests in the plan: nothing
 * Threads:        owning shard
 * Limits:         REQUESTS_MAX that wait in a shard; TIMEOUTS_PER_TURN. The time runs from when a
 *                 request was sent; what is measured runs from when it was planned
 * Not here:       what stands in a request: fleet_message.c; answering: fleet_rrpc.c
 */
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_request.h"

#include "proto/limits.h"

#include <stdlib.h>

#define REQUESTS_MAX      (1u << 24)
#define CAPACITY_MIN      256u
#define TIMEOUTS_PER_TURN 16384u
#define NONE              UINT32_MAX

struct request {
    uint64_t name;
    uint64_t planned_ns;
    uint64_t sent_ns;
    uint32_t lane;
    uint32_t previous; /* in its lane, towards older ones; NONE */
    uint32_t next;     /* in its lane, or in the list of free ones; NONE */
};

struct lane {
    uint32_t group;
    uint32_t topic; /* which of the group's publishes */
    uint64_t timeout_ns;
    uint32_t first; /* NONE: nothing waits */
    uint32_t last;
};

/* The lanes of a team, and which of its publishes has which. */
struct team_lanes {
    uint32_t first;
    uint32_t count;
    uint32_t of_topic[FMX_FLEET_PUBLISHES_MAX]; /* NONE: those are no requests */
};

struct fmx_fleet_requests {
    struct fmx_index index; /* name → entry */
    struct request *entries;
    uint32_t capacity;
    uint32_t count;
    uint32_t free_first;
    struct team_lanes *teams;
    struct lane *lanes;
    uint32_t lanes_count;
    struct fmx_timer timer;
};

/* ── lanes ── */

static bool is_request(const struct fmx_fleet_publish *publish)
{
    return publish->response_timeout_ms > 0;
}

static uint32_t count_lanes(const struct fmx_fleet *fleet)
{
    uint32_t count = 0;

    for (uint32_t g = 0; g < fleet->teams_count; g++) {
        const struct fmx_fleet_group *group = &fleet->teams[g].plan;
        for (uint32_t i = 0; i < group->publishes_count; i++) {
            count += is_request(&group->publishes[i]);
        }
    }
    return count;
}

static void make_lanes(struct fmx_fleet_requests *requests, const struct fmx_fleet_team *team)
{
    const struct fmx_fleet_group *group = &team->plan;
    struct team_lanes *lanes = &requests->teams[team->group];

    lanes->first = requests->lanes_count;
    for (uint32_t i = 0; i < group->publishes_count; i++) {
        lanes->of_topic[i] = NONE;
        if (is_request(&group->publishes[i])) {
            lanes->of_topic[i] = requests->lanes_count;
            requests->lanes[requests->lanes_count++] =
                (struct lane){.group = team->group,
                              .topic = i,
                              .timeout_ns = group->publishes[i].response_timeout_ms * FMX_NS_PER_MS,
                              .first = NONE,
                              .last = NONE};
        }
    }
    lanes->count = requests->lanes_count - lanes->first;
}

bool fmx_fleet_requests_open(struct fmx_fleet_shard *fleet)
{
    const struct fmx_fleet *whole = fleet->fleet;
    uint32_t lanes_count = count_lanes(whole);

    if (lanes_count == 0) {
        return true;
    }
    struct fmx_fleet_requests *requests = fleet->requests = calloc(1, sizeof(*requests));
    if (requests == NULL) {
        return false;
    }
    requests->free_first = NONE;
    requests->timer.kind = FMX_TIMER_ROLE;
    requests->timer.sub_kind = FMX_FLEET_TIMER_REQUESTS;
    requests->teams = calloc(whole->teams_count, sizeof(*requests->teams));
    requests->lanes = calloc(lanes_count, sizeof(*requests->lanes));
    if (requests->teams == NULL || requests->lanes == NULL) {
        return false;
    }
    for (uint32_t g = 0; g < whole->teams_count; g++) {
        make_lanes(requests, &whole->teams[g]);
    }
    return true;
}

void fmx_fleet_requests_close(struct fmx_fleet_shard *fleet)
{
    struct fmx_fleet_requests *requests = fleet->requests;

    if (requests != NULL) {
        fmx_index_close(&requests->index);
        free(requests->entries);
        free(requests->teams);
        free(requests->lanes);
        free(requests);
        fleet->requests = NULL;
    }
}

uint64_t fmx_fleet_requests_waiting(const struct fmx_fleet_shard *fleet)
{
    return fleet->requests == NULL ? 0 : fleet->requests->count;
}

/* ── entries ── */

static bool grow(struct fmx_fleet_requests *requests)
{
    uint32_t capacity = requests->capacity == 0 ? CAPACITY_MIN : 2 * requests->capacity;

    if (requests->free_first != NONE) {
        return true;
    }
    if (capacity > REQUESTS_MAX) {
        return false;
    }
    struct request *more = realloc(requests->entries, capacity * sizeof(*more));
    if (more == NULL) {
        return false;
    }
    for (uint32_t i = requests->capacity; i < capacity; i++) {
        more[i].next = i + 1 < capacity ? i + 1 : NONE;
    }
    requests->free_first = requests->capacity;
    requests->entries = more;
    requests->capacity = capacity;
    return true;
}

static struct request *find(const struct fmx_fleet_requests *requests, uint64_t name)
{
    uint64_t hash = fmx_index_mix(name);
    uint32_t probe = UINT32_MAX;
    uint32_t found = fmx_index_find(&requests->index, hash, &probe);

    while (found != FMX_INDEX_NONE && requests->entries[found].name != name) {
        found = fmx_index_find(&requests->index, hash, &probe);
    }
    return found == FMX_INDEX_NONE ? NULL : &requests->entries[found];
}

static void link_last(struct fmx_fleet_requests *requests, uint32_t place)
{
    struct request *request = &requests->entries[place];
    struct lane *lane = &requests->lanes[request->lane];

    request->next = NONE;
    request->previous = lane->last;
    if (lane->last != NONE) {
        requests->entries[lane->last].next = place;
    } else {
        lane->first = place;
    }
    lane->last = place;
}

static void unlink_one(struct fmx_fleet_requests *requests, const struct request *request)
{
    struct lane *lane = &requests->lanes[request->lane];

    if (request->previous != NONE) {
        requests->entries[request->previous].next = request->next;
    } else {
        lane->first = request->next;
    }
    if (request->next != NONE) {
        requests->entries[request->next].previous = request->previous;
    } else {
        lane->last = request->previous;
    }
}

/* It waits no more. With the last one the memory of a peak goes back. */
static void drop(struct fmx_fleet_requests *requests, struct request *request)
{
    uint32_t place = (uint32_t)(request - requests->entries);

    unlink_one(requests, request);
    fmx_index_remove(&requests->index, fmx_index_mix(request->name), place);
    request->next = requests->free_first;
    requests->free_first = place;
    requests->count--;
    if (requests->count == 0 && requests->capacity > CAPACITY_MIN) {
        free(requests->entries);
        requests->entries = NULL;
        requests->capacity = 0;
        requests->free_first = NONE;
    }
}

/* ── sending ── */

static void arm_for(struct fmx_fleet_shard *fleet, uint64_t due_ns)
{
    struct fmx_timer *timer = &fleet->requests->timer;

    if (!fmx_timer_is_armed(timer) || due_ns < timer->due_ns) {
        fmx_wheel_arm(&fleet->shard->wheel, timer, due_ns);
    }
}

/* A new entry, linked nowhere but in the index. NONE: no memory. */
static uint32_t add(struct fmx_fleet_requests *requests, uint64_t name)
{
    if (!grow(requests)) {
        return NONE;
    }
    uint32_t place = requests->free_first;
    if (fmx_index_put(&requests->index, fmx_index_mix(name), place) != FMX_OK) {
        return NONE;
    }
    requests->free_first = requests->entries[place].next;
    requests->entries[place].name = name;
    requests->count++;
    return place;
}

bool fmx_fleet_request_sent(struct fmx_fleet_client *client, uint32_t topic, uint64_t sequence,
                            uint64_t planned_ns, uint64_t sent_ns)
{
    struct fmx_fleet_shard *fleet = client->crew->fleet;
    struct fmx_fleet_requests *requests = fleet->requests;
    uint32_t lane = requests->teams[client->crew->team->group].of_topic[topic];
    uint64_t name = fmx_fleet_request_name(fmx_fleet_index_of(client), topic, sequence);
    struct request *before = find(requests, name);
    uint32_t place;

    FMX_ASSERT(lane != NONE);
    if (before != NULL) { /* it did not get away the first time */
        place = (uint32_t)(before - requests->entries);
        unlink_one(requests, before);
    } else {
        place = add(requests, name);
    }
    if (place == NONE) {
        return false;
    }
    requests->entries[place].planned_ns = planned_ns;
    requests->entries[place].sent_ns = sent_ns;
    requests->entries[place].lane = lane;
    link_last(requests, place);
    arm_for(fleet, sent_ns + requests->lanes[lane].timeout_ns);
    return true;
}

/* ── time-outs ── */

static uint64_t due_of(const struct fmx_fleet_requests *requests, const struct lane *lane)
{
    return lane->first == NONE ? UINT64_MAX
                               : requests->entries[lane->first].sent_ns + lane->timeout_ns;
}

void fmx_fleet_requests_due(struct fmx_fleet_shard *fleet)
{
    struct fmx_fleet_requests *requests = fleet->requests;
    uint64_t now_ns = fleet->shard->now_ns;
    uint64_t next_ns = UINT64_MAX;
    uint32_t budget = TIMEOUTS_PER_TURN;

    for (uint32_t i = 0; i < requests->lanes_count; i++) {
        struct lane *lane = &requests->lanes[i];
        for (; budget > 0 && due_of(requests, lane) <= now_ns; budget--) {
            fmx_count(&fleet->crews[lane->group]->counters.requests_timeout, 1);
            drop(requests, &requests->entries[lane->first]);
        }
        next_ns = due_of(requests, lane) < next_ns ? due_of(requests, lane) : next_ns;
    }
    if (next_ns != UINT64_MAX) {
        arm_for(fleet, next_ns);
    }
}

/* ── topics of answers ── */

static const struct fmx_fleet_publish *publish_of(const struct fmx_fleet_client *client,
                                                  uint32_t topic)
{
    return &fmx_fleet_group_of(client)->publishes[topic];
}

static fmx_slice fill_topic(const struct fmx_fleet_client *client, uint32_t topic, uint8_t *out)
{
    return fmx_fleet_fill(client, publish_of(client, topic)->properties.response_topic, out);
}

/* Does a request before this one of the team have the same topic for its answers? */
static bool is_repeated(const struct fmx_fleet_requests *requests, const struct team_lanes *lanes,
                        uint32_t lane, const struct fmx_fleet_client *client, fmx_slice topic)
{
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];

    for (uint32_t i = lanes->first; i < lane; i++) {
        if (fmx_slice_equal(fill_topic(client, requests->lanes[i].topic, filled), topic)) {
            return true;
        }
    }
    return false;
}

uint32_t fmx_fleet_requests_subscribe(struct fmx_conn *conn)
{
    const struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    const struct fmx_fleet_requests *requests = fmx_fleet_of(conn->shard)->requests;
    struct fmx_fleet_subscribe how = {.retain_handling = 2}; /* what was answered before is over */
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];
    uint32_t count = 0;

    if (client == NULL || requests == NULL) {
        return 0;
    }
    const struct team_lanes *lanes = &requests->teams[client->crew->team->group];
    for (uint32_t i = lanes->first; i < lanes->first + lanes->count; i++) {
        uint8_t qos = publish_of(client, requests->lanes[i].topic)->qos;
        how.qos = qos > how.qos ? qos : how.qos;
    }
    for (uint32_t i = lanes->first; i < lanes->first + lanes->count; i++) {
        fmx_slice topic = fill_topic(client, requests->lanes[i].topic, filled);
        if (!is_repeated(requests, lanes, i, client, topic)) {
            fmx_fleet_client_subscribe(conn, topic, &how);
            count++;
        }
    }
    return count;
}

/* ── answers ── */

/* The name in front of the Correlation Data; false: there is none of ours. */
static bool read_name(const struct fmx_publish *publish, uint64_t *out_name)
{
    const fmx_slice *data = &publish->props.correlation_data;

    if (!fmx_props_has(&publish->props, FMX_PROP_CORRELATION_DATA) ||
        data->bytes < FMX_FLEET_REQUEST_BYTES) {
        return false;
    }
    *out_name = 0;
    for (unsigned i = 0; i < FMX_FLEET_REQUEST_BYTES; i++) {
        *out_name = *out_name << 8 | data->data[i];
    }
    return true;
}

static bool is_answer_topic(const struct fmx_fleet_requests *requests,
                            const struct fmx_fleet_client *client, fmx_slice topic)
{
    const struct team_lanes *lanes = &requests->teams[client->crew->team->group];
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];

    for (uint32_t i = lanes->first; i < lanes->first + lanes->count; i++) {
        if (fmx_slice_equal(fill_topic(client, requests->lanes[i].topic, filled), topic)) {
            return true;
        }
    }
    return false;
}

bool fmx_fleet_on_answer(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    const struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    struct fmx_fleet_requests *requests = fmx_fleet_of(conn->shard)->requests;
    uint64_t name;

    if (client == NULL || requests == NULL || !is_answer_topic(requests, client, publish->topic)) {
        return false;
    }
    /* Where clients share a topic each hears the answers of all */
    struct request *request =
        read_name(publish, &name) && fmx_fleet_request_index(name) == fmx_fleet_index_of(client)
            ? find(requests, name)
            : NULL;
    struct fmx_fleet_crew *crew = client->crew;
    if (request == NULL) {
        fmx_count(&crew->counters.responses_foreign, 1);
        return true;
    }
    uint64_t now_ns = conn->shard->now_ns;
    fmx_fleet_measure(crew, FMX_FLEET_REQUEST, request->planned_ns, now_ns);
    fmx_fleet_measure(crew, FMX_FLEET_REQUEST_RAW, request->sent_ns, now_ns);
    fmx_count(&crew->counters.requests_answered, 1);
    drop(requests, request);
    return true;
}
