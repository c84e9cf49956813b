/*
 * stats — the counters of one shard, added up to a snapshot
 *
 * Threads:        any; see stats.h for why that is defined
 * Not here:       distributions: histogram.c
 */
#include "engine/stats.h"

void fmx_stats_add(struct fmx_stats *into, const struct fmx_counters *from)
{
    uint64_t longest = into->turn_ns_longest;

#define ADD(name, words) into->name += atomic_load_explicit(&from->name, memory_order_relaxed);
    FMX_STATS_LIST(ADD)
#undef ADD
    uint64_t own = into->turn_ns_longest - longest;
    into->turn_ns_longest = own > longest ? own : longest;
}
