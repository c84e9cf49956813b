/*
 * result_columns.h — what a row of a result is made of, by name: for files of all kinds
 */
#ifndef FMX_TOOLS_RESULT_COLUMNS_H
#define FMX_TOOLS_RESULT_COLUMNS_H

#include "tools/fleetmux/result.h"

enum result_column_kind {
    RESULT_COLUMN_COUNT,  /* uint64_t */
    RESULT_COLUMN_NUMBER, /* uint32_t */
    RESULT_COLUMN_REAL,   /* double */
    RESULT_COLUMN_SWITCH, /* bool */
    RESULT_COLUMN_LIMIT,  /* enum result_limit */
};

struct result_column {
    const char *name; /* "publishes_sent", "puback.p99_ns" */
    enum result_column_kind kind;
    bool is_growing; /* a counter of the whole run that never falls */
    size_t offset;   /* into struct result_row */
};

extern const struct result_column result_columns[];
extern const size_t result_columns_count;

/* A name in the lists of fleet.h and stats.h, and where its figure stands. */
struct result_field {
    const char *name;
    size_t offset; /* into struct fmx_fleet_counters, fmx_stats or fmx_latency: a uint64_t */
    bool is_gauge;
    const char *words;
};

extern const struct result_field result_counters[], result_stats[], result_latency_fields[];
extern const size_t result_counters_count, result_stats_count, result_latency_fields_count;

uint64_t result_field_get(const void *base, const struct result_field *field);
void result_field_set(void *base, const struct result_field *field, uint64_t value);

#endif
