/*
 * result_svg_parts.h — what the files that draw plots share
 */
#ifndef FMX_TOOLS_RESULT_SVG_PARTS_H
#define FMX_TOOLS_RESULT_SVG_PARTS_H

#include "tools/fleetmux/result_svg.h"

#define PLOT_WIDTH  1000.0
#define PLOT_HEIGHT 300.0

/* ── result_svg.c ── */

struct plot_axes {
    double x_max, y_min, y_max, step;
    bool is_log;
};

/* Where a point is, as a share of the width, and of the height from the bottom. */
double plot_at_x(const struct plot_axes *axes, double x);
double plot_at_y(const struct plot_axes *axes, double y);

/* Of a stack: from the bottom up to this line. */
double plot_height_at(const struct plot *plot, size_t line, size_t point);

/* ── result_svg_lines.c ── */

/* Where memory runs out, plot->is_broken. */
void plot_draw_lines(FILE *file, struct plot *plot, const struct plot_axes *axes);

/* ── result_svg_words.c ── */

/* "20 k", "5 ms": a label of an axis has little room. */
void plot_short_count(double value, char *out_text, size_t text_bytes);
void plot_short_time(double value_ns, char *out_text, size_t text_bytes);

/* Seconds since start; `step` says how fine it must be. */
void plot_clock_words(double seconds, double step, char *out_text, size_t text_bytes);

#endif
