/*
 * latency — a log-linear histogram of nanoseconds, 64 steps per doubling (1.6 % wide)
 *
 * Why it is so:   a percentile must not cost memory by the message, and must be as exact at 10 µs
 *                 as at 1 s. A bucket answers with its upper edge, never with less.
 */
#include "bench/latency.h"

uint64_t latency_upper_edge_ns(unsigned bucket)
{
    unsigned steps = 1u << LATENCY_STEP_BITS;
    if (bucket < steps) {
        return bucket;
    }
    unsigned shift = (bucket >> LATENCY_STEP_BITS) - 1;
    uint64_t mantissa = (bucket & (steps - 1)) + steps;
    return ((mantissa + 1) << shift) - 1;
}

double latency_percentile_us(const struct latency *latency, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)latency->count);
    uint64_t passed = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        passed += latency->buckets[i];
        if (passed > wanted) {
            uint64_t edge = latency_upper_edge_ns(i);
            return (double)(edge < latency->max_ns ? edge : latency->max_ns) / 1e3;
        }
    }
    return (double)latency->max_ns / 1e3;
}
