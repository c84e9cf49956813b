/*
 * conn_tls — TLS under a connection: from the first byte to an open stream, and its end
 *
 * Why it is so:   a handshake is bounded by what the peer has sent: it counts from its first whole
 *                 record on, and what it may send and how long it may take is judged while it lasts
 * Words:          shaking: not OPEN yet
 * Invariants:     (1) while a step is queued or with a worker nothing else touches the stream
 *                 (2) a handshake is counted at most once, and given up or done exactly once
 * States:         drawn in conn_tls.h
 *                 CONNECTING → QUEUED   fmx_conn_tls_begin
 *                 LISTENING → NAMING    the first whole record has come
 *                 NAMING → QUEUED       fmx_conn_tls_on_peer_name
 *                 LISTENING → QUEUED    another whole record has come
 *                 QUEUED → STEPPING → LISTENING, OPEN, OVER   handshakes.c, fmx_conn_tls_stepped
 * Memory:         a slot of handshakes.conns and the stream; released with the connection
 * Threads:        owning shard only
 * Limits:         of the context: bytes, records, time of a handshake; of fmx_tls_limits: how many,
 *                 and of one address how many
 * Not here:       records: conn_records.c; whose step is next: handshakes.c; what bytes mean: tls/
 */
#include "engine/conn_tls.h"

#include "engine/shard.h"
#include "proto/limits.h"
#include "tls/record.h"

#include <arpa/inet.h>

/* ── what others see ── */

struct fmx_tls_stream *fmx_conn_tls_stream(const struct fmx_conn *conn)
{
    return conn->tls == 0 ? NULL : fmx_conn_tls_of(conn)->stream;
}

bool fmx_conn_tls_facts(const struct fmx_conn *conn, struct fmx_tls_facts *out_facts)
{
    if (conn->tls == 0 || fmx_conn_tls_of(conn)->phase != FMX_TLS_OPEN) {
        return false;
    }
    fmx_tls_stream_facts(fmx_conn_tls_of(conn)->stream, out_facts);
    return true;
}

bool fmx_conn_tls_was_answered(const struct fmx_conn *conn)
{
    return conn->tls != 0 && fmx_conn_tls_of(conn)->handshake_bytes > 0;
}

uint64_t fmx_conn_tls_begun_ns(const struct fmx_conn *conn)
{
    return conn->tls == 0 ? 0 : fmx_conn_tls_of(conn)->begun_ns;
}

/* ── ends ── */

/* A client that stays away for a handshake is to be found in the log, by its address if known. */
static void log_failure(struct fmx_conn *conn, enum fmx_status status)
{
    const struct fmx_log *log = &conn->shard->options->log;
    const struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    const struct sockaddr_in *name4 = (const struct sockaddr_in *)&tls->name;
    bool is_v6 = tls->name.sin6_family == AF_INET6;
    bool is_ours = tls->stream == NULL || status == FMX_TLS_TOO_LONG || status == FMX_TLS_RECORD;
    const char *fault = is_ours ? "" : fmx_tls_stream_fault(tls->stream);
    char address[INET6_ADDRSTRLEN] = "an unknown address";

    if (conn->session.side == FMX_SIDE_CLIENT ||
        !fmx_log_allows(log, &conn->shard->log_quota, conn->shard->now_ns)) {
        return;
    }
    if (is_v6 || name4->sin_family == AF_INET) {
        (void)inet_ntop(tls->name.sin6_family,
                        is_v6 ? (const void *)&tls->name.sin6_addr : &name4->sin_addr, address,
                        sizeof(address));
    }
    fmx_log_line(log, FMX_LOG_WARN, "TLS handshake with %s failed: %s%s%s", address,
                 fmx_status_text(status), is_ours ? "" : ": ", fault);
}

void fmx_conn_tls_fail(struct fmx_conn *conn, enum fmx_status status)
{
    if (fmx_conn_tls_is_shaking(conn)) {
        log_failure(conn, status);
        fmx_count(&conn->shard->counters.tls_failed, 1);
    }
    fmx_conn_tls_of(conn)->end_is_said = true; /* an alert, if there is one, is the end */
    fmx_sendq_wipe(&conn->sendq, &conn->shard->pool);
    fmx_conn_end(conn, status);
    fmx_conn_mark_dirty(conn);
}

void fmx_conn_tls_end(struct fmx_conn *conn)
{
    if (conn->tls == 0) {
        return;
    }
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    if (tls->phase == FMX_TLS_OPEN) {
        tls->end_is_due = !conn->abrupt && !conn->is_mute && !tls->end_is_said;
    } else {
        fmx_handshakes_leave(conn);
        tls->phase = FMX_TLS_OVER;
    }
}

bool fmx_conn_tls_has_end_due(const struct fmx_conn *conn)
{
    return conn->tls != 0 && fmx_conn_tls_of(conn)->end_is_due;
}

void fmx_conn_tls_forget_end(struct fmx_conn *conn)
{
    if (conn->tls != 0) {
        fmx_conn_tls_of(conn)->end_is_due = false;
    }
}

void fmx_conn_tls_closed(struct fmx_conn *conn)
{
    if (conn->tls != 0) {
        struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
        fmx_sendq_wipe(&tls->wire, &conn->shard->pool);
        fmx_count_down(&conn->shard->counters.tls_now, tls->phase == FMX_TLS_OPEN);
    }
}

void fmx_conn_tls_release(struct fmx_conn *conn)
{
    if (conn->tls == 0) {
        return;
    }
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    fmx_tls_stream_close(tls->stream);
    fmx_carry_drop(&tls->records);
    fmx_slab_give(&conn->shard->handshakes.conns, tls);
    conn->tls = 0;
}

/* ── the handshake ── */

static const struct fmx_tls_bounds *bounds_of(const struct fmx_conn *conn)
{
    static const struct fmx_tls_bounds of_clients = {.handshake_timeout_ms = UINT32_MAX,
                                                     .handshake_bytes_max = 262144,
                                                     .handshake_records_max = 4096};

    if (conn->session.side == FMX_SIDE_CLIENT) {
        return &of_clients;
    }
    return fmx_tls_context_bounds(conn->shard->listeners[conn->listener].tls);
}

uint64_t fmx_conn_tls_handshake_ns(const struct fmx_conn *conn)
{
    return bounds_of(conn)->handshake_timeout_ms * FMX_NS_PER_MS;
}

static bool is_too_long(const struct fmx_conn *conn)
{
    const struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    const struct fmx_tls_bounds *bounds = bounds_of(conn);

    return tls->handshake_bytes > bounds->handshake_bytes_max ||
           tls->handshake_records > bounds->handshake_records_max;
}

static void shed(struct fmx_conn *conn)
{
    fmx_count(&conn->shard->counters.tls_shed, 1);
    fmx_conn_abort(conn, FMX_TLS_BUSY, 0);
}

/*
 * It has said something whole: it counts. Who has sent less is bounded like one that says nothing,
 * by the sessions there may be and by time.
 */
static void enter(struct fmx_conn *conn)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);

    if (!fmx_handshakes_enter(conn)) {
        shed(conn);
    } else if (conn->shard->handshakes.limits.unfinished_per_address_max > 0) {
        tls->phase = FMX_TLS_NAMING;
        fmx_conn_ask_peer_name(conn, &tls->name, false);
    } else {
        fmx_handshakes_queue(conn);
    }
}

/*
 * Can a step be made? It may be the last, so what has come is judged only if it is not, or if no
 * step can be made of it.
 */
static void look_for_step(struct fmx_conn *conn)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    size_t whole_bytes;
    uint32_t count;

    enum fmx_status status =
        fmx_conn_tls_measure(fmx_carry_span(tls->records), &whole_bytes, &count);
    if (status < 0) {
        fmx_conn_tls_fail(conn, status);
    } else if (count > 0 && tls->is_counted) {
        fmx_handshakes_queue(conn);
    } else if (count > 0) {
        enter(conn);
    } else if (is_too_long(conn)) {
        fmx_conn_tls_fail(conn, FMX_TLS_TOO_LONG);
    }
}

static void feed_handshake(struct fmx_conn *conn, fmx_slice span)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);

    tls->handshake_bytes += (uint32_t)span.bytes;
    if (fmx_conn_tls_hold(conn, span) && tls->phase == FMX_TLS_LISTENING) {
        look_for_step(conn);
    }
}

bool fmx_conn_tls_is_full(const struct fmx_conn *conn)
{
    if (!fmx_conn_tls_is_shaking(conn)) {
        return false;
    }
    const struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    return tls->phase != FMX_TLS_LISTENING &&
           fmx_carry_bytes(tls->records) >= bounds_of(conn)->handshake_bytes_max;
}

void fmx_conn_tls_feed(struct fmx_conn *conn, fmx_slice span)
{
    if (fmx_conn_tls_of(conn)->phase == FMX_TLS_OPEN) {
        fmx_conn_tls_feed_open(conn, span);
    } else {
        feed_handshake(conn, span);
    }
}

struct fmx_carry *fmx_conn_tls_detach_records(struct fmx_conn *conn)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    struct fmx_carry *records = tls->records;
    fmx_slice span = fmx_carry_span(records);
    size_t whole_bytes;
    uint32_t count;

    (void)fmx_conn_tls_measure(span, &whole_bytes,
                               &count); /* what is no record fails in the next look */
    tls->handshake_records = (uint16_t)(tls->handshake_records + count);
    tls->records = NULL;
    if (whole_bytes < span.bytes) {
        (void)fmx_conn_tls_hold(
            conn, (fmx_slice){.data = span.data + whole_bytes, .bytes = span.bytes - whole_bytes});
        records->end = records->begin + (uint32_t)whole_bytes;
    }
    return records;
}

static void count_done(struct fmx_conn *conn, const struct fmx_tls_facts *facts)
{
    struct fmx_counters *counters = &conn->shard->counters;

    fmx_count(&counters->tls_now, 1);
    fmx_count(facts->resumed ? &counters->tls_resumed : &counters->tls_full, 1);
    fmx_count(&counters->tls_psk, facts->psk_identity.bytes > 0);
    fmx_count(&counters->tls_client_certs, facts->has_client_cert);
    switch (facts->version) {
    case FMX_TLS_10:
        fmx_count(&counters->tls_10, 1);
        break;
    case FMX_TLS_11:
        fmx_count(&counters->tls_11, 1);
        break;
    case FMX_TLS_12:
        fmx_count(&counters->tls_12, 1);
        break;
    case FMX_TLS_13:
        fmx_count(&counters->tls_13, 1);
        break;
    }
}

/* CONNECT has its own time from here on. */
static void done(struct fmx_conn *conn)
{
    struct fmx_shard *shard = conn->shard;
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    struct fmx_tls_facts facts;

    fmx_handshakes_leave(conn);
    tls->phase = FMX_TLS_OPEN;
    tls->waiting_ns = 0;
    fmx_tls_stream_facts(tls->stream, &facts);
    count_done(conn, &facts);
    conn->last_in_ns = shard->now_ns;
    if (conn->session.side == FMX_SIDE_CLIENT) {
        shard->options->role->on_open(conn);
    } else {
        fmx_conn_arm(conn, shard->now_ns + shard->options->connect_timeout_ns);
    }
}

/* What the last flight of a handshake brought with it. */
static void feed_rest(struct fmx_conn *conn, fmx_slice left)
{
    struct fmx_carry *held = fmx_conn_tls_of(conn)->records;

    fmx_conn_tls_of(conn)->records = NULL;
    if (left.bytes > 0) {
        fmx_conn_tls_open(conn, left);
    }
    if (held != NULL && conn->state == FMX_CONN_OPEN) {
        fmx_conn_tls_feed_open(conn, fmx_carry_span(held));
    }
    fmx_carry_drop(&held);
}

void fmx_conn_tls_stepped(struct fmx_conn *conn, enum fmx_status status, fmx_slice left)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);

    if (conn->state >= FMX_CONN_ENDING) {
        fmx_conn_join(conn);
        return;
    }
    fmx_handshakes_settle_rate(conn, status);
    if (status == FMX_OK) {
        done(conn);
        feed_rest(conn, left);
    } else if (status == FMX_MORE) {
        tls->phase = FMX_TLS_LISTENING;
        if (is_too_long(conn)) {
            fmx_conn_tls_fail(conn, FMX_TLS_TOO_LONG);
        } else {
            look_for_step(conn);
        }
    } else {
        fmx_conn_tls_fail(conn, status);
    }
    if (conn->peer_ended || conn->is_paused) {
        fmx_conn_mark_ready(conn); /* it was not ended, or not listened to, because we waited */
    }
}

/* ── beginnings ── */

static void begin_server(struct fmx_conn *conn)
{
    struct fmx_conn_tls *tls = fmx_handshakes_add(conn);

    if (tls == NULL) {
        fmx_conn_abort(conn, FMX_LIMIT_MEMORY, 0);
        return;
    }
    tls->phase = FMX_TLS_LISTENING;
    fmx_conn_arm(conn, conn->shard->now_ns + fmx_conn_tls_handshake_ns(conn));
}

bool fmx_conn_tls_decide(struct fmx_conn *conn, uint8_t first_byte)
{
    const struct fmx_listener *listener = &conn->shard->listeners[conn->listener];
    struct fmx_counters *counters = &conn->shard->counters;

    if (first_byte == FMX_TLS_RECORD_HANDSHAKE && listener->transport == FMX_TRANSPORT_PLAIN) {
        fmx_count(&counters->tls_unwanted, 1);
        fmx_conn_abort(conn, FMX_TLS_UNWANTED, 0);
    } else if (first_byte == FMX_TLS_RECORD_HANDSHAKE) {
        begin_server(conn);
    } else if (listener->transport == FMX_TRANSPORT_TLS) {
        fmx_count(&counters->tls_wanted, 1);
        fmx_conn_abort(conn, FMX_TLS_WANTED, 0);
    }
    return conn->state == FMX_CONN_OPEN;
}

void fmx_conn_tls_on_peer_name(struct fmx_conn *conn, bool is_known)
{
    struct fmx_handshakes *handshakes = &conn->shard->handshakes;
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);

    if (conn->state >= FMX_CONN_ENDING) {
        return;
    }
    if (is_known && tls->name.sin6_family == AF_INET6 && !tls->is_asked_again) {
        tls->is_asked_again = true;
        fmx_conn_ask_peer_name(conn, &tls->name, true);
        return;
    }
    if (is_known) {
        tls->source = fmx_sources_take(&handshakes->sources, &tls->name,
                                       handshakes->limits.unfinished_per_address_max);
        if (tls->source == 0) {
            shed(conn);
            return;
        }
    }
    fmx_handshakes_queue(conn);
}

enum fmx_status fmx_conn_use_tls(struct fmx_conn *conn, struct fmx_tls_stream *stream)
{
    struct fmx_conn_tls *tls = fmx_handshakes_add(conn);

    if (tls == NULL || !fmx_handshakes_enter(conn)) {
        fmx_tls_stream_close(stream);
        fmx_conn_abort(conn, FMX_LIMIT_MEMORY, 0);
        return FMX_LIMIT_MEMORY;
    }
    tls->stream = stream;
    tls->phase = FMX_TLS_CONNECTING;
    return FMX_OK;
}

void fmx_conn_tls_begin(struct fmx_conn *conn)
{
    fmx_conn_tls_of(conn)->begun_ns = conn->shard->now_ns;
    fmx_handshakes_queue(conn);
}

/* ── time ── */

bool fmx_conn_tls_is_late(const struct fmx_conn *conn)
{
    return fmx_conn_tls_record_is_late(conn) ||
           (fmx_conn_tls_is_shaking(conn) && conn->session.side == FMX_SIDE_SERVER);
}
