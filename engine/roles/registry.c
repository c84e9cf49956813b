/*
 * registry — products, topic classes and devices: added, changed, deleted
 *
 * Why it is so:   each call is one transaction with its row in the log of changes, so that a
 *                 gateway on the same file sees the whole of it or nothing. Fields are checked
 *                 before the file is touched; what exists is asked inside the transaction, where
 *                 the answer stays true
 * Words:          gone: deleted or disabled; the log tells it apart from other changes, because a
 *                 session has to end even if the device is back by the time the gateway looks
 * Memory:         nothing between calls
 * Threads:        one at a time for each handle
 * Limits:         FMX_REGISTRY_TOPICS_MAX classes for each product
 * Not here:       the file and transactions: registry_schema.c; reading: registry_find.c; many
 *                 devices at once: registry_import.c
 */
#include "engine/roles/registry_file.h"

#include "engine/clock.h"
#include "proto/dialect.h"
#include "proto/utf8.h"

#include <assert.h>
#include <errno.h>
#include <fleetmux/private/assert.h>
#include <inttypes.h>
#include <sys/random.h>

#define REGISTRATION_ALL ((unsigned)(FMX_REGISTER_KNOWN | FMX_REGISTER_NEW))
#define SHOWN_BYTES      96

static_assert(FMX_PRODUCT_KEY_BYTES_MAX <= FMX_REGISTRY_KEY_BYTES_MAX, "results have room for it");
static_assert(FMX_REGISTRY_TOPIC_BYTES_MAX == 126, "as in words below");
static_assert(FMX_DEVICE_NAME_BYTES_MAX <= FMX_REGISTRY_KEY_BYTES_MAX, "results have room for it");

/* ── fields ── */

struct shown {
    char text[SHOWN_BYTES];
};

/* A field's text for an error: its beginning, without control characters. */
static struct shown show(const char *text)
{
    struct shown shown;

    snprintf(shown.text, sizeof(shown.text), "%s", text);
    for (char *at = shown.text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
    return shown;
}

static enum fmx_status refuse(struct fmx_registry *registry, const char *words, const char *text)
{
    return fmx_registry_say(registry, FMX_E_ARGUMENT, "%s (it is '%s')", words, show(text).text);
}

/* Is every character an ASCII letter, a digit, or one of `others`? */
static bool is_made_of(const char *text, const char *others)
{
    for (const char *at = text; *at != '\0'; at++) {
        bool is_letter = (*at | 0x20) >= 'a' && (*at | 0x20) <= 'z';
        if (!is_letter && !(*at >= '0' && *at <= '9') && strchr(others, *at) == NULL) {
            return false;
        }
    }
    return true;
}

enum fmx_status fmx_registry_check_product_key(struct fmx_registry *registry,
                                               const char *product_key)
{
    if (product_key == NULL) {
        return fmx_registry_say(registry, FMX_E_ARGUMENT, "the product key is missing");
    }
    const char *words = fmx_dialect_product_key_fault(fmx_slice_of(product_key));
    if (words == NULL && !is_made_of(product_key, "")) {
        words = "product key: use letters and digits";
    }
    return words == NULL ? FMX_OK : refuse(registry, words, product_key);
}

enum fmx_status fmx_registry_check_device_name(struct fmx_registry *registry,
                                               const char *device_name)
{
    if (device_name == NULL) {
        return fmx_registry_say(registry, FMX_E_ARGUMENT, "the device name is missing");
    }
    const char *words = fmx_dialect_device_name_fault(fmx_slice_of(device_name));
    if (words == NULL && !is_made_of(device_name, "-_@.:")) {
        words = "device name: use letters, digits and - _ @ . :";
    }
    return words == NULL ? FMX_OK : refuse(registry, words, device_name);
}

enum fmx_status fmx_registry_check_secret(struct fmx_registry *registry, const char *secret)
{
    size_t bytes = strnlen(secret, FMX_REGISTRY_KEY_BYTES_MAX + 1);

    for (size_t i = 0; i < bytes; i++) {
        if (secret[i] < 0x20 || secret[i] > 0x7e) {
            bytes = 0;
        }
    }
    if (bytes == 0 || bytes > FMX_REGISTRY_KEY_BYTES_MAX) {
        /* never the secret itself: errors are logged */
        return fmx_registry_say(registry, FMX_E_ARGUMENT,
                                "the secret must be 1 to %d printable ASCII characters",
                                FMX_REGISTRY_KEY_BYTES_MAX);
    }
    return FMX_OK;
}

static enum fmx_status check_name(struct fmx_registry *registry, const char *name)
{
    bool is_good =
        strlen(name) <= FMX_REGISTRY_NAME_BYTES_MAX && fmx_utf8_is_valid(fmx_slice_of(name));

    for (const char *at = name; *at != '\0'; at++) {
        is_good = is_good && (unsigned char)*at >= 0x20 && *at != 0x7f;
    }
    return is_good
               ? FMX_OK
               : fmx_registry_say(registry, FMX_E_ARGUMENT,
                                  "the product's name must be at most %d bytes of UTF-8 without "
                                  "control characters",
                                  FMX_REGISTRY_NAME_BYTES_MAX);
}

static enum fmx_status check_status(struct fmx_registry *registry, enum fmx_registry_status status)
{
    return status == FMX_REGISTRY_ENABLED || status == FMX_REGISTRY_DISABLED
               ? FMX_OK
               : fmx_registry_say(registry, FMX_E_ARGUMENT,
                                  "the status must be enabled (%d) or disabled (%d), not %d",
                                  FMX_REGISTRY_ENABLED, FMX_REGISTRY_DISABLED, (int)status);
}

static enum fmx_status check_registration(struct fmx_registry *registry, unsigned registration)
{
    return (registration & ~REGISTRATION_ALL) == 0
               ? FMX_OK
               : fmx_registry_say(
                     registry, FMX_E_ARGUMENT,
                     "the registration must be made of known (%d) and new (%d), not %u",
                     FMX_REGISTER_KNOWN, FMX_REGISTER_NEW, registration);
}

static bool is_in_range(enum fmx_limit limit, uint32_t value)
{
    uint32_t least, most;
    bool may_be_unlimited;

    fmx_limit_range(limit, &least, &most, &may_be_unlimited);
    return (value >= least && value <= most) || (value == FMX_UNLIMITED && may_be_unlimited);
}

static enum fmx_status refuse_limit(struct fmx_registry *registry, enum fmx_limit limit,
                                    uint32_t value)
{
    uint32_t least, most;
    bool may_be_unlimited;

    fmx_limit_range(limit, &least, &most, &may_be_unlimited);
    return fmx_registry_say(
        registry, FMX_E_ARGUMENT,
        "limit '%s': %" PRIu32 " is out of range; %" PRIu32 " to %" PRIu32 "%s would be right",
        fmx_limit_name(limit), value, least, most, may_be_unlimited ? " or none" : "");
}

static enum fmx_status check_limits(struct fmx_registry *registry,
                                    const struct fmx_limits_override *override)
{
    static const struct {
        enum fmx_limit least;
        enum fmx_limit most;
    } pairs[] = {{FMX_LIM_keepalive_min_s, FMX_LIM_keepalive_max_s},
                 {FMX_LIM_call_timeout_min_ms, FMX_LIM_call_timeout_max_ms}};

    if (override->which >> FMX_LIMITS_COUNT != 0) {
        return fmx_registry_say(registry, FMX_E_ARGUMENT,
                                "the limits name one that does not exist; there are %d",
                                FMX_LIMITS_COUNT);
    }
    for (int limit = 0; limit < FMX_LIMITS_COUNT; limit++) {
        uint32_t value = fmx_limits_get(&override->limits, (enum fmx_limit)limit);
        if ((override->which >> limit & 1) != 0 && !is_in_range((enum fmx_limit)limit, value)) {
            return refuse_limit(registry, (enum fmx_limit)limit, value);
        }
    }
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        uint32_t both = 1u << pairs[i].least | 1u << pairs[i].most;
        if ((override->which & both) == both &&
            fmx_limits_get(&override->limits, pairs[i].least) >
                fmx_limits_get(&override->limits, pairs[i].most)) {
            return fmx_registry_say(registry, FMX_E_ARGUMENT,
                                    "limit '%s' is above '%s'; lower it or raise the other",
                                    fmx_limit_name(pairs[i].least), fmx_limit_name(pairs[i].most));
        }
    }
    return FMX_OK;
}

/* ── what is made here ── */

void fmx_registry_make_secret(char *out, size_t digits)
{
    uint8_t bytes[FMX_REGISTRY_KEY_BYTES_MAX / 2];
    size_t wanted = digits / 2;
    ssize_t got;

    FMX_ASSERT(wanted <= sizeof(bytes) && digits % 2 == 0);
    do {
        got = getrandom(bytes, wanted, 0); /* up to 256 bytes come whole or not at all */
    } while (got < 0 && errno == EINTR);
    FMX_ASSERT(got == (ssize_t)wanted);
    fmx_dialect_hex((fmx_slice){bytes, wanted}, false, out);
    out[digits] = '\0';
}

int64_t fmx_registry_now_ms(void)
{
    return (int64_t)fmx_clock_unix_ms();
}

/* ── products ── */

enum fmx_status fmx_registry_product_id(struct fmx_registry *registry, const char *product_key,
                                        enum fmx_status none, int64_t *out_id)
{
    enum fmx_status status = fmx_registry_number(
        registry, 0, out_id, "SELECT id FROM product WHERE product_key = ?", "t", product_key);

    if (status == FMX_OK && *out_id == 0) {
        return fmx_registry_say(registry, none,
                                "there is no product '%s'; add it with 'fleetmux registry product "
                                "add %s'",
                                show(product_key).text, show(product_key).text);
    }
    return status;
}

/* Begins an edit of a product that must be there. */
static enum fmx_status edit_product(struct fmx_registry *registry, const char *product_key,
                                    int64_t *out_id)
{
    enum fmx_status status = fmx_registry_check_product_key(registry, product_key);

    if (status == FMX_OK) {
        status = fmx_registry_edit(registry);
    }
    if (status != FMX_OK) {
        return status;
    }
    status = fmx_registry_product_id(registry, product_key, FMX_E_ARGUMENT, out_id);
    return status == FMX_OK ? FMX_OK : fmx_registry_end_edit(registry, status);
}

/* Logs what has happened to a product, if all is well, and ends the edit. */
static enum fmx_status end_product(struct fmx_registry *registry, enum fmx_status status,
                                   enum fmx_registry_change change, const char *product_key)
{
    if (status == FMX_OK) {
        status = fmx_registry_log(registry, change, product_key, "");
    }
    return fmx_registry_end_edit(registry, status);
}

static enum fmx_status put_limits(struct fmx_registry *registry, int64_t product_id,
                                  const struct fmx_limits_override *override)
{
    enum fmx_status status =
        fmx_registry_run(registry, "DELETE FROM product_limit WHERE product = ?", "i", product_id);

    for (int limit = 0; limit < FMX_LIMITS_COUNT && status == FMX_OK; limit++) {
        if ((override->which >> limit & 1) != 0) {
            status = fmx_registry_run(
                registry, "INSERT INTO product_limit(product, name, value) VALUES(?, ?, ?)", "iti",
                product_id, fmx_limit_name((enum fmx_limit)limit),
                (int64_t)fmx_limits_get(&override->limits, (enum fmx_limit)limit));
        }
    }
    return status;
}

enum fmx_status fmx_registry_read_limits(struct fmx_registry *registry, int64_t product_id,
                                         struct fmx_limits_override *out_limits)
{
    enum fmx_status status;
    sqlite3_stmt *statement = fmx_registry_query(
        registry, &status, "SELECT name, value FROM product_limit WHERE product = ?", "i",
        product_id);

    *out_limits = (struct fmx_limits_override){0};
    if (statement == NULL) {
        return status;
    }
    while ((status = fmx_registry_step(registry, statement)) == FMX_OK) {
        enum fmx_limit limit = fmx_limit_find(fmx_registry_slice(statement, 0));
        int64_t value = sqlite3_column_int64(statement, 1);
        if (limit == FMX_LIMITS_COUNT || value < 0 || value > UINT32_MAX ||
            !is_in_range(limit, (uint32_t)value)) {
            status = fmx_registry_say(registry, FMX_SYS_FILE,
                                      "%s: a product has the limit '%s' = %" PRId64
                                      ", which is none; set the product's limits again",
                                      registry->path, fmx_registry_text(statement, 0), value);
            break;
        }
        out_limits->which |= 1u << limit;
        fmx_limits_set(&out_limits->limits, limit, (uint32_t)value);
    }
    fmx_registry_give(registry, statement);
    return status == FMX_END ? FMX_OK : status;
}

static enum fmx_status check_product(struct fmx_registry *registry,
                                     const struct fmx_product *product)
{
    enum fmx_status status = fmx_registry_check_product_key(registry, product->product_key);

    if (status == FMX_OK && product->secret != NULL) {
        status = fmx_registry_check_secret(registry, product->secret);
    }
    if (status == FMX_OK && product->name != NULL) {
        status = check_name(registry, product->name);
    }
    if (status == FMX_OK) {
        status = check_status(registry, product->status);
    }
    if (status == FMX_OK) {
        status = check_registration(registry, product->registration);
    }
    return status == FMX_OK ? check_limits(registry, &product->limits) : status;
}

static enum fmx_status insert_product(struct fmx_registry *registry,
                                      const struct fmx_product *product)
{
    char made[FMX_REGISTRY_SECRET_BYTES + 1];
    int64_t id = 0;
    enum fmx_status status =
        fmx_registry_number(registry, 0, &id, "SELECT id FROM product WHERE product_key = ?", "t",
                            product->product_key);

    if (status == FMX_OK && id != 0) {
        return fmx_registry_say(registry, FMX_E_ARGUMENT,
                                "the product key '%s' exists already; choose another one, or "
                                "delete the product first",
                                product->product_key);
    }
    if (status != FMX_OK) {
        return status;
    }
    fmx_registry_make_secret(made, FMX_REGISTRY_SECRET_BYTES);
    status = fmx_registry_run(
        registry,
        "INSERT INTO product(product_key, secret, name, status, registration) "
        "VALUES(?, ?, ?, ?, ?)",
        "tttii", product->product_key, product->secret != NULL ? product->secret : made,
        product->name != NULL ? product->name : "", (int64_t)product->status,
        (int64_t)product->registration);
    if (status != FMX_OK) {
        return status;
    }
    id = sqlite3_last_insert_rowid(registry->db);
    status = put_limits(registry, id, &product->limits);
    if (status == FMX_OK) {
        status = fmx_registry_run(registry,
                                  "INSERT INTO topic_class(product, topic, permission) VALUES"
                                  "(?1, 'user/update', 1), (?1, 'user/update/error', 1),"
                                  "(?1, 'user/get', 2)",
                                  "i", id);
    }
    return status;
}

enum fmx_status fmx_registry_product_add(struct fmx_registry *registry,
                                         const struct fmx_product *product, char *error,
                                         size_t error_bytes)
{
    fmx_registry_begin_call(registry, error, error_bytes);
    enum fmx_status status = check_product(registry, product);
    if (status == FMX_OK) {
        status = fmx_registry_edit(registry);
    }
    if (status != FMX_OK) {
        return status;
    }
    status = insert_product(registry, product);
    return end_product(registry, status, FMX_CHANGE_PRODUCT, product->product_key);
}

enum fmx_status fmx_registry_product_set_status(struct fmx_registry *registry,
                                                const char *product_key,
                                                enum fmx_registry_status new_status, char *error,
                                                size_t error_bytes)
{
    int64_t id = 0;

    fmx_registry_begin_call(registry, error, error_bytes);
    enum fmx_status status = check_status(registry, new_status);
    if (status == FMX_OK) {
        status = edit_product(registry, product_key, &id);
    }
    if (status != FMX_OK) {
        return status;
    }
    status = fmx_registry_run(registry, "UPDATE product SET status = ? WHERE id = ?", "ii",
                              (int64_t)new_status, id);
    return end_product(registry, status,
                       new_status == FMX_REGISTRY_DISABLED ? FMX_CHANGE_PRODUCT_GONE
                                                           : FMX_CHANGE_PRODUCT,
                       product_key);
}

enum fmx_status fmx_registry_product_set_registration(struct fmx_registry *registry,
                                                      const char *product_key,
                                                      unsigned registration, char *error,
                                                      size_t error_bytes)
{
    int64_t id = 0;

    fmx_registry_begin_call(registry, error, error_bytes);
    enum fmx_status status = check_registration(registry, registration);
    if (status == FMX_OK) {
        status = edit_product(registry, product_key, &id);
    }
    if (status != FMX_OK) {
        return status;
    }
    status = fmx_registry_run(registry, "UPDATE product SET registration = ? WHERE id = ?", "ii",
                              (int64_t)registration, id);
    return end_product(registry, status, FMX_CHANGE_PRODUCT, product_key);
}

enum fmx_status fmx_registry_product_set_limits(struct fmx_registry *registry,
                                                const char *product_key,
                                                const struct fmx_limits_override *limits,
                                                char *error, size_t error_bytes)
{
    int64_t id = 0;

    fmx_registry_begin_call(registry, error, error_bytes);
    enum fmx_status status = check_limits(registry, limits);
    if (status == FMX_OK) {
        status = edit_product(registry, product_key, &id);
    }
    if (status != FMX_OK) {
        return status;
    }
    status = put_limits(registry, id, limits);
    return end_product(registry, status, FMX_CHANGE_PRODUCT, product_key);
}

enum fmx_status fmx_registry_product_delete(struct fmx_registry *registry, const char *product_key,
                                            char *error, size_t error_bytes)
{
    static const char *const deletes[] = {
        "DELETE FROM device WHERE product = ?",
        "DELETE FROM topic_class WHERE product = ?",
        "DELETE FROM product_limit WHERE product = ?",
        "DELETE FROM product WHERE id = ?",
    };
    int64_t id = 0;

    fmx_registry_begin_call(registry, error, error_bytes);
    enum fmx_status status = edit_product(registry, product_key, &id);
    if (status != FMX_OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof(deletes) / sizeof(deletes[0]) && status == FMX_OK; i++) {
        status = fmx_registry_run(registry, deletes[i], "i", id);
    }
    return end_product(registry, status, FMX_CHANGE_PRODUCT_GONE, product_key);
}

/* ── topic classes ── */

static enum fmx_status check_topic(struct fmx_registry *registry,
                                   const struct fmx_topic_class *topic)
{
    if (topic->topic == NULL) {
        return fmx_registry_say(registry, FMX_E_ARGUMENT, "the topic class is missing");
    }
    if (topic->permission == 0) {
        return FMX_OK; /* it must exist, and that is asked later */
    }
    if (topic->permission > (FMX_TOPIC_MAY_PUBLISH | FMX_TOPIC_MAY_SUBSCRIBE)) {
        return fmx_registry_say(registry, FMX_E_ARGUMENT,
                                "the permission must be pub (1), sub (2) or pubsub (3), not %u",
                                topic->permission);
    }
    const char *words =
        fmx_dialect_topic_class_fault(fmx_slice_of(topic->topic), topic->permission);
    if (words == NULL && strlen(topic->topic) > FMX_REGISTRY_TOPIC_BYTES_MAX) {
        words = "topic class: too long; use at most 126 bytes";
    }
    return words == NULL ? FMX_OK : refuse(registry, words, topic->topic);
}

static enum fmx_status put_topic(struct fmx_registry *registry, int64_t product_id,
                                 const struct fmx_topic_class *topic)
{
    int64_t count = 0;
    enum fmx_status status = fmx_registry_number(
        registry, 0, &count, "SELECT count(*) FROM topic_class WHERE product = ? AND topic <> ?",
        "it", product_id, topic->topic);

    if (status == FMX_OK && count >= FMX_REGISTRY_TOPICS_MAX) {
        return fmx_registry_say(registry, FMX_E_ARGUMENT,
                                "the product has %d topic classes, and that is the most; delete "
                                "one first",
                                FMX_REGISTRY_TOPICS_MAX);
    }
    if (status != FMX_OK) {
        return status;
    }
    return fmx_registry_run(registry,
                            "INSERT INTO topic_class(product, topic, permission) VALUES(?, ?, ?) "
                            "ON CONFLICT DO UPDATE SET permission = excluded.permission",
                            "iti", product_id, topic->topic, (int64_t)topic->permission);
}

static enum fmx_status drop_topic(struct fmx_registry *registry, int64_t product_id,
                                  const char *product_key, const char *topic)
{
    enum fmx_status status =
        fmx_registry_run(registry, "DELETE FROM topic_class WHERE product = ? AND topic = ?", "it",
                         product_id, topic);

    if (status == FMX_OK && sqlite3_changes(registry->db) == 0) {
        return fmx_registry_say(registry, FMX_E_ARGUMENT,
                                "product '%s' has no topic class '%s'; 'fleetmux registry topic "
                                "list %s' lists those it has",
                                product_key, show(topic).text, product_key);
    }
    return status;
}

enum fmx_status fmx_registry_topic_set(struct fmx_registry *registry, const char *product_key,
                                       const struct fmx_topic_class *topic, char *error,
                                       size_t error_bytes)
{
    int64_t id = 0;

    fmx_registry_begin_call(registry, error, error_bytes);
    enum fmx_status status = check_topic(registry, topic);
    if (status == FMX_OK) {
        status = edit_product(registry, product_key, &id);
    }
    if (status != FMX_OK) {
        return status;
    }
    status = topic->permission != 0 ? put_topic(registry, id, topic)
                                    : drop_topic(registry, id, product_key, topic->topic);
    return end_product(registry, status, FMX_CHANGE_PRODUCT, product_key);
}

/* ── devices ── */

static enum fmx_status check_device(struct fmx_registry *registry, const struct fmx_device *device)
{
    enum fmx_status status = fmx_registry_check_device_name(registry, device->device_name);

    if (status == FMX_OK && device->secret != NULL) {
        status = fmx_registry_check_secret(registry, device->secret);
    }
    return status == FMX_OK ? check_status(registry, device->status) : status;
}

static enum fmx_status insert_device(struct fmx_registry *registry, int64_t product_id,
                                     const struct fmx_device *device)
{
    char made[FMX_REGISTRY_SECRET_BYTES + 1];

    fmx_registry_make_secret(made, FMX_REGISTRY_SECRET_BYTES);
    enum fmx_status status = fmx_registry_run(
        registry,
        "INSERT INTO device(product, name, secret, status, added_ms, activated_ms) "
        "VALUES(?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
        "ittii", product_id, device->device_name, device->secret != NULL ? device->secret : made,
        (int64_t)device->status, fmx_registry_now_ms());
    if (status == FMX_OK && sqlite3_changes(registry->db) == 0) {
        return fmx_registry_say(registry, FMX_E_ARGUMENT,
                                "the device name '%s' exists already in product '%s'; choose "
                                "another one, or delete the device first",
                                device->device_name, device->product_key);
    }
    return status;
}

/* Logs what has happened to a device, if all is well, and ends the edit. */
static enum fmx_status end_device(struct fmx_registry *registry, enum fmx_status status,
                                  enum fmx_registry_change change, const char *product_key,
                                  const char *device_name)
{
    if (status == FMX_OK) {
        status = fmx_registry_log(registry, change, product_key, device_name);
    }
    return fmx_registry_end_edit(registry, status);
}

enum fmx_status fmx_registry_device_add(struct fmx_registry *registry,
                                        const struct fmx_device *device, char *error,
                                        size_t error_bytes)
{
    int64_t id = 0;

    fmx_registry_begin_call(registry, error, error_bytes);
    enum fmx_status status = check_device(registry, device);
    if (status == FMX_OK) {
        status = edit_product(registry, device->product_key, &id);
    }
    if (status != FMX_OK) {
        return status;
    }
    status = insert_device(registry, id, device);
    return end_device(registry, status, FMX_CHANGE_DEVICE, device->product_key,
                      device->device_name);
}

/* The statement just run must have met a device. */
static enum fmx_status expect_device(struct fmx_registry *registry, enum fmx_status status,
                                     const char *product_key, const char *device_name)
{
    if (status == FMX_OK && sqlite3_changes(registry->db) == 0) {
        return fmx_registry_say(registry, FMX_E_ARGUMENT,
                                "there is no device '%s' in product '%s'; add it with 'fleetmux "
                                "registry device add %s %s'",
                                device_name, product_key, product_key, device_name);
    }
    return status;
}

enum fmx_status fmx_registry_device_set_status(struct fmx_registry *registry,
                                               const char *product_key, const char *device_name,
                                               enum fmx_registry_status new_status, char *error,
                                               size_t error_bytes)
{
    int64_t id = 0;

    fmx_registry_begin_call(registry, error, error_bytes);
    enum fmx_status status = fmx_registry_check_device_name(registry, device_name);
    if (status == FMX_OK) {
        status = check_status(registry, new_status);
    }
    if (status == FMX_OK) {
        status = edit_product(registry, product_key, &id);
    }
    if (status != FMX_OK) {
        return status;
    }
    status =
        fmx_registry_run(registry, "UPDATE device SET status = ? WHERE product = ? AND name = ?",
                         "iit", (int64_t)new_status, id, device_name);
    status = expect_device(registry, status, product_key, device_name);
    return end_device(registry, status,
                      new_status == FMX_REGISTRY_DISABLED ? FMX_CHANGE_DEVICE_GONE
                                                          : FMX_CHANGE_DEVICE,
                      product_key, device_name);
}

enum fmx_status fmx_registry_device_delete(struct fmx_registry *registry, const char *product_key,
                                           const char *device_name, char *error, size_t error_bytes)
{
    int64_t id = 0;

    fmx_registry_begin_call(registry, error, error_bytes);
    enum fmx_status status = fmx_registry_check_device_name(registry, device_name);
    if (status == FMX_OK) {
        status = edit_product(registry, product_key, &id);
    }
    if (status != FMX_OK) {
        return status;
    }
    status = fmx_registry_run(registry, "DELETE FROM device WHERE product = ? AND name = ?", "it",
                              id, device_name);
    status = expect_device(registry, status, product_key, device_name);
    return end_device(registry, status, FMX_CHANGE_DEVICE_GONE, product_key, device_name);
}
