/*
 * registry_edit — adds and changes products, topic classes and devices from the command line
 *
 * Why it is so:   what the library has made (secrets) is printed as a row of CSV, so that it can be
 *                 kept in a file and imported somewhere else
 * Threads:        one
 * Not here:       lists and signatures: registry_show.c
 */
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/registry.h"
#include "tools/fleetmux/registry_csv.h"
#include "tools/fleetmux/verbs.h"
#include "tools/fleetmux/words.h"

#include <string.h>

#define ERROR run->error, sizeof(run->error)

/* ── words ── */

static int read_registration_word(const char *word, unsigned *registration)
{
    if (strcmp(word, "known") == 0) {
        *registration |= FMX_REGISTER_KNOWN;
    } else if (strcmp(word, "new") == 0) {
        *registration |= FMX_REGISTER_NEW;
    } else if (strcmp(word, "none") != 0) {
        return registry_refuse("registration '%.40s' is none; write known, new, known,new or none",
                               word);
    }
    return EXIT_PASS;
}

static int refuse_limit(const char *text, size_t bytes)
{
    char name[64];
    struct nearest nearest = {.word = name};

    snprintf(name, sizeof(name), "%.*s", (int)bytes, text);
    for (int limit = 0; limit < FMX_LIMITS_COUNT; limit++) {
        nearest_consider(&nearest, fmx_limit_name((enum fmx_limit)limit));
    }
    if (nearest.best != NULL) {
        return registry_refuse("there is no limit '%s'; did you mean '%s'?", name, nearest.best);
    }
    return registry_refuse("there is no limit '%s'; 'fleetmux help registry' lists them", name);
}

/* "NAME=VALUE"; with `may_remove` "NAME=" takes the product's own limit away. */
static int read_limit(const char *text, bool may_remove, struct fmx_limits_override *override)
{
    char error[FMX_REGISTRY_ERROR_BYTES] = "";
    size_t bytes = strcspn(text, "=");
    fmx_slice name = {.data = (const uint8_t *)text, .bytes = bytes};

    if (text[bytes] == '\0') {
        return registry_refuse("limit '%.80s' has no value; write NAME=VALUE%s", text,
                               may_remove ? ", or NAME= for the gateway's" : "");
    }
    enum fmx_limit limit = fmx_limit_find(name);
    if (limit == FMX_LIMITS_COUNT) {
        return refuse_limit(text, bytes);
    }
    if (may_remove && text[bytes + 1] == '\0') {
        override->which &= ~(UINT32_C(1) << limit);
        fmx_limits_set(&override->limits, limit, 0);
        return EXIT_PASS;
    }
    if (fmx_limits_override_set(override, name, fmx_slice_of(text + bytes + 1), error,
                                sizeof(error)) != FMX_OK) {
        return registry_refuse("%s", error);
    }
    return EXIT_PASS;
}

/* ── products ── */

static int print_product_secret(struct registry_run *run, const char *product_key)
{
    struct fmx_product product;
    enum fmx_status status = fmx_registry_product_find(run->registry, product_key, &product, ERROR);

    if (status == FMX_OK) {
        csv_write(stdout, product.product_key, ',');
        csv_write(stdout, product.secret, '\n');
    }
    return registry_tell(run, status);
}

int registry_product_add(struct registry_run *run)
{
    const struct registry_settings *settings = run->settings;
    struct fmx_product product = {
        .product_key = run->operands[0], .secret = settings->secret, .name = settings->name};

    for (size_t i = 0; i < settings->registration.count; i++) {
        if (read_registration_word(settings->registration.items[i], &product.registration) !=
            EXIT_PASS) {
            return EXIT_USAGE;
        }
    }
    for (size_t i = 0; i < settings->limits.count; i++) {
        if (read_limit(settings->limits.items[i], false, &product.limits) != EXIT_PASS) {
            return EXIT_USAGE;
        }
    }
    enum fmx_status status = fmx_registry_product_add(run->registry, &product, ERROR);
    return status == FMX_OK ? print_product_secret(run, product.product_key)
                            : registry_tell(run, status);
}

int registry_product_limit(struct registry_run *run)
{
    const char *product_key = run->operands[0];
    struct fmx_product product;
    enum fmx_status status = fmx_registry_product_find(run->registry, product_key, &product, ERROR);

    if (status != FMX_OK) {
        return registry_tell(run, status);
    }
    struct fmx_limits_override limits = product.limits;
    for (size_t i = 1; i < run->operands_count; i++) {
        if (read_limit(run->operands[i], true, &limits) != EXIT_PASS) {
            return EXIT_USAGE;
        }
    }
    return registry_tell(
        run, fmx_registry_product_set_limits(run->registry, product_key, &limits, ERROR));
}

int registry_product_register(struct registry_run *run)
{
    unsigned registration = 0;
    char word[32];

    for (const char *at = run->operands[1]; *at != '\0';) {
        size_t bytes = strcspn(at, ",");
        snprintf(word, sizeof(word), "%.*s", (int)bytes, at);
        if (read_registration_word(word, &registration) != EXIT_PASS) {
            return EXIT_USAGE;
        }
        at += bytes + (at[bytes] == ',');
    }
    return registry_tell(run, fmx_registry_product_set_registration(run->registry, run->operands[0],
                                                                    registration, ERROR));
}

/* ── topic classes ── */

int registry_topic_set(struct registry_run *run)
{
    static const char *const words[] = {"", "pub", "sub", "pubsub"};
    struct fmx_topic_class topic = {.topic = run->operands[1]};

    if (run->deed == REGISTRY_TOPIC_ADD) {
        topic.permission = 3;
        while (topic.permission > 0 && strcmp(words[topic.permission], run->operands[2]) != 0) {
            topic.permission--;
        }
        if (topic.permission == 0) {
            return registry_refuse("permission '%.40s' is none; write pub, sub or pubsub",
                                   run->operands[2]);
        }
    }
    return registry_tell(run,
                         fmx_registry_topic_set(run->registry, run->operands[0], &topic, ERROR));
}

/* ── devices ── */

int registry_device_add(struct registry_run *run)
{
    const struct fmx_device device = {.product_key = run->operands[0],
                                      .device_name = run->operands[1],
                                      .secret = run->settings->secret};
    struct fmx_device added;
    enum fmx_status status = fmx_registry_device_add(run->registry, &device, ERROR);

    if (status == FMX_OK) {
        status = fmx_registry_device_find(run->registry, device.product_key, device.device_name,
                                          &added, ERROR);
    }
    if (status == FMX_OK) {
        csv_write(stdout, added.product_key, ',');
        csv_write(stdout, added.device_name, ',');
        csv_write(stdout, added.secret, '\n');
    }
    return registry_tell(run, status);
}

/* ── both ── */

int registry_set_status(struct registry_run *run)
{
    struct registry_place place = registry_place_of(run->operands[0]);
    enum fmx_registry_status wanted =
        run->deed == REGISTRY_ENABLE ? FMX_REGISTRY_ENABLED : FMX_REGISTRY_DISABLED;

    return registry_tell(
        run, place.device_name == NULL
                 ? fmx_registry_product_set_status(run->registry, place.product_key, wanted, ERROR)
                 : fmx_registry_device_set_status(run->registry, place.product_key,
                                                  place.device_name, wanted, ERROR));
}

static int delete_product(struct registry_run *run, const char *product_key)
{
    struct fmx_product product;
    enum fmx_status status = fmx_registry_product_find(run->registry, product_key, &product, ERROR);
    uint64_t devices_count = product.devices_count;

    if (status == FMX_OK) {
        status = fmx_registry_product_delete(run->registry, product_key, ERROR);
    }
    if (status == FMX_OK && devices_count > 0) {
        printf("devices deleted with it: %s\n", words_count(devices_count).text);
    }
    return registry_tell(run, status);
}

int registry_delete(struct registry_run *run)
{
    struct registry_place place = registry_place_of(run->operands[0]);

    if (place.device_name == NULL) {
        return delete_product(run, place.product_key);
    }
    return registry_tell(run, fmx_registry_device_delete(run->registry, place.product_key,
                                                         place.device_name, ERROR));
}
