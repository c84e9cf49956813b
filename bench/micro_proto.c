/*
 * micro_proto — framing, decode and encode
 *
 * Why it is so:   32 packets are what a receive buffer of 4 KiB and more brings at once. They are
 *                 in the nearest cache, as bytes are that the kernel has just copied, and differ in
 *                 topic and identifier only, so that one kind is measured and not the mixture.
 *                 Every row makes its packets with the encoder and reads them with the decoder, so
 *                 what is encoded is what a gateway would pass on
 * Words:          kind: what the packets of a row are
 * Memory:         one world a row, some 40 KiB
 * Limits:         the encoder is asked for the size first and the bytes then, as the engine does
 * Not here:       what a session makes of a packet: micro_session.c
 */
#include "bench/micro_packets.h"

#include <stdlib.h>

/* ---- kinds of packets ------------------------------------------------------------------------ */

static void fill_publish(struct micro_packets *world, uint32_t number, uint8_t qos,
                         struct fmx_packet *packet)
{
    static const uint8_t payload[MICRO_PAYLOAD_BYTES];

    world->topic = micro_topic_of(number, "/user/update");
    packet->kind = FMX_PUBLISH;
    packet->publish.topic = fmx_slice_of(world->topic.bytes);
    packet->publish.payload = (fmx_slice){.data = payload, .bytes = sizeof payload};
    packet->publish.qos = qos;
    packet->publish.packet_id = qos > 0 ? (uint16_t)(number + 1) : 0;
}

static void fill_qos0(struct micro_packets *world, uint32_t number, struct fmx_packet *packet)
{
    fill_publish(world, number, 0, packet);
}

static void fill_qos1(struct micro_packets *world, uint32_t number, struct fmx_packet *packet)
{
    fill_publish(world, number, 1, packet);
}

static void fill_alias(struct micro_packets *world, uint32_t number, struct fmx_packet *packet)
{
    fill_publish(world, number, 1, packet);
    packet->publish.topic = (fmx_slice){0};
    packet->publish.props.present = FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS);
    packet->publish.props.topic_alias = (uint16_t)(1 + number % MICRO_ALIASES);
}

static void fill_users(struct micro_packets *world, uint32_t number, struct fmx_packet *packet)
{
    struct fmx_writer writer = fmx_writer_of(world->users, sizeof world->users);

    fill_publish(world, number, 1, packet);
    fmx_user_write(&writer, fmx_slice_of("trace"), fmx_slice_of("5f1c2a90"));
    fmx_user_write(&writer, fmx_slice_of("region"), fmx_slice_of("cn-shanghai"));
    packet->publish.props.raw =
        (fmx_slice){.data = world->users, .bytes = (size_t)(writer.at - world->users)};
    packet->publish.props.user_count = 2;
}

static void fill_puback(struct micro_packets *world, uint32_t number, struct fmx_packet *packet)
{
    (void)world;
    packet->kind = FMX_PUBACK;
    packet->ack.packet_id = (uint16_t)(number + 1);
}

static void fill_connect(struct micro_packets *world, uint32_t number, struct fmx_packet *packet)
{
    static const char password[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct fmx_connect *connect = &packet->connect;

    world->topic = micro_topic_of(number, "|securemode=3|");
    packet->kind = FMX_CONNECT;
    connect->version = world->kind->version;
    connect->clean = true;
    connect->keepalive_s = 300;
    connect->client_id = fmx_slice_of(world->topic.bytes);
    connect->username = fmx_slice_of("device-0000042&a1Q5XoY7PkQ");
    connect->password = fmx_slice_of(password);
    connect->has_username = connect->has_password = true;
    connect->props.present = FMX_PROP_BIT(FMX_PROP_RECEIVE_MAX) |
                             FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS_MAX) |
                             FMX_PROP_BIT(FMX_PROP_SESSION_EXPIRY);
    connect->props.receive_max = 20;
    connect->props.topic_alias_max = 10;
    connect->props.session_expiry_s = 3600;
}

static void fill_connack(struct micro_packets *world, uint32_t number, struct fmx_packet *packet)
{
    (void)world;
    packet->kind = FMX_CONNACK;
    packet->connack.props.present =
        FMX_PROP_BIT(FMX_PROP_RECEIVE_MAX) | FMX_PROP_BIT(FMX_PROP_MAXIMUM_QOS) |
        FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS_MAX) | FMX_PROP_BIT(FMX_PROP_PACKET_BYTES_MAX) |
        FMX_PROP_BIT(FMX_PROP_SUBSCRIPTION_ID_AVAILABLE) | FMX_PROP_BIT(FMX_PROP_SHARED_AVAILABLE);
    packet->connack.props.receive_max = (uint16_t)(20 + number);
    packet->connack.props.maximum_qos = 1;
    packet->connack.props.topic_alias_max = 10;
    packet->connack.props.packet_bytes_max = 262144;
}

static void fill_subscribe(struct micro_packets *world, uint32_t number, struct fmx_packet *packet)
{
    static const char *const tails[] = {"/user/get", "/thing/+/post_reply", "/rrpc/request/+"};
    struct fmx_writer writer = fmx_writer_of(world->filters, sizeof world->filters);

    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        world->topic = micro_topic_of(number, tails[i]);
        struct fmx_filter filter = {.filter = fmx_slice_of(world->topic.bytes), .qos = 1};
        fmx_filter_write(&writer, true, &filter);
    }
    packet->kind = FMX_SUBSCRIBE;
    packet->subscribe.packet_id = (uint16_t)(number + 1);
    packet->subscribe.filters_count = 3;
    packet->subscribe.filters =
        (fmx_slice){.data = world->filters, .bytes = (size_t)(writer.at - world->filters)};
}

const struct micro_kind micro_qos0_311 = {fill_qos0, FMX_MQTT_311, FMX_SIDE_CLIENT};
const struct micro_kind micro_qos1_311 = {fill_qos1, FMX_MQTT_311, FMX_SIDE_CLIENT};
const struct micro_kind micro_qos0_50 = {fill_qos0, FMX_MQTT_50, FMX_SIDE_CLIENT};
const struct micro_kind micro_qos1_50 = {fill_qos1, FMX_MQTT_50, FMX_SIDE_CLIENT};
const struct micro_kind micro_alias_50 = {fill_alias, FMX_MQTT_50, FMX_SIDE_CLIENT};
const struct micro_kind micro_users_50 = {fill_users, FMX_MQTT_50, FMX_SIDE_CLIENT};
const struct micro_kind micro_puback_311 = {fill_puback, FMX_MQTT_311, FMX_SIDE_CLIENT};
const struct micro_kind micro_puback_50 = {fill_puback, FMX_MQTT_50, FMX_SIDE_CLIENT};
const struct micro_kind micro_connect_311 = {fill_connect, FMX_MQTT_311, FMX_SIDE_CLIENT};
const struct micro_kind micro_connect_50 = {fill_connect, FMX_MQTT_50, FMX_SIDE_CLIENT};
const struct micro_kind micro_connack_311 = {fill_connack, FMX_MQTT_311, FMX_SIDE_SERVER};
const struct micro_kind micro_connack_50 = {fill_connack, FMX_MQTT_50, FMX_SIDE_SERVER};
const struct micro_kind micro_subscribe_311 = {fill_subscribe, FMX_MQTT_311, FMX_SIDE_CLIENT};
const struct micro_kind micro_subscribe_50 = {fill_subscribe, FMX_MQTT_50, FMX_SIDE_CLIENT};

/* ---- the world ------------------------------------------------------------------------------- */

static void add_packet(struct micro_packets *world, uint32_t number)
{
    static struct fmx_packet packet;
    uint8_t *at = world->bytes + world->used;
    enum fmx_version version = world->kind->version;

    memset(&packet, 0, sizeof packet);
    world->kind->fill(world, number, &packet);
    size_t bytes = fmx_encode_bytes(&packet, version);
    micro_expect(bytes > 0 && bytes <= sizeof world->bytes - world->used, "room for a packet");
    world->used += fmx_encode(&packet, version, at);
    fmx_slice span = {.data = at, .bytes = bytes};
    struct fmx_frame *frame = &world->frames[number];
    micro_expect(fmx_frame_next(span, FMX_PACKET_BYTES_MAX, frame) == FMX_OK, "a whole packet");
    micro_expect(fmx_decode(frame, world->kind->from, version, &world->views[number]) == FMX_OK,
                 "a packet that decodes");
}

void micro_packets_fill(struct micro_packets *world, const struct micro_kind *kind)
{
    *world = (struct micro_packets){.kind = kind};
    for (uint32_t i = 0; i < MICRO_PACKETS; i++) {
        add_packet(world, i);
    }
}

static void *open_packets(const struct micro *self, uint64_t operations)
{
    struct micro_packets *world = micro_allocate(1, sizeof *world);

    (void)operations;
    micro_packets_fill(world, self->argument);
    return world;
}

/* ---- what is measured ------------------------------------------------------------------------ */

/* One operation is one packet; the buffer is walked from its begin to its end, again and again. */
static uint64_t run_frame(const struct micro_packets *world, size_t bytes, uint64_t operations)
{
    MICRO_CALLEE(frame_next, fmx_frame_next);
    struct fmx_frame frame;
    uint64_t done = 0;
    uint64_t sum = 0;

    while (done < operations) {
        fmx_slice span = {.data = world->bytes, .bytes = bytes};
        for (; span.bytes > 0; done++) {
            sum += (uint64_t)frame_next(span, FMX_PACKET_BYTES_MAX, &frame);
            span.data += frame.bytes;
            span.bytes -= frame.bytes;
        }
    }
    micro_expect(sum == FMX_OK, "a whole packet in each frame");
    return sum;
}

static uint64_t run_frame_32(void *opened, uint64_t operations)
{
    const struct micro_packets *world = opened;

    return run_frame(world, world->used, operations);
}

static uint64_t run_frame_1(void *opened, uint64_t operations)
{
    const struct micro_packets *world = opened;

    return run_frame(world, world->frames[0].bytes, operations);
}

static uint64_t run_decode(void *opened, uint64_t operations)
{
    struct micro_packets *world = opened;
    MICRO_CALLEE(decode, fmx_decode);
    enum fmx_side from = world->kind->from;
    enum fmx_version version = world->kind->version;
    uint64_t sum = 0;

    for (uint64_t done = 0; done < operations; done += MICRO_PACKETS) {
        for (unsigned i = 0; i < MICRO_PACKETS; i++) {
            sum += (uint64_t)decode(&world->frames[i], from, version, &world->one);
        }
    }
    micro_expect(sum == FMX_OK, "a packet that decodes");
    return sum;
}

static uint64_t run_encode(void *opened, uint64_t operations)
{
    struct micro_packets *world = opened;
    MICRO_CALLEE(encode_bytes, fmx_encode_bytes);
    MICRO_CALLEE(encode, fmx_encode);
    enum fmx_version version = world->kind->version;
    uint64_t sum = 0;

    for (uint64_t done = 0; done < operations; done += MICRO_PACKETS) {
        for (unsigned i = 0; i < MICRO_PACKETS; i++) {
            const struct fmx_packet *packet = &world->views[i];
            sum += encode_bytes(packet, version);
            sum += encode(packet, version, world->out);
        }
    }
    return sum;
}

static uint64_t run_encode_head(void *opened, uint64_t operations)
{
    struct micro_packets *world = opened;
    MICRO_CALLEE(encode_bytes, fmx_encode_publish_head_bytes);
    MICRO_CALLEE(encode, fmx_encode_publish_head);
    enum fmx_version version = world->kind->version;
    uint64_t sum = 0;

    for (uint64_t done = 0; done < operations; done += MICRO_PACKETS) {
        for (unsigned i = 0; i < MICRO_PACKETS; i++) {
            const struct fmx_publish *publish = &world->views[i].publish;
            sum += encode_bytes(publish, version);
            sum += encode(publish, version, world->out);
        }
    }
    return sum;
}

/* What the loop and a call that does nothing cost: contained in every other figure. */
static size_t do_nothing(const struct fmx_packet *packet)
{
    return (size_t)packet->kind;
}

static uint64_t run_nothing(void *opened, uint64_t operations)
{
    struct micro_packets *world = opened;
    MICRO_CALLEE(nothing, do_nothing);
    uint64_t sum = 0;

    for (uint64_t done = 0; done < operations; done += MICRO_PACKETS) {
        for (unsigned i = 0; i < MICRO_PACKETS; i++) {
            sum += nothing(&world->views[i]);
        }
    }
    return sum;
}

#define ROW(name_, run_, kind_)                                                                    \
    {                                                                                              \
        .name = (name_), .open = open_packets, .run = (run_), .close = free,                       \
        .operations = 1000000, .counted = 9600, .argument = &micro_##kind_                         \
    }

static const struct micro rows[] = {
    ROW("loop_alone", run_nothing, puback_311),
    ROW("frame_buffer_of_32", run_frame_32, qos0_311),
    ROW("frame_buffer_of_1", run_frame_1, qos0_311),
    ROW("decode_publish_311_qos0", run_decode, qos0_311),
    ROW("decode_publish_311_qos1", run_decode, qos1_311),
    ROW("decode_publish_50_qos0", run_decode, qos0_50),
    ROW("decode_publish_50_qos1", run_decode, qos1_50),
    ROW("decode_publish_50_alias", run_decode, alias_50),
    ROW("decode_publish_50_users", run_decode, users_50),
    ROW("decode_puback_311", run_decode, puback_311),
    ROW("decode_puback_50", run_decode, puback_50),
    ROW("decode_connect_311", run_decode, connect_311),
    ROW("decode_connect_50", run_decode, connect_50),
    ROW("decode_connack_50", run_decode, connack_50),
    ROW("decode_subscribe_311", run_decode, subscribe_311),
    ROW("decode_subscribe_50", run_decode, subscribe_50),
    ROW("encode_publish_311_qos0", run_encode, qos0_311),
    ROW("encode_publish_311_qos1", run_encode, qos1_311),
    ROW("encode_publish_50_qos0", run_encode, qos0_50),
    ROW("encode_publish_50_qos1", run_encode, qos1_50),
    ROW("encode_publish_50_alias", run_encode, alias_50),
    ROW("encode_publish_50_users", run_encode, users_50),
    ROW("encode_publish_head_311", run_encode_head, qos1_311),
    ROW("encode_publish_head_50", run_encode_head, qos1_50),
    ROW("encode_puback_311", run_encode, puback_311),
    ROW("encode_puback_50", run_encode, puback_50),
    ROW("encode_connect_311", run_encode, connect_311),
    ROW("encode_connack_311", run_encode, connack_311),
    ROW("encode_connack_50", run_encode, connack_50),
};

const struct micro_list micro_proto = MICRO_LIST(rows);
