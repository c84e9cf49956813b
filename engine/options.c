/*
 * options — checking ranges of options, with words that name the field and the fix
 *
 * Threads:        any
 */
#include "engine/options.h"

#include "engine/clock.h"

#include <stdio.h>
#include <sys/random.h>

enum fmx_status fmx_options_check(const struct fmx_option_range *ranges, size_t count, char *error,
                                  size_t error_bytes)
{
    for (size_t i = 0; i < count; i++) {
        const struct fmx_option_range *range = &ranges[i];
        if (range->value < range->min || range->value > range->max) {
            snprintf(error, error_bytes, "%s is %llu: write a number from %llu to %llu",
                     range->name, (unsigned long long)range->value, (unsigned long long)range->min,
                     (unsigned long long)range->max);
            return FMX_E_OPTION;
        }
    }
    return FMX_OK;
}

uint64_t fmx_options_seed(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        seed = fmx_clock_ns();
    }
    return seed;
}
