/*
 * fleet_platform — options about devices and calls become the group's
 *
 * Why it is so:   --product or --devices is what makes clients devices; options that only make
 *                 sense with one of them are refused without it, rather than ignored
 * Memory:         the texts that had to be put together live in this file, for the one plan of the
 *                 process
 * Threads:        one
 * Not here:       the file of --devices: fleet_devices.c
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/number.h"

#include <string.h>

#define DELAY_MS_MAX 60000u

static char device_name[FLAG_ERROR_BYTES];
static struct fleet_devices *devices; /* those of --devices; closed by the next plan */

/* Of these, some need --product or --devices, and some cannot be together with them. */
static const char *const only_of_devices[] = {
    "device-prefix",  "secret",   "secret-key",     "export-devices", "sign-method",
    "timestamp",      "sdk",      "secure-mode",    "auto-subscribe", "ext",
    "client-options", "register", "product-secret", "thing-model"};
static const char *const never_of_devices[] = {"prefix", "username", "password"};
static const char *const never_of_files[] = {"product", "device-prefix", "secret", "secret-key"};

static bool refuse(struct flag_set *set, const char *option, const char *words)
{
    snprintf(set->error, sizeof(set->error), "option '--%s' %s", option, words);
    return false;
}

static bool refuse_given(struct flag_set *set, const char *const *options, size_t count,
                         const char *words)
{
    for (size_t index = 0; index < count; index++) {
        if (flags_is_given(set, options[index])) {
            return refuse(set, options[index], words);
        }
    }
    return true;
}

#define REFUSE_GIVEN(set, options, words)                                                          \
    refuse_given((set), (options), sizeof(options) / sizeof((options)[0]), (words))

static const char *text_or_empty(const char *text)
{
    return strcmp(text, "none") == 0 ? "" : text;
}

/* ── devices ── */

static bool load_devices(struct fleet_settings *settings, struct flag_set *set)
{
    struct fmx_fleet_group *group = &settings->group;
    char error[FLAG_ERROR_BYTES] = "";

    if (!REFUSE_GIVEN(set, never_of_files,
                      "has no meaning with --devices; leave one of them out")) {
        return false;
    }
    bool has_secrets = group->platform.registration == FMX_FLEET_REGISTER_NONE;

    devices = fleet_devices_load(settings->devices_file, has_secrets, error, sizeof(error));
    if (devices == NULL) {
        snprintf(set->error, sizeof(set->error), "option '--devices': %.440s", error);
        return false;
    }
    size_t count = fleet_devices_count(devices);
    size_t left = count > settings->start_number ? count - settings->start_number : 0;
    if (!flags_is_given(set, "count")) {
        group->clients_count = (uint32_t)left;
    }
    if (left == 0 || group->clients_count > left) {
        snprintf(set->error, sizeof(set->error),
                 "option '--devices': %.200s has %zu devices, and %u from number %u on are wanted",
                 settings->devices_file, count, (unsigned)group->clients_count,
                 (unsigned)group->first_number);
        return false;
    }
    group->platform.device = fleet_devices_find;
    group->platform.device_user = devices;
    return true;
}

static bool make_device_name(struct fleet_settings *settings, struct flag_set *set)
{
    bool is_whole = strchr(settings->device_prefix, '%') != NULL;
    int bytes = snprintf(device_name, sizeof(device_name), "%s%s", settings->device_prefix,
                         is_whole ? "" : "_%i");

    settings->group.platform.device_name = device_name;
    return (size_t)bytes < sizeof(device_name) || refuse(set, "device-prefix", "is too long");
}

static bool make_devices(struct fleet_settings *settings, struct flag_set *set)
{
    struct fmx_fleet_platform *platform = &settings->group.platform;

    if (settings->devices_file == NULL && platform->product_key == NULL) {
        return REFUSE_GIVEN(set, only_of_devices, "is about devices; add --product or --devices");
    }
    if (!REFUSE_GIVEN(set, never_of_devices, "has no meaning for devices; leave it out")) {
        return false;
    }
    if (settings->client_id != NULL) {
        platform->client_id = settings->client_id;
    }
    platform->timestamp = text_or_empty(settings->timestamp);
    platform->sdk = text_or_empty(settings->sdk);
    return settings->devices_file != NULL ? load_devices(settings, set)
                                          : make_device_name(settings, set);
}

/* ── calls ── */

static bool make_delay(struct fleet_settings *settings, struct flag_set *set, const char *text)
{
    uint64_t delay_ms = 0;

    if (number_read_time(text, NUMBER_NS_PER_MS, NUMBER_NS_PER_MS, &delay_ms) != NUMBER_OK ||
        delay_ms > DELAY_MS_MAX) {
        return refuse(set, "rrpc", "has a bad delay; write delay:MS with a time up to 60 s");
    }
    settings->group.calls.delay_ms = (uint32_t)delay_ms;
    return true;
}

static bool make_calls(struct fleet_settings *settings, struct flag_set *set)
{
    struct fmx_fleet_calls *calls = &settings->group.calls;
    const char *answer = settings->rrpc;
    bool has_delay = answer != NULL && strncmp(answer, "delay:", 6) == 0;

    if (answer == NULL) {
        return settings->rrpc_message == NULL || refuse(set, "rrpc-message", "needs --rrpc");
    }
    if (!has_delay && strcmp(answer, "echo") != 0 && strcmp(answer, "never") != 0) {
        return refuse(set, "rrpc", "has no such answer; write echo, never or delay:MS");
    }
    if (strcmp(answer, "never") == 0) {
        calls->answer = FMX_FLEET_ANSWER_NEVER;
        return settings->rrpc_message == NULL ||
               refuse(set, "rrpc-message", "has no meaning with --rrpc never");
    }
    calls->answer = FMX_FLEET_ANSWER_ECHO;
    if (settings->rrpc_message != NULL) {
        calls->answer = FMX_FLEET_ANSWER_FIXED;
        calls->payload = fmx_slice_of(settings->rrpc_message);
    }
    return !has_delay || make_delay(settings, set, answer + 6);
}

bool fleet_platform_make(struct fleet_settings *settings, struct flag_set *set)
{
    fleet_devices_close(devices);
    devices = NULL;
    return make_devices(settings, set) && make_calls(settings, set);
}
