/*
 * test_inbox — the queue between two threads against a counter, and the bell against lost wake-ups
 *
 * Why it is so:   the messages carry numbers, so order, loss and doubling show at once. The bell is
 *                 rung without a kernel: the sleeper spins on the flag that a real one would be
 *                 woken by, and a wake-up that is lost shows as a sleeper for whom a message lies
 *                 ready
 * Limits:         SPINS_MAX: beyond it a sleeper counts as asleep for good; SECONDS_MAX for rounds
 */
#include "engine/inbox.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define SEEDS       50u
#define STEPS       5000u
#define MESSAGES    1000000u
#define ROUNDS      60000u
#define SPINS_MAX   400000000u
#define SECONDS_MAX 10

static struct fmx_inbox inbox;
static struct fmx_bell bell;
static _Atomic bool is_rung;
static _Atomic uint64_t answered;
static _Atomic uint64_t rounds;
static _Atomic bool has_failed;

static struct fmx_msg numbered(uint64_t number)
{
    return (struct fmx_msg){
        .kind = FMX_MSG_KICK, .from_shard = (uint16_t)number, .about = {.session = {number}}};
}

static bool is_numbered(const struct fmx_msg *message, uint64_t number)
{
    return message->kind == FMX_MSG_KICK && message->about.session.bits == number &&
           message->from_shard == (uint16_t)number;
}

static void play(uint64_t seed, uint32_t capacity)
{
    struct fmx_prng prng = {.state = seed};
    uint64_t pushed = 0;
    uint64_t popped = 0;

    FMX_SEED_ASSERT(seed, fmx_inbox_open(&inbox, capacity) == FMX_OK);
    for (unsigned i = 0; i < STEPS; i++) {
        struct fmx_msg message = numbered(pushed);
        bool pushes = fmx_prng_below(&prng, 100) < (i / 500 % 2 == 0 ? 70u : 30u);
        if (pushes) {
            bool has_room = pushed - popped < capacity;
            FMX_SEED_ASSERT(seed, fmx_inbox_has_room(&inbox) == has_room);
            FMX_SEED_ASSERT(seed, fmx_inbox_push(&inbox, &message) == has_room);
            pushed += has_room;
        } else {
            bool has_one = pushed > popped;
            FMX_SEED_ASSERT(seed, fmx_inbox_pop(&inbox, &message) == has_one);
            FMX_SEED_ASSERT(seed, !has_one || is_numbered(&message, popped));
            popped += has_one;
        }
        if (fmx_prng_below(&prng, 4) == 0) {
            FMX_SEED_ASSERT(seed, fmx_inbox_count(&inbox) == pushed - popped);
        }
    }
    fmx_inbox_close(&inbox);
}

static void inbox_is_a_bounded_queue(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        play(seed, 1u << (seed % 8));
    }
}

static void inbox_goes_on_when_its_counters_wrap(void)
{
    struct fmx_msg message;

    CU_ASSERT_EQUAL_FATAL(fmx_inbox_open(&inbox, 4), FMX_OK);
    atomic_store(&inbox.head, UINT32_MAX - 1);
    atomic_store(&inbox.tail, UINT32_MAX - 1);
    inbox.head_seen = inbox.tail_seen = UINT32_MAX - 1;
    for (uint64_t number = 0; number < 4; number++) {
        message = numbered(number);
        CU_ASSERT(fmx_inbox_push(&inbox, &message));
    }
    CU_ASSERT(!fmx_inbox_push(&inbox, &message));
    CU_ASSERT_EQUAL(fmx_inbox_count(&inbox), 4);
    for (uint64_t number = 0; number < 4; number++) {
        CU_ASSERT(fmx_inbox_pop(&inbox, &message) && is_numbered(&message, number));
    }
    CU_ASSERT(!fmx_inbox_pop(&inbox, &message));
    fmx_inbox_close(&inbox);
}

static void *push_all(void *argument)
{
    (void)argument;
    for (uint64_t number = 0; number < MESSAGES; number++) {
        struct fmx_msg message = numbered(number);
        while (!fmx_inbox_push(&inbox, &message)) {
            sched_yield();
        }
    }
    return NULL;
}

static void pop_all(void)
{
    struct fmx_msg message;

    for (uint64_t number = 0; number < MESSAGES; number++) {
        while (!fmx_inbox_pop(&inbox, &message)) {
            sched_yield();
        }
        if (!is_numbered(&message, number)) {
            atomic_store(&has_failed, true);
        }
    }
}

static void inbox_moves_a_million_messages_between_threads_in_order(void)
{
    pthread_t writer;

    atomic_store(&has_failed, false);
    CU_ASSERT_EQUAL_FATAL(fmx_inbox_open(&inbox, 256), FMX_OK);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, push_all, NULL), 0);
    pop_all();
    pthread_join(writer, NULL);
    CU_ASSERT(!atomic_load(&has_failed));
    CU_ASSERT_EQUAL(fmx_inbox_count(&inbox), 0);
    fmx_inbox_close(&inbox);
}

/*
 * Pushes one message each time the last was answered, and rings only if it must. Where others want
 * the processor a round takes long: then there are fewer.
 */
static void *push_and_ring(void *argument)
{
    time_t end = time(NULL) + SECONDS_MAX;

    (void)argument;
    for (uint64_t number = 0; number < atomic_load(&rounds) && !atomic_load(&has_failed);
         number++) {
        struct fmx_msg message = numbered(number);
        if (time(NULL) > end) {
            atomic_store(&rounds, number + 1);
        }
        while (atomic_load_explicit(&answered, memory_order_acquire) < number &&
               !atomic_load(&has_failed)) {
            sched_yield();
        }
        (void)fmx_inbox_push(&inbox, &message);
        if (fmx_bell_must_ring(&bell)) {
            atomic_store_explicit(&is_rung, true, memory_order_release);
        }
    }
    return NULL;
}

/* As a shard does: arm, look once more, sleep until the bell, disarm. False: never woken. */
static bool sleep_until_rung(void)
{
    bool woken = true;

    fmx_bell_arm(&bell);
    if (fmx_inbox_count(&inbox) == 0) {
        unsigned spins = 0;
        while (!atomic_load_explicit(&is_rung, memory_order_acquire)) {
            if (++spins % 64 == 0) {
                sched_yield();
            }
            if (spins == SPINS_MAX) {
                woken = false;
                break;
            }
        }
    }
    fmx_bell_disarm(&bell);
    atomic_store_explicit(&is_rung, false, memory_order_relaxed);
    return woken;
}

static void bell_never_loses_a_wake_up(void)
{
    pthread_t writer;
    struct fmx_msg message;
    uint64_t number = 0;

    atomic_store(&has_failed, false);
    atomic_store(&answered, 0);
    atomic_store(&rounds, ROUNDS);
    atomic_store(&is_rung, false);
    CU_ASSERT_EQUAL_FATAL(fmx_inbox_open(&inbox, 4), FMX_OK);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, push_and_ring, NULL), 0);
    while (number < atomic_load(&rounds) && !atomic_load(&has_failed)) {
        while (fmx_inbox_pop(&inbox, &message)) {
            number++;
            atomic_store_explicit(&answered, number, memory_order_release);
        }
        if (number < atomic_load(&rounds) && !sleep_until_rung()) {
            atomic_store(&has_failed, true);
        }
    }
    pthread_join(writer, NULL);
    CU_ASSERT(!atomic_load(&has_failed));
    CU_ASSERT_EQUAL(number, atomic_load(&rounds));
    fmx_inbox_close(&inbox);
}

static void bell_rings_once_for_one_sleep(void)
{
    static struct fmx_bell one; /* some compilers misalign it on a sanitized stack */

    CU_ASSERT(!fmx_bell_must_ring(&one));
    fmx_bell_arm(&one);
    CU_ASSERT(fmx_bell_must_ring(&one));
    CU_ASSERT(!fmx_bell_must_ring(&one));
    fmx_bell_arm(&one);
    fmx_bell_disarm(&one);
    CU_ASSERT(!fmx_bell_must_ring(&one));
}

static void blob_is_a_copy_and_may_be_empty(void)
{
    uint8_t bytes[] = "id";
    struct fmx_blob *blob = fmx_blob_make((fmx_slice){bytes, 2});
    struct fmx_blob *empty = fmx_blob_make((fmx_slice){0});

    CU_ASSERT_FATAL(blob != NULL && empty != NULL);
    bytes[0] = 'x';
    CU_ASSERT(blob->bytes == 2 && memcmp(blob->data, "id", 2) == 0);
    CU_ASSERT_EQUAL(empty->bytes, 0);
    free(blob);
    free(empty);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(inbox_is_a_bounded_queue),
    FMX_TEST_CASE(inbox_goes_on_when_its_counters_wrap),
    FMX_TEST_CASE(inbox_moves_a_million_messages_between_threads_in_order),
    FMX_TEST_CASE(bell_never_loses_a_wake_up),
    FMX_TEST_CASE(bell_rings_once_for_one_sleep),
    FMX_TEST_CASE(blob_is_a_copy_and_may_be_empty),
};

int main(int argc, char **argv)
{
    return fmx_test_main("inbox", cases, sizeof cases / sizeof cases[0], argc, argv);
}
