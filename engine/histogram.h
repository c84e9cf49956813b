/*
 * histogram.h — counts of durations at three significant digits, one writer, any readers
 *
 * Log-linear: 2,048 buckets of 1 ns, then 1,024 for every doubling, up to 2^42 ns (73 minutes);
 * larger values count in the last bucket, the true maximum is kept beside. Counters are written
 * with plain atomic stores by the owning shard, so that a snapshot from another thread is defined.
 */
#ifndef ENGINE_HISTOGRAM_H
#define ENGINE_HISTOGRAM_H

#include <fleetmux/stats.h>
#include <stdatomic.h>

#define FMX_HISTOGRAM_BUCKETS (2048u + 31u * 1024u)

struct fmx_histogram {
    _Atomic uint64_t counts[FMX_HISTOGRAM_BUCKETS];
    _Atomic uint64_t total;
    _Atomic uint64_t min_ns; /* UINT64_MAX while empty */
    _Atomic uint64_t max_ns;
};

void fmx_histogram_init(struct fmx_histogram *histogram);

/* Owning thread only. */
void fmx_histogram_record(struct fmx_histogram *histogram, uint64_t value_ns);

/*
 * Adds `from` (which may be written meanwhile, by its own thread) to `into`, which is the caller's
 * own: the way of other threads to read one.
 */
void fmx_histogram_add(struct fmx_histogram *into, const struct fmx_histogram *from);

/*
 * The smallest value that at least `fraction` (0 … 1) of all are not above, or up to 0.1 % more; 0
 * if empty. This and the summary: owning thread only.
 */
uint64_t fmx_histogram_percentile(const struct fmx_histogram *histogram, double fraction);

void fmx_histogram_summary(const struct fmx_histogram *histogram, struct fmx_latency *out_latency);

#endif
