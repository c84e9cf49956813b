/*
 * op.h — the 64 bits that travel with an operation: what it was, for which slot, in which life
 *
 * A completion finds its connection without a search, and one that has outlived its connection is
 * known by its generation: written at submission, compared at completion.
 *
 *     63      56 55            32 31  30 29                 0
 *     operation  slot index (24)   0     generation (30)
 */
#ifndef ENGINE_OP_H
#define ENGINE_OP_H

#include "engine/slab.h"
#include <fleetmux/types.h>

enum fmx_op {
    FMX_OP_ACCEPT = 1, /* slot: the listener's number */
    FMX_OP_CONNECT,
    FMX_OP_RECV,
    FMX_OP_SEND,
    FMX_OP_SHUTDOWN,
    FMX_OP_PEER_NAME,
    FMX_OP_CANCEL, /* its own result is of no interest */
    FMX_OP_CLOSE,
    FMX_OP_CLOSE_ORPHAN, /* a descriptor that never had a slot */
    FMX_OP_WAKE,         /* another thread rang the bell */
    FMX_OP_TICK,         /* the role asked for it */
};

static inline uint64_t fmx_op_pack(enum fmx_op op, uint32_t slot_index, uint32_t generation)
{
    return (uint64_t)op << 56 | (uint64_t)slot_index << 32 | generation;
}

static inline enum fmx_op fmx_op_kind(uint64_t tag)
{
    return (enum fmx_op)(tag >> 56);
}

static inline uint32_t fmx_op_slot(uint64_t tag)
{
    return (uint32_t)(tag >> 32) & (FMX_SLAB_SLOTS_MAX - 1);
}

static inline uint32_t fmx_op_generation(uint64_t tag)
{
    return (uint32_t)tag & FMX_GENERATION_MASK;
}

/* Session ids: shard (10 bits), slot (24), generation (30, never 0). */
static inline struct fmx_session_id fmx_session_id_pack(uint32_t shard_index, uint32_t slot_index,
                                                        uint32_t generation)
{
    return (struct fmx_session_id){(uint64_t)shard_index << 54 | (uint64_t)slot_index << 30 |
                                   generation};
}

static inline uint32_t fmx_session_id_shard(struct fmx_session_id id)
{
    return (uint32_t)(id.bits >> 54);
}

static inline uint32_t fmx_session_id_slot(struct fmx_session_id id)
{
    return (uint32_t)(id.bits >> 30) & (FMX_SLAB_SLOTS_MAX - 1);
}

static inline uint32_t fmx_session_id_generation(struct fmx_session_id id)
{
    return (uint32_t)id.bits & FMX_GENERATION_MASK;
}

#endif
