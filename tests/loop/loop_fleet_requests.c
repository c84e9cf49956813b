/*
 * loop_fleet_requests — requests with a Response Topic on real sockets: one group asks, another
 * answers, through a gateway of the open kind
 *
 * Words:          asker N publishes to ask/N and is answered on answer/N; responder N hears ask/N
 */
#include "tests/loop/support.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define PAIRS    LOOP_SIZE(200u, 40u)
#define REQUESTS 10u /* of each */

struct world {
    struct fmx_gateway *gateway;
    struct fmx_fleet *fleet;
    struct fmx_fleet_plan plan;
    struct fmx_fleet_group groups[2]; /* askers, responders */
    struct fmx_fleet_publish asks[2]; /* of one answer topic */
    struct fmx_fleet_subscribe hears;
    struct fmx_fleet_property user;
    struct fmx_fleet_stage stages[3];
    char target[32];
    const char *targets[1];
    _Atomic uint32_t answers;      /* that the gateway has seen */
    _Atomic uint32_t good_answers; /* with Correlation Data, user property and QoS of the request */
};

static struct world world;

static void note_answer(void *user, const struct fmx_gateway_message *message)
{
    size_t offset = 0;
    fmx_slice key = {0};
    fmx_slice value = {0};

    (void)user;
    if (message->topic.bytes < 7 || memcmp(message->topic.data, "answer/", 7) != 0) {
        return;
    }
    bool has_user =
        fmx_user_property_next(message->user_properties, &offset, &key, &value) == FMX_OK &&
        fmx_slice_equal(key, fmx_slice_of("order")) &&
        fmx_slice_equal(value, fmx_slice_of("first"));
    atomic_fetch_add_explicit(&world.answers, 1, memory_order_relaxed);
    if (has_user && message->qos == world.asks[0].qos && message->correlation_data.bytes == 20 &&
        message->response_topic.bytes == 0 &&
        fmx_slice_equal(message->payload, fmx_slice_of("what is it"))) {
        atomic_fetch_add_explicit(&world.good_answers, 1, memory_order_relaxed);
    }
}

static void plan_askers(uint8_t qos)
{
    struct fmx_fleet_group *askers = &world.groups[0];

    world.user = (struct fmx_fleet_property){.key = "order", .value = "first"};
    for (size_t i = 0; i < 2; i++) {
        struct fmx_fleet_publish *ask = &world.asks[i];
        fmx_fleet_publish_init(ask);
        ask->topic = "ask/%i";
        ask->qos = qos;
        ask->interval_ns = 50 * LOOP_MS_NS;
        ask->messages_max = (uint64_t)PAIRS * REQUESTS / 2;
        ask->payload = fmx_slice_of("what is it");
        ask->response_timeout_ms = 60000;
        ask->properties.response_topic = "answer/%i";
        ask->properties.correlation_bytes = 20;
        ask->properties.user = &world.user;
        ask->properties.user_count = 1;
    }
    loop_group(askers, "asker_%i", PAIRS, world.targets);
    askers->publishes = world.asks;
    askers->publishes_count = 2;
}

static void plan_responders(uint8_t qos)
{
    struct fmx_fleet_group *responders = &world.groups[1];

    fmx_fleet_subscribe_init(&world.hears);
    world.hears.filter = "ask/%i";
    world.hears.qos = qos;
    loop_group(responders, "responder_%i", PAIRS, world.targets);
    responders->subscribes = &world.hears;
    responders->subscribes_count = 1;
    responders->calls.answer = FMX_FLEET_ANSWER_ECHO;
}

/* Responders come first. What the gateway's callback reads is written before its shards begin. */
static void begin(uint8_t qos, uint32_t shards_count)
{
    struct fmx_gateway_options options;

    memset(&world, 0, sizeof world);
    plan_askers(qos);
    plan_responders(qos);
    loop_begin();
    loop_gateway_options(&options, 2);
    options.callbacks.on_message = note_answer;
    world.gateway = loop_gateway_start(&options);
    snprintf(world.target, sizeof world.target, "127.0.0.1:%u", fmx_gateway_port(world.gateway, 0));
    world.targets[0] = world.target;
    loop_stages_of_two(world.stages, 1);
    loop_plan_of_two(&world.plan, world.groups, world.stages, 3);
    world.plan.mux.shards_count = shards_count;
    world.plan.mux.log_level = FMX_LOG_WARN;
}

static void end(void)
{
    fmx_fleet_stop(world.fleet);
    fmx_fleet_close(world.fleet);
    loop_gateway_end(world.gateway);
}

static struct fmx_fleet_counters look(uint32_t group)
{
    struct fmx_fleet_snapshot snapshot;

    fmx_fleet_snapshot(world.fleet, group, &snapshot);
    return snapshot.counters;
}

static uint64_t measured(enum fmx_fleet_latency latency)
{
    struct fmx_distribution *sum = calloc(1, sizeof *sum);

    CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
    fmx_distribution_init(sum);
    fmx_fleet_distribution(world.fleet, 0, latency, sum);
    uint64_t total = sum->total;
    free(sum);
    return total;
}

/* ── the cases ── */

static void expect_every_request_answered(uint8_t qos, uint32_t shards_count, uint32_t delay_ms)
{
    begin(qos, shards_count);
    world.groups[1].calls.delay_ms = delay_ms;
    world.fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(look(0).requests_answered == PAIRS * REQUESTS);
    LOOP_EQUAL(look(0).publishes_sent, PAIRS * REQUESTS);
    LOOP_EQUAL(look(0).requests_timeout + look(0).responses_foreign, 0);
    LOOP_EQUAL(look(0).received, 0);
    LOOP_EQUAL(look(0).subscribes_refused, 0);
    LOOP_EQUAL(look(1).calls_received, PAIRS * REQUESTS);
    LOOP_EQUAL(look(1).calls_answered, PAIRS * REQUESTS);
    LOOP_EQUAL(look(1).publishes_sent, 0);
    LOOP_EQUAL(look(1).publishes_acked, 0);
    LOOP_EQUAL(measured(FMX_FLEET_REQUEST), PAIRS * REQUESTS);
    LOOP_EQUAL(measured(FMX_FLEET_REQUEST_RAW), PAIRS * REQUESTS);
    LOOP_EQUAL(world.answers, PAIRS * REQUESTS);
    LOOP_EQUAL(world.good_answers, PAIRS * REQUESTS);
    LOOP_EQUAL(look(FMX_FLEET_ALL).connections_lost, 0);
    end();
}

static void every_request_is_answered(void)
{
    expect_every_request_answered(0, 1, 0);
}

static void every_request_is_answered_at_its_own_qos(void)
{
    expect_every_request_answered(1, 2, 0);
}

static void answers_may_take_their_time(void)
{
    expect_every_request_answered(1, 2, 20);
}

static void requests_that_nobody_answers_time_out(void)
{
    begin(0, 2);
    world.groups[1].calls.answer = FMX_FLEET_ANSWER_NEVER;
    world.asks[0].response_timeout_ms = world.asks[1].response_timeout_ms = 50;
    world.fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(look(0).requests_timeout == PAIRS * REQUESTS);
    LOOP_WAIT(look(1).calls_received == PAIRS * REQUESTS);
    LOOP_EQUAL(look(0).requests_answered + look(0).responses_foreign, 0);
    LOOP_EQUAL(look(1).calls_answered, 0);
    LOOP_EQUAL(measured(FMX_FLEET_REQUEST), 0);
    end();
}

/* One request each; all askers go, and come back, before any answer does. */
static void requests_outlive_their_connection(void)
{
    begin(1, 2);
    world.groups[0].publishes_count = 1;
    world.asks[0].messages_max = PAIRS;
    world.groups[0].clean = false;
    world.groups[0].session_expiry_s = 60;
    world.groups[0].reconnect = FMX_FLEET_RECONNECT_FIXED;
    world.groups[0].reconnect_min_ms = 1;
    world.groups[1].calls.delay_ms = LOOP_SIZE(1500, 4000);
    world.fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(look(0).publishes_acked == PAIRS);
    CU_ASSERT_EQUAL(fmx_fleet_storm(world.fleet, 0, 1, FMX_FLEET_LEAVE_RESET), FMX_OK);
    LOOP_WAIT(look(0).connects_ok == 2 * PAIRS);
    LOOP_WAIT(look(0).requests_answered == PAIRS);
    LOOP_EQUAL(look(0).requests_timeout, 0);
    end();
}

/* They vanish with calls on their mind: nobody answers, and nothing falls over. */
static void who_has_vanished_answers_nothing(void)
{
    begin(1, 2);
    world.groups[1].calls.delay_ms = LOOP_SIZE(300, 1500);
    world.groups[1].reconnect = FMX_FLEET_RECONNECT_FIXED; /* not while we look */
    world.groups[1].reconnect_min_ms = 3600000;
    world.groups[1].reconnect_max_ms = 3600000;
    world.asks[0].response_timeout_ms = world.asks[1].response_timeout_ms = LOOP_SIZE(1500, 6000);
    world.fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(look(1).calls_received >= PAIRS);
    CU_ASSERT_EQUAL(fmx_fleet_storm(world.fleet, 1, 1, FMX_FLEET_LEAVE_VANISH), FMX_OK);
    LOOP_WAIT(look(1).ghosts == PAIRS);
    LOOP_WAIT(look(0).requests_timeout + look(0).requests_answered == PAIRS * REQUESTS);
    LOOP_EQUAL(look(0).requests_answered, look(1).calls_answered);
    LOOP_EQUAL(look(0).responses_foreign, 0);
    end();
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(every_request_is_answered),
    FMX_TEST_CASE(every_request_is_answered_at_its_own_qos),
    FMX_TEST_CASE(answers_may_take_their_time),
    FMX_TEST_CASE(requests_that_nobody_answers_time_out),
    FMX_TEST_CASE(requests_outlive_their_connection),
    FMX_TEST_CASE(who_has_vanished_answers_nothing),
};

int main(int argc, char **argv)
{
    return fmx_test_main("loop_fleet_requests", cases, sizeof cases / sizeof cases[0], argc, argv);
}
