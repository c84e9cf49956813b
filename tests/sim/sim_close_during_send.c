/*
 * sim_close_during_send — every way to end a connection, at every point of its life
 *
 * Why it is so:   the end is the hard part on completions: a send may be half taken, a cancel may
 *                 come late, a reset may cross our own close, a slot may be wanted again. What must
 *                 hold is simple: on_close once, released once, nothing left in the kernel, in the
 *                 pool, or in the table of files. The role asserts the order, the world asserts the
 *                 kernel's side
 */
#include "tests/sim/echo.h"
#include "tests/sim/story.h"

#define CLIENTS_MAX 48u
#define STEPS       600u
#define BIG_BYTES   30000u
#define END_TURNS   60000u

static struct fmx_story story;
static struct fmx_echo echo;
static struct fmx_story_client clients[CLIENTS_MAX];
static uint8_t big[BIG_BYTES];

static uint64_t below(uint64_t n)
{
    return fmx_prng_below(fmx_sim_prng(), n);
}

static void begin(void)
{
    fmx_story_init(&story);
    story.options.shards_count = 1 + (uint32_t)below(2);
    story.options.sessions_max = CLIENTS_MAX * 4;
    story.options.send_queue_bytes_max = 1024u << below(8);
    echo = (struct fmx_echo){.late_verdict = 300,
                             .holds = 300,
                             .full = below(2) == 0 ? FMX_ECHO_DROP : FMX_ECHO_WAIT,
                             .refer_bytes_min = below(2) == 0 ? 0 : 100};
    fmx_story_open(&story, &fmx_echo_role, &echo);
    memset(clients, 0, sizeof(clients));
    memset(big, 'b', sizeof(big));
}

static void replace_client(struct fmx_story_client *client)
{
    uint32_t shards_count = fmx_mux_shards_count(story.mux);
    enum fmx_version version = below(2) == 0 ? FMX_MQTT_311 : FMX_MQTT_50;

    *client = fmx_story_client((uint32_t)below(shards_count), version);
    if (below(10) > 0) {
        fmx_story_say_connect(client, "ends", true, 0);
    }
}

/* The engine's side ends one of its connections, between two turns as well as any role might. */
static void end_from_within(void)
{
    struct fmx_shard *shard =
        fmx_story_shard(&story, (uint32_t)below(fmx_mux_shards_count(story.mux)));
    uint32_t cursor = (uint32_t)below(CLIENTS_MAX);
    struct fmx_conn *conn = fmx_slab_next(&shard->conns, &cursor);

    if (conn == NULL) {
        return;
    }
    if (below(2) == 0) {
        fmx_conn_close(conn, FMX_LIMIT_BUSY);
    } else {
        fmx_conn_abort(conn, FMX_LIMIT_MEMORY, 0);
    }
}

static void do_something(struct fmx_story_client *client)
{
    struct fmx_sim_peer *peer = client->peer;

    switch (below(14)) {
    case 0:
        fmx_sim_peer_read(peer, false);
        break;
    case 1:
        fmx_sim_peer_read(peer, true);
        break;
    case 2:
        fmx_sim_peer_end(peer);
        break;
    case 3:
        fmx_sim_peer_close(peer);
        break;
    case 4:
        fmx_sim_peer_reset(peer);
        break;
    case 5:
        fmx_story_say_publish(client, "close", (fmx_slice){0}, (uint8_t)below(2));
        break;
    case 6:
        fmx_story_say_publish(client, "abort", (fmx_slice){0}, (uint8_t)below(2));
        break;
    case 7:
        fmx_sim_peer_send(peer, (fmx_slice){big, below(50)}); /* no MQTT at all */
        break;
    case 8:
        end_from_within();
        break;
    default:
        for (uint64_t n = below(6); n > 0; n--) {
            fmx_story_say_publish(client, "topic", (fmx_slice){big, below(BIG_BYTES)}, 1);
        }
        break;
    }
}

static void live(unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        struct fmx_story_client *client = &clients[below(CLIENTS_MAX)];
        if (client->peer == NULL || fmx_sim_peer_is_over(client->peer)) {
            replace_client(client);
        } else {
            do_something(client);
        }
        fmx_story_turns(&story, (unsigned)below(4));
    }
}

static void check_nothing_is_left(void)
{
    for (uint32_t i = 0; i < fmx_mux_shards_count(story.mux); i++) {
        struct fmx_shard *shard = fmx_story_shard(&story, i);
        struct fmx_sim_look look = fmx_sim_look(shard->ring);
        STORY_ASSERT(shard->conns.used == 0 && shard->pool.bytes == 0);
        STORY_ASSERT(look.recvs == 0 && look.sends == 0);
        STORY_ASSERT(fmx_story_count(&shard->counters.connections_now) == 0);
    }
    STORY_ASSERT(fmx_echo_is_balanced(&echo));
    struct fmx_stats stats = fmx_story_stats(&story);
    STORY_ASSERT(stats.accepts == echo.opens);
    STORY_ASSERT(stats.closed_local + stats.closed_peer + stats.closed_limit +
                     stats.closed_system ==
                 echo.closes);
}

static bool is_empty(void *user)
{
    (void)user;
    for (uint32_t i = 0; i < fmx_mux_shards_count(story.mux); i++) {
        if (fmx_story_shard(&story, i)->conns.used > 0) {
            return false;
        }
    }
    return true;
}

/* All clients go, the listener stays: then every slot comes free by itself. */
static void play_until_all_have_left(void)
{
    begin();
    live(STEPS);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (clients[i].peer != NULL) {
            fmx_sim_peer_reset(clients[i].peer);
        }
    }
    fmx_sim_temper()->idle_ns_max = 20000000;
    STORY_ASSERT(fmx_story_until(&story, is_empty, NULL, END_TURNS));
    fmx_story_turns(&story, 20);
    check_nothing_is_left();
    for (uint32_t i = 0; i < fmx_mux_shards_count(story.mux); i++) {
        fmx_story_turns(&story, 50);
        STORY_ASSERT(fmx_sim_look(fmx_story_shard(&story, i)->ring).files_open == 0);
    }
    fmx_story_stop(&story, 0);
    fmx_story_drain(&story);
    fmx_story_close(&story);
}

static void play_until_stop(void)
{
    begin();
    live((unsigned)below(STEPS));
    fmx_sim_temper()->idle_ns_max = 20000000;
    fmx_story_stop(&story, (uint32_t)below(3000));
    live((unsigned)below(20));
    fmx_story_drain(&story);
    check_nothing_is_left();
    fmx_story_close(&story);
}

static void a_connection_that_ends_anyhow_is_closed_once_and_released_once(void)
{
    fmx_story_play(play_until_all_have_left, STORY_SEEDS);
}

static void stop_at_any_point_leaves_nothing_in_the_kernel(void)
{
    fmx_story_play(play_until_stop, STORY_SEEDS);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_connection_that_ends_anyhow_is_closed_once_and_released_once),
    FMX_TEST_CASE(stop_at_any_point_leaves_nothing_in_the_kernel),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_close_during_send", cases, sizeof cases / sizeof cases[0], argc,
                         argv);
}
