/*
 * platform_publish — what a device of the platform may say, and how much of it
 *
 * Why it is so:   a message of a device passes four gates in the order of what they cost: its rate,
 *                 its properties, whose topic it is, what the product allows there. At each the
 *                 device can find out what it did wrong: by a reason code (5.0, QoS 1), an error
 *                 notice if it asked for those, a counter, and a line in the log
 * Words:          gate: one of the four; fault: words for the device
 * Invariants:     (1) every message at QoS 1 is acknowledged once or, before 5.0 and over the rate,
 *                 never: then it is sent again
 *                 (2) with over_limit `delay` no message is refused for its rate: the next one
 *                 waits
 * Threads:        the session's shard
 * Limits:         those of the product
 * Not here:       what is done with a message that passes: the service's, system_topics.c, rrpc.c
 */
#include "engine/roles/gateway.h"

#include "engine/clock.h"
#include "proto/reason.h"
#include "proto/topic.h"

/* Why a message is not taken. */
struct refusal {
    enum fmx_status status;
    const char *words;
    _Atomic uint64_t *counter;
};

static struct fmx_counters *counters_of(struct fmx_conn *conn)
{
    return &conn->shard->counters;
}

static void log_refusal(struct fmx_conn *conn, const struct fmx_publish *publish, const char *words)
{
    const struct fmx_log *log = &conn->shard->options->log;
    fmx_slice key = fmx_gateway_key(fmx_gateway_part(conn));

    if (fmx_log_allows(log, &conn->shard->log_quota, conn->shard->now_ns)) {
        fmx_log_line(log, FMX_LOG_WARN, "device %.*s: PUBLISH to %.*s refused: %s", (int)key.bytes,
                     (const char *)key.data, (int)publish->topic.bytes,
                     (const char *)publish->topic.data, words);
    }
}

/* Before 5.0 a PUBACK can only say yes; over the rate it is better said later, to the next try. */
static void answer_refusal(struct fmx_conn *conn, const struct fmx_publish *publish,
                           const struct refusal *refusal)
{
    if (publish->qos == 0) {
        return;
    }
    if (conn->session.version == FMX_MQTT_50) {
        fmx_conn_puback_saying(conn, publish->packet_id, fmx_reason_for_puback(refusal->status),
                               fmx_slice_of(refusal->words));
    } else if (refusal->status == FMX_LIMIT_RATE) {
        fmx_session_acknowledged(&conn->session);
    } else {
        fmx_conn_puback(conn, publish->packet_id, FMX_REASON_SUCCESS);
    }
}

static void refuse(struct fmx_conn *conn, const struct fmx_publish *publish,
                   const struct refusal *refusal)
{
    fmx_count(refusal->counter, 1);
    log_refusal(conn, publish, refusal->words);
    answer_refusal(conn, publish, refusal);
    fmx_system_notice(conn, fmx_status_name(refusal->status), publish->topic, refusal->words);
}

/* ── the rate ── */

static const char *words_of_rate(enum fmx_limit limit)
{
    return limit == FMX_LIM_upstream_qos1_per_second
               ? "over upstream_qos1_per_second: QoS 1 messages a second from this device"
               : "over upstream_per_second: messages a second from this device";
}

static bool is_within_rate(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    struct fmx_device_state *device = fmx_gateway_part(conn)->device;
    enum fmx_limit limit;

    if (fmx_device_take_up(device, publish->qos, conn->shard->now_ns, &limit) == FMX_OK) {
        return true;
    }
    struct refusal refusal = {
        .status = FMX_LIMIT_RATE,
        .words = words_of_rate(limit),
        .counter = limit == FMX_LIM_upstream_qos1_per_second
                       ? &counters_of(conn)->limited_upstream_qos1
                       : &counters_of(conn)->limited_upstream,
    };
    if (device->product->limits.over_limit == FMX_OVER_LIMIT_DISCONNECT) {
        fmx_count(refusal.counter, 1);
        log_refusal(conn, publish, refusal.words);
        fmx_conn_close_saying(conn, FMX_LIMIT_RATE, fmx_slice_of(refusal.words));
        return false;
    }
    refuse(conn, publish, &refusal);
    return false;
}

/* With over_limit `delay`: the next message is not looked at before it may come. */
static void wait_for_share(struct fmx_conn *conn)
{
    struct fmx_device_state *device = fmx_gateway_part(conn)->device;
    uint64_t now_ns = conn->shard->now_ns;

    if (device->product->limits.over_limit != FMX_OVER_LIMIT_DELAY ||
        fmx_timer_is_armed(&device->up_timer)) {
        return;
    }
    uint64_t wait_ns = fmx_device_up_wait_ns(device, 1, now_ns);
    if (wait_ns > 0) {
        fmx_count(&counters_of(conn)->delayed, 1);
        fmx_conn_wait(conn);
        fmx_wheel_arm(&conn->shard->wheel, &device->up_timer, now_ns + wait_ns);
    }
}

void fmx_platform_on_timer(struct fmx_timer *timer)
{
    bool is_up = timer->sub_kind == FMX_GATEWAY_TIMER_UP;
    size_t at = is_up ? offsetof(struct fmx_device_state, up_timer)
                      : offsetof(struct fmx_device_state, down_timer);
    struct fmx_device_state *device = (struct fmx_device_state *)((char *)timer - at);

    if (device->conn->state != FMX_CONN_OPEN) {
        return; /* its end is reported in this turn */
    }
    if (device->is_registering) {
        fmx_conn_close(device->conn, FMX_E_DONE); /* it has what it came for */
    } else if (is_up) {
        fmx_conn_go_on(device->conn);
    } else {
        fmx_gateway_pump(device->conn);
    }
}

/* ── properties ── */

const char *fmx_platform_users_fault(const struct fmx_props *props, const struct fmx_limits *limits,
                                     bool is_v5)
{
    size_t offset = 0;
    fmx_slice key, value;

    if (!is_v5 || props->user_count == 0) {
        return NULL;
    }
    if (props->user_count > limits->user_properties_max) {
        return "user properties: more than user_properties_max in one packet";
    }
    while (fmx_props_next_user(props->raw, &offset, &key, &value) == FMX_OK) {
        if (key.bytes > 0 && key.data[0] == '_') {
            return "user property: a key beginning with _ is the platform's";
        }
        if (key.bytes + value.bytes > limits->user_property_bytes_max) {
            return "user property: key and value are longer than user_property_bytes_max";
        }
    }
    return NULL;
}

static const char *response_topic_fault(struct fmx_conn *conn, fmx_slice response_topic)
{
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    if (response_topic.bytes > part->device->product->limits.response_topic_bytes_max) {
        return "response topic: longer than response_topic_bytes_max";
    }
    fmx_slice product_key = fmx_gateway_product_key(part);
    fmx_slice device_name = fmx_gateway_device_name(part);
    fmx_slice owner_key, owner_name;
    struct fmx_dialect_topic topic =
        fmx_dialect_topic_name(response_topic, product_key, device_name);
    bool is_own =
        topic.may_subscribe && fmx_dialect_topic_owner(response_topic, &owner_key, &owner_name) &&
        fmx_slice_equal(owner_key, product_key) && fmx_slice_equal(owner_name, device_name) &&
        (topic.use != FMX_USE_CUSTOM ||
         fmx_product_allows(part->device->product, topic.rest, false, FMX_TOPIC_SUBSCRIBE));
    return is_own ? NULL : "response topic: none of this device's own that it can be sent";
}

static const char *properties_fault(struct fmx_conn *conn, const struct fmx_props *props)
{
    const struct fmx_limits *limits = fmx_gateway_limits(conn);
    const char *fault = fmx_platform_users_fault(props, limits, true);

    if (fault == NULL && fmx_props_has(props, FMX_PROP_RESPONSE_TOPIC)) {
        fault = response_topic_fault(conn, props->response_topic);
    }
    if (fault == NULL && fmx_props_has(props, FMX_PROP_CORRELATION_DATA) &&
        props->correlation_data.bytes > limits->correlation_data_bytes_max) {
        fault = "correlation data: longer than correlation_data_bytes_max";
    }
    return fault;
}

static bool has_good_properties(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    const char *fault = conn->session.version == FMX_MQTT_50 && publish->props.present != 0
                            ? properties_fault(conn, &publish->props)
                            : NULL;

    if (fault != NULL) {
        refuse(conn, publish,
               &(struct refusal){.status = FMX_PEER_PROPERTY_VALUE,
                                 .words = fault,
                                 .counter = &counters_of(conn)->limited_properties});
    }
    return fault == NULL;
}

/* ── the topic ── */

/* An answer to a call goes where the request came from, so it is allowed where that was. */
static bool may_answer(struct fmx_conn *conn, fmx_slice called)
{
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_dialect_topic topic = fmx_dialect_topic_name(called, fmx_gateway_product_key(part),
                                                            fmx_gateway_device_name(part));

    return topic.use != FMX_USE_CUSTOM ||
           fmx_product_allows(part->device->product, topic.rest, false, FMX_TOPIC_SUBSCRIBE);
}

static bool is_allowed(struct fmx_conn *conn, const struct fmx_dialect_topic *topic)
{
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    const struct fmx_gateway_product *product = part->device->product;

    if (topic->use == FMX_USE_FOREIGN || !topic->may_publish) {
        return false;
    }
    if (topic->use == FMX_USE_CUSTOM) {
        return fmx_product_allows(product, topic->rest, false, FMX_TOPIC_PUBLISH);
    }
    return topic->use != FMX_USE_RRPC_CUSTOM || may_answer(conn, topic->rest);
}

static bool is_own_topic(struct fmx_conn *conn, const struct fmx_publish *publish,
                         const struct fmx_dialect_topic *topic)
{
    const struct fmx_limits *limits = fmx_gateway_limits(conn);

    if (topic->use == FMX_USE_CUSTOM &&
        fmx_topic_levels(publish->topic) > limits->custom_topic_slashes_max + 1) {
        if (conn->session.version < FMX_MQTT_50) {
            fmx_conn_close(conn, FMX_LIMIT_TOPIC); /* as for one that is too long */
            return false;
        }
        refuse(conn, publish,
               &(struct refusal){.status = FMX_LIMIT_TOPIC,
                                 .words = "topic: more slashes than custom_topic_slashes_max",
                                 .counter = &counters_of(conn)->limited_topic});
        return false;
    }
    if (is_allowed(conn, topic)) {
        return true;
    }
    refuse(conn, publish,
           &(struct refusal){.status = FMX_PEER_NOT_AUTHORIZED,
                             .words = topic->use == FMX_USE_CUSTOM
                                          ? "no topic class of the product allows it"
                                          : "not a topic that this device may publish to",
                             .counter = &counters_of(conn)->publishes_unauthorized});
    return false;
}

/* ── where it goes ── */

/* Returns whether it was an answer to a call, as far as its message id tells. */
static bool take_answer(struct fmx_conn *conn, const struct fmx_publish *publish,
                        const struct fmx_dialect_topic *topic)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    uint64_t message_id;
    uint32_t home;

    if (topic->use != FMX_USE_RRPC && topic->use != FMX_USE_RRPC_CUSTOM) {
        return false;
    }
    if (!fmx_dialect_rrpc_id_read(topic->message_id, &message_id) ||
        !fmx_calls_home(message_id, conn->shard->shards_count, &home)) {
        fmx_count(&counters_of(conn)->call_answers_late, 1);
        return true;
    }
    uint64_t hash = fmx_gateway_hash(conn);
    if (home == conn->shard->index) {
        fmx_calls_answer(&gateway->calls, message_id, hash, publish->payload);
        return true;
    }
    if (fmx_shard_is_congested(conn->shard, home)) { /* it may be forged, and must cost nothing */
        fmx_count(&counters_of(conn)->call_answers_late, 1);
        return true;
    }
    struct fmx_publish copy = {.payload = publish->payload};
    struct fmx_msg answer = {.kind = FMX_MSG_CALL_ANSWER,
                             .call = {.message_id = message_id,
                                      .hash = hash,
                                      .payload = fmx_payload_make(&copy, fmx_conn_id(conn), 0)}};
    if (answer.call.payload != NULL) {
        fmx_shard_post(conn->shard, home, &answer);
    }
    return true;
}

static void pass_on(struct fmx_conn *conn, const struct fmx_publish *publish,
                    const struct fmx_dialect_topic *topic)
{
    const struct fmx_gateway_options *options = &fmx_gateway_of(conn->shard)->gateway->options;

    if (take_answer(conn, publish, topic) && !options->answers_are_uplink) {
        return;
    }
    if (topic->use == FMX_USE_NTP) {
        fmx_system_ntp(conn, publish, fmx_clock_unix_ms());
        return;
    }
    fmx_gateway_tell_service(conn, publish);
    if (topic->use == FMX_USE_THING && options->answers_thing_model) {
        fmx_system_thing(conn, publish);
    }
}

void fmx_platform_on_publish(struct fmx_conn *conn, struct fmx_publish *received)
{
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_publish publish = *received;

    if (part->device->is_registering) {
        fmx_conn_close(conn, FMX_PEER_NOT_AUTHORIZED);
        return;
    }
    publish.topic = fmx_topic_strip_rid(publish.topic);
    publish.wire = (fmx_slice){0};
    struct fmx_dialect_topic topic = fmx_dialect_topic_name(
        publish.topic, fmx_gateway_product_key(part), fmx_gateway_device_name(part));
    if (is_within_rate(conn, &publish) && has_good_properties(conn, &publish) &&
        is_own_topic(conn, &publish, &topic)) {
        pass_on(conn, &publish, &topic);
        if (publish.qos > 0) {
            fmx_conn_puback(conn, publish.packet_id, FMX_REASON_SUCCESS);
        }
    }
    if (conn->state == FMX_CONN_OPEN) {
        wait_for_share(conn);
    }
}
