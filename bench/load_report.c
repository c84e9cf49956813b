/*
 * load_report — results as lines "name unit value" or as one line of JSON
 *
 * Why it is so:   the processor time of the server is read here, at the same two moments as our
 *                 own, through its process clock: exact to the nanosecond, threads of the kernel
 *                 that work for it included, and nothing asked of the server itself. How it was
 *                 divided between user and kernel is sampled by ticks: a share, not a sum.
 */
#include "bench/load.h"

#include <stdio.h>

#define STAT_USER_FIELD 14 /* of /proc/PID/stat, as proc(5) counts; the next one is the kernel's */

static bool as_json;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) {
        return 0;
    }
    return (uint64_t)time.tv_sec * LOAD_SECOND_NS + (uint64_t)time.tv_nsec;
}

static void read_ticks(int pid, struct load_mark *mark)
{
    char path[64];
    char text[1024];
    unsigned long long user = 0;
    unsigned long long system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return;
    }
    size_t size = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[size] = '\0';
    char *at = strrchr(text, ')'); /* ends field 2, which may hold anything */
    for (int field = 2; at && field < STAT_USER_FIELD; field++) {
        at = strchr(at + 1, ' ');
    }
    if (at && sscanf(at, " %llu %llu", &user, &system) == 2) {
        mark->server_user_ticks = user;
        mark->server_system_ticks = system;
    }
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
        read_ticks(options->server_pid, &mark);
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
    load_report("planned_rate", "1/s", options->rate);
}

void load_report(const char *name, const char *unit, double value)
{
    if (as_json) {
        printf(", \"%s\": %.16g", name, value);
    } else {
        printf("%s %s %.10g\n", name, unit, value);
    }
}

static void report_server(struct load_mark from, struct load_mark to, double wall_s,
                          double messages)
{
    double server_s = (double)(to.server_cpu_ns - from.server_cpu_ns) / 1e9;
    double user = (double)(to.server_user_ticks - from.server_user_ticks);
    double system = (double)(to.server_system_ticks - from.server_system_ticks);
    double ticks = user + system;
    load_report("server_cpu", "s", server_s);
    load_report("server_busy", "share", server_s / wall_s);
    load_report("per_server_second", "1/s", server_s > 0 ? messages / server_s : 0);
    if (messages > 0 && ticks > 0) {
        load_report("user_us", "us/message", server_s * user / ticks / messages * 1e6);
        load_report("system_us", "us/message", server_s * system / ticks / messages * 1e6);
    }
}

void load_report_cpu(struct load_mark from, struct load_mark to, double messages)
{
    double wall_s = (double)(to.wall_ns - from.wall_ns) / 1e9;
    double load_s = (double)(to.load_cpu_ns - from.load_cpu_ns) / 1e9;
    load_report("begin", "ns", (double)from.wall_ns);
    load_report("wall", "s", wall_s);
    load_report("load_cpu", "s", load_s);
    load_report("load_busy", "share", load_s / wall_s);
    if (to.server_cpu_ns > 0) {
        report_server(from, to, wall_s, messages);
    }
}

void load_report_latency(const struct latency *latency)
{
    load_report("latency_p50", "us", latency_percentile_us(latency, 0.50));
    load_report("latency_p99", "us", latency_percentile_us(latency, 0.99));
    load_report("latency_p999", "us", latency_percentile_us(latency, 0.999));
    load_report("latency_max", "us", (double)latency->max_ns / 1e3);
}

void load_report_lag(const struct latency *lag)
{
    load_report("lag_p50", "us", latency_percentile_us(lag, 0.50));
    load_report("lag_p99", "us", latency_percentile_us(lag, 0.99));
    load_report("lag_max", "us", (double)lag->max_ns / 1e3);
}

/* Pairs of upper edge in nanoseconds and count, so that several processes can be added up. */
void load_report_histogram(const char *name, const struct latency *latency)
{
    const char *comma = "";
    if (!as_json) {
        return;
    }
    printf(", \"%s\": [", name);
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        if (latency->buckets[i] > 0) {
            printf("%s[%llu, %llu]", comma, (unsigned long long)latency_upper_edge_ns(i),
                   (unsigned long long)latency->buckets[i]);
            comma = ", ";
        }
    }
    printf("]");
}

void load_report_end(void)
{
    if (as_json) {
        printf("}\n");
    }
    (void)fflush(stdout);
}
