/*
 * load_flow — fan-in, pairs, fan-out and ingest, as closed loops or by a plan
 *
 * Why it is so:   in a closed loop a publisher may have only `window` messages that are not yet
 *                 seen at the far end, so no queue grows and a slow server is not flattered by what
 *                 waits in its sockets. But a server that stands still is also sent less, so what
 *                 latency is like at a rate is asked by a plan: times run from when a message
 *                 should have been sent, and how late this program was itself is reported too.
 * Words:          ingest: publishers alone; the server takes their messages, and nobody gets them.
 * Limits:         a run that hears nothing for 2 s (paced: 10 s) ends as stalled
 */
#include "bench/load_flow.h"

#include <stdio.h>
#include <stdlib.h>

#define STALL_NS       (2 * LOAD_SECOND_NS)
#define PACED_STALL_NS (10 * LOAD_SECOND_NS)
#define TURN_NS        (LOAD_SECOND_NS / 20)
#define SLICES_MAX     1000u
#define FANOUT_FEW_MAX 10u /* topics of one SUBSCRIBE: WIRE_PACKET_ROOM */

/* Subscribers come first, so that a connection's index is also its subscriber's. */
static void assign_conns(struct flow *flow)
{
    for (uint32_t i = 0; i < flow->subscribers_count; i++) {
        bool is_fanout = flow->shape == FLOW_FANOUT;
        flow->net.conns[i].subscriber = true;
        flow->net.conns[i].topic_number = is_fanout ? 0 : i;
        flow->net.conns[i].topics_count = is_fanout ? flow->publishers_count : 1;
    }
    for (uint32_t i = 0; i < flow->publishers_count; i++) {
        flow->publishers[i].conn = &flow->net.conns[flow->subscribers_count + i];
        wire_put_digits(flow->publishers[i].digits, flow_topic_of(flow, i));
    }
}

static void set_counts(struct flow *flow, uint32_t few)
{
    uint32_t count = flow->options->count;
    bool is_fanout = flow->shape == FLOW_FANOUT;
    flow->publishers_count = is_fanout ? few : count;
    flow->subscribers_count = is_fanout ? count : flow->shape == FLOW_INGEST ? 0 : few;
    flow->tracks_count = is_fanout ? few * count : flow->shape == FLOW_INGEST ? 0 : count;
}

static bool allocate(struct flow *flow)
{
    size_t row = (size_t)flow->publishers_count * flow->options->window;
    bool sliced = flow->paced && flow->options->slice_ms > 0;
    flow->publishers = calloc(flow->publishers_count, sizeof *flow->publishers);
    flow->queue = calloc(flow->publishers_count, sizeof(struct flow_publisher *));
    flow->tracks = calloc(flow->tracks_count + 1, sizeof *flow->tracks);
    if (flow->shape == FLOW_FANOUT) {
        flow->received_by = calloc(row, sizeof *flow->received_by);
    } else if (flow->shape == FLOW_INGEST) {
        flow->sent_ns = calloc(row, sizeof *flow->sent_ns);
    }
    if (sliced) {
        flow->slices_count = flow->options->seconds * 1000 / flow->options->slice_ms;
        flow->slices = calloc(flow->slices_count + 1, sizeof *flow->slices);
    }
    if (flow->publishers && flow->queue && flow->tracks && flow_prepare_batch(flow) &&
        (!sliced || flow->slices) &&
        (flow->shape == FLOW_FANIN || flow->received_by || flow->sent_ns)) {
        return true;
    }
    fprintf(stderr, "bench_load: out of memory\n");
    return false;
}

static bool check_options(const struct flow *flow, uint32_t few)
{
    if (few > flow->options->count) {
        fprintf(stderr, "bench_load: --few %u is more than --count %u\n", few,
                flow->options->count);
        return false;
    }
    if (flow->shape == FLOW_FANOUT && few > FANOUT_FEW_MAX) {
        fprintf(stderr, "bench_load: --few %u: fan-out takes at most %u publishers\n", few,
                FANOUT_FEW_MAX);
        return false;
    }
    if (flow->options->slice_ms > 0 &&
        flow->options->seconds * 1000 / flow->options->slice_ms > SLICES_MAX) {
        fprintf(stderr, "bench_load: --slice %u: more than %u parts\n", flow->options->slice_ms,
                SLICES_MAX);
        return false;
    }
    if (flow->shape == FLOW_INGEST && flow->paced && flow->options->qos == 0) {
        fprintf(stderr, "bench_load: ingest with --rate needs --qos 1: at QoS 0 nothing says when "
                        "a message was taken\n");
        return false;
    }
    return true;
}

static bool flow_open(struct flow *flow, const struct load_options *options, enum flow_shape shape,
                      uint32_t few)
{
    flow->options = options;
    flow->shape = shape;
    flow->paced = options->rate > 0;
    flow->net.epoll_fd = -1;
    if (!check_options(flow, few)) {
        return false;
    }
    set_counts(flow, few);
    if (!load_net_open(&flow->net, options, flow->subscribers_count + flow->publishers_count) ||
        !allocate(flow)) {
        return false;
    }
    flow->net.events = &FLOW_EVENTS;
    flow->net.user = flow;
    assign_conns(flow);
    return load_net_dial(&flow->net, options->inflight, 0);
}

static void flow_close(struct flow *flow)
{
    load_net_close(&flow->net);
    free(flow->publishers);
    free(flow->queue);
    free(flow->tracks);
    free(flow->received_by);
    free(flow->sent_ns);
    free(flow->slices);
    free(flow->batch);
    free(flow->head);
    free(flow);
}

static void turn(struct flow *flow)
{
    uint64_t sleep_ns = TURN_NS;
    if (flow->paced && flow->publishing) {
        uint64_t due_ns = flow_send_due(flow);
        sleep_ns = due_ns < sleep_ns ? due_ns : sleep_ns;
    }
    load_net_poll(&flow->net, sleep_ns);
    if (!flow->paced) {
        flow_flush(flow);
    }
}

/* Turns the loop until `until_ns`; false when nothing was heard for too long. */
static bool turn_until(struct flow *flow, uint64_t until_ns)
{
    uint64_t stall_ns = flow->paced ? PACED_STALL_NS : STALL_NS;
    uint64_t now_ns = load_now_ns();
    while (now_ns < until_ns) {
        turn(flow);
        now_ns = load_now_ns();
        if ((int64_t)(now_ns - flow->heard_ns) > (int64_t)stall_ns) {
            return false;
        }
    }
    return !flow->overrun;
}

static bool is_settled(const struct flow *flow)
{
    for (uint32_t i = 0; i < flow->publishers_count; i++) {
        const struct flow_publisher *publisher = &flow->publishers[i];
        if (publisher->settled != publisher->sent ||
            (flow->options->qos > 0 && publisher->acked != publisher->sent)) {
            return false;
        }
    }
    return true;
}

/* Lets what is under way arrive; what then has not is missing. */
static void drain(struct flow *flow)
{
    uint64_t stall_ns = flow->paced ? PACED_STALL_NS : STALL_NS;
    flow->publishing = false;
    flow->heard_ns = load_now_ns();
    while (!is_settled(flow) && load_now_ns() - flow->heard_ns < stall_ns) {
        turn_until(flow, load_now_ns() + LOAD_SECOND_NS / 100);
    }
    flow_count_missing(flow);
}

static void start_publishing(struct flow *flow)
{
    flow->publishing = true;
    flow->heard_ns = load_now_ns();
    flow->plan_ns = flow->heard_ns;
    if (flow->paced) {
        return;
    }
    for (uint32_t i = 0; i < flow->publishers_count; i++) {
        flow_enqueue(flow, &flow->publishers[i]);
    }
    flow_flush(flow);
}

static uint64_t unacknowledged(const struct flow *flow)
{
    uint64_t count = 0;
    for (uint32_t i = 0; flow->options->qos > 0 && i < flow->publishers_count; i++) {
        count += flow->publishers[i].sent - flow->publishers[i].acked;
    }
    return count;
}

static bool report_faults(const struct flow *flow, bool stalled)
{
    const struct flow_faults *faults = &flow->faults;
    uint64_t unacked = unacknowledged(flow);
    load_report("lost", "messages", (double)faults->missing);
    load_report("duplicated", "messages", (double)faults->duplicated);
    load_report("reordered", "messages", (double)faults->reordered);
    load_report("corrupt", "packets", (double)faults->corrupt);
    load_report("unacknowledged", "messages", (double)unacked);
    load_report("acks_out_of_order", "packets", (double)faults->acks_out_of_order);
    load_report("dropped", "connections", flow->net.dropped_count);
    load_report("stalled", "bool", stalled);
    load_report("overrun", "bool", flow->overrun);
    return !stalled && !flow->overrun &&
           unacked + faults->missing + faults->duplicated + faults->reordered + faults->corrupt +
                   faults->acks_out_of_order + flow->net.dropped_count ==
               0;
}

static void report_slices(const struct flow *flow)
{
    if (!flow->slices || !flow->options->json) {
        return;
    }
    printf(", \"slices\": [");
    for (uint32_t i = 0; i < flow->slices_count; i++) {
        uint64_t begin_ns = flow->measure_from + i * (flow->options->slice_ms * 1000000ull);
        printf("%s{\"begin\": %llu", i > 0 ? ", " : "", (unsigned long long)begin_ns);
        load_report_histogram("histogram", &flow->slices[i].latency);
        load_report_histogram("lag", &flow->slices[i].lag);
        printf("}");
    }
    printf("]");
}

static void report(const struct flow *flow, struct load_mark from, struct load_mark to,
                   uint64_t delivered)
{
    double wall_s = (double)(to.wall_ns - from.wall_ns) / 1e9;
    double receivers = flow->shape == FLOW_FANOUT ? flow->subscribers_count : 1;
    load_report("sessions", "connections", flow->net.conns_count);
    load_report("rate", "msg/s", (double)delivered / wall_s);
    load_report("delivered", "messages", (double)delivered);
    load_report_cpu(from, to, (double)delivered);
    load_report_latency(&flow->latency);
    if (flow->paced) {
        load_report("wanted", "msg/s", flow->options->rate * receivers);
        load_report_lag(&flow->lag);
        report_slices(flow);
    }
    (void)load_tls_report(&flow->net);
}

static int measure(struct flow *flow, const char *name)
{
    const struct load_options *options = flow->options;
    start_publishing(flow);
    bool moving = turn_until(flow, load_now_ns() + options->warmup_s * LOAD_SECOND_NS);
    uint64_t delivered = flow->delivered;
    (void)fprintf(stderr, "measuring %u\n", flow->net.conns_count);
    struct load_mark from = load_mark_take(options);
    flow->measure_from = from.wall_ns;
    flow->measure_to = from.wall_ns + options->seconds * LOAD_SECOND_NS;
    flow->measuring = true;
    moving = moving && turn_until(flow, flow->measure_to);
    flow->measuring = false;
    struct load_mark to = load_mark_take(options);
    delivered = flow->delivered - delivered;
    drain(flow);
    load_report_begin(options, name);
    report(flow, from, to, delivered);
    bool good = report_faults(flow, !moving && !flow->overrun);
    load_report_end();
    return good ? 0 : 1;
}

static int run(const struct load_options *options, enum flow_shape shape, const char *name,
               uint32_t few)
{
    struct flow *flow = calloc(1, sizeof *flow);
    if (!flow) {
        return 2;
    }
    int status = flow_open(flow, options, shape, few) ? measure(flow, name) : 2;
    flow_close(flow);
    return status;
}

int load_run_fanin(const struct load_options *options)
{
    return run(options, FLOW_FANIN, "fanin", options->few);
}

int load_run_pairs(const struct load_options *options)
{
    return run(options, FLOW_FANIN, "pairs", options->count);
}

int load_run_fanout(const struct load_options *options)
{
    return run(options, FLOW_FANOUT, "fanout", options->few);
}

int load_run_ingest(const struct load_options *options)
{
    return run(options, FLOW_INGEST, "ingest", 0);
}
