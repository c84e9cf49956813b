/*
 * load — bench_load, a neutral load for any MQTT 3.1.1 broker, in a closed loop or by a plan
 *
 * Why it is so:   a comparison is worth as much as its load is even-handed. This program speaks
 *                 plain MQTT, knows no broker, shares no code with ours, and runs in one thread on
 *                 one core, so that whatever core is left belongs to the server.
 * Limits:         loopback only; at most two hours; connections as load_net.c says
 * Not here:       starting servers, rounds and medians: see bench/run
 */
#include "bench/load.h"

#include <openssl/ssl.h>

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

struct scenario {
    const char *name;
    int (*run)(const struct load_options *options);
    uint32_t count;
    uint32_t window;
    uint32_t inflight;
    double rate;
    const char *help;
};

static const struct scenario SCENARIOS[] = {
    {"fanin", load_run_fanin, 50, 32, 32, 0, "publishers → few subscribers, each message to one"},
    {"pairs", load_run_pairs, 1000, 4, 32, 0, "publisher/subscriber pairs, a topic each"},
    {"fanout", load_run_fanout, 1000, 4, 32, 0, "few publishers → subscribers of all their topics"},
    {"ingest", load_run_ingest, 50, 32, 32, 0, "publishers alone"},
    {"connect", load_run_connect, 5000, 1, 64, 0, "connect, CONNACK, and close at the end"},
    {"idle", load_run_idle, 10000, 1, 64, 5000, "connect at --rate, then hold for --seconds"},
    {"storm", load_run_storm, 5000, 1, 200, 0, "connect, CONNACK, and close at once"},
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
    KEY_FEW,
    KEY_INFLIGHT,
    KEY_RATE,
    KEY_PING,
    KEY_SOURCE,
    KEY_FIRST,
    KEY_NAME,
    KEY_TOPIC,
    KEY_CREDENTIALS,
    KEY_SLICE,
    KEY_TLS,
    KEY_CAFILE,
    KEY_TLS_RSA,
    KEY_TLS_RESUME,
    KEY_CPU,
    KEY_SERVER_PID,
    KEY_JSON,
    KEY_HISTOGRAM
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
    {"few", required_argument, NULL, KEY_FEW},
    {"inflight", required_argument, NULL, KEY_INFLIGHT},
    {"rate", required_argument, NULL, KEY_RATE},
    {"ping", required_argument, NULL, KEY_PING},
    {"source", required_argument, NULL, KEY_SOURCE},
    {"first", required_argument, NULL, KEY_FIRST},
    {"name", required_argument, NULL, KEY_NAME},
    {"topic", required_argument, NULL, KEY_TOPIC},
    {"credentials", required_argument, NULL, KEY_CREDENTIALS},
    {"slice", required_argument, NULL, KEY_SLICE},
    {"tls", required_argument, NULL, KEY_TLS},
    {"cafile", required_argument, NULL, KEY_CAFILE},
    {"tls-rsa", no_argument, NULL, KEY_TLS_RSA},
    {"tls-resume", no_argument, NULL, KEY_TLS_RESUME},
    {"cpu", required_argument, NULL, KEY_CPU},
    {"server-pid", required_argument, NULL, KEY_SERVER_PID},
    {"json", no_argument, NULL, KEY_JSON},
    {"histogram", no_argument, NULL, KEY_HISTOGRAM},
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
           "  --few N            fan-in: subscribers; fan-out: publishers (1)\n"
           "  --inflight N       connects under way at once\n"
           "  --rate N           connects, or messages of all publishers, a second, by a plan;\n"
           "                     0: as fast as it goes (idle 5000, others 0)\n"
           "  --ping SECONDS     idle: each session sends a ping that often; 0: none (0)\n"
           "  --source N         first source address is 127.0.0.(2 + N) (0)\n"
           "  --first N          number of the first client, and line of --credentials (0)\n"
           "  --name TEXT        start of the client ids (bench)\n"
           "  --topic TEXT       of all messages; ###### becomes a number (bench/######)\n"
           "  --credentials FILE lines CLIENT_ID USER PASSWORD; without it clients are anonymous\n"
           "  --slice MS         with --rate and --json: latencies also in parts of that length\n"
           "  --tls 1.2|1.3      over TLS of this version\n"
           "  --cafile FILE      TLS: check the server's certificate\n"
           "  --tls-rsa          TLS: offer nothing but RSA certificates\n"
           "  --tls-resume       TLS: all resume the session of the first\n"
           "  --cpu N            run on this core alone\n"
           "  --server-pid PID   also report this process's CPU time\n"
           "  --json             one line of JSON\n"
           "  --histogram        connect, idle: and all latencies in it\n"
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

static const char *name_of(int key)
{
    for (const struct option *option = LONG_OPTIONS; option->name; option++) {
        if (option->val == key) {
            return option->name;
        }
    }
    return "?";
}

static bool parse_number(int key, const char *text, uint32_t min, uint32_t max, uint32_t *out_value)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value < min || value > max) {
        fprintf(stderr, "bench_load: --%s %s: write a number from %u to %u\n", name_of(key), text,
                min, max);
        return false;
    }
    *out_value = (uint32_t)value;
    return true;
}

static bool parse_rate(const char *text, double *out_rate)
{
    char *end;
    *out_rate = strtod(text, &end);
    if (end != text && *end == '\0' && *out_rate >= 0 && *out_rate <= 1e7) {
        return true;
    }
    fprintf(stderr, "bench_load: --rate %s: write a number from 0 to 10000000\n", text);
    return false;
}

static bool parse_topic(const char *text, struct wire_topics *topics)
{
    if (wire_topics_parse(topics, text)) {
        return true;
    }
    fprintf(stderr, "bench_load: --topic %s: write at most %u bytes with ###### among them\n", text,
            WIRE_TOPIC_SIZE_MAX);
    return false;
}

static bool parse_tls(const char *text, struct load_options *options)
{
    options->tls = true;
    options->tls_version = strcmp(text, "1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (strcmp(text, "1.2") == 0 || strcmp(text, "1.3") == 0) {
        return true;
    }
    fprintf(stderr, "bench_load: --tls %s: write 1.2 or 1.3\n", text);
    return false;
}

static bool parse_size_option(struct load_options *options, int key, const char *text)
{
    switch (key) {
    case KEY_SECONDS:
        return parse_number(key, text, 1, 7200, &options->seconds);
    case KEY_WARMUP:
        return parse_number(key, text, 0, 60, &options->warmup_s);
    case KEY_PAYLOAD:
        return parse_number(key, text, 16, LOAD_PAYLOAD_MAX, &options->payload_bytes);
    case KEY_QOS:
        return parse_number(key, text, 0, 1, &options->qos);
    case KEY_WINDOW:
        return parse_number(key, text, 1, 60000, &options->window);
    case KEY_COUNT:
        return parse_number(key, text, 1, WIRE_TOPICS_MAX, &options->count);
    case KEY_FEW:
        return parse_number(key, text, 1, WIRE_TOPICS_MAX, &options->few);
    case KEY_INFLIGHT:
        return parse_number(key, text, 1, 65535, &options->inflight);
    case KEY_PING:
        return parse_number(key, text, 0, 7200, &options->ping_s);
    case KEY_SOURCE:
        return parse_number(key, text, 0, 65000, &options->source_first);
    case KEY_FIRST:
        return parse_number(key, text, 0, 1000000000, &options->client_first);
    case KEY_SLICE:
        return parse_number(key, text, 10, 10000, &options->slice_ms);
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
    case KEY_CREDENTIALS:
        options->credentials = text;
        break;
    case KEY_CAFILE:
        options->cafile = text;
        break;
    case KEY_TLS_RSA:
        options->tls_rsa = true;
        break;
    case KEY_TLS_RESUME:
        options->tls_resume = true;
        break;
    case KEY_JSON:
        options->json = true;
        break;
    case KEY_HISTOGRAM:
        options->histogram = true;
        break;
    case KEY_TOPIC:
        return parse_topic(text, &options->topics);
    case KEY_TLS:
        return parse_tls(text, options);
    case KEY_RATE:
        return parse_rate(text, &options->rate);
    case KEY_PORT:
        good = parse_number(key, text, 1, 65535, &number);
        options->port = (uint16_t)number;
        break;
    case KEY_CPU:
        good = parse_number(key, text, 0, 1023, &number);
        options->cpu = (int)number;
        break;
    case KEY_SERVER_PID:
        good = parse_number(key, text, 1, 0x7fffffff, &number);
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

static bool check(const struct load_options *options)
{
    if (!options->tls && (options->cafile || options->tls_rsa || options->tls_resume)) {
        fprintf(stderr, "bench_load: --cafile, --tls-rsa and --tls-resume need --tls\n");
        return false;
    }
    return true;
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
        .few = 1,
        .inflight = scenario->inflight,
        .rate = scenario->rate,
        .cpu = -1,
    };
    (void)wire_topics_parse(&options.topics, "bench/######");
    (void)prctl(PR_SET_TIMERSLACK, 1); /* short sleeps are short */
    if (!parse_options(&options, argc - 1, argv + 1) || !check(&options) || !pin(options.cpu)) {
        fprintf(stderr, "bench_load: see --help\n");
        return 2;
    }
    return scenario->run(&options);
}
