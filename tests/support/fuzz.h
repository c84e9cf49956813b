/*
 * fuzz.h — what every fuzz target needs: an input without a spare byte, and a loud promise
 */
#ifndef FMX_TESTS_SUPPORT_FUZZ_H
#define FMX_TESTS_SUPPORT_FUZZ_H

#include <fleetmux/types.h>
#include <fleetmux/private/assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A copy in a heap block of its very size, so that a read beyond it is seen. Free with free. */
static inline uint8_t *fmx_fuzz_copy(const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes > 0 ? bytes : 1);

    FMX_ASSERT(copy != NULL);
    if (bytes > 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

#endif
