/*
 * fleet_files — what a run leaves behind: JSON, CSV, percentiles, a page, hashes
 *
 * Why it is so:   a file that cannot be written is found out before the run, not after an hour of
 *                 it. What cannot be written then all the same is said, and the others are written
 * Threads:        one
 * Limits:         the percentile text is of one latency: of the answers, the first that there is
 * Not here:       how they look: result_json.c and its neighbours
 */
#include "tools/fleetmux/fleet_watch.h"
#include "tools/fleetmux/registry_csv.h"
#include "tools/fleetmux/result_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct file {
    const char *option;
    const char *path; /* NULL: not wanted */
};

#define FILES_COUNT 5

static void list_files(const struct fleet_settings *settings, struct file *files)
{
    files[0] = (struct file){"--json", settings->json};
    files[1] = (struct file){"--csv", settings->csv};
    files[2] = (struct file){"--hdr", settings->hdr};
    files[3] = (struct file){"--html", settings->html};
    files[4] = (struct file){"--hashes", settings->hashes};
}

static bool is_stdout(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

bool fleet_files_use_stdout(const struct fleet_settings *settings)
{
    struct file files[FILES_COUNT];
    bool is_used = false;

    list_files(settings, files);
    for (size_t i = 0; i < FILES_COUNT; i++) {
        is_used = is_used || is_stdout(files[i].path);
    }
    return is_used;
}

/* False: error says why `files[i]` cannot be written, or would take what another one holds. */
static bool check_file(const struct fleet_settings *settings, const struct file *files, size_t i,
                       char *error, size_t error_bytes)
{
    const struct file *file = &files[i];

    if (!result_file_may_open(file->path)) {
        snprintf(error, error_bytes, "option '%s': '%.300s' cannot be written: %s", file->option,
                 file->path, strerror(errno));
        return false;
    }
    if (settings->scenario_file != NULL &&
        result_file_is_same(file->path, settings->scenario_file)) {
        snprintf(error, error_bytes,
                 "option '%s': '%.300s' is the scenario that is run; name another file",
                 file->option, file->path);
        return false;
    }
    for (size_t j = 0; j < i; j++) {
        if (files[j].path != NULL && result_file_is_same(file->path, files[j].path)) {
            snprintf(error, error_bytes,
                     "options '%s' and '%s' name the same file; give each its own", files[j].option,
                     file->option);
            return false;
        }
    }
    return true;
}

bool fleet_files_check(const struct fleet_settings *settings, char *error, size_t error_bytes)
{
    struct file files[FILES_COUNT];

    list_files(settings, files);
    for (size_t i = 0; i < FILES_COUNT; i++) {
        if (files[i].path != NULL && !check_file(settings, files, i, error, error_bytes)) {
            return false;
        }
    }
    return true;
}

/* ── hashes ── */

static void print_hashes(const struct fleet_settings *settings, const struct fmx_fleet *fleet,
                         const struct result *result, FILE *out)
{
    const struct fmx_fleet_plan *plan = &settings->plan;
    uint64_t messages = 0, hash = 0;

    fprintf(out, "group,number,messages,hash\n");
    for (size_t i = 0; i < plan->groups_count && i < result->groups_count; i++) {
        for (uint32_t number = 0; number < plan->groups[i].clients_count; number++) {
            if (fmx_fleet_hash(fleet, (uint32_t)i, number, &messages, &hash)) {
                csv_write(out, result->groups[i].name, ',');
                fprintf(out, "%" PRIu32 ",%" PRIu64 ",%016" PRIx64 "\n", number, messages, hash);
            }
        }
    }
}

static bool write_hashes(const struct fleet_settings *settings, const struct fmx_fleet *fleet,
                         const struct result *result, char *error, size_t error_bytes)
{
    FILE *out = result_file_open(settings->hashes, error, error_bytes);

    if (out == NULL) {
        return false;
    }
    print_hashes(settings, fleet, result, out);
    return result_file_close(out, settings->hashes, error, error_bytes);
}

/* ── all of them ── */

static bool say_if_not(bool is_written, const char *error)
{
    if (!is_written) {
        fprintf(stderr, "fleetmux fleet: %s\n", error);
    }
    return is_written;
}

bool fleet_files_write(const struct fleet_settings *settings, const struct fmx_fleet *fleet,
                       struct result *result)
{
    char error[FLAG_ERROR_BYTES] = "";
    bool is_good = true;

    if (settings->json != NULL) {
        is_good &= say_if_not(result_write(result, settings->json, error, sizeof(error)), error);
    }
    if (settings->csv != NULL) {
        is_good &= say_if_not(result_write_csv(result, settings->csv, error, sizeof(error)), error);
    }
    if (settings->hdr != NULL) {
        is_good &= say_if_not(result_write_hdr(result, result_main_latency(result), settings->hdr,
                                               error, sizeof(error)),
                              error);
    }
    if (settings->html != NULL) {
        is_good &=
            say_if_not(result_write_html(&result, 1, settings->html, error, sizeof(error)), error);
    }
    if (settings->hashes != NULL) {
        is_good &= say_if_not(write_hashes(settings, fleet, result, error, sizeof(error)), error);
    }
    return is_good;
}
