/*
 * gateway_flags.h — the settings of the verb gateway, and where they come from
 */
#ifndef FMX_TOOLS_GATEWAY_FLAGS_H
#define FMX_TOOLS_GATEWAY_FLAGS_H

#include "tools/fleetmux/config.h"
#include "tools/fleetmux/flags.h"
#include "tools/fleetmux/gateway_listen.h"

#include <fleetmux/gateway.h>

struct gateway_settings {
    struct fmx_gateway_options options;
    struct flag_list listen;
    struct gateway_tls tls;
    struct gateway_listeners listeners; /* what the two come to, for the options */
    uint32_t drain_ms;
    uint64_t stats_every_ns;
    uint64_t events_queue_bytes;
    const char *config;
    const char *control; /* a path, auto or none */
    const char *events;  /* NULL: nobody wants them */
    bool wants_config_printed;
    bool wants_help;
};

/* Fills in a profile's defaults, and the set with the rows. */
void gateway_flags_init(struct gateway_settings *settings, enum fmx_profile profile,
                        struct flag_set *set);

/*
 * Defaults, file, command line. False: set->error. The file's texts live in *out_config, which is
 * to be closed in either case, and so are the settings to be wiped. Settings point into themselves:
 * they are not copied.
 */
bool gateway_flags_read(struct gateway_settings *settings, int argc, char *const *argv,
                        struct flag_set *set, struct config **out_config);

/* All zero is fine. */
void gateway_flags_wipe(struct gateway_settings *settings);

#endif
