/*
 * memory.h — what the parts of bench_memory share: the load, its peers, the ring between
 *
 * memory.c has main and the tables; memory_run.c opens gateways and takes the rounds; memory_ring.c
 * is engine/ring.h without a kernel; memory_peers.c is the other end of all connections.
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include "engine/ring.h"

#define MEMORY_RINGS_MAX 8u

/* Who says what to whom; the same while a gateway runs. */
struct memory_load {
    uint32_t rings;       /* shards of the gateway */
    uint32_t groups;      /* topics; group i is on ring i modulo rings */
    uint32_t publishers;  /* of each group */
    uint32_t subscribers; /* of each group; 0: on_message alone hears it */
    uint32_t batch;       /* messages that a publisher sends at once, and has in flight */
    uint32_t payload_bytes;
    uint32_t qos;
    bool crosses; /* every second group has its subscribers on the next ring */
};

/* ── peers (memory_peers.c) ────────────────────────────────────────────────────────────────── */

struct memory_end; /* all peers of one ring */

/* Makes all peers. Ends the process with words if there is no memory. */
void memory_world_open(const struct memory_load *load, uint32_t buffer_bytes);
void memory_world_close(void);

/* Any thread: sessions that are open, subscriptions included; publishers may begin, or stop. */
uint32_t memory_world_ready(void);
uint32_t memory_world_sessions(void);
void memory_world_run(bool is_running);

/* Any thread: messages that the far ends have seen, or on_message where there is none. */
uint64_t memory_world_messages(void);

/* On a shard, by on_message. */
void memory_world_heard(uint32_t shard_index, fmx_slice payload);

/* For the ring that asks, in the order of asking. */
struct memory_end *memory_end_take(void);
uint64_t memory_end_messages(const struct memory_end *end);

/* The next peers ask to be accepted: false once all have. */
bool memory_end_accept(struct memory_end *end, uint32_t *out_file);

/* What the engine does to one of them. */
void memory_end_arm(struct memory_end *end, struct fmx_ring *ring, uint32_t file, uint64_t tag);
bool memory_end_disarm(struct memory_end *end, uint64_t tag);
void memory_end_said(struct memory_end *end, uint32_t file, const struct iovec *parts,
                     unsigned parts_count);
void memory_end_shut(struct memory_end *end, struct fmx_ring *ring, uint32_t file);
const uint8_t *memory_end_buffer(const struct memory_end *end, uint32_t buffer);
void memory_end_give(struct memory_end *end, uint32_t buffer);

/* All that peers have to say now becomes completions. True: another ring's peers may go on. */
bool memory_end_step(struct memory_end *end, struct fmx_ring *ring);

/* ── the ring (memory_ring.c) ──────────────────────────────────────────────────────────────── */

void memory_complete(struct fmx_ring *ring, uint64_t tag, int32_t result, uint32_t buffer,
                     bool more);
void memory_wake_all(void);

/* One measurement on the first ring, cut at the turns' ends: so many messages, and so long. */
struct memory_round {
    uint64_t messages_least;
    uint64_t ns_least; /* of the engine's processor time */
    bool is_counted;   /* traced: callgrind collects in this round */
    uint64_t messages;
    uint64_t engine_ns; /* processor time of the shard without what peers and ring take */
    uint64_t turns;
};

/* Any thread but a shard's. False: nothing was heard for two seconds. */
bool memory_measure(struct memory_round *round);

/* Is the program run by valgrind? Then rounds are counted in messages, not in time. */
bool memory_is_traced(void);

/* ── gateways and rounds (memory_run.c) ────────────────────────────────────────────────────── */

__attribute__((noreturn, format(printf, 1, 2))) void memory_fail(const char *format, ...);

struct memory_gateway;

/* All sessions are open and publish when it returns. */
struct memory_gateway *memory_gateway_open(const struct memory_load *load);
void memory_gateway_close(struct memory_gateway *gateway);

/* Messages a second of the clock, by all shards, for so long. */
double memory_rate(uint64_t duration_ns);

/* Steps a second of code that touches no memory, on so many cores: what two of them can give. */
double memory_spin(uint32_t cores, uint64_t duration_ns);

#endif
