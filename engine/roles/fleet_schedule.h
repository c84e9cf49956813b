/*
 * fleet_schedule.h — when each message of a topic is planned, on a clock
 */
#ifndef ENGINE_ROLES_FLEET_SCHEDULE_H
#define ENGINE_ROLES_FLEET_SCHEDULE_H

#include <fleetmux/fleet.h>

/* What the times of a flow depend on. */
struct fmx_schedule {
    const struct fmx_fleet_publish *publish;
    uint64_t key;    /* draws of this flow begin here */
    uint64_t anchor; /* on the clock: where the flow begins */
    uint64_t most;   /* messages it may have; UINT64_MAX: no bound */
};

/* When message 0 is planned; FMX_CLOCK_NEVER: there is none. */
uint64_t fmx_schedule_first(const struct fmx_schedule *schedule);

/* When message `number` + 1 is, if message `number` is planned at `at`. */
uint64_t fmx_schedule_next(const struct fmx_schedule *schedule, uint64_t number, uint64_t at);

/*
 * How many messages are planned up to and with `until`, from message `number` on, which is planned
 * at `*at`; at most `most`. Afterwards `*at` is when the one behind them is planned. Times that are
 * drawn are walked: each message is one of `*steps`, and it ends sooner when there are none left.
 */
uint64_t fmx_schedule_pass(const struct fmx_schedule *schedule, uint64_t number, uint64_t until,
                           uint64_t most, uint64_t *at, uint32_t *steps);

#endif
