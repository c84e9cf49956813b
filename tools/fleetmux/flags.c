/*
 * flags — reads options and file values by the verb's table
 *
 * Why it is so:   getopt_long takes any unique beginning of a name ("--shard" for "--shards") and
 *                 words its own errors. Here a wrong name gets the nearest one, a wrong value gets
 *                 the range, and the same rows read a configuration file and write the help, so
 *                 these cannot contradict one another.
 * Words:          row: one setting in the table; set: the rows of one verb and their values
 * Invariants:     (1) a row's value changes only if the whole text was good; a list may keep the
 *                 items before the bad one
 *                 (2) within a source lists grow, and a later source replaces them
 * Memory:         borrows rows, settings and argument texts for as long as the settings are used;
 *                 the items of a list with commas are copied into it
 * Threads:        one
 * Limits:         FLAG_ROWS_MAX rows, FLAG_ITEMS_MAX items in a list
 * Not here:       the help's layout: help.c; files: config.c
 */
#include "tools/fleetmux/flags.h"

#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/number.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define NAME_BYTES 64 /* of an option, with its end */

__attribute__((format(printf, 2, 3))) static bool refuse(struct flag_set *set, const char *format,
                                                         ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(set->error, sizeof(set->error), format, arguments);
    va_end(arguments);
    return false;
}

void flags_init(struct flag_set *set, const struct flag *rows, size_t count, uint32_t verbs,
                void *settings)
{
    *set = (struct flag_set){.rows = rows, .count = count, .verbs = verbs, .settings = settings};
}

void flags_begin(struct flag_set *set)
{
    memset(set->is_given, 0, sizeof(set->is_given));
    set->operands_count = 0;
    set->notes_count = 0;
    set->error[0] = '\0';
}

bool flags_has(const struct flag_set *set, const struct flag *row)
{
    return row->verbs == 0 || (row->verbs & set->verbs) != 0;
}

/* Where the row's value lives. */
static void *place(const struct flag_set *set, const struct flag *row)
{
    return (char *)set->settings + row->offset;
}

static bool *given(struct flag_set *set, const struct flag *row)
{
    return &set->is_given[row - set->rows];
}

static char dash_of(char letter)
{
    return letter == '_' ? '-' : letter;
}

/* `name` is `bytes` long. */
static bool is_same_name(const char *name, size_t bytes, const char *text)
{
    size_t same = 0;

    while (same < bytes && text[same] != '\0' && dash_of(name[same]) == dash_of(text[same])) {
        same++;
    }
    return same == bytes && text[same] == '\0';
}

/* The next of a row's other names, from `*also` on; NULL: there is none. */
static const char *next_name(const char **also, size_t *out_bytes)
{
    const char *name = *also == NULL ? "" : *also + strspn(*also, " ");

    *out_bytes = strcspn(name, " ");
    *also = name + *out_bytes;
    return *out_bytes > 0 ? name : NULL;
}

static bool has_name(const struct flag *row, const char *text)
{
    const char *also = row->also, *name;
    size_t bytes;

    if (is_same_name(row->name, strlen(row->name), text)) {
        return true;
    }
    while ((name = next_name(&also, &bytes)) != NULL) {
        if (is_same_name(name, bytes, text)) {
            return true;
        }
    }
    return false;
}

const struct flag *flags_find(const struct flag_set *set, const char *name)
{
    for (size_t index = 0; index < set->count; index++) {
        const struct flag *row = &set->rows[index];
        if (flags_has(set, row) && has_name(row, name)) {
            return row;
        }
    }
    return NULL;
}

bool flags_is_given(const struct flag_set *set, const char *name)
{
    const struct flag *row = flags_find(set, name);

    return row != NULL && set->is_given[row - set->rows];
}

void flags_note(struct flag_set *set, const char *option, const char *words)
{
    for (size_t index = 0; index < set->notes_count; index++) {
        if (set->notes[index].words == words) {
            return;
        }
    }
    if (set->notes_count < FLAG_NOTES_MAX) {
        set->notes[set->notes_count++] = (struct flag_note){option, words};
    }
}

/* Values of each kind ------------------------------------------------------------------------- */

static void store(void *target, size_t width, uint64_t value)
{
    switch (width) {
    case 1:
        *(uint8_t *)target = (uint8_t)value;
        break;
    case 2:
        *(uint16_t *)target = (uint16_t)value;
        break;
    case 4:
        *(uint32_t *)target = (uint32_t)value;
        break;
    default:
        *(uint64_t *)target = value;
        break;
    }
}

static uint64_t load(const void *source, size_t width)
{
    switch (width) {
    case 1:
        return *(const uint8_t *)source;
    case 2:
        return *(const uint16_t *)source;
    case 4:
        return *(const uint32_t *)source;
    default:
        return *(const uint64_t *)source;
    }
}

static const char *unit_name(uint64_t unit_ns)
{
    return unit_ns == NUMBER_NS_PER_S    ? "seconds"
           : unit_ns == NUMBER_NS_PER_MS ? "milliseconds"
           : unit_ns == NUMBER_NS_PER_US ? "microseconds"
                                         : "nanoseconds";
}

/* A stored time in the unit in which people write it; %g drops no digit of what they wrote. */
static int format_time(const struct flag *row, uint64_t value, char *out_text, size_t text_bytes)
{
    uint64_t ratio = row->plain_ns / row->stored_ns;

    if (value % ratio == 0) {
        return snprintf(out_text, text_bytes, "%" PRIu64, value / ratio);
    }
    return snprintf(out_text, text_bytes, "%.15g", (double)value / (double)ratio);
}

static void describe_time(const struct flag *row, char *out_text, size_t text_bytes)
{
    char min[32], max[32];

    format_time(row, row->min, min, sizeof(min));
    format_time(row, row->max, max, sizeof(max));
    snprintf(out_text, text_bytes, "%s from %s to %s, or with ms, s, m or h behind it",
             unit_name(row->plain_ns), min, max);
}

static void describe_choices(const struct flag *row, char *out_text, size_t text_bytes)
{
    size_t used = (size_t)snprintf(out_text, text_bytes, "one of");

    for (const struct flag_choice *choice = row->choices; choice->name != NULL; choice++) {
        if (used < text_bytes) {
            used += (size_t)snprintf(out_text + used, text_bytes - used, "%s %s",
                                     choice == row->choices ? "" : ",", choice->name);
        }
    }
}

static void describe_kind(const struct flag *row, char *out_text, size_t text_bytes)
{
    switch (row->kind) {
    case FLAG_SWITCH:
    case FLAG_BOOL:
        snprintf(out_text, text_bytes, "true or false");
        break;
    case FLAG_UINT:
    case FLAG_REAL:
        snprintf(out_text, text_bytes, "%s from %" PRIu64 " to %" PRIu64,
                 row->power_of_two ? "a power of two" : "a number", row->min, row->max);
        break;
    case FLAG_TIME:
        describe_time(row, out_text, text_bytes);
        break;
    case FLAG_SPAN:
        snprintf(out_text, text_bytes, "MIN-MAX in %s, for example 100-10000 or 100ms-10s",
                 unit_name(row->plain_ns));
        break;
    case FLAG_CHOICE:
        describe_choices(row, out_text, text_bytes);
        break;
    case FLAG_TEXT:
    case FLAG_LIST:
        snprintf(out_text, text_bytes, "%s, not empty", row->argument);
        break;
    }
}

void flags_describe(const struct flag *row, char *out_text, size_t text_bytes)
{
    char words[FLAG_VALUE_BYTES];

    describe_kind(row, words, sizeof(words));
    snprintf(out_text, text_bytes, "%s%s", words, row->may_be_none ? ", or none" : "");
}

static bool refuse_value(struct flag_set *set, const struct flag *row, const char *text)
{
    char words[FLAG_VALUE_BYTES];

    flags_describe(row, words, sizeof(words));
    return refuse(set, "'%.100s' is not good here; write %s", text, words);
}

static bool refuse_number(struct flag_set *set, const struct flag *row, const char *text,
                          enum number_status status)
{
    char words[FLAG_VALUE_BYTES];
    const char *wrong = status == NUMBER_NOT        ? "is not a number"
                        : status == NUMBER_FRACTION ? "has a fraction that is too fine"
                                                    : "is out of range";

    flags_describe(row, words, sizeof(words));
    return refuse(set, "'%.100s' %s; write %s", text, wrong, words);
}

static bool give_bool(struct flag_set *set, const struct flag *row, const char *text)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        return refuse_value(set, row, text);
    }
    *(bool *)place(set, row) = text[0] == 't';
    return true;
}

static bool is_none(const struct flag *row, uint64_t value)
{
    return row->may_be_none && value == UINT64_MAX >> (64 - 8 * row->width);
}

static bool give_number(struct flag_set *set, const struct flag *row, const char *text)
{
    uint64_t value = 0;

    if (row->may_be_none && strcmp(text, "none") == 0) {
        store(place(set, row), row->width, UINT64_MAX);
        return true;
    }
    enum number_status status = row->kind == FLAG_TIME
                                    ? number_read_time(text, row->plain_ns, row->stored_ns, &value)
                                    : number_read_count(text, &value);

    if (status != NUMBER_OK) {
        return refuse_number(set, row, text, status);
    }
    if (value < row->min || value > row->max) {
        return refuse_number(set, row, text, NUMBER_TOO_LARGE);
    }
    if (row->power_of_two && (value & (value - 1)) != 0) {
        return refuse_value(set, row, text);
    }
    store(place(set, row), row->width, value);
    return true;
}

static bool give_real(struct flag_set *set, const struct flag *row, const char *text)
{
    double value = 0;
    enum number_status status = number_read_real(text, &value);

    if (status != NUMBER_OK) {
        return refuse_number(set, row, text, status);
    }
    if (value < (double)row->min || value > (double)row->max) {
        return refuse_number(set, row, text, NUMBER_TOO_LARGE);
    }
    *(double *)place(set, row) = value;
    return true;
}

static bool give_choice(struct flag_set *set, const struct flag *row, const char *text)
{
    for (const struct flag_choice *choice = row->choices; choice->name != NULL; choice++) {
        if (strcmp(choice->name, text) == 0) {
            store(place(set, row), row->width, choice->value);
            return true;
        }
    }
    return refuse_value(set, row, text);
}

static bool give_text(struct flag_set *set, const struct flag *row, const char *text)
{
    if (*text == '\0') {
        return refuse_value(set, row, text);
    }
    *(const char **)place(set, row) = text;
    return true;
}

static bool add_item(struct flag_set *set, const struct flag *row, const char *item, size_t bytes)
{
    struct flag_list *list = place(set, row);

    if (bytes == 0) {
        return refuse_value(set, row, "");
    }
    if (list->count >= row->max || list->count >= FLAG_ITEMS_MAX) {
        return refuse(set, "'%.*s' is one too many; at most %" PRIu64 " are taken", (int)bytes,
                      item, row->max);
    }
    if (!row->has_commas) { /* it is the whole text */
        list->items[list->count++] = item;
        return true;
    }
    if (bytes >= sizeof(list->text) - list->used) {
        return refuse(set, "the items are longer than %zu bytes together", sizeof(list->text));
    }
    list->items[list->count] = memcpy(list->text + list->used, item, bytes);
    list->text[list->used + bytes] = '\0';
    list->used += bytes + 1;
    list->count++;
    return true;
}

static bool give_list(struct flag_set *set, const struct flag *row, const char *text)
{
    struct flag_list *list = place(set, row);

    if (!*given(set, row)) {
        list->count = 0;
        list->used = 0;
    }
    for (;;) {
        size_t bytes = row->has_commas ? strcspn(text, ",") : strlen(text);
        if (!add_item(set, row, text, bytes)) {
            return false;
        }
        *given(set, row) = true;
        if (text[bytes] == '\0') {
            return true;
        }
        text += bytes + 1;
    }
}

static bool give_span(struct flag_set *set, const struct flag *row, const char *text)
{
    char first[32];
    const char *dash = strchr(text, '-');
    uint64_t min = 0, max = 0;

    if (dash == NULL || (size_t)(dash - text) >= sizeof(first)) {
        return refuse_value(set, row, text);
    }
    memcpy(first, text, (size_t)(dash - text));
    first[dash - text] = '\0';
    if (number_read_time(first, row->plain_ns, row->stored_ns, &min) != NUMBER_OK ||
        number_read_time(dash + 1, row->plain_ns, row->stored_ns, &max) != NUMBER_OK) {
        return refuse_value(set, row, text);
    }
    if (min < row->min || max > row->max || min > max) {
        return refuse(set,
                      "'%.100s' is out of range; write MIN-MAX with %" PRIu64
                      " <= MIN <= MAX <= %" PRIu64,
                      text, row->min, row->max);
    }
    *(struct flag_span *)place(set, row) = (struct flag_span){(uint32_t)min, (uint32_t)max};
    return true;
}

static bool give_by_kind(struct flag_set *set, const struct flag *row, const char *text)
{
    switch (row->kind) {
    case FLAG_SWITCH:
    case FLAG_BOOL:
        return give_bool(set, row, text);
    case FLAG_UINT:
    case FLAG_TIME:
        return give_number(set, row, text);
    case FLAG_REAL:
        return give_real(set, row, text);
    case FLAG_CHOICE:
        return give_choice(set, row, text);
    case FLAG_TEXT:
        return give_text(set, row, text);
    case FLAG_LIST:
        return give_list(set, row, text);
    case FLAG_SPAN:
        return give_span(set, row, text);
    }
    return false;
}

/* Does the text ask for something? */
static bool asks(const char *text)
{
    return strcmp(text, "0") != 0 && strcmp(text, "false") != 0 && strcmp(text, "none") != 0 &&
           strcmp(text, "disabled") != 0;
}

bool flags_give(struct flag_set *set, const struct flag *row, const char *text)
{
    if (row->refusal != NULL && asks(text)) {
        return refuse(set, "%s", row->refusal);
    }
    bool is_good = give_by_kind(set, row, text);

    if (is_good) {
        *given(set, row) = true;
    }
    if (is_good && row->note != NULL && asks(text)) {
        flags_note(set, row->name, row->note);
    }
    return is_good;
}

/* Values back to text ------------------------------------------------------------------------- */

static bool copy_text(const char *text, char *out_text, size_t text_bytes)
{
    if (text == NULL) {
        return false;
    }
    snprintf(out_text, text_bytes, "%s", text);
    return true;
}

static const char *choice_name(const struct flag *row, uint64_t value)
{
    const struct flag_choice *choice = row->choices;

    while (choice->name != NULL && choice->value != value) {
        choice++;
    }
    return choice->name;
}

const char *flags_text(const struct flag_set *set, const struct flag *row, size_t item)
{
    if (row->kind == FLAG_LIST) {
        const struct flag_list *list = place(set, row);
        return item < list->count ? list->items[item] : NULL;
    }
    return row->kind == FLAG_TEXT ? *(const char *const *)place(set, row) : NULL;
}

static bool format_span(const struct flag_span *span, char *out_text, size_t text_bytes)
{
    snprintf(out_text, text_bytes, "%" PRIu32 "-%" PRIu32, span->min, span->max);
    return span->max != 0;
}

static bool format_number(const struct flag *row, uint64_t value, char *out_text, size_t text_bytes)
{
    if (is_none(row, value)) {
        return copy_text("none", out_text, text_bytes);
    }
    if (row->kind == FLAG_TIME) {
        format_time(row, value, out_text, text_bytes);
    } else {
        snprintf(out_text, text_bytes, "%" PRIu64, value);
    }
    return true;
}

bool flags_format(const struct flag_set *set, const struct flag *row, size_t item, char *out_text,
                  size_t text_bytes)
{
    const void *value = place(set, row);

    switch (row->kind) {
    case FLAG_SWITCH:
    case FLAG_BOOL:
        return copy_text(*(const bool *)value ? "true" : "false", out_text, text_bytes);
    case FLAG_UINT:
    case FLAG_TIME:
        return format_number(row, load(value, row->width), out_text, text_bytes);
    case FLAG_REAL:
        snprintf(out_text, text_bytes, "%.15g", *(const double *)value);
        return true;
    case FLAG_CHOICE:
        return copy_text(choice_name(row, load(value, row->width)), out_text, text_bytes);
    case FLAG_TEXT:
    case FLAG_LIST:
        return copy_text(flags_text(set, row, item), out_text, text_bytes);
    case FLAG_SPAN:
        return format_span(value, out_text, text_bytes);
    }
    return false;
}

/* The command line ---------------------------------------------------------------------------- */

/* The arguments that are still to be read. */
struct arguments {
    char *const *next;
    int left;
};

/* An option as it stands on the command line. */
struct spelling {
    const char *text; /* "--shards" or "-c", of `bytes` bytes: how errors name it */
    int bytes;
    const char *value; /* what follows in the same argument; NULL: nothing */
};

static bool is_bool(const char *text)
{
    return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

static const struct flag *find_letter(const struct flag_set *set, char letter)
{
    for (size_t index = 0; index < set->count; index++) {
        const struct flag *row = &set->rows[index];
        if (row->letter == letter && flags_has(set, row)) {
            return row;
        }
    }
    return NULL;
}

/* Is this word an option? Few values look like one; they can follow a '='. */
static bool is_option(const struct flag_set *set, const char *word)
{
    char name[NAME_BYTES];
    size_t bytes = strcspn(word, "=");

    if (word[0] == '-' && word[1] == '-') {
        snprintf(name, sizeof(name), "%.*s", (int)bytes - 2, word + 2);
        return bytes - 2 < sizeof(name) && flags_find(set, name) != NULL;
    }
    return word[0] == '-' && word[1] != '\0' && word[2] == '\0' &&
           find_letter(set, word[1]) != NULL;
}

static bool refuse_missing(struct flag_set *set, const struct flag *row,
                           const struct spelling *spelling)
{
    char words[FLAG_VALUE_BYTES];

    flags_describe(row, words, sizeof(words));
    bool is_cry_for_help = row->letter == 'h' && strcmp(spelling->text, "-h") == 0;
    return refuse(set, "option '%.*s' needs a value: %s%s", spelling->bytes, spelling->text, words,
                  is_cry_for_help ? "; for help write --help" : "");
}

/* An option stands where the value should. */
static bool refuse_option(struct flag_set *set, const struct flag *row,
                          const struct spelling *spelling, const char *word)
{
    char words[FLAG_VALUE_BYTES];

    flags_describe(row, words, sizeof(words));
    return refuse(set,
                  "option '%.*s' needs a value: %s; '%.100s' is an option, and as a value is "
                  "written %.*s=%.100s",
                  spelling->bytes, spelling->text, words, word, spelling->bytes, spelling->text,
                  word);
}

/* What a list takes behind its first value. */
static bool take_more(struct flag_set *set, const struct flag *row, const struct spelling *spelling,
                      struct arguments *arguments)
{
    unsigned words = row->words_count > 0 ? row->words_count - 1 : 0;

    if (words > 0 && arguments->left > 0 && row->longer_for != NULL &&
        strcmp(arguments->next[0], row->longer_for) == 0) {
        words++;
    }
    for (; words > 0 && arguments->left > 0; words--) {
        arguments->left--;
        if (!flags_give(set, row, *arguments->next++)) {
            return false;
        }
    }
    while (row->more_with != NULL && arguments->left > 0 && arguments->next[0][0] != '-' &&
           strpbrk(arguments->next[0], row->more_with) != NULL) {
        arguments->left--;
        if (!flags_give(set, row, *arguments->next++)) {
            return false;
        }
    }
    return words == 0 || refuse_missing(set, row, spelling);
}

/* Finds the value, in the same argument or in the next, and gives it to the row. */
static bool take_value(struct flag_set *set, const struct flag *row,
                       const struct spelling *spelling, struct arguments *arguments)
{
    char reason[FLAG_ERROR_BYTES];
    const char *value = spelling->value;
    bool is_next_ours =
        arguments->left > 0 && (row->kind != FLAG_SWITCH || is_bool(arguments->next[0]));

    if (value == NULL && is_next_ours) {
        bool takes_any = row->kind == FLAG_TEXT || row->kind == FLAG_LIST;
        if (takes_any && is_option(set, arguments->next[0])) {
            return refuse_option(set, row, spelling, arguments->next[0]);
        }
        value = *arguments->next++;
        arguments->left--;
    } else if (value == NULL && row->kind == FLAG_SWITCH) {
        if (set->operands == NULL && arguments->left > 0 && arguments->next[0][0] != '-') {
            return refuse(set, "unexpected argument '%.100s' behind '%.*s'; write true or false",
                          arguments->next[0], spelling->bytes, spelling->text);
        }
        value = "true";
    }
    if (value == NULL) {
        return refuse_missing(set, row, spelling);
    }
    if (flags_give(set, row, value)) {
        return take_more(set, row, spelling, arguments);
    }
    memcpy(reason, set->error, sizeof(reason));
    return refuse(set, "option '%.*s': %.400s", spelling->bytes, spelling->text, reason);
}

/* True if another verb has a row of that name. */
static bool is_elsewhere(const struct flag_set *set, const char *name)
{
    for (size_t index = 0; index < set->count; index++) {
        if (!flags_has(set, &set->rows[index]) && has_name(&set->rows[index], name)) {
            return true;
        }
    }
    return false;
}

static bool refuse_long(struct flag_set *set, const char *name)
{
    struct nearest nearest = {.word = name};

    if (is_elsewhere(set, name)) {
        return refuse(set, "option '--%s' has no meaning here; leave it out", name);
    }
    for (size_t index = 0; index < set->count; index++) {
        if (flags_has(set, &set->rows[index])) {
            nearest_consider(&nearest, set->rows[index].name);
        }
    }
    if (nearest.best == NULL) {
        return refuse(set, "unknown option '--%.100s'", name);
    }
    return refuse(set, "unknown option '--%.100s'; did you mean '--%s'?", name, nearest.best);
}

static bool parse_long(struct flag_set *set, const char *text, struct arguments *arguments)
{
    char name[NAME_BYTES];
    size_t bytes = strcspn(text, "=");
    struct spelling spelling = {.text = text, .bytes = (int)bytes};

    if (bytes - 2 >= sizeof(name)) {
        return refuse(set, "unknown option '%.100s'", text);
    }
    memcpy(name, text + 2, bytes - 2);
    name[bytes - 2] = '\0';
    const struct flag *row =
        set->is_lenient || strchr(name, '_') == NULL ? flags_find(set, name) : NULL;
    if (row == NULL) {
        return refuse_long(set, name);
    }
    spelling.value = text[bytes] == '=' ? text + bytes + 1 : NULL;
    return take_value(set, row, &spelling, arguments);
}

/* An unknown letter, or a long name after a single dash. */
static bool refuse_letter(struct flag_set *set, const char *text)
{
    const struct flag *row = flags_find(set, text + 1);

    if (row != NULL) {
        return refuse(set, "unknown option '%.100s'; did you mean '--%s'?", text, row->name);
    }
    for (size_t index = 0; index < set->count; index++) {
        if (set->rows[index].letter == text[1]) { /* of another verb */
            return refuse(set, "option '-%c' (--%s) has no meaning here; leave it out", text[1],
                          set->rows[index].name);
        }
    }
    row = find_letter(set, (char)(text[1] ^ 0x20)); /* the other case */
    if (row != NULL) {
        return refuse(set, "unknown option '-%c'; did you mean '-%c' (--%s)?", text[1], row->letter,
                      row->name);
    }
    return refuse(set, "unknown option '-%c'", text[1]);
}

static bool parse_letter(struct flag_set *set, const char *text, struct arguments *arguments)
{
    const struct flag *row = find_letter(set, text[1]);
    struct spelling spelling = {.text = text, .bytes = 2};

    if (row == NULL || (text[2] != '\0' && flags_find(set, text + 1) != NULL)) {
        return refuse_letter(set, text);
    }
    if (text[2] != '\0') {
        spelling.value = text[2] == '=' ? text + 3 : text + 2;
    }
    return take_value(set, row, &spelling, arguments);
}

/* An argument that is no option. */
static bool take_operand(struct flag_set *set, const char *text)
{
    if (set->operands == NULL) {
        return refuse(set, "unexpected argument '%.100s'; options begin with '-'", text);
    }
    if (set->operands_count == set->operands_max) {
        return refuse(set, "'%.100s' is one argument too many", text);
    }
    set->operands[set->operands_count++] = text;
    return true;
}

static bool take_rest(struct flag_set *set, struct arguments *arguments)
{
    bool is_good = true;

    for (; arguments->left > 0 && is_good; arguments->left--) {
        is_good = take_operand(set, *arguments->next++);
    }
    return is_good;
}

static bool parse_one(struct flag_set *set, struct arguments *arguments)
{
    const char *text = *arguments->next++;

    arguments->left--;
    if (set->operands != NULL && strcmp(text, "--") == 0) {
        return take_rest(set, arguments);
    }
    if (text[0] == '-' && text[1] == '-' && text[2] != '\0') {
        return parse_long(set, text, arguments);
    }
    if (text[0] == '-' && text[1] != '-' && text[1] != '\0') {
        return parse_letter(set, text, arguments);
    }
    return take_operand(set, text);
}

bool flags_parse(struct flag_set *set, int argc, char *const *argv)
{
    struct arguments arguments = {.next = argv, .left = argc};

    flags_begin(set);
    while (arguments.left > 0) {
        if (!parse_one(set, &arguments)) {
            return false;
        }
    }
    return true;
}
