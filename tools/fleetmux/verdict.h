/*
 * verdict.h — what a result means: what held it back, whether the ledger adds up, thresholds
 *
 * All of it is pure over a result, so it can be said again of one that was read from a file or put
 * together from parts. docs/FLEET.md tells the rules for people.
 */
#ifndef FMX_TOOLS_VERDICT_H
#define FMX_TOOLS_VERDICT_H

#include "tools/fleetmux/result.h"
#include "tools/fleetmux/words.h"

/* ── verdict.c ── */

/* What held one row back, and why, in words; `before` is the row before it, or NULL. */
enum result_limit verdict_row(const struct result *result, const struct result_row *row,
                              const struct result_row *before, char *words, size_t words_bytes);

/* Clients that misbehave by plan, and how many of a counter are theirs. */
uint64_t verdict_apart(const struct result *result);
uint64_t verdict_of_apart(const struct result *result, size_t counter_offset);

/* Of the whole so far, whose rows have their limits: limit, limit_words, is_valid. */
void verdict_limit(struct result *result);

/* ── verdict_end.c ── */

/* After the end: adds_up, ledger_words. */
void verdict_ledger(struct result *result);

/*
 * After the end, and after thresholds_judge: all of "what it means". `has_planned_end`: a signal
 * has cut it short.
 */
void verdict_make(struct result *result, bool has_planned_end);

/* ── metric.c ── */

enum metric_kind {
    METRIC_COUNT,
    METRIC_RATE, /* a second */
    METRIC_TIME, /* ns */
    METRIC_SHARE,
};

#define METRIC_NAME_BYTES 80

/*
 * A metric of a result: "puback.p99", "puback_raw.max", "rate", "lost", "failed/connects" …
 * docs/FLEET.md lists them.
 */
struct metric {
    char name[METRIC_NAME_BYTES];
    enum metric_kind kind;
    bool is_latency;
    enum fmx_fleet_latency latency;
    uint32_t row;    /* in metric.c's tables */
    uint32_t under;  /* of a ratio: the one below, and 1; else 0 */
    double fraction; /* of a percentile */
};

/* False: error names the nearest one. */
bool metric_find(const char *name, struct metric *out_metric, char *error, size_t error_bytes);

/* NaN: nothing was measured. */
double metric_of(const struct result *result, const struct metric *metric);

/* The same of a latency's metric and a distribution of it. */
double metric_of_distribution(const struct metric *metric,
                              const struct fmx_distribution *distribution);

/* "12.3 ms"; of NaN "nothing measured". */
struct words metric_words(const struct metric *metric, double measured);

/* Every name with its words, for the help. */
void metric_print_names(FILE *out);

/* ── threshold.c ── */

enum comparison {
    LESS,
    AT_MOST,
    MORE,
    AT_LEAST,
    EQUAL,
    NOT_EQUAL,
};

/* "puback.p99<50ms" */
struct threshold {
    struct metric metric;
    enum comparison comparison;
    double bound;
    const char *text; /* the caller's */
};

/* The row of '--threshold', but for its place and group. */
#define THRESHOLD_FLAG                                                                             \
    .name = "threshold", .kind = FLAG_LIST, .max = FLAG_ITEMS_MAX, .more_with = "<>=!",            \
    .argument = "CONDITION..."

/* Its conditions, as they were given. False: error names the option and says what is wrong. */
bool thresholds_parse(const char *const *texts, size_t count, struct threshold *out_thresholds,
                      char *error, size_t error_bytes);

/* False: error says what is wrong, and what to write. */
bool threshold_parse(const char *text, struct threshold *out_threshold, char *error,
                     size_t error_bytes);

/* False, too, if nothing was measured. */
bool threshold_holds(const struct threshold *threshold, double measured);

/* Into result->thresholds, in place of what is there. False: no memory. */
bool thresholds_judge(const struct threshold *thresholds, size_t count, struct result *result);

#endif
