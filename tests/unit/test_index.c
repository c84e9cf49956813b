/*
 * test_index — the table against a plain list of pairs
 */
#include "engine/index.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdlib.h>

#define VALUES 2000u
#define SEEDS  12u
#define STEPS  8000u

static struct fmx_index table;

/* The twin: the hash under which a value stands, and whether it does. */
static uint64_t hashes[VALUES];
static bool held[VALUES];

static uint64_t hash_of_tag(uint32_t tag)
{
    return (uint64_t)tag << 32 | 0x5eed;
}

static bool have_one_tag(uint64_t a, uint64_t b)
{
    return a >> 32 == b >> 32;
}

/* Few tags and few homes, so that runs are long, wrap around and hold several of one tag. */
static uint64_t poor_hash(struct fmx_prng *prng)
{
    uint32_t homes = (uint32_t)fmx_prng_below(prng, 24) - 12;

    return hash_of_tag(homes + ((uint32_t)fmx_prng_below(prng, 4) << 20));
}

static uint64_t good_hash(struct fmx_prng *prng)
{
    return fmx_prng_next(prng);
}

/* Every value of the tag comes once, nothing else does, then comes the end. */
static void check_find(uint64_t seed, uint64_t hash)
{
    uint32_t probe = UINT32_MAX;
    uint32_t expected = 0;
    uint32_t count = 0;
    uint32_t value;
    static bool came[VALUES];

    memset(came, 0, sizeof came);
    while ((value = fmx_index_find(&table, hash, &probe)) != FMX_INDEX_NONE) {
        FMX_SEED_ASSERT(seed, value < VALUES && held[value] && !came[value]);
        FMX_SEED_ASSERT(seed, have_one_tag(hashes[value], hash));
        came[value] = true;
        count++;
    }
    for (uint32_t i = 0; i < VALUES; i++) {
        expected += held[i] && have_one_tag(hashes[i], hash);
    }
    FMX_SEED_ASSERT(seed, count == expected);
}

static void toggle(uint64_t seed, uint32_t value, uint64_t hash)
{
    if (held[value]) {
        fmx_index_remove(&table, hashes[value], value);
    } else {
        FMX_SEED_ASSERT(seed, fmx_index_put(&table, hash, value) == FMX_OK);
        hashes[value] = hash;
    }
    held[value] = !held[value];
}

static void run_twin(uint64_t seed, uint32_t values, uint64_t (*any_hash)(struct fmx_prng *))
{
    struct fmx_prng prng = {.state = seed};

    for (unsigned step = 0; step < STEPS; step++) {
        toggle(seed, (uint32_t)fmx_prng_below(&prng, values), any_hash(&prng));
        if (step % 16 == 0) {
            check_find(seed, hashes[fmx_prng_below(&prng, values)]);
            check_find(seed, any_hash(&prng));
        }
        if (step % 128 == 0) {
            fmx_index_check(&table);
        }
    }
    for (uint32_t i = 0; i < values; i++) {
        if (held[i]) {
            toggle(seed, i, 0);
        }
        fmx_index_check(&table);
    }
    FMX_SEED_ASSERT(seed, table.used == 0 && table.entries == NULL);
}

static void index_agrees_with_its_twin(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_twin(seed, seed % 2 == 0 ? VALUES : 40, good_hash);
    }
}

static void index_agrees_with_its_twin_when_hashes_are_poor(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_twin(seed, seed % 2 == 0 ? 200 : 20, poor_hash);
    }
}

static void index_that_is_empty_finds_nothing(void)
{
    uint32_t probe = UINT32_MAX;

    CU_ASSERT_EQUAL(fmx_index_find(&table, 42, &probe), FMX_INDEX_NONE);
    fmx_index_check(&table);
    fmx_index_close(&table);
}

static void index_gives_the_memory_of_a_peak_back(void)
{
    struct fmx_prng prng = {.state = 5};
    uint32_t peak;

    for (uint32_t i = 0; i < VALUES; i++) {
        hashes[i] = fmx_prng_next(&prng);
        CU_ASSERT_EQUAL_FATAL(fmx_index_put(&table, hashes[i], i), FMX_OK);
    }
    peak = table.capacity;
    CU_ASSERT(peak <= VALUES * 4);
    for (uint32_t i = 10; i < VALUES; i++) {
        fmx_index_remove(&table, hashes[i], i);
    }
    CU_ASSERT(table.capacity <= 10 * 8 * 2);
    for (uint32_t i = 0; i < 10; i++) {
        fmx_index_remove(&table, hashes[i], i);
    }
    CU_ASSERT_EQUAL(table.capacity, 0);
    CU_ASSERT_PTR_NULL(table.entries);
}

static void index_that_comes_and_goes_at_one_size_does_not_move(void)
{
    struct fmx_prng prng = {.state = 6};

    for (uint32_t i = 0; i < VALUES; i++) {
        hashes[i] = fmx_prng_next(&prng);
        CU_ASSERT_EQUAL_FATAL(fmx_index_put(&table, hashes[i], i), FMX_OK);
    }
    const struct fmx_index_entry *entries = table.entries;
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t value = (uint32_t)fmx_prng_below(&prng, VALUES);
        fmx_index_remove(&table, hashes[value], value);
        hashes[value] = fmx_prng_next(&prng);
        CU_ASSERT_EQUAL_FATAL(fmx_index_put(&table, hashes[value], value), FMX_OK);
    }
    CU_ASSERT_PTR_EQUAL(table.entries, entries);
    fmx_index_check(&table);
    fmx_index_close(&table);
}

static void index_keeps_what_it_has_reserved(void)
{
    CU_ASSERT_EQUAL_FATAL(fmx_index_reserve(&table, 1000), FMX_OK);
    const struct fmx_index_entry *entries = table.entries;
    for (uint32_t i = 0; i < 1000; i++) {
        CU_ASSERT_EQUAL_FATAL(fmx_index_put(&table, hash_of_tag(i * 77), i), FMX_OK);
    }
    CU_ASSERT_PTR_EQUAL(table.entries, entries);
    fmx_index_check(&table);
    fmx_index_close(&table);
}

static void index_refuses_more_than_it_can_ever_hold(void)
{
    CU_ASSERT_EQUAL(fmx_index_reserve(&table, UINT32_MAX), FMX_LIMIT_MEMORY);
    CU_ASSERT_EQUAL(table.capacity, 0);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(index_agrees_with_its_twin),
    FMX_TEST_CASE(index_agrees_with_its_twin_when_hashes_are_poor),
    FMX_TEST_CASE(index_that_is_empty_finds_nothing),
    FMX_TEST_CASE(index_gives_the_memory_of_a_peak_back),
    FMX_TEST_CASE(index_that_comes_and_goes_at_one_size_does_not_move),
    FMX_TEST_CASE(index_keeps_what_it_has_reserved),
    FMX_TEST_CASE(index_refuses_more_than_it_can_ever_hold),
};

int main(int argc, char **argv)
{
    return fmx_test_main("index", cases, sizeof cases / sizeof cases[0], argc, argv);
}
