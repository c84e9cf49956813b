/*
 * test_threshold — metrics are found by name, thresholds are read exactly or refused with the fix,
 * and what nobody has measured meets none
 */
#include "tests/support/run.h"
#include "tools/fleetmux/verdict.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct threshold threshold;
static char error[512];

static bool reads(const char *text)
{
    bool does = threshold_parse(text, &threshold, error, sizeof(error));

    if (!does) {
        printf("'%s' is refused: %s\n", text, error);
    }
    return does;
}

static bool is_refused(const char *text, const char *words)
{
    bool is =
        !threshold_parse(text, &threshold, error, sizeof(error)) && strstr(error, words) != NULL;

    if (!is) {
        printf("'%s' is not refused with '%s': %s\n", text, words, error);
    }
    return is;
}

static void comparisons_and_bounds_are_read_in_every_spelling(void)
{
    CU_ASSERT(reads("puback.p99<50ms"));
    CU_ASSERT(threshold.comparison == LESS && threshold.bound == 50e6);
    CU_ASSERT(reads("puback.p99 <= 1.5s"));
    CU_ASSERT(threshold.comparison == AT_MOST && threshold.bound == 1.5e9);
    CU_ASSERT(reads(" delivery.max>300us "));
    CU_ASSERT(threshold.comparison == MORE && threshold.bound == 300e3);
    CU_ASSERT(reads("rate>=9900"));
    CU_ASSERT(threshold.comparison == AT_LEAST && threshold.bound == 9900);
    CU_ASSERT(reads("rate>=9.9k") && threshold.bound == 9900);
    CU_ASSERT(reads("lost==0") && threshold.comparison == EQUAL);
    CU_ASSERT(reads("acked!=0") && threshold.comparison == NOT_EQUAL);
    CU_ASSERT(reads("failed/connects<1%") && threshold.bound == 0.01);
    CU_ASSERT(reads("failed/connects<0.5 %") && threshold.bound == 0.005);
    CU_ASSERT(reads("cpu<0.9") && threshold.bound == 0.9);
    CU_ASSERT(reads("rss_per_client<1Ki") && threshold.bound == 1024);
    CU_ASSERT(reads("elapsed<2m") && threshold.bound == 120e9);
    CU_ASSERT(reads("puback.p50<=0") && threshold.bound == 0);
}

static void what_is_wrong_is_refused_with_the_fix(void)
{
    CU_ASSERT(is_refused("pubak.p99<50ms", "did you mean 'puback.p99'?"));
    CU_ASSERT(is_refused("puback.p9o<50ms", "did you mean 'puback.p90'?"));
    CU_ASSERT(is_refused("puback.average<50ms", "write a latency, a point"));
    CU_ASSERT(is_refused("losst==0", "did you mean 'lost'?"));
    CU_ASSERT(is_refused("publishes_sentt==0", "did you mean 'publishes_sent'?"));
    CU_ASSERT(is_refused("ack_rate>1", "did you mean 'acked_rate'?"));
    CU_ASSERT(is_refused("quite_unknown>1", "'fleetmux help fleet metrics'"));
    CU_ASSERT(is_refused("puback<50ms", "write for example 'puback.p99'"));
    CU_ASSERT(is_refused("p99<50ms", "'puback.p99'"));
    CU_ASSERT(is_refused("puback.p99<50", "the bound is a time: write for example 50ms"));
    CU_ASSERT(is_refused("puback.p99<", "the bound is a time"));
    CU_ASSERT(is_refused("puback.p99<fast", "the bound is a time"));
    CU_ASSERT(is_refused("lost==50ms", "the bound is a number"));
    CU_ASSERT(is_refused("lost==-1", "the bound is a number"));
    CU_ASSERT(is_refused("failed/connects<x%", "the bound is a share"));
    CU_ASSERT(is_refused("failed/connects<%", "the bound is a share"));
    CU_ASSERT(is_refused("lost=0", "one of < <= > >= == !="));
    CU_ASSERT(is_refused("lost", "one of < <= > >= == !="));
    CU_ASSERT(is_refused("", "one of < <= > >= == !="));
    CU_ASSERT(is_refused("<5", "no metric before"));
    CU_ASSERT(is_refused("failed/nobody<1%", "unknown metric 'nobody'"));
    CU_ASSERT(is_refused("rate/connects<1%", "only counts can be divided"));
    CU_ASSERT(is_refused("lost==0==0", "the bound is a number"));
    CU_ASSERT(is_refused("puback.p<1ms", "metric"));
    CU_ASSERT(is_refused("puback.p9.9<1ms", "metric"));
    CU_ASSERT(is_refused("puback.p99.<1ms", "metric"));
    CU_ASSERT(is_refused(".p99<1ms", "metric"));
}

static void any_length_is_answered(void)
{
    static char text[4000];

    for (size_t bytes = 1; bytes < sizeof(text); bytes += 37) {
        memset(text, 'p', bytes);
        text[bytes] = '\0';
        CU_ASSERT_FALSE(threshold_parse(text, &threshold, error, sizeof(error)));
        text[bytes - 1] = '<';
        CU_ASSERT_FALSE(threshold_parse(text, &threshold, error, sizeof(error)));
    }
    memset(text, '9', sizeof(text) - 1);
    memcpy(text, "lost<", 5);
    CU_ASSERT_FALSE(threshold_parse(text, &threshold, error, sizeof(error)));
}

/* ── values ── */

static struct result *make_result(void)
{
    struct result *result = result_open();

    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    result->clients_count = 100;
    result->shards_count = 2;
    result->elapsed_ns = UINT64_C(10000000000);
    result->ready_ns = UINT64_C(1500000000);
    result->last_connect_ns = result->ready_ns;
    for (uint64_t row = 0; row < 10; row++) {
        struct result_row *next = result_add_row(result);
        CU_ASSERT_PTR_NOT_NULL_FATAL(next);
        next->begin_ns = row * 1000000000;
        next->end_ns = next->begin_ns + 1000000000;
        next->cpu_ns = 1000000000;
        next->cpu_wait_ns = 500000000;
        next->segments_out = 100;
        next->segments_again = 2;
        /* half in the first second, all in the others; the last one is the drain */
        next->counters.publishes_sent = row == 9 ? 8500 : 500 + row * 1000;
        next->counters.connects_ok = 100;
    }
    result->counters.publishes_sent = 8500;
    result->counters.publishes_sent_qos1 = 8500;
    result->counters.publishes_acked = 8490;
    result->counters.publishes_unacked = 10;
    result->counters.connects_begun = 200;
    result->counters.connects_failed = 5;
    result->before_drain.clients_open = 100;
    for (uint64_t i = 1; i <= 10000; i++) {
        fmx_distribution_record(result->distributions[FMX_FLEET_PUBACK], i * 1000, 1);
    }
    return result;
}

static double value_of(const struct result *result, const char *name)
{
    struct metric metric;

    CU_ASSERT_FATAL(metric_find(name, &metric, error, sizeof(error)));
    return metric_of(result, &metric);
}

static bool is_near(double value, double expected)
{
    bool is = fabs(value - expected) <= fabs(expected) * 0.001;

    if (!is) {
        printf("%g is not %g\n", value, expected);
    }
    return is;
}

static void metrics_have_their_values(void)
{
    struct result *result = make_result();

    CU_ASSERT(is_near(value_of(result, "puback.p50"), 5000e3));
    CU_ASSERT(is_near(value_of(result, "puback.p95"), 9500e3));
    CU_ASSERT(is_near(value_of(result, "puback.p99"), 9900e3));
    CU_ASSERT(is_near(value_of(result, "puback.p99.9"), 9990e3));
    CU_ASSERT(value_of(result, "puback.p999") == value_of(result, "puback.p99.9"));
    CU_ASSERT(value_of(result, "puback.p9999") == value_of(result, "puback.p99.99"));
    CU_ASSERT(value_of(result, "puback.p99") ==
              (double)fmx_distribution_percentile(result->distributions[FMX_FLEET_PUBACK], 0.99));
    CU_ASSERT(value_of(result, "puback.p100") == 1e7);
    CU_ASSERT(value_of(result, "puback.min") == 1000);
    CU_ASSERT(value_of(result, "puback.max") == 1e7);
    CU_ASSERT(is_near(value_of(result, "puback.mean"), 5000.5e3));
    CU_ASSERT(value_of(result, "puback.count") == 10000);
    CU_ASSERT(is_near(value_of(result, "rate"), 1000));
    CU_ASSERT(is_near(value_of(result, "cpu"), 0.5));
    CU_ASSERT(is_near(value_of(result, "cpu_wait"), 0.25));
    CU_ASSERT(is_near(value_of(result, "resent"), 0.02));
    CU_ASSERT(value_of(result, "failed/connects") == 0.025);
    CU_ASSERT(value_of(result, "sent") == 8500);
    CU_ASSERT(value_of(result, "elapsed") == 10e9);
    CU_ASSERT(value_of(result, "ready") == 1.5e9);
    CU_ASSERT(value_of(result, "clients") == 100);
    CU_ASSERT(value_of(result, "lost") == 10);
    result->is_finished = true;
    CU_ASSERT(value_of(result, "lost") == 10);
    CU_ASSERT(value_of(result, "open") == 100); /* as they were before the drain */
    result_close(result);
}

/* Received from the middle of a second on to the middle of another. */
static void seconds_of_beginning_and_end_do_not_lower_a_rate(void)
{
    struct result *result = make_result();
    uint64_t received = 0;

    for (uint64_t row = 0; row < 10; row++) {
        received += row < 3 || row > 8 ? 0 : row == 3 || row == 8 ? 500 : 1000;
        result->rows[row].counters.received = received;
    }
    CU_ASSERT(is_near(value_of(result, "received_rate"), 1000));
    for (uint64_t row = 5; row < 10; row++) { /* two seconds of it: nothing to leave out */
        result->rows[row].counters.received = 1500;
    }
    CU_ASSERT(is_near(value_of(result, "received_rate"), 750));
    result_close(result);
}

/* What stood still by wish is no part of a rate, wherever it lies. */
static void paused_seconds_do_not_lower_a_rate(void)
{
    struct result *result = make_result();
    uint64_t received = 0;

    for (uint64_t row = 0; row < 10; row++) {
        result->rows[row].is_paused = row == 5 || row == 6;
        received += result->rows[row].is_paused ? row == 5 ? 300 : 0 : 1000;
        result->rows[row].counters.received = received;
    }
    CU_ASSERT(is_near(value_of(result, "received_rate"), 1000));
    for (uint64_t row = 4; row < 8; row++) { /* only its first and last steady seconds are left */
        result->rows[row].is_paused = true;
    }
    for (uint64_t row = 0; row < 10; row++) {
        result->rows[row].counters.received = row < 3 ? 0 : row < 8 ? 1000 : 2000;
    }
    CU_ASSERT(is_near(value_of(result, "received_rate"), 1000));
    result_close(result);
}

static void every_metric_of_the_help_is_found(void)
{
    char *text = NULL, *line = NULL, *rest = NULL;
    size_t bytes = 0, found = 0;
    FILE *out = open_memstream(&text, &bytes);
    struct result *result = make_result();

    CU_ASSERT_FATAL(out != NULL);
    metric_print_names(out);
    fclose(out);
    for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char name[64];
        struct metric metric;
        if (sscanf(line, "  %63s", name) != 1 || line[0] != ' ') {
            continue;
        }
        bool is_latency = false;
        for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
            is_latency =
                is_latency || strcmp(name, fmx_fleet_latency_name((enum fmx_fleet_latency)i)) == 0;
        }
        if (is_latency) {
            snprintf(name + strlen(name), sizeof(name) - strlen(name), ".p99");
        }
        CU_ASSERT(metric_find(name, &metric, error, sizeof(error)));
        CU_ASSERT_STRING_EQUAL(metric.name, name);
        (void)metric_of(result, &metric);
        found++;
    }
    CU_ASSERT(found > 80);
    result_close(result);
    free(text);
}

static void what_nobody_has_measured_meets_nothing(void)
{
    struct result *result = result_open();

    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    CU_ASSERT(isnan(value_of(result, "puback.p99")));
    CU_ASSERT(isnan(value_of(result, "ready")));
    CU_ASSERT(isnan(value_of(result, "failed/connects")));
    CU_ASSERT(value_of(result, "puback.count") == 0);
    CU_ASSERT(reads("puback.p99<50ms"));
    CU_ASSERT_FALSE(threshold_holds(&threshold, value_of(result, "puback.p99")));
    CU_ASSERT(reads("puback.p99!=50ms"));
    CU_ASSERT_FALSE(threshold_holds(&threshold, value_of(result, "puback.p99")));
    CU_ASSERT(thresholds_judge(&threshold, 1, result));
    CU_ASSERT_STRING_EQUAL(result->thresholds[0].value, "nothing measured");
    CU_ASSERT_FALSE(result->thresholds[0].is_met);
    result_close(result);
}

static void comparisons_compare(void)
{
    static const struct {
        const char *text;
        bool below, at, above;
    } rows[] = {{"sent<10", true, false, false},  {"sent<=10", true, true, false},
                {"sent>10", false, false, true},  {"sent>=10", false, true, true},
                {"sent==10", false, true, false}, {"sent!=10", true, false, true}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CU_ASSERT(reads(rows[i].text));
        CU_ASSERT_EQUAL(threshold_holds(&threshold, 9), rows[i].below);
        CU_ASSERT_EQUAL(threshold_holds(&threshold, 10), rows[i].at);
        CU_ASSERT_EQUAL(threshold_holds(&threshold, 11), rows[i].above);
    }
}

static void judging_again_replaces_what_was_judged(void)
{
    struct result *result = make_result();
    struct threshold both[2];

    CU_ASSERT_FATAL(threshold_parse("sent>=8500", &both[0], error, sizeof(error)));
    CU_ASSERT_FATAL(threshold_parse("puback.p99<5ms", &both[1], error, sizeof(error)));
    for (int i = 0; i < 3; i++) {
        CU_ASSERT(thresholds_judge(both, 2, result));
        CU_ASSERT_EQUAL_FATAL(result->thresholds_count, 2);
        CU_ASSERT(result->thresholds[0].is_met && !result->thresholds[1].is_met);
        CU_ASSERT_STRING_EQUAL(result->thresholds[0].text, "sent>=8500");
        CU_ASSERT_STRING_EQUAL(result->thresholds[0].value, "8,500");
        CU_ASSERT_STRING_EQUAL(result->thresholds[1].value, "9.90 ms");
    }
    CU_ASSERT(thresholds_judge(both, 1, result));
    CU_ASSERT_EQUAL(result->thresholds_count, 1);
    CU_ASSERT(thresholds_judge(both, 0, result));
    CU_ASSERT_EQUAL(result->thresholds_count, 0);
    result_close(result);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(comparisons_and_bounds_are_read_in_every_spelling),
    FMX_TEST_CASE(what_is_wrong_is_refused_with_the_fix),
    FMX_TEST_CASE(any_length_is_answered),
    FMX_TEST_CASE(metrics_have_their_values),
    FMX_TEST_CASE(seconds_of_beginning_and_end_do_not_lower_a_rate),
    FMX_TEST_CASE(paused_seconds_do_not_lower_a_rate),
    FMX_TEST_CASE(every_metric_of_the_help_is_found),
    FMX_TEST_CASE(what_nobody_has_measured_meets_nothing),
    FMX_TEST_CASE(comparisons_compare),
    FMX_TEST_CASE(judging_again_replaces_what_was_judged),
};

int main(int argc, char **argv)
{
    return fmx_test_main("threshold", cases, sizeof cases / sizeof cases[0], argc, argv);
}
