/*
 * handshakes — a shard's TLS handshakes: whose step is next, and how many there may be
 *
 * Why it is so:   a storm of handshakes must not be felt by those whose handshake is done. So each
 *                 step waits in one queue, first come first served, and goes to a worker, or is
 *                 made here after all else of a turn has been done and sent, within a budget
 * Words:          step: one call of fmx_tls_handshake; rate: full ECDSA handshakes a second are
 *                 begun; a resumed one costs less of it, RSA more, which is known afterwards;
 *                 begun: has been paid for, so it goes before those that have not
 * Invariants:     (1) a connection is in the queue, or with a worker, or neither; while it is in
 *                 either it cannot be freed (tls_waits) (2) `unfinished` and the counts of
 *                 addresses go down exactly once, when the handshake is done or given up
 * Memory:         a slot for each TLS connection, as long as the connection; a job for a step
 * Threads:        owning shard; `stepped` is pushed to by workers
 * Limits:         unfinished_max, unfinished_per_address_max: above them closed and counted; who
 *                 waits for half its handshake's time is closed and counted too
 * Not here:       what comes before and after a step: conn_tls.c
 */
#include "engine/handshakes.h"

#include "engine/conn_tls.h"
#include "engine/options.h"
#include "engine/shard.h"
#include "engine/tls_pool.h"
#include "proto/limits.h"

#define RATE_AHEAD_NS     (FMX_NS_PER_S / 10) /* what may be saved up for a burst */
#define RSA_COSTS         6                   /* full ECDSA handshakes */
#define RESUMED_SHARES    8                   /* of what a full one costs, a resumed one in 1.2 */
#define RESUMED_13_SHARES 2                   /* it still agrees on a key */

enum fmx_status fmx_handshakes_open(struct fmx_shard *shard, const struct fmx_tls_limits *limits,
                                    struct fmx_tls_pool *pool)
{
    struct fmx_handshakes *handshakes = &shard->handshakes;

    handshakes->limits = *limits;
    handshakes->pool = pool;
    enum fmx_status status = fmx_slab_open(&handshakes->conns, sizeof(struct fmx_conn_tls),
                                           shard->options->ring.files_count);
    return status == FMX_OK ? fmx_sources_open(&handshakes->sources, fmx_options_seed()) : status;
}

void fmx_handshakes_close(struct fmx_shard *shard)
{
    struct fmx_handshakes *handshakes = &shard->handshakes;

    fmx_sources_close(&handshakes->sources);
    fmx_slab_close(&handshakes->conns);
    free(handshakes->plaintext);
}

struct fmx_conn_tls *fmx_conn_tls_at(const struct fmx_shard *shard, uint32_t number)
{
    return fmx_slab_at(&shard->handshakes.conns, number - 1);
}

static bool has_plaintext_room(struct fmx_handshakes *handshakes)
{
    if (handshakes->plaintext == NULL) {
        handshakes->plaintext = malloc(FMX_TLS_PLAINTEXT_BYTES_MAX);
    }
    return handshakes->plaintext != NULL;
}

struct fmx_conn_tls *fmx_handshakes_add(struct fmx_conn *conn)
{
    struct fmx_handshakes *handshakes = &conn->shard->handshakes;

    if (!has_plaintext_room(handshakes)) {
        return NULL;
    }
    struct fmx_conn_tls *tls = fmx_slab_take(&handshakes->conns);
    if (tls != NULL) {
        tls->conn = conn->slot.index;
        tls->begun_ns = conn->shard->now_ns;
        conn->tls = tls->slot.index + 1;
    }
    return tls;
}

bool fmx_handshakes_enter(struct fmx_conn *conn)
{
    struct fmx_handshakes *handshakes = &conn->shard->handshakes;

    if (conn->session.side == FMX_SIDE_SERVER &&
        handshakes->unfinished >= handshakes->limits.unfinished_max) {
        return false;
    }
    fmx_conn_tls_of(conn)->is_counted = true;
    handshakes->unfinished++;
    fmx_count(&conn->shard->counters.tls_unfinished_now, 1);
    return true;
}

void fmx_handshakes_leave(struct fmx_conn *conn)
{
    struct fmx_handshakes *handshakes = &conn->shard->handshakes;
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);

    if (tls->is_counted) {
        fmx_sources_give(&handshakes->sources, tls->source);
        tls->source = 0;
        tls->is_counted = false;
        handshakes->unfinished--;
        fmx_count_down(&conn->shard->counters.tls_unfinished_now, 1);
    }
}

/* ── the rate ── */

static uint64_t full_cost_ns(const struct fmx_handshakes *handshakes)
{
    return FMX_NS_PER_S / handshakes->limits.handshakes_per_second;
}

static bool rate_allows(const struct fmx_shard *shard)
{
    return shard->handshakes.paid_ns <= shard->now_ns + RATE_AHEAD_NS;
}

static void charge(struct fmx_shard *shard)
{
    struct fmx_handshakes *handshakes = &shard->handshakes;
    uint64_t from_ns = handshakes->paid_ns > shard->now_ns ? handshakes->paid_ns : shard->now_ns;

    handshakes->paid_ns = from_ns + full_cost_ns(handshakes);
}

/*
 * RSA is paid for as soon as it has been made: who goes away after the first step has had it too.
 * What resuming saves is known at the end.
 */
void fmx_handshakes_settle_rate(struct fmx_conn *conn, enum fmx_status status)
{
    struct fmx_handshakes *handshakes = &conn->shard->handshakes;
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    uint64_t full_ns = full_cost_ns(handshakes);
    struct fmx_tls_facts facts;

    if (!tls->is_charged) {
        return;
    }
    if (!tls->is_charged_rsa && fmx_tls_stream_used_rsa(tls->stream)) {
        tls->is_charged_rsa = true;
        handshakes->paid_ns += (RSA_COSTS - 1) * full_ns;
    }
    if (status == FMX_OK) {
        fmx_tls_stream_facts(tls->stream, &facts);
        if (facts.resumed) {
            uint64_t shares = facts.version == FMX_TLS_13 ? RESUMED_13_SHARES : RESUMED_SHARES;
            handshakes->paid_ns -= full_ns - full_ns / shares;
        }
    }
}

/* ── the queue ── */

/* The server's side only: a client has its own deadline, and its owner a rate of his own. */
static bool is_begun(const struct fmx_conn *conn, const struct fmx_conn_tls *tls)
{
    return tls->is_charged || conn->session.side == FMX_SIDE_CLIENT;
}

void fmx_handshakes_queue(struct fmx_conn *conn)
{
    struct fmx_handshakes *handshakes = &conn->shard->handshakes;
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    struct fmx_handshake_queue *queue =
        is_begun(conn, tls) ? &handshakes->begun : &handshakes->fresh;

    FMX_ASSERT(!conn->tls_waits);
    conn->tls_waits = true;
    tls->phase = FMX_TLS_QUEUED;
    tls->next = 0;
    if (queue->first == 0) {
        queue->first = conn->tls;
    } else {
        fmx_conn_tls_at(conn->shard, queue->last)->next = conn->tls;
    }
    queue->last = conn->tls;
}

static struct fmx_conn *conn_of(struct fmx_shard *shard, const struct fmx_conn_tls *tls)
{
    return fmx_slab_at(&shard->conns, tls->conn);
}

static struct fmx_conn *take_first(struct fmx_shard *shard, struct fmx_handshake_queue *queue)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_at(shard, queue->first);
    struct fmx_conn *conn = conn_of(shard, tls);

    queue->first = tls->next;
    conn->tls_waits = false;
    return conn;
}

/* Nobody is left to shake hands with, or he has waited too long to wait for the rest. */
static bool is_vain(const struct fmx_conn *conn, const struct fmx_conn_tls *tls)
{
    uint64_t timeout_ns = fmx_conn_tls_handshake_ns(conn);

    return conn->peer_ended || conn->shard->now_ns - tls->begun_ns > timeout_ns / 2;
}

static void give_up(struct fmx_conn *conn)
{
    if (conn->peer_ended) {
        fmx_conn_abort(conn, fmx_conn_peer_end(conn), 0);
    } else {
        fmx_count(&conn->shard->counters.tls_shed, 1);
        fmx_conn_abort(conn, FMX_TLS_BUSY, 0);
    }
}

static struct fmx_conn *pop_begun(struct fmx_shard *shard)
{
    struct fmx_handshake_queue *queue = &shard->handshakes.begun;

    while (queue->first != 0) {
        struct fmx_conn *conn = take_first(shard, queue);
        if (conn->state < FMX_CONN_ENDING) {
            return conn;
        }
        fmx_conn_join(conn);
    }
    return NULL;
}

/* Those that are vain do not wait for the rate, and cost nothing of it. */
static struct fmx_conn *pop_fresh(struct fmx_shard *shard)
{
    struct fmx_handshake_queue *queue = &shard->handshakes.fresh;

    while (queue->first != 0) {
        struct fmx_conn_tls *tls = fmx_conn_tls_at(shard, queue->first);
        struct fmx_conn *conn = conn_of(shard, tls);
        bool has_ended = conn->state >= FMX_CONN_ENDING;
        if (!has_ended && is_vain(conn, tls)) {
            give_up(conn);
            has_ended = true;
        }
        if (!has_ended && !rate_allows(shard)) {
            fmx_count(&shard->counters.tls_delayed, !tls->is_delayed);
            tls->is_delayed = true;
            return NULL;
        }
        (void)take_first(shard, queue);
        if (!has_ended) {
            tls->is_charged = true;
            charge(shard);
            return conn;
        }
        fmx_conn_join(conn);
    }
    return NULL;
}

static struct fmx_conn *pop(struct fmx_shard *shard)
{
    struct fmx_conn *conn = pop_begun(shard);

    return conn != NULL ? conn : pop_fresh(shard);
}

/* ── steps ── */

/* The SSL is made with the first step: who only waits costs no more than what it has sent. */
static bool has_stream(struct fmx_conn *conn)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);

    if (tls->stream == NULL) {
        tls->stream = fmx_tls_accept(conn->shard->listeners[conn->listener].tls);
    }
    return tls->stream != NULL;
}

static void step_here(struct fmx_conn *conn)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    struct fmx_tls_sink sink = fmx_conn_tls_sink(conn);
    struct fmx_carry *records = fmx_conn_tls_detach_records(conn);
    fmx_slice left = fmx_carry_span(records);

    enum fmx_status status = fmx_tls_handshake(tls->stream, conn->shard->index, &left, &sink);
    fmx_conn_tls_stepped(conn, status, left);
    fmx_carry_drop(&records);
}

static bool step_there(struct fmx_conn *conn)
{
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);
    struct fmx_tls_job *job = malloc(sizeof(*job));

    if (job == NULL) {
        return false;
    }
    *job = (struct fmx_tls_job){.shard = conn->shard,
                                .stream = tls->stream,
                                .records = fmx_conn_tls_detach_records(conn),
                                .conn = conn->slot.index};
    tls->phase = FMX_TLS_STEPPING;
    conn->tls_waits = true;
    fmx_tls_pool_push(conn->shard->handshakes.pool, job);
    return true;
}

static void step(struct fmx_conn *conn)
{
    bool is_begun = has_stream(conn);

    if (is_begun && conn->shard->handshakes.pool == NULL) {
        step_here(conn);
    } else if (!is_begun || !step_there(conn)) {
        fmx_conn_abort(conn, FMX_LIMIT_MEMORY, 0);
    }
}

/* Shards that leave the workers nothing of the processor make steps for them. */
static void help_workers(struct fmx_shard *shard, uint64_t end_ns)
{
    while (fmx_tls_pool_help(shard->handshakes.pool, shard->index, shard->now_ns) &&
           fmx_ring_now(shard->ring) < end_ns) {
    }
}

void fmx_handshakes_go_on(struct fmx_shard *shard)
{
    struct fmx_handshakes *handshakes = &shard->handshakes;
    uint64_t end_ns = shard->now_ns + handshakes->limits.turn_budget_us * 1000ull;
    struct fmx_conn *conn;

    handshakes->are_made_here = false;
    if (fmx_handshakes_are_queued(handshakes)) {
        end_ns = fmx_ring_now(shard->ring) + handshakes->limits.turn_budget_us * 1000ull;
        while (fmx_ring_now(shard->ring) < end_ns && (conn = pop(shard)) != NULL) {
            handshakes->are_made_here = handshakes->pool == NULL;
            step(conn);
        }
    }
    if (handshakes->pool != NULL) {
        help_workers(shard, end_ns);
    }
}

/* ── back from workers ── */

bool fmx_handshakes_has_stepped(struct fmx_shard *shard)
{
    return atomic_load_explicit(&shard->handshakes.stepped, memory_order_acquire) != NULL;
}

static struct fmx_tls_job *oldest_first(struct fmx_tls_job *job)
{
    struct fmx_tls_job *turned = NULL;

    while (job != NULL) {
        struct fmx_tls_job *next = job->next;
        job->next = turned;
        turned = job;
        job = next;
    }
    return turned;
}

static void take_back(struct fmx_shard *shard, struct fmx_tls_job *job)
{
    struct fmx_conn *conn = fmx_slab_at(&shard->conns, job->conn);
    struct fmx_tls_sink sink = fmx_conn_tls_sink(conn);
    enum fmx_status status = job->status;

    conn->tls_waits = false;
    if (conn->state < FMX_CONN_ENDING && job->out != NULL &&
        !sink.write(sink.user, fmx_carry_span(job->out))) {
        status = FMX_LIMIT_MEMORY;
    }
    fmx_conn_tls_stepped(conn, status, fmx_carry_span(job->records));
    fmx_carry_drop(&job->records);
    fmx_carry_drop(&job->out);
    free(job);
}

void fmx_handshakes_take(struct fmx_shard *shard)
{
    if (!fmx_handshakes_has_stepped(shard)) {
        return;
    }
    struct fmx_tls_job *job = oldest_first(
        atomic_exchange_explicit(&shard->handshakes.stepped, NULL, memory_order_acquire));
    while (job != NULL) {
        struct fmx_tls_job *next = job->next;
        take_back(shard, job);
        job = next;
    }
}

/* ── time ── */

static uint64_t rate_next_ns(const struct fmx_handshakes *handshakes)
{
    return handshakes->paid_ns <= RATE_AHEAD_NS ? 0 : handshakes->paid_ns - RATE_AHEAD_NS;
}

/* Times that are past mean at once. */
uint64_t fmx_handshakes_next_ns(const struct fmx_shard *shard)
{
    const struct fmx_handshakes *handshakes = &shard->handshakes;
    uint64_t help_ns =
        handshakes->pool == NULL ? UINT64_MAX : fmx_tls_pool_help_ns(handshakes->pool);

    if (handshakes->begun.first != 0) {
        return 0;
    }
    if (handshakes->fresh.first == 0) {
        return help_ns;
    }
    uint64_t rate_ns = rate_next_ns(handshakes);
    return rate_ns < help_ns ? rate_ns : help_ns;
}
