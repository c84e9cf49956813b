/*
 * fake_load — runs whose limit is known, since they are made of arithmetic
 *
 * Why it is so:   a verdict is tested against the truth, and of a real run nobody knows it. Here
 *                 the truth is three numbers: what is planned, what the generator can, what the
 *                 server can; the queues between them make of it what a recorder sees
 * Words:          parcel: messages that fell due in the same step; budget: messages a side can
 *                 handle in a step
 * Memory:         queues that grow; a distribution for each latency that is told
 * Threads:        one
 */
#include "tests/support/fake_load.h"
#include "tests/support/prng.h"
#include "tools/fleetmux/verdict.h"

#include <CUnit/CUnit.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP_S   0.005
#define STEP_NS  UINT64_C(5000000)
#define INFLIGHT 1024.0
#define ACK_COST 0.3
#define RETRY_S  0.2
#define SEGMENTS 2.0 /* of a message and its acknowledgement */
#define TICKS    50  /* a second and shard */

struct parcel {
    double due_s, sent_s, ready_s;
    double count;
    bool is_blocked;
};

struct queue {
    struct parcel *parcels;
    size_t first, count, capacity;
    double messages;
};

struct fake_load {
    struct fake_load_plan plan;
    struct result *result;
    struct fmx_prng prng;
    double now_s, factor;
    double planned_rest, due_rest;
    struct queue due, taken, answered; /* by us, by the server */
    struct queue connects, connecting;
    double outstanding;
    double planned, sent, acked; /* exact; counters are rounded */
    double connects_planned, connects_begun, connects_ok, connects_failed;
    double busy_s, segments, again;
    bool is_ending;
    struct fmx_distribution *second[FMX_FLEET_LATENCIES];
    struct fmx_distribution *mark[FMX_FLEET_LATENCIES];
};

/* ── chance ── */

static double chance(struct fake_load *load)
{
    return (double)(fmx_prng_next(&load->prng) >> 11) * 0x1p-53;
}

static double exponential(struct fake_load *load, double mean)
{
    return -mean * log(1 - chance(load));
}

/* ── queues ── */

static void queue_push(struct queue *queue, struct parcel parcel)
{
    if (queue->first + queue->count == queue->capacity) {
        if (queue->count > 0) {
            memmove(queue->parcels, queue->parcels + queue->first, queue->count * sizeof(parcel));
        }
        queue->first = 0;
        if (queue->count * 2 >= queue->capacity) {
            queue->capacity = queue->capacity == 0 ? 256 : 2 * queue->capacity;
            queue->parcels = realloc(queue->parcels, queue->capacity * sizeof(parcel));
            CU_ASSERT_PTR_NOT_NULL_FATAL(queue->parcels);
        }
    }
    queue->parcels[queue->first + queue->count++] = parcel;
    queue->messages += parcel.count;
}

static struct parcel *queue_head(struct queue *queue)
{
    return queue->count > 0 ? &queue->parcels[queue->first] : NULL;
}

/* Takes up to so many messages of the first parcel. */
static struct parcel queue_take(struct queue *queue, double most)
{
    struct parcel *head = queue_head(queue);
    struct parcel taken = *head;

    taken.count = fmin(most, head->count);
    head->count -= taken.count;
    queue->messages -= taken.count;
    if (head->count < 1e-9) {
        queue->first++;
        queue->count--;
    }
    return taken;
}

/* What is left waits for the other side. */
static void mark_blocked(struct queue *queue)
{
    for (size_t i = 0; i < queue->count; i++) {
        queue->parcels[queue->first + i].is_blocked = true;
    }
}

/* ── measuring ── */

static void measure(struct fake_load *load, enum fmx_fleet_latency latency, double seconds,
                    double count)
{
    uint64_t whole = (uint64_t)count + (chance(load) < count - floor(count) ? 1 : 0);

    fmx_distribution_record(load->second[latency], (uint64_t)(fmax(seconds, 0) * 1e9), whole);
}

static bool is_stalled(const struct fake_load *load)
{
    const struct fake_load_plan *plan = &load->plan;

    return load->now_s >= plan->stall_at_s && load->now_s < plan->stall_at_s + plan->stall_s;
}

static bool are_we_stalled(const struct fake_load *load)
{
    const struct fake_load_plan *plan = &load->plan;

    return load->now_s >= plan->own_stall_at_s &&
           load->now_s < plan->own_stall_at_s + plan->own_stall_s;
}

/* ── connects ── */

static void plan_connects(struct fake_load *load)
{
    double wanted =
        fmin(load->plan.connect_rate * STEP_S, load->plan.clients - load->connects_planned);

    if (wanted > 0) {
        load->connects_planned += wanted;
        queue_push(&load->connects, (struct parcel){.due_s = load->now_s, .count = wanted});
    }
    while (load->connects.count > 0 && load->connecting.messages < INFLIGHT - 1e-9) {
        struct parcel parcel = queue_take(&load->connects, INFLIGHT - load->connecting.messages);
        measure(load, parcel.is_blocked ? FMX_FLEET_BLOCKED : FMX_FLEET_LAG,
                load->now_s - parcel.due_s + exponential(load, load->plan.noise_s), parcel.count);
        load->connects_begun += parcel.count;
        parcel.ready_s = load->now_s + load->plan.base_s;
        queue_push(&load->connecting, parcel);
    }
    mark_blocked(&load->connects);
}

static void answer_connects(struct fake_load *load)
{
    double budget = load->plan.server_connects > 0 ? load->plan.server_connects * STEP_S : 1e12;

    while (load->connecting.count > 0 && queue_head(&load->connecting)->ready_s <= load->now_s &&
           budget > 1e-9 && !is_stalled(load)) {
        struct parcel parcel = queue_take(&load->connecting, budget);
        double failed = parcel.count * load->plan.refused_share;
        budget -= parcel.count;
        load->connects_ok += parcel.count - failed;
        load->connects_failed += failed;
        measure(load, FMX_FLEET_CONNECT, load->now_s - parcel.due_s, parcel.count - failed);
    }
}

/* ── messages ── */

static double wanted_now(const struct fake_load *load)
{
    return load->is_ending
               ? 0
               : load->plan.rate * load->factor * load->connects_ok / load->plan.clients;
}

static void plan_messages(struct fake_load *load)
{
    double exact = wanted_now(load) * STEP_S + load->due_rest;
    double count = floor(exact);

    load->due_rest = exact - count;
    if (count > 0) {
        load->planned += count;
        queue_push(&load->due, (struct parcel){.due_s = load->now_s, .count = count});
    }
}

static double read_answers(struct fake_load *load, double budget)
{
    while (load->answered.count > 0 && queue_head(&load->answered)->ready_s <= load->now_s &&
           budget > 1e-9) {
        struct parcel parcel = queue_take(&load->answered, budget / ACK_COST);
        budget -= parcel.count * ACK_COST;
        load->acked += parcel.count;
        load->outstanding -= parcel.count;
        double late_s = fmax(load->now_s, parcel.ready_s);
        measure(load, FMX_FLEET_PUBACK, late_s - parcel.due_s, parcel.count);
        measure(load, FMX_FLEET_PUBACK_RAW, late_s - parcel.sent_s, parcel.count);
    }
    return budget;
}

static double send_messages(struct fake_load *load, double budget)
{
    while (load->due.count > 0 && budget > 1e-9) {
        double room = load->plan.window - load->outstanding;
        if (room < 1e-9) {
            mark_blocked(&load->due);
            break;
        }
        struct parcel parcel = queue_take(&load->due, fmin(room, budget));
        double late_s = exponential(load, load->plan.noise_s);
        budget -= parcel.count;
        measure(load, parcel.is_blocked ? FMX_FLEET_BLOCKED : FMX_FLEET_LAG,
                load->now_s - parcel.due_s + late_s, parcel.count);
        load->sent += parcel.count;
        load->outstanding += parcel.count;
        load->segments += parcel.count * SEGMENTS;
        parcel.sent_s = load->now_s + late_s;
        queue_push(&load->taken, parcel);
    }
    return budget;
}

static void generate(struct fake_load *load)
{
    double all = are_we_stalled(load) ? 0 : load->plan.generator_rate * STEP_S * (1 + ACK_COST);
    double left = all;

    if (load->plan.acks_wait) {
        left = read_answers(load, send_messages(load, left));
    } else {
        left = send_messages(load, read_answers(load, left));
    }
    load->busy_s += all > 0 ? STEP_S * (all - left) / all : 0;
}

static void serve(struct fake_load *load)
{
    double budget = is_stalled(load) ? 0 : load->plan.server_rate * STEP_S;

    while (load->taken.count > 0 && budget > 1e-9) {
        struct parcel parcel = queue_take(&load->taken, budget);
        budget -= parcel.count;
        parcel.ready_s = load->now_s + load->plan.base_s * (0.7 + 0.6 * chance(load));
        double lost = parcel.count * load->plan.loss_share;
        load->again += lost * SEGMENTS;
        struct parcel late = parcel;
        late.count = lost;
        late.ready_s += RETRY_S;
        parcel.count -= lost;
        if (lost > 0) {
            measure(load, FMX_FLEET_PUBACK, late.ready_s - late.due_s, lost);
            load->acked += lost;
            load->outstanding -= lost;
        }
        queue_push(&load->answered, parcel);
    }
}

/* ── seconds ── */

static uint64_t whole(double count)
{
    return (uint64_t)(count + 0.5);
}

static void tell_counters(const struct fake_load *load, struct fmx_fleet_counters *now)
{
    *now = (struct fmx_fleet_counters){0};
    now->connects_planned = whole(load->connects_planned);
    now->connects_begun = whole(load->connects_begun);
    now->connects_ok = whole(load->connects_ok);
    now->connects_failed = whole(load->connects_failed);
    now->clients_open = now->connects_ok;
    now->clients_failed = now->connects_failed;
    now->clients_connecting = now->connects_begun - now->connects_ok - now->connects_failed;
    now->clients_waiting = load->plan.clients - now->connects_begun;
    now->publishes_planned = whole(load->planned);
    now->publishes_sent = whole(load->sent);
    now->publishes_overdue = now->publishes_planned - now->publishes_sent;
    now->publishes_sent_qos1 = now->publishes_sent;
    now->publishes_acked = whole(load->acked);
    now->publishes_outstanding = now->publishes_sent - now->publishes_acked;
}

/* Who is out of time goes round once in what an answer takes. */
static void tick(struct fake_load *load)
{
    const struct fmx_distribution *raw = load->second[FMX_FLEET_PUBACK_RAW];
    double turn_s = fmax((double)fmx_distribution_percentile(raw, 0.5) / 1e9, 0.002);
    bool is_full = load->busy_s > 0.97;

    for (unsigned i = 0; i < TICKS * load->plan.shards; i++) {
        measure(load, FMX_FLEET_DRIFT,
                exponential(load, load->plan.noise_s) + (is_full ? turn_s * chance(load) : 0), 1);
    }
}

static void cut_row(struct fake_load *load, double wanted, double connects)
{
    struct result *result = load->result;
    struct result_row *row = result_add_row(result);
    double threads = load->plan.shards * 1e9;

    CU_ASSERT_PTR_NOT_NULL_FATAL(row);
    tick(load);
    *row = result->running;
    row->end_ns = result->elapsed_ns;
    row->counters = result->counters;
    row->publishes_wanted = wanted;
    row->connects_wanted = connects;
    row->cpu_ns = (uint64_t)(fmin(load->busy_s, 1 - load->plan.wait_share) * threads);
    row->cpu_wait_ns = (uint64_t)(load->plan.wait_share * threads);
    row->segments_out = (uint64_t)(load->segments + load->again);
    row->segments_again = (uint64_t)load->again;
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        fmx_distribution_summary(load->second[i], &row->latency[i]);
        if (load->second[i]->total > 0) {
            fmx_distribution_add(result->distributions[i], load->second[i]);
            fmx_distribution_add(load->mark[i], load->second[i]);
            fmx_distribution_summary(result->distributions[i], &result->latency[i]);
            fmx_distribution_init(load->second[i]);
        }
    }
    load->busy_s = load->segments = load->again = 0;
    row->limit = verdict_row(result, row, result->rows_count > 1 ? row - 1 : NULL, NULL, 0);
    verdict_limit(result);
    result->running = (struct result_row){.begin_ns = row->end_ns, .end_ns = row->end_ns};
}

bool fake_load_step(struct fake_load *load)
{
    struct result *result = load->result;
    uint64_t steps = result->elapsed_ns / STEP_NS + 1;

    double connects_before = load->connects_planned;
    plan_connects(load);
    answer_connects(load);
    plan_messages(load);
    generate(load);
    serve(load);
    load->now_s += STEP_S;
    result->elapsed_ns = steps * STEP_NS;
    result->running.publishes_wanted += wanted_now(load) * STEP_S;
    result->running.connects_wanted += load->connects_planned - connects_before;
    tell_counters(load, &result->counters);
    if (load->connects_ok + 0.5 >= load->plan.clients) {
        result->last_connect_ns =
            result->ready_ns == 0 ? result->elapsed_ns : result->last_connect_ns;
        result->ready_ns = result->ready_ns == 0 ? result->elapsed_ns : result->ready_ns;
    }
    if (steps % (uint64_t)(1 / STEP_S + 0.5) != 0) {
        return false;
    }
    cut_row(load, result->running.publishes_wanted, result->running.connects_wanted);
    return true;
}

void fake_load_run(struct fake_load *load, double seconds)
{
    for (double end_s = load->now_s + seconds; load->now_s + STEP_S / 2 < end_s;) {
        fake_load_step(load);
    }
}

void fake_load_set_rate(struct fake_load *load, double factor)
{
    load->factor = factor;
    load->result->rate = factor;
}

void fake_load_since(void *user, enum fmx_fleet_latency latency, struct fmx_distribution *out_since)
{
    struct fake_load *load = user;

    fmx_distribution_init(out_since);
    fmx_distribution_add(out_since, load->mark[latency]);
    fmx_distribution_add(out_since, load->second[latency]);
    fmx_distribution_init(load->mark[latency]);
    /* what this second has so far is not to be told twice */
    fmx_distribution_add(load->result->distributions[latency], load->second[latency]);
    fmx_distribution_init(load->second[latency]);
}

void fake_load_end(struct fake_load *load)
{
    load->result->before_drain = load->result->counters;
    load->is_ending = true;
    for (unsigned i = 0; i < 5; i++) {
        fake_load_run(load, 1);
    }
    load->result->is_finished = true;
    verdict_limit(load->result);
}

/* ── opening ── */

struct result *fake_load_result(struct fake_load *load)
{
    return load->result;
}

struct fake_load *fake_load_open(const struct fake_load_plan *plan)
{
    struct fake_load *load = calloc(1, sizeof(*load));

    CU_ASSERT_PTR_NOT_NULL_FATAL(load);
    load->plan = *plan;
    load->prng.state = plan->seed;
    load->factor = 1;
    load->result = result_open();
    CU_ASSERT_PTR_NOT_NULL_FATAL(load->result);
    load->result->clients_count = plan->clients;
    load->result->shards_count = plan->shards;
    load->result->base_rate = plan->rate;
    snprintf(load->result->verb, sizeof(load->result->verb), "pub");
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        load->second[i] = malloc(sizeof(*load->second[i]));
        load->mark[i] = malloc(sizeof(*load->mark[i]));
        CU_ASSERT_FATAL(load->second[i] != NULL && load->mark[i] != NULL);
        fmx_distribution_init(load->second[i]);
        fmx_distribution_init(load->mark[i]);
    }
    return load;
}

void fake_load_close(struct fake_load *load)
{
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        free(load->second[i]);
        free(load->mark[i]);
    }
    free(load->due.parcels);
    free(load->taken.parcels);
    free(load->answered.parcels);
    free(load->connects.parcels);
    free(load->connecting.parcels);
    result_close(load->result);
    free(load);
}
