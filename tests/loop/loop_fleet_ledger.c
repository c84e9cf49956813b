/*
 * loop_fleet_ledger — what a man in the middle loses, repeats and swaps is counted exactly, and so
 * is what a server acknowledges with a packet of the wrong kind
 */
#include "tests/loop/mitm.h"
#include "tests/loop/support.h"
#include "tests/support/seed.h"

#include <sys/socket.h>
#include <unistd.h>

#define PAIRS    40u
#define MESSAGES 100u /* of each publisher */

struct world {
    struct fmx_gateway *gateway;
    struct mitm *mitm;
    char near[32], far[32];
    const char *to_gateway[1], *to_mitm[1];
    struct fmx_fleet_plan plan;
    struct fmx_fleet_group groups[2];
    struct fmx_fleet_publish publish;
    struct fmx_fleet_subscribe subscribe;
    struct fmx_fleet_stage stages[3];
};

static struct world world;

/* Publishers speak to the gateway, subscribers through the man in the middle, and come first. */
static void prepare(const struct mitm_plan *plan)
{
    loop_begin();
    memset(&world, 0, sizeof world);
    world.gateway = loop_gateway(2);
    uint16_t port = fmx_gateway_port(world.gateway, 0);
    world.mitm = mitm_open(port, plan);
    snprintf(world.near, sizeof world.near, "127.0.0.1:%u", port);
    snprintf(world.far, sizeof world.far, "127.0.0.1:%u", mitm_port(world.mitm));
    world.to_gateway[0] = world.near;
    world.to_mitm[0] = world.far;

    fmx_fleet_subscribe_init(&world.subscribe);
    world.subscribe.filter = "pair/%i";
    fmx_fleet_publish_init(&world.publish);
    world.publish.topic = "pair/%i";
    world.publish.qos = 0;
    world.publish.interval_ns = 10 * LOOP_MS_NS;
    world.publish.messages_max = (uint64_t)PAIRS * MESSAGES;
    loop_group(&world.groups[0], "sub_%i", PAIRS, world.to_mitm);
    loop_group(&world.groups[1], "pub_%i", PAIRS, world.to_gateway);
    world.groups[0].subscribes = &world.subscribe;
    world.groups[0].subscribes_count = 1;
    world.groups[1].publishes = &world.publish;
    world.groups[1].publishes_count = 1;
    loop_stages_of_two(world.stages, 0);
    loop_plan_of_two(&world.plan, world.groups, world.stages, 3);
}

static void end(struct fmx_fleet *fleet)
{
    fmx_fleet_close(fleet);
    mitm_close(world.mitm);
    loop_gateway_end(world.gateway);
}

/* At QoS 0 the fleet can only guess that nothing is on its way any more. */
static bool has_come_through(const struct fmx_fleet *fleet)
{
    struct mitm_done done = mitm_done(world.mitm);

    return done.passed == PAIRS * MESSAGES &&
           loop_look(fleet).counters.received == done.passed - done.lost + done.repeated;
}

static void cheat(const struct mitm_plan *plan)
{
    prepare(plan);
    struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(loop_look(fleet).finished);
    LOOP_WAIT(has_come_through(fleet));
    fmx_fleet_stop(fleet);
    struct mitm_done done = mitm_done(world.mitm);
    struct fmx_fleet_counters seen = loop_look(fleet).counters;
    LOOP_EQUAL(seen.publishes_sent, PAIRS * MESSAGES);
    LOOP_EQUAL(done.passed, PAIRS * MESSAGES);
    LOOP_EQUAL(seen.deliveries_expected, PAIRS * MESSAGES);
    LOOP_EQUAL(seen.deliveries_lost, done.lost);
    LOOP_EQUAL(seen.received_duplicate, done.repeated);
    LOOP_EQUAL(seen.received_reordered, done.swapped);
    LOOP_EQUAL(seen.received, done.passed - done.lost + done.repeated);
    LOOP_EQUAL(seen.received_foreign + seen.received_unchecked + seen.received_redelivered, 0);
    CU_ASSERT(plan->lost == 0 || done.lost > 0);
    CU_ASSERT(plan->repeated == 0 || done.repeated > 0);
    CU_ASSERT(plan->swapped == 0 || done.swapped > 0);
    end(fleet);
}

static void nothing_is_counted_that_was_not_done(void)
{
    cheat(&(struct mitm_plan){.seed = 1});
}

static void loss_is_counted_to_the_last_message(void)
{
    cheat(&(struct mitm_plan){.seed = 2, .lost = 100});
    cheat(&(struct mitm_plan){.seed = 3, .lost = 1000}); /* pairs that never hear of each other */
}

static void duplicates_are_counted(void)
{
    cheat(&(struct mitm_plan){.seed = 4, .repeated = 100});
}

static void reordering_is_neither_loss_nor_duplicate(void)
{
    cheat(&(struct mitm_plan){.seed = 5, .swapped = 200});
}

static void all_at_once_are_told_apart(void)
{
    for (uint64_t seed = 10; seed < LOOP_SIZE(15u, 12u); seed++) {
        cheat(&(struct mitm_plan){.seed = seed, .lost = 80, .repeated = 80, .swapped = 80});
    }
}

/* ── coming back ── */

/* Their sessions are kept, but nobody has to keep messages of QoS 0 for them. */
static void be_away_at_qos_0(uint8_t filter_qos)
{
    prepare(&(struct mitm_plan){.seed = 6});
    world.subscribe.qos = filter_qos;
    world.groups[0].targets = world.to_gateway;
    world.groups[0].version = FMX_MQTT_311;
    world.groups[0].clean = false;
    world.groups[0].reconnect = FMX_FLEET_RECONNECT_FIXED;
    world.groups[0].reconnect_min_ms = world.groups[0].reconnect_max_ms = 200;
    struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
    LOOP_WAIT(loop_look(fleet).counters.received > PAIRS);
    CU_ASSERT_EQUAL(fmx_fleet_storm(fleet, 0, 1, FMX_FLEET_LEAVE_RESET), FMX_OK);
    LOOP_WAIT(loop_look(fleet).counters.connects_ok == 3 * PAIRS);
    LOOP_WAIT(loop_look(fleet).finished);
    LOOP_WAIT(loop_stats(world.gateway).publishes_in_qos0 == PAIRS * MESSAGES);
    fmx_fleet_stop(fleet);
    struct fmx_fleet_counters seen = loop_look(fleet).counters;
    LOOP_EQUAL(seen.publishes_sent, PAIRS * MESSAGES);
    LOOP_EQUAL(seen.deliveries_lost, 0);
    LOOP_EQUAL(seen.deliveries_expected, seen.received_once);
    CU_ASSERT(seen.received_once < PAIRS * MESSAGES);
    end(fleet);
}

static void what_comes_at_qos_0_while_one_is_away_is_not_lost(void)
{
    be_away_at_qos_0(0);
    be_away_at_qos_0(1); /* a message has the lower one of both */
}

/* What was on its way when publishers went goes out again. */
static void come_back_at_qos_1(enum fmx_version version)
{
    static const enum fmx_fleet_leave leaves[] = {FMX_FLEET_LEAVE_RESET, FMX_FLEET_LEAVE_CLOSE,
                                                  FMX_FLEET_LEAVE_VANISH,
                                                  FMX_FLEET_LEAVE_DISCONNECT};
    unsigned count = sizeof leaves / sizeof leaves[0];

    prepare(&(struct mitm_plan){.seed = 7});
    world.subscribe.qos = world.publish.qos = 1;
    world.groups[0].targets = world.to_gateway;
    world.groups[1].version = version;
    world.groups[1].clean = false;
    world.groups[1].session_expiry_s = version == FMX_MQTT_50 ? 600 : 0;
    struct fmx_fleet *fleet = loop_fleet_start(&world.plan);
    for (unsigned i = 0; i < count; i++) {
        LOOP_WAIT(loop_look(fleet).counters.publishes_acked > i * PAIRS * MESSAGES / (count + 1));
        LOOP_WAIT(loop_look(fleet).counters.connects_ok == (2 + i) * PAIRS);
        LOOP_WAIT(loop_look(fleet).counters.clients_open == 2 * PAIRS);
        CU_ASSERT_EQUAL(fmx_fleet_storm(fleet, 1, 1, leaves[i]), FMX_OK);
        LOOP_WAIT(loop_look(fleet).counters.leaves == (i + 1) * PAIRS);
    }
    LOOP_WAIT(loop_look(fleet).finished);
    fmx_fleet_stop(fleet);
    struct fmx_fleet_counters seen = loop_look(fleet).counters;
    LOOP_EQUAL(seen.publishes_sent, PAIRS * MESSAGES);
    LOOP_EQUAL(seen.publishes_acked, PAIRS * MESSAGES);
    LOOP_EQUAL(seen.publishes_unacked + seen.publishes_outstanding, 0);
    LOOP_EQUAL(seen.deliveries_expected, PAIRS * MESSAGES);
    LOOP_EQUAL(seen.deliveries_lost, 0);
    end(fleet);
}

static void nothing_is_lost_by_those_who_come_back_at_qos_1(void)
{
    come_back_at_qos_1(FMX_MQTT_311);
    come_back_at_qos_1(FMX_MQTT_50);
}

/* ── the wrong kind of acknowledgement ── */

/* One client, whose server is the test; its CONNECT has come. */
struct by_hand {
    int listener;
    int fd;
    struct fmx_fleet *fleet;
    struct loop_packet packet;
};

static void by_hand_begin(struct by_hand *by_hand, struct loop_plan *plan)
{
    uint16_t port;

    by_hand->listener = loop_listen_anywhere(&port);
    by_hand->fleet = loop_fleet(plan, port);
    by_hand->fd = accept(by_hand->listener, NULL, NULL);
    CU_ASSERT_FATAL(by_hand->fd >= 0 && loop_receive(by_hand->fd, &by_hand->packet));
    CU_ASSERT_EQUAL_FATAL(by_hand->packet.head, 0x10);
}

/* Up to the client's next message; its identifier. */
static uint16_t by_hand_hear(struct by_hand *by_hand)
{
    const uint8_t *body = by_hand->packet.body;

    do {
        CU_ASSERT_FATAL(loop_receive(by_hand->fd, &by_hand->packet));
    } while (by_hand->packet.head >> 4 != 3);
    CU_ASSERT_EQUAL_FATAL(by_hand->packet.head, 0x32);
    size_t at = 2 + ((size_t)body[0] << 8 | body[1]);
    return (uint16_t)(body[at] << 8 | body[at + 1]);
}

/* The client closes, and says why. */
static void by_hand_end(struct by_hand *by_hand)
{
    LOOP_WAIT(loop_look(by_hand->fleet).counters.clients_lost == 1); /* the last to be counted */
    struct fmx_fleet_snapshot seen = loop_look(by_hand->fleet);
    LOOP_EQUAL(seen.counters.connections_lost, 1);
    LOOP_EQUAL(seen.causes_count, 1);
    CU_ASSERT_EQUAL(seen.causes[0].status, FMX_PEER_ACK);
    LOOP_EQUAL(seen.counters.publishes_outstanding, 0);
    LOOP_EQUAL(seen.counters.publishes_unacked, seen.counters.publishes_sent);
    close(by_hand->fd);
    close(by_hand->listener);
    loop_fleet_end(by_hand->fleet);
}

static void unsuback_acknowledges_no_message(void)
{
    static const uint8_t connack[] = {0x20, 2, 0, 0};
    static struct by_hand by_hand;
    struct loop_plan plan;

    loop_begin();
    loop_plan(&plan, 1, "one");
    plan.group.version = FMX_MQTT_311;
    plan.publish.topic = "t";
    plan.publish.qos = 1;
    plan.publish.messages_max = 1;
    by_hand_begin(&by_hand, &plan);
    CU_ASSERT(loop_send(by_hand.fd, connack, sizeof connack));
    uint16_t id = by_hand_hear(&by_hand);
    const uint8_t unsuback[] = {0xb0, 2, (uint8_t)(id >> 8), (uint8_t)id};
    CU_ASSERT(loop_send(by_hand.fd, unsuback, sizeof unsuback));
    by_hand_end(&by_hand);
}

static void suback_acknowledges_no_answer(void)
{
    static const uint8_t said[] = {0x20, 3,  0, 0, 0, /* and a request to "q", answered on "r" */
                                   0x32, 10, 0, 1, 'q', 0, 7, 4, 8, 0, 1, 'r'};
    static struct by_hand by_hand;
    struct loop_plan plan;

    loop_begin();
    loop_plan(&plan, 1, "one");
    plan.group.version = FMX_MQTT_50;
    plan.group.calls.answer = FMX_FLEET_ANSWER_ECHO;
    by_hand_begin(&by_hand, &plan);
    CU_ASSERT(loop_send(by_hand.fd, said, sizeof said));
    uint16_t id = by_hand_hear(&by_hand);
    LOOP_EQUAL(loop_look(by_hand.fleet).counters.calls_answered, 1);
    const uint8_t suback[] = {0x90, 4, (uint8_t)(id >> 8), (uint8_t)id, 0, 0};
    CU_ASSERT(loop_send(by_hand.fd, suback, sizeof suback));
    by_hand_end(&by_hand);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(nothing_is_counted_that_was_not_done),
    FMX_TEST_CASE(loss_is_counted_to_the_last_message),
    FMX_TEST_CASE(duplicates_are_counted),
    FMX_TEST_CASE(reordering_is_neither_loss_nor_duplicate),
    FMX_TEST_CASE(all_at_once_are_told_apart),
    FMX_TEST_CASE(what_comes_at_qos_0_while_one_is_away_is_not_lost),
    FMX_TEST_CASE(nothing_is_lost_by_those_who_come_back_at_qos_1),
    FMX_TEST_CASE(unsuback_acknowledges_no_message),
    FMX_TEST_CASE(suback_acknowledges_no_answer),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_ledger", cases, sizeof cases / sizeof cases[0], argc, argv);
}
