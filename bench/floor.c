/*
 * floor — bench_floor, the cheapest possible relay: what the kernel interface alone costs
 *
 * Why it is so:   a broker's figure says little without what the machine could do at best. This
 *                 program moves the same segments as a broker for bench_load's scenarios and
 *                 nothing else: it believes every byte, knows a topic by its last six digits, and
 *                 copies a run of publishes to one topic at once. A broker's rate divided by this
 *                 one's is its share of the floor.
 * Invariants:     (1) one send per connection and turn
 *                 (2) a subscriber sends one SUBSCRIBE, of topics with consecutive numbers
 * Limits:         65,536 connections, topics bench/000000 … bench/999999; ends after two hours
 * Not here:       sessions, time-outs, bounds, checks: none, on purpose
 */
#include "bench/floor.h"
#include "bench/wire.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIFETIME_S           7200
#define SUBSCRIBE_TOPICS_MAX 100u /* SUBACK's length fits one byte */

void floor_append(struct floor_bytes *to, const void *bytes, size_t size)
{
    if (to->size + size > to->capacity) {
        to->capacity = 2 * (to->size + size);
        to->at = realloc(to->at, to->capacity);
        if (!to->at) {
            abort();
        }
    }
    memcpy(to->at + to->size, bytes, size);
    to->size += size;
}

static void wipe(struct floor_bytes *bytes)
{
    free(bytes->at);
    *bytes = (struct floor_bytes){0};
}

void floor_on_open(struct floor *floor, uint32_t index)
{
    bool queued = floor->conns[index].queued;
    floor->conns[index] = (struct floor_conn){.open = true, .queued = queued};
}

static void unsubscribe(struct floor_topic *topic, uint32_t index)
{
    for (uint32_t i = 0; i < topic->count; i++) {
        if (topic->conns[i] == index) {
            topic->conns[i] = topic->conns[--topic->count];
            return;
        }
    }
}

void floor_on_close(struct floor *floor, uint32_t index)
{
    struct floor_conn *conn = &floor->conns[index];
    for (uint32_t i = 0; i < conn->topics_count; i++) {
        unsubscribe(&floor->topics[conn->first_topic + i], index);
    }
    floor_tls_end(conn);
    wipe(&conn->out);
    wipe(&conn->wire);
    wipe(&conn->sending);
    wipe(&conn->torn);
    conn->open = false;
    conn->topics_count = 0;
}

void floor_queue(struct floor *floor, uint32_t index)
{
    struct floor_conn *conn = &floor->conns[index];
    if (!conn->queued) {
        conn->queued = true;
        floor->queue[floor->queue_count++] = index;
    }
}

static void reply(struct floor *floor, uint32_t index, const void *bytes, size_t size)
{
    floor_append(&floor->conns[index].out, bytes, size);
    floor_queue(floor, index);
}

static void add_subscriber(struct floor_topic *topic, uint32_t index)
{
    if (topic->count == topic->capacity) {
        topic->capacity = topic->capacity > 0 ? 2 * topic->capacity : 1;
        topic->conns = realloc(topic->conns, topic->capacity * sizeof *topic->conns);
        if (!topic->conns) {
            abort();
        }
    }
    topic->conns[topic->count++] = index;
}

static void subscribe(struct floor *floor, uint32_t index, const struct wire_frame *frame)
{
    struct floor_conn *conn = &floor->conns[index];
    size_t filter_size = 2 + (size_t)wire_get16(frame->body + 2) + 1;
    uint32_t count = (uint32_t)((frame->body_size - 2) / filter_size);
    uint8_t codes[SUBSCRIBE_TOPICS_MAX];
    if (conn->topics_count > 0 || count < 1 || count > SUBSCRIBE_TOPICS_MAX) {
        return;
    }
    conn->first_topic = wire_get_digits(frame->body + 2 + filter_size - 1 - WIRE_TOPIC_DIGITS);
    conn->topics_count = count;
    for (uint32_t i = 0; i < count; i++) {
        add_subscriber(&floor->topics[conn->first_topic + i], index);
        codes[i] = frame->body[frame->body_size - 1];
    }
    uint8_t suback[] = {WIRE_SUBACK << 4, (uint8_t)(2 + count), frame->body[0], frame->body[1]};
    reply(floor, index, suback, sizeof suback);
    reply(floor, index, codes, count);
}

/* Publishes that lie one behind the other and go to one topic. */
struct run {
    const uint8_t *at;
    size_t size;
    uint32_t topic_number;
};

static void forward(struct floor *floor, struct run *run)
{
    const struct floor_topic *topic = &floor->topics[run->topic_number];
    for (uint32_t i = 0; run->size > 0 && i < topic->count; i++) {
        reply(floor, topic->conns[i], run->at, run->size);
    }
    run->size = 0;
}

static void publish(struct floor *floor, uint32_t index, const struct wire_frame *frame,
                    struct run *run)
{
    const uint8_t *topic_end = frame->body + 2 + wire_get16(frame->body);
    uint32_t number = wire_get_digits(topic_end - WIRE_TOPIC_DIGITS);
    if (wire_qos(frame) > 0) {
        uint8_t ack[] = {WIRE_PUBACK << 4, 2, topic_end[0], topic_end[1]};
        reply(floor, index, ack, sizeof ack);
    }
    if (run->size == 0 || number != run->topic_number || run->at + run->size != frame->bytes) {
        forward(floor, run);
        *run = (struct run){.at = frame->bytes, .topic_number = number};
    }
    run->size += frame->size;
}

static void on_frame(struct floor *floor, uint32_t index, const struct wire_frame *frame,
                     struct run *run)
{
    static const uint8_t connack[] = {WIRE_CONNACK << 4, 2, 0, 0};
    static const uint8_t pingresp[] = {WIRE_PINGRESP << 4, 0};
    switch (wire_kind(frame)) {
    case WIRE_PUBLISH:
        publish(floor, index, frame, run);
        break;
    case WIRE_CONNECT:
        reply(floor, index, connack, sizeof connack);
        break;
    case WIRE_SUBSCRIBE:
        subscribe(floor, index, frame);
        break;
    case WIRE_PINGREQ:
        reply(floor, index, pingresp, sizeof pingresp);
        break;
    default:
        break;
    }
}

/* Returns how many bytes whole packets took; all of them when it is not MQTT. */
static size_t walk(struct floor *floor, uint32_t index, const uint8_t *bytes, size_t size)
{
    struct wire_frame frame;
    struct run run = {0};
    size_t at = 0;
    while (at < size && wire_next(bytes + at, size - at, &frame) == 1) {
        on_frame(floor, index, &frame, &run);
        at += frame.size;
    }
    forward(floor, &run);
    return at;
}

bool floor_on_bytes(struct floor *floor, uint32_t index, const uint8_t *bytes, size_t size)
{
    struct floor_bytes *torn = &floor->conns[index].torn;
    struct wire_frame frame;
    if (torn->size > 0) {
        floor_append(torn, bytes, size);
        bytes = torn->at;
        size = torn->size;
    }
    size_t done = walk(floor, index, bytes, size);
    if (done < size && wire_next(bytes + done, size - done, &frame) < 0) {
        return false;
    }
    if (bytes == torn->at && torn->at) {
        memmove(torn->at, bytes + done, size - done);
        torn->size = size - done;
    } else if (done < size) {
        floor_append(torn, bytes + done, size - done);
    }
    return true;
}

bool floor_on_input(struct floor *floor, uint32_t index, const uint8_t *bytes, size_t size)
{
    return floor->tls ? floor_tls_on_bytes(floor, index, bytes, size)
                      : floor_on_bytes(floor, index, bytes, size);
}

struct floor_bytes *floor_output(struct floor *floor, struct floor_conn *conn)
{
    if (!floor->tls) {
        return &conn->out;
    }
    floor_tls_seal(floor, conn);
    return &conn->wire;
}

static int open_listener(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 4096) < 0) {
        perror("bench_floor: listen");
        return -1;
    }
    return fd;
}

static bool floor_open(struct floor *floor, uint16_t port)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    floor->conns = calloc(FLOOR_CONNS_MAX, sizeof *floor->conns);
    floor->queue = calloc(FLOOR_CONNS_MAX, sizeof *floor->queue);
    floor->topics = calloc(WIRE_TOPICS_MAX + SUBSCRIBE_TOPICS_MAX, sizeof *floor->topics);
    floor->listener = open_listener(port);
    return floor->conns && floor->queue && floor->topics && floor->listener >= 0;
}

static bool pin(size_t cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

static bool parse_number(const char *text, long min, long max, long *out_value)
{
    char *end;
    *out_value = strtol(text, &end, 10);
    return end != text && *end == '\0' && *out_value >= min && *out_value <= max;
}

struct choice {
    bool epoll;
    long port;
    const char *cert;
    const char *key;
};

static bool parse_options(int argc, char **argv, struct floor *floor, struct choice *out_choice)
{
    static const struct option options[] = {
        {"api", required_argument, NULL, 'a'},
        {"port", required_argument, NULL, 'p'},
        {"cpu", required_argument, NULL, 'c'},
        {"buffer", required_argument, NULL, 'b'},
        {"cert", required_argument, NULL, 'C'},
        {"key", required_argument, NULL, 'K'},
        {NULL, 0, NULL, 0},
    };
    int key;
    long number;
    bool good = true;
    while (good && (key = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (key == 'a') {
            out_choice->epoll = strcmp(optarg, "epoll") == 0;
            good = out_choice->epoll || strcmp(optarg, "uring") == 0;
        } else if (key == 'p') {
            good = parse_number(optarg, 1, 65535, &out_choice->port);
        } else if (key == 'c') {
            good = parse_number(optarg, 0, 1023, &number) && pin((size_t)number);
        } else if (key == 'b') {
            good = parse_number(optarg, 512, 1 << 20, &number);
            floor->buffer_bytes = (uint32_t)number;
        } else if (key == 'C') {
            out_choice->cert = optarg;
        } else if (key == 'K') {
            out_choice->key = optarg;
        } else {
            good = false;
        }
    }
    return good && optind == argc && !out_choice->cert == !out_choice->key;
}

int main(int argc, char **argv)
{
    struct floor floor = {.buffer_bytes = 32768};
    struct choice choice = {.port = 1883};
    if (!parse_options(argc, argv, &floor, &choice)) {
        fprintf(stderr, "usage: bench_floor [--api uring|epoll] [--port N] [--cpu N] "
                        "[--buffer BYTES] [--cert FILE --key FILE]\n");
        return 2;
    }
    if (!floor_open(&floor, (uint16_t)choice.port) ||
        (choice.cert && !floor_tls_open(&floor, choice.cert, choice.key))) {
        return 1;
    }
    alarm(LIFETIME_S);
    printf("listening 127.0.0.1:%ld\n", choice.port);
    fflush(stdout);
    if (choice.epoll) {
        floor_run_epoll(&floor);
    } else {
        floor_run_uring(&floor);
    }
    return 1;
}
