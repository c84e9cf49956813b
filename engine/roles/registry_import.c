/*
 * registry_import — many devices at once, all or nothing
 *
 * Why it is so:   rows are first gathered in a table of this connection's own, sorted as the
 *                 registry is, and only then moved in one transaction. The source may be slow (a
 *                 pipe, a person) and nobody waits for it; a gateway's own writes wait for the move
 *                 alone. A row that is twice there is found when it comes, with its number; one
 *                 that the registry has, before the move
 * Words:          incoming: the table of what has been gathered
 * Invariants:     (1) until the move commits, the registry is as it was
 *                 (2) one row in the log of changes, whatever the number of devices: gateways look
 *                 at everything again
 * Memory:         `incoming` is SQLite's: at most 128 MiB in memory, which a million rows do not
 *                 fill; the rest goes to its temporary file
 * Threads:        the handle's
 * Limits:         a row of the registry; the move of a million rows holds the registry for seconds
 * Not here:       CSV: tools/fleetmux/registry_csv.c
 */
#include "engine/roles/registry_file.h"

#include <inttypes.h>
#include <stdio.h>

#define ROWS_PER_PROGRESS 65536u

struct import {
    struct fmx_registry *registry;
    uint64_t row;
    int64_t product_id; /* of the row before: rows of a product mostly stand together */
    char product_key[FMX_REGISTRY_KEY_BYTES_MAX + 1];
};

static enum fmx_status find_product(struct import *import, const char *product_key)
{
    enum fmx_status status = fmx_registry_check_product_key(import->registry, product_key);

    if (status != FMX_OK || strcmp(product_key, import->product_key) == 0) {
        return status;
    }
    status =
        fmx_registry_product_id(import->registry, product_key, FMX_E_ARGUMENT, &import->product_id);
    if (status == FMX_OK) {
        snprintf(import->product_key, sizeof(import->product_key), "%s", product_key);
    }
    return status;
}

static enum fmx_status gather_one(struct import *import, const struct fmx_device *device)
{
    struct fmx_registry *registry = import->registry;
    char made[FMX_REGISTRY_SECRET_BYTES + 1];
    const char *secret = device->secret;
    enum fmx_status status = find_product(import, device->product_key);

    if (status == FMX_OK) {
        status = fmx_registry_check_device_name(registry, device->device_name);
    }
    if (status == FMX_OK && secret != NULL) {
        status = fmx_registry_check_secret(registry, secret);
    }
    if (status != FMX_OK) {
        return status;
    }
    if (device->status != FMX_REGISTRY_ENABLED && device->status != FMX_REGISTRY_DISABLED) {
        return fmx_registry_say(registry, FMX_E_ARGUMENT,
                                "the status must be enabled (0) or disabled (1), not %d",
                                (int)device->status);
    }
    if (secret == NULL) {
        fmx_registry_make_secret(made, FMX_REGISTRY_SECRET_BYTES);
        secret = made;
    }
    status = fmx_registry_run(registry,
                              "INSERT INTO temp.incoming VALUES(?, ?, ?, ?, ?) "
                              "ON CONFLICT DO NOTHING",
                              "ittii", import->product_id, device->device_name, secret,
                              (int64_t)device->status, (int64_t)import->row);
    if (status == FMX_OK && sqlite3_changes(registry->db) == 0) {
        int64_t first = 0;
        status = fmx_registry_number(
            registry, 0, &first, "SELECT line FROM temp.incoming WHERE product = ? AND name = ?",
            "it", import->product_id, device->device_name);
        return status != FMX_OK
                   ? status
                   : fmx_registry_say(registry, FMX_E_ARGUMENT,
                                      "the device name '%s' of product '%s' stands in row %" PRId64
                                      " already; leave one of them out",
                                      device->device_name, device->product_key, first);
    }
    return status;
}

/* Reads the source to its end. */
static enum fmx_status gather(struct import *import,
                              enum fmx_status (*next)(void *user, struct fmx_device *out_device),
                              void (*progress)(void *user, uint64_t rows), void *user)
{
    for (;;) {
        struct fmx_device device = {0};
        enum fmx_status status = next(user, &device);
        if (status == FMX_END) {
            return FMX_OK;
        }
        import->row++;
        if (status == FMX_OK) {
            status = gather_one(import, &device);
        }
        if (status != FMX_OK) {
            return status;
        }
        if (progress != NULL && import->row % ROWS_PER_PROGRESS == 0) {
            progress(user, import->row);
        }
    }
}

static enum fmx_status refuse_existing(struct import *import, int64_t row)
{
    struct fmx_registry *registry = import->registry;
    enum fmx_status status;
    sqlite3_stmt *found = fmx_registry_query(registry, &status,
                                             "SELECT i.name, p.product_key FROM temp.incoming i "
                                             "JOIN product p ON p.id = i.product WHERE i.line = ?",
                                             "i", row);

    if (found == NULL) {
        return status;
    }
    import->row = (uint64_t)row;
    status = fmx_registry_step(registry, found);
    if (status == FMX_OK) {
        status = fmx_registry_say(registry, FMX_E_ARGUMENT,
                                  "the device name '%s' exists already in product '%s'; leave the "
                                  "row out, or delete the device first",
                                  fmx_registry_text(found, 0), fmx_registry_text(found, 1));
    }
    fmx_registry_give(registry, found);
    return status == FMX_END ? FMX_SYS_FILE : status;
}

/* A product may have gone and devices may have come since their rows were gathered. */
static enum fmx_status check_gathered(struct import *import)
{
    struct fmx_registry *registry = import->registry;
    int64_t row = 0;
    enum fmx_status status = fmx_registry_number(registry, 0, &row,
                                                 "SELECT coalesce(min(line), 0) FROM temp.incoming "
                                                 "WHERE product NOT IN (SELECT id FROM product)",
                                                 "");

    if (status == FMX_OK && row != 0) {
        import->row = (uint64_t)row;
        return fmx_registry_say(registry, FMX_E_ARGUMENT,
                                "the product of this row has been deleted meanwhile; add it again "
                                "or leave its rows out");
    }
    if (status == FMX_OK) {
        status = fmx_registry_number(registry, 0, &row,
                                     "SELECT coalesce(min(i.line), 0) FROM temp.incoming i "
                                     "CROSS JOIN device d ON d.product = i.product AND "
                                     "d.name = i.name",
                                     "");
    }
    return status == FMX_OK && row != 0 ? refuse_existing(import, row) : status;
}

/* Moves what was gathered into the registry. */
static enum fmx_status move(struct import *import)
{
    struct fmx_registry *registry = import->registry;
    uint64_t rows = import->row;
    enum fmx_status status = fmx_registry_edit(registry);

    if (status != FMX_OK) {
        return status;
    }
    status = check_gathered(import);
    if (status == FMX_OK && rows > 0) {
        status = fmx_registry_run(registry,
                                  "INSERT INTO device(product, name, secret, status, added_ms, "
                                  "activated_ms) SELECT product, name, secret, status, ?, 0 FROM "
                                  "temp.incoming ORDER BY product, name",
                                  "i", fmx_registry_now_ms());
    }
    if (status == FMX_OK && rows > 0) {
        status = fmx_registry_log(registry, FMX_CHANGE_ALL, "", "");
    }
    return fmx_registry_end_edit(registry, status);
}

/* Ends with an empty `incoming` and without a transaction, whatever happened. */
static void clear(struct fmx_registry *registry)
{
    fmx_registry_undo(registry);
    (void)sqlite3_exec(registry->db, "DELETE FROM temp.incoming", NULL, NULL, NULL);
}

enum fmx_status fmx_registry_import(struct fmx_registry *registry,
                                    enum fmx_status (*next)(void *user,
                                                            struct fmx_device *out_device),
                                    void (*progress)(void *user, uint64_t rows), void *user,
                                    uint64_t *out_row, char *error, size_t error_bytes)
{
    struct import import = {.registry = registry};
    enum fmx_status status;

    fmx_registry_begin_call(registry, error, error_bytes);
    *out_row = 0;
    status = fmx_registry_run(registry,
                              "CREATE TEMP TABLE IF NOT EXISTS incoming("
                              " product INTEGER NOT NULL,"
                              " name TEXT NOT NULL,"
                              " secret TEXT NOT NULL,"
                              " status INTEGER NOT NULL,"
                              " line INTEGER NOT NULL,"
                              " PRIMARY KEY(product, name)) WITHOUT ROWID",
                              "");
    if (status == FMX_OK) {
        status = fmx_registry_run(registry, "PRAGMA temp.cache_size = -131072", "");
    }
    if (status == FMX_OK) {
        status = fmx_registry_run(registry, "BEGIN", ""); /* of the temporary table alone */
    }
    if (status == FMX_OK) {
        status = gather(&import, next, progress, user);
    }
    if (status == FMX_OK) {
        status = fmx_registry_run(registry, "COMMIT", "");
    }
    if (status == FMX_OK) {
        status = move(&import);
    }
    *out_row = import.row;
    clear(registry);
    return status;
}
