/*
 * fleet_stage — which stage it is: the director
 *
 * Why it is so:   all shards have to change at the same instant, and nobody may wait for another.
 *                 So one of them, shard 0, decides, always some moments ahead, and writes it down
 *                 where all look: pieces of clocks, and when each stage begins. The others follow
 *                 at their next look, which comes before that instant
 * Words:          lead: how far ahead; settled: a client that was subscribed, or has failed, once;
 *                 stage time: since the stage began, without pauses
 * Invariants:     (1) a stage's clocks and counts are written before its began_ns
 *                 (2) nothing is decided for an instant nearer than LEAD_NS; and when planning ends
 *                 is written when the last stage begins, so that nobody plans beyond it
 * Memory:         a few words for each stage; one clock for leaving
 * Threads:        shard 0 decides; fmx_fleet_follow on every shard
 * Limits:         a clock's pieces: then rates cannot be changed any more, and stay as they are
 * Not here:       who leaves: fleet_leave.c; who connects: fleet_client.c
 */
#include "engine/roles/fleet_stage.h"

#include <math.h>
#include <stdlib.h>

#define LEAD_NS       (3 * FMX_FLEET_WATCH_NS)
#define STAGE_LEAD_NS (250 * FMX_NS_PER_MS) /* of what is known long before */

bool fmx_fleet_stages_open(struct fmx_fleet *fleet)
{
    fleet->stages = calloc(fleet->plan.stages_count, sizeof(*fleet->stages));
    fleet->leaving = calloc(1, sizeof(*fleet->leaving));
    atomic_init(&fleet->rate, 1.0);
    atomic_init(&fleet->publish_end_ns, UINT64_MAX);
    return fleet->stages != NULL && fleet->leaving != NULL;
}

void fmx_fleet_stages_close(struct fmx_fleet *fleet)
{
    if (fleet->leaving != NULL) {
        fmx_clock_close(fleet->leaving);
    }
    free(fleet->leaving);
    free(fleet->stages);
}

bool fmx_fleet_stage_has(const struct fmx_fleet_stage *stage, uint32_t group)
{
    return stage->groups == 0 || (stage->groups >> group & 1) != 0;
}

uint32_t fmx_fleet_share_of(double share, uint32_t clients_count)
{
    double exact = share * (double)clients_count;

    return exact >= clients_count ? clients_count : (uint32_t)(exact + 0.5);
}

static uint64_t load(const _Atomic uint64_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

static void store(_Atomic uint64_t *field, uint64_t value)
{
    atomic_store_explicit(field, value, memory_order_release);
}

/* ── pieces ── */

/* The line from one rate to another, from where stage time `passed_ns` is on it. */
static struct fmx_clock_piece piece_of(uint64_t at_ns, uint64_t passed_ns, uint64_t duration_ns,
                                       double begin, double end)
{
    bool is_line = duration_ns > passed_ns && begin != end;
    double part = duration_ns == 0 ? 1 : fmin(1, (double)passed_ns / (double)duration_ns);
    double rate = duration_ns == 0 ? end : begin + (end - begin) * part;

    return (struct fmx_clock_piece){.begin_ns = at_ns,
                                    .span_ns = is_line ? duration_ns - passed_ns : 0,
                                    .rate_begin = rate,
                                    .rate_end = is_line ? end : rate};
}

/* A clock that can hold no more goes on as it was. */
static void add_piece(struct fmx_fleet_clock *clock, struct fmx_clock_piece piece)
{
    enum fmx_status status = fmx_clock_add(clock, &piece);

    (void)status;
}

static struct fmx_clock_piece standstill(uint64_t at_ns)
{
    return (struct fmx_clock_piece){.begin_ns = at_ns};
}

/* Clients that are still to begin in a ramp. */
static uint64_t rampers_of(const struct fmx_fleet *fleet, const struct fmx_fleet_stage *stage)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        const struct fmx_fleet_team *team = &fleet->teams[i];
        if (fmx_fleet_stage_has(stage, i)) {
            count += atomic_load_explicit(&team->ramp_target, memory_order_relaxed) -
                     atomic_load_explicit(&team->ramp_first, memory_order_relaxed);
        }
    }
    return count;
}

static double ramp_share(const struct fmx_fleet_team *team, uint64_t all)
{
    uint32_t own = atomic_load_explicit(&team->ramp_target, memory_order_relaxed) -
                   atomic_load_explicit(&team->ramp_first, memory_order_relaxed);

    return all == 0 ? 0 : (double)own / (double)all;
}

/* All clocks from an instant on, of the present stage at this stage time; or they stand still. */
static void lay_pieces(struct fmx_fleet *fleet, uint64_t at_ns, uint64_t passed_ns, bool stands)
{
    const struct fmx_fleet_stage *stage =
        &fleet->plan.stages[atomic_load_explicit(&fleet->stage, memory_order_relaxed)];
    double rate = atomic_load_explicit(&fleet->rate, memory_order_relaxed);
    uint64_t rampers = rampers_of(fleet, stage);
    bool leaves = stage->kind == FMX_FLEET_CHURN || stage->kind == FMX_FLEET_STOP;
    struct fmx_clock_piece piece;

    fleet->laid_ns = at_ns;
    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        struct fmx_fleet_team *team = &fleet->teams[i];
        bool is_in = fmx_fleet_stage_has(stage, i);
        double share = stage->kind == FMX_FLEET_RAMP && is_in ? ramp_share(team, rampers) : 0;
        piece = piece_of(at_ns, passed_ns, stage->duration_ns, stage->publish_begin * rate,
                         stage->publish_end * rate);
        add_piece(&team->publishing, stands ? standstill(at_ns) : piece);
        piece = piece_of(at_ns, passed_ns, stage->duration_ns, stage->rate_begin * share,
                         stage->rate_end * share);
        add_piece(&team->connecting, stands ? standstill(at_ns) : piece);
    }
    piece = piece_of(at_ns, passed_ns, stage->duration_ns, leaves ? stage->rate_begin : 0,
                     leaves ? stage->rate_end : 0);
    add_piece(fleet->leaving, stands ? standstill(at_ns) : piece);
}

/* ── stages ── */

static const struct fmx_fleet_stage *present(const struct fmx_fleet *fleet)
{
    return &fleet->plan.stages[atomic_load_explicit(&fleet->stage, memory_order_relaxed)];
}

static struct fmx_fleet_stage_state *present_state(const struct fmx_fleet *fleet)
{
    return &fleet->stages[atomic_load_explicit(&fleet->stage, memory_order_relaxed)];
}

static void begin_ramps(struct fmx_fleet *fleet, const struct fmx_fleet_stage *stage,
                        uint64_t at_ns)
{
    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        struct fmx_fleet_team *team = &fleet->teams[i];
        uint32_t first = atomic_load_explicit(&team->ramp_target, memory_order_relaxed);
        uint32_t target = fmx_fleet_share_of(stage->share, team->plan.clients_count);
        if (!fmx_fleet_stage_has(stage, i)) {
            continue;
        }
        store(&team->ramp_began_ns, at_ns);
        store(&team->ramp_units, fmx_clock_units(&team->connecting, at_ns));
        atomic_store_explicit(&team->ramp_first, first, memory_order_relaxed);
        atomic_store_explicit(&team->ramp_is_unpaced,
                              stage->rate_begin == 0 && stage->rate_end == 0, memory_order_relaxed);
        atomic_store_explicit(&team->ramp_target, target > first ? target : first,
                              memory_order_release);
    }
}

/* When planning ends, if that can be told: by the plan's duration, and by the last stage's. */
static void note_end(struct fmx_fleet *fleet)
{
    const struct fmx_fleet_stage *stage = present(fleet);
    uint32_t index = atomic_load_explicit(&fleet->stage, memory_order_relaxed);
    bool is_last = index + 1 == fleet->plan.stages_count;
    bool waits = stage->kind == FMX_FLEET_RAMP || stage->kind == FMX_FLEET_STOP;
    uint64_t end_ns = UINT64_MAX;

    if (is_last && !waits && stage->duration_ns > 0 &&
        !atomic_load_explicit(&fleet->is_paused, memory_order_relaxed)) {
        end_ns = load(&present_state(fleet)->began_ns) + stage->duration_ns +
                 load(&fleet->stage_paused_ns);
    }
    if (fleet->plan.duration_ns > 0) {
        uint64_t most_ns = load(&fleet->start_ns) + fleet->plan.duration_ns;
        end_ns = most_ns < end_ns ? most_ns : end_ns;
    }
    store(&fleet->publish_end_ns, end_ns);
}

static void begin_stage(struct fmx_fleet *fleet, uint32_t index, uint64_t at_ns)
{
    const struct fmx_fleet_stage *stage = &fleet->plan.stages[index];
    struct fmx_fleet_stage_state *state = &fleet->stages[index];

    if (stage->kind == FMX_FLEET_RAMP) {
        begin_ramps(fleet, stage, at_ns);
    }
    store(&state->leaving_units, fmx_clock_units(fleet->leaving, at_ns));
    store(&fleet->stage_paused_ns, 0);
    atomic_store_explicit(&fleet->stage, index, memory_order_release);
    lay_pieces(fleet, at_ns, 0, false);
    store(&state->began_ns, at_ns);
    note_end(fleet);
}

static bool has_settled(const struct fmx_fleet *fleet, const struct fmx_fleet_stage *stage)
{
    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        const struct fmx_fleet_team *team = &fleet->teams[i];
        uint32_t target = atomic_load_explicit(&team->ramp_target, memory_order_relaxed);
        uint32_t part = fleet->plan.part;
        uint32_t parts = fleet->plan.parts_count;
        uint32_t own = (target + parts - 1 - part) / parts;
        if (fmx_fleet_stage_has(stage, i) && fmx_fleet_settled(fleet, i) < own) {
            return false;
        }
    }
    return true;
}

static bool has_stopped(const struct fmx_fleet *fleet, const struct fmx_fleet_stage *stage)
{
    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        if (fmx_fleet_stage_has(stage, i) && fmx_fleet_present(fleet, i) > 0) {
            return false;
        }
    }
    return true;
}

/* When the present stage ends, if that can be told; UINT64_MAX: not yet. */
static uint64_t end_of_stage(const struct fmx_fleet *fleet, uint64_t now_ns)
{
    const struct fmx_fleet_stage *stage = present(fleet);
    uint64_t planned_ns =
        load(&present_state(fleet)->began_ns) + stage->duration_ns + load(&fleet->stage_paused_ns);
    uint64_t soonest_ns = now_ns + LEAD_NS;
    bool waits = stage->kind == FMX_FLEET_RAMP || stage->kind == FMX_FLEET_STOP;

    if (waits) {
        bool is_done =
            stage->kind == FMX_FLEET_RAMP ? has_settled(fleet, stage) : has_stopped(fleet, stage);
        return !is_done ? UINT64_MAX : planned_ns > soonest_ns ? planned_ns : soonest_ns;
    }
    return stage->duration_ns == 0 ? UINT64_MAX : planned_ns;
}

/* Nothing is planned from `at_ns` on. */
static void end_planning(struct fmx_fleet *fleet, uint64_t at_ns)
{
    if (at_ns < load(&fleet->publish_end_ns)) {
        store(&fleet->publish_end_ns, at_ns);
    }
}

/*
 * Decides the end of the present stage, if it is near. True: the next one is the present one now.
 * Who is late, since this thread stood still or a rate was laid beyond, does not rewrite the past.
 */
static bool goes_on(struct fmx_fleet *fleet, uint64_t now_ns)
{
    uint64_t least_ns = now_ns > fleet->laid_ns ? now_ns : fleet->laid_ns;
    uint64_t end_ns = end_of_stage(fleet, now_ns);
    uint32_t next = atomic_load_explicit(&fleet->stage, memory_order_relaxed) + 1;

    if (end_ns == UINT64_MAX || end_ns > now_ns + STAGE_LEAD_NS ||
        load(&present_state(fleet)->ended_ns) != 0) {
        return false;
    }
    end_ns = end_ns > least_ns ? end_ns : least_ns;
    store(&present_state(fleet)->ended_ns, end_ns);
    if (next < fleet->plan.stages_count) {
        begin_stage(fleet, next, end_ns);
        return true;
    }
    end_planning(fleet, end_ns);
    return false;
}

void fmx_fleet_direct_begin(struct fmx_fleet_shard *shard)
{
    struct fmx_fleet *fleet = shard->fleet;
    uint64_t start_ns = load(&fleet->start_ns);

    begin_stage(fleet, 0, start_ns);
}

/* The first moment at which everybody is there. */
static void note_ready(struct fmx_fleet *fleet, uint64_t now_ns)
{
    uint64_t subscribed = 0;
    uint64_t wanted = 0;

    if (load(&fleet->ready_ns) != 0) {
        return;
    }
    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        uint32_t clients = fleet->teams[i].plan.clients_count;
        if (fleet->teams[i].plan.manner != FMX_FLEET_HONEST) {
            continue; /* it never will be */
        }
        subscribed += fmx_fleet_subscribed(fleet, i);
        wanted +=
            (clients + fleet->plan.parts_count - 1 - fleet->plan.part) / fleet->plan.parts_count;
    }
    if (subscribed >= wanted) {
        store(&fleet->ready_ns, now_ns);
    }
}

void fmx_fleet_direct(struct fmx_fleet_shard *shard)
{
    struct fmx_fleet *fleet = shard->fleet;
    uint64_t now_ns = shard->shard->now_ns;
    bool is_paused = atomic_load_explicit(&fleet->is_paused, memory_order_relaxed);

    note_ready(fleet, now_ns);
    while (!is_paused && !shard->is_ending && goes_on(fleet, now_ns)) {
    }
    if (load(&fleet->publish_end_ns) <= now_ns) {
        atomic_store_explicit(&fleet->is_ending, true, memory_order_relaxed);
    }
}

/* ── steering ── */

/* Stage time at an instant from which on clocks may be laid anew. */
static uint64_t passed_at(const struct fmx_fleet *fleet, uint64_t at_ns)
{
    uint64_t began_ns = load(&present_state(fleet)->began_ns) + load(&fleet->stage_paused_ns);

    return at_ns > began_ns ? at_ns - began_ns : 0;
}

/* Not before the present stage begins, which may still be ahead. */
static uint64_t soonest(const struct fmx_fleet *fleet, uint64_t now_ns)
{
    uint64_t began_ns = load(&present_state(fleet)->began_ns);

    return now_ns + LEAD_NS > began_ns ? now_ns + LEAD_NS : began_ns;
}

/* It is too late for anything: planning ends before that. */
static bool is_over(const struct fmx_fleet *fleet, uint64_t at_ns)
{
    return atomic_load_explicit(&fleet->is_ending, memory_order_relaxed) ||
           load(&fleet->publish_end_ns) <= at_ns;
}

static void pause_or_go_on(struct fmx_fleet *fleet, uint64_t now_ns, bool pauses)
{
    uint64_t paused_at_ns = load(&fleet->paused_at_ns);
    uint64_t at_ns = soonest(fleet, now_ns);

    if (atomic_load_explicit(&fleet->is_paused, memory_order_relaxed) == pauses ||
        is_over(fleet, at_ns)) {
        return;
    }
    if (pauses) {
        store(&fleet->paused_at_ns, at_ns);
        store(&present_state(fleet)->ended_ns, 0); /* of a last stage: decided anew behind it */
        lay_pieces(fleet, at_ns, 0, true);
    } else {
        at_ns = at_ns > paused_at_ns ? at_ns : paused_at_ns;
        store(&fleet->stage_paused_ns, load(&fleet->stage_paused_ns) + (at_ns - paused_at_ns));
        lay_pieces(fleet, at_ns, passed_at(fleet, at_ns), false);
    }
    atomic_store_explicit(&fleet->is_paused, pauses, memory_order_release); /* with its times */
    note_end(fleet);
}

static void set_rate(struct fmx_fleet *fleet, uint64_t now_ns, double rate)
{
    uint64_t at_ns = soonest(fleet, now_ns);

    atomic_store_explicit(&fleet->rate, rate, memory_order_relaxed);
    if (!atomic_load_explicit(&fleet->is_paused, memory_order_relaxed) && !is_over(fleet, at_ns)) {
        lay_pieces(fleet, at_ns, passed_at(fleet, at_ns), false);
    }
}

void fmx_fleet_steer(struct fmx_fleet_shard *shard, const struct fmx_msg *message)
{
    struct fmx_fleet *fleet = shard->fleet;
    uint64_t now_ns = shard->shard->now_ns;

    switch ((enum fmx_fleet_wish)message->steer.wish) {
    case FMX_FLEET_WISH_RATE:
        set_rate(fleet, now_ns, message->steer.value);
        break;
    case FMX_FLEET_WISH_PAUSE:
        pause_or_go_on(fleet, now_ns, message->steer.value != 0);
        break;
    case FMX_FLEET_WISH_STORM:
        fmx_fleet_storm_begin(
            shard, (struct fmx_fleet_storm){.share = message->steer.value,
                                            .group = message->steer.group,
                                            .leave = (enum fmx_fleet_leave)message->steer.leave});
        break;
    }
}

/* ── every shard ── */

static bool makes_leave(const struct fmx_fleet_stage *stage)
{
    return stage->kind != FMX_FLEET_RAMP && stage->kind != FMX_FLEET_HOLD;
}

/* Has everybody left who had to before this stage? */
static bool has_caught_up(const struct fmx_fleet_shard *shard, const struct fmx_fleet_stage *stage,
                          uint64_t began_ns)
{
    for (uint32_t i = 0; i < shard->fleet->teams_count; i++) {
        if (fmx_fleet_stage_has(stage, i) && fmx_fleet_leave_is_late(shard->crews[i], began_ns)) {
            return false;
        }
    }
    return true;
}

static void enter_stage(struct fmx_fleet_shard *shard, uint32_t index, uint64_t began_ns)
{
    const struct fmx_fleet_stage *stage = &shard->fleet->plan.stages[index];

    for (uint32_t i = 0; i < shard->fleet->teams_count; i++) {
        if (!fmx_fleet_stage_has(stage, i)) {
            continue;
        }
        if (stage->kind == FMX_FLEET_RAMP) {
            shard->crews[i]->has_ramped = true;
            fmx_wheel_arm(&shard->shard->wheel, &shard->crews[i]->ramp, began_ns);
        } else if (makes_leave(stage)) {
            fmx_fleet_leave_begin(shard->crews[i], index);
        }
    }
}

uint64_t fmx_fleet_follow(struct fmx_fleet_shard *shard)
{
    struct fmx_fleet *fleet = shard->fleet;
    uint64_t now_ns = shard->shard->now_ns;

    for (; shard->stage_seen < fleet->plan.stages_count; shard->stage_seen++) {
        const struct fmx_fleet_stage *stage = &fleet->plan.stages[shard->stage_seen];
        uint64_t began_ns =
            atomic_load_explicit(&fleet->stages[shard->stage_seen].began_ns, memory_order_acquire);
        if (began_ns == 0) {
            break;
        }
        if (makes_leave(stage) && began_ns > now_ns) {
            return began_ns; /* until then those of the stage before leave */
        }
        if (makes_leave(stage) && !has_caught_up(shard, stage, began_ns)) {
            break;
        }
        enter_stage(shard, shard->stage_seen, began_ns);
    }
    return UINT64_MAX;
}
