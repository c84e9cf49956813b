/*
 * scenario_help — the tables of keys for people
 *
 * Why it is so:   ranges and defaults come from the rows that read a file, so they cannot be wrong.
 * Threads:        one
 * Limits:         96 columns
 * Not here:       examples, and what the words mean: docs/SCENARIOS.md
 */
#include "tools/fleetmux/help.h"
#include "tools/fleetmux/scenario_parts.h"

#include <stdlib.h>
#include <string.h>

#define LEFT 22

/* "(a number from 1 to 64; default 1)" */
static void describe(const struct scenario_key *key, const void *defaults, char *out_text,
                     size_t text_bytes)
{
    char form[FLAG_VALUE_BYTES], room[FLAG_VALUE_BYTES];
    const char *standard = key->standard;

    scenario_value_describe(key, form, sizeof(form));
    if (key->row.kind == FLAG_TIME) { /* the range without its examples */
        form[strcspn(form, ",")] = '\0';
    }
    if (standard == NULL && key->row.width > 0) {
        standard = scenario_value_text(key, defaults, room, sizeof(room));
    }
    snprintf(out_text, text_bytes, "%s (%s; %s%s)", key->row.help, form,
             key->is_needed ? "must be there" : "default ",
             key->is_needed     ? ""
             : standard != NULL ? standard
                                : "none");
}

static void print_level(const struct scenario_level *level, FILE *out)
{
    void *defaults = malloc(level->settings_bytes);

    if (defaults == NULL) {
        return;
    }
    level->init(defaults);
    fprintf(out, "\n%s%s%s%s:\n", level->title, level->path[0] != '\0' ? " (" : "", level->path,
            level->path[0] != '\0' ? ")" : "");
    for (size_t i = 0; i < level->keys_count; i++) {
        char text[1024];
        int column = fprintf(out, "  %-*s", LEFT - 2, level->keys[i].row.name);
        describe(&level->keys[i], defaults, text, sizeof(text));
        help_print_wrapped(out, text, (size_t)column, LEFT);
    }
    free(defaults);
}

void scenario_help(FILE *out)
{
    fprintf(out,
            "A scenario is a YAML file: groups of clients, and stages in which they come, publish\n"
            "and go. 'fleetmux fleet run FILE' runs it, 'fleetmux fleet check FILE' only looks.\n"
            "\n"
            "Times have a unit: ns, us, ms, s, m or h. Numbers may have k, M, G or Ki, Mi, Gi.\n"
            "Names of files are relative to the scenario's folder. Keys that begin with x- are\n"
            "yours, for anchors; << merges keys from one.\n");
    for (const struct scenario_level *const *level = scenario_levels; *level != NULL; level++) {
        print_level(*level, out);
    }
}
