/*
 * test_inflight — identifiers in a row, acknowledged in any order, against a plain table
 */
#include "proto/inflight.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdlib.h>

static void inflight_hands_out_identifiers_in_a_row(void)
{
    uint64_t storage[4];
    struct fmx_inflight window;
    uint16_t id = 0;

    fmx_inflight_init(&window, storage, 4);
    for (uint16_t expected = 1; expected <= 4; expected++) {
        CU_ASSERT_EQUAL(fmx_inflight_take(&window, 100u + expected, &id), FMX_OK);
        CU_ASSERT_EQUAL(id, expected);
    }
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 1, &id), FMX_FULL);
    CU_ASSERT_EQUAL(fmx_inflight_tag(&window, 3), 103);
    fmx_inflight_check(&window);
}

static void inflight_without_storage_is_full(void)
{
    struct fmx_inflight window;
    uint64_t tag = 0;
    uint16_t id = 0;

    fmx_inflight_init(&window, NULL, 0);
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 1, &id), FMX_FULL);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 1, &tag), FMX_PEER_ACK);
    CU_ASSERT_EQUAL(fmx_inflight_tag(&window, 1), 0);
    fmx_inflight_check(&window);
}

static void inflight_refuses_what_is_not_in_use(void)
{
    uint64_t storage[4];
    struct fmx_inflight window;
    uint64_t tag = 0;
    uint16_t id = 0;

    fmx_inflight_init(&window, storage, 4);
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 7, &id), FMX_OK);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 0, &tag), FMX_PEER_ACK);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 2, &tag), FMX_PEER_ACK);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 65535, &tag), FMX_PEER_ACK);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 1, &tag), FMX_OK);
    CU_ASSERT_EQUAL(tag, 7);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 1, &tag), FMX_PEER_ACK);
}

static void inflight_stays_full_behind_the_oldest(void)
{
    uint64_t storage[2];
    struct fmx_inflight window;
    uint64_t tag = 0;
    uint16_t id = 0;

    fmx_inflight_init(&window, storage, 2);
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 1, &id), FMX_OK);
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 2, &id), FMX_OK);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 2, &tag), FMX_OK);
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 3, &id), FMX_FULL);
    CU_ASSERT_EQUAL(window.used, 1);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 1, &tag), FMX_OK);
    CU_ASSERT_EQUAL(window.first, window.next);
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 3, &id), FMX_OK);
    CU_ASSERT_EQUAL(id, 3);
    fmx_inflight_check(&window);
}

static void inflight_wraps_past_65535_to_1(void)
{
    uint64_t storage[8];
    struct fmx_inflight window;
    uint64_t tag = 0;
    uint16_t id = 0;
    uint16_t before = 0;

    fmx_inflight_init(&window, storage, 8);
    for (uint64_t i = 0; i < 5ull * FMX_PACKET_ID_MAX; i++) {
        CU_ASSERT_EQUAL_FATAL(fmx_inflight_take(&window, i + 1, &id), FMX_OK);
        CU_ASSERT_EQUAL_FATAL(id, before == 65535 ? 1 : before + 1);
        before = id;
        if (i >= 6) {
            CU_ASSERT_EQUAL_FATAL(fmx_inflight_give(&window, window.first, &tag), FMX_OK);
            CU_ASSERT_EQUAL_FATAL(tag, i - 5);
        }
    }
    CU_ASSERT_EQUAL(window.used, 6);
}

/* 65535 in use: the next one is 1, and 0 between them has a place. */
static void inflight_has_a_place_for_0_which_nobody_gets(void)
{
    uint64_t small[2];
    uint64_t large[4];
    struct fmx_inflight window;
    uint64_t tag = 0;
    uint16_t id = 0;

    fmx_inflight_init(&window, small, 2);
    CU_ASSERT_EQUAL(fmx_inflight_restore(&window, 65535, 10), FMX_OK);
    CU_ASSERT_FALSE(fmx_inflight_has_room(&window));
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 11, &id), FMX_FULL);
    fmx_inflight_move(&window, large, 4);
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 11, &id), FMX_OK);
    CU_ASSERT_EQUAL(id, 1);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 0, &tag), FMX_PEER_ACK);
    CU_ASSERT_EQUAL(fmx_inflight_tag(&window, 0), 0);
    CU_ASSERT_EQUAL(window.used, 2);
    fmx_inflight_check(&window);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 65535, &tag), FMX_OK);
    CU_ASSERT_EQUAL(window.first, 1);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 1, &tag), FMX_OK);
    fmx_inflight_check(&window);
}

static void inflight_needs_no_place_for_0_if_nothing_lies_before_it(void)
{
    uint64_t storage[1];
    struct fmx_inflight window;
    uint64_t tag = 0;
    uint16_t id = 0;

    fmx_inflight_init(&window, storage, 1);
    CU_ASSERT_EQUAL(fmx_inflight_restore(&window, 65535, 10), FMX_OK);
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 65535, &tag), FMX_OK);
    CU_ASSERT(fmx_inflight_has_room(&window));
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 11, &id), FMX_OK);
    CU_ASSERT_EQUAL(id, 1);
    fmx_inflight_check(&window);
}

static void inflight_fills_the_largest_storage(void)
{
    uint64_t *storage = malloc(FMX_INFLIGHT_MAX * sizeof storage[0]);
    struct fmx_inflight window;
    uint64_t tag = 0;
    uint16_t id = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(storage);
    fmx_inflight_init(&window, storage, FMX_INFLIGHT_MAX);
    for (uint32_t begin = 1; begin <= 40000; begin += 39999) {
        unsigned count = 0;
        window.first = window.next = (uint16_t)begin;
        while (fmx_inflight_take(&window, 1, &id) == FMX_OK) {
            count++;
        }
        CU_ASSERT_EQUAL(count, begin == 1 ? FMX_INFLIGHT_MAX : FMX_INFLIGHT_MAX - 1);
        CU_ASSERT_EQUAL(fmx_inflight_span(&window), FMX_INFLIGHT_MAX);
        fmx_inflight_check(&window);
        CU_ASSERT_EQUAL(fmx_inflight_give(&window, (uint16_t)(id + 1), &tag), FMX_PEER_ACK);
        CU_ASSERT_EQUAL(fmx_inflight_give(&window, (uint16_t)(begin - 1), &tag), FMX_PEER_ACK);
        while (window.used > 0) {
            CU_ASSERT_EQUAL_FATAL(fmx_inflight_give(&window, window.first, &tag), FMX_OK);
        }
    }
    free(storage);
}

/* What was sent before is 65534, 65535 and 2: it goes out again under the same identifiers. */
static void inflight_restores_identifiers_across_the_wrap(void)
{
    uint64_t storage[8];
    struct fmx_inflight window;
    uint16_t id = 0;

    memset(storage, 0xff, sizeof storage);
    fmx_inflight_init(&window, storage, 4);
    CU_ASSERT_EQUAL(fmx_inflight_restore(&window, 65534, 1), FMX_OK);
    CU_ASSERT_EQUAL(fmx_inflight_restore(&window, 65535, 2), FMX_OK);
    CU_ASSERT_EQUAL(fmx_inflight_restore(&window, 2, 3), FMX_FULL);
    CU_ASSERT_EQUAL(fmx_inflight_restore(&window, 65534, 3), FMX_FULL);
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 3, &id), FMX_OK);
    CU_ASSERT_EQUAL(id, 1);
    fmx_inflight_check(&window);
    fmx_inflight_init(&window, storage, 8);
    CU_ASSERT_EQUAL(fmx_inflight_restore(&window, 65534, 1), FMX_OK);
    CU_ASSERT_EQUAL(fmx_inflight_restore(&window, 65535, 2), FMX_OK);
    CU_ASSERT_EQUAL(fmx_inflight_restore(&window, 2, 3), FMX_OK);
    CU_ASSERT_EQUAL(fmx_inflight_tag(&window, 1), 0);
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 4, &id), FMX_OK);
    CU_ASSERT_EQUAL(id, 3);
    fmx_inflight_check(&window);
}

static void inflight_walks_the_oldest_first_across_the_wrap(void)
{
    uint64_t storage[8];
    struct fmx_inflight window;
    uint64_t tag = 0;
    uint16_t id = 0;

    fmx_inflight_init(&window, storage, 8);
    window.first = window.next = 65534;
    for (uint64_t i = 1; i <= 4; i++) {
        CU_ASSERT_EQUAL(fmx_inflight_take(&window, i, &id), FMX_OK);
    }
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 65535, &tag), FMX_OK);
    CU_ASSERT_EQUAL(tag, 2);
    uint16_t position = window.first;
    CU_ASSERT_EQUAL(fmx_inflight_next(&window, &position, &id, &tag), FMX_OK);
    CU_ASSERT(id == 65534 && tag == 1);
    CU_ASSERT_EQUAL(fmx_inflight_next(&window, &position, &id, &tag), FMX_OK);
    CU_ASSERT(id == 1 && tag == 3);
    CU_ASSERT_EQUAL(fmx_inflight_next(&window, &position, &id, &tag), FMX_OK);
    CU_ASSERT(id == 2 && tag == 4);
    CU_ASSERT_EQUAL(fmx_inflight_next(&window, &position, &id, &tag), FMX_END);
}

static void inflight_can_be_emptied_while_it_is_walked(void)
{
    uint64_t storage[8];
    struct fmx_inflight window;
    uint64_t tag = 0;
    uint16_t id = 0;
    unsigned seen = 0;

    fmx_inflight_init(&window, storage, 8);
    uint16_t position = window.first;
    for (uint64_t i = 1; i <= 8; i++) {
        CU_ASSERT_EQUAL(fmx_inflight_take(&window, i, &id), FMX_OK);
    }
    while (fmx_inflight_next(&window, &position, &id, &tag) == FMX_OK) {
        CU_ASSERT_EQUAL(fmx_inflight_give(&window, id, &tag), FMX_OK);
        seen++;
    }
    CU_ASSERT_EQUAL(seen, 8);
    CU_ASSERT_EQUAL(window.used, 0);
}

static void inflight_keeps_identifiers_when_it_moves(void)
{
    uint64_t small[2];
    uint64_t large[16];
    struct fmx_inflight window;
    uint64_t tag = 0;
    uint16_t id = 0;

    fmx_inflight_init(&window, small, 2);
    for (uint64_t i = 1; i <= 3; i++) {
        CU_ASSERT_EQUAL(fmx_inflight_take(&window, i, &id), FMX_OK);
        CU_ASSERT(i > 1 || fmx_inflight_give(&window, id, &tag) == FMX_OK);
    }
    fmx_inflight_move(&window, large, 16);
    memset(small, 0xff, sizeof small);
    fmx_inflight_check(&window);
    CU_ASSERT_EQUAL(fmx_inflight_tag(&window, 2), 2);
    CU_ASSERT_EQUAL(fmx_inflight_tag(&window, 3), 3);
    CU_ASSERT_EQUAL(fmx_inflight_take(&window, 4, &id), FMX_OK);
    CU_ASSERT_EQUAL(id, 4);
    while (window.used > 0) {
        CU_ASSERT_EQUAL(fmx_inflight_give(&window, window.first, &tag), FMX_OK);
    }
    fmx_inflight_move(&window, NULL, 0);
    fmx_inflight_check(&window);
}

/* ---- anything at all, against a twin --------------------------------------------------------- */

enum { STEPS = 300000 };

/*
 * The twin: a tag for each identifier there is, and every one that was ever taken in a row. It
 * knows neither positions nor places.
 */
struct twin {
    uint64_t tags[65536];     /* 0: not in use */
    uint32_t taken_at[65536]; /* where in the row it was taken last */
    uint16_t row[STEPS];
    uint32_t row_begin; /* nothing before it is in use */
    uint32_t row_end;
    uint32_t used;
    uint16_t next; /* identifier */
};

struct race {
    struct fmx_prng prng;
    struct fmx_inflight window;
    uint64_t *storage;
    struct twin *twin;
    uint64_t seed;
    uint32_t capacity_max;
    uint32_t wraps;
    uint32_t refusals;  /* FMX_FULL with the largest storage */
    unsigned take_of_8; /* how often a step takes */
};

static bool is_in_use(const struct twin *twin, uint32_t at)
{
    uint16_t id = twin->row[at];

    return twin->tags[id] != 0 && twin->taken_at[id] == at;
}

/* The first entry of the row from `at` on that is in use, or its end. */
static uint32_t row_next(const struct twin *twin, uint32_t at)
{
    while (at < twin->row_end && !is_in_use(twin, at)) {
        at++;
    }
    return at;
}

/* Would `id` lie within so many numbers from the oldest on? 0 counts as one. */
static bool twin_has_room(struct twin *twin, uint16_t id, uint32_t capacity)
{
    if (twin->used == 0) {
        return capacity > 0;
    }
    twin->row_begin = row_next(twin, twin->row_begin);
    uint32_t oldest = twin->row[twin->row_begin];
    uint32_t distance = id >= oldest ? id - oldest : id + 65536u - oldest;
    return distance < capacity;
}

static void twin_take(struct race *race, uint16_t id, uint64_t tag)
{
    struct twin *twin = race->twin;

    FMX_SEED_ASSERT(race->seed, twin->tags[id] == 0);
    race->wraps += id < twin->next || id == 65535;
    twin->tags[id] = tag;
    twin->taken_at[id] = twin->row_end;
    twin->row[twin->row_end++] = id;
    twin->used++;
    twin->next = id == 65535 ? 1 : (uint16_t)(id + 1);
}

/* Storage of exactly the size, so that a sanitizer sees what goes beyond. */
static void move_to(struct race *race, uint32_t capacity)
{
    uint64_t *storage = capacity > 0 ? malloc(capacity * sizeof storage[0]) : NULL;

    CU_ASSERT_FATAL(storage != NULL || capacity == 0);
    if (storage != NULL) {
        memset(storage, 0xff, capacity * sizeof storage[0]);
    }
    fmx_inflight_move(&race->window, storage, capacity);
    free(race->storage);
    race->storage = storage;
}

/* Mostly one size up; now and then as small as can be. */
static void move_somewhere(struct race *race)
{
    uint32_t capacity = race->window.capacity > 0 ? 2u * race->window.capacity : 1;

    if (fmx_prng_below(&race->prng, 4) == 0) {
        capacity = race->twin->used > 0;
        while (capacity < fmx_inflight_span(&race->window)) {
            capacity = capacity > 0 ? 2 * capacity : 1;
        }
    }
    if (capacity <= race->capacity_max) {
        move_to(race, capacity);
    }
}

/* The window was full: it grows, or less is taken for a while. */
static void on_full(struct race *race)
{
    if (race->window.capacity < race->capacity_max) {
        move_somewhere(race);
    } else {
        race->take_of_8 = 2;
        race->refusals++;
    }
}

static void try_take(struct race *race)
{
    struct twin *twin = race->twin;
    uint64_t tag = fmx_prng_next(&race->prng) | 1;
    bool has_room = twin_has_room(twin, twin->next, race->window.capacity);
    uint16_t id = 0;

    FMX_SEED_ASSERT(race->seed, fmx_inflight_has_room(&race->window) == has_room);
    enum fmx_status status = fmx_inflight_take(&race->window, tag, &id);
    FMX_SEED_ASSERT(race->seed, status == (has_room ? FMX_OK : FMX_FULL));
    if (status == FMX_OK) {
        FMX_SEED_ASSERT(race->seed, id == twin->next);
        twin_take(race, id, tag);
    } else {
        on_full(race);
    }
}

/* An identifier a little further on; a jump to anywhere while nothing is in use. */
static void try_restore(struct race *race)
{
    struct twin *twin = race->twin;
    uint64_t tag = fmx_prng_next(&race->prng) | 1;
    uint64_t gap_max = twin->used == 0 ? 65535 : 1u + race->window.capacity / 8u;
    uint16_t id = (uint16_t)(twin->next + fmx_prng_below(&race->prng, gap_max));

    id = id == 0 ? 1 : id;
    bool has_room = twin_has_room(twin, id, race->window.capacity);
    enum fmx_status status = fmx_inflight_restore(&race->window, id, tag);
    FMX_SEED_ASSERT(race->seed, status == (has_room ? FMX_OK : FMX_FULL));
    if (status == FMX_OK) {
        twin_take(race, id, tag);
        return;
    }
    twin->next = twin->used == 0 ? id : twin->next;
    on_full(race);
}

static void give(struct race *race, uint16_t id)
{
    struct twin *twin = race->twin;
    uint64_t expected = twin->tags[id];
    uint64_t tag = 0;

    FMX_SEED_ASSERT(race->seed, fmx_inflight_tag(&race->window, id) == expected);
    enum fmx_status status = fmx_inflight_give(&race->window, id, &tag);
    FMX_SEED_ASSERT(race->seed, status == (expected != 0 ? FMX_OK : FMX_PEER_ACK));
    FMX_SEED_ASSERT(race->seed, tag == expected);
    twin->used -= expected != 0;
    twin->tags[id] = 0;
}

/* Mostly the oldest or one that was taken lately, sometimes any, 0 among them. */
static void give_some(struct race *race)
{
    struct twin *twin = race->twin;
    uint64_t which = fmx_prng_below(&race->prng, 64);

    twin->row_begin = row_next(twin, twin->row_begin);
    uint32_t count = twin->row_end - twin->row_begin;
    if (which == 0 || count == 0) {
        give(race, which % 2 == 0 ? (uint16_t)fmx_prng_next(&race->prng) : 0);
    } else if (which < 40) {
        give(race, twin->row[twin->row_begin]);
    } else {
        give(race, twin->row[twin->row_begin + fmx_prng_below(&race->prng, count)]);
    }
}

/* All in use, in the order of the row; meanwhile some of it may be given back, and all move. */
static void walk(struct race *race, bool is_giving)
{
    struct twin *twin = race->twin;
    uint32_t at = row_next(twin, twin->row_begin);
    uint16_t position = race->window.first;
    uint64_t tag = 0;
    uint16_t id = 0;

    while (fmx_inflight_next(&race->window, &position, &id, &tag) == FMX_OK) {
        FMX_SEED_ASSERT(race->seed, at < twin->row_end && id == twin->row[at]);
        FMX_SEED_ASSERT(race->seed, tag == twin->tags[id]);
        for (uint64_t i = is_giving ? fmx_prng_below(&race->prng, 3) : 0; i > 0; i--) {
            give_some(race);
        }
        if (is_giving && fmx_prng_below(&race->prng, 16) == 0) {
            move_somewhere(race);
        }
        at = row_next(twin, at + 1);
    }
    FMX_SEED_ASSERT(race->seed, at == twin->row_end);
    FMX_SEED_ASSERT(race->seed, fmx_inflight_next(&race->window, &position, &id, &tag) == FMX_END);
}

static void step(struct race *race)
{
    uint64_t rare = fmx_prng_below(&race->prng, 8192);

    if (rare < 8) {
        move_somewhere(race);
    } else if (rare < 12) {
        fmx_inflight_check(&race->window);
        walk(race, rare == 8 && race->take_of_8 < 4);
    } else if (rare < 16) {
        race->take_of_8 = 2 + 2 * (unsigned)fmx_prng_below(&race->prng, 3);
    } else if (rare < 64) {
        try_restore(race);
    } else if (rare % 8 < race->take_of_8) {
        try_take(race);
    } else {
        give_some(race);
    }
    FMX_SEED_ASSERT(race->seed, race->window.used == race->twin->used);
}

/* Begins shortly before the wrap, which so comes also for the largest storage. */
static void run_race(struct race *race)
{
    fmx_inflight_init(&race->window, NULL, 0);
    uint16_t begin = (uint16_t)(65535 - fmx_prng_below(&race->prng, 2ull * race->capacity_max));
    begin = begin == 0 ? 1 : begin;
    race->twin->next = begin;
    FMX_SEED_ASSERT(race->seed, fmx_inflight_restore(&race->window, begin, 1) == FMX_FULL);
    move_to(race, race->capacity_max);
    for (unsigned at = 0; at < STEPS; at++) {
        step(race);
    }
    fmx_inflight_check(&race->window);
    walk(race, false);
    free(race->storage);
}

static void inflight_agrees_with_its_twin(void)
{
    struct twin *twin = malloc(sizeof *twin);

    CU_ASSERT_PTR_NOT_NULL_FATAL(twin);
    for (uint64_t seed = 0; seed < 32; seed++) {
        struct race race = {.prng = {.state = seed},
                            .twin = twin,
                            .seed = seed,
                            .capacity_max = 1u << seed % 16,
                            .take_of_8 = 6};
        memset(twin, 0, sizeof *twin);
        run_race(&race);
        FMX_SEED_ASSERT(seed, race.wraps > 0 && race.refusals > 0);
    }
    free(twin);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(inflight_hands_out_identifiers_in_a_row),
    FMX_TEST_CASE(inflight_without_storage_is_full),
    FMX_TEST_CASE(inflight_refuses_what_is_not_in_use),
    FMX_TEST_CASE(inflight_stays_full_behind_the_oldest),
    FMX_TEST_CASE(inflight_wraps_past_65535_to_1),
    FMX_TEST_CASE(inflight_has_a_place_for_0_which_nobody_gets),
    FMX_TEST_CASE(inflight_needs_no_place_for_0_if_nothing_lies_before_it),
    FMX_TEST_CASE(inflight_fills_the_largest_storage),
    FMX_TEST_CASE(inflight_restores_identifiers_across_the_wrap),
    FMX_TEST_CASE(inflight_walks_the_oldest_first_across_the_wrap),
    FMX_TEST_CASE(inflight_can_be_emptied_while_it_is_walked),
    FMX_TEST_CASE(inflight_keeps_identifiers_when_it_moves),
    FMX_TEST_CASE(inflight_agrees_with_its_twin),
};

int main(int argc, char **argv)
{
    return fmx_test_main("inflight", cases, sizeof cases / sizeof cases[0], argc, argv);
}
