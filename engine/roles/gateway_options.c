/*
 * gateway_options — the defaults of the two profiles, and what is refused
 *
 * Why it is so:   who starts a gateway wants to hear of a bad option before anything is opened, and
 *                 in words that name it
 * Threads:        any
 * Not here:       limits and their ranges: proto/limits_list.c; what follows from them: product.c;
 *                 TLS: gateway_tls_options.c
 */
#include "engine/roles/gateway.h"

#include "engine/options.h"

#include <stdio.h>

static struct fmx_limits default_limits(enum fmx_profile profile)
{
    struct fmx_limits limits;

#define FMX_LIMITS_DEFAULT(name, least, most, open, platform, may_be_unlimited, words)             \
    limits.name = profile == FMX_PROFILE_OPEN ? (open) : (platform);
    FMX_LIMITS_LIST(FMX_LIMITS_DEFAULT)
#undef FMX_LIMITS_DEFAULT
    return limits;
}

void fmx_gateway_options_init(struct fmx_gateway_options *options, enum fmx_profile profile)
{
    *options = (struct fmx_gateway_options){
        .profile = profile,
        .backlog = 4096,
        .connect_timeout_ms = 10000,
        .limits = default_limits(profile),
        .publisher_qos_decides = profile == FMX_PROFILE_PLATFORM,
        .retain_is_refused = true,
        .clamps_keepalive = true,
    };
    fmx_mux_options_init(&options->mux);
    fmx_tls_limits_init(&options->tls_limits);
}

static enum fmx_status check_profile(const struct fmx_gateway_options *options, char *error,
                                     size_t error_bytes)
{
    const char *words = NULL;

    if (options->profile == FMX_PROFILE_OPEN) {
        if (options->registry != NULL || options->callbacks.on_device != NULL) {
            words =
                "registry: the open profile has no devices; choose the platform's, or leave it out";
        }
    } else if (options->profile != FMX_PROFILE_PLATFORM) {
        words = "profile: open or platform";
    } else if ((options->registry == NULL) == (options->callbacks.on_device == NULL)) {
        words = "registry: the platform profile needs to know its devices: give a file made by "
                "'fleetmux registry create', or on_device, and not both";
    }
    if (words != NULL) {
        snprintf(error, error_bytes, "%s", words);
    }
    return words == NULL ? FMX_OK : FMX_E_OPTION;
}

enum fmx_status fmx_gateway_options_check(const struct fmx_gateway_options *options, char *error,
                                          size_t error_bytes)
{
    const struct fmx_option_range ranges[] = {
        {"listen_count", options->listen_count, 1, FMX_LISTENERS_MAX},
        {"backlog", options->backlog, 1, 1u << 20},
        {"connect_timeout_ms", options->connect_timeout_ms, 100, 600000},
    };
    enum fmx_status status = fmx_mux_check_options(&options->mux, error, error_bytes);

    if (status == FMX_OK) {
        status = check_profile(options, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = fmx_limits_check(&options->limits, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = fmx_gateway_tls_check(options, error, error_bytes);
    }
    if (status != FMX_OK) {
        return status;
    }
    if (options->listen == NULL) {
        snprintf(error, error_bytes, "listen is missing: give at least one ADDRESS:PORT");
        return FMX_E_OPTION;
    }
    return fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);
}
