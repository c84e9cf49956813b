/*
 * fleet_publish — the open-loop schedule, and what comes back
 *
 * Why it is so:   a client that waits for its last answer before it plans the next message hides
 *                 every pause of the server. Here messages are planned by the clock alone; one that
 *                 cannot leave yet is overdue, keeps its planned time, and its latency is measured
 *                 from there
 * Words:          planned: the time at which the schedule wanted it sent; overdue: planned, due,
 *                 not sent; lag: from planned to encoded
 * Invariants:     (1) messages of a client leave in the order of their planned times
 *                 (2) next_planned_ns − overdue × interval is the planned time of the oldest
 *                 overdue one
 * Threads:        owning shard
 * Limits:         publish_window unacknowledged at QoS 1; BURST_MAX messages of one client a turn
 * Not here:       what stands in a message: fleet_message.c; duplicates and gaps: fleet_track.c
 */
#include "engine/roles/fleet.h"

#include "proto/encode.h"
#include "proto/limits.h"

#define BURST_MAX   64u
#define TOPIC_ALIAS 1u /* a client has one topic */

/* ── sending ── */

static bool has_room(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client)
{
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;

    if (fmx_conn_is_full(client->conn)) {
        return false;
    }
    return plan->publish_qos == 0 ||
           (fmx_fleet_part_of(client->conn)->unacked < plan->publish_window &&
            fmx_conn_make_window(client->conn));
}

/* The tag of an identifier says when; its lowest bit, what for: see fleet_client.c. */
static uint64_t publish_tag(uint64_t planned_ns)
{
    return planned_ns << 1;
}

static void count_sent(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client,
                       uint64_t planned_ns)
{
    uint64_t now_ns = fleet->shard->now_ns;

    client->sequence++;
    fmx_count(&fleet->counters.sent, 1);
    fmx_histogram_record(&fleet->lag, now_ns > planned_ns ? now_ns - planned_ns : 0);
    if (fleet->fleet->plan.publish_qos > 0) {
        fmx_fleet_part_of(client->conn)->unacked++;
        fleet->unacked++;
    }
}

/* The topic, or what stands for it on this connection. */
static void name_topic(struct fmx_fleet_shard *fleet, const struct fmx_fleet_client *client,
                       struct fmx_publish *message)
{
    struct fmx_conn *conn = client->conn;
    struct fmx_props *props = &message->props;

    if (!fleet->fleet->plan.properties.use_aliases || conn->session.peer_alias_max < TOPIC_ALIAS) {
        props->present &= ~FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS);
        message->topic = fmx_fleet_message_topic(fleet, client);
        return;
    }
    props->present |= FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS);
    props->topic_alias = TOPIC_ALIAS;
    message->topic = fmx_fleet_part_of(conn)->alias_is_known
                         ? (fmx_slice){0}
                         : fmx_fleet_message_topic(fleet, client);
}

static bool send_one(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client,
                     uint64_t planned_ns)
{
    struct fmx_conn *conn = client->conn;
    enum fmx_version version = (enum fmx_version)conn->session.version;
    struct fmx_publish *message = fmx_fleet_message_make(fleet, client, planned_ns);

    name_topic(fleet, client, message);
    size_t bytes = fmx_encode_publish_bytes(message, version);
    enum fmx_status status =
        fmx_session_publish(&conn->session, message, bytes, publish_tag(planned_ns));

    if (status != FMX_OK) { /* larger than the server takes, or a QoS it does not */
        fmx_conn_close(conn, status < 0 ? status : FMX_E_STATE);
        return false;
    }
    uint8_t *room = fmx_conn_reserve(conn, bytes);
    if (room == NULL) {
        return false;
    }
    fmx_conn_commit(conn, fmx_encode_publish(message, version, room));
    fmx_fleet_part_of(conn)->alias_is_known = fleet->fleet->plan.properties.use_aliases;
    count_sent(fleet, client, planned_ns);
    return true;
}

/* ── the schedule ── */

static bool may_publish(const struct fmx_fleet_shard *fleet, const struct fmx_fleet_client *client)
{
    return client->state == FMX_CLIENT_OPEN && client->conn->state == FMX_CONN_OPEN &&
           !fleet->is_ending;
}

static void note_due(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client)
{
    uint64_t interval_ns = fleet->fleet->plan.publish_interval_ns;

    while (client->next_planned_ns <= fleet->shard->now_ns && fleet->publishes_left > 0) {
        client->next_planned_ns += interval_ns;
        client->overdue++;
        fleet->overdue++;
        if (fleet->publishes_left != UINT64_MAX) {
            fleet->publishes_left--;
        }
        fmx_count(&fleet->counters.planned, 1);
    }
}

static void send_overdue(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client)
{
    uint64_t interval_ns = fleet->fleet->plan.publish_interval_ns;

    for (unsigned i = 0; i < BURST_MAX && client->overdue > 0; i++) {
        if (!has_room(fleet, client) ||
            !send_one(fleet, client, client->next_planned_ns - client->overdue * interval_ns)) {
            return;
        }
        client->overdue--;
        fleet->overdue--;
    }
}

/* Without an interval the next message is planned when there is room for it. */
static void send_closed_loop(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client)
{
    for (unsigned i = 0; i < BURST_MAX && fleet->publishes_left > 0; i++) {
        if (!has_room(fleet, client) || !send_one(fleet, client, fleet->shard->now_ns)) {
            return;
        }
        fmx_count(&fleet->counters.planned, 1);
        if (fleet->publishes_left != UINT64_MAX) {
            fleet->publishes_left--;
        }
    }
}

static void plan_next_look(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client)
{
    bool is_open_loop = fleet->fleet->plan.publish_interval_ns > 0;
    bool has_more = fleet->publishes_left > 0 || client->overdue > 0;

    if (!may_publish(fleet, client) || !has_more) {
        return;
    }
    if (has_room(fleet, client) && (client->overdue > 0 || !is_open_loop)) {
        fmx_wheel_arm(&fleet->shard->wheel, &client->timer, fleet->shard->now_ns);
    } else if (is_open_loop && fleet->publishes_left > 0) {
        fmx_wheel_arm(&fleet->shard->wheel, &client->timer, client->next_planned_ns);
    } /* else a PUBACK, or the queue's drain, looks again */
}

void fmx_fleet_publish_due(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client)
{
    if (!may_publish(fleet, client)) {
        return;
    }
    if (fleet->fleet->plan.publish_interval_ns > 0) {
        note_due(fleet, client);
        send_overdue(fleet, client);
    } else {
        send_closed_loop(fleet, client);
    }
    plan_next_look(fleet, client);
}

/* The schedule begins once: what was planned while a client was away is overdue, not forgotten. */
void fmx_fleet_publish_begin(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client)
{
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;

    if (plan->topic == NULL) {
        return;
    }
    if (client->next_planned_ns == 0) {
        uint64_t interval_ns = plan->publish_interval_ns;
        uint64_t offset_ns = interval_ns > 0 ? fmx_fleet_random(fleet) % interval_ns : 0;
        client->next_planned_ns = fleet->shard->now_ns + offset_ns;
    }
    fmx_wheel_arm(&fleet->shard->wheel, &client->timer, client->next_planned_ns);
}

/* ── what comes back ── */

void fmx_fleet_on_puback(struct fmx_conn *conn, const struct fmx_ack *ack, uint64_t tag)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    uint64_t planned_ns = tag >> 1;

    FMX_ASSERT(part->unacked > 0 && fleet->unacked > 0);
    part->unacked--;
    fleet->unacked--;
    fmx_count(ack->reason >= 0x80 ? &fleet->counters.refused : &fleet->counters.acked, 1);
    fmx_histogram_record(&fleet->puback, conn->shard->now_ns - planned_ns);
    if (part->client->overdue > 0 || fleet->fleet->plan.publish_interval_ns == 0) {
        fmx_fleet_publish_due(fleet, part->client);
    }
}

static void look_at_mark(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    uint64_t now_ns = conn->shard->now_ns;
    struct fmx_fleet_mark mark;

    if (!fmx_fleet_mark_read(publish->payload, &mark)) {
        fmx_count(&fleet->counters.received_foreign, 1);
        return;
    }
    fmx_histogram_record(&fleet->delivery, now_ns > mark.planned_ns ? now_ns - mark.planned_ns : 0);
    fmx_fleet_track(fleet, fmx_fleet_client_of(conn)->index, mark.publisher, mark.sequence,
                    publish->dup);
}

void fmx_fleet_on_publish(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    bool has_posts = fleet->fleet->plan.platform.thing_model;

    if (has_posts && fmx_fleet_is_thing_reply(publish->topic)) {
        fmx_count(&fleet->counters.thing_replies, 1);
    } else if (!fmx_fleet_on_call(conn, publish)) {
        fmx_count(&fleet->counters.received, 1);
        look_at_mark(conn, publish);
    }
    if (publish->qos > 0) {
        fmx_conn_puback(conn, publish->packet_id, 0);
    }
}
