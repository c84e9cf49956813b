/*
 * fleet_flow — messages: what is due, what has room, what comes back
 *
 * Why it is so:   a client that waits for its last answer before it plans the next message hides
 *                 every pause of the server. Here messages are planned by the clock alone; one that
 *                 cannot leave yet is overdue, keeps its planned time, and its latency is measured
 *                 from there
 * Words:          planned: the time at which the schedule wanted it sent; overdue: planned, due,
 *                 not sent; to note: to count what is due; blocked: overdue because the server was
 *                 in the way (window, queue, connection); lag: lateness of all others, which is our
 *                 own; walk: from one drawn message to the next
 * Invariants:     (1) messages of a flow leave in the order of their planned times, and of two
 *                 flows that have room the one with the older message goes first
 *                 (2) send_at is walked over the same times as due_at: fleet_schedule.c is pure
 * Threads:        owning shard
 * Limits:         group.window unacknowledged at QoS 1; BURST_MAX messages of one client a turn;
 *                 WALKS_PER_TURN: who has more to note goes on in the next turn; 2^32 - 1 overdue
 *                 messages of a flow: what falls due beyond is noted when there is room again
 * Not here:       what stands in a message: fleet_message.c; the ledger: fleet_track.c
 */
#include "engine/roles/fleet_refuse.h"
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_keep.h"
#include "engine/roles/fleet_message.h"
#include "engine/roles/fleet_request.h"

#include "proto/encode.h"
#include "proto/limits.h"
#include "proto/topic.h"

#define BURST_MAX      64u
#define WALKS_PER_TURN 16384u
#define WALKS_AT_END   (1u << 24) /* when a shard stops before all is noted: half a second */
#define LAG_BITS       14         /* mantissa of what a tag says of lateness */
#define LAG_SHIFT      1
#define PLANNED_SHIFT  21
#define PLANNED_MASK   ((1ull << (64 - PLANNED_SHIFT)) - 1)

/* ── tags ── */

static uint64_t lag_encode(uint64_t lag_ns)
{
    unsigned bits = lag_ns == 0 ? 0 : 64u - (unsigned)__builtin_clzll(lag_ns);
    unsigned exponent = bits > LAG_BITS ? bits - LAG_BITS : 0;

    return (uint64_t)exponent << LAG_BITS | lag_ns >> exponent;
}

static uint64_t lag_decode(uint64_t code)
{
    return (code & ((1u << LAG_BITS) - 1)) << (code >> LAG_BITS);
}

uint64_t fmx_flow_tag(bool is_subscribe, uint64_t planned_ns, uint64_t sent_ns)
{
    uint64_t lag_ns = sent_ns > planned_ns ? sent_ns - planned_ns : 0;
    uint64_t tag =
        planned_ns << PLANNED_SHIFT | lag_encode(lag_ns) << LAG_SHIFT | (is_subscribe ? 1 : 0);

    return tag != 0 ? tag : 1ull << PLANNED_SHIFT; /* 0 is no tag: a nanosecond later */
}

bool fmx_flow_tag_is_subscribe(uint64_t tag)
{
    return (tag & 1) != 0;
}

void fmx_flow_tag_read(uint64_t tag, uint64_t now_ns, uint64_t *out_planned_ns,
                       uint64_t *out_sent_ns)
{
    uint64_t ago_ns = (now_ns - (tag >> PLANNED_SHIFT)) & PLANNED_MASK;
    uint64_t code = tag >> LAG_SHIFT & ((1ull << (PLANNED_SHIFT - LAG_SHIFT)) - 1);

    *out_planned_ns = now_ns - ago_ns;
    *out_sent_ns = *out_planned_ns + lag_decode(code);
}

/* ── a client's flows ── */

static uint32_t flows_count(const struct fmx_fleet_client *client)
{
    return (uint32_t)client->crew->team->plan.publishes_count;
}

static struct fmx_fleet_flow *flow_of(const struct fmx_fleet_client *client, uint32_t topic)
{
    return &client->crew->flows[(size_t)fmx_fleet_place_of(client) * flows_count(client) + topic];
}

static const struct fmx_fleet_publish *publish_of(const struct fmx_fleet_client *client,
                                                  uint32_t topic)
{
    return &client->crew->team->plan.publishes[topic];
}

static bool is_closed_loop(const struct fmx_fleet_client *client, uint32_t topic)
{
    return publish_of(client, topic)->schedule == FMX_FLEET_CLOSED_LOOP;
}

/* Its equal part of the messages that all clients of the group may send. */
static uint64_t quota_of(const struct fmx_fleet_client *client, uint32_t topic)
{
    const struct fmx_fleet_group *group = fmx_fleet_group_of(client);
    unsigned __int128 most = group->publishes[topic].messages_max;

    if (most == 0) {
        return UINT64_MAX;
    }
    uint64_t before = (uint64_t)(most * client->number / group->clients_count);
    return (uint64_t)(most * (client->number + 1u) / group->clients_count) - before;
}

static struct fmx_schedule schedule_of(const struct fmx_fleet_client *client, uint32_t topic)
{
    const struct fmx_fleet_team *team = client->crew->team;

    return (struct fmx_schedule){
        .publish = &team->plan.publishes[topic],
        .key = fmx_fleet_draw(team->fleet, fmx_fleet_index_of(client), FMX_DRAW_INTERVAL,
                              team->topics[topic].hash),
        .most = quota_of(client, topic),
    };
}

static uint64_t load(const _Atomic uint64_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

/* ── what is due ── */

/* The last moment whose messages a client plans, as things stand. */
static uint64_t planning_until(const struct fmx_fleet_client *client)
{
    const struct fmx_fleet_shard *fleet = client->crew->fleet;
    uint64_t end_ns = load(&fleet->fleet->publish_end_ns);
    uint64_t now_ns = fleet->is_ending ? fleet->ending_ns : fleet->shard->now_ns;
    uint64_t least_ns = now_ns < end_ns ? now_ns : end_ns - 1;

    return client->state == FMX_CLIENT_DONE && client->gone_ns < least_ns ? client->gone_ns
                                                                          : least_ns;
}

static uint64_t units_at(const struct fmx_fleet_client *client, uint64_t real_ns)
{
    return fmx_clock_units(&client->crew->team->publishing, real_ns);
}

static void will_have_no_more(struct fmx_fleet_client *client, struct fmx_fleet_flow *flow)
{
    flow->due_at = FMX_CLOCK_NEVER;
    client->crew->fleet->flows_left--;
}

/* Drawn messages that may still be walked in this turn. */
static uint32_t *walks_of(struct fmx_fleet_shard *fleet)
{
    if (fleet->walks_turn != fleet->shard->turn) {
        fleet->walks_turn = fleet->shard->turn;
        fleet->walks_left = WALKS_PER_TURN;
    }
    return &fleet->walks_left;
}

/* Is there anything to note? */
static bool has_due(const struct fmx_fleet_client *client, uint32_t topic, uint64_t until)
{
    const struct fmx_fleet_flow *flow = flow_of(client, topic);

    return flow->due_at <= until && !is_closed_loop(client, topic) && flow->overdue < UINT32_MAX;
}

static void note_due(struct fmx_fleet_client *client, uint32_t topic, uint64_t until)
{
    struct fmx_fleet_crew *crew = client->crew;
    struct fmx_fleet_flow *flow = flow_of(client, topic);

    if (!has_due(client, topic, until)) {
        return;
    }
    struct fmx_schedule schedule = schedule_of(client, topic);
    uint32_t noted = (uint32_t)fmx_schedule_pass(&schedule, flow->sequence + flow->overdue, until,
                                                 UINT32_MAX - flow->overdue, &flow->due_at,
                                                 walks_of(crew->fleet));
    flow->overdue += noted;
    crew->fleet->overdue += client->is_given_up ? 0 : noted;
    fmx_count(&crew->counters.publishes_planned, noted);
    fmx_count(&crew->counters.publishes_overdue, noted);
    if (flow->due_at == FMX_CLOCK_NEVER) {
        will_have_no_more(client, flow);
    }
}

/* Returns a time on the clock: all that is planned before it is noted; beyond `until` if all is. */
static uint64_t note_all_due(struct fmx_fleet_client *client, uint64_t until)
{
    uint64_t noted = until + 1;

    for (uint32_t i = 0; i < flows_count(client); i++) {
        note_due(client, i, until);
        if (has_due(client, i, until) && flow_of(client, i)->due_at < noted) {
            noted = flow_of(client, i)->due_at;
        }
    }
    return noted;
}

/* False: in the next turn there is more to note. */
static bool note_until(struct fmx_fleet_client *client, uint64_t real_ns)
{
    uint64_t until = units_at(client, real_ns);

    return note_all_due(client, until) > until;
}

void fmx_fleet_flows_give_up(struct fmx_fleet_client *client)
{
    for (uint32_t i = 0; i < flows_count(client) && !client->is_given_up; i++) {
        client->crew->fleet->overdue -= flow_of(client, i)->overdue;
    }
    client->is_given_up = true;
    fmx_fleet_keep_drop(client);
}

void fmx_fleet_flows_anchor(struct fmx_fleet_client *client, uint64_t planned_ns)
{
    uint64_t anchor = units_at(client, planned_ns);

    for (uint32_t i = 0; i < flows_count(client); i++) {
        struct fmx_fleet_flow *flow = flow_of(client, i);
        struct fmx_schedule schedule = schedule_of(client, i);
        schedule.anchor = anchor;
        flow->send_at = flow->due_at = fmx_schedule_first(&schedule);
        if (flow->due_at == FMX_CLOCK_NEVER) {
            will_have_no_more(client, flow);
        }
    }
    client->is_anchored = true;
}

/* ── sending ── */

static bool may_publish(const struct fmx_fleet_client *client)
{
    return client->state == FMX_CLIENT_OPEN && client->conn->state == FMX_CONN_OPEN &&
           fmx_fleet_part_of(client->conn)->is_subscribed;
}

static bool has_room(const struct fmx_fleet_client *client, uint8_t qos)
{
    if (fmx_conn_is_full(client->conn)) {
        return false;
    }
    return qos == 0 ||
           (fmx_fleet_keep_has_room(client) &&
            fmx_fleet_part_of(client->conn)->unacked < fmx_fleet_group_of(client)->window &&
            fmx_conn_make_window(client->conn));
}

/* The topic, or what stands for it on this connection. */
static void name_topic(struct fmx_fleet_client *client, uint32_t topic, struct fmx_publish *message)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(client->conn);
    struct fmx_props *props = &message->props;
    bool is_aliased = publish_of(client, topic)->properties.use_aliases &&
                      client->conn->session.peer_alias_max > topic;

    message->topic = fmx_fleet_message_topic(client->crew->fleet, client, topic);
    props->present &= ~FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS);
    if (!is_aliased) {
        return;
    }
    props->present |= FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS);
    props->topic_alias = (uint16_t)(topic + 1);
    if ((part->aliases_known >> topic & 1) != 0) {
        message->topic = (fmx_slice){0};
    }
    part->aliases_known |= 1ull << topic;
}

static void count_sent(struct fmx_fleet_client *client, uint32_t topic, uint64_t planned_ns)
{
    struct fmx_fleet_crew *crew = client->crew;
    struct fmx_fleet_flow *flow = flow_of(client, topic);
    struct fmx_fleet *fleet = crew->fleet->fleet;
    uint64_t now_ns = crew->fleet->shard->now_ns;

    fmx_count(&crew->counters.publishes_sent, 1);
    fmx_fleet_measure(crew, flow->blocked > 0 ? FMX_FLEET_BLOCKED : FMX_FLEET_LAG, planned_ns,
                      now_ns);
    if (publish_of(client, topic)->qos > 0) {
        fmx_fleet_part_of(client->conn)->unacked++;
        crew->fleet->unacked++;
        fmx_count(&crew->counters.publishes_sent_qos1, 1);
        fmx_count(&crew->counters.publishes_outstanding, 1);
    }
    if (load(&fleet->first_sent_ns) == 0) {
        atomic_store_explicit(&fleet->first_sent_ns, now_ns, memory_order_relaxed);
    }
}

/* What this message adds to the hash of its client: any order of flows gives the same sum. */
static void add_to_hash(struct fmx_fleet_client *client, const struct fmx_message_wish *wish,
                        uint64_t content)
{
    const struct fmx_fleet_team *team = client->crew->team;
    fmx_slice topic = fmx_fleet_message_topic(client->crew->fleet, client, wish->topic);
    uint64_t hash = fmx_fleet_mix(team->topics[wish->topic].hash, wish->sequence);

    hash = fmx_fleet_mix(hash, wish->step);
    hash = fmx_fleet_mix(hash, fmx_topic_hash(topic, 1));
    client->hash += fmx_fleet_mix(hash, content);
}

/* Sends the oldest message of a flow that is not sent. False: not now. */
static bool send_one(struct fmx_fleet_client *client, uint32_t topic, uint64_t planned_ns,
                     uint64_t step)
{
    struct fmx_conn *conn = client->conn;
    struct fmx_fleet_shard *fleet = client->crew->fleet;
    enum fmx_version version = (enum fmx_version)conn->session.version;
    const struct fmx_fleet_publish *publish = publish_of(client, topic);
    const struct fmx_fleet_flow *flow = flow_of(client, topic);
    uint64_t sequence = flow->sequence;
    uint64_t now_ns = fleet->shard->now_ns;
    const struct fmx_message_wish wish = {.client = client,
                                          .topic = topic,
                                          .sequence = sequence,
                                          .sent_before = sequence - flow->skipped,
                                          .step = step,
                                          .planned_ns = planned_ns};
    uint64_t content;

    struct fmx_publish *message = fmx_fleet_message_make(fleet, &wish, &content);
    name_topic(client, topic, message);
    size_t bytes = fmx_encode_publish_bytes(message, version);
    if (!fmx_fleet_names_make(conn, topic)) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return false;
    }
    uint64_t tag = fmx_flow_tag(false, planned_ns, now_ns);
    enum fmx_status status = fmx_session_publish(&conn->session, message, bytes, tag);
    if (status != FMX_OK) { /* larger than the server takes, or a QoS it does not */
        fmx_conn_close(conn, status < 0 ? status : FMX_E_STATE);
        return false;
    }
    fmx_fleet_names_put(conn, message->packet_id, topic, wish.sent_before);
    uint8_t *room = fmx_conn_reserve(conn, bytes);
    if (room == NULL) {
        return false;
    }
    if ((publish->response_timeout_ms > 0 &&
         !fmx_fleet_request_sent(client, topic, sequence, planned_ns, now_ns)) ||
        !fmx_fleet_keep(conn, message, tag, topic, wish.sent_before)) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return false;
    }
    fmx_conn_commit(conn, fmx_encode_publish(message, version, room));
    add_to_hash(client, &wish, content);
    count_sent(client, topic, planned_ns);
    return true;
}

/* ── open loop ── */

/* The flow with the oldest message that has room, planned before `noted`; else FMX_FLEET_ALL. */
static uint32_t find_oldest(struct fmx_fleet_client *client, uint64_t noted)
{
    uint32_t found = FMX_FLEET_ALL;
    uint64_t oldest = noted;

    for (uint32_t i = 0; i < flows_count(client); i++) {
        const struct fmx_fleet_flow *flow = flow_of(client, i);
        if (flow->overdue > 0 && flow->send_at < oldest &&
            has_room(client, publish_of(client, i)->qos)) {
            oldest = flow->send_at;
            found = i;
        }
    }
    return found;
}

static void step_over(struct fmx_fleet_client *client, struct fmx_fleet_flow *flow, uint64_t next)
{
    flow->send_at = next;
    flow->sequence++;
    flow->overdue--;
    flow->blocked -= flow->blocked > 0;
    client->crew->fleet->overdue--;
    fmx_count_down(&client->crew->counters.publishes_overdue, 1);
}

static bool send_overdue(struct fmx_fleet_client *client, uint32_t topic)
{
    struct fmx_fleet_flow *flow = flow_of(client, topic);
    struct fmx_schedule schedule = schedule_of(client, topic);
    uint64_t next = fmx_schedule_next(&schedule, flow->sequence, flow->send_at);
    uint64_t planned_ns = fmx_clock_real_ns(&client->crew->team->publishing, flow->send_at);

    if (!send_one(client, topic, planned_ns, next == FMX_CLOCK_NEVER ? 0 : next - flow->send_at)) {
        return false;
    }
    step_over(client, flow, next);
    return true;
}

/* What is left when we could send no more waits for the server, not for us. */
static void mark_blocked(struct fmx_fleet_client *client)
{
    for (uint32_t i = 0; i < flows_count(client); i++) {
        struct fmx_fleet_flow *flow = flow_of(client, i);
        if (flow->overdue > 0 &&
            !(client->state == FMX_CLIENT_OPEN && has_room(client, publish_of(client, i)->qos))) {
            flow->blocked = flow->overdue;
        }
    }
}

/* ── closed loop ── */

static bool runs(const struct fmx_fleet_client *client)
{
    const struct fmx_fleet_shard *fleet = client->crew->fleet;
    uint64_t now_ns = fleet->shard->now_ns;

    return !fleet->is_ending && now_ns < load(&fleet->fleet->publish_end_ns) &&
           fmx_clock_rate(&client->crew->team->publishing, now_ns) > 0;
}

static bool send_unplanned(struct fmx_fleet_client *client, uint32_t topic)
{
    struct fmx_fleet_flow *flow = flow_of(client, topic);

    if (flow->due_at == FMX_CLOCK_NEVER || !has_room(client, publish_of(client, topic)->qos) ||
        !send_one(client, topic, client->crew->fleet->shard->now_ns, 0)) {
        return false;
    }
    fmx_count(&client->crew->counters.publishes_planned, 1);
    if (++flow->sequence == quota_of(client, topic)) {
        will_have_no_more(client, flow);
    }
    return true;
}

static bool send_closed_loops(struct fmx_fleet_client *client, unsigned most)
{
    bool is_on = true;

    for (unsigned sent = 0; sent < most && is_on;) {
        is_on = false;
        for (uint32_t i = 0; i < flows_count(client); i++) {
            if (is_closed_loop(client, i) && send_unplanned(client, i)) {
                sent++;
                is_on = true;
            }
        }
    }
    return is_on;
}

/* ── the next look ── */

static uint64_t next_due_ns(const struct fmx_fleet_client *client)
{
    uint64_t due = FMX_CLOCK_NEVER;

    for (uint32_t i = 0; i < flows_count(client); i++) {
        const struct fmx_fleet_flow *flow = flow_of(client, i);
        if (flow->due_at < due && has_due(client, i, flow->due_at)) {
            due = flow->due_at;
        }
    }
    return fmx_clock_real_ns(&client->crew->team->publishing, due);
}

static void look_again_at(struct fmx_fleet_client *client, uint64_t due_ns)
{
    const struct fmx_fleet_shard *fleet = client->crew->fleet;

    /* at the end, what is not due by now will not be: a past time would be looked at for ever */
    if (!fleet->is_ending && due_ns < load(&fleet->fleet->publish_end_ns)) {
        fmx_wheel_arm(&fleet->shard->wheel, &client->timer, due_ns);
    } else {
        fmx_wheel_disarm(&fleet->shard->wheel, &client->timer);
    }
}

static void look_again_soon(struct fmx_fleet_client *client)
{
    struct fmx_shard *shard = client->crew->fleet->shard;

    fmx_wheel_arm(&shard->wheel, &client->timer, shard->now_ns);
}

void fmx_fleet_flows_rearm(struct fmx_fleet_client *client)
{
    if (may_publish(client)) {
        fmx_fleet_flows_due(client);
    }
}

static void skip_overdue(struct fmx_fleet_client *client, uint32_t topic)
{
    struct fmx_fleet_flow *flow = flow_of(client, topic);
    struct fmx_fleet_crew *crew = client->crew;

    crew->fleet->overdue -= flow->overdue;
    fmx_count_down(&crew->counters.publishes_overdue, flow->overdue);
    fmx_count(&crew->counters.publishes_skipped, flow->overdue);
    flow->sequence += flow->overdue;
    flow->skipped += flow->overdue;
    flow->send_at = flow->due_at;
    flow->overdue = flow->blocked = 0;
}

/* What fell due without a connection is noted, then skipped or marked. False: not all of it yet. */
static bool has_returned(struct fmx_fleet_client *client)
{
    uint64_t until_ns = planning_until(client);
    uint64_t since_ns = fmx_fleet_part_of(client->conn)->since_ns;

    if (!client->is_returning) {
        return true;
    }
    if (!note_until(client, since_ns < until_ns ? since_ns : until_ns)) {
        return false;
    }
    client->is_returning = false;
    for (uint32_t i = 0; i < flows_count(client); i++) {
        struct fmx_fleet_flow *flow = flow_of(client, i);
        if (publish_of(client, i)->skip_when_away) {
            skip_overdue(client, i);
        }
        flow->blocked = flow->overdue;
    }
    return true;
}

void fmx_fleet_flows_due(struct fmx_fleet_client *client)
{
    unsigned left = BURST_MAX;
    uint32_t topic = FMX_FLEET_ALL;

    if (!may_publish(client) || flows_count(client) == 0) {
        return;
    }
    if (!has_returned(client)) {
        look_again_soon(client);
        return;
    }
    uint64_t until = units_at(client, planning_until(client));
    uint64_t noted = note_all_due(client, until);
    while (left > 0 && (topic = find_oldest(client, noted)) != FMX_FLEET_ALL &&
           send_overdue(client, topic)) {
        left--;
    }
    bool is_tired = left == 0 || noted <= until;
    if (!is_tired && runs(client)) {
        is_tired = send_closed_loops(client, left);
    }
    mark_blocked(client);
    if (!may_publish(client)) {
        return; /* a message that cannot be said has ended the connection */
    }
    if (is_tired) {
        look_again_soon(client);
    } else {
        look_again_at(client, next_due_ns(client));
    } /* and a PUBACK, or the queue's drain, looks again */
}

/* ── beginnings and ends ── */

void fmx_fleet_flows_begin(struct fmx_fleet_client *client)
{
    fmx_fleet_part_of(client->conn)->since_ns = client->crew->fleet->shard->now_ns;
    client->is_returning = flows_count(client) > 0;
    fmx_fleet_flows_due(client);
}

bool fmx_fleet_flows_end(struct fmx_fleet_client *client)
{
    if (!client->is_anchored || client->state == FMX_CLIENT_DONE) {
        return true; /* it has nothing, or sees to it by itself */
    }
    fmx_fleet_flows_due(client);
    bool comes_in = may_publish(client) && client->is_returning;
    if (comes_in || !note_until(client, planning_until(client))) {
        return false;
    }
    if (client->state == FMX_CLIENT_WAITING) {
        fmx_fleet_flows_give_up(client);
    }
    return true;
}

void fmx_fleet_flows_forget_more(struct fmx_fleet_client *client)
{
    struct fmx_fleet_shard *fleet = client->crew->fleet;

    if (client->is_anchored && !note_until(client, planning_until(client))) {
        look_again_soon(client);
        return;
    }
    fleet->going--;
    for (uint32_t i = 0; i < flows_count(client); i++) {
        if (flow_of(client, i)->due_at != FMX_CLOCK_NEVER) {
            will_have_no_more(client, flow_of(client, i));
        }
    }
}

void fmx_fleet_flows_forget(struct fmx_fleet_client *client)
{
    client->gone_ns = client->crew->fleet->shard->now_ns;
    client->crew->fleet->going++;
    client->is_returning = false;
    fmx_fleet_flows_give_up(client);
    fmx_fleet_flows_forget_more(client);
}

void fmx_fleet_flows_stop(struct fmx_fleet_shard *fleet)
{
    *walks_of(fleet) = WALKS_AT_END;
    for (uint32_t i = 0; i < fleet->fleet->teams_count; i++) {
        for (uint32_t j = 0; j < fleet->crews[i]->clients_count; j++) {
            struct fmx_fleet_client *client = &fleet->crews[i]->clients[j];
            if (client->state == FMX_CLIENT_WAITING) {
                fmx_fleet_flows_give_up(client);
            }
            if (client->is_anchored) {
                (void)note_until(client, planning_until(client));
            }
        }
    }
}

/* ── what comes back ── */

void fmx_fleet_flows_go_on(struct fmx_fleet_client *client)
{
    for (uint32_t i = 0; i < flows_count(client); i++) {
        if (flow_of(client, i)->overdue > 0 || is_closed_loop(client, i)) {
            fmx_fleet_flows_due(client);
            return;
        }
    }
}

void fmx_fleet_on_puback(struct fmx_conn *conn, const struct fmx_ack *ack, uint64_t tag)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_client *client = part->client;
    struct fmx_fleet_crew *crew = client->crew;
    uint64_t now_ns = conn->shard->now_ns;
    uint64_t planned_ns;
    uint64_t sent_ns;

    FMX_ASSERT(part->unacked > 0 && crew->fleet->unacked > 0);
    part->unacked--;
    crew->fleet->unacked--;
    fmx_count_down(&crew->counters.publishes_outstanding, 1);
    fmx_flow_tag_read(tag, now_ns, &planned_ns, &sent_ns);
    fmx_fleet_measure(crew, FMX_FLEET_PUBACK, planned_ns, now_ns);
    fmx_fleet_measure(crew, FMX_FLEET_PUBACK_RAW, sent_ns, now_ns);
    if (ack->reason >= 0x80) {
        fmx_count(&crew->counters.publishes_refused, 1);
        fmx_fleet_refused(conn, ack->packet_id);
        fmx_fleet_count_cause(crew->fleet, FMX_PEER_MESSAGE_REFUSED, 0, ack->reason, NULL);
    } else {
        fmx_count(&crew->counters.publishes_acked, 1); /* who sees it finds it measured */
    }
    fmx_fleet_flows_go_on(client);
}

/* Is a message later than its subscription allows? The first one that it fits counts. */
static bool is_late(const struct fmx_fleet_client *client, fmx_slice topic, uint64_t latency_ns)
{
    const struct fmx_fleet_group *group = fmx_fleet_group_of(client);
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];

    for (size_t i = 0; i < group->subscribes_count; i++) {
        const struct fmx_fleet_subscribe *subscribe = &group->subscribes[i];
        if (group->subscribes_count == 1 ||
            fmx_topic_matches(fmx_fleet_fill(client, subscribe->filter, filled), topic)) {
            return subscribe->late_ns > 0 && latency_ns > subscribe->late_ns;
        }
    }
    return false;
}

static bool has_late(const struct fmx_fleet_group *group)
{
    for (size_t i = 0; i < group->subscribes_count; i++) {
        if (group->subscribes[i].late_ns > 0) {
            return true;
        }
    }
    return false;
}

static bool as_published(const struct fmx_fleet_group *group)
{
    for (size_t i = 0; i < group->subscribes_count; i++) {
        if (group->subscribes[i].as_published) {
            return true;
        }
    }
    return false;
}

static void look_at_mark(struct fmx_fleet_client *client, const struct fmx_publish *publish)
{
    struct fmx_fleet_crew *crew = client->crew;
    uint64_t now_ns = crew->fleet->shard->now_ns;
    struct fmx_fleet_mark mark;

    if (!fmx_fleet_mark_read(publish->payload, &mark)) {
        fmx_count(&crew->counters.received_foreign, 1);
        return;
    }
    if (fmx_fleet_mark_is_near(crew->fleet->fleet, &mark)) {
        fmx_fleet_measure(crew, FMX_FLEET_DELIVERY, mark.planned_ns, now_ns);
        fmx_fleet_measure(crew, FMX_FLEET_DELIVERY_RAW, mark.sent_ns, now_ns);
        if (has_late(fmx_fleet_group_of(client)) && now_ns > mark.planned_ns &&
            is_late(client, publish->topic, now_ns - mark.planned_ns)) {
            fmx_count(&crew->counters.received_late, 1);
        }
    }
    if (!publish->retain || as_published(fmx_fleet_group_of(client))) { /* else of any age */
        fmx_fleet_track(client, publish->topic, &mark, publish->dup);
    } else {
        fmx_count(&crew->counters.received_unchecked, 1);
    }
}

void fmx_fleet_on_publish(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    struct fmx_fleet_crew *crew = client->crew;

    if (fmx_fleet_on_answer(conn, publish)) {
        /* it was waited for */
    } else if (crew->team->has_posts && fmx_fleet_is_thing_reply(publish->topic)) {
        fmx_count(&crew->counters.thing_replies, 1);
    } else if (!fmx_fleet_on_call(conn, publish)) {
        crew->fleet->last_received_ns = conn->shard->now_ns;
        look_at_mark(client, publish);
        fmx_count(&crew->counters.received, 1); /* behind its parts, as all that is a sum */
    }
    if (publish->qos > 0) {
        fmx_conn_puback(conn, publish->packet_id, 0);
    }
}
