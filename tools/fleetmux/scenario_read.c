/*
 * scenario_read — walks along the tables: mappings, merges, plain values
 *
 * Why it is so:   libcyaml, which reads the gateway's flat file, gives neither the line of a value
 *                 that we refuse nor unions ("a filter, or its keys"). libyaml beneath it keeps the
 *                 place of every node. A document may share nodes and even hold itself, by anchors;
 *                 the tables end at some depth, and what has none of its own (merges, JSON) is
 *                 bounded here and in scenario_json.c.
 * Words:          see scenario_parts.h; merge: the key "<<", whose mapping fills in what is unsaid
 * Invariants:     (1) every refusal names the place of a node
 *                 (2) a text that settings point to lies in the document, or is the scenario's
 * Memory:         borrows the document
 * Threads:        one
 * Limits:         SCENARIO_KEYS_MAX keys in a level, merges 16 deep
 * Not here:       which keys there are: scenario_keys.c; what a value means: scenario_value.c
 */
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/scenario_parts.h"

#include <stdarg.h>
#include <string.h>

#define MERGES_DEEP_MAX 16
#define PATH_BYTES      256

/* ── refusing ── */

static size_t append(char *text, size_t used, size_t bytes, const char *more)
{
    int added = used < bytes ? snprintf(text + used, bytes - used, "%s", more) : 0;

    return used + (size_t)added;
}

static size_t where_append(const struct scenario_where *where, char *text, size_t bytes)
{
    char item[32];
    size_t used = where->outer != NULL ? where_append(where->outer, text, bytes) : 0;

    if (where->name != NULL) {
        used = used > 0 ? append(text, used, bytes, ".") : used;
        return append(text, used, bytes, where->name);
    }
    snprintf(item, sizeof(item), "[%zu]", where->index);
    return append(text, used, bytes, item);
}

const char *scenario_where_text(const struct scenario_where *where, char *out_text,
                                size_t text_bytes)
{
    out_text[0] = '\0';
    if (where != NULL) {
        where_append(where, out_text, text_bytes);
    }
    return out_text;
}

bool scenario_refuse(struct scenario_reader *reader, const struct scenario_where *where,
                     const yaml_node_t *node, const char *format, ...)
{
    char words[FLAG_ERROR_BYTES], path[PATH_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    scenario_where_text(where, path, sizeof(path));
    snprintf(reader->error, reader->error_bytes, "%s:%zu:%zu: %s%s%s%s", reader->path,
             node->start_mark.line + 1, node->start_mark.column + 1, path[0] != '\0' ? "key '" : "",
             path, path[0] != '\0' ? "': " : "", words);
    return false;
}

bool scenario_refuse_memory(struct scenario_reader *reader, const struct scenario_where *where,
                            const yaml_node_t *node)
{
    return scenario_refuse(reader, where, node,
                           "there is no memory for it, or the scenario takes more than 1 GiB");
}

static bool refuse_form(struct scenario_reader *reader, const struct scenario_where *where,
                        const struct scenario_key *key, const yaml_node_t *node)
{
    char words[FLAG_VALUE_BYTES];
    const char *found = node->type == YAML_SEQUENCE_NODE  ? "is a list"
                        : node->type == YAML_MAPPING_NODE ? "has keys of its own"
                        : scenario_is_null(node)          ? "has no value"
                                                          : "is a single value";

    scenario_value_describe(key, words, sizeof(words));
    return scenario_refuse(reader, where, node, "%s; write %s", found, words);
}

/* ── nodes ── */

yaml_node_t *scenario_node(const struct scenario_reader *reader, int index)
{
    return yaml_document_get_node(&reader->scenario->memory->document, index);
}

size_t scenario_items_count(const yaml_node_t *node)
{
    return node->type != YAML_SEQUENCE_NODE
               ? 1
               : (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
}

yaml_node_t *scenario_item(const struct scenario_reader *reader, yaml_node_t *node, size_t index)
{
    return node->type != YAML_SEQUENCE_NODE
               ? node
               : scenario_node(reader, node->data.sequence.items.start[index]);
}

bool scenario_is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return false;
    }
    const char *text = (const char *)node->data.scalar.value;
    return *text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static bool is_named(const yaml_node_t *key, const char *name)
{
    return key->type == YAML_SCALAR_NODE && strcmp((const char *)key->data.scalar.value, name) == 0;
}

/* A merge and not a key that somebody has quoted. */
static bool is_merge(const yaml_node_t *key)
{
    return is_named(key, "<<") && key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static yaml_node_t *find_value(const struct scenario_reader *reader, const yaml_node_t *mapping,
                               const char *name, unsigned depth)
{
    if (mapping->type != YAML_MAPPING_NODE || depth > MERGES_DEEP_MAX) {
        return NULL;
    }
    const yaml_node_pair_t *pairs = mapping->data.mapping.pairs.start;
    size_t count = (size_t)(mapping->data.mapping.pairs.top - pairs);

    for (size_t i = 0; i < count; i++) {
        if (is_named(scenario_node(reader, pairs[i].key), name)) {
            return scenario_node(reader, pairs[i].value);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (is_merge(scenario_node(reader, pairs[i].key))) {
            yaml_node_t *merged = scenario_node(reader, pairs[i].value), *found = NULL;
            for (size_t item = 0; found == NULL && item < scenario_items_count(merged); item++) {
                found = find_value(reader, scenario_item(reader, merged, item), name, depth + 1);
            }
            return found;
        }
    }
    return NULL;
}

yaml_node_t *scenario_value_of(const struct scenario_reader *reader, const yaml_node_t *mapping,
                               const char *name)
{
    return find_value(reader, mapping, name, 0);
}

/* ── plain values ── */

/* libyaml gives what has no tag the tag of its kind. */
static bool has_tag(const yaml_node_t *node)
{
    const char *tag = node->type == YAML_SCALAR_NODE     ? YAML_DEFAULT_SCALAR_TAG
                      : node->type == YAML_SEQUENCE_NODE ? YAML_DEFAULT_SEQUENCE_TAG
                                                         : YAML_DEFAULT_MAPPING_TAG;

    return node->tag != NULL && strcmp((const char *)node->tag, tag) != 0;
}

const char *scenario_text(struct scenario_reader *reader, const struct scenario_where *where,
                          const struct scenario_key *key, const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || scenario_is_null(node)) {
        refuse_form(reader, where, key, node);
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    if (has_tag(node)) {
        scenario_refuse(reader, where, node, "has the tag %.60s; leave it out",
                        (const char *)node->tag);
        return NULL;
    }
    if (strlen(text) != node->data.scalar.length) {
        scenario_refuse(reader, where, node, "has a zero byte in it; leave it out");
        return NULL;
    }
    return text;
}

const char *scenario_path(struct scenario_reader *reader, const char *text, bool is_template)
{
    const char *folder = text[0] == '/' ? "" : reader->folder;
    size_t room = 2 * strlen(folder) + strlen(text) + 1, used = 0;
    char *path = scenario_take(reader->scenario->memory, room, 1);

    for (; path != NULL && *folder != '\0'; folder++) {
        path[used++] = *folder;
        if (is_template && *folder == '%') {
            path[used++] = '%';
        }
    }
    if (path != NULL) {
        memcpy(path + used, text, strlen(text) + 1);
    }
    return path;
}

bool scenario_read_value(struct scenario_reader *reader, const struct scenario_where *where,
                         const struct scenario_key *key, void *settings, const yaml_node_t *node)
{
    char words[FLAG_ERROR_BYTES];
    const char *text = scenario_text(reader, where, key, node);

    if (text == NULL) {
        return false;
    }
    bool is_path = key->form == FORM_PATH || key->form == FORM_PATH_TEMPLATE;
    if (is_path && *text != '\0') {
        text = scenario_path(reader, text, key->form == FORM_PATH_TEMPLATE);
        if (text == NULL) {
            return scenario_refuse_memory(reader, where, node);
        }
    }
    return scenario_value_read(key, settings, text, words, sizeof(words)) ||
           scenario_refuse(reader, where, node, "%s", words);
}

/* ── keys ── */

/* Which kind of stage the settings are of; 0: of anything else. */
static uint32_t kinds_of(const struct scenario_level *level, const void *settings)
{
    const struct stage_settings *stage = settings;

    return level == &scenario_stage ? 1u << stage->plan.kind : 0;
}

const struct scenario_key *scenario_key_find(const struct scenario_level *level, const char *name)
{
    for (size_t i = 0; i < level->keys_count; i++) {
        if (strcmp(level->keys[i].row.name, name) == 0) {
            return &level->keys[i];
        }
    }
    return NULL;
}

/* A level that has such a key; NULL: none. */
static const struct scenario_level *find_elsewhere(const char *name)
{
    for (const struct scenario_level *const *level = scenario_levels; *level != NULL; level++) {
        if (scenario_key_find(*level, name) != NULL) {
            return *level;
        }
    }
    return NULL;
}

static bool refuse_unknown(struct scenario_reader *reader, const struct scenario_where *where,
                           const struct scenario_level *level, uint32_t kinds,
                           const yaml_node_t *node)
{
    const char *name = where->name;
    struct nearest nearest = {.word = name};
    const struct scenario_level *other = find_elsewhere(name);

    if (other != NULL && other != level) {
        bool is_top = other->path[0] == '\0';
        return scenario_refuse(reader, where, node, "there is no such key here; it is one of %s",
                               is_top ? "the file itself" : other->path);
    }
    for (size_t i = 0; i < level->keys_count; i++) {
        uint32_t its = level->keys[i].row.verbs;
        if (its == 0 || (its & kinds) != 0) {
            nearest_consider(&nearest, level->keys[i].row.name);
        }
    }
    if (nearest.best != NULL) {
        return scenario_refuse(reader, where, node, "there is no such key; did you mean '%s'?",
                               nearest.best);
    }
    return scenario_refuse(reader, where, node, "there is no such key");
}

/* One mapping while it is read, with what is merged into it. */
struct walk {
    const struct scenario_where *where;
    const struct scenario_level *level;
    void *settings;
    uint32_t kinds;
    unsigned mappings;                /* begun so far */
    unsigned seen[SCENARIO_KEYS_MAX]; /* in which of them a key was; 0: in none */
};

static bool read_key(struct scenario_reader *reader, const struct walk *walk,
                     const struct scenario_key *key, yaml_node_t *name, yaml_node_t *node)
{
    const struct scenario_where where = {.outer = walk->where, .name = key->row.name};

    if (key->row.verbs != 0 && (key->row.verbs & walk->kinds) == 0) {
        const struct stage_settings *stage = walk->settings;
        return scenario_refuse(reader, &where, name, "has no meaning in a %s; leave it out",
                               scenario_stage_name(stage->plan.kind));
    }
    if (key->read != NULL) {
        return key->read(reader, &where, key, walk->settings, node);
    }
    if (key->level != NULL) {
        return node->type == YAML_MAPPING_NODE
                   ? scenario_read_level(reader, &where, key->level, walk->settings, node)
                   : refuse_form(reader, &where, key, node);
    }
    return scenario_read_value(reader, &where, key, walk->settings, node);
}

/* A key of ours: in the file itself, for anchors. */
static bool is_private(const struct walk *walk, const char *name)
{
    return walk->level == &scenario_top && strncmp(name, "x-", 2) == 0;
}

static bool read_pair(struct scenario_reader *reader, struct walk *walk, unsigned mapping,
                      const yaml_node_pair_t *pair)
{
    yaml_node_t *name = scenario_node(reader, pair->key);
    yaml_node_t *node = scenario_node(reader, pair->value);

    if (name->type != YAML_SCALAR_NODE ||
        strlen((const char *)name->data.scalar.value) != name->data.scalar.length) {
        return scenario_refuse(reader, walk->where, name,
                               "has a key that is no word; write a name");
    }
    const struct scenario_where where = {.outer = walk->where,
                                         .name = (const char *)name->data.scalar.value};
    if (is_merge(name) || is_private(walk, where.name)) {
        return true;
    }
    const struct scenario_key *key = scenario_key_find(walk->level, where.name);
    if (key == NULL) {
        return refuse_unknown(reader, &where, walk->level, walk->kinds, name);
    }
    unsigned *seen = &walk->seen[key - walk->level->keys];
    if (*seen == mapping) {
        return scenario_refuse(reader, &where, name, "stands twice; remove one");
    }
    if (*seen != 0) { /* said outside of what is merged */
        return true;
    }
    *seen = mapping;
    return read_key(reader, walk, key, name, node);
}

static bool read_pairs(struct scenario_reader *reader, struct walk *walk, const yaml_node_t *node,
                       unsigned depth);

static bool read_merges(struct scenario_reader *reader, struct walk *walk, yaml_node_t *node,
                        unsigned depth)
{
    for (size_t i = 0; i < scenario_items_count(node); i++) {
        yaml_node_t *item = scenario_item(reader, node, i);
        if (item->type != YAML_MAPPING_NODE) {
            return scenario_refuse(reader, walk->where, item,
                                   "'<<' takes keys, as in <<: *anchor, or a list of such");
        }
        if (depth == MERGES_DEEP_MAX) {
            return scenario_refuse(reader, walk->where, item,
                                   "'<<' merges %u deep, or itself; undo that", MERGES_DEEP_MAX);
        }
        if (!read_pairs(reader, walk, item, depth + 1)) {
            return false;
        }
    }
    return true;
}

static bool read_pairs(struct scenario_reader *reader, struct walk *walk, const yaml_node_t *node,
                       unsigned depth)
{
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    const yaml_node_pair_t *merge = NULL;
    unsigned mapping = ++walk->mappings;

    if (has_tag(node)) {
        return scenario_refuse(reader, walk->where, node, "has the tag %.60s; leave it out",
                               (const char *)node->tag);
    }
    for (; pair < node->data.mapping.pairs.top; pair++) {
        bool is_one = is_merge(scenario_node(reader, pair->key));
        if (is_one && merge != NULL) {
            return scenario_refuse(reader, walk->where, scenario_node(reader, pair->key),
                                   "'<<' stands twice; write <<: [*one, *other]");
        }
        merge = is_one ? pair : merge;
        if (!read_pair(reader, walk, mapping, pair)) {
            return false;
        }
    }
    return merge == NULL || read_merges(reader, walk, scenario_node(reader, merge->value), depth);
}

bool scenario_read_level(struct scenario_reader *reader, const struct scenario_where *where,
                         const struct scenario_level *level, void *settings, yaml_node_t *node)
{
    struct walk walk = {
        .where = where, .level = level, .settings = settings, .kinds = kinds_of(level, settings)};

    if (node->type != YAML_MAPPING_NODE) {
        return scenario_refuse(reader, where, node, "%shas no keys; write lines of 'key: value'",
                               where == NULL ? "the file " : "");
    }
    if (!read_pairs(reader, &walk, node, 0)) {
        return false;
    }
    for (size_t i = 0; i < level->keys_count; i++) {
        if (level->keys[i].is_needed && walk.seen[i] == 0) {
            char words[FLAG_VALUE_BYTES];
            scenario_value_describe(&level->keys[i], words, sizeof(words));
            return scenario_refuse(reader, where, node, "'%s' is missing; write %s",
                                   level->keys[i].row.name, words);
        }
    }
    return level->finish == NULL || level->finish(reader, where, settings, node);
}
