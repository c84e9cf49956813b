/*
 * scenario.h — scenarios from texts, for tests: a file in a folder of its own
 */
#ifndef FMX_TESTS_SUPPORT_SCENARIO_H
#define FMX_TESTS_SUPPORT_SCENARIO_H

#include "tests/support/run.h"
#include "tests/support/temporary.h"
#include "tools/fleetmux/scenario.h"

#include <fleetmux/private/assert.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FMX_SCENARIO_FILE "s.yaml"

/* A folder that is the current one until left. */
struct fmx_scenario_folder {
    char path[FMX_TEMPORARY_BYTES];
    char before[4096];
};

static inline void fmx_scenario_enter(struct fmx_scenario_folder *folder)
{
    fmx_temporary_path(folder->path, sizeof(folder->path), "fmx_scenario_XXXXXX");
    FMX_ASSERT(getcwd(folder->before, sizeof(folder->before)) != NULL);
    FMX_ASSERT(mkdtemp(folder->path) != NULL);
    FMX_ASSERT(chdir(folder->path) == 0);
}

/* Files that the test has made are gone by then. */
static inline void fmx_scenario_leave(const struct fmx_scenario_folder *folder)
{
    (void)unlink(FMX_SCENARIO_FILE);
    FMX_ASSERT(chdir(folder->before) == 0);
    FMX_ASSERT(rmdir(folder->path) == 0);
}

static inline void fmx_scenario_put(const char *name, const void *data, size_t bytes)
{
    FILE *file = fopen(name, "we");

    FMX_ASSERT(file != NULL);
    FMX_ASSERT(fwrite(data, 1, bytes, file) == bytes);
    FMX_ASSERT(fclose(file) == 0);
}

/* NULL: see the error. */
static inline struct scenario *fmx_scenario_of(const char *text, char *error, size_t error_bytes)
{
    fmx_scenario_put(FMX_SCENARIO_FILE, text, strlen(text));
    return scenario_open(FMX_SCENARIO_FILE, NULL, error, error_bytes);
}

#endif
