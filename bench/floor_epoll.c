/*
 * floor_epoll — the relay on a bare epoll
 *
 * Why it is so:   the second denominator: what the older interface would give the same relay,
 *                 so that the choice of interface is itself a measured figure.
 */
#include "bench/floor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX  512
#define INPUT_BYTES (256u << 10)

static uint8_t input[INPUT_BYTES];

static void watch(int epoll, int operation, uint32_t index, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = index};
    epoll_ctl(epoll, operation, (int)index, &event);
}

static void accept_all(struct floor *floor, int epoll)
{
    for (int i = 0; i < 64; i++) {
        int fd = accept4(floor->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        if ((uint32_t)fd >= FLOOR_CONNS_MAX) {
            close(fd);
            continue;
        }
        floor_on_open(floor, (uint32_t)fd);
        watch(epoll, EPOLL_CTL_ADD, (uint32_t)fd, EPOLLIN);
    }
}

static void close_conn(struct floor *floor, uint32_t index)
{
    floor_on_close(floor, index);
    close((int)index);
}

static void read_conn(struct floor *floor, uint32_t index)
{
    ssize_t got = recv((int)index, input, sizeof input, 0);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0 || !floor_on_input(floor, index, input, (size_t)got)) {
        close_conn(floor, index);
    }
}

static void send_out(struct floor *floor, int epoll, uint32_t index)
{
    struct floor_conn *conn = &floor->conns[index];
    struct floor_bytes *out = floor_output(floor, conn);
    ssize_t sent = send((int)index, out->at + out->begin, out->size - out->begin, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        sent = (ssize_t)(out->size - out->begin); /* a broken one shows at its next read */
    }
    out->begin += sent < 0 ? 0 : (size_t)sent;
    bool waits = out->begin < out->size;
    if (!waits) {
        out->begin = 0;
        out->size = 0;
    }
    if (waits != conn->in_flight) {
        conn->in_flight = waits;
        watch(epoll, EPOLL_CTL_MOD, index, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static void flush(struct floor *floor, int epoll)
{
    for (uint32_t i = 0; i < floor->queue_count; i++) {
        struct floor_conn *conn = &floor->conns[floor->queue[i]];
        conn->queued = false;
        if (conn->open && !conn->in_flight && floor_output(floor, conn)->size > 0) {
            send_out(floor, epoll, floor->queue[i]);
        }
    }
    floor->queue_count = 0;
}

static void on_event(struct floor *floor, int epoll, const struct epoll_event *event)
{
    uint32_t index = event->data.u32;
    if (index == (uint32_t)floor->listener) {
        accept_all(floor, epoll);
        return;
    }
    if (floor->conns[index].in_flight && (event->events & EPOLLOUT)) {
        send_out(floor, epoll, index);
    }
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        read_conn(floor, index);
    }
}

void floor_run_epoll(struct floor *floor)
{
    struct epoll_event events[EVENTS_MAX];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event listening = {.events = EPOLLIN, .data.u32 = (uint32_t)floor->listener};
    if (epoll < 0 || fcntl(floor->listener, F_SETFL, O_NONBLOCK) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, floor->listener, &listening) < 0) {
        perror("bench_floor: epoll");
        return;
    }
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR) {
            return;
        }
        for (int i = 0; i < count; i++) {
            on_event(floor, epoll, &events[i]);
        }
        flush(floor, epoll);
    }
}
