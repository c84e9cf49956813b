/*
 * devices_keeper — the thread that keeps the roster like the file, and writes for the gateway
 *
 * Why it is so:   the file may be changed by any process, and SQLite tells nobody. A write to its
 *                 log is seen by inotify, but a little before the commit is visible: the writer has
 *                 yet to sync and to note it in shared memory. So a write makes the keeper look
 *                 often for a while, less and less so, down to once a second, which also stands in
 *                 where inotify does not work. What the gateway wants written is gathered and
 *                 written in one transaction, because a transaction costs one sync of the disk
 * Words:          to look: to ask SQLite whether anybody has committed; wish, batch: see devices.c
 * States:         resting ── a write is seen ──► looking each 1, 2, 4 … ms ──► resting at 1 s
 * Invariants:     (1) wishes are answered after their commit, and after the roster has it
 *                 (2) every register is answered, also at the end
 * Memory:         one batch
 * Threads:        one, which calls all events
 * Limits:         a batch waits at most WAIT_NS for another program's transaction; then its
 *                 registers are refused as busy and its activations dropped: they come again.
 *                 While the file cannot be read the roster stays as it was, and it is tried again
 *                 each second
 * Not here:       what is read: devices_load.c
 */
#include "engine/roles/devices_keeper.h"

#include "engine/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LOOK_FIRST_MS 1
#define LOOK_LAST_MS  1000
#define RETRY_MS      20
#define WAIT_NS       (UINT64_C(5) * 1000000000)

/* ── wishes ── */

static void answer(struct fmx_devices *devices, struct fmx_wish *wish, enum fmx_status status)
{
    if (wish->answer == NULL) {
        return;
    }
    if (status == FMX_OK) {
        status = wish->answer->status;
    }
    bool is_granted = status == FMX_OK;
    if (devices->events.on_registered != NULL) {
        devices->events.on_registered(
            devices->events.user, wish->tag, status,
            is_granted ? fmx_slice_of(wish->answer->secret) : (fmx_slice){0},
            is_granted ? fmx_slice_of(wish->answer->client_id) : (fmx_slice){0});
    }
    explicit_bzero(wish->answer, sizeof(*wish->answer));
    free(wish->answer);
    wish->answer = NULL;
}

static enum fmx_status write_activation(struct fmx_devices *devices, const struct fmx_wish *wish)
{
    return fmx_registry_run(devices->registry,
                            "UPDATE device SET activated_ms = ? WHERE product = "
                            "(SELECT id FROM product WHERE product_key = ?) AND name = ? "
                            "AND activated_ms = 0",
                            "itt", fmx_registry_now_ms(), wish->product_key, wish->device_name);
}

/* What a register needs to know of product and device. */
struct asked {
    int64_t product_id;
    bool is_allowed; /* the product is enabled and takes such registers */
    bool is_there;
    bool is_disabled;
    bool is_activated;
    bool has_token;
};

static enum fmx_status ask(struct fmx_devices *devices, const struct fmx_wish *wish,
                           struct asked *out_asked)
{
    int64_t needed = wish->kind == FMX_WISH_REGISTER_NEW ? FMX_REGISTER_NEW : FMX_REGISTER_KNOWN;
    enum fmx_status status;
    sqlite3_stmt *row = fmx_registry_query(
        devices->registry, &status,
        "SELECT p.id, p.status = 0 AND (p.registration & ?) <> 0, d.name IS NOT NULL, "
        "coalesce(d.status, 0), d.secret, coalesce(d.activated_ms, 0) <> 0, d.token IS NOT NULL "
        "FROM product p LEFT JOIN device d "
        "ON d.product = p.id AND d.name = ? WHERE p.product_key = ?",
        "itt", needed, wish->device_name, wish->product_key);

    *out_asked = (struct asked){0};
    if (row == NULL) {
        return status;
    }
    status = fmx_registry_step(devices->registry, row);
    if (status == FMX_OK) {
        *out_asked = (struct asked){.product_id = sqlite3_column_int64(row, 0),
                                    .is_allowed = sqlite3_column_int(row, 1) != 0,
                                    .is_there = sqlite3_column_int(row, 2) != 0,
                                    .is_disabled = sqlite3_column_int(row, 3) != 0,
                                    .is_activated = sqlite3_column_int(row, 5) != 0,
                                    .has_token = sqlite3_column_int(row, 6) != 0};
        snprintf(wish->answer->secret, sizeof(wish->answer->secret), "%s",
                 fmx_registry_text(row, 4));
    }
    fmx_registry_give(devices->registry, row);
    return status == FMX_END ? FMX_OK : status;
}

/* The device gets a token of its own; it is added if it is not there. */
static enum fmx_status write_token(struct fmx_devices *devices, const struct fmx_wish *wish,
                                   int64_t product_id)
{
    struct fmx_wish_answer *made = wish->answer;
    char secret[FMX_REGISTRY_SECRET_BYTES + 1];

    fmx_registry_make_secret(secret, FMX_REGISTRY_SECRET_BYTES);
    fmx_registry_make_secret(made->secret, FMX_REGISTRY_SECRET_BYTES);
    fmx_registry_make_secret(made->client_id, FMX_REGISTRY_SECRET_BYTES);
    enum fmx_status status = fmx_registry_run(
        devices->registry,
        "INSERT INTO device(product, name, secret, status, added_ms, activated_ms, token, "
        "token_client_id) VALUES(?, ?, ?, 0, ?, 0, ?, ?) ON CONFLICT DO UPDATE SET "
        "token = excluded.token, token_client_id = excluded.token_client_id",
        "ittitt", product_id, wish->device_name, secret, fmx_registry_now_ms(), made->secret,
        made->client_id);
    if (status == FMX_OK) {
        status = fmx_registry_log(devices->registry, FMX_CHANGE_DEVICE, wish->product_key,
                                  wish->device_name);
    }
    return status;
}

/* What the device is answered goes into the answer; a failure is the whole transaction's. */
static enum fmx_status write_register(struct fmx_devices *devices, const struct fmx_wish *wish)
{
    struct asked asked;
    enum fmx_status status = ask(devices, wish, &asked);
    bool is_new = wish->kind == FMX_WISH_REGISTER_NEW;

    if (status != FMX_OK) {
        return status;
    }
    if (is_new && fmx_registry_check_device_name(devices->registry, wish->device_name) != FMX_OK) {
        wish->answer->status = FMX_PEER_CREDENTIALS;
    } else if (asked.product_id == 0 || (!is_new && !asked.is_there)) {
        wish->answer->status = FMX_E_STALE;
    } else if (!asked.is_allowed || asked.is_disabled) {
        wish->answer->status = FMX_PEER_NOT_AUTHORIZED;
    } else if (asked.is_activated && !wish->is_again) {
        wish->answer->status = FMX_PEER_CREDENTIALS; /* activated since it asked, perhaps */
    } else if (is_new && asked.is_there && !asked.has_token) {
        wish->answer->status = FMX_PEER_CREDENTIALS; /* somebody else's, with a secret */
    } else if (is_new) {
        return write_token(devices, wish, asked.product_id);
    }
    return FMX_OK;
}

static enum fmx_status write_batch(struct fmx_devices *devices)
{
    enum fmx_status status = FMX_OK;

    for (uint32_t i = 0; i < devices->batch.count && status == FMX_OK; i++) {
        const struct fmx_wish *wish = &devices->batch.items[i];
        status = wish->kind == FMX_WISH_ACTIVATE ? write_activation(devices, wish)
                                                 : write_register(devices, wish);
    }
    return status;
}

/* The roster's item is marked without reading the row again: the commit has just said so. */
static void mark_activated(struct fmx_devices *devices, const struct fmx_wish *wish)
{
    union fmx_item_room room;
    const struct fmx_item *product =
        fmx_roster_find(&devices->roster, FMX_ROSTER_PRODUCTS, fmx_slice_of(wish->product_key));
    const struct fmx_item *item =
        product == NULL ? NULL
                        : fmx_roster_find(&devices->roster, fmx_item_product(product)->id,
                                          fmx_slice_of(wish->device_name));

    if (item != NULL && (item->flags & FMX_ITEM_ACTIVATED) == 0) {
        memcpy(&room, item, fmx_item_bytes(item));
        room.item.flags |= FMX_ITEM_ACTIVATED;
        (void)!fmx_roster_put(&devices->roster, &room.item); /* else the next CONNECT asks again */
        explicit_bzero(&room, sizeof(room));
    }
}

static void settle_batch(struct fmx_devices *devices, enum fmx_status status)
{
    struct fmx_wishes *batch = &devices->batch;

    if (status == FMX_OK) {
        for (uint32_t i = 0; i < batch->count; i++) {
            if (batch->items[i].kind == FMX_WISH_ACTIVATE) {
                mark_activated(devices, &batch->items[i]);
            }
        }
        fmx_roster_reclaim(&devices->roster);
        (void)!fmx_devices_catch_up(devices); /* if it fails, it is done at the next look */
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        answer(devices, &batch->items[i], status);
    }
    free(batch->items);
    *batch = (struct fmx_wishes){0};
}

static bool is_busy(const struct fmx_devices *devices)
{
    int code = sqlite3_errcode(devices->registry->db) & 0xff;

    return code == SQLITE_BUSY || code == SQLITE_LOCKED;
}

/* Takes what was wished while the batch before was written. */
static void take_wishes(struct fmx_devices *devices)
{
    if (devices->batch.count > 0) {
        return;
    }
    pthread_mutex_lock(&devices->lock);
    devices->batch = devices->wishes;
    devices->wishes = (struct fmx_wishes){0};
    pthread_mutex_unlock(&devices->lock);
    devices->batch_since_ns = fmx_clock_ns();
}

bool fmx_devices_grant(struct fmx_devices *devices)
{
    take_wishes(devices);
    if (devices->batch.count == 0) {
        free(devices->batch.items);
        devices->batch = (struct fmx_wishes){0};
        return false;
    }
    enum fmx_status status = fmx_registry_edit(devices->registry);
    if (status == FMX_SYS_FILE && is_busy(devices)) {
        if (fmx_clock_ns() - devices->batch_since_ns < WAIT_NS) {
            return true; /* somebody else writes; what waits stays in its order */
        }
        status = FMX_LIMIT_BUSY;
    } else if (status == FMX_OK) {
        status = fmx_registry_end_edit(devices->registry, write_batch(devices));
    }
    settle_batch(devices, status);
    return false;
}

/* ── noticing ── */

static bool watch_one(struct fmx_devices *devices, const char *suffix)
{
    char path[PATH_MAX];

    return (size_t)snprintf(path, sizeof(path), "%s%s", devices->registry->path, suffix) <
               sizeof(path) &&
           inotify_add_watch(devices->watch, path, IN_MODIFY) >= 0;
}

void fmx_devices_watch(struct fmx_devices *devices)
{
    if (devices->watch >= 0 && !devices->is_file_watched) {
        devices->is_file_watched = watch_one(devices, "");
    }
    if (devices->watch >= 0 && !devices->is_log_watched) {
        devices->is_log_watched = watch_one(devices, "-wal");
    }
}

/* Empties the descriptor of inotify; a file that is gone is watched again when it is back. */
static void hear(struct fmx_devices *devices)
{
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t got;

    while ((got = read(devices->watch, bytes, sizeof(bytes))) > 0 || (got < 0 && errno == EINTR)) {
        for (char *at = bytes; at < bytes + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            if ((event->mask & IN_IGNORED) != 0) {
                devices->is_file_watched = devices->is_log_watched = false;
            }
            at += sizeof(*event) + event->len;
        }
    }
}

/* Another writer that holds the file for a moment is no trouble. */
static void be_troubled(struct fmx_devices *devices)
{
    if (!devices->is_troubled && !is_busy(devices)) {
        devices->is_troubled = true;
        devices->events.on_trouble(devices->events.user, devices->error);
    }
}

/* Has anybody else committed since the last look? Then the roster follows. True: it did. */
static bool look(struct fmx_devices *devices)
{
    int64_t version = 0;

    if (fmx_registry_number(devices->registry, 0, &version, "PRAGMA data_version", "") != FMX_OK) {
        be_troubled(devices);
        return false;
    }
    if (version == devices->data_version) {
        devices->is_troubled = false;
        return false;
    }
    if (fmx_devices_catch_up(devices) != FMX_OK) {
        be_troubled(devices);
        return false; /* data_version stays as it was, so the next look tries again */
    }
    devices->is_troubled = false;
    devices->data_version = version;
    return true;
}

/* Nobody wishes any more; what was wished while the last batch waited is granted first. */
static bool is_over(struct fmx_devices *devices)
{
    pthread_mutex_lock(&devices->lock);
    bool is_last = devices->is_closing && devices->wishes.count == 0;
    pthread_mutex_unlock(&devices->lock);
    return is_last;
}

void *fmx_devices_keep(void *argument)
{
    struct fmx_devices *devices = argument;
    struct pollfd files[] = {{.fd = devices->bell, .events = POLLIN},
                             {.fd = devices->watch, .events = POLLIN}};
    int look_ms = LOOK_LAST_MS;
    bool must_wait = false; /* wishes do */
    bool was_heard = false; /* then not again for a moment: an import writes all the time */

    pthread_setname_np(pthread_self(), "fmx-registry");
    for (;;) {
        must_wait = fmx_devices_grant(devices);
        if (!must_wait && is_over(devices)) {
            return NULL;
        }
        files[0].revents = files[1].revents = 0;
        (void)poll(files, was_heard ? 1 : 2, must_wait && look_ms > RETRY_MS ? RETRY_MS : look_ms);
        if (files[0].revents != 0) {
            uint64_t rung;
            (void)!read(devices->bell, &rung, sizeof(rung));
        }
        was_heard = files[1].revents != 0;
        if (was_heard) {
            hear(devices);
        }
        bool has_changed = look(devices);
        look_ms = was_heard || has_changed     ? LOOK_FIRST_MS
                  : look_ms * 2 < LOOK_LAST_MS ? look_ms * 2
                                               : LOOK_LAST_MS;
        fmx_devices_watch(devices);
    }
}
