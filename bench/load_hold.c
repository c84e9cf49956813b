/*
 * load_hold — connections as such: how fast they come, what they cost while they are quiet
 *
 * Why it is so:   the time of a connect runs from before socket(), or with a rate from when it
 *                 should have begun, to its CONNACK. With many in flight it includes waiting behind
 *                 the others, which is what a storm feels like. While sessions are held this
 *                 program pings them one after the other and otherwise sleeps.
 * Limits:         7,000 connections per source address, RLIMIT_NOFILE per process
 */
#include "bench/load.h"

#include <stdio.h>
#include <stdlib.h>

#define PONG_WAIT_NS (5 * LOAD_SECOND_NS)

struct hold {
    struct load_net net;
    struct latency latency;
    uint64_t pings;
    uint64_t pongs;
    uint64_t wrong; /* packets nobody asked for */
};

static void on_packet(void *user, struct load_conn *conn, const struct wire_frame *frame)
{
    struct hold *hold = user;
    (void)conn;
    if (wire_kind(frame) == WIRE_PINGRESP && hold->pongs < hold->pings) {
        hold->pongs++;
    } else {
        hold->wrong++;
    }
}

static const struct load_events HOLD_EVENTS = {.on_packet = on_packet};

static void collect_times(struct hold *hold, uint64_t *out_last_ns)
{
    *out_last_ns = 0;
    for (uint32_t i = 0; i < hold->net.conns_count; i++) {
        const struct load_conn *conn = &hold->net.conns[i];
        if (conn->ready_ns == 0) {
            continue;
        }
        latency_add(&hold->latency,
                    conn->ready_ns > conn->started_ns ? conn->ready_ns - conn->started_ns : 0);
        if (conn->ready_ns > *out_last_ns) {
            *out_last_ns = conn->ready_ns;
        }
    }
}

static bool report(struct hold *hold, struct load_mark from, struct load_mark to)
{
    const struct load_net *net = &hold->net;
    uint64_t last_ns;
    collect_times(hold, &last_ns);
    double wall_s = last_ns > from.wall_ns ? (double)(last_ns - from.wall_ns) / 1e9 : 1e-9;
    uint64_t unanswered = hold->pings - hold->pongs;
    load_report("rate", "connects/s", (double)net->ready_count / wall_s);
    load_report("connected", "connections", net->ready_count);
    load_report("refused", "connections", net->conns_count - net->ready_count);
    load_report("dropped", "connections", net->dropped_count);
    load_report("pings", "packets", (double)hold->pings);
    load_report("unanswered", "packets", (double)unanswered);
    load_report("corrupt", "packets", (double)hold->wrong);
    load_report_cpu(from, to, (double)net->ready_count);
    load_report_latency(&hold->latency);
    if (net->lag.count > 0) {
        load_report_lag(&net->lag);
    }
    uint32_t not_resumed = load_tls_report(net);
    if (net->options->histogram) {
        load_report_histogram("histogram", &hold->latency);
    }
    return net->ready_count == net->conns_count &&
           net->dropped_count + unanswered + hold->wrong + not_resumed == 0;
}

/* Each session once in ping_s, evenly spread over that time. */
static uint64_t ping_due(struct hold *hold, uint64_t begin_ns)
{
    struct load_net *net = &hold->net;
    uint8_t ping[WIRE_PING_SIZE];
    double rate = net->conns_count / (double)net->options->ping_s;
    uint64_t now_ns = load_now_ns();
    for (;;) {
        uint64_t due_ns = begin_ns + load_planned_ns(hold->pings + 1, rate);
        if (due_ns > now_ns) {
            return due_ns - now_ns;
        }
        hold->pings++;
        load_net_send(net, &net->conns[hold->pings % net->conns_count], ping, wire_ping(ping));
    }
}

static void wait_pongs(struct hold *hold)
{
    uint64_t until_ns = load_now_ns() + PONG_WAIT_NS;
    while (hold->pongs < hold->pings && load_now_ns() < until_ns) {
        load_net_poll(&hold->net, LOAD_SECOND_NS / 10);
    }
}

static void hold_all(struct hold *hold)
{
    uint64_t begin_ns = load_now_ns();
    uint64_t until_ns = begin_ns + hold->net.options->seconds * LOAD_SECOND_NS;
    (void)fprintf(stderr, "holding %u\n", hold->net.ready_count);
    for (uint64_t now_ns = begin_ns; now_ns < until_ns; now_ns = load_now_ns()) {
        uint64_t sleep_ns = until_ns - now_ns;
        if (hold->net.options->ping_s > 0) {
            uint64_t ping_ns = ping_due(hold, begin_ns);
            sleep_ns = ping_ns < sleep_ns ? ping_ns : sleep_ns;
        }
        load_net_poll(&hold->net, sleep_ns);
    }
    wait_pongs(hold);
    (void)fprintf(stderr, "held %u\n", hold->net.ready_count);
}

static int run(const struct load_options *options, const char *name, bool holds, bool storms)
{
    struct hold *hold = calloc(1, sizeof *hold);
    if (!hold || !load_net_open(&hold->net, options, options->count)) {
        free(hold);
        return 2;
    }
    hold->net.events = &HOLD_EVENTS;
    hold->net.user = hold;
    hold->net.closes_at_once = storms;
    struct load_mark from = load_mark_take(options);
    load_net_dial(&hold->net, options->inflight, options->rate);
    struct load_mark to = load_mark_take(options);
    if (holds) {
        hold_all(hold);
    }
    load_report_begin(options, name);
    bool good = report(hold, from, to);
    load_report_end();
    load_net_close(&hold->net);
    free(hold);
    return good ? 0 : 1;
}

int load_run_connect(const struct load_options *options)
{
    return run(options, "connect", false, false);
}

int load_run_idle(const struct load_options *options)
{
    return run(options, "idle", true, false);
}

int load_run_storm(const struct load_options *options)
{
    return run(options, "storm", false, true);
}
