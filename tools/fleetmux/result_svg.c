/*
 * result_svg — draws plots as SVG with labels in HTML around it
 *
 * Why it is so:   the drawing is stretched to whatever width there is, from a phone's to paper's,
 *                 while strokes and text keep their size: labels stand beside it, placed in per
 *                 cent. What falls on one column is thinned out to its lowest and its highest
 *                 point, or, where lines would be nothing but noise, to a band between these and
 *                 a line in the middle: an hour is as quick to show as a minute, and shows each
 *                 peak.
 *                 Hover text is in title elements, so it is there without any script
 * Words:          column: one of 600 slices of the width; hit: an invisible bar that has the
 *                 figures of its slice as hover text
 * Memory:         points are on the heap until plot_close
 * Threads:        one
 * Not here:       what is drawn: result_html_plots.c; colours: result_html_style.c
 */
#include "tools/fleetmux/result_svg.h"

#include "tools/fleetmux/words.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH    1000.0
#define HEIGHT   300.0
#define COLUMNS  600u
#define HITS_MAX 150u
#define SLICES   180u /* of a plot that is dense: */
#define DENSE    400u /* one with more points */
#define STRIP    7.0  /* the height of the strip that shows limits */

/* ── words ── */

static void put_escaped(FILE *file, char byte)
{
    switch (byte) {
    case '&':
        fputs("&amp;", file);
        break;
    case '<':
        fputs("&lt;", file);
        break;
    case '>':
        fputs("&gt;", file);
        break;
    case '"':
        fputs("&quot;", file);
        break;
    case '\'':
        fputs("&#39;", file);
        break;
    default:
        fputc(byte, file);
    }
}

void html_text(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        put_escaped(file, *text);
    }
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

void html_words(FILE *file, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        bool is_unit = strncmp(at, "us", 2) == 0 && !is_letter(at[2]) && at >= text + 2 &&
                       at[-1] == ' ' && is_digit(at[-2]);
        if (is_unit) {
            fputs("µ", file);
        } else {
            put_escaped(file, *at);
        }
    }
}

/* words_time for terminals says "us". */
static void time_words(double value_ns, char *out_text, size_t text_bytes)
{
    struct words words = words_time((uint64_t)(value_ns + 0.5));
    char *unit = strstr(words.text, " us");

    if (unit != NULL) {
        *unit = '\0';
    }
    snprintf(out_text, text_bytes, "%s%s", words.text, unit != NULL ? " µs" : "");
}

struct plot_words plot_words(double value, enum plot_scale scale)
{
    struct plot_words words = {.text = "–"};

    if (!isfinite(value) || value < 0 || value >= 1.8e19) {
        return words;
    }
    if (scale == PLOT_LATENCY) {
        time_words(value, words.text, sizeof(words.text));
    } else if (scale == PLOT_SHARE) {
        snprintf(words.text, sizeof(words.text), "%.*f %%",
                 value < 0.1 ? 2
                 : value < 1 ? 1
                             : 0,
                 100 * value);
    } else {
        snprintf(words.text, sizeof(words.text), "%s%s",
                 value == floor(value) ? words_count((uint64_t)value).text : words_real(value).text,
                 scale == PLOT_RATE ? "/s" : "");
    }
    return words;
}

/* "20 k": a label of an axis has little room. */
static void short_count(double value, char *out_text, size_t text_bytes)
{
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    snprintf(out_text, text_bytes, "%.4g%s", value, units[unit]);
}

static void short_time(double value_ns, char *out_text, size_t text_bytes)
{
    static const char *const units[] = {"ns", "µs", "ms", "s"};
    size_t unit = 0;

    while (value_ns >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value_ns /= 1000;
        unit++;
    }
    snprintf(out_text, text_bytes, "%.4g %s", value_ns, units[unit]);
}

/* Seconds since start; `step` says how fine it must be. */
static void clock_words(double seconds, double step, char *out_text, size_t text_bytes)
{
    uint64_t whole = (uint64_t)(seconds + 0.5);

    if (step < 1) {
        snprintf(out_text, text_bytes, "%.1f s", seconds);
    } else if (step >= 60 && whole < 7200 && step < 3600) {
        snprintf(out_text, text_bytes, "%" PRIu64 " min", whole / 60);
    } else if (step >= 60) {
        snprintf(out_text, text_bytes, whole % 3600 == 0 ? "%" PRIu64 " h" : "%" PRIu64 ":%02d h",
                 whole / 3600, (int)(whole / 60 % 60));
    } else if (whole < 60) {
        snprintf(out_text, text_bytes, "%" PRIu64 " s", whole);
    } else if (whole < 3600) {
        snprintf(out_text, text_bytes, "%" PRIu64 ":%02" PRIu64, whole / 60, whole % 60);
    } else {
        snprintf(out_text, text_bytes, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, whole / 3600,
                 whole / 60 % 60, whole % 60);
    }
}

/* ── lines ── */

struct plot_line *plot_add(struct plot *plot, const char *name, unsigned colour,
                           enum plot_style style, size_t count)
{
    double *points =
        plot->lines_count < PLOT_LINES_MAX ? calloc(2 * count + 1, sizeof(*points)) : NULL;

    if (points == NULL) {
        plot->is_broken = true;
        return NULL;
    }
    struct plot_line *line = &plot->lines[plot->lines_count++];
    snprintf(line->name, sizeof(line->name), "%s", name);
    line->colour = colour;
    line->style = style;
    line->x = points;
    line->y = points + count;
    line->count = count;
    return line;
}

void plot_close(struct plot *plot)
{
    for (size_t i = 0; i < plot->lines_count; i++) {
        free(plot->lines[i].x);
    }
    plot->lines_count = 0;
}

bool plot_has_any(const struct plot *plot)
{
    for (size_t i = 0; i < plot->lines_count; i++) {
        for (size_t j = 0; j < plot->lines[i].count; j++) {
            if (plot->lines[i].y[j] > 0) {
                return true;
            }
        }
    }
    return false;
}

/* Of a stack: from the bottom up to this line. */
static double height_at(const struct plot *plot, size_t line, size_t point)
{
    double sum = 0;

    for (size_t i = 0; plot->is_stacked && i < line; i++) {
        sum += isnan(plot->lines[i].y[point]) ? 0 : plot->lines[i].y[point];
    }
    return sum + plot->lines[line].y[point];
}

void plot_stretch(struct plot *plot)
{
    for (size_t i = 0; i < plot->lines_count; i++) {
        for (size_t j = 0; j < plot->lines[i].count; j++) {
            double y = height_at(plot, i, j);
            if (!isfinite(y) || (plot->scale == PLOT_LATENCY && y <= 0)) {
                continue;
            }
            plot->y_max = y > plot->y_max ? y : plot->y_max;
            if (plot->scale == PLOT_LATENCY && (plot->y_min == 0 || y < plot->y_min)) {
                plot->y_min = y;
            }
        }
    }
}

/* ── axes ── */

/* 1, 2 or 5 times a power of ten, at least `least`. */
static double nice_above(double least)
{
    double power = pow(10, floor(log10(least)));
    double digit = least / power;

    return power * (digit <= 1.0001 ? 1 : digit <= 2.0001 ? 2 : digit <= 5.0001 ? 5 : 10);
}

static double nice_seconds(double least)
{
    static const double steps[] = {0.1, 0.2, 0.5, 1,   2,    5,    10,   15,    30,    60,
                                   120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (steps[i] >= least) {
            return steps[i];
        }
    }
    return 86400 * ceil(least / 86400);
}

struct axes {
    double x_max, y_min, y_max, step;
    bool is_log;
};

static struct axes make_axes(const struct plot *plot)
{
    struct axes axes = {
        .x_max = plot->x_max > 0 ? plot->x_max : 1,
        .is_log = plot->scale == PLOT_LATENCY,
    };

    if (axes.is_log) {
        double least = plot->y_min > 0 ? plot->y_min : 1e3,
               most = plot->y_max > 0 ? plot->y_max : 1e6;
        axes.y_min = floor(log10(least) + 1e-9);
        axes.y_max = ceil(log10(most) - 1e-9);
        axes.y_max = axes.y_max > axes.y_min ? axes.y_max : axes.y_min + 1;
        return axes;
    }
    double least = plot->scale == PLOT_SHARE ? 1e-4 : 4;
    axes.step = nice_above((plot->y_max > least ? plot->y_max : least) / 4.2);
    axes.y_max = axes.step * ceil((plot->y_max > least ? plot->y_max : least) / axes.step - 1e-9);
    return axes;
}

static double at_x(const struct axes *axes, double x)
{
    double share = x / axes->x_max;

    return share < 0 ? 0 : share > 1 ? 1 : share;
}

/* From the bottom. */
static double at_y(const struct axes *axes, double y)
{
    double shown = axes->is_log ? log10(y > 1 ? y : 1) : y;
    double share = (shown - axes->y_min) / (axes->y_max - axes->y_min);

    return share < 0 ? 0 : share > 1 ? 1 : share;
}

struct tick {
    double at; /* share of the axis */
    char text[24];
};

#define TICKS_MAX 24

static size_t y_ticks(const struct plot *plot, const struct axes *axes, struct tick *out_ticks)
{
    size_t count = 0;

    if (axes->is_log) {
        bool is_fine = axes->y_max - axes->y_min < 1.5;
        for (double power = axes->y_min; power <= axes->y_max + 1e-9; power += 1) {
            for (int digit = 1; digit <= (is_fine ? 5 : 1); digit += digit == 1 ? 1 : 3) {
                double value = digit * pow(10, power);
                if (count < TICKS_MAX && log10(value) <= axes->y_max + 1e-9) {
                    out_ticks[count].at = at_y(axes, value);
                    short_time(value, out_ticks[count].text, sizeof(out_ticks[count].text));
                    count++;
                }
            }
        }
        return count;
    }
    for (double value = 0; value <= axes->y_max * 1.0001 && count < TICKS_MAX;
         value += axes->step) {
        struct tick *tick = &out_ticks[count++];
        tick->at = at_y(axes, value);
        if (plot->scale == PLOT_SHARE) {
            snprintf(tick->text, sizeof(tick->text), "%.4g %%", 100 * value);
        } else {
            short_count(value, tick->text, sizeof(tick->text));
        }
    }
    return count;
}

static size_t x_ticks(const struct plot *plot, const struct axes *axes, struct tick *out_ticks)
{
    static const char *const names[] = {"0",          "50 %",       "90 %",     "99 %",
                                        "99.9 %",     "99.99 %",    "99.999 %", "99.9999 %",
                                        "99.99999 %", "99.999999 %"};
    size_t count = 0;

    if (plot->is_percentile) {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            double x = i == 0 ? 0 : i == 1 ? log10(2) : (double)i - 1;
            if (x <= axes->x_max) {
                out_ticks[count].at = at_x(axes, x);
                snprintf(out_ticks[count].text, sizeof(out_ticks[count].text), "%s", names[i]);
                count++;
            }
        }
        return count;
    }
    double step = nice_seconds(axes->x_max / 9);
    for (double x = 0; x <= axes->x_max * 1.0001 && count < TICKS_MAX; x += step) {
        out_ticks[count].at = at_x(axes, x);
        clock_words(x, step, out_ticks[count].text, sizeof(out_ticks[count].text));
        count++;
    }
    return count;
}

static void draw_grid(FILE *file, bool is_over, const struct tick *x, size_t x_count,
                      const struct tick *y, size_t y_count)
{
    fprintf(file, "<path class=\"grid%s\" d=\"", is_over ? " over" : "");
    for (size_t i = 0; i < y_count; i++) {
        fprintf(file, "M0 %.1fH%.0f", HEIGHT - HEIGHT * y[i].at, WIDTH);
    }
    for (size_t i = 0; i < x_count; i++) {
        fprintf(file, "M%.1f 0V%.0f", WIDTH * x[i].at, HEIGHT);
    }
    fputs("\"/>", file);
}

/* ── the background: stages, pauses, limits ── */

static double seconds_of(uint64_t time_ns)
{
    return (double)time_ns / 1e9;
}

static bool stage_span(const struct result *result, size_t index, double *out_begin,
                       double *out_end)
{
    const struct result_stage *stage = &result->stages[index];

    if (index > 0 && stage->began_ns == 0) {
        return false;
    }
    *out_begin = seconds_of(stage->began_ns);
    *out_end = seconds_of(stage->ended_ns > 0 ? stage->ended_ns : result->elapsed_ns);
    return *out_end > *out_begin;
}

static void draw_bar(FILE *file, const char *kind, double from, double to, double top,
                     double height)
{
    fprintf(file, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", kind,
            WIDTH * from, top, WIDTH * (to - from), height);
}

/* Runs of rows that are alike become one bar. */
static void draw_rows(FILE *file, const struct result *result, const struct axes *axes)
{
    static const char *const limits[] = {"", "limit server", "limit generator", "limit network"};
    size_t begin = 0;

    for (size_t i = 1; i <= result->rows_count; i++) {
        const struct result_row *row = &result->rows[begin];
        if (i < result->rows_count && result->rows[i].limit == row->limit &&
            result->rows[i].is_paused == row->is_paused) {
            continue;
        }
        double from = at_x(axes, seconds_of(row->begin_ns));
        double to = at_x(axes, seconds_of(result->rows[i - 1].end_ns));
        if (row->is_paused) {
            draw_bar(file, "pause", from, to, 0, HEIGHT);
        }
        if (row->limit != RESULT_OK) {
            draw_bar(file, limits[row->limit], from, to, HEIGHT - STRIP, STRIP);
        }
        begin = i;
    }
}

static void draw_course(FILE *file, const struct result *result, const struct axes *axes)
{
    double begin, end;

    for (size_t i = 0; i < result->stages_count; i++) {
        if (i % 2 == 1 && stage_span(result, i, &begin, &end)) {
            draw_bar(file, "band", at_x(axes, begin), at_x(axes, end), 0, HEIGHT);
        }
    }
}

static void draw_stage_names(FILE *file, const struct result *result, const struct axes *axes)
{
    double begin, end;

    fputs("<div class=\"stages\">", file);
    for (size_t i = 0; i < result->stages_count; i++) {
        if (!stage_span(result, i, &begin, &end)) {
            continue;
        }
        double from = at_x(axes, begin), share = at_x(axes, end) - from;
        if (share > 0.035) {
            fprintf(file, "<span style=\"left:%.2f%%;width:%.2f%%\" title=\"", 100 * from,
                    100 * share);
            html_text(file, result->stages[i].name);
            fputs("\">", file);
            html_text(file, result->stages[i].name);
            fputs("</span>", file);
        }
    }
    fputs("</div>", file);
}

/* ── lines, thinned out ── */

static size_t column_of(const struct axes *axes, double x)
{
    size_t column = (size_t)(at_x(axes, x) * COLUMNS);

    return column < COLUMNS ? column : COLUMNS - 1;
}

/*
 * Which points of a line are drawn: of each column the first, the lowest, the highest and the last.
 * Of NaNs the first, which breaks the line. At most 4 × COLUMNS + as many breaks.
 */
static size_t pick_points(const struct axes *axes, const struct plot_line *line, size_t *out_picks)
{
    size_t count = 0;

    for (size_t begin = 0, end; begin < line->count; begin = end) {
        size_t low = begin, high = begin;
        for (end = begin; end < line->count && isnan(line->y[end]) == isnan(line->y[begin]) &&
                          column_of(axes, line->x[end]) == column_of(axes, line->x[begin]);
             end++) {
            low = line->y[end] < line->y[low] ? end : low;
            high = line->y[end] > line->y[high] ? end : high;
        }
        size_t picks[] = {begin, low < high ? low : high, low < high ? high : low, end - 1};
        for (size_t i = 0; i < 4; i++) {
            if (i == 0 || picks[i] != picks[i - 1]) {
                out_picks[count++] = picks[i];
            }
        }
    }
    return count;
}

static const char *const styles[] = {"line", "line thin", "line dashed", "line wide"};

/* Is there nothing before and behind it? A line of one point would not be seen. */
static bool is_alone(const struct plot_line *line, const size_t *picks, size_t count, size_t at)
{
    return !isnan(line->y[picks[at]]) && (at == 0 || isnan(line->y[picks[at - 1]])) &&
           (at + 1 == count || isnan(line->y[picks[at + 1]]));
}

static void draw_dot(FILE *file, unsigned colour, double x, double y)
{
    fprintf(file, "<path class=\"dot c%u\" d=\"M%.1f %.1fh.01\"/>", colour, WIDTH * x,
            HEIGHT - HEIGHT * y);
}

static void draw_line(FILE *file, const struct plot *plot, const struct axes *axes, size_t index,
                      const size_t *picks, size_t count)
{
    const struct plot_line *line = &plot->lines[index];
    bool is_on = false;

    fprintf(file, "<path class=\"%s c%u\" d=\"", styles[line->style], line->colour);
    for (size_t i = 0; i < count; i++) {
        double y = line->y[picks[i]];
        if (!isnan(y)) {
            fprintf(file, "%s%.1f %.1f", is_on ? "L" : "M", WIDTH * at_x(axes, line->x[picks[i]]),
                    HEIGHT - HEIGHT * at_y(axes, y));
        }
        is_on = !isnan(y);
    }
    fputs("\"/>", file);
    for (size_t i = 0; i < count; i++) {
        if (is_alone(line, picks, count, i)) {
            draw_dot(file, line->colour, at_x(axes, line->x[picks[i]]),
                     at_y(axes, line->y[picks[i]]));
        }
    }
}

static void draw_area(FILE *file, const struct plot *plot, const struct axes *axes, size_t index,
                      const size_t *picks, size_t count)
{
    const struct plot_line *line = &plot->lines[index];

    if (count == 0) {
        return;
    }
    fprintf(file, "<path class=\"area c%u\" d=\"", line->colour);
    for (size_t i = 0; i < count; i++) {
        fprintf(file, "%s%.1f %.1f", i == 0 ? "M" : "L", WIDTH * at_x(axes, line->x[picks[i]]),
                HEIGHT - HEIGHT * at_y(axes, height_at(plot, index, picks[i])));
    }
    for (size_t i = count; i-- > 0;) {
        double below = index > 0 ? height_at(plot, index - 1, picks[i]) : 0;
        fprintf(file, "L%.1f %.1f", WIDTH * at_x(axes, line->x[picks[i]]),
                HEIGHT - HEIGHT * at_y(axes, below));
    }
    fputs("Z\"/>", file);
}

/* What a line is, in each of few columns: lowest, highest and middle, as shares of the height. */
struct slice {
    double x, low, high, sum;
    size_t count;
};

static size_t slice_line(const struct axes *axes, const struct plot_line *line,
                         struct slice *out_slices)
{
    size_t used = 0;

    memset(out_slices, 0, SLICES * sizeof(*out_slices));
    for (size_t i = 0; i < line->count; i++) {
        size_t at = (size_t)(at_x(axes, line->x[i]) * SLICES);
        struct slice *slice = &out_slices[at < SLICES ? at : SLICES - 1];
        if (isnan(line->y[i])) {
            continue;
        }
        double y = at_y(axes, line->y[i]);
        slice->low = slice->count == 0 || y < slice->low ? y : slice->low;
        slice->high = slice->count == 0 || y > slice->high ? y : slice->high;
        slice->sum += y;
        slice->count++;
    }
    for (size_t i = 0; i < SLICES; i++) {
        out_slices[i].x = ((double)i + 0.5) / SLICES;
        used += out_slices[i].count > 0;
    }
    return used;
}

/* A band from lowest to highest, where there is anything. */
static void draw_band(FILE *file, const struct plot_line *line, const struct slice *slices)
{
    fprintf(file, "<path class=\"range c%u\" d=\"", line->colour);
    for (size_t begin = 0, end; begin < SLICES; begin = end + 1) {
        for (end = begin; end < SLICES && slices[end].count > 0; end++) {
            fprintf(file, "%s%.1f %.1f", end == begin ? "M" : "L", WIDTH * slices[end].x,
                    HEIGHT - HEIGHT * slices[end].high);
        }
        for (size_t i = end; i-- > begin;) {
            fprintf(file, "L%.1f %.1f", WIDTH * slices[i].x, HEIGHT - HEIGHT * slices[i].low);
        }
        fputs(end > begin ? "Z" : "", file);
    }
    fputs("\"/>", file);
}

static void draw_middle(FILE *file, const struct plot_line *line, const struct slice *slices)
{
    bool is_on = false;

    fprintf(file, "<path class=\"%s c%u\" d=\"", styles[line->style], line->colour);
    for (size_t i = 0; i < SLICES; i++) {
        if (slices[i].count > 0) {
            fprintf(file, "%s%.1f %.1f", is_on ? "L" : "M", WIDTH * slices[i].x,
                    HEIGHT - HEIGHT * slices[i].sum / (double)slices[i].count);
        }
        is_on = slices[i].count > 0;
    }
    fputs("\"/>", file);
    for (size_t i = 0; i < SLICES; i++) {
        if (slices[i].count > 0 && (i == 0 || slices[i - 1].count == 0) &&
            (i + 1 == SLICES || slices[i + 1].count == 0)) {
            draw_dot(file, line->colour, slices[i].x, slices[i].sum / (double)slices[i].count);
        }
    }
}

/* Too many points for lines: bands first, so that no line is hidden by one. */
static void draw_dense(FILE *file, const struct plot *plot, const struct axes *axes)
{
    struct slice slices[SLICES];

    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < plot->lines_count; i++) {
            if (slice_line(axes, &plot->lines[i], slices) == 0) {
                continue;
            }
            if (turn == 0) {
                draw_band(file, &plot->lines[i], slices);
            } else {
                draw_middle(file, &plot->lines[i], slices);
            }
        }
    }
}

static bool is_dense(const struct plot *plot)
{
    size_t most = 0;

    for (size_t i = 0; i < plot->lines_count; i++) {
        most = plot->lines[i].count > most ? plot->lines[i].count : most;
    }
    return !plot->is_percentile && !plot->is_stacked && most > DENSE;
}

static void draw_lines(FILE *file, struct plot *plot, const struct axes *axes)
{
    size_t most = 0, count = 0;

    if (is_dense(plot)) {
        draw_dense(file, plot, axes);
        return;
    }
    for (size_t i = 0; i < plot->lines_count; i++) {
        most = plot->lines[i].count > most ? plot->lines[i].count : most;
    }
    size_t *picks = calloc(4 * most + 1, sizeof(*picks));
    if (picks == NULL) {
        plot->is_broken = true;
        return;
    }
    for (size_t i = 0; i < plot->lines_count; i++) {
        if (!plot->is_stacked || i == 0) { /* a stack is thinned out alike, by its lowest part */
            count = pick_points(axes, &plot->lines[i], picks);
        }
        if (plot->is_stacked) {
            draw_area(file, plot, axes, i, picks, count);
        } else {
            draw_line(file, plot, axes, i, picks, count);
        }
    }
    free(picks);
}

/* ── hover text ── */

/* The figures of a line between two x: "9,998 to 10,004/s". */
static bool print_hit_line(FILE *file, const struct plot *plot, const struct plot_line *line,
                           size_t *at, double to)
{
    double low = NAN, high = NAN;
    bool is_last = plot->is_percentile;

    while (*at < line->count && line->x[*at] < to) {
        double y = line->y[*at];
        low = isnan(low) || y < low ? y : low;
        high = isnan(high) || y > high ? y : high;
        (*at)++;
    }
    if (is_last && isnan(high) && *at<line->count && * at> 0) {
        low = high = line->y[*at]; /* between two steps of a distribution */
    }
    if (isnan(high)) {
        return false;
    }
    fputs("\n", file);
    html_text(file, line->name);
    fputs(": ", file);
    if (low < high && !is_last) {
        html_text(file, plot_words(low, plot->scale).text);
        fputs(" to ", file);
    }
    html_text(file, plot_words(high, plot->scale).text);
    return true;
}

static const char *stage_at(const struct result *result, double second)
{
    double begin, end;

    for (size_t i = 0; result != NULL && i < result->stages_count; i++) {
        if (stage_span(result, i, &begin, &end) && second >= begin && second < end) {
            return result->stages[i].name;
        }
    }
    return NULL;
}

static void print_hit_head(FILE *file, const struct plot *plot, double from, double to)
{
    char begin[32], end[32];

    if (plot->is_percentile) {
        fprintf(file, "up to %.*f %%", to < 2 ? 1 : to < 3 ? 2 : 4, 100 - 100 / pow(10, to));
        return;
    }
    const char *stage = stage_at(plot->course, (from + to) / 2);
    clock_words(from, to - from < 0.99 ? 0.5 : 1, begin, sizeof(begin));
    clock_words(to, to - from < 0.99 ? 0.5 : 1, end, sizeof(end));
    fprintf(file, "%s – %s%s", begin, end, stage != NULL ? " · " : "");
    html_text(file, stage != NULL ? stage : "");
}

static size_t hits_of(const struct plot *plot)
{
    size_t most = 1;

    for (size_t i = 0; i < plot->lines_count; i++) {
        most = plot->lines[i].count > most ? plot->lines[i].count : most;
    }
    return plot->is_percentile || most > HITS_MAX ? HITS_MAX : most;
}

static void draw_hits(FILE *file, const struct plot *plot, const struct axes *axes)
{
    size_t at[PLOT_LINES_MAX] = {0}, hits = hits_of(plot);

    fputs("<g class=\"hits\">", file);
    for (size_t i = 0; i < hits; i++) {
        double from = axes->x_max * (double)i / (double)hits;
        double to = axes->x_max * (double)(i + 1) / (double)hits;
        fprintf(file, "<rect x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"%.0f\"><title>",
                WIDTH * (double)i / (double)hits, WIDTH / (double)hits, HEIGHT);
        print_hit_head(file, plot, from, to);
        for (size_t j = 0; j < plot->lines_count; j++) {
            print_hit_line(file, plot, &plot->lines[j], &at[j], i + 1 == hits ? INFINITY : to);
        }
        fputs("</title></rect>", file);
    }
    fputs("</g>", file);
}

/* ── all of it ── */

static void draw_legend(FILE *file, const struct plot *plot)
{
    static const char *const kinds[] = {"", " thin", " dashed", " wide"};

    fputs("<ul class=\"legend\">", file);
    for (size_t i = 0; i < plot->lines_count; i++) {
        fprintf(file, "<li class=\"c%u%s%s\">", plot->lines[i].colour, kinds[plot->lines[i].style],
                plot->is_stacked ? " fill" : "");
        html_text(file, plot->lines[i].name);
        fputs("</li>", file);
    }
    fputs("</ul>", file);
}

static void draw_labels(FILE *file, const char *kind, const char *side, const struct tick *ticks,
                        size_t count)
{
    fprintf(file, "<div class=\"%s\">", kind);
    for (size_t i = 0; i < count; i++) {
        fprintf(file, "<span%s style=\"%s:%.2f%%\">%s</span>",
                ticks[i].at > 0.97 ? " class=\"end\"" : "", side, 100 * ticks[i].at, ticks[i].text);
    }
    fputs("</div>", file);
}

void plot_draw(FILE *file, struct plot *plot)
{
    struct tick x[TICKS_MAX], y[TICKS_MAX];

    plot_stretch(plot);
    struct axes axes = make_axes(plot);
    size_t x_count = x_ticks(plot, &axes, x), y_count = y_ticks(plot, &axes, y);
    fputs("<figure class=\"plot\"><figcaption><h3>", file);
    html_text(file, plot->title);
    fputs("</h3>", file);
    if (plot->words != NULL) {
        fputs("<p>", file);
        html_text(file, plot->words);
        fputs("</p>", file);
    }
    draw_legend(file, plot);
    fputs("</figcaption><div class=\"frame\">", file);
    draw_labels(file, "y", "bottom", y, y_count);
    fputs("<div class=\"drawing\">", file);
    fprintf(file,
            "<svg viewBox=\"0 0 %.0f %.0f\" preserveAspectRatio=\"none\" role=\"img\" "
            "aria-label=\"",
            WIDTH, HEIGHT);
    html_text(file, plot->title);
    fputs("\">", file);
    if (plot->course != NULL) {
        draw_course(file, plot->course, &axes);
    }
    if (plot->is_stacked) { /* areas would hide it */
        draw_lines(file, plot, &axes);
        draw_grid(file, true, x, x_count, y, y_count);
    } else {
        draw_grid(file, false, x, x_count, y, y_count);
        draw_lines(file, plot, &axes);
    }
    if (plot->course != NULL) {
        draw_rows(file, plot->course, &axes);
    }
    draw_hits(file, plot, &axes);
    fputs("</svg>", file);
    if (plot->course != NULL) {
        draw_stage_names(file, plot->course, &axes);
    }
    fputs("</div>", file);
    draw_labels(file, "x", "left", x, x_count);
    fputs("</div></figure>\n", file);
}
