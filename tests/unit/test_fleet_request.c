/*
 * test_fleet_request — requests wait for their answers, one by one, over reconnects, and not for
 * ever; requests of others are answered where they say
 */
#include "engine/roles/fleet_request.h"
#include "engine/shard.h"
#include "tests/support/run.h"

#include <stdio.h>
#include <stdlib.h>

#define ERROR_BYTES 512
#define MS          1000000ull
#define CLIENTS     3u

/* One shard, whose clients have connections that lead nowhere. */
struct world {
    struct fmx_shard shard;
    struct fmx_fleet fleet;
    struct fmx_fleet_shard part;
    struct fmx_fleet_crew *crew;
    struct fmx_fleet_crew *crews[1];
    struct fmx_fleet_client clients[CLIENTS];
    struct {
        struct fmx_conn conn;
        struct fmx_fleet_part part;
    } conns[CLIENTS];
};

static struct world world;

/* Two requests with topics of their own, one with the first's, and a message that is none. */
static void open_world(void)
{
    static const char *const targets[] = {"127.0.0.1:1883"};
    static const char *const topics[] = {"answers/%c", "other/%c", "answers/%c", NULL};
    struct fmx_fleet_publish publishes[4];
    struct fmx_fleet_group group;
    struct fmx_fleet_plan plan;
    char error[ERROR_BYTES] = "";

    memset(&world, 0, sizeof world);
    fmx_fleet_plan_init(&plan);
    fmx_fleet_group_init(&group);
    for (size_t i = 0; i < 4; i++) {
        fmx_fleet_publish_init(&publishes[i]);
        publishes[i].topic = "ask";
        publishes[i].properties.response_topic = topics[i];
        publishes[i].response_timeout_ms = topics[i] == NULL ? 0 : 1000 * (3 - (uint32_t)i);
    }
    group.clients_count = CLIENTS;
    group.targets = targets;
    group.targets_count = 1;
    group.publishes = publishes;
    group.publishes_count = 4;
    plan.groups = &group;
    plan.groups_count = 1;
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_plan_check(&plan, error, sizeof error), FMX_OK);
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_teams_open(&world.fleet, &plan, error, sizeof error), FMX_OK);
    world.shard.role_state = &world.part;
    world.shard.shards_count = 1;
    world.shard.now_ns = 1000 * MS;
    fmx_wheel_init(&world.shard.wheel, world.shard.now_ns);
    world.part.fleet = &world.fleet;
    world.part.shard = &world.shard;
    world.part.crews = world.crews;
    world.crews[0] = world.crew = calloc(1, sizeof *world.crew);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world.crew);
    world.crew->team = &world.fleet.teams[0];
    world.crew->fleet = &world.part;
    world.crew->clients = world.clients;
    world.crew->clients_count = CLIENTS;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        world.clients[i].crew = world.crew;
        world.clients[i].number = i & FMX_FLEET_NUMBER_MASK;
        world.conns[i].conn.shard = &world.shard;
        world.conns[i].part.client = &world.clients[i];
    }
    CU_ASSERT_FATAL(fmx_fleet_requests_open(&world.part));
}

static void close_world(void)
{
    fmx_fleet_requests_close(&world.part);
    fmx_fleet_teams_close(&world.fleet);
    free(world.crew);
}

/* As the shard does: moves the time, and carries out the timer if it is due. */
static void pass(uint64_t ns)
{
    world.shard.now_ns += ns;
    while (fmx_wheel_pop(&world.shard.wheel, world.shard.now_ns) != NULL) {
        fmx_fleet_requests_due(&world.part);
    }
}

static bool ask(uint32_t client, uint32_t topic, uint64_t sequence)
{
    uint64_t now_ns = world.shard.now_ns;

    return fmx_fleet_request_sent(&world.clients[client], topic, sequence, now_ns - 5 * MS, now_ns);
}

/* An answer whose Correlation Data names that request, to client `to`. */
static bool answer_to(uint32_t to, const char *on, uint32_t client, uint32_t topic,
                      uint64_t sequence)
{
    uint64_t name = fmx_fleet_request_name(client, topic, sequence);
    uint8_t data[12] = {0};
    struct fmx_publish publish = {.topic = fmx_slice_of(on)};

    for (unsigned i = 0; i < 8; i++) {
        data[i] = (uint8_t)(name >> (56 - 8 * i));
    }
    publish.props.present = FMX_PROP_BIT(FMX_PROP_CORRELATION_DATA);
    publish.props.correlation_data = (fmx_slice){.data = data, .bytes = sizeof data};
    return fmx_fleet_on_answer(&world.conns[to].conn, &publish);
}

static uint64_t value(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t measured(enum fmx_fleet_latency latency)
{
    struct fmx_distribution *sum = calloc(1, sizeof *sum);
    uint64_t max_ns;

    CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
    fmx_distribution_init(sum);
    fmx_histogram_add_to(&world.crew->histograms[latency], sum);
    max_ns = sum->max_ns;
    free(sum);
    return max_ns;
}

/* ── names ── */

static void a_name_is_one_requests_in_the_plan(void)
{
    const uint64_t first = fmx_fleet_request_name(0, 0, 0);

    CU_ASSERT_EQUAL(first, 0);
    CU_ASSERT_EQUAL(fmx_fleet_request_name(0, 0, (1ull << 34) - 1) + 1,
                    fmx_fleet_request_name(1, 0, 0));
    CU_ASSERT_EQUAL(fmx_fleet_request_name(FMX_FLEET_NUMBER_MASK, 0, (1ull << 34) - 1) + 1,
                    fmx_fleet_request_name(0, 1, 0));
    CU_ASSERT_EQUAL(fmx_fleet_request_name(0, 0, 1ull << 34), first);
    CU_ASSERT_EQUAL(fmx_fleet_request_index(fmx_fleet_request_name(15999999, 63, 5)), 15999999);
}

/* ── answers ── */

static void an_answer_ends_its_request_and_no_other(void)
{
    open_world();
    CU_ASSERT(ask(0, 0, 7) && ask(0, 0, 8) && ask(0, 1, 7) && ask(1, 0, 7));
    CU_ASSERT_EQUAL(fmx_fleet_requests_waiting(&world.part), 4);
    pass(10 * MS);
    CU_ASSERT(answer_to(0, "answers/fleetmux_1", 0, 0, 8));
    CU_ASSERT_EQUAL(fmx_fleet_requests_waiting(&world.part), 3);
    CU_ASSERT_EQUAL(value(&world.crew->counters.requests_answered), 1);
    CU_ASSERT(answer_to(0, "answers/fleetmux_1", 0, 0, 8)); /* once more */
    CU_ASSERT_EQUAL(value(&world.crew->counters.responses_foreign), 1);
    CU_ASSERT(answer_to(0, "other/fleetmux_1", 0, 1, 7));
    CU_ASSERT(answer_to(1, "answers/fleetmux_2", 1, 0, 7));
    CU_ASSERT(answer_to(0, "answers/fleetmux_1", 0, 0, 7));
    CU_ASSERT_EQUAL(fmx_fleet_requests_waiting(&world.part), 0);
    CU_ASSERT_EQUAL(value(&world.crew->counters.requests_answered), 4);
    CU_ASSERT_EQUAL(value(&world.crew->counters.requests_timeout), 0);
    close_world();
}

static void answers_are_measured_from_planned_and_from_sent(void)
{
    open_world();
    CU_ASSERT(ask(0, 0, 1));
    pass(20 * MS);
    CU_ASSERT(answer_to(0, "answers/fleetmux_1", 0, 0, 1));
    CU_ASSERT(measured(FMX_FLEET_REQUEST) >= 25 * MS && measured(FMX_FLEET_REQUEST) < 26 * MS);
    CU_ASSERT(measured(FMX_FLEET_REQUEST_RAW) >= 20 * MS);
    CU_ASSERT(measured(FMX_FLEET_REQUEST_RAW) < 21 * MS);
    close_world();
}

static void an_answer_to_somebody_else_is_foreign(void)
{
    struct fmx_publish bare = {.topic = fmx_slice_of("answers/fleetmux_1")};
    uint8_t few[7] = {0};

    open_world();
    CU_ASSERT(ask(1, 0, 1));
    CU_ASSERT(answer_to(0, "answers/fleetmux_1", 1, 0, 1));
    CU_ASSERT(fmx_fleet_on_answer(&world.conns[0].conn, &bare));
    bare.props.present = FMX_PROP_BIT(FMX_PROP_CORRELATION_DATA);
    bare.props.correlation_data = (fmx_slice){.data = few, .bytes = sizeof few};
    CU_ASSERT(fmx_fleet_on_answer(&world.conns[0].conn, &bare));
    CU_ASSERT_EQUAL(value(&world.crew->counters.responses_foreign), 3);
    CU_ASSERT_EQUAL(fmx_fleet_requests_waiting(&world.part), 1);
    close_world();
}

static void a_message_elsewhere_is_no_answer(void)
{
    open_world();
    CU_ASSERT(ask(0, 0, 1));
    CU_ASSERT_FALSE(answer_to(0, "ask", 0, 0, 1)); /* the request itself, heard again */
    CU_ASSERT_FALSE(answer_to(0, "answers/fleetmux_2", 0, 0, 1));
    world.conns[0].part.client = NULL; /* a ghost hears nothing */
    CU_ASSERT_FALSE(answer_to(0, "answers/fleetmux_1", 0, 0, 1));
    CU_ASSERT_EQUAL(fmx_fleet_requests_waiting(&world.part), 1);
    CU_ASSERT_EQUAL(value(&world.crew->counters.responses_foreign), 0);
    close_world();
}

/* ── time ── */

static void a_request_waits_as_long_as_its_topic_says(void)
{
    open_world();
    CU_ASSERT(ask(0, 0, 1) && ask(0, 1, 1) && ask(0, 2, 1)); /* 3, 2 and 1 s */
    pass(999 * MS);
    CU_ASSERT_EQUAL(fmx_fleet_requests_waiting(&world.part), 3);
    CU_ASSERT(ask(1, 2, 1));
    pass(2 * MS);
    CU_ASSERT_EQUAL(fmx_fleet_requests_waiting(&world.part), 3);
    CU_ASSERT_EQUAL(value(&world.crew->counters.requests_timeout), 1);
    pass(1000 * MS);
    CU_ASSERT_EQUAL(value(&world.crew->counters.requests_timeout), 3);
    pass(1000 * MS);
    CU_ASSERT_EQUAL(value(&world.crew->counters.requests_timeout), 4);
    CU_ASSERT(answer_to(0, "answers/fleetmux_1", 0, 0, 1)); /* too late */
    CU_ASSERT_EQUAL(value(&world.crew->counters.responses_foreign), 1);
    CU_ASSERT_EQUAL(value(&world.crew->counters.requests_answered), 0);
    CU_ASSERT_EQUAL(fmx_wheel_next_ns(&world.shard.wheel), UINT64_MAX);
    close_world();
}

static void a_request_that_did_not_get_away_waits_once(void)
{
    open_world();
    CU_ASSERT(ask(0, 2, 1));
    pass(600 * MS);
    CU_ASSERT(ask(0, 2, 1)); /* its connection closed before it left: once more, on another one */
    CU_ASSERT_EQUAL(fmx_fleet_requests_waiting(&world.part), 1);
    pass(600 * MS);
    CU_ASSERT_EQUAL(value(&world.crew->counters.requests_timeout), 0);
    pass(500 * MS);
    CU_ASSERT_EQUAL(value(&world.crew->counters.requests_timeout), 1);
    close_world();
}

/* A slow twin: for each name, when its time is over; 0: it does not wait. */
#define SEQUENCES 4096u

static uint64_t twin[CLIENTS][SEQUENCES];

static void they_agree_with_a_slow_twin(void)
{
    uint64_t random = 17;
    uint64_t waiting = 0;
    uint64_t timeouts = 0;

    open_world();
    memset(twin, 0, sizeof twin);
    for (unsigned step = 0; step < 200000; step++) {
        random = fmx_fleet_mix(random, step);
        uint32_t client = (uint32_t)(random % CLIENTS);
        uint32_t sequence = (uint32_t)(random >> 8) % SEQUENCES;
        uint64_t *place = &twin[client][sequence];
        if ((random >> 40) % 2 == 0) {
            CU_ASSERT_FATAL(ask(client, sequence % 3, sequence));
            waiting += *place == 0;
            *place = world.shard.now_ns + (3 - sequence % 3) * 1000 * MS;
        } else {
            char on[64];
            snprintf(on, sizeof on, "%s/fleetmux_%u", sequence % 3 == 1 ? "other" : "answers",
                     client + 1);
            CU_ASSERT_FATAL(answer_to(client, on, client, sequence % 3, sequence));
            waiting -= *place != 0;
            *place = 0;
        }
        if (step % 64 == 0) {
            pass(19300000); /* no time is over within a tick of the wheel */
            for (uint32_t i = 0; i < CLIENTS * SEQUENCES; i++) {
                uint64_t *each = &twin[i / SEQUENCES][i % SEQUENCES];
                bool is_over = *each != 0 && *each <= world.shard.now_ns;
                timeouts += is_over;
                waiting -= is_over;
                *each = is_over ? 0 : *each;
            }
        }
    }
    CU_ASSERT_EQUAL(fmx_fleet_requests_waiting(&world.part), waiting);
    CU_ASSERT_EQUAL(value(&world.crew->counters.requests_timeout), timeouts);
    pass(5000 * MS);
    CU_ASSERT_EQUAL(fmx_fleet_requests_waiting(&world.part), 0);
    close_world();
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_name_is_one_requests_in_the_plan),
    FMX_TEST_CASE(an_answer_ends_its_request_and_no_other),
    FMX_TEST_CASE(answers_are_measured_from_planned_and_from_sent),
    FMX_TEST_CASE(an_answer_to_somebody_else_is_foreign),
    FMX_TEST_CASE(a_message_elsewhere_is_no_answer),
    FMX_TEST_CASE(a_request_waits_as_long_as_its_topic_says),
    FMX_TEST_CASE(a_request_that_did_not_get_away_waits_once),
    FMX_TEST_CASE(they_agree_with_a_slow_twin),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_request", cases, sizeof cases / sizeof cases[0], argc, argv);
}
