/*
 * test_fleet_settle — what had to come, against every pair looked at by itself
 */
#include "engine/clock.h"
#include "proto/topic.h"
#include "tests/support/fleet_world.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdio.h>
#include <stdlib.h>

#define GROUPS_MAX     4u
#define CLIENTS_MAX    12u
#define PUBLISHES_MAX  3u
#define SUBSCRIBES_MAX 5u

static const char *const targets[] = {"127.0.0.1:1883"};
static struct fmx_fleet_group groups[GROUPS_MAX];
static struct fmx_fleet_publish publishes[GROUPS_MAX][PUBLISHES_MAX];
static struct fmx_fleet_subscribe subscribes[GROUPS_MAX][SUBSCRIBES_MAX];
static struct fmx_fleet_plan plan;
static struct fleet_world world;
static uint16_t refused[GROUPS_MAX][CLIENTS_MAX][PUBLISHES_MAX]; /* a bit for each message */

/* ── plans ── */

static const char *const topics[] = {"a/%i/x", "a/%n/y",        "b/%c",   "c", "b/%c/q",
                                     "z/%u",   "/ext/rrpc/1/t", "a/%i/x", "$d"};
static const char *const filters[] = {"a/%i/x", "a/+/x",   "a/#",    "a/%n/+", "b/%c",
                                      "#",      "+/%i/#",  "b/%c/#", "c",      "z/%u",
                                      "z/+",    "a/%i/#",  "+/%i/x", "b/+",    "$share/g/a/#",
                                      "/ext/#", "none/%i", "$d",     "b/%c/q", "$share/g/#"};
static const char *const client_ids[] = {"one_%i", "two_%i", "three_%i", "four_%i"};
static const char *const usernames[] = {NULL, "user", "u%i"};

#define PICK(prng, list) (list)[fmx_prng_below(prng, sizeof(list) / sizeof(list)[0])]

static void draw_publish(struct fmx_prng *prng, struct fmx_fleet_publish *publish)
{
    fmx_fleet_publish_init(publish);
    publish->topic = PICK(prng, topics);
    publish->payload_bytes = fmx_prng_below(prng, 6) == 0 ? 10 : 256;
    publish->text = fmx_prng_below(prng, 8) == 0 ? "no mark" : NULL;
    if (fmx_prng_below(prng, 4) == 0) {
        publish->properties.response_topic = "back";
    }
}

static void draw_group(struct fmx_prng *prng, uint32_t at)
{
    struct fmx_fleet_group *group = &groups[at];

    fmx_fleet_group_init(group);
    group->targets = targets;
    group->targets_count = 1;
    group->client_id = client_ids[at];
    group->username = PICK(prng, usernames);
    group->first_number = (uint32_t)fmx_prng_below(prng, 3);
    group->clients_count = 1 + (uint32_t)fmx_prng_below(prng, CLIENTS_MAX);
    group->version = fmx_prng_below(prng, 2) == 0 ? FMX_MQTT_311 : FMX_MQTT_50;
    group->calls.answer =
        fmx_prng_below(prng, 4) == 0 ? FMX_FLEET_ANSWER_ECHO : FMX_FLEET_ANSWER_OFF;
    group->publishes = publishes[at];
    group->publishes_count = fmx_prng_below(prng, PUBLISHES_MAX + 1);
    group->subscribes = subscribes[at];
    group->subscribes_count = fmx_prng_below(prng, SUBSCRIBES_MAX + 1);
    for (size_t i = 0; i < group->publishes_count; i++) {
        draw_publish(prng, &publishes[at][i]);
    }
    for (size_t i = 0; i < group->subscribes_count; i++) {
        fmx_fleet_subscribe_init(&subscribes[at][i]);
        subscribes[at][i].filter = PICK(prng, filters);
        subscribes[at][i].no_local = fmx_prng_below(prng, 4) == 0;
    }
}

static void open_world(struct fmx_prng *prng)
{
    fmx_fleet_plan_init(&plan);
    plan.groups = groups;
    plan.groups_count = 1 + fmx_prng_below(prng, GROUPS_MAX);
    plan.parts_count = 1 + (uint32_t)fmx_prng_below(prng, 3);
    plan.part = (uint32_t)fmx_prng_below(prng, plan.parts_count);
    for (uint32_t i = 0; i < plan.groups_count; i++) {
        draw_group(prng, i);
    }
    fleet_world_open(&world, &plan, 1 + (uint32_t)fmx_prng_below(prng, 3));
}

/* ── one pair ── */

struct pair {
    struct fmx_fleet_client *receiver;
    struct fmx_fleet_client *publisher;
    uint32_t flow;
    uint64_t sent;
    fmx_slice topic;
    bool is_matched; /* by a filter that is not shared */
    bool is_local;   /* by one without No Local */
    bool is_tracked; /* the receiver would look at its mark */
    uint16_t refused;
};

static void look_at_filters(struct pair *pair)
{
    const struct fmx_fleet_group *group = fmx_fleet_group_of(pair->receiver);
    bool answers = group->calls.answer != FMX_FLEET_ANSWER_OFF;
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];

    for (size_t i = 0; i < group->subscribes_count; i++) {
        fmx_slice filter = fmx_fleet_fill(pair->receiver, group->subscribes[i].filter, filled);
        if (!fmx_topic_is_shared(filter) && fmx_topic_matches(filter, pair->topic)) {
            pair->is_matched = true;
            pair->is_local |=
                !(group->version == FMX_MQTT_50 && (group->subscribes[i].no_local || answers));
        }
    }
}

static void look_at_flow(struct pair *pair)
{
    const struct fmx_fleet_group *to = fmx_fleet_group_of(pair->receiver);
    const struct fmx_fleet_group *from = fmx_fleet_group_of(pair->publisher);
    const struct fmx_fleet_publish *publish = &from->publishes[pair->flow];
    bool is_request = publish->properties.response_topic != NULL && from->version == FMX_MQTT_50 &&
                      to->version == FMX_MQTT_50;
    bool is_call = strcmp(publish->topic, "/ext/rrpc/1/t") == 0;

    pair->sent = fleet_world_flow(pair->publisher, pair->flow)->sequence -
                 fleet_world_flow(pair->publisher, pair->flow)->skipped;
    pair->is_tracked = publish->text == NULL && publish->payload_bytes == 256 &&
                       (to->calls.answer == FMX_FLEET_ANSWER_OFF || (!is_request && !is_call));
}

/* Some of its messages come, in any order; then what is missing, and what had to come. */
static void settle_pair(struct pair *pair, struct fmx_prng *prng, uint64_t *expected,
                        uint64_t *lost)
{
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    uint64_t seen_count = 0;
    bool seen[16] = {0};

    if (!pair->is_matched || !pair->is_tracked || pair->sent == 0) {
        return;
    }
    for (uint64_t i = fmx_prng_below(prng, 2) * fmx_prng_below(prng, 12); i > 0; i--) {
        uint64_t number = fmx_prng_below(prng, pair->sent);
        struct fmx_fleet_mark mark = fleet_world_mark(pair->publisher, pair->flow, number);
        fmx_fleet_track(pair->receiver, pair->topic, &mark, false);
        seen_count += !seen[number];
        seen[number] = true;
        least = number < least ? number : least;
        most = number + 1 > most ? number + 1 : most;
    }
    bool had_to_come = pair->is_local || pair->receiver != pair->publisher;
    if (seen_count == 0 && (!pair->receiver->is_from_start || !had_to_come)) {
        return;
    }
    uint64_t begin = pair->receiver->is_from_start ? 0 : least;
    uint64_t end = pair->receiver->is_away ? most : pair->sent;
    *expected += end - begin;
    *lost += end - begin - seen_count;
    for (uint64_t i = begin; i < end; i++) { /* what was refused and has come has come */
        bool had_not_to_come = (pair->refused >> i & 1) != 0 && !seen[i];
        *expected -= had_not_to_come;
        *lost -= had_not_to_come;
    }
}

static void settle_all_pairs(struct fmx_prng *prng, uint64_t expected[GROUPS_MAX],
                             uint64_t lost[GROUPS_MAX])
{
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];

    for (uint32_t to = 0; to < plan.groups_count; to++) {
        for (uint32_t i = 0;
             i < groups[to].clients_count * plan.groups_count * CLIENTS_MAX * PUBLISHES_MAX; i++) {
            uint32_t from = i / (CLIENTS_MAX * PUBLISHES_MAX) % (uint32_t)plan.groups_count;
            uint32_t number = i / PUBLISHES_MAX % CLIENTS_MAX;
            struct pair pair = {.flow = i % PUBLISHES_MAX,
                                .refused = refused[from][number][i % PUBLISHES_MAX]};
            if (number >= groups[from].clients_count || pair.flow >= groups[from].publishes_count) {
                continue;
            }
            pair.receiver = fleet_world_client(
                &world, to, i / (CLIENTS_MAX * PUBLISHES_MAX * (uint32_t)plan.groups_count));
            pair.publisher = fleet_world_client(&world, from, number);
            if (pair.receiver == NULL || pair.publisher == NULL) {
                continue;
            }
            pair.topic =
                fmx_fleet_fill(pair.publisher, groups[from].publishes[pair.flow].topic, filled);
            look_at_filters(&pair);
            look_at_flow(&pair);
            settle_pair(&pair, prng, &expected[to], &lost[to]);
        }
    }
}

/* Mostly none, sometimes all of them; the ledger hears of them in the order of their PUBACKs. */
static void draw_refusals(struct fmx_prng *prng, const struct fmx_fleet_client *client,
                          uint32_t flow)
{
    static const uint16_t kinds[] = {0, 0, 0xffff, 0x5555, 0x0ff0};
    const struct fmx_fleet_flow *of = fleet_world_flow((struct fmx_fleet_client *)client, flow);
    uint16_t bits = PICK(prng, kinds) & (uint16_t)fmx_prng_next(prng);

    refused[client->crew->team->group][client->number][flow] = bits;
    for (uint32_t i = 0; i < of->sequence - of->skipped; i++) {
        if ((bits >> i & 1) != 0) {
            fmx_refusals_note(client, flow, i);
        }
    }
}

static void draw_clients(struct fmx_prng *prng)
{
    for (uint32_t group = 0; group < plan.groups_count; group++) {
        for (uint32_t i = 0; i < groups[group].clients_count; i++) {
            struct fmx_fleet_client *client = fleet_world_client(&world, group, i);
            if (client == NULL) {
                continue;
            }
            client->is_from_start = fmx_prng_below(prng, 4) > 0;
            client->is_away = fmx_prng_below(prng, 6) == 0;
            for (uint32_t flow = 0; flow < groups[group].publishes_count; flow++) {
                struct fmx_fleet_flow *of = fleet_world_flow(client, flow);
                of->skipped = fmx_prng_below(prng, 5);
                of->sequence = of->skipped + fmx_prng_below(prng, 2) * fmx_prng_below(prng, 16);
                draw_refusals(prng, client, flow);
            }
        }
    }
}

static void race(uint64_t seed)
{
    struct fmx_prng prng = {.state = seed};
    uint64_t expected[GROUPS_MAX] = {0};
    uint64_t lost[GROUPS_MAX] = {0};

    open_world(&prng);
    draw_clients(&prng);
    settle_all_pairs(&prng, expected, lost);
    FMX_SEED_ASSERT(seed, fmx_ledger_settle_shards(&world.fleet, world.shards, world.shards_count));
    for (uint32_t i = 0; i < plan.groups_count; i++) {
        FMX_SEED_ASSERT(seed, FLEET_WORLD_SUM(&world, i, deliveries_expected) == expected[i]);
        FMX_SEED_ASSERT(seed, FLEET_WORLD_SUM(&world, i, deliveries_lost) == lost[i]);
        FMX_SEED_ASSERT(seed, expected[i] - lost[i] == FLEET_WORLD_SUM(&world, i, received_once));
    }
    fleet_world_close(&world);
}

static void sums_are_those_of_all_pairs(void)
{
    for (uint64_t seed = 1; seed <= 800; seed++) {
        race(seed);
    }
}

/* ── coming back ── */

static void open_many(uint32_t count, uint8_t qos, const char *topic, const char *filter)
{
    fmx_fleet_plan_init(&plan);
    plan.groups = groups;
    plan.groups_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        fmx_fleet_group_init(&groups[i]);
        groups[i].targets = targets;
        groups[i].targets_count = 1;
        groups[i].clients_count = count;
        groups[i].client_id = client_ids[i];
    }
    groups[0].publishes = publishes[0];
    groups[0].publishes_count = 1;
    fmx_fleet_publish_init(&publishes[0][0]);
    publishes[0][0].topic = topic;
    publishes[0][0].qos = qos;
    groups[1].subscribes = subscribes[1];
    groups[1].subscribes_count = 1;
    fmx_fleet_subscribe_init(&subscribes[1][0]);
    subscribes[1][0].filter = filter;
    fleet_world_open(&world, &plan, 2);
}

/* A publisher with ten messages, and a receiver that comes back to a session that was not kept. */
static void what_was_refused_before_a_return_is_not_lost(void)
{
    static const uint64_t heard[] = {0, 2, 4, 7, 9}; /* it comes back behind 4 */
    struct fmx_fleet_mark mark;

    open_many(1, 1, "t", "t");
    struct fmx_fleet_client *publisher = fleet_world_client(&world, 0, 0);
    struct fmx_fleet_client *receiver = fleet_world_client(&world, 1, 0);
    fleet_world_flow(publisher, 0)->sequence = 10;
    for (size_t i = 0; i < sizeof heard / sizeof heard[0]; i++) {
        if (i == 3) {
            fmx_fleet_track_leave(receiver);
            fmx_fleet_track_return(receiver, false);
        }
        mark = fleet_world_mark(publisher, 0, heard[i]);
        fmx_fleet_track(receiver, fmx_slice_of("t"), &mark, false);
    }
    fmx_refusals_note(publisher, 0, 8);
    fmx_refusals_note(publisher, 0, 1);
    fmx_refusals_note(publisher, 0, 5);
    CU_ASSERT(fmx_ledger_settle_shards(&world.fleet, world.shards, world.shards_count));
    CU_ASSERT_EQUAL(world.fleet.deliveries_lost, 1); /* 3 is lost, 5 and 6 were not for it */
    CU_ASSERT_EQUAL(world.fleet.deliveries_expected, 6);
    fleet_world_close(&world);
}

/* Of QoS 0 nothing is refused, so nothing is kept to be asked for. */
static void what_is_missing_at_a_return_is_kept_if_it_may_be_refused(void)
{
    for (uint8_t qos = 0; qos < 2; qos++) {
        open_many(1, qos, "t", "t");
        struct fmx_fleet_client *publisher = fleet_world_client(&world, 0, 0);
        struct fmx_fleet_client *receiver = fleet_world_client(&world, 1, 0);
        fleet_world_flow(publisher, 0)->sequence = 10;
        for (uint64_t number = 1; number < 6; number += 2) {
            struct fmx_fleet_mark mark = fleet_world_mark(publisher, 0, number);
            fmx_fleet_track(receiver, fmx_slice_of("t"), &mark, false);
            if (number == 3) {
                fmx_fleet_track_leave(receiver);
                fmx_fleet_track_return(receiver, false);
            }
        }
        CU_ASSERT_EQUAL(receiver->crew->fleet->ledger->closed[1].count, qos > 0 ? 2 : 0);
        CU_ASSERT(fmx_ledger_settle_shards(&world.fleet, world.shards, world.shards_count));
        CU_ASSERT_EQUAL(world.fleet.deliveries_lost, 2 + 4);
        fleet_world_close(&world);
    }
}

/* ── many ── */

static void settle_many(uint32_t count, const char *topic, const char *filter, bool each_has_own)
{
    open_many(count, 0, topic, filter);
    for (uint32_t i = 0; i < count; i++) {
        fleet_world_flow(fleet_world_client(&world, 0, i), 0)->sequence = 3;
    }
    uint64_t begin_ns = fmx_clock_ns();
    CU_ASSERT(fmx_ledger_settle_shards(&world.fleet, world.shards, world.shards_count));
    printf("(%u x %u, %s: %.2f s) ", count, count, filter,
           (double)(fmx_clock_ns() - begin_ns) / 1e9);
    CU_ASSERT_EQUAL(world.fleet.deliveries_lost,
                    each_has_own ? 3ull * count : 3ull * count * count);
    CU_ASSERT_EQUAL(world.fleet.deliveries_expected, world.fleet.deliveries_lost);
    fleet_world_close(&world);
}

static void many_times_many_are_not_looked_at_one_by_one(void)
{
    settle_many(100000, "t/%i/up", "#", false);
    settle_many(100000, "t/%i/up", "t/%i/up", true);
    settle_many(100000, "t/%i/up", "t/%i/#", true);
    settle_many(100000, "t", "t", false);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(sums_are_those_of_all_pairs),
    FMX_TEST_CASE(what_was_refused_before_a_return_is_not_lost),
    FMX_TEST_CASE(what_is_missing_at_a_return_is_kept_if_it_may_be_refused),
    FMX_TEST_CASE(many_times_many_are_not_looked_at_one_by_one),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_settle", cases, sizeof cases / sizeof cases[0], argc, argv);
}
