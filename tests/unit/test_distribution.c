/*
 * test_distribution — percentiles against a sorted array of all that was recorded
 */
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <fleetmux/distribution.h>

#include <stdlib.h>

#define VALUES   5000u
#define SEEDS    10u
#define RANGE_NS (1ull << 42)

static struct fmx_distribution distribution;
static struct fmx_distribution other;
static uint64_t values[VALUES];

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

/* The smallest of the sorted values that at least `fraction` of all are not above. */
static uint64_t twin_percentile(size_t count, double fraction)
{
    size_t rank = 1;

    while (rank < count && (double)rank < fraction * (double)count) {
        rank++;
    }
    return values[rank - 1];
}

static bool is_near(uint64_t got, uint64_t exact)
{
    return got >= exact && (double)(got - exact) <= 0.001 * (double)exact;
}

/* Of any magnitude below 2^bits, each as likely as another. */
static uint64_t any_value(struct fmx_prng *prng, unsigned bits)
{
    return fmx_prng_below(prng, 1ull << (1 + fmx_prng_below(prng, bits)));
}

static void fill(struct fmx_distribution *into, struct fmx_prng *prng, size_t count, unsigned bits)
{
    fmx_distribution_init(into);
    for (size_t i = 0; i < count; i++) {
        values[i] = any_value(prng, bits);
        fmx_distribution_record(into, values[i], 1);
    }
    qsort(values, count, sizeof values[0], compare);
}

static void distribution_percentiles_are_within_a_thousandth(void)
{
    static const double fractions[] = {0, 0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        size_t count = 1 + (size_t)fmx_prng_below(&prng, VALUES);

        fill(&distribution, &prng, count, (unsigned)(4 * seed));
        for (size_t i = 0; i < sizeof fractions / sizeof fractions[0]; i++) {
            uint64_t got = fmx_distribution_percentile(&distribution, fractions[i]);
            FMX_SEED_ASSERT(seed, is_near(got, twin_percentile(count, fractions[i])));
            FMX_SEED_ASSERT(seed, got <= values[count - 1]);
        }
    }
}

static void distribution_summary_tells_count_least_and_greatest_exactly(void)
{
    struct fmx_prng prng = {.state = 7};
    struct fmx_latency latency;

    fill(&distribution, &prng, VALUES, 42);
    fmx_distribution_summary(&distribution, &latency);
    CU_ASSERT_EQUAL(latency.count, VALUES);
    CU_ASSERT_EQUAL(latency.min_ns, values[0]);
    CU_ASSERT_EQUAL(latency.max_ns, values[VALUES - 1]);
    CU_ASSERT(is_near(latency.p50_ns, twin_percentile(VALUES, 0.5)));
    CU_ASSERT(is_near(latency.p90_ns, twin_percentile(VALUES, 0.9)));
    CU_ASSERT(is_near(latency.p99_ns, twin_percentile(VALUES, 0.99)));
    CU_ASSERT(is_near(latency.p999_ns, twin_percentile(VALUES, 0.999)));
}

static void distribution_that_is_empty_says_zero(void)
{
    struct fmx_latency latency;

    fmx_distribution_init(&distribution);
    fmx_distribution_init(&other);
    fmx_distribution_add(&distribution, &other);
    fmx_distribution_summary(&distribution, &latency);
    CU_ASSERT_EQUAL(latency.count, 0);
    CU_ASSERT_EQUAL(latency.min_ns, 0);
    CU_ASSERT_EQUAL(latency.max_ns, 0);
    CU_ASSERT_EQUAL(fmx_distribution_percentile(&distribution, 0.5), 0);
}

static void distribution_of_one_value_answers_with_it(void)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t step = 0; step < 3; step++) {
            uint64_t value = (1ull << bit) - 1 + step;
            fmx_distribution_init(&distribution);
            fmx_distribution_record(&distribution, value, 1);
            CU_ASSERT_EQUAL(fmx_distribution_percentile(&distribution, 0), value);
            CU_ASSERT_EQUAL(fmx_distribution_percentile(&distribution, 0.5), value);
            CU_ASSERT_EQUAL(fmx_distribution_percentile(&distribution, 1), value);
        }
    }
}

static void distribution_holds_what_is_longer_than_its_range(void)
{
    fmx_distribution_init(&distribution);
    fmx_distribution_record(&distribution, 1000, 1);
    fmx_distribution_record(&distribution, RANGE_NS, 1);
    fmx_distribution_record(&distribution, UINT64_MAX, 1);
    CU_ASSERT(is_near(fmx_distribution_percentile(&distribution, 0.3), 1000));
    CU_ASSERT_EQUAL(fmx_distribution_percentile(&distribution, 0.5), UINT64_MAX);
    CU_ASSERT_EQUAL(distribution.counts[FMX_DISTRIBUTION_BUCKETS - 1], 2);
}

static void distribution_orders_neighbouring_values(void)
{
    for (uint64_t value = 1; value < RANGE_NS; value += 1 + value / 700) {
        fmx_distribution_init(&distribution);
        fmx_distribution_record(&distribution, value, 1);
        fmx_distribution_record(&distribution, value + 1 + value / 500, 1);
        CU_ASSERT_FATAL(is_near(fmx_distribution_percentile(&distribution, 0.5), value));
        value += value / 7;
    }
}

static void distribution_sum_equals_one_that_recorded_all(void)
{
    static struct fmx_distribution sum;
    struct fmx_prng prng = {.state = 3};

    fmx_distribution_init(&distribution);
    fmx_distribution_init(&other);
    fmx_distribution_init(&sum);
    for (unsigned i = 0; i < 4 * VALUES; i++) {
        uint64_t value = any_value(&prng, 44);
        fmx_distribution_record(&sum, value, 1);
        fmx_distribution_record(i % 3 == 0 ? &distribution : &other, value, 1);
    }
    fmx_distribution_add(&distribution, &other);
    CU_ASSERT_EQUAL(memcmp(&distribution, &sum, sizeof sum), 0);
}

static void distribution_between_two_moments_is_what_came_between(void)
{
    static struct fmx_distribution later;
    static struct fmx_distribution between;
    struct fmx_prng prng = {.state = 5};

    fill(&distribution, &prng, VALUES, 30);
    later = distribution;
    fmx_distribution_init(&other);
    for (unsigned i = 0; i < VALUES; i++) {
        uint64_t value = any_value(&prng, 30);
        fmx_distribution_record(&later, value, 1);
        fmx_distribution_record(&other, value, 1);
    }
    fmx_distribution_since(&later, &distribution, &between);
    CU_ASSERT_EQUAL(memcmp(between.counts, other.counts, sizeof other.counts), 0);
    CU_ASSERT_EQUAL(between.total, VALUES);
    CU_ASSERT(between.min_ns <= other.min_ns && between.max_ns >= other.max_ns);
    CU_ASSERT(is_near(between.max_ns, other.max_ns));
    fmx_distribution_since(&later, &later, &between);
    CU_ASSERT_EQUAL(between.total, 0);
    CU_ASSERT_EQUAL(between.max_ns, 0);
}

static void distribution_mean_is_within_a_thousandth(void)
{
    struct fmx_prng prng = {.state = 9};
    double sum = 0;

    fill(&distribution, &prng, VALUES, 40);
    for (unsigned i = 0; i < VALUES; i++) {
        sum += (double)values[i];
    }
    double mean = fmx_distribution_mean(&distribution);
    CU_ASSERT(mean > 0.999 * sum / VALUES && mean < 1.001 * sum / VALUES);
}

static void distribution_edges_bound_their_buckets(void)
{
    for (uint32_t bucket = 0; bucket + 1 < FMX_DISTRIBUTION_BUCKETS; bucket++) {
        uint64_t edge_ns = fmx_distribution_edge_ns(bucket);
        CU_ASSERT_EQUAL_FATAL(fmx_distribution_bucket(edge_ns), bucket);
        CU_ASSERT_EQUAL_FATAL(fmx_distribution_bucket(edge_ns + 1), bucket + 1);
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(distribution_percentiles_are_within_a_thousandth),
    FMX_TEST_CASE(distribution_summary_tells_count_least_and_greatest_exactly),
    FMX_TEST_CASE(distribution_that_is_empty_says_zero),
    FMX_TEST_CASE(distribution_of_one_value_answers_with_it),
    FMX_TEST_CASE(distribution_holds_what_is_longer_than_its_range),
    FMX_TEST_CASE(distribution_orders_neighbouring_values),
    FMX_TEST_CASE(distribution_sum_equals_one_that_recorded_all),
    FMX_TEST_CASE(distribution_between_two_moments_is_what_came_between),
    FMX_TEST_CASE(distribution_mean_is_within_a_thousandth),
    FMX_TEST_CASE(distribution_edges_bound_their_buckets),
};

int main(int argc, char **argv)
{
    return fmx_test_main("distribution", cases, sizeof cases / sizeof cases[0], argc, argv);
}
