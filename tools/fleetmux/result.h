/*
 * result.h — one run of the fleet as everybody tells it: screen, summary, files, metrics, verdict
 *
 * A recorder (recorder.h) fills it in while the run goes on; result_read fills it in from a file.
 * Whoever shows something looks here and nowhere else, so that all of them say the same.
 */
#ifndef FMX_TOOLS_RESULT_H
#define FMX_TOOLS_RESULT_H

#include "tools/fleetmux/verbs.h"

#include <fleetmux/fleetmux.h>

#include <stdbool.h>
#include <stdint.h>

/* What held the run back. */
enum result_limit {
    RESULT_OK = 0,            /* nothing: what was planned was done */
    RESULT_SERVER_LIMITED,    /* the server */
    RESULT_GENERATOR_LIMITED, /* this program, or its machine: the figures are not the server's */
    RESULT_NETWORK,           /* segments were lost on the way */
};

/* "OK", "SERVER-LIMITED", … */
const char *result_limit_name(enum result_limit limit);

/* One second of the run, or what is left of one at the end. Counters are as at its end. */
struct result_row {
    uint64_t begin_ns, end_ns; /* since start */
    uint32_t stage;
    bool is_paused;
    double connects_wanted;  /* in this row, by the plan: a count, not a rate */
    double publishes_wanted; /* the same */
    uint64_t cpu_ns;         /* processor time of all shards, in this row */
    uint64_t cpu_wait_ns;    /* time they were ready and did not run */
    uint64_t segments_out;   /* TCP's, of the whole system, in this row; 0: it cannot be told */
    uint64_t segments_again; /* of them sent again */
    enum result_limit limit;
    struct fmx_fleet_counters counters;
    struct fmx_latency latency[FMX_FLEET_LATENCIES]; /* of this row alone */
};

struct result_group {
    char name[64];
    bool is_apart;          /* its clients misbehave by plan: that they get nowhere is no failure */
    uint32_t clients_count; /* of this part */
    struct fmx_fleet_counters counters;
    struct fmx_latency latency[FMX_FLEET_LATENCIES];
};

struct result_stage {
    char name[64];
    uint64_t began_ns, ended_ns; /* since start; 0: not yet */
};

/* A threshold and what became of it. */
struct result_threshold {
    char text[128];  /* as it was given: "puback.p99<50ms" */
    char value[32];  /* what was measured, in words: "12.3 ms" */
    double measured; /* ns, or a plain number */
    bool is_met;
};

/* One step of a search for the highest rate. */
struct result_step {
    double rate;     /* messages a second, asked for */
    double achieved; /* and reached */
    double measured; /* of the condition: ns, or a plain number */
    char value[32];  /* the same in words: "12.3 ms" */
    bool is_held;
};

struct result_cause {
    struct fmx_fleet_cause cause; /* `words` is NULL, see more */
    char more[128];               /* "": nothing */
};

struct result {
    char *path; /* the file it was read from; NULL: none, it is this run */

    /* what it was */
    char version[32];
    char verb[16];  /* "conn", "pub", "sub", "run" */
    char name[128]; /* of the scenario; "": it came from options */
    char *command;  /* the command line; secrets in it are left out */
    char *scenario; /* the scenario as YAML; NULL: unknown */
    char host[64], kernel[96], cpu[96];
    uint32_t cpus_count, shards_count;
    uint64_t began_unix_ns;
    uint64_t seed, hash; /* hash: 0 while it runs */
    uint32_t part, parts_count;
    uint32_t
        *parts; /* of several parts in one, see result_merge: which, in rising order; else NULL */
    uint32_t parts_merged;    /* so many, else 1 */
    uint32_t clients_count;   /* of this part, or of those merged; as all that follows */
    double base_rate;         /* messages a second that all clients together want at a rate of 1 */
    uint64_t messages_wanted; /* --limit: sent, or if nothing is, received; 0: no bound */
    bool has_planned_end;     /* a signal then cuts it short; verdict_make notes it here */
    bool has_tls, is_insecure;
    char tls_version[16], tls_suite[64];

    /* how it went */
    uint64_t elapsed_ns, ready_ns, last_connect_ns;
    uint32_t stage;
    double stage_progress; /* below 0: it has no planned end */
    bool is_paused, is_draining, is_finished;
    double rate; /* the factor that is in force */
    struct fmx_fleet_counters counters;
    struct fmx_fleet_counters before_drain; /* clients by state, when draining began */
    struct fmx_distribution *distributions[FMX_FLEET_LATENCIES]; /* never NULL */
    struct fmx_latency latency[FMX_FLEET_LATENCIES];             /* of the whole run */
    struct fmx_latency recent[FMX_FLEET_LATENCIES];              /* of the last five seconds */
    struct result_row *rows;                                     /* complete ones */
    size_t rows_count, rows_capacity;
    struct result_row running; /* the row that is not over */
    struct result_group *groups;
    size_t groups_count;
    struct result_stage *stages;
    size_t stages_count;
    struct result_cause causes[FMX_FLEET_CAUSES_MAX];
    size_t causes_count;
    struct fmx_stats stats;
    uint64_t rss_before_bytes, rss_bytes;

    /* what it means; see verdict.h */
    enum result_limit limit;
    char limit_words[256];  /* why */
    bool is_valid;          /* false: the generator was the limit, so nothing here counts */
    bool accepts_invalid;   /* the exit status does not mind: the run was about something else */
    bool adds_up;           /* the ledger does */
    char ledger_words[256]; /* if it does not: what is missing where */
    enum exit_status status;
    char words[256]; /* the first line: what happened */
    int signo;       /* what ended the run, 0: itself */
    struct result_threshold *thresholds;
    size_t thresholds_count;
    struct result_step *steps;
    size_t steps_count;
    char find_words[192];         /* of a search that is over: what it found; "": there is none */
    enum exit_status find_status; /* of the same: EXIT_PASS, a rate holds the condition */
};

/* Empty, with distributions. NULL: no memory. */
struct result *result_open(void);
void result_close(struct result *result);

/* One more row, zeroed. NULL: no memory. */
struct result_row *result_add_row(struct result *result);

/* ── rates: of a counter, over rows ── */

/* How much it grew in this row; a gauge may fall, which is not growing. */
uint64_t result_row_growth(const struct result *result, size_t row, size_t counter_offset);

/* How much a counter grew in a row, a second; offset: offsetof(struct fmx_fleet_counters, …). */
double result_row_rate(const struct result *result, size_t row, size_t counter_offset);

/* The same from the first second in which it grew to the last. 0: it never did. */
double result_rate(const struct result *result, size_t counter_offset);

/* Messages that were not acknowledged, or did not come although they were sent. */
uint64_t result_messages_lost(const struct result *result);

/* ── text ── */

/* A copy on the heap in place of `*text`, which is freed; NULL is NULL. False: no memory. */
bool result_set_text(char **text, const char *copied);

/* What a run was about: PUBACKs, answers, delivery, or connects, the first that there is. */
enum fmx_fleet_latency result_main_latency(const struct result *result);

/* ── result_json.c ── docs/RESULTS.md is its schema. False: error says why ── */

bool result_write(const struct result *result, const char *path, char *error, size_t error_bytes);
struct result *result_read(const char *path, char *error, size_t error_bytes);

/* ── result_merge.c ── */

/*
 * Adds a part of the same run to another: counters and distributions add up exactly, rows by the
 * second since each began. What it means is not judged anew: that is the caller's (verdict.h).
 * False: they are not parts of one run, or the same part twice, and `into` is as it was.
 */
bool result_merge(struct result *into, const struct result *part, char *error, size_t error_bytes);

/* The numbers of the parts that are not in this result, from 1: "2, 5 and 7 more"; "": none. */
void result_missing_parts(const struct result *result, char *out_words, size_t words_bytes);

/* Are these parts of one run, the same one or others? False: error says what differs. */
bool result_is_same_run(const struct result *a, const struct result *b, char *error,
                        size_t error_bytes);

/* ── result_csv.c, result_hdr.c, result_html.c ── "-" is standard output ── */

bool result_write_csv(const struct result *result, const char *path, char *error,
                      size_t error_bytes);

/* HdrHistogram's percentile text of one latency, values in milliseconds. */
bool result_write_hdr(const struct result *result, enum fmx_fleet_latency latency, const char *path,
                      char *error, size_t error_bytes);

/* One page that needs nothing else; of two or more results side by side. */
bool result_write_html(struct result *const *results, size_t results_count, const char *path,
                       char *error, size_t error_bytes);

#endif
