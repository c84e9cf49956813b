/*
 * config.h — a verb's settings in a YAML file
 */
#ifndef FMX_TOOLS_CONFIG_H
#define FMX_TOOLS_CONFIG_H

#include "tools/fleetmux/flags.h"

/* What was read; the set's texts live in here. */
struct config;

/*
 * Reads the file and gives its values to the set's rows. NULL: nothing was given, or only some; the
 * set's error says file, line and key. Close it when the settings are no longer used.
 */
struct config *config_open(const char *path, struct flag_set *set);

/* NULL is fine. */
void config_close(struct config *config);

/* Prints the set's present values as a file that config_open would take. False: set->error. */
bool config_print(struct flag_set *set, FILE *out);

#endif
