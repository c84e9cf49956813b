/*
 * fleet_team — our copy of the plan: what open makes of each group, and what shards read of it
 *
 * Why it is so:   nothing that the caller passes in has to outlive the call, and a plan has texts,
 *                 arrays and payloads in many places. So all copies of a group stand in one list,
 *                 and whatever is NULL-safe to free is freed by walking it
 * Words:          copier: makes copies for one team; once memory has run out it makes no more, and
 *                 is asked once, at the end
 * Invariants:     (1) a team is read-only while shards run, but its clocks and atomics
 *                 (2) what has been copied is in the list before anything can fail
 * Memory:         the teams, their lists, addresses, topics; the plan's stages with their names
 * Threads:        whoever opens and closes the fleet
 * Limits:         those of fleet_plan.c
 * Not here:       what is wrong with a plan: fleet_plan.c; TLS: fleet_tls_plan.c
 */
#include "engine/roles/fleet_message.h"
#include "engine/roles/fleet_payload.h"
#include "engine/roles/fleet_request.h"
#include "engine/roles/fleet_tls.h"

#include "engine/roles/address.h"
#include "proto/limits.h"

#include <stdlib.h>

#define THING_TOPIC       "/sys/%p/%d/thing/event/property/post"
#define SECURE_MODE_TLS   2
#define SECURE_MODE_PLAIN 3

#define CONNECTS_INFLIGHT_PLAIN 1024u
#define CONNECTS_INFLIGHT_TLS   128u /* servers bound unfinished handshakes of an address */
#define RAMP_PER_SECOND         100  /* of a plan without stages */

#define CLIENTS_PER_SOURCE 7000u      /* a quarter of the ports of one address towards one target */
#define PACKET_HEAD_BYTES  (1u << 20) /* of a message beside its payload, generously */
#define COPIES_BEGIN       32u

/* ── copies ── */

struct copier {
    struct fmx_fleet_team *team;
    size_t used;
    size_t room;
    bool failed;
};

/* Room for one more pointer and the NULL behind it. */
static bool make_room(struct copier *copier)
{
    struct fmx_fleet_team *team = copier->team;
    size_t room = copier->room == 0 ? COPIES_BEGIN : 2 * copier->room;

    if (copier->used + 2 <= copier->room) {
        return true;
    }
    void **more = realloc(team->copies, room * sizeof(*more));
    if (more == NULL) {
        return false;
    }
    memset(more + copier->room, 0, (room - copier->room) * sizeof(*more));
    team->copies = more;
    copier->room = room;
    return true;
}

/* Zeroed memory of the team's; NULL: there is none, or was none before. */
static void *take(struct copier *copier, size_t bytes)
{
    if (copier->failed || !make_room(copier)) {
        copier->failed = true;
        return NULL;
    }
    void *memory = calloc(1, bytes + 1);
    copier->failed = memory == NULL;
    if (memory != NULL) {
        copier->team->copies[copier->used++] = memory;
    }
    return memory;
}

static void *copy(struct copier *copier, const void *from, size_t bytes)
{
    void *memory = from == NULL || bytes == 0 ? NULL : take(copier, bytes);

    if (memory != NULL) {
        memcpy(memory, from, bytes);
    }
    return memory;
}

static void copy_text(struct copier *copier, const char **text)
{
    *text = *text == NULL ? NULL : copy(copier, *text, strlen(*text) + 1);
}

static void copy_slice(struct copier *copier, fmx_slice *slice)
{
    slice->data = copy(copier, slice->data, slice->bytes);
    slice->bytes = slice->data == NULL ? 0 : slice->bytes;
}

static void copy_list(struct copier *copier, const char *const **list, size_t count)
{
    const char **texts = copy(copier, (const void *)*list, count * sizeof(*texts));

    for (size_t i = 0; texts != NULL && i < count; i++) {
        copy_text(copier, &texts[i]);
    }
    *list = texts;
}

static void copy_publish(struct copier *copier, struct fmx_fleet_publish *publish)
{
    struct fmx_fleet_properties *properties = &publish->properties;
    struct fmx_fleet_property *user =
        copy(copier, properties->user, properties->user_count * sizeof(*user));

    for (size_t i = 0; user != NULL && i < properties->user_count; i++) {
        copy_text(copier, &user[i].key);
        copy_text(copier, &user[i].value);
    }
    properties->user = user;
    if (publish->response_timeout_ms > 0 &&
        properties->correlation_bytes < FMX_FLEET_REQUEST_BYTES) {
        properties->correlation_bytes = FMX_FLEET_REQUEST_BYTES;
    }
    if (publish->thing_model) {
        publish->topic = THING_TOPIC;
    }
    copy_text(copier, &publish->name);
    copy_text(copier, &publish->topic);
    copy_text(copier, &publish->text);
    copy_slice(copier, &publish->payload);
    copy_text(copier, &properties->response_topic);
    copy_text(copier, &properties->content_type);
}

static void copy_messages(struct copier *copier, struct fmx_fleet_group *group)
{
    struct fmx_fleet_publish *publishes =
        copy(copier, group->publishes, group->publishes_count * sizeof(*publishes));
    struct fmx_fleet_subscribe *subscribes =
        copy(copier, group->subscribes, group->subscribes_count * sizeof(*subscribes));

    for (size_t i = 0; publishes != NULL && i < group->publishes_count; i++) {
        copy_publish(copier, &publishes[i]);
    }
    for (size_t i = 0; subscribes != NULL && i < group->subscribes_count; i++) {
        copy_text(copier, &subscribes[i].filter);
    }
    group->publishes = publishes;
    group->subscribes = subscribes;
}

static bool copy_group(struct fmx_fleet_team *team)
{
    struct fmx_fleet_group *group = &team->plan;
    struct fmx_fleet_platform *platform = &group->platform;
    const char **const texts[] = {
        &group->name,
        &group->client_id,
        &group->username,
        &group->password,
        &platform->product_key,
        &platform->device_name,
        &platform->secret,
        &platform->secret_key,
        &platform->client_id,
        &platform->timestamp,
        &platform->sdk,
        &platform->more_options,
        &platform->product_secret,
    };
    struct copier copier = {.team = team};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        copy_text(&copier, texts[i]);
    }
    copy_list(&copier, &group->targets, group->targets_count);
    copy_list(&copier, &group->sources, group->sources_count);
    copy_slice(&copier, &group->calls.payload);
    copy_messages(&copier, group);
    return !copier.failed;
}

/* ── addresses ── */

static enum fmx_status parse_addresses(struct fmx_fleet_team *team, char *error, size_t error_bytes)
{
    const struct fmx_fleet_group *group = &team->plan;
    enum fmx_status status = FMX_OK;
    char field[32];

    team->targets = calloc(group->targets_count, sizeof(*team->targets));
    team->sources = calloc(group->sources_count + 1, sizeof(*team->sources));
    if (team->targets == NULL || team->sources == NULL) {
        snprintf(error, error_bytes, "targets: no memory");
        return FMX_LIMIT_MEMORY;
    }
    for (size_t i = 0; status == FMX_OK && i < group->targets_count; i++) {
        snprintf(field, sizeof(field), "targets[%zu]", i);
        status = fmx_address_parse(field, group->targets[i], true, &team->targets[i], error,
                                   error_bytes);
    }
    for (size_t i = 0; status == FMX_OK && i < group->sources_count; i++) {
        snprintf(field, sizeof(field), "sources[%zu]", i);
        status =
            fmx_address_parse_host(field, group->sources[i], &team->sources[i], error, error_bytes);
    }
    team->sources_count = (uint32_t)group->sources_count;
    return status;
}

/*
 * An address has 28,232 ports towards one target, and connecting is slow long before they are used
 * up. On loopback there are as many addresses as one likes. Teams share them, so all clients count.
 */
static enum fmx_status spread_sources(struct fmx_fleet_team *team)
{
    const struct fmx_fleet_group *group = &team->plan;
    uint32_t wanted =
        (uint32_t)(team->fleet->clients_count / (CLIENTS_PER_SOURCE * group->targets_count)) + 1;

    if (team->sources_count > 0 || wanted == 1) {
        return FMX_OK;
    }
    for (size_t i = 0; i < group->targets_count; i++) {
        if (!fmx_address_is_loopback4(&team->targets[i])) {
            return FMX_OK;
        }
    }
    free(team->sources);
    team->sources = calloc(wanted, sizeof(*team->sources));
    if (team->sources == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    for (uint32_t i = 0; i < wanted; i++) {
        team->sources[i] = fmx_address_loopback(i + 1);
    }
    team->sources_count = wanted;
    return FMX_OK;
}

/* ── topics ── */

/* Once, as they stand in every packet. */
static bool write_user_properties(const struct fmx_fleet_properties *properties,
                                  struct fmx_fleet_topic *topic)
{
    size_t room = 1;

    for (size_t i = 0; i < properties->user_count; i++) {
        room += 5 + strlen(properties->user[i].key) + strlen(properties->user[i].value);
    }
    topic->user = malloc(room);
    if (topic->user == NULL) {
        return false;
    }
    struct fmx_writer writer = fmx_writer_of(topic->user, room);
    for (size_t i = 0; i < properties->user_count; i++) {
        fmx_user_write(&writer, fmx_slice_of(properties->user[i].key),
                       fmx_slice_of(properties->user[i].value));
    }
    FMX_ASSERT(!writer.failed);
    topic->user_bytes = (size_t)(writer.at - topic->user);
    return true;
}

static enum fmx_status open_topics(struct fmx_fleet_team *team, char *error, size_t error_bytes)
{
    const struct fmx_fleet_group *group = &team->plan;
    bool has_devices = fmx_fleet_has_devices(group);
    enum fmx_status status = FMX_OK;

    team->topics = calloc(group->publishes_count + 1, sizeof(*team->topics));
    if (team->topics == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    for (size_t i = 0; status == FMX_OK && i < group->publishes_count; i++) {
        const struct fmx_fleet_publish *publish = &group->publishes[i];
        struct fmx_fleet_topic *topic = &team->topics[i];
        topic->hash = fmx_fleet_mix((uint64_t)team->group << 32 | i, 1);
        if (!write_user_properties(&publish->properties, topic)) {
            status = FMX_LIMIT_MEMORY;
        } else if (publish->text != NULL) {
            status =
                fmx_payload_text_open(publish->text, has_devices, &topic->text, error, error_bytes);
        }
    }
    return status;
}

static void close_topics(struct fmx_fleet_team *team)
{
    for (size_t i = 0; team->topics != NULL && i < team->plan.publishes_count; i++) {
        fmx_payload_text_close(team->topics[i].text);
        free(team->topics[i].user);
    }
    free(team->topics);
}

/* ── what follows from the plan ── */

static bool has_any(const char *text, const char *one, const char *other)
{
    return text != NULL && (strstr(text, one) != NULL || strstr(text, other) != NULL);
}

static void look_at_text(struct fmx_fleet_team *team, const char *text)
{
    team->topics_have_names = team->topics_have_names || has_any(text, "%c", "%u");
    team->topics_have_devices = team->topics_have_devices || has_any(text, "%p", "%d");
}

/* What has to be found out before a topic, filter or payload can be filled in. */
static void look_at_texts(struct fmx_fleet_team *team)
{
    const struct fmx_fleet_group *group = &team->plan;

    for (size_t i = 0; i < group->subscribes_count; i++) {
        look_at_text(team, group->subscribes[i].filter);
    }
    for (size_t i = 0; i < group->publishes_count; i++) {
        look_at_text(team, group->publishes[i].topic);
        look_at_text(team, group->publishes[i].text);
        look_at_text(team, group->publishes[i].properties.response_topic);
        team->has_posts = team->has_posts || group->publishes[i].thing_model;
    }
    if (fmx_fleet_has_devices(group) && team->topics_have_names) {
        team->topics_have_devices = true; /* %c and %u are made of them */
    }
}

/* No message of a team is larger than this, but for its topic and properties. */
static size_t payload_bytes_max(const struct fmx_fleet_team *team)
{
    static const uint8_t room[FMX_TEMPLATE_BYTES_MAX];
    const fmx_slice longest = {.data = room, .bytes = sizeof(room)};
    const struct fmx_template_values values = {.number = UINT32_MAX,
                                               .run_number = UINT32_MAX,
                                               .client_id = longest,
                                               .username = longest,
                                               .product_key = longest,
                                               .device_name = longest};
    size_t most = 0;

    for (size_t i = 0; i < team->plan.publishes_count; i++) {
        const struct fmx_fleet_publish *publish = &team->plan.publishes[i];
        size_t bytes = team->topics[i].text != NULL
                           ? fmx_payload_text_bytes_max(team->topics[i].text, &values)
                       : publish->payload.bytes > 0 ? publish->payload.bytes
                                                    : publish->payload_bytes;
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* What is taken from a server: some MiB, or whatever the plan itself may cause. */
static void set_session_options(struct fmx_fleet *fleet)
{
    size_t most = 0;

    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        size_t bytes = payload_bytes_max(&fleet->teams[i]);
        most = bytes > most ? bytes : most;
    }
    bool is_large = most > FMX_FLEET_PACKET_BYTES_MAX - PACKET_HEAD_BYTES;
    fleet->session = (struct fmx_session_options){
        .packet_bytes_max = is_large ? FMX_PACKET_BYTES_MAX : FMX_FLEET_PACKET_BYTES_MAX,
        .inflight_max = FMX_INFLIGHT_MAX,
        .session_expiry_max_s = UINT32_MAX,
        .topic_bytes_max = FMX_STRING_BYTES_MAX,
        .topic_levels_max = FMX_TOPIC_LEVELS_MAX,
        .user_properties_max = UINT32_MAX,
        .receive_max = FMX_RECEIVE_MAX_DEFAULT,
    };
    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        fleet->teams[i].session = fleet->session;
        fleet->teams[i].session.receive_max = fleet->teams[i].plan.receive_max;
    }
}

/* Of a plan without stages. */
static const struct fmx_fleet_stage default_stages[] = {
    {.kind = FMX_FLEET_RAMP,
     .share = 1,
     .rate_begin = RAMP_PER_SECOND,
     .rate_end = RAMP_PER_SECOND,
     .publish_begin = 1,
     .publish_end = 1},
    {.kind = FMX_FLEET_HOLD, .share = 1, .publish_begin = 1, .publish_end = 1},
};

/* Stages and their names in one block: fleet->plan.stages. */
static bool copy_stages(struct fmx_fleet *fleet, const struct fmx_fleet_plan *plan)
{
    bool is_default = plan->stages_count == 0;
    const struct fmx_fleet_stage *from = is_default ? default_stages : plan->stages;
    size_t count =
        is_default ? sizeof(default_stages) / sizeof(default_stages[0]) : plan->stages_count;
    size_t bytes = count * sizeof(*from);

    for (size_t i = 0; i < count; i++) {
        bytes += from[i].name == NULL ? 0 : strlen(from[i].name) + 1;
    }
    struct fmx_fleet_stage *stages = malloc(bytes);
    fleet->plan.stages = stages;
    fleet->plan.stages_count = stages == NULL ? 0 : count;
    if (stages == NULL) {
        return false;
    }
    memcpy(stages, from, count * sizeof(*from));
    char *at = (char *)(stages + count);
    for (size_t i = 0; i < count; i++) {
        if (from[i].name != NULL) {
            size_t name_bytes = strlen(from[i].name) + 1;
            stages[i].name = memcpy(at, from[i].name, name_bytes);
            at += name_bytes;
        }
    }
    return true;
}

static void look_at_groups(struct fmx_fleet *fleet, const struct fmx_fleet_plan *plan)
{
    bool has_publishes = false;
    bool is_bounded = true;
    bool has_qos1 = false;
    bool has_tls = false;

    for (size_t g = 0; g < plan->groups_count; g++) {
        const struct fmx_fleet_group *group = &plan->groups[g];
        fleet->clients_count += group->clients_count;
        fleet->has_subscribes = fleet->has_subscribes || group->subscribes_count > 0;
        has_tls = has_tls || group->tls != NULL;
        for (size_t i = 0; i < group->publishes_count; i++) {
            has_publishes = true;
            is_bounded = is_bounded && group->publishes[i].messages_max > 0;
            has_qos1 = has_qos1 || group->publishes[i].qos > 0;
        }
    }
    fleet->ends_by_count = has_publishes && is_bounded;
    fleet->publishes_qos0_only = has_publishes && !has_qos1;
    if (plan->connects_inflight_max == 0) {
        fleet->plan.connects_inflight_max =
            has_tls ? CONNECTS_INFLIGHT_TLS : CONNECTS_INFLIGHT_PLAIN;
    }
}

/* ── open and close ── */

static enum fmx_status open_team(struct fmx_fleet *fleet, uint32_t group,
                                 const struct fmx_fleet_group *given, char *error,
                                 size_t error_bytes)
{
    struct fmx_fleet_team *team = &fleet->teams[group];

    team->fleet = fleet;
    team->group = group;
    team->first_index = group == 0 ? 0 : team[-1].first_index + team[-1].plan.clients_count;
    team->plan = *given;
    team->plan.tls = NULL;
    if (given->platform.secure_mode == 0) {
        team->plan.platform.secure_mode = given->tls != NULL ? SECURE_MODE_TLS : SECURE_MODE_PLAIN;
    }
    if (!copy_group(team)) {
        return FMX_LIMIT_MEMORY;
    }
    look_at_texts(team);
    enum fmx_status status = parse_addresses(team, error, error_bytes);
    if (status == FMX_OK) {
        status = spread_sources(team);
    }
    if (status == FMX_OK) {
        status = open_topics(team, error, error_bytes);
    }
    if (status == FMX_OK && given->tls != NULL) {
        status = fmx_fleet_tls_open(team, given, error, error_bytes);
    }
    return status;
}

enum fmx_status fmx_fleet_teams_open(struct fmx_fleet *fleet, const struct fmx_fleet_plan *plan,
                                     char *error, size_t error_bytes)
{
    enum fmx_status status = FMX_OK;

    fleet->plan = *plan;
    fleet->plan.groups = NULL;
    fleet->plan.parts_count = plan->parts_count == 0 ? 1 : plan->parts_count;
    fleet->origin = fmx_fleet_origin();
    look_at_groups(fleet, plan);
    snprintf(error, error_bytes, "no memory");
    fleet->teams = calloc(plan->groups_count, sizeof(*fleet->teams));
    if (!copy_stages(fleet, plan) || fleet->teams == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    for (uint32_t i = 0; status == FMX_OK && i < plan->groups_count; i++) {
        fleet->teams_count = i + 1;
        snprintf(error, error_bytes, "no memory");
        status = open_team(fleet, i, &plan->groups[i], error, error_bytes);
        if (status != FMX_OK) {
            fmx_fleet_place_words(&plan->groups[i], i, error, error_bytes);
        }
    }
    if (status == FMX_OK) {
        set_session_options(fleet);
    }
    return status;
}

static void wipe_secret(const char *text)
{
    if (text != NULL) {
        explicit_bzero((char *)(uintptr_t)text, strlen(text));
    }
}

static void close_team(struct fmx_fleet_team *team)
{
    bool is_copied = team->copies != NULL;

    fmx_fleet_tls_close(team);
    close_topics(team);
    fmx_clock_close(&team->publishing);
    fmx_clock_close(&team->connecting);
    if (is_copied) {
        wipe_secret(team->plan.password);
        wipe_secret(team->plan.platform.secret);
        wipe_secret(team->plan.platform.secret_key);
        wipe_secret(team->plan.platform.product_secret);
    }
    for (size_t i = 0; is_copied && team->copies[i] != NULL; i++) {
        free(team->copies[i]);
    }
    free((void *)team->copies);
    free(team->targets);
    free(team->sources);
}

void fmx_fleet_teams_close(struct fmx_fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        close_team(&fleet->teams[i]);
    }
    free(fleet->teams);
    free((void *)(uintptr_t)fleet->plan.stages);
    fleet->teams = NULL;
    fleet->teams_count = 0;
    fleet->plan.stages = NULL;
}
