/*
 * test_sendq — a queue of pieces against the flat string of bytes that it means
 */
#include "engine/sendq.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdlib.h>

#define SEEDS     60u
#define STEPS     3000u
#define FLAT_ROOM (64u << 20)
#define PARTS_MAX 16u

static struct fmx_pool pool;
static struct fmx_sendq queue;
static uint8_t *flat;
static size_t flat_begin;
static size_t flat_end;

/* What a kernel would hold: the parts as they were at the last look, until they are consumed. */
static struct iovec held[PARTS_MAX];
static unsigned held_count;
static size_t held_bytes;

static void start(void)
{
    fmx_pool_init(&pool);
    queue = (struct fmx_sendq){0};
    flat_begin = flat_end = 0;
    held_count = 0;
    held_bytes = 0;
}

static size_t any_size(struct fmx_prng *prng)
{
    return 1 + fmx_prng_below(prng, 1ull << (1 + fmx_prng_below(prng, 14)));
}

static void append_own(struct fmx_prng *prng, uint64_t seed)
{
    size_t wanted = any_size(prng);
    uint8_t *room = fmx_sendq_reserve(&queue, &pool, wanted);
    size_t used = fmx_prng_below(prng, wanted + 1);

    FMX_SEED_ASSERT(seed, room != NULL);
    if (fmx_prng_below(prng, 10) == 0) {
        return; /* the mind was changed: nothing is committed */
    }
    memset(room, 0xee, wanted);
    for (size_t i = 0; i < used; i++) {
        room[i] = flat[flat_end++] = (uint8_t)fmx_prng_next(prng);
    }
    fmx_sendq_commit(&queue, used);
}

static void append_referred(struct fmx_prng *prng, uint64_t seed)
{
    static uint8_t bytes[20000];
    size_t length = 1 + fmx_prng_below(prng, sizeof(bytes));
    size_t from = fmx_prng_below(prng, length);

    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(i + length);
    }
    struct fmx_publish publish = {.topic = fmx_slice_of("t"), .payload = {bytes, length}};
    struct fmx_payload *payload = fmx_payload_make(&publish, FMX_SESSION_NONE, 0);
    FMX_SEED_ASSERT(seed, payload != NULL);
    fmx_slice part = {.data = payload->bytes + 1 + from, .bytes = length - from};
    FMX_SEED_ASSERT(seed, fmx_sendq_refer(&queue, &pool, payload, part));
    memcpy(flat + flat_end, bytes + from, length - from);
    flat_end += length - from;
    fmx_payload_give(payload); /* the queue's reference keeps it */
}

static void check_held(uint64_t seed)
{
    size_t at = flat_begin;

    for (unsigned i = 0; i < held_count; i++) {
        FMX_SEED_ASSERT(seed, memcmp(held[i].iov_base, flat + at, held[i].iov_len) == 0);
        at += held[i].iov_len;
    }
}

static void look(struct fmx_prng *prng, uint64_t seed)
{
    unsigned most = 1 + (unsigned)fmx_prng_below(prng, PARTS_MAX);
    size_t sum = 0;

    held_count = fmx_sendq_parts(&queue, held, most, &held_bytes);
    FMX_SEED_ASSERT(seed, held_count <= most && (held_count > 0) == (queue.bytes > 0));
    for (unsigned i = 0; i < held_count; i++) {
        FMX_SEED_ASSERT(seed, held[i].iov_len > 0);
        sum += held[i].iov_len;
    }
    FMX_SEED_ASSERT(seed, sum == held_bytes);
    FMX_SEED_ASSERT(seed, held_count == most || sum == queue.bytes);
}

static void consume(struct fmx_prng *prng, uint64_t seed)
{
    bool all = fmx_prng_below(prng, 2) == 0;
    size_t bytes = all ? held_bytes : fmx_prng_below(prng, held_bytes + 1);

    check_held(seed);
    fmx_sendq_consume(&queue, &pool, bytes);
    flat_begin += bytes;
    held_count = 0;
    held_bytes = 0;
}

static void check(uint64_t seed)
{
    FMX_SEED_ASSERT(seed, queue.bytes == flat_end - flat_begin);
    FMX_SEED_ASSERT(seed, (queue.head == NULL) == (queue.tail == NULL));
}

static void step(struct fmx_prng *prng, uint64_t seed)
{
    switch (fmx_prng_below(prng, 8)) {
    case 0:
    case 1:
    case 2:
        append_own(prng, seed);
        break;
    case 3:
        append_referred(prng, seed);
        break;
    case 4:
    case 5:
        if (held_count == 0) {
            look(prng, seed);
        }
        break;
    default:
        consume(prng, seed);
        break;
    }
    check(seed);
}

static void drain(struct fmx_prng *prng, uint64_t seed)
{
    consume(prng, seed);
    while (queue.bytes > 0) {
        look(prng, seed);
        consume(prng, seed);
    }
    FMX_SEED_ASSERT(seed, flat_begin == flat_end);
}

static void make_flat(void)
{
    flat = malloc(FLAT_ROOM);
    CU_ASSERT_PTR_NOT_NULL_FATAL(flat);
}

static void sendq_gives_back_the_bytes_it_was_given_in_any_pieces(void)
{
    make_flat();
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        start();
        for (unsigned i = 0; i < STEPS; i++) {
            step(&prng, seed);
        }
        drain(&prng, seed);
        fmx_sendq_wipe(&queue, &pool);
        FMX_SEED_ASSERT(seed, pool.bytes == 0);
        fmx_pool_wipe(&pool);
    }
    free(flat);
}

static void sendq_wiped_at_any_point_gives_everything_back(void)
{
    make_flat();
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        start();
        for (uint64_t left = fmx_prng_below(&prng, 300); left > 0; left--) {
            step(&prng, seed);
        }
        fmx_sendq_wipe(&queue, &pool);
        FMX_SEED_ASSERT(seed, pool.bytes == 0 && queue.bytes == 0 && queue.head == NULL);
        fmx_pool_wipe(&pool);
    }
    free(flat);
}

static void sendq_that_is_empty_owns_nothing(void)
{
    start();
    uint8_t *room = fmx_sendq_reserve(&queue, &pool, 100);
    CU_ASSERT_PTR_NOT_NULL_FATAL(room);
    memset(room, 1, 100);
    fmx_sendq_commit(&queue, 100);
    CU_ASSERT(pool.bytes > 0);
    fmx_sendq_consume(&queue, &pool, 100);
    CU_ASSERT_EQUAL(pool.bytes, 0);
    CU_ASSERT_PTR_NULL(queue.head);
    fmx_pool_wipe(&pool);
}

static void sendq_puts_small_things_into_one_part(void)
{
    struct iovec parts[PARTS_MAX];
    size_t bytes;

    start();
    for (unsigned i = 0; i < 50; i++) {
        uint8_t *room = fmx_sendq_reserve(&queue, &pool, 4);
        CU_ASSERT_PTR_NOT_NULL_FATAL(room);
        memset(room, 7, 4);
        fmx_sendq_commit(&queue, 4);
    }
    CU_ASSERT_EQUAL(fmx_sendq_parts(&queue, parts, PARTS_MAX, &bytes), 1);
    CU_ASSERT_EQUAL(bytes, 200);
    fmx_sendq_wipe(&queue, &pool);
    fmx_pool_wipe(&pool);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(sendq_gives_back_the_bytes_it_was_given_in_any_pieces),
    FMX_TEST_CASE(sendq_wiped_at_any_point_gives_everything_back),
    FMX_TEST_CASE(sendq_that_is_empty_owns_nothing),
    FMX_TEST_CASE(sendq_puts_small_things_into_one_part),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sendq", cases, sizeof cases / sizeof cases[0], argc, argv);
}
