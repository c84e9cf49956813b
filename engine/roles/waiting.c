/*
 * waiting — QoS 1 messages that wait for their session, and publishers that wait for a shard
 *
 * Why it is so:   a message at QoS 1 that finds no room in the window, the queue or the rate of its
 *                 receiver goes to the session's backlog, and from there in order. One that was
 *                 sent stays in the window under a tag until its PUBACK: that is what is sent again
 * Words:          tag: what an identifier in the window stands for: a payload, or nothing that has
 *                 to be sent again
 * Invariants:     (1) a tag that is a payload owns one reference
 *                 (2) what is handed over keeps its order: first what was sent, then what waited
 * Memory:         backlogs and tags of the session
 * Threads:        owning shard
 * Limits:         queue_messages_max and queue_bytes_max, where messages are pushed: deliver.c
 * Not here:       messages for sessions that are away: directory.c, journal.c
 */
#include "engine/roles/gateway.h"

#include "proto/encode.h"
#include "proto/limits.h"

#define ALIAS_BYTES_MAX 6u /* the property, and what it adds to lengths */

/* ── tags ── */

void fmx_gateway_drop_tag(uint64_t tag)
{
    if (tag != FMX_TAG_NOTHING) {
        fmx_payload_give((struct fmx_payload *)(uintptr_t)tag);
    }
}

/* ── towards a device ── */

void fmx_gateway_use_alias(struct fmx_conn *conn, struct fmx_packet *packet)
{
    struct fmx_device_state *device = fmx_gateway_part(conn)->device;
    struct fmx_props *props = &packet->publish.props;
    bool is_new;

    if (device == NULL || conn->session.version != FMX_MQTT_50 ||
        fmx_encode_bytes(packet, FMX_MQTT_50) + ALIAS_BYTES_MAX >
            conn->session.peer_packet_bytes_max) {
        return;
    }
    uint16_t alias = fmx_device_alias(device, packet->publish.topic, &is_new);
    if (alias != 0) {
        props->present |= FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS);
        props->topic_alias = alias;
        packet->publish.topic.bytes = is_new ? packet->publish.topic.bytes : 0;
    }
}

void fmx_gateway_pump_later(struct fmx_conn *conn)
{
    struct fmx_device_state *device = fmx_gateway_part(conn)->device;
    uint64_t now_ns = conn->shard->now_ns;

    if (conn->state == FMX_CONN_OPEN && !fmx_timer_is_armed(&device->down_timer)) {
        fmx_wheel_arm(&conn->shard->wheel, &device->down_timer,
                      now_ns + fmx_device_down_wait_ns(device, 1, now_ns));
    }
}

/* May one more message go? If not for the rate, the backlog is looked at again in time. */
static bool has_share(struct fmx_conn *conn)
{
    struct fmx_device_state *device = fmx_gateway_part(conn)->device;

    if (device == NULL || fmx_device_take_down(device, 1, conn->shard->now_ns) == FMX_OK) {
        return true;
    }
    fmx_gateway_pump_later(conn);
    return false;
}

/* ── what waited ── */

/* The identifier it had before; a fresh one only if memory has no room for the gap. */
static enum fmx_status take_identifier(struct fmx_conn *conn, uint16_t before, size_t bytes,
                                       uint64_t tag, uint16_t *out_id)
{
    struct fmx_publish probe = {.qos = 1};

    if (before != 0 && bytes <= conn->session.peer_packet_bytes_max &&
        fmx_window_restore(&conn->session.out, before, tag)) {
        *out_id = before;
        return FMX_OK;
    }
    enum fmx_status status = fmx_session_publish(&conn->session, &probe, bytes, tag);
    *out_id = probe.packet_id;
    return status;
}

static void send_stored(struct fmx_conn *conn, const struct fmx_backlog_entry *entry)
{
    enum fmx_version version = (enum fmx_version)conn->session.version;
    bool is_kept = fmx_gateway_part(conn)->is_kept || entry->payload->receipt != NULL;
    struct fmx_packet packet = {.kind = FMX_PUBLISH};
    uint64_t tag = FMX_TAG_NOTHING;

    fmx_payload_view(entry->payload, conn->shard->now_ns, &packet.publish);
    packet.publish.qos = 1;
    packet.publish.packet_id = 1;
    packet.publish.dup = entry->packet_id != 0;
    if (is_kept) {
        tag = (uint64_t)(uintptr_t)fmx_payload_take(entry->payload);
    }
    fmx_gateway_use_alias(conn, &packet);
    size_t bytes = fmx_encode_bytes(&packet, version);
    enum fmx_status status =
        bytes == 0 ? FMX_E_TOO_LARGE
                   : take_identifier(conn, entry->packet_id, bytes, tag, &packet.publish.packet_id);
    if (status != FMX_OK) {
        fmx_gateway_drop_tag(tag);
        fmx_journal_settle_from(conn, entry->payload);
        fmx_count(&conn->shard->counters.dropped_too_large, 1);
        return;
    }
    fmx_conn_send(conn, &packet);
    fmx_gateway_count_out(conn, 1);
}

void fmx_gateway_pump(struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_backlog_entry entry;

    while (fmx_backlog_count(&part->backlog) > 0 && conn->session.state == FMX_SESSION_OPEN &&
           !fmx_conn_is_full(conn) && fmx_conn_make_window(conn) && has_share(conn)) {
        (void)fmx_backlog_pop(&part->backlog, &entry);
        if (fmx_payload_is_expired(entry.payload, conn->shard->now_ns)) {
            fmx_journal_settle_from(conn, entry.payload);
            fmx_count(&conn->shard->counters.dropped_expired, 1);
        } else {
            send_stored(conn, &entry);
        }
        fmx_payload_give(entry.payload);
    }
}

void fmx_gateway_on_puback(struct fmx_conn *conn, uint64_t tag)
{
    fmx_count(&conn->shard->counters.pubacks_in, 1);
    if (tag != FMX_TAG_NOTHING) {
        struct fmx_payload *payload = (struct fmx_payload *)(uintptr_t)tag;
        fmx_journal_settle_from(conn, payload);
        fmx_payload_tell(payload, FMX_DELIVERY_ACKNOWLEDGED);
        fmx_payload_give(payload);
    }
    fmx_gateway_pump(conn);
}

void fmx_gateway_collect_unacked(struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_inflight *out = &conn->session.out;
    struct fmx_backlog unacked = {0};
    uint16_t position = out->first;
    uint64_t tag;
    uint16_t id;

    while (fmx_inflight_next(out, &position, &id, &tag) == FMX_OK) {
        struct fmx_backlog_entry entry = {.payload = (struct fmx_payload *)(uintptr_t)tag,
                                          .packet_id = id};
        if (tag != FMX_TAG_NOTHING && !fmx_backlog_push(&unacked, &entry)) {
            fmx_gateway_drop_tag(tag);
            fmx_count(&conn->shard->counters.dropped_qos1, 1);
        }
    }
    fmx_inflight_init(out, out->tags, out->capacity);
    uint32_t dropped = fmx_backlog_append(&unacked, &part->backlog);
    fmx_count(&conn->shard->counters.dropped_qos1, dropped);
    part->backlog = unacked;
}

void fmx_gateway_drop_all(struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    fmx_gateway_collect_unacked(conn);
    fmx_backlog_wipe(&part->backlog);
}

/* ── publishers that wait ── */

static bool has_congestion(const struct fmx_gateway_shard *gateway)
{
    const struct fmx_store *store = gateway->gateway->store;

    for (uint32_t to = 0; to < gateway->shard->shards_count; to++) {
        if (fmx_shard_is_congested(gateway->shard, to)) {
            return true;
        }
    }
    return store != NULL && fmx_store_is_full(store) && fmx_store_failure(store) == NULL;
}

void fmx_gateway_go_on(struct fmx_gateway_shard *gateway)
{
    if (gateway->congested == 0 || has_congestion(gateway)) {
        return;
    }
    while (gateway->congested != 0) {
        struct fmx_conn *conn = fmx_slab_at(&gateway->shard->conns, gateway->congested - 1);
        gateway->congested = fmx_gateway_part(conn)->next_congested;
        fmx_gateway_part(conn)->is_congested = false;
        fmx_conn_go_on(conn);
    }
}

void fmx_gateway_forget_congested(struct fmx_conn *conn)
{
    uint32_t *link = &fmx_gateway_of(conn->shard)->congested;

    while (fmx_gateway_part(conn)->is_congested) {
        FMX_ASSERT(*link != 0);
        if (*link == conn->slot.index + 1) {
            *link = fmx_gateway_part(conn)->next_congested;
            fmx_gateway_part(conn)->is_congested = false;
        } else {
            struct fmx_conn *other = fmx_slab_at(&conn->shard->conns, *link - 1);
            link = &fmx_gateway_part(other)->next_congested;
        }
    }
}
