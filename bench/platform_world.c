/*
 * platform_world — a gateway with a registry of all devices, and who used how much of the machine
 *
 * Why it is so:   the gateway's shards are on a core of their own, and the service, which is load,
 *                 is with the fleets on the other: so the gateway's processor time is that of this
 *                 process less that of its first thread.
 * Memory:         the registry, a file in the round's folder, which main removes
 * Threads:        the round's first
 */
#include "bench/platform.h"

#include "engine/clock.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STOP_MS 2000

/* ── the registry ── */

struct rows {
    struct fmx_fleet_group group;
    uint32_t at;
    struct fmx_fleet_device device; /* the texts of the row in the making */
    char error[PLATFORM_ERROR_BYTES];
};

static enum fmx_status next_row(void *user, struct fmx_device *out_device)
{
    struct rows *rows = user;

    if (rows->at == rows->group.clients_count) {
        return FMX_END;
    }
    enum fmx_status status =
        fmx_fleet_device(&rows->group, rows->at++, &rows->device, rows->error, sizeof rows->error);
    *out_device = (struct fmx_device){.product_key = rows->device.product_key,
                                      .device_name = rows->device.device_name,
                                      .secret = rows->device.secret};
    return status;
}

static void fill_registry(const struct platform_world *world)
{
    struct fmx_product product = {
        .product_key = PLATFORM_PRODUCT_KEY, .name = "bench", .secret = "bench"};
    struct fmx_registry *registry;
    static struct rows rows;
    uint64_t row;

    rows.at = 0;
    platform_fleets_group(world->options, &rows.group);
    if (fmx_registry_create(world->registry, rows.error, sizeof rows.error) != FMX_OK ||
        fmx_registry_open(world->registry, &registry, rows.error, sizeof rows.error) != FMX_OK ||
        fmx_registry_product_add(registry, &product, rows.error, sizeof rows.error) != FMX_OK ||
        fmx_registry_import(registry, next_row, NULL, &rows, &row, rows.error, sizeof rows.error) !=
            FMX_OK) {
        platform_fail("registry: %s", rows.error);
    }
    fmx_registry_close(registry);
}

void platform_world_open(struct platform_world *world, const struct platform_options *options)
{
    *world = (struct platform_world){.options = options};
    platform_fleets_open(&world->fleets, options);
    (void)prctl(PR_SET_TIMERSLACK, 1); /* the service's short sleeps are short */
    (void)snprintf(world->registry, sizeof world->registry, "%s/registry", options->folder);
    fill_registry(world);
}

void platform_world_close(struct platform_world *world)
{
    platform_fleets_close(&world->fleets);
}

/* ── the gateway ── */

static void pin_to(uint32_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        platform_fail("cannot run on core %u", cpu);
    }
}

void platform_gateway_open(struct platform_world *world, enum fmx_profile profile,
                           uint32_t downstream_per_second, platform_on_message *on_message)
{
    static const char *const listen[] = {"127.0.0.1:0"};
    struct fmx_gateway_options options;
    char error[PLATFORM_ERROR_BYTES];
    char cpus[16];

    fmx_gateway_options_init(&options, profile);
    (void)snprintf(cpus, sizeof cpus, "%u", world->options->server_cpu);
    options.mux.shards_count = world->options->shards;
    options.mux.cpus = cpus;
    options.mux.log_level = FMX_LOG_ERROR;
    options.listen = listen;
    options.listen_count = 1;
    options.callbacks.on_message = on_message;
    if (profile == FMX_PROFILE_PLATFORM) {
        options.registry = world->registry;
        options.limits.downstream_per_second = downstream_per_second;
    }
    pin_to(world->options->server_cpu); /* also what threads it has beside the shards */
    if (fmx_gateway_open(&options, &world->gateway, error, sizeof error) != FMX_OK ||
        fmx_gateway_start(world->gateway, error, sizeof error) != FMX_OK) {
        platform_fail("gateway: %s", error);
    }
    pin_to(world->options->load_cpu);
    world->port = fmx_gateway_port(world->gateway, 0);
    if (fmx_gateway_caller_open(world->gateway, &world->caller) != FMX_OK) {
        platform_fail("gateway: no caller");
    }
}

void platform_gateway_close(struct platform_world *world)
{
    fmx_gateway_caller_close(world->caller);
    fmx_gateway_stop(world->gateway, STOP_MS);
    fmx_gateway_close(world->gateway);
}

/* ── usage ── */

static double clock_s(clockid_t clock)
{
    struct timespec time = {0};

    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Time all cores spent on anything, theft by the host included. */
static double machine_s(void)
{
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0,
                       steal = 0;
    FILE *file = fopen("/proc/stat", "re");

    if (file == NULL) {
        return 0;
    }
    int fields = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system,
                        &idle, &wait, &irq, &soft, &steal);
    (void)fclose(file);
    double ticks = (double)(user + nice + system + irq + soft + steal);
    return fields == 8 ? ticks / (double)sysconf(_SC_CLK_TCK) : 0;
}

struct platform_usage platform_usage_now(const struct platform_world *world)
{
    double service_s = clock_s(CLOCK_THREAD_CPUTIME_ID);
    struct platform_usage usage = {
        .wall_s = clock_s(CLOCK_MONOTONIC),
        .gateway_s = clock_s(CLOCK_PROCESS_CPUTIME_ID) - service_s,
        .service_s = service_s,
        .machine_s = machine_s(),
    };
    clockid_t fleets;

    if (clock_getcpuclockid(world->fleets.pid, &fleets) == 0) {
        usage.fleets_s = clock_s(fleets);
    }
    return usage;
}

struct platform_usage platform_usage_since(const struct platform_world *world,
                                           const struct platform_usage *begin)
{
    struct platform_usage usage = platform_usage_now(world);

    usage.wall_s -= begin->wall_s;
    usage.gateway_s -= begin->gateway_s;
    usage.service_s -= begin->service_s;
    usage.fleets_s -= begin->fleets_s;
    usage.machine_s -= begin->machine_s;
    return usage;
}

void platform_note_usage(struct platform_round *round, const char *prefix,
                         const struct platform_usage *usage)
{
    double cores = (double)sysconf(_SC_NPROCESSORS_ONLN);
    double own_s = usage->gateway_s + usage->service_s + usage->fleets_s;
    double foreign = (usage->machine_s - own_s) / usage->wall_s / cores;

    platform_note(round, prefix, "wall", "s", usage->wall_s);
    platform_note(round, prefix, "gateway_cpu", "s", usage->gateway_s);
    platform_note(round, prefix, "service_cpu", "s", usage->service_s);
    platform_note(round, prefix, "fleet_cpu", "s", usage->fleets_s);
    platform_note(round, prefix, "foreign", "% of cores", foreign > 0 ? 100 * foreign : 0);
}
