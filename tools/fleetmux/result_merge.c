/*
 * result_merge — the parts of one run, made by several processes, as one result
 *
 * Why it is so:   a percentile of percentiles means nothing, so distributions are added, bucket by
 *                 bucket; counters are sums anyway. What was kept as percentiles only (seconds,
 *                 groups) becomes the highest of the parts': the true one is never above it
 * Words:          second: a row's place in time since its part began, rounded
 * Invariants:     (1) nothing is changed before all has been checked and all memory is there
 *                 (2) the order in which parts are added does not matter, but for names of hosts
 * Memory:         both results are the caller's
 * Threads:        one
 * Not here:       what the merged run means: the caller judges it anew (report.c, verdict.h)
 */
#include "tools/fleetmux/result_columns.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S         UINT64_C(1000000000)
#define MISSING_SAID_MAX 8u

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ── are they parts of one run? ── */

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const char *what_differs(const struct result *a, const struct result *b)
{
    if (strcmp(a->verb, b->verb) != 0) {
        return "the kinds of fleet";
    }
    if (a->seed != b->seed) {
        return "the seeds";
    }
    if (strcmp(a->name, b->name) != 0 || !is_same_text(a->scenario, b->scenario)) {
        return "the scenarios";
    }
    if (a->parts_count != b->parts_count) {
        return "the numbers of parts";
    }
    bool is_same = a->groups_count == b->groups_count;
    for (size_t i = 0; is_same && i < a->groups_count; i++) {
        is_same = strcmp(a->groups[i].name, b->groups[i].name) == 0;
    }
    if (!is_same) {
        return "the groups";
    }
    is_same = a->stages_count == b->stages_count;
    for (size_t i = 0; is_same && i < a->stages_count; i++) {
        is_same = strcmp(a->stages[i].name, b->stages[i].name) == 0;
    }
    return is_same ? NULL : "the stages";
}

bool result_is_same_run(const struct result *a, const struct result *b, char *error,
                        size_t error_bytes)
{
    const char *what = what_differs(a, b);

    if (what != NULL) {
        snprintf(error, error_bytes, "they are not parts of one run: %s differ", what);
    }
    return what == NULL;
}

static uint32_t part_at(const struct result *result, uint32_t index)
{
    return result->parts != NULL ? result->parts[index] : result->part;
}

static bool has_part(const struct result *result, uint32_t part)
{
    for (uint32_t i = 0; i < result->parts_merged; i++) {
        if (part_at(result, i) == part) {
            return true;
        }
    }
    return false;
}

void result_missing_parts(const struct result *result, char *out_words, size_t words_bytes)
{
    size_t used = 0;
    uint32_t missing = 0, said = 0;

    out_words[0] = '\0';
    for (uint32_t part = 0; part < result->parts_count; part++) {
        if (has_part(result, part)) {
            continue;
        }
        missing++;
        if (said < MISSING_SAID_MAX && used + 16 < words_bytes) {
            used += (size_t)snprintf(out_words + used, words_bytes - used, "%s%" PRIu32,
                                     said > 0 ? ", " : "", part + 1);
            said++;
        }
    }
    if (missing > said) {
        snprintf(out_words + used, words_bytes - used, " and %" PRIu32 " more", missing - said);
    }
}

static bool may_merge(const struct result *into, const struct result *part, char *error,
                      size_t error_bytes)
{
    if (!result_is_same_run(into, part, error, error_bytes)) {
        return false;
    }
    if (into->parts_count < 2) {
        snprintf(error, error_bytes,
                 "they are whole runs, not parts of one: run them with --shard 1/2 and 2/2");
        return false;
    }
    for (uint32_t i = 0; i < part->parts_merged; i++) {
        if (has_part(into, part_at(part, i))) {
            snprintf(error, error_bytes,
                     "both have part %" PRIu32 " of %" PRIu32 ": it would count twice",
                     part_at(part, i) + 1, part->parts_count);
            return false;
        }
    }
    if (part->clients_count > UINT32_MAX - into->clients_count) {
        snprintf(error, error_bytes, "together they have more clients than can be counted");
        return false;
    }
    for (size_t i = 0; i < FMX_FLEET_LATENCIES; i++) {
        if (part->distributions[i]->total > UINT64_MAX - into->distributions[i]->total) {
            snprintf(error, error_bytes, "together they have more latencies than can be counted");
            return false;
        }
    }
    return true;
}

/* ── adding ── */

static void add_fields(void *into, const void *from, const struct result_field *fields,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        result_field_set(into, &fields[i],
                         result_field_get(into, &fields[i]) + result_field_get(from, &fields[i]));
    }
}

static void add_counters(struct fmx_fleet_counters *into, const struct fmx_fleet_counters *from)
{
    add_fields(into, from, result_counters, result_counters_count);
}

/* Exact but for the percentiles, which are bounds. */
static void add_latency(struct fmx_latency *into, const struct fmx_latency *from)
{
    if (from->count == 0) {
        return;
    }
    if (into->count == 0) {
        *into = *from;
        return;
    }
    into->count += from->count;
    into->min_ns = least(into->min_ns, from->min_ns);
    into->p50_ns = most(into->p50_ns, from->p50_ns);
    into->p90_ns = most(into->p90_ns, from->p90_ns);
    into->p99_ns = most(into->p99_ns, from->p99_ns);
    into->p999_ns = most(into->p999_ns, from->p999_ns);
    into->max_ns = most(into->max_ns, from->max_ns);
}

static void add_latencies(struct fmx_latency *into, const struct fmx_latency *from)
{
    for (size_t i = 0; i < FMX_FLEET_LATENCIES; i++) {
        add_latency(&into[i], &from[i]);
    }
}

/* ── rows ── */

static uint64_t second_of(const struct result_row *row)
{
    return (row->begin_ns + NS_PER_S / 2) / NS_PER_S;
}

/* One side of the merge: its rows from `at` on, and what its counters were at the last one. */
struct side {
    const struct result_row *rows;
    size_t count, at;
    struct fmx_fleet_counters counters;
};

static uint64_t next_second(const struct side *side)
{
    return side->at < side->count ? second_of(&side->rows[side->at]) : UINT64_MAX;
}

static const struct result_row *take_row(struct side *side, uint64_t second)
{
    if (next_second(side) != second) {
        return NULL;
    }
    const struct result_row *row = &side->rows[side->at++];
    side->counters = row->counters;
    return row;
}

/* What the two have in this second; either may have nothing. On one host segments are the same. */
static void join_rows(struct result_row *out_row, const struct result_row *a,
                      const struct result_row *b, bool is_one_host)
{
    *out_row = a != NULL ? *a : *b;
    if (a == NULL || b == NULL) {
        return;
    }
    out_row->begin_ns = least(a->begin_ns, b->begin_ns);
    out_row->end_ns = most(a->end_ns, b->end_ns);
    out_row->stage = a->stage < b->stage ? a->stage : b->stage;
    out_row->is_paused = a->is_paused || b->is_paused;
    out_row->connects_wanted += b->connects_wanted;
    out_row->publishes_wanted += b->publishes_wanted;
    out_row->cpu_ns += b->cpu_ns;
    out_row->cpu_wait_ns += b->cpu_wait_ns;
    out_row->segments_out =
        is_one_host ? most(a->segments_out, b->segments_out) : a->segments_out + b->segments_out;
    out_row->segments_again = is_one_host ? most(a->segments_again, b->segments_again)
                                          : a->segments_again + b->segments_again;
    out_row->limit = a->limit != RESULT_OK ? a->limit : b->limit;
    add_latencies(out_row->latency, b->latency);
}

/* The rows of both by the second. False: no memory. */
static bool merge_rows(const struct result *into, const struct result *part,
                       struct result_row **out_rows, size_t *out_count)
{
    struct side a = {.rows = into->rows, .count = into->rows_count};
    struct side b = {.rows = part->rows, .count = part->rows_count};
    bool is_one_host = strcmp(into->host, part->host) == 0;
    size_t count = 0;

    struct result_row *rows = calloc(a.count + b.count + 1, sizeof(*rows));
    if (rows == NULL) {
        return false;
    }
    while (a.at < a.count || b.at < b.count) {
        uint64_t second = least(next_second(&a), next_second(&b));
        const struct result_row *of_a = take_row(&a, second), *of_b = take_row(&b, second);
        struct result_row *row = &rows[count];
        join_rows(row, of_a, of_b, is_one_host);
        row->counters = a.counters;
        add_counters(&row->counters, &b.counters);
        row->begin_ns = count > 0 ? most(row->begin_ns, row[-1].end_ns) : row->begin_ns;
        row->end_ns = most(row->end_ns, row->begin_ns);
        count++;
    }
    *out_rows = rows;
    *out_count = count;
    return true;
}

/* ── the rest ── */

static int by_number(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static uint32_t *merge_parts(const struct result *into, const struct result *part)
{
    size_t count = (size_t)into->parts_merged + part->parts_merged;
    uint32_t *parts = calloc(count, sizeof(*parts));

    for (uint32_t i = 0; parts != NULL && i < count; i++) {
        parts[i] =
            i < into->parts_merged ? part_at(into, i) : part_at(part, i - into->parts_merged);
    }
    if (parts != NULL) {
        qsort(parts, count, sizeof(*parts), by_number);
    }
    return parts;
}

static void merge_stages(struct result *into, const struct result *part)
{
    for (size_t i = 0; i < into->stages_count; i++) {
        struct result_stage *stage = &into->stages[i];
        const struct result_stage *other = &part->stages[i];
        bool has_begun = i == 0 || stage->began_ns > 0, had_begun = i == 0 || other->began_ns > 0;
        if (has_begun && had_begun) {
            bool is_over = stage->ended_ns > 0 && other->ended_ns > 0;
            stage->began_ns = least(stage->began_ns, other->began_ns);
            stage->ended_ns = is_over ? most(stage->ended_ns, other->ended_ns) : 0;
        } else if (had_begun) {
            *stage = *other;
        }
    }
}

static void merge_groups(struct result *into, const struct result *part)
{
    for (size_t i = 0; i < into->groups_count; i++) {
        into->groups[i].clients_count += part->groups[i].clients_count;
        add_counters(&into->groups[i].counters, &part->groups[i].counters);
        add_latencies(into->groups[i].latency, part->groups[i].latency);
    }
}

static bool is_same_cause(const struct result_cause *a, const struct result_cause *b)
{
    return a->cause.status == b->cause.status && a->cause.sys_errno == b->cause.sys_errno &&
           a->cause.reason == b->cause.reason && strcmp(a->more, b->more) == 0;
}

static int by_count(const void *a, const void *b)
{
    uint64_t left = ((const struct result_cause *)a)->cause.count;
    uint64_t right = ((const struct result_cause *)b)->cause.count;

    return (left < right) - (left > right);
}

/* Beyond the last row, that one takes the counts: none is lost. */
static void merge_causes(struct result *into, const struct result *part)
{
    for (size_t i = 0; i < part->causes_count; i++) {
        size_t at = 0;
        while (at < into->causes_count && !is_same_cause(&into->causes[at], &part->causes[i])) {
            at++;
        }
        if (at < into->causes_count) {
            into->causes[at].cause.count += part->causes[i].cause.count;
        } else if (at < FMX_FLEET_CAUSES_MAX) {
            into->causes[into->causes_count++] = part->causes[i];
        } else {
            into->causes[FMX_FLEET_CAUSES_MAX - 1].cause.count += part->causes[i].cause.count;
        }
    }
    qsort(into->causes, into->causes_count, sizeof(into->causes[0]), by_count);
}

static void merge_text(char *into, size_t into_bytes, const char *other, const char *instead)
{
    if (strcmp(into, other) != 0) {
        snprintf(into, into_bytes, "%s", instead);
    }
}

static void merge_machine(struct result *into, const struct result *part)
{
    if (strcmp(into->host, part->host) != 0) {
        into->cpus_count += part->cpus_count;
    }
    merge_text(into->host, sizeof(into->host), part->host, "several hosts");
    merge_text(into->kernel, sizeof(into->kernel), part->kernel, "several kernels");
    merge_text(into->cpu, sizeof(into->cpu), part->cpu, "several kinds of processors");
    merge_text(into->version, sizeof(into->version), part->version, "several versions");
    into->shards_count += part->shards_count;
    into->rss_before_bytes += part->rss_before_bytes;
    into->rss_bytes += part->rss_bytes;
    uint64_t longest = most(into->stats.turn_ns_longest, part->stats.turn_ns_longest);
    add_fields(&into->stats, &part->stats, result_stats, result_stats_count);
    into->stats.turn_ns_longest = longest;
}

static void merge_course(struct result *into, const struct result *part)
{
    into->clients_count += part->clients_count;
    into->base_rate += part->base_rate;
    into->messages_wanted += part->messages_wanted;
    into->hash = into->hash != 0 && part->hash != 0 ? into->hash + part->hash : 0;
    into->has_tls = into->has_tls || part->has_tls;
    into->is_insecure = into->is_insecure || part->is_insecure;
    if (into->tls_version[0] == '\0') {
        memcpy(into->tls_version, part->tls_version, sizeof(into->tls_version));
        memcpy(into->tls_suite, part->tls_suite, sizeof(into->tls_suite));
    }
    bool are_ready = into->ready_ns > 0 && part->ready_ns > 0;
    into->ready_ns = are_ready ? most(into->ready_ns, part->ready_ns) : 0;
    into->began_unix_ns = least(into->began_unix_ns, part->began_unix_ns);
    into->elapsed_ns = most(into->elapsed_ns, part->elapsed_ns);
    into->last_connect_ns = most(into->last_connect_ns, part->last_connect_ns);
    into->is_finished = into->is_finished && part->is_finished;
    into->has_planned_end = into->has_planned_end || part->has_planned_end;
    into->accepts_invalid = into->accepts_invalid && part->accepts_invalid;
    into->signo = into->signo != 0 ? into->signo : part->signo;
    add_counters(&into->counters, &part->counters);
    add_counters(&into->before_drain, &part->before_drain);
}

bool result_merge(struct result *into, const struct result *part, char *error, size_t error_bytes)
{
    struct result_row *rows = NULL;
    size_t rows_count = 0;

    if (!may_merge(into, part, error, error_bytes)) {
        return false;
    }
    uint32_t *parts = merge_parts(into, part);
    if (parts == NULL || !merge_rows(into, part, &rows, &rows_count)) {
        snprintf(error, error_bytes, "memory ran out");
        free(parts);
        return false;
    }
    merge_course(into, part);
    merge_machine(into, part);
    merge_stages(into, part);
    merge_groups(into, part);
    merge_causes(into, part);
    for (size_t i = 0; i < FMX_FLEET_LATENCIES; i++) {
        fmx_distribution_add(into->distributions[i], part->distributions[i]);
        fmx_distribution_summary(into->distributions[i], &into->latency[i]);
    }
    free(into->rows);
    into->rows = rows;
    into->rows_count = rows_count;
    into->rows_capacity = rows_count;
    free(into->parts);
    into->parts = parts;
    into->parts_merged += part->parts_merged;
    into->part = parts[0];
    return true;
}
