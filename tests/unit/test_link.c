/*
 * test_link — one way of a link against a plain array of bytes and when each is due
 */
#include "engine/link.h"
#include "proto/limits.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <string.h>

#define START_NS (77 * FMX_NS_PER_S)
#define SEEDS    40u
#define STEPS    3000u
#define DRAWS    100000u

static struct fmx_link_way way;

/* The twin: what was put in, and what of it has not come out. */
static struct {
    uint64_t due_ns;
    uint32_t bytes;
} twin[STEPS];
static unsigned twin_first;
static unsigned twin_end;

static void begin(uint64_t key)
{
    fmx_link_way_wipe(&way);
    way = (struct fmx_link_way){.key = key};
    twin_first = twin_end = 0;
}

static struct fmx_link_options any_options(struct fmx_prng *prng)
{
    static const uint64_t times_ms[] = {0, 0, 1, 20, 300, 60000};

    return (struct fmx_link_options){
        .delay_ns = times_ms[fmx_prng_below(prng, 6)] * FMX_NS_PER_MS,
        .jitter_ns = times_ms[fmx_prng_below(prng, 6)] * FMX_NS_PER_MS,
        .loss = (double)fmx_prng_below(prng, 3) * 0.2,
    };
}

static void put(uint64_t seed, const struct fmx_link_options *options, uint64_t now_ns,
                uint32_t bytes)
{
    uint64_t before_ns = way.last_ns;
    uint64_t due_ns = fmx_link_way_draw_ns(&way, options, now_ns);
    uint64_t least_ns = now_ns + options->delay_ns;
    uint64_t most_ns = least_ns + options->jitter_ns;

    FMX_SEED_ASSERT(seed, due_ns >= least_ns && due_ns >= before_ns);
    FMX_SEED_ASSERT(seed, due_ns <= most_ns || due_ns == before_ns || options->loss > 0);
    FMX_SEED_ASSERT(seed, fmx_link_way_put(&way, due_ns, bytes));
    twin[twin_end].due_ns = due_ns;
    twin[twin_end++].bytes = bytes;
}

static void release(uint64_t seed, uint64_t now_ns)
{
    uint32_t expected = 0;

    while (twin_first < twin_end && twin[twin_first].due_ns <= now_ns) {
        expected += twin[twin_first++].bytes;
    }
    FMX_SEED_ASSERT(seed, fmx_link_way_release(&way, now_ns) == expected);
}

static void compare(uint64_t seed)
{
    uint32_t held = 0;

    for (unsigned i = twin_first; i < twin_end; i++) {
        held += twin[i].bytes;
    }
    FMX_SEED_ASSERT(seed, way.held == held);
    FMX_SEED_ASSERT(seed, fmx_link_way_next_ns(&way) ==
                              (twin_first < twin_end ? twin[twin_first].due_ns : UINT64_MAX));
}

static void way_agrees_with_its_twin(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        struct fmx_link_options options = any_options(&prng);
        uint64_t now_ns = START_NS;

        begin(seed);
        for (unsigned i = 0; i < STEPS; i++) {
            if (fmx_prng_below(&prng, 3) > 0) {
                put(seed, &options, now_ns, 1 + (uint32_t)fmx_prng_below(&prng, 5000));
            } else {
                release(seed, now_ns);
            }
            compare(seed);
            now_ns += fmx_prng_below(&prng, 4) == 0 ? fmx_prng_below(&prng, 100 * FMX_NS_PER_MS)
                                                    : fmx_prng_below(&prng, 2);
        }
        release(seed, UINT64_MAX - 1);
        FMX_SEED_ASSERT(seed, twin_first == twin_end && way.held == 0 && way.count == 0);
    }
}

/* Each draw counted for itself: as if nothing was before it. */
static uint64_t draw_late_ns(const struct fmx_link_options *options)
{
    way.last_ns = 0;
    return fmx_link_way_draw_ns(&way, options, START_NS) - START_NS;
}

static void what_is_lost_comes_after_200_ms_and_twice_that_if_lost_again(void)
{
    const struct fmx_link_options options = {.delay_ns = FMX_NS_PER_MS, .loss = 0.25};
    unsigned counts[16] = {0};

    begin(5);
    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t late_ms = (draw_late_ns(&options) - options.delay_ns) / FMX_NS_PER_MS;
        unsigned losses = 0;
        while (losses < 15 && late_ms > 0) {
            CU_ASSERT_FATAL(late_ms >= 200ull << losses);
            late_ms -= 200ull << losses++;
        }
        counts[losses]++;
    }
    CU_ASSERT(counts[0] > DRAWS * 74 / 100 && counts[0] < DRAWS * 76 / 100);
    CU_ASSERT(counts[1] > DRAWS * 18 / 100 && counts[1] < DRAWS * 195 / 1000);
    CU_ASSERT(counts[2] > DRAWS * 42 / 1000 && counts[2] < DRAWS * 52 / 1000);
}

static void who_is_always_lost_comes_all_the_same(void)
{
    const struct fmx_link_options options = {.loss = 1};

    begin(6);
    CU_ASSERT_EQUAL(draw_late_ns(&options), /* 200 ms doubled up to 102.4 s, then 120 s each */
                    204600 * FMX_NS_PER_MS + 5 * 120 * FMX_NS_PER_S);
}

static void jitter_is_spread_evenly_over_all_of_its_range(void)
{
    const struct fmx_link_options options = {.delay_ns = 50, .jitter_ns = 9};
    unsigned counts[10] = {0};

    begin(7);
    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t late_ns = draw_late_ns(&options);
        CU_ASSERT_FATAL(late_ns >= 50 && late_ns <= 59);
        counts[late_ns - 50]++;
    }
    for (unsigned i = 0; i < 10; i++) {
        CU_ASSERT(counts[i] > DRAWS * 9 / 100 && counts[i] < DRAWS * 11 / 100);
    }
}

static void the_same_key_draws_the_same(void)
{
    const struct fmx_link_options options = {.jitter_ns = UINT32_MAX, .loss = 0.1};
    uint64_t first[100];
    unsigned same = 0;

    begin(8);
    for (unsigned i = 0; i < 100; i++) {
        first[i] = draw_late_ns(&options);
    }
    begin(8);
    for (unsigned i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(draw_late_ns(&options), first[i]);
    }
    begin(9);
    for (unsigned i = 0; i < 100; i++) {
        same += draw_late_ns(&options) == first[i];
    }
    CU_ASSERT(same < 5);
}

static void so_many_stamps_that_the_last_ones_leave_together_leave_late_and_not_early(void)
{
    enum { PUTS = 40000 };
    uint32_t released = 0;

    begin(10);
    for (unsigned i = 0; i < PUTS; i++) {
        CU_ASSERT_FATAL(fmx_link_way_put(&way, START_NS + i, 1));
    }
    CU_ASSERT_EQUAL(way.held, PUTS);
    CU_ASSERT_EQUAL(way.count, 16384);
    for (unsigned i = 0; i < PUTS; i++) {
        released += fmx_link_way_release(&way, START_NS + i);
        CU_ASSERT_FATAL(released <= i + 1);
    }
    CU_ASSERT_EQUAL(released, PUTS);
    CU_ASSERT_EQUAL(way.capacity, 0); /* what the burst took is given back */
}

static void a_way_that_was_wiped_is_empty_and_is_not_overtaken(void)
{
    const struct fmx_link_options late = {.delay_ns = FMX_NS_PER_S};
    const struct fmx_link_options early = {0};

    begin(11);
    CU_ASSERT(fmx_link_way_put(&way, fmx_link_way_draw_ns(&way, &late, START_NS), 10));
    fmx_link_way_wipe(&way);
    CU_ASSERT(way.held == 0 && fmx_link_way_next_ns(&way) == UINT64_MAX);
    CU_ASSERT_EQUAL(fmx_link_way_draw_ns(&way, &early, START_NS), START_NS + FMX_NS_PER_S);
    begin(12);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(way_agrees_with_its_twin),
    FMX_TEST_CASE(what_is_lost_comes_after_200_ms_and_twice_that_if_lost_again),
    FMX_TEST_CASE(who_is_always_lost_comes_all_the_same),
    FMX_TEST_CASE(jitter_is_spread_evenly_over_all_of_its_range),
    FMX_TEST_CASE(the_same_key_draws_the_same),
    FMX_TEST_CASE(so_many_stamps_that_the_last_ones_leave_together_leave_late_and_not_early),
    FMX_TEST_CASE(a_way_that_was_wiped_is_empty_and_is_not_overtaken),
};

int main(int argc, char **argv)
{
    return fmx_test_main("link", cases, sizeof cases / sizeof cases[0], argc, argv);
}
