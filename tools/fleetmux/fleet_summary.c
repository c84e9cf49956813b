/*
 * fleet_summary — the result of a run on one screen
 *
 * Why it is so:   the first line answers the question, the rest gives the reasons. Rows without a
 *                 figure are left out.
 * Threads:        one
 * Limits:         at most 38 lines; of the causes the first eight
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/words.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAUSES_SHOWN_MAX 8

static bool wants_colour(FILE *out)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    return isatty(fileno(out)) && (no_colour == NULL || no_colour[0] == '\0') && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

static void print_verdict(const struct fleet_run *run, const struct fleet_verdict *verdict,
                          FILE *out)
{
    bool is_good = verdict->status == EXIT_PASS;
    bool has_colour = wants_colour(out);

    fprintf(out, "%s%s%s: %s\n", has_colour ? (is_good ? "\033[32m" : "\033[31m") : "",
            is_good           ? "ok"
            : run->signo != 0 ? "cut short"
                              : "not ok",
            has_colour ? "\033[0m" : "", verdict->words);
}

static void print_clients(const struct fleet_run *run, FILE *out)
{
    const struct fmx_fleet_snapshot *end = &run->at_end;

    fprintf(out, "clients     %s planned", words_count(run->settings->plan.clients_count).text);
    fprintf(out, ": %s open, %s connecting, %s waiting, %s lost, %s failed\n",
            words_count(end->clients_open).text, words_count(end->clients_connecting).text,
            words_count(end->clients_waiting).text, words_count(end->clients_lost).text,
            words_count(end->clients_failed).text);
    fprintf(out, "connects    %s", words_count(run->now.connects_ok).text);
    fprintf(out, " in %s, %s/s\n", words_time(run->connects.last_ns - run->connects.began_ns).text,
            words_real(fleet_meter_rate(&run->connects)).text);
}

static void print_handshakes(const struct fleet_meter *meter, const char *kind, FILE *out)
{
    fprintf(out, "%s %s", words_count(meter->count).text, kind);
    if (meter->count > 0) {
        fprintf(out, " (%s/s)", words_real(fleet_meter_rate(meter)).text);
    }
}

static void print_tls(const struct fleet_run *run, FILE *out)
{
    const struct fmx_fleet_snapshot *now = &run->now;

    if (run->settings->plan.tls == NULL) {
        return;
    }
    if (run->settings->tls.insecure) {
        fprintf(out,
                "INSECURE    no server was verified (--insecure): anybody may have answered\n");
    }
    if (now->tls_suite != NULL) {
        fprintf(out, "tls         %s, %s\n", fmx_tls_version_name(now->tls_version),
                now->tls_suite);
    }
    fprintf(out, "handshakes  ");
    print_handshakes(&run->tls_full, "full", out);
    fprintf(out, ", ");
    print_handshakes(&run->tls_resumed, "resumed", out);
    fprintf(out, "\n");
}

static void print_count(const char *name, const struct fleet_meter *meter, uint64_t count,
                        FILE *out)
{
    fprintf(out, "%-11s %s, %s/s", name, words_count(count).text,
            words_real(fleet_meter_rate(meter)).text);
}

static void print_publishes(const struct fleet_run *run, const struct fleet_verdict *verdict,
                            FILE *out)
{
    const struct fmx_fleet_snapshot *now = &run->now;

    print_count("sent", &run->sent, now->publishes_sent, out);
    fprintf(out, " (%s planned)\n", words_count(now->publishes_planned).text);
    if (run->settings->qos == 0) {
        return;
    }
    print_count("acked", &run->acked, now->publishes_acked, out);
    fprintf(out, " (%s refused, %s lost)\n", words_count(now->publishes_refused).text,
            words_count(verdict->messages_lost).text);
}

static void print_received(const struct fleet_run *run, FILE *out)
{
    const struct fmx_fleet_snapshot *now = &run->now;

    fprintf(out, "subscribed  %s clients, %s filters refused\n",
            words_count(run->at_end.clients_subscribed).text,
            words_count(now->subscribes_refused).text);
    print_count("received", &run->received, now->received, out);
    fprintf(out, " (%s lost, %s duplicate, %s unmarked)\n", words_count(now->received_gap).text,
            words_count(now->received_duplicate).text, words_count(now->received_foreign).text);
}

/* What only devices of the platform do. */
static void print_platform(const struct fleet_run *run, FILE *out)
{
    const struct fmx_fleet_plan *plan = &run->settings->plan;
    const struct fmx_fleet_snapshot *now = &run->now;

    if (plan->platform.registration != FMX_FLEET_REGISTER_NONE) {
        fprintf(out, "registered  %s devices\n", words_count(now->registrations_ok).text);
    }
    if (plan->calls.answer != FMX_FLEET_ANSWER_OFF) {
        fprintf(out, "calls       %s received", words_count(now->calls_received).text);
        fprintf(out, ", %s answered, %s over the bound\n", words_count(now->calls_answered).text,
                words_count(now->calls_over_bound).text);
    }
    if (plan->platform.thing_model) {
        fprintf(out, "replies     %s to property posts\n", words_count(now->thing_replies).text);
    }
}

static void print_latency(const char *name, const struct fmx_latency *latency, FILE *out)
{
    if (latency->count > 0) {
        fprintf(out, "%-11s %9s %9s %9s %9s %9s  %s\n", name, words_time(latency->p50_ns).text,
                words_time(latency->p90_ns).text, words_time(latency->p99_ns).text,
                words_time(latency->p999_ns).text, words_time(latency->max_ns).text,
                words_count(latency->count).text);
    }
}

static void print_latencies(const struct fmx_fleet_snapshot *now, FILE *out)
{
    fprintf(out, "%-11s %9s %9s %9s %9s %9s  %s\n", "latency", "p50", "p90", "p99", "p99.9", "max",
            "count");
    print_latency("  connect", &now->connect, out);
    print_latency("  full tls", &now->tls_full, out);
    print_latency("  resumed", &now->tls_resumed, out);
    print_latency("  subscribe", &now->subscribe, out);
    print_latency("  puback", &now->puback, out);
    print_latency("  delivery", &now->delivery, out);
    print_latency("  own lag", &now->lag, out);
}

static void print_cause(const struct fmx_fleet_snapshot *now, const struct fmx_fleet_cause *cause,
                        FILE *out)
{
    const char *hint = fleet_hint(cause, now->connects_ok > 0);
    bool says_all = cause->status == FMX_TLS_ALERT && cause->words != NULL;

    fprintf(out, "  %s x %s", words_count(cause->count).text,
            says_all ? cause->words : fmx_status_text(cause->status));
    if (cause->words != NULL && !says_all) {
        fprintf(out, " (%s)", cause->words);
    }
    if (cause->sys_errno != 0) {
        fprintf(out, " (%s)", strerror(cause->sys_errno));
    }
    if (cause->reason != 0) {
        fprintf(out, " (code 0x%02X)", (unsigned)cause->reason);
    }
    fprintf(out, "%s%s\n", hint != NULL ? "; " : "", hint != NULL ? hint : "");
}

static void print_causes(const struct fmx_fleet_snapshot *now, FILE *out)
{
    size_t shown = now->causes_count < CAUSES_SHOWN_MAX ? now->causes_count : CAUSES_SHOWN_MAX;

    if (shown > 0) {
        fprintf(out, "connections failed or lost:\n");
    }
    for (size_t index = 0; index < shown; index++) {
        print_cause(now, &now->causes[index], out);
    }
    if (now->causes_count > shown) {
        fprintf(out, "  and %zu causes more\n", now->causes_count - shown);
    }
}

static void print_process(const struct fleet_run *run, FILE *out)
{
    uint64_t grown =
        run->rss_bytes > run->rss_before_bytes ? run->rss_bytes - run->rss_before_bytes : 0;

    fprintf(out, "process     %s for each client, %s in all",
            words_bytes(grown / run->settings->plan.clients_count).text,
            words_bytes(run->rss_bytes).text);
    fprintf(out, ", %u shards, %s calls into the kernel\n", (unsigned)run->shards_count,
            words_count(run->now.stats.enters).text);
}

void fleet_summary_print(const struct fleet_run *run, const struct fleet_verdict *verdict,
                         FILE *out)
{
    print_verdict(run, verdict, out);
    fprintf(out, "ran         %s\n", words_time(run->at_end.elapsed_ns).text);
    print_clients(run, out);
    print_tls(run, out);
    if (run->settings->kind == FLEET_PUB) {
        print_publishes(run, verdict, out);
    } else if (run->settings->kind == FLEET_SUB) {
        print_received(run, out);
    }
    print_platform(run, out);
    print_latencies(&run->now, out);
    print_causes(&run->now, out);
    print_process(run, out);
    fflush(out);
}
