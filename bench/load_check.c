/*
 * load_check — every message and acknowledgement that comes is looked at
 *
 * Why it is so:   a broker that loses, doubles or changes messages is not faster. Of each message
 *                 size, topic, publisher, sequence and last byte are looked at; every sixteenth
 *                 payload is compared whole. More would be time that the load has not.
 * Words:          track: the order of one publisher's messages at one subscriber.
 *                 settled: seen by every subscriber it is meant for, or known to be lost; in
 *                 ingest: acknowledged, by PUBACK or by the answer to a ping behind it.
 * Invariants:     (1) expected of a track <= sent of its publisher; a message beyond is corrupt
 *                 (2) a sequence number is settled once, also when it comes late or again
 * Limits:         duplicates and late messages are told apart over the last 64 of a track
 */
#include "bench/load_flow.h"

#define FULL_CHECK_MASK 15u /* every sixteenth payload is compared whole */

static void settle_one(struct flow *flow, struct flow_publisher *publisher, uint32_t sequence)
{
    uint32_t window = flow->options->window;
    if (flow->shape != FLOW_FANOUT) {
        publisher->settled++;
        return;
    }
    uint32_t *received_by = flow->received_by + (size_t)(publisher - flow->publishers) * window;
    received_by[sequence % window]++;
    uint32_t *oldest = &received_by[publisher->settled % window];
    while (*oldest == flow->subscribers_count) {
        *oldest = 0;
        publisher->settled++;
        oldest = &received_by[publisher->settled % window];
    }
}

/* A sequence number behind the expected one: late when not seen before, else double. */
static void on_old_message(struct flow *flow, struct flow_track *track, uint32_t sequence)
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

static void on_sequence(struct flow *flow, struct flow_track *track,
                        struct flow_publisher *publisher, uint32_t sequence)
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
    flow_enqueue(flow, publisher);
}

/* Whether this subscriber should get what that publisher sends. */
static bool is_meant_for(const struct flow *flow, const struct load_conn *conn, uint32_t publisher)
{
    return publisher < flow->publishers_count &&
           flow_topic_of(flow, publisher) - conn->topic_number < conn->topics_count;
}

static bool has_topic(struct flow *flow, const struct wire_frame *frame, uint32_t publisher)
{
    const struct wire_topics *topics = &flow->options->topics;
    size_t skipped =
        (size_t)(frame->body - frame->bytes); /* DUP may be set, and is no fault here */
    if (flow->head_publisher != publisher) {
        memcpy(flow->head + flow->head_size - topics->size + topics->digits_at,
               flow->publishers[publisher].digits, WIRE_TOPIC_DIGITS);
        flow->head_publisher = publisher;
    }
    return memcmp(frame->body, flow->head + skipped, flow->head_size - skipped) == 0;
}

static bool has_payload(const struct flow *flow, const struct wire_frame *frame,
                        const struct flow_stamp *stamp)
{
    size_t head = flow->prefix_size + sizeof *stamp;
    return stamp->sequence < flow->publishers[stamp->publisher].sent &&
           (frame->size == head || frame->bytes[frame->size - 1] == flow->batch[frame->size - 1]) &&
           ((stamp->sequence & FULL_CHECK_MASK) != 0 ||
            memcmp(frame->bytes + head, flow->batch + head, frame->size - head) == 0);
}

static void acknowledge(struct flow *flow, struct load_conn *conn, const uint8_t *id)
{
    uint8_t *ack = flow->acks + 4 * flow->acks_count++;
    ack[0] = WIRE_PUBACK << 4;
    ack[1] = 2;
    memcpy(ack + 2, id, 2);
    if (flow->acks_count == FLOW_ACKS_MAX) {
        load_net_send(&flow->net, conn, flow->acks, flow->acks_count * 4);
        flow->acks_count = 0;
    }
}

static void on_publish(struct flow *flow, struct load_conn *conn, const struct wire_frame *frame)
{
    struct flow_stamp stamp;
    bool sized = frame->size == flow->packet_size && wire_qos(frame) == flow->options->qos;
    if (sized) {
        memcpy(&stamp, frame->bytes + flow->prefix_size, sizeof stamp);
    }
    if (!sized || !conn->subscriber || !is_meant_for(flow, conn, stamp.publisher) ||
        !has_topic(flow, frame, stamp.publisher) || !has_payload(flow, frame, &stamp)) {
        flow->faults.corrupt++;
        return;
    }
    if (flow->options->qos > 0) {
        acknowledge(flow, conn, frame->bytes + flow->head_size);
    }
    uint32_t track = stamp.publisher;
    if (flow->shape == FLOW_FANOUT) {
        track += conn->index * flow->publishers_count;
    }
    on_sequence(flow, &flow->tracks[track], &flow->publishers[stamp.publisher], stamp.sequence);
    flow->delivered++;
    flow_add_latency(flow, stamp.sent_ns);
}

/* Ingest: the server has taken all messages before `end`. */
static void settle_until(struct flow *flow, struct flow_publisher *publisher, uint32_t end)
{
    uint32_t window = flow->options->window;
    size_t row = (size_t)(publisher - flow->publishers) * window;
    for (; publisher->settled != end; publisher->settled++) {
        flow->delivered++;
        flow_add_latency(flow, flow->sent_ns[row + publisher->settled % window]);
    }
    flow_enqueue(flow, publisher);
}

static void on_puback(struct flow *flow, struct flow_publisher *publisher,
                      const struct wire_frame *frame)
{
    if (frame->body_size != 2 || publisher->acked == publisher->sent) {
        flow->faults.corrupt++;
        return;
    }
    flow->faults.acks_out_of_order += wire_get16(frame->body) != flow_packet_id(publisher->acked);
    publisher->acked++;
    if (flow->shape == FLOW_INGEST) {
        settle_until(flow, publisher, publisher->acked);
    }
    flow_enqueue(flow, publisher);
}

static void on_pong(struct flow *flow, struct flow_publisher *publisher)
{
    if (!publisher->waits_for_pong) {
        flow->faults.corrupt++;
        return;
    }
    publisher->waits_for_pong = false;
    settle_until(flow, publisher, publisher->pinged);
}

static void on_packet(void *user, struct load_conn *conn, const struct wire_frame *frame)
{
    struct flow *flow = user;
    unsigned kind = wire_kind(frame);
    if (kind == WIRE_PUBLISH) {
        on_publish(flow, conn, frame);
    } else if (conn->subscriber || (kind != WIRE_PUBACK && kind != WIRE_PINGRESP)) {
        flow->faults.corrupt++;
    } else if (kind == WIRE_PUBACK) {
        on_puback(flow, &flow->publishers[conn->index - flow->subscribers_count], frame);
    } else {
        on_pong(flow, &flow->publishers[conn->index - flow->subscribers_count]);
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
        flow_enqueue(flow, &flow->publishers[conn->index - flow->subscribers_count]);
    }
}

const struct load_events FLOW_EVENTS = {
    .on_packet = on_packet,
    .on_read_begin = on_read_begin,
    .on_read_end = on_read_end,
    .on_drained = on_drained,
};

void flow_count_missing(struct flow *flow)
{
    for (uint32_t i = 0; i < flow->tracks_count; i++) {
        const struct flow_publisher *publisher = &flow->publishers[i % flow->publishers_count];
        flow->faults.missing += publisher->sent - flow->tracks[i].expected;
    }
    for (uint32_t i = 0; flow->shape == FLOW_INGEST && i < flow->publishers_count; i++) {
        flow->faults.missing += flow->publishers[i].sent - flow->publishers[i].settled;
    }
}
