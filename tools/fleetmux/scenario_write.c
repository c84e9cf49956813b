/*
 * scenario_write — a plan becomes a file that reads back as the same plan
 *
 * Why it is so:   only what differs from its default is written, so that a reader sees what is
 *                 particular. libyaml writes the text: quoting is full of corners ("no", "1e3", a
 *                 line end, what begins with %), and it knows them all. Texts that people chose are
 *                 always in quotes, words of ours and numbers never.
 * Words:          see scenario_parts.h; a node is known by its number in libyaml's document
 * Invariants:     (1) what is written is taken by scenario_open, and gives an equal plan
 * Memory:         texts are copied into the document, which is released at the end
 * Threads:        one
 * Limits:         texts are UTF-8, as YAML is: another one is refused, and its key named
 * Not here:       which keys there are: scenario_keys.c
 */
#include "tools/fleetmux/base64.h"
#include "tools/fleetmux/scenario_parts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct scenario_writer {
    yaml_document_t document;
    const struct scenario *scenario;
    char *text;
    size_t bytes, room;
    char *error; /* of the first mistake; "": none yet */
    size_t error_bytes;
};

/* ── nodes ── */

static void fail(struct scenario_writer *writer, const char *name, const char *words)
{
    if (writer->error[0] == '\0') {
        snprintf(writer->error, writer->error_bytes, "key '%s': %s", name, words);
    }
}

/* 0: it failed. */
static int add_scalar(struct scenario_writer *writer, const char *name, const char *text,
                      bool is_quoted)
{
    int node = yaml_document_add_scalar(
        &writer->document, NULL, (const yaml_char_t *)text, (int)strlen(text),
        is_quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE);

    if (node == 0) {
        fail(writer, name, "is not UTF-8 text, which a scenario must be");
    }
    return node;
}

static int add_mapping(struct scenario_writer *writer)
{
    int node = yaml_document_add_mapping(&writer->document, NULL, YAML_BLOCK_MAPPING_STYLE);

    if (node == 0) {
        fail(writer, "", "memory ran out");
    }
    return node;
}

static int add_sequence(struct scenario_writer *writer, bool is_flow)
{
    int node = yaml_document_add_sequence(
        &writer->document, NULL, is_flow ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE);

    if (node == 0) {
        fail(writer, "", "memory ran out");
    }
    return node;
}

static bool put_node(struct scenario_writer *writer, int mapping, const char *name, int node)
{
    int key = node != 0 ? add_scalar(writer, name, name, false) : 0;

    if (key == 0 || mapping == 0 ||
        !yaml_document_append_mapping_pair(&writer->document, mapping, key, node)) {
        fail(writer, name, "memory ran out");
        return false;
    }
    return true;
}

static bool put_text(struct scenario_writer *writer, int mapping, const char *name,
                     const char *text, bool is_quoted)
{
    return put_node(writer, mapping, name, add_scalar(writer, name, text, is_quoted));
}

static bool put_item(struct scenario_writer *writer, int sequence, int node)
{
    if (node == 0 || sequence == 0 ||
        !yaml_document_append_sequence_item(&writer->document, sequence, node)) {
        fail(writer, "", "memory ran out");
        return false;
    }
    return true;
}

static bool is_empty(struct scenario_writer *writer, int mapping)
{
    const yaml_node_t *node = yaml_document_get_node(&writer->document, mapping);

    return node == NULL || node->data.mapping.pairs.start == node->data.mapping.pairs.top;
}

/* ── keys ── */

/* A file's name from the root on. False: it failed. */
static bool put_path(struct scenario_writer *writer, int mapping, const struct scenario_key *key,
                     const char *path)
{
    char whole[3 * PATH_MAX], folder[PATH_MAX];
    size_t used = 0;

    if (path[0] != '/') {
        if (getcwd(folder, sizeof(folder)) == NULL) {
            fail(writer, key->row.name, "the current folder cannot be found");
            return false;
        }
        for (const char *at = folder; *at != '\0'; at++) {
            whole[used++] = *at;
            if (*at == '%' && key->form == FORM_PATH_TEMPLATE) {
                whole[used++] = '%';
            }
        }
        whole[used++] = '/';
    }
    if (strlen(path) + used >= sizeof(whole)) {
        fail(writer, key->row.name, "the name of the file is too long");
        return false;
    }
    memcpy(whole + used, path, strlen(path) + 1);
    return put_text(writer, mapping, key->row.name, whole, true);
}

static bool write_value(struct scenario_writer *writer, int mapping, const struct scenario_key *key,
                        const void *settings, const void *defaults)
{
    char room[FLAG_VALUE_BYTES];
    bool is_text = key->row.kind == FLAG_TEXT;

    if (!key->is_needed && !key->is_written && scenario_value_equal(key, settings, defaults)) {
        return true;
    }
    const char *text = scenario_value_text(key, settings, room, sizeof(room));
    if (text == NULL) { /* a text that is not there, where the default has one */
        return true;
    }
    if (key->form == FORM_PATH || key->form == FORM_PATH_TEMPLATE) {
        return put_path(writer, mapping, key, text);
    }
    return put_text(writer, mapping, key->row.name, text, is_text);
}

static bool write_level(struct scenario_writer *writer, int mapping,
                        const struct scenario_level *level, const void *settings,
                        const void *defaults);

/* A mapping with the keys of a level. 0: it failed. */
static int make_level(struct scenario_writer *writer, const struct scenario_level *level,
                      const void *settings, const void *defaults)
{
    int mapping = add_mapping(writer);

    return mapping != 0 && write_level(writer, mapping, level, settings, defaults) ? mapping : 0;
}

/* Keys inside a key of the same settings; nothing if all of them have their defaults. */
static bool write_inner(struct scenario_writer *writer, int mapping, const struct scenario_key *key,
                        const void *settings, const void *defaults)
{
    int inner = make_level(writer, key->level, settings, defaults);

    return inner != 0 &&
           (is_empty(writer, inner) || put_node(writer, mapping, key->row.name, inner));
}

/* One of a list's items, as the next node of a sequence. */
typedef bool write_item(struct scenario_writer *writer, int sequence,
                        const struct scenario_key *key, const void *item);

/* A list, item by item; nothing if it has none. */
static bool write_list(struct scenario_writer *writer, int mapping, const struct scenario_key *key,
                       write_item *write, const void *items, size_t count, size_t item_bytes)
{
    if (count == 0) {
        return true;
    }
    int sequence = add_sequence(writer, false);
    bool is_good = sequence != 0;
    for (size_t i = 0; is_good && i < count; i++) {
        is_good = write(writer, sequence, key, (const char *)items + i * item_bytes);
    }
    return is_good && put_node(writer, mapping, key->row.name, sequence);
}

static bool write_key(struct scenario_writer *writer, int mapping, const struct scenario_key *key,
                      const void *settings, const void *defaults)
{
    if (key->write != NULL) {
        return key->write(writer, mapping, key, settings, defaults);
    }
    if (key->level != NULL) {
        return write_inner(writer, mapping, key, settings, defaults);
    }
    return key->row.width == 0 || write_value(writer, mapping, key, settings, defaults);
}

static bool write_level(struct scenario_writer *writer, int mapping,
                        const struct scenario_level *level, const void *settings,
                        const void *defaults)
{
    const struct stage_settings *stage = settings;
    uint32_t kinds = level == &scenario_stage ? 1u << stage->plan.kind : 0;
    bool is_good = true;

    for (size_t i = 0; is_good && i < level->keys_count; i++) {
        const struct scenario_key *key = &level->keys[i];
        if (key->row.verbs == 0 || (key->row.verbs & kinds) != 0) {
            is_good = write_key(writer, mapping, key, settings, defaults);
        }
    }
    return is_good;
}

/* ── groups ── */

/* Devices sign: what a plan says of these has no meaning, and a file may not say it. */
static void forget_names(struct group_settings *group, const struct group_settings *standard)
{
    group->plan.client_id = standard->plan.client_id;
    group->plan.username = standard->plan.username;
    group->plan.password = standard->plan.password;
}

static bool write_group(struct scenario_writer *writer, int sequence,
                        const struct scenario_key *key, const void *item)
{
    const struct fmx_fleet_group *plan = item;
    struct group_settings group, standard;
    struct fmx_fleet_platform *platform = &group.plan.platform;

    key->level->init(&standard);
    key->level->init(&group);
    group.plan = *plan;
    if (plan->tls != NULL) {
        group.tls = *plan->tls;
        group.tls_said = TLS_ON;
    }
    if (platform->device != NULL || platform->product_key != NULL) {
        forget_names(&group, &standard);
    } else {
        group.plan.platform = standard.plan.platform;
    }
    if (platform->device == fleet_devices_find) {
        const struct fleet_devices *devices = platform->device_user;
        bool is_registry = fleet_devices_is_registry(devices);
        group.registry = is_registry ? fleet_devices_path(devices) : NULL;
        group.devices = is_registry ? NULL : fleet_devices_path(devices);
        platform->product_key = is_registry ? fleet_devices_product(devices) : NULL;
        platform->device_name = standard.plan.platform.device_name;
    } else if (platform->device != NULL) {
        fail(writer, "device", "devices of a program's own cannot be written");
    }
    return put_item(writer, sequence, make_level(writer, key->level, &group, &standard));
}

bool scenario_write_groups(struct scenario_writer *writer, int mapping,
                           const struct scenario_key *key, const void *settings,
                           const void *defaults)
{
    const struct fmx_fleet_plan *plan = &((const struct scenario *)settings)->plan;

    (void)defaults;
    return write_list(writer, mapping, key, write_group, plan->groups, plan->groups_count,
                      sizeof(*plan->groups));
}

/* One text as it is, several as a list. */
static bool put_texts(struct scenario_writer *writer, int mapping, const char *name,
                      const char *const *texts, size_t count)
{
    if (count == 0) {
        return true;
    }
    if (count == 1) {
        return put_text(writer, mapping, name, texts[0], true);
    }
    int sequence = add_sequence(writer, true);
    bool is_good = sequence != 0;
    for (size_t i = 0; is_good && i < count; i++) {
        is_good = put_item(writer, sequence, add_scalar(writer, name, texts[i], true));
    }
    return is_good && put_node(writer, mapping, name, sequence);
}

bool scenario_write_targets(struct scenario_writer *writer, int mapping,
                            const struct scenario_key *key, const void *settings,
                            const void *defaults)
{
    const struct group_settings *group = settings;

    (void)defaults;
    return put_texts(writer, mapping, key->row.name, group->plan.targets,
                     group->plan.targets_count);
}

bool scenario_write_sources(struct scenario_writer *writer, int mapping,
                            const struct scenario_key *key, const void *settings,
                            const void *defaults)
{
    const struct group_settings *group = settings;

    (void)defaults;
    return put_texts(writer, mapping, key->row.name, group->plan.sources,
                     group->plan.sources_count);
}

bool scenario_write_devices(struct scenario_writer *writer, int mapping,
                            const struct scenario_key *key, const void *settings,
                            const void *defaults)
{
    const char *path = scenario_value_text(key, settings, NULL, 0);

    (void)defaults;
    return path == NULL || put_path(writer, mapping, key, path);
}

bool scenario_write_tls(struct scenario_writer *writer, int mapping, const struct scenario_key *key,
                        const void *settings, const void *defaults)
{
    const struct group_settings *group = settings;

    if (group->tls_said != TLS_ON) {
        return true;
    }
    int inner = make_level(writer, key->level, settings, defaults);
    if (inner == 0) {
        return false;
    }
    return is_empty(writer, inner) ? put_text(writer, mapping, key->row.name, "true", false)
                                   : put_node(writer, mapping, key->row.name, inner);
}

bool scenario_write_answers(struct scenario_writer *writer, int mapping,
                            const struct scenario_key *key, const void *settings,
                            const void *defaults)
{
    const struct group_settings *group = settings;

    return group->plan.calls.answer == FMX_FLEET_ANSWER_OFF ||
           write_inner(writer, mapping, key, settings, defaults);
}

bool scenario_write_reconnect(struct scenario_writer *writer, int mapping,
                              const struct scenario_key *key, const void *settings,
                              const void *defaults)
{
    const struct group_settings *group = settings;
    const struct group_settings *standard = defaults;
    char room[64];
    struct group_settings exponential = *standard;

    if (group->plan.reconnect == FMX_FLEET_RECONNECT_FIXED &&
        group->plan.reconnect_max_ms == standard->plan.reconnect_max_ms) {
        scenario_time_text((uint64_t)group->plan.reconnect_min_ms * 1000000, room, sizeof(room));
        return put_text(writer, mapping, key->row.name, room, false);
    }
    if (group->plan.reconnect == standard->plan.reconnect &&
        group->plan.reconnect_min_ms == standard->plan.reconnect_min_ms &&
        group->plan.reconnect_max_ms == standard->plan.reconnect_max_ms) {
        return true;
    }
    exponential.plan.reconnect = FMX_FLEET_RECONNECT_EXPONENTIAL; /* what keys begin with */
    return put_node(writer, mapping, key->row.name,
                    make_level(writer, key->level, settings, &exponential));
}

/* ── payloads ── */

/* "raw" or "payload" if it is a text, else base64. */
static bool put_bytes(struct scenario_writer *writer, int mapping, const char *name,
                      fmx_slice payload)
{
    char *text = malloc(base64_letters(payload.bytes) + payload.bytes + 1);
    int node = 0;

    if (text == NULL) {
        fail(writer, name, "memory ran out");
        return false;
    }
    if (memchr(payload.data, '\0', payload.bytes) == NULL) {
        memcpy(text, payload.data, payload.bytes);
        text[payload.bytes] = '\0';
        node = yaml_document_add_scalar(&writer->document, NULL, (const yaml_char_t *)text,
                                        (int)payload.bytes, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
    }
    if (node == 0) {
        text[base64_write(payload.data, payload.bytes, text)] = '\0';
        name = "base64";
        node = add_scalar(writer, name, text, false);
    }
    explicit_bzero(text, strlen(text));
    free(text);
    return put_node(writer, mapping, name, node);
}

bool scenario_write_answer_payload(struct scenario_writer *writer, int mapping,
                                   const struct scenario_key *key, const void *settings,
                                   const void *defaults)
{
    const struct group_settings *group = settings;
    fmx_slice payload = group->plan.calls.payload;

    (void)defaults;
    return group->plan.calls.answer != FMX_FLEET_ANSWER_FIXED || payload.bytes == 0 ||
           put_bytes(writer, mapping, key->row.name, payload);
}

bool scenario_write_payload(struct scenario_writer *writer, int mapping,
                            const struct scenario_key *key, const void *settings,
                            const void *defaults)
{
    const struct publish_settings *publish = settings;

    (void)defaults;
    if (publish->plan.text != NULL) {
        return put_text(writer, mapping, key->row.name, publish->plan.text, true);
    }
    return publish->plan.payload.bytes == 0 ||
           put_bytes(writer, mapping, "raw", publish->plan.payload);
}

bool scenario_write_request(struct scenario_writer *writer, int mapping,
                            const struct scenario_key *key, const void *settings,
                            const void *defaults)
{
    const struct publish_settings *publish = settings;

    return publish->plan.response_timeout_ms == 0 ||
           write_inner(writer, mapping, key, settings, defaults);
}

bool scenario_write_response_topic(struct scenario_writer *writer, int mapping,
                                   const struct scenario_key *key, const void *settings,
                                   const void *defaults)
{
    const struct publish_settings *publish = settings;

    return publish->plan.response_timeout_ms != 0 ||
           write_value(writer, mapping, key, settings, defaults);
}

/* Each is a mapping of its own, for a key may stand twice. */
static bool write_property(struct scenario_writer *writer, int sequence,
                           const struct scenario_key *key, const void *item)
{
    const struct fmx_fleet_property *property = item;
    int one = add_mapping(writer);
    int name = add_scalar(writer, key->row.name, property->key, true);
    int value = add_scalar(writer, key->row.name, property->value, true);

    if (one == 0 || name == 0 || value == 0 ||
        !yaml_document_append_mapping_pair(&writer->document, one, name, value)) {
        fail(writer, key->row.name, "memory ran out");
        return false;
    }
    return put_item(writer, sequence, one);
}

bool scenario_write_user(struct scenario_writer *writer, int mapping,
                         const struct scenario_key *key, const void *settings, const void *defaults)
{
    const struct publish_settings *publish = settings;
    const struct fmx_fleet_properties *properties = &publish->plan.properties;

    (void)defaults;
    return write_list(writer, mapping, key, write_property, properties->user,
                      properties->user_count, sizeof(*properties->user));
}

/* ── lists of a group ── */

static bool write_publish(struct scenario_writer *writer, int sequence,
                          const struct scenario_key *key, const void *item)
{
    const struct fmx_fleet_publish *plan = item;
    struct publish_settings publish, standard;

    key->level->init(&standard);
    key->level->init(&publish);
    publish.plan = *plan;
    if (plan->text != NULL || plan->payload.bytes > 0) {
        publish.plan.payload_bytes = standard.plan.payload_bytes; /* has no meaning */
    }
    return put_item(writer, sequence, make_level(writer, key->level, &publish, &standard));
}

bool scenario_write_publishes(struct scenario_writer *writer, int mapping,
                              const struct scenario_key *key, const void *settings,
                              const void *defaults)
{
    const struct fmx_fleet_group *plan = &((const struct group_settings *)settings)->plan;

    (void)defaults;
    return write_list(writer, mapping, key, write_publish, plan->publishes, plan->publishes_count,
                      sizeof(*plan->publishes));
}

static bool write_subscribe(struct scenario_writer *writer, int sequence,
                            const struct scenario_key *key, const void *item)
{
    struct fmx_fleet_subscribe standard;

    key->level->init(&standard);
    return put_item(writer, sequence, make_level(writer, key->level, item, &standard));
}

bool scenario_write_subscribes(struct scenario_writer *writer, int mapping,
                               const struct scenario_key *key, const void *settings,
                               const void *defaults)
{
    const struct fmx_fleet_group *plan = &((const struct group_settings *)settings)->plan;

    (void)defaults;
    return write_list(writer, mapping, key, write_subscribe, plan->subscribes,
                      plan->subscribes_count, sizeof(*plan->subscribes));
}

/* ── stages ── */

static bool write_stage(struct scenario_writer *writer, int sequence,
                        const struct scenario_key *key, const void *item)
{
    const struct fmx_fleet_stage *plan = item;
    struct stage_settings stage = {.plan = *plan, .scenario = writer->scenario}, standard;
    const char *name = scenario_stage_name(plan->kind);

    key->level->init(&standard);
    fmx_fleet_stage_init(&standard.plan, plan->kind);
    int inner = make_level(writer, key->level, &stage, &standard);
    if (inner == 0) {
        return false;
    }
    if (is_empty(writer, inner)) {
        return put_item(writer, sequence, add_scalar(writer, key->row.name, name, false));
    }
    int mapping = add_mapping(writer);
    return put_node(writer, mapping, name, inner) && put_item(writer, sequence, mapping);
}

bool scenario_write_stages(struct scenario_writer *writer, int mapping,
                           const struct scenario_key *key, const void *settings,
                           const void *defaults)
{
    const struct fmx_fleet_plan *plan = &((const struct scenario *)settings)->plan;

    (void)defaults;
    return write_list(writer, mapping, key, write_stage, plan->stages, plan->stages_count,
                      sizeof(*plan->stages));
}

bool scenario_write_stage_groups(struct scenario_writer *writer, int mapping,
                                 const struct scenario_key *key, const void *settings,
                                 const void *defaults)
{
    const struct stage_settings *stage = settings;
    const struct fmx_fleet_plan *plan = &stage->scenario->plan;
    const char *names[FMX_FLEET_GROUPS_MAX];
    size_t count = 0;

    (void)defaults;
    for (size_t i = 0; i < plan->groups_count; i++) {
        if ((stage->plan.groups >> i & 1) != 0) {
            names[count++] = plan->groups[i].name;
            if (plan->groups[i].name == NULL) {
                fail(writer, key->row.name, "a stage is about a group without a name");
                return false;
            }
        }
    }
    return put_texts(writer, mapping, key->row.name, names, count);
}

static bool write_threshold(struct scenario_writer *writer, int sequence,
                            const struct scenario_key *key, const void *item)
{
    const char *const *text = item;

    return put_item(writer, sequence, add_scalar(writer, key->row.name, *text, true));
}

bool scenario_write_thresholds(struct scenario_writer *writer, int mapping,
                               const struct scenario_key *key, const void *settings,
                               const void *defaults)
{
    const struct flag_list *thresholds = &((const struct scenario *)settings)->thresholds;

    (void)defaults;
    return write_list(writer, mapping, key, write_threshold, thresholds->items, thresholds->count,
                      sizeof(thresholds->items[0]));
}

/* ── the text ── */

static int take_output(void *user, unsigned char *buffer, size_t bytes)
{
    struct scenario_writer *writer = user;

    if (writer->bytes + bytes + 1 > writer->room) {
        size_t room = 2 * (writer->bytes + bytes + 512);
        char *text = realloc(writer->text, room);
        if (text == NULL) {
            return 0;
        }
        writer->text = text;
        writer->room = room;
    }
    memcpy(writer->text + writer->bytes, buffer, bytes);
    writer->bytes += bytes;
    writer->text[writer->bytes] = '\0';
    return 1;
}

/* The emitter takes the document, whatever comes of it. */
static bool emit(struct scenario_writer *writer)
{
    yaml_emitter_t emitter;

    if (!yaml_emitter_initialize(&emitter)) {
        yaml_document_delete(&writer->document);
        return false;
    }
    yaml_emitter_set_output(&emitter, take_output, writer);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    bool is_good = yaml_emitter_open(&emitter) != 0;
    if (!is_good) {
        yaml_document_delete(&writer->document);
    } else {
        is_good = yaml_emitter_dump(&emitter, &writer->document) && yaml_emitter_close(&emitter) &&
                  yaml_emitter_flush(&emitter);
    }
    yaml_emitter_delete(&emitter);
    return is_good;
}

char *scenario_write(const struct scenario *scenario, char *error, size_t error_bytes)
{
    struct scenario_writer writer = {
        .scenario = scenario, .error = error, .error_bytes = error_bytes};
    struct scenario standard;

    error[0] = '\0';
    scenario_top.init(&standard);
    if (!yaml_document_initialize(&writer.document, NULL, NULL, NULL, 1, 1)) {
        snprintf(error, error_bytes, "memory ran out");
        return NULL;
    }
    bool is_good = make_level(&writer, &scenario_top, scenario, &standard) != 0;
    if (!is_good || error[0] != '\0') {
        yaml_document_delete(&writer.document);
    } else if (!emit(&writer)) {
        fail(&writer, "", "memory ran out");
    }
    if (error[0] != '\0') {
        free(writer.text);
        writer.text = NULL;
    }
    return writer.text;
}
