/*
 * load — what the parts of bench_load share: options, connections, results
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench/latency.h"
#include "bench/wire.h"

#include <openssl/base.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define LOAD_SOURCE_PORTS_MAX 7000u
#define LOAD_PAYLOAD_MAX      (1u << 20)
#define LOAD_SECOND_NS        1000000000ull
#define LOAD_TLS_RAW_BYTES    (192u << 10) /* of one receive */
#define LOAD_SPIN_NS          50000ull     /* before a planned time this program no longer sleeps */

struct load_options {
    const char *host;
    const char *name;
    const char *credentials; /* file of "client_id user password"; NULL: anonymous */
    const char *cafile;      /* TLS: who is trusted; NULL: anybody */
    struct wire_topics topics;
    uint16_t port;
    uint32_t seconds;
    uint32_t warmup_s;
    uint32_t payload_bytes;
    uint32_t qos;
    uint32_t window;
    uint32_t count;
    uint32_t few;
    uint32_t inflight;
    uint32_t ping_s;
    uint32_t source_first;
    uint32_t client_first;
    uint32_t slice_ms;    /* a plan's latencies also in parts of this length; 0: not */
    uint16_t tls_version; /* 0x0303, 0x0304 */
    double rate;          /* a second; 0: as fast as it goes */
    int cpu;
    int server_pid;
    bool json;
    bool histogram;
    bool tls;
    bool tls_rsa;
    bool tls_resume;
};

enum load_state {
    LOAD_UNUSED,
    LOAD_SHAKING,
    LOAD_GREETING,
    LOAD_SUBSCRIBING,
    LOAD_READY,
    LOAD_CLOSED
};

struct load_conn {
    int fd;
    enum load_state state;
    bool subscriber;
    bool watches_output;
    uint32_t index;
    uint32_t topic_number; /* what it subscribes to: topics_count from here on */
    uint32_t topics_count;
    uint64_t started_ns; /* with a rate: when it should have been */
    uint64_t ready_ns;
    uint8_t *torn; /* the first part of a packet whose rest has not come */
    size_t torn_size;
    uint8_t *unsent; /* what the socket did not take */
    size_t unsent_begin;
    size_t unsent_size; /* from unsent_begin on */
    SSL *ssl;           /* NULL: plain */
};

struct load_net;
struct load_logins;
struct load_tls;

/* What a scenario wants to hear of; any may be NULL. */
struct load_events {
    void (*on_packet)(void *user, struct load_conn *conn, const struct wire_frame *frame);
    void (*on_read_begin)(void *user, struct load_conn *conn);
    void (*on_read_end)(void *user, struct load_conn *conn);
    void (*on_drained)(void *user, struct load_conn *conn);
};

/* All connections of one run, and the one thread's way to wait for them. */
struct load_net {
    const struct load_options *options;
    const struct load_events *events;
    void *user;
    struct load_conn *conns;
    uint32_t conns_count;
    uint32_t ready_count;
    uint32_t refused_count; /* closed or refused before they were ready */
    uint32_t dropped_count; /* closed by the server afterwards */
    int epoll_fd;
    struct sockaddr_in server;
    uint8_t *input;
    struct load_logins *logins;
    struct load_tls *tls; /* NULL: plain */
    bool closes_at_once;  /* connections, when they are ready */
    struct latency lag;   /* how much later than planned connects began */
};

/* CPU time and wall time between two marks. */
struct load_mark {
    uint64_t wall_ns;
    uint64_t load_cpu_ns;
    uint64_t server_cpu_ns;
    uint64_t server_user_ticks;
    uint64_t server_system_ticks;
};

static inline uint64_t load_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * LOAD_SECOND_NS + (uint64_t)now.tv_nsec;
}

/* When number `n` of a plan is due, after its begin. */
static inline uint64_t load_planned_ns(uint64_t n, double rate)
{
    return (uint64_t)((double)n * 1e9 / rate);
}

/* How long to sleep for something due at `due_ns`: 0 shortly before, and afterwards. */
static inline uint64_t load_sleep_ns(uint64_t due_ns, uint64_t now_ns)
{
    return due_ns > now_ns + LOAD_SPIN_NS ? due_ns - now_ns - LOAD_SPIN_NS : 0;
}

/* load_net.c: false means an explanation was printed. */
bool load_net_open(struct load_net *net, const struct load_options *options, uint32_t conns_count);
void load_net_close(struct load_net *net);
bool load_net_dial(struct load_net *net, uint32_t inflight, double rate);
void load_net_poll(struct load_net *net, uint64_t timeout_ns);
void load_net_send(struct load_net *net, struct load_conn *conn, const void *bytes, size_t size);

/* load_login.c: false means an explanation was printed. */
bool load_logins_open(struct load_net *net);
void load_logins_close(struct load_net *net);
/* `room` is at least 64 bytes; what is returned may point into it. */
struct wire_login load_login_of(const struct load_net *net, uint32_t index, char *room);

/* load_tls.c: TLS of connections; false means an explanation was printed. */
bool load_tls_open(struct load_net *net);
void load_tls_close(struct load_net *net);
/* Only one connection may be begun until it has brought a session. */
bool load_tls_waits_for_session(const struct load_net *net);
/* What load_tls_sealed returns after this begins the handshake. False: no memory. */
bool load_tls_begin(struct load_net *net, struct load_conn *conn);
void load_tls_end(struct load_net *net, struct load_conn *conn);
/* Room for LOAD_TLS_RAW_BYTES, to be received into, and how many have come. */
uint8_t *load_tls_raw(struct load_net *net);
void load_tls_got(struct load_net *net, size_t size);
/* 1: done, 0: more is to come, -1: failed. */
int load_tls_shake(struct load_net *net, struct load_conn *conn);
/* All plaintext of what has come; -1: the end. */
ssize_t load_tls_read(struct load_net *net, struct load_conn *conn, uint8_t *to, size_t room);
bool load_tls_seal(struct load_conn *conn, const void *bytes, size_t size);
/* What the calls before have made, to be sent now; it dies with the next call. */
const uint8_t *load_tls_sealed(struct load_net *net, size_t *out_size);
/* Returns how many should have resumed, and have not. */
uint32_t load_tls_report(const struct load_net *net);

/* load_report.c */
struct load_mark load_mark_take(const struct load_options *options);
void load_report_begin(const struct load_options *options, const char *scenario);
void load_report(const char *name, const char *unit, double value);
void load_report_cpu(struct load_mark from, struct load_mark to, double messages);
void load_report_latency(const struct latency *latency);
void load_report_lag(const struct latency *lag);
void load_report_histogram(const char *name, const struct latency *latency);
void load_report_end(void);

/* One function per scenario; each returns the exit status. */
int load_run_fanin(const struct load_options *options);
int load_run_pairs(const struct load_options *options);
int load_run_fanout(const struct load_options *options);
int load_run_ingest(const struct load_options *options);
int load_run_connect(const struct load_options *options);
int load_run_idle(const struct load_options *options);
int load_run_storm(const struct load_options *options);

#endif
