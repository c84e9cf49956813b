/*
 * run.h — the frame of every unit, sim and loop test program
 *
 * A program lists its cases and hands them over:
 *
 *     static const struct fmx_test_case cases[] = {FMX_TEST_CASE(frame_waits_when_length_is_cut)};
 *
 *     int main(int argc, char **argv)
 *     {
 *         return fmx_test_main("frame", cases, sizeof cases / sizeof cases[0], argc, argv);
 *     }
 */
#ifndef FMX_TESTS_SUPPORT_RUN_H
#define FMX_TESTS_SUPPORT_RUN_H

#include <CUnit/CUnit.h>

#include <stddef.h>

/* A program that returns this is counted as skipped; print the reason first. */
#define FMX_TEST_SKIPPED 77

struct fmx_test_case {
    const char *name; /* a sentence about behaviour */
    void (*run)(void);
};

#define FMX_TEST_CASE(function)                                                                    \
    {                                                                                              \
        .name = #function, .run = (function)                                                       \
    }

/*
 * Runs the cases in their order; with an argument, those whose name contains it. Returns what main
 * returns: 0 if all passed, 1 if one failed or if no case has such a name.
 */
int fmx_test_main(const char *suite, const struct fmx_test_case *cases, size_t count, int argc,
                  char **argv);

#endif
