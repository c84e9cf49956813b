/*
 * fleet_screen.h — what the files of the screen share: a canvas, its parts, the log behind it
 */
#ifndef FMX_TOOLS_FLEET_SCREEN_H
#define FMX_TOOLS_FLEET_SCREEN_H

#include "tools/fleetmux/result.h"

#include <stdbool.h>
#include <stddef.h>

#define SCREEN_LINES_LEAST   24
#define SCREEN_COLUMNS_LEAST 80
#define SCREEN_NOTE_BYTES    256

/* ── fleet_screen_canvas.c: text, rules, bars and sparklines; nothing of it ever wraps ── */

enum look {
    LOOK_PLAIN = 0,
    LOOK_DIM,
    LOOK_BOLD,
    LOOK_TITLE, /* of a part of the screen */
    LOOK_GOOD,
    LOOK_BUSY,
    LOOK_WARN,
    LOOK_BAD,
    LOOK_BADGE_GOOD, /* badges are reversed */
    LOOK_BADGE_WARN,
    LOOK_BADGE_BAD,
    LOOKS_COUNT
};

/* As UTF-8, or what ASCII has for it. */
enum glyph {
    GLYPH_RULE,
    GLYPH_WALL,
    GLYPH_MORE,  /* text goes on */
    GLYPH_TIMES, /* 6 × */
    GLYPH_MINUS,
    GLYPH_ARROW,
    GLYPH_DOT, /* between two figures */
    GLYPH_UP,
    GLYPH_DOWN,
    GLYPH_OPEN, /* the states of clients, in the bar and before their names */
    GLYPH_CONNECTING,
    GLYPH_WAITING,
    GLYPH_STOPPED,
    GLYPH_LOST,
    GLYPH_FAILED,
    GLYPHS_COUNT
};

/* After the terminal is ours. */
void canvas_begin(bool wants_colour);

int canvas_lines(void);
int canvas_columns(void);
const char *canvas_glyph(enum glyph glyph);

/*
 * Writes text from a column on, in at most so many columns: what has no room ends at the end of a
 * word. Bytes that are no text of this terminal become '?'. Returns the column behind it.
 */
int canvas_put(int line, int column, int columns_max, enum look look, const char *text);
int canvas_print(int line, int column, enum look look, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same, ending before a column; returns where it begins. */
int canvas_put_right(int line, int column_end, enum look look, const char *text);

/* Text on as many lines as it takes, between a column and the right edge; returns the line behind
   it. Dry: draws nothing. */
int canvas_wrap(int line, int column, enum look look, const char *text, bool is_dry);

/* How many columns text takes. */
int canvas_width(const char *text);

/* A line across the screen that names what is below it. */
void canvas_rule(int line, const char *title);

struct bar_part {
    uint64_t count;
    enum glyph glyph;
    enum look look;
};

/* Parts side by side; each that is not 0 has a column at least. */
void canvas_bar(int line, int column, int columns, const struct bar_part *parts, size_t count);

/* A share from 0 to 1. */
void canvas_gauge(int line, int column, int columns, double share, enum look look);

/* A value below 0 is none. `top` stands as high as it goes: lines above `line` and it itself. */
struct spark {
    double value;
    enum look look;
};

void canvas_spark(int line, int column, int lines, const struct spark *values, int count,
                  double top);

/* Items one behind the other; one that has no room begins a new line. */
struct flow {
    int line, left, column;
    bool is_dry; /* only to know how many lines it takes */
};

void flow_begin(struct flow *flow, int line, int left, bool is_dry);
void flow_put(struct flow *flow, enum look look, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ── fleet_screen_parts.c: each draws from a line on and returns the line behind it ── */

int part_head(const struct result *result);
int part_clients(const struct result *result, int line, int causes_shown, bool is_dry);
int part_groups(const struct result *result, int line, size_t groups_shown);
int part_steps(const struct result *result, int line, size_t steps_shown);
int part_thresholds(const struct result *result, int line, bool is_dry);
int part_health(const struct result *result, int line, bool is_dry);

/* fleet_screen_figures.c: the same of rates and latencies. */
int part_rates_count(const struct result *result);
int part_rates(const struct result *result, int line, int rates_shown, int chart_lines);
int part_latencies(const struct result *result, int line, size_t rows_shown);
bool screen_is_wide(void); /* there is room for more than the least */

/* How many lines one cause takes, with its hint. */
int part_cause_lines(const struct result *result, const struct result_cause *cause);
int part_cause(const struct result *result, const struct result_cause *cause, int line);

/* The same on as many lines as it takes to say all of it. */
int part_cause_whole(const struct result *result, const struct result_cause *cause, int line,
                     bool is_dry);

/* ── fleet_screen_pages.c: whole screens, between the head and the last line ── */

/* All that goes on, laid out for the lines there are down to `bottom`, which is not drawn. */
void page_overview(const struct result *result, int bottom);

/* `top` is the first cause shown; it is brought into its range. */
void page_causes(const struct result *result, int bottom, size_t *top);
void page_keys(int bottom);

/* What there is to say where the terminal is too small for anything else. */
void page_small(const struct result *result);

/* ── fleet_screen_log.c: what would tear the screen ── */

/* From now on standard error is kept, if it is a terminal. */
void screen_log_begin(void);

/* Standard error is what it was, and all that was kept is written to it. */
void screen_log_end(void);

/* The same where only async-signal-safe calls may be made. */
void screen_log_rescue(void);

/* A line from any thread. False: no screen is shown. */
bool screen_log_take(const char *line);

/* The last line, if it is a new one or came a short while ago. */
bool screen_log_last(char *out_line, size_t line_bytes);

#endif
