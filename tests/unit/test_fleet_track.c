/*
 * test_fleet_track — loss, duplicates and order against rows of everything that was ever received
 */
#include "tests/support/fleet_world.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdio.h>
#include <stdlib.h>

#define PUBLISHERS 3u
#define TOPICS     2u
#define RECEIVERS  4u
#define NUMBERS    150u
#define LAYERS     3u
#define ORIGINS    2u /* ours, and somebody else's */

static const char *const targets[] = {"127.0.0.1:1883"};
static struct fmx_fleet_group groups[2];
static struct fmx_fleet_publish publishes[TOPICS];
static struct fmx_fleet_subscribe subscribes[4];
static struct fleet_world world;

/* Group 0 publishes, group 1 receives. */
static void open_world(uint32_t publishers, uint32_t receivers, const char *const *filters,
                       size_t filters_count, uint32_t shards)
{
    struct fmx_fleet_plan plan;

    fmx_fleet_plan_init(&plan);
    for (unsigned i = 0; i < 2; i++) {
        fmx_fleet_group_init(&groups[i]);
        groups[i].targets = targets;
        groups[i].targets_count = 1;
    }
    groups[0].clients_count = publishers;
    groups[0].publishes = publishes;
    groups[0].publishes_count = TOPICS;
    groups[1].clients_count = receivers;
    groups[1].client_id = "receiver_%i";
    groups[1].subscribes = subscribes;
    groups[1].subscribes_count = filters_count;
    for (unsigned i = 0; i < TOPICS; i++) {
        fmx_fleet_publish_init(&publishes[i]);
        publishes[i].topic = i == 0 ? "t/%i/a" : "t/%i/b";
    }
    for (size_t i = 0; i < filters_count; i++) {
        fmx_fleet_subscribe_init(&subscribes[i]);
        subscribes[i].filter = filters[i];
    }
    plan.groups = groups;
    plan.groups_count = 2;
    fleet_world_open(&world, &plan, shards);
}

static fmx_slice topic_of(const struct fmx_fleet_client *publisher, uint32_t topic, char out[64])
{
    snprintf(out, 64, "t/%u/%c", publisher->number + 1, topic == 0 ? 'a' : 'b');
    return fmx_slice_of(out);
}

static void receive(struct fmx_fleet_client *receiver, const struct fmx_fleet_client *publisher,
                    uint32_t topic, uint64_t number, bool dup)
{
    struct fmx_fleet_mark mark = fleet_world_mark(publisher, topic, number);
    char name[64];

    fmx_fleet_track(receiver, topic_of(publisher, topic, name), &mark, dup);
}

/* ── the twin ── */

struct layer {
    bool is_begun;
    uint64_t base;
    uint64_t next;
    bool seen[NUMBERS];
};

struct twin {
    struct layer layers[RECEIVERS][ORIGINS][PUBLISHERS][TOPICS][LAYERS];
    bool is_from_start[RECEIVERS];
    bool is_away[RECEIVERS];
    uint64_t sent[PUBLISHERS][TOPICS];
    uint64_t once;
    uint64_t copies;
    uint64_t redelivered;
    uint64_t duplicate;
    uint64_t reordered;
    uint64_t gap;
    uint64_t expected;
    uint64_t lost;
};

static uint64_t missing_of(const struct layer *layer)
{
    uint64_t missing = 0;

    for (uint64_t i = layer->base; i < layer->next; i++) {
        missing += !layer->seen[i];
    }
    return missing;
}

enum { FIRST, BEHIND, AGAIN };

static int enter(struct twin *twin, struct layer *layer, bool counts, uint64_t number)
{
    int what = number >= layer->next ? FIRST : layer->seen[number] ? AGAIN : BEHIND;
    uint64_t before = missing_of(layer);

    layer->seen[number] = true;
    layer->next = number + 1 > layer->next ? number + 1 : layer->next;
    layer->base = number < layer->base ? number : layer->base;
    twin->gap += counts ? missing_of(layer) - before : 0;
    return what;
}

static void twin_receive(struct twin *twin, uint32_t receiver, uint32_t origin, uint32_t publisher,
                         uint32_t topic, uint64_t number, bool dup, uint32_t filters)
{
    for (uint32_t i = 0; i < filters; i++) {
        struct layer *layer = &twin->layers[receiver][origin][publisher][topic][i];
        if (!layer->is_begun) {
            *layer = (struct layer){.is_begun = true};
            layer->base = i == 0 && origin == 0 && twin->is_from_start[receiver] ? 0 : number;
            layer->next = layer->base;
        }
        int what = enter(twin, layer, i == 0, number);
        if (what != AGAIN) {
            twin->once += i == 0;
            twin->copies += i > 0;
            twin->reordered += i == 0 && what == BEHIND;
            return;
        }
        if (dup) {
            twin->redelivered++;
            return;
        }
    }
    twin->duplicate++;
}

static void twin_close(struct twin *twin, struct layer *layers)
{
    if (layers[0].is_begun) {
        twin->expected += layers[0].next - layers[0].base;
        twin->lost += missing_of(&layers[0]);
    }
    for (uint32_t i = 0; i < LAYERS; i++) {
        layers[i].is_begun = false;
    }
}

static void twin_return(struct twin *twin, uint32_t receiver)
{
    struct layer *layers = &twin->layers[receiver][0][0][0][0];

    for (uint32_t i = 0; i < ORIGINS * PUBLISHERS * TOPICS; i++) {
        twin_close(twin, layers + (size_t)i * LAYERS);
    }
    twin->is_from_start[receiver] = false;
}

static void twin_settle(struct twin *twin)
{
    for (uint32_t i = 0; i < RECEIVERS * PUBLISHERS * TOPICS; i++) {
        uint32_t receiver = i / (PUBLISHERS * TOPICS);
        uint32_t publisher = i / TOPICS % PUBLISHERS;
        struct layer *layers = twin->layers[receiver][0][publisher][i % TOPICS];
        uint64_t sent = twin->sent[publisher][i % TOPICS];
        uint64_t tail = sent;
        if (layers[0].is_begun) {
            tail = sent > layers[0].next ? sent - layers[0].next : 0;
        } else if (!twin->is_from_start[receiver]) {
            tail = 0;
        }
        tail = twin->is_away[receiver] ? 0 : tail;
        twin->expected += tail;
        twin->lost += tail;
        twin_close(twin, layers);
        twin_close(twin, twin->layers[receiver][1][publisher][i % TOPICS]);
    }
}

/* ── the race ── */

/* Mostly the next one, else one further on, or any. */
static uint64_t draw_number(struct fmx_prng *prng, const struct layer *layer, uint64_t sent)
{
    uint64_t next = layer->is_begun ? layer->next : fmx_prng_below(prng, 3);
    uint64_t what = fmx_prng_below(prng, 10);

    next += what < 2 ? fmx_prng_below(prng, 10) : 0;
    return what < 6 && next < sent ? next : fmx_prng_below(prng, sent);
}

static void race_receive(struct twin *twin, struct fmx_prng *prng, uint32_t filters)
{
    uint32_t at = (uint32_t)fmx_prng_below(prng, RECEIVERS);
    uint32_t publisher = (uint32_t)fmx_prng_below(prng, PUBLISHERS);
    uint32_t topic = (uint32_t)fmx_prng_below(prng, TOPICS);
    uint32_t origin = fmx_prng_below(prng, 5) == 0;
    uint64_t sent = twin->sent[publisher][topic];
    bool dup = fmx_prng_below(prng, 4) == 0;
    struct fmx_fleet_client *client = fleet_world_client(&world, 0, publisher);
    char name[64];

    if (sent == 0 || (at == 3 && publisher == 1)) { /* some never meet */
        return;
    }
    uint64_t number = draw_number(prng, twin->layers[at][origin][publisher][topic], sent);
    struct fmx_fleet_mark mark = fleet_world_mark(client, topic, number);
    mark.origin += origin;
    fmx_fleet_track(fleet_world_client(&world, 1, at), topic_of(client, topic, name), &mark, dup);
    twin_receive(twin, at, origin, publisher, topic, number, dup, filters);
}

static void race_come_or_go(struct twin *twin, struct fmx_prng *prng)
{
    uint32_t at = (uint32_t)fmx_prng_below(prng, RECEIVERS);
    struct fmx_fleet_client *receiver = fleet_world_client(&world, 1, at);
    bool is_kept = fmx_prng_below(prng, 2) == 0;

    if (!twin->is_away[at]) {
        fmx_fleet_track_leave(receiver);
        twin->is_away[at] = true;
        return;
    }
    fmx_fleet_track_return(receiver, is_kept);
    twin->is_away[at] = false;
    if (!is_kept) {
        twin_return(twin, at);
    }
}

static void compare(const struct twin *twin, uint64_t seed)
{
    FMX_SEED_ASSERT(seed, FLEET_WORLD_SUM(&world, 1, received_once) == twin->once);
    FMX_SEED_ASSERT(seed, FLEET_WORLD_SUM(&world, 1, received_copies) == twin->copies);
    FMX_SEED_ASSERT(seed, FLEET_WORLD_SUM(&world, 1, received_redelivered) == twin->redelivered);
    FMX_SEED_ASSERT(seed, FLEET_WORLD_SUM(&world, 1, received_duplicate) == twin->duplicate);
    FMX_SEED_ASSERT(seed, FLEET_WORLD_SUM(&world, 1, received_reordered) == twin->reordered);
    FMX_SEED_ASSERT(seed, FLEET_WORLD_SUM(&world, 1, received_gap) == twin->gap);
    FMX_SEED_ASSERT(seed, FLEET_WORLD_SUM(&world, 1, received_unchecked) == 0);
}

static void race(uint64_t seed)
{
    static const char *const filters[] = {"t/#", "t/+/+", "#", "none"};
    static struct twin twin;
    struct fmx_prng prng = {.state = seed};
    uint32_t count = 1 + (uint32_t)fmx_prng_below(&prng, 4);
    uint32_t churn = fmx_prng_below(&prng, 2) == 0 ? 0 : 100;

    open_world(PUBLISHERS, RECEIVERS, filters, count, 1 + (uint32_t)fmx_prng_below(&prng, 3));
    memset(&twin, 0, sizeof twin);
    for (uint32_t i = 0; i < RECEIVERS; i++) {
        twin.is_from_start[i] = fmx_prng_below(&prng, 3) > 0;
        fleet_world_client(&world, 1, i)->is_from_start = twin.is_from_start[i];
    }
    for (uint32_t i = 0; i < 3000; i++) {
        uint64_t *sent =
            &twin.sent[fmx_prng_below(&prng, PUBLISHERS)][fmx_prng_below(&prng, TOPICS)];
        *sent += *sent < NUMBERS && fmx_prng_below(&prng, 3) == 0;
        race_receive(&twin, &prng, count < LAYERS ? count : LAYERS);
        if (churn > 0 && fmx_prng_below(&prng, churn) == 0) {
            race_come_or_go(&twin, &prng);
        }
    }
    compare(&twin, seed);
    for (uint32_t i = 0; i < PUBLISHERS * TOPICS; i++) {
        struct fmx_fleet_flow *flow =
            fleet_world_flow(fleet_world_client(&world, 0, i / TOPICS), i % TOPICS);
        flow->skipped = fmx_prng_below(&prng, 20);
        flow->sequence = flow->skipped + twin.sent[i / TOPICS][i % TOPICS];
    }
    twin_settle(&twin);
    FMX_SEED_ASSERT(seed, fmx_ledger_settle_shards(&world.fleet, world.shards, world.shards_count));
    FMX_SEED_ASSERT(seed, world.fleet.deliveries_expected == twin.expected);
    FMX_SEED_ASSERT(seed, world.fleet.deliveries_lost == twin.lost);
    FMX_SEED_ASSERT(seed, twin.expected == twin.once + twin.lost);
    FMX_SEED_ASSERT(seed, FLEET_WORLD_SUM(&world, 1, deliveries_lost) == twin.lost);
    FMX_SEED_ASSERT(seed, FLEET_WORLD_SUM(&world, 0, deliveries_expected) == 0);
    fleet_world_close(&world);
}

static void a_ledger_knows_what_rows_of_everything_know(void)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        race(seed);
    }
}

/* ── what else may come ── */

static const char *const one_filter[] = {"t/#"};

static void settle(uint64_t expected, uint64_t lost)
{
    CU_ASSERT(fmx_ledger_settle_shards(&world.fleet, world.shards, world.shards_count));
    CU_ASSERT_EQUAL(world.fleet.deliveries_expected, expected);
    CU_ASSERT_EQUAL(world.fleet.deliveries_lost, lost);
    fleet_world_close(&world);
}

static void a_late_number_is_known_however_late_it_is(void)
{
    open_world(1, 1, one_filter, 1, 1);
    struct fmx_fleet_client *publisher = fleet_world_client(&world, 0, 0);
    struct fmx_fleet_client *receiver = fleet_world_client(&world, 1, 0);

    for (uint64_t i = 1; i < 200000; i += 2) {
        receive(receiver, publisher, 0, i, false);
    }
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_gap), 100000);
    for (uint64_t i = 0; i < 200000; i += 4) {
        receive(receiver, publisher, 0, i, false);
    }
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_gap), 50000);
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_reordered), 50000);
    for (uint64_t i = 0; i < 200000; i += 4) {
        receive(receiver, publisher, 0, i, false);
    }
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_duplicate), 50000);
    fleet_world_flow(publisher, 0)->sequence = 200010;
    settle(200010, 50010);
}

static void forged_numbers_are_no_losses(void)
{
    open_world(1, 1, one_filter, 1, 1);
    struct fmx_fleet_client *publisher = fleet_world_client(&world, 0, 0);
    struct fmx_fleet_client *receiver = fleet_world_client(&world, 1, 0);
    struct fmx_fleet_mark mark = fleet_world_mark(publisher, 0, UINT64_MAX);

    receive(receiver, publisher, 0, (1ull << 48) - 1, false);
    fmx_fleet_track(receiver, fmx_slice_of("t/1/a"), &mark, false);
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_unchecked), 2);
    receive(receiver, publisher, 0, 3, false);
    receive(receiver, publisher, 0, (1ull << 48) - 2, false);
    mark.sequence = 7;
    mark.publisher = 0xffffff; /* nobody of ours */
    fmx_fleet_track(receiver, fmx_slice_of("t/1/a"), &mark, false);
    mark.publisher = 0;
    mark.topic = 200;
    fmx_fleet_track(receiver, fmx_slice_of("t/1/a"), &mark, false);
    fleet_world_flow(publisher, 0)->sequence = 5;
    CU_ASSERT(fmx_ledger_settle_shards(&world.fleet, world.shards, world.shards_count));
    CU_ASSERT_EQUAL(world.fleet.deliveries_lost, 4);
    CU_ASSERT_EQUAL(world.fleet.deliveries_expected,
                    FLEET_WORLD_SUM(&world, 1, received_once) + world.fleet.deliveries_lost);
    fleet_world_close(&world);
}

static void messages_of_shared_subscriptions_are_not_checked(void)
{
    static const char *const shared[] = {"$share/g/t/+/a", "t/+/b"};

    open_world(1, 1, shared, 2, 1);
    struct fmx_fleet_client *publisher = fleet_world_client(&world, 0, 0);
    struct fmx_fleet_client *receiver = fleet_world_client(&world, 1, 0);
    for (uint64_t i = 0; i < 10; i += 2) {
        receive(receiver, publisher, 0, i, false);
        receive(receiver, publisher, 1, i, false);
    }
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_unchecked), 5);
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_once), 5);
    fleet_world_flow(publisher, 0)->sequence = 10;
    fleet_world_flow(publisher, 1)->sequence = 10;
    settle(10, 5);
}

static void a_second_copy_by_a_second_filter_is_none_too_many(void)
{
    static const char *const two[] = {"t/#", "t/+/a"};

    open_world(1, 1, two, 2, 1);
    struct fmx_fleet_client *publisher = fleet_world_client(&world, 0, 0);
    struct fmx_fleet_client *receiver = fleet_world_client(&world, 1, 0);
    for (uint64_t i = 0; i < 10; i++) {
        for (unsigned copy = 0; copy < 2; copy++) {
            receive(receiver, publisher, 0, i, false); /* both match */
            receive(receiver, publisher, 1, i, false); /* one does */
        }
    }
    receive(receiver, publisher, 0, 4, false);
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_once), 20);
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_copies), 10);
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_duplicate), 11);
    fleet_world_flow(publisher, 0)->sequence = 10;
    fleet_world_flow(publisher, 1)->sequence = 10;
    settle(20, 0);
}

static void a_receiver_that_stays_away_has_no_more_to_get(void)
{
    open_world(1, 2, one_filter, 1, 2);
    struct fmx_fleet_client *publisher = fleet_world_client(&world, 0, 0);
    struct fmx_fleet_client *one = fleet_world_client(&world, 1, 0);

    receive(one, publisher, 0, 2, false);
    fmx_fleet_track_leave(one);
    fmx_fleet_track_leave(fleet_world_client(&world, 1, 1));
    fleet_world_flow(publisher, 0)->sequence = 100;
    settle(3, 2);
}

/* ── memory ── */

static void without_memory_messages_are_unchecked_and_none_is_lost(void)
{
    open_world(2000, 4, one_filter, 1, 1);
    struct fmx_fleet_ledger *ledger = world.shards[0]->ledger;

    ledger->bytes_max = 200000;
    for (uint64_t number = 0; number < 4; number++) {
        for (uint32_t i = 0; i < 8000; i++) { /* in order, but for two that change places */
            struct fmx_fleet_client *publisher = fleet_world_client(&world, 0, i / 4);
            receive(fleet_world_client(&world, 1, i % 4), publisher, 0,
                    number == 1   ? 2
                    : number == 2 ? 1
                                  : number,
                    false);
            fleet_world_flow(publisher, 0)->sequence = 4;
        }
    }
    uint64_t once = FLEET_WORLD_SUM(&world, 1, received_once);
    CU_ASSERT(once > 1000 && ledger->bytes + ledger->gaps.bytes < 600000);
    CU_ASSERT_EQUAL(once + FLEET_WORLD_SUM(&world, 1, received_unchecked), 32000);
    CU_ASSERT(ledger->was_full);
    settle(once, 0);
}

static void a_track_that_finds_no_memory_for_a_gap_is_closed(void)
{
    open_world(1, 1, one_filter, 1, 1);
    struct fmx_fleet_client *publisher = fleet_world_client(&world, 0, 0);
    struct fmx_fleet_client *receiver = fleet_world_client(&world, 1, 0);

    receive(receiver, publisher, 0, 0, false);
    world.shards[0]->ledger->bytes_max = 0;
    receive(receiver, publisher, 0, 1, false);
    receive(receiver, publisher, 0, 5, false); /* no room for 2 … 4 */
    world.shards[0]->ledger->bytes_max = 1u << 30;
    receive(receiver, publisher, 0, 6, false);
    receive(receiver, publisher, 0, 3, false);
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_once), 2);
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_unchecked), 3);
    CU_ASSERT_EQUAL(FLEET_WORLD_SUM(&world, 1, received_gap), 0);
    fleet_world_flow(publisher, 0)->sequence = 7;
    settle(2, 0);
}

static void a_pair_costs_at_most_forty_bytes(void)
{
    open_world(1000, 400, one_filter, 1, 1);
    struct fmx_fleet_ledger *ledger = world.shards[0]->ledger;
    size_t bytes = 0;

    for (uint32_t i = 0; i < 400000; i++) {
        receive(fleet_world_client(&world, 1, i % 400), fleet_world_client(&world, 0, i / 400), 0,
                0, false);
        fleet_world_flow(fleet_world_client(&world, 0, i / 400), 0)->sequence = 1;
        size_t each = (ledger->bytes + ledger->gaps.bytes) / (i + 1);
        bytes = i > 200000 && each > bytes ? each : bytes;
    }
    printf("(at most %zu bytes a pair) ", bytes);
    CU_ASSERT(bytes <= 40);
    settle(400000, 0);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_ledger_knows_what_rows_of_everything_know),
    FMX_TEST_CASE(a_late_number_is_known_however_late_it_is),
    FMX_TEST_CASE(forged_numbers_are_no_losses),
    FMX_TEST_CASE(messages_of_shared_subscriptions_are_not_checked),
    FMX_TEST_CASE(a_second_copy_by_a_second_filter_is_none_too_many),
    FMX_TEST_CASE(a_receiver_that_stays_away_has_no_more_to_get),
    FMX_TEST_CASE(without_memory_messages_are_unchecked_and_none_is_lost),
    FMX_TEST_CASE(a_track_that_finds_no_memory_for_a_gap_is_closed),
    FMX_TEST_CASE(a_pair_costs_at_most_forty_bytes),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_track", cases, sizeof cases / sizeof cases[0], argc, argv);
}
