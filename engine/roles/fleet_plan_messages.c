/*
 * fleet_plan_messages — what a group says and hears: topics, schedules, payloads, filters
 *
 * Why it is so:   each check's words begin with its field, and the place in the plan is put in
 *                 front by whoever walks the array
 * Threads:        pure
 * Limits:         each in a table below; a message as a whole FMX_REMAINING_BYTES_MAX
 * Not here:       what a payload's text may hold: fleet_payload.c
 */
#include "engine/roles/fleet_plan.h"
#include "engine/roles/fleet_payload.h"

#include "engine/options.h"
#include "proto/limits.h"
#include "proto/topic.h"
#include "proto/utf8.h"

#define BURST_MAX             65536u
#define USER_MAX              1024u
#define RESPONSE_TIMEOUT_MS   3600000u
#define PACKET_REST_BYTES_MAX 4096u /* of a message beside topic, payload and what is counted */
#define TOPIC_ALIKE_BYTES_MAX (2 * FMX_TEMPLATE_BYTES_MAX)
#define RETAIN_HANDLING_MAX   2u

/* ── topics and filters ── */

/* A text that becomes a topic name, or a filter, for every client. */
static enum fmx_status check_topic(const char *field, const char *text, bool is_filter,
                                   const struct fmx_template_values *longest, char *error,
                                   size_t error_bytes)
{
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];
    enum fmx_status status = fmx_template_check(field, text, longest, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    fmx_slice topic = fmx_template_fill(text, longest, filled);
    status = is_filter ? fmx_topic_check_filter(topic) : fmx_topic_check_name(topic);
    if (status != FMX_OK) {
        return fmx_plan_refuse(error, error_bytes, "%s is '%s': write %s", field, text,
                               is_filter ? "a topic filter, with + as a whole level and # as the "
                                           "whole last one"
                                         : "a topic name, of 1 byte or more of UTF-8 without + and "
                                           "#");
    }
    if (fmx_topic_levels(topic) > FMX_TOPIC_LEVELS_MAX) {
        return fmx_plan_refuse(error, error_bytes, "%s is '%s': write at most %u levels", field,
                               text, FMX_TOPIC_LEVELS_MAX);
    }
    return FMX_OK;
}

/* ── properties ── */

static enum fmx_status check_user_properties(const struct fmx_fleet_properties *properties,
                                             char *error, size_t error_bytes)
{
    if (properties->user == NULL && properties->user_count > 0) {
        return fmx_plan_refuse(error, error_bytes,
                               "properties.user is missing, but user_count is not 0");
    }
    for (size_t i = 0; i < properties->user_count; i++) {
        const struct fmx_fleet_property *user = &properties->user[i];
        if (user->key == NULL || user->value == NULL || strlen(user->key) > FMX_STRING_BYTES_MAX ||
            strlen(user->value) > FMX_STRING_BYTES_MAX ||
            !fmx_utf8_is_valid(fmx_slice_of(user->key)) ||
            !fmx_utf8_is_valid(fmx_slice_of(user->value))) {
            return fmx_plan_refuse(
                error, error_bytes,
                "properties.user[%zu]: key or value is missing, is not UTF-8, or "
                "has more than %u bytes",
                i, FMX_STRING_BYTES_MAX);
        }
    }
    return FMX_OK;
}

/* What of the properties is there; NULL: nothing. */
static const char *property_of(const struct fmx_fleet_publish *publish)
{
    const struct fmx_fleet_properties *properties = &publish->properties;

    return properties->response_topic != NULL  ? "properties.response_topic"
           : properties->correlation_bytes > 0 ? "properties.correlation_bytes"
           : properties->user_count > 0        ? "properties.user"
           : properties->content_type != NULL  ? "properties.content_type"
           : properties->message_expiry_s > 0  ? "properties.message_expiry_s"
           : properties->is_text               ? "properties.is_text"
           : properties->use_aliases           ? "properties.use_aliases"
           : publish->response_timeout_ms > 0  ? "response_timeout_ms"
                                               : NULL;
}

static enum fmx_status check_properties(const struct fmx_fleet_group *group,
                                        const struct fmx_fleet_publish *publish,
                                        const struct fmx_template_values *longest, char *error,
                                        size_t error_bytes)
{
    const struct fmx_fleet_properties *properties = &publish->properties;
    const char *field = property_of(publish);
    enum fmx_status status = FMX_OK;

    if (field != NULL && group->version != FMX_MQTT_50) {
        return fmx_plan_refuse(error, error_bytes,
                               "%s needs version MQTT 5.0: leave it out, or write that version",
                               field);
    }
    if (publish->response_timeout_ms > 0 && properties->response_topic == NULL) {
        return fmx_plan_refuse(error, error_bytes,
                               "properties.response_topic is missing: response_timeout_ms makes "
                               "messages requests, which are answered there");
    }
    if (properties->response_topic != NULL) {
        status = check_topic("properties.response_topic", properties->response_topic, false,
                             longest, error, error_bytes);
    }
    if (status == FMX_OK && properties->content_type != NULL &&
        (strlen(properties->content_type) > FMX_STRING_BYTES_MAX ||
         !fmx_utf8_is_valid(fmx_slice_of(properties->content_type)))) {
        return fmx_plan_refuse(error, error_bytes,
                               "properties.content_type is not UTF-8, or has more than %u bytes",
                               FMX_STRING_BYTES_MAX);
    }
    return status == FMX_OK ? check_user_properties(properties, error, error_bytes) : status;
}

/* ── payloads ── */

static enum fmx_status check_size(const struct fmx_fleet_publish *publish, size_t payload_bytes,
                                  char *error, size_t error_bytes)
{
    const struct fmx_fleet_properties *properties = &publish->properties;
    size_t bytes = payload_bytes + PACKET_REST_BYTES_MAX + TOPIC_ALIKE_BYTES_MAX +
                   properties->correlation_bytes;

    if (payload_bytes > FMX_PLAN_PAYLOAD_MAX) {
        return fmx_plan_refuse(error, error_bytes, "text makes %zu bytes: write one of at most %u",
                               payload_bytes, FMX_PLAN_PAYLOAD_MAX);
    }
    bytes += properties->content_type == NULL ? 0 : strlen(properties->content_type);
    for (size_t i = 0; i < properties->user_count; i++) {
        bytes += 5 + strlen(properties->user[i].key) + strlen(properties->user[i].value);
    }
    return bytes <= FMX_REMAINING_BYTES_MAX
               ? FMX_OK
               : fmx_plan_refuse(
                     error, error_bytes,
                     "properties make a message of %zu bytes with its payload: MQTT has "
                     "room for %u",
                     bytes, FMX_REMAINING_BYTES_MAX);
}

static enum fmx_status check_text(const struct fmx_fleet_group *group,
                                  const struct fmx_fleet_publish *publish,
                                  const struct fmx_template_values *longest, size_t *out_bytes,
                                  char *error, size_t error_bytes)
{
    struct fmx_payload_text *text = NULL;
    enum fmx_status status = fmx_payload_text_open(publish->text, fmx_fleet_has_devices(group),
                                                   &text, error, error_bytes);

    if (status != FMX_OK) {
        return fmx_plan_place(status, error, error_bytes, "text: ");
    }
    *out_bytes = fmx_payload_text_bytes_max(text, longest);
    fmx_payload_text_close(text);
    return FMX_OK;
}

static enum fmx_status check_payload(const struct fmx_fleet_group *group,
                                     const struct fmx_fleet_publish *publish,
                                     const struct fmx_template_values *longest, char *error,
                                     size_t error_bytes)
{
    size_t bytes = publish->payload.bytes > 0 ? publish->payload.bytes : publish->payload_bytes;
    enum fmx_status status = FMX_OK;

    if (publish->payload.bytes > 0 && publish->payload.data == NULL) {
        return fmx_plan_refuse(error, error_bytes, "payload is missing, but its bytes are not 0");
    }
    if (publish->payload.bytes > 0 && publish->text != NULL) {
        return fmx_plan_refuse(error, error_bytes, "payload and text are given: give one of them");
    }
    if (publish->text != NULL) {
        status = check_text(group, publish, longest, &bytes, error, error_bytes);
    }
    return status == FMX_OK ? check_size(publish, bytes, error, error_bytes) : status;
}

/* ── a publish ── */

static enum fmx_status check_publish_ranges(const struct fmx_fleet_publish *publish, char *error,
                                            size_t error_bytes)
{
    bool is_open_loop = publish->schedule != FMX_FLEET_CLOSED_LOOP;
    const struct fmx_option_range ranges[] = {
        {"schedule", (uint64_t)publish->schedule, 0, FMX_FLEET_CLOSED_LOOP},
        {"interval_ns", publish->interval_ns, is_open_loop ? 1 : 0, FMX_PLAN_TIME_NS_MAX},
        {"burst_count", publish->burst_count, 1, BURST_MAX},
        {"burst_spacing_ns", publish->burst_spacing_ns, 0, FMX_PLAN_TIME_NS_MAX},
        {"payload", publish->payload.bytes, 0, FMX_PLAN_PAYLOAD_MAX},
        {"payload_bytes", publish->payload_bytes, 0, FMX_PLAN_PAYLOAD_MAX},
        {"response_timeout_ms", publish->response_timeout_ms, 0, RESPONSE_TIMEOUT_MS},
        {"properties.correlation_bytes", publish->properties.correlation_bytes, 0,
         FMX_STRING_BYTES_MAX},
        {"properties.user_count", publish->properties.user_count, 0, USER_MAX},
    };
    enum fmx_status status = fmx_plan_check_qos(publish->qos, error, error_bytes);

    return status == FMX_OK
               ? fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes)
               : status;
}

static enum fmx_status check_schedule(const struct fmx_fleet_publish *publish, char *error,
                                      size_t error_bytes)
{
    if (publish->schedule == FMX_FLEET_BURSTS &&
        publish->burst_spacing_ns > publish->interval_ns / publish->burst_count) {
        return fmx_plan_refuse(error, error_bytes,
                               "burst_spacing_ns is %llu: %u of them do not fit into interval_ns, "
                               "which is %llu: write at most %llu",
                               (unsigned long long)publish->burst_spacing_ns, publish->burst_count,
                               (unsigned long long)publish->interval_ns,
                               (unsigned long long)(publish->interval_ns / publish->burst_count));
    }
    if (publish->schedule == FMX_FLEET_ON_CHANGE &&
        !(publish->change > 0 && publish->change <= 1)) {
        return fmx_plan_refuse(error, error_bytes, "change is %g: write a number above 0, to 1",
                               publish->change);
    }
    return FMX_OK;
}

static enum fmx_status check_thing_model(const struct fmx_fleet_group *group,
                                         const struct fmx_fleet_publish *publish, char *error,
                                         size_t error_bytes)
{
    const char *field = publish->topic != NULL       ? "topic"
                        : publish->payload.bytes > 0 ? "payload"
                        : publish->text != NULL      ? "text"
                                                     : NULL;

    if (!fmx_fleet_has_devices(group)) {
        return fmx_plan_refuse(error, error_bytes,
                               "thing_model needs devices: give platform.product_key or "
                               "platform.device");
    }
    return field == NULL
               ? FMX_OK
               : fmx_plan_refuse(error, error_bytes,
                                 "thing_model has a topic and a payload of its own: leave "
                                 "%s out",
                                 field);
}

static enum fmx_status check_publish(const struct fmx_fleet_group *group,
                                     const struct fmx_fleet_publish *publish,
                                     const struct fmx_template_values *longest, char *error,
                                     size_t error_bytes)
{
    enum fmx_status status = check_publish_ranges(publish, error, error_bytes);

    if (status == FMX_OK) {
        status = check_schedule(publish, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = publish->thing_model
                     ? check_thing_model(group, publish, error, error_bytes)
                     : check_topic("topic", publish->topic, false, longest, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = check_properties(group, publish, longest, error, error_bytes);
    }
    return status == FMX_OK ? check_payload(group, publish, longest, error, error_bytes) : status;
}

/* ── a subscribe ── */

static enum fmx_status check_subscribe(const struct fmx_fleet_group *group,
                                       const struct fmx_fleet_subscribe *subscribe,
                                       const struct fmx_template_values *longest, char *error,
                                       size_t error_bytes)
{
    const char *field = subscribe->no_local              ? "no_local"
                        : subscribe->as_published        ? "as_published"
                        : subscribe->retain_handling > 0 ? "retain_handling"
                                                         : NULL;
    enum fmx_status status = fmx_plan_check_qos(subscribe->qos, error, error_bytes);

    if (status == FMX_OK && subscribe->retain_handling > RETAIN_HANDLING_MAX) {
        return fmx_plan_refuse(error, error_bytes, "retain_handling is %u: write 0, 1 or 2",
                               subscribe->retain_handling);
    }
    if (status == FMX_OK && field != NULL && group->version != FMX_MQTT_50) {
        return fmx_plan_refuse(error, error_bytes,
                               "%s needs version MQTT 5.0: leave it out, or write that version",
                               field);
    }
    if (status == FMX_OK) {
        status = check_topic("filter", subscribe->filter, true, longest, error, error_bytes);
    }
    if (status == FMX_OK && subscribe->no_local &&
        fmx_topic_is_shared(fmx_slice_of(subscribe->filter))) {
        return fmx_plan_refuse(error, error_bytes,
                               "no_local is not allowed with a shared subscription, which '%s' is: "
                               "leave it out",
                               subscribe->filter);
    }
    return status;
}

/* ── all of them ── */

enum fmx_status fmx_plan_check_messages(const struct fmx_fleet_group *group,
                                        const struct fmx_template_values *longest, char *error,
                                        size_t error_bytes)
{
    enum fmx_status status = FMX_OK;

    if ((group->publishes == NULL && group->publishes_count > 0) ||
        (group->subscribes == NULL && group->subscribes_count > 0)) {
        return fmx_plan_refuse(
            error, error_bytes, "%s is missing, but its count is not 0",
            group->publishes_count > 0 && group->publishes == NULL ? "publishes" : "subscribes");
    }
    for (size_t i = 0; status == FMX_OK && i < group->subscribes_count; i++) {
        status = check_subscribe(group, &group->subscribes[i], longest, error, error_bytes);
        status = fmx_plan_place(status, error, error_bytes, "subscribes[%zu].", i);
    }
    for (size_t i = 0; status == FMX_OK && i < group->publishes_count; i++) {
        status = check_publish(group, &group->publishes[i], longest, error, error_bytes);
        status = fmx_plan_place(status, error, error_bytes, "publishes[%zu].", i);
    }
    return status;
}
