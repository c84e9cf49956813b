/*
 * test_slab — slots against a plain array of what is taken and which generations were
 */
#include "engine/slab.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdlib.h>

#define SLOTS 3000u /* eleven chunks and a part of one */
#define SEEDS 12u
#define STEPS 6000u

struct thing {
    struct fmx_slot slot;
    uint8_t bytes[100];
};

struct twin {
    struct thing *taken[SLOTS];
    uint32_t generation[SLOTS]; /* the last one of this index */
    uint32_t used;
};

static struct fmx_slab slab;
static struct twin twin;

static void start(uint32_t slots_max)
{
    memset(&twin, 0, sizeof twin);
    CU_ASSERT_EQUAL_FATAL(fmx_slab_open(&slab, sizeof(struct thing), slots_max), FMX_OK);
}

static uint32_t twin_lowest_free(void)
{
    uint32_t index = 0;

    while (index < SLOTS && twin.taken[index] != NULL) {
        index++;
    }
    return index;
}

static bool is_zero(const struct thing *thing)
{
    for (size_t i = 0; i < sizeof thing->bytes; i++) {
        if (thing->bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void take(uint64_t seed)
{
    uint32_t expected = twin_lowest_free();
    struct thing *thing = fmx_slab_take(&slab);

    if (expected == SLOTS) {
        FMX_SEED_ASSERT(seed, thing == NULL);
        return;
    }
    FMX_SEED_ASSERT(seed, thing != NULL && (uintptr_t)thing % 64 == 0);
    FMX_SEED_ASSERT(seed, thing->slot.index == expected);
    FMX_SEED_ASSERT(seed, thing->slot.generation > twin.generation[expected]);
    FMX_SEED_ASSERT(seed, is_zero(thing));
    memset(thing->bytes, 0xa5, sizeof thing->bytes);
    twin.taken[expected] = thing;
    twin.generation[expected] = thing->slot.generation;
    twin.used++;
}

static void give(uint64_t seed, uint32_t index)
{
    struct thing *thing = twin.taken[index];

    if (thing == NULL) {
        FMX_SEED_ASSERT(seed, fmx_slab_find(&slab, index, twin.generation[index]) == NULL);
        return;
    }
    FMX_SEED_ASSERT(seed, fmx_slab_find(&slab, index, twin.generation[index]) == thing);
    FMX_SEED_ASSERT(seed, fmx_slab_find(&slab, index, twin.generation[index] - 1) == NULL);
    FMX_SEED_ASSERT(seed, fmx_slab_at(&slab, index) == thing);
    FMX_SEED_ASSERT(seed, thing->bytes[0] == 0xa5 && thing->bytes[99] == 0xa5);
    fmx_slab_give(&slab, thing);
    twin.taken[index] = NULL;
    twin.used--;
}

static uint32_t chunks_in_use(void)
{
    uint32_t chunks = 0;

    for (uint32_t first = 0; first < SLOTS; first += FMX_SLAB_CHUNK_SLOTS) {
        for (uint32_t i = first; i < first + FMX_SLAB_CHUNK_SLOTS && i < SLOTS; i++) {
            if (twin.taken[i] != NULL) {
                chunks++;
                break;
            }
        }
    }
    return chunks;
}

static void check_walk(uint64_t seed)
{
    uint32_t cursor = 0;

    for (uint32_t i = 0; i < SLOTS; i++) {
        if (twin.taken[i] != NULL) {
            FMX_SEED_ASSERT(seed, fmx_slab_next(&slab, &cursor) == twin.taken[i]);
        }
    }
    FMX_SEED_ASSERT(seed, fmx_slab_next(&slab, &cursor) == NULL);
    FMX_SEED_ASSERT(seed, fmx_slab_next(&slab, &cursor) == NULL);
}

static void check_all(uint64_t seed)
{
    size_t chunk_bytes = (size_t)FMX_SLAB_CHUNK_SLOTS * slab.slot_bytes;
    size_t chunks = fmx_slab_bytes(&slab) / chunk_bytes;

    fmx_slab_check(&slab);
    FMX_SEED_ASSERT(seed, slab.used == twin.used);
    FMX_SEED_ASSERT(seed, chunks >= chunks_in_use() && chunks <= chunks_in_use() + 1);
    check_walk(seed);
}

static void give_everything(void)
{
    for (uint32_t i = 0; i < SLOTS; i++) {
        give(0, i);
    }
}

/* Long stretches in which taking or giving prevails, so that chunks come and go. */
static void slab_agrees_with_its_twin(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};

        start(SLOTS);
        for (unsigned step = 0; step < STEPS; step++) {
            uint64_t takes_of_8 = step / 1500 % 2 == 0 ? 7 : 1;
            for (unsigned i = 0; i < 4; i++) {
                if (fmx_prng_below(&prng, 8) < takes_of_8) {
                    take(seed);
                } else {
                    give(seed, (uint32_t)fmx_prng_below(&prng, SLOTS));
                }
            }
            if (step % 100 == 0) {
                check_all(seed);
            }
        }
        give_everything();
        check_all(seed);
        fmx_slab_close(&slab);
    }
}

static void slab_answers_null_when_all_slots_are_taken(void)
{
    start(SLOTS);
    for (uint32_t i = 0; i <= SLOTS; i++) {
        take(0);
    }
    CU_ASSERT_EQUAL(slab.used, SLOTS);
    check_all(0);
    give(0, 1234);
    take(0);
    take(0);
    give_everything();
    fmx_slab_close(&slab);
}

static void slab_gives_the_memory_of_a_peak_back(void)
{
    start(SLOTS);
    for (uint32_t i = 0; i < SLOTS; i++) {
        take(0);
    }
    size_t peak_bytes = fmx_slab_bytes(&slab);
    for (uint32_t i = SLOTS; i > 10; i--) {
        give(0, i - 1);
    }
    CU_ASSERT(fmx_slab_bytes(&slab) <= peak_bytes / 5);
    check_all(0);
    give_everything();
    CU_ASSERT_EQUAL(fmx_slab_bytes(&slab), (size_t)FMX_SLAB_CHUNK_SLOTS * slab.slot_bytes);
    fmx_slab_close(&slab);
}

static void slab_keeps_generations_when_a_chunk_comes_again(void)
{
    start(SLOTS);
    for (unsigned life = 0; life < 20; life++) {
        for (uint32_t i = 0; i < 600; i++) {
            take(0); /* compares with the generations before */
        }
        give_everything();
    }
    check_all(0);
    fmx_slab_close(&slab);
}

static void slab_does_not_find_what_was_never_there(void)
{
    start(300);
    CU_ASSERT_PTR_NULL(fmx_slab_find(&slab, 0, 1));
    CU_ASSERT_PTR_NULL(fmx_slab_find(&slab, 299, 0));
    CU_ASSERT_PTR_NULL(fmx_slab_find(&slab, 300, 1));
    CU_ASSERT_PTR_NULL(fmx_slab_find(&slab, UINT32_MAX, UINT32_MAX));
    struct thing *thing = fmx_slab_take(&slab);
    CU_ASSERT_PTR_NOT_NULL_FATAL(thing);
    CU_ASSERT_PTR_NULL(fmx_slab_find(&slab, 0, 0));
    CU_ASSERT_PTR_NULL(fmx_slab_find(&slab, 1, thing->slot.generation));
    fmx_slab_give(&slab, thing);
    CU_ASSERT_PTR_NULL(fmx_slab_find(&slab, 0, 1));
    fmx_slab_close(&slab);
}

/* The end of the generations is too far away to be walked to, so a slot is set there by hand. */
static void slab_begins_generations_anew_only_after_all_have_passed(void)
{
    start(SLOTS);
    struct thing *other = fmx_slab_take(&slab);
    struct thing *thing = fmx_slab_take(&slab);
    CU_ASSERT_FATAL(other != NULL && thing != NULL);
    thing->slot.generation = FMX_GENERATION_MASK - 2;
    for (uint32_t expected = FMX_GENERATION_MASK - 1; expected <= FMX_GENERATION_MASK; expected++) {
        fmx_slab_give(&slab, thing);
        thing = fmx_slab_take(&slab);
        CU_ASSERT_EQUAL(thing->slot.generation, expected);
        fmx_slab_check(&slab);
    }
    fmx_slab_give(&slab, thing);
    thing = fmx_slab_take(&slab);
    CU_ASSERT_EQUAL(thing->slot.generation, 1);
    fmx_slab_give(&slab, thing);
    fmx_slab_give(&slab, other);
    fmx_slab_check(&slab);
    other = fmx_slab_take(&slab);
    CU_ASSERT_EQUAL(other->slot.generation, 2);
    thing = fmx_slab_take(&slab);
    CU_ASSERT_EQUAL(thing->slot.generation, 2);
    fmx_slab_give(&slab, thing);
    fmx_slab_give(&slab, other);
    fmx_slab_close(&slab);
}

static void slab_of_the_greatest_size_costs_what_is_used(void)
{
    CU_ASSERT_EQUAL_FATAL(fmx_slab_open(&slab, 24, FMX_SLAB_SLOTS_MAX), FMX_OK);
    CU_ASSERT_EQUAL(slab.slot_bytes, 24);
    struct fmx_slot *slot = fmx_slab_take(&slab);
    CU_ASSERT_PTR_NOT_NULL_FATAL(slot);
    CU_ASSERT_EQUAL(fmx_slab_bytes(&slab), 256 * 24);
    CU_ASSERT_PTR_NULL(fmx_slab_find(&slab, FMX_SLAB_SLOTS_MAX - 1, 1));
    fmx_slab_give(&slab, slot);
    fmx_slab_close(&slab);
}

static void slab_of_one_slot_works(void)
{
    CU_ASSERT_EQUAL_FATAL(fmx_slab_open(&slab, sizeof(struct fmx_slot), 1), FMX_OK);
    for (uint32_t life = 1; life < 100; life++) {
        struct fmx_slot *slot = fmx_slab_take(&slab);
        CU_ASSERT_FATAL(slot != NULL && slot->index == 0 && slot->generation == life);
        CU_ASSERT_PTR_NULL(fmx_slab_take(&slab));
        fmx_slab_check(&slab);
        fmx_slab_give(&slab, slot);
    }
    fmx_slab_close(&slab);
    fmx_slab_close(&slab);
}

static void slab_walk_allows_giving_back_on_the_way(void)
{
    uint32_t cursor = 0;
    uint32_t count = 0;
    void *slot;

    start(SLOTS);
    for (uint32_t i = 0; i < 1000; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(fmx_slab_take(&slab));
    }
    while ((slot = fmx_slab_next(&slab, &cursor)) != NULL) {
        fmx_slab_give(&slab, slot);
        count++;
    }
    CU_ASSERT_EQUAL(count, 1000);
    CU_ASSERT_EQUAL(slab.used, 0);
    fmx_slab_close(&slab);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(slab_agrees_with_its_twin),
    FMX_TEST_CASE(slab_answers_null_when_all_slots_are_taken),
    FMX_TEST_CASE(slab_gives_the_memory_of_a_peak_back),
    FMX_TEST_CASE(slab_keeps_generations_when_a_chunk_comes_again),
    FMX_TEST_CASE(slab_does_not_find_what_was_never_there),
    FMX_TEST_CASE(slab_begins_generations_anew_only_after_all_have_passed),
    FMX_TEST_CASE(slab_of_the_greatest_size_costs_what_is_used),
    FMX_TEST_CASE(slab_of_one_slot_works),
    FMX_TEST_CASE(slab_walk_allows_giving_back_on_the_way),
};

int main(int argc, char **argv)
{
    return fmx_test_main("slab", cases, sizeof cases / sizeof cases[0], argc, argv);
}
