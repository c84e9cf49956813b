/*
 * test_stats — counters of shards become one snapshot
 */
#include "engine/stats.h"
#include "tests/support/run.h"

#include <pthread.h>

#define ADDITIONS 200000u

static void stats_adds_every_counter_of_every_shard(void)
{
    struct fmx_counters counters = {0};
    struct fmx_stats stats = {0};
    uint64_t value = 1;

#define SET(name, words) fmx_count_set(&counters.name, value++);
    FMX_STATS_LIST(SET)
#undef SET
    fmx_stats_add(&stats, &counters);
    fmx_stats_add(&stats, &counters);
    uint64_t longest = stats.turn_ns_longest;
    value = 1;
#define CHECK(name, words)                                                                         \
    CU_ASSERT(stats.name == 2 * value || &stats.name == &stats.turn_ns_longest);                   \
    value++;
    FMX_STATS_LIST(CHECK)
#undef CHECK
    CU_ASSERT_EQUAL(longest, atomic_load(&counters.turn_ns_longest));
}

static void stats_takes_the_longest_turn_of_all(void)
{
    static const uint64_t turns[] = {30, 70, 50, 0};
    struct fmx_stats stats = {0};

    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        struct fmx_counters counters = {0};
        fmx_count_set(&counters.turn_ns_longest, turns[i]);
        fmx_stats_add(&stats, &counters);
    }
    CU_ASSERT_EQUAL(stats.turn_ns_longest, 70);
}

static void stats_counts_up_and_down(void)
{
    struct fmx_counters counters = {0};

    fmx_count(&counters.connections_now, 5);
    fmx_count_down(&counters.connections_now, 3);
    fmx_count(&counters.connections_now, 1);
    CU_ASSERT_EQUAL(atomic_load(&counters.connections_now), 3);
    fmx_count_set(&counters.connections_now, 9);
    CU_ASSERT_EQUAL(atomic_load(&counters.connections_now), 9);
}

static void *count_much(void *argument)
{
    struct fmx_counters *counters = argument;

    for (unsigned i = 0; i < ADDITIONS; i++) {
        fmx_count(&counters->packets_in, 1);
    }
    return NULL;
}

static void a_snapshot_of_a_running_shard_never_goes_back(void)
{
    static struct fmx_counters counters;
    pthread_t writer;
    uint64_t last = 0;
    bool is_monotonic = true;

    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, count_much, &counters), 0);
    for (unsigned i = 0; i < 10000; i++) {
        struct fmx_stats stats = {0};
        fmx_stats_add(&stats, &counters);
        is_monotonic = is_monotonic && stats.packets_in >= last;
        last = stats.packets_in;
    }
    pthread_join(writer, NULL);
    CU_ASSERT(is_monotonic);
    CU_ASSERT_EQUAL(atomic_load(&counters.packets_in), ADDITIONS);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(stats_adds_every_counter_of_every_shard),
    FMX_TEST_CASE(stats_takes_the_longest_turn_of_all),
    FMX_TEST_CASE(stats_counts_up_and_down),
    FMX_TEST_CASE(a_snapshot_of_a_running_shard_never_goes_back),
};

int main(int argc, char **argv)
{
    return fmx_test_main("stats", cases, sizeof cases / sizeof cases[0], argc, argv);
}
