/*
 * gateway_session — a session of the server role from CONNECT to its end
 *
 * Why it is so:   CONNECT is answered only when the client id's home has said that it is ours: by
 *                 then an older session has been ended and has handed over what it had, wherever it
 *                 was
 * Words:          names: client id and user name, kept in one allocation; see directory.h for the
 *                 messages
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

#include "proto/limits.h"
#include "proto/topic.h"

#define ASSIGNED_BYTES    24u
#define ENDED_IS_OLDER_NS FMX_NS_PER_S

/* ── names ── */

static fmx_slice client_id_of(const struct fmx_gateway_session_part *part)
{
    return (fmx_slice){.data = part->names, .bytes = part->client_id_bytes};
}

static fmx_slice username_of(const struct fmx_gateway_session_part *part)
{
    if (part->username_bytes == 0) {
        return (fmx_slice){0};
    }
    return (fmx_slice){.data = part->names + part->client_id_bytes, .bytes = part->username_bytes};
}

/* "fmx-" and 64 bits in hex: unique in this process, and not to be guessed from the last one. */
static fmx_slice make_client_id(struct fmx_gateway_shard *gateway, char *out)
{
    uint64_t number = ++gateway->assigned * gateway->shard->shards_count + gateway->shard->index;
    fmx_slice bytes = {.data = (const uint8_t *)&number, .bytes = sizeof(number)};
    int length = snprintf(out, ASSIGNED_BYTES, "fmx-%016llx",
                          (unsigned long long)fmx_topic_hash(bytes, gateway->assigned_seed));

    return (fmx_slice){.data = (const uint8_t *)out, .bytes = (size_t)length};
}

static bool keep_names(struct fmx_conn *conn, const struct fmx_connect *connect,
                       fmx_slice client_id)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    bool wants_username = fmx_gateway_of(conn->shard)->gateway->options.callbacks.on_open != NULL;
    fmx_slice username = wants_username ? connect->username : (fmx_slice){0};

    part->names = malloc(client_id.bytes + username.bytes + 1);
    if (part->names == NULL) {
        return false;
    }
    memcpy(part->names, client_id.data, client_id.bytes);
    if (username.bytes > 0) {
        memcpy(part->names + client_id.bytes, username.data, username.bytes);
    }
    part->client_id_bytes = (uint16_t)client_id.bytes;
    part->username_bytes = (uint16_t)username.bytes;
    return true;
}

/* ── CONNECT ── */

static struct fmx_gateway_session describe(struct fmx_conn *conn, fmx_slice username,
                                           bool session_present)
{
    return (struct fmx_gateway_session){
        .id = fmx_conn_id(conn),
        .version = (enum fmx_version)conn->session.version,
        .client_id = client_id_of(fmx_gateway_part(conn)),
        .username = username,
        .keepalive_s = conn->session.keepalive_s,
        .clean = conn->session.clean,
        .session_present = session_present,
    };
}

static enum fmx_status ask_service(struct fmx_conn *conn, const struct fmx_connect *connect)
{
    const struct fmx_gateway_options *options = &fmx_gateway_of(conn->shard)->gateway->options;

    if (options->callbacks.on_connect == NULL) {
        return FMX_OK;
    }
    struct fmx_gateway_session session = describe(conn, connect->username, false);
    return options->callbacks.on_connect(options->user, &session, connect->password);
}

/*
 * After all completions of this turn have been taken: a connection that has come and gone within
 * one turn claims nothing, and cannot throw out the one its client has made since.
 */
static void claim_soon(struct fmx_conn *conn)
{
    struct fmx_msg claiming = {.kind = FMX_MSG_CLAIMING, .about = {.session = fmx_conn_id(conn)}};

    fmx_gateway_part(conn)->since_ns = conn->shard->now_ns;
    fmx_shard_post(conn->shard, conn->shard->index, &claiming);
}

void fmx_gateway_on_claiming(struct fmx_gateway_shard *gateway, const struct fmx_msg *message)
{
    struct fmx_conn *conn = fmx_shard_find(gateway->shard, message->about.session);

    if (conn == NULL || conn->state != FMX_CONN_OPEN) {
        return;
    }
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_blob *client_id = fmx_blob_make(client_id_of(part));
    if (client_id == NULL) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return;
    }
    if (conn->peer_ended) { /* what it had said still counts, but its client may be back by now */
        part->since_ns -= ENDED_IS_OLDER_NS;
    }
    part->claim = FMX_CLAIM_WAITING;
    struct fmx_msg claim = {.kind = FMX_MSG_CLAIM,
                            .claim = {.session = fmx_conn_id(conn),
                                      .client_id = client_id,
                                      .hash = part->hash,
                                      .since_ns = part->since_ns,
                                      .expiry_s = conn->session.session_expiry_s,
                                      .clean = conn->session.clean}};
    fmx_shard_post(conn->shard, fmx_gateway_home(gateway, part->hash), &claim);
}

void fmx_gateway_on_connect(struct fmx_conn *conn, const struct fmx_connect *connect)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    char made[ASSIGNED_BYTES];
    fmx_slice client_id = connect->client_id;

    part->subscriptions = FMX_SUBSCRIPTION_NONE;
    part->identity = FMX_IDENTITY_NONE;
    if (client_id.bytes == 0) {
        client_id = make_client_id(gateway, made);
        part->id_is_assigned = true;
    }
    if (!keep_names(conn, connect, client_id)) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return;
    }
    enum fmx_status verdict = ask_service(conn, connect);
    if (verdict != FMX_OK) {
        fmx_conn_close(conn, verdict < 0 ? verdict : FMX_PEER_NOT_AUTHORIZED);
        return;
    }
    if (connect->has_will) {
        fmx_count(&conn->shard->counters.wills_ignored, 1);
    }
    part->hash = fmx_topic_hash(client_id_of(part), gateway->gateway->hash_seed);
    claim_soon(conn);
}

static void report_open(struct fmx_conn *conn, bool session_present)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    const struct fmx_gateway_options *options = &fmx_gateway_of(conn->shard)->gateway->options;

    part->is_open = true;
    fmx_count(&conn->shard->counters.sessions_opened, 1);
    fmx_count(&conn->shard->counters.sessions_now, 1);
    if (options->callbacks.on_open != NULL) {
        struct fmx_gateway_session session = describe(conn, username_of(part), session_present);
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
        fmx_conn_close(conn, message->claimed.status);
        return;
    }
    part->claim = FMX_CLAIM_OWNED;
    if (conn->state != FMX_CONN_OPEN) {
        return; /* its end is reported in this turn: fmx_gateway_session_ended */
    }
    fmx_slice assigned = part->id_is_assigned ? client_id_of(part) : (fmx_slice){0};
    report_open(conn, message->claimed.session_present);
    fmx_conn_admit(conn, message->claimed.session_present, assigned);
    fmx_gateway_pump(conn);
}

/* ── the end ── */

static void hand_over(struct fmx_conn *conn)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_msg released = {
        .kind = FMX_MSG_RELEASED,
        .identity = part->identity,
        .released = {.session = fmx_conn_id(conn), .expiry_s = conn->session.session_expiry_s}};
    uint32_t dropped = 0;

    if (part->is_kept) {
        fmx_gateway_collect_unacked(conn);
        released.released.parcel = fmx_parcel_pack(&part->backlog, &dropped);
        fmx_count(&conn->shard->counters.dropped_qos1, dropped);
    }
    part->claim = FMX_CLAIM_NONE;
    fmx_shard_post(conn->shard, fmx_gateway_home(gateway, part->hash), &released);
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

    if (part->claim == FMX_CLAIM_WAITING || part->claim == FMX_CLAIM_OWNED) {
        bool is_final = part->claim == FMX_CLAIM_OWNED && !part->is_kept;
        struct fmx_msg gone = {
            .kind = FMX_MSG_GONE,
            .identity = part->identity,
            .gone = {.session = fmx_conn_id(conn), .hash = part->hash, .is_final = is_final}};
        fmx_shard_post(conn->shard, fmx_gateway_home(gateway, part->hash), &gone);
        part->claim = is_final ? FMX_CLAIM_NONE : FMX_CLAIM_LEAVING;
        if (!is_final && !conn->shard->stopping) {
            fmx_conn_hold(conn);
        }
    } else if (part->claim == FMX_CLAIM_RELEASING) {
        hand_over(conn);
    }
    if (!part->is_kept && part->names != NULL) {
        fmx_count_down(&conn->shard->counters.subscriptions_now, part->subscriptions_count);
        fmx_gateway_unsubscribe_all(gateway, &part->subscriptions);
        part->subscriptions_count = 0;
    }
}

void fmx_gateway_session_wipe(struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    if (part->is_kept) {
        fmx_gateway_collect_unacked(conn);
    }
    fmx_gateway_forget_congested(conn);
    fmx_backlog_wipe(&part->backlog);
    free(part->names);
}
