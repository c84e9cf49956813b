/*
 * fleet_view — a copy of what a run has to tell, for threads beside the one that watches it
 *
 * Why it is so:   who scrapes or asks must not hold the watching thread up, nor see half of what
 *                 belongs together. The distributions, of 270 KB each, are not copied: what
 *                 Prometheus wants of them are some twenty counts, worked out when they have grown
 * Invariants:     what only grows in the result only grows here
 * Memory:         one block for the view, one each for groups and thresholds
 * Threads:        one at a time; fleet_serving.c has the lock
 * Limits:         of several groups the counters are those of the last whole second. A duration
 *                 counts as longer than a bound if the bucket it is in goes beyond it:
 *                 by less than 0.1 %
 * Not here:       text: fleet_metrics.c, JSON: fleet_status.c
 */
#include "tools/fleetmux/fleet_view.h"
#include "tools/fleetmux/fleet_tell.h"

#include <stdlib.h>
#include <string.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

const uint64_t fleet_view_bounds_ns[FLEET_VIEW_BOUNDS] = {
    10 * US,   25 * US, 50 * US, 100 * US, 250 * US, 500 * US, 1 * MS,   2500 * US,
    5 * MS,    10 * MS, 25 * MS, 50 * MS,  100 * MS, 250 * MS, 500 * MS, 1 * S,
    2500 * MS, 5 * S,   10 * S,  20 * S,   30 * S,   45 * S,   60 * S,
};

/* ── opening ── */

struct fleet_view *fleet_view_open(void)
{
    return calloc(1, sizeof(struct fleet_view));
}

void fleet_view_close(struct fleet_view *view)
{
    if (view != NULL) {
        free(view->told.groups);
        free(view->told.thresholds);
        free(view);
    }
}

/* ── durations ── */

static double middle_s(uint32_t bucket)
{
    uint64_t below_ns = bucket == 0 ? 0 : fmx_distribution_edge_ns(bucket - 1);

    return ((double)below_ns + (double)fmx_distribution_edge_ns(bucket)) / 2e9;
}

static void count_durations(const struct fmx_distribution *distribution,
                            struct fleet_histogram *out_histogram)
{
    uint64_t counted = 0;
    double sum_s = 0;
    size_t bound = 0;

    if (distribution->total == out_histogram->total) {
        return;
    }
    uint32_t last = fmx_distribution_bucket(distribution->max_ns);
    for (uint32_t i = fmx_distribution_bucket(distribution->min_ns); i <= last; i++) {
        if (distribution->counts[i] == 0) {
            continue;
        }
        uint64_t edge_ns = fmx_distribution_edge_ns(i);
        while (bound < FLEET_VIEW_BOUNDS && edge_ns > fleet_view_bounds_ns[bound]) {
            out_histogram->up_to[bound++] = counted;
        }
        counted += distribution->counts[i];
        sum_s += (double)distribution->counts[i] * middle_s(i);
    }
    while (bound < FLEET_VIEW_BOUNDS) {
        out_histogram->up_to[bound++] = counted;
    }
    out_histogram->total = counted;
    out_histogram->sum_s = sum_s;
}

/* ── copying ── */

/* A copy of `count` items in place of `*copy`, which had `had`. False: no memory. */
static bool copy_items(void **copy, size_t had, const void *items, size_t count, size_t item_bytes)
{
    if (had != count || *copy == NULL) {
        free(*copy);
        *copy = count > 0 ? malloc(count * item_bytes) : NULL;
    }
    if (*copy != NULL) {
        memcpy(*copy, items, count * item_bytes);
    }
    return count == 0 || *copy != NULL;
}

static bool copy_told(struct result *told, const struct result *result)
{
    void *groups = told->groups, *thresholds = told->thresholds;
    size_t groups_count = told->groups_count, thresholds_count = told->thresholds_count;

    *told = *result;
    told->path = told->command = told->scenario = NULL;
    told->parts = NULL;
    told->rows = NULL;
    told->stages = NULL;
    told->steps = NULL;
    told->rows_count = told->rows_capacity = told->stages_count = told->steps_count = 0;
    memset(told->distributions, 0, sizeof(told->distributions));
    bool has_groups = copy_items(&groups, groups_count, result->groups, result->groups_count,
                                 sizeof(*result->groups));
    bool has_thresholds = copy_items(&thresholds, thresholds_count, result->thresholds,
                                     result->thresholds_count, sizeof(*result->thresholds));
    told->groups = groups;
    told->groups_count = has_groups ? result->groups_count : 0;
    told->thresholds = thresholds;
    told->thresholds_count = has_thresholds ? result->thresholds_count : 0;
    if (told->groups_count == 1) {
        told->groups[0].counters = result->counters; /* which are of now, not of the last second */
    }
    for (size_t i = 0; i < told->groups_count && told->groups_count > 1; i++) {
        if (result->rows_count == 0) { /* the last whole second is that before the first */
            told->groups[i].counters.clients_waiting = told->groups[i].clients_count;
        }
    }
    return has_groups && has_thresholds;
}

static void add_times(struct fleet_view *view, const struct result *result)
{
    for (; view->rows_added < result->rows_count; view->rows_added++) {
        view->rows_cpu_ns += result->rows[view->rows_added].cpu_ns;
        view->rows_cpu_wait_ns += result->rows[view->rows_added].cpu_wait_ns;
    }
    view->cpu_ns = view->rows_cpu_ns + result->running.cpu_ns;
    view->cpu_wait_ns = view->rows_cpu_wait_ns + result->running.cpu_wait_ns;
}

bool fleet_view_copy(struct fleet_view *view, const struct result *result)
{
    bool is_whole = copy_told(&view->told, result);

    for (size_t i = 0; i < FMX_FLEET_LATENCIES; i++) {
        count_durations(result->distributions[i], &view->histograms[i]);
    }
    view->stage[0] = '\0';
    if (result->stage < result->stages_count) {
        memcpy(view->stage, result->stages[result->stage].name, sizeof(view->stage));
    }
    add_times(view, result);
    view->publishes_per_second = TELL_RATE(result, publishes_sent);
    view->publishes_wanted = tell_publishes_wanted(result);
    view->connects_per_second = TELL_RATE(result, connects_ok);
    view->connects_wanted = tell_connects_wanted(result);
    return is_whole;
}
