/*
 * fleet_screen_log — what would tear the screen is kept, and told after it
 *
 * Why it is so:   a log line, a library's complaint, or the last words of a broken promise would
 *                 be written across the screen, and go with it when the terminal gets its old
 *                 contents back. So standard error is led into a file in memory while the screen is
 *                 shown, whoever writes to it. Where it is no terminal it stays as it is
 * Words:          kept: written by anybody while the screen is shown; taken: a line of the log
 * Invariants:     (1) descriptor 2 is the terminal or the file in memory, never nothing
 *                 (2) what was kept is written once, by whoever ends or rescues first
 * Memory:         at most KEPT_BYTES_MAX of log lines; what comes then is counted
 * Threads:        begin and end: the main one; take and last: any; rescue: in a signal handler
 * Limits:         a line is shown for SHOWN_NS, and cut to the screen
 */
#include "tools/fleetmux/fleet_screen.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define KEPT_BYTES_MAX (1u << 20)
#define SHOWN_NS       (UINT64_C(30) * 1000000000)

static struct {
    pthread_mutex_t lock;
    bool is_on; /* under the lock, as are the next five */
    bool has_line;
    uint64_t came_ns;
    char line[SCREEN_NOTE_BYTES];
    size_t kept_bytes;
    uint64_t lines_left_out;
    atomic_int kept; /* the file in memory; below 0: there is none. Taken by exchange */
    int terminal;    /* standard error as it was; written before the file is there */
} screen_log = {.lock = PTHREAD_MUTEX_INITIALIZER, .kept = -1, .terminal = -1};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void keep_standard_error(void)
{
    int kept = isatty(STDERR_FILENO) ? memfd_create("log", MFD_CLOEXEC) : -1;

    if (kept < 0) {
        return;
    }
    fflush(stderr);
    screen_log.terminal = dup(STDERR_FILENO);
    if (screen_log.terminal < 0 || dup2(kept, STDERR_FILENO) < 0) {
        close(kept);
        return;
    }
    atomic_store(&screen_log.kept, kept);
}

void screen_log_begin(void)
{
    pthread_mutex_lock(&screen_log.lock);
    screen_log.is_on = true;
    screen_log.has_line = false;
    screen_log.kept_bytes = 0;
    screen_log.lines_left_out = 0;
    pthread_mutex_unlock(&screen_log.lock);
    keep_standard_error();
}

/* Async-signal-safe. */
void screen_log_rescue(void)
{
    int kept = atomic_exchange(&screen_log.kept, -1);
    char bytes[4096];
    off_t at = 0;
    ssize_t count;

    if (kept < 0) {
        return;
    }
    dup2(screen_log.terminal, STDERR_FILENO);
    while ((count = pread(kept, bytes, sizeof(bytes), at)) > 0 &&
           write(STDERR_FILENO, bytes, (size_t)count) == count) {
        at += count;
    }
    close(kept);
    close(screen_log.terminal);
}

void screen_log_end(void)
{
    fflush(stderr);
    pthread_mutex_lock(&screen_log.lock);
    screen_log.is_on = false;
    uint64_t left_out = screen_log.lines_left_out;
    pthread_mutex_unlock(&screen_log.lock);
    screen_log_rescue();
    if (left_out > 0) {
        fprintf(stderr, "and %llu lines more, which were not kept\n", (unsigned long long)left_out);
    }
}

bool screen_log_take(const char *line)
{
    size_t bytes = strlen(line) + 1;

    pthread_mutex_lock(&screen_log.lock);
    bool is_on = screen_log.is_on;
    if (is_on) {
        screen_log.has_line = true;
        screen_log.came_ns = now_ns();
        snprintf(screen_log.line, sizeof(screen_log.line), "%s", line);
        if (atomic_load(&screen_log.kept) >= 0 && screen_log.kept_bytes + bytes > KEPT_BYTES_MAX) {
            screen_log.lines_left_out++;
        } else {
            screen_log.kept_bytes += bytes;
            fprintf(stderr, "%s\n", line);
        }
    }
    pthread_mutex_unlock(&screen_log.lock);
    return is_on;
}

bool screen_log_last(char *out_line, size_t line_bytes)
{
    pthread_mutex_lock(&screen_log.lock);
    bool has_line = screen_log.has_line && now_ns() - screen_log.came_ns < SHOWN_NS;
    snprintf(out_line, line_bytes, "%s", has_line ? screen_log.line : "");
    pthread_mutex_unlock(&screen_log.lock);
    return has_line;
}
