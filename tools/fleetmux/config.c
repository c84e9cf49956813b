/*
 * config — reads and writes settings as YAML through libcyaml
 *
 * Why it is so:   libcyaml checks structure against a schema, but takes "10k" as 10 and "maybe" as
 *                 true. So the schema, made from the verb's rows, asks for texts alone, and each
 *                 text then goes through the parser of the command line: one grammar, one set of
 *                 ranges, one wording. libcyaml tells its errors to a log function only; we keep
 *                 the first line and the first position of each and word them anew.
 * Words:          key: a row's name with _ for -; field: libcyaml's description of a key
 * Memory:         struct config owns libcyaml's texts, which the settings then borrow
 * Threads:        one
 * Limits:         files up to 1 MiB; one flat mapping of scalars and lists of scalars
 * Not here:       what a key means: the table in the verb's own file
 */
#include "tools/fleetmux/config.h"

#include "tools/fleetmux/nearest.h"

#include <cyaml/cyaml.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_BYTES_MAX (1 << 20)
#define NAME_BYTES_MAX   64

/* One key's place in the file: a text, or a list of texts. */
struct entry {
    char *text;
    char **items;
    uint64_t items_count;
};

struct config {
    struct entry entries[FLAG_ROWS_MAX];
};

/* libcyaml's view of the set, and what it complained of. */
struct schema {
    char keys[FLAG_ROWS_MAX][NAME_BYTES_MAX];
    cyaml_schema_field_t fields[FLAG_ROWS_MAX + 1];
    cyaml_schema_value_t top;
    cyaml_config_t cyaml;
    char complaint[FLAG_ERROR_BYTES]; /* its first error line */
    char field[NAME_BYTES_MAX];       /* the key of the first position */
    unsigned line, column;            /* 0: it gave none */
};

static const cyaml_schema_value_t item_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

/* The schema --------------------------------------------------------------------------------- */

/* libcyaml's log: the first line is the error, "in mapping field 'x' (line: 1, column: 2)" where.
 */
static void keep_complaint(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    struct schema *schema = context;
    char line[FLAG_ERROR_BYTES];

    (void)level;
    vsnprintf(line, sizeof(line), format, arguments);
    line[strcspn(line, "\n")] = '\0';
    if (schema->complaint[0] == '\0') {
        const char *words = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;
        memcpy(schema->complaint, words, strlen(words) + 1);
    }
    const char *position = strstr(line, "(line: ");
    if (position != NULL && schema->line == 0) {
        (void)sscanf(position, "(line: %u, column: %u", &schema->line, &schema->column);
    }
    const char *field = strstr(line, "mapping field '");
    if (field != NULL && schema->field[0] == '\0') {
        (void)sscanf(field, "mapping field '%63[^']", schema->field);
    }
}

static void name_key(const struct flag *row, char *out_key)
{
    snprintf(out_key, NAME_BYTES_MAX, "%s", row->name);
    for (char *at = strchr(out_key, '-'); at != NULL; at = strchr(at, '-')) {
        *at = '_';
    }
}

static bool is_key(const struct flag_set *set, const struct flag *row)
{
    return flags_has(set, row) && !row->command_line;
}

static cyaml_schema_field_t text_field(const char *key, size_t index)
{
    return (cyaml_schema_field_t){
        .key = key,
        .data_offset = (uint32_t)(index * sizeof(struct entry) + offsetof(struct entry, text)),
        .value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, char, 0,
                                     CYAML_UNLIMITED)},
    };
}

static cyaml_schema_field_t list_field(const char *key, size_t index)
{
    size_t base = index * sizeof(struct entry);

    return (cyaml_schema_field_t){
        .key = key,
        .data_offset = (uint32_t)(base + offsetof(struct entry, items)),
        .count_offset = (uint32_t)(base + offsetof(struct entry, items_count)),
        .count_size = sizeof(uint64_t),
        .value = {CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, char *,
                                       &item_schema, 0, FLAG_ITEMS_MAX)},
    };
}

static void make_schema(const struct flag_set *set, struct schema *schema)
{
    size_t used = 0;

    memset(schema, 0, sizeof(*schema));
    for (size_t index = 0; index < set->count; index++) {
        const struct flag *row = &set->rows[index];
        if (is_key(set, row)) {
            name_key(row, schema->keys[index]);
            schema->fields[used++] = row->kind == FLAG_LIST
                                         ? list_field(schema->keys[index], index)
                                         : text_field(schema->keys[index], index);
        }
    }
    schema->top = (cyaml_schema_value_t){
        CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, schema->fields),
    };
    schema->cyaml = (cyaml_config_t){
        .log_fn = keep_complaint,
        .log_ctx = schema,
        .mem_fn = cyaml_mem,
        .log_level = CYAML_LOG_ERROR,
        .flags = CYAML_CFG_STYLE_BLOCK,
    };
}

/* Reading ------------------------------------------------------------------------------------ */

/* The whole file with a zero behind it; NULL: set->error. */
static char *read_file(const char *path, struct flag_set *set, size_t *out_bytes)
{
    FILE *file = fopen(path, "re");
    char *text = file == NULL ? NULL : malloc(CONFIG_BYTES_MAX + 1);

    if (text == NULL) {
        snprintf(set->error, sizeof(set->error), "%s: cannot be read: %s", path, strerror(errno));
        goto done;
    }
    *out_bytes = fread(text, 1, CONFIG_BYTES_MAX + 1, file);
    if (ferror(file) || *out_bytes > CONFIG_BYTES_MAX) {
        snprintf(set->error, sizeof(set->error), "%s: %s", path,
                 ferror(file) ? "cannot be read; is it a file?" : "is larger than 1 MiB");
        free(text);
        text = NULL;
        goto done;
    }
    text[*out_bytes] = '\0';
done:
    if (file != NULL) {
        fclose(file);
    }
    return text;
}

/* The line on which `key` stands as a key, 0 if it cannot be told. */
static unsigned line_of(const char *text, const char *key)
{
    unsigned line = 1;

    for (;; line++) {
        const char *at = text + strspn(text, " {\"'");
        if (strncmp(at, key, strlen(key)) == 0) {
            at += strlen(key);
            at += strspn(at, "\"' ");
            if (*at == ':') {
                return line;
            }
        }
        text = strchr(text, '\n');
        if (text == NULL) {
            return 0;
        }
        text++;
    }
}

static void suggest(const struct flag_set *set, const struct schema *schema,
                    struct nearest *nearest)
{
    for (size_t index = 0; index < set->count; index++) {
        if (schema->keys[index][0] != '\0') {
            nearest_consider(nearest, schema->keys[index]);
        }
    }
}

static void refuse_key(struct flag_set *set, const struct schema *schema, const char *path,
                       const char *text, const char *key)
{
    struct nearest nearest = {.word = key};
    unsigned line = line_of(text, key);

    suggest(set, schema, &nearest);
    snprintf(set->error, sizeof(set->error), "%s:%u: unknown key '%.60s'%s%s%s", path,
             line != 0 ? line : schema->line, key, nearest.best != NULL ? "; did you mean '" : "",
             nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
}

/* libcyaml's complaint in our words. */
static const char *reword(const struct schema *schema)
{
    if (strstr(schema->complaint, "Expecting MAPPING") != NULL) {
        return "the file must be lines of 'key: value'";
    }
    if (strstr(schema->complaint, "Expecting SEQUENCE") != NULL) {
        return "expects a list; write [value] or lines of '- value'";
    }
    if (strstr(schema->complaint, "Expecting STRING") != NULL) {
        return "expects one plain value, neither a list nor further keys";
    }
    if (strstr(schema->complaint, "already seen") != NULL) {
        return "stands twice; remove one";
    }
    return schema->complaint;
}

/* After libcyaml refused the file: which key, where, and why. */
static void refuse_file(struct flag_set *set, const struct schema *schema, const char *path,
                        const char *text)
{
    const char *unknown = "Unexpected key: ";

    if (strncmp(schema->complaint, unknown, strlen(unknown)) == 0) {
        refuse_key(set, schema, path, text, schema->complaint + strlen(unknown));
        return;
    }
    char where[32] = "";
    if (strncmp(schema->complaint, "libyaml", 7) == 0 && schema->line != 0) {
        snprintf(where, sizeof(where), " at or after line %u:", schema->line);
    } else if (schema->line != 0) {
        snprintf(where, sizeof(where), "%u:%u:", schema->line, schema->column);
    }
    snprintf(set->error, sizeof(set->error), "%s:%s%s%s%s %.200s", path, where,
             schema->field[0] != '\0' ? " key '" : "", schema->field,
             schema->field[0] != '\0' ? "':" : "", reword(schema));
}

static bool give_entry(struct flag_set *set, const struct flag *row, const struct entry *entry)
{
    if (entry->text != NULL) {
        return flags_give(set, row, entry->text);
    }
    for (uint64_t item = 0; item < entry->items_count; item++) {
        if (!flags_give(set, row, entry->items[item])) {
            return false;
        }
    }
    return true;
}

static bool give_entries(struct flag_set *set, const struct schema *schema,
                         const struct config *config, const char *path, const char *text)
{
    char reason[FLAG_ERROR_BYTES];

    for (size_t index = 0; index < set->count; index++) {
        if (!give_entry(set, &set->rows[index], &config->entries[index])) {
            memcpy(reason, set->error, sizeof(reason));
            snprintf(set->error, sizeof(set->error), "%s:%u: key '%s': %.300s", path,
                     line_of(text, schema->keys[index]), schema->keys[index], reason);
            return false;
        }
    }
    return true;
}

static void release(struct config *config, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        struct entry *entry = &config->entries[index];
        free(entry->text);
        for (uint64_t item = 0; item < entry->items_count; item++) {
            free(entry->items[item]);
        }
        free(entry->items);
    }
    free(config);
}

struct config *config_open(const char *path, struct flag_set *set)
{
    struct schema schema;
    struct config *config = NULL;
    size_t bytes = 0;
    char *text = read_file(path, set, &bytes);

    if (text == NULL) {
        return NULL;
    }
    flags_begin(set);
    make_schema(set, &schema);
    if (cyaml_load_data((const uint8_t *)text, bytes, &schema.cyaml, &schema.top,
                        (cyaml_data_t **)&config, NULL) != CYAML_OK) {
        refuse_file(set, &schema, path, text);
        config = NULL;
    } else if (config == NULL) { /* nothing but comments */
        config = calloc(1, sizeof(*config));
    } else if (!give_entries(set, &schema, config, path, text)) {
        config_close(config);
        config = NULL;
    }
    free(text);
    return config;
}

void config_close(struct config *config)
{
    if (config != NULL) {
        release(config, FLAG_ROWS_MAX);
    }
}

/* Writing ------------------------------------------------------------------------------------ */

/* An empty list is left out. */
static bool copy_list(const struct flag_set *set, const struct flag *row, struct entry *entry)
{
    const char *text = flags_text(set, row, 0);

    if (text != NULL) {
        entry->items = calloc(FLAG_ITEMS_MAX, sizeof(*entry->items));
    }
    while (entry->items != NULL && text != NULL) {
        entry->items[entry->items_count] = strdup(text);
        if (entry->items[entry->items_count++] == NULL) {
            return false;
        }
        text = flags_text(set, row, entry->items_count);
    }
    return text == NULL;
}

static bool copy_text(const struct flag_set *set, const struct flag *row, struct entry *entry)
{
    char room[FLAG_VALUE_BYTES];
    const char *text = flags_text(set, row, 0);

    if (row->kind != FLAG_TEXT && flags_format(set, row, 0, room, sizeof(room))) {
        text = room;
    }
    entry->text = text != NULL ? strdup(text) : NULL;
    return text == NULL || entry->text != NULL;
}

static bool copy_values(const struct flag_set *set, struct config *config)
{
    bool is_good = true;

    for (size_t index = 0; index < set->count && is_good; index++) {
        const struct flag *row = &set->rows[index];
        if (is_key(set, row)) {
            is_good = row->kind == FLAG_LIST ? copy_list(set, row, &config->entries[index])
                                             : copy_text(set, row, &config->entries[index]);
        }
    }
    return is_good;
}

static bool write_yaml(struct flag_set *set, struct schema *schema, const struct config *config,
                       FILE *out)
{
    char *text = NULL;
    size_t bytes = 0;
    cyaml_err_t error = cyaml_save_data(&text, &bytes, &schema->cyaml, &schema->top, config, 0);

    if (error != CYAML_OK) {
        snprintf(set->error, sizeof(set->error), "the settings could not be written: %s",
                 cyaml_strerror(error));
        return false;
    }
    fwrite(text, 1, bytes, out);
    free(text);
    return true;
}

bool config_print(struct flag_set *set, FILE *out)
{
    struct schema schema;
    struct config *config = calloc(1, sizeof(*config));
    bool is_good = config != NULL && copy_values(set, config);

    if (!is_good) {
        snprintf(set->error, sizeof(set->error), "memory ran out");
    } else {
        make_schema(set, &schema);
        is_good = write_yaml(set, &schema, config, out);
    }
    config_close(config);
    return is_good;
}
