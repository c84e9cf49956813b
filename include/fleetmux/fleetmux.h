/*
 * fleetmux.h — everything: both roles, options, counters, errors
 */
#ifndef FLEETMUX_FLEETMUX_H
#define FLEETMUX_FLEETMUX_H

#include <fleetmux/cert.h>
#include <fleetmux/error.h>
#include <fleetmux/fleet.h>
#include <fleetmux/gateway.h>
#include <fleetmux/limits.h>
#include <fleetmux/options.h>
#include <fleetmux/registry.h>
#include <fleetmux/stats.h>
#include <fleetmux/tls.h>
#include <fleetmux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FMX_VERSION_MAJOR 0
#define FMX_VERSION_MINOR 1
#define FMX_VERSION_PATCH 0

/* "0.1.0" of the library that is linked. Static storage; any thread. */
FMX_API const char *fmx_version_string(void);

#ifdef __cplusplus
}
#endif

#endif
