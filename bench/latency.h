/*
 * latency — a log-linear histogram of nanoseconds, 64 steps per doubling (1.6 % wide)
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_STEP_BITS 6
#define LATENCY_BUCKETS   ((64 - LATENCY_STEP_BITS + 1) << LATENCY_STEP_BITS)

struct latency {
    uint64_t buckets[LATENCY_BUCKETS];
    uint64_t count;
    uint64_t max_ns;
};

static inline unsigned latency_bucket(uint64_t value_ns)
{
    if (value_ns < (1u << LATENCY_STEP_BITS)) {
        return (unsigned)value_ns;
    }
    unsigned shift = 63u - (unsigned)__builtin_clzll(value_ns) - LATENCY_STEP_BITS;
    return (shift << LATENCY_STEP_BITS) + (unsigned)(value_ns >> shift);
}

static inline void latency_add(struct latency *latency, uint64_t value_ns)
{
    latency->buckets[latency_bucket(value_ns)]++;
    latency->count++;
    if (value_ns > latency->max_ns) {
        latency->max_ns = value_ns;
    }
}

/* The largest value that falls into a bucket. */
uint64_t latency_upper_edge_ns(unsigned bucket);

/* The value that `share` (0 … 1) of the entries do not exceed, in microseconds; 0 when empty. */
double latency_percentile_us(const struct latency *latency, double share);

#endif
