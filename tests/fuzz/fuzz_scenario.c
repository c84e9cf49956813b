/*
 * fuzz_scenario — any bytes as a scenario: refused with words, or read, written and read again
 */
#include "tools/fleetmux/scenario.h"

#include "tests/support/fuzz.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file that is nowhere but in memory. */
static struct scenario *open_bytes(const uint8_t *data, size_t bytes, char *error,
                                   size_t error_bytes)
{
    char path[32];
    int file = memfd_create("scenario", MFD_CLOEXEC);

    FMX_ASSERT(file >= 0);
    FMX_ASSERT(write(file, data, bytes) == (ssize_t)bytes);
    snprintf(path, sizeof(path), "/dev/fd/%d", file);
    struct scenario *scenario = scenario_open(path, NULL, error, error_bytes);
    close(file);
    return scenario;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char error[FLAG_ERROR_BYTES] = "";
    struct scenario *scenario = open_bytes(data, bytes, error, sizeof(error));

    if (scenario == NULL) {
        FMX_ASSERT(error[0] != '\0');
        return 0;
    }
    char *text = scenario_write(scenario, error, sizeof(error));
    FMX_ASSERT(text != NULL);
    struct scenario *again = open_bytes((const uint8_t *)text, strlen(text), error, sizeof(error));
    FMX_ASSERT(again != NULL);
    char *twice = scenario_write(again, error, sizeof(error));
    FMX_ASSERT(twice != NULL && strcmp(text, twice) == 0);
    scenario_close(again);
    scenario_close(scenario);
    free(twice);
    free(text);
    return 0;
}
