/*
 * sim_slices — what the kernel has kept back is taken later in the same turn; by then other shards
 * have said more
 *
 * Why it is so:   who publishes because a SUBACK has come must find the subscription, on whatever
 *                 shard it was made and however long the turn of its own takes
 */
#include "tests/sim/gateway_story.h"

#define TURNS_MAX 1000u

static struct fmx_gateway_story story;
static struct fmx_story_client subscriber; /* of shard 1 */
static struct fmx_story_client publisher;  /* of shard 0 */
static bool is_asked;                      /* shard 0 may be told that there is more */

/* Has a packet of this kind come? Others are dropped. */
static bool has_come(struct fmx_story_client *client, enum fmx_packet_kind kind)
{
    struct fmx_packet packet;
    bool has = false;

    while (!has && fmx_story_next(client, &packet)) {
        has = packet.kind == kind;
    }
    return has;
}

static bool are_in(void *user)
{
    struct fmx_packet packet;

    (void)user;
    (void)fmx_story_next(&subscriber, &packet);
    (void)fmx_story_next(&publisher, &packet);
    return subscriber.is_admitted && publisher.is_admitted;
}

/* In the middle of a turn of shard 0: the other one subscribes, hears so, and is sent a message. */
static bool subscribe_meanwhile(void *user)
{
    (void)user;
    if (!is_asked) {
        return false;
    }
    is_asked = false;
    fmx_story_say_subscribe(&subscriber, "late/+", 1);
    unsigned turns = 0;
    while (!has_come(&subscriber, FMX_SUBACK)) {
        fmx_shard_turn(fmx_story_shard(&story.story, 1));
        STORY_ASSERT(++turns < TURNS_MAX);
    }
    fmx_story_say_publish(&publisher, "late/topic", fmx_slice_of("now"), 1);
    return true;
}

static bool has_message(void *user)
{
    (void)user;
    return has_come(&subscriber, FMX_PUBLISH);
}

static void play(void)
{
    fmx_gateway_story_init(&story, 2);
    fmx_gateway_story_open(&story);
    fmx_sim_temper()->progress = 1000;
    fmx_sim_keep_back(subscribe_meanwhile, NULL);
    is_asked = false;
    subscriber = fmx_story_client(1, FMX_MQTT_50);
    publisher = fmx_story_client(0, FMX_MQTT_311);
    fmx_story_say_connect(&subscriber, "subscriber", true, 0);
    fmx_story_say_connect(&publisher, "publisher", true, 0);
    STORY_ASSERT(fmx_story_until(&story.story, are_in, NULL, TURNS_MAX));
    is_asked = true;
    fmx_shard_turn(fmx_story_shard(&story.story, 0));
    STORY_ASSERT(!is_asked);
    STORY_ASSERT(fmx_story_until(&story.story, has_message, NULL, TURNS_MAX));
    fmx_gateway_story_end(&story);
}

static void a_message_finds_what_was_subscribed_before_it(void)
{
    fmx_story_play(play, STORY_SEEDS);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_message_finds_what_was_subscribed_before_it),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_slices", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
