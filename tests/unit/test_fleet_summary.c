/*
 * test_fleet_summary — the summary of runs that never were: its length, its first line, its ledger
 */
#include "tests/support/fake_result.h"
#include "tests/support/run.h"
#include "tools/fleetmux/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 30

static char *text;

/* What is said of a result, which is closed. */
static void tell(struct result *result)
{
    size_t bytes;

    free(text);
    text = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    FILE *out = open_memstream(&text, &bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    fleet_summary_print(result, out);
    fclose(out);
    result_close(result);
}

static size_t lines_count(void)
{
    size_t count = 0;

    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        count++;
    }
    return count;
}

static bool says(const char *part)
{
    bool is_there = strstr(text, part) != NULL;

    if (!is_there) {
        fprintf(stderr, "'%s' is not in:\n%s", part, text);
    }
    return is_there;
}

static bool begins(const char *first)
{
    return strncmp(text, first, strlen(first)) == 0;
}

static void never_more_than_thirty_lines(void)
{
    for (size_t i = 0; i < FAKE_RESULTS; i++) {
        tell(fake_result(fake_result_names[i], 0));
        CU_ASSERT(lines_count() <= LINES_MAX && lines_count() >= 6);
        CU_ASSERT(text[strlen(text) - 1] == '\n');
        CU_ASSERT_PTR_NULL(strchr(text, '\033'));
    }
}

/* A result with more of everything than thirty lines hold. */
static struct result *crowded(void)
{
    struct result *result = fake_result("million", 0);
    size_t count = 200;

    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    result->adds_up = false;
    result->is_insecure = true;
    result->limit = RESULT_SERVER_LIMITED;
    free(result->thresholds);
    free(result->steps);
    result->thresholds = calloc(count, sizeof(*result->thresholds));
    result->steps = calloc(count, sizeof(*result->steps));
    CU_ASSERT_PTR_NOT_NULL_FATAL(result->thresholds);
    CU_ASSERT_PTR_NOT_NULL_FATAL(result->steps);
    for (size_t i = 0; i < count; i++) {
        snprintf(result->thresholds[i].text, sizeof(result->thresholds[i].text), "lost==%zu", i);
        snprintf(result->thresholds[i].value, sizeof(result->thresholds[i].value), "%zu", i + 1);
        result->steps[i].rate = (double)i;
    }
    result->thresholds_count = result->steps_count = count;
    result->causes_count = FMX_FLEET_CAUSES_MAX;
    for (size_t i = 0; i < result->causes_count; i++) {
        result->causes[i] = result->causes[i % 8];
    }
    return result;
}

static void a_crowded_run_is_cut_and_says_so(void)
{
    tell(crowded());
    CU_ASSERT_EQUAL(lines_count(), LINES_MAX);
    CU_ASSERT(says("and 196 thresholds more"));
    CU_ASSERT(says("step 200: 199/s asked for"));
    CU_ASSERT(says("causes more"));
    CU_ASSERT(says("INSECURE"));
    CU_ASSERT(says("PUBACK"));
    CU_ASSERT(says("seed        1, hash 9f86d081884c7d65\n"));
}

static void the_verdict_is_the_first_word(void)
{
    tell(fake_result("pub", 0));
    CU_ASSERT(begins("OK: "));
    tell(fake_result("server", 0));
    CU_ASSERT(begins("FAILED, SERVER-LIMITED: "));
    tell(fake_result("network", 0));
    CU_ASSERT(begins("NETWORK: "));
    tell(fake_result("cut", 0));
    CU_ASSERT(begins("CUT SHORT: "));
    tell(fake_result("failed", 0));
    CU_ASSERT(begins("FAILED: "));
}

static void an_invalid_run_says_so_on_every_line(void)
{
    tell(fake_result("invalid", 0));
    CU_ASSERT(begins("INVALID  GENERATOR-LIMITED: "));
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        CU_ASSERT(strncmp(line, "INVALID  ", 9) == 0);
    }
    struct result *result = crowded();
    result->is_valid = false;
    tell(result);
    CU_ASSERT_EQUAL(lines_count(), LINES_MAX);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        CU_ASSERT(strncmp(line, "INVALID  ", 9) == 0);
    }
    tell(fake_result("pub", 0));
    CU_ASSERT_PTR_NULL(strstr(text, "INVALID"));
}

static void the_ledger_is_told_as_a_sum(void)
{
    struct result *result = fake_result("pub", 0);

    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    result->counters.publishes_planned = 1000;
    result->counters.publishes_sent = 990;
    result->counters.publishes_skipped = 7;
    result->counters.publishes_overdue = 3;
    result->counters.publishes_sent_qos1 = 990;
    result->counters.publishes_acked = 980;
    result->counters.publishes_refused = 4;
    result->counters.publishes_unacked = 5;
    result->counters.publishes_outstanding = 1;
    tell(result);
    CU_ASSERT(says("planned     1,000 = 990 sent + 7 skipped + 3 overdue"));
    CU_ASSERT(says("sent, QoS 1 990 = 980 acked + 4 refused + 5 unacked + 1 outstanding\n"));
    tell(fake_result("unbalanced", 0));
    CU_ASSERT(says("ledger      does not add up: 2 deliveries are neither received nor lost\n"));
    CU_ASSERT(says(": 3 lost, 0 duplicate, 0 reordered, 0 late"));
}

static void latencies_have_percentiles_and_raw_ones_below(void)
{
    tell(fake_result("full", 0));
    CU_ASSERT(says("latency           p50       p90       p99     p99.9       max  count\n"));
    const char *puback = strstr(text, "\nPUBACK ");
    CU_ASSERT_PTR_NOT_NULL_FATAL(puback);
    CU_ASSERT(strncmp(strchr(puback + 1, '\n'), "\n  raw ", 7) == 0);
    CU_ASSERT_PTR_NULL(strstr(text, "mean"));
    CU_ASSERT_PTR_NULL(strstr(text, "average"));
    tell(fake_result("conn", 0));
    CU_ASSERT_PTR_NULL(strstr(text, "PUBACK"));
    CU_ASSERT_PTR_NULL(strstr(text, "planned  "));
}

static void thresholds_are_told_with_what_was_measured(void)
{
    tell(fake_result("full", 0));
    CU_ASSERT(says("thresholds  MISSED: puback.p99.9<5ms (9.80 ms)\n"));
    CU_ASSERT(says("MISSED: rate>=39900 (39,204)\n"));
    CU_ASSERT(says("met:    puback.p99<50ms (1.91 ms), lost==0 (0), connect.max<1s (43.1 ms)\n"));
}

static void causes_come_with_hints_and_a_search_with_its_steps(void)
{
    tell(fake_result("failed", 0));
    CU_ASSERT(says("causes      4,210 x the connection could not be made: Connection refused"));
    CU_ASSERT(says("nothing listens there"));
    CU_ASSERT(says("the server refused the connection: Bad User Name or Password (code 0x86)"));
    CU_ASSERT(says("the server does not know who signed --cert"));
    tell(fake_result("find", 0));
    CU_ASSERT(says("search      p99<20ms holds up to 47,568 messages a second\n"));
    CU_ASSERT(says("step 4: 80,000/s asked for, 61,200/s reached, 812 ms: does not hold\n"));
    CU_ASSERT(says("step 6: 47,568/s asked for, 47,570/s reached, 17.8 ms: holds\n"));
}

static void groups_tell_which_of_them_is_unlike_the_others(void)
{
    struct result *result = fake_result("full", 0);

    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    CU_ASSERT_FATAL(result->groups_count > 1);
    result->causes_count = 0;
    struct result_group *slow = &result->groups[1];
    slow->clients_count = 1;
    slow->counters = (struct fmx_fleet_counters){.received = 202, .deliveries_lost = 6000};
    memset(slow->latency, 0, sizeof(slow->latency));
    slow->latency[FMX_FLEET_DELIVERY] = (struct fmx_latency){.count = 202, .p99_ns = 46100000000};
    result->groups[0].is_apart = true;
    tell(result);
    CU_ASSERT(says("trucks: 1 client, 202 received, 6,000 never came, delivery p99 46.1 s\n"));
    CU_ASSERT(says("groups      cars: "));
    CU_ASSERT(says("misbehaving by plan"));
    tell(fake_result("conn", 0));
    CU_ASSERT_PTR_NULL(strstr(text, "groups"));
    result = crowded();
    result->thresholds_count = result->causes_count = 0;
    tell(result); /* as many as have room, behind latencies and before steps */
    CU_ASSERT(lines_count() <= LINES_MAX);
}

static void what_was_not_measured_is_not_told(void)
{
    struct result *result = fake_result("conn", 0);

    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    result->latency[FMX_FLEET_LAG] = (struct fmx_latency){0};
    result->clients_count = 10;
    tell(result);
    CU_ASSERT(says("generator   drift p99 "));
    CU_ASSERT_PTR_NULL(strstr(text, "each)"));
    result = fake_result("full", 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    result->counters.received = result->counters.deliveries_expected = 0;
    result->counters.calls_received = 5;
    tell(result);
    CU_ASSERT_PTR_NULL(strstr(text, "\nreceived "));
    result = fake_result("find", 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    snprintf(result->words, sizeof(result->words), "%s", result->find_words);
    tell(result);
    CU_ASSERT_PTR_NULL(strstr(text, "search      p99"));
    CU_ASSERT(says("search      step 1: "));
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(never_more_than_thirty_lines),
    FMX_TEST_CASE(a_crowded_run_is_cut_and_says_so),
    FMX_TEST_CASE(the_verdict_is_the_first_word),
    FMX_TEST_CASE(an_invalid_run_says_so_on_every_line),
    FMX_TEST_CASE(the_ledger_is_told_as_a_sum),
    FMX_TEST_CASE(latencies_have_percentiles_and_raw_ones_below),
    FMX_TEST_CASE(thresholds_are_told_with_what_was_measured),
    FMX_TEST_CASE(causes_come_with_hints_and_a_search_with_its_steps),
    FMX_TEST_CASE(groups_tell_which_of_them_is_unlike_the_others),
    FMX_TEST_CASE(what_was_not_measured_is_not_told),
};

int main(int argc, char **argv)
{
    int status =
        fmx_test_main("fleet_summary", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);

    free(text);
    return status;
}
