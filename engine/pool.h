/*
 * pool.h — byte blocks of a few sizes, lent to whoever has something to hold; one pool per shard
 */
#ifndef ENGINE_POOL_H
#define ENGINE_POOL_H

#include <fleetmux/types.h>

#define FMX_POOL_CLASSES 6

struct fmx_pool_block;

struct fmx_pool {
    struct fmx_pool_block *free[FMX_POOL_CLASSES];
    uint32_t free_count[FMX_POOL_CLASSES];
    uint64_t bytes; /* lent now, of all sizes: what the shard's bound is about */
};

void fmx_pool_init(struct fmx_pool *pool);

/* Releases the spare blocks; all lent ones have been given back. */
void fmx_pool_wipe(struct fmx_pool *pool);

/* A block of at least `bytes`; its true size in `out_bytes`. NULL if memory ran out. */
void *fmx_pool_take(struct fmx_pool *pool, size_t bytes, size_t *out_bytes);

/* Gives a block back; `bytes` is the true size that take reported. */
void fmx_pool_give(struct fmx_pool *pool, void *block, size_t bytes);

#endif
