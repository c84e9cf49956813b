/*
 * loop_tls_pool — handshakes on threads of their own: peers that leave at every step, kicks, new
 * certificates and the gateway's end in the middle of them
 *
 * Words:          step: how far a peer goes before it leaves; raw: a peer that says hello only
 */
#include "tests/loop/tls.h"
#include "tests/support/prng.h"

#include <openssl/ssl.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define RAWS 200u

static const uint16_t versions[] = {0x0303, 0x0304};
static const uint32_t workers[] = {0, 1, 3};

static uint8_t hello[2048];
static size_t hello_bytes;
static int raws[RAWS];

static void say_hellos(const struct tls_world *world)
{
    hello_bytes = tls_hello(hello, sizeof hello);
    for (unsigned i = 0; i < RAWS; i++) {
        raws[i] = loop_dial(world->port, 0);
        CU_ASSERT(loop_send(raws[i], hello, hello_bytes));
    }
}

static void close_raws(void)
{
    for (unsigned i = 0; i < RAWS; i++) {
        if (i % 2 == 0) {
            tls_reset(raws[i]);
        } else {
            close(raws[i]);
        }
    }
}

/* ── peers that leave ── */

enum step {
    STEP_NOTHING,
    STEP_FIRST_BYTE,
    STEP_HALF_A_HELLO,
    STEP_HELLO,
    STEP_ANSWERED,
    STEP_HALF_A_FINISHED,
    STEP_FINISHED,
    STEP_CONNECT, /* in the same flight */
    STEP_CONNACK,
    STEPS_COUNT,
};

static void say_part(struct tls_wire *wire, size_t count, size_t share)
{
    static uint8_t bytes[8192];
    size_t all = tls_wire_take(wire, bytes, sizeof bytes);

    count = share > 0 ? all / share : count;
    CU_ASSERT(loop_send(wire->peer.fd, bytes, count < all ? count : all));
}

/* To the client's last flight, which is not said yet. */
static void come_to_the_last_flight(struct tls_wire *wire)
{
    while (!wire->is_done && BIO_ctrl_pending(wire->out) == 0) {
        CU_ASSERT_FATAL(tls_wire_hear(wire) && tls_wire_step(wire));
    }
}

static void go_to(struct tls_wire *wire, enum step step)
{
    uint8_t bytes[256];

    CU_ASSERT_FATAL(tls_wire_step(wire));
    if (step < STEP_HELLO) {
        say_part(wire, step, step == STEP_HALF_A_HELLO ? 2 : 0);
        return;
    }
    CU_ASSERT(tls_wire_say(wire));
    if (step == STEP_ANSWERED) {
        CU_ASSERT(tls_wire_hear(wire));
    }
    if (step <= STEP_ANSWERED) {
        return;
    }
    come_to_the_last_flight(wire);
    if (step == STEP_HALF_A_FINISHED) {
        say_part(wire, 0, 2);
        return;
    }
    if (step >= STEP_CONNECT) {
        CU_ASSERT(tls_wire_handshake(wire));
        size_t count = loop_write_connect(bytes, &(struct loop_connect){.client_id = "leaves",
                                                                        .version = FMX_MQTT_311,
                                                                        .clean = true,
                                                                        .keepalive_s = 5});
        CU_ASSERT(tls_peer_send(&wire->peer, bytes, count));
    }
    CU_ASSERT(tls_wire_say(wire));
    while (step == STEP_CONNACK && SSL_read(wire->peer.ssl, bytes, 4) != 4) {
        CU_ASSERT_FATAL(tls_wire_hear(wire));
    }
}

static void leave(const struct tls_world *world, uint16_t version, enum step step, unsigned way)
{
    struct tls_peer_options options = tls_client(world->port);
    struct tls_wire wire;

    options.min = options.max = version;
    tls_wire_open(&wire, &options);
    go_to(&wire, step);
    if (way == 2) { /* half an end, and the gateway's is waited for */
        shutdown(wire.peer.fd, SHUT_WR);
        CU_ASSERT(tls_wire_hear_end(&wire));
    }
    tls_wire_close(&wire, way == 1);
}

/* A kernel may keep to itself that a peer has left: its time is waited for then. */
static void start_impatiently(struct tls_world *world, unsigned i)
{
    tls_world(world, 1 + i % 2, workers[i / 2]);
    world->server.handshake_timeout_ms = LOOP_SIZE(4000, 15000);
    world->options.connect_timeout_ms = LOOP_SIZE(4000, 15000);
    tls_start(world);
}

static void peers_that_leave_at_every_step_leave_nothing(void)
{
    struct tls_world world;

    for (unsigned i = 0; i < 6; i++) {
        start_impatiently(&world, i);
        for (unsigned round = 0; round < LOOP_SIZE(8, 2); round++) {
            for (unsigned way = 0; way < 3; way++) {
                for (unsigned step = 0; step < STEPS_COUNT; step++) {
                    leave(&world, versions[round % 2], (enum step)step, way);
                }
            }
        }
        tls_serve(&world);
        tls_end(&world);
    }
}

/* ── many at once ── */

#define MANY 64u

struct walker {
    struct tls_wire wire;
    bool is_there;
    bool has_ended; /* the gateway has closed it */
};

static struct walker walkers[MANY];

static void enter(struct walker *walker, const struct tls_world *world, struct fmx_prng *prng,
                  SSL_SESSION *session)
{
    struct tls_peer_options options = tls_client(world->port);

    options.min = options.max = versions[fmx_prng_below(prng, 2)];
    options.session =
        session != NULL && options.max == 0x0303 && fmx_prng_below(prng, 2) == 0 ? session : NULL;
    tls_wire_open(&walker->wire, &options);
    walker->is_there = true;
    walker->has_ended = false;
}

/* What there is to hear, and up to so many bytes of what there is to say. */
static void walk(struct walker *walker, size_t said_max)
{
    uint8_t bytes[4096];
    ssize_t got = recv(walker->wire.peer.fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (got > 0) {
        CU_ASSERT_EQUAL(BIO_write(walker->wire.in, bytes, (int)got), got);
    } else if (got == 0 || errno != EAGAIN) {
        walker->has_ended = true;
        return;
    }
    if (!walker->wire.is_done) {
        CU_ASSERT(tls_wire_step(&walker->wire));
        if (walker->wire.is_done) {
            size_t count = loop_write_connect(bytes, &(struct loop_connect){.client_id = "walks",
                                                                            .version = FMX_MQTT_311,
                                                                            .clean = true,
                                                                            .keepalive_s = 5});
            CU_ASSERT(tls_peer_send(&walker->wire.peer, bytes, count));
        }
    }
    size_t count = tls_wire_take(&walker->wire, bytes, said_max);
    if (count > 0 && !loop_send(walker->wire.peer.fd, bytes, count)) {
        walker->has_ended = true;
    }
}

static void walk_about(const struct tls_world *world, struct fmx_prng *prng, unsigned steps,
                       SSL_SESSION *session)
{
    for (unsigned i = 0; i < steps; i++) {
        struct walker *walker = &walkers[fmx_prng_below(prng, MANY)];
        if (i % MANY == 0) {
            loop_pause_ms(LOOP_SIZE(1, 10)); /* for the gateway to catch up */
        }
        if (!walker->is_there) {
            enter(walker, world, prng, session);
        } else if (walker->has_ended || fmx_prng_below(prng, 8) == 0) {
            tls_wire_close(&walker->wire, fmx_prng_below(prng, 2) == 0);
            walker->is_there = false;
        } else {
            walk(walker, fmx_prng_below(prng, 2) ? 4096 : 1 + fmx_prng_below(prng, 300));
        }
    }
}

static void all_leave(struct fmx_prng *prng)
{
    for (unsigned i = 0; i < MANY; i++) {
        if (walkers[i].is_there) {
            tls_wire_close(&walkers[i].wire, fmx_prng_below(prng, 2) == 0);
            walkers[i].is_there = false;
        }
    }
}

static SSL_SESSION *fetch_session(const struct tls_world *world)
{
    struct tls_peer_options options = tls_client(world->port);
    struct tls_peer peer;

    options.max = 0x0303;
    tls_join(&peer, &options,
             &(struct loop_connect){.client_id = "first", .version = FMX_MQTT_311, .clean = true});
    SSL_SESSION *session = tls_peer_take_session(&peer);
    tls_peer_close(&peer);
    CU_ASSERT_FATAL(session != NULL);
    return session;
}

static bool has_shaken_hands(const struct tls_world *world)
{
    struct fmx_stats stats = tls_stats(world);

    return stats.tls_full > 10 && stats.tls_resumed > 0;
}

static void many_that_come_and_go_at_once_leave_nothing(void)
{
    struct fmx_prng prng = {.state = 5};
    struct tls_world world;

    for (unsigned i = 0; i < 6; i++) {
        start_impatiently(&world, i);
        SSL_SESSION *session = fetch_session(&world);
        uint64_t until_ms = loop_now_ms() + loop_patience_ms();
        do {
            walk_about(&world, &prng, LOOP_SIZE(6000, 1500), session);
        } while (!has_shaken_hands(&world) && loop_now_ms() < until_ms);
        all_leave(&prng);
        CU_ASSERT(has_shaken_hands(&world));
        SSL_SESSION_free(session);
        tls_serve(&world);
        tls_end(&world);
    }
}

/* ── the gateway's end ── */

static void a_stop_waits_for_what_workers_have(void)
{
    struct tls_world world;

    for (unsigned i = 0; i < 6; i++) {
        for (unsigned round = 0; round < 3; round++) {
            tls_world(&world, 1 + i % 2, workers[i / 2]);
            tls_start(&world);
            say_hellos(&world);
            fmx_gateway_stop(world.gateway, round == 0 ? 0 : 300);
            LOOP_EQUAL(tls_stats(&world).connections_now, 0);
            LOOP_EQUAL(tls_stats(&world).tls_unfinished_now, 0);
            LOOP_EQUAL(tls_stats(&world).tls_now, 0);
            fmx_gateway_close(world.gateway);
            for (unsigned k = 0; k < RAWS; k++) {
                CU_ASSERT(loop_drain_to_end(raws[k]));
            }
            close_raws();
        }
    }
}

/* ── kicks ── */

/* Ids of connections that are no sessions yet can only be guessed: shard, slot, generation. */
static void kicks_hit_handshakes_too(void)
{
    struct fmx_gateway_caller *caller;
    struct tls_world world;

    for (unsigned i = 0; i < 6; i++) {
        tls_world(&world, 1 + i % 2, workers[i / 2]);
        tls_start(&world);
        CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(world.gateway, &caller), FMX_OK);
        say_hellos(&world);
        LOOP_WAIT(tls_stats(&world).connections_now == RAWS);
        unsigned kicks = 0;
        for (uint64_t slot = 0; slot < RAWS; slot++) {
            for (uint64_t generation = 1; generation < 3; generation++) {
                struct fmx_session_id id = {(uint64_t)(i % 2) << 54 | slot << 30 | generation};
                enum fmx_status status;
                while ((status = fmx_gateway_kick(caller, id)) == FMX_FULL) {
                    loop_pause_ms(1);
                }
                CU_ASSERT_EQUAL(status, FMX_OK);
                kicks++;
            }
        }
        LOOP_EQUAL(kicks, 2 * RAWS);
        if (i % 2 == 0) {
            LOOP_WAIT(tls_stats(&world).closed_local > 0); /* some were guessed */
        }
        close_raws();
        fmx_gateway_caller_close(caller);
        tls_serve(&world);
        tls_end(&world);
    }
}

/* ── new certificates ── */

static void use_files(struct tls_world *world, enum tls_file file)
{
    static char cert[FMX_TEMPORARY_FILE_BYTES], key[FMX_TEMPORARY_FILE_BYTES];

    snprintf(cert, sizeof cert, "%s", tls_path("now.pem"));
    snprintf(key, sizeof key, "%s", tls_path("now.key"));
    tls_copy_file(tls_cert(file), cert);
    tls_copy_file(tls_key(file), key);
    world->server.cert = cert;
    world->server.key = key;
}

static bool is_server(const struct tls_world *world, const char *wanted)
{
    struct tls_peer_options options = tls_client(world->port);
    struct tls_peer peer;
    char name[64];

    CU_ASSERT_FATAL(tls_peer_open(&peer, &options));
    bool is_wanted = strcmp(tls_peer_server(&peer, name, sizeof name), wanted) == 0;
    tls_peer_close(&peer);
    return is_wanted;
}

static void reload(const struct tls_world *world)
{
    char error[512] = "";
    enum fmx_status status;

    while ((status = fmx_gateway_reload(world->gateway, error, sizeof error)) == FMX_FULL) {
        loop_pause_ms(1);
    }
    if (status != FMX_OK) {
        fprintf(stderr, "  %s: %s\n", fmx_status_name(status), error);
        CU_FAIL("fmx_gateway_reload");
    }
}

static void a_reload_leaves_handshakes_and_sessions_as_they_are(void)
{
    enum { COUNT = 40 };
    static struct tls_wire wires[COUNT];
    static struct loop_packet got;
    struct tls_world world;
    struct tls_peer earlier;
    char error[512] = "", name[64];

    for (unsigned i = 0; i < 6; i++) {
        tls_world(&world, 1 + i % 2, workers[i / 2]);
        use_files(&world, TLS_FILE_SERVER);
        tls_start(&world);
        tls_join_plainly(&earlier, world.port, "earlier");
        struct tls_peer_options options = tls_client(world.port);
        for (unsigned k = 0; k < COUNT; k++) { /* in the middle */
            options.min = options.max = versions[k % 2];
            tls_wire_open(&wires[k], &options);
            CU_ASSERT(tls_wire_step(&wires[k]) && tls_wire_say(&wires[k]));
            CU_ASSERT(tls_wire_hear(&wires[k]));
        }
        use_files(&world, TLS_FILE_OTHER);
        reload(&world);
        LOOP_EQUAL(tls_stats(&world).tls_reloads, 1);
        LOOP_WAIT(is_server(&world, "other.example")); /* shards hear of it */
        for (unsigned k = 0; k < COUNT; k++) {
            CU_ASSERT(tls_wire_handshake(&wires[k]));
            CU_ASSERT_STRING_EQUAL(tls_peer_server(&wires[k].peer, name, sizeof name), "localhost");
            tls_wire_close(&wires[k], k % 2 == 0);
        }
        CU_ASSERT(tls_peer_send(&earlier, "\xc0\0", 2));
        CU_ASSERT(tls_receive(&earlier, &got));
        CU_ASSERT_EQUAL(got.head, 0xd0);
        tls_copy_file(tls_cert(TLS_FILE_SERVER), tls_path("now.key")); /* no key at all */
        CU_ASSERT_EQUAL(fmx_gateway_reload(world.gateway, error, sizeof error), FMX_E_OPTION);
        CU_ASSERT(strstr(error, "now.key") != NULL);
        LOOP_EQUAL(tls_stats(&world).tls_reloads, 1);
        CU_ASSERT(is_server(&world, "other.example"));
        tls_peer_close(&earlier);
        tls_end(&world);
    }
}

static void reloads_in_a_crowd_harm_nobody(void)
{
    struct fmx_prng prng = {.state = 55};
    struct tls_world world;

    for (unsigned i = 0; i < 6; i++) {
        tls_world(&world, 1 + i % 2, workers[i / 2]);
        use_files(&world, TLS_FILE_SERVER);
        tls_start(&world);
        for (unsigned k = 0; k < 30; k++) {
            walk_about(&world, &prng, LOOP_SIZE(100, 40), NULL);
            reload(&world);
        }
        LOOP_EQUAL(tls_stats(&world).tls_reloads, 30);
        LOOP_EQUAL(tls_stats(&world).tls_failed, 0);
        all_leave(&prng);
        tls_serve(&world);
        tls_end(&world);
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(peers_that_leave_at_every_step_leave_nothing),
    FMX_TEST_CASE(many_that_come_and_go_at_once_leave_nothing),
    FMX_TEST_CASE(a_stop_waits_for_what_workers_have),
    FMX_TEST_CASE(kicks_hit_handshakes_too),
    FMX_TEST_CASE(a_reload_leaves_handshakes_and_sessions_as_they_are),
    FMX_TEST_CASE(reloads_in_a_crowd_harm_nobody),
};

int main(int argc, char **argv)
{
    return fmx_test_main("tls_pool", cases, sizeof cases / sizeof cases[0], argc, argv);
}
