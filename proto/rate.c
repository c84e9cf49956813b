/*
 * rate — how many messages per second: a token bucket that is exact in integers
 *
 * Why it is so:   limits are written as "so many per second", and 7 per second has no interval in
 *                 whole nanoseconds; counting within calendar seconds would let twice the limit
 *                 pass around each edge. So the bucket counts billionths of a token: one nanosecond
 *                 adds `per_second` of them, a message costs 10⁹, and nothing is ever rounded.
 *                 No division on the way of a message: it is needed only to say how long to wait.
 * Words:          level: what has been saved up, in billionths of a token; full: burst × 10⁹
 * Invariants:     (1) after any call the level is at most full  (2) over any span of length t,
 *                 granted ≤ burst + per_second × t, and a bucket that never runs full grants
 *                 exactly what has flowed in  (3) the waiting time we report is the least after
 *                 which a take succeeds  (4) stamp_ns never decreases, so no span is counted twice
 * Memory:         16 bytes inside a session; owns nothing
 * Threads:        pure; the caller brings the time
 * Limits:         rate and burst 1 … 10⁶, so full ≤ 10¹⁵. What flows in over a long absence would
 *                 leave 64 bits after five hours at the highest rate: the product is checked, and
 *                 one that overflows fills the bucket, as would anything above 10¹⁵. Time that runs
 *                 backwards adds nothing until it has caught up with stamp_ns. A limit that changes
 *                 holds from the next call on, also for the time that has passed since the last.
 * Not here:       what becomes of a message that must wait: the roles
 */
#include "proto/rate.h"

#include <fleetmux/private/assert.h>

static uint64_t level_full(const struct fmx_rate_limit *limit)
{
    FMX_ASSERT(limit->per_second - 1 < FMX_RATE_PER_SECOND_MAX);
    FMX_ASSERT(limit->burst - 1 < FMX_RATE_PER_SECOND_MAX);
    return limit->burst * FMX_NS_PER_S;
}

/* The level at `now_ns`, without touching the bucket. */
static uint64_t level_at(const struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                         uint64_t now_ns)
{
    uint64_t full = level_full(limit);
    uint64_t level = bucket->level < full ? bucket->level : full;
    uint64_t elapsed_ns = now_ns > bucket->stamp_ns ? now_ns - bucket->stamp_ns : 0;
    uint64_t inflow;

    if (__builtin_mul_overflow(elapsed_ns, (uint64_t)limit->per_second, &inflow)) {
        return full;
    }
    return inflow < full - level ? level + inflow : full;
}

void fmx_bucket_init(struct fmx_bucket *bucket, const struct fmx_rate_limit *limit, uint64_t now_ns)
{
    bucket->level = level_full(limit);
    bucket->stamp_ns = now_ns;
}

enum fmx_status fmx_bucket_take(struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                                uint64_t now_ns)
{
    bucket->level = level_at(bucket, limit, now_ns);
    bucket->stamp_ns = now_ns > bucket->stamp_ns ? now_ns : bucket->stamp_ns;
    if (bucket->level < FMX_NS_PER_S) {
        return FMX_LATER;
    }
    bucket->level -= FMX_NS_PER_S;
    return FMX_OK;
}

uint64_t fmx_bucket_wait_ns(const struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                            uint64_t now_ns)
{
    uint64_t level = level_at(bucket, limit, now_ns);
    uint64_t behind_ns = now_ns < bucket->stamp_ns ? bucket->stamp_ns - now_ns : 0;
    uint64_t wait_ns;

    if (level >= FMX_NS_PER_S) {
        return 0;
    }
    wait_ns = (FMX_NS_PER_S - level + limit->per_second - 1) / limit->per_second;
    return wait_ns < UINT64_MAX - behind_ns ? behind_ns + wait_ns : UINT64_MAX;
}

uint64_t fmx_bucket_full_ns(const struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                            uint64_t now_ns)
{
    uint64_t lacking = level_full(limit) - level_at(bucket, limit, now_ns);

    return now_ns + (lacking + limit->per_second - 1) / limit->per_second;
}

void fmx_bucket_restore(struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                        uint64_t full_ns, uint64_t now_ns)
{
    uint64_t full = level_full(limit);
    uint64_t left_ns = full_ns > now_ns ? full_ns - now_ns : 0;
    uint64_t lacking;

    if (__builtin_mul_overflow(left_ns, (uint64_t)limit->per_second, &lacking) || lacking > full) {
        lacking = full;
    }
    bucket->level = full - lacking;
    bucket->stamp_ns = now_ns;
}
