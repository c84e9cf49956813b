/*
 * seed.h — an assertion in a test of random steps: says at failure which seed leads there
 */
#ifndef FMX_TESTS_SUPPORT_SEED_H
#define FMX_TESTS_SUPPORT_SEED_H

#include <CUnit/CUnit.h>

#include <inttypes.h>
#include <stdio.h>

/* Ends the case at failure: what follows a first difference from the twin means nothing. */
#define FMX_SEED_ASSERT(seed, promise)                                                             \
    do {                                                                                           \
        if (!(promise)) {                                                                          \
            fprintf(stderr, "%s:%d: seed %" PRIu64 ": %s\n", __FILE__, __LINE__, (uint64_t)(seed), \
                    #promise);                                                                     \
            CU_FAIL_FATAL(#promise);                                                               \
        }                                                                                          \
    } while (0)

#endif
