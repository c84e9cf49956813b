/*
 * log.h — one line to the operator
 */
#ifndef ENGINE_LOG_H
#define ENGINE_LOG_H

#include <fleetmux/options.h>

struct fmx_log {
    fmx_log_fn write; /* read-only after start, as are all fields */
    void *user;
    enum fmx_log_level level;
};

/* Lines that peers can cause: at most FMX_LOG_PEER_LINES each second; the rest is counted. */
#define FMX_LOG_PEER_LINES 10u

struct fmx_log_quota {
    uint64_t second;
    uint32_t used;
    uint64_t suppressed;
};

/* A NULL `write` means lines on standard error. */
void fmx_log_init(struct fmx_log *log, const struct fmx_mux_options *options);

void fmx_log_line(const struct fmx_log *log, enum fmx_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* May a line about a peer be written now? Says how many were not, when it may again. */
bool fmx_log_allows(const struct fmx_log *log, struct fmx_log_quota *quota, uint64_t now_ns);

#endif
