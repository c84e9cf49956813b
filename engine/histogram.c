/*
 * histogram — a distribution that one thread counts into while others read
 *
 * Why it is so:   durations are recorded all the time and read seldom, so recording is a bit scan
 *                 and a few plain stores, and a reader pays for what he wants to know
 * Invariants:     (1) for the writer, `total` is the sum of `counts`  (2) min and max are stored
 *                 before the count they belong to, so a reader who sees the count sees them
 * Memory:         270 KB in the caller's hands; owns nothing
 * Threads:        one writer: its loads may be relaxed, nobody else stores. Counts are stored with
 *                 release and read with acquire (plain moves on x86), which makes (2) hold. A
 *                 reader gets each count as it was at some moment during the reading
 * Not here:       buckets, percentiles: distribution.c
 */
#include "engine/histogram.h"

static uint64_t load(const _Atomic uint64_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

static void store(_Atomic uint64_t *field, uint64_t value)
{
    atomic_store_explicit(field, value, memory_order_relaxed);
}

void fmx_histogram_init_zeroed(struct fmx_histogram *zeroed)
{
    store(&zeroed->min_ns, UINT64_MAX);
}

void fmx_histogram_record(struct fmx_histogram *histogram, uint64_t value_ns)
{
    _Atomic uint64_t *count = &histogram->counts[fmx_distribution_bucket(value_ns)];

    if (value_ns < load(&histogram->min_ns)) {
        store(&histogram->min_ns, value_ns);
    }
    if (value_ns > load(&histogram->max_ns)) {
        store(&histogram->max_ns, value_ns);
    }
    atomic_store_explicit(count, load(count) + 1, memory_order_release);
    store(&histogram->total, load(&histogram->total) + 1);
}

void fmx_histogram_add_to(const struct fmx_histogram *histogram, struct fmx_distribution *into)
{
    for (uint32_t i = 0; i < FMX_DISTRIBUTION_BUCKETS; i++) {
        uint64_t count = atomic_load_explicit(&histogram->counts[i], memory_order_acquire);
        into->counts[i] += count;
        into->total += count;
    }
    uint64_t min_ns = load(&histogram->min_ns), max_ns = load(&histogram->max_ns); /* (2) */
    into->min_ns = min_ns < into->min_ns ? min_ns : into->min_ns;
    into->max_ns = max_ns > into->max_ns ? max_ns : into->max_ns;
}
