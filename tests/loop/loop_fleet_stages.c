/*
 * loop_fleet_stages — groups, stages, several topics, steering, and streams that depend on the seed
 * alone
 */
#include "tests/loop/support.h"

#define METERS 60u
#define CARS   40u

struct world {
    struct fmx_gateway *gateway;
    char target[32];
    const char *targets[1];
    struct fmx_fleet_plan plan;
    struct fmx_fleet_group groups[2];
    struct fmx_fleet_publish meters[3];
    struct fmx_fleet_publish cars[1];
    struct fmx_fleet_subscribe hears[1];
    struct fmx_fleet_stage stages[4];
};

static struct world world;

static void begin_publish(struct fmx_fleet_publish *publish, const char *topic,
                          uint64_t interval_ns)
{
    fmx_fleet_publish_init(publish);
    publish->topic = topic;
    publish->qos = 1;
    publish->interval_ns = interval_ns;
}

/* Meters with three topics, cars that hear all of one; ramp without publishing, hold with it. */
static void begin(uint32_t shards_count)
{
    loop_begin();
    memset(&world, 0, sizeof world);
    world.gateway = loop_gateway(2);
    snprintf(world.target, sizeof world.target, "127.0.0.1:%u", fmx_gateway_port(world.gateway, 0));
    world.targets[0] = world.target;
    loop_group(&world.groups[0], "meter_%i", METERS, world.targets);
    world.groups[0].name = "meters";
    begin_publish(&world.meters[0], "m/%i/power", 50 * LOOP_MS_NS);
    begin_publish(&world.meters[1], "m/%i/alarm", 200 * LOOP_MS_NS);
    world.meters[1].schedule = FMX_FLEET_POISSON;
    world.meters[1].text = "{\"w\":%{real:0:100:2},\"n\":%s,\"at\":%t,\"mark\":\"%m\"}";
    begin_publish(&world.meters[2], "m/%i/burst", 500 * LOOP_MS_NS);
    world.meters[2].schedule = FMX_FLEET_BURSTS;
    world.meters[2].burst_count = 3;
    world.groups[0].publishes = world.meters;
    world.groups[0].publishes_count = 3;
    loop_group(&world.groups[1], "car_%i", CARS, world.targets);
    world.groups[1].name = "cars";
    fmx_fleet_subscribe_init(&world.hears[0]);
    world.hears[0].filter = "m/%i/+";
    world.hears[0].qos = 1;
    world.groups[1].subscribes = world.hears;
    world.groups[1].subscribes_count = 1;
    fmx_fleet_stage_init(&world.stages[0], FMX_FLEET_RAMP);
    world.stages[0].rate_begin = world.stages[0].rate_end = 2000;
    world.stages[0].publish_begin = world.stages[0].publish_end = 0;
    fmx_fleet_stage_init(&world.stages[1], FMX_FLEET_HOLD);
    world.stages[1].duration_ns = 2000 * LOOP_MS_NS;
    loop_plan_of_two(&world.plan, world.groups, world.stages, 2);
    world.plan.mux.shards_count = shards_count;
    world.plan.seed = 7;
}

static void end(struct fmx_fleet *fleet)
{
    fmx_fleet_close(fleet);
    loop_gateway_end(world.gateway);
}

static void check_ledger(const struct fmx_fleet_counters *seen)
{
    LOOP_EQUAL(seen->publishes_planned,
               seen->publishes_sent + seen->publishes_skipped + seen->publishes_overdue);
    LOOP_EQUAL(seen->publishes_sent_qos1, seen->publishes_acked + seen->publishes_refused +
                                              seen->publishes_unacked +
                                              seen->publishes_outstanding);
    LOOP_EQUAL(seen->received_duplicate + seen->received_reordered + seen->received_gap, 0);
    LOOP_EQUAL(seen->deliveries_lost, 0);
}

/* ── streams ── */

/* Ten runs have to fit into some seconds. */
static void begin_streams(uint32_t shards_count)
{
    begin(shards_count);
    world.stages[1].duration_ns = 300 * LOOP_MS_NS;
}

static void remember(const struct fmx_fleet *fleet, uint64_t *out_hashes)
{
    for (uint32_t i = 0; i < METERS; i++) {
        uint64_t messages;
        CU_ASSERT_FATAL(fmx_fleet_hash(fleet, 0, i, &messages, &out_hashes[i]));
        CU_ASSERT(messages > 0);
    }
}

static uint64_t run_once(uint32_t shards_count, uint64_t *out_hashes)
{
    begin_streams(shards_count);
    struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(loop_look(fleet).finished);
    fmx_fleet_stop(fleet);
    struct fmx_fleet_snapshot seen = loop_look(fleet);
    check_ledger(&seen.counters);
    LOOP_EQUAL(seen.counters.publishes_overdue, 0);
    LOOP_EQUAL(seen.counters.deliveries_expected, seen.counters.received);
    CU_ASSERT(seen.counters.received > 0);
    remember(fleet, out_hashes);
    end(fleet);
    return seen.hash;
}

static void one_seed_gives_one_stream_over_runs_and_shards(void)
{
    uint64_t first[METERS];
    uint64_t again[METERS];
    uint64_t hash = run_once(1, first);

    CU_ASSERT_NOT_EQUAL(hash, 0);
    for (unsigned run = 1; run < LOOP_SIZE(10, 3); run++) {
        LOOP_EQUAL(run_once(1 + run % 2, again), hash);
        CU_ASSERT_EQUAL(memcmp(first, again, sizeof first), 0);
    }
    for (uint32_t i = 1; i < METERS; i++) {
        CU_ASSERT_NOT_EQUAL(first[i], first[0]);
    }
}

static void parts_have_the_streams_of_the_whole(void)
{
    uint64_t whole[METERS];

    (void)run_once(2, whole);
    for (uint32_t part = 0; part < 3; part++) {
        begin_streams(2);
        world.plan.part = part;
        world.plan.parts_count = 3;
        struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
        LOOP_WAIT(loop_look(fleet).finished);
        fmx_fleet_stop(fleet);
        for (uint32_t i = 0; i < METERS; i++) {
            uint64_t messages;
            uint64_t hash;
            bool is_own = fmx_fleet_hash(fleet, 0, i, &messages, &hash);
            CU_ASSERT_EQUAL(is_own, i % 3 == part);
            CU_ASSERT(!is_own || hash == whole[i]);
        }
        end(fleet);
    }
}

static void another_seed_gives_other_streams(void)
{
    uint64_t first[METERS];
    uint64_t other[METERS];
    uint64_t hash = run_once(1, first);

    begin_streams(1);
    world.plan.seed = 8;
    struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(loop_look(fleet).finished);
    fmx_fleet_stop(fleet);
    CU_ASSERT_NOT_EQUAL(loop_look(fleet).hash, hash);
    remember(fleet, other);
    CU_ASSERT_NOT_EQUAL(memcmp(first, other, sizeof first), 0);
    end(fleet);
}

/* ── stages ── */

static void ramps_go_as_far_as_their_share(void)
{
    begin(2);
    world.stages[0].share = 0.5; /* and two seconds to look at it */
    fmx_fleet_stage_init(&world.stages[2], FMX_FLEET_RAMP);
    world.stages[2].rate_begin = world.stages[2].rate_end = 1000;
    world.stages[2].publish_begin = world.stages[2].publish_end = 0;
    fmx_fleet_stage_init(&world.stages[3], FMX_FLEET_HOLD);
    world.plan.stages_count = 4;
    struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(loop_look(fleet).stage == 1);
    LOOP_EQUAL(loop_look(fleet).counters.clients_open, (METERS + CARS) / 2);
    LOOP_WAIT(loop_look(fleet).stage == 3);
    LOOP_EQUAL(loop_look(fleet).counters.clients_open, METERS + CARS);
    CU_ASSERT(loop_look(fleet).ready_ns > 0);
    fmx_fleet_stop(fleet);
    struct fmx_fleet_snapshot seen = loop_look(fleet);
    check_ledger(&seen.counters);
    LOOP_EQUAL(seen.counters.connects_planned, METERS + CARS);
    end(fleet);
}

/* Is everybody back, from each time that somebody left? */
static bool are_all_back(const struct fmx_fleet *fleet, struct fmx_fleet_snapshot *out_seen)
{
    *out_seen = loop_look(fleet);
    return out_seen->counters.clients_open == METERS + CARS &&
           out_seen->counters.connects_ok == METERS + CARS + out_seen->counters.leaves;
}

/* Who leaves in a churn comes back, if there is time for it; nothing is wrong with either. */
static void churn_goes_round(void)
{
    static const enum fmx_fleet_leave leaves[] = {FMX_FLEET_LEAVE_DISCONNECT, FMX_FLEET_LEAVE_CLOSE,
                                                  FMX_FLEET_LEAVE_RESET, FMX_FLEET_LEAVE_VANISH};
    struct fmx_fleet_snapshot seen;

    for (unsigned i = 0; i < 4; i++) {
        begin(2);
        world.stages[1].kind = FMX_FLEET_CHURN;
        world.stages[1].rate_begin = world.stages[1].rate_end = 200;
        world.stages[1].duration_ns = 500 * LOOP_MS_NS;
        world.stages[1].leave = leaves[i];
        fmx_fleet_stage_init(&world.stages[2], FMX_FLEET_HOLD); /* for ever */
        world.plan.stages_count = 3;
        struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
        LOOP_WAIT(loop_look(fleet).stage == 2);
        LOOP_WAIT(loop_look(fleet).counters.leaves >= 50);
        LOOP_WAIT(are_all_back(fleet, &seen));
        LOOP_EQUAL(seen.counters.connections_lost + seen.counters.connects_failed, 0);
        LOOP_EQUAL(seen.causes_count, 0);
        CU_ASSERT(leaves[i] != FMX_FLEET_LEAVE_VANISH || loop_stats(world.gateway).takeovers > 0);
        fmx_fleet_stop(fleet);
        end(fleet);
    }
}

static void storm_takes_a_share_and_stop_takes_all(void)
{
    begin(2);
    fmx_fleet_stage_init(&world.stages[1], FMX_FLEET_STORM);
    world.stages[1].share = 0.5;
    world.stages[1].groups = 1;
    world.stages[1].within_ns = 100 * LOOP_MS_NS;
    world.stages[1].duration_ns = 1000 * LOOP_MS_NS;
    fmx_fleet_stage_init(&world.stages[2], FMX_FLEET_STOP);
    world.stages[2].rate_begin = world.stages[2].rate_end = 1000;
    world.plan.stages_count = 3;
    struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(loop_look(fleet).stage == 2);
    uint64_t left = loop_look(fleet).counters.leaves;
    CU_ASSERT(left >= METERS / 4 && left <= METERS * 3 / 4 + METERS + CARS);
    LOOP_WAIT(loop_look(fleet).finished);
    struct fmx_fleet_snapshot seen = loop_look(fleet);
    LOOP_EQUAL(seen.counters.clients_stopped, METERS + CARS);
    LOOP_EQUAL(seen.causes_count, 0);
    fmx_fleet_stop(fleet);
    end(fleet);
}

/* ── steering ── */

/* Nothing is planned while the shards look at their clocks so many times. */
static bool stands_still(const struct fmx_fleet *fleet, unsigned looks)
{
    uint64_t planned = loop_look(fleet).counters.publishes_planned;
    uint64_t seen = loop_latency(fleet, FMX_FLEET_DRIFT).count;

    LOOP_WAIT(loop_latency(fleet, FMX_FLEET_DRIFT).count >= seen + looks);
    return loop_look(fleet).counters.publishes_planned == planned;
}

static void rate_and_pause_take_effect(void)
{
    begin(2);
    world.stages[1].duration_ns = 0;
    struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(loop_look(fleet).counters.publishes_sent > 100);
    double wanted = loop_look(fleet).publishes_wanted;
    LOOP_EQUAL(fmx_fleet_set_rate(fleet, 3), FMX_OK);
    LOOP_WAIT(loop_look(fleet).rate == 3);
    LOOP_WAIT(loop_look(fleet).publishes_wanted > 2.9 * wanted);
    uint64_t before = loop_look(fleet).counters.publishes_planned;
    LOOP_WAIT(loop_look(fleet).counters.publishes_planned > before + 500);
    LOOP_EQUAL(fmx_fleet_pause(fleet, true), FMX_OK);
    LOOP_WAIT(loop_look(fleet).is_paused);
    LOOP_WAIT(loop_look(fleet).publishes_wanted == 0);
    LOOP_WAIT(stands_still(fleet, 20)); /* who is late counts what fell due before */
    LOOP_WAIT(loop_look(fleet).counters.publishes_overdue == 0);
    CU_ASSERT(stands_still(fleet, 20));
    before = loop_look(fleet).counters.publishes_planned;
    LOOP_EQUAL(fmx_fleet_pause(fleet, false), FMX_OK);
    LOOP_WAIT(loop_look(fleet).counters.publishes_planned > before + 100);
    LOOP_EQUAL(fmx_fleet_set_rate(fleet, -1), FMX_E_ARGUMENT);
    LOOP_EQUAL(fmx_fleet_storm(fleet, 5, 1, FMX_FLEET_LEAVE_CLOSE), FMX_E_ARGUMENT);
    LOOP_EQUAL(fmx_fleet_storm(fleet, 0, 0, FMX_FLEET_LEAVE_CLOSE), FMX_E_ARGUMENT);
    fmx_fleet_stop(fleet);
    LOOP_EQUAL(fmx_fleet_pause(fleet, true), FMX_E_STATE);
    struct fmx_fleet_snapshot seen = loop_look(fleet);
    check_ledger(&seen.counters);
    end(fleet);
}

static void storms_can_be_asked_for(void)
{
    begin(2);
    world.stages[1].duration_ns = 0;
    world.groups[0].reconnect = FMX_FLEET_RECONNECT_FIXED;
    world.groups[0].reconnect_min_ms = 20;
    struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(loop_look(fleet).ready_ns > 0);
    LOOP_EQUAL(fmx_fleet_storm(fleet, 0, 1, FMX_FLEET_LEAVE_RESET), FMX_OK);
    LOOP_WAIT(loop_look(fleet).counters.connects_ok == 2 * METERS + CARS);
    LOOP_WAIT(loop_look(fleet).counters.clients_open == METERS + CARS);
    LOOP_EQUAL(loop_look(fleet).counters.leaves, METERS);
    fmx_fleet_stop(fleet);
    end(fleet);
}

/* ── what falls due while a client is away ── */

static void messages_of_the_absent_are_late_or_skipped(void)
{
    for (unsigned skips = 0; skips < 2; skips++) {
        begin(1);
        for (unsigned i = 0; i < 3; i++) {
            world.meters[i].skip_when_away = skips != 0;
        }
        world.groups[0].reconnect = FMX_FLEET_RECONNECT_FIXED;
        world.groups[0].reconnect_min_ms = 400;
        struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
        LOOP_WAIT(loop_look(fleet).counters.publishes_sent > 200);
        LOOP_EQUAL(fmx_fleet_storm(fleet, 0, 1, FMX_FLEET_LEAVE_DISCONNECT), FMX_OK);
        LOOP_WAIT(loop_look(fleet).finished);
        fmx_fleet_stop(fleet);
        struct fmx_fleet_snapshot seen = loop_look(fleet);
        check_ledger(&seen.counters);
        LOOP_EQUAL(seen.counters.publishes_overdue, 0);
        LOOP_EQUAL(seen.counters.publishes_skipped > 0, skips != 0);
        CU_ASSERT(skips != 0 || loop_latency(fleet, FMX_FLEET_BLOCKED).max_ns > 300 * LOOP_MS_NS);
        end(fleet);
    }
}

#define DRAWN_CLIENTS 4u
#define DRAWN         50000u /* messages of each: more than are counted in one turn */

/* All are planned while their clients are away: a storm is the first that happens. */
static struct fmx_fleet_snapshot draw_many(bool has_storm, bool skips)
{
    begin(1);
    world.plan.groups_count = 1;
    world.groups[0].clients_count = DRAWN_CLIENTS;
    world.groups[0].publishes_count = 1;
    world.groups[0].reconnect = FMX_FLEET_RECONNECT_FIXED;
    world.groups[0].reconnect_min_ms = 400;
    world.meters[0].schedule = FMX_FLEET_POISSON;
    world.meters[0].qos = 0;
    world.meters[0].interval_ns = LOOP_MS_NS / 200;
    world.meters[0].messages_max = DRAWN_CLIENTS * DRAWN;
    world.meters[0].skip_when_away = skips;
    fmx_fleet_stage_init(&world.stages[1], has_storm ? FMX_FLEET_STORM : FMX_FLEET_HOLD);
    world.stages[1].duration_ns = 0;
    world.stages[1].is_by_policy = true;
    struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(loop_look(fleet).finished);
    fmx_fleet_stop(fleet);
    struct fmx_fleet_snapshot seen = loop_look(fleet);
    check_ledger(&seen.counters);
    LOOP_EQUAL(seen.counters.publishes_planned, DRAWN_CLIENTS * DRAWN);
    LOOP_EQUAL(seen.counters.publishes_overdue, 0);
    LOOP_EQUAL(seen.counters.leaves, has_storm ? DRAWN_CLIENTS : 0);
    end(fleet);
    return seen;
}

/* What fell due meanwhile is counted in parts; it is the same stream, and nothing is forgotten. */
static void absence_changes_no_stream_that_is_drawn(void)
{
    uint64_t hash = draw_many(false, false).hash;

    LOOP_EQUAL(draw_many(true, false).hash, hash);
    CU_ASSERT(draw_many(true, true).counters.publishes_skipped > DRAWN_CLIENTS * DRAWN / 2);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(one_seed_gives_one_stream_over_runs_and_shards),
    FMX_TEST_CASE(parts_have_the_streams_of_the_whole),
    FMX_TEST_CASE(another_seed_gives_other_streams),
    FMX_TEST_CASE(ramps_go_as_far_as_their_share),
    FMX_TEST_CASE(churn_goes_round),
    FMX_TEST_CASE(storm_takes_a_share_and_stop_takes_all),
    FMX_TEST_CASE(rate_and_pause_take_effect),
    FMX_TEST_CASE(storms_can_be_asked_for),
    FMX_TEST_CASE(messages_of_the_absent_are_late_or_skipped),
    FMX_TEST_CASE(absence_changes_no_stream_that_is_drawn),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_stages", cases, sizeof cases / sizeof cases[0], argc, argv);
}
