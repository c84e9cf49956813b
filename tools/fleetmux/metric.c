/*
 * metric — the figures of a result by name
 *
 * Why it is so:   thresholds, searches and their readers name figures. One table of counters, made
 *                 from the library's own list, one of what is worked out, and a rule for latencies
 *                 (name, point, statistic) give every figure one name, and a few of them a short
 *                 one beside it
 * Words:          steady part: the seconds after every client was there and before the end began;
 *                 where there are none, all seconds in which the counter grew
 * Invariants:     (1) what nobody has measured is NaN, never 0
 *                 (2) clients by state are those before the drain, which sends them all away
 * Threads:        pure
 * Limits:         names of METRIC_NAME_BYTES; a ratio is of two counters
 * Not here:       comparing: threshold.c
 */
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ── counters ── */

struct counter {
    const char *name;
    const char *words;
    size_t offset;
};

static const struct counter counters[] = {
#define METRIC_COUNTER(name, is_gauge, words)                                                      \
    {#name, words, offsetof(struct fmx_fleet_counters, name)},
    FMX_FLEET_COUNTER_LIST(METRIC_COUNTER)
#undef METRIC_COUNTER
};

#define COUNTERS_COUNT (sizeof(counters) / sizeof(counters[0]))

static const struct {
    const char *name;
    const char *whole;
} aliases[] = {
    {"connects", "connects_begun"},
    {"connected", "connects_ok"},
    {"failed", "connects_failed"},
    {"disconnects", "connections_lost"},
    {"faults", "server_faults"},
    {"open", "clients_open"},
    {"subscribed", "clients_subscribed"},
    {"planned", "publishes_planned"},
    {"sent", "publishes_sent"},
    {"sent_again", "publishes_sent_again"},
    {"acked", "publishes_acked"},
    {"refused", "publishes_refused"},
    {"skipped", "publishes_skipped"},
    {"overdue", "publishes_overdue"},
    {"outstanding", "publishes_outstanding"},
    {"answered", "requests_answered"},
    {"timeouts", "requests_timeout"},
    {"redelivered", "received_redelivered"},
    {"duplicate", "received_duplicate"},
    {"reordered", "received_reordered"},
    {"gap", "received_gap"},
    {"late", "received_late"},
    {"foreign", "received_foreign"},
    {"expected", "deliveries_expected"},
};

#define ROWS_MANY     4
#define ALIASES_COUNT (sizeof(aliases) / sizeof(aliases[0]))

static uint64_t counter_of(const struct fmx_fleet_counters *from, size_t offset)
{
    uint64_t value;

    memcpy(&value, (const char *)from + offset, sizeof(value));
    return value;
}

static bool is_state(const struct counter *counter)
{
    return strncmp(counter->name, "clients_", 8) == 0 || strcmp(counter->name, "ghosts") == 0;
}

static double read_counter(const struct result *result, const struct counter *counter)
{
    bool is_over = result->is_draining || result->is_finished;

    return (double)counter_of(
        is_over && is_state(counter) ? &result->before_drain : &result->counters, counter->offset);
}

/* ── what is worked out ── */

static double share_of(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

/* A row that lies wholly in the steady part. */
static bool is_steady(const struct result *result, const struct result_row *row)
{
    return result->ready_ns != 0 && row->begin_ns >= result->ready_ns &&
           row->end_ns > row->begin_ns && !row->is_paused;
}

/* Of the steady rows from the first in which it grew to the last; many can do without these two. */
static double steady_rate(const struct result *result, size_t offset)
{
    size_t first = 0, last = 0, behind_first = 0;
    uint64_t grown = 0, took_ns = 0;
    bool are_many = false;

    for (size_t i = 1; i < result->rows_count; i++) {
        if (!is_steady(result, &result->rows[i])) {
            continue;
        }
        if (result_row_growth(result, i, offset) > 0) {
            behind_first = first == 0 ? 0 : behind_first;
            first = first == 0 ? i : first;
            last = i;
            are_many = behind_first >= ROWS_MANY;
        }
        behind_first++;
    }
    if (first == 0) {
        return result_rate(result, offset);
    }
    if (are_many) { /* in them it began and ended, mostly within the second */
        first++;
        last--;
    }
    for (size_t i = first; i <= last; i++) {
        const struct result_row *row = &result->rows[i];
        bool counts = is_steady(result, row);
        grown += counts ? result_row_growth(result, i, offset) : 0;
        took_ns += counts ? row->end_ns - row->begin_ns : 0;
    }
    return (double)grown * 1e9 / (double)took_ns;
}

static double rate_sent(const struct result *result)
{
    return steady_rate(result, offsetof(struct fmx_fleet_counters, publishes_sent));
}

static double rate_planned(const struct result *result)
{
    return steady_rate(result, offsetof(struct fmx_fleet_counters, publishes_planned));
}

static double rate_acked(const struct result *result)
{
    return steady_rate(result, offsetof(struct fmx_fleet_counters, publishes_acked));
}

static double rate_received(const struct result *result)
{
    return steady_rate(result, offsetof(struct fmx_fleet_counters, received));
}

static double rate_answered(const struct result *result)
{
    return steady_rate(result, offsetof(struct fmx_fleet_counters, requests_answered));
}

static double rate_calls(const struct result *result)
{
    return steady_rate(result, offsetof(struct fmx_fleet_counters, calls_answered));
}

static double rate_connects(const struct result *result)
{
    return result_rate(result, offsetof(struct fmx_fleet_counters, connects_ok));
}

/* Until the end what has no acknowledgement yet is not lost. */
static double messages_lost(const struct result *result)
{
    return result->is_finished
               ? (double)result_messages_lost(result)
               : (double)(result->counters.publishes_unacked + result->counters.received_gap);
}

static double messages_unacked(const struct result *result)
{
    return (double)(result->counters.publishes_unacked +
                    (result->is_finished ? result->counters.publishes_outstanding : 0));
}

static double clients_planned(const struct result *result)
{
    return result->clients_count;
}

static double busy_share(const struct result *result)
{
    uint64_t cpu_ns = result->running.cpu_ns;

    for (size_t i = 0; i < result->rows_count; i++) {
        cpu_ns += result->rows[i].cpu_ns;
    }
    return share_of((double)cpu_ns, (double)result->elapsed_ns * result->shards_count);
}

static double waiting_share(const struct result *result)
{
    uint64_t wait_ns = result->running.cpu_wait_ns;

    for (size_t i = 0; i < result->rows_count; i++) {
        wait_ns += result->rows[i].cpu_wait_ns;
    }
    return share_of((double)wait_ns, (double)result->elapsed_ns * result->shards_count);
}

static double resent_share(const struct result *result)
{
    uint64_t out = 0, again = 0;

    for (size_t i = 0; i < result->rows_count; i++) {
        out += result->rows[i].segments_out;
        again += result->rows[i].segments_again;
    }
    return share_of((double)again, (double)out);
}

static double memory(const struct result *result)
{
    return (double)result->rss_bytes;
}

static double memory_per_client(const struct result *result)
{
    uint64_t before = result->rss_before_bytes, now = result->rss_bytes;

    return share_of((double)(now > before ? now - before : 0), result->clients_count);
}

static double elapsed(const struct result *result)
{
    return (double)result->elapsed_ns;
}

static double ready(const struct result *result)
{
    return result->ready_ns != 0 ? (double)result->ready_ns : NAN;
}

struct derived {
    const char *name;
    enum metric_kind kind;
    double (*of)(const struct result *result);
    const char *words;
};

static const struct derived derived[] = {
    {"rate", METRIC_RATE, rate_sent, "messages sent a second, over the steady part"},
    {"planned_rate", METRIC_RATE, rate_planned, "messages due a second, over the steady part"},
    {"acked_rate", METRIC_RATE, rate_acked, "acknowledged a second, over the steady part"},
    {"received_rate", METRIC_RATE, rate_received, "received a second, over the steady part"},
    {"request_rate", METRIC_RATE, rate_answered, "requests answered a second, the same"},
    {"call_rate", METRIC_RATE, rate_calls, "calls of others answered a second, the same"},
    {"connect_rate", METRIC_RATE, rate_connects, "good CONNACKs a second, while there were any"},
    {"lost", METRIC_COUNT, messages_lost, "messages that were not acknowledged, or never came"},
    {"unacked", METRIC_COUNT, messages_unacked, "messages that were not acknowledged"},
    {"clients", METRIC_COUNT, clients_planned, "clients of the plan, of this part"},
    {"cpu", METRIC_SHARE, busy_share, "processor time of the threads, of what there was"},
    {"cpu_wait", METRIC_SHARE, waiting_share, "time they were ready and did not run"},
    {"resent", METRIC_SHARE, resent_share, "TCP segments sent again, of the whole system"},
    {"rss", METRIC_COUNT, memory, "bytes of memory"},
    {"rss_per_client", METRIC_COUNT, memory_per_client, "what the run has added, for each client"},
    {"elapsed", METRIC_TIME, elapsed, "length of the run"},
    {"ready", METRIC_TIME, ready, "until every client was there, and subscribed"},
};

#define DERIVED_COUNT (sizeof(derived) / sizeof(derived[0]))

/* ── latencies ── */

static const char *const statistics[] = {"p50",  "p90",   "p95", "p99", "p99.9", "p99.99",
                                         "p999", "p9999", "min", "max", "mean",  "count"};

#define STATISTICS_COUNT (sizeof(statistics) / sizeof(statistics[0]))

enum { STATISTIC_PERCENTILE, STATISTIC_MIN, STATISTIC_MAX, STATISTIC_MEAN, STATISTIC_COUNT };

/* "p99", "p99.9", and "p999", which is the same: two digits, and what is behind the point. */
static bool read_percentile(const char *text, double *out_fraction)
{
    double digits = 0, scale = 1;

    size_t bytes = strlen(text);
    if (text[0] != 'p' || bytes < 2 || bytes > 10 ||
        (bytes > 3 && text[3] != '.' && text[1] != '9' && strcmp(text, "p100") != 0)) {
        return false; /* p101 is no p10.1 */
    }
    if (strcmp(text, "p100") == 0) {
        *out_fraction = 1;
        return true;
    }
    for (const char *at = text + 1; *at != '\0'; at++) {
        if (*at == '.' && at == text + 3 && at[1] != '\0') {
            continue;
        }
        if (*at < '0' || *at > '9') {
            return false;
        }
        digits = digits * 10 + (*at - '0');
        scale *= 10;
    }
    *out_fraction = digits / scale; /* as exact as if it had been written 0.999 */
    return scale >= 100;
}

static bool read_statistic(const char *text, struct metric *metric)
{
    static const struct {
        const char *name;
        uint32_t row;
        enum metric_kind kind;
    } plain[] = {{"min", STATISTIC_MIN, METRIC_TIME},
                 {"max", STATISTIC_MAX, METRIC_TIME},
                 {"mean", STATISTIC_MEAN, METRIC_TIME},
                 {"count", STATISTIC_COUNT, METRIC_COUNT}};

    metric->row = STATISTIC_PERCENTILE;
    metric->kind = METRIC_TIME;
    if (read_percentile(text, &metric->fraction)) {
        return true;
    }
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (strcmp(text, plain[i].name) == 0) {
            metric->row = plain[i].row;
            metric->kind = plain[i].kind;
            return true;
        }
    }
    return false;
}

static bool find_latency(const char *name, size_t bytes, enum fmx_fleet_latency *out_latency)
{
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        const char *known = fmx_fleet_latency_name((enum fmx_fleet_latency)i);
        if (strlen(known) == bytes && memcmp(name, known, bytes) == 0) {
            *out_latency = (enum fmx_fleet_latency)i;
            return true;
        }
    }
    return false;
}

/* ── finding ── */

static bool refuse_latency(const char *name, size_t bytes, char *error, size_t error_bytes)
{
    char word[METRIC_NAME_BYTES];
    struct nearest latency = {.word = word};
    struct nearest statistic = {.word = name + bytes + 1};
    enum fmx_fleet_latency known;

    snprintf(word, sizeof(word), "%.*s", (int)bytes, name);
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        nearest_consider(&latency, fmx_fleet_latency_name((enum fmx_fleet_latency)i));
    }
    for (size_t i = 0; i < STATISTICS_COUNT; i++) {
        nearest_consider(&statistic, statistics[i]);
    }
    bool is_known = find_latency(name, bytes, &known);
    if ((latency.best != NULL || is_known) && (statistic.best != NULL)) {
        snprintf(error, error_bytes, "unknown metric '%.60s'; did you mean '%s.%s'?", name,
                 is_known ? word : latency.best, statistic.best);
    } else {
        snprintf(error, error_bytes,
                 "unknown metric '%.60s'; write a latency, a point and p50, p90, p99, p99.9, min, "
                 "max, mean or count, as in puback.p99",
                 name);
    }
    return false;
}

static bool refuse_plain(const char *name, char *error, size_t error_bytes)
{
    struct nearest nearest = {.word = name};
    struct metric metric;
    enum fmx_fleet_latency latency;

    if (find_latency(name, strlen(name), &latency)) {
        snprintf(error, error_bytes, "'%s' is a latency: write for example '%s.p99'", name, name);
        return false;
    }
    if (read_statistic(name, &metric)) {
        snprintf(error, error_bytes, "'%.60s' of what? write for example 'puback.%.60s'", name,
                 name);
        return false;
    }
    for (size_t i = 0; i < COUNTERS_COUNT; i++) {
        nearest_consider(&nearest, counters[i].name);
    }
    for (size_t i = 0; i < ALIASES_COUNT; i++) {
        nearest_consider(&nearest, aliases[i].name);
    }
    for (size_t i = 0; i < DERIVED_COUNT; i++) {
        nearest_consider(&nearest, derived[i].name);
    }
    snprintf(error, error_bytes, "unknown metric '%.60s'%s%s%s", name,
             nearest.best != NULL ? "; did you mean '"
                                  : "; 'fleetmux help fleet metrics' lists them",
             nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
    return false;
}

/* Rows are those of `counters`, then those of `derived`. */
static bool find_plain(const char *name, uint32_t *out_row)
{
    for (size_t i = 0; i < ALIASES_COUNT; i++) {
        if (strcmp(name, aliases[i].name) == 0) {
            name = aliases[i].whole;
            break;
        }
    }
    for (size_t i = 0; i < COUNTERS_COUNT; i++) {
        if (strcmp(name, counters[i].name) == 0) {
            *out_row = (uint32_t)i;
            return true;
        }
    }
    for (size_t i = 0; i < DERIVED_COUNT; i++) {
        if (strcmp(name, derived[i].name) == 0) {
            *out_row = (uint32_t)(COUNTERS_COUNT + i);
            return true;
        }
    }
    return false;
}

static enum metric_kind kind_of(uint32_t row)
{
    return row < COUNTERS_COUNT ? METRIC_COUNT : derived[row - COUNTERS_COUNT].kind;
}

static bool find_ratio(const char *name, const char *slash, struct metric *metric, char *error,
                       size_t error_bytes)
{
    char above[METRIC_NAME_BYTES];
    uint32_t under = 0;

    snprintf(above, sizeof(above), "%.*s", (int)(slash - name), name);
    if (!find_plain(above, &metric->row)) {
        return refuse_plain(above, error, error_bytes);
    }
    if (!find_plain(slash + 1, &under)) {
        return refuse_plain(slash + 1, error, error_bytes);
    }
    if (kind_of(metric->row) != METRIC_COUNT || kind_of(under) != METRIC_COUNT) {
        snprintf(error, error_bytes, "'%.60s': only counts can be divided, as in failed/connects",
                 name);
        return false;
    }
    metric->under = under + 1;
    metric->kind = METRIC_SHARE;
    return true;
}

bool metric_find(const char *name, struct metric *out_metric, char *error, size_t error_bytes)
{
    const char *point = strchr(name, '.'), *slash = strchr(name, '/');

    *out_metric = (struct metric){0};
    if (name[0] == '\0' || strlen(name) >= sizeof(out_metric->name)) {
        snprintf(error, error_bytes, "a metric is missing: write for example puback.p99 or lost");
        return false;
    }
    memcpy(out_metric->name, name, strlen(name) + 1);
    if (slash != NULL) {
        return find_ratio(name, slash, out_metric, error, error_bytes);
    }
    if (point != NULL) {
        out_metric->is_latency = true;
        return (find_latency(name, (size_t)(point - name), &out_metric->latency) &&
                read_statistic(point + 1, out_metric)) ||
               refuse_latency(name, (size_t)(point - name), error, error_bytes);
    }
    if (!find_plain(name, &out_metric->row)) {
        return refuse_plain(name, error, error_bytes);
    }
    out_metric->kind = kind_of(out_metric->row);
    return true;
}

/* ── reading ── */

double metric_of_distribution(const struct metric *metric,
                              const struct fmx_distribution *distribution)
{
    if (metric->row == STATISTIC_COUNT) {
        return (double)distribution->total;
    }
    if (distribution->total == 0) {
        return NAN;
    }
    switch (metric->row) {
    case STATISTIC_MIN:
        return (double)distribution->min_ns;
    case STATISTIC_MAX:
        return (double)distribution->max_ns;
    case STATISTIC_MEAN:
        return fmx_distribution_mean(distribution);
    default:
        return (double)fmx_distribution_percentile(distribution, metric->fraction);
    }
}

static double read_row(const struct result *result, uint32_t row)
{
    return row < COUNTERS_COUNT ? read_counter(result, &counters[row])
                                : derived[row - COUNTERS_COUNT].of(result);
}

double metric_of(const struct result *result, const struct metric *metric)
{
    if (metric->is_latency) {
        return metric_of_distribution(metric, result->distributions[metric->latency]);
    }
    if (metric->under != 0) {
        return share_of(read_row(result, metric->row), read_row(result, metric->under - 1));
    }
    return read_row(result, metric->row);
}

struct words metric_words(const struct metric *metric, double measured)
{
    struct words words;

    if (isnan(measured)) {
        snprintf(words.text, sizeof(words.text), "nothing measured");
        return words;
    }
    switch (metric->kind) {
    case METRIC_TIME:
        return words_time((uint64_t)(measured + 0.5));
    case METRIC_SHARE:
        snprintf(words.text, sizeof(words.text), "%.3g %%", measured * 100);
        return words;
    case METRIC_RATE:
        snprintf(words.text, sizeof(words.text), "%.28s/s", words_real(measured).text);
        return words;
    default:
        return words_count((uint64_t)(measured + 0.5));
    }
}

void metric_print_names(FILE *out)
{
    fprintf(out, "Latencies, each with .p50 .p90 .p95 .p99 .p99.9 (any percentile), .min .max\n"
                 ".mean .count:\n");
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        fprintf(out, "  %-24s %s\n", fmx_fleet_latency_name((enum fmx_fleet_latency)i),
                fmx_fleet_latency_words((enum fmx_fleet_latency)i));
    }
    fprintf(out, "\nWorked out:\n");
    for (size_t i = 0; i < DERIVED_COUNT; i++) {
        fprintf(out, "  %-24s %s\n", derived[i].name, derived[i].words);
    }
    fprintf(out, "\nCounters:\n");
    for (size_t i = 0; i < COUNTERS_COUNT; i++) {
        fprintf(out, "  %-24s %s\n", counters[i].name, counters[i].words);
    }
    fprintf(out, "\nShort names:\n");
    for (size_t i = 0; i < ALIASES_COUNT; i++) {
        fprintf(out, "  %-24s %s\n", aliases[i].name, aliases[i].whole);
    }
}
