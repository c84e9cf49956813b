/*
 * fleet — the verb that is many MQTT clients
 *
 * Why it is so:   the main thread only watches: it polls the library's snapshot and ends the run
 *                 when the plan is through, a limit is reached or a signal comes. Clients by state
 *                 are told as they were before the drain, messages as they are after it.
 * States:         starting → connecting → ready (one line on standard output) → draining → told;
 *                 the first SIGINT or SIGTERM drains, a second one ends at once
 * Threads:        the main thread watches; the library's shards do the work
 * Not here:       options: fleet_flags.c; devices from and to files: fleet_devices.c; what the
 *                 result means: fleet_verdict.c
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/help.h"
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/number.h"
#include "tools/fleetmux/process.h"
#include "tools/fleetmux/signals.h"

#include <inttypes.h>
#include <string.h>

#define POLL_NS (UINT64_C(50) * NUMBER_NS_PER_MS)

static struct fleet_settings settings;

static const enum fleet_kind kinds[] = {FLEET_CONN, FLEET_PUB, FLEET_SUB};

#define KINDS_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static bool find_kind(const char *name, enum fleet_kind *out_kind)
{
    for (size_t index = 0; index < KINDS_COUNT; index++) {
        if (strcmp(name, fleet_kind_name(kinds[index])) == 0) {
            *out_kind = kinds[index];
            return true;
        }
    }
    return false;
}

void fleet_help(FILE *out, const char *kind_name)
{
    enum fleet_kind kind = FLEET_CONN;
    struct flag_set set;

    if (kind_name == NULL || !find_kind(kind_name, &kind)) {
        fprintf(out,
                "usage: fleetmux fleet conn|pub|sub [OPTIONS]\n\n"
                "  conn  clients that connect and stay\n"
                "  pub   clients that publish, each on its own clock\n"
                "  sub   clients that subscribe, count, and check what other fleets publish\n\n"
                "'fleetmux help fleet pub' and so on list the options.\n");
        return;
    }
    fleet_flags_init(&settings, kind, &set);
    fprintf(out,
            "usage: fleetmux fleet %s [OPTIONS]\n\n"
            "Prints 'ready clients N seconds S' on standard output when all clients are up,\n"
            "progress on standard error, and a summary at the end. SIGINT or SIGTERM drains;\n"
            "a second one ends at once. Exit status: 0 the plan was kept and nothing lost,\n"
            "1 usage, 4 cut short or something lost, 5 could not start.\n"
            "Numbers take k, M, G or Ki, Mi, Gi; times take ns, us, ms, s, m, h.\n",
            kind_name);
    help_print_rows(&set, out);
}

/* Watching ------------------------------------------------------------------------------------ */

/* The connect that follows a handshake tells its time closer than polls do. */
static void poll_handshakes(const struct fleet_run *run, struct fleet_meter *meter, uint64_t count)
{
    bool has_more = count != meter->count;

    fleet_meter_poll(meter, run->now.elapsed_ns, count);
    if (has_more && run->now.last_connect_ns > meter->began_ns) {
        meter->last_ns = run->now.last_connect_ns;
    }
}

static void poll_fleet(struct fleet_run *run, const struct fmx_fleet *fleet)
{
    fmx_fleet_snapshot(fleet, &run->now);
    uint64_t now_ns = run->now.elapsed_ns;
    fleet_meter_poll(&run->connects, run->now.last_connect_ns, run->now.connects_ok);
    poll_handshakes(run, &run->tls_full, run->now.tls_full.count);
    poll_handshakes(run, &run->tls_resumed, run->now.tls_resumed.count);
    fleet_meter_poll(&run->sent, now_ns, run->now.publishes_sent);
    fleet_meter_poll(&run->acked, now_ns, run->now.publishes_acked);
    fleet_meter_poll(&run->received, now_ns, run->now.received);
}

/* Once: every client is connected and has its subscriptions. */
static void announce_ready(struct fleet_run *run)
{
    uint32_t count = run->settings->plan.clients_count;

    bool has_filters = run->settings->plan.filters_count > 0;

    if (run->ready_ns != 0 || run->now.clients_open < count ||
        (has_filters && run->now.clients_subscribed < count)) {
        return;
    }
    run->ready_ns = has_filters ? run->now.elapsed_ns : run->now.last_connect_ns;
    if (!run->settings->is_quiet) {
        fleet_progress_end();
        printf("ready clients %" PRIu32 " seconds %.3f\n", count, (double)run->ready_ns / 1e9);
        fflush(stdout);
    }
}

static bool is_over(const struct fleet_run *run)
{
    uint64_t limit = run->settings->limit;

    return run->now.finished ||
           (run->settings->kind == FLEET_SUB && limit > 0 && run->now.received >= limit);
}

static void watch(struct fleet_run *run, const struct fmx_fleet *fleet)
{
    bool is_done = false;

    while (!is_done) {
        run->signo = signals_wait(POLL_NS);
        poll_fleet(run, fleet);
        announce_ready(run);
        fleet_progress_show(run);
        is_done = run->signo != 0 || is_over(run);
    }
    fleet_progress_end();
}

static void drain(struct fleet_run *run, struct fmx_fleet *fleet)
{
    run->at_end = run->now;
    run->rss_bytes = process_rss_bytes();
    signals_release(EXIT_ABORTED);
    fmx_fleet_stop(fleet);
    fmx_fleet_snapshot(fleet, &run->now);
}

static int tell(const struct fleet_run *run)
{
    struct fleet_verdict verdict;

    fleet_verdict_make(run, &verdict);
    fleet_summary_print(run, &verdict, stdout);
    if (run->settings->json != NULL && !fleet_json_write(run, &verdict, run->settings->json)) {
        return EXIT_ABORTED;
    }
    return (int)verdict.status;
}

static int could_not(const char *what, enum fmx_status status, const char *error)
{
    fprintf(stderr, "fleetmux fleet: cannot %s: %s\n", what,
            error[0] != '\0' ? error : fmx_status_text(status));
    return status == FMX_E_OPTION ? EXIT_USAGE : EXIT_NO_START;
}

static int run_fleet(void)
{
    struct fleet_run run = {.settings = &settings, .rss_before_bytes = process_rss_bytes()};
    struct fmx_fleet *fleet = NULL;
    char error[FLAG_ERROR_BYTES] = "";

    signals_hold();
    fleet_progress_begin(&settings);
    settings.plan.mux.log = fleet_progress_log;
    enum fmx_status status = fmx_fleet_open(&settings.plan, &fleet, error, sizeof(error));
    if (status != FMX_OK) {
        return could_not("open the fleet", status, error);
    }
    status = fmx_fleet_start(fleet, error, sizeof(error));
    if (status != FMX_OK) {
        fmx_fleet_close(fleet);
        return could_not("start", status, error);
    }
    run.shards_count = fmx_fleet_shards_count(fleet);
    watch(&run, fleet);
    drain(&run, fleet);
    int result = tell(&run);
    fmx_fleet_close(fleet);
    return result;
}

static int unknown_kind(const char *name)
{
    struct nearest nearest = {.word = name};
    char words[FLAG_ERROR_BYTES];

    for (size_t index = 0; index < KINDS_COUNT; index++) {
        nearest_consider(&nearest, fleet_kind_name(kinds[index]));
    }
    snprintf(words, sizeof(words), "unknown kind of fleet '%.100s'; %s%s%s", name,
             nearest.best != NULL ? "did you mean '" : "write conn, pub or sub",
             nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
    return usage_error("fleet", words);
}

int verb_fleet(int argc, char **argv)
{
    enum fleet_kind kind = FLEET_CONN;
    struct flag_set set;
    char verb[16];

    if (argc == 0) {
        return usage_error("fleet", "write what it is to do: conn, pub or sub");
    }
    if (strcmp(argv[0], "--help") == 0) {
        fleet_help(stdout, NULL);
        return EXIT_PASS;
    }
    if (!find_kind(argv[0], &kind)) {
        return unknown_kind(argv[0]);
    }
    snprintf(verb, sizeof(verb), "fleet %s", argv[0]);
    fleet_flags_init(&settings, kind, &set);
    if (!flags_parse(&set, argc - 1, argv + 1)) {
        return usage_error(verb, set.error);
    }
    if (settings.wants_help) {
        fleet_help(stdout, argv[0]);
        return EXIT_PASS;
    }
    if (!fleet_plan_make(&settings, &set)) {
        return usage_error(verb, set.error);
    }
    return settings.export_file != NULL ? fleet_devices_export(&settings.plan, settings.export_file)
                                        : run_fleet();
}
