/*
 * control_ask — reads one request of the control socket and refuses what is wrong with it
 *
 * Why it is so:   a script that misspells a field should hear so, not have it ignored. Each field
 *                 has a row that says where it may stand, where it must, and who reads it; so an
 *                 error always names the field, and what to write instead.
 * Words:          verb: what "do" says; field: a member of the request
 * Memory:         texts are borrowed from json-c's tree; base64 and user properties are decoded
 *                 into one block as large as the line, since decoding makes nothing longer
 * Threads:        one at a time for each ask
 * Not here:       what is then done: control_requests.c
 */
#include "tools/fleetmux/control_ask.h"

#include "tools/fleetmux/base64.h"
#include "tools/fleetmux/nearest.h"

#include <json-c/json.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ID_BYTES_MAX 256
#define DEPTH_MAX    8

static const char *const verb_names[CONTROL_VERBS_COUNT] = {
    [CONTROL_STATUS] = "status", [CONTROL_STATS] = "stats",     [CONTROL_DEVICES] = "devices",
    [CONTROL_QUERY] = "query",   [CONTROL_PUBLISH] = "publish", [CONTROL_BROADCAST] = "broadcast",
    [CONTROL_CALL] = "call",     [CONTROL_KICK] = "kick",       [CONTROL_LIMITS] = "limits",
    [CONTROL_RELOAD] = "reload",
};

const char *control_verb_name(enum control_verb verb)
{
    return verb_names[verb];
}

/* An ask in the making. */
struct reader {
    struct control_ask *ask;
    uint8_t *decoded; /* the next free byte of the ask's block */
    size_t left;
    char *error;
};

__attribute__((format(printf, 3, 4))) static bool refuse(const struct reader *reader,
                                                         const char *field, const char *format, ...)
{
    va_list arguments;
    int used = snprintf(reader->error, CONTROL_ERROR_BYTES, "field %.64s: ", field);

    va_start(arguments, format);
    vsnprintf(reader->error + used, CONTROL_ERROR_BYTES - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

/* Values -------------------------------------------------------------------------------------- */

static bool refuse_kind(const struct reader *reader, const char *field, const json_object *value,
                        const char *wanted)
{
    static const char *const kinds[] = {
        [json_type_null] = "is null",        [json_type_boolean] = "is true or false",
        [json_type_double] = "is a number",  [json_type_int] = "is a number",
        [json_type_object] = "is an object", [json_type_array] = "is an array",
        [json_type_string] = "is a string",
    };

    return refuse(reader, field, "%s; write %s", kinds[json_object_get_type(value)], wanted);
}

static bool read_text(const struct reader *reader, const char *field, json_object *value,
                      fmx_slice *out_text)
{
    if (!json_object_is_type(value, json_type_string)) {
        return refuse_kind(reader, field, value, "a string");
    }
    out_text->data = (const uint8_t *)json_object_get_string(value);
    out_text->bytes = (size_t)json_object_get_string_len(value);
    return true;
}

static bool read_number(const struct reader *reader, const char *field, json_object *value,
                        uint64_t least, uint64_t most, uint64_t *out_number)
{
    char wanted[64];

    snprintf(wanted, sizeof(wanted), "a number from %" PRIu64 " to %" PRIu64, least, most);
    if (!json_object_is_type(value, json_type_int)) {
        return refuse_kind(reader, field, value, wanted);
    }
    *out_number = json_object_get_uint64(value);
    if (json_object_get_int64(value) < 0 || *out_number < least || *out_number > most) {
        return refuse(reader, field, "is out of range; write %s", wanted);
    }
    return true;
}

static bool read_base64(struct reader *reader, const char *field, json_object *value,
                        fmx_slice *out_bytes)
{
    fmx_slice text;
    size_t bytes = 0;

    if (!read_text(reader, field, value, &text)) {
        return false;
    }
    if (text.bytes / 4 * 3 > reader->left ||
        !base64_read((const char *)text.data, text.bytes, reader->decoded, &bytes)) {
        return refuse(reader, field, "is no base64 (RFC 4648, section 4, with padding)");
    }
    *out_bytes = (fmx_slice){.data = reader->decoded, .bytes = bytes};
    reader->decoded += bytes;
    reader->left -= bytes;
    return true;
}

/* Properties of a publication ----------------------------------------------------------------- */

static bool read_response_topic(struct reader *reader, const char *field, json_object *value)
{
    return read_text(reader, field, value, &reader->ask->publication.response_topic);
}

static bool read_correlation(struct reader *reader, const char *field, json_object *value)
{
    reader->ask->publication.has_correlation_data = true;
    return read_base64(reader, field, value, &reader->ask->publication.correlation_data);
}

static bool read_content_type(struct reader *reader, const char *field, json_object *value)
{
    return read_text(reader, field, value, &reader->ask->publication.content_type);
}

static bool read_format(struct reader *reader, const char *field, json_object *value)
{
    uint64_t number = 0;
    bool is_good = read_number(reader, field, value, 0, 1, &number);

    reader->ask->publication.payload_is_text = number == 1;
    return is_good;
}

static bool read_expiry(struct reader *reader, const char *field, json_object *value)
{
    uint64_t number = 0;
    bool is_good = read_number(reader, field, value, 1, UINT32_MAX, &number);

    reader->ask->publication.expiry_s = (uint32_t)number;
    return is_good;
}

/* {"key": …, "value": …}, appended to the list in its wire form. */
static bool read_pair(struct reader *reader, const char *field, json_object *pair)
{
    json_object *key = NULL, *value = NULL;
    fmx_slice key_text, value_text;
    size_t used = 0;

    if (!json_object_is_type(pair, json_type_object)) {
        return refuse_kind(reader, field, pair, "an object {\"key\": …, \"value\": …}");
    }
    if (json_object_object_length(pair) != 2 || !json_object_object_get_ex(pair, "key", &key) ||
        !json_object_object_get_ex(pair, "value", &value)) {
        return refuse(reader, field, "wants just two members, key and value");
    }
    if (!read_text(reader, "properties.userProperty.key", key, &key_text) ||
        !read_text(reader, "properties.userProperty.value", value, &value_text)) {
        return false;
    }
    if (fmx_user_property_write(reader->decoded, reader->left, &used, key_text, value_text) !=
        FMX_OK) {
        return refuse(reader, field, "has a key or a value that is too long or holds U+0000");
    }
    reader->decoded += used;
    reader->left -= used;
    return true;
}

static bool read_user_properties(struct reader *reader, const char *field, json_object *value)
{
    fmx_slice *list = &reader->ask->publication.user_properties;
    const uint8_t *first = reader->decoded;

    if (!json_object_is_type(value, json_type_array)) {
        return refuse_kind(reader, field, value, "an array of {\"key\": …, \"value\": …}");
    }
    for (size_t index = 0; index < json_object_array_length(value); index++) {
        if (!read_pair(reader, field, json_object_array_get_idx(value, index))) {
            return false;
        }
    }
    *list = (fmx_slice){.data = first, .bytes = (size_t)(reader->decoded - first)};
    return true;
}

static const struct property {
    const char *name; /* of the field; the member is what follows "properties." */
    bool (*read)(struct reader *reader, const char *field, json_object *value);
} properties[] = {
    {"properties.responseTopic", read_response_topic},
    {"properties.correlationData", read_correlation},
    {"properties.userProperty", read_user_properties},
    {"properties.contentType", read_content_type},
    {"properties.payloadFormatIndicator", read_format},
    {"properties.messageExpiryInterval", read_expiry},
};

#define PROPERTIES_COUNT (sizeof(properties) / sizeof(properties[0]))
#define PREFIX_BYTES     (sizeof("properties.") - 1)

static bool read_property(struct reader *reader, const char *name, json_object *value)
{
    struct nearest nearest = {.word = name};

    for (size_t index = 0; index < PROPERTIES_COUNT; index++) {
        const struct property *property = &properties[index];
        if (strcmp(property->name + PREFIX_BYTES, name) == 0) {
            return property->read(reader, property->name, value);
        }
        nearest_consider(&nearest, property->name + PREFIX_BYTES);
    }
    return refuse(reader, "properties", "unknown member '%.100s'%s%s%s", name,
                  nearest.best != NULL ? "; did you mean '" : "",
                  nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
}

/* Fields -------------------------------------------------------------------------------------- */

static bool read_product_key(struct reader *reader, const char *field, json_object *value)
{
    return read_text(reader, field, value, &reader->ask->product_key);
}

static bool read_device_name(struct reader *reader, const char *field, json_object *value)
{
    return read_text(reader, field, value, &reader->ask->device_name);
}

static bool read_topic(struct reader *reader, const char *field, json_object *value)
{
    return read_text(reader, field, value, &reader->ask->publication.topic);
}

static bool read_payload(struct reader *reader, const char *field, json_object *value)
{
    if (json_object_object_get_ex(reader->ask->root, "payload64", NULL)) {
        return refuse(reader, field, "stands beside payload64; give one of them");
    }
    return read_text(reader, field, value, &reader->ask->publication.payload);
}

static bool read_payload64(struct reader *reader, const char *field, json_object *value)
{
    return read_base64(reader, field, value, &reader->ask->publication.payload);
}

static bool read_qos(struct reader *reader, const char *field, json_object *value)
{
    uint64_t number = 0;
    bool is_good = read_number(reader, field, value, 0, 1, &number);

    reader->ask->publication.qos = (uint8_t)number;
    return is_good;
}

static bool read_properties(struct reader *reader, const char *field, json_object *value)
{
    if (!json_object_is_type(value, json_type_object)) {
        return refuse_kind(reader, field, value, "an object");
    }
    json_object_object_foreach(value, name, member)
    {
        if (!read_property(reader, name, member)) {
            return false;
        }
    }
    return true;
}

static bool read_timeout(struct reader *reader, const char *field, json_object *value)
{
    uint64_t number = 0;
    bool is_good = read_number(reader, field, value, 1, CONTROL_TIMEOUT_MS_LAST, &number);

    reader->ask->timeout_ms = (uint32_t)number;
    return is_good;
}

/* Digits of `base`, and nothing else. */
static bool read_digits(const struct reader *reader, const char *field, json_object *value,
                        int base, uint64_t *out_number)
{
    static const char digits[] = "0123456789abcdef";
    fmx_slice text;
    const char *words = base == 10 ? "what 'next' said" : "a session's 16 digits, as in the list";

    if (!read_text(reader, field, value, &text)) {
        return false;
    }
    *out_number = 0;
    for (size_t index = 0; index < text.bytes; index++) {
        const char *digit = memchr(digits, text.data[index], (size_t)base);
        if (digit == NULL || __builtin_mul_overflow(*out_number, (uint64_t)base, out_number) ||
            __builtin_add_overflow(*out_number, (uint64_t)(digit - digits), out_number)) {
            return refuse(reader, field, "write %s", words);
        }
    }
    return text.bytes > 0 || refuse(reader, field, "is empty; write %s", words);
}

static bool read_cursor(struct reader *reader, const char *field, json_object *value)
{
    return read_digits(reader, field, value, 10, &reader->ask->cursor);
}

static bool read_session(struct reader *reader, const char *field, json_object *value)
{
    return read_digits(reader, field, value, 16, &reader->ask->session.bits);
}

static bool read_limits(struct reader *reader, const char *field, json_object *value)
{
    char words[512];

    if (!json_object_is_type(value, json_type_object)) {
        return refuse_kind(reader, field, value, "an object of names and values");
    }
    json_object_object_foreach(value, name, member)
    {
        if (!json_object_is_type(member, json_type_int) &&
            !json_object_is_type(member, json_type_string)) {
            return refuse_kind(reader, field, member, "a number or a string for each limit");
        }
        fmx_slice text = fmx_slice_of(json_object_get_string(member));
        if (fmx_limits_override_set(&reader->ask->limits, fmx_slice_of(name), text, words,
                                    sizeof(words)) != FMX_OK) {
            return refuse(reader, field, "%s", words);
        }
    }
    return true;
}

#define BIT(verb) (1U << CONTROL_##verb)

/* All but id and do. */
static const struct field {
    const char *name;
    unsigned may, must; /* bits of the verbs */
    bool (*read)(struct reader *reader, const char *field, json_object *value);
} fields[] = {
    {"productKey", BIT(QUERY) | BIT(PUBLISH) | BIT(BROADCAST) | BIT(CALL) | BIT(KICK) | BIT(LIMITS),
     BIT(QUERY) | BIT(BROADCAST) | BIT(CALL), read_product_key},
    {"deviceName", BIT(QUERY) | BIT(PUBLISH) | BIT(CALL) | BIT(KICK), BIT(QUERY) | BIT(CALL),
     read_device_name},
    {"topic", BIT(PUBLISH) | BIT(CALL), BIT(PUBLISH), read_topic},
    {"payload", BIT(PUBLISH) | BIT(BROADCAST) | BIT(CALL), 0, read_payload},
    {"payload64", BIT(PUBLISH) | BIT(BROADCAST) | BIT(CALL), 0, read_payload64},
    {"qos", BIT(PUBLISH), 0, read_qos},
    {"properties", BIT(PUBLISH), 0, read_properties},
    {"timeoutMs", BIT(CALL), 0, read_timeout},
    {"cursor", BIT(DEVICES), 0, read_cursor},
    {"session", BIT(KICK), 0, read_session},
    {"limits", BIT(LIMITS), 0, read_limits},
};

#define FIELDS_COUNT (sizeof(fields) / sizeof(fields[0]))

static bool refuse_field(const struct reader *reader, const char *name)
{
    struct nearest nearest = {.word = name};

    for (size_t index = 0; index < FIELDS_COUNT; index++) {
        nearest_consider(&nearest, fields[index].name);
    }
    return refuse(reader, name, "is unknown%s%s%s", nearest.best != NULL ? "; did you mean '" : "",
                  nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
}

static bool read_field(struct reader *reader, const char *name, json_object *value)
{
    const char *verb = verb_names[reader->ask->verb];

    for (size_t index = 0; index < FIELDS_COUNT; index++) {
        const struct field *field = &fields[index];
        if (strcmp(field->name, name) == 0) {
            return (field->may & (1U << reader->ask->verb)) != 0
                       ? field->read(reader, field->name, value)
                       : refuse(reader, name, "has no meaning for '%s'; leave it out", verb);
        }
    }
    return refuse_field(reader, name);
}

/* The whole line ------------------------------------------------------------------------------ */

static bool read_verb(struct reader *reader)
{
    json_object *value = NULL;
    struct nearest nearest = {0};
    fmx_slice text;

    if (!json_object_object_get_ex(reader->ask->root, "do", &value)) {
        return refuse(reader, "do",
                      "is missing; write what is to be done, as in \"do\":\"status\"");
    }
    if (!read_text(reader, "do", value, &text)) {
        return false;
    }
    nearest.word = (const char *)text.data;
    for (unsigned verb = 0; verb < CONTROL_VERBS_COUNT; verb++) {
        if (fmx_slice_equal(fmx_slice_of(verb_names[verb]), text)) {
            reader->ask->verb = (enum control_verb)verb;
            return true;
        }
        nearest_consider(&nearest, verb_names[verb]);
    }
    return refuse(reader, "do", "'%.100s' is unknown%s%s%s", nearest.word,
                  nearest.best != NULL ? "; did you mean '" : "",
                  nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
}

static bool read_id(const struct reader *reader)
{
    json_object *value = NULL;
    size_t bytes = 0;

    if (!json_object_object_get_ex(reader->ask->root, "id", &value) || value == NULL) {
        return true;
    }
    (void)json_object_to_json_string_length(value, JSON_C_TO_STRING_PLAIN, &bytes);
    if (bytes > ID_BYTES_MAX) {
        return refuse(reader, "id", "has %zu bytes; at most %d are given back", bytes,
                      ID_BYTES_MAX);
    }
    reader->ask->id = json_object_get(value);
    return true;
}

/* What one field alone does not show. */
static bool check_whole(const struct reader *reader)
{
    const struct control_ask *ask = reader->ask;
    json_object *root = ask->root;
    bool has_product = json_object_object_get_ex(root, "productKey", NULL);
    bool has_device = json_object_object_get_ex(root, "deviceName", NULL);
    bool has_session = json_object_object_get_ex(root, "session", NULL);

    for (size_t index = 0; index < FIELDS_COUNT; index++) {
        if ((fields[index].must & (1U << ask->verb)) != 0 &&
            !json_object_object_get_ex(root, fields[index].name, NULL)) {
            return refuse(reader, fields[index].name, "is missing");
        }
    }
    if (has_product && ask->product_key.bytes == 0) {
        return refuse(reader, "productKey", "is empty");
    }
    if (has_device && ask->device_name.bytes == 0) {
        return refuse(reader, "deviceName", "is empty");
    }
    if ((ask->verb == CONTROL_PUBLISH || ask->verb == CONTROL_KICK) && has_product != has_device) {
        return refuse(reader, has_product ? "deviceName" : "productKey",
                      "is missing; a device is named by both");
    }
    if (ask->verb == CONTROL_KICK && has_session == has_device) {
        return refuse(reader, "session", "write either session, or productKey and deviceName");
    }
    return true;
}

static bool read_fields(struct reader *reader)
{
    if (!read_id(reader) || !read_verb(reader)) {
        return false;
    }
    json_object_object_foreach(reader->ask->root, name, value)
    {
        if (strcmp(name, "id") != 0 && strcmp(name, "do") != 0 &&
            !read_field(reader, name, value)) {
            return false;
        }
    }
    return check_whole(reader);
}

/* One JSON object and nothing behind it. NULL: the error says so. */
static json_object *parse(const char *line, size_t bytes, char *error)
{
    json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
    json_object *root = NULL;

    if (tokener == NULL) {
        snprintf(error, CONTROL_ERROR_BYTES, "line: memory ran out");
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    root = json_tokener_parse_ex(tokener, line, (int)bytes);
    enum json_tokener_error result = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    if (result == json_tokener_continue) {
        snprintf(error, CONTROL_ERROR_BYTES, "line: ends before the JSON does");
    } else if (result != json_tokener_success) {
        snprintf(error, CONTROL_ERROR_BYTES, "line: is no JSON: %s at byte %zu",
                 json_tokener_error_desc(result), end + 1);
    } else if (!json_object_is_type(root, json_type_object)) {
        snprintf(error, CONTROL_ERROR_BYTES,
                 "line: is no object; write {\"do\":\"status\"} or the like");
        json_object_put(root);
        root = NULL;
    }
    json_tokener_free(tokener);
    return root;
}

bool control_ask_read(const char *line, size_t bytes, struct control_ask *out_ask, char *error)
{
    *out_ask = (struct control_ask){.timeout_ms = CONTROL_TIMEOUT_MS};
    while (bytes > 0 && (line[bytes - 1] == ' ' || line[bytes - 1] == '\r')) {
        bytes--;
    }
    out_ask->root = parse(line, bytes, error);
    if (out_ask->root == NULL) {
        return false;
    }
    out_ask->decoded = malloc(bytes);
    if (out_ask->decoded == NULL) {
        snprintf(error, CONTROL_ERROR_BYTES, "line: memory ran out");
        return false;
    }
    struct reader reader = {
        .ask = out_ask, .decoded = out_ask->decoded, .left = bytes, .error = error};
    return read_fields(&reader);
}

void control_ask_wipe(struct control_ask *ask)
{
    json_object_put(ask->id);
    json_object_put(ask->root);
    free(ask->decoded);
    *ask = (struct control_ask){0};
}
