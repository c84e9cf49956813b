/*
 * sim_uplink — from the kernel's buffer to on_message nothing is copied
 *
 * Why it is so:   a copy that comes back changes no result and fails no other test. So two things
 *                 are held here: every slice that on_message gets lies where the kernel put it, at
 *                 the very offset at which it was sent; and no byte of a receive buffer is read by
 *                 memcpy or memmove, which the linker lets this file see. A packet torn between two
 *                 buffers is copied once, and neither the one before it nor the one behind it
 * Words:          flight: packets that are sent together, the first at the begin of a buffer
 * Limits:         a loop that copies byte by byte is seen only if on_message gets its result
 */
#include "proto/decode.h"
#include "proto/encode.h"
#include "tests/sim/gateway_story.h"

#include <fleetmux/registry.h>

#define SEEDS         4u
#define BUFFER_BYTES  1024u
#define FLIGHT_ROOM   4096u
#define PACKETS_MAX   16u
#define TURNS_MAX     2000u
#define ERROR_BYTES   512
#define SECRET        "secret"
#define TORN_BYTES    90u  /* payload of the packet that is cut */
#define SIZED_BYTES   500u /* any payload that needs two bytes of remaining length */
#define FLIGHTS       8u
#define SLICES        6u
#define LENGTH_2_FROM 128u

/* One packet of a flight, and where its slices lie in it. */
struct said {
    size_t begin;
    size_t bytes;
    size_t slice_at[SLICES];
    size_t slice_bytes[SLICES];
};

struct dialect {
    enum fmx_profile profile;
    enum fmx_version version;
    const char *topic;
};

static struct fmx_gateway_story story;
static struct fmx_story_client client;
static const struct dialect *dialect;
static uint8_t flight[FLIGHT_ROOM];
static size_t flight_bytes;
static struct said said[PACKETS_MAX];
static unsigned said_count;
static unsigned heard_count;
static unsigned due_count; /* PUBACKs */
static unsigned acknowledged_count;
static size_t copied_bytes; /* out of receive buffers */
static bool is_watching;

/* ── what is copied out of a buffer ── */

static void watch(const void *from, size_t bytes)
{
    size_t offset;

    if (is_watching && bytes > 0 &&
        fmx_sim_is_received(fmx_story_shard(&story.story, 0)->ring, from, &offset)) {
        copied_bytes += bytes;
    }
}

void *__real_memcpy(void *to, const void *from, size_t bytes);
void *__wrap_memcpy(void *to, const void *from, size_t bytes);
void *__real_memmove(void *to, const void *from, size_t bytes);
void *__wrap_memmove(void *to, const void *from, size_t bytes);
void *__real___memcpy_chk(void *to, const void *from, size_t bytes, size_t room);
void *__wrap___memcpy_chk(void *to, const void *from, size_t bytes, size_t room);

void *__wrap_memcpy(void *to, const void *from, size_t bytes)
{
    watch(from, bytes);
    return __real_memcpy(to, from, bytes);
}

void *__wrap_memmove(void *to, const void *from, size_t bytes)
{
    watch(from, bytes);
    return __real_memmove(to, from, bytes);
}

/* What the compiler makes of memcpy where it knows the room. */
void *__wrap___memcpy_chk(void *to, const void *from, size_t bytes, size_t room)
{
    watch(from, bytes);
    return __real___memcpy_chk(to, from, bytes, room);
}

/* ── what on_message gets ── */

static void list_slices(const struct fmx_gateway_message *message, fmx_slice out[SLICES])
{
    out[0] = message->topic;
    out[1] = message->payload;
    out[2] = message->response_topic;
    out[3] = message->correlation_data;
    out[4] = message->content_type;
    out[5] = message->user_properties;
}

static bool is_torn(const struct said *packet)
{
    return packet->begin / BUFFER_BYTES != (packet->begin + packet->bytes - 1) / BUFFER_BYTES;
}

static void expect_place(const struct said *packet, unsigned index, fmx_slice slice)
{
    const struct fmx_ring *ring = fmx_story_shard(&story.story, 0)->ring;
    size_t at = packet->begin + packet->slice_at[index];
    size_t offset;

    STORY_ASSERT(slice.bytes == packet->slice_bytes[index]);
    if (slice.bytes == 0) {
        return;
    }
    STORY_ASSERT(memcmp(slice.data, flight + at, slice.bytes) == 0);
    if (is_torn(packet)) {
        STORY_ASSERT(!fmx_sim_is_received(ring, slice.data, &offset));
    } else {
        STORY_ASSERT(fmx_sim_is_received(ring, slice.data, &offset));
        STORY_ASSERT(offset == at % BUFFER_BYTES);
    }
}

static void on_message(void *user, const struct fmx_gateway_message *message)
{
    const struct said *packet = &said[heard_count];
    fmx_slice slices[SLICES];

    (void)user;
    is_watching = false; /* what this file copies does not count */
    STORY_ASSERT(heard_count < said_count);
    list_slices(message, slices);
    for (unsigned i = 0; i < SLICES; i++) {
        expect_place(packet, i, slices[i]);
        /* of a torn packet: still one piece */
        STORY_ASSERT(slices[i].bytes == 0 ||
                     slices[i].data - slices[0].data ==
                         (ptrdiff_t)packet->slice_at[i] - (ptrdiff_t)packet->slice_at[0]);
    }
    heard_count++;
    is_watching = true;
}

static enum fmx_status on_device(void *user, fmx_slice product_key, fmx_slice device_name,
                                 struct fmx_gateway_device *out_device)
{
    (void)user;
    (void)product_key;
    (void)device_name;
    out_device->secret_bytes = sizeof(SECRET) - 1;
    memcpy(out_device->secret, SECRET, sizeof(SECRET) - 1);
    return FMX_OK;
}

/* ── what is sent ── */

static fmx_slice text(const char *words)
{
    return fmx_slice_of(words);
}

static void note_slice(struct said *packet, unsigned index, fmx_slice slice)
{
    packet->slice_bytes[index] = slice.bytes;
    packet->slice_at[index] = slice.bytes > 0 ? (size_t)(slice.data - flight) - packet->begin : 0;
}

/* Where the slices of the packet lie is told by decoding it from the flight itself. */
static void note_packet(struct said *packet)
{
    fmx_slice rest = {.data = flight + packet->begin, .bytes = packet->bytes};
    struct fmx_packet decoded;
    struct fmx_frame frame;

    STORY_ASSERT(fmx_frame_next(rest, BUFFER_BYTES * 2, &frame) == FMX_OK);
    STORY_ASSERT(fmx_decode(&frame, FMX_SIDE_CLIENT, dialect->version, &decoded) == FMX_OK);
    const struct fmx_props *props = &decoded.publish.props;
    bool has_props = dialect->version == FMX_MQTT_50;
    note_slice(packet, 0, decoded.publish.topic);
    note_slice(packet, 1, decoded.publish.payload);
    note_slice(packet, 2, has_props ? props->response_topic : (fmx_slice){0});
    note_slice(packet, 3, has_props ? props->correlation_data : (fmx_slice){0});
    note_slice(packet, 4, has_props ? props->content_type : (fmx_slice){0});
    note_slice(packet, 5, has_props ? props->raw : (fmx_slice){0});
}

static void describe(struct fmx_publish *publish)
{
    static uint8_t user[64];
    size_t user_bytes = 0;

    STORY_ASSERT(fmx_user_property_write(user, sizeof(user), &user_bytes, text("key"),
                                         text("value")) == FMX_OK);
    publish->props.present =
        FMX_PROP_BIT(FMX_PROP_RESPONSE_TOPIC) | FMX_PROP_BIT(FMX_PROP_CORRELATION_DATA) |
        FMX_PROP_BIT(FMX_PROP_CONTENT_TYPE) | FMX_PROP_BIT(FMX_PROP_USER_PROPERTY);
    publish->props.response_topic = text("/pk/device/user/answers");
    publish->props.correlation_data = text("one and only");
    publish->props.content_type = text("text/plain");
    publish->props.raw = (fmx_slice){user, user_bytes};
    publish->props.user_count = 1;
}

static struct said *add(size_t payload_bytes, uint8_t qos)
{
    static uint8_t payload[BUFFER_BYTES];
    struct fmx_packet packet = {.kind = FMX_PUBLISH};
    struct said *one = &said[said_count++];

    STORY_ASSERT(said_count <= PACKETS_MAX && payload_bytes <= sizeof(payload));
    for (size_t i = 0; i < payload_bytes; i++) {
        payload[i] = (uint8_t)fmx_prng_next(fmx_sim_prng());
    }
    packet.publish.topic = text(dialect->topic);
    packet.publish.payload = (fmx_slice){payload, payload_bytes};
    packet.publish.qos = qos;
    packet.publish.packet_id = qos > 0 ? ++client.packet_id : 0;
    if (dialect->version == FMX_MQTT_50) {
        describe(&packet.publish);
    }
    *one =
        (struct said){.begin = flight_bytes, .bytes = fmx_encode_bytes(&packet, dialect->version)};
    STORY_ASSERT(one->bytes > 0 && flight_bytes + one->bytes <= FLIGHT_ROOM);
    (void)fmx_encode(&packet, dialect->version, flight + flight_bytes);
    flight_bytes += one->bytes;
    due_count += qos;
    note_packet(one);
    return one;
}

static void begin_flight(void)
{
    flight_bytes = 0;
    said_count = 0;
    heard_count = 0;
    due_count = 0;
    acknowledged_count = 0;
    copied_bytes = 0;
}

/* All are heard, and acknowledged: else the next flight may be more than Receive Maximum. */
static bool is_over(void *user)
{
    struct fmx_packet packet;

    (void)user;
    while (fmx_story_next(&client, &packet)) {
        STORY_ASSERT(packet.kind == FMX_PUBACK && packet.ack.reason < 0x80);
        STORY_ASSERT(acknowledged_count < heard_count); /* it comes after the callback */
        acknowledged_count++;
    }
    return heard_count == said_count && acknowledged_count == due_count;
}

static void fly(void)
{
    fmx_sim_peer_send(client.peer, (fmx_slice){flight, flight_bytes});
    is_watching = true;
    STORY_ASSERT(fmx_story_until(&story.story, is_over, NULL, TURNS_MAX));
    is_watching = false;
}

/* ── the story ── */

static bool is_admitted(void *user)
{
    struct fmx_packet packet;

    (void)user;
    (void)fmx_story_next(&client, &packet);
    return client.is_admitted;
}

static void say_connect(void)
{
    struct fmx_packet packet = {.kind = FMX_CONNECT};
    struct fmx_signed_connect signed_connect;
    char error[ERROR_BYTES];

    packet.connect.version = dialect->version;
    packet.connect.clean = true;
    packet.connect.keepalive_s = 300;
    packet.connect.client_id = text("anybody");
    if (dialect->profile == FMX_PROFILE_PLATFORM) {
        STORY_ASSERT(fmx_sign_connect("pk", "device", SECRET, NULL, &signed_connect, error,
                                      sizeof(error)) == FMX_OK);
        packet.connect.client_id = text(signed_connect.client_id);
        packet.connect.has_username = true;
        packet.connect.username = text(signed_connect.username);
        packet.connect.has_password = true;
        packet.connect.password = text(signed_connect.password);
    }
    fmx_story_say(&client, &packet);
}

static void open_story(void)
{
    struct fmx_sim_temper *temper = fmx_sim_temper();

    is_watching = false;    /* a case that has failed may have left it on */
    temper->short_read = 0; /* buffers are cut where the test says */
    temper->recv_ends = 0;
    fmx_gateway_story_init(&story, 1);
    struct fmx_mux_options mux = story.options.mux;
    const char *const *listen = story.options.listen;
    fmx_gateway_options_init(&story.options, dialect->profile);
    story.options.mux = mux;
    story.options.mux.recv_buffer_bytes = BUFFER_BYTES;
    story.options.listen = listen;
    story.options.listen_count = 1;
    story.options.limits.upstream_per_second = FMX_UNLIMITED;
    story.options.limits.upstream_qos1_per_second = FMX_UNLIMITED;
    story.options.callbacks.on_message = on_message;
    if (dialect->profile == FMX_PROFILE_PLATFORM) {
        story.options.callbacks.on_device = on_device;
    }
    fmx_gateway_story_open(&story);
    client = fmx_story_client(0, dialect->version);
    say_connect();
    STORY_ASSERT(fmx_story_until(&story.story, is_admitted, NULL, TURNS_MAX));
}

/* The first message is not looked at: the router keeps its topic, and all have the same. */
static void open_warm(void)
{
    open_story();
    begin_flight();
    (void)add(1, 0);
    fly();
}

static void play_whole(void)
{
    open_warm();
    for (unsigned i = 0; i < FLIGHTS; i++) {
        begin_flight();
        uint8_t qos = i % 2;
        while (said_count < PACKETS_MAX / 2) {
            add(fmx_prng_below(fmx_sim_prng(), 40), qos);
            if (flight_bytes > BUFFER_BYTES) { /* one too many: it would be torn */
                said_count--;
                due_count -= qos;
                flight_bytes = said[said_count].begin;
                break;
            }
        }
        STORY_ASSERT(said_count >= 3);
        fly();
        STORY_ASSERT(copied_bytes == 0);
    }
    STORY_ASSERT(fmx_gateway_story_stats(&story).packets_torn == 0);
    fmx_gateway_story_end(&story);
}

/* Payload bytes of a packet that is to be `bytes` long. */
static size_t payload_for(size_t bytes, uint8_t qos)
{
    begin_flight();
    size_t around = add(SIZED_BYTES, qos)->bytes - SIZED_BYTES;

    STORY_ASSERT(bytes >= around + LENGTH_2_FROM);
    return bytes - around;
}

/* One packet before, one cut after `cut` bytes, one behind. */
static size_t fly_torn(size_t cut, uint8_t qos)
{
    size_t before = payload_for(BUFFER_BYTES - cut, qos);

    begin_flight();
    add(before, qos);
    size_t bytes = add(TORN_BYTES, qos)->bytes;
    add(10, qos);
    STORY_ASSERT(said[1].begin == BUFFER_BYTES - cut && is_torn(&said[1]));
    STORY_ASSERT(!is_torn(&said[0]) && !is_torn(&said[2]));
    uint64_t torn = fmx_gateway_story_stats(&story).packets_torn;
    fly();
    STORY_ASSERT(copied_bytes == bytes);
    STORY_ASSERT(fmx_gateway_story_stats(&story).packets_torn == torn + 1);
    return bytes;
}

static void play_torn(void)
{
    open_warm();
    for (unsigned qos = 0; qos <= 1; qos++) {
        size_t cut = 1;
        while (cut < fly_torn(cut, (uint8_t)qos) - 1) {
            cut++;
        }
    }
    fmx_gateway_story_end(&story);
}

/* ── cases ── */

static const struct dialect dialects[] = {
    {FMX_PROFILE_OPEN, FMX_MQTT_311, "any/topic"},
    {FMX_PROFILE_OPEN, FMX_MQTT_50, "any/topic"},
    {FMX_PROFILE_PLATFORM, FMX_MQTT_311, "/pk/device/user/update"},
    {FMX_PROFILE_PLATFORM, FMX_MQTT_50, "/pk/device/user/update"},
};

static void play_all(void (*play)(void))
{
    for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++) {
        dialect = &dialects[i];
        fmx_story_play(play, SEEDS);
    }
}

static void a_packet_in_one_buffer_is_heard_where_the_kernel_put_it(void)
{
    play_all(play_whole);
}

static void of_a_torn_packet_its_own_bytes_are_copied_once(void)
{
    play_all(play_torn);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_packet_in_one_buffer_is_heard_where_the_kernel_put_it),
    FMX_TEST_CASE(of_a_torn_packet_its_own_bytes_are_copied_once),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_uplink", cases, sizeof cases / sizeof cases[0], argc, argv);
}
