/*
 * result — one run as it was told: its memory, and rates over its rows
 *
 * Why it is so:   distributions have 270 KB each and rows come one a second, so both are on the
 *                 heap. A rate is taken from the first second in which something grew to the last:
 *                 a ramp before it and a hold after it are none of its business
 * Memory:         owns all that it points to; result_close gives it back
 * Threads:        one at a time
 * Not here:       what it means: verdict.c; files: result_json.c and its neighbours
 */
#include "tools/fleetmux/result.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_FIRST 64

const char *result_limit_name(enum result_limit limit)
{
    static const char *const names[] = {"OK", "SERVER-LIMITED", "GENERATOR-LIMITED", "NETWORK"};

    return (size_t)limit < sizeof(names) / sizeof(names[0]) ? names[limit] : "?";
}

/* ── memory ── */

struct result *result_open(void)
{
    struct result *result = calloc(1, sizeof(*result));

    if (result == NULL) {
        return NULL;
    }
    result->parts_count = 1;
    result->parts_merged = 1;
    result->is_valid = true;
    result->adds_up = true;
    result->rate = 1;
    for (size_t i = 0; i < FMX_FLEET_LATENCIES; i++) {
        result->distributions[i] = malloc(sizeof(*result->distributions[i]));
        if (result->distributions[i] == NULL) {
            result_close(result);
            return NULL;
        }
        fmx_distribution_init(result->distributions[i]);
    }
    return result;
}

void result_close(struct result *result)
{
    if (result == NULL) {
        return;
    }
    for (size_t i = 0; i < FMX_FLEET_LATENCIES; i++) {
        free(result->distributions[i]);
    }
    free(result->path);
    free(result->command);
    free(result->scenario);
    free(result->parts);
    free(result->rows);
    free(result->groups);
    free(result->stages);
    free(result->thresholds);
    free(result->steps);
    free(result);
}

struct result_row *result_add_row(struct result *result)
{
    if (result->rows_count == result->rows_capacity) {
        size_t capacity = result->rows_capacity == 0 ? ROWS_FIRST : 2 * result->rows_capacity;
        struct result_row *rows = realloc(result->rows, capacity * sizeof(*rows));
        if (rows == NULL) {
            return NULL;
        }
        result->rows = rows;
        result->rows_capacity = capacity;
    }
    struct result_row *row = &result->rows[result->rows_count++];
    memset(row, 0, sizeof(*row));
    return row;
}

bool result_set_text(char **text, const char *copied)
{
    char *copy = copied != NULL ? strdup(copied) : NULL;

    if (copied != NULL && copy == NULL) {
        return false;
    }
    free(*text);
    *text = copy;
    return true;
}

/* ── rates ── */

static uint64_t counter_of(const struct fmx_fleet_counters *counters, size_t offset)
{
    uint64_t value;

    memcpy(&value, (const char *)counters + offset, sizeof(value));
    return value;
}

uint64_t result_row_growth(const struct result *result, size_t row, size_t counter_offset)
{
    uint64_t now = counter_of(&result->rows[row].counters, counter_offset);
    uint64_t before = row > 0 ? counter_of(&result->rows[row - 1].counters, counter_offset) : 0;

    return now > before ? now - before : 0;
}

double result_row_rate(const struct result *result, size_t row, size_t counter_offset)
{
    uint64_t begin_ns = result->rows[row].begin_ns, end_ns = result->rows[row].end_ns;

    if (end_ns <= begin_ns) {
        return 0;
    }
    return (double)result_row_growth(result, row, counter_offset) * 1e9 /
           (double)(end_ns - begin_ns);
}

double result_rate(const struct result *result, size_t counter_offset)
{
    size_t first = 0, last = result->rows_count;
    uint64_t total = 0;

    while (first < last && result_row_growth(result, first, counter_offset) == 0) {
        first++;
    }
    while (last > first && result_row_growth(result, last - 1, counter_offset) == 0) {
        last--;
    }
    if (first == last) { /* shorter than a row, or all of it after the last one */
        total = counter_of(&result->counters, counter_offset);
        return result->elapsed_ns == 0 ? 0 : (double)total * 1e9 / (double)result->elapsed_ns;
    }
    for (size_t row = first; row < last; row++) {
        total += result_row_growth(result, row, counter_offset);
    }
    uint64_t begin_ns = result->rows[first].begin_ns, end_ns = result->rows[last - 1].end_ns;
    if (counter_offset == offsetof(struct fmx_fleet_counters, connects_ok) &&
        result->last_connect_ns > result->rows[last - 1].begin_ns &&
        result->last_connect_ns < end_ns) {
        end_ns = result->last_connect_ns; /* known to the nanosecond */
    }
    return end_ns <= begin_ns ? 0 : (double)total * 1e9 / (double)(end_ns - begin_ns);
}

uint64_t result_messages_lost(const struct result *result)
{
    const struct fmx_fleet_counters *counters = &result->counters;
    uint64_t known = counters->publishes_acked + counters->publishes_refused;
    uint64_t unacked =
        counters->publishes_sent_qos1 > known ? counters->publishes_sent_qos1 - known : 0;

    return unacked +
           (counters->deliveries_expected > 0 ? counters->deliveries_lost : counters->received_gap);
}

enum fmx_fleet_latency result_main_latency(const struct result *result)
{
    static const enum fmx_fleet_latency in_turn[] = {FMX_FLEET_PUBACK, FMX_FLEET_REQUEST,
                                                     FMX_FLEET_DELIVERY, FMX_FLEET_CONNECT};

    for (size_t i = 0; i < sizeof(in_turn) / sizeof(in_turn[0]); i++) {
        if (result->latency[in_turn[i]].count > 0) {
            return in_turn[i];
        }
    }
    return FMX_FLEET_CONNECT;
}
