/*
 * gateway_limits.h — the limits that are in force, and changing them
 */
#ifndef FMX_TOOLS_GATEWAY_LIMITS_H
#define FMX_TOOLS_GATEWAY_LIMITS_H

#include <fleetmux/gateway.h>

#include <pthread.h>

/* The gateway's own limits as they were last set by this process. Any thread. */
struct gateway_limits {
    pthread_mutex_t mutex;
    struct fmx_limits now;
};

void gateway_limits_init(struct gateway_limits *limits, const struct fmx_limits *now);
void gateway_limits_wipe(struct gateway_limits *limits);

void gateway_limits_get(struct gateway_limits *limits, struct fmx_limits *out_limits);

/* fmx_gateway_set_limits for the gateway itself, remembered if it went well. */
enum fmx_status gateway_limits_set(struct gateway_limits *limits, struct fmx_gateway_caller *caller,
                                   const struct fmx_limits_override *override, char *error,
                                   size_t error_bytes) FMX_MUST_USE;

/* The limits that differ: `to`'s values. */
void gateway_limits_diff(const struct fmx_limits *from, const struct fmx_limits *to,
                         struct fmx_limits_override *out_override);

/* A limit's value as text: a number, none, or a word. */
void gateway_limits_format(enum fmx_limit limit, uint32_t value, char *out_text, size_t text_bytes);

#endif
