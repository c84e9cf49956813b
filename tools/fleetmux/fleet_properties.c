/*
 * fleet_properties — options about properties of 5.0 become the group's
 *
 * Why it is so:   -D takes mosquitto's words: what the fleet has an option for ends up there, and
 *                 anything else is refused, since a run without it would be another one
 * Memory:         the texts that had to be put together live in this file, for the one plan of the
 *                 process
 * Threads:        one
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/number.h"

#include <string.h>

/* Of --user-property and -D together. */
static char texts[FLAG_LIST_BYTES];
static struct fmx_fleet_property user_properties[2 * FLAG_ITEMS_MAX];

static bool refuse(struct flag_set *set, const char *option, const char *words)
{
    snprintf(set->error, sizeof(set->error), "option '--%s' %s", option, words);
    return false;
}

static void add_user_property(struct fmx_fleet_properties *properties, const char *key,
                              const char *value)
{
    user_properties[properties->user_count++] = (struct fmx_fleet_property){key, value};
    properties->user = user_properties;
}

/* KEY=VALUE; texts are cut in a copy. */
static bool make_pairs(struct fleet_settings *settings, struct flag_set *set)
{
    size_t used = 0;

    for (size_t index = 0; index < settings->user_properties.count; index++) {
        const char *item = settings->user_properties.items[index];
        size_t bytes = strlen(item) + 1;
        const char *sign = strchr(item, '=');
        if (sign == NULL || sign == item || used + bytes > sizeof(texts)) {
            return refuse(set, "user-property", "is not KEY=VALUE, or there are too many");
        }
        char *copy = memcpy(texts + used, item, bytes);
        copy[sign - item] = '\0';
        add_user_property(&settings->publish.properties, copy, copy + (sign - item) + 1);
        used += bytes;
    }
    return true;
}

/* ── mosquitto's ── */

/* One -D; `more` is a user property's value. */
struct property {
    const char *command;
    const char *name;
    const char *value;
    const char *more;
};

static bool read_number(const struct property *property, uint64_t max, uint64_t *out_number)
{
    return number_read_count(property->value, out_number) == NUMBER_OK && *out_number <= max;
}

static bool set_session_expiry(struct fleet_settings *settings, struct flag_set *set,
                               const struct property *property)
{
    uint64_t number = 0;

    if (!read_number(property, UINT32_MAX, &number)) {
        return refuse(set, "property", "session-expiry-interval wants seconds, to 4294967295");
    }
    settings->group.session_expiry_s = (uint32_t)number;
    return true;
}

static bool set_receive_max(struct fleet_settings *settings, struct flag_set *set,
                            const struct property *property)
{
    uint64_t number = 0;

    if (!read_number(property, UINT16_MAX, &number) || number == 0) {
        return refuse(set, "property", "receive-maximum wants a number from 1 to 65535");
    }
    settings->group.receive_max = (uint16_t)number;
    return true;
}

static bool set_message_expiry(struct fleet_settings *settings, struct flag_set *set,
                               const struct property *property)
{
    uint64_t number = 0;

    if (!read_number(property, UINT32_MAX, &number)) {
        return refuse(set, "property", "message-expiry-interval wants seconds, to 4294967295");
    }
    settings->publish.properties.message_expiry_s = (uint32_t)number;
    return true;
}

static bool set_payload_format(struct fleet_settings *settings, struct flag_set *set,
                               const struct property *property)
{
    uint64_t number = 0;

    if (!read_number(property, 1, &number)) {
        return refuse(set, "property", "payload-format-indicator wants 0 or 1");
    }
    settings->publish.properties.is_text = number == 1;
    return true;
}

static bool set_content_type(struct fleet_settings *settings, struct flag_set *set,
                             const struct property *property)
{
    (void)set;
    settings->publish.properties.content_type = property->value;
    return true;
}

static bool set_response_topic(struct fleet_settings *settings, struct flag_set *set,
                               const struct property *property)
{
    (void)set;
    settings->publish.properties.response_topic = property->value;
    return true;
}

static bool set_correlation(struct fleet_settings *settings, struct flag_set *set,
                            const struct property *property)
{
    settings->publish.properties.correlation_bytes = (uint32_t)strlen(property->value);
    flags_note(set, "property", "correlation-data is as long as that, and made up");
    return true;
}

static bool set_alias(struct fleet_settings *settings, struct flag_set *set,
                      const struct property *property)
{
    (void)property;
    settings->publish.properties.use_aliases = true;
    flags_note(set, "property", "topic-alias: an alias is used where the server offers any");
    return true;
}

static bool set_user_property(struct fleet_settings *settings, struct flag_set *set,
                              const struct property *property)
{
    (void)set;
    add_user_property(&settings->publish.properties, property->value, property->more);
    return true;
}

static const struct {
    const char *command;
    const char *name;
    bool (*take)(struct fleet_settings *settings, struct flag_set *set,
                 const struct property *property);
} takers[] = {
    {"connect", "session-expiry-interval", set_session_expiry},
    {"connect", "receive-maximum", set_receive_max},
    {"publish", "message-expiry-interval", set_message_expiry},
    {"publish", "payload-format-indicator", set_payload_format},
    {"publish", "content-type", set_content_type},
    {"publish", "response-topic", set_response_topic},
    {"publish", "correlation-data", set_correlation},
    {"publish", "topic-alias", set_alias},
    {"publish", "user-property", set_user_property},
};

#define TAKERS_COUNT (sizeof(takers) / sizeof(takers[0]))

static bool refuse_property(struct flag_set *set, const struct property *property)
{
    struct nearest nearest = {.word = property->name};

    for (size_t index = 0; index < TAKERS_COUNT; index++) {
        if (strcmp(takers[index].command, property->command) == 0) {
            nearest_consider(&nearest, takers[index].name);
        }
    }
    snprintf(set->error, sizeof(set->error),
             "option '--property': the fleet cannot send '%.40s' with '%.40s'%s%s%s",
             property->name, property->command,
             nearest.best != NULL ? "; did you mean '" : "; leave it out",
             nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
    return false;
}

static bool take_property(struct fleet_settings *settings, struct flag_set *set,
                          const struct property *property)
{
    for (size_t index = 0; index < TAKERS_COUNT; index++) {
        if (strcmp(takers[index].command, property->command) == 0 &&
            strcmp(takers[index].name, property->name) == 0) {
            if (property->command[0] == 'p' && settings->kind != FLEET_PUB) {
                return refuse(set, "property", "of publish goes with pub only; leave it out");
            }
            return takers[index].take(settings, set, property);
        }
    }
    return refuse_property(set, property);
}

bool fleet_properties_make(struct fleet_settings *settings, struct flag_set *set)
{
    const struct flag_list *list = &settings->properties;

    settings->publish.properties.user_count = 0;
    if (!make_pairs(settings, set)) {
        return false;
    }
    for (size_t index = 0; index + 2 < list->count; index += 3) {
        struct property property = {list->items[index], list->items[index + 1],
                                    list->items[index + 2], NULL};
        if (strcmp(property.name, "user-property") == 0) {
            property.more = list->items[index + 3];
            index++;
        }
        if (!take_property(settings, set, &property)) {
            return false;
        }
    }
    return true;
}
