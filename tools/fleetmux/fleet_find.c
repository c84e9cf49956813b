/*
 * fleet_find — the search for the highest rate that holds a condition
 *
 * Why it is so:   everybody does this by hand: twice the rate, once more, too much, somewhere in
 *                 between. So does this, by steps that a reader can follow: double until a step
 *                 fails, then take the middle (by ratio) of the best that held and the least that
 *                 failed, until the two are within 5 %. A clever search would be shorter and nobody
 *                 would believe it
 * Words:          factor: times the plan's rate; asked: the plan's rate times the factor; backlog:
 *                 messages due and not sent, and sent and not acknowledged
 * States:         waiting (all clients are there) → settling (2 s) → measuring (5 s) → a verdict of
 *                 this step → settling of the next; after a step that failed first → clearing: at
 *                 rate 0, until the backlog is gone, so that a step does not pay for the one before
 * Invariants:     (1) a step holds if its own latencies, of its 5 s, meet the condition, and what
 *                 fell due was sent, but for 2 %;
 *                 one that falls short by less than ten times is tried once more
 *                 (2) every factor that held is below every one that failed
 *                 (3) a step in which we were the limit ends the search: it says nothing about the
 *                 server
 * Memory:         one distribution
 * Threads:        the caller's; time is the result's
 * Limits:         factors 1/1,024 … 1,000,000; clearing 60 s; a step ends early when its backlog
 *                 alone means that the condition cannot hold
 * Not here:       setting the rate: fleet.c; the latencies of a step: recorder_since
 */
#include "tools/fleetmux/fleet_find.h"
#include "tools/fleetmux/number.h"
#include "tools/fleetmux/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_NS     (UINT64_C(2) * NUMBER_NS_PER_S)
#define MEASURE_NS    (UINT64_C(5) * NUMBER_NS_PER_S)
#define SOONEST_NS    (UINT64_C(2) * NUMBER_NS_PER_S) /* enough to tell whose fault it is */
#define CLEAR_NS      (UINT64_C(60) * NUMBER_NS_PER_S)
#define UNREADY_NS    (UINT64_C(15) * NUMBER_NS_PER_S) /* for a SUBACK that is still to come */
#define SENT_SHARE    0.98
#define CLOSE_ENOUGH  1.05
#define CLEAR_SECONDS 0.01 /* of the plan's rate may still be on the way */
#define FACTOR_LEAST  (1.0 / 1024)
#define FACTOR_MOST   1000000.0
#define NARROW        10.0 /* times the bound: a step that fails by less is tried once more */
#define OWN_ROWS      2    /* so many seconds of a step in which we were the limit */

enum state {
    WAITING,
    SETTLING,
    MEASURING,
    CLEARING,
    OVER,
};

struct fleet_find {
    struct threshold condition;
    char text[128];     /* as it was given */
    char full[128];     /* with its latency, where that was left out */
    bool is_of_answers; /* the latency was left out: whichever answer there is */
    fleet_find_since since;
    void *user;
    struct fmx_distribution *distribution;
    enum state state;
    uint64_t since_ns;   /* of this state */
    double factor;       /* of this step */
    double held, failed; /* best and least so far; 0: none yet */
    double held_rate;    /* that was reached, at the best */
    struct fmx_fleet_counters began;
    bool is_again;    /* this step is tried for the second time */
    size_t first_row; /* the first that is this step's alone */
};

/* ── the condition ── */

static bool refuse(char *error, size_t error_bytes, const char *text, const char *words)
{
    snprintf(error, error_bytes, "condition '%.100s': %s", text, words);
    return false;
}

static bool read_condition(struct fleet_find *find, const char *text, char *error,
                           size_t error_bytes)
{
    static const char example[] = "write for example 'p99<20ms' or 'delivery.p99.9<=50ms'";
    const char *start = text + strspn(text, " ");
    size_t name_bytes = strcspn(start, "<>=!");
    const char *point = memchr(start, '.', name_bytes);
    char words[256] = "";

    if (strlen(text) >= sizeof(find->text) - 8) {
        return refuse(error, error_bytes, text, "it is too long");
    }
    snprintf(find->text, sizeof(find->text), "%s", text);
    /* "p99" has no name before it, nor has "p99.9" */
    find->is_of_answers = point == NULL || (start[0] == 'p' && start[1] >= '0' && start[1] <= '9');
    snprintf(find->full, sizeof(find->full), "%s%s", find->is_of_answers ? "puback." : "", start);
    if (!threshold_parse(find->full, &find->condition, words, sizeof(words))) {
        const char *why = strstr(words, "': "); /* behind "threshold 'puback.p99'" */
        return refuse(error, error_bytes, text, why != NULL ? why + 3 : words);
    }
    if (!find->condition.metric.is_latency || find->condition.metric.kind != METRIC_TIME) {
        return refuse(error, error_bytes, text, example);
    }
    if (find->condition.comparison != LESS && find->condition.comparison != AT_MOST) {
        return refuse(error, error_bytes, text, "only < and <= can be searched for");
    }
    return find->condition.bound > 0 || refuse(error, error_bytes, text, example);
}

struct fleet_find *fleet_find_open(const char *condition, fleet_find_since since, void *user,
                                   char *error, size_t error_bytes)
{
    struct fleet_find *find = calloc(1, sizeof(*find));

    if (find == NULL) {
        snprintf(error, error_bytes, "no memory");
        return NULL;
    }
    find->since = since;
    find->user = user;
    find->factor = 1;
    find->distribution = malloc(sizeof(*find->distribution));
    if (find->distribution == NULL) {
        snprintf(error, error_bytes, "no memory");
    }
    if (find->distribution == NULL || !read_condition(find, condition, error, error_bytes)) {
        fleet_find_close(find);
        return NULL;
    }
    return find;
}

void fleet_find_close(struct fleet_find *find)
{
    if (find != NULL) {
        free(find->distribution);
        free(find);
    }
}

/* ── the step ── */

static const enum fmx_fleet_latency answers[] = {FMX_FLEET_PUBACK, FMX_FLEET_REQUEST,
                                                 FMX_FLEET_DELIVERY};

#define ANSWERS_COUNT (sizeof(answers) / sizeof(answers[0]))

static void enter(struct fleet_find *find, const struct result *result, enum state state)
{
    find->state = state;
    find->since_ns = result->elapsed_ns;
}

static struct fleet_wish nothing(void)
{
    return (struct fleet_wish){.kind = FLEET_WISH_NONE};
}

static struct fleet_wish set_rate(double factor)
{
    return (struct fleet_wish){.kind = FLEET_WISH_RATE, .value = factor};
}

/* What was measured until now belongs to no step. */
static void forget(struct fleet_find *find)
{
    if (!find->is_of_answers) {
        find->since(find->user, find->condition.metric.latency, find->distribution);
        return;
    }
    for (size_t i = 0; i < ANSWERS_COUNT; i++) {
        find->since(find->user, answers[i], find->distribution);
    }
}

/* NaN: nothing was measured. */
static double measure(struct fleet_find *find)
{
    double measured = NAN;

    for (size_t i = 0; find->is_of_answers && i < ANSWERS_COUNT; i++) {
        find->since(find->user, answers[i], find->distribution);
        if (isnan(measured)) {
            find->condition.metric.latency = answers[i];
            measured = metric_of_distribution(&find->condition.metric, find->distribution);
        }
    }
    if (!find->is_of_answers) {
        find->since(find->user, find->condition.metric.latency, find->distribution);
        measured = metric_of_distribution(&find->condition.metric, find->distribution);
    }
    return measured;
}

static struct fleet_wish begin_step(struct fleet_find *find, const struct result *result,
                                    double factor)
{
    find->factor = factor;
    find->first_row = result->rows_count + 1;
    enter(find, result, SETTLING);
    return set_rate(factor);
}

static void begin_measuring(struct fleet_find *find, const struct result *result)
{
    forget(find);
    find->began = result->counters;
    enter(find, result, MEASURING);
}

static double backlog(const struct result *result)
{
    return (double)(result->counters.publishes_overdue + result->counters.publishes_outstanding);
}

/* By then each new message waits longer than the condition allows, and a second more. */
static bool is_hopeless(const struct fleet_find *find, const struct result *result)
{
    double asked = result->base_rate * find->factor;

    return backlog(result) > asked * (2 * find->condition.bound / 1e9 + 1);
}

/* Something else may have been in the way for a moment. */
static bool is_narrow(const struct fleet_find *find, const struct result *result, double measured)
{
    return measured < NARROW * find->condition.bound && !is_hopeless(find, result);
}

static bool were_we_the_limit(const struct fleet_find *find, const struct result *result)
{
    size_t own = 0;

    for (size_t i = find->first_row; i < result->rows_count; i++) {
        own += result->rows[i].limit == RESULT_GENERATOR_LIMITED;
    }
    return own >= OWN_ROWS;
}

static void note_step(const struct fleet_find *find, struct result *result, double achieved,
                      double measured, bool is_held)
{
    struct result_step *steps =
        realloc(result->steps, (result->steps_count + 1) * sizeof(*result->steps));

    if (steps == NULL) {
        return; /* the search goes on; a reader misses a line */
    }
    result->steps = steps;
    struct result_step *step = &steps[result->steps_count++];
    *step = (struct result_step){.rate = result->base_rate * find->factor,
                                 .achieved = achieved,
                                 .measured = measured,
                                 .is_held = is_held};
    snprintf(step->value, sizeof(step->value), "%s",
             metric_words(&find->condition.metric, measured).text);
}

/* ── the end ── */

static struct fleet_wish conclude(struct fleet_find *find, struct result *result,
                                  enum exit_status status, const char *format_words)
{
    char rate[32];

    snprintf(rate, sizeof(rate), "%s", words_real(find->held_rate).text);
    if (find->held == 0) {
        snprintf(result->find_words, sizeof(result->find_words), "%.60s holds at no rate tried%s%s",
                 find->text, format_words[0] != '\0' ? ": " : "", format_words);
    } else {
        snprintf(result->find_words, sizeof(result->find_words),
                 "%.60s holds up to %s messages a second (%.4g times the plan's)%s%s", find->text,
                 rate, find->held, format_words[0] != '\0' ? "; " : "", format_words);
    }
    result->find_status = status;
    find->state = OVER;
    return (struct fleet_wish){.kind = FLEET_WISH_QUIT};
}

static struct fleet_wish conclude_search(struct fleet_find *find, struct result *result)
{
    char words[64] = "";

    if (find->failed > 0) {
        snprintf(words, sizeof(words), "it failed at %s",
                 words_real(result->base_rate * find->failed).text);
    }
    return conclude(find, result, find->held > 0 ? EXIT_PASS : EXIT_THRESHOLD, words);
}

/* ── from step to step ── */

/* The factor to try next; 0: it is found. */
static double next_factor(const struct fleet_find *find)
{
    if (find->failed == 0) {
        return find->held * 2 <= FACTOR_MOST ? find->held * 2 : 0;
    }
    if (find->held == 0) {
        return find->failed / 2 >= FACTOR_LEAST ? find->failed / 2 : 0;
    }
    return find->failed > find->held * CLOSE_ENOUGH ? sqrt(find->held * find->failed) : 0;
}

static struct fleet_wish end_step(struct fleet_find *find, struct result *result)
{
    double seconds = (double)(result->elapsed_ns - find->since_ns) / 1e9;
    double sent = (double)(result->counters.publishes_sent - find->began.publishes_sent);
    double planned = (double)(result->counters.publishes_planned - find->began.publishes_planned);
    double achieved = seconds > 0 ? sent / seconds : 0;
    double measured = measure(find);
    bool is_held = threshold_holds(&find->condition, measured) && sent >= SENT_SHARE * planned &&
                   !is_hopeless(find, result);

    note_step(find, result, achieved, measured, is_held);
    if (were_we_the_limit(find, result)) {
        char words[96];
        snprintf(words, sizeof(words), "at %s this program or its machine was the limit",
                 words_real(result->base_rate * find->factor).text);
        return conclude(find, result, EXIT_GENERATOR, words);
    }
    if (!is_held && !find->is_again && is_narrow(find, result, measured)) {
        find->is_again = true;
        enter(find, result, CLEARING);
        return set_rate(0);
    }
    find->is_again = false;
    if (is_held) {
        find->held = find->factor;
        find->held_rate = achieved;
    } else {
        find->failed = find->factor;
    }
    double next = next_factor(find);
    if (next == 0) {
        return conclude_search(find, result);
    }
    find->factor = next;
    if (is_held) {
        return begin_step(find, result, next);
    }
    enter(find, result, CLEARING);
    return set_rate(0);
}

static bool is_clear(const struct result *result)
{
    double rest = result->base_rate * CLEAR_SECONDS;

    return backlog(result) <= (rest > 1 ? rest : 1);
}

/* Nobody is still to come, and not all are up: clients have failed, or filters are refused. */
static bool has_all_there_will_be(const struct result *result)
{
    const struct fmx_fleet_counters *now = &result->counters;

    return now->clients_waiting + now->clients_connecting == 0 &&
           now->subscribes_refused + now->clients_failed + now->clients_lost > 0;
}

static struct fleet_wish wait_for_all(struct fleet_find *find, struct result *result,
                                      uint64_t passed_ns)
{
    if (result->ready_ns != 0) {
        return begin_step(find, result, find->factor);
    }
    if (!has_all_there_will_be(result)) {
        find->since_ns = result->elapsed_ns;
    } else if (passed_ns >= UNREADY_NS) {
        return conclude(find, result, EXIT_ABORTED, "not all clients got in and subscribed");
    }
    return nothing();
}

struct fleet_wish fleet_find_poll(struct fleet_find *find, struct result *result)
{
    uint64_t passed_ns = result->elapsed_ns - find->since_ns;

    switch (find->state) {
    case WAITING:
        return wait_for_all(find, result, passed_ns);
    case SETTLING:
        if (passed_ns >= SETTLE_NS) {
            begin_measuring(find, result);
        }
        return nothing();
    case MEASURING:
        return passed_ns >= MEASURE_NS || (passed_ns >= SOONEST_NS && is_hopeless(find, result))
                   ? end_step(find, result)
                   : nothing();
    case CLEARING:
        return is_clear(result) || passed_ns >= CLEAR_NS ? begin_step(find, result, find->factor)
                                                         : nothing();
    default:
        return nothing();
    }
}

void fleet_find_end(struct fleet_find *find, struct result *result)
{
    if (find->state != OVER) {
        (void)conclude(find, result, EXIT_ABORTED, "the run ended before the search did");
    }
}
