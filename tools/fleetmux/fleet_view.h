/*
 * fleet_view.h — a copy of what a run has to tell, for threads beside the one that watches it
 */
#ifndef FMX_TOOLS_FLEET_VIEW_H
#define FMX_TOOLS_FLEET_VIEW_H

#include "tools/fleetmux/fleet.h"

#define FLEET_VIEW_BOUNDS 23

/* Durations of a latency, of the whole run. */
struct fleet_histogram {
    uint64_t up_to[FLEET_VIEW_BOUNDS]; /* so many took at most fleet_view_bounds_ns */
    uint64_t total;
    double sum_s; /* each taken as the middle of its bucket */
};

/* 10 us … 60 s, rising. */
extern const uint64_t fleet_view_bounds_ns[FLEET_VIEW_BOUNDS];

struct fleet_view {
    struct result told; /* of its pointers only groups and thresholds are set: to copies */
    struct fleet_histogram histograms[FMX_FLEET_LATENCIES];
    char stage[64];
    double publishes_per_second, publishes_wanted; /* in the last second */
    double connects_per_second, connects_wanted;
    uint64_t cpu_ns, cpu_wait_ns; /* of all shards, since start */
    size_t rows_added;            /* whose times are in the next two */
    uint64_t rows_cpu_ns, rows_cpu_wait_ns;
};

/* Empty. NULL: no memory. */
struct fleet_view *fleet_view_open(void);
void fleet_view_close(struct fleet_view *view);

/* Makes it a copy of the result; what has not changed is not worked out again. False: no memory,
   and groups and thresholds are left out. */
bool fleet_view_copy(struct fleet_view *view, const struct result *result);

/* fleet_metrics.c: all of it as Prometheus text, format 0.0.4. */
void fleet_metrics_print(const struct fleet_view *view, FILE *out);

/* fleet_status.c: the same in short, as members of a JSON object. */
struct json_object;
void fleet_status_add(const struct fleet_view *view, struct json_object *object);

#endif
