/*
 * test_timer — the wheel against a plain array of due times
 */
#include "engine/timer.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdlib.h>
#include <string.h>

#define TICK_NS  (1ull << FMX_WHEEL_TICK_SHIFT)
#define START_NS (123456789ull * TICK_NS + 4321)
#define TIMERS   300u
#define SEEDS    30u
#define STEPS    2000u

static struct fmx_wheel wheel;
static struct fmx_timer timers[TIMERS];

/* The twin: the tick at whose beginning a timer becomes due; 0: disarmed. */
static uint64_t twin[TIMERS];

static uint64_t tick_of(uint64_t due_ns)
{
    return (due_ns + TICK_NS - 1) / TICK_NS;
}

static void start(void)
{
    memset(timers, 0, sizeof timers);
    memset(twin, 0, sizeof twin);
    fmx_wheel_init(&wheel, START_NS);
}

static void arm(unsigned at, uint64_t due_ns)
{
    uint64_t tick = tick_of(due_ns);

    twin[at] = tick > wheel.tick ? tick : wheel.tick;
    fmx_wheel_arm(&wheel, &timers[at], due_ns);
}

static void disarm(unsigned at)
{
    twin[at] = 0;
    fmx_wheel_disarm(&wheel, &timers[at]);
}

static uint64_t twin_first(void)
{
    uint64_t first = UINT64_MAX;

    for (unsigned i = 0; i < TIMERS; i++) {
        first = twin[i] != 0 && twin[i] < first ? twin[i] : first;
    }
    return first;
}

/* Of any magnitude from 0 to `bits` bits, each as likely as another. */
static uint64_t any_span(struct fmx_prng *prng, unsigned bits)
{
    uint64_t limit = 1ull << fmx_prng_below(prng, bits + 1);

    return fmx_prng_below(prng, limit);
}

/* Pops up to `budget` timers and compares each with the twin. Returns how many came. */
static unsigned pop_some(uint64_t seed, uint64_t now_ns, unsigned budget)
{
    unsigned count = 0;
    struct fmx_timer *timer;

    while (count < budget && (timer = fmx_wheel_pop(&wheel, now_ns)) != NULL) {
        size_t at = (size_t)(timer - timers);
        FMX_SEED_ASSERT(seed, !fmx_timer_is_armed(timer));
        FMX_SEED_ASSERT(seed, timer->due_ns <= now_ns);
        FMX_SEED_ASSERT(seed, twin[at] == twin_first());
        twin[at] = 0;
        count++;
    }
    return count;
}

static void check_next(uint64_t seed, uint64_t now_ns)
{
    uint64_t first = twin_first();
    uint64_t next_ns = fmx_wheel_next_ns(&wheel);

    if (first == UINT64_MAX) {
        FMX_SEED_ASSERT(seed, next_ns == UINT64_MAX);
    } else {
        FMX_SEED_ASSERT(seed, next_ns > now_ns && next_ns <= first * TICK_NS);
    }
}

static void random_change(struct fmx_prng *prng, uint64_t now_ns)
{
    unsigned at = (unsigned)fmx_prng_below(prng, TIMERS);

    switch (fmx_prng_below(prng, 4)) {
    case 0:
        disarm(at);
        break;
    case 1:
        arm(at, now_ns - any_span(prng, 30));
        break;
    default:
        arm(at, now_ns + any_span(prng, 52));
        break;
    }
}

static void timer_agrees_with_its_twin(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        uint64_t now_ns = START_NS;

        start();
        for (unsigned step = 0; step < STEPS; step++) {
            random_change(&prng, now_ns);
            if (fmx_prng_below(&prng, 8) == 0) {
                now_ns += any_span(&prng, 46);
                (void)pop_some(seed, now_ns, TIMERS);
                FMX_SEED_ASSERT(seed, twin_first() > now_ns / TICK_NS);
                check_next(seed, now_ns);
            }
            fmx_wheel_check(&wheel);
        }
    }
}

static void timer_agrees_with_its_twin_when_pops_have_a_budget(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        uint64_t now_ns = START_NS;

        start();
        for (unsigned step = 0; step < STEPS; step++) {
            random_change(&prng, now_ns);
            now_ns += any_span(&prng, 40);
            if (pop_some(seed, now_ns, 2) < 2) {
                FMX_SEED_ASSERT(seed, twin_first() > now_ns / TICK_NS);
            }
            fmx_wheel_check(&wheel);
        }
    }
}

static void timer_fires_in_its_tick_when_only_next_is_followed(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        unsigned wakes = 0;

        start();
        for (unsigned i = 0; i < TIMERS; i++) {
            arm(i, START_NS + any_span(&prng, 50));
        }
        while (wheel.armed_count > 0) {
            uint64_t now_ns = fmx_wheel_next_ns(&wheel);
            uint64_t first = twin_first();
            unsigned popped = pop_some(seed, now_ns, TIMERS);
            FMX_SEED_ASSERT(seed, popped == 0 || now_ns == first * TICK_NS);
            FMX_SEED_ASSERT(seed, twin_first() > now_ns / TICK_NS);
            wakes++;
        }
        FMX_SEED_ASSERT(seed, wakes <= TIMERS * 8);
    }
}

static void timer_is_never_early_and_late_by_one_tick_at_most(void)
{
    for (uint64_t offset = 0; offset <= 3 * TICK_NS; offset += 997) {
        start();
        arm(0, START_NS + offset);
        uint64_t due_ns = START_NS + offset;
        CU_ASSERT_PTR_NULL(fmx_wheel_pop(&wheel, due_ns - 1));
        CU_ASSERT_PTR_EQUAL(fmx_wheel_pop(&wheel, due_ns + TICK_NS), &timers[0]);
    }
}

static void timer_of_a_whole_tick_is_due_at_that_very_time(void)
{
    start();
    uint64_t due_ns = (START_NS / TICK_NS + 5) * TICK_NS;
    arm(0, due_ns);
    CU_ASSERT_EQUAL(fmx_wheel_next_ns(&wheel), due_ns);
    CU_ASSERT_PTR_NULL(fmx_wheel_pop(&wheel, due_ns - 1));
    CU_ASSERT_PTR_EQUAL(fmx_wheel_pop(&wheel, due_ns), &timers[0]);
}

static void timer_of_the_past_is_due_with_the_next_tick(void)
{
    start();
    arm(0, 0);
    arm(1, START_NS - 1);
    CU_ASSERT_PTR_NULL(fmx_wheel_pop(&wheel, START_NS));
    CU_ASSERT(fmx_wheel_next_ns(&wheel) <= START_NS + TICK_NS);
    CU_ASSERT_EQUAL(pop_some(0, START_NS + TICK_NS, TIMERS), 2);
}

static void timer_that_is_armed_again_at_each_pop_does_not_hold_the_loop(void)
{
    struct fmx_timer *timer;
    unsigned pops = 0;

    start();
    arm(0, START_NS);
    arm(1, START_NS);
    while ((timer = fmx_wheel_pop(&wheel, START_NS + TICK_NS)) != NULL && pops < 100) {
        fmx_wheel_arm(&wheel, timer, START_NS);
        pops++;
    }
    CU_ASSERT_EQUAL(pops, 2);
    CU_ASSERT_EQUAL(wheel.armed_count, 2);
}

static void timer_armed_anew_forgets_its_former_time(void)
{
    start();
    arm(0, START_NS + 10 * TICK_NS);
    arm(0, START_NS + 900 * TICK_NS);
    CU_ASSERT_EQUAL(wheel.armed_count, 1);
    CU_ASSERT_PTR_NULL(fmx_wheel_pop(&wheel, START_NS + 800 * TICK_NS));
    CU_ASSERT_PTR_EQUAL(fmx_wheel_pop(&wheel, START_NS + 901 * TICK_NS), &timers[0]);
    fmx_wheel_check(&wheel);
}

static void timer_beyond_the_last_level_waits_there(void)
{
    uint64_t year_ns = 365ull * 24 * 3600 * 1000000000;
    unsigned wakes = 0;

    start();
    arm(0, START_NS + year_ns);
    for (uint64_t now_ns = START_NS; fmx_timer_is_armed(&timers[0]); wakes++) {
        now_ns = fmx_wheel_next_ns(&wheel);
        CU_ASSERT_FATAL(now_ns <= START_NS + year_ns + TICK_NS);
        (void)pop_some(0, now_ns, 1);
        fmx_wheel_check(&wheel);
    }
    CU_ASSERT(wakes < 200);
}

static void timer_at_the_end_of_time_is_held(void)
{
    start();
    arm(0, UINT64_MAX);
    CU_ASSERT_PTR_NULL(fmx_wheel_pop(&wheel, START_NS + (1ull << 60)));
    fmx_wheel_check(&wheel);
    disarm(0);
    CU_ASSERT_EQUAL(fmx_wheel_next_ns(&wheel), UINT64_MAX);
}

static void timer_found_due_can_still_be_disarmed(void)
{
    start();
    for (unsigned i = 0; i < 3; i++) {
        arm(i, START_NS + TICK_NS);
    }
    struct fmx_timer *first = fmx_wheel_pop(&wheel, START_NS + 3 * TICK_NS);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    CU_ASSERT_EQUAL(fmx_wheel_next_ns(&wheel), 0);
    for (unsigned i = 0; i < 3; i++) {
        fmx_wheel_disarm(&wheel, &timers[i]);
        fmx_wheel_check(&wheel);
    }
    CU_ASSERT_PTR_NULL(fmx_wheel_pop(&wheel, START_NS + 9 * TICK_NS));
    CU_ASSERT_EQUAL(wheel.armed_count, 0);
}

static void wheel_without_timers_has_nothing_to_do(void)
{
    start();
    CU_ASSERT_EQUAL(fmx_wheel_next_ns(&wheel), UINT64_MAX);
    CU_ASSERT_PTR_NULL(fmx_wheel_pop(&wheel, START_NS + (1ull << 50)));
    fmx_wheel_disarm(&wheel, &timers[0]);
    arm(0, START_NS);
    disarm(0);
    disarm(0);
    CU_ASSERT_EQUAL(fmx_wheel_next_ns(&wheel), UINT64_MAX);
    fmx_wheel_check(&wheel);
}

static void wheel_does_not_mind_a_clock_that_steps_back(void)
{
    start();
    arm(0, START_NS + 50 * TICK_NS);
    CU_ASSERT_PTR_NULL(fmx_wheel_pop(&wheel, START_NS + 40 * TICK_NS));
    CU_ASSERT_PTR_NULL(fmx_wheel_pop(&wheel, START_NS));
    CU_ASSERT_PTR_NULL(fmx_wheel_pop(&wheel, 0));
    CU_ASSERT_PTR_EQUAL(fmx_wheel_pop(&wheel, START_NS + 51 * TICK_NS), &timers[0]);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(timer_agrees_with_its_twin),
    FMX_TEST_CASE(timer_agrees_with_its_twin_when_pops_have_a_budget),
    FMX_TEST_CASE(timer_fires_in_its_tick_when_only_next_is_followed),
    FMX_TEST_CASE(timer_is_never_early_and_late_by_one_tick_at_most),
    FMX_TEST_CASE(timer_of_a_whole_tick_is_due_at_that_very_time),
    FMX_TEST_CASE(timer_of_the_past_is_due_with_the_next_tick),
    FMX_TEST_CASE(timer_that_is_armed_again_at_each_pop_does_not_hold_the_loop),
    FMX_TEST_CASE(timer_armed_anew_forgets_its_former_time),
    FMX_TEST_CASE(timer_beyond_the_last_level_waits_there),
    FMX_TEST_CASE(timer_at_the_end_of_time_is_held),
    FMX_TEST_CASE(timer_found_due_can_still_be_disarmed),
    FMX_TEST_CASE(wheel_without_timers_has_nothing_to_do),
    FMX_TEST_CASE(wheel_does_not_mind_a_clock_that_steps_back),
};

int main(int argc, char **argv)
{
    return fmx_test_main("timer", cases, sizeof cases / sizeof cases[0], argc, argv);
}
