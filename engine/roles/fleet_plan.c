/*
 * fleet_plan — the plan: its defaults, what is wrong with it, and our copy of it
 *
 * Why it is so:   a million clients that fail one by one because of a slip in a text are a poor way
 *                 to say so. Whatever can be seen before the first connect is refused here, with
 *                 the field's name and what to write instead
 * Memory:         copies of the plan's strings, one list; of payloads; user properties as they
 *                 stand in packets
 * Threads:        pure, but for the copy, which is made before the shards run
 * Limits:         each in a table below
 * Not here:       what the fields mean: include/fleetmux/fleet.h; TLS: fleet_tls_plan.c
 */
#include "engine/roles/fleet.h"

#include "engine/options.h"
#include "proto/limits.h"

#include <stdarg.h>
#include <stdlib.h>

#define THING_TOPIC       "/sys/%p/%d/thing/event/property/post"
#define SECRET_BYTES_MAX  64u
#define USER_MAX          1024u
#define SECURE_MODE_LEAST (-9)
#define SECURE_MODE_MOST  99
#define SECURE_MODE_TLS   2
#define SECURE_MODE_PLAIN 3

#define CONNECTS_INFLIGHT_PLAIN 1024u
#define CONNECTS_INFLIGHT_TLS   128u /* servers bound unfinished handshakes of an address */

__attribute__((format(printf, 3, 4))) static enum fmx_status refuse(char *error, size_t error_bytes,
                                                                    const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, error_bytes, format, arguments);
    va_end(arguments);
    return FMX_E_OPTION;
}

void fmx_fleet_plan_init(struct fmx_fleet_plan *plan)
{
    *plan = (struct fmx_fleet_plan){
        .clients_count = 1,
        .first_number = 1,
        .connects_per_second = 100,
        .connect_timeout_ms = 10000,
        .version = FMX_MQTT_50,
        .client_id = "fleetmux_%i",
        .keepalive_s = 300,
        .clean = true,
        .receive_max = 65535,
        .publish_interval_ns = FMX_NS_PER_S,
        .publish_window = 32,
        .payload_bytes = 256,
        .platform = {.device_name = "device_%i",
                     .client_id = "%p.%d",
                     .sign_method = FMX_FLEET_SIGN_SHA256,
                     .timestamp = "2524608000000",
                     .sdk = "fleetmux"},
        .calls = {.pending_max = 65536},
        .drain_ms = 5000,
        .seed = 1,
    };
    fmx_mux_options_init(&plan->mux);
    fmx_tls_limits_init(&plan->tls_limits);
}

/* ── the platform's part ── */

/* A device name or product key: no variable but the two that a device has before its names. */
static enum fmx_status check_name(const char *field, const char *text,
                                  const char *(*fault_of)(fmx_slice), char *error,
                                  size_t error_bytes)
{
    const struct fmx_template_values longest = {.number = UINT32_MAX, .run_number = UINT32_MAX};
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];
    enum fmx_status status = fmx_template_check(field, text, &longest, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    if (strstr(text, "%c") != NULL || strstr(text, "%u") != NULL) {
        return refuse(error, error_bytes, "%s is '%s': the variables are %%i and %%n", field, text);
    }
    const char *fault = fault_of(fmx_template_fill(text, &longest, filled));
    return fault == NULL ? FMX_OK
                         : refuse(error, error_bytes, "%s is '%s': %s", field, text, fault);
}

/* A text of at most so many bytes without one of these characters. NULL is good. */
static enum fmx_status check_text(const char *field, const char *text, size_t bytes_max,
                                  const char *without, char *error, size_t error_bytes)
{
    if (text != NULL && (strlen(text) > bytes_max || strpbrk(text, without) != NULL)) {
        return refuse(error, error_bytes,
                      "%s is longer than %zu bytes, or has one of these in it: %s", field,
                      bytes_max, without);
    }
    return FMX_OK;
}

static enum fmx_status check_secret(const char *field, const char *text, char *error,
                                    size_t error_bytes)
{
    if (text != NULL && (text[0] == '\0' || strlen(text) > SECRET_BYTES_MAX)) {
        return refuse(error, error_bytes, "%s has %zu bytes: write a text of 1 to %u", field,
                      strlen(text), SECRET_BYTES_MAX);
    }
    return FMX_OK;
}

/* Where the secrets come from: exactly one place. */
static enum fmx_status check_secrets(const struct fmx_fleet_platform *platform, char *error,
                                     size_t error_bytes)
{
    bool registers = platform->registration != FMX_FLEET_REGISTER_NONE;
    int places =
        (platform->secret != NULL) + (platform->secret_key != NULL) + (platform->device != NULL);
    enum fmx_status status = check_secret("secret", platform->secret, error, error_bytes);

    if (status == FMX_OK) {
        status = check_secret("secret_key", platform->secret_key, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = check_secret("product_secret", platform->product_secret, error, error_bytes);
    }
    if (status == FMX_OK && registers && platform->product_secret == NULL) {
        return refuse(error, error_bytes,
                      "product_secret is missing: devices that register sign with it");
    }
    if (status == FMX_OK && !registers && places != 1) {
        return refuse(error, error_bytes,
                      "secret: give one of secret, secret_key and device; %d are given", places);
    }
    return status;
}

static enum fmx_status check_devices(const struct fmx_fleet_platform *platform, char *error,
                                     size_t error_bytes)
{
    enum fmx_status status = FMX_OK;

    if (platform->device != NULL && platform->product_key != NULL) {
        return refuse(error, error_bytes, "product_key and device are given: give one of them");
    }
    if (platform->product_key != NULL) {
        status = check_name("product_key", platform->product_key, fmx_dialect_product_key_fault,
                            error, error_bytes);
        if (status == FMX_OK) {
            status = check_name("device_name", platform->device_name, fmx_dialect_device_name_fault,
                                error, error_bytes);
        }
    }
    return status == FMX_OK ? check_secrets(platform, error, error_bytes) : status;
}

static enum fmx_status check_client_options(const struct fmx_fleet_platform *platform, char *error,
                                            size_t error_bytes)
{
    const struct fmx_option_range ranges[] = {
        {"sign_method", (uint64_t)platform->sign_method, 0, FMX_FLEET_SIGN_SHA256},
        {"registration", (uint64_t)platform->registration, 0, FMX_FLEET_REGISTER_NEW},
        {"ext", platform->ext, 0, FMX_EXT_RRPC | FMX_EXT_NOTIFY},
    };
    const char *timestamp = platform->timestamp != NULL ? platform->timestamp : "";
    enum fmx_status status =
        fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);

    if (status == FMX_OK) {
        status =
            check_text("sdk", platform->sdk, FMX_FLEET_SDK_BYTES_MAX, "|,", error, error_bytes);
    }
    if (status == FMX_OK) {
        status = check_text("more_options", platform->more_options, FMX_FLEET_OPTIONS_BYTES_MAX,
                            "|", error, error_bytes);
    }
    if (status == FMX_OK &&
        (platform->secure_mode < SECURE_MODE_LEAST || platform->secure_mode > SECURE_MODE_MOST)) {
        return refuse(error, error_bytes, "secure_mode is %d: write a number from %d to %d",
                      platform->secure_mode, SECURE_MODE_LEAST, SECURE_MODE_MOST);
    }
    if (status == FMX_OK && (strlen(timestamp) > FMX_SIGN_PARAM_BYTES_MAX ||
                             timestamp[strspn(timestamp, "0123456789")] != '\0')) {
        return refuse(error, error_bytes, "timestamp is '%s': write digits", timestamp);
    }
    return status;
}

/* What %p, %d, %c and %u become at their longest. */
struct longest {
    struct fmx_template_values values;
    uint8_t product_key[FMX_TEMPLATE_BYTES_MAX];
    uint8_t device_name[FMX_TEMPLATE_BYTES_MAX];
    uint8_t client_id[FMX_TEMPLATE_BYTES_MAX];
    uint8_t username[FMX_TEMPLATE_BYTES_MAX];
};

static fmx_slice fill_or_longest(const char *text, struct longest *longest, uint8_t *out,
                                 size_t bytes_max)
{
    if (text != NULL) {
        return fmx_template_fill(text, &longest->values, out);
    }
    memset(out, 'x', bytes_max);
    return (fmx_slice){.data = out, .bytes = bytes_max};
}

static enum fmx_status find_longest_device(const struct fmx_fleet_platform *platform,
                                           struct longest *longest, char *error, size_t error_bytes)
{
    struct fmx_template_values *values = &longest->values;
    bool has_templates = platform->product_key != NULL;
    fmx_slice product_key = fill_or_longest(platform->product_key, longest, longest->product_key,
                                            FMX_PRODUCT_KEY_BYTES_MAX);
    fmx_slice device_name = fill_or_longest(has_templates ? platform->device_name : NULL, longest,
                                            longest->device_name, FMX_DEVICE_NAME_BYTES_MAX);

    values->product_key = product_key;
    values->device_name = device_name;
    enum fmx_status status =
        fmx_template_check("client_id", platform->client_id, values, error, error_bytes);
    if (status != FMX_OK) {
        return status;
    }
    values->client_id = fmx_template_fill(platform->client_id, values, longest->client_id);
    if (values->client_id.bytes > FMX_LOGICAL_ID_BYTES_MAX ||
        strchr(platform->client_id, '|') != NULL) {
        return refuse(error, error_bytes,
                      "client_id is '%s': write a text of at most %u bytes without '|'",
                      platform->client_id, FMX_LOGICAL_ID_BYTES_MAX);
    }
    values->username = fmx_template_fill("%d&%p", values, longest->username);
    return FMX_OK;
}

enum fmx_status fmx_fleet_platform_check(const struct fmx_fleet_plan *plan, char *error,
                                         size_t error_bytes)
{
    const struct fmx_fleet_platform *platform = &plan->platform;
    enum fmx_status status = check_client_options(platform, error, error_bytes);

    if (status == FMX_OK) {
        status = check_devices(platform, error, error_bytes);
    }
    if (status == FMX_OK && platform->thing_model &&
        (plan->topic != NULL || plan->payload.bytes > 0)) {
        return refuse(error, error_bytes,
                      "thing_model has a topic and a payload of its own: leave topic and payload "
                      "out");
    }
    return status;
}

/* ── texts ── */

static enum fmx_status find_longest_client(const struct fmx_fleet_plan *plan,
                                           struct longest *longest, char *error, size_t error_bytes)
{
    struct fmx_template_values *values = &longest->values;
    enum fmx_status status =
        fmx_template_check("client_id", plan->client_id, values, error, error_bytes);

    if (status == FMX_OK) {
        values->client_id = fmx_template_fill(plan->client_id, values, longest->client_id);
        if (plan->username != NULL) {
            status = fmx_template_check("username", plan->username, values, error, error_bytes);
        }
    }
    if (status == FMX_OK && plan->username != NULL) {
        values->username = fmx_template_fill(plan->username, values, longest->username);
    }
    if (status == FMX_OK && plan->password != NULL) {
        status = fmx_template_check("password", plan->password, values, error, error_bytes);
    }
    return status;
}

/* Checks each text with the longest values that its variables can have. */
static enum fmx_status check_templates(const struct fmx_fleet_plan *plan, char *error,
                                       size_t error_bytes)
{
    struct longest longest;

    longest.values = (struct fmx_template_values){.number = UINT32_MAX, .run_number = UINT32_MAX};
    enum fmx_status status =
        fmx_fleet_has_devices(plan)
            ? find_longest_device(&plan->platform, &longest, error, error_bytes)
            : find_longest_client(plan, &longest, error, error_bytes);
    if (status == FMX_OK && plan->topic != NULL) {
        status = fmx_template_check("topic", plan->topic, &longest.values, error, error_bytes);
    }
    if (status == FMX_OK && plan->properties.response_topic != NULL) {
        status = fmx_template_check("response_topic", plan->properties.response_topic,
                                    &longest.values, error, error_bytes);
    }
    for (size_t i = 0; status == FMX_OK && i < plan->filters_count; i++) {
        status =
            fmx_template_check("filter", plan->filters[i], &longest.values, error, error_bytes);
    }
    if (status == FMX_OK && plan->tls != NULL) {
        status = fmx_fleet_tls_check_texts(plan, &longest.values, error, error_bytes);
    }
    return status;
}

/* ── the whole ── */

static enum fmx_status check_user_properties(const struct fmx_fleet_properties *properties,
                                             char *error, size_t error_bytes)
{
    if (properties->user == NULL && properties->user_count > 0) {
        return refuse(error, error_bytes, "user is missing, but user_count is not 0");
    }
    for (size_t i = 0; i < properties->user_count; i++) {
        const struct fmx_fleet_property *user = &properties->user[i];
        if (user->key == NULL || user->value == NULL || strlen(user->key) > FMX_STRING_BYTES_MAX ||
            strlen(user->value) > FMX_STRING_BYTES_MAX) {
            return refuse(error, error_bytes,
                          "user property %zu: key or value is missing, or has more than %u bytes",
                          i + 1, FMX_STRING_BYTES_MAX);
        }
    }
    return FMX_OK;
}

static enum fmx_status check_properties(const struct fmx_fleet_plan *plan, char *error,
                                        size_t error_bytes)
{
    const struct fmx_fleet_properties *properties = &plan->properties;
    const char *field = properties->response_topic != NULL  ? "response_topic"
                        : properties->correlation_bytes > 0 ? "correlation_bytes"
                        : properties->user_count > 0        ? "user properties"
                        : properties->use_aliases           ? "use_aliases"
                                                            : NULL;

    if (field != NULL && plan->version != FMX_MQTT_50) {
        return refuse(error, error_bytes, "%s: properties need version MQTT 5.0", field);
    }
    return check_user_properties(properties, error, error_bytes);
}

static enum fmx_status check_ranges(const struct fmx_fleet_plan *plan, char *error,
                                    size_t error_bytes)
{
    const struct fmx_option_range ranges[] = {
        {"targets_count", plan->targets_count, 1, 64},
        {"sources_count", plan->sources_count, 0, 65536},
        {"clients_count", plan->clients_count, 1, FMX_FLEET_CLIENTS_MAX},
        {"connects_inflight_max", plan->connects_inflight_max, 0, 1u << 20},
        {"connect_timeout_ms", plan->connect_timeout_ms, 100, 600000},
        {"version", (uint64_t)plan->version, FMX_MQTT_31, FMX_MQTT_50},
        {"receive_max", plan->receive_max, 1, 65535},
        {"filters_count", plan->filters_count, 0, 64},
        {"subscribe_qos", plan->subscribe_qos, 0, 1},
        {"publish_qos", plan->publish_qos, 0, 1},
        {"publish_window", plan->publish_window, 1, FMX_INFLIGHT_MAX},
        {"payload_bytes", plan->payload_bytes, 0, FMX_FLEET_PACKET_BYTES_MAX - 2048},
        {"payload", plan->payload.bytes, 0, FMX_FLEET_PACKET_BYTES_MAX - 2048},
        {"calls.answer", (uint64_t)plan->calls.answer, 0, FMX_FLEET_ANSWER_NEVER},
        {"calls.payload", plan->calls.payload.bytes, 0, FMX_FLEET_PACKET_BYTES_MAX - 2048},
        {"calls.delay_ms", plan->calls.delay_ms, 0, 60000},
        {"calls.pending_max", plan->calls.pending_max, 1, 1u << 20},
        {"correlation_bytes", plan->properties.correlation_bytes, 0, FMX_STRING_BYTES_MAX},
        {"user_count", plan->properties.user_count, 0, USER_MAX},
        {"drain_ms", plan->drain_ms, 0, 600000},
        {"reconnect_min_ms", plan->reconnect_min_ms, 0, 3600000},
        {"reconnect_max_ms", plan->reconnect_max_ms, plan->reconnect_min_ms, 3600000},
    };

    return fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);
}

static enum fmx_status check_pointers(const struct fmx_fleet_plan *plan, char *error,
                                      size_t error_bytes)
{
    if (plan->targets == NULL || (plan->sources == NULL && plan->sources_count > 0) ||
        (plan->filters == NULL && plan->filters_count > 0)) {
        return refuse(error, error_bytes,
                      "targets, sources or filters is missing, but its count is not 0");
    }
    if (fmx_fleet_has_devices(plan)) {
        return FMX_OK;
    }
    if (plan->client_id == NULL) {
        return refuse(error, error_bytes,
                      "client_id is missing: write a text such as fleetmux_%%i");
    }
    if (plan->password != NULL && plan->username == NULL && plan->version != FMX_MQTT_50) {
        return refuse(error, error_bytes, "password without username is allowed in MQTT 5.0 only");
    }
    if (plan->platform.thing_model || plan->platform.registration != FMX_FLEET_REGISTER_NONE) {
        return refuse(error, error_bytes,
                      "thing_model and registration need devices: give product_key or device");
    }
    return FMX_OK;
}

enum fmx_status fmx_fleet_plan_check(const struct fmx_fleet_plan *plan, char *error,
                                     size_t error_bytes)
{
    enum fmx_status status = fmx_mux_check_options(&plan->mux, error, error_bytes);

    if (status == FMX_OK) {
        status = check_ranges(plan, error, error_bytes);
    }
    if (status == FMX_OK && !(plan->connects_per_second >= 0 && plan->connects_per_second <= 1e7)) {
        return refuse(error, error_bytes,
                      "connects_per_second is %g: write a number from 0 to 10000000",
                      plan->connects_per_second);
    }
    if (status == FMX_OK) {
        status = check_pointers(plan, error, error_bytes);
    }
    if (status == FMX_OK && fmx_fleet_has_devices(plan)) {
        status = fmx_fleet_platform_check(plan, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = check_properties(plan, error, error_bytes);
    }
    if (status == FMX_OK && plan->tls != NULL) {
        status = fmx_fleet_tls_check(plan, error, error_bytes);
    }
    return status == FMX_OK ? check_templates(plan, error, error_bytes) : status;
}

/* ── copying what the plan points to ── */

static bool copy_texts(struct fmx_fleet *fleet)
{
    struct fmx_fleet_plan *plan = &fleet->plan;
    struct fmx_fleet_platform *platform = &plan->platform;
    const char **const fields[] = {
        &plan->client_id,
        &plan->username,
        &plan->password,
        &plan->topic,
        &platform->product_key,
        &platform->device_name,
        &platform->secret,
        &platform->secret_key,
        &platform->client_id,
        &platform->timestamp,
        &platform->sdk,
        &platform->more_options,
        &platform->product_secret,
        &plan->properties.response_topic,
    };
    const size_t fields_count = sizeof(fields) / sizeof(fields[0]);
    const char **filters = calloc(plan->filters_count + 1, sizeof(*filters));
    size_t used = 0;

    fleet->texts = calloc(plan->filters_count + fields_count + 1, sizeof(*fleet->texts));
    const char *const *given = plan->filters;
    plan->filters = filters;
    if (fleet->texts == NULL || filters == NULL) {
        return false;
    }
    for (size_t i = 0; i < plan->filters_count + fields_count; i++) {
        bool is_filter = i < plan->filters_count;
        const char **place = is_filter ? &filters[i] : fields[i - plan->filters_count];
        const char *text = is_filter ? given[i] : *place;
        if (text == NULL) {
            continue;
        }
        *place = fleet->texts[used++] = strdup(text);
        if (*place == NULL) {
            return false;
        }
    }
    return true;
}

static bool copy_payload(fmx_slice *payload, uint8_t **out_copy)
{
    if (payload->bytes == 0) {
        return true;
    }
    *out_copy = malloc(payload->bytes);
    if (*out_copy != NULL) {
        memcpy(*out_copy, payload->data, payload->bytes);
        payload->data = *out_copy;
    }
    return *out_copy != NULL;
}

/* Once, as they stand in every packet. */
static bool copy_user_properties(struct fmx_fleet *fleet)
{
    const struct fmx_fleet_properties *properties = &fleet->plan.properties;
    size_t room = 1;

    for (size_t i = 0; i < properties->user_count; i++) {
        room += 5 + strlen(properties->user[i].key) + strlen(properties->user[i].value);
    }
    fleet->user_copy = malloc(room);
    if (fleet->user_copy == NULL) {
        return false;
    }
    struct fmx_writer writer = fmx_writer_of(fleet->user_copy, room);
    for (size_t i = 0; i < properties->user_count; i++) {
        fmx_user_write(&writer, fmx_slice_of(properties->user[i].key),
                       fmx_slice_of(properties->user[i].value));
    }
    fleet->user_bytes = (size_t)(writer.at - fleet->user_copy);
    fleet->plan.properties.user = NULL;
    return true;
}

static bool has_any(const char *text, const char *one, const char *other)
{
    return text != NULL && (strstr(text, one) != NULL || strstr(text, other) != NULL);
}

/* What has to be found out before a topic or filter can be filled in. */
static void look_at_topics(struct fmx_fleet *fleet)
{
    const struct fmx_fleet_plan *plan = &fleet->plan;

    for (size_t i = 0; i < plan->filters_count + 2; i++) {
        const char *text = i < plan->filters_count    ? plan->filters[i]
                           : i == plan->filters_count ? plan->topic
                                                      : plan->properties.response_topic;
        fleet->topics_have_names = fleet->topics_have_names || has_any(text, "%c", "%u");
        fleet->topics_have_devices = fleet->topics_have_devices || has_any(text, "%p", "%d");
    }
    if (fmx_fleet_has_devices(plan) && fleet->topics_have_names) {
        fleet->topics_have_devices = true; /* %c and %u are made of them */
    }
}

/* What is 0 and means "as it is best". */
static void choose_defaults(struct fmx_fleet_plan *plan)
{
    if (plan->connects_inflight_max == 0) {
        plan->connects_inflight_max =
            plan->tls != NULL ? CONNECTS_INFLIGHT_TLS : CONNECTS_INFLIGHT_PLAIN;
    }
    if (plan->platform.secure_mode == 0) {
        plan->platform.secure_mode = plan->tls != NULL ? SECURE_MODE_TLS : SECURE_MODE_PLAIN;
    }
}

bool fmx_fleet_plan_copy(struct fmx_fleet *fleet, const struct fmx_fleet_plan *plan)
{
    fleet->plan = *plan;
    choose_defaults(&fleet->plan);
    if (plan->platform.thing_model) {
        fleet->plan.topic = THING_TOPIC;
    }
    if (!copy_texts(fleet) || !copy_payload(&fleet->plan.payload, &fleet->payload_copy) ||
        !copy_payload(&fleet->plan.calls.payload, &fleet->call_payload_copy) ||
        !copy_user_properties(fleet)) {
        return false;
    }
    look_at_topics(fleet);
    return true;
}

void fmx_fleet_plan_wipe(struct fmx_fleet *fleet)
{
    for (size_t i = 0; fleet->texts != NULL && fleet->texts[i] != NULL; i++) {
        free(fleet->texts[i]);
    }
    free(fleet->texts);
    free((void *)fleet->plan.filters);
    free(fleet->payload_copy);
    free(fleet->call_payload_copy);
    free(fleet->user_copy);
}
