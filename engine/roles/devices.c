/*
 * devices — the registry as shards see it: looked up without a lock, wishes handed to the keeper
 *
 * Why it is so:   a million devices must be known at CONNECT within a microsecond, and SQLite is
 *                 neither that fast nor lock-free. So the file is read into a roster once and kept
 *                 up to date by one thread; answers are copies, because what is in the roster may
 *                 be gone a moment later
 * Words:          wish: something the gateway wants written: an activation, a registration
 * Invariants:     (1) an answer is the truth before or after a change, never a mixture of a
 *                 device's (or of a product's) two; a device's and its product's may be of
 *                 different moments
 *                 (2) who is not there costs as much to look up as who is, within the two cache
 *                 misses of an item; the signature is computed by the caller either way
 * Memory:         the roster; 65,536 wishes that wait and as many that are being granted
 * Threads:        find and product: each reader's own; activate, register: any, under a mutex that
 *                 is held for a copy; open and close: one
 * Limits:         FMX_WISHES_MAX. Beyond it a register is refused as busy, and an activation is
 *                 dropped: the device is not marked, so its next CONNECT wishes it again
 * Not here:       the table: roster.c; loading, noticing, applying, writing: devices_keeper.c
 */
#include "engine/roles/devices_keeper.h"

#include <fleetmux/private/assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#define WISHES_FIRST 64u

/* SQLite's patience while the keeper runs: it has other things to do, and tries again. */
#define KEEPER_BUSY_MS 100

/* ── opening and closing ── */

static enum fmx_status say(char *error, size_t error_bytes, enum fmx_status status,
                           const char *words)
{
    if (error_bytes > 0) {
        snprintf(error, error_bytes, "%s", words);
    }
    return status;
}

static void release(struct fmx_devices *devices)
{
    fmx_roster_close(&devices->roster);
    fmx_registry_close(devices->registry);
    if (devices->bell >= 0) {
        close(devices->bell);
    }
    if (devices->watch >= 0) {
        close(devices->watch);
    }
    pthread_mutex_destroy(&devices->lock);
    free(devices->wishes.items);
    free(devices->batch.items);
    free(devices);
}

/* Signals are for other threads. */
static bool start_keeper(struct fmx_devices *devices)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&devices->thread, NULL, fmx_devices_keep, devices);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result == 0;
}

static enum fmx_status load_and_start(struct fmx_devices *devices, char *error, size_t error_bytes)
{
    fmx_registry_begin_call(devices->registry, error, error_bytes);
    enum fmx_status status = fmx_devices_load(devices);
    if (status == FMX_LIMIT_MEMORY) {
        return say(error, error_bytes, status, "memory ran out while the registry was read");
    }
    if (status != FMX_OK) {
        return status;
    }
    fmx_devices_watch(devices);
    fmx_registry_begin_call(devices->registry, devices->error, sizeof(devices->error));
    sqlite3_busy_timeout(devices->registry->db, KEEPER_BUSY_MS);
    devices->registry->busy_ms = KEEPER_BUSY_MS;
    if (!start_keeper(devices)) {
        return say(error, error_bytes, FMX_SYS_THREAD, "the registry's thread cannot be started");
    }
    return FMX_OK;
}

enum fmx_status fmx_devices_open(const char *path, uint32_t readers_count,
                                 const struct fmx_devices_events *events,
                                 struct fmx_devices **out_devices, char *error, size_t error_bytes)
{
    struct fmx_devices *devices = calloc(1, sizeof(*devices));

    *out_devices = NULL;
    if (devices == NULL) {
        return say(error, error_bytes, FMX_LIMIT_MEMORY, "memory ran out");
    }
    pthread_mutex_init(&devices->lock, NULL);
    devices->events = *events;
    devices->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    devices->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK); /* without it: a look each second */
    enum fmx_status status = fmx_roster_open(&devices->roster, readers_count);
    if (status != FMX_OK) {
        (void)say(error, error_bytes, status, "memory ran out");
    } else if (devices->bell < 0) {
        status = say(error, error_bytes, FMX_SYS_THREAD,
                     "the registry's thread cannot be started: too many open files");
    } else {
        status = fmx_registry_open(path, &devices->registry, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = load_and_start(devices, error, error_bytes);
    }
    if (status != FMX_OK) {
        release(devices);
        return status;
    }
    *out_devices = devices;
    return FMX_OK;
}

static void ring(struct fmx_devices *devices)
{
    uint64_t one = 1;

    while (write(devices->bell, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

void fmx_devices_close(struct fmx_devices *devices)
{
    if (devices == NULL) {
        return;
    }
    pthread_mutex_lock(&devices->lock);
    devices->is_closing = true;
    pthread_mutex_unlock(&devices->lock);
    ring(devices);
    pthread_join(devices->thread, NULL);
    release(devices);
}

/* ── looking up ── */

static void copy_product(const struct fmx_item *item, struct fmx_device_info *out_info)
{
    out_info->product_version = fmx_item_product(item)->version;
    out_info->product_status = (item->flags & FMX_ITEM_DISABLED) != 0;
    out_info->product_registration = item->flags >> FMX_ITEM_REGISTRATION_SHIFT & 3;
    out_info->product_secret_bytes = fmx_item_secret(item, out_info->product_secret);
}

static void copy_device(const struct fmx_item *item, struct fmx_device_info *out_info)
{
    out_info->status = (item->flags & FMX_ITEM_DISABLED) != 0;
    out_info->is_activated = (item->flags & FMX_ITEM_ACTIVATED) != 0;
    out_info->secret_bytes = fmx_item_secret(item, out_info->secret);
    out_info->token_bytes = fmx_item_token(item, out_info->token);
}

enum fmx_status fmx_devices_find(struct fmx_devices *devices, uint32_t reader,
                                 fmx_slice product_key, fmx_slice device_name,
                                 struct fmx_device_info *out_info)
{
    struct fmx_roster *roster = &devices->roster;
    uint32_t owner = FMX_ROSTER_NOBODY; /* searched all the same */

    memset(out_info, 0, sizeof(*out_info));
    fmx_roster_enter(roster, reader);
    const struct fmx_item *product = fmx_roster_find(roster, FMX_ROSTER_PRODUCTS, product_key);
    if (product != NULL) {
        owner = fmx_item_product(product)->id;
        copy_product(product, out_info);
    }
    const struct fmx_item *device = fmx_roster_find(roster, owner, device_name);
    if (device != NULL) {
        copy_device(device, out_info);
    }
    fmx_roster_leave(roster, reader);
    return device != NULL ? FMX_OK : FMX_E_STALE;
}

static enum fmx_status copy_info(const struct fmx_item *item, struct fmx_product_info *out_info)
{
    const struct fmx_item_product *more = fmx_item_product(item);
    size_t bytes = more->topics_count * sizeof(more->topics[0]);

    *out_info = (struct fmx_product_info){
        .version = more->version,
        .status = (item->flags & FMX_ITEM_DISABLED) != 0,
        .registration = item->flags >> FMX_ITEM_REGISTRATION_SHIFT & 3,
        .limits = more->limits,
        .topics_count = more->topics_count,
    };
    out_info->secret_bytes = fmx_item_secret(item, out_info->secret);
    if (bytes > 0) {
        out_info->topics = malloc(bytes);
        if (out_info->topics == NULL) {
            return FMX_LIMIT_MEMORY;
        }
        memcpy(out_info->topics, more->topics, bytes);
    }
    return FMX_OK;
}

enum fmx_status fmx_devices_product(struct fmx_devices *devices, uint32_t reader,
                                    fmx_slice product_key, struct fmx_product_info *out_info)
{
    enum fmx_status status = FMX_E_STALE;

    memset(out_info, 0, sizeof(*out_info));
    fmx_roster_enter(&devices->roster, reader);
    const struct fmx_item *product =
        fmx_roster_find(&devices->roster, FMX_ROSTER_PRODUCTS, product_key);
    if (product != NULL) {
        status = copy_info(product, out_info);
    }
    fmx_roster_leave(&devices->roster, reader);
    return status;
}

uint64_t fmx_devices_count(const struct fmx_devices *devices)
{
    return atomic_load_explicit(&devices->roster.devices, memory_order_relaxed);
}

uint64_t fmx_devices_bytes(const struct fmx_devices *devices)
{
    return atomic_load_explicit(&devices->roster.bytes, memory_order_relaxed);
}

/* ── wishes ── */

static void write_name(char out[FMX_REGISTRY_KEY_BYTES_MAX + 1], fmx_slice name)
{
    FMX_ASSERT(name.bytes > 0 && name.bytes <= FMX_REGISTRY_KEY_BYTES_MAX);
    memcpy(out, name.data, name.bytes);
    out[name.bytes] = '\0';
}

/* Room for one more, under the lock. FMX_OK, FMX_LIMIT_BUSY, FMX_LIMIT_MEMORY. */
static enum fmx_status make_room(struct fmx_wishes *wishes)
{
    if (wishes->count < wishes->capacity) {
        return FMX_OK;
    }
    if (wishes->capacity == FMX_WISHES_MAX) {
        return FMX_LIMIT_BUSY;
    }
    uint32_t capacity = wishes->capacity == 0 ? WISHES_FIRST : wishes->capacity * 2;
    struct fmx_wish *items = realloc(wishes->items, capacity * sizeof(*items));
    if (items == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    wishes->items = items;
    wishes->capacity = capacity;
    return FMX_OK;
}

static enum fmx_status wish_for(struct fmx_devices *devices, const struct fmx_wish *wish)
{
    pthread_mutex_lock(&devices->lock);
    enum fmx_status status = make_room(&devices->wishes);
    bool is_first = devices->wishes.count == 0;
    if (status == FMX_OK) {
        devices->wishes.items[devices->wishes.count++] = *wish;
    }
    pthread_mutex_unlock(&devices->lock);
    if (status == FMX_OK && is_first) {
        ring(devices);
    }
    return status;
}

void fmx_devices_activate(struct fmx_devices *devices, fmx_slice product_key, fmx_slice device_name)
{
    struct fmx_wish wish = {.kind = FMX_WISH_ACTIVATE};

    write_name(wish.product_key, product_key);
    write_name(wish.device_name, device_name);
    (void)!wish_for(devices, &wish); /* not marked, so it is wished again */
}

enum fmx_status fmx_devices_register(struct fmx_devices *devices, fmx_slice product_key,
                                     fmx_slice device_name, bool is_new, bool is_again,
                                     uint64_t tag)
{
    struct fmx_wish wish = {.kind = is_new ? FMX_WISH_REGISTER_NEW : FMX_WISH_REGISTER_KNOWN,
                            .is_again = is_again,
                            .tag = tag};

    write_name(wish.product_key, product_key);
    write_name(wish.device_name, device_name);
    wish.answer = calloc(1, sizeof(*wish.answer));
    if (wish.answer == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    enum fmx_status status = wish_for(devices, &wish);
    if (status != FMX_OK) {
        free(wish.answer);
    }
    return status;
}
