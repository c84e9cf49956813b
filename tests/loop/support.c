/*
 * support — what the loop tests share
 *
 * Threads:        the test's; the log from any
 */
#include "tests/loop/support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS       (LOOP_SANITIZED ? 90000u : 30000u)
#define PATIENCE_GONE_MS  500u
#define FIXED_PORT_FIRST  20000u
#define FIXED_PORTS_COUNT 10000u
#define FIXED_PORTS_STEP  101u /* between two tests that run at once */

static bool patience_is_gone;

/* ── waiting ── */

uint64_t loop_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

void loop_pause_ms(unsigned ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

void loop_begin(void)
{
    patience_is_gone = false;
}

uint64_t loop_patience_ms(void)
{
    return patience_is_gone ? PATIENCE_GONE_MS : PATIENCE_MS;
}

void loop_note_vain(const char *file, int line, const char *condition)
{
    patience_is_gone = true;
    fprintf(stderr, "%s:%d: waited in vain for %s\n", file, line, condition);
}

void loop_check_equal(uint64_t actual, uint64_t expected, const char *words, const char *file,
                      int line)
{
    if (actual != expected) {
        fprintf(stderr, "%s:%d: %s: %llu, not %llu\n", file, line, words,
                (unsigned long long)actual, (unsigned long long)expected);
    }
    CU_assertImplementation(actual == expected, (unsigned)line, words, file, "", CU_FALSE);
}

/* ── gateways and fleets ── */

static void write_warning(void *user, enum fmx_log_level level, const char *line)
{
    (void)user;
    (void)level;
    fprintf(stderr, "  log: %s\n", line);
}

enum fmx_status loop_service_publish(struct fmx_gateway_caller *caller, fmx_slice topic,
                                     fmx_slice payload, uint8_t qos)
{
    return fmx_gateway_publish(
        caller, &(struct fmx_gateway_publication){.topic = topic, .payload = payload, .qos = qos});
}

void loop_gateway_options(struct fmx_gateway_options *options, uint32_t shards_count)
{
    static const char *const listen[] = {"127.0.0.1:0"};

    fmx_gateway_options_init(options, FMX_PROFILE_OPEN);
    options->mux.shards_count = shards_count;
    options->mux.log = write_warning;
    options->mux.log_level = FMX_LOG_WARN;
    options->listen = listen;
    options->listen_count = 1;
}

struct fmx_gateway *loop_gateway_start(const struct fmx_gateway_options *options)
{
    struct fmx_gateway *gateway;
    char error[256] = "";
    enum fmx_status status = fmx_gateway_open(options, &gateway, error, sizeof error);

    if (status != FMX_OK) {
        fprintf(stderr, "gateway does not open: %s: %s\n", fmx_status_name(status), error);
        CU_FAIL_FATAL("fmx_gateway_open");
    }
    status = fmx_gateway_start(gateway, error, sizeof error);
    if (status != FMX_OK) {
        fprintf(stderr, "gateway does not start: %s: %s\n", fmx_status_name(status), error);
        CU_FAIL_FATAL("fmx_gateway_start");
    }
    return gateway;
}

struct fmx_gateway *loop_gateway(uint32_t shards_count)
{
    struct fmx_gateway_options options;

    loop_gateway_options(&options, shards_count);
    return loop_gateway_start(&options);
}

struct fmx_stats loop_stats(const struct fmx_gateway *gateway)
{
    struct fmx_stats stats;

    fmx_gateway_stats(gateway, &stats);
    return stats;
}

void loop_expect_empty(const struct fmx_gateway *gateway)
{
    LOOP_WAIT(loop_stats(gateway).sessions_now == 0);
    LOOP_WAIT(loop_stats(gateway).connections_now == 0);
    LOOP_WAIT(loop_stats(gateway).queued_bytes_now == 0);
}

void loop_gateway_end(struct fmx_gateway *gateway)
{
    fmx_gateway_stop(gateway, LOOP_DRAIN_MS);
    LOOP_EQUAL(loop_stats(gateway).sessions_now, 0);
    LOOP_EQUAL(loop_stats(gateway).connections_now, 0);
    fmx_gateway_close(gateway);
}

void loop_plan(struct loop_plan *plan, uint32_t clients_count, const char *client_id)
{
    memset(plan, 0, sizeof *plan);
    fmx_fleet_plan_init(&plan->whole);
    fmx_fleet_group_init(&plan->group);
    fmx_fleet_publish_init(&plan->publish);
    plan->whole.mux.log = write_warning;
    plan->whole.mux.log_level = FMX_LOG_WARN;
    plan->whole.mux.shards_count = clients_count > 1 ? 2 : 1;
    plan->group.clients_count = clients_count;
    plan->group.client_id = client_id != NULL ? client_id : plan->group.client_id;
    plan->group.connect_timeout_ms = 60000;
    plan->group.reconnect_min_ms = 0;
    plan->whole.drain_ms = LOOP_DRAIN_MS;
}

static void join_subscribes(struct loop_plan *plan)
{
    for (size_t i = 0; i < plan->filters_count && i <= FMX_FLEET_SUBSCRIBES_MAX; i++) {
        fmx_fleet_subscribe_init(&plan->subscribes[i]);
        plan->subscribes[i].filter = plan->filters[i];
        plan->subscribes[i].qos = plan->subscribe_qos;
    }
    plan->group.subscribes = plan->subscribes;
    plan->group.subscribes_count = plan->filters_count;
}

static void join_publish(struct loop_plan *plan)
{
    if (plan->publish.interval_ns == 0) {
        plan->publish.schedule = FMX_FLEET_CLOSED_LOOP;
    }
    plan->group.publishes = &plan->publish;
    plan->group.publishes_count = plan->publish.topic != NULL || plan->publish.thing_model;
}

const struct fmx_fleet_plan *loop_plan_join(struct loop_plan *plan)
{
    join_subscribes(plan);
    join_publish(plan);
    plan->joined = plan->group;
    if (plan->group.reconnect_min_ms > 0) {
        plan->joined.reconnect = FMX_FLEET_RECONNECT_EXPONENTIAL;
    } else {
        plan->joined.reconnect_min_ms = 1; /* it does not count */
    }
    fmx_fleet_stage_init(&plan->stages[0], FMX_FLEET_RAMP);
    fmx_fleet_stage_init(&plan->stages[1], FMX_FLEET_HOLD);
    plan->stages[0].rate_begin = plan->stages[0].rate_end = plan->connects_per_second;
    plan->whole.groups = &plan->joined;
    plan->whole.groups_count = 1;
    plan->whole.stages = plan->stages;
    plan->whole.stages_count = 2;
    return &plan->whole;
}

struct fmx_fleet *loop_fleet_start(const struct fmx_fleet_plan *plan)
{
    struct fmx_fleet *fleet;
    char error[512] = "";

    enum fmx_status status = fmx_fleet_open(plan, &fleet, error, sizeof error);
    if (status != FMX_OK) {
        fprintf(stderr, "fleet does not open: %s: %s\n", fmx_status_name(status), error);
        CU_FAIL_FATAL("fmx_fleet_open");
    }
    status = fmx_fleet_start(fleet, error, sizeof error);
    if (status != FMX_OK) {
        fprintf(stderr, "fleet does not start: %s: %s\n", fmx_status_name(status), error);
        CU_FAIL_FATAL("fmx_fleet_start");
    }
    return fleet;
}

struct fmx_fleet *loop_fleet(struct loop_plan *plan, uint16_t port)
{
    char target[32];
    const char *targets[] = {target};

    if (plan->group.targets_count == 0) {
        snprintf(target, sizeof target, "127.0.0.1:%u", port);
        plan->group.targets = targets;
        plan->group.targets_count = 1;
    }
    struct fmx_fleet *fleet = loop_fleet_start(loop_plan_join(plan));
    if (plan->group.targets == targets) { /* it does not outlive this call */
        plan->group.targets = NULL;
        plan->group.targets_count = 0;
    }
    return fleet;
}

void loop_group(struct fmx_fleet_group *group, const char *client_id, uint32_t clients_count,
                const char *const *target)
{
    fmx_fleet_group_init(group);
    group->client_id = client_id;
    group->clients_count = clients_count;
    group->targets = target;
    group->targets_count = 1;
}

void loop_plan_of_two(struct fmx_fleet_plan *plan, const struct fmx_fleet_group *groups,
                      const struct fmx_fleet_stage *stages, size_t stages_count)
{
    fmx_fleet_plan_init(plan);
    plan->mux.shards_count = 2;
    plan->mux.log = write_warning;
    plan->mux.log_level = FMX_LOG_ERROR;
    plan->drain_ms = LOOP_DRAIN_MS;
    plan->groups = groups;
    plan->groups_count = 2;
    plan->stages = stages;
    plan->stages_count = stages_count;
}

void loop_stages_of_two(struct fmx_fleet_stage *stages, unsigned first)
{
    fmx_fleet_stage_init(&stages[0], FMX_FLEET_RAMP);
    fmx_fleet_stage_init(&stages[1], FMX_FLEET_RAMP);
    fmx_fleet_stage_init(&stages[2], FMX_FLEET_HOLD);
    stages[0].groups = 1u << first;
    stages[1].groups = 2u >> first;
}

struct fmx_fleet_snapshot loop_look(const struct fmx_fleet *fleet)
{
    struct fmx_fleet_snapshot snapshot;

    fmx_fleet_snapshot(fleet, FMX_FLEET_ALL, &snapshot);
    return snapshot;
}

struct fmx_latency loop_latency(const struct fmx_fleet *fleet, enum fmx_fleet_latency latency)
{
    struct fmx_distribution *distribution = malloc(sizeof *distribution);
    struct fmx_latency summary;

    CU_ASSERT_PTR_NOT_NULL_FATAL(distribution);
    fmx_distribution_init(distribution);
    fmx_fleet_distribution(fleet, FMX_FLEET_ALL, latency, distribution);
    fmx_distribution_summary(distribution, &summary);
    free(distribution);
    return summary;
}

void loop_fleet_end(struct fmx_fleet *fleet)
{
    fmx_fleet_stop(fleet);
    fmx_fleet_close(fleet);
}

static bool port_is_free(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return is_free;
}

uint16_t loop_fixed_port(void)
{
    uint32_t first = (uint32_t)getpid() * FIXED_PORTS_STEP % FIXED_PORTS_COUNT;

    for (uint32_t i = 0; i < FIXED_PORTS_COUNT; i++) {
        uint16_t port = (uint16_t)(FIXED_PORT_FIRST + (first + i) % FIXED_PORTS_COUNT);
        if (port_is_free(port)) {
            return port;
        }
    }
    CU_FAIL_FATAL("no port is free");
    return 0;
}

static unsigned count_entries(const char *folder)
{
    DIR *directory = opendir(folder);
    unsigned count = 0;

    CU_ASSERT_FATAL(directory != NULL);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

unsigned loop_files(void)
{
    return count_entries("/proc/self/fd");
}

unsigned loop_threads(void)
{
    return count_entries("/proc/self/task");
}

/* ── the log ── */

void loop_log_init(struct loop_log *log)
{
    pthread_mutex_init(&log->lock, NULL);
    log->bytes = 0;
    log->text[0] = '\0';
}

void loop_log_line(void *user, enum fmx_log_level level, const char *line)
{
    struct loop_log *log = user;
    size_t bytes = strlen(line);

    (void)level;
    pthread_mutex_lock(&log->lock);
    if (log->bytes + bytes + 2 <= sizeof log->text) {
        memcpy(log->text + log->bytes, line, bytes);
        log->bytes += bytes;
        log->text[log->bytes++] = '\n';
        log->text[log->bytes] = '\0';
    }
    pthread_mutex_unlock(&log->lock);
}

bool loop_log_has(struct loop_log *log, const char *words)
{
    pthread_mutex_lock(&log->lock);
    bool has = strstr(log->text, words) != NULL;
    pthread_mutex_unlock(&log->lock);
    return has;
}

/* ── plain peers ── */

int loop_dial(uint16_t port, int receive_buffer_bytes)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = PATIENCE_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CU_ASSERT_FATAL(fd >= 0);
    if (receive_buffer_bytes > 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    CU_ASSERT_FATAL(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

int loop_listen(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = PATIENCE_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    CU_ASSERT_FATAL(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CU_ASSERT_FATAL(listen(fd, 100) == 0);
    return fd;
}

int loop_listen_anywhere(uint16_t *out_port)
{
    *out_port = loop_fixed_port();
    return loop_listen(*out_port);
}

bool loop_send(int fd, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;

    while (count > 0) {
        ssize_t sent = send(fd, at, count, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        count -= (size_t)sent;
    }
    return true;
}

static bool receive_all(int fd, uint8_t *out, size_t count)
{
    while (count > 0) {
        ssize_t got = recv(fd, out, count, 0);
        if (got <= 0) {
            return false;
        }
        out += got;
        count -= (size_t)got;
    }
    return true;
}

bool loop_receive(int fd, struct loop_packet *packet)
{
    uint8_t byte;
    unsigned shift = 0;

    packet->bytes = 0;
    if (!receive_all(fd, &packet->head, 1)) {
        return false;
    }
    do {
        if (shift > 21 || !receive_all(fd, &byte, 1)) {
            return false;
        }
        packet->bytes |= (size_t)(byte & 127) << shift;
        shift += 7;
    } while ((byte & 128) != 0);
    return packet->bytes <= sizeof packet->body && receive_all(fd, packet->body, packet->bytes);
}

static size_t put_head(uint8_t *out, uint8_t head, size_t body_bytes)
{
    size_t at = 0;

    out[at++] = head;
    do {
        out[at] = (uint8_t)(body_bytes & 127);
        body_bytes >>= 7;
        out[at++] |= body_bytes > 0 ? 128 : 0;
    } while (body_bytes > 0);
    return at;
}

static size_t put_u16(uint8_t *out, size_t number)
{
    out[0] = (uint8_t)(number >> 8);
    out[1] = (uint8_t)number;
    return 2;
}

static size_t put_text(uint8_t *out, const char *text)
{
    size_t bytes = strlen(text);

    memcpy(out + put_u16(out, bytes), text, bytes);
    return 2 + bytes;
}

size_t loop_write_connect(uint8_t *out, const struct loop_connect *connect)
{
    uint8_t body[1024];
    size_t at = put_text(body, connect->version == FMX_MQTT_31 ? "MQIsdp" : "MQTT");

    body[at++] = (uint8_t)connect->version;
    body[at++] = (uint8_t)((connect->clean ? 2 : 0) | (connect->username != NULL ? 0xc0 : 0));
    at += put_u16(body + at, connect->keepalive_s);
    if (connect->version == FMX_MQTT_50) {
        body[at++] = 5;
        body[at++] = 0x11;
        at += put_u16(body + at, connect->session_expiry_s >> 16);
        at += put_u16(body + at, connect->session_expiry_s & 0xffff);
    }
    at += put_text(body + at, connect->client_id);
    if (connect->username != NULL) {
        at += put_text(body + at, connect->username);
        at += put_text(body + at, connect->password);
    }
    size_t head = put_head(out, 0x10, at);
    memcpy(out + head, body, at);
    return head + at;
}

size_t loop_write_subscribe(uint8_t *out, enum fmx_version version, const char *filter, uint8_t qos)
{
    uint8_t body[512];
    size_t at = put_u16(body, 77);

    if (version == FMX_MQTT_50) {
        body[at++] = 0;
    }
    at += put_text(body + at, filter);
    body[at++] = qos;
    size_t head = put_head(out, 0x82, at);
    memcpy(out + head, body, at);
    return head + at;
}

size_t loop_write_publish(uint8_t *out, enum fmx_version version, const char *topic,
                          fmx_slice payload, uint8_t qos, uint16_t packet_id)
{
    size_t body_bytes =
        2 + strlen(topic) + (qos > 0 ? 2 : 0) + (version == FMX_MQTT_50 ? 1 : 0) + payload.bytes;
    size_t at = put_head(out, (uint8_t)(0x30 | qos << 1), body_bytes);

    at += put_text(out + at, topic);
    if (qos > 0) {
        at += put_u16(out + at, packet_id);
    }
    if (version == FMX_MQTT_50) {
        out[at++] = 0;
    }
    if (payload.bytes > 0) {
        memcpy(out + at, payload.data, payload.bytes);
    }
    return at + payload.bytes;
}

size_t loop_write_puback(uint8_t *out, uint16_t packet_id)
{
    out[0] = 0x40;
    out[1] = 2;
    return 2 + put_u16(out + 2, packet_id);
}

struct loop_peer loop_connect(uint16_t port, const struct loop_connect *connect)
{
    uint8_t bytes[1024];
    struct loop_peer peer = {.fd = loop_dial(port, connect->receive_buffer_bytes),
                             .version = connect->version};
    uint8_t head[4] = {0};
    size_t count = loop_write_connect(bytes, connect);

    CU_ASSERT_FATAL(loop_send(peer.fd, bytes, count));
    CU_ASSERT_FATAL(receive_all(peer.fd, head, sizeof head));
    CU_ASSERT_EQUAL_FATAL(head[0], 0x20);
    CU_ASSERT_EQUAL_FATAL(head[3], 0);
    CU_ASSERT_FATAL(head[1] >= 2 && head[1] < 128);
    CU_ASSERT_FATAL(receive_all(peer.fd, bytes, head[1] - 2u));
    return peer;
}

void loop_subscribe(struct loop_peer peer, const char *filter, uint8_t qos)
{
    uint8_t bytes[1024];
    static struct loop_packet answer;
    size_t count = loop_write_subscribe(bytes, peer.version, filter, qos);

    CU_ASSERT_FATAL(loop_send(peer.fd, bytes, count));
    CU_ASSERT_FATAL(loop_receive(peer.fd, &answer));
    CU_ASSERT_EQUAL_FATAL(answer.head, 0x90);
    CU_ASSERT_EQUAL_FATAL(answer.body[answer.bytes - 1], qos);
}

void loop_publish(struct loop_peer peer, const char *topic, const char *text, uint8_t qos,
                  uint16_t packet_id)
{
    uint8_t bytes[1024];
    size_t count =
        loop_write_publish(bytes, peer.version, topic, fmx_slice_of(text), qos, packet_id);

    CU_ASSERT(loop_send(peer.fd, bytes, count));
}

fmx_slice loop_payload(struct loop_peer peer, const struct loop_packet *packet,
                       uint16_t *out_packet_id)
{
    size_t at = 2u + (size_t)packet->body[0] * 256 + packet->body[1];

    *out_packet_id = 0;
    if ((packet->head & 6) != 0) {
        *out_packet_id = (uint16_t)(packet->body[at] << 8 | packet->body[at + 1]);
        at += 2;
    }
    if (peer.version == FMX_MQTT_50) {
        at += 1u + packet->body[at]; /* properties are short here */
    }
    CU_ASSERT_FATAL(at <= packet->bytes);
    return (fmx_slice){.data = packet->body + at, .bytes = packet->bytes - at};
}

bool loop_drain_to_end(int fd)
{
    uint8_t bytes[4096];
    ssize_t got;

    do {
        got = recv(fd, bytes, sizeof bytes, 0);
    } while (got > 0);
    return got == 0 || errno == ECONNRESET;
}
