/*
 * memory_run — gateways of bench_memory: opened as a service opens them, loaded, measured
 *
 * Why it is so:   only the kernel is replaced: options, threads, start and stop are those of the
 *                 public API, so what is measured is what a service gets
 * Threads:        main's; memory_world_heard runs on shards
 * Not here:       what the shards find in place of a kernel: memory_ring.c
 */
#include "bench/memory.h"

#include <fleetmux/gateway.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS          1000000l
#define READY_LOOKS      60000u
#define QUEUE_BYTES_MAX  (64u << 20) /* a whole window of the largest load fits */
#define STOP_MS          2000u
#define ERROR_BYTES      512
#define NS_PER_S         1e9
#define CPU_NUMBER_BYTES 8u
#define SPINS_AT_ONCE    20000u

struct memory_gateway {
    struct fmx_gateway *gateway;
};

void memory_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fprintf(stderr, "bench_memory: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
    _exit(2);
}

static void look_away(void)
{
    struct timespec pause = {.tv_nsec = LOOK_NS};

    (void)nanosleep(&pause, NULL);
}

static void on_message(void *user, const struct fmx_gateway_message *message)
{
    (void)user;
    memory_world_heard(message->shard_index, message->payload);
}

static void list_cpus(char *out, size_t room, uint32_t count)
{
    size_t used = 0;

    for (uint32_t i = 0; i < count; i++) {
        used += (size_t)snprintf(out + used, room - used, "%s%u", i > 0 ? "," : "", i);
    }
}

static void await_sessions(void)
{
    for (uint32_t i = 0; memory_world_ready() < memory_world_sessions(); i++) {
        if (i == READY_LOOKS) {
            memory_fail("%u of %u sessions opened in a minute", memory_world_ready(),
                        memory_world_sessions());
        }
        look_away();
    }
}

struct memory_gateway *memory_gateway_open(const struct memory_load *load)
{
    static const char *const listen[] = {"127.0.0.1:0"};
    struct fmx_gateway_options options;
    char cpus[MEMORY_RINGS_MAX * CPU_NUMBER_BYTES];
    char error[ERROR_BYTES];
    struct memory_gateway *gateway = malloc(sizeof *gateway);

    fmx_gateway_options_init(&options, FMX_PROFILE_OPEN);
    list_cpus(cpus, sizeof cpus, load->rings);
    options.mux.shards_count = load->rings;
    options.mux.cpus = cpus;
    options.mux.log_level = FMX_LOG_ERROR;
    options.mux.send_queue_bytes_max = QUEUE_BYTES_MAX;
    options.listen = listen;
    options.listen_count = 1;
    if (load->subscribers == 0) {
        options.callbacks.on_message = on_message;
    }
    memory_world_open(load, options.mux.recv_buffer_bytes);
    if (gateway == NULL ||
        fmx_gateway_open(&options, &gateway->gateway, error, sizeof error) != FMX_OK ||
        fmx_gateway_start(gateway->gateway, error, sizeof error) != FMX_OK) {
        memory_fail("gateway: %s", gateway == NULL ? "memory ran out" : error);
    }
    await_sessions();
    memory_world_run(true);
    return gateway;
}

static void check(const struct memory_gateway *gateway)
{
    struct fmx_stats stats;

    fmx_gateway_stats(gateway->gateway, &stats);
    uint64_t lost = stats.dropped_qos0 + stats.dropped_qos1 + stats.closed_local +
                    stats.closed_peer + stats.closed_limit + stats.closed_system;
    if (lost > 0) {
        memory_fail("%llu messages or connections were dropped", (unsigned long long)lost);
    }
}

void memory_gateway_close(struct memory_gateway *gateway)
{
    check(gateway);
    memory_world_run(false);
    fmx_gateway_stop(gateway->gateway, STOP_MS);
    fmx_gateway_close(gateway->gateway);
    memory_world_close();
    free(gateway);
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / NS_PER_S;
}

double memory_rate(uint64_t duration_ns)
{
    double begin_s = now_s();
    uint64_t before = memory_world_messages();

    while (now_s() - begin_s < (double)duration_ns / NS_PER_S) {
        look_away();
    }
    uint64_t messages = memory_world_messages() - before;
    if (messages == 0) {
        memory_fail("the load stands still: a message was lost, or its credit");
    }
    return (double)messages / (now_s() - begin_s);
}

/* ── the machine ── */

struct spinner {
    _Alignas(64) pthread_t thread;
    uint32_t cpu;
    double until_s;
    uint64_t steps;
    uint64_t sum;
};

static void *spin(void *argument)
{
    struct spinner *spinner = argument;
    uint64_t sum = spinner->cpu + 1;
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(spinner->cpu, &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) {
        memory_fail("cannot run on core %u", spinner->cpu);
    }
    while (now_s() < spinner->until_s) {
        for (uint32_t i = 0; i < SPINS_AT_ONCE; i++) {
            sum = sum * 3 + (sum >> 7) + i;
        }
        spinner->steps += SPINS_AT_ONCE;
    }
    spinner->sum = sum;
    return NULL;
}

double memory_spin(uint32_t cores, uint64_t duration_ns)
{
    struct spinner spinners[MEMORY_RINGS_MAX] = {0};
    double seconds = (double)duration_ns / NS_PER_S;
    double until_s = now_s() + seconds;
    uint64_t steps = 0;

    for (uint32_t i = 0; i < cores; i++) {
        spinners[i].cpu = i;
        spinners[i].until_s = until_s;
        if (pthread_create(&spinners[i].thread, NULL, spin, &spinners[i]) != 0) {
            memory_fail("no thread for core %u", i);
        }
    }
    for (uint32_t i = 0; i < cores; i++) {
        pthread_join(spinners[i].thread, NULL);
        steps += spinners[i].steps;
    }
    return (double)steps / seconds;
}
