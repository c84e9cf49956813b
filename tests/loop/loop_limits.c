/*
 * loop_limits — what happens at a limit: descriptors, a full table, options out of range, addresses
 * that cannot be had
 *
 * The case that lowers RLIMIT_NOFILE is the last: it cannot be undone.
 */
#include "tests/loop/support.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILES_LIMIT 512u

/* ── options ── */

/* One field set to one value that must be refused. */
struct refusal {
    const char *field;
    size_t offset;
    size_t bytes;
    uint64_t value;
};

#define GATEWAY_FIELD(name, bad)                                                                   \
    {                                                                                              \
#name, offsetof(struct fmx_gateway_options, name),                                         \
            sizeof(((struct fmx_gateway_options *)NULL)->name), (bad)                              \
    }
#define PLAN_FIELD(name, bad)                                                                      \
    {                                                                                              \
#name, offsetof(struct loop_plan, name), sizeof(((struct loop_plan *)NULL)->name), (bad)   \
    }

static const struct refusal gateway_refusals[] = {
    GATEWAY_FIELD(mux.shards_count, FMX_SHARDS_MAX + 1),
    GATEWAY_FIELD(mux.shards_count, UINT32_MAX),
    GATEWAY_FIELD(mux.sessions_max, UINT32_MAX),
    GATEWAY_FIELD(mux.recv_buffers_count, 0),
    GATEWAY_FIELD(mux.recv_buffers_count, 32),
    GATEWAY_FIELD(mux.recv_buffers_count, 100),
    GATEWAY_FIELD(mux.recv_buffers_count, 65536),
    GATEWAY_FIELD(mux.recv_buffer_bytes, 511),
    GATEWAY_FIELD(mux.recv_buffer_bytes, 65537),
    GATEWAY_FIELD(mux.send_queue_bytes_max, 0),
    GATEWAY_FIELD(mux.shard_bytes_max, 0),
    GATEWAY_FIELD(mux.packets_per_turn_max, 0),
    GATEWAY_FIELD(mux.log_level, FMX_LOG_DEBUG + 1),
    GATEWAY_FIELD(profile, 7),
    GATEWAY_FIELD(listen_count, 0),
    GATEWAY_FIELD(listen_count, 17),
    GATEWAY_FIELD(backlog, 0),
    GATEWAY_FIELD(connect_timeout_ms, 99),
    GATEWAY_FIELD(connect_timeout_ms, 600001),
    GATEWAY_FIELD(limits.packet_bytes_max, 15),
    GATEWAY_FIELD(limits.packet_bytes_max, 268435461),
    GATEWAY_FIELD(limits.inflight_max, 0),
    GATEWAY_FIELD(limits.inflight_max, 32769),
    GATEWAY_FIELD(limits.receive_max, 0),
    GATEWAY_FIELD(limits.topic_bytes_max, 0),
    GATEWAY_FIELD(limits.topic_bytes_max, 65536),
    GATEWAY_FIELD(limits.topic_levels_max, 0),
    GATEWAY_FIELD(limits.topic_levels_max, 129),
    GATEWAY_FIELD(limits.subscriptions_max, UINT32_MAX),
    GATEWAY_FIELD(limits.queue_messages_max, UINT32_MAX),
};

static const struct refusal plan_refusals[] = {
    PLAN_FIELD(whole.mux.shards_count, FMX_SHARDS_MAX + 1),
    PLAN_FIELD(whole.mux.recv_buffers_count, 63),
    PLAN_FIELD(whole.mux.recv_buffer_bytes, 0),
    PLAN_FIELD(whole.connects_inflight_max, 1048577),
    PLAN_FIELD(whole.drain_ms, UINT32_MAX),
    PLAN_FIELD(group.targets_count, 0),
    PLAN_FIELD(group.targets_count, 65),
    PLAN_FIELD(group.sources_count, 1000000),
    PLAN_FIELD(group.clients_count, 0),
    PLAN_FIELD(group.clients_count, 16000001),
    PLAN_FIELD(group.connect_timeout_ms, 0),
    PLAN_FIELD(group.connect_timeout_ms, 600001),
    PLAN_FIELD(group.version, 2),
    PLAN_FIELD(group.version, 6),
    PLAN_FIELD(group.client_id, 0),
    PLAN_FIELD(group.receive_max, 0),
    PLAN_FIELD(group.window, 0),
    PLAN_FIELD(group.window, 32769),
    PLAN_FIELD(group.reconnect_min_ms, UINT32_MAX),
    PLAN_FIELD(publish.qos, 2),
    PLAN_FIELD(publish.payload_bytes, 268435456),
};

static void spoil(void *options, const struct refusal *refusal)
{
    const uint8_t narrow = (uint8_t)refusal->value;
    const uint16_t half = (uint16_t)refusal->value;
    const uint32_t whole = (uint32_t)refusal->value;
    const void *from = refusal->bytes == 1   ? (const void *)&narrow
                       : refusal->bytes == 2 ? (const void *)&half
                       : refusal->bytes == 4 ? (const void *)&whole
                                             : (const void *)&refusal->value;

    memcpy((char *)options + refusal->offset, from, refusal->bytes);
}

/* A status, the name of the field without its struct, and more words than that. */
static void check_refused(enum fmx_status status, const char *field, const char *error)
{
    const char *dot = strrchr(field, '.');
    const char *name = dot == NULL ? field : dot + 1;

    if (status != FMX_E_OPTION || strstr(error, name) == NULL || strlen(error) < strlen(name) + 8) {
        fprintf(stderr, "%s: %s: '%s'\n", field, fmx_status_name(status), error);
        CU_FAIL("an option out of range is refused with its name");
    }
}

static void try_gateway(const struct fmx_gateway_options *options, const char *field)
{
    struct fmx_gateway *gateway = NULL;
    char error[256] = "";
    enum fmx_status status = fmx_gateway_open(options, &gateway, error, sizeof error);

    check_refused(status, field, error);
    if (status == FMX_OK) {
        fmx_gateway_close(gateway);
    }
}

static void try_fleet(struct loop_plan *plan, const char *field)
{
    struct fmx_fleet *fleet = NULL;
    char error[256] = "";
    enum fmx_status status = fmx_fleet_open(loop_plan_join(plan), &fleet, error, sizeof error);

    check_refused(status, field, error);
    if (status == FMX_OK) {
        fmx_fleet_close(fleet);
    }
}

static void sound_plan(struct loop_plan *plan)
{
    static const char *const targets[] = {"127.0.0.1:1883"};

    loop_plan(plan, 1, "c_%i");
    plan->group.targets = targets;
    plan->group.targets_count = 1;
    plan->publish.topic = "topic";
}

static void limits_refuse_every_gateway_option_out_of_range_by_name(void)
{
    struct fmx_gateway_options options;
    unsigned files = loop_files();

    for (size_t i = 0; i < sizeof gateway_refusals / sizeof gateway_refusals[0]; i++) {
        loop_gateway_options(&options, 1);
        spoil(&options, &gateway_refusals[i]);
        try_gateway(&options, gateway_refusals[i].field);
    }
    loop_gateway_options(&options, 1);
    options.limits.keepalive_min_s = 20;
    options.limits.keepalive_max_s = 10;
    try_gateway(&options, "keepalive_min_s");
    static const char *const cpus[] = {"", "x", "3-1", "0-", "0,,1", "1;2", "999999"};
    for (size_t i = 0; i < sizeof cpus / sizeof cpus[0]; i++) {
        loop_gateway_options(&options, 1);
        options.mux.cpus = cpus[i];
        try_gateway(&options, "cpus");
    }
    LOOP_EQUAL(loop_files(), files);
}

static void limits_refuse_every_field_of_a_plan_out_of_range_by_name(void)
{
    struct loop_plan plan;
    unsigned files = loop_files();

    for (size_t i = 0; i < sizeof plan_refusals / sizeof plan_refusals[0]; i++) {
        sound_plan(&plan);
        spoil(&plan, &plan_refusals[i]);
        try_fleet(&plan, plan_refusals[i].field);
    }
    const double rates[] = {-1, 1e9, INFINITY, NAN};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        sound_plan(&plan);
        plan.connects_per_second = rates[i];
        try_fleet(&plan, "rate_begin");
    }
    sound_plan(&plan);
    plan.group.reconnect_min_ms = 100;
    plan.group.reconnect_max_ms = 99;
    try_fleet(&plan, "reconnect_max_ms");
    sound_plan(&plan);
    plan.group.version = FMX_MQTT_311;
    plan.group.password = "secret";
    try_fleet(&plan, "password");
    LOOP_EQUAL(loop_files(), files);
}

static void limits_refuse_templates_and_addresses_of_a_plan_by_name(void)
{
    static const char *const names[] = {"nowhere", "127.0.0.1:70000", "127.0.0.1:", "::1:1883",
                                        "[::1:1883"};
    static const char *const bad[] = {"%q"};
    struct loop_plan plan;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        sound_plan(&plan);
        plan.group.targets = &names[i];
        try_fleet(&plan, "target");
    }
    sound_plan(&plan);
    plan.group.sources = names;
    plan.group.sources_count = 1;
    try_fleet(&plan, "source");
    sound_plan(&plan);
    plan.filters = bad;
    plan.filters_count = 1;
    try_fleet(&plan, "filter");
    sound_plan(&plan);
    plan.publish.topic = "a/%";
    try_fleet(&plan, "topic");
    sound_plan(&plan);
    plan.group.client_id = "%z";
    try_fleet(&plan, "client_id");
    sound_plan(&plan);
    plan.group.username = "%5";
    try_fleet(&plan, "username");
    sound_plan(&plan);
    plan.group.username = "u";
    plan.group.password = "%?";
    try_fleet(&plan, "password");
}

/* Also where there is little room for words. */
static void limits_write_no_more_words_than_there_is_room_for(void)
{
    struct fmx_gateway_options options;
    struct fmx_gateway *gateway;
    char error[8] = {'x', 'x', 'x', 'x', 'x', 'x', 'x', 'y'};

    loop_gateway_options(&options, 1);
    options.backlog = 0;
    CU_ASSERT_EQUAL(fmx_gateway_open(&options, &gateway, error, 7), FMX_E_OPTION);
    CU_ASSERT_EQUAL(error[6], '\0');
    CU_ASSERT_EQUAL(error[7], 'y');
    CU_ASSERT_EQUAL(fmx_gateway_open(&options, &gateway, error, 1), FMX_E_OPTION);
    CU_ASSERT_EQUAL(error[0], '\0');
}

/* ── addresses ── */

static void expect_start(const char *listen, enum fmx_status expected, const char *words)
{
    struct fmx_gateway_options options;
    struct fmx_gateway *gateway;
    char error[256] = "";

    loop_gateway_options(&options, 2);
    options.listen = &listen;
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_open(&options, &gateway, error, sizeof error), FMX_OK);
    enum fmx_status status = fmx_gateway_start(gateway, error, sizeof error);
    if (status != expected || strstr(error, words) == NULL) {
        fprintf(stderr, "%s: %s: '%s'\n", listen, fmx_status_name(status), error);
        CU_FAIL("a start that must fail says why");
    }
    fmx_gateway_stop(gateway, 0);
    fmx_gateway_close(gateway);
}

static void limits_refuse_listen_addresses_that_are_none(void)
{
    static const char *const names[] = {
        "256.1.1.1:1883", "localhost:1883", "127.0.0.1", "127.0.0.1:99999",
        "127.0.0.1:x",    "::1:1883",       "",          "[::1]"};
    struct fmx_gateway_options options;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        loop_gateway_options(&options, 1);
        options.listen = &names[i];
        try_gateway(&options, "listen");
    }
}

static void limits_say_which_port_is_in_use_and_give_all_back(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    char listen_text[32];
    char port_text[8];

    loop_begin();
    unsigned files = loop_files();
    struct fmx_gateway *gateway = loop_gateway(2);
    uint16_t port = fmx_gateway_port(gateway, 0);
    snprintf(listen_text, sizeof listen_text, "127.0.0.1:%u", port);
    snprintf(port_text, sizeof port_text, "%u", port);
    expect_start(listen_text, FMX_SYS_BIND, port_text); /* another gateway's */
    loop_gateway_end(gateway);

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CU_ASSERT_FATAL(listen(fd, 1) == 0);
    CU_ASSERT_FATAL(getsockname(fd, (struct sockaddr *)&address, &bytes) == 0);
    snprintf(listen_text, sizeof listen_text, "127.0.0.1:%u", ntohs(address.sin_port));
    snprintf(port_text, sizeof port_text, "%u", ntohs(address.sin_port));
    expect_start(listen_text, FMX_SYS_BIND, port_text); /* anybody's */
    close(fd);
    expect_start("192.0.2.1:0", FMX_SYS_BIND, "listen"); /* not of this machine */
    LOOP_EQUAL(loop_files(), files);
}

static void *let_go_soon(void *fd)
{
    loop_pause_ms(50);
    close(*(int *)fd);
    return NULL;
}

/* As the kernel does behind a gateway that was killed. */
static void limits_wait_for_a_port_that_is_let_go(void)
{
    struct fmx_gateway_options options;
    char listen_text[32];
    const char *listen_at[] = {listen_text};
    static int fd; /* the thread may outlive a case that fails */
    pthread_t thread;
    uint16_t port;

    loop_begin();
    fd = loop_listen_anywhere(&port);
    snprintf(listen_text, sizeof listen_text, "127.0.0.1:%u", port);
    loop_gateway_options(&options, 1);
    options.listen = listen_at;
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, let_go_soon, &fd) == 0);
    loop_gateway_end(loop_gateway_start(&options));
    (void)pthread_join(thread, NULL);
}

static void limits_let_two_addresses_and_ipv6_be_served_at_once(void)
{
    static const char *const listen_both[] = {"127.0.0.1:0", "[::1]:0"};
    struct fmx_gateway_options options;
    struct loop_plan plan;
    char target[32];
    const char *targets[] = {target};
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    loop_begin();
    bool has_ipv6 = probe >= 0 && bind(probe, (struct sockaddr *)&loopback, sizeof loopback) == 0;
    if (probe >= 0) {
        close(probe);
    }
    if (!has_ipv6) {
        fprintf(stderr, "  left out: this machine has no IPv6\n");
        return;
    }
    loop_gateway_options(&options, 2);
    options.listen = listen_both;
    options.listen_count = 2;
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    CU_ASSERT_NOT_EQUAL(fmx_gateway_port(gateway, 0), 0);
    CU_ASSERT_NOT_EQUAL(fmx_gateway_port(gateway, 1), 0);
    CU_ASSERT_EQUAL(fmx_gateway_port(gateway, 2), 0);
    snprintf(target, sizeof target, "[::1]:%u", fmx_gateway_port(gateway, 1));
    loop_plan(&plan, 50, "six_%i");
    plan.group.targets = targets;
    plan.group.targets_count = 1;
    struct fmx_fleet *six = loop_fleet(&plan, 0);
    loop_plan(&plan, 50, "four_%i");
    struct fmx_fleet *four = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_stats(gateway).sessions_now == 100);
    loop_fleet_end(six);
    loop_fleet_end(four);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── a full table ── */

static void plan_echo(struct loop_plan *plan, uint32_t count, const char *filter)
{
    static const char *filters[1];

    filters[0] = filter;
    loop_plan(plan, count, "echo_%i");
    plan->filters = filters;
    plan->filters_count = 1;
    plan->subscribe_qos = 1;
    plan->publish.topic = filter;
    plan->publish.qos = 1;
    plan->publish.interval_ns = LOOP_SIZE(20, 80) * LOOP_MS_NS; /* slow machines keep up */
}

static void limits_shed_and_count_what_the_table_has_no_room_for(void)
{
    struct fmx_gateway_options options;
    struct loop_plan plan;

    loop_begin();
    loop_gateway_options(&options, 1);
    options.mux.sessions_max = 100;
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    uint16_t port = fmx_gateway_port(gateway, 0);
    plan_echo(&plan, 60, "echo/%i");
    struct fmx_fleet *earlier = loop_fleet(&plan, port);
    LOOP_WAIT(loop_look(earlier).counters.clients_subscribed == 60);

    loop_plan(&plan, 90, "rush_%i");
    struct fmx_fleet *rush = loop_fleet(&plan, port);
    LOOP_WAIT(loop_look(rush).counters.clients_failed == 50);
    LOOP_WAIT(loop_look(rush).counters.clients_open == 40); /* shed ones may be heard of first */
    LOOP_EQUAL(loop_stats(gateway).accepts, 100);
    LOOP_EQUAL(loop_stats(gateway).accepts_shed, 50);
    LOOP_EQUAL(loop_stats(gateway).sessions_now, 100);
    uint64_t before = loop_look(earlier).counters.received;
    LOOP_WAIT(loop_look(earlier).counters.received > before + 600); /* they go on */
    loop_fleet_end(rush);
    LOOP_WAIT(loop_stats(gateway).connections_now == 60);

    plan.group.client_id = "later_%i";
    plan.group.clients_count = 40;
    struct fmx_fleet *later = loop_fleet(&plan, port);
    LOOP_WAIT(loop_look(later).counters.clients_open == 40); /* their room is free again */
    loop_fleet_end(later);
    fmx_fleet_stop(earlier);
    struct fmx_fleet_snapshot end = loop_look(earlier);
    LOOP_EQUAL(end.counters.clients_lost + end.counters.clients_failed, 0);
    LOOP_EQUAL(end.counters.received_gap + end.counters.received_duplicate +
                   end.counters.publishes_unacked,
               0);
    LOOP_EQUAL(end.counters.publishes_acked, end.counters.publishes_sent);
    fmx_fleet_close(earlier);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── few descriptors ── */

static void limits_make_more_shards_where_a_ring_may_hold_few_descriptors(void)
{
    static struct loop_log log;
    struct rlimit limit = {.rlim_cur = FILES_LIMIT, .rlim_max = FILES_LIMIT};
    struct fmx_gateway_options options;
    struct loop_plan plan;
    struct fmx_gateway *gateway;
    char error[256];

    loop_begin();
    CU_ASSERT_FATAL(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    loop_log_init(&log);
    loop_gateway_options(&options, 1);
    options.mux.sessions_max = 3000;
    options.mux.log = loop_log_line;
    options.mux.log_user = &log;
    options.mux.log_level = FMX_LOG_INFO;
    gateway = loop_gateway_start(&options);
    CU_ASSERT(fmx_gateway_shards_count(gateway) >= 3000 / FILES_LIMIT + 1);
    CU_ASSERT(loop_log_has(&log, "shards instead of 1"));
    CU_ASSERT(loop_log_has(&log, "RLIMIT_NOFILE"));

    plan_echo(&plan, 2000, "echo/%i");
    plan.publish.interval_ns = 1000 * LOOP_MS_NS;
    plan.whole.mux.log = loop_log_line;
    plan.whole.mux.log_user = &log;
    plan.whole.mux.shards_count = 1;
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    CU_ASSERT(fmx_fleet_shards_count(fleet) >= 2000 / FILES_LIMIT + 1);
    LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == 2000);
    LOOP_WAIT(loop_look(fleet).counters.received > 4000);
    fmx_fleet_stop(fleet);
    struct fmx_fleet_snapshot end = loop_look(fleet);
    LOOP_EQUAL(end.counters.connects_ok, 2000);
    LOOP_EQUAL(end.counters.clients_lost + end.counters.clients_failed, 0);
    LOOP_EQUAL(end.counters.received_gap + end.counters.received_duplicate, 0);
    LOOP_EQUAL(end.counters.publishes_acked, end.counters.publishes_sent);
    LOOP_EQUAL(loop_stats(gateway).accepts_shed, 0);
    fmx_fleet_close(fleet);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);

    options.mux.sessions_max = FMX_SHARDS_MAX * FILES_LIMIT; /* no room for the spread */
    CU_ASSERT_EQUAL(fmx_gateway_open(&options, &gateway, error, sizeof error), FMX_E_OPTION);
    CU_ASSERT(strstr(error, "sessions_max") != NULL && strstr(error, "RLIMIT_NOFILE") != NULL);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(limits_refuse_every_gateway_option_out_of_range_by_name),
    FMX_TEST_CASE(limits_refuse_every_field_of_a_plan_out_of_range_by_name),
    FMX_TEST_CASE(limits_refuse_templates_and_addresses_of_a_plan_by_name),
    FMX_TEST_CASE(limits_write_no_more_words_than_there_is_room_for),
    FMX_TEST_CASE(limits_refuse_listen_addresses_that_are_none),
    FMX_TEST_CASE(limits_say_which_port_is_in_use_and_give_all_back),
    FMX_TEST_CASE(limits_wait_for_a_port_that_is_let_go),
    FMX_TEST_CASE(limits_let_two_addresses_and_ipv6_be_served_at_once),
    FMX_TEST_CASE(limits_shed_and_count_what_the_table_has_no_room_for),
    FMX_TEST_CASE(limits_make_more_shards_where_a_ring_may_hold_few_descriptors),
};

int main(int argc, char **argv)
{
    return fmx_test_main("limits", cases, sizeof cases / sizeof cases[0], argc, argv);
}
