/*
 * handshakes.h — a shard's TLS handshakes: whose step is next, and how many there may be
 */
#ifndef ENGINE_HANDSHAKES_H
#define ENGINE_HANDSHAKES_H

#include "engine/slab.h"
#include "engine/sources.h"
#include "tls/tls.h"

#include <stdatomic.h>

struct fmx_conn;
struct fmx_conn_tls;
struct fmx_shard;
struct fmx_tls_job;
struct fmx_tls_pool;

/* Numbers in `conns`, from 1, linked by fmx_conn_tls.next. */
struct fmx_handshake_queue {
    uint32_t first;
    uint32_t last;
};

struct fmx_handshakes {
    struct fmx_tls_limits limits;
    struct fmx_tls_pool *pool; /* NULL: steps are made here */
    struct fmx_slab conns;     /* struct fmx_conn_tls, open ones too */
    struct fmx_sources sources;
    struct fmx_handshake_queue begun; /* can go on: what has been paid for is not wasted */
    struct fmx_handshake_queue fresh; /* can begin, when the rate allows */
    uint32_t unfinished;
    bool are_made_here; /* steps, in this turn */
    uint64_t paid_ns;   /* up to when the rate is used up */
    uint8_t *plaintext; /* FMX_TLS_PLAINTEXT_BYTES_MAX: a record of the connection at hand */
    _Atomic(struct fmx_tls_job *) stepped; /* back from workers, newest first */
};

/* FMX_OK or FMX_LIMIT_MEMORY. */
enum fmx_status fmx_handshakes_open(struct fmx_shard *shard, const struct fmx_tls_limits *limits,
                                    struct fmx_tls_pool *pool) FMX_MUST_USE;
void fmx_handshakes_close(struct fmx_shard *shard); /* all zero is harmless */

/* One more connection with TLS. NULL: no memory. */
struct fmx_conn_tls *fmx_handshakes_add(struct fmx_conn *conn);

/* Its handshake counts from now on. False: too many do. */
bool fmx_handshakes_enter(struct fmx_conn *conn);

/* A handshake is done or given up: it counts no more. */
void fmx_handshakes_leave(struct fmx_conn *conn);

/* A step has been made: did it cost more than the rate was charged, or less? */
void fmx_handshakes_settle_rate(struct fmx_conn *conn, enum fmx_status status);

/* This connection can make a step. */
void fmx_handshakes_queue(struct fmx_conn *conn);

/* What workers have done. Early in a turn. */
void fmx_handshakes_take(struct fmx_shard *shard);

/* Has a worker done anything? Asked before a sleep. */
bool fmx_handshakes_has_stepped(struct fmx_shard *shard);

static inline bool fmx_handshakes_are_queued(const struct fmx_handshakes *handshakes)
{
    return handshakes->begun.first != 0 || handshakes->fresh.first != 0;
}

/* Steps that are due: to workers, or made here within the budget. */
void fmx_handshakes_go_on(struct fmx_shard *shard);

/* When to go on; UINT64_MAX: not before something comes. */
uint64_t fmx_handshakes_next_ns(const struct fmx_shard *shard);

#endif
