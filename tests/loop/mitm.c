/*
 * mitm — a man in the middle: passes MQTT on, and loses, repeats and swaps messages to a client
 *
 * Why it is so:   a ledger that has never been cheated proves nothing. What is done to messages is
 *                 drawn from a seed and counted here, one by one, so that the fleet's counts can be
 *                 compared with it exactly
 * Invariants:     (1) a held message is sent behind the next one of its connection, and counted as
 *                 swapped only then; one that gets no next one leaves when all is idle
 * Threads:        one for all connections; counters are read under a lock
 * Limits:         CONNECTIONS_MAX; packets of PACKET_BYTES_MAX
 */
#include "tests/loop/mitm.h"

#include "tests/loop/support.h"
#include "tests/support/prng.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX  256u
#define PACKET_BYTES_MAX 65536u
#define POLL_MS          20
#define PUBLISH          3u

struct buffer {
    uint8_t *bytes;
    size_t used;
};

struct connection {
    int client;
    int server;
    struct buffer packet; /* what has come from the server and is not whole */
    struct buffer held;   /* a PUBLISH that waits for the next one */
};

struct mitm {
    struct mitm_plan plan;
    struct fmx_prng prng;
    uint16_t server_port;
    uint16_t port;
    int listener;
    pthread_t thread;
    pthread_mutex_t lock;
    bool is_ending;
    struct mitm_done done;
    struct connection connections[CONNECTIONS_MAX];
    unsigned count;
};

/* ── bytes ── */

/* Bytes of the whole packet in front; 0: it is not whole. */
static size_t whole_packet(const struct buffer *buffer)
{
    size_t length = 0;

    for (size_t i = 1; i < 5 && i < buffer->used; i++) {
        length |= (size_t)(buffer->bytes[i] & 0x7f) << (7 * (i - 1));
        if ((buffer->bytes[i] & 0x80) == 0) {
            return buffer->used >= i + 1 + length ? i + 1 + length : 0;
        }
    }
    return 0;
}

/* ── messages ── */

static bool send_held(struct connection *connection)
{
    bool is_sent = loop_send(connection->client, connection->held.bytes, connection->held.used);

    connection->held.used = 0;
    return is_sent;
}

static bool pass_message(struct mitm *mitm, struct connection *connection, const uint8_t *packet,
                         size_t bytes)
{
    unsigned drawn = (unsigned)fmx_prng_below(&mitm->prng, 1000);
    const struct mitm_plan *plan = &mitm->plan;

    mitm->done.passed++;
    if (drawn < plan->lost) {
        mitm->done.lost++;
        return true;
    }
    if (drawn < plan->lost + plan->repeated) {
        mitm->done.repeated++;
        if (!loop_send(connection->client, packet, bytes)) {
            return false;
        }
    } else if (drawn < plan->lost + plan->repeated + plan->swapped && connection->held.used == 0) {
        memcpy(connection->held.bytes, packet, bytes);
        connection->held.used = bytes;
        return true;
    }
    if (!loop_send(connection->client, packet, bytes)) {
        return false;
    }
    mitm->done.swapped += connection->held.used > 0;
    return connection->held.used == 0 || send_held(connection);
}

static bool pass_packets(struct mitm *mitm, struct connection *connection)
{
    struct buffer *buffer = &connection->packet;
    size_t bytes;

    while ((bytes = whole_packet(buffer)) > 0) {
        bool is_message = buffer->bytes[0] >> 4 == PUBLISH;
        bool is_passed = is_message ? pass_message(mitm, connection, buffer->bytes, bytes)
                                    : loop_send(connection->client, buffer->bytes, bytes);
        if (!is_passed) {
            return false;
        }
        memmove(buffer->bytes, buffer->bytes + bytes, buffer->used - bytes);
        buffer->used -= bytes;
    }
    return buffer->used < PACKET_BYTES_MAX;
}

/* ── connections ── */

static bool from_server(struct mitm *mitm, struct connection *connection)
{
    struct buffer *buffer = &connection->packet;
    ssize_t got =
        recv(connection->server, buffer->bytes + buffer->used, PACKET_BYTES_MAX - buffer->used, 0);

    if (got <= 0) {
        return false;
    }
    buffer->used += (size_t)got;
    return pass_packets(mitm, connection);
}

static bool from_client(const struct connection *connection)
{
    uint8_t bytes[4096];
    ssize_t got = recv(connection->client, bytes, sizeof bytes, 0);

    return got > 0 && loop_send(connection->server, bytes, (size_t)got);
}

static void end_connection(struct connection *connection)
{
    close(connection->client);
    close(connection->server);
    free(connection->packet.bytes);
    free(connection->held.bytes);
    *connection = (struct connection){.client = -1, .server = -1};
}

static void begin_connection(struct mitm *mitm)
{
    int client = accept(mitm->listener, NULL, NULL);

    if (client < 0 || mitm->count == CONNECTIONS_MAX) {
        CU_FAIL("the man in the middle accepts");
        return;
    }
    struct connection *connection = &mitm->connections[mitm->count++];
    *connection = (struct connection){.client = client,
                                      .server = loop_dial(mitm->server_port, 0),
                                      .packet.bytes = malloc(PACKET_BYTES_MAX),
                                      .held.bytes = malloc(PACKET_BYTES_MAX)};
}

/* ── the thread ── */

static unsigned fill_polls(const struct mitm *mitm, struct pollfd *polls)
{
    polls[0] = (struct pollfd){.fd = mitm->listener, .events = POLLIN};
    for (unsigned i = 0; i < mitm->count; i++) {
        polls[1 + 2 * i] = (struct pollfd){.fd = mitm->connections[i].client, .events = POLLIN};
        polls[2 + 2 * i] = (struct pollfd){.fd = mitm->connections[i].server, .events = POLLIN};
    }
    return 1 + 2 * mitm->count;
}

/* Nothing has come for a while: what is held has no next one to come behind. */
static void send_all_held(struct mitm *mitm)
{
    for (unsigned i = 0; i < mitm->count; i++) {
        if (mitm->connections[i].held.used > 0) {
            (void)send_held(&mitm->connections[i]);
        }
    }
}

static void look(struct mitm *mitm, const struct pollfd *polls, unsigned count)
{
    for (unsigned i = 0; i < count / 2; i++) {
        struct connection *connection = &mitm->connections[i];
        bool is_open = true;
        if (connection->client >= 0 && polls[1 + 2 * i].revents != 0) {
            is_open = from_client(connection);
        }
        if (is_open && connection->client >= 0 && polls[2 + 2 * i].revents != 0) {
            is_open = from_server(mitm, connection);
        }
        if (!is_open) {
            end_connection(connection);
        }
    }
    if (polls[0].revents != 0) {
        begin_connection(mitm);
    }
}

static void *run(void *argument)
{
    static struct pollfd polls[1 + 2 * CONNECTIONS_MAX];
    struct mitm *mitm = argument;
    bool is_ending = false;

    while (!is_ending) {
        unsigned count = fill_polls(mitm, polls);
        int ready = poll(polls, count, POLL_MS);
        pthread_mutex_lock(&mitm->lock);
        if (ready == 0) {
            send_all_held(mitm);
        } else {
            look(mitm, polls, count);
        }
        is_ending = mitm->is_ending;
        pthread_mutex_unlock(&mitm->lock);
    }
    return NULL;
}

/* ── calls ── */

struct mitm *mitm_open(uint16_t server_port, const struct mitm_plan *plan)
{
    struct mitm *mitm = calloc(1, sizeof *mitm);

    CU_ASSERT_PTR_NOT_NULL_FATAL(mitm);
    mitm->plan = *plan;
    mitm->prng.state = plan->seed;
    mitm->server_port = server_port;
    mitm->listener = loop_listen_anywhere(&mitm->port);
    pthread_mutex_init(&mitm->lock, NULL);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&mitm->thread, NULL, run, mitm), 0);
    return mitm;
}

uint16_t mitm_port(const struct mitm *mitm)
{
    return mitm->port;
}

struct mitm_done mitm_done(struct mitm *mitm)
{
    pthread_mutex_lock(&mitm->lock);
    struct mitm_done done = mitm->done;
    pthread_mutex_unlock(&mitm->lock);
    return done;
}

void mitm_close(struct mitm *mitm)
{
    pthread_mutex_lock(&mitm->lock);
    mitm->is_ending = true;
    pthread_mutex_unlock(&mitm->lock);
    (void)pthread_join(mitm->thread, NULL);
    for (unsigned i = 0; i < mitm->count; i++) {
        if (mitm->connections[i].client >= 0) {
            end_connection(&mitm->connections[i]);
        }
    }
    close(mitm->listener);
    pthread_mutex_destroy(&mitm->lock);
    free(mitm);
}
