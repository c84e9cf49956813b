/*
 * fleet_watch.h — what the files of the verb share: a run from its description to its files
 */
#ifndef FMX_TOOLS_FLEET_WATCH_H
#define FMX_TOOLS_FLEET_WATCH_H

#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/verdict.h"

/* What an option must not show: what stands for it in the result. */
#define FLEET_HIDDEN "***"

/* ── fleet_describe.c ── */

/* Fills in "what it was"; argv is what stands behind `fleetmux fleet`. False: no memory. */
bool fleet_describe(const struct fleet_settings *settings, int argc, char *const *argv,
                    struct result *result);

/* The command line without its secrets; to be freed. NULL: no memory. */
char *fleet_describe_command(int argc, char *const *argv);

/* Does the plan end by itself? */
bool fleet_has_planned_end(const struct fleet_settings *settings);

/* Messages a second that all clients of this part want together, at a rate of 1. */
double fleet_base_rate(const struct fmx_fleet_plan *plan);

/* ── fleet_files.c ── */

/* Before the run: every file can be written. False: error names option and file. */
bool fleet_files_check(const struct fleet_settings *settings, char *error, size_t error_bytes);

/* After it; the fleet is stopped. False: one could not be written, and that was said. */
bool fleet_files_write(const struct fleet_settings *settings, const struct fmx_fleet *fleet,
                       struct result *result);

/* Does one of them go to standard output? Then the summary does not. */
bool fleet_files_use_stdout(const struct fleet_settings *settings);

/* ── fleet_watch.c ── */

/* Opens the fleet, runs it, tells what it was. The exit status. */
int fleet_watch(const struct fleet_settings *settings, const struct threshold *thresholds,
                size_t thresholds_count, struct result *result);

#endif
