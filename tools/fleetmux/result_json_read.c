/*
 * result_json_read — a result as JSON: reading
 *
 * Why it is so:   a result is merged, judged and shown to people, so a file that is not one must
 *                 not pass for one: every key is there with its kind and range, names are known,
 *                 buckets are those of a distribution, and what is not is refused with the key.
 *                 Lists that grow with the library (counters, columns) may lack a name in a file
 *                 of another version, which is then zero; a name that is not known is refused,
 *                 since a merge would lose it. json-c brings whole numbers of more than 64 bits
 *                 into range without a word, so the bytes are looked at before it
 * Memory:         the tree is given back before the result is handed out
 * Threads:        one
 * Limits:         those of result_json.h
 * Not here:       one value: result_json_values.c; what keys mean: docs/RESULTS.md
 */
#include "tools/fleetmux/result_json.h"
#include "tools/fleetmux/result_json_values.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 65536

/* ── sections ── */

static void read_limit(struct reader *reader, json *root)
{
    char name[32] = "";

    VALUE_TEXT(reader, root, "limit", name);
    for (unsigned i = RESULT_OK; i <= RESULT_NETWORK; i++) {
        if (strcmp(name, result_limit_name((enum result_limit)i)) == 0) {
            reader->result->limit = (enum result_limit)i;
            return;
        }
    }
    value_fail(reader, "limit",
               "is not known; OK, SERVER-LIMITED, GENERATOR-LIMITED or NETWORK is "
               "expected");
}

/* Is it a result at all, and of a version that we can read? */
static void read_kind(struct reader *reader, json *root)
{
    json *value = NULL;

    if (json_object_get_type(root) != json_type_object ||
        !json_object_object_get_ex(root, "program", &value) ||
        json_object_get_type(value) != json_type_string ||
        strcmp(json_object_get_string(value), "fleetmux") != 0) {
        value_fail_whole(reader, "is no result of 'fleetmux fleet': key 'program' with the text "
                                 "'fleetmux' is expected");
        return;
    }
    if (!json_object_object_get_ex(root, "schema", &value)) {
        value_fail_whole(reader,
                         "was written by a fleetmux before 0.2, which kept no schema: key "
                         "'schema' with the number %u is expected; run it again",
                         RESULT_JSON_SCHEMA);
        return;
    }
    uint64_t schema = value_count(reader, root, "schema", UINT64_MAX);
    if (!reader->has_failed && schema > RESULT_JSON_SCHEMA) {
        value_fail_whole(reader,
                         "has schema %" PRIu64 ", of a newer fleetmux; this is %s and reads %u",
                         schema, fmx_version_string(), RESULT_JSON_SCHEMA);
    } else if (!reader->has_failed && schema == 0) {
        value_fail(reader, "schema", "is 0; 1 to %u is expected", RESULT_JSON_SCHEMA);
    }
}

static void read_head(struct reader *reader, json *root)
{
    struct result *result = reader->result;

    VALUE_TEXT(reader, root, "version", result->version);
    VALUE_TEXT(reader, root, "fleet", result->verb);
    VALUE_TEXT(reader, root, "name", result->name);
    VALUE_TEXT(reader, root, "words", result->words);
    result->status = (enum exit_status)value_count(reader, root, "exit_status", EXIT_NO_GATEWAY);
    result->signo = (int)value_count(reader, root, "signal", 127);
    result->has_planned_end = value_switch(reader, root, "has_planned_end");
    result->accepts_invalid = value_switch(reader, root, "accepts_invalid");
    read_limit(reader, root);
    VALUE_TEXT(reader, root, "limit_words", result->limit_words);
    result->is_valid = value_switch(reader, root, "is_valid");
    result->adds_up = value_switch(reader, root, "adds_up");
    VALUE_TEXT(reader, root, "ledger_words", result->ledger_words);
    value_page(reader, root, "command", &result->command);
    VALUE_TEXT(reader, root, "host", result->host);
    VALUE_TEXT(reader, root, "kernel", result->kernel);
    VALUE_TEXT(reader, root, "cpu", result->cpu);
    result->cpus_count = value_number(reader, root, "cpus");
    result->shards_count = value_number(reader, root, "shards");
    result->began_unix_ns = value_count(reader, root, "began_unix_ns", UINT64_MAX);
    result->elapsed_ns = value_count(reader, root, "elapsed_ns", UINT64_MAX);
    result->ready_ns = value_count(reader, root, "ready_ns", UINT64_MAX);
    result->last_connect_ns = value_count(reader, root, "last_connect_ns", UINT64_MAX);
    result->seed = value_count(reader, root, "seed", UINT64_MAX);
    result->hash = value_count(reader, root, "hash", UINT64_MAX);
    result->messages_wanted = value_count(reader, root, "messages_wanted", UINT64_MAX);
    result->base_rate = value_real(reader, root, "base_rate");
    result->rate = value_real(reader, root, "rate");
    result->is_finished = value_switch(reader, root, "is_finished");
    value_page(reader, root, "scenario", &result->scenario);
}

static void read_parts(struct reader *reader, json *root)
{
    struct result *result = reader->result;
    size_t count = 0;

    result->part = value_number(reader, root, "part");
    result->parts_count = value_number(reader, root, "parts_count");
    json *list = value_list(reader, root, "parts", RESULT_JSON_LIST_MAX, &count);
    if (reader->has_failed) {
        return;
    }
    if (result->parts_count == 0 || result->part >= result->parts_count) {
        value_fail(reader, "part", "is %" PRIu32 " of parts_count %" PRIu32 "; less is expected",
                   result->part, result->parts_count);
        return;
    }
    if (count == 0) {
        value_fail(reader, "parts", "is empty; the number of this part is expected");
        return;
    }
    uint32_t *parts = value_room(reader, "parts", count, sizeof(*parts));
    for (size_t i = 0; i < count && !reader->has_failed; i++) {
        uint64_t part = value_count_of(reader, json_object_array_get_idx(list, i), "parts",
                                       result->parts_count - 1);
        if (!reader->has_failed && i > 0 && part <= parts[i - 1]) {
            value_fail(reader, "parts", "is not in rising order");
        }
        parts[i] = (uint32_t)part;
    }
    result->parts_merged = (uint32_t)count;
    if (count == 1 && !reader->has_failed && parts[0] != result->part) {
        value_fail(reader, "parts", "is another one than 'part'");
    }
    if (count > 1) {
        result->parts = parts;
    } else {
        free(parts);
    }
}

static void read_clients(struct reader *reader, json *root)
{
    struct result *result = reader->result;
    json *clients = value_get(reader, root, "clients", json_type_object), *tls = NULL;

    if (clients != NULL) {
        snprintf(reader->where, sizeof(reader->where), "clients.");
        result->clients_count = value_number(reader, clients, "planned");
    }
    if (reader->has_failed || !json_object_object_get_ex(root, "tls", NULL)) {
        return;
    }
    reader->where[0] = '\0';
    tls = value_get(reader, root, "tls", json_type_object);
    if (tls != NULL) {
        snprintf(reader->where, sizeof(reader->where), "tls.");
        result->has_tls = true;
        result->is_insecure = value_switch(reader, tls, "insecure");
        if (json_object_object_get_ex(tls, "version", NULL)) {
            VALUE_TEXT(reader, tls, "version", result->tls_version);
            VALUE_TEXT(reader, tls, "suite", result->tls_suite);
        }
    }
}

static bool status_of(const char *name, enum fmx_status *out_status)
{
    static const struct {
        const char *name;
        enum fmx_status status;
    } all[] = {
#define OF_STATUS(name, value, words) {#name, (name)},
        FMX_STATUS_LIST(OF_STATUS)
#undef OF_STATUS
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(all[i].name, name) == 0) {
            *out_status = all[i].status;
            return true;
        }
    }
    return false;
}

/* Each of the objects of a list, into its place. */
typedef void read_item(struct reader *reader, json *object, void *out_item);

static void read_items(struct reader *reader, json *list, const char *key, size_t count,
                       read_item *read, void *out_items, size_t item_bytes)
{
    for (size_t i = 0; i < count && !reader->has_failed; i++) {
        json *object = value_item(reader, list, key, i);
        if (object != NULL) {
            read(reader, object, (char *)out_items + i * item_bytes);
        }
    }
}

/* A list into room of its own. */
static void *read_list(struct reader *reader, json *root, const char *key, read_item *read,
                       size_t item_bytes, size_t *out_count)
{
    json *list = value_list(reader, root, key, RESULT_JSON_LIST_MAX, out_count);
    void *items = value_room(reader, key, *out_count, item_bytes);

    read_items(reader, list, key, *out_count, read, items, item_bytes);
    return items;
}

static void read_cause(struct reader *reader, json *object, void *out_item)
{
    struct result_cause *cause = out_item;
    char name[64] = "";

    VALUE_TEXT(reader, object, "status", name);
    if (!reader->has_failed && !status_of(name, &cause->cause.status)) {
        value_fail(reader, "status",
                   "'%.60s' is not known; a name like FMX_PEER_CLOSED is expected", name);
    }
    if (json_object_object_get_ex(object, "more", NULL)) {
        VALUE_TEXT(reader, object, "more", cause->more);
    }
    cause->cause.sys_errno = (int)value_count(reader, object, "errno", 4095);
    cause->cause.reason = (uint8_t)value_count(reader, object, "reason", UINT8_MAX);
    cause->cause.count = value_count(reader, object, "count", UINT64_MAX);
}

static void read_causes(struct reader *reader, json *root)
{
    struct result *result = reader->result;
    json *list = value_list(reader, root, "causes", FMX_FLEET_CAUSES_MAX, &result->causes_count);

    read_items(reader, list, "causes", result->causes_count, read_cause, result->causes,
               sizeof(result->causes[0]));
}

static void read_threshold(struct reader *reader, json *object, void *out_item)
{
    struct result_threshold *threshold = out_item;

    VALUE_TEXT(reader, object, "text", threshold->text);
    VALUE_TEXT(reader, object, "value", threshold->value);
    threshold->measured = value_measured(reader, object, "measured");
    threshold->is_met = value_switch(reader, object, "is_met");
}

static void read_thresholds(struct reader *reader, json *root)
{
    struct result *result = reader->result;

    result->thresholds = read_list(reader, root, "thresholds", read_threshold,
                                   sizeof(*result->thresholds), &result->thresholds_count);
}

static void read_step(struct reader *reader, json *object, void *out_item)
{
    struct result_step *step = out_item;

    step->rate = value_real(reader, object, "rate");
    step->achieved = value_real(reader, object, "achieved");
    step->measured = value_measured(reader, object, "measured");
    VALUE_TEXT(reader, object, "value", step->value);
    step->is_held = value_switch(reader, object, "is_held");
}

static void read_steps(struct reader *reader, json *root)
{
    struct result *result = reader->result;

    VALUE_TEXT(reader, root, "find_words", result->find_words);
    result->find_status =
        (enum exit_status)value_count(reader, root, "find_status", EXIT_NO_GATEWAY);
    result->steps =
        read_list(reader, root, "steps", read_step, sizeof(*result->steps), &result->steps_count);
}

static void read_stage(struct reader *reader, json *object, void *out_item)
{
    struct result_stage *stage = out_item;

    VALUE_TEXT(reader, object, "name", stage->name);
    stage->began_ns = value_count(reader, object, "began_ns", UINT64_MAX);
    stage->ended_ns = value_count(reader, object, "ended_ns", UINT64_MAX);
}

static void read_stages(struct reader *reader, json *root)
{
    struct result *result = reader->result;

    result->stages = read_list(reader, root, "stages", read_stage, sizeof(*result->stages),
                               &result->stages_count);
}

static void read_group_latencies(struct reader *reader, json *object, struct result_group *group)
{
    json *latencies = value_get(reader, object, "latency", json_type_object);

    if (latencies == NULL) {
        return;
    }
    json_object_object_foreach(latencies, key, value)
    {
        size_t latency = value_latency(reader, key, value);
        if (reader->has_failed) {
            return;
        }
        value_fields(reader, value, key, &group->latency[latency], result_latency_fields,
                     result_latency_fields_count, true);
    }
}

static void read_group(struct reader *reader, json *object, void *out_item)
{
    struct result_group *group = out_item;

    VALUE_TEXT(reader, object, "name", group->name);
    group->clients_count = value_number(reader, object, "clients");
    group->is_apart = value_switch(reader, object, "is_apart");
    value_counters(reader, object, "counters", &group->counters);
    read_group_latencies(reader, object, group);
}

static void read_groups(struct reader *reader, json *root)
{
    struct result *result = reader->result;

    result->groups = read_list(reader, root, "groups", read_group, sizeof(*result->groups),
                               &result->groups_count);
}

static void read_process(struct reader *reader, json *root)
{
    struct result *result = reader->result;
    json *memory = value_get(reader, root, "memory", json_type_object), *stats;

    if (memory != NULL) {
        snprintf(reader->where, sizeof(reader->where), "memory.");
        result->rss_before_bytes = value_count(reader, memory, "rss_before_bytes", UINT64_MAX);
        result->rss_bytes = value_count(reader, memory, "rss_bytes", UINT64_MAX);
    }
    if (reader->has_failed) {
        return;
    }
    reader->where[0] = '\0';
    stats = value_get(reader, root, "stats", json_type_object);
    if (stats != NULL) {
        value_fields(reader, stats, "stats", &result->stats, result_stats, result_stats_count,
                     value_is_own_version(reader));
    }
}

static void read_counters(struct reader *reader, json *root)
{
    value_counters(reader, root, "counters", &reader->result->counters);
    value_counters(reader, root, "before_drain", &reader->result->before_drain);
}

/* ── distributions ── */

/* A pair of edge and count; the bucket, which is above the one before. */
static uint32_t read_bucket(struct reader *reader, json *pair, size_t index, int64_t before,
                            struct fmx_distribution *distribution)
{
    char key[40];

    snprintf(key, sizeof(key), "buckets[%zu]", index);
    if (json_object_get_type(pair) != json_type_array || json_object_array_length(pair) != 2) {
        value_fail(reader, key, "is not [edge in ns, count]");
        return 0;
    }
    uint64_t edge_ns = value_count_of(reader, json_object_array_get_idx(pair, 0), key, UINT64_MAX);
    uint64_t count = value_count_of(reader, json_object_array_get_idx(pair, 1), key, UINT64_MAX);
    if (reader->has_failed) {
        return 0;
    }
    uint32_t bucket = fmx_distribution_bucket(edge_ns);
    if (fmx_distribution_edge_ns(bucket) != edge_ns) {
        value_fail(reader, key, "%" PRIu64 " is no edge of a bucket", edge_ns);
    } else if ((int64_t)bucket <= before) {
        value_fail(reader, key, "is not above the one before");
    } else if (count == 0 || count > UINT64_MAX - distribution->total) {
        value_fail(reader, key, "has a count out of range");
    } else {
        distribution->counts[bucket] = count;
        distribution->total += count;
    }
    return bucket;
}

static void read_distribution(struct reader *reader, json *object,
                              struct fmx_distribution *distribution)
{
    uint64_t min_ns = value_count(reader, object, "min_ns", UINT64_MAX);
    uint64_t max_ns = value_count(reader, object, "max_ns", UINT64_MAX);
    size_t count = 0;
    uint32_t first = 0, last = 0;

    json *list = value_list(reader, object, "buckets", FMX_DISTRIBUTION_BUCKETS, &count);
    for (size_t i = 0; i < count && !reader->has_failed; i++) {
        int64_t before = i > 0 ? (int64_t)last : -1;
        last = read_bucket(reader, json_object_array_get_idx(list, i), i, before, distribution);
        first = i == 0 ? last : first;
    }
    if (reader->has_failed || count == 0) {
        return;
    }
    if (fmx_distribution_bucket(min_ns) != first || fmx_distribution_bucket(max_ns) != last ||
        min_ns > max_ns) {
        value_fail(reader,
                   min_ns > max_ns || fmx_distribution_bucket(min_ns) != first ? "min_ns"
                                                                               : "max_ns",
                   "does not fit the buckets");
        return;
    }
    distribution->min_ns = min_ns;
    distribution->max_ns = max_ns;
}

static void read_distributions(struct reader *reader, json *root)
{
    json *all = value_get(reader, root, "distributions", json_type_object);

    if (all == NULL) {
        return;
    }
    json_object_object_foreach(all, key, value)
    {
        snprintf(reader->where, sizeof(reader->where), "distributions.");
        size_t latency = value_latency(reader, key, value);
        if (reader->has_failed) {
            return;
        }
        snprintf(reader->where, sizeof(reader->where), "distributions.%s.",
                 fmx_fleet_latency_name((enum fmx_fleet_latency)latency));
        read_distribution(reader, value, reader->result->distributions[latency]);
        fmx_distribution_summary(reader->result->distributions[latency],
                                 &reader->result->latency[latency]);
    }
}

/* ── rows ── */

static const struct result_column *column_of(struct reader *reader, json *name, size_t index)
{
    char key[40];
    struct nearest nearest = {0};

    snprintf(key, sizeof(key), "columns[%zu]", index);
    if (json_object_get_type(name) != json_type_string) {
        value_fail(reader, key, "is %s; a text is expected",
                   value_kind_name(json_object_get_type(name)));
        return NULL;
    }
    nearest.word = json_object_get_string(name);
    for (size_t i = 0; i < result_columns_count; i++) {
        if (strcmp(result_columns[i].name, nearest.word) == 0) {
            return &result_columns[i];
        }
    }
    if (json_object_get_string_len(name) < 64) { /* looking for a near one takes time */
        for (size_t i = 0; i < result_columns_count; i++) {
            nearest_consider(&nearest, result_columns[i].name);
        }
    }
    value_fail_unknown(reader, nearest.word, &nearest);
    return NULL;
}

static void read_cell(struct reader *reader, json *cell, const struct result_column *column,
                      struct result_row *row)
{
    char *at = (char *)row + column->offset;
    uint64_t count = 0;
    uint32_t number = 0;
    double real = 0;

    switch (column->kind) {
    case RESULT_COLUMN_COUNT:
        count = value_count_of(reader, cell, column->name, UINT64_MAX);
        memcpy(at, &count, sizeof(count));
        break;
    case RESULT_COLUMN_NUMBER:
        number = (uint32_t)value_count_of(reader, cell, column->name, UINT32_MAX);
        memcpy(at, &number, sizeof(number));
        break;
    case RESULT_COLUMN_REAL:
        real = value_real_of(reader, cell, column->name);
        memcpy(at, &real, sizeof(real));
        break;
    case RESULT_COLUMN_SWITCH:
        *(bool *)at = value_count_of(reader, cell, column->name, 1) != 0;
        break;
    case RESULT_COLUMN_LIMIT:
        row->limit = (enum result_limit)value_count_of(reader, cell, column->name, RESULT_NETWORK);
        break;
    }
}

static void read_row(struct reader *reader, json *cells, size_t index,
                     const struct result_column *const *columns, size_t count)
{
    struct result *result = reader->result;

    snprintf(reader->where, sizeof(reader->where), "rows.data[%zu]", index);
    if (json_object_get_type(cells) != json_type_array ||
        json_object_array_length(cells) != count) {
        value_fail(reader, "", "is not an array of %zu cells, one for each column", count);
        return;
    }
    snprintf(reader->where, sizeof(reader->where), "rows.data[%zu].", index);
    struct result_row *row = result_add_row(result);
    if (row == NULL) {
        value_fail(reader, "", "does not fit into memory");
        return;
    }
    for (size_t i = 0; i < count && !reader->has_failed; i++) {
        read_cell(reader, json_object_array_get_idx(cells, i), columns[i], row);
    }
    if (row->end_ns < row->begin_ns || (index > 0 && row->begin_ns < row[-1].end_ns)) {
        value_fail(reader, "begin_ns", "is after end_ns, or before the end of the row before");
    }
    if (row->stage >= (result->stages_count > 0 ? result->stages_count : 1)) {
        value_fail(reader, "stage", "is %" PRIu32 "; there are %zu stages", row->stage,
                   result->stages_count);
    }
}

static void read_rows(struct reader *reader, json *root)
{
    const struct result_column **columns = NULL;
    json *rows = value_get(reader, root, "rows", json_type_object), *names, *data;
    size_t columns_count = 0, rows_count = 0;

    if (rows == NULL) {
        return;
    }
    snprintf(reader->where, sizeof(reader->where), "rows.");
    names = value_list(reader, rows, "columns", result_columns_count, &columns_count);
    data = value_list(reader, rows, "data", RESULT_JSON_ROWS_MAX, &rows_count);
    columns = value_room(reader, "columns", columns_count, sizeof(*columns));
    for (size_t i = 0; i < columns_count && !reader->has_failed; i++) {
        columns[i] = column_of(reader, json_object_array_get_idx(names, i), i);
    }
    for (size_t i = 0; i < rows_count && !reader->has_failed; i++) {
        read_row(reader, json_object_array_get_idx(data, i), i, columns, columns_count);
    }
    free(columns);
}

/* ── the file ── */

/* The tree of a file; NULL: an error. */
static json *parse(struct reader *reader, FILE *file, json_tokener *tokener, char *chunk)
{
    struct value_scan scan = {0};
    json *root = NULL;
    size_t total = 0, bytes;

    while ((bytes = fread(chunk, 1, CHUNK_BYTES, file)) > 0) {
        size_t used = 0;
        if (root == NULL && !value_scan_numbers(reader, &scan, chunk, bytes, total)) {
            return NULL;
        }
        if (root == NULL) {
            root = json_tokener_parse_ex(tokener, chunk, (int)bytes);
            enum json_tokener_error result = json_tokener_get_error(tokener);
            used = result == json_tokener_continue ? bytes : json_tokener_get_parse_end(tokener);
            if (result != json_tokener_continue && result != json_tokener_success) {
                value_fail_whole(reader, "is no JSON: byte %zu: %s", total + used + 1,
                                 json_tokener_error_desc(result));
                return NULL;
            }
            if (result == json_tokener_success && root == NULL) {
                value_fail_whole(reader, "is no result of 'fleetmux fleet': it is null");
                return NULL;
            }
        }
        while (used < bytes && memchr(" \t\r\n", chunk[used], 4) != NULL) {
            used++;
        }
        total += used;
        if (used < bytes || total > RESULT_JSON_BYTES_MAX) {
            value_fail_whole(reader,
                             used < bytes ? "has more after its end, from byte %zu on"
                                          : "has more than %zu bytes",
                             used < bytes ? total + 1 : (size_t)RESULT_JSON_BYTES_MAX);
            json_object_put(root);
            return NULL;
        }
    }
    if (ferror(file) != 0) {
        value_fail_whole(reader, "cannot be read: %s", strerror(errno));
    } else if (root == NULL) {
        value_fail_whole(reader,
                         total == 0 ? "is empty" : "ends before its JSON does: it is cut off");
    }
    return root;
}

static json *parse_file(struct reader *reader)
{
    FILE *file = fopen(reader->path, "re");
    json_tokener *tokener = json_tokener_new_ex(RESULT_JSON_DEPTH_MAX);
    char *chunk = malloc(CHUNK_BYTES);
    json *root = NULL;

    if (file == NULL) {
        value_fail_whole(reader, "cannot be read: %s", strerror(errno));
    } else if (tokener == NULL || chunk == NULL) {
        value_fail_whole(reader, "cannot be read: memory ran out");
    } else {
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS |
                                            JSON_TOKENER_VALIDATE_UTF8);
        root = parse(reader, file, tokener, chunk);
    }
    if (file != NULL) {
        fclose(file);
    }
    if (tokener != NULL) {
        json_tokener_free(tokener);
    }
    free(chunk);
    return root;
}

static void read_all(struct reader *reader, json *root)
{
    static void (*const sections[])(struct reader *, json *) = {
        read_kind,       read_head,          read_parts,  read_clients, read_causes,
        read_thresholds, read_steps,         read_stages, read_groups,  read_counters,
        read_process,    read_distributions, read_rows,
    };

    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]) && !reader->has_failed; i++) {
        reader->where[0] = '\0';
        sections[i](reader, root);
    }
}

struct result *result_read(const char *path, char *error, size_t error_bytes)
{
    struct reader reader = {.path = path, .error = error, .error_bytes = error_bytes};
    json *root = parse_file(&reader);

    if (root == NULL) {
        return NULL;
    }
    reader.result = result_open();
    if (reader.result == NULL || !result_set_text(&reader.result->path, path)) {
        value_fail_whole(&reader, "cannot be read: memory ran out");
    } else {
        read_all(&reader, root);
    }
    json_object_put(root);
    if (reader.has_failed) {
        result_close(reader.result);
        return NULL;
    }
    return reader.result;
}
