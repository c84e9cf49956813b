/*
 * result_json_values — values of a JSON tree, checked: kind, range, length, known names
 *
 * Why it is so:   reading is a list of keys, and each key that is not as it should be ends it with
 *                 words that name the key; so every call may follow any other without a look at
 *                 what became of that
 * Invariants:     (1) after the first failure nothing more is looked at, and every value is 0
 *                 (2) nothing is used as an index, a size or a format before it is checked
 * Threads:        one
 * Limits:         those of result_json.h
 */
#include "tools/fleetmux/result_json_values.h"

#include "tools/fleetmux/result_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ── failing ── */

/* NULL key: of the file as a whole. */
__attribute__((format(printf, 3, 0))) static void fail(struct reader *reader, const char *key,
                                                       const char *format, va_list arguments)
{
    char words[384];

    if (reader->has_failed) {
        return;
    }
    reader->has_failed = true;
    vsnprintf(words, sizeof(words), format, arguments);
    if (key != NULL) {
        snprintf(reader->error, reader->error_bytes, "'%.200s': key '%s%s': %s", reader->path,
                 reader->where, key, words);
    } else {
        snprintf(reader->error, reader->error_bytes, "'%.200s' %s", reader->path, words);
    }
}

void value_fail(struct reader *reader, const char *key, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fail(reader, key, format, arguments);
    va_end(arguments);
}

void value_fail_whole(struct reader *reader, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fail(reader, NULL, format, arguments);
    va_end(arguments);
}

/* ── numbers that a tree cannot hold ── */

static void note_text(struct value_scan *scan, char byte)
{
    if (scan->is_escaped) {
        scan->is_escaped = false;
    } else if (byte == '\\') {
        scan->is_escaped = true;
    } else if (byte == '"') {
        scan->is_in_text = false;
    } else if (scan->text_bytes + 1 < sizeof(scan->text) && byte >= ' ' && byte < 0x7f) {
        scan->text[scan->text_bytes++] = byte;
    }
    scan->text[scan->text_bytes] = '\0';
}

/* False: the number is over, and its byte is another's. */
static bool note_number(struct value_scan *scan, char byte)
{
    if (byte >= '0' && byte <= '9') {
        scan->is_above =
            __builtin_mul_overflow(scan->number, 10u, &scan->number) ||
            __builtin_add_overflow(scan->number, (uint64_t)(byte - '0'), &scan->number) ||
            scan->is_above;
        return true;
    }
    if (byte != '\0' && strchr(".eE+-", byte) != NULL) {
        scan->is_whole = false;
        return true;
    }
    return false;
}

bool value_scan_numbers(struct reader *reader, struct value_scan *scan, const char *bytes,
                        size_t count, size_t before)
{
    for (size_t i = 0; i < count; i++) {
        char byte = bytes[i];
        if (scan->is_in_text) {
            note_text(scan, byte);
            continue;
        }
        if (scan->is_in_number) {
            if (note_number(scan, byte)) {
                continue;
            }
            scan->is_in_number = false;
            if (scan->is_whole && scan->is_above) {
                value_fail_whole(reader,
                                 "has a number out of range at byte %zu, behind '%s'; 0 to %" PRIu64
                                 " is expected",
                                 scan->begin, scan->text, UINT64_MAX);
                return false;
            }
        }
        if (byte == '"') {
            scan->is_in_text = true;
            scan->text_bytes = 0;
        } else if (byte == '-' || (byte >= '0' && byte <= '9')) {
            scan->is_in_number = scan->is_whole = true;
            scan->is_above = false;
            scan->begin = before + i + 1;
            scan->number = byte == '-' ? 0 : (uint64_t)(byte - '0');
        }
    }
    return true;
}

/* ── values ── */

const char *value_kind_name(enum json_type type)
{
    switch (type) {
    case json_type_boolean:
        return "true or false";
    case json_type_double:
        return "a number";
    case json_type_int:
        return "a whole number";
    case json_type_object:
        return "an object";
    case json_type_array:
        return "an array";
    case json_type_string:
        return "a text";
    default:
        return "null";
    }
}

/* NULL, and an error, if it is not there or not of this kind. */
json *value_get(struct reader *reader, json *object, const char *key, enum json_type type)
{
    json *value = NULL;

    if (reader->has_failed) {
        return NULL;
    }
    if (!json_object_object_get_ex(object, key, &value)) {
        value_fail(reader, key, "is missing; %s is expected", value_kind_name(type));
        return NULL;
    }
    if (json_object_get_type(value) != type) {
        value_fail(reader, key, "is %s; %s is expected",
                   value_kind_name(json_object_get_type(value)), value_kind_name(type));
        return NULL;
    }
    return value;
}

/* A whole number from 0 to max. */
uint64_t value_count_of(struct reader *reader, json *value, const char *key, uint64_t max)
{
    if (reader->has_failed) {
        return 0;
    }
    if (json_object_get_type(value) != json_type_int) {
        value_fail(reader, key, "is %s; a whole number is expected",
                   value_kind_name(json_object_get_type(value)));
        return 0;
    }
    uint64_t count = json_object_get_uint64(value);
    if (json_object_get_int64(value) < 0 || count > max) {
        value_fail(reader, key, "is out of range; 0 to %" PRIu64 " is expected", max);
        return 0;
    }
    return count;
}

uint64_t value_count(struct reader *reader, json *object, const char *key, uint64_t max)
{
    json *value = value_get(reader, object, key, json_type_int);

    return value != NULL ? value_count_of(reader, value, key, max) : 0;
}

uint32_t value_number(struct reader *reader, json *object, const char *key)
{
    return (uint32_t)value_count(reader, object, key, UINT32_MAX);
}

bool value_switch(struct reader *reader, json *object, const char *key)
{
    json *value = value_get(reader, object, key, json_type_boolean);

    return value != NULL && json_object_get_boolean(value) != 0;
}

double value_real_of(struct reader *reader, json *value, const char *key)
{
    enum json_type type = json_object_get_type(value);
    double real = 0;

    if (reader->has_failed) {
        return 0;
    }
    if (type != json_type_double && type != json_type_int) {
        value_fail(reader, key, "is %s; a number is expected", value_kind_name(type));
        return 0;
    }
    real = json_object_get_double(value);
    if (!isfinite(real) || real < 0) {
        value_fail(reader, key, "is out of range; a number from 0 on is expected");
        return 0;
    }
    return real;
}

double value_real(struct reader *reader, json *object, const char *key)
{
    json *value = NULL;

    if (reader->has_failed) {
        return 0;
    }
    if (!json_object_object_get_ex(object, key, &value)) {
        value_fail(reader, key, "is missing; a number is expected");
        return 0;
    }
    return value_real_of(reader, value, key);
}

/* null is not a number: nothing was measured. */
double value_measured(struct reader *reader, json *object, const char *key)
{
    json *value = NULL;

    if (!reader->has_failed && json_object_object_get_ex(object, key, &value) && value == NULL) {
        return NAN;
    }
    return value_real(reader, object, key);
}

/* One line of at most bytes_max, or, with room for pages, a text of several. NULL: an error. */
static const char *text_of(struct reader *reader, json *value, const char *key, size_t bytes_max)
{
    const char *text = json_object_get_string(value);
    size_t bytes = (size_t)json_object_get_string_len(value);
    bool is_page = bytes_max >= RESULT_JSON_TEXT_MAX;

    if (bytes > bytes_max) {
        value_fail(reader, key, "has %zu bytes; at most %zu are expected", bytes, bytes_max);
        return NULL;
    }
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)text[i];
        if ((byte < ' ' && !(is_page && (byte == '\n' || byte == '\t'))) || byte == 0x7f) {
            value_fail(reader, key, "has a control character (byte %zu); plain text is expected",
                       i + 1);
            return NULL;
        }
    }
    return text;
}

void value_text(struct reader *reader, json *object, const char *key, char *out_text,
                size_t text_bytes)
{
    json *value = value_get(reader, object, key, json_type_string);
    const char *text = value != NULL ? text_of(reader, value, key, text_bytes - 1) : NULL;

    if (text != NULL) {
        snprintf(out_text, text_bytes, "%s", text);
    }
}

/* On the heap; null leaves NULL. */
void value_page(struct reader *reader, json *object, const char *key, char **out_text)
{
    json *value = NULL;

    if (reader->has_failed) {
        return;
    }
    if (json_object_object_get_ex(object, key, &value) && value == NULL) {
        return;
    }
    value = value_get(reader, object, key, json_type_string);
    const char *text = value != NULL ? text_of(reader, value, key, RESULT_JSON_TEXT_MAX) : NULL;
    if (text != NULL && !result_set_text(out_text, text)) {
        value_fail(reader, key, "does not fit into memory");
    }
}

/* An array, and how many it has. */
json *value_list(struct reader *reader, json *object, const char *key, size_t max,
                 size_t *out_count)
{
    json *list = value_get(reader, object, key, json_type_array);

    *out_count = list != NULL ? json_object_array_length(list) : 0;
    if (*out_count > max) {
        value_fail(reader, key, "has %zu items; at most %zu are expected", *out_count, max);
        *out_count = 0;
        return NULL;
    }
    return list;
}

/* Item `index` of a list, an object, which is the section from now on. */
json *value_item(struct reader *reader, json *list, const char *key, size_t index)
{
    json *item = json_object_array_get_idx(list, index);

    if (reader->has_failed) {
        return NULL;
    }
    snprintf(reader->where, sizeof(reader->where), "%s[%zu]", key, index);
    if (json_object_get_type(item) != json_type_object) {
        value_fail(reader, "", "is %s; an object is expected",
                   value_kind_name(json_object_get_type(item)));
        return NULL;
    }
    snprintf(reader->where, sizeof(reader->where), "%s[%zu].", key, index);
    return item;
}

/* Zeroed room for `count` items. */
void *value_room(struct reader *reader, const char *key, size_t count, size_t item_bytes)
{
    void *room = count > 0 ? calloc(count, item_bytes) : NULL;

    if (room == NULL && count > 0) {
        value_fail(reader, key, "does not fit into memory");
    }
    return room;
}

/* Says that a name is not known, and which one is near. */
void value_fail_unknown(struct reader *reader, const char *name, struct nearest *nearest)
{
    char shown[64];
    size_t bytes = strcspn(name, "\x01\x02\x03\x04\x05\x06\x07\b\t\n\v\f\r\x1b'");

    snprintf(shown, sizeof(shown), "%.*s", bytes < 60 ? (int)bytes : 60, name);
    value_fail(reader, shown, "is not known%s%s%s; was it written by a newer fleetmux?",
               nearest->best != NULL ? "; did you mean '" : "",
               nearest->best != NULL ? nearest->best : "", nearest->best != NULL ? "'" : "");
}

static void fail_missing(struct reader *reader, const char *name)
{
    value_fail(reader, name, "is missing; %s is expected", value_kind_name(json_type_int));
}

static void check_whole(struct reader *reader, json *object, const struct result_field *fields,
                        size_t count)
{
    for (size_t i = 0; i < count && !reader->has_failed; i++) {
        if (!json_object_object_get_ex(object, fields[i].name, NULL)) {
            fail_missing(reader, fields[i].name);
        }
    }
}

void value_fields(struct reader *reader, json *object, const char *section, void *base,
                  const struct result_field *fields, size_t count, bool is_whole)
{
    char before[sizeof(reader->where)];

    memcpy(before, reader->where, sizeof(before));
    snprintf(reader->where, sizeof(reader->where), "%.60s%.40s.", before, section);
    json_object_object_foreach(object, key, value)
    {
        struct nearest nearest = {.word = key};
        size_t i = 0;
        while (i < count && strcmp(fields[i].name, key) != 0) {
            nearest_consider(&nearest, fields[i].name);
            i++;
        }
        if (i == count) {
            value_fail_unknown(reader, key, &nearest);
        } else {
            result_field_set(base, &fields[i], value_count_of(reader, value, key, UINT64_MAX));
        }
    }
    if (is_whole) {
        check_whole(reader, object, fields, count);
    }
    if (!reader->has_failed) {
        memcpy(reader->where, before, sizeof(before));
    }
}

bool value_is_own_version(const struct reader *reader)
{
    return strcmp(reader->result->version, fmx_version_string()) == 0;
}

/* Both lists have the same names, whichever those are. */
static void check_same_names(struct reader *reader, json *object, const char *section)
{
    struct value_names *names = &reader->names;

    if (names->object == NULL) {
        names->object = object;
        snprintf(names->where, sizeof(names->where), "%.20s%.18s", reader->where, section);
    }
    for (size_t i = 0; i < result_counters_count && !reader->has_failed; i++) {
        const char *name = result_counters[i].name;
        bool is_here = json_object_object_get_ex(object, name, NULL) != 0;
        if (is_here == (json_object_object_get_ex(names->object, name, NULL) != 0)) {
            continue;
        }
        if (is_here) {
            snprintf(reader->where, sizeof(reader->where), "%s.", names->where);
        } else {
            snprintf(reader->where + strlen(reader->where),
                     sizeof(reader->where) - strlen(reader->where), "%s.", section);
        }
        fail_missing(reader, name);
    }
}

void value_counters(struct reader *reader, json *parent, const char *key,
                    struct fmx_fleet_counters *counters)
{
    json *object = value_get(reader, parent, key, json_type_object);

    if (object == NULL) {
        return;
    }
    value_fields(reader, object, key, counters, result_counters, result_counters_count,
                 value_is_own_version(reader));
    if (!reader->has_failed) {
        check_same_names(reader, object, key);
    }
}

/* Which latency this key names, with an object as its value; FMX_FLEET_LATENCIES: a failure. */
size_t value_latency(struct reader *reader, const char *key, json *value)
{
    struct nearest nearest = {.word = key};
    size_t i = 0;

    while (i < FMX_FLEET_LATENCIES) {
        const char *known = fmx_fleet_latency_name((enum fmx_fleet_latency)i);
        if (strcmp(key, known) == 0) {
            break;
        }
        nearest_consider(&nearest, known);
        i++;
    }
    if (i == FMX_FLEET_LATENCIES) {
        value_fail_unknown(reader, key, &nearest);
    } else if (json_object_get_type(value) != json_type_object) {
        value_fail(reader, key, "is %s; an object is expected",
                   value_kind_name(json_object_get_type(value)));
        return FMX_FLEET_LATENCIES;
    }
    return i;
}
