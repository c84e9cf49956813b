/*
 * bounded — bench_bounded, a server that does as much as it is told, and no more
 *
 * Why it is so:   whether a load test names the right side as the limit can only be tried where the
 *                 limit is known. So this one answers so many connects and messages a second, reads
 *                 so much, stands still, refuses, hangs up, or has segments lost on their way to
 *                 it; all else it does at once
 * Words:          owed: answers that are due and not paid for yet; token: leave to do one thing
 * Invariants:     (1) answers leave in the order in which they fell due, connects first
 *                 (2) tokens gather for BURST_NS and no longer
 * Memory:         a buffer per connection; queues of what is owed, as long as windows allow
 * Threads:        one
 * Limits:         MQTT 3.1.1, QoS 0 and 1, packets of INPUT_BYTES; RLIMIT_NOFILE connections; ends
 *                 after LIFETIME_S. Loss is drawn by the kernel: its share is given, not its seed
 * Not here:       subscriptions are acknowledged and lead to nothing
 */
#include "bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIFETIME_S  900
#define INPUT_BYTES 4096u
#define CONNS_MAX   65536u
#define EVENTS_MAX  512
#define BURST_NS    UINT64_C(10000000)
#define NS_PER_S    UINT64_C(1000000000)
#define BATCH       128u

struct conn {
    uint8_t *input;
    size_t have;
    uint32_t generation;
    bool is_open;
};

struct owed {
    uint32_t conn, generation;
    uint8_t packet[5];
    uint8_t size;
    bool is_last; /* the connection ends with it */
};

struct queue {
    struct owed *at;
    size_t first, count, capacity; /* capacity: a power of two */
};

/* Leave to do `rate` things a second; a rate of 0 asks for none. */
struct bucket {
    double rate, tokens;
};

struct options {
    uint16_t port;
    double acks, connects, reads; /* a second; bytes are read */
    double refuse, lose;          /* shares */
    double close;                 /* connections a second */
    uint64_t pause_ns, pause_every_ns;
    uint64_t seed;
};

static struct options options;
static struct conn conns[CONNS_MAX];
static struct queue acks, connacks;
static struct bucket acks_bucket, connects_bucket, reads_bucket, close_bucket;
static int epoll_fd, listener;
static uint32_t next_victim;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

/* ── tokens ── */

static void refill(struct bucket *bucket, uint64_t span_ns)
{
    double most = bucket->rate * (double)BURST_NS / 1e9 + 1;
    bucket->tokens += bucket->rate * (double)span_ns / 1e9;
    bucket->tokens = bucket->tokens < most ? bucket->tokens : most;
}

static bool has_token(const struct bucket *bucket)
{
    return bucket->rate <= 0 || bucket->tokens >= 1;
}

static void take(struct bucket *bucket, double tokens)
{
    bucket->tokens -= bucket->rate > 0 ? tokens : 0;
}

static double draw(void)
{
    options.seed ^= options.seed << 13;
    options.seed ^= options.seed >> 7;
    options.seed ^= options.seed << 17;
    return (double)(options.seed >> 11) / (double)(UINT64_C(1) << 53);
}

/* ── connections ── */

static void close_conn(uint32_t index)
{
    struct conn *conn = &conns[index];
    if (conn->is_open) {
        free(conn->input);
        *conn = (struct conn){.generation = conn->generation + 1};
        close((int)index);
    }
}

static void accept_all(void)
{
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        uint8_t *input = (uint32_t)fd < CONNS_MAX ? malloc(INPUT_BYTES) : NULL;
        if (!input) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        conns[fd].input = input;
        conns[fd].is_open = true;
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)fd};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

/* ── what is owed ── */

static void owe(struct queue *queue, struct owed owed)
{
    if (queue->count == queue->capacity) {
        size_t capacity = queue->capacity ? 2 * queue->capacity : 1024;
        struct owed *at = malloc(capacity * sizeof *at);
        if (!at) {
            fail("malloc");
        }
        for (size_t i = 0; i < queue->count; i++) {
            at[i] = queue->at[(queue->first + i) & (queue->capacity - 1)];
        }
        free(queue->at);
        *queue = (struct queue){.at = at, .count = queue->count, .capacity = capacity};
    }
    queue->at[(queue->first + queue->count++) & (queue->capacity - 1)] = owed;
}

static void send_to(const struct owed *to, const uint8_t *bytes, size_t size)
{
    if (!conns[to->conn].is_open || conns[to->conn].generation != to->generation) {
        return; /* gone meanwhile */
    }
    if (send((int)to->conn, bytes, size, MSG_NOSIGNAL) != (ssize_t)size || to->is_last) {
        close_conn(to->conn);
    }
}

/* As much as there are tokens for; one send for neighbours of one connection. */
static void pay(struct queue *queue, struct bucket *bucket)
{
    while (queue->count > 0 && has_token(bucket)) {
        uint8_t bytes[BATCH * sizeof(((struct owed *)0)->packet)];
        struct owed first = queue->at[queue->first];
        size_t size = 0;
        for (uint32_t i = 0; i < BATCH && queue->count > 0 && has_token(bucket); i++) {
            const struct owed *next = &queue->at[queue->first];
            if (next->conn != first.conn || next->generation != first.generation) {
                break;
            }
            memcpy(bytes + size, next->packet, next->size);
            size += next->size;
            first.is_last = next->is_last;
            queue->first = (queue->first + 1) & (queue->capacity - 1);
            queue->count--;
            take(bucket, 1);
        }
        send_to(&first, bytes, size);
    }
}

/* ── packets ── */

static void answer(uint32_t index, const struct wire_frame *frame)
{
    struct owed owed = {.conn = index, .generation = conns[index].generation};
    bool is_refused;

    switch (wire_kind(frame)) {
    case WIRE_CONNECT:
        is_refused = options.refuse > 0 && draw() < options.refuse;
        owed.is_last = is_refused;
        memcpy(owed.packet, (uint8_t[]){WIRE_CONNACK << 4, 2, 0, is_refused ? 3 : 0}, 4);
        owed.size = 4;
        owe(&connacks, owed);
        return;
    case WIRE_PUBLISH:
        if (wire_qos(frame) == 0) {
            return;
        }
        memcpy(owed.packet, (uint8_t[]){WIRE_PUBACK << 4, 2}, 2);
        memcpy(owed.packet + 2, frame->body + 2 + wire_get16(frame->body), 2);
        owed.size = 4;
        owe(&acks, owed);
        return;
    case WIRE_SUBSCRIBE:
        memcpy(owed.packet, (uint8_t[]){WIRE_SUBACK << 4, 3, frame->body[0], frame->body[1], 0}, 5);
        owed.size = 5;
        owe(&acks, owed);
        return;
    case WIRE_PINGREQ:
        send_to(&owed, (uint8_t[]){WIRE_PINGRESP << 4, 0}, 2);
        return;
    default:
        return;
    }
}

/* A PUBLISH of QoS 1 has a topic and an identifier, a SUBSCRIBE an identifier. */
static bool is_sound(const struct wire_frame *frame)
{
    if (wire_kind(frame) == WIRE_PUBLISH) {
        return frame->body_size >= 4 &&
               (size_t)wire_get16(frame->body) + 4 <= frame->body_size + (wire_qos(frame) ? 0 : 2);
    }
    return wire_kind(frame) != WIRE_SUBSCRIBE || frame->body_size >= 2;
}

static void read_conn(uint32_t index)
{
    struct conn *conn = &conns[index];
    ssize_t got = recv((int)index, conn->input + conn->have, INPUT_BYTES - conn->have, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            close_conn(index);
        }
        return;
    }
    take(&reads_bucket, (double)got);
    conn->have += (size_t)got;
    size_t at = 0;
    struct wire_frame frame;
    int found = 0;
    while (conn->is_open && (found = wire_next(conn->input + at, conn->have - at, &frame)) == 1) {
        if (!is_sound(&frame)) {
            found = -1;
            break;
        }
        at += frame.size;
        answer(index, &frame);
    }
    if (!conn->is_open) {
        return;
    }
    memmove(conn->input, conn->input + at, conn->have - at);
    conn->have -= at;
    if (found < 0 || conn->have == INPUT_BYTES) {
        close_conn(index);
    }
}

/* ── trouble ── */

static void hang_up(void)
{
    for (uint32_t i = 0; options.close > 0 && has_token(&close_bucket) && i < CONNS_MAX; i++) {
        next_victim = (next_victim + 1) % CONNS_MAX;
        if (conns[next_victim].is_open) {
            take(&close_bucket, 1);
            close_conn(next_victim);
        }
    }
}

static void stand_still(uint64_t begin_ns, uint64_t *pauses)
{
    uint64_t due = options.pause_every_ns ? (now_ns() - begin_ns) / options.pause_every_ns : 0;
    if (due > *pauses) {
        *pauses = due;
        usleep((useconds_t)(options.pause_ns / 1000));
    }
}

/* The kernel draws for each segment that comes, and leaves it out. */
static void lose_segments(double share)
{
    uint32_t bound = (uint32_t)(share * (double)UINT32_MAX);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, bound, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    if (setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
        fail("SO_ATTACH_FILTER");
    }
}

/* ── the whole ── */

static void listen_at(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 4096) != 0) {
        fail("listen");
    }
    if (options.lose > 0) {
        lose_segments(options.lose);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)listener};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    printf("listening %u\n", port);
    fflush(stdout);
}

static void turn(void)
{
    struct epoll_event events[EVENTS_MAX];
    if (!has_token(&reads_bucket)) {
        usleep(1000);
        return;
    }
    int count = epoll_wait(epoll_fd, events, EVENTS_MAX, 1);
    for (int i = 0; i < count && has_token(&reads_bucket); i++) {
        if (events[i].data.u32 == (uint32_t)listener) {
            accept_all();
        } else if (conns[events[i].data.u32].is_open) {
            read_conn(events[i].data.u32);
        }
    }
}

static void serve(void)
{
    uint64_t begin_ns = now_ns(), last_ns = begin_ns, pauses = 0;
    struct bucket *buckets[] = {&acks_bucket, &connects_bucket, &reads_bucket, &close_bucket};
    acks_bucket.rate = options.acks;
    connects_bucket.rate = options.connects;
    reads_bucket.rate = options.reads;
    close_bucket.rate = options.close;
    while (last_ns - begin_ns < LIFETIME_S * NS_PER_S) {
        turn();
        uint64_t now = now_ns();
        for (size_t i = 0; i < sizeof buckets / sizeof buckets[0]; i++) {
            refill(buckets[i], now - last_ns);
        }
        last_ns = now;
        pay(&connacks, &connects_bucket);
        pay(&acks, &acks_bucket);
        hang_up();
        stand_still(begin_ns, &pauses);
    }
}

static double number(const char *name, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value <= 1e12)) {
        fprintf(stderr, "bench_bounded: --%s: '%s' is no number\n", name, text);
        exit(2);
    }
    return value;
}

static void usage(void)
{
    fputs("usage: bench_bounded --port PORT [--acks N] [--connects N] [--reads BYTES] [--close N]\n"
          "                     [--refuse SHARE] [--lose SHARE] [--pause MS --pause-every MS]\n"
          "                     [--seed N]\n"
          "answers so many messages and connects, reads so much, and closes so many connections\n"
          "a second; refuses such a share of connects, has such a share of segments lost on their\n"
          "way here, stands still so long again and again\n",
          stderr);
    exit(2);
}

static void parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", 1, NULL, 'p'},  {"acks", 1, NULL, 'a'},  {"connects", 1, NULL, 'c'},
        {"reads", 1, NULL, 'r'}, {"close", 1, NULL, 'x'}, {"refuse", 1, NULL, 'f'},
        {"lose", 1, NULL, 'l'},  {"pause", 1, NULL, 'm'}, {"pause-every", 1, NULL, 'e'},
        {"seed", 1, NULL, 's'},  {NULL, 0, NULL, 0},
    };
    int which, index = 0;
    while ((which = getopt_long(argc, argv, "", known, &index)) != -1) {
        double value = which == '?' ? 0 : number(known[index].name, optarg);
        switch (which) {
        case 'p':
            options.port = (uint16_t)value;
            break;
        case 'a':
            options.acks = value;
            break;
        case 'c':
            options.connects = value;
            break;
        case 'r':
            options.reads = value;
            break;
        case 'x':
            options.close = value;
            break;
        case 'f':
            options.refuse = value;
            break;
        case 'l':
            options.lose = value < 1 ? value : 1;
            break;
        case 'm':
            options.pause_ns = (uint64_t)(value * 1e6);
            break;
        case 'e':
            options.pause_every_ns = (uint64_t)(value * 1e6);
            break;
        case 's':
            options.seed = (uint64_t)value;
            break;
        default:
            usage();
        }
    }
    options.seed = (options.seed + 1) * UINT64_C(0x9e3779b97f4a7c15); /* never 0 */
    if (options.port == 0 || optind != argc) {
        usage();
    }
}

int main(int argc, char **argv)
{
    struct rlimit files;
    parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    listen_at(options.port);
    serve();
    return 0;
}
