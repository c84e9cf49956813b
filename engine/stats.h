/*
 * stats.h — the counters of one shard: written by it alone, read by anyone
 *
 * A counter is an atomic that its shard loads, adds to and stores, all relaxed: on every machine we
 * know that is the plain addition it looks like, and a snapshot from another thread is defined.
 */
#ifndef ENGINE_STATS_H
#define ENGINE_STATS_H

#include <fleetmux/stats.h>
#include <stdatomic.h>

struct fmx_counters {
#define FMX_COUNTER_FIELD(name, words) _Atomic uint64_t name;
    FMX_STATS_LIST(FMX_COUNTER_FIELD)
#undef FMX_COUNTER_FIELD
};

static inline void fmx_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void fmx_count_down(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) - n,
                          memory_order_relaxed);
}

static inline void fmx_count_set(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* Adds a shard's counters to a snapshot; the longest turn is a maximum, all else a sum. */
void fmx_stats_add(struct fmx_stats *into, const struct fmx_counters *from);

#endif
