/*
 * load_flow — what sending, checking and measuring of messages share
 */
#ifndef BENCH_LOAD_FLOW_H
#define BENCH_LOAD_FLOW_H

#include "bench/load.h"

#define FLOW_ACKS_MAX 4096

/* What was planned within a part of the measured time. */
struct flow_slice {
    struct latency latency;
    struct latency lag;
};

/* Fan-in also is pairs: with as many subscribers as publishers. Ingest has no subscriber. */
enum flow_shape { FLOW_FANIN, FLOW_FANOUT, FLOW_INGEST };

/* Begins every payload; host byte order, since it comes back to this program. */
struct flow_stamp {
    uint32_t publisher;
    uint32_t sequence;
    uint64_t sent_ns; /* in a paced run: when it should have been sent */
};

struct flow_publisher {
    struct load_conn *conn;
    uint32_t sent;
    uint32_t settled;
    uint32_t acked;
    uint32_t pinged; /* ingest at QoS 0: sent before the ping that is under way */
    bool waits_for_pong;
    bool queued;
    uint8_t digits[WIRE_TOPIC_DIGITS];
};

struct flow_track {
    uint32_t expected;
    uint64_t seen; /* bit n: expected - 1 - n has come */
};

struct flow_faults {
    uint64_t missing;
    uint64_t duplicated;
    uint64_t reordered;
    uint64_t corrupt;
    uint64_t acks_out_of_order;
};

struct flow {
    struct load_net net;
    const struct load_options *options;
    enum flow_shape shape;
    uint32_t subscribers_count;
    uint32_t publishers_count;
    struct flow_publisher *publishers;
    struct flow_track *tracks; /* by publisher; in fan-out by subscriber, then publisher */
    uint32_t tracks_count;
    uint32_t *received_by;         /* fan-out: how many have message n, at n modulo window */
    uint64_t *sent_ns;             /* ingest: when message n left, at n modulo window */
    struct flow_publisher **queue; /* have credit to use at the end of this wake-up */
    uint32_t queue_count;
    uint8_t *batch;
    uint32_t batch_packets;
    size_t packet_size;
    size_t prefix_size;
    size_t head_size; /* of the bytes before the packet identifier */
    uint8_t *head;    /* these bytes, as the last message had them that was checked */
    uint32_t head_publisher;
    uint8_t acks[FLOW_ACKS_MAX * 4];
    uint32_t acks_count;
    uint64_t read_ns;
    uint64_t heard_ns;
    uint64_t delivered;
    bool publishing;
    bool measuring;
    bool paced;
    bool overrun;          /* paced: a publisher had `window` messages under way */
    uint64_t planned;      /* paced: messages of the plan that were sent */
    uint64_t plan_ns;      /* its begin */
    uint64_t measure_from; /* paced: planned times from here to there are measured */
    uint64_t measure_to;
    struct flow_faults faults;
    struct latency latency;
    struct latency lag;
    struct flow_slice *slices; /* NULL: not asked for */
    uint32_t slices_count;
};

static inline uint16_t flow_packet_id(uint32_t sequence)
{
    return (uint16_t)(sequence % 65535u + 1);
}

static inline uint32_t flow_topic_of(const struct flow *flow, uint32_t publisher)
{
    return flow->shape == FLOW_FANIN ? publisher % flow->subscribers_count : publisher;
}

static inline void flow_enqueue(struct flow *flow, struct flow_publisher *publisher)
{
    if (!publisher->queued) {
        publisher->queued = true;
        flow->queue[flow->queue_count++] = publisher;
    }
}

/* NULL: none, or none is asked for. */
static inline struct flow_slice *flow_slice_at(struct flow *flow, uint64_t planned_ns)
{
    if (!flow->slices) {
        return NULL;
    }
    uint64_t number = (planned_ns - flow->measure_from) / (flow->options->slice_ms * 1000000ull);
    return number < flow->slices_count ? &flow->slices[number] : NULL;
}

static inline void flow_add_latency(struct flow *flow, uint64_t sent_ns)
{
    bool counts =
        flow->paced ? sent_ns >= flow->measure_from && sent_ns < flow->measure_to : flow->measuring;
    if (counts) {
        struct flow_slice *slice = flow_slice_at(flow, sent_ns);
        latency_add(&flow->latency, flow->read_ns - sent_ns);
        if (slice) {
            latency_add(&slice->latency, flow->read_ns - sent_ns);
        }
    }
}

/* load_send.c */
bool flow_prepare_batch(struct flow *flow);
/* Closed loop: sends what all queued publishers may send. */
void flow_flush(struct flow *flow);
/* Paced: sends what is due; returns how long nothing else will be. */
uint64_t flow_send_due(struct flow *flow);

/* load_check.c */
extern const struct load_events FLOW_EVENTS;
/* Counts what has not come as missing, when nothing more will come. */
void flow_count_missing(struct flow *flow);

#endif
