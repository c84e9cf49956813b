/*
 * histogram — counts of durations at three significant digits, one writer, any readers
 *
 * Why it is so:   percentiles are asked for seldom and durations recorded all the time, so
 *                 recording is a bit scan and a few plain stores, and all thinking is left to the
 *                 reader. Buckets as wide as 1/1024 of what they count keep every answer within
 *                 0.1 %; averages and fixed bounds would hide just the tail that one looks for
 * Words:          bucket: a range of durations counted together; its edge: the highest of them
 * Invariants:     (1) for the writer, `total` is the sum of `counts`  (2) min and max are stored
 *                 before the count they belong to, so a reader who sees the count sees them
 *                 (3) an answer is never below the true one, at most 1/1024 above it, and within
 *                 min … max
 * Memory:         270 KB in the caller's hands; owns nothing
 * Threads:        one writer: its loads may be relaxed, nobody else stores. Counts are stored with
 *                 release and read with acquire (plain moves on x86), which makes (2) hold. A
 *                 reader gets each count as it was at some moment during the reading
 * Limits:         2^42 ns (73 minutes); what is longer counts in the last bucket, and percentiles
 *                 that fall there answer with the maximum
 */
#include "engine/histogram.h"

#include <assert.h>
#include <fleetmux/private/assert.h>

#define LINEAR_BITS 11 /* up to 2^11 ns, a bucket is one nanosecond */
#define STEP_BITS   10 /* above, every doubling has 2^10 buckets */
#define LINEAR      (1u << LINEAR_BITS)
#define STEPS       (1u << STEP_BITS)
#define LAST        (FMX_HISTOGRAM_BUCKETS - 1)
#define VALUE_BITS  42

static_assert(FMX_HISTOGRAM_BUCKETS == LINEAR + (VALUE_BITS - LINEAR_BITS) * STEPS,
              "the last bucket ends at 2^42");

static uint64_t load(const _Atomic uint64_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

static void store(_Atomic uint64_t *field, uint64_t value)
{
    atomic_store_explicit(field, value, memory_order_relaxed);
}

static uint32_t bucket_of(uint64_t value_ns)
{
    if (value_ns < LINEAR) {
        return (uint32_t)value_ns;
    }
    if (value_ns >> VALUE_BITS != 0) {
        return LAST;
    }
    unsigned doubling = 63u - (unsigned)__builtin_clzll(value_ns) - LINEAR_BITS;
    uint32_t step = (uint32_t)(value_ns >> (doubling + LINEAR_BITS - STEP_BITS)) - STEPS;
    return LINEAR + doubling * STEPS + step;
}

/* The highest duration of a bucket. */
static uint64_t edge_of(uint32_t bucket)
{
    if (bucket < LINEAR) {
        return bucket;
    }
    unsigned doubling = (bucket - LINEAR) / STEPS;
    uint64_t step = (bucket - LINEAR) % STEPS + STEPS;
    return ((step + 1) << (doubling + LINEAR_BITS - STEP_BITS)) - 1;
}

/* Counts `count` durations of a bucket whose extremes have been stored before (2). */
static void add_to_bucket(struct fmx_histogram *histogram, uint32_t bucket, uint64_t count)
{
    atomic_store_explicit(&histogram->counts[bucket], load(&histogram->counts[bucket]) + count,
                          memory_order_release);
    store(&histogram->total, load(&histogram->total) + count);
}

static void widen(struct fmx_histogram *histogram, uint64_t min_ns, uint64_t max_ns)
{
    if (min_ns < load(&histogram->min_ns)) {
        store(&histogram->min_ns, min_ns);
    }
    if (max_ns > load(&histogram->max_ns)) {
        store(&histogram->max_ns, max_ns);
    }
}

void fmx_histogram_init(struct fmx_histogram *histogram)
{
    for (uint32_t i = 0; i < FMX_HISTOGRAM_BUCKETS; i++) {
        atomic_init(&histogram->counts[i], 0);
    }
    atomic_init(&histogram->total, 0);
    atomic_init(&histogram->min_ns, UINT64_MAX);
    atomic_init(&histogram->max_ns, 0);
}

void fmx_histogram_record(struct fmx_histogram *histogram, uint64_t value_ns)
{
    widen(histogram, value_ns, value_ns);
    add_to_bucket(histogram, bucket_of(value_ns), 1);
}

void fmx_histogram_add(struct fmx_histogram *into, const struct fmx_histogram *from)
{
    FMX_ASSERT(into != from);
    for (uint32_t i = 0; i < FMX_HISTOGRAM_BUCKETS; i++) {
        uint64_t count = atomic_load_explicit(&from->counts[i], memory_order_acquire);
        if (count > 0) {
            add_to_bucket(into, i, count);
        }
    }
    widen(into, load(&from->min_ns), load(&from->max_ns)); /* after the counts (2) */
}

/* The rank, from 1, of the duration that a fraction asks for. */
static uint64_t rank_of(double fraction, uint64_t total)
{
    double exact = fraction * (double)total;
    uint64_t rank = exact < 1 ? 1 : (uint64_t)exact;

    rank += (double)rank < exact;
    return rank < total ? rank : total;
}

static uint32_t bucket_of_rank(const struct fmx_histogram *histogram, uint64_t rank)
{
    uint32_t bucket = bucket_of(load(&histogram->min_ns));
    uint64_t seen = load(&histogram->counts[bucket]);

    while (seen < rank && bucket < LAST) {
        bucket++;
        seen += load(&histogram->counts[bucket]);
    }
    return bucket;
}

uint64_t fmx_histogram_percentile(const struct fmx_histogram *histogram, double fraction)
{
    uint64_t total = load(&histogram->total);
    uint64_t max_ns = load(&histogram->max_ns);

    FMX_ASSERT(fraction >= 0 && fraction <= 1);
    if (total == 0) {
        return 0;
    }
    uint32_t bucket = bucket_of_rank(histogram, rank_of(fraction, total));
    if (bucket == LAST || edge_of(bucket) > max_ns) {
        return max_ns;
    }
    return edge_of(bucket);
}

void fmx_histogram_summary(const struct fmx_histogram *histogram, struct fmx_latency *out_latency)
{
    *out_latency = (struct fmx_latency){.count = load(&histogram->total)};
    if (out_latency->count == 0) {
        return;
    }
    out_latency->min_ns = load(&histogram->min_ns);
    out_latency->p50_ns = fmx_histogram_percentile(histogram, 0.5);
    out_latency->p90_ns = fmx_histogram_percentile(histogram, 0.9);
    out_latency->p99_ns = fmx_histogram_percentile(histogram, 0.99);
    out_latency->p999_ns = fmx_histogram_percentile(histogram, 0.999);
    out_latency->max_ns = load(&histogram->max_ns);
}
