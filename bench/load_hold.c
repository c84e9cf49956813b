/*
 * load_hold — connections as such: how fast they come, what they cost while they are quiet
 *
 * Why it is so:   the time of a connect runs from before socket() to its CONNACK. With many in
 *                 flight it includes waiting behind the others, which is what a storm feels
 *                 like. While sessions are held this program sleeps and only counts drops.
 * Limits:         7,000 connections per source address, RLIMIT_NOFILE per process
 */
#include "bench/latency.h"
#include "bench/load.h"

#include <stdio.h>
#include <stdlib.h>

static void collect_times(const struct load_net *net, struct latency *latency,
                          uint64_t *out_last_ns)
{
    *out_last_ns = 0;
    for (uint32_t i = 0; i < net->conns_count; i++) {
        const struct load_conn *conn = &net->conns[i];
        if (conn->ready_ns == 0) {
            continue;
        }
        latency_add(latency, conn->ready_ns - conn->started_ns);
        if (conn->ready_ns > *out_last_ns) {
            *out_last_ns = conn->ready_ns;
        }
    }
}

static bool report_connects(const struct load_net *net, struct load_mark from, struct load_mark to,
                            struct latency *latency)
{
    uint64_t last_ns;
    collect_times(net, latency, &last_ns);
    double wall_s = last_ns > from.wall_ns ? (double)(last_ns - from.wall_ns) / 1e9 : 1e-9;
    load_report("rate", "connects/s", (double)net->ready_count / wall_s);
    load_report("connected", "connections", net->ready_count);
    load_report("refused", "connections", net->refused_count);
    load_report("dropped", "connections", net->dropped_count);
    load_report_cpu(from, to, (double)net->ready_count);
    load_report("latency_p50", "us", latency_percentile_us(latency, 0.50));
    load_report("latency_p99", "us", latency_percentile_us(latency, 0.99));
    load_report("latency_p999", "us", latency_percentile_us(latency, 0.999));
    load_report("latency_max", "us", (double)latency->max_ns / 1e3);
    return net->ready_count == net->conns_count && net->dropped_count == 0;
}

static void hold(struct load_net *net)
{
    uint64_t until_ns = load_now_ns() + net->options->seconds * 1000000000ull;
    fprintf(stderr, "holding %u\n", net->ready_count);
    for (uint64_t now_ns = load_now_ns(); now_ns < until_ns; now_ns = load_now_ns()) {
        load_net_poll(net, (int)((until_ns - now_ns) / 1000000) + 1);
    }
}

static int run(const struct load_options *options, const char *name, uint32_t rate, bool holds)
{
    struct load_net net;
    struct latency *latency = calloc(1, sizeof *latency);
    if (!latency || !load_net_open(&net, options, options->count)) {
        free(latency);
        return 2;
    }
    struct load_mark from = load_mark_take(options);
    load_net_dial(&net, options->inflight, rate);
    struct load_mark to = load_mark_take(options);
    if (holds) {
        hold(&net);
    }
    load_report_begin(options, name);
    bool good = report_connects(&net, from, to, latency);
    load_report_end();
    load_net_close(&net);
    free(latency);
    return good ? 0 : 1;
}

int load_run_connect(const struct load_options *options)
{
    return run(options, "connect", 0, false);
}

int load_run_idle(const struct load_options *options)
{
    return run(options, "idle", options->rate, true);
}
