/*
 * timer — one timer wheel per shard: arming is two stores, waiting costs nothing
 *
 * Why it is so:   a million sessions have a deadline each, and nearly all of them are moved or
 *                 cancelled before they are due. A heap would pay log n at each move; a kernel
 *                 timer pays a system call. A wheel pays when a timer is armed (some stores), once
 *                 or twice when it comes nearer, and when it is due. Levels go by distance and not
 *                 by the digits of the due time: keep-alives of some minutes then never meet in one
 *                 far slot that would have to be spread at one stroke.
 * Words:          tick: 2^16 ns; a timer belongs to the first tick that begins at or after its due
 *                 time. position of a level: the slot that the current tick lies in. to spread: to
 *                 move the timers of a slot to the levels below, at the tick where it begins
 * Invariants:     (1) level 0 holds timers less than 256 ticks away, in the slot of their tick;
 *                 level n those less than 256^(n+1) away, in the slot that begins at or before
 *                 their tick  (2) the slots that begin at `tick` are spread already, so the slot
 *                 at a level's own position (level 1 and up) belongs to its next round
 *                 (3) a bit of `occupied` is set exactly where the list is not empty
 *                 (4) `link` points at whatever points at the timer: slot, `due` or a neighbour
 * Memory:         owns nothing; a timer is a field of what it times
 * Threads:        owning shard only
 * Limits:         the last level reaches 2^32 ticks (78 hours); what is further away waits in the
 *                 furthest slot and is placed anew when that is spread. Spreading takes a slot at
 *                 once: of timers spread evenly over a minute, one in fourteen (4.3 s)
 * Not here:       what a due timer means: the shard looks at `kind`; the clock: the caller's
 */
#include "engine/timer.h"

#include <assert.h>
#include <fleetmux/private/assert.h>
#include <string.h>

#define SLOT_BITS 8
#define SLOT_MASK (FMX_WHEEL_SLOTS - 1u)
#define NO_TICK   UINT64_MAX

/* The furthest tick that has a slot, counted from the current one. */
#define AWAY_MAX ((1ull << (SLOT_BITS * FMX_WHEEL_LEVELS)) - 1)

static_assert(FMX_WHEEL_SLOTS == 1 << SLOT_BITS, "a level is one byte of a tick");

static uint64_t tick_of(uint64_t due_ns)
{
    return (due_ns >> FMX_WHEEL_TICK_SHIFT) + ((due_ns & ((1u << FMX_WHEEL_TICK_SHIFT) - 1)) != 0);
}

static unsigned slot_of(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> (SLOT_BITS * level)) & SLOT_MASK;
}

static unsigned level_of(uint64_t away)
{
    return (63u - (unsigned)__builtin_clzll(away | 1)) / SLOT_BITS;
}

static void set_occupied(struct fmx_wheel *wheel, unsigned level, unsigned slot)
{
    wheel->occupied[level][slot / 64] |= 1ull << (slot % 64);
}

static void clear_occupied(struct fmx_wheel *wheel, unsigned level, unsigned slot)
{
    wheel->occupied[level][slot / 64] &= ~(1ull << (slot % 64));
}

/*
 * Steps from slot `from`, round the level, to the first occupied slot; FMX_WHEEL_SLOTS if none
 * is.
 */
static unsigned steps_to_occupied(const uint64_t *occupied, unsigned from)
{
    unsigned words = FMX_WHEEL_SLOTS / 64;
    unsigned word = from / 64;
    uint64_t bits = occupied[word] & (~0ull << (from % 64));

    for (unsigned looked = 0; bits == 0; looked++) {
        if (looked == words) {
            return FMX_WHEEL_SLOTS;
        }
        word = (word + 1) % words;
        bits = occupied[word];
    }
    return (word * 64 + (unsigned)__builtin_ctzll(bits) - from) & SLOT_MASK;
}

/* The tick at which something is to be done in this level: popped in level 0, else spread. */
static uint64_t next_tick_of_level(const struct fmx_wheel *wheel, unsigned level)
{
    unsigned shift = SLOT_BITS * level;
    uint64_t begin = (wheel->tick >> shift) + (level > 0); /* invariant 2 */
    unsigned steps = steps_to_occupied(wheel->occupied[level], (unsigned)begin & SLOT_MASK);

    return steps < FMX_WHEEL_SLOTS ? (begin + steps) << shift : NO_TICK;
}

static uint64_t next_tick(const struct fmx_wheel *wheel)
{
    uint64_t first = NO_TICK;

    for (unsigned level = 0; level < FMX_WHEEL_LEVELS; level++) {
        uint64_t tick = next_tick_of_level(wheel, level);
        first = tick < first ? tick : first;
    }
    return first;
}

static void attach(struct fmx_timer **head, struct fmx_timer *timer)
{
    timer->next = *head;
    timer->link = head;
    if (timer->next != NULL) {
        timer->next->link = &timer->next;
    }
    *head = timer;
}

static void detach(struct fmx_timer *timer)
{
    *timer->link = timer->next;
    if (timer->next != NULL) {
        timer->next->link = timer->link;
    }
    timer->next = NULL;
    timer->link = NULL;
}

static void place(struct fmx_wheel *wheel, struct fmx_timer *timer)
{
    uint64_t tick = tick_of(timer->due_ns);
    uint64_t away = tick > wheel->tick ? tick - wheel->tick : 0;

    away = away < AWAY_MAX ? away : AWAY_MAX;
    unsigned level = level_of(away);
    unsigned slot = slot_of(wheel->tick + away, level);
    attach(&wheel->slots[level][slot], timer);
    set_occupied(wheel, level, slot);
}

/* The whole list of a slot, which is empty afterwards. */
static struct fmx_timer *empty_slot(struct fmx_wheel *wheel, unsigned level, unsigned slot)
{
    struct fmx_timer *first = wheel->slots[level][slot];

    wheel->slots[level][slot] = NULL;
    clear_occupied(wheel, level, slot);
    return first;
}

static void spread(struct fmx_wheel *wheel, unsigned level)
{
    struct fmx_timer *timer = empty_slot(wheel, level, slot_of(wheel->tick, level));

    while (timer != NULL) {
        struct fmx_timer *next = timer->next;
        place(wheel, timer);
        timer = next;
    }
}

/* The one place where time goes on. Nothing is due and nothing to be spread in the ticks passed. */
static void enter_tick(struct fmx_wheel *wheel, uint64_t tick)
{
    wheel->tick = tick;
    for (unsigned level = 1; level < FMX_WHEEL_LEVELS; level++) {
        if (slot_of(tick, level - 1) != 0) {
            return;
        }
        spread(wheel, level);
    }
}

/* Goes to the next tick where there is something to do. False: there is none up to `now_tick`. */
static bool advance(struct fmx_wheel *wheel, uint64_t now_tick)
{
    if (wheel->tick > now_tick) {
        return false;
    }
    uint64_t tick = next_tick(wheel);
    if (tick > now_tick) {
        enter_tick(wheel, now_tick + 1);
        return false;
    }
    if (tick > wheel->tick) {
        enter_tick(wheel, tick);
    }
    wheel->due = empty_slot(wheel, 0, slot_of(tick, 0));
    if (wheel->due != NULL) {
        wheel->due->link = &wheel->due;
    }
    enter_tick(wheel, tick + 1);
    return true;
}

void fmx_wheel_init(struct fmx_wheel *wheel, uint64_t now_ns)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->tick = (now_ns >> FMX_WHEEL_TICK_SHIFT) + 1;
}

void fmx_wheel_arm(struct fmx_wheel *wheel, struct fmx_timer *timer, uint64_t due_ns)
{
    fmx_wheel_disarm(wheel, timer);
    timer->due_ns = due_ns;
    place(wheel, timer);
    wheel->armed_count++;
}

void fmx_wheel_disarm(struct fmx_wheel *wheel, struct fmx_timer *timer)
{
    struct fmx_timer **link = timer->link;

    if (link == NULL) {
        return;
    }
    FMX_ASSERT(wheel->armed_count > 0 && *link == timer);
    detach(timer);
    wheel->armed_count--;
    /* Only if it stood first in a slot can it have been the last one there. */
    uintptr_t offset = (uintptr_t)link - (uintptr_t)wheel->slots;
    if (offset < sizeof wheel->slots && *link == NULL) {
        unsigned number = (unsigned)(offset / sizeof *link);
        clear_occupied(wheel, number / FMX_WHEEL_SLOTS, number % FMX_WHEEL_SLOTS);
    }
}

struct fmx_timer *fmx_wheel_pop(struct fmx_wheel *wheel, uint64_t now_ns)
{
    while (wheel->due == NULL) {
        if (!advance(wheel, now_ns >> FMX_WHEEL_TICK_SHIFT)) {
            return NULL;
        }
    }
    struct fmx_timer *timer = wheel->due;
    FMX_ASSERT(wheel->armed_count > 0);
    detach(timer);
    wheel->armed_count--;
    return timer;
}

uint64_t fmx_wheel_next_ns(const struct fmx_wheel *wheel)
{
    if (wheel->due != NULL) {
        return 0;
    }
    uint64_t tick = next_tick(wheel);
    return tick <= UINT64_MAX >> FMX_WHEEL_TICK_SHIFT ? tick << FMX_WHEEL_TICK_SHIFT : UINT64_MAX;
}

static void check_place(const struct fmx_wheel *wheel, const struct fmx_timer *timer,
                        unsigned level, unsigned slot)
{
    unsigned shift = SLOT_BITS * level;
    uint64_t begin = (wheel->tick >> shift) + (level > 0);
    uint64_t slot_tick = (begin + ((slot - begin) & SLOT_MASK)) << shift;
    uint64_t tick = tick_of(timer->due_ns);

    if (level == 0) {
        FMX_ASSERT(tick <= slot_tick); /* never early */
        return;
    }
    FMX_ASSERT(tick >= slot_tick); /* spread in time */
    FMX_ASSERT(level == FMX_WHEEL_LEVELS - 1 || tick - slot_tick < 1ull << shift);
}

static uint64_t check_slot(const struct fmx_wheel *wheel, unsigned level, unsigned slot)
{
    struct fmx_timer *const *link = &wheel->slots[level][slot];
    uint64_t count = 0;

    for (const struct fmx_timer *timer = *link; timer != NULL; timer = timer->next) {
        FMX_ASSERT(timer->link == link);
        check_place(wheel, timer, level, slot);
        link = &timer->next;
        count++;
    }
    FMX_ASSERT((count > 0) == (wheel->occupied[level][slot / 64] >> (slot % 64) & 1));
    return count;
}

void fmx_wheel_check(const struct fmx_wheel *wheel)
{
    struct fmx_timer *const *link = &wheel->due;
    uint64_t count = 0;

    for (unsigned level = 0; level < FMX_WHEEL_LEVELS; level++) {
        for (unsigned slot = 0; slot < FMX_WHEEL_SLOTS; slot++) {
            count += check_slot(wheel, level, slot);
        }
    }
    for (const struct fmx_timer *timer = *link; timer != NULL; timer = timer->next) {
        FMX_ASSERT(timer->link == link);
        FMX_ASSERT(tick_of(timer->due_ns) < wheel->tick);
        link = &timer->next;
        count++;
    }
    FMX_ASSERT(count == wheel->armed_count);
}
