/*
 * registry.h — the verb that edits the registry: its settings, and what its files share
 */
#ifndef FMX_TOOLS_REGISTRY_H
#define FMX_TOOLS_REGISTRY_H

#include "tools/fleetmux/flags.h"

#include <fleetmux/registry.h>

#define REGISTRY_OPERANDS_MAX 40 /* a product, and each of its limits */

/* What is done; bits, so that a row of flags names those that have it. */
enum registry_deed {
    REGISTRY_CREATE = 1 << 0,
    REGISTRY_PRODUCT_ADD = 1 << 1,
    REGISTRY_PRODUCT_LIMIT = 1 << 2,
    REGISTRY_PRODUCT_REGISTER = 1 << 3,
    REGISTRY_PRODUCT_LIST = 1 << 4,
    REGISTRY_TOPIC_ADD = 1 << 5,
    REGISTRY_TOPIC_DELETE = 1 << 6,
    REGISTRY_TOPIC_LIST = 1 << 7,
    REGISTRY_DEVICE_ADD = 1 << 8,
    REGISTRY_DEVICE_LIST = 1 << 9,
    REGISTRY_IMPORT = 1 << 10,
    REGISTRY_EXPORT = 1 << 11,
    REGISTRY_SIGN = 1 << 12,
    REGISTRY_ENABLE = 1 << 13,
    REGISTRY_DISABLE = 1 << 14,
    REGISTRY_DELETE = 1 << 15,
};

struct registry_settings {
    const char *registry;
    const char *name;
    const char *secret;
    struct flag_list registration;
    struct flag_list limits;
    struct fmx_sign_options sign;
    uint32_t secure_mode;
    bool wants_json, wants_shell, is_dry, wants_help;
};

/* One call of the verb. */
struct registry_run {
    enum registry_deed deed;
    struct registry_settings *settings;
    const char *operands[REGISTRY_OPERANDS_MAX];
    size_t operands_count;
    struct fmx_registry *registry;        /* NULL for create */
    char error[FMX_REGISTRY_ERROR_BYTES]; /* of the library */
};

void registry_flags_init(struct registry_settings *settings, enum registry_deed deed,
                         struct flag_set *set);

/* Prints "fleetmux registry: words"; returns EXIT_USAGE. */
int registry_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* EXIT_PASS, or prints what the library has said and returns how to end. */
int registry_tell(const struct registry_run *run, enum fmx_status status);

/* Takes "PK/DN" or "PK" apart into `out_key`; NULL as the device's name if there is no slash. */
struct registry_place {
    char product_key[80];
    const char *device_name;
};
struct registry_place registry_place_of(const char *text);

int registry_product_add(struct registry_run *run);
int registry_product_limit(struct registry_run *run);
int registry_product_register(struct registry_run *run);
int registry_topic_set(struct registry_run *run);
int registry_device_add(struct registry_run *run);
int registry_set_status(struct registry_run *run);
int registry_delete(struct registry_run *run);

int registry_product_list(struct registry_run *run);
int registry_topic_list(struct registry_run *run);
int registry_device_list(struct registry_run *run);
int registry_export(struct registry_run *run);
int registry_sign(struct registry_run *run);

int registry_import(struct registry_run *run);

#endif
