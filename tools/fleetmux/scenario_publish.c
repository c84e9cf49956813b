/*
 * scenario_publish — keys of publishes and subscribes that are more than a value; payloads
 *
 * Why it is so:   a payload comes from exactly one of eight keys, so each of them notes its name,
 *                 and the second is refused. Files are read now, not while clients publish: a
 *                 missing one is a mistake in the scenario, and has its line.
 * Memory:         payloads are the scenario's
 * Threads:        one
 * Limits:         SCENARIO_PAYLOAD_MAX bytes of a payload, 1,024 user properties
 * Not here:       variables in texts: the library checks them with the plan
 */
#include "tools/fleetmux/base64.h"
#include "tools/fleetmux/scenario_parts.h"

#include <errno.h>
#include <string.h>

#define USER_MAX           1024
#define REQUEST_TIMEOUT_MS 5000

/* ── payloads ── */

/* The whole file with a zero behind it; NULL: refused. */
static uint8_t *read_file(struct scenario_reader *reader, const struct scenario_where *where,
                          const char *path, const yaml_node_t *node, size_t *out_bytes)
{
    FILE *file = fopen(path, "re");
    uint8_t *data = NULL;
    long size = -1;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        size = ftell(file);
        rewind(file);
    }
    if (size < 0 || size > (long)SCENARIO_PAYLOAD_MAX) {
        scenario_refuse(reader, where, node, "'%.200s' %s%s", path,
                        size < 0 ? "cannot be read: " : "is larger than 268,000,000 bytes",
                        size < 0 ? strerror(errno) : "");
        goto done;
    }
    data = scenario_take(reader->scenario->memory, (size_t)size + 1, 1);
    if (data == NULL) {
        scenario_refuse_memory(reader, where, node);
        goto done;
    }
    *out_bytes = fread(data, 1, (size_t)size, file);
    if (*out_bytes != (size_t)size) {
        scenario_refuse(reader, where, node, "'%.200s' cannot be read; is it a file?", path);
        data = NULL;
    } else if (size == 0) {
        scenario_refuse(reader, where, node, "'%.200s' is empty; for no payload write size: 0",
                        path);
        data = NULL;
    }
done:
    if (file != NULL) {
        fclose(file);
    }
    return data;
}

static bool take_file(struct scenario_reader *reader, const struct scenario_where *where,
                      struct publish_settings *publish, const yaml_node_t *node, const char *text,
                      bool is_text)
{
    size_t bytes = 0;
    const char *path = scenario_path(reader, text, false);
    const uint8_t *data = path != NULL ? read_file(reader, where, path, node, &bytes) : NULL;

    if (data == NULL) {
        return path != NULL ? false : scenario_refuse_memory(reader, where, node);
    }
    if (!is_text) {
        publish->plan.payload = (fmx_slice){.data = data, .bytes = bytes};
        return true;
    }
    publish->plan.text = (const char *)data;
    return memchr(data, '\0', bytes) == NULL ||
           scenario_refuse(reader, where, node,
                           "'%.200s' has a zero byte in it; write file: %.200s", path, text);
}

static bool take_base64(struct scenario_reader *reader, const struct scenario_where *where,
                        struct publish_settings *publish, const yaml_node_t *node, const char *text)
{
    size_t letters = strlen(text), bytes = 0;
    uint8_t *data = scenario_take(reader->scenario->memory, letters + 1, 1);

    if (data == NULL) {
        return scenario_refuse_memory(reader, where, node);
    }
    if (!base64_read(text, letters, data, &bytes)) {
        return scenario_refuse(reader, where, node, "is not base64; write base64, with padding");
    }
    publish->plan.payload = (fmx_slice){.data = data, .bytes = bytes};
    return true;
}

static bool take_text(struct scenario_reader *reader, const struct scenario_where *where,
                      const struct scenario_key *key, struct publish_settings *publish,
                      const yaml_node_t *node)
{
    const char *name = key->row.name;
    const char *text = scenario_text(reader, where, key, node);

    if (text == NULL) {
        return false;
    }
    if (*text == '\0') {
        return scenario_refuse(reader, where, node, "is empty; for no payload write size: 0");
    }
    if (strcmp(name, "text") == 0) {
        publish->plan.text = text;
        return true;
    }
    if (strcmp(name, "raw") == 0) {
        publish->plan.payload = fmx_slice_of(text);
        return true;
    }
    return strcmp(name, "base64") == 0
               ? take_base64(reader, where, publish, node, text)
               : take_file(reader, where, publish, node, text, strcmp(name, "text_file") == 0);
}

bool scenario_read_payload(struct scenario_reader *reader, const struct scenario_where *where,
                           const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct publish_settings *publish = settings;

    if (publish->payload != NULL) {
        return scenario_refuse(reader, where, node,
                               "'%s' says already what is sent; leave one of them out",
                               publish->payload);
    }
    publish->payload = key->row.name;
    if (strcmp(key->row.name, "size") == 0) {
        return scenario_read_value(reader, where, key, settings, node);
    }
    if (strcmp(key->row.name, "json") == 0) {
        publish->plan.text = scenario_json(reader, where, node);
        return publish->plan.text != NULL;
    }
    return take_text(reader, where, key, publish, node);
}

/* ── publishes ── */

/* A key that says nothing with this schedule. */
static bool check_schedule(struct scenario_reader *reader, const struct scenario_where *where,
                           const struct publish_settings *publish, const yaml_node_t *node)
{
    static const struct {
        const char *key;
        enum fmx_fleet_schedule of;
        const char *words;
    } only[] = {
        {"burst_count", FMX_FLEET_BURSTS, "bursts"},
        {"burst_spacing", FMX_FLEET_BURSTS, "bursts"},
        {"change", FMX_FLEET_ON_CHANGE, "on-change"},
    };
    const yaml_node_t *every = scenario_value_of(reader, node, "every");
    const struct scenario_where every_where = {.outer = where, .name = "every"};

    if (every != NULL && publish->plan.schedule == FMX_FLEET_CLOSED_LOOP) {
        return scenario_refuse(reader, &every_where, every,
                               "has no meaning in a closed loop; leave it out");
    }
    for (size_t i = 0; i < sizeof(only) / sizeof(only[0]); i++) {
        const struct scenario_where key = {.outer = where, .name = only[i].key};
        const yaml_node_t *value = scenario_value_of(reader, node, only[i].key);
        if (value != NULL && publish->plan.schedule != only[i].of) {
            return scenario_refuse(reader, &key, value, "goes with schedule: %s only",
                                   only[i].words);
        }
    }
    uint64_t most = publish->plan.interval_ns / publish->plan.burst_count;
    if (publish->plan.schedule == FMX_FLEET_BURSTS && publish->plan.burst_spacing_ns > most) {
        char interval[32], longest[32];
        return scenario_refuse(
            reader, where, node,
            "%u messages do not fit into 'every', %s; write a 'burst_spacing' of at most %s",
            (unsigned)publish->plan.burst_count,
            scenario_time_text(publish->plan.interval_ns, interval, sizeof(interval)),
            scenario_time_text(most, longest, sizeof(longest)));
    }
    return true;
}

bool scenario_finish_publish(struct scenario_reader *reader, const struct scenario_where *where,
                             void *settings, yaml_node_t *node)
{
    struct publish_settings *publish = settings;
    bool is_thing = publish->plan.thing_model;

    if (is_thing && (publish->plan.topic != NULL || publish->plan.text != NULL ||
                     publish->plan.payload.bytes > 0)) {
        return scenario_refuse(
            reader, where, node,
            "'thing_model' has a topic and a payload of its own; leave topic and "
            "%s out",
            publish->payload != NULL ? publish->payload : "payload");
    }
    if (!is_thing && publish->plan.topic == NULL) {
        return scenario_refuse(reader, where, node,
                               "'topic' is missing; write for example topic: \"demo/%%i\"");
    }
    return check_schedule(reader, where, publish, node);
}

bool scenario_finish_request(struct scenario_reader *reader, const struct scenario_where *where,
                             void *settings, yaml_node_t *node)
{
    struct publish_settings *publish = settings;

    (void)reader;
    (void)where;
    (void)node;
    if (publish->plan.response_timeout_ms == 0) {
        publish->plan.response_timeout_ms = REQUEST_TIMEOUT_MS;
    }
    return true;
}

bool scenario_read_publishes(struct scenario_reader *reader, const struct scenario_where *where,
                             const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct group_settings *group = settings;
    size_t count = scenario_items_count(node);

    if (count > FMX_FLEET_PUBLISHES_MAX) {
        return scenario_refuse(reader, where, node, "has %zu items; at most %u are taken", count,
                               FMX_FLEET_PUBLISHES_MAX);
    }
    struct fmx_fleet_publish *publishes =
        scenario_take(reader->scenario->memory, count + 1, sizeof(*publishes));
    if (publishes == NULL) {
        return scenario_refuse_memory(reader, where, node);
    }
    for (size_t i = 0; i < count; i++) {
        const struct scenario_where item = {.outer = where, .index = i};
        struct publish_settings publish;
        key->level->init(&publish);
        if (!scenario_read_level(reader, &item, key->level, &publish,
                                 scenario_item(reader, node, i))) {
            return false;
        }
        publishes[i] = publish.plan;
    }
    group->plan.publishes = publishes;
    group->plan.publishes_count = count;
    return true;
}

/* ── user properties ── */

/* The pairs of one mapping. */
static bool read_pairs(struct scenario_reader *reader, const struct scenario_where *where,
                       const struct scenario_key *key, yaml_node_t *node,
                       struct fmx_fleet_property *out_pairs)
{
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;

    for (; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *value = scenario_node(reader, pair->value);
        out_pairs->key = scenario_text(reader, where, key, scenario_node(reader, pair->key));
        if (out_pairs->key == NULL) {
            return false;
        }
        const struct scenario_where one = {.outer = where, .name = out_pairs->key};
        out_pairs->value = scenario_text(reader, &one, key, value);
        if (out_pairs->value == NULL) {
            return false;
        }
        out_pairs++;
    }
    return true;
}

static size_t pairs_count(const yaml_node_t *node)
{
    return node->type != YAML_MAPPING_NODE
               ? 0
               : (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
}

/* {key: value, …}, or a list of such where a key stands twice. */
bool scenario_read_user(struct scenario_reader *reader, const struct scenario_where *where,
                        const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct publish_settings *publish = settings;
    size_t count = 0;

    for (size_t i = 0; i < scenario_items_count(node) && count <= USER_MAX; i++) {
        yaml_node_t *item = scenario_item(reader, node, i);
        if (item->type != YAML_MAPPING_NODE) {
            return scenario_refuse(reader, where, item, "is not good here; write %s", key->words);
        }
        count += pairs_count(item);
    }
    if (count > USER_MAX) {
        return scenario_refuse(reader, where, node, "has more than %u properties", USER_MAX);
    }
    struct fmx_fleet_property *pairs =
        scenario_take(reader->scenario->memory, count + 1, sizeof(*pairs));
    if (pairs == NULL) {
        return scenario_refuse_memory(reader, where, node);
    }
    publish->plan.properties.user = pairs;
    publish->plan.properties.user_count = count;
    for (size_t i = 0; i < scenario_items_count(node); i++) {
        yaml_node_t *item = scenario_item(reader, node, i);
        if (!read_pairs(reader, where, key, item, pairs)) {
            return false;
        }
        pairs += pairs_count(item);
    }
    return true;
}

/* ── subscribes ── */

static bool read_subscribe(struct scenario_reader *reader, const struct scenario_where *where,
                           const struct scenario_key *key, yaml_node_t *node,
                           struct fmx_fleet_subscribe *subscribe)
{
    key->level->init(subscribe);
    return node->type == YAML_MAPPING_NODE
               ? scenario_read_level(reader, where, key->level, subscribe, node)
               : scenario_read_value(reader, where, scenario_key_find(key->level, "filter"),
                                     subscribe, node);
}

bool scenario_read_subscribes(struct scenario_reader *reader, const struct scenario_where *where,
                              const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct group_settings *group = settings;
    size_t count = scenario_items_count(node);

    if (count > FMX_FLEET_SUBSCRIBES_MAX) {
        return scenario_refuse(reader, where, node, "has %zu items; at most %u are taken", count,
                               FMX_FLEET_SUBSCRIBES_MAX);
    }
    struct fmx_fleet_subscribe *subscribes =
        scenario_take(reader->scenario->memory, count + 1, sizeof(*subscribes));
    if (subscribes == NULL) {
        return scenario_refuse_memory(reader, where, node);
    }
    for (size_t i = 0; i < count; i++) {
        const struct scenario_where item = {.outer = where, .index = i};
        yaml_node_t *one = scenario_item(reader, node, i);
        if (!read_subscribe(reader, one == node ? where : &item, key, one, &subscribes[i])) {
            return false;
        }
    }
    group->plan.subscribes = subscribes;
    group->plan.subscribes_count = count;
    return true;
}
