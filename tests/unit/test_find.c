/*
 * test_find — the search finds the highest rate that holds its condition, against servers whose
 * highest rate is known, by steps that a reader can follow
 */
#include "tests/support/fake_load.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tools/fleetmux/fleet_find.h"
#include "tools/fleetmux/verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct fake_load_plan plan_of(uint64_t seed)
{
    return (struct fake_load_plan){.seed = seed,
                                   .clients = 1000,
                                   .shards = 2,
                                   .rate = 1000,
                                   .server_rate = 1e9,
                                   .generator_rate = 1e9,
                                   .connect_rate = 500,
                                   .base_s = 0.002,
                                   .noise_s = 0.0001,
                                   .window = 32000,
                                   .stall_at_s = 1e9,
                                   .own_stall_at_s = 1e9};
}

/* Plays a search to its end, or for so many seconds; the load is the caller's. */
static struct fake_load *search(const struct fake_load_plan *plan, const char *condition,
                                double seconds_max)
{
    struct fake_load *load = fake_load_open(plan);
    struct result *result = fake_load_result(load);
    char error[256] = "";
    struct fleet_find *find =
        fleet_find_open(condition, fake_load_since, load, error, sizeof(error));

    CU_ASSERT_PTR_NOT_NULL_FATAL(find);
    for (double seconds = 0; seconds < seconds_max; seconds += 0.05) {
        fake_load_run(load, 0.05);
        struct fleet_wish wish = fleet_find_poll(find, result);
        if (wish.kind == FLEET_WISH_QUIT) {
            break;
        }
        if (wish.kind == FLEET_WISH_RATE) {
            fake_load_set_rate(load, wish.value);
        }
    }
    fleet_find_end(find, result);
    fleet_find_close(find);
    return load;
}

/* Within the steps' 5 % below, and what a step may let pass above. */
static bool finds(const struct fake_load_plan *plan, const char *condition, double rate)
{
    struct fake_load *load = search(plan, condition, 1200);
    const struct result *result = fake_load_result(load);
    double best = 0;

    for (size_t i = 0; i < result->steps_count; i++) {
        if (result->steps[i].is_held) {
            best = fmax(best, result->steps[i].rate);
        }
    }
    bool is_found = result->find_status == EXIT_PASS && best <= rate * 1.02 && best >= rate / 1.07;
    if (!is_found) {
        printf("seed %llu: %g is not %g: %s\n", (unsigned long long)plan->seed, best, rate,
               result->find_words);
        for (size_t i = 0; i < result->steps_count; i++) {
            printf("    %g: %g %s %s\n", result->steps[i].rate, result->steps[i].achieved,
                   result->steps[i].value, result->steps[i].is_held ? "held" : "failed");
        }
    }
    fake_load_close(load);
    return is_found;
}

static void the_highest_rate_is_found_wherever_it_is(void)
{
    for (uint64_t seed = 1; seed <= 25; seed++) {
        struct fake_load_plan plan = plan_of(seed);
        struct fmx_prng prng = {.state = seed};
        plan.server_rate = 150 * pow(1.32, (double)seed) + (double)fmx_prng_below(&prng, 100);
        CU_ASSERT(finds(&plan, "p99<50ms", plan.server_rate));
    }
}

static void steps_double_then_halve_what_is_between(void)
{
    struct fake_load_plan plan = plan_of(7);

    plan.server_rate = 5500;
    struct fake_load *load = search(&plan, "p99<50ms", 1200);
    const struct result *result = fake_load_result(load);
    static const double rates[] = {1000, 2000, 4000, 8000};
    CU_ASSERT_FATAL(result->steps_count > 5);
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT_DOUBLE_EQUAL(result->steps[i].rate, rates[i], 1e-6);
        CU_ASSERT_EQUAL(result->steps[i].is_held, i < 3);
        CU_ASSERT(result->steps[i].value[0] != '\0');
    }
    CU_ASSERT_DOUBLE_EQUAL(result->steps[4].rate, sqrt(4000.0 * 8000.0), 1e-6);
    double held = 0, failed = INFINITY;
    for (size_t i = 0; i < result->steps_count; i++) {
        held = result->steps[i].is_held ? fmax(held, result->steps[i].rate) : held;
        failed = result->steps[i].is_held ? failed : fmin(failed, result->steps[i].rate);
    }
    CU_ASSERT(held < failed && failed <= held * 1.0501);
    CU_ASSERT_PTR_NOT_NULL(strstr(result->find_words, "p99<50ms holds up to "));
    CU_ASSERT_PTR_NOT_NULL(strstr(result->find_words, "it failed at "));
    CU_ASSERT_EQUAL(result->limit, RESULT_OK);
    fake_load_close(load);
}

/* The one before has left a backlog of many seconds: the next step must not pay for it. */
static void a_step_does_not_pay_for_the_one_before(void)
{
    struct fake_load_plan plan = plan_of(11);

    plan.rate = 4000;
    plan.server_rate = 4100;
    plan.window = 1e6;
    CU_ASSERT(finds(&plan, "puback.p99.9<=30ms", 4100));
}

/* A stop of the server's in one step is not its limit: the step is tried again. */
static void a_moment_of_trouble_does_not_end_the_search(void)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct fake_load_plan plan = plan_of(seed);
        plan.server_rate = 30000;
        plan.stall_at_s = 15 + (double)seed;
        plan.stall_s = 0.2;
        CU_ASSERT(finds(&plan, "p99<50ms", 30000));
    }
}

static void a_limit_of_our_own_ends_the_search(void)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fake_load_plan plan = plan_of(seed);
        plan.generator_rate = 900 * pow(1.3, (double)seed);
        plan.server_rate = plan.generator_rate * 4;
        plan.acks_wait = seed % 2 == 0;
        struct fake_load *load = search(&plan, "p99<50ms", 1200);
        struct result *result = fake_load_result(load);
        verdict_limit(result);
        CU_ASSERT_EQUAL(result->find_status, EXIT_GENERATOR);
        CU_ASSERT_EQUAL(result->limit, RESULT_GENERATOR_LIMITED);
        CU_ASSERT_PTR_NOT_NULL(strstr(result->find_words, "was the limit"));
        if (result->find_status != EXIT_GENERATOR) {
            printf("seed %llu: %s\n", (unsigned long long)seed, result->find_words);
        }
        fake_load_close(load);
    }
}

static void no_rate_at_all_is_an_answer(void)
{
    struct fake_load_plan plan = plan_of(3);

    plan.base_s = 0.2;
    struct fake_load *load = search(&plan, "p99<50ms", 1200);
    const struct result *result = fake_load_result(load);
    CU_ASSERT_EQUAL(result->find_status, EXIT_THRESHOLD);
    CU_ASSERT_PTR_NOT_NULL(strstr(result->find_words, "holds at no rate tried"));
    CU_ASSERT_EQUAL(result->steps_count, 22); /* 1 down to 1/1,024, each twice */
    fake_load_close(load);
}

static void a_run_that_ends_before_says_so(void)
{
    struct fake_load_plan plan = plan_of(3);

    plan.server_rate = 5500;
    struct fake_load *load = search(&plan, "p99<50ms", 20);
    const struct result *result = fake_load_result(load);
    CU_ASSERT_EQUAL(result->find_status, EXIT_ABORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(result->find_words, "the run ended before the search did"));
    CU_ASSERT_PTR_NOT_NULL(strstr(result->find_words, "holds up to"));
    fake_load_close(load);
    load = search(&plan, "p99<50ms", 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(fake_load_result(load)->find_words, "at no rate tried"));
    fake_load_close(load);
}

/* One client has failed for good, so the search would never begin. */
static void a_fleet_that_never_gets_in_ends_the_search(void)
{
    char error[256] = "";
    struct fleet_find *find = fleet_find_open("p99<50ms", NULL, NULL, error, sizeof(error));
    struct result *result = result_open();

    CU_ASSERT_FATAL(find != NULL && result != NULL);
    result->counters = (struct fmx_fleet_counters){
        .clients_open = 8, .clients_connecting = 1, .clients_failed = 1};
    result->elapsed_ns = 60 * UINT64_C(1000000000);
    CU_ASSERT_NOT_EQUAL(fleet_find_poll(find, result).kind, FLEET_WISH_QUIT);
    result->counters.clients_connecting = 0;
    result->counters.clients_open = 9;
    CU_ASSERT_NOT_EQUAL(fleet_find_poll(find, result).kind, FLEET_WISH_QUIT);
    result->elapsed_ns += 20 * UINT64_C(1000000000);
    CU_ASSERT_EQUAL(fleet_find_poll(find, result).kind, FLEET_WISH_QUIT);
    CU_ASSERT_EQUAL(result->find_status, EXIT_ABORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(result->find_words, "not all clients got in"));
    result_close(result);
    fleet_find_close(find);
}

static bool is_refused(const char *condition, const char *words)
{
    char error[256] = "";
    struct fleet_find *find = fleet_find_open(condition, NULL, NULL, error, sizeof(error));
    bool is = find == NULL && strstr(error, words) != NULL;

    if (!is) {
        printf("'%s' is not refused with '%s': %s\n", condition, words, error);
    }
    fleet_find_close(find);
    return is;
}

static bool is_taken(const char *condition)
{
    char error[256] = "";
    struct fleet_find *find = fleet_find_open(condition, NULL, NULL, error, sizeof(error));
    bool is = find != NULL;

    if (!is) {
        printf("'%s' is refused: %s\n", condition, error);
    }
    fleet_find_close(find);
    return is;
}

static void conditions_are_read_or_refused_with_the_fix(void)
{
    static char long_one[4000];

    CU_ASSERT(is_taken("p99<20ms"));
    CU_ASSERT(is_taken(" p99.9 <= 1s"));
    CU_ASSERT(is_taken("max<1s"));
    CU_ASSERT(is_taken("mean<1ms"));
    CU_ASSERT(is_taken("delivery.p99<20ms"));
    CU_ASSERT(is_taken("puback_raw.p50<20ms"));
    CU_ASSERT(is_refused("p99", "condition 'p99': write a metric"));
    CU_ASSERT(is_refused("p99<<1s", "condition 'p99<<1s': "));
    CU_ASSERT(is_refused("p99<20", "the bound is a time"));
    CU_ASSERT(is_refused("p99>20ms", "only < and <="));
    CU_ASSERT(is_refused("p99==20ms", "only < and <="));
    CU_ASSERT(is_refused("p99<0", "write for example"));
    CU_ASSERT(is_refused("rate>=100", "metric"));
    CU_ASSERT(is_refused("puback.count<5", "write for example"));
    CU_ASSERT(is_refused("delvery.p99<5ms", "did you mean 'delivery.p99'?"));
    CU_ASSERT(is_refused("", "write a metric"));
    memset(long_one, 'p', sizeof(long_one) - 1);
    CU_ASSERT(is_refused(long_one, "too long"));
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(the_highest_rate_is_found_wherever_it_is),
    FMX_TEST_CASE(steps_double_then_halve_what_is_between),
    FMX_TEST_CASE(a_step_does_not_pay_for_the_one_before),
    FMX_TEST_CASE(a_moment_of_trouble_does_not_end_the_search),
    FMX_TEST_CASE(a_limit_of_our_own_ends_the_search),
    FMX_TEST_CASE(no_rate_at_all_is_an_answer),
    FMX_TEST_CASE(a_run_that_ends_before_says_so),
    FMX_TEST_CASE(a_fleet_that_never_gets_in_ends_the_search),
    FMX_TEST_CASE(conditions_are_read_or_refused_with_the_fix),
};

int main(int argc, char **argv)
{
    return fmx_test_main("find", cases, sizeof cases / sizeof cases[0], argc, argv);
}
