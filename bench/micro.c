/*
 * micro — bench_micro, what small parts cost by themselves, without the kernel
 *
 * Why it is so:   these parts run once or more for every message or session, so their cost is the
 *                 floor under every other figure. What holds much state is measured at the size at
 *                 which it works in earnest, in random order and from memory that does not fit the
 *                 caches: a table of a hundred entries would look ten times as good. Time wavers
 *                 with the machine, instructions do not: the same rows can be counted under
 *                 callgrind, a row at a time, so that what was allocated before has no influence
 * Words:          row: one measurement; round: all operations of a row once; the figure is the
 *                 median round's
 * Invariants:     (1) the random numbers of a row do not depend on the rows before it
 *                 (2) a row runs once unmeasured before it is timed or counted
 *                 (3) what is measured is called through MICRO_CALLEE
 *                 (4) a row whose operations fail ends the program: to fail is cheap
 * Memory:         some 700 MB at the largest size, given back after each row
 * Limits:         bench_micro [NAME…] measures what is called NAME, or has it in its name, and
 *                 prints "name ns_per_op"; a second line with "bytes" is the memory for each
 *                 subscription. The other ways to call it are for bench/micro, which makes the
 *                 table. Every figure holds what `loop_alone` shows: a loop and a call
 * Not here:       what is measured: micro_proto.c, micro_session.c, micro_engine.c, micro_router.c,
 *                 micro_tls.c
 */
#include "bench/micro.h"
#include "engine/clock.h"

#include <gnu/libc-version.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define CAN_BEGIN_LATE true
#else
#define CALLGRIND_START_INSTRUMENTATION (void)0
#define CALLGRIND_STOP_INSTRUMENTATION  (void)0
#define CAN_BEGIN_LATE                  false
#endif

#ifndef BENCH_BUILD
#define BENCH_BUILD "unknown"
#endif

#define ROUNDS      7u
#define RANDOM_SEED 42u
#define NAME_COLUMN 40

static const struct micro_list *const lists[] = {&micro_proto, &micro_session, &micro_engine,
                                                 &micro_router, &micro_tls};

static uint64_t random_state = RANDOM_SEED;
static volatile uint64_t sink; /* what is computed has to be used */

/* ---- for the rows ---------------------------------------------------------------------------- */

uint64_t micro_random_below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % n;
}

void micro_expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "bench_micro: cannot measure: %s is missing\n", what);
        exit(1);
    }
}

void *micro_allocate(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);

    micro_expect(memory != NULL, "memory");
    return memory;
}

uint32_t *micro_shuffled(uint32_t count)
{
    uint32_t *order = micro_allocate(count, sizeof *order);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)micro_random_below(i + 1u);
        order[i] = order[at];
        order[at] = i;
    }
    return order;
}

struct micro_topic micro_topic_of(uint32_t device, const char *tail)
{
    static const char begin[] = "/a1Q5XoY7PkQ/device-0000000";
    struct micro_topic topic = {.used = sizeof begin - 1};
    size_t bytes = strlen(tail);

    micro_expect(topic.used + bytes < sizeof topic.bytes, "room for a topic");
    memcpy(topic.bytes, begin, topic.used);
    for (char *digit = topic.bytes + topic.used; device > 0; device /= 10) {
        *--digit = (char)('0' + device % 10);
    }
    memcpy(topic.bytes + topic.used, tail, bytes + 1);
    topic.used += bytes;
    return topic;
}

/* ---- time ------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

static void *open_row(const struct micro *row, uint64_t operations)
{
    random_state = RANDOM_SEED;
    return row->open(row, operations);
}

static void prepare(const struct micro *row, void *world)
{
    if (row->before != NULL) {
        row->before(world);
    }
}

static void time_rounds(const struct micro *row, void *world, double ns[ROUNDS])
{
    prepare(row, world);
    sink += row->run(world, row->operations);
    for (unsigned round = 0; round < ROUNDS; round++) {
        prepare(row, world);
        uint64_t begin_ns = fmx_clock_ns();
        sink += row->run(world, row->operations);
        ns[round] = (double)(fmx_clock_ns() - begin_ns) / (double)row->operations;
    }
    qsort(ns, ROUNDS, sizeof ns[0], compare);
}

static void print_text(const struct micro *row, const double ns[ROUNDS], double bytes_each)
{
    printf("%-*s %8.1f\n", NAME_COLUMN, row->name, ns[ROUNDS / 2]);
    if (row->bytes_each != NULL) {
        printf("%-*s %8.1f bytes\n", NAME_COLUMN, row->name, bytes_each);
    }
}

static void print_json(const struct micro *row, const double ns[ROUNDS], double bytes_each)
{
    printf("{\"name\": \"%s\", \"ns\": %.2f, \"ns_min\": %.2f, \"ns_max\": %.2f", row->name,
           ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1]);
    if (row->bytes_each != NULL) {
        printf(", \"bytes_each\": %.1f", bytes_each);
    }
    printf("}\n");
}

static void time_row(const struct micro *row, bool as_json)
{
    double ns[ROUNDS];
    void *world = open_row(row, row->operations);

    time_rounds(row, world, ns);
    double bytes_each = row->bytes_each != NULL ? row->bytes_each(world) : 0;
    row->close(world);
    (as_json ? print_json : print_text)(row, ns, bytes_each);
    (void)fflush(stdout);
}

/* ---- instructions ---------------------------------------------------------------------------- */

/* Callgrind is told this name where it cannot be told from here when to begin. */
uint64_t bench_micro_counted(const struct micro *row, void *world, uint64_t operations)
    __attribute__((noinline, used));

uint64_t bench_micro_counted(const struct micro *row, void *world, uint64_t operations)
{
    CALLGRIND_START_INSTRUMENTATION;
    uint64_t sum = row->run(world, operations);
    CALLGRIND_STOP_INSTRUMENTATION;
    return sum;
}

static void count_row(const struct micro *row)
{
    void *world = open_row(row, row->counted);

    prepare(row, world);
    sink += row->run(world, row->counted);
    prepare(row, world);
    sink += bench_micro_counted(row, world, row->counted);
    row->close(world);
    printf("{\"name\": \"%s\", \"operations\": %llu}\n", row->name,
           (unsigned long long)row->counted);
}

/* ---- the command line ------------------------------------------------------------------------ */

static const struct micro *row_at(size_t number)
{
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (number < lists[i]->count) {
            return &lists[i]->rows[number];
        }
        number -= lists[i]->count;
    }
    return NULL;
}

static const struct micro *row_named(const char *name)
{
    const struct micro *row;

    for (size_t i = 0; (row = row_at(i)) != NULL && strcmp(row->name, name) != 0; i++) {
    }
    return row;
}

/* Is one of the words the name, or, if it is no whole name, a part of it? No words: all are. */
static bool is_wanted(const char *name, char **words, int count)
{
    for (int i = 0; i < count; i++) {
        if (row_named(words[i]) != NULL ? strcmp(name, words[i]) == 0
                                        : strstr(name, words[i]) != NULL) {
            return true;
        }
    }
    return count == 0;
}

static int none(const char *word)
{
    fprintf(stderr, "bench_micro: nothing of that kind is called %s; see --list\n", word);
    return 2;
}

static int time_all(char **words, int count, bool as_json)
{
    const struct micro *row;
    bool any = false;

    for (size_t i = 0; (row = row_at(i)) != NULL; i++) {
        if (is_wanted(row->name, words, count)) {
            time_row(row, as_json);
            any = true;
        }
    }
    return any ? 0 : none(words[0]);
}

static int count_named(const char *name)
{
    const struct micro *row = row_named(name);

    if (row == NULL || row->counted == 0) {
        return none(name);
    }
    count_row(row);
    return 0;
}

static int list_all(void)
{
    const struct micro *row;

    for (size_t i = 0; (row = row_at(i)) != NULL; i++) {
        printf("{\"name\": \"%s\", \"is_counted\": %s}\n", row->name,
               row->counted > 0 ? "true" : "false");
    }
    return 0;
}

static int print_about(void)
{
#if defined(__clang__)
    const char *compiler = __VERSION__;
#else
    const char *compiler = "gcc " __VERSION__;
#endif
    printf("{\"compiler\": \"%s\", \"build\": \"" BENCH_BUILD "\", \"libc\": \"glibc %s\", "
           "\"can_begin_late\": %s}\n",
           compiler, gnu_get_libc_version(), CAN_BEGIN_LATE ? "true" : "false");
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: bench_micro [--json] [NAME...]\n"
                    "       bench_micro --count FULL_NAME    one row, to be run under callgrind\n"
                    "       bench_micro --list | --about\n");
    return 2;
}

int main(int argc, char **argv)
{
    const char *option = argc > 1 && argv[1][0] == '-' ? argv[1] : "";

    if (strcmp(option, "--list") == 0) {
        return list_all();
    }
    if (strcmp(option, "--about") == 0) {
        return print_about();
    }
    if (strcmp(option, "--count") == 0) {
        return argc == 3 ? count_named(argv[2]) : usage();
    }
    bool as_json = strcmp(option, "--json") == 0;
    if (option[0] != '\0' && !as_json) {
        return usage();
    }
    int skipped = as_json ? 2 : 1;
    return time_all(argv + skipped, argc - skipped, as_json);
}
