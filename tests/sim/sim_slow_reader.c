/*
 * sim_slow_reader — a peer that does not read: bounded memory, nobody else harmed, a way back
 *
 * Why it is so:   what a slow reader has not taken lies in our memory. The engine says when it is
 *                 too much (fmx_conn_is_full) and when it has gone (on_writable); the role drops,
 *                 or lets the packets that cause more of it wait, until TCP's window closes on the
 *                 sender
 */
#include "tests/sim/echo.h"
#include "tests/sim/story.h"

#define PAYLOAD_BYTES   900u
#define MESSAGES        2000u
#define TURNS_MAX       100000u
#define CARRY_MOST      (65536u + 64u * 1024u) /* the mark, and all buffers of the shard */
#define BLOCK_BYTES     4096u
#define PACKET_OVERHEAD 16u

static struct fmx_story story;
static struct fmx_echo echo;
static struct fmx_story_client slow;
static struct fmx_story_client fast;
static unsigned slow_back;
static unsigned fast_back;
static unsigned fast_said;
static size_t carry_most;

static uint64_t below(uint64_t n)
{
    return fmx_prng_below(fmx_sim_prng(), n);
}

static void say_numbered(struct fmx_story_client *client, unsigned number)
{
    uint8_t payload[PAYLOAD_BYTES] = {0};

    memcpy(payload, &number, sizeof(number));
    fmx_story_say_publish(client, "number", (fmx_slice){payload, sizeof(payload)}, 0);
}

/* Counts what has come back; in order, without gaps if `is_gapless`. */
static void take_back(struct fmx_story_client *client, unsigned *next, bool is_gapless)
{
    struct fmx_packet packet;

    while (fmx_story_next(client, &packet)) {
        unsigned number;
        if (packet.kind != FMX_PUBLISH) {
            continue;
        }
        memcpy(&number, packet.publish.payload.data, sizeof(number));
        STORY_ASSERT(is_gapless ? number == *next : number >= *next);
        *next = number + 1;
    }
}

static bool both_are_in(void *user)
{
    (void)user;
    take_back(&slow, &slow_back, true);
    take_back(&fast, &fast_back, true);
    return slow.is_admitted && fast.is_admitted;
}

static void begin(enum fmx_echo_full full, uint32_t queue_bytes, uint64_t shard_bytes)
{
    fmx_story_init(&story);
    story.options.send_queue_bytes_max = queue_bytes;
    story.options.shard_bytes_max = shard_bytes;
    echo = (struct fmx_echo){.full = full, .refer_bytes_min = below(2) == 0 ? 0 : 100};
    fmx_story_open(&story, &fmx_echo_role, &echo);
    slow_back = fast_back = fast_said = 0;
    carry_most = 0;
    slow = fmx_story_client(0, FMX_MQTT_311);
    fast = fmx_story_client(0, FMX_MQTT_311);
    fmx_story_say_connect(&slow, "slow", true, 0);
    fmx_story_say_connect(&fast, "fast", true, 0);
    STORY_ASSERT(fmx_story_until(&story, both_are_in, NULL, 500));
}

static void end(void)
{
    fmx_story_stop(&story, 100);
    fmx_story_drain(&story);
    STORY_ASSERT(fmx_echo_is_balanced(&echo));
    fmx_story_close(&story);
}

static void look_at_carries(void)
{
    struct fmx_shard *shard = fmx_story_shard(&story, 0);
    uint32_t cursor = 0;
    struct fmx_conn *conn;

    while ((conn = fmx_slab_next(&shard->conns, &cursor)) != NULL) {
        size_t held = conn->carry == NULL ? 0 : conn->carry->end - conn->carry->begin;
        carry_most = held > carry_most ? held : carry_most;
    }
}

static bool fast_has_all(void *user)
{
    (void)user;
    look_at_carries();
    take_back(&fast, &fast_back, true);
    return fast_back == fast_said;
}

/* The slow one asks for all and reads nothing; the fast one asks and is answered beside it. */
static void ask_for_all(void)
{
    fmx_sim_peer_read(slow.peer, false);
    for (unsigned i = 0; i < MESSAGES; i++) {
        say_numbered(&slow, i);
        if (fast_has_all(NULL)) {
            say_numbered(&fast, fast_said++);
        }
        if (below(8) == 0) {
            fmx_story_turn(&story);
        }
    }
    STORY_ASSERT(fast_said > 1);
}

static bool slow_has_all(void *user)
{
    (void)user;
    look_at_carries();
    take_back(&slow, &slow_back, true);
    return slow_back == MESSAGES;
}

static bool slow_has_last(void *user)
{
    (void)user;
    take_back(&slow, &slow_back, false);
    return slow_back == MESSAGES + 1;
}

static void check_queue(void)
{
    /* one may begin below the mark and reach over it; the one that then waits is still taken */
    size_t most = story.options.send_queue_bytes_max + 2 * (PAYLOAD_BYTES + PACKET_OVERHEAD);

    STORY_ASSERT(echo.queue_bytes_most <= most);
    if (echo.refer_bytes_min == 0) {
        STORY_ASSERT(fmx_story_shard(&story, 0)->pool.bytes <= 2 * most + 4 * BLOCK_BYTES);
    }
}

static void play_waiting(void)
{
    begin(FMX_ECHO_WAIT, 1024u << below(6), 1u << 30);
    ask_for_all();
    STORY_ASSERT(fmx_story_until(&story, fast_has_all, NULL, TURNS_MAX));
    fmx_story_turns(&story, 100);
    check_queue();
    STORY_ASSERT(fmx_sim_peer_unsent(slow.peer) > 0); /* TCP's window is closed */
    STORY_ASSERT(fmx_story_stats(&story).receive_pauses > 0);
    fmx_sim_peer_read(slow.peer, true);
    STORY_ASSERT(fmx_story_until(&story, slow_has_all, NULL, TURNS_MAX));
    STORY_ASSERT(echo.writables > 0 && echo.writables >= echo.waits && echo.dropped == 0);
    STORY_ASSERT(carry_most <= CARRY_MOST);
    end();
}

static void play_dropping(void)
{
    begin(FMX_ECHO_DROP, 1024u << below(6), 1u << 30);
    ask_for_all();
    STORY_ASSERT(fmx_story_until(&story, fast_has_all, NULL, TURNS_MAX));
    while (fmx_sim_peer_unsent(slow.peer) > 0) {
        fmx_story_turn(&story);
    }
    fmx_story_turns(&story, 100);
    STORY_ASSERT(echo.dropped > 0);
    check_queue();
    fmx_sim_peer_read(slow.peer, true);
    fmx_story_turns(&story, 400);
    STORY_ASSERT(echo.writables > 0);
    say_numbered(&slow, MESSAGES);
    STORY_ASSERT(fmx_story_until(&story, slow_has_last, NULL, TURNS_MAX));
    end();
}

static bool slow_has_left(void *user)
{
    struct fmx_shard *shard = user;

    return shard->conns.used == 1;
}

static void say_close(struct fmx_story_client *client)
{
    fmx_story_say_publish(client, "close", (fmx_slice){0}, 0);
}

/* It never comes back: the end waits for it no longer than it must, and frees what it held. */
static void play_leaving(void)
{
    struct fmx_shard *shard;

    begin(FMX_ECHO_DROP, 16384, 1u << 30);
    fmx_sim_temper()->idle_ns_max = 20000000;
    ask_for_all();
    say_close(&slow);
    shard = fmx_story_shard(&story, 0);
    STORY_ASSERT(fmx_story_until(&story, slow_has_left, shard, TURNS_MAX));
    STORY_ASSERT(fmx_story_until(&story, fast_has_all, NULL, TURNS_MAX));
    fmx_story_turns(&story, 20);
    STORY_ASSERT(shard->pool.bytes == 0);
    end();
}

static void fill_the_shard(void)
{
    struct fmx_shard *shard = fmx_story_shard(&story, 0);

    fmx_sim_peer_read(slow.peer, false);
    for (unsigned i = 0; !fmx_shard_is_full(shard); i++) {
        STORY_ASSERT(i < 10000);
        say_numbered(&slow, i);
        fmx_story_turn(&story);
    }
}

static bool nobody_is_owed(void *user)
{
    (void)user;
    take_back(&slow, &slow_back, false);
    return echo.owed == 0;
}

/* One fills the shard; the other has nothing queued and is served all the same. */
static void play_full_shard(void)
{
    begin(FMX_ECHO_DROP, 1u << 24, 1u << 20);
    fill_the_shard();
    while (fast_said < 20) {
        say_numbered(&fast, fast_said++);
        STORY_ASSERT(fmx_story_until(&story, fast_has_all, NULL, 1000));
    }
    STORY_ASSERT(fmx_shard_is_full(fmx_story_shard(&story, 0)));
    for (unsigned i = 0; echo.owed == 0; i++) {
        STORY_ASSERT(i < 1000);
        say_numbered(&slow, MESSAGES);
        fmx_story_turn(&story);
    }
    fmx_sim_peer_read(slow.peer, true);
    STORY_ASSERT(fmx_story_until(&story, nobody_is_owed, NULL, 20000));
    end();
}

static bool has_ended(void *user)
{
    (void)user;
    take_back(&slow, &slow_back, true);
    return fmx_sim_peer_is_over(slow.peer);
}

/* Its packets wait and its receive is paused when the session ends: the goodbye still arrives. */
static void play_goodbye(void)
{
    struct fmx_shard *shard;
    struct fmx_conn *conn;
    uint32_t cursor = 0;

    begin(FMX_ECHO_WAIT, 4096, 1u << 30);
    fmx_sim_temper()->lost_by_reset = 1000;
    shard = fmx_story_shard(&story, 0);
    fmx_sim_peer_read(slow.peer, false);
    for (unsigned i = 0; i < 400; i++) {
        say_numbered(&slow, i);
    }
    fmx_story_turns(&story, 400);
    while ((conn = fmx_slab_next(&shard->conns, &cursor)) != NULL && !conn->is_paused) {
    }
    STORY_ASSERT(conn != NULL && !conn->recv_armed && fmx_sim_peer_unsent(slow.peer) > 0);
    fmx_conn_close(conn, FMX_LIMIT_QUEUE);
    fmx_story_turn(&story);
    fmx_sim_peer_read(slow.peer, true);
    fmx_story_turns(&story, 5);
    fmx_sim_peer_end(slow.peer);
    STORY_ASSERT(fmx_story_until(&story, has_ended, NULL, TURNS_MAX));
    STORY_ASSERT(!fmx_sim_peer_saw_reset(slow.peer) && fmx_sim_peer_saw_end(slow.peer));
    end();
}

static void waiting_packets_of_a_slow_reader_close_its_window_and_go_on_later(void)
{
    fmx_story_play(play_waiting, STORY_SEEDS);
}

static void messages_for_a_slow_reader_are_dropped_and_its_queue_is_bounded(void)
{
    fmx_story_play(play_dropping, STORY_SEEDS);
}

static void a_reader_that_never_comes_back_is_waited_for_no_longer_than_a_second(void)
{
    fmx_story_play(play_leaving, STORY_SEEDS);
}

static void a_full_shard_serves_who_has_nothing_queued_and_tells_who_was_refused(void)
{
    fmx_story_play(play_full_shard, 20);
}

static void a_paused_session_that_is_ended_still_gets_what_was_queued(void)
{
    fmx_story_play(play_goodbye, STORY_SEEDS);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(waiting_packets_of_a_slow_reader_close_its_window_and_go_on_later),
    FMX_TEST_CASE(messages_for_a_slow_reader_are_dropped_and_its_queue_is_bounded),
    FMX_TEST_CASE(a_reader_that_never_comes_back_is_waited_for_no_longer_than_a_second),
    FMX_TEST_CASE(a_full_shard_serves_who_has_nothing_queued_and_tells_who_was_refused),
    FMX_TEST_CASE(a_paused_session_that_is_ended_still_gets_what_was_queued),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_slow_reader", cases, sizeof cases / sizeof cases[0], argc, argv);
}
