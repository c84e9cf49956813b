/*
 * ctl_ask — a command line as a request of the control socket
 *
 * Memory:         the request's tree is the caller's
 * Threads:        one
 * Limits:         payloads up to CTL_PAYLOAD_BYTES_MAX
 * Not here:       whether the values are good: the gateway says so (control_ask.c)
 */
#include "tools/fleetmux/base64.h"
#include "tools/fleetmux/ctl.h"

#include <json-c/json.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_text(json_object *object, const char *name, const char *text)
{
    if (text != NULL) {
        json_object_object_add(object, name, json_object_new_string(text));
    }
}

static bool add_base64(json_object *object, const char *name, const void *data, size_t bytes)
{
    char *letters = malloc(base64_letters(bytes) + 1);

    if (letters == NULL) {
        return false;
    }
    size_t count = base64_write(data, bytes, letters);
    json_object_object_add(object, name, json_object_new_string_len(letters, (int)count));
    free(letters);
    return true;
}

/* All of standard input as the payload. */
static bool add_payload(json_object *ask, char *error)
{
    uint8_t *payload = malloc(CTL_PAYLOAD_BYTES_MAX + 1);
    bool is_good = payload != NULL;

    if (isatty(STDIN_FILENO)) {
        fprintf(stderr, "fleetmux ctl: type the payload and end it with Ctrl-D\n");
    }
    size_t bytes = is_good ? fread(payload, 1, CTL_PAYLOAD_BYTES_MAX + 1, stdin) : 0;
    if (is_good && ferror(stdin)) {
        snprintf(error, FLAG_ERROR_BYTES, "the payload cannot be read from standard input");
        is_good = false;
    } else if (bytes > CTL_PAYLOAD_BYTES_MAX) {
        snprintf(error, FLAG_ERROR_BYTES, "the payload has more than %u bytes",
                 CTL_PAYLOAD_BYTES_MAX);
        is_good = false;
    } else if (!is_good || !add_base64(ask, "payload64", payload, bytes)) {
        snprintf(error, FLAG_ERROR_BYTES, "memory ran out");
        is_good = false;
    }
    free(payload);
    return is_good;
}

/* "PRODUCT KEY/DEVICE NAME" */
static bool add_device(json_object *ask, const char *operand, char *error)
{
    const char *slash = strchr(operand, '/');

    if (slash == NULL || slash == operand || slash[1] == '\0') {
        snprintf(error, FLAG_ERROR_BYTES, "'%.100s' names no device; write PRODUCT-KEY/DEVICE-NAME",
                 operand);
        return false;
    }
    json_object_object_add(ask, "productKey",
                           json_object_new_string_len(operand, (int)(slash - operand)));
    add_text(ask, "deviceName", slash + 1);
    return true;
}

static bool add_pair(json_object *pairs, const char *text, char *error)
{
    const char *equals = strchr(text, '=');
    json_object *pair = json_object_new_object();

    json_object_array_add(pairs, pair);
    if (equals == NULL) {
        snprintf(error, FLAG_ERROR_BYTES, "option '--property': '%.100s' is no KEY=VALUE", text);
        return false;
    }
    json_object_object_add(pair, "key", json_object_new_string_len(text, (int)(equals - text)));
    add_text(pair, "value", equals + 1);
    return true;
}

static bool add_properties(json_object *ask, const struct ctl_settings *settings, char *error)
{
    json_object *properties = json_object_new_object();
    json_object *pairs = json_object_new_array();

    json_object_object_add(ask, "properties", properties);
    json_object_object_add(properties, "userProperty", pairs);
    for (size_t index = 0; index < settings->properties.count; index++) {
        if (!add_pair(pairs, settings->properties.items[index], error)) {
            return false;
        }
    }
    add_text(properties, "responseTopic", settings->response_topic);
    add_text(properties, "contentType", settings->content_type);
    if (settings->is_text) {
        json_object_object_add(properties, "payloadFormatIndicator", json_object_new_int(1));
    }
    if (settings->expiry_s > 0) {
        json_object_object_add(properties, "messageExpiryInterval",
                               json_object_new_uint64(settings->expiry_s));
    }
    if (settings->correlation != NULL &&
        !add_base64(properties, "correlationData", settings->correlation,
                    strlen(settings->correlation))) {
        snprintf(error, FLAG_ERROR_BYTES, "memory ran out");
        return false;
    }
    return true;
}

static bool make_publish(json_object *ask, const struct ctl_settings *settings, char *error)
{
    if (settings->operands_count > 0 && !add_device(ask, settings->operands[0], error)) {
        return false;
    }
    if (settings->topic == NULL) {
        snprintf(error, FLAG_ERROR_BYTES, "a topic is missing; write --topic TOPIC");
        return false;
    }
    add_text(ask, "topic", settings->topic);
    json_object_object_add(ask, "qos", json_object_new_int(settings->qos));
    return add_properties(ask, settings, error) && add_payload(ask, error);
}

static bool make_call(json_object *ask, const struct ctl_settings *settings, char *error)
{
    add_text(ask, "topic", settings->topic);
    json_object_object_add(ask, "timeoutMs", json_object_new_uint64(settings->timeout_ms));
    return add_device(ask, settings->operands[0], error) && add_payload(ask, error);
}

/* A device, or a session of the list. */
static bool make_kick(json_object *ask, const struct ctl_settings *settings, char *error)
{
    const char *operand = settings->operands[0];

    if (strlen(operand) == 16 && strspn(operand, "0123456789abcdef") == 16) {
        add_text(ask, "session", operand);
        return true;
    }
    return add_device(ask, operand, error);
}

/* "[PRODUCT KEY] [NAME=VALUE...]" */
static bool make_limits(json_object *ask, const struct ctl_settings *settings, char *error)
{
    json_object *limits = json_object_new_object();
    size_t index = 0;

    json_object_object_add(ask, "limits", limits);
    if (settings->operands_count > 0 && strchr(settings->operands[0], '=') == NULL) {
        add_text(ask, "productKey", settings->operands[index++]);
    }
    for (; index < settings->operands_count; index++) {
        char name[64];
        const char *equals = strchr(settings->operands[index], '=');
        size_t bytes = equals == NULL ? 0 : (size_t)(equals - settings->operands[index]);
        if (bytes == 0 || bytes >= sizeof(name)) {
            snprintf(error, FLAG_ERROR_BYTES, "'%.100s' is no NAME=VALUE",
                     settings->operands[index]);
            return false;
        }
        memcpy(name, settings->operands[index], bytes);
        name[bytes] = '\0';
        add_text(limits, name, equals + 1);
    }
    return true;
}

static bool make(json_object *ask, const struct ctl_settings *settings, char *error)
{
    switch (settings->verb) {
    case CONTROL_QUERY:
        return add_device(ask, settings->operands[0], error);
    case CONTROL_PUBLISH:
        return make_publish(ask, settings, error);
    case CONTROL_BROADCAST:
        add_text(ask, "productKey", settings->operands[0]);
        return add_payload(ask, error);
    case CONTROL_CALL:
        return make_call(ask, settings, error);
    case CONTROL_KICK:
        return make_kick(ask, settings, error);
    case CONTROL_LIMITS:
        return make_limits(ask, settings, error);
    case CONTROL_STATUS:
    case CONTROL_STATS:
    case CONTROL_DEVICES:
    case CONTROL_RELOAD:
    case CONTROL_VERBS_COUNT:
        break;
    }
    return true;
}

json_object *ctl_ask_make(const struct ctl_settings *settings, char *error)
{
    json_object *ask = json_object_new_object();

    add_text(ask, "do", control_verb_name(settings->verb));
    if (!make(ask, settings, error)) {
        json_object_put(ask);
        return NULL;
    }
    return ask;
}
