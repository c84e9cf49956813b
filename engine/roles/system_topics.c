/*
 * system_topics — what the gateway itself says to a device: the time, credentials, notices, and
 * answers to thing-model posts if it is asked to
 *
 * Why it is so:   these are answers of the platform and not of the service behind it; they come
 *                 from the shard that holds the session, in the same turn
 * Words:          thing-model post: Alink JSON on …/thing/…/post, which SDKs want answered on
 *                 …/post_reply with their own id, letter by letter
 * Memory:         a JSON tree for the length of one call
 * Threads:        the session's shard
 * Limits:         input is at most packet_bytes_max and JSON_DEPTH deep; one notice a second and
 *                 device
 * Not here:       calls: rrpc.c; everything else under /sys/ is the service's
 */
#include "engine/roles/gateway.h"

#include "engine/clock.h"
#include "proto/limits.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

#define JSON_DEPTH  16
#define TOPIC_BYTES 65536u

/* ── saying ── */

void fmx_system_say(struct fmx_conn *conn, fmx_slice topic, fmx_slice payload)
{
    struct fmx_publish publish = {.topic = topic, .payload = payload};
    struct fmx_payload *made = fmx_payload_make(&publish, FMX_SESSION_NONE, 0);

    if (made == NULL) {
        fmx_count(&conn->shard->counters.dropped_qos0, 1);
        return;
    }
    fmx_gateway_give_to(conn, made, true);
}

static void say_json(struct fmx_conn *conn, fmx_slice topic, json_object *tree)
{
    size_t bytes = 0;
    const char *text =
        json_object_to_json_string_length(tree, JSON_C_TO_STRING_NOSLASHESCAPE, &bytes);

    if (text != NULL) {
        fmx_system_say(conn, topic, (fmx_slice){.data = (const uint8_t *)text, .bytes = bytes});
    }
    json_object_put(tree);
}

static json_object *text_of(fmx_slice text)
{
    return json_object_new_string_len((const char *)text.data, (int)text.bytes);
}

/* Adds a text field; a NULL object or value is passed over, as memory that ran out is. */
static void add(json_object *tree, const char *name, json_object *value)
{
    if (tree == NULL || json_object_object_add(tree, name, value) != 0) {
        json_object_put(value);
    }
}

/* Prefix, product key, '/', device name, suffix: the device's own topic of a kind. */
static fmx_slice own_topic(struct fmx_conn *conn, const char *prefix, const char *suffix, char *out,
                           size_t room)
{
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    fmx_slice product_key = fmx_gateway_product_key(part);
    fmx_slice device_name = fmx_gateway_device_name(part);
    int bytes = snprintf(out, room, "%s%.*s/%.*s%s", prefix, (int)product_key.bytes,
                         (const char *)product_key.data, (int)device_name.bytes,
                         (const char *)device_name.data, suffix);

    FMX_ASSERT(bytes > 0 && (size_t)bytes < room);
    return (fmx_slice){.data = (const uint8_t *)out, .bytes = (size_t)bytes};
}

/* ── hearing ── */

/* An object, or NULL, which is counted. */
static json_object *parse(struct fmx_conn *conn, fmx_slice payload)
{
    json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
    json_object *tree = NULL;

    if (tokener != NULL && payload.bytes > 0 && payload.bytes <= INT32_MAX) {
        tree = json_tokener_parse_ex(tokener, (const char *)payload.data, (int)payload.bytes);
    }
    json_tokener_free(tokener);
    if (tree != NULL && !json_object_is_type(tree, json_type_object)) {
        json_object_put(tree);
        tree = NULL;
    }
    if (tree == NULL) {
        fmx_count(&conn->shard->counters.service_payloads_malformed, 1);
    }
    return tree;
}

/* A member as it is, to be put into another object; NULL: there is none. */
static json_object *member(json_object *tree, const char *name)
{
    json_object *value = NULL;

    return json_object_object_get_ex(tree, name, &value) ? json_object_get(value) : NULL;
}

/* ── the time ── */

static json_object *text_of_ms(uint64_t ms)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%" PRIu64, ms);
    return json_object_new_string(digits);
}

void fmx_system_ntp(struct fmx_conn *conn, const struct fmx_publish *publish, uint64_t received_ms)
{
    char topic[FMX_PRODUCT_KEY_BYTES_MAX + FMX_DEVICE_NAME_BYTES_MAX + 32];
    json_object *request = parse(conn, publish->payload);
    json_object *sent = request == NULL ? NULL : member(request, "deviceSendTime");

    if (sent == NULL) {
        if (request != NULL) {
            fmx_count(&conn->shard->counters.service_payloads_malformed, 1);
        }
        json_object_put(request);
        return;
    }
    json_object *answer = json_object_new_object();
    add(answer, "deviceSendTime", json_object_new_string(json_object_get_string(sent)));
    add(answer, "serverRecvTime", text_of_ms(received_ms));
    add(answer, "serverSendTime", text_of_ms(fmx_clock_unix_ms()));
    say_json(conn, own_topic(conn, "/ext/ntp/", "/response", topic, sizeof(topic)), answer);
    fmx_count(&conn->shard->counters.ntp_answers, 1);
    json_object_put(sent);
    json_object_put(request);
}

/* ── thing-model posts ── */

static bool ends_with(fmx_slice text, const char *end)
{
    size_t bytes = strlen(end);

    return text.bytes >= bytes && memcmp(text.data + text.bytes - bytes, end, bytes) == 0;
}

/* "sys":{"ack":0} asks for silence. */
static bool wants_answer(json_object *request)
{
    json_object *sys = NULL;
    json_object *ack = NULL;

    return !json_object_object_get_ex(request, "sys", &sys) ||
           !json_object_object_get_ex(sys, "ack", &ack) || json_object_get_int(ack) != 0;
}

void fmx_system_thing(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    static const char suffix[] = "_reply";
    uint8_t topic[TOPIC_BYTES];

    if (!ends_with(publish->topic, "/post") ||
        publish->topic.bytes + sizeof(suffix) > sizeof(topic)) {
        return;
    }
    json_object *request = parse(conn, publish->payload);
    if (request == NULL) {
        return;
    }
    if (wants_answer(request)) {
        json_object *answer = json_object_new_object();
        add(answer, "id", member(request, "id"));
        add(answer, "code", json_object_new_int(200));
        add(answer, "data", json_object_new_object());
        add(answer, "message", json_object_new_string("success"));
        add(answer, "method", member(request, "method"));
        add(answer, "version", json_object_new_string("1.0"));
        memcpy(topic, publish->topic.data, publish->topic.bytes);
        memcpy(topic + publish->topic.bytes, suffix, sizeof(suffix) - 1);
        fmx_slice name = {.data = topic, .bytes = publish->topic.bytes + sizeof(suffix) - 1};
        if (fmx_service_reaches(conn, name)) {
            say_json(conn, name, answer);
            fmx_count(&conn->shard->counters.thing_answers, 1);
        } else {
            json_object_put(answer);
        }
    }
    json_object_put(request);
}

/* ── notices ── */

void fmx_system_notice(struct fmx_conn *conn, const char *what, fmx_slice topic, const char *words)
{
    struct fmx_device_state *device = fmx_gateway_part(conn)->device;
    char name[FMX_PRODUCT_KEY_BYTES_MAX + FMX_DEVICE_NAME_BYTES_MAX + 32];
    uint64_t now_ns = conn->shard->now_ns;

    if ((device->ext & FMX_EXT_NOTIFY) == 0 || conn->state != FMX_CONN_OPEN ||
        (device->notice_ns != 0 && now_ns - device->notice_ns < FMX_NS_PER_S)) {
        return;
    }
    device->notice_ns = now_ns;
    json_object *notice = json_object_new_object();
    add(notice, "reason", json_object_new_string(what));
    add(notice, "message", json_object_new_string(words));
    add(notice, "topic", text_of(topic));
    add(notice, "time", text_of_ms(fmx_clock_unix_ms()));
    say_json(conn, own_topic(conn, "/ext/error/", "", name, sizeof(name)), notice);
    fmx_count(&conn->shard->counters.notices, 1);
}

/* ── who it is ── */

void fmx_system_identity(struct fmx_conn *conn)
{
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    json_object *answer = json_object_new_object();

    add(answer, "productKey", text_of(fmx_gateway_product_key(part)));
    add(answer, "deviceName", text_of(fmx_gateway_device_name(part)));
    say_json(conn, fmx_slice_of("/ext/auth/identity/response"), answer);
}

/* ── credentials ── */

void fmx_system_credentials(struct fmx_conn *conn, fmx_slice secret, fmx_slice client_id)
{
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    bool has_token = client_id.bytes > 0;
    json_object *answer = json_object_new_object();

    add(answer, "productKey", text_of(fmx_gateway_product_key(part)));
    add(answer, "deviceName", text_of(fmx_gateway_device_name(part)));
    if (has_token) {
        add(answer, "clientId", text_of(client_id));
    }
    add(answer, has_token ? "deviceToken" : "deviceSecret", text_of(secret));
    say_json(conn, fmx_slice_of(has_token ? "/ext/regnwl" : "/ext/register"), answer);
}
