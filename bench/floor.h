/*
 * floor — what the relay and its two ways to the kernel share
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <openssl/base.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOOR_CONNS_MAX 65536u

/* Bytes of one connection that wait to leave. */
struct floor_bytes {
    uint8_t *at;
    size_t begin; /* epoll: what lies before it has left */
    size_t size;
    size_t capacity;
};

struct floor_conn {
    struct floor_bytes out;
    struct floor_bytes wire;    /* TLS: records that wait */
    struct floor_bytes sending; /* io_uring: lent to the kernel */
    struct floor_bytes torn;    /* the first part of a packet */
    uint32_t first_topic;       /* what it subscribes to: topics_count from here on */
    uint32_t topics_count;
    SSL *ssl; /* NULL: plain, or nothing has come */
    bool open;
    bool queued;
    bool in_flight; /* io_uring: a send; epoll: waits for room in the socket */
    bool closing;
};

/* Who subscribes to a topic. */
struct floor_topic {
    uint32_t *conns;
    uint32_t count;
    uint32_t capacity;
};

struct floor {
    struct floor_conn *conns;   /* by descriptor, direct or plain */
    struct floor_topic *topics; /* by number */
    uint32_t *queue;            /* connections with bytes to send at the end of this turn */
    uint32_t queue_count;
    uint32_t buffer_bytes;
    struct floor_tls *tls; /* NULL: plain */
    int listener;
};

/* floor.c */
void floor_append(struct floor_bytes *to, const void *bytes, size_t size);
void floor_on_open(struct floor *floor, uint32_t index);
void floor_on_close(struct floor *floor, uint32_t index);
void floor_queue(struct floor *floor, uint32_t index);
/* Takes what a connection sent; false when it is not what it should be. */
bool floor_on_input(struct floor *floor, uint32_t index, const uint8_t *bytes, size_t size);
/* What waits to leave. */
struct floor_bytes *floor_output(struct floor *floor, struct floor_conn *conn);
/* Relays plaintext. */
bool floor_on_bytes(struct floor *floor, uint32_t index, const uint8_t *bytes, size_t size);

/* floor_tls.c: false means an explanation was printed, or that it is not TLS. */
bool floor_tls_open(struct floor *floor, const char *cert, const char *key);
bool floor_tls_on_bytes(struct floor *floor, uint32_t index, const uint8_t *bytes, size_t size);
/* What waits in `out` becomes records in `wire`. */
void floor_tls_seal(struct floor *floor, struct floor_conn *conn);
void floor_tls_end(struct floor_conn *conn);

/* Each runs until the process is ended; returns only when it cannot run. */
void floor_run_uring(struct floor *floor);
void floor_run_epoll(struct floor *floor);

#endif
