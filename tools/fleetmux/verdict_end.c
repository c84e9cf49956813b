/*
 * verdict_end — the end: does the ledger add up, what is the first line, how does the command end?
 *
 * Why it is so:   a load test that lost something must not look like one that did not, and one that
 *                 cannot account for each message must not be believed at all. With thresholds
 *                 somebody has said what counts, so losses and refusals alone fail nothing; without
 *                 them nothing may be lost
 * Words:          never left: due, and not sent when all was over; missing: --limit asked for it,
 *                 and the run ended before
 * Invariants:     (1) the status is the first that applies of: the ledger does not add up or the
 *                 run was cut short (4), the generator was the limit (3), a threshold was missed
 *                 (2), without thresholds something was lost (4)
 *                 (2) the first line says why the status is what it is
 * Threads:        pure
 * Not here:       what held the run back: verdict.c
 */
#include "tools/fleetmux/verdict.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* ── the ledger ── */

/* Two sums that must be one. */
static void balance(struct result *result, uint64_t one, uint64_t other, const char *what)
{
    size_t used = strlen(result->ledger_words);

    if (one == other) {
        return;
    }
    snprintf(result->ledger_words + used, sizeof(result->ledger_words) - used,
             "%s%s (%" PRIu64 ", %" PRIu64 ")", result->adds_up ? "" : "; ", what, one, other);
    result->adds_up = false;
}

void verdict_ledger(struct result *result)
{
    const struct fmx_fleet_counters *end = &result->counters;

    result->adds_up = true;
    result->ledger_words[0] = '\0';
    balance(result, end->publishes_planned,
            end->publishes_sent + end->publishes_skipped + end->publishes_overdue,
            "messages planned are not those sent, skipped and overdue");
    balance(result, end->publishes_sent_qos1,
            end->publishes_acked + end->publishes_refused + end->publishes_unacked +
                end->publishes_outstanding,
            "messages sent at QoS 1 are not those acknowledged, refused, unacked and outstanding");
    balance(result, end->received,
            end->received_once + end->received_copies + end->received_redelivered +
                end->received_duplicate + end->received_foreign + end->received_unchecked,
            "messages received are not those that came once, again and unmarked");
    if (end->deliveries_expected > 0) {
        balance(result, end->deliveries_expected, end->received_once + end->deliveries_lost,
                "deliveries expected are not those received and lost");
    }
    balance(result, result->clients_count,
            end->clients_waiting + end->clients_connecting + end->clients_open +
                end->clients_stopped + end->clients_lost + end->clients_failed,
            "clients planned are not those by state");
}

/* ── what went wrong ── */

struct words_list {
    char *text;
    size_t bytes;
};

/* Adds "12 clients failed to connect" and the like, if there are any; `one` follows a 1. */
static void add(struct words_list *list, uint64_t count, const char *one, const char *many)
{
    size_t used = strlen(list->text);

    if (count > 0) {
        snprintf(list->text + used, list->bytes - used, "%s%s %s", used > 0 ? ", " : "",
                 words_count(count).text, count == 1 ? one : many);
    }
}

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Messages of --limit that were not sent, or, where nothing is sent, did not come. */
static uint64_t count_missing(const struct result *result)
{
    const struct fmx_fleet_counters *end = &result->counters;
    bool is_sent = end->publishes_planned > 0 || result->base_rate > 0;

    return above(result->messages_wanted, is_sent ? end->publishes_sent : end->received);
}

/*
 * Clients that should have been there at the end. A scenario may leave clients out, and send them
 * away; then those count whose connect was due.
 */
static uint64_t count_never_up(const struct result *result)
{
    const struct fmx_fleet_counters *end = &result->before_drain;
    uint64_t open = end->connects_ok + end->connects_failed + verdict_apart(result);

    if (strcmp(result->verb, "run") != 0) {
        return end->clients_waiting + end->clients_connecting;
    }
    return result->ready_ns != 0 ? 0 : above(end->connects_planned, open);
}

static void list_losses(const struct result *result, struct words_list *list)
{
    const struct fmx_fleet_counters *end = &result->counters;

    add(list,
        above(result->before_drain.clients_failed,
              verdict_of_apart(result, offsetof(struct fmx_fleet_counters, clients_failed))),
        "client failed to connect", "clients failed to connect");
    add(list, result->signo == 0 ? count_never_up(result) : 0, "client was not connected yet",
        "clients were not connected yet");
    add(list, result->before_drain.clients_lost, "client lost", "clients lost");
    add(list, end->subscribes_refused, "filter refused", "filters refused");
    add(list, result_messages_lost(result), "message lost", "messages lost");
    add(list, end->publishes_refused, "message refused", "messages refused");
    add(list, end->server_faults, "packet that breaks the protocol",
        "packets that break the protocol");
    add(list, end->publishes_overdue, "message never left", "messages never left");
    add(list, end->requests_timeout, "request without an answer", "requests without an answer");
    add(list, result->signo == 0 ? count_missing(result) : 0, "message missing of --limit",
        "messages missing of --limit");
}

static void praise(const struct result *result, struct words_list *list)
{
    const struct fmx_fleet_counters *end = &result->counters;
    bool is_all_qos1 = end->publishes_sent_qos1 == end->publishes_sent;
    char acked[48] = "";

    if (end->publishes_sent == 0 && end->received == 0) {
        snprintf(list->text, list->bytes, "%s connect%s, 0 clients lost",
                 words_count(end->connects_ok).text, end->connects_ok == 1 ? "" : "s");
        return;
    }
    if (end->publishes_sent_qos1 > 0) {
        snprintf(acked, sizeof(acked), "%s%s", is_all_qos1 ? "all" : "",
                 is_all_qos1 ? "" : words_count(end->publishes_acked).text);
    }
    add(list, end->publishes_sent, "message sent", "messages sent");
    size_t used = strlen(list->text);
    if (acked[0] != '\0') {
        used += (size_t)snprintf(list->text + used, list->bytes - used, ", %s acknowledged", acked);
    }
    add(list, end->received, "message received", "messages received");
    used = strlen(list->text);
    snprintf(list->text + used, list->bytes - used, ", 0 lost");
}

/* ── thresholds ── */

static size_t count_missed(const struct result *result)
{
    size_t missed = 0;

    for (size_t i = 0; i < result->thresholds_count; i++) {
        missed += !result->thresholds[i].is_met;
    }
    return missed;
}

static void list_missed(const struct result *result, size_t missed, char *text, size_t bytes)
{
    snprintf(text, bytes, "%zu of %zu threshold%s missed", missed, result->thresholds_count,
             result->thresholds_count == 1 ? "" : "s");
    const char *lead = ": ";
    for (size_t i = 0; i < result->thresholds_count; i++) {
        const struct result_threshold *threshold = &result->thresholds[i];
        size_t used = strlen(text);
        if (!threshold->is_met) {
            snprintf(text + used, bytes - used, "%s%.60s was %s", lead, threshold->text,
                     threshold->value);
            lead = ", ";
        }
    }
}

/* ── all of it ── */

static enum exit_status judge(struct result *result, struct words_list *list)
{
    char losses[sizeof(result->words)] = "";
    struct words_list lost = {losses, sizeof(losses)};
    size_t missed = count_missed(result);

    list_losses(result, &lost);
    if (!result->adds_up) {
        snprintf(list->text, list->bytes, "the ledger does not add up: %.200s",
                 result->ledger_words);
        return EXIT_ABORTED;
    }
    if (result->signo != 0 && result->has_planned_end) {
        snprintf(list->text, list->bytes, "stopped from outside after %s%s%.180s",
                 words_time(result->elapsed_ns).text, losses[0] != '\0' ? ": " : "", losses);
        return EXIT_ABORTED;
    }
    if (!result->is_valid && !result->accepts_invalid) {
        snprintf(list->text, list->bytes,
                 "not valid, this program or its machine was the limit%s%.160s",
                 losses[0] != '\0' ? ": " : "", losses);
        return EXIT_GENERATOR;
    }
    if (missed > 0) {
        list_missed(result, missed, list->text, list->bytes);
        return EXIT_THRESHOLD;
    }
    if (result->find_words[0] != '\0') {
        snprintf(list->text, list->bytes, "%s", result->find_words);
        return result->find_status;
    }
    if (losses[0] != '\0') {
        bool has_thresholds = result->thresholds_count > 0;
        snprintf(list->text, list->bytes, "%s%.200s",
                 has_thresholds ? "all thresholds met, but " : "", losses);
        return has_thresholds ? EXIT_PASS : EXIT_ABORTED;
    }
    praise(result, list);
    return EXIT_PASS;
}

void verdict_make(struct result *result, bool has_planned_end)
{
    struct words_list list = {result->words, sizeof(result->words)};

    result->has_planned_end = has_planned_end;
    result->words[0] = '\0';
    verdict_limit(result);
    verdict_ledger(result);
    result->status = judge(result, &list);
}
