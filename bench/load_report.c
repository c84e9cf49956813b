/*
 * load_report — results as lines "name unit value" or as one line of JSON
 *
 * Why it is so:   the processor time of the server is read here, at the same two moments as our
 *                 own, through its process clock: exact to the nanosecond, threads of the kernel
 *                 that work for it included, and nothing asked of the server itself.
 */
#include "bench/load.h"

#include <stdio.h>

static bool as_json;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) {
        return 0;
    }
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

struct load_mark load_mark_take(const struct load_options *options)
{
    clockid_t server;
    struct load_mark mark = {
        .wall_ns = load_now_ns(),
        .load_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
    };
    if (options->server_pid > 0 && clock_getcpuclockid(options->server_pid, &server) == 0) {
        mark.server_cpu_ns = clock_ns(server);
    }
    return mark;
}

void load_report_begin(const struct load_options *options, const char *scenario)
{
    as_json = options->json;
    if (as_json) {
        printf("{\"scenario\": \"%s\"", scenario);
    } else {
        printf("scenario name %s\n", scenario);
    }
    load_report("count", "connections", options->count);
    load_report("payload", "bytes", options->payload_bytes);
    load_report("qos", "level", options->qos);
    load_report("window", "messages", options->window);
    load_report("inflight", "connections", options->inflight);
}

void load_report(const char *name, const char *unit, double value)
{
    if (as_json) {
        printf(", \"%s\": %.10g", name, value);
    } else {
        printf("%s %s %.10g\n", name, unit, value);
    }
}

void load_report_cpu(struct load_mark from, struct load_mark to, double messages)
{
    double wall_s = (double)(to.wall_ns - from.wall_ns) / 1e9;
    double load_s = (double)(to.load_cpu_ns - from.load_cpu_ns) / 1e9;
    double server_s = (double)(to.server_cpu_ns - from.server_cpu_ns) / 1e9;
    load_report("wall", "s", wall_s);
    load_report("load_cpu", "s", load_s);
    load_report("load_busy", "share", load_s / wall_s);
    if (to.server_cpu_ns > 0) {
        load_report("server_cpu", "s", server_s);
        load_report("server_busy", "share", server_s / wall_s);
        load_report("per_server_second", "1/s", server_s > 0 ? messages / server_s : 0);
    }
}

void load_report_end(void)
{
    if (as_json) {
        printf("}\n");
    }
    fflush(stdout);
}
