/*
 * loop_fleet_steering — where stages meet one another, and what is asked for in between: ends that
 * are decided already, clients that are told twice, stages as short as a look
 */
#include "tests/loop/support.h"

#include <unistd.h>

#define CLIENTS 40u

struct world {
    struct fmx_gateway *gateway;
    char target[32];
    const char *targets[1];
    struct fmx_fleet_plan plan;
    struct fmx_fleet_group groups[2];
    struct fmx_fleet_publish publishes[1];
    struct fmx_fleet_stage stages[64];
};

static struct world world;

/* Two groups, the first of which publishes; no stage yet. */
static void begin(void)
{
    loop_begin();
    memset(&world, 0, sizeof world);
    world.gateway = loop_gateway(2);
    snprintf(world.target, sizeof world.target, "127.0.0.1:%u", fmx_gateway_port(world.gateway, 0));
    world.targets[0] = world.target;
    loop_group(&world.groups[0], "a_%i", CLIENTS, world.targets);
    loop_group(&world.groups[1], "b_%i", CLIENTS, world.targets);
    fmx_fleet_publish_init(&world.publishes[0]);
    world.publishes[0].topic = "t/%i";
    world.publishes[0].qos = 1;
    world.publishes[0].interval_ns = 100 * LOOP_MS_NS;
    world.groups[0].publishes = world.publishes;
    world.groups[0].publishes_count = 1;
    loop_plan_of_two(&world.plan, world.groups, world.stages, 0);
}

static struct fmx_fleet_stage *add_stage(enum fmx_fleet_stage_kind kind, unsigned duration_ms)
{
    struct fmx_fleet_stage *stage = &world.stages[world.plan.stages_count++];

    fmx_fleet_stage_init(stage, kind);
    stage->duration_ns = duration_ms * LOOP_MS_NS;
    return stage;
}

static struct fmx_fleet_stage *add_ramp(double rate)
{
    struct fmx_fleet_stage *stage = add_stage(FMX_FLEET_RAMP, 0);

    stage->rate_begin = stage->rate_end = rate;
    return stage;
}

static struct fmx_fleet *start(void)
{
    return loop_fleet_start(&world.plan);
}

static void end(struct fmx_fleet *fleet)
{
    fmx_fleet_stop(fleet);
    fmx_fleet_close(fleet);
    loop_gateway_end(world.gateway);
}

/* ── stages ── */

/* Rates are asked for while one stage after another ends; none of them is laid over another. */
static void stages_may_be_shorter_than_a_look(void)
{
    begin();
    (void)add_ramp(2000);
    for (unsigned i = 0; i < 60; i++) {
        (void)add_stage(FMX_FLEET_HOLD, 5 + i % 10);
    }
    struct fmx_fleet *fleet = start();
    for (unsigned i = 0; i < 2000 && !loop_look(fleet).finished; i++) {
        enum fmx_status status = fmx_fleet_set_rate(fleet, 1 + i % 3);
        CU_ASSERT(status == FMX_OK || status == FMX_FULL);
        loop_pause_ms(5);
    }
    LOOP_WAIT(loop_look(fleet).finished);
    LOOP_EQUAL(loop_look(fleet).stage, 60);
    end(fleet);
}

/* The clock of connects stood between two ramps; its second one begins when its stage does. */
static void second_ramp_begins_with_its_stage(void)
{
    uint64_t messages[CLIENTS];
    uint64_t hash;

    begin();
    add_ramp(2000)->share = 0.5;
    (void)add_stage(FMX_FLEET_HOLD, 2000);
    (void)add_ramp(2000);
    (void)add_stage(FMX_FLEET_HOLD, 300);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).finished);
    fmx_fleet_stop(fleet);
    LOOP_EQUAL(loop_look(fleet).counters.publishes_overdue, 0);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        CU_ASSERT_FATAL(fmx_fleet_hash(fleet, 0, i, &messages[i], &hash));
    }
    for (uint32_t i = CLIENTS / 2; i < CLIENTS; i++) {
        CU_ASSERT(messages[i] + 10 < messages[0]);
        CU_ASSERT(messages[i] <= messages[CLIENTS - 1] + 2);
    }
    end(fleet);
}

/* Who was sent away for good before he came is waited for by no ramp. */
static void ramp_does_not_wait_for_the_stopped(void)
{
    begin();
    struct fmx_fleet_stage *stage = add_ramp(2000);
    stage->groups = 1;
    stage->share = 0.5;
    add_stage(FMX_FLEET_STOP, 0)->groups = 1;
    (void)add_ramp(2000);
    (void)add_stage(FMX_FLEET_HOLD, 100);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).finished);
    LOOP_EQUAL(loop_look(fleet).counters.clients_stopped, CLIENTS);
    LOOP_EQUAL(loop_look(fleet).counters.clients_open, CLIENTS);
    end(fleet);
}

/* The next stage that makes clients leave is known before it begins; the last one goes on. */
static void storm_ends_before_the_next_begins(void)
{
    begin();
    (void)add_ramp(2000);
    struct fmx_fleet_stage *stage = add_stage(FMX_FLEET_STORM, 500);
    stage->within_ns = stage->duration_ns;
    stage->groups = 1;
    stage = add_stage(FMX_FLEET_STORM, 500);
    stage->share = 1e-12;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).finished);
    LOOP_EQUAL(loop_look(fleet).counters.leaves, CLIENTS);
    end(fleet);
}

#define MANY 2500u /* more than leave in one turn */

/* As many as are to leave do so, however soon the next stage that makes clients leave begins. */
static void short_storm_drops_nobody(void)
{
    begin();
    world.groups[1].clients_count = MANY;
    world.plan.mux.shards_count = 1;
    (void)add_ramp(0);
    struct fmx_fleet_stage *stage = add_stage(FMX_FLEET_STORM, 1);
    stage->within_ns = stage->duration_ns;
    stage->groups = 2;
    stage = add_stage(FMX_FLEET_STORM, 0);
    stage->share = 1e-12;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.leaves == MANY);
    end(fleet);
}

/* Leaves of a churn of 1,000 events, of clients that do not come back: so many at least. */
static uint64_t leaves_of_churn(unsigned duration_ms, uint64_t least)
{
    uint64_t leaves;

    begin();
    world.groups[1].clients_count = MANY;
    world.groups[1].reconnect = FMX_FLEET_RECONNECT_FIXED;
    world.groups[1].reconnect_min_ms = 3600000;
    world.plan.mux.shards_count = 1;
    (void)add_ramp(0);
    struct fmx_fleet_stage *stage = add_stage(FMX_FLEET_CHURN, duration_ms);
    stage->rate_begin = stage->rate_end = 1e6 / duration_ms;
    stage->groups = 2;
    stage->is_by_policy = true;
    (void)add_stage(FMX_FLEET_HOLD, 0);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).stage == 2 && loop_look(fleet).counters.leaves >= least);
    do {
        leaves = loop_look(fleet).counters.leaves;
        loop_pause_ms(200);
    } while (loop_look(fleet).counters.leaves > leaves);
    end(fleet);
    return leaves;
}

static void who_leaves_in_a_churn_does_not_depend_on_its_speed(void)
{
    uint64_t leaves = leaves_of_churn(500, 500);

    CU_ASSERT(leaves > 500 && leaves < 1000); /* some are drawn twice */
    LOOP_EQUAL(leaves_of_churn(1, leaves), leaves);
}

/* Nobody comes back any more, so nobody waits ten minutes for what they would have sent. */
static void run_whose_server_is_gone_ends(void)
{
    begin();
    world.groups[0].reconnect = world.groups[1].reconnect = FMX_FLEET_RECONNECT_FIXED;
    world.groups[0].reconnect_min_ms = world.groups[1].reconnect_min_ms = 3600000;
    world.plan.drain_ms = 600000;
    (void)add_ramp(2000);
    (void)add_stage(FMX_FLEET_HOLD, LOOP_SIZE(3000, 5000)); /* longer than the server */
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.publishes_sent > CLIENTS);
    loop_gateway_end(world.gateway);
    LOOP_WAIT(loop_look(fleet).finished);
    struct fmx_fleet_counters seen = loop_look(fleet).counters;
    LOOP_EQUAL(seen.clients_waiting, 2 * CLIENTS);
    CU_ASSERT(seen.publishes_overdue > 0);
    LOOP_EQUAL(seen.publishes_planned, seen.publishes_sent + seen.publishes_overdue);
    fmx_fleet_stop(fleet);
    LOOP_EQUAL(loop_look(fleet).counters.publishes_overdue, seen.publishes_overdue);
    fmx_fleet_close(fleet);
}

/* Who publishes nothing has nothing to be waited for either. */
static void fleet_that_sends_nothing_ends(void)
{
    begin();
    world.groups[0].publishes_count = world.groups[1].publishes_count = 0;
    world.plan.drain_ms = 600000;
    (void)add_ramp(2000);
    (void)add_stage(FMX_FLEET_HOLD, 0);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_open == 2 * CLIENTS);
    end(fleet);
}

/* ── steering ── */

static void pause_before_a_decided_end_only_moves_it(void)
{
    begin();
    add_ramp(2000)->duration_ns = 1500 * LOOP_MS_NS;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).elapsed_ns >= 1320 * LOOP_MS_NS);
    LOOP_EQUAL(fmx_fleet_pause(fleet, true), FMX_OK);
    loop_pause_ms(300);
    LOOP_EQUAL(fmx_fleet_pause(fleet, false), FMX_OK);
    LOOP_WAIT(loop_look(fleet).finished);
    end(fleet);
}

/* Nobody leaves while the shards look at their clocks so many times. */
static bool nobody_leaves(const struct fmx_fleet *fleet, unsigned looks)
{
    uint64_t left = loop_look(fleet).counters.leaves;
    uint64_t seen = loop_latency(fleet, FMX_FLEET_DRIFT).count;

    LOOP_WAIT(loop_latency(fleet, FMX_FLEET_DRIFT).count >= seen + looks);
    return loop_look(fleet).counters.leaves == left;
}

static void storm_stands_still_while_paused(void)
{
    begin();
    (void)add_ramp(2000);
    struct fmx_fleet_stage *stage = add_stage(FMX_FLEET_STORM, 2000);
    stage->within_ns = stage->duration_ns;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.leaves > 5);
    LOOP_EQUAL(fmx_fleet_pause(fleet, true), FMX_OK);
    LOOP_WAIT(loop_look(fleet).is_paused);
    LOOP_WAIT(nobody_leaves(fleet, 20)); /* whose turn came before does */
    CU_ASSERT(nobody_leaves(fleet, 50));
    LOOP_EQUAL(fmx_fleet_pause(fleet, false), FMX_OK);
    LOOP_WAIT(loop_look(fleet).finished);
    LOOP_EQUAL(loop_look(fleet).counters.leaves, 2 * CLIENTS);
    end(fleet);
}

/* A goodbye takes a while; a storm meanwhile calls nobody back who goes for good. */
static void who_is_stopped_stays_so(void)
{
    begin();
    for (unsigned i = 0; i < 2; i++) {
        world.groups[i].link.delay_ms = 200;
        world.groups[i].reconnect = FMX_FLEET_RECONNECT_FIXED;
        world.groups[i].reconnect_min_ms = 1;
    }
    (void)add_ramp(2000);
    (void)add_stage(FMX_FLEET_STOP, 0);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.leaves > 0);
    LOOP_EQUAL(fmx_fleet_storm(fleet, FMX_FLEET_ALL, 1, FMX_FLEET_LEAVE_CLOSE), FMX_OK);
    LOOP_WAIT(loop_look(fleet).finished);
    LOOP_EQUAL(loop_look(fleet).counters.clients_stopped, 2 * CLIENTS);
    LOOP_EQUAL(loop_look(fleet).counters.connects_ok, 2 * CLIENTS);
    end(fleet);
}

/* All are there; who leaves the first group comes back after 100 ms. */
static struct fmx_fleet *start_who_come_back(void)
{
    begin();
    world.groups[0].reconnect = FMX_FLEET_RECONNECT_FIXED;
    world.groups[0].reconnect_min_ms = 100;
    (void)add_ramp(2000);
    (void)add_stage(FMX_FLEET_HOLD, 0);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).ready_ns > 0);
    return fleet;
}

/* While paused nobody comes back; afterwards all do, and each planned connect is begun once. */
static void pause_holds_who_would_come_back(void)
{
    struct fmx_fleet *fleet = start_who_come_back();

    LOOP_EQUAL(fmx_fleet_pause(fleet, true), FMX_OK);
    LOOP_WAIT(loop_look(fleet).is_paused);
    LOOP_EQUAL(fmx_fleet_storm(fleet, 0, 1, FMX_FLEET_LEAVE_CLOSE), FMX_OK);
    LOOP_WAIT(loop_look(fleet).counters.clients_waiting == CLIENTS);
    loop_pause_ms(500);
    LOOP_EQUAL(loop_look(fleet).counters.connects_begun, 2 * CLIENTS);
    LOOP_EQUAL(loop_look(fleet).counters.connects_planned, 2 * CLIENTS);
    LOOP_EQUAL(fmx_fleet_pause(fleet, false), FMX_OK);
    LOOP_WAIT(loop_look(fleet).counters.clients_open == 2 * CLIENTS);
    LOOP_EQUAL(loop_look(fleet).counters.connects_begun, 3 * CLIENTS);
    LOOP_WAIT(loop_look(fleet).counters.connects_planned == 3 * CLIENTS);
    end(fleet);
}

/* Pauses that are over before anybody looks, and rates that are asked for meanwhile. */
static void pauses_that_follow_one_another_lose_nobody(void)
{
    struct fmx_fleet *fleet = start_who_come_back();

    LOOP_EQUAL(fmx_fleet_storm(fleet, 0, 1, FMX_FLEET_LEAVE_CLOSE), FMX_OK);
    for (unsigned i = 0; i < 100; i++) {
        enum fmx_status status = fmx_fleet_pause(fleet, i % 2 == 0);
        CU_ASSERT(status == FMX_OK || status == FMX_FULL);
        status = fmx_fleet_set_rate(fleet, 1 + i % 3);
        CU_ASSERT(status == FMX_OK || status == FMX_FULL);
        loop_pause_ms(i % 16);
    }
    LOOP_WAIT(loop_look(fleet).counters.leaves == CLIENTS);
    LOOP_WAIT(fmx_fleet_pause(fleet, false) == FMX_OK);
    LOOP_WAIT(loop_look(fleet).counters.clients_open == 2 * CLIENTS);
    LOOP_EQUAL(loop_look(fleet).counters.connects_begun, 3 * CLIENTS);
    end(fleet);
}

/* ── many clients, few sessions ── */

/* Everybody who left has come back. */
static bool are_all_back(const struct fmx_fleet *fleet, uint64_t clients)
{
    struct fmx_fleet_counters seen = loop_look(fleet).counters;

    return seen.clients_open == clients && seen.connects_ok == clients + seen.leaves;
}

/* More than leave in one turn; storms that are asked for together follow one another. */
static void storms_of_many_take_turns(void)
{
    begin();
    world.groups[1].clients_count = MANY;
    world.plan.mux.shards_count = 1;
    (void)add_ramp(0);
    (void)add_stage(FMX_FLEET_HOLD, 0);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).ready_ns > 0);
    for (unsigned i = 0; i < 3; i++) {
        LOOP_EQUAL(fmx_fleet_storm(fleet, 1, 1, FMX_FLEET_LEAVE_CLOSE), FMX_OK);
        LOOP_EQUAL(fmx_fleet_storm(fleet, 0, 1, FMX_FLEET_LEAVE_RESET), FMX_OK);
    }
    LOOP_WAIT(loop_look(fleet).counters.leaves >= MANY + CLIENTS);
    for (unsigned i = 0; i < 1000; i++) { /* of nobody, but that takes its time too */
        enum fmx_status status = fmx_fleet_storm(fleet, 0, 1e-12, FMX_FLEET_LEAVE_CLOSE);
        CU_ASSERT(status == FMX_OK || status == FMX_FULL);
    }
    LOOP_WAIT(fmx_fleet_storm(fleet, 0, 1e-12, FMX_FLEET_LEAVE_CLOSE) == FMX_OK);
    LOOP_WAIT(are_all_back(fleet, MANY + CLIENTS));
    LOOP_EQUAL(loop_look(fleet).causes_count, 0);
    end(fleet);
}

/* Few may wait for an answer at a time: the others are let go on one by one, also by a pause. */
static void who_comes_back_stands_in_line(void)
{
    begin();
    world.groups[1].clients_count = MANY;
    world.plan.mux.shards_count = 1;
    world.plan.connects_inflight_max = 3;
    (void)add_ramp(0);
    (void)add_stage(FMX_FLEET_HOLD, 0);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).ready_ns > 0);
    LOOP_EQUAL(fmx_fleet_storm(fleet, FMX_FLEET_ALL, 1, FMX_FLEET_LEAVE_CLOSE), FMX_OK);
    LOOP_WAIT(loop_look(fleet).counters.leaves == MANY + CLIENTS);
    for (unsigned i = 0; i < 10; i++) {
        LOOP_WAIT(fmx_fleet_pause(fleet, i % 2 == 0) == FMX_OK);
        CU_ASSERT(loop_look(fleet).counters.clients_connecting <= 3);
        loop_pause_ms(10);
    }
    LOOP_WAIT(are_all_back(fleet, MANY + CLIENTS));
    LOOP_EQUAL(loop_look(fleet).counters.connects_begun, 2 * (MANY + CLIENTS));
    LOOP_WAIT(loop_look(fleet).counters.connects_planned == 2 * (MANY + CLIENTS));
    LOOP_EQUAL(loop_look(fleet).causes_count, 0);
    end(fleet);
}

static void who_stands_in_line_may_be_sent_away(void)
{
    uint16_t port;
    int listener = loop_listen_anywhere(&port); /* and says nothing to anybody */

    begin();
    snprintf(world.target, sizeof world.target, "127.0.0.1:%u", port);
    world.plan.mux.shards_count = 1;
    world.plan.connects_inflight_max = 1;
    world.plan.groups_count = 1;
    world.groups[0].clients_count = 10;
    world.groups[0].connect_timeout_ms = 100; /* the ramp is over when all have failed once */
    world.groups[0].reconnect = FMX_FLEET_RECONNECT_FIXED;
    world.groups[0].reconnect_min_ms = 1;
    (void)add_ramp(0);
    (void)add_stage(FMX_FLEET_STOP, 0);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_stopped == 10);
    LOOP_EQUAL(loop_look(fleet).counters.connects_ok, 0);
    end(fleet);
    close(listener);
}

/* Ghosts that no server ends hold all sessions: who finds none fails, and says why. */
static void who_finds_no_session_fails(void)
{
    const uint32_t clients = 100;
    const uint32_t spare = clients / 8 + 16;

    begin();
    world.plan.groups_count = 1;
    world.plan.mux.shards_count = 1;
    world.groups[0].clients_count = clients;
    world.groups[0].publishes_count = 0;
    world.groups[0].client_id = "";                             /* nobody is taken over */
    world.groups[0].connect_timeout_ms = LOOP_SIZE(1000, 4000); /* enough for who finds one */
    (void)add_ramp(0);
    (void)add_stage(FMX_FLEET_HOLD, 0);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).ready_ns > 0);
    LOOP_EQUAL(fmx_fleet_storm(fleet, 0, 1, FMX_FLEET_LEAVE_VANISH), FMX_OK);
    LOOP_WAIT(loop_look(fleet).counters.clients_open == spare);
    LOOP_WAIT(loop_look(fleet).counters.connects_planned == 2 * clients);
    LOOP_WAIT(loop_look(fleet).counters.clients_lost == clients - spare);
    struct fmx_fleet_snapshot seen = loop_look(fleet);
    LOOP_EQUAL(seen.counters.connects_planned, 2 * clients);
    LOOP_EQUAL(seen.counters.connects_begun, 2 * clients);
    LOOP_EQUAL(seen.counters.connects_failed, clients - spare);
    LOOP_EQUAL(seen.causes_count, 1);
    LOOP_EQUAL(seen.causes[0].status == FMX_LIMIT_SESSIONS, true);
    LOOP_EQUAL(seen.causes[0].count, clients - spare);
    end(fleet);
}

/* ── looking ── */

static void *look_on(void *user)
{
    const struct fmx_fleet *fleet = user;
    struct fmx_fleet_snapshot seen;

    do {
        fmx_fleet_snapshot(fleet, FMX_FLEET_ALL, &seen);
    } while (seen.hash == 0);
    LOOP_EQUAL(seen.hash, loop_look(fleet).hash);
    return NULL;
}

/* Anybody may look, also while somebody else stops the fleet. */
static void snapshots_may_be_taken_while_it_stops(void)
{
    pthread_t thread;

    begin();
    (void)add_ramp(2000);
    (void)add_stage(FMX_FLEET_HOLD, 0);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.publishes_sent > 50);
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, look_on, fleet) == 0);
    fmx_fleet_stop(fleet);
    pthread_join(thread, NULL);
    end(fleet);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(stages_may_be_shorter_than_a_look),
    FMX_TEST_CASE(second_ramp_begins_with_its_stage),
    FMX_TEST_CASE(ramp_does_not_wait_for_the_stopped),
    FMX_TEST_CASE(storm_ends_before_the_next_begins),
    FMX_TEST_CASE(short_storm_drops_nobody),
    FMX_TEST_CASE(who_leaves_in_a_churn_does_not_depend_on_its_speed),
    FMX_TEST_CASE(run_whose_server_is_gone_ends),
    FMX_TEST_CASE(fleet_that_sends_nothing_ends),
    FMX_TEST_CASE(pause_before_a_decided_end_only_moves_it),
    FMX_TEST_CASE(storm_stands_still_while_paused),
    FMX_TEST_CASE(who_is_stopped_stays_so),
    FMX_TEST_CASE(pause_holds_who_would_come_back),
    FMX_TEST_CASE(pauses_that_follow_one_another_lose_nobody),
    FMX_TEST_CASE(storms_of_many_take_turns),
    FMX_TEST_CASE(who_comes_back_stands_in_line),
    FMX_TEST_CASE(who_stands_in_line_may_be_sent_away),
    FMX_TEST_CASE(who_finds_no_session_fails),
    FMX_TEST_CASE(snapshots_may_be_taken_while_it_stops),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_steering", cases, sizeof cases / sizeof cases[0], argc, argv);
}
