/*
 * test_histogram — counting in one thread while another reads
 */
#include "engine/histogram.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"

#include <pthread.h>

#define VALUES 200000u

static struct fmx_histogram histogram;

static uint64_t any_value(struct fmx_prng *prng)
{
    return 500 + fmx_prng_below(prng, 1000000);
}

static void *record_many(void *argument)
{
    struct fmx_prng prng = {.state = 11};

    for (unsigned i = 0; i < VALUES; i++) {
        fmx_histogram_record(argument, any_value(&prng));
    }
    return NULL;
}

static void histogram_holds_what_a_distribution_would(void)
{
    static struct fmx_distribution twin;
    static struct fmx_distribution copy;
    struct fmx_prng prng = {.state = 11};

    memset(&histogram, 0, sizeof histogram);
    fmx_histogram_init_zeroed(&histogram);
    fmx_distribution_init(&twin);
    fmx_distribution_init(&copy);
    for (unsigned i = 0; i < VALUES; i++) {
        uint64_t value = any_value(&prng);
        fmx_histogram_record(&histogram, value);
        fmx_distribution_record(&twin, value, 1);
    }
    fmx_histogram_add_to(&histogram, &copy);
    CU_ASSERT_EQUAL(memcmp(&copy, &twin, sizeof twin), 0);
    CU_ASSERT_EQUAL(fmx_histogram_count(&histogram), VALUES);
}

static void histogram_may_be_read_while_it_is_written(void)
{
    static struct fmx_distribution snapshot;
    struct fmx_latency latency = {0};
    pthread_t writer;

    memset(&histogram, 0, sizeof histogram);
    fmx_histogram_init_zeroed(&histogram);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, record_many, &histogram), 0);
    for (uint64_t last = 0; latency.count < VALUES; last = latency.count) {
        fmx_distribution_init(&snapshot);
        fmx_histogram_add_to(&histogram, &snapshot);
        fmx_distribution_summary(&snapshot, &latency);
        CU_ASSERT_FATAL(latency.count >= last);
        CU_ASSERT_FATAL(latency.count == 0 || latency.min_ns >= 500);
        CU_ASSERT_FATAL(latency.min_ns <= latency.p50_ns && latency.p50_ns <= latency.p999_ns);
        CU_ASSERT_FATAL(latency.p999_ns <= latency.max_ns && latency.max_ns < 1000500);
    }
    (void)pthread_join(writer, NULL);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(histogram_holds_what_a_distribution_would),
    FMX_TEST_CASE(histogram_may_be_read_while_it_is_written),
};

int main(int argc, char **argv)
{
    return fmx_test_main("histogram", cases, sizeof cases / sizeof cases[0], argc, argv);
}
