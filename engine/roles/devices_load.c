/*
 * devices_load — from the registry's file to the roster: all of it, or what has changed
 *
 * Why it is so:   a change is not described in the log, only named: the keeper reads the row as it
 *                 is now. So it does not matter how often or how late a change is read. The one
 *                 thing that a row cannot tell is that it was gone for a moment, and that the log
 *                 says, because sessions end then
 * Words:          to catch up: to read the log from where the roster is; to load: to read it all,
 *                 at the start, after an import, and when the log no longer reaches back far enough
 * Invariants:     (1) the roster is changed before anybody is told, so that who comes again at once
 *                 meets the new truth
 *                 (2) `seq` grows only over changes that the roster has
 *                 (3) one transaction of SQLite for each look, so that it is of one moment
 * Memory:         loading again needs a second table, and items for what differs
 * Threads:        the keeper; before it runs, the opener
 * Limits:         2^32 - 2 products, ever
 * Not here:       when to look: devices_keeper.c; the table: roster.c
 */
#include "engine/roles/devices_keeper.h"

#include <inttypes.h>
#include <stdlib.h>

/* A product as it is in the file, and whether there is one. */
struct found {
    struct fmx_item *item;
    int64_t id;
};

struct product_name {
    uint32_t id;
    uint8_t bytes;
    uint8_t name[FMX_REGISTRY_KEY_BYTES_MAX];
};

/* What is told after everything was loaded again. */
struct telling {
    struct fmx_devices *devices;
    struct product_name *products; /* those of before, by id */
    size_t products_count;
};

static enum fmx_status damaged(struct fmx_devices *devices, const char *what, const char *name)
{
    return fmx_registry_say(devices->registry, FMX_SYS_FILE,
                            "%s: damaged: %s '%.64s' has a field out of bounds; restore a copy",
                            devices->registry->path, what, name);
}

static bool is_in_bounds(fmx_slice text, bool may_be_empty)
{
    return text.bytes <= FMX_REGISTRY_KEY_BYTES_MAX && (may_be_empty || text.bytes > 0);
}

/* ── products ── */

static enum fmx_status read_topics(struct fmx_devices *devices, int64_t product_id,
                                   struct fmx_topic_info **out_topics, uint16_t *out_count)
{
    struct fmx_topic_info *topics = calloc(FMX_REGISTRY_TOPICS_MAX, sizeof(*topics));
    enum fmx_status status = FMX_LIMIT_MEMORY;
    uint16_t count = 0;
    sqlite3_stmt *row = NULL;

    if (topics != NULL) {
        row = fmx_registry_query(
            devices->registry, &status,
            "SELECT topic, permission FROM topic_class WHERE product = ? ORDER BY topic", "i",
            product_id);
    }
    if (row == NULL) {
        free(topics);
        return status;
    }
    while ((status = fmx_registry_step(devices->registry, row)) == FMX_OK) {
        fmx_slice topic = fmx_registry_slice(row, 0);
        if (count == FMX_REGISTRY_TOPICS_MAX || topic.bytes > sizeof(topics[0].topic)) {
            status = damaged(devices, "topic class", fmx_registry_text(row, 0));
            break;
        }
        topics[count].bytes = (uint8_t)topic.bytes;
        topics[count].permission = (uint8_t)sqlite3_column_int(row, 1);
        memcpy(topics[count].topic, topic.data, topic.bytes);
        count++;
    }
    fmx_registry_give(devices->registry, row);
    if (status != FMX_END) {
        free(topics);
        return status;
    }
    *out_topics = topics;
    *out_count = count;
    return FMX_OK;
}

static uint32_t make_version(struct fmx_devices *devices)
{
    devices->next_version += devices->next_version == UINT32_MAX ? 2 : 1;
    return devices->next_version;
}

#define PRODUCT_COLUMNS "id, product_key, secret, status, registration"

static enum fmx_status make_product(struct fmx_devices *devices, sqlite3_stmt *row,
                                    struct found *out_found)
{
    struct fmx_item_fields fields = {.owner = FMX_ROSTER_PRODUCTS,
                                     .name = fmx_registry_slice(row, 1),
                                     .secret = fmx_registry_slice(row, 2)};
    struct fmx_item_product more = {0};
    struct fmx_topic_info *topics = NULL;
    int64_t id = sqlite3_column_int64(row, 0);

    if (!is_in_bounds(fields.name, false) || !is_in_bounds(fields.secret, false) || id <= 0 ||
        id >= FMX_ROSTER_NOBODY) {
        return damaged(devices, "product", fmx_registry_text(row, 1));
    }
    fields.flags = (uint8_t)((sqlite3_column_int(row, 3) != 0 ? FMX_ITEM_DISABLED : 0) |
                             (sqlite3_column_int(row, 4) & 3) << FMX_ITEM_REGISTRATION_SHIFT);
    enum fmx_status status = fmx_registry_read_limits(devices->registry, id, &more.limits);
    if (status == FMX_OK) {
        status = read_topics(devices, id, &topics, &more.topics_count);
    }
    if (status != FMX_OK) {
        return status;
    }
    more.id = (uint32_t)id;
    more.version = make_version(devices);
    *out_found = (struct found){.item = fmx_item_make_product(&fields, &more, topics), .id = id};
    free(topics);
    return out_found->item != NULL ? FMX_OK : FMX_LIMIT_MEMORY;
}

/* FMX_OK with an item; FMX_END: the file has no such product. */
static enum fmx_status read_product(struct fmx_devices *devices, const char *product_key,
                                    struct found *out_found)
{
    enum fmx_status status;
    sqlite3_stmt *row = fmx_registry_query(
        devices->registry, &status, "SELECT " PRODUCT_COLUMNS " FROM product WHERE product_key = ?",
        "t", product_key);

    *out_found = (struct found){0};
    if (row == NULL) {
        return status;
    }
    status = fmx_registry_step(devices->registry, row);
    if (status == FMX_OK) {
        status = make_product(devices, row, out_found);
    }
    fmx_registry_give(devices->registry, row);
    return status;
}

/* Brings one product up to date. */
static enum fmx_status apply_product(struct fmx_devices *devices, const char *product_key)
{
    fmx_slice name = fmx_slice_of(product_key);
    const struct fmx_item *before = fmx_roster_find(&devices->roster, FMX_ROSTER_PRODUCTS, name);
    uint32_t id_before = before == NULL ? 0 : fmx_item_product(before)->id;
    struct found found;
    enum fmx_status status = read_product(devices, product_key, &found);

    if (status == FMX_OK && before != NULL && fmx_item_equal(before, found.item)) {
        fmx_item_drop(found.item); /* and keeps its version */
        return FMX_OK;
    }
    if (status == FMX_OK) {
        status = fmx_roster_take(&devices->roster, found.item);
        if (status != FMX_OK) {
            fmx_item_drop(found.item);
        }
    } else if (status == FMX_END) {
        (void)fmx_roster_remove(&devices->roster, FMX_ROSTER_PRODUCTS, name);
        status = FMX_OK;
    }
    /* From here on nobody finds the devices of an id that is gone; what is left is memory. */
    if (status == FMX_OK && id_before != 0 && id_before != found.id) {
        fmx_roster_purge(&devices->roster, id_before);
    }
    return status;
}

/* ── devices ── */

/* Columns: product, name, secret, status, activated, token */
#define DEVICE_COLUMNS "d.product, d.name, d.secret, d.status, d.activated_ms <> 0, d.token"

static enum fmx_status write_device(struct fmx_devices *devices, sqlite3_stmt *row,
                                    union fmx_item_room *room)
{
    int64_t product_id = sqlite3_column_int64(row, 0);
    struct fmx_item_fields fields = {
        .owner = (uint32_t)product_id,
        .name = fmx_registry_slice(row, 1),
        .secret = fmx_registry_slice(row, 2),
        .token = fmx_registry_slice(row, 5),
        .flags = (uint8_t)((sqlite3_column_int(row, 3) != 0 ? FMX_ITEM_DISABLED : 0) |
                           (sqlite3_column_int(row, 4) != 0 ? FMX_ITEM_ACTIVATED : 0)),
    };

    if (!is_in_bounds(fields.name, false) || !is_in_bounds(fields.secret, false) ||
        !is_in_bounds(fields.token, true) || product_id <= 0 || product_id >= FMX_ROSTER_NOBODY) {
        return damaged(devices, "device", fmx_registry_text(row, 1));
    }
    (void)fmx_item_write(room, &fields);
    return FMX_OK;
}

/* Brings one device up to date. */
static enum fmx_status apply_device(struct fmx_devices *devices, const char *product_key,
                                    const char *device_name)
{
    union fmx_item_room room;
    enum fmx_status status;
    const struct fmx_item *product =
        fmx_roster_find(&devices->roster, FMX_ROSTER_PRODUCTS, fmx_slice_of(product_key));
    sqlite3_stmt *row =
        fmx_registry_query(devices->registry, &status,
                           "SELECT " DEVICE_COLUMNS " FROM device d WHERE d.product = "
                           "(SELECT id FROM product WHERE product_key = ?) AND d.name = ?",
                           "tt", product_key, device_name);

    if (row == NULL) {
        return status;
    }
    status = fmx_registry_step(devices->registry, row);
    if (status == FMX_OK) {
        status = write_device(devices, row, &room);
        if (status == FMX_OK) {
            status = fmx_roster_put(&devices->roster, &room.item);
        }
    } else if (status == FMX_END) {
        if (product != NULL) {
            (void)fmx_roster_remove(&devices->roster, fmx_item_product(product)->id,
                                    fmx_slice_of(device_name));
        }
        status = FMX_OK;
    }
    fmx_registry_give(devices->registry, row);
    explicit_bzero(&room, sizeof(room));
    return status;
}

/* ── telling ── */

static void tell_product(struct fmx_devices *devices, fmx_slice product_key, bool is_gone)
{
    if (devices->events.on_product != NULL) {
        devices->events.on_product(devices->events.user, product_key);
    }
    if (is_gone && devices->events.on_gone != NULL) {
        devices->events.on_gone(devices->events.user, product_key, (fmx_slice){0});
    }
}

static void tell_device_gone(struct fmx_devices *devices, fmx_slice product_key,
                             fmx_slice device_name)
{
    if (devices->events.on_gone != NULL) {
        devices->events.on_gone(devices->events.user, product_key, device_name);
    }
}

/* ── everything ── */

static enum fmx_status draft_products(struct fmx_devices *devices, struct fmx_roster_draft *draft)
{
    enum fmx_status status;
    sqlite3_stmt *row = fmx_registry_query(devices->registry, &status,
                                           "SELECT " PRODUCT_COLUMNS " FROM product", "");

    if (row == NULL) {
        return status;
    }
    while ((status = fmx_registry_step(devices->registry, row)) == FMX_OK) {
        struct found found;
        status = make_product(devices, row, &found);
        if (status == FMX_OK) {
            status = fmx_roster_draft_take(&devices->roster, draft, found.item);
        }
        if (status != FMX_OK) {
            break;
        }
    }
    fmx_registry_give(devices->registry, row);
    return status == FMX_END ? FMX_OK : status;
}

static enum fmx_status draft_devices(struct fmx_devices *devices, struct fmx_roster_draft *draft)
{
    union fmx_item_room room;
    enum fmx_status status;
    sqlite3_stmt *row = fmx_registry_query(devices->registry, &status,
                                           "SELECT " DEVICE_COLUMNS " FROM device d", "");

    if (row == NULL) {
        return status;
    }
    while ((status = fmx_registry_step(devices->registry, row)) == FMX_OK) {
        status = write_device(devices, row, &room);
        if (status == FMX_OK) {
            status = fmx_roster_draft_put(&devices->roster, draft, &room.item);
        }
        if (status != FMX_OK) {
            break;
        }
    }
    fmx_registry_give(devices->registry, row);
    explicit_bzero(&room, sizeof(room));
    return status == FMX_END ? FMX_OK : status;
}

static int by_id(const void *a, const void *b)
{
    const struct product_name *one = a, *other = b;

    return (one->id > other->id) - (one->id < other->id);
}

static void count_product(void *user, const struct fmx_item *item)
{
    *(size_t *)user += item->owner == FMX_ROSTER_PRODUCTS;
}

static void note_product(void *user, const struct fmx_item *item)
{
    struct telling *telling = user;

    if (item->owner == FMX_ROSTER_PRODUCTS) {
        struct product_name *product = &telling->products[telling->products_count++];
        product->id = fmx_item_product(item)->id;
        product->bytes = item->name_bytes;
        memcpy(product->name, item->bytes, item->name_bytes);
    }
}

/* Keeps the names of the products that there are: devices know their product's id alone. */
static enum fmx_status note_products(struct telling *telling)
{
    size_t count = 0;

    fmx_roster_each(&telling->devices->roster, count_product, &count);
    telling->products = calloc(count + 1, sizeof(*telling->products));
    if (telling->products == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    fmx_roster_each(&telling->devices->roster, note_product, telling);
    qsort(telling->products, telling->products_count, sizeof(*telling->products), by_id);
    return FMX_OK;
}

static bool is_same_secret(const struct fmx_item *a, const struct fmx_item *b)
{
    uint8_t one[FMX_SECRET_BYTES_MAX], other[FMX_SECRET_BYTES_MAX];
    uint8_t bytes = fmx_item_secret(a, one);

    return bytes == fmx_item_secret(b, other) && memcmp(one, other, bytes) == 0;
}

/* Would its session have to end: is it not there, disabled, or somebody else under its name? */
static bool is_gone(const struct fmx_item *before, const struct fmx_item *now)
{
    return now == NULL || (now->flags & ~before->flags & FMX_ITEM_DISABLED) != 0 ||
           !is_same_secret(before, now);
}

static void tell_difference(void *user, const struct fmx_item *before, const struct fmx_item *now)
{
    struct telling *telling = user;

    if (before->owner == FMX_ROSTER_PRODUCTS) {
        bool is_other = now != NULL && fmx_item_product(now)->id != fmx_item_product(before)->id;
        bool is_disabled = now != NULL && (now->flags & ~before->flags & FMX_ITEM_DISABLED) != 0;
        tell_product(telling->devices, fmx_item_name(before),
                     now == NULL || is_other || is_disabled);
        return;
    }
    struct product_name wanted = {.id = before->owner};
    const struct product_name *product =
        bsearch(&wanted, telling->products, telling->products_count, sizeof(wanted), by_id);
    if (product != NULL && is_gone(before, now)) {
        tell_device_gone(telling->devices, (fmx_slice){product->name, product->bytes},
                         fmx_item_name(before));
    }
}

static bool was_there(const struct telling *telling, uint32_t id)
{
    struct product_name wanted = {.id = id};

    return bsearch(&wanted, telling->products, telling->products_count, sizeof(wanted), by_id) !=
           NULL;
}

static void tell_new_product(void *user, const struct fmx_item *item)
{
    struct telling *telling = user;

    if (item->owner == FMX_ROSTER_PRODUCTS && !was_there(telling, fmx_item_product(item)->id)) {
        tell_product(telling->devices, fmx_item_name(item), false);
    }
}

static void tell_nothing(void *user, const struct fmx_item *before, const struct fmx_item *now)
{
    (void)user;
    (void)before;
    (void)now;
}

static enum fmx_status draft_all(struct fmx_devices *devices, struct fmx_roster_draft *draft)
{
    enum fmx_status status = fmx_roster_draft_open(draft);

    if (status == FMX_OK) {
        status = draft_products(devices, draft);
    }
    return status == FMX_OK ? draft_devices(devices, draft) : status;
}

/* Within a transaction. */
static enum fmx_status load_all(struct fmx_devices *devices)
{
    struct telling telling = {.devices = devices};
    struct fmx_roster_draft draft = {0};
    int64_t seq = 0;
    enum fmx_status status = fmx_registry_number(
        devices->registry, 0, &seq, "SELECT seq FROM sqlite_sequence WHERE name = 'change'", "");

    if (status == FMX_OK) {
        status = draft_all(devices, &draft);
    }
    if (status == FMX_OK) {
        status = note_products(&telling);
    }
    if (status != FMX_OK) {
        fmx_roster_draft_drop(&devices->roster, &draft);
        return status;
    }
    fmx_roster_replace(&devices->roster, &draft,
                       devices->is_loaded ? tell_difference : tell_nothing, &telling);
    if (devices->is_loaded) {
        fmx_roster_each(&devices->roster, tell_new_product, &telling);
    }
    free(telling.products);
    devices->seq = seq;
    devices->is_loaded = true;
    return FMX_OK;
}

static enum fmx_status end_look(struct fmx_devices *devices, enum fmx_status status)
{
    fmx_registry_undo(devices->registry); /* nothing was written */
    fmx_roster_reclaim(&devices->roster);
    return status;
}

enum fmx_status fmx_devices_load(struct fmx_devices *devices)
{
    enum fmx_status status = fmx_registry_number(devices->registry, 0, &devices->data_version,
                                                 "PRAGMA data_version", "");

    if (status == FMX_OK) {
        status = fmx_registry_run(devices->registry, "BEGIN", "");
    }
    return end_look(devices, status == FMX_OK ? load_all(devices) : status);
}

/* ── what has changed ── */

static enum fmx_status apply(struct fmx_devices *devices, enum fmx_registry_change change,
                             const char *product_key, const char *device_name)
{
    enum fmx_status status = FMX_OK;

    switch (change) {
    case FMX_CHANGE_PRODUCT:
    case FMX_CHANGE_PRODUCT_GONE:
        status = apply_product(devices, product_key);
        if (status == FMX_OK) {
            tell_product(devices, fmx_slice_of(product_key), change == FMX_CHANGE_PRODUCT_GONE);
        }
        return status;
    case FMX_CHANGE_DEVICE:
    case FMX_CHANGE_DEVICE_GONE:
        status = apply_device(devices, product_key, device_name);
        if (status == FMX_OK && change == FMX_CHANGE_DEVICE_GONE) {
            tell_device_gone(devices, fmx_slice_of(product_key), fmx_slice_of(device_name));
        }
        return status;
    case FMX_CHANGE_ALL:
        break;
    }
    return load_all(devices);
}

/* Reads the log within a transaction. A log that does not reach back far enough: all anew. */
static enum fmx_status read_log(struct fmx_devices *devices)
{
    int64_t newest = 0;
    enum fmx_status status = fmx_registry_number(
        devices->registry, 0, &newest, "SELECT seq FROM sqlite_sequence WHERE name = 'change'", "");

    if (status == FMX_OK && newest < devices->seq) {
        return load_all(devices); /* an older file in its place */
    }
    if (status != FMX_OK || newest == devices->seq) {
        return status;
    }
    sqlite3_stmt *row = fmx_registry_query(
        devices->registry, &status,
        "SELECT seq, kind, product, device FROM change WHERE seq > ? ORDER BY seq", "i",
        devices->seq);
    if (row == NULL) {
        return status;
    }
    while (devices->seq < newest &&
           (status = fmx_registry_step(devices->registry, row)) == FMX_OK) {
        int64_t seq = sqlite3_column_int64(row, 0);
        if (seq != devices->seq + 1) {
            status = load_all(devices); /* rows are missing */
            break;
        }
        status = apply(devices, (enum fmx_registry_change)sqlite3_column_int(row, 1),
                       fmx_registry_text(row, 2), fmx_registry_text(row, 3));
        if (status != FMX_OK) {
            break;
        }
        if (devices->seq < seq) {
            devices->seq = seq;
        }
    }
    fmx_registry_give(devices->registry, row);
    return status == FMX_END && devices->seq < newest ? load_all(devices)
           : status == FMX_END                        ? FMX_OK
                                                      : status;
}

enum fmx_status fmx_devices_catch_up(struct fmx_devices *devices)
{
    enum fmx_status status = fmx_registry_run(devices->registry, "BEGIN", "");

    return end_look(devices, status == FMX_OK ? read_log(devices) : status);
}
