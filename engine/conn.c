/*
 * conn — one connection: its states, open and close, who still holds it
 *
 * Why it is so:   with completions the hard part is the end: the kernel may still hold a receive, a
 *                 send or a connect of a connection that everyone else is done with. So closing is
 *                 three small steps: mark (fmx_conn_close), join (fmx_conn_join, until nothing is
 *                 in the kernel) and release (at the turn's end), and none of them frees what the
 *                 other still reads
 * Words:          cause: why it ended, the first reason counts; hold: the role keeps the slot
 * Invariants:     (1) state only grows, by enter_state (2) on_close is called exactly once, from
 *                 the turn, never from inside another callback (3) in CLOSED nothing of it is in
 *                 the kernel (4) the slot is freed only in CLOSED, in no list, and not held
 * States:         drawn in conn.h
 *                 OPENING → OPEN      on_connected
 *                 any → ENDING        fmx_conn_close, fmx_conn_abort
 *                 ENDING → CLOSING fmx_conn_join (drained, or abrupt), fmx_conn_on_timer (time is
 *                 up) CLOSING → CLOSED on_closed
 * Memory:         the slot; carry, window storage and aliases, released with it
 * Threads:        owning shard only
 * Limits:         a peer that does not take what is queued, or does not close after us, is waited
 *                 for END_WAIT_NS
 * Not here:       bytes in: conn_recv.c; bytes out: conn_send.c; what a session means: roles/
 */
#include "engine/conn_tls.h"
#include "engine/link.h"
#include "engine/shard.h"
#include "proto/limits.h"

#include <errno.h>

#define END_WAIT_NS FMX_NS_PER_S

struct fmx_session_id fmx_conn_id(const struct fmx_conn *conn)
{
    return fmx_session_id_pack(conn->shard->index, conn->slot.index, conn->slot.generation);
}

static uint64_t tag_of(const struct fmx_conn *conn, enum fmx_op op)
{
    return fmx_op_pack(op, conn->slot.index, conn->slot.generation);
}

static const struct fmx_role *role_of(const struct fmx_conn *conn)
{
    return conn->shard->options->role;
}

static void enter_state(struct fmx_conn *conn, enum fmx_conn_state state)
{
    FMX_ASSERT(state > (enum fmx_conn_state)conn->state);
    conn->state = (uint8_t)state;
}

void fmx_conn_arm(struct fmx_conn *conn, uint64_t due_ns)
{
    fmx_wheel_arm(&conn->shard->wheel, &conn->timer, due_ns);
}

void fmx_conn_arm_end(struct fmx_conn *conn, uint64_t from_ns)
{
    fmx_conn_arm(conn, from_ns + END_WAIT_NS);
}

/* ── open ── */

static struct fmx_conn *take_slot(struct fmx_shard *shard)
{
    struct fmx_conn *conn = fmx_slab_take(&shard->conns);

    if (conn != NULL) {
        conn->shard = shard;
        conn->timer.kind = FMX_TIMER_CONN;
        conn->last_in_ns = conn->last_out_ns = shard->now_ns;
        fmx_session_init(&conn->session, shard->options->role->side, shard->options->session);
        fmx_count(&shard->counters.connections_now, 1);
    }
    return conn;
}

void fmx_conn_accept(struct fmx_shard *shard, uint32_t listener, uint32_t file)
{
    struct fmx_conn *conn = shard->stopping ? NULL : take_slot(shard);

    if (conn == NULL) {
        fmx_count(&shard->counters.accepts_shed, 1);
        fmx_ring_prep_close(shard->ring, file, fmx_op_pack(FMX_OP_CLOSE_ORPHAN, 0, 0));
        return;
    }
    fmx_count(&shard->counters.accepts, 1);
    conn->file = file;
    conn->listener = (uint8_t)listener;
    enter_state(conn, FMX_CONN_OPEN);
    fmx_conn_arm(conn, shard->now_ns + shard->options->connect_timeout_ns);
    fmx_conn_arm_recv(conn);
    role_of(conn)->on_open(conn);
}

enum fmx_status fmx_conn_dial(struct fmx_shard *shard, const struct sockaddr *target,
                              socklen_t target_bytes, const struct sockaddr *source,
                              socklen_t source_bytes, bool linger_zero, uint64_t deadline_ns,
                              struct fmx_conn **out_conn, int *out_errno)
{
    *out_errno = 0;
    struct fmx_conn *conn = take_slot(shard);
    if (conn == NULL) {
        return FMX_LIMIT_SESSIONS;
    }
    conn->file = conn->slot.index; /* dialled sockets lie where their slots do */
    enum fmx_status status = fmx_ring_open_socket(shard->ring, conn->file, target->sa_family,
                                                  source, source_bytes, linger_zero, out_errno);
    if (status != FMX_OK) {
        fmx_count(&shard->counters.dials_failed, 1);
        fmx_count_down(&shard->counters.connections_now, 1);
        fmx_slab_give(&shard->conns, conn);
        return status;
    }
    fmx_count(&shard->counters.dials, 1);
    conn->opening = true;
    conn->linger_zero = linger_zero;
    fmx_conn_arm(conn, deadline_ns);
    fmx_ring_prep_connect(shard->ring, conn->file, target, target_bytes,
                          tag_of(conn, FMX_OP_CONNECT));
    *out_conn = conn;
    return FMX_OK;
}

static void on_connected(struct fmx_conn *conn, int32_t result)
{
    conn->opening = false;
    if (conn->state != FMX_CONN_OPENING) {
        fmx_conn_join(conn);
        return;
    }
    if (result < 0) {
        fmx_count(&conn->shard->counters.dials_failed, 1);
        fmx_conn_abort(conn, FMX_SYS_CONNECT, -result);
        return;
    }
    enter_state(conn, FMX_CONN_OPEN);
    conn->last_in_ns = conn->last_out_ns = conn->shard->now_ns;
    fmx_conn_arm_recv(conn);
    if (conn->tls != 0) {
        fmx_conn_tls_begin(conn);
    } else {
        role_of(conn)->on_open(conn);
    }
}

/* ── mark ── */

static void mark_ended(struct fmx_conn *conn, enum fmx_status cause, int sys_errno)
{
    FMX_ASSERT(cause < 0);
    enter_state(conn, FMX_CONN_ENDING);
    conn->cause = (int16_t)cause;
    conn->sys_errno = (int16_t)sys_errno;
    fmx_list_push(conn, FMX_LIST_ENDED);
}

void fmx_conn_close(struct fmx_conn *conn, enum fmx_status cause)
{
    fmx_conn_close_saying(conn, cause, (fmx_slice){0});
}

void fmx_conn_close_saying(struct fmx_conn *conn, enum fmx_status cause, fmx_slice words)
{
    struct fmx_packet goodbye;

    if (conn->state >= FMX_CONN_ENDING) {
        return;
    }
    bool was_open = conn->state == FMX_CONN_OPEN && !fmx_conn_tls_is_shaking(conn);
    if (fmx_session_end(&conn->session, cause, words, &goodbye) && was_open) {
        fmx_conn_send(conn, &goodbye);
    }
    if (conn->state >= FMX_CONN_ENDING) {
        return; /* even the goodbye found no memory */
    }
    conn->abrupt = !was_open || conn->linger_zero;
    mark_ended(conn, cause, 0);
}

void fmx_conn_end(struct fmx_conn *conn, enum fmx_status cause)
{
    struct fmx_packet unsaid;

    if (conn->state >= FMX_CONN_ENDING) {
        return;
    }
    (void)fmx_session_end(&conn->session, cause, (fmx_slice){0}, &unsaid);
    conn->abrupt = conn->linger_zero;
    mark_ended(conn, cause, 0);
}

void fmx_conn_abort(struct fmx_conn *conn, enum fmx_status cause, int sys_errno)
{
    struct fmx_packet unsent;

    conn->abrupt = true;
    if (conn->state >= FMX_CONN_ENDING) {
        fmx_conn_join(conn);
        return;
    }
    (void)fmx_session_end(&conn->session, cause, (fmx_slice){0}, &unsent);
    mark_ended(conn, cause, sys_errno);
}

static _Atomic uint64_t *cause_counter(struct fmx_conn *conn)
{
    struct fmx_counters *counters = &conn->shard->counters;

    switch (fmx_status_class(conn->cause)) {
    case FMX_CLASS_LOCAL:
        return &counters->closed_local;
    case FMX_CLASS_LIMIT:
        return &counters->closed_limit;
    case FMX_CLASS_SYSTEM:
        return &counters->closed_system;
    default:
        return &counters->closed_peer;
    }
}

/* From the turn: the role hears of the end, then what is queued may leave. */
void fmx_conn_report_close(struct fmx_conn *conn)
{
    FMX_ASSERT(conn->state >= FMX_CONN_ENDING && !conn->close_reported);
    conn->close_reported = true;
    fmx_count(cause_counter(conn), 1);
    role_of(conn)->on_close(conn);
    fmx_conn_tls_end(conn);
    fmx_conn_arm_end(conn, conn->shard->now_ns);
    if (conn->has_link) {
        fmx_link_end_out(conn);
    }
    fmx_conn_mark_dirty(conn);
    if (!conn->abrupt) {
        fmx_conn_receive_rest(conn);
    }
    fmx_conn_join(conn);
}

/* ── join ── */

static bool is_quiet_end(struct fmx_conn *conn)
{
    const struct fmx_sendq *wire = fmx_conn_wire(conn);

    return wire->sending == 0 && wire->bytes == 0 && conn->sendq.bytes == 0 &&
           !fmx_conn_tls_has_end_due(conn) && !(conn->has_link && fmx_link_holds_end(conn));
}

static void enter_closing(struct fmx_conn *conn)
{
    struct fmx_ring *ring = conn->shard->ring;

    enter_state(conn, FMX_CONN_CLOSING);
    if (conn->recv_armed && !conn->recv_cancelled) {
        conn->recv_cancelled = true;
        fmx_ring_prep_cancel(ring, tag_of(conn, FMX_OP_RECV), tag_of(conn, FMX_OP_CANCEL));
    }
    if (fmx_conn_wire(conn)->sending > 0) {
        fmx_ring_prep_cancel(ring, tag_of(conn, FMX_OP_SEND), tag_of(conn, FMX_OP_CANCEL));
    }
    if (conn->opening) {
        fmx_ring_prep_cancel(ring, tag_of(conn, FMX_OP_CONNECT), tag_of(conn, FMX_OP_CANCEL));
    }
}

/*
 * Our end is shut and the peer's is waited for: closing with unread bytes would reset the
 * connection and take with it what has just been sent. A peer that has said DISCONNECT closes by
 * itself.
 */
static bool waits_for_peer(struct fmx_conn *conn)
{
    if (conn->cause == FMX_PEER_DISCONNECT ||
        !(conn->recv_armed || fmx_list_has(conn, FMX_LIST_STARVED))) {
        return false;
    }
    if (!conn->is_shut) {
        conn->is_shut = true;
        conn->shutting = true;
        fmx_ring_prep_shutdown(conn->shard->ring, conn->file, tag_of(conn, FMX_OP_SHUTDOWN));
    }
    return true;
}

/* Or with a worker, who is no quicker to let go. */
static bool is_in_kernel(struct fmx_conn *conn)
{
    return conn->recv_armed || fmx_conn_wire(conn)->sending > 0 || conn->opening ||
           conn->shutting || conn->naming || conn->closing || conn->tls_waits;
}

/* Goes as far towards CLOSED as the kernel lets it; called whenever one of its holds ends. */
void fmx_conn_join(struct fmx_conn *conn)
{
    if (conn->state < FMX_CONN_ENDING || !conn->close_reported) {
        return;
    }
    if (conn->state == FMX_CONN_ENDING) {
        if (!conn->abrupt && (!is_quiet_end(conn) || waits_for_peer(conn))) {
            return;
        }
        enter_closing(conn);
    }
    if (conn->state == FMX_CONN_CLOSING && !is_in_kernel(conn)) {
        conn->closing = true;
        fmx_ring_prep_close(conn->shard->ring, conn->file, tag_of(conn, FMX_OP_CLOSE));
    }
}

/* ── the peer's name ── */

void fmx_conn_ask_peer_name(struct fmx_conn *conn, struct sockaddr_in6 *name, bool is_long)
{
    size_t bytes = is_long ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    conn->naming = true;
    fmx_ring_prep_peer_name(conn->shard->ring, conn->file, name, (uint32_t)bytes,
                            tag_of(conn, FMX_OP_PEER_NAME));
}

static void on_peer_name(struct fmx_conn *conn, int32_t result)
{
    conn->naming = false;
    if (fmx_conn_tls_is_shaking(conn)) {
        fmx_conn_tls_on_peer_name(conn, result > 0);
    } else {
        role_of(conn)->on_peer_name(conn, result > 0);
    }
    fmx_conn_join(conn);
}

/* ── release ── */

static void offer_slot(struct fmx_conn *conn)
{
    if (conn->state == FMX_CONN_CLOSED && !conn->role_holds) {
        fmx_list_push(conn, FMX_LIST_CLOSED);
    }
}

static void on_closed(struct fmx_conn *conn)
{
    FMX_ASSERT(conn->closing && !conn->recv_armed && fmx_conn_wire(conn)->sending == 0);
    conn->closing = false;
    enter_state(conn, FMX_CONN_CLOSED);
    fmx_wheel_disarm(&conn->shard->wheel, &conn->timer);
    fmx_sendq_wipe(&conn->sendq, &conn->shard->pool);
    fmx_conn_tls_closed(conn);
    if (conn->has_link) {
        fmx_link_close(conn);
    }
    fmx_count_down(&conn->shard->counters.connections_now, 1);
    offer_slot(conn);
}

void fmx_conn_hold(struct fmx_conn *conn)
{
    conn->role_holds = true;
}

void fmx_conn_unhold(struct fmx_conn *conn)
{
    conn->role_holds = false;
    offer_slot(conn);
}

static void release_aliases(struct fmx_conn *conn)
{
    struct fmx_alias_in *aliases = conn->session.aliases;

    for (uint16_t i = 0; aliases != NULL && i < aliases->capacity; i++) {
        free((void *)aliases->topics[i].data);
    }
    free(aliases);
}

void fmx_conn_release(struct fmx_conn *conn)
{
    FMX_ASSERT(conn->state == FMX_CONN_CLOSED && !conn->role_holds);
    FMX_ASSERT(!conn->is_dirty && !fmx_list_has_any(conn));
    role_of(conn)->on_release(conn);
    release_aliases(conn);
    free(conn->session.out.tags);
    fmx_carry_drop(&conn->carry);
    fmx_conn_tls_release(conn);
    fmx_slab_give(&conn->shard->conns, conn);
}

/* ── events ── */

/*
 * A second look at the clock of a session that is open: PINGREQ, the end, and when to look again.
 */
static void look_at_time(struct fmx_conn *conn)
{
    struct fmx_actions actions;
    uint64_t now_ns = conn->shard->now_ns;
    uint64_t last_in_ns = conn->is_paused ? now_ns : conn->last_in_ns; /* we do not listen */
    uint64_t again_ns =
        fmx_session_on_time(&conn->session, now_ns, last_in_ns, conn->last_out_ns, &actions);

    if ((actions.todo & FMX_DO_REPLY) != 0) {
        struct fmx_packet ping = {.kind = actions.reply};
        fmx_conn_send(conn, &ping);
    }
    if ((actions.todo & FMX_DO_CLOSE) != 0) {
        fmx_conn_close(conn, actions.close_status);
    } else if (again_ns != UINT64_MAX) {
        fmx_conn_arm(conn, again_ns);
    }
    fmx_conn_tls_arm(conn);
}

void fmx_conn_keep_alive(struct fmx_conn *conn)
{
    FMX_ASSERT(conn->session.state == FMX_SESSION_OPEN);
    fmx_wheel_disarm(&conn->shard->wheel, &conn->timer);
    conn->last_out_ns = conn->shard->now_ns;
    look_at_time(conn);
}

static void on_open_timer(struct fmx_conn *conn)
{
    if (fmx_conn_tls_is_late(conn)) {
        fmx_count(&conn->shard->counters.tls_timeout, 1);
        fmx_conn_abort(conn, FMX_TLS_TIMEOUT, 0);
        return;
    }
    switch ((enum fmx_session_state)conn->session.state) {
    case FMX_SESSION_EXPECT_CONNECT:
        fmx_conn_close(conn, FMX_PEER_CONNECT_TIMEOUT);
        break;
    case FMX_SESSION_EXPECT_VERDICT:
        fmx_conn_close(conn, FMX_LIMIT_BUSY);
        break;
    case FMX_SESSION_EXPECT_START:
    case FMX_SESSION_EXPECT_CONNACK:
        fmx_conn_close(conn, FMX_PEER_SILENT);
        break;
    case FMX_SESSION_OPEN:
        look_at_time(conn);
        break;
    case FMX_SESSION_ENDED:
        break;
    }
}

void fmx_conn_on_timer(struct fmx_conn *conn)
{
    switch ((enum fmx_conn_state)conn->state) {
    case FMX_CONN_OPENING:
        fmx_conn_abort(conn, FMX_SYS_CONNECT, ETIMEDOUT);
        break;
    case FMX_CONN_OPEN:
        on_open_timer(conn);
        break;
    case FMX_CONN_ENDING:
        if (conn->close_reported) { /* else it is the session's last timer, not the end's */
            conn->abrupt = true;
            fmx_conn_join(conn);
        }
        break;
    case FMX_CONN_CLOSING:
    case FMX_CONN_CLOSED:
        break;
    }
}

void fmx_conn_on_completion(struct fmx_shard *shard, const struct fmx_completion *completion)
{
    struct fmx_conn *conn = fmx_slab_find(&shard->conns, fmx_op_slot(completion->tag),
                                          fmx_op_generation(completion->tag));

    if (conn == NULL) { /* only a cancel may come after its connection */
        FMX_ASSERT(fmx_op_kind(completion->tag) == FMX_OP_CANCEL);
        return;
    }
    switch (fmx_op_kind(completion->tag)) {
    case FMX_OP_CONNECT:
        on_connected(conn, completion->result);
        break;
    case FMX_OP_RECV:
        fmx_conn_on_recv(conn, completion);
        break;
    case FMX_OP_SEND:
        fmx_conn_on_sent(conn, completion->result);
        break;
    case FMX_OP_SHUTDOWN:
        conn->shutting = false;
        fmx_conn_join(conn);
        break;
    case FMX_OP_PEER_NAME:
        on_peer_name(conn, completion->result);
        break;
    case FMX_OP_CLOSE:
        on_closed(conn);
        break;
    default:
        break; /* the result of a cancel says nothing that its target does not */
    }
}
