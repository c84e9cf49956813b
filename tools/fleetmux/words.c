/*
 * words — writes counts, times and sizes with the digits that matter
 *
 * Threads:        pure
 * Limits:         three significant digits for times and sizes; counts are exact
 */
#include "tools/fleetmux/words.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct words words_count(uint64_t count)
{
    struct words words;
    char digits[24];
    size_t left = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, count);
    char *at = words.text;

    for (const char *digit = digits; *digit != '\0'; digit++) {
        *at++ = *digit;
        left--;
        if (left > 0 && left % 3 == 0) {
            *at++ = ',';
        }
    }
    *at = '\0';
    return words;
}

struct words words_real(double real)
{
    struct words words;

    if (real >= 100) {
        return words_count((uint64_t)(real + 0.5));
    }
    snprintf(words.text, sizeof(words.text), "%.3g", real);
    return words;
}

/* Three digits: 1.23, 12.3, 123. */
static struct words with_unit(double value, const char *unit)
{
    struct words words;
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

    snprintf(words.text, sizeof(words.text), "%.*f %s", decimals, value, unit);
    return words;
}

struct words words_time(uint64_t time_ns)
{
    if (time_ns < 1000000) {
        return with_unit((double)time_ns / 1e3, "us");
    }
    if (time_ns < 1000000000) {
        return with_unit((double)time_ns / 1e6, "ms");
    }
    return with_unit((double)time_ns / 1e9, "s");
}

struct words words_bytes(uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;
    struct words words;

    if (bytes < 1024) {
        snprintf(words.text, sizeof(words.text), "%" PRIu64 " B", bytes);
        return words;
    }
    while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    return with_unit(value, units[unit]);
}
