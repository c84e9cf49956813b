/*
 * distribution — how often which duration was seen: plain counts, and what they tell
 *
 * Why it is so:   percentiles are asked for seldom, so all thinking is done here, by whoever asks,
 *                 over counts that add up exactly. Buckets as wide as 1/1024 of what they count
 *                 keep every answer within 0.1 %; averages and fixed bounds would hide just the
 *                 tail that one looks for
 * Words:          bucket: a range of durations counted together; its edge: the highest of them
 * Invariants:     (1) `total` is the sum of `counts`  (2) an answer is never below the true one, at
 *                 most 1/1024 above it, and within min … max
 * Memory:         270 KB in the caller's hands; owns nothing
 * Threads:        one at a time
 * Limits:         2^42 ns (73 minutes); percentiles that fall beyond answer with the maximum
 * Not here:       counting while others read: histogram.c
 */
#include <fleetmux/distribution.h>
#include <fleetmux/private/assert.h>

#include <assert.h>
#include <string.h>

#define LINEAR_BITS 11 /* up to 2^11 ns, a bucket is one nanosecond */
#define STEP_BITS   10 /* above, every doubling has 2^10 buckets */
#define LINEAR      (1u << LINEAR_BITS)
#define STEPS       (1u << STEP_BITS)
#define LAST        (FMX_DISTRIBUTION_BUCKETS - 1)
#define VALUE_BITS  42

static_assert(FMX_DISTRIBUTION_BUCKETS == LINEAR + (VALUE_BITS - LINEAR_BITS) * STEPS,
              "the last bucket ends at 2^42");

uint32_t fmx_distribution_bucket(uint64_t value_ns)
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

uint64_t fmx_distribution_edge_ns(uint32_t bucket)
{
    if (bucket < LINEAR) {
        return bucket;
    }
    unsigned doubling = (bucket - LINEAR) / STEPS;
    uint64_t step = (bucket - LINEAR) % STEPS + STEPS;
    return ((step + 1) << (doubling + LINEAR_BITS - STEP_BITS)) - 1;
}

static uint64_t least_of(uint32_t bucket)
{
    return bucket == 0 ? 0 : fmx_distribution_edge_ns(bucket - 1) + 1;
}

/* ── counting ── */

void fmx_distribution_init(struct fmx_distribution *distribution)
{
    memset(distribution, 0, sizeof(*distribution));
    distribution->min_ns = UINT64_MAX;
}

static void widen(struct fmx_distribution *distribution, uint64_t min_ns, uint64_t max_ns)
{
    distribution->min_ns = min_ns < distribution->min_ns ? min_ns : distribution->min_ns;
    distribution->max_ns = max_ns > distribution->max_ns ? max_ns : distribution->max_ns;
}

void fmx_distribution_record(struct fmx_distribution *distribution, uint64_t value_ns,
                             uint64_t count)
{
    if (count > 0) {
        distribution->counts[fmx_distribution_bucket(value_ns)] += count;
        distribution->total += count;
        widen(distribution, value_ns, value_ns);
    }
}

void fmx_distribution_add(struct fmx_distribution *into, const struct fmx_distribution *from)
{
    FMX_ASSERT(into != from);
    for (uint32_t i = 0; i < FMX_DISTRIBUTION_BUCKETS; i++) {
        into->counts[i] += from->counts[i];
    }
    into->total += from->total;
    widen(into, from->min_ns, from->max_ns);
}

void fmx_distribution_since(const struct fmx_distribution *later,
                            const struct fmx_distribution *earlier,
                            struct fmx_distribution *out_between)
{
    uint32_t last = 0;

    FMX_ASSERT(out_between != later && out_between != earlier);
    fmx_distribution_init(out_between);
    for (uint32_t i = 0; i < FMX_DISTRIBUTION_BUCKETS; i++) {
        uint64_t count = later->counts[i] - earlier->counts[i];
        FMX_ASSERT(later->counts[i] >= earlier->counts[i]);
        out_between->counts[i] = count;
        out_between->total += count;
        if (count > 0) {
            last = i;
            if (out_between->min_ns == UINT64_MAX) {
                out_between->min_ns = least_of(i);
            }
        }
    }
    if (out_between->total == 0) {
        return;
    }
    uint64_t edge_ns = last == LAST ? later->max_ns : fmx_distribution_edge_ns(last);
    out_between->max_ns = edge_ns < later->max_ns ? edge_ns : later->max_ns;
    if (out_between->min_ns < later->min_ns) {
        out_between->min_ns = later->min_ns;
    }
}

/* ── asking ── */

/* The rank, from 1, of the duration that a fraction asks for. */
static uint64_t rank_of(double fraction, uint64_t total)
{
    double exact = fraction * (double)total;
    uint64_t rank = exact < 1 ? 1 : (uint64_t)exact;

    rank += (double)rank < exact;
    return rank < total ? rank : total;
}

uint64_t fmx_distribution_percentile(const struct fmx_distribution *distribution, double fraction)
{
    FMX_ASSERT(fraction >= 0 && fraction <= 1);
    if (distribution->total == 0) {
        return 0;
    }
    uint64_t rank = rank_of(fraction, distribution->total);
    uint32_t bucket = fmx_distribution_bucket(distribution->min_ns);
    uint64_t seen = distribution->counts[bucket];
    while (seen < rank && bucket < LAST) {
        bucket++;
        seen += distribution->counts[bucket];
    }
    uint64_t edge_ns = fmx_distribution_edge_ns(bucket);
    return bucket == LAST || edge_ns > distribution->max_ns ? distribution->max_ns : edge_ns;
}

double fmx_distribution_mean(const struct fmx_distribution *distribution)
{
    double sum = 0;

    for (uint32_t i = 0; i < FMX_DISTRIBUTION_BUCKETS; i++) {
        if (distribution->counts[i] > 0) {
            uint64_t edge_ns = i == LAST ? distribution->max_ns : fmx_distribution_edge_ns(i);
            sum += (double)distribution->counts[i] *
                   ((double)least_of(i) + (double)(edge_ns - least_of(i)) / 2);
        }
    }
    return distribution->total == 0 ? 0 : sum / (double)distribution->total;
}

void fmx_distribution_summary(const struct fmx_distribution *distribution,
                              struct fmx_latency *out_latency)
{
    *out_latency = (struct fmx_latency){.count = distribution->total};
    if (distribution->total == 0) {
        return;
    }
    out_latency->min_ns = distribution->min_ns;
    out_latency->p50_ns = fmx_distribution_percentile(distribution, 0.5);
    out_latency->p90_ns = fmx_distribution_percentile(distribution, 0.9);
    out_latency->p99_ns = fmx_distribution_percentile(distribution, 0.99);
    out_latency->p999_ns = fmx_distribution_percentile(distribution, 0.999);
    out_latency->max_ns = distribution->max_ns;
}
