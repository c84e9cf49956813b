/*
 * recorder.h — watches a running fleet and keeps its result
 */
#ifndef FMX_TOOLS_RECORDER_H
#define FMX_TOOLS_RECORDER_H

#include "tools/fleetmux/result.h"

struct recorder;

/* Of `count` clients of a group those that this process has. */
static inline uint32_t recorder_clients_of_part(const struct fmx_fleet_plan *plan, uint32_t count)
{
    uint32_t parts = plan->parts_count > 0 ? plan->parts_count : 1;

    return count / parts + (count % parts > plan->part ? 1 : 0);
}

/* `result` is the caller's, and already says what the run is; `plan` is not needed afterwards.
   NULL: no memory. */
struct recorder *recorder_open(const struct fmx_fleet *fleet, const struct fmx_fleet_plan *plan,
                               struct result *result);
void recorder_close(struct recorder *recorder);

/* Looks once; to be called some times a second. Adds a row when a second is over. */
void recorder_poll(struct recorder *recorder);

/* Before fmx_fleet_stop, and after it. */
void recorder_drain(struct recorder *recorder);
void recorder_end(struct recorder *recorder);

/* What was measured since this or the last call: for searches, which have seconds of their own. */
void recorder_since(struct recorder *recorder, enum fmx_fleet_latency latency,
                    struct fmx_distribution *out_since);

#endif
