/*
 * micro — bench_micro, what the engine's small parts cost by themselves
 *
 * Why it is so:   these parts run once or more for every message or session, so their cost is the
 *                 floor under every other figure. Each is measured at the size at which it works in
 *                 earnest, in random order and from memory that does not fit the caches: a table of
 *                 a hundred entries would look ten times as good.
 * Words:          round: all operations of a measurement once; the figure is the median round's
 * Memory:         some 600 MB at the largest size, given back before the end
 * Limits:         bench_micro [NAME] measures what has NAME in its name; prints "name ns_per_op",
 *                 or bytes where the name says so
 */
#include "engine/clock.h"
#include "engine/histogram.h"
#include "engine/router.h"
#include "engine/slab.h"
#include "engine/timer.h"
#include "proto/topic.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS      7u
#define REPEATS     1000000u
#define TIMERS_FEW  10000u
#define TIMERS_MANY 1000000u
#define SLOTS       100000u
#define RECORDS     2000000u
#define LOOKUPS     1000000u
#define TOPIC_BYTES 64u
#define SECOND_NS   1000000000ull

static const char *wanted = "";
static uint64_t random_state = 42;
static volatile uint64_t sink; /* what is computed has to be used */

/* ---- support ------------------------------------------------------------------------------- */

static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % n;
}

static void *allocate(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);

    if (memory == NULL) {
        fprintf(stderr, "bench_micro: memory ran out\n");
        exit(1);
    }
    return memory;
}

static void expect_ok(enum fmx_status status)
{
    if (status != FMX_OK) {
        fprintf(stderr, "bench_micro: %s\n", fmx_status_text(status));
        exit(1);
    }
}

/* 0 … count − 1, shuffled. The caller frees it. */
static uint32_t *shuffled(uint32_t count)
{
    uint32_t *order = allocate(count, sizeof *order);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)random_below(i + 1u);
        order[i] = order[at];
        order[at] = i;
    }
    return order;
}

static bool is_wanted(const char *name)
{
    return strstr(name, wanted) != NULL;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

static void report(const char *name, double rounds[ROUNDS])
{
    qsort(rounds, ROUNDS, sizeof rounds[0], compare);
    printf("%-40s %8.1f\n", name, rounds[ROUNDS / 2]);
    (void)fflush(stdout);
}

static double ns_each(uint64_t begin_ns, uint64_t count)
{
    return (double)(fmx_clock_ns() - begin_ns) / (double)count;
}

/* ---- timer --------------------------------------------------------------------------------- */

/* A timer as it lies in a session of some hundred bytes. */
struct timed {
    struct fmx_timer timer;
    uint8_t rest[320];
};

struct timer_run {
    struct timed *owners;
    uint64_t *due_ns;
    uint32_t *order;
    uint32_t count;
    double arm[ROUNDS];
    double arm_again[ROUNDS];
    double expire[ROUNDS];
    double next[ROUNDS];
};

static void expire_all(struct fmx_wheel *wheel)
{
    while (wheel->armed_count > 0) {
        uint64_t now_ns = fmx_wheel_next_ns(wheel);
        while (fmx_wheel_pop(wheel, now_ns) != NULL) {
        }
    }
}

static void measure_timer_round(struct timer_run *run, unsigned round)
{
    static struct fmx_wheel wheel;

    fmx_wheel_init(&wheel, SECOND_NS);
    uint64_t begin_ns = fmx_clock_ns();
    for (uint32_t i = 0; i < run->count; i++) {
        fmx_wheel_arm(&wheel, &run->owners[i].timer, run->due_ns[i]);
    }
    run->arm[round] = ns_each(begin_ns, run->count);
    begin_ns = fmx_clock_ns();
    for (uint32_t i = 0; i < run->count; i++) {
        fmx_wheel_arm(&wheel, &run->owners[run->order[i]].timer, run->due_ns[i]);
    }
    run->arm_again[round] = ns_each(begin_ns, run->count);
    begin_ns = fmx_clock_ns();
    for (uint32_t i = 0; i < run->count; i++) {
        sink += fmx_wheel_next_ns(&wheel);
    }
    run->next[round] = ns_each(begin_ns, run->count);
    begin_ns = fmx_clock_ns();
    expire_all(&wheel);
    run->expire[round] = ns_each(begin_ns, run->count);
}

/* One timer that is armed again and again: what a session that talks pays. */
static void measure_timer_hot(void)
{
    static struct fmx_wheel wheel;
    struct fmx_timer timers[64] = {0};
    double rounds[ROUNDS];

    if (!is_wanted("timer")) {
        return;
    }
    fmx_wheel_init(&wheel, SECOND_NS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t begin_ns = fmx_clock_ns();
        for (uint32_t i = 0; i < REPEATS; i++) {
            fmx_wheel_arm(&wheel, &timers[i % 64], SECOND_NS * 60 + i * 1000ull);
        }
        rounds[round] = ns_each(begin_ns, REPEATS);
    }
    report("timer_arm_again_64_hot", rounds);
}

static void report_timer(const char *what, uint32_t count, double rounds[ROUNDS])
{
    char name[64];

    (void)snprintf(name, sizeof name, "timer_%s_%u", what, count);
    report(name, rounds);
}

static void measure_timer(uint32_t count)
{
    if (!is_wanted("timer")) {
        return;
    }
    struct timer_run run = {
        .owners = allocate(count, sizeof *run.owners),
        .due_ns = allocate(count, sizeof *run.due_ns),
        .order = shuffled(count),
        .count = count,
    };
    for (uint32_t i = 0; i < count; i++) {
        run.due_ns[i] = SECOND_NS + random_below(120 * SECOND_NS);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        measure_timer_round(&run, round);
    }
    report_timer("arm", count, run.arm);
    report_timer("arm_again", count, run.arm_again);
    report_timer("expire", count, run.expire);
    report_timer("next_ns", count, run.next);
    free(run.owners);
    free(run.due_ns);
    free(run.order);
}

/* ---- slab and histogram -------------------------------------------------------------------- */

static void measure_slab(void)
{
    if (!is_wanted("slab")) {
        return;
    }
    struct fmx_slab slab;
    uint32_t *order = shuffled(SLOTS);
    double take[ROUNDS];
    double give[ROUNDS];

    expect_ok(fmx_slab_open(&slab, 384, SLOTS));
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t begin_ns = fmx_clock_ns();
        for (uint32_t i = 0; i < SLOTS; i++) {
            sink += (uintptr_t)fmx_slab_take(&slab);
        }
        take[round] = ns_each(begin_ns, SLOTS);
        begin_ns = fmx_clock_ns();
        for (uint32_t i = 0; i < SLOTS; i++) {
            fmx_slab_give(&slab, fmx_slab_at(&slab, order[i]));
        }
        give[round] = ns_each(begin_ns, SLOTS);
    }
    report("slab_take_100000_of_384", take);
    report("slab_give_100000_of_384", give);
    fmx_slab_close(&slab);
    free(order);
}

static void measure_slab_hot(void)
{
    if (!is_wanted("slab")) {
        return;
    }
    struct fmx_slab slab;
    double rounds[ROUNDS];

    expect_ok(fmx_slab_open(&slab, 128, SLOTS));
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t begin_ns = fmx_clock_ns();
        for (uint32_t i = 0; i < RECORDS; i++) {
            fmx_slab_give(&slab, fmx_slab_take(&slab));
        }
        rounds[round] = ns_each(begin_ns, RECORDS);
    }
    report("slab_take_and_give_hot", rounds);
    fmx_slab_close(&slab);
}

static void measure_histogram(void)
{
    if (!is_wanted("histogram")) {
        return;
    }
    struct fmx_histogram *histogram = allocate(1, sizeof *histogram);
    double rounds[ROUNDS];

    fmx_histogram_init(histogram);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t value_ns = 1;
        uint64_t begin_ns = fmx_clock_ns();
        for (uint32_t i = 0; i < RECORDS; i++) {
            value_ns = value_ns * 0x5851f42d4c957f2du + 1;
            fmx_histogram_record(histogram, 10000 + (value_ns >> 44));
        }
        rounds[round] = ns_each(begin_ns, RECORDS);
    }
    report("histogram_record", rounds);
    sink += fmx_histogram_percentile(histogram, 0.99);
    free(histogram);
}

/* ---- router -------------------------------------------------------------------------------- */

struct topic {
    char bytes[TOPIC_BYTES];
};

static struct topic topic_of(uint32_t device)
{
    struct topic topic;

    (void)snprintf(topic.bytes, sizeof topic.bytes, "/a1Q5XoY7PkQ/device-%07u/user/update", device);
    return topic;
}

static struct topic wildcard_of(uint32_t device)
{
    struct topic topic;

    (void)snprintf(topic.bytes, sizeof topic.bytes, "/a1Q5XoY7PkQ/device-%07u/+/update", device);
    return topic;
}

static void subscribe_devices(struct fmx_router *router, uint32_t devices,
                              struct topic (*filter_of)(uint32_t))
{
    bool existed;
    bool first;

    for (uint32_t i = 0; i < devices; i++) {
        struct topic filter = filter_of(i);
        uint32_t head = FMX_SUBSCRIPTION_NONE;
        expect_ok(
            fmx_router_add(router, fmx_slice_of(filter.bytes), i, 1, &head, &existed, &first));
    }
}

static void measure_lookups(const char *name, struct fmx_router *router, uint32_t devices)
{
    struct topic *topics = allocate(LOOKUPS, sizeof *topics);
    uint32_t *order = shuffled(LOOKUPS);
    double rounds[ROUNDS];

    for (uint32_t i = 0; i < LOOKUPS; i++) {
        topics[i] = topic_of(order[i] % devices);
    }
    size_t topic_bytes = strlen(topics[0].bytes);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t begin_ns = fmx_clock_ns();
        for (uint32_t i = 0; i < LOOKUPS; i++) {
            const struct fmx_match *matches;
            fmx_slice topic = {.data = (const uint8_t *)topics[i].bytes, .bytes = topic_bytes};
            sink += fmx_router_match(router, topic, &matches);
        }
        rounds[round] = ns_each(begin_ns, LOOKUPS);
    }
    report(name, rounds);
    free(topics);
    free(order);
}

static void report_size(const struct fmx_router *router, uint32_t devices, const char *kind,
                        double add_ns)
{
    char name[64];

    if (devices == 1) {
        return; /* neither says anything of a single one */
    }
    (void)snprintf(name, sizeof name, "router_add_%s_%u", kind, devices);
    printf("%-40s %8.1f\n", name, add_ns);
    (void)snprintf(name, sizeof name, "router_bytes_each_%s_%u", kind, devices);
    printf("%-40s %8zu\n", name, fmx_router_bytes(router) / devices);
}

static void measure_router_at(uint32_t devices, const char *kind,
                              struct topic (*filter_of)(uint32_t))
{
    struct fmx_router *router;
    char name[64];

    (void)snprintf(name, sizeof name, "router_match_%s_%u", kind, devices);
    if (!is_wanted(name)) {
        return;
    }
    expect_ok(fmx_router_open(&router, 0xfeedfacecafebeefu));
    uint64_t begin_ns = fmx_clock_ns();
    subscribe_devices(router, devices, filter_of);
    double add_ns = ns_each(begin_ns, devices);
    measure_lookups(name, router, devices);
    report_size(router, devices, kind, add_ns);
    fmx_router_close(router);
}

static void measure_router(void)
{
    static const uint32_t sizes[] = {1, 1000, 100000, 1000000};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        measure_router_at(sizes[i], "exact", topic_of);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        measure_router_at(sizes[i], "wildcard", wildcard_of);
    }
}

/* An exact filter and two wildcards of others match: three receivers are gathered. */
static void measure_router_mixed(void)
{
    static const char *const more[] = {"/a1Q5XoY7PkQ/+/user/update", "#"};
    struct fmx_router *router;
    bool existed;
    bool first;

    if (!is_wanted("router_match_three_of_100000")) {
        return;
    }
    expect_ok(fmx_router_open(&router, 0xfeedfacecafebeefu));
    subscribe_devices(router, 100000, topic_of);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t head = FMX_SUBSCRIPTION_NONE;
        expect_ok(
            fmx_router_add(router, fmx_slice_of(more[i]), 200000 + i, 0, &head, &existed, &first));
    }
    measure_lookups("router_match_three_of_100000", router, 100000);
    fmx_router_close(router);
}

/* ---- topic --------------------------------------------------------------------------------- */

static void measure_topic_match(const char *name, const char *filter)
{
    struct topic topic = topic_of(12345);
    double rounds[ROUNDS];

    if (!is_wanted(name)) {
        return;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t begin_ns = fmx_clock_ns();
        for (uint32_t i = 0; i < RECORDS; i++) {
            topic.bytes[20] = (char)('0' + i % 2); /* so that no call can be left out */
            sink += fmx_topic_matches(fmx_slice_of(filter), fmx_slice_of(topic.bytes));
        }
        rounds[round] = ns_each(begin_ns, RECORDS);
    }
    report(name, rounds);
}

static void measure_topic_hash(void)
{
    struct topic topic = topic_of(12345);
    double rounds[ROUNDS];

    if (!is_wanted("topic_hash")) {
        return;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t begin_ns = fmx_clock_ns();
        for (uint32_t i = 0; i < RECORDS; i++) {
            sink += fmx_topic_hash(fmx_slice_of(topic.bytes), i);
        }
        rounds[round] = ns_each(begin_ns, RECORDS);
    }
    report("topic_hash_of_41_bytes", rounds);
}

int main(int argc, char **argv)
{
    wanted = argc > 1 ? argv[1] : "";
    measure_timer(TIMERS_FEW);
    measure_timer(TIMERS_MANY);
    measure_timer_hot();
    measure_slab();
    measure_slab_hot();
    measure_histogram();
    measure_topic_match("topic_match_exact", "/a1Q5XoY7PkQ/device-0012345/user/update");
    measure_topic_match("topic_match_wildcard", "/a1Q5XoY7PkQ/+/user/update");
    measure_topic_hash();
    measure_router();
    measure_router_mixed();
    return 0;
}
