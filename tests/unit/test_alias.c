/*
 * test_alias — both tables, and the outgoing one against a list that is searched by hand
 */
#include "proto/alias.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"

#include <stdio.h>
#include <stdlib.h>

/* In storage of exactly its size; to be freed. */
static struct fmx_alias_in *table_of(uint16_t capacity)
{
    struct fmx_alias_in *table = malloc(fmx_alias_in_bytes(capacity));

    CU_ASSERT_PTR_NOT_NULL_FATAL(table);
    fmx_alias_in_init(table, capacity);
    return table;
}

static void alias_in_refuses_zero_unknown_and_above_capacity(void)
{
    struct fmx_alias_in *table = table_of(3);
    fmx_slice topic = {0};

    CU_ASSERT_EQUAL(fmx_alias_in_get(table, 0, &topic), FMX_PEER_ALIAS);
    CU_ASSERT_EQUAL(fmx_alias_in_get(table, 3, &topic), FMX_PEER_ALIAS);
    CU_ASSERT_EQUAL(fmx_alias_in_get(table, 4, &topic), FMX_PEER_ALIAS);
    CU_ASSERT_EQUAL(fmx_alias_in_put(table, 0, fmx_slice_of("a"), &topic), FMX_PEER_ALIAS);
    CU_ASSERT_EQUAL(fmx_alias_in_put(table, 4, fmx_slice_of("a"), &topic), FMX_PEER_ALIAS);
    free(table);
}

static void alias_in_gives_the_old_topic_back_when_renamed(void)
{
    struct fmx_alias_in *table = table_of(2);
    fmx_slice topic = {0};

    CU_ASSERT_EQUAL(fmx_alias_in_put(table, 2, fmx_slice_of("a/b"), &topic), FMX_OK);
    CU_ASSERT_EQUAL(topic.bytes, 0);
    CU_ASSERT_EQUAL(fmx_alias_in_put(table, 2, fmx_slice_of("c"), &topic), FMX_OK);
    CU_ASSERT(fmx_slice_equal(topic, fmx_slice_of("a/b")));
    CU_ASSERT_EQUAL(fmx_alias_in_get(table, 2, &topic), FMX_OK);
    CU_ASSERT(fmx_slice_equal(topic, fmx_slice_of("c")));
    free(table);
}

static void alias_in_of_no_capacity_knows_nothing(void)
{
    struct fmx_alias_in *table = table_of(0);
    fmx_slice topic = {0};

    CU_ASSERT_EQUAL(fmx_alias_in_get(table, 1, &topic), FMX_PEER_ALIAS);
    CU_ASSERT_EQUAL(fmx_alias_in_put(table, 1, fmx_slice_of("a"), &topic), FMX_PEER_ALIAS);
    free(table);
}

static void alias_in_that_is_not_there_knows_nothing(void)
{
    fmx_slice topic = {0};

    CU_ASSERT_EQUAL(fmx_alias_in_get(NULL, 1, &topic), FMX_PEER_ALIAS);
}

static void alias_out_of_no_capacity_keeps_nothing(void)
{
    struct fmx_alias_out table;
    fmx_slice old = fmx_slice_of("x");

    fmx_alias_out_init(&table, NULL, 0);
    CU_ASSERT_EQUAL(fmx_alias_out_find(&table, fmx_slice_of("a")), 0);
    CU_ASSERT_EQUAL(fmx_alias_out_put(&table, fmx_slice_of("a"), &old), 0);
    CU_ASSERT_EQUAL(old.bytes, 0);
}

static void alias_out_fills_up_before_anything_falls_out(void)
{
    static const char *const topics[] = {"a", "b", "c"};
    struct fmx_alias_entry storage[3];
    struct fmx_alias_out table;
    fmx_slice old;

    fmx_alias_out_init(&table, storage, 3);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(fmx_alias_out_find(&table, fmx_slice_of(topics[i])), 0);
        CU_ASSERT_EQUAL(fmx_alias_out_put(&table, fmx_slice_of(topics[i]), &old), i + 1);
        CU_ASSERT_EQUAL(old.bytes, 0);
    }
    CU_ASSERT_EQUAL(fmx_alias_out_find(&table, fmx_slice_of("b")), 2);
}

static void alias_out_lets_the_coldest_topic_fall_out(void)
{
    struct fmx_alias_entry storage[2];
    struct fmx_alias_out table;
    fmx_slice old;

    fmx_alias_out_init(&table, storage, 2);
    CU_ASSERT_EQUAL(fmx_alias_out_put(&table, fmx_slice_of("hot"), &old), 1);
    CU_ASSERT_EQUAL(fmx_alias_out_put(&table, fmx_slice_of("cold"), &old), 2);
    for (unsigned i = 0; i < 10; i++) {
        CU_ASSERT_EQUAL(fmx_alias_out_find(&table, fmx_slice_of("hot")), 1);
    }
    CU_ASSERT_EQUAL(fmx_alias_out_put(&table, fmx_slice_of("new"), &old), 2);
    CU_ASSERT(fmx_slice_equal(old, fmx_slice_of("cold")));
    CU_ASSERT_EQUAL(fmx_alias_out_find(&table, fmx_slice_of("cold")), 0);
}

static void alias_out_forgets_old_fame(void)
{
    char names[16][4];
    struct fmx_alias_entry storage[2];
    struct fmx_alias_out table;
    fmx_slice old;

    fmx_alias_out_init(&table, storage, 2);
    CU_ASSERT_EQUAL(fmx_alias_out_put(&table, fmx_slice_of("famous"), &old), 1);
    for (unsigned i = 0; i < 1000; i++) {
        CU_ASSERT_EQUAL(fmx_alias_out_find(&table, fmx_slice_of("famous")), 1);
    }
    for (unsigned i = 0; i < 16; i++) {
        snprintf(names[i], sizeof names[i], "%u", i);
        CU_ASSERT(fmx_alias_out_put(&table, fmx_slice_of(names[i]), &old) > 0);
    }
    CU_ASSERT_EQUAL(fmx_alias_out_find(&table, fmx_slice_of("famous")), 0);
}

/* The twin: topics by number, hits beside them, and the same rule in plain words. */
enum { TOPICS = 60, CAPACITY = 20 };

struct twin {
    int topics[CAPACITY]; /* −1: none yet */
    unsigned hits[CAPACITY];
    unsigned hand;
};

static unsigned twin_find(struct twin *twin, int topic)
{
    for (unsigned i = 0; i < CAPACITY; i++) {
        if (twin->topics[i] == topic) {
            twin->hits[i]++;
            return i + 1;
        }
    }
    return 0;
}

static unsigned twin_put(struct twin *twin, int topic, int *out_old)
{
    unsigned best = CAPACITY;

    for (unsigned i = 0; i < CAPACITY && best == CAPACITY; i++) {
        best = twin->topics[i] < 0 ? i : CAPACITY;
    }
    if (best == CAPACITY) {
        for (unsigned i = 0; i < CAPACITY; i++) {
            unsigned at = (twin->hand + i) % CAPACITY;
            best = best == CAPACITY || twin->hits[at] < twin->hits[best] ? at : best;
        }
        for (unsigned i = 0; i < CAPACITY; i++) {
            twin->hits[i] /= 2;
        }
        twin->hand = (best + 1) % CAPACITY;
    }
    *out_old = twin->topics[best];
    twin->topics[best] = topic;
    twin->hits[best] = 1;
    return best + 1;
}

static bool agrees(struct fmx_alias_out *table, struct twin *twin, fmx_slice *topics, int topic)
{
    fmx_slice old;
    int twin_old = -1;
    unsigned found = twin_find(twin, topic);

    if (fmx_alias_out_find(table, topics[topic]) != found) {
        return false;
    }
    if (found != 0) {
        return true;
    }
    unsigned alias = twin_put(twin, topic, &twin_old);
    if (fmx_alias_out_put(table, topics[topic], &old) != alias) {
        return false;
    }
    return twin_old < 0 ? old.bytes == 0 : old.data == topics[twin_old].data;
}

static void alias_out_agrees_with_its_twin(void)
{
    static char names[TOPICS][32];
    fmx_slice topics[TOPICS];

    for (unsigned i = 0; i < TOPICS; i++) {
        snprintf(names[i], sizeof names[i], "/pk/device/user/topic%u", i);
        topics[i] = fmx_slice_of(names[i]);
    }
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fmx_prng prng = {.state = seed};
        struct fmx_alias_entry storage[CAPACITY];
        struct fmx_alias_out table;
        struct twin twin = {.hand = 0};
        memset(twin.topics, 0xff, sizeof twin.topics);
        fmx_alias_out_init(&table, storage, CAPACITY);
        for (unsigned at = 0; at < 5000; at++) {
            uint32_t bound = (uint32_t)(1 + fmx_prng_below(&prng, TOPICS));
            if (!agrees(&table, &twin, topics, (int)fmx_prng_below(&prng, bound))) {
                printf("seed %llu step %u\n", (unsigned long long)seed, at);
                CU_FAIL_FATAL("the table and its twin differ");
            }
        }
    }
    CU_PASS("no seed differed");
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(alias_in_refuses_zero_unknown_and_above_capacity),
    FMX_TEST_CASE(alias_in_gives_the_old_topic_back_when_renamed),
    FMX_TEST_CASE(alias_in_of_no_capacity_knows_nothing),
    FMX_TEST_CASE(alias_in_that_is_not_there_knows_nothing),
    FMX_TEST_CASE(alias_out_of_no_capacity_keeps_nothing),
    FMX_TEST_CASE(alias_out_fills_up_before_anything_falls_out),
    FMX_TEST_CASE(alias_out_lets_the_coldest_topic_fall_out),
    FMX_TEST_CASE(alias_out_forgets_old_fame),
    FMX_TEST_CASE(alias_out_agrees_with_its_twin),
};

int main(int argc, char **argv)
{
    return fmx_test_main("alias", cases, sizeof cases / sizeof cases[0], argc, argv);
}
