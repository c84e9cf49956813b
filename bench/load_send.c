/*
 * load_send — publishing: as far as credit goes, or by a plan
 *
 * Why it is so:   in a closed loop all credit that came back in one wake-up leaves in one send. By
 *                 a plan, message n of all is due n / rate after the begin, and publisher n modulo
 *                 their number sends it, also when it is late: a server that stands still does not
 *                 slow its load. Packets of all publishers have one size: one prepared row of them
 *                 is patched with topic, packet id, sequence and time, and sent from where it lies.
 * Invariants:     (1) sent - settled <= window, and at QoS 1 sent - acked <= window
 * Limits:         paced, a publisher that has `window` messages under way ends the run: `overrun`
 */
#include "bench/load_flow.h"

#include <stdlib.h>

#define BATCH_BYTES_MAX (1u << 20)
#define DUE_AT_ONCE_MAX 64 /* before answers are read again */

static uint32_t credit(const struct flow *flow, const struct flow_publisher *publisher)
{
    uint32_t oldest = publisher->settled;
    if (publisher->waits_for_pong) {
        return 0;
    }
    if (flow->options->qos > 0 && (int32_t)(publisher->acked - oldest) < 0) {
        oldest = publisher->acked;
    }
    return flow->options->window - (publisher->sent - oldest);
}

static void patch_packet(struct flow *flow, uint8_t *packet, uint32_t publisher, uint32_t sequence,
                         uint64_t sent_ns)
{
    struct flow_stamp stamp = {.publisher = publisher, .sequence = sequence, .sent_ns = sent_ns};
    if (flow->options->qos > 0) {
        wire_put16(packet + flow->prefix_size - 2, flow_packet_id(sequence));
    }
    memcpy(packet + flow->prefix_size, &stamp, sizeof stamp);
}

static void patch_topics(struct flow *flow, uint32_t packets, uint32_t publisher)
{
    size_t at = flow->head_size - flow->options->topics.size + flow->options->topics.digits_at;
    for (uint32_t i = 0; i < packets; i++) {
        memcpy(flow->batch + i * flow->packet_size + at, flow->publishers[publisher].digits,
               WIRE_TOPIC_DIGITS);
    }
}

static void publish(struct flow *flow, struct flow_publisher *publisher, uint32_t packets,
                    uint64_t sent_ns)
{
    uint32_t index = (uint32_t)(publisher - flow->publishers);
    if (flow->subscribers_count != 1 || flow->publishers_count > 1) {
        patch_topics(flow, packets, index);
    }
    for (uint32_t i = 0; i < packets; i++) {
        uint32_t sequence = publisher->sent++;
        patch_packet(flow, flow->batch + i * flow->packet_size, index, sequence, sent_ns);
        if (flow->sent_ns) {
            uint32_t window = flow->options->window;
            flow->sent_ns[(size_t)index * window + sequence % window] = sent_ns;
        }
    }
    load_net_send(&flow->net, publisher->conn, flow->batch, packets * flow->packet_size);
}

/* Ingest at QoS 0: what says that the server has taken the messages before. */
static void ping(struct flow *flow, struct flow_publisher *publisher)
{
    uint8_t packet[WIRE_PING_SIZE];
    publisher->pinged = publisher->sent;
    publisher->waits_for_pong = true;
    load_net_send(&flow->net, publisher->conn, packet, wire_ping(packet));
}

static void publish_credit(struct flow *flow, struct flow_publisher *publisher)
{
    uint32_t packets = credit(flow, publisher);
    uint32_t sent = publisher->sent;
    while (packets > 0 && publisher->conn->unsent_size == 0 &&
           publisher->conn->state == LOAD_READY) {
        uint32_t now = packets < flow->batch_packets ? packets : flow->batch_packets;
        publish(flow, publisher, now, load_now_ns());
        packets -= now;
    }
    if (flow->shape == FLOW_INGEST && flow->options->qos == 0 && publisher->sent != sent) {
        ping(flow, publisher);
    }
}

void flow_flush(struct flow *flow)
{
    for (uint32_t i = 0; i < flow->queue_count; i++) {
        flow->queue[i]->queued = false;
        if (flow->publishing) {
            publish_credit(flow, flow->queue[i]);
        }
    }
    flow->queue_count = 0;
}

uint64_t flow_send_due(struct flow *flow)
{
    for (int i = 0; i < DUE_AT_ONCE_MAX; i++) {
        uint64_t due_ns = flow->plan_ns + load_planned_ns(flow->planned, flow->options->rate);
        uint64_t now_ns = load_now_ns();
        struct flow_publisher *publisher =
            &flow->publishers[flow->planned % flow->publishers_count];
        if (due_ns > now_ns) {
            return load_sleep_ns(due_ns, now_ns);
        }
        if (credit(flow, publisher) == 0) {
            flow->overrun = true;
            flow->publishing = false;
            return LOAD_SECOND_NS / 20;
        }
        if (due_ns >= flow->measure_from && due_ns < flow->measure_to) {
            struct flow_slice *slice = flow_slice_at(flow, due_ns);
            latency_add(&flow->lag, now_ns - due_ns);
            if (slice) {
                latency_add(&slice->lag, now_ns - due_ns);
            }
        }
        flow->planned++;
        publish(flow, publisher, 1, due_ns);
    }
    return 0;
}

bool flow_prepare_batch(struct flow *flow)
{
    const struct load_options *options = flow->options;
    flow->prefix_size =
        wire_publish_prefix_to(&options->topics, options->qos, options->payload_bytes);
    flow->packet_size = flow->prefix_size + options->payload_bytes;
    flow->head_size = flow->prefix_size - (options->qos > 0 ? 2u : 0u);
    size_t packets = BATCH_BYTES_MAX / flow->packet_size;
    packets = packets < 1 || flow->paced ? 1 : packets;
    flow->batch_packets = packets < options->window ? (uint32_t)packets : options->window;
    flow->batch = malloc(flow->batch_packets * flow->packet_size);
    flow->head = malloc(flow->head_size);
    if (!flow->batch || !flow->head) {
        return false;
    }
    for (uint32_t i = 0; i < flow->batch_packets; i++) {
        wire_publish_to(flow->batch + i * flow->packet_size, &options->topics, options->qos,
                        options->payload_bytes);
    }
    memcpy(flow->head, flow->batch, flow->head_size);
    return true;
}
