/*
 * fleet_tls — TLS of a client's connections: who it says it is, and what it resumes
 *
 * Why it is so:   everything that many clients share (the context, certificates, hosts) is made
 *                 before the shards run; here is only what each connect makes anew. A PSK is made
 *                 of the device's secret like the signature in CONNECT is, and lies on the stack
 *                 for as long as the stream is made
 * Words:          session: what a server has given to resume. Kept over the end of a connection,
 *                 one for each client, until the next one gives a newer one
 * Invariants:     (1) a stream is asked for facts, session or fault only when its handshake is
 *                 over: before, a worker may have it  (2) a session of TLS 1.3 is good for one
 *                 answer: it goes when a handshake that a server has answered is over, however that
 *                 ended. A client has one handshake at a time, and whether it offers its session
 *                 is drawn for its connect alone, so nothing has to be noted meanwhile
 * Memory:         one session for each client that had one and may come back, and a pointer for
 *                 each client then; else nothing beside the stream
 * Threads:        owning shard
 * Limits:         those of fleet_tls_plan.c
 * Not here:       files, checks: fleet_tls_plan.c; the handshake's turns: engine/conn_tls.h
 */
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_tls.h"

#include "engine/conn_tls.h"
#include "tls/hmac.h"

#include <stdlib.h>

/* ── sessions ── */

bool fmx_fleet_tls_open_crew(struct fmx_fleet_crew *crew)
{
    const struct fmx_fleet_tls *tls = crew->team->tls;

    if (tls == NULL || !tls->keeps_sessions) {
        return true;
    }
    crew->sessions = calloc(crew->clients_count + 1u, sizeof(struct fmx_tls_session *));
    return crew->sessions != NULL;
}

void fmx_fleet_tls_close_crew(struct fmx_fleet_crew *crew)
{
    for (uint32_t i = 0; crew->sessions != NULL && i < crew->clients_count; i++) {
        fmx_tls_session_drop(crew->sessions[i]);
    }
    free((void *)crew->sessions);
    crew->sessions = NULL;
}

static struct fmx_tls_session **place_of(const struct fmx_fleet_client *client)
{
    return &client->crew->sessions[fmx_fleet_place_of(client)];
}

/* What the client offers to resume on its present connection; NULL: nothing. */
static struct fmx_tls_session *session_for(const struct fmx_fleet_client *client)
{
    const struct fmx_fleet_team *team = client->crew->team;

    if (client->crew->sessions == NULL || *place_of(client) == NULL) {
        return NULL;
    }
    uint64_t drawn =
        fmx_fleet_draw(team->fleet, fmx_fleet_index_of(client), FMX_DRAW_RESUME, client->connects);
    return fmx_fleet_fraction(drawn) < team->tls->options.resume ? *place_of(client) : NULL;
}

/* A server has heard of what was offered. */
static void spend_session(const struct fmx_fleet_client *client)
{
    struct fmx_tls_session *session = session_for(client);

    if (session != NULL && fmx_tls_session_is_used_once(session)) {
        fmx_tls_session_drop(session);
        *place_of(client) = NULL;
    }
}

static void keep_session(const struct fmx_fleet_client *client, struct fmx_tls_stream *stream)
{
    struct fmx_tls_session *session = fmx_tls_stream_session(stream);

    if (session != NULL) { /* a server need not give a newer one with each connection */
        fmx_tls_session_drop(*place_of(client));
        *place_of(client) = session;
    }
}

/* ── pre-shared keys ── */

static enum fmx_status given_psk(const struct fmx_fleet_team *team, uint32_t number,
                                 struct fmx_fleet_psk *psk)
{
    const struct fmx_fleet_tls *tls = team->tls;
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];
    fmx_slice identity;

    if (!fmx_fleet_fill_any(&team->plan, number, tls->options.psk_identity, filled, &identity)) {
        return FMX_E_ARGUMENT;
    }
    if (identity.bytes == 0 || identity.bytes > sizeof(psk->identity)) {
        return FMX_TLS_PSK;
    }
    memcpy(psk->identity, identity.data, identity.bytes);
    psk->identity_bytes = identity.bytes;
    memcpy(psk->key, tls->psk_key, tls->psk_key_bytes);
    psk->key_bytes = tls->psk_key_bytes;
    return FMX_OK;
}

/* The signature over the names, as digits, is the key. */
static bool sign_key(const struct fmx_dialect_psk *names, const char *secret,
                     struct fmx_fleet_psk *psk)
{
    uint8_t content[FMX_SIGNED_BYTES_MAX];
    uint8_t digest[FMX_HMAC_BYTES_MAX];
    size_t bytes;

    static_assert(2 * FMX_HMAC_BYTES_MAX <= FMX_TLS_PSK_BYTES_MAX, "any signature is a key");
    size_t content_bytes = fmx_dialect_psk_signed(names, content);
    if (fmx_hmac(FMX_HMAC_SHA256, fmx_slice_of(secret),
                 (fmx_slice){.data = content, .bytes = content_bytes}, digest, &bytes) != FMX_OK) {
        return false;
    }
    fmx_dialect_hex((fmx_slice){.data = digest, .bytes = bytes}, true, (char *)psk->key);
    psk->key_bytes = 2 * bytes;
    explicit_bzero(digest, sizeof(digest));
    return true;
}

static enum fmx_status make_psk(enum fmx_tls_psk kind, const struct fmx_fleet_device *device,
                                struct fmx_fleet_psk *psk)
{
    const bool is_sdk = kind == FMX_TLS_PSK_SDK;
    const struct fmx_dialect_psk names = {.product_key = fmx_slice_of(device->product_key),
                                          .device_name = fmx_slice_of(device->device_name),
                                          .timestamp =
                                              fmx_slice_of(is_sdk ? FMX_FLEET_PSK_TIMESTAMP : ""),
                                          .sign_method = FMX_SIGN_HMAC_SHA256};
    size_t secret_bytes = strlen(device->secret);

    static_assert(sizeof(device->secret) - 1 <= FMX_TLS_PSK_BYTES_MAX, "any secret is a key");
    psk->identity_bytes = fmx_dialect_psk_identity(&names, psk->identity);
    if (psk->identity_bytes == 0 || secret_bytes == 0) {
        return FMX_TLS_PSK;
    }
    if (is_sdk) {
        return sign_key(&names, device->secret, psk) ? FMX_OK : FMX_LIMIT_MEMORY;
    }
    memcpy(psk->key, device->secret, secret_bytes);
    psk->key_bytes = secret_bytes;
    return FMX_OK;
}

enum fmx_status fmx_fleet_psk_of(const struct fmx_fleet_team *team, uint32_t number,
                                 struct fmx_fleet_psk *out_psk)
{
    const struct fmx_fleet_group *group = &team->plan;
    struct fmx_fleet_device device;

    if (group->tls->psk == FMX_TLS_PSK_GIVEN) {
        return given_psk(team, number, out_psk);
    }
    if (!fmx_fleet_device_names(group, number, &device)) {
        return FMX_E_ARGUMENT;
    }
    enum fmx_status status = fmx_fleet_device_secret(&group->platform, &device)
                                 ? make_psk(group->tls->psk, &device, out_psk)
                                 : FMX_LIMIT_MEMORY;
    explicit_bzero(&device, sizeof(device));
    return status;
}

/* ── connections ── */

static struct fmx_tls_cert *cert_of(const struct fmx_fleet_tls *tls, uint32_t number)
{
    return tls->certs == NULL ? NULL : tls->certs[tls->certs_count == 1 ? 0 : number];
}

void fmx_fleet_tls_begin(struct fmx_conn *conn)
{
    const struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    const struct fmx_fleet_team *team = client->crew->team;
    const struct fmx_fleet_tls *tls = team->tls;
    const char *host = tls->hosts[client->number % team->plan.targets_count];
    struct fmx_fleet_psk psk = {0};
    struct fmx_tls_dial dial = {
        .server_name = tls->options.server_name != NULL ? tls->options.server_name : host,
        .cert = cert_of(tls, client->number),
        .session = session_for(client),
    };
    struct fmx_tls_stream *stream = NULL;
    enum fmx_status status = FMX_OK;

    if (tls->options.psk != FMX_TLS_PSK_NONE) {
        status = fmx_fleet_psk_of(team, client->number, &psk);
        dial.psk_identity = (fmx_slice){.data = psk.identity, .bytes = psk.identity_bytes};
        dial.psk_key = (fmx_slice){.data = psk.key, .bytes = psk.key_bytes};
    }
    if (status == FMX_OK) {
        stream = fmx_tls_connect(tls->context, &dial);
    }
    explicit_bzero(&psk, sizeof(psk));
    if (stream == NULL) {
        fmx_conn_abort(conn, status != FMX_OK ? status : FMX_LIMIT_MEMORY, 0);
        return;
    }
    status = fmx_conn_use_tls(conn, stream);
    (void)status; /* without memory it has ended the connection, and on_close follows */
}

void fmx_fleet_tls_opened(struct fmx_conn *conn)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    const struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    struct fmx_tls_facts facts;

    if (!fmx_conn_tls_facts(conn, &facts)) {
        return;
    }
    if (client != NULL) {
        spend_session(client);
    }
    fmx_fleet_measure(fmx_fleet_crew_of(conn),
                      facts.resumed ? FMX_FLEET_TLS_RESUMED : FMX_FLEET_TLS_FULL,
                      fmx_conn_tls_begun_ns(conn), conn->shard->now_ns);
    /* relaxed: the text is constant, and which of two handshakes it tells of does not matter */
    atomic_store_explicit(&fleet->tls_version, (uint32_t)facts.version, memory_order_relaxed);
    atomic_store_explicit(&fleet->tls_suite, facts.suite, memory_order_relaxed);
}

/* Did the stream itself say so, so that it is nobody else's now and knows more? */
static bool is_of_stream(int cause)
{
    switch (cause) {
    case FMX_TLS_FAILED:
    case FMX_TLS_ALERT:
    case FMX_TLS_VERSION:
    case FMX_TLS_SUITE:
    case FMX_TLS_CERT:
    case FMX_TLS_NO_CERT:
    case FMX_TLS_PSK:
        return true;
    default:
        return false;
    }
}

const char *fmx_fleet_tls_closed(struct fmx_conn *conn)
{
    const struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    struct fmx_tls_stream *stream = fmx_conn_tls_stream(conn);
    struct fmx_tls_facts facts;

    if (stream == NULL) {
        return NULL;
    }
    if (client != NULL && client->crew->sessions != NULL) {
        if (fmx_conn_tls_facts(conn, &facts)) {
            keep_session(client, stream);
        } else if (fmx_conn_tls_was_answered(conn)) {
            spend_session(client);
        }
    }
    return is_of_stream(conn->cause) ? fmx_tls_stream_fault(stream) : NULL;
}
