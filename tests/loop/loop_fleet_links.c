/*
 * loop_fleet_links — clients with poor links, slow readers, clients that say nothing or half of it,
 * and ghosts: against our gateway, and against servers that the test plays itself
 */
#include "tests/loop/support.h"
#include "tests/support/temporary.h"

#include <fleetmux/cert.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS     LOOP_SIZE(40u, 12u)
#define MESSAGES    10u
#define SILENT      8u
#define DELAY_MS    30u
#define CAUSES      1024 /* −511 … 0 and room */
#define CONNECT_MAX 4096

static char folder[FMX_TEMPORARY_BYTES];
static char cert[FMX_TEMPORARY_FILE_BYTES];
static char key[FMX_TEMPORARY_FILE_BYTES];

struct world {
    struct fmx_gateway_options options;
    struct fmx_tls_server server;
    struct fmx_gateway *gateway;
    struct fmx_tls_client client;
    struct loop_plan plan;
    _Atomic unsigned ends[CAUSES]; /* of the gateway's sessions, by cause */
};

static struct world world;

static void note_end(void *user, const struct fmx_gateway_end *end)
{
    (void)user;
    world.ends[-end->cause % CAUSES]++;
}

static unsigned ends_of(enum fmx_status status)
{
    return world.ends[-status % CAUSES];
}

static void begin(uint32_t clients_count, bool has_tls)
{
    static const char *const listen[] = {"mqtts://127.0.0.1:0"};

    loop_begin();
    memset(&world, 0, sizeof world);
    loop_gateway_options(&world.options, 2);
    world.options.callbacks.on_close = note_end;
    loop_plan(&world.plan, clients_count, "far_%i");
    if (has_tls) {
        fmx_tls_server_init(&world.server);
        world.server.cert = cert;
        world.server.key = key;
        world.options.listen = listen;
        world.options.tls = &world.server;
        world.options.tls_count = 1;
        fmx_tls_client_init(&world.client);
        world.client.ca = cert;
        world.plan.group.tls = &world.client;
    }
}

static struct fmx_fleet *start(void)
{
    world.gateway = loop_gateway_start(&world.options);
    return loop_fleet(&world.plan, fmx_gateway_port(world.gateway, 0));
}

static void end(struct fmx_fleet *fleet)
{
    loop_fleet_end(fleet);
    loop_expect_empty(world.gateway);
    loop_gateway_end(world.gateway);
}

static uint64_t caused_by(const struct fmx_fleet *fleet, enum fmx_status status)
{
    struct fmx_fleet_snapshot now = loop_look(fleet);
    uint64_t count = 0;

    for (size_t i = 0; i < now.causes_count; i++) {
        count += now.causes[i].status == status ? now.causes[i].count : 0;
    }
    return count;
}

/* ── links ── */

/* All comes, once, in order, none of it earlier than the link allows, and all say goodbye. */
static void exchange(bool has_tls, uint32_t payload_bytes, struct fmx_fleet_link link)
{
    static const char *const filters[] = {"far/%i"};
    uint64_t all = CLIENTS * MESSAGES;

    begin(CLIENTS, has_tls);
    world.plan.group.link = link;
    world.plan.filters = filters;
    world.plan.filters_count = 1;
    world.plan.subscribe_qos = 1;
    world.plan.publish.topic = "far/%i";
    world.plan.publish.qos = 1;
    world.plan.publish.interval_ns = 20 * LOOP_MS_NS;
    world.plan.publish.messages_max = all;
    world.plan.publish.payload_bytes = payload_bytes;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.publishes_acked == all);
    LOOP_WAIT(loop_look(fleet).counters.received == all);
    struct fmx_fleet_counters seen = loop_look(fleet).counters;
    LOOP_EQUAL(loop_look(fleet).causes_count, 0);
    LOOP_EQUAL(seen.connects_ok, CLIENTS);
    LOOP_EQUAL(seen.received_gap + seen.received_duplicate + seen.received_reordered, 0);
    CU_ASSERT(loop_latency(fleet, FMX_FLEET_CONNACK).min_ns >= 2 * link.delay_ms * LOOP_MS_NS);
    CU_ASSERT(loop_latency(fleet, FMX_FLEET_PUBACK_RAW).min_ns >= 2 * link.delay_ms * LOOP_MS_NS);
    CU_ASSERT(loop_latency(fleet, FMX_FLEET_DELIVERY_RAW).min_ns >= 2 * link.delay_ms * LOOP_MS_NS);
    if (has_tls) {
        CU_ASSERT(loop_latency(fleet, FMX_FLEET_TLS_FULL).min_ns >= 2 * link.delay_ms * LOOP_MS_NS);
    }
    end(fleet);
    LOOP_EQUAL(ends_of(FMX_PEER_DISCONNECT), CLIENTS);
}

static void a_delay_is_felt_both_ways(void)
{
    exchange(false, 256, (struct fmx_fleet_link){.delay_ms = DELAY_MS});
    exchange(true, 256, (struct fmx_fleet_link){.delay_ms = DELAY_MS});
}

static void jitter_and_loss_change_neither_order_nor_number(void)
{
    struct fmx_fleet_link poor = {.delay_ms = 5, .jitter_ms = 30, .loss = 0.05};

    exchange(false, 256, poor);
    exchange(true, 256, poor);
}

static void large_messages_pass_through_a_link(void)
{
    struct fmx_fleet_link poor = {.delay_ms = DELAY_MS, .jitter_ms = 10};

    exchange(false, 100000, poor);
    exchange(true, 100000, poor); /* more than is sealed for one send */
}

static void slow_readers_get_all_in_the_end(void)
{
    struct fmx_fleet_link slow = {.read_bytes_per_second = 200000};

    exchange(false, 2000, slow);
    exchange(true, 2000, slow);
}

/* A server that says more than its client reads: TCP's window closes, and opens again. */
static void a_slow_reader_closes_its_window(void)
{
    enum { PAYLOAD_BYTES = 1000, MOST_BYTES = 64 << 20 };
    static uint8_t packet[PAYLOAD_BYTES + 64];
    static const uint8_t payload[PAYLOAD_BYTES];
    static const uint8_t connack[] = {0x20, 2, 0, 0};
    static struct loop_packet connect;
    uint16_t port;
    size_t said = 0;

    begin(1, false);
    world.plan.group.version = FMX_MQTT_311;
    world.plan.group.link.read_bytes_per_second = 300000;
    int listener = loop_listen_anywhere(&port);
    struct fmx_fleet *fleet = loop_fleet(&world.plan, port);
    int fd = accept(listener, NULL, NULL);
    CU_ASSERT_FATAL(fd >= 0 && loop_receive(fd, &connect) && connect.head == 0x10);
    CU_ASSERT(loop_send(fd, connack, sizeof connack));
    size_t bytes =
        loop_write_publish(packet, FMX_MQTT_311, "much", (fmx_slice){payload, PAYLOAD_BYTES}, 0, 0);
    bool is_closed = false;
    while (!is_closed && said < MOST_BYTES) {
        ssize_t sent =
            send(fd, packet + said % bytes, bytes - said % bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        CU_ASSERT_FATAL(sent > 0 || errno == EAGAIN);
        said += sent > 0 ? (size_t)sent : 0;
        is_closed = sent < 0;
    }
    CU_ASSERT(is_closed);
    uint64_t before = loop_look(fleet).counters.received;
    LOOP_WAIT(loop_look(fleet).counters.received >= before + 20);
    loop_fleet_end(fleet);
    close(fd);
    close(listener);
}

/* ── manners ── */

/* So many come although not so many may wait for an answer, and nothing but their link is there. */
static void silent_clients_wait_for_the_server_to_end_them(void)
{
    begin(SILENT, false);
    world.options.connect_timeout_ms = 500;
    world.plan.group.manner = FMX_FLEET_SILENT;
    world.plan.group.connect_timeout_ms = 100;
    world.plan.whole.connects_inflight_max = 2;
    world.plan.whole.mux.shards_count = 1;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_stats(world.gateway).accepts == SILENT);
    LOOP_WAIT(loop_look(fleet).counters.clients_failed == SILENT);
    LOOP_EQUAL(loop_look(fleet).counters.connects_failed, SILENT);
    LOOP_EQUAL(caused_by(fleet, FMX_PEER_CLOSED), SILENT); /* and not our own deadline */
    const struct fmx_fleet_snapshot seen = loop_look(fleet);
    CU_ASSERT(seen.causes_count == 1 && seen.causes[0].words != NULL);
    CU_ASSERT_STRING_EQUAL(seen.causes[0].words, FMX_FLEET_WORDS_SILENT);
    LOOP_EQUAL(seen.counters.server_faults, 0);
    LOOP_EQUAL(loop_stats(world.gateway).bytes_in, 0);
    end(fleet);
}

static void silent_clients_come_back_by_the_policy(void)
{
    begin(SILENT, true);
    world.options.connect_timeout_ms = 100;
    world.plan.group.manner = FMX_FLEET_SILENT;
    world.plan.group.reconnect_min_ms = 10;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.connects_failed >= 3 * SILENT);
    LOOP_EQUAL(loop_look(fleet).counters.connects_ok, 0);
    LOOP_WAIT(loop_stats(world.gateway).tls_full + loop_stats(world.gateway).tls_resumed > 0);
    LOOP_EQUAL(loop_stats(world.gateway).sessions_now, 0);
    end(fleet);
}

static void half_a_connect_is_half_and_nothing_follows(void)
{
    static uint8_t got[CONNECT_MAX];
    uint16_t port;
    size_t bytes = 0;

    begin(1, false);
    world.plan.group.manner = FMX_FLEET_HALF_CONNECT;
    world.plan.group.username = "somebody";
    world.plan.group.password = "whose password is never said in whole";
    int listener = loop_listen_anywhere(&port);
    struct fmx_fleet *fleet = loop_fleet(&world.plan, port);
    int fd = accept(listener, NULL, NULL);
    CU_ASSERT_FATAL(fd >= 0);
    LOOP_WAIT(recv(fd, got, sizeof got, MSG_PEEK | MSG_DONTWAIT) > 2);
    CU_ASSERT_FATAL(got[0] == 0x10 && got[1] < 0x80);
    LOOP_EQUAL(loop_look(fleet).counters.clients_connecting, 1);
    fmx_fleet_stop(fleet);
    for (ssize_t part; (part = recv(fd, got + bytes, sizeof got - bytes, 0)) > 0;) {
        bytes += (size_t)part;
    }
    LOOP_EQUAL(bytes, (got[1] + 2u) / 2);
    fmx_fleet_close(fleet);
    close(fd);
    close(listener);
}

/* ── ghosts ── */

/* Its own stages instead of the plan's; nothing else is different from start. */
static struct fmx_fleet *start_staged(const struct fmx_fleet_stage *stages, size_t stages_count)
{
    char target[32];
    const char *targets[] = {target};

    world.gateway = loop_gateway_start(&world.options);
    snprintf(target, sizeof target, "127.0.0.1:%u", fmx_gateway_port(world.gateway, 0));
    world.plan.group.targets = targets;
    world.plan.group.targets_count = 1;
    struct fmx_fleet_plan plan = *loop_plan_join(&world.plan);
    plan.stages = stages;
    plan.stages_count = stages_count;
    return loop_fleet_start(&plan);
}

/* Nobody pings, nobody says goodbye: the server's keep-alive ends what is left. */
static void vanish(bool has_tls)
{
    struct fmx_fleet_stage stages[3];

    begin(CLIENTS, has_tls);
    world.plan.group.keepalive_s = 1;
    fmx_fleet_stage_init(&stages[0], FMX_FLEET_RAMP);
    stages[0].rate_begin = stages[0].rate_end = 0;
    fmx_fleet_stage_init(&stages[1], FMX_FLEET_STOP);
    stages[1].rate_begin = stages[1].rate_end = 0;
    stages[1].leave = FMX_FLEET_LEAVE_VANISH;
    fmx_fleet_stage_init(&stages[2], FMX_FLEET_HOLD);
    struct fmx_fleet *fleet = start_staged(stages, 3);
    LOOP_WAIT(loop_look(fleet).counters.clients_stopped == CLIENTS);
    LOOP_WAIT(ends_of(FMX_PEER_KEEPALIVE) == CLIENTS);
    LOOP_WAIT(loop_look(fleet).counters.ghosts == 0);
    LOOP_EQUAL(loop_look(fleet).counters.connects_ok, CLIENTS);
    LOOP_EQUAL(loop_look(fleet).causes_count, 0);
    end(fleet);
}

static void ghosts_are_ended_by_the_servers_keepalive(void)
{
    vanish(false);
    vanish(true);
}

/* They come back under the same names while their ghosts are still there. */
static void ghosts_are_taken_over_by_who_comes_back(void)
{
    static const char *const filters[] = {"far/+"};

    begin(CLIENTS, false);
    world.plan.group.reconnect_min_ms = 10;
    world.plan.filters = filters;
    world.plan.filters_count = 1;
    world.plan.subscribe_qos = 1;
    world.plan.publish.topic = "far/%i";
    world.plan.publish.qos = 1;
    world.plan.publish.interval_ns = 20 * LOOP_MS_NS;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == CLIENTS);
    LOOP_WAIT(loop_look(fleet).counters.publishes_acked > CLIENTS);
    LOOP_EQUAL(fmx_fleet_storm(fleet, FMX_FLEET_ALL, 1, FMX_FLEET_LEAVE_VANISH), FMX_OK);
    LOOP_WAIT(loop_look(fleet).counters.connects_ok == 2 * CLIENTS);
    LOOP_WAIT(loop_look(fleet).counters.ghosts == 0);
    uint64_t acked = loop_look(fleet).counters.publishes_acked;
    LOOP_WAIT(loop_look(fleet).counters.publishes_acked > acked);
    LOOP_EQUAL(loop_look(fleet).causes_count, 0);
    LOOP_EQUAL(loop_look(fleet).counters.clients_open, CLIENTS);
    end(fleet);
    LOOP_EQUAL(ends_of(FMX_E_TAKEN_OVER), CLIENTS);
}

/* The run ends while they are there: it does not wait for them, and they say nothing. */
static void ghosts_end_with_the_run(void)
{
    struct fmx_fleet_stage stages[3];

    begin(CLIENTS, true);
    fmx_fleet_stage_init(&stages[0], FMX_FLEET_RAMP);
    stages[0].rate_begin = stages[0].rate_end = 0;
    fmx_fleet_stage_init(&stages[1], FMX_FLEET_STOP);
    stages[1].rate_begin = stages[1].rate_end = 0;
    stages[1].leave = FMX_FLEET_LEAVE_VANISH;
    fmx_fleet_stage_init(&stages[2], FMX_FLEET_HOLD);
    struct fmx_fleet *fleet = start_staged(stages, 3);
    LOOP_WAIT(loop_look(fleet).counters.ghosts == CLIENTS);
    LOOP_EQUAL(loop_stats(world.gateway).sessions_now, CLIENTS);
    end(fleet);
    LOOP_EQUAL(ends_of(FMX_PEER_DISCONNECT), 0);
}

/* ── files ── */

static void make_files(void)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    struct fmx_cert_options options;
    char error[256] = "";

    fmx_temporary_path(folder, sizeof folder, "fmx_fleet_links_XXXXXX");
    if (mkdtemp(folder) == NULL) {
        fprintf(stderr, "no folder for certificates\n");
        exit(1);
    }
    snprintf(cert, sizeof cert, "%s/server.crt", folder);
    snprintf(key, sizeof key, "%s/server.key", folder);
    fmx_cert_options_init(&options);
    options.common_name = "localhost";
    options.names = names;
    options.names_count = sizeof names / sizeof names[0];
    options.out_cert = cert;
    options.out_key = key;
    if (fmx_cert_make(&options, error, sizeof error) != FMX_OK) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
}

static void remove_files(void)
{
    if (unlink(cert) != 0 || unlink(key) != 0 || rmdir(folder) != 0) {
        fprintf(stderr, "%s is left behind\n", folder);
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_delay_is_felt_both_ways),
    FMX_TEST_CASE(jitter_and_loss_change_neither_order_nor_number),
    FMX_TEST_CASE(large_messages_pass_through_a_link),
    FMX_TEST_CASE(slow_readers_get_all_in_the_end),
    FMX_TEST_CASE(a_slow_reader_closes_its_window),
    FMX_TEST_CASE(silent_clients_wait_for_the_server_to_end_them),
    FMX_TEST_CASE(silent_clients_come_back_by_the_policy),
    FMX_TEST_CASE(half_a_connect_is_half_and_nothing_follows),
    FMX_TEST_CASE(ghosts_are_ended_by_the_servers_keepalive),
    FMX_TEST_CASE(ghosts_are_taken_over_by_who_comes_back),
    FMX_TEST_CASE(ghosts_end_with_the_run),
};

int main(int argc, char **argv)
{
    make_files();
    int result = fmx_test_main("fleet_links", cases, sizeof cases / sizeof cases[0], argc, argv);
    remove_files();
    return result;
}
