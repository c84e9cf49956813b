/*
 * test_list — a shard's lists of connections against a plain array of who stands where
 */
#include "engine/list.h"

#include "engine/shard.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#define CONNS 300u /* more than a chunk of the slab */
#define SEEDS 40u
#define STEPS 4000u

/* Of one kind, first in, first out. */
struct twin_list {
    struct fmx_conn *conns[CONNS];
    unsigned count;
};

struct twin {
    struct twin_list joined; /* the shard's */
    struct twin_list taken;  /* what was taken over from it and not popped yet */
};

static struct fmx_shard shard;
static struct fmx_conn *conns[CONNS];
static struct twin twins[FMX_LISTS_COUNT];
static struct fmx_list taken[FMX_LISTS_COUNT];

static void start(unsigned count)
{
    memset(&shard, 0, sizeof(shard));
    memset(twins, 0, sizeof(twins));
    memset(taken, 0, sizeof(taken));
    CU_ASSERT_EQUAL_FATAL(fmx_slab_open(&shard.conns, sizeof(struct fmx_conn), CONNS), FMX_OK);
    for (unsigned i = 0; i < count; i++) {
        conns[i] = fmx_slab_take(&shard.conns);
        CU_ASSERT_PTR_NOT_NULL_FATAL(conns[i]);
        conns[i]->shard = &shard;
    }
}

static void end(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        CU_ASSERT_FALSE(fmx_list_has_any(conns[i]));
        fmx_slab_give(&shard.conns, conns[i]);
    }
    fmx_slab_close(&shard.conns);
}

static struct fmx_conn *pop(enum fmx_list_kind kind)
{
    return fmx_list_pop(&shard, &shard.lists[kind], kind);
}

/* ── one list ── */

static void connections_leave_in_the_order_in_which_they_joined(void)
{
    start(3);
    CU_ASSERT_PTR_NULL(pop(FMX_LIST_READY));
    fmx_list_push(conns[1], FMX_LIST_READY);
    fmx_list_push(conns[0], FMX_LIST_READY);
    fmx_list_push(conns[2], FMX_LIST_READY);
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_READY), conns[1]);
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_READY), conns[0]);
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_READY), conns[2]);
    CU_ASSERT_PTR_NULL(pop(FMX_LIST_READY));
    end(3);
}

static void who_stands_in_a_list_keeps_its_place_there(void)
{
    start(2);
    fmx_list_push(conns[0], FMX_LIST_ENDED);
    fmx_list_push(conns[0], FMX_LIST_ENDED); /* alone: first and last */
    fmx_list_push(conns[1], FMX_LIST_ENDED);
    fmx_list_push(conns[0], FMX_LIST_ENDED);
    fmx_list_push(conns[1], FMX_LIST_ENDED);
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_ENDED), conns[0]);
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_ENDED), conns[1]);
    CU_ASSERT_PTR_NULL(pop(FMX_LIST_ENDED));
    end(2);
}

static void after_the_last_has_left_a_list_begins_anew(void)
{
    start(2);
    for (unsigned round = 0; round < 3; round++) {
        fmx_list_push(conns[0], FMX_LIST_STARVED);
        CU_ASSERT(fmx_list_has(conns[0], FMX_LIST_STARVED));
        CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_STARVED), conns[0]);
        CU_ASSERT_FALSE(fmx_list_has(conns[0], FMX_LIST_STARVED));
        CU_ASSERT(shard.lists[FMX_LIST_STARVED].first == 0);
    }
    fmx_list_push(conns[1], FMX_LIST_STARVED);
    fmx_list_push(conns[0], FMX_LIST_STARVED);
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_STARVED), conns[1]);
    fmx_list_push(conns[1], FMX_LIST_STARVED);
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_STARVED), conns[0]);
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_STARVED), conns[1]);
    CU_ASSERT_PTR_NULL(pop(FMX_LIST_STARVED));
    end(2);
}

/* ── what is taken over ── */

static void who_joins_after_a_taking_over_is_not_among_those_taken(void)
{
    start(3);
    CU_ASSERT(fmx_list_take(&shard, FMX_LIST_READY).first == 0);
    fmx_list_push(conns[0], FMX_LIST_READY);
    fmx_list_push(conns[1], FMX_LIST_READY);
    struct fmx_list mine = fmx_list_take(&shard, FMX_LIST_READY);
    CU_ASSERT_PTR_NULL(pop(FMX_LIST_READY));
    fmx_list_push(conns[2], FMX_LIST_READY);
    CU_ASSERT_PTR_EQUAL(fmx_list_pop(&shard, &mine, FMX_LIST_READY), conns[0]);
    fmx_list_push(conns[0], FMX_LIST_READY); /* popped: it may join again */
    CU_ASSERT_PTR_EQUAL(fmx_list_pop(&shard, &mine, FMX_LIST_READY), conns[1]);
    CU_ASSERT_PTR_NULL(fmx_list_pop(&shard, &mine, FMX_LIST_READY));
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_READY), conns[2]);
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_READY), conns[0]);
    CU_ASSERT_PTR_NULL(pop(FMX_LIST_READY));
    end(3);
}

static void who_is_still_among_those_taken_does_not_join_again(void)
{
    start(3);
    for (unsigned i = 0; i < 3; i++) {
        fmx_list_push(conns[i], FMX_LIST_CLOSED);
    }
    struct fmx_list mine = fmx_list_take(&shard, FMX_LIST_CLOSED);
    for (unsigned i = 0; i < 3; i++) {
        fmx_list_push(conns[i], FMX_LIST_CLOSED); /* first, middle and last */
    }
    CU_ASSERT_PTR_NULL(pop(FMX_LIST_CLOSED));
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_PTR_EQUAL(fmx_list_pop(&shard, &mine, FMX_LIST_CLOSED), conns[i]);
    }
    CU_ASSERT_PTR_NULL(fmx_list_pop(&shard, &mine, FMX_LIST_CLOSED));
    end(3);
}

/* ── kinds ── */

static void lists_of_two_kinds_do_not_mix(void)
{
    start(3);
    fmx_list_push(conns[0], FMX_LIST_READY);
    fmx_list_push(conns[1], FMX_LIST_READY);
    fmx_list_push(conns[2], FMX_LIST_STARVED);
    fmx_list_push(conns[0], FMX_LIST_STARVED);
    CU_ASSERT(fmx_list_has(conns[0], FMX_LIST_READY) && fmx_list_has(conns[0], FMX_LIST_STARVED));
    CU_ASSERT_FALSE(fmx_list_has(conns[0], FMX_LIST_ENDED));
    CU_ASSERT_FALSE(fmx_list_has(conns[2], FMX_LIST_READY));
    CU_ASSERT_PTR_NULL(pop(FMX_LIST_ENDED));
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_READY), conns[0]);
    CU_ASSERT(fmx_list_has_any(conns[0]) && fmx_list_has(conns[0], FMX_LIST_STARVED));
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_STARVED), conns[2]);
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_STARVED), conns[0]);
    CU_ASSERT_FALSE(fmx_list_has_any(conns[0]));
    CU_ASSERT_PTR_EQUAL(pop(FMX_LIST_READY), conns[1]);
    end(3);
}

/* ── the twin ── */

static bool twin_list_has(const struct twin_list *list, const struct fmx_conn *conn)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (list->conns[i] == conn) {
            return true;
        }
    }
    return false;
}

static bool twin_has(enum fmx_list_kind kind, const struct fmx_conn *conn)
{
    return twin_list_has(&twins[kind].joined, conn) || twin_list_has(&twins[kind].taken, conn);
}

static struct fmx_conn *twin_pop(struct twin_list *list)
{
    struct fmx_conn *first = list->conns[0];

    if (list->count == 0) {
        return NULL;
    }
    list->count--;
    memmove(list->conns, list->conns + 1, list->count * sizeof(list->conns[0]));
    return first;
}

static void push_both(enum fmx_list_kind kind, struct fmx_conn *conn)
{
    struct twin_list *joined = &twins[kind].joined;

    if (!twin_has(kind, conn)) {
        joined->conns[joined->count++] = conn;
    }
    fmx_list_push(conn, kind);
}

static void pop_both(uint64_t seed, enum fmx_list_kind kind)
{
    struct twin_list *twin = &twins[kind].taken;

    FMX_SEED_ASSERT(seed, fmx_list_pop(&shard, &taken[kind], kind) == twin_pop(twin));
    FMX_SEED_ASSERT(seed, (taken[kind].first == 0) == (twin->count == 0));
}

static void pop_both_joined(uint64_t seed, enum fmx_list_kind kind)
{
    struct twin_list *twin = &twins[kind].joined;

    FMX_SEED_ASSERT(seed, pop(kind) == twin_pop(twin));
    FMX_SEED_ASSERT(seed, (shard.lists[kind].first == 0) == (twin->count == 0));
}

/* As the engine does: not before all that was taken over last time is popped. */
static void take_both(enum fmx_list_kind kind)
{
    struct twin *twin = &twins[kind];

    if (twin->taken.count == 0) {
        taken[kind] = fmx_list_take(&shard, kind);
        twin->taken = twin->joined;
        twin->joined.count = 0;
    }
}

static void check(uint64_t seed, const struct fmx_conn *conn)
{
    bool any = false;

    for (enum fmx_list_kind kind = 0; kind < FMX_LISTS_COUNT; kind++) {
        FMX_SEED_ASSERT(seed, fmx_list_has(conn, kind) == twin_has(kind, conn));
        any = any || twin_has(kind, conn);
    }
    FMX_SEED_ASSERT(seed, fmx_list_has_any(conn) == any);
}

/* A connection that stands nowhere goes, and another one comes into its slot. */
static void renew(uint64_t seed, unsigned i)
{
    if (!fmx_list_has_any(conns[i])) {
        fmx_slab_give(&shard.conns, conns[i]);
        FMX_SEED_ASSERT(seed, fmx_slab_take(&shard.conns) == conns[i]);
        conns[i]->shard = &shard;
    }
}

static void step_both(uint64_t seed, struct fmx_prng *prng, uint64_t pushes_of_16)
{
    enum fmx_list_kind kind = (enum fmx_list_kind)fmx_prng_below(prng, FMX_LISTS_COUNT);
    unsigned i = (unsigned)fmx_prng_below(prng, CONNS);

    if (fmx_prng_below(prng, 16) < pushes_of_16) {
        push_both(kind, conns[i]);
    } else if (fmx_prng_below(prng, 2) == 0) {
        pop_both(seed, kind);
    } else {
        pop_both_joined(seed, kind);
    }
    if (fmx_prng_below(prng, 50) == 0) {
        take_both(kind);
    }
    renew(seed, (unsigned)fmx_prng_below(prng, CONNS));
    check(seed, conns[i]);
}

/* Long stretches in which joining or leaving prevails, so that lists fill and run empty. */
static void lists_agree_with_their_twin(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};

        start(CONNS);
        for (unsigned step = 0; step < STEPS; step++) {
            step_both(seed, &prng, step / 1000 % 2 == 0 ? 12 : 4);
        }
        for (enum fmx_list_kind kind = 0; kind < FMX_LISTS_COUNT; kind++) {
            while (twins[kind].taken.count > 0) {
                pop_both(seed, kind);
            }
            while (twins[kind].joined.count > 0) {
                pop_both_joined(seed, kind);
            }
        }
        end(CONNS);
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(connections_leave_in_the_order_in_which_they_joined),
    FMX_TEST_CASE(who_stands_in_a_list_keeps_its_place_there),
    FMX_TEST_CASE(after_the_last_has_left_a_list_begins_anew),
    FMX_TEST_CASE(who_joins_after_a_taking_over_is_not_among_those_taken),
    FMX_TEST_CASE(who_is_still_among_those_taken_does_not_join_again),
    FMX_TEST_CASE(lists_of_two_kinds_do_not_mix),
    FMX_TEST_CASE(lists_agree_with_their_twin),
};

int main(int argc, char **argv)
{
    return fmx_test_main("list", cases, sizeof cases / sizeof cases[0], argc, argv);
}
