/*
 * uplink.h — what the processes of bench_uplink share: the row, and one page of counters
 *
 * uplink.c has main and the report; uplink_server.c runs what is measured, uplink_load.c the
 * publishers; uplink_consumer.c is the consumer on libmosquitto, a program of its own.
 */
#ifndef BENCH_UPLINK_H
#define BENCH_UPLINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define UPLINK_CONNS_MAX   4000u
#define UPLINK_STAMP_BYTES 8u /* of a payload: connection and sequence number */

struct uplink_row {
    uint32_t connections;
    uint32_t qos;
    uint32_t payload_bytes;
    uint32_t window;
};

/* Shared by all processes of a round. Each field is written by one of them. */
struct uplink_shared {
    _Atomic uint32_t port;   /* server: where it listens */
    _Atomic bool is_hearing; /* server or consumer: all that is sent from now on is counted */
    _Atomic bool is_loaded;  /* load: all connections publish */
    _Atomic bool ends;       /* main: stop publishing */
    _Atomic bool has_ended;  /* load: all that was sent has been heard, or never will be */

    /* load, at its end */
    uint64_t sent;
    uint64_t acknowledged;
    uint64_t early;  /* PUBACKs of messages that had not been heard */
    uint64_t broken; /* connections lost, answers that are none */

    /* fleetmux, while it is measured */
    _Alignas(64) _Atomic uint64_t enters;
    _Atomic uint64_t torn;

    /* the callback */
    _Alignas(64) _Atomic uint64_t messages;
    _Atomic uint64_t bytes;
    uint64_t sum;
    uint64_t disorder;                        /* sequence numbers that were not the next */
    _Atomic uint32_t heard[UPLINK_CONNS_MAX]; /* of each connection, its last one */
};

static inline void uplink_count_up(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, now + by, memory_order_relaxed);
}

/* What either consumer does with a message; one thread. */
static inline void uplink_hear(struct uplink_shared *shared, const uint8_t *payload, size_t bytes)
{
    uint32_t stamp[2];

    if (bytes < sizeof stamp) {
        shared->disorder++;
        return;
    }
    memcpy(stamp, payload, sizeof stamp);
    shared->sum += payload[0] + payload[bytes - 1];
    uplink_count_up(&shared->messages, 1);
    uplink_count_up(&shared->bytes, bytes);
    if (stamp[0] >= UPLINK_CONNS_MAX ||
        stamp[1] != atomic_load_explicit(&shared->heard[stamp[0]], memory_order_relaxed) + 1) {
        shared->disorder++;
        return;
    }
    /* release: whoever sees an acknowledgement sees that it was heard before */
    atomic_store_explicit(&shared->heard[stamp[0]], stamp[1], memory_order_release);
}

/* Ends the process with these words. */
__attribute__((noreturn, format(printf, 1, 2))) void uplink_fail(const char *format, ...);

void uplink_pin(uint32_t cpu);
void uplink_pause_ms(uint32_t ms);

/* ── processes of a round ──────────────────────────────────────────────────────────────────── */

#define UPLINK_SERVER_PROCESSES 2u

struct uplink_server {
    const char *name;
    pid_t pids[UPLINK_SERVER_PROCESSES]; /* 0: none */
};

/* Each returns when `is_hearing`. `memory` is the descriptor of the shared page. */
void uplink_start_fleetmux(struct uplink_server *server, struct uplink_shared *shared);
void uplink_start_mosquitto(struct uplink_server *server, struct uplink_shared *shared, int memory,
                            const char *consumer, uint32_t qos);
void uplink_stop(struct uplink_server *server);

/* The publishers; the process ends with it. */
__attribute__((noreturn)) void uplink_load(const struct uplink_row *row,
                                           struct uplink_shared *shared);

#endif
