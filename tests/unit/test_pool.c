/*
 * test_pool — blocks against a plain list of what is lent
 */
#include "engine/pool.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdlib.h>

#define LENT_MAX 800u
#define SEEDS    20u
#define STEPS    4000u

struct lent {
    uint8_t *block;
    size_t bytes;
    uint8_t mark;
};

static struct fmx_pool pool;
static struct lent lent[LENT_MAX];
static unsigned lent_count;
static uint64_t lent_bytes;

static size_t any_size(struct fmx_prng *prng)
{
    static const size_t edges[] = {1, 511, 512, 513, 4095, 4096, 4097, 16383, 16384, 16385, 70000};

    return fmx_prng_below(prng, 2) == 0 ? edges[fmx_prng_below(prng, 11)]
                                        : 1 + fmx_prng_below(prng, 20000);
}

static void take(struct fmx_prng *prng, uint64_t seed)
{
    size_t wanted = any_size(prng);
    struct lent *entry = &lent[lent_count];

    entry->block = fmx_pool_take(&pool, wanted, &entry->bytes);
    FMX_SEED_ASSERT(seed, entry->block != NULL && entry->bytes >= wanted);
    FMX_SEED_ASSERT(seed, (uintptr_t)entry->block % _Alignof(max_align_t) == 0);
    entry->mark = (uint8_t)fmx_prng_next(prng);
    memset(entry->block, entry->mark, entry->bytes); /* all of it is ours */
    lent_bytes += entry->bytes;
    lent_count++;
}

static void give(struct fmx_prng *prng, uint64_t seed)
{
    unsigned at = (unsigned)fmx_prng_below(prng, lent_count);
    struct lent *entry = &lent[at];

    for (size_t i = 0; i < entry->bytes; i++) {
        FMX_SEED_ASSERT(seed, entry->block[i] == entry->mark); /* and nobody else's */
    }
    fmx_pool_give(&pool, entry->block, entry->bytes);
    lent_bytes -= entry->bytes;
    *entry = lent[--lent_count];
}

static void pool_lends_what_nobody_else_has(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        fmx_pool_init(&pool);
        lent_count = 0;
        lent_bytes = 0;
        for (unsigned step = 0; step < STEPS; step++) {
            bool grows = step % 1000 < 500;
            if (lent_count < LENT_MAX &&
                (lent_count == 0 || fmx_prng_below(&prng, 10) < (grows ? 7u : 3u))) {
                take(&prng, seed);
            } else {
                give(&prng, seed);
            }
            FMX_SEED_ASSERT(seed, pool.bytes == lent_bytes);
        }
        while (lent_count > 0) {
            give(&prng, seed);
        }
        FMX_SEED_ASSERT(seed, pool.bytes == 0);
        fmx_pool_wipe(&pool);
    }
}

static void pool_lends_the_block_given_last_first(void)
{
    size_t bytes;

    fmx_pool_init(&pool);
    void *first = fmx_pool_take(&pool, 100, &bytes);
    void *second = fmx_pool_take(&pool, 100, &bytes);
    fmx_pool_give(&pool, first, bytes);
    fmx_pool_give(&pool, second, bytes);
    CU_ASSERT_PTR_EQUAL(fmx_pool_take(&pool, 1, &bytes), second);
    CU_ASSERT_PTR_EQUAL(fmx_pool_take(&pool, 512, &bytes), first);
    fmx_pool_give(&pool, first, bytes);
    fmx_pool_give(&pool, second, bytes);
    fmx_pool_wipe(&pool);
}

static void pool_keeps_no_more_than_a_mebibyte_of_each_size(void)
{
    static const size_t sizes[FMX_POOL_CLASSES] = {512, 4096, 8192, 16384, 32768, 65536};
    static void *blocks[4096];
    size_t bytes;

    fmx_pool_init(&pool);
    for (unsigned class = 0; class < FMX_POOL_CLASSES; class ++) {
        unsigned count = (2u << 20) / (unsigned)sizes[class];
        for (unsigned i = 0; i < count; i++) {
            blocks[i] = fmx_pool_take(&pool, sizes[class], &bytes);
            CU_ASSERT_FATAL(blocks[i] != NULL && bytes == sizes[class]);
        }
        CU_ASSERT_EQUAL(pool.bytes, 2u << 20);
        for (unsigned i = 0; i < count; i++) {
            fmx_pool_give(&pool, blocks[i], bytes);
        }
        CU_ASSERT_EQUAL(pool.free_count[class] * sizes[class], 1u << 20);
    }
    CU_ASSERT_EQUAL(pool.bytes, 0);
    fmx_pool_wipe(&pool);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(pool_lends_what_nobody_else_has),
    FMX_TEST_CASE(pool_lends_the_block_given_last_first),
    FMX_TEST_CASE(pool_keeps_no_more_than_a_mebibyte_of_each_size),
};

int main(int argc, char **argv)
{
    return fmx_test_main("pool", cases, sizeof cases / sizeof cases[0], argc, argv);
}
