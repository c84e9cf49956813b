/*
 * result_svg_lines — the lines of a plot, thinned out to what can be seen
 *
 * Why it is so:   what falls on one column is thinned out to its lowest and its highest point, or,
 *                 where lines would be nothing but noise, to a band between these and a line in the
 *                 middle: an hour is as quick to show as a minute, and shows each peak
 * Words:          column: one of 600 slices of the width
 * Memory:         what it takes for picking points it gives back
 * Threads:        one
 * Not here:       what is around the lines: result_svg.c
 */
#include "tools/fleetmux/result_svg_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 600u
#define SLICES  180u /* of a plot that is dense: */
#define DENSE   400u /* one with more points */

/* ── lines, thinned out ── */

static size_t column_of(const struct plot_axes *axes, double x)
{
    size_t column = (size_t)(plot_at_x(axes, x) * COLUMNS);

    return column < COLUMNS ? column : COLUMNS - 1;
}

/*
 * Which points of a line are drawn: of each column the first, the lowest, the highest and the last.
 * Of NaNs the first, which breaks the line. At most 4 × COLUMNS + as many breaks.
 */
static size_t pick_points(const struct plot_axes *axes, const struct plot_line *line,
                          size_t *out_picks)
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
    fprintf(file, "<path class=\"dot c%u\" d=\"M%.1f %.1fh.01\"/>", colour, PLOT_WIDTH * x,
            PLOT_HEIGHT - PLOT_HEIGHT * y);
}

static void draw_line(FILE *file, const struct plot *plot, const struct plot_axes *axes,
                      size_t index, const size_t *picks, size_t count)
{
    const struct plot_line *line = &plot->lines[index];
    bool is_on = false;

    fprintf(file, "<path class=\"%s c%u\" d=\"", styles[line->style], line->colour);
    for (size_t i = 0; i < count; i++) {
        double y = line->y[picks[i]];
        if (!isnan(y)) {
            fprintf(file, "%s%.1f %.1f", is_on ? "L" : "M",
                    PLOT_WIDTH * plot_at_x(axes, line->x[picks[i]]),
                    PLOT_HEIGHT - PLOT_HEIGHT * plot_at_y(axes, y));
        }
        is_on = !isnan(y);
    }
    fputs("\"/>", file);
    for (size_t i = 0; i < count; i++) {
        if (is_alone(line, picks, count, i)) {
            draw_dot(file, line->colour, plot_at_x(axes, line->x[picks[i]]),
                     plot_at_y(axes, line->y[picks[i]]));
        }
    }
}

static void draw_area(FILE *file, const struct plot *plot, const struct plot_axes *axes,
                      size_t index, const size_t *picks, size_t count)
{
    const struct plot_line *line = &plot->lines[index];

    if (count == 0) {
        return;
    }
    fprintf(file, "<path class=\"area c%u\" d=\"", line->colour);
    for (size_t i = 0; i < count; i++) {
        fprintf(file, "%s%.1f %.1f", i == 0 ? "M" : "L",
                PLOT_WIDTH * plot_at_x(axes, line->x[picks[i]]),
                PLOT_HEIGHT - PLOT_HEIGHT * plot_at_y(axes, plot_height_at(plot, index, picks[i])));
    }
    for (size_t i = count; i-- > 0;) {
        double below = index > 0 ? plot_height_at(plot, index - 1, picks[i]) : 0;
        fprintf(file, "L%.1f %.1f", PLOT_WIDTH * plot_at_x(axes, line->x[picks[i]]),
                PLOT_HEIGHT - PLOT_HEIGHT * plot_at_y(axes, below));
    }
    fputs("Z\"/>", file);
}

/* What a line is, in each of few columns: lowest, highest and middle, as shares of the height. */
struct slice {
    double x, low, high, sum;
    size_t count;
};

static size_t slice_line(const struct plot_axes *axes, const struct plot_line *line,
                         struct slice *out_slices)
{
    size_t used = 0;

    memset(out_slices, 0, SLICES * sizeof(*out_slices));
    for (size_t i = 0; i < line->count; i++) {
        size_t at = (size_t)(plot_at_x(axes, line->x[i]) * SLICES);
        struct slice *slice = &out_slices[at < SLICES ? at : SLICES - 1];
        if (isnan(line->y[i])) {
            continue;
        }
        double y = plot_at_y(axes, line->y[i]);
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
            fprintf(file, "%s%.1f %.1f", end == begin ? "M" : "L", PLOT_WIDTH * slices[end].x,
                    PLOT_HEIGHT - PLOT_HEIGHT * slices[end].high);
        }
        for (size_t i = end; i-- > begin;) {
            fprintf(file, "L%.1f %.1f", PLOT_WIDTH * slices[i].x,
                    PLOT_HEIGHT - PLOT_HEIGHT * slices[i].low);
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
            fprintf(file, "%s%.1f %.1f", is_on ? "L" : "M", PLOT_WIDTH * slices[i].x,
                    PLOT_HEIGHT - PLOT_HEIGHT * slices[i].sum / (double)slices[i].count);
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
static void draw_dense(FILE *file, const struct plot *plot, const struct plot_axes *axes)
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

void plot_draw_lines(FILE *file, struct plot *plot, const struct plot_axes *axes)
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
