/*
 * deliver — a PUBLISH on its way to everyone who gets it
 *
 * Why it is so:   one message may have one receiver or a thousand. It is encoded once for each
 *                 version and QoS and copied into the queues of its receivers, with the two bytes
 *                 of the packet identifier set in each; from LARGE_BYTES on it is stored once, and
 *                 each receiver gets its own head and a reference. It is stored at all only if
 *                 somebody has to wait for it
 * Words:          fan: one message while it is spread over its receivers
 * Invariants:     (1) messages of one publisher reach one receiver in order: the backlog, once it
 *                 has something, takes everything; queues between shards keep order
 *                 (2) what is acknowledged to the publisher is in a queue, a backlog or on its way
 *                 to another shard
 *                 (3) a tag in the window of a kept session owns one reference
 * Memory:         the shard's scratch while it encodes; payloads
 * Threads:        owning shard
 * Limits:         per session send_queue_bytes_max, queue_messages_max, queue_bytes_max. Above the
 *                 first QoS 0 is dropped and QoS 1 goes to the backlog; above the others a kept
 *                 session loses its oldest message, any other is ended. All of it is counted
 * Not here:       who subscribed: engine/router.c
 */
#include "engine/roles/gateway.h"

#include "proto/encode.h"
#include "proto/limits.h"
#include "proto/reason.h"

#define LARGE_BYTES 2048u
#define TAG_NOTHING 1ull /* an identifier in use, and nothing to send again */

/* The packet for one version and QoS; bytes is 0 until somebody asked. */
struct encoded {
    size_t bytes;
    const uint8_t *copy; /* in the shard's scratch; NULL: not kept */
    size_t id_at;        /* of the packet identifier, at QoS 1 */
};

struct fan {
    struct fmx_gateway_shard *gateway;
    struct fmx_packet packet;    /* as receivers get it: retain, dup and identifier are 0 */
    struct fmx_payload *payload; /* made when somebody has to keep it */
    struct fmx_session_id from;
    struct fmx_conn *publisher; /* NULL: on another shard, or no session at all */
    uint64_t expires_ns;
    size_t receivers_count;
    size_t scratch_used;
    uint8_t qos;
    struct encoded encoded[2][2]; /* [5.0][QoS] */
};

static void fan_init(struct fan *fan, struct fmx_gateway_shard *gateway,
                     const struct fmx_publish *publish, struct fmx_session_id from)
{
    fan->gateway = gateway;
    fan->packet.kind = FMX_PUBLISH;
    fan->packet.publish = *publish;
    fan->packet.publish.props.present &= FMX_PAYLOAD_PROPS | FMX_PROP_BIT(FMX_PROP_MESSAGE_EXPIRY);
    fan->packet.publish.retain = false;
    fan->packet.publish.dup = false;
    fan->payload = NULL;
    fan->publisher = NULL;
    fan->from = from;
    fan->expires_ns = 0;
    fan->scratch_used = 0;
    fan->qos = publish->qos;
    memset(fan->encoded, 0, sizeof(fan->encoded));
}

/* The stored message; NULL if memory ran out. The reference stays the fan's. */
static struct fmx_payload *stored(struct fan *fan)
{
    if (fan->payload == NULL) {
        struct fmx_publish publish = fan->packet.publish;
        publish.qos = fan->qos;
        fan->payload = fmx_payload_make(&publish, fan->from, fan->expires_ns);
    }
    return fan->payload;
}

static void fan_wipe(struct fan *fan)
{
    if (fan->payload != NULL) {
        fmx_payload_give(fan->payload);
    }
}

/* ── into a connection's queue ── */

/* What differs between the receivers of one encoding. */
static void stamp(uint8_t *packet, uint8_t qos, uint16_t packet_id, size_t id_at)
{
    if (qos > 0) {
        packet[id_at] = (uint8_t)(packet_id >> 8);
        packet[id_at + 1] = (uint8_t)packet_id;
    }
}

static size_t id_position(const struct fmx_publish *publish, size_t packet_bytes)
{
    size_t length_bytes = packet_bytes - 2 < 128 ? 1 : packet_bytes - 3 < 16384 ? 2 : 3;

    if (packet_bytes - 4 >= 2097152) {
        length_bytes = 4;
    }
    return 1 + length_bytes + 2 + publish->topic.bytes;
}

static struct encoded *encoding_of(struct fan *fan, const struct fmx_conn *conn, uint8_t qos)
{
    enum fmx_version version = (enum fmx_version)conn->session.version;
    struct encoded *encoded = &fan->encoded[version == FMX_MQTT_50][qos];
    struct fmx_publish *publish = &fan->packet.publish;

    publish->qos = qos;
    publish->packet_id = qos; /* not 0 at QoS 1; stamped anew for each receiver */
    if (encoded->bytes == 0) {
        encoded->bytes = fmx_encode_bytes(&fan->packet, version);
        encoded->id_at = id_position(publish, encoded->bytes);
    }
    if (encoded->copy == NULL && encoded->bytes > 0 && encoded->bytes <= LARGE_BYTES &&
        fan->receivers_count > 1) {
        uint8_t *copy = conn->shard->scratch + fan->scratch_used;
        fan->scratch_used += fmx_encode(&fan->packet, version, copy);
        encoded->copy = copy;
    }
    return encoded;
}

static void append_large(struct fan *fan, struct fmx_conn *conn, uint8_t qos, uint16_t packet_id,
                         size_t id_at)
{
    enum fmx_version version = (enum fmx_version)conn->session.version;
    struct fmx_publish *publish = &fan->packet.publish;
    struct fmx_payload *payload = stored(fan);
    size_t bytes = fmx_encode_publish_head_bytes(publish, version);
    uint8_t *room = payload == NULL ? NULL : fmx_conn_reserve(conn, bytes);

    if (room == NULL) {
        fmx_conn_abort(conn, FMX_LIMIT_MEMORY, 0);
        return;
    }
    (void)fmx_encode_publish_head(publish, version, room);
    stamp(room, qos, packet_id, id_at);
    fmx_conn_commit(conn, bytes);
    const uint8_t *body = payload->bytes + payload->topic_bytes + payload->props_bytes;
    fmx_conn_refer(conn, payload, (fmx_slice){.data = body, .bytes = payload->payload_bytes});
}

static void append(struct fan *fan, struct fmx_conn *conn, const struct encoded *encoded,
                   uint8_t qos, uint16_t packet_id)
{
    if (encoded->bytes > LARGE_BYTES && fan->receivers_count > 1) {
        append_large(fan, conn, qos, packet_id, encoded->id_at);
        return;
    }
    uint8_t *room = fmx_conn_reserve(conn, encoded->bytes);
    if (room == NULL) {
        return;
    }
    if (encoded->copy != NULL) {
        memcpy(room, encoded->copy, encoded->bytes);
    } else {
        (void)fmx_encode(&fan->packet, (enum fmx_version)conn->session.version, room);
    }
    stamp(room, qos, packet_id, encoded->id_at);
    fmx_conn_commit(conn, encoded->bytes);
}

static void count_out(struct fmx_conn *conn, uint8_t qos)
{
    struct fmx_counters *counters = &conn->shard->counters;

    fmx_count(qos == 0 ? &counters->publishes_out_qos0 : &counters->publishes_out_qos1, 1);
}

/* ── the backlog ── */

static bool is_over_bounds(const struct fmx_gateway_shard *gateway,
                           const struct fmx_backlog *backlog)
{
    const struct fmx_gateway_options *options = &gateway->gateway->options;

    return backlog->count > options->queue_messages_max ||
           backlog->bytes > options->queue_bytes_max;
}

static void drop_oldest(struct fmx_gateway_shard *gateway, struct fmx_backlog *backlog)
{
    struct fmx_backlog_entry oldest;

    if (fmx_backlog_pop(backlog, &oldest)) {
        fmx_payload_give(oldest.payload);
        fmx_count(&gateway->shard->counters.dropped_qos1, 1);
    }
}

static bool push_stored(struct fan *fan, struct fmx_backlog *backlog)
{
    struct fmx_payload *payload = stored(fan);

    if (payload == NULL) {
        return false;
    }
    struct fmx_backlog_entry entry = {.payload = fmx_payload_take(payload)};
    if (!fmx_backlog_push(backlog, &entry)) {
        fmx_payload_give(payload);
        return false;
    }
    return true;
}

static void keep_for_later(struct fan *fan, struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    if (!push_stored(fan, &part->backlog)) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return;
    }
    while (is_over_bounds(fan->gateway, &part->backlog)) {
        if (!part->is_kept) {
            fmx_conn_close(conn, FMX_LIMIT_QUEUE);
            return;
        }
        drop_oldest(fan->gateway, &part->backlog);
    }
}

/* ── one receiver ── */

static uint64_t tag_for(struct fan *fan, struct fmx_conn *conn)
{
    if (!fmx_gateway_part(conn)->is_kept) {
        return TAG_NOTHING;
    }
    struct fmx_payload *payload = stored(fan);
    if (payload == NULL) {
        return TAG_NOTHING; /* delivered, but it cannot be sent again */
    }
    return (uint64_t)(uintptr_t)fmx_payload_take(payload);
}

static void drop_tag(uint64_t tag)
{
    if (tag != TAG_NOTHING) {
        fmx_payload_give((struct fmx_payload *)(uintptr_t)tag);
    }
}

static void send_now(struct fan *fan, struct fmx_conn *conn, uint8_t qos)
{
    struct encoded *encoded = encoding_of(fan, conn, qos);
    struct fmx_publish probe = {.qos = qos};
    uint64_t tag = qos > 0 ? tag_for(fan, conn) : TAG_NOTHING;
    enum fmx_status status =
        encoded->bytes == 0 ? FMX_E_TOO_LARGE /* in this version it would pass the length field */
                            : fmx_session_publish(&conn->session, &probe, encoded->bytes, tag);

    if (status == FMX_OK) {
        append(fan, conn, encoded, qos, probe.packet_id);
        count_out(conn, qos);
    } else {
        FMX_ASSERT(status == FMX_E_TOO_LARGE); /* state and window were looked at before */
        drop_tag(tag);
        fmx_count(&conn->shard->counters.dropped_too_large, 1);
    }
}

static uint8_t qos_towards(const struct fan *fan, uint8_t options)
{
    uint8_t asked = options & FMX_SUB_QOS_MASK;

    if (fan->gateway->gateway->options.publisher_qos_decides || asked >= fan->qos) {
        return fan->qos;
    }
    return asked;
}

static void give_to_conn(struct fan *fan, struct fmx_conn *conn, uint8_t options)
{
    uint8_t qos = qos_towards(fan, options);

    if ((options & FMX_SUB_NO_LOCAL) != 0 && fmx_session_id_equal(fan->from, fmx_conn_id(conn))) {
        return;
    }
    if (conn->session.state != FMX_SESSION_OPEN) {
        if (qos > 0 && fmx_gateway_part(conn)->is_kept) {
            keep_for_later(fan, conn); /* it leaves with what is handed over */
        }
        return;
    }
    if (qos == 0) {
        if (fmx_conn_is_full(conn)) {
            fmx_count(&conn->shard->counters.dropped_qos0, 1);
        } else {
            send_now(fan, conn, 0);
        }
    } else if (fmx_gateway_part(conn)->backlog.count > 0 || fmx_conn_is_full(conn) ||
               !fmx_conn_make_window(conn)) {
        keep_for_later(fan, conn);
    } else {
        send_now(fan, conn, 1);
    }
}

static void keep_for_absent(struct fan *fan, struct fmx_kept *kept)
{
    struct fmx_gateway_shard *gateway = fan->gateway;
    uint32_t before = kept->backlog.count;

    if (!push_stored(fan, &kept->backlog)) {
        fmx_count(&gateway->shard->counters.dropped_qos1, 1);
        return;
    }
    while (is_over_bounds(gateway, &kept->backlog)) {
        drop_oldest(gateway, &kept->backlog);
    }
    fmx_count(&gateway->shard->counters.stored_now, kept->backlog.count);
    fmx_count_down(&gateway->shard->counters.stored_now, before);
}

/* Its own copy, for another shard; NULL: memory ran out, which is counted. */
static struct fmx_payload *copy_for_shard(struct fan *fan)
{
    struct fmx_payload *payload = stored(fan);

    payload = payload == NULL ? NULL : fmx_payload_export(fmx_payload_take(payload));
    if (payload == NULL) {
        fmx_count(fan->qos == 0 ? &fan->gateway->shard->counters.dropped_qos0
                                : &fan->gateway->shard->counters.dropped_qos1,
                  1);
    }
    return payload;
}

static void make_wait(struct fmx_gateway_shard *gateway, struct fmx_conn *publisher)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(publisher);

    if (!part->is_congested) {
        part->is_congested = true;
        part->next_congested = gateway->congested;
        gateway->congested = publisher;
        fmx_conn_wait(publisher);
    }
}

/*
 * A shard that cannot keep up: QoS 0 is dropped, and a publisher at QoS 1 waits with its next
 * packet. A message relayed for another shard, whose publisher cannot be made to wait from here, is
 * dropped once very many wait already.
 */
static bool may_post(struct fan *fan, uint32_t to_shard, uint8_t qos)
{
    struct fmx_gateway_shard *gateway = fan->gateway;
    struct fmx_counters *counters = &gateway->shard->counters;

    if (!fmx_shard_is_congested(gateway->shard, to_shard)) {
        return true;
    }
    if (qos == 0) {
        fmx_count(&counters->dropped_qos0, 1);
        return false;
    }
    if (fan->publisher != NULL) {
        make_wait(gateway, fan->publisher);
    } else if (fmx_shard_is_jammed(gateway->shard, to_shard)) {
        fmx_count(&counters->dropped_qos1, 1);
        return false;
    }
    return true;
}

static void send_to_session(struct fan *fan, struct fmx_identity *identity, uint8_t options)
{
    uint32_t to_shard = fmx_session_id_shard(identity->owner);

    if (!may_post(fan, to_shard, qos_towards(fan, options))) {
        return;
    }
    struct fmx_payload *payload = copy_for_shard(fan);
    struct fmx_msg deliver = {
        .kind = FMX_MSG_DELIVER,
        .deliver = {.session = identity->owner, .payload = payload, .options = options}};
    if (payload != NULL) {
        fmx_shard_post(fan->gateway->shard, to_shard, &deliver);
    }
}

static void give_to_identity(struct fan *fan, uint32_t index, uint8_t options)
{
    struct fmx_gateway_shard *gateway = fan->gateway;
    struct fmx_identity *identity = fmx_directory_at(&gateway->directory, index);
    bool is_away = fmx_session_id_equal(identity->owner, FMX_SESSION_NONE);

    if (is_away || identity->releasing) {
        if (qos_towards(fan, options) > 0) {
            keep_for_absent(fan, identity->kept);
        } else {
            fmx_count(&gateway->shard->counters.dropped_absent, 1);
        }
        return;
    }
    if (fmx_session_id_shard(identity->owner) == gateway->shard->index) {
        struct fmx_conn *conn = fmx_shard_find(gateway->shard, identity->owner);
        if (conn == NULL) {
            return; /* the shard shuts down */
        }
        if (fmx_gateway_part(conn)->identity != FMX_IDENTITY_NONE) {
            give_to_conn(fan, conn, options);
            return;
        } /* else its CLAIMED is still in our own queue: behind it, like any other shard's */
    }
    send_to_session(fan, identity, options);
}

static void give_to_shard(struct fan *fan, uint32_t to_shard)
{
    struct fmx_msg message = {.kind = FMX_MSG_PUBLISH};

    if (!may_post(fan, to_shard, fan->qos)) {
        return;
    }
    message.publish.payload = copy_for_shard(fan);
    if (message.publish.payload != NULL) {
        fmx_shard_post(fan->gateway->shard, to_shard, &message);
    }
}

/* ── all receivers ── */

static void give(struct fan *fan, const struct fmx_match *match, bool to_other_shards)
{
    struct fmx_gateway_shard *gateway = fan->gateway;
    uint32_t index = match->receiver & FMX_RECEIVER_INDEX_MASK;

    switch ((enum fmx_receiver_kind)(match->receiver >> FMX_RECEIVER_KIND_SHIFT)) {
    case FMX_RECEIVER_CONN:
        give_to_conn(fan, fmx_slab_at(&gateway->shard->conns, index), match->options);
        break;
    case FMX_RECEIVER_IDENTITY:
        give_to_identity(fan, index, match->options);
        break;
    case FMX_RECEIVER_SHARD:
        if (to_other_shards && !gateway->wants_all[index]) {
            give_to_shard(fan, index);
        }
        break;
    }
}

/* Returns how many receivers there were. */
static size_t spread(struct fan *fan, bool to_other_shards)
{
    struct fmx_gateway_shard *gateway = fan->gateway;
    const struct fmx_match *matches;
    size_t count = fmx_router_match(gateway->router, fan->packet.publish.topic, &matches);

    fan->receivers_count = count;
    for (size_t i = 0; i < count; i++) {
        give(fan, &matches[i], to_other_shards);
    }
    for (uint32_t to = 0; gateway->wants_all_count > 0 && to < gateway->shard->shards_count; to++) {
        if (to_other_shards && gateway->wants_all[to]) {
            give_to_shard(fan, to);
            count++;
        }
    }
    if (count == 0) {
        fmx_count(&gateway->shard->counters.unrouted, 1);
    }
    return count;
}

static void tell_service(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    const struct fmx_gateway_options *options = &fmx_gateway_of(conn->shard)->gateway->options;

    if (options->callbacks.on_message == NULL) {
        return;
    }
    const struct fmx_props *props = &publish->props;
    struct fmx_gateway_message message = {
        .from = fmx_conn_id(conn),
        .topic = publish->topic,
        .payload = publish->payload,
        .qos = publish->qos,
        .retain = publish->retain,
    };
    if (fmx_props_has(props, FMX_PROP_RESPONSE_TOPIC)) {
        message.response_topic = props->response_topic;
    }
    if (fmx_props_has(props, FMX_PROP_CORRELATION_DATA)) {
        message.correlation_data = props->correlation_data;
    }
    if (conn->session.version == FMX_MQTT_50 && props->user_count > 0) {
        message.user_properties = props->raw;
    }
    options->callbacks.on_message(options->user, &message);
}

static uint64_t expiry_of(const struct fmx_props *props, uint64_t now_ns)
{
    return fmx_props_has(props, FMX_PROP_MESSAGE_EXPIRY)
               ? now_ns + props->message_expiry_s * FMX_NS_PER_S + 1
               : 0;
}

void fmx_gateway_publish_from(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    struct fmx_counters *counters = &conn->shard->counters;
    struct fan fan;

    fmx_count(publish->qos == 0 ? &counters->publishes_in_qos0 : &counters->publishes_in_qos1, 1);
    tell_service(conn, publish);
    fan_init(&fan, fmx_gateway_of(conn->shard), publish, fmx_conn_id(conn));
    fan.expires_ns = expiry_of(&publish->props, conn->shard->now_ns);
    fan.publisher = conn;
    size_t receivers = spread(&fan, true);
    fan_wipe(&fan);
    if (publish->qos > 0) {
        fmx_conn_puback(conn, publish->packet_id,
                        receivers > 0 ? FMX_REASON_SUCCESS : FMX_REASON_NO_MATCHING_SUBSCRIBERS);
    }
}

static void fan_init_stored(struct fan *fan, struct fmx_gateway_shard *gateway,
                            struct fmx_payload *payload)
{
    struct fmx_publish publish;

    fmx_payload_view(payload, gateway->shard->now_ns, &publish);
    publish.qos = payload->qos;
    fan_init(fan, gateway, &publish, payload->from);
    fan->expires_ns = payload->expires_ns;
    fan->payload = payload;
}

void fmx_gateway_publish_msg(struct fmx_gateway_shard *gateway, struct fmx_payload *payload,
                             bool is_from_caller)
{
    struct fan fan;

    fan_init_stored(&fan, gateway, payload);
    (void)spread(&fan, is_from_caller);
    fan_wipe(&fan);
}

void fmx_gateway_on_deliver(struct fmx_gateway_shard *gateway, struct fmx_msg *message)
{
    struct fmx_conn *conn = fmx_shard_find(gateway->shard, message->deliver.session);
    struct fan fan;

    fan_init_stored(&fan, gateway, message->deliver.payload);
    fan.receivers_count = 1;
    if (conn != NULL) { /* NULL only while a shard shuts down */
        give_to_conn(&fan, conn, message->deliver.options);
    }
    fan_wipe(&fan);
}

/* ── what waited ── */

static bool restore_identifier(struct fmx_conn *conn, uint16_t id, uint64_t tag)
{
    enum fmx_status status = fmx_inflight_restore(&conn->session.out, id, tag);

    while (status == FMX_FULL && fmx_conn_grow_window(conn)) {
        status = fmx_inflight_restore(&conn->session.out, id, tag);
    }
    return status == FMX_OK;
}

/* The identifier it had before; a fresh one only if memory has no room for the gap. */
static enum fmx_status take_identifier(struct fmx_conn *conn, uint16_t before, size_t bytes,
                                       uint64_t tag, uint16_t *out_id)
{
    struct fmx_publish probe = {.qos = 1};

    if (before != 0 && bytes <= conn->session.peer_packet_bytes_max &&
        restore_identifier(conn, before, tag)) {
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
    bool is_kept = fmx_gateway_part(conn)->is_kept;
    struct fmx_packet packet = {.kind = FMX_PUBLISH};
    uint64_t tag = TAG_NOTHING;

    fmx_payload_view(entry->payload, conn->shard->now_ns, &packet.publish);
    packet.publish.qos = 1;
    packet.publish.packet_id = 1;
    packet.publish.dup = entry->packet_id != 0;
    if (is_kept) {
        tag = (uint64_t)(uintptr_t)fmx_payload_take(entry->payload);
    }
    size_t bytes = fmx_encode_bytes(&packet, version);
    enum fmx_status status =
        bytes == 0 ? FMX_E_TOO_LARGE
                   : take_identifier(conn, entry->packet_id, bytes, tag, &packet.publish.packet_id);
    if (status != FMX_OK) {
        drop_tag(tag);
        fmx_count(&conn->shard->counters.dropped_too_large, 1);
        return;
    }
    fmx_conn_send(conn, &packet);
    count_out(conn, 1);
}

void fmx_gateway_pump(struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_backlog_entry entry;

    while (part->backlog.count > 0 && conn->session.state == FMX_SESSION_OPEN &&
           !fmx_conn_is_full(conn) && fmx_conn_make_window(conn)) {
        (void)fmx_backlog_pop(&part->backlog, &entry);
        if (fmx_payload_is_expired(entry.payload, conn->shard->now_ns)) {
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
    drop_tag(tag);
    fmx_gateway_pump(conn);
}

void fmx_gateway_collect_unacked(struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_inflight *out = &conn->session.out;
    struct fmx_backlog unacked = {0};
    uint64_t position = out->first;
    uint64_t tag;
    uint16_t id;

    while (fmx_inflight_next(out, &position, &id, &tag) == FMX_OK) {
        struct fmx_backlog_entry entry = {.payload = (struct fmx_payload *)(uintptr_t)tag,
                                          .packet_id = id};
        if (tag != TAG_NOTHING && !fmx_backlog_push(&unacked, &entry)) {
            drop_tag(tag);
            fmx_count(&conn->shard->counters.dropped_qos1, 1);
        }
    }
    fmx_inflight_init(out, out->tags, out->capacity);
    uint32_t dropped = fmx_backlog_append(&unacked, &part->backlog);
    fmx_count(&conn->shard->counters.dropped_qos1, dropped);
    part->backlog = unacked;
}

/* ── publishers that wait ── */

static bool has_congestion(const struct fmx_shard *shard)
{
    for (uint32_t to = 0; to < shard->shards_count; to++) {
        if (fmx_shard_is_congested(shard, to)) {
            return true;
        }
    }
    return false;
}

void fmx_gateway_go_on(struct fmx_gateway_shard *gateway)
{
    if (gateway->congested == NULL || has_congestion(gateway->shard)) {
        return;
    }
    while (gateway->congested != NULL) {
        struct fmx_conn *conn = gateway->congested;
        gateway->congested = fmx_gateway_part(conn)->next_congested;
        fmx_gateway_part(conn)->is_congested = false;
        fmx_conn_go_on(conn);
    }
}

void fmx_gateway_forget_congested(struct fmx_conn *conn)
{
    struct fmx_conn **link = &fmx_gateway_of(conn->shard)->congested;

    while (fmx_gateway_part(conn)->is_congested) {
        FMX_ASSERT(*link != NULL);
        if (*link == conn) {
            *link = fmx_gateway_part(conn)->next_congested;
            fmx_gateway_part(conn)->is_congested = false;
        } else {
            link = &fmx_gateway_part(*link)->next_congested;
        }
    }
}
