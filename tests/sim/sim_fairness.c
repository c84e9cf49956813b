/*
 * sim_fairness — a session that floods and one that asks now and then, on one shard
 *
 * Why it is so:   a turn costs what its packets cost. If one session may put ten thousand of them
 *                 into a turn, all others wait for it. packets_per_turn_max bounds its share; what
 *                 is over waits in its carry, and beyond that in its own TCP window. Plain PUBACKs
 *                 count an eighth: what one session may say in a turn is reckoned again here
 * Words:          share: what a packet counts, in eighths
 */
#include "proto/reason.h"
#include "tests/sim/echo.h"
#include "tests/sim/story.h"

#define FLOODERS     4u
#define FLOOD_BYTES  400000u
#define ROUNDS       60u
#define ANSWER_TURNS 4u /* accepted or received · answered · sent · read */
#define TURNS_MAX    200000u
#define MIXED        1000u  /* packets, */
#define MIXED_BUFFER 16384u /* which come in one receive */
#define WHOLE_SHARE  8u
#define PUBACK_SHARE 1u

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

static void open_story(uint32_t recv_buffer_bytes)
{
    fmx_story_init(&story);
    story.options.packets_per_turn_max = 1 + (uint32_t)below(64);
    story.options.recv_buffers_count = 256;
    story.options.recv_buffer_bytes = recv_buffer_bytes;
    echo = (struct fmx_echo){.on_packet = hear};
    fmx_story_open(&story, &fmx_echo_role, &echo);
    fmx_sim_temper()->progress = 1000; /* what is late is the engine's doing */
    fmx_sim_temper()->recv_ends = 0;
    fmx_sim_temper()->short_read = 0;
}

static void begin(void)
{
    open_story(1024);
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

/* ── what a packet counts ── */

static bool quiet_is_in(void *user)
{
    struct fmx_packet packet;

    (void)user;
    (void)fmx_story_next(&quiet, &packet);
    return quiet.is_admitted;
}

/* A plain PUBACK, one with a reason, or a PUBLISH; returns its share. Nobody waits for a PUBACK. */
static unsigned say_any(void)
{
    struct fmx_packet puback = {.kind = FMX_PUBACK, .ack.packet_id = 1};

    switch (below(8)) {
    case 0:
        fmx_story_say_publish(&quiet, "any", fmx_slice_of("x"), 0);
        return WHOLE_SHARE;
    case 1:
        puback.ack.reason = FMX_REASON_UNSPECIFIED;
        fmx_story_say(&quiet, &puback);
        return WHOLE_SHARE;
    default:
        fmx_story_say(&quiet, &puback);
        return PUBACK_SHARE;
    }
}

static uint64_t packets_of_a_turn(void)
{
    const _Atomic uint64_t *packets = &fmx_story_shard(&story, 0)->counters.packets_in;
    uint64_t before = fmx_story_count(packets);

    fmx_story_turn(&story);
    return fmx_story_count(packets) - before;
}

static void play_acknowledgements(void)
{
    static unsigned shares[MIXED];
    unsigned total = 0;
    unsigned taken = 0;
    unsigned turns = 0;

    open_story(MIXED_BUFFER);
    unsigned turn_share = story.options.packets_per_turn_max * WHOLE_SHARE;
    quiet = fmx_story_client(0, FMX_MQTT_50);
    fmx_story_say_connect(&quiet, "quiet", true, 0);
    STORY_ASSERT(fmx_story_until(&story, quiet_is_in, NULL, 200));
    for (unsigned i = 0; i < MIXED; i++) {
        shares[i] = say_any();
        total += shares[i];
    }
    STORY_ASSERT(fmx_sim_peer_unsent(quiet.peer) <= MIXED_BUFFER);
    while (taken < MIXED) {
        uint64_t count = packets_of_a_turn();
        unsigned share = 0;
        STORY_ASSERT(count <= MIXED - taken);
        for (uint64_t left = count; left > 0; left--) {
            STORY_ASSERT(share < turn_share); /* the last one may be over it, and none after it */
            share += shares[taken++];
        }
        turns += count > 0; /* none, while nothing has come */
    }
    STORY_ASSERT(turns <= total / turn_share + 3); /* the first and the last may be short */
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

static void an_acknowledgement_counts_an_eighth_of_a_packet_in_a_turn(void)
{
    fmx_story_play(play_acknowledgements, 100);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_quiet_session_is_answered_at_once_whatever_others_send),
    FMX_TEST_CASE(a_flood_that_waits_its_turn_loses_nothing),
    FMX_TEST_CASE(an_acknowledgement_counts_an_eighth_of_a_packet_in_a_turn),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_fairness", cases, sizeof cases / sizeof cases[0], argc, argv);
}
