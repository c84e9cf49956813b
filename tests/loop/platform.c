/*
 * platform — for loop tests of the platform profile: a gateway with a registry, signed devices
 */
#include "tests/loop/platform.h"

#include <stdio.h>
#include <unistd.h>

/* ── a gateway with a registry ── */

static void remove_files(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal", "-lock", ".lock"};
    char name[FMX_TEMPORARY_BYTES + 16];

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

const char *world_secret(const char *device_name)
{
    static char secret[65];

    snprintf(secret, sizeof secret, "secret-of-%s", device_name);
    return secret;
}

void world_add_device(struct world *world, const char *device_name)
{
    char error[FMX_REGISTRY_ERROR_BYTES];
    struct fmx_device device = {
        .product_key = PK, .device_name = device_name, .secret = world_secret(device_name)};

    CU_ASSERT_EQUAL_FATAL(fmx_registry_device_add(world->registry, &device, error, sizeof error),
                          FMX_OK);
}

void world_make_registry(struct world *world)
{
    char error[FMX_REGISTRY_ERROR_BYTES];
    char name[32];
    struct fmx_product product = {.product_key = PK, .name = "lamps", .secret = "product-secret"};

    snprintf(name, sizeof name, "fmx_%d.registry", getpid());
    fmx_temporary_path(world->registry_path, sizeof world->registry_path, name);
    snprintf(name, sizeof name, "fmx_%d.store", getpid());
    fmx_temporary_path(world->store_path, sizeof world->store_path, name);
    remove_files(world->registry_path);
    remove_files(world->store_path);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_create(world->registry_path, error, sizeof error), FMX_OK);
    CU_ASSERT_EQUAL_FATAL(
        fmx_registry_open(world->registry_path, &world->registry, error, sizeof error), FMX_OK);
    product.registration = FMX_REGISTER_KNOWN | FMX_REGISTER_NEW;
    CU_ASSERT_EQUAL_FATAL(fmx_registry_product_add(world->registry, &product, error, sizeof error),
                          FMX_OK);
    world_add_device(world, "d1");
    world_add_device(world, "d2");
}

void world_start(struct world *world, const struct fmx_gateway_callbacks *callbacks, void *user)
{
    struct fmx_gateway_options options;
    static const char *const listen[] = {"127.0.0.1:0"};

    fmx_gateway_options_init(&options, FMX_PROFILE_PLATFORM);
    options.mux.shards_count = 3;
    options.mux.log_level = FMX_LOG_ERROR;
    options.listen = listen;
    options.listen_count = 1;
    options.registry = world->registry_path;
    options.store = world->has_store ? world->store_path : NULL;
    options.limits.connects_per_minute = FMX_UNLIMITED;
    options.answers_thing_model = true;
    if (callbacks != NULL) {
        options.callbacks = *callbacks;
    }
    options.user = user;
    world->gateway = loop_gateway_start(&options);
    world->port = fmx_gateway_port(world->gateway, 0);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(world->gateway, &world->caller), FMX_OK);
}

void world_stop(struct world *world)
{
    fmx_gateway_caller_close(world->caller);
    fmx_gateway_stop(world->gateway, 1000);
    fmx_gateway_close(world->gateway);
}

void world_begin(struct world *world, bool has_store)
{
    loop_begin();
    *world = (struct world){.has_store = has_store};
    world_make_registry(world);
    world_start(world, NULL, NULL);
}

void world_end(struct world *world)
{
    world_stop(world);
    world_end_registry(world);
}

void world_end_registry(struct world *world)
{
    fmx_registry_close(world->registry);
    remove_files(world->registry_path);
    remove_files(world->store_path);
}

/* ── devices ── */

void world_sign(const char *device_name, const char *extra, struct fmx_signed_connect *out_signed)
{
    struct fmx_sign_options options = {.extra = extra};
    char error[FMX_REGISTRY_ERROR_BYTES];

    CU_ASSERT_EQUAL_FATAL(fmx_sign_connect(PK, device_name, world_secret(device_name), &options,
                                           out_signed, error, sizeof error),
                          FMX_OK);
}

struct loop_peer world_join(struct world *world, const char *device_name, const char *extra,
                            enum fmx_version version, bool clean)
{
    struct fmx_signed_connect sc;

    world_sign(device_name, extra, &sc);
    return loop_connect(world->port, &(struct loop_connect){.client_id = sc.client_id,
                                                            .username = sc.username,
                                                            .password = sc.password,
                                                            .version = version,
                                                            .clean = clean,
                                                            .session_expiry_s = clean ? 0 : 600,
                                                            .keepalive_s = 300});
}
