/*
 * directory — client id → session, on the id's home shard; takeover; what is kept for the absent
 *
 * Why it is so:   two connections with one client id may reach two shards at the same instant. One
 *                 place has to say which of them is the session, and to see to it that the older
 *                 has handed over all it had before the newer is told so: then session-present is
 *                 true when it says so, and messages keep their order
 * Words:          owner: the session the id belongs to; claim: a session's wish to own it; kept:
 *                 what outlives a connection; away: kept, without an owner
 * Invariants:     (1) an identity has an owner, or something kept, or both; else it is removed
 *                 (2) a claim waits exactly while `releasing`; at most one waits: a newer one
 *                 displaces it, and the displaced is refused as taken over
 *                 (3) the expiry timer is armed exactly while an identity is away and may expire
 * States:         owned ── claim ──► releasing ── RELEASED ──► owned by the claimant
 *                 owned ── GONE ──► releasing ── RELEASED ──► away ── claim ──► owned
 *                 away ── expiry ──► removed; owned ── final GONE ──► removed, if nothing is kept
 * Memory:         identities (slab), their ids, what is kept
 * Threads:        home shard only
 * Limits:         identities_max; over it a claim is refused as busy. What is kept is bounded by
 *                 the gateway's queue options, where it is filled: deliver.c
 * Not here:       the session's end of the conversation: gateway_session.c
 */
#include "engine/roles/directory.h"

#include "engine/clock.h"
#include "engine/router.h"
#include "proto/limits.h"

enum fmx_status fmx_directory_open(struct fmx_directory *directory, struct fmx_shard *shard,
                                   uint32_t identities_max,
                                   const struct fmx_directory_events *events)
{
    *directory = (struct fmx_directory){.shard = shard, .events = events};
    return fmx_slab_open(&directory->identities, sizeof(struct fmx_identity), identities_max);
}

struct fmx_identity *fmx_directory_at(struct fmx_directory *directory, uint32_t identity)
{
    return fmx_slab_at(&directory->identities, identity);
}

struct fmx_identity *fmx_directory_peek(struct fmx_directory *directory, uint32_t identity)
{
    return identity == FMX_IDENTITY_NONE ? NULL : fmx_slab_peek(&directory->identities, identity);
}

struct fmx_identity *fmx_directory_find(struct fmx_directory *directory, uint64_t hash,
                                        fmx_slice key)
{
    uint32_t probe = UINT32_MAX;
    uint32_t value;

    while ((value = fmx_index_find(&directory->index, hash, &probe)) != FMX_INDEX_NONE) {
        struct fmx_identity *identity = fmx_slab_at(&directory->identities, value);
        if (identity->hash == hash && fmx_slice_equal(fmx_blob_slice(identity->client_id), key)) {
            return identity;
        }
    }
    return NULL;
}

/* Takes the id over. NULL: no room. */
static struct fmx_identity *add(struct fmx_directory *directory, uint64_t hash,
                                struct fmx_blob *client_id)
{
    struct fmx_identity *identity = fmx_slab_take(&directory->identities);

    if (identity == NULL) {
        return NULL;
    }
    if (fmx_index_put(&directory->index, hash, identity->slot.index) != FMX_OK) {
        fmx_slab_give(&directory->identities, identity);
        return NULL;
    }
    identity->client_id = client_id;
    identity->hash = hash;
    return identity;
}

/* ── what is kept ── */

static void forget(struct fmx_directory *directory, struct fmx_identity *identity)
{
    struct fmx_kept *kept = identity->kept;

    if (kept == NULL) {
        return;
    }
    fmx_wheel_disarm(&directory->shard->wheel, &kept->expiry);
    directory->events->forget(directory->shard, kept);
    fmx_count_down(&directory->shard->counters.stored_now, fmx_backlog_count(&kept->backlog));
    fmx_backlog_wipe(&kept->backlog);
    free(kept);
    identity->kept = NULL;
}

static bool keep(struct fmx_identity *identity)
{
    if (identity->kept == NULL) {
        identity->kept = calloc(1, sizeof(*identity->kept));
        if (identity->kept == NULL) {
            return false;
        }
        identity->kept->identity = identity->slot.index;
        identity->kept->subscriptions = FMX_SUBSCRIPTION_NONE;
        identity->kept->expiry.kind = FMX_TIMER_ROLE;
    }
    return true;
}

/* `gone_ns`: how long its client has been away already. */
static void arm_expiry(struct fmx_directory *directory, struct fmx_kept *kept, uint64_t gone_ns)
{
    uint64_t span_ns = kept->expiry_s * FMX_NS_PER_S;
    uint64_t left_ns = span_ns > gone_ns ? span_ns - gone_ns : 0;

    if (kept->expiry_s != UINT32_MAX) {
        fmx_wheel_arm(&directory->shard->wheel, &kept->expiry, directory->shard->now_ns + left_ns);
    }
}

static void enter_away(struct fmx_directory *directory, struct fmx_identity *identity)
{
    struct fmx_kept *kept = identity->kept;

    fmx_count(&directory->shard->counters.parked_now, 1);
    directory->events->changed(directory->shard, identity);
    arm_expiry(directory, kept, 0);
}

static void leave_away(struct fmx_directory *directory, struct fmx_identity *identity)
{
    fmx_count_down(&directory->shard->counters.parked_now, 1);
    fmx_wheel_disarm(&directory->shard->wheel, &identity->kept->expiry);
}

static void remove_identity(struct fmx_directory *directory, struct fmx_identity *identity)
{
    forget(directory, identity);
    fmx_index_remove(&directory->index, identity->hash, identity->slot.index);
    free(identity->client_id);
    fmx_slab_give(&directory->identities, identity);
}

/* ── claims ── */

static void answer(struct fmx_directory *directory, const struct fmx_msg *claim,
                   struct fmx_identity *identity, enum fmx_status status, bool session_present)
{
    struct fmx_msg answer = {.kind = FMX_MSG_CLAIMED,
                             .claimed = {.session = claim->claim.session,
                                         .status = status,
                                         .session_present = session_present}};
    uint32_t dropped = 0;

    answer.identity = FMX_IDENTITY_NONE;
    if (identity != NULL) {
        answer.identity = identity->slot.index;
        answer.claimed.rates = directory->events->recall(directory->shard, identity->hash);
        answer.claimed.is_kept = identity->kept != NULL;
        if (identity->kept != NULL) {
            fmx_count_down(&directory->shard->counters.stored_now,
                           fmx_backlog_count(&identity->kept->backlog));
            answer.claimed.parcel = fmx_parcel_pack(&identity->kept->backlog, &dropped);
            fmx_count(&directory->shard->counters.dropped_qos1, dropped);
        }
    }
    fmx_shard_post(directory->shard, claim->from_shard, &answer);
}

/* The id is nobody's, or its client is away: it is the claimant's from here on. */
static void grant(struct fmx_directory *directory, struct fmx_identity *identity,
                  const struct fmx_msg *claim)
{
    if (claim->claim.clean) {
        forget(directory, identity);
    }
    bool session_present = identity->kept != NULL;
    if (claim->claim.expiry_s > 0 && !keep(identity)) {
        answer(directory, claim, NULL, FMX_LIMIT_MEMORY, false);
        if (identity->kept == NULL) {
            remove_identity(directory, identity);
        }
        return;
    }
    identity->owner = claim->claim.session;
    identity->since_ns = claim->claim.since_ns;
    if (identity->kept != NULL) {
        directory->owned_kept++;
        identity->kept->expiry_s = claim->claim.expiry_s;
        identity->kept->flags = claim->claim.flags;
        identity->kept->away_ms = 0;
        directory->events->changed(directory->shard, identity);
    }
    answer(directory, claim, identity, FMX_OK, session_present);
}

static void ask_for_release(struct fmx_directory *directory, struct fmx_identity *identity,
                            enum fmx_status cause)
{
    struct fmx_msg release = {.kind = FMX_MSG_RELEASE,
                              .identity = identity->slot.index,
                              .release = {.session = identity->owner, .cause = cause}};

    FMX_ASSERT(!identity->releasing);
    identity->releasing = true;
    fmx_shard_post(directory->shard, fmx_session_id_shard(identity->owner), &release);
}

/* Claims of different shards may come in another order than their CONNECTs did. */
static bool is_stale(const struct fmx_identity *identity, const struct fmx_msg *claim)
{
    uint64_t newest_ns =
        identity->next_claim != NULL ? identity->next_claim->claim.since_ns : identity->since_ns;

    return claim->claim.since_ns < newest_ns;
}

static void wait_for_release(struct fmx_directory *directory, struct fmx_identity *identity,
                             const struct fmx_msg *claim)
{
    struct fmx_msg *waiting = identity->next_claim;

    if (waiting != NULL) {
        answer(directory, waiting, NULL, FMX_E_TAKEN_OVER, false);
    } else {
        waiting = malloc(sizeof(*waiting));
        if (waiting == NULL) {
            answer(directory, claim, NULL, FMX_LIMIT_MEMORY, false);
            return;
        }
        identity->next_claim = waiting;
    }
    *waiting = *claim;
    waiting->claim.client_id = NULL;
    if (!identity->releasing) {
        ask_for_release(directory, identity, FMX_E_TAKEN_OVER);
    }
}

void fmx_directory_on_claim(struct fmx_directory *directory, struct fmx_msg *message)
{
    struct fmx_blob *client_id = message->claim.client_id;
    struct fmx_identity *identity =
        fmx_directory_find(directory, message->claim.hash, fmx_blob_slice(client_id));

    if (!directory->events->may_connect(directory->shard, message)) {
        free(client_id);
        answer(directory, message, NULL, FMX_LIMIT_CONNECT_RATE, false);
        return;
    }
    if (identity == NULL) {
        identity = add(directory, message->claim.hash, client_id);
        if (identity == NULL) {
            free(client_id);
            answer(directory, message, NULL, FMX_LIMIT_SESSIONS, false);
            return;
        }
        grant(directory, identity, message);
        return;
    }
    free(client_id);
    if (!fmx_session_id_equal(identity->owner, FMX_SESSION_NONE)) {
        fmx_count(&directory->shard->counters.takeovers, 1);
        if (is_stale(identity, message)) {
            answer(directory, message, NULL, FMX_E_TAKEN_OVER, false);
        } else {
            wait_for_release(directory, identity, message);
        }
        return;
    }
    leave_away(directory, identity);
    grant(directory, identity, message);
}

/* ── releases ── */

/* The owner has let go: the claim that waits gets the id, or it is away, or forgotten. */
static void settle(struct fmx_directory *directory, struct fmx_identity *identity)
{
    struct fmx_msg *claim = identity->next_claim;

    identity->owner = FMX_SESSION_NONE;
    identity->releasing = false;
    identity->next_claim = NULL;
    directory->owned_kept -= identity->kept != NULL;
    if (identity->kept != NULL && (identity->kept->expiry_s == 0 || identity->is_forgotten)) {
        forget(directory, identity);
    }
    identity->is_forgotten = false;
    if (claim != NULL) {
        grant(directory, identity, claim);
        free(claim);
    } else if (identity->kept != NULL) {
        identity->kept->away_ms = fmx_clock_unix_ms();
        enter_away(directory, identity);
    } else {
        remove_identity(directory, identity);
    }
}

/*
 * What the owner had comes before what arrived here after RELEASE was sent: those messages were
 * kept back while `releasing`.
 */
static void take_parcel(struct fmx_directory *directory, struct fmx_kept *kept,
                        struct fmx_parcel *parcel)
{
    struct fmx_backlog later = kept->backlog;
    uint32_t before = fmx_backlog_count(&later);

    kept->backlog = (struct fmx_backlog){0};
    uint32_t dropped = fmx_parcel_unpack(parcel, &kept->backlog);
    dropped += fmx_backlog_append(&kept->backlog, &later);
    for (uint32_t i = 0; i < fmx_backlog_count(&kept->backlog); i++) {
        directory->events->stored(directory->shard, kept,
                                  fmx_backlog_at(&kept->backlog, i)->payload);
    }
    fmx_count(&directory->shard->counters.stored_now, fmx_backlog_count(&kept->backlog));
    fmx_count_down(&directory->shard->counters.stored_now, before);
    fmx_count(&directory->shard->counters.dropped_qos1, dropped);
}

static struct fmx_identity *owned_by(struct fmx_directory *directory, uint32_t index,
                                     struct fmx_session_id session)
{
    struct fmx_identity *identity = fmx_directory_peek(directory, index);

    return identity != NULL && fmx_session_id_equal(identity->owner, session) ? identity : NULL;
}

/* Is what is kept about to be forgotten? Then nobody shall hear that more was stored. */
static bool is_given_up(const struct fmx_identity *identity)
{
    return identity->kept->expiry_s == 0 || identity->is_forgotten ||
           (identity->next_claim != NULL && identity->next_claim->claim.clean);
}

void fmx_directory_on_released(struct fmx_directory *directory, struct fmx_msg *message)
{
    struct fmx_identity *identity =
        owned_by(directory, message->identity, message->released.session);

    if (identity != NULL && identity->kept != NULL) {
        identity->kept->expiry_s = message->released.expiry_s;
    }
    if (identity == NULL || identity->kept == NULL || is_given_up(identity)) {
        struct fmx_backlog unwanted = {0};
        (void)fmx_parcel_unpack(message->released.parcel, &unwanted);
        fmx_backlog_wipe(&unwanted);
    } else {
        take_parcel(directory, identity->kept, message->released.parcel);
    }
    if (identity != NULL) {
        settle(directory, identity);
    }
}

/* A claim of a session whose connection has ended is not granted any more. */
static void drop_claim(struct fmx_directory *directory, struct fmx_session_id session,
                       uint64_t hash, uint32_t from_shard)
{
    struct fmx_msg release = {.kind = FMX_MSG_RELEASE,
                              .identity = FMX_IDENTITY_NONE,
                              .release = {.session = session, .cause = FMX_E_TAKEN_OVER}};
    uint32_t probe = UINT32_MAX;
    uint32_t value;

    while ((value = fmx_index_find(&directory->index, hash, &probe)) != FMX_INDEX_NONE) {
        struct fmx_identity *identity = fmx_slab_at(&directory->identities, value);
        if (identity->next_claim != NULL &&
            fmx_session_id_equal(identity->next_claim->claim.session, session)) {
            free(identity->next_claim);
            identity->next_claim = NULL;
            break;
        }
    }
    fmx_shard_post(directory->shard, from_shard, &release);
}

static struct fmx_identity *owned_by_hash(struct fmx_directory *directory, uint64_t hash,
                                          struct fmx_session_id session)
{
    uint32_t probe = UINT32_MAX;
    uint32_t value;

    while ((value = fmx_index_find(&directory->index, hash, &probe)) != FMX_INDEX_NONE) {
        struct fmx_identity *identity = fmx_slab_at(&directory->identities, value);
        if (fmx_session_id_equal(identity->owner, session)) {
            return identity;
        }
    }
    return NULL;
}

void fmx_directory_on_gone(struct fmx_directory *directory, struct fmx_msg *message)
{
    struct fmx_session_id session = message->gone.session;
    struct fmx_identity *identity = owned_by_hash(directory, message->gone.hash, session);

    if (message->gone.is_final) {
        if (identity != NULL) {
            settle(directory, identity);
        }
    } else if (identity == NULL) {
        drop_claim(directory, session, message->gone.hash, message->from_shard);
    } else if (!identity->releasing) {
        ask_for_release(directory, identity, FMX_PEER_CLOSED);
    }
}

struct fmx_identity *fmx_directory_restore(struct fmx_directory *directory, struct fmx_blob *key,
                                           uint64_t hash, uint32_t expiry_s, uint64_t away_ms)
{
    struct fmx_identity *identity = add(directory, hash, key);

    if (identity == NULL) {
        free(key);
        return NULL;
    }
    if (!keep(identity)) {
        remove_identity(directory, identity);
        return NULL;
    }
    identity->kept->expiry_s = expiry_s;
    identity->kept->away_ms = away_ms;
    return identity;
}

void fmx_directory_settle_in(struct fmx_directory *directory, struct fmx_identity *identity)
{
    uint64_t away_ms = identity->kept->away_ms;
    uint64_t now_ms = fmx_clock_unix_ms();
    uint64_t gone_ns = away_ms > 0 && away_ms < now_ms ? (now_ms - away_ms) * FMX_NS_PER_MS : 0;

    if (away_ms == 0) { /* its client was there when the process ended */
        identity->kept->away_ms = now_ms;
        directory->events->changed(directory->shard, identity);
    }
    fmx_count(&directory->shard->counters.parked_now, 1);
    arm_expiry(directory, identity->kept, gone_ns);
}

void fmx_directory_forget(struct fmx_directory *directory, struct fmx_identity *identity)
{
    if (!fmx_session_id_equal(identity->owner, FMX_SESSION_NONE)) {
        identity->is_forgotten = true;
        return;
    }
    leave_away(directory, identity);
    remove_identity(directory, identity);
}

struct fmx_identity *fmx_directory_next(struct fmx_directory *directory, uint32_t *cursor)
{
    return fmx_slab_next(&directory->identities, cursor);
}

void fmx_directory_on_expiry(struct fmx_directory *directory, struct fmx_timer *timer)
{
    struct fmx_kept *kept = (struct fmx_kept *)((char *)timer - offsetof(struct fmx_kept, expiry));
    struct fmx_identity *identity = fmx_directory_at(directory, kept->identity);

    FMX_ASSERT(identity->kept == kept && fmx_session_id_equal(identity->owner, FMX_SESSION_NONE));
    fmx_count_down(&directory->shard->counters.parked_now, 1);
    remove_identity(directory, identity);
}

void fmx_directory_close(struct fmx_directory *directory)
{
    uint32_t cursor = 0;
    struct fmx_identity *identity;

    while ((identity = fmx_slab_next(&directory->identities, &cursor)) != NULL) {
        free(identity->next_claim);
        identity->next_claim = NULL;
        remove_identity(directory, identity);
    }
    fmx_index_close(&directory->index);
    fmx_slab_close(&directory->identities);
}
