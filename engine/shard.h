/*
 * shard.h — one thread and everything it owns; the turn
 */
#ifndef ENGINE_SHARD_H
#define ENGINE_SHARD_H

#include "engine/conn.h"
#include "engine/handshakes.h"
#include "engine/inbox.h"
#include "engine/log.h"
#include "engine/pool.h"
#include "engine/ring.h"
#include "engine/role.h"
#include "engine/slab.h"
#include "engine/stats.h"
#include "engine/timer.h"

#include <fleetmux/private/assert.h>
#include <pthread.h>

struct fmx_link;
struct fmx_mux;

#define FMX_LISTENERS_MAX       16u
#define FMX_SHARD_SCRATCH_BYTES 131072u

/* Read-only after start; one for all shards of a process. */
struct fmx_shard_options {
    const struct fmx_role *role;
    void *role_user;
    const struct fmx_session_options *session;
    struct fmx_ring_options ring;
    uint32_t send_queue_bytes_max;
    uint64_t shard_bytes_max;
    uint32_t packets_per_turn_max;
    uint64_t connect_timeout_ns; /* server: TCP → CONNECT, and again from the handshake on */
    struct fmx_tls_limits tls;
    struct fmx_tls_pool *tls_pool; /* NULL: no workers */
    struct fmx_log log;
};

/* Messages to another shard whose inbox is full wait here, in order. */
struct fmx_spill {
    struct fmx_msg *messages;
    uint32_t first;
    uint32_t count;
    uint32_t capacity; /* power of two, or 0 */
};

/* What a listener takes. */
enum fmx_transport {
    FMX_TRANSPORT_PLAIN, /* no TLS */
    FMX_TRANSPORT_TLS,   /* nothing else */
    FMX_TRANSPORT_ANY,   /* told by the first byte */
};

struct fmx_listener {
    int fd;
    bool armed;
    enum fmx_transport transport;
    struct fmx_tls_context *tls; /* of new connections; a reference; NULL: takes no TLS */
};

struct fmx_shard {
    struct fmx_mux *mux;
    uint32_t index;
    uint32_t shards_count;
    const struct fmx_shard_options *options;
    struct fmx_ring *ring;
    uint64_t now_ns; /* read once a turn */
    uint32_t turn;
    struct fmx_slab conns;
    struct fmx_wheel wheel;
    struct fmx_pool pool;
    struct fmx_handshakes handshakes;
    struct fmx_link **links; /* by slot; NULL: the connection has none, or none has */
    uint32_t links_count;    /* room for so many */

    struct fmx_conn *dirty; /* something to send */
    struct fmx_list lists[FMX_LISTS_COUNT];

    struct fmx_listener listeners[FMX_LISTENERS_MAX];
    uint32_t listeners_count;

    struct fmx_inbox *inboxes; /* one from each shard; [index] is unused */
    struct fmx_bell bell;
    struct fmx_spill *spills; /* one to each shard; [index]: messages to ourselves */
    uint64_t *to_wake;        /* bit set of shards pushed to in this turn */

    void *role_state;
    uint8_t *scratch; /* FMX_SHARD_SCRATCH_BYTES, for encoding within one call */

    bool stopping;
    bool drained;
    uint64_t drain_deadline_ns;

    struct fmx_log_quota log_quota;
    struct fmx_counters counters;

    pthread_t thread;
    int cpu; /* −1: not pinned */
};

/* Everything that does not need the shard's thread; then, on it, the rest. Pairs with close. */
enum fmx_status fmx_shard_open(struct fmx_shard *shard, char *error,
                               size_t error_bytes) FMX_MUST_USE;
void fmx_shard_close(struct fmx_shard *shard);

/* One turn; waits for at most what the timers allow. */
void fmx_shard_turn(struct fmx_shard *shard);

/* Turns until it has drained after STOP. */
void fmx_shard_run(struct fmx_shard *shard);

/* No shard runs any more: the role releases what was still on its way to this one. */
void fmx_shard_discard(struct fmx_shard *shard);

/*
 * Sends a message to a shard, which may be this one: then it is handled in this very turn. Never
 * fails: beyond the inbox it waits in order, and fmx_shard_is_congested says so.
 */
void fmx_shard_post(struct fmx_shard *shard, uint32_t to_shard, struct fmx_msg *message);

/* Do messages to that shard wait? Then senders of ordinary messages should hold back. */
bool fmx_shard_is_congested(const struct fmx_shard *shard, uint32_t to_shard);

/* Do messages to any shard wait? */
bool fmx_shard_has_spills(const struct fmx_shard *shard);

/* Do so many wait that no more ordinary message may join them? */
bool fmx_shard_is_jammed(const struct fmx_shard *shard, uint32_t to_shard);

/* The live connection with this id, which names this shard; NULL if stale. */
struct fmx_conn *fmx_shard_find(struct fmx_shard *shard, struct fmx_session_id id);

/* Is more queued in this shard than it may hold? */
static inline bool fmx_shard_is_full(const struct fmx_shard *shard)
{
    return shard->pool.bytes > shard->options->shard_bytes_max;
}

#endif
