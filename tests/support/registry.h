/*
 * registry.h — registry files of a test: in a folder of its own, made and filled in one line
 */
#ifndef FMX_TESTS_SUPPORT_REGISTRY_H
#define FMX_TESTS_SUPPORT_REGISTRY_H

#include "engine/roles/registry_file.h"
#include "tests/support/run.h"
#include "tests/support/temporary.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What the last call that failed has said. */
static char said[FMX_REGISTRY_ERROR_BYTES];
#define SAID said, sizeof(said)

static char folder[FMX_TEMPORARY_BYTES];
static char path[FMX_TEMPORARY_FILE_BYTES];

/* A new folder; `path` names a file in it that does not exist yet. */
static inline void make_folder(void)
{
    fmx_temporary_path(folder, sizeof(folder), "fmx-registry-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/r.db", folder);
}

static inline void remove_folder(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char name[sizeof(path) + 16];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
    CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static inline struct fmx_registry *open_registry(void)
{
    struct fmx_registry *registry = NULL;

    CU_ASSERT_EQUAL_FATAL(fmx_registry_open(path, &registry, SAID), FMX_OK);
    return registry;
}

/* A registry in a folder of its own. */
static inline struct fmx_registry *make_registry(void)
{
    make_folder();
    CU_ASSERT_EQUAL_FATAL(fmx_registry_create(path, SAID), FMX_OK);
    return open_registry();
}

static inline void add_product(struct fmx_registry *registry, const char *product_key)
{
    const struct fmx_product product = {.product_key = product_key,
                                        .secret = "product-secret",
                                        .registration = FMX_REGISTER_KNOWN | FMX_REGISTER_NEW};

    CU_ASSERT_EQUAL_FATAL(fmx_registry_product_add(registry, &product, SAID), FMX_OK);
}

static inline void add_device(struct fmx_registry *registry, const char *product_key,
                              const char *device_name, const char *secret)
{
    const struct fmx_device device = {
        .product_key = product_key, .device_name = device_name, .secret = secret};

    CU_ASSERT_EQUAL_FATAL(fmx_registry_device_add(registry, &device, SAID), FMX_OK);
}

/* Runs a statement through a connection of its own. */
static inline void run_sql(const char *sql)
{
    sqlite3 *db = NULL;

    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Made devices for an import: NAME-0000000 and so on. */
struct made_devices {
    const char *product_key;
    const char *prefix;
    uint32_t count;
    uint32_t made;
    char name[FMX_REGISTRY_KEY_BYTES_MAX + 1];
};

static inline enum fmx_status next_made(void *user, struct fmx_device *out_device)
{
    struct made_devices *source = user;

    if (source->made == source->count) {
        return FMX_END;
    }
    snprintf(source->name, sizeof(source->name), "%s-%07u", source->prefix, source->made++);
    *out_device =
        (struct fmx_device){.product_key = source->product_key, .device_name = source->name};
    return FMX_OK;
}

static inline void import_devices(struct fmx_registry *registry, const char *product_key,
                                  const char *prefix, uint32_t count)
{
    struct made_devices source = {.product_key = product_key, .prefix = prefix, .count = count};
    uint64_t row = 0;

    CU_ASSERT_EQUAL_FATAL(fmx_registry_import(registry, next_made, NULL, &source, &row, SAID),
                          FMX_OK);
    CU_ASSERT_EQUAL(row, count);
}

#endif
