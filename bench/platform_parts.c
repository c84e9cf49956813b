/*
 * platform_parts — what bench_platform measures: the limiter under calls, calls alone, connects,
 * and a million calls that nobody answers
 *
 * Words:          busy: devices that publish more than they may; quiet: those that are called
 *                 promise: what a bucket grants in WINDOW_S seconds from a device's first message
 *                 on, while more is offered: its burst and rate × WINDOW_S, to within one message,
 *                 as a window does not begin on a whole token
 * Threads:        the round's first; on_message runs on the shards, and the counts of a device
 *                 belong to the shard that has it
 * Limits:         devices have an _ss=1 and no subscriptions of their own
 */
#include "bench/platform.h"

#include "engine/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define WINDOW_S       10u
#define SECOND_NS      1000000000ull
#define ERROR_PER_CENT 1.0
#define CALLS_FEW      64u
#define WARMUP_S       1u
#define CALLS_MAX      (1ull << 25)
#define TIMEOUT_MS     8000u
#define SPIKE_S        60u

/* ── support ── */

static struct platform_order order_of(const struct platform_world *world, enum platform_verb verb,
                                      uint32_t first, uint32_t count)
{
    return (struct platform_order){
        .verb = verb, .port = world->port, .first = first, .count = count, .answers = true};
}

static struct platform_seen tell(struct platform_world *world, struct platform_order order)
{
    struct platform_seen seen;

    platform_fleets_begin(&world->fleets, &order);
    platform_fleets_wait(&world->fleets, &seen);
    return seen;
}

static void end_fleet(struct platform_world *world)
{
    (void)tell(world, order_of(world, PLATFORM_END, 0, 0));
}

static struct fmx_stats stats_of(const struct platform_world *world)
{
    struct fmx_stats stats;

    fmx_gateway_stats(world->gateway, &stats);
    return stats;
}

static uint32_t limit_of(uint32_t limit)
{
    struct fmx_gateway_options options;

    fmx_gateway_options_init(&options, FMX_PROFILE_PLATFORM);
    return fmx_limits_get(&options.limits, (enum fmx_limit)limit);
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static void note_rates(struct platform_round *round, const char *prefix,
                       const struct platform_calls *calls, uint64_t ended, double wall_s,
                       double gateway_s)
{
    const struct fmx_distribution *latency = &calls->latency;

    platform_note(round, prefix, "rate", "calls/s", (double)ended / wall_s);
    platform_note(round, prefix, "per_gateway_second", "calls/s", (double)ended / gateway_s);
    platform_note(round, prefix, "p50", "ms", ms(fmx_distribution_percentile(latency, 0.5)));
    platform_note(round, prefix, "p99", "ms", ms(fmx_distribution_percentile(latency, 0.99)));
}

/* ── the limiter ── */

/* What was granted to a device: written by its shard, read when the gateway has stopped. */
struct heard {
    uint64_t first_ns;
    uint32_t within; /* of WINDOW_S from the first on */
    uint32_t all;
};

static struct heard *heard; /* by number */
static uint32_t heard_count;

static void on_message(void *user, const struct fmx_gateway_message *message)
{
    uint64_t now_ns = fmx_clock_ns();
    uint32_t number = 0;

    (void)user;
    for (size_t i = strlen("device_"); i < message->device_name.bytes; i++) {
        number = number * 10 + (message->device_name.data[i] - '0');
    }
    if (number >= heard_count) {
        return;
    }
    struct heard *device = &heard[number];
    if (device->all++ == 0) {
        device->first_ns = now_ns;
    }
    device->within += now_ns - device->first_ns < WINDOW_S * SECOND_NS;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

/* By how much the count misses what was promised, in per cent. */
static double error_of(uint32_t count, uint32_t promised)
{
    uint32_t off = count > promised ? count - promised : promised - count;

    return off <= 1 ? 0 : 100.0 * (off - 1) / promised;
}

static void note_errors(const struct platform_options *options, struct platform_round *round)
{
    uint32_t rate = limit_of(FMX_LIM_upstream_qos1_per_second);
    uint32_t promised = rate + rate * WINDOW_S; /* one second's burst */
    double *errors = calloc(options->busy, sizeof *errors);
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;
    uint64_t broken = 0;

    for (uint32_t i = 0; errors != NULL && i < options->busy; i++) {
        uint32_t count = heard[i + 1].within;
        least = count < least ? count : least;
        most = count > most ? count : most;
        errors[i] = error_of(count, promised);
        broken += errors[i] >= ERROR_PER_CENT;
    }
    if (errors == NULL) {
        platform_fail("memory ran out");
    }
    qsort(errors, options->busy, sizeof *errors, compare);
    platform_note(round, "limiter", "promised_each", "messages", promised);
    platform_note(round, "limiter", "granted_least", "messages", least);
    platform_note(round, "limiter", "granted_most", "messages", most);
    platform_note(round, "limiter", "error_median", "%", errors[options->busy / 2]);
    platform_note(round, "limiter", "error_p99", "%", errors[options->busy * 99 / 100]);
    platform_note(round, "limiter", "error_max", "%", errors[options->busy - 1]);
    platform_broken(round, "devices whose limiter erred by 1 % or more", (double)broken);
    free(errors);
}

static void note_messages(struct platform_round *round, const struct platform_seen *busy,
                          const struct fmx_stats *stats)
{
    uint64_t granted = 0;

    for (uint32_t i = 0; i < heard_count; i++) {
        granted += heard[i].all;
    }
    platform_note(round, "limiter", "offered", "messages",
                  (double)busy->snapshot.counters.publishes_sent);
    platform_note(round, "limiter", "granted", "messages", (double)granted);
    platform_note(round, "limiter", "refused", "messages",
                  (double)busy->snapshot.counters.publishes_refused);
    platform_note(round, "limiter", "puback_p99", "ms", ms(busy->puback.p99_ns));
    platform_broken(round, "messages neither granted nor refused",
                    (double)busy->snapshot.counters.publishes_sent - (double)granted -
                        (double)busy->snapshot.counters.publishes_refused);
    platform_broken(round, "refusals that are not the limiter's",
                    (double)busy->snapshot.counters.publishes_refused -
                        (double)stats->limited_upstream_qos1);
}

static void run_limiter(const struct platform_options *options, struct platform_round *round)
{
    uint32_t quiet = options->devices - options->busy;
    struct platform_seen busy;
    struct platform_world world;

    if (options->busy >= options->devices) {
        platform_fail("--busy has to be less than --devices");
    }
    heard_count = options->busy + 1;
    heard = calloc(heard_count, sizeof *heard);
    if (heard == NULL) {
        platform_fail("memory ran out");
    }
    platform_world_open(&world, options);
    platform_gateway_open(&world, FMX_PROFILE_PLATFORM, limit_of(FMX_LIM_downstream_per_second),
                          on_message);
    struct platform_calls *calls =
        platform_calls_open(&world, options->busy + 1, quiet, TIMEOUT_MS, CALLS_MAX, false);
    (void)tell(&world, order_of(&world, PLATFORM_HOLD, options->busy + 1, quiet));
    struct platform_usage begin = platform_usage_now(&world);
    struct platform_order publish = order_of(&world, PLATFORM_PUBLISH, 1, options->busy);
    platform_fleets_begin(&world.fleets, &publish);
    platform_calls_run(calls, options->inflight, 0, UINT64_MAX);
    uint64_t ended = calls->ended;
    struct platform_usage usage = platform_usage_since(&world, &begin);
    platform_fleets_wait(&world.fleets, &busy);
    platform_calls_settle(calls);
    struct fmx_stats stats = stats_of(&world);
    end_fleet(&world);
    platform_gateway_close(&world);
    platform_note(round, "limiter", "devices", "sessions", options->devices);
    note_messages(round, &busy, &stats);
    note_errors(options, round);
    platform_calls_check(calls, round, "limiter_calls");
    note_rates(round, "limiter_calls", calls, ended, usage.wall_s, usage.gateway_s);
    platform_note_usage(round, "limiter", &usage);
    platform_calls_close(calls);
    platform_world_close(&world);
}

/* ── calls alone ── */

static void run_window(struct platform_world *world, uint32_t window, struct platform_round *round)
{
    const struct platform_options *options = world->options;
    struct platform_calls *calls =
        platform_calls_open(world, 1, options->devices, TIMEOUT_MS, CALLS_MAX, false);
    char prefix[24];

    platform_calls_run(calls, window, fmx_clock_ns() + WARMUP_S * SECOND_NS, UINT64_MAX);
    uint64_t before = calls->ended;
    struct platform_usage begin = platform_usage_now(world);
    platform_calls_run(calls, window, fmx_clock_ns() + options->seconds * SECOND_NS, UINT64_MAX);
    uint64_t ended = calls->ended - before;
    struct platform_usage usage = platform_usage_since(world, &begin);
    platform_calls_settle(calls);
    (void)snprintf(prefix, sizeof prefix, "calls_%u", window);
    note_rates(round, prefix, calls, ended, usage.wall_s, usage.gateway_s);
    platform_calls_check(calls, round, prefix);
    platform_note_usage(round, prefix, &usage);
    platform_calls_close(calls);
}

static void run_calls(const struct platform_options *options, struct platform_round *round)
{
    struct platform_world world;

    platform_world_open(&world, options);
    platform_gateway_open(&world, FMX_PROFILE_PLATFORM, limit_of(FMX_LIM_downstream_per_second),
                          NULL);
    (void)tell(&world, order_of(&world, PLATFORM_HOLD, 1, options->devices));
    run_window(&world, CALLS_FEW, round);
    run_window(&world, options->inflight, round);
    end_fleet(&world);
    platform_gateway_close(&world);
    platform_world_close(&world);
}

/* ── connects ── */

/* The same CONNECTs to a gateway of either profile: the open one does not look at signatures. */
static void run_connects_of(struct platform_world *world, enum fmx_profile profile,
                            const char *prefix, struct platform_round *round, double out_rates[2])
{
    uint32_t count = world->options->devices;

    platform_gateway_open(world, profile, FMX_UNLIMITED, NULL);
    struct platform_usage begin = platform_usage_now(world);
    struct platform_seen seen = tell(world, order_of(world, PLATFORM_HOLD, 1, count));
    struct platform_usage usage = platform_usage_since(world, &begin);
    end_fleet(world);
    platform_gateway_close(world);
    double connects = (double)seen.snapshot.counters.connects_ok;
    out_rates[0] = connects / ((double)seen.snapshot.last_connect_ns / 1e9);
    out_rates[1] = connects / usage.gateway_s;
    platform_note(round, prefix, "rate", "connects/s", out_rates[0]);
    platform_note(round, prefix, "per_gateway_second", "connects/s", out_rates[1]);
    platform_note(round, prefix, "p99", "ms", ms(seen.connect.p99_ns));
    platform_note_usage(round, prefix, &usage);
}

/* The first time is apart: each device's first CONNECT ever is written to the registry. */
static void run_connects(const struct platform_options *options, struct platform_round *round)
{
    struct platform_world world;
    double first[2], open[2], known[2];

    platform_world_open(&world, options);
    run_connects_of(&world, FMX_PROFILE_PLATFORM, "connects_first", round, first);
    run_connects_of(&world, FMX_PROFILE_OPEN, "connects_open", round, open);
    run_connects_of(&world, FMX_PROFILE_PLATFORM, "connects_signed", round, known);
    platform_world_close(&world);
    platform_note(round, "connects", "signed_to_open", "ratio", known[0] / open[0]);
    platform_note(round, "connects", "signed_to_open_cpu", "ratio", known[1] / open[1]);
}

/* ── calls that nobody answers ── */

static double resident_bytes(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file == NULL || fscanf(file, "%lu %lu", &pages, &resident) != 2) {
        platform_fail("/proc/self/statm cannot be read");
    }
    (void)fclose(file);
    return (double)resident * 4096;
}

/* Begins all and waits until the gateway has taken them in. The most that waited at once. */
static uint64_t begin_all(struct platform_world *world, struct platform_calls *calls,
                          uint32_t count, double *out_resident)
{
    uint64_t most = 0;
    uint64_t until_ns;

    platform_calls_run(calls, UINT64_MAX, fmx_clock_ns() + SPIKE_S * SECOND_NS, count);
    *out_resident = resident_bytes();
    until_ns = fmx_clock_ns() + SECOND_NS / 10;
    while (fmx_clock_ns() < until_ns && most < count) {
        uint64_t now = stats_of(world).calls_now;
        most = now > most ? now : most;
    }
    double resident = resident_bytes();
    *out_resident = resident > *out_resident ? resident : *out_resident;
    return most;
}

/*
 * All calls of a device come in a row, as a million of them have to begin before the first ends:
 * what is measured is waiting, not sending.
 */
static void run_outstanding(const struct platform_options *options, struct platform_round *round)
{
    uint32_t count = options->outstanding;
    struct platform_world world;
    double resident;

    platform_world_open(&world, options);
    platform_gateway_open(&world, FMX_PROFILE_PLATFORM, FMX_UNLIMITED, NULL);
    struct platform_calls *calls =
        platform_calls_open(&world, 1, options->devices, options->timeout_ms, count, true);
    calls->in_a_row = (count + options->devices - 1) / options->devices;
    struct platform_order hold = order_of(&world, PLATFORM_HOLD, 1, options->devices);
    hold.answers = false;
    (void)tell(&world, hold);
    double before = resident_bytes();
    struct platform_usage begin = platform_usage_now(&world);
    uint64_t begin_ns = fmx_clock_ns();
    uint64_t most = begin_all(&world, calls, count, &resident);
    uint64_t begun_ns = fmx_clock_ns();
    platform_calls_settle(calls);
    struct platform_usage usage = platform_usage_since(&world, &begin);
    struct fmx_stats stats = stats_of(&world);
    const struct fmx_distribution *off = &calls->off_timeout;
    platform_note(round, "outstanding", "begun_in", "s", ms(begun_ns - begin_ns) / 1e3);
    platform_note(round, "outstanding", "at_once", "calls", (double)most);
    platform_note(round, "outstanding", "memory", "MiB", (resident - before) / (1 << 20));
    platform_note(round, "outstanding", "memory_per_call", "B", (resident - before) / (double)most);
    platform_calls_check(calls, round, "outstanding");
    platform_note(round, "outstanding", "deviation_p50", "ms",
                  ms(fmx_distribution_percentile(off, 0.5)));
    platform_note(round, "outstanding", "deviation_p99", "ms",
                  ms(fmx_distribution_percentile(off, 0.99)));
    platform_note(round, "outstanding", "deviation_max", "ms",
                  ms(fmx_distribution_percentile(off, 1)));
    platform_note(round, "outstanding", "earliest_before_timeout", "ms",
                  (double)options->timeout_ms - ms(calls->earliest_ns));
    platform_note(round, "outstanding", "longest_turn", "ms", ms(stats.turn_ns_longest));
    platform_note_usage(round, "outstanding", &usage);
    platform_broken(round, "calls that did not end as TIMEOUT",
                    (double)(calls->ended - calls->codes[FMX_CALL_TIMEOUT]));
    end_fleet(&world);
    platform_gateway_close(&world);
    platform_calls_close(calls);
    platform_world_close(&world);
}

const struct platform_part PLATFORM_PARTS[] = {
    {"limiter", "busy devices offer more than they may, the others are called", run_limiter},
    {"calls", "all devices are called, with 64 and with --inflight calls at once", run_calls},
    {"connects", "all devices connect: signed for the first time, open, signed", run_connects},
    {"outstanding", "--outstanding calls that no device answers", run_outstanding},
};
const size_t PLATFORM_PARTS_COUNT = sizeof PLATFORM_PARTS / sizeof PLATFORM_PARTS[0];
