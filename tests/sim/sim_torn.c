/*
 * sim_torn — packets cut anywhere by short reads, resumed, paused: the role hears the same packets
 *
 * Why it is so:   a packet may lie whole in a buffer, across two, across fifty, or behind others
 *                 that must wait. What the role was told is encoded again here; since the encoder
 *                 has one form for each packet, the result must be the very stream that the client
 *                 sent
 */
#include "proto/encode.h"
#include "tests/sim/echo.h"
#include "tests/sim/story.h"
#include "tests/support/random_packet.h"

#include <stdlib.h>

#define CLIENTS     6u
#define PACKETS     60u
#define TURNS_MAX   60000u
#define STREAM_ROOM (4u << 20)

struct stream {
    uint8_t *bytes;
    size_t used;
};

static struct fmx_story story;
static struct fmx_echo echo;
static struct fmx_story_client clients[CLIENTS];
static struct stream said[CLIENTS];
static struct stream heard[CLIENTS];
static struct fmx_random_store store;
static uint8_t payload[60000];

static uint64_t below(uint64_t n)
{
    return fmx_prng_below(fmx_sim_prng(), n);
}

static void append(struct stream *stream, const struct fmx_packet *packet, enum fmx_version version)
{
    size_t bytes = fmx_encode_bytes(packet, version);

    STORY_ASSERT(bytes > 0 && stream->used + bytes <= STREAM_ROOM);
    (void)fmx_encode(packet, version, stream->bytes + stream->used);
    stream->used += bytes;
}

/* Whose connection it is: the number in its client id. */
static void hear(void *user, struct fmx_conn *conn, struct fmx_packet *packet)
{
    static unsigned numbers[256];

    (void)user;
    if (packet->kind == FMX_CONNECT) {
        numbers[conn->slot.index] = packet->connect.client_id.data[0] - '0';
        return;
    }
    append(&heard[numbers[conn->slot.index]], packet, (enum fmx_version)conn->session.version);
}

/* Aliases are looked up on the way and RETAIN is let through: leave the first out. */
static void make_publish(struct fmx_packet *packet, enum fmx_version version)
{
    do {
        store.used = 0;
        fmx_random_packet(fmx_sim_prng(), version, FMX_SIDE_CLIENT, &store, packet);
    } while (packet->kind != FMX_PUBLISH || packet->publish.topic.bytes == 0 ||
             packet->publish.topic.bytes > 1000);
    packet->publish.props.present &= ~FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS);
    if (packet->publish.qos == 2) {
        packet->publish.qos = 1;
    }
}

static void make_plain(struct fmx_packet *packet)
{
    *packet = (struct fmx_packet){.kind = FMX_PUBLISH};
    packet->publish.topic = fmx_slice_of("some/topic");
    packet->publish.payload = (fmx_slice){payload, below(10) == 0 ? below(60000) : below(300)};
    packet->publish.qos = (uint8_t)below(2);
    packet->publish.packet_id = packet->publish.qos > 0 ? (uint16_t)(1 + below(65535)) : 0;
}

static void make_subscribe(struct fmx_packet *packet, uint8_t *room, size_t room_bytes)
{
    struct fmx_writer writer = fmx_writer_of(room, room_bytes);
    struct fmx_filter entry = {.filter = fmx_slice_of("a/+/b/#"), .qos = 1};

    *packet = (struct fmx_packet){.kind = FMX_SUBSCRIBE};
    fmx_filter_write(&writer, true, &entry);
    packet->subscribe.packet_id = 77;
    packet->subscribe.filters_count = 1;
    packet->subscribe.filters = (fmx_slice){room, (size_t)(writer.at - room)};
}

/* PINGREQ is answered by the session: the role does not hear of it, and it must not disturb. */
static void say_something(unsigned i)
{
    struct fmx_packet packet;
    uint8_t room[64];

    switch (below(8)) {
    case 0:
        packet = (struct fmx_packet){.kind = FMX_PINGREQ};
        fmx_story_say(&clients[i], &packet);
        return;
    case 1:
        make_subscribe(&packet, room, sizeof(room));
        break;
    case 2:
    case 3:
        make_publish(&packet, clients[i].version);
        break;
    default:
        make_plain(&packet);
        break;
    }
    append(&said[i], &packet, clients[i].version);
    fmx_story_say(&clients[i], &packet);
}

static bool all_is_heard(void *user)
{
    (void)user;
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (heard[i].used < said[i].used) {
            return false;
        }
    }
    return true;
}

static void make_streams(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (said[i].bytes == NULL) {
            said[i].bytes = malloc(STREAM_ROOM);
            heard[i].bytes = malloc(STREAM_ROOM);
            CU_ASSERT_FATAL(said[i].bytes != NULL && heard[i].bytes != NULL);
        }
        said[i].used = heard[i].used = 0;
    }
    for (size_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (uint8_t)(i * 7);
    }
}

static void begin(void)
{
    static const enum fmx_version versions[] = {FMX_MQTT_31, FMX_MQTT_311, FMX_MQTT_50};

    fmx_story_init(&story);
    story.options.recv_buffer_bytes = 512u << below(4);
    story.options.packets_per_turn_max = 1 + (uint32_t)below(20);
    story.session.topic_bytes_max = 65535;
    story.session.topic_levels_max = 128;
    story.session.user_properties_max = 1000;
    echo = (struct fmx_echo){.late_verdict = 500, .on_packet = hear};
    fmx_story_open(&story, &fmx_echo_role, &echo);
    fmx_sim_temper()->short_read = 500;
    make_streams();
    for (unsigned i = 0; i < CLIENTS; i++) {
        char id[] = {(char)('0' + i), '\0'};
        clients[i] = fmx_story_client(0, versions[below(3)]);
        fmx_story_say_connect(&clients[i], id, true, 0);
    }
}

static void play(void)
{
    begin();
    for (unsigned n = 0; n < PACKETS; n++) {
        say_something((unsigned)below(CLIENTS));
        fmx_story_turns(&story, (unsigned)below(3));
    }
    STORY_ASSERT(fmx_story_until(&story, all_is_heard, NULL, TURNS_MAX));
    fmx_story_turns(&story, 50);
    for (unsigned i = 0; i < CLIENTS; i++) {
        STORY_ASSERT(heard[i].used == said[i].used);
        STORY_ASSERT(memcmp(heard[i].bytes, said[i].bytes, said[i].used) == 0);
    }
    STORY_ASSERT(echo.closes == 0);
    fmx_story_stop(&story, 1000);
    fmx_story_drain(&story);
    fmx_story_close(&story);
}

static void packets_cut_anywhere_are_heard_as_they_were_said(void)
{
    fmx_story_play(play, STORY_SEEDS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        free(said[i].bytes);
        free(heard[i].bytes);
        said[i].bytes = heard[i].bytes = NULL;
    }
}

/* What came before the peer's end counts, even where it must wait for the verdict or its turn. */
static void play_then_end(void)
{
    begin();
    for (unsigned i = 0; i < CLIENTS; i++) {
        for (uint64_t n = below(30); n > 0; n--) {
            say_something(i);
        }
        fmx_sim_peer_end(clients[i].peer);
    }
    STORY_ASSERT(fmx_story_until(&story, all_is_heard, NULL, TURNS_MAX));
    fmx_story_turns(&story, 100);
    STORY_ASSERT(echo.closes == CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        STORY_ASSERT(heard[i].used == said[i].used);
    }
    fmx_story_stop(&story, 1000);
    fmx_story_drain(&story);
    fmx_story_close(&story);
}

static void what_came_before_the_peers_end_is_heard(void)
{
    fmx_story_play(play_then_end, STORY_SEEDS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        free(said[i].bytes);
        free(heard[i].bytes);
        said[i].bytes = heard[i].bytes = NULL;
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(packets_cut_anywhere_are_heard_as_they_were_said),
    FMX_TEST_CASE(what_came_before_the_peers_end_is_heard),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_torn", cases, sizeof cases / sizeof cases[0], argc, argv);
}
