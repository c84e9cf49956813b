/*
 * conn_send — the way out: encode → queue → one send in flight
 *
 * Why it is so:   TCP segments cost the most by far. All that a session has to say in one turn
 *                 leaves in one send at the turn's end, and what is said while that send is in
 *                 flight leaves as one more at its completion. Nothing waits longer than that for
 *                 company
 * Words:          dirty: has bytes queued and is in the shard's list for this turn's flush
 * Invariants:     (1) at most one send of a connection is in the kernel
 *                 (2) bytes in the kernel do not move or change until their completion
 *                 (3) every byte queued by the turn's end is in the kernel or behind a send that is
 * Memory:         blocks of the shard's pool
 * Threads:        owning shard only
 * Limits:         send_queue_bytes_max per session and shard_bytes_max per shard: fmx_conn_is_full
 *                 says so, and the role drops, queues or ends; answers are bounded by not taking
 *                 packets from a peer that does not take them: conn_recv.c
 * Not here:       what to do with a slow reader: roles/gateway.c
 */
#include "engine/conn_tls.h"
#include "engine/link.h"
#include "engine/shard.h"
#include "proto/encode.h"
#include "proto/limits.h"
#include "proto/reason.h"

#include <errno.h>

#define WINDOW_FIRST 8u

void fmx_conn_mark_dirty(struct fmx_conn *conn)
{
    if (!conn->is_dirty) {
        conn->is_dirty = true;
        conn->next_dirty = conn->shard->dirty;
        conn->shard->dirty = conn;
    }
}

/* Nobody will take it, and no send is in flight: nothing is queued that had to be bounded. */
static void drop_if_mute(struct fmx_conn *conn)
{
    if (conn->is_mute) {
        fmx_sendq_wipe(&conn->sendq, &conn->shard->pool);
    }
}

uint8_t *fmx_conn_reserve(struct fmx_conn *conn, size_t bytes)
{
    uint8_t *room = fmx_sendq_reserve(&conn->sendq, &conn->shard->pool, bytes);

    if (room == NULL) {
        fmx_conn_abort(conn, FMX_LIMIT_MEMORY, ENOMEM);
    }
    return room;
}

void fmx_conn_commit(struct fmx_conn *conn, size_t bytes)
{
    fmx_sendq_commit(&conn->sendq, bytes);
    fmx_count(&conn->shard->counters.packets_out, 1);
    fmx_conn_mark_dirty(conn);
    drop_if_mute(conn);
}

void fmx_conn_refer(struct fmx_conn *conn, struct fmx_payload *payload, fmx_slice bytes)
{
    if (!fmx_sendq_refer(&conn->sendq, &conn->shard->pool, payload, bytes)) {
        fmx_conn_abort(conn, FMX_LIMIT_MEMORY, ENOMEM);
    }
    drop_if_mute(conn);
}

void fmx_conn_send(struct fmx_conn *conn, const struct fmx_packet *packet)
{
    enum fmx_version version = (enum fmx_version)conn->session.version;

    if (conn->state != FMX_CONN_OPEN) {
        return;
    }
    size_t bytes = fmx_encode_bytes(packet, version);
    FMX_ASSERT(bytes > 0); /* roles send nothing that cannot be said */
    if (bytes > conn->session.peer_packet_bytes_max) {
        fmx_conn_abort(conn, FMX_E_TOO_LARGE, 0);
        return;
    }
    uint8_t *room = fmx_conn_reserve(conn, bytes);
    if (room != NULL) {
        fmx_conn_commit(conn, fmx_encode(packet, version, room));
    }
}

void fmx_conn_puback(struct fmx_conn *conn, uint16_t packet_id, uint8_t reason)
{
    bool has_reason = reason != 0 && conn->session.version == FMX_MQTT_50;
    size_t bytes = has_reason ? 5 : 4;

    if (conn->state != FMX_CONN_OPEN) {
        return;
    }
    conn->acks_due++;
    uint8_t *room = fmx_conn_reserve(conn, bytes);
    if (room == NULL) {
        return;
    }
    room[0] = FMX_PUBACK << 4;
    room[1] = (uint8_t)(bytes - 2);
    room[2] = (uint8_t)(packet_id >> 8);
    room[3] = (uint8_t)packet_id;
    if (has_reason) {
        room[4] = reason;
    }
    fmx_count(&conn->shard->counters.pubacks_out, 1);
    fmx_conn_commit(conn, bytes);
}

void fmx_conn_puback_saying(struct fmx_conn *conn, uint16_t packet_id, uint8_t reason,
                            fmx_slice words)
{
    struct fmx_packet puback = {.kind = FMX_PUBACK,
                                .ack = {.packet_id = packet_id, .reason = reason}};

    if (conn->state != FMX_CONN_OPEN || conn->session.version != FMX_MQTT_50 ||
        !conn->session.problem_info || reason == 0) {
        fmx_conn_puback(conn, packet_id, reason);
        return;
    }
    puback.ack.props.present = FMX_PROP_BIT(FMX_PROP_REASON_STRING);
    puback.ack.props.reason_string = words;
    if (fmx_encode_bytes(&puback, FMX_MQTT_50) > conn->session.peer_packet_bytes_max) {
        fmx_conn_puback(conn, packet_id, reason);
        return;
    }
    conn->acks_due++;
    fmx_count(&conn->shard->counters.pubacks_out, 1);
    fmx_conn_send(conn, &puback);
}

void fmx_conn_admit(struct fmx_conn *conn, bool session_present, fmx_slice assigned)
{
    struct fmx_packet connack;

    if (conn->state != FMX_CONN_OPEN) {
        return;
    }
    fmx_session_admit(&conn->session, session_present, assigned, &connack);
    fmx_conn_send(conn, &connack);
    if (conn->state != FMX_CONN_OPEN) {
        return;
    }
    fmx_conn_keep_alive(conn);
    fmx_conn_mark_ready(conn);
}

/* What is sealed counts only while a link keeps it back: the kernel takes the rest. */
static uint64_t queued_bytes(const struct fmx_conn *conn)
{
    uint32_t sealed = conn->has_link && conn->tls != 0 ? fmx_link_held_out(conn) : 0;

    return (uint64_t)conn->sendq.bytes + sealed;
}

bool fmx_conn_is_full(struct fmx_conn *conn)
{
    bool is_over = queued_bytes(conn) >= conn->shard->options->send_queue_bytes_max;

    if (conn->is_mute ||
        (!is_over && (conn->sendq.bytes == 0 || !fmx_shard_is_full(conn->shard)))) {
        return false;
    }
    conn->was_full = true;
    return true;
}

bool fmx_window_grow(struct fmx_inflight *window)
{
    uint32_t capacity = window->capacity == 0 ? WINDOW_FIRST : window->capacity * 2u;
    uint64_t *storage = capacity > FMX_INFLIGHT_MAX ? NULL : malloc(capacity * sizeof(*storage));

    if (storage == NULL) {
        return false;
    }
    uint64_t *old = window->tags;
    fmx_inflight_move(window, storage, capacity);
    free(old);
    return true;
}

bool fmx_window_restore(struct fmx_inflight *window, uint16_t id, uint64_t tag)
{
    enum fmx_status status = fmx_inflight_restore(window, id, tag);

    while (status == FMX_FULL && fmx_window_grow(window)) {
        status = fmx_inflight_restore(window, id, tag);
    }
    return status == FMX_OK;
}

bool fmx_conn_make_window(struct fmx_conn *conn)
{
    struct fmx_inflight *out = &conn->session.out;

    if (fmx_session_window_left(&conn->session) == 0) {
        return false;
    }
    return fmx_inflight_has_room(out) || fmx_window_grow(out);
}

/*
 * What the peer cannot have heard yet does not count: whoever has more in flight than Receive
 * Maximum before its first PUBACK leaves is over it.
 */
static void settle_acks(struct fmx_conn *conn)
{
    for (; conn->acks_due > 0; conn->acks_due--) {
        fmx_session_acknowledged(&conn->session);
    }
}

/* Nobody takes it any more. */
static void wipe_queues(struct fmx_conn *conn)
{
    fmx_sendq_wipe(&conn->sendq, &conn->shard->pool);
    fmx_sendq_wipe(fmx_conn_wire(conn), &conn->shard->pool);
    fmx_conn_tls_forget_end(conn);
    if (conn->has_link) {
        fmx_link_drop_out(conn);
    }
}

void fmx_conn_flush(struct fmx_conn *conn)
{
    struct iovec parts[FMX_RING_PARTS_MAX];
    struct fmx_sendq *wire = fmx_conn_wire(conn);
    size_t bytes;

    if (conn->is_mute) {
        settle_acks(conn);
        wipe_queues(conn);
        fmx_conn_join(conn);
        return;
    }
    if (wire->sending > 0 || conn->state > FMX_CONN_ENDING || conn->state < FMX_CONN_OPEN ||
        (conn->state == FMX_CONN_ENDING && conn->abrupt)) {
        return;
    }
    if ((conn->tls != 0 && !fmx_conn_tls_seal(conn)) || wire->bytes == 0) {
        return;
    }
    unsigned count = fmx_sendq_parts(wire, parts, FMX_RING_PARTS_MAX, &bytes);
    if (conn->has_link && (count = fmx_link_let_out(conn, parts, count, &bytes)) == 0) {
        return;
    }
    settle_acks(conn);
    wire->sending = (uint32_t)bytes;
    fmx_ring_prep_send(conn->shard->ring, conn->file, parts, count,
                       fmx_op_pack(FMX_OP_SEND, conn->slot.index, conn->slot.generation));
}

/* The queue has drained: whoever waited for room goes on. */
static void release_waits(struct fmx_conn *conn)
{
    const struct fmx_shard_options *options = conn->shard->options;

    if (conn->state != FMX_CONN_OPEN) {
        return;
    }
    if (conn->out_waits && (conn->is_mute || conn->sendq.bytes <= options->send_queue_bytes_max)) {
        conn->out_waits = false;
        fmx_conn_mark_ready(conn);
    }
    if (conn->was_full && queued_bytes(conn) <= options->send_queue_bytes_max / 4) {
        conn->was_full = false;
        options->role->on_writable(conn);
    }
}

/*
 * The peer takes nothing more, but what it said before may not have been looked at yet: the end of
 * receiving ends the connection.
 */
static void on_send_failed(struct fmx_conn *conn, int sys_errno)
{
    bool is_reset = sys_errno == ECONNRESET || sys_errno == EPIPE;

    /* the system says it once; EPIPE beside no ECONNRESET answers what we sent behind its FIN */
    conn->was_reset = conn->was_reset || sys_errno == ECONNRESET;
    if (is_reset && conn->state == FMX_CONN_OPEN) {
        conn->is_mute = true;
        wipe_queues(conn);
        release_waits(conn);
    } else {
        fmx_conn_abort(conn, is_reset ? fmx_conn_peer_end(conn) : FMX_SYS_SEND, sys_errno);
    }
}

void fmx_conn_on_sent(struct fmx_conn *conn, int32_t result)
{
    struct fmx_shard *shard = conn->shard;
    struct fmx_sendq *wire = fmx_conn_wire(conn);

    FMX_ASSERT(wire->sending > 0);
    wire->sending = 0;
    if (result < 0) {
        on_send_failed(conn, -result);
        return;
    }
    fmx_count(&shard->counters.sends, 1);
    fmx_count(&shard->counters.bytes_out, (uint64_t)result);
    if (conn->has_link) {
        fmx_link_sent(conn, (uint32_t)result);
    } else {
        conn->last_out_ns = shard->now_ns;
    }
    fmx_sendq_consume(wire, &shard->pool, (size_t)result);
    if (wire->bytes > 0 || conn->sendq.bytes > 0 || fmx_conn_tls_has_end_due(conn)) {
        fmx_conn_mark_dirty(conn);
    }
    release_waits(conn);
    fmx_conn_join(conn);
}
