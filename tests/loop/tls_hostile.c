/*
 * tls_hostile — for loop tests of peers that use TLS to hurt: raw peers, and the frame of a case
 *
 * Threads:        the test's
 */
#include "tests/loop/tls_hostile.h"

#include <openssl/ssl.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT_BYTES_MAX 262144u /* what may stay with a process that has served */

/* ── the frame of a case ── */

static size_t bytes_before;

void hostile_begin(struct tls_world *world)
{
    tls_start(world);
    tls_serve(world);
    tls_serve(world);
    tls_expect_empty(world);
    CU_ASSERT(tls_memory(&bytes_before));
}

/* Honest clients are served, and nothing is kept. */
static bool is_given_back(void)
{
    size_t bytes;

    return tls_memory(&bytes) && bytes < bytes_before + KEPT_BYTES_MAX;
}

void hostile_end(struct tls_world *world)
{
    tls_expect_empty(world);
    tls_serve(world);
    tls_expect_empty(world);
    LOOP_WAIT(is_given_back());
    tls_end(world);
}

size_t hostile_cost(size_t before, size_t count)
{
    size_t now = before;

    (void)tls_memory(&now);
    return now > before ? (now - before) / count : 0;
}

/* ── raw peers ── */

int hostile_raws[RAW_MAX];

int hostile_dial_one(uint16_t port)
{
    int on = 1;
    int fd = loop_dial(port, 0);

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

void hostile_dial(uint16_t port, unsigned count)
{
    CU_ASSERT_FATAL(count <= RAW_MAX);
    for (unsigned i = 0; i < count; i++) {
        hostile_raws[i] = hostile_dial_one(port);
    }
}

void hostile_send(const struct tls_world *world, unsigned count, const void *bytes,
                  size_t bytes_count)
{
    uint64_t before = tls_stats(world).bytes_in;

    for (unsigned i = 0; i < count; i++) {
        CU_ASSERT(loop_send(hostile_raws[i], bytes, bytes_count));
    }
    LOOP_WAIT(tls_stats(world).bytes_in >= before + count * bytes_count);
}

void hostile_close(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        close(hostile_raws[i]);
    }
}

void hostile_is_ended(const struct tls_world *world, const uint8_t *bytes, size_t count)
{
    int fd = hostile_dial_one(world->port);

    (void)loop_send(fd, bytes, count); /* it may be ended before all is said */
    CU_ASSERT(loop_drain_to_end(fd));
    close(fd);
}

/* ── wires ── */

void hostile_join(struct tls_wire *wire, const struct tls_world *world, uint16_t version,
                  bool says_connect)
{
    struct tls_peer_options options = tls_client(world->port);
    uint8_t bytes[256];
    char id[32];

    options.min = options.max = version;
    options.suites = "ECDHE-ECDSA-AES128-GCM-SHA256";
    uint64_t full = tls_stats(world).tls_full;
    tls_wire_open(wire, &options);
    CU_ASSERT_FATAL(tls_wire_handshake(wire));
    LOOP_WAIT(tls_stats(world).tls_full > full);
    if (says_connect) {
        snprintf(id, sizeof id, "wire_%d", wire->peer.fd);
        size_t count = loop_write_connect(
            bytes, &(struct loop_connect){.client_id = id, .version = FMX_MQTT_311, .clean = true});
        CU_ASSERT_FATAL(tls_peer_send(&wire->peer, bytes, count));
        CU_ASSERT_FATAL(tls_wire_say(wire));
        while (SSL_read(wire->peer.ssl, bytes, 4) != 4) {
            CU_ASSERT_FATAL(tls_wire_hear(wire));
        }
        CU_ASSERT_EQUAL(bytes[0], 0x20);
    }
}
