/*
 * packet_equal — do two views say the same?
 *
 * Why it is so:   views have fields that are not set, and raw blocks that may differ in order, so
 *                 comparing memory would be wrong
 * Threads:        pure
 */
#include "tests/support/packet_equal.h"

#include "tests/support/props_table.h"

static bool is_value_equal(const struct fmx_prop_row *row, const struct fmx_props *a,
                           const struct fmx_props *b)
{
    const void *of_a = (const uint8_t *)a + row->offset;
    const void *of_b = (const uint8_t *)b + row->offset;

    switch (row->type) {
    case FMX_TYPE_BYTE:
        return memcmp(of_a, of_b, 1) == 0;
    case FMX_TYPE_TWO:
        return memcmp(of_a, of_b, 2) == 0;
    case FMX_TYPE_FOUR:
    case FMX_TYPE_VARIABLE:
        return memcmp(of_a, of_b, 4) == 0;
    case FMX_TYPE_STRING:
    case FMX_TYPE_BINARY:
        return fmx_slice_equal(*(const fmx_slice *)of_a, *(const fmx_slice *)of_b);
    }
    return false;
}

static bool are_users_equal(const struct fmx_props *a, const struct fmx_props *b)
{
    size_t offset_a = 0;
    size_t offset_b = 0;
    fmx_slice key_a, key_b, value_a, value_b;

    for (uint32_t i = 0; i < a->user_count; i++) {
        if (fmx_props_next_user(a->raw, &offset_a, &key_a, &value_a) != FMX_OK ||
            fmx_props_next_user(b->raw, &offset_b, &key_b, &value_b) != FMX_OK ||
            !fmx_slice_equal(key_a, key_b) || !fmx_slice_equal(value_a, value_b)) {
            return false;
        }
    }
    return true;
}

bool fmx_props_equal(const struct fmx_props *a, const struct fmx_props *b)
{
    const uint64_t user = FMX_PROP_BIT(FMX_PROP_USER_PROPERTY);

    if ((a->present | user) != (b->present | user) || a->user_count != b->user_count) {
        return false;
    }
    for (size_t i = 0; i < FMX_PROP_ROWS_COUNT; i++) {
        if (fmx_props_has(a, fmx_prop_rows[i].prop) && !is_value_equal(&fmx_prop_rows[i], a, b)) {
            return false;
        }
    }
    return are_users_equal(a, b);
}

static bool is_connect_equal(const struct fmx_connect *a, const struct fmx_connect *b)
{
    bool is_5 = a->version == FMX_MQTT_50;
    bool is_head_equal = a->version == b->version && a->clean == b->clean &&
                         a->keepalive_s == b->keepalive_s && a->has_will == b->has_will &&
                         a->has_username == b->has_username && a->has_password == b->has_password &&
                         fmx_slice_equal(a->client_id, b->client_id);
    bool is_will_equal =
        !a->has_will || (a->will_qos == b->will_qos && a->will_retain == b->will_retain &&
                         fmx_slice_equal(a->will_topic, b->will_topic) &&
                         fmx_slice_equal(a->will_payload, b->will_payload) &&
                         (!is_5 || fmx_props_equal(&a->will_props, &b->will_props)));

    return is_head_equal && is_will_equal && (!is_5 || fmx_props_equal(&a->props, &b->props)) &&
           (!a->has_username || fmx_slice_equal(a->username, b->username)) &&
           (!a->has_password || fmx_slice_equal(a->password, b->password));
}

static bool is_publish_equal(const struct fmx_publish *a, const struct fmx_publish *b)
{
    return a->qos == b->qos && a->dup == b->dup && a->retain == b->retain &&
           (a->qos == 0 || a->packet_id == b->packet_id) && fmx_slice_equal(a->topic, b->topic) &&
           fmx_slice_equal(a->payload, b->payload);
}

static bool is_body_equal(const struct fmx_packet *a, const struct fmx_packet *b, bool is_5)
{
    switch (a->kind) {
    case FMX_CONNECT:
        return is_connect_equal(&a->connect, &b->connect);
    case FMX_CONNACK:
        return a->connack.session_present == b->connack.session_present &&
               a->connack.reason == b->connack.reason;
    case FMX_PUBLISH:
        return is_publish_equal(&a->publish, &b->publish);
    case FMX_PUBACK:
    case FMX_PUBREC:
    case FMX_PUBREL:
    case FMX_PUBCOMP:
        return a->ack.packet_id == b->ack.packet_id && (!is_5 || a->ack.reason == b->ack.reason);
    case FMX_SUBSCRIBE:
    case FMX_UNSUBSCRIBE:
        return a->subscribe.packet_id == b->subscribe.packet_id &&
               a->subscribe.filters_count == b->subscribe.filters_count &&
               fmx_slice_equal(a->subscribe.filters, b->subscribe.filters);
    case FMX_SUBACK:
    case FMX_UNSUBACK:
        return a->suback.packet_id == b->suback.packet_id &&
               fmx_slice_equal(a->suback.codes, b->suback.codes);
    case FMX_PINGREQ:
    case FMX_PINGRESP:
        return true;
    case FMX_DISCONNECT:
    case FMX_AUTH:
        return !is_5 || a->disconnect.reason == b->disconnect.reason;
    }
    return false;
}

static const struct fmx_props *props_of(const struct fmx_packet *packet)
{
    switch (packet->kind) {
    case FMX_CONNACK:
        return &packet->connack.props;
    case FMX_PUBLISH:
        return &packet->publish.props;
    case FMX_PUBACK:
    case FMX_PUBREC:
    case FMX_PUBREL:
    case FMX_PUBCOMP:
        return &packet->ack.props;
    case FMX_SUBSCRIBE:
    case FMX_UNSUBSCRIBE:
        return &packet->subscribe.props;
    case FMX_SUBACK:
    case FMX_UNSUBACK:
        return &packet->suback.props;
    case FMX_DISCONNECT:
    case FMX_AUTH:
        return &packet->disconnect.props;
    default: /* CONNECT brings its own version; pings have none */
        return NULL;
    }
}

bool fmx_packet_equal(const struct fmx_packet *a, const struct fmx_packet *b,
                      enum fmx_version version)
{
    bool is_5 = version == FMX_MQTT_50;

    if (a->kind != b->kind || !is_body_equal(a, b, is_5)) {
        return false;
    }
    return !is_5 || props_of(a) == NULL || fmx_props_equal(props_of(a), props_of(b));
}
