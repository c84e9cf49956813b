/*
 * fleet — the client role: public calls, and the table by which shards call it
 *
 * Why it is so:   a fleet is a plan, and the shards that carry it out, each for its own clients.
 *                 What has to be decided for all is decided on shard 0 and written where all look;
 *                 what somebody wants while it runs comes to it as a message
 * Memory:         the plan's copies; on each shard its clients, flows and histograms, made at start
 * Threads:        open, start, steering, stop and close: one thread of the caller's
 * Limits:         FMX_FLEET_CLIENTS_MAX clients
 * Not here:       a map of the other files: fleet.h
 */
#include "engine/roles/fleet_stage.h"
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_keep.h"
#include "engine/roles/fleet_message.h"
#include "engine/roles/fleet_request.h"
#include "engine/roles/fleet_tls.h"

#include "engine/clock.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define END_MS      2000u /* for goodbyes */
#define LOST_MS     1400u /* lost three times in a row */
#define POLL_NS     (5 * FMX_NS_PER_MS)
#define QUIET_NS    (250 * FMX_NS_PER_MS) /* at the end: nothing more is on its way */
#define REARMS      4096u                 /* clients that learn of a changed clock in one turn */
#define ENDS        1024u                 /* clients that learn of the end in one turn */
#define USAGE_LOOKS 10u /* watches between two looks at the thread's own processor time */
#define RATE_MAX    1e6

/* ── crews ── */

/* Of a group's clients, those with a number below `end` that are this shard's. */
static uint32_t own_count(const struct fmx_shard *shard, const struct fmx_fleet *fleet,
                          uint32_t end)
{
    uint64_t stride = (uint64_t)fleet->plan.parts_count * shard->shards_count;
    uint64_t first = fleet->plan.part + (uint64_t)shard->index * fleet->plan.parts_count;

    return first >= end ? 0 : (uint32_t)((end - first + stride - 1) / stride);
}

static void name_timer(struct fmx_timer *timer, uint8_t kind)
{
    timer->kind = FMX_TIMER_ROLE;
    timer->sub_kind = kind;
}

static bool make_clients(struct fmx_fleet_crew *crew)
{
    const struct fmx_shard *shard = crew->fleet->shard;
    const struct fmx_fleet *fleet = crew->fleet->fleet;
    size_t publishes = crew->team->plan.publishes_count;

    crew->clients_count = own_count(shard, fleet, crew->team->plan.clients_count);
    crew->clients = calloc(crew->clients_count + 1u, sizeof(*crew->clients));
    crew->flows = calloc(crew->clients_count * publishes + 1, sizeof(*crew->flows));
    if (crew->clients == NULL || crew->flows == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < crew->clients_count; i++) {
        struct fmx_fleet_client *client = &crew->clients[i];
        client->crew = crew;
        client->number = (fleet->plan.part +
                          (i * shard->shards_count + shard->index) * fleet->plan.parts_count) &
                         FMX_FLEET_NUMBER_MASK;
        name_timer(&client->timer, FMX_FLEET_TIMER_CLIENT);
    }
    crew->fleet->flows_left += crew->clients_count * publishes;
    fmx_count(&crew->counters.clients_waiting, crew->clients_count);
    return true;
}

static bool open_crew(struct fmx_fleet_shard *fleet, uint32_t group)
{
    struct fmx_fleet_crew *crew = calloc(1, sizeof(*crew));

    if (crew == NULL) {
        return false;
    }
    fleet->crews[group] = crew;
    crew->team = &fleet->fleet->teams[group];
    crew->fleet = fleet;
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        fmx_histogram_init_zeroed(&crew->histograms[i]);
    }
    name_timer(&crew->ramp, FMX_FLEET_TIMER_RAMP);
    name_timer(&crew->rearm, FMX_FLEET_TIMER_REARM);
    name_timer(&crew->leaving, FMX_FLEET_TIMER_LEAVING);
    return make_clients(crew) && fmx_fleet_register_open(crew) && fmx_fleet_tls_open_crew(crew) &&
           fmx_fleet_keep_open(crew);
}

static void close_crew(struct fmx_fleet_crew *crew)
{
    if (crew != NULL) {
        fmx_fleet_register_close(crew);
        fmx_fleet_tls_close_crew(crew);
        fmx_fleet_keep_close(crew);
        free(crew->flows);
        free(crew->clients);
        free(crew);
    }
}

/* ── shards ── */

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
    fleet->schedstat_file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    fleet->connecting_max =
        equal_part(fleet->fleet->plan.connects_inflight_max, shard->shards_count);
    name_timer(&fleet->watch, FMX_FLEET_TIMER_WATCH);
    name_timer(&fleet->ending, FMX_FLEET_TIMER_ENDING);
    name_timer(&fleet->storm, FMX_FLEET_TIMER_STORM);
    fleet->crews = calloc(fleet->fleet->teams_count, sizeof(struct fmx_fleet_crew *));
    bool is_whole = fleet->crews != NULL && fmx_fleet_message_open(fleet) &&
                    fmx_fleet_answers_open(fleet) && fmx_fleet_requests_open(fleet) &&
                    fmx_fleet_ledger_open(fleet);
    for (uint32_t i = 0; is_whole && i < fleet->fleet->teams_count; i++) {
        is_whole = open_crew(fleet, i);
    }
    return is_whole ? FMX_OK : FMX_LIMIT_MEMORY;
}

static void close_shard(struct fmx_shard *shard)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(shard);

    if (fleet == NULL) {
        return;
    }
    fmx_fleet_line_close(fleet);
    fmx_fleet_ledger_close(fleet);
    fmx_fleet_requests_close(fleet);
    fmx_fleet_answers_close(fleet);
    fmx_fleet_message_close(fleet);
    for (uint32_t i = 0; fleet->crews != NULL && i < fleet->fleet->teams_count; i++) {
        close_crew(fleet->crews[i]);
    }
    if (fleet->schedstat_file >= 0) {
        close(fleet->schedstat_file);
    }
    free(fleet->crews);
    free(fleet);
    shard->role_state = NULL;
}

/* ── the end ── */

static bool all_clients_ended(const struct fmx_fleet_shard *fleet)
{
    for (uint32_t i = 0; i < fleet->fleet->teams_count; i++) {
        const struct fmx_crew_counters *counters = &fleet->crews[i]->counters;
        uint64_t ended = atomic_load_explicit(&counters->clients_lost, memory_order_relaxed) +
                         atomic_load_explicit(&counters->clients_failed, memory_order_relaxed) +
                         atomic_load_explicit(&counters->clients_stopped, memory_order_relaxed);
        if (ended < fleet->crews[i]->clients_count) {
            return false;
        }
    }
    return fleet->going == 0;
}

/* Has every client been told that planning has ended? */
static bool has_told_all(const struct fmx_fleet_shard *fleet)
{
    return fleet->ending_group == fleet->fleet->teams_count;
}

/* Nothing is on its way any more: to the server, or, as far as one can tell, from it. */
static bool is_quiet(const struct fmx_fleet_shard *fleet)
{
    uint64_t now_ns = fleet->shard->now_ns;

    return fleet->overdue == 0 && fleet->unacked == 0 && fmx_fleet_requests_waiting(fleet) == 0 &&
           (!fleet->fleet->has_subscribes || now_ns - fleet->last_received_ns >= QUIET_NS);
}

/* Is everything done that the plan wants done? */
static bool is_finished(const struct fmx_fleet_shard *fleet)
{
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;

    if (all_clients_ended(fleet)) {
        return true;
    }
    if (fleet->is_ending) {
        return (has_told_all(fleet) && fleet->going == 0 && is_quiet(fleet)) ||
               fleet->shard->now_ns >= fleet->ending_ns + plan->drain_ms * FMX_NS_PER_MS;
    }
    return fleet->fleet->ends_by_count && fleet->flows_left == 0 && is_quiet(fleet);
}

/* Some of the clients in each turn, one after another; who needs more turns is asked again. */
static void go_on_ending(struct fmx_fleet_shard *fleet)
{
    unsigned left = ENDS;

    while (!has_told_all(fleet)) {
        struct fmx_fleet_crew *crew = fleet->crews[fleet->ending_group];
        if (fleet->ending_next == crew->clients_count) {
            fleet->ending_group++;
            fleet->ending_next = 0;
            continue;
        }
        if (left-- == 0 || !fmx_fleet_flows_end(&crew->clients[fleet->ending_next])) {
            fmx_wheel_arm(&fleet->shard->wheel, &fleet->ending, fleet->shard->now_ns);
            return;
        }
        fleet->ending_next++;
    }
}

static void begin_ending(struct fmx_fleet_shard *fleet)
{
    if (fleet->is_ending) {
        return;
    }
    fleet->is_ending = true;
    fleet->ending_ns = fleet->shard->now_ns;
    fleet->last_received_ns = fleet->ending_ns; /* quiet is counted from here at the earliest */
    go_on_ending(fleet);
}

/* ── the watch ── */

/* Timers of clients were armed by what the clock was then; those that a pause holds have none. */
static void tell_of_clocks(struct fmx_fleet_shard *fleet)
{
    bool is_paused = atomic_load_explicit(&fleet->fleet->is_paused, memory_order_relaxed);

    for (uint32_t i = 0; i < fleet->fleet->teams_count; i++) {
        struct fmx_fleet_crew *crew = fleet->crews[i];
        uint32_t pieces =
            atomic_load_explicit(&crew->team->publishing.pieces_count, memory_order_acquire);
        if (crew->clock_seen != pieces || (crew->has_held && !is_paused)) {
            crew->clock_seen = pieces;
            crew->has_held = false; /* who is held again says so again */
            crew->rearm_next = 0;
            fmx_wheel_arm(&fleet->shard->wheel, &crew->rearm, fleet->shard->now_ns);
        }
    }
}

static void rearm(struct fmx_fleet_crew *crew)
{
    for (uint32_t i = 0; i < REARMS && crew->rearm_next < crew->clients_count; i++) {
        struct fmx_fleet_client *client = &crew->clients[crew->rearm_next++];
        fmx_fleet_client_let_go_on(client);
        fmx_fleet_flows_rearm(client);
    }
    if (crew->rearm_next < crew->clients_count) {
        fmx_wheel_arm(&crew->fleet->shard->wheel, &crew->rearm, crew->fleet->shard->now_ns);
    }
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * FMX_NS_PER_S + (uint64_t)time.tv_nsec;
}

/* The kernel says: time on a processor, time waiting for one, turns. */
static uint64_t thread_wait_ns(const struct fmx_fleet_shard *fleet)
{
    char text[96];
    unsigned long long ran_ns;
    unsigned long long waited_ns;
    ssize_t bytes =
        fleet->schedstat_file < 0 ? 0 : pread(fleet->schedstat_file, text, sizeof(text) - 1, 0);

    text[bytes > 0 ? bytes : 0] = '\0';
    return sscanf(text, "%llu %llu", &ran_ns, &waited_ns) == 2 ? waited_ns : 0;
}

static void note_usage(struct fmx_fleet_shard *fleet)
{
    atomic_store_explicit(&fleet->cpu_ns, thread_cpu_ns(), memory_order_relaxed);
    atomic_store_explicit(&fleet->cpu_wait_ns, thread_wait_ns(fleet), memory_order_relaxed);
}

static void note_backlogs(struct fmx_fleet_shard *fleet)
{
    for (uint32_t i = 0; i < fleet->fleet->teams_count; i++) {
        struct fmx_fleet_crew *crew = fleet->crews[i];
        uint64_t begun = atomic_load_explicit(&crew->counters.connects_begun, memory_order_relaxed);
        fmx_count_set(&crew->counters.connects_planned,
                      begun + crew->connects_waited + fmx_fleet_ramp_backlog(crew));
    }
}

static void ask_for_tick(struct fmx_fleet_shard *fleet)
{
    struct fmx_ring *ring = fleet->shard->ring;

    fleet->tick_ns = fmx_ring_now(ring) + FMX_FLEET_WATCH_NS;
    fmx_ring_prep_tick(ring, fleet->tick_ns, fmx_op_pack(FMX_OP_TICK, 0, 0));
}

/*
 * A tick stands in line with what peers have sent, in the kernel and in our turn. A timer of our
 * own would not: it sees how long a turn is, and not what the turn has left in the kernel.
 */
static void on_tick(struct fmx_shard *shard)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(shard);

    fmx_fleet_measure(fleet->crews[0], FMX_FLEET_DRIFT, fleet->tick_ns, fmx_ring_now(shard->ring));
    ask_for_tick(fleet);
}

static void watch(struct fmx_fleet_shard *fleet)
{
    struct fmx_fleet *whole = fleet->fleet;
    uint64_t now_ns = fleet->shard->now_ns;

    if (fleet->shard->index == 0) {
        fmx_fleet_direct(fleet);
    }
    uint64_t next_ns = fmx_fleet_follow(fleet);
    tell_of_clocks(fleet);
    fmx_fleet_line_go_on(fleet);
    note_backlogs(fleet);
    if (fleet->watches++ % USAGE_LOOKS == 0) {
        note_usage(fleet);
    }
    if (atomic_load_explicit(&whole->is_ending, memory_order_relaxed)) {
        begin_ending(fleet);
    }
    atomic_store_explicit(&fleet->is_finished, is_finished(fleet), memory_order_relaxed);
    uint64_t look_ns = now_ns + FMX_FLEET_WATCH_NS;
    fmx_wheel_arm(&fleet->shard->wheel, &fleet->watch, next_ns < look_ns ? next_ns : look_ns);
}

/* ── the role ── */

/* A connect whose time has come. */
static void connect_is_due(struct fmx_fleet_client *client)
{
    const struct fmx_fleet_shard *fleet = client->crew->fleet;

    if (fleet->is_ending || fmx_fleet_client_is_held(client)) {
        return; /* nobody comes any more, or not yet */
    }
    if (fleet->line.count > 0 || fleet->connecting >= fleet->connecting_max ||
        !fmx_fleet_client_begin(client)) {
        fmx_fleet_line_join(client);
    }
}

static void client_is_due(struct fmx_fleet_client *client)
{
    if (client->state == FMX_CLIENT_WAITING) {
        connect_is_due(client);
    } else if (client->state == FMX_CLIENT_CONNECTING) {
        fmx_fleet_register_is_late(client->conn);
    } else if (fmx_fleet_client_is_unheard(client)) {
        fmx_conn_close(client->conn, FMX_PEER_SILENT);
    } else if (client->state == FMX_CLIENT_DONE) {
        fmx_fleet_flows_forget_more(client);
    } else {
        fmx_fleet_flows_due(client);
    }
}

#define OWNER_OF(timer, type, field) ((type *)(void *)((char *)(timer)-offsetof(type, field)))

static void on_timer(struct fmx_shard *shard, struct fmx_timer *timer)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(shard);

    if (shard->stopping) {
        return;
    }
    switch (timer->sub_kind) {
    case FMX_FLEET_TIMER_CLIENT:
        client_is_due(OWNER_OF(timer, struct fmx_fleet_client, timer));
        break;
    case FMX_FLEET_TIMER_RAMP:
        fmx_fleet_ramp(OWNER_OF(timer, struct fmx_fleet_crew, ramp));
        break;
    case FMX_FLEET_TIMER_REARM:
        rearm(OWNER_OF(timer, struct fmx_fleet_crew, rearm));
        break;
    case FMX_FLEET_TIMER_LEAVING:
        fmx_fleet_leave_due(OWNER_OF(timer, struct fmx_fleet_crew, leaving));
        break;
    case FMX_FLEET_TIMER_WATCH:
        watch(fleet);
        break;
    case FMX_FLEET_TIMER_ANSWERS:
        fmx_fleet_answers_due(fleet, timer);
        break;
    case FMX_FLEET_TIMER_REQUESTS:
        fmx_fleet_requests_due(fleet);
        break;
    case FMX_FLEET_TIMER_ENDING:
        go_on_ending(fleet);
        break;
    case FMX_FLEET_TIMER_STORM:
        fmx_fleet_storm_due(fleet);
        break;
    }
}

static void on_writable(struct fmx_conn *conn)
{
    struct fmx_fleet_client *client = fmx_fleet_client_of(conn);

    if (client != NULL) {
        fmx_fleet_keep_go_on(client);
        fmx_fleet_flows_due(client);
    }
}

static void on_release(struct fmx_conn *conn)
{
    (void)conn; /* the client lives on without it */
}

static void on_message(struct fmx_shard *shard, struct fmx_msg *message)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(shard);

    if (message->kind == FMX_MSG_STEER) {
        if (!shard->stopping) { /* else clients have lost their connections */
            fmx_fleet_steer(fleet, message);
        }
        return;
    }
    FMX_ASSERT(message->kind == FMX_MSG_BEGIN);
    if (shard->index == 0) {
        fmx_fleet_direct_begin(fleet);
    }
    ask_for_tick(fleet);
    watch(fleet);
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
    struct fmx_fleet_shard *fleet = fmx_fleet_of(shard);

    begin_ending(fleet);
    if (!has_told_all(fleet) || fleet->going > 0) {
        fmx_fleet_flows_stop(fleet);
    }
    note_usage(fleet);
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
    .on_tick = on_tick,
    .on_message = on_message,
    .on_turn = on_turn,
    .discard = discard,
    .on_stop = on_stop,
    .is_drained = is_drained,
};

/* ── open and start ── */

static void release(struct fmx_fleet *fleet)
{
    fmx_fleet_stages_close(fleet);
    fmx_fleet_teams_close(fleet);
    free(fleet);
}

/* Slots: some still close while others begin, and somebody who vanishes leaves a ghost behind. */
static uint32_t sessions_of(const struct fmx_fleet *fleet)
{
    uint64_t parts = fleet->plan.parts_count;
    uint64_t own = (fleet->clients_count + parts - 1) / parts;
    bool has_ghosts = false;

    for (size_t i = 0; i < fleet->plan.stages_count; i++) {
        has_ghosts = has_ghosts || fleet->plan.stages[i].leave == FMX_FLEET_LEAVE_VANISH;
    }
    return (uint32_t)(own + (has_ghosts ? own : own / 8) + 16);
}

static enum fmx_status open_mux(struct fmx_fleet *fleet, char *error, size_t error_bytes)
{
    const struct fmx_fleet_plan *plan = &fleet->plan;
    struct fmx_mux_plan mux_plan = {
        .options = &plan->mux,
        .role = &fleet_role,
        .role_user = fleet,
        .session = &fleet->session,
        .connect_timeout_ns = 10 * FMX_NS_PER_S, /* each dial has its own */
        .tls = &plan->tls_limits,
        .sessions_min = sessions_of(fleet),
    };

    fleet->session = fleet->teams[0].session;
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
    status = fmx_fleet_teams_open(fleet, plan, error, error_bytes);
    if (status == FMX_OK && !fmx_fleet_stages_open(fleet)) {
        status = FMX_LIMIT_MEMORY;
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
    enum fmx_status status = fmx_mux_caller_open(fleet->mux, &fleet->caller);

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
        bool posted = fmx_mux_caller_post(fleet->caller, i, &begin);
        FMX_ASSERT(posted); /* the first message of a new queue */
    }
    return FMX_OK;
}

/* ── steering ── */

static bool runs(const struct fmx_fleet *fleet)
{
    return atomic_load_explicit(&fleet->start_ns, memory_order_relaxed) != 0 &&
           atomic_load_explicit(&fleet->ended_ns, memory_order_relaxed) == 0;
}

static enum fmx_status post(struct fmx_fleet *fleet, uint32_t shard, struct fmx_msg message)
{
    return fmx_mux_caller_post(fleet->caller, shard, &message) ? FMX_OK : FMX_FULL;
}

enum fmx_status fmx_fleet_set_rate(struct fmx_fleet *fleet, double rate)
{
    if (!runs(fleet)) {
        return FMX_E_STATE;
    }
    if (!isfinite(rate) || rate < 0 || rate > RATE_MAX) {
        return FMX_E_ARGUMENT;
    }
    return post(fleet, 0,
                (struct fmx_msg){.kind = FMX_MSG_STEER,
                                 .steer = {.wish = FMX_FLEET_WISH_RATE, .value = rate}});
}

enum fmx_status fmx_fleet_pause(struct fmx_fleet *fleet, bool is_paused)
{
    if (!runs(fleet)) {
        return FMX_E_STATE;
    }
    return post(fleet, 0,
                (struct fmx_msg){.kind = FMX_MSG_STEER,
                                 .steer = {.wish = FMX_FLEET_WISH_PAUSE, .value = is_paused}});
}

/* On every shard, so that it is asked of all or of none: nobody else posts through this caller. */
static bool has_room_for_storm(const struct fmx_fleet *fleet)
{
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        const struct fmx_fleet_shard *shard = fmx_fleet_of(fmx_mux_shard(fleet->mux, i));
        uint32_t done = atomic_load_explicit(&shard->storms_done, memory_order_acquire);
        if (fleet->storms_asked - done >= FMX_FLEET_STORMS_MAX ||
            !fmx_mux_caller_has_room(fleet->caller, i)) {
            return false;
        }
    }
    return true;
}

enum fmx_status fmx_fleet_storm(struct fmx_fleet *fleet, uint32_t group, double share,
                                enum fmx_fleet_leave leave)
{
    if (!runs(fleet)) {
        return FMX_E_STATE;
    }
    if ((group != FMX_FLEET_ALL && group >= fleet->teams_count) || !(share > 0 && share <= 1) ||
        (unsigned)leave > FMX_FLEET_LEAVE_VANISH) {
        return FMX_E_ARGUMENT;
    }
    if (!has_room_for_storm(fleet)) {
        return FMX_FULL;
    }
    fleet->storms_asked++;
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        struct fmx_msg message = {.kind = FMX_MSG_STEER,
                                  .steer = {.wish = FMX_FLEET_WISH_STORM,
                                            .value = share,
                                            .group = group,
                                            .leave = (uint8_t)leave}};
        enum fmx_status status = post(fleet, i, message);
        FMX_ASSERT(status == FMX_OK); /* there was room, and it only grows */
    }
    return FMX_OK;
}

/* ── stop and close ── */

/* A goodbye takes the way of everything else: the longest link, and what is lost on it. */
static uint32_t goodbye_ms(const struct fmx_fleet *fleet)
{
    uint32_t longest_ms = 0;

    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        const struct fmx_fleet_link *link = &fleet->teams[i].plan.link;
        uint32_t way_ms = link->delay_ms + link->jitter_ms + (link->loss > 0 ? LOST_MS : 0);
        longest_ms = way_ms > longest_ms ? way_ms : longest_ms;
    }
    return END_MS + 2 * longest_ms; /* and the server's answer comes back on it */
}

void fmx_fleet_stop(struct fmx_fleet *fleet)
{
    uint64_t deadline_ns =
        fmx_clock_ns() + fleet->plan.drain_ms * FMX_NS_PER_MS + 2 * FMX_FLEET_WATCH_NS;
    const struct timespec pause = {.tv_nsec = POLL_NS};

    if (!runs(fleet)) {
        return;
    }
    uint64_t start_ns = atomic_load_explicit(&fleet->start_ns, memory_order_relaxed);
    atomic_store_explicit(&fleet->is_ending, true, memory_order_relaxed);
    while (!fmx_fleet_all_finished(fleet) && fmx_clock_ns() < deadline_ns) {
        nanosleep(&pause, NULL);
    }
    /* ahead of the clock, so that whoever looks just now does not see time run back */
    atomic_store_explicit(&fleet->ended_ns, fmx_clock_ns() - start_ns + FMX_NS_PER_MS,
                          memory_order_relaxed);
    fmx_mux_stop(fleet->mux, goodbye_ms(fleet));
    if (!fmx_fleet_ledger_settle(fleet)) {
        fmx_log_line(fmx_mux_log(fleet->mux), FMX_LOG_WARN,
                     "no memory to look for messages between clients that never heard of another");
    }
    atomic_store_explicit(&fleet->is_settled, true, memory_order_release);
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

bool fmx_fleet_hash(const struct fmx_fleet *fleet, uint32_t group, uint32_t number,
                    uint64_t *out_messages, uint64_t *out_hash)
{
    const struct fmx_fleet_client *client = fmx_fleet_find_client(fleet, group, number);

    if (client == NULL) {
        return false;
    }
    size_t publishes = client->crew->team->plan.publishes_count;
    const struct fmx_fleet_flow *flows =
        &client->crew->flows[fmx_fleet_place_of(client) * publishes];
    *out_hash = client->hash;
    *out_messages = 0;
    for (size_t i = 0; i < publishes; i++) {
        *out_messages += flows[i].sequence;
    }
    return true;
}
