/*
 * fleet_tell.h — what screen, lines and summary say in the same words
 */
#ifndef FMX_TOOLS_FLEET_TELL_H
#define FMX_TOOLS_FLEET_TELL_H

#include "tools/fleetmux/result.h"
#include "tools/fleetmux/words.h"

#define TELL_LATENCIES_MAX FMX_FLEET_LATENCIES
#define TELL_WORDS_BYTES   512

/* "0:42", "1:02:03": of what takes long. */
struct words tell_clock(uint64_t time_ns);

/* "1.23ms": in at most six columns up to 2,777 hours. */
struct words tell_time(uint64_t time_ns);

/* "43 %", "0.12 %" */
struct words tell_share(double share);

/* "INVALID: generator-limited" stands before all that is said of such a run; "" of any other. */
const char *tell_prefix(const struct result *result);

/* "the connection could not be made: Connection refused" */
void tell_cause(const struct result_cause *cause, char *out_words, size_t words_bytes);

/* What to do about it; NULL: nothing to say. */
const char *tell_hint(const struct result *result, const struct result_cause *cause);

/* Rows of a table of latencies: a raw one stands below its corrected one. */
struct tell_latency {
    enum fmx_fleet_latency latency;
    const char *label; /* "PUBACK", and "  raw" */
    bool is_raw;
};

/*
 * The rows that have something to show, at most rows_max of them; where there are more, the less
 * telling ones are left out. How many there are; out_missing: how many were left out.
 */
size_t tell_latencies(const struct result *result, size_t rows_max,
                      struct tell_latency out_rows[TELL_LATENCIES_MAX], size_t *out_missing);

/* Somebody has filters of his own: without any, all who are open count as subscribed. */
bool tell_has_filters(const struct result *result);

/* How this program itself was: in the last second, or over the whole run. */
struct tell_health {
    uint64_t lag_p99_ns, drift_p99_ns;
    double cpu;  /* of a processor, per shard thread */
    double wait; /* share of the time that a shard thread was ready and did not run; below 0: the
                    system cannot tell */
    double segments_again; /* share of the system's TCP segments; below 0: it cannot be told */
    uint64_t rss_bytes, bytes_per_client;
};

void tell_health(const struct result *result, bool is_whole, struct tell_health *out_health);

/* A counter by its offset. */
uint64_t tell_count(const struct fmx_fleet_counters *counters, size_t counter_offset);

/* Of the last complete row, or of what there is yet. */
double tell_rate(const struct result *result, size_t counter_offset);
double tell_connects_wanted(const struct result *result);
double tell_publishes_wanted(const struct result *result);

#define TELL_RATE(result, counter) tell_rate((result), offsetof(struct fmx_fleet_counters, counter))

#endif
