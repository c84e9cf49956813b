/*
 * prng.h — splitmix64: the same numbers on every machine for the same seed
 */
#ifndef FMX_TESTS_SUPPORT_PRNG_H
#define FMX_TESTS_SUPPORT_PRNG_H

#include <stdint.h>

struct fmx_prng {
    uint64_t state; /* begins as the seed */
};

static inline uint64_t fmx_prng_next(struct fmx_prng *prng)
{
    uint64_t z = prng->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 … n − 1; n is at least 1. The bias is below n / 2^64. */
static inline uint64_t fmx_prng_below(struct fmx_prng *prng, uint64_t n)
{
    __extension__ typedef unsigned __int128 wide;

    return (uint64_t)((wide)fmx_prng_next(prng) * n >> 64);
}

#endif
