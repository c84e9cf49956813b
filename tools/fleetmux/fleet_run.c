/*
 * fleet_run — the plan of `run` comes from a file, and any plan goes into one
 *
 * Why it is so:   a file says what the test is; where its servers are, how long it runs, with which
 *                 seed and in how many processes is often another matter, so options overrule it.
 *                 Everything else of a scenario is changed in the file
 * Memory:         the scenario lives until the next plan is made
 * Threads:        one
 * Not here:       reading and writing YAML: scenario.h
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/result_file.h"

#include <stdlib.h>
#include <string.h>

static struct scenario *scenario;

static bool refuse(struct flag_set *set, const char *words)
{
    snprintf(set->error, sizeof(set->error), "%s", words);
    return false;
}

/* Options that are given overrule the file. */
static void overrule(struct fleet_settings *settings, const struct flag_set *set)
{
    const struct fmx_fleet_plan *given = &settings->plan;
    struct fmx_fleet_plan plan = settings->scenario->plan;

    plan.mux.log_level = given->mux.log_level;
    if (flags_is_given(set, "shards")) {
        plan.mux.shards_count = given->mux.shards_count;
    }
    if (flags_is_given(set, "cpus")) {
        plan.mux.cpus = given->mux.cpus;
    }
    if (flags_is_given(set, "seed")) {
        plan.seed = given->seed;
    }
    if (flags_is_given(set, "duration")) {
        plan.duration_ns = given->duration_ns;
    }
    if (flags_is_given(set, "drain")) {
        plan.drain_ms = given->drain_ms;
    }
    settings->plan = plan;
}

static bool has_threshold(const struct flag_list *list, const char *text)
{
    for (size_t index = 0; index < list->count; index++) {
        if (strcmp(list->items[index], text) == 0) {
            return true;
        }
    }
    return false;
}

/* Those of the file count too; one that both have is listed once. */
static bool add_thresholds(struct fleet_settings *settings, struct flag_set *set)
{
    const struct flag_list *list = &settings->scenario->thresholds;
    struct flag_list *all = &settings->thresholds;

    for (size_t index = 0; index < list->count; index++) {
        if (has_threshold(all, list->items[index])) {
            continue;
        }
        if (all->count == FLAG_ITEMS_MAX) {
            return refuse(set, "option '--threshold': there are more than 64 with the file's");
        }
        all->items[all->count++] = list->items[index];
    }
    return true;
}

bool fleet_run_make(struct fleet_settings *settings, struct flag_set *set)
{
    struct scenario_hosts hosts = {0};
    const char *path =
        settings->scenario_file != NULL ? settings->scenario_file : settings->operands[0];

    if (path == NULL) {
        return refuse(set, "a scenario is needed: write 'fleetmux fleet run FILE.yaml'");
    }
    if (flags_is_given(set, "host")) {
        hosts.items = settings->hosts.items;
        hosts.count = settings->hosts.count;
    }
    if (flags_is_given(set, "port")) {
        hosts.port = settings->port;
    }
    scenario_close(scenario);
    scenario = scenario_open(path, &hosts, set->error, sizeof(set->error));
    if (scenario == NULL) {
        return false;
    }
    settings->scenario = scenario;
    settings->scenario_file = path;
    overrule(settings, set);
    return add_thresholds(settings, set);
}

/* ── --save ── */

/* Secrets are nobody else's. */
static bool write_text(const char *path, const char *text, struct flag_set *set)
{
    char words[FLAG_ERROR_BYTES - 32] = "";
    FILE *out = result_file_open_secret(path, words, sizeof(words));

    if (out != NULL) {
        fputs(text, out);
        if (result_file_close(out, path, words, sizeof(words))) {
            return true;
        }
    }
    snprintf(set->error, sizeof(set->error), "option '--save': %s", words);
    return false;
}

bool fleet_run_save(const struct fleet_settings *settings, struct flag_set *set)
{
    struct scenario whole = {.plan = settings->plan, .thresholds = settings->thresholds};

    if (settings->scenario != NULL) {
        whole.name = settings->scenario->name;
        whole.description = settings->scenario->description;
    }
    char *text = scenario_write(&whole, set->error, sizeof(set->error));
    bool is_written = text != NULL && write_text(settings->save_file, text, set);

    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
    return is_written;
}
