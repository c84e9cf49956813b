/*
 * fleet_describe — what a run is, before it begins: for whoever reads its result a year later
 *
 * Why it is so:   a figure without machine, command line and scenario cannot be made again. All of
 *                 it goes into files that are shared, so secrets do not
 * Invariants:     (1) the value of an option that is a secret never gets into a result, nor does a
 *                 scenario with a secret in it: another is written, with *** in its place
 * Memory:         texts are the result's; copies of groups live as long as one call
 * Threads:        one
 */
#include "tools/fleetmux/fleet_watch.h"
#include "tools/fleetmux/process.h"
#include "tools/fleetmux/recorder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* ── the command line ── */

static const char *const secrets[] = {"password",       "pw",      "secret", "secret-key",
                                      "product-secret", "psk-key", "psk"};
static const char *const psk_kinds[] = {"none", "sdk", "secret", "given"};

static bool is_one_of(const char *word, size_t bytes, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < bytes && words[i][at] != '\0' &&
               (word[at] == words[i][at] || (word[at] == '_' && words[i][at] == '-'))) {
            at++;
        }
        if (at == bytes && words[i][at] == '\0') {
            return true;
        }
    }
    return false;
}

/* Where in `word` a secret begins; 0: nowhere. `is_next`: the next word is one. */
static size_t secret_in(const char *word, bool *is_next)
{
    *is_next = false;
    if (strncmp(word, "-P", 2) == 0) {
        *is_next = word[2] == '\0';
        return word[2] == '\0' ? 0 : word[2] == '=' ? 3 : 2;
    }
    if (strncmp(word, "--", 2) != 0) {
        return 0;
    }
    size_t name_bytes = strcspn(word + 2, "=");
    if (!is_one_of(word + 2, name_bytes, secrets, sizeof(secrets) / sizeof(secrets[0]))) {
        return 0;
    }
    *is_next = word[2 + name_bytes] == '\0';
    return *is_next ? 0 : name_bytes + 3;
}

/* --psk takes a kind or, as mosquitto's does, a key. */
static bool is_kind_of_psk(const char *word)
{
    return is_one_of(word, strlen(word), psk_kinds, sizeof(psk_kinds) / sizeof(psk_kinds[0]));
}

/* As a shell takes it. */
static void print_word(FILE *out, const char *word, size_t bytes)
{
    bool is_plain = bytes > 0;

    for (size_t i = 0; i < bytes; i++) {
        is_plain = is_plain && strchr(" \t\n'\"\\$`|&;<>()*?[]{}#~!", word[i]) == NULL;
    }
    if (is_plain) {
        fwrite(word, 1, bytes, out);
        return;
    }
    fputc('\'', out);
    for (size_t i = 0; i < bytes; i++) {
        fputs(word[i] == '\'' ? "'\\''" : (char[]){word[i], '\0'}, out);
    }
    fputc('\'', out);
}

char *fleet_describe_command(int argc, char *const *argv)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    bool is_hidden = false;

    if (out == NULL) {
        return NULL;
    }
    fputs("fleetmux fleet", out);
    for (int i = 0; i < argc; i++) {
        bool is_next = false;
        size_t begins = is_hidden ? 0 : secret_in(argv[i], &is_next);
        fputc(' ', out);
        if (is_hidden && !is_kind_of_psk(argv[i])) {
            fputs(FLEET_HIDDEN, out);
        } else if (begins > 0 && !is_kind_of_psk(argv[i] + begins)) {
            print_word(out, argv[i], begins);
            fputs(FLEET_HIDDEN, out);
        } else {
            print_word(out, argv[i], strlen(argv[i]));
        }
        is_hidden = is_next;
    }
    return fclose(out) == 0 ? text : (free(text), NULL);
}

/* ── the scenario ── */

static bool has_secrets(const struct fmx_fleet_group *group)
{
    return group->password != NULL || group->platform.secret != NULL ||
           group->platform.secret_key != NULL || group->platform.product_secret != NULL ||
           (group->tls != NULL && group->tls->psk_key != NULL);
}

static void hide(const char **text)
{
    *text = *text != NULL ? FLEET_HIDDEN : NULL;
}

static void hide_secrets(struct fmx_fleet_group *group, struct fmx_tls_client *tls)
{
    hide(&group->password);
    hide(&group->platform.secret);
    hide(&group->platform.secret_key);
    hide(&group->platform.product_secret);
    if (group->tls != NULL) {
        *tls = *group->tls;
        hide(&tls->psk_key);
        group->tls = tls;
    }
}

static char *write_hidden(const struct fleet_settings *settings)
{
    const struct fmx_fleet_plan *plan = &settings->plan;
    struct fmx_fleet_group *groups = calloc(plan->groups_count + 1, sizeof(*groups));
    struct fmx_tls_client *tls = calloc(plan->groups_count + 1, sizeof(*tls));
    struct scenario shown = {.plan = *plan};
    char error[FLAG_ERROR_BYTES];
    char *text = NULL;

    if (groups != NULL && tls != NULL) {
        for (size_t i = 0; i < plan->groups_count; i++) {
            groups[i] = plan->groups[i];
            hide_secrets(&groups[i], &tls[i]);
        }
        shown.plan.groups = groups;
        shown.name = settings->scenario != NULL ? settings->scenario->name : NULL;
        shown.description = settings->scenario != NULL ? settings->scenario->description : NULL;
        text = scenario_write(&shown, error, sizeof(error));
    }
    free(groups);
    free(tls);
    return text;
}

/* NULL: it cannot be told, which is no reason not to run. */
static char *tell_scenario(const struct fleet_settings *settings)
{
    const struct fmx_fleet_plan *plan = &settings->plan;
    bool is_secret = false;

    for (size_t i = 0; i < plan->groups_count; i++) {
        is_secret = is_secret || has_secrets(&plan->groups[i]);
    }
    return settings->scenario != NULL && settings->scenario->text != NULL && !is_secret
               ? strdup(settings->scenario->text)
               : write_hidden(settings);
}

/* ── the plan ── */

static double rate_of(const struct fmx_fleet_publish *publish)
{
    double a_second = publish->interval_ns > 0 ? 1e9 / (double)publish->interval_ns : 0;

    switch (publish->schedule) {
    case FMX_FLEET_BURSTS:
        return a_second * publish->burst_count;
    case FMX_FLEET_ON_CHANGE:
        return a_second * publish->change;
    case FMX_FLEET_CLOSED_LOOP:
        return 0;
    default:
        return a_second;
    }
}

double fleet_base_rate(const struct fmx_fleet_plan *plan)
{
    double rate = 0;

    for (size_t i = 0; i < plan->groups_count; i++) {
        const struct fmx_fleet_group *group = &plan->groups[i];
        for (size_t j = 0; j < group->publishes_count; j++) {
            rate += recorder_clients_of_part(plan, group->clients_count) *
                    rate_of(&group->publishes[j]);
        }
    }
    return rate;
}

bool fleet_has_planned_end(const struct fleet_settings *settings)
{
    const struct fmx_fleet_plan *plan = &settings->plan;

    if (plan->duration_ns != 0 || settings->limit != 0 || settings->find_rate != NULL) {
        return true;
    }
    if (plan->stages_count == 0) {
        return false;
    }
    const struct fmx_fleet_stage *last = &plan->stages[plan->stages_count - 1];
    return last->kind == FMX_FLEET_RAMP || last->kind == FMX_FLEET_STOP || last->duration_ns != 0;
}

static void describe_plan(const struct fleet_settings *settings, struct result *result)
{
    const struct fmx_fleet_plan *plan = &settings->plan;

    result->seed = plan->seed;
    result->part = plan->part;
    result->parts_count = plan->parts_count > 0 ? plan->parts_count : 1;
    for (size_t i = 0; i < plan->groups_count; i++) {
        const struct fmx_fleet_group *group = &plan->groups[i];
        result->clients_count += recorder_clients_of_part(plan, group->clients_count);
        result->has_tls = result->has_tls || group->tls != NULL;
        result->is_insecure = result->is_insecure || (group->tls != NULL && group->tls->insecure);
    }
    result->base_rate = fleet_base_rate(plan);
    result->messages_wanted = settings->limit;
    result->has_planned_end = fleet_has_planned_end(settings);
    result->accepts_invalid = settings->accepts_invalid;
}

/* ── the machine ── */

static void describe_machine(struct result *result)
{
    struct utsname system;
    struct timespec now = {0};

    if (uname(&system) == 0) {
        snprintf(result->host, sizeof(result->host), "%.63s", system.nodename);
        snprintf(result->kernel, sizeof(result->kernel), "%.30s %.60s", system.sysname,
                 system.release);
    }
    process_cpu_name(result->cpu, sizeof(result->cpu));
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    result->cpus_count = processors > 0 ? (uint32_t)processors : 0;
    clock_gettime(CLOCK_REALTIME, &now);
    result->began_unix_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool fleet_describe(const struct fleet_settings *settings, int argc, char *const *argv,
                    struct result *result)
{
    const char *name = settings->scenario != NULL ? settings->scenario->name : NULL;

    snprintf(result->version, sizeof(result->version), "%s", fmx_version_string());
    snprintf(result->verb, sizeof(result->verb), "%s", fleet_kind_name(settings->kind));
    snprintf(result->name, sizeof(result->name), "%s", name != NULL ? name : "");
    describe_plan(settings, result);
    describe_machine(result);
    result->command = fleet_describe_command(argc, argv);
    result->scenario = tell_scenario(settings);
    return result->command != NULL;
}
