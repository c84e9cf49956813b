/*
 * events.h — what happens at the gateway, to a file as it happens
 *
 * The lines are those of docs/CONTROL.md: status, message, dropped.
 */
#ifndef FMX_TOOLS_EVENTS_H
#define FMX_TOOLS_EVENTS_H

#include <fleetmux/gateway.h>

struct events;

struct events_counts {
    uint64_t written;      /* lines */
    uint64_t dropped;      /* lines: the queue was full, or the file could not be written */
    uint64_t write_errors; /* failed system calls */
    uint64_t queued_bytes; /* now */
};

/*
 * Opens or makes the file ("-": standard output) and starts the writer; the file is only added to.
 * At most `queue_bytes` wait for it. NULL: `error` says why.
 */
struct events *events_open(const char *path, uint64_t queue_bytes, char *error, size_t error_bytes);

/* Fills in the callbacks it needs and the options' user. Before the gateway is opened. */
void events_listen(struct events *events, struct fmx_gateway_options *options);

/* Opens the file again by its name, after it was renamed. Returns at once; any thread. */
void events_reopen(struct events *events);

/* Any thread. */
void events_count(struct events *events, struct events_counts *out_counts);

/* Writes what is queued and ends. The gateway is stopped. NULL is fine. */
void events_close(struct events *events);

#endif
