/*
 * uplink — bench_uplink, device uplink into the C API's callback, beside Mosquitto with a consumer
 * on libmosquitto
 *
 * Why it is so:   what a service wants is the message in its function. Embedded, gateway and
 *                 service are one process and the message is heard where it was received; beside a
 *                 broker it goes through two processes and one more connection. Both get the same
 *                 load, in turns, on the same core; the load has the other one
 * Words:          server time: processor time of all processes that serve, the consumer's included;
 *                 torn: of a packet that lay in two receive buffers, whose bytes were copied once
 * Invariants:     a message that is lost, out of order, or acknowledged before the callback had it
 *                 makes the row INVALID and the exit status 1
 * Limits:         loopback, MQTT 3.1.1, one shard
 * Not here:       publishers: uplink_load.c; servers: uplink_server.c
 */
#include "bench/uplink.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX    51u
#define NOT_SET       UINT32_MAX
#define LOAD_CPU      1u
#define WARM_MS       300u
#define LOOK_MS       2u
#define LOOKS_MAX     15000u
#define NS_PER_MS     1000000l
#define NAME_BYTES    96
#define PATH_BYTES    512
#define PAYLOAD_LEAST UPLINK_STAMP_BYTES
#define PAYLOAD_MOST  65536u
#define MOST_FOREIGN  0.05

enum figure {
    RATE,
    PER_SERVER_SECOND,
    SERVER_BUSY,
    LOAD_BUSY,
    CALLS,
    TORN,
    FOREIGN,
    FIGURES,
};

static const struct {
    const char *name;
    const char *unit;
} FIGURE_NAMES[FIGURES] = {
    {"rate", "msg/s"},      {"per_server_s", "msg/s"}, {"server_busy", "share"},
    {"load_busy", "share"}, {"calls", "per msg"},      {"torn", "share"},
    {"foreign", "share"},
};

struct options {
    uint32_t connections;
    uint32_t qos;
    uint32_t payload_bytes;
    uint32_t window;
    uint32_t rounds;
    uint32_t ms;
    bool json;
    bool against_mosquitto;
    char consumer[PATH_BYTES];
};

struct result {
    double figures[FIGURES];
    bool is_valid;
};

/* ── support ── */

void uplink_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fprintf(stderr, "bench_uplink: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
    _exit(2);
}

void uplink_pin(uint32_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        uplink_fail("cannot run on core %u: two are needed", cpu);
    }
}

void uplink_pause_ms(uint32_t ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * NS_PER_MS};

    (void)nanosleep(&pause, NULL);
}

static double clock_s(clockid_t clock)
{
    struct timespec time = {0};

    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double process_s(pid_t pid)
{
    clockid_t clock;

    return pid > 0 && clock_getcpuclockid(pid, &clock) == 0 ? clock_s(clock) : 0;
}

/* What all cores have spent, theft by the host included, but for interrupts. */
static double machine_s(void)
{
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0;
    unsigned long long steal = 0;
    FILE *file = fopen("/proc/stat", "re");

    if (file == NULL) {
        return 0;
    }
    int fields = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system,
                        &idle, &wait, &irq, &soft, &steal);
    (void)fclose(file);
    return fields == 8 ? (double)(user + nice + system + steal) / (double)sysconf(_SC_CLK_TCK) : 0;
}

/* ── one round ── */

struct mark {
    double wall_s;
    double server_s;
    double load_s;
    double machine_s;
    double messages;
    double enters;
    double torn;
};

static struct mark take_mark(const struct uplink_server *server, pid_t load,
                             struct uplink_shared *shared)
{
    return (struct mark){
        .wall_s = clock_s(CLOCK_MONOTONIC),
        .server_s = process_s(server->pids[0]) + process_s(server->pids[1]),
        .load_s = process_s(load),
        .machine_s = machine_s(),
        .messages = (double)atomic_load(&shared->messages),
        .enters = (double)atomic_load(&shared->enters),
        .torn = (double)atomic_load(&shared->torn),
    };
}

static void fill_figures(double figures[FIGURES], const struct mark *from, const struct mark *to)
{
    double wall_s = to->wall_s - from->wall_s;
    double server_s = to->server_s - from->server_s;
    double load_s = to->load_s - from->load_s;
    double messages = to->messages - from->messages;
    double foreign_s = to->machine_s - from->machine_s - server_s - load_s;

    figures[RATE] = messages / wall_s;
    figures[PER_SERVER_SECOND] = server_s > 0 ? messages / server_s : 0;
    figures[SERVER_BUSY] = server_s / wall_s;
    figures[LOAD_BUSY] = load_s / wall_s;
    figures[CALLS] = messages > 0 ? (to->enters - from->enters) / messages : 0;
    figures[TORN] = messages > 0 ? (to->torn - from->torn) / messages : 0;
    figures[FOREIGN] = foreign_s > 0 ? foreign_s / wall_s / 2 : 0;
}

static bool await(const _Atomic bool *flag)
{
    for (uint32_t looks = 0; looks < LOOKS_MAX; looks++) {
        if (atomic_load(flag)) {
            return true;
        }
        uplink_pause_ms(LOOK_MS);
    }
    return false;
}

static pid_t start_load(const struct uplink_row *row, struct uplink_shared *shared)
{
    (void)fflush(stdout);
    pid_t pid = fork();

    if (pid < 0) {
        uplink_fail("no process: %s", strerror(errno));
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        uplink_pin(LOAD_CPU);
        uplink_load(row, shared);
    }
    return pid;
}

static bool check_count(const char *server, const char *words, uint64_t count)
{
    if (count > 0) {
        (void)fprintf(stderr, "bench_uplink: INVALID: %s: %llu %s\n", server,
                      (unsigned long long)count, words);
    }
    return count == 0;
}

/* Mosquitto acknowledges when it has a message, not when the consumer has. */
static bool check(const struct uplink_server *server, struct uplink_shared *shared)
{
    uint64_t heard = atomic_load(&shared->messages);
    bool is_embedded = server->pids[1] == 0;
    bool is_valid = check_count(server->name, "messages were lost", shared->sent - heard);

    is_valid &= check_count(server->name, "messages were out of order", shared->disorder);
    is_valid &= check_count(server->name, "connections or answers were broken", shared->broken);
    is_valid &= check_count(server->name, "messages were acknowledged before the callback",
                            is_embedded ? shared->early : 0);
    return is_valid;
}

static struct result measure(const struct options *options, const struct uplink_row *row,
                             bool is_fleetmux)
{
    struct uplink_server server;
    struct result result = {0};
    int memory = memfd_create("bench_uplink", 0); /* the consumer inherits it */

    if (memory < 0 || ftruncate(memory, sizeof(struct uplink_shared)) < 0) {
        uplink_fail("no shared memory: %s", strerror(errno));
    }
    struct uplink_shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (shared == MAP_FAILED) {
        uplink_fail("no shared memory: %s", strerror(errno));
    }
    if (is_fleetmux) {
        uplink_start_fleetmux(&server, shared);
    } else {
        uplink_start_mosquitto(&server, shared, memory, options->consumer, row->qos);
    }
    pid_t load = start_load(row, shared);
    if (!await(&shared->is_loaded)) {
        uplink_fail("the load did not begin");
    }
    uplink_pause_ms(WARM_MS);
    struct mark from = take_mark(&server, load, shared);
    uplink_pause_ms(options->ms);
    struct mark to = take_mark(&server, load, shared);
    atomic_store(&shared->ends, true);
    if (!await(&shared->has_ended)) {
        uplink_fail("the load did not end");
    }
    (void)waitpid(load, NULL, 0);
    fill_figures(result.figures, &from, &to);
    result.is_valid = check(&server, shared);
    uplink_stop(&server);
    (void)munmap(shared, sizeof *shared);
    (void)close(memory);
    return result;
}

/* ── rows ── */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

static void report(const struct options *options, const char *name, const char *unit,
                   double values[ROUNDS_MAX], bool is_valid)
{
    qsort(values, options->rounds, sizeof values[0], compare);
    double median = values[options->rounds / 2];
    double most = values[options->rounds - 1];
    int digits = median >= 10000 ? 0 : median >= 100 ? 1 : 4;

    if (options->json) {
        printf("{\"name\":\"%s\",\"unit\":\"%s\",\"value\":%.*f,\"least\":%.*f,\"most\":%.*f,"
               "\"rounds\":%u,\"valid\":%s}\n",
               name, unit, digits, median, digits, values[0], digits, most, options->rounds,
               is_valid ? "true" : "false");
    } else {
        printf("%-44s %-8s %12.*f %12.*f %12.*f%s\n", name, unit, digits, median, digits, values[0],
               digits, most, is_valid ? "" : " INVALID");
    }
    (void)fflush(stdout);
}

static bool are_valid(const struct result *results, uint32_t count)
{
    bool is_valid = true;

    for (uint32_t i = 0; i < count; i++) {
        is_valid &= results[i].is_valid;
    }
    return is_valid;
}

/* Also says when others used the cores so much that speed is not to be quoted. */
static void report_server(const struct options *options, const char *row, const char *server,
                          const struct result *results)
{
    double values[ROUNDS_MAX];
    char name[NAME_BYTES];
    bool is_noisy = false;

    for (uint32_t figure = 0; figure < FIGURES; figure++) {
        if (strcmp(server, "mosquitto") == 0 && (figure == CALLS || figure == TORN)) {
            continue;
        }
        for (uint32_t i = 0; i < options->rounds; i++) {
            values[i] = results[i].figures[figure];
            is_noisy |= figure == FOREIGN && values[i] > MOST_FOREIGN;
        }
        (void)snprintf(name, sizeof name, "%s_%s_%s", row, server, FIGURE_NAMES[figure].name);
        report(options, name, FIGURE_NAMES[figure].unit, values,
               are_valid(results, options->rounds));
    }
    if (is_noisy) {
        (void)fprintf(stderr, "bench_uplink: noisy: %s: others used more than 5 %% of the cores\n",
                      row);
    }
}

static void report_ratio(const struct options *options, const char *row, enum figure figure,
                         const struct result *ours, const struct result *theirs)
{
    double values[ROUNDS_MAX];
    char name[NAME_BYTES];

    for (uint32_t i = 0; i < options->rounds; i++) {
        values[i] =
            theirs[i].figures[figure] > 0 ? ours[i].figures[figure] / theirs[i].figures[figure] : 0;
    }
    (void)snprintf(name, sizeof name, "%s_%s_to_mosquitto", row, FIGURE_NAMES[figure].name);
    report(options, name, "times", values,
           are_valid(ours, options->rounds) && are_valid(theirs, options->rounds));
}

/* In turns: A B A B. */
static bool run_row(const struct options *options, const struct uplink_row *row)
{
    static struct result ours[ROUNDS_MAX], theirs[ROUNDS_MAX];
    char name[NAME_BYTES / 2];

    (void)snprintf(name, sizeof name, "uplink_c%u_q%u_%uB", row->connections, row->qos,
                   row->payload_bytes);
    for (uint32_t i = 0; i < options->rounds; i++) {
        ours[i] = measure(options, row, true);
        if (options->against_mosquitto) {
            theirs[i] = measure(options, row, false);
        }
    }
    report_server(options, name, "fleetmux", ours);
    if (!options->against_mosquitto) {
        return are_valid(ours, options->rounds);
    }
    report_server(options, name, "mosquitto", theirs);
    report_ratio(options, name, RATE, ours, theirs);
    report_ratio(options, name, PER_SERVER_SECOND, ours, theirs);
    return are_valid(ours, options->rounds) && are_valid(theirs, options->rounds);
}

static bool run_all(const struct options *options)
{
    static const uint32_t connections[] = {50, 1000};
    static const uint32_t payloads[] = {16, 256, 4096};
    bool is_valid = true;

    for (uint32_t row = 0; row < 2 * 2 * 3; row++) {
        struct uplink_row wanted = {.connections = connections[row / 6],
                                    .qos = row / 3 % 2,
                                    .payload_bytes = payloads[row % 3],
                                    .window = options->window};
        bool is_first_payload = row % 3 == 0;
        if ((options->qos != NOT_SET && options->qos != wanted.qos) ||
            (options->payload_bytes != NOT_SET && !is_first_payload) ||
            (options->connections != NOT_SET && row >= 6)) {
            continue;
        }
        wanted.connections =
            options->connections != NOT_SET ? options->connections : wanted.connections;
        wanted.payload_bytes =
            options->payload_bytes != NOT_SET ? options->payload_bytes : wanted.payload_bytes;
        is_valid &= run_row(options, &wanted);
    }
    return is_valid;
}

/* ── options ── */

static void print_usage(void)
{
    printf("usage: bench_uplink [--OPTION N …]\n\n"
           "  --connections N  1 … %u (50 and 1,000)\n"
           "  --qos N          0 or 1 (both)\n"
           "  --payload N      bytes, %u … %u (16, 256 and 4,096)\n"
           "  --window N       messages of a connection under way, 2 … 1,000 (32)\n"
           "  --rounds N       1 … %u (3)\n"
           "  --ms N           length of a round, 100 … 60,000 (1,000)\n"
           "  --against WHOM   mosquitto, or none (mosquitto)\n"
           "  --json           an object a line\n\n"
           "prints: name, unit, median, least, most\n"
           "exit status: 0 all rows valid, 1 one was not, 2 could not run\n",
           UPLINK_CONNS_MAX, PAYLOAD_LEAST, PAYLOAD_MOST, ROUNDS_MAX);
}

static uint32_t parse_number(const char *option, const char *text, uint32_t least, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || text[0] == '-' || value < least || value > most) {
        uplink_fail("--%s %s: write a number from %u to %u", option, text, least, most);
    }
    return (uint32_t)value;
}

static void parse_against(struct options *options, const char *text)
{
    options->against_mosquitto = strcmp(text, "mosquitto") == 0;
    if (!options->against_mosquitto && strcmp(text, "none") != 0) {
        uplink_fail("--against %s: write mosquitto or none", text);
    }
}

static bool take_option(struct options *options, int key, const char *text)
{
    switch (key) {
    case 'c':
        options->connections = parse_number("connections", text, 1, UPLINK_CONNS_MAX);
        return true;
    case 'q':
        options->qos = parse_number("qos", text, 0, 1);
        return true;
    case 'p':
        options->payload_bytes = parse_number("payload", text, PAYLOAD_LEAST, PAYLOAD_MOST);
        return true;
    case 'w':
        options->window = parse_number("window", text, 2, 1000);
        return true;
    case 'r':
        options->rounds = parse_number("rounds", text, 1, ROUNDS_MAX);
        return true;
    case 'm':
        options->ms = parse_number("ms", text, 100, 60000);
        return true;
    case 'a':
        parse_against(options, text);
        return true;
    case 'j':
        options->json = true;
        return true;
    default:
        return false;
    }
}

static bool parse_options(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"connections", required_argument, NULL, 'c'},
        {"qos", required_argument, NULL, 'q'},
        {"payload", required_argument, NULL, 'p'},
        {"window", required_argument, NULL, 'w'},
        {"rounds", required_argument, NULL, 'r'},
        {"ms", required_argument, NULL, 'm'},
        {"against", required_argument, NULL, 'a'},
        {"json", no_argument, NULL, 'j'},
        {0},
    };

    for (int key; (key = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (!take_option(options, key, optarg)) {
            return false;
        }
    }
    return optind == argc;
}

/* The consumer lies beside this program, if libmosquitto was found at the build. */
static void find_consumer(struct options *options)
{
    char self[PATH_BYTES - 32];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof self - 1);

    self[bytes > 0 ? bytes : 0] = '\0';
    char *slash = strrchr(self, '/');
    (void)snprintf(options->consumer, sizeof options->consumer, "%.*s/bench_consumer_mosquitto",
                   slash != NULL ? (int)(slash - self) : 0, self);
    if (options->against_mosquitto && access(options->consumer, X_OK) != 0) {
        (void)fprintf(stderr,
                      "bench_uplink: no %s: it is built where libmosquitto's header is "
                      "found (libmosquitto-dev); measuring without Mosquitto\n",
                      options->consumer);
        options->against_mosquitto = false;
    }
}

/* For all processes of a round: a descriptor for each connection, and some more. */
static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct options options = {.connections = NOT_SET,
                              .qos = NOT_SET,
                              .payload_bytes = NOT_SET,
                              .window = 32,
                              .rounds = 3,
                              .ms = 1000,
                              .against_mosquitto = true};

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        print_usage();
        return 0;
    }
    if (!parse_options(&options, argc, argv)) {
        uplink_fail("see --help");
    }
    find_consumer(&options);
    raise_limit();
    return run_all(&options) ? 0 : 1;
}
