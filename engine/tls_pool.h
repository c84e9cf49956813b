/*
 * tls_pool.h — threads that make handshake steps for shards
 *
 * A job is lent: from push until it comes back, the stream in it is the worker's. It comes back to
 * its shard's handshakes.stepped, and the shard's bell is rung.
 */
#ifndef ENGINE_TLS_POOL_H
#define ENGINE_TLS_POOL_H

#include "engine/carry.h"
#include "tls/tls.h"

#include <stdatomic.h>

struct fmx_shard;
struct fmx_tls_pool;

/* Made by a shard with malloc, and freed by it. */
struct fmx_tls_job {
    struct fmx_tls_job *next;
    struct fmx_shard *shard;
    struct fmx_tls_stream *stream;
    struct fmx_carry *records; /* whole ones; what is left after the step stays */
    struct fmx_carry *out;     /* what is to be sent */
    enum fmx_status status;    /* what the step came to */
    uint32_t conn;             /* the shard's slot */
};

/*
 * `first_thread`: the number of the first worker. Workers stay on these processors. FMX_OK,
 * FMX_SYS_THREAD, FMX_LIMIT_MEMORY.
 */
enum fmx_status fmx_tls_pool_open(uint32_t workers, uint32_t first_thread, const int *cpus,
                                  uint32_t cpus_count, struct fmx_tls_pool **out_pool) FMX_MUST_USE;

/* Ends the threads, when no job is with them any more. NULL is harmless. */
void fmx_tls_pool_close(struct fmx_tls_pool *pool);

/* Any shard. First come, first served. */
void fmx_tls_pool_push(struct fmx_tls_pool *pool, struct fmx_tls_job *job);

/*
 * Makes the step of the next job on the calling shard's thread, if jobs wait and no worker has come
 * to one for a while: others keep them from the processor. False: there was no need. Any shard.
 */
bool fmx_tls_pool_help(struct fmx_tls_pool *pool, unsigned thread, uint64_t now_ns);

/* When help may be needed; UINT64_MAX: no job waits. Any thread. */
uint64_t fmx_tls_pool_help_ns(const struct fmx_tls_pool *pool);

#endif
