/*
 * histogram.h — a distribution that one thread counts into while others read
 *
 * Counters are written with plain atomic stores by the owning shard, so that a copy made by another
 * thread is defined. What the counts tell is asked of the copy: fleetmux/distribution.h.
 */
#ifndef ENGINE_HISTOGRAM_H
#define ENGINE_HISTOGRAM_H

#include <fleetmux/distribution.h>
#include <stdatomic.h>

/* All zero but for min_ns is an empty one: fmx_histogram_init_zeroed. */
struct fmx_histogram {
    _Atomic uint64_t counts[FMX_DISTRIBUTION_BUCKETS];
    _Atomic uint64_t total;
    _Atomic uint64_t min_ns; /* UINT64_MAX while empty */
    _Atomic uint64_t max_ns;
};

/* Of zeroed memory, so that pages in which nothing is counted are never touched. */
void fmx_histogram_init_zeroed(struct fmx_histogram *zeroed);

/* Owning thread only. */
void fmx_histogram_record(struct fmx_histogram *histogram, uint64_t value_ns);

/* Adds what it holds to a distribution of the caller's. Any thread. */
void fmx_histogram_add_to(const struct fmx_histogram *histogram, struct fmx_distribution *into);

static inline uint64_t fmx_histogram_count(const struct fmx_histogram *histogram)
{
    return atomic_load_explicit(&histogram->total, memory_order_relaxed);
}

#endif
