/*
 * platform.h — for loop tests of the platform profile: a gateway with a registry, signed devices
 */
#ifndef TESTS_LOOP_PLATFORM_H
#define TESTS_LOOP_PLATFORM_H

#include "tests/loop/support.h"
#include "tests/support/temporary.h"

#include <fleetmux/registry.h>

#define PK "a1pk"

struct world {
    char registry_path[FMX_TEMPORARY_BYTES];
    char store_path[FMX_TEMPORARY_BYTES];
    struct fmx_registry *registry;
    struct fmx_gateway *gateway;
    struct fmx_gateway_caller *caller;
    uint16_t port;
    bool has_store;
};

/* A registry with product PK and devices d1 and d2; no gateway yet. */
void world_make_registry(struct world *world);
void world_add_device(struct world *world, const char *device_name);

/* A gateway on it; again after world_stop. */
void world_start(struct world *world, const struct fmx_gateway_callbacks *callbacks, void *user);
void world_stop(struct world *world);

/* loop_begin, registry and gateway; and all of it away. */
void world_begin(struct world *world, bool has_store);
void world_end(struct world *world);

/* The same when the gateway is stopped already. */
void world_end_registry(struct world *world);

/* CONNECT of a device; `extra` are more options of the client id, or NULL. */
const char *world_secret(const char *device_name);
void world_sign(const char *device_name, const char *extra, struct fmx_signed_connect *out_signed);
struct loop_peer world_join(struct world *world, const char *device_name, const char *extra,
                            enum fmx_version version, bool clean);

#endif
