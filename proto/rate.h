/*
 * rate.h — a token bucket in integers: how many messages per second
 *
 * The limit (rate and burst) is shared by many buckets and may change while they run; a bucket is
 * 16 bytes of state.
 */
#ifndef PROTO_RATE_H
#define PROTO_RATE_H

#include "proto/limits.h"
#include <fleetmux/error.h>
#include <fleetmux/types.h>

struct fmx_rate_limit {
    uint32_t per_second; /* 1 … FMX_RATE_PER_SECOND_MAX */
    uint32_t burst;      /* tokens that may be saved up, 1 … FMX_RATE_PER_SECOND_MAX */
};

struct fmx_bucket {
    uint64_t level;    /* tokens × 10⁹: one token is 10⁹, one nanosecond adds `per_second` */
    uint64_t stamp_ns; /* when `level` was true */
};

static_assert(sizeof(struct fmx_bucket) == 16, "a bucket lives in every session");

/* A full bucket at `now_ns`. */
void fmx_bucket_init(struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                     uint64_t now_ns);

/*
 * Takes one token. FMX_OK, or FMX_LATER and nothing taken. Time that stands still or runs backwards
 * adds nothing. No drift: over any span, granted ≤ burst + rate × span, and a bucket that never
 * runs full grants exactly what flows in. (With a burst of 1 it is full at each grant: then two
 * grants are a whole number of nanoseconds apart.)
 */
enum fmx_status fmx_bucket_take(struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                                uint64_t now_ns) FMX_MUST_USE;

/* When the bucket is full if nothing is taken any more; `now_ns` if it is. */
uint64_t fmx_bucket_full_ns(const struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                            uint64_t now_ns);

/* As at `now_ns` one is that will be full at `full_ns`: what a bucket was, after its limit or owner
   has changed. Times beyond what a bucket can lack mean an empty one. */
void fmx_bucket_restore(struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                        uint64_t full_ns, uint64_t now_ns);

/* The least time from `now_ns` after which a take succeeds; 0 if it would now. */
uint64_t fmx_bucket_wait_ns(const struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                            uint64_t now_ns);

#endif
