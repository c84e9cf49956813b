/*
 * fleet_json — the result of a run for programs
 *
 * Why it is so:   json-c keeps 64-bit integers as they are; a library that holds numbers as doubles
 *                 would round counters. Names carry their units, like the fields they come from.
 * Memory:         the tree belongs to its root, which is given back in one call
 * Threads:        one
 */
#include "tools/fleetmux/fleet.h"

#include <json-c/json.h>

#include <errno.h>
#include <string.h>

typedef struct json_object json;

static void add_count(json *object, const char *name, uint64_t count)
{
    json_object_object_add(object, name, json_object_new_uint64(count));
}

static void add_real(json *object, const char *name, double real)
{
    json_object_object_add(object, name, json_object_new_double(real));
}

static void add_text(json *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

static json *add_object(json *object, const char *name)
{
    json *child = json_object_new_object();

    json_object_object_add(object, name, child);
    return child;
}

static void add_run(json *root, const struct fleet_run *run, const struct fleet_verdict *verdict)
{
    add_text(root, "program", "fleetmux");
    add_text(root, "version", fmx_version_string());
    add_text(root, "fleet", fleet_kind_name(run->settings->kind));
    add_text(root, "verdict", verdict->status == EXIT_PASS ? "ok" : "not ok");
    add_text(root, "words", verdict->words);
    add_count(root, "exit_status", verdict->status);
    add_count(root, "signal", (uint64_t)run->signo);
    add_count(root, "elapsed_ns", run->at_end.elapsed_ns);
    add_count(root, "ready_ns", run->ready_ns);
    add_count(root, "shards", run->shards_count);
    add_count(root, "seed", run->settings->plan.seed);
    add_count(root, "qos", run->settings->qos);
}

static void add_clients(json *root, const struct fleet_run *run,
                        const struct fleet_verdict *verdict)
{
    json *clients = add_object(root, "clients");
    const struct fmx_fleet_snapshot *end = &run->at_end;

    add_count(clients, "planned", run->settings->plan.clients_count);
    add_count(clients, "open", end->clients_open);
    add_count(clients, "subscribed", end->clients_subscribed);
    add_count(clients, "connecting", end->clients_connecting);
    add_count(clients, "waiting", end->clients_waiting);
    add_count(clients, "lost", end->clients_lost);
    add_count(clients, "failed", end->clients_failed);
    add_count(clients, "never_up", verdict->clients_never_up);
    add_count(clients, "connects_ok", run->now.connects_ok);
    add_count(clients, "connects_span_ns", run->connects.last_ns - run->connects.began_ns);
    add_real(clients, "connects_per_second", fleet_meter_rate(&run->connects));
    add_count(clients, "subscribes_refused", run->now.subscribes_refused);
}

static void add_handshakes(json *parent, const char *name, const struct fleet_meter *meter)
{
    json *object = add_object(parent, name);

    add_count(object, "count", meter->count);
    add_count(object, "span_ns", meter->last_ns - meter->began_ns);
    add_real(object, "per_second", fleet_meter_rate(meter));
}

/* Left out without TLS. */
static void add_tls(json *root, const struct fleet_run *run)
{
    const struct fmx_fleet_snapshot *now = &run->now;

    if (run->settings->plan.tls == NULL) {
        return;
    }
    json *tls = add_object(root, "tls");
    json_object_object_add(tls, "insecure", json_object_new_boolean(run->settings->tls.insecure));
    if (now->tls_suite != NULL) {
        add_text(tls, "version", fmx_tls_version_name(now->tls_version));
        add_text(tls, "suite", now->tls_suite);
    }
    add_handshakes(tls, "full", &run->tls_full);
    add_handshakes(tls, "resumed", &run->tls_resumed);
}

static void add_messages(json *root, const struct fleet_run *run,
                         const struct fleet_verdict *verdict)
{
    json *messages = add_object(root, "messages");
    const struct fmx_fleet_snapshot *now = &run->now;

    add_count(messages, "planned", now->publishes_planned);
    add_count(messages, "sent", now->publishes_sent);
    add_count(messages, "acked", now->publishes_acked);
    add_count(messages, "refused", now->publishes_refused);
    add_count(messages, "unacked", now->publishes_unacked);
    add_count(messages, "received", now->received);
    add_count(messages, "duplicate", now->received_duplicate);
    add_count(messages, "gap", now->received_gap);
    add_count(messages, "foreign", now->received_foreign);
    add_count(messages, "lost", verdict->messages_lost);
    add_count(messages, "missing", verdict->messages_missing);
    add_real(messages, "sent_per_second", fleet_meter_rate(&run->sent));
    add_real(messages, "acked_per_second", fleet_meter_rate(&run->acked));
    add_real(messages, "received_per_second", fleet_meter_rate(&run->received));
}

/* What only devices of the platform do: left out unless it was asked for. */
static void add_platform(json *root, const struct fleet_run *run)
{
    const struct fmx_fleet_plan *plan = &run->settings->plan;
    const struct fmx_fleet_snapshot *now = &run->now;

    if (plan->platform.registration != FMX_FLEET_REGISTER_NONE) {
        add_count(root, "registrations", now->registrations_ok);
    }
    if (plan->calls.answer != FMX_FLEET_ANSWER_OFF) {
        json *calls = add_object(root, "calls");
        add_count(calls, "received", now->calls_received);
        add_count(calls, "answered", now->calls_answered);
        add_count(calls, "over_bound", now->calls_over_bound);
    }
    if (plan->platform.thing_model) {
        add_count(root, "thing_replies", now->thing_replies);
    }
}

static void add_latency(json *parent, const char *name, const struct fmx_latency *latency)
{
    json *object = add_object(parent, name);

    add_count(object, "count", latency->count);
    add_count(object, "min_ns", latency->min_ns);
    add_count(object, "p50_ns", latency->p50_ns);
    add_count(object, "p90_ns", latency->p90_ns);
    add_count(object, "p99_ns", latency->p99_ns);
    add_count(object, "p999_ns", latency->p999_ns);
    add_count(object, "max_ns", latency->max_ns);
}

static void add_latencies(json *root, const struct fmx_fleet_snapshot *now, bool has_tls)
{
    json *latency = add_object(root, "latency");

    add_latency(latency, "connect", &now->connect);
    if (has_tls) {
        add_latency(latency, "tls_full", &now->tls_full);
        add_latency(latency, "tls_resumed", &now->tls_resumed);
    }
    add_latency(latency, "subscribe", &now->subscribe);
    add_latency(latency, "puback", &now->puback);
    add_latency(latency, "delivery", &now->delivery);
    add_latency(latency, "lag", &now->lag);
}

static void add_causes(json *root, const struct fmx_fleet_snapshot *now)
{
    json *causes = json_object_new_array();

    json_object_object_add(root, "causes", causes);
    for (size_t index = 0; index < now->causes_count; index++) {
        const struct fmx_fleet_cause *cause = &now->causes[index];
        json *object = json_object_new_object();
        add_text(object, "status", fmx_status_name(cause->status));
        add_text(object, "words", fmx_status_text(cause->status));
        if (cause->words != NULL) {
            add_text(object, "more", cause->words);
        }
        add_count(object, "errno", (uint64_t)cause->sys_errno);
        add_count(object, "reason", cause->reason);
        add_count(object, "count", cause->count);
        json_object_array_add(causes, object);
    }
}

static void add_process(json *root, const struct fleet_run *run)
{
    json *memory = add_object(root, "memory");
    json *stats = add_object(root, "stats");

    add_count(memory, "rss_before_bytes", run->rss_before_bytes);
    add_count(memory, "rss_bytes", run->rss_bytes);
#define ADD_STAT(name, words) add_count(stats, #name, run->now.stats.name);
    FMX_STATS_LIST(ADD_STAT)
#undef ADD_STAT
}

bool fleet_json_write(const struct fleet_run *run, const struct fleet_verdict *verdict,
                      const char *path)
{
    json *root = json_object_new_object();

    add_run(root, run, verdict);
    add_clients(root, run, verdict);
    add_tls(root, run);
    add_messages(root, run, verdict);
    add_platform(root, run);
    add_latencies(root, &run->now, run->settings->plan.tls != NULL);
    add_causes(root, &run->now);
    add_process(root, run);
    int result = json_object_to_file_ext(path, root, JSON_C_TO_STRING_PRETTY);
    json_object_put(root);
    if (result != 0) {
        fprintf(stderr, "fleetmux fleet: '%s' cannot be written: %s\n", path, strerror(errno));
    }
    return result == 0;
}
