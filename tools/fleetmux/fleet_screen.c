/*
 * fleet_screen — a run on a terminal: frames, keys, and the terminal given back
 *
 * Why it is so:   somebody watches a run for minutes, so the screen stands still and its figures
 *                 move. The main thread waits for signals, so keys are polled where it looks
 *                 anyhow, and so is the size: a signal would find any thread.
 *                 Whatever ends the process, the terminal must be what it was: a shell on a
 *                 terminal without echo is the worst of bugs. So what gives it back is worked out
 *                 beforehand, as bytes that a signal handler may write
 * Words:          page: what is shown between head and last line; wish: what a key asks for
 * States:         off → on (begin) → off (end, exit, a second Ctrl-C, a fatal signal)
 * Invariants:     (1) the terminal is given back once, by whoever comes first
 *                 (2) between two frames are 250 ms, but for what keys, sizes and a new state ask
 * Threads:        the main one; rescue in a signal handler
 * Limits:         80 × 24 shows everything; below, a few lines
 * Not here:       drawing: fleet_screen_pages.c, _parts.c, _canvas.c; log lines: fleet_screen_log.c
 */
#include "tools/fleetmux/fleet_screen.h"
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/signals.h"

#include <locale.h>
#include <ncurses.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define FRAME_NS      (UINT64_C(250) * 1000000)
#define ASKED_NS      (UINT64_C(1000) * 1000000) /* a rate asked for takes at most so long */
#define NOTE_NS       (UINT64_C(4000) * 1000000)
#define RATE_MAX      1000000.0
#define RATE_STEP     1.1
#define RATE_LEAST    0.001
#define RESTORE_BYTES 256
#define KEY_CTRL_L    ('L' - '@')
#define KEY_ESCAPE    27

enum page {
    PAGE_OVERVIEW = 0,
    PAGE_CAUSES,
    PAGE_KEYS,
};

static const int fatal_signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGHUP, SIGQUIT};

#define FATAL_COUNT (sizeof(fatal_signals) / sizeof(fatal_signals[0]))

static struct {
    atomic_bool is_on;
    SCREEN *terminal;
    enum page page;
    bool asks_share; /* of a storm */
    size_t causes_top;
    uint64_t drawn_ns;
    bool is_dirty;
    bool was_draining, was_paused;
    double asked_rate;
    uint64_t asked_ns; /* 0: never */
    char note[SCREEN_NOTE_BYTES];
    uint64_t noted_ns;
    /* what gives the terminal back; read-only while it is on */
    struct termios before;
    char restore[RESTORE_BYTES];
    size_t restore_bytes;
    struct sigaction old[FATAL_COUNT];
} screen;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ── giving the terminal back ── */

static int keep_byte(int byte)
{
    if (screen.restore_bytes < sizeof(screen.restore)) {
        screen.restore[screen.restore_bytes++] = (char)byte;
    }
    return byte;
}

static void keep_capability(const char *name)
{
    const char *text = tigetstr((char *)(uintptr_t)name);

    if (text != NULL && text != (char *)-1) {
        tputs(text, 1, keep_byte);
    }
}

static void work_out_restore(void)
{
    screen.restore_bytes = 0;
    keep_capability("sgr0");
    keep_capability("rmkx");
    keep_capability("cnorm");
    keep_capability("rmcup");
}

/* Async-signal-safe. */
static void rescue(void)
{
    if (!atomic_exchange(&screen.is_on, false)) {
        return;
    }
    ssize_t written = write(STDOUT_FILENO, screen.restore, screen.restore_bytes);
    (void)written;
    tcsetattr(STDIN_FILENO, TCSANOW, &screen.before);
    screen_log_rescue();
}

static void on_fatal(int signo)
{
    rescue();
    for (size_t i = 0; i < FATAL_COUNT; i++) {
        if (fatal_signals[i] == signo) {
            sigaction(signo, &screen.old[i], NULL);
        }
    }
    raise(signo); /* held until this handler is over */
}

static void catch_fatal_signals(void)
{
    struct sigaction action = {.sa_handler = on_fatal};

    for (size_t i = 0; i < FATAL_COUNT; i++) {
        sigaction(fatal_signals[i], NULL, &screen.old[i]);
        if (screen.old[i].sa_handler != SIG_IGN) {
            sigaction(fatal_signals[i], &action, NULL);
        }
    }
}

static void release_fatal_signals(void)
{
    for (size_t i = 0; i < FATAL_COUNT; i++) {
        sigaction(fatal_signals[i], &screen.old[i], NULL);
    }
}

/* ── begin and end ── */

static bool is_terminal_for_it(void)
{
    const char *name = getenv("TERM");

    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && name != NULL && name[0] != '\0' &&
           strcmp(name, "dumb") != 0;
}

static bool wants_colour(void)
{
    const char *no_colour = getenv("NO_COLOR");

    return no_colour == NULL || no_colour[0] == '\0';
}

static void set_up(void)
{
    cbreak();
    noecho();
    nonl();
    curs_set(0);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    leaveok(stdscr, TRUE);
}

bool fleet_screen_begin(const struct result *result)
{
    static bool is_registered;

    (void)result;
    if (atomic_load(&screen.is_on) || !is_terminal_for_it() ||
        tcgetattr(STDIN_FILENO, &screen.before) != 0) {
        return false;
    }
    setlocale(LC_CTYPE, "");
    use_env(FALSE); /* a size that a shell has exported is an old one */
    use_tioctl(TRUE);
    screen.terminal = newterm(NULL, stdout, stdin);
    if (screen.terminal == NULL) {
        return false;
    }
    set_up();
    canvas_begin(wants_colour());
    work_out_restore();
    screen_log_begin();
    screen.page = PAGE_OVERVIEW;
    screen.asks_share = false;
    screen.drawn_ns = screen.asked_ns = screen.noted_ns = 0;
    screen.is_dirty = true;
    atomic_store(&screen.is_on, true);
    catch_fatal_signals();
    signals_before_end(rescue);
    if (!is_registered) {
        is_registered = atexit(fleet_screen_end) == 0;
    }
    return true;
}

void fleet_screen_end(void)
{
    if (!atomic_exchange(&screen.is_on, false)) {
        return;
    }
    signals_before_end(NULL);
    release_fatal_signals();
    endwin();
    delscreen(screen.terminal);
    screen.terminal = NULL;
    screen_log_end();
}

/* ── keys ── */

static void note(const char *words)
{
    snprintf(screen.note, sizeof(screen.note), "%s", words);
    screen.noted_ns = now_ns();
    screen.is_dirty = true;
}

static const struct fleet_wish nothing = {FLEET_WISH_NONE, 0};

/* From the rate that is in force, or the one asked for a moment ago. */
static struct fleet_wish wish_rate(const struct result *result, double factor)
{
    uint64_t now = now_ns();
    bool is_asked = screen.asked_ns != 0 && now - screen.asked_ns < ASKED_NS;
    double rate = (is_asked ? screen.asked_rate : result->rate) * factor;
    char words[64];

    rate = rate > RATE_MAX ? RATE_MAX : rate < RATE_LEAST ? RATE_LEAST : rate;
    rate = rate > 0.995 && rate < 1.005 ? 1 : rate; /* ten times up and down is where it was */
    screen.asked_rate = rate;
    screen.asked_ns = now;
    snprintf(words, sizeof(words), "publishing at %s%.3g of the plan", canvas_glyph(GLYPH_TIMES),
             rate);
    note(words);
    return (struct fleet_wish){FLEET_WISH_RATE, rate};
}

static struct fleet_wish answer_share(int key)
{
    double share = key == '1' ? 0.1 : key == '5' ? 0.5 : key == 'a' || key == 'A' ? 1 : 0;
    char words[64];

    screen.asks_share = false;
    screen.noted_ns = 0;
    if (share <= 0) {
        note("no storm");
        return nothing;
    }
    snprintf(words, sizeof(words), "storm: %.0f %% of the open clients leave", share * 100);
    note(words);
    return (struct fleet_wish){FLEET_WISH_STORM, share};
}

static void turn_page(enum page page)
{
    screen.page = screen.page == page ? PAGE_OVERVIEW : page;
    screen.causes_top = 0;
}

static void scroll_causes(int by)
{
    if (by < 0 && screen.causes_top < (size_t)-by) {
        screen.causes_top = 0;
    } else {
        screen.causes_top += (size_t)by;
    }
}

static struct fleet_wish on_arrow(const struct result *result, int key)
{
    bool is_up = key == KEY_UP || key == KEY_SR || key == KEY_PPAGE;
    bool is_large = key == KEY_SR || key == KEY_SF || key == KEY_PPAGE || key == KEY_NPAGE;

    if (screen.page == PAGE_CAUSES) {
        scroll_causes((is_up ? -1 : 1) * (is_large ? 5 : 1));
        return nothing;
    }
    if (key == KEY_PPAGE || key == KEY_NPAGE) {
        return nothing;
    }
    return wish_rate(result, is_large ? (is_up ? 2 : 0.5) : is_up ? RATE_STEP : 1 / RATE_STEP);
}

static struct fleet_wish on_key(const struct result *result, int key)
{
    screen.is_dirty = true;
    if (screen.asks_share && key != KEY_RESIZE) {
        return answer_share(key);
    }
    switch (key) {
    case '+':
    case '=':
        return wish_rate(result, RATE_STEP);
    case '-':
    case '_':
        return wish_rate(result, 1 / RATE_STEP);
    case ']':
        return wish_rate(result, 2);
    case '[':
        return wish_rate(result, 0.5);
    case KEY_UP:
    case KEY_DOWN:
    case KEY_SR:
    case KEY_SF:
    case KEY_PPAGE:
    case KEY_NPAGE:
        return on_arrow(result, key);
    case ' ':
        note(result->is_paused ? "going on" : "pausing");
        return (struct fleet_wish){FLEET_WISH_PAUSE, result->is_paused ? 0 : 1};
    case 's':
        screen.asks_share = true;
        return nothing;
    case 'c':
        turn_page(PAGE_CAUSES);
        return nothing;
    case '?':
    case 'h':
        turn_page(PAGE_KEYS);
        return nothing;
    case KEY_ESCAPE:
        screen.page = PAGE_OVERVIEW;
        return nothing;
    case 'q':
        note("ending");
        return (struct fleet_wish){FLEET_WISH_QUIT, 0};
    case KEY_CTRL_L:
        clearok(stdscr, TRUE);
        return nothing;
    default:
        return nothing;
    }
}

static bool asks_for_rate(int key)
{
    return key == KEY_UP || key == KEY_DOWN || key == KEY_SR || key == KEY_SF ||
           (key < 0x80 && strchr("+=-_[]", key) != NULL);
}

/* Keys that ask for a rate add up; what follows them is left for the next poll. */
static struct fleet_wish poll_keys(const struct result *result)
{
    struct fleet_wish wish = nothing;
    int key;

    while ((key = getch()) != ERR) {
        if (wish.kind != FLEET_WISH_NONE && !asks_for_rate(key)) {
            ungetch(key);
            break;
        }
        struct fleet_wish next = on_key(result, key);
        wish = next.kind != FLEET_WISH_NONE ? next : wish;
        if (wish.kind != FLEET_WISH_NONE && wish.kind != FLEET_WISH_RATE) {
            break;
        }
    }
    return wish;
}

/* ── frames ── */

static void follow_size(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0 &&
        (size.ws_row != LINES || size.ws_col != COLS)) {
        resizeterm(size.ws_row, size.ws_col);
        clearok(stdscr, TRUE);
        screen.is_dirty = true;
    }
}

struct key_words {
    const char *key, *words;
};

static int put_keys(int line, const struct key_words *keys, size_t count)
{
    int column = 1;

    for (size_t i = 0; i < count; i++) {
        if (column + canvas_width(keys[i].key) + canvas_width(keys[i].words) + 1 > COLS) {
            break;
        }
        column = canvas_put(line, column, COLS, LOOK_BOLD, keys[i].key);
        column = canvas_put(line, column + 1, COLS, LOOK_PLAIN, keys[i].words) + 3;
    }
    return column;
}

#define PUT_KEYS(line, keys) put_keys((line), (keys), sizeof(keys) / sizeof((keys)[0]))

static void put_last_line(void)
{
    static const struct key_words overview[] = {{"+ -", "rate"}, {"space", "pause"}, {"s", "storm"},
                                                {"c", "causes"}, {"?", "keys"},      {"q", "quit"}};
    static const struct key_words storm[] = {
        {"1", "10 %"}, {"5", "half"}, {"a", "all"}, {"Esc", "none"}};
    static const struct key_words causes[] = {{"up down", "scroll"}, {"c", "back"}, {"q", "quit"}};
    static const struct key_words back[] = {{"?", "back"}, {"q", "quit"}};
    int line = LINES - 1, column = 1;

    if (screen.asks_share) {
        column = canvas_put(line, 1, COLS, LOOK_BADGE_WARN, " storm: how many leave at once? ");
        canvas_put(line, column, 1, LOOK_PLAIN, " ");
        for (size_t i = 0; i < sizeof(storm) / sizeof(storm[0]); i++) {
            column = canvas_put(line, column + 2, COLS, LOOK_BOLD, storm[i].key);
            column = canvas_put(line, column + 1, COLS, LOOK_PLAIN, storm[i].words);
        }
        return;
    }
    column = screen.page == PAGE_CAUSES ? PUT_KEYS(line, causes)
             : screen.page == PAGE_KEYS ? PUT_KEYS(line, back)
                                        : PUT_KEYS(line, overview);
    if (screen.noted_ns != 0 && now_ns() - screen.noted_ns < NOTE_NS &&
        column + canvas_width(screen.note) + 1 < COLS) {
        canvas_put_right(line, COLS - 1, LOOK_BUSY, screen.note);
    }
}

static void draw(const struct result *result)
{
    char line[SCREEN_NOTE_BYTES];
    int bottom = LINES - 1;

    erase();
    if (screen_log_last(line, sizeof(line)) && LINES > 8) {
        bottom--;
        canvas_put(bottom, 1, COLS - 2, LOOK_WARN, line);
    }
    if (LINES < SCREEN_LINES_LEAST || COLS < SCREEN_COLUMNS_LEAST) {
        page_small(result);
    } else if (screen.page == PAGE_CAUSES) {
        page_causes(result, bottom, &screen.causes_top);
    } else if (screen.page == PAGE_KEYS) {
        part_head(result);
        page_keys(bottom);
    } else {
        page_overview(result, bottom);
    }
    put_last_line();
    refresh();
}

struct fleet_wish fleet_screen_show(const struct result *result)
{
    uint64_t now = now_ns();

    if (!atomic_load(&screen.is_on)) {
        return nothing;
    }
    struct fleet_wish wish = poll_keys(result);
    follow_size();
    if (result->is_draining != screen.was_draining || result->is_paused != screen.was_paused) {
        screen.was_draining = result->is_draining;
        screen.was_paused = result->is_paused;
        screen.is_dirty = true;
    }
    if (screen.is_dirty || now - screen.drawn_ns >= FRAME_NS) {
        draw(result);
        screen.drawn_ns = now;
        screen.is_dirty = false;
    }
    return wish;
}
