/*
 * handshakes — a shard's TLS handshakes: whose step is next, and how many there may be
 *
 * Why it is so:   a storm of handshakes must not be felt by those whose handshake is done. So each
 *                 step waits in one queue, first come first served, and goes to a worker, or is
 *                 made here after all else of a turn has been done and sent, within a budget
 * Words:          step: one call of fmx_tls_handshake; rate: full ECDSA handshakes a second are
 *                 begun; a resumed one costs less of it, RSA more, which is known afterwards
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
    bool is_server = conn->session.side == FMX_SIDE_SERVER;

    if ((is_server && handshakes->unfinished >= handshakes->limits.unfinished_max) ||
        !has_plaintext_room(handshakes)) {
        return NULL;
    }
    struct fmx_conn_tls *tls = fmx_slab_take(&handshakes->conns);
    if (tls == NULL) {
        return NULL;
    }
    tls->conn = conn->slot.index;
    tls->begun_ns = conn->shard->now_ns;
    conn->tls = tls->slot.index + 1;
    handshakes->unfinished++;
    fmx_count(&conn->shard->counters.tls_unfinished_now, 1);
    return tls;
}

void fmx_handshakes_leave(struct fmx_conn *conn)
{
    struct fmx_handshakes *handshakes = &conn->shard->handshakes;
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);

    fmx_sources_give(&handshakes->sources, tls->source);
    tls->source = 0;
    handshakes->unfinished--;
    fmx_count_down(&conn->shard->counters.tls_unfinished_now, 1);
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

void fmx_handshakes_settle_rate(struct fmx_shard *shard, const struct fmx_tls_stream *stream)
{
    struct fmx_handshakes *handshakes = &shard->handshakes;
    uint64_t full_ns = full_cost_ns(handshakes);
    struct fmx_tls_facts facts;

    fmx_tls_stream_facts(stream, &facts);
    if (facts.resumed) {
        uint64_t shares = facts.version == FMX_TLS_13 ? RESUMED_13_SHARES : RESUMED_SHARES;
        handshakes->paid_ns -= full_ns - full_ns / shares;
    } else if (fmx_tls_stream_used_rsa(stream)) {
        handshakes->paid_ns += (RSA_COSTS - 1) * full_ns;
    }
}

/* ── the queue ── */

void fmx_handshakes_queue(struct fmx_conn *conn)
{
    struct fmx_handshakes *handshakes = &conn->shard->handshakes;
    struct fmx_conn_tls *tls = fmx_conn_tls_of(conn);

    FMX_ASSERT(!conn->tls_waits);
    conn->tls_waits = true;
    tls->phase = FMX_TLS_QUEUED;
    tls->waiting_ns = conn->shard->now_ns;
    tls->next = 0;
    if (handshakes->first == 0) {
        handshakes->first = conn->tls;
    } else {
        fmx_conn_tls_at(conn->shard, handshakes->last)->next = conn->tls;
    }
    handshakes->last = conn->tls;
}

static struct fmx_conn *conn_of(struct fmx_shard *shard, const struct fmx_conn_tls *tls)
{
    return fmx_slab_at(&shard->conns, tls->conn);
}

/* The server's side only: a client has its own deadline, and its owner a rate of his own. */
static bool must_wait(struct fmx_shard *shard, const struct fmx_conn *conn,
                      struct fmx_conn_tls *tls)
{
    if (conn->session.side == FMX_SIDE_CLIENT || conn->state >= FMX_CONN_ENDING ||
        tls->is_charged) {
        return false;
    }
    if (!rate_allows(shard)) {
        if (!tls->is_delayed) {
            tls->is_delayed = true;
            fmx_count(&shard->counters.tls_delayed, 1);
        }
        return true;
    }
    tls->is_charged = true;
    charge(shard);
    return false;
}

static bool is_stale(struct fmx_shard *shard, const struct fmx_conn *conn,
                     const struct fmx_conn_tls *tls)
{
    const struct fmx_tls_context *context = shard->listeners[conn->listener].tls;

    return conn->session.side == FMX_SIDE_SERVER && context != NULL &&
           shard->now_ns - tls->begun_ns >
               fmx_tls_context_bounds(context)->handshake_timeout_ms * FMX_NS_PER_MS / 2;
}

static void shed(struct fmx_conn *conn)
{
    fmx_count(&conn->shard->counters.tls_shed, 1);
    fmx_conn_abort(conn, FMX_TLS_BUSY, 0);
}

/* A connection that waits too long in front is shed, so that those behind it still get through. */
static struct fmx_conn *pop(struct fmx_shard *shard)
{
    struct fmx_handshakes *handshakes = &shard->handshakes;

    while (handshakes->first != 0) {
        struct fmx_conn_tls *tls = fmx_conn_tls_at(shard, handshakes->first);
        struct fmx_conn *conn = conn_of(shard, tls);
        bool is_late = !tls->is_charged && is_stale(shard, conn, tls);
        if (!is_late && must_wait(shard, conn, tls)) {
            return NULL;
        }
        handshakes->first = tls->next;
        conn->tls_waits = false;
        if (conn->state < FMX_CONN_ENDING && !is_late) {
            return conn;
        }
        if (conn->state < FMX_CONN_ENDING) {
            shed(conn);
        }
        fmx_conn_join(conn);
    }
    return NULL;
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

static void make_steps(struct fmx_shard *shard)
{
    const struct fmx_handshakes *handshakes = &shard->handshakes;
    uint64_t end_ns = fmx_ring_now(shard->ring) + handshakes->limits.turn_budget_us * 1000ull;
    struct fmx_conn *conn;

    while (fmx_ring_now(shard->ring) < end_ns && (conn = pop(shard)) != NULL) {
        shard->handshakes.are_made_here = true;
        step(conn);
    }
}

/* Shards that leave the workers nothing of the processor make steps for them. */
static void pass_on_steps(struct fmx_shard *shard)
{
    const struct fmx_handshakes *handshakes = &shard->handshakes;
    uint64_t end_ns = shard->now_ns + handshakes->limits.turn_budget_us * 1000ull;
    struct fmx_conn *conn;

    while ((conn = pop(shard)) != NULL) {
        step(conn);
    }
    while (fmx_tls_pool_help(handshakes->pool, shard->index, shard->now_ns) &&
           fmx_ring_now(shard->ring) < end_ns) {
    }
}

void fmx_handshakes_go_on(struct fmx_shard *shard)
{
    struct fmx_handshakes *handshakes = &shard->handshakes;

    handshakes->are_made_here = false;
    if (handshakes->pool != NULL) {
        pass_on_steps(shard);
    } else if (handshakes->first != 0) {
        make_steps(shard);
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

uint64_t fmx_handshakes_next_ns(const struct fmx_shard *shard)
{
    const struct fmx_handshakes *handshakes = &shard->handshakes;

    if (handshakes->first == 0) {
        return UINT64_MAX;
    }
    const struct fmx_conn_tls *tls = fmx_conn_tls_at(shard, handshakes->first);
    if (tls->is_charged || handshakes->paid_ns <= RATE_AHEAD_NS) {
        return 0;
    }
    return handshakes->paid_ns - RATE_AHEAD_NS; /* perhaps long past: at once */
}
