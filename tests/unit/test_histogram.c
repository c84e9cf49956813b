/*
 * test_histogram — percentiles against a sorted array of all that was recorded
 */
#include "engine/histogram.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <pthread.h>
#include <stdlib.h>

#define VALUES   5000u
#define SEEDS    10u
#define RANGE_NS (1ull << 42)

static struct fmx_histogram histogram;
static struct fmx_histogram other;
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

static void fill(struct fmx_histogram *into, struct fmx_prng *prng, size_t count, unsigned bits)
{
    fmx_histogram_init(into);
    for (size_t i = 0; i < count; i++) {
        values[i] = any_value(prng, bits);
        fmx_histogram_record(into, values[i]);
    }
    qsort(values, count, sizeof values[0], compare);
}

static void histogram_percentiles_are_within_a_thousandth(void)
{
    static const double fractions[] = {0, 0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        size_t count = 1 + (size_t)fmx_prng_below(&prng, VALUES);

        fill(&histogram, &prng, count, (unsigned)(4 * seed));
        for (size_t i = 0; i < sizeof fractions / sizeof fractions[0]; i++) {
            uint64_t got = fmx_histogram_percentile(&histogram, fractions[i]);
            FMX_SEED_ASSERT(seed, is_near(got, twin_percentile(count, fractions[i])));
            FMX_SEED_ASSERT(seed, got <= values[count - 1]);
        }
    }
}

static void histogram_summary_tells_count_least_and_greatest_exactly(void)
{
    struct fmx_prng prng = {.state = 7};
    struct fmx_latency latency;

    fill(&histogram, &prng, VALUES, 42);
    fmx_histogram_summary(&histogram, &latency);
    CU_ASSERT_EQUAL(latency.count, VALUES);
    CU_ASSERT_EQUAL(latency.min_ns, values[0]);
    CU_ASSERT_EQUAL(latency.max_ns, values[VALUES - 1]);
    CU_ASSERT(is_near(latency.p50_ns, twin_percentile(VALUES, 0.5)));
    CU_ASSERT(is_near(latency.p90_ns, twin_percentile(VALUES, 0.9)));
    CU_ASSERT(is_near(latency.p99_ns, twin_percentile(VALUES, 0.99)));
    CU_ASSERT(is_near(latency.p999_ns, twin_percentile(VALUES, 0.999)));
}

static void histogram_that_is_empty_says_zero(void)
{
    struct fmx_latency latency;

    fmx_histogram_init(&histogram);
    fmx_histogram_init(&other);
    fmx_histogram_add(&histogram, &other);
    fmx_histogram_summary(&histogram, &latency);
    CU_ASSERT_EQUAL(latency.count, 0);
    CU_ASSERT_EQUAL(latency.min_ns, 0);
    CU_ASSERT_EQUAL(latency.max_ns, 0);
    CU_ASSERT_EQUAL(fmx_histogram_percentile(&histogram, 0.5), 0);
}

static void histogram_of_one_value_answers_with_it(void)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t step = 0; step < 3; step++) {
            uint64_t value = (1ull << bit) - 1 + step;
            fmx_histogram_init(&histogram);
            fmx_histogram_record(&histogram, value);
            CU_ASSERT_EQUAL(fmx_histogram_percentile(&histogram, 0), value);
            CU_ASSERT_EQUAL(fmx_histogram_percentile(&histogram, 0.5), value);
            CU_ASSERT_EQUAL(fmx_histogram_percentile(&histogram, 1), value);
        }
    }
}

static void histogram_holds_what_is_longer_than_its_range(void)
{
    fmx_histogram_init(&histogram);
    fmx_histogram_record(&histogram, 1000);
    fmx_histogram_record(&histogram, RANGE_NS);
    fmx_histogram_record(&histogram, UINT64_MAX);
    CU_ASSERT(is_near(fmx_histogram_percentile(&histogram, 0.3), 1000));
    CU_ASSERT_EQUAL(fmx_histogram_percentile(&histogram, 0.5), UINT64_MAX);
    CU_ASSERT_EQUAL(histogram.counts[FMX_HISTOGRAM_BUCKETS - 1], 2);
}

static void histogram_orders_neighbouring_values(void)
{
    for (uint64_t value = 1; value < RANGE_NS; value += 1 + value / 700) {
        fmx_histogram_init(&histogram);
        fmx_histogram_record(&histogram, value);
        fmx_histogram_record(&histogram, value + 1 + value / 500);
        CU_ASSERT_FATAL(is_near(fmx_histogram_percentile(&histogram, 0.5), value));
        value += value / 7;
    }
}

static void histogram_sum_equals_one_that_recorded_all(void)
{
    static struct fmx_histogram sum;
    struct fmx_prng prng = {.state = 3};

    fmx_histogram_init(&histogram);
    fmx_histogram_init(&other);
    fmx_histogram_init(&sum);
    for (unsigned i = 0; i < 4 * VALUES; i++) {
        uint64_t value = any_value(&prng, 44);
        fmx_histogram_record(&sum, value);
        fmx_histogram_record(i % 3 == 0 ? &histogram : &other, value);
    }
    fmx_histogram_add(&histogram, &other);
    CU_ASSERT_EQUAL(memcmp(&histogram, &sum, sizeof sum), 0);
}

static void *record_many(void *argument)
{
    struct fmx_prng prng = {.state = 11};

    for (unsigned i = 0; i < 200000; i++) {
        fmx_histogram_record(argument, 500 + fmx_prng_below(&prng, 1000000));
    }
    return NULL;
}

static void histogram_may_be_read_while_it_is_written(void)
{
    static struct fmx_histogram snapshot;
    struct fmx_latency latency = {0};
    pthread_t writer;

    fmx_histogram_init(&histogram);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, record_many, &histogram), 0);
    for (uint64_t last = 0; latency.count < 200000; last = latency.count) {
        fmx_histogram_init(&snapshot);
        fmx_histogram_add(&snapshot, &histogram);
        fmx_histogram_summary(&snapshot, &latency);
        CU_ASSERT_FATAL(latency.count >= last);
        CU_ASSERT_FATAL(latency.count == 0 || latency.min_ns >= 500);
        CU_ASSERT_FATAL(latency.min_ns <= latency.p50_ns && latency.p50_ns <= latency.p999_ns);
        CU_ASSERT_FATAL(latency.p999_ns <= latency.max_ns && latency.max_ns < 1000500);
    }
    (void)pthread_join(writer, NULL);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(histogram_percentiles_are_within_a_thousandth),
    FMX_TEST_CASE(histogram_summary_tells_count_least_and_greatest_exactly),
    FMX_TEST_CASE(histogram_that_is_empty_says_zero),
    FMX_TEST_CASE(histogram_of_one_value_answers_with_it),
    FMX_TEST_CASE(histogram_holds_what_is_longer_than_its_range),
    FMX_TEST_CASE(histogram_orders_neighbouring_values),
    FMX_TEST_CASE(histogram_sum_equals_one_that_recorded_all),
    FMX_TEST_CASE(histogram_may_be_read_while_it_is_written),
};

int main(int argc, char **argv)
{
    return fmx_test_main("histogram", cases, sizeof cases / sizeof cases[0], argc, argv);
}
