/*
 * result_csv — a result's rows as CSV, for spreadsheets and plotting programs
 *
 * Why it is so:   one line a second, every column on every line and the same columns in every file
 *                 of a version, so that files can be laid side by side. Units are in the names:
 *                 _s, _ns, _per_s; counts without a unit end in _total if they are since the
 *                 beginning, else they are of the second, or how many there were at its end
 * Threads:        one
 * Not here:       what the columns mean: docs/RESULTS.md
 */
#include "tools/fleetmux/registry_csv.h"
#include "tools/fleetmux/result_columns.h"
#include "tools/fleetmux/result_file.h"

#include <inttypes.h>
#include <string.h>

/* Growing counters that are given as rates, too. */
static const struct {
    const char *name;
    size_t offset;
} rates[] = {
    {"connects_per_s", offsetof(struct fmx_fleet_counters, connects_ok)},
    {"publishes_sent_per_s", offsetof(struct fmx_fleet_counters, publishes_sent)},
    {"publishes_acked_per_s", offsetof(struct fmx_fleet_counters, publishes_acked)},
    {"received_per_s", offsetof(struct fmx_fleet_counters, received)},
};

#define RATES_COUNT (sizeof(rates) / sizeof(rates[0]))

static bool is_time(const struct result_column *column)
{
    return column->offset == offsetof(struct result_row, begin_ns) ||
           column->offset == offsetof(struct result_row, end_ns);
}

/* A point in a name becomes _, since many programs take it for something else. */
static void print_name(FILE *file, const struct result_column *column)
{
    for (const char *at = column->name; *at != '\0'; at++) {
        fputc(*at == '.' ? '_' : *at, file);
    }
    fputs(column->is_growing ? "_total" : "", file);
}

static void print_header(FILE *file)
{
    fputs("begin_s,end_s", file);
    for (size_t i = 0; i < RATES_COUNT; i++) {
        fprintf(file, ",%s", rates[i].name);
    }
    for (size_t i = 0; i < result_columns_count; i++) {
        if (!is_time(&result_columns[i])) {
            fputc(',', file);
            print_name(file, &result_columns[i]);
        }
    }
    fputs("\r\n", file);
}

static void print_cell(FILE *file, const struct result *result, const struct result_row *row,
                       const struct result_column *column)
{
    const char *at = (const char *)row + column->offset;
    uint64_t count;
    double real;

    switch (column->kind) {
    case RESULT_COLUMN_COUNT:
        memcpy(&count, at, sizeof(count));
        fprintf(file, "%" PRIu64, count);
        break;
    case RESULT_COLUMN_NUMBER: /* the only one: the stage, by name */
        if (row->stage < result->stages_count) {
            csv_write_field(file, result->stages[row->stage].name);
        }
        break;
    case RESULT_COLUMN_REAL:
        memcpy(&real, at, sizeof(real));
        fprintf(file, "%.3f", real);
        break;
    case RESULT_COLUMN_SWITCH:
        fputc(*(const bool *)at ? '1' : '0', file);
        break;
    case RESULT_COLUMN_LIMIT:
        fputs(result_limit_name(row->limit), file);
        break;
    }
}

static void print_row(FILE *file, const struct result *result, size_t index)
{
    const struct result_row *row = &result->rows[index];

    fprintf(file, "%.6f,%.6f", (double)row->begin_ns / 1e9, (double)row->end_ns / 1e9);
    for (size_t i = 0; i < RATES_COUNT; i++) {
        fprintf(file, ",%.3f", result_row_rate(result, index, rates[i].offset));
    }
    for (size_t i = 0; i < result_columns_count; i++) {
        if (!is_time(&result_columns[i])) {
            fputc(',', file);
            print_cell(file, result, row, &result_columns[i]);
        }
    }
    fputs("\r\n", file);
}

bool result_write_csv(const struct result *result, const char *path, char *error,
                      size_t error_bytes)
{
    FILE *file = result_file_open(path, error, error_bytes);

    if (file == NULL) {
        return false;
    }
    print_header(file);
    for (size_t i = 0; i < result->rows_count; i++) {
        print_row(file, result, i);
    }
    return result_file_close(file, path, error, error_bytes);
}
