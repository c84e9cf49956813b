/*
 * fleet_register — how a device learns its secret: it asks, is answered, and comes back
 *
 * Why it is so:   a device that asks is let in for one message only. So a client that has to ask
 *                 stays CONNECTING over two connections: on the first one it waits for the answer
 *                 and says goodbye, on the second it is itself. Nobody else has to know
 * Words:          learnt: a secret (register), or a client id and a token (regnwl)
 * Invariants:     (1) a client asks until it has learnt something, and never again
 * Memory:         one block for each client that has learnt; one pointer for each client if the
 *                 plan registers, else nothing
 * Threads:        owning shard
 * Limits:         connect_timeout_ms for the answer
 * Not here:       what is said in CONNECT: fleet_device.c
 */
#include "engine/roles/fleet_device.h"

#include "proto/limits.h"

#include <stdlib.h>

bool fmx_fleet_register_open(struct fmx_fleet_crew *crew)
{
    if (crew->team->plan.platform.registration == FMX_FLEET_REGISTER_NONE) {
        return true;
    }
    crew->learnt = calloc(crew->clients_count + 1u, sizeof(*crew->learnt));
    return crew->learnt != NULL;
}

static void wipe_learnt(struct fmx_fleet_learnt *learnt)
{
    if (learnt != NULL) {
        explicit_bzero(learnt->bytes, (size_t)learnt->id_bytes + learnt->secret_bytes);
        free(learnt);
    }
}

void fmx_fleet_register_close(struct fmx_fleet_crew *crew)
{
    for (uint32_t i = 0; crew->learnt != NULL && i < crew->clients_count; i++) {
        wipe_learnt(crew->learnt[i]);
    }
    free(crew->learnt);
    crew->learnt = NULL;
}

static struct fmx_fleet_learnt **place_of(const struct fmx_fleet_client *client)
{
    return &client->crew->learnt[fmx_fleet_place_of(client)];
}

const struct fmx_fleet_learnt *fmx_fleet_learnt_of(const struct fmx_fleet_client *client)
{
    return client->crew->learnt == NULL ? NULL : *place_of(client);
}

bool fmx_fleet_must_register(const struct fmx_fleet_client *client)
{
    return client->crew->learnt != NULL && *place_of(client) == NULL;
}

/* ── the answer ── */

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/*
 * The text of `"key":"text"` in a flat JSON object of the platform's, which has no escapes. Empty:
 * there is none.
 */
static fmx_slice find_text(fmx_slice json, const char *quoted_key)
{
    const uint8_t *end = json.data + json.bytes;
    const uint8_t *at =
        json.bytes == 0 ? NULL : memmem(json.data, json.bytes, quoted_key, strlen(quoted_key));
    bool has_colon = false;

    if (at == NULL) {
        return (fmx_slice){0};
    }
    for (at += strlen(quoted_key); at < end && (is_space(*at) || (*at == ':' && !has_colon));
         at++) {
        has_colon = has_colon || *at == ':';
    }
    if (at == end || *at != '"' || !has_colon) {
        return (fmx_slice){0};
    }
    const uint8_t *begin = at + 1;
    const uint8_t *quote = memchr(begin, '"', (size_t)(end - begin));
    if (quote == NULL || memchr(begin, '\\', (size_t)(quote - begin)) != NULL) {
        return (fmx_slice){0};
    }
    return (fmx_slice){.data = begin, .bytes = (size_t)(quote - begin)};
}

static bool learn(const struct fmx_fleet_client *client, fmx_slice id, fmx_slice secret)
{
    struct fmx_fleet_learnt *learnt = malloc(sizeof(*learnt) + id.bytes + secret.bytes);

    if (learnt == NULL) {
        return false;
    }
    learnt->id_bytes = (uint16_t)id.bytes;
    learnt->secret_bytes = (uint16_t)secret.bytes;
    if (id.bytes > 0) {
        memcpy(learnt->bytes, id.data, id.bytes);
    }
    memcpy(learnt->bytes + id.bytes, secret.data, secret.bytes);
    *place_of(client) = learnt;
    return true;
}

/* Empty slices if the answer does not say what was asked. */
static void read_answer(enum fmx_fleet_register kind, fmx_slice payload, fmx_slice *out_id,
                        fmx_slice *out_secret)
{
    bool is_known = kind == FMX_FLEET_REGISTER_KNOWN;

    *out_id = is_known ? (fmx_slice){0} : find_text(payload, "\"clientId\"");
    *out_secret = find_text(payload, is_known ? "\"deviceSecret\"" : "\"deviceToken\"");
    if (out_id->bytes > FMX_LOGICAL_ID_BYTES_MAX || out_secret->bytes > FMX_FLEET_TOKEN_BYTES_MAX ||
        (!is_known && out_id->bytes == 0)) {
        *out_secret = (fmx_slice){0};
    }
}

void fmx_fleet_register_on_publish(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_crew *crew = fmx_fleet_crew_of(conn);
    enum fmx_fleet_register kind = crew->team->plan.platform.registration;
    const char *topic = kind == FMX_FLEET_REGISTER_KNOWN ? "/ext/register" : "/ext/regnwl";
    fmx_slice id;
    fmx_slice secret;

    if (publish->qos > 0) {
        fmx_conn_puback(conn, publish->packet_id, 0);
    }
    if (part->client == NULL || part->has_registered || !fmx_fleet_must_register(part->client) ||
        !fmx_slice_equal(publish->topic, fmx_slice_of(topic))) {
        return; /* a notice of some other kind */
    }
    read_answer(kind, publish->payload, &id, &secret);
    if (secret.bytes == 0) {
        fmx_conn_note_kind(conn, FMX_PUBLISH);
        fmx_conn_close(conn, FMX_PEER_ORDER);
    } else if (!learn(part->client, id, secret)) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
    } else {
        part->has_registered = true;
        fmx_count(&crew->counters.registrations_ok, 1);
        fmx_conn_close(conn, FMX_E_DONE);
    }
}

/* ── waiting for it ── */

void fmx_fleet_register_begin(struct fmx_conn *conn)
{
    struct fmx_fleet_client *client = fmx_fleet_client_of(conn);

    if (client != NULL) {
        uint64_t timeout_ns = fmx_fleet_group_of(client)->connect_timeout_ms * FMX_NS_PER_MS;
        fmx_wheel_arm(&conn->shard->wheel, &client->timer, conn->shard->now_ns + timeout_ns);
    }
}

void fmx_fleet_register_is_late(struct fmx_conn *conn)
{
    fmx_conn_close(conn, FMX_PEER_SILENT);
}
