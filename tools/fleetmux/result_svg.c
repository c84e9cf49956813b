/*
 * result_svg — draws plots as SVG with labels in HTML around it
 *
 * Why it is so:   the drawing is stretched to whatever width there is, from a phone's to paper's,
 *                 while strokes and text keep their size: labels stand beside it, placed in per
 *                 cent. Hover text is in title elements, so it is there without any script
 * Words:          hit: an invisible bar that has the figures of its slice as hover text
 * Memory:         points are on the heap until plot_close
 * Threads:        one
 * Not here:       what is drawn: result_html_plots.c; its lines: result_svg_lines.c; figures as
 *                 words: result_svg_words.c; colours: result_html_style.c
 */
#include "tools/fleetmux/result_svg_parts.h"

#include <math.h>
#include <stdlib.h>

#define HITS_MAX 150u
#define STRIP    7.0 /* the height of the strip that shows limits */

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

double plot_height_at(const struct plot *plot, size_t line, size_t point)
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
            double y = plot_height_at(plot, i, j);
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

static struct plot_axes make_axes(const struct plot *plot)
{
    struct plot_axes axes = {
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

double plot_at_x(const struct plot_axes *axes, double x)
{
    double share = x / axes->x_max;

    return share < 0 ? 0 : share > 1 ? 1 : share;
}

double plot_at_y(const struct plot_axes *axes, double y)
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

static size_t y_ticks(const struct plot *plot, const struct plot_axes *axes, struct tick *out_ticks)
{
    size_t count = 0;

    if (axes->is_log) {
        bool is_fine = axes->y_max - axes->y_min < 1.5;
        for (double power = axes->y_min; power <= axes->y_max + 1e-9; power += 1) {
            for (int digit = 1; digit <= (is_fine ? 5 : 1); digit += digit == 1 ? 1 : 3) {
                double value = digit * pow(10, power);
                if (count < TICKS_MAX && log10(value) <= axes->y_max + 1e-9) {
                    out_ticks[count].at = plot_at_y(axes, value);
                    plot_short_time(value, out_ticks[count].text, sizeof(out_ticks[count].text));
                    count++;
                }
            }
        }
        return count;
    }
    for (double value = 0; value <= axes->y_max * 1.0001 && count < TICKS_MAX;
         value += axes->step) {
        struct tick *tick = &out_ticks[count++];
        tick->at = plot_at_y(axes, value);
        if (plot->scale == PLOT_SHARE) {
            snprintf(tick->text, sizeof(tick->text), "%.4g %%", 100 * value);
        } else {
            plot_short_count(value, tick->text, sizeof(tick->text));
        }
    }
    return count;
}

static size_t x_ticks(const struct plot *plot, const struct plot_axes *axes, struct tick *out_ticks)
{
    static const char *const names[] = {"0",          "50 %",       "90 %",     "99 %",
                                        "99.9 %",     "99.99 %",    "99.999 %", "99.9999 %",
                                        "99.99999 %", "99.999999 %"};
    size_t count = 0;

    if (plot->is_percentile) {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            double x = i == 0 ? 0 : i == 1 ? log10(2) : (double)i - 1;
            if (x <= axes->x_max) {
                out_ticks[count].at = plot_at_x(axes, x);
                snprintf(out_ticks[count].text, sizeof(out_ticks[count].text), "%s", names[i]);
                count++;
            }
        }
        return count;
    }
    double step = nice_seconds(axes->x_max / 9);
    for (double x = 0; x <= axes->x_max * 1.0001 && count < TICKS_MAX; x += step) {
        out_ticks[count].at = plot_at_x(axes, x);
        plot_clock_words(x, step, out_ticks[count].text, sizeof(out_ticks[count].text));
        count++;
    }
    return count;
}

static void draw_grid(FILE *file, bool is_over, const struct tick *x, size_t x_count,
                      const struct tick *y, size_t y_count)
{
    fprintf(file, "<path class=\"grid%s\" d=\"", is_over ? " over" : "");
    for (size_t i = 0; i < y_count; i++) {
        fprintf(file, "M0 %.1fH%.0f", PLOT_HEIGHT - PLOT_HEIGHT * y[i].at, PLOT_WIDTH);
    }
    for (size_t i = 0; i < x_count; i++) {
        fprintf(file, "M%.1f 0V%.0f", PLOT_WIDTH * x[i].at, PLOT_HEIGHT);
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
            PLOT_WIDTH * from, top, PLOT_WIDTH * (to - from), height);
}

/* Runs of rows that are alike become one bar. */
static void draw_rows(FILE *file, const struct result *result, const struct plot_axes *axes)
{
    static const char *const limits[] = {"", "limit server", "limit generator", "limit network"};
    size_t begin = 0;

    for (size_t i = 1; i <= result->rows_count; i++) {
        const struct result_row *row = &result->rows[begin];
        if (i < result->rows_count && result->rows[i].limit == row->limit &&
            result->rows[i].is_paused == row->is_paused) {
            continue;
        }
        double from = plot_at_x(axes, seconds_of(row->begin_ns));
        double to = plot_at_x(axes, seconds_of(result->rows[i - 1].end_ns));
        if (row->is_paused) {
            draw_bar(file, "pause", from, to, 0, PLOT_HEIGHT);
        }
        if (row->limit != RESULT_OK) {
            draw_bar(file, limits[row->limit], from, to, PLOT_HEIGHT - STRIP, STRIP);
        }
        begin = i;
    }
}

static void draw_course(FILE *file, const struct result *result, const struct plot_axes *axes)
{
    double begin, end;

    for (size_t i = 0; i < result->stages_count; i++) {
        if (i % 2 == 1 && stage_span(result, i, &begin, &end)) {
            draw_bar(file, "band", plot_at_x(axes, begin), plot_at_x(axes, end), 0, PLOT_HEIGHT);
        }
    }
}

static void draw_stage_names(FILE *file, const struct result *result, const struct plot_axes *axes)
{
    double begin, end;

    fputs("<div class=\"stages\">", file);
    for (size_t i = 0; i < result->stages_count; i++) {
        if (!stage_span(result, i, &begin, &end)) {
            continue;
        }
        double from = plot_at_x(axes, begin), share = plot_at_x(axes, end) - from;
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

/* ── hover text ── */

/* The figures of a line between two x: "9,998 to 10,004/s". */
static void print_hit_line(FILE *file, const struct plot *plot, const struct plot_line *line,
                           size_t *at, double to)
{
    double low = NAN, high = NAN;

    while (*at < line->count && line->x[*at] < to) {
        double y = line->y[*at];
        low = isnan(low) || y < low ? y : low;
        high = isnan(high) || y > high ? y : high;
        (*at)++;
    }
    bool is_between = *at > 0 && *at < line->count;
    if (plot->is_percentile && isnan(high) && is_between) {
        low = high = line->y[*at]; /* between two steps of a distribution */
    }
    if (isnan(high)) {
        return;
    }
    fputs("\n", file);
    html_text(file, line->name);
    fputs(": ", file);
    if (low < high && !plot->is_percentile) {
        html_text(file, plot_words(low, plot->scale).text);
        fputs(" to ", file);
    }
    html_text(file, plot_words(high, plot->scale).text);
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
    plot_clock_words(from, to - from < 0.99 ? 0.5 : 1, begin, sizeof(begin));
    plot_clock_words(to, to - from < 0.99 ? 0.5 : 1, end, sizeof(end));
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

static void draw_hits(FILE *file, const struct plot *plot, const struct plot_axes *axes)
{
    size_t at[PLOT_LINES_MAX] = {0}, hits = hits_of(plot);

    fputs("<g class=\"hits\">", file);
    for (size_t i = 0; i < hits; i++) {
        double from = axes->x_max * (double)i / (double)hits;
        double to = axes->x_max * (double)(i + 1) / (double)hits;
        fprintf(file, "<rect x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"%.0f\"><title>",
                PLOT_WIDTH * (double)i / (double)hits, PLOT_WIDTH / (double)hits, PLOT_HEIGHT);
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
    struct plot_axes axes = make_axes(plot);
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
            PLOT_WIDTH, PLOT_HEIGHT);
    html_text(file, plot->title);
    fputs("\">", file);
    if (plot->course != NULL) {
        draw_course(file, plot->course, &axes);
    }
    if (plot->is_stacked) { /* areas would hide it */
        plot_draw_lines(file, plot, &axes);
        draw_grid(file, true, x, x_count, y, y_count);
    } else {
        draw_grid(file, false, x, x_count, y, y_count);
        plot_draw_lines(file, plot, &axes);
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
