/*
 * shard — one thread and everything it owns; the turn
 *
 * Why it is so:   a session lives and dies on one thread, so nothing on a packet's path is shared,
 *                 locked or counted atomically. What crosses to another shard is a message in a
 *                 queue
 * Words:          turn: one pass of the loop below; post: send a message to a shard; spill:
 *                 messages whose inbox is full, kept in order on the sender's side
 * Invariants:     (1) the steps of a turn always come in this order, each bounded:
 *                     enter the kernel · read the clock · settle · inboxes · steps of handshakes ·
 *                     completions · settle · timers · carried packets · settle · spills · sends ·
 *                     handshakes · buffers back · slots freed;
 *                     settle: ends and messages to ourselves. From the first settle to completions
 *                     it goes batch by batch
 *                 (2) nothing is freed before the last step: callbacks only mark and queue
 *                 (3) inboxes are emptied after a batch of completions has left the kernel and
 *                     before it is dealt with: who subscribed elsewhere before a message was
 *                     received here is known before that message is routed
 *                 (4) messages to one shard arrive in the order in which they were posted
 *                 (5) a shard sleeps only if no inbox has a message and no list has work
 * Memory:         everything below but the inboxes' other ends
 * Threads:        fmx_shard_open, turn, run, close: the shard's own. Other threads touch its bell,
 *                 its inboxes' heads and its counters
 * Limits:         TAKEN_MAX completions, and messages that came behind the first look, in a turn
 *                 (the rest stays in the rings); TIMERS_MAX, REARM_MAX
 * Not here:       who starts threads and listens: mux.c
 */
#include "engine/shard.h"

#include "engine/link.h"
#include "engine/mux.h"
#include "proto/limits.h"

#define TAKEN_MAX         4096u
#define COMPLETIONS_BATCH 256u
#define TIMERS_MAX        16384u
#define REARM_MAX         64u
#define SUBMIT_BATCH      128u /* so the kernel and the other end work while we still encode */
#define SPILL_MAX         65536u
#define SPILL_FIRST       64u
#define DRAIN_LOOK_NS     (10 * FMX_NS_PER_MS)
#define SPILL_LOOK_NS     100000u /* another shard's inbox is full: look again soon */

/* ── messages out ── */

static bool spill_grow(struct fmx_spill *spill)
{
    uint32_t capacity = spill->capacity == 0 ? SPILL_FIRST : spill->capacity * 2;
    struct fmx_msg *messages = malloc(capacity * sizeof(*messages));

    if (messages == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < spill->count; i++) {
        messages[i] = spill->messages[(spill->first + i) & (spill->capacity - 1)];
    }
    free(spill->messages);
    *spill = (struct fmx_spill){.messages = messages, .count = spill->count, .capacity = capacity};
    return true;
}

static void spill_push(struct fmx_spill *spill, const struct fmx_msg *message)
{
    if (spill->count == spill->capacity) {
        /* Losing it would lose a session or a message without a trace; there is no peer to blame.
           */
        bool grown = spill_grow(spill);
        FMX_ASSERT(grown);
    }
    spill->messages[(spill->first + spill->count++) & (spill->capacity - 1)] = *message;
}

static bool spill_pop(struct fmx_spill *spill, struct fmx_msg *out_message)
{
    if (spill->count == 0) {
        return false;
    }
    *out_message = spill->messages[spill->first & (spill->capacity - 1)];
    spill->first = (spill->first + 1) & (spill->capacity - 1);
    spill->count--;
    return true;
}

static struct fmx_inbox *inbox_of(struct fmx_shard *shard, uint32_t to_shard)
{
    return &fmx_mux_shard(shard->mux, to_shard)->inboxes[shard->index];
}

static void note_wake(struct fmx_shard *shard, uint32_t to_shard)
{
    shard->to_wake[to_shard / 64] |= 1ull << (to_shard % 64);
}

void fmx_shard_post(struct fmx_shard *shard, uint32_t to_shard, struct fmx_msg *message)
{
    struct fmx_spill *spill = &shard->spills[to_shard];

    FMX_ASSERT(to_shard < shard->shards_count);
    message->from_shard = (uint16_t)shard->index;
    if (to_shard == shard->index) {
        spill_push(spill, message);
        return;
    }
    fmx_count(&shard->counters.crossings, 1);
    note_wake(shard, to_shard);
    if (spill->count > 0 || !fmx_inbox_push(inbox_of(shard, to_shard), message)) {
        fmx_count(&shard->counters.crossings_waited, 1);
        spill_push(spill, message);
    }
}

bool fmx_shard_is_congested(const struct fmx_shard *shard, uint32_t to_shard)
{
    return to_shard != shard->index && shard->spills[to_shard].count > 0;
}

bool fmx_shard_is_jammed(const struct fmx_shard *shard, uint32_t to_shard)
{
    return to_shard != shard->index && shard->spills[to_shard].count >= SPILL_MAX;
}

static void push_spills(struct fmx_shard *shard)
{
    for (uint32_t to = 0; to < shard->shards_count; to++) {
        struct fmx_spill *spill = &shard->spills[to];
        while (to != shard->index && spill->count > 0) {
            struct fmx_msg *first = &spill->messages[spill->first];
            if (!fmx_inbox_push(inbox_of(shard, to), first)) {
                break;
            }
            note_wake(shard, to);
            (void)spill_pop(spill, &(struct fmx_msg){0});
        }
    }
}

/* One wake-up for all that this turn pushed, and none for a shard that is awake. */
static void ring_bells(struct fmx_shard *shard)
{
    for (uint32_t word = 0; word < (shard->shards_count + 63) / 64; word++) {
        while (shard->to_wake[word] != 0) {
            uint32_t to = word * 64 + (uint32_t)__builtin_ctzll(shard->to_wake[word]);
            shard->to_wake[word] &= shard->to_wake[word] - 1;
            struct fmx_shard *other = fmx_mux_shard(shard->mux, to);
            if (fmx_bell_must_ring(&other->bell)) {
                fmx_count(&shard->counters.wakeups, 1);
                fmx_ring_wake(other->ring);
            }
        }
    }
}

bool fmx_shard_has_spills(const struct fmx_shard *shard)
{
    for (uint32_t to = 0; to < shard->shards_count; to++) {
        if (shard->spills[to].count > 0) {
            return true;
        }
    }
    return false;
}

/* ── messages in ── */

static void begin_stop(struct fmx_shard *shard, uint32_t drain_ms);

static void renew_tls(struct fmx_shard *shard, const struct fmx_msg *message)
{
    struct fmx_listener *listener = &shard->listeners[message->renew_tls.listener];

    fmx_tls_context_drop(listener->tls);
    listener->tls = message->renew_tls.context;
}

static void take_message(struct fmx_shard *shard, struct fmx_msg *message)
{
    switch (message->kind) {
    case FMX_MSG_STOP:
        begin_stop(shard, message->stop.drain_ms);
        break;
    case FMX_MSG_RENEW_TLS:
        renew_tls(shard, message);
        break;
    default:
        shard->options->role->on_message(shard, message);
        break;
    }
}

static void discard(struct fmx_shard *shard, struct fmx_msg *message)
{
    if (message->kind == FMX_MSG_RENEW_TLS) {
        fmx_tls_context_drop(message->renew_tls.context);
    } else {
        shard->options->role->discard(shard, message);
    }
}

/* All that was there when we looked; what comes meanwhile belongs to the next look. */
static unsigned drain_inbox(struct fmx_shard *shard, struct fmx_inbox *inbox)
{
    uint32_t count = fmx_inbox_count(inbox);
    struct fmx_msg message;

    for (uint32_t left = count; left > 0; left--) {
        bool popped = fmx_inbox_pop(inbox, &message);
        FMX_ASSERT(popped);
        take_message(shard, &message);
    }
    return count;
}

/* While messages to other shards wait, callers are not: their queues fill, and they are told so. */
static bool is_heard(const struct fmx_mux_caller *caller, bool is_congested)
{
    return caller->is_own || !is_congested;
}

/* Returns how many messages there were. */
static unsigned drain_inboxes(struct fmx_shard *shard)
{
    unsigned heard = 0;

    for (uint32_t from = 0; from < shard->shards_count; from++) {
        if (from != shard->index) {
            heard += drain_inbox(shard, &shard->inboxes[from]);
        }
    }
    bool is_congested = fmx_shard_has_spills(shard);
    for (struct fmx_mux_caller *caller = fmx_mux_callers(shard->mux); caller != NULL;
         caller = caller->next) {
        if (is_heard(caller, is_congested)) {
            heard += drain_inbox(shard, &caller->inboxes[shard->index]);
        }
    }
    return heard;
}

static bool has_messages(struct fmx_shard *shard)
{
    bool is_congested = fmx_shard_has_spills(shard);

    if (fmx_handshakes_has_stepped(shard)) {
        return true;
    }
    for (uint32_t from = 0; from < shard->shards_count; from++) {
        if (from != shard->index && fmx_inbox_count(&shard->inboxes[from]) > 0) {
            return true;
        }
    }
    for (struct fmx_mux_caller *caller = fmx_mux_callers(shard->mux); caller != NULL;
         caller = caller->next) {
        if (is_heard(caller, is_congested) && fmx_inbox_count(&caller->inboxes[shard->index]) > 0) {
            return true;
        }
    }
    return false;
}

struct fmx_conn *fmx_shard_find(struct fmx_shard *shard, struct fmx_session_id id)
{
    if (fmx_session_id_shard(id) != shard->index) {
        return NULL;
    }
    return fmx_slab_find(&shard->conns, fmx_session_id_slot(id), fmx_session_id_generation(id));
}

/* ── accepting ── */

static void arm_listeners(struct fmx_shard *shard)
{
    for (uint32_t i = 0; i < shard->listeners_count; i++) {
        struct fmx_listener *listener = &shard->listeners[i];
        if (!listener->armed && !shard->stopping) {
            listener->armed = true;
            fmx_ring_prep_accept(shard->ring, listener->fd, fmx_op_pack(FMX_OP_ACCEPT, i, 0));
        }
    }
}

/* An accept that fails for want of a descriptor has closed that connection already. */
static void on_accept(struct fmx_shard *shard, const struct fmx_completion *completion)
{
    if (completion->result >= 0) {
        fmx_conn_accept(shard, fmx_op_slot(completion->tag), (uint32_t)completion->result);
    } else if (!shard->stopping) {
        fmx_count(&shard->counters.accepts_shed, 1);
    }
    if (!completion->more) {
        shard->listeners[fmx_op_slot(completion->tag)].armed = false;
    }
}

/* ── the turn ── */

static void dispatch(struct fmx_shard *shard, const struct fmx_completion *completion)
{
    switch (fmx_op_kind(completion->tag)) {
    case FMX_OP_ACCEPT:
        on_accept(shard, completion);
        break;
    case FMX_OP_TICK:
        shard->options->role->on_tick(shard);
        break;
    case FMX_OP_WAKE:
    case FMX_OP_CLOSE_ORPHAN:
        break;
    default:
        fmx_conn_on_completion(shard, completion);
        break;
    }
}

static void take_ends(struct fmx_shard *shard)
{
    struct fmx_conn *conn;

    while ((conn = fmx_list_pop(shard, &shard->lists[FMX_LIST_ENDED], FMX_LIST_ENDED)) != NULL) {
        fmx_conn_report_close(conn);
    }
}

/*
 * Ends and messages to ourselves, until there are none. What ends says so to its home, which may be
 * here, and may end another; an end is reported before anything that follows from it.
 */
static void settle(struct fmx_shard *shard)
{
    struct fmx_msg message;

    take_ends(shard);
    while (spill_pop(&shard->spills[shard->index], &message)) {
        take_message(shard, &message);
        take_ends(shard);
    }
}

/*
 * What others have said, then what peers have, batch by batch. All that was ready, not one slice of
 * it: else a busy shard would send in each turn and hardly read, until a long line makes up for it
 * with larger reads.
 */
static void take_all(struct fmx_shard *shard)
{
    struct fmx_completion batch[COMPLETIONS_BATCH];
    unsigned completions = 0;
    unsigned messages = 0; /* but those of the first look, which has a bound of its own */
    unsigned count;

    do {
        count = fmx_ring_reap(shard->ring, batch, COMPLETIONS_BATCH);
        settle(shard);
        unsigned heard = drain_inboxes(shard);
        fmx_handshakes_take(shard);
        for (unsigned i = 0; i < count; i++) {
            dispatch(shard, &batch[i]);
        }
        messages += completions > 0 ? heard : 0;
        completions += count;
    } while (completions + messages < TAKEN_MAX &&
             (count == COMPLETIONS_BATCH || fmx_ring_get_more(shard->ring)));
    fmx_count(&shard->counters.completions, completions);
}

static void take_timers(struct fmx_shard *shard)
{
    for (unsigned i = 0; i < TIMERS_MAX; i++) {
        struct fmx_timer *timer = fmx_wheel_pop(&shard->wheel, shard->now_ns);
        if (timer == NULL) {
            return;
        }
        if (timer->kind == FMX_TIMER_CONN) {
            fmx_conn_on_timer(
                (struct fmx_conn *)((char *)timer - offsetof(struct fmx_conn, timer)));
        } else if (timer->kind == FMX_TIMER_LINK) {
            fmx_link_on_timer(timer);
        } else {
            shard->options->role->on_timer(shard, timer);
        }
    }
}

/* Those that were ready when the step began; who becomes ready again waits for the next turn. */
static void take_ready(struct fmx_shard *shard)
{
    struct fmx_list ready = fmx_list_take(shard, FMX_LIST_READY);
    struct fmx_conn *conn;

    while ((conn = fmx_list_pop(shard, &ready, FMX_LIST_READY)) != NULL) {
        fmx_conn_on_ready(conn);
    }
}

static void rearm_starved(struct fmx_shard *shard)
{
    struct fmx_list *starved = &shard->lists[FMX_LIST_STARVED];

    for (unsigned i = 0; i < REARM_MAX && starved->first != 0; i++) {
        struct fmx_conn *conn = fmx_list_pop(shard, starved, FMX_LIST_STARVED);
        if (conn->state <= FMX_CONN_ENDING && !conn->is_paused) {
            fmx_conn_arm_recv(conn);
        } else {
            fmx_conn_join(conn);
        }
    }
}

static void flush_dirty(struct fmx_shard *shard)
{
    unsigned count = 0;

    while (shard->dirty != NULL) {
        struct fmx_conn *conn = shard->dirty;
        shard->dirty = conn->next_dirty;
        conn->is_dirty = false;
        fmx_conn_flush(conn);
        if (++count % SUBMIT_BATCH == 0) {
            fmx_ring_submit(shard->ring);
        }
    }
}

/* After all else has been sent: what is made here takes its time, and is dealt with next turn. */
static void go_on_with_handshakes(struct fmx_shard *shard)
{
    if (fmx_handshakes_are_queued(&shard->handshakes)) {
        fmx_ring_submit(shard->ring);
    }
    fmx_handshakes_go_on(shard);
}

static void free_closed(struct fmx_shard *shard)
{
    struct fmx_list closed = fmx_list_take(shard, FMX_LIST_CLOSED);
    struct fmx_conn *conn;

    while ((conn = fmx_list_pop(shard, &closed, FMX_LIST_CLOSED)) != NULL) {
        if (fmx_list_has_any(conn) || conn->is_dirty) {
            fmx_list_push(conn, FMX_LIST_CLOSED); /* next turn */
        } else {
            fmx_conn_release(conn);
        }
    }
}

static uint64_t wait_allowed(struct fmx_shard *shard)
{
    uint64_t look_ns = UINT64_MAX;

    for (unsigned kind = 0; kind < FMX_LISTS_COUNT; kind++) {
        if (shard->lists[kind].first != 0) {
            return 0;
        }
    }
    if (shard->spills[shard->index].count > 0 || shard->handshakes.are_made_here) {
        return 0;
    }
    if (fmx_shard_has_spills(shard)) {
        look_ns = shard->now_ns + SPILL_LOOK_NS;
    } else if (shard->stopping) {
        look_ns = shard->now_ns + DRAIN_LOOK_NS;
    }
    uint64_t next_ns = fmx_wheel_next_ns(&shard->wheel);
    uint64_t handshake_ns = fmx_handshakes_next_ns(shard);
    next_ns = next_ns < look_ns ? next_ns : look_ns;
    next_ns = next_ns < handshake_ns ? next_ns : handshake_ns;
    if (next_ns == UINT64_MAX) {
        return FMX_RING_FOREVER;
    }
    uint64_t now_ns = fmx_ring_now(shard->ring);
    return next_ns > now_ns ? next_ns - now_ns : 0;
}

static void enter_kernel(struct fmx_shard *shard)
{
    uint64_t wait_ns = wait_allowed(shard);

    if (wait_ns > 0) {
        fmx_bell_arm(&shard->bell);
        if (has_messages(shard)) {
            wait_ns = 0;
        }
    }
    fmx_ring_enter(shard->ring, wait_ns);
    fmx_bell_disarm(&shard->bell);
}

static void count_turn(struct fmx_shard *shard)
{
    struct fmx_counters *counters = &shard->counters;
    uint64_t took_ns = fmx_ring_now(shard->ring) - shard->now_ns;

    fmx_count(&counters->turns, 1);
    fmx_count_set(&counters->enters, fmx_ring_enters(shard->ring));
    fmx_count_set(&counters->queued_bytes_now, shard->pool.bytes);
    if (took_ns > atomic_load_explicit(&counters->turn_ns_longest, memory_order_relaxed)) {
        fmx_count_set(&counters->turn_ns_longest, took_ns);
    }
}

void fmx_shard_turn(struct fmx_shard *shard)
{
    arm_listeners(shard);
    enter_kernel(shard);
    shard->now_ns = fmx_ring_now(shard->ring);
    shard->turn++;
    take_all(shard);
    settle(shard);
    take_timers(shard);
    take_ready(shard);
    settle(shard);
    push_spills(shard);
    shard->options->role->on_turn(shard); /* after it: who waits for room sees that there is some */
    ring_bells(shard);
    flush_dirty(shard);
    go_on_with_handshakes(shard);
    fmx_ring_give_flush(shard->ring);
    rearm_starved(shard);
    free_closed(shard);
    count_turn(shard);
}

/* ── open, stop, close ── */

static enum fmx_status open_parts(struct fmx_shard *shard)
{
    const struct fmx_shard_options *options = shard->options;
    uint32_t slot_bytes = (uint32_t)sizeof(struct fmx_conn) + options->role->session_bytes;

    shard->scratch = malloc(FMX_SHARD_SCRATCH_BYTES);
    shard->spills = calloc(shard->shards_count, sizeof(*shard->spills));
    shard->to_wake = calloc((shard->shards_count + 63) / 64, sizeof(*shard->to_wake));
    if (shard->scratch == NULL || shard->spills == NULL || shard->to_wake == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    shard->now_ns = fmx_ring_now(shard->ring);
    fmx_wheel_init(&shard->wheel, shard->now_ns);
    fmx_pool_init(&shard->pool);
    enum fmx_status status = fmx_handshakes_open(shard, &options->tls, options->tls_pool);
    if (status == FMX_OK) {
        status = fmx_slab_open(&shard->conns, slot_bytes, options->ring.files_count);
    }
    return status == FMX_OK ? options->role->open_shard(shard) : status;
}

enum fmx_status fmx_shard_open(struct fmx_shard *shard, char *error, size_t error_bytes)
{
    enum fmx_status status = fmx_ring_open(&shard->options->ring, &shard->ring, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    status = open_parts(shard);
    if (status != FMX_OK) {
        snprintf(error, error_bytes, "shard %u: %s", shard->index, fmx_status_text(status));
    }
    return status;
}

static void begin_stop(struct fmx_shard *shard, uint32_t drain_ms)
{
    uint32_t cursor = 0;
    struct fmx_conn *conn;

    if (shard->stopping) {
        shard->drain_deadline_ns = shard->now_ns; /* asked twice: at once */
        return;
    }
    shard->stopping = true;
    shard->drain_deadline_ns = shard->now_ns + drain_ms * FMX_NS_PER_MS;
    for (uint32_t i = 0; i < shard->listeners_count; i++) {
        if (shard->listeners[i].armed) {
            fmx_ring_prep_cancel(shard->ring, fmx_op_pack(FMX_OP_ACCEPT, i, 0),
                                 fmx_op_pack(FMX_OP_CANCEL, 0, 0));
        }
    }
    shard->options->role->on_stop(shard);
    while ((conn = fmx_slab_next(&shard->conns, &cursor)) != NULL) {
        fmx_conn_close(conn, FMX_E_SHUTDOWN);
    }
}

static bool listeners_are_idle(const struct fmx_shard *shard)
{
    for (uint32_t i = 0; i < shard->listeners_count; i++) {
        if (shard->listeners[i].armed) {
            return false;
        }
    }
    return true;
}

/* The deadline has passed: no more waiting for peers, and no role's hold. */
static void force_ends(struct fmx_shard *shard)
{
    uint32_t cursor = 0;
    struct fmx_conn *conn;

    while ((conn = fmx_slab_next(&shard->conns, &cursor)) != NULL) {
        fmx_conn_abort(conn, FMX_E_SHUTDOWN, 0);
        fmx_conn_unhold(conn);
    }
}

static bool is_drained(struct fmx_shard *shard)
{
    if (!shard->stopping) {
        return false;
    }
    if (shard->now_ns >= shard->drain_deadline_ns) {
        force_ends(shard);
    }
    return shard->conns.used == 0 && listeners_are_idle(shard) &&
           shard->options->role->is_drained(shard);
}

void fmx_shard_run(struct fmx_shard *shard)
{
    do {
        fmx_shard_turn(shard);
    } while (!is_drained(shard));
}

/* Other shards may have written to us after our last turn. */
void fmx_shard_discard(struct fmx_shard *shard)
{
    struct fmx_msg message;

    for (uint32_t i = 0; i < shard->shards_count; i++) {
        while (i != shard->index && fmx_inbox_pop(&shard->inboxes[i], &message)) {
            discard(shard, &message);
        }
        while (spill_pop(&shard->spills[i], &message)) {
            discard(shard, &message);
        }
    }
    for (struct fmx_mux_caller *caller = fmx_mux_callers(shard->mux); caller != NULL;
         caller = caller->next) {
        while (fmx_inbox_pop(&caller->inboxes[shard->index], &message)) {
            discard(shard, &message);
        }
    }
}

static void close_spills(struct fmx_shard *shard)
{
    for (uint32_t to = 0; shard->spills != NULL && to < shard->shards_count; to++) {
        free(shard->spills[to].messages);
    }
    free(shard->spills);
    free(shard->to_wake);
}

void fmx_shard_close(struct fmx_shard *shard)
{
    if (shard->ring == NULL) {
        return;
    }
    if (shard->conns.chunks != NULL) {
        fmx_shard_discard(shard);
        shard->options->role->close_shard(shard);
        fmx_links_close(shard);
        fmx_slab_close(&shard->conns);
        fmx_pool_wipe(&shard->pool);
    }
    fmx_handshakes_close(shard);
    fmx_ring_close(shard->ring);
    shard->ring = NULL;
    close_spills(shard);
    free(shard->scratch);
}
