/*
 * fleet_gaps.h — sets of numbers that are missing, as ranges; many sets out of one pool
 *
 * A set is one 32-bit value of the caller's, FMX_GAPS_NONE while it is empty. Numbers have 48 bits.
 */
#ifndef ENGINE_ROLES_FLEET_GAPS_H
#define ENGINE_ROLES_FLEET_GAPS_H

#include <fleetmux/types.h>

#define FMX_GAPS_NONE UINT32_MAX

struct fmx_gap;

/* All zero but seed and bytes_max is a pool without a range. */
struct fmx_gaps {
    struct fmx_gap **chunks;
    uint32_t chunks_count;
    uint32_t used; /* places ever used */
    uint32_t free; /* the first one given back, plus 1; 0: none */
    uint32_t free_count;
    uint64_t seed;    /* peers choose the numbers: one that they cannot guess */
    size_t bytes;     /* held */
    size_t bytes_max; /* no more than this, in chunks */
};

void fmx_gaps_close(struct fmx_gaps *gaps);

/* Room for so many more ranges. False: no memory. */
bool fmx_gaps_reserve(struct fmx_gaps *gaps, uint32_t ranges) FMX_MUST_USE;

/* Adds first … end − 1, of which none is in the set. Room for one range has been reserved. */
void fmx_gaps_add(struct fmx_gaps *gaps, uint32_t *set, uint64_t first, uint64_t end);

/* How many numbers from first … end − 1 are in it. */
uint64_t fmx_gaps_count(const struct fmx_gaps *gaps, uint32_t set, uint64_t first, uint64_t end);

/* Is the number in it? */
bool fmx_gaps_has(const struct fmx_gaps *gaps, uint32_t set, uint64_t number);

/* Takes out a number that is in it. Room for one range has been reserved. */
void fmx_gaps_take(struct fmx_gaps *gaps, uint32_t *set, uint64_t number);

/* Empties it; returns how many numbers below `end` were in it, and how many from there on. */
uint64_t fmx_gaps_drain(struct fmx_gaps *gaps, uint32_t *set, uint64_t end, uint64_t *out_beyond);

/* Asserts that the set is sound; returns how many numbers are in it. */
uint64_t fmx_gaps_check(const struct fmx_gaps *gaps, uint32_t set);

/* Takes the first range out of it, until it is empty: nothing else is done with it meanwhile. */
bool fmx_gaps_pop(struct fmx_gaps *gaps, uint32_t *set, uint64_t *out_first, uint64_t *out_end);

#endif
