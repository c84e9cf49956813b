/*
 * micro_router — what a topic costs: checked, hashed, matched, looked up among up to a million
 *
 * Why it is so:   a router of a million filters is met by topics in random order that lie apart in
 *                 memory, so that neither the topic nor what is found is in a cache by chance
 * Words:          exact: a filter without wildcard; plus: one level is `+`; multi: the last one is
 *                 `#`; mixed: half of the filters exact, a quarter each of the others. Each device
 *                 has one filter, and its topic matches this one only; three: two wildcards of
 *                 others match too; again: the topic of the message before. No other row has a
 *                 topic twice in a row, so where there is one filter, every second finds nothing
 * Memory:         64 MB of topics and 170 MB of subscriptions at a million
 * Limits:         all devices are of one product, so that levels are shared as they are in a fleet
 * Not here:       delivery to what is found: engine/roles
 */
#include "bench/micro.h"
#include "engine/router.h"
#include "proto/topic.h"
#include "proto/utf8.h"

#include <stdlib.h>

/* ---- topics ---------------------------------------------------------------------------------- */

static void *open_topic(const struct micro *self, uint64_t operations)
{
    struct micro_topic *topic = micro_allocate(1, sizeof *topic);

    (void)self;
    (void)operations;
    *topic = micro_topic_of(12345, "/user/update");
    return topic;
}

static fmx_slice slice_of(const struct micro_topic *topic)
{
    return (fmx_slice){.data = (const uint8_t *)topic->bytes, .bytes = topic->used};
}

static uint64_t run_topic_hash(void *topic, uint64_t operations)
{
    MICRO_CALLEE(hash, fmx_topic_hash);
    fmx_slice slice = slice_of(topic);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < operations; i++) {
        sum += hash(slice, i);
    }
    return sum;
}

static uint64_t run_topic_check_name(void *topic, uint64_t operations)
{
    MICRO_CALLEE(check, fmx_topic_check_name);
    fmx_slice slice = slice_of(topic);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < operations; i++) {
        sum += (uint64_t)check(slice);
    }
    return sum;
}

static uint64_t run_utf8(void *topic, uint64_t operations)
{
    MICRO_CALLEE(is_valid, fmx_utf8_is_valid);
    fmx_slice slice = slice_of(topic);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < operations; i++) {
        sum += is_valid(slice);
    }
    return sum;
}

static uint64_t run_topic_match(const struct micro_topic *topic, const char *filter,
                                uint64_t operations)
{
    MICRO_CALLEE(matches, fmx_topic_matches);
    fmx_slice filter_slice = fmx_slice_of(filter);
    fmx_slice slice = slice_of(topic);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < operations; i++) {
        sum += matches(filter_slice, slice);
    }
    return sum;
}

static uint64_t run_match_exact(void *topic, uint64_t operations)
{
    return run_topic_match(topic, "/a1Q5XoY7PkQ/device-0012345/user/update", operations);
}

static uint64_t run_match_plus(void *topic, uint64_t operations)
{
    return run_topic_match(topic, "/a1Q5XoY7PkQ/+/user/update", operations);
}

static uint64_t run_match_multi(void *topic, uint64_t operations)
{
    return run_topic_match(topic, "/a1Q5XoY7PkQ/#", operations);
}

static uint64_t run_match_not(void *topic, uint64_t operations)
{
    return run_topic_match(topic, "/a1Q5XoY7PkQ/+/user/get", operations);
}

/* ---- router ---------------------------------------------------------------------------------- */

typedef const char *tail_of(uint32_t device);

static const char *tail_exact(uint32_t device)
{
    (void)device;
    return "/user/update";
}

static const char *tail_plus(uint32_t device)
{
    (void)device;
    return "/+/update";
}

static const char *tail_multi(uint32_t device)
{
    (void)device;
    return "/#";
}

static const char *tail_mixed(uint32_t device)
{
    static tail_of *const tails[] = {tail_exact, tail_plus, tail_exact, tail_multi};

    return tails[device % 4](device);
}

struct kind {
    tail_of *tail;
    bool has_more;    /* the filters of others */
    bool is_repeated; /* the same topic may come twice in a row */
};

static const struct kind exact = {.tail = tail_exact};
static const struct kind plus = {.tail = tail_plus};
static const struct kind multi = {.tail = tail_multi};
static const struct kind mixed = {.tail = tail_mixed};
static const struct kind three = {.tail = tail_exact, .has_more = true};
static const struct kind again = {.tail = tail_exact, .is_repeated = true};

struct router_world {
    struct fmx_router *router;
    struct micro_topic *topics;
    const struct kind *kind;
    uint32_t size;
};

static void subscribe(struct fmx_router *router, fmx_slice filter, uint32_t receiver)
{
    uint32_t head = FMX_SUBSCRIPTION_NONE;
    bool existed;
    bool first;

    micro_expect(fmx_router_add(router, filter, receiver, 1, &head, &existed, &first) == FMX_OK,
                 "memory for a subscription");
}

static void subscribe_all(struct router_world *world)
{
    for (uint32_t i = 0; i < world->size; i++) {
        struct micro_topic filter = micro_topic_of(i, world->kind->tail(i));
        subscribe(world->router, slice_of(&filter), i);
    }
    if (world->kind->has_more) {
        subscribe(world->router, fmx_slice_of("/a1Q5XoY7PkQ/+/user/update"), world->size);
        subscribe(world->router, fmx_slice_of("#"), world->size + 1);
    }
}

static void open_empty(void *opened)
{
    struct router_world *world = opened;

    fmx_router_close(world->router);
    micro_expect(fmx_router_open(&world->router, 0xfeedfacecafebeefu) == FMX_OK, "a router");
}

static struct router_world *make_world(const struct micro *self)
{
    struct router_world *world = micro_allocate(1, sizeof *world);

    world->kind = self->argument;
    world->size = self->size;
    open_empty(world);
    return world;
}

static void close_router(void *opened)
{
    struct router_world *world = opened;

    fmx_router_close(world->router);
    free(world->topics);
    free(world);
}

static double router_bytes_each(void *opened)
{
    const struct router_world *world = opened;

    return (double)fmx_router_bytes(world->router) / world->size;
}

static void *open_full(const struct micro *self, uint64_t operations)
{
    struct router_world *world = make_world(self);

    subscribe_all(world);
    world->topics = micro_allocate(operations, sizeof *world->topics);
    uint32_t former = UINT32_MAX;
    for (uint64_t i = 0; i < operations; i++) {
        uint32_t device = (uint32_t)micro_random_below(world->size);
        device += device == former && !world->kind->is_repeated;
        world->topics[i] = micro_topic_of(device, "/user/update");
        former = device;
    }
    return world;
}

static uint64_t run_match(void *opened, uint64_t operations)
{
    struct router_world *world = opened;
    MICRO_CALLEE(match, fmx_router_match);
    const struct fmx_match *matches;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < operations; i++) {
        sum += match(world->router, slice_of(&world->topics[i]), &matches);
    }
    micro_expect(sum >= operations / 2, "what a topic matches");
    return sum;
}

/* The filters are made beforehand, or making them would be measured too. */
static void *open_to_add(const struct micro *self, uint64_t operations)
{
    struct router_world *world = make_world(self);

    world->topics = micro_allocate(operations, sizeof *world->topics);
    for (uint32_t i = 0; i < operations; i++) {
        world->topics[i] = micro_topic_of(i, world->kind->tail(i));
    }
    return world;
}

static uint64_t run_add(void *opened, uint64_t operations)
{
    struct router_world *world = opened;
    MICRO_CALLEE(add, fmx_router_add);
    uint64_t sum = 0;
    bool existed;
    bool first;

    for (uint32_t i = 0; i < operations; i++) {
        uint32_t head = FMX_SUBSCRIPTION_NONE;
        sum += (uint64_t)add(world->router, slice_of(&world->topics[i]), i, 1, &head, &existed,
                             &first);
    }
    return sum;
}

/* ---- the rows -------------------------------------------------------------------------------- */

#define TOPIC(name_, run_)                                                                         \
    {                                                                                              \
        .name = (name_), .open = open_topic, .run = (run_), .close = free, .operations = 1000000,  \
        .counted = 10000                                                                           \
    }
#define MATCH(kind_, size_)                                                                        \
    {                                                                                              \
        .name = "router_match_" #kind_ "_" #size_, .open = open_full, .run = run_match,            \
        .close = close_router, .operations = 500000, .counted = 20000, .size = (size_),            \
        .argument = &(kind_)                                                                       \
    }
#define ADD(kind_, size_, counted_)                                                                \
    {                                                                                              \
        .name = "router_add_" #kind_ "_" #size_, .open = open_to_add, .before = open_empty,        \
        .run = run_add, .close = close_router, .bytes_each = router_bytes_each,                    \
        .operations = (size_), .counted = (counted_), .size = (size_), .argument = &(kind_)        \
    }
#define MATCHES(kind_)                                                                             \
    MATCH(kind_, 1), MATCH(kind_, 100), MATCH(kind_, 10000), MATCH(kind_, 100000),                 \
        MATCH(kind_, 1000000)

static const struct micro rows[] = {
    TOPIC("topic_hash_of_39_bytes", run_topic_hash),
    TOPIC("topic_check_name_of_39_bytes", run_topic_check_name),
    TOPIC("utf8_is_valid_of_39_bytes", run_utf8),
    TOPIC("topic_match_exact", run_match_exact),
    TOPIC("topic_match_plus", run_match_plus),
    TOPIC("topic_match_multi", run_match_multi),
    TOPIC("topic_match_not", run_match_not),
    MATCHES(exact),
    MATCHES(plus),
    MATCHES(multi),
    MATCHES(mixed),
    MATCH(three, 100000),
    MATCH(again, 1),
    ADD(exact, 10000, 10000),
    ADD(exact, 1000000, 0),
    ADD(mixed, 10000, 10000),
    ADD(mixed, 1000000, 0),
};

const struct micro_list micro_router = MICRO_LIST(rows);
