/*
 * fleet — the verb that is many MQTT clients: options to plan, plan to run
 *
 * Why it is so:   all that can be wrong is found before the first connect: options, scenario,
 *                 thresholds, the search's condition, files, and whether so many clients fit on
 *                 this machine at all
 * Threads:        one
 * Not here:       options: fleet_flags.c; the run: fleet_watch.c; results anew: report.c
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/fleet_find.h"
#include "tools/fleetmux/fleet_watch.h"
#include "tools/fleetmux/help.h"
#include "tools/fleetmux/nearest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct fleet_settings settings;
static struct flag_set set;
static struct threshold thresholds[FLAG_ITEMS_MAX];

static const struct {
    enum fleet_kind kind;
    const char *name;
    const char *words;
} kinds[] = {
    {FLEET_CONN, "conn", "clients that connect and stay"},
    {FLEET_PUB, "pub", "clients that publish, each on its own clock"},
    {FLEET_SUB, "sub", "clients that subscribe, count, and check what other fleets publish"},
    {FLEET_RUN, "run", "what a scenario in a file says"},
    {FLEET_CHECK, "check", "look only: does so large a fleet fit on this machine?"},
};

#define KINDS_COUNT (sizeof(kinds) / sizeof(kinds[0]))

const char *fleet_kind_name(enum fleet_kind kind)
{
    for (size_t i = 0; i < KINDS_COUNT; i++) {
        if (kinds[i].kind == kind) {
            return kinds[i].name;
        }
    }
    return "?";
}

static bool find_kind(const char *name, enum fleet_kind *out_kind)
{
    for (size_t i = 0; i < KINDS_COUNT; i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            *out_kind = kinds[i].kind;
            return true;
        }
    }
    return false;
}

/* ── help ── */

static void print_kinds(FILE *out)
{
    fprintf(out, "usage: fleetmux fleet conn|pub|sub [OPTIONS]\n"
                 "       fleetmux fleet run SCENARIO.yaml [OPTIONS]\n"
                 "       fleetmux fleet check conn|pub|sub [OPTIONS]\n"
                 "       fleetmux fleet check SCENARIO.yaml\n"
                 "       fleetmux fleet report RESULT.json... [OPTIONS]\n"
                 "       fleetmux fleet ctl --control PATH COMMAND [VALUE]\n\n");
    for (size_t i = 0; i < KINDS_COUNT; i++) {
        fprintf(out, "  %-8s%s\n", kinds[i].name, kinds[i].words);
    }
    fprintf(out, "  %-8s%s\n", "report", "results as a page, side by side, or put together");
    fprintf(out, "  %-8s%s\n\n", "ctl", "steer a running fleet, or ask what it does");
    fprintf(out, "'fleetmux help fleet pub' and so on list the options, 'fleetmux help fleet\n"
                 "scenario' the keys of a file, 'fleetmux help fleet metrics' what thresholds and\n"
                 "searches can name.\n");
}

static void print_status(FILE *out)
{
    fprintf(out,
            "Prints 'ready clients N seconds S' on standard output when all clients are up,\n"
            "progress on standard error or a screen on the terminal, and a summary at the end.\n"
            "SIGINT or SIGTERM drains; a second one ends at once. Exit status: 0 the plan was\n"
            "kept and nothing lost, or every threshold met; 1 usage; 2 a threshold was missed;\n"
            "3 this program or its machine was the limit: the figures do not count; 4 cut short,\n"
            "or something lost, or the ledger does not add up; 5 could not start.\n"
            "Numbers take k, M, G or Ki, Mi, Gi; times take ns, us, ms, s, m, h.\n");
}

static void print_options(FILE *out, enum fleet_kind kind)
{
    fleet_flags_init(&settings, kind, &set);
    fprintf(out, "usage: fleetmux fleet %s%s [OPTIONS]\n\n", fleet_kind_name(kind),
            kind == FLEET_RUN ? " SCENARIO.yaml" : "");
    print_status(out);
    help_print_rows(&set, out);
}

static int unknown_kind(const char *name)
{
    struct nearest nearest = {.word = name};
    char words[FLAG_ERROR_BYTES];

    for (size_t i = 0; i < KINDS_COUNT; i++) {
        nearest_consider(&nearest, kinds[i].name);
    }
    nearest_consider(&nearest, "report");
    nearest_consider(&nearest, "ctl");
    snprintf(words, sizeof(words), "unknown kind of fleet '%.100s'; %s%s%s", name,
             nearest.best != NULL ? "did you mean '"
                                  : "write conn, pub, sub, run, check, report or ctl",
             nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
    return usage_error("fleet", words);
}

int fleet_help(FILE *out, const char *kind_name)
{
    enum fleet_kind kind = FLEET_CHECK;

    if (kind_name == NULL) {
        print_kinds(out);
    } else if (strcmp(kind_name, "metrics") == 0) {
        metric_print_names(out);
    } else if (strcmp(kind_name, "scenario") == 0) {
        scenario_help(out);
    } else if (strcmp(kind_name, "ctl") == 0) {
        fleet_ctl_help(out);
    } else if (strcmp(kind_name, "report") == 0) {
        report_help(out);
    } else if (!find_kind(kind_name, &kind)) {
        return unknown_kind(kind_name);
    } else if (kind == FLEET_CHECK) {
        print_kinds(out);
    } else {
        print_options(out, kind);
    }
    return EXIT_PASS;
}

/* ── what can be wrong before anything runs ── */

static bool read_thresholds(void)
{
    return thresholds_parse(settings.thresholds.items, settings.thresholds.count, thresholds,
                            set.error, sizeof(set.error));
}

static bool check_find(void)
{
    if (settings.find_rate == NULL) {
        return true;
    }
    char words[FLAG_ERROR_BYTES - 32] = "";
    struct fleet_find *find = fleet_find_open(settings.find_rate, NULL, NULL, words, sizeof(words));
    bool is_good = find != NULL;
    if (!is_good) {
        snprintf(set.error, sizeof(set.error), "option '--find-rate': %s", words);
    }
    fleet_find_close(find);
    if (is_good && fleet_base_rate(&settings.plan) == 0) {
        snprintf(
            set.error, sizeof(set.error),
            "option '--find-rate': nobody publishes by a schedule whose rate could be changed");
        return false;
    }
    return is_good;
}

static bool make_plan(void)
{
    return fleet_plan_make(&settings, &set) && fleet_plan_check(&settings, &set) &&
           read_thresholds() && check_find() &&
           fleet_files_check(&settings, set.error, sizeof(set.error)) &&
           fleet_serving_check(settings.metrics, settings.control, set.error, sizeof(set.error));
}

/* ── does it fit? ── */

static int say_capacity_error(const char *error)
{
    fprintf(stderr, "fleetmux fleet: %s\n", error);
    return EXIT_USAGE;
}

/* EXIT_PASS: it fits, or somebody wants it all the same. */
static int check_capacity(FILE *out)
{
    struct fleet_capacity capacity;
    char error[FLAG_ERROR_BYTES] = "";

    if (!fleet_capacity_check(&settings.plan, out, &capacity, error, sizeof(error))) {
        return say_capacity_error(error);
    }
    if (capacity.clients_fit >= capacity.clients_wanted) {
        return EXIT_PASS;
    }
    fprintf(stderr, "fleetmux fleet: %s", words_count(capacity.clients_fit).text);
    fprintf(stderr, " of %s clients fit on this machine: %s%s%s%s\n",
            words_count(capacity.clients_wanted).text, capacity.binding,
            capacity.remedy[0] != '\0' ? "; " : "", capacity.remedy,
            settings.is_forced ? "" : " (--force starts all the same)");
    return settings.is_forced && out == NULL ? EXIT_PASS : EXIT_NO_START;
}

/* Addresses and certificates, too: everything but the first connect. */
static int check_only(void)
{
    struct fmx_fleet *fleet = NULL;
    char error[FLAG_ERROR_BYTES] = "";
    int status = check_capacity(stdout);

    if (status != EXIT_PASS) {
        return status;
    }
    settings.plan.mux.log = fleet_progress_log;
    fleet_progress_begin(settings.is_quiet);
    enum fmx_status opened = fmx_fleet_open(&settings.plan, &fleet, error, sizeof(error));
    if (opened != FMX_OK) {
        return fleet_plan_say_refused(&settings, opened, error, sizeof(error));
    }
    fmx_fleet_close(fleet);
    return EXIT_PASS;
}

/* ── the verb ── */

static int save(const char *verb)
{
    if (!fleet_run_save(&settings, &set)) {
        return usage_error(verb, set.error);
    }
    if (settings.shard != NULL) {
        fprintf(stderr, "fleetmux fleet: --shard is of a process and not saved; give it to run\n");
    }
    if (strcmp(settings.save_file, "-") != 0) {
        fprintf(stderr, "saved; run it with 'fleetmux fleet run %s%s%s'\n", settings.save_file,
                settings.shard != NULL ? " --shard " : "",
                settings.shard != NULL ? settings.shard : "");
    }
    return EXIT_PASS;
}

static int run(int argc, char *const *argv)
{
    int status = check_capacity(NULL);

    if (status != EXIT_PASS) {
        return status;
    }
    struct result *result = result_open();
    if (result == NULL || !fleet_describe(&settings, argc, argv, result)) {
        result_close(result);
        fprintf(stderr, "fleetmux fleet: no memory\n");
        return EXIT_NO_START;
    }
    settings.plan.mux.log = fleet_progress_log;
    status = fleet_watch(&settings, thresholds, settings.thresholds.count, result);
    result_close(result);
    return status;
}

/* "check pub …" looks at a pub, "check FILE" at a run. Arguments used up before the options. */
static int read_kind(int argc, char **argv, enum fleet_kind *kind, bool *is_check)
{
    enum fleet_kind behind = FLEET_RUN;

    *is_check = *kind == FLEET_CHECK;
    if (!*is_check) {
        return 1;
    }
    bool is_named = argc > 1 && find_kind(argv[1], &behind) && behind != FLEET_CHECK;
    *kind = is_named ? behind : FLEET_RUN;
    return is_named ? 2 : 1;
}

int verb_fleet(int argc, char **argv)
{
    enum fleet_kind kind = FLEET_CONN;
    bool is_check = false;
    char verb[16];

    if (argc == 0) {
        return usage_error("fleet",
                           "write what it is to do: conn, pub, sub, run, check, report or ctl");
    }
    if (strcmp(argv[0], "--help") == 0) {
        return fleet_help(stdout, NULL);
    }
    if (strcmp(argv[0], "report") == 0) {
        return verb_report(argc - 1, argv + 1);
    }
    if (strcmp(argv[0], "ctl") == 0) {
        return verb_fleet_ctl(argc - 1, argv + 1);
    }
    if (!find_kind(argv[0], &kind)) {
        return unknown_kind(argv[0]);
    }
    int used = read_kind(argc, argv, &kind, &is_check);
    snprintf(verb, sizeof(verb), "fleet %s",
             fleet_kind_name(is_check && kind == FLEET_RUN ? FLEET_CHECK : kind));
    fleet_flags_init(&settings, is_check ? kind | FLEET_CHECK : kind, &set);
    if (!flags_parse(&set, argc - used, argv + used)) {
        return usage_error(verb, set.error);
    }
    if (settings.wants_help) {
        return fleet_help(stdout, fleet_kind_name(kind));
    }
    if (is_check && kind == FLEET_RUN && settings.operands[0] == NULL) {
        return usage_error("fleet check", "say what is to be checked: conn, pub or sub with their "
                                          "options, or a scenario's file");
    }
    if (!make_plan()) {
        return usage_error(verb, set.error);
    }
    fleet_plan_print_notes(&set, stderr);
    if (settings.export_file != NULL) {
        return fleet_devices_export(&settings.group, settings.export_file);
    }
    if (settings.save_file != NULL) {
        return save(verb);
    }
    return is_check ? check_only() : run(argc, argv);
}
