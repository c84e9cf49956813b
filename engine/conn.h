/*
 * conn.h — one connection: its states, who still holds it, how bytes come in and go out
 *
 *      accept, dial                                  role, peer, limit, time
 *          │                                                  │
 *          ▼        connected             fmx_conn_close      ▼
 *     OPENING ─────────────► OPEN ─────────────────────► ENDING ──── queue empty, peer's end seen,
 *          │                                                │         or time is up
 *          └────────────── fmx_conn_close ──────────────────┤
 *                                                           ▼
 *                        nothing of it is in the kernel  CLOSING ─── join ───► CLOSED ──► slot free
 *                                                                  (role lets go)
 *
 *     OPENING  dialled: the connect is in the kernel. Accepted connections begin in OPEN.
 *     OPEN     receiving is armed, or paused; at most one send is in flight.
 *     ENDING   no packet is taken any more; what is queued still leaves, then our end is shut and
 *              the peer's is waited for.
 *     CLOSING  receive and send are cancelled; when both have completed the descriptor is closed.
 *     CLOSED the kernel holds nothing. The slot is freed at the turn's end once the role has let
 *     go.
 *
 * The one door is enter_state in conn.c. All functions: owning shard only.
 */
#ifndef ENGINE_CONN_H
#define ENGINE_CONN_H

#include "engine/carry.h"
#include "engine/list.h"
#include "engine/op.h"
#include "engine/sendq.h"
#include "engine/timer.h"
#include "proto/session.h"

#include <netinet/in.h>

struct fmx_shard;
struct fmx_completion;

enum fmx_conn_state {
    FMX_CONN_OPENING,
    FMX_CONN_OPEN,
    FMX_CONN_ENDING,
    FMX_CONN_CLOSING,
    FMX_CONN_CLOSED,
};

/* First what every packet touches, then what a send touches, then what time and the end do. */
struct fmx_conn {
    struct fmx_slot slot; /* first, set by the slab */
    struct fmx_shard *shard;
    struct fmx_carry *carry; /* plaintext that is not a whole packet, or must wait; or NULL */
    uint64_t last_in_ns;
    uint32_t file;      /* direct descriptor */
    uint32_t tls;       /* number in the shard's TLS connections, from 1; 0: plain */
    uint32_t turn_used; /* of its share in a turn; conn_recv.c's */
    uint16_t acks_due;  /* PUBACKs that are queued and not with the kernel yet */
    int16_t cause;      /* enum fmx_status: the first failure, or why it was closed */
    struct fmx_session session;
    struct fmx_sendq sendq;
    struct fmx_conn *next_dirty; /* has something to send; shard->dirty */
    uint64_t last_out_ns;
    struct fmx_timer timer; /* the one deadline in force: connect, keep-alive, or end */
    uint32_t next[FMX_LISTS_COUNT];
    int16_t sys_errno; /* beside a −4xx cause */
    uint8_t state;     /* enum fmx_conn_state */
    uint8_t listener;  /* that accepted it */
    bool recv_armed : 1;
    bool recv_cancelled : 1;
    bool is_paused : 1;  /* too much waits in the carry: receiving is not armed */
    bool role_waits : 1; /* packets wait until the role says go on */
    bool opening : 1;    /* a connect is in the kernel */
    bool closing : 1;    /* a close of the descriptor is in the kernel */
    bool peer_ended : 1; /* the peer closed while packets of it wait in the carry */
    bool was_reset : 1;  /* it closed with RST */
    bool shutting : 1;   /* a shutdown is in the kernel */
    bool naming : 1;     /* the question for the peer's name is in the kernel */
    bool is_shut : 1;    /* our end is shut, or about to be */
    bool is_mute : 1;    /* a send has failed: nothing more can be said, but is still heard */
    bool out_waits : 1;  /* packets wait because our answers to them are not taken */
    bool is_dirty : 1;
    bool was_full : 1;       /* on_writable is owed */
    bool role_holds : 1;     /* the slot outlives the connection until the role lets go */
    bool close_reported : 1; /* on_close was called */
    bool tls_waits : 1;      /* a handshake step is queued, or with a worker */
    bool abrupt : 1;         /* end without a goodbye */
    bool linger_zero : 1;
    bool has_link : 1;    /* link.h; in the shard's table of them */
    uint8_t ended_by : 4; /* enum fmx_packet_kind of the packet that broke the protocol; 0: none */
};

static_assert(sizeof(struct fmx_conn) == 208, "with the role's part, four cache lines");

/* A packet of this kind breaks the protocol: the connection is about to end for it. */
static inline void fmx_conn_note_kind(struct fmx_conn *conn, unsigned kind)
{
    conn->ended_by = kind & 0x0fu;
}

/* How the peer has ended it: with RST, or with FIN and no word. */
static inline enum fmx_status fmx_conn_peer_end(const struct fmx_conn *conn)
{
    return conn->was_reset ? FMX_PEER_RESET : FMX_PEER_CLOSED;
}

static inline struct fmx_session_id fmx_conn_id_in(const struct fmx_conn *conn,
                                                   uint32_t shard_index)
{
    return fmx_session_id_pack(shard_index, conn->slot.index, conn->slot.generation);
}

struct fmx_session_id fmx_conn_id(const struct fmx_conn *conn);

/* The role's part of the slot, right behind. */
static inline void *fmx_conn_part(struct fmx_conn *conn)
{
    return conn + 1;
}

/* ── life (conn.c) ─────────────────────────────────────────────────────────────────────────── */

/* A connection that a listener has accepted as `file`. Without room it is closed and counted. */
void fmx_conn_accept(struct fmx_shard *shard, uint32_t listener, uint32_t file);

/*
 * Begins a connection to `target`, which stays in place until the next submission. `source` may be
 * NULL. FMX_OK with `out_conn` (on_open or on_close will follow), FMX_LIMIT_SESSIONS,
 * FMX_SYS_SOCKET, FMX_SYS_BIND.
 */
enum fmx_status fmx_conn_dial(struct fmx_shard *shard, const struct sockaddr *target,
                              socklen_t target_bytes, const struct sockaddr *source,
                              socklen_t source_bytes, bool linger_zero, uint64_t deadline_ns,
                              struct fmx_conn **out_conn, int *out_errno) FMX_MUST_USE;

/*
 * Ends the session with a cause: the goodbye that the protocol has for it is queued, on_close
 * follows within this turn. Further calls are ignored: the first cause counts.
 */
void fmx_conn_close(struct fmx_conn *conn, enum fmx_status cause);

/* The same with a Reason String of the caller's, where the goodbye has one (5.0). */
void fmx_conn_close_saying(struct fmx_conn *conn, enum fmx_status cause, fmx_slice words);

/* The same when there is nobody to say goodbye to. */
void fmx_conn_abort(struct fmx_conn *conn, enum fmx_status cause, int sys_errno);

/* Ends it saying nothing; what is queued still leaves. */
void fmx_conn_end(struct fmx_conn *conn, enum fmx_status cause);

/* The role keeps the slot beyond the connection, and lets go again. */
void fmx_conn_hold(struct fmx_conn *conn);
void fmx_conn_unhold(struct fmx_conn *conn);

/*
 * Asks the kernel who the peer is: on_peer_name follows, once, also if the connection ends
 * meanwhile. `name` stays in place until then; the slot does. What is not `is_long` fills in as
 * much as an IPv4 name has, of an IPv6 name too: its family then says to ask again.
 */
void fmx_conn_ask_peer_name(struct fmx_conn *conn, struct sockaddr_in6 *name, bool is_long);

/* Arms the connection's own timer. */
void fmx_conn_arm(struct fmx_conn *conn, uint64_t due_ns);

/* For link.c: the session is over, and what ends it leaves at `from_ns`: the end is waited for. */
void fmx_conn_arm_end(struct fmx_conn *conn, uint64_t from_ns);

/* For shard.c: a completion, a due timer, the turn's end. */
void fmx_conn_on_completion(struct fmx_shard *shard, const struct fmx_completion *completion);
void fmx_conn_on_timer(struct fmx_conn *conn);
void fmx_conn_report_close(struct fmx_conn *conn);
void fmx_conn_release(struct fmx_conn *conn);
void fmx_conn_join(struct fmx_conn *conn);

/* ── in (conn_recv.c) ──────────────────────────────────────────────────────────────────────── */

void fmx_conn_on_recv(struct fmx_conn *conn, const struct fmx_completion *completion);
void fmx_conn_arm_recv(struct fmx_conn *conn);

/* For link.c: bytes of the peer, as they came; they die with the return. */
void fmx_conn_arrive(struct fmx_conn *conn, fmx_slice span);

/* Bytes of MQTT, as they came or decrypted; they die with the return. */
void fmx_conn_feed(struct fmx_conn *conn, fmx_slice span);

/* The peer says nothing more, by TCP or TLS. */
void fmx_conn_on_peer_ended(struct fmx_conn *conn);

/*
 * The session has ended: what the peer still sends is received, to be dropped, until its own end.
 */
void fmx_conn_receive_rest(struct fmx_conn *conn);

/*
 * The role has no room for what the next packets would cause: they wait in the carry, and once that
 * is full TCP's window closes. Then it has room again: they go on within this turn or the next.
 */
void fmx_conn_wait(struct fmx_conn *conn);
void fmx_conn_go_on(struct fmx_conn *conn);

/* Looks at carried packets again; called once a turn for those in FMX_LIST_READY. */
void fmx_conn_on_ready(struct fmx_conn *conn);
void fmx_conn_mark_ready(struct fmx_conn *conn);

/* ── out (conn_send.c) ─────────────────────────────────────────────────────────────────────── */

/*
 * Encodes a packet into the output queue; it leaves with this turn's one send. Packets too large
 * for the peer, or that find no memory, end the connection: use fmx_session_publish first for
 * PUBLISH.
 */
void fmx_conn_send(struct fmx_conn *conn, const struct fmx_packet *packet);

/* Room in the queue to encode into, and its publication. NULL: no memory; the connection ends. */
uint8_t *fmx_conn_reserve(struct fmx_conn *conn, size_t bytes);
void fmx_conn_commit(struct fmx_conn *conn, size_t bytes);

/* Appends bytes inside a shared payload. */
void fmx_conn_refer(struct fmx_conn *conn, struct fmx_payload *payload, fmx_slice bytes);

/* PUBACK in its 4-byte form, or with a reason code (5.0 only). */
void fmx_conn_puback(struct fmx_conn *conn, uint16_t packet_id, uint8_t reason);

/* The same with a Reason String, unless the client has declined to hear it. */
void fmx_conn_puback_saying(struct fmx_conn *conn, uint16_t packet_id, uint8_t reason,
                            fmx_slice words);

/* Server: the role says yes to CONNECT. Sends CONNACK; carried packets go on this turn. */
void fmx_conn_admit(struct fmx_conn *conn, bool session_present, fmx_slice assigned);

/* Arms the timer for the keep-alive that is now in force; the session is OPEN. */
void fmx_conn_keep_alive(struct fmx_conn *conn);

/*
 * Is more queued than a session may have, or anything while the shard has more than it may? Then
 * on_writable follows once the queue has drained. A session with nothing queued always has room for
 * one message, so each goes on.
 */
bool fmx_conn_is_full(struct fmx_conn *conn);

/* Room for one more identifier in the window; grows its storage. False: full, or no memory. */
bool fmx_conn_make_window(struct fmx_conn *conn);

/*
 * Storage of windows is allocated here, and freed with free(window->tags). Both are false if it is
 * as large as it may be, or there is no memory. grow doubles it; restore is fmx_inflight_restore
 * with as much growth as the span needs.
 */
bool fmx_window_grow(struct fmx_inflight *window);
bool fmx_window_restore(struct fmx_inflight *window, uint16_t id, uint64_t tag);

void fmx_conn_on_sent(struct fmx_conn *conn, int32_t result);
void fmx_conn_flush(struct fmx_conn *conn);
void fmx_conn_mark_dirty(struct fmx_conn *conn);

#endif
