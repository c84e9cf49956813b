/*
 * gateway_limits — remembers the gateway's limits while they change
 *
 * Why it is so:   the library takes limits and does not tell them. Two threads change them, the
 *                 control socket's and the one that reads the file again at SIGHUP, and one shows
 *                 them; so they are kept once, beside the calls that change them.
 * Threads:        any
 * Not here:       the limits of products: they are the registry's
 */
#include "tools/fleetmux/gateway_limits.h"

#include <inttypes.h>
#include <stdio.h>

void gateway_limits_init(struct gateway_limits *limits, const struct fmx_limits *now)
{
    pthread_mutex_init(&limits->mutex, NULL);
    limits->now = *now;
}

void gateway_limits_wipe(struct gateway_limits *limits)
{
    pthread_mutex_destroy(&limits->mutex);
}

void gateway_limits_get(struct gateway_limits *limits, struct fmx_limits *out_limits)
{
    pthread_mutex_lock(&limits->mutex);
    *out_limits = limits->now;
    pthread_mutex_unlock(&limits->mutex);
}

enum fmx_status gateway_limits_set(struct gateway_limits *limits, struct fmx_gateway_caller *caller,
                                   const struct fmx_limits_override *override, char *error,
                                   size_t error_bytes)
{
    struct fmx_limits wanted;

    pthread_mutex_lock(&limits->mutex);
    wanted = limits->now;
    fmx_limits_apply(&wanted, override);
    enum fmx_status status = fmx_limits_check(&wanted, error, error_bytes);
    if (status == FMX_OK) {
        status = fmx_gateway_set_limits(caller, (fmx_slice){0}, override, error, error_bytes);
    }
    if (status == FMX_OK) {
        limits->now = wanted;
    }
    pthread_mutex_unlock(&limits->mutex);
    return status;
}

void gateway_limits_diff(const struct fmx_limits *from, const struct fmx_limits *to,
                         struct fmx_limits_override *out_override)
{
    out_override->which = 0;
    out_override->limits = *to;
    for (unsigned limit = 0; limit < FMX_LIMITS_COUNT; limit++) {
        if (fmx_limits_get(from, (enum fmx_limit)limit) !=
            fmx_limits_get(to, (enum fmx_limit)limit)) {
            out_override->which |= 1U << limit;
        }
    }
}

void gateway_limits_format(enum fmx_limit limit, uint32_t value, char *out_text, size_t text_bytes)
{
    static const char *const over_limit_words[] = {"drop", "delay", "disconnect"};

    if (limit == FMX_LIM_over_limit && value < 3) {
        snprintf(out_text, text_bytes, "%s", over_limit_words[value]);
    } else if (value == FMX_UNLIMITED) {
        snprintf(out_text, text_bytes, "none");
    } else {
        snprintf(out_text, text_bytes, "%" PRIu32, value);
    }
}
