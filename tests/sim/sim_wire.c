/*
 * sim_wire — a message says the same to each receiver, whether it is passed on as it came or not
 *
 * Why it is so:   to receivers of the publisher's version and QoS the gateway copies the packet out
 *                 of the kernel's buffer, and sets no more than flags and identifier; to all others
 *                 it is encoded anew. What one hop must not pass on, an alias, a flag, a length in
 *                 more bytes than it needs, lies in that very packet. So any message is told to
 *                 receivers of all versions and both QoS, many at once and one alone, here and on
 *                 another shard, and what each of them gets is compared with what was said
 * Words:          audience: the receivers of one message, named by its topic's first level
 * Invariants:     each receiver of the audience gets a message once, the others never, with QoS as
 *                 the lower of both, neither DUP nor RETAIN, and its length in the fewest bytes
 * Limits:         one message at a time: order and queues are sim_slow_consumer.c's
 */
#include "engine/payload.h"
#include "proto/encode.h"
#include "tests/sim/gateway_story.h"
#include "tests/support/packet_equal.h"
#include "tests/support/random_packet.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEDS        40u
#define MESSAGES     40u
#define TURNS_MAX    3000u
#define SETTLE_TURNS 200u
#define PUBLISHERS   3u
#define RECEIVERS    8u
#define TOPIC_ROOM   64u
#define NEAR_BYTES   48u /* about what stands around a payload */
#define PAYLOAD_MAX  30000u
#define ALIASES      4u
#define EXPIRY_S_MIN 10u /* no message expires on its way */

enum manner {
    PLAIN,
    WITH_ALIAS,  /* of the publisher in 5.0 */
    WITH_LENGTH, /* in a byte more than it needs, which 5.0 forbids */
};

struct receiver {
    struct fmx_story_client client;
    bool has_heard;
};

struct said {
    struct fmx_packet packet;
    struct fmx_story_client *publisher;
    const char *audience;
    char topic[TOPIC_ROOM]; /* that the receivers see; in the packet it may be an alias */
    bool is_acknowledged;
};

static const enum fmx_version versions[PUBLISHERS] = {FMX_MQTT_31, FMX_MQTT_311, FMX_MQTT_50};

static const char *const audiences[] = {"all", "new", "old"};

static const struct {
    enum fmx_version version;
    uint8_t qos;
    const char *audience;
} wishes[RECEIVERS] = {{FMX_MQTT_31, 0, "all"},  {FMX_MQTT_31, 1, "all"}, {FMX_MQTT_311, 0, "all"},
                       {FMX_MQTT_311, 1, "all"}, {FMX_MQTT_50, 0, "all"}, {FMX_MQTT_50, 1, "all"},
                       {FMX_MQTT_50, 1, "new"},  {FMX_MQTT_311, 1, "old"}};

static struct fmx_gateway_story story;
static enum manner manner;
static struct fmx_story_client publishers[PUBLISHERS];
static struct receiver receivers[RECEIVERS];
static struct said said;
static char aliased[ALIASES + 1][TOPIC_ROOM]; /* by alias; empty: never named */
static struct fmx_random_store store;
static uint8_t payload[PAYLOAD_MAX];

static unsigned below(unsigned n)
{
    return (unsigned)fmx_prng_below(fmx_sim_prng(), n);
}

/* ── what is said ── */

/* Around the sizes at which a length takes a byte more, and a message is stored for good. */
static fmx_slice make_payload(void)
{
    static const unsigned edges[] = {0, 100, 127, 2048, 2100, 16384, PAYLOAD_MAX};
    unsigned edge = edges[below(sizeof edges / sizeof edges[0])];
    unsigned bytes = edge < NEAR_BYTES ? edge : edge - below(NEAR_BYTES);

    for (unsigned i = 0; i < bytes; i++) {
        payload[i] = (uint8_t)fmx_prng_next(fmx_sim_prng());
    }
    return (fmx_slice){payload, bytes};
}

static void make_props(struct fmx_props *props)
{
    fmx_random_props(fmx_sim_prng(), FMX_PUBLISH, &store, props);
    props->present &=
        ~(FMX_PROP_BIT(FMX_PROP_SUBSCRIPTION_ID) | FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS));
    if (fmx_props_has(props, FMX_PROP_RESPONSE_TOPIC)) {
        props->response_topic = fmx_slice_of("to/me");
    }
    if (props->message_expiry_s < EXPIRY_S_MIN) {
        props->message_expiry_s = EXPIRY_S_MIN;
    }
}

/* Names the alias, perhaps anew; or says it instead of the topic that it was named with. */
static void use_alias(struct fmx_publish *publish)
{
    unsigned alias = 1 + below(ALIASES);
    bool is_known = strncmp(aliased[alias], said.audience, strlen(said.audience)) == 0;

    publish->props.present |= FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS);
    publish->props.topic_alias = (uint16_t)alias;
    if (is_known && below(2) == 0) {
        memcpy(said.topic, aliased[alias], TOPIC_ROOM);
        publish->topic = (fmx_slice){0};
    } else {
        memcpy(aliased[alias], said.topic, TOPIC_ROOM);
    }
}

static void make_message(void)
{
    struct fmx_publish *publish = &said.packet.publish;

    store.used = 0;
    said = (struct said){.packet.kind = FMX_PUBLISH,
                         .publisher = &publishers[below(PUBLISHERS)],
                         .audience = audiences[below(sizeof audiences / sizeof audiences[0])]};
    snprintf(said.topic, TOPIC_ROOM, "%s/%.*s", said.audience, (int)below(20),
             "a/device/of/this/fleet");
    publish->topic = fmx_slice_of(said.topic);
    publish->payload = make_payload();
    publish->qos = (uint8_t)below(2);
    publish->dup = publish->qos > 0 && below(2) == 0;
    publish->packet_id = publish->qos > 0 ? ++said.publisher->packet_id : 0;
    if (said.publisher->version == FMX_MQTT_50) {
        make_props(&publish->props);
        if (manner == WITH_ALIAS) {
            use_alias(publish);
        }
    } else {
        publish->retain = below(2) == 0; /* in 5.0 it is refused */
    }
}

/* Writes the length with a byte more; returns the bytes of the packet, which has room for it. */
static size_t lengthen(uint8_t *packet, size_t bytes)
{
    size_t last = 1;

    while ((packet[last] & 0x80) != 0) {
        last++;
    }
    packet[last] |= 0x80;
    memmove(packet + last + 2, packet + last + 1, bytes - last - 1);
    packet[last + 1] = 0;
    return bytes + 1;
}

static void say_message(void)
{
    enum fmx_version version = said.publisher->version;
    size_t bytes = fmx_encode_bytes(&said.packet, version);
    uint8_t *room = malloc(bytes + 1);

    STORY_ASSERT(bytes > 0 && room != NULL);
    STORY_ASSERT(fmx_encode(&said.packet, version, room) == bytes);
    if (manner == WITH_LENGTH && version != FMX_MQTT_50) {
        bytes = lengthen(room, bytes);
    }
    fmx_sim_peer_send(said.publisher->peer, (fmx_slice){room, bytes});
    free(room);
}

/* ── what is heard ── */

/* On the way to another shard a part of the last second may have passed. */
static void expect_expiry(uint32_t heard_s)
{
    uint32_t said_s = said.packet.publish.props.message_expiry_s;
    uint32_t passed_s = story.options.mux.shards_count > 1 ? 1 : 0;

    STORY_ASSERT(heard_s <= said_s && heard_s + passed_s >= said_s);
}

static void expect_props(struct fmx_props *heard)
{
    struct fmx_props wanted = said.packet.publish.props;

    wanted.present &= FMX_PAYLOAD_PROPS | FMX_PROP_BIT(FMX_PROP_MESSAGE_EXPIRY);
    if (fmx_props_has(&wanted, FMX_PROP_MESSAGE_EXPIRY) &&
        fmx_props_has(heard, FMX_PROP_MESSAGE_EXPIRY)) {
        expect_expiry(heard->message_expiry_s);
        heard->message_expiry_s = wanted.message_expiry_s;
    }
    STORY_ASSERT(fmx_props_equal(heard, &wanted));
}

static bool is_meant(unsigned i)
{
    return strcmp(wishes[i].audience, said.audience) == 0;
}

static void expect_message(unsigned i, struct fmx_packet *packet)
{
    struct fmx_publish *heard = &packet->publish;
    const struct fmx_publish *wanted = &said.packet.publish;

    STORY_ASSERT(packet->kind == FMX_PUBLISH && is_meant(i) && !receivers[i].has_heard);
    STORY_ASSERT(heard->qos == (wanted->qos < wishes[i].qos ? wanted->qos : wishes[i].qos));
    STORY_ASSERT(!heard->dup && !heard->retain && (heard->packet_id > 0) == (heard->qos > 0));
    STORY_ASSERT(heard->wire.bytes > 0); /* its length takes the fewest bytes */
    STORY_ASSERT(fmx_slice_equal(heard->topic, fmx_slice_of(said.topic)));
    STORY_ASSERT(fmx_slice_equal(heard->payload, wanted->payload));
    if (wishes[i].version == FMX_MQTT_50) {
        expect_props(&heard->props);
    }
    receivers[i].has_heard = true;
}

static void listen_to_gateway(unsigned i)
{
    struct fmx_packet packet;

    while (fmx_story_next(&receivers[i].client, &packet)) {
        expect_message(i, &packet);
        if (packet.publish.qos > 0) {
            fmx_story_say_puback(&receivers[i].client, packet.publish.packet_id);
        }
    }
}

static bool all_have_heard(void *user)
{
    const struct fmx_publish *publish = &said.packet.publish;
    struct fmx_packet packet;
    bool all = true;

    (void)user;
    while (fmx_story_next(said.publisher, &packet)) {
        STORY_ASSERT(packet.kind == FMX_PUBACK && packet.ack.reason < 0x80);
        STORY_ASSERT(packet.ack.packet_id == publish->packet_id && !said.is_acknowledged);
        said.is_acknowledged = true;
    }
    for (unsigned i = 0; i < RECEIVERS; i++) {
        listen_to_gateway(i);
        all = all && receivers[i].has_heard == is_meant(i);
    }
    return all && said.is_acknowledged == (publish->qos > 0);
}

static void tell_all(void)
{
    for (unsigned i = 0; i < RECEIVERS; i++) {
        receivers[i].has_heard = false;
    }
    make_message();
    say_message();
    STORY_ASSERT(fmx_story_until(&story.story, all_have_heard, NULL, TURNS_MAX));
}

/* ── the story ── */

static bool has_answer(void *user)
{
    struct fmx_story_client *client = user;
    struct fmx_packet packet;

    return fmx_story_next(client, &packet);
}

static void await_answer(struct fmx_story_client *client)
{
    STORY_ASSERT(fmx_story_until(&story.story, has_answer, client, TURNS_MAX));
    STORY_ASSERT(client->is_admitted);
}

static void connect_to_any(struct fmx_story_client *client, enum fmx_version version,
                           const char *role, unsigned number)
{
    char id[16];

    snprintf(id, sizeof(id), "%s%u", role, number);
    *client = fmx_story_client(below(story.options.mux.shards_count), version);
    fmx_story_say_connect(client, id, true, 0);
    await_answer(client);
}

static void open_story(void)
{
    fmx_gateway_story_init(&story, 1 + below(2));
    story.options.mux.recv_buffer_bytes = 512u << below(6);
    fmx_gateway_story_open(&story);
    fmx_sim_temper()->idle_ns_max = 1000; /* no second passes unnoticed */
    memset(aliased, 0, sizeof(aliased));
    for (unsigned i = 0; i < RECEIVERS; i++) {
        char filter[TOPIC_ROOM];
        struct fmx_story_client *client = &receivers[i].client;
        connect_to_any(client, wishes[i].version, "receiver", i);
        snprintf(filter, sizeof(filter), "%s/#", wishes[i].audience);
        fmx_story_say_subscribe(client, filter, wishes[i].qos);
        await_answer(client);
    }
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        connect_to_any(&publishers[i], versions[i], "publisher", i);
    }
    fmx_story_turns(&story.story, SETTLE_TURNS); /* every shard knows who wants what */
}

static void play(void)
{
    open_story();
    for (unsigned i = 0; i < MESSAGES; i++) {
        tell_all();
    }
    fmx_story_turns(&story.story, SETTLE_TURNS);
    STORY_ASSERT(all_have_heard(NULL)); /* and nobody heard it twice */
    fmx_gateway_story_end(&story);
}

static void play_in(enum manner which)
{
    manner = which;
    fmx_story_play(play, SEEDS);
}

static void every_receiver_gets_what_was_said(void)
{
    play_in(PLAIN);
}

static void an_alias_stays_between_publisher_and_gateway(void)
{
    play_in(WITH_ALIAS);
}

static void a_length_in_more_bytes_than_needed_is_not_passed_on(void)
{
    play_in(WITH_LENGTH);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(every_receiver_gets_what_was_said),
    FMX_TEST_CASE(an_alias_stays_between_publisher_and_gateway),
    FMX_TEST_CASE(a_length_in_more_bytes_than_needed_is_not_passed_on),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_wire", cases, sizeof cases / sizeof cases[0], argc, argv);
}
