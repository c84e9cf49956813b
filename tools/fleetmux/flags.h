/*
 * flags.h — one table from which options, configuration keys, errors and help are made
 *
 * A verb describes each of its settings by one row: name, kind, range, words, and where in the
 * verb's struct of settings the value goes. The struct holds the defaults when parsing begins.
 */
#ifndef FMX_TOOLS_FLAGS_H
#define FMX_TOOLS_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FLAG_ROWS_MAX    192
#define FLAG_ITEMS_MAX   64
#define FLAG_NOTES_MAX   32
#define FLAG_LIST_BYTES  8192
#define FLAG_ERROR_BYTES 512
#define FLAG_VALUE_BYTES 256

enum flag_kind {
    FLAG_SWITCH, /* bool; being there means true, and "true" or "false" may follow */
    FLAG_BOOL,   /* bool; "true" or "false" must follow */
    FLAG_UINT,   /* unsigned of `width` bytes from `min` to `max` */
    FLAG_TIME,   /* the same, kept in units of `stored_ns`, written in units of `plain_ns` */
    FLAG_REAL,   /* double from `min` to `max` */
    FLAG_CHOICE, /* unsigned of `width` bytes, by one of the names in `choices` */
    FLAG_TEXT,   /* const char *, not empty */
    FLAG_LIST,   /* struct flag_list; repeated, or with commas if `has_commas` */
    FLAG_SPAN,   /* struct flag_span: MIN-MAX, times */
};

/* Of a row that `has_commas`, items point into `text`: do not copy one that is not empty. */
struct flag_list {
    const char *items[FLAG_ITEMS_MAX];
    size_t count;
    char text[FLAG_LIST_BYTES];
    size_t used;
};

/* In units of the row's stored_ns. */
struct flag_span {
    uint32_t min;
    uint32_t max;
};

/* Ends with a NULL name. The first name of a value is the one that is printed. */
struct flag_choice {
    const char *name;
    unsigned value;
};

struct flag {
    const char *name;  /* "connect-timeout-ms"; the key in a file has _ for - */
    const char *also;  /* other names of the same, with blanks between; NULL: none */
    char letter;       /* 0: none */
    bool has_commas;   /* of a list: an argument may hold several items */
    bool command_line; /* not a key in a file */
    bool power_of_two; /* of a number */
    bool may_be_none;  /* of a number or time: "none" is taken too and is all bits one */
    enum flag_kind kind;
    uint32_t verbs; /* bits of the verbs that have it; 0: every verb */
    size_t offset;  /* into the settings; see FLAG_AT */
    size_t width;
    uint64_t min;
    uint64_t max;      /* of a list: most items */
    uint64_t plain_ns; /* of a time: what a number without a suffix means */
    uint64_t stored_ns;
    const struct flag_choice *choices;
    const char *argument; /* the value's name in the help */
    const char *group;    /* heading in the help */
    const char *help;

    /* Of an option of another tool, unless its value is 0, false, none or disabled: */
    const char *note;    /* said once: it is taken and does nothing, or something else */
    const char *refusal; /* why it is not taken, and what to write instead */

    /* Of a list on the command line: */
    const char *more_with;  /* arguments behind the value that hold one of these are values too */
    unsigned words_count;   /* arguments of each option; 0: 1 */
    const char *longer_for; /* one more, if the second of them is this */
};

/* What is to be said to whoever has given an option. */
struct flag_note {
    const char *option;
    const char *words;
};

#define FLAG_AT(settings, member)                                                                  \
    .offset = offsetof(settings, member), .width = sizeof(((settings *)NULL)->member)

/* The rows of one verb and what has been said about them so far. */
struct flag_set {
    const struct flag *rows;
    size_t count;
    uint32_t verbs;
    void *settings;
    bool is_given[FLAG_ROWS_MAX]; /* by the latest source: file or command line */
    const char **operands;        /* arguments that are no options; NULL: none are taken */
    size_t operands_max;
    size_t operands_count;
    bool is_lenient; /* on the command line _ and - are one */
    struct flag_note notes[FLAG_NOTES_MAX];
    size_t notes_count;
    char error[FLAG_ERROR_BYTES]; /* a sentence without its end, after a call that was false */
};

/* At most FLAG_ROWS_MAX rows; rows and settings are borrowed. `verbs` picks rows by their bits. */
void flags_init(struct flag_set *set, const struct flag *rows, size_t count, uint32_t verbs,
                void *settings);

/* A new source begins: nothing is given, and lists of an earlier source will be replaced. */
void flags_begin(struct flag_set *set);

/*
 * Reads options until `argv` ends; operands may stand anywhere, and after "--" all is an operand.
 * Texts are kept by pointer. False: see set->error.
 */
bool flags_parse(struct flag_set *set, int argc, char *const *argv);

/* Sets one row from text. False: set->error says what is wrong, without naming the row. */
bool flags_give(struct flag_set *set, const struct flag *row, const char *text);

bool flags_is_given(const struct flag_set *set, const char *name);

/* The row one of whose names, or key with _ for -, is `name`; NULL if this verb has none. */
const struct flag *flags_find(const struct flag_set *set, const char *name);

/* The row's present value as text that flags_give takes, cut short if there is no room for all of
   it; a list has `item`s. False: there is none. */
bool flags_format(const struct flag_set *set, const struct flag *row, size_t item, char *out_text,
                  size_t text_bytes);

/* The same of a text or a list, whole, where it lies; NULL: none, or the row is of another kind. */
const char *flags_text(const struct flag_set *set, const struct flag *row, size_t item);

/* True if the row belongs to the set's verb. */
bool flags_has(const struct flag_set *set, const struct flag *row);

/* Notes something, once. What is beyond FLAG_NOTES_MAX is not said. */
void flags_note(struct flag_set *set, const char *option, const char *words);

/* Says how a value of the row is to be written: "a number from 1 to 1024". */
void flags_describe(const struct flag *row, char *out_text, size_t text_bytes);

#endif
