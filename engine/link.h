/*
 * link.h — a poor link between a connection and its socket: delay, jitter, loss, a slow reader
 *
 *      conn_send ── queue, or wire of TLS ──► way out: until its time ──► send
 *      conn_recv ◄── packets, or records  ◄── way in:  until its time ◄── receive
 *
 * It lies below TLS. Bytes wait and keep their order; nothing is dropped, since below TCP that is
 * not what one sees: what is lost comes late, and so does all behind it. A connection without a
 * link has nothing of it but a bit that is 0.
 *
 * All functions: owning shard only.
 */
#ifndef ENGINE_LINK_H
#define ENGINE_LINK_H

#include "engine/sendq.h"
#include "engine/timer.h"

#include <fleetmux/error.h>

struct fmx_conn;
struct fmx_shard;

struct fmx_link_options {
    uint64_t delay_ns;              /* each way */
    uint64_t jitter_ns;             /* at most so much more, drawn for each send */
    double loss;                    /* of sends, 0 … below 1 */
    uint64_t read_bytes_per_second; /* 0: whatever comes */
    uint64_t key;                   /* draws begin here: the same key draws the same */
};

/* ── for roles ─────────────────────────────────────────────────────────────────────────────── */

/*
 * From now on the connection has a link; right after the dial, or any time later, once. Nothing
 * happens if it has ended already; without memory it is aborted.
 */
void fmx_conn_use_link(struct fmx_conn *conn, const struct fmx_link_options *options);

/* ── one way: pure ─────────────────────────────────────────────────────────────────────────── */

/* Bytes that leave together. */
struct fmx_link_stamp {
    uint64_t due_ns;
    uint32_t bytes;
};

/* First in, first out; the bytes themselves lie elsewhere. Zeroed, but for its key, it is empty. */
struct fmx_link_way {
    struct fmx_link_stamp *stamps; /* a ring */
    uint32_t first;
    uint32_t count;
    uint32_t capacity; /* power of two, or 0 */
    uint32_t held;     /* bytes of all stamps */
    uint64_t last_ns;  /* nothing leaves before what was put in last */
    uint64_t key;
    uint64_t draws;
};

/* When what is put in now leaves: drawn, and never before what was put in earlier. */
uint64_t fmx_link_way_draw_ns(struct fmx_link_way *way, const struct fmx_link_options *options,
                              uint64_t now_ns);

/* Puts in bytes that leave at `due_ns`, as drawn last. False: no memory, nothing changed. */
bool fmx_link_way_put(struct fmx_link_way *way, uint64_t due_ns, uint32_t bytes);

/* Takes out what is due; returns how many bytes. */
uint32_t fmx_link_way_release(struct fmx_link_way *way, uint64_t now_ns);

/* When the next bytes leave; UINT64_MAX: it is empty. */
uint64_t fmx_link_way_next_ns(const struct fmx_link_way *way);

/* Drops what is in it; what comes next still does not overtake it. */
void fmx_link_way_wipe(struct fmx_link_way *way);

/* ── for the engine: of a connection that has a link ───────────────────────────────────────── */

/*
 * About to send `parts` of the wire: cuts them to what may leave now. Returns how many parts are
 * left; 0: nothing, and the link sends later.
 */
unsigned fmx_link_let_out(struct fmx_conn *conn, struct iovec *parts, unsigned count,
                          size_t *bytes);

/* So many bytes of the wire are with the kernel. */
void fmx_link_sent(struct fmx_conn *conn, uint32_t bytes);

/* Bytes of the wire that wait in the link. */
uint32_t fmx_link_held_out(const struct fmx_conn *conn);

/* The wire has been wiped. */
void fmx_link_drop_out(struct fmx_conn *conn);

/* Bytes have come. True: let them in now. False: they are kept, or the connection is aborted. */
bool fmx_link_let_in(struct fmx_conn *conn, fmx_slice bytes);

/* No more will come: that, too, is heard later. */
void fmx_link_end_in(struct fmx_conn *conn);

/* Has the peer said something, if only its end, that is not let in yet? */
bool fmx_link_holds_in(const struct fmx_conn *conn);

/* Should nothing be received now? The connection is marked ready when that changes. */
bool fmx_link_holds_off(const struct fmx_conn *conn);

/* Most bytes of the next receive; 0: no bound. */
uint32_t fmx_link_receive_max(const struct fmx_conn *conn);

/* The session is over: nothing is let in any more, and our end leaves in its time. */
void fmx_link_end_out(struct fmx_conn *conn);

/* Is it too early for our end? */
bool fmx_link_holds_end(const struct fmx_conn *conn);

void fmx_link_on_timer(struct fmx_timer *timer);

/* The kernel holds nothing of the connection any more: the link goes, and all that is in it. */
void fmx_link_close(struct fmx_conn *conn);

/* Of a shard: those that are left, and their table. */
void fmx_links_close(struct fmx_shard *shard);

#endif
