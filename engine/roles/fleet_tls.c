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
 *                 over: before, a worker may have it
 * Memory:         one session for each client that had one and may come back, and a pointer for
 *                 each client then; else nothing beside the stream
 * Threads:        owning shard
 * Limits:         those of fleet_tls_plan.c
 * Not here:       files, checks: fleet_tls_plan.c; the handshake's turns: engine/conn_tls.h
 */
#include "engine/roles/fleet.h"

#include "engine/conn_tls.h"
#include "tls/hmac.h"

#include <stdlib.h>

/* ── sessions ── */

bool fmx_fleet_tls_open_shard(struct fmx_fleet_shard *fleet)
{
    const struct fmx_fleet_tls *tls = fleet->fleet->tls;

    if (tls == NULL || !tls->keeps_sessions) {
        return true;
    }
    fleet->sessions = calloc(fleet->clients_count + 1u, sizeof(struct fmx_tls_session *));
    return fleet->sessions != NULL;
}

void fmx_fleet_tls_close_shard(struct fmx_fleet_shard *fleet)
{
    for (uint32_t i = 0; fleet->sessions != NULL && i < fleet->clients_count; i++) {
        fmx_tls_session_drop(fleet->sessions[i]);
    }
    free((void *)fleet->sessions);
}

static struct fmx_tls_session **place_of(const struct fmx_fleet_shard *fleet,
                                         const struct fmx_fleet_client *client)
{
    return &fleet->sessions[client - fleet->clients];
}

/* What the client offers to resume; NULL: nothing. */
static struct fmx_tls_session *session_for(struct fmx_fleet_shard *fleet,
                                           const struct fmx_fleet_client *client)
{
    if (fleet->sessions == NULL || *place_of(fleet, client) == NULL) {
        return NULL;
    }
    double share = fleet->fleet->tls->options.resume;
    double chance = share < 1 ? (double)(fmx_fleet_random(fleet) >> 11) * 0x1p-53 : 0;
    return chance < share ? *place_of(fleet, client) : NULL;
}

static void keep_session(struct fmx_fleet_shard *fleet, const struct fmx_fleet_client *client,
                         struct fmx_tls_stream *stream)
{
    struct fmx_tls_session *session = fmx_tls_stream_session(stream);

    if (session != NULL) { /* a server need not give a newer one with each connection */
        fmx_tls_session_drop(*place_of(fleet, client));
        *place_of(fleet, client) = session;
    }
}

/* ── pre-shared keys ── */

static enum fmx_status given_psk(const struct fmx_fleet *fleet, uint32_t index,
                                 struct fmx_fleet_psk *psk)
{
    const struct fmx_fleet_tls *tls = fleet->tls;
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];
    fmx_slice identity;

    if (!fmx_fleet_fill_any(&fleet->plan, index, tls->options.psk_identity, filled, &identity)) {
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

enum fmx_status fmx_fleet_psk_of(const struct fmx_fleet *fleet, uint32_t index,
                                 struct fmx_fleet_psk *out_psk)
{
    const struct fmx_fleet_plan *plan = &fleet->plan;
    struct fmx_fleet_device device;

    if (plan->tls->psk == FMX_TLS_PSK_GIVEN) {
        return given_psk(fleet, index, out_psk);
    }
    if (!fmx_fleet_device_names(plan, index, &device)) {
        return FMX_E_ARGUMENT;
    }
    enum fmx_status status = fmx_fleet_device_secret(&plan->platform, &device)
                                 ? make_psk(plan->tls->psk, &device, out_psk)
                                 : FMX_LIMIT_MEMORY;
    explicit_bzero(&device, sizeof(device));
    return status;
}

/* ── connections ── */

static struct fmx_tls_cert *cert_of(const struct fmx_fleet_tls *tls, uint32_t index)
{
    return tls->certs == NULL ? NULL : tls->certs[tls->certs_count == 1 ? 0 : index];
}

void fmx_fleet_tls_begin(struct fmx_conn *conn)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    const struct fmx_fleet *whole = fleet->fleet;
    const struct fmx_fleet_tls *tls = whole->tls;
    const struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    const char *host = tls->hosts[client->index % whole->plan.targets_count];
    struct fmx_fleet_psk psk = {0};
    struct fmx_tls_dial dial = {
        .server_name = tls->options.server_name != NULL ? tls->options.server_name : host,
        .cert = cert_of(tls, client->index),
        .session = session_for(fleet, client),
    };
    struct fmx_tls_stream *stream = NULL;
    enum fmx_status status = FMX_OK;

    if (tls->options.psk != FMX_TLS_PSK_NONE) {
        status = fmx_fleet_psk_of(whole, client->index, &psk);
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
    struct fmx_tls_facts facts;

    if (!fmx_conn_tls_facts(conn, &facts)) {
        return;
    }
    fmx_histogram_record(facts.resumed ? &fleet->tls_resumed : &fleet->tls_full,
                         conn->shard->now_ns - fmx_conn_tls_begun_ns(conn));
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
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    struct fmx_tls_stream *stream = fmx_conn_tls_stream(conn);
    struct fmx_tls_facts facts;

    if (stream == NULL) {
        return NULL;
    }
    if (fleet->sessions != NULL && fmx_conn_tls_facts(conn, &facts)) {
        keep_session(fleet, fmx_fleet_client_of(conn), stream);
    }
    return is_of_stream(conn->cause) ? fmx_tls_stream_fault(stream) : NULL;
}
