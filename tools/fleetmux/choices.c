/*
 * choices — names of values that several tables of options or keys share
 *
 * Why it is so:   what an option is called on the command line of the gateway, on that of the fleet
 *                 and in a scenario has the same values there, and no table may lack one
 * Threads:        pure
 * Not here:       names that only one table has, or each of its own: beside the table
 */
#include "tools/fleetmux/choices.h"

#include <fleetmux/fleet.h>

const struct flag_choice choices_log_levels[] = {{"error", FMX_LOG_ERROR},
                                                 {"warn", FMX_LOG_WARN},
                                                 {"info", FMX_LOG_INFO},
                                                 {"debug", FMX_LOG_DEBUG},
                                                 {NULL, 0}};

const struct flag_choice choices_registrations[] = {{"none", FMX_FLEET_REGISTER_NONE},
                                                    {"known", FMX_FLEET_REGISTER_KNOWN},
                                                    {"new", FMX_FLEET_REGISTER_NEW},
                                                    {NULL, 0}};

const struct flag_choice choices_sign_methods[] = {{"hmacsha256", FMX_FLEET_SIGN_SHA256},
                                                   {"hmacsha1", FMX_FLEET_SIGN_SHA1},
                                                   {"hmacmd5", FMX_FLEET_SIGN_MD5},
                                                   {NULL, 0}};

const struct flag_choice choices_tls_versions[] = {
    {"1.0", FMX_TLS_10}, {"1.1", FMX_TLS_11}, {"1.2", FMX_TLS_12}, {"1.3", FMX_TLS_13}, {NULL, 0}};
