/*
 * distribution.h — how often which duration was seen, at three significant digits
 *
 * Plain counts that one thread owns: what fmx_fleet_distribution fills in, what two runs or two
 * moments of one are added up or taken apart with. 2,048 buckets of 1 ns, then 1,024 for every
 * doubling, up to 2^42 ns (73 minutes); longer ones count in the last bucket, and the true maximum
 * is kept beside. 270 KB: keep it on the heap.
 *
 * Threads: no call shares anything; one distribution belongs to one thread at a time.
 */
#ifndef FLEETMUX_DISTRIBUTION_H
#define FLEETMUX_DISTRIBUTION_H

#include <fleetmux/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FMX_DISTRIBUTION_BUCKETS (2048u + 31u * 1024u)

struct fmx_distribution {
    uint64_t counts[FMX_DISTRIBUTION_BUCKETS];
    uint64_t total;  /* the sum of counts */
    uint64_t min_ns; /* UINT64_MAX while empty */
    uint64_t max_ns;
};

FMX_API void fmx_distribution_init(struct fmx_distribution *distribution);

/* Counts one duration `count` times. */
FMX_API void fmx_distribution_record(struct fmx_distribution *distribution, uint64_t value_ns,
                                     uint64_t count);

/* Adds `from` to `into`: exact, as if all had been counted in one. */
FMX_API void fmx_distribution_add(struct fmx_distribution *into,
                                  const struct fmx_distribution *from);

/*
 * What was counted in `later` since `earlier`, an older copy of the same. Its extremes are those of
 * its buckets, since the true ones of a part are not known.
 */
FMX_API void fmx_distribution_since(const struct fmx_distribution *later,
                                    const struct fmx_distribution *earlier,
                                    struct fmx_distribution *out_between);

/*
 * The smallest duration that at least `fraction` (0 … 1) of all are not above, or up to 0.1 % more;
 * 0 if empty.
 */
FMX_API uint64_t fmx_distribution_percentile(const struct fmx_distribution *distribution,
                                             double fraction);

/* The mean, each duration taken as the middle of its bucket; 0 if empty. */
FMX_API double fmx_distribution_mean(const struct fmx_distribution *distribution);

FMX_API void fmx_distribution_summary(const struct fmx_distribution *distribution,
                                      struct fmx_latency *out_latency);

/* The bucket of a duration, and the highest duration of a bucket. */
FMX_API uint32_t fmx_distribution_bucket(uint64_t value_ns);
FMX_API uint64_t fmx_distribution_edge_ns(uint32_t bucket);

#ifdef __cplusplus
}
#endif

#endif
