/*
 * log — one line to the operator
 *
 * Why it is so:   a line is one write call, so lines of different shards do not mix; what peers can
 *                 cause is limited per second and shard, so that nobody fills a disk from outside
 * Threads:        any
 * Limits:         512 bytes a line, the rest is cut; ten lines per second and shard from peers'
 *                 doings
 */
#include "engine/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 512

static void write_to_stderr(void *user, enum fmx_log_level level, const char *line)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char whole[LINE_BYTES + 32];

    (void)user;
    int bytes = snprintf(whole, sizeof(whole), "%s: %s\n", names[level], line);
    if (bytes > 0) {
        ssize_t written = write(STDERR_FILENO, whole, (size_t)bytes);
        (void)written; /* a log that cannot be written has nowhere to say so */
    }
}

void fmx_log_init(struct fmx_log *log, const struct fmx_mux_options *options)
{
    *log = (struct fmx_log){.write = options->log != NULL ? options->log : write_to_stderr,
                            .user = options->log_user,
                            .level = options->log_level};
}

/* What peers have chosen may stand in it: it must not look like another line, nor move a cursor. */
static void blank_controls(char *line)
{
    for (unsigned char *at = (unsigned char *)line; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)) {
            at[0] = '?';
            at[1] = at[1] >= 0x80 && at[1] < 0xa0 ? '?' : at[1];
        }
    }
}

void fmx_log_line(const struct fmx_log *log, enum fmx_log_level level, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;

    if (level > log->level) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    blank_controls(line);
    log->write(log->user, level, line);
}

bool fmx_log_allows(const struct fmx_log *log, struct fmx_log_quota *quota, uint64_t now_ns)
{
    uint64_t second = now_ns / 1000000000ull;

    if (second != quota->second) {
        quota->second = second;
        quota->used = 0;
        if (quota->suppressed > 0) {
            fmx_log_line(log, FMX_LOG_WARN, "%llu lines like these were left out",
                         (unsigned long long)quota->suppressed);
            quota->suppressed = 0;
        }
    }
    if (quota->used == FMX_LOG_PEER_LINES) {
        quota->suppressed++;
        return false;
    }
    quota->used++;
    return true;
}
