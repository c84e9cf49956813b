/*
 * test_trie — filters with wildcards against a plain list of them
 */
#include "engine/trie.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#define FILTERS    120u
#define TEXT_BYTES 400u
#define SEEDS      12u
#define STEPS      3000u

struct text {
    char bytes[TEXT_BYTES];
};

static struct fmx_trie trie;
static struct text filters[FILTERS];
static uint32_t nodes[FILTERS]; /* where a filter stands; FMX_TRIE_NONE: it does not */

static const char *any_level(struct fmx_prng *prng)
{
    static const char *const levels[] = {
        "a",
        "b",
        "",
        "$",
        "thirty-three bytes in the trie!!!",
        "thirty-three bytes and one more!!!",
    };

    return levels[fmx_prng_below(prng, sizeof levels / sizeof levels[0])];
}

static void make_text(struct fmx_prng *prng, bool is_filter, struct text *out_text)
{
    uint64_t levels = 2 + fmx_prng_below(prng, 5);
    size_t bytes = 0;

    for (uint64_t i = 0; i < levels; i++) {
        uint64_t choice = is_filter ? fmx_prng_below(prng, 5) : 4;
        bool is_tail = choice == 0 && i == levels - 1;
        const char *level = is_tail ? "#" : choice <= 1 ? "+" : any_level(prng);
        bytes += (size_t)snprintf(out_text->bytes + bytes, TEXT_BYTES - bytes, "%s%s",
                                  i > 0 ? "/" : "", level);
    }
}

static fmx_slice filter_at(unsigned filter)
{
    return fmx_slice_of(filters[filter].bytes);
}

/* Different ones; that some have no wildcard is nothing to the trie. */
static void make_filters(struct fmx_prng *prng)
{
    for (unsigned i = 0; i < FILTERS; i++) {
        unsigned same;
        do {
            make_text(prng, true, &filters[i]);
            for (same = 0; strcmp(filters[same].bytes, filters[i].bytes) != 0; same++) {
            }
        } while (same < i);
        nodes[i] = FMX_TRIE_NONE;
    }
}

static void check_match(uint64_t seed, fmx_slice topic)
{
    bool came[FILTERS] = {false};
    uint32_t value;

    fmx_trie_begin(&trie, topic);
    while ((value = fmx_trie_next(&trie)) != FMX_TRIE_NONE) {
        FMX_SEED_ASSERT(seed, value < FILTERS && !came[value]);
        came[value] = true;
    }
    FMX_SEED_ASSERT(seed, fmx_trie_next(&trie) == FMX_TRIE_NONE);
    for (unsigned i = 0; i < FILTERS; i++) {
        bool matches = nodes[i] != FMX_TRIE_NONE && fmx_topic_matches(filter_at(i), topic);
        FMX_SEED_ASSERT(seed, came[i] == matches);
    }
}

static void toggle(uint64_t seed, unsigned filter)
{
    if (nodes[filter] != FMX_TRIE_NONE) {
        FMX_SEED_ASSERT(seed, fmx_trie_value(&trie, filter_at(filter), nodes[filter]) == filter);
        fmx_trie_remove(&trie, filter_at(filter), nodes[filter], filter);
        nodes[filter] = FMX_TRIE_NONE;
        return;
    }
    FMX_SEED_ASSERT(seed, fmx_trie_put(&trie, filter_at(filter), filter, &nodes[filter]) == FMX_OK);
}

static void trie_agrees_with_its_twin(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        struct text topic;

        CU_ASSERT_EQUAL_FATAL(fmx_trie_open(&trie, seed), FMX_OK);
        make_filters(&prng);
        for (unsigned step = 0; step < STEPS; step++) {
            toggle(seed, (unsigned)fmx_prng_below(&prng, FILTERS));
            make_text(&prng, false, &topic);
            check_match(seed, fmx_slice_of(topic.bytes));
            if (step % 50 == 0) {
                fmx_trie_check(&trie);
            }
        }
        for (unsigned i = 0; i < FILTERS; i++) {
            if (nodes[i] != FMX_TRIE_NONE) {
                toggle(seed, i);
            }
        }
        FMX_SEED_ASSERT(seed, fmx_trie_is_empty(&trie) && trie.nodes.used == 1);
        fmx_trie_check(&trie);
        fmx_trie_close(&trie);
    }
}

static void trie_without_filters_matches_nothing(void)
{
    CU_ASSERT_EQUAL_FATAL(fmx_trie_open(&trie, 1), FMX_OK);
    CU_ASSERT_TRUE(fmx_trie_is_empty(&trie));
    fmx_trie_begin(&trie, fmx_slice_of("a/b/c"));
    CU_ASSERT_EQUAL(fmx_trie_next(&trie), FMX_TRIE_NONE);
    fmx_trie_check(&trie);
    fmx_trie_close(&trie);
    fmx_trie_close(&trie);
}

static void trie_may_be_closed_with_filters_in_it(void)
{
    uint32_t node;

    CU_ASSERT_EQUAL_FATAL(fmx_trie_open(&trie, 1), FMX_OK);
    CU_ASSERT_EQUAL(fmx_trie_put(&trie, fmx_slice_of("#"), 1, &node), FMX_OK);
    CU_ASSERT_FALSE(fmx_trie_is_empty(&trie));
    CU_ASSERT_EQUAL(
        fmx_trie_put(&trie, fmx_slice_of("+/thirty-three bytes and one more!!!"), 2, &node),
        FMX_OK);
    fmx_trie_close(&trie);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(trie_agrees_with_its_twin),
    FMX_TEST_CASE(trie_without_filters_matches_nothing),
    FMX_TEST_CASE(trie_may_be_closed_with_filters_in_it),
};

int main(int argc, char **argv)
{
    return fmx_test_main("trie", cases, sizeof cases / sizeof cases[0], argc, argv);
}
