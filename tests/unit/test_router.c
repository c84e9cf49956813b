/*
 * test_router — subscriptions against a plain list that every topic is compared with
 *
 * Why it is so:   memory is starved through the linker (--wrap), so that the code under test is the
 *                 code that ships
 */
#include "engine/router.h"
#include "proto/topic.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdio.h>
#include <stdlib.h>

#define RECEIVERS   60u
#define FILTERS     40u
#define TOPIC_BYTES 512u
#define SEEDS       12u
#define STEPS       3000u
#define REMOTE_FROM 50u /* receivers from here on stand for other shards */

/* ---- memory that runs out ------------------------------------------------------------------ */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);

static uint64_t allocations_left = UINT64_MAX;

static bool is_starved(void)
{
    if (allocations_left == UINT64_MAX) {
        return false;
    }
    if (allocations_left == 0) {
        return true;
    }
    allocations_left--;
    return false;
}

void *__wrap_malloc(size_t bytes)
{
    return is_starved() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return is_starved() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return is_starved() ? NULL : __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return is_starved() ? NULL : __real_aligned_alloc(alignment, bytes);
}

/* ---- the twin ------------------------------------------------------------------------------ */

struct text {
    char bytes[TOPIC_BYTES];
};

static struct fmx_router *router;
static struct text filters[FILTERS];
static uint32_t heads[RECEIVERS];

/* Options of each receiver's subscription to each filter; −1: none. */
static int twin[FILTERS][RECEIVERS];

static void start(void)
{
    CU_ASSERT_EQUAL_FATAL(fmx_router_open(&router, 0x1234567890abcdefu), FMX_OK);
    memset(twin, 0xff, sizeof twin);
    memset(heads, 0xff, sizeof heads);
}

static void end(void)
{
    fmx_router_close(router);
    router = NULL;
}

static const char *any_level(struct fmx_prng *prng)
{
    static const char *const levels[] = {
        "a", "b", "c", "", "$d", "a level that is too long to lie inside of a node of the trie",
    };

    return levels[fmx_prng_below(prng, sizeof levels / sizeof levels[0])];
}

/* One to five levels; with wildcards if it is a filter. Never empty. */
static void make_text(struct fmx_prng *prng, bool is_filter, struct text *out_text)
{
    uint64_t levels = 1 + fmx_prng_below(prng, 5);
    size_t bytes = 0;

    for (uint64_t i = 0; i < levels; i++) {
        uint64_t choice = is_filter ? fmx_prng_below(prng, 6) : 2;
        bool is_tail = choice == 0 && i == levels - 1;
        const char *level = is_tail ? "#" : choice == 1 ? "+" : any_level(prng);
        bytes += (size_t)snprintf(out_text->bytes + bytes, TOPIC_BYTES - bytes, "%s%s",
                                  i > 0 ? "/" : "", level);
    }
    if (bytes == 0) {
        (void)snprintf(out_text->bytes, TOPIC_BYTES, "a");
    }
}

/* Different filters: a second of the same text would be the same filter. */
static void make_filters(struct fmx_prng *prng)
{
    for (unsigned i = 0; i < FILTERS; i++) {
        bool is_new;
        do {
            make_text(prng, true, &filters[i]);
            is_new = true;
            for (unsigned k = 0; k < i; k++) {
                is_new = is_new && strcmp(filters[k].bytes, filters[i].bytes) != 0;
            }
        } while (!is_new);
    }
}

static fmx_slice filter_at(unsigned filter)
{
    return fmx_slice_of(filters[filter].bytes);
}

static bool is_remote(unsigned receiver)
{
    return receiver >= REMOTE_FROM;
}

static unsigned twin_locals(unsigned filter)
{
    unsigned count = 0;

    for (unsigned i = 0; i < REMOTE_FROM; i++) {
        count += twin[filter][i] >= 0;
    }
    return count;
}

static unsigned twin_count(void)
{
    unsigned count = 0;

    for (unsigned f = 0; f < FILTERS; f++) {
        for (unsigned r = 0; r < RECEIVERS; r++) {
            count += twin[f][r] >= 0;
        }
    }
    return count;
}

static enum fmx_status add(uint64_t seed, unsigned filter, unsigned receiver, uint8_t options)
{
    bool existed = false;
    bool first = false;
    unsigned locals = twin_locals(filter);

    options |= is_remote(receiver) ? FMX_SUB_REMOTE : 0;
    enum fmx_status status = fmx_router_add(router, filter_at(filter), receiver, options,
                                            &heads[receiver], &existed, &first);
    if (status != FMX_OK) {
        return status;
    }
    FMX_SEED_ASSERT(seed, existed == (twin[filter][receiver] >= 0));
    FMX_SEED_ASSERT(seed, first == (locals == 0 && !is_remote(receiver)));
    twin[filter][receiver] = options;
    return FMX_OK;
}

static void remove_one(uint64_t seed, unsigned filter, unsigned receiver)
{
    bool last = true;
    unsigned locals = twin_locals(filter);
    bool existed = fmx_router_remove(router, filter_at(filter), receiver, &heads[receiver], &last);

    FMX_SEED_ASSERT(seed, existed == (twin[filter][receiver] >= 0));
    FMX_SEED_ASSERT(seed, last == (existed && locals == 1 && !is_remote(receiver)));
    twin[filter][receiver] = -1;
}

static unsigned find_filter(uint64_t seed, fmx_slice text)
{
    for (unsigned i = 0; i < FILTERS; i++) {
        if (fmx_slice_equal(filter_at(i), text)) {
            return i;
        }
    }
    FMX_SEED_ASSERT(seed, false); /* a filter that nobody has added */
    return 0;
}

static void remove_all_of(uint64_t seed, unsigned receiver)
{
    static uint8_t text[65535];
    size_t bytes;
    bool last;

    while (fmx_router_remove_head(router, &heads[receiver], text, &bytes, &last)) {
        unsigned filter = find_filter(seed, (fmx_slice){.data = text, .bytes = bytes});
        FMX_SEED_ASSERT(seed, twin[filter][receiver] >= 0);
        FMX_SEED_ASSERT(seed, last == (twin_locals(filter) == 1 && !is_remote(receiver)));
        twin[filter][receiver] = -1;
    }
    for (unsigned i = 0; i < FILTERS; i++) {
        FMX_SEED_ASSERT(seed, twin[i][receiver] < 0);
    }
}

/* The highest QoS of the receiver's filters that match, or −1. */
/* The highest QoS; a denial where there is nothing else; −1 for no match. */
static int twin_qos(fmx_slice topic, unsigned receiver)
{
    bool is_denied = false;
    int qos = -1;

    for (unsigned i = 0; i < FILTERS; i++) {
        int options = twin[i][receiver];
        if (options < 0 || !fmx_topic_matches(filter_at(i), topic)) {
            continue;
        }
        if ((options & FMX_SUB_QOS_MASK) == FMX_SUB_DENIED) {
            is_denied = true;
        } else if ((options & FMX_SUB_QOS_MASK) > qos) {
            qos = options & FMX_SUB_QOS_MASK;
        }
    }
    return qos < 0 && is_denied ? FMX_SUB_DENIED : qos;
}

/* The options of a match are those of one filter of the receiver that does match. */
static bool is_subscribed(fmx_slice topic, const struct fmx_match *match)
{
    fmx_slice filter;
    uint8_t options;

    (void)fmx_router_next(router, match->subscription, &filter, &options);
    return options == match->options && fmx_topic_matches(filter, topic);
}

static void check_match(uint64_t seed, fmx_slice topic)
{
    const struct fmx_match *matches;
    size_t count = fmx_router_match(router, topic, &matches);
    bool came[RECEIVERS] = {false};
    size_t expected = 0;

    for (size_t i = 0; i < count; i++) {
        const struct fmx_match *match = &matches[i];
        FMX_SEED_ASSERT(seed, match->receiver < RECEIVERS && !came[match->receiver]);
        FMX_SEED_ASSERT(seed, is_subscribed(topic, match));
        FMX_SEED_ASSERT(seed,
                        (match->options & FMX_SUB_QOS_MASK) == twin_qos(topic, match->receiver));
        came[match->receiver] = true;
    }
    for (unsigned i = 0; i < RECEIVERS; i++) {
        expected += twin_qos(topic, i) >= 0;
    }
    FMX_SEED_ASSERT(seed, count == expected);
}

static void check_chain(uint64_t seed, unsigned receiver)
{
    unsigned count = 0;

    for (uint32_t at = heads[receiver]; at != FMX_SUBSCRIPTION_NONE;) {
        fmx_slice text;
        uint8_t options;
        at = fmx_router_next(router, at, &text, &options);
        FMX_SEED_ASSERT(seed, twin[find_filter(seed, text)][receiver] == options);
        count++;
    }
    for (unsigned i = 0; i < FILTERS; i++) {
        count -= twin[i][receiver] >= 0;
    }
    FMX_SEED_ASSERT(seed, count == 0);
}

static void check_filters(uint64_t seed)
{
    bool came[FILTERS] = {false};
    uint32_t cursor = 0;
    fmx_slice text;

    while (fmx_router_next_filter(router, &cursor, &text)) {
        unsigned filter = find_filter(seed, text);
        FMX_SEED_ASSERT(seed, !came[filter]);
        came[filter] = true;
    }
    for (unsigned i = 0; i < FILTERS; i++) {
        FMX_SEED_ASSERT(seed, came[i] == (twin_locals(i) > 0));
    }
}

static void check_all(uint64_t seed, struct fmx_prng *prng)
{
    fmx_router_check(router);
    FMX_SEED_ASSERT(seed, fmx_router_subscriptions_count(router) == twin_count());
    for (unsigned i = 0; i < RECEIVERS; i++) {
        check_chain(seed, i);
    }
    check_filters(seed);
    for (unsigned i = 0; i < 50; i++) {
        struct text topic;
        make_text(prng, false, &topic);
        check_match(seed, fmx_slice_of(topic.bytes));
    }
}

/* In turns, subscribing and leaving prevail; and for a while, one filter is popular. */
static void random_step(uint64_t seed, struct fmx_prng *prng, unsigned step)
{
    bool is_growing = step / 600 % 2 == 0;
    bool is_popular = step / 300 % 2 == 0;
    unsigned filter = is_popular ? 0 : (unsigned)fmx_prng_below(prng, FILTERS);
    unsigned receiver = (unsigned)fmx_prng_below(prng, RECEIVERS);

    if (fmx_prng_below(prng, 200) == 0) {
        remove_all_of(seed, receiver);
    } else if (fmx_prng_below(prng, 16) < (is_growing ? 14 : 1)) {
        FMX_SEED_ASSERT(seed,
                        add(seed, filter, receiver, (uint8_t)fmx_prng_below(prng, 16)) == FMX_OK);
    } else {
        remove_one(seed, filter, receiver);
    }
}

static void router_agrees_with_its_twin(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        struct text again; /* what was asked last is remembered, but not beyond a change */

        start();
        make_filters(&prng);
        for (unsigned step = 0; step < STEPS; step++) {
            if (step % 8 == 0) {
                make_text(&prng, false, &again);
            }
            random_step(seed, &prng, step);
            check_match(seed, fmx_slice_of(again.bytes));
            if (step % 60 == 0) {
                check_all(seed, &prng);
            }
        }
        for (unsigned i = 0; i < RECEIVERS; i++) {
            remove_all_of(seed, i);
        }
        check_all(seed, &prng);
        end();
    }
}

/* ---- single rules -------------------------------------------------------------------------- */

static void subscribe(const char *filter, uint32_t receiver, uint8_t options, uint32_t *head)
{
    bool existed;
    bool first;

    CU_ASSERT_EQUAL_FATAL(
        fmx_router_add(router, fmx_slice_of(filter), receiver, options, head, &existed, &first),
        FMX_OK);
}

static void leave_all(uint32_t *head)
{
    static uint8_t text[65535];
    size_t bytes;
    bool last;

    while (fmx_router_remove_head(router, head, text, &bytes, &last)) {
    }
}

static size_t count_of(const char *topic)
{
    const struct fmx_match *matches;

    return fmx_router_match(router, fmx_slice_of(topic), &matches);
}

static void router_without_subscriptions_matches_nothing(void)
{
    uint32_t cursor = 0;
    uint32_t head = FMX_SUBSCRIPTION_NONE;
    fmx_slice filter;
    uint8_t text[1];
    size_t bytes;
    bool last;

    start();
    CU_ASSERT_EQUAL(count_of("a"), 0);
    CU_ASSERT_EQUAL(count_of("/"), 0);
    CU_ASSERT_FALSE(fmx_router_next_filter(router, &cursor, &filter));
    CU_ASSERT_FALSE(fmx_router_remove(router, fmx_slice_of("a"), 1, &head, &last));
    CU_ASSERT_FALSE(fmx_router_remove_head(router, &head, text, &bytes, &last));
    CU_ASSERT_EQUAL(fmx_router_subscriptions_count(router), 0);
    fmx_router_check(router);
    end();
    fmx_router_close(NULL);
}

static void router_hides_dollar_topics_from_leading_wildcards(void)
{
    uint32_t head = FMX_SUBSCRIPTION_NONE;

    start();
    subscribe("#", 1, 0, &head);
    subscribe("+/b", 1, 0, &head);
    subscribe("+/+", 1, 0, &head);
    CU_ASSERT_EQUAL(count_of("$a/b"), 0);
    CU_ASSERT_EQUAL(count_of("a/$b"), 1);
    subscribe("$a/+", 1, 0, &head);
    CU_ASSERT_EQUAL(count_of("$a/b"), 1);
    subscribe("$a/#", 2, 0, &(uint32_t){FMX_SUBSCRIPTION_NONE});
    CU_ASSERT_EQUAL(count_of("$a/b"), 2);
    CU_ASSERT_EQUAL(count_of("$a"), 1);
    end();
}

static void router_counts_the_parent_to_a_filter_that_ends_with_a_hash(void)
{
    uint32_t head = FMX_SUBSCRIPTION_NONE;

    start();
    subscribe("a/b/#", 1, 0, &head);
    subscribe("+/#", 2, 0, &(uint32_t){FMX_SUBSCRIPTION_NONE});
    CU_ASSERT_EQUAL(count_of("a/b"), 2);
    CU_ASSERT_EQUAL(count_of("a/b/"), 2);
    CU_ASSERT_EQUAL(count_of("a/b/c/d/e"), 2);
    CU_ASSERT_EQUAL(count_of("a"), 1);
    CU_ASSERT_EQUAL(count_of("/"), 1);
    CU_ASSERT_EQUAL(count_of("a/bc"), 1);
    end();
}

static void router_does_not_match_topics_deeper_than_the_filter(void)
{
    uint32_t head = FMX_SUBSCRIPTION_NONE;

    start();
    subscribe("+/b", 1, 0, &head);
    CU_ASSERT_EQUAL(count_of("a/b"), 1);
    CU_ASSERT_EQUAL(count_of("a/b/c"), 0);
    CU_ASSERT_EQUAL(count_of("a/b/"), 0);
    CU_ASSERT_EQUAL(count_of("a"), 0);
    end();
}

static void router_hands_a_receiver_its_highest_qos_once(void)
{
    uint32_t head = FMX_SUBSCRIPTION_NONE;
    const struct fmx_match *matches;

    start();
    subscribe("a/b", 7, 0, &head);
    subscribe("a/+", 7, 1 | FMX_SUB_NO_LOCAL, &head);
    subscribe("#", 7, 0 | FMX_SUB_NO_LOCAL, &head);
    CU_ASSERT_EQUAL_FATAL(fmx_router_match(router, fmx_slice_of("a/b"), &matches), 1);
    CU_ASSERT_EQUAL(matches[0].receiver, 7);
    CU_ASSERT_EQUAL(matches[0].options, 1 | FMX_SUB_NO_LOCAL);
    end();
}

static void router_replaces_the_options_of_a_filter_subscribed_twice(void)
{
    uint32_t head = FMX_SUBSCRIPTION_NONE;
    const struct fmx_match *matches;
    bool existed;
    bool first;

    start();
    subscribe("a/b", 7, 0, &head);
    uint32_t former = head;
    CU_ASSERT_EQUAL(fmx_router_add(router, fmx_slice_of("a/b"), 7, 1, &head, &existed, &first),
                    FMX_OK);
    CU_ASSERT(existed && !first && head == former);
    CU_ASSERT_EQUAL(fmx_router_match(router, fmx_slice_of("a/b"), &matches), 1);
    CU_ASSERT_EQUAL(matches[0].options, 1);
    CU_ASSERT_EQUAL(fmx_router_subscriptions_count(router), 1);
    end();
}

static void router_tells_first_and_last_of_this_shard_apart_from_others(void)
{
    uint32_t local = FMX_SUBSCRIPTION_NONE;
    uint32_t remote = FMX_SUBSCRIPTION_NONE;
    fmx_slice filter = fmx_slice_of("a/#");
    bool existed;
    bool flag;

    start();
    CU_ASSERT_EQUAL(fmx_router_add(router, filter, 9, FMX_SUB_REMOTE, &remote, &existed, &flag),
                    FMX_OK);
    CU_ASSERT_FALSE(flag);
    CU_ASSERT_EQUAL(fmx_router_add(router, filter, 1, 0, &local, &existed, &flag), FMX_OK);
    CU_ASSERT_TRUE(flag);
    CU_ASSERT_TRUE(fmx_router_remove(router, filter, 1, &local, &flag));
    CU_ASSERT_TRUE(flag);
    CU_ASSERT_TRUE(fmx_router_remove(router, filter, 9, &remote, &flag));
    CU_ASSERT_FALSE(flag);
    end();
}

static void router_walks_no_path_twice_among_filters_of_many_wildcards(void)
{
    uint32_t heads_of_two[2] = {FMX_SUBSCRIPTION_NONE, FMX_SUBSCRIPTION_NONE};

    start();
    for (unsigned bits = 0; bits < 4096; bits++) {
        char filter[24];
        for (unsigned level = 0; level < 12; level++) {
            filter[2 * level] = bits >> level & 1 ? '+' : 'a';
            filter[2 * level + 1] = '/';
        }
        filter[23] = '\0';
        subscribe(filter, bits % 2, 0, &heads_of_two[bits % 2]);
    }
    CU_ASSERT_EQUAL(count_of("a/a/a/a/a/a/a/a/a/a/a/a"), 2);
    CU_ASSERT_EQUAL(count_of("a/a/a/a/a/a/a/a/a/a/a"), 0);
    CU_ASSERT_EQUAL(count_of("b/b/b/b/b/b/b/b/b/b/b/b"), 1);
    fmx_router_check(router);
    leave_all(&heads_of_two[0]);
    leave_all(&heads_of_two[1]);
    fmx_router_check(router);
    end();
}

static void router_holds_filters_of_the_greatest_length_and_depth(void)
{
    static char filter[65536];
    static char topic[65536];
    uint32_t head = FMX_SUBSCRIPTION_NONE;

    start();
    memset(filter, '/', 65534);
    filter[65534] = '+';
    memset(topic, '/', 65534);
    topic[65534] = 'x';
    subscribe(filter, 1, 0, &head);
    CU_ASSERT_EQUAL(count_of(topic), 1);
    memset(filter, 'f', 65533);
    memcpy(filter + 65533, "/#", 2);
    subscribe(filter, 1, 0, &head);
    filter[65533] = '\0';
    CU_ASSERT_EQUAL(count_of(filter), 1);
    fmx_router_check(router);
    leave_all(&head);
    CU_ASSERT_EQUAL(count_of(topic), 0);
    fmx_router_check(router);
    end();
}

/* Ends in time only if a removal does not search the list. */
static void router_lets_a_crowd_leave_a_popular_filter(void)
{
    enum { crowd = 100000 };
    static uint32_t crowd_heads[crowd];
    struct fmx_prng prng = {.state = 1};
    bool last = false;

    start();
    for (uint32_t i = 0; i < crowd; i++) {
        crowd_heads[i] = FMX_SUBSCRIPTION_NONE;
        subscribe("to/everybody", i, 1, &crowd_heads[i]);
    }
    CU_ASSERT_EQUAL(count_of("to/everybody"), crowd);
    for (uint32_t left = crowd; left > 0; left--) {
        uint32_t from = (uint32_t)fmx_prng_below(&prng, crowd);
        while (crowd_heads[from] == FMX_SUBSCRIPTION_NONE) {
            from = (from + 1) % crowd;
        }
        CU_ASSERT_FALSE_FATAL(last);
        CU_ASSERT_TRUE_FATAL(fmx_router_remove(router, fmx_slice_of("to/everybody"), from,
                                               &crowd_heads[from], &last));
        if (left % 10000 == 0) {
            fmx_router_check(router);
        }
    }
    CU_ASSERT_TRUE(last);
    CU_ASSERT_EQUAL(count_of("to/everybody"), 0);
    end();
}

static void router_gives_the_memory_of_a_peak_back(void)
{
    enum { devices = 20000 };
    static uint32_t device_heads[devices];
    char text[80];

    start();
    size_t bytes_at_rest = fmx_router_bytes(router);
    for (uint32_t i = 0; i < devices; i++) {
        device_heads[i] = FMX_SUBSCRIPTION_NONE;
        (void)snprintf(text, sizeof text, "/product/device%u/user/get", i);
        subscribe(text, i, 1, &device_heads[i]);
        (void)snprintf(text, sizeof text, "/product/device%u/+/set", i);
        subscribe(text, i, 1, &device_heads[i]);
        subscribe("/broadcast/#", i, 0, &device_heads[i]);
        subscribe("/broadcast/+", i, 0, &device_heads[i]);
    }
    CU_ASSERT_EQUAL(count_of("/broadcast/all"), devices);
    size_t bytes_at_peak = fmx_router_bytes(router);
    for (uint32_t i = 0; i < devices; i++) {
        leave_all(&device_heads[i]);
    }
    fmx_router_check(router);
    CU_ASSERT(bytes_at_peak > 10000000);
    CU_ASSERT(fmx_router_bytes(router) < bytes_at_rest + 80000);
    end();
}

/* ---- hunger -------------------------------------------------------------------------------- */

static void router_changes_nothing_when_memory_runs_out(void)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct fmx_prng prng = {.state = seed};

        start();
        make_filters(&prng);
        for (unsigned step = 0; step < 400; step++) {
            unsigned filter = (unsigned)fmx_prng_below(&prng, step % 4 == 0 ? 1 : FILTERS);
            unsigned receiver = (unsigned)fmx_prng_below(&prng, RECEIVERS);
            allocations_left = fmx_prng_below(&prng, 6);
            enum fmx_status status = add(seed, filter, receiver, 1);
            allocations_left = UINT64_MAX;
            FMX_SEED_ASSERT(seed, status == FMX_OK || status == FMX_LIMIT_MEMORY);
            fmx_router_check(router);
        }
        check_all(seed, &prng);
        allocations_left = 0; /* leaving needs none */
        for (unsigned i = 0; i < RECEIVERS; i++) {
            remove_all_of(seed, i);
        }
        allocations_left = UINT64_MAX;
        check_all(seed, &prng);
        end();
    }
}

static void router_that_cannot_be_opened_leaves_nothing_behind(void)
{
    enum fmx_status status = FMX_LIMIT_MEMORY;

    for (uint64_t room = 0; status != FMX_OK; room++) {
        CU_ASSERT_FATAL(room < 50);
        allocations_left = room;
        status = fmx_router_open(&router, 1);
        allocations_left = UINT64_MAX;
        CU_ASSERT_EQUAL(status == FMX_OK, router != NULL);
    }
    end();
}

static void router_counts_a_list_that_was_cut_short(void)
{
    uint32_t head = FMX_SUBSCRIPTION_NONE;
    const struct fmx_match *matches;

    start();
    subscribe("a", 1, 0, &head);
    subscribe("+", 1, 0, &head);
    allocations_left = 0;
    size_t count = fmx_router_match(router, fmx_slice_of("a"), &matches);
    allocations_left = UINT64_MAX;
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_EQUAL(fmx_router_cut_count(router), 1);
    CU_ASSERT_EQUAL(count_of("a"), 1);
    allocations_left = 0; /* the scratch is there now */
    CU_ASSERT_EQUAL(count_of("a"), 1);
    allocations_left = UINT64_MAX;
    CU_ASSERT_EQUAL(fmx_router_cut_count(router), 1);
    end();
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(router_agrees_with_its_twin),
    FMX_TEST_CASE(router_without_subscriptions_matches_nothing),
    FMX_TEST_CASE(router_hides_dollar_topics_from_leading_wildcards),
    FMX_TEST_CASE(router_counts_the_parent_to_a_filter_that_ends_with_a_hash),
    FMX_TEST_CASE(router_does_not_match_topics_deeper_than_the_filter),
    FMX_TEST_CASE(router_hands_a_receiver_its_highest_qos_once),
    FMX_TEST_CASE(router_replaces_the_options_of_a_filter_subscribed_twice),
    FMX_TEST_CASE(router_tells_first_and_last_of_this_shard_apart_from_others),
    FMX_TEST_CASE(router_walks_no_path_twice_among_filters_of_many_wildcards),
    FMX_TEST_CASE(router_holds_filters_of_the_greatest_length_and_depth),
    FMX_TEST_CASE(router_lets_a_crowd_leave_a_popular_filter),
    FMX_TEST_CASE(router_gives_the_memory_of_a_peak_back),
    FMX_TEST_CASE(router_changes_nothing_when_memory_runs_out),
    FMX_TEST_CASE(router_that_cannot_be_opened_leaves_nothing_behind),
    FMX_TEST_CASE(router_counts_a_list_that_was_cut_short),
};

int main(int argc, char **argv)
{
    return fmx_test_main("router", cases, sizeof cases / sizeof cases[0], argc, argv);
}
