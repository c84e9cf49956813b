/*
 * fuzz_decode — what is accepted can be said again, and then means the same
 *
 * The first byte of the input chooses the sender (bit 0) and the version (the rest, modulo 3); a
 * stream of packets follows.
 */
#include "proto/decode.h"
#include "proto/encode.h"
#include "proto/limits.h"
#include "tests/support/fuzz.h"
#include "tests/support/packet_equal.h"

static void expect_same_again(const struct fmx_packet *packet, enum fmx_side from,
                              enum fmx_version version)
{
    size_t bytes = fmx_encode_bytes(packet, version);
    uint8_t *wire = malloc(bytes);
    struct fmx_frame frame;
    struct fmx_packet again;

    FMX_ASSERT(bytes > 0 && wire != NULL);
    FMX_ASSERT(fmx_encode(packet, version, wire) == bytes);
    FMX_ASSERT(fmx_frame_next((fmx_slice){wire, bytes}, FMX_PACKET_BYTES_MAX, &frame) == FMX_OK);
    FMX_ASSERT(frame.bytes == bytes);
    FMX_ASSERT(fmx_decode(&frame, from, version, &again) == FMX_OK);
    FMX_ASSERT(fmx_packet_equal(packet, &again, version));
    free(wire);
}

static void expect_walkable(const struct fmx_packet *packet)
{
    const struct fmx_subscribe *subscribe = &packet->subscribe;
    bool has_options = packet->kind == FMX_SUBSCRIBE;
    struct fmx_filter filter;
    uint32_t count = 0;
    size_t offset = 0;

    if (!has_options && packet->kind != FMX_UNSUBSCRIBE) {
        return;
    }
    while (fmx_filter_next(subscribe->filters, has_options, &offset, &filter) == FMX_OK) {
        FMX_ASSERT(filter.filter.bytes > 0 && filter.qos <= 2 && filter.retain_handling <= 2);
        count++;
    }
    FMX_ASSERT(count == subscribe->filters_count && offset == subscribe->filters.bytes);
}

/* The body alone in a block of its own. */
static void decode_one(const struct fmx_frame *frame, enum fmx_side from, enum fmx_version version)
{
    uint8_t *copy = fmx_fuzz_copy(frame->body.data, frame->body.bytes);
    struct fmx_frame alone = {frame->head, {copy, frame->body.bytes}, frame->bytes};
    struct fmx_packet packet;
    enum fmx_status early = fmx_decode_head(&alone, from, version);
    enum fmx_status status = fmx_decode(&alone, from, version, &packet);

    FMX_ASSERT(early == FMX_OK || early == status);
    if (status == FMX_OK) {
        expect_walkable(&packet);
        expect_same_again(&packet, from, version);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const enum fmx_version versions[] = {FMX_MQTT_31, FMX_MQTT_311, FMX_MQTT_50};
    struct fmx_frame frame;

    if (bytes == 0) {
        return 0;
    }
    enum fmx_side from = (enum fmx_side)(data[0] & 1);
    enum fmx_version version = versions[(data[0] >> 1) % 3];
    fmx_slice unread = {data + 1, bytes - 1};
    while (fmx_frame_next(unread, FMX_PACKET_BYTES_MAX, &frame) == FMX_OK) {
        decode_one(&frame, from, version);
        unread.data += frame.bytes;
        unread.bytes -= frame.bytes;
    }
    return 0;
}
