/*
 * fleet_plan — the plan: its defaults, and what is wrong with it
 *
 * Why it is so:   a million clients that fail one by one because of a slip in a text are a poor way
 *                 to say so. Whatever can be seen before the first connect is refused here, with
 *                 the field's place and name and what to write instead
 * Threads:        pure
 * Limits:         each in a table below
 * Not here:       what the fields mean: include/fleetmux/fleet.h; names: fleet_plan_names.c;
 *                 messages: fleet_plan_messages.c; stages: fleet_plan_stages.c; TLS:
 *                 fleet_tls_plan.c; our copy: fleet_team.c
 */
#include "engine/roles/fleet_plan.h"
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_tls.h"

#include "engine/options.h"
#include "engine/roles/address.h"
#include "proto/limits.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define SECRET_BYTES_MAX    64u
#define SECURE_MODE_LEAST   (-9)
#define SECURE_MODE_MOST    99
#define SOURCES_MAX         65536u
#define PARTS_MAX           65536u
#define ANSWER_BYTES_MAX    (FMX_FLEET_PACKET_BYTES_MAX - 2048)
#define RECONNECT_MS_MAX    86400000u
#define LINK_MS_MAX         60000u
#define LINK_LOSS_MAX       0.5
#define WORDS_BYTES         1024u
#define CONNECTS_AT_ONCE    (1u << 20)
#define DRAIN_MS_MAX        600000u
#define ANSWERS_PENDING_MAX (1u << 20)

/* ── words ── */

enum fmx_status fmx_plan_refuse(char *error, size_t error_bytes, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, error_bytes, format, arguments);
    va_end(arguments);
    return FMX_E_OPTION;
}

enum fmx_status fmx_plan_place(enum fmx_status status, char *error, size_t error_bytes,
                               const char *format, ...)
{
    char words[WORDS_BYTES];
    char place[WORDS_BYTES];
    va_list arguments;

    if (status == FMX_OK) {
        return FMX_OK;
    }
    va_start(arguments, format);
    vsnprintf(place, sizeof(place), format, arguments);
    va_end(arguments);
    snprintf(words, sizeof(words), "%s", error);
    snprintf(error, error_bytes, "%s%s", place, words);
    return status;
}

void fmx_fleet_place_words(const struct fmx_fleet_group *group, size_t place, char *error,
                           size_t error_bytes)
{
    if (group->name != NULL && group->name[0] != '\0') {
        (void)fmx_plan_place(FMX_E_OPTION, error, error_bytes, "groups[%s].", group->name);
    } else {
        (void)fmx_plan_place(FMX_E_OPTION, error, error_bytes, "groups[%zu].", place);
    }
}

enum fmx_status fmx_plan_check_number(const char *field, double value, double min, double max,
                                      char *error, size_t error_bytes)
{
    return isfinite(value) && value >= min && value <= max
               ? FMX_OK
               : fmx_plan_refuse(error, error_bytes, "%s is %g: write a number from %.10g to %.10g",
                                 field, value, min, max);
}

enum fmx_status fmx_plan_check_qos(uint8_t qos, char *error, size_t error_bytes)
{
    return qos <= 1 ? FMX_OK : fmx_plan_refuse(error, error_bytes, "qos is %u: write 0 or 1", qos);
}

/* ── defaults ── */

void fmx_fleet_plan_init(struct fmx_fleet_plan *plan)
{
    *plan = (struct fmx_fleet_plan){.parts_count = 1, .drain_ms = 5000, .seed = 1};
    fmx_mux_options_init(&plan->mux);
    fmx_tls_limits_init(&plan->tls_limits);
}

void fmx_fleet_group_init(struct fmx_fleet_group *group)
{
    *group = (struct fmx_fleet_group){
        .clients_count = 1,
        .first_number = 1,
        .connect_timeout_ms = 10000,
        .version = FMX_MQTT_50,
        .client_id = "fleetmux_%i",
        .keepalive_s = 300,
        .clean = true,
        .receive_max = 65535,
        .platform = {.device_name = "device_%i",
                     .client_id = "%p.%d",
                     .sign_method = FMX_FLEET_SIGN_SHA256,
                     .timestamp = "2524608000000",
                     .sdk = "fleetmux"},
        .calls = {.pending_max = 65536},
        .window = 32,
        .reconnect_min_ms = 1000,
        .reconnect_max_ms = 60000,
    };
}

void fmx_fleet_publish_init(struct fmx_fleet_publish *publish)
{
    *publish = (struct fmx_fleet_publish){
        .interval_ns = FMX_NS_PER_S, .burst_count = 1, .change = 0.1, .payload_bytes = 256};
}

void fmx_fleet_subscribe_init(struct fmx_fleet_subscribe *subscribe)
{
    *subscribe = (struct fmx_fleet_subscribe){0};
}

void fmx_fleet_stage_init(struct fmx_fleet_stage *stage, enum fmx_fleet_stage_kind kind)
{
    *stage =
        (struct fmx_fleet_stage){.kind = kind, .share = 1, .publish_begin = 1, .publish_end = 1};
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
        return fmx_plan_refuse(error, error_bytes, "%s is '%s': the variables are %%i and %%n",
                               field, text);
    }
    const char *fault = fault_of(fmx_template_fill(text, &longest, filled));
    return fault == NULL
               ? FMX_OK
               : fmx_plan_refuse(error, error_bytes, "%s is '%s': %s", field, text, fault);
}

/* A text of at most so many bytes without one of these characters. NULL is good. */
static enum fmx_status check_text(const char *field, const char *text, size_t bytes_max,
                                  const char *without, char *error, size_t error_bytes)
{
    if (text != NULL && (strlen(text) > bytes_max || strpbrk(text, without) != NULL)) {
        return fmx_plan_refuse(error, error_bytes,
                               "%s is longer than %zu bytes, or has one of these in it: %s", field,
                               bytes_max, without);
    }
    return FMX_OK;
}

static enum fmx_status check_secret(const char *field, const char *text, char *error,
                                    size_t error_bytes)
{
    if (text != NULL && (text[0] == '\0' || strlen(text) > SECRET_BYTES_MAX)) {
        return fmx_plan_refuse(error, error_bytes, "%s has %zu bytes: write a text of 1 to %u",
                               field, strlen(text), SECRET_BYTES_MAX);
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
    enum fmx_status status = check_secret("platform.secret", platform->secret, error, error_bytes);

    if (status == FMX_OK) {
        status = check_secret("platform.secret_key", platform->secret_key, error, error_bytes);
    }
    if (status == FMX_OK) {
        status =
            check_secret("platform.product_secret", platform->product_secret, error, error_bytes);
    }
    if (status == FMX_OK && registers && platform->product_secret == NULL) {
        return fmx_plan_refuse(
            error, error_bytes,
            "platform.product_secret is missing: devices that register sign with it");
    }
    if (status == FMX_OK && !registers && places != 1) {
        return fmx_plan_refuse(
            error, error_bytes, "platform.secret: %s; give one of secret, secret_key and device",
            places == 0 ? "nothing says what the devices' secrets are"
                        : "more than one thing says what the devices' secrets are");
    }
    return status;
}

static enum fmx_status check_devices(const struct fmx_fleet_platform *platform, char *error,
                                     size_t error_bytes)
{
    enum fmx_status status = FMX_OK;

    if (platform->device != NULL && platform->product_key != NULL) {
        return fmx_plan_refuse(error, error_bytes,
                               "platform.product_key and device are given: give one of them");
    }
    if (platform->product_key != NULL) {
        status = check_name("platform.product_key", platform->product_key,
                            fmx_dialect_product_key_fault, error, error_bytes);
        if (status == FMX_OK) {
            status = check_name("platform.device_name", platform->device_name,
                                fmx_dialect_device_name_fault, error, error_bytes);
        }
    }
    return status == FMX_OK ? check_secrets(platform, error, error_bytes) : status;
}

enum fmx_status fmx_fleet_platform_check(const struct fmx_fleet_group *group, char *error,
                                         size_t error_bytes)
{
    const struct fmx_fleet_platform *platform = &group->platform;
    const struct fmx_option_range ranges[] = {
        {"platform.sign_method", (uint64_t)platform->sign_method, 0, FMX_FLEET_SIGN_SHA256},
        {"platform.registration", (uint64_t)platform->registration, 0, FMX_FLEET_REGISTER_NEW},
        {"platform.ext", platform->ext, 0, FMX_EXT_RRPC | FMX_EXT_NOTIFY},
    };
    const char *timestamp = platform->timestamp != NULL ? platform->timestamp : "";
    enum fmx_status status =
        fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);

    if (status == FMX_OK) {
        status = check_text("platform.sdk", platform->sdk, FMX_FLEET_SDK_BYTES_MAX, "|,", error,
                            error_bytes);
    }
    if (status == FMX_OK) {
        status = check_text("platform.more_options", platform->more_options,
                            FMX_FLEET_OPTIONS_BYTES_MAX, "|", error, error_bytes);
    }
    if (status == FMX_OK &&
        (platform->secure_mode < SECURE_MODE_LEAST || platform->secure_mode > SECURE_MODE_MOST)) {
        return fmx_plan_refuse(error, error_bytes,
                               "platform.secure_mode is %d: write a number from %d to %d",
                               platform->secure_mode, SECURE_MODE_LEAST, SECURE_MODE_MOST);
    }
    if (status == FMX_OK && (strlen(timestamp) > FMX_SIGN_PARAM_BYTES_MAX ||
                             timestamp[strspn(timestamp, "0123456789")] != '\0')) {
        return fmx_plan_refuse(error, error_bytes,
                               "platform.timestamp is '%s': write digits, at most %u", timestamp,
                               FMX_SIGN_PARAM_BYTES_MAX);
    }
    return status == FMX_OK ? check_devices(platform, error, error_bytes) : status;
}

/* ── a group ── */

static enum fmx_status check_group_ranges(const struct fmx_fleet_group *group, char *error,
                                          size_t error_bytes)
{
    const struct fmx_option_range ranges[] = {
        {"clients_count", group->clients_count, 1, FMX_FLEET_CLIENTS_MAX},
        {"targets_count", group->targets_count, 1, FMX_FLEET_TARGETS_MAX},
        {"sources_count", group->sources_count, 0, SOURCES_MAX},
        {"connect_timeout_ms", group->connect_timeout_ms, 100, 600000},
        {"version", (uint64_t)group->version, FMX_MQTT_31, FMX_MQTT_50},
        {"receive_max", group->receive_max, 1, 65535},
        {"calls.answer", (uint64_t)group->calls.answer, 0, FMX_FLEET_ANSWER_NEVER},
        {"calls.payload", group->calls.payload.bytes, 0, ANSWER_BYTES_MAX},
        {"calls.delay_ms", group->calls.delay_ms, 0, 60000},
        {"calls.pending_max", group->calls.pending_max, 1, ANSWERS_PENDING_MAX},
        {"subscribes_count", group->subscribes_count, 0, FMX_FLEET_SUBSCRIBES_MAX},
        {"publishes_count", group->publishes_count, 0, FMX_FLEET_PUBLISHES_MAX},
        {"window", group->window, 1, FMX_INFLIGHT_MAX},
        {"reconnect", (uint64_t)group->reconnect, 0, FMX_FLEET_RECONNECT_EXPONENTIAL},
        {"reconnect_min_ms", group->reconnect_min_ms, 1, RECONNECT_MS_MAX},
        {"manner", (uint64_t)group->manner, 0, FMX_FLEET_HALF_CONNECT},
        {"link.delay_ms", group->link.delay_ms, 0, LINK_MS_MAX},
        {"link.jitter_ms", group->link.jitter_ms, 0, LINK_MS_MAX},
    };
    enum fmx_status status =
        fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);

    return status == FMX_OK ? fmx_plan_check_number("link.loss", group->link.loss, 0, LINK_LOSS_MAX,
                                                    error, error_bytes)
                            : status;
}

static enum fmx_status check_addresses(const struct fmx_fleet_group *group, char *error,
                                       size_t error_bytes)
{
    enum fmx_status status = FMX_OK;
    struct fmx_address unused;
    char field[32];

    if (group->targets == NULL || (group->sources == NULL && group->sources_count > 0)) {
        return fmx_plan_refuse(error, error_bytes, "%s is missing, but its count is not 0",
                               group->targets == NULL ? "targets" : "sources");
    }
    for (size_t i = 0; status == FMX_OK && i < group->targets_count; i++) {
        snprintf(field, sizeof(field), "targets[%zu]", i);
        status = fmx_address_check(field, group->targets[i], error, error_bytes);
    }
    for (size_t i = 0; status == FMX_OK && i < group->sources_count; i++) {
        snprintf(field, sizeof(field), "sources[%zu]", i);
        status = fmx_address_parse_host(field, group->sources[i], &unused, error, error_bytes);
    }
    return status;
}

/* What goes together and what does not. */
static enum fmx_status check_conflicts(const struct fmx_fleet_group *group, char *error,
                                       size_t error_bytes)
{
    const char *what = group->publishes_count > 0 ? "publishes" : "subscribes";

    if ((uint64_t)group->first_number + group->clients_count - 1 > UINT32_MAX) {
        return fmx_plan_refuse(
            error, error_bytes, "first_number is %u: with %u clients write at most %u",
            group->first_number, group->clients_count, UINT32_MAX - group->clients_count + 1);
    }
    if (group->reconnect == FMX_FLEET_RECONNECT_EXPONENTIAL &&
        (group->reconnect_max_ms < group->reconnect_min_ms ||
         group->reconnect_max_ms > RECONNECT_MS_MAX)) {
        return fmx_plan_refuse(error, error_bytes,
                               "reconnect_max_ms is %u: write a number from %u, which is "
                               "reconnect_min_ms, to %u",
                               group->reconnect_max_ms, group->reconnect_min_ms, RECONNECT_MS_MAX);
    }
    if (group->manner != FMX_FLEET_HONEST && group->publishes_count + group->subscribes_count > 0) {
        return fmx_plan_refuse(
            error, error_bytes,
            "%s: clients whose manner is silent or half a CONNECT never get that "
            "far: leave them out",
            what);
    }
    if (!fmx_fleet_has_devices(group) && group->platform.registration != FMX_FLEET_REGISTER_NONE) {
        return fmx_plan_refuse(error, error_bytes,
                               "platform.registration needs devices: give product_key or device");
    }
    if (!fmx_fleet_has_devices(group) && group->password != NULL && group->username == NULL &&
        group->version != FMX_MQTT_50) {
        return fmx_plan_refuse(error, error_bytes,
                               "password without username is allowed in MQTT 5.0 only");
    }
    return FMX_OK;
}

static enum fmx_status check_group(const struct fmx_fleet_group *group, char *error,
                                   size_t error_bytes)
{
    struct fmx_plan_longest longest;
    enum fmx_status status = check_group_ranges(group, error, error_bytes);

    if (status == FMX_OK) {
        status = check_addresses(group, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = check_conflicts(group, error, error_bytes);
    }
    if (status == FMX_OK && fmx_fleet_has_devices(group)) {
        status = fmx_fleet_platform_check(group, error, error_bytes);
    }
    if (status == FMX_OK && group->tls != NULL) {
        status = fmx_fleet_tls_check(group, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = fmx_plan_check_names(group, &longest, error, error_bytes);
    }
    if (status == FMX_OK && group->tls != NULL) {
        status = fmx_fleet_tls_check_texts(group, &longest.values, error, error_bytes);
    }
    return status == FMX_OK ? fmx_plan_check_messages(group, &longest.values, error, error_bytes)
                            : status;
}

/* ── the whole ── */

static enum fmx_status check_plan_ranges(const struct fmx_fleet_plan *plan, char *error,
                                         size_t error_bytes)
{
    const struct fmx_tls_limits *tls = &plan->tls_limits;
    const struct fmx_option_range ranges[] = {
        {"groups_count", plan->groups_count, 1, FMX_FLEET_GROUPS_MAX},
        {"stages_count", plan->stages_count, 0, FMX_FLEET_STAGES_MAX},
        {"parts_count", plan->parts_count, 1, PARTS_MAX},
        {"part", plan->part, 0, (uint64_t)plan->parts_count - 1},
        {"connects_inflight_max", plan->connects_inflight_max, 0, CONNECTS_AT_ONCE},
        {"duration_ns", plan->duration_ns, 0, FMX_PLAN_TIME_NS_MAX},
        {"drain_ms", plan->drain_ms, 0, DRAIN_MS_MAX},
        {"tls_limits.workers", tls->workers, 0, 64},
        {"tls_limits.turn_budget_us", tls->turn_budget_us, 50, 100000},
        {"tls_limits.partial_record_timeout_ms", tls->partial_record_timeout_ms, 100, 600000},
    };
    enum fmx_status status =
        fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);

    if (status == FMX_OK &&
        (plan->groups == NULL || (plan->stages == NULL && plan->stages_count > 0))) {
        return fmx_plan_refuse(error, error_bytes, "%s is missing, but its count is not 0",
                               plan->groups == NULL ? "groups" : "stages");
    }
    return status;
}

static enum fmx_status check_groups(const struct fmx_fleet_plan *plan, char *error,
                                    size_t error_bytes)
{
    uint64_t clients_count = 0;

    for (size_t i = 0; i < plan->groups_count; i++) {
        enum fmx_status status = check_group(&plan->groups[i], error, error_bytes);
        clients_count += plan->groups[i].clients_count;
        if (status == FMX_OK && clients_count > FMX_FLEET_CLIENTS_MAX) {
            status = fmx_plan_refuse(error, error_bytes,
                                     "clients_count is %u, which makes %llu with those of the "
                                     "groups before: write at most %u in all",
                                     plan->groups[i].clients_count,
                                     (unsigned long long)clients_count, FMX_FLEET_CLIENTS_MAX);
        }
        if (status != FMX_OK) {
            fmx_fleet_place_words(&plan->groups[i], i, error, error_bytes);
            return status;
        }
    }
    return fmx_plan_check_twins(plan, error, error_bytes);
}

enum fmx_status fmx_fleet_plan_check(const struct fmx_fleet_plan *plan, char *error,
                                     size_t error_bytes)
{
    enum fmx_status status = fmx_mux_check_options(&plan->mux, error, error_bytes);

    if (status == FMX_OK) {
        status = check_plan_ranges(plan, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = check_groups(plan, error, error_bytes);
    }
    return status == FMX_OK ? fmx_plan_check_stages(plan, error, error_bytes) : status;
}
