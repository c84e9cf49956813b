/*
 * test_encode — the exact bytes, and what cannot be said
 */
#include "tests/support/run.h"

#include "proto/encode.h"
#include "proto/limits.h"
#include "tests/support/bytes.h"
#include "tests/support/random_packet.h"

static void expect_bytes(const struct fmx_packet *packet, enum fmx_version version,
                         const char *notation)
{
    uint8_t expected[256];
    uint8_t out[256];
    size_t bytes = fmx_bytes_of(notation, expected, sizeof expected);
    bool is_same = fmx_encode_bytes(packet, version) == bytes &&
                   fmx_encode(packet, version, out) == bytes && memcmp(out, expected, bytes) == 0;

    if (!is_same) {
        fprintf(stderr, "not %s\n", notation);
    }
    CU_ASSERT(is_same);
}

static struct fmx_packet connect_of(enum fmx_version version)
{
    return (struct fmx_packet){
        .kind = FMX_CONNECT,
        .connect =
            {
                .version = version,
                .clean = true,
                .keepalive_s = 300,
                .client_id = fmx_slice_of("dev"),
                .has_username = true,
                .username = fmx_slice_of("u"),
                .has_password = true,
                .password = fmx_slice_of("p"),
            },
    };
}

static void encode_speaks_connect_in_each_version(void)
{
    struct fmx_packet packet = connect_of(FMX_MQTT_31);

    expect_bytes(&packet, FMX_MQTT_311, "10 17 0006'MQIsdp'03 c2 012c 0003'dev' 0001'u' 0001'p'");
    packet = connect_of(FMX_MQTT_311);
    expect_bytes(&packet, FMX_MQTT_50, "10 15 0004'MQTT'04 c2 012c 0003'dev' 0001'u' 0001'p'");
    packet = connect_of(FMX_MQTT_50);
    expect_bytes(&packet, FMX_MQTT_50, "10 16 0004'MQTT'05 c2 012c 00 0003'dev' 0001'u' 0001'p'");
}

static void encode_writes_the_will_before_the_credentials(void)
{
    struct fmx_packet packet = connect_of(FMX_MQTT_50);
    struct fmx_connect *connect = &packet.connect;

    connect->has_will = true;
    connect->will_qos = 1;
    connect->will_retain = true;
    connect->will_topic = fmx_slice_of("w");
    connect->will_payload = fmx_slice_of("bye");
    connect->will_props.present = FMX_PROP_BIT(FMX_PROP_WILL_DELAY);
    connect->will_props.will_delay_s = 7;
    expect_bytes(&packet, FMX_MQTT_50,
                 "10 24 0004'MQTT'05 ee 012c 00 0003'dev' 05 1800000007 0001'w' 0003'bye' "
                 "0001'u' 0001'p'");
}

static void encode_always_gives_connack_its_property_length(void)
{
    struct fmx_packet packet = {.kind = FMX_CONNACK, .connack = {.session_present = true}};

    expect_bytes(&packet, FMX_MQTT_50, "20 03 0100 00");
    expect_bytes(&packet, FMX_MQTT_311, "20 02 0100");
    expect_bytes(&packet, FMX_MQTT_31, "20 02 0000");
}

static void encode_writes_properties_by_identifier(void)
{
    struct fmx_packet packet = {.kind = FMX_CONNACK};
    struct fmx_props *props = &packet.connack.props;
    uint8_t raw[16];
    struct fmx_writer writer = fmx_writer_of(raw, sizeof raw);

    fmx_user_write(&writer, fmx_slice_of("k"), fmx_slice_of("v"));
    props->raw = (fmx_slice){raw, (size_t)(writer.at - raw)};
    props->user_count = 1;
    props->present = FMX_PROP_BIT(FMX_PROP_PACKET_BYTES_MAX) | FMX_PROP_BIT(FMX_PROP_RECEIVE_MAX) |
                     FMX_PROP_BIT(FMX_PROP_MAXIMUM_QOS);
    props->packet_bytes_max = 262144;
    props->receive_max = 10;
    props->maximum_qos = 1;
    expect_bytes(&packet, FMX_MQTT_50, "20 14 0000 11 21000a 2401 2700040000 26 0001'k'0001'v'");
    expect_bytes(&packet, FMX_MQTT_311, "20 02 0000");
}

static void encode_puts_the_flags_of_publish_into_its_head(void)
{
    struct fmx_packet packet = {
        .kind = FMX_PUBLISH,
        .publish = {.topic = fmx_slice_of("a/b"), .payload = fmx_slice_of("hi"), .packet_id = 9},
    };

    expect_bytes(&packet, FMX_MQTT_311, "30 07 0003'a/b' 'hi'");
    expect_bytes(&packet, FMX_MQTT_50, "30 08 0003'a/b' 00 'hi'");
    packet.publish.qos = 1;
    packet.publish.dup = true;
    packet.publish.retain = true;
    expect_bytes(&packet, FMX_MQTT_311, "3b 09 0003'a/b' 0009 'hi'");
    packet.publish.qos = 2;
    expect_bytes(&packet, FMX_MQTT_50, "3d 0a 0003'a/b' 0009 00 'hi'");
}

static void encode_uses_the_short_form_of_acknowledgements(void)
{
    struct fmx_packet packet = {.kind = FMX_PUBACK, .ack = {.packet_id = 0x1234}};

    expect_bytes(&packet, FMX_MQTT_311, "40 02 1234");
    expect_bytes(&packet, FMX_MQTT_50, "40 02 1234");
    packet.ack.reason = 0x87;
    expect_bytes(&packet, FMX_MQTT_311, "40 02 1234");
    expect_bytes(&packet, FMX_MQTT_50, "40 04 1234 87 00");
    packet.kind = FMX_PUBREL;
    packet.ack.reason = 0;
    packet.ack.props.present = FMX_PROP_BIT(FMX_PROP_REASON_STRING);
    packet.ack.props.reason_string = fmx_slice_of("r");
    expect_bytes(&packet, FMX_MQTT_50, "62 08 1234 00 04 1f0001'r'");
}

static void encode_writes_filters_with_their_options(void)
{
    uint8_t list[32];
    struct fmx_writer writer = fmx_writer_of(list, sizeof list);
    const struct fmx_filter filter = {fmx_slice_of("a/#"), 1, true, true, 2};

    fmx_filter_write(&writer, true, &filter);
    struct fmx_packet packet = {
        .kind = FMX_SUBSCRIBE,
        .subscribe = {.packet_id = 1, .filters = {list, (size_t)(writer.at - list)}},
    };
    expect_bytes(&packet, FMX_MQTT_50, "82 09 0001 00 0003'a/#' 2d");
    writer = fmx_writer_of(list, sizeof list);
    fmx_filter_write(&writer, false, &filter);
    packet.kind = FMX_UNSUBSCRIBE;
    packet.subscribe.filters.bytes = (size_t)(writer.at - list);
    expect_bytes(&packet, FMX_MQTT_311, "a2 07 0001 0003'a/#'");
}

static void encode_gives_unsuback_codes_in_5_0_only(void)
{
    static const uint8_t codes[] = {0x00, 0x11};
    struct fmx_packet packet = {.kind = FMX_SUBACK,
                                .suback = {.packet_id = 1, .codes = {codes, 2}}};

    expect_bytes(&packet, FMX_MQTT_311, "90 04 0001 0011");
    expect_bytes(&packet, FMX_MQTT_50, "90 05 0001 00 0011");
    packet.kind = FMX_UNSUBACK;
    expect_bytes(&packet, FMX_MQTT_311, "b0 02 0001");
    expect_bytes(&packet, FMX_MQTT_50, "b0 05 0001 00 0011");
}

static void encode_says_ping_and_leave(void)
{
    struct fmx_packet packet = {.kind = FMX_PINGREQ};

    expect_bytes(&packet, FMX_MQTT_50, "c0 00");
    packet.kind = FMX_PINGRESP;
    expect_bytes(&packet, FMX_MQTT_311, "d0 00");
    packet.kind = FMX_DISCONNECT;
    expect_bytes(&packet, FMX_MQTT_311, "e0 00");
    expect_bytes(&packet, FMX_MQTT_50, "e0 02 00 00");
    packet.disconnect.reason = 0x8e;
    expect_bytes(&packet, FMX_MQTT_50, "e0 02 8e 00");
    packet.kind = FMX_AUTH;
    packet.disconnect.reason = 0;
    expect_bytes(&packet, FMX_MQTT_50, "f0 00");
}

static void encode_answers_zero_to_what_cannot_be_said(void)
{
    static uint8_t much[65536];
    struct fmx_packet packet = connect_of(FMX_MQTT_311);

    packet.connect.has_username = false;
    CU_ASSERT_EQUAL(fmx_encode_bytes(&packet, FMX_MQTT_311), 0);
    packet.connect.version = FMX_MQTT_50;
    CU_ASSERT(fmx_encode_bytes(&packet, FMX_MQTT_50) > 0);
    packet.connect.client_id = (fmx_slice){much, sizeof much};
    CU_ASSERT_EQUAL(fmx_encode_bytes(&packet, FMX_MQTT_50), 0);
    packet.connect.client_id.bytes--;
    CU_ASSERT(fmx_encode_bytes(&packet, FMX_MQTT_50) > 65535);
    packet = (struct fmx_packet){.kind = FMX_AUTH};
    CU_ASSERT_EQUAL(fmx_encode_bytes(&packet, FMX_MQTT_311), 0);
    packet = (struct fmx_packet){.kind = FMX_DISCONNECT};
    packet.disconnect.props.present = FMX_PROP_BIT(FMX_PROP_REASON_STRING);
    packet.disconnect.props.reason_string = (fmx_slice){much, sizeof much};
    CU_ASSERT_EQUAL(fmx_encode_bytes(&packet, FMX_MQTT_50), 0);
    CU_ASSERT_EQUAL(fmx_encode_bytes(&packet, FMX_MQTT_311), 2);
    packet = (struct fmx_packet){.kind = FMX_PUBLISH, .publish = {.topic = fmx_slice_of("t")}};
    packet.publish.props.present = FMX_PROP_BIT(FMX_PROP_SUBSCRIPTION_ID);
    packet.publish.props.subscription_id = FMX_REMAINING_BYTES_MAX + 1;
    CU_ASSERT_EQUAL(fmx_encode_bytes(&packet, FMX_MQTT_50), 0);
}

/* The size is asked without the payload being there. */
static void encode_knows_the_largest_publish(void)
{
    struct fmx_packet packet = {.kind = FMX_PUBLISH, .publish = {.topic = fmx_slice_of("t")}};

    packet.publish.payload.bytes = FMX_REMAINING_BYTES_MAX - 3;
    CU_ASSERT_EQUAL(fmx_encode_bytes(&packet, FMX_MQTT_311), FMX_PACKET_BYTES_MAX);
    CU_ASSERT_EQUAL(fmx_encode_publish_head_bytes(&packet.publish, FMX_MQTT_311), 8);
    packet.publish.payload.bytes++;
    CU_ASSERT_EQUAL(fmx_encode_bytes(&packet, FMX_MQTT_311), 0);
    CU_ASSERT_EQUAL(fmx_encode_publish_head_bytes(&packet.publish, FMX_MQTT_311), 0);
}

static void encode_head_and_payload_make_the_whole(void)
{
    static struct fmx_random_store store;
    static uint8_t whole[1 << 18], head[1 << 18];
    struct fmx_packet packet;

    for (uint64_t seed = 0; seed < 4000; seed++) {
        struct fmx_prng prng = {seed};
        enum fmx_version version = seed & 1 ? FMX_MQTT_50 : FMX_MQTT_311;
        fmx_random_packet(&prng, version, FMX_SIDE_SERVER, &store, &packet);
        if (packet.kind != FMX_PUBLISH) {
            continue;
        }
        size_t bytes = fmx_encode(&packet, version, whole);
        size_t head_bytes = fmx_encode_publish_head(&packet.publish, version, head);
        CU_ASSERT_EQUAL(head_bytes, fmx_encode_publish_head_bytes(&packet.publish, version));
        CU_ASSERT_EQUAL(head_bytes + packet.publish.payload.bytes, bytes);
        CU_ASSERT_EQUAL(memcmp(whole, head, head_bytes), 0);
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(encode_speaks_connect_in_each_version),
    FMX_TEST_CASE(encode_writes_the_will_before_the_credentials),
    FMX_TEST_CASE(encode_always_gives_connack_its_property_length),
    FMX_TEST_CASE(encode_writes_properties_by_identifier),
    FMX_TEST_CASE(encode_puts_the_flags_of_publish_into_its_head),
    FMX_TEST_CASE(encode_uses_the_short_form_of_acknowledgements),
    FMX_TEST_CASE(encode_writes_filters_with_their_options),
    FMX_TEST_CASE(encode_gives_unsuback_codes_in_5_0_only),
    FMX_TEST_CASE(encode_says_ping_and_leave),
    FMX_TEST_CASE(encode_answers_zero_to_what_cannot_be_said),
    FMX_TEST_CASE(encode_knows_the_largest_publish),
    FMX_TEST_CASE(encode_head_and_payload_make_the_whole),
};

int main(int argc, char **argv)
{
    return fmx_test_main("encode", cases, sizeof cases / sizeof cases[0], argc, argv);
}
