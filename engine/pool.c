/*
 * pool — byte blocks of a few sizes, lent to whoever has something to hold; one pool per shard
 *
 * Why it is so:   a quiet session holds nothing but its slot. What is queued for it lives in blocks
 *                 that are taken with the first byte and given back with the last; the block given
 *                 back last is taken next, so it is still in the cache
 * Words:          class: one of the block sizes below; larger requests go to malloc as they are
 * Invariants:     (1) `bytes` is the sum of the true sizes of all lent blocks
 *                 (2) at most SPARE_BYTES_MAX of each class are kept; the rest goes back to malloc,
 *                     so what a storm took is given back
 * Memory:         owns the spare blocks
 * Threads:        owning shard only
 * Limits:         none here: callers compare `bytes` with the shard's bound before they take
 * Not here:       order and consumption of the bytes: sendq.c
 */
#include "engine/pool.h"

#include <fleetmux/private/assert.h>

#define SPARE_BYTES_MAX (1u << 20)

struct fmx_pool_block {
    struct fmx_pool_block *next;
};

static const uint32_t class_bytes[FMX_POOL_CLASSES] = {512, 4096, 8192, 16384, 32768, 65536};

static unsigned class_of(size_t bytes)
{
    unsigned class = 0;

    while (class < FMX_POOL_CLASSES && class_bytes[class] < bytes) {
        class ++;
    }
    return class;
}

void fmx_pool_init(struct fmx_pool *pool)
{
    *pool = (struct fmx_pool){0};
}

void fmx_pool_wipe(struct fmx_pool *pool)
{
    FMX_ASSERT(pool->bytes == 0);
    for (unsigned class = 0; class < FMX_POOL_CLASSES; class ++) {
        while (pool->free[class] != NULL) {
            struct fmx_pool_block *block = pool->free[class];
            pool->free[class] = block->next;
            free(block);
        }
    }
}

void *fmx_pool_take(struct fmx_pool *pool, size_t bytes, size_t *out_bytes)
{
    unsigned class = class_of(bytes);
    size_t true_bytes = class < FMX_POOL_CLASSES ? class_bytes[class] : bytes;
    struct fmx_pool_block *block = class < FMX_POOL_CLASSES ? pool->free[class] : NULL;

    if (block != NULL) {
        pool->free[class] = block->next;
        pool->free_count[class]--;
    } else {
        block = malloc(true_bytes);
        if (block == NULL) {
            return NULL;
        }
    }
    pool->bytes += true_bytes;
    *out_bytes = true_bytes;
    return block;
}

void fmx_pool_give(struct fmx_pool *pool, void *memory, size_t bytes)
{
    struct fmx_pool_block *block = memory;
    unsigned class = class_of(bytes);

    FMX_ASSERT(pool->bytes >= bytes);
    pool->bytes -= bytes;
    if (class == FMX_POOL_CLASSES ||
        (pool->free_count[class] + 1) * class_bytes[class] > SPARE_BYTES_MAX) {
        free(block);
        return;
    }
    block->next = pool->free[class];
    pool->free[class] = block;
    pool->free_count[class]++;
}
