/*
 * fleet_schedule — when each message of a topic is planned
 *
 * Why it is so:   a schedule that remembers nothing but the last planned time, and draws by number,
 *                 can be walked twice: once to see what is due, once more to say when each message
 *                 that is sent late was to leave. Who was away for long has much to walk over: of
 *                 what is regular all in one step, of what is drawn a part at a time
 * Words:          step: from one message to the next; pass: over many of them at once
 * Threads:        pure
 * Limits:         a planned time that would leave 64 bits is never
 * Not here:       what a time on the clock is in real time: fleet_clock.c
 */
#include "engine/roles/fleet.h"

#include <math.h>

static uint64_t add(uint64_t at, double more)
{
    double sum = (double)at + more;

    return sum < 0x1p63 ? at + (uint64_t)more : FMX_CLOCK_NEVER;
}

/* At least 2^-54, so that its logarithm is finite. */
static double draw_above_0(const struct fmx_schedule *schedule, uint64_t number)
{
    return fmx_fleet_fraction(fmx_fleet_mix(schedule->key, number + 1)) + 0x1p-54;
}

static double exponential(const struct fmx_schedule *schedule, uint64_t number)
{
    return -log(draw_above_0(schedule, number)) * (double)schedule->publish->interval_ns;
}

/* Looks up to the next one that finds a change: a geometric draw, at least 1. */
static double looks(const struct fmx_schedule *schedule, uint64_t number)
{
    double change = schedule->publish->change;

    return change >= 1 ? 1 : 1 + floor(log(draw_above_0(schedule, number)) / log1p(-change));
}

static double phase(const struct fmx_schedule *schedule)
{
    double drawn = fmx_fleet_fraction(fmx_fleet_mix(schedule->key, 0));

    return floor(drawn * (double)schedule->publish->interval_ns);
}

uint64_t fmx_schedule_first(const struct fmx_schedule *schedule)
{
    double interval_ns = (double)schedule->publish->interval_ns;

    if (schedule->most == 0) {
        return FMX_CLOCK_NEVER;
    }
    switch (schedule->publish->schedule) {
    case FMX_FLEET_POISSON:
        return add(schedule->anchor, exponential(schedule, 0));
    case FMX_FLEET_ON_CHANGE:
        return add(schedule->anchor, phase(schedule) + (looks(schedule, 1) - 1) * interval_ns);
    case FMX_FLEET_CLOSED_LOOP:
        return schedule->anchor;
    case FMX_FLEET_CONSTANT:
    case FMX_FLEET_BURSTS:
        break;
    }
    return add(schedule->anchor, phase(schedule));
}

uint64_t fmx_schedule_next(const struct fmx_schedule *schedule, uint64_t number, uint64_t at)
{
    const struct fmx_fleet_publish *publish = schedule->publish;
    double interval_ns = (double)publish->interval_ns;

    if (at == FMX_CLOCK_NEVER || number + 1 >= schedule->most) {
        return FMX_CLOCK_NEVER;
    }
    switch (publish->schedule) {
    case FMX_FLEET_POISSON:
        return add(at, exponential(schedule, number + 1));
    case FMX_FLEET_ON_CHANGE:
        return add(at, looks(schedule, number + 2) * interval_ns);
    case FMX_FLEET_CLOSED_LOOP:
        return at;
    case FMX_FLEET_BURSTS:
        if ((number + 1) % publish->burst_count != 0) {
            return add(at, (double)publish->burst_spacing_ns);
        }
        return add(at, interval_ns -
                           (double)(publish->burst_count - 1) * (double)publish->burst_spacing_ns);
    case FMX_FLEET_CONSTANT:
        break;
    }
    return add(at, interval_ns);
}

/* ── many at once ── */

/* Every interval `count` messages, `spacing_ns` apart. */
struct period {
    uint64_t interval_ns;
    uint64_t spacing_ns;
    uint64_t count;
};

/* False: its times are drawn. */
static bool find_period(const struct fmx_fleet_publish *publish, struct period *out_period)
{
    bool is_burst = publish->schedule == FMX_FLEET_BURSTS;
    bool looks_once = publish->schedule == FMX_FLEET_ON_CHANGE && publish->change >= 1;

    *out_period = (struct period){.interval_ns = publish->interval_ns,
                                  .spacing_ns = is_burst ? publish->burst_spacing_ns : 0,
                                  .count = is_burst ? publish->burst_count : 1};
    return is_burst || looks_once || publish->schedule == FMX_FLEET_CONSTANT;
}

static uint64_t least(uint64_t a, unsigned __int128 b)
{
    return b < a ? (uint64_t)b : a;
}

/* In one step, as many as there may be, but `most`. */
static uint64_t pass_period(const struct period *period, uint64_t number, uint64_t until,
                            uint64_t most, uint64_t *at)
{
    uint64_t place = number % period->count;           /* within its interval, */
    uint64_t begin = *at - place * period->spacing_ns; /* which begins here */
    uint64_t whole = (until - begin) / period->interval_ns;
    uint64_t rest = (until - begin) % period->interval_ns;
    uint64_t within = period->spacing_ns == 0 ? period->count
                                              : least(period->count, rest / period->spacing_ns + 1);
    uint64_t passed = least(most, (unsigned __int128)whole * period->count + within - place);
    uint64_t next = place + passed;
    unsigned __int128 then = begin +
                             (unsigned __int128)(next / period->count) * period->interval_ns +
                             next % period->count * period->spacing_ns;

    *at = then >> 63 == 0 ? (uint64_t)then : FMX_CLOCK_NEVER;
    return passed;
}

uint64_t fmx_schedule_pass(const struct fmx_schedule *schedule, uint64_t number, uint64_t until,
                           uint64_t most, uint64_t *at, uint32_t *steps)
{
    uint64_t passed = 0;
    struct period period;

    if (*at > until || most == 0) {
        return 0;
    }
    if (find_period(schedule->publish, &period)) {
        uint64_t left = schedule->most - number;
        passed = pass_period(&period, number, until, most < left ? most : left, at);
        *at = passed == left ? FMX_CLOCK_NEVER : *at;
        return passed;
    }
    while (*at <= until && passed<most && * steps> 0) {
        *at = fmx_schedule_next(schedule, number + passed, *at);
        passed++;
        (*steps)--;
    }
    return passed;
}
