/*
 * fleet_screen_canvas — text, rules, bars and sparklines on a terminal
 *
 * Why it is so:   ncurses wraps what is too long and writes whatever bytes it is given, and names
 *                 of groups, reasons of servers and log lines are anybody's. So all text goes
 *                 through one place, where it is made of printable characters and ends with a whole
 *                 word. What a colour says is said by a character or a word too, for terminals
 *                 without colours and people who do not see them
 * Words:          look: what a text means, not which colour it has
 * Invariants:     nothing is written outside the screen, and nothing in two columns that has one
 * Memory:         one static table
 * Threads:        the main one
 * Limits:         WIDTH_MAX columns of one text
 */
#include "tools/fleetmux/fleet_screen.h"

#include <langinfo.h>
#include <limits.h>
#include <ncurses.h>
#include <stdarg.h>
#include <string.h>
#include <wchar.h>

#define WIDTH_MAX  512
#define TEXT_BYTES 1024

static struct {
    attr_t looks[LOOKS_COUNT];
    bool is_utf8;
} canvas;

static const struct {
    const char *utf8, *ascii;
} glyphs[GLYPHS_COUNT] = {
    [GLYPH_RULE] = {"─", "-"},    [GLYPH_WALL] = {"│", "|"},       [GLYPH_MORE] = {"…", "..."},
    [GLYPH_TIMES] = {"×", "x"},   [GLYPH_MINUS] = {"−", "-"},      [GLYPH_ARROW] = {"→", "->"},
    [GLYPH_DOT] = {"·", ","},     [GLYPH_UP] = {"↑", "up"},        [GLYPH_DOWN] = {"↓", "down"},
    [GLYPH_OPEN] = {"█", "#"},    [GLYPH_CONNECTING] = {"▓", "+"}, [GLYPH_WAITING] = {"░", "."},
    [GLYPH_STOPPED] = {"▁", "_"}, [GLYPH_LOST] = {"▒", "x"},       [GLYPH_FAILED] = {"╳", "!"},
};

/* From nothing to as high as it goes. */
static const char *const blocks_utf8[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const blocks_ascii[] = {" ", ".", ".", ":", ":", "|", "|", "#", "#"};

#define EIGHTHS 8

static void set_looks(void)
{
    attr_t *looks = canvas.looks;

    looks[LOOK_DIM] = A_DIM;
    looks[LOOK_BOLD] = A_BOLD;
    looks[LOOK_TITLE] = A_BOLD;
    looks[LOOK_WARN] = A_BOLD;
    looks[LOOK_BAD] = A_BOLD;
    looks[LOOK_BADGE_GOOD] = A_REVERSE;
    looks[LOOK_BADGE_WARN] = A_REVERSE | A_BOLD;
    looks[LOOK_BADGE_BAD] = A_REVERSE | A_BOLD;
}

static void set_colours(void)
{
    static const struct {
        enum look look;
        short colour;
    } colours[] = {
        {LOOK_TITLE, COLOR_CYAN},        {LOOK_GOOD, COLOR_GREEN},
        {LOOK_BUSY, COLOR_CYAN},         {LOOK_WARN, COLOR_YELLOW},
        {LOOK_BAD, COLOR_RED},           {LOOK_BADGE_GOOD, COLOR_GREEN},
        {LOOK_BADGE_WARN, COLOR_YELLOW}, {LOOK_BADGE_BAD, COLOR_RED},
    };

    if (!has_colors() || start_color() == ERR || use_default_colors() == ERR) {
        return;
    }
    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++) {
        short pair = (short)(i + 1);
        if (init_pair(pair, colours[i].colour, -1) != ERR) {
            canvas.looks[colours[i].look] |= COLOR_PAIR(pair);
        }
    }
}

void canvas_begin(bool wants_colour)
{
    memset(&canvas, 0, sizeof(canvas));
    canvas.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    set_looks();
    if (wants_colour) {
        set_colours();
    }
}

int canvas_lines(void)
{
    return LINES;
}

int canvas_columns(void)
{
    return COLS;
}

const char *canvas_glyph(enum glyph glyph)
{
    return canvas.is_utf8 ? glyphs[glyph].utf8 : glyphs[glyph].ascii;
}

/* ── text ── */

/* One character of the text; how many bytes it took. */
static size_t read_char(const char *text, wchar_t *out_char)
{
    mbstate_t state = {0};
    wchar_t read = L'?';
    size_t taken = 1;

    if (canvas.is_utf8) {
        size_t bytes = mbrtowc(&read, text, strlen(text), &state);
        taken = bytes == 0 || bytes > MB_LEN_MAX ? 1 : bytes;
        read = bytes == 0 || bytes > MB_LEN_MAX || wcwidth(read) < 0 ? L'?' : read;
    } else if ((unsigned char)text[0] < 0x80) {
        read = text[0] >= ' ' && text[0] != 0x7F ? (wchar_t)text[0] : L'?';
    } else {
        while (((unsigned char)text[taken] & 0xC0) == 0x80) {
            taken++;
        }
    }
    *out_char = read;
    return taken;
}

struct cells {
    wchar_t chars[WIDTH_MAX];
    int count;
    int columns;
};

/* What has room; false: not all of it had. */
static bool read_cells(const char *text, int columns_max, struct cells *out_cells)
{
    out_cells->count = out_cells->columns = 0;
    while (*text != '\0') {
        wchar_t read;
        text += read_char(text, &read);
        int columns = wcwidth(read) < 0 ? 1 : wcwidth(read);
        if (out_cells->columns + columns > columns_max || out_cells->count == WIDTH_MAX) {
            return false;
        }
        out_cells->chars[out_cells->count++] = read;
        out_cells->columns += columns;
    }
    return true;
}

static void drop_last(struct cells *cells)
{
    int columns = wcwidth(cells->chars[--cells->count]);

    cells->columns -= columns < 0 ? 1 : columns;
}

/* Goes back to the end of a word with room for the mark; of a word that is longer than the room,
   what there is. */
static void cut(struct cells *cells, int columns_max, int mark_columns)
{
    while (cells->count > 0 && cells->columns > columns_max - mark_columns) {
        drop_last(cells);
    }
    int kept = cells->count;
    while (kept > 0 && cells->chars[kept - 1] != L' ') {
        kept--;
    }
    while (kept > 0 && cells->chars[kept - 1] == L' ') {
        kept--;
    }
    while (kept > 0 && cells->count > kept) {
        drop_last(cells);
    }
}

int canvas_width(const char *text)
{
    struct cells cells;

    read_cells(text, WIDTH_MAX, &cells);
    return cells.columns;
}

int canvas_put(int line, int column, int columns_max, enum look look, const char *text)
{
    int mark = canvas.is_utf8 ? 1 : 3;
    struct cells cells;

    if (columns_max > COLS - column) {
        columns_max = COLS - column;
    }
    if (line < 0 || line >= LINES || column < 0 || columns_max <= 0) {
        return column;
    }
    bool is_whole = read_cells(text, columns_max, &cells);
    if (!is_whole) {
        cut(&cells, columns_max, mark);
    }
    attrset((int)canvas.looks[look]);
    mvaddnwstr(line, column, cells.chars, cells.count);
    if (!is_whole && cells.columns + mark <= columns_max) {
        addstr(canvas_glyph(GLYPH_MORE));
        cells.columns += mark;
    }
    attrset(A_NORMAL);
    return column + cells.columns;
}

int canvas_print(int line, int column, enum look look, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return canvas_put(line, column, COLS, look, text);
}

int canvas_put_right(int line, int column_end, enum look look, const char *text)
{
    int column = column_end - canvas_width(text);

    canvas_put(line, column, column_end - column, look, text);
    return column;
}

/* As many bytes of it as end a word within so many columns; all of the first word at least. */
static size_t fit_words(const char *text, int columns_max)
{
    size_t fitting = 0, at = 0;

    while (text[at] != '\0') {
        size_t end = at + strspn(text + at, " ");
        end += strcspn(text + end, " ");
        char part[TEXT_BYTES];
        snprintf(part, sizeof(part), "%.*s", (int)end, text);
        if (fitting > 0 && canvas_width(part) > columns_max) {
            break;
        }
        fitting = at = end;
    }
    return fitting;
}

int canvas_wrap(int line, int column, enum look look, const char *text, bool is_dry)
{
    int columns = COLS - column - 1;

    do {
        char part[TEXT_BYTES];
        size_t bytes = fit_words(text, columns);
        snprintf(part, sizeof(part), "%.*s", (int)bytes, text);
        if (!is_dry) {
            canvas_put(line, column, columns, look, part);
        }
        line++;
        text += bytes;
        text += strspn(text, " ");
    } while (*text != '\0');
    return line;
}

/* ── drawing ── */

void canvas_rule(int line, const char *title)
{
    for (int column = 0; column < COLS; column++) {
        canvas_put(line, column, 1, LOOK_DIM, canvas_glyph(GLYPH_RULE));
    }
    canvas_print(line, 1, LOOK_TITLE, " %s ", title);
}

static int put_times(int line, int column, int times, enum look look, enum glyph glyph)
{
    for (int i = 0; i < times; i++) {
        canvas_put(line, column + i, 1, look, canvas_glyph(glyph));
    }
    return column + times;
}

void canvas_bar(int line, int column, int columns, const struct bar_part *parts, size_t count)
{
    uint64_t total = 0;
    size_t largest = 0;
    int taken = 0;

    for (size_t i = 0; i < count; i++) {
        total += parts[i].count;
        largest = parts[i].count > parts[largest].count ? i : largest;
    }
    for (size_t i = 0; i < count && total > 0; i++) {
        int share = (int)((double)parts[i].count / (double)total * columns);
        taken += i == largest ? 0 : parts[i].count > 0 && share == 0 ? 1 : share;
    }
    for (size_t i = 0; i < count && total > 0; i++) {
        int share = (int)((double)parts[i].count / (double)total * columns);
        share = i == largest ? columns - taken : parts[i].count > 0 && share == 0 ? 1 : share;
        column = put_times(line, column, share, parts[i].look, parts[i].glyph);
    }
}

void canvas_gauge(int line, int column, int columns, double share, enum look look)
{
    int full = (int)((share < 0 ? 0 : share > 1 ? 1 : share) * columns);

    column = put_times(line, column, full, look, GLYPH_OPEN);
    put_times(line, column, columns - full, LOOK_DIM, GLYPH_WAITING);
}

/* Eighths of one line, of all the eighths that a value has. */
static int eighths_in(int eighths, int line_from_below)
{
    int left = eighths - line_from_below * EIGHTHS;

    return left < 0 ? 0 : left > EIGHTHS ? EIGHTHS : left;
}

void canvas_spark(int line, int column, int lines, const struct spark *values, int count,
                  double top)
{
    const char *const *blocks = canvas.is_utf8 ? blocks_utf8 : blocks_ascii;

    for (int i = 0; i < count; i++) {
        double share = values[i].value > 0 && top > 0 ? values[i].value / top : 0;
        /* one eighth stays free, so that charts below one another do not grow together */
        int eighths = (int)((share > 1 ? 1 : share) * (lines * EIGHTHS - 1) + 0.5);
        if (values[i].value > 0 && eighths == 0) {
            eighths = 1;
        }
        for (int above = 0; above < lines; above++) {
            int filled = eighths_in(eighths, above);
            if (filled > 0) {
                canvas_put(line - above, column + i, 1, values[i].look, blocks[filled]);
            }
        }
    }
}

/* ── items ── */

void flow_begin(struct flow *flow, int line, int left, bool is_dry)
{
    *flow = (struct flow){.line = line, .left = left, .column = left, .is_dry = is_dry};
}

void flow_put(struct flow *flow, enum look look, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    int width = canvas_width(text);
    if (flow->column > flow->left && flow->column + width > COLS - 1) {
        flow->line++;
        flow->column = flow->left;
    }
    if (!flow->is_dry) {
        canvas_put(flow->line, flow->column, COLS, look, text);
    }
    flow->column += width + 2;
}
