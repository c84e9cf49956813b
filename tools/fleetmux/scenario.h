/*
 * scenario.h — a plan in a file: YAML, checked with line and key
 *
 * Tables of rows (flags.h) describe every key; the reader, the writer, the nearest name and the
 * help are made from them. docs/SCENARIOS.md is the schema for people.
 */
#ifndef FMX_TOOLS_SCENARIO_H
#define FMX_TOOLS_SCENARIO_H

#include "tools/fleetmux/flags.h"

#include <fleetmux/fleetmux.h>

/* What a scenario says beside the plan itself. */
struct scenario {
    struct fmx_fleet_plan plan;
    const char *name;
    const char *description;
    struct flag_list thresholds;
    char *text; /* as it stands in the file; NULL: it came from elsewhere */
    struct scenario_memory *memory;
};

/* Where groups go that name no target: -h and -p of the command line. */
struct scenario_hosts {
    const char *const *items; /* HOST, HOST:PORT, with mqtt:// or mqtts:// before it */
    size_t count;             /* 0: 127.0.0.1 */
    uint16_t port;            /* of those without one; 0: 1883, with TLS 8883 */
};

/*
 * Reads and checks; `hosts` may be NULL. NULL: error says "FILE:LINE:COLUMN: key 'x': …". Files it
 * names are relative to its own folder, and those of devices and payloads are read now.
 */
struct scenario *scenario_open(const char *path, const struct scenario_hosts *hosts, char *error,
                               size_t error_bytes);
void scenario_close(struct scenario *scenario);

/*
 * What the library says when it opens the plan, which begins with a field: the place in the file
 * `path` instead. False: the file has nothing there, and words are as before.
 */
bool scenario_words(struct scenario *scenario, const char *path, char *words, size_t words_bytes);

/*
 * Writes a plan as a scenario: what differs from its default. Secrets are written as they are, and
 * names of files from the root on. Of the plan's mux options shards, cpus and pin are written; how
 * the plan is shared among processes is not. Result: text to be freed, or NULL with error.
 */
char *scenario_write(const struct scenario *scenario, char *error, size_t error_bytes);

/* Every key with range and default: `fleetmux help fleet scenario`. */
void scenario_help(FILE *out);

#endif
