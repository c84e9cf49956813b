/*
 * loop_tls_bounds — what handshakes may take: chains of certificates, time, how many there are, of
 * one address and in a second; what is over it is ended and counted, and the others go on
 *
 * Words:          raw, claim: as in loop_tls_hostile
 */
#include "tests/loop/tls_hostile.h"

#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const uint8_t data_claim[] = {RECORD_DATA, 3, 3, 0x40, 0, 0};

/* ── certificates ── */

/* In TLS 1.3 the client is done before the gateway has looked. */
static bool is_admitted(const struct tls_world *world, uint16_t version, const char *cert,
                        const char *key)
{
    struct tls_peer_options options = tls_client(world->port);
    static struct loop_packet got;
    struct tls_peer peer;
    uint8_t bytes[256];

    options.min = options.max = version;
    options.cert = cert;
    options.key = key;
    bool is_good =
        tls_peer_open(&peer, &options) &&
        tls_peer_send(&peer, bytes,
                      loop_write_connect(bytes, &(struct loop_connect){.client_id = "certified",
                                                                       .version = FMX_MQTT_311,
                                                                       .clean = true})) &&
        tls_receive(&peer, &got);
    tls_peer_close(&peer);
    return is_good;
}

static void chains_of_clients_have_bounds(void)
{
    static const uint16_t versions[] = {0x0303, 0x0304};
    const char *short_key, *long_key;
    const char *short_chain = tls_long_chain(3, &short_key);
    char short_names[2][FMX_TEMPORARY_FILE_BYTES];
    snprintf(short_names[0], sizeof short_names[0], "%s", short_chain);
    snprintf(short_names[1], sizeof short_names[1], "%s", short_key);
    const char *long_chain = tls_long_chain(8, &long_key);
    struct tls_world world;

    for (unsigned v = 0; v < 2; v++) {
        tls_world(&world, 1, v);
        world.server.client_auth = FMX_TLS_CLIENT_AUTH_REQUEST;
        world.server.client_ca = tls_cert(TLS_FILE_CA);
        hostile_begin(&world);
        CU_ASSERT(is_admitted(&world, versions[v], NULL, NULL));
        CU_ASSERT(
            is_admitted(&world, versions[v], tls_cert(TLS_FILE_CLIENT), tls_key(TLS_FILE_CLIENT)));
        CU_ASSERT(is_admitted(&world, versions[v], short_names[0], short_names[1]));
        LOOP_EQUAL(tls_stats(&world).tls_client_certs, 2);
        LOOP_EQUAL(tls_stats(&world).tls_failed, 0);
        for (unsigned i = 0; i < 5; i++) {
            CU_ASSERT_FALSE(is_admitted(&world, versions[v], long_chain, long_key));
            CU_ASSERT_FALSE(
                is_admitted(&world, versions[v], tls_big_chain(60), tls_key(TLS_FILE_CLIENT)));
            CU_ASSERT_FALSE(is_admitted(&world, versions[v], tls_cert(TLS_FILE_STRANGER),
                                        tls_key(TLS_FILE_STRANGER)));
            CU_ASSERT_FALSE(is_admitted(&world, versions[v], tls_cert(TLS_FILE_SERVER),
                                        tls_key(TLS_FILE_SERVER))); /* not for clients */
        }
        LOOP_EQUAL(tls_stats(&world).tls_failed, 20);
        LOOP_EQUAL(tls_stats(&world).tls_client_certs, 2);
        hostile_end(&world);
    }
}

static void a_certificate_that_is_required_cannot_be_left_out(void)
{
    struct tls_world world;

    tls_world(&world, 1, 1);
    world.server.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
    world.server.client_ca = tls_cert(TLS_FILE_CA);
    tls_start(&world);
    CU_ASSERT_FALSE(is_admitted(&world, 0x0303, NULL, NULL));
    CU_ASSERT_FALSE(is_admitted(&world, 0x0304, NULL, NULL));
    LOOP_EQUAL(tls_stats(&world).tls_failed, 2);
    LOOP_EQUAL(tls_stats(&world).sessions_opened, 0);
    CU_ASSERT(is_admitted(&world, 0x0303, tls_cert(TLS_FILE_CLIENT), tls_key(TLS_FILE_CLIENT)));
    CU_ASSERT(is_admitted(&world, 0x0304, tls_cert(TLS_FILE_CLIENT), tls_key(TLS_FILE_CLIENT)));
    tls_end(&world);
}

/* ── time ── */

/* A byte now and then buys none. */
static void handshakes_that_never_end_are_given_up(void)
{
    static uint8_t hello[2048];
    const unsigned count = 120;
    struct tls_world world;

    for (uint32_t workers = 0; workers < 2; workers++) {
        tls_world(&world, 2, workers);
        world.server.handshake_timeout_ms = LOOP_SIZE(400, 2000);
        hostile_begin(&world);
        size_t hello_bytes = tls_hello(hello, sizeof hello);
        uint64_t accepts = tls_stats(&world).accepts;
        hostile_dial(world.port, count);
        for (unsigned i = 0; i < count; i++) {
            const size_t said[] = {1, 5, 6, hello_bytes / 2, hello_bytes};
            CU_ASSERT(loop_send(hostile_raws[i], hello, said[i % 5]));
        }
        LOOP_WAIT(tls_stats(&world).accepts == accepts + count);
        uint64_t until_ms = loop_now_ms() + loop_patience_ms();
        while (tls_stats(&world).connections_now > 0 && loop_now_ms() < until_ms) {
            for (unsigned i = 3; i < count; i += 5) {
                (void)send(hostile_raws[i], "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
            }
            loop_pause_ms(20);
        }
        LOOP_EQUAL(tls_stats(&world).tls_timeout, count);
        LOOP_EQUAL(tls_stats(&world).tls_unfinished_now, 0);
        for (unsigned i = 0; i < count; i++) {
            CU_ASSERT(loop_drain_to_end(hostile_raws[i]));
        }
        hostile_close(count);
        hostile_end(&world);
    }
}

static void records_that_never_end_are_given_up(void)
{
    enum { COUNT = 40 };
    static struct tls_wire wires[COUNT];
    struct tls_world world;

    tls_world(&world, 2, 0);
    world.options.tls_limits.partial_record_timeout_ms = LOOP_SIZE(400, 2000);
    hostile_begin(&world);
    for (unsigned i = 0; i < COUNT; i++) {
        hostile_join(&wires[i], &world, i % 2 ? 0x0303 : 0x0304, true);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        CU_ASSERT(loop_send(wires[i].peer.fd, data_claim, 1 + i % sizeof data_claim));
    }
    uint64_t until_ms = loop_now_ms() + loop_patience_ms();
    while (tls_stats(&world).connections_now > 0 && loop_now_ms() < until_ms) {
        for (unsigned i = 5; i < COUNT; i += 6) {
            (void)send(wires[i].peer.fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        loop_pause_ms(20);
    }
    LOOP_EQUAL(tls_stats(&world).tls_timeout, COUNT);
    LOOP_EQUAL(tls_stats(&world).sessions_now, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        CU_ASSERT(tls_wire_hear_end(&wires[i]));
        tls_wire_close(&wires[i], false);
    }
    hostile_end(&world);
}

/* ── how many ── */

/* A record that is whole and begins a message of which nothing more comes. */
static const uint8_t hello_begun[] = {RECORD_HANDSHAKE, 3, 1, 0, 5, 1, 0, 0x3f, 0xf0, 3};

static void too_many_unfinished_handshakes_are_closed_and_the_others_go_on(void)
{
    enum { MAX = 10, MORE = 20 };
    struct tls_world world;
    struct tls_peer earlier;
    struct loop_peer plain;

    tls_world(&world, 1, 1);
    world.options.tls_limits.unfinished_max = MAX;
    hostile_begin(&world);
    tls_join_plainly(&earlier, world.port, "earlier");
    hostile_dial(world.port, MAX);
    hostile_send(&world, MAX, hello_begun, sizeof hello_begun);
    LOOP_WAIT(tls_stats(&world).tls_unfinished_now == MAX);
    for (unsigned i = 0; i < MORE; i++) {
        hostile_is_ended(&world, hello_begun, sizeof hello_begun);
    }
    LOOP_EQUAL(tls_stats(&world).tls_shed, MORE);
    LOOP_EQUAL(tls_stats(&world).tls_unfinished_now, MAX);
    tls_subscribe(&earlier, "still", 0); /* who is in is served */
    plain = loop_connect(
        world.port,
        &(struct loop_connect){.client_id = "plain", .version = FMX_MQTT_311, .clean = true});
    close(plain.fd);
    tls_peer_close(&earlier);
    hostile_close(MAX);
    LOOP_WAIT(tls_stats(&world).tls_unfinished_now == 0);
    LOOP_EQUAL(tls_stats(&world).tls_failed, 0);
    hostile_end(&world);
}

static int dial_from(const char *source, uint16_t port)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 60};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CU_ASSERT_FATAL(fd >= 0 && inet_pton(AF_INET, source, &from.sin_addr) == 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&from, sizeof from) == 0);
    CU_ASSERT_FATAL(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static void one_address_cannot_take_all_handshakes(void)
{
    enum { MAX = 5, MORE = 10 };
    struct tls_world world;
    struct tls_wire wire;

    tls_world(&world, 1, 1);
    world.options.tls_limits.unfinished_per_address_max = MAX;
    hostile_begin(&world);
    for (unsigned round = 1; round <= 3; round++) { /* what is counted is counted down */
        hostile_dial(world.port, MAX);
        hostile_send(&world, MAX, hello_begun, sizeof hello_begun);
        LOOP_WAIT(tls_stats(&world).tls_unfinished_now == MAX);
        for (unsigned i = 0; i < MORE; i++) {
            hostile_is_ended(&world, hello_begun, sizeof hello_begun);
        }
        LOOP_EQUAL(tls_stats(&world).tls_shed, round * MORE);
        struct tls_peer_options options = tls_client(world.port);
        tls_wire_begin(&wire, dial_from("127.0.0.9", world.port), &options);
        CU_ASSERT(tls_wire_handshake(&wire));
        tls_wire_close(&wire, false);
        hostile_close(MAX);
        LOOP_WAIT(tls_stats(&world).tls_unfinished_now == 0);
    }
    for (unsigned i = 0; i < 3 * MAX; i++) { /* those that are done count no more */
        hostile_join(&wire, &world, 0x0304, true);
        tls_wire_close(&wire, false);
    }
    LOOP_EQUAL(tls_stats(&world).tls_shed, 3 * MORE);
    hostile_end(&world);
}

static void a_storm_over_the_rate_gets_through_later(void)
{
    enum { COUNT = 40 };
    static struct tls_wire wires[COUNT];
    struct tls_world world;

    for (uint32_t workers = 0; workers < 2; workers++) {
        tls_world(&world, 1, workers);
        world.options.tls_limits.handshakes_per_second = 30;
        tls_start(&world);
        struct tls_peer_options options = tls_client(world.port);
        for (unsigned i = 0; i < COUNT; i++) {
            tls_wire_open(&wires[i], &options);
            CU_ASSERT(tls_wire_step(&wires[i]));
        }
        for (unsigned i = 0; i < COUNT; i++) { /* all at once, however slow we are ourselves */
            CU_ASSERT(tls_wire_say(&wires[i]));
        }
        for (unsigned i = 0; i < COUNT; i++) {
            CU_ASSERT(tls_wire_hear(&wires[i]) && tls_wire_handshake(&wires[i]));
        }
        LOOP_WAIT(tls_stats(&world).tls_full == COUNT);
        CU_ASSERT(tls_stats(&world).tls_delayed > 0);
        CU_ASSERT(tls_stats(&world).tls_delayed <= COUNT);
        LOOP_EQUAL(tls_stats(&world).tls_shed + tls_stats(&world).tls_failed, 0);
        for (unsigned i = 0; i < COUNT; i++) {
            tls_wire_close(&wires[i], i % 2 == 0);
        }
        tls_serve(&world);
        tls_end(&world);
    }
}

static bool is_served(const struct tls_world *world)
{
    struct tls_peer_options options = tls_client(world->port);
    struct tls_peer peer;
    bool is_good = tls_peer_open(&peer, &options);

    tls_peer_close(&peer);
    return is_good;
}

/* Who would wait for half the time of a handshake is closed, so that others get through. */
static void a_storm_far_over_the_rate_is_shed(void)
{
    enum { COUNT = 30 };
    static uint8_t hello[2048];
    struct tls_world world;

    tls_world(&world, 1, 1);
    world.options.tls_limits.handshakes_per_second = 2;
    world.server.handshake_timeout_ms = LOOP_SIZE(1500, 4000);
    tls_start(&world);
    size_t hello_bytes = tls_hello(hello, sizeof hello);
    hostile_dial(world.port, COUNT);
    hostile_send(&world, COUNT, hello, hello_bytes);
    LOOP_WAIT(tls_stats(&world).tls_unfinished_now == 0);
    struct fmx_stats stats = tls_stats(&world);
    LOOP_EQUAL(stats.tls_shed + stats.tls_timeout, COUNT);
    CU_ASSERT(stats.tls_shed > 0);
    CU_ASSERT(stats.tls_timeout > 0); /* those that got their turn, and said no more */
    hostile_close(COUNT);
    LOOP_WAIT(is_served(&world));
    tls_end(&world);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(chains_of_clients_have_bounds),
    FMX_TEST_CASE(a_certificate_that_is_required_cannot_be_left_out),
    FMX_TEST_CASE(handshakes_that_never_end_are_given_up),
    FMX_TEST_CASE(records_that_never_end_are_given_up),
    FMX_TEST_CASE(too_many_unfinished_handshakes_are_closed_and_the_others_go_on),
    FMX_TEST_CASE(one_address_cannot_take_all_handshakes),
    FMX_TEST_CASE(a_storm_over_the_rate_gets_through_later),
    FMX_TEST_CASE(a_storm_far_over_the_rate_is_shed),
};

int main(int argc, char **argv)
{
    return fmx_test_main("tls_bounds", cases, sizeof cases / sizeof cases[0], argc, argv);
}
