/*
 * conn_records — records of a connection with TLS, both ways: bytes ⇄ plaintext
 *
 * Why it is so:   a stream that is given part of a record reserves room for all of it, so a peer
 *                 could hold 20 KB with six bytes. Parts are kept here, and cost what was sent
 * Words:          record: record.h; wire: the queue of sealed bytes
 * Invariants:     (1) a stream is given whole records only, in the order in which they came
 *                 (2) what is sealed is never more than a send ahead of the kernel
 *                 (3) close_notify is the last thing said
 * Memory:         what is carried and what is sealed; the plaintext of one record at a time lies in
 *                 the shard's one buffer
 * Threads:        owning shard only
 * Limits:         SEAL_BYTES_MAX; partial_record_timeout_ms, while we listen
 * Not here:       handshakes: conn_tls.c; what bytes mean: tls/
 */
#include "engine/conn_tls.h"

#include "engine/link.h"
#include "engine/shard.h"
#include "proto/limits.h"
#include "tls/record.h"

#define SEAL_BYTES_MAX 65536u /* of one send */

/* ── out ── */

static bool write_wire(void *user, fmx_slice records)
{
    struct fmx_conn *conn = user;
    struct fmx_sendq *wire = &fmx_conn_tls_of(conn)->wire;

    if (conn->is_mute || records.bytes == 0) {
        return true;
    }
    uint8_t *room = fmx_sendq_reserve(wire, &conn->shard->pool, records.bytes);
    if (room == NULL) {
        return false;
    }
    memcpy(room, records.data, records.bytes);
    fmx_sendq_commit(wire, records.bytes);
    fmx_conn_mark_dirty(conn);
    return true;
}

struct fmx_tls_sink fmx_conn_tls_sink(struct fmx_conn *conn)
{
    return (struct fmx_tls_sink){.write = write_wire, .user = conn};
}

/* The first bytes of the queue: no more than one send. */
static unsigned parts_to_seal(const struct fmx_conn *conn, struct iovec *parts, size_t *out_bytes)
{
    unsigned count = fmx_sendq_parts(&conn->sendq, parts, FMX_RING_PARTS_MAX, out_bytes);

    return fmx_sendq_cut(parts, count, SEAL_BYTES_MAX, out_bytes);
}

/* Is as much sealed as goes into one send? What waits in a link does not count. */
static bool is_enough_sealed(const struct fmx_conn *conn)
{
    uint32_t held = conn->has_link ? fmx_link_held_out(conn) : 0;

    return fmx_conn_tls_of(conn)->wire.bytes - held >= SEAL_BYTES_MAX;
}

bool fmx_conn_tls_seal(struct fmx_conn *conn)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    struct fmx_tls_sink sink = fmx_conn_tls_sink(conn);
    struct iovec parts[FMX_RING_PARTS_MAX];
    size_t bytes;

    if (tls->phase != FMX_TLS_OPEN || is_enough_sealed(conn)) {
        return true;
    }
    unsigned count = parts_to_seal(conn, parts, &bytes);
    if (count > 0) {
        enum fmx_status status = fmx_tls_seal(tls->stream, parts, count, &sink);
        if (status != FMX_OK) {
            fmx_conn_abort(conn, status, 0);
            return false;
        }
        fmx_sendq_consume(&conn->sendq, &conn->shard->pool, bytes);
    }
    if (tls->end_is_due && conn->sendq.bytes == 0) {
        tls->end_is_due = false;
        tls->end_is_said = true;
        fmx_tls_end(tls->stream, &sink);
    }
    return true;
}

/* ── in ── */

enum fmx_status fmx_conn_tls_measure(fmx_slice span, size_t *out_bytes, uint32_t *out_count)
{
    size_t record_bytes;
    enum fmx_status status = FMX_MORE;

    *out_bytes = 0;
    *out_count = 0;
    while (*out_bytes < span.bytes) {
        fmx_slice rest = {.data = span.data + *out_bytes, .bytes = span.bytes - *out_bytes};
        status = fmx_tls_record_next(rest, &record_bytes);
        if (status != FMX_OK) {
            break;
        }
        *out_bytes += record_bytes;
        ++*out_count;
    }
    return status < 0 ? status : FMX_OK;
}

bool fmx_conn_tls_hold(struct fmx_conn *conn, fmx_slice bytes)
{
    if (!fmx_carry_append(&fmx_conn_tls_of(conn)->records, bytes)) {
        fmx_conn_abort(conn, FMX_LIMIT_MEMORY, 0);
        return false;
    }
    return true;
}

void fmx_conn_tls_open(struct fmx_conn *conn, fmx_slice records)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    struct fmx_tls_sink sink = fmx_conn_tls_sink(conn);
    uint8_t *plaintext = conn->shard->handshakes.plaintext;
    enum fmx_status status = FMX_OK;
    size_t bytes;

    while (status == FMX_OK && conn->state == FMX_CONN_OPEN) {
        status = fmx_tls_take(tls->stream, &records, plaintext, FMX_TLS_PLAINTEXT_BYTES_MAX, &bytes,
                              &sink);
        if (status == FMX_OK && bytes > 0) {
            conn->last_in_ns = conn->shard->now_ns;
            fmx_conn_feed(conn, (fmx_slice){.data = plaintext, .bytes = bytes});
        }
    }
    if (conn->state != FMX_CONN_OPEN) {
        return;
    }
    if (status == FMX_END) {
        fmx_conn_on_peer_ended(conn);
    } else if (status < 0) {
        fmx_conn_tls_fail(conn, status);
    }
}

static void note_partial(struct fmx_conn *conn)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);

    if (tls->records == NULL) {
        tls->waiting_ns = 0;
    } else if (tls->waiting_ns == 0) {
        tls->waiting_ns = conn->shard->now_ns;
        fmx_conn_tls_arm(conn);
    }
}

/* Completes the record that is held with as few of the new bytes as that needs. */
static bool complete_record(struct fmx_conn *conn, fmx_slice *span)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    size_t wanted;

    while (tls->records != NULL && span->bytes > 0) {
        enum fmx_status status = fmx_tls_record_next(fmx_carry_span(tls->records), &wanted);
        if (status < 0) {
            fmx_conn_tls_fail(conn, status);
            return false;
        }
        FMX_ASSERT(status == FMX_MORE);
        size_t missing = wanted - fmx_carry_bytes(tls->records);
        size_t taken = missing < span->bytes ? missing : span->bytes;
        if (!fmx_conn_tls_hold(conn, (fmx_slice){.data = span->data, .bytes = taken})) {
            return false;
        }
        span->data += taken;
        span->bytes -= taken;
        if (fmx_tls_record_next(fmx_carry_span(tls->records), &wanted) == FMX_OK) {
            struct fmx_carry *whole = tls->records;
            tls->records = NULL;
            tls->waiting_ns = 0; /* the next one has its own time */
            fmx_conn_tls_open(conn, fmx_carry_span(whole));
            fmx_carry_drop(&whole);
        }
    }
    return conn->state == FMX_CONN_OPEN;
}

void fmx_conn_tls_feed_open(struct fmx_conn *conn, fmx_slice span)
{
    size_t whole_bytes;
    uint32_t count;

    if (!complete_record(conn, &span) || span.bytes == 0) {
        note_partial(conn);
        return;
    }
    enum fmx_status status = fmx_conn_tls_measure(span, &whole_bytes, &count);
    if (whole_bytes > 0) {
        fmx_conn_tls_open(conn, (fmx_slice){.data = span.data, .bytes = whole_bytes});
    }
    if (conn->state != FMX_CONN_OPEN) {
        return;
    }
    if (status < 0) {
        fmx_conn_tls_fail(conn, status);
    } else if (fmx_conn_tls_hold(conn, (fmx_slice){.data = span.data + whole_bytes,
                                                   .bytes = span.bytes - whole_bytes})) {
        note_partial(conn);
    }
}

/* ── time ── */

static uint64_t record_deadline_ns(const struct fmx_conn *conn)
{
    const struct fmx_handshakes *handshakes = &conn->shard->handshakes;

    return fmx_conn_tls_of(conn)->waiting_ns +
           handshakes->limits.partial_record_timeout_ms * FMX_NS_PER_MS;
}

static bool has_partial(const struct fmx_conn *conn)
{
    return conn->tls != 0 && fmx_conn_tls_of(conn)->phase == FMX_TLS_OPEN &&
           fmx_conn_tls_of(conn)->waiting_ns != 0;
}

bool fmx_conn_tls_record_is_late(const struct fmx_conn *conn)
{
    return has_partial(conn) && !conn->is_paused && conn->shard->now_ns >= record_deadline_ns(conn);
}

void fmx_conn_tls_arm(struct fmx_conn *conn)
{
    if (has_partial(conn) && !conn->is_paused && conn->session.state == FMX_SESSION_OPEN &&
        (!fmx_timer_is_armed(&conn->timer) || conn->timer.due_ns > record_deadline_ns(conn))) {
        fmx_conn_arm(conn, record_deadline_ns(conn));
    }
}

void fmx_conn_tls_listen_again(struct fmx_conn *conn)
{
    if (has_partial(conn)) {
        fmx_conn_tls_of(conn)->waiting_ns = conn->shard->now_ns;
        fmx_conn_tls_arm(conn);
    }
}
