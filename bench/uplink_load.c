/*
 * uplink_load — the publishers of bench_uplink: one process, plain sockets, a closed loop
 *
 * Why it is so:   nobody subscribes, so it is the callback that gives credit: the sequence number
 *                 of the last message it has heard of each connection lies in shared memory. At
 *                 QoS 1 a message counts as under way until its PUBACK has come as well, and each
 *                 PUBACK is held against what had been heard by then
 * Words:          window: messages of a connection under way; a connection sends when half of it
 *                 is free, so that a message rarely travels alone
 * Memory:         one batch of packets for all, and what a socket did not take for each
 * Threads:        one
 * Limits:         MQTT 3.1.1; UPLINK_CONNS_MAX connections, all from one address
 */
#include "bench/uplink.h"
#include "bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define INPUT_BYTES    65536u
#define EVENTS_MAX     256
#define ACK_BYTES      4u
#define CONNACK_BYTES  4u
#define HELLO_BYTES    128u
#define DRAIN_NS       2000000000ull /* without a message heard */
#define EPOLL_WAIT_MS  1
#define PACKET_ID_MASK 0xffffu

struct conn {
    int fd;
    uint32_t sent; /* the sequence number of its last message */
    uint32_t acknowledged;
    uint32_t torn_bytes;
    uint8_t torn[ACK_BYTES];
    uint8_t *unsent; /* what the socket did not take */
    size_t unsent_begin;
    size_t unsent_end;
};

struct load {
    const struct uplink_row *row;
    struct uplink_shared *shared;
    struct conn *conns;
    int epoll;
    size_t packet_bytes;
    size_t prefix_bytes;
    uint8_t *batch; /* `window` packets */
    uint8_t *input;
};

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);

    if (memory == NULL) {
        uplink_fail("load: memory ran out");
    }
    return memory;
}

/* ── connecting ── */

static void greet(struct load *load, uint32_t index)
{
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)atomic_load(&load->shared->port)),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint8_t packet[HELLO_BYTES];
    char id[32];
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(id, sizeof id, "uplink-%u", index);
    size_t bytes = wire_connect(packet, id, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        send(fd, packet, bytes, MSG_NOSIGNAL) != (ssize_t)bytes ||
        recv(fd, packet, CONNACK_BYTES, MSG_WAITALL) != CONNACK_BYTES ||
        packet[0] != WIRE_CONNACK << 4 || packet[3] != 0) {
        uplink_fail("load: connection %u of %u was refused: %s", index + 1, load->row->connections,
                    strerror(errno));
    }
    load->conns[index].fd = fd;
}

static void watch(struct load *load, struct conn *conn, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};

    if (epoll_ctl(load->epoll, operation, conn->fd, &event) < 0) {
        uplink_fail("load: epoll: %s", strerror(errno));
    }
}

static void open_load(struct load *load, const struct uplink_row *row, struct uplink_shared *shared)
{
    *load = (struct load){.row = row, .shared = shared, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    load->prefix_bytes = wire_publish_prefix(row->qos, row->payload_bytes);
    load->packet_bytes = load->prefix_bytes + row->payload_bytes;
    load->batch = allocate(load->packet_bytes * row->window);
    load->input = allocate(INPUT_BYTES);
    load->conns = allocate(row->connections * sizeof *load->conns);
    for (uint32_t i = 0; i < row->window; i++) {
        (void)wire_publish(load->batch + i * load->packet_bytes, 0, row->qos, row->payload_bytes);
    }
    for (uint32_t i = 0; i < row->connections; i++) {
        greet(load, i);
        watch(load, &load->conns[i], EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* ── sending ── */

static void stamp(const struct load *load, uint8_t *packet, uint32_t conn, uint32_t sequence)
{
    uint32_t words[] = {conn, sequence};

    memcpy(packet + load->prefix_bytes, words, sizeof words);
    if (load->row->qos > 0) { /* 1 … 65,535 */
        wire_put16(packet + load->prefix_bytes - 2,
                   (uint16_t)((sequence - 1) % PACKET_ID_MASK + 1));
    }
}

static void keep_unsent(struct load *load, struct conn *conn, const uint8_t *bytes, size_t count)
{
    if (conn->unsent == NULL) {
        conn->unsent = allocate(load->packet_bytes * load->row->window);
    }
    memcpy(conn->unsent, bytes, count);
    conn->unsent_begin = 0;
    conn->unsent_end = count;
    watch(load, conn, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static size_t give(struct load *load, struct conn *conn, const uint8_t *bytes, size_t count)
{
    ssize_t taken = send(conn->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (taken < 0 && errno != EAGAIN) {
        load->shared->broken++;
        return count;
    }
    return taken < 0 ? 0 : (size_t)taken;
}

static uint32_t under_way(const struct load *load, const struct conn *conn)
{
    uint32_t index = (uint32_t)(conn - load->conns);
    uint32_t seen = atomic_load_explicit(&load->shared->heard[index], memory_order_relaxed);

    if (load->row->qos > 0 && conn->acknowledged < seen) {
        seen = conn->acknowledged;
    }
    return conn->sent - seen;
}

static bool publish(struct load *load, struct conn *conn)
{
    uint32_t credit = load->row->window - under_way(load, conn);

    if (conn->unsent_end > 0 || credit * 2 < load->row->window) {
        return false;
    }
    for (uint32_t i = 0; i < credit; i++) {
        stamp(load, load->batch + i * load->packet_bytes, (uint32_t)(conn - load->conns),
              ++conn->sent);
    }
    size_t bytes = credit * load->packet_bytes;
    size_t taken = give(load, conn, load->batch, bytes);
    if (taken < bytes) {
        keep_unsent(load, conn, load->batch + taken, bytes - taken);
    }
    return true;
}

static bool publish_all(struct load *load)
{
    bool has_sent = false;

    for (uint32_t i = 0; i < load->row->connections; i++) {
        has_sent |= publish(load, &load->conns[i]);
    }
    return has_sent;
}

static void send_rest(struct load *load, struct conn *conn)
{
    conn->unsent_begin +=
        give(load, conn, conn->unsent + conn->unsent_begin, conn->unsent_end - conn->unsent_begin);
    if (conn->unsent_begin == conn->unsent_end) {
        conn->unsent_end = 0;
        watch(load, conn, EPOLL_CTL_MOD, EPOLLIN);
    }
}

/* ── acknowledgements ── */

static void take_ack(struct load *load, struct conn *conn, const uint8_t *ack)
{
    uint32_t index = (uint32_t)(conn - load->conns);
    uint32_t sequence = ++conn->acknowledged;

    if (ack[0] != WIRE_PUBACK << 4 || ack[1] != 2 ||
        wire_get16(ack + 2) != (sequence - 1) % PACKET_ID_MASK + 1) {
        load->shared->broken++;
    }
    /* acquire: pairs with uplink_hear */
    if (atomic_load_explicit(&load->shared->heard[index], memory_order_acquire) < sequence) {
        load->shared->early++;
    }
}

static void take_input(struct load *load, struct conn *conn, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        if (conn->torn_bytes == 0 && count >= ACK_BYTES) {
            take_ack(load, conn, bytes);
            bytes += ACK_BYTES;
            count -= ACK_BYTES;
            continue;
        }
        conn->torn[conn->torn_bytes++] = *bytes++;
        count--;
        if (conn->torn_bytes == ACK_BYTES) {
            conn->torn_bytes = 0;
            take_ack(load, conn, conn->torn);
        }
    }
}

static void receive(struct load *load, struct conn *conn)
{
    ssize_t got = recv(conn->fd, load->input, INPUT_BYTES, MSG_DONTWAIT);

    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        load->shared->broken++;
        watch(load, conn, EPOLL_CTL_DEL, 0);
    } else if (got > 0) {
        take_input(load, conn, load->input, (size_t)got);
    }
}

/* ── the loop ── */

static void poll_once(struct load *load, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(load->epoll, events, EVENTS_MAX, timeout_ms);

    for (int i = 0; i < count; i++) {
        struct conn *conn = events[i].data.ptr;
        if ((events[i].events & EPOLLOUT) != 0) {
            send_rest(load, conn);
        }
        if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0) {
            receive(load, conn);
        }
    }
}

static bool is_drained(const struct load *load)
{
    for (uint32_t i = 0; i < load->row->connections; i++) {
        if (under_way(load, &load->conns[i]) > 0) {
            return false;
        }
    }
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* What is under way is waited for as long as some of it still comes. */
static void drain(struct load *load)
{
    uint64_t seen = 0;
    uint64_t seen_ns = now_ns();

    while (!is_drained(load) && now_ns() - seen_ns < DRAIN_NS) {
        poll_once(load, EPOLL_WAIT_MS);
        uint64_t messages = atomic_load(&load->shared->messages);
        if (messages != seen) {
            seen = messages;
            seen_ns = now_ns();
        }
    }
}

static void sum_up(struct load *load)
{
    for (uint32_t i = 0; i < load->row->connections; i++) {
        load->shared->sent += load->conns[i].sent;
        load->shared->acknowledged += load->conns[i].acknowledged;
    }
}

void uplink_load(const struct uplink_row *row, struct uplink_shared *shared)
{
    struct load load;
    bool has_sent = true;

    open_load(&load, row, shared);
    atomic_store(&shared->is_loaded, true);
    while (!atomic_load_explicit(&shared->ends, memory_order_relaxed)) {
        poll_once(&load, has_sent || row->qos == 0 ? 0 : EPOLL_WAIT_MS);
        has_sent = publish_all(&load);
        if (!has_sent) {
            sched_yield();
        }
    }
    drain(&load);
    sum_up(&load);
    atomic_store(&shared->has_ended, true);
    _exit(0);
}
