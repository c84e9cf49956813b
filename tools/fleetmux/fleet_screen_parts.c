/*
 * fleet_screen_parts — what is on the screen: head, clients, groups, a search, the generator
 *
 * Why it is so:   each part is laid out by hand for 80 columns; of more columns sparklines, the
 *                 table of latencies and hints make use. A part is told how many lines it has and
 *                 asks nobody, so that the page alone decides what is left out
 * Words:          dry: a part only says where it would end
 * Invariants:     a run that is invalid says so in the head, in words, whatever else is shown
 * Threads:        the main one
 * Not here:       rates and latencies: fleet_screen_figures.c; how many lines each part has:
 *                 fleet_screen_pages.c; characters: fleet_screen_canvas.c
 */
#include "tools/fleetmux/fleet_screen.h"
#include "tools/fleetmux/fleet_tell.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)
#define LATE_NS   (10 * NS_PER_MS) /* a lag that one should look at */

static double least(double a, double b)
{
    return a < b ? a : b;
}

/* ── head ── */

static void put_name(const struct result *result)
{
    int column = canvas_print(0, 1, LOOK_BOLD, "fleetmux %s", result->verb);
    char right[128] = "";
    size_t used = 0;

    if (result->parts_count > 1) {
        used = (size_t)snprintf(right, sizeof(right), "part %" PRIu32 " of %" PRIu32 "   ",
                                result->part + 1, result->parts_count);
    }
    if (result->rate < 0.9995 || result->rate > 1.0005) {
        used += (size_t)snprintf(right + used, sizeof(right) - used, "rate %s%.3g   ",
                                 canvas_glyph(GLYPH_TIMES), result->rate);
    }
    snprintf(right + used, sizeof(right) - used, "%s", tell_clock(result->elapsed_ns).text);
    int end = canvas_put_right(0, canvas_columns() - 1, LOOK_BOLD, right);
    canvas_put(0, column + 2, end - column - 4, LOOK_PLAIN, result->name);
}

static void put_verdict(const struct result *result)
{
    enum look badge = !result->is_valid            ? LOOK_BADGE_BAD
                      : result->limit == RESULT_OK ? LOOK_BADGE_GOOD
                                                   : LOOK_BADGE_WARN;
    const char *name = result->is_valid ? result_limit_name(result->limit) : tell_prefix(result);
    int column = canvas_print(1, 1, badge, " %s ", name);

    if (result->is_paused) {
        column = canvas_print(1, column + 1, LOOK_BADGE_WARN, " PAUSED ");
    }
    if (result->is_draining && !result->is_finished) {
        column = canvas_print(1, column + 1, LOOK_BADGE_WARN, " DRAINING ");
    }
    canvas_put(1, column + 2, canvas_columns() - column - 3, LOOK_PLAIN, result->limit_words);
}

/* How long the stage still lasts, by how far it has come. */
static uint64_t stage_left_ns(const struct result *result)
{
    uint64_t began = result->stages[result->stage].began_ns;
    double gone = result->elapsed_ns > began ? (double)(result->elapsed_ns - began) : 0;
    double progress = result->stage_progress;

    return progress < 0.02 || progress >= 1 ? 0 : (uint64_t)(gone / progress * (1 - progress));
}

/* Where a stage's end has no time: a ramp ends with its last answer, a stop when all have left. */
static const char *open_end(const struct result *result)
{
    bool ends_by_itself = result->stage + 1 < result->stages_count || result->has_planned_end;

    return ends_by_itself ? "until all of it is done" : "until it is stopped";
}

static void put_stage(const struct result *result)
{
    int column = 1, end = canvas_columns() - 1;

    if (result->stages_count == 0 || result->stage >= result->stages_count) {
        return;
    }
    column = canvas_print(2, column, LOOK_PLAIN, "stage %" PRIu32 " of %zu", result->stage + 1,
                          result->stages_count);
    column = canvas_put(2, column + 2, canvas_columns() / 4, LOOK_BOLD,
                        result->stages[result->stage].name);
    if (result->is_draining) {
        canvas_put(2, column + 2, end - column - 2, LOOK_PLAIN,
                   "over: what is under way is waited for");
    } else if (result->stage_progress < 0) {
        canvas_put(2, column + 2, end - column - 2, LOOK_DIM, open_end(result));
    } else {
        char right[64];
        uint64_t left_ns = stage_left_ns(result);
        int used =
            snprintf(right, sizeof(right), "%3.0f %%", 100 * least(result->stage_progress, 1));
        if (left_ns > 0 && used > 0) {
            snprintf(right + used, sizeof(right) - (size_t)used, "   %s left",
                     tell_clock(left_ns).text);
        }
        end = canvas_put_right(2, end, LOOK_PLAIN, right);
        canvas_gauge(2, column + 2, end - column - 4, result->stage_progress, LOOK_BUSY);
    }
}

int part_head(const struct result *result)
{
    put_name(result);
    put_verdict(result);
    put_stage(result);
    return 3;
}

/* ── clients ── */

struct state {
    const char *name;
    size_t offset;
    enum glyph glyph;
    enum look look;
    bool is_always; /* shown even if there are none */
};

#define STATE(counter, ...) offsetof(struct fmx_fleet_counters, counter), __VA_ARGS__

static const struct state states[] = {
    {"open", STATE(clients_open, GLYPH_OPEN, LOOK_GOOD, true)},
    {"connecting", STATE(clients_connecting, GLYPH_CONNECTING, LOOK_BUSY, false)},
    {"waiting", STATE(clients_waiting, GLYPH_WAITING, LOOK_DIM, false)},
    {"sent away", STATE(clients_stopped, GLYPH_STOPPED, LOOK_DIM, false)},
    {"lost", STATE(clients_lost, GLYPH_LOST, LOOK_WARN, true)},
    {"failed", STATE(clients_failed, GLYPH_FAILED, LOOK_BAD, true)},
};

#define STATES_COUNT (sizeof(states) / sizeof(states[0]))

static void put_states(const struct result *result, struct flow *flow)
{
    const struct fmx_fleet_counters *now = &result->counters;

    for (size_t i = 0; i < STATES_COUNT; i++) {
        uint64_t count = tell_count(now, states[i].offset);
        bool is_plain = count == 0 || states[i].look == LOOK_DIM;
        if (count > 0 || states[i].is_always) {
            flow_put(flow, is_plain ? LOOK_PLAIN : states[i].look, "%s %s %s",
                     canvas_glyph(states[i].glyph), states[i].name, words_count(count).text);
        }
        if (i == 0 && tell_has_filters(result)) {
            flow_put(flow, LOOK_PLAIN, "subscribed %s", words_count(now->clients_subscribed).text);
        }
    }
    if (now->ghosts > 0) {
        flow_put(flow, LOOK_PLAIN, "vanished %s", words_count(now->ghosts).text);
    }
}

static int cause_columns(const struct result_cause *cause, char *out_words, size_t words_bytes)
{
    char words[TELL_WORDS_BYTES];

    tell_cause(cause, words, sizeof(words));
    snprintf(out_words, words_bytes, "%s %s %s", words_count(cause->cause.count).text,
             canvas_glyph(GLYPH_TIMES), words);
    return canvas_width(out_words);
}

int part_cause_lines(const struct result *result, const struct result_cause *cause)
{
    const char *hint = tell_hint(result, cause);
    char words[TELL_WORDS_BYTES + 64];

    if (hint == NULL) {
        return 1;
    }
    int columns = cause_columns(cause, words, sizeof(words)) + canvas_width(hint) + 8;
    return columns <= canvas_columns() ? 1 : 2;
}

int part_cause(const struct result *result, const struct result_cause *cause, int line)
{
    const char *hint = tell_hint(result, cause);
    char words[TELL_WORDS_BYTES + 64];

    cause_columns(cause, words, sizeof(words));
    int column = canvas_put(line, 1, canvas_columns() - 2, LOOK_BAD, words);
    if (hint == NULL) {
        return line + 1;
    }
    if (part_cause_lines(result, cause) == 1) {
        column += 2;
    } else {
        line++;
        column = 3;
    }
    column = canvas_put(line, column, 3, LOOK_PLAIN, canvas_glyph(GLYPH_ARROW));
    canvas_put(line, column + 1, canvas_columns() - column - 2, LOOK_PLAIN, hint);
    return line + 1;
}

int part_cause_whole(const struct result *result, const struct result_cause *cause, int line,
                     bool is_dry)
{
    const char *hint = tell_hint(result, cause);
    char words[TELL_WORDS_BYTES + 64];

    cause_columns(cause, words, sizeof(words));
    line = canvas_wrap(line, 1, LOOK_BAD, words, is_dry);
    if (hint == NULL) {
        return line;
    }
    if (!is_dry) {
        canvas_put(line, 3, 3, LOOK_PLAIN, canvas_glyph(GLYPH_ARROW));
    }
    int column = 4 + canvas_width(canvas_glyph(GLYPH_ARROW));
    return canvas_wrap(line, column, LOOK_PLAIN, hint, is_dry);
}

static void put_clients(const struct result *result, int line, int causes_shown)
{
    const struct fmx_fleet_counters *now = &result->counters;
    struct bar_part parts[STATES_COUNT];
    char title[64];

    for (size_t i = 0; i < STATES_COUNT; i++) {
        parts[i] =
            (struct bar_part){tell_count(now, states[i].offset), states[i].glyph, states[i].look};
    }
    snprintf(title, sizeof(title), "%s client%s", words_count(result->clients_count).text,
             result->clients_count == 1 ? "" : "s");
    canvas_rule(line, title);
    if ((size_t)causes_shown < result->causes_count) {
        snprintf(title, sizeof(title), " %zu more causes: c ",
                 result->causes_count - (size_t)causes_shown);
        canvas_put_right(line, canvas_columns() - 1, LOOK_WARN, title);
    }
    canvas_bar(line + 1, 1, canvas_columns() - 2, parts, STATES_COUNT);
}

int part_clients(const struct result *result, int line, int causes_shown, bool is_dry)
{
    struct flow flow;

    flow_begin(&flow, line + 2, 1, is_dry);
    put_states(result, &flow);
    if (!is_dry) {
        put_clients(result, line, causes_shown);
    }
    line = flow.line + 1;
    for (int i = 0; i < causes_shown && !is_dry; i++) {
        line = part_cause(result, &result->causes[i], line);
    }
    return line;
}

/* ── groups ── */

struct group_column {
    const char *name;
    int end;
};

static const struct group_column group_columns[] = {
    {"open", 34},     {"of", 46},          {"sent", 61},         {"acked", 76},
    {"received", 91}, {"PUBACK p99", 104}, {"delivery p99", 118}};

static void put_group_time(int line, int column_end, const struct fmx_latency *latency)
{
    canvas_put_right(line, column_end, LOOK_PLAIN,
                     latency->count > 0 ? words_time(latency->p99_ns).text
                                        : canvas_glyph(GLYPH_DOT));
}

static void put_group(const struct result_group *group, int line)
{
    const struct group_column *columns = group_columns;
    const struct fmx_fleet_counters *now = &group->counters;

    canvas_put(line, 1, 22, LOOK_PLAIN, group->name);
    canvas_put_right(line, columns[0].end, LOOK_BOLD, words_count(now->clients_open).text);
    canvas_put_right(line, columns[1].end, LOOK_PLAIN, words_count(group->clients_count).text);
    canvas_put_right(line, columns[2].end, LOOK_PLAIN, words_count(now->publishes_sent).text);
    canvas_put_right(line, columns[3].end, LOOK_PLAIN, words_count(now->publishes_acked).text);
    canvas_put_right(line, columns[4].end, LOOK_PLAIN, words_count(now->received).text);
    put_group_time(line, columns[5].end, &group->latency[FMX_FLEET_PUBACK]);
    put_group_time(line, columns[6].end, &group->latency[FMX_FLEET_DELIVERY]);
}

int part_groups(const struct result *result, int line, size_t groups_shown)
{
    char title[64];

    if (groups_shown < result->groups_count) {
        snprintf(title, sizeof(title), "groups: %zu of %zu", groups_shown, result->groups_count);
    } else {
        snprintf(title, sizeof(title), "groups");
    }
    canvas_rule(line, title);
    for (size_t i = 0; i < sizeof(group_columns) / sizeof(group_columns[0]); i++) {
        char name[32];
        snprintf(name, sizeof(name), " %s ", group_columns[i].name);
        canvas_put_right(line, group_columns[i].end + 1, LOOK_PLAIN, name);
    }
    line++;
    for (size_t i = 0; i < groups_shown; i++, line++) {
        put_group(&result->groups[i], line);
    }
    return line;
}

/* ── a search ── */

int part_steps(const struct result *result, int line, size_t steps_shown)
{
    canvas_rule(line, "search for the highest rate");
    line++;
    for (size_t i = result->steps_count - steps_shown; i < result->steps_count; i++, line++) {
        const struct result_step *step = &result->steps[i];
        canvas_print(line, 1, LOOK_PLAIN, "step %zu", i + 1);
        canvas_put_right(line, 24, LOOK_BOLD, words_real(step->rate).text);
        canvas_print(line, 25, LOOK_PLAIN, "a second, %s reached", words_real(step->achieved).text);
        canvas_put_right(line, 62, LOOK_PLAIN, step->value);
        canvas_put(line, 64, 15, step->is_held ? LOOK_GOOD : LOOK_WARN,
                   step->is_held ? "holds" : "does not hold");
    }
    return line;
}

/* ── thresholds ── */

int part_thresholds(const struct result *result, int line, bool is_dry)
{
    struct flow flow;

    if (!is_dry) {
        canvas_rule(line, "thresholds");
    }
    flow_begin(&flow, line + 1, 1, is_dry);
    for (size_t i = 0; i < result->thresholds_count; i++) {
        const struct result_threshold *threshold = &result->thresholds[i];
        flow_put(&flow, threshold->is_met ? LOOK_GOOD : LOOK_BAD, "%s: %s, %s", threshold->text,
                 threshold->value, threshold->is_met ? "met" : "not met");
    }
    return flow.line + 1;
}

/* ── this program ── */

int part_health(const struct result *result, int line, bool is_dry)
{
    struct tell_health health;
    struct flow flow;

    tell_health(result, false, &health);
    if (!is_dry) {
        canvas_rule(line, "generator");
    }
    flow_begin(&flow, line + 1, 1, is_dry);
    bool is_late = !result->is_valid || health.lag_p99_ns > LATE_NS;
    flow_put(&flow, is_late ? LOOK_BAD : LOOK_PLAIN, "lag p99 %s",
             tell_time(health.lag_p99_ns).text);
    flow_put(&flow, is_late ? LOOK_BAD : LOOK_PLAIN, "drift p99 %s",
             tell_time(health.drift_p99_ns).text);
    flow_put(&flow, health.cpu > 0.9 ? LOOK_WARN : LOOK_PLAIN, "cpu %" PRIu32 " %s %s",
             result->shards_count, canvas_glyph(GLYPH_TIMES), tell_share(health.cpu).text);
    if (health.wait >= 0) {
        flow_put(&flow, health.wait > 0.1 ? LOOK_WARN : LOOK_PLAIN, "waited %s",
                 tell_share(health.wait).text);
    }
    flow_put(&flow, LOOK_PLAIN, "memory %s", words_bytes(health.rss_bytes).text);
    if (screen_is_wide()) {
        flow_put(&flow, LOOK_PLAIN, "%s a client", words_bytes(health.bytes_per_client).text);
    }
    if (screen_is_wide() && health.segments_again >= 0) {
        flow_put(&flow, health.segments_again > 0.01 ? LOOK_WARN : LOOK_PLAIN, "segments resent %s",
                 tell_share(health.segments_again).text);
    }
    return flow.line + 1;
}
