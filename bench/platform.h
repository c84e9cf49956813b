/*
 * platform.h — what the parts of bench_platform share: options, rounds, the world, fleets, calls
 *
 * platform.c has main, the rounds and their report; platform_parts.c what is measured;
 * platform_world.c the gateway and its registry; platform_fleet.c the fleets, in a process of their
 * own; platform_calls.c the service that calls devices.
 */
#ifndef BENCH_PLATFORM_H
#define BENCH_PLATFORM_H

#include "tests/support/temporary.h"

#include <fleetmux/fleetmux.h>
#include <fleetmux/registry.h>
#include <sys/types.h>

#define PLATFORM_PRODUCT_KEY "a1bench"
#define PLATFORM_DEVICE_NAME "device_%u"
#define PLATFORM_ERROR_BYTES 512

struct platform_options {
    uint32_t devices;     /* numbers 1 … devices */
    uint32_t busy;        /* the first of them publish */
    uint32_t offered;     /* messages a second of each of these */
    uint32_t seconds;     /* of the limiter, and of calls */
    uint32_t inflight;    /* calls at once */
    uint32_t outstanding; /* calls at once that nobody answers */
    uint32_t timeout_ms;
    uint32_t payload_bytes;
    uint32_t rounds;
    uint32_t seed;
    uint32_t shards; /* of each end */
    uint32_t server_cpu;
    uint32_t load_cpu;
    char folder[FMX_TEMPORARY_BYTES]; /* of this round, for the registry; main removes it */
};

/* ── what a round found: in memory that the process of the round shares with main ── */

#define PLATFORM_FIGURES_MAX 48

struct platform_figure {
    char name[40];
    char unit[16];
    double value;
};

struct platform_round {
    bool ended;
    uint32_t promises_broken;
    uint32_t figures_count;
    struct platform_figure figures[PLATFORM_FIGURES_MAX];
};

/* Ends the process of the round with these words: it could not be run. */
__attribute__((noreturn, format(printf, 1, 2))) void platform_fail(const char *format, ...);

/* A figure with the name PREFIX_NAME. */
void platform_note(struct platform_round *round, const char *prefix, const char *name,
                   const char *unit, double value);
/* Counts as a broken promise if `count` is above 0. */
void platform_broken(struct platform_round *round, const char *words, double count);

struct platform_part {
    const char *name;
    const char *words;
    void (*run)(const struct platform_options *options, struct platform_round *round);
};

extern const struct platform_part PLATFORM_PARTS[];
extern const size_t PLATFORM_PARTS_COUNT;

/* ── the fleets, in a child process; orders are answered one by one ── */

enum platform_verb {
    PLATFORM_HOLD,    /* connect, and stay until PLATFORM_END */
    PLATFORM_PUBLISH, /* connect, publish for `seconds`, leave */
    PLATFORM_END,
};

struct platform_order {
    enum platform_verb verb;
    uint16_t port;
    uint32_t first;
    uint32_t count;
    bool answers; /* calls; else they are only counted */
};

/* What a fleet has told. */
struct platform_seen {
    struct fmx_fleet_snapshot snapshot;
    struct fmx_latency connect;
    struct fmx_latency puback;
};

struct platform_fleets {
    int socket;
    pid_t pid;
};

/* Forks: before any thread is started. */
void platform_fleets_open(struct platform_fleets *fleets, const struct platform_options *options);
void platform_fleets_close(struct platform_fleets *fleets);

void platform_fleets_begin(struct platform_fleets *fleets, const struct platform_order *order);
bool platform_fleets_are_done(struct platform_fleets *fleets);
void platform_fleets_wait(struct platform_fleets *fleets, struct platform_seen *out_seen);

/* Fills in the names and secrets by which the fleets go, for the registry. */
void platform_fleets_group(const struct platform_options *options,
                           struct fmx_fleet_group *out_group);

/* ── a gateway, its registry, and fleets ── */

struct platform_world {
    const struct platform_options *options;
    struct platform_fleets fleets;
    char registry[FMX_TEMPORARY_FILE_BYTES];
    struct fmx_gateway *gateway;
    struct fmx_gateway_caller *caller;
    uint16_t port;
};

void platform_world_open(struct platform_world *world, const struct platform_options *options);
void platform_world_close(struct platform_world *world);

typedef void platform_on_message(void *user, const struct fmx_gateway_message *message);
void platform_gateway_open(struct platform_world *world, enum fmx_profile profile,
                           uint32_t downstream_per_second, platform_on_message *on_message);
void platform_gateway_close(struct platform_world *world);

/* Processor time so far: of the gateway's threads, of this one, of the fleets, of the machine. */
struct platform_usage {
    double wall_s;
    double gateway_s;
    double service_s;
    double fleets_s;
    double machine_s;
};

struct platform_usage platform_usage_now(const struct platform_world *world);
struct platform_usage platform_usage_since(const struct platform_world *world,
                                           const struct platform_usage *begin);
void platform_note_usage(struct platform_round *round, const char *prefix,
                         const struct platform_usage *usage);

/* ── calls: each has a record of its own, used once ── */

struct platform_call;

struct platform_calls {
    const struct platform_world *world;
    struct platform_call *table;
    char (*names)[24]; /* of the devices that are called */
    uint32_t names_count;
    uint32_t step; /* through them, coprime to their number */
    uint32_t at;
    uint32_t in_a_row; /* calls to a device before it is the next one's turn (1) */
    uint32_t timeout_ms;
    uint64_t capacity;
    uint64_t begun;
    uint64_t ended;
    uint64_t codes[FMX_CALL_UNKNOWN + 1];
    uint64_t answers_wrong; /* not the echo of the call */
    uint64_t earliest_ns;   /* least time from begin to end */
    struct fmx_distribution latency;
    struct fmx_distribution off_timeout; /* how far from begin to end is from the timeout */
};

/* Memory for `capacity` calls to `count` devices from `first` on; `touch`: all of it now. */
struct platform_calls *platform_calls_open(const struct platform_world *world, uint32_t first,
                                           uint32_t count, uint32_t timeout_ms, uint64_t capacity,
                                           bool touch);
void platform_calls_close(struct platform_calls *calls);

/*
 * Calls with so many in flight until the time has come, the fleets are done (if `until_ns` is 0),
 * or `begun_max` have begun.
 */
void platform_calls_run(struct platform_calls *calls, uint64_t window, uint64_t until_ns,
                        uint64_t begun_max);

/* Waits for the answers of all, at most their timeout and some seconds. */
void platform_calls_settle(struct platform_calls *calls);

/* After settling. Notes what was lost, ended twice or answered wrongly as broken promises. */
void platform_calls_check(const struct platform_calls *calls, struct platform_round *round,
                          const char *prefix);

#endif
