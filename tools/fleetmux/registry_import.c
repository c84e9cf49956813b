/*
 * registry_import — devices from a CSV file into the registry
 *
 * Why it is so:   one million rows come from somewhere, and one of them is wrong. So the library
 *                 takes all or nothing, and this file's part is to say where the wrong one stands:
 *                 file, line, field
 * Words:          column: where a field stands in a row, told by a header or by the usual order
 * Threads:        one
 * Limits:         after empty lines among the rows, a device that exists is named by its row
 * Not here:       rows: registry_csv.c; checks and secrets: engine/roles/registry_import.c
 */
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/registry.h"
#include "tools/fleetmux/registry_csv.h"
#include "tools/fleetmux/verbs.h"
#include "tools/fleetmux/words.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TELL_EVERY_S 5

enum column { COLUMN_PRODUCT, COLUMN_DEVICE, COLUMN_SECRET, COLUMN_STATUS, COLUMNS_COUNT };

static const char *const column_names[COLUMNS_COUNT] = {"product_key", "device_name",
                                                        "device_secret", "status"};

struct import {
    struct csv csv;
    const char *path;
    struct fmx_registry *other; /* dry: what the registry has is asked of this handle */
    size_t at[COLUMNS_COUNT];   /* SIZE_MAX: there is no such column */
    size_t header_fields;       /* 0: there is no header */
    uint64_t row;
    uint64_t row_after_gap; /* from this row on, lines and rows no longer run together */
    bool has_begun;
    bool is_over; /* all rows were read */
    bool is_terminal;
    struct timespec since, told;
    char error[256]; /* of a row, found here */
};

__attribute__((format(printf, 2, 3))) static enum fmx_status refuse(struct import *import,
                                                                    const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(import->error, sizeof(import->error), format, arguments);
    va_end(arguments);
    return FMX_E_ARGUMENT;
}

/* ── columns ── */

static bool is_header(const struct csv *csv)
{
    for (size_t i = 0; i < csv->fields_count; i++) {
        if (strcmp(csv->fields[i], column_names[COLUMN_PRODUCT]) == 0 ||
            strcmp(csv->fields[i], column_names[COLUMN_DEVICE]) == 0) {
            return true;
        }
    }
    return false;
}

static enum fmx_status refuse_column(struct import *import, const char *name)
{
    struct nearest nearest = {.word = name};

    for (size_t i = 0; i < COLUMNS_COUNT; i++) {
        nearest_consider(&nearest, column_names[i]);
    }
    return refuse(import, "unknown column '%.40s'; %s%s%s", name,
                  nearest.best != NULL
                      ? "did you mean '"
                      : "there are product_key, device_name, device_secret, status",
                  nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
}

static enum fmx_status read_header(struct import *import)
{
    const struct csv *csv = &import->csv;

    for (size_t i = 0; i < csv->fields_count; i++) {
        size_t column = 0;
        while (column < COLUMNS_COUNT && strcmp(csv->fields[i], column_names[column]) != 0) {
            column++;
        }
        if (column == COLUMNS_COUNT) {
            return refuse_column(import, csv->fields[i]);
        }
        if (import->at[column] != SIZE_MAX) {
            return refuse(import, "column '%s' stands twice; leave one out", column_names[column]);
        }
        import->at[column] = i;
    }
    for (size_t column = COLUMN_PRODUCT; column <= COLUMN_DEVICE; column++) {
        if (import->at[column] == SIZE_MAX) {
            return refuse(import, "column '%s' is missing in the header; add it",
                          column_names[column]);
        }
    }
    import->header_fields = csv->fields_count;
    return FMX_OK;
}

static enum fmx_status check_count(struct import *import)
{
    size_t count = import->csv.fields_count;

    if (import->header_fields != 0 && count != import->header_fields) {
        return refuse(import, "the row has %zu fields, the header has %zu; write as many", count,
                      import->header_fields);
    }
    if (import->header_fields == 0 && (count < 2 || count > 3)) {
        return refuse(import,
                      "the row has %zu fields; write product_key,device_name,device_secret or the "
                      "first two, or begin with a header",
                      count);
    }
    return FMX_OK;
}

/* ── rows ── */

static const char *field(const struct import *import, enum column column)
{
    return import->at[column] < import->csv.fields_count ? import->csv.fields[import->at[column]]
                                                         : "";
}

static enum fmx_status fill_in(struct import *import, struct fmx_device *out_device)
{
    const char *status = field(import, COLUMN_STATUS), *secret = field(import, COLUMN_SECRET);

    *out_device = (struct fmx_device){.product_key = field(import, COLUMN_PRODUCT),
                                      .device_name = field(import, COLUMN_DEVICE),
                                      .secret = secret[0] != '\0' ? secret : NULL};
    if (strcmp(status, "disabled") == 0) {
        out_device->status = FMX_REGISTRY_DISABLED;
    } else if (status[0] != '\0' && strcmp(status, "enabled") != 0) {
        return refuse(import, "status: '%.40s' is none; write enabled, disabled or nothing",
                      status);
    }
    return FMX_OK;
}

/* Dry: does the registry have it already? A real import finds out at its end, all at once. */
static enum fmx_status check_new(struct import *import, const struct fmx_device *device)
{
    char error[FMX_REGISTRY_ERROR_BYTES];
    struct fmx_device found;
    enum fmx_status status = fmx_registry_device_find(
        import->other, device->product_key, device->device_name, &found, error, sizeof(error));

    if (status == FMX_OK) {
        return refuse(import,
                      "the device name '%s' exists already in product '%s'; leave the row "
                      "out, or delete the device first",
                      device->device_name, device->product_key);
    }
    return status == FMX_E_STALE ? FMX_OK : refuse(import, "%.200s", error);
}

/* The next row that is a device's. FMX_END: there is none. */
static enum fmx_status take_row(struct import *import)
{
    enum csv_result result = csv_next(&import->csv);

    if (result == CSV_ROW && !import->has_begun) {
        import->has_begun = true;
        if (is_header(&import->csv)) {
            enum fmx_status status = read_header(import);
            if (status != FMX_OK) {
                return status;
            }
            result = csv_next(&import->csv);
        } else {
            import->at[COLUMN_PRODUCT] = 0;
            import->at[COLUMN_DEVICE] = 1;
            import->at[COLUMN_SECRET] = 2;
        }
    }
    return result == CSV_BAD   ? refuse(import, "%s", import->csv.error)
           : result == CSV_END ? FMX_END
                               : check_count(import);
}

static enum fmx_status next(void *user, struct fmx_device *out_device)
{
    struct import *import = user;
    enum fmx_status status = take_row(import);

    if (status == FMX_END) {
        import->is_over = true;
        return import->other != NULL ? FMX_E_DONE : FMX_END;
    }
    import->row++;
    if (import->csv.line != import->row + (import->header_fields != 0) &&
        import->row_after_gap == 0) {
        import->row_after_gap = import->row;
    }
    if (status == FMX_OK) {
        status = fill_in(import, out_device);
    }
    return status == FMX_OK && import->other != NULL ? check_new(import, out_device) : status;
}

/* ── telling ── */

static void progress(void *user, uint64_t rows)
{
    struct import *import = user;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (import->is_terminal) {
        fprintf(stderr, "\r%s rows read", words_count(rows).text);
    } else if (now.tv_sec - import->told.tv_sec >= TELL_EVERY_S) {
        import->told = now;
        fprintf(stderr, "%s rows read\n", words_count(rows).text);
    }
}

static int tell_failure(const struct registry_run *run, const struct import *import,
                        enum fmx_status status, uint64_t row)
{
    const char *words = import->error[0] != '\0' ? import->error
                        : run->error[0] != '\0'  ? run->error
                                                 : fmx_status_text(status);

    if (status != FMX_E_ARGUMENT) {
        registry_refuse("%s; nothing was imported", words);
        return status == FMX_LIMIT_MEMORY ? EXIT_NO_START : EXIT_USAGE;
    }
    if (!import->is_over) {
        return registry_refuse("%s:%" PRIu64 ": %s; nothing was imported", import->path,
                               import->csv.line, words);
    }
    if (import->row_after_gap == 0 || row < import->row_after_gap) {
        return registry_refuse("%s:%" PRIu64 ": %s; nothing was imported", import->path,
                               row + (import->header_fields != 0), words);
    }
    return registry_refuse("%s: row %" PRIu64 " without the header and empty lines: %s; nothing "
                           "was imported",
                           import->path, row, words);
}

static void tell_success(const struct import *import)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ns = (int64_t)(now.tv_sec - import->since.tv_sec) * 1000000000 +
                 (now.tv_nsec - import->since.tv_nsec);
    printf("%s %s devices in %s\n",
           import->other != NULL ? "nothing is wrong, nothing was changed:" : "imported",
           words_count(import->row).text, words_time((uint64_t)ns).text);
}

static int import_from(struct registry_run *run, struct import *import)
{
    uint64_t row = 0;

    for (size_t column = 0; column < COLUMNS_COUNT; column++) {
        import->at[column] = SIZE_MAX;
    }
    import->is_terminal = isatty(STDERR_FILENO) != 0;
    clock_gettime(CLOCK_MONOTONIC, &import->since);
    import->told = import->since;
    enum fmx_status status = fmx_registry_import(run->registry, next, progress, import, &row,
                                                 run->error, sizeof(run->error));
    if (import->is_terminal && import->row >= 65536) {
        fprintf(stderr, "\r");
    }
    if (status == FMX_OK || (import->is_over && status == FMX_E_DONE)) {
        tell_success(import);
        return EXIT_PASS;
    }
    return tell_failure(run, import, status, row);
}

int registry_import(struct registry_run *run)
{
    static struct import import;
    const char *path = run->operands[0];
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "r");
    int result;

    if (file == NULL) {
        return registry_refuse("%s cannot be read: %m; write the name of a CSV file, or - for "
                               "standard input",
                               path);
    }
    import.path = is_stdin ? "standard input" : path;
    csv_init(&import.csv, file);
    enum fmx_status status = FMX_OK;
    if (run->settings->is_dry) {
        status = fmx_registry_open(run->settings->registry, &import.other, run->error,
                                   sizeof(run->error));
    }
    result = status == FMX_OK ? import_from(run, &import) : registry_tell(run, status);
    fmx_registry_close(import.other);
    if (!is_stdin) {
        fclose(file);
    }
    return result;
}
