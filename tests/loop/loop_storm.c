/*
 * loop_storm — many things that end and begin at once: reconnects, takeovers, vanished clients, and
 * sessions that outlive them
 *
 * Words:          away: what a persistent session is between two connections
 */
#include "tests/loop/support.h"

#include <stdio.h>
#include <unistd.h>

#define STORM_MS 3000u

/* ── reconnects ── */

static struct fmx_gateway *gateway_at(uint16_t port, uint32_t shards_count)
{
    struct fmx_gateway_options options;
    char text[32];
    const char *listen[] = {text};

    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    loop_gateway_options(&options, shards_count);
    options.listen = listen;
    return loop_gateway_start(&options);
}

static void storm_brings_all_clients_back_after_each_restart(void)
{
    static const char *const filters[] = {"back/%i"};
    const uint32_t count = LOOP_SIZE(2000, 500);
    struct loop_plan plan;

    loop_begin();
    uint16_t port = loop_fixed_port();
    struct fmx_gateway *gateway = gateway_at(port, 2);
    loop_plan(&plan, count, "back_%i");
    plan.filters = filters;
    plan.filters_count = 1;
    plan.group.reconnect_min_ms = 10;
    plan.group.reconnect_max_ms = 200;
    struct fmx_fleet *fleet = loop_fleet(&plan, port);
    LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == count);
    for (unsigned round = 0; round < 3; round++) {
        loop_gateway_end(gateway);
        LOOP_WAIT(loop_look(fleet).counters.clients_open == 0);
        LOOP_EQUAL(loop_look(fleet).counters.clients_subscribed, 0);
        gateway = gateway_at(port, 1 + round);
        LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == count);
        LOOP_EQUAL(loop_stats(gateway).sessions_now, count);
        LOOP_EQUAL(loop_stats(gateway).subscriptions_now, count);
    }
    fmx_fleet_stop(fleet);
    struct fmx_fleet_snapshot end = loop_look(fleet);
    CU_ASSERT(end.counters.connects_ok >=
              count * 4); /* more: one shard stops a moment before the other */
    LOOP_EQUAL(end.counters.clients_lost + end.counters.clients_failed, 0);
    fmx_fleet_close(fleet);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

static void storm_releases_clients_that_vanish(void)
{
    static const char *const filters[] = {"gone/#"};
    const uint32_t count = LOOP_SIZE(1000, 300);
    struct loop_plan plan;

    loop_begin();
    struct fmx_gateway *gateway = loop_gateway(3);
    for (unsigned round = 0; round < 3; round++) {
        loop_plan(&plan, count, "gone_%i");
        plan.filters = filters;
        plan.filters_count = 1;
        plan.publish.topic = "gone/%i";
        plan.publish.interval_ns = 5000 * LOOP_MS_NS;
        plan.group.linger_zero = true; /* resets, with what is in flight */
        plan.whole.drain_ms = 0;
        struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
        LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == count);
        LOOP_WAIT(loop_look(fleet).counters.received > 100);
        loop_fleet_end(fleet);
        loop_expect_empty(gateway);
        LOOP_WAIT(loop_stats(gateway).subscriptions_now == 0);
    }
    loop_gateway_end(gateway);
}

/* fleet.h: reconnect_min_ms 0 means no reconnect, whatever reconnect_max_ms is. */
static void storm_does_not_begin_without_a_wait_between_two_connects(void)
{
    struct loop_plan plan;

    loop_begin();
    loop_plan(&plan, 20, "once_%i");
    plan.group.reconnect_min_ms = 0;
    plan.group.reconnect_max_ms = 100;
    struct fmx_fleet *fleet = loop_fleet(&plan, loop_fixed_port()); /* nobody listens there */
    LOOP_WAIT(loop_look(fleet).stats.dials >= 20);
    LOOP_WAIT(loop_look(fleet).counters.clients_failed == 20 ||
              loop_look(fleet).stats.dials > 1000);
    LOOP_EQUAL(loop_look(fleet).counters.clients_failed, 20);
    CU_ASSERT(loop_look(fleet).stats.dials <= 1000);
    loop_fleet_end(fleet);
}

static enum fmx_status refuse(void *user, const struct fmx_gateway_session *session,
                              fmx_slice password)
{
    (void)user;
    (void)session;
    (void)password;
    return FMX_PEER_NOT_AUTHORIZED;
}

/* Connections end and their slots are used again all the time: no end may hit a later one. */
static void storm_tells_every_refused_client_why(void)
{
    struct fmx_gateway_options options;
    struct loop_plan plan;

    loop_begin();
    loop_gateway_options(&options, 2);
    options.callbacks.on_connect = refuse;
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    loop_plan(&plan, 50, "no_%i");
    plan.group.reconnect_min_ms = 1;
    plan.group.reconnect_max_ms = 2;
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_stats(gateway).sessions_refused > LOOP_SIZE(30000, 10000));
    fmx_fleet_stop(fleet);
    struct fmx_fleet_snapshot end = loop_look(fleet);
    for (size_t i = 0; i < end.causes_count; i++) {
        if (end.causes[i].status != FMX_PEER_REFUSED || end.causes[i].reason != 0x87) {
            fprintf(stderr, "  %llu times %s, errno %d, reason %u\n",
                    (unsigned long long)end.causes[i].count, fmx_status_name(end.causes[i].status),
                    end.causes[i].sys_errno, end.causes[i].reason);
            CU_FAIL("every refused client hears the reason");
        }
    }
    fmx_fleet_close(fleet);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── takeovers ── */

struct rivals {
    enum fmx_version version;
    bool clean;
    uint32_t session_expiry_s;
    uint32_t shards_count;
};

static struct fmx_fleet *rival(const struct rivals *rivals, uint32_t count, uint64_t seed,
                               uint16_t port)
{
    static const char *const filters[] = {"fight/%i", "fight/all"};
    struct loop_plan plan;

    loop_plan(&plan, count, "same_%i");
    plan.group.version = rivals->version;
    plan.group.clean = rivals->clean;
    plan.group.session_expiry_s = rivals->session_expiry_s;
    plan.filters = filters;
    plan.filters_count = 2;
    plan.subscribe_qos = 1;
    plan.publish.topic = "fight/%i";
    plan.publish.qos = 1;
    plan.publish.interval_ns = 20 * LOOP_MS_NS;
    plan.group.reconnect_min_ms = 1;
    plan.group.reconnect_max_ms = 20;
    plan.whole.seed = seed;
    plan.whole.drain_ms = 200;
    return loop_fleet(&plan, port);
}

static void let_rivals_fight(const struct rivals *rivals)
{
    const uint32_t count = 100;
    bool is_kept = !rivals->clean;

    loop_begin();
    struct fmx_gateway *gateway = loop_gateway(rivals->shards_count);
    uint16_t port = fmx_gateway_port(gateway, 0);
    struct fmx_fleet *one = rival(rivals, count, 1, port);
    struct fmx_fleet *other = rival(rivals, count, 2, port);
    uint64_t until_ms = loop_now_ms() + STORM_MS;
    while (loop_now_ms() < until_ms) {
        /* the counters of shards are not read at one instant: some slack while all moves */
        CU_ASSERT_FATAL(loop_stats(gateway).sessions_now <= 4 * count);
        loop_pause_ms(20);
    }
    LOOP_WAIT(loop_stats(gateway).takeovers > count);
    fmx_fleet_stop(one);
    LOOP_WAIT(loop_stats(gateway).sessions_now == count); /* the other has all of them now */
    LOOP_WAIT(loop_look(other).counters.clients_subscribed == count);
    LOOP_WAIT(loop_stats(gateway).connections_now == count);
    /* waited for too: a last connect of the first one may be heard only now */
    LOOP_WAIT(loop_stats(gateway).subscriptions_now == count * 2);
    LOOP_WAIT(loop_stats(gateway).parked_now == 0);
    uint64_t before = loop_look(other).counters.received;
    LOOP_WAIT(loop_look(other).counters.received > before + 2 * count); /* and is served */
    fmx_fleet_stop(other);
    loop_expect_empty(gateway);
    LOOP_WAIT(loop_stats(gateway).parked_now == (is_kept ? count : 0));
    LOOP_WAIT(loop_stats(gateway).subscriptions_now == (is_kept ? count * 2 : 0));
    fmx_fleet_close(one);
    fmx_fleet_close(other);
    loop_gateway_end(gateway);
}

static void storm_of_takeovers_leaves_one_clean_session_for_each_id(void)
{
    let_rivals_fight(&(struct rivals){.version = FMX_MQTT_311, .clean = true, .shards_count = 3});
    let_rivals_fight(&(struct rivals){.version = FMX_MQTT_50, .clean = true, .shards_count = 1});
}

static void storm_of_takeovers_leaves_one_persistent_session_for_each_id(void)
{
    let_rivals_fight(&(struct rivals){
        .version = FMX_MQTT_50, .clean = false, .session_expiry_s = 600, .shards_count = 3});
    let_rivals_fight(&(struct rivals){.version = FMX_MQTT_311, .clean = false, .shards_count = 2});
}

/* Stopped in the middle: whatever is on its way between shards is given back. */
static void storm_of_takeovers_can_be_stopped_at_any_time(void)
{
    for (unsigned i = 0; i < 6; i++) {
        struct rivals rivals = {.version = FMX_MQTT_50,
                                .clean = i % 2 == 0,
                                .session_expiry_s = i % 2 == 0 ? 0 : 60,
                                .shards_count = 4};
        loop_begin();
        struct fmx_gateway *gateway = loop_gateway(rivals.shards_count);
        struct fmx_fleet *one = rival(&rivals, 100, i, fmx_gateway_port(gateway, 0));
        struct fmx_fleet *other = rival(&rivals, 100, i + 9, fmx_gateway_port(gateway, 0));
        LOOP_WAIT(loop_stats(gateway).takeovers > 100 * i);
        loop_gateway_end(gateway);
        loop_fleet_end(one);
        loop_fleet_end(other);
    }
}

/* ── away ── */

static void plan_keepers(struct loop_plan *plan, uint32_t count, enum fmx_version version)
{
    loop_plan(plan, count, "keeper_%i");
    plan->group.version = version;
    plan->group.clean = false;
    plan->group.session_expiry_s = version == FMX_MQTT_50 ? 600 : 0;
    plan->subscribe_qos = 1;
}

/* The session's subscriptions are made by a first connection; later ones only come back. */
static void subscribe_and_leave(uint16_t port, uint32_t count, enum fmx_version version)
{
    static const char *const filters[] = {"kept/%i/#"};
    struct loop_plan plan;

    plan_keepers(&plan, count, version);
    plan.filters = filters;
    plan.filters_count = 1;
    struct fmx_fleet *fleet = loop_fleet(&plan, port);
    LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == count);
    loop_fleet_end(fleet);
}

static struct fmx_fleet *publish_to_keepers(uint16_t port, uint32_t count, uint64_t messages,
                                            uint64_t interval_ms)
{
    struct loop_plan plan;

    loop_plan(&plan, count, "author_%i");
    plan.publish.topic = "kept/%i/x";
    plan.publish.qos = 1;
    plan.publish.interval_ns = interval_ms * LOOP_MS_NS;
    plan.publish.messages_max = messages;
    return loop_fleet(&plan, port);
}

static void keep_for_the_absent(enum fmx_version version, uint32_t shards_count)
{
    const uint32_t count = LOOP_SIZE(300, 100);
    const uint64_t messages = count * 30ull;
    struct loop_plan plan;

    loop_begin();
    struct fmx_gateway *gateway = loop_gateway(shards_count);
    uint16_t port = fmx_gateway_port(gateway, 0);
    subscribe_and_leave(port, count, version);
    LOOP_WAIT(loop_stats(gateway).parked_now == count);
    for (unsigned round = 1; round <= 2; round++) {
        struct fmx_fleet *authors = publish_to_keepers(port, count, messages, 10);
        LOOP_WAIT(loop_look(authors).counters.publishes_acked == messages);
        LOOP_WAIT(loop_stats(gateway).stored_now == messages);
        loop_fleet_end(authors);
        plan_keepers(&plan, count, version);
        struct fmx_fleet *fleet = loop_fleet(&plan, port);
        LOOP_WAIT(loop_look(fleet).counters.received >= messages);
        LOOP_WAIT(loop_stats(gateway).pubacks_in == messages * round);
        LOOP_EQUAL(loop_stats(gateway).stored_now, 0);
        LOOP_EQUAL(loop_stats(gateway).parked_now, 0);
        fmx_fleet_stop(fleet);
        struct fmx_fleet_snapshot end = loop_look(fleet);
        LOOP_EQUAL(end.counters.received, messages);
        LOOP_EQUAL(end.counters.received_duplicate + end.counters.received_gap +
                       end.counters.received_foreign,
                   0);
        fmx_fleet_close(fleet);
        LOOP_WAIT(loop_stats(gateway).parked_now == count);
    }
    LOOP_EQUAL(loop_stats(gateway).dropped_qos1, 0);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

static void storm_keeps_messages_for_the_absent_once_and_in_order(void)
{
    keep_for_the_absent(FMX_MQTT_311, 1);
    keep_for_the_absent(FMX_MQTT_50, 3);
    keep_for_the_absent(FMX_MQTT_31, 2);
}

/*
 * Receivers come and go while others publish. A message that was sent and not acknowledged comes
 * again with DUP, so the same number may be seen twice, but none may be missing.
 */
static void storm_loses_no_message_while_receivers_come_and_go(void)
{
    const uint32_t count = 50;
    const uint64_t messages = LOOP_SIZE(20000, 8000);
    struct loop_plan plan;
    uint64_t received = 0;

    loop_begin();
    struct fmx_gateway *gateway = loop_gateway(3);
    uint16_t port = fmx_gateway_port(gateway, 0);
    subscribe_and_leave(port, count, FMX_MQTT_50);
    struct fmx_fleet *authors = publish_to_keepers(port, count, messages, 5);
    bool is_last = false;
    while (!is_last) {
        is_last = loop_look(authors).counters.publishes_acked == messages;
        plan_keepers(&plan, count, FMX_MQTT_50);
        plan.whole.drain_ms = 0;
        struct fmx_fleet *fleet = loop_fleet(&plan, port);
        LOOP_WAIT(loop_look(fleet).counters.clients_open == count);
        if (is_last) {
            LOOP_WAIT(loop_look(fleet).counters.received + received >= messages);
        } else {
            loop_pause_ms(100);
        }
        fmx_fleet_stop(fleet);
        struct fmx_fleet_snapshot end = loop_look(fleet);
        LOOP_EQUAL(end.counters.received_gap, 0);
        LOOP_EQUAL(end.counters.received_duplicate, 0);
        received += end.counters.received;
        fmx_fleet_close(fleet);
        LOOP_WAIT(loop_stats(gateway).connections_now <= count);
    }
    CU_ASSERT(received >= messages);
    LOOP_EQUAL(loop_stats(gateway).dropped_qos1, 0);
    LOOP_EQUAL(loop_look(authors).counters.publishes_unacked, 0);
    loop_fleet_end(authors);
    LOOP_WAIT(loop_stats(gateway).parked_now == count);
    loop_expect_empty(gateway);
    LOOP_EQUAL(loop_stats(gateway).stored_now, 0);
    loop_gateway_end(gateway);
}

static void storm_forgets_sessions_whose_time_is_over(void)
{
    static const char *const filters[] = {"kept/%i/#"};
    struct loop_plan plan;

    loop_begin();
    struct fmx_gateway *gateway = loop_gateway(3);
    plan_keepers(&plan, 100, FMX_MQTT_50);
    plan.group.session_expiry_s = 1;
    plan.filters = filters;
    plan.filters_count = 1;
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == 100);
    loop_fleet_end(fleet);
    struct fmx_fleet *authors = publish_to_keepers(fmx_gateway_port(gateway, 0), 100, 1000, 1);
    LOOP_WAIT(loop_look(authors).finished);
    loop_fleet_end(authors);
    LOOP_WAIT(loop_stats(gateway).parked_now == 0);
    LOOP_WAIT(loop_stats(gateway).stored_now == 0);
    LOOP_WAIT(loop_stats(gateway).subscriptions_now == 0);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(storm_brings_all_clients_back_after_each_restart),
    FMX_TEST_CASE(storm_releases_clients_that_vanish),
    FMX_TEST_CASE(storm_does_not_begin_without_a_wait_between_two_connects),
    FMX_TEST_CASE(storm_tells_every_refused_client_why),
    FMX_TEST_CASE(storm_of_takeovers_leaves_one_clean_session_for_each_id),
    FMX_TEST_CASE(storm_of_takeovers_leaves_one_persistent_session_for_each_id),
    FMX_TEST_CASE(storm_of_takeovers_can_be_stopped_at_any_time),
    FMX_TEST_CASE(storm_keeps_messages_for_the_absent_once_and_in_order),
    FMX_TEST_CASE(storm_loses_no_message_while_receivers_come_and_go),
    FMX_TEST_CASE(storm_forgets_sessions_whose_time_is_over),
};

int main(int argc, char **argv)
{
    return fmx_test_main("storm", cases, sizeof cases / sizeof cases[0], argc, argv);
}
