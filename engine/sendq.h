/*
 * sendq.h — bytes on their way out of one connection, in pieces that do not move
 *
 * Small things are copied into blocks of the shard's pool; a large shared payload is only referred
 * to. From commit to consume no byte moves, so the kernel may read them while more is appended.
 */
#ifndef ENGINE_SENDQ_H
#define ENGINE_SENDQ_H

#include "engine/payload.h"
#include "engine/pool.h"
#include <sys/uio.h>

struct fmx_piece;

/* All zero is an empty queue, which owns nothing. */
struct fmx_sendq {
    struct fmx_piece *head;
    struct fmx_piece *tail;
    uint32_t bytes;   /* committed and not yet consumed */
    uint32_t sending; /* conn_send.c's: the first of them are in the kernel; 0: no send is */
};

/* Contiguous room for `bytes` at the end, or NULL if memory ran out. Valid until the next call. */
uint8_t *fmx_sendq_reserve(struct fmx_sendq *queue, struct fmx_pool *pool, size_t bytes);

/* Publishes the first `bytes` of what was reserved last. */
void fmx_sendq_commit(struct fmx_sendq *queue, size_t bytes);

/* Appends bytes that lie in `payload`, and takes a reference. False if memory ran out. */
bool fmx_sendq_refer(struct fmx_sendq *queue, struct fmx_pool *pool, struct fmx_payload *payload,
                     fmx_slice bytes);

/* The first bytes as parts for one send; returns how many parts, at most `parts_max`. */
unsigned fmx_sendq_parts(const struct fmx_sendq *queue, struct iovec *parts, unsigned parts_max,
                         size_t *out_bytes);

/* Cuts parts, which hold `*bytes`, to `bytes_max` at most; returns how many are left. */
unsigned fmx_sendq_cut(struct iovec *parts, unsigned count, size_t bytes_max, size_t *bytes);

/* Releases the first `bytes`: the kernel has them. */
void fmx_sendq_consume(struct fmx_sendq *queue, struct fmx_pool *pool, size_t bytes);

/* Gives everything back. */
void fmx_sendq_wipe(struct fmx_sendq *queue, struct fmx_pool *pool);

#endif
