/*
 * sim_link — connections with poor links: order, time, bounds, and every end with bytes in the link
 *
 * Why it is so:   what waits in a link is in nobody's hands: neither the session's, which has said
 *                 or not yet heard it, nor the kernel's. So every end must find it there, and none
 *                 may leave it there
 */
#include "engine/link.h"
#include "proto/limits.h"
#include "tests/sim/echo.h"
#include "tests/sim/story.h"

#define MESSAGES    60u
#define TURNS_MAX   60000u
#define CLIENTS_MAX 24u
#define STEPS       1500u

static struct fmx_story story;
static struct fmx_echo echo;
static struct fmx_story_client client;
static struct fmx_link_options options;
static struct fmx_story_client crowd[CLIENTS_MAX];
static uint64_t said_ns[MESSAGES];
static uint8_t payload[8000];
static unsigned back;
static bool has_goodbye;

static uint64_t below(uint64_t n)
{
    return fmx_prng_below(fmx_sim_prng(), n);
}

/* The client's CONNECT came without a link; all after it goes through one. */
static void give_link(void *user, struct fmx_conn *conn, struct fmx_packet *packet)
{
    (void)user;
    if (packet->kind == FMX_CONNECT) {
        fmx_conn_use_link(conn, &options);
    }
}

static bool is_in(void *user)
{
    struct fmx_packet packet;

    (void)user;
    (void)fmx_story_next(&client, &packet);
    return client.is_admitted;
}

static void begin(uint32_t queue_bytes, struct fmx_link_options link)
{
    options = link;
    options.key = fmx_sim_seed();
    back = 0;
    has_goodbye = false;
    fmx_story_init(&story);
    story.options.send_queue_bytes_max = queue_bytes;
    echo = (struct fmx_echo){.on_packet = give_link, .refer_bytes_min = below(2) == 0 ? 0 : 100};
    fmx_story_open(&story, &fmx_echo_role, &echo);
    fmx_sim_temper()->idle_ns_max = 20 * FMX_NS_PER_MS;
    client = fmx_story_client(0, below(2) == 0 ? FMX_MQTT_311 : FMX_MQTT_50);
    fmx_story_say_connect(&client, "far", true, 0);
    STORY_ASSERT(fmx_story_until(&story, is_in, NULL, TURNS_MAX));
}

static struct fmx_shard *the_shard(void)
{
    return fmx_story_shard(&story, 0);
}

static struct fmx_conn *the_conn(void)
{
    uint32_t cursor = 0;

    return fmx_slab_next(&the_shard()->conns, &cursor);
}

static void end(void)
{
    fmx_story_stop(&story, 100);
    fmx_story_drain(&story);
    STORY_ASSERT(fmx_echo_is_balanced(&echo));
    STORY_ASSERT(the_shard()->pool.bytes == 0);
    for (uint32_t i = 0; i < the_shard()->links_count; i++) {
        STORY_ASSERT(the_shard()->links[i] == NULL);
    }
    fmx_story_close(&story);
}

static void say_numbered(unsigned number)
{
    memcpy(payload, &number, sizeof(number));
    said_ns[number % MESSAGES] = fmx_sim_now();
    fmx_story_say_publish(&client, "number",
                          (fmx_slice){payload, sizeof(number) + below(sizeof(payload) - 8)}, 0);
}

/* In order, without gaps, and not before they can be back. */
static void take_back(void)
{
    struct fmx_packet packet;

    while (fmx_story_next(&client, &packet)) {
        unsigned number;
        if (packet.kind != FMX_PUBLISH) {
            has_goodbye = has_goodbye || packet.kind == FMX_DISCONNECT;
            continue;
        }
        memcpy(&number, packet.publish.payload.data, sizeof(number));
        STORY_ASSERT(number == back++);
        STORY_ASSERT(fmx_sim_now() - said_ns[number % MESSAGES] >= 2 * options.delay_ns);
    }
}

static bool has_all(void *user)
{
    (void)user;
    take_back();
    return back == MESSAGES;
}

static bool is_over(void *user)
{
    (void)user;
    take_back();
    return fmx_sim_peer_is_over(client.peer);
}

static bool is_gone(void *user)
{
    (void)user;
    return the_shard()->conns.used == 0;
}

static struct fmx_link_options any_link(void)
{
    return (struct fmx_link_options){
        .delay_ns = below(200) * FMX_NS_PER_MS,
        .jitter_ns = below(2) * below(200) * FMX_NS_PER_MS,
        .loss = (double)(below(2) * below(400)) / 1000,
        .read_bytes_per_second = below(3) == 0 ? 20000 + below(1000000) : 0,
    };
}

/* Torn, with few buffers, resumed: all comes back, in order, in its time. */
static void play_echo(void)
{
    begin(1u << 20, any_link());
    for (unsigned i = 0; i < MESSAGES; i++) {
        say_numbered(i);
        if (below(4) == 0) {
            fmx_story_turn(&story);
        }
        take_back();
    }
    STORY_ASSERT(fmx_story_until(&story, has_all, NULL, TURNS_MAX));
    STORY_ASSERT(!the_conn()->is_paused || options.read_bytes_per_second > 0);
    end();
}

/* What was said before the end still arrives, then the end, and both in their time. */
static void play_goodbye(void)
{
    struct fmx_link_options link = {.delay_ns = (1 + below(3000)) * FMX_NS_PER_MS,
                                    .jitter_ns = below(300) * FMX_NS_PER_MS,
                                    .loss = below(2) == 0 ? 0 : 0.5};
    uint64_t closed_ns;

    begin(1u << 20, link);
    for (unsigned i = 0; i < MESSAGES; i++) {
        say_numbered(i);
    }
    while (echo.packets < 1 + MESSAGES) {
        fmx_story_turn(&story);
    }
    bool is_end_alone = below(2) == 0;
    if (is_end_alone) {
        STORY_ASSERT(fmx_story_until(&story, has_all, NULL, TURNS_MAX));
        fmx_story_turns(&story, 20);
        fmx_conn_end(the_conn(), FMX_E_DONE);
    } else {
        fmx_conn_close(the_conn(), FMX_E_SHUTDOWN);
    }
    closed_ns = fmx_sim_now();
    STORY_ASSERT(fmx_story_until(&story, is_over, NULL, TURNS_MAX));
    STORY_ASSERT(back == MESSAGES && fmx_sim_peer_saw_end(client.peer));
    STORY_ASSERT(has_goodbye == (client.version == FMX_MQTT_50 && !is_end_alone));
    STORY_ASSERT(fmx_sim_now() - closed_ns >= link.delay_ns);
    STORY_ASSERT(the_shard()->conns.used == 1); /* the peer's end is waited for */
    fmx_sim_peer_end(client.peer);
    STORY_ASSERT(fmx_story_until(&story, is_gone, NULL, TURNS_MAX));
    end();
}

/* Nothing more arrives, and nothing is left. */
static void play_abort(void)
{
    size_t most;

    begin(1u << 20, (struct fmx_link_options){.delay_ns = 500 * FMX_NS_PER_MS});
    for (unsigned i = 0; i < MESSAGES; i++) {
        say_numbered(i);
        fmx_story_turn(&story);
    }
    while (echo.packets < 1 + MESSAGES / 2) {
        fmx_story_turn(&story);
    }
    fmx_conn_abort(the_conn(), FMX_E_SHUTDOWN, 0);
    most = fmx_sim_peer_got(client.peer).bytes + the_conn()->sendq.sending;
    STORY_ASSERT(fmx_story_until(&story, is_gone, NULL, TURNS_MAX));
    STORY_ASSERT(fmx_sim_peer_got(client.peer).bytes <= most);
    STORY_ASSERT(the_shard()->pool.bytes == 0);
    end();
}

/* The peer's end is heard behind all that it has said, in its time. */
static void play_peer_ends(void)
{
    unsigned count = below(2) == 0 ? 0 : MESSAGES;
    uint64_t said;

    begin(1u << 20, any_link());
    for (unsigned i = 0; i < count; i++) {
        say_numbered(i);
    }
    said = fmx_sim_now();
    fmx_sim_peer_end(client.peer);
    while (echo.closes == 0) {
        fmx_story_turn(&story);
    }
    STORY_ASSERT(echo.packets == 1 + count && fmx_sim_now() - said >= options.delay_ns);
    STORY_ASSERT(fmx_story_until(&story, is_gone, NULL, TURNS_MAX));
    end();
}

/* A slow reader takes no more than it may, and the rest stays with TCP. */
static void play_slow_reader(void)
{
    uint64_t rate = 2000 + below(100000);
    uint64_t begun_ns;
    uint64_t before;

    begin(1u << 20, (struct fmx_link_options){.read_bytes_per_second = rate});
    fmx_story_turns(&story, 50); /* a receive that brings all there is may still be armed */
    say_numbered(0);
    while (back < 1) {
        fmx_story_turn(&story);
        take_back();
    }
    while (the_conn()->is_paused) {
        fmx_story_turn(&story);
    }
    begun_ns = fmx_sim_now();
    before = fmx_story_stats(&story).bytes_in;
    for (unsigned i = 1; i < MESSAGES; i++) {
        say_numbered(i);
    }
    while (back < MESSAGES) {
        uint64_t gone_ns = fmx_sim_now() - begun_ns + FMX_NS_PER_S / 10;
        fmx_story_turn(&story);
        take_back();
        STORY_ASSERT(fmx_story_stats(&story).bytes_in - before <=
                     (gone_ns + FMX_NS_PER_S) / FMX_NS_PER_MS * rate / 1000);
        STORY_ASSERT(back > 5 || fmx_sim_peer_unsent(client.peer) > 0);
    }
    end();
}

/* What waits outwards is bounded as if the peer did not read, and so is what waits inwards. */
static void play_bounds(void)
{
    begin(16384, (struct fmx_link_options){.delay_ns = FMX_NS_PER_S});
    for (unsigned i = 0; i < 100; i++) {
        fmx_story_say_publish(&client, "much", (fmx_slice){payload, 2000}, 0);
        fmx_story_turn(&story);
    }
    while (echo.dropped == 0) {
        STORY_ASSERT(the_shard()->pool.bytes <= 3 * 65536);
        fmx_story_turn(&story);
    }
    while (echo.owed > 0 || fmx_sim_peer_unsent(client.peer) > 0) {
        fmx_story_turn(&story);
    }
    STORY_ASSERT(echo.writables > 0 && fmx_story_stats(&story).receive_pauses > 0);
    end();
}

/* ── every end, with anything in the links ── */

static void give_any_link(void *user, struct fmx_conn *conn, struct fmx_packet *packet)
{
    struct fmx_link_options link = any_link();

    (void)user;
    if (below(4) == 0 && !conn->has_link && packet->kind != FMX_DISCONNECT) {
        link.key = below(1000);
        fmx_conn_use_link(conn, &link);
    }
}

static void replace(struct fmx_story_client *one)
{
    *one = fmx_story_client(0, below(2) == 0 ? FMX_MQTT_311 : FMX_MQTT_50);
    if (below(10) > 0) {
        fmx_story_say_connect(one, "ends", true, 0);
    }
}

static void end_from_within(void)
{
    uint32_t cursor = (uint32_t)below(CLIENTS_MAX);
    struct fmx_conn *conn = fmx_slab_next(&the_shard()->conns, &cursor);

    if (conn != NULL && below(3) == 0) {
        fmx_conn_abort(conn, FMX_LIMIT_MEMORY, 0);
    } else if (conn != NULL && below(2) == 0) {
        fmx_conn_end(conn, FMX_E_DONE);
    } else if (conn != NULL) {
        fmx_conn_close(conn, FMX_LIMIT_BUSY);
    }
}

static void do_something(struct fmx_story_client *one)
{
    struct fmx_sim_peer *peer = one->peer;

    switch (below(16)) {
    case 0:
        fmx_sim_peer_read(peer, false);
        break;
    case 1:
    case 2:
        fmx_sim_peer_read(peer, true);
        break;
    case 3:
        fmx_sim_peer_end(peer);
        break;
    case 4:
        fmx_sim_peer_close(peer);
        break;
    case 5:
        fmx_sim_peer_reset(peer);
        break;
    case 6:
        fmx_story_say_publish(one, "close", (fmx_slice){0}, (uint8_t)below(2));
        break;
    case 7:
        fmx_story_say_publish(one, "abort", (fmx_slice){0}, (uint8_t)below(2));
        break;
    case 8:
        end_from_within();
        break;
    default:
        for (uint64_t n = below(6); n > 0; n--) {
            fmx_story_say_publish(one, "topic", (fmx_slice){payload, below(sizeof(payload))}, 1);
        }
        break;
    }
}

static void play_ends(void)
{
    fmx_story_init(&story);
    story.options.sessions_max = CLIENTS_MAX * 4;
    story.options.send_queue_bytes_max = 1024u << below(8);
    echo = (struct fmx_echo){.late_verdict = 300,
                             .holds = 300,
                             .full = below(2) == 0 ? FMX_ECHO_DROP : FMX_ECHO_WAIT,
                             .refer_bytes_min = below(2) == 0 ? 0 : 100,
                             .on_packet = give_any_link};
    fmx_story_open(&story, &fmx_echo_role, &echo);
    memset(crowd, 0, sizeof(crowd));
    for (unsigned i = 0; i < STEPS; i++) {
        struct fmx_story_client *one = &crowd[below(CLIENTS_MAX)];
        if (one->peer == NULL || fmx_sim_peer_is_over(one->peer)) {
            replace(one);
        } else {
            do_something(one);
        }
        fmx_story_turns(&story, (unsigned)below(4));
    }
    end();
}

static void what_goes_through_a_link_comes_in_order_and_in_its_time(void)
{
    fmx_story_play(play_echo, STORY_SEEDS / 2);
}

static void the_goodbye_and_the_end_leave_through_the_link(void)
{
    fmx_story_play(play_goodbye, STORY_SEEDS);
}

static void an_abort_drops_all_that_is_in_the_link(void)
{
    fmx_story_play(play_abort, STORY_SEEDS / 2);
}

static void the_end_of_a_peer_is_heard_behind_what_it_has_said(void)
{
    fmx_story_play(play_peer_ends, STORY_SEEDS / 2);
}

static void a_slow_reader_leaves_the_rest_to_tcp(void)
{
    fmx_story_play(play_slow_reader, 40);
}

static void what_waits_in_a_link_is_bounded_both_ways(void)
{
    fmx_story_play(play_bounds, 40);
}

static void every_end_finds_what_is_in_the_links(void)
{
    fmx_story_play(play_ends, STORY_SEEDS / 2);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(what_goes_through_a_link_comes_in_order_and_in_its_time),
    FMX_TEST_CASE(the_goodbye_and_the_end_leave_through_the_link),
    FMX_TEST_CASE(an_abort_drops_all_that_is_in_the_link),
    FMX_TEST_CASE(the_end_of_a_peer_is_heard_behind_what_it_has_said),
    FMX_TEST_CASE(a_slow_reader_leaves_the_rest_to_tcp),
    FMX_TEST_CASE(what_waits_in_a_link_is_bounded_both_ways),
    FMX_TEST_CASE(every_end_finds_what_is_in_the_links),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_link", cases, sizeof cases / sizeof cases[0], argc, argv);
}
