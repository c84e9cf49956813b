/*
 * fleet_status — a run in short, as JSON
 *
 * Why it is so:   who steers a run wants to know in one line what it does; names are those of
 *                 docs/RESULTS.md where both have them
 * Threads:        pure
 * Not here:       all there is to know: fleet_metrics.c, result_json.c
 */
#include "tools/fleetmux/fleet_tell.h"
#include "tools/fleetmux/fleet_view.h"

#include <json-c/json.h>

#include <math.h>
#include <unistd.h>

static void add_text(json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

static void add_count(json_object *object, const char *name, uint64_t count)
{
    json_object_object_add(object, name, json_object_new_uint64(count));
}

/* To three digits behind the point: these are for people. */
static void add_real(json_object *object, const char *name, double value)
{
    char text[64];

    value = round(value * 1000) / 1000;
    snprintf(text, sizeof(text), "%.15g", value);
    json_object_object_add(object, name, json_object_new_double_s(value, text));
}

static const char *state_of(const struct result *told)
{
    if (told->is_draining) {
        return "draining";
    }
    if (told->is_finished) {
        return "finished";
    }
    return told->is_paused ? "paused" : "running";
}

static json_object *clients_of(const struct fmx_fleet_counters *counters)
{
    json_object *clients = json_object_new_object();

    add_count(clients, "waiting", counters->clients_waiting);
    add_count(clients, "connecting", counters->clients_connecting);
    add_count(clients, "open", counters->clients_open);
    add_count(clients, "stopped", counters->clients_stopped);
    add_count(clients, "lost", counters->clients_lost);
    add_count(clients, "failed", counters->clients_failed);
    return clients;
}

static json_object *messages_of(const struct result *told)
{
    json_object *messages = json_object_new_object();

    add_count(messages, "planned", told->counters.publishes_planned);
    add_count(messages, "sent", told->counters.publishes_sent);
    add_count(messages, "acked", told->counters.publishes_acked);
    add_count(messages, "overdue", told->counters.publishes_overdue);
    add_count(messages, "received", told->counters.received);
    return messages;
}

/* Of the last five seconds, of what was measured in them. */
static json_object *latencies_of(const struct result *told)
{
    json_object *latencies = json_object_new_object();

    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        const struct fmx_latency *recent = &told->recent[i];
        if (recent->count == 0) {
            continue;
        }
        json_object *latency = json_object_new_object();
        add_count(latency, "count", recent->count);
        add_count(latency, "p50Ns", recent->p50_ns);
        add_count(latency, "p99Ns", recent->p99_ns);
        add_count(latency, "maxNs", recent->max_ns);
        json_object_object_add(latencies, fmx_fleet_latency_name((enum fmx_fleet_latency)i),
                               latency);
    }
    return latencies;
}

void fleet_status_add(const struct fleet_view *view, json_object *object)
{
    const struct result *told = &view->told;

    add_text(object, "version", told->version);
    add_text(object, "fleet", told->verb);
    add_text(object, "scenario", told->name);
    add_count(object, "pid", (uint64_t)getpid());
    add_count(object, "startedMs", told->began_unix_ns / 1000000);
    add_count(object, "elapsedMs", told->elapsed_ns / 1000000);
    add_text(object, "state", state_of(told));
    add_text(object, "stage", view->stage);
    if (told->stage_progress >= 0) {
        add_real(object, "stageProgress", told->stage_progress);
    }
    add_text(object, "verdict", result_limit_name(told->limit));
    json_object_object_add(object, "isValid", json_object_new_boolean(told->is_valid));
    add_real(object, "rate", told->rate);
    add_real(object, "publishesPerSecond", view->publishes_per_second);
    add_real(object, "publishesWantedPerSecond", view->publishes_wanted);
    add_real(object, "connectsPerSecond", view->connects_per_second);
    json_object_object_add(object, "clients", clients_of(&told->counters));
    json_object_object_add(object, "messages", messages_of(told));
    json_object_object_add(object, "recent", latencies_of(told));
}
