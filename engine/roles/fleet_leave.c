/*
 * fleet_leave — churn, storm, stop: who leaves, and when
 *
 * Why it is so:   who leaves follows from the plan, the seed and the number of the event, and never
 *                 from who happens to be where: so each shard goes through all events of a team and
 *                 does those that are its own clients', and any number of shards, or of processes,
 *                 does the same
 * Words:          event: one client's turn to leave. Those of churn and stop are counted on a clock
 *                 of the fleet's; those of a storm are spread over its time, by number
 * Invariants:     (1) a crew has at most one stage whose clients leave; the next one begins when
 *                 all have left who had to before it: a late shard drops nobody
 * Threads:        owning shard
 * Limits:         EVENTS_PER_TURN, so that a storm of a hundred thousand does not stop all others,
 *                 also one that is asked for; FMX_FLEET_STORMS_MAX of those at a time
 * Not here:       how a client goes: fleet_client.c
 */
#include "engine/roles/fleet_stage.h"

#define EVENTS_PER_TURN 1024u
#define LOOKS_PER_TURN  16384u /* at who is of another shard, not open, or not hit */

static const struct fmx_fleet_stage *stage_of(const struct fmx_fleet_crew *crew)
{
    return &crew->fleet->fleet->plan.stages[crew->leave_stage];
}

/* NULL: another shard's, or another process's. */
static struct fmx_fleet_client *find_own(const struct fmx_fleet_crew *crew, uint32_t number)
{
    const struct fmx_fleet *fleet = crew->fleet->fleet;
    const struct fmx_shard *shard = crew->fleet->shard;
    uint32_t parts = fleet->plan.parts_count;

    if (number % parts != fleet->plan.part ||
        number / parts % shard->shards_count != shard->index) {
        return NULL;
    }
    return &crew->clients[number / parts / shard->shards_count];
}

static uint64_t clients_of_stage(const struct fmx_fleet *fleet, const struct fmx_fleet_stage *stage)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        count += fmx_fleet_stage_has(stage, i) ? fleet->teams[i].plan.clients_count : 0;
    }
    return count;
}

/* Where on the clock the team's event `event` lies, when all teams' are shared out evenly. */
static uint64_t planned_ns(const struct fmx_fleet_crew *crew, uint64_t event)
{
    const struct fmx_fleet *fleet = crew->fleet->fleet;
    const struct fmx_fleet_stage *stage = stage_of(crew);
    double step = (double)clients_of_stage(fleet, stage) / (double)crew->team->plan.clients_count;
    uint64_t base =
        atomic_load_explicit(&fleet->stages[crew->leave_stage].leaving_units, memory_order_relaxed);

    return fmx_clock_real_ns(fleet->leaving,
                             base + (uint64_t)((double)event * step * FMX_CLOCK_CLIENT));
}

/* ── churn ── */

static uint64_t churn_number(const struct fmx_fleet_crew *crew, uint64_t event)
{
    const struct fmx_fleet *fleet = crew->fleet->fleet;

    return fmx_fleet_draw(fleet, crew->team->first_index, FMX_DRAW_LEAVE,
                          (uint64_t)crew->leave_stage << 40 | event) %
           crew->team->plan.clients_count;
}

/* Is an event that is planned then one of the stage behind it? */
static bool is_behind_end(const struct fmx_fleet_crew *crew, uint64_t due_ns)
{
    const struct fmx_fleet_stage_state *state = &crew->fleet->fleet->stages[crew->leave_stage];
    uint64_t ended_ns = atomic_load_explicit(&state->ended_ns, memory_order_relaxed);

    return ended_ns != 0 && ended_ns <= crew->fleet->shard->now_ns && due_ns >= ended_ns;
}

static uint64_t churn(struct fmx_fleet_crew *crew)
{
    const struct fmx_fleet_stage *stage = stage_of(crew);
    uint64_t now_ns = crew->fleet->shard->now_ns;

    for (uint32_t seen = 0, done = 0; seen < LOOKS_PER_TURN && done < EVENTS_PER_TURN; seen++) {
        uint64_t due_ns = planned_ns(crew, crew->leave_event + 1);
        if (is_behind_end(crew, due_ns)) {
            crew->is_leaving = false;
            return FMX_CLOCK_NEVER;
        }
        if (due_ns > now_ns) {
            return due_ns;
        }
        uint32_t number = (uint32_t)churn_number(crew, crew->leave_event++);
        struct fmx_fleet_client *client = find_own(crew, number);
        if (client != NULL && client->state == FMX_CLIENT_OPEN) {
            fmx_fleet_client_leave(client, stage->leave, stage->is_by_policy, false);
            done++;
        }
    }
    return now_ns;
}

/* ── storm and stop: client by client ── */

/* How long the stage whose clients leave has stood still; asked while it is the present one. */
static void note_pauses(struct fmx_fleet_crew *crew)
{
    const struct fmx_fleet *fleet = crew->fleet->fleet;
    uint64_t paused_ns = atomic_load_explicit(&fleet->stage_paused_ns, memory_order_relaxed);

    if (atomic_load_explicit(&fleet->stage, memory_order_relaxed) == crew->leave_stage &&
        paused_ns > crew->leave_paused_ns) {
        crew->leave_paused_ns = paused_ns;
    }
}

static uint64_t due_of(const struct fmx_fleet_crew *crew, const struct fmx_fleet_client *client)
{
    const struct fmx_fleet_stage *stage = stage_of(crew);
    const struct fmx_fleet *fleet = crew->fleet->fleet;
    uint64_t began_ns =
        atomic_load_explicit(&fleet->stages[crew->leave_stage].began_ns, memory_order_relaxed);

    if (stage->kind == FMX_FLEET_STORM) {
        double part = (double)client->number / (double)crew->team->plan.clients_count;
        return began_ns + crew->leave_paused_ns + (uint64_t)((double)stage->within_ns * part);
    }
    bool is_unpaced = stage->rate_begin == 0 && stage->rate_end == 0;
    return is_unpaced ? began_ns : planned_ns(crew, client->number);
}

static bool is_hit(const struct fmx_fleet_crew *crew, const struct fmx_fleet_client *client,
                   uint64_t event, double share)
{
    uint64_t drawn = fmx_fleet_draw(crew->fleet->fleet, fmx_fleet_index_of(client), FMX_DRAW_LEAVE,
                                    1ull << 63 | event);

    return fmx_fleet_fraction(drawn) < share;
}

static uint64_t one_by_one(struct fmx_fleet_crew *crew)
{
    const struct fmx_fleet_stage *stage = stage_of(crew);
    bool is_storm = stage->kind == FMX_FLEET_STORM;
    uint64_t now_ns = crew->fleet->shard->now_ns;

    for (uint32_t done = 0; done < EVENTS_PER_TURN; done++) {
        if (crew->leave_next == crew->clients_count) {
            crew->is_leaving = false;
            return FMX_CLOCK_NEVER;
        }
        struct fmx_fleet_client *client = &crew->clients[crew->leave_next];
        uint64_t due_ns = due_of(crew, client);
        if (due_ns > now_ns) {
            return due_ns;
        }
        crew->leave_next++;
        if (!is_storm || (client->state == FMX_CLIENT_OPEN &&
                          is_hit(crew, client, crew->leave_stage, stage->share))) {
            fmx_fleet_client_leave(client, stage->leave, stage->is_by_policy, !is_storm);
        }
    }
    return now_ns;
}

/* ── turns ── */

void fmx_fleet_leave_begin(struct fmx_fleet_crew *crew, uint32_t stage)
{
    const struct fmx_fleet_stage_state *state = &crew->fleet->fleet->stages[stage];

    crew->leave_stage = stage;
    crew->leave_next = 0;
    crew->leave_event = 0;
    crew->leave_paused_ns = 0;
    crew->is_leaving = crew->clients_count > 0;
    if (crew->is_leaving) {
        fmx_wheel_arm(&crew->fleet->shard->wheel, &crew->leaving,
                      atomic_load_explicit(&state->began_ns, memory_order_relaxed));
    }
}

static bool is_over(const struct fmx_fleet_crew *crew)
{
    return !crew->is_leaving || crew->fleet->is_ending;
}

bool fmx_fleet_leave_is_late(const struct fmx_fleet_crew *crew, uint64_t until_ns)
{
    if (is_over(crew)) {
        return false;
    }
    if (stage_of(crew)->kind == FMX_FLEET_CHURN) {
        return planned_ns(crew, crew->leave_event + 1) < until_ns;
    }
    return crew->leave_next < crew->clients_count &&
           due_of(crew, &crew->clients[crew->leave_next]) < until_ns;
}

void fmx_fleet_leave_due(struct fmx_fleet_crew *crew)
{
    uint64_t now_ns = crew->fleet->shard->now_ns;
    uint64_t next_ns = FMX_CLOCK_NEVER;

    if (is_over(crew)) {
        crew->is_leaving = false;
        return;
    }
    /* first: who sees that a pause is over has to see how long it was */
    bool stands = atomic_load_explicit(&crew->fleet->fleet->is_paused, memory_order_acquire);
    note_pauses(crew);
    if (!stands) {
        next_ns = stage_of(crew)->kind == FMX_FLEET_CHURN ? churn(crew) : one_by_one(crew);
    }
    if (!crew->is_leaving) {
        return;
    }
    /* a clock that stands still, or that goes faster tomorrow: look again */
    uint64_t look_ns = now_ns + FMX_FLEET_WATCH_NS;
    fmx_wheel_arm(&crew->fleet->shard->wheel, &crew->leaving,
                  next_ns < look_ns ? next_ns : look_ns);
}

/* ── storms that are asked for ── */

/* False: the storm has been everywhere in this crew. */
static bool storm_goes_on(struct fmx_fleet_crew *crew, const struct fmx_fleet_storm *storm,
                          unsigned *looks, unsigned *events)
{
    struct fmx_fleet_shard *fleet = crew->fleet;
    uint64_t event = 1ull << 62 | crew->storms;
    bool has_policy = crew->team->plan.reconnect != FMX_FLEET_RECONNECT_NONE;

    for (; fleet->storm_next < crew->clients_count; fleet->storm_next++) {
        struct fmx_fleet_client *client = &crew->clients[fleet->storm_next];
        if (*looks == 0 || *events == 0) {
            return true;
        }
        (*looks)--;
        if (client->state == FMX_CLIENT_OPEN &&
            (storm->share >= 1 || is_hit(crew, client, event, storm->share))) {
            fmx_fleet_client_leave(client, storm->leave, has_policy, false);
            (*events)--;
        }
    }
    crew->storms++;
    fleet->storm_next = 0;
    return false;
}

/* One after another, each group by group, so much in each turn. */
void fmx_fleet_storm_due(struct fmx_fleet_shard *fleet)
{
    uint32_t done = atomic_load_explicit(&fleet->storms_done, memory_order_relaxed);
    unsigned looks = LOOKS_PER_TURN;
    unsigned events = EVENTS_PER_TURN;

    while (done != fleet->storms_begun) {
        const struct fmx_fleet_storm *storm = &fleet->storms[done % FMX_FLEET_STORMS_MAX];
        for (; fleet->storm_group < fleet->fleet->teams_count; fleet->storm_group++) {
            bool is_in = storm->group == FMX_FLEET_ALL || storm->group == fleet->storm_group;
            if (is_in && storm_goes_on(fleet->crews[fleet->storm_group], storm, &looks, &events)) {
                fmx_wheel_arm(&fleet->shard->wheel, &fleet->storm, fleet->shard->now_ns);
                return;
            }
        }
        fleet->storm_group = 0;
        atomic_store_explicit(&fleet->storms_done, ++done, memory_order_release);
    }
}

void fmx_fleet_storm_begin(struct fmx_fleet_shard *fleet, struct fmx_fleet_storm storm)
{
    uint32_t done = atomic_load_explicit(&fleet->storms_done, memory_order_relaxed);

    FMX_ASSERT(fleet->storms_begun - done < FMX_FLEET_STORMS_MAX);
    fleet->storms[fleet->storms_begun++ % FMX_FLEET_STORMS_MAX] = storm;
    if (!fmx_timer_is_armed(&fleet->storm)) {
        fmx_fleet_storm_due(fleet);
    }
}
