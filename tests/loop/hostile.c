/*
 * hostile — a server of a few clients that answers by a script
 *
 * Why it is so:   no server that is good for anything sends what a fleet must be able to bear
 * Threads:        one that accepts, one for each connection; what they share is under a lock
 * Limits:         CLIENTS_MAX connections in all; packets as in support.h
 */
#include "tests/loop/hostile.h"

#include "tests/loop/support.h"
#include "tests/support/bytes.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 16u
#define HERE        0xeeu /* twice: the identifier that came */
#define CONNECT     1u
#define PUBLISH     3u
#define SUBSCRIBE   8u
#define PINGREQ     12u
#define DISCONNECT  14u

struct client {
    struct hostile *hostile;
    pthread_t thread;
    int fd;
    bool has_subscribed;
    struct loop_packet packet;
};

struct hostile {
    const struct hostile_script *script;
    uint16_t port;
    int listener;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    struct hostile_done done;
    uint64_t published;
    struct client *clients[CLIENTS_MAX];
    unsigned count;
};

/* ── saying ── */

static bool say(const struct client *client, const char *notation, uint16_t packet_id)
{
    uint8_t bytes[256];
    size_t count = fmx_bytes_of(notation, bytes, sizeof bytes);

    for (size_t i = 0; i + 1 < count; i++) {
        if (bytes[i] == HERE && bytes[i + 1] == HERE) {
            bytes[i] = (uint8_t)(packet_id >> 8);
            bytes[i + 1] = (uint8_t)packet_id;
        }
    }
    return loop_send(client->fd, bytes, count);
}

static const char *good_answer(unsigned kind, bool is_5)
{
    switch (kind) {
    case CONNECT:
        return is_5 ? "20 03 0000 00" : "20 02 0000";
    case SUBSCRIBE:
        return is_5 ? "90 04 eeee 00 00" : "90 03 eeee 00";
    case PUBLISH:
        return "40 02 eeee";
    case PINGREQ:
        return "d0 00";
    default:
        return "";
    }
}

static size_t id_offset(const struct loop_packet *packet)
{
    return packet->head >> 4 == PUBLISH ? 2u + (size_t)packet->body[0] * 256 + packet->body[1] : 0;
}

/* ── messages ── */

/* As it came, at QoS 0 and without its identifier. */
static void pass_on(const struct hostile *hostile, const struct loop_packet *packet)
{
    uint8_t bytes[1024];
    size_t id_at = id_offset(packet);
    size_t body_bytes = packet->bytes - 2;

    CU_ASSERT_FATAL(body_bytes < sizeof bytes - 3);
    size_t at = 0;
    bytes[at++] = 0x30;
    if (body_bytes >= 0x80) {
        bytes[at++] = (uint8_t)(body_bytes | 0x80);
    }
    bytes[at++] = (uint8_t)(body_bytes >= 0x80 ? body_bytes >> 7 : body_bytes);
    memcpy(bytes + at, packet->body, id_at);
    memcpy(bytes + at + id_at, packet->body + id_at + 2, packet->bytes - id_at - 2);
    for (unsigned i = 0; i < hostile->count; i++) {
        if (hostile->clients[i]->has_subscribed) {
            (void)loop_send(hostile->clients[i]->fd, bytes, at + body_bytes);
        }
    }
}

static bool answer_message(struct client *client, uint16_t packet_id)
{
    struct hostile *hostile = client->hostile;
    const struct hostile_script *script = hostile->script;

    pthread_mutex_lock(&hostile->lock);
    bool is_refused = ++hostile->published % script->refuses == 0;
    hostile->done.refused += is_refused;
    if (!is_refused || script->passes_all) {
        hostile->done.passed++;
        pass_on(hostile, &client->packet);
    }
    bool is_said = say(client, is_refused ? "40 04 eeee 97 00" : "40 02 eeee", packet_id);
    pthread_mutex_unlock(&hostile->lock);
    return is_said;
}

/* ── connections ── */

static void end(const struct client *client, enum hostile_end how)
{
    struct linger reset = {.l_onoff = 1};

    if (how == HOSTILE_RESETS) {
        setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    } else {
        shutdown(client->fd, SHUT_WR);
        (void)loop_drain_to_end(client->fd);
    }
}

/* False: nothing more is heard. */
static bool answer(struct client *client)
{
    const struct hostile_script *script = client->hostile->script;
    const struct loop_packet *packet = &client->packet;
    unsigned kind = packet->head >> 4;
    size_t id_at = id_offset(packet);
    uint16_t packet_id = (uint16_t)(packet->body[id_at] << 8 | packet->body[id_at + 1]);
    bool is_scripted = kind == script->to;
    const char *good = good_answer(kind, script->version == FMX_MQTT_50);

    if (kind == PUBLISH && script->refuses > 0) {
        return answer_message(client, packet_id);
    }
    pthread_mutex_lock(&client->hostile->lock);
    client->has_subscribed = client->has_subscribed || kind == SUBSCRIBE;
    if (kind == DISCONNECT) {
        client->hostile->done.goodbye = packet->bytes > 0 ? packet->body[0] : 0;
    }
    bool is_said =
        say(client, is_scripted && script->says != NULL ? script->says : good, packet_id);
    pthread_mutex_unlock(&client->hostile->lock);
    if (is_scripted && script->then != HOSTILE_STAYS) {
        end(client, script->then);
        return false;
    }
    return is_said;
}

static void *serve(void *argument)
{
    struct client *client = argument;

    while (loop_receive(client->fd, &client->packet) && answer(client)) {
    }
    pthread_mutex_lock(&client->hostile->lock);
    client->has_subscribed = false;
    close(client->fd);
    pthread_mutex_unlock(&client->hostile->lock);
    return NULL;
}

static void *accept_all(void *argument)
{
    struct hostile *hostile = argument;

    for (;;) {
        int fd = accept(hostile->listener, NULL, NULL);
        struct client *client = fd < 0 ? NULL : calloc(1, sizeof *client);
        if (client == NULL || hostile->count == CLIENTS_MAX) {
            return NULL;
        }
        *client = (struct client){.hostile = hostile, .fd = fd};
        pthread_mutex_lock(&hostile->lock);
        hostile->clients[hostile->count++] = client;
        pthread_mutex_unlock(&hostile->lock);
        CU_ASSERT_FATAL(pthread_create(&client->thread, NULL, serve, client) == 0);
    }
}

/* ── calls ── */

struct hostile *hostile_open(const struct hostile_script *script)
{
    struct hostile *hostile = calloc(1, sizeof *hostile);

    CU_ASSERT_PTR_NOT_NULL_FATAL(hostile);
    hostile->script = script;
    hostile->done.goodbye = -1;
    hostile->listener = loop_listen_anywhere(&hostile->port);
    pthread_mutex_init(&hostile->lock, NULL);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&hostile->thread, NULL, accept_all, hostile), 0);
    return hostile;
}

uint16_t hostile_port(const struct hostile *hostile)
{
    return hostile->port;
}

struct hostile_done hostile_done(struct hostile *hostile)
{
    pthread_mutex_lock(&hostile->lock);
    struct hostile_done done = hostile->done;
    pthread_mutex_unlock(&hostile->lock);
    return done;
}

struct hostile_done hostile_close(struct hostile *hostile)
{
    shutdown(hostile->listener, SHUT_RDWR); /* wakes whoever accepts */
    (void)pthread_join(hostile->thread, NULL);
    for (unsigned i = 0; i < hostile->count; i++) {
        (void)pthread_join(hostile->clients[i]->thread, NULL);
        free(hostile->clients[i]);
    }
    struct hostile_done done = hostile->done;
    close(hostile->listener);
    pthread_mutex_destroy(&hostile->lock);
    free(hostile);
    return done;
}
