/*
 * timer.h — one timer wheel per shard; timers are fields of what they time
 */
#ifndef ENGINE_TIMER_H
#define ENGINE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whose field it is; the shard finds the owner from the kind. */
enum fmx_timer_kind {
    FMX_TIMER_CONN = 0, /* engine: a connection's own deadline */
    FMX_TIMER_ROLE = 1, /* the role's; see role.h */
    FMX_TIMER_LINK = 2, /* engine: what waits in a connection's link */
};

/* All zero is a disarmed timer. It may not move while armed. */
struct fmx_timer {
    struct fmx_timer *next;
    struct fmx_timer **link; /* what points at us; NULL: disarmed */
    uint64_t due_ns;
    uint8_t kind;     /* enum fmx_timer_kind; the owner sets it once */
    uint8_t sub_kind; /* the role's to use */
};

#define FMX_WHEEL_TICK_SHIFT 16 /* a tick is 2^16 ns = 65.5 µs */
#define FMX_WHEEL_LEVELS     4
#define FMX_WHEEL_SLOTS      256

struct fmx_wheel {
    uint64_t tick; /* all ticks below it have been popped */
    uint64_t armed_count;
    uint64_t occupied[FMX_WHEEL_LEVELS][FMX_WHEEL_SLOTS / 64];
    struct fmx_timer *slots[FMX_WHEEL_LEVELS][FMX_WHEEL_SLOTS];
    struct fmx_timer *due; /* what the last advance found, not popped yet */
};

static inline bool fmx_timer_is_armed(const struct fmx_timer *timer)
{
    return timer->link != NULL;
}

void fmx_wheel_init(struct fmx_wheel *wheel, uint64_t now_ns);

/*
 * Arms, or arms anew. A time in the past is due with the next tick, not before, so that a loop of
 * pops ends whatever the owners arm meanwhile. Times beyond the last level wait there.
 */
void fmx_wheel_arm(struct fmx_wheel *wheel, struct fmx_timer *timer, uint64_t due_ns);

/* Harmless if it is not armed. */
void fmx_wheel_disarm(struct fmx_wheel *wheel, struct fmx_timer *timer);

/*
 * The next timer with due_ns <= now_ns, disarmed, or NULL. Never early; late by one tick at most.
 * Timers of one tick come in no particular order. The owner may arm it or any other again at once.
 */
struct fmx_timer *fmx_wheel_pop(struct fmx_wheel *wheel, uint64_t now_ns);

/*
 * When to look again: not later than one tick after the earliest due time, at the latest when a
 * higher level has to be spread; 0 if a timer found due has not been popped yet; UINT64_MAX if
 * nothing is armed.
 */
uint64_t fmx_wheel_next_ns(const struct fmx_wheel *wheel);

/* Asserts the invariants (debug builds and tests). */
void fmx_wheel_check(const struct fmx_wheel *wheel);

#endif
