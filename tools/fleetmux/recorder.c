/*
 * recorder — watches a running fleet and keeps its result
 *
 * Why it is so:   shards only count; somebody has to cut what they count into seconds, without
 *                 costing what is to be measured. Counters are read at every look, distributions
 *                 once a second: each is fetched whole, and what the second has added is kept as a
 *                 short list of buckets, from which the row and the last five seconds are told.
 *                 Full copies would be 270 KB each, and be seen in the memory per client
 * Words:          step: one bucket and how much it grew; second: the steps of one row
 * Invariants:     (1) a row begins where the one before has ended; it ends at the first look after
 *                 a whole second, and says when that was: nothing is made up for looks that came
 *                 late (2) result->distributions are what the last row's end has seen
 * Memory:         one distribution, the lists of five seconds; one distribution more for each
 *                 latency that recorder_since was asked for. Without memory a row is left out
 * Threads:        one; shards are not disturbed
 * Limits:         groups beside the first have their latencies told one group a second, and all of
 *                 them at the end
 * Not here:       what it means: verdict.c
 */
#include "tools/fleetmux/recorder.h"
#include "tools/fleetmux/number.h"
#include "tools/fleetmux/process.h"
#include "tools/fleetmux/verdict.h"

#include <stdlib.h>
#include <string.h>

#define RECENT_ROWS 5

struct step {
    uint32_t bucket;
    uint32_t count;
};

struct second {
    struct step *steps;
    size_t count, capacity;
};

struct watched {
    struct second seconds[RECENT_ROWS];
    size_t newest;
    struct fmx_distribution *mark; /* of recorder_since; NULL: nobody has asked */
};

struct recorder {
    const struct fmx_fleet *fleet;
    struct result *result;
    struct fmx_fleet_snapshot now;
    struct fmx_distribution *scratch; /* empty between calls */
    struct watched watched[FMX_FLEET_LATENCIES];
    uint64_t row_ends_ns;
    uint64_t row_cpu_ns, row_cpu_wait_ns; /* as they were when the row began */
    struct process_segments segments;
    double connects_wanted, publishes_wanted; /* rates at the last look */
    uint64_t looked_ns;
    size_t next_group;
    bool has_drained;
    bool is_bounded; /* some topic has a limit */
};

/* ── opening ── */

static const char *kind_name(enum fmx_fleet_stage_kind kind)
{
    static const char *const names[] = {"ramp", "hold", "churn", "storm", "stop"};

    return (size_t)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

static bool open_groups(const struct fmx_fleet_plan *plan, struct result *result)
{
    result->groups = calloc(plan->groups_count, sizeof(*result->groups));
    if (result->groups == NULL) {
        return false;
    }
    result->groups_count = plan->groups_count;
    for (size_t i = 0; i < plan->groups_count; i++) {
        const struct fmx_fleet_group *group = &plan->groups[i];
        struct result_group *told = &result->groups[i];
        if (group->name != NULL) {
            snprintf(told->name, sizeof(told->name), "%s", group->name);
        } else {
            snprintf(told->name, sizeof(told->name), "group %zu", i + 1);
        }
        told->clients_count = recorder_clients_of_part(plan, group->clients_count);
        told->is_apart = group->manner != FMX_FLEET_HONEST;
    }
    return true;
}

static bool open_stages(const struct fmx_fleet_plan *plan, struct result *result)
{
    static const enum fmx_fleet_stage_kind unplanned[] = {FMX_FLEET_RAMP, FMX_FLEET_HOLD};
    size_t count = plan->stages_count > 0 ? plan->stages_count : 2;

    result->stages = calloc(count, sizeof(*result->stages));
    if (result->stages == NULL) {
        return false;
    }
    result->stages_count = count;
    for (size_t i = 0; i < count; i++) {
        const char *name = plan->stages_count > 0 ? plan->stages[i].name : NULL;
        enum fmx_fleet_stage_kind kind =
            plan->stages_count > 0 ? plan->stages[i].kind : unplanned[i];
        snprintf(result->stages[i].name, sizeof(result->stages[i].name), "%s",
                 name != NULL ? name : kind_name(kind));
    }
    return true;
}

static bool has_limit(const struct fmx_fleet_plan *plan)
{
    for (size_t i = 0; i < plan->groups_count; i++) {
        const struct fmx_fleet_group *group = &plan->groups[i];
        for (size_t j = 0; j < group->publishes_count; j++) {
            if (group->publishes[j].messages_max > 0) {
                return true;
            }
        }
    }
    return false;
}

struct recorder *recorder_open(const struct fmx_fleet *fleet, const struct fmx_fleet_plan *plan,
                               struct result *result)
{
    struct recorder *recorder = calloc(1, sizeof(*recorder));

    if (recorder == NULL) {
        return NULL;
    }
    recorder->fleet = fleet;
    recorder->result = result;
    recorder->is_bounded = has_limit(plan);
    recorder->row_ends_ns = NUMBER_NS_PER_S;
    recorder->scratch = malloc(sizeof(*recorder->scratch));
    if (recorder->scratch == NULL || !open_groups(plan, result) || !open_stages(plan, result)) {
        recorder_close(recorder);
        return NULL;
    }
    fmx_distribution_init(recorder->scratch);
    (void)process_tcp_segments(&recorder->segments);
    return recorder;
}

void recorder_close(struct recorder *recorder)
{
    if (recorder == NULL) {
        return;
    }
    for (size_t i = 0; i < FMX_FLEET_LATENCIES; i++) {
        for (size_t j = 0; j < RECENT_ROWS; j++) {
            free(recorder->watched[i].seconds[j].steps);
        }
        free(recorder->watched[i].mark);
    }
    free(recorder->scratch);
    free(recorder);
}

/* ── distributions ── */

/* False: no memory; then it is as if nothing had been counted there. */
static bool push(struct second *second, uint32_t bucket, uint64_t count)
{
    if (second->count == second->capacity) {
        size_t capacity = second->capacity == 0 ? 256 : 2 * second->capacity;
        struct step *steps = realloc(second->steps, capacity * sizeof(*steps));
        if (steps == NULL) {
            return false;
        }
        second->steps = steps;
        second->capacity = capacity;
    }
    uint32_t most = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
    second->steps[second->count++] = (struct step){.bucket = bucket, .count = most};
    return most == count || push(second, bucket, count - most);
}

static void note_steps(const struct fmx_distribution *later, const struct fmx_distribution *earlier,
                       struct second *second)
{
    second->count = 0;
    if (later->total == earlier->total) {
        return;
    }
    uint32_t last = fmx_distribution_bucket(later->max_ns);
    for (uint32_t i = fmx_distribution_bucket(later->min_ns); i <= last; i++) {
        if (later->counts[i] > earlier->counts[i] &&
            !push(second, i, later->counts[i] - earlier->counts[i])) {
            return;
        }
    }
}

/* Between what its buckets and the whole distribution allow. */
static void widen(struct fmx_distribution *into, uint32_t bucket,
                  const struct fmx_distribution *whole)
{
    uint64_t least_ns = bucket == 0 ? 0 : fmx_distribution_edge_ns(bucket - 1) + 1;
    uint64_t most_ns = fmx_distribution_edge_ns(bucket);

    least_ns = least_ns > whole->min_ns ? least_ns : whole->min_ns;
    most_ns =
        bucket == FMX_DISTRIBUTION_BUCKETS - 1 || most_ns > whole->max_ns ? whole->max_ns : most_ns;
    into->min_ns = least_ns < into->min_ns ? least_ns : into->min_ns;
    into->max_ns = most_ns > into->max_ns ? most_ns : into->max_ns;
}

static void add_steps(struct fmx_distribution *into, const struct second *second,
                      const struct fmx_distribution *whole)
{
    for (size_t i = 0; i < second->count; i++) {
        into->counts[second->steps[i].bucket] += second->steps[i].count;
        into->total += second->steps[i].count;
    }
    if (second->count > 0) {
        widen(into, second->steps[0].bucket, whole);
        widen(into, second->steps[second->count - 1].bucket, whole);
    }
}

static void take_steps(struct fmx_distribution *from, const struct second *second)
{
    for (size_t i = 0; i < second->count; i++) {
        from->counts[second->steps[i].bucket] = 0;
    }
    from->total = 0;
    from->min_ns = UINT64_MAX;
    from->max_ns = 0;
}

/* What the newest seconds say together; the scratch is empty again afterwards. */
static void summarize(struct recorder *recorder, const struct watched *watched, size_t rows,
                      const struct fmx_distribution *whole, struct fmx_latency *out_latency)
{
    size_t at = watched->newest + RECENT_ROWS;

    for (size_t i = 0; i < rows; i++) {
        add_steps(recorder->scratch, &watched->seconds[(at - i) % RECENT_ROWS], whole);
    }
    fmx_distribution_summary(recorder->scratch, out_latency);
    for (size_t i = 0; i < rows; i++) {
        take_steps(recorder->scratch, &watched->seconds[(at - i) % RECENT_ROWS]);
    }
}

/* A second is over for one latency. */
static void cut_latency(struct recorder *recorder, enum fmx_fleet_latency latency,
                        struct fmx_latency *out_latency)
{
    struct watched *watched = &recorder->watched[latency];
    struct fmx_distribution **kept = &recorder->result->distributions[latency];

    watched->newest = (watched->newest + 1) % RECENT_ROWS;
    watched->seconds[watched->newest].count = 0;
    fmx_fleet_distribution(recorder->fleet, FMX_FLEET_ALL, latency, recorder->scratch);
    if (recorder->scratch->total != (*kept)->total) {
        struct fmx_distribution *later = recorder->scratch;
        note_steps(later, *kept, &watched->seconds[watched->newest]);
        recorder->scratch = *kept;
        *kept = later;
        fmx_distribution_summary(later, &recorder->result->latency[latency]);
    }
    if (recorder->scratch->total > 0) {
        fmx_distribution_init(recorder->scratch);
    }
    summarize(recorder, watched, 1, *kept, out_latency);
    summarize(recorder, watched, RECENT_ROWS, *kept, &recorder->result->recent[latency]);
}

void recorder_since(struct recorder *recorder, enum fmx_fleet_latency latency,
                    struct fmx_distribution *out_since)
{
    struct watched *watched = &recorder->watched[latency];

    fmx_distribution_init(out_since);
    if (watched->mark == NULL) {
        watched->mark = malloc(sizeof(*watched->mark));
        if (watched->mark == NULL) {
            return;
        }
        fmx_distribution_init(watched->mark);
    }
    fmx_fleet_distribution(recorder->fleet, FMX_FLEET_ALL, latency, recorder->scratch);
    fmx_distribution_since(recorder->scratch, watched->mark, out_since);
    struct fmx_distribution *mark = watched->mark;
    watched->mark = recorder->scratch;
    recorder->scratch = mark;
    fmx_distribution_init(recorder->scratch);
}

/* ── groups ── */

static void count_groups(struct recorder *recorder)
{
    struct result *result = recorder->result;
    struct fmx_fleet_snapshot snapshot;

    if (result->groups_count == 1) {
        result->groups[0].counters = result->counters;
        return;
    }
    for (size_t i = 0; i < result->groups_count; i++) {
        fmx_fleet_snapshot(recorder->fleet, (uint32_t)i, &snapshot);
        result->groups[i].counters = snapshot.counters;
    }
}

static void measure_group(struct recorder *recorder, size_t index)
{
    struct result_group *group = &recorder->result->groups[index];

    if (recorder->result->groups_count == 1) {
        memcpy(group->latency, recorder->result->latency, sizeof(group->latency));
        return;
    }
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        if (recorder->result->distributions[i]->total == 0 || i == FMX_FLEET_DRIFT) {
            continue; /* nobody has any; a shard's clock is nobody's */
        }
        fmx_fleet_distribution(recorder->fleet, (uint32_t)index, (enum fmx_fleet_latency)i,
                               recorder->scratch);
        fmx_distribution_summary(recorder->scratch, &group->latency[i]);
        if (recorder->scratch->total > 0) {
            fmx_distribution_init(recorder->scratch);
        }
    }
}

/* ── rows ── */

static void cut_row(struct recorder *recorder)
{
    struct result *result = recorder->result;
    struct process_segments segments;
    struct result_row *row = result_add_row(result);

    if (row == NULL) {
        return; /* the present row goes on */
    }
    *row = result->running;
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        cut_latency(recorder, (enum fmx_fleet_latency)i, &row->latency[i]);
    }
    if (process_tcp_segments(&segments)) {
        row->segments_out = segments.out - recorder->segments.out;
        row->segments_again = segments.again > recorder->segments.again
                                  ? segments.again - recorder->segments.again
                                  : 0;
        recorder->segments = segments;
    }
    count_groups(recorder);
    recorder->next_group = (recorder->next_group + 1) % result->groups_count;
    measure_group(recorder, recorder->next_group);
    if (!result->is_draining) {
        result->rss_bytes = process_rss_bytes();
    }
    row->limit = verdict_row(result, row, result->rows_count > 1 ? row - 1 : NULL, NULL, 0);
    verdict_limit(result);
    memset(&result->running, 0, sizeof(result->running));
    result->running.begin_ns = result->running.end_ns = row->end_ns;
    result->running.limit = row->limit;
    recorder->row_cpu_ns = recorder->now.cpu_ns;
    recorder->row_cpu_wait_ns = recorder->now.cpu_wait_ns;
    recorder->row_ends_ns = (row->end_ns / NUMBER_NS_PER_S + 1) * NUMBER_NS_PER_S;
}

/* The area under a rate since the last look. */
static double area(double before, double now, uint64_t span_ns)
{
    return (before + now) / 2 * (double)span_ns / 1e9;
}

/* Messages that fell due since the row began. */
static double due_in_row(const struct recorder *recorder)
{
    const struct result *result = recorder->result;
    uint64_t before = result->rows_count > 0
                          ? result->rows[result->rows_count - 1].counters.publishes_planned
                          : 0;

    return (double)(recorder->now.counters.publishes_planned - before);
}

static void extend_row(struct recorder *recorder)
{
    const struct fmx_fleet_snapshot *now = &recorder->now;
    struct result_row *row = &recorder->result->running;
    uint64_t span_ns =
        now->elapsed_ns > recorder->looked_ns ? now->elapsed_ns - recorder->looked_ns : 0;

    if (recorder->looked_ns == 0) { /* before the first look it was as it is now */
        recorder->connects_wanted = now->connects_wanted;
        recorder->publishes_wanted = now->publishes_wanted;
    }

    row->end_ns = now->elapsed_ns > row->begin_ns ? now->elapsed_ns : row->begin_ns;
    row->stage = now->stage;
    row->is_paused = row->is_paused || now->is_paused;
    row->connects_wanted += area(recorder->connects_wanted, now->connects_wanted, span_ns);
    row->publishes_wanted += area(recorder->publishes_wanted, now->publishes_wanted, span_ns);
    if (recorder->is_bounded) { /* topics end one by one, which no rate tells */
        row->publishes_wanted = due_in_row(recorder);
    }
    row->cpu_ns = now->cpu_ns - recorder->row_cpu_ns;
    row->cpu_wait_ns = now->cpu_wait_ns - recorder->row_cpu_wait_ns;
    row->counters = now->counters;
    recorder->connects_wanted = now->connects_wanted;
    recorder->publishes_wanted = now->publishes_wanted;
    recorder->looked_ns = now->elapsed_ns;
}

/* ── looking ── */

static void note_stage(struct recorder *recorder)
{
    const struct fmx_fleet_snapshot *now = &recorder->now;
    struct result *result = recorder->result;

    result->stage_progress = now->stage_progress;
    if (now->stage >= result->stages_count) {
        return;
    }
    for (uint32_t i = result->stage; i < now->stage;
         i++) { /* perhaps several since the last look */
        result->stages[i].ended_ns = now->stage_began_ns;
        result->stages[i + 1].began_ns = now->stage_began_ns;
    }
    result->stage = now->stage;
}

static void note_causes(struct recorder *recorder)
{
    const struct fmx_fleet_snapshot *now = &recorder->now;
    struct result *result = recorder->result;

    result->causes_count = now->causes_count;
    for (size_t i = 0; i < now->causes_count; i++) {
        struct result_cause *cause = &result->causes[i];
        const char *words = now->causes[i].words;
        cause->cause = now->causes[i];
        cause->cause.words = NULL;
        snprintf(cause->more, sizeof(cause->more), "%s", words != NULL ? words : "");
    }
}

static void note_tls(struct recorder *recorder)
{
    const struct fmx_fleet_snapshot *now = &recorder->now;
    struct result *result = recorder->result;

    if (now->tls_suite != NULL && result->tls_suite[0] == '\0') {
        snprintf(result->tls_suite, sizeof(result->tls_suite), "%s", now->tls_suite);
        snprintf(result->tls_version, sizeof(result->tls_version), "%s",
                 fmx_tls_version_name(now->tls_version));
    }
}

static void look(struct recorder *recorder)
{
    const struct fmx_fleet_snapshot *now = &recorder->now;
    struct result *result = recorder->result;

    fmx_fleet_snapshot(recorder->fleet, FMX_FLEET_ALL, &recorder->now);
    result->elapsed_ns = now->elapsed_ns;
    result->ready_ns = now->ready_ns;
    result->last_connect_ns = now->last_connect_ns;
    result->is_paused = now->is_paused;
    result->is_draining = now->is_draining || recorder->has_drained;
    result->is_finished = now->finished;
    result->rate = now->rate;
    result->counters = now->counters;
    result->stats = now->stats;
    if (result->is_draining && !recorder->has_drained) {
        recorder->has_drained = true;
        result->before_drain = now->counters;
    }
    note_stage(recorder);
    note_causes(recorder);
    note_tls(recorder);
    extend_row(recorder);
}

void recorder_poll(struct recorder *recorder)
{
    look(recorder);
    if (recorder->now.elapsed_ns >= recorder->row_ends_ns) {
        cut_row(recorder);
    }
}

void recorder_drain(struct recorder *recorder)
{
    struct result *result = recorder->result;

    recorder_poll(recorder);
    result->rss_bytes = process_rss_bytes();
    if (!recorder->has_drained) {
        recorder->has_drained = true;
        result->before_drain = result->counters;
    }
    result->is_draining = true;
}

void recorder_end(struct recorder *recorder)
{
    struct result *result = recorder->result;

    look(recorder);
    result->is_draining = true; /* memory was looked at before */
    cut_row(recorder);
    for (size_t i = 0; i < result->groups_count; i++) {
        measure_group(recorder, i);
    }
    if (result->stage < result->stages_count && result->stages[result->stage].ended_ns == 0) {
        result->stages[result->stage].ended_ns = result->elapsed_ns;
    }
    result->hash = recorder->now.hash;
    result->is_draining = false;
    result->is_finished = true;
}
