/*
 * support.h — what the loop tests share: gateways and fleets in one line, waiting, and plain peers
 *
 * A loop test waits by looking, never by sleeping for a while: LOOP_WAIT looks until the condition
 * holds. After the first wait of a case that was in vain the others of that case are short, so that
 * a case that fails ends soon and still takes apart what it built.
 */
#ifndef FMX_TESTS_LOOP_SUPPORT_H
#define FMX_TESTS_LOOP_SUPPORT_H

#include <fleetmux/fleet.h>
#include <fleetmux/gateway.h>
#include "tests/support/run.h"

#include <pthread.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOOP_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LOOP_SANITIZED 1
#endif
#endif
#ifndef LOOP_SANITIZED
#define LOOP_SANITIZED 0
#endif

/* So many in a plain build; so many where every step is watched. */
#define LOOP_SIZE(plain, sanitized) (LOOP_SANITIZED ? (sanitized) : (plain))

#define LOOP_MS_NS 1000000ull

/* What a fleet or a gateway may take to end: it ends as soon as all is done. */
#define LOOP_DRAIN_MS LOOP_SIZE(15000u, 45000u)

/* ── waiting ── */

uint64_t loop_now_ms(void);
void loop_pause_ms(unsigned ms);

/* A case begins: waits are long again. */
void loop_begin(void);

/* How long a wait that begins now may take. */
uint64_t loop_patience_ms(void);

/* A wait was in vain: says so on standard error. */
void loop_note_vain(const char *file, int line, const char *condition);

#define LOOP_WAIT(condition)                                                                       \
    do {                                                                                           \
        uint64_t loop_until_ms = loop_now_ms() + loop_patience_ms();                               \
        bool loop_holds = (condition);                                                             \
        while (!loop_holds && loop_now_ms() < loop_until_ms) {                                     \
            loop_pause_ms(2);                                                                      \
            loop_holds = (condition);                                                              \
        }                                                                                          \
        if (!loop_holds) {                                                                         \
            loop_note_vain(__FILE__, __LINE__, #condition);                                        \
        }                                                                                          \
        CU_assertImplementation(loop_holds, __LINE__, "LOOP_WAIT(" #condition ")", __FILE__, "",   \
                                CU_FALSE);                                                         \
    } while (0)

/* Prints both sides, which CUnit does not. */
#define LOOP_EQUAL(actual, expected)                                                               \
    loop_check_equal((uint64_t)(actual), (uint64_t)(expected), #actual " == " #expected, __FILE__, \
                     __LINE__)
void loop_check_equal(uint64_t actual, uint64_t expected, const char *words, const char *file,
                      int line);

/* ── gateways and fleets ── */

/* What the service publishes. */
enum fmx_status loop_service_publish(struct fmx_gateway_caller *caller, fmx_slice topic,
                                     fmx_slice payload, uint8_t qos);

/* Defaults, one listener on 127.0.0.1 with a port of the system's choice, no log but warnings. */
void loop_gateway_options(struct fmx_gateway_options *options, uint32_t shards_count);

/* Opens and starts; ends the case if that fails. */
struct fmx_gateway *loop_gateway_start(const struct fmx_gateway_options *options);

/* A gateway with defaults. */
struct fmx_gateway *loop_gateway(uint32_t shards_count);

struct fmx_stats loop_stats(const struct fmx_gateway *gateway);

/* Sessions, connections, queues and subscriptions are back to nothing. */
void loop_expect_empty(const struct fmx_gateway *gateway);

void loop_gateway_end(struct fmx_gateway *gateway);

/*
 * A plan of one group with at most one topic; loop_fleet puts it together. Reconnecting is on if
 * group.reconnect_min_ms is not 0, and it is a closed loop if publish.interval_ns is.
 */
struct loop_plan {
    struct fmx_fleet_plan whole;
    struct fmx_fleet_group group;
    struct fmx_fleet_publish publish; /* if it has a topic, or posts */
    double connects_per_second;       /* 0: as fast as it goes */
    const fmx_template *filters;
    size_t filters_count;
    uint8_t subscribe_qos;
    struct fmx_fleet_group joined; /* loop_plan_join's, as are the next two */
    struct fmx_fleet_subscribe subscribes[FMX_FLEET_SUBSCRIBES_MAX + 1];
    struct fmx_fleet_stage stages[2];
};

/* Defaults, connects at full speed, no log but warnings. */
void loop_plan(struct loop_plan *plan, uint32_t clients_count, const char *client_id);

/* The plan for the library; it points into `plan`. */
const struct fmx_fleet_plan *loop_plan_join(struct loop_plan *plan);

/* Opens and starts; ends the case if that fails. The second one goes towards 127.0.0.1:port. */
struct fmx_fleet *loop_fleet_start(const struct fmx_fleet_plan *plan);
struct fmx_fleet *loop_fleet(struct loop_plan *plan, uint16_t port);

/* For plans of two groups: a group with defaults and one target; */
void loop_group(struct fmx_fleet_group *group, const char *client_id, uint32_t clients_count,
                const char *const *target);

/* the plan, of two shards, with no log but errors; */
void loop_plan_of_two(struct fmx_fleet_plan *plan, const struct fmx_fleet_group *groups,
                      const struct fmx_fleet_stage *stages, size_t stages_count);

/* and three stages: all of group `first` come before the other one's, and then they stay. */
void loop_stages_of_two(struct fmx_fleet_stage *stages, unsigned first);

struct fmx_fleet_snapshot loop_look(const struct fmx_fleet *fleet);
struct fmx_latency loop_latency(const struct fmx_fleet *fleet, enum fmx_fleet_latency latency);
void loop_fleet_end(struct fmx_fleet *fleet);

/* A port that the system gives to nobody by itself, free at the moment. */
uint16_t loop_fixed_port(void);

/* Entries of /proc/self/fd, of /proc/self/task. */
unsigned loop_files(void);
unsigned loop_threads(void);

/* ── the log ── */

struct loop_log {
    pthread_mutex_t lock;
    char text[65536];
    size_t bytes;
};

void loop_log_init(struct loop_log *log);
void loop_log_line(void *user, enum fmx_log_level level, const char *line);
bool loop_log_has(struct loop_log *log, const char *words);

/* ── plain peers: blocking sockets that speak MQTT by hand; reads give up after a while ── */

struct loop_peer {
    int fd;
    enum fmx_version version;
};

struct loop_packet {
    uint8_t head;
    size_t bytes; /* of the body */
    uint8_t body[262144];
};

struct loop_connect {
    const char *client_id;
    enum fmx_version version;
    bool clean;
    uint16_t keepalive_s;
    uint32_t session_expiry_s; /* 5.0 */
    int receive_buffer_bytes;  /* SO_RCVBUF; 0: the system's */
    const char *username;      /* NULL: none; and then no password either */
    const char *password;
};

/* TCP only. */
int loop_dial(uint16_t port, int receive_buffer_bytes);

/* A listening socket on 127.0.0.1, on this port or any other; its accept gives up after a while. */
int loop_listen(uint16_t port);
int loop_listen_anywhere(uint16_t *out_port);

/* All of them, or false. */
bool loop_send(int fd, const void *bytes, size_t count);

/* One packet; false: the end of the stream, or nothing came for a long time. */
bool loop_receive(int fd, struct loop_packet *packet);

/* As it goes over the wire. Return the bytes written. */
size_t loop_write_connect(uint8_t *out, const struct loop_connect *connect);
size_t loop_write_subscribe(uint8_t *out, enum fmx_version version, const char *filter,
                            uint8_t qos);
size_t loop_write_publish(uint8_t *out, enum fmx_version version, const char *topic,
                          fmx_slice payload, uint8_t qos, uint16_t packet_id);
size_t loop_write_puback(uint8_t *out, uint16_t packet_id);

/* TCP, CONNECT, a good CONNACK; ends the case otherwise. */
struct loop_peer loop_connect(uint16_t port, const struct loop_connect *connect);

/* With its SUBACK. */
void loop_subscribe(struct loop_peer peer, const char *filter, uint8_t qos);
void loop_publish(struct loop_peer peer, const char *topic, const char *text, uint8_t qos,
                  uint16_t packet_id);

/* What a PUBLISH that came carries, and its identifier at QoS 1. */
fmx_slice loop_payload(struct loop_peer peer, const struct loop_packet *packet,
                       uint16_t *out_packet_id);

/* Until the peer has ended the stream; what came meanwhile is thrown away. */
bool loop_drain_to_end(int fd);

#endif
