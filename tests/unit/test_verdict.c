/*
 * test_verdict — the verdict names what was the limit, in runs whose limit is known by arithmetic;
 * the ledger, the first line and the exit status follow the rules
 */
#include "tests/support/fake_load.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tools/fleetmux/verdict.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS 24

/* ── plans ── */

/* 0 … 1 */
static double part(struct fmx_prng *prng)
{
    return (double)(fmx_prng_next(prng) >> 11) * 0x1p-53;
}

static double between(struct fmx_prng *prng, double least, double most)
{
    return least + (most - least) * part(prng);
}

/* A run in which nothing is the limit: at most 60 % of what anybody can do. */
static struct fake_load_plan draw_plan(uint64_t seed)
{
    struct fmx_prng prng = {.state = seed * 7919};
    struct fake_load_plan plan = {.seed = seed};

    plan.clients = 100 + (uint32_t)fmx_prng_below(&prng, 20000);
    plan.shards = 1 + (uint32_t)fmx_prng_below(&prng, 4);
    plan.rate = between(&prng, 0.05, 5) * plan.clients + 200;
    plan.server_rate = plan.rate / between(&prng, 0.05, 0.6);
    plan.generator_rate = plan.rate / between(&prng, 0.05, 0.6);
    plan.connect_rate = plan.clients / between(&prng, 0.5, 4);
    plan.base_s = between(&prng, 0.0002, 0.02);
    plan.noise_s = between(&prng, 0.00002, 0.0015); /* up to 7 ms in the 99th percentile */
    plan.wait_share = between(&prng, 0, 0.3);
    plan.window = 32.0 * plan.clients;
    plan.stall_at_s = plan.own_stall_at_s = 1e9;
    return plan;
}

static const char *why(const struct result *result)
{
    static char words[64 + sizeof(result->limit_words)];

    snprintf(words, sizeof(words), "%s: %s", result_limit_name(result->limit), result->limit_words);
    return words;
}

static bool ends_as(const struct fake_load_plan *plan, double seconds, enum result_limit expected)
{
    struct fake_load *load = fake_load_open(plan);

    fake_load_run(load, seconds);
    enum result_limit during = fake_load_result(load)->limit;
    fake_load_end(load);
    const struct result *result = fake_load_result(load);
    bool is_right = result->limit == expected && during == expected &&
                    result->is_valid == (expected != RESULT_GENERATOR_LIMITED) &&
                    result->limit_words[0] != '\0';
    if (!is_right) {
        printf("seed %llu, expected %s: %s\n", (unsigned long long)plan->seed,
               result_limit_name(expected), why(result));
    }
    fake_load_close(load);
    return is_right;
}

/* ── below its limit ── */

static void below_sixty_per_cent_nobody_is_the_limit(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        CU_ASSERT(ends_as(&plan, 20, RESULT_OK));
    }
}

static void a_busy_server_on_the_same_processors_is_no_limit_of_ours(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        plan.wait_share = 0.9; /* ready to run nearly all the time, and seldom does */
        plan.generator_rate = plan.rate * 20;
        CU_ASSERT(ends_as(&plan, 15, RESULT_OK));
    }
}

static void a_long_way_is_no_limit(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        plan.base_s = 0.05 * (double)(1 + seed % 12);
        plan.connect_rate = 800 / plan.base_s; /* so many can be under way */
        CU_ASSERT(ends_as(&plan, 20, RESULT_OK));
    }
}

static void one_second_of_trouble_in_a_minute_is_told_but_decides_nothing(void)
{
    for (uint64_t seed = 1; seed <= SEEDS / 2; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        plan.stall_at_s = 17 + (double)seed / 7;
        plan.stall_s = 1;
        plan.server_rate = plan.rate * 4;
        plan.generator_rate = plan.rate * 4;
        struct fake_load *load = fake_load_open(&plan);
        fake_load_run(load, 60);
        struct result *result = fake_load_result(load);
        CU_ASSERT_EQUAL(result->limit, RESULT_OK);
        CU_ASSERT_PTR_NOT_NULL(strstr(result->limit_words, "SERVER-LIMITED in"));
        if (result->limit != RESULT_OK ||
            strstr(result->limit_words, "SERVER-LIMITED in") == NULL) {
            printf("seed %llu: %s\n", (unsigned long long)seed, why(result));
        }
        fake_load_close(load);
    }
}

/* ── above it ── */

static void an_overloaded_server_is_the_limit(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        struct fmx_prng prng = {.state = seed};
        plan.server_rate = plan.rate * between(&prng, 0.2, 0.9);
        plan.window = between(&prng, 0.2, 32) * plan.clients;
        CU_ASSERT(ends_as(&plan, 20, RESULT_SERVER_LIMITED));
    }
}

static void an_overloaded_generator_is_the_limit(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        struct fmx_prng prng = {.state = seed};
        plan.generator_rate = plan.rate * between(&prng, 0.2, 0.9);
        plan.wait_share = between(&prng, 0, 0.1);
        CU_ASSERT(ends_as(&plan, 20, RESULT_GENERATOR_LIMITED));
    }
}

/* Its windows fill up with answers that it has not read: that looks like a slow server. */
static void a_generator_that_does_not_read_is_the_limit(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        struct fmx_prng prng = {.state = seed};
        plan.generator_rate = plan.rate * between(&prng, 0.2, 0.9);
        plan.window = between(&prng, 0.2, 2) * plan.clients;
        plan.acks_wait = true;
        plan.wait_share = between(&prng, 0, 0.08);
        CU_ASSERT(ends_as(&plan, 20, RESULT_GENERATOR_LIMITED));
    }
}

static void the_slower_of_two_is_the_limit(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        plan.wait_share = 0;
        plan.server_rate = plan.rate * 0.3;
        plan.generator_rate = plan.rate * 1.4;
        plan.window = 2.0 * plan.clients;
        CU_ASSERT(ends_as(&plan, 20, RESULT_SERVER_LIMITED));
        plan.server_rate = plan.rate * 0.8;
        plan.generator_rate = plan.rate * 0.3;
        CU_ASSERT(ends_as(&plan, 20, RESULT_GENERATOR_LIMITED));
    }
}

/* Of one shard, without rows. */
static struct result *small_result(void)
{
    struct result *result = result_open();

    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    result->shards_count = 1;
    return result;
}

/* All of these seconds suffer: threads that never sleep, and what waits for them. */
static void what_waits_for_us_tells_who_has_no_time_left(void)
{
    static const struct second {
        double ran, waited;
        uint64_t line_us; /* half of what arrives waits longer */
        enum result_limit limit;
    } seconds[] = {
        {1.01, 0.00, 140, RESULT_GENERATOR_LIMITED}, /* full windows, our gateway */
        {1.00, 0.01, 390, RESULT_GENERATOR_LIMITED},
        {0.97, 0.00, 60, RESULT_SERVER_LIMITED},  /* one answer at a time, Mosquitto */
        {0.60, 0.39, 140, RESULT_SERVER_LIMITED}, /* a server on the same processor */
        {0.60, 0.39, 250, RESULT_GENERATOR_LIMITED},
        {0.80, 0.05, 390, RESULT_SERVER_LIMITED},
        {0.80, 0.05, 2100, RESULT_GENERATOR_LIMITED},
        {0.30, 0.10, 9000, RESULT_SERVER_LIMITED},
    };
    struct result *result = small_result();
    char words[256];

    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        const struct second *second = &seconds[i];
        struct result_row row = {.end_ns = 1000000000, .publishes_wanted = 1000};
        row.counters.publishes_planned = row.counters.publishes_overdue = 1000;
        row.cpu_ns = (uint64_t)(second->ran * 1e9);
        row.cpu_wait_ns = (uint64_t)(second->waited * 1e9);
        row.latency[FMX_FLEET_DRIFT] =
            (struct fmx_latency){.count = 10, .p50_ns = second->line_us * 1000};
        CU_ASSERT_EQUAL(verdict_row(result, &row, NULL, words, sizeof(words)), second->limit);
    }
    result_close(result);
}

static void late_by_ourselves_is_late_whatever_the_server_does(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        plan.noise_s = 0.012 + 0.001 * (double)seed; /* 55 ms and more in the 99th percentile */
        CU_ASSERT(ends_as(&plan, 20, RESULT_GENERATOR_LIMITED));
    }
}

static void a_slow_server_is_not_our_lateness(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        plan.noise_s = 0.005; /* 23 ms, beside answers of seconds */
        plan.server_rate = plan.rate * 0.5;
        plan.generator_rate = plan.rate * 4;
        plan.window = 32.0 * plan.clients;
        CU_ASSERT(ends_as(&plan, 20, RESULT_SERVER_LIMITED));
    }
}

static void lost_segments_are_the_network(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        struct fmx_prng prng = {.state = seed};
        plan.loss_share = between(&prng, 0.015, 0.1);
        CU_ASSERT(ends_as(&plan, 20, RESULT_NETWORK));
        plan.loss_share = 0.004;
        CU_ASSERT(ends_as(&plan, 20, RESULT_OK));
    }
}

static void connects_that_a_server_cannot_take_are_its_limit(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fake_load_plan plan = draw_plan(seed);
        struct fmx_prng prng = {.state = seed};
        plan.clients = 20000;
        plan.rate = 0;
        plan.connect_rate = 1000 + (double)fmx_prng_below(&prng, 4000);
        plan.server_connects = plan.connect_rate * between(&prng, 0.2, 0.8);
        CU_ASSERT(ends_as(&plan, 0.8 * plan.clients / plan.connect_rate, RESULT_SERVER_LIMITED));
        plan.server_connects = plan.connect_rate / 0.6;
        CU_ASSERT(ends_as(&plan, plan.clients / plan.connect_rate, RESULT_OK));
    }
}

static void add_cause(struct result *result, enum fmx_status status, int sys_errno, uint64_t count)
{
    result->causes[result->causes_count++] =
        (struct result_cause){.cause = {.status = status, .sys_errno = sys_errno, .count = count}};
}

static enum result_limit refused_with(enum fmx_status status, int sys_errno)
{
    struct fake_load_plan plan = draw_plan(1);

    plan.refused_share = 0.3;
    struct fake_load *load = fake_load_open(&plan);
    add_cause(fake_load_result(load), status, sys_errno, 1000);
    add_cause(fake_load_result(load), FMX_PEER_SILENT, 0, 10);
    fake_load_run(load, 6);
    fake_load_end(load);
    enum result_limit limit = fake_load_result(load)->limit;
    fake_load_close(load);
    return limit;
}

static void who_ends_connections_is_told_by_the_causes(void)
{
    CU_ASSERT_EQUAL(refused_with(FMX_PEER_REFUSED, 0), RESULT_SERVER_LIMITED);
    CU_ASSERT_EQUAL(refused_with(FMX_SYS_CONNECT, ECONNREFUSED), RESULT_SERVER_LIMITED);
    CU_ASSERT_EQUAL(refused_with(FMX_PEER_CREDENTIALS, 0), RESULT_SERVER_LIMITED);
    CU_ASSERT_EQUAL(refused_with(FMX_SYS_CONNECT, EADDRNOTAVAIL), RESULT_GENERATOR_LIMITED);
    CU_ASSERT_EQUAL(refused_with(FMX_SYS_SOCKET, EMFILE), RESULT_GENERATOR_LIMITED);
    CU_ASSERT_EQUAL(refused_with(FMX_LIMIT_SESSIONS, 0), RESULT_GENERATOR_LIMITED);
    CU_ASSERT_EQUAL(refused_with(FMX_SYS_CONNECT, ETIMEDOUT), RESULT_NETWORK);
    CU_ASSERT_EQUAL(refused_with(FMX_SYS_CONNECT, EHOSTUNREACH), RESULT_NETWORK);
}

static void clients_that_misbehave_by_plan_are_nobodys_failure(void)
{
    struct fake_load_plan plan = draw_plan(4);

    plan.clients = 1000;
    plan.refused_share = 0.04;
    CU_ASSERT(ends_as(&plan, 20, RESULT_SERVER_LIMITED));
    struct fake_load *load = fake_load_open(&plan);
    struct result *result = fake_load_result(load);
    result->groups = calloc(1, sizeof(*result->groups));
    CU_ASSERT_PTR_NOT_NULL_FATAL(result->groups);
    result->groups_count = 1;
    result->groups[0].is_apart = true;
    result->groups[0].clients_count = 40;
    fake_load_run(load, 20);
    fake_load_end(load);
    result->groups[0].counters.connects_failed = result->counters.connects_failed;
    result->groups[0].counters.clients_failed = result->counters.clients_failed;
    verdict_make(result, true);
    CU_ASSERT_EQUAL(result->limit, RESULT_OK);
    CU_ASSERT_EQUAL(result->status, EXIT_PASS);
    fake_load_close(load);
}

static void a_long_stop_of_ours_in_a_short_run_is_ours(void)
{
    struct fake_load_plan plan = draw_plan(3);

    plan.own_stall_at_s = 8.2;
    plan.own_stall_s = 0.4;
    CU_ASSERT(ends_as(&plan, 10, RESULT_GENERATOR_LIMITED));
    plan.own_stall_s = 0.01;
    CU_ASSERT(ends_as(&plan, 10, RESULT_OK));
}

static void evidence_has_figures(void)
{
    struct fake_load_plan plan = draw_plan(5);

    plan.generator_rate = plan.rate / 2;
    plan.wait_share = 0;
    struct fake_load *load = fake_load_open(&plan);
    fake_load_run(load, 20);
    const char *words = fake_load_result(load)->limit_words;
    CU_ASSERT_PTR_NOT_NULL(strstr(words, "late (lag.p99)"));
    fake_load_close(load);
    plan = draw_plan(5);
    plan.server_rate = plan.rate / 2;
    load = fake_load_open(&plan);
    fake_load_run(load, 20);
    words = fake_load_result(load)->limit_words;
    CU_ASSERT_PTR_NOT_NULL(strstr(words, "seconds, between"));
    CU_ASSERT(strstr(words, "sent ") != NULL || strstr(words, "acknowledged ") != NULL ||
              strstr(words, "puback.p50 grew") != NULL);
    fake_load_close(load);
}

/* What was due is counted, so that it is the number that the ledger has. */
static void what_was_not_sent_is_told_of_what_was_due(void)
{
    struct result *result = small_result();
    struct result_row row = {.end_ns = 1000000000, .publishes_wanted = 52.4};
    char words[256];

    row.counters.publishes_planned = 50;
    row.counters.publishes_overdue = 50;
    CU_ASSERT_EQUAL(verdict_row(result, &row, NULL, words, sizeof(words)), RESULT_SERVER_LIMITED);
    CU_ASSERT_STRING_EQUAL(words, "sent 0 of 50 messages in 1.00 s");
    result_close(result);
}

/* Whose connections fail here is told by what has ended them. */
static void refusals_and_planned_ends_blame_nobody(void)
{
    static const struct fmx_fleet_cause causes[] = {
        {.status = FMX_SYS_SOCKET, .sys_errno = EMFILE, .count = 20},
        {.status = FMX_PEER_MESSAGE_REFUSED, .reason = 0x97, .count = 1000},
        {.status = FMX_PEER_FILTER_REFUSED, .reason = 0x80, .count = 1000},
        {.status = FMX_PEER_UNASKED, .count = 1000},
        {.status = FMX_PEER_CLOSED, .count = 1000},
    };
    struct result *result = small_result();
    struct result_row row = {.end_ns = 1000000000, .connects_wanted = 100};

    row.counters.connects_begun = row.counters.connects_planned = 100;
    row.counters.connects_failed = 20;
    row.counters.clients_open = 80;
    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
        result->causes[result->causes_count++].cause = causes[i];
    }
    snprintf(result->causes[4].more, sizeof(result->causes[4].more), FMX_FLEET_WORDS_SILENT);
    CU_ASSERT_EQUAL(verdict_row(result, &row, NULL, NULL, 0), RESULT_GENERATOR_LIMITED);
    result->causes[4].more[0] = '\0';
    CU_ASSERT_EQUAL(verdict_row(result, &row, NULL, NULL, 0), RESULT_SERVER_LIMITED);
    result_close(result);
}

static void what_is_short_or_paused_says_nothing(void)
{
    struct result *result = small_result();
    struct result_row row = {.end_ns = 1000000000, .publishes_wanted = 1000};
    char words[256];

    row.counters.publishes_planned = 1000;
    row.counters.publishes_overdue = 1000;
    row.latency[FMX_FLEET_LAG] = (struct fmx_latency){.count = 10, .p99_ns = 900000000};
    CU_ASSERT_EQUAL(verdict_row(result, &row, NULL, words, sizeof(words)),
                    RESULT_GENERATOR_LIMITED);
    row.is_paused = true;
    CU_ASSERT_EQUAL(verdict_row(result, &row, NULL, words, sizeof(words)), RESULT_OK);
    CU_ASSERT_STRING_EQUAL(words, "");
    row.is_paused = false;
    row.end_ns = 400000000;
    CU_ASSERT_EQUAL(verdict_row(result, &row, NULL, words, sizeof(words)), RESULT_OK);
    result_close(result);
}

/* ── the ledger, the first line, the status ── */

/* A run of 1,000 messages that went well. */
static struct result *good_result(void)
{
    struct result *result = small_result();

    snprintf(result->verb, sizeof(result->verb), "pub");
    result->clients_count = 10;
    result->base_rate = 100;
    result->elapsed_ns = UINT64_C(10000000000);
    result->is_finished = true;
    result->counters = (struct fmx_fleet_counters){.clients_open = 10,
                                                   .connects_planned = 10,
                                                   .connects_begun = 10,
                                                   .connects_ok = 10,
                                                   .publishes_planned = 1000,
                                                   .publishes_sent = 1000,
                                                   .publishes_sent_qos1 = 1000,
                                                   .publishes_acked = 1000};
    result->before_drain = result->counters;
    return result;
}

static bool says(const struct result *result, enum exit_status status, const char *words)
{
    bool does = result->status == status && strstr(result->words, words) != NULL;

    if (!does) {
        printf("status %d: '%s', expected %d: '%s'\n", (int)result->status, result->words,
               (int)status, words);
    }
    return does;
}

static void a_good_run_passes(void)
{
    struct result *result = good_result();

    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_PASS, "1,000 messages sent, all acknowledged, 0 lost"));
    CU_ASSERT(result->adds_up && result->is_valid && result->has_planned_end);
    CU_ASSERT_STRING_EQUAL(result->ledger_words, "");
    result->counters.publishes_sent = result->counters.publishes_planned = 0;
    result->counters.publishes_sent_qos1 = result->counters.publishes_acked = 0;
    verdict_make(result, false);
    CU_ASSERT(says(result, EXIT_PASS, "10 connects, 0 clients lost"));
    result_close(result);
}

static void a_ledger_that_does_not_add_up_fails_the_run(void)
{
    static const size_t counters[] = {
        offsetof(struct fmx_fleet_counters, publishes_planned),
        offsetof(struct fmx_fleet_counters, publishes_sent),
        offsetof(struct fmx_fleet_counters, publishes_skipped),
        offsetof(struct fmx_fleet_counters, publishes_sent_qos1),
        offsetof(struct fmx_fleet_counters, publishes_acked),
        offsetof(struct fmx_fleet_counters, publishes_refused),
        offsetof(struct fmx_fleet_counters, publishes_unacked),
        offsetof(struct fmx_fleet_counters, publishes_outstanding),
        offsetof(struct fmx_fleet_counters, publishes_overdue),
        offsetof(struct fmx_fleet_counters, received),
        offsetof(struct fmx_fleet_counters, received_once),
        offsetof(struct fmx_fleet_counters, received_duplicate),
        offsetof(struct fmx_fleet_counters, deliveries_expected),
        offsetof(struct fmx_fleet_counters, clients_open),
        offsetof(struct fmx_fleet_counters, clients_failed),
    };

    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        struct result *result = good_result();
        *(uint64_t *)((char *)&result->counters + counters[i]) += 1;
        verdict_make(result, true);
        CU_ASSERT_FALSE(result->adds_up);
        CU_ASSERT(says(result, EXIT_ABORTED, "the ledger does not add up: "));
        result_close(result);
    }
}

static void a_server_that_breaks_the_protocol_is_never_ok(void)
{
    struct result *result = good_result();
    struct threshold threshold;
    char error[256];

    result->counters.server_faults = 3;
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_ABORTED, "3 packets that break the protocol"));
    result->counters.server_faults = 1;
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_ABORTED, "1 packet that breaks the protocol"));
    result->counters.server_faults = 3;
    CU_ASSERT_FATAL(threshold_parse("faults<5", &threshold, error, sizeof(error)));
    CU_ASSERT(thresholds_judge(&threshold, 1, result));
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_PASS, "3 packets that break the protocol"));
    result_close(result);
}

static void losses_fail_a_run_unless_thresholds_say_what_counts(void)
{
    struct result *result = good_result();
    struct threshold threshold;
    char error[256];

    result->counters.publishes_acked = 990;
    result->counters.publishes_unacked = 10;
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_ABORTED, "10 messages lost"));
    CU_ASSERT_FATAL(threshold_parse("lost<20", &threshold, error, sizeof(error)));
    CU_ASSERT(thresholds_judge(&threshold, 1, result));
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_PASS, "10 messages lost"));
    CU_ASSERT_FATAL(threshold_parse("lost==0", &threshold, error, sizeof(error)));
    CU_ASSERT(thresholds_judge(&threshold, 1, result));
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_THRESHOLD, "1 of 1 threshold missed: lost==0 was 10"));
    result_close(result);
}

static void a_cut_run_is_cut_whatever_else_it_is(void)
{
    struct result *result = good_result();

    result->signo = 2;
    verdict_make(result, false);
    CU_ASSERT(says(result, EXIT_PASS, "all acknowledged"));
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_ABORTED, "stopped from outside after 10.0 s"));
    result_close(result);
}

static void what_a_limit_asked_for_must_come(void)
{
    struct result *result = good_result();

    result->messages_wanted = 1200;
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_ABORTED, "200 messages missing of --limit"));
    result->messages_wanted = 1000;
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_PASS, "0 lost"));
    result_close(result);
}

static void clients_that_fail_or_go_are_told(void)
{
    struct result *result = good_result();

    result->counters.clients_open = 5;
    result->counters.clients_failed = 3;
    result->counters.clients_lost = 2;
    result->before_drain = result->counters;
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_ABORTED, "3 clients failed to connect, 2 clients lost"));
    result->counters.clients_failed = 0;
    result->counters.clients_waiting = 3;
    result->before_drain = result->counters;
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_ABORTED, "3 clients were not connected yet, 2 clients lost"));
    result_close(result);
}

static void an_invalid_run_is_not_a_pass_and_no_threshold_saves_it(void)
{
    struct fake_load_plan plan = draw_plan(2);
    struct threshold threshold;
    char error[256];

    plan.generator_rate = plan.rate / 3;
    struct fake_load *load = fake_load_open(&plan);
    fake_load_run(load, 20);
    fake_load_end(load);
    struct result *result = fake_load_result(load);
    CU_ASSERT_FATAL(threshold_parse("sent>0", &threshold, error, sizeof(error)));
    CU_ASSERT(thresholds_judge(&threshold, 1, result));
    verdict_make(result, true);
    CU_ASSERT(says(result, EXIT_GENERATOR, "not valid"));
    CU_ASSERT(result->adds_up);
    CU_ASSERT_FALSE(result->is_valid);
    fake_load_close(load);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(below_sixty_per_cent_nobody_is_the_limit),
    FMX_TEST_CASE(a_busy_server_on_the_same_processors_is_no_limit_of_ours),
    FMX_TEST_CASE(a_long_way_is_no_limit),
    FMX_TEST_CASE(one_second_of_trouble_in_a_minute_is_told_but_decides_nothing),
    FMX_TEST_CASE(an_overloaded_server_is_the_limit),
    FMX_TEST_CASE(an_overloaded_generator_is_the_limit),
    FMX_TEST_CASE(a_generator_that_does_not_read_is_the_limit),
    FMX_TEST_CASE(the_slower_of_two_is_the_limit),
    FMX_TEST_CASE(what_waits_for_us_tells_who_has_no_time_left),
    FMX_TEST_CASE(late_by_ourselves_is_late_whatever_the_server_does),
    FMX_TEST_CASE(a_slow_server_is_not_our_lateness),
    FMX_TEST_CASE(lost_segments_are_the_network),
    FMX_TEST_CASE(connects_that_a_server_cannot_take_are_its_limit),
    FMX_TEST_CASE(who_ends_connections_is_told_by_the_causes),
    FMX_TEST_CASE(clients_that_misbehave_by_plan_are_nobodys_failure),
    FMX_TEST_CASE(a_long_stop_of_ours_in_a_short_run_is_ours),
    FMX_TEST_CASE(evidence_has_figures),
    FMX_TEST_CASE(what_was_not_sent_is_told_of_what_was_due),
    FMX_TEST_CASE(refusals_and_planned_ends_blame_nobody),
    FMX_TEST_CASE(what_is_short_or_paused_says_nothing),
    FMX_TEST_CASE(a_good_run_passes),
    FMX_TEST_CASE(a_ledger_that_does_not_add_up_fails_the_run),
    FMX_TEST_CASE(a_server_that_breaks_the_protocol_is_never_ok),
    FMX_TEST_CASE(losses_fail_a_run_unless_thresholds_say_what_counts),
    FMX_TEST_CASE(a_cut_run_is_cut_whatever_else_it_is),
    FMX_TEST_CASE(what_a_limit_asked_for_must_come),
    FMX_TEST_CASE(clients_that_fail_or_go_are_told),
    FMX_TEST_CASE(an_invalid_run_is_not_a_pass_and_no_threshold_saves_it),
};

int main(int argc, char **argv)
{
    return fmx_test_main("verdict", cases, sizeof cases / sizeof cases[0], argc, argv);
}
