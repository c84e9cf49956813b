/*
 * options.h — plain structs of limits and addresses; every field has a unit, a range and a default
 *
 * Fill a struct with its _init function, change what you want, pass it to an _open function. The
 * library copies what it needs: nothing passed in has to outlive the call.
 */
#ifndef FLEETMUX_OPTIONS_H
#define FLEETMUX_OPTIONS_H

#include <fleetmux/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Most shards in one process; session ids have room for no more. */
#define FMX_SHARDS_MAX 1024

enum fmx_log_level {
    FMX_LOG_ERROR = 0,
    FMX_LOG_WARN = 1,
    FMX_LOG_INFO = 2,
    FMX_LOG_DEBUG = 3,
};

/*
 * One line of log, without a line end. Called on any thread of the library, at most ten lines per
 * second and shard from peers' doings. `line` lives until the call returns.
 */
typedef void (*fmx_log_fn)(void *user, enum fmx_log_level level, const char *line);

/* How the process is laid out. */
struct fmx_mux_options {
    uint32_t shards_count;         /* 0: one per processor of `cpus`; 1 … FMX_SHARDS_MAX */
    const char *cpus;              /* "0", "0-3,6"; NULL: those this process may use */
    bool pin;                      /* pin shard i to processor i modulo their number (true) */
    uint32_t sessions_max;         /* in all; 0: as many as the descriptor limit gives the shards;
                                      more than that: shards are added, and a log line says so */
    uint32_t recv_buffers_count;   /* per shard, power of two, 64 … 32,768 (512);
                                     lent to the kernel as they are needed */
    uint32_t recv_buffer_bytes;    /* 512 … 65,536 (16,384) */
    uint32_t send_queue_bytes_max; /* per session, not yet taken by the kernel, 1,024 … 2^30
                                      (1 MiB) */
    uint64_t shard_bytes_max;      /* in the send queues of all sessions of a shard, 2^20 … 2^40
                                      (1 GiB); above it a session is sent one message at a time */
    uint32_t packets_per_turn_max; /* of one session before others have their turn (512);
                                     a PUBACK counts an eighth */
    fmx_log_fn log;                /* NULL: lines on standard error */
    void *log_user;
    enum fmx_log_level log_level; /* FMX_LOG_INFO */
};

#ifdef __cplusplus
}
#endif

#endif
