/*
 * memory_peers — the other end of all connections of bench_memory, without sockets
 *
 * Why it is so:   peers must cost nothing beside what is measured. All that a publisher ever says
 *                 was encoded before, one batch of packets that is received again and again; what a
 *                 subscriber is sent is counted by its size, and read only as far as QoS 1 needs
 *                 packet identifiers
 * Words:          end: the peers of one ring; group: a topic with its publishers and subscribers;
 *                 batch: the messages that a publisher has in flight, which leave together and are
 *                 cut into receive buffers as the kernel would cut them; lent: such a buffer that
 *                 the engine has not given back
 * Invariants:     (1) a publisher begins a batch only when all of its last one is acknowledged, and
 *                 the far end has seen so much that no more than one batch of each publisher of its
 *                 group is under way (2) bytes do not change while a buffer over them is lent
 *                 (3) every packet to a peer of one kind is of one size, so that bytes count
 * Memory:         everything of a load, from memory_world_open to memory_world_close
 * Threads:        an end is its ring's thread's; what others look at is atomic. `seen` is written
 *                 by the subscribers' ring and read by the publishers': what it orders is in the
 *                 gateway, so relaxed will do
 * Limits:         a peer's bytes in one batch: CUTS receive buffers
 * Not here:       completions, sleep and time: memory_ring.c
 */
#include "bench/memory.h"

#include "bench/wire.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define CUT_BITS      12u
#define CUTS          (1u << CUT_BITS)
#define HELLO_BYTES   128u
#define ACK_BYTES     4u
#define ACKS_ROOM     64u /* at first */
#define CONNACK_BYTES 4u
#define SUBACK_BYTES  5u
#define KEEPALIVE_S   0u
#define PUBLISH_FIRST (WIRE_PUBLISH << 4)

enum state { AWAY, GREETING, GREETED, SUBSCRIBING, READY };

struct group {
    _Alignas(64) _Atomic uint64_t seen; /* deliveries; by the subscribers' ring */
    _Alignas(64) uint64_t sent;         /* messages; by the publishers' ring */
    uint32_t topic;
    bool is_split; /* publishers and subscribers on different rings */
};

struct peer {
    struct group *group;
    struct peer *next_owing; /* has PUBACKs to send */
    const uint8_t *input;    /* what the lent buffers show */
    uint8_t *batch;
    uint8_t *acks[2]; /* one fills while the other is lent */
    uint32_t acks_bytes;
    uint32_t acks_room;
    uint64_t recv_tag;
    uint32_t lent;
    uint32_t unacknowledged; /* of its last batch */
    uint32_t torn;           /* bytes of a packet whose rest comes with the next send */
    uint16_t torn_id;
    uint8_t state;
    bool is_subscriber : 1;
    bool is_armed : 1;
    bool is_owing : 1;
    bool has_ended : 1;
    uint8_t hello[HELLO_BYTES];
};

struct memory_end {
    struct peer *peers;
    uint32_t count;
    uint32_t accepted;
    struct peer *owing;
    bool credits_others;
    _Alignas(64) _Atomic uint64_t deliveries;
};

struct heard {
    _Alignas(64) _Atomic uint64_t messages;
    uint64_t sum;
};

static struct {
    struct memory_load load;
    uint32_t buffer_bytes;
    uint32_t publish_bytes;  /* a whole packet */
    uint32_t id_at;          /* its identifier, from the packet's begin */
    uint64_t in_flight_most; /* deliveries of a group */
    size_t batch_bytes;
    struct group *groups;
    struct memory_end *ends;
    _Atomic uint32_t ends_taken;
    _Atomic uint32_t ready;
    _Atomic bool is_running;
    struct heard heard[MEMORY_RINGS_MAX];
} world;

static void *allocate(size_t count, size_t bytes)
{
    size_t all = (count * bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, all == 0 ? 64 : all);

    if (memory == NULL) {
        memory_fail("memory ran out");
    }
    memset(memory, 0, all);
    return memory;
}

/* ── making ── */

static void make_batch(struct peer *peer)
{
    peer->batch = allocate(1, world.batch_bytes);
    for (uint32_t i = 0; i < world.load.batch; i++) {
        uint8_t *packet = peer->batch + (size_t)i * world.publish_bytes;
        (void)wire_publish(packet, peer->group->topic, world.load.qos, world.load.payload_bytes);
        if (world.load.qos > 0) {
            wire_put16(packet + world.id_at, (uint16_t)(i + 1));
        }
    }
}

static void add_peer(struct memory_end *end, struct group *group, bool is_subscriber)
{
    struct peer *peer = &end->peers[end->count++];

    peer->group = group;
    peer->is_subscriber = is_subscriber;
    if (!is_subscriber) {
        make_batch(peer);
    } else if (world.load.qos > 0) {
        peer->acks_room = ACKS_ROOM * ACK_BYTES;
        peer->acks[0] = allocate(1, peer->acks_room);
        peer->acks[1] = allocate(1, peer->acks_room);
    }
}

static uint32_t ring_of_subscribers(uint32_t group)
{
    const struct memory_load *load = &world.load;
    bool is_split = load->crosses && (group / load->rings) % 2 == 1;

    return (group + (is_split ? 1u : 0u)) % load->rings;
}

static void fill_ends(void)
{
    const struct memory_load *load = &world.load;

    for (uint32_t i = 0; i < load->groups; i++) {
        struct group *group = &world.groups[i];
        uint32_t home = i % load->rings;
        uint32_t away = ring_of_subscribers(i);
        group->topic = i;
        group->is_split = home != away;
        for (uint32_t peer = 0; peer < load->subscribers; peer++) {
            add_peer(&world.ends[away], group, true);
        }
        for (uint32_t peer = 0; peer < load->publishers; peer++) {
            add_peer(&world.ends[home], group, false);
        }
    }
}

void memory_world_open(const struct memory_load *load, uint32_t buffer_bytes)
{
    size_t peers = (size_t)load->groups * (load->publishers + load->subscribers);

    memset(&world, 0, sizeof world);
    world.load = *load;
    world.buffer_bytes = buffer_bytes;
    uint32_t prefix = (uint32_t)wire_publish_prefix(load->qos, load->payload_bytes);
    world.publish_bytes = prefix + load->payload_bytes;
    world.id_at = prefix - 2;
    world.batch_bytes = (size_t)world.publish_bytes * load->batch;
    world.in_flight_most = (uint64_t)load->publishers * load->batch * load->subscribers;
    if (world.batch_bytes > (size_t)CUTS * buffer_bytes) {
        memory_fail("a batch of %u messages of %u B is more than %u receive buffers: make it less",
                    load->batch, load->payload_bytes, CUTS);
    }
    world.groups = allocate(load->groups, sizeof *world.groups);
    world.ends = allocate(load->rings, sizeof *world.ends);
    for (uint32_t i = 0; i < load->rings; i++) {
        world.ends[i].peers = allocate(peers, sizeof(struct peer));
    }
    fill_ends();
}

void memory_world_close(void)
{
    for (uint32_t i = 0; i < world.load.rings; i++) {
        struct memory_end *end = &world.ends[i];
        for (uint32_t peer = 0; peer < end->count; peer++) {
            free(end->peers[peer].batch);
            free(end->peers[peer].acks[0]);
            free(end->peers[peer].acks[1]);
        }
        free(end->peers);
    }
    free(world.ends);
    free(world.groups);
}

/* ── looking in from outside ── */

uint32_t memory_world_ready(void)
{
    return atomic_load(&world.ready);
}

uint32_t memory_world_sessions(void)
{
    return world.load.groups * (world.load.publishers + world.load.subscribers);
}

void memory_world_run(bool is_running)
{
    atomic_store(&world.is_running, is_running);
    memory_wake_all();
}

uint64_t memory_end_messages(const struct memory_end *end)
{
    if (world.load.subscribers > 0) {
        return atomic_load_explicit(&end->deliveries, memory_order_relaxed);
    }
    return memory_world_messages();
}

uint64_t memory_world_messages(void)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < world.load.rings; i++) {
        sum += atomic_load_explicit(world.load.subscribers > 0 ? &world.ends[i].deliveries
                                                               : &world.heard[i].messages,
                                    memory_order_relaxed);
    }
    return sum;
}

/* Only its own thread writes: no locked addition. */
static void count_up(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, now + by, memory_order_relaxed);
}

void memory_world_heard(uint32_t shard_index, fmx_slice payload)
{
    struct heard *heard = &world.heard[shard_index];

    if (payload.bytes > 0) {
        heard->sum += payload.data[0] + payload.data[payload.bytes - 1];
    }
    count_up(&heard->messages, 1);
}

/* ── what the engine does to a peer ── */

struct memory_end *memory_end_take(void)
{
    uint32_t index = atomic_fetch_add(&world.ends_taken, 1);

    if (index >= world.load.rings) {
        memory_fail("%u shards where %u were asked for", index + 1, world.load.rings);
    }
    return &world.ends[index];
}

bool memory_end_accept(struct memory_end *end, uint32_t *out_file)
{
    *out_file = end->accepted;
    end->accepted += end->accepted < end->count;
    return *out_file < end->count;
}

/* Completions of all receive buffers that `bytes` fill. */
static void hand_over(struct memory_end *end, struct fmx_ring *ring, struct peer *peer,
                      const uint8_t *bytes, size_t count)
{
    uint32_t file = (uint32_t)(peer - end->peers);

    peer->input = bytes;
    for (size_t at = 0; at < count; at += world.buffer_bytes) {
        size_t left = count - at;
        size_t here = left < world.buffer_bytes ? left : world.buffer_bytes;
        memory_complete(ring, peer->recv_tag, (int32_t)here, file << CUT_BITS | peer->lent, true);
        peer->lent++;
    }
}

void memory_end_arm(struct memory_end *end, struct fmx_ring *ring, uint32_t file, uint64_t tag)
{
    struct peer *peer = &end->peers[file];
    char id[32];

    peer->recv_tag = tag;
    peer->is_armed = true;
    if (peer->state == AWAY) {
        peer->state = GREETING;
        (void)snprintf(id, sizeof id, "memory-%u-%u", (unsigned)(end - world.ends), file);
        hand_over(end, ring, peer, peer->hello, wire_connect(peer->hello, id, KEEPALIVE_S));
    } else if (peer->has_ended) {
        peer->is_armed = false;
        memory_complete(ring, tag, 0, FMX_RING_NO_BUFFER, false);
    }
}

bool memory_end_disarm(struct memory_end *end, uint64_t tag)
{
    for (uint32_t i = 0; i < end->count; i++) {
        struct peer *peer = &end->peers[i];
        if (peer->is_armed && peer->recv_tag == tag) {
            peer->is_armed = false;
            return true;
        }
    }
    return false;
}

void memory_end_shut(struct memory_end *end, struct fmx_ring *ring, uint32_t file)
{
    struct peer *peer = &end->peers[file];

    peer->has_ended = true;
    if (peer->is_armed) {
        peer->is_armed = false;
        memory_complete(ring, peer->recv_tag, 0, FMX_RING_NO_BUFFER, false);
    }
}

const uint8_t *memory_end_buffer(const struct memory_end *end, uint32_t buffer)
{
    const struct peer *peer = &end->peers[buffer >> CUT_BITS];

    return peer->input + (size_t)(buffer & (CUTS - 1)) * world.buffer_bytes;
}

void memory_end_give(struct memory_end *end, uint32_t buffer)
{
    end->peers[buffer >> CUT_BITS].lent--;
}

/* ── what a peer is sent ── */

static void expect_first(uint8_t got, unsigned expected)
{
    if (got != expected) {
        memory_fail("a packet begins with 0x%02x where 0x%02x was due", got, expected);
    }
}

/* Whole packets of one size, of a stream that may be cut anywhere. */
static uint32_t count_packets(struct peer *peer, const struct iovec *parts, unsigned parts_count,
                              uint32_t packet_bytes, unsigned first)
{
    size_t bytes = 0;

    if (peer->torn == 0) {
        expect_first(*(const uint8_t *)parts[0].iov_base, first);
    }
    for (unsigned i = 0; i < parts_count; i++) {
        bytes += parts[i].iov_len;
    }
    size_t all = peer->torn + bytes;
    peer->torn = (uint32_t)(all % packet_bytes);
    return (uint32_t)(all / packet_bytes);
}

static void make_room(struct peer *peer)
{
    uint32_t room = peer->acks_room * 2;

    for (unsigned i = 0; i < 2; i++) {
        uint8_t *grown = allocate(1, room);
        memcpy(grown, peer->acks[i], peer->acks_room);
        if (peer->input == peer->acks[i]) {
            peer->input = grown;
        }
        free(peer->acks[i]);
        peer->acks[i] = grown;
    }
    peer->acks_room = room;
}

static void owe_ack(struct memory_end *end, struct peer *peer, uint16_t id)
{
    if (peer->acks_bytes == peer->acks_room) {
        make_room(peer);
    }
    uint8_t *ack = peer->acks[0] + peer->acks_bytes;
    ack[0] = WIRE_PUBACK << 4;
    ack[1] = 2;
    wire_put16(ack + 2, id);
    peer->acks_bytes += ACK_BYTES;
    if (!peer->is_owing) {
        peer->is_owing = true;
        peer->next_owing = end->owing;
        end->owing = peer;
    }
}

/* The identifiers of one part; `torn` is how far into its packet the part begins. */
static uint32_t take_ids(struct memory_end *end, struct peer *peer, const uint8_t *bytes,
                         size_t count)
{
    uint32_t packets = 0;
    size_t begin = 0; /* of what is left, `torn` bytes into a packet */

    while (begin < count) {
        size_t left = count - begin;
        const uint8_t *at = bytes + begin;
        uint32_t torn = peer->torn;
        if (torn == 0) {
            expect_first(at[0], PUBLISH_FIRST | 2);
        }
        if (torn <= world.id_at && torn + left > world.id_at) {
            peer->torn_id = (uint16_t)(at[world.id_at - torn] << 8);
        }
        if (torn <= world.id_at + 1 && torn + left > world.id_at + 1) {
            peer->torn_id |= at[world.id_at + 1 - torn];
        }
        if (torn + left < world.publish_bytes) {
            peer->torn += (uint32_t)left;
            break;
        }
        owe_ack(end, peer, peer->torn_id);
        packets++;
        begin += world.publish_bytes - torn;
        peer->torn = 0;
    }
    return packets;
}

static void on_messages(struct memory_end *end, struct peer *peer, const struct iovec *parts,
                        unsigned parts_count)
{
    struct group *group = peer->group;
    uint32_t packets = 0;

    if (world.load.qos == 0) {
        packets = count_packets(peer, parts, parts_count, world.publish_bytes, PUBLISH_FIRST);
    } else {
        for (unsigned i = 0; i < parts_count; i++) {
            packets += take_ids(end, peer, parts[i].iov_base, parts[i].iov_len);
        }
    }
    count_up(&end->deliveries, packets);
    count_up(&group->seen, packets);
    end->credits_others |= group->is_split;
}

void memory_end_said(struct memory_end *end, uint32_t file, const struct iovec *parts,
                     unsigned parts_count)
{
    struct peer *peer = &end->peers[file];

    switch ((enum state)peer->state) {
    case GREETING:
        (void)count_packets(peer, parts, parts_count, CONNACK_BYTES, WIRE_CONNACK << 4);
        peer->state = peer->is_subscriber ? GREETED : READY;
        break;
    case SUBSCRIBING:
        (void)count_packets(peer, parts, parts_count, SUBACK_BYTES, WIRE_SUBACK << 4);
        peer->state = READY;
        break;
    case READY:
        if (peer->is_subscriber) {
            on_messages(end, peer, parts, parts_count);
        } else {
            peer->unacknowledged -=
                count_packets(peer, parts, parts_count, ACK_BYTES, WIRE_PUBACK << 4);
        }
        return;
    case AWAY:
    case GREETED:
        memory_fail("bytes to a peer that has asked for none");
    }
    if (peer->state == READY) {
        atomic_fetch_add(&world.ready, 1);
    }
}

/* ── what peers say ── */

static void send_acks(struct memory_end *end, struct fmx_ring *ring)
{
    struct peer *peer = end->owing;

    end->owing = NULL;
    while (peer != NULL) {
        struct peer *next = peer->next_owing;
        if (peer->is_armed && peer->lent == 0) {
            uint8_t *bytes = peer->acks[0];
            peer->acks[0] = peer->acks[1];
            peer->acks[1] = bytes;
            hand_over(end, ring, peer, bytes, peer->acks_bytes);
            peer->acks_bytes = 0;
            peer->is_owing = false;
        } else {
            peer->next_owing = end->owing;
            end->owing = peer;
        }
        peer = next;
    }
}

static bool may_publish(const struct peer *peer)
{
    const struct group *group = peer->group;

    if (!peer->is_armed || peer->lent > 0 || peer->unacknowledged > 0 || peer->has_ended) {
        return false;
    }
    uint64_t due = (group->sent + world.load.batch) * world.load.subscribers;
    return due - atomic_load_explicit(&group->seen, memory_order_relaxed) <= world.in_flight_most;
}

static void publish(struct memory_end *end, struct fmx_ring *ring)
{
    for (uint32_t i = 0; i < end->count; i++) {
        struct peer *peer = &end->peers[i];
        if (!peer->is_subscriber && may_publish(peer)) {
            peer->group->sent += world.load.batch;
            peer->unacknowledged = world.load.qos > 0 ? world.load.batch : 0;
            hand_over(end, ring, peer, peer->batch, world.batch_bytes);
        }
    }
}

/* Before the load begins: who has been greeted subscribes. */
static void subscribe(struct memory_end *end, struct fmx_ring *ring)
{
    for (uint32_t i = 0; i < end->accepted; i++) {
        struct peer *peer = &end->peers[i];
        if (peer->state == GREETED && peer->is_armed && peer->lent == 0) {
            size_t bytes = wire_subscribe(peer->hello, peer->group->topic, world.load.qos);
            hand_over(end, ring, peer, peer->hello, bytes);
            peer->state = SUBSCRIBING;
        }
    }
}

bool memory_end_step(struct memory_end *end, struct fmx_ring *ring)
{
    bool credits_others = end->credits_others;

    end->credits_others = false;
    if (end->owing != NULL) {
        send_acks(end, ring);
    }
    if (atomic_load_explicit(&world.is_running, memory_order_relaxed)) {
        publish(end, ring);
    } else if (memory_world_ready() < memory_world_sessions()) {
        subscribe(end, ring);
    }
    return credits_others;
}
