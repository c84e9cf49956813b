/*
 * test_rate — the bucket against the rule it keeps, over hours that pass in microseconds
 */
#include "proto/rate.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"

#include <stdio.h>

#define YEAR_NS (365ull * 86400 * FMX_NS_PER_S)

static unsigned take_all(struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                         uint64_t now_ns)
{
    unsigned granted = 0;

    while (fmx_bucket_take(bucket, limit, now_ns) == FMX_OK) {
        granted++;
    }
    return granted;
}

static void rate_grants_a_burst_at_once_and_no_more(void)
{
    struct fmx_rate_limit limit = {.per_second = 7, .burst = 20};
    struct fmx_bucket bucket;

    fmx_bucket_init(&bucket, &limit, 5);
    CU_ASSERT_EQUAL(take_all(&bucket, &limit, 5), 20);
    CU_ASSERT_EQUAL(fmx_bucket_take(&bucket, &limit, 5), FMX_LATER);
}

/* Takes as soon as the bucket says that a take will succeed, for an hour. */
static uint64_t granted_in_an_hour(const struct fmx_rate_limit *limit)
{
    struct fmx_bucket bucket;
    const uint64_t begin_ns = 123456789;
    uint64_t now_ns = begin_ns;
    uint64_t granted = 0;

    fmx_bucket_init(&bucket, limit, now_ns);
    while (now_ns <= begin_ns + 3600 * FMX_NS_PER_S) {
        granted += fmx_bucket_take(&bucket, limit, now_ns) == FMX_OK;
        now_ns += fmx_bucket_wait_ns(&bucket, limit, now_ns);
    }
    return granted;
}

static void rate_never_drifts_over_an_hour(void)
{
    struct fmx_rate_limit limit = {.per_second = 7, .burst = 2};

    CU_ASSERT_EQUAL(granted_in_an_hour(&limit), 7 * 3600 + 2);
}

static void rate_without_burst_keeps_whole_nanoseconds_between_grants(void)
{
    struct fmx_rate_limit limit = {.per_second = 7, .burst = 1};

    /* A seventh of a second is 142,857,142.86 ns: no two grants may be closer. */
    CU_ASSERT_EQUAL(granted_in_an_hour(&limit), 1 + 3600 * FMX_NS_PER_S / 142857143);
}

static void rate_never_drifts_when_asked_at_odd_times(void)
{
    struct fmx_prng prng = {.state = 20};
    struct fmx_rate_limit limit = {.per_second = 7, .burst = 7};
    struct fmx_bucket bucket;
    uint64_t now_ns = 0;
    uint64_t granted = 0;

    fmx_bucket_init(&bucket, &limit, 0);
    while (now_ns < 3600 * FMX_NS_PER_S) {
        granted += take_all(&bucket, &limit, now_ns);
        now_ns += fmx_prng_below(&prng, 500000000);
    }
    granted += take_all(&bucket, &limit, 3600 * FMX_NS_PER_S);
    CU_ASSERT_EQUAL(granted, 7 * 3600 + 7);
}

static void rate_gives_no_double_burst_at_the_edge_of_a_second(void)
{
    struct fmx_rate_limit limit = {.per_second = 10, .burst = 10};
    struct fmx_bucket bucket;
    unsigned granted;

    fmx_bucket_init(&bucket, &limit, 0);
    granted = take_all(&bucket, &limit, FMX_NS_PER_S - 1);
    granted += take_all(&bucket, &limit, FMX_NS_PER_S);
    granted += take_all(&bucket, &limit, FMX_NS_PER_S + 1);
    CU_ASSERT_EQUAL(granted, 10);
}

static void rate_says_the_least_time_that_then_succeeds(void)
{
    struct fmx_prng prng = {.state = 21};

    for (unsigned round = 0; round < 20000; round++) {
        struct fmx_rate_limit limit = {
            .per_second = (uint32_t)(1 + fmx_prng_below(&prng, round % 2 ? 20 : 1000000)),
            .burst = (uint32_t)(1 + fmx_prng_below(&prng, 5)),
        };
        uint64_t now_ns = fmx_prng_next(&prng) % YEAR_NS;
        struct fmx_bucket bucket;
        fmx_bucket_init(&bucket, &limit, now_ns);
        take_all(&bucket, &limit, now_ns);
        now_ns += fmx_prng_next(&prng) % (FMX_NS_PER_S / limit.per_second + 1);
        uint64_t wait_ns = fmx_bucket_wait_ns(&bucket, &limit, now_ns);
        struct fmx_bucket early = bucket;
        CU_ASSERT(wait_ns == 0 ||
                  fmx_bucket_take(&early, &limit, now_ns + wait_ns - 1) == FMX_LATER);
        CU_ASSERT_EQUAL(fmx_bucket_take(&bucket, &limit, now_ns + wait_ns), FMX_OK);
    }
}

static void rate_fills_up_once_when_the_clock_leaps_years(void)
{
    static const uint64_t leaps_ns[] = {YEAR_NS, 100 * YEAR_NS, UINT64_MAX / 2, UINT64_MAX - 9};
    struct fmx_rate_limit limit = {.per_second = FMX_RATE_PER_SECOND_MAX, .burst = 1000};
    struct fmx_bucket bucket;

    for (size_t i = 0; i < sizeof leaps_ns / sizeof leaps_ns[0]; i++) {
        fmx_bucket_init(&bucket, &limit, 9);
        take_all(&bucket, &limit, 9);
        CU_ASSERT_EQUAL(take_all(&bucket, &limit, 9 + leaps_ns[i]), 1000);
        CU_ASSERT_EQUAL(take_all(&bucket, &limit, 9 + leaps_ns[i]), 0);
    }
}

static void rate_adds_nothing_while_time_stands_still_or_runs_back(void)
{
    struct fmx_rate_limit limit = {.per_second = 2, .burst = 3};
    struct fmx_bucket bucket;
    const uint64_t now_ns = 100 * FMX_NS_PER_S;

    fmx_bucket_init(&bucket, &limit, now_ns);
    take_all(&bucket, &limit, now_ns);
    CU_ASSERT_EQUAL(take_all(&bucket, &limit, now_ns), 0);
    CU_ASSERT_EQUAL(take_all(&bucket, &limit, 0), 0);
    CU_ASSERT_EQUAL(take_all(&bucket, &limit, now_ns), 0);
    CU_ASSERT_EQUAL(fmx_bucket_wait_ns(&bucket, &limit, now_ns - 7), FMX_NS_PER_S / 2 + 7);
    CU_ASSERT_EQUAL(take_all(&bucket, &limit, now_ns + FMX_NS_PER_S), 2);
}

static void rate_waits_for_ever_at_the_end_of_time(void)
{
    struct fmx_rate_limit limit = {.per_second = 1, .burst = 1};
    struct fmx_bucket bucket;

    fmx_bucket_init(&bucket, &limit, UINT64_MAX);
    take_all(&bucket, &limit, UINT64_MAX);
    CU_ASSERT_EQUAL(fmx_bucket_wait_ns(&bucket, &limit, 0), UINT64_MAX);
}

static void rate_keeps_a_lowered_limit_from_the_next_call_on(void)
{
    struct fmx_rate_limit high = {.per_second = 100, .burst = 100};
    struct fmx_rate_limit low = {.per_second = 1, .burst = 2};
    struct fmx_bucket bucket;

    fmx_bucket_init(&bucket, &high, 0);
    CU_ASSERT_EQUAL(take_all(&bucket, &low, 0), 2);
    CU_ASSERT_EQUAL(fmx_bucket_wait_ns(&bucket, &low, 0), FMX_NS_PER_S);
}

/* The twin keeps the time of every grant and looks back over all spans that end now. */
static bool twin_allows(const uint64_t *grants_ns, size_t count, uint64_t now_ns,
                        const struct fmx_rate_limit *limit)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t in_span = count - i + 1;
        uint64_t inflow = (now_ns - grants_ns[i]) * limit->per_second;
        if (in_span > limit->burst && (in_span - limit->burst) * FMX_NS_PER_S > inflow) {
            return false;
        }
    }
    return true;
}

static void rate_grants_whenever_its_twin_does(void)
{
    enum { COUNT_MAX = 300 };
    static uint64_t grants_ns[COUNT_MAX];

    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct fmx_prng prng = {.state = seed};
        struct fmx_rate_limit limit = {
            .per_second = (uint32_t)(1 + fmx_prng_below(&prng, 13)),
            .burst = (uint32_t)(1 + fmx_prng_below(&prng, 9)),
        };
        struct fmx_bucket bucket;
        uint64_t now_ns = 0;
        size_t count = 0;
        fmx_bucket_init(&bucket, &limit, 0);
        while (count < COUNT_MAX) {
            bool is_allowed = twin_allows(grants_ns, count, now_ns, &limit);
            bool is_granted = fmx_bucket_take(&bucket, &limit, now_ns) == FMX_OK;
            if (is_allowed != is_granted) {
                printf("seed %llu\n", (unsigned long long)seed);
                CU_FAIL_FATAL("the bucket and its twin differ");
            }
            if (is_granted) {
                grants_ns[count++] = now_ns;
            }
            now_ns += fmx_prng_below(&prng, 4) == 0
                          ? fmx_bucket_wait_ns(&bucket, &limit, now_ns)
                          : fmx_prng_next(&prng) % (FMX_NS_PER_S / limit.per_second * 2);
        }
    }
    CU_PASS("no seed differed");
}

static void bucket_goes_on_where_another_ended(void)
{
    const struct fmx_rate_limit limit = {.per_second = 7, .burst = 9};
    struct fmx_prng prng = {.state = 20261122};
    struct fmx_bucket bucket, copy;
    uint64_t now_ns = 5 * FMX_NS_PER_S;

    fmx_bucket_init(&bucket, &limit, now_ns);
    CU_ASSERT_EQUAL(fmx_bucket_full_ns(&bucket, &limit, now_ns), now_ns);
    for (unsigned step = 0; step < 20000; step++) {
        now_ns += fmx_prng_below(&prng, FMX_NS_PER_S / 4);
        (void)!fmx_bucket_take(&bucket, &limit, now_ns);
        uint64_t full_ns = fmx_bucket_full_ns(&bucket, &limit, now_ns);
        fmx_bucket_restore(&copy, &limit, full_ns, now_ns);
        uint64_t wait_ns = fmx_bucket_wait_ns(&bucket, &limit, now_ns);
        uint64_t copy_ns = fmx_bucket_wait_ns(&copy, &limit, now_ns);
        CU_ASSERT_FATAL(copy_ns >= wait_ns && copy_ns - wait_ns <= 1);
    }
    fmx_bucket_restore(&copy, &limit, UINT64_MAX, now_ns);
    CU_ASSERT_EQUAL(copy.level, 0);
    fmx_bucket_restore(&copy, &limit, 0, now_ns);
    CU_ASSERT_EQUAL(fmx_bucket_full_ns(&copy, &limit, now_ns), now_ns);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(rate_grants_a_burst_at_once_and_no_more),
    FMX_TEST_CASE(rate_never_drifts_over_an_hour),
    FMX_TEST_CASE(rate_without_burst_keeps_whole_nanoseconds_between_grants),
    FMX_TEST_CASE(rate_never_drifts_when_asked_at_odd_times),
    FMX_TEST_CASE(rate_gives_no_double_burst_at_the_edge_of_a_second),
    FMX_TEST_CASE(rate_says_the_least_time_that_then_succeeds),
    FMX_TEST_CASE(rate_fills_up_once_when_the_clock_leaps_years),
    FMX_TEST_CASE(rate_adds_nothing_while_time_stands_still_or_runs_back),
    FMX_TEST_CASE(rate_waits_for_ever_at_the_end_of_time),
    FMX_TEST_CASE(rate_keeps_a_lowered_limit_from_the_next_call_on),
    FMX_TEST_CASE(rate_grants_whenever_its_twin_does),
    FMX_TEST_CASE(bucket_goes_on_where_another_ended),
};

int main(int argc, char **argv)
{
    return fmx_test_main("rate", cases, sizeof cases / sizeof cases[0], argc, argv);
}
