/*
 * loop_tls — TLS and plain MQTT through one gateway: told by the first byte, whatever comes in
 * which flight, in records as they fall, to readers fast and slow, until either side ends
 */
#include "tests/loop/tls.h"

#include <openssl/ssl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE_BYTES 200000u

static const uint16_t versions[] = {0x0301, 0x0302, 0x0303, 0x0304};

/* A payload that is wrong wherever a byte is missing or twice. */
static uint8_t *large_payload(size_t bytes)
{
    uint8_t *payload = malloc(bytes);

    CU_ASSERT_FATAL(payload != NULL);
    for (size_t i = 0; i < bytes; i++) {
        payload[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
    }
    return payload;
}

static size_t write_hello(uint8_t *out, const char *client_id)
{
    return loop_write_connect(
        out,
        &(struct loop_connect){.client_id = client_id, .version = FMX_MQTT_311, .clean = true});
}

/* ── the first byte ── */

static void tls_and_plain_mqtt_share_a_port_and_its_topics(void)
{
    static struct loop_packet got;
    struct tls_peer peers[8];
    struct loop_peer plain[8];
    struct tls_world world;
    uint16_t packet_id;
    char id[32];

    tls_world(&world, 2, 1);
    tls_start(&world);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(id, sizeof id, "tls_%u", i);
        tls_join_plainly(&peers[i], i % 2 == 0 ? world.port : world.tls_port, id);
        tls_subscribe(&peers[i], "all/#", 1);
        snprintf(id, sizeof id, "plain_%u", i);
        plain[i] = loop_connect(
            i % 2 == 0 ? world.port : world.plain_port,
            &(struct loop_connect){.client_id = id, .version = FMX_MQTT_311, .clean = true});
        loop_subscribe(plain[i], "all/#", 1);
    }
    LOOP_EQUAL(tls_stats(&world).tls_now, 8);
    LOOP_EQUAL(tls_stats(&world).sessions_now, 16);
    CU_ASSERT(tls_publish(&peers[0], "all/tls", fmx_slice_of("from tls"), 0, 0));
    loop_publish(plain[0], "all/plain", "from plain", 0, 0);
    for (unsigned i = 0; i < 16; i++) {
        size_t bytes = 0;
        for (unsigned k = 0; k < 2; k++) { /* of two publishers, in any order */
            CU_ASSERT_FATAL(i < 8 ? tls_receive(&peers[i], &got)
                                  : loop_receive(plain[i - 8].fd, &got));
            bytes += tls_payload(&got, &packet_id).bytes;
        }
        LOOP_EQUAL(bytes, strlen("from tls") + strlen("from plain"));
    }
    for (unsigned i = 0; i < 8; i++) {
        tls_peer_close(&peers[i]);
        close(plain[i].fd);
    }
    tls_end(&world);
}

static void listeners_of_one_kind_close_the_other_and_count_it(void)
{
    struct tls_world world;
    struct tls_peer peer;
    struct tls_peer_options options;
    uint8_t bytes[256];

    tls_world(&world, 1, 0);
    tls_start(&world);
    for (unsigned i = 0; i < 5; i++) {
        int fd = loop_dial(world.tls_port, 0);
        CU_ASSERT(loop_send(fd, bytes, write_hello(bytes, "plain")));
        CU_ASSERT(loop_drain_to_end(fd));
        close(fd);
        options = tls_client(world.plain_port);
        CU_ASSERT_FALSE(tls_peer_open(&peer, &options));
        tls_peer_close(&peer);
    }
    LOOP_EQUAL(tls_stats(&world).tls_wanted, 5);
    LOOP_EQUAL(tls_stats(&world).tls_unwanted, 5);
    LOOP_EQUAL(tls_stats(&world).tls_failed, 0);
    LOOP_EQUAL(tls_stats(&world).sessions_opened, 0);
    tls_serve(&world);
    tls_end(&world);
}

static void a_first_byte_that_is_neither_is_closed(void)
{
    struct tls_world world;

    tls_world(&world, 1, 0);
    tls_start(&world);
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t first = (uint8_t)byte;
        if (first == 0x10 || first == 0x16) {
            continue;
        }
        int fd = loop_dial(world.port, 0);
        CU_ASSERT(loop_send(fd, &first, 1));
        CU_ASSERT(loop_drain_to_end(fd));
        close(fd);
    }
    LOOP_EQUAL(tls_stats(&world).tls_unfinished_now, 0);
    LOOP_EQUAL(tls_stats(&world).tls_failed, 0);
    tls_serve(&world);
    tls_end(&world);
}

/* ── what comes in which flight ── */

/* All that a client wants to say, right behind its Finished, in one send. */
static void say_behind_finished(struct tls_wire *wire, const struct tls_peer_options *options,
                                const uint8_t *bytes, size_t count)
{
    tls_wire_open(wire, options);
    CU_ASSERT_FATAL(tls_wire_step(wire) && tls_wire_say(wire));
    while (!wire->is_done) {
        CU_ASSERT_FATAL(tls_wire_hear(wire) && tls_wire_step(wire));
        if (!wire->is_done) {
            CU_ASSERT_FATAL(tls_wire_say(wire));
        }
    }
    CU_ASSERT_FATAL(tls_peer_send(&wire->peer, bytes, count));
}

/* A client's session to resume, so that in TLS 1.2 too its Finished comes last. */
static SSL_SESSION *fetch_session(const struct tls_world *world, uint16_t version)
{
    struct tls_peer_options options = tls_client(world->port);
    struct tls_peer peer;

    options.min = options.max = version;
    tls_join(&peer, &options,
             &(struct loop_connect){.client_id = "first", .version = FMX_MQTT_311, .clean = true});
    SSL_SESSION *session = tls_peer_take_session(&peer);
    CU_ASSERT_FATAL(session != NULL);
    tls_peer_close(&peer);
    return session;
}

static void connect_in_the_same_flight(uint32_t workers, uint16_t version)
{
    uint8_t bytes[256];
    uint8_t answer[4];
    struct tls_wire wire;
    struct tls_world world;

    tls_world(&world, 1, workers);
    tls_start(&world);
    struct tls_peer_options options = tls_client(world.port);
    options.min = options.max = version;
    options.session = fetch_session(&world, version);
    say_behind_finished(&wire, &options, bytes, write_hello(bytes, "same flight"));
    CU_ASSERT(tls_peer_resumed(&wire.peer));
    CU_ASSERT(tls_wire_say(&wire));
    while (SSL_read(wire.peer.ssl, answer, sizeof answer) != sizeof answer) {
        CU_ASSERT_FATAL(tls_wire_hear(&wire));
    }
    CU_ASSERT(memcmp(answer, (uint8_t[]){0x20, 2, 0, 0}, 4) == 0);
    LOOP_EQUAL(tls_stats(&world).tls_resumed, 1);
    tls_wire_close(&wire, false);
    SSL_SESSION_free(options.session);
    tls_end(&world);
}

static void connect_may_come_in_the_same_flight_as_finished(void)
{
    for (unsigned i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        if (versions[i] >= 0x0303) {
            connect_in_the_same_flight(0, versions[i]);
            connect_in_the_same_flight(2, versions[i]);
        }
    }
}

/* CONNECT, PUBLISH, DISCONNECT, close_notify and FIN: the message still counts. */
static void a_whole_life(uint32_t workers, size_t payload_bytes, bool is_reset)
{
    static struct loop_packet got;
    struct loop_peer subscriber;
    struct tls_wire wire;
    struct tls_world world;
    uint8_t *payload = large_payload(payload_bytes);
    uint8_t *bytes = malloc(payload_bytes + 1024);
    uint16_t packet_id;

    tls_world(&world, 1, workers);
    tls_start(&world);
    subscriber = loop_connect(
        world.port,
        &(struct loop_connect){.client_id = "watch", .version = FMX_MQTT_311, .clean = true});
    loop_subscribe(subscriber, "life", 0);
    size_t at = write_hello(bytes, "brief");
    at += loop_write_publish(bytes + at, FMX_MQTT_311, "life",
                             (fmx_slice){.data = payload, .bytes = payload_bytes}, 1, 1);
    bytes[at++] = 0xe0;
    bytes[at++] = 0;
    struct tls_peer_options options = tls_client(world.port);
    say_behind_finished(&wire, &options, bytes, at);
    (void)SSL_shutdown(wire.peer.ssl);
    CU_ASSERT(tls_wire_say(&wire));
    if (!is_reset) {
        shutdown(wire.peer.fd, SHUT_WR);
        CU_ASSERT(loop_receive(subscriber.fd, &got));
        fmx_slice seen = loop_payload(subscriber, &got, &packet_id);
        LOOP_EQUAL(seen.bytes, payload_bytes);
        CU_ASSERT(memcmp(seen.data, payload, payload_bytes) == 0);
    }
    tls_wire_close(&wire, is_reset);
    close(subscriber.fd);
    LOOP_WAIT(tls_stats(&world).connections_now == 0);
    LOOP_EQUAL(tls_stats(&world).tls_failed, 0);
    tls_end(&world);
    free(bytes);
    free(payload);
}

static void a_life_in_one_flight_is_heard_to_its_end(void)
{
    for (uint32_t workers = 0; workers < 3; workers++) {
        a_whole_life(workers, 5, false);
        a_whole_life(workers, 20000, false);
        a_whole_life(workers, LARGE_BYTES, false);
        a_whole_life(workers, 5, true);
        a_whole_life(workers, LARGE_BYTES, true);
    }
}

/* ── records ── */

static void exchange_large(struct tls_world *world, uint16_t version, uint16_t number)
{
    static struct loop_packet got;
    struct tls_peer_options options = tls_client(world->port);
    struct tls_peer peer;
    uint8_t *payload = large_payload(LARGE_BYTES);
    uint8_t ack[4];
    uint16_t packet_id;

    options.min = options.max = version;
    tls_join(&peer, &options,
             &(struct loop_connect){.client_id = "large", .version = FMX_MQTT_311, .clean = true});
    LOOP_EQUAL(tls_peer_version(&peer), version);
    tls_subscribe(&peer, "large", 1);
    for (uint16_t i = 1; i <= number; i++) {
        CU_ASSERT_FATAL(tls_publish(&peer, "large",
                                    (fmx_slice){.data = payload, .bytes = LARGE_BYTES - i}, 1, i));
        for (unsigned k = 0; k < 2; k++) {
            CU_ASSERT_FATAL(tls_receive(&peer, &got));
            if (got.head >> 4 == 3) {
                fmx_slice seen = tls_payload(&got, &packet_id);
                LOOP_EQUAL(seen.bytes, LARGE_BYTES - i);
                CU_ASSERT(memcmp(seen.data, payload, seen.bytes) == 0);
                CU_ASSERT(tls_peer_send(&peer, ack, loop_write_puback(ack, packet_id)));
            }
        }
    }
    tls_peer_close(&peer);
    free(payload);
}

static void large_messages_cross_records_both_ways_in_every_version(void)
{
    struct tls_world world;

    tls_world(&world, 1, 1);
    world.server.min = FMX_TLS_10;
    tls_start(&world);
    for (unsigned i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        exchange_large(&world, versions[i], 5);
        LOOP_WAIT(tls_stats(&world).sessions_now == 0);
    }
    struct fmx_stats stats = tls_stats(&world);
    LOOP_EQUAL(stats.tls_10, 1);
    LOOP_EQUAL(stats.tls_11, 1);
    LOOP_EQUAL(stats.tls_12, 1);
    LOOP_EQUAL(stats.tls_13, 1);
    LOOP_EQUAL(stats.tls_full, 4);
    tls_end(&world);
}

/* Each send ends in the middle of a record, for longer than one record may take. */
static void records_that_are_always_torn_are_not_late(void)
{
    enum { STEPS = 60, STEP_MS = 40, LATE_MS = 1500 };
    static uint8_t sealed[4096];
    static const uint8_t ping[] = {0xc0, 0};
    struct tls_wire wire;
    struct tls_world world;
    uint8_t hello[256];

    tls_world(&world, 1, 0);
    world.options.tls_limits.partial_record_timeout_ms = LATE_MS;
    tls_start(&world);
    struct tls_peer_options options = tls_client(world.port);
    say_behind_finished(&wire, &options, hello, write_hello(hello, "torn"));
    CU_ASSERT(tls_wire_say(&wire));
    LOOP_WAIT(tls_stats(&world).sessions_now == 1);
    for (unsigned i = 0; i < STEPS; i++) {
        CU_ASSERT(tls_peer_send(&wire.peer, ping, sizeof ping));
        size_t count = tls_wire_take(&wire, sealed + 10, sizeof sealed - 10);
        /* the end of the record before, and the beginning of this one */
        size_t begin = i == 0 ? 10 : 0;
        CU_ASSERT_FATAL(loop_send(wire.peer.fd, sealed + begin, count - begin));
        memmove(sealed, sealed + count, 10);
        loop_pause_ms(STEP_MS);
    }
    LOOP_WAIT(tls_stats(&world).packets_in == STEPS); /* CONNECT, and all pings but the last */
    LOOP_EQUAL(tls_stats(&world).tls_timeout, 0);
    LOOP_EQUAL(tls_stats(&world).sessions_now, 1);
    tls_wire_close(&wire, false);
    tls_end(&world);
}

/* ── readers and writers ── */

/* A subscriber over TLS that has stopped reading, with a small window. */
static void join_slowly(struct tls_peer *peer, const struct tls_world *world, uint8_t qos)
{
    struct tls_peer_options options = tls_client(world->port);
    uint8_t bytes[256];
    static struct loop_packet got;

    CU_ASSERT_FATAL(tls_peer_begin(peer, loop_dial(world->port, 4096), &options));
    CU_ASSERT_FATAL(tls_peer_handshake(peer));
    CU_ASSERT_FATAL(tls_peer_send(peer, bytes, write_hello(bytes, "slow")));
    CU_ASSERT_FATAL(tls_receive(peer, &got));
    tls_subscribe(peer, "flood", qos);
}

static void a_slow_reader_over_tls_has_a_bounded_queue_and_a_whole_stream(void)
{
    enum { QUEUE_BYTES = 65536, PAYLOAD_BYTES = 5000, MESSAGES = 2000 };
    static struct loop_packet got;
    struct tls_peer slow;
    struct tls_peer publisher;
    struct tls_world world;
    uint8_t *payload = large_payload(PAYLOAD_BYTES);
    uint64_t last = 0;
    uint64_t seen = 0;
    uint16_t packet_id;

    tls_world(&world, 1, 0);
    world.options.mux.send_queue_bytes_max = QUEUE_BYTES;
    tls_start(&world);
    join_slowly(&slow, &world, 0);
    tls_join_plainly(&publisher, world.port, "flood");
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        memcpy(payload, &i, sizeof i);
        CU_ASSERT_FATAL(tls_publish(&publisher, "flood",
                                    (fmx_slice){.data = payload, .bytes = PAYLOAD_BYTES}, 0, 0));
        CU_ASSERT(tls_stats(&world).queued_bytes_now < 8 * QUEUE_BYTES);
    }
    CU_ASSERT(tls_peer_send(&publisher, "\xc0\0", 2));
    CU_ASSERT_FATAL(tls_receive(&publisher, &got)); /* all before it is in the queue, or dropped */
    LOOP_EQUAL(got.head, 0xd0);
    LOOP_EQUAL(tls_stats(&world).publishes_in_qos0, MESSAGES);
    uint64_t dropped = tls_stats(&world).dropped_qos0;
    CU_ASSERT(dropped > MESSAGES / 4);
    memset(payload, 0, sizeof last); /* the end */
    LOOP_EQUAL(tls_stats(&world).sessions_now, 2);
    while (seen < MESSAGES - dropped) {
        CU_ASSERT_FATAL(tls_receive(&slow, &got));
        uint64_t number;
        fmx_slice has = tls_payload(&got, &packet_id);
        LOOP_EQUAL(has.bytes, PAYLOAD_BYTES);
        memcpy(&number, has.data, sizeof number);
        CU_ASSERT(number > last);
        CU_ASSERT(memcmp(has.data + 8, payload + 8, PAYLOAD_BYTES - 8) == 0);
        last = number;
        seen++;
    }
    CU_ASSERT(tls_publish(&publisher, "flood", (fmx_slice){.data = payload, .bytes = PAYLOAD_BYTES},
                          0, 0));
    CU_ASSERT(tls_receive(&slow, &got));
    CU_ASSERT_EQUAL(memcmp(tls_payload(&got, &packet_id).data, payload, PAYLOAD_BYTES), 0);
    tls_peer_close(&slow);
    tls_peer_close(&publisher);
    free(payload);
    tls_end(&world);
}

/* Both ways at once, without waiting for either. */
struct impatient {
    struct tls_wire wire;
    uint8_t unsent[65536];
    size_t unsent_bytes;
    size_t acks_bytes;
    uint32_t sent;
};

static void publish_burst(struct impatient *impatient)
{
    uint8_t burst[100 * 16];
    size_t at = 0;

    for (unsigned i = 0; i < 100; i++) {
        at += loop_write_publish(burst + at, FMX_MQTT_311, "q", (fmx_slice){0}, 1,
                                 (uint16_t)(1 + impatient->sent++ % 60000));
    }
    CU_ASSERT_FATAL(tls_peer_send(&impatient->wire.peer, burst, at));
    impatient->unsent_bytes +=
        tls_wire_take(&impatient->wire, impatient->unsent + impatient->unsent_bytes,
                      sizeof impatient->unsent - impatient->unsent_bytes);
}

/* False: the kernel takes nothing at the moment. */
static bool send_some(struct impatient *impatient)
{
    ssize_t count = send(impatient->wire.peer.fd, impatient->unsent, impatient->unsent_bytes,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

    if (count > 0) {
        impatient->unsent_bytes -= (size_t)count;
        memmove(impatient->unsent, impatient->unsent + count, impatient->unsent_bytes);
        return true;
    }
    CU_ASSERT_EQUAL_FATAL(errno, EAGAIN);
    loop_pause_ms(1);
    return false;
}

static void receive_some(struct impatient *impatient)
{
    uint8_t bytes[16384];
    ssize_t count = recv(impatient->wire.peer.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    int got;

    if (count > 0) {
        CU_ASSERT_EQUAL(BIO_write(impatient->wire.in, bytes, (int)count), count);
        while ((got = SSL_read(impatient->wire.peer.ssl, bytes, sizeof bytes)) > 0) {
            impatient->acks_bytes += (size_t)got;
        }
    } else {
        CU_ASSERT_FATAL(count < 0 && errno == EAGAIN);
    }
}

/*
 * A publisher that does not read its answers is not read from, also in the middle of a record, for
 * longer than a record may take; then it goes on.
 */
static void a_publisher_that_must_wait_is_not_late(void)
{
    enum { LATE_MS = 1000, WAIT_MS = 2500, STUCK_MS = 100, MESSAGES_MAX = 3000000 };
    static struct impatient impatient;
    struct tls_world world;
    uint8_t bytes[256];

    tls_world(&world, 1, 0);
    world.options.tls_limits.partial_record_timeout_ms = LATE_MS;
    world.options.mux.send_queue_bytes_max = 1024;
    tls_start(&world);
    struct tls_peer_options options = tls_client(world.port);
    impatient = (struct impatient){0};
    tls_wire_begin(&impatient.wire, loop_dial(world.port, 4096), &options);
    CU_ASSERT_FATAL(tls_wire_handshake(&impatient.wire));
    CU_ASSERT(tls_peer_send(&impatient.wire.peer, bytes, write_hello(bytes, "impatient")));
    CU_ASSERT(tls_wire_say(&impatient.wire));
    uint64_t until_ms = loop_now_ms() + loop_patience_ms();
    for (unsigned vain = 0; impatient.sent < MESSAGES_MAX && loop_now_ms() < until_ms &&
                            (vain < STUCK_MS || tls_stats(&world).receive_pauses == 0);) {
        if (impatient.unsent_bytes < sizeof impatient.unsent / 2) {
            publish_burst(&impatient);
        }
        vain = send_some(&impatient) ? 0 : vain + 1;
    }
    CU_ASSERT_FATAL(tls_stats(&world).receive_pauses > 0);
    loop_pause_ms(WAIT_MS);
    LOOP_EQUAL(tls_stats(&world).tls_timeout, 0);
    LOOP_EQUAL(tls_stats(&world).sessions_now, 1);
    size_t wanted = 4 + 4 * (size_t)impatient.sent; /* CONNACK, and a PUBACK for each */
    until_ms = loop_now_ms() + loop_patience_ms();
    while (impatient.acks_bytes < wanted && loop_now_ms() < until_ms) {
        if (impatient.unsent_bytes > 0) {
            (void)send_some(&impatient);
        }
        receive_some(&impatient);
    }
    LOOP_EQUAL(impatient.acks_bytes, wanted);
    LOOP_EQUAL(tls_stats(&world).tls_timeout, 0);
    tls_wire_close(&impatient.wire, false);
    tls_end(&world);
}

/* ── goodbyes ── */

static void hear_close_notify(struct tls_peer *peer)
{
    uint8_t byte;

    LOOP_EQUAL(tls_peer_receive_some(peer, &byte, 1), 0); /* not a broken stream */
    tls_peer_drop(peer);
}

static void hear_disconnect(struct tls_peer *peer, uint8_t reason)
{
    static struct loop_packet got;

    CU_ASSERT_FATAL(tls_receive(peer, &got));
    LOOP_EQUAL(got.head, 0xe0);
    LOOP_EQUAL(got.body[0], reason);
    hear_close_notify(peer);
}

static void join_50(struct tls_peer *peer, const struct tls_world *world, const char *client_id,
                    uint16_t version)
{
    struct tls_peer_options options = tls_client(world->port);

    options.min = options.max = version;
    tls_join(peer, &options,
             &(struct loop_connect){.client_id = client_id, .version = FMX_MQTT_50, .clean = true});
}

static void the_gateway_ends_sessions_with_close_notify(void)
{
    struct tls_world world;
    struct tls_peer peers[6];
    struct tls_peer_options options;

    tls_world(&world, 1, 1);
    tls_start(&world);
    for (unsigned i = 0; i < 6; i++) {
        join_50(&peers[i], &world, "goodbye", versions[2 + i % 2]);
        if (i > 0) {
            hear_disconnect(&peers[i - 1], 0x8e); /* taken over */
        }
    }
    CU_ASSERT(tls_peer_send(&peers[5], (uint8_t[]){0xe0, 0}, 2));
    hear_close_notify(&peers[5]);
    join_50(&peers[0], &world, "bad", versions[3]);
    CU_ASSERT(tls_peer_send(&peers[0], (uint8_t[]){0x00, 0}, 2));
    hear_disconnect(&peers[0], 0x82);
    options = tls_client(world.port); /* no CONNECT at all */
    CU_ASSERT_FATAL(tls_peer_open(&peers[1], &options));
    CU_ASSERT(tls_peer_send(&peers[1], "GET / HTTP/1.1\r\n\r\n", 18));
    CU_ASSERT(tls_peer_drain(&peers[1]));
    tls_peer_drop(&peers[1]);
    tls_serve(&world);
    tls_end(&world);
}

static void the_gateway_says_close_notify_when_it_stops(void)
{
    struct tls_world world;
    struct tls_peer peers[4];
    char id[16];

    tls_world(&world, 2, 1);
    tls_start(&world);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(id, sizeof id, "last_%u", i);
        join_50(&peers[i], &world, id, versions[2 + i % 2]);
    }
    fmx_gateway_stop(world.gateway, 5000);
    LOOP_EQUAL(tls_stats(&world).tls_now, 0);
    fmx_gateway_close(world.gateway);
    for (unsigned i = 0; i < 4; i++) {
        hear_disconnect(&peers[i], 0x8b);
    }
}

/* Of a session that is open: of TLS and of nothing else has the service been told. */
struct told {
    pthread_mutex_t lock;
    struct fmx_session_id id;
    uint16_t version;
    bool is_resumed;
    char suite[64];
    char server_name[64];
    char alpn[16];
};

static void on_open(void *user, const struct fmx_gateway_session *session)
{
    struct told *told = user;
    const struct fmx_tls_facts *tls = session->tls;

    pthread_mutex_lock(&told->lock);
    told->id = session->id;
    told->version = 0;
    if (tls != NULL) {
        told->version = (uint16_t)tls->version;
        told->is_resumed = tls->resumed;
        snprintf(told->suite, sizeof told->suite, "%s", tls->suite);
        snprintf(told->server_name, sizeof told->server_name, "%.*s", (int)tls->server_name.bytes,
                 (const char *)tls->server_name.data);
        snprintf(told->alpn, sizeof told->alpn, "%.*s", (int)tls->alpn.bytes,
                 (const char *)tls->alpn.data);
    }
    pthread_mutex_unlock(&told->lock);
}

static void the_service_is_told_and_a_kick_says_goodbye(void)
{
    static struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct tls_world world;
    struct tls_peer peer;
    struct fmx_gateway_caller *caller;

    tls_world(&world, 1, 0);
    world.options.callbacks.on_open = on_open;
    world.options.user = &told;
    tls_start(&world);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(world.gateway, &caller), FMX_OK);
    for (unsigned i = 2; i < 4; i++) {
        struct tls_peer_options options = tls_client(world.port);
        options.min = options.max = versions[i];
        options.suites = "ECDHE-ECDSA-AES128-GCM-SHA256";
        options.alpn = "mqtt";
        tls_join(
            &peer, &options,
            &(struct loop_connect){.client_id = "told", .version = FMX_MQTT_50, .clean = true});
        CU_ASSERT(tls_peer_alpn_is(&peer, "mqtt"));
        pthread_mutex_lock(&told.lock); /* CONNACK comes after on_open */
        CU_ASSERT_EQUAL(fmx_gateway_kick(caller, told.id), FMX_OK);
        LOOP_EQUAL(told.version, versions[i]);
        CU_ASSERT_FALSE(told.is_resumed);
        CU_ASSERT_STRING_EQUAL(told.server_name, "localhost");
        CU_ASSERT_STRING_EQUAL(told.alpn, "mqtt");
        CU_ASSERT_STRING_EQUAL(told.suite, i == 2 ? "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
                                                  : "TLS_AES_128_GCM_SHA256");
        pthread_mutex_unlock(&told.lock);
        hear_disconnect(&peer, 0x98);
        LOOP_WAIT(tls_stats(&world).sessions_now == 0);
    }
    fmx_gateway_caller_close(caller);
    tls_end(&world);
}

/* FIN, close_notify and RST are each an end, and none is waited for. */
static void clients_may_end_in_any_way(void)
{
    struct tls_world world;
    struct tls_peer peer;

    tls_world(&world, 1, 0);
    tls_start(&world);
    for (unsigned i = 0; i < 12; i++) {
        join_50(&peer, &world, "leaves", versions[2 + i % 2]);
        switch (i / 2 % 3) {
        case 0:
            shutdown(peer.fd, SHUT_WR);
            break;
        case 1:
            CU_ASSERT_EQUAL(SSL_shutdown(peer.ssl), 0); /* and the socket stays open */
            break;
        default:
            tls_reset(peer.fd);
            peer.fd = -1;
            break;
        }
        LOOP_WAIT(tls_stats(&world).sessions_now == 0);
        tls_peer_drop(&peer);
    }
    LOOP_EQUAL(tls_stats(&world).closed_peer, 12);
    LOOP_EQUAL(tls_stats(&world).tls_failed, 0);
    tls_serve(&world);
    tls_end(&world);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(tls_and_plain_mqtt_share_a_port_and_its_topics),
    FMX_TEST_CASE(listeners_of_one_kind_close_the_other_and_count_it),
    FMX_TEST_CASE(a_first_byte_that_is_neither_is_closed),
    FMX_TEST_CASE(connect_may_come_in_the_same_flight_as_finished),
    FMX_TEST_CASE(a_life_in_one_flight_is_heard_to_its_end),
    FMX_TEST_CASE(large_messages_cross_records_both_ways_in_every_version),
    FMX_TEST_CASE(records_that_are_always_torn_are_not_late),
    FMX_TEST_CASE(a_slow_reader_over_tls_has_a_bounded_queue_and_a_whole_stream),
    FMX_TEST_CASE(a_publisher_that_must_wait_is_not_late),
    FMX_TEST_CASE(the_gateway_ends_sessions_with_close_notify),
    FMX_TEST_CASE(the_gateway_says_close_notify_when_it_stops),
    FMX_TEST_CASE(the_service_is_told_and_a_kick_says_goodbye),
    FMX_TEST_CASE(clients_may_end_in_any_way),
};

int main(int argc, char **argv)
{
    return fmx_test_main("tls", cases, sizeof cases / sizeof cases[0], argc, argv);
}
