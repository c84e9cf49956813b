/*
 * memory — bench_memory, what a message costs in the gateway's own code, the kernel taken away
 *
 * Why it is so:   over loopback TCP most of the time is the kernel's, and a machine that others use
 *                 moves every figure by a tenth and more. Here the figures are the processor time
 *                 of the shard alone, between two entries into a ring that is a list in memory; and
 *                 under callgrind its instructions, which no neighbour changes
 * Words:          row: a scenario with QoS, payload and batch; its name says them. Fan-out counts
 *                 deliveries, everything else messages
 * Limits:         what the kernel does to the caches between two turns is not in the figures
 * Not here:       the ring and the peers: memory.h says where
 */
#include "bench/memory.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAX      101u
#define NOT_SET         UINT32_MAX
#define NS_PER_MS       1000000ull
#define WARM_NS         20000000ull
#define WARM_MESSAGES   5000u
#define TRACED_MESSAGES 30000u
#define NAME_BYTES      64
#define PATH_BYTES      512

struct scenario {
    const char *name;
    const char *words;
    uint32_t groups;
    uint32_t publishers;
    uint32_t subscribers;
    uint32_t batch_small; /* the larger of the two batches, at 16 B */
    uint32_t batch_large; /* at 256 B: what lies whole in 4 KiB */
};

static const struct scenario SCENARIOS[] = {
    {"fanin", "50 publishers, one subscriber", 1, 50, 1, 32, 14},
    {"pairs", "1,000 publishers with a subscriber each", 1000, 1, 1, 4, 4},
    {"fanout", "one publisher, 1,000 subscribers", 1, 1, 1000, 4, 4},
    {"uplink", "50 publishers into on_message", 1, 50, 0, 32, 14},
};
#define SCENARIOS_COUNT (sizeof SCENARIOS / sizeof SCENARIOS[0])

struct options {
    uint32_t qos;
    uint32_t payload_bytes;
    uint32_t batch;
    uint32_t rounds;
    uint32_t round_ms;
    bool json;
    const char *callgrind; /* the folder for its files, or NULL */
    const char *self;
};

struct figure {
    double median;
    double least;
    double most;
};

/* ── figures ── */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

static struct figure figure_of(double *values, uint32_t count)
{
    qsort(values, count, sizeof values[0], compare);
    return (struct figure){values[count / 2], values[0], values[count - 1]};
}

static void report(const struct options *options, const char *name, const char *unit,
                   struct figure figure)
{
    int digits = figure.median >= 10000 ? 0 : figure.median >= 100 ? 1 : 3;

    if (options->json) {
        printf("{\"name\":\"%s\",\"unit\":\"%s\",\"value\":%.*f,\"least\":%.*f,\"most\":%.*f,"
               "\"rounds\":%u}\n",
               name, unit, digits, figure.median, digits, figure.least, digits, figure.most,
               options->rounds);
    } else {
        printf("%-30s %-14s %12.*f %12.*f %12.*f\n", name, unit, digits, figure.median, digits,
               figure.least, digits, figure.most);
    }
    (void)fflush(stdout);
}

/* ── one row by the clock ── */

static struct memory_round measure(uint64_t messages_least, uint64_t ns_least, bool is_counted)
{
    struct memory_round round = {
        .messages_least = messages_least, .ns_least = ns_least, .is_counted = is_counted};

    if (!memory_measure(&round)) {
        memory_fail("the load stands still: a message was lost, or its credit");
    }
    return round;
}

static void run_timed(const struct options *options, const struct memory_load *load,
                      const char *name)
{
    double ns[ROUNDS_MAX];
    double batches[ROUNDS_MAX];
    char turn_name[NAME_BYTES + 16];
    struct memory_gateway *gateway = memory_gateway_open(load);

    (void)measure(1, WARM_NS, false);
    for (uint32_t i = 0; i < options->rounds; i++) {
        struct memory_round round = measure(1, options->round_ms * NS_PER_MS, false);
        ns[i] = (double)round.engine_ns / (double)round.messages;
        batches[i] = (double)round.messages / (double)round.turns;
    }
    memory_gateway_close(gateway);
    report(options, name, "ns/msg", figure_of(ns, options->rounds));
    (void)snprintf(turn_name, sizeof turn_name, "%s_turn", name);
    if (options->json) {
        report(options, turn_name, "msg/turn", figure_of(batches, options->rounds));
    }
}

/* ── one row by instructions: this program again, under callgrind ── */

/* What callgrind runs. It collects while the engine runs in the measured round, and only then. */
static void run_traced(const struct memory_load *load)
{
    struct memory_gateway *gateway = memory_gateway_open(load);

    (void)measure(WARM_MESSAGES, 0, false);
    struct memory_round round = measure(TRACED_MESSAGES, 0, true);
    printf("%llu\n", (unsigned long long)round.messages);
    (void)fflush(stdout);
    memory_gateway_close(gateway);
}

static double read_summary(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[PATH_BYTES];
    unsigned long long instructions = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "summary: %llu", &instructions) == 1 ||
            sscanf(line, "totals: %llu", &instructions) == 1) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (instructions == 0) {
        memory_fail("%s: no summary of callgrind: is valgrind's header there at the build?", path);
    }
    return (double)instructions;
}

static void exec_callgrind(const struct options *options, const struct memory_load *load,
                           const char *scenario, const char *path)
{
    char out[PATH_BYTES + 32], log[PATH_BYTES + 32], qos[32], payload[32], batch[32];

    (void)snprintf(out, sizeof out, "--callgrind-out-file=%s", path);
    (void)snprintf(log, sizeof log, "--log-file=%s.log", path);
    (void)snprintf(qos, sizeof qos, "--qos=%u", load->qos);
    (void)snprintf(payload, sizeof payload, "--payload=%u", load->payload_bytes);
    (void)snprintf(batch, sizeof batch, "--batch=%u", load->batch);
    (void)execlp("valgrind", "valgrind", "--tool=callgrind", "--collect-atstart=no", out, log,
                 options->self, scenario, qos, payload, batch, (char *)NULL);
    memory_fail("valgrind: %s: install it, or leave out --callgrind", strerror(errno));
}

static void count_instructions(const struct options *options, const struct memory_load *load,
                               const char *scenario, const char *name)
{
    char path[PATH_BYTES];
    int ends[2];
    int state = 0;
    unsigned long long messages = 0;

    (void)snprintf(path, sizeof path, "%s/%s.callgrind", options->callgrind, name);
    (void)fflush(stdout);
    if (pipe(ends) != 0) {
        memory_fail("no pipe: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        exec_callgrind(options, load, scenario, path);
    }
    (void)close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    bool has_said = said != NULL && fscanf(said, "%llu", &messages) == 1 && messages > 0;
    if (pid < 0 || waitpid(pid, &state, 0) != pid || state != 0 || !has_said) {
        memory_fail("%s under callgrind has failed: %s.log says why", name, path);
    }
    (void)fclose(said);
    double each = read_summary(path) / (double)messages;
    report(options, name, "instr/msg", (struct figure){each, each, each});
}

/* ── rows ── */

static void run_row(const struct options *options, const struct scenario *scenario, uint32_t qos,
                    uint32_t payload_bytes, uint32_t batch)
{
    struct memory_load load = {
        .rings = 1,
        .groups = scenario->groups,
        .publishers = scenario->publishers,
        .subscribers = scenario->subscribers,
        .batch = batch,
        .payload_bytes = payload_bytes,
        .qos = qos,
    };
    char name[NAME_BYTES];

    (void)snprintf(name, sizeof name, "%s_q%u_%uB_x%u", scenario->name, qos, payload_bytes, batch);
    if (memory_is_traced()) {
        run_traced(&load);
    } else if (options->callgrind != NULL) {
        count_instructions(options, &load, scenario->name, name);
    } else {
        run_timed(options, &load, name);
    }
}

static bool is_chosen(uint32_t choice, uint32_t value)
{
    return choice == NOT_SET || choice == value;
}

static void run_batches(const struct options *options, const struct scenario *scenario,
                        uint32_t qos, uint32_t payload_bytes)
{
    uint32_t most = payload_bytes <= 16 ? scenario->batch_small : scenario->batch_large;

    if (options->batch != NOT_SET) {
        run_row(options, scenario, qos, payload_bytes, options->batch);
        return;
    }
    run_row(options, scenario, qos, payload_bytes, 1);
    run_row(options, scenario, qos, payload_bytes, most);
}

static void run_scenario(const struct options *options, const struct scenario *scenario)
{
    static const uint32_t payloads[] = {16, 256};

    for (uint32_t qos = 0; qos <= 1; qos++) {
        if (!is_chosen(options->qos, qos)) {
            continue;
        }
        if (options->payload_bytes != NOT_SET) {
            run_batches(options, scenario, qos, options->payload_bytes);
            continue;
        }
        for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
            run_batches(options, scenario, qos, payloads[i]);
        }
    }
}

/* ── scale ── */

#define SCALE_PAIRS   500u /* of each shard */
#define SCALE_PAYLOAD 256u
#define SCALE_BATCH   4u

static double scale_rate(const struct options *options, uint32_t qos, bool crosses, uint32_t rings)
{
    struct memory_load load = {
        .rings = rings,
        .groups = SCALE_PAIRS * rings,
        .publishers = 1,
        .subscribers = 1,
        .batch = options->batch != NOT_SET ? options->batch : SCALE_BATCH,
        .payload_bytes = options->payload_bytes != NOT_SET ? options->payload_bytes : SCALE_PAYLOAD,
        .qos = qos,
        .crosses = crosses && rings > 1,
    };
    struct memory_gateway *gateway = memory_gateway_open(&load);

    (void)memory_rate(WARM_NS);
    double rate = memory_rate(options->round_ms * NS_PER_MS);
    memory_gateway_close(gateway);
    return rate;
}

/*
 * One shard and two in turns: A B A B; and the same of code that shares nothing at all, because two
 * processors of a virtual machine may be halves of one core: nobody gets more than they give it.
 */
static void run_scale_row(const struct options *options, uint32_t qos, bool crosses)
{
    double one[ROUNDS_MAX], two[ROUNDS_MAX], ratio[ROUNDS_MAX], machine[ROUNDS_MAX];
    double share[ROUNDS_MAX];
    uint64_t spin_ns = options->round_ms * NS_PER_MS / 4;
    const char *traffic = crosses ? "half_crosses" : "local";
    char name[NAME_BYTES];

    for (uint32_t i = 0; i < options->rounds; i++) {
        one[i] = scale_rate(options, qos, crosses, 1);
        double spin_one = memory_spin(1, spin_ns);
        double spin_two = memory_spin(2, spin_ns);
        two[i] = scale_rate(options, qos, crosses, 2);
        ratio[i] = two[i] / one[i];
        machine[i] = spin_two / spin_one;
        share[i] = ratio[i] / machine[i];
    }
    (void)snprintf(name, sizeof name, "scale_q%u_%s_one", qos, traffic);
    report(options, name, "msg/s", figure_of(one, options->rounds));
    (void)snprintf(name, sizeof name, "scale_q%u_%s_two", qos, traffic);
    report(options, name, "msg/s", figure_of(two, options->rounds));
    (void)snprintf(name, sizeof name, "scale_q%u_%s_ratio", qos, traffic);
    report(options, name, "times", figure_of(ratio, options->rounds));
    (void)snprintf(name, sizeof name, "scale_q%u_%s_machine", qos, traffic);
    report(options, name, "times", figure_of(machine, options->rounds));
    (void)snprintf(name, sizeof name, "scale_q%u_%s_share", qos, traffic);
    report(options, name, "of machine", figure_of(share, options->rounds));
}

static void run_scale(const struct options *options)
{
    if (options->callgrind != NULL || memory_is_traced()) {
        memory_fail("scale is a matter of time: leave out --callgrind");
    }
    for (uint32_t qos = 0; qos <= 1; qos++) {
        if (is_chosen(options->qos, qos)) {
            run_scale_row(options, qos, false);
            run_scale_row(options, qos, true);
        }
    }
}

/* ── options ── */

static void print_usage(void)
{
    printf("usage: bench_memory SCENARIO|all|scale [--OPTION N …]\n\n");
    for (size_t i = 0; i < SCENARIOS_COUNT; i++) {
        printf("  %-10s %s\n", SCENARIOS[i].name, SCENARIOS[i].words);
    }
    printf("  %-10s one shard against two: pairs of a shard, and half of them across\n\n"
           "  --qos N        0 or 1 (both)\n"
           "  --payload N    bytes, 0 … 65,536 (16 and 256)\n"
           "  --batch N      messages that leave a publisher at once, 1 … 1,000 (1, and many)\n"
           "  --rounds N     1 … %u (5)\n"
           "  --ms N         length of a round, 1 … 60,000 (100)\n"
           "  --json         an object a line\n"
           "  --callgrind F  instructions in place of time; callgrind's files go to folder F\n\n"
           "prints: name, unit, median, least, most. x14: a batch of 14\n",
           "scale", ROUNDS_MAX);
}

static uint32_t parse_number(const char *option, const char *text, uint32_t least, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || text[0] == '-' || value < least || value > most) {
        memory_fail("--%s %s: write a number from %u to %u", option, text, least, most);
    }
    return (uint32_t)value;
}

static bool parse_options(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"qos", required_argument, NULL, 'q'},       {"payload", required_argument, NULL, 'p'},
        {"batch", required_argument, NULL, 'b'},     {"rounds", required_argument, NULL, 'r'},
        {"ms", required_argument, NULL, 'm'},        {"json", no_argument, NULL, 'j'},
        {"callgrind", required_argument, NULL, 'c'}, {0},
    };

    for (int key; (key = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (key) {
        case 'q':
            options->qos = parse_number("qos", optarg, 0, 1);
            break;
        case 'p':
            options->payload_bytes = parse_number("payload", optarg, 0, 65536);
            break;
        case 'b':
            options->batch = parse_number("batch", optarg, 1, 1000);
            break;
        case 'r':
            options->rounds = parse_number("rounds", optarg, 1, ROUNDS_MAX);
            break;
        case 'm':
            options->round_ms = parse_number("ms", optarg, 1, 60000);
            break;
        case 'j':
            options->json = true;
            break;
        case 'c':
            options->callgrind = optarg;
            break;
        default:
            return false;
        }
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct options options = {.qos = NOT_SET,
                              .payload_bytes = NOT_SET,
                              .batch = NOT_SET,
                              .rounds = 5,
                              .round_ms = 100,
                              .self = argv[0]};
    const char *wanted = argc > 1 ? argv[1] : "--help";
    bool is_known = strcmp(wanted, "scale") == 0 || strcmp(wanted, "all") == 0;

    if (wanted[0] == '-') {
        print_usage();
        return strcmp(wanted, "--help") == 0 && argc > 1 ? 0 : 2;
    }
    if (!parse_options(&options, argc - 1, argv + 1)) {
        memory_fail("see --help");
    }
    for (size_t i = 0; i < SCENARIOS_COUNT; i++) {
        if (strcmp(wanted, "all") == 0 || strcmp(wanted, SCENARIOS[i].name) == 0) {
            is_known = true;
            run_scenario(&options, &SCENARIOS[i]);
        }
    }
    if (strcmp(wanted, "scale") == 0) {
        run_scale(&options);
    }
    if (!is_known) {
        memory_fail("no scenario %s: see --help", wanted);
    }
    return 0;
}
