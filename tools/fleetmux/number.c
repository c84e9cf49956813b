/*
 * number — reads counts and times as people write them, exactly or not at all
 *
 * Why it is so:   a limit that silently became another one is worse than an error. strtoul takes
 *                 "-1" and "10x", and doubles turn 0.3s into 299999999 ns; so digits are read one
 *                 by one into integers, and what does not come out even is refused.
 * Invariants:     (1) NUMBER_OK means that the whole text was used
 *                 (2) no result is rounded
 * Threads:        pure
 * Limits:         64 bits, nine digits after the point
 * Not here:       ranges and the words of an error: flags.c
 */
#include "tools/fleetmux/number.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct suffix {
    const char *name;
    uint64_t scale;
};

/* whole + fraction / denominator */
struct decimal {
    uint64_t whole;
    uint64_t fraction;
    uint64_t denominator;
};

static const struct suffix count_suffixes[] = {
    {"k", 1000},
    {"K", 1000},
    {"M", 1000000},
    {"G", 1000000000},
    {"Ki", UINT64_C(1) << 10},
    {"Mi", UINT64_C(1) << 20},
    {"Gi", UINT64_C(1) << 30},
    {NULL, 0},
};

static const struct suffix time_suffixes[] = {
    {"ns", 1},
    {"us", NUMBER_NS_PER_US},
    {"ms", NUMBER_NS_PER_MS},
    {"s", NUMBER_NS_PER_S},
    {"m", UINT64_C(60) * NUMBER_NS_PER_S},
    {"h", UINT64_C(3600) * NUMBER_NS_PER_S},
    {NULL, 0},
};

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

static enum number_status read_whole(const char **text, uint64_t *out_whole)
{
    const char *at = *text;

    *out_whole = 0;
    if (!is_digit(*at)) {
        return NUMBER_NOT;
    }
    for (; is_digit(*at); at++) {
        if (__builtin_mul_overflow(*out_whole, UINT64_C(10), out_whole) ||
            __builtin_add_overflow(*out_whole, (uint64_t)(*at - '0'), out_whole)) {
            return NUMBER_TOO_LARGE;
        }
    }
    *text = at;
    return NUMBER_OK;
}

static enum number_status read_fraction(const char **text, struct decimal *decimal)
{
    const char *at = *text;

    decimal->fraction = 0;
    decimal->denominator = 1;
    if (*at != '.') {
        return NUMBER_OK;
    }
    at++;
    if (!is_digit(*at)) {
        return NUMBER_NOT;
    }
    for (; is_digit(*at); at++) {
        if (decimal->denominator == 1000000000) {
            return NUMBER_FRACTION;
        }
        decimal->fraction = decimal->fraction * 10 + (uint64_t)(*at - '0');
        decimal->denominator *= 10;
    }
    *text = at;
    return NUMBER_OK;
}

static enum number_status read_decimal(const char **text, struct decimal *out_decimal)
{
    enum number_status status = read_whole(text, &out_decimal->whole);

    return status != NUMBER_OK ? status : read_fraction(text, out_decimal);
}

/* The scale of a suffix, `plain` if there is none, 0 if it is unknown. */
static uint64_t scale_of(const char *name, const struct suffix *suffixes, uint64_t plain)
{
    if (*name == '\0') {
        return plain;
    }
    while (suffixes->name != NULL && strcmp(suffixes->name, name) != 0) {
        suffixes++;
    }
    return suffixes->scale;
}

static enum number_status multiply(const struct decimal *decimal, uint64_t scale,
                                   uint64_t *out_number)
{
    uint64_t part = 0;

    if (__builtin_mul_overflow(decimal->whole, scale, out_number) ||
        __builtin_mul_overflow(decimal->fraction, scale, &part)) {
        return NUMBER_TOO_LARGE;
    }
    if (part % decimal->denominator != 0) {
        return NUMBER_FRACTION;
    }
    return __builtin_add_overflow(*out_number, part / decimal->denominator, out_number)
               ? NUMBER_TOO_LARGE
               : NUMBER_OK;
}

static enum number_status read_scaled(const char *text, const struct suffix *suffixes,
                                      uint64_t plain, uint64_t *out_number)
{
    struct decimal decimal;
    enum number_status status = read_decimal(&text, &decimal);

    if (status != NUMBER_OK) {
        return status;
    }
    uint64_t scale = scale_of(text, suffixes, plain);
    return scale == 0 ? NUMBER_NOT : multiply(&decimal, scale, out_number);
}

enum number_status number_read_count(const char *text, uint64_t *out_count)
{
    return read_scaled(text, count_suffixes, 1, out_count);
}

enum number_status number_read_time(const char *text, uint64_t plain_ns, uint64_t stored_ns,
                                    uint64_t *out_time)
{
    uint64_t time_ns = 0;
    enum number_status status = read_scaled(text, time_suffixes, plain_ns, &time_ns);

    if (status != NUMBER_OK) {
        return status;
    }
    if (time_ns % stored_ns != 0) {
        return NUMBER_FRACTION;
    }
    *out_time = time_ns / stored_ns;
    return NUMBER_OK;
}

enum number_status number_read_real(const char *text, double *out_real)
{
    struct decimal decimal;
    enum number_status status = read_decimal(&text, &decimal);

    if (status != NUMBER_OK) {
        return status;
    }
    uint64_t scale = scale_of(text, count_suffixes, 1);
    if (scale == 0) {
        return NUMBER_NOT;
    }
    *out_real = ((double)decimal.whole + (double)decimal.fraction / (double)decimal.denominator) *
                (double)scale;
    return NUMBER_OK;
}
