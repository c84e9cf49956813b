/*
 * load_net — many connections on one epoll, opened at a pace, read and written in batches
 *
 * Why it is so:   the load program shares the machine with what it measures, so a system call saved
 *                 here is a truer figure there: one receive of a large buffer and one send per
 *                 connection and wake-up. Level-triggered epoll needs no bookkeeping of readiness;
 *                 measured, it is not what bounds this program.
 * Words:          dial: socket, bind to a source address, connect, send CONNECT. On loopback the
 *                 handshake is over when connect returns, so CONNECT is tried at once.
 * Invariants:     (1) bytes leave a connection in the order given: nothing is sent directly while
 *                 `unsent` holds something
 *                 (2) a packet handed to on_packet is whole
 * Memory:         an idle connection owns its struct alone, and with TLS its SSL; `torn` and
 *                 `unsent` come and go
 * Limits:         7,000 ports per source address; RLIMIT_NOFILE bounds the connections
 */
#include "bench/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_BYTES    (256u << 10)
#define EVENTS_MAX     512
#define FILES_RESERVED 16u
#define DIAL_TIMEOUT_S 90.0 /* beyond what a rate asks for */
#define KEEPALIVE_S    300u

static bool raise_file_limit(uint32_t conns_count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= conns_count + FILES_RESERVED) {
        return true;
    }
    fprintf(stderr,
            "bench_load: %u connections do not fit: RLIMIT_NOFILE allows %llu open files per "
            "process; use several processes with different --source and --name\n",
            conns_count, (unsigned long long)limit.rlim_cur);
    return false;
}

static bool set_server(struct load_net *net)
{
    net->server.sin_family = AF_INET;
    net->server.sin_port = htons(net->options->port);
    if (inet_pton(AF_INET, net->options->host, &net->server.sin_addr) == 1 &&
        ntohl(net->server.sin_addr.s_addr) >> 24 == 127) {
        return true;
    }
    fprintf(stderr, "bench_load: --host must be an address of 127.0.0.0/8\n");
    return false;
}

bool load_net_open(struct load_net *net, const struct load_options *options, uint32_t conns_count)
{
    *net = (struct load_net){.options = options, .conns_count = conns_count, .epoll_fd = -1};
    if (!raise_file_limit(conns_count) || !set_server(net)) {
        return false;
    }
    net->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    net->conns = calloc(conns_count, sizeof *net->conns);
    net->input = malloc(INPUT_BYTES + LOAD_PAYLOAD_MAX + 64);
    if (net->epoll_fd < 0 || !net->conns || !net->input) {
        fprintf(stderr, "bench_load: out of memory or files\n");
        return false;
    }
    for (uint32_t i = 0; i < conns_count; i++) {
        net->conns[i] = (struct load_conn){.fd = -1, .index = i};
    }
    return load_logins_open(net) && load_tls_open(net);
}

/* Closes with a reset, so that no port stays in TIME_WAIT. */
static void close_conn(struct load_net *net, struct load_conn *conn)
{
    load_tls_end(net, conn);
    if (conn->fd >= 0) {
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(conn->fd);
    }
    free(conn->torn);
    free(conn->unsent);
    conn->torn = NULL;
    conn->unsent = NULL;
    conn->torn_size = 0;
    conn->unsent_size = 0;
    conn->fd = -1;
    conn->state = LOAD_CLOSED;
}

void load_net_close(struct load_net *net)
{
    for (uint32_t i = 0; net->conns && i < net->conns_count; i++) {
        close_conn(net, &net->conns[i]);
    }
    if (net->epoll_fd >= 0) {
        close(net->epoll_fd);
    }
    load_logins_close(net);
    load_tls_close(net);
    free(net->conns);
    free(net->input);
}

static void lose_conn(struct load_net *net, struct load_conn *conn)
{
    if (conn->state == LOAD_CLOSED) {
        return;
    }
    if (conn->state == LOAD_READY) {
        net->dropped_count++;
    } else {
        net->refused_count++;
    }
    close_conn(net, conn);
}

static void watch(struct load_net *net, struct load_conn *conn, int operation, bool output)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (output) {
        event.events |= EPOLLOUT;
    }
    conn->watches_output = output;
    epoll_ctl(net->epoll_fd, operation, conn->fd, &event);
}

/* Adds to what waits for the socket; without memory the connection is given up. */
static void keep_unsent(struct load_net *net, struct load_conn *conn, const void *bytes,
                        size_t size)
{
    size_t end = conn->unsent_begin + conn->unsent_size;
    uint8_t *grown = realloc(conn->unsent, end + size);
    if (!grown) {
        lose_conn(net, conn);
        return;
    }
    memcpy(grown + end, bytes, size);
    conn->unsent = grown;
    conn->unsent_size += size;
}

/* Bytes the socket took, or -1 when the connection is gone. A socket that is still
 * connecting takes none. */
static ssize_t send_some(const struct load_conn *conn, const void *bytes, size_t size)
{
    ssize_t sent = send(conn->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) {
        return 0;
    }
    return sent;
}

/* As they are: with TLS, sealed. */
static void send_bytes(struct load_net *net, struct load_conn *conn, const void *bytes, size_t size)
{
    size_t done = 0;
    if (conn->unsent_size == 0) {
        ssize_t sent = send_some(conn, bytes, size);
        if (sent < 0) {
            lose_conn(net, conn);
            return;
        }
        done = (size_t)sent;
    }
    if (done < size) {
        keep_unsent(net, conn, (const uint8_t *)bytes + done, size - done);
        if (conn->fd >= 0 && !conn->watches_output) {
            watch(net, conn, EPOLL_CTL_MOD, true);
        }
    }
}

static void send_sealed(struct load_net *net, struct load_conn *conn)
{
    size_t size;
    const uint8_t *sealed = load_tls_sealed(net, &size);
    if (size > 0) {
        send_bytes(net, conn, sealed, size);
    }
}

void load_net_send(struct load_net *net, struct load_conn *conn, const void *bytes, size_t size)
{
    if (conn->state == LOAD_CLOSED) {
        return;
    }
    if (!conn->ssl) {
        send_bytes(net, conn, bytes, size);
    } else if (load_tls_seal(conn, bytes, size)) {
        send_sealed(net, conn);
    } else {
        lose_conn(net, conn);
    }
}

static void send_unsent(struct load_net *net, struct load_conn *conn)
{
    ssize_t sent = send_some(conn, conn->unsent + conn->unsent_begin, conn->unsent_size);
    if (sent < 0) {
        lose_conn(net, conn);
        return;
    }
    conn->unsent_size -= (size_t)sent;
    conn->unsent_begin += (size_t)sent;
    if (conn->unsent_size > 0) {
        return;
    }
    free(conn->unsent);
    conn->unsent = NULL;
    conn->unsent_begin = 0;
    watch(net, conn, EPOLL_CTL_MOD, false);
    if (conn->state == LOAD_READY && net->events && net->events->on_drained) {
        net->events->on_drained(net->user, conn);
    }
}

static void become_ready(struct load_net *net, struct load_conn *conn)
{
    conn->state = LOAD_READY;
    conn->ready_ns = load_now_ns();
    net->ready_count++;
    if (net->closes_at_once) {
        close_conn(net, conn);
    }
}

static void on_connack(struct load_net *net, struct load_conn *conn, const struct wire_frame *frame)
{
    if (wire_kind(frame) != WIRE_CONNACK || frame->body_size < 2 || frame->body[1] != 0) {
        lose_conn(net, conn);
    } else if (!conn->subscriber) {
        become_ready(net, conn);
    } else {
        uint8_t packet[WIRE_PACKET_ROOM];
        size_t size = wire_subscribe_to(packet, &net->options->topics, conn->topic_number,
                                        conn->topics_count, net->options->qos);
        conn->state = LOAD_SUBSCRIBING;
        load_net_send(net, conn, packet, size);
    }
}

static bool is_granted(const struct load_net *net, const struct load_conn *conn,
                       const struct wire_frame *frame)
{
    bool granted = wire_kind(frame) == WIRE_SUBACK && frame->body_size == 2 + conn->topics_count;
    for (uint32_t i = 0; granted && i < conn->topics_count; i++) {
        granted = frame->body[2 + i] == net->options->qos;
    }
    return granted;
}

static void on_suback(struct load_net *net, struct load_conn *conn, const struct wire_frame *frame)
{
    if (is_granted(net, conn, frame)) {
        become_ready(net, conn);
    } else {
        lose_conn(net, conn);
    }
}

static void on_packet(struct load_net *net, struct load_conn *conn, const struct wire_frame *frame)
{
    if (conn->state == LOAD_READY) {
        if (net->events && net->events->on_packet) {
            net->events->on_packet(net->user, conn, frame);
        }
    } else if (conn->state == LOAD_GREETING) {
        on_connack(net, conn, frame);
    } else if (conn->state == LOAD_SUBSCRIBING) {
        on_suback(net, conn, frame);
    }
}

/* Walks the whole packets of the input and keeps the torn rest. */
static void walk_input(struct load_net *net, struct load_conn *conn, size_t size)
{
    struct wire_frame frame;
    size_t at = 0;
    int found = 0;
    while (at < size && (found = wire_next(net->input + at, size - at, &frame)) == 1) {
        on_packet(net, conn, &frame);
        at += frame.size;
    }
    size_t rest = size - at;
    if (found < 0 || rest > LOAD_PAYLOAD_MAX + 64) {
        lose_conn(net, conn);
    }
    if (conn->state == LOAD_CLOSED) {
        return;
    }
    if (rest > conn->torn_size) {
        free(conn->torn);
        conn->torn = malloc(rest);
    }
    if (rest > 0 && conn->torn) {
        memcpy(conn->torn, net->input + at, rest);
    }
    conn->torn_size = rest;
}

/* Adds to a torn packet that these bytes do not complete, so that a large one is copied once. */
static bool add_to_torn(struct load_conn *conn, const uint8_t *bytes, size_t size)
{
    struct wire_frame frame = {0};
    if (conn->torn_size == 0 || wire_next(conn->torn, conn->torn_size, &frame) != 0 ||
        frame.size > LOAD_PAYLOAD_MAX + 64 || conn->torn_size + size >= frame.size) {
        return false;
    }
    uint8_t *grown = realloc(conn->torn, frame.size);
    if (!grown) {
        return false;
    }
    memcpy(grown + conn->torn_size, bytes, size);
    conn->torn = grown;
    conn->torn_size += size;
    return true;
}

static void greet(struct load_net *net, struct load_conn *conn)
{
    uint32_t seconds = net->options->seconds;
    uint32_t keepalive_s =
        seconds < KEEPALIVE_S / 2 || net->options->ping_s > 0 ? KEEPALIVE_S : 2 * seconds;
    char room[64];
    uint8_t packet[WIRE_PACKET_ROOM];
    struct wire_login login = load_login_of(net, conn->index, room);
    conn->state = LOAD_GREETING;
    load_net_send(net, conn, packet, wire_connect_as(packet, &login, (uint16_t)keepalive_s));
}

/* Goes on with the handshake; -1: it has failed. */
static int shake(struct load_net *net, struct load_conn *conn)
{
    int result = load_tls_shake(net, conn);
    if (result == 1) {
        greet(net, conn); /* leaves with what the handshake ends with */
    } else {
        send_sealed(net, conn);
    }
    return result;
}

/* As recv: plaintext; with TLS there may be none yet. */
static ssize_t receive(struct load_net *net, struct load_conn *conn)
{
    uint8_t *to = net->input + conn->torn_size;
    if (!conn->ssl) {
        return recv(conn->fd, to, INPUT_BYTES, MSG_DONTWAIT);
    }
    ssize_t got = recv(conn->fd, load_tls_raw(net), LOAD_TLS_RAW_BYTES, MSG_DONTWAIT);
    if (got <= 0) {
        return got;
    }
    load_tls_got(net, (size_t)got);
    if (conn->state == LOAD_SHAKING && shake(net, conn) < 0) {
        return 0;
    }
    got = 0;
    if (conn->state != LOAD_SHAKING && conn->state != LOAD_CLOSED) {
        got = load_tls_read(net, conn, to, INPUT_BYTES);
        send_sealed(net, conn);
    }
    errno = EAGAIN;
    return got > 0 ? got : got < 0 ? 0 : -1;
}

static void read_conn(struct load_net *net, struct load_conn *conn)
{
    ssize_t got = receive(net, conn);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        lose_conn(net, conn);
        return;
    }
    bool tells = conn->state == LOAD_READY && net->events;
    if (tells && net->events->on_read_begin) {
        net->events->on_read_begin(net->user, conn);
    }
    if (!add_to_torn(conn, net->input + conn->torn_size, (size_t)got)) {
        if (conn->torn_size > 0) {
            memcpy(net->input, conn->torn, conn->torn_size);
        }
        walk_input(net, conn, conn->torn_size + (size_t)got);
    }
    if (tells && net->events->on_read_end) {
        net->events->on_read_end(net->user, conn);
    }
}

void load_net_poll(struct load_net *net, uint64_t timeout_ns)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / LOAD_SECOND_NS),
        .tv_nsec = (long)(timeout_ns % LOAD_SECOND_NS),
    };
    int count = epoll_pwait2(net->epoll_fd, events, EVENTS_MAX, &timeout, NULL);
    for (int i = 0; i < count; i++) {
        struct load_conn *conn = events[i].data.ptr;
        if (conn->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
            read_conn(net, conn);
        }
        if (conn->fd >= 0 && (events[i].events & EPOLLOUT) && conn->unsent_size > 0) {
            send_unsent(net, conn);
        }
    }
}

static int open_socket(const struct load_net *net, uint32_t index)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    uint32_t source = net->options->source_first + index / LOAD_SOURCE_PORTS_MAX;
    struct sockaddr_in from = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(0x7f000002 + source),
    };
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        (connect(fd, (const struct sockaddr *)&net->server, sizeof net->server) < 0 &&
         errno != EINPROGRESS)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void dial(struct load_net *net, struct load_conn *conn, uint64_t planned_ns)
{
    conn->started_ns = planned_ns;
    conn->state = LOAD_SHAKING;
    conn->fd = open_socket(net, conn->index);
    if (conn->fd < 0) {
        lose_conn(net, conn);
        return;
    }
    watch(net, conn, EPOLL_CTL_ADD, false);
    if (!net->tls) {
        greet(net, conn);
    } else if (load_tls_begin(net, conn)) {
        send_sealed(net, conn);
    } else {
        lose_conn(net, conn);
    }
}

/* Begins what may begin now; returns how long nothing else will have to. */
static uint64_t dial_due(struct load_net *net, uint32_t *started, uint64_t begin_ns,
                         uint32_t inflight, double rate)
{
    while (*started < net->conns_count &&
           *started - net->ready_count - net->refused_count < inflight &&
           (*started == 0 || !load_tls_waits_for_session(net))) {
        uint64_t now_ns = load_now_ns();
        uint64_t due_ns = rate > 0 ? begin_ns + load_planned_ns(*started, rate) : now_ns;
        if (due_ns > now_ns) {
            return load_sleep_ns(due_ns, now_ns);
        }
        if (rate > 0) {
            latency_add(&net->lag, now_ns - due_ns);
        }
        dial(net, &net->conns[(*started)++], due_ns);
    }
    return LOAD_SECOND_NS / 10;
}

bool load_net_dial(struct load_net *net, uint32_t inflight, double rate)
{
    uint64_t begin_ns = load_now_ns();
    double planned_s = rate > 0 ? net->conns_count / rate : 0;
    uint64_t end_ns = begin_ns + (uint64_t)((planned_s + DIAL_TIMEOUT_S) * 1e9);
    uint32_t started = 0;
    while (net->ready_count + net->refused_count < net->conns_count && load_now_ns() < end_ns) {
        load_net_poll(net, dial_due(net, &started, begin_ns, inflight, rate));
    }
    if (net->ready_count == net->conns_count && net->dropped_count == 0) {
        return true;
    }
    fprintf(stderr, "bench_load: only %u of %u connections became ready, %u of them dropped\n",
            net->ready_count, net->conns_count, net->dropped_count);
    return false;
}
