/*
 * test_decode — what is accepted, what is refused, and what it is called
 */
#include "tests/support/run.h"

#include "proto/decode.h"
#include "proto/encode.h"
#include "proto/limits.h"
#include "tests/support/bytes.h"
#include "tests/support/cut.h"
#include "tests/support/packet_equal.h"
#include "tests/support/random_packet.h"

#define C    FMX_SIDE_CLIENT
#define S    FMX_SIDE_SERVER
#define V31  FMX_MQTT_31
#define V311 FMX_MQTT_311
#define V5   FMX_MQTT_50

/* One packet: who sends it, in which version, its first byte, its body, and the answer. */
struct row {
    uint8_t from;
    uint8_t version;
    uint8_t head;
    const char *body;
    int16_t status;
};

static uint8_t packet_bytes[4096];

static enum fmx_status decode_row(const struct row *row, struct fmx_packet *out_packet)
{
    size_t bytes = fmx_bytes_of_packet(row->head, row->body, packet_bytes, sizeof packet_bytes);
    struct fmx_frame frame;

    CU_ASSERT_EQUAL(fmx_frame_next((fmx_slice){packet_bytes, bytes}, bytes, &frame), FMX_OK);
    return fmx_decode(&frame, (enum fmx_side)row->from, (enum fmx_version)row->version, out_packet);
}

static void expect_rows(const struct row *rows, size_t count)
{
    struct fmx_packet packet;

    for (size_t i = 0; i < count; i++) {
        enum fmx_status status = decode_row(&rows[i], &packet);
        if ((int)status != rows[i].status) {
            fprintf(stderr, "row %zu, %02x %s: %s, expected %s\n", i, rows[i].head, rows[i].body,
                    fmx_status_name(status), fmx_status_name((enum fmx_status)rows[i].status));
        }
        CU_ASSERT_EQUAL((int)status, rows[i].status);
    }
}

#define EXPECT_ROWS(rows) expect_rows(rows, sizeof(rows) / sizeof(rows)[0])

/* clang-format off */
static const struct row kinds_and_flags[] = {
    {C, V311, 0x00, "", FMX_PEER_KIND},
    {S, V311, 0x0f, "", FMX_PEER_KIND},
    {S, V311, 0x10, "0004'MQTT'04 02 003c 0001'a'", FMX_PEER_KIND},
    {C, V311, 0x20, "0000", FMX_PEER_KIND},
    {S, V311, 0x82, "0001 0001'a' 00", FMX_PEER_KIND},
    {C, V311, 0x90, "0001 00", FMX_PEER_KIND},
    {S, V311, 0xa2, "0001 0001'a'", FMX_PEER_KIND},
    {C, V311, 0xb0, "0001", FMX_PEER_KIND},
    {S, V311, 0xc0, "", FMX_PEER_KIND},
    {C, V311, 0xd0, "", FMX_PEER_KIND},
    {S, V311, 0xe0, "", FMX_PEER_KIND},
    {S, V31,  0xe0, "", FMX_PEER_KIND},
    {C, V311, 0xf0, "", FMX_PEER_KIND},
    {S, V311, 0xf0, "", FMX_PEER_KIND},
    {C, V311, 0x11, "0004'MQTT'04 02 003c 0001'a'", FMX_PEER_FLAGS},
    {S, V311, 0x21, "0000", FMX_PEER_FLAGS},
    {C, V311, 0x41, "0001", FMX_PEER_FLAGS},
    {C, V311, 0x52, "0001", FMX_PEER_FLAGS},
    {C, V311, 0x60, "0001", FMX_PEER_FLAGS},
    {C, V311, 0x6a, "0001", FMX_PEER_FLAGS},
    {C, V31,  0x63, "0001", FMX_PEER_FLAGS},
    {C, V31,  0x6a, "0001", FMX_OK},
    {C, V31,  0x8a, "0001 0001'a' 00", FMX_OK},
    {C, V31,  0xaa, "0001 0001'a'", FMX_OK},
    {C, V311, 0x78, "0001", FMX_PEER_FLAGS},
    {C, V311, 0x80, "0001 0001'a' 00", FMX_PEER_FLAGS},
    {C, V311, 0x8a, "0001 0001'a' 00", FMX_PEER_FLAGS},
    {S, V311, 0x92, "0001 00", FMX_PEER_FLAGS},
    {C, V311, 0xa3, "0001 0001'a'", FMX_PEER_FLAGS},
    {S, V311, 0xb2, "0001", FMX_PEER_FLAGS},
    {C, V311, 0xc1, "", FMX_PEER_FLAGS},
    {S, V311, 0xd8, "", FMX_PEER_FLAGS},
    {C, V5,   0xe2, "", FMX_PEER_FLAGS},
    {C, V5,   0xf4, "18 00", FMX_PEER_FLAGS},
    {C, V311, 0x38, "0001'a'", FMX_PEER_FLAGS},
    {C, V311, 0x36, "0001'a' 0001", FMX_PEER_QOS},
    {C, V311, 0x3e, "0001'a' 0001", FMX_PEER_QOS},
    {C, V311, 0xc0, "00", FMX_PEER_TRAILING},
    {S, V311, 0xd0, "00", FMX_PEER_TRAILING},
    {C, V311, 0xc0, "", FMX_OK},
    {S, V5,   0xd0, "", FMX_OK},
};

static const struct row connects[] = {
    {C, V311, 0x10, "", FMX_PEER_SHORT},
    {C, V311, 0x10, "00", FMX_PEER_SHORT},
    {C, V311, 0x10, "0004'MQT'", FMX_PEER_SHORT},
    {C, V311, 0x10, "0004'MQTT'", FMX_PEER_SHORT},
    {C, V311, 0x10, "0004'MQTT'04 02 00", FMX_PEER_SHORT},
    {C, V311, 0x10, "0004'MQTT'04 02 003c", FMX_PEER_SHORT},
    {C, V311, 0x10, "0004'MQTT'04 02 003c 0002'a'", FMX_PEER_SHORT},
    {C, V311, 0x10, "0004'MQTT'04 82 003c 0001'a' 0004'us'", FMX_PEER_SHORT},
    {C, V311, 0x10, "0004'MQTT'04 c2 003c 0001'a' 0001'u'", FMX_PEER_SHORT},
    {C, V311, 0x10, "0004'MQTT'04 06 003c 0001'a' 0001'w'", FMX_PEER_SHORT},
    {C, V5,   0x10, "0004'MQTT'05 02 003c", FMX_PEER_SHORT},
    {C, V5,   0x10, "0004'MQTT'05 02 003c 05 11 00", FMX_PEER_SHORT},
    {C, V5,   0x10, "0004'MQTT'05 06 003c 00 0001'a'", FMX_PEER_SHORT},
    {C, V311, 0x10, "0004'MQTT'04 02 003c 0001'a' 00", FMX_PEER_TRAILING},
    {C, V5,   0x10, "0004'MQTT'05 02 003c 00 0001'a' 0001'u'", FMX_PEER_TRAILING},
    {C, V311, 0x10, "0004'MQTt'04 02 003c 0001'a'", FMX_PEER_PROTOCOL_NAME},
    {C, V311, 0x10, "0000 04 02 003c 0001'a'", FMX_PEER_PROTOCOL_NAME},
    {C, V311, 0x10, "0006'MQIsdq'03 02 003c 0001'a'", FMX_PEER_PROTOCOL_NAME},
    {C, V311, 0x10, "0004'MQTT'03 02 003c 0001'a'", FMX_PEER_VERSION},
    {C, V311, 0x10, "0004'MQTT'06 02 003c 0001'a'", FMX_PEER_VERSION},
    {C, V311, 0x10, "0004'MQTT'84 02 003c 0001'a'", FMX_PEER_VERSION},
    {C, V311, 0x10, "0004'MQTT'00", FMX_PEER_VERSION},
    {C, V311, 0x10, "0006'MQIsdp'04 02 003c 0001'a'", FMX_PEER_VERSION},
    {C, V311, 0x10, "0004'MQTT'04 03 003c 0001'a'", FMX_PEER_CONNECT_FLAGS},
    {C, V5,   0x10, "0004'MQTT'05 03 003c 00 0001'a'", FMX_PEER_CONNECT_FLAGS},
    {C, V311, 0x10, "0004'MQTT'04 0a 003c 0001'a'", FMX_PEER_CONNECT_FLAGS},
    {C, V311, 0x10, "0004'MQTT'04 22 003c 0001'a'", FMX_PEER_CONNECT_FLAGS},
    {C, V311, 0x10, "0004'MQTT'04 42 003c 0001'a' 0001'p'", FMX_PEER_CONNECT_FLAGS},
    {C, V31,  0x10, "0006'MQIsdp'03 42 003c 0001'a' 0001'p'", FMX_PEER_CONNECT_FLAGS},
    {C, V311, 0x10, "0004'MQTT'04 1e 003c 0001'a' 0001'w' 0000", FMX_PEER_QOS},
    {C, V311, 0x10, "0004'MQTT'04 02 003c 0001 ff", FMX_PEER_UTF8},
    {C, V311, 0x10, "0004'MQTT'04 02 003c 0002'a'00", FMX_PEER_UTF8},
    {C, V311, 0x10, "0004'MQTT'04 82 003c 0001'a' 0001 ff", FMX_PEER_UTF8},
    {C, V311, 0x10, "0004'MQTT'04 06 003c 0001'a' 0002 c328 0000", FMX_PEER_UTF8},
    {C, V311, 0x10, "0004'MQTT'04 06 003c 0001'a' 0000 0000", FMX_PEER_TOPIC_NAME},
    {C, V311, 0x10, "0004'MQTT'04 06 003c 0001'a' 0003'w/#' 0000", FMX_PEER_TOPIC_NAME},
    {C, V31,  0x10, "0006'MQIsdp'03 02 003c 0000", FMX_PEER_CLIENT_ID},
    {C, V5,   0x10, "0004'MQTT'05 02 003c 02 0101 0001'a'", FMX_PEER_PROPERTY},
    {C, V5,   0x10, "0004'MQTT'05 02 003c 02 ff00 0001'a'", FMX_PEER_PROPERTY},
    {C, V5,   0x10, "0004'MQTT'05 02 003c 04 1600 01 00 0001'a'", FMX_PEER_PROPERTY_VALUE},
    {C, V5,   0x10, "0004'MQTT'05 06 003c 00 0001'a' 05 1100000001 0001'w' 0000",
     FMX_PEER_PROPERTY},
    {C, V5,   0x10, "0004'MQTT'05 02 003c 04 17011701 0001'a'", FMX_PEER_PROPERTY_TWICE},
    {C, V5,   0x10, "0004'MQTT'05 02 003c 03 210000 0001'a'", FMX_PEER_PROPERTY_VALUE},
    {C, V5,   0x10, "0004'MQTT'05 06 003c 00 0001'a' 04 08 0001'+' 0001'w' 0000",
     FMX_PEER_TOPIC_NAME},
    {C, V5,   0x10, "0004'MQTT'05 06 003c 00 0001'a' 02 0102 0001'w' 0000",
     FMX_PEER_PROPERTY_VALUE},
    /* legal, if unusual */
    {C, V31,  0x10, "0004'MQTT'04 02 0000 0000", FMX_OK},
    {C, V5,   0x10, "0004'MQTT'04 00 0000 0000", FMX_OK},
    {C, V311, 0x10, "0004'MQTT'05 42 003c 00 0000 0002 00ff", FMX_OK},
    {C, V311, 0x10, "0004'MQTT'04 36 003c 0001'a' 0001'w' 0002 00ff", FMX_OK},
    {C, V311, 0x10, "0004'MQTT'04 c2 003c 0001'a' 0000 0002 00ff", FMX_OK},
    {C, V311, 0x10, "0006'MQIsdp'03 02 003c 001a'abcdefghijklmnopqrstuvwxyz'", FMX_OK},
    {C, V311, 0x10, "0006'MQIsdp'03 3b 003c 0001'a'", FMX_OK},
    {C, V311, 0x10, "0006'MQIsdp'03 c2 003c 0001'a'", FMX_OK},
    {C, V311, 0x10, "0006'MQIsdp'03 c2 003c 0001'a' 0001'u'", FMX_OK},
    {C, V311, 0x10, "0006'MQIsdp'03 c2 003c 0001'a' 0001'u' 00", FMX_PEER_SHORT},
};

static const struct row connacks[] = {
    {S, V311, 0x20, "", FMX_PEER_SHORT},
    {S, V311, 0x20, "00", FMX_PEER_SHORT},
    {S, V5,   0x20, "0000", FMX_PEER_SHORT},
    {S, V311, 0x20, "0000 00", FMX_PEER_TRAILING},
    {S, V5,   0x20, "0000 00 00", FMX_PEER_TRAILING},
    {S, V311, 0x20, "0200", FMX_PEER_CONNECT_FLAGS},
    {S, V5,   0x20, "8000 00", FMX_PEER_CONNECT_FLAGS},
    {S, V311, 0x20, "0105", FMX_PEER_CONNECT_FLAGS},
    {S, V5,   0x20, "0187 00", FMX_PEER_CONNECT_FLAGS},
    {S, V311, 0x20, "0006", FMX_PEER_REASON_CODE},
    {S, V5,   0x20, "0001 00", FMX_PEER_REASON_CODE},
    {S, V5,   0x20, "008e 00", FMX_PEER_REASON_CODE},
    {S, V5,   0x20, "0000 02 2402", FMX_PEER_PROPERTY_VALUE},
    {S, V5,   0x20, "0000 02 1701", FMX_PEER_PROPERTY},
    {S, V31,  0x20, "ff00", FMX_OK},
    {S, V311, 0x20, "0100", FMX_OK},
    {S, V311, 0x20, "0005", FMX_OK},
    {S, V5,   0x20, "0100 00", FMX_OK},
    {S, V5,   0x20, "0097 04 1f 0001'q'", FMX_OK},
};

static const struct row publishes[] = {
    {C, V311, 0x30, "", FMX_PEER_SHORT},
    {C, V311, 0x30, "00", FMX_PEER_SHORT},
    {C, V311, 0x30, "0002'a'", FMX_PEER_SHORT},
    {C, V311, 0x32, "0001'a'", FMX_PEER_SHORT},
    {C, V311, 0x32, "0001'a' 00", FMX_PEER_SHORT},
    {C, V5,   0x30, "0001'a'", FMX_PEER_SHORT},
    {C, V5,   0x30, "0001'a' 02 01", FMX_PEER_SHORT},
    {C, V311, 0x32, "0001'a' 0000", FMX_PEER_PACKET_ID},
    {C, V311, 0x34, "0001'a' 0000", FMX_PEER_PACKET_ID},
    {C, V311, 0x30, "0000", FMX_PEER_TOPIC_NAME},
    {C, V5,   0x30, "0000 00", FMX_PEER_TOPIC_NAME},
    {C, V5,   0x30, "0000 02 0101", FMX_PEER_TOPIC_NAME},
    {C, V311, 0x30, "0003'a/+'", FMX_PEER_TOPIC_NAME},
    {C, V311, 0x30, "0003'a/#'", FMX_PEER_TOPIC_NAME},
    {S, V311, 0x30, "0001'#'", FMX_PEER_TOPIC_NAME},
    {C, V311, 0x30, "0002'a'00", FMX_PEER_UTF8},
    {C, V311, 0x30, "0003 eda080", FMX_PEER_UTF8},
    {C, V5,   0x30, "0001'a' 02 0b01", FMX_PEER_PROPERTY},
    {C, V5,   0x30, "0001'a' 05 1100000001", FMX_PEER_PROPERTY},
    {C, V5,   0x30, "0001'a' 06 23000123 0001", FMX_PEER_PROPERTY_TWICE},
    {C, V5,   0x30, "0001'a' 02 0102", FMX_PEER_PROPERTY_VALUE},
    {S, V5,   0x30, "0001'a' 02 0b00", FMX_PEER_PROPERTY_VALUE},
    {C, V5,   0x30, "0001'a' 04 08 0001'#'", FMX_PEER_TOPIC_NAME},
    {C, V5,   0x30, "0001'a' 03 08 0000", FMX_PEER_TOPIC_NAME},
    {C, V5,   0x30, "0001'a' 04 03 0001 ff", FMX_PEER_UTF8},
    {C, V311, 0x30, "0001'a'", FMX_OK},
    {C, V311, 0x3d, "0001'a' 0001 00", FMX_OK},
    {C, V5,   0x30, "0000 03 230001", FMX_OK},
    {C, V5,   0x30, "0001'a' 03 230000", FMX_OK},
    {S, V5,   0x30, "0001'a' 04 0b01 0b02 'x'", FMX_OK},
    {S, V5,   0x3b, "0001'a' 0001 00", FMX_OK},
};

static const struct row acks[] = {
    {C, V311, 0x40, "", FMX_PEER_SHORT},
    {C, V311, 0x40, "00", FMX_PEER_SHORT},
    {C, V311, 0x40, "0000", FMX_PEER_PACKET_ID},
    {S, V311, 0x50, "0000", FMX_PEER_PACKET_ID},
    {S, V311, 0x62, "0000", FMX_PEER_PACKET_ID},
    {S, V311, 0x70, "0000", FMX_PEER_PACKET_ID},
    {C, V311, 0x40, "0001 00", FMX_PEER_TRAILING},
    {C, V5,   0x40, "0001 00 00 00", FMX_PEER_TRAILING},
    {C, V5,   0x40, "0001 00 01", FMX_PEER_SHORT},
    {C, V5,   0x40, "0001 01", FMX_PEER_REASON_CODE},
    {C, V5,   0x40, "0001 10", FMX_PEER_REASON_CODE},
    {C, V5,   0x40, "0001 92", FMX_PEER_REASON_CODE},
    {C, V5,   0x62, "0001 80", FMX_PEER_REASON_CODE},
    {S, V5,   0x70, "0001 91 00", FMX_PEER_REASON_CODE},
    {S, V5,   0x40, "0001 00 02 0101", FMX_PEER_PROPERTY},
    {S, V5,   0x40, "0001 10", FMX_OK},
    {S, V5,   0x40, "0001", FMX_OK},
    {C, V5,   0x40, "0001 97", FMX_OK},
    {C, V5,   0x50, "0001 97 00", FMX_OK},
    {C, V5,   0x62, "0001 92", FMX_OK},
    {C, V5,   0x70, "ffff 00 04 1f0001'r'", FMX_OK},
};

static const struct row subscribes[] = {
    {C, V311, 0x82, "00", FMX_PEER_SHORT},
    {C, V311, 0x82, "0000 0001'a' 00", FMX_PEER_PACKET_ID},
    {C, V311, 0x82, "0001", FMX_PEER_EMPTY},
    {C, V5,   0x82, "0001", FMX_PEER_SHORT},
    {C, V5,   0x82, "0001 00", FMX_PEER_EMPTY},
    {C, V311, 0xa2, "0001", FMX_PEER_EMPTY},
    {C, V5,   0xa2, "0001 00", FMX_PEER_EMPTY},
    {C, V311, 0xa2, "0000 0001'a'", FMX_PEER_PACKET_ID},
    {C, V311, 0x82, "0001 0001'a'", FMX_PEER_SHORT},
    {C, V311, 0x82, "0001 0002'a'", FMX_PEER_SHORT},
    {C, V311, 0x82, "0001 0001'a' 00 00", FMX_PEER_SHORT},
    {C, V311, 0xa2, "0001 0001'a' 00", FMX_PEER_SHORT},
    {C, V311, 0x82, "0001 0001'a' 03", FMX_PEER_QOS},
    {C, V5,   0x82, "0001 00 0001'a' 03", FMX_PEER_QOS},
    {C, V311, 0x82, "0001 0001'a' 04", FMX_PEER_SUBSCRIBE_OPTIONS},
    {C, V311, 0x82, "0001 0001'a' 80", FMX_PEER_SUBSCRIBE_OPTIONS},
    {C, V5,   0x82, "0001 00 0001'a' 30", FMX_PEER_SUBSCRIBE_OPTIONS},
    {C, V5,   0x82, "0001 00 0001'a' 40", FMX_PEER_SUBSCRIBE_OPTIONS},
    {C, V5,   0x82, "0001 00 0001'a' 80", FMX_PEER_SUBSCRIBE_OPTIONS},
    {C, V5,   0x82, "0001 00 000a'$share/g/a' 05", FMX_PEER_SUBSCRIBE_OPTIONS},
    {C, V5,   0x82, "0001 00 0007'$share/' 00", FMX_PEER_TOPIC_FILTER},
    {C, V5,   0x82, "0001 00 0008'$share/g' 00", FMX_PEER_TOPIC_FILTER},
    {C, V5,   0x82, "0001 00 0009'$share/g/' 00", FMX_PEER_TOPIC_FILTER},
    {C, V5,   0x82, "0001 00 0009'$share//a' 00", FMX_PEER_TOPIC_FILTER},
    {C, V5,   0x82, "0001 00 000a'$share/+/a' 00", FMX_PEER_TOPIC_FILTER},
    {C, V5,   0xa2, "0001 00 0009'$share//a'", FMX_PEER_TOPIC_FILTER},
    {C, V311, 0x82, "0001 0000 00", FMX_PEER_TOPIC_FILTER},
    {C, V311, 0x82, "0001 0003'#/a' 00", FMX_PEER_TOPIC_FILTER},
    {C, V311, 0x82, "0001 0002'a#' 00", FMX_PEER_TOPIC_FILTER},
    {C, V311, 0xa2, "0001 0002'+a'", FMX_PEER_TOPIC_FILTER},
    {C, V311, 0x82, "0001 0001'a' 00 0002'a+' 00", FMX_PEER_TOPIC_FILTER},
    {C, V311, 0x82, "0001 0001 ff 00", FMX_PEER_UTF8},
    {C, V5,   0x82, "0001 02 0b00 0001'a' 00", FMX_PEER_PROPERTY_VALUE},
    {C, V5,   0x82, "0001 04 0b01 0b02 0001'a' 00", FMX_PEER_PROPERTY_TWICE},
    {C, V5,   0xa2, "0001 02 0b01 0001'a'", FMX_PEER_PROPERTY},
    {C, V5,   0x82, "0001 04 1f0001'r' 0001'a' 00", FMX_PEER_PROPERTY},
    {C, V311, 0x82, "0001 0009'$share//a' 00", FMX_OK},
    {C, V311, 0x82, "0001 0001'#' 02 0001'+' 01", FMX_OK},
    {C, V5,   0x82, "0001 02 0b01 0001'a' 2e", FMX_OK},
    {C, V5,   0x82, "0001 00 000a'$share/g/a' 00", FMX_OK},
};

static const struct row subacks[] = {
    {S, V311, 0x90, "00", FMX_PEER_SHORT},
    {S, V311, 0x90, "0001", FMX_PEER_SHORT},
    {S, V5,   0x90, "0001 00", FMX_PEER_SHORT},
    {S, V5,   0xb0, "0001", FMX_PEER_SHORT},
    {S, V5,   0xb0, "0001 00", FMX_PEER_SHORT},
    {S, V311, 0x90, "0000 00", FMX_PEER_PACKET_ID},
    {S, V311, 0xb0, "0000", FMX_PEER_PACKET_ID},
    {S, V311, 0xb0, "0001 00", FMX_PEER_TRAILING},
    {S, V311, 0x90, "0001 03", FMX_PEER_REASON_CODE},
    {S, V311, 0x90, "0001 00 87", FMX_PEER_REASON_CODE},
    {S, V5,   0x90, "0001 00 11", FMX_PEER_REASON_CODE},
    {S, V5,   0xb0, "0001 00 01", FMX_PEER_REASON_CODE},
    {S, V5,   0xb0, "0001 00 97", FMX_PEER_REASON_CODE},
    {S, V5,   0x90, "0001 02 0b01 00", FMX_PEER_PROPERTY},
    {S, V311, 0x90, "0001 00 01 02 80", FMX_OK},
    {S, V5,   0x90, "0001 00 00 02 8f 9e", FMX_OK},
    {S, V5,   0xb0, "0001 00 00 11", FMX_OK},
    {S, V31,  0xb0, "0001", FMX_OK},
};

static const struct row leaves[] = {
    {C, V311, 0xe0, "00", FMX_PEER_TRAILING},
    {C, V31,  0xe0, "00", FMX_PEER_TRAILING},
    {C, V5,   0xe0, "00 00 00", FMX_PEER_TRAILING},
    {C, V5,   0xe0, "00 01", FMX_PEER_SHORT},
    {C, V5,   0xe0, "01", FMX_PEER_REASON_CODE},
    {C, V5,   0xe0, "8e 00", FMX_PEER_REASON_CODE},
    {S, V5,   0xe0, "04", FMX_PEER_REASON_CODE},
    {S, V5,   0xe0, "00 05 1100000001", FMX_PEER_PROPERTY},
    {C, V5,   0xe0, "00 03 210001", FMX_PEER_PROPERTY},
    {C, V5,   0xf0, "", FMX_PEER_REASON_CODE},
    {C, V5,   0xf0, "18", FMX_PEER_PROPERTY},
    {C, V5,   0xf0, "18 00", FMX_PEER_PROPERTY},
    {S, V5,   0xf0, "19 04 15 0001'm'", FMX_PEER_REASON_CODE},
    {C, V5,   0xf0, "00 04 15 0001'm'", FMX_PEER_REASON_CODE},
    {S, V5,   0xf0, "18 04 16 0001'd'", FMX_PEER_PROPERTY_VALUE},
    {C, V5,   0xe0, "", FMX_OK},
    {C, V5,   0xe0, "04", FMX_OK},
    {C, V5,   0xe0, "04 00", FMX_OK},
    {C, V5,   0xe0, "00 05 1100000001", FMX_OK},
    {S, V5,   0xe0, "8e 00", FMX_OK},
    {C, V311, 0xe0, "", FMX_OK},
    {C, V5,   0xf0, "19 04 15 0001'm'", FMX_OK},
    {S, V5,   0xf0, "", FMX_OK},
};
/* clang-format on */

static void decode_checks_kind_side_and_flags(void)
{
    EXPECT_ROWS(kinds_and_flags);
}

static void decode_names_what_is_wrong_in_connect(void)
{
    EXPECT_ROWS(connects);
}

static void decode_names_what_is_wrong_in_connack(void)
{
    EXPECT_ROWS(connacks);
}

static void decode_names_what_is_wrong_in_publish(void)
{
    EXPECT_ROWS(publishes);
}

static void decode_names_what_is_wrong_in_acknowledgements(void)
{
    EXPECT_ROWS(acks);
}

static void decode_names_what_is_wrong_in_subscribe(void)
{
    EXPECT_ROWS(subscribes);
}

static void decode_names_what_is_wrong_in_suback(void)
{
    EXPECT_ROWS(subacks);
}

static void decode_names_what_is_wrong_in_disconnect_and_auth(void)
{
    EXPECT_ROWS(leaves);
}

/* --- the views -------------------------------------------------------------------------------- */

static void expect_text(fmx_slice span, const char *text)
{
    CU_ASSERT(fmx_slice_equal(span, fmx_slice_of(text)));
}

static void decode_fills_every_field_of_connect(void)
{
    const struct row row = {C, V311, 0x10,
                            "0004'MQTT'05 ee 0102 05 1100000e10 0002'id' 05 1800000007 "
                            "0004'will' 0003'bye' 0004'user' 0004'pass'",
                            0};
    struct fmx_packet packet;

    CU_ASSERT_EQUAL(decode_row(&row, &packet), FMX_OK);
    const struct fmx_connect *connect = &packet.connect;
    CU_ASSERT_EQUAL(packet.kind, FMX_CONNECT);
    CU_ASSERT_EQUAL(connect->version, FMX_MQTT_50);
    CU_ASSERT(connect->clean && connect->has_will && connect->will_retain);
    CU_ASSERT(connect->has_username && connect->has_password);
    CU_ASSERT_EQUAL(connect->will_qos, 1);
    CU_ASSERT_EQUAL(connect->keepalive_s, 0x102);
    CU_ASSERT_EQUAL(connect->props.session_expiry_s, 3600);
    CU_ASSERT_EQUAL(connect->will_props.will_delay_s, 7);
    expect_text(connect->client_id, "id");
    expect_text(connect->will_topic, "will");
    expect_text(connect->will_payload, "bye");
    expect_text(connect->username, "user");
    expect_text(connect->password, "pass");
}

static void decode_fills_every_field_of_publish(void)
{
    const struct row row = {C, V5, 0x3b, "0003'a/b' 1234 03 230005 'payload'", 0};
    struct fmx_packet packet;

    CU_ASSERT_EQUAL(decode_row(&row, &packet), FMX_OK);
    const struct fmx_publish *publish = &packet.publish;
    CU_ASSERT(publish->dup && publish->retain);
    CU_ASSERT_EQUAL(publish->qos, 1);
    CU_ASSERT_EQUAL(publish->packet_id, 0x1234);
    CU_ASSERT_EQUAL(publish->props.topic_alias, 5);
    expect_text(publish->topic, "a/b");
    expect_text(publish->payload, "payload");
}

static void decode_walks_the_filters_of_subscribe(void)
{
    const struct row row = {C, V5, 0x82, "0007 00 0003'a/+' 1d 0001'#' 02", 0};
    struct fmx_packet packet;
    struct fmx_filter filter;
    size_t offset = 0;

    CU_ASSERT_EQUAL(decode_row(&row, &packet), FMX_OK);
    const struct fmx_subscribe *subscribe = &packet.subscribe;
    CU_ASSERT_EQUAL(subscribe->filters_count, 2);
    CU_ASSERT_EQUAL(fmx_filter_next(subscribe->filters, true, &offset, &filter), FMX_OK);
    expect_text(filter.filter, "a/+");
    CU_ASSERT_EQUAL(filter.qos, 1);
    CU_ASSERT(filter.no_local && filter.retain_as_published);
    CU_ASSERT_EQUAL(filter.retain_handling, 1);
    CU_ASSERT_EQUAL(fmx_filter_next(subscribe->filters, true, &offset, &filter), FMX_OK);
    expect_text(filter.filter, "#");
    CU_ASSERT_EQUAL(filter.qos, 2);
    CU_ASSERT_FALSE(filter.no_local || filter.retain_as_published);
    CU_ASSERT_EQUAL(fmx_filter_next(subscribe->filters, true, &offset, &filter), FMX_END);
    CU_ASSERT_EQUAL(fmx_filter_next((fmx_slice){0}, true, &(size_t){0}, &filter), FMX_END);
}

static void decode_tells_which_version_a_refused_connect_asked_for(void)
{
    static const struct row asked[] = {
        {C, V311, 0x10, "0004'MQTT'07 02 003c 0001'a'", 7},
        {C, V311, 0x10, "0004'MQTT'05 03 003c 00 0001'a'", 5},
        {C, V311, 0x10, "0006'MQIsdp'03 02 003c 0000", 3},
        {C, V5, 0x10, "0004'NOPE'05 02 003c 00 0001'a'", 4},
        {C, V5, 0x13, "0004'MQTT'05 02 003c 00 0001'a'", 4},
    };
    struct fmx_packet packet;

    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        CU_ASSERT_NOT_EQUAL(decode_row(&asked[i], &packet), FMX_OK);
        CU_ASSERT_EQUAL(packet.kind, FMX_CONNECT);
        CU_ASSERT_EQUAL((int)packet.connect.version, asked[i].status);
    }
}

static void decode_wants_the_shortest_length_in_5_0_only(void)
{
    static const char *const padded[] = {"30 8500 0003'a/b'", "c0 8000", "40 8200 0001",
                                         "10 8d00 0004'MQTT'04 02 003c 0001'a'"};
    static const char *const padded_5[] = {"30 8600 0003'a/b' 00", "c0 8000", "40 82808000 0001",
                                           "10 8e00 0004'MQTT'05 02 003c 00 0001'a'"};
    struct fmx_frame frame;
    struct fmx_packet packet;

    for (size_t i = 0; i < 4; i++) {
        size_t bytes = fmx_bytes_of(padded[i], packet_bytes, sizeof packet_bytes);
        CU_ASSERT_EQUAL(fmx_frame_next((fmx_slice){packet_bytes, bytes}, 99, &frame), FMX_OK);
        CU_ASSERT_EQUAL(fmx_decode(&frame, C, V311, &packet), FMX_OK);
        bytes = fmx_bytes_of(padded_5[i], packet_bytes, sizeof packet_bytes);
        CU_ASSERT_EQUAL(fmx_frame_next((fmx_slice){packet_bytes, bytes}, 99, &frame), FMX_OK);
        CU_ASSERT_EQUAL(fmx_decode(&frame, C, V5, &packet), FMX_PEER_LENGTH);
    }
}

/* --- cut, and there and back ------------------------------------------------------------------ */

struct sender {
    enum fmx_side from;
    enum fmx_version version;
    uint8_t head;
};

/* A body cut short is refused, or is a packet of its own that can be said again. */
static void decode_prefix(void *context, fmx_slice body)
{
    static uint8_t again[1 << 16];
    const struct sender *sender = context;
    size_t head_bytes = 1 + fmx_varint_bytes((uint32_t)body.bytes);
    struct fmx_frame frame = {sender->head, body, head_bytes + body.bytes};
    struct fmx_packet packet;

    if (fmx_decode(&frame, sender->from, sender->version, &packet) == FMX_OK) {
        size_t bytes = fmx_encode_bytes(&packet, sender->version);
        CU_ASSERT(bytes > 0 && bytes <= sizeof again);
        CU_ASSERT_EQUAL(fmx_encode(&packet, sender->version, again), bytes);
    }
}

static void decode_never_looks_past_a_body_cut_anywhere(void)
{
    static struct fmx_random_store store;
    static uint8_t wire[1 << 18];
    static const enum fmx_version versions[] = {V31, V311, V5};
    struct fmx_packet packet;

    for (uint64_t seed = 0; seed < 1500; seed++) {
        struct fmx_prng prng = {seed};
        struct sender sender = {(enum fmx_side)(seed & 1), versions[seed % 3], 0};
        fmx_random_packet(&prng, sender.version, sender.from, &store, &packet);
        if (fmx_encode_bytes(&packet, sender.version) < 400) {
            size_t bytes = fmx_encode(&packet, sender.version, wire);
            size_t head_bytes = bytes < 130 ? 2 : 3;
            sender.head = wire[0];
            fmx_cut_every_prefix((fmx_slice){wire + head_bytes, bytes - head_bytes}, decode_prefix,
                                 &sender);
        }
    }
}

static bool comes_back(const struct fmx_packet *made, enum fmx_version version, enum fmx_side from)
{
    static uint8_t wire[1 << 19], again[1 << 19];
    struct fmx_frame frame;
    struct fmx_packet read;
    size_t bytes = fmx_encode(made, version, wire);

    if (bytes != fmx_encode_bytes(made, version) ||
        fmx_frame_next((fmx_slice){wire, bytes}, FMX_PACKET_BYTES_MAX, &frame) != FMX_OK ||
        frame.bytes != bytes || fmx_decode(&frame, from, version, &read) != FMX_OK ||
        !fmx_packet_equal(made, &read, version)) {
        return false;
    }
    return fmx_encode(&read, version, again) == bytes && memcmp(wire, again, bytes) == 0;
}

static void decode_gives_back_what_was_encoded(void)
{
    static struct fmx_random_store store;
    static const enum fmx_version versions[] = {V31, V311, V5, V5};
    struct fmx_packet packet;

    for (uint64_t seed = 0; seed < 40000; seed++) {
        struct fmx_prng prng = {seed};
        enum fmx_version version = versions[seed % 4];
        enum fmx_side from = (enum fmx_side)(seed >> 2 & 1);
        fmx_random_packet(&prng, version, from, &store, &packet);
        bool is_good = comes_back(&packet, version, from);
        if (!is_good) {
            fprintf(stderr, "seed %llu: kind %u\n", (unsigned long long)seed, packet.kind);
        }
        CU_ASSERT(is_good);
    }
}

static void decode_accepts_rows_that_encode_to_an_equal_view(void)
{
    static const struct {
        const struct row *rows;
        size_t count;
    } tables[] = {
        {connects, sizeof connects / sizeof connects[0]},
        {connacks, sizeof connacks / sizeof connacks[0]},
        {publishes, sizeof publishes / sizeof publishes[0]},
        {acks, sizeof acks / sizeof acks[0]},
        {subscribes, sizeof subscribes / sizeof subscribes[0]},
        {subacks, sizeof subacks / sizeof subacks[0]},
        {leaves, sizeof leaves / sizeof leaves[0]},
    };
    struct fmx_packet packet;

    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct row *row = &tables[t].rows[i];
            if (decode_row(row, &packet) == FMX_OK) {
                CU_ASSERT(
                    comes_back(&packet, (enum fmx_version)row->version, (enum fmx_side)row->from));
            }
        }
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(decode_checks_kind_side_and_flags),
    FMX_TEST_CASE(decode_names_what_is_wrong_in_connect),
    FMX_TEST_CASE(decode_names_what_is_wrong_in_connack),
    FMX_TEST_CASE(decode_names_what_is_wrong_in_publish),
    FMX_TEST_CASE(decode_names_what_is_wrong_in_acknowledgements),
    FMX_TEST_CASE(decode_names_what_is_wrong_in_subscribe),
    FMX_TEST_CASE(decode_names_what_is_wrong_in_suback),
    FMX_TEST_CASE(decode_names_what_is_wrong_in_disconnect_and_auth),
    FMX_TEST_CASE(decode_fills_every_field_of_connect),
    FMX_TEST_CASE(decode_fills_every_field_of_publish),
    FMX_TEST_CASE(decode_walks_the_filters_of_subscribe),
    FMX_TEST_CASE(decode_tells_which_version_a_refused_connect_asked_for),
    FMX_TEST_CASE(decode_wants_the_shortest_length_in_5_0_only),
    FMX_TEST_CASE(decode_never_looks_past_a_body_cut_anywhere),
    FMX_TEST_CASE(decode_gives_back_what_was_encoded),
    FMX_TEST_CASE(decode_accepts_rows_that_encode_to_an_equal_view),
};

int main(int argc, char **argv)
{
    return fmx_test_main("decode", cases, sizeof cases / sizeof cases[0], argc, argv);
}
