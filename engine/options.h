/*
 * options.h — checking ranges of options, with words that name the field and the fix
 */
#ifndef ENGINE_OPTIONS_H
#define ENGINE_OPTIONS_H

#include <fleetmux/error.h>

struct fmx_option_range {
    const char *name;
    uint64_t value;
    uint64_t min;
    uint64_t max;
};

/* FMX_OK, or FMX_E_OPTION and "NAME is VALUE: write a number from MIN to MAX". */
enum fmx_status fmx_options_check(const struct fmx_option_range *ranges, size_t count, char *error,
                                  size_t error_bytes) FMX_MUST_USE;

/* A seed from the system's generator; never fails, at worst it is the clock. */
uint64_t fmx_options_seed(void);

#endif
