/*
 * assert.h — our own promises, checked; a peer's bytes are never asserted (not installed)
 *
 * FMX_ASSERT stays on in release: constant cost, on control paths. FMX_DEBUG_ASSERT is for checks
 * per byte or O(n).
 */
#ifndef FLEETMUX_PRIVATE_ASSERT_H
#define FLEETMUX_PRIVATE_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

static inline __attribute__((noreturn, cold)) void fmx_assert_failed(const char *what,
                                                                     const char *file, int line)
{
    fprintf(stderr, "fleetmux: %s:%d: broken promise: %s\n", file, line, what);
    abort();
}

#define FMX_ASSERT(promise)                                                                        \
    (__builtin_expect(!(promise), 0) ? fmx_assert_failed(#promise, __FILE__, __LINE__) : (void)0)

#ifdef NDEBUG
#define FMX_DEBUG_ASSERT(promise) ((void)sizeof(promise))
#else
#define FMX_DEBUG_ASSERT(promise) FMX_ASSERT(promise)
#endif

#define FMX_UNREACHABLE() fmx_assert_failed("unreachable", __FILE__, __LINE__)

#endif
