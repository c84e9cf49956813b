/*
 * test_devices — the roster and its keeper: what they answer, notice, write, weigh, and race
 *
 * Why it is so:   the keeper is a thread that follows a file, so a case changes the file and waits,
 *                 with a deadline far away, until the roster says so. Another process is this
 *                 program again, with a word that names what it is to do
 * Limits:         DEADLINE_S, which only a broken keeper reaches
 */
#include "engine/roles/devices_keeper.h"
#include "tests/support/prng.h"
#include "tests/support/registry.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

#define DEADLINE_S  60
#define READERS     2u
#define RACED       8u /* devices that come and go under the readers */
#define RACE_ROUNDS 400u
#define HEAVY       49160u /* just after the table has grown, when it weighs most */

extern char **environ;

/* What the keeper has told, under its lock. */
static struct {
    pthread_mutex_t lock;
    uint32_t products, gone_products, gone_devices, registered, granted;
    char last_gone[140];
    enum fmx_status last_status;
    uint64_t last_tag;
    char last_secret[80], last_client_id[80];
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_product(void *user, fmx_slice product_key)
{
    (void)user;
    (void)product_key;
    pthread_mutex_lock(&told.lock);
    told.products++;
    pthread_mutex_unlock(&told.lock);
}

static void on_gone(void *user, fmx_slice product_key, fmx_slice device_name)
{
    (void)user;
    pthread_mutex_lock(&told.lock);
    told.gone_products += device_name.bytes == 0;
    told.gone_devices += device_name.bytes > 0;
    snprintf(told.last_gone, sizeof(told.last_gone), "%.*s/%.*s", (int)product_key.bytes,
             (const char *)product_key.data, (int)device_name.bytes,
             device_name.bytes > 0 ? (const char *)device_name.data : "");
    pthread_mutex_unlock(&told.lock);
}

static void on_trouble(void *user, const char *words)
{
    (void)user;
    fprintf(stderr, "  registry: %s\n", words);
}

static void on_registered(void *user, uint64_t tag, enum fmx_status status, fmx_slice secret,
                          fmx_slice client_id)
{
    (void)user;
    pthread_mutex_lock(&told.lock);
    told.registered++;
    told.granted += status == FMX_OK;
    told.last_tag = tag;
    told.last_status = status;
    snprintf(told.last_secret, sizeof(told.last_secret), "%.*s", (int)secret.bytes,
             secret.bytes > 0 ? (const char *)secret.data : "");
    snprintf(told.last_client_id, sizeof(told.last_client_id), "%.*s", (int)client_id.bytes,
             client_id.bytes > 0 ? (const char *)client_id.data : "");
    pthread_mutex_unlock(&told.lock);
}

static const struct fmx_devices_events events = {.on_product = on_product,
                                                 .on_gone = on_gone,
                                                 .on_registered = on_registered,
                                                 .on_trouble = on_trouble};

static struct fmx_devices *open_devices(uint32_t readers_count)
{
    struct fmx_devices *devices = NULL;

    told.products = told.gone_products = told.gone_devices = told.registered = told.granted = 0;
    CU_ASSERT_EQUAL_FATAL(fmx_devices_open(path, readers_count, &events, &devices, SAID), FMX_OK);
    return devices;
}

static uint32_t told_of(const uint32_t *counter)
{
    pthread_mutex_lock(&told.lock);
    uint32_t count = *counter;
    pthread_mutex_unlock(&told.lock);
    return count;
}

/* Waits until a promise holds; the case fails if it does not before the deadline. */
#define EVENTUALLY(promise)                                                                        \
    do {                                                                                           \
        struct timespec since, now, nap = {.tv_nsec = 200000};                                     \
        clock_gettime(CLOCK_MONOTONIC, &since);                                                    \
        do {                                                                                       \
            nanosleep(&nap, NULL);                                                                 \
            clock_gettime(CLOCK_MONOTONIC, &now);                                                  \
        } while (!(promise) && now.tv_sec - since.tv_sec < DEADLINE_S);                            \
        CU_ASSERT_FATAL(promise);                                                                  \
    } while (0)

static enum fmx_status find(struct fmx_devices *devices, const char *product_key,
                            const char *device_name, struct fmx_device_info *out_info)
{
    return fmx_devices_find(devices, 0, fmx_slice_of(product_key), fmx_slice_of(device_name),
                            out_info);
}

static bool knows(struct fmx_devices *devices, const char *product_key, const char *device_name)
{
    struct fmx_device_info info;

    return find(devices, product_key, device_name, &info) == FMX_OK;
}

static bool is_disabled(struct fmx_devices *devices, const char *device_name)
{
    struct fmx_device_info info;

    return find(devices, "pump", device_name, &info) == FMX_OK &&
           info.status == FMX_REGISTRY_DISABLED;
}

static bool is_activated(struct fmx_devices *devices, const char *device_name)
{
    struct fmx_device_info info;

    return find(devices, "pump", device_name, &info) == FMX_OK && info.is_activated;
}

static uint32_t product_version(struct fmx_devices *devices, const char *product_key)
{
    struct fmx_device_info info;

    (void)!find(devices, product_key, "nobody", &info);
    return info.product_version;
}

static bool is_text(const uint8_t *bytes, uint8_t count, const char *text)
{
    return fmx_slice_equal((fmx_slice){bytes, count}, fmx_slice_of(text));
}

static void a_loaded_device_is_found_with_its_product(void)
{
    static const char *const secrets[] = {
        "0123456789abcdef0123456789abcdef", "00", "ABCDEF", "0123456789abcde", "any thing ~!", "f"};
    struct fmx_registry *registry = make_registry();
    struct fmx_device_info info;
    char name[16];

    add_product(registry, "pump");
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        snprintf(name, sizeof(name), "d%zu", i);
        add_device(registry, "pump", name, secrets[i]);
    }
    struct fmx_devices *devices = open_devices(1);
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        snprintf(name, sizeof(name), "d%zu", i);
        CU_ASSERT_EQUAL_FATAL(find(devices, "pump", name, &info), FMX_OK);
        CU_ASSERT(is_text(info.secret, info.secret_bytes, secrets[i]));
        CU_ASSERT(is_text(info.product_secret, info.product_secret_bytes, "product-secret"));
        CU_ASSERT(info.product_version != 0 && info.product_status == FMX_REGISTRY_ENABLED);
        CU_ASSERT_EQUAL(info.product_registration, FMX_REGISTER_KNOWN | FMX_REGISTER_NEW);
        CU_ASSERT(info.status == FMX_REGISTRY_ENABLED && !info.is_activated);
        CU_ASSERT_EQUAL(info.token_bytes, 0);
    }
    CU_ASSERT_EQUAL(fmx_devices_count(devices), sizeof(secrets) / sizeof(secrets[0]));
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

static void an_unknown_device_is_stale_with_what_is_known_of_its_product(void)
{
    struct fmx_registry *registry = make_registry();
    struct fmx_device_info info;
    struct fmx_product_info product;

    add_product(registry, "pump");
    add_product(registry, "valve");
    add_device(registry, "pump", "one", "secret");
    struct fmx_devices *devices = open_devices(1);
    CU_ASSERT_EQUAL(find(devices, "pump", "two", &info), FMX_E_STALE);
    CU_ASSERT(info.product_version != 0 && info.secret_bytes == 0);
    CU_ASSERT_EQUAL(find(devices, "valve", "one", &info), FMX_E_STALE);
    CU_ASSERT_NOT_EQUAL(info.product_version, 0);
    CU_ASSERT_EQUAL(find(devices, "tap", "one", &info), FMX_E_STALE);
    CU_ASSERT_EQUAL(info.product_version, 0);
    CU_ASSERT_EQUAL(fmx_devices_product(devices, 0, fmx_slice_of("tap"), &product), FMX_E_STALE);
    CU_ASSERT_EQUAL(product.version, 0);
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

static void a_product_comes_with_its_limits_and_topics(void)
{
    struct fmx_registry *registry = make_registry();
    struct fmx_limits_override limits = {0};
    struct fmx_product_info info;

    add_product(registry, "pump");
    struct fmx_devices *devices = open_devices(1);
    uint32_t version = product_version(devices, "pump");
    fmx_limits_set(&limits.limits, FMX_LIM_inflight_max, 7);
    limits.which = 1u << FMX_LIM_inflight_max;
    CU_ASSERT_EQUAL_FATAL(fmx_registry_product_set_limits(registry, "pump", &limits, SAID), FMX_OK);
    EVENTUALLY(product_version(devices, "pump") != version);
    CU_ASSERT_EQUAL_FATAL(fmx_devices_product(devices, 0, fmx_slice_of("pump"), &info), FMX_OK);
    CU_ASSERT_EQUAL(info.limits.which, 1u << FMX_LIM_inflight_max);
    CU_ASSERT_EQUAL(info.limits.limits.inflight_max, 7);
    CU_ASSERT_EQUAL_FATAL(info.topics_count, 3);
    CU_ASSERT(info.topics[0].bytes == 8 && memcmp(info.topics[0].topic, "user/get", 8) == 0);
    CU_ASSERT_EQUAL(info.topics[0].permission, FMX_TOPIC_MAY_SUBSCRIBE);
    free(info.topics);
    EVENTUALLY(told_of(&told.products) == 1);
    CU_ASSERT_EQUAL(told_of(&told.gone_products), 0);
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

static void the_keeper_sees_what_another_handle_does(void)
{
    struct fmx_registry *registry = make_registry();

    add_product(registry, "pump");
    struct fmx_devices *devices = open_devices(1);
    add_device(registry, "pump", "one", "secret");
    EVENTUALLY(knows(devices, "pump", "one"));
    CU_ASSERT_EQUAL(
        fmx_registry_device_set_status(registry, "pump", "one", FMX_REGISTRY_DISABLED, SAID),
        FMX_OK);
    EVENTUALLY(is_disabled(devices, "one"));
    EVENTUALLY(told_of(&told.gone_devices) == 1);
    CU_ASSERT_STRING_EQUAL(told.last_gone, "pump/one");
    CU_ASSERT_EQUAL(
        fmx_registry_device_set_status(registry, "pump", "one", FMX_REGISTRY_ENABLED, SAID),
        FMX_OK);
    EVENTUALLY(!is_disabled(devices, "one"));
    CU_ASSERT_EQUAL(fmx_registry_device_delete(registry, "pump", "one", SAID), FMX_OK);
    EVENTUALLY(!knows(devices, "pump", "one"));
    EVENTUALLY(told_of(&told.gone_devices) == 2);
    CU_ASSERT_EQUAL(fmx_devices_count(devices), 0);
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

static void a_device_that_is_back_at_once_is_told_as_gone_all_the_same(void)
{
    struct fmx_registry *registry = make_registry();
    struct fmx_device_info info;

    add_product(registry, "pump");
    add_device(registry, "pump", "one", "before");
    struct fmx_devices *devices = open_devices(1);
    CU_ASSERT_EQUAL(fmx_registry_device_delete(registry, "pump", "one", SAID), FMX_OK);
    add_device(registry, "pump", "one", "after");
    EVENTUALLY(find(devices, "pump", "one", &info) == FMX_OK &&
               is_text(info.secret, info.secret_bytes, "after"));
    EVENTUALLY(told_of(&told.gone_devices) == 1);
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

static void a_product_that_goes_takes_its_devices_with_it(void)
{
    struct fmx_registry *registry = make_registry();
    struct fmx_device_info info;

    add_product(registry, "pump");
    add_product(registry, "valve");
    import_devices(registry, "pump", "one", 3000);
    add_device(registry, "valve", "other", "secret");
    struct fmx_devices *devices = open_devices(1);
    uint64_t bytes = fmx_devices_bytes(devices);
    CU_ASSERT_EQUAL(fmx_registry_product_set_status(registry, "pump", FMX_REGISTRY_DISABLED, SAID),
                    FMX_OK);
    EVENTUALLY(told_of(&told.gone_products) == 1);
    CU_ASSERT_STRING_EQUAL(told.last_gone, "pump/");
    CU_ASSERT_EQUAL(find(devices, "pump", "one-0000000", &info), FMX_OK);
    CU_ASSERT_EQUAL(info.product_status, FMX_REGISTRY_DISABLED);
    CU_ASSERT_EQUAL(fmx_registry_product_delete(registry, "pump", SAID), FMX_OK);
    add_product(registry, "pump");
    EVENTUALLY(told_of(&told.gone_products) == 2);
    EVENTUALLY(product_version(devices, "pump") != 0);
    CU_ASSERT_FALSE(knows(devices, "pump", "one-0000000"));
    CU_ASSERT_TRUE(knows(devices, "valve", "other"));
    EVENTUALLY(fmx_devices_count(devices) == 1 && fmx_devices_bytes(devices) < bytes / 10);
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

/* ── another process ── */

static int edit_in_child(const char *file)
{
    struct fmx_registry *registry = NULL;
    const struct fmx_device device = {
        .product_key = "pump", .device_name = "child", .secret = "secret"};

    if (fmx_registry_open(file, &registry, SAID) != FMX_OK ||
        fmx_registry_device_add(registry, &device, SAID) != FMX_OK ||
        fmx_registry_device_delete(registry, "pump", "parent", SAID) != FMX_OK) {
        fprintf(stderr, "%s\n", said);
        return 1;
    }
    fmx_registry_close(registry);
    return 0;
}

static void the_keeper_sees_what_another_process_does(void)
{
    char *const arguments[] = {"test_devices", "--edit", path, NULL};
    struct fmx_registry *registry = make_registry();
    int status = -1;
    pid_t child;

    add_product(registry, "pump");
    add_device(registry, "pump", "parent", "secret");
    struct fmx_devices *devices = open_devices(1);
    CU_ASSERT_EQUAL_FATAL(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ), 0);
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EVENTUALLY(knows(devices, "pump", "child") && !knows(devices, "pump", "parent"));
    EVENTUALLY(told_of(&told.gone_devices) == 1);
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

/* ── all anew ── */

static void an_import_is_loaded_without_ending_anybody(void)
{
    struct fmx_registry *registry = make_registry();

    add_product(registry, "pump");
    add_device(registry, "pump", "one", "secret");
    struct fmx_devices *devices = open_devices(1);
    uint32_t version = product_version(devices, "pump");
    import_devices(registry, "pump", "many", 5000);
    EVENTUALLY(fmx_devices_count(devices) == 5001);
    CU_ASSERT(knows(devices, "pump", "one") && knows(devices, "pump", "many-0004999"));
    CU_ASSERT_EQUAL(product_version(devices, "pump"), version);
    fmx_devices_close(devices);
    CU_ASSERT_EQUAL(told.gone_devices + told.gone_products + told.products, 0);
    fmx_registry_close(registry);
    remove_folder();
}

static void a_log_with_a_gap_makes_the_keeper_load_everything(void)
{
    struct fmx_registry *registry = make_registry();

    add_product(registry, "pump");
    add_product(registry, "valve");
    add_product(registry, "stays");
    add_device(registry, "pump", "deleted", "secret");
    add_device(registry, "pump", "disabled", "secret");
    add_device(registry, "pump", "replaced", "secret");
    add_device(registry, "pump", "kept", "secret");
    add_device(registry, "valve", "one", "secret");
    struct fmx_devices *devices = open_devices(1);
    run_sql("BEGIN;"
            "DELETE FROM device WHERE name = 'deleted';"
            "UPDATE device SET status = 1 WHERE name = 'disabled';"
            "UPDATE device SET secret = 'other' WHERE name = 'replaced';"
            "DELETE FROM device WHERE name = 'one';"
            "DELETE FROM topic_class WHERE product = 2; DELETE FROM product WHERE id = 2;"
            "INSERT INTO product VALUES(9, 'new', 's', '', 0, 0);"
            "INSERT INTO change(kind, product, device) VALUES(3, 'pump', 'kept');"
            "INSERT INTO change(kind, product, device) VALUES(3, 'pump', 'kept');"
            "DELETE FROM change WHERE seq < (SELECT max(seq) FROM change);"
            "COMMIT");
    EVENTUALLY(product_version(devices, "new") != 0);
    CU_ASSERT(!knows(devices, "pump", "deleted") && knows(devices, "pump", "kept"));
    CU_ASSERT_TRUE(is_disabled(devices, "disabled"));
    EVENTUALLY(told_of(&told.gone_devices) == 4);
    EVENTUALLY(told_of(&told.gone_products) == 1);
    EVENTUALLY(told_of(&told.products) == 2);
    CU_ASSERT_EQUAL(fmx_devices_count(devices), 3);
    run_sql("BEGIN; DELETE FROM device; DELETE FROM topic_class; DELETE FROM product;"
            "INSERT INTO change(kind, product, device) VALUES(5, '', ''); COMMIT");
    EVENTUALLY(fmx_devices_count(devices) == 0 && product_version(devices, "pump") == 0);
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

/* ── what the keeper writes ── */

static void wish_to_register(struct fmx_devices *devices, const char *product_key,
                             const char *device_name, bool is_new, uint64_t tag)
{
    uint32_t before = told_of(&told.registered);

    CU_ASSERT_EQUAL_FATAL(fmx_devices_register(devices, fmx_slice_of(product_key),
                                               fmx_slice_of(device_name), is_new, true, tag),
                          FMX_OK);
    EVENTUALLY(told_of(&told.registered) == before + 1);
    CU_ASSERT_EQUAL(told.last_tag, tag);
}

static void the_first_connect_is_written_once(void)
{
    struct fmx_registry *registry = make_registry();
    struct fmx_device device;

    add_product(registry, "pump");
    add_device(registry, "pump", "one", "secret");
    add_device(registry, "pump", "two", "secret");
    struct fmx_devices *devices = open_devices(1);
    fmx_devices_activate(devices, fmx_slice_of("pump"), fmx_slice_of("one"));
    fmx_devices_activate(devices, fmx_slice_of("pump"), fmx_slice_of("nobody"));
    EVENTUALLY(is_activated(devices, "one"));
    CU_ASSERT_EQUAL_FATAL(fmx_registry_device_find(registry, "pump", "one", &device, SAID), FMX_OK);
    uint64_t at = device.activated_ms;
    CU_ASSERT(at >= device.added_ms && at != 0);
    fmx_devices_activate(devices, fmx_slice_of("pump"), fmx_slice_of("one"));
    fmx_devices_activate(devices, fmx_slice_of("pump"), fmx_slice_of("two"));
    fmx_devices_close(devices); /* what was asked for is written before the end */
    CU_ASSERT_EQUAL(fmx_registry_device_find(registry, "pump", "one", &device, SAID), FMX_OK);
    CU_ASSERT_EQUAL(device.activated_ms, at);
    CU_ASSERT_EQUAL(fmx_registry_device_find(registry, "pump", "two", &device, SAID), FMX_OK);
    CU_ASSERT_NOT_EQUAL(device.activated_ms, 0);
    fmx_registry_close(registry);
    remove_folder();
}

static void a_known_device_registers_for_its_secret(void)
{
    struct fmx_registry *registry = make_registry();

    add_product(registry, "pump");
    add_device(registry, "pump", "one", "its secret");
    add_device(registry, "pump", "off", "its secret");
    CU_ASSERT_EQUAL(
        fmx_registry_device_set_status(registry, "pump", "off", FMX_REGISTRY_DISABLED, SAID),
        FMX_OK);
    struct fmx_devices *devices = open_devices(1);
    wish_to_register(devices, "pump", "one", false, 11);
    CU_ASSERT_EQUAL(told.last_status, FMX_OK);
    CU_ASSERT_STRING_EQUAL(told.last_secret, "its secret");
    CU_ASSERT_STRING_EQUAL(told.last_client_id, "");
    wish_to_register(devices, "pump", "two", false, 12);
    CU_ASSERT_EQUAL(told.last_status, FMX_E_STALE);
    CU_ASSERT_STRING_EQUAL(told.last_secret, "");
    wish_to_register(devices, "tap", "one", false, 13);
    CU_ASSERT_EQUAL(told.last_status, FMX_E_STALE);
    wish_to_register(devices, "pump", "off", false, 14);
    CU_ASSERT_EQUAL(told.last_status, FMX_PEER_NOT_AUTHORIZED);
    CU_ASSERT_EQUAL(fmx_registry_product_set_registration(registry, "pump", 0, SAID), FMX_OK);
    wish_to_register(devices, "pump", "one", false, 15);
    CU_ASSERT_EQUAL(told.last_status, FMX_PEER_NOT_AUTHORIZED);
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

static void a_new_device_registers_for_a_token_and_is_added(void)
{
    struct fmx_registry *registry = make_registry();
    struct fmx_device_info info;
    struct fmx_device device;
    char token[80];

    add_product(registry, "pump");
    struct fmx_devices *devices = open_devices(1);
    wish_to_register(devices, "pump", "new", true, 21);
    CU_ASSERT_EQUAL(told.last_status, FMX_OK);
    CU_ASSERT(strlen(told.last_secret) == 32 && strlen(told.last_client_id) == 32);
    CU_ASSERT_EQUAL_FATAL(find(devices, "pump", "new", &info), FMX_OK);
    CU_ASSERT(is_text(info.token, info.token_bytes, told.last_secret));
    CU_ASSERT_EQUAL(fmx_registry_device_find(registry, "pump", "new", &device, SAID), FMX_OK);
    CU_ASSERT_EQUAL(strlen(device.secret), 32);
    CU_ASSERT_STRING_NOT_EQUAL(device.secret, told.last_secret);
    snprintf(token, sizeof(token), "%s", told.last_secret);
    wish_to_register(devices, "pump", "new", true, 22);
    CU_ASSERT_STRING_NOT_EQUAL(told.last_secret, token);
    CU_ASSERT_EQUAL(find(devices, "pump", "new", &info), FMX_OK);
    CU_ASSERT(is_text(info.token, info.token_bytes, told.last_secret));
    wish_to_register(devices, "pump", "not a name", true, 23);
    CU_ASSERT_EQUAL(told.last_status, FMX_PEER_CREDENTIALS);
    CU_ASSERT_EQUAL(fmx_devices_count(devices), 1);
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

static void wishes_wait_while_another_program_writes_and_are_bounded(void)
{
    struct fmx_registry *registry = make_registry();
    uint32_t accepted = 0;
    enum fmx_status status;

    add_product(registry, "pump");
    CU_ASSERT_EQUAL(fmx_registry_product_set_registration(registry, "pump", 0, SAID), FMX_OK);
    add_device(registry, "pump", "one", "secret");
    struct fmx_devices *devices = open_devices(1);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_edit(registry), FMX_OK);
    fmx_devices_activate(devices, fmx_slice_of("pump"), fmx_slice_of("one"));
    while ((status = fmx_devices_register(devices, fmx_slice_of("pump"), fmx_slice_of("one"), false,
                                          true, accepted)) == FMX_OK) {
        accepted++;
        CU_ASSERT_FATAL(accepted <= 2 * FMX_WISHES_MAX);
    }
    CU_ASSERT_EQUAL(status, FMX_LIMIT_BUSY);
    CU_ASSERT(accepted >= FMX_WISHES_MAX - 1);
    fmx_devices_activate(devices, fmx_slice_of("pump"), fmx_slice_of("one")); /* dropped */
    CU_ASSERT_EQUAL(fmx_registry_end_edit(registry, FMX_E_DONE), FMX_E_DONE);
    fmx_devices_close(devices);
    CU_ASSERT_EQUAL(told.registered, accepted);
    CU_ASSERT_EQUAL(told.granted, 0);
    fmx_registry_close(registry);
    remove_folder();
}

/* ── weight ── */

static void a_device_weighs_at_most_100_bytes(void)
{
    struct fmx_registry *registry = make_registry();

    add_product(registry, "pump");
    struct fmx_devices *devices = open_devices(1);
    uint64_t empty = fmx_devices_bytes(devices);
    import_devices(registry, "pump", "a-device", HEAVY); /* names of 16, secrets of 32 */
    EVENTUALLY(fmx_devices_count(devices) == HEAVY);
    fmx_devices_close(devices);
    devices = open_devices(1);
    uint64_t each = (fmx_devices_bytes(devices) - empty + HEAVY - 1) / HEAVY;
    printf("[%u B a device] ", (unsigned)each);
    CU_ASSERT(each <= 100);
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

/* ── the race ── */

static _Atomic bool is_racing;
static _Atomic uint32_t wrong;
static _Atomic uint64_t looked;
static _Atomic uint32_t at_work;

struct reader {
    struct fmx_devices *devices;
    uint32_t number;
};

/* A device of the race has one of two secrets, each made of its own name. */
static void write_secret(uint32_t device, bool is_other, char out[40])
{
    snprintf(out, 40, is_other ? "%032x" : "secret of %u, and quite long", device);
}

static void *read_on(void *argument)
{
    const struct reader *reader = argument;
    struct fmx_prng prng = {.state = reader->number};
    struct fmx_device_info info;
    char name[16], one[40], other[40];

    atomic_fetch_add(&at_work, 1);
    while (atomic_load(&is_racing)) {
        uint32_t device = (uint32_t)fmx_prng_below(&prng, RACED);
        snprintf(name, sizeof(name), "d%u", device);
        write_secret(device, false, one);
        write_secret(device, true, other);
        enum fmx_status status = fmx_devices_find(reader->devices, reader->number,
                                                  fmx_slice_of("pump"), fmx_slice_of(name), &info);
        bool is_whole = status == FMX_OK ? is_text(info.secret, info.secret_bytes, one) ||
                                               is_text(info.secret, info.secret_bytes, other)
                                         : info.secret_bytes == 0;
        is_whole =
            is_whole && is_text(info.product_secret, info.product_secret_bytes, "product-secret");
        if (!is_whole) {
            atomic_fetch_add(&wrong, 1);
        }
        if (fmx_devices_find(reader->devices, reader->number, fmx_slice_of("pump"),
                             fmx_slice_of("always"), &info) != FMX_OK) {
            atomic_fetch_add(&wrong, 1);
        }
        atomic_fetch_add_explicit(&looked, 1, memory_order_relaxed);
    }
    return NULL;
}

struct raced {
    bool is_there, is_disabled, is_other;
};

static void race_once(struct fmx_registry *registry, struct raced *raced, uint32_t device,
                      uint64_t choice)
{
    enum fmx_status status = FMX_OK;
    char name[16], secret[40];

    snprintf(name, sizeof(name), "d%u", device);
    if (!raced->is_there) {
        *raced = (struct raced){.is_there = true, .is_other = choice % 2 == 0};
        write_secret(device, raced->is_other, secret);
        add_device(registry, "pump", name, secret);
    } else if (choice % 2 == 0) {
        raced->is_there = false;
        status = fmx_registry_device_delete(registry, "pump", name, SAID);
    } else {
        raced->is_disabled = !raced->is_disabled;
        status = fmx_registry_device_set_status(
            registry, "pump", name,
            raced->is_disabled ? FMX_REGISTRY_DISABLED : FMX_REGISTRY_ENABLED, SAID);
    }
    CU_ASSERT_EQUAL(status, FMX_OK);
}

static bool is_as_raced(struct fmx_devices *devices, const struct raced *raced)
{
    struct fmx_device_info info;
    char name[16], secret[40];

    for (uint32_t i = 0; i < RACED; i++) {
        snprintf(name, sizeof(name), "d%u", i);
        write_secret(i, raced[i].is_other, secret);
        bool is_there = find(devices, "pump", name, &info) == FMX_OK;
        if (is_there != raced[i].is_there ||
            (is_there && ((info.status != 0) != raced[i].is_disabled ||
                          !is_text(info.secret, info.secret_bytes, secret)))) {
            return false;
        }
    }
    return true;
}

static void readers_meet_the_old_or_the_new_truth_and_never_a_mixture(void)
{
    struct fmx_registry *registry = make_registry();
    struct raced raced[RACED] = {{0}};
    struct reader readers[READERS];
    pthread_t threads[READERS];
    struct fmx_prng prng = {.state = 5};

    add_product(registry, "pump");
    add_device(registry, "pump", "always", "secret");
    run_sql("PRAGMA synchronous = OFF"); /* of that connection; the file is the same */
    CU_ASSERT_EQUAL(sqlite3_exec(registry->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL), 0);
    struct fmx_devices *devices = open_devices(READERS);
    atomic_store(&is_racing, true);
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){devices, i};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    EVENTUALLY(atomic_load(&at_work) == READERS);
    for (uint32_t round = 0; round < RACE_ROUNDS; round++) {
        uint32_t device = (uint32_t)fmx_prng_below(&prng, RACED);
        race_once(registry, &raced[device], device, fmx_prng_next(&prng) >> 32);
        if (round % 100 == 99) { /* the table grows, and everything is loaded again */
            char prefix[8];
            snprintf(prefix, sizeof(prefix), "m%u", round);
            import_devices(registry, "pump", prefix, 1000);
        }
    }
    uint64_t before = atomic_load(&looked);
    EVENTUALLY(atomic_load(&looked) > before + 100);
    atomic_store(&is_racing, false);
    for (uint32_t i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    EVENTUALLY(is_as_raced(devices, raced));
    fmx_devices_close(devices);
    fmx_registry_close(registry);
    remove_folder();
}

/* ── the roster against a plain array ── */

static void play(uint64_t seed)
{
    enum { NAMES = 300, STEPS = 4000 };
    static struct {
        bool is_there;
        uint32_t value;
    } twin[NAMES];
    struct fmx_prng prng = {.state = seed};
    struct fmx_roster roster;
    union fmx_item_room room;
    uint64_t count = 0;

    memset(twin, 0, sizeof(twin));
    CU_ASSERT_EQUAL_FATAL(fmx_roster_open(&roster, 1), FMX_OK);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t at = (uint32_t)fmx_prng_below(&prng, NAMES), value = step;
        char name[16];
        snprintf(name, sizeof(name), "n%u", at);
        bool puts = fmx_prng_below(&prng, 100) < (step / 800 % 2 == 0 ? 70u : 20u);
        if (puts) {
            struct fmx_item_fields fields = {.owner = 1 + at % 3,
                                             .name = fmx_slice_of(name),
                                             .secret = {(uint8_t *)&value, sizeof(value)}};
            (void)fmx_item_write(&room, &fields);
            CU_ASSERT_EQUAL_FATAL(fmx_roster_put(&roster, &room.item), FMX_OK);
            count += !twin[at].is_there;
            twin[at].is_there = true;
            twin[at].value = value;
        } else {
            bool was_there = fmx_roster_remove(&roster, 1 + at % 3, fmx_slice_of(name));
            CU_ASSERT_EQUAL_FATAL(was_there, twin[at].is_there);
            count -= twin[at].is_there;
            twin[at].is_there = false;
        }
        at = (uint32_t)fmx_prng_below(&prng, NAMES);
        snprintf(name, sizeof(name), "n%u", at);
        const struct fmx_item *item = fmx_roster_find(&roster, 1 + at % 3, fmx_slice_of(name));
        uint8_t secret[FMX_SECRET_BYTES_MAX];
        CU_ASSERT_EQUAL_FATAL(item != NULL, twin[at].is_there);
        CU_ASSERT_FATAL(item == NULL || (fmx_item_secret(item, secret) == sizeof(value) &&
                                         memcmp(secret, &twin[at].value, sizeof(value)) == 0));
        CU_ASSERT_PTR_NULL(fmx_roster_find(&roster, 4, fmx_slice_of(name)));
    }
    CU_ASSERT_EQUAL(roster.now.devices, count);
    fmx_roster_purge(&roster, 1);
    fmx_roster_purge(&roster, 2);
    fmx_roster_purge(&roster, 3);
    fmx_roster_reclaim(&roster);
    CU_ASSERT_EQUAL(roster.now.devices, 0);
    CU_ASSERT(atomic_load(&roster.bytes) < 1024);
    fmx_roster_close(&roster);
}

static void the_roster_is_a_table_of_names(void)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        play(seed);
    }
}

static void what_cannot_be_opened_is_told(void)
{
    struct fmx_devices *devices = NULL;

    make_folder();
    CU_ASSERT_EQUAL(fmx_devices_open(path, 1, &events, &devices, SAID), FMX_SYS_FILE);
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "fleetmux registry create"));
    CU_ASSERT_PTR_NULL(devices);
    fmx_devices_close(NULL);
    remove_folder();
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(the_roster_is_a_table_of_names),
    FMX_TEST_CASE(what_cannot_be_opened_is_told),
    FMX_TEST_CASE(a_loaded_device_is_found_with_its_product),
    FMX_TEST_CASE(an_unknown_device_is_stale_with_what_is_known_of_its_product),
    FMX_TEST_CASE(a_product_comes_with_its_limits_and_topics),
    FMX_TEST_CASE(the_keeper_sees_what_another_handle_does),
    FMX_TEST_CASE(a_device_that_is_back_at_once_is_told_as_gone_all_the_same),
    FMX_TEST_CASE(a_product_that_goes_takes_its_devices_with_it),
    FMX_TEST_CASE(the_keeper_sees_what_another_process_does),
    FMX_TEST_CASE(an_import_is_loaded_without_ending_anybody),
    FMX_TEST_CASE(a_log_with_a_gap_makes_the_keeper_load_everything),
    FMX_TEST_CASE(the_first_connect_is_written_once),
    FMX_TEST_CASE(a_known_device_registers_for_its_secret),
    FMX_TEST_CASE(a_new_device_registers_for_a_token_and_is_added),
    FMX_TEST_CASE(wishes_wait_while_another_program_writes_and_are_bounded),
    FMX_TEST_CASE(a_device_weighs_at_most_100_bytes),
    FMX_TEST_CASE(readers_meet_the_old_or_the_new_truth_and_never_a_mixture),
};

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--edit") == 0) {
        return edit_in_child(argv[2]);
    }
    return fmx_test_main("devices", cases, sizeof cases / sizeof cases[0], argc, argv);
}
