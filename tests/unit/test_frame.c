/*
 * test_frame — where one packet ends and the next begins
 */
#include "tests/support/run.h"

#include "proto/decode.h"
#include "proto/encode.h"
#include "proto/limits.h"
#include "tests/support/bytes.h"
#include "tests/support/cut.h"
#include "tests/support/random_packet.h"

#define LIMIT 262144u

static enum fmx_status next_of(const char *notation, size_t limit, struct fmx_frame *out_frame)
{
    static uint8_t bytes[64];
    size_t count = fmx_bytes_of(notation, bytes, sizeof bytes);

    return fmx_frame_next((fmx_slice){bytes, count}, limit, out_frame);
}

static void frame_finds_a_packet_without_body(void)
{
    struct fmx_frame frame;

    CU_ASSERT_EQUAL(next_of("c0 00", LIMIT, &frame), FMX_OK);
    CU_ASSERT_EQUAL(frame.head, 0xc0);
    CU_ASSERT_EQUAL(frame.bytes, 2);
    CU_ASSERT_EQUAL(frame.body.bytes, 0);
}

static void frame_leaves_the_next_packet_alone(void)
{
    struct fmx_frame frame;

    CU_ASSERT_EQUAL(next_of("40 02 0001 c0 00", LIMIT, &frame), FMX_OK);
    CU_ASSERT_EQUAL(frame.bytes, 4);
    CU_ASSERT_EQUAL(frame.body.bytes, 2);
    CU_ASSERT_EQUAL(frame.body.data[1], 1);
}

static void frame_waits_when_length_is_cut(void)
{
    static const char *const cut[] = {"", "30", "30 80", "30 ff ff", "30 80 80 80"};
    struct fmx_frame frame;

    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        CU_ASSERT_EQUAL(next_of(cut[i], LIMIT, &frame), FMX_MORE);
        CU_ASSERT_EQUAL(frame.bytes, 0);
    }
}

static void frame_tells_the_size_it_waits_for(void)
{
    struct fmx_frame frame;

    CU_ASSERT_EQUAL(next_of("30 80 01 00", LIMIT, &frame), FMX_MORE);
    CU_ASSERT_EQUAL(frame.bytes, 131);
    CU_ASSERT(frame.head == 0x30 && frame.body.bytes == 128 && frame.body.data == NULL);
}

/* A head whose body never comes: what it says of a server, of a client, in 3.1.1 and in 5.0. */
static void head_is_refused_before_the_body_comes(void)
{
    static const struct {
        const char *bytes;
        enum fmx_status server_311, client_311, server_5, client_5;
    } rows[] = {
        {"00 7f", FMX_PEER_KIND, FMX_PEER_KIND, FMX_PEER_KIND, FMX_PEER_KIND},
        {"f0 7f", FMX_PEER_KIND, FMX_PEER_KIND, FMX_OK, FMX_OK},
        {"f1 ff7f", FMX_PEER_KIND, FMX_PEER_KIND, FMX_PEER_FLAGS, FMX_PEER_FLAGS},
        {"10 7f", FMX_PEER_KIND, FMX_OK, FMX_PEER_KIND, FMX_OK},
        {"16 0301", FMX_PEER_KIND, FMX_PEER_FLAGS, FMX_PEER_KIND, FMX_PEER_FLAGS},
        {"20 7f", FMX_PEER_TRAILING, FMX_PEER_KIND, FMX_OK, FMX_PEER_KIND},
        {"2b 'OK'", FMX_PEER_FLAGS, FMX_PEER_KIND, FMX_PEER_FLAGS, FMX_PEER_KIND},
        {"30 ff7f", FMX_OK, FMX_OK, FMX_OK, FMX_OK},
        {"36 ff7f", FMX_PEER_QOS, FMX_PEER_QOS, FMX_PEER_QOS, FMX_PEER_QOS},
        {"38 ff7f", FMX_PEER_FLAGS, FMX_PEER_FLAGS, FMX_PEER_FLAGS, FMX_PEER_FLAGS},
        {"30 ff00", FMX_OK, FMX_OK, FMX_PEER_LENGTH, FMX_PEER_LENGTH},
        {"40 03", FMX_PEER_TRAILING, FMX_PEER_TRAILING, FMX_OK, FMX_OK},
        {"48 'TTP/1.1'", FMX_PEER_FLAGS, FMX_PEER_FLAGS, FMX_PEER_FLAGS, FMX_PEER_FLAGS},
        {"82 7f", FMX_PEER_KIND, FMX_OK, FMX_PEER_KIND, FMX_OK},
        {"90 7f", FMX_OK, FMX_PEER_KIND, FMX_OK, FMX_PEER_KIND},
        {"c0 01", FMX_PEER_KIND, FMX_PEER_TRAILING, FMX_PEER_KIND, FMX_PEER_TRAILING},
        {"d0 01", FMX_PEER_TRAILING, FMX_PEER_KIND, FMX_PEER_TRAILING, FMX_PEER_KIND},
        {"e0 7f", FMX_PEER_KIND, FMX_PEER_TRAILING, FMX_OK, FMX_OK},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fmx_frame frame;
        CU_ASSERT_EQUAL(next_of(rows[i].bytes, LIMIT, &frame), FMX_MORE);
        CU_ASSERT_EQUAL(fmx_decode_head(&frame, FMX_SIDE_SERVER, FMX_MQTT_311), rows[i].server_311);
        CU_ASSERT_EQUAL(fmx_decode_head(&frame, FMX_SIDE_CLIENT, FMX_MQTT_311), rows[i].client_311);
        CU_ASSERT_EQUAL(fmx_decode_head(&frame, FMX_SIDE_SERVER, FMX_MQTT_50), rows[i].server_5);
        CU_ASSERT_EQUAL(fmx_decode_head(&frame, FMX_SIDE_CLIENT, FMX_MQTT_50), rows[i].client_5);
    }
}

static void frame_refuses_a_fifth_length_byte(void)
{
    struct fmx_frame frame;

    CU_ASSERT_EQUAL(next_of("30 80 80 80 80", FMX_PACKET_BYTES_MAX, &frame), FMX_PEER_LENGTH);
    CU_ASSERT_EQUAL(next_of("30 ff ff ff ff 7f", FMX_PACKET_BYTES_MAX, &frame), FMX_PEER_LENGTH);
}

static void frame_refuses_by_length_before_the_body_comes(void)
{
    struct fmx_frame frame;

    CU_ASSERT_EQUAL(next_of("30 ff ff ff 7f", LIMIT, &frame), FMX_LIMIT_PACKET);
    CU_ASSERT_EQUAL(next_of("30 ff ff ff 7f", FMX_PACKET_BYTES_MAX, &frame), FMX_MORE);
    CU_ASSERT_EQUAL(frame.bytes, FMX_PACKET_BYTES_MAX);
    CU_ASSERT_EQUAL(next_of("40 02", 4, &frame), FMX_MORE);
    CU_ASSERT_EQUAL(next_of("40 02", 3, &frame), FMX_LIMIT_PACKET);
}

static void frame_finds_the_edges_of_every_length_form(void)
{
    static const uint32_t edges[] = {0, 127, 128, 16383, 16384, 2097151, 2097152};
    static uint8_t bytes[2097152 + 5];

    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        struct fmx_writer writer = fmx_writer_of(bytes, sizeof bytes);
        struct fmx_frame frame;
        fmx_write_u8(&writer, 0x30);
        fmx_write_varint(&writer, edges[i]);
        size_t whole = (size_t)(writer.at - bytes) + edges[i];
        CU_ASSERT_EQUAL(fmx_frame_next((fmx_slice){bytes, whole}, whole, &frame), FMX_OK);
        CU_ASSERT_EQUAL(frame.bytes, whole);
        CU_ASSERT_EQUAL(frame.body.bytes, edges[i]);
        CU_ASSERT_EQUAL(fmx_frame_next((fmx_slice){bytes, whole - 1}, whole, &frame), FMX_MORE);
    }
}

/* --- the same stream, in any pieces ----------------------------------------------------------- */

struct listener {
    enum fmx_side from;
    enum fmx_version version;
    uint64_t heard;
};

static void begin(void *context)
{
    ((struct listener *)context)->heard = 1469598103934665603u;
}

static void hear(struct listener *listener, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        listener->heard = (listener->heard ^ bytes[i]) * 1099511628211u;
    }
}

/* What was understood is said again, and that is heard. */
static enum fmx_status feed(void *context, fmx_slice unread, size_t *out_used)
{
    static uint8_t again[4096];
    struct listener *listener = context;
    struct fmx_frame frame;
    struct fmx_packet packet;
    enum fmx_status status = fmx_frame_next(unread, sizeof again, &frame);

    if (status == FMX_MORE && frame.bytes > 0) {
        enum fmx_status early = fmx_decode_head(&frame, listener->from, listener->version);
        status = early != FMX_OK ? early : FMX_MORE;
    }
    if (status == FMX_OK) {
        status = fmx_decode(&frame, listener->from, listener->version, &packet);
    }
    if (status == FMX_OK) {
        hear(listener, again, fmx_encode(&packet, listener->version, again));
        *out_used = frame.bytes;
    }
    return status;
}

static uint64_t digest(const void *context)
{
    return ((const struct listener *)context)->heard;
}

static size_t make_stream(struct fmx_prng *prng, struct listener *listener, uint8_t *out,
                          size_t room)
{
    static struct fmx_random_store store;
    size_t used = 0;
    struct fmx_packet packet;

    for (;;) {
        fmx_random_packet(prng, listener->version, listener->from, &store, &packet);
        size_t bytes = fmx_encode_bytes(&packet, listener->version);
        if (bytes > room - used) {
            return used;
        }
        used += fmx_encode(&packet, listener->version, out + used);
    }
}

static void frame_does_not_care_how_the_bytes_arrive(void)
{
    static const enum fmx_version versions[] = {FMX_MQTT_31, FMX_MQTT_311, FMX_MQTT_50};
    uint8_t stream[500];

    for (uint64_t seed = 0; seed < 24; seed++) {
        struct fmx_prng prng = {seed};
        struct listener listener = {(enum fmx_side)(seed & 1), versions[seed % 3], 0};
        const struct fmx_cut_parser parser = {&listener, begin, feed, digest};
        size_t bytes = make_stream(&prng, &listener, stream, sizeof stream);
        enum fmx_status status = fmx_cut_every_way((fmx_slice){stream, bytes}, &parser);
        if (status != FMX_MORE) {
            fprintf(stderr, "seed %u: %s\n", (unsigned)seed, fmx_status_name(status));
        }
        CU_ASSERT_EQUAL(status, FMX_MORE);
    }
}

static void frame_stops_at_the_same_fault_however_cut(void)
{
    static const char *const streams[] = {
        "c000 40020000 c000",           "c000 30ffffffffff", "c000 00",
        "c000 3003 000161 3003 00012b", "c000 ff00",         "c000 30ffff7f",
        "c000 00 8001 000000",          "c000 c005 0000",    "c000 36 05 000161"};
    uint8_t bytes[64];

    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        struct listener listener = {FMX_SIDE_CLIENT, FMX_MQTT_311, 0};
        const struct fmx_cut_parser parser = {&listener, begin, feed, digest};
        size_t count = fmx_bytes_of(streams[i], bytes, sizeof bytes);
        enum fmx_status status = fmx_cut_every_way((fmx_slice){bytes, count}, &parser);
        CU_ASSERT(status < 0 || i == 2);
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(frame_finds_a_packet_without_body),
    FMX_TEST_CASE(frame_leaves_the_next_packet_alone),
    FMX_TEST_CASE(frame_waits_when_length_is_cut),
    FMX_TEST_CASE(frame_tells_the_size_it_waits_for),
    FMX_TEST_CASE(head_is_refused_before_the_body_comes),
    FMX_TEST_CASE(frame_refuses_a_fifth_length_byte),
    FMX_TEST_CASE(frame_refuses_by_length_before_the_body_comes),
    FMX_TEST_CASE(frame_finds_the_edges_of_every_length_form),
    FMX_TEST_CASE(frame_does_not_care_how_the_bytes_arrive),
    FMX_TEST_CASE(frame_stops_at_the_same_fault_however_cut),
};

int main(int argc, char **argv)
{
    return fmx_test_main("frame", cases, sizeof cases / sizeof cases[0], argc, argv);
}
