/*
 * scenario — a file becomes a plan, and what is wrong with it gets its line
 *
 * Why it is so:   whoever writes a scenario by hand mistypes it. So all of it is looked at before
 *                 anything connects: its YAML, each key and value, the files that it names, what
 *                 the library says of the plan as a whole; and every answer begins with the place.
 *                 The library names fields of its structs; the tables know which keys these are.
 * Words:          see scenario_parts.h
 * Invariants:     (1) a scenario that is opened has a plan that fmx_fleet_plan_check takes
 * Memory:         everything that the plan points to, until scenario_close, which wipes it: there
 *                 are secrets in it. libyaml's own buffers are not wiped
 * Threads:        one
 * Limits:         16 MiB a file, 1 GiB of what is made of it; levels, anchors and aliases below
 * Not here:       keys: scenario_keys.c
 */
#include "tools/fleetmux/scenario_parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX   100u
#define ANCHORS_MAX 1000u
#define ALIASES_MAX 100000u

/* ── memory ── */

struct scenario_block {
    struct scenario_block *next;
    size_t bytes;
    _Alignas(16) uint8_t data[];
};

void *scenario_take(struct scenario_memory *memory, size_t count, size_t bytes)
{
    size_t size = 0;

    if (__builtin_mul_overflow(count, bytes, &size) || size > SCENARIO_MEMORY_BYTES_MAX ||
        memory->bytes + size > SCENARIO_MEMORY_BYTES_MAX) {
        return NULL;
    }
    struct scenario_block *block = calloc(1, sizeof(*block) + size);
    if (block == NULL) {
        return NULL;
    }
    block->next = memory->blocks;
    block->bytes = size;
    memory->blocks = block;
    memory->bytes += size;
    return block->data;
}

static void wipe_document(yaml_document_t *document)
{
    for (yaml_node_t *node = document->nodes.start; node < document->nodes.top; node++) {
        if (node->type == YAML_SCALAR_NODE) {
            explicit_bzero(node->data.scalar.value, node->data.scalar.length);
        }
    }
    yaml_document_delete(document);
}

static void release(struct scenario_memory *memory)
{
    while (memory->blocks != NULL) {
        struct scenario_block *block = memory->blocks;
        memory->blocks = block->next;
        explicit_bzero(block->data, block->bytes);
        free(block);
    }
    if (memory->has_document) {
        wipe_document(&memory->document);
    }
    for (size_t i = 0; i < memory->devices_count; i++) {
        fleet_devices_close(memory->devices[i]);
    }
    free(memory);
}

void scenario_close(struct scenario *scenario)
{
    if (scenario == NULL) {
        return;
    }
    if (scenario->memory != NULL) {
        release(scenario->memory);
    }
    if (scenario->text != NULL) {
        explicit_bzero(scenario->text, strlen(scenario->text));
        free(scenario->text);
    }
    free(scenario);
}

/* ── the file ── */

static bool refuse_file(const struct scenario_reader *reader, const char *words, const char *more)
{
    snprintf(reader->error, reader->error_bytes, "%s: %s%s", reader->path, words, more);
    return false;
}

/* Room for a file, as far as that can be told, with a byte to see that there is more. */
static size_t room_for(FILE *file)
{
    struct stat facts;
    bool is_known = fstat(fileno(file), &facts) == 0 && S_ISREG(facts.st_mode) &&
                    facts.st_size < (off_t)SCENARIO_BYTES_MAX;

    return (is_known ? (size_t)facts.st_size : SCENARIO_BYTES_MAX) + 1;
}

/* All of it with a zero behind it; NULL: refused. */
static char *read_text(const struct scenario_reader *reader, FILE *file, size_t *out_bytes)
{
    size_t room = room_for(file);
    char *text = malloc(room + 1);

    if (text == NULL) {
        refuse_file(reader, "memory ran out", "");
        return NULL;
    }
    *out_bytes = fread(text, 1, room, file);
    text[*out_bytes] = '\0';
    if (!ferror(file) && *out_bytes < room) {
        return text;
    }
    refuse_file(reader,
                ferror(file)
                    ? "cannot be read; is it a file?"
                    : "is larger than 16 MiB; a list of devices stands in a file of its own",
                "");
    free(text);
    return NULL;
}

static bool read_file(struct scenario_reader *reader, size_t *out_bytes)
{
    FILE *file = fopen(reader->path, "re");

    if (file == NULL) {
        return refuse_file(reader, "cannot be read: ", strerror(errno));
    }
    reader->scenario->text = read_text(reader, file, out_bytes);
    fclose(file);
    return reader->scenario->text != NULL;
}

/* A byte that is no UTF-8, or no character for a text: line and column are counted here. */
static bool refuse_byte(const struct scenario_reader *reader, const yaml_parser_t *parser,
                        const char *text)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < parser->problem_offset && text[i] != '\0'; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n' ? 1 : 0;
    }
    bool is_control = strstr(parser->problem, "control") != NULL;
    snprintf(reader->error, reader->error_bytes, "%s:%zu:%zu: here is %s", reader->path, line,
             column,
             is_control ? "a control character; leave it out"
                        : "something that is not UTF-8 text; save the file as UTF-8");
    return false;
}

/* What libyaml cannot read, in its words. */
static bool refuse_yaml(const struct scenario_reader *reader, const yaml_parser_t *parser,
                        const char *text)
{
    char context[FLAG_VALUE_BYTES] = "";
    const char *problem = parser->problem != NULL ? parser->problem : "cannot be read";
    const char *hint = strstr(problem, "cannot start any token") != NULL
                           ? "; put a text that begins with %, @, ` or a tab into quotes"
                           : "";

    if (parser->error == YAML_READER_ERROR && parser->problem != NULL) {
        return refuse_byte(reader, parser, text);
    }
    if (parser->error == YAML_MEMORY_ERROR) {
        return refuse_file(reader, "memory ran out", "");
    }
    if (parser->context != NULL) {
        snprintf(context, sizeof(context), " (%s that begins at line %zu)", parser->context,
                 parser->context_mark.line + 1);
    }
    snprintf(reader->error, reader->error_bytes, "%s:%zu:%zu: this is not YAML: %s%s%s",
             reader->path, parser->problem_mark.line + 1, parser->problem_mark.column + 1, problem,
             context, hint);
    return false;
}

/* What libyaml takes long for: each level costs it a look at all others, and so does an anchor. */
struct census {
    unsigned depth, anchors, aliases;
};

/* False: one of the bounds is passed, at this event. */
static bool count_event(struct census *census, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL;

    switch (event->type) {
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        census->depth++;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        census->depth++;
        break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        census->depth--;
        break;
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        break;
    case YAML_ALIAS_EVENT:
        census->aliases++;
        break;
    default:
        break;
    }
    census->anchors += anchor != NULL ? 1 : 0;
    return census->depth <= DEPTH_MAX && census->anchors <= ANCHORS_MAX &&
           census->aliases <= ALIASES_MAX;
}

/* A first look, which stops early. What is no YAML is left to the second one. */
static bool check_shape(struct scenario_reader *reader, const char *text, size_t bytes)
{
    yaml_parser_t parser;
    yaml_event_t event;
    struct census census = {0};
    bool is_good = true, is_over = false;

    if (!yaml_parser_initialize(&parser)) {
        return refuse_file(reader, "memory ran out", "");
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const uint8_t *)text, bytes);
    while (is_good && !is_over && yaml_parser_parse(&parser, &event)) {
        is_good = count_event(&census, &event);
        is_over = event.type == YAML_STREAM_END_EVENT;
        if (!is_good) {
            snprintf(reader->error, reader->error_bytes,
                     "%s:%zu:%zu: here are more than %u levels, %u anchors or %u aliases; a "
                     "scenario has no use for so many",
                     reader->path, event.start_mark.line + 1, event.start_mark.column + 1,
                     DEPTH_MAX, ANCHORS_MAX, ALIASES_MAX);
        }
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return is_good;
}

/* There is one document, and no second. */
static bool load_documents(struct scenario_reader *reader, yaml_parser_t *parser)
{
    struct scenario_memory *memory = reader->scenario->memory;
    const char *text = reader->scenario->text;
    yaml_document_t second;

    if (!yaml_parser_load(parser, &memory->document)) {
        return refuse_yaml(reader, parser, text);
    }
    memory->has_document = true;
    if (yaml_document_get_root_node(&memory->document) == NULL) {
        return refuse_file(reader, "there is nothing in it; see 'fleetmux help fleet scenario'",
                           "");
    }
    if (!yaml_parser_load(parser, &second)) {
        return refuse_yaml(reader, parser, text);
    }
    const yaml_node_t *root = yaml_document_get_root_node(&second);
    if (root != NULL) {
        snprintf(reader->error, reader->error_bytes,
                 "%s:%zu:1: a second document begins here; a scenario is one", reader->path,
                 second.start_mark.line + 1);
    }
    wipe_document(&second);
    return root == NULL;
}

static bool load_yaml(struct scenario_reader *reader)
{
    yaml_parser_t parser;
    size_t bytes = 0;

    if (!read_file(reader, &bytes)) {
        return false;
    }
    const char *text = reader->scenario->text;
    size_t mark = bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    if (!check_shape(reader, text + mark, bytes - mark)) {
        return false;
    }
    if (!yaml_parser_initialize(&parser)) {
        return refuse_file(reader, "memory ran out", "");
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING); /* not what the first bytes look like */
    yaml_parser_set_input_string(&parser, (const uint8_t *)text + mark, bytes - mark);
    bool is_good = load_documents(reader, &parser);
    yaml_parser_delete(&parser);
    return is_good;
}

/* ── what the library refuses ── */

/* A field's path as the library writes it: "groups[1].publishes[0].qos". */
struct locator {
    struct scenario_reader *reader;
    const char *rest;        /* not followed yet */
    const yaml_node_t *node; /* the nearest one so far */
    char key[256];           /* what a file calls it */
    size_t used;
    bool is_missing; /* the key is known, and does not stand in the file */
};

static void add_name(struct locator *locator, const char *name)
{
    int added = snprintf(locator->key + locator->used, sizeof(locator->key) - locator->used, "%s%s",
                         locator->used > 0 ? "." : "", name);

    locator->used += (size_t)added;
    if (locator->used >= sizeof(locator->key)) {
        locator->used = sizeof(locator->key) - 1;
    }
}

/* Which group "[meters]" is; no group: as many as there are. `out_end`: the bracket behind it. */
static unsigned long find_group(const struct locator *locator, char **out_end)
{
    const struct fmx_fleet_plan *plan = &locator->reader->scenario->plan;
    unsigned long group = 0;

    for (; group < plan->groups_count; group++) {
        const char *name = plan->groups[group].name;
        size_t bytes = name != NULL ? strlen(name) : 0;
        if (bytes > 0 && strncmp(locator->rest + 1, name, bytes) == 0 &&
            locator->rest[bytes + 1] == ']') {
            *out_end = (char *)(uintptr_t)locator->rest + bytes + 1;
            break;
        }
    }
    return group;
}

/* Follows "[2]" into a list, or "[meters]" into the groups. */
static void follow_index(struct locator *locator, bool are_groups)
{
    char *end = NULL;

    if (*locator->rest != '[') {
        return;
    }
    unsigned long index = are_groups ? find_group(locator, &end) : 0;
    if (end == NULL) {
        index = strtoul(locator->rest + 1, &end, 10);
    }
    yaml_node_t *list = (yaml_node_t *)(uintptr_t)locator->node;
    if (*end == ']' && index < scenario_items_count(list)) {
        int added = snprintf(locator->key + locator->used, sizeof(locator->key) - locator->used,
                             "[%lu]", index);
        locator->used += (size_t)added;
        locator->node = scenario_item(locator->reader, list, index);
        locator->rest = end + 1;
    }
}

static size_t match_word(const char *word, const char *rest)
{
    size_t bytes = strlen(word);
    char next = strncmp(rest, word, bytes) == 0 ? rest[bytes] : 'x';

    return isalnum((unsigned char)next) || next == '_' ? 0 : bytes;
}

/* Does the library's path begin with this key's field? Then its length. */
static size_t match_member(const struct scenario_key *key, const char *rest)
{
    bool is_rate = key->form == FORM_RATES, is_factor = key->form == FORM_FACTORS;
    size_t bytes = key->member != NULL ? match_word(key->member, rest) : 0;

    if (bytes == 0 && (is_rate || is_factor)) { /* the second of a pair */
        bytes = match_word(is_rate ? "rate_end" : "publish_end", rest);
    }
    return bytes;
}

/* A stage's keys stand behind its kind. */
static const yaml_node_t *enter_stage(struct locator *locator)
{
    const yaml_node_t *node = locator->node;

    if (node->type != YAML_MAPPING_NODE ||
        node->data.mapping.pairs.start == node->data.mapping.pairs.top) {
        return node;
    }
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    add_name(locator, (const char *)scenario_node(locator->reader, pair->key)->data.scalar.value);
    return scenario_node(locator->reader, pair->value);
}

/* Goes down as far as the file has it. True: all of the path is known as a key. */
static bool locate(struct locator *locator, const struct scenario_level *level)
{
    if (level == &scenario_stage) {
        locator->node = enter_stage(locator);
    }
    for (size_t i = 0; i < level->keys_count; i++) {
        const struct scenario_key *key = &level->keys[i];
        size_t bytes = match_member(key, locator->rest);
        bool is_inside = key->member == NULL && key->level != NULL; /* same struct, further keys */
        const yaml_node_t *value = scenario_value_of(locator->reader, locator->node, key->row.name);
        if (bytes == 0 && (!is_inside || value == NULL)) {
            continue;
        }
        struct locator before = *locator;
        add_name(locator, key->row.name);
        locator->rest += bytes;
        locator->node = value != NULL ? value : locator->node;
        if (value != NULL && bytes > 0) {
            follow_index(locator, key->level == &scenario_group);
        }
        if (bytes > 0 && *locator->rest != '.') {
            locator->is_missing = value == NULL;
            return true;
        }
        locator->rest += bytes > 0 ? 1 : 0;
        if (key->level != NULL && value != NULL && locate(locator, key->level)) {
            return true;
        }
        if (bytes > 0) {
            return false;
        }
        *locator = before;
    }
    return false;
}

/* The library's words behind the place that they are about. */
static void say_place(const struct scenario_reader *reader, const struct locator *locator,
                      bool is_known, const char *words)
{
    snprintf(reader->error, reader->error_bytes, "%s:%zu:%zu: %s%s%s%s", reader->path,
             locator->node->start_mark.line + 1, locator->node->start_mark.column + 1,
             is_known ? "key '" : "", is_known ? locator->key : "", is_known ? "'" : "",
             is_known ? locator->rest : words);
}

static bool refuse_plan(struct scenario_reader *reader, const char *words, yaml_node_t *root)
{
    struct locator locator = {.reader = reader, .rest = words, .node = root};
    bool is_known = locate(&locator, &scenario_top);

    say_place(reader, &locator, is_known, words);
    return false;
}

bool scenario_words(struct scenario *scenario, const char *path, char *words, size_t words_bytes)
{
    char said[FLAG_ERROR_BYTES], of_mux[FLAG_ERROR_BYTES];
    struct scenario_reader reader = {
        .path = path, .scenario = scenario, .error = said, .error_bytes = sizeof(said)};
    yaml_node_t *root = yaml_document_get_root_node(&scenario->memory->document);
    struct locator locator = {.reader = &reader, .rest = words, .node = root};

    bool is_known = locate(&locator, &scenario_top);
    if (!is_known && locator.node == root) { /* the mux names its own fields without a path */
        snprintf(of_mux, sizeof(of_mux), "mux.%s", words);
        locator.rest = of_mux;
        is_known = locate(&locator, &scenario_top);
    }
    if (locator.node == root || locator.is_missing) {
        return false;
    }
    say_place(&reader, &locator, is_known, words);
    snprintf(words, words_bytes, "%s", said);
    return true;
}

/* ── the whole ── */

/* The folder of a path, with its slash. NULL: memory. */
static const char *folder_of(struct scenario_memory *memory, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t bytes = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    char *folder = scenario_take(memory, bytes + 1, 1);

    if (folder != NULL) {
        memcpy(folder, path, bytes);
    }
    return folder;
}

static bool check_hosts(const struct scenario_reader *reader)
{
    const struct scenario_hosts *hosts = reader->hosts;
    struct scenario_host host;

    for (size_t i = 0; hosts != NULL && i < hosts->count; i++) {
        const char *wrong = scenario_host_read(hosts->items[i], &host);
        if (wrong != NULL) {
            snprintf(reader->error, reader->error_bytes, "option '--host': '%.100s' %s",
                     hosts->items[i], wrong);
            return false;
        }
    }
    return hosts == NULL || hosts->count <= FMX_FLEET_TARGETS_MAX;
}

static bool read_plan(struct scenario_reader *reader)
{
    struct scenario *scenario = reader->scenario;
    char words[FLAG_ERROR_BYTES] = "";
    struct scenario_memory *memory = scenario->memory;

    if (!check_hosts(reader) || !load_yaml(reader)) {
        return false;
    }
    yaml_node_t *root = yaml_document_get_root_node(&memory->document);
    if (!scenario_read_level(reader, NULL, &scenario_top, scenario, root)) {
        return false;
    }
    return fmx_fleet_plan_check(&scenario->plan, words, sizeof(words)) == FMX_OK ||
           refuse_plan(reader, words, root);
}

struct scenario *scenario_open(const char *path, const struct scenario_hosts *hosts, char *error,
                               size_t error_bytes)
{
    struct scenario_reader reader = {
        .path = path, .hosts = hosts, .error = error, .error_bytes = error_bytes};
    struct scenario *scenario = malloc(sizeof(*scenario));

    if (scenario != NULL) {
        scenario_top.init(scenario);
        scenario->memory = calloc(1, sizeof(*scenario->memory));
    }
    reader.scenario = scenario;
    reader.folder =
        scenario != NULL && scenario->memory != NULL ? folder_of(scenario->memory, path) : NULL;
    if (reader.folder == NULL) {
        snprintf(error, error_bytes, "%s: memory ran out", path);
        scenario_close(scenario);
        return NULL;
    }
    if (!read_plan(&reader)) {
        scenario_close(scenario);
        return NULL;
    }
    return scenario;
}
