/*
 * fleet_snapshot — counters and histograms of all shards, added up
 *
 * Why it is so:   shards count for themselves, in atomics that they alone write; whoever wants to
 *                 know adds up, at his own cost
 * Threads:        any; shards are not disturbed
 * Limits:         FMX_FLEET_CAUSES_MAX causes; what is beyond shares the last row
 */
#include "engine/roles/fleet.h"

#include "engine/clock.h"
#include "proto/reason.h"

/* ── names ── */

const char *fmx_fleet_latency_name(enum fmx_fleet_latency latency)
{
    static const char *const names[] = {
#define FMX_LATENCY_NAME(NAME, name, words) #name,
        FMX_FLEET_LATENCY_LIST(FMX_LATENCY_NAME)
#undef FMX_LATENCY_NAME
    };

    return (unsigned)latency < FMX_FLEET_LATENCIES ? names[latency] : NULL;
}

const char *fmx_fleet_latency_words(enum fmx_fleet_latency latency)
{
    static const char *const words_of[] = {
#define FMX_LATENCY_WORDS(NAME, name, words) words,
        FMX_FLEET_LATENCY_LIST(FMX_LATENCY_WORDS)
#undef FMX_LATENCY_WORDS
    };

    return (unsigned)latency < FMX_FLEET_LATENCIES ? words_of[latency] : NULL;
}

const char *fmx_fleet_cause_reason(const struct fmx_fleet_cause *cause)
{
    bool is_return_code =
        cause->status == FMX_PEER_REFUSED && cause->reason < 0x80; /* before 5.0 */
    const char *name =
        is_return_code ? fmx_return_code_name(cause->reason) : fmx_reason_name(cause->reason);

    return cause->reason == 0 || strcmp(name, "?") == 0 ? NULL : name;
}

/* ── walking ── */

static const struct fmx_fleet_shard *shard_of(const struct fmx_fleet *fleet, uint32_t index)
{
    return fmx_fleet_of(fmx_mux_shard(fleet->mux, index));
}

static uint64_t load(const _Atomic uint64_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

const struct fmx_fleet_client *fmx_fleet_find_client(const struct fmx_fleet *fleet, uint32_t group,
                                                     uint32_t number)
{
    uint32_t parts = fleet->plan.parts_count;
    uint32_t shards = fmx_mux_shards_count(fleet->mux);

    if (group >= fleet->teams_count || number >= fleet->teams[group].plan.clients_count ||
        number % parts != fleet->plan.part) {
        return NULL;
    }
    const struct fmx_fleet_shard *shard = shard_of(fleet, number / parts % shards);
    return &shard->crews[group]->clients[number / parts / shards];
}

uint64_t fmx_fleet_settled(const struct fmx_fleet *fleet, uint32_t group)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        count += load(&shard_of(fleet, i)->crews[group]->settled_shared);
    }
    return count;
}

uint64_t fmx_fleet_subscribed(const struct fmx_fleet *fleet, uint32_t group)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        count += load(&shard_of(fleet, i)->crews[group]->counters.clients_subscribed);
    }
    return count;
}

uint64_t fmx_fleet_present(const struct fmx_fleet *fleet, uint32_t group)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        const struct fmx_crew_counters *counters = &shard_of(fleet, i)->crews[group]->counters;
        count += load(&counters->clients_open) + load(&counters->clients_connecting) +
                 load(&counters->clients_waiting);
    }
    return count;
}

bool fmx_fleet_all_finished(const struct fmx_fleet *fleet)
{
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        if (!atomic_load_explicit(&shard_of(fleet, i)->is_finished, memory_order_relaxed)) {
            return false;
        }
    }
    return true;
}

/* ── counters ── */

static void add_counters(struct fmx_fleet_counters *into, const struct fmx_crew_counters *from)
{
#define FMX_ADD_COUNTER(name, is_gauge, words)                                                     \
    into->name += atomic_load_explicit(&from->name, memory_order_acquire); /* in this order */
    FMX_FLEET_COUNTER_LIST(FMX_ADD_COUNTER)
#undef FMX_ADD_COUNTER
}

static bool are_same_words(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

static void add_cause(struct fmx_fleet_snapshot *into, uint64_t key, const char *words,
                      uint64_t count)
{
    struct fmx_fleet_cause cause = {.status = (enum fmx_status)(-(int)(key >> 32)),
                                    .sys_errno = (int)(key & 0xffff),
                                    .reason = (uint8_t)(key >> 16),
                                    .words = words,
                                    .count = count};

    for (size_t i = 0; i < into->causes_count; i++) {
        struct fmx_fleet_cause *known = &into->causes[i];
        if (known->status == cause.status && known->sys_errno == cause.sys_errno &&
            known->reason == cause.reason && are_same_words(known->words, words)) {
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
        const struct fmx_fleet_cause_slot *slot = &from->causes[i];
        uint64_t key = atomic_load_explicit(&slot->key, memory_order_acquire);
        if (key != 0) {
            add_cause(into, key, atomic_load_explicit(&slot->words, memory_order_relaxed),
                      atomic_load_explicit(&slot->count, memory_order_relaxed));
        }
    }
}

/* One handshake stands for all: they seldom differ. */
static void add_tls(struct fmx_fleet_snapshot *into, const struct fmx_fleet_shard *from)
{
    const char *suite = atomic_load_explicit(&from->tls_suite, memory_order_relaxed);

    if (suite != NULL) {
        into->tls_version = atomic_load_explicit(&from->tls_version, memory_order_relaxed);
        into->tls_suite = suite;
    }
}

/* ── what the plan wants now ── */

/* Clients of a team whose planned connect has come, all parts. */
static double due_clients(const struct fmx_fleet_team *team, uint64_t now_ns)
{
    uint32_t first = atomic_load_explicit(&team->ramp_first, memory_order_relaxed);
    uint32_t target = atomic_load_explicit(&team->ramp_target, memory_order_relaxed);
    uint64_t began_units = load(&team->ramp_units);
    uint64_t units = fmx_clock_units(&team->connecting, now_ns);
    double due = first;

    if (now_ns < load(&team->ramp_began_ns)) {
        return due; /* decided, and still ahead */
    }
    due += units > began_units ? (double)(units - began_units) / FMX_CLOCK_CLIENT : 0;
    if (atomic_load_explicit(&team->ramp_is_unpaced, memory_order_relaxed) || due > target) {
        return target;
    }
    return due;
}

/* Clients that plan nothing any more. */
static double ended_clients(const struct fmx_fleet *fleet, uint32_t group)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        const struct fmx_crew_counters *counters = &shard_of(fleet, i)->crews[group]->counters;
        count += load(&counters->clients_stopped) + load(&counters->clients_lost) +
                 load(&counters->clients_failed);
    }
    return (double)count;
}

static double publishes_of_client(const struct fmx_fleet_group *group)
{
    double rate = 0;

    for (size_t i = 0; i < group->publishes_count; i++) {
        const struct fmx_fleet_publish *publish = &group->publishes[i];
        double each = publish->schedule == FMX_FLEET_BURSTS      ? publish->burst_count
                      : publish->schedule == FMX_FLEET_ON_CHANGE ? publish->change
                                                                 : 1;
        if (publish->schedule != FMX_FLEET_CLOSED_LOOP) {
            rate += each * (double)FMX_NS_PER_S / (double)publish->interval_ns;
        }
    }
    return rate;
}

static void add_wanted(const struct fmx_fleet *fleet, const struct fmx_fleet_team *team,
                       uint64_t now_ns, struct fmx_fleet_snapshot *into)
{
    double parts = fleet->plan.parts_count;
    double due = due_clients(team, now_ns);

    if (now_ns >= load(&fleet->publish_end_ns)) {
        return;
    }
    double planning = due / parts - ended_clients(fleet, team->group);
    if (planning > 0) {
        into->publishes_wanted +=
            planning * publishes_of_client(&team->plan) * fmx_clock_rate(&team->publishing, now_ns);
    }
    if (due < atomic_load_explicit(&team->ramp_target, memory_order_relaxed)) {
        into->connects_wanted += fmx_clock_rate(&team->connecting, now_ns) / parts;
    }
}

/* ── stages ── */

/* How long a stage has stood still. */
static uint64_t paused_of(const struct fmx_fleet *fleet, uint32_t stage, uint64_t now_ns)
{
    uint64_t since_ns = load(&fleet->paused_at_ns);
    bool stands = atomic_load_explicit(&fleet->is_paused, memory_order_relaxed);

    if (stage != atomic_load_explicit(&fleet->stage, memory_order_relaxed)) {
        return 0;
    }
    return load(&fleet->stage_paused_ns) + (stands && now_ns > since_ns ? now_ns - since_ns : 0);
}

static void add_stage(const struct fmx_fleet *fleet, uint64_t start_ns, uint64_t now_ns,
                      struct fmx_fleet_snapshot *into)
{
    uint32_t stage = atomic_load_explicit(&fleet->stage, memory_order_acquire);
    uint64_t began_ns = load(&fleet->stages[stage].began_ns);

    while ((began_ns == 0 || began_ns > now_ns) && stage > 0) { /* decided, and still ahead */
        began_ns = load(&fleet->stages[--stage].began_ns);
    }
    uint64_t duration_ns = fleet->plan.stages[stage].duration_ns;
    uint64_t end_ns = began_ns + duration_ns;
    bool is_last = stage + 1 == fleet->plan.stages_count;
    if (duration_ns == 0 && is_last && fleet->plan.duration_ns > 0) {
        end_ns = start_ns + fleet->plan.duration_ns;
    }
    into->stage = stage;
    into->stage_began_ns = began_ns > start_ns ? began_ns - start_ns : 0;
    into->stage_progress = -1;
    if (end_ns > began_ns) {
        uint64_t passed_ns = now_ns > began_ns ? now_ns - began_ns : 0;
        uint64_t paused_ns = duration_ns > 0 ? paused_of(fleet, stage, now_ns) : 0;
        double part = passed_ns > paused_ns ? (double)(passed_ns - paused_ns) : 0;
        double progress = part / (double)(end_ns - began_ns);
        into->stage_progress = progress < 1 ? progress : 1;
    }
}

/* ── the whole ── */

static void add_shard(const struct fmx_fleet_shard *shard, uint32_t group,
                      struct fmx_fleet_snapshot *into)
{
    uint64_t last_ns = load(&shard->last_connect_ns);

    for (uint32_t i = 0; i < shard->fleet->teams_count; i++) {
        if (group == FMX_FLEET_ALL || group == i) {
            add_counters(&into->counters, &shard->crews[i]->counters);
        }
    }
    add_causes(into, shard);
    add_tls(into, shard);
    into->cpu_ns += load(&shard->cpu_ns);
    into->cpu_wait_ns += load(&shard->cpu_wait_ns);
    into->last_connect_ns = last_ns > into->last_connect_ns ? last_ns : into->last_connect_ns;
}

/* Of all clients, in any order. Only when no shard runs: streams are the shards' own. */
static uint64_t hash_of_all(const struct fmx_fleet *fleet)
{
    uint64_t hash = 0;

    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        const struct fmx_fleet_shard *shard = shard_of(fleet, i);
        for (uint32_t j = 0; j < fleet->teams_count; j++) {
            for (uint32_t k = 0; k < shard->crews[j]->clients_count; k++) {
                const struct fmx_fleet_client *client = &shard->crews[j]->clients[k];
                hash += fmx_fleet_mix(fmx_fleet_index_of(client) + 1ull, client->hash);
            }
        }
    }
    return hash;
}

void fmx_fleet_snapshot(const struct fmx_fleet *fleet, uint32_t group,
                        struct fmx_fleet_snapshot *out_snapshot)
{
    uint64_t start_ns = load(&fleet->start_ns);
    uint64_t ready_ns = load(&fleet->ready_ns);
    uint64_t now_ns = fmx_clock_ns();
    uint64_t ended_ns = load(&fleet->ended_ns);
    bool is_settled = atomic_load_explicit(&fleet->is_settled, memory_order_acquire);

    memset(out_snapshot, 0, sizeof(*out_snapshot));
    out_snapshot->rate = atomic_load_explicit(&fleet->rate, memory_order_relaxed);
    out_snapshot->stage_progress = -1;
    if (start_ns == 0) {
        return;
    }
    bool is_over = ended_ns > 0 && now_ns - start_ns > ended_ns;
    out_snapshot->elapsed_ns = is_over ? ended_ns : now_ns - start_ns;
    out_snapshot->finished = fmx_fleet_all_finished(fleet);
    out_snapshot->is_draining = atomic_load_explicit(&fleet->is_ending, memory_order_relaxed);
    out_snapshot->is_paused = atomic_load_explicit(&fleet->is_paused, memory_order_relaxed);
    out_snapshot->ready_ns = ready_ns > start_ns ? ready_ns - start_ns : 0;
    add_stage(fleet, start_ns, start_ns + out_snapshot->elapsed_ns, out_snapshot);
    for (uint32_t i = 0; i < fleet->teams_count; i++) {
        if ((group == FMX_FLEET_ALL || group == i) && ended_ns == 0) {
            add_wanted(fleet, &fleet->teams[i], now_ns, out_snapshot);
        }
    }
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        add_shard(shard_of(fleet, i), group, out_snapshot);
    }
    if (is_settled) {
        out_snapshot->hash = hash_of_all(fleet);
    }
    if (is_settled && group == FMX_FLEET_ALL) {
        out_snapshot->counters.deliveries_expected = fleet->deliveries_expected;
        out_snapshot->counters.deliveries_lost = fleet->deliveries_lost;
    }
    fmx_mux_stats(fleet->mux, &out_snapshot->stats);
}

void fmx_fleet_distribution(const struct fmx_fleet *fleet, uint32_t group,
                            enum fmx_fleet_latency latency, struct fmx_distribution *into)
{
    if (load(&fleet->start_ns) == 0) {
        return;
    }
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        const struct fmx_fleet_shard *shard = shard_of(fleet, i);
        for (uint32_t j = 0; j < fleet->teams_count; j++) {
            const struct fmx_histogram *histogram = &shard->crews[j]->histograms[latency];
            if ((group == FMX_FLEET_ALL || group == j) && fmx_histogram_count(histogram) > 0) {
                fmx_histogram_add_to(histogram, into);
            }
        }
    }
}
