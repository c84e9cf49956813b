/*
 * fleet_metrics — a run as Prometheus text
 *
 * Why it is so:   names and units are those that Prometheus asks for: seconds and bytes, _total
 *                 for what only grows, one name for one thing. A name's labels can be summed: the
 *                 states of clients are all clients, the kinds of received messages all of them.
 *                 Of each latency there are a histogram, which adds up over processes, and exact
 *                 quantiles of the last five seconds and of the whole run, which do not
 * Words:          family: what has one name; state set: one sample for each state, 1 or 0
 * Invariants:     (1) # HELP and # TYPE stand once, before a family's samples (2) no two samples
 *                 have the same labels (3) all is UTF-8 (4) what there is not yet is 0, so that
 *                 families do not come and go; only groups, causes, thresholds are as they are
 * Threads:        pure
 * Not here:       the copy that is printed: fleet_view.c; how it gets out: fleet_http.c
 */
#include "tools/fleetmux/fleet_tell.h"
#include "tools/fleetmux/fleet_view.h"
#include "tools/fleetmux/result_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX      "fleetmux_fleet_"
#define ENGINE      "fleetmux_engine_"
#define NAME_BYTES  96
#define LABEL_BYTES 256
#define HELP_BYTES  512

enum family_kind { COUNTER, GAUGE, HISTOGRAM, SUMMARY };

/* ── text ── */

static void begin_family(FILE *out, const char *name, enum family_kind kind, const char *help)
{
    static const char *const names[] = {"counter", "gauge", "histogram", "summary"};

    fprintf(out, "# HELP %s ", name);
    for (; *help != '\0'; help++) {
        if (*help == '\\' || *help == '\n') {
            fputs(*help == '\n' ? "\\n" : "\\\\", out);
        } else {
            fputc(*help, out);
        }
    }
    fprintf(out, "\n# TYPE %s %s\n", name, names[kind]);
}

/* A label's value: sound UTF-8, escaped. */
static void print_label(FILE *out, const char *name, const char *value)
{
    char *clean = result_file_clean(value);

    fprintf(out, "%s=\"", name);
    for (const char *at = clean != NULL ? clean : "?"; *at != '\0'; at++) {
        switch (*at) {
        case '\\':
            fputs("\\\\", out);
            break;
        case '"':
            fputs("\\\"", out);
            break;
        case '\n':
            fputs("\\n", out);
            break;
        default:
            fputc(*at, out);
        }
    }
    fputc('"', out);
    free(clean);
}

static void print_real(FILE *out, double value)
{
    if (isnan(value)) {
        fputs(" NaN\n", out);
    } else {
        fprintf(out, " %.12g\n", value);
    }
}

static void print_gauge(FILE *out, const char *name, const char *help, double value)
{
    begin_family(out, name, GAUGE, help);
    fputs(name, out);
    print_real(out, value);
}

static void print_counter_s(FILE *out, const char *name, const char *help, uint64_t time_ns)
{
    begin_family(out, name, COUNTER, help);
    fprintf(out, "%s %" PRIu64 ".%09" PRIu64 "\n", name, time_ns / 1000000000,
            time_ns % 1000000000);
}

/* ── counters of clients and messages, by group ── */

struct sample {
    const char *family; /* rows of one family follow one another */
    enum family_kind kind;
    const char *help;
    const char *label, *value; /* NULL: none */
    size_t offset;             /* into struct fmx_fleet_counters */
};

#define AT(counter) offsetof(struct fmx_fleet_counters, counter)
#define GROWS(counter, help)                                                                       \
    {                                                                                              \
        PREFIX #counter "_total", COUNTER, help, NULL, NULL, AT(counter)                           \
    }
#define IS(counter, help)                                                                          \
    {                                                                                              \
        PREFIX #counter, GAUGE, help, NULL, NULL, AT(counter)                                      \
    }
#define CLIENTS(state)                                                                             \
    {                                                                                              \
        PREFIX "clients", GAUGE,                                                                   \
            "Clients by state: waiting to connect or to come back, connecting, open, stopped by "  \
            "a stage, lost for good, failed for good.",                                            \
            "state", #state, AT(clients_##state)                                                   \
    }
#define RECEIVED(kind)                                                                             \
    {                                                                                              \
        PREFIX "received_total", COUNTER,                                                          \
            "Messages received: for the first time; further copies for other filters; again "      \
            "with DUP; again without; without our mark; marked but not checked.",                  \
            "kind", #kind, AT(received_##kind)                                                     \
    }

static const struct sample samples[] = {
    CLIENTS(waiting),
    CLIENTS(connecting),
    CLIENTS(open),
    CLIENTS(stopped),
    CLIENTS(lost),
    CLIENTS(failed),
    IS(clients_subscribed, "Open clients with all filters answered, and not all of them refused."),
    IS(ghosts, "Connections that somebody has vanished from without closing."),
    GROWS(connects_planned, "Connects due by the plan."),
    GROWS(connects_begun, "Connects begun."),
    GROWS(connects_ok, "Connects that got a good CONNACK."),
    GROWS(connects_failed, "Connects that failed."),
    GROWS(connections_lost, "Open connections that ended without our doing."),
    GROWS(server_faults, "Packets of the server that break the protocol."),
    GROWS(leaves, "Times a stage has sent a client away."),
    GROWS(registrations_ok, "Clients that have learnt their secret or token."),
    GROWS(subscribes_refused, "Filters that the server has refused."),
    GROWS(publishes_planned, "Messages due by the plan."),
    IS(publishes_overdue, "Messages due and not sent yet."),
    GROWS(publishes_skipped, "Messages due while their client was away, and not sent for it."),
    GROWS(publishes_sent, "Messages sent."),
    GROWS(publishes_sent_qos1, "Messages sent at QoS 1."),
    GROWS(publishes_sent_again, "QoS 1 messages sent again to a session that was kept."),
    GROWS(publishes_acked, "Messages acknowledged."),
    GROWS(publishes_refused, "Messages answered with a reason code from 0x80 on."),
    GROWS(publishes_unacked, "QoS 1 messages that nobody will acknowledge any more."),
    IS(publishes_outstanding, "QoS 1 messages whose PUBACK has not come yet."),
    GROWS(requests_answered, "Requests answered in time."),
    GROWS(requests_timeout, "Requests without an answer in time."),
    GROWS(responses_foreign, "Answers that fit no request, or came late."),
    RECEIVED(once),
    RECEIVED(copies),
    RECEIVED(redelivered),
    RECEIVED(duplicate),
    RECEIVED(foreign),
    RECEIVED(unchecked),
    GROWS(received_reordered, "Messages behind a later one of the same publisher and topic."),
    GROWS(received_late, "Messages that took longer than their subscription allows."),
    IS(received_gap, "Messages missing now before a later one of the same publisher and topic."),
    GROWS(deliveries_expected, "Deliveries that had to come, by what was sent; after the end."),
    GROWS(deliveries_lost, "Deliveries that never came; after the end."),
    GROWS(calls_received, "Calls and requests of others."),
    GROWS(calls_answered, "Calls and requests of others that were answered."),
    GROWS(calls_over_bound, "Calls and requests of others at a bound, not answered."),
    GROWS(thing_replies, "Replies to property posts."),
};

#define SAMPLES_COUNT (sizeof(samples) / sizeof(samples[0]))
/* All but `received`, which is the sum of its kinds. */
_Static_assert(SAMPLES_COUNT + 1 == sizeof(struct fmx_fleet_counters) / sizeof(uint64_t),
               "a counter of fleet.h has no metric");

static bool is_named(const struct result *result, size_t groups_count, const char *name)
{
    for (size_t i = 0; i < groups_count; i++) {
        if (strcmp(result->groups[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * Two groups may have one name, or one that was cut: the later one gets its number, once more if
 * somebody has called a third one so. That ends: names are shorter than labels.
 */
static void name_group(const struct result *result, size_t index, char out_name[LABEL_BYTES])
{
    size_t bytes = (size_t)snprintf(out_name, LABEL_BYTES, "%s", result->groups[index].name);

    if (!is_named(result, index, out_name)) {
        return;
    }
    do {
        bytes += (size_t)snprintf(out_name + bytes, LABEL_BYTES - bytes, " (group %zu)", index + 1);
    } while (is_named(result, result->groups_count, out_name));
}

static void print_groups(FILE *out, const struct result *result)
{
    char group[LABEL_BYTES];

    for (size_t i = 0; i < SAMPLES_COUNT; i++) {
        const struct sample *sample = &samples[i];
        bool is_next = i > 0 && strcmp(samples[i - 1].family, sample->family) == 0;
        if (!is_next) {
            begin_family(out, sample->family, sample->kind, sample->help);
        }
        for (size_t j = 0; j < result->groups_count; j++) {
            name_group(result, j, group);
            fprintf(out, "%s{", sample->family);
            print_label(out, "group", group);
            if (sample->label != NULL) {
                fprintf(out, ",%s=\"%s\"", sample->label, sample->value);
            }
            fprintf(out, "} %" PRIu64 "\n",
                    tell_count(&result->groups[j].counters, sample->offset));
        }
    }
}

/* ── causes ── */

static void print_causes(FILE *out, const struct result *result)
{
    static const char name[] = PREFIX "failures_total";
    char words[TELL_WORDS_BYTES];

    begin_family(out, name, COUNTER,
                 "What went wrong, by cause: connects that failed, connections that were lost, "
                 "messages and filters refused, answers unasked; status as in error.h, reason code "
                 "of the server (0: none), errno of the system (0: none).");
    for (size_t i = 0; i < result->causes_count; i++) {
        const struct result_cause *cause = &result->causes[i];
        tell_cause(cause, words, sizeof(words));
        fprintf(out, "%s{", name);
        print_label(out, "cause", words);
        fprintf(out, ",status=\"%s\",reason=\"0x%02x\",errno=\"%d\"} %" PRIu64 "\n",
                fmx_status_name(cause->cause.status), (unsigned)cause->cause.reason,
                cause->cause.sys_errno, cause->cause.count);
    }
}

/* ── latencies ── */

static void print_histogram(FILE *out, const char *name, const char *words,
                            const struct fleet_histogram *histogram)
{
    char help[HELP_BYTES];

    snprintf(help, sizeof(help), "%s.", words);
    begin_family(out, name, HISTOGRAM, help);
    for (size_t i = 0; i < FLEET_VIEW_BOUNDS; i++) {
        fprintf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                (double)fleet_view_bounds_ns[i] / 1e9, histogram->up_to[i]);
    }
    fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, histogram->total);
    fprintf(out, "%s_sum %.12g\n%s_count %" PRIu64 "\n", name, histogram->sum_s, name,
            histogram->total);
}

static void print_summary(FILE *out, const char *name, const char *words, const char *of,
                          const struct fmx_latency *latency,
                          const struct fleet_histogram *histogram)
{
    const struct {
        const char *text;
        uint64_t time_ns;
    } quantiles[] = {{"0.5", latency->p50_ns},
                     {"0.9", latency->p90_ns},
                     {"0.99", latency->p99_ns},
                     {"0.999", latency->p999_ns},
                     {"1", latency->max_ns}};
    char help[HELP_BYTES];

    snprintf(help, sizeof(help), "%s; quantiles of %s, sum and count of the whole run.", words, of);
    begin_family(out, name, SUMMARY, help);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        fprintf(out, "%s{quantile=\"%s\"}", name, quantiles[i].text);
        print_real(out, latency->count > 0 ? (double)quantiles[i].time_ns / 1e9 : (double)NAN);
    }
    fprintf(out, "%s_sum %.12g\n%s_count %" PRIu64 "\n", name, histogram->sum_s, name,
            histogram->total);
}

static void print_latencies(FILE *out, const struct fleet_view *view)
{
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        enum fmx_fleet_latency latency = (enum fmx_fleet_latency)i;
        const char *words = fmx_fleet_latency_words(latency);
        char name[NAME_BYTES], text[LABEL_BYTES];
        snprintf(text, sizeof(text), "Time from %s", words);
        if (strstr(words, " to ") == NULL) { /* "how late a shard takes what has arrived …" */
            snprintf(text, sizeof(text), "Time: %s", words);
        }
        snprintf(name, sizeof(name), PREFIX "%s_latency_seconds", fmx_fleet_latency_name(latency));
        print_histogram(out, name, text, &view->histograms[i]);
        snprintf(name, sizeof(name), PREFIX "%s_latency_recent_seconds",
                 fmx_fleet_latency_name(latency));
        print_summary(out, name, text, "the last five seconds", &view->told.recent[i],
                      &view->histograms[i]);
        snprintf(name, sizeof(name), PREFIX "%s_latency_run_seconds",
                 fmx_fleet_latency_name(latency));
        print_summary(out, name, text, "the whole run", &view->told.latency[i],
                      &view->histograms[i]);
    }
}

/* ── the run ── */

static void print_info(FILE *out, const struct fleet_view *view)
{
    const struct result *told = &view->told;
    static const char build[] = "fleetmux_build_info", run[] = PREFIX "info",
                      stage[] = PREFIX "stage_info";

    begin_family(out, build, GAUGE, "The program; always 1.");
    fprintf(out, "%s{", build);
    print_label(out, "version", told->version);
    fputs("} 1\n", out);
    begin_family(out, run, GAUGE, "The run; always 1.");
    fprintf(out, "%s{", run);
    print_label(out, "verb", told->verb);
    fputc(',', out);
    print_label(out, "scenario", told->name);
    fprintf(out, ",seed=\"%" PRIu64 "\",shard=\"%" PRIu32 "\",shards=\"%" PRIu32 "\"} 1\n",
            told->seed, told->part + 1, told->parts_count > 0 ? told->parts_count : 1);
    begin_family(out, stage, GAUGE, "The present stage; always 1.");
    fprintf(out, "%s{number=\"%" PRIu32 "\",", stage, told->stage + 1);
    print_label(out, "stage", view->stage);
    fputs("} 1\n", out);
}

static void print_state(FILE *out, const struct result *told)
{
    const struct {
        const char *name;
        bool is_on;
    } states[] = {
        {"running", !told->is_paused && !told->is_draining && !told->is_finished},
        {"paused", told->is_paused && !told->is_draining && !told->is_finished},
        {"draining", told->is_draining},
        {"finished", told->is_finished && !told->is_draining},
    };
    static const char state[] = PREFIX "state", verdict[] = PREFIX "verdict";

    begin_family(out, state, GAUGE, "What the run does now: 1 for one state, 0 for the others.");
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        fprintf(out, "%s{state=\"%s\"} %d\n", state, states[i].name, states[i].is_on);
    }
    begin_family(out, verdict, GAUGE,
                 "What has held the run back so far: 1 for one verdict, 0 for the others.");
    for (int i = RESULT_OK; i <= RESULT_NETWORK; i++) {
        fprintf(out, "%s{verdict=\"%s\"} %d\n", verdict, result_limit_name((enum result_limit)i),
                (int)told->limit == i);
    }
    print_gauge(out, PREFIX "valid",
                "1: the figures are the server's; 0: the generator was the limit, and they do not "
                "count.",
                told->is_valid);
}

static bool is_said_before(const struct result *told, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(told->thresholds[i].text, told->thresholds[index].text) == 0) {
            return true;
        }
    }
    return false;
}

static void print_thresholds(FILE *out, const struct result *told)
{
    static const char name[] = PREFIX "threshold_met";

    begin_family(out, name, GAUGE, "1: the threshold holds by what was measured so far.");
    for (size_t i = 0; i < told->thresholds_count; i++) {
        if (!is_said_before(told, i)) {
            fprintf(out, "%s{", name);
            print_label(out, "threshold", told->thresholds[i].text);
            fprintf(out, "} %d\n", told->thresholds[i].is_met);
        }
    }
}

static void print_run(FILE *out, const struct fleet_view *view)
{
    const struct result *told = &view->told;

    print_gauge(out, PREFIX "start_time_seconds", "When the run began, UNIX time.",
                (double)(told->began_unix_ns / 1000000) / 1e3);
    print_gauge(out, PREFIX "elapsed_seconds", "How long it has run.",
                (double)told->elapsed_ns / 1e9);
    print_gauge(out, PREFIX "ready_seconds",
                "When all clients were open and subscribed, since start; NaN: not yet.",
                told->ready_ns > 0 ? (double)told->ready_ns / 1e9 : (double)NAN);
    print_gauge(out, PREFIX "stage_progress_ratio",
                "How much of the present stage is over; NaN: it has no planned end.",
                told->stage_progress >= 0 ? told->stage_progress : (double)NAN);
    print_gauge(out, PREFIX "rate_ratio", "The factor by which all publish rates are multiplied.",
                told->rate);
    print_gauge(out, PREFIX "clients_planned", "Clients of this process.",
                (double)told->clients_count);
    print_gauge(out, PREFIX "connects_wanted_per_second", "Connects planned in the last second.",
                view->connects_wanted);
    print_gauge(out, PREFIX "publishes_wanted_per_second", "Messages planned in the last second.",
                view->publishes_wanted);
    print_counter_s(out, PREFIX "cpu_seconds_total", "Processor time of all shard threads.",
                    view->cpu_ns);
    print_counter_s(out, PREFIX "cpu_wait_seconds_total",
                    "Time that shard threads were ready to run and did not.", view->cpu_wait_ns);
    print_gauge(out, PREFIX "resident_memory_bytes", "Memory of the process that is in RAM.",
                (double)told->rss_bytes);
    print_gauge(out, PREFIX "shards", "Shard threads.", told->shards_count);
}

/* ── the engine ── */

static const struct {
    const char *name;
    enum family_kind kind;
    const char *help;
    size_t offset; /* into struct fmx_stats */
} engine[] = {
#define STAT(field) offsetof(struct fmx_stats, field)
    {ENGINE "received_bytes_total", COUNTER, "Bytes received from sockets.", STAT(bytes_in)},
    {ENGINE "sent_bytes_total", COUNTER, "Bytes sent to sockets.", STAT(bytes_out)},
    {ENGINE "sends_total", COUNTER, "Sends completed.", STAT(sends)},
    {ENGINE "received_packets_total", COUNTER, "MQTT packets received.", STAT(packets_in)},
    {ENGINE "queued_packets_total", COUNTER, "MQTT packets queued for sending.", STAT(packets_out)},
    {ENGINE "queued_bytes", GAUGE, "Bytes queued for sending.", STAT(queued_bytes_now)},
    {ENGINE "turns_total", COUNTER, "Turns of all shards.", STAT(turns)},
    {ENGINE "enters_total", COUNTER, "System calls that entered the ring.", STAT(enters)},
    {ENGINE "completions_total", COUNTER, "Completions taken from the ring.", STAT(completions)},
    {ENGINE "starved_buffers_total", COUNTER, "Times the receive buffers ran out.",
     STAT(buffers_starved)},
    {ENGINE "dials_total", COUNTER, "TCP connections begun.", STAT(dials)},
    {ENGINE "failed_dials_total", COUNTER, "TCP connections that could not be made.",
     STAT(dials_failed)},
    {ENGINE "connections", GAUGE, "Connections held.", STAT(connections_now)},
    {ENGINE "tls_connections", GAUGE, "TLS connections open.", STAT(tls_now)},
    {ENGINE "tls_full_handshakes_total", COUNTER, "TLS handshakes done in full.", STAT(tls_full)},
    {ENGINE "tls_resumed_handshakes_total", COUNTER, "TLS handshakes done by resuming.",
     STAT(tls_resumed)},
    {ENGINE "tls_failed_handshakes_total", COUNTER, "TLS handshakes that failed.",
     STAT(tls_failed)},
};

static void print_engine(FILE *out, const struct fmx_stats *stats)
{
    for (size_t i = 0; i < sizeof(engine) / sizeof(engine[0]); i++) {
        uint64_t count;
        memcpy(&count, (const char *)stats + engine[i].offset, sizeof(count));
        begin_family(out, engine[i].name, engine[i].kind, engine[i].help);
        fprintf(out, "%s %" PRIu64 "\n", engine[i].name, count);
    }
}

void fleet_metrics_print(const struct fleet_view *view, FILE *out)
{
    print_info(out, view);
    print_state(out, &view->told);
    print_thresholds(out, &view->told);
    print_run(out, view);
    print_groups(out, &view->told);
    print_causes(out, &view->told);
    print_latencies(out, view);
    print_engine(out, &view->told.stats);
}
