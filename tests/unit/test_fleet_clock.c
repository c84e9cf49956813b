/*
 * test_fleet_clock — a clock with changing rates against a slow walk; schedules against their rules
 */
#include "engine/roles/fleet.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <math.h>

#define SEEDS  200u
#define PIECES 300u
#define MS     UINT64_C(1000000)
#define S      UINT64_C(1000000000)

static struct fmx_fleet_clock clock_;

static void begin(void)
{
    fmx_clock_close(&clock_);
    memset(&clock_, 0, sizeof clock_);
}

static void add(uint64_t begin_ns, uint64_t span_ns, double from, double to)
{
    const struct fmx_clock_piece piece = {
        .begin_ns = begin_ns, .span_ns = span_ns, .rate_begin = from, .rate_end = to};

    CU_ASSERT_EQUAL_FATAL(fmx_clock_add(&clock_, &piece), FMX_OK);
}

static void clock_that_is_empty_never_comes_anywhere(void)
{
    begin();
    CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 5 * S), 0);
    CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, 0), FMX_CLOCK_NEVER);
}

static void clock_of_rate_one_counts_nanoseconds_exactly(void)
{
    begin();
    add(7 * S, 0, 1, 1);
    for (uint64_t units = 0; units < 1000 * S; units = units * 3 + 12345) {
        CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, units), 7 * S + units);
        CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 7 * S + units), units);
    }
    CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 6 * S), 0);
}

static void clock_stands_still_and_goes_on(void)
{
    begin();
    add(0, 0, 1, 1);
    add(10 * S, 0, 0, 0);
    CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, 10 * S), 10 * S);
    CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, 10 * S + 1), FMX_CLOCK_NEVER);
    CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 15 * S), 10 * S);
    add(20 * S, 0, 2, 2);
    CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, 10 * S + 2), 20 * S + 1);
    CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, 9 * S), 9 * S);
}

static void clock_runs_along_a_line(void)
{
    begin();
    add(0, 10 * S, 0, 2); /* 10 s at a mean of 1 */
    CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 10 * S), 10 * S);
    CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 5 * S), 5 * S / 2);
    CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 11 * S), 12 * S);
    CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, 10 * S), 10 * S);
    CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, 12 * S), 11 * S);
    begin();
    add(0, 10 * S, 2, 0); /* comes to a stand */
    CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 20 * S), 10 * S);
    CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, 10 * S + 1), FMX_CLOCK_NEVER);
}

static void clock_jumps_where_it_is_told_to(void)
{
    const struct fmx_clock_piece jump = {
        .begin_ns = 10 * S, .begin_units = 100 * S, .rate_begin = 1, .rate_end = 1};

    begin();
    add(0, 0, 1, 1);
    CU_ASSERT_EQUAL_FATAL(fmx_clock_add(&clock_, &jump), FMX_OK);
    CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, 50 * S), 10 * S);
    CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, 101 * S), 11 * S);
}

/* Units and real time are each other's inverse, and neither ever runs backwards. */
static void clock_is_its_own_inverse_over_random_pieces(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        uint64_t at_ns = S;
        uint64_t last = 0;
        begin();
        for (unsigned i = 0; i < 1 + fmx_prng_below(&prng, PIECES); i++) {
            bool stands = fmx_prng_below(&prng, 6) == 0;
            double from = stands ? 0 : (double)fmx_prng_below(&prng, 3000) / 1000;
            double to =
                fmx_prng_below(&prng, 2) == 0 ? from : (double)fmx_prng_below(&prng, 3000) / 1000;
            add(at_ns, from == to ? 0 : 1 + fmx_prng_below(&prng, 3 * S), from, to);
            at_ns += fmx_prng_below(&prng, 4) == 0 ? 0 : fmx_prng_below(&prng, 2 * S);
        }
        for (uint64_t real_ns = 0; real_ns < at_ns + 5 * S; real_ns += 1 + at_ns / 500) {
            uint64_t units = fmx_clock_units(&clock_, real_ns);
            FMX_SEED_ASSERT(seed, units >= last);
            last = units;
            if (fmx_clock_rate(&clock_, real_ns) > 0.01 && units > 0) {
                uint64_t back_ns = fmx_clock_real_ns(&clock_, units);
                FMX_SEED_ASSERT(seed, fabs((double)back_ns - (double)real_ns) < 1000);
            }
        }
    }
}

static void clock_keeps_many_pieces_and_says_when_it_is_full(void)
{
    struct fmx_clock_piece piece = {.rate_begin = 1, .rate_end = 1};
    uint32_t count = 0;

    begin();
    while (fmx_clock_add(&clock_, &piece) == FMX_OK) {
        piece.begin_ns += MS;
        count++;
    }
    CU_ASSERT_EQUAL(count, FMX_CLOCK_CHUNKS_MAX * FMX_CLOCK_CHUNK_PIECES);
    CU_ASSERT_EQUAL(fmx_clock_real_ns(&clock_, 12345), 12345);
    begin();
}

/* ── schedules ── */

static double mean_interval(enum fmx_fleet_schedule kind, unsigned count, bool *out_is_ordered)
{
    struct fmx_fleet_publish publish;
    uint64_t at;

    fmx_fleet_publish_init(&publish);
    publish.schedule = kind;
    publish.burst_count = 5;
    publish.burst_spacing_ns = 10 * MS;
    publish.change = 0.25;
    const struct fmx_schedule schedule = {
        .publish = &publish, .key = 42, .anchor = 3 * S, .most = UINT64_MAX};
    uint64_t first = at = fmx_schedule_first(&schedule);
    *out_is_ordered = first >= schedule.anchor;
    for (unsigned i = 0; i < count; i++) {
        uint64_t next = fmx_schedule_next(&schedule, i, at);
        *out_is_ordered = *out_is_ordered && next >= at;
        at = next;
    }
    return (double)(at - first) / count;
}

static void schedules_keep_their_mean(void)
{
    bool is_ordered;

    CU_ASSERT_EQUAL(mean_interval(FMX_FLEET_CONSTANT, 1000, &is_ordered), (double)S);
    CU_ASSERT(is_ordered);
    CU_ASSERT(fabs(mean_interval(FMX_FLEET_POISSON, 100000, &is_ordered) / (double)S - 1) < 0.02);
    CU_ASSERT(is_ordered);
    CU_ASSERT_EQUAL(mean_interval(FMX_FLEET_BURSTS, 1000, &is_ordered), (double)S / 5);
    CU_ASSERT(is_ordered);
    CU_ASSERT(fabs(mean_interval(FMX_FLEET_ON_CHANGE, 100000, &is_ordered) / (4.0 * S) - 1) < 0.02);
    CU_ASSERT(is_ordered);
}

static void schedule_ends_with_its_last_message(void)
{
    struct fmx_fleet_publish publish;

    fmx_fleet_publish_init(&publish);
    struct fmx_schedule schedule = {.publish = &publish, .key = 1, .most = 3};
    uint64_t at = fmx_schedule_first(&schedule);
    at = fmx_schedule_next(&schedule, 0, at);
    at = fmx_schedule_next(&schedule, 1, at);
    CU_ASSERT(at != FMX_CLOCK_NEVER);
    CU_ASSERT_EQUAL(fmx_schedule_next(&schedule, 2, at), FMX_CLOCK_NEVER);
    schedule.most = 0;
    CU_ASSERT_EQUAL(fmx_schedule_first(&schedule), FMX_CLOCK_NEVER);
}

/* ── many messages at once ── */

static void draw_publish(struct fmx_prng *prng, struct fmx_fleet_publish *out_publish)
{
    static const enum fmx_fleet_schedule kinds[] = {FMX_FLEET_CONSTANT, FMX_FLEET_POISSON,
                                                    FMX_FLEET_BURSTS, FMX_FLEET_ON_CHANGE};

    fmx_fleet_publish_init(out_publish);
    out_publish->schedule = kinds[fmx_prng_below(prng, 4)];
    out_publish->interval_ns = 1 + fmx_prng_below(prng, 1ull << fmx_prng_below(prng, 45));
    out_publish->burst_count = 1 + (uint32_t)fmx_prng_below(prng, 20);
    uint64_t most_ns = out_publish->interval_ns / out_publish->burst_count;
    out_publish->burst_spacing_ns =
        fmx_prng_below(prng, 3) == 0 ? 0 : fmx_prng_below(prng, most_ns + 1);
    out_publish->change = fmx_prng_below(prng, 2) == 0 ? 1 : 0.3;
}

/* Whoever passes over many, in whatever portions, comes to where a walk comes to. */
static void passing_over_many_is_as_walking(void)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct fmx_prng prng = {.state = seed};
        struct fmx_fleet_publish publish;
        draw_publish(&prng, &publish);
        bool is_bounded = fmx_prng_below(&prng, 2) == 0;
        const struct fmx_schedule schedule = {.publish = &publish,
                                              .key = seed,
                                              .anchor = fmx_prng_below(&prng, 1ull << 50),
                                              .most = is_bounded ? fmx_prng_below(&prng, 300)
                                                                 : UINT64_MAX};
        uint64_t walked_at = fmx_schedule_first(&schedule);
        uint64_t passed_at = walked_at;
        uint64_t walked = 0;
        uint64_t passed = 0;
        for (unsigned i = 0; i < 20 && walked_at != FMX_CLOCK_NEVER; i++) {
            uint64_t until = walked_at + fmx_prng_below(&prng, publish.interval_ns * 20);
            while (walked_at <= until) {
                walked_at = fmx_schedule_next(&schedule, walked++, walked_at);
            }
            while (passed_at <= until) {
                uint64_t most = 1 + fmx_prng_below(&prng, 50);
                uint32_t steps = (uint32_t)fmx_prng_below(&prng, 30);
                passed += fmx_schedule_pass(&schedule, passed, until, most, &passed_at, &steps);
            }
            FMX_SEED_ASSERT(seed, passed == walked);
            FMX_SEED_ASSERT(seed, passed_at == walked_at);
        }
        FMX_SEED_ASSERT(seed, !is_bounded || passed <= schedule.most);
    }
}

/* Years are one step where nothing is drawn; else the steps that it has are all that it takes. */
static void passing_is_bounded(void)
{
    struct fmx_fleet_publish publish;
    const struct fmx_schedule schedule = {.publish = &publish, .key = 7, .most = UINT64_MAX};
    uint32_t steps = 0;

    fmx_fleet_publish_init(&publish);
    publish.interval_ns = 1;
    uint64_t at = fmx_schedule_first(&schedule);
    uint64_t until = 1ull << 62;
    CU_ASSERT_EQUAL(fmx_schedule_pass(&schedule, 0, until, UINT64_MAX, &at, &steps), until + 1);
    CU_ASSERT_EQUAL(at, until + 1);
    at = fmx_schedule_first(&schedule);
    CU_ASSERT_EQUAL(fmx_schedule_pass(&schedule, 0, 1ull << 63, UINT64_MAX, &at, &steps),
                    (1ull << 63) + 1);
    CU_ASSERT_EQUAL(at, FMX_CLOCK_NEVER);
    publish.schedule = FMX_FLEET_POISSON;
    at = fmx_schedule_first(&schedule);
    steps = 1000;
    CU_ASSERT_EQUAL(fmx_schedule_pass(&schedule, 0, until, UINT64_MAX, &at, &steps), 1000);
    CU_ASSERT_EQUAL(steps, 0);
    CU_ASSERT(at < 1000000);
}

static void clock_ends_where_its_numbers_do(void)
{
    begin();
    add(0, 0, 1e12, 1e12);
    add(10 * S, 0, 1e12, 1e12);
    add(20 * S, 0, 1, 1);
    CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 1), UINT64_C(1000000000000));
    CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 5 * S), 1ull << 63);
    CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 15 * S), 1ull << 63);
    CU_ASSERT_EQUAL(fmx_clock_units(&clock_, 1000 * S), 1ull << 63);
}

/* ── tags ── */

static void tags_tell_planned_time_and_lateness(void)
{
    struct fmx_prng prng = {.state = 6};

    for (unsigned i = 0; i < 100000; i++) {
        uint64_t planned_ns = fmx_prng_below(&prng, 1ull << 60);
        uint64_t lag_ns = fmx_prng_below(&prng, 1ull << fmx_prng_below(&prng, 42));
        uint64_t now_ns = planned_ns + fmx_prng_below(&prng, 1ull << 42);
        uint64_t read_ns;
        uint64_t sent_ns;
        uint64_t tag = fmx_flow_tag(i % 2 == 0, planned_ns, planned_ns + lag_ns);
        CU_ASSERT_NOT_EQUAL_FATAL(tag, 0);
        CU_ASSERT_EQUAL_FATAL(fmx_flow_tag_is_subscribe(tag), i % 2 == 0);
        fmx_flow_tag_read(tag, now_ns, &read_ns, &sent_ns);
        CU_ASSERT_EQUAL_FATAL(read_ns, planned_ns);
        CU_ASSERT_FATAL(sent_ns <= planned_ns + lag_ns);
        CU_ASSERT_FATAL((double)(planned_ns + lag_ns - sent_ns) <= (double)lag_ns / 8192);
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(clock_that_is_empty_never_comes_anywhere),
    FMX_TEST_CASE(clock_of_rate_one_counts_nanoseconds_exactly),
    FMX_TEST_CASE(clock_stands_still_and_goes_on),
    FMX_TEST_CASE(clock_runs_along_a_line),
    FMX_TEST_CASE(clock_jumps_where_it_is_told_to),
    FMX_TEST_CASE(clock_is_its_own_inverse_over_random_pieces),
    FMX_TEST_CASE(clock_keeps_many_pieces_and_says_when_it_is_full),
    FMX_TEST_CASE(schedules_keep_their_mean),
    FMX_TEST_CASE(schedule_ends_with_its_last_message),
    FMX_TEST_CASE(passing_over_many_is_as_walking),
    FMX_TEST_CASE(passing_is_bounded),
    FMX_TEST_CASE(clock_ends_where_its_numbers_do),
    FMX_TEST_CASE(tags_tell_planned_time_and_lateness),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_clock", cases, sizeof cases / sizeof cases[0], argc, argv);
}
