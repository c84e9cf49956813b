/*
 * scenario_stage — keys of stages that are more than a value; thresholds
 *
 * Why it is so:   "hold: 5m" says all there is to say of most stages, so the value that each kind
 *                 cannot do without may stand alone. Stages name groups, which may stand below them
 *                 in the file, so they are read last.
 * Threads:        one
 * Limits:         FMX_FLEET_STAGES_MAX stages, FLAG_ITEMS_MAX thresholds
 * Not here:       the conditions of thresholds: threshold.c
 */
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/scenario_parts.h"
#include "tools/fleetmux/verdict.h"

#include <string.h>

/* What a kind's value is if it stands alone. */
static const char *const main_keys[] = {
    [FMX_FLEET_RAMP] = "rate",   [FMX_FLEET_HOLD] = "for",  [FMX_FLEET_CHURN] = "rate",
    [FMX_FLEET_STORM] = "share", [FMX_FLEET_STOP] = "rate",
};

#define KINDS_COUNT (sizeof(main_keys) / sizeof(main_keys[0]))

static bool find_kind(const char *name, enum fmx_fleet_stage_kind *out_kind)
{
    for (size_t kind = 0; kind < KINDS_COUNT; kind++) {
        if (strcmp(scenario_stage_name((enum fmx_fleet_stage_kind)kind), name) == 0) {
            *out_kind = (enum fmx_fleet_stage_kind)kind;
            return true;
        }
    }
    return false;
}

static bool refuse_kind(struct scenario_reader *reader, const struct scenario_where *where,
                        const yaml_node_t *node, const char *name)
{
    struct nearest nearest = {.word = name};

    for (size_t kind = 0; kind < KINDS_COUNT; kind++) {
        nearest_consider(&nearest, scenario_stage_name((enum fmx_fleet_stage_kind)kind));
    }
    if (nearest.best != NULL) {
        return scenario_refuse(reader, where, node, "there is no stage '%.60s'; did you mean '%s'?",
                               name, nearest.best);
    }
    return scenario_refuse(reader, where, node,
                           "there is no stage '%.60s'; write ramp, hold, churn, storm or stop",
                           name);
}

/* What stands behind a stage's kind: nothing, its main value, or keys. */
static bool read_settings(struct scenario_reader *reader, const struct scenario_where *where,
                          const struct scenario_level *level, struct stage_settings *stage,
                          yaml_node_t *node)
{
    const struct scenario_where kind = {.outer = where,
                                        .name = scenario_stage_name(stage->plan.kind)};

    if (node->type == YAML_MAPPING_NODE) {
        return scenario_read_level(reader, &kind, level, stage, node);
    }
    const struct scenario_key *key = scenario_key_find(level, main_keys[stage->plan.kind]);
    return scenario_is_null(node) || scenario_read_value(reader, &kind, key, stage, node);
}

static bool check_stage(struct scenario_reader *reader, const struct scenario_where *where,
                        const struct fmx_fleet_stage *stage, const yaml_node_t *node)
{
    const struct scenario_where kind = {.outer = where, .name = scenario_stage_name(stage->kind)};

    if (stage->kind == FMX_FLEET_CHURN && stage->rate_begin <= 0 && stage->rate_end <= 0) {
        return scenario_refuse(reader, &kind, node, "'rate' is missing; write for example 20/s");
    }
    if (stage->kind == FMX_FLEET_STORM && stage->duration_ns > 0 &&
        stage->within_ns > stage->duration_ns) {
        char within[32], whole[32];
        return scenario_refuse(reader, &kind, node, "'within' is %s, longer than 'for', %s",
                               scenario_time_text(stage->within_ns, within, sizeof(within)),
                               scenario_time_text(stage->duration_ns, whole, sizeof(whole)));
    }
    return true;
}

static bool read_stage(struct scenario_reader *reader, const struct scenario_where *where,
                       const struct scenario_level *level, yaml_node_t *node,
                       struct fmx_fleet_stage *out_stage)
{
    struct stage_settings stage;
    enum fmx_fleet_stage_kind kind = FMX_FLEET_RAMP;
    bool has_keys = node->type == YAML_MAPPING_NODE &&
                    node->data.mapping.pairs.top - node->data.mapping.pairs.start == 1;
    const yaml_node_pair_t *pair = has_keys ? node->data.mapping.pairs.start : NULL;
    yaml_node_t *name = has_keys ? scenario_node(reader, pair->key) : node;

    if (name->type != YAML_SCALAR_NODE) {
        return scenario_refuse(
            reader, where, name,
            "is not one stage; write ramp, hold, churn, storm or stop, and behind "
            "it its keys, as in - hold: 5m");
    }
    if (!find_kind((const char *)name->data.scalar.value, &kind)) {
        return refuse_kind(reader, where, name, (const char *)name->data.scalar.value);
    }
    level->init(&stage);
    fmx_fleet_stage_init(&stage.plan, kind);
    stage.scenario = reader->scenario;
    if (has_keys &&
        !read_settings(reader, where, level, &stage, scenario_node(reader, pair->value))) {
        return false;
    }
    *out_stage = stage.plan;
    return check_stage(reader, where, out_stage, node);
}

bool scenario_read_stages(struct scenario_reader *reader, const struct scenario_where *where,
                          const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    size_t count = scenario_items_count(node);

    (void)settings;
    if (node->type != YAML_SEQUENCE_NODE || count > FMX_FLEET_STAGES_MAX) {
        return scenario_refuse(reader, where, node, "is not good here; write %s", key->words);
    }
    reader->stages = node;
    return true;
}

bool scenario_finish_top(struct scenario_reader *reader, const struct scenario_where *where,
                         void *settings, yaml_node_t *node)
{
    struct scenario *scenario = settings;
    const struct scenario_where list = {.outer = where, .name = "stages"};

    (void)node;
    if (reader->stages == NULL) {
        return true;
    }
    size_t count = scenario_items_count(reader->stages);
    struct fmx_fleet_stage *stages = scenario_take(scenario->memory, count + 1, sizeof(*stages));
    if (stages == NULL) {
        return scenario_refuse_memory(reader, &list, reader->stages);
    }
    for (size_t i = 0; i < count; i++) {
        const struct scenario_where item = {.outer = &list, .index = i};
        if (!read_stage(reader, &item, &scenario_stage, scenario_item(reader, reader->stages, i),
                        &stages[i])) {
            return false;
        }
    }
    scenario->plan.stages = stages;
    scenario->plan.stages_count = count;
    return true;
}

/* ── groups of a stage ── */

static bool refuse_group(struct scenario_reader *reader, const struct scenario_where *where,
                         const yaml_node_t *node, const char *name)
{
    const struct fmx_fleet_plan *plan = &reader->scenario->plan;
    struct nearest nearest = {.word = name};

    for (size_t i = 0; i < plan->groups_count; i++) {
        if (plan->groups[i].name != NULL) {
            nearest_consider(&nearest, plan->groups[i].name);
        }
    }
    return scenario_refuse(reader, where, node, "no group is called '%.60s'%s%s%s", name,
                           nearest.best != NULL ? "; did you mean '" : "; name it so",
                           nearest.best != NULL ? nearest.best : "",
                           nearest.best != NULL ? "'?" : "");
}

bool scenario_read_stage_groups(struct scenario_reader *reader, const struct scenario_where *where,
                                const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct stage_settings *stage = settings;
    const struct fmx_fleet_plan *plan = &reader->scenario->plan;

    for (size_t i = 0; i < scenario_items_count(node); i++) {
        const struct scenario_where item = {.outer = where, .index = i};
        yaml_node_t *one = scenario_item(reader, node, i);
        const char *name = scenario_text(reader, one == node ? where : &item, key, one);
        size_t group = 0;
        if (name == NULL) {
            return false;
        }
        while (group < plan->groups_count &&
               (plan->groups[group].name == NULL || strcmp(plan->groups[group].name, name) != 0)) {
            group++;
        }
        if (group == plan->groups_count) {
            return refuse_group(reader, one == node ? where : &item, one, name);
        }
        stage->plan.groups |= UINT64_C(1) << group;
    }
    return stage->plan.groups != 0 ||
           scenario_refuse(reader, where, node, "names no group; leave it out for all of them");
}

/* ── thresholds ── */

bool scenario_read_thresholds(struct scenario_reader *reader, const struct scenario_where *where,
                              const struct scenario_key *key, void *settings, yaml_node_t *node)
{
    struct scenario *scenario = settings;
    struct flag_list *list = &scenario->thresholds;
    size_t count = scenario_items_count(node);

    if (count > FLAG_ITEMS_MAX) {
        return scenario_refuse(reader, where, node, "has %zu items; at most %u are taken", count,
                               FLAG_ITEMS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        const struct scenario_where item = {.outer = where, .index = i};
        yaml_node_t *one = scenario_item(reader, node, i);
        struct threshold threshold;
        char words[FLAG_ERROR_BYTES] = "";
        const char *text = scenario_text(reader, &item, key, one);
        if (text == NULL) {
            return false;
        }
        if (!threshold_parse(text, &threshold, words, sizeof(words))) {
            return scenario_refuse(reader, &item, one, "%s", words);
        }
        list->items[list->count++] = text;
    }
    return true;
}
