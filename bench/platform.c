/*
 * platform — bench_platform, what the platform's profile does at scale, and whether it keeps its
 * word there
 *
 * Why it is so:   every round is a process of its own, forked here, with a fleet's process of its
 *                 own: memory that one round has used does not hide the next one's, and processor
 *                 time belongs to one measurement. Rounds of a part follow one another; a figure is
 *                 their median, with its least and most.
 * Words:          promise: what must hold in every round, whatever the speed; a broken one is named
 *                 and makes the exit status 1
 * Limits:         loopback; RLIMIT_NOFILE bounds the devices of a shard
 */
#include "bench/platform.h"

#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAX    32u
#define ROUND_S_MAX   600u
#define PAYLOAD_LEAST 24u
#define PAYLOAD_MOST  4096u

static bool as_json; /* of the report: an object a line, in place of a table */

/* ── what rounds say ── */

void platform_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fprintf(stderr, "bench_platform: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
    _exit(2);
}

void platform_note(struct platform_round *round, const char *prefix, const char *name,
                   const char *unit, double value)
{
    struct platform_figure *figure = &round->figures[round->figures_count];

    if (round->figures_count == PLATFORM_FIGURES_MAX) {
        platform_fail("more than %u figures", PLATFORM_FIGURES_MAX);
    }
    round->figures_count++;
    figure->value = value;
    (void)snprintf(figure->name, sizeof figure->name, "%s_%s", prefix, name);
    (void)snprintf(figure->unit, sizeof figure->unit, "%s", unit);
}

void platform_broken(struct platform_round *round, const char *words, double count)
{
    if (count > 0 || count < 0) {
        round->promises_broken++;
        (void)fprintf(stderr, "bench_platform: BROKEN: %s: %.0f\n", words, count);
    }
}

/* ── the report ── */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

static int digits_of(double value)
{
    double size = value < 0 ? -value : value;

    return size >= 1000 || size == (double)(uint64_t)size ? 0 : size >= 10 ? 1 : 3;
}

static void print_figure(const struct platform_options *options,
                         const struct platform_figure *figure, const double *sorted)
{
    double median = sorted[options->rounds / 2];
    double least = sorted[0];
    double most = sorted[options->rounds - 1];

    if (as_json) {
        printf("{\"name\":\"%s\",\"unit\":\"%s\",\"value\":%.9g,\"least\":%.9g,\"most\":%.9g,"
               "\"rounds\":%u,\"seed\":%u}\n",
               figure->name, figure->unit, median, least, most, options->rounds, options->seed);
        return;
    }
    printf("%-36s %-11s %12.*f %12.*f %12.*f %6u\n", figure->name, figure->unit, digits_of(median),
           median, digits_of(least), least, digits_of(most), most, options->seed);
}

static void print_promises(const struct platform_options *options, const char *part,
                           uint32_t broken)
{
    if (as_json) {
        printf("{\"name\":\"promises_broken\",\"unit\":\"count\",\"part\":\"%s\",\"value\":%u,"
               "\"rounds\":%u,\"seed\":%u}\n",
               part, broken, options->rounds, options->seed);
    } else {
        printf("%-36s %-11s %12u\n", "promises_broken", part, broken);
    }
}

static void report(const struct platform_options *options, const struct platform_round *rounds)
{
    double values[ROUNDS_MAX];

    for (uint32_t i = 0; i < rounds[0].figures_count; i++) {
        for (uint32_t round = 0; round < options->rounds; round++) {
            values[round] = rounds[round].figures[i].value;
        }
        qsort(values, options->rounds, sizeof values[0], compare);
        print_figure(options, &rounds[0].figures[i], values);
    }
    (void)fflush(stdout);
}

/* ── rounds ── */

/* The folder of a round, with the registry and SQLite's files beside it. */
static void make_folder(struct platform_options *options)
{
    fmx_temporary_path(options->folder, sizeof options->folder, "bench_platform.XXXXXX");
    if (mkdtemp(options->folder) == NULL) {
        platform_fail("no folder for files");
    }
}

static void remove_folder(const struct platform_options *options)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char name[sizeof options->folder + 32];

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        (void)snprintf(name, sizeof name, "%s/registry%s", options->folder, ends[i]);
        (void)unlink(name);
    }
    (void)rmdir(options->folder);
}

static bool run_round(const struct platform_part *part, struct platform_options *options,
                      struct platform_round *round)
{
    int state = 0;

    make_folder(options);
    pid_t pid = fork();
    if (pid == 0) {
        (void)alarm(ROUND_S_MAX);
        part->run(options, round);
        round->ended = true;
        _exit(0);
    }
    bool ended = pid > 0 && waitpid(pid, &state, 0) == pid && round->ended;
    if (!ended) {
        (void)fprintf(stderr, "bench_platform: a round of %s did not end (state 0x%x)\n",
                      part->name, (unsigned)state);
    }
    remove_folder(options);
    return ended;
}

/* The exit status. */
static int run_part(const struct platform_part *part, struct platform_options *options)
{
    size_t bytes = options->rounds * sizeof(struct platform_round);
    struct platform_round *rounds =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint32_t broken = 0;

    if (rounds == MAP_FAILED) {
        platform_fail("memory ran out");
    }
    for (uint32_t i = 0; i < options->rounds; i++) {
        if (!run_round(part, options, &rounds[i])) {
            (void)munmap(rounds, bytes);
            return 2;
        }
        broken += rounds[i].promises_broken;
    }
    report(options, rounds);
    print_promises(options, part->name, broken);
    (void)munmap(rounds, bytes);
    return broken > 0 ? 1 : 0;
}

/* ── options ── */

struct number_option {
    const char *name;
    size_t offset;
    uint32_t least;
    uint32_t most;
    const char *words;
};

#define OPTION(name, field, least, most, words)                                                    \
    {                                                                                              \
        name, offsetof(struct platform_options, field), least, most, words                         \
    }

static const struct number_option NUMBERS[] = {
    OPTION("devices", devices, 2, 1000000, "devices, all connected"),
    OPTION("busy", busy, 1, 100000, "of these publish (limiter)"),
    OPTION("offered", offered, 11, 1000, "messages a second of each of these"),
    OPTION("seconds", seconds, 11, 300, "that they publish; and that calls are measured"),
    OPTION("inflight", inflight, 1, 1000000, "calls at once"),
    OPTION("outstanding", outstanding, 1, 30000000, "calls that nobody answers"),
    OPTION("timeout", timeout_ms, 1000, 8000, "their timeout in milliseconds"),
    OPTION("payload", payload_bytes, PAYLOAD_LEAST, PAYLOAD_MOST, "bytes of messages and calls"),
    OPTION("rounds", rounds, 1, ROUNDS_MAX, "of each part"),
    OPTION("seed", seed, 1, 0xffffffffu, "of the order of calls, and of the fleets"),
    OPTION("shards", shards, 1, 64, "of each end"),
    OPTION("server-cpu", server_cpu, 0, 1023, "the core of the gateway"),
    OPTION("load-cpu", load_cpu, 0, 1023, "the core of the fleets and of the service"),
};
#define NUMBERS_COUNT (sizeof NUMBERS / sizeof NUMBERS[0])

static uint32_t *field_of(struct platform_options *options, size_t number)
{
    return (uint32_t *)(void *)((char *)options + NUMBERS[number].offset);
}

static void print_usage(struct platform_options *defaults)
{
    printf("usage: bench_platform PART|all [--OPTION N …] [--json]\n\n");
    for (size_t i = 0; i < PLATFORM_PARTS_COUNT; i++) {
        printf("  %-14s %s\n", PLATFORM_PARTS[i].name, PLATFORM_PARTS[i].words);
    }
    printf("\n");
    for (size_t i = 0; i < NUMBERS_COUNT; i++) {
        printf("  --%-14s %s, %u … %u (%u)\n", NUMBERS[i].name, NUMBERS[i].words, NUMBERS[i].least,
               NUMBERS[i].most, *field_of(defaults, i));
    }
    printf("  --%-14s an object a line in place of the table\n", "json");
    printf("\nprints: name, unit, median, least, most, seed\n"
           "exit status: 0 all promises kept, 1 one was broken, 2 could not run\n");
}

static bool parse_number(const struct number_option *option, const char *text, uint32_t *out_value)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || value < option->least || value > option->most) {
        (void)fprintf(stderr, "bench_platform: --%s %s: write a number from %u to %u\n",
                      option->name, text, option->least, option->most);
        return false;
    }
    *out_value = (uint32_t)value;
    return true;
}

static bool parse_options(struct platform_options *options, int argc, char **argv)
{
    const int json_key = NUMBERS_COUNT + 1;
    struct option long_options[NUMBERS_COUNT + 2] = {0};

    for (size_t i = 0; i < NUMBERS_COUNT; i++) {
        long_options[i] = (struct option){NUMBERS[i].name, required_argument, NULL, (int)i + 1};
    }
    long_options[NUMBERS_COUNT] = (struct option){"json", no_argument, NULL, json_key};
    for (;;) {
        int key = getopt_long(argc, argv, "", long_options, NULL);
        if (key == -1) {
            break;
        }
        if (key == json_key) {
            as_json = true;
            continue;
        }
        size_t number = (size_t)key - 1;
        if (key == '?' || !parse_number(&NUMBERS[number], optarg, field_of(options, number))) {
            return false;
        }
    }
    return optind == argc;
}

static bool is_wanted(const struct platform_part *part, const char *wanted)
{
    return strcmp(wanted, "all") == 0 || strcmp(wanted, part->name) == 0;
}

int main(int argc, char **argv)
{
    struct platform_options options = {.devices = 20000,
                                       .busy = 400,
                                       .offered = 20,
                                       .seconds = 12,
                                       .inflight = 2000,
                                       .outstanding = 1000000,
                                       .timeout_ms = 8000,
                                       .payload_bytes = 64,
                                       .rounds = 3,
                                       .seed = 1,
                                       .shards = 2,
                                       .server_cpu = 0,
                                       .load_cpu = 1};
    const char *wanted = argc > 1 ? argv[1] : "--help";
    int status = -1;

    if (wanted[0] == '-') {
        print_usage(&options);
        return strcmp(wanted, "--help") == 0 && argc > 1 ? 0 : 2;
    }
    if (!parse_options(&options, argc - 1, argv + 1)) {
        (void)fprintf(stderr, "bench_platform: see --help\n");
        return 2;
    }
    for (size_t i = 0; i < PLATFORM_PARTS_COUNT; i++) {
        if (is_wanted(&PLATFORM_PARTS[i], wanted)) {
            int now = run_part(&PLATFORM_PARTS[i], &options);
            status = now > status ? now : status;
        }
    }
    if (status < 0) {
        (void)fprintf(stderr, "bench_platform: no part %s: see --help\n", wanted);
    }
    return status < 0 ? 2 : status;
}
