/*
 * conn_recv — the way in: buffer → frames → packets → session → role, one call down the page each
 *
 * Why it is so:   packets are looked at where the kernel put them. Only what is torn between two
 *                 buffers, or must wait, is copied, into the connection's carry, and only the bytes
 *                 that really came: a declared length reserves nothing
 * Words:          carry: see above; ready: in the shard's list of connections whose carry may be
 *                 looked at again; a packet must wait while the role has not answered CONNECT, and
 *                 when its session has had its share of this turn
 * Invariants:     (1) bytes are looked at in the order in which they came: while the carry holds
 *                 whole packets that wait, everything new goes behind them
 *                 (2) a view dies when its callback returns: the buffer is given back right after
 *                 (3) receiving is armed while state is OPEN or ENDING, it is neither paused nor
 *                 starved, and the peer has not ended
 * Memory:         the carry, malloc, given back when empty
 * Threads:        owning shard only
 * Limits:         carry ≤ one packet of packet_bytes_max while whole packets flow; while they wait,
 *                 receiving is paused from CARRY_PAUSE_BYTES on, so TCP's window closes
 * Not here:       what packets mean: proto/session.c and the role
 */
#include "engine/conn_tls.h"
#include "engine/link.h"
#include "engine/shard.h"
#include "proto/decode.h"
#include "proto/limits.h"

#include <errno.h>

#define CARRY_PAUSE_BYTES  65536u
#define CONNECT_BYTES_MAX  262144u /* nobody is known yet */
#define CONNECT_FIRST_BYTE 0x10u

#define PUBACK_BYTES 4u /* without a reason */

/* Of a turn. A PUBACK costs little, and a session that waits for it could not be told more. */
#define PACKET_SHARE 8u
#define PUBACK_SHARE 1u
#define TURN_SHIFT   20u /* more shares than packets_per_turn_max ever allows */

/* ── arming ── */

void fmx_conn_arm_recv(struct fmx_conn *conn)
{
    struct fmx_ring *ring = conn->shard->ring;
    uint64_t tag = fmx_op_pack(FMX_OP_RECV, conn->slot.index, conn->slot.generation);
    uint32_t bytes_max = conn->has_link ? fmx_link_receive_max(conn) : 0;

    FMX_ASSERT(!conn->recv_armed);
    conn->recv_armed = true;
    conn->recv_cancelled = false;
    if (bytes_max > 0) {
        fmx_ring_prep_recv_once(ring, conn->file, bytes_max, tag);
    } else {
        fmx_ring_prep_recv(ring, conn->file, tag);
    }
}

static void pause_recv(struct fmx_conn *conn)
{
    fmx_count(&conn->shard->counters.receive_pauses, !conn->is_paused);
    conn->is_paused = true;
    if (conn->recv_armed && !conn->recv_cancelled) {
        conn->recv_cancelled = true;
        fmx_ring_prep_cancel(conn->shard->ring,
                             fmx_op_pack(FMX_OP_RECV, conn->slot.index, conn->slot.generation),
                             fmx_op_pack(FMX_OP_CANCEL, conn->slot.index, conn->slot.generation));
    }
}

/* If the cancelled receive is still in the kernel, its completion arms the next. */
static void resume_recv(struct fmx_conn *conn)
{
    conn->is_paused = false;
    fmx_conn_tls_listen_again(conn);
    if (!conn->recv_armed && !fmx_list_has(conn, FMX_LIST_STARVED) && !conn->peer_ended) {
        fmx_conn_arm_recv(conn);
    }
}

void fmx_conn_receive_rest(struct fmx_conn *conn)
{
    if (conn->is_paused) {
        resume_recv(conn);
    }
}

void fmx_conn_wait(struct fmx_conn *conn)
{
    conn->role_waits = true;
}

void fmx_conn_go_on(struct fmx_conn *conn)
{
    conn->role_waits = false;
    if (conn->state == FMX_CONN_OPEN) {
        fmx_conn_mark_ready(conn);
    }
}

static void mark_starved(struct fmx_conn *conn)
{
    fmx_count(&conn->shard->counters.buffers_starved, 1);
    fmx_ring_lend_more(conn->shard->ring);
    fmx_list_push(conn, FMX_LIST_STARVED);
}

void fmx_conn_mark_ready(struct fmx_conn *conn)
{
    fmx_list_push(conn, FMX_LIST_READY);
}

static bool append_carry(struct fmx_conn *conn, fmx_slice bytes)
{
    if (!fmx_carry_append(&conn->carry, bytes)) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return false;
    }
    return true;
}

/* ── packets ── */

static enum fmx_side peer_of(const struct fmx_conn *conn)
{
    return conn->session.side == FMX_SIDE_SERVER ? FMX_SIDE_CLIENT : FMX_SIDE_SERVER;
}

static size_t packet_bytes_max(const struct fmx_conn *conn)
{
    size_t max = conn->session.options->packet_bytes_max;
    bool unknown = conn->session.state == FMX_SESSION_EXPECT_CONNECT;

    return unknown && max > CONNECT_BYTES_MAX ? CONNECT_BYTES_MAX : max;
}

/* The engine keeps the bytes of an alias; the session only looks them up. */
static enum fmx_status keep_alias(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    struct fmx_alias_in *aliases = conn->session.aliases;
    fmx_slice old;

    if (aliases == NULL) {
        uint16_t capacity = conn->session.options->topic_alias_max;
        aliases = malloc(fmx_alias_in_bytes(capacity));
        if (aliases == NULL) {
            return FMX_LIMIT_MEMORY;
        }
        fmx_alias_in_init(aliases, capacity);
        conn->session.aliases = aliases;
    }
    uint8_t *copy = malloc(publish->topic.bytes);
    if (copy == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    memcpy(copy, publish->topic.data, publish->topic.bytes);
    fmx_slice owned = {.data = copy, .bytes = publish->topic.bytes};
    enum fmx_status status = fmx_alias_in_put(aliases, publish->props.topic_alias, owned, &old);
    free(status == FMX_OK ? (void *)old.data : copy);
    return status;
}

static void carry_out(struct fmx_conn *conn, struct fmx_packet *packet,
                      const struct fmx_actions *actions)
{
    if ((actions->todo & FMX_DO_DELIVER) != 0) {
        conn->shard->options->role->on_packet(conn, packet, actions->tag);
    }
    if ((actions->todo & FMX_DO_REPLY) != 0) {
        struct fmx_packet reply = {.kind = actions->reply};
        fmx_conn_send(conn, &reply);
    }
    if ((actions->todo & FMX_DO_CLOSE) != 0) {
        fmx_conn_note_kind(conn, packet->kind);
        fmx_conn_close(conn, actions->close_status);
    }
}

static bool is_short_puback(const struct fmx_frame *frame)
{
    return frame->head == FMX_PUBACK << 4 && frame->bytes == PUBACK_BYTES;
}

static void take_packet(struct fmx_conn *conn, const struct fmx_frame *frame)
{
    struct fmx_packet packet;
    struct fmx_actions actions;
    struct fmx_session *session = &conn->session;

    fmx_count(&conn->shard->counters.packets_in, 1);
    conn->turn_used += is_short_puback(frame) ? PUBACK_SHARE : PACKET_SHARE;
    enum fmx_status status =
        fmx_decode(frame, peer_of(conn), (enum fmx_version)session->version, &packet);
    if (status == FMX_OK && packet.kind == FMX_PUBLISH && session->state == FMX_SESSION_OPEN &&
        fmx_session_alias_is_new(&packet.publish)) {
        status = keep_alias(conn, &packet.publish);
    }
    if (status != FMX_OK) {
        if (session->state == FMX_SESSION_EXPECT_CONNECT && packet.kind == FMX_CONNECT) {
            fmx_session_on_version(session, packet.connect.version);
        }
        fmx_conn_note_kind(conn, frame->head >> 4);
        fmx_conn_close(conn, status);
        return;
    }
    fmx_session_on_packet(session, &packet, &actions);
    if (packet.kind == FMX_CONNACK && session->state == FMX_SESSION_OPEN) {
        fmx_conn_keep_alive(conn);
    }
    carry_out(conn, &packet, &actions);
}

/*
 * The shares of a turn are numbered from its number on, so that one field says of which turn they
 * are; one that stood still for 4,096 turns may wait a turn too long.
 */
static bool has_had_its_turn(struct fmx_conn *conn)
{
    uint32_t first = conn->shard->turn << TURN_SHIFT;

    if (conn->turn_used - first >= 1u << TURN_SHIFT) {
        conn->turn_used = first;
    }
    return conn->turn_used - first >= conn->shard->options->packets_per_turn_max * PACKET_SHARE;
}

/*
 * A server answers no more packets of a peer that does not take the answers: acknowledgements too
 * are bounded. A client goes on, or both ends might wait for each other.
 */
static bool answers_are_stuck(const struct fmx_conn *conn)
{
    return conn->session.side == FMX_SIDE_SERVER && !conn->is_mute &&
           conn->sendq.bytes >= 2ull * conn->shard->options->send_queue_bytes_max;
}

/*
 * Must whole packets wait? For the verdict on CONNECT, for room further on, for the others' turn.
 */
static bool must_wait(struct fmx_conn *conn)
{
    if (conn->session.state == FMX_SESSION_EXPECT_VERDICT || conn->role_waits) {
        return true; /* whoever lifts it marks us ready */
    }
    if (answers_are_stuck(conn)) {
        conn->out_waits = true; /* fmx_conn_on_sent marks us ready */
        return true;
    }
    if (has_had_its_turn(conn)) {
        fmx_conn_mark_ready(conn);
        return true;
    }
    return false;
}

static bool begins_like_mqtt(struct fmx_conn *conn, fmx_slice span)
{
    if (conn->session.state == FMX_SESSION_EXPECT_CONNECT && span.bytes > 0 &&
        span.data[0] != CONNECT_FIRST_BYTE) {
        fmx_conn_abort(conn, FMX_PEER_NOT_MQTT, 0);
        return false;
    }
    return true;
}

/* Of a connection that was accepted: its first byte says whether it speaks TLS. */
static bool is_undecided(const struct fmx_conn *conn)
{
    return conn->session.state == FMX_SESSION_EXPECT_CONNECT && conn->tls == 0 &&
           conn->carry == NULL;
}

/*
 * Of a packet that is not whole: what would be refused whatever its rest is, nobody waits for. One
 * that speaks another protocol may have said a length that never comes.
 */
static enum fmx_status look_at_head(const struct fmx_conn *conn, const struct fmx_frame *frame)
{
    const struct fmx_session *session = &conn->session;

    if (frame->bytes == 0) {
        return FMX_MORE; /* its length is not there yet */
    }
    enum fmx_status status =
        fmx_decode_head(frame, peer_of(conn), (enum fmx_version)session->version);
    if (status == FMX_OK) {
        status = fmx_session_on_head(session, (enum fmx_packet_kind)(frame->head >> 4));
    }
    return status == FMX_OK ? FMX_MORE : status;
}

/*
 * Takes packets off the front of `span` until it ends, a packet is not whole, must wait, or closes
 * the connection. Returns the bytes that were used up; `out_waits` says that whole packets are
 * left.
 */
static size_t take_packets(struct fmx_conn *conn, fmx_slice span, size_t *out_missing)
{
    struct fmx_frame frame;
    size_t used = 0;

    *out_missing = 0;
    while (conn->state == FMX_CONN_OPEN && used < span.bytes && !must_wait(conn)) {
        fmx_slice rest = {.data = span.data + used, .bytes = span.bytes - used};
        enum fmx_status status = fmx_frame_next(rest, packet_bytes_max(conn), &frame);
        if (status == FMX_MORE) {
            status = look_at_head(conn, &frame);
        }
        if (status == FMX_MORE) {
            *out_missing = frame.bytes > rest.bytes ? frame.bytes - rest.bytes : 1;
            break;
        }
        if (status != FMX_OK) {
            fmx_conn_note_kind(conn, rest.data[0] >> 4);
            fmx_conn_close(conn, status);
            break;
        }
        used += frame.bytes;
        take_packet(conn, &frame);
    }
    return used;
}

/* The carry first: completes its torn packet with as few of the new bytes as that needs. */
static fmx_slice feed_carry(struct fmx_conn *conn, fmx_slice span)
{
    while (conn->state == FMX_CONN_OPEN && fmx_carry_bytes(conn->carry) > 0) {
        size_t missing;
        size_t used = take_packets(conn, fmx_carry_span(conn->carry), &missing);
        fmx_carry_consume(&conn->carry, used);
        if (conn->carry == NULL || conn->state != FMX_CONN_OPEN || span.bytes == 0) {
            break;
        }
        /* whole packets wait: all that is new goes behind them */
        size_t taken = missing == 0 || missing > span.bytes ? span.bytes : missing;
        if (!append_carry(conn, (fmx_slice){.data = span.data, .bytes = taken})) {
            break;
        }
        span.data += taken;
        span.bytes -= taken;
        if (missing == 0) {
            break;
        }
    }
    return span;
}

void fmx_conn_feed(struct fmx_conn *conn, fmx_slice span)
{
    size_t missing;

    if (fmx_carry_bytes(conn->carry) > 0) {
        span = feed_carry(conn, span);
    }
    if (conn->state != FMX_CONN_OPEN || span.bytes == 0 || !begins_like_mqtt(conn, span)) {
        return;
    }
    size_t used = take_packets(conn, span, &missing);
    if (conn->state == FMX_CONN_OPEN && used < span.bytes) {
        if (missing > 0) {
            fmx_count(&conn->shard->counters.packets_torn, 1);
        }
        (void)append_carry(conn, (fmx_slice){.data = span.data + used, .bytes = span.bytes - used});
    }
}

/* Do whole packets lie in the carry, or records with a worker, to be looked at later? */
static bool has_waiting(const struct fmx_conn *conn)
{
    return conn->tls_waits ||
           (fmx_carry_bytes(conn->carry) > 0 &&
            (fmx_list_has(conn, FMX_LIST_READY) || conn->role_waits || conn->out_waits ||
             conn->session.state == FMX_SESSION_EXPECT_VERDICT));
}

/* Has all been looked at that the peer has said? */
static bool is_heard_out(const struct fmx_conn *conn)
{
    return !has_waiting(conn) && !(conn->has_link && fmx_link_holds_in(conn));
}

/* Too much waits to be looked at: let TCP's window close. */
static bool has_too_much(const struct fmx_conn *conn)
{
    return (has_waiting(conn) && fmx_carry_bytes(conn->carry) >= CARRY_PAUSE_BYTES) ||
           fmx_conn_tls_is_full(conn);
}

static void bound_carry(struct fmx_conn *conn)
{
    if (has_too_much(conn)) {
        pause_recv(conn);
    }
}

void fmx_conn_arrive(struct fmx_conn *conn, fmx_slice span)
{
    if (is_undecided(conn) && !fmx_conn_tls_decide(conn, span.data[0])) {
        return;
    }
    if (conn->tls != 0) {
        fmx_conn_tls_feed(conn, span);
    } else {
        conn->last_in_ns = conn->shard->now_ns;
        fmx_conn_feed(conn, span);
    }
}

static void take_through_link(struct fmx_conn *conn, fmx_slice span)
{
    if (fmx_link_let_in(conn, span)) {
        fmx_conn_arrive(conn, span);
    }
    if (fmx_link_holds_off(conn)) {
        pause_recv(conn);
    }
}

static void take_bytes(struct fmx_conn *conn, fmx_slice span)
{
    if (conn->has_link) {
        take_through_link(conn, span);
    } else {
        fmx_conn_arrive(conn, span);
    }
    bound_carry(conn);
}

void fmx_conn_on_ready(struct fmx_conn *conn)
{
    if (conn->state != FMX_CONN_OPEN) {
        return;
    }
    fmx_conn_feed(conn, (fmx_slice){0});
    if (conn->state != FMX_CONN_OPEN) {
        return;
    }
    if (conn->peer_ended && is_heard_out(conn)) {
        fmx_conn_abort(conn, fmx_conn_peer_end(conn), 0);
    } else if (conn->is_paused && !has_too_much(conn) &&
               !(conn->has_link && fmx_link_holds_off(conn))) {
        resume_recv(conn);
    }
}

/* ── completion ── */

void fmx_conn_on_peer_ended(struct fmx_conn *conn)
{
    if (conn->state == FMX_CONN_OPEN && !is_heard_out(conn)) {
        conn->peer_ended = true; /* what it said before still counts: fmx_conn_on_ready ends it */
    } else {
        fmx_conn_abort(conn, fmx_conn_peer_end(conn), 0);
    }
}

static void on_recv_ended(struct fmx_conn *conn, int32_t result)
{
    if (conn->state >= FMX_CONN_CLOSING) {
        fmx_conn_join(conn);
    } else if (result == -ENOBUFS) {
        mark_starved(conn);
    } else if (result > 0 || result == -ECANCELED) {
        if (!conn->is_paused || conn->state == FMX_CONN_ENDING) {
            fmx_conn_arm_recv(conn);
        }
    } else if (result == 0 || result == -ECONNRESET) {
        conn->was_reset = conn->was_reset || result < 0;
        if (conn->has_link) {
            fmx_link_end_in(conn);
        }
        fmx_conn_on_peer_ended(conn);
    } else {
        fmx_conn_abort(conn, FMX_SYS_RECV, -result);
    }
}

void fmx_conn_on_recv(struct fmx_conn *conn, const struct fmx_completion *completion)
{
    struct fmx_shard *shard = conn->shard;

    if (!completion->more) {
        conn->recv_armed = false; /* first: who pauses it then has nothing to cancel */
    }
    if (completion->buffer != FMX_RING_NO_BUFFER) {
        if (completion->result > 0 && conn->state == FMX_CONN_OPEN) {
            size_t bytes = (size_t)completion->result;
            fmx_count(&shard->counters.bytes_in, bytes);
            take_bytes(conn, (fmx_slice){.data = fmx_ring_buffer(shard->ring, completion->buffer),
                                         .bytes = bytes});
        }
        fmx_ring_give(shard->ring, completion->buffer);
    }
    if (!completion->more) {
        on_recv_ended(conn, completion->result);
    }
}
