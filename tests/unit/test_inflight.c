/*
 * test_inflight — identifiers in a row, acknowledged in any order, against a plain table
 */
#include "proto/inflight.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"

#include <stdio.h>
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
        if (i >= 7) {
            uint16_t oldest = fmx_inflight_id(window.first);
            CU_ASSERT_EQUAL_FATAL(fmx_inflight_give(&window, oldest, &tag), FMX_OK);
            CU_ASSERT_EQUAL_FATAL(tag, i - 6);
        }
    }
    CU_ASSERT_EQUAL(window.used, 7);
}

static void inflight_walks_the_oldest_first_across_the_wrap(void)
{
    uint64_t storage[4];
    struct fmx_inflight window;
    uint64_t tag = 0;
    uint16_t id = 0;

    fmx_inflight_init(&window, storage, 4);
    window.first = window.next = 2ull * FMX_PACKET_ID_MAX - 2;
    for (uint64_t i = 1; i <= 4; i++) {
        CU_ASSERT_EQUAL(fmx_inflight_take(&window, i, &id), FMX_OK);
    }
    CU_ASSERT_EQUAL(fmx_inflight_give(&window, 65535, &tag), FMX_OK);
    CU_ASSERT_EQUAL(tag, 2);
    uint64_t position = window.first;
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
    uint64_t position = 0;
    uint64_t tag = 0;
    uint16_t id = 0;
    unsigned seen = 0;

    fmx_inflight_init(&window, storage, 8);
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
        CU_ASSERT_EQUAL(fmx_inflight_give(&window, fmx_inflight_id(window.first), &tag), FMX_OK);
    }
    fmx_inflight_move(&window, NULL, 0);
    fmx_inflight_check(&window);
}

/* The twin: one tag for each identifier there is, and the order of taking. */
struct twin {
    uint64_t tags[65536];
    uint64_t order[65536];
};

static void grow(struct fmx_inflight *window, uint64_t **storage)
{
    uint32_t capacity = window->capacity > 0 ? 2 * window->capacity : 1;
    uint64_t *larger = calloc(capacity, sizeof larger[0]);

    CU_ASSERT_PTR_NOT_NULL_FATAL(larger);
    fmx_inflight_move(window, larger, capacity);
    free(*storage);
    *storage = larger;
}

static bool is_same(const struct fmx_inflight *window, const struct twin *twin)
{
    uint64_t position = window->first;
    uint64_t before = 0;
    uint64_t tag = 0;
    uint32_t count = 0;
    uint16_t id = 0;

    while (fmx_inflight_next(window, &position, &id, &tag) == FMX_OK) {
        if (tag != twin->tags[id] || twin->order[id] <= before) {
            return false;
        }
        before = twin->order[id];
        count++;
    }
    return count == window->used;
}

/* Mostly the oldest or one within the span or a little behind it, sometimes any. */
static uint16_t some_id(struct fmx_prng *prng, const struct fmx_inflight *window)
{
    uint64_t span = window->next - window->first + 4;

    if (fmx_prng_below(prng, 50) == 0) {
        return (uint16_t)fmx_prng_next(prng);
    }
    return fmx_inflight_id(window->first +
                           (fmx_prng_below(prng, 2) == 0 ? 0 : fmx_prng_next(prng) % span));
}

/* One step: take or give. False if window and twin differ. */
static bool step(struct fmx_prng *prng, struct fmx_inflight *window, uint64_t **storage,
                 struct twin *twin, uint64_t at)
{
    uint64_t tag = 0;
    uint16_t id = 0;

    if (fmx_prng_below(prng, 2) == 0 && window->used < 200) {
        uint64_t new_tag = fmx_prng_next(prng) | 1;
        if (window->capacity < 512 && fmx_prng_below(prng, 5000) == 0) {
            grow(window, storage);
        }
        if (fmx_inflight_take(window, new_tag, &id) == FMX_FULL) {
            if (window->capacity < 512) {
                grow(window, storage);
            }
            return true;
        }
        bool was_free = twin->tags[id] == 0;
        twin->tags[id] = new_tag;
        twin->order[id] = at + 1;
        return was_free;
    }
    id = some_id(prng, window);
    uint64_t expected = twin->tags[id];
    enum fmx_status status = fmx_inflight_give(window, id, &tag);
    twin->tags[id] = 0;
    return expected != 0 ? status == FMX_OK && tag == expected : status == FMX_PEER_ACK;
}

static void inflight_agrees_with_its_twin(void)
{
    enum { STEPS = 1000000 };
    struct twin *twin = calloc(1, sizeof *twin);

    CU_ASSERT_PTR_NOT_NULL_FATAL(twin);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct fmx_prng prng = {.state = seed};
        struct fmx_inflight window;
        uint64_t *storage = NULL;
        memset(twin, 0, sizeof *twin);
        fmx_inflight_init(&window, NULL, 0);
        for (uint64_t at = 0; at < STEPS; at++) {
            bool is_good = step(&prng, &window, &storage, twin, at);
            if (at % 512 == 0) {
                fmx_inflight_check(&window);
                is_good = is_good && is_same(&window, twin);
            }
            if (!is_good) {
                printf("seed %llu step %llu\n", (unsigned long long)seed, (unsigned long long)at);
                CU_FAIL_FATAL("the window and its twin differ");
            }
        }
        CU_ASSERT(window.next > 3ull * FMX_PACKET_ID_MAX);
        free(storage);
    }
    free(twin);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(inflight_hands_out_identifiers_in_a_row),
    FMX_TEST_CASE(inflight_without_storage_is_full),
    FMX_TEST_CASE(inflight_refuses_what_is_not_in_use),
    FMX_TEST_CASE(inflight_stays_full_behind_the_oldest),
    FMX_TEST_CASE(inflight_wraps_past_65535_to_1),
    FMX_TEST_CASE(inflight_walks_the_oldest_first_across_the_wrap),
    FMX_TEST_CASE(inflight_can_be_emptied_while_it_is_walked),
    FMX_TEST_CASE(inflight_keeps_identifiers_when_it_moves),
    FMX_TEST_CASE(inflight_agrees_with_its_twin),
};

int main(int argc, char **argv)
{
    return fmx_test_main("inflight", cases, sizeof cases / sizeof cases[0], argc, argv);
}
