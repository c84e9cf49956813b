/*
 * fleet — the client role: its public calls, and where the engine enters it
 *
 * Why it is so:   clients are dealt to the shards like cards, client i to shard i modulo their
 *                 number, so each shard's part of every rate is an equal part and no shard has to
 *                 ask another
 * Words:          plan: what the user asked for; start: the instant from which all planned times
 *                 count
 * Memory:         clients, one array for each shard
 * Threads:        as include/fleetmux/fleet.h says
 * Limits:         those of the plan
 * Not here:       the plan itself: fleet_plan.c; what a client does: see the map in
 *                 engine/roles/fleet.h
 */
#include "engine/roles/fleet.h"

#include "engine/clock.h"
#include "engine/roles/address.h"
#include "proto/limits.h"

#include <stdlib.h>
#include <time.h>

#define WATCH_NS           (20 * FMX_NS_PER_MS)
#define CLIENTS_PER_SOURCE 7000u /* a quarter of the ports of one address towards one target */
#define END_MS             2000u /* for goodbyes */
#define BUSY_LOOK_NS       FMX_NS_PER_MS /* too many connects wait for an answer */
#define POLL_NS            (5 * FMX_NS_PER_MS)

/* ── addresses ── */

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

/* As fmx_histogram_init, of zeroed memory: pages in which nothing is counted are never touched. */
static void init_histogram(struct fmx_histogram *zeroed)
{
    atomic_init(&zeroed->min_ns, UINT64_MAX);
}

static void init_histograms(struct fmx_fleet_shard *fleet)
{
    init_histogram(&fleet->connect);
    init_histogram(&fleet->tls_full);
    init_histogram(&fleet->tls_resumed);
    init_histogram(&fleet->subscribe);
    init_histogram(&fleet->puback);
    init_histogram(&fleet->delivery);
    init_histogram(&fleet->lag);
}

static bool make_clients(struct fmx_fleet_shard *fleet)
{
    size_t bytes = (fleet->clients_count + 1u) * sizeof(*fleet->clients);

    fleet->clients = aligned_alloc(sizeof(*fleet->clients), bytes);
    if (fleet->clients == NULL) {
        return false;
    }
    memset(fleet->clients, 0, bytes);
    for (uint32_t i = 0; i < fleet->clients_count; i++) {
        fleet->clients[i].index =
            (i * fleet->shard->shards_count + fleet->shard->index) & FMX_FLEET_INDEX_MASK;
        fleet->clients[i].timer.kind = FMX_TIMER_ROLE;
        fleet->clients[i].timer.sub_kind = FMX_FLEET_TIMER_CLIENT;
    }
    fmx_count(&fleet->counters.waiting, fleet->clients_count);
    return true;
}

static void arm_role_timer(struct fmx_fleet_shard *fleet, struct fmx_timer *timer, uint8_t kind)
{
    timer->kind = FMX_TIMER_ROLE;
    timer->sub_kind = kind;
    fmx_wheel_arm(&fleet->shard->wheel, timer, fleet->shard->now_ns);
}

/* An equal part, rounded up. */
static uint32_t equal_part(uint32_t total, uint32_t shards_count)
{
    return (total + shards_count - 1) / shards_count;
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
    if (!make_clients(fleet) || !fmx_fleet_message_open(fleet) || !fmx_fleet_register_open(fleet) ||
        !fmx_fleet_tls_open_shard(fleet)) {
        return FMX_LIMIT_MEMORY;
    }
    fleet->answers.count_max = equal_part(plan->calls.pending_max, shard->shards_count);
    fleet->answers.timer.kind = FMX_TIMER_ROLE;
    fleet->answers.timer.sub_kind = FMX_FLEET_TIMER_ANSWERS;
    fleet->random = plan->seed + 0x632be59bd9b4e019ull * (shard->index + 1);
    fleet->connecting_max = equal_part(plan->connects_inflight_max, shard->shards_count);
    fleet->publishes_left =
        plan->publishes_max == 0 ? UINT64_MAX : share_of(shard, plan->publishes_max);
    init_histograms(fleet);
    return FMX_OK;
}

static void close_shard(struct fmx_shard *shard)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(shard);

    if (fleet != NULL) {
        fmx_fleet_track_close(fleet);
        fmx_fleet_answers_close(fleet);
        fmx_fleet_register_close(fleet);
        fmx_fleet_tls_close_shard(fleet);
        fmx_fleet_message_close(fleet);
        free(fleet->clients);
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
    } else if (client->state == FMX_CLIENT_CONNECTING) {
        fmx_fleet_register_is_late(client->conn);
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
    case FMX_FLEET_TIMER_ANSWERS:
        fmx_fleet_answers_due(fleet);
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
    fmx_fleet_tls_close(fleet);
    fmx_fleet_plan_wipe(fleet);
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
        .tls = &plan->tls_limits,
        .sessions_min = plan->clients_count + plan->clients_count / 8 + 16, /* some still close */
    };

    fleet->session = (struct fmx_session_options){
        .packet_bytes_max = FMX_FLEET_PACKET_BYTES_MAX,
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
    enum fmx_status status = fmx_fleet_plan_check(plan, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    struct fmx_fleet *fleet = calloc(1, sizeof(*fleet));
    if (fleet == NULL) {
        snprintf(error, error_bytes, "no memory");
        return FMX_LIMIT_MEMORY;
    }
    snprintf(error, error_bytes, "no memory");
    status = fmx_fleet_plan_copy(fleet, plan) ? FMX_OK : FMX_LIMIT_MEMORY;
    if (status == FMX_OK) {
        status = parse_addresses(fleet, plan, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = spread_sources(fleet);
    }
    if (status == FMX_OK) {
        status = fmx_fleet_tls_open(fleet, plan, error, error_bytes);
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

void fmx_fleet_stop(struct fmx_fleet *fleet)
{
    uint64_t start_ns = atomic_load_explicit(&fleet->start_ns, memory_order_relaxed);
    uint64_t deadline_ns = fmx_clock_ns() + fleet->plan.drain_ms * FMX_NS_PER_MS + 2 * WATCH_NS;
    const struct timespec pause = {.tv_nsec = POLL_NS};

    if (start_ns == 0 || fleet->ended_ns > 0) {
        return;
    }
    atomic_store_explicit(&fleet->is_ending, true, memory_order_relaxed);
    while (!fmx_fleet_all_finished(fleet) && fmx_clock_ns() < deadline_ns) {
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
