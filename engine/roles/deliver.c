/*
 * deliver — a PUBLISH on its way to everyone who gets it
 *
 * Why it is so:   one message may have one receiver or a thousand. To receivers of the publisher's
 *                 version and QoS it goes as it came; else it is encoded once for each version and
 *                 QoS. It is copied into the queues of its receivers, with the two bytes of the
 *                 packet identifier set in each; from LARGE_BYTES on it is stored once, and
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

/* The packet for one version and QoS; bytes is 0 until somebody asked. */
struct encoded {
    size_t bytes;
    const uint8_t *copy; /* as it came, or in the shard's scratch; NULL: not kept */
    size_t id_at;        /* of the packet identifier, at QoS 1 */
};

struct fan {
    struct fmx_gateway_shard *gateway;
    struct fmx_publish *publish; /* the caller's view, made into what receivers get */
    struct fmx_payload *payload; /* made when somebody has to keep it */
    struct fmx_session_id from;
    struct fmx_conn *publisher; /* NULL: on another shard, or no session at all */
    uint64_t expires_ns;
    size_t receivers_count;
    size_t scratch_used;
    uint8_t qos;
    bool is_owed; /* an answer, a call: outside the rate, and its topic is never seen again */
    struct encoded encoded[2][2]; /* [5.0][QoS] */
};

static void fan_init(struct fan *fan, struct fmx_gateway_shard *gateway,
                     struct fmx_publish *publish, struct fmx_session_id from)
{
    publish->props.present &= FMX_PAYLOAD_PROPS | FMX_PROP_BIT(FMX_PROP_MESSAGE_EXPIRY);
    publish->retain = false;
    publish->dup = false;
    fan->gateway = gateway;
    fan->publish = publish;
    fan->payload = NULL;
    fan->publisher = NULL;
    fan->from = from;
    fan->expires_ns = 0;
    fan->scratch_used = 0;
    fan->qos = publish->qos;
    fan->is_owed = false;
    memset(fan->encoded, 0, sizeof(fan->encoded));
}

/* The stored message; NULL if memory ran out. The reference stays the fan's. */
static struct fmx_payload *stored(struct fan *fan)
{
    if (fan->payload == NULL) {
        fan->publish->qos = fan->qos;
        fan->payload = fmx_payload_make(fan->publish, fan->from, fan->expires_ns);
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

/* What differs between the receivers of one encoding, and from the packet as it came. */
static void stamp(uint8_t *packet, uint8_t qos, uint16_t packet_id, size_t id_at)
{
    packet[0] = (uint8_t)(FMX_PUBLISH << 4 | qos << 1);
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

/* To receivers of the same version and QoS a packet goes as it came, unless a property changes. */
static void use_wire(struct fan *fan, uint64_t present, bool is_v5)
{
    const uint64_t changed = ~(FMX_PAYLOAD_PROPS | FMX_PROP_BIT(FMX_PROP_MESSAGE_EXPIRY) |
                               FMX_PROP_BIT(FMX_PROP_USER_PROPERTY));
    fmx_slice wire = fan->publish->wire;

    if (wire.bytes > 0 && (!is_v5 || (present & changed) == 0)) {
        fan->encoded[is_v5][fan->qos] = (struct encoded){
            .bytes = wire.bytes,
            .copy = wire.data,
            .id_at = id_position(fan->publish, wire.bytes),
        };
    }
}

static struct encoded *encoding_of(struct fan *fan, const struct fmx_conn *conn, uint8_t qos)
{
    enum fmx_version version = (enum fmx_version)conn->session.version;
    struct encoded *encoded = &fan->encoded[version == FMX_MQTT_50][qos];
    struct fmx_publish *publish = fan->publish;

    publish->qos = qos;
    publish->packet_id = qos; /* not 0 at QoS 1; stamped anew for each receiver */
    if (encoded->bytes == 0) {
        encoded->bytes = fmx_encode_publish_bytes(publish, version);
        encoded->id_at = id_position(publish, encoded->bytes);
    }
    if (encoded->copy == NULL && encoded->bytes > 0 && encoded->bytes <= LARGE_BYTES &&
        fan->receivers_count > 1) {
        uint8_t *copy = conn->shard->scratch + fan->scratch_used;
        fan->scratch_used += fmx_encode_publish(publish, version, copy);
        encoded->copy = copy;
    }
    return encoded;
}

static void append_large(struct fan *fan, struct fmx_conn *conn, uint8_t qos, uint16_t packet_id,
                         size_t id_at)
{
    enum fmx_version version = (enum fmx_version)conn->session.version;
    struct fmx_payload *payload = stored(fan);
    struct fmx_publish *publish = fan->publish;

    publish->qos = qos;
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
        (void)fmx_encode_publish(fan->publish, (enum fmx_version)conn->session.version, room);
    }
    stamp(room, qos, packet_id, encoded->id_at);
    fmx_conn_commit(conn, encoded->bytes);
}

void fmx_gateway_count_out(struct fmx_conn *conn, uint8_t qos)
{
    struct fmx_counters *counters = &conn->shard->counters;

    fmx_count(qos == 0 ? &counters->publishes_out_qos0 : &counters->publishes_out_qos1, 1);
}

/* ── the backlog ── */

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

static void drop_oldest(struct fmx_conn *conn)
{
    struct fmx_backlog_entry oldest;

    if (fmx_backlog_pop(&fmx_gateway_part(conn)->backlog, &oldest)) {
        fmx_journal_settle_from(conn, oldest.payload);
        fmx_payload_give(oldest.payload);
        fmx_count(&conn->shard->counters.dropped_qos1, 1);
    }
}

static void keep_for_later(struct fan *fan, struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    if (!push_stored(fan, &part->backlog)) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return;
    }
    while (fmx_gateway_is_over(fmx_gateway_limits(conn), &part->backlog)) {
        if (!part->is_kept) {
            fmx_conn_close(conn, FMX_LIMIT_QUEUE);
            return;
        }
        drop_oldest(conn);
    }
}

/* ── one receiver ── */

/* What has to be sent again, or reported, needs the message until its PUBACK. */
static uint64_t tag_for(struct fan *fan, struct fmx_conn *conn)
{
    bool is_reported = fan->payload != NULL && fan->payload->receipt != NULL;

    if (!fmx_gateway_part(conn)->is_kept && !is_reported) {
        return FMX_TAG_NOTHING;
    }
    struct fmx_payload *payload = stored(fan);
    if (payload == NULL) {
        return FMX_TAG_NOTHING; /* delivered, but it cannot be sent again */
    }
    return (uint64_t)(uintptr_t)fmx_payload_take(payload);
}

static void count_sent(struct fan *fan, struct fmx_conn *conn, uint8_t qos)
{
    fmx_gateway_count_out(conn, qos);
    if (qos == 0 && fan->payload != NULL) {
        fmx_payload_tell(fan->payload, FMX_DELIVERY_SENT);
    }
}

/* To a device that takes aliases nothing is shared with other receivers. */
static void send_own(struct fan *fan, struct fmx_conn *conn, uint8_t qos)
{
    struct fmx_packet packet = {.kind = FMX_PUBLISH};
    uint64_t tag = qos > 0 ? tag_for(fan, conn) : FMX_TAG_NOTHING;

    packet.publish = *fan->publish;
    packet.publish.qos = qos;
    packet.publish.packet_id = qos;
    fmx_gateway_use_alias(conn, &packet);
    size_t bytes = fmx_encode_bytes(&packet, FMX_MQTT_50);
    enum fmx_status status = fmx_session_publish(&conn->session, &packet.publish, bytes, tag);
    if (status == FMX_OK) {
        fmx_conn_send(conn, &packet);
        count_sent(fan, conn, qos);
    } else {
        FMX_ASSERT(status == FMX_E_TOO_LARGE);
        fmx_gateway_drop_tag(tag);
        fmx_count(&conn->shard->counters.dropped_too_large, 1);
    }
}

static bool takes_aliases(const struct fan *fan, struct fmx_conn *conn)
{
    return fmx_gateway_part(conn)->device != NULL && !fan->is_owed &&
           conn->session.version == FMX_MQTT_50 && conn->session.peer_alias_max > 0;
}

static void send_now(struct fan *fan, struct fmx_conn *conn, uint8_t qos)
{
    if (takes_aliases(fan, conn)) {
        send_own(fan, conn, qos);
        return;
    }
    uint64_t tag = qos > 0 ? tag_for(fan, conn) : FMX_TAG_NOTHING;
    struct encoded *encoded = encoding_of(fan, conn, qos);
    enum fmx_status status =
        encoded->bytes == 0
            ? FMX_E_TOO_LARGE /* in this version it would pass the length field */
            : fmx_session_publish(&conn->session, fan->publish, encoded->bytes, tag);

    if (status == FMX_OK) {
        append(fan, conn, encoded, qos, fan->publish->packet_id);
        count_sent(fan, conn, qos);
    } else {
        FMX_ASSERT(status == FMX_E_TOO_LARGE); /* state and window were looked at before */
        fmx_gateway_drop_tag(tag);
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

/* Has the device used up its rate? Takes a token if not. */
static bool is_over_rate(const struct fan *fan, struct fmx_conn *conn, uint8_t qos)
{
    struct fmx_device_state *device = fmx_gateway_part(conn)->device;

    if (device == NULL || fmx_device_take_down(device, qos, conn->shard->now_ns) == FMX_OK) {
        return false;
    }
    return !fan->is_owed;
}

static void give_qos0(struct fan *fan, struct fmx_conn *conn)
{
    if (fmx_conn_is_full(conn)) {
        fmx_count(&conn->shard->counters.dropped_qos0, 1);
    } else if (is_over_rate(fan, conn, 0)) {
        fmx_count(&conn->shard->counters.limited_downstream, 1);
    } else {
        send_now(fan, conn, 0);
    }
}

static void give_qos1(struct fan *fan, struct fmx_conn *conn)
{
    if (fmx_backlog_count(&fmx_gateway_part(conn)->backlog) > 0 || fmx_conn_is_full(conn) ||
        !fmx_conn_make_window(conn)) {
        keep_for_later(fan, conn);
    } else if (is_over_rate(fan, conn, 1)) {
        fmx_count(&conn->shard->counters.limited_downstream, 1);
        keep_for_later(fan, conn);
        fmx_gateway_pump_later(conn);
    } else {
        send_now(fan, conn, 1);
    }
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
        give_qos0(fan, conn);
    } else {
        give_qos1(fan, conn);
    }
}

/* On disk a message belongs to one session alone. */
static bool push_for_absent(struct fan *fan, struct fmx_identity *identity)
{
    struct fmx_gateway_shard *gateway = fan->gateway;
    struct fmx_payload *payload = stored(fan);

    if (payload != NULL) {
        payload = fmx_payload_take(payload);
        payload = gateway->gateway->store != NULL ? fmx_payload_export(payload) : payload;
    }
    if (payload == NULL) {
        return false;
    }
    struct fmx_backlog_entry entry = {.payload = payload};
    if (!fmx_backlog_push(&identity->kept->backlog, &entry)) {
        fmx_payload_give(payload);
        return false;
    }
    if (!identity->releasing) { /* else behind what is about to be handed over */
        fmx_journal_message(gateway, identity->kept, payload);
    }
    return true;
}

/* One that would be dropped at once, or not be on disk as its sender is told, is not kept. */
static bool may_be_kept(struct fan *fan, const struct fmx_limits *limits)
{
    const struct fmx_store *store = fan->gateway->gateway->store;
    const struct fmx_payload *payload = stored(fan);

    return payload != NULL && limits->queue_messages_max > 0 &&
           fmx_payload_bytes(payload) <= limits->queue_bytes_max &&
           (store == NULL || payload->receipt == NULL || !fmx_store_is_full(store));
}

static void keep_for_absent(struct fan *fan, struct fmx_identity *identity)
{
    struct fmx_gateway_shard *gateway = fan->gateway;
    struct fmx_backlog *backlog = &identity->kept->backlog;
    fmx_slice key = fmx_blob_slice(identity->client_id);
    uint32_t before = fmx_backlog_count(backlog);
    struct fmx_backlog_entry oldest;

    if (!may_be_kept(fan, fmx_gateway_limits_of(gateway, key)) || !push_for_absent(fan, identity)) {
        fmx_count(&gateway->shard->counters.dropped_qos1, 1);
        return;
    }
    while (fmx_gateway_is_over(fmx_gateway_limits_of(gateway, key), backlog) &&
           fmx_backlog_pop(backlog, &oldest)) {
        fmx_journal_settle(gateway, oldest.payload);
        fmx_payload_give(oldest.payload);
        fmx_count(&gateway->shard->counters.dropped_qos1, 1);
    }
    fmx_count(&gateway->shard->counters.stored_now, fmx_backlog_count(backlog));
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

void fmx_gateway_make_wait(struct fmx_conn *publisher)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(publisher->shard);
    struct fmx_gateway_session_part *part = fmx_gateway_part(publisher);

    if (!part->is_congested) {
        part->is_congested = true;
        part->next_congested = gateway->congested;
        gateway->congested = publisher->slot.index + 1;
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
        fmx_gateway_make_wait(fan->publisher);
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
            keep_for_absent(fan, identity);
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

    if ((match->options & FMX_SUB_QOS_MASK) == FMX_SUB_DENIED) {
        return;
    }
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
    size_t count = fmx_router_match(gateway->router, fan->publish->topic, &matches);

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

static void describe_props(struct fmx_conn *conn, const struct fmx_props *props,
                           struct fmx_gateway_message *message)
{
    message->payload_is_text =
        fmx_props_has(props, FMX_PROP_PAYLOAD_FORMAT) && props->payload_format == 1;
    message->has_expiry = fmx_props_has(props, FMX_PROP_MESSAGE_EXPIRY);
    message->expiry_s = message->has_expiry ? props->message_expiry_s : 0;
    if (fmx_props_has(props, FMX_PROP_CONTENT_TYPE)) {
        message->content_type = props->content_type;
    }
    if (fmx_props_has(props, FMX_PROP_RESPONSE_TOPIC)) {
        message->response_topic = props->response_topic;
    }
    if (message->has_correlation_data) {
        message->correlation_data = props->correlation_data;
    }
    if (conn->session.version == FMX_MQTT_50 && props->user_count > 0) {
        message->user_properties = props->raw;
    }
}

void fmx_gateway_tell_service(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    const struct fmx_gateway_options *options = &gateway->gateway->options;
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    const struct fmx_props *props = &publish->props;

    if (options->callbacks.on_message == NULL) {
        return;
    }
    struct fmx_gateway_message message = {
        .from = fmx_conn_id(conn),
        .shard_index = conn->shard->index,
        .caller = &gateway->caller,
        .message_id = fmx_gateway_next_message_id(gateway),
        .product_key = fmx_gateway_product_key(part),
        .device_name = fmx_gateway_device_name(part),
        .topic = publish->topic,
        .payload = publish->payload,
        .qos = publish->qos,
        .retain = publish->retain,
        .has_correlation_data = fmx_props_has(props, FMX_PROP_CORRELATION_DATA),
    };
    if (props->present != 0) {
        describe_props(conn, props, &message);
    }
    gateway->batch_is_open = true;
    options->callbacks.on_message(options->user, &message);
}

static uint64_t expiry_of(const struct fmx_props *props, uint64_t now_ns)
{
    return fmx_props_has(props, FMX_PROP_MESSAGE_EXPIRY)
               ? now_ns + props->message_expiry_s * FMX_NS_PER_S + 1
               : 0;
}

void fmx_gateway_publish_from(struct fmx_conn *conn, struct fmx_publish *publish)
{
    uint64_t present = publish->props.present;
    uint16_t packet_id = publish->packet_id;
    struct fan fan;

    fan_init(&fan, fmx_gateway_of(conn->shard), publish, fmx_conn_id(conn));
    use_wire(&fan, present, conn->session.version == FMX_MQTT_50);
    fan.expires_ns = expiry_of(&publish->props, conn->shard->now_ns);
    fan.publisher = conn;
    size_t receivers = spread(&fan, true);
    fan_wipe(&fan);
    if (fan.qos > 0) {
        fmx_conn_puback(conn, packet_id,
                        receivers > 0 ? FMX_REASON_SUCCESS : FMX_REASON_NO_MATCHING_SUBSCRIBERS);
    }
}

/* `view` is the fan's as long as it lives. */
static void fan_init_stored(struct fan *fan, struct fmx_gateway_shard *gateway,
                            struct fmx_payload *payload, struct fmx_publish *view)
{
    fmx_payload_view(payload, gateway->shard->now_ns, view);
    view->qos = payload->qos;
    fan_init(fan, gateway, view, payload->from);
    fan->expires_ns = payload->expires_ns;
    fan->payload = payload;
}

void fmx_gateway_publish_msg(struct fmx_gateway_shard *gateway, struct fmx_payload *payload,
                             bool is_from_caller)
{
    struct fmx_publish view;
    struct fan fan;

    fan_init_stored(&fan, gateway, payload, &view);
    (void)spread(&fan, is_from_caller);
    fan_wipe(&fan);
}

void fmx_gateway_on_deliver(struct fmx_gateway_shard *gateway, struct fmx_msg *message)
{
    struct fmx_conn *conn = fmx_shard_find(gateway->shard, message->deliver.session);
    struct fmx_publish view;
    struct fan fan;

    fan_init_stored(&fan, gateway, message->deliver.payload, &view);
    fan.receivers_count = 1;
    if (conn != NULL) { /* NULL only while a shard shuts down */
        give_to_conn(&fan, conn, message->deliver.options);
    }
    fan_wipe(&fan);
}

void fmx_gateway_give_to(struct fmx_conn *conn, struct fmx_payload *payload, bool is_owed)
{
    struct fmx_publish view;
    struct fan fan;

    fan_init_stored(&fan, fmx_gateway_of(conn->shard), payload, &view);
    fan.receivers_count = 1;
    fan.is_owed = is_owed;
    give_to_conn(&fan, conn, payload->qos);
    fan_wipe(&fan);
}

void fmx_gateway_keep_for(struct fmx_gateway_shard *gateway, struct fmx_identity *identity,
                          struct fmx_payload *payload)
{
    struct fmx_publish view;
    struct fan fan;

    fan_init_stored(&fan, gateway, payload, &view);
    keep_for_absent(&fan, identity);
    fan_wipe(&fan);
}
