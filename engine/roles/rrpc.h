/*
 * rrpc.h — calls that wait for their device's answer, at the device's home
 */
#ifndef ENGINE_ROLES_RRPC_H
#define ENGINE_ROLES_RRPC_H

#include "engine/roles/order.h"
#include "engine/shard.h"

/* One call in the air. */
struct fmx_call {
    struct fmx_slot slot; /* first, set by the slab */
    struct fmx_timer timer;
    fmx_gateway_answered *done;
    void *user;
    uint32_t hash_tag; /* of the device's key, its upper half: nobody else may answer */
    uint32_t identity; /* its slot at home when the call was sent */
};

static_assert(sizeof(struct fmx_call) <= 64, "a million of them may wait");

struct fmx_calls {
    struct fmx_shard *shard;
    struct fmx_slab slab;
};

enum fmx_status fmx_calls_open(struct fmx_calls *calls, struct fmx_shard *shard) FMX_MUST_USE;

/* Every call that still waits ends as UNKNOWN. */
void fmx_calls_end_all(struct fmx_calls *calls);
void fmx_calls_close(struct fmx_calls *calls);

/*
 * A call begins: gives the order its message id, takes over whom to tell, arms the deadline. False:
 * no room; the order still has to be failed.
 */
bool fmx_calls_begin(struct fmx_calls *calls, struct fmx_order *order, uint32_t identity);

/* The shard that a message id of ours belongs to, if it may be one. */
bool fmx_calls_home(uint64_t message_id, uint32_t shards_count, uint32_t *out_shard);

/*
 * An answer has come, from the device whose key has this hash. Late, unknown and foreign ones are
 * counted and dropped.
 */
void fmx_calls_answer(struct fmx_calls *calls, uint64_t message_id, uint64_t hash,
                      fmx_slice payload);

/* The call cannot be answered any more. Ignored if it is over. */
void fmx_calls_end(struct fmx_calls *calls, uint64_t message_id, enum fmx_call_code code);

/* Was it the device whose key has this hash that was called? */
bool fmx_call_is_for(const struct fmx_call *call, uint64_t hash);

/* Its time is over; `is_there`: the device still has its session. */
struct fmx_call *fmx_calls_of_timer(struct fmx_timer *timer);
void fmx_calls_on_timer(struct fmx_calls *calls, struct fmx_call *call, bool is_there);

#endif
