/*
 * result_json_values.h — values of a JSON tree, checked
 *
 * After the first failure nothing more is looked at: numbers are 0, texts stay, trees are NULL.
 */
#ifndef FMX_TOOLS_RESULT_JSON_VALUES_H
#define FMX_TOOLS_RESULT_JSON_VALUES_H

#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/result_columns.h"

#include <json-c/json.h>

typedef struct json_object json;

/* Which counters the first object of them has: the others have the same. */
struct value_names {
    json *object;
    char where[40];
};

/* A look at the bytes before the tree is made: whole numbers that json-c would bring into range. */
struct value_scan {
    bool is_in_text, is_escaped, is_in_number, is_whole, is_above;
    uint64_t number;
    size_t begin;  /* of the number */
    char text[40]; /* the latest */
    size_t text_bytes;
};

struct reader {
    const char *path;
    char *error;
    size_t error_bytes;
    bool has_failed;
    char where[128]; /* the section, with its point: "clients.", "groups[3]." */
    struct result *result;
    struct value_names names; /* of the first counters */
};

/* A key, or the file as a whole, is not as it should be. Only the first is told. */
__attribute__((format(printf, 3, 4))) void value_fail(struct reader *reader, const char *key,
                                                      const char *format, ...);
__attribute__((format(printf, 2, 3))) void value_fail_whole(struct reader *reader,
                                                            const char *format, ...);

/* Says that a name is not known, and which one is near. */
void value_fail_unknown(struct reader *reader, const char *name, struct nearest *nearest);

const char *value_kind_name(enum json_type type);

/* NULL, and a failure, if it is not there or not of this kind. */
json *value_get(struct reader *reader, json *object, const char *key, enum json_type type);

/* Looks at the next bytes of the file, of which `before` were seen. False: a failure. */
bool value_scan_numbers(struct reader *reader, struct value_scan *scan, const char *bytes,
                        size_t count, size_t before);

/* A whole number from 0 to max. */
uint64_t value_count_of(struct reader *reader, json *value, const char *key, uint64_t max);
uint64_t value_count(struct reader *reader, json *object, const char *key, uint64_t max);
uint32_t value_number(struct reader *reader, json *object, const char *key);
bool value_switch(struct reader *reader, json *object, const char *key);

/* A number from 0 on; of the last one null is not a number: nothing was measured. */
double value_real_of(struct reader *reader, json *value, const char *key);
double value_real(struct reader *reader, json *object, const char *key);
double value_measured(struct reader *reader, json *object, const char *key);

/* A line without control characters. */
void value_text(struct reader *reader, json *object, const char *key, char *out_text,
                size_t text_bytes);
#define VALUE_TEXT(reader, object, key, field)                                                     \
    value_text(reader, object, key, (field), sizeof(field))

/* Any number of lines, on the heap; null leaves NULL. */
void value_page(struct reader *reader, json *object, const char *key, char **out_text);

/* An array, and how many it has. */
json *value_list(struct reader *reader, json *object, const char *key, size_t max,
                 size_t *out_count);

/* Item `index` of a list, an object, which is the section from now on. */
json *value_item(struct reader *reader, json *list, const char *key, size_t index);

/* Zeroed room for `count` items. */
void *value_room(struct reader *reader, const char *key, size_t count, size_t item_bytes);

/* Every key of the object is one of the fields. `is_whole`: and each of them is there; else those
 * that are not stay as they are. */
void value_fields(struct reader *reader, json *object, const char *section, void *base,
                  const struct result_field *fields, size_t count, bool is_whole);

/* A file of another version may lack counters that came later; then each of its lists does. */
bool value_is_own_version(const struct reader *reader);
void value_counters(struct reader *reader, json *parent, const char *key,
                    struct fmx_fleet_counters *counters);

/* Which latency this key names, with an object as its value; FMX_FLEET_LATENCIES: a failure. */
size_t value_latency(struct reader *reader, const char *key, json *value);

#endif
