/*
 * registry.h — who is a device, and with which secret: products and devices in one SQLite file
 *
 * This is the management side: what `fleetmux registry` does. A gateway that runs on the same file
 * sees each change within milliseconds of its commit, whoever made it: another process, or a handle
 * of this one.
 *
 * Threads: a handle belongs to one thread at a time. Every call blocks for the disk; none is for a
 * gateway's callbacks. Texts in results live until the next call with the handle.
 */
#ifndef FLEETMUX_REGISTRY_H
#define FLEETMUX_REGISTRY_H

#include <fleetmux/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FMX_REGISTRY_ERROR_BYTES 512

struct fmx_registry;

enum fmx_registry_status {
    FMX_REGISTRY_ENABLED = 0,
    FMX_REGISTRY_DISABLED = 1, /* CONNECT is refused: 5.0 0x87, 3.x code 5 */
};

/* How devices of a product get their secrets over MQTT. */
enum {
    FMX_REGISTER_KNOWN = 1 << 0, /* authType register: devices that are in the registry */
    FMX_REGISTER_NEW = 1 << 1,   /* authType regnwl: any name; it is added */
};

struct fmx_product {
    const char *product_key; /* 1 … 32 letters and digits */
    const char *secret;      /* 1 … 64 printable characters; NULL on adding: made */
    const char *name;        /* for people; may be empty */
    enum fmx_registry_status status;
    unsigned registration;             /* FMX_REGISTER_… */
    struct fmx_limits_override limits; /* on top of the gateway's */
    uint64_t devices_count;            /* result only */
};

struct fmx_device {
    const char *product_key;
    const char *device_name; /* 1 … 64 of letters, digits and -_@.: */
    const char *secret;      /* 1 … 64 printable characters; NULL on adding: made */
    enum fmx_registry_status status;
    uint64_t added_ms;     /* UNIX time; result only */
    uint64_t activated_ms; /* its first CONNECT; 0: never; result only */
};

/* A custom topic class of a product: FMX_TOPIC_MAY_… */
enum {
    FMX_TOPIC_MAY_PUBLISH = 1,
    FMX_TOPIC_MAY_SUBSCRIBE = 2,
};

struct fmx_topic_class {
    const char *topic; /* "user/get", "user/+/event": what follows /product key/device name/ */
    unsigned permission;
};

/*
 * Makes a new registry file. FMX_OK; FMX_SYS_FILE (it exists, or cannot be written). `error` (at
 * least FMX_REGISTRY_ERROR_BYTES) says what and where; so for all calls below.
 */
FMX_API enum fmx_status fmx_registry_create(const char *path, char *error,
                                            size_t error_bytes) FMX_MUST_USE;

/*
 * Opens one. FMX_OK; FMX_SYS_FILE (missing, locked for more than 5 s, damaged, or no registry);
 * FMX_E_OPTION (made by a newer version).
 */
FMX_API enum fmx_status fmx_registry_open(const char *path, struct fmx_registry **out_registry,
                                          char *error, size_t error_bytes) FMX_MUST_USE;
FMX_API void fmx_registry_close(struct fmx_registry *registry);

/*
 * Adding, changing, deleting. FMX_OK, FMX_E_ARGUMENT (a field is malformed, exists already, or does
 * not exist: `error` names it), FMX_SYS_FILE. A new product has the classes user/update (publish),
 * user/update/error (publish) and user/get (subscribe). Deleting a product deletes its devices.
 * Sessions of a device that is deleted or disabled are ended.
 */
FMX_API enum fmx_status fmx_registry_product_add(struct fmx_registry *registry,
                                                 const struct fmx_product *product, char *error,
                                                 size_t error_bytes) FMX_MUST_USE;
FMX_API enum fmx_status fmx_registry_product_set_status(struct fmx_registry *registry,
                                                        const char *product_key,
                                                        enum fmx_registry_status status,
                                                        char *error,
                                                        size_t error_bytes) FMX_MUST_USE;
FMX_API enum fmx_status fmx_registry_product_set_registration(struct fmx_registry *registry,
                                                              const char *product_key,
                                                              unsigned registration, char *error,
                                                              size_t error_bytes) FMX_MUST_USE;
/* Replaces the product's overrides. */
FMX_API enum fmx_status fmx_registry_product_set_limits(struct fmx_registry *registry,
                                                        const char *product_key,
                                                        const struct fmx_limits_override *limits,
                                                        char *error,
                                                        size_t error_bytes) FMX_MUST_USE;
FMX_API enum fmx_status fmx_registry_product_delete(struct fmx_registry *registry,
                                                    const char *product_key, char *error,
                                                    size_t error_bytes) FMX_MUST_USE;
/* Permission 0 removes the class. */
FMX_API enum fmx_status fmx_registry_topic_set(struct fmx_registry *registry,
                                               const char *product_key,
                                               const struct fmx_topic_class *topic, char *error,
                                               size_t error_bytes) FMX_MUST_USE;
FMX_API enum fmx_status fmx_registry_device_add(struct fmx_registry *registry,
                                                const struct fmx_device *device, char *error,
                                                size_t error_bytes) FMX_MUST_USE;
FMX_API enum fmx_status fmx_registry_device_set_status(struct fmx_registry *registry,
                                                       const char *product_key,
                                                       const char *device_name,
                                                       enum fmx_registry_status status, char *error,
                                                       size_t error_bytes) FMX_MUST_USE;
FMX_API enum fmx_status fmx_registry_device_delete(struct fmx_registry *registry,
                                                   const char *product_key, const char *device_name,
                                                   char *error, size_t error_bytes) FMX_MUST_USE;

/* Looking up. FMX_OK, FMX_E_STALE (there is none), FMX_SYS_FILE. */
FMX_API enum fmx_status fmx_registry_product_find(struct fmx_registry *registry,
                                                  const char *product_key,
                                                  struct fmx_product *out_product, char *error,
                                                  size_t error_bytes) FMX_MUST_USE;
FMX_API enum fmx_status fmx_registry_device_find(struct fmx_registry *registry,
                                                 const char *product_key, const char *device_name,
                                                 struct fmx_device *out_device, char *error,
                                                 size_t error_bytes) FMX_MUST_USE;

/*
 * Walks products, a product's topic classes, or devices (of one product, or of all with NULL), by
 * name; a callback that returns false ends the walk. FMX_OK, FMX_E_ARGUMENT (no such product),
 * FMX_SYS_FILE.
 */
FMX_API enum fmx_status fmx_registry_each_product(
    struct fmx_registry *registry, bool (*each)(void *user, const struct fmx_product *product),
    void *user, char *error, size_t error_bytes) FMX_MUST_USE;
FMX_API enum fmx_status fmx_registry_each_topic(
    struct fmx_registry *registry, const char *product_key,
    bool (*each)(void *user, const struct fmx_topic_class *topic), void *user, char *error,
    size_t error_bytes) FMX_MUST_USE;
FMX_API enum fmx_status fmx_registry_each_device(
    struct fmx_registry *registry, const char *product_key,
    bool (*each)(void *user, const struct fmx_device *device), void *user, char *error,
    size_t error_bytes) FMX_MUST_USE;

/*
 * Many devices at once, all or nothing: `next` fills in one device a call and returns FMX_OK,
 * FMX_END after the last, or a failure, which ends and undoes the import and is returned. Names are
 * checked, secrets that are NULL are made. FMX_E_ARGUMENT: `out_row` (counted from 1) is malformed,
 * twice there, in the registry already, or of an unknown product; `error` says which field.
 * `progress` (may be NULL) is called every 65,536 rows.
 */
FMX_API enum fmx_status fmx_registry_import(struct fmx_registry *registry,
                                            enum fmx_status (*next)(void *user,
                                                                    struct fmx_device *out_device),
                                            void (*progress)(void *user, uint64_t rows), void *user,
                                            uint64_t *out_row, char *error,
                                            size_t error_bytes) FMX_MUST_USE;

/* What a device puts into CONNECT. Texts are terminated. */
struct fmx_signed_connect {
    char client_id[512];
    char username[128];
    char password[72];
};

/* How to sign. All zero: the defaults in parentheses. */
struct fmx_sign_options {
    const char *client_id; /* the logical one (product key, a dot, device name) */
    const char *method;    /* "hmacmd5", "hmacsha1", "hmacsha256" (hmacsha256) */
    const char *timestamp; /* digits ("2524608000000"); "": none */
    const char *extra;     /* further options, as in "_ss=1,ext=3" (none) */
    int secure_mode;       /* (3: plain TCP) */
};

/*
 * Makes client id, user name and password for a device. FMX_OK, FMX_E_ARGUMENT (a field is
 * malformed or too long), FMX_LIMIT_MEMORY. Any thread.
 */
FMX_API enum fmx_status fmx_sign_connect(const char *product_key, const char *device_name,
                                         const char *secret, const struct fmx_sign_options *options,
                                         struct fmx_signed_connect *out_signed, char *error,
                                         size_t error_bytes) FMX_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
