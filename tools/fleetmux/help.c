/*
 * help — lays out a verb's rows for people
 *
 * Why it is so:   a hand-written list of options is wrong after the second change. Names, ranges
 *                 and defaults come from the rows that parse; only the words are written.
 * Threads:        one
 * Limits:         96 columns
 */
#include "tools/fleetmux/help.h"

#include <inttypes.h>
#include <string.h>

#define COLUMNS_MAX 96
#define LEFT        34

void help_print_wrapped(FILE *out, const char *text, size_t column, size_t left)
{
    bool is_first = true;

    while (*text != '\0') {
        size_t bytes = strcspn(text, " ");
        if (is_first) {
            column += bytes;
        } else if (column + 1 + bytes > COLUMNS_MAX) {
            fprintf(out, "\n%*s", (int)left, "");
            column = left + bytes;
        } else {
            fputc(' ', out);
            column += 1 + bytes;
        }
        fprintf(out, "%.*s", (int)bytes, text);
        is_first = false;
        text += bytes;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static bool has_range(const struct flag *row)
{
    return row->kind == FLAG_UINT || row->kind == FLAG_TIME || row->kind == FLAG_REAL;
}

/* "0 to 1024; default 0", as far as it says anything. */
static void describe(const struct flag_set *set, const struct flag *row, char *out_text,
                     size_t text_bytes)
{
    char value[FLAG_VALUE_BYTES], range[FLAG_VALUE_BYTES] = "";
    bool has_value = row->kind != FLAG_SWITCH && flags_format(set, row, 0, value, sizeof(value));

    if (has_range(row)) {
        uint64_t ratio = row->kind == FLAG_TIME ? row->plain_ns / row->stored_ns : 1;
        snprintf(range, sizeof(range), "%" PRIu64 " to %" PRIu64 "%s", row->min / ratio,
                 row->max / ratio, row->may_be_none ? ", or none" : "");
    }
    out_text[0] = '\0';
    if (has_range(row) || has_value) {
        snprintf(out_text, text_bytes, " (%s%s%s%s)", range,
                 has_range(row) && has_value ? "; " : "", has_value ? "default " : "",
                 has_value ? value : "");
    }
}

static void print_row(const struct flag_set *set, const struct flag *row, FILE *out)
{
    char name[64], letter[8] = "    ", words[2 * FLAG_VALUE_BYTES + 16], text[2048];

    if (row->letter != 0) {
        snprintf(letter, sizeof(letter), "-%c, ", row->letter);
    }
    snprintf(name, sizeof(name), "  %s--%s%s%s", letter, row->name, row->argument ? " " : "",
             row->argument ? row->argument : "");
    fprintf(out, "%-*s", LEFT, name);
    size_t column = strlen(name) > LEFT ? strlen(name) : LEFT;
    if (column >= LEFT && strlen(name) + 1 > LEFT) {
        fprintf(out, "\n%*s", LEFT, "");
        column = LEFT;
    }
    describe(set, row, words, sizeof(words));
    snprintf(text, sizeof(text), "%s%s%s%s", row->help, words, row->also != NULL ? "; also " : "",
             row->also != NULL ? row->also : "");
    help_print_wrapped(out, text, column, LEFT);
}

void help_print_rows(const struct flag_set *set, FILE *out)
{
    const char *group = "";

    for (size_t index = 0; index < set->count; index++) {
        const struct flag *row = &set->rows[index];
        if (!flags_has(set, row)) {
            continue;
        }
        if (strcmp(group, row->group) != 0) {
            group = row->group;
            fprintf(out, "\n%s:\n", group);
        }
        print_row(set, row, out);
    }
}
