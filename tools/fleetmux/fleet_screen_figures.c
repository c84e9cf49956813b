/*
 * fleet_screen_figures — rates and latencies on the screen, with charts of what they were
 *
 * Why it is so:   a figure alone does not tell whether it falls, so each has the last minute beside
 *                 it. A chart begins at zero and ends at the most of its own window: what it shows
 *                 is a change, and how much there is of something stands beside it
 * Words:          bin: the seconds of one column; window: the columns there are
 * Invariants:     a bin that is full never changes, so a chart moves by whole columns
 * Threads:        the main one
 * Not here:       which figures there are: fleet_tell.c; how many lines each part has:
 *                 fleet_screen_pages.c
 */
#include "tools/fleetmux/fleet_screen.h"
#include "tools/fleetmux/fleet_tell.h"

#include <stddef.h>

#define WIDE_COLUMNS  120
#define WIDER_COLUMNS 180

bool screen_is_wide(void)
{
    return canvas_columns() >= WIDE_COLUMNS;
}

/* ── rates ── */

struct rate {
    const char *name;
    size_t counter;
    bool has_plan;
    double (*wanted)(const struct result *result);
};

static const struct rate rates[] = {
    {"connects", offsetof(struct fmx_fleet_counters, connects_ok), true, tell_connects_wanted},
    {"sent", offsetof(struct fmx_fleet_counters, publishes_sent), true, tell_publishes_wanted},
    {"acked", offsetof(struct fmx_fleet_counters, publishes_acked), false, NULL},
    {"received", offsetof(struct fmx_fleet_counters, received), false, NULL},
    {"requests", offsetof(struct fmx_fleet_counters, requests_answered), false, NULL},
    {"calls", offsetof(struct fmx_fleet_counters, calls_answered), false, NULL},
};

#define RATES_COUNT (sizeof(rates) / sizeof(rates[0]))

static bool is_rate_shown(const struct result *result, size_t i)
{
    const struct fmx_fleet_counters *now = &result->counters;

    switch (i) {
    case 0:
        return true;
    case 1:
        return result->base_rate > 0 || now->publishes_planned > 0;
    case 2:
        return now->publishes_sent_qos1 > 0;
    case 3:
        return tell_has_filters(result);
    default:
        return tell_count(now, rates[i].counter) > 0;
    }
}

int part_rates_count(const struct result *result)
{
    int count = 0;

    for (size_t i = 0; i < RATES_COUNT; i++) {
        count += is_rate_shown(result, i);
    }
    return count;
}

/* Of so many columns: a second each, or two, of the last minute; of more, the last two minutes. */
struct window {
    int columns;
    size_t rows_each;
};

static struct window find_window(int columns)
{
    return columns >= 120  ? (struct window){120, 1}
           : columns >= 60 ? (struct window){60, 1}
           : columns >= 30 ? (struct window){30, 2}
                           : (struct window){columns < 0 ? 0 : columns, 2};
}

static double planned_in(const struct rate *rate, const struct result_row *row)
{
    double span = (double)(row->end_ns - row->begin_ns) / 1e9;
    double count = rate->counter == rates[0].counter ? row->connects_wanted : row->publishes_wanted;

    return span > 0 ? count / span : 0;
}

/* One column: the mean of its rows. They begin at multiples of their count, so that a column does
   not change once it is full. */
static struct spark spark_of(const struct result *result, const struct rate *rate, size_t first,
                             size_t count, double *top)
{
    double achieved = 0, planned = 0;
    size_t rows = 0;

    for (size_t row = first; row < first + count && row < result->rows_count; row++, rows++) {
        achieved += result_row_rate(result, row, rate->counter);
        planned += rate->has_plan ? planned_in(rate, &result->rows[row]) : 0;
    }
    if (rows == 0) {
        return (struct spark){.value = -1};
    }
    double highest = (achieved > planned ? achieved : planned) / (double)rows;
    *top = highest > *top ? highest : *top;
    return (struct spark){
        .value = achieved / (double)rows,
        .look = !rate->has_plan             ? LOOK_BUSY
                : achieved < 0.99 * planned ? LOOK_WARN
                                            : LOOK_GOOD,
    };
}

#define WINDOW_MAX   120
#define CHART_COLUMN 49

static void put_chart(const struct result *result, const struct rate *rate, int line, int column,
                      int lines)
{
    struct window window = find_window(canvas_columns() - column - 1);
    size_t bins = (result->rows_count + window.rows_each - 1) / window.rows_each;
    struct spark sparks[WINDOW_MAX];
    int count = 0;
    double top = 0;

    size_t first = bins > (size_t)window.columns ? bins - (size_t)window.columns : 0;
    for (size_t bin = first; bin < bins; bin++) {
        sparks[count++] = spark_of(result, rate, bin * window.rows_each, window.rows_each, &top);
    }
    canvas_spark(line + lines - 1, column, lines, sparks, count, top);
}

static void put_rate(const struct result *result, const struct rate *rate, int line,
                     int chart_lines)
{
    double achieved = tell_rate(result, rate->counter);
    double wanted = rate->wanted != NULL ? rate->wanted(result) : 0;
    enum look look = LOOK_BOLD;
    int at = line + chart_lines - 1;

    canvas_put(at, 1, 10, LOOK_PLAIN, rate->name);
    if (rate->has_plan) {
        look = achieved < 0.9 * wanted ? LOOK_BAD : achieved < 0.99 * wanted ? LOOK_WARN : look;
        bool is_closed_loop = rate->wanted == tell_publishes_wanted && result->base_rate == 0;
        canvas_put_right(at, 21, LOOK_PLAIN,
                         is_closed_loop ? canvas_glyph(GLYPH_DOT) : words_real(wanted).text);
    }
    canvas_put_right(at, 33, look, words_real(achieved).text);
    canvas_put_right(at, 47, LOOK_PLAIN,
                     words_count(tell_count(&result->counters, rate->counter)).text);
    put_chart(result, rate, line, CHART_COLUMN, chart_lines);
}

int part_rates(const struct result *result, int line, int rates_shown, int chart_lines)
{
    struct window window = find_window(canvas_columns() - CHART_COLUMN - 1);

    canvas_rule(line, "a second");
    canvas_put_right(line, 22, LOOK_PLAIN, " planned ");
    canvas_put_right(line, 34, LOOK_PLAIN, " achieved ");
    canvas_put_right(line, 48, LOOK_PLAIN, " in all ");
    canvas_print(line, CHART_COLUMN - 1, LOOK_PLAIN, " %s ",
                 window.columns >= WINDOW_MAX ? "last two minutes" : "last minute");
    line++;
    for (size_t i = 0; i < RATES_COUNT && rates_shown > 0; i++) {
        if (is_rate_shown(result, i)) {
            put_rate(result, &rates[i], line, chart_lines);
            line += chart_lines;
            rates_shown--;
        }
    }
    return line;
}

/* ── latencies ── */

#define LABEL_COLUMNS 9
#define FIGURES_COUNT 5

static int cell_columns(void)
{
    return canvas_columns() >= WIDER_COLUMNS ? 10 : screen_is_wide() ? 9 : 7;
}

static void put_figures(const struct fmx_latency *latency, int line, int column, bool is_raw)
{
    const uint64_t figures[FIGURES_COUNT] = {latency->p50_ns, latency->p90_ns, latency->p99_ns,
                                             latency->p999_ns, latency->max_ns};
    bool has_space = cell_columns() > 7;

    for (int i = 0; i < FIGURES_COUNT; i++) {
        struct words words = has_space ? words_time(figures[i]) : tell_time(figures[i]);
        enum look look = is_raw ? LOOK_DIM : i == 2 ? LOOK_BOLD : LOOK_PLAIN;
        canvas_put_right(line, column + (i + 1) * cell_columns(), look,
                         latency->count == 0 ? canvas_glyph(GLYPH_DOT) : words.text);
    }
}

static void put_latency_chart(const struct result *result, const struct tell_latency *row, int line,
                              int column)
{
    int columns = canvas_columns() - column - 1;
    struct window window = find_window(columns > WINDOW_MAX ? WINDOW_MAX : columns);
    size_t bins = (result->rows_count + window.rows_each - 1) / window.rows_each;
    size_t first = bins > (size_t)window.columns ? bins - (size_t)window.columns : 0;
    struct spark sparks[WINDOW_MAX];
    double top = 0;
    int count = 0;

    for (size_t bin = first; bin < bins; bin++) {
        double highest = -1;
        for (size_t i = bin * window.rows_each;
             i < (bin + 1) * window.rows_each && i < result->rows_count; i++) {
            const struct fmx_latency *latency = &result->rows[i].latency[row->latency];
            double p99 = latency->count > 0 ? (double)latency->p99_ns : -1;
            highest = p99 > highest ? p99 : highest;
        }
        top = highest > top ? highest : top;
        sparks[count++] = (struct spark){highest, row->is_raw ? LOOK_DIM : LOOK_BUSY};
    }
    canvas_spark(line, column, 1, sparks, count, top);
}

static void put_latency_heads(int line, int left, int right, size_t missing)
{
    static const char *const names[FIGURES_COUNT] = {"p50", "p90", "p99", "p99.9", "max"};
    int end = right + FIGURES_COUNT * cell_columns();
    char title[64] = "latency";

    if (missing > 0) {
        snprintf(title, sizeof(title), "latency, %zu not shown", missing);
    }
    canvas_rule(line, title);
    canvas_put_right(line, right - 1, LOOK_PLAIN, " last five seconds ");
    canvas_put_right(line, end, LOOK_PLAIN, " whole run ");
    for (int i = 0; i < FIGURES_COUNT; i++) {
        canvas_put_right(line + 1, left + (i + 1) * cell_columns(), LOOK_DIM, names[i]);
        canvas_put_right(line + 1, right + (i + 1) * cell_columns(), LOOK_DIM, names[i]);
    }
}

int part_latencies(const struct result *result, int line, size_t rows_shown)
{
    struct tell_latency rows[TELL_LATENCIES_MAX];
    size_t missing;
    size_t count = tell_latencies(result, rows_shown, rows, &missing);
    int left = LABEL_COLUMNS, right = left + FIGURES_COUNT * cell_columns();
    int chart = right + FIGURES_COUNT * cell_columns() + 3;
    bool has_chart = canvas_columns() - chart > 15;

    right += screen_is_wide() ? 1 : 0;
    put_latency_heads(line, left, right, missing);
    if (has_chart) {
        canvas_put(line, chart - 1, canvas_columns() - chart, LOOK_PLAIN, " p99, last minute ");
    }
    line += 2;
    for (size_t i = 0; i < count; i++, line++) {
        canvas_put(line, 1, LABEL_COLUMNS, rows[i].is_raw ? LOOK_DIM : LOOK_PLAIN, rows[i].label);
        put_figures(&result->recent[rows[i].latency], line, left, rows[i].is_raw);
        put_figures(&result->latency[rows[i].latency], line, right, rows[i].is_raw);
        canvas_put(line, right, 1, LOOK_DIM, canvas_glyph(GLYPH_WALL));
        if (has_chart) {
            put_latency_chart(result, &rows[i], line, chart);
        }
    }
    return line;
}
