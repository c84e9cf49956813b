/*
 * fleet_plan_names — who the clients of a plan are: what their names become, and that no two of
 * them are the same at one server
 *
 * Why it is so:   two clients with one client id throw one another out for ever, which looks like a
 *                 server that loses connections. So the names of the first two clients of a group
 *                 are compared, and the texts of groups that go to the same server
 * Words:          longest: what a variable becomes at most, for whatever client; twins: clients of
 *                 two groups with one name
 * Threads:        pure
 * Limits:         names that the user's own function makes are not looked at. Texts of two groups
 *                 that differ are taken for different names
 * Not here:       product keys, device names, secrets: fleet_plan.c
 */
#include "engine/roles/fleet_plan.h"
#include "engine/roles/fleet_device.h"

#include "proto/utf8.h"

#include <stdio.h>

/* ── at their longest ── */

static fmx_slice fill_or_longest(const char *text, struct fmx_plan_longest *longest, uint8_t *out,
                                 size_t bytes_max)
{
    if (text != NULL) {
        return fmx_template_fill(text, &longest->values, out);
    }
    memset(out, 'x', bytes_max);
    return (fmx_slice){.data = out, .bytes = bytes_max};
}

static enum fmx_status find_longest_device(const struct fmx_fleet_platform *platform,
                                           struct fmx_plan_longest *longest, char *error,
                                           size_t error_bytes)
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
        fmx_template_check("platform.client_id", platform->client_id, values, error, error_bytes);
    if (status != FMX_OK) {
        return status;
    }
    values->client_id = fmx_template_fill(platform->client_id, values, longest->client_id);
    if (values->client_id.bytes > FMX_LOGICAL_ID_BYTES_MAX ||
        strchr(platform->client_id, '|') != NULL) {
        return fmx_plan_refuse(
            error, error_bytes,
            "platform.client_id is '%s': write a text of at most %u bytes without '|'",
            platform->client_id, FMX_LOGICAL_ID_BYTES_MAX);
    }
    values->username = fmx_template_fill("%d&%p", values, longest->username);
    return FMX_OK;
}

static enum fmx_status check_text(const char *field, const char *text,
                                  const struct fmx_template_values *values, char *error,
                                  size_t error_bytes)
{
    enum fmx_status status = fmx_template_check(field, text, values, error, error_bytes);

    if (status == FMX_OK && !fmx_utf8_is_valid(fmx_slice_of(text))) {
        return fmx_plan_refuse(error, error_bytes, "%s is not UTF-8", field);
    }
    return status;
}

static enum fmx_status find_longest_client(const struct fmx_fleet_group *group,
                                           struct fmx_plan_longest *longest, char *error,
                                           size_t error_bytes)
{
    struct fmx_template_values *values = &longest->values;

    if (group->client_id == NULL) {
        return fmx_plan_refuse(error, error_bytes,
                               "client_id is missing: write a text such as fleetmux_%%i");
    }
    enum fmx_status status = check_text("client_id", group->client_id, values, error, error_bytes);
    if (status == FMX_OK) {
        values->client_id = fmx_template_fill(group->client_id, values, longest->client_id);
        if (group->username != NULL) {
            status = check_text("username", group->username, values, error, error_bytes);
        }
    }
    if (status == FMX_OK && group->username != NULL) {
        values->username = fmx_template_fill(group->username, values, longest->username);
    }
    if (status == FMX_OK && group->password != NULL) {
        status = fmx_template_check("password", group->password, values, error, error_bytes);
    }
    return status;
}

/* ── no two the same ── */

/* Client `number` as its server knows it: by client id, or as a device. */
static fmx_slice fill_name(const struct fmx_fleet_group *group, const char *text, uint32_t number,
                           uint8_t *out)
{
    uint8_t product_key[FMX_TEMPLATE_BYTES_MAX];
    uint8_t device_name[FMX_TEMPLATE_BYTES_MAX];
    struct fmx_template_values values = {.number = (uint64_t)group->first_number + number,
                                         .run_number = number};

    if (fmx_fleet_has_devices(group)) {
        fmx_slice key = fmx_template_fill(group->platform.product_key, &values, product_key);
        fmx_slice name = fmx_template_fill(group->platform.device_name, &values, device_name);
        values.product_key = key;
        values.device_name = name;
    }
    return fmx_template_fill(text, &values, out);
}

/* One field of the first two clients: if it has no variable, all are the same. */
static enum fmx_status check_two(const struct fmx_fleet_group *group, const char *field,
                                 const char *text, const char *shown, char *error,
                                 size_t error_bytes)
{
    uint8_t first[FMX_TEMPLATE_BYTES_MAX];
    uint8_t second[FMX_TEMPLATE_BYTES_MAX];

    if (fmx_slice_equal(fill_name(group, text, 0, first), fill_name(group, text, 1, second))) {
        return fmx_plan_refuse(error, error_bytes,
                               "%s is '%s', the same for all %u clients: write %%i into it", field,
                               shown, group->clients_count);
    }
    return FMX_OK;
}

static enum fmx_status check_each_other(const struct fmx_fleet_group *group, char *error,
                                        size_t error_bytes)
{
    const struct fmx_fleet_platform *platform = &group->platform;

    if (group->clients_count == 1 || platform->device != NULL) {
        return FMX_OK;
    }
    if (fmx_fleet_has_devices(group)) {
        enum fmx_status status = check_two(group, "platform.device_name", "%d&%p",
                                           platform->device_name, error, error_bytes);
        return status == FMX_OK ? check_two(group, "platform.client_id", platform->client_id,
                                            platform->client_id, error, error_bytes)
                                : status;
    }
    return group->client_id[0] == '\0' ? FMX_OK
                                       : check_two(group, "client_id", group->client_id,
                                                   group->client_id, error, error_bytes);
}

/* The server makes one up in 5.0, and in 3.1.1 for a clean session. */
static enum fmx_status check_empty(const struct fmx_fleet_group *group, char *error,
                                   size_t error_bytes)
{
    bool is_allowed =
        group->version == FMX_MQTT_50 || (group->version == FMX_MQTT_311 && group->clean);

    return fmx_fleet_has_devices(group) || group->client_id[0] != '\0' || is_allowed
               ? FMX_OK
               : fmx_plan_refuse(error, error_bytes,
                                 "client_id is empty, which needs version MQTT 5.0, or 3.1.1 with "
                                 "clean: write a text such as fleetmux_%%i");
}

enum fmx_status fmx_plan_check_names(const struct fmx_fleet_group *group,
                                     struct fmx_plan_longest *out_longest, char *error,
                                     size_t error_bytes)
{
    out_longest->values =
        (struct fmx_template_values){.number = UINT32_MAX, .run_number = UINT32_MAX};
    enum fmx_status status =
        fmx_fleet_has_devices(group)
            ? find_longest_device(&group->platform, out_longest, error, error_bytes)
            : find_longest_client(group, out_longest, error, error_bytes);
    if (status == FMX_OK) {
        status = check_empty(group, error, error_bytes);
    }
    return status == FMX_OK && group->manner == FMX_FLEET_HONEST
               ? check_each_other(group, error, error_bytes)
               : status;
}

/* ── twins ── */

static bool have_a_target_in_common(const struct fmx_fleet_group *one,
                                    const struct fmx_fleet_group *other)
{
    for (size_t i = 0; i < one->targets_count; i++) {
        for (size_t j = 0; j < other->targets_count; j++) {
            if (strcmp(one->targets[i], other->targets[j]) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Both groups fill in this text: do any two of their clients get the same? */
static bool fill_alike(const struct fmx_fleet_group *one, const struct fmx_fleet_group *other,
                       const char *text)
{
    uint64_t one_end = (uint64_t)one->first_number + one->clients_count;
    uint64_t other_end = (uint64_t)other->first_number + other->clients_count;
    bool has_number = strstr(text, "%i") != NULL;

    if (has_number && strstr(text, "%n") != NULL) {
        return one->first_number == other->first_number;
    }
    return !has_number || (one->first_number < other_end && other->first_number < one_end);
}

static bool is_same_text(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

/* The field in which clients of both are the same; NULL: they are not. */
static const char *twin_field(const struct fmx_fleet_group *one,
                              const struct fmx_fleet_group *other)
{
    const struct fmx_fleet_platform *mine = &one->platform;
    const struct fmx_fleet_platform *theirs = &other->platform;
    char names[2 * FMX_TEMPLATE_BYTES_MAX + 1];

    if (fmx_fleet_has_devices(one) != fmx_fleet_has_devices(other)) {
        return NULL;
    }
    if (!fmx_fleet_has_devices(one)) {
        return one->client_id[0] != '\0' && is_same_text(one->client_id, other->client_id) &&
                       fill_alike(one, other, one->client_id)
                   ? "client_id"
                   : NULL;
    }
    if (mine->device != NULL) {
        return mine->device == theirs->device && mine->device_user == theirs->device_user &&
                       fill_alike(one, other, "%i")
                   ? "first_number"
                   : NULL;
    }
    snprintf(names, sizeof(names), "%s&%s", mine->product_key, mine->device_name);
    return is_same_text(mine->product_key, theirs->product_key) &&
                   is_same_text(mine->device_name, theirs->device_name) &&
                   fill_alike(one, other, names)
               ? "platform.device_name"
               : NULL;
}

static enum fmx_status check_pair(const struct fmx_fleet_plan *plan, size_t first, size_t second,
                                  char *error, size_t error_bytes)
{
    const struct fmx_fleet_group *one = &plan->groups[first];
    const struct fmx_fleet_group *other = &plan->groups[second];
    char place[256] = "";

    if (one->manner != FMX_FLEET_HONEST || other->manner != FMX_FLEET_HONEST ||
        !have_a_target_in_common(one, other)) {
        return FMX_OK;
    }
    const char *field = twin_field(one, other);
    if (field == NULL) {
        return FMX_OK;
    }
    fmx_fleet_place_words(one, first, place, sizeof(place));
    (void)fmx_plan_refuse(error, error_bytes,
                          "%s gives clients of this group the names of clients of %.*s at the same "
                          "target: write another text, or a first_number behind theirs",
                          field, (int)strlen(place) - 1, place);
    fmx_fleet_place_words(other, second, error, error_bytes);
    return FMX_E_OPTION;
}

enum fmx_status fmx_plan_check_twins(const struct fmx_fleet_plan *plan, char *error,
                                     size_t error_bytes)
{
    enum fmx_status status = FMX_OK;

    for (size_t i = 0; i < plan->groups_count; i++) {
        for (size_t j = i + 1; status == FMX_OK && j < plan->groups_count; j++) {
            status = check_pair(plan, i, j, error, error_bytes);
        }
    }
    return status;
}
