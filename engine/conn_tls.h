/*
 * conn_tls.h — TLS under a connection: from the first byte to an open stream, and records both ways
 *
 *     accepted, first byte 0x16             dialled with fmx_conn_use_tls, connected
 *              │                                   │
 *              ▼                                   │
 *     LISTENING ── the first whole record ──► NAMING: the peer's address; counted from here on
 *         ▲    │                                   │
 *         │    │ a whole record                    │
 *         │    ▼                                   │
 *         │  QUEUED ◄──────────────────────────────┘
 *         │    │   for its turn, or the rate
 *         │    ▼
 *     STEPPING ── on a worker, or here within the budget ───┘
 *              │ done
 *              ▼
 *     OPEN ──  conn_recv: records → plaintext → packets      conn_send: queue → records → send
 *
 * Nothing above a connection knows whether TLS is there. While a worker steps, the stream is its;
 * what comes meanwhile is held, and the connection cannot be freed (fmx_conn_join waits).
 */
#ifndef ENGINE_CONN_TLS_H
#define ENGINE_CONN_TLS_H

#include "engine/conn.h"
#include "tls/tls.h"

/* ── for roles ─────────────────────────────────────────────────────────────────────────────── */

/*
 * A dialled connection speaks TLS: on_open follows after the handshake. Right after fmx_conn_dial;
 * takes over the stream. FMX_OK, or FMX_LIMIT_MEMORY (then the connection is aborted with it and
 * the stream closed).
 */
enum fmx_status fmx_conn_use_tls(struct fmx_conn *conn, struct fmx_tls_stream *stream) FMX_MUST_USE;

/* What was agreed; slices live until on_release. False: plain, or the handshake is not done. */
bool fmx_conn_tls_facts(const struct fmx_conn *conn, struct fmx_tls_facts *out_facts);

/* The stream, until on_release has returned; NULL: plain. */
struct fmx_tls_stream *fmx_conn_tls_stream(const struct fmx_conn *conn);

/* Has the peer said anything in the handshake? False: plain. */
bool fmx_conn_tls_was_answered(const struct fmx_conn *conn);

/* When the handshake began, by the shard's clock; 0: plain. */
uint64_t fmx_conn_tls_begun_ns(const struct fmx_conn *conn);

/* ── for the engine ────────────────────────────────────────────────────────────────────────── */

enum fmx_tls_phase {
    FMX_TLS_CONNECTING, /* dialled: TCP is not up yet */
    FMX_TLS_NAMING,     /* the kernel is asked who the peer is */
    FMX_TLS_LISTENING,  /* more bytes are wanted */
    FMX_TLS_QUEUED,     /* a step can be made */
    FMX_TLS_STEPPING,   /* with a worker */
    FMX_TLS_OPEN,
    FMX_TLS_OVER, /* failed, or the connection ended before it was open */
};

/* What TLS adds to a connection: a slot of shard->handshakes.conns. */
struct fmx_conn_tls {
    struct fmx_slot slot; /* first, set by the slab */
    struct fmx_tls_stream *stream;
    struct fmx_carry *records; /* no whole one, or they wait for their turn */
    struct fmx_sendq wire;     /* sealed, on its way to the kernel */
    uint64_t begun_ns;
    uint64_t waiting_ns; /* OPEN: since when a record is incomplete, or 0 */
    uint32_t conn;       /* slot of its connection */
    uint32_t next;       /* QUEUED: the next in the queue, from 1 */
    uint32_t handshake_bytes;
    uint16_t handshake_records;
    uint8_t phase;           /* enum fmx_tls_phase */
    bool is_counted : 1;     /* among the shard's unfinished handshakes */
    bool is_charged_rsa : 1; /* and for what RSA costs more */
    bool is_charged : 1;     /* the rate has been taken from */
    bool is_delayed : 1;     /* counted as such */
    bool is_asked_again : 1; /* NAMING: for the whole of a long name */
    bool end_is_due : 1;     /* close_notify, behind all that is queued */
    bool end_is_said : 1;
    uint32_t source;          /* among the addresses that are counted, from 1; 0: not counted */
    struct sockaddr_in6 name; /* NAMING: the kernel writes here */
};

/* The TLS part with this number, from 1. */
struct fmx_conn_tls *fmx_conn_tls_at(const struct fmx_shard *shard, uint32_t number);

static inline struct fmx_conn_tls *fmx_conn_tls_of(const struct fmx_conn *conn)
{
    return fmx_conn_tls_at(conn->shard, conn->tls);
}

/* The queue whose bytes go to the kernel. */
static inline struct fmx_sendq *fmx_conn_wire(struct fmx_conn *conn)
{
    return conn->tls == 0 ? &conn->sendq : &fmx_conn_tls_of(conn)->wire;
}

/* TLS, and its handshake is not done: nothing can be said but by the handshake. */
static inline bool fmx_conn_tls_is_shaking(const struct fmx_conn *conn)
{
    return conn->tls != 0 && fmx_conn_tls_of(conn)->phase != FMX_TLS_OPEN;
}

/* By the first byte of an accepted connection. False: it has been ended. */
bool fmx_conn_tls_decide(struct fmx_conn *conn, uint8_t first_byte);

/* A dialled connection is up. */
void fmx_conn_tls_begin(struct fmx_conn *conn);

void fmx_conn_tls_on_peer_name(struct fmx_conn *conn, bool is_known);

/* Bytes from the peer; they die with the return. */
void fmx_conn_tls_feed(struct fmx_conn *conn, fmx_slice span);

/* A step has been made: what it came to, and what it left unread. */
void fmx_conn_tls_stepped(struct fmx_conn *conn, enum fmx_status status, fmx_slice left);

/* Takes the whole records out for a step; what is not whole stays. May abort for want of memory. */
struct fmx_carry *fmx_conn_tls_detach_records(struct fmx_conn *conn);

/* Ends the connection for a failure of TLS; its alert, already queued, still leaves. */
void fmx_conn_tls_fail(struct fmx_conn *conn, enum fmx_status status);

/* How long its handshake may take; of a client without an end, since it has its own deadline. */
uint64_t fmx_conn_tls_handshake_ns(const struct fmx_conn *conn);

/* The session is over: close_notify follows what is queued, and a handshake is given up. */
void fmx_conn_tls_end(struct fmx_conn *conn);
bool fmx_conn_tls_has_end_due(const struct fmx_conn *conn);
void fmx_conn_tls_forget_end(struct fmx_conn *conn);

/* Does so much wait for a step of the handshake that no more may come? */
bool fmx_conn_tls_is_full(const struct fmx_conn *conn);

/* Has the handshake, or a record that has begun, taken too long? */
bool fmx_conn_tls_is_late(const struct fmx_conn *conn);

/* The kernel holds nothing of it any more. */
void fmx_conn_tls_closed(struct fmx_conn *conn);

/* Releases what TLS has added. */
void fmx_conn_tls_release(struct fmx_conn *conn);

/* ── records (conn_records.c) ──────────────────────────────────────────────────────────────── */

/* Seals what is queued, as much as goes into one send. False: the connection has been aborted. */
bool fmx_conn_tls_seal(struct fmx_conn *conn);

/* Where the records of a step go: the connection's wire. */
struct fmx_tls_sink fmx_conn_tls_sink(struct fmx_conn *conn);

/* Bytes of the whole records in front, and how many; FMX_TLS_RECORD: no record follows. */
enum fmx_status fmx_conn_tls_measure(fmx_slice span, size_t *out_bytes, uint32_t *out_count);

/* Keeps a copy for later. False: no memory, and the connection has been aborted. */
bool fmx_conn_tls_hold(struct fmx_conn *conn, fmx_slice bytes);

/* Whole records of an open stream, and bytes of one that may end in the middle of a record. */
void fmx_conn_tls_open(struct fmx_conn *conn, fmx_slice records);
void fmx_conn_tls_feed_open(struct fmx_conn *conn, fmx_slice span);

/* Has a record that has begun taken too long? While we do not listen it is not the peer's fault. */
bool fmx_conn_tls_record_is_late(const struct fmx_conn *conn);

/* We have not listened for a while: a record that has begun has its time from now. */
void fmx_conn_tls_listen_again(struct fmx_conn *conn);

/* The timer also looks at a record that has begun. */
void fmx_conn_tls_arm(struct fmx_conn *conn);

#endif
