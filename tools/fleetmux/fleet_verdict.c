/*
 * fleet_verdict — does the ledger add up?
 *
 * Why it is so:   a load test that lost something must not look like one that did not. The words
 *                 on the screen, the JSON and the exit status come from one place.
 * Words:          lost: the server took it and it never came, or it was never acknowledged;
 *                 missing: --limit asked for it and the run ended before
 * Threads:        pure
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/words.h"

#include <string.h>

const char *fleet_kind_name(enum fleet_kind kind)
{
    return kind == FLEET_PUB ? "pub" : kind == FLEET_SUB ? "sub" : "conn";
}

void fleet_meter_poll(struct fleet_meter *meter, uint64_t now_ns, uint64_t count)
{
    if (count != meter->count) {
        if (meter->count == 0) {
            meter->began_ns = meter->polled_ns;
        }
        meter->count = count;
        meter->last_ns = now_ns;
    }
    meter->polled_ns = now_ns;
}

double fleet_meter_rate(const struct fleet_meter *meter)
{
    uint64_t span_ns = meter->last_ns - meter->began_ns;

    return span_ns == 0 ? 0 : (double)meter->count * 1e9 / (double)span_ns;
}

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static bool has_planned_end(const struct fleet_settings *settings)
{
    return settings->plan.duration_ns != 0 || settings->limit != 0;
}

static uint64_t count_lost(const struct fleet_run *run)
{
    const struct fmx_fleet_snapshot *now = &run->now;

    if (run->settings->kind == FLEET_SUB) {
        return now->received_gap;
    }
    return run->settings->kind == FLEET_PUB && run->settings->qos == 1
               ? above(now->publishes_sent, now->publishes_acked + now->publishes_refused)
               : 0;
}

static uint64_t count_missing(const struct fleet_run *run)
{
    uint64_t done = run->settings->kind == FLEET_SUB ? run->now.received : run->now.publishes_sent;

    return above(run->settings->limit, done);
}

/* Adds "; 12 clients failed" and the like, if there are any. */
static void add(struct fleet_verdict *verdict, uint64_t count, const char *what)
{
    size_t used = strlen(verdict->words);

    if (count == 0) {
        return;
    }
    verdict->status = EXIT_ABORTED;
    snprintf(verdict->words + used, sizeof(verdict->words) - used, "%s%s %s", used > 0 ? ", " : "",
             words_count(count).text, what);
}

static void praise(const struct fleet_run *run, struct fleet_verdict *verdict)
{
    const struct fmx_fleet_snapshot *now = &run->now;
    const size_t bytes = sizeof(verdict->words);

    if (run->settings->kind == FLEET_CONN) {
        snprintf(verdict->words, bytes, "%s connects, 0 clients lost",
                 words_count(now->connects_ok).text);
    } else if (run->settings->kind == FLEET_SUB) {
        snprintf(verdict->words, bytes, "%s messages received, 0 lost",
                 words_count(now->received).text);
    } else if (run->settings->qos == 0) {
        snprintf(verdict->words, bytes, "%s messages sent", words_count(now->publishes_sent).text);
    } else {
        snprintf(verdict->words, bytes, "%s messages sent, all acknowledged, 0 lost",
                 words_count(now->publishes_sent).text);
    }
}

void fleet_verdict_make(const struct fleet_run *run, struct fleet_verdict *out_verdict)
{
    const struct fmx_fleet_snapshot *end = &run->at_end;
    bool was_cut = run->signo != 0 && has_planned_end(run->settings);

    *out_verdict = (struct fleet_verdict){
        .status = was_cut ? EXIT_ABORTED : EXIT_PASS,
        .messages_lost = count_lost(run),
        .messages_missing = count_missing(run),
        .clients_never_up = run->signo == 0 ? end->clients_waiting + end->clients_connecting : 0,
    };
    add(out_verdict, end->clients_failed, "clients failed to connect");
    add(out_verdict, out_verdict->clients_never_up, "clients were not connected yet");
    add(out_verdict, end->clients_lost, "clients lost");
    add(out_verdict, end->subscribes_refused, "subscriptions refused");
    add(out_verdict, out_verdict->messages_lost, "messages lost");
    add(out_verdict, run->now.publishes_refused, "messages refused");
    add(out_verdict, was_cut ? 0 : out_verdict->messages_missing, "messages missing of --limit");
    if (out_verdict->words[0] == '\0') {
        praise(run, out_verdict);
    }
}
