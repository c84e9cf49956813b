/*
 * test_fleet_gaps — sets of missing numbers against plain rows of bits
 */
#include "engine/roles/fleet_gaps.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdlib.h>

#define SETS    8u
#define NUMBERS 300u

struct twin {
    uint64_t offset; /* numbers begin there */
    uint32_t set;
    bool has[NUMBERS];
};

static void add_somewhere(struct fmx_gaps *gaps, struct twin *twin, struct fmx_prng *prng)
{
    uint64_t first = fmx_prng_below(prng, NUMBERS);
    uint64_t end = first;
    uint64_t most = 1 + fmx_prng_below(prng, 20);

    while (end < NUMBERS && end - first < most && !twin->has[end]) {
        twin->has[end++] = true;
    }
    if (end > first) {
        CU_ASSERT_FATAL(fmx_gaps_reserve(gaps, 1));
        fmx_gaps_add(gaps, &twin->set, twin->offset + first, twin->offset + end);
    }
}

static void compare(const struct fmx_gaps *gaps, const struct twin *twin, uint64_t seed)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < NUMBERS; i++) {
        FMX_SEED_ASSERT(seed, fmx_gaps_has(gaps, twin->set, twin->offset + i) == twin->has[i]);
        count += twin->has[i];
    }
    FMX_SEED_ASSERT(seed, fmx_gaps_check(gaps, twin->set) == count);
    for (uint64_t first = 0; first < NUMBERS; first += 37) {
        uint64_t end = first + seed % 90 < NUMBERS ? first + seed % 90 : NUMBERS;
        count = 0;
        for (uint64_t i = first; i < end; i++) {
            count += twin->has[i];
        }
        FMX_SEED_ASSERT(seed, fmx_gaps_count(gaps, twin->set, twin->offset + first,
                                             twin->offset + end) == count);
    }
}

static void drain(struct fmx_gaps *gaps, struct twin *twin, uint64_t seed, uint64_t below)
{
    uint64_t count = 0;
    uint64_t beyond_count = 0;
    uint64_t beyond;

    for (uint64_t i = 0; i < NUMBERS; i++) {
        count += twin->has[i] && twin->offset + i < below;
        beyond_count += twin->has[i] && twin->offset + i >= below;
        twin->has[i] = false;
    }
    FMX_SEED_ASSERT(seed, fmx_gaps_drain(gaps, &twin->set, below, &beyond) == count);
    FMX_SEED_ASSERT(seed, beyond == beyond_count);
    FMX_SEED_ASSERT(seed, twin->set == FMX_GAPS_NONE);
}

static void race(uint64_t seed)
{
    struct fmx_prng prng = {.state = seed};
    struct fmx_gaps gaps = {.seed = fmx_prng_next(&prng), .bytes_max = 1u << 24};
    static struct twin twins[SETS];

    for (unsigned i = 0; i < SETS; i++) {
        twins[i] = (struct twin){.set = FMX_GAPS_NONE, .offset = i * 0x1ffffff00ull};
    }
    for (unsigned i = 0; i < 3000; i++) {
        struct twin *twin = &twins[fmx_prng_below(&prng, SETS)];
        uint64_t number = fmx_prng_below(&prng, NUMBERS);
        uint64_t what = fmx_prng_below(&prng, 200);
        if (what == 0) {
            drain(&gaps, twin, seed, twin->offset + number);
        } else if (what < 60) {
            add_somewhere(&gaps, twin, &prng);
        } else if (twin->has[number]) {
            twin->has[number] = false;
            CU_ASSERT_FATAL(fmx_gaps_reserve(&gaps, 1));
            fmx_gaps_take(&gaps, &twin->set, twin->offset + number);
        }
        if (i % 50 == 0) {
            compare(&gaps, twin, seed);
        }
    }
    for (unsigned i = 0; i < SETS; i++) {
        compare(&gaps, &twins[i], seed);
        drain(&gaps, &twins[i], seed, UINT64_MAX);
    }
    FMX_SEED_ASSERT(seed, gaps.free_count == gaps.used);
    fmx_gaps_close(&gaps);
}

static void sets_hold_what_rows_of_bits_hold(void)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        race(seed);
    }
}

static void the_pool_keeps_its_bound(void)
{
    struct fmx_gaps gaps = {.seed = 3, .bytes_max = 200000};
    uint32_t set = FMX_GAPS_NONE;
    uint64_t count = 0;
    uint64_t beyond;

    while (fmx_gaps_reserve(&gaps, 1)) {
        fmx_gaps_add(&gaps, &set, 3 * count, 3 * count + 2);
        count++;
    }
    CU_ASSERT(count >= 4096 && gaps.bytes <= 200000);
    CU_ASSERT_EQUAL(fmx_gaps_check(&gaps, set), 2 * count);
    fmx_gaps_take(&gaps, &set, 0);
    fmx_gaps_take(&gaps, &set, 1); /* gives its place back */
    CU_ASSERT(fmx_gaps_reserve(&gaps, 1));
    CU_ASSERT_FALSE(fmx_gaps_reserve(&gaps, 2));
    CU_ASSERT_EQUAL(fmx_gaps_drain(&gaps, &set, UINT64_MAX, &beyond), 2 * count - 2);
    fmx_gaps_close(&gaps);
}

static void the_last_numbers_of_48_bits_have_room(void)
{
    struct fmx_gaps gaps = {.seed = 3, .bytes_max = 200000};
    uint32_t set = FMX_GAPS_NONE;

    CU_ASSERT_FATAL(fmx_gaps_reserve(&gaps, 1));
    fmx_gaps_add(&gaps, &set, 5, (1ull << 48) - 1);
    CU_ASSERT(fmx_gaps_has(&gaps, set, (1ull << 48) - 2));
    CU_ASSERT_FATAL(fmx_gaps_reserve(&gaps, 1));
    fmx_gaps_take(&gaps, &set, 1ull << 40);
    CU_ASSERT_FALSE(fmx_gaps_has(&gaps, set, 1ull << 40));
    CU_ASSERT_EQUAL(fmx_gaps_check(&gaps, set), (1ull << 48) - 7);
    fmx_gaps_close(&gaps);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(sets_hold_what_rows_of_bits_hold),
    FMX_TEST_CASE(the_pool_keeps_its_bound),
    FMX_TEST_CASE(the_last_numbers_of_48_bits_have_room),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_gaps", cases, sizeof cases / sizeof cases[0], argc, argv);
}
