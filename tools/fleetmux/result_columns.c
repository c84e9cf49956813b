/*
 * result_columns — what a row of a result is made of, by name
 *
 * Why it is so:   JSON, CSV, merging and the tests walk over the same lists, which are made from
 *                 those of the library: a counter that is added there is in every file at once
 * Threads:        constants
 */
#include "tools/fleetmux/result_columns.h"

#include <stddef.h>
#include <string.h>

#define COUNT_OF(list) (sizeof(list) / sizeof((list)[0]))

#define AT(column, member, growing)                                                                \
    {                                                                                              \
        .name = #member, .kind = RESULT_COLUMN_##column, .is_growing = (growing),                  \
        .offset = offsetof(struct result_row, member)                                              \
    }

#define COUNTER(name_, is_gauge_, words_)                                                          \
    {.name = #name_,                                                                               \
     .kind = RESULT_COLUMN_COUNT,                                                                  \
     .is_growing = !(is_gauge_),                                                                   \
     .offset = offsetof(struct result_row, counters.name_)},

#define FIELD(NAME, name_, field)                                                                  \
    {.name = #name_ "." #field,                                                                    \
     .kind = RESULT_COLUMN_COUNT,                                                                  \
     .offset = offsetof(struct result_row, latency) +                                              \
               FMX_FLEET_##NAME * sizeof(struct fmx_latency) +                                     \
               offsetof(struct fmx_latency, field)},

#define LATENCY(NAME, name_, words_)                                                               \
    FIELD(NAME, name_, count)                                                                      \
    FIELD(NAME, name_, min_ns)                                                                     \
    FIELD(NAME, name_, p50_ns)                                                                     \
    FIELD(NAME, name_, p90_ns)                                                                     \
    FIELD(NAME, name_, p99_ns) FIELD(NAME, name_, p999_ns) FIELD(NAME, name_, max_ns)

const struct result_column result_columns[] = {
    AT(COUNT, begin_ns, false),
    AT(COUNT, end_ns, false),
    AT(NUMBER, stage, false),
    AT(SWITCH, is_paused, false),
    AT(LIMIT, limit, false),
    AT(REAL, connects_wanted, false),
    AT(REAL, publishes_wanted, false),
    AT(COUNT, cpu_ns, false),
    AT(COUNT, cpu_wait_ns, false),
    AT(COUNT, segments_out, false),
    AT(COUNT, segments_again, false),
    FMX_FLEET_COUNTER_LIST(COUNTER) FMX_FLEET_LATENCY_LIST(LATENCY)};
const size_t result_columns_count = COUNT_OF(result_columns);

const struct result_field result_counters[] = {
#define OF_COUNTER(name_, is_gauge_, words_)                                                       \
    {#name_, offsetof(struct fmx_fleet_counters, name_), is_gauge_, words_},
    FMX_FLEET_COUNTER_LIST(OF_COUNTER)
#undef OF_COUNTER
};
const size_t result_counters_count = COUNT_OF(result_counters);

const struct result_field result_stats[] = {
#define OF_STAT(name_, words_) {#name_, offsetof(struct fmx_stats, name_), false, words_},
    FMX_STATS_LIST(OF_STAT)
#undef OF_STAT
};
const size_t result_stats_count = COUNT_OF(result_stats);

const struct result_field result_latency_fields[] = {
    {"count", offsetof(struct fmx_latency, count), false, "how many"},
    {"min_ns", offsetof(struct fmx_latency, min_ns), false, "shortest"},
    {"p50_ns", offsetof(struct fmx_latency, p50_ns), false, "half are not above"},
    {"p90_ns", offsetof(struct fmx_latency, p90_ns), false, "90 % are not above"},
    {"p99_ns", offsetof(struct fmx_latency, p99_ns), false, "99 % are not above"},
    {"p999_ns", offsetof(struct fmx_latency, p999_ns), false, "99.9 % are not above"},
    {"max_ns", offsetof(struct fmx_latency, max_ns), false, "longest"},
};
const size_t result_latency_fields_count = COUNT_OF(result_latency_fields);

uint64_t result_field_get(const void *base, const struct result_field *field)
{
    uint64_t value;

    memcpy(&value, (const char *)base + field->offset, sizeof(value));
    return value;
}

void result_field_set(void *base, const struct result_field *field, uint64_t value)
{
    memcpy((char *)base + field->offset, &value, sizeof(value));
}
