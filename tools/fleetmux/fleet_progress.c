/*
 * fleet_progress — the line that says how the run is going
 *
 * Why it is so:   on a terminal one line is rewritten in place, so that the screen stays readable;
 *                 elsewhere (a file, a CI job) each second is a line of its own. All of it goes to
 *                 standard error: standard output belongs to the result.
 * Threads:        shown by the main thread; a log line may come from any. What they share is one
 *                 flag, set before the shards run
 * Limits:         one line a second
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/number.h"
#include "tools/fleetmux/words.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Goes back to the line's start and clears it. */
#define CLEAR "\r\033[K"

static struct {
    bool is_quiet;
    bool is_terminal; /* read-only after begin */
    uint64_t next_ns, shown_ns;
    struct fmx_fleet_snapshot shown;
} progress;

void fleet_progress_begin(const struct fleet_settings *settings)
{
    const char *terminal = getenv("TERM");

    memset(&progress, 0, sizeof(progress));
    progress.is_quiet = settings->is_quiet;
    progress.is_terminal = !settings->is_quiet && isatty(STDERR_FILENO) && terminal != NULL &&
                           strcmp(terminal, "dumb") != 0;
    progress.next_ns = NUMBER_NS_PER_S;
}

void fleet_progress_log(void *user, enum fmx_log_level level, const char *line)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    (void)user;
    fprintf(stderr, "%s%s: %s\n", progress.is_terminal ? CLEAR : "", names[level], line);
}

/* Per second, since the line before. */
static struct words rate(const struct fleet_run *run, uint64_t now, uint64_t shown)
{
    uint64_t span_ns = run->now.elapsed_ns - progress.shown_ns;

    return words_real(span_ns == 0 ? 0 : (double)(now - shown) * 1e9 / (double)span_ns);
}

static void print_clients(const struct fmx_fleet_snapshot *now, uint32_t count)
{
    fprintf(stderr, "open %s/%s", words_count(now->clients_open).text, words_count(count).text);
    if (now->clients_connecting > 0) {
        fprintf(stderr, "  connecting %s", words_count(now->clients_connecting).text);
    }
    if (now->clients_failed > 0) {
        fprintf(stderr, "  failed %s", words_count(now->clients_failed).text);
    }
    if (now->clients_lost > 0) {
        fprintf(stderr, "  lost %s", words_count(now->clients_lost).text);
    }
}

static void print_publishing(const struct fleet_run *run)
{
    const struct fmx_fleet_snapshot *now = &run->now, *shown = &progress.shown;

    fprintf(stderr, "  sent %s (%s/s)", words_count(now->publishes_sent).text,
            rate(run, now->publishes_sent, shown->publishes_sent).text);
    if (run->settings->qos > 0) {
        fprintf(stderr, "  acked %s (%s/s)  p99 %s", words_count(now->publishes_acked).text,
                rate(run, now->publishes_acked, shown->publishes_acked).text,
                words_time(now->puback.p99_ns).text);
    }
}

static void print_subscribing(const struct fleet_run *run)
{
    const struct fmx_fleet_snapshot *now = &run->now, *shown = &progress.shown;

    fprintf(stderr, "  subscribed %s  received %s (%s/s)",
            words_count(now->clients_subscribed).text, words_count(now->received).text,
            rate(run, now->received, shown->received).text);
    if (now->delivery.count > 0) {
        fprintf(stderr, "  p99 %s", words_time(now->delivery.p99_ns).text);
    }
    if (now->received_gap > 0) {
        fprintf(stderr, "  lost %s", words_count(now->received_gap).text);
    }
}

static void print_calls(const struct fmx_fleet_snapshot *now)
{
    if (now->calls_received > 0) {
        fprintf(stderr, "  calls %s", words_count(now->calls_received).text);
    }
}

static void print_line(const struct fleet_run *run)
{
    flockfile(stderr);
    fprintf(stderr, "%s%3.0f s  ", progress.is_terminal ? CLEAR : "",
            (double)run->now.elapsed_ns / 1e9);
    print_clients(&run->now, run->settings->plan.clients_count);
    if (run->settings->kind == FLEET_PUB) {
        print_publishing(run);
    } else if (run->settings->kind == FLEET_SUB) {
        print_subscribing(run);
    }
    print_calls(&run->now);
    fputs(progress.is_terminal ? "" : "\n", stderr);
    fflush(stderr);
    funlockfile(stderr);
}

void fleet_progress_show(const struct fleet_run *run)
{
    if (progress.is_quiet || run->now.elapsed_ns < progress.next_ns) {
        return;
    }
    print_line(run);
    progress.shown = run->now;
    progress.shown_ns = run->now.elapsed_ns;
    progress.next_ns = (run->now.elapsed_ns / NUMBER_NS_PER_S + 1) * NUMBER_NS_PER_S;
}

void fleet_progress_end(void)
{
    if (progress.is_terminal) {
        fputs(CLEAR, stderr);
        fflush(stderr);
    }
}
