/*
 * sim_drain — STOP: who reads gets its goodbye, who does not is not waited for beyond the deadline
 *
 * Words:          answers: a peer that closes its end when it has seen ours; deaf: one that neither
 *                 reads nor closes; idle: one that reads but never closes its end
 * Limits:         SLACK_NS: turns after the deadline in which cancels and closes come back
 */
#include "proto/limits.h"
#include "tests/sim/echo.h"
#include "tests/sim/story.h"

#define CLIENTS_MAX 40u
#define SHARDS_MAX  3u
#define SLACK_NS    (100 * FMX_NS_PER_MS)
#define END_WAIT_NS FMX_NS_PER_S
#define BIG_BYTES   40000u

enum manner { ANSWERS, IDLE, DEAF };

static struct fmx_story story;
static struct fmx_echo echo;
static struct fmx_story_client clients[CLIENTS_MAX];
static enum manner manners[CLIENTS_MAX];
static bool has_goodbye[CLIENTS_MAX];
static uint8_t big[BIG_BYTES];

static uint64_t below(uint64_t n)
{
    return fmx_prng_below(fmx_sim_prng(), n);
}

static void read_as_told(void)
{
    struct fmx_packet packet;

    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        while (fmx_story_next(&clients[i], &packet)) {
            has_goodbye[i] = has_goodbye[i] || packet.kind == FMX_DISCONNECT;
        }
        if (manners[i] == ANSWERS && fmx_sim_peer_saw_end(clients[i].peer)) {
            fmx_sim_peer_close(clients[i].peer);
        }
    }
}

static bool are_all_in(void *user)
{
    (void)user;
    read_as_told();
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (!clients[i].is_admitted) {
            return false;
        }
    }
    return true;
}

static void begin(uint32_t shards_count, const enum manner *allowed, size_t allowed_count)
{
    fmx_story_init(&story);
    story.options.shards_count = shards_count;
    echo = (struct fmx_echo){.late_verdict = 300};
    memset(has_goodbye, 0, sizeof(has_goodbye));
    memset(big, 'b', sizeof(big));
    fmx_story_open(&story, &fmx_echo_role, &echo);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        manners[i] = allowed[below(allowed_count)];
        clients[i] = fmx_story_client(i % shards_count, FMX_MQTT_50);
        fmx_story_say_connect(&clients[i], "drains", true, 0);
    }
    STORY_ASSERT(fmx_story_until(&story, are_all_in, NULL, 4000));
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        fmx_sim_peer_read(clients[i].peer, manners[i] != DEAF);
        for (uint64_t n = below(5); n > 0; n--) {
            fmx_story_say_publish(&clients[i], "echo", (fmx_slice){big, below(BIG_BYTES)}, 1);
        }
    }
    fmx_story_turns(&story, (unsigned)below(100));
}

static bool are_empty(void *user)
{
    (void)user;
    read_as_told();
    for (uint32_t i = 0; i < fmx_mux_shards_count(story.mux); i++) {
        struct fmx_shard *shard = fmx_story_shard(&story, i);
        if (shard->conns.used > 0 && fmx_sim_now() < shard->drain_deadline_ns) {
            return false;
        }
        if (!shard->stopping) {
            return false;
        }
    }
    return true;
}

/* Returns the time it took. */
static uint64_t stop(uint32_t drain_ms)
{
    uint64_t start_ns = fmx_sim_now();

    fmx_story_stop(&story, drain_ms);
    STORY_ASSERT(fmx_story_until(&story, are_empty, NULL, 400000));
    fmx_story_drain(&story);
    STORY_ASSERT(fmx_echo_is_balanced(&echo));
    for (uint32_t i = 0; i < fmx_mux_shards_count(story.mux); i++) {
        struct fmx_sim_look look = fmx_sim_look(fmx_story_shard(&story, i)->ring);
        STORY_ASSERT(look.recvs == 0 && look.sends == 0 && look.accepts == 0);
    }
    return fmx_sim_now() - start_ns;
}

static uint32_t some_shards(void)
{
    return 1 + (uint32_t)below(SHARDS_MAX);
}

static void play_answering(void)
{
    static const enum manner all[] = {ANSWERS};

    begin(some_shards(), all, 1);
    STORY_ASSERT(stop(10000) < END_WAIT_NS / 2);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        STORY_ASSERT(has_goodbye[i] && !fmx_sim_peer_saw_reset(clients[i].peer));
    }
    fmx_story_close(&story);
}

static void play_idle(void)
{
    static const enum manner all[] = {ANSWERS, IDLE};

    begin(some_shards(), all, 2);
    STORY_ASSERT(stop(10000) < END_WAIT_NS + SLACK_NS);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        STORY_ASSERT(has_goodbye[i]);
    }
    fmx_story_close(&story);
}

static void play_deaf(void)
{
    static const enum manner all[] = {ANSWERS, IDLE, DEAF};
    uint32_t drain_ms = (uint32_t)below(900);

    begin(some_shards(), all, 3);
    STORY_ASSERT(stop(drain_ms) < drain_ms * FMX_NS_PER_MS + SLACK_NS);
    fmx_story_close(&story);
}

static void play_twice(void)
{
    static const enum manner all[] = {DEAF};

    begin(some_shards(), all, 1);
    fmx_story_stop(&story, 3600000);
    fmx_story_turns(&story, (unsigned)below(100));
    STORY_ASSERT(stop(3600000) < SLACK_NS);
    fmx_story_close(&story);
}

/* Some are waiting to be accepted, some have said nothing, some have no verdict yet. */
static void play_half_open(void)
{
    static const enum manner all[] = {ANSWERS, DEAF};

    begin(some_shards(), all, 2);
    echo.late_verdict = 1000;
    for (unsigned i = 0; i < 20; i++) {
        struct fmx_story_client late =
            fmx_story_client((uint32_t)below(fmx_mux_shards_count(story.mux)), FMX_MQTT_311);
        if (below(2) == 0) {
            fmx_story_say_connect(&late, "late", true, 0);
        }
        fmx_story_turns(&story, (unsigned)below(3));
    }
    fmx_story_stop(&story, 2000);
    for (unsigned i = 0; i < 10; i++) {
        (void)fmx_story_client(0, FMX_MQTT_311);
        fmx_story_turn(&story);
    }
    STORY_ASSERT(stop(0) < 2 * END_WAIT_NS + SLACK_NS);
    fmx_story_close(&story);
}

static void readers_get_their_goodbye_and_the_process_ends_at_once(void)
{
    fmx_story_play(play_answering, STORY_SEEDS);
}

static void peers_that_do_not_close_are_waited_for_a_second(void)
{
    fmx_story_play(play_idle, STORY_SEEDS);
}

static void peers_that_do_not_read_are_waited_for_no_longer_than_the_deadline(void)
{
    fmx_story_play(play_deaf, STORY_SEEDS);
}

static void a_second_stop_ends_at_once(void)
{
    fmx_story_play(play_twice, STORY_SEEDS);
}

static void connections_in_the_making_do_not_hold_up_the_end(void)
{
    fmx_story_play(play_half_open, STORY_SEEDS);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(readers_get_their_goodbye_and_the_process_ends_at_once),
    FMX_TEST_CASE(peers_that_do_not_close_are_waited_for_a_second),
    FMX_TEST_CASE(peers_that_do_not_read_are_waited_for_no_longer_than_the_deadline),
    FMX_TEST_CASE(a_second_stop_ends_at_once),
    FMX_TEST_CASE(connections_in_the_making_do_not_hold_up_the_end),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_drain", cases, sizeof cases / sizeof cases[0], argc, argv);
}
