/*
 * open — the open profile: plain MQTT for anybody's clients
 *
 * Why it is so:   public clients, conformance suites and benchmarks shall run against the same code
 *                 as devices do; so whatever the standard leaves open is allowed here, and the rest
 *                 of the gateway does not ask which profile it serves
 * Threads:        the session's shard
 * Limits:         a client id is at most 65,535 bytes, as the packet says
 * Not here:       the platform's: platform.c
 */
#include "engine/roles/channel.h"
#include "engine/roles/gateway.h"

#include "proto/reason.h"
#include "proto/topic.h"

#include <stdio.h>

#define ASSIGNED_BYTES 24u

/* "fmx-" and 64 bits in hex: unique in this process, and not to be guessed from the last one. */
static fmx_slice make_client_id(struct fmx_gateway_shard *gateway, char *out)
{
    uint64_t number = ++gateway->assigned * gateway->shard->shards_count + gateway->shard->index;
    fmx_slice bytes = {.data = (const uint8_t *)&number, .bytes = sizeof(number)};
    int length = snprintf(out, ASSIGNED_BYTES, "fmx-%016llx",
                          (unsigned long long)fmx_topic_hash(bytes, gateway->assigned_seed));

    return (fmx_slice){.data = (const uint8_t *)out, .bytes = (size_t)length};
}

/* A certificate that stands for the user has a name; the client cannot choose another. */
static bool take_username(struct fmx_conn *conn, const struct fmx_connect *connect,
                          fmx_slice *out_username)
{
    struct fmx_channel channel = fmx_channel_of(conn);

    *out_username = channel.is_login ? channel.facts.cert_name : connect->username;
    if (channel.is_login && out_username->bytes == 0) {
        fmx_gateway_refuse(conn, FMX_TLS_IDENTITY, connect->client_id,
                           "client certificate: it has no common name to be the user name",
                           &conn->shard->counters.tls_identity_mismatches);
        return false;
    }
    return true;
}

static void on_connect(struct fmx_conn *conn, const struct fmx_connect *connect)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    bool wants_username = gateway->gateway->options.callbacks.on_open != NULL;
    fmx_slice client_id = connect->client_id;
    fmx_slice username;
    char made[ASSIGNED_BYTES];

    enum fmx_status status =
        fmx_session_use(&conn->session, &gateway->open_product->terms->session, connect);
    if (status != FMX_OK) {
        fmx_conn_close(conn, status);
        return;
    }
    if (!take_username(conn, connect, &username)) {
        return;
    }
    if (client_id.bytes == 0) {
        client_id = make_client_id(gateway, made);
        part->id_is_assigned = true;
    }
    if (fmx_gateway_keep_names(conn, client_id, wants_username ? username : (fmx_slice){0}) &&
        fmx_gateway_ask_service(conn, connect, username)) {
        fmx_gateway_claim(conn);
    }
}

static void on_publish(struct fmx_conn *conn, struct fmx_publish *publish)
{
    fmx_gateway_tell_service(conn, publish);
    fmx_gateway_publish_from(conn, publish);
}

static enum fmx_status may_subscribe(struct fmx_gateway_shard *gateway, fmx_slice key,
                                     fmx_slice filter)
{
    (void)gateway;
    (void)key;
    (void)filter;
    return FMX_OK;
}

static bool is_shared(fmx_slice filter)
{
    (void)filter;
    return true;
}

static bool is_automatic(fmx_slice key, fmx_slice filter)
{
    (void)key;
    (void)filter;
    return false;
}

const struct fmx_profile_rules fmx_profile_open = {
    .on_connect = on_connect,
    .on_publish = on_publish,
    .may_subscribe = may_subscribe,
    .is_shared = is_shared,
    .is_automatic = is_automatic,
};
