/*
 * devices.h — the registry in memory: what shards ask at CONNECT, without a lock
 *
 * One thread (the keeper) owns the SQLite file's in-memory index. It loads the file at start, hears
 * of every later commit (ours, another process's) and changes the index; it also carries out what
 * the gateway itself writes: activations and dynamic registration. Shards read the index: each is a
 * reader with an epoch of its own, and what the keeper has replaced is freed only after every
 * reader has been outside the index once.
 */
#ifndef ENGINE_ROLES_DEVICES_H
#define ENGINE_ROLES_DEVICES_H

#include <fleetmux/registry.h>

#define FMX_SECRET_BYTES_MAX 64u

struct fmx_devices;

/* What is known of a product: a copy that the reader owns. */
struct fmx_product_info {
    uint32_t version; /* changes whenever something below does, and is never 0 */
    uint8_t secret_bytes;
    uint8_t status; /* enum fmx_registry_status */
    uint8_t registration;
    uint8_t secret[FMX_SECRET_BYTES_MAX];
    struct fmx_limits_override limits;
    uint16_t topics_count;
    struct fmx_topic_info {
        uint8_t permission;
        uint8_t bytes;
        char topic[126];
    } * topics; /* freed with free() by whoever called fmx_devices_product */
};

/* What CONNECT needs of a device: a copy. */
struct fmx_device_info {
    uint32_t product_version;
    uint8_t product_status;
    uint8_t product_registration;
    uint8_t status;
    bool is_activated;
    uint8_t secret_bytes;
    uint8_t secret[FMX_SECRET_BYTES_MAX];
    uint8_t product_secret_bytes;
    uint8_t product_secret[FMX_SECRET_BYTES_MAX];
    uint8_t token_bytes; /* of regnwl; 0: none */
    uint8_t token[FMX_SECRET_BYTES_MAX];
};

/* Called on the keeper's thread; must not block. */
struct fmx_devices_events {
    void *user;
    /* The product's limits, topics or status have changed (or it is new, or gone). */
    void (*on_product)(void *user, fmx_slice product_key);
    /* The device is disabled or deleted (or its product; then the name is empty). */
    void (*on_gone)(void *user, fmx_slice product_key, fmx_slice device_name);
    /* The answer to fmx_devices_register. `secret`: of the device; for regnwl the token, and
       `client_id` beside it. */
    void (*on_registered)(void *user, uint64_t tag, enum fmx_status status, fmx_slice secret,
                          fmx_slice client_id);
    /* The file cannot be read, in words; said once, until it can be again. What is known stays. */
    void (*on_trouble)(void *user, const char *words);
};

/*
 * Opens the file and loads the index; the keeper's thread runs when this returns. `readers_count`
 * shards may read. Failures as fmx_registry_open, and FMX_LIMIT_MEMORY, FMX_SYS_THREAD.
 */
enum fmx_status fmx_devices_open(const char *path, uint32_t readers_count,
                                 const struct fmx_devices_events *events,
                                 struct fmx_devices **out_devices, char *error,
                                 size_t error_bytes) FMX_MUST_USE;

/* Ends the keeper after what it has been asked for is committed. No reader is inside. */
void fmx_devices_close(struct fmx_devices *devices);

/*
 * Reader `reader` only on its own thread. FMX_OK; FMX_E_STALE: no such device, and then the
 * product's fields are filled in if the product is known (product_version is 0 if not).
 */
enum fmx_status fmx_devices_find(struct fmx_devices *devices, uint32_t reader,
                                 fmx_slice product_key, fmx_slice device_name,
                                 struct fmx_device_info *out_info) FMX_MUST_USE;

/* FMX_OK, FMX_E_STALE, FMX_LIMIT_MEMORY. */
enum fmx_status fmx_devices_product(struct fmx_devices *devices, uint32_t reader,
                                    fmx_slice product_key,
                                    struct fmx_product_info *out_info) FMX_MUST_USE;

/*
 * Any thread; copied, queued and done by the keeper. The first CONNECT of a device: its time is
 * written.
 */
void fmx_devices_activate(struct fmx_devices *devices, fmx_slice product_key,
                          fmx_slice device_name);

/*
 * Dynamic registration, already authenticated with the product's secret: on_registered follows with
 * `tag`, from the keeper. `is_new`: regnwl, the device is added if it is not there, a token is made
 * and kept; one that was added otherwise, with a secret, is refused. `is_again`: also a device that
 * has logged in before. FMX_OK, FMX_LIMIT_BUSY (too many wait), FMX_LIMIT_MEMORY.
 */
enum fmx_status fmx_devices_register(struct fmx_devices *devices, fmx_slice product_key,
                                     fmx_slice device_name, bool is_new, bool is_again,
                                     uint64_t tag) FMX_MUST_USE;

/* Devices in the index, and the bytes it holds for them. Any thread. */
uint64_t fmx_devices_count(const struct fmx_devices *devices);
uint64_t fmx_devices_bytes(const struct fmx_devices *devices);

#endif
