/*
 * fleet_screen_pages — which parts are shown, and how many lines each has
 *
 * Why it is so:   80 columns and 24 lines hold everything that one watches during a run, if it is
 *                 laid out for them: head 3, then parts that begin with a rule. What there is less
 *                 of makes room for blank lines; what there is more of (causes, latencies) gives
 *                 way in the order in which one misses it least. Of more lines
 *                 thresholds, groups, causes, steps of a search and higher charts make use, in
 *                 this order
 * Invariants:     parts never overlap, and the last line is left to keys
 * Threads:        the main one
 * Not here:       drawing: fleet_screen_parts.c; keys and frames: fleet_screen.c
 */
#include "tools/fleetmux/fleet_screen.h"
#include "tools/fleetmux/fleet_tell.h"

#define CHART_LINES_MAX 8
#define LATENCIES_LEAST 4
#define RATES_LEAST     4
#define TALL_LINES      29 /* from which on every rate has its line */
#define STEPS_SHOWN_MAX 12
#define GROUP_COLUMNS   120 /* of a terminal that has room for the table of groups */
#define PARTS_MAX       8

struct layout {
    int latencies, causes, cause_lines, thresholds, groups, steps, chart_lines, blanks;
};

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Lines of a part that has a rule and so many rows; none without rows. */
static int with_rule(int rows, int heads)
{
    return rows > 0 ? rows + heads : 0;
}

/* As many causes as so many lines hold. */
static int fit_causes(const struct result *result, int lines, int *out_lines)
{
    int count = 0, used = 0;

    while (count < (int)result->causes_count) {
        int more = part_cause_lines(result, &result->causes[count]);
        if (used + more > lines) {
            break;
        }
        used += more;
        count++;
    }
    *out_lines = used;
    return count;
}

/* `left`: lines that no part has yet. */
static struct layout share_lines(const struct result *result, int rates, int left)
{
    struct tell_latency rows[TELL_LATENCIES_MAX];
    struct layout layout = {.chart_lines = 1};
    size_t missing;
    int latencies = (int)tell_latencies(result, TELL_LATENCIES_MAX, rows, &missing);
    int causes = 0, steps = least((int)result->steps_count, 2);

    if (result->causes_count > 0) {
        causes = part_cause_lines(result, &result->causes[0]);
    }
    int spared = least(latencies, LATENCIES_LEAST);
    if (left - causes < spared) {
        causes = 0;
    }
    if (left - causes - with_rule(steps, 1) < spared) {
        steps = 0;
    }
    left -= causes + with_rule(steps, 1);
    layout.latencies = least(latencies, left);
    left -= layout.latencies;
    int judged = result->thresholds_count > 0 ? part_thresholds(result, 0, true) : 0;
    if (judged <= left) {
        layout.thresholds = judged;
        left -= judged;
    }
    if (canvas_columns() >= GROUP_COLUMNS && result->groups_count > 1 && left > 2) {
        layout.groups = least((int)result->groups_count, left - 1);
        left -= layout.groups + 1;
    }
    layout.causes = fit_causes(result, causes + left, &layout.cause_lines);
    left -= layout.cause_lines - causes;
    layout.steps = least(least((int)result->steps_count, STEPS_SHOWN_MAX), steps + left);
    left -= steps > 0 ? layout.steps - steps : with_rule(layout.steps, 1);
    if (left < 0) {
        left += with_rule(layout.steps, 1);
        layout.steps = 0;
    }
    layout.blanks = least(left, PARTS_MAX);
    left -= layout.blanks;
    while (layout.chart_lines < CHART_LINES_MAX && left >= rates) {
        layout.chart_lines++;
        left -= rates;
    }
    return layout;
}

/* A blank line, if there is one left. */
static int space(struct layout *layout, int line)
{
    bool has_blank = layout->blanks > 0;

    layout->blanks -= has_blank;
    return line + has_blank;
}

void page_overview(const struct result *result, int bottom)
{
    int line = part_head(result);
    int rates = part_rates_count(result);

    rates = bottom < TALL_LINES ? least(rates, RATES_LEAST) : rates;
    int fixed = part_clients(result, line, 0, true) + 1 + rates;
    fixed = part_health(result, fixed + 2, true);
    struct layout layout = share_lines(result, rates, bottom - fixed);
    line = part_clients(result, space(&layout, line), layout.causes, false);
    line = part_rates(result, space(&layout, line), rates, layout.chart_lines);
    if (layout.latencies > 0) {
        line = part_latencies(result, space(&layout, line), (size_t)layout.latencies);
    }
    if (layout.thresholds > 0) {
        line = part_thresholds(result, space(&layout, line), false);
    }
    if (layout.groups > 0) {
        line = part_groups(result, space(&layout, line), (size_t)layout.groups);
    }
    if (layout.steps > 0) {
        line = part_steps(result, space(&layout, line), (size_t)layout.steps);
    }
    part_health(result, space(&layout, line), false);
}

/* ── pages of their own ── */

void page_causes(const struct result *result, int bottom, size_t *top)
{
    int line = part_head(result) + 1;
    size_t index;

    canvas_rule(line++, "what went wrong, by cause");
    if (result->causes_count == 0) {
        canvas_put(line + 1, 1, canvas_columns() - 2, LOOK_PLAIN,
                   "Nothing: every connection came up and stayed, and nothing was refused.");
        return;
    }
    if (*top >= result->causes_count) {
        *top = result->causes_count - 1;
    }
    for (index = *top; index < result->causes_count; index++) {
        const struct result_cause *cause = &result->causes[index];
        if (part_cause_whole(result, cause, line, true) > bottom - 1) {
            break;
        }
        line = part_cause_whole(result, cause, line, false);
    }
    canvas_print(bottom - 1, 1, LOOK_DIM, "%zu to %zu of %zu", *top + 1, index,
                 result->causes_count);
}

void page_keys(int bottom)
{
    static const struct {
        const char *keys, *words;
    } keys[] = {
        {"+  -", "publish 10 % faster, slower; the up and down keys do the same"},
        {"]  [", "twice as fast, half as fast; so do up and down with shift"},
        {"space", "pause: nothing more is planned, and stages stand still; again: go on"},
        {"s", "storm: a share of the open clients leaves, and comes back as after a loss"},
        {"c", "everything that went wrong, by cause, and what to do about it"},
        {"q", "end: what is under way is waited for, then comes the summary"},
        {"Ctrl-C", "the same; twice: end at once"},
        {"Ctrl-L", "draw the screen anew"},
    };
    static const char *const words[] = {
        "planned: what the plan asks for in this second; achieved: what was done.",
        "A latency counts from the planned time; raw, from the sending, as tools do that "
        "let a late server hide.",
        "lag: how late messages left though nothing but this program was in the way; "
        "drift: how long what arrived waited; waited: time without a processor, but ready.",
    };
    int line = 4;

    canvas_rule(line++, "keys");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && line < bottom; i++, line++) {
        canvas_put(line, 2, 8, LOOK_BOLD, keys[i].keys);
        canvas_put(line, 11, canvas_columns() - 12, LOOK_PLAIN, keys[i].words);
    }
    line++;
    canvas_rule(line++, "figures");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && line < bottom; i++) {
        line = canvas_wrap(line, 2, LOOK_PLAIN, words[i], false);
    }
}

void page_small(const struct result *result)
{
    const struct fmx_fleet_counters *now = &result->counters;
    int columns = canvas_columns();
    char words[128];

    part_head(result);
    snprintf(words, sizeof(words), "open %s of %s", words_count(now->clients_open).text,
             words_count(result->clients_count).text);
    canvas_put(3, 1, columns - 2, LOOK_PLAIN, words);
    snprintf(words, sizeof(words), "lost %s, failed %s", words_count(now->clients_lost).text,
             words_count(now->clients_failed).text);
    canvas_put(4, 1, columns - 2, LOOK_PLAIN, words);
    int used = snprintf(words, sizeof(words), "sent %s a second",
                        words_real(TELL_RATE(result, publishes_sent)).text);
    if (result->base_rate > 0) { /* closed loops want none */
        snprintf(words + used, sizeof(words) - (size_t)used, " of %s",
                 words_real(tell_publishes_wanted(result)).text);
    }
    canvas_put(5, 1, columns - 2, LOOK_PLAIN, words);
    snprintf(words, sizeof(words), "%d x %d is small: %d x %d shows all", columns, canvas_lines(),
             SCREEN_COLUMNS_LEAST, SCREEN_LINES_LEAST);
    canvas_put(6, 1, columns - 2, LOOK_DIM, words);
}
