/*
 * result_json — a result as JSON for programs: writing
 *
 * Why it is so:   json-c keeps 64-bit integers as they are; a library that holds numbers as doubles
 *                 would round counters. Names carry their units, like the fields they come from.
 *                 Rows are a table, a line each, without the columns that are zero throughout: an
 *                 hour is some megabytes. They and the distributions are written one by one, so
 *                 that the whole tree is never held.
 * Words:          derived: what follows from other keys, for those who only want the figure; the
 *                 reader does not look at it
 * Memory:         each section's tree belongs to its root and is given back when it is written
 * Threads:        one
 * Not here:       reading: result_json_read.c; what keys mean: docs/RESULTS.md
 */
#include "tools/fleetmux/result_columns.h"
#include "tools/fleetmux/result_file.h"
#include "tools/fleetmux/result_json.h"

#include <json-c/json.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct json_object json;

/* ── values ── */

static void add_count(json *object, const char *name, uint64_t count)
{
    json_object_object_add(object, name, json_object_new_uint64(count));
}

/* With as few digits as tell it from every other; null if it is no number. */
static json *new_real(double real)
{
    char digits[40];

    if (!isfinite(real)) {
        return NULL;
    }
    for (int precision = 6; precision <= 17; precision++) {
        snprintf(digits, sizeof(digits), "%.*g", precision, real);
        if (strtod(digits, NULL) == real) {
            break;
        }
    }
    return json_object_new_double_s(real, digits);
}

static void add_real(json *object, const char *name, double real)
{
    json_object_object_add(object, name, new_real(real));
}

static void add_switch(json *object, const char *name, bool is_on)
{
    json_object_object_add(object, name, json_object_new_boolean(is_on));
}

/* null if there is none. */
static void add_text(json *object, const char *name, const char *text)
{
    char *clean = text != NULL ? result_file_clean(text) : NULL;

    json_object_object_add(object, name, clean != NULL ? json_object_new_string(clean) : NULL);
    free(clean);
}

static json *add_object(json *object, const char *name)
{
    json *child = json_object_new_object();

    json_object_object_add(object, name, child);
    return child;
}

static json *add_array(json *object, const char *name)
{
    json *child = json_object_new_array();

    json_object_object_add(object, name, child);
    return child;
}

static json *append_object(json *array)
{
    json *child = json_object_new_object();

    json_object_array_add(array, child);
    return child;
}

static void add_fields(json *object, const void *base, const struct result_field *fields,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_count(object, fields[i].name, result_field_get(base, &fields[i]));
    }
}

static void add_counters(json *parent, const char *name, const struct fmx_fleet_counters *counters)
{
    add_fields(add_object(parent, name), counters, result_counters, result_counters_count);
}

static void add_latency(json *parent, const char *name, const struct fmx_latency *latency)
{
    add_fields(add_object(parent, name), latency, result_latency_fields,
               result_latency_fields_count);
}

/* ── what it was ── */

static void add_head(json *root, const struct result *result)
{
    add_text(root, "program", "fleetmux");
    add_count(root, "schema", RESULT_JSON_SCHEMA);
    add_text(root, "version", result->version);
    add_text(root, "fleet", result->verb);
    add_text(root, "name", result->name);
    add_text(root, "verdict", result->status == EXIT_PASS ? "ok" : "not ok");
    add_text(root, "words", result->words);
    add_count(root, "exit_status", result->status);
    add_count(root, "signal", result->signo > 0 ? (uint64_t)result->signo : 0);
    add_switch(root, "has_planned_end", result->has_planned_end);
    add_switch(root, "accepts_invalid", result->accepts_invalid);
    add_text(root, "limit", result_limit_name(result->limit));
    add_text(root, "limit_words", result->limit_words);
    add_switch(root, "is_valid", result->is_valid);
    add_switch(root, "adds_up", result->adds_up);
    add_text(root, "ledger_words", result->ledger_words);
}

static void add_run(json *root, const struct result *result)
{
    add_text(root, "command", result->command);
    add_text(root, "host", result->host);
    add_text(root, "kernel", result->kernel);
    add_text(root, "cpu", result->cpu);
    add_count(root, "cpus", result->cpus_count);
    add_count(root, "shards", result->shards_count);
    add_count(root, "began_unix_ns", result->began_unix_ns);
    add_count(root, "elapsed_ns", result->elapsed_ns);
    add_count(root, "ready_ns", result->ready_ns);
    add_count(root, "last_connect_ns", result->last_connect_ns);
    add_count(root, "seed", result->seed);
    add_count(root, "hash", result->hash);
    add_count(root, "part", result->part);
    add_count(root, "parts_count", result->parts_count);
    json *parts = add_array(root, "parts");
    for (uint32_t i = 0; i < result->parts_merged; i++) {
        uint32_t part = result->parts != NULL ? result->parts[i] : result->part;
        json_object_array_add(parts, json_object_new_uint64(part));
    }
    add_count(root, "messages_wanted", result->messages_wanted);
    add_real(root, "base_rate", result->base_rate);
    add_real(root, "rate", result->rate);
    add_switch(root, "is_finished", result->is_finished);
    add_text(root, "scenario", result->scenario);
}

/* ── what follows from other keys ── */

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

#define RATE(member) result_rate(result, offsetof(struct fmx_fleet_counters, member))

/* Where in time a rate's figures come from, so that span × rate is the count. */
static uint64_t span_of(double rate, uint64_t count)
{
    return rate > 0 ? (uint64_t)((double)count * 1e9 / rate + 0.5) : 0;
}

static void add_clients(json *root, const struct result *result)
{
    static const struct fmx_fleet_counters none;
    const struct fmx_fleet_counters *now = &result->counters, *end = &result->before_drain;
    json *clients = add_object(root, "clients");

    end = memcmp(end, &none, sizeof(none)) == 0 ? now : end;
    add_count(clients, "planned", result->clients_count);
    add_count(clients, "open", end->clients_open);
    add_count(clients, "subscribed", end->clients_subscribed);
    add_count(clients, "connecting", end->clients_connecting);
    add_count(clients, "waiting", end->clients_waiting);
    add_count(clients, "stopped", end->clients_stopped);
    add_count(clients, "lost", end->clients_lost);
    add_count(clients, "failed", end->clients_failed);
    add_count(clients, "never_up",
              result->signo == 0 ? end->clients_waiting + end->clients_connecting : 0);
    add_count(clients, "connects_ok", now->connects_ok);
    add_count(clients, "connects_span_ns", span_of(RATE(connects_ok), now->connects_ok));
    add_real(clients, "connects_per_second", RATE(connects_ok));
    add_count(clients, "subscribes_refused", now->subscribes_refused);
}

/* Of handshakes, in the rows in which there were any. */
static void add_handshakes(json *parent, const char *name, const struct result *result,
                           enum fmx_fleet_latency latency)
{
    json *object = add_object(parent, name);
    uint64_t count = result->distributions[latency]->total, begin_ns = 0, end_ns = 0, seen = 0;

    for (size_t i = 0; i < result->rows_count; i++) {
        const struct result_row *row = &result->rows[i];
        if (row->latency[latency].count > 0) {
            begin_ns = seen == 0 ? row->begin_ns : begin_ns;
            end_ns = row->end_ns;
            seen += row->latency[latency].count;
        }
    }
    if (result->last_connect_ns > begin_ns && result->last_connect_ns < end_ns) {
        end_ns = result->last_connect_ns;
    }
    uint64_t span_ns = above(end_ns, begin_ns);
    add_count(object, "count", count);
    add_count(object, "span_ns", span_ns);
    add_real(object, "per_second", span_ns == 0 ? 0 : (double)seen * 1e9 / (double)span_ns);
}

/* Left out without TLS. */
static void add_tls(json *root, const struct result *result)
{
    if (!result->has_tls) {
        return;
    }
    json *tls = add_object(root, "tls");
    add_switch(tls, "insecure", result->is_insecure);
    if (result->tls_version[0] != '\0') {
        add_text(tls, "version", result->tls_version);
        add_text(tls, "suite", result->tls_suite);
    }
    add_handshakes(tls, "full", result, FMX_FLEET_TLS_FULL);
    add_handshakes(tls, "resumed", result, FMX_FLEET_TLS_RESUMED);
}

static void add_messages(json *root, const struct result *result)
{
    const struct fmx_fleet_counters *now = &result->counters;
    uint64_t done = now->publishes_planned > 0 ? now->publishes_sent : now->received;
    json *messages = add_object(root, "messages");

    add_count(messages, "planned", now->publishes_planned);
    add_count(messages, "sent", now->publishes_sent);
    add_count(messages, "sent_again", now->publishes_sent_again);
    add_count(messages, "acked", now->publishes_acked);
    add_count(messages, "refused", now->publishes_refused);
    add_count(messages, "unacked", now->publishes_unacked);
    add_count(messages, "received", now->received);
    add_count(messages, "duplicate", now->received_duplicate);
    add_count(messages, "reordered", now->received_reordered);
    add_count(messages, "gap", now->received_gap);
    add_count(messages, "foreign", now->received_foreign);
    add_count(messages, "lost", result_messages_lost(result));
    add_count(messages, "missing", above(result->messages_wanted, done));
    add_real(messages, "sent_per_second", RATE(publishes_sent));
    add_real(messages, "acked_per_second", RATE(publishes_acked));
    add_real(messages, "received_per_second", RATE(received));
}

static void add_platform(json *root, const struct result *result)
{
    const struct fmx_fleet_counters *now = &result->counters;
    json *calls;

    add_count(root, "registrations", now->registrations_ok);
    calls = add_object(root, "calls");
    add_count(calls, "received", now->calls_received);
    add_count(calls, "answered", now->calls_answered);
    add_count(calls, "over_bound", now->calls_over_bound);
    add_count(root, "thing_replies", now->thing_replies);
}

static void add_latencies(json *root, const struct result *result)
{
    json *latencies = add_object(root, "latency");

    for (size_t i = 0; i < FMX_FLEET_LATENCIES; i++) {
        add_latency(latencies, fmx_fleet_latency_name((enum fmx_fleet_latency)i),
                    &result->latency[i]);
    }
    add_latency(latencies, "subscribe", &result->latency[FMX_FLEET_SUBACK]);
}

/* ── lists ── */

static void add_causes(json *root, const struct result *result)
{
    json *causes = add_array(root, "causes");

    for (size_t i = 0; i < result->causes_count; i++) {
        const struct result_cause *cause = &result->causes[i];
        json *object = append_object(causes);
        add_text(object, "status", fmx_status_name(cause->cause.status));
        add_text(object, "words", fmx_status_text(cause->cause.status));
        if (cause->more[0] != '\0') {
            add_text(object, "more", cause->more);
        }
        add_count(object, "errno",
                  cause->cause.sys_errno > 0 ? (uint64_t)cause->cause.sys_errno : 0);
        add_count(object, "reason", cause->cause.reason);
        if (fmx_fleet_cause_reason(&cause->cause) != NULL) {
            add_text(object, "reason_words", fmx_fleet_cause_reason(&cause->cause));
        }
        add_count(object, "count", cause->cause.count);
    }
}

static void add_judgements(json *root, const struct result *result)
{
    json *thresholds = add_array(root, "thresholds");

    for (size_t i = 0; i < result->thresholds_count; i++) {
        const struct result_threshold *threshold = &result->thresholds[i];
        json *object = append_object(thresholds);
        add_text(object, "text", threshold->text);
        add_text(object, "value", threshold->value);
        add_real(object, "measured", threshold->measured);
        add_switch(object, "is_met", threshold->is_met);
    }
    add_text(root, "find_words", result->find_words);
    add_count(root, "find_status", result->find_status);
    json *steps = add_array(root, "steps");
    for (size_t i = 0; i < result->steps_count; i++) {
        json *object = append_object(steps);
        add_real(object, "rate", result->steps[i].rate);
        add_real(object, "achieved", result->steps[i].achieved);
        add_real(object, "measured", result->steps[i].measured);
        add_text(object, "value", result->steps[i].value);
        add_switch(object, "is_held", result->steps[i].is_held);
    }
}

static void add_groups(json *root, const struct result *result)
{
    json *stages = add_array(root, "stages"), *groups = add_array(root, "groups");

    for (size_t i = 0; i < result->stages_count; i++) {
        json *object = append_object(stages);
        add_text(object, "name", result->stages[i].name);
        add_count(object, "began_ns", result->stages[i].began_ns);
        add_count(object, "ended_ns", result->stages[i].ended_ns);
    }
    for (size_t i = 0; i < result->groups_count; i++) {
        const struct result_group *group = &result->groups[i];
        json *object = append_object(groups), *latencies;
        add_text(object, "name", group->name);
        add_count(object, "clients", group->clients_count);
        add_switch(object, "is_apart", group->is_apart);
        add_counters(object, "counters", &group->counters);
        latencies = add_object(object, "latency");
        for (size_t j = 0; j < FMX_FLEET_LATENCIES; j++) {
            if (group->latency[j].count > 0) {
                add_latency(latencies, fmx_fleet_latency_name((enum fmx_fleet_latency)j),
                            &group->latency[j]);
            }
        }
    }
}

static void add_process(json *root, const struct result *result)
{
    json *memory = add_object(root, "memory"), *stats;

    add_count(memory, "rss_before_bytes", result->rss_before_bytes);
    add_count(memory, "rss_bytes", result->rss_bytes);
    stats = add_object(root, "stats");
    add_fields(stats, &result->stats, result_stats, result_stats_count);
}

/* ── sections that are written one by one ── */

static void print_plain(FILE *file, json *tree)
{
    fputs(json_object_to_json_string_ext(tree,
                                         JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
          file);
    json_object_put(tree);
}

/* All of it but its closing brace. */
static void print_begun(FILE *file, json *root)
{
    const int flags =
        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;
    const char *text = json_object_to_json_string_ext(root, flags);
    size_t bytes = strlen(text);

    while (bytes > 0 && (text[bytes - 1] == '}' || text[bytes - 1] == '\n')) {
        bytes -= 1;
        if (text[bytes] == '}') {
            break;
        }
    }
    while (bytes > 0 && text[bytes - 1] == '\n') {
        bytes -= 1;
    }
    fwrite(text, 1, bytes, file);
    json_object_put(root);
}

static void print_distribution(FILE *file, const struct fmx_distribution *distribution)
{
    json *object = json_object_new_object();
    bool is_empty = distribution->total == 0;

    add_count(object, "min_ns", is_empty ? 0 : distribution->min_ns);
    add_count(object, "max_ns", distribution->max_ns);
    json *buckets = add_array(object, "buckets");
    for (uint32_t i = 0; i < FMX_DISTRIBUTION_BUCKETS; i++) {
        if (distribution->counts[i] > 0) {
            json *pair = json_object_new_array();
            json_object_array_add(pair, json_object_new_uint64(fmx_distribution_edge_ns(i)));
            json_object_array_add(pair, json_object_new_uint64(distribution->counts[i]));
            json_object_array_add(buckets, pair);
        }
    }
    print_plain(file, object);
}

static void print_distributions(FILE *file, const struct result *result)
{
    const char *comma = "";

    fputs(",\n  \"distributions\": {", file);
    for (size_t i = 0; i < FMX_FLEET_LATENCIES; i++) {
        if (result->distributions[i]->total > 0) {
            fprintf(file, "%s\n    \"%s\": ", comma,
                    fmx_fleet_latency_name((enum fmx_fleet_latency)i));
            print_distribution(file, result->distributions[i]);
            comma = ",";
        }
    }
    fputs("\n  }", file);
}

static json *cell_of(const struct result_row *row, const struct result_column *column)
{
    const char *at = (const char *)row + column->offset;
    uint64_t count;
    uint32_t number;
    double real;

    switch (column->kind) {
    case RESULT_COLUMN_COUNT:
        memcpy(&count, at, sizeof(count));
        return json_object_new_uint64(count);
    case RESULT_COLUMN_NUMBER:
        memcpy(&number, at, sizeof(number));
        return json_object_new_uint64(number);
    case RESULT_COLUMN_REAL:
        memcpy(&real, at, sizeof(real));
        return new_real(real);
    case RESULT_COLUMN_SWITCH:
        return json_object_new_uint64(*(const bool *)at ? 1 : 0);
    default:
        return json_object_new_uint64((uint64_t)row->limit);
    }
}

static size_t bytes_of(const struct result_column *column)
{
    return column->kind == RESULT_COLUMN_COUNT || column->kind == RESULT_COLUMN_REAL ? 8
           : column->kind == RESULT_COLUMN_SWITCH                                    ? sizeof(bool)
                                                                                     : 4;
}

/* Times always are. */
static bool is_used(const struct result *result, const struct result_column *column)
{
    static const char zero[8];

    if (column->offset <= offsetof(struct result_row, end_ns)) {
        return true;
    }
    for (size_t i = 0; i < result->rows_count; i++) {
        if (memcmp((const char *)&result->rows[i] + column->offset, zero, bytes_of(column)) != 0) {
            return true;
        }
    }
    return false;
}

static void print_row(FILE *file, const struct result_row *row, const size_t *used, size_t count)
{
    json *cells = json_object_new_array();

    for (size_t i = 0; i < count; i++) {
        json_object_array_add(cells, cell_of(row, &result_columns[used[i]]));
    }
    print_plain(file, cells);
}

static bool print_rows(FILE *file, const struct result *result)
{
    size_t *used = calloc(result_columns_count, sizeof(*used)), count = 0;

    if (used == NULL) {
        return false;
    }
    json *names = json_object_new_array();
    for (size_t i = 0; i < result_columns_count; i++) {
        if (is_used(result, &result_columns[i])) {
            json_object_array_add(names, json_object_new_string(result_columns[i].name));
            used[count++] = i;
        }
    }
    fputs(",\n  \"rows\": {\n    \"columns\": ", file);
    print_plain(file, names);
    fputs(",\n    \"data\": [", file);
    for (size_t i = 0; i < result->rows_count; i++) {
        fputs(i > 0 ? ",\n      " : "\n      ", file);
        print_row(file, &result->rows[i], used, count);
    }
    fputs("\n    ]\n  }", file);
    free(used);
    return true;
}

bool result_write(const struct result *result, const char *path, char *error, size_t error_bytes)
{
    FILE *file = result_file_open(path, error, error_bytes);

    if (file == NULL) {
        return false;
    }
    json *root = json_object_new_object();
    add_head(root, result);
    add_run(root, result);
    add_clients(root, result);
    add_tls(root, result);
    add_messages(root, result);
    add_platform(root, result);
    add_latencies(root, result);
    add_causes(root, result);
    add_judgements(root, result);
    add_groups(root, result);
    add_counters(root, "counters", &result->counters);
    add_counters(root, "before_drain", &result->before_drain);
    add_process(root, result);
    print_begun(file, root);
    print_distributions(file, result);
    bool is_done = print_rows(file, result);
    fputs("\n}\n", file);
    if (!is_done) {
        snprintf(error, error_bytes, "'%.200s' could not be written: memory ran out", path);
        result_file_abandon(file, path);
        return false;
    }
    return result_file_close(file, path, error, error_bytes);
}
