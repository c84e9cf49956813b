/*
 * result_svg.h — plots of a page: lines and areas over time or over percentiles
 */
#ifndef FMX_TOOLS_RESULT_SVG_H
#define FMX_TOOLS_RESULT_SVG_H

#include "tools/fleetmux/result.h"

#include <stdio.h>

#define PLOT_LINES_MAX 20

enum plot_scale {
    PLOT_COUNT,   /* from 0 on, evenly */
    PLOT_RATE,    /* the same, a second */
    PLOT_SHARE,   /* the same, in per cent of 1 */
    PLOT_LATENCY, /* ns, by powers of ten */
};

enum plot_style {
    PLOT_LINE,
    PLOT_THIN,   /* what is beside the point, but should be seen */
    PLOT_DASHED, /* what was planned, or is only for comparison */
    PLOT_WIDE,   /* what others will lie on */
};

struct plot_line {
    char name[64];
    unsigned colour; /* 1 … 8 of the page's palette */
    enum plot_style style;
    double *x, *y; /* x rises; y is NaN where there is nothing */
    size_t count;
};

/* Begin with zeroes but for what is known; lines are added, drawn and closed. */
struct plot {
    const char *title;
    const char *words;  /* beside the title; NULL */
    bool is_percentile; /* x is log10(1/(1 − p)), else seconds since start */
    double x_max;
    enum plot_scale scale;
    double y_min, y_max;         /* at least so far; 0: as the lines need it */
    bool is_stacked;             /* lines are areas on top of one another, and share x */
    const struct result *course; /* whose stages, pauses and limits are in the background; NULL */
    struct plot_line lines[PLOT_LINES_MAX];
    size_t lines_count;
    bool is_broken; /* memory ran out */
};

/* Room for `count` points, to be filled in by the caller. NULL: no memory, or too many lines. */
struct plot_line *plot_add(struct plot *plot, const char *name, unsigned colour,
                           enum plot_style style, size_t count);

/* Has any line anything above 0? */
bool plot_has_any(const struct plot *plot);

/* Makes y_min and y_max wide enough for its lines. */
void plot_stretch(struct plot *plot);

void plot_draw(FILE *file, struct plot *plot);
void plot_close(struct plot *plot);

/* Text in HTML, with what has a meaning there escaped. */
void html_text(FILE *file, const char *text);

/* The same of our own words, which terminals show too: "12 us" becomes "12 µs". */
void html_words(FILE *file, const char *text);

/* A figure as words: "1.2 ms", "12,345/s", "12 %"; NaN is a dash. */
struct plot_words {
    char text[40];
} plot_words(double value, enum plot_scale scale);

#endif
