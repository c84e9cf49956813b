/*
 * sim_fairness — a session that floods and one that asks now and then, on one shard
 *
 * Why it is so:   a turn costs what its packets cost. If one session may put ten thousand of them
 *                 into a turn, all others wait for it. packets_per_turn_max bounds its share; what
 *                 is over waits in its carry, and beyond that in its own TCP window
 */
#include "tests/sim/echo.h"
#include "tests/sim/story.h"

#define FLOODERS     4u
#define FLOOD_BYTES  400000u
#define ROUNDS       60u
#define ANSWER_TURNS 4u /* accepted or received · answered · sent · read */
#define TURNS_MAX    200000u

static struct fmx_story story;
static struct fmx_echo echo;
static struct fmx_story_client flooders[FLOODERS];
static struct fmx_story_client quiet;
static unsigned heard_in_turn[FLOODERS + 1];
static uint32_t turn_of[FLOODERS + 1];
static unsigned most_in_turn;
static uint64_t flood_said;
static uint64_t flood_back;

static uint64_t below(uint64_t n)
{
    return fmx_prng_below(fmx_sim_prng(), n);
}

static void hear(void *user, struct fmx_conn *conn, struct fmx_packet *packet)
{
    uint32_t at = conn->slot.index;

    (void)user;
    (void)packet;
    if (turn_of[at] != conn->shard->turn) {
        turn_of[at] = conn->shard->turn;
        heard_in_turn[at] = 0;
    }
    heard_in_turn[at]++;
    most_in_turn = heard_in_turn[at] > most_in_turn ? heard_in_turn[at] : most_in_turn;
}

static void flood(struct fmx_story_client *client)
{
    while (fmx_sim_peer_unsent(client->peer) < FLOOD_BYTES) {
        fmx_story_say_publish(client, "flood", fmx_slice_of("x"), 0);
        flood_said++;
    }
}

static void take_flood_back(void)
{
    struct fmx_packet packet;

    for (unsigned i = 0; i < FLOODERS; i++) {
        while (fmx_story_next(&flooders[i], &packet)) {
            flood_back += packet.kind == FMX_PUBLISH;
        }
    }
}

static bool has_answer(void)
{
    struct fmx_packet packet;
    bool found = false;

    while (fmx_story_next(&quiet, &packet)) {
        found = found || packet.kind == FMX_PUBLISH;
    }
    return found;
}

static bool all_are_in(void *user)
{
    struct fmx_packet packet;

    (void)user;
    (void)fmx_story_next(&quiet, &packet);
    take_flood_back();
    for (unsigned i = 0; i < FLOODERS; i++) {
        if (!flooders[i].is_admitted) {
            return false;
        }
    }
    return quiet.is_admitted;
}

static void begin(void)
{
    fmx_story_init(&story);
    story.options.packets_per_turn_max = 1 + (uint32_t)below(64);
    story.options.recv_buffers_count = 256;
    echo = (struct fmx_echo){.on_packet = hear};
    fmx_story_open(&story, &fmx_echo_role, &echo);
    fmx_sim_temper()->progress = 1000; /* what is late is the engine's doing */
    fmx_sim_temper()->recv_ends = 0;
    fmx_sim_temper()->short_read = 0;
    memset(turn_of, 0, sizeof(turn_of));
    flood_said = flood_back = 0;
    most_in_turn = 0;
    quiet = fmx_story_client(0, FMX_MQTT_311);
    fmx_story_say_connect(&quiet, "quiet", true, 0);
    for (unsigned i = 0; i < FLOODERS; i++) {
        flooders[i] = fmx_story_client(0, FMX_MQTT_311);
        fmx_story_say_connect(&flooders[i], "flooder", true, 0);
    }
    STORY_ASSERT(fmx_story_until(&story, all_are_in, NULL, 200));
}

static unsigned turns_to_answer(void)
{
    unsigned turns = 0;

    fmx_story_say_publish(&quiet, "ask", fmx_slice_of("?"), 0);
    while (!has_answer()) {
        for (unsigned i = 0; i < FLOODERS; i++) {
            flood(&flooders[i]);
        }
        fmx_story_turn(&story);
        take_flood_back();
        turns++;
        STORY_ASSERT(turns < 1000);
    }
    return turns;
}

static bool flood_is_back(void *user)
{
    (void)user;
    take_flood_back();
    return flood_back == flood_said;
}

static void end(void)
{
    fmx_story_stop(&story, 1000);
    fmx_story_drain(&story);
    STORY_ASSERT(fmx_echo_is_balanced(&echo));
    fmx_story_close(&story);
}

static void play(void)
{
    begin();
    for (unsigned round = 0; round < ROUNDS; round++) {
        STORY_ASSERT(turns_to_answer() <= ANSWER_TURNS);
        fmx_story_turns(&story, (unsigned)below(5));
    }
    STORY_ASSERT(most_in_turn == story.options.packets_per_turn_max);
    STORY_ASSERT(fmx_story_stats(&story).receive_pauses > 0);
    end();
}

/* The share is a share: nothing of the flood is lost, and it moves as fast as it is allowed to. */
static void play_the_flood(void)
{
    begin();
    for (unsigned i = 0; i < FLOODERS; i++) {
        for (unsigned n = 0; n < 3000; n++) {
            fmx_story_say_publish(&flooders[i], "flood", fmx_slice_of("x"), 0);
            flood_said++;
        }
    }
    STORY_ASSERT(fmx_story_until(&story, flood_is_back, NULL, TURNS_MAX));
    STORY_ASSERT(most_in_turn <= fmx_story_shard(&story, 0)->options->packets_per_turn_max);
    end();
}

static void a_quiet_session_is_answered_at_once_whatever_others_send(void)
{
    fmx_story_play(play, 40);
}

static void a_flood_that_waits_its_turn_loses_nothing(void)
{
    fmx_story_play(play_the_flood, 40);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_quiet_session_is_answered_at_once_whatever_others_send),
    FMX_TEST_CASE(a_flood_that_waits_its_turn_loses_nothing),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_fairness", cases, sizeof cases / sizeof cases[0], argc, argv);
}
