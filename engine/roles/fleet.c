/*
 * fleet — the client role: its public calls, its plan, and where the engine enters it
 *
 * Why it is so:   clients are dealt to the shards like cards, client i to shard i modulo their
 *                 number, so each shard's part of every rate is an equal part and no shard has to
 *                 ask another
 * Words:          plan: what the user asked for; start: the instant from which all planned times
 *                 count
 * Memory:         clients, one array for each shard; copies of the plan's strings
 * Threads:        as include/fleetmux/fleet.h says; snapshots read counters and histograms only
 * Limits:         checked in check_plan, each with words
 * Not here:       what a client does: see the map in engine/roles/fleet.h
 */
#include "engine/roles/fleet.h"

#include "engine/clock.h"
#include "engine/options.h"
#include "engine/roles/address.h"
#include "proto/limits.h"

#include <stdlib.h>
#include <time.h>

#define WATCH_NS           (20 * FMX_NS_PER_MS)
#define CLIENTS_PER_SOURCE 7000u /* a quarter of the ports of one address towards one target */
#define END_MS             2000u /* for goodbyes */
#define BUSY_LOOK_NS       FMX_NS_PER_MS /* too many connects wait for an answer */
#define POLL_NS            (5 * FMX_NS_PER_MS)
#define PACKET_BYTES_MAX   (16u << 20)

/* ── the plan ── */

void fmx_fleet_plan_init(struct fmx_fleet_plan *plan)
{
    *plan = (struct fmx_fleet_plan){
        .clients_count = 1,
        .first_number = 1,
        .connects_per_second = 100,
        .connects_inflight_max = 1024,
        .connect_timeout_ms = 10000,
        .version = FMX_MQTT_50,
        .client_id = "fleetmux_%i",
        .keepalive_s = 300,
        .clean = true,
        .receive_max = 65535,
        .publish_interval_ns = FMX_NS_PER_S,
        .publish_window = 32,
        .payload_bytes = 256,
        .drain_ms = 5000,
        .seed = 1,
    };
    fmx_mux_options_init(&plan->mux);
}

/* Checks each text with the longest values that its variables can have. */
static enum fmx_status check_templates(const struct fmx_fleet_plan *plan, char *error,
                                       size_t error_bytes)
{
    uint8_t client_id[FMX_TEMPLATE_BYTES_MAX];
    uint8_t username[FMX_TEMPLATE_BYTES_MAX];
    struct fmx_template_values longest = {.number = UINT32_MAX, .run_number = UINT32_MAX};
    const struct {
        const char *field;
        const char *text;
        uint8_t *filled;
        fmx_slice *value; /* of a variable in the texts that follow */
    } templates[] = {
        {"client_id", plan->client_id, client_id, &longest.client_id},
        {"username", plan->username, username, &longest.username},
        {"password", plan->password, NULL, NULL},
        {"topic", plan->topic, NULL, NULL},
    };
    enum fmx_status status = FMX_OK;

    for (size_t i = 0; status == FMX_OK && i < sizeof(templates) / sizeof(templates[0]); i++) {
        if (templates[i].text == NULL) {
            continue;
        }
        status =
            fmx_template_check(templates[i].field, templates[i].text, &longest, error, error_bytes);
        if (status == FMX_OK && templates[i].value != NULL) {
            *templates[i].value =
                fmx_template_fill(templates[i].text, &longest, templates[i].filled);
        }
    }
    for (size_t i = 0; status == FMX_OK && i < plan->filters_count; i++) {
        status = fmx_template_check("filter", plan->filters[i], &longest, error, error_bytes);
    }
    return status;
}

static bool has_name(const char *text)
{
    return text != NULL && (strstr(text, "%c") != NULL || strstr(text, "%u") != NULL);
}

static bool have_names(const struct fmx_fleet_plan *plan)
{
    for (size_t i = 0; i < plan->filters_count; i++) {
        if (has_name(plan->filters[i])) {
            return true;
        }
    }
    return has_name(plan->topic);
}

static enum fmx_status check_plan(const struct fmx_fleet_plan *plan, char *error,
                                  size_t error_bytes)
{
    const struct fmx_option_range ranges[] = {
        {"targets_count", plan->targets_count, 1, 64},
        {"sources_count", plan->sources_count, 0, 65536},
        {"clients_count", plan->clients_count, 1, 16000000},
        {"connects_inflight_max", plan->connects_inflight_max, 1, 1u << 20},
        {"connect_timeout_ms", plan->connect_timeout_ms, 100, 600000},
        {"version", (uint64_t)plan->version, FMX_MQTT_31, FMX_MQTT_50},
        {"receive_max", plan->receive_max, 1, 65535},
        {"filters_count", plan->filters_count, 0, 64},
        {"subscribe_qos", plan->subscribe_qos, 0, 1},
        {"publish_qos", plan->publish_qos, 0, 1},
        {"publish_window", plan->publish_window, 1, FMX_INFLIGHT_MAX},
        {"payload_bytes", plan->payload_bytes, 0, PACKET_BYTES_MAX - 2048},
        {"payload", plan->payload.bytes, 0, PACKET_BYTES_MAX - 2048},
        {"drain_ms", plan->drain_ms, 0, 600000},
        {"reconnect_min_ms", plan->reconnect_min_ms, 0, 3600000},
        {"reconnect_max_ms", plan->reconnect_max_ms, plan->reconnect_min_ms, 3600000},
    };
    enum fmx_status status = fmx_mux_check_options(&plan->mux, error, error_bytes);

    if (status == FMX_OK) {
        status = fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);
    }
    if (status == FMX_OK && !(plan->connects_per_second >= 0 && plan->connects_per_second <= 1e7)) {
        snprintf(error, error_bytes, "connects_per_second is %g: write a number from 0 to 10000000",
                 plan->connects_per_second);
        status = FMX_E_OPTION;
    }
    if (status == FMX_OK &&
        (plan->targets == NULL || (plan->sources == NULL && plan->sources_count > 0) ||
         (plan->filters == NULL && plan->filters_count > 0))) {
        snprintf(error, error_bytes,
                 "targets, sources or filters is missing, but its count is not 0");
        status = FMX_E_OPTION;
    }
    if (status == FMX_OK && plan->client_id == NULL) {
        snprintf(error, error_bytes, "client_id is missing: write a text such as fleetmux_%%i");
        status = FMX_E_OPTION;
    }
    if (status == FMX_OK && plan->password != NULL && plan->username == NULL &&
        plan->version != FMX_MQTT_50) {
        snprintf(error, error_bytes, "password without username is allowed in MQTT 5.0 only");
        status = FMX_E_OPTION;
    }
    return status == FMX_OK ? check_templates(plan, error, error_bytes) : status;
}

/* ── copying what the plan points to ── */

static const char *copy_text(struct fmx_fleet *fleet, size_t *used, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    return fleet->texts[(*used)++] = strdup(text);
}

static bool copy_texts(struct fmx_fleet *fleet)
{
    struct fmx_fleet_plan *plan = &fleet->plan;
    size_t filters_count = plan->filters_count;
    size_t used = 0;

    fleet->texts = calloc(filters_count + 5, sizeof(*fleet->texts));
    fmx_template *filters = calloc(filters_count + 1, sizeof(*filters));
    if (fleet->texts == NULL || filters == NULL) {
        free(filters);
        return false;
    }
    for (size_t i = 0; i < filters_count; i++) {
        filters[i] = copy_text(fleet, &used, plan->filters[i]);
    }
    plan->filters = filters;
    plan->client_id = copy_text(fleet, &used, plan->client_id);
    plan->username = copy_text(fleet, &used, plan->username);
    plan->password = copy_text(fleet, &used, plan->password);
    plan->topic = copy_text(fleet, &used, plan->topic);
    for (size_t i = 0; i < used; i++) {
        if (fleet->texts[i] == NULL) {
            free(filters);
            plan->filters = NULL;
            return false;
        }
    }
    return true;
}

static bool copy_payload(struct fmx_fleet *fleet)
{
    fmx_slice *payload = &fleet->plan.payload;

    if (payload->bytes == 0) {
        return true;
    }
    fleet->payload_copy = malloc(payload->bytes);
    if (fleet->payload_copy != NULL) {
        memcpy(fleet->payload_copy, payload->data, payload->bytes);
        payload->data = fleet->payload_copy;
    }
    return fleet->payload_copy != NULL;
}

static enum fmx_status parse_addresses(struct fmx_fleet *fleet, const struct fmx_fleet_plan *plan,
                                       char *error, size_t error_bytes)
{
    enum fmx_status status = FMX_OK;

    fleet->targets = calloc(plan->targets_count, sizeof(*fleet->targets));
    fleet->sources = calloc(plan->sources_count + 1, sizeof(*fleet->sources));
    if (fleet->targets == NULL || fleet->sources == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    for (size_t i = 0; status == FMX_OK && i < plan->targets_count; i++) {
        status = fmx_address_parse("target", plan->targets[i], true, &fleet->targets[i], error,
                                   error_bytes);
    }
    for (size_t i = 0; status == FMX_OK && i < plan->sources_count; i++) {
        status = fmx_address_parse_host("source", plan->sources[i], &fleet->sources[i], error,
                                        error_bytes);
    }
    fleet->sources_count = (uint32_t)plan->sources_count;
    return status;
}

/*
 * An address has 28,232 ports towards one target, and connecting is slow long before they are used
 * up. On loopback there are as many addresses as one likes.
 */
static enum fmx_status spread_sources(struct fmx_fleet *fleet)
{
    const struct fmx_fleet_plan *plan = &fleet->plan;
    uint32_t wanted =
        (uint32_t)(plan->clients_count / (CLIENTS_PER_SOURCE * plan->targets_count)) + 1;

    if (fleet->sources_count > 0 || wanted == 1) {
        return FMX_OK;
    }
    for (size_t i = 0; i < plan->targets_count; i++) {
        if (!fmx_address_is_loopback4(&fleet->targets[i])) {
            return FMX_OK;
        }
    }
    free(fleet->sources);
    fleet->sources = calloc(wanted, sizeof(*fleet->sources));
    if (fleet->sources == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    for (uint32_t i = 0; i < wanted; i++) {
        fleet->sources[i] = fmx_address_loopback(i + 1);
    }
    fleet->sources_count = wanted;
    return FMX_OK;
}

/* ── the role ── */

uint64_t fmx_fleet_random(struct fmx_fleet_shard *fleet)
{
    uint64_t mixed = fleet->random += 0x9e3779b97f4a7c15ull;

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
    return mixed ^ mixed >> 31;
}

static struct fmx_template_values numbers_of(const struct fmx_fleet_shard *fleet,
                                             const struct fmx_fleet_client *client)
{
    return (struct fmx_template_values){.number = fleet->fleet->plan.first_number + client->index,
                                        .run_number = client->index};
}

void fmx_fleet_names(const struct fmx_fleet_shard *fleet, const struct fmx_fleet_client *client,
                     struct fmx_fleet_names *out_names)
{
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;
    struct fmx_template_values values = numbers_of(fleet, client);

    out_names->client_id = fmx_template_fill(plan->client_id, &values, out_names->client_id_bytes);
    values.client_id = out_names->client_id;
    out_names->username = plan->username == NULL ? (fmx_slice){0}
                                                 : fmx_template_fill(plan->username, &values,
                                                                     out_names->username_bytes);
}

fmx_slice fmx_fleet_fill(const struct fmx_fleet_shard *fleet, const struct fmx_fleet_client *client,
                         const char *text, uint8_t *out)
{
    struct fmx_template_values values = numbers_of(fleet, client);
    struct fmx_fleet_names names;

    if (fleet->fleet->topics_have_names) {
        fmx_fleet_names(fleet, client, &names);
        values.client_id = names.client_id;
        values.username = names.username;
    }
    return fmx_template_fill(text, &values, out);
}

/* Clients of shards before this one, and its own: what is shared out follows these. */
static uint64_t clients_before(const struct fmx_fleet_plan *plan, uint32_t shard, uint32_t shards)
{
    uint64_t each = plan->clients_count / shards;
    uint64_t rest = plan->clients_count % shards;

    return each * shard + (shard < rest ? shard : rest);
}

/* total × part ÷ whole, without leaving 64 bits on the way. */
static uint64_t portion(uint64_t total, uint64_t part, uint64_t whole)
{
    return total / whole * part + total % whole * part / whole;
}

static uint64_t share_of(const struct fmx_shard *shard, uint64_t total)
{
    const struct fmx_fleet *fleet = shard->options->role_user;
    uint64_t count = fleet->plan.clients_count;
    uint64_t before = clients_before(&fleet->plan, shard->index, shard->shards_count);
    uint64_t after = clients_before(&fleet->plan, shard->index + 1, shard->shards_count);

    return portion(total, after, count) - portion(total, before, count);
}

static void init_histograms(struct fmx_fleet_shard *fleet)
{
    fmx_histogram_init(&fleet->connect);
    fmx_histogram_init(&fleet->subscribe);
    fmx_histogram_init(&fleet->puback);
    fmx_histogram_init(&fleet->delivery);
    fmx_histogram_init(&fleet->lag);
}

static void init_clients(struct fmx_fleet_shard *fleet)
{
    for (uint32_t i = 0; i < fleet->clients_count; i++) {
        fleet->clients[i].index = i * fleet->shard->shards_count + fleet->shard->index;
        fleet->clients[i].timer.kind = FMX_TIMER_ROLE;
        fleet->clients[i].timer.sub_kind = FMX_FLEET_TIMER_CLIENT;
    }
    fmx_count(&fleet->counters.waiting, fleet->clients_count);
}

static void arm_role_timer(struct fmx_fleet_shard *fleet, struct fmx_timer *timer, uint8_t kind)
{
    timer->kind = FMX_TIMER_ROLE;
    timer->sub_kind = kind;
    fmx_wheel_arm(&fleet->shard->wheel, timer, fleet->shard->now_ns);
}

static enum fmx_status open_shard(struct fmx_shard *shard)
{
    struct fmx_fleet_shard *fleet = calloc(1, sizeof(*fleet));

    if (fleet == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    shard->role_state = fleet;
    fleet->fleet = shard->options->role_user;
    fleet->shard = shard;
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;
    fleet->clients_count = (uint32_t)share_of(shard, plan->clients_count);
    fleet->clients = calloc(fleet->clients_count + 1u, sizeof(*fleet->clients));
    if (fleet->clients == NULL || !fmx_fleet_payload_open(fleet)) {
        return FMX_LIMIT_MEMORY;
    }
    fleet->random = plan->seed + 0x632be59bd9b4e019ull * (shard->index + 1);
    fleet->connecting_max =
        (plan->connects_inflight_max + shard->shards_count - 1) / shard->shards_count;
    fleet->publishes_left =
        plan->publishes_max == 0 ? UINT64_MAX : share_of(shard, plan->publishes_max);
    init_histograms(fleet);
    init_clients(fleet);
    return FMX_OK;
}

static void close_shard(struct fmx_shard *shard)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(shard);

    if (fleet != NULL) {
        fmx_fleet_track_close(fleet);
        free(fleet->clients);
        free(fleet->payload);
        free(fleet);
        shard->role_state = NULL;
    }
}

/* Is everything done that the plan wants done? */
static bool is_finished(struct fmx_fleet_shard *fleet)
{
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;
    const struct fmx_fleet_counters *counters = &fleet->counters;
    uint64_t ended = atomic_load_explicit(&counters->lost, memory_order_relaxed) +
                     atomic_load_explicit(&counters->failed, memory_order_relaxed);

    if (ended == fleet->clients_count) {
        return true;
    }
    if (fleet->is_ending) {
        return fleet->unacked == 0 ||
               fleet->shard->now_ns >= fleet->ending_ns + plan->drain_ms * FMX_NS_PER_MS;
    }
    return plan->topic != NULL && fleet->publishes_left == 0 && fleet->overdue == 0 &&
           fleet->unacked == 0;
}

static void watch(struct fmx_fleet_shard *fleet)
{
    const struct fmx_fleet *whole = fleet->fleet;
    uint64_t start_ns = atomic_load_explicit(&whole->start_ns, memory_order_relaxed);
    uint64_t duration_ns = whole->plan.duration_ns;
    bool is_over = duration_ns > 0 && fleet->shard->now_ns - start_ns >= duration_ns;

    if (!fleet->is_ending &&
        (is_over || atomic_load_explicit(&whole->is_ending, memory_order_relaxed))) {
        fleet->is_ending = true;
        fleet->ending_ns = fleet->shard->now_ns;
    }
    atomic_store_explicit(&fleet->is_finished, is_finished(fleet), memory_order_relaxed);
    fmx_wheel_arm(&fleet->shard->wheel, &fleet->watch, fleet->shard->now_ns + WATCH_NS);
}

static void client_is_due(struct fmx_fleet_shard *fleet, struct fmx_timer *timer)
{
    struct fmx_fleet_client *client =
        (struct fmx_fleet_client *)((char *)timer - offsetof(struct fmx_fleet_client, timer));

    if (client->state == FMX_CLIENT_WAITING && fleet->connecting >= fleet->connecting_max) {
        fmx_wheel_arm(&fleet->shard->wheel, timer, fleet->shard->now_ns + BUSY_LOOK_NS);
    } else if (client->state == FMX_CLIENT_WAITING) {
        fmx_fleet_client_begin(fleet, client);
    } else {
        fmx_fleet_publish_due(fleet, client);
    }
}

static void on_timer(struct fmx_shard *shard, struct fmx_timer *timer)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(shard);

    if (shard->stopping) {
        return;
    }
    switch (timer->sub_kind) {
    case FMX_FLEET_TIMER_RAMP:
        fmx_fleet_ramp(fleet);
        break;
    case FMX_FLEET_TIMER_WATCH:
        watch(fleet);
        break;
    default:
        client_is_due(fleet, timer);
        break;
    }
}

static void on_writable(struct fmx_conn *conn)
{
    fmx_fleet_publish_due(fmx_fleet_of(conn->shard), fmx_fleet_client_of(conn));
}

static void on_release(struct fmx_conn *conn)
{
    (void)conn; /* the client lives on without it */
}

/* The one message there is: begin. */
static void on_message(struct fmx_shard *shard, struct fmx_msg *message)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(shard);

    FMX_ASSERT(message->kind == FMX_MSG_BEGIN);
    arm_role_timer(fleet, &fleet->ramp, FMX_FLEET_TIMER_RAMP);
    arm_role_timer(fleet, &fleet->watch, FMX_FLEET_TIMER_WATCH);
}

static void discard(struct fmx_shard *shard, struct fmx_msg *message)
{
    (void)shard;
    (void)message; /* owns nothing */
}

static void on_turn(struct fmx_shard *shard)
{
    (void)shard;
}

static void on_stop(struct fmx_shard *shard)
{
    fmx_fleet_of(shard)->is_ending = true;
}

static bool is_drained(struct fmx_shard *shard)
{
    (void)shard;
    return true;
}

static const struct fmx_role fleet_role = {
    .side = FMX_SIDE_CLIENT,
    .session_bytes = sizeof(struct fmx_fleet_part),
    .open_shard = open_shard,
    .close_shard = close_shard,
    .on_open = fmx_fleet_client_opened,
    .on_packet = fmx_fleet_client_on_packet,
    .on_writable = on_writable,
    .on_close = fmx_fleet_client_closed,
    .on_release = on_release,
    .on_timer = on_timer,
    .on_message = on_message,
    .on_turn = on_turn,
    .discard = discard,
    .on_stop = on_stop,
    .is_drained = is_drained,
};

/* ── public calls ── */

static void release(struct fmx_fleet *fleet)
{
    for (size_t i = 0; fleet->texts != NULL && fleet->texts[i] != NULL; i++) {
        free(fleet->texts[i]);
    }
    if (fleet->texts != NULL) {
        free((void *)fleet->plan.filters);
    }
    free(fleet->texts);
    free(fleet->payload_copy);
    free(fleet->targets);
    free(fleet->sources);
    free(fleet);
}

static enum fmx_status open_mux(struct fmx_fleet *fleet, char *error, size_t error_bytes)
{
    const struct fmx_fleet_plan *plan = &fleet->plan;
    struct fmx_mux_plan mux_plan = {
        .options = &plan->mux,
        .role = &fleet_role,
        .role_user = fleet,
        .session = &fleet->session,
        .connect_timeout_ns = plan->connect_timeout_ms * FMX_NS_PER_MS,
        .sessions_min = plan->clients_count + plan->clients_count / 8 + 16, /* some still close */
    };

    fleet->session = (struct fmx_session_options){
        .packet_bytes_max = PACKET_BYTES_MAX,
        .inflight_max = FMX_INFLIGHT_MAX,
        .session_expiry_max_s = UINT32_MAX,
        .topic_bytes_max = 65535,
        .topic_levels_max = FMX_TOPIC_LEVELS_MAX,
        .user_properties_max = UINT32_MAX,
        .receive_max = plan->receive_max,
    };
    return fmx_mux_open(&mux_plan, &fleet->mux, error, error_bytes);
}

enum fmx_status fmx_fleet_open(const struct fmx_fleet_plan *plan, struct fmx_fleet **out_fleet,
                               char *error, size_t error_bytes)
{
    enum fmx_status status = check_plan(plan, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    struct fmx_fleet *fleet = calloc(1, sizeof(*fleet));
    if (fleet == NULL) {
        snprintf(error, error_bytes, "no memory");
        return FMX_LIMIT_MEMORY;
    }
    fleet->plan = *plan;
    fleet->topics_have_names = have_names(plan);
    snprintf(error, error_bytes, "no memory");
    status = copy_texts(fleet) && copy_payload(fleet) ? FMX_OK : FMX_LIMIT_MEMORY;
    if (status == FMX_OK) {
        status = parse_addresses(fleet, plan, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = spread_sources(fleet);
    }
    if (status == FMX_OK) {
        status = open_mux(fleet, error, error_bytes);
    }
    if (status != FMX_OK) {
        release(fleet);
        return status;
    }
    *out_fleet = fleet;
    return FMX_OK;
}

enum fmx_status fmx_fleet_start(struct fmx_fleet *fleet, char *error, size_t error_bytes)
{
    struct fmx_mux_caller *caller;
    enum fmx_status status = fmx_mux_caller_open(fleet->mux, &caller);

    if (status != FMX_OK) {
        snprintf(error, error_bytes, "no memory");
        return status;
    }
    status = fmx_mux_start(fleet->mux, error, error_bytes);
    if (status != FMX_OK) {
        return status;
    }
    atomic_store_explicit(&fleet->start_ns, fmx_clock_ns(), memory_order_relaxed);
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        struct fmx_msg begin = {.kind = FMX_MSG_BEGIN};
        bool posted = fmx_mux_caller_post(caller, i, &begin);
        FMX_ASSERT(posted); /* the first message of a new queue */
    }
    return FMX_OK;
}

static bool all_finished(const struct fmx_fleet *fleet)
{
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        const struct fmx_fleet_shard *shard = fmx_fleet_of(fmx_mux_shard(fleet->mux, i));
        if (!atomic_load_explicit(&shard->is_finished, memory_order_relaxed)) {
            return false;
        }
    }
    return true;
}

void fmx_fleet_stop(struct fmx_fleet *fleet)
{
    uint64_t start_ns = atomic_load_explicit(&fleet->start_ns, memory_order_relaxed);
    uint64_t deadline_ns = fmx_clock_ns() + fleet->plan.drain_ms * FMX_NS_PER_MS + 2 * WATCH_NS;
    const struct timespec pause = {.tv_nsec = POLL_NS};

    if (start_ns == 0 || fleet->ended_ns > 0) {
        return;
    }
    atomic_store_explicit(&fleet->is_ending, true, memory_order_relaxed);
    while (!all_finished(fleet) && fmx_clock_ns() < deadline_ns) {
        nanosleep(&pause, NULL);
    }
    fleet->ended_ns = fmx_clock_ns() - start_ns;
    fmx_mux_stop(fleet->mux, END_MS);
}

void fmx_fleet_close(struct fmx_fleet *fleet)
{
    fmx_mux_close(fleet->mux);
    release(fleet);
}

uint32_t fmx_fleet_shards_count(const struct fmx_fleet *fleet)
{
    return fmx_mux_shards_count(fleet->mux);
}

/* ── snapshots ── */

static void add_counters(struct fmx_fleet_snapshot *into, const struct fmx_fleet_counters *from)
{
    const struct {
        uint64_t *to;
        const _Atomic uint64_t *from;
    } pairs[] = {
        {&into->clients_waiting, &from->waiting},
        {&into->clients_connecting, &from->connecting},
        {&into->clients_open, &from->open},
        {&into->clients_subscribed, &from->subscribed},
        {&into->clients_lost, &from->lost},
        {&into->clients_failed, &from->failed},
        {&into->connects_ok, &from->connects_ok},
        {&into->subscribes_refused, &from->subscribes_refused},
        {&into->publishes_planned, &from->planned},
        {&into->publishes_sent, &from->sent},
        {&into->publishes_acked, &from->acked},
        {&into->publishes_refused, &from->refused},
        {&into->publishes_unacked, &from->unacked_lost},
        {&into->received, &from->received},
        {&into->received_duplicate, &from->received_duplicate},
        {&into->received_gap, &from->received_gap},
        {&into->received_foreign, &from->received_foreign},
    };
    uint64_t last_ns = atomic_load_explicit(&from->last_connect_ns, memory_order_relaxed);

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        *pairs[i].to += atomic_load_explicit(pairs[i].from, memory_order_relaxed);
    }
    into->last_connect_ns = last_ns > into->last_connect_ns ? last_ns : into->last_connect_ns;
}

static void add_cause(struct fmx_fleet_snapshot *into, uint64_t key, uint64_t count)
{
    struct fmx_fleet_cause cause = {.status = (enum fmx_status)(-(int)(key >> 32)),
                                    .sys_errno = (int)(key & 0xffff),
                                    .reason = (uint8_t)(key >> 16),
                                    .count = count};

    for (size_t i = 0; i < into->causes_count; i++) {
        struct fmx_fleet_cause *known = &into->causes[i];
        if (known->status == cause.status && known->sys_errno == cause.sys_errno &&
            known->reason == cause.reason) {
            known->count += count;
            return;
        }
    }
    if (into->causes_count < FMX_FLEET_CAUSES_MAX) {
        into->causes[into->causes_count++] = cause;
    } else {
        into->causes[FMX_FLEET_CAUSES_MAX - 1].count += count;
    }
}

static void add_causes(struct fmx_fleet_snapshot *into, const struct fmx_fleet_shard *from)
{
    for (size_t i = 0; i < FMX_FLEET_CAUSES_MAX; i++) {
        uint64_t key = atomic_load_explicit(&from->causes[i].key, memory_order_relaxed);
        if (key != 0) {
            add_cause(into, key,
                      atomic_load_explicit(&from->causes[i].count, memory_order_relaxed));
        }
    }
}

/* Merges one histogram of every shard; the scratch is the caller's. */
static void summarize(const struct fmx_fleet *fleet, size_t offset, struct fmx_histogram *scratch,
                      struct fmx_latency *out_latency)
{
    fmx_histogram_init(scratch);
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        const char *shard = (const char *)fmx_fleet_of(fmx_mux_shard(fleet->mux, i));
        fmx_histogram_add(scratch, (const struct fmx_histogram *)(shard + offset));
    }
    fmx_histogram_summary(scratch, out_latency);
}

static void summarize_all(const struct fmx_fleet *fleet, struct fmx_fleet_snapshot *out_snapshot)
{
    struct fmx_histogram *scratch = malloc(sizeof(*scratch));

    if (scratch == NULL) {
        return; /* the latencies stay 0; counters are worth having all the same */
    }
    summarize(fleet, offsetof(struct fmx_fleet_shard, connect), scratch, &out_snapshot->connect);
    summarize(fleet, offsetof(struct fmx_fleet_shard, subscribe), scratch,
              &out_snapshot->subscribe);
    summarize(fleet, offsetof(struct fmx_fleet_shard, puback), scratch, &out_snapshot->puback);
    summarize(fleet, offsetof(struct fmx_fleet_shard, delivery), scratch, &out_snapshot->delivery);
    summarize(fleet, offsetof(struct fmx_fleet_shard, lag), scratch, &out_snapshot->lag);
    free(scratch);
}

void fmx_fleet_snapshot(const struct fmx_fleet *fleet, struct fmx_fleet_snapshot *out_snapshot)
{
    uint64_t start_ns = atomic_load_explicit(&fleet->start_ns, memory_order_relaxed);

    memset(out_snapshot, 0, sizeof(*out_snapshot));
    if (start_ns == 0) {
        return;
    }
    out_snapshot->elapsed_ns = fleet->ended_ns > 0 ? fleet->ended_ns : fmx_clock_ns() - start_ns;
    out_snapshot->finished = all_finished(fleet);
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        const struct fmx_fleet_shard *shard = fmx_fleet_of(fmx_mux_shard(fleet->mux, i));
        add_counters(out_snapshot, &shard->counters);
        add_causes(out_snapshot, shard);
    }
    summarize_all(fleet, out_snapshot);
    fmx_mux_stats(fleet->mux, &out_snapshot->stats);
}
