/*
 * mux.h — the process object: validates options, makes shards and the queues between them
 */
#ifndef ENGINE_MUX_H
#define ENGINE_MUX_H

#include "engine/shard.h"

#include <fleetmux/options.h>

/* A socket address as text became one. */
struct fmx_address {
    struct sockaddr_storage storage;
    socklen_t bytes;
};

/*
 * One inbox towards each shard, written by one thread outside. Shards may be reading it at any
 * time, so it lives until the mux is closed; a closed caller's queues serve the next that is
 * opened.
 */
struct fmx_mux_caller {
    struct fmx_mux_caller *next;
    _Atomic bool in_use;
    bool is_own; /* the mux's: says STOP, and is heard whatever waits */
    struct fmx_mux *mux;
    struct fmx_inbox *inboxes; /* shards_count of them */
};

struct fmx_mux;

struct fmx_mux_listen {
    struct fmx_address address;
    enum fmx_transport transport;
    struct fmx_tls_context *tls; /* NULL if it takes no TLS; a reference is taken */
};

struct fmx_mux_plan {
    const struct fmx_mux_options *options; /* checked by fmx_mux_check_options */
    const struct fmx_role *role;
    void *role_user;
    const struct fmx_session_options *session; /* outlives the mux */
    uint64_t connect_timeout_ns;
    const struct fmx_tls_limits *tls;    /* NULL: the defaults */
    const struct fmx_mux_listen *listen; /* copied */
    size_t listen_count;
    uint32_t backlog;
    uint32_t sessions_min; /* what the role needs at least; 0: options alone decide */
};

/* Fills in the defaults that options.h names. */
void fmx_mux_options_init(struct fmx_mux_options *options);

/* FMX_OK or FMX_E_OPTION, with words. */
enum fmx_status fmx_mux_check_options(const struct fmx_mux_options *options, char *error,
                                      size_t error_bytes) FMX_MUST_USE;

/* Decides on the number of shards and makes them; nothing runs yet. */
enum fmx_status fmx_mux_open(const struct fmx_mux_plan *plan, struct fmx_mux **out_mux, char *error,
                             size_t error_bytes) FMX_MUST_USE;

/* Listens, starts the threads, returns when every shard is in its first turn. */
enum fmx_status fmx_mux_start(struct fmx_mux *mux, char *error, size_t error_bytes) FMX_MUST_USE;

/* Drains and ends the threads. Harmless if they were not started. */
void fmx_mux_stop(struct fmx_mux *mux, uint32_t drain_ms);

void fmx_mux_close(struct fmx_mux *mux);

/*
 * New connections of a listener get this context from now on; each shard takes a reference of its
 * own. On the caller's thread. FMX_OK, or FMX_FULL (some shards may have it already: call again).
 */
enum fmx_status fmx_mux_renew_tls(struct fmx_mux_caller *caller, size_t listener,
                                  struct fmx_tls_context *context) FMX_MUST_USE;

uint32_t fmx_mux_shards_count(const struct fmx_mux *mux);

/* Threads that step handshakes are numbered: shards from 0, workers behind them. */
uint32_t fmx_mux_threads_count(const struct fmx_mux *mux);
struct fmx_shard *fmx_mux_shard(struct fmx_mux *mux, uint32_t index);
uint16_t fmx_mux_port(const struct fmx_mux *mux, size_t listener);
void fmx_mux_stats(const struct fmx_mux *mux, struct fmx_stats *out_stats);
const struct fmx_log *fmx_mux_log(const struct fmx_mux *mux);

/* Any thread. */
enum fmx_status fmx_mux_caller_open(struct fmx_mux *mux,
                                    struct fmx_mux_caller **out_caller) FMX_MUST_USE;

/* What it has posted is still delivered. The caller's own thread. */
void fmx_mux_caller_close(struct fmx_mux_caller *caller);

/* The caller's own thread. True: the next post to that shard is not refused. */
bool fmx_mux_caller_has_room(struct fmx_mux_caller *caller, uint32_t to_shard);

/* The caller's own thread. False if that inbox is full. Wakes the shard if it sleeps. */
bool fmx_mux_caller_post(struct fmx_mux_caller *caller, uint32_t to_shard, struct fmx_msg *message);

/* First of the list; each shard walks it. */
struct fmx_mux_caller *fmx_mux_callers(struct fmx_mux *mux);

#endif
