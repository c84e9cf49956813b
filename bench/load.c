/*
 * load — bench_load, a neutral closed-loop load for any MQTT 3.1.1 broker
 *
 * Why it is so:   a comparison is worth as much as its load is even-handed. This program speaks
 *                 plain MQTT, knows no broker, shares no code with ours, and runs in one thread
 *                 on one core, so that whatever core is left belongs to the server.
 * Limits:         loopback only; at most 600 s; connections as load_net.c says
 * Not here:       starting servers, rounds and medians: see bench/run
 */
#include "bench/load.h"

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

struct scenario {
    const char *name;
    int (*run)(const struct load_options *options);
    uint32_t count;
    uint32_t window;
    uint32_t inflight;
    const char *help;
};

static const struct scenario SCENARIOS[] = {
    {"fanin", load_run_fanin, 50, 32, 32, "publishers → 1 subscriber"},
    {"pairs", load_run_pairs, 1000, 4, 32, "publisher/subscriber pairs, a topic each"},
    {"fanout", load_run_fanout, 1000, 4, 32, "1 publisher → subscribers"},
    {"connect", load_run_connect, 5000, 1, 64, "connect, CONNACK, and close at the end"},
    {"idle", load_run_idle, 10000, 1, 64, "connect at --rate, then hold for --seconds"},
};
#define SCENARIOS_COUNT (sizeof SCENARIOS / sizeof SCENARIOS[0])

enum option_key {
    KEY_HOST = 1,
    KEY_PORT,
    KEY_SECONDS,
    KEY_WARMUP,
    KEY_PAYLOAD,
    KEY_QOS,
    KEY_WINDOW,
    KEY_COUNT,
    KEY_INFLIGHT,
    KEY_RATE,
    KEY_SOURCE,
    KEY_NAME,
    KEY_CPU,
    KEY_SERVER_PID,
    KEY_JSON
};

static const struct option LONG_OPTIONS[] = {
    {"host", required_argument, NULL, KEY_HOST},
    {"port", required_argument, NULL, KEY_PORT},
    {"seconds", required_argument, NULL, KEY_SECONDS},
    {"warmup", required_argument, NULL, KEY_WARMUP},
    {"payload", required_argument, NULL, KEY_PAYLOAD},
    {"qos", required_argument, NULL, KEY_QOS},
    {"window", required_argument, NULL, KEY_WINDOW},
    {"count", required_argument, NULL, KEY_COUNT},
    {"inflight", required_argument, NULL, KEY_INFLIGHT},
    {"rate", required_argument, NULL, KEY_RATE},
    {"source", required_argument, NULL, KEY_SOURCE},
    {"name", required_argument, NULL, KEY_NAME},
    {"cpu", required_argument, NULL, KEY_CPU},
    {"server-pid", required_argument, NULL, KEY_SERVER_PID},
    {"json", no_argument, NULL, KEY_JSON},
    {NULL, 0, NULL, 0},
};

static void print_usage(void)
{
    printf("usage: bench_load SCENARIO [options]\n\n");
    for (size_t i = 0; i < SCENARIOS_COUNT; i++) {
        printf("  %-8s %s (--count %u --window %u --inflight %u)\n", SCENARIOS[i].name,
               SCENARIOS[i].help, SCENARIOS[i].count, SCENARIOS[i].window, SCENARIOS[i].inflight);
    }
    printf("\n  --host ADDRESS     of 127.0.0.0/8 (127.0.0.1)\n"
           "  --port N           (1883)\n"
           "  --seconds N        measured or held time (5)\n"
           "  --warmup N         seconds before it (1)\n"
           "  --payload BYTES    16 to 1048576 (256)\n"
           "  --qos 0|1          (0)\n"
           "  --window N         messages a publisher may have under way\n"
           "  --count N          publishers, pairs, subscribers or connections\n"
           "  --inflight N       connects under way at once\n"
           "  --rate N           idle: connects per second (5000)\n"
           "  --source N         first source address is 127.0.0.(2 + N) (0)\n"
           "  --name TEXT        start of the client ids (bench)\n"
           "  --cpu N            run on this core alone\n"
           "  --server-pid PID   also report this process's CPU time\n"
           "  --json             one line of JSON\n"
           "\nexit status: 0 all as expected, 1 lost, wrong or refused, 2 could not run\n");
}

static const struct scenario *find_scenario(const char *name)
{
    for (size_t i = 0; i < SCENARIOS_COUNT; i++) {
        if (strcmp(SCENARIOS[i].name, name) == 0) {
            return &SCENARIOS[i];
        }
    }
    return NULL;
}

static bool parse_number(const char *text, uint32_t min, uint32_t max, uint32_t *out_value)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value < min || value > max) {
        fprintf(stderr, "bench_load: %s is not a number from %u to %u\n", text, min, max);
        return false;
    }
    *out_value = (uint32_t)value;
    return true;
}

static bool parse_size_option(struct load_options *options, int key, const char *text)
{
    switch (key) {
    case KEY_SECONDS:
        return parse_number(text, 1, 600, &options->seconds);
    case KEY_WARMUP:
        return parse_number(text, 0, 60, &options->warmup_s);
    case KEY_PAYLOAD:
        return parse_number(text, 16, LOAD_PAYLOAD_MAX, &options->payload_bytes);
    case KEY_QOS:
        return parse_number(text, 0, 1, &options->qos);
    case KEY_WINDOW:
        return parse_number(text, 1, 60000, &options->window);
    case KEY_COUNT:
        return parse_number(text, 1, WIRE_TOPICS_MAX, &options->count);
    case KEY_INFLIGHT:
        return parse_number(text, 1, 65535, &options->inflight);
    case KEY_RATE:
        return parse_number(text, 1, 1000000, &options->rate);
    case KEY_SOURCE:
        return parse_number(text, 0, 65000, &options->source_first);
    default:
        return false;
    }
}

static bool parse_option(struct load_options *options, int key, const char *text)
{
    uint32_t number = 0;
    bool good = true;
    switch (key) {
    case KEY_HOST:
        options->host = text;
        break;
    case KEY_NAME:
        options->name = text;
        break;
    case KEY_JSON:
        options->json = true;
        break;
    case KEY_PORT:
        good = parse_number(text, 1, 65535, &number);
        options->port = (uint16_t)number;
        break;
    case KEY_CPU:
        good = parse_number(text, 0, 1023, &number);
        options->cpu = (int)number;
        break;
    case KEY_SERVER_PID:
        good = parse_number(text, 1, 0x7fffffff, &number);
        options->server_pid = (int)number;
        break;
    default:
        good = parse_size_option(options, key, text);
    }
    return good;
}

static bool parse_options(struct load_options *options, int argc, char **argv)
{
    for (;;) {
        int key = getopt_long(argc, argv, "", LONG_OPTIONS, NULL);
        if (key == -1) {
            return optind == argc;
        }
        if (key == '?' || !parse_option(options, key, optarg)) {
            return false;
        }
    }
}

static bool pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0) {
        return true;
    }
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) == 0) {
        return true;
    }
    fprintf(stderr, "bench_load: cannot run on core %d\n", cpu);
    return false;
}

int main(int argc, char **argv)
{
    const struct scenario *scenario = argc > 1 ? find_scenario(argv[1]) : NULL;
    if (!scenario) {
        print_usage();
        return argc > 1 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    struct load_options options = {
        .host = "127.0.0.1",
        .name = "bench",
        .port = 1883,
        .seconds = 5,
        .warmup_s = 1,
        .payload_bytes = 256,
        .window = scenario->window,
        .count = scenario->count,
        .inflight = scenario->inflight,
        .rate = 5000,
        .cpu = -1,
    };
    if (!parse_options(&options, argc - 1, argv + 1) || !pin(options.cpu)) {
        fprintf(stderr, "bench_load: see --help\n");
        return 2;
    }
    return scenario->run(&options);
}
