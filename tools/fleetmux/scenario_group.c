/*
 * scenario_group — keys of groups that are more than a value: targets, TLS, devices, answers
 *
 * Why it is so:   what a group means depends on keys in any order: a target may turn TLS on, TLS
 *                 moves the port, a list of devices says how many clients there are. So keys only
 *                 note what they say, and the end of the group puts it together.
 * Words:          scheme: mqtt:// or mqtts:// before a host
 * Memory:         what is made is the scenario's
 * Threads:        one
 * Limits:         FMX_FLEET_GROUPS_MAX groups, FMX_FLEET_TARGETS_MAX targets, 65,536 sources
 * Not here:       what goes together and what does not: the library checks its plan
 */
#include "tools/fleetmux/base64.h"
#include "tools/fleetmux/scenario_parts.h"

#include <string.h>

#define SOURCES_MAX  65536
#define PLAIN_PORT   1883
#define TLS_PORT     8883
#define CLIENTS_MAX  16000000u
#define HOST_BYTES   280
#define DEFAULT_HOST "127.0.0.1"

/* ── targets ── */

const char *scenario_host_read(const char *text, struct scenario_host *out_host)
{
    *out_host = (struct scenario_host){.text = text};
    if (strncmp(text, "mqtts://", 8) == 0) {
        *out_host = (struct scenario_host){.text = text + 8, .scheme = SCHEME_TLS};
    } else if (strncmp(text, "mqtt://", 7) == 0) {
        *out_host = (struct scenario_host){.text = text + 7, .scheme = SCHEME_PLAIN};
    }
    if (*out_host->text == '\0' || strpbrk(out_host->text, "/ ,") != NULL) {
        return "is not a host; write HOST, HOST:PORT, mqtt://HOST:PORT or mqtts://HOST:PORT";
    }
    return strlen(out_host->text) >= HOST_BYTES ? "is longer than any host's name" : NULL;
}

/* A list of texts, or one. NULL: refused. */
static const char **read_texts(struct scenario_reader *reader, const struct scenario_where *where,
                               const struct scenario_key *key, yaml_node_t *node, size_t most)
{
    size_t count = scenario_items_count(node);
    const char **texts = scenario_take(reader->scenario->memory, count + 1, sizeof(*texts));

    if (count == 0 || count > most) {
        scenario_refuse(reader, where, node, "has %zu items; write 1 to %zu", count, most);
        return NULL;
    }
    if (texts == NULL) {
        scenario_refuse_memory(reader, where, node);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const struct scenario_where item = {.outer = where, .index = i};
        yaml_node_t *one = scenario_item(reader, node, i);
        texts[i] = scenario_text(reader, node == one ? where : &item, key, one);
        if (texts[i] == NULL) {
            return NULL;
        }
        if (texts[i][0] == '\0') {
            scenario_refuse(reader, &item, one, "is empty; leave it out");
            return NULL;
        }
    }
    return texts;
}

bool scenario_read_targets(struct scenario_reader *reader, const struct scenario_where *where,
                           const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct group_settings *group = settings;
    const char **texts = read_texts(reader, where, key, node, FMX_FLEET_TARGETS_MAX);

    if (texts == NULL) {
        return false;
    }
    group->hosts_count = scenario_items_count(node);
    group->hosts =
        scenario_take(reader->scenario->memory, group->hosts_count, sizeof(*group->hosts));
    if (group->hosts == NULL) {
        return scenario_refuse_memory(reader, where, node);
    }
    for (size_t i = 0; i < group->hosts_count; i++) {
        const struct scenario_where item = {.outer = where, .index = i};
        const char *wrong = scenario_host_read(texts[i], &group->hosts[i]);
        if (wrong != NULL) {
            return scenario_refuse(reader, &item, scenario_item(reader, node, i), "'%.100s' %s",
                                   texts[i], wrong);
        }
    }
    return true;
}

bool scenario_read_sources(struct scenario_reader *reader, const struct scenario_where *where,
                           const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct group_settings *group = settings;
    const char **texts = read_texts(reader, where, key, node, SOURCES_MAX);

    group->plan.sources = texts;
    group->plan.sources_count = texts != NULL ? scenario_items_count(node) : 0;
    return texts != NULL;
}

/* "host" and "::1" get the port; "host:1884" and "[::1]:1884" have one. NULL: memory. */
static const char *make_target(struct scenario_memory *memory, const char *host, unsigned port)
{
    size_t room = strlen(host) + 16;
    const char *first = strchr(host, ':'), *last = strrchr(host, ':');
    char *target = scenario_take(memory, room, 1);
    bool has_brackets = host[0] == '[';

    if (target == NULL) {
        return NULL;
    }
    if (has_brackets ? last != NULL && last > host && last[-1] == ']'
                     : first != NULL && first == last) {
        snprintf(target, room, "%s", host);
    } else if (first != NULL && !has_brackets) {
        snprintf(target, room, "[%s]:%u", host, port);
    } else {
        snprintf(target, room, "%s:%u", host, port);
    }
    return target;
}

/* `port` is for hosts that have none. */
static bool make_targets(struct scenario_reader *reader, struct group_settings *group,
                         unsigned port)
{
    struct scenario_memory *memory = reader->scenario->memory;
    const char **targets = scenario_take(memory, group->hosts_count, sizeof(*targets));

    for (size_t i = 0; targets != NULL && i < group->hosts_count; i++) {
        targets[i] = make_target(memory, group->hosts[i].text, port);
        if (targets[i] == NULL) {
            return false;
        }
    }
    group->plan.targets = targets;
    group->plan.targets_count = group->hosts_count;
    return targets != NULL;
}

/* -h of the command line, for a group that names no target. */
static bool take_hosts(struct scenario_reader *reader, struct group_settings *group)
{
    const struct scenario_hosts *hosts = reader->hosts;
    size_t count = hosts != NULL ? hosts->count : 0;

    struct scenario_host *items =
        scenario_take(reader->scenario->memory, count + 1, sizeof(*items));

    if (items == NULL) {
        return false;
    }
    items[0] = (struct scenario_host){.text = DEFAULT_HOST};
    for (size_t i = 0; i < count; i++) {
        (void)scenario_host_read(hosts->items[i], &items[i]); /* scenario_open has looked */
    }
    group->hosts = items;
    group->hosts_count = count > 0 ? count : 1;
    return true;
}

/* ── TLS ── */

bool scenario_read_tls(struct scenario_reader *reader, const struct scenario_where *where,
                       const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct group_settings *group = settings;

    if (node->type == YAML_MAPPING_NODE) {
        group->tls_said = TLS_ON;
        return scenario_read_level(reader, where, key->level, settings, node);
    }
    const char *text = scenario_text(reader, where, key, node);
    if (text == NULL) {
        return false;
    }
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        return scenario_refuse(reader, where, node, "'%.100s' is not good here; write %s", text,
                               key->words);
    }
    group->tls_said = text[0] == 't' ? TLS_ON : TLS_OFF;
    return true;
}

/* What the schemes of the targets say, and whether it fits what `tls` says. */
static bool decide_tls(struct scenario_reader *reader, const struct scenario_where *where,
                       struct group_settings *group, const yaml_node_t *node)
{
    size_t plain = 0, tls = 0;

    for (size_t i = 0; i < group->hosts_count; i++) {
        plain += group->hosts[i].scheme == SCHEME_PLAIN;
        tls += group->hosts[i].scheme == SCHEME_TLS;
    }
    if (plain > 0 && tls > 0) {
        return scenario_refuse(
            reader, where, node,
            "the targets say mqtt:// and mqtts://; a group does either: make two");
    }
    if ((plain > 0 && group->tls_said == TLS_ON) || (tls > 0 && group->tls_said == TLS_OFF)) {
        return scenario_refuse(reader, where, node,
                               "'tls' and the scheme of the target contradict one another; leave "
                               "one out");
    }
    if (tls > 0) {
        group->tls_said = TLS_ON;
    }
    return true;
}

/* ── devices ── */

static bool load_devices(struct scenario_reader *reader, const struct scenario_where *where,
                         struct group_settings *group, const yaml_node_t *place)
{
    struct scenario_memory *memory = reader->scenario->memory;
    struct fmx_fleet_platform *platform = &group->plan.platform;
    char words[FLAG_ERROR_BYTES] = "";
    bool has_secrets = platform->registration == FMX_FLEET_REGISTER_NONE;
    struct fleet_devices *devices =
        group->devices != NULL
            ? fleet_devices_load(group->devices, has_secrets, words, sizeof(words))
            : fleet_devices_load_registry(group->registry, platform->product_key, words,
                                          sizeof(words));

    if (devices == NULL) {
        return scenario_refuse(reader, where, place, "%s", words);
    }
    memory->devices[memory->devices_count++] = devices;
    platform->device = fleet_devices_find;
    platform->device_user = devices;
    platform->product_key = NULL;
    return true;
}

/* As many clients as devices, or fewer. */
static bool count_devices(struct scenario_reader *reader, const struct scenario_where *where,
                          struct group_settings *group, bool has_clients, const yaml_node_t *place)
{
    struct fmx_fleet_group *plan = &group->plan;
    size_t count = fleet_devices_count(plan->platform.device_user);
    size_t before = plan->first_number > 0 ? plan->first_number - 1 : 0;
    size_t left = count > before ? count - before : 0;

    if (!has_clients) {
        plan->clients_count = left > CLIENTS_MAX ? CLIENTS_MAX : (uint32_t)left;
    }
    if (left == 0 || plan->clients_count > left) {
        return scenario_refuse(reader, where, place,
                               "there are %zu devices, and %u from number %u on are wanted", count,
                               (unsigned)plan->clients_count, (unsigned)plan->first_number);
    }
    return true;
}

/* What says who clients are, and has no meaning for devices or beside a list of them. */
static bool check_names(struct scenario_reader *reader, const struct scenario_where *where,
                        const struct group_settings *group, const yaml_node_t *node)
{
    static const char *const of_clients[] = {"client_id", "username", "password"};
    static const char *const of_devices[] = {"name", "secret", "secret_key", "product"};
    const yaml_node_t *device = scenario_value_of(reader, node, "device");
    bool has_list = group->devices != NULL || group->registry != NULL;

    for (size_t i = 0; i < sizeof(of_clients) / sizeof(of_clients[0]); i++) {
        const struct scenario_where key = {.outer = where, .name = of_clients[i]};
        const yaml_node_t *value = scenario_value_of(reader, node, of_clients[i]);
        if (value != NULL) {
            return scenario_refuse(reader, &key, value, "has no meaning for devices; leave it out");
        }
    }
    for (size_t i = 0; has_list && i < sizeof(of_devices) / sizeof(of_devices[0]); i++) {
        const struct scenario_where inner = {.outer = where, .name = "device"};
        const struct scenario_where key = {.outer = &inner, .name = of_devices[i]};
        const yaml_node_t *value = scenario_value_of(reader, device, of_devices[i]);
        bool may_be = group->registry != NULL && strcmp(of_devices[i], "product") == 0;
        if (value != NULL && !may_be) {
            return scenario_refuse(reader, &key, value, "has no meaning beside '%s'; leave it out",
                                   group->devices != NULL ? "devices" : "registry");
        }
    }
    return true;
}

static bool make_devices(struct scenario_reader *reader, const struct scenario_where *where,
                         struct group_settings *group, const yaml_node_t *node)
{
    const struct scenario_where device = {.outer = where, .name = "device"};
    const char *name = group->devices != NULL ? "devices" : "registry";
    const struct scenario_where list = {.outer = &device, .name = name};
    const yaml_node_t *mapping = scenario_value_of(reader, node, "device");
    bool has_list = group->devices != NULL || group->registry != NULL;
    bool has_clients = scenario_value_of(reader, node, "clients") != NULL;

    if (!has_clients && !has_list) {
        return scenario_refuse(
            reader, where, node,
            "'clients' is missing; write how many there are, as in clients: 10k");
    }
    if (mapping == NULL) {
        return true;
    }
    if (!has_list && group->plan.platform.product_key == NULL) {
        return scenario_refuse(
            reader, &device, mapping,
            "nothing says who the devices are; write product, devices or registry");
    }
    if (group->devices != NULL && group->registry != NULL) {
        return scenario_refuse(reader, &device, mapping,
                               "'devices' and 'registry' are both there; leave one out");
    }
    const yaml_node_t *place = has_list ? scenario_value_of(reader, mapping, name) : mapping;
    return check_names(reader, where, group, node) &&
           (!has_list || (load_devices(reader, &list, group, place) &&
                          count_devices(reader, &list, group, has_clients, place)));
}

/* ── answers, reconnecting ── */

bool scenario_read_answers(struct scenario_reader *reader, const struct scenario_where *where,
                           const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct group_settings *group = settings;

    if (node->type != YAML_MAPPING_NODE) {
        return scenario_text(reader, where, key, node) != NULL &&
               scenario_read_value(reader, where, scenario_key_find(key->level, "kind"), settings,
                                   node);
    }
    if (!scenario_read_level(reader, where, key->level, settings, node)) {
        return false;
    }
    bool is_fixed = group->plan.calls.answer == FMX_FLEET_ANSWER_FIXED;
    if (is_fixed != (group->plan.calls.payload.bytes > 0)) {
        return scenario_refuse(reader, where, node,
                               is_fixed ? "'payload' is missing; write what is answered"
                                        : "'payload' goes with kind: fixed only");
    }
    return true;
}

bool scenario_read_answer_payload(struct scenario_reader *reader,
                                  const struct scenario_where *where,
                                  const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct group_settings *group = settings;
    fmx_slice *payload = &group->plan.calls.payload;
    const char *text = scenario_text(reader, where, key, node);

    if (text == NULL) {
        return false;
    }
    if (payload->bytes > 0) {
        return scenario_refuse(reader, where, node,
                               "'payload' and 'base64' are both there; leave one out");
    }
    *payload = fmx_slice_of(text);
    if (strcmp(key->row.name, "base64") == 0) {
        uint8_t *bytes = scenario_take(reader->scenario->memory, payload->bytes + 1, 1);
        if (bytes == NULL) {
            return scenario_refuse_memory(reader, where, node);
        }
        if (!base64_read(text, payload->bytes, bytes, &payload->bytes)) {
            return scenario_refuse(reader, where, node, "is not base64; write %s", key->words);
        }
        payload->data = bytes;
    }
    return payload->bytes > 0 || scenario_refuse(reader, where, node, "is empty; leave it out");
}

bool scenario_read_reconnect(struct scenario_reader *reader, const struct scenario_where *where,
                             const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct group_settings *group = settings;
    const char *text = NULL;

    if (node->type == YAML_MAPPING_NODE) {
        group->plan.reconnect = FMX_FLEET_RECONNECT_EXPONENTIAL;
        return scenario_read_level(reader, where, key->level, settings, node) &&
               (group->plan.reconnect_min_ms <= group->plan.reconnect_max_ms ||
                group->plan.reconnect != FMX_FLEET_RECONNECT_EXPONENTIAL ||
                scenario_refuse(reader, where, node, "'min' is above 'max'; swap them"));
    }
    text = scenario_text(reader, where, key, node);
    if (text == NULL) {
        return false;
    }
    if (strcmp(text, "none") == 0) {
        group->plan.reconnect = FMX_FLEET_RECONNECT_NONE;
        return true;
    }
    if (text[0] < '0' || text[0] > '9') {
        return scenario_refuse(reader, where, node, "'%.100s' is not good here; write %s", text,
                               key->words);
    }
    group->plan.reconnect = FMX_FLEET_RECONNECT_FIXED;
    return scenario_read_value(reader, where, scenario_key_find(key->level, "min"), settings, node);
}

/* ── the whole ── */

/* The settings of TLS become the plan's, if there is TLS. */
static bool make_tls(struct scenario_reader *reader, struct group_settings *group)
{
    if (group->tls_said != TLS_ON) {
        return true;
    }
    struct fmx_tls_client *tls = scenario_take(reader->scenario->memory, 1, sizeof(*tls));
    if (tls != NULL) {
        *tls = group->tls;
        group->plan.tls = tls;
    }
    return tls != NULL;
}

bool scenario_finish_group(struct scenario_reader *reader, const struct scenario_where *where,
                           void *settings, yaml_node_t *node)
{
    struct group_settings *group = settings;
    bool has_target = group->hosts != NULL;
    const struct scenario_hosts *hosts = reader->hosts;

    if (!make_devices(reader, where, group, node)) {
        return false;
    }
    if (group->plan.session_expiry_s > 0 && group->plan.version != FMX_MQTT_50) {
        const struct scenario_where expiry = {.outer = where, .name = "session_expiry"};
        const yaml_node_t *place = scenario_value_of(reader, node, "session_expiry");
        return scenario_refuse(reader, &expiry, place != NULL ? place : node,
                               "is of MQTT 5.0; write version: 5, or leave it out");
    }
    if (!has_target && !take_hosts(reader, group)) {
        return scenario_refuse_memory(reader, where, node);
    }
    if (!decide_tls(reader, where, group, node)) {
        return false;
    }
    unsigned port = group->tls_said == TLS_ON ? TLS_PORT : PLAIN_PORT;
    if (!has_target && hosts != NULL && hosts->port != 0) {
        port = hosts->port;
    }
    return (make_tls(reader, group) && make_targets(reader, group, port)) ||
           scenario_refuse_memory(reader, where, node);
}

/* Stages name groups, so their names differ. */
static bool check_name(struct scenario_reader *reader, const struct scenario_where *where,
                       const struct fmx_fleet_group *groups, size_t group, const yaml_node_t *node)
{
    for (size_t other = 0; groups[group].name != NULL && other < group; other++) {
        if (groups[other].name != NULL && strcmp(groups[other].name, groups[group].name) == 0) {
            const struct scenario_where name = {.outer = where, .name = "name"};
            const yaml_node_t *place = scenario_value_of(reader, node, "name");
            return scenario_refuse(reader, &name, place != NULL ? place : node,
                                   "'%.60s' is the name of another group too; rename one",
                                   groups[group].name);
        }
    }
    return true;
}

bool scenario_read_groups(struct scenario_reader *reader, const struct scenario_where *where,
                          const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct scenario *scenario = settings;
    size_t count = scenario_items_count(node);

    if (node->type != YAML_SEQUENCE_NODE || count == 0 || count > FMX_FLEET_GROUPS_MAX) {
        return scenario_refuse(reader, where, node, "is not good here; write %s", key->words);
    }
    struct fmx_fleet_group *groups = scenario_take(scenario->memory, count, sizeof(*groups));
    if (groups == NULL) {
        return scenario_refuse_memory(reader, where, node);
    }
    for (size_t i = 0; i < count; i++) {
        const struct scenario_where item = {.outer = where, .index = i};
        yaml_node_t *one = scenario_item(reader, node, i);
        struct group_settings group;
        key->level->init(&group);
        if (!scenario_read_level(reader, &item, key->level, &group, one)) {
            return false;
        }
        groups[i] = group.plan;
        if (!check_name(reader, &item, groups, i, one)) {
            return false;
        }
    }
    scenario->plan.groups = groups;
    scenario->plan.groups_count = count;
    return true;
}
