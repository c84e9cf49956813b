/*
 * template — text with variables: %i, %n, %c, %u, of devices %p and %d, and %%
 *
 * Why it is so:   a fleet's clients differ in a few places of a few strings. Filled in anew for
 *                 each use: that costs nanoseconds, keeping a string for each of a million clients
 *                 costs gigabytes
 * Threads:        pure
 * Limits:         FMX_TEMPLATE_BYTES_MAX filled in; checked with the longest values when a plan is
 *                 opened
 */
#include "engine/roles/template.h"

#include <stdio.h>

struct output {
    uint8_t *bytes;
    size_t used;
};

static void put(struct output *output, fmx_slice text)
{
    size_t room = FMX_TEMPLATE_BYTES_MAX - output->used;
    size_t bytes = text.bytes < room ? text.bytes : room;

    if (bytes > 0) {
        memcpy(output->bytes + output->used, text.data, bytes);
        output->used += bytes;
    }
}

static void put_number(struct output *output, uint64_t number)
{
    uint8_t digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(output, (fmx_slice){.data = digits + at, .bytes = sizeof(digits) - at});
}

static bool put_variable(struct output *output, char name, const struct fmx_template_values *values)
{
    switch (name) {
    case 'i':
        put_number(output, values->number);
        return true;
    case 'n':
        put_number(output, values->run_number);
        return true;
    case 'c':
        put(output, values->client_id);
        return true;
    case 'u':
        put(output, values->username);
        return true;
    case 'p':
        put(output, values->product_key);
        return values->product_key.bytes > 0;
    case 'd':
        put(output, values->device_name);
        return values->product_key.bytes > 0;
    case '%':
        put(output, fmx_slice_of("%"));
        return true;
    default:
        return false;
    }
}

fmx_slice fmx_template_fill(const char *text, const struct fmx_template_values *values,
                            uint8_t *out)
{
    struct output output = {.bytes = out};

    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '%' && put_variable(&output, at[1], values)) {
            at++;
        } else {
            put(&output, (fmx_slice){.data = (const uint8_t *)at, .bytes = 1});
        }
    }
    return (fmx_slice){.data = out, .bytes = output.used};
}

bool fmx_template_has_variables(const char *text)
{
    const char *at = strchr(text, '%');

    while (at != NULL && at[1] == '%') {
        at = strchr(at + 2, '%');
    }
    return at != NULL;
}

enum fmx_status fmx_template_check(const char *field, const char *text,
                                   const struct fmx_template_values *longest, char *error,
                                   size_t error_bytes)
{
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];

    if (text == NULL) {
        snprintf(error, error_bytes, "%s is missing", field);
        return FMX_E_OPTION;
    }
    for (const char *at = strchr(text, '%'); at != NULL; at = strchr(at + 2, '%')) {
        struct output unused = {.bytes = filled};
        if (!put_variable(&unused, at[1], longest)) {
            snprintf(error, error_bytes,
                     "%s is '%s': the variables are %%i, %%n, %%c, %%u,%s and %%%% for a percent "
                     "sign",
                     field, text, longest->product_key.bytes > 0 ? " %p, %d," : "");
            return FMX_E_OPTION;
        }
    }
    if (fmx_template_fill(text, longest, filled).bytes == FMX_TEMPLATE_BYTES_MAX) {
        snprintf(error, error_bytes, "%s is longer than %u bytes when filled in", field,
                 FMX_TEMPLATE_BYTES_MAX - 1);
        return FMX_E_OPTION;
    }
    return FMX_OK;
}
