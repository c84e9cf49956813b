/*
 * gateway_session — a session of the server role from CONNECT to its end
 *
 * Why it is so:   CONNECT is answered only when the client id's home has said that it is ours: by
 *                 then an older session has been ended and has handed over what it had, wherever it
 *                 was
 * Words:          key: what a session is known by: the client id, or in the platform profile its
 *                 user name, which is device name and product key; names: the key and what else
 *                 callbacks want, in one allocation; see directory.h for the messages
 * Invariants:     (1) each CLAIM is followed by exactly one of: GONE (final or not), RELEASED
 *                 (2) a slot is held from the end of its connection until RELEASE has come, if its
 *                 claim is not settled or its state is at home
 * States:         claim: NONE → WAITING (fmx_gateway_on_claiming) → OWNED (fmx_gateway_on_claimed)
 *                 → NONE (hand over) WAITING, OWNED → LEAVING (fmx_gateway_session_ended) → NONE
 *                 (fmx_gateway_on_release)
 * Memory:         names, backlog; released with the slot
 * Threads:        the session's shard
 * Limits:         a client id is at most 65,535 bytes, as the packet says
 * Not here:       the home's side: directory.c
 */
#include "engine/roles/gateway.h"

#include "engine/conn_tls.h"
#include "proto/limits.h"
#include "proto/topic.h"

#define WHO_BYTES         100u /* of a user name, in the log */
#define ENDED_IS_OLDER_NS FMX_NS_PER_S

/* ── names ── */

fmx_slice fmx_gateway_product_key(const struct fmx_gateway_session_part *part)
{
    if (part->device == NULL) {
        return (fmx_slice){0};
    }
    return (fmx_slice){.data = part->names + part->device->device_name_bytes + 1,
                       .bytes = part->device->product_key_bytes};
}

fmx_slice fmx_gateway_device_name(const struct fmx_gateway_session_part *part)
{
    if (part->device == NULL) {
        return (fmx_slice){0};
    }
    return (fmx_slice){.data = part->names, .bytes = part->device->device_name_bytes};
}

bool fmx_gateway_split_key(fmx_slice key, fmx_slice *out_product_key, fmx_slice *out_device_name)
{
    const uint8_t *sign = key.bytes == 0 ? NULL : memchr(key.data, '&', key.bytes);

    if (sign == NULL) {
        return false;
    }
    *out_device_name = (fmx_slice){.data = key.data, .bytes = (size_t)(sign - key.data)};
    *out_product_key =
        (fmx_slice){.data = sign + 1, .bytes = key.bytes - out_device_name->bytes - 1};
    return true;
}

bool fmx_gateway_keep_names(struct fmx_conn *conn, fmx_slice key, fmx_slice rest)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    part->names = malloc(key.bytes + rest.bytes + 1);
    if (part->names == NULL) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return false;
    }
    if (key.bytes > 0) {
        memcpy(part->names, key.data, key.bytes);
    }
    if (rest.bytes > 0) {
        memcpy(part->names + key.bytes, rest.data, rest.bytes);
    }
    part->key_bytes = (uint16_t)key.bytes;
    part->rest_bytes = (uint16_t)rest.bytes;
    part->subscriptions = FMX_SUBSCRIPTION_NONE;
    part->identity = FMX_IDENTITY_NONE;
    return true;
}

uint64_t fmx_gateway_hash(struct fmx_conn *conn)
{
    return fmx_topic_hash(fmx_gateway_key(fmx_gateway_part(conn)),
                          fmx_gateway_of(conn->shard)->gateway->hash_seed);
}

/* ── CONNECT ── */

struct fmx_gateway_session fmx_gateway_describe(struct fmx_conn *conn,
                                                struct fmx_session_room *room)
{
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    bool is_device = part->device != NULL;
    bool is_tls = fmx_conn_tls_facts(conn, &room->facts);

    return (struct fmx_gateway_session){
        .id = fmx_conn_id(conn),
        .caller = &fmx_gateway_of(conn->shard)->caller,
        .version = (enum fmx_version)conn->session.version,
        .client_id = is_device ? fmx_gateway_rest(part) : fmx_gateway_key(part),
        .username = is_device ? fmx_gateway_key(part) : fmx_gateway_rest(part),
        .product_key = fmx_gateway_product_key(part),
        .device_name = fmx_gateway_device_name(part),
        .address = is_device ? fmx_device_address(part->device, room->address) : (fmx_slice){0},
        .tls = is_tls ? &room->facts : NULL,
        .keepalive_s = conn->session.keepalive_s,
        .clean = conn->session.clean,
    };
}

void fmx_gateway_refuse(struct fmx_conn *conn, enum fmx_status status, fmx_slice who,
                        const char *words, _Atomic uint64_t *counter)
{
    const struct fmx_log *log = &conn->shard->options->log;

    fmx_count(counter, 1);
    if (fmx_log_allows(log, &conn->shard->log_quota, conn->shard->now_ns)) {
        fmx_log_line(log, FMX_LOG_WARN, "device %.*s: CONNECT refused: %s",
                     (int)(who.bytes < WHO_BYTES ? who.bytes : WHO_BYTES), (const char *)who.data,
                     words);
    }
    fmx_conn_close_saying(conn, status, fmx_slice_of(words));
}

bool fmx_gateway_ask_service(struct fmx_conn *conn, const struct fmx_connect *connect,
                             fmx_slice username)
{
    const struct fmx_gateway_options *options = &fmx_gateway_of(conn->shard)->gateway->options;
    struct fmx_session_room room;

    if (connect->has_will) {
        fmx_count(&conn->shard->counters.wills_ignored, 1);
    }
    if (options->callbacks.on_connect == NULL) {
        return true;
    }
    struct fmx_gateway_session session = fmx_gateway_describe(conn, &room);
    session.username = username;
    enum fmx_status verdict =
        options->callbacks.on_connect(options->user, &session, connect->password);
    if (verdict != FMX_OK) {
        fmx_conn_close(conn, verdict < 0 ? verdict : FMX_PEER_NOT_AUTHORIZED);
    }
    return verdict == FMX_OK;
}

/*
 * After all completions of this turn have been taken: a connection that has come and gone within
 * one turn claims nothing, and cannot throw out the one its client has made since.
 */
void fmx_gateway_claim(struct fmx_conn *conn)
{
    struct fmx_msg claiming = {
        .kind = FMX_MSG_CLAIMING,
        .claiming = {.session = fmx_conn_id(conn), .since_ns = conn->shard->now_ns}};

    fmx_shard_post(conn->shard, conn->shard->index, &claiming);
}

/* What home has to know when the session is away: how messages reach it without a subscription. */
static uint8_t claim_flags(const struct fmx_gateway_session_part *part)
{
    const struct fmx_device_state *device = part->device;

    if (device == NULL) {
        return 0;
    }
    return (uint8_t)((device->auto_subscribe ? FMX_KEPT_AUTO : 0) |
                     ((device->ext & FMX_EXT_NOTIFY) != 0 ? FMX_KEPT_NOTIFY : 0) |
                     ((device->ext & FMX_EXT_RRPC) != 0 ? FMX_KEPT_RRPC : 0));
}

void fmx_gateway_on_claiming(struct fmx_gateway_shard *gateway, const struct fmx_msg *message)
{
    struct fmx_conn *conn = fmx_shard_find(gateway->shard, message->claiming.session);
    uint64_t since_ns = message->claiming.since_ns;

    if (conn == NULL || conn->state != FMX_CONN_OPEN) {
        return;
    }
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_blob *client_id = fmx_blob_make(fmx_gateway_key(part));
    if (client_id == NULL) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return;
    }
    if (conn->peer_ended) { /* what it had said still counts, but its client may be back by now */
        since_ns -= ENDED_IS_OLDER_NS;
    }
    uint64_t hash = fmx_gateway_hash(conn);
    part->claim = FMX_CLAIM_WAITING;
    struct fmx_msg claim = {.kind = FMX_MSG_CLAIM,
                            .claim = {.session = fmx_conn_id(conn),
                                      .client_id = client_id,
                                      .hash = hash,
                                      .since_ns = since_ns,
                                      .expiry_s = conn->session.session_expiry_s,
                                      .clean = conn->session.clean,
                                      .flags = claim_flags(part)}};
    fmx_shard_post(conn->shard, fmx_gateway_home(gateway, hash), &claim);
}

static void report_open(struct fmx_conn *conn, bool session_present)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    const struct fmx_gateway_options *options = &fmx_gateway_of(conn->shard)->gateway->options;

    part->is_open = true;
    fmx_count(&conn->shard->counters.sessions_opened, 1);
    fmx_count(&conn->shard->counters.sessions_now, 1);
    if (options->callbacks.on_open != NULL) {
        struct fmx_session_room room;
        struct fmx_gateway_session session = fmx_gateway_describe(conn, &room);
        session.session_present = session_present;
        options->callbacks.on_open(options->user, &session);
    }
}

void fmx_gateway_on_claimed(struct fmx_gateway_shard *gateway, struct fmx_msg *message)
{
    struct fmx_conn *conn = fmx_shard_find(gateway->shard, message->claimed.session);

    if (conn == NULL) { /* held while its claim waits, but for a shard that is shutting down */
        fmx_gateway_discard(gateway->shard, message);
        return;
    }
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    uint32_t dropped = fmx_parcel_unpack(message->claimed.parcel, &part->backlog);
    fmx_count(&gateway->shard->counters.dropped_qos1, dropped);
    part->identity = message->identity;
    part->is_kept = message->claimed.is_kept;
    if (part->claim == FMX_CLAIM_LEAVING) {
        return; /* ended meanwhile; RELEASE is on its way and takes the backlog back */
    }
    if (message->claimed.status != FMX_OK) {
        part->claim = FMX_CLAIM_NONE;
        fmx_conn_close(conn, message->claimed.status); /* connects_per_minute, or no room */
        return;
    }
    part->claim = FMX_CLAIM_OWNED;
    if (conn->state != FMX_CONN_OPEN) {
        return; /* its end is reported in this turn: fmx_gateway_session_ended */
    }
    if (part->device != NULL) {
        fmx_device_resume(part->device, &message->claimed.rates, conn->shard->now_ns);
    }
    if (part->device != NULL && !fmx_platform_welcome(conn)) {
        fmx_conn_close(conn, FMX_PEER_NOT_AUTHORIZED);
        return;
    }
    bool says_present = message->claimed.session_present &&
                        (part->device == NULL || !part->device->session_present_is_0);
    report_open(conn, message->claimed.session_present);
    fmx_conn_admit(conn, says_present,
                   part->id_is_assigned ? fmx_gateway_key(part) : (fmx_slice){0});
    if (part->device != NULL && part->device->wants_identity) {
        fmx_system_identity(conn);
    }
    fmx_gateway_pump(conn);
}

/* ── the end ── */

/* A device's rates are its own and not its connection's: home remembers them. */
static struct fmx_rate_memory rates_of(const struct fmx_gateway_session_part *part)
{
    const struct fmx_device_state *device = part->device;

    return device == NULL ? (struct fmx_rate_memory){0}
                          : fmx_device_rates(device, device->conn->shard->now_ns);
}

static void hand_over(struct fmx_conn *conn)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_msg released = {.kind = FMX_MSG_RELEASED,
                               .identity = part->identity,
                               .released = {.session = fmx_conn_id(conn),
                                            .hash = fmx_gateway_hash(conn),
                                            .rates = rates_of(part),
                                            .expiry_s = conn->session.session_expiry_s}};
    uint32_t dropped = 0;

    if (part->is_kept) {
        fmx_gateway_collect_unacked(conn);
        released.released.parcel = fmx_parcel_pack(&part->backlog, &dropped);
        fmx_count(&conn->shard->counters.dropped_qos1, dropped);
    }
    part->claim = FMX_CLAIM_NONE;
    fmx_shard_post(conn->shard, fmx_gateway_home(gateway, released.released.hash), &released);
}

void fmx_gateway_on_release(struct fmx_gateway_shard *gateway, const struct fmx_msg *message)
{
    struct fmx_conn *conn = fmx_shard_find(gateway->shard, message->release.session);

    if (conn == NULL || fmx_gateway_part(conn)->claim == FMX_CLAIM_NONE) {
        return; /* its final GONE is on its way home */
    }
    if (fmx_gateway_part(conn)->claim == FMX_CLAIM_LEAVING) {
        hand_over(conn);
        fmx_conn_unhold(conn);
        return;
    }
    fmx_gateway_part(conn)->claim = FMX_CLAIM_RELEASING;
    fmx_conn_close(conn, message->release.cause); /* its end follows in this turn */
}

/* The connection is over: home hears of it, unless it knows. */
void fmx_gateway_session_ended(struct fmx_conn *conn)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    fmx_device_rest(part->device);
    if (part->claim == FMX_CLAIM_WAITING || part->claim == FMX_CLAIM_OWNED) {
        bool is_final = part->claim == FMX_CLAIM_OWNED && !part->is_kept;
        struct fmx_msg gone = {.kind = FMX_MSG_GONE,
                               .identity = part->identity,
                               .gone = {.session = fmx_conn_id(conn),
                                        .hash = fmx_gateway_hash(conn),
                                        .rates = rates_of(part),
                                        .is_final = is_final}};
        fmx_shard_post(conn->shard, fmx_gateway_home(gateway, gone.gone.hash), &gone);
        part->claim = is_final ? FMX_CLAIM_NONE : FMX_CLAIM_LEAVING;
        if (!is_final && (!conn->shard->stopping || gateway->gateway->store != NULL)) {
            fmx_conn_hold(conn);
        }
    } else if (part->claim == FMX_CLAIM_RELEASING) {
        hand_over(conn);
    }
    if (!part->is_kept && part->names != NULL) {
        fmx_gateway_drop_all(conn);
        fmx_count_down(&conn->shard->counters.subscriptions_now, part->subscriptions_count);
        fmx_gateway_unsubscribe_all(gateway, &part->subscriptions);
        part->subscriptions_count = 0;
    }
}

void fmx_gateway_session_wipe(struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    fmx_gateway_drop_all(conn);
    fmx_gateway_forget_congested(conn);
    fmx_device_close(part->device);
    free(part->names);
}
