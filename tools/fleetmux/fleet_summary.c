/*
 * fleet_summary — the result of a run in thirty lines
 *
 * Why it is so:   the first line answers the question, the rest gives the reasons, and all of it is
 *                 on one terminal and in one mail. Rows without a figure are left out. Thresholds,
 *                 steps, causes, latencies and groups may be many: what always stands takes its
 *                 lines first, and these share the rest: more than their least get thresholds
 *                 first, then causes, latencies, groups and steps. A run that is invalid says so
 *                 on each line, since lines are cut out and mailed
 * Invariants:     (1) never more than LINES_MAX lines  (2) the verdict is the first of them
 * Memory:         static, some 50 KB
 * Threads:        one
 * Limits:         LINES_MAX lines of LINE_BYTES
 * Not here:       what the result means: verdict.c
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/fleet_tell.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_MAX   30
#define LINE_BYTES  320
#define COLUMNS_MAX 100   /* of a line with two things in it */
#define CLIENTS_MIN 1000u /* of so many the process's own memory is no large part of a client's */
#define NO_END      SIZE_MAX

/* Lines that are said; `count` goes on where they have no room. */
struct block {
    size_t count;
    char lines[LINES_MAX][LINE_BYTES];
};

static void say(struct block *block, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct block *block, const char *format, ...)
{
    va_list arguments;

    if (block->count < LINES_MAX) {
        va_start(arguments, format);
        vsnprintf(block->lines[block->count], LINE_BYTES, format, arguments);
        va_end(arguments);
    }
    block->count++;
}

/* Behind what the last line says already. */
static void say_more(struct block *block, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say_more(struct block *block, const char *format, ...)
{
    va_list arguments;

    if (block->count > 0 && block->count <= LINES_MAX) {
        char *line = block->lines[block->count - 1];
        size_t used = strlen(line);
        va_start(arguments, format);
        vsnprintf(line + used, LINE_BYTES - used, format, arguments);
        va_end(arguments);
    }
}

/* ── what always stands ── */

static void say_verdict(const struct result *result, struct block *block)
{
    const char *limit = result_limit_name(result->limit);
    bool is_plain = !result->is_valid || result->status == EXIT_PASS; /* a prefix says the first */
    const char *end = is_plain ? "" : result->signo != 0 ? "CUT SHORT" : "FAILED";

    if (end[0] != '\0' && result->limit != RESULT_OK) {
        say(block, "%s, %s: %s", end, limit, result->words);
    } else {
        say(block, "%s: %s", end[0] != '\0' ? end : limit, result->words);
    }
    if (result->limit != RESULT_OK && result->limit_words[0] != '\0') {
        say(block, "%-11s %s", "because", result->limit_words);
    }
    if (!result->adds_up) {
        say(block, "%-11s does not add up: %s", "ledger", result->ledger_words);
    }
}

static void say_run(const struct result *result, struct block *block)
{
    say(block, "%-11s %s%s%s for %s", "ran", result->verb, result->name[0] != '\0' ? " " : "",
        result->name, words_time(result->elapsed_ns).text);
    if (result->ready_ns > 0) {
        say_more(block, ", all up after %s", words_time(result->ready_ns).text);
    }
    if (result->stages_count > 1) {
        say_more(block, ", %zu stages", result->stages_count);
    }
    if (result->parts_merged > 1) {
        say_more(block, ", %" PRIu32 " parts together", result->parts_merged);
    } else if (result->parts_count > 1) {
        say_more(block, ", part %" PRIu32 " of %" PRIu32, result->part + 1, result->parts_count);
    }
    say_more(block, ", %" PRIu32 " shard%s", result->shards_count,
             result->shards_count == 1 ? "" : "s");
}

static void say_count(struct block *block, uint64_t count, const char *what)
{
    if (count > 0) {
        say_more(block, ", %s %s", words_count(count).text, what);
    }
}

static void say_some(struct block *block, uint64_t count, const char *one, const char *many)
{
    say_count(block, count, count == 1 ? one : many);
}

static void say_clients(const struct result *result, struct block *block)
{
    const struct fmx_fleet_counters *end = &result->before_drain, *now = &result->counters;

    say(block, "%-11s %s: %s open", "clients", words_count(result->clients_count).text,
        words_count(end->clients_open).text);
    say_count(block, tell_has_filters(result) ? end->clients_subscribed : 0, "subscribed");
    say_count(block, end->clients_connecting, "connecting");
    say_count(block, end->clients_waiting, "waiting");
    say_count(block, end->clients_stopped, "sent away");
    say_more(block, ", %s lost, %s failed", words_count(end->clients_lost).text,
             words_count(end->clients_failed).text);
    say_count(block, end->ghosts, "vanished");
    say_count(block, now->registrations_ok, "registered");
    say(block, "%-11s %s at %s/s", "connects", words_count(now->connects_ok).text,
        words_real(result_rate(result, offsetof(struct fmx_fleet_counters, connects_ok))).text);
    say_more(block, " (%s planned), %s failed, %s lost later",
             words_count(now->connects_planned).text, words_count(now->connects_failed).text,
             words_count(now->connections_lost).text);
    say_some(block, now->subscribes_refused, "filter refused", "filters refused");
    say_some(block, now->server_faults, "protocol fault", "protocol faults");
}

static void say_tls(const struct result *result, struct block *block)
{
    if (!result->has_tls) {
        return;
    }
    say(block, "%-11s ", "tls");
    if (result->tls_version[0] != '\0') {
        say_more(block, "%s, %s, ", result->tls_version, result->tls_suite);
    }
    say_more(block, "%s handshakes in full, %s resumed",
             words_count(result->latency[FMX_FLEET_TLS_FULL].count).text,
             words_count(result->latency[FMX_FLEET_TLS_RESUMED].count).text);
    if (result->is_insecure) {
        say(block, "%-11s no server was verified (--insecure): anybody may have answered",
            "INSECURE");
    }
}

/* planned = sent + skipped + overdue; sent at QoS 1 = acked + refused + unacked + outstanding */
static void say_published(const struct result *result, struct block *block)
{
    const struct fmx_fleet_counters *now = &result->counters;

    if (now->publishes_planned == 0 && now->publishes_sent == 0) {
        return;
    }
    say(block, "%-11s %s =", "planned", words_count(now->publishes_planned).text);
    say_more(block, " %s sent + %s skipped + %s overdue", words_count(now->publishes_sent).text,
             words_count(now->publishes_skipped).text, words_count(now->publishes_overdue).text);
    say_more(
        block, "; sent at %s/s",
        words_real(result_rate(result, offsetof(struct fmx_fleet_counters, publishes_sent))).text);
    if (now->publishes_sent_qos1 == 0) {
        return;
    }
    say(block, "%-11s %s = %s acked + %s refused", "sent, QoS 1",
        words_count(now->publishes_sent_qos1).text, words_count(now->publishes_acked).text,
        words_count(now->publishes_refused).text);
    say_more(block, " + %s unacked + %s outstanding", words_count(now->publishes_unacked).text,
             words_count(now->publishes_outstanding).text);
    if (now->publishes_sent_again > 0) {
        say_more(block, "; %s sent again", words_count(now->publishes_sent_again).text);
    }
}

static void say_received(const struct result *result, struct block *block)
{
    const struct fmx_fleet_counters *now = &result->counters;
    bool is_checked = now->deliveries_expected > 0;

    bool has_calls = now->calls_received + now->requests_answered + now->requests_timeout > 0;

    if (!tell_has_filters(result) || (has_calls && now->received == 0 && !is_checked)) {
        return;
    }
    say(block, "%-11s %s", "received", words_count(now->received).text);
    if (is_checked) {
        say_more(block, " of %s expected", words_count(now->deliveries_expected).text);
    }
    say_more(block, ", %s/s",
             words_real(result_rate(result, offsetof(struct fmx_fleet_counters, received))).text);
    say_more(block, ": %s lost",
             words_count(is_checked ? now->deliveries_lost : now->received_gap).text);
    say_more(block, ", %s duplicate, %s reordered, %s late",
             words_count(now->received_duplicate).text, words_count(now->received_reordered).text,
             words_count(now->received_late).text);
    say_count(block, now->received_redelivered, "redelivered");
    say_count(block, now->received_foreign, "foreign");
    say_count(block, now->received_unchecked, "unchecked");
}

static void say_answers(const struct result *result, struct block *block)
{
    const struct fmx_fleet_counters *now = &result->counters;

    if (now->requests_answered + now->requests_timeout + now->responses_foreign > 0) {
        say(block, "%-11s %s answered, %s not in time", "requests",
            words_count(now->requests_answered).text, words_count(now->requests_timeout).text);
        say_some(block, now->responses_foreign, "answer that fits none", "answers that fit none");
    }
    if (now->calls_received + now->thing_replies > 0) {
        say(block, "%-11s %s received, %s answered", "calls", words_count(now->calls_received).text,
            words_count(now->calls_answered).text);
        say_count(block, now->calls_over_bound, "over the bound");
        say_some(block, now->thing_replies, "reply to property posts", "replies to property posts");
    }
}

static void say_self(const struct result *result, struct block *block)
{
    struct tell_health health;

    tell_health(result, true, &health);
    say(block, "%-11s ", "generator");
    if (result->latency[FMX_FLEET_LAG].count > 0) { /* something had to be sent */
        say_more(block, "lag p99 %s, ", words_time(health.lag_p99_ns).text);
    }
    say_more(block, "drift p99 %s", words_time(health.drift_p99_ns).text);
    say_more(block, ", cpu %" PRIu32 " x %s", result->shards_count, tell_share(health.cpu).text);
    if (health.wait >= 0) {
        say_more(block, ", waited %s", tell_share(health.wait).text);
    }
    say_more(block, ", %s", words_bytes(health.rss_bytes).text);
    if (health.bytes_per_client > 0 && result->clients_count >= CLIENTS_MIN) {
        say_more(block, " (%s each)", words_bytes(health.bytes_per_client).text);
    }
    say(block, "%-11s %" PRIu64, "seed", result->seed);
    if (result->hash != 0) {
        say_more(block, ", hash %016" PRIx64, result->hash);
    }
}

/* ── what shares the rest: each with at most `room` lines ── */

static void say_figures(struct block *block, const char *label, const struct fmx_latency *latency)
{
    say(block, "%-11s %9s %9s %9s", label, words_time(latency->p50_ns).text,
        words_time(latency->p90_ns).text, words_time(latency->p99_ns).text);
    say_more(block, " %9s %9s  %s", words_time(latency->p999_ns).text,
             words_time(latency->max_ns).text, words_count(latency->count).text);
}

static void say_latencies(const struct result *result, size_t room, struct block *block)
{
    struct tell_latency rows[TELL_LATENCIES_MAX];
    size_t missing, count = room > 1 ? tell_latencies(result, room - 1, rows, &missing) : 0;

    if (count > 0) {
        say(block, "%-11s %9s %9s %9s %9s %9s  %s", "latency", "p50", "p90", "p99", "p99.9", "max",
            "count");
    }
    for (size_t i = 0; i < count; i++) {
        say_figures(block, rows[i].label, &result->latency[rows[i].latency]);
    }
}

static const char *once(const struct block *block, const char *label)
{
    return block->count == 0 ? label : "";
}

static void say_rest(struct block *block, const char *label, size_t count, const char *one)
{
    if (count > 0) {
        say(block, "%-11s and %zu %s%s more", once(block, label), count, one,
            count == 1 ? "" : "s");
    }
}

/* Missed ones first, a line each; then those that are met, as many on a line as it holds. */
static void say_thresholds(const struct result *result, size_t room, struct block *block)
{
    size_t left = result->thresholds_count;

    for (int is_met = 0; is_met <= 1; is_met++) {
        size_t columns = COLUMNS_MAX;
        for (size_t i = 0; i < result->thresholds_count; i++) {
            const struct result_threshold *threshold = &result->thresholds[i];
            size_t more = strlen(threshold->text) + strlen(threshold->value) + 5;
            if (threshold->is_met != (is_met == 1)) {
                continue;
            }
            bool is_behind = is_met == 1 && columns + more <= COLUMNS_MAX;
            if (!is_behind && block->count + 1 >= room && left > 1) {
                continue;
            }
            if (is_behind) {
                say_more(block, ", %s (%s)", threshold->text, threshold->value);
            } else {
                say(block, "%-11s %s %s (%s)", once(block, "thresholds"),
                    is_met == 1 ? "met:   " : "MISSED:", threshold->text, threshold->value);
            }
            columns = is_behind ? columns + more : 20 + more;
            left--;
        }
    }
    say_rest(block, "thresholds", left, "threshold");
}

static void say_steps(const struct result *result, size_t room, struct block *block)
{
    size_t count = result->steps_count;

    if (result->find_words[0] != '\0' && strcmp(result->find_words, result->words) != 0) {
        say(block, "%-11s %s", "search", result->find_words);
    }
    size_t first = 0;
    if (room != NO_END && block->count + count > room) { /* their numbers tell */
        first = block->count + count - room;
    }
    for (size_t i = first; i < count; i++) {
        const struct result_step *step = &result->steps[i];
        say(block, "%-11s step %zu: %s/s asked for,", once(block, "search"), i + 1,
            words_real(step->rate).text);
        say_more(block, " %s/s reached, %s: %s", words_real(step->achieved).text, step->value,
                 step->is_held ? "holds" : "does not hold");
    }
}

static void say_causes(const struct result *result, size_t room, struct block *block)
{
    size_t count = result->causes_count, shown = 0;

    for (; shown < count; shown++) {
        const struct result_cause *cause = &result->causes[shown];
        const char *hint = tell_hint(result, cause);
        char words[TELL_WORDS_BYTES];
        tell_cause(cause, words, sizeof(words));
        const char *number = words_count(cause->cause.count).text;
        bool is_one =
            hint == NULL || strlen(number) + strlen(words) + strlen(hint) + 17 <= COLUMNS_MAX;
        size_t rest = shown + 1 < count ? 1 : 0;
        if (block->count + (is_one ? 1 : 2) + rest > room) {
            break;
        }
        say(block, "%-11s %s x %s", once(block, "causes"), words_count(cause->cause.count).text,
            words);
        if (hint != NULL && is_one) {
            say_more(block, "; %s", hint);
        } else if (hint != NULL) {
            say(block, "%-11s   %s", "", hint);
        }
    }
    say_rest(block, "causes", count - shown, "cause");
}

/* Where one group is unlike the others, the figures of all hide it. */
static void say_group(struct block *block, const struct result_group *group)
{
    static const struct {
        enum fmx_fleet_latency latency;
        const char *label;
    } told[] = {{FMX_FLEET_PUBACK, "PUBACK"},
                {FMX_FLEET_REQUEST, "request"},
                {FMX_FLEET_DELIVERY, "delivery"}};
    const struct fmx_fleet_counters *now = &group->counters;

    say(block, "%-11s %s: %s client%s%s", once(block, "groups"), group->name,
        words_count(group->clients_count).text, group->clients_count == 1 ? "" : "s",
        group->is_apart ? ", misbehaving by plan" : "");
    say_count(block, now->clients_lost, "lost");
    say_count(block, now->clients_failed, "failed");
    say_count(block, now->publishes_sent, "sent");
    say_count(block, now->publishes_unacked, "unacked");
    say_count(block, now->requests_timeout, "answered too late or never");
    say_some(block, now->calls_received, "call received", "calls received");
    say_count(block, now->received, "received");
    say_count(block, now->deliveries_lost, "never came");
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        const struct fmx_latency *latency = &group->latency[told[i].latency];
        if (latency->count > 0) {
            say_more(block, ", %s p99 %s", told[i].label, words_time(latency->p99_ns).text);
        }
    }
}

static void say_groups(const struct result *result, size_t room, struct block *block)
{
    size_t count = result->groups_count > 1 ? result->groups_count : 0, shown = count;

    if (count > room) { /* the last line tells how many are missing */
        shown = room > 0 ? room - 1 : 0;
    }
    for (size_t i = 0; i < shown; i++) {
        say_group(block, &result->groups[i]);
    }
    if (room > 0) {
        say_rest(block, "groups", count - shown, "group");
    }
}

/* ── all of it ── */

typedef void (*sayer)(const struct result *result, size_t room, struct block *block);

struct share {
    sayer say;
    size_t least; /* lines it is sure of; with all that always stands 30 at most */
    size_t wanted, room;
    struct block block;
};

enum { LATENCIES, GROUPS, THRESHOLDS, STEPS, CAUSES, SHARES_COUNT };

static void share_room(const struct result *result, struct share *shares, size_t room)
{
    static const int order[SHARES_COUNT] = {THRESHOLDS, CAUSES, LATENCIES, GROUPS, STEPS};

    for (int i = 0; i < SHARES_COUNT; i++) {
        struct share *share = &shares[i];
        share->block.count = 0;
        share->say(result, NO_END, &share->block);
        share->wanted = share->block.count;
        share->room = share->wanted < share->least ? share->wanted : share->least;
        room -= share->room;
    }
    for (int i = 0; i < SHARES_COUNT; i++) {
        struct share *share = &shares[order[i]];
        size_t more = share->wanted - share->room;
        more = more < room ? more : room;
        share->room += more;
        room -= more;
    }
    for (int i = 0; i < SHARES_COUNT; i++) {
        shares[i].block.count = 0;
        if (shares[i].room > 0) {
            bool has_all = shares[i].room == shares[i].wanted;
            shares[i].say(result, has_all ? NO_END : shares[i].room, &shares[i].block);
        }
    }
}

static bool wants_colour(FILE *out)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    return isatty(fileno(out)) && (no_colour == NULL || no_colour[0] == '\0') && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

static void print_block(const struct result *result, const struct block *block, bool has_colour,
                        FILE *out)
{
    const char *colour = result->status == EXIT_PASS ? "\033[32m" : "\033[31m";

    for (size_t i = 0; i < block->count && i < LINES_MAX; i++) {
        bool is_coloured = has_colour && i == 0;
        fprintf(out, "%s%s%s%s\n", is_coloured ? colour : "", result->is_valid ? "" : "INVALID  ",
                block->lines[i], is_coloured ? "\033[0m" : "");
    }
}

void fleet_summary_print(const struct result *result, FILE *out)
{
    static struct block head, tail;
    static struct share shares[SHARES_COUNT] = {
        [LATENCIES] = {.say = say_latencies, .least = 5},
        [GROUPS] = {.say = say_groups, .least = 0},
        [THRESHOLDS] = {.say = say_thresholds, .least = 3},
        [STEPS] = {.say = say_steps, .least = 2},
        [CAUSES] = {.say = say_causes, .least = 3},
    };

    head.count = tail.count = 0;
    say_verdict(result, &head);
    say_run(result, &head);
    say_clients(result, &head);
    say_tls(result, &head);
    say_published(result, &head);
    say_received(result, &head);
    say_answers(result, &head);
    say_self(result, &tail);
    share_room(result, shares, LINES_MAX - head.count - tail.count);
    print_block(result, &head, wants_colour(out), out);
    for (int i = 0; i < SHARES_COUNT; i++) {
        print_block(result, &shares[i].block, false, out);
    }
    print_block(result, &tail, false, out);
    fflush(out);
}
