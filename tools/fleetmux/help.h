/*
 * help.h — a verb's options as a page of text
 */
#ifndef FMX_TOOLS_HELP_H
#define FMX_TOOLS_HELP_H

#include "tools/fleetmux/flags.h"

/* Prints the set's rows under their headings, with range and present value: the default. */
void help_print_rows(const struct flag_set *set, FILE *out);

/* Prints `text` between two columns, breaking at spaces; the cursor is at `column`. */
void help_print_wrapped(FILE *out, const char *text, size_t column, size_t left);

#endif
