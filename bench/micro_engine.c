/*
 * micro_engine — slots, timers, queues, payloads, histogram
 *
 * Why it is so:   what there is one of for each session is met in random order, from memory that
 *                 does not fit the caches; "hot" says that it is one and the same
 * Words:          owner: what a timer or a slot is a part of, some hundred bytes
 * Memory:         340 MB for a million timers
 * Threads:        one, but for the row that says "two_threads": its second one writes to the inbox
 *                 as fast as there is room. Its instructions are not counted: waiting decides
 * Limits:         malloc is libc's here; the command has another one
 * Not here:       the router: micro_router.c; the wheel within a shard: shard.c
 */
#include "bench/micro_packets.h"
#include "engine/histogram.h"
#include "engine/inbox.h"
#include "engine/sendq.h"
#include "engine/slab.h"
#include "engine/timer.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define SLOT_BYTES 384u

/* ---- slab ------------------------------------------------------------------------------------ */

struct slab_world {
    struct fmx_slab slab;
    uint32_t *order;
    uint32_t *generations;
    uint32_t count;
};

static void *open_slab(const struct micro *self, uint64_t operations)
{
    struct slab_world *world = micro_allocate(1, sizeof *world);

    (void)operations;
    world->count = self->size;
    world->order = micro_shuffled(world->count);
    world->generations = micro_allocate(world->count, sizeof *world->generations);
    micro_expect(fmx_slab_open(&world->slab, SLOT_BYTES, world->count) == FMX_OK, "a slab");
    return world;
}

static void empty_slab(void *opened)
{
    struct slab_world *world = opened;
    uint32_t cursor = 0;
    void *slot;

    while ((slot = fmx_slab_next(&world->slab, &cursor)) != NULL) {
        fmx_slab_give(&world->slab, slot);
    }
}

static void fill_slab(void *opened)
{
    struct slab_world *world = opened;

    while (world->slab.used < world->count) {
        const struct fmx_slot *slot = fmx_slab_take(&world->slab);
        micro_expect(slot != NULL, "a slot");
        world->generations[slot->index] = slot->generation;
    }
}

static void close_slab(void *opened)
{
    struct slab_world *world = opened;

    empty_slab(world);
    fmx_slab_close(&world->slab);
    free(world->order);
    free(world->generations);
    free(world);
}

static uint64_t run_slab_take(void *opened, uint64_t operations)
{
    struct slab_world *world = opened;
    MICRO_CALLEE(take, fmx_slab_take);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < operations; i++) {
        sum += (uintptr_t)take(&world->slab);
    }
    return sum;
}

static uint64_t run_slab_give(void *opened, uint64_t operations)
{
    struct slab_world *world = opened;
    MICRO_CALLEE(at, fmx_slab_at);
    MICRO_CALLEE(give, fmx_slab_give);

    for (uint64_t i = 0; i < operations; i++) {
        give(&world->slab, at(&world->slab, world->order[i]));
    }
    return world->slab.used;
}

static uint64_t run_slab_take_and_give(void *opened, uint64_t operations)
{
    struct slab_world *world = opened;
    MICRO_CALLEE(take, fmx_slab_take);
    MICRO_CALLEE(give, fmx_slab_give);

    for (uint64_t i = 0; i < operations; i++) {
        give(&world->slab, take(&world->slab));
    }
    return world->slab.used;
}

static uint64_t run_slab_find(void *opened, uint64_t operations)
{
    struct slab_world *world = opened;
    MICRO_CALLEE(find, fmx_slab_find);
    uint32_t at = 0;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < operations; i++) {
        uint32_t index = world->order[at];
        sum += (uintptr_t)find(&world->slab, index, world->generations[index]);
        at = at + 1 < world->count ? at + 1 : 0;
    }
    return sum;
}

/* ---- timer ----------------------------------------------------------------------------------- */

struct owner {
    struct fmx_timer timer;
    uint8_t rest[320];
};

struct timer_world {
    struct fmx_wheel wheel;
    struct owner *owners;
    uint64_t *due_ns;
    uint32_t *order;
    uint32_t count;
};

static void *open_timers(const struct micro *self, uint64_t operations)
{
    struct timer_world *world = micro_allocate(1, sizeof *world);

    (void)operations;
    world->count = self->size;
    world->owners = micro_allocate(world->count, sizeof *world->owners);
    world->due_ns = micro_allocate(world->count, sizeof *world->due_ns);
    world->order = micro_shuffled(world->count);
    for (uint32_t i = 0; i < world->count; i++) {
        world->due_ns[i] = FMX_NS_PER_S + micro_random_below(120 * FMX_NS_PER_S);
    }
    fmx_wheel_init(&world->wheel, FMX_NS_PER_S);
    return world;
}

static void close_timers(void *opened)
{
    struct timer_world *world = opened;

    free(world->owners);
    free(world->due_ns);
    free(world->order);
    free(world);
}

static void disarm_all(void *opened)
{
    struct timer_world *world = opened;

    for (uint32_t i = 0; i < world->count; i++) {
        fmx_wheel_disarm(&world->wheel, &world->owners[i].timer);
    }
    fmx_wheel_init(&world->wheel, FMX_NS_PER_S);
}

static void arm_all(void *opened)
{
    struct timer_world *world = opened;

    disarm_all(world);
    for (uint32_t i = 0; i < world->count; i++) {
        fmx_wheel_arm(&world->wheel, &world->owners[i].timer, world->due_ns[i]);
    }
}

static uint64_t run_timer_arm(void *opened, uint64_t operations)
{
    struct timer_world *world = opened;
    MICRO_CALLEE(arm, fmx_wheel_arm);

    for (uint64_t i = 0; i < operations; i++) {
        arm(&world->wheel, &world->owners[i].timer, world->due_ns[i]);
    }
    return world->wheel.armed_count;
}

static uint64_t run_timer_arm_again(void *opened, uint64_t operations)
{
    struct timer_world *world = opened;
    MICRO_CALLEE(arm, fmx_wheel_arm);

    for (uint64_t i = 0; i < operations; i++) {
        arm(&world->wheel, &world->owners[world->order[i]].timer, world->due_ns[i]);
    }
    return world->wheel.armed_count;
}

/* Few timers that are armed again and again: what sessions that talk pay. */
static uint64_t run_timer_hot(void *opened, uint64_t operations)
{
    struct timer_world *world = opened;
    MICRO_CALLEE(arm, fmx_wheel_arm);

    for (uint64_t i = 0; i < operations; i++) {
        arm(&world->wheel, &world->owners[i % 64].timer, 60 * FMX_NS_PER_S + i * 1000);
    }
    return world->wheel.armed_count;
}

static uint64_t run_timer_next(void *opened, uint64_t operations)
{
    struct timer_world *world = opened;
    MICRO_CALLEE(next_ns, fmx_wheel_next_ns);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < operations; i++) {
        sum += next_ns(&world->wheel);
    }
    return sum;
}

/* All of them, from wake-up to wake-up: the question when to wake is part of it. */
static uint64_t run_timer_expire(void *opened, uint64_t operations)
{
    struct timer_world *world = opened;
    MICRO_CALLEE(next_ns, fmx_wheel_next_ns);
    MICRO_CALLEE(pop, fmx_wheel_pop);
    uint64_t popped = 0;

    while (popped < operations) {
        uint64_t now_ns = next_ns(&world->wheel);
        while (pop(&world->wheel, now_ns) != NULL) {
            popped++;
        }
    }
    return popped;
}

/* ---- inbox ----------------------------------------------------------------------------------- */

#define INBOX_CAPACITY 1024u
#define INBOX_BATCH    64u
#define SPINS_MAX      200u

static void *open_inbox(const struct micro *self, uint64_t operations)
{
    struct fmx_inbox *inbox = aligned_alloc(64, sizeof *inbox);

    (void)self;
    (void)operations;
    micro_expect(inbox != NULL && fmx_inbox_open(inbox, INBOX_CAPACITY) == FMX_OK, "an inbox");
    return inbox;
}

static void close_inbox(void *inbox)
{
    fmx_inbox_close(inbox);
    free(inbox);
}

static uint64_t run_inbox(void *inbox, uint64_t operations)
{
    MICRO_CALLEE(push, fmx_inbox_push);
    MICRO_CALLEE(pop, fmx_inbox_pop);
    struct fmx_msg message = {.kind = FMX_MSG_DELIVER};
    uint64_t sum = 0;

    for (uint64_t done = 0; done < operations; done += INBOX_BATCH) {
        for (uint64_t i = 0; i < INBOX_BATCH; i++) {
            message.identity = (uint32_t)i;
            sum += push(inbox, &message);
        }
        while (pop(inbox, &message)) {
            sum += message.identity;
        }
    }
    return sum;
}

struct writer {
    struct fmx_inbox *inbox;
    uint64_t count;
};

/* The other end is at work, or waits for this very core. */
static unsigned wait_a_little(unsigned spins)
{
    if (spins < SPINS_MAX) {
        __asm__ volatile("" ::: "memory");
        return spins + 1;
    }
    (void)sched_yield();
    return 0;
}

static void *write_all(void *opened)
{
    const struct writer *writer = opened;
    struct fmx_msg message = {.kind = FMX_MSG_DELIVER};
    unsigned spins = 0;

    for (uint64_t i = 0; i < writer->count; i++) {
        message.identity = (uint32_t)i;
        while (!fmx_inbox_push(writer->inbox, &message)) {
            spins = wait_a_little(spins);
        }
    }
    return NULL;
}

static uint64_t run_inbox_threads(void *inbox, uint64_t operations)
{
    struct writer writer = {.inbox = inbox, .count = operations};
    struct fmx_msg message;
    pthread_t thread;
    unsigned spins = 0;
    uint64_t sum = 0;

    micro_expect(pthread_create(&thread, NULL, write_all, &writer) == 0, "a second thread");
    for (uint64_t i = 0; i < operations; i++) {
        while (!fmx_inbox_pop(inbox, &message)) {
            spins = wait_a_little(spins);
        }
        sum += message.identity;
    }
    (void)pthread_join(thread, NULL);
    return sum;
}

/* ---- sendq ----------------------------------------------------------------------------------- */

#define SENDQ_MESSAGE_BYTES 300u
#define SENDQ_BATCH         32u
#define SENDQ_PARTS         16u

struct sendq_world {
    struct fmx_sendq queue;
    struct fmx_pool pool;
};

static void *open_sendq(const struct micro *self, uint64_t operations)
{
    struct sendq_world *world = micro_allocate(1, sizeof *world);

    (void)self;
    (void)operations;
    fmx_pool_init(&world->pool);
    return world;
}

static void close_sendq(void *opened)
{
    struct sendq_world *world = opened;

    fmx_sendq_wipe(&world->queue, &world->pool);
    fmx_pool_wipe(&world->pool);
    free(world);
}

/* `batch` messages are queued, gathered for one send, and gone. One operation is one message. */
static uint64_t run_sendq(struct sendq_world *world, uint64_t operations, uint64_t batch)
{
    MICRO_CALLEE(reserve, fmx_sendq_reserve);
    MICRO_CALLEE(commit, fmx_sendq_commit);
    MICRO_CALLEE(gather, fmx_sendq_parts);
    MICRO_CALLEE(consume, fmx_sendq_consume);
    struct iovec parts[SENDQ_PARTS];
    uint64_t sum = 0;
    size_t bytes;

    for (uint64_t done = 0; done < operations; done += batch) {
        for (uint64_t i = 0; i < batch; i++) {
            sum += (uintptr_t)reserve(&world->queue, &world->pool, SENDQ_MESSAGE_BYTES);
            commit(&world->queue, SENDQ_MESSAGE_BYTES);
        }
        sum += gather(&world->queue, parts, SENDQ_PARTS, &bytes);
        consume(&world->queue, &world->pool, bytes);
    }
    return sum;
}

static uint64_t run_sendq_1(void *opened, uint64_t operations)
{
    return run_sendq(opened, operations, 1);
}

static uint64_t run_sendq_32(void *opened, uint64_t operations)
{
    return run_sendq(opened, operations, SENDQ_BATCH);
}

/* ---- payload --------------------------------------------------------------------------------- */

static void *open_payload(const struct micro *self, uint64_t operations)
{
    struct micro_packets *world = micro_allocate(1, sizeof *world);

    (void)operations;
    micro_packets_fill(world, self->argument);
    return world;
}

/* A message is kept for its receivers, looked at once, and given back. */
static uint64_t run_payload(void *opened, uint64_t operations)
{
    struct micro_packets *world = opened;
    MICRO_CALLEE(make, fmx_payload_make);
    MICRO_CALLEE(give, fmx_payload_give);
    uint64_t sum = 0;

    for (uint64_t done = 0; done < operations; done += MICRO_PACKETS) {
        for (unsigned i = 0; i < MICRO_PACKETS; i++) {
            struct fmx_payload *payload = make(&world->views[i].publish, FMX_SESSION_NONE, 0);
            sum += (uintptr_t)payload;
            give(payload);
        }
    }
    return sum;
}

static uint64_t run_payload_view(void *opened, uint64_t operations)
{
    struct micro_packets *world = opened;
    MICRO_CALLEE(view, fmx_payload_view);
    struct fmx_payload *payload = fmx_payload_make(&world->views[0].publish, FMX_SESSION_NONE, 0);
    uint64_t sum = 0;

    micro_expect(payload != NULL, "a payload");
    for (uint64_t i = 0; i < operations; i++) {
        view(payload, i, &world->one.publish);
        sum += world->one.publish.payload.bytes;
    }
    fmx_payload_give(payload);
    return sum;
}

/* ---- histogram ------------------------------------------------------------------------------- */

static void *open_histogram(const struct micro *self, uint64_t operations)
{
    struct fmx_histogram *histogram = micro_allocate(1, sizeof *histogram);

    (void)self;
    (void)operations;
    fmx_histogram_init_zeroed(histogram);
    return histogram;
}

static uint64_t run_histogram(void *histogram, uint64_t operations)
{
    MICRO_CALLEE(record, fmx_histogram_record);
    uint64_t value_ns = 1;

    for (uint64_t i = 0; i < operations; i++) {
        value_ns = value_ns * 0x5851f42d4c957f2du + 1;
        record(histogram, 10000 + (value_ns >> 44));
    }
    return fmx_histogram_count(histogram);
}

/* ---- the rows -------------------------------------------------------------------------------- */

#define SLAB(name_, before_, run_, operations_)                                                    \
    {                                                                                              \
        .name = (name_), .open = open_slab, .before = (before_), .run = (run_),                    \
        .close = close_slab, .operations = (operations_), .counted = 100000, .size = 100000        \
    }
#define TIMERS(name_, before_, run_, size_)                                                        \
    {                                                                                              \
        .name = (name_), .open = open_timers, .before = (before_), .run = (run_),                  \
        .close = close_timers, .operations = (size_), .counted = (size_), .size = (size_)          \
    }

static const struct micro rows[] = {
    SLAB("slab_take_100000_of_384", empty_slab, run_slab_take, 100000),
    SLAB("slab_give_100000_of_384", fill_slab, run_slab_give, 100000),
    SLAB("slab_find_100000_of_384", fill_slab, run_slab_find, 1000000),
    SLAB("slab_take_and_give_hot", NULL, run_slab_take_and_give, 2000000),
    TIMERS("timer_arm_10000", disarm_all, run_timer_arm, 10000),
    TIMERS("timer_arm_again_10000", arm_all, run_timer_arm_again, 10000),
    TIMERS("timer_expire_10000", arm_all, run_timer_expire, 10000),
    TIMERS("timer_next_ns_10000", arm_all, run_timer_next, 10000),
    TIMERS("timer_arm_1000000", disarm_all, run_timer_arm, 1000000),
    TIMERS("timer_arm_again_1000000", arm_all, run_timer_arm_again, 1000000),
    TIMERS("timer_expire_1000000", arm_all, run_timer_expire, 1000000),
    TIMERS("timer_next_ns_1000000", arm_all, run_timer_next, 1000000),
    {.name = "timer_arm_again_64_hot",
     .open = open_timers,
     .before = arm_all,
     .run = run_timer_hot,
     .close = close_timers,
     .operations = 1000000,
     .counted = 9600,
     .size = 64},
    {.name = "inbox_one_thread",
     .open = open_inbox,
     .run = run_inbox,
     .close = close_inbox,
     .operations = 1 << 20,
     .counted = 9600},
    {.name = "inbox_two_threads",
     .open = open_inbox,
     .run = run_inbox_threads,
     .close = close_inbox,
     .operations = 1 << 20},
    {.name = "sendq_each_alone",
     .open = open_sendq,
     .run = run_sendq_1,
     .close = close_sendq,
     .operations = 1 << 20,
     .counted = 9600},
    {.name = "sendq_32_in_one_send",
     .open = open_sendq,
     .run = run_sendq_32,
     .close = close_sendq,
     .operations = 1 << 20,
     .counted = 9600},
    {.name = "payload_make_and_give_311",
     .open = open_payload,
     .run = run_payload,
     .close = free,
     .operations = 1000000,
     .counted = 9600,
     .argument = &micro_qos1_311},
    {.name = "payload_make_and_give_50_users",
     .open = open_payload,
     .run = run_payload,
     .close = free,
     .operations = 1000000,
     .counted = 9600,
     .argument = &micro_users_50},
    {.name = "payload_view_311",
     .open = open_payload,
     .run = run_payload_view,
     .close = free,
     .operations = 1000000,
     .counted = 9600,
     .argument = &micro_qos1_311},
    {.name = "payload_view_50_users",
     .open = open_payload,
     .run = run_payload_view,
     .close = free,
     .operations = 1000000,
     .counted = 9600,
     .argument = &micro_users_50},
    {.name = "histogram_record",
     .open = open_histogram,
     .run = run_histogram,
     .close = free,
     .operations = 2000000,
     .counted = 10000},
};

const struct micro_list micro_engine = MICRO_LIST(rows);
