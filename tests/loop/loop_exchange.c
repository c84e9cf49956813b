/*
 * loop_exchange — a gateway and fleets in one process, over real rings and sockets: every message
 * that was sent arrives once, and nothing is left behind
 *
 * Words:          exchange: subscribers of one fleet, publishers of another, drained and added up
 */
#include "tests/loop/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct exchange {
    enum fmx_version version; /* 0: 5.0 */
    enum fmx_version towards; /* the subscribers' version; 0: the same */
    uint8_t qos;
    uint32_t subscribers_count;
    uint32_t publishers_count;
    uint64_t messages_count; /* in all */
    uint32_t receivers_each; /* receivers of each message */
    uint32_t payload_bytes;
    uint64_t interval_ms; /* 0: closed loop */
    const char *filter;
    const char *topic;
};

static void plan_subscribers(struct loop_plan *plan, const struct exchange *exchange)
{
    loop_plan(plan, exchange->subscribers_count, "sub_%i");
    plan->group.version = exchange->towards != 0 ? exchange->towards : plan->group.version;
    plan->filters = &exchange->filter;
    plan->filters_count = 1;
    plan->subscribe_qos = exchange->qos;
}

static void plan_publishers(struct loop_plan *plan, const struct exchange *exchange)
{
    loop_plan(plan, exchange->publishers_count, "pub_%i");
    plan->group.version = exchange->version;
    plan->publish.topic = exchange->topic;
    plan->publish.qos = exchange->qos;
    plan->publish.messages_max = exchange->messages_count;
    plan->publish.interval_ns = exchange->interval_ms * LOOP_MS_NS;
    plan->publish.payload_bytes = exchange->payload_bytes;
}

static void check_subscribers(const struct fmx_fleet_snapshot *got, const struct exchange *exchange)
{
    uint64_t expected = exchange->messages_count * exchange->receivers_each;

    LOOP_EQUAL(got->counters.received, expected);
    LOOP_EQUAL(got->counters.received_duplicate, 0);
    LOOP_EQUAL(got->counters.received_gap, 0);
    LOOP_EQUAL(got->counters.received_foreign, exchange->payload_bytes < 32 ? expected : 0);
    LOOP_EQUAL(got->counters.subscribes_refused, 0);
    LOOP_EQUAL(got->counters.connects_ok, exchange->subscribers_count);
    LOOP_EQUAL(got->counters.clients_lost + got->counters.clients_failed, 0);
    LOOP_EQUAL(got->causes_count, 0);
}

static void check_publishers(const struct fmx_fleet_snapshot *sent, const struct exchange *exchange)
{
    LOOP_EQUAL(sent->counters.publishes_planned, exchange->messages_count);
    LOOP_EQUAL(sent->counters.publishes_sent, exchange->messages_count);
    LOOP_EQUAL(sent->counters.publishes_acked, exchange->qos > 0 ? exchange->messages_count : 0);
    LOOP_EQUAL(sent->counters.publishes_unacked + sent->counters.publishes_refused, 0);
    LOOP_EQUAL(sent->counters.connects_ok, exchange->publishers_count);
    LOOP_EQUAL(sent->counters.clients_lost + sent->counters.clients_failed, 0);
    LOOP_EQUAL(sent->causes_count, 0);
}

static void check_gateway(const struct fmx_gateway *gateway, const struct exchange *exchange)
{
    struct fmx_stats stats = loop_stats(gateway);
    uint64_t out = exchange->messages_count * exchange->receivers_each;

    LOOP_EQUAL(stats.publishes_in_qos0 + stats.publishes_in_qos1, exchange->messages_count);
    LOOP_EQUAL(stats.publishes_out_qos0 + stats.publishes_out_qos1, out);
    LOOP_EQUAL(stats.dropped_qos0 + stats.dropped_qos1 + stats.dropped_too_large, 0);
    LOOP_EQUAL(stats.unrouted, 0);
    LOOP_EQUAL(stats.sessions_refused + stats.takeovers + stats.accepts_shed, 0);
    if (exchange->qos > 0) {
        LOOP_EQUAL(stats.pubacks_in, out);
        LOOP_EQUAL(stats.pubacks_out, exchange->messages_count);
    }
}

static void run_exchange(struct exchange exchange)
{
    struct fmx_gateway_options options;
    struct loop_plan subscribers_plan;
    struct loop_plan publishers_plan;

    exchange.version = exchange.version == 0 ? FMX_MQTT_50 : exchange.version;
    exchange.towards = exchange.towards == 0 ? exchange.version : exchange.towards;
    loop_begin();
    loop_gateway_options(&options, 2);
    options.mux.send_queue_bytes_max = 64u << 20; /* QoS 0 has no other reason to be dropped */
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    plan_subscribers(&subscribers_plan, &exchange);
    struct fmx_fleet *subscribers = loop_fleet(&subscribers_plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_look(subscribers).counters.clients_subscribed == exchange.subscribers_count);
    LOOP_EQUAL(loop_stats(gateway).subscriptions_now, exchange.subscribers_count);

    plan_publishers(&publishers_plan, &exchange);
    struct fmx_fleet *publishers = loop_fleet(&publishers_plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_look(publishers).finished);
    LOOP_WAIT(loop_look(publishers).counters.clients_open == exchange.publishers_count);
    LOOP_WAIT(loop_look(subscribers).counters.received >=
              exchange.messages_count * exchange.receivers_each);
    if (exchange.qos > 0) {
        LOOP_WAIT(loop_stats(gateway).pubacks_in ==
                  exchange.messages_count * exchange.receivers_each);
    }
    LOOP_EQUAL(loop_stats(gateway).sessions_now,
               exchange.subscribers_count + exchange.publishers_count);

    fmx_fleet_stop(publishers);
    fmx_fleet_stop(subscribers);
    struct fmx_fleet_snapshot got = loop_look(subscribers);
    struct fmx_fleet_snapshot sent = loop_look(publishers);
    check_subscribers(&got, &exchange);
    check_publishers(&sent, &exchange);
    LOOP_EQUAL(loop_latency(publishers, FMX_FLEET_PUBACK).count, sent.counters.publishes_acked);
    LOOP_EQUAL(loop_latency(publishers, FMX_FLEET_CONNECT).count, exchange.publishers_count);
    fmx_fleet_close(publishers);
    fmx_fleet_close(subscribers);
    loop_expect_empty(gateway);
    LOOP_WAIT(loop_stats(gateway).subscriptions_now == 0);
    check_gateway(gateway, &exchange);
    loop_gateway_end(gateway);
}

/* ── the main job ── */

static void exchange_of_ten_thousand_pairs_at_qos1_loses_and_repeats_nothing(void)
{
    uint32_t count = LOOP_SIZE(10000, 2000);

    run_exchange((struct exchange){.qos = 1,
                                   .subscribers_count = count,
                                   .publishers_count = count,
                                   .messages_count = count * 3ull,
                                   .receivers_each = 1,
                                   .payload_bytes = 64,
                                   .interval_ms = 1000,
                                   .filter = "pair/%i",
                                   .topic = "pair/%i"});
}

static void exchange_is_complete_in_every_version_at_both_qos(void)
{
    static const enum fmx_version versions[] = {FMX_MQTT_31, FMX_MQTT_311, FMX_MQTT_50};

    for (size_t i = 0; i < 3; i++) {
        for (uint8_t qos = 0; qos < 2; qos++) {
            run_exchange((struct exchange){.version = versions[i],
                                           .qos = qos,
                                           .subscribers_count = 200,
                                           .publishers_count = 200,
                                           .messages_count = 4000,
                                           .receivers_each = 1,
                                           .payload_bytes = 100,
                                           .interval_ms = 20,
                                           .filter = "v/%i/#",
                                           .topic = "v/%i/x"});
        }
    }
}

static void exchange_crosses_from_each_version_to_each_other(void)
{
    static const enum fmx_version versions[] = {FMX_MQTT_31, FMX_MQTT_311, FMX_MQTT_50};

    for (size_t i = 0; i < 9; i++) {
        run_exchange((struct exchange){.version = versions[i / 3],
                                       .towards = versions[i % 3],
                                       .qos = 1,
                                       .subscribers_count = 20,
                                       .publishers_count = 20,
                                       .messages_count = 500,
                                       .receivers_each = 1,
                                       .payload_bytes = 64,
                                       .interval_ms = 5,
                                       .filter = "x/%i",
                                       .topic = "x/%i"});
    }
}

/* Without a schedule: as fast as acknowledgements come, so windows and queues are full. */
static void exchange_in_a_closed_loop_is_complete(void)
{
    run_exchange((struct exchange){.qos = 1,
                                   .subscribers_count = 50,
                                   .publishers_count = 50,
                                   .messages_count = LOOP_SIZE(200000, 40000),
                                   .receivers_each = 1,
                                   .payload_bytes = 32,
                                   .filter = "fast/%i",
                                   .topic = "fast/%i"});
}

/* ── one and many ── */

static void exchange_fans_in_from_many_through_a_wildcard(void)
{
    for (uint8_t qos = 0; qos < 2; qos++) {
        run_exchange((struct exchange){.qos = qos,
                                       .subscribers_count = 1,
                                       .publishers_count = LOOP_SIZE(1000, 300),
                                       .messages_count = LOOP_SIZE(20000, 6000),
                                       .receivers_each = 1,
                                       .payload_bytes = 48,
                                       .interval_ms = 50,
                                       .filter = "fan/+/in",
                                       .topic = "fan/%i/in"});
    }
}

static void exchange_fans_out_from_one_to_a_thousand(void)
{
    for (uint8_t qos = 0; qos < 2; qos++) {
        run_exchange((struct exchange){.qos = qos,
                                       .subscribers_count = 1000,
                                       .publishers_count = 1,
                                       .messages_count = LOOP_SIZE(200, 50),
                                       .receivers_each = 1000,
                                       .payload_bytes = 48,
                                       .interval_ms = 10,
                                       .filter = "news/#",
                                       .topic = "news/today"});
    }
}

/* ── payloads ── */

static const uint32_t sizes[] = {0, 23, 24, 256, 5 * 1024, 100 * 1024};

#define SIZES_COUNT (sizeof sizes / sizeof sizes[0])

static void exchange_carries_payloads_of_every_size(void)
{
    for (size_t i = 0; i < 2 * SIZES_COUNT; i++) {
        run_exchange((struct exchange){.qos = i % 2,
                                       .subscribers_count = 20,
                                       .publishers_count = 20,
                                       .messages_count = 200,
                                       .receivers_each = 1,
                                       .payload_bytes = sizes[i / 2],
                                       .interval_ms = 20,
                                       .filter = "size/%i",
                                       .topic = "size/%i"});
    }
}

/* Large ones are stored once for all receivers of a shard. */
static void exchange_fans_out_payloads_of_every_size(void)
{
    for (size_t i = 0; i < 2 * SIZES_COUNT; i++) {
        run_exchange((struct exchange){.qos = i % 2,
                                       .subscribers_count = 40,
                                       .publishers_count = 2,
                                       .messages_count = 40,
                                       .receivers_each = 40,
                                       .payload_bytes = sizes[i / 2],
                                       .interval_ms = 10,
                                       .filter = "size/+/out",
                                       .topic = "size/%i/out"});
    }
}

static void fill(uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    }
}

/* The fleet looks at numbers only; here every byte is compared. */
static void exchange_changes_no_byte_of_a_payload(void)
{
    static uint8_t payload[100 * 1024];
    static uint8_t packet[sizeof payload + 64];
    static struct loop_packet got;
    struct loop_peer receivers[4];

    loop_begin();
    fill(payload, sizeof payload);
    struct fmx_gateway *gateway = loop_gateway(2);
    uint16_t port = fmx_gateway_port(gateway, 0);
    for (unsigned i = 0; i < 4; i++) {
        char id[] = "receiver_0";
        id[9] = (char)('0' + i);
        receivers[i] = loop_connect(
            port, &(struct loop_connect){
                      .client_id = id, .version = i % 2 ? FMX_MQTT_50 : FMX_MQTT_311, .clean = 1});
        loop_subscribe(receivers[i], "bytes", i < 2 ? 0 : 1);
    }
    struct loop_peer sender = loop_connect(
        port, &(struct loop_connect){.client_id = "sender", .version = 4, .clean = true});
    for (size_t i = 0; i < SIZES_COUNT; i++) {
        fmx_slice whole = {.data = payload, .bytes = sizes[i]};
        size_t bytes = loop_write_publish(packet, sender.version, "bytes", whole, 1, 5);
        CU_ASSERT(loop_send(sender.fd, packet, bytes));
        CU_ASSERT_FATAL(loop_receive(sender.fd, &got));
        CU_ASSERT_EQUAL(got.head, 0x40);
        for (unsigned r = 0; r < 4; r++) {
            uint16_t packet_id;
            CU_ASSERT_FATAL(loop_receive(receivers[r].fd, &got));
            CU_ASSERT_EQUAL(got.head, r / 2 > 0 ? 0x32 : 0x30);
            CU_ASSERT(fmx_slice_equal(loop_payload(receivers[r], &got, &packet_id), whole));
        }
    }
    close(sender.fd);
    for (unsigned i = 0; i < 4; i++) {
        close(receivers[i].fd);
    }
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(exchange_of_ten_thousand_pairs_at_qos1_loses_and_repeats_nothing),
    FMX_TEST_CASE(exchange_is_complete_in_every_version_at_both_qos),
    FMX_TEST_CASE(exchange_crosses_from_each_version_to_each_other),
    FMX_TEST_CASE(exchange_in_a_closed_loop_is_complete),
    FMX_TEST_CASE(exchange_fans_in_from_many_through_a_wildcard),
    FMX_TEST_CASE(exchange_fans_out_from_one_to_a_thousand),
    FMX_TEST_CASE(exchange_carries_payloads_of_every_size),
    FMX_TEST_CASE(exchange_fans_out_payloads_of_every_size),
    FMX_TEST_CASE(exchange_changes_no_byte_of_a_payload),
};

int main(int argc, char **argv)
{
    return fmx_test_main("exchange", cases, sizeof cases / sizeof cases[0], argc, argv);
}
