/*
 * loop_tls_hostile — peers that use TLS to hurt: what they hold costs what they have sent, what
 * they break ends them, and honest clients are served afterwards
 *
 * Words:          raw: a peer that sends bytes and knows no TLS; claim: the header of a record of
 *                 16 KB of which nothing more comes
 */
#include "tests/loop/tls_hostile.h"
#include "tests/support/prng.h"

#include <openssl/ssl.h>

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONSTANT_BYTES  2048u  /* that a connection may cost beside what it has sent */
#define UNFINISHED_COST 12288u /* the same in the middle of a handshake */

static const uint8_t hello_claim[] = {RECORD_HANDSHAKE, 3, 1, 0x40, 0, 1};

/* A record that is whole and begins a message of 16 KB of which nothing more comes. */
static const uint8_t hello_begun[] = {RECORD_HANDSHAKE, 3, 1, 0, 5, 1, 0, 0x3f, 0xf0, 3};
static const uint8_t data_claim[] = {RECORD_DATA, 3, 3, 0x40, 0, 0};

/* ── what is said ── */

/* The handshake message of a ClientHello in records of so many bytes. */
static size_t fragment(const uint8_t *hello, size_t hello_bytes, size_t piece, uint8_t *out)
{
    size_t at = 0;

    for (size_t i = 5; i < hello_bytes; i += piece) {
        size_t count = hello_bytes - i < piece ? hello_bytes - i : piece;
        memcpy(out + at, (uint8_t[]){RECORD_HANDSHAKE, 3, 1, 0, (uint8_t)count}, 5);
        memcpy(out + at + 5, hello + i, count);
        at += 5 + count;
    }
    return at;
}

/* `count` forged records at once; the connection must end, and so must no other. */
static void is_ended_for_forged(struct tls_world *world, uint8_t type, fmx_slice plaintext,
                                unsigned count, bool says_connect)
{
    static uint8_t bytes[65536];
    struct fmx_stats before = tls_stats(world);
    struct tls_wire wire;
    size_t at = 0;

    hostile_join(&wire, world, 0x0303, says_connect);
    for (unsigned i = 0; i < count; i++) {
        at += tls_wire_forge(&wire, i, type, plaintext, bytes + at);
        CU_ASSERT_FATAL(at + 1024 < sizeof bytes);
    }
    CU_ASSERT(loop_send(wire.peer.fd, bytes, at));
    CU_ASSERT(tls_wire_hear_end(&wire));
    tls_wire_close(&wire, false);
    LOOP_WAIT(tls_stats(world).connections_now == 0);
    LOOP_EQUAL(tls_stats(world).closed_peer, before.closed_peer + 1);
    LOOP_EQUAL(tls_stats(world).tls_failed, before.tls_failed); /* the handshake was good */
}

/* The same with fewer of them, and the session goes on. */
static void is_not_ended_for_forged(struct tls_world *world, uint8_t type, fmx_slice plaintext,
                                    unsigned count)
{
    static uint8_t bytes[65536];
    struct tls_wire wire;
    size_t at = 0;

    hostile_join(&wire, world, 0x0303, true);
    for (unsigned i = 0; i < count; i++) {
        at += tls_wire_forge(&wire, i, type, plaintext, bytes + at);
    }
    at += tls_wire_forge(&wire, count, RECORD_DATA,
                         (fmx_slice){.data = (const uint8_t *)"\xc0\0", .bytes = 2}, bytes + at);
    CU_ASSERT(loop_send(wire.peer.fd, bytes, at));
    while (SSL_read(wire.peer.ssl, bytes, 2) != 2) {
        CU_ASSERT_FATAL(tls_wire_hear(&wire));
    }
    CU_ASSERT_EQUAL(bytes[0], 0xd0); /* PINGRESP */
    tls_wire_close(&wire, false);
    LOOP_WAIT(tls_stats(world).connections_now == 0);
}

/* ── what is held ── */

static void claims_before_the_handshake_cost_what_was_sent(void)
{
    static uint8_t more[1000];
    const unsigned count = LOOP_SIZE(RAW_MAX, RAW_MAX / 2);
    struct tls_world world;
    size_t before;

    tls_world(&world, 1, 1);
    hostile_begin(&world);
    CU_ASSERT(tls_memory(&before));
    hostile_dial(world.port, count);
    hostile_send(&world, count, hello_claim, sizeof hello_claim);
    size_t cost = hostile_cost(before, count);
    printf("6 bytes: %zu held … ", cost);
    CU_ASSERT(cost <= CONSTANT_BYTES);
    for (unsigned i = 0; i < 5; i++) {
        hostile_send(&world, count, more, sizeof more);
    }
    cost = hostile_cost(before, count);
    printf("5,006 bytes: %zu held … ", cost);
    CU_ASSERT(cost <= CONSTANT_BYTES + 2 * 5006); /* a block that has grown by doubling */
    LOOP_EQUAL(tls_stats(&world).connections_now, count);
    LOOP_EQUAL(tls_stats(&world).tls_unfinished_now, 0); /* nothing whole has been said */
    hostile_close(count);
    hostile_end(&world);
}

static void claims_in_the_middle_of_a_handshake_cost_what_was_sent(void)
{
    static uint8_t hello[2048];
    const unsigned count = LOOP_SIZE(200, 100);
    struct tls_world world;
    size_t before;

    for (uint32_t workers = 0; workers < 2; workers++) {
        tls_world(&world, 1, workers);
        hostile_begin(&world);
        size_t hello_bytes = tls_hello(hello, sizeof hello);
        CU_ASSERT(tls_memory(&before));
        hostile_dial(world.port, count);
        uint64_t sent = tls_stats(&world).bytes_out;
        hostile_send(&world, count, hello, hello_bytes);
        LOOP_WAIT(tls_stats(&world).bytes_out > sent + count * 500ull); /* all are answered */
        hostile_send(&world, count, hello_claim, sizeof hello_claim);
        size_t cost = hostile_cost(before, count);
        printf("%zu bytes: %zu held … ", hello_bytes + sizeof hello_claim, cost);
        CU_ASSERT(cost <= UNFINISHED_COST);
        LOOP_EQUAL(tls_stats(&world).tls_unfinished_now, count);
        hostile_close(count);
        hostile_end(&world);
    }
}

static void messages_that_are_announced_cost_what_was_sent(void)
{
    const unsigned count = LOOP_SIZE(200, 100);
    struct tls_world world;
    size_t before;

    tls_world(&world, 1, 0);
    hostile_begin(&world);
    CU_ASSERT(tls_memory(&before));
    hostile_dial(world.port, count);
    hostile_send(&world, count, hello_begun, sizeof hello_begun);
    LOOP_WAIT(tls_stats(&world).tls_unfinished_now == count);
    size_t cost = hostile_cost(before, count);
    printf("%zu bytes: %zu held … ", sizeof hello_begun, cost);
    CU_ASSERT(cost <= UNFINISHED_COST);
    hostile_close(count);
    hostile_end(&world);
}

static void claims_after_the_handshake_cost_what_was_sent(void)
{
    static struct tls_wire wires[100];
    static const uint16_t versions[] = {0x0303, 0x0304};
    const unsigned count = LOOP_SIZE(100, 50);
    struct tls_world world;
    size_t before;

    for (unsigned v = 0; v < 4; v++) {
        bool says_connect = v < 2;
        tls_world(&world, 1, 0);
        hostile_begin(&world);
        for (unsigned i = 0; i < count; i++) {
            hostile_join(&wires[i], &world, versions[v % 2], says_connect);
            hostile_raws[i] = wires[i].peer.fd;
        }
        LOOP_WAIT(tls_stats(&world).tls_now == count);
        CU_ASSERT(tls_memory(&before));
        hostile_send(&world, count, data_claim, sizeof data_claim);
        size_t cost = hostile_cost(before, count);
        printf("6 bytes: %zu held … ", cost);
        CU_ASSERT(cost <= CONSTANT_BYTES);
        LOOP_EQUAL(tls_stats(&world).tls_now, count);
        for (unsigned i = 0; i < count; i++) {
            tls_wire_close(&wires[i], i % 2 == 0);
        }
        hostile_end(&world);
    }
}

/* ── ClientHellos ── */

/* Byte by byte, in records of few bytes: slow, and served as long as it is within the bounds. */
static void a_hello_in_pieces_is_served(void)
{
    static uint8_t hello[2048], pieces[65536];
    static const size_t lengths[] = {1000, 100, 30, 9};
    struct tls_world world;
    struct tls_wire wire;
    struct tls_peer_options options;

    tls_world(&world, 1, 1);
    hostile_begin(&world);
    for (unsigned i = 0; i < 5; i++) {
        options = tls_client(world.port);
        tls_wire_open(&wire, &options);
        CU_ASSERT(tls_wire_step(&wire));
        size_t count = tls_wire_take(&wire, hello, sizeof hello);
        if (i < 4) {
            count = fragment(hello, count, lengths[i], pieces);
        } else {
            memcpy(pieces, hello, count);
        }
        for (size_t at = 0; at < count; at++) { /* a segment each */
            CU_ASSERT_FATAL(loop_send(wire.peer.fd, pieces + at, 1));
        }
        CU_ASSERT(tls_wire_hear(&wire));
        CU_ASSERT(tls_wire_handshake(&wire));
        tls_wire_close(&wire, false);
    }
    LOOP_EQUAL(tls_stats(&world).tls_failed, 0);
    hostile_end(&world);
}

static void a_hello_in_records_of_one_byte_is_cut_off(void)
{
    static uint8_t hello[2048], pieces[65536];
    struct tls_world world;

    for (uint32_t workers = 0; workers < 2; workers++) {
        tls_world(&world, 1, workers);
        hostile_begin(&world);
        size_t count = fragment(hello, tls_hello(hello, sizeof hello), 1, pieces);
        CU_ASSERT(count / 6 > world.server.handshake_records_max);
        for (unsigned i = 0; i < 20; i++) {
            if (i % 2 == 0) { /* all at once */
                hostile_is_ended(&world, pieces, count);
                continue;
            }
            int fd = hostile_dial_one(world.port); /* each in a segment of its own */
            for (size_t at = 0; at < count && loop_send(fd, pieces + at, 6); at += 6) {
            }
            CU_ASSERT(loop_drain_to_end(fd));
            close(fd);
        }
        LOOP_EQUAL(tls_stats(&world).tls_failed, 20);
        hostile_end(&world);
    }
}

static void a_handshake_of_too_many_bytes_is_cut_off(void)
{
    static uint8_t bytes[16384 + 5];
    struct tls_world world;

    tls_world(&world, 1, 0);
    world.server.handshake_bytes_max = 4096;
    hostile_begin(&world);
    memcpy(bytes, hello_claim, sizeof hello_claim);
    hostile_is_ended(&world, bytes, 4500); /* before the record is whole */
    hostile_is_ended(&world, bytes, sizeof bytes);
    LOOP_EQUAL(tls_stats(&world).tls_failed, 2);
    hostile_end(&world);
}

static void a_hello_that_claims_64_kb_is_refused_at_its_header(void)
{
    static const uint8_t whole[] = {RECORD_HANDSHAKE, 3, 1, 0, 6, 1, 0, 0xff, 0xff, 3, 3};
    static const uint8_t header[] = {RECORD_HANDSHAKE, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff};
    struct tls_world world;

    tls_world(&world, 1, 0);
    hostile_begin(&world);
    hostile_is_ended(&world, whole, sizeof whole);
    hostile_is_ended(&world, header, sizeof header);
    LOOP_EQUAL(tls_stats(&world).tls_failed, 2);
    hostile_end(&world);
}

/* Any bytes that are not what should come next. */
static void nonsense_is_refused_wherever_it_comes(void)
{
    static uint8_t hello[2048], noise[4096];
    struct fmx_prng prng = {.state = 8446};
    struct tls_world world;

    tls_world(&world, 2, 1);
    hostile_begin(&world);
    const unsigned count = LOOP_SIZE(400, 150);
    for (unsigned i = 0; i < count; i++) {
        size_t hello_bytes = tls_hello(hello, sizeof hello);
        size_t kept = i % 4 == 0 ? hello_bytes : 1 + fmx_prng_below(&prng, hello_bytes - 1);
        for (size_t k = 0; k < sizeof noise; k++) {
            noise[k] = (uint8_t)fmx_prng_next(&prng);
        }
        memcpy(noise, hello, kept);
        noise[kept] = i % 8 == 0 ? RECORD_HANDSHAKE : noise[kept];
        int fd = hostile_dial_one(world.port);
        (void)loop_send(fd, noise, kept + 500);
        if (kept < hello_bytes) { /* it may wait for more of what has become nonsense */
            shutdown(fd, SHUT_WR);
        }
        CU_ASSERT(loop_drain_to_end(fd));
        close(fd);
    }
    CU_ASSERT(tls_stats(&world).tls_failed >= count / 4);
    LOOP_EQUAL(tls_stats(&world).tls_full, 2 + 0); /* the honest ones */
    hostile_end(&world);
}

/* ── records ── */

static void records_that_are_too_large_are_refused_at_their_header(void)
{
    static const uint8_t lengths[][2] = {{0x48, 1}, {0x80, 0}, {0xff, 0xff}};
    struct tls_world world;
    struct tls_wire wire;

    tls_world(&world, 1, 0);
    hostile_begin(&world);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *length = lengths[i];
        hostile_is_ended(&world, (uint8_t[]){RECORD_HANDSHAKE, 3, 1, length[0], length[1]}, 5);
        hostile_join(&wire, &world, i % 2 ? 0x0303 : 0x0304, i > 0);
        CU_ASSERT(loop_send(wire.peer.fd, (uint8_t[]){RECORD_DATA, 3, 3, length[0], length[1]}, 5));
        CU_ASSERT(tls_wire_hear_end(&wire));
        tls_wire_close(&wire, false);
    }
    LOOP_EQUAL(tls_stats(&world).tls_failed, 3);
    hostile_end(&world);
}

/* As large as the header may say, and larger than the plaintext may be. */
static void a_record_with_too_much_in_it_is_refused(void)
{
    static uint8_t plaintext[16384 + 1];
    struct tls_world world;

    tls_world(&world, 1, 0);
    hostile_begin(&world);
    is_ended_for_forged(&world, RECORD_DATA,
                        (fmx_slice){.data = plaintext, .bytes = sizeof plaintext}, 1, true);
    hostile_end(&world);
}

static void empty_records_end_after_some(void)
{
    static uint8_t flood[5 * 100];
    struct tls_world world;

    tls_world(&world, 1, 0);
    hostile_begin(&world);
    for (unsigned i = 0; i < 100; i++) {
        memcpy(flood + 5 * i, (uint8_t[]){RECORD_HANDSHAKE, 3, 1, 0, 0}, 5);
    }
    hostile_is_ended(&world, flood, sizeof flood);
    LOOP_EQUAL(tls_stats(&world).tls_failed, 1);
    is_not_ended_for_forged(&world, RECORD_DATA, (fmx_slice){0}, 20);
    is_ended_for_forged(&world, RECORD_DATA, (fmx_slice){0}, 200, true);
    is_ended_for_forged(&world, RECORD_DATA, (fmx_slice){0}, 200, false);
    hostile_end(&world);
}

static void warnings_end_after_some(void)
{
    static const uint8_t user_cancelled[] = {1, 90};
    static const fmx_slice warning = {.data = user_cancelled, .bytes = 2};
    static uint8_t flood[7 * 50];
    struct tls_world world;

    tls_world(&world, 1, 0);
    hostile_begin(&world);
    flood[0] = RECORD_HANDSHAKE; /* else it is no TLS */
    for (unsigned i = 0; i < 50; i++) {
        memcpy(flood + 7 * i, (uint8_t[]){RECORD_ALERT, 3, 1, 0, 2, 1, 90}, 7);
    }
    uint8_t hello[2048];
    size_t hello_bytes = tls_hello(hello, sizeof hello);
    int fd = hostile_dial_one(world.port);
    CU_ASSERT(loop_send(fd, hello, hello_bytes));
    (void)loop_send(fd, flood, sizeof flood);
    CU_ASSERT(loop_drain_to_end(fd));
    close(fd);
    LOOP_EQUAL(tls_stats(&world).tls_failed, 1);
    is_not_ended_for_forged(&world, RECORD_ALERT, warning, 4);
    is_ended_for_forged(&world, RECORD_ALERT, warning, 50, true);
    hostile_end(&world);
}

static void alerts_that_are_none_or_fatal_end(void)
{
    static const uint8_t bytes[] = {2, 40, 7, 7};
    struct tls_world world;

    tls_world(&world, 1, 0);
    hostile_begin(&world);
    is_ended_for_forged(&world, RECORD_ALERT, (fmx_slice){bytes, 2}, 1, true);     /* fatal */
    is_ended_for_forged(&world, RECORD_ALERT, (fmx_slice){bytes + 2, 2}, 1, true); /* no level */
    is_ended_for_forged(&world, RECORD_ALERT, (fmx_slice){bytes, 1}, 1, true);     /* half */
    is_ended_for_forged(&world, RECORD_ALERT, (fmx_slice){bytes, 4}, 1, true);     /* two */
    hostile_end(&world);
}

/* TLS 1.3: each asks the gateway to change its key too. */
static void key_updates_end_after_some(void)
{
    struct tls_world world;
    struct tls_wire wire;
    uint8_t bytes[16];

    tls_world(&world, 1, 0);
    hostile_begin(&world);
    struct fmx_stats before = tls_stats(&world);
    hostile_join(&wire, &world, 0x0304, true);
    for (unsigned i = 0; i < 500; i++) { /* with something between */
        CU_ASSERT(SSL_key_update(wire.peer.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
        CU_ASSERT(tls_peer_send(&wire.peer, "\xc0\0", 2) && tls_wire_say(&wire));
        while (SSL_read(wire.peer.ssl, bytes, 2) != 2) {
            CU_ASSERT_FATAL(tls_wire_hear(&wire));
        }
        CU_ASSERT_EQUAL(bytes[0], 0xd0);
    }
    LOOP_EQUAL(tls_stats(&world).sessions_now, before.sessions_now + 1);
    for (unsigned i = 0; i < 500; i++) { /* with nothing between */
        (void)SSL_key_update(wire.peer.ssl, SSL_KEY_UPDATE_REQUESTED);
        (void)SSL_write(wire.peer.ssl, "", 0); /* sends what is due */
    }
    (void)tls_wire_say(&wire);
    CU_ASSERT(tls_wire_hear_end(&wire));
    tls_wire_close(&wire, false);
    LOOP_WAIT(tls_stats(&world).connections_now == 0);
    LOOP_EQUAL(tls_stats(&world).closed_peer, before.closed_peer + 1);
    hostile_end(&world);
}

static void renegotiation_is_refused(void)
{
    static uint8_t hello[2048];
    struct tls_world world;

    tls_world(&world, 1, 0);
    hostile_begin(&world);
    size_t count = tls_hello(hello, sizeof hello);
    is_ended_for_forged(&world, RECORD_HANDSHAKE,
                        (fmx_slice){.data = hello + 5, .bytes = count - 5}, 1, true);
    is_ended_for_forged(&world, RECORD_HANDSHAKE,
                        (fmx_slice){.data = hello + 5, .bytes = count - 5}, 1, false);
    hostile_end(&world);
}

static void heartbeats_are_refused(void)
{
    static const uint8_t beat[] = {RECORD_HEARTBEAT, 3, 3, 0, 3, 1, 0x40, 0};
    static uint8_t bytes[2048 + sizeof beat];
    struct tls_world world;
    struct tls_wire wire;

    tls_world(&world, 1, 1);
    hostile_begin(&world);
    hostile_is_ended(&world, beat, sizeof beat); /* not even TLS */
    LOOP_EQUAL(tls_stats(&world).tls_failed, 0);
    size_t count = tls_hello(bytes, 2048);
    memcpy(bytes + count, beat, sizeof beat);
    hostile_is_ended(&world, bytes, count + sizeof beat);
    LOOP_EQUAL(tls_stats(&world).tls_failed, 1);
    is_ended_for_forged(&world, RECORD_HEARTBEAT, (fmx_slice){.data = beat + 5, .bytes = 3}, 1,
                        true);
    hostile_join(&wire, &world, 0x0304, true);
    CU_ASSERT(loop_send(wire.peer.fd, beat, sizeof beat));
    CU_ASSERT(tls_wire_hear_end(&wire));
    tls_wire_close(&wire, false);
    hostile_end(&world);
}

static void nonsense_after_the_handshake_ends(void)
{
    static uint8_t noise[600];
    struct fmx_prng prng = {.state = 5246};
    struct tls_world world;
    struct tls_wire wire;

    tls_world(&world, 1, 0);
    hostile_begin(&world);
    for (unsigned i = 0; i < 20; i++) {
        for (size_t k = 0; k < sizeof noise; k++) {
            noise[k] = (uint8_t)fmx_prng_next(&prng);
        }
        memcpy(noise, (uint8_t[]){RECORD_DATA, 3, 3, 2, 0}, 5); /* a record of 512 bytes */
        hostile_join(&wire, &world, i % 2 ? 0x0303 : 0x0304, i % 3 != 0);
        CU_ASSERT(loop_send(wire.peer.fd, noise + (i % 5 == 4 ? 5 : 0), sizeof noise - 5));
        if (i % 5 == 4) { /* no header: it may look like one of a long record */
            shutdown(wire.peer.fd, SHUT_WR);
        }
        CU_ASSERT(tls_wire_hear_end(&wire));
        tls_wire_close(&wire, false);
    }
    LOOP_EQUAL(tls_stats(&world).tls_failed, 0);
    hostile_end(&world);
}

/* What is owed for the good one is not said behind the alert. */
static void nonsense_right_behind_a_packet_ends(void)
{
    static const uint8_t nonsense[] = {RECORD_DATA, 3, 3, 0, 40, 1, 2, 3};
    uint8_t bytes[256] = {0};
    struct tls_world world;
    struct tls_wire wire;

    tls_world(&world, 1, 0);
    hostile_begin(&world);
    for (unsigned i = 0; i < 20; i++) {
        hostile_join(&wire, &world, 0x0303, true);
        size_t count =
            tls_wire_forge(&wire, 0, RECORD_DATA,
                           (fmx_slice){.data = (const uint8_t *)"\xc0\0", .bytes = 2}, bytes);
        memcpy(bytes + count, nonsense, sizeof nonsense);
        CU_ASSERT(loop_send(wire.peer.fd, bytes, count + 5 + 40));
        CU_ASSERT(tls_wire_hear_end(&wire));
        tls_wire_close(&wire, false);
    }
    LOOP_WAIT(tls_stats(&world).connections_now == 0);
    hostile_end(&world);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(claims_before_the_handshake_cost_what_was_sent),
    FMX_TEST_CASE(claims_in_the_middle_of_a_handshake_cost_what_was_sent),
    FMX_TEST_CASE(messages_that_are_announced_cost_what_was_sent),
    FMX_TEST_CASE(claims_after_the_handshake_cost_what_was_sent),
    FMX_TEST_CASE(a_hello_in_pieces_is_served),
    FMX_TEST_CASE(a_hello_in_records_of_one_byte_is_cut_off),
    FMX_TEST_CASE(a_handshake_of_too_many_bytes_is_cut_off),
    FMX_TEST_CASE(a_hello_that_claims_64_kb_is_refused_at_its_header),
    FMX_TEST_CASE(nonsense_is_refused_wherever_it_comes),
    FMX_TEST_CASE(records_that_are_too_large_are_refused_at_their_header),
    FMX_TEST_CASE(a_record_with_too_much_in_it_is_refused),
    FMX_TEST_CASE(empty_records_end_after_some),
    FMX_TEST_CASE(warnings_end_after_some),
    FMX_TEST_CASE(alerts_that_are_none_or_fatal_end),
    FMX_TEST_CASE(key_updates_end_after_some),
    FMX_TEST_CASE(renegotiation_is_refused),
    FMX_TEST_CASE(heartbeats_are_refused),
    FMX_TEST_CASE(nonsense_after_the_handshake_ends),
    FMX_TEST_CASE(nonsense_right_behind_a_packet_ends),
};

int main(int argc, char **argv)
{
    return fmx_test_main("tls_hostile", cases, sizeof cases / sizeof cases[0], argc, argv);
}
