/*
 * sources.h — how many of something each source address has now
 *
 * IPv6 addresses count by their first 64 bits: that much one host has to itself.
 */
#ifndef ENGINE_SOURCES_H
#define ENGINE_SOURCES_H

#include "engine/index.h"
#include "engine/slab.h"
#include <netinet/in.h>

struct fmx_sources {
    struct fmx_slab slab;
    struct fmx_index index;
    uint64_t seed;
};

/* FMX_OK or FMX_LIMIT_MEMORY. `seed`: so that nobody can choose addresses that collide. */
enum fmx_status fmx_sources_open(struct fmx_sources *sources, uint64_t seed) FMX_MUST_USE;
void fmx_sources_close(struct fmx_sources *sources); /* all zero is harmless */

/*
 * One more of this address, unless it has `max` already. The number of its entry, from 1, to be
 * given back; 0: it has, or memory ran out.
 */
uint32_t fmx_sources_take(struct fmx_sources *sources, const struct sockaddr_in6 *name,
                          uint32_t max);

/* One less; 0 is harmless. */
void fmx_sources_give(struct fmx_sources *sources, uint32_t number);

#endif
