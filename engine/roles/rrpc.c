/*
 * rrpc — calls that wait for their device's answer, at the device's home
 *
 * Why it is so:   a call outlives the message that asks for it and may outlive the device's
 *                 connection; the one place that is there all the time is the device's home. The
 *                 message id, which the device sends back, is made so that any shard can tell from
 *                 it where the record lies: no table is searched
 * Words:          message id: bit 62, shard (10 bits), slot (24), generation (28): always 19
 *                 decimal digits
 * Invariants:     (1) each call ends once: what ends it frees its slot, and with it the id
 *                 (2) its timer is armed as long as it waits
 * Memory:         64 bytes a call
 * Threads:        home shard
 * Limits:         16,777,216 at a time and shard. A slot's ids repeat after 2^28 calls through it
 * Not here:       the way there: service.c; the device's answer: platform_publish.c
 */
#include "engine/roles/rrpc.h"

#include "engine/roles/device.h"

#include <stddef.h>

#define ID_BIT         (1ull << 62)
#define ID_SHARD_SHIFT 52
#define ID_SLOT_SHIFT  28
#define ID_GENERATION  0x0fffffffu
#define CALLS_MAX      FMX_SLAB_SLOTS_MAX

static uint64_t id_of(const struct fmx_calls *calls, const struct fmx_call *call)
{
    return ID_BIT | (uint64_t)calls->shard->index << ID_SHARD_SHIFT |
           (uint64_t)call->slot.index << ID_SLOT_SHIFT | (call->slot.generation & ID_GENERATION);
}

/* The hash is seeded: which keys share half of it, nobody outside can tell. */
static uint32_t hash_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

bool fmx_calls_home(uint64_t message_id, uint32_t shards_count, uint32_t *out_shard)
{
    *out_shard = (uint32_t)(message_id >> ID_SHARD_SHIFT) & 1023u;
    return message_id >> 62 == 1 && *out_shard < shards_count;
}

enum fmx_status fmx_calls_open(struct fmx_calls *calls, struct fmx_shard *shard)
{
    calls->shard = shard;
    return fmx_slab_open(&calls->slab, sizeof(struct fmx_call), CALLS_MAX);
}

/* The record goes first: what `done` does may begin the next call. */
static void end(struct fmx_calls *calls, struct fmx_call *call,
                const struct fmx_gateway_answer *answer)
{
    fmx_gateway_answered *done = call->done;
    void *user = call->user;

    fmx_wheel_disarm(&calls->shard->wheel, &call->timer);
    fmx_slab_give(&calls->slab, call);
    fmx_count_down(&calls->shard->counters.calls_now, 1);
    done(user, answer);
}

void fmx_calls_end_all(struct fmx_calls *calls)
{
    uint32_t cursor = 0;
    struct fmx_call *call;

    while (calls->shard != NULL && (call = fmx_slab_next(&calls->slab, &cursor)) != NULL) {
        end(calls, call,
            &(struct fmx_gateway_answer){.code = FMX_CALL_UNKNOWN,
                                         .message_id = id_of(calls, call)});
    }
}

void fmx_calls_close(struct fmx_calls *calls)
{
    if (calls->shard != NULL) {
        FMX_ASSERT(calls->slab.used == 0);
        fmx_slab_close(&calls->slab);
    }
}

bool fmx_calls_begin(struct fmx_calls *calls, struct fmx_order *order, uint32_t identity)
{
    struct fmx_call *call = fmx_slab_take(&calls->slab);

    if (call == NULL) {
        return false;
    }
    call->done = order->done.answered;
    call->user = order->user;
    call->hash_tag = hash_tag(order->hash);
    call->identity = identity;
    call->timer.kind = FMX_TIMER_ROLE;
    call->timer.sub_kind = FMX_GATEWAY_TIMER_CALL;
    fmx_wheel_arm(&calls->shard->wheel, &call->timer,
                  order->since_ns + order->timeout_ms * FMX_NS_PER_MS);
    order->number = id_of(calls, call);
    order->done.answered = NULL; /* from here on the call ends it, and not the order */
    fmx_count(&calls->shard->counters.calls_begun, 1);
    fmx_count(&calls->shard->counters.calls_now, 1);
    return true;
}

bool fmx_call_is_for(const struct fmx_call *call, uint64_t hash)
{
    return call->hash_tag == hash_tag(hash);
}

static struct fmx_call *find(struct fmx_calls *calls, uint64_t message_id)
{
    uint32_t slot = (uint32_t)(message_id >> ID_SLOT_SHIFT) & (FMX_SLAB_SLOTS_MAX - 1);
    struct fmx_call *call = fmx_slab_peek(&calls->slab, slot);

    return call != NULL && id_of(calls, call) == message_id ? call : NULL;
}

void fmx_calls_answer(struct fmx_calls *calls, uint64_t message_id, uint64_t hash,
                      fmx_slice payload)
{
    struct fmx_call *call = find(calls, message_id);

    if (call == NULL || !fmx_call_is_for(call, hash)) {
        fmx_count(&calls->shard->counters.call_answers_late, 1);
        return;
    }
    fmx_count(&calls->shard->counters.calls_answered, 1);
    end(calls, call,
        &(struct fmx_gateway_answer){
            .code = FMX_CALL_SUCCESS, .message_id = message_id, .payload = payload});
}

static _Atomic uint64_t *counter_of(struct fmx_calls *calls, enum fmx_call_code code)
{
    struct fmx_counters *counters = &calls->shard->counters;

    switch (code) {
    case FMX_CALL_TIMEOUT:
        return &counters->calls_timeout;
    case FMX_CALL_OFFLINE:
        return &counters->calls_offline;
    case FMX_CALL_HALFCONN:
        return &counters->calls_halfconn;
    default:
        return &counters->calls_unknown;
    }
}

static void end_with(struct fmx_calls *calls, struct fmx_call *call, enum fmx_call_code code)
{
    fmx_count(counter_of(calls, code), 1);
    end(calls, call, &(struct fmx_gateway_answer){.code = code, .message_id = id_of(calls, call)});
}

void fmx_calls_end(struct fmx_calls *calls, uint64_t message_id, enum fmx_call_code code)
{
    struct fmx_call *call = find(calls, message_id);

    if (call != NULL) {
        end_with(calls, call, code);
    }
}

struct fmx_call *fmx_calls_of_timer(struct fmx_timer *timer)
{
    return (struct fmx_call *)((char *)timer - offsetof(struct fmx_call, timer));
}

void fmx_calls_on_timer(struct fmx_calls *calls, struct fmx_call *call, bool is_there)
{
    end_with(calls, call, is_there ? FMX_CALL_TIMEOUT : FMX_CALL_HALFCONN);
}
