/*
 * scenario_json — a part of the scenario that becomes a JSON text with variables
 *
 * Why it is so:   a payload written as YAML cannot be malformed JSON, and a reader sees its fields.
 *                 json-c would have to be told of each number as text, and would not leave a
 *                 variable without quotes; what is needed of a writer is one page.
 * Words:          bare: without quotes, as numbers, true, false and null stand in JSON
 * Invariants:     (1) with every variable filled in the text is JSON (RFC 8259), provided that what
 *                 %c, %u, %p and %d stand for needs no escaping
 *                 (2) a node that holds itself, or very much of anything, ends at a bound
 * Memory:         the text is the scenario's
 * Threads:        one
 * Limits:         64 levels, 4 MiB
 * Not here:       the variables: the library checks them when it checks the plan
 */
#include "tools/fleetmux/scenario_parts.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64
#define TEXT_MAX  (4u << 20)

struct text {
    struct scenario_reader *reader;
    const struct scenario_where *where;
    char *at;
    size_t bytes, room;
    const yaml_node_t *node; /* the present one, for refusals */
};

static bool put(struct text *text, const char *more, size_t bytes)
{
    if (text->bytes + bytes > TEXT_MAX) {
        return scenario_refuse(text->reader, text->where, text->node,
                               "becomes a text of more than 4 MiB, or holds itself");
    }
    if (text->bytes + bytes + 1 > text->room) {
        size_t room = 2 * (text->bytes + bytes + 128);
        char *moved = realloc(text->at, room);
        if (moved == NULL) {
            return scenario_refuse_memory(text->reader, text->where, text->node);
        }
        text->at = moved;
        text->room = room;
    }
    memcpy(text->at + text->bytes, more, bytes);
    text->bytes += bytes;
    text->at[text->bytes] = '\0';
    return true;
}

static bool put_word(struct text *text, const char *word)
{
    return put(text, word, strlen(word));
}

/* ── scalars ── */

/* Stands in a JSON text as it is. */
static bool is_plain_letter(char letter)
{
    return (unsigned char)letter >= ' ' && letter != '"' && letter != '\\';
}

static bool put_quoted(struct text *text, const char *value, size_t bytes)
{
    bool is_good = put(text, "\"", 1);

    for (size_t i = 0; is_good && i < bytes;) {
        size_t plain = 0;
        while (i + plain < bytes && is_plain_letter(value[i + plain])) {
            plain++;
        }
        is_good = put(text, value + i, plain);
        i += plain;
        if (is_good && i < bytes) {
            char escaped[8];
            snprintf(escaped, sizeof(escaped), (unsigned char)value[i] < ' ' ? "\\u%04x" : "\\%c",
                     (unsigned char)value[i]);
            is_good = put_word(text, escaped);
            i++;
        }
    }
    return is_good && put(text, "\"", 1);
}

/* A number by JSON's grammar, of exactly so many bytes. */
static bool is_number(const char *value, size_t bytes)
{
    const char *at = value;

    at += *at == '-' ? 1 : 0;
    size_t digits = strspn(at, "0123456789");
    if (digits == 0 || (*at == '0' && digits > 1)) {
        return false;
    }
    at += digits;
    if (*at == '.') {
        digits = strspn(at + 1, "0123456789");
        at += digits > 0 ? digits + 1 : 0;
    }
    if (*at == 'e' || *at == 'E') {
        size_t sign = at[1] == '+' || at[1] == '-' ? 1 : 0;
        digits = strspn(at + 1 + sign, "0123456789");
        at += digits > 0 ? 1 + sign + digits : 0;
    }
    return at == value + bytes;
}

static bool is_word(const char *value, size_t bytes)
{
    return (bytes == 4 && (memcmp(value, "true", 4) == 0 || memcmp(value, "null", 4) == 0)) ||
           (bytes == 5 && memcmp(value, "false", 5) == 0);
}

/* "1|2|true": every one of them may stand bare. */
static bool are_bare(const char *choices, size_t bytes)
{
    const char *end = choices + bytes;

    for (;;) {
        char one[64];
        const char *bar = memchr(choices, '|', (size_t)(end - choices));
        size_t part = (size_t)((bar != NULL ? bar : end) - choices);
        if (part >= sizeof(one)) {
            return false;
        }
        memcpy(one, choices, part);
        one[part] = '\0';
        if (!is_number(one, part) && !is_word(one, part)) {
            return false;
        }
        if (bar == NULL) {
            return true;
        }
        choices = bar + 1;
    }
}

/* Is the text one variable and nothing else, and does that become a number? */
static bool is_bare_variable(const char *value, size_t bytes)
{
    static const char *const numeric[] = {"int:", "real:", "walk:", "seq:"};

    if (bytes == 2 && value[0] == '%') {
        return strchr("ints", value[1]) != NULL;
    }
    if (bytes < 4 || value[0] != '%' || value[1] != '{' ||
        memchr(value, '}', bytes) != value + bytes - 1) {
        return false;
    }
    const char *name = value + 2;
    size_t rest = bytes - 3;
    for (size_t i = 0; i < sizeof(numeric) / sizeof(numeric[0]); i++) {
        if (strncmp(name, numeric[i], strlen(numeric[i])) == 0) {
            return true;
        }
    }
    if (strncmp(name, "time:", 5) == 0) {
        return strncmp(name, "time:iso", 8) != 0;
    }
    return strncmp(name, "one:", 4) == 0 && are_bare(name + 4, rest - 4);
}

static bool put_scalar(struct text *text, const yaml_node_t *node)
{
    const char *value = (const char *)node->data.scalar.value;
    size_t bytes = node->data.scalar.length;
    bool is_plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    if (scenario_is_null(node)) {
        return put_word(text, "null");
    }
    if (memchr(value, '\0', bytes) != NULL) {
        return scenario_refuse(text->reader, text->where, node,
                               "has a zero byte in it; leave it out");
    }
    if (is_bare_variable(value, bytes) ||
        (is_plain && (is_word(value, bytes) || is_number(value, bytes)))) {
        return put(text, value, bytes);
    }
    return put_quoted(text, value, bytes);
}

/* ── lists and keys ── */

static bool put_node(struct text *text, yaml_node_t *node, unsigned depth);

static int compare_names(const void *a, const void *b)
{
    const yaml_node_t *one = *(yaml_node_t *const *)a, *other = *(yaml_node_t *const *)b;

    return strcmp((const char *)one->data.scalar.value, (const char *)other->data.scalar.value);
}

/* Every key is a text, and stands once. */
static bool check_names(struct text *text, const yaml_node_t *node)
{
    const yaml_node_pair_t *pairs = node->data.mapping.pairs.start;
    size_t count = (size_t)(node->data.mapping.pairs.top - pairs);
    yaml_node_t **names = calloc(count + 1, sizeof(yaml_node_t *));
    bool is_good = names != NULL;

    if (names == NULL) {
        return scenario_refuse_memory(text->reader, text->where, node);
    }
    for (size_t i = 0; is_good && i < count; i++) {
        names[i] = scenario_node(text->reader, pairs[i].key);
        is_good = names[i]->type == YAML_SCALAR_NODE;
        if (!is_good) {
            scenario_refuse(text->reader, text->where, names[i], "has a key that is no word");
        }
    }
    if (is_good) {
        qsort(names, count, sizeof(yaml_node_t *), compare_names);
    }
    for (size_t i = 1; is_good && i < count; i++) {
        is_good = compare_names(&names[i - 1], &names[i]) != 0;
        if (!is_good) {
            scenario_refuse(text->reader, text->where, names[i], "'%.60s' stands twice; remove one",
                            (const char *)names[i]->data.scalar.value);
        }
    }
    free(names);
    return is_good;
}

static bool put_mapping(struct text *text, const yaml_node_t *node, unsigned depth)
{
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    bool is_good = check_names(text, node) && put(text, "{", 1);

    for (bool is_first = true; is_good && pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = scenario_node(text->reader, pair->key);
        is_good =
            (is_first || put(text, ",", 1)) &&
            put_quoted(text, (const char *)name->data.scalar.value, name->data.scalar.length) &&
            put(text, ":", 1) &&
            put_node(text, scenario_node(text->reader, pair->value), depth + 1);
        is_first = false;
    }
    return is_good && put(text, "}", 1);
}

static bool put_sequence(struct text *text, yaml_node_t *node, unsigned depth)
{
    bool is_good = put(text, "[", 1);

    for (size_t i = 0; is_good && i < scenario_items_count(node); i++) {
        is_good = (i == 0 || put(text, ",", 1)) &&
                  put_node(text, scenario_item(text->reader, node, i), depth + 1);
    }
    return is_good && put(text, "]", 1);
}

static bool put_node(struct text *text, yaml_node_t *node, unsigned depth)
{
    text->node = node;
    if (depth > DEPTH_MAX) {
        return scenario_refuse(text->reader, text->where, node,
                               "is more than %u levels deep, or holds itself", DEPTH_MAX);
    }
    switch (node->type) {
    case YAML_MAPPING_NODE:
        return put_mapping(text, node, depth);
    case YAML_SEQUENCE_NODE:
        return put_sequence(text, node, depth);
    default:
        return put_scalar(text, node);
    }
}

const char *scenario_json(struct scenario_reader *reader, const struct scenario_where *where,
                          yaml_node_t *node)
{
    struct text text = {.reader = reader, .where = where, .node = node};
    char *kept = NULL;

    if (put_node(&text, node, 0)) {
        kept = scenario_take(reader->scenario->memory, text.bytes + 1, 1);
        if (kept == NULL) {
            scenario_refuse_memory(reader, where, node);
        } else {
            memcpy(kept, text.at, text.bytes + 1);
        }
    }
    free(text.at);
    return kept;
}
