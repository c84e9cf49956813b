/*
 * registry_find — products, topic classes and devices: looked up and walked
 *
 * Why it is so:   a result is copied into the handle instead of being lent by SQLite: a statement
 *                 that waits for its reader keeps the file's log from being folded back, for as
 *                 long as the reader likes
 * Memory:         texts of a result live in the handle until its next call
 * Threads:        one at a time for each handle
 * Limits:         a product's devices are counted when it is asked for: some 50 ms for a million
 * Not here:       what a gateway asks at CONNECT: devices.c
 */
#include "engine/roles/registry_file.h"

#include <stdio.h>

#define PRODUCT_COLUMNS "id, product_key, secret, name, status, registration"
#define DEVICE_COLUMNS  "p.product_key, d.name, d.secret, d.status, d.added_ms, d.activated_ms"

static const char *keep(char *here, size_t room, sqlite3_stmt *statement, int column)
{
    snprintf(here, room, "%s", fmx_registry_text(statement, column));
    return here;
}

/* The row of PRODUCT_COLUMNS, its limits and the number of its devices. */
static enum fmx_status read_product(struct fmx_registry *registry, sqlite3_stmt *row,
                                    struct fmx_product *out_product)
{
    int64_t id = sqlite3_column_int64(row, 0);
    int64_t count = 0;

    *out_product = (struct fmx_product){
        .product_key = keep(registry->product_key, sizeof(registry->product_key), row, 1),
        .secret = keep(registry->secret, sizeof(registry->secret), row, 2),
        .name = keep(registry->name, sizeof(registry->name), row, 3),
        .status = (enum fmx_registry_status)sqlite3_column_int(row, 4),
        .registration = (unsigned)sqlite3_column_int(row, 5),
    };
    enum fmx_status status = fmx_registry_read_limits(registry, id, &out_product->limits);
    if (status == FMX_OK) {
        status = fmx_registry_number(registry, 0, &count,
                                     "SELECT count(*) FROM device WHERE product = ?", "i", id);
    }
    out_product->devices_count = (uint64_t)count;
    return status;
}

static void read_device(struct fmx_registry *registry, sqlite3_stmt *row,
                        struct fmx_device *out_device)
{
    *out_device = (struct fmx_device){
        .product_key = keep(registry->product_key, sizeof(registry->product_key), row, 0),
        .device_name = keep(registry->device_name, sizeof(registry->device_name), row, 1),
        .secret = keep(registry->secret, sizeof(registry->secret), row, 2),
        .status = (enum fmx_registry_status)sqlite3_column_int(row, 3),
        .added_ms = (uint64_t)sqlite3_column_int64(row, 4),
        .activated_ms = (uint64_t)sqlite3_column_int64(row, 5),
    };
}

enum fmx_status fmx_registry_product_find(struct fmx_registry *registry, const char *product_key,
                                          struct fmx_product *out_product, char *error,
                                          size_t error_bytes)
{
    enum fmx_status status;

    fmx_registry_begin_call(registry, error, error_bytes);
    *out_product = (struct fmx_product){0};
    sqlite3_stmt *row = fmx_registry_query(
        registry, &status, "SELECT " PRODUCT_COLUMNS " FROM product WHERE product_key = ?", "t",
        product_key);
    if (row == NULL) {
        return status;
    }
    status = fmx_registry_step(registry, row);
    if (status == FMX_OK) {
        status = read_product(registry, row, out_product);
    } else if (status == FMX_END) {
        status = fmx_registry_say(registry, FMX_E_STALE, "there is no product '%.64s'",
                                  product_key != NULL ? product_key : "");
    }
    fmx_registry_give(registry, row);
    return status;
}

enum fmx_status fmx_registry_device_find(struct fmx_registry *registry, const char *product_key,
                                         const char *device_name, struct fmx_device *out_device,
                                         char *error, size_t error_bytes)
{
    enum fmx_status status;

    fmx_registry_begin_call(registry, error, error_bytes);
    *out_device = (struct fmx_device){0};
    sqlite3_stmt *row =
        fmx_registry_query(registry, &status,
                           "SELECT " DEVICE_COLUMNS " FROM product p JOIN device d "
                           "ON d.product = p.id WHERE p.product_key = ? AND d.name = ?",
                           "tt", product_key, device_name);
    if (row == NULL) {
        return status;
    }
    status = fmx_registry_step(registry, row);
    if (status == FMX_OK) {
        read_device(registry, row, out_device);
    } else if (status == FMX_END) {
        status = fmx_registry_say(
            registry, FMX_E_STALE, "there is no device '%.64s' in product '%.64s'",
            device_name != NULL ? device_name : "", product_key != NULL ? product_key : "");
    }
    fmx_registry_give(registry, row);
    return status;
}

/* ── walks ── */

static enum fmx_status ended(struct fmx_registry *registry, sqlite3_stmt *row,
                             enum fmx_status status)
{
    fmx_registry_give(registry, row);
    return status == FMX_END ? FMX_OK : status;
}

enum fmx_status fmx_registry_each_product(struct fmx_registry *registry,
                                          bool (*each)(void *user,
                                                       const struct fmx_product *product),
                                          void *user, char *error, size_t error_bytes)
{
    struct fmx_product product;
    enum fmx_status status;

    fmx_registry_begin_call(registry, error, error_bytes);
    sqlite3_stmt *row = fmx_registry_query(
        registry, &status, "SELECT " PRODUCT_COLUMNS " FROM product ORDER BY product_key", "");
    if (row == NULL) {
        return status;
    }
    while ((status = fmx_registry_step(registry, row)) == FMX_OK &&
           (status = read_product(registry, row, &product)) == FMX_OK && each(user, &product)) {
    }
    return ended(registry, row, status);
}

enum fmx_status fmx_registry_each_topic(struct fmx_registry *registry, const char *product_key,
                                        bool (*each)(void *user,
                                                     const struct fmx_topic_class *topic),
                                        void *user, char *error, size_t error_bytes)
{
    int64_t id = 0;

    fmx_registry_begin_call(registry, error, error_bytes);
    enum fmx_status status = fmx_registry_check_product_key(registry, product_key);
    if (status == FMX_OK) {
        status = fmx_registry_product_id(registry, product_key, FMX_E_ARGUMENT, &id);
    }
    if (status != FMX_OK) {
        return status;
    }
    sqlite3_stmt *row = fmx_registry_query(
        registry, &status,
        "SELECT topic, permission FROM topic_class WHERE product = ? ORDER BY topic", "i", id);
    if (row == NULL) {
        return status;
    }
    while ((status = fmx_registry_step(registry, row)) == FMX_OK) {
        struct fmx_topic_class topic = {.topic = fmx_registry_text(row, 0),
                                        .permission = (unsigned)sqlite3_column_int(row, 1)};
        if (!each(user, &topic)) {
            break;
        }
    }
    return ended(registry, row, status);
}

enum fmx_status fmx_registry_each_device(struct fmx_registry *registry, const char *product_key,
                                         bool (*each)(void *user, const struct fmx_device *device),
                                         void *user, char *error, size_t error_bytes)
{
    struct fmx_device device;
    int64_t id = 0;
    enum fmx_status status = FMX_OK;

    fmx_registry_begin_call(registry, error, error_bytes);
    if (product_key != NULL) {
        status = fmx_registry_check_product_key(registry, product_key);
        if (status == FMX_OK) {
            status = fmx_registry_product_id(registry, product_key, FMX_E_ARGUMENT, &id);
        }
    }
    if (status != FMX_OK) {
        return status;
    }
    /* CROSS keeps the products outside, so that nothing has to be sorted. */
    sqlite3_stmt *row =
        fmx_registry_query(registry, &status,
                           "SELECT " DEVICE_COLUMNS " FROM product p CROSS JOIN device d ON "
                           "d.product = p.id WHERE ?1 = 0 OR p.id = ?1 "
                           "ORDER BY p.product_key, d.name",
                           "i", id);
    if (row == NULL) {
        return status;
    }
    while ((status = fmx_registry_step(registry, row)) == FMX_OK) {
        read_device(registry, row, &device);
        if (!each(user, &device)) {
            break;
        }
    }
    return ended(registry, row, status);
}
