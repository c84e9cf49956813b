/*
 * fleet_clock.h — when what is planned is due: a clock whose rate changes over time
 *
 * What is planned has a time on this clock; its rate says how many of its units go by in a
 * nanosecond. A rate may change at any moment and run straight from one value to another; the clock
 * keeps every piece of that, so a planned time is always the same real time, on every shard, and
 * also long after. With rate 0 it stands still, and what is planned has no real time yet.
 *
 * One thread (the director) adds pieces, always from some moment ahead of all shards; any thread
 * reads.
 */
#ifndef ENGINE_ROLES_FLEET_CLOCK_H
#define ENGINE_ROLES_FLEET_CLOCK_H

#include <fleetmux/error.h>
#include <stdatomic.h>
#include <stdbool.h>

#define FMX_CLOCK_NEVER  UINT64_MAX
#define FMX_CLOCK_CLIENT 1000000000u /* units in which a clock counts a client */

/* From begin_ns on: begin_units + rate_begin × t + (rate_end − rate_begin) ÷ span × t² ÷ 2 */
struct fmx_clock_piece {
    uint64_t begin_ns;
    uint64_t begin_units;
    uint64_t span_ns; /* 0: rate_begin for ever; after it the next piece follows, or rate_end */
    double rate_begin;
    double rate_end;
};

#define FMX_CLOCK_CHUNK_PIECES 64u
#define FMX_CLOCK_CHUNKS_MAX   4096u

struct fmx_fleet_clock {
    _Atomic uint32_t pieces_count; /* stored after the piece it counts */
    struct fmx_clock_piece *chunks[FMX_CLOCK_CHUNKS_MAX];
};

/* Empty: everything is FMX_CLOCK_NEVER. Zeroed memory is one. */
void fmx_clock_close(struct fmx_fleet_clock *clock);

/*
 * From begin_ns on the rate is this. begin_ns is not before the last piece's. The units at begin_ns
 * follow from the last piece, or are `begin_units` where that is more: they jump. FMX_OK, FMX_FULL
 * (262,144 pieces), FMX_LIMIT_MEMORY.
 */
enum fmx_status fmx_clock_add(struct fmx_fleet_clock *clock,
                              const struct fmx_clock_piece *piece) FMX_MUST_USE;

/* Units at a real time; 0 before the first piece. */
uint64_t fmx_clock_units(const struct fmx_fleet_clock *clock, uint64_t real_ns);

/* The real time at which the clock reaches `units`; FMX_CLOCK_NEVER: not as things stand. */
uint64_t fmx_clock_real_ns(const struct fmx_fleet_clock *clock, uint64_t units);

/* Units a nanosecond. */
double fmx_clock_rate(const struct fmx_fleet_clock *clock, uint64_t real_ns);

#endif
