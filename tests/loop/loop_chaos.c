/*
 * loop_chaos — peers that misbehave: cut anywhere, say nonsense, stop reading, say nothing. The
 * gateway stays up, the others do not notice, its queues stay within their bounds, and in the end
 * it has given everything back
 *
 * Words:          witness: a fleet that talks to itself at QoS 1 all the while
 */
#include "tests/loop/support.h"
#include "tests/support/prng.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define WITNESSES      20u
#define CLIENT_IDS     20u
#define DEAF_BYTES_MAX (2u << 20) /* 30 times send_queue_bytes_max, for slack */

/* ── witnesses ── */

static struct fmx_fleet *call_witnesses(uint16_t port)
{
    static const char *const filters[] = {"witness/%i"};
    struct loop_plan plan;

    loop_plan(&plan, WITNESSES, "witness_%i");
    plan.filters = filters;
    plan.filters_count = 1;
    plan.subscribe_qos = 1;
    plan.publish.topic = "witness/%i";
    plan.publish.qos = 1;
    plan.publish.interval_ns = LOOP_SIZE(10, 40) * LOOP_MS_NS; /* slow machines keep up */
    struct fmx_fleet *fleet = loop_fleet(&plan, port);
    LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == WITNESSES);
    return fleet;
}

static void hear_witnesses(struct fmx_fleet *fleet)
{
    uint64_t before = loop_look(fleet).counters.received;

    LOOP_WAIT(loop_look(fleet).counters.received > before + 5 * WITNESSES);
    fmx_fleet_stop(fleet);
    struct fmx_fleet_snapshot end = loop_look(fleet);
    LOOP_EQUAL(end.counters.connects_ok, WITNESSES);
    LOOP_EQUAL(end.counters.clients_lost + end.counters.clients_failed + end.causes_count, 0);
    LOOP_EQUAL(end.counters.publishes_acked, end.counters.publishes_sent);
    LOOP_EQUAL(end.counters.received_duplicate + end.counters.received_gap +
                   end.counters.received_foreign,
               0);
    fmx_fleet_close(fleet);
}

/* ── cuts and nonsense ── */

static void set_linger_zero(int fd)
{
    const struct linger linger = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/* A whole life: CONNECT, SUBSCRIBE, PUBLISH of all kinds, PINGREQ, DISCONNECT. */
static size_t write_life(struct fmx_prng *prng, uint8_t *out)
{
    static const enum fmx_version versions[] = {FMX_MQTT_31, FMX_MQTT_311, FMX_MQTT_50};
    static uint8_t payload[8192];
    enum fmx_version version = versions[fmx_prng_below(prng, 3)];
    char id[32];
    char topic[32];
    size_t at;

    snprintf(id, sizeof id, "chaos_%u", (unsigned)fmx_prng_below(prng, CLIENT_IDS));
    at = loop_write_connect(out, &(struct loop_connect){.client_id = id,
                                                        .version = version,
                                                        .clean = fmx_prng_below(prng, 2) == 0,
                                                        .session_expiry_s = 30,
                                                        .keepalive_s = 60});
    at += loop_write_subscribe(out + at, version, "chaos/#", fmx_prng_below(prng, 2) == 0);
    for (uint64_t left = fmx_prng_below(prng, 8); left > 0; left--) {
        size_t bytes = fmx_prng_below(prng, 2) ? fmx_prng_below(prng, 40)
                                               : fmx_prng_below(prng, sizeof payload);
        snprintf(topic, sizeof topic, "chaos/%u", (unsigned)left);
        at += loop_write_publish(out + at, version, topic,
                                 (fmx_slice){.data = payload, .bytes = bytes},
                                 fmx_prng_below(prng, 2) == 0, (uint16_t)(left + 1));
    }
    out[at++] = 0xc0;
    out[at++] = 0;
    if (fmx_prng_below(prng, 2) == 0) {
        out[at++] = 0xe0;
        out[at++] = 0;
    }
    return at;
}

static void spoil_bytes(struct fmx_prng *prng, uint8_t *bytes, size_t count)
{
    for (uint64_t left = fmx_prng_below(prng, 4); left > 0; left--) {
        bytes[fmx_prng_below(prng, count)] ^= (uint8_t)(1u << fmx_prng_below(prng, 8));
    }
}

/* Sends up to `count` bytes in pieces; the gateway may end it before. */
static void send_in_pieces(struct fmx_prng *prng, int fd, const uint8_t *bytes, size_t count)
{
    size_t at = 0;

    while (at < count) {
        size_t piece = 1 + fmx_prng_below(prng, fmx_prng_below(prng, 2) ? 20 : 4000);
        piece = piece < count - at ? piece : count - at;
        if (!loop_send(fd, bytes + at, piece)) {
            return;
        }
        at += piece;
    }
}

/* Returns whether the life was spoilt; its client id may be any then. */
static bool live_and_be_cut(struct fmx_prng *prng, uint16_t port)
{
    static uint8_t life[131072];
    size_t bytes = write_life(prng, life);
    size_t cut = fmx_prng_below(prng, bytes + 1);
    int fd = loop_dial(port, 0);
    bool is_spoilt = fmx_prng_below(prng, 3) == 0;

    if (is_spoilt) {
        spoil_bytes(prng, life, bytes);
    }
    send_in_pieces(prng, fd, life, cut);
    switch (fmx_prng_below(prng, 3)) {
    case 0:
        set_linger_zero(fd);
        break;
    case 1:
        shutdown(fd, SHUT_WR);
        break;
    default:
        break;
    }
    close(fd);
    return is_spoilt;
}

static void chaos_of_cuts_at_any_byte_leaves_the_others_alone(void)
{
    struct fmx_prng prng = {.state = 20261122};
    unsigned files = loop_files();
    unsigned spoilt = 0;

    loop_begin();
    struct fmx_gateway *gateway = loop_gateway(2);
    uint16_t port = fmx_gateway_port(gateway, 0);
    struct fmx_fleet *witnesses = call_witnesses(port);
    for (unsigned i = 0; i < LOOP_SIZE(3000, 1000); i++) {
        spoilt += live_and_be_cut(&prng, port);
    }
    LOOP_WAIT(loop_stats(gateway).connections_now == WITNESSES);
    LOOP_WAIT(loop_stats(gateway).sessions_now == WITNESSES);
    hear_witnesses(witnesses);
    loop_expect_empty(gateway);
    CU_ASSERT(loop_stats(gateway).sessions_opened > WITNESSES);
    CU_ASSERT(loop_stats(gateway).parked_now <= CLIENT_IDS + spoilt);
    loop_gateway_end(gateway);
    LOOP_EQUAL(loop_files(), files);
}

static void chaos_of_random_bytes_opens_no_session(void)
{
    struct fmx_prng prng = {.state = 7};
    uint8_t bytes[2048];

    loop_begin();
    struct fmx_gateway *gateway = loop_gateway(2);
    uint16_t port = fmx_gateway_port(gateway, 0);
    struct fmx_fleet *witnesses = call_witnesses(port);
    for (unsigned i = 0; i < 1000; i++) {
        for (size_t k = 0; k < sizeof bytes; k++) {
            bytes[k] = (uint8_t)fmx_prng_next(&prng);
        }
        bytes[0] = i % 2 == 0 ? 0x10 : bytes[0]; /* half of them begin like CONNECT */
        int fd = loop_dial(port, 0);
        send_in_pieces(&prng, fd, bytes, 1 + fmx_prng_below(&prng, sizeof bytes));
        close(fd);
    }
    LOOP_WAIT(loop_stats(gateway).connections_now == WITNESSES);
    LOOP_EQUAL(loop_stats(gateway).sessions_opened, WITNESSES);
    hear_witnesses(witnesses);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* Our own clients are cut by their server: they see a loss, come back, and nothing is kept. */
static void chaos_of_a_server_that_cuts_wedges_no_fleet(void)
{
    static const uint8_t connack[] = {0x20, 3, 0, 0, 0};
    struct fmx_prng prng = {.state = 99};
    struct loop_plan plan;

    loop_begin();
    uint16_t port;
    int server = loop_listen_anywhere(&port);
    loop_plan(&plan, 20, "cut_%i");
    plan.publish.topic = "x";
    plan.publish.qos = 1;
    plan.publish.interval_ns = LOOP_MS_NS;
    plan.group.reconnect_min_ms = 1;
    plan.group.reconnect_max_ms = 5;
    plan.whole.drain_ms = 100;
    struct fmx_fleet *fleet = loop_fleet(&plan, port);
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t bytes[600];
        int fd = accept(server, NULL, NULL);
        CU_ASSERT_FATAL(fd >= 0);
        memcpy(bytes, connack, sizeof connack);
        for (size_t k = sizeof connack; k < sizeof bytes; k++) {
            bytes[k] = (uint8_t)fmx_prng_next(&prng);
        }
        size_t whole = fmx_prng_below(&prng, 2) ? sizeof connack : sizeof bytes;
        (void)loop_send(fd, bytes, fmx_prng_below(&prng, whole + 1));
        if (fmx_prng_below(&prng, 2) == 0) {
            set_linger_zero(fd);
        }
        close(fd);
    }
    close(server);
    fmx_fleet_stop(fleet);
    LOOP_EQUAL(loop_look(fleet).stats.connections_now, 0);
    LOOP_EQUAL(loop_look(fleet).stats.queued_bytes_now, 0);
    fmx_fleet_close(fleet);
}

/* ── readers that pause ── */

#define PAUSED 8u

struct flood {
    uint8_t qos;
    bool clean;
    uint32_t payload_bytes;
};

static void gateway_with_small_queues(struct fmx_gateway_options *options)
{
    loop_gateway_options(options, 2);
    options->mux.send_queue_bytes_max = 65536;
    options->limits.queue_messages_max = 200;
    options->limits.queue_bytes_max = 1u << 20;
    options->limits.inflight_max = 100;
}

static struct fmx_fleet *begin_flood(const struct flood *flood, uint16_t port)
{
    struct loop_plan plan;

    loop_plan(&plan, 4, "flood_%i");
    plan.publish.topic = "flood/%i";
    plan.publish.qos = flood->qos;
    plan.publish.payload_bytes = flood->payload_bytes;
    plan.publish.interval_ns = 2 * LOOP_MS_NS;
    return loop_fleet(&plan, port);
}

static void pause_readers(const struct flood *flood, uint16_t port, struct loop_peer *out_peers)
{
    for (unsigned i = 0; i < PAUSED; i++) {
        char id[32];
        snprintf(id, sizeof id, "paused_%u", i);
        out_peers[i] = loop_connect(
            port, &(struct loop_connect){.client_id = id,
                                         .version = i % 2 == 0 ? FMX_MQTT_311 : FMX_MQTT_50,
                                         .clean = flood->clean,
                                         .session_expiry_s = flood->clean ? 0 : 600,
                                         .receive_buffer_bytes = 4096});
        loop_subscribe(out_peers[i], "flood/#", flood->qos);
    }
}

/* Read again: the stream is whole, and ends where it did or goes on to the present. */
static void read_on(struct loop_peer peer, unsigned packets)
{
    static struct loop_packet got;

    for (unsigned i = 0; i < packets; i++) {
        uint16_t packet_id;
        uint8_t ack[4];
        if (!loop_receive(peer.fd, &got)) {
            CU_FAIL("a reader that goes on gets messages");
            return;
        }
        CU_ASSERT_EQUAL_FATAL(got.head >> 4, 3);
        (void)loop_payload(peer, &got, &packet_id);
        if (packet_id != 0) {
            CU_ASSERT(loop_send(peer.fd, ack, loop_write_puback(ack, packet_id)));
        }
    }
}

static bool has_reached_the_bound(const struct fmx_stats *stats, const struct flood *flood)
{
    return flood->qos == 0 ? stats->dropped_qos0 > 1000
           : flood->clean  ? stats->closed_limit == PAUSED
                           : stats->dropped_qos1 > 1000;
}

static void flood_paused_readers(const struct flood *flood)
{
    struct loop_peer peers[PAUSED];
    struct fmx_gateway_options options;
    struct fmx_stats stats;

    loop_begin();
    gateway_with_small_queues(&options);
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    uint16_t port = fmx_gateway_port(gateway, 0);
    struct fmx_fleet *witnesses = call_witnesses(port);
    pause_readers(flood, port, peers);
    struct fmx_fleet *publishers = begin_flood(flood, port);
    /* in each queue one packet more than the bound, in blocks; and the witnesses' */
    uint64_t bound = (PAUSED + WITNESSES + 4) *
                     (2ull * options.mux.send_queue_bytes_max + 2 * flood->payload_bytes + 65536);
    do {
        stats = loop_stats(gateway);
        CU_ASSERT_FATAL(stats.queued_bytes_now <= bound);
        LOOP_WAIT(loop_stats(gateway).turns > stats.turns + 10);
    } while (!has_reached_the_bound(&stats, flood) && loop_patience_ms() > 1000);
    if (flood->qos == 0 || !flood->clean) {
        LOOP_WAIT(loop_stats(gateway).sessions_now == PAUSED + WITNESSES + 4);
        for (unsigned i = 0; i < PAUSED; i++) {
            read_on(peers[i], 500);
        }
    }
    fmx_fleet_stop(publishers);
    struct fmx_fleet_snapshot sent = loop_look(publishers);
    LOOP_EQUAL(sent.counters.clients_lost + sent.counters.clients_failed + sent.causes_count, 0);
    LOOP_EQUAL(sent.counters.publishes_acked, flood->qos == 0 ? 0 : sent.counters.publishes_sent);
    fmx_fleet_close(publishers);
    for (unsigned i = 0; i < PAUSED; i++) {
        close(peers[i].fd);
    }
    hear_witnesses(witnesses);
    loop_expect_empty(gateway);
    LOOP_WAIT(loop_stats(gateway).parked_now == (flood->clean ? 0 : PAUSED));
    CU_ASSERT(loop_stats(gateway).stored_now <= PAUSED * 300u);
    loop_gateway_end(gateway);
}

static void chaos_of_paused_readers_drops_what_may_be_lost(void)
{
    flood_paused_readers(&(struct flood){.qos = 0, .clean = true, .payload_bytes = 200});
    flood_paused_readers(&(struct flood){.qos = 0, .clean = true, .payload_bytes = 10000});
}

static void chaos_of_paused_readers_ends_clean_sessions_that_may_lose_nothing(void)
{
    flood_paused_readers(&(struct flood){.qos = 1, .clean = true, .payload_bytes = 200});
    flood_paused_readers(&(struct flood){.qos = 1, .clean = true, .payload_bytes = 10000});
}

static void chaos_of_paused_readers_drops_the_oldest_of_persistent_sessions(void)
{
    flood_paused_readers(&(struct flood){.qos = 1, .clean = false, .payload_bytes = 200});
    flood_paused_readers(&(struct flood){.qos = 1, .clean = false, .payload_bytes = 10000});
}

/* A publisher that reads no acknowledgement fills nothing but its own queue. */
static void chaos_of_publishers_that_read_nothing_is_bounded(void)
{
    static uint8_t burst[65536];
    struct fmx_gateway_options options;
    struct timeval limit = {.tv_usec = 300000};
    size_t at = 0;

    loop_begin();
    gateway_with_small_queues(&options);
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    uint16_t port = fmx_gateway_port(gateway, 0);
    struct fmx_fleet *witnesses = call_witnesses(port);
    for (uint16_t id = 1; at + 64 < sizeof burst; id++) {
        at += loop_write_publish(burst + at, FMX_MQTT_311, "q", (fmx_slice){0}, 1, id);
    }
    for (unsigned i = 0; i < 4; i++) {
        struct loop_peer peer =
            loop_connect(port, &(struct loop_connect){.client_id = i % 2 ? "deaf_1" : "deaf_0",
                                                      .version = 4,
                                                      .clean = 1,
                                                      .receive_buffer_bytes = 4096});
        setsockopt(peer.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        for (unsigned k = 0; k < 400 && loop_send(peer.fd, burst, at); k++) {
        }
        uint64_t queued = loop_stats(gateway).queued_bytes_now;
        if (queued > DEAF_BYTES_MAX) {
            fprintf(stderr, "  %llu bytes queued\n", (unsigned long long)queued);
            CU_FAIL("acknowledgements that nobody reads are bounded, too");
        }
        close(peer.fd);
    }
    hear_witnesses(witnesses);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── silence ── */

static void chaos_of_silent_connections_ends_at_the_deadline(void)
{
    const unsigned count = 300;
    static int fds[300];
    static const uint8_t begin[] = {0x10, 200, 1, 0, 4, 'M', 'Q'};
    struct fmx_gateway_options options;

    loop_begin();
    loop_gateway_options(&options, 2);
    options.connect_timeout_ms = LOOP_SIZE(1000, 3000); /* enough for the witnesses */
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    uint16_t port = fmx_gateway_port(gateway, 0);
    struct fmx_fleet *witnesses = call_witnesses(port);
    for (unsigned i = 0; i < count; i++) {
        fds[i] = loop_dial(port, 0);
        (void)loop_send(fds[i], begin, i % (sizeof begin + 1)); /* nothing, or some of CONNECT */
    }
    LOOP_WAIT(loop_stats(gateway).accepts == count + WITNESSES);
    /* a byte now and then does not buy time */
    uint64_t until_ms = loop_now_ms() + loop_patience_ms();
    while (loop_stats(gateway).connections_now > WITNESSES && loop_now_ms() < until_ms) {
        for (unsigned i = 0; i < count; i++) {
            if (i % (sizeof begin + 1) == sizeof begin) {
                (void)loop_send(fds[i], "x", 1);
            }
        }
        loop_pause_ms(20);
    }
    LOOP_EQUAL(loop_stats(gateway).connections_now, WITNESSES);
    LOOP_EQUAL(loop_stats(gateway).sessions_opened, WITNESSES);
    for (unsigned i = 0; i < count; i++) {
        CU_ASSERT(loop_drain_to_end(fds[i]));
        close(fds[i]);
    }
    hear_witnesses(witnesses);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(chaos_of_cuts_at_any_byte_leaves_the_others_alone),
    FMX_TEST_CASE(chaos_of_random_bytes_opens_no_session),
    FMX_TEST_CASE(chaos_of_a_server_that_cuts_wedges_no_fleet),
    FMX_TEST_CASE(chaos_of_paused_readers_drops_what_may_be_lost),
    FMX_TEST_CASE(chaos_of_paused_readers_ends_clean_sessions_that_may_lose_nothing),
    FMX_TEST_CASE(chaos_of_paused_readers_drops_the_oldest_of_persistent_sessions),
    FMX_TEST_CASE(chaos_of_publishers_that_read_nothing_is_bounded),
    FMX_TEST_CASE(chaos_of_silent_connections_ends_at_the_deadline),
};

int main(int argc, char **argv)
{
    return fmx_test_main("chaos", cases, sizeof cases / sizeof cases[0], argc, argv);
}
