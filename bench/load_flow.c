/*
 * load_flow — fan-in, pairs and fan-out as closed loops, with every message checked
 *
 * Why it is so:   in a closed loop a publisher may have only `window` messages that are not yet
 *                 seen at the far end, so no queue grows and a slow server is not flattered by
 *                 what waits in its sockets. Credit that comes back in one wake-up leaves in one
 *                 send. Packets of all publishers have one size: one prepared row of them is
 *                 patched with topic, packet id, sequence and time, and sent from where it lies.
 * Words:          track: the order of one publisher's messages at one subscriber.
 *                 settled: seen by every subscriber it is meant for, or known to be lost.
 * Invariants:     (1) sent - settled <= window, and at QoS 1 sent - acked <= window
 *                 (2) expected of a track <= sent of its publisher; a message beyond is corrupt
 *                 (3) a sequence number is settled once, also when it comes late or again
 * Limits:         a run that hears nothing for 2 s ends as stalled; what is missing is lost.
 *                 Duplicates and late messages are told apart over the last 64 of a track.
 * Not here:       latency without coordinated omission; a closed loop cannot show it
 */
#include "bench/latency.h"
#include "bench/load.h"

#include <stdio.h>
#include <stdlib.h>

#define STALL_NS        2000000000ull
#define BATCH_BYTES_MAX (1u << 20)
#define ACKS_MAX        4096
#define FULL_CHECK_MASK 15u /* every sixteenth payload is compared whole */

enum shape { SHAPE_FANIN, SHAPE_PAIRS, SHAPE_FANOUT };

/* Begins every payload; host byte order, since it comes back to this program. */
struct stamp {
    uint32_t publisher;
    uint32_t sequence;
    uint64_t sent_ns;
};

struct publisher {
    struct load_conn *conn;
    uint32_t sent;
    uint32_t settled;
    uint32_t acked;
    bool queued;
};

struct track {
    uint32_t expected;
    uint64_t seen; /* bit n: expected - 1 - n has come */
};

struct faults {
    uint64_t missing;
    uint64_t duplicated;
    uint64_t reordered;
    uint64_t corrupt;
    uint64_t acks_out_of_order;
};

struct flow {
    struct load_net net;
    const struct load_options *options;
    enum shape shape;
    uint32_t subscribers_count;
    uint32_t publishers_count;
    struct publisher *publishers;
    struct track *tracks; /* by publisher, in fan-out by subscriber */
    uint32_t tracks_count;
    uint32_t *received_by;    /* fan-out: how many have message n, at n modulo window */
    struct publisher **queue; /* have credit to use at the end of this wake-up */
    uint32_t queue_count;
    uint8_t *batch;
    uint32_t batch_packets;
    size_t packet_size;
    size_t prefix_size;
    uint8_t acks[ACKS_MAX * 4];
    uint32_t acks_count;
    uint64_t read_ns;
    uint64_t heard_ns;
    uint64_t delivered;
    bool publishing;
    bool measuring;
    struct faults faults;
    struct latency latency;
};

static uint32_t credit(const struct flow *flow, const struct publisher *publisher)
{
    uint32_t oldest = publisher->settled;
    if (flow->options->qos > 0 && (int32_t)(publisher->acked - oldest) < 0) {
        oldest = publisher->acked;
    }
    return flow->options->window - (publisher->sent - oldest);
}

static void enqueue(struct flow *flow, struct publisher *publisher)
{
    if (!publisher->queued) {
        publisher->queued = true;
        flow->queue[flow->queue_count++] = publisher;
    }
}

static uint16_t packet_id(uint32_t sequence)
{
    return (uint16_t)(sequence % 65535u + 1);
}

static void patch_packet(struct flow *flow, uint8_t *packet, const struct publisher *publisher,
                         uint32_t sequence, uint64_t now_ns)
{
    uint32_t index = (uint32_t)(publisher - flow->publishers);
    struct stamp stamp = {.publisher = index, .sequence = sequence, .sent_ns = now_ns};
    if (flow->options->qos > 0) {
        wire_put16(packet + flow->prefix_size - 2, packet_id(sequence));
    }
    memcpy(packet + flow->prefix_size, &stamp, sizeof stamp);
}

static void patch_topics(struct flow *flow, uint32_t packets, uint32_t topic_number)
{
    uint8_t digits[WIRE_TOPIC_DIGITS];
    size_t at = flow->prefix_size - (flow->options->qos > 0 ? 2u : 0u) - WIRE_TOPIC_DIGITS;
    wire_put_digits(digits, topic_number);
    for (uint32_t i = 0; i < packets; i++) {
        memcpy(flow->batch + i * flow->packet_size + at, digits, sizeof digits);
    }
}

static void publish_batch(struct flow *flow, struct publisher *publisher, uint32_t packets)
{
    uint64_t now_ns = load_now_ns();
    if (flow->shape == SHAPE_PAIRS) {
        patch_topics(flow, packets, publisher->conn->topic_number);
    }
    for (uint32_t i = 0; i < packets; i++) {
        patch_packet(flow, flow->batch + i * flow->packet_size, publisher, publisher->sent++,
                     now_ns);
    }
    load_net_send(&flow->net, publisher->conn, flow->batch, packets * flow->packet_size);
}

static void publish_credit(struct flow *flow, struct publisher *publisher)
{
    uint32_t packets = credit(flow, publisher);
    while (packets > 0 && publisher->conn->unsent_size == 0 &&
           publisher->conn->state == LOAD_READY) {
        uint32_t now = packets < flow->batch_packets ? packets : flow->batch_packets;
        publish_batch(flow, publisher, now);
        packets -= now;
    }
}

static void flush_queue(struct flow *flow)
{
    for (uint32_t i = 0; i < flow->queue_count; i++) {
        flow->queue[i]->queued = false;
        if (flow->publishing) {
            publish_credit(flow, flow->queue[i]);
        }
    }
    flow->queue_count = 0;
}

static void settle_one(struct flow *flow, struct publisher *publisher, uint32_t sequence)
{
    if (flow->shape != SHAPE_FANOUT) {
        publisher->settled++;
        return;
    }
    flow->received_by[sequence % flow->options->window]++;
    uint32_t *oldest = &flow->received_by[publisher->settled % flow->options->window];
    while (*oldest == flow->subscribers_count) {
        *oldest = 0;
        publisher->settled++;
        oldest = &flow->received_by[publisher->settled % flow->options->window];
    }
}

/* A sequence number behind the expected one: late when not seen before, else double. */
static void on_old_message(struct flow *flow, struct track *track, uint32_t sequence)
{
    uint32_t age = track->expected - 1 - sequence;
    if (age < 64 && !(track->seen >> age & 1)) {
        track->seen |= 1ull << age;
        flow->faults.reordered++;
        flow->faults.missing--;
    } else {
        flow->faults.duplicated++;
    }
}

static void on_sequence(struct flow *flow, struct track *track, struct publisher *publisher,
                        uint32_t sequence)
{
    if (sequence < track->expected) {
        on_old_message(flow, track, sequence);
        return;
    }
    while (track->expected <= sequence) {
        bool here = track->expected == sequence;
        track->seen = track->seen << 1 | here;
        flow->faults.missing += !here;
        settle_one(flow, publisher, track->expected++);
    }
    enqueue(flow, publisher);
}

static bool payload_is_ours(const struct flow *flow, const struct load_conn *conn,
                            const struct wire_frame *frame, const struct stamp *stamp)
{
    size_t head = flow->prefix_size + sizeof *stamp;
    bool index_fits = flow->shape == SHAPE_PAIRS ? stamp->publisher == conn->topic_number
                                                 : stamp->publisher < flow->publishers_count;
    return index_fits && stamp->sequence < flow->publishers[stamp->publisher].sent &&
           (frame->size == head || frame->bytes[frame->size - 1] == flow->batch[frame->size - 1]) &&
           ((stamp->sequence & FULL_CHECK_MASK) != 0 ||
            memcmp(frame->bytes + head, flow->batch + head, frame->size - head) == 0);
}

static bool topic_is_ours(const struct flow *flow, const struct load_conn *conn,
                          const struct wire_frame *frame)
{
    uint8_t expected[WIRE_TOPIC_SIZE] = "bench/";
    if (flow->shape != SHAPE_PAIRS) {
        return memcmp(frame->body, flow->batch + (frame->body - frame->bytes),
                      2 + WIRE_TOPIC_SIZE) == 0;
    }
    wire_put_digits(expected + WIRE_TOPIC_SIZE - WIRE_TOPIC_DIGITS, conn->topic_number);
    return memcmp(frame->body + 2, expected, sizeof expected) == 0;
}

static void acknowledge(struct flow *flow, struct load_conn *conn, const uint8_t *id)
{
    uint8_t *ack = flow->acks + 4 * flow->acks_count++;
    ack[0] = WIRE_PUBACK << 4;
    ack[1] = 2;
    memcpy(ack + 2, id, 2);
    if (flow->acks_count == ACKS_MAX) {
        load_net_send(&flow->net, conn, flow->acks, flow->acks_count * 4);
        flow->acks_count = 0;
    }
}

static void on_publish(struct flow *flow, struct load_conn *conn, const struct wire_frame *frame)
{
    struct stamp stamp;
    bool sized = frame->size == flow->packet_size && wire_qos(frame) == flow->options->qos;
    if (sized) {
        memcpy(&stamp, frame->bytes + flow->prefix_size, sizeof stamp);
    }
    if (!sized || !conn->subscriber || !topic_is_ours(flow, conn, frame) ||
        !payload_is_ours(flow, conn, frame, &stamp)) {
        flow->faults.corrupt++;
        return;
    }
    if (flow->options->qos > 0) {
        acknowledge(flow, conn, frame->body + 2 + WIRE_TOPIC_SIZE);
    }
    uint32_t track = flow->shape == SHAPE_FANOUT ? conn->index : stamp.publisher;
    on_sequence(flow, &flow->tracks[track], &flow->publishers[stamp.publisher], stamp.sequence);
    flow->delivered++;
    if (flow->measuring) {
        latency_add(&flow->latency, flow->read_ns - stamp.sent_ns);
    }
}

static void on_puback(struct flow *flow, struct load_conn *conn, const struct wire_frame *frame)
{
    if (conn->subscriber || frame->body_size != 2) {
        flow->faults.corrupt++;
        return;
    }
    struct publisher *publisher = &flow->publishers[conn->index - flow->subscribers_count];
    if (wire_get16(frame->body) != packet_id(publisher->acked) ||
        publisher->acked == publisher->sent) {
        flow->faults.acks_out_of_order++;
    }
    publisher->acked++;
    enqueue(flow, publisher);
}

static void on_packet(void *user, struct load_conn *conn, const struct wire_frame *frame)
{
    struct flow *flow = user;
    if (wire_kind(frame) == WIRE_PUBLISH) {
        on_publish(flow, conn, frame);
    } else if (wire_kind(frame) == WIRE_PUBACK) {
        on_puback(flow, conn, frame);
    } else {
        flow->faults.corrupt++;
    }
}

static void on_read_begin(void *user, struct load_conn *conn)
{
    struct flow *flow = user;
    (void)conn;
    flow->read_ns = load_now_ns();
    flow->heard_ns = flow->read_ns;
}

static void on_read_end(void *user, struct load_conn *conn)
{
    struct flow *flow = user;
    if (flow->acks_count > 0) {
        load_net_send(&flow->net, conn, flow->acks, flow->acks_count * 4);
        flow->acks_count = 0;
    }
}

static void on_drained(void *user, struct load_conn *conn)
{
    struct flow *flow = user;
    if (!conn->subscriber) {
        enqueue(flow, &flow->publishers[conn->index - flow->subscribers_count]);
    }
}

static const struct load_events FLOW_EVENTS = {
    .on_packet = on_packet,
    .on_read_begin = on_read_begin,
    .on_read_end = on_read_end,
    .on_drained = on_drained,
};

static bool prepare_batch(struct flow *flow)
{
    const struct load_options *options = flow->options;
    flow->prefix_size = wire_publish_prefix(options->qos, options->payload_bytes);
    flow->packet_size = flow->prefix_size + options->payload_bytes;
    size_t packets = BATCH_BYTES_MAX / flow->packet_size;
    packets = packets < 1 ? 1 : packets;
    flow->batch_packets = packets < options->window ? (uint32_t)packets : options->window;
    flow->batch = malloc(flow->batch_packets * flow->packet_size);
    for (uint32_t i = 0; flow->batch && i < flow->batch_packets; i++) {
        wire_publish(flow->batch + i * flow->packet_size, 0, options->qos, options->payload_bytes);
    }
    return flow->batch != NULL;
}

/* Subscribers come first, so that a connection's index is also its subscriber's. */
static void assign_conns(struct flow *flow)
{
    for (uint32_t i = 0; i < flow->subscribers_count; i++) {
        flow->net.conns[i].subscriber = true;
        flow->net.conns[i].topic_number = flow->shape == SHAPE_PAIRS ? i : 0;
    }
    for (uint32_t i = 0; i < flow->publishers_count; i++) {
        struct load_conn *conn = &flow->net.conns[flow->subscribers_count + i];
        conn->topic_number = flow->shape == SHAPE_PAIRS ? i : 0;
        flow->publishers[i].conn = conn;
    }
}

static bool flow_open(struct flow *flow, const struct load_options *options, enum shape shape)
{
    flow->options = options;
    flow->shape = shape;
    flow->subscribers_count = shape == SHAPE_FANIN ? 1 : options->count;
    flow->publishers_count = shape == SHAPE_FANOUT ? 1 : options->count;
    flow->tracks_count = options->count;
    if (!load_net_open(&flow->net, options, flow->subscribers_count + flow->publishers_count)) {
        return false;
    }
    flow->net.events = &FLOW_EVENTS;
    flow->net.user = flow;
    flow->publishers = calloc(flow->publishers_count, sizeof *flow->publishers);
    flow->queue = calloc(flow->publishers_count, sizeof(struct publisher *));
    flow->tracks = calloc(flow->tracks_count, sizeof *flow->tracks);
    flow->received_by = calloc(options->window, sizeof *flow->received_by);
    if (!flow->publishers || !flow->queue || !flow->tracks || !flow->received_by ||
        !prepare_batch(flow)) {
        fprintf(stderr, "bench_load: out of memory\n");
        return false;
    }
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
    free(flow->batch);
    free(flow);
}

/* Turns the loop until `until_ns`; false when nothing was heard for too long. */
static bool turn_until(struct flow *flow, uint64_t until_ns)
{
    for (uint64_t now_ns = load_now_ns(); now_ns < until_ns; now_ns = load_now_ns()) {
        load_net_poll(&flow->net, 50);
        flush_queue(flow);
        if (load_now_ns() - flow->heard_ns > STALL_NS) {
            return false;
        }
    }
    return true;
}

static bool is_settled(const struct flow *flow)
{
    for (uint32_t i = 0; i < flow->publishers_count; i++) {
        const struct publisher *publisher = &flow->publishers[i];
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
    flow->publishing = false;
    flow->heard_ns = load_now_ns();
    while (!is_settled(flow) && turn_until(flow, load_now_ns() + 10000000)) {
    }
    for (uint32_t i = 0; i < flow->tracks_count; i++) {
        uint32_t publisher = flow->shape == SHAPE_FANOUT ? 0 : i;
        flow->faults.missing += flow->publishers[publisher].sent - flow->tracks[i].expected;
    }
}

static void start_publishing(struct flow *flow)
{
    flow->publishing = true;
    flow->heard_ns = load_now_ns();
    for (uint32_t i = 0; i < flow->publishers_count; i++) {
        enqueue(flow, &flow->publishers[i]);
    }
    flush_queue(flow);
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
    const struct faults *faults = &flow->faults;
    uint64_t unacked = unacknowledged(flow);
    load_report("lost", "messages", (double)faults->missing);
    load_report("duplicated", "messages", (double)faults->duplicated);
    load_report("reordered", "messages", (double)faults->reordered);
    load_report("corrupt", "packets", (double)faults->corrupt);
    load_report("unacknowledged", "messages", (double)unacked);
    load_report("acks_out_of_order", "packets", (double)faults->acks_out_of_order);
    load_report("dropped", "connections", flow->net.dropped_count);
    load_report("stalled", "bool", stalled);
    return !stalled && unacked + faults->missing + faults->duplicated + faults->reordered +
                               faults->corrupt + faults->acks_out_of_order +
                               flow->net.dropped_count ==
                           0;
}

static void report_latency(const struct latency *latency)
{
    load_report("latency_p50", "us", latency_percentile_us(latency, 0.50));
    load_report("latency_p99", "us", latency_percentile_us(latency, 0.99));
    load_report("latency_p999", "us", latency_percentile_us(latency, 0.999));
    load_report("latency_max", "us", (double)latency->max_ns / 1e3);
}

static int measure(struct flow *flow, const char *name)
{
    start_publishing(flow);
    bool moving = turn_until(flow, load_now_ns() + flow->options->warmup_s * 1000000000ull);
    uint64_t delivered = flow->delivered;
    struct load_mark from = load_mark_take(flow->options);
    flow->measuring = true;
    moving = moving && turn_until(flow, from.wall_ns + flow->options->seconds * 1000000000ull);
    flow->measuring = false;
    struct load_mark to = load_mark_take(flow->options);
    delivered = flow->delivered - delivered;
    drain(flow);
    load_report_begin(flow->options, name);
    load_report("rate", "msg/s", (double)delivered / (double)(to.wall_ns - from.wall_ns) * 1e9);
    load_report("delivered", "messages", (double)delivered);
    load_report_cpu(from, to, (double)delivered);
    report_latency(&flow->latency);
    bool good = report_faults(flow, !moving);
    load_report_end();
    return good ? 0 : 1;
}

static int run(const struct load_options *options, enum shape shape, const char *name)
{
    struct flow *flow = calloc(1, sizeof *flow);
    if (!flow) {
        return 2;
    }
    int status = flow_open(flow, options, shape) ? measure(flow, name) : 2;
    flow_close(flow);
    return status;
}

int load_run_fanin(const struct load_options *options)
{
    return run(options, SHAPE_FANIN, "fanin");
}

int load_run_pairs(const struct load_options *options)
{
    return run(options, SHAPE_PAIRS, "pairs");
}

int load_run_fanout(const struct load_options *options)
{
    return run(options, SHAPE_FANOUT, "fanout");
}
