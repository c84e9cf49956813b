/*
 * platform_fleet — the fleets of bench_platform, in a process of their own
 *
 * Why it is so:   processor time and memory of the gateway are only its own if nothing else lives
 *                 in its process. Orders and reports go over a socket that keeps their bounds.
 * Invariants:     (1) one order at a time, each answered once  (2) the process ends with its parent
 * Threads:        the child's only one beside its shards
 * Limits:         one fleet held and one that publishes at a time
 */
#include "bench/platform.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECT_S        120
#define CONNECTS_AT_ONCE 256

struct report {
    bool good;
    char error[PLATFORM_ERROR_BYTES];
    struct platform_seen seen;
};

/* ── the child ── */

void platform_fleets_group(const struct platform_options *options,
                           struct fmx_fleet_group *out_group)
{
    static const char *const nowhere[] = {"127.0.0.1:1"};

    fmx_fleet_group_init(out_group);
    out_group->targets = nowhere;
    out_group->targets_count = 1;
    out_group->clients_count = options->devices;
    out_group->version = FMX_MQTT_50;
    out_group->platform.product_key = PLATFORM_PRODUCT_KEY;
    out_group->platform.device_name = "device_%i";
    out_group->platform.secret_key = "bench";
    out_group->platform.auto_subscribe = true;
    out_group->linger_zero = true;
}

static struct fmx_fleet *start_fleet(const struct platform_options *options,
                                     const struct platform_order *order, struct report *report)
{
    struct fmx_fleet_plan plan;
    struct fmx_fleet_group group;
    struct fmx_fleet_publish publish;
    struct fmx_fleet_stage stages[2];
    struct fmx_fleet *fleet;
    char target[32];
    char cpus[16];
    const char *const targets[] = {target};

    (void)snprintf(target, sizeof target, "127.0.0.1:%u", order->port);
    (void)snprintf(cpus, sizeof cpus, "%u", options->load_cpu);
    platform_fleets_group(options, &group);
    group.targets = targets;
    group.clients_count = order->count;
    group.first_number = order->first;
    group.calls.answer = order->answers ? FMX_FLEET_ANSWER_ECHO : FMX_FLEET_ANSWER_NEVER;
    fmx_fleet_stage_init(&stages[0], FMX_FLEET_RAMP);
    fmx_fleet_stage_init(&stages[1], FMX_FLEET_HOLD);
    stages[0].rate_begin = stages[0].rate_end = 0; /* as fast as it goes */
    fmx_fleet_plan_init(&plan);
    plan.mux.shards_count = options->shards;
    plan.mux.log_level = FMX_LOG_ERROR;
    plan.mux.cpus = cpus;
    plan.connects_inflight_max = CONNECTS_AT_ONCE;
    plan.seed = options->seed;
    plan.groups = &group;
    plan.groups_count = 1;
    plan.stages = stages;
    plan.stages_count = 2;
    if (order->verb == PLATFORM_PUBLISH) {
        plan.mux.shards_count = 1;
        fmx_fleet_publish_init(&publish);
        publish.topic = "/%p/%d/user/update";
        publish.qos = 1;
        publish.interval_ns = 1000000000u / options->offered;
        publish.payload_bytes = options->payload_bytes;
        group.publishes = &publish;
        group.publishes_count = 1;
    }
    if (fmx_fleet_open(&plan, &fleet, report->error, sizeof report->error) != FMX_OK) {
        return NULL;
    }
    if (fmx_fleet_start(fleet, report->error, sizeof report->error) != FMX_OK) {
        fmx_fleet_close(fleet);
        return NULL;
    }
    return fleet;
}

/* Waits until all are open. */
static bool wait_open(struct fmx_fleet *fleet, uint32_t count, struct report *report)
{
    const struct fmx_fleet_snapshot *snapshot = &report->seen.snapshot;
    const struct fmx_fleet_counters *counters = &snapshot->counters;

    for (unsigned i = 0; i < CONNECT_S * 100; i++) {
        fmx_fleet_snapshot(fleet, FMX_FLEET_ALL, &report->seen.snapshot);
        if (counters->clients_open == count) {
            return true;
        }
        if (counters->clients_failed + counters->clients_lost > 0) {
            break;
        }
        (void)usleep(10000);
    }
    const struct fmx_fleet_cause *cause = &snapshot->causes[0];
    (void)snprintf(
        report->error, sizeof report->error,
        "of %u devices %llu are there, %llu failed, %llu were lost: %s, reason 0x%02x", count,
        (unsigned long long)counters->clients_open, (unsigned long long)counters->clients_failed,
        (unsigned long long)counters->clients_lost, fmx_status_text(cause->status), cause->reason);
    return false;
}

static void summarize(const struct fmx_fleet *fleet, enum fmx_fleet_latency latency,
                      struct fmx_latency *out_latency)
{
    static struct fmx_distribution distribution;

    fmx_distribution_init(&distribution);
    fmx_fleet_distribution(fleet, FMX_FLEET_ALL, latency, &distribution);
    fmx_distribution_summary(&distribution, out_latency);
}

static void look(const struct fmx_fleet *fleet, struct platform_seen *out_seen)
{
    fmx_fleet_snapshot(fleet, FMX_FLEET_ALL, &out_seen->snapshot);
    summarize(fleet, FMX_FLEET_CONNECT, &out_seen->connect);
    summarize(fleet, FMX_FLEET_PUBACK, &out_seen->puback);
}

static void end_fleet(struct fmx_fleet *fleet, struct report *report)
{
    fmx_fleet_stop(fleet);
    look(fleet, &report->seen);
    fmx_fleet_close(fleet);
}

static void carry_out(const struct platform_options *options, const struct platform_order *order,
                      struct report *report)
{
    static struct fmx_fleet *held;
    struct fmx_fleet *fleet;

    if (order->verb == PLATFORM_END) {
        end_fleet(held, report);
        report->good = true;
        return;
    }
    fleet = start_fleet(options, order, report);
    report->good = fleet != NULL && wait_open(fleet, order->count, report);
    if (!report->good) {
        return;
    }
    if (order->verb == PLATFORM_HOLD) {
        look(fleet, &report->seen);
        held = fleet;
        return;
    }
    (void)sleep(options->seconds);
    end_fleet(fleet, report);
}

static void pin_here(uint32_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

__attribute__((noreturn)) static void be_fleets(int socket, const struct platform_options *options)
{
    struct platform_order order;
    static struct report report;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin_here(options->load_cpu);
    while (recv(socket, &order, sizeof order, 0) == sizeof order) {
        memset(&report, 0, sizeof report);
        carry_out(options, &order, &report);
        if (send(socket, &report, sizeof report, 0) != sizeof report) {
            break;
        }
    }
    _exit(0);
}

/* ── the parent's side ── */

void platform_fleets_open(struct platform_fleets *fleets, const struct platform_options *options)
{
    int sockets[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        platform_fail("no socket pair");
    }
    fleets->pid = fork();
    if (fleets->pid < 0) {
        platform_fail("no process for the fleets");
    }
    if (fleets->pid == 0) {
        (void)close(sockets[0]);
        be_fleets(sockets[1], options);
    }
    (void)close(sockets[1]);
    fleets->socket = sockets[0];
}

void platform_fleets_close(struct platform_fleets *fleets)
{
    (void)close(fleets->socket);
    (void)waitpid(fleets->pid, NULL, 0);
}

void platform_fleets_begin(struct platform_fleets *fleets, const struct platform_order *order)
{
    if (send(fleets->socket, order, sizeof *order, MSG_NOSIGNAL) != sizeof *order) {
        platform_fail("the fleets' process has ended");
    }
}

bool platform_fleets_are_done(struct platform_fleets *fleets)
{
    struct pollfd poller = {.fd = fleets->socket, .events = POLLIN};

    return poll(&poller, 1, 0) > 0;
}

void platform_fleets_wait(struct platform_fleets *fleets, struct platform_seen *out_seen)
{
    static struct report report;

    if (recv(fleets->socket, &report, sizeof report, 0) != sizeof report) {
        platform_fail("the fleets' process has ended");
    }
    if (!report.good) {
        platform_fail("fleet: %s", report.error);
    }
    *out_seen = report.seen;
}
