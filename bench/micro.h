/*
 * micro.h — what one measurement is, and what the files of measurements share
 *
 * A measurement opens a world, runs so and so many operations in it, round after round, and closes
 * it. All it does is decided by its row and by fixed seeds, so that its instructions can be counted
 * and compared with an earlier count.
 */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <stddef.h>
#include <stdint.h>

struct micro {
    const char *name;
    /* `operations` is the most that a round will ask for. Ends the process if it cannot. */
    void *(*open)(const struct micro *self, uint64_t operations);
    void (*before)(void *world); /* before each round, not measured; NULL: nothing to do */
    /* Returns something that depends on all it did. */
    uint64_t (*run)(void *world, uint64_t operations);
    void (*close)(void *world);
    double (*bytes_each)(void *world); /* memory for each of `size`; NULL: does not matter */
    uint64_t operations;               /* of one round */
    uint64_t counted; /* of the run whose instructions are counted; 0: they would say little */
    uint32_t size;    /* how many there are of what is measured, where that matters */
    const void *argument;
};

struct micro_list {
    const struct micro *rows;
    size_t count;
};

#define MICRO_LIST(rows)                                                                           \
    {                                                                                              \
        (rows), sizeof(rows) / sizeof((rows)[0])                                                   \
    }

extern const struct micro_list micro_proto;   /* framing, decode, encode */
extern const struct micro_list micro_session; /* session, window, bucket */
extern const struct micro_list micro_engine;  /* slab, timer, inbox, sendq, payload, histogram */
extern const struct micro_list micro_router;  /* topics, router */
extern const struct micro_list micro_tls;     /* records */

/*
 * `local` calls `function` as another program would: neither woven into the loop around it nor made
 * special for what the loop passes. Within the function and below it the optimizer is free.
 */
#define MICRO_CALLEE(local, function)                                                              \
    __typeof__ (&(function))(local) = (function);                                                  \
    __asm__ volatile("" : "+r"(local))

/* Numbers below `n`, the same ones for each measurement. */
uint64_t micro_random_below(uint64_t n);

/* Zeroed; ends the process if there is no memory. */
void *micro_allocate(size_t count, size_t bytes);

/* 0 … count − 1, shuffled. The caller frees it. */
uint32_t *micro_shuffled(uint32_t count);

/* Ends the process, naming `what`, unless `holds`. */
void micro_expect(int holds, const char *what);

/* A topic of a device, as in the platform's dialect, with a terminator. */
#define MICRO_TOPIC_BYTES 64u

struct micro_topic {
    char bytes[MICRO_TOPIC_BYTES];
    size_t used;
};

/* "/a1Q5XoY7PkQ/device-0000042" and `tail`. */
struct micro_topic micro_topic_of(uint32_t device, const char *tail);

#endif
