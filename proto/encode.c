/*
 * encode — a view becomes bytes: first the exact size, then the bytes
 *
 * Why it is so:   the size is known before the first byte, so that the sender reserves room once
 *                 and nothing is moved to make place for a length. Each kind is a pair of short
 *                 functions, size and write, in the same order as decode.c
 * Invariants:     (1) fmx_encode writes fmx_encode_bytes bytes, neither more nor less
 *                 (2) what fmx_decode accepts, encodes; what encodes with sensible values, decodes
 * Memory:         writes into the caller's room only
 * Threads:        pure
 * Limits:         a part that no packet can hold counts as 2^28 bytes, so that the sum is above the
 *                 maximum and the size is 0
 * Not here:       whether the peer wants it so large, or in this state: session.c
 */
#include "proto/encode.h"

#include <fleetmux/private/assert.h>
#include "proto/limits.h"

#define TOO_MANY_BYTES ((size_t)FMX_REMAINING_BYTES_MAX + 1)

static_assert(SIZE_MAX > UINT32_MAX, "sums of sizes do not wrap");

/* --- what several kinds share ----------------------------------------------------------------- */

static size_t props_bytes(const struct fmx_props *props, enum fmx_version version)
{
    return version < FMX_MQTT_50 ? 0 : fmx_props_bytes(props);
}

static void write_props(struct fmx_writer *writer, const struct fmx_props *props,
                        enum fmx_version version)
{
    if (version >= FMX_MQTT_50) {
        fmx_props_write(writer, props);
    }
}

static bool is_plain_success(uint8_t reason, const struct fmx_props *props)
{
    return reason == 0 && props->present == 0 && props->user_count == 0;
}

/* --- 3.1 CONNECT ------------------------------------------------------------------------------ */

static fmx_slice protocol_name(enum fmx_version version)
{
    return fmx_slice_of(version == FMX_MQTT_31 ? "MQIsdp" : "MQTT");
}

static uint8_t connect_flags(const struct fmx_connect *connect)
{
    unsigned will =
        connect->has_will ? 0x04u | connect->will_qos * 0x08u | connect->will_retain * 0x20u : 0;

    return (uint8_t)(connect->clean * 0x02u | will | connect->has_password * 0x40u |
                     connect->has_username * 0x80u);
}

static size_t connect_bytes(const struct fmx_packet *packet, enum fmx_version version)
{
    const struct fmx_connect *connect = &packet->connect;
    size_t bytes = fmx_string_bytes(protocol_name(version)) + 4 +
                   props_bytes(&connect->props, version) + fmx_string_bytes(connect->client_id);

    if (version < FMX_MQTT_50 && connect->has_password && !connect->has_username) {
        return TOO_MANY_BYTES;
    }
    if (connect->has_will) {
        bytes += props_bytes(&connect->will_props, version) +
                 fmx_string_bytes(connect->will_topic) + fmx_string_bytes(connect->will_payload);
    }
    bytes += connect->has_username ? fmx_string_bytes(connect->username) : 0;
    bytes += connect->has_password ? fmx_string_bytes(connect->password) : 0;
    return bytes;
}

static void write_connect(struct fmx_writer *writer, const struct fmx_packet *packet,
                          enum fmx_version version)
{
    const struct fmx_connect *connect = &packet->connect;

    fmx_write_string(writer, protocol_name(version));
    fmx_write_u8(writer, (uint8_t)version);
    fmx_write_u8(writer, connect_flags(connect));
    fmx_write_u16(writer, connect->keepalive_s);
    write_props(writer, &connect->props, version);
    fmx_write_string(writer, connect->client_id);
    if (connect->has_will) {
        write_props(writer, &connect->will_props, version);
        fmx_write_string(writer, connect->will_topic);
        fmx_write_string(writer, connect->will_payload);
    }
    if (connect->has_username) {
        fmx_write_string(writer, connect->username);
    }
    if (connect->has_password) {
        fmx_write_string(writer, connect->password);
    }
}

/* --- 3.2 CONNACK ------------------------------------------------------------------------------ */

static size_t connack_bytes(const struct fmx_packet *packet, enum fmx_version version)
{
    return 2 + props_bytes(&packet->connack.props, version);
}

static void write_connack(struct fmx_writer *writer, const struct fmx_packet *packet,
                          enum fmx_version version)
{
    const struct fmx_connack *connack = &packet->connack;

    fmx_write_u8(writer, connack->session_present && version != FMX_MQTT_31);
    fmx_write_u8(writer, connack->reason);
    write_props(writer, &connack->props, version);
}

/* --- 3.3 PUBLISH ------------------------------------------------------------------------------ */

static size_t publish_head_bytes(const struct fmx_publish *publish, enum fmx_version version)
{
    return fmx_string_bytes(publish->topic) + (publish->qos > 0 ? 2 : 0) +
           props_bytes(&publish->props, version);
}

static void write_publish_head(struct fmx_writer *writer, const struct fmx_publish *publish,
                               enum fmx_version version)
{
    fmx_write_string(writer, publish->topic);
    if (publish->qos > 0) {
        fmx_write_u16(writer, publish->packet_id);
    }
    write_props(writer, &publish->props, version);
}

static size_t publish_bytes(const struct fmx_packet *packet, enum fmx_version version)
{
    return publish_head_bytes(&packet->publish, version) + packet->publish.payload.bytes;
}

static void write_publish(struct fmx_writer *writer, const struct fmx_packet *packet,
                          enum fmx_version version)
{
    write_publish_head(writer, &packet->publish, version);
    fmx_write_bytes(writer, packet->publish.payload);
}

static uint8_t publish_head(const struct fmx_publish *publish)
{
    return (uint8_t)(FMX_PUBLISH << 4 | publish->dup << 3 | publish->qos << 1 | publish->retain);
}

/* --- 3.4 … 3.7 PUBACK, PUBREC, PUBREL, PUBCOMP ------------------------------------------------ */

static bool is_short_ack(const struct fmx_ack *ack, enum fmx_version version)
{
    return version < FMX_MQTT_50 || is_plain_success(ack->reason, &ack->props);
}

static size_t ack_bytes(const struct fmx_packet *packet, enum fmx_version version)
{
    return is_short_ack(&packet->ack, version) ? 2 : 3 + fmx_props_bytes(&packet->ack.props);
}

static void write_ack(struct fmx_writer *writer, const struct fmx_packet *packet,
                      enum fmx_version version)
{
    fmx_write_u16(writer, packet->ack.packet_id);
    if (!is_short_ack(&packet->ack, version)) {
        fmx_write_u8(writer, packet->ack.reason);
        fmx_props_write(writer, &packet->ack.props);
    }
}

/* --- 3.8 and 3.10 SUBSCRIBE, UNSUBSCRIBE ------------------------------------------------------ */

static size_t subscribe_bytes(const struct fmx_packet *packet, enum fmx_version version)
{
    const struct fmx_subscribe *subscribe = &packet->subscribe;

    return 2 + props_bytes(&subscribe->props, version) + subscribe->filters.bytes;
}

static void write_subscribe(struct fmx_writer *writer, const struct fmx_packet *packet,
                            enum fmx_version version)
{
    const struct fmx_subscribe *subscribe = &packet->subscribe;

    fmx_write_u16(writer, subscribe->packet_id);
    write_props(writer, &subscribe->props, version);
    fmx_write_bytes(writer, subscribe->filters);
}

void fmx_filter_write(struct fmx_writer *writer, bool has_options, const struct fmx_filter *filter)
{
    fmx_write_string(writer, filter->filter);
    if (has_options) {
        fmx_write_u8(writer,
                     (uint8_t)(filter->qos | filter->no_local << 2 |
                               filter->retain_as_published << 3 | filter->retain_handling << 4));
    }
}

/* --- 3.9 and 3.11 SUBACK, UNSUBACK ------------------------------------------------------------ */

static fmx_slice suback_codes(const struct fmx_packet *packet, enum fmx_version version)
{
    bool has_codes = packet->kind == FMX_SUBACK || version >= FMX_MQTT_50;

    return has_codes ? packet->suback.codes : (fmx_slice){0};
}

static size_t suback_bytes(const struct fmx_packet *packet, enum fmx_version version)
{
    return 2 + props_bytes(&packet->suback.props, version) + suback_codes(packet, version).bytes;
}

static void write_suback(struct fmx_writer *writer, const struct fmx_packet *packet,
                         enum fmx_version version)
{
    fmx_write_u16(writer, packet->suback.packet_id);
    write_props(writer, &packet->suback.props, version);
    fmx_write_bytes(writer, suback_codes(packet, version));
}

/* --- 3.12 and 3.13 PINGREQ, PINGRESP ---------------------------------------------------------- */

static size_t ping_bytes(const struct fmx_packet *packet, enum fmx_version version)
{
    (void)packet;
    (void)version;
    return 0;
}

static void write_ping(struct fmx_writer *writer, const struct fmx_packet *packet,
                       enum fmx_version version)
{
    (void)writer;
    (void)packet;
    (void)version;
}

/* --- 3.14 and 3.15 DISCONNECT, AUTH ----------------------------------------------------------- */

static size_t disconnect_bytes(const struct fmx_packet *packet, enum fmx_version version)
{
    return version < FMX_MQTT_50 ? 0 : 1 + fmx_props_bytes(&packet->disconnect.props);
}

static void write_disconnect(struct fmx_writer *writer, const struct fmx_packet *packet,
                             enum fmx_version version)
{
    if (version >= FMX_MQTT_50) {
        fmx_write_u8(writer, packet->disconnect.reason);
        fmx_props_write(writer, &packet->disconnect.props);
    }
}

static size_t auth_bytes(const struct fmx_packet *packet, enum fmx_version version)
{
    const struct fmx_disconnect *auth = &packet->disconnect;

    if (version < FMX_MQTT_50) {
        return TOO_MANY_BYTES;
    }
    return is_plain_success(auth->reason, &auth->props) ? 0 : 1 + fmx_props_bytes(&auth->props);
}

static void write_auth(struct fmx_writer *writer, const struct fmx_packet *packet,
                       enum fmx_version version)
{
    const struct fmx_disconnect *auth = &packet->disconnect;

    if (!is_plain_success(auth->reason, &auth->props)) {
        write_disconnect(writer, packet, version);
    }
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct {
    size_t (*bytes)(const struct fmx_packet *packet, enum fmx_version version);
    void (*write)(struct fmx_writer *writer, const struct fmx_packet *packet,
                  enum fmx_version version);
    uint8_t flags;
} kinds[16] = {
    [FMX_CONNECT] = {connect_bytes, write_connect, 0},
    [FMX_CONNACK] = {connack_bytes, write_connack, 0},
    [FMX_PUBLISH] = {publish_bytes, write_publish, 0}, /* its flags: publish_head */
    [FMX_PUBACK] = {ack_bytes, write_ack, 0},
    [FMX_PUBREC] = {ack_bytes, write_ack, 0},
    [FMX_PUBREL] = {ack_bytes, write_ack, 2},
    [FMX_PUBCOMP] = {ack_bytes, write_ack, 0},
    [FMX_SUBSCRIBE] = {subscribe_bytes, write_subscribe, 2},
    [FMX_SUBACK] = {suback_bytes, write_suback, 0},
    [FMX_UNSUBSCRIBE] = {subscribe_bytes, write_subscribe, 2},
    [FMX_UNSUBACK] = {suback_bytes, write_suback, 0},
    [FMX_PINGREQ] = {ping_bytes, write_ping, 0},
    [FMX_PINGRESP] = {ping_bytes, write_ping, 0},
    [FMX_DISCONNECT] = {disconnect_bytes, write_disconnect, 0},
    [FMX_AUTH] = {auth_bytes, write_auth, 0},
};

static uint8_t head_of(const struct fmx_packet *packet)
{
    return packet->kind == FMX_PUBLISH ? publish_head(&packet->publish)
                                       : (uint8_t)(packet->kind << 4 | kinds[packet->kind].flags);
}

static enum fmx_version version_of(const struct fmx_packet *packet, enum fmx_version version)
{
    return packet->kind == FMX_CONNECT ? packet->connect.version : version;
}

static size_t body_bytes_of(const struct fmx_packet *packet, enum fmx_version version)
{
    FMX_ASSERT(packet->kind >= FMX_CONNECT && packet->kind <= FMX_AUTH);
    return kinds[packet->kind].bytes(packet, version);
}

/* Type, remaining length and body; 0 if there is no such packet. */
static size_t whole_bytes(size_t body_bytes)
{
    return body_bytes > FMX_REMAINING_BYTES_MAX
               ? 0
               : 1 + fmx_varint_bytes((uint32_t)body_bytes) + body_bytes;
}

size_t fmx_encode_bytes(const struct fmx_packet *packet, enum fmx_version version)
{
    return whole_bytes(body_bytes_of(packet, version_of(packet, version)));
}

size_t fmx_encode(const struct fmx_packet *packet, enum fmx_version version, uint8_t *out)
{
    enum fmx_version spoken = version_of(packet, version);
    size_t body_bytes = body_bytes_of(packet, spoken);
    size_t bytes = whole_bytes(body_bytes);
    struct fmx_writer writer = fmx_writer_of(out, bytes);

    FMX_ASSERT(bytes > 0);
    fmx_write_u8(&writer, head_of(packet));
    fmx_write_varint(&writer, (uint32_t)body_bytes);
    kinds[packet->kind].write(&writer, packet, spoken);
    FMX_ASSERT(!writer.failed && writer.at == writer.end);
    return bytes;
}

size_t fmx_encode_publish_bytes(const struct fmx_publish *publish, enum fmx_version version)
{
    return whole_bytes(publish_head_bytes(publish, version) + publish->payload.bytes);
}

size_t fmx_encode_publish(const struct fmx_publish *publish, enum fmx_version version, uint8_t *out)
{
    size_t head_bytes = fmx_encode_publish_head(publish, version, out);

    if (publish->payload.bytes > 0) {
        memcpy(out + head_bytes, publish->payload.data, publish->payload.bytes);
    }
    return head_bytes + publish->payload.bytes;
}

size_t fmx_encode_publish_head_bytes(const struct fmx_publish *publish, enum fmx_version version)
{
    size_t bytes = whole_bytes(publish_head_bytes(publish, version) + publish->payload.bytes);

    return bytes > 0 ? bytes - publish->payload.bytes : 0;
}

size_t fmx_encode_publish_head(const struct fmx_publish *publish, enum fmx_version version,
                               uint8_t *out)
{
    size_t body_bytes = publish_head_bytes(publish, version) + publish->payload.bytes;
    size_t bytes = fmx_encode_publish_head_bytes(publish, version);
    struct fmx_writer writer = fmx_writer_of(out, bytes);

    FMX_ASSERT(bytes > 0);
    fmx_write_u8(&writer, publish_head(publish));
    fmx_write_varint(&writer, (uint32_t)body_bytes);
    write_publish_head(&writer, publish, version);
    FMX_ASSERT(!writer.failed && writer.at == writer.end);
    return bytes;
}
