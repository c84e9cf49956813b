/*
 * fleet_progress — the lines that say how the run is going, where there is no screen
 *
 * Why it is so:   a file or a CI job keeps every line, so the first ten seconds have one each, in
 *                 which one sees what goes wrong at once, and after them every ten seconds one. All
 *                 of it goes to standard error: standard output belongs to the result. A run that
 *                 is invalid says so on each line, since lines are cut out and mailed around
 * Threads:        shown by the main thread; a log line may come from any. What they share is
 *                 whether the run is invalid
 * Limits:         one line a second
 * Not here:       the screen, which takes log lines while it is there: fleet_screen.c
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/fleet_screen.h"
#include "tools/fleetmux/fleet_tell.h"
#include "tools/fleetmux/number.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES  512
#define EACH_SECOND 10 /* so long a line a second */
#define LATER_EVERY 10

static struct {
    bool is_quiet;
    uint64_t next_s;
    atomic_bool is_invalid;
} progress;

void fleet_progress_begin(bool is_quiet)
{
    progress.is_quiet = is_quiet;
    progress.next_s = 1;
    atomic_store(&progress.is_invalid, false);
}

void fleet_progress_log(void *user, enum fmx_log_level level, const char *line)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char said[LINE_BYTES];

    (void)user;
    snprintf(said, sizeof(said), "%s%s: %s",
             atomic_load(&progress.is_invalid) ? "INVALID: generator-limited  " : "", names[level],
             line);
    if (!screen_log_take(said)) {
        fprintf(stderr, "%s\n", said);
    }
}

/* ── a line ── */

static void print_clients(const struct result *result)
{
    const struct fmx_fleet_counters *now = &result->counters;

    fprintf(stderr, "  open %s/%s", words_count(now->clients_open).text,
            words_count(result->clients_count).text);
    if (now->clients_connecting > 0) {
        fprintf(stderr, "  connecting %s", words_count(now->clients_connecting).text);
    }
    if (now->clients_lost > 0) {
        fprintf(stderr, "  lost %s", words_count(now->clients_lost).text);
    }
    if (now->clients_failed > 0) {
        fprintf(stderr, "  failed %s", words_count(now->clients_failed).text);
    }
}

/* p99 of the last five seconds. */
static void print_p99(const struct result *result, enum fmx_fleet_latency latency)
{
    if (result->recent[latency].count > 0) {
        fprintf(stderr, " p99 %s", tell_time(result->recent[latency].p99_ns).text);
    }
}

static void print_messages(const struct result *result)
{
    const struct fmx_fleet_counters *now = &result->counters;

    if (now->publishes_planned > 0) {
        fprintf(stderr, "  sent %s/s", words_real(TELL_RATE(result, publishes_sent)).text);
    }
    if (now->publishes_planned > 0 && result->base_rate > 0) { /* closed loops want none */
        fprintf(stderr, " of %s", words_real(tell_publishes_wanted(result)).text);
    }
    if (now->publishes_sent_qos1 > 0) {
        fprintf(stderr, "  acked %s/s", words_real(TELL_RATE(result, publishes_acked)).text);
        print_p99(result, FMX_FLEET_PUBACK);
    }
    if (tell_has_filters(result)) {
        fprintf(stderr, "  received %s/s", words_real(TELL_RATE(result, received)).text);
        print_p99(result, FMX_FLEET_DELIVERY);
    }
    if (now->received_gap > 0) {
        fprintf(stderr, "  missing %s", words_count(now->received_gap).text);
    }
    if (now->requests_answered > 0) {
        fprintf(stderr, "  requests %s/s", words_real(TELL_RATE(result, requests_answered)).text);
    }
    if (now->calls_received > 0) {
        fprintf(stderr, "  calls %s", words_count(now->calls_received).text);
    }
}

static void print_line(const struct result *result)
{
    flockfile(stderr);
    if (result->is_valid) {
        fprintf(stderr, "%5s  %s", tell_clock(result->elapsed_ns).text,
                result_limit_name(result->limit));
    } else {
        fprintf(stderr, "%s  %5s", tell_prefix(result), tell_clock(result->elapsed_ns).text);
    }
    if (result->stages_count > 1 && result->stage < result->stages_count) {
        fprintf(stderr, "  %s", result->stages[result->stage].name);
    }
    if (result->is_paused || result->is_draining) {
        fprintf(stderr, "  %s", result->is_draining ? "draining" : "paused");
    }
    print_clients(result);
    print_messages(result);
    fputc('\n', stderr);
    funlockfile(stderr);
}

void fleet_progress_show(const struct result *result)
{
    uint64_t now_s = result->elapsed_ns / NUMBER_NS_PER_S;

    atomic_store(&progress.is_invalid, !result->is_valid);
    if (progress.is_quiet || now_s < progress.next_s) {
        return;
    }
    print_line(result);
    progress.next_s = now_s < EACH_SECOND ? now_s + 1 : (now_s / LATER_EVERY + 1) * LATER_EVERY;
}

void fleet_progress_end(void)
{
    fflush(stderr);
}
