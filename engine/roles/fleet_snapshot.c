/*
 * fleet_snapshot — counters and histograms of all shards, added up
 *
 * Why it is so:   shards count for themselves, in atomics that they alone write; whoever wants to
 *                 know adds up, at his own cost
 * Memory:         one histogram while the call lasts
 * Threads:        any; shards are not disturbed
 * Limits:         FMX_FLEET_CAUSES_MAX causes; what is beyond shares the last row
 */
#include "engine/roles/fleet.h"

#include "engine/clock.h"

#include <stdlib.h>

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
        {&into->registrations_ok, &from->registrations_ok},
        {&into->calls_received, &from->calls_received},
        {&into->calls_answered, &from->calls_answered},
        {&into->calls_over_bound, &from->calls_over_bound},
        {&into->thing_replies, &from->thing_replies},
    };
    uint64_t last_ns = atomic_load_explicit(&from->last_connect_ns, memory_order_relaxed);

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        *pairs[i].to += atomic_load_explicit(pairs[i].from, memory_order_relaxed);
    }
    into->last_connect_ns = last_ns > into->last_connect_ns ? last_ns : into->last_connect_ns;
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

/* Merges one histogram of every shard; the scratch is the caller's. */
static void summarize(const struct fmx_fleet *fleet, size_t offset, struct fmx_histogram *scratch,
                      struct fmx_latency *out_latency)
{
    fmx_histogram_init(scratch);
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        const char *shard = (const char *)fmx_fleet_of(fmx_mux_shard(fleet->mux, i));
        const struct fmx_histogram *histogram = (const struct fmx_histogram *)(shard + offset);
        if (atomic_load_explicit(&histogram->total, memory_order_relaxed) > 0) {
            fmx_histogram_add(scratch, histogram);
        }
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
    summarize(fleet, offsetof(struct fmx_fleet_shard, tls_full), scratch, &out_snapshot->tls_full);
    summarize(fleet, offsetof(struct fmx_fleet_shard, tls_resumed), scratch,
              &out_snapshot->tls_resumed);
    summarize(fleet, offsetof(struct fmx_fleet_shard, subscribe), scratch,
              &out_snapshot->subscribe);
    summarize(fleet, offsetof(struct fmx_fleet_shard, puback), scratch, &out_snapshot->puback);
    summarize(fleet, offsetof(struct fmx_fleet_shard, delivery), scratch, &out_snapshot->delivery);
    summarize(fleet, offsetof(struct fmx_fleet_shard, lag), scratch, &out_snapshot->lag);
    free(scratch);
}

bool fmx_fleet_all_finished(const struct fmx_fleet *fleet)
{
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        const struct fmx_fleet_shard *shard = fmx_fleet_of(fmx_mux_shard(fleet->mux, i));
        if (!atomic_load_explicit(&shard->is_finished, memory_order_relaxed)) {
            return false;
        }
    }
    return true;
}

void fmx_fleet_snapshot(const struct fmx_fleet *fleet, struct fmx_fleet_snapshot *out_snapshot)
{
    uint64_t start_ns = atomic_load_explicit(&fleet->start_ns, memory_order_relaxed);

    memset(out_snapshot, 0, sizeof(*out_snapshot));
    if (start_ns == 0) {
        return;
    }
    out_snapshot->elapsed_ns = fleet->ended_ns > 0 ? fleet->ended_ns : fmx_clock_ns() - start_ns;
    out_snapshot->finished = fmx_fleet_all_finished(fleet);
    for (uint32_t i = 0; i < fmx_mux_shards_count(fleet->mux); i++) {
        const struct fmx_fleet_shard *shard = fmx_fleet_of(fmx_mux_shard(fleet->mux, i));
        add_counters(out_snapshot, &shard->counters);
        add_causes(out_snapshot, shard);
        add_tls(out_snapshot, shard);
    }
    summarize_all(fleet, out_snapshot);
    fmx_mux_stats(fleet->mux, &out_snapshot->stats);
}
