/*
 * test_registry — the registry's calls: what they do, and what each refusal says
 *
 * Why it is so:   a refusal is read by a person who has to mend something, so every case of one
 *                 also looks for the words that name the field
 */
#include "proto/dialect.h"
#include "tests/support/registry.h"
#include "tls/hmac.h"

#include <fcntl.h>
#include <sys/stat.h>

static bool says(const char *words)
{
    if (strstr(said, words) == NULL) {
        fprintf(stderr, "'%s' is not in '%s'\n", words, said);
        return false;
    }
    return true;
}

/* ── the file ── */

static void a_new_registry_is_private_and_can_be_opened(void)
{
    struct stat about;
    struct fmx_registry *registry = make_registry();

    CU_ASSERT_EQUAL(stat(path, &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 0777, 0600);
    fmx_registry_close(registry);
    fmx_registry_close(NULL);
    remove_folder();
}

static void create_takes_no_file_that_exists_and_no_folder_that_does_not(void)
{
    struct fmx_registry *registry = make_registry();

    CU_ASSERT_EQUAL(fmx_registry_create(path, SAID), FMX_SYS_FILE);
    CU_ASSERT(says("exists already"));
    CU_ASSERT_EQUAL(fmx_registry_create("/no/such/folder/r.db", SAID), FMX_SYS_FILE);
    CU_ASSERT(says("/no/such/folder/r.db") && says("folder"));
    fmx_registry_close(registry);
    remove_folder();
}

static enum fmx_status open_it(void)
{
    struct fmx_registry *registry = NULL;
    enum fmx_status status = fmx_registry_open_within(path, 20, &registry, SAID);

    CU_ASSERT_EQUAL(registry != NULL, status == FMX_OK);
    fmx_registry_close(registry);
    return status;
}

static void write_file(size_t at, const char *bytes, size_t count)
{
    int file = open(path, O_RDWR | O_CREAT, 0600);

    CU_ASSERT_FATAL(file >= 0);
    CU_ASSERT_EQUAL(pwrite(file, bytes, count, (off_t)at), (ssize_t)count);
    close(file);
}

static void open_tells_what_is_no_registry(void)
{
    make_folder();
    CU_ASSERT_EQUAL(open_it(), FMX_SYS_FILE);
    CU_ASSERT(says("no such file") && says("fleetmux registry create"));
    write_file(0, "", 0);
    CU_ASSERT_EQUAL(open_it(), FMX_SYS_FILE);
    CU_ASSERT(says("not a registry of fleetmux"));
    write_file(0, "product_key,device_name,device_secret\npump,one,00000000000000000000000", 70);
    CU_ASSERT_EQUAL(open_it(), FMX_SYS_FILE);
    CU_ASSERT(says("not a registry"));
    unlink(path);
    run_sql("CREATE TABLE t(x)");
    CU_ASSERT_EQUAL(open_it(), FMX_SYS_FILE);
    CU_ASSERT(says("not a registry of fleetmux"));
    unlink(path);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    CU_ASSERT_EQUAL(open_it(), FMX_SYS_FILE);
    rmdir(path);
    remove_folder();
}

static void open_takes_no_newer_version(void)
{
    struct fmx_registry *registry = make_registry();

    fmx_registry_close(registry);
    run_sql("PRAGMA user_version = 2");
    CU_ASSERT_EQUAL(open_it(), FMX_E_OPTION);
    CU_ASSERT(says("newer fleetmux") && says("format 2"));
    run_sql("PRAGMA user_version = 1; DROP TABLE device");
    CU_ASSERT_EQUAL(open_it(), FMX_SYS_FILE);
    CU_ASSERT(says("damaged") && says("4 of 5"));
    remove_folder();
}

static void damage_is_told_with_what_to_do(void)
{
    static char garbage[4096 * 4];
    struct fmx_registry *registry = make_registry();
    struct fmx_product product;

    add_product(registry, "pump");
    fmx_registry_close(registry);
    run_sql("PRAGMA journal_mode = DELETE");
    memset(garbage, 0x5a, sizeof(garbage));
    write_file(4096, garbage, sizeof(garbage));
    registry = NULL;
    enum fmx_status status = fmx_registry_open(path, &registry, SAID);
    if (status == FMX_OK) {
        status = fmx_registry_product_find(registry, "pump", &product, SAID);
    }
    CU_ASSERT_EQUAL(status, FMX_SYS_FILE);
    CU_ASSERT(says("damaged") && says(".recover"));
    fmx_registry_close(registry);
    write_file(0, garbage, 100);
    CU_ASSERT_EQUAL(open_it(), FMX_SYS_FILE);
    CU_ASSERT(says("damaged at its beginning"));
    remove_folder();
}

static void a_lock_is_told_after_a_while(void)
{
    struct fmx_registry *registry = make_registry(), *other = NULL;
    struct fmx_product product;
    sqlite3 *db = NULL;

    add_product(registry, "pump");
    CU_ASSERT_EQUAL_FATAL(fmx_registry_open_within(path, 20, &other, SAID), FMX_OK);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_edit(registry), FMX_OK);
    const struct fmx_device device = {.product_key = "pump", .device_name = "one"};
    CU_ASSERT_EQUAL(fmx_registry_device_add(other, &device, SAID), FMX_SYS_FILE);
    CU_ASSERT(says("locked by another program") && says("20 ms") && says("fuser"));
    CU_ASSERT_EQUAL(fmx_registry_product_find(other, "pump", &product, SAID), FMX_OK);
    CU_ASSERT_EQUAL(fmx_registry_end_edit(registry, FMX_E_DONE), FMX_E_DONE);
    CU_ASSERT_EQUAL(fmx_registry_device_add(other, &device, SAID), FMX_OK);
    fmx_registry_close(other);
    fmx_registry_close(registry);

    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db,
                                 "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;"
                                 "UPDATE device SET status = 0",
                                 NULL, NULL, NULL),
                    SQLITE_OK);
    CU_ASSERT_EQUAL(open_it(), FMX_SYS_FILE);
    CU_ASSERT(says("locked by another program"));
    sqlite3_close(db);
    CU_ASSERT_EQUAL(open_it(), FMX_OK);
    remove_folder();
}

/* ── products ── */

static void a_product_is_added_with_what_is_not_said(void)
{
    struct fmx_registry *registry = make_registry();
    const struct fmx_product wanted = {.product_key = "pump"};
    struct fmx_product product;

    CU_ASSERT_EQUAL(fmx_registry_product_add(registry, &wanted, SAID), FMX_OK);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_product_find(registry, "pump", &product, SAID), FMX_OK);
    CU_ASSERT_STRING_EQUAL(product.product_key, "pump");
    CU_ASSERT_STRING_EQUAL(product.name, "");
    CU_ASSERT_EQUAL(strspn(product.secret, "0123456789abcdef"), 32);
    CU_ASSERT_EQUAL(strlen(product.secret), 32);
    CU_ASSERT(product.status == FMX_REGISTRY_ENABLED && product.registration == 0);
    CU_ASSERT(product.limits.which == 0 && product.devices_count == 0);
    CU_ASSERT_EQUAL(fmx_registry_product_find(registry, "tap", &product, SAID), FMX_E_STALE);
    CU_ASSERT(says("'tap'"));
    CU_ASSERT_PTR_NULL(product.product_key);
    fmx_registry_close(registry);
    remove_folder();
}

static void a_product_is_added_and_changed_as_said(void)
{
    struct fmx_registry *registry = make_registry();
    struct fmx_product wanted = {.product_key = "a1B2c3",
                                 .secret = "~ a secret !",
                                 .name = "P\xc3\xbcmpe",
                                 .status = FMX_REGISTRY_DISABLED,
                                 .registration = FMX_REGISTER_NEW};
    struct fmx_product product;

    wanted.limits.which = 1u << FMX_LIM_inflight_max | 1u << FMX_LIM_upstream_per_second;
    wanted.limits.limits.inflight_max = 12;
    wanted.limits.limits.upstream_per_second = FMX_UNLIMITED;
    CU_ASSERT_EQUAL(fmx_registry_product_add(registry, &wanted, SAID), FMX_OK);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_product_find(registry, "a1B2c3", &product, SAID), FMX_OK);
    CU_ASSERT_STRING_EQUAL(product.secret, wanted.secret);
    CU_ASSERT_STRING_EQUAL(product.name, wanted.name);
    CU_ASSERT_EQUAL(product.status, FMX_REGISTRY_DISABLED);
    CU_ASSERT_EQUAL(product.registration, FMX_REGISTER_NEW);
    CU_ASSERT_EQUAL(product.limits.which, wanted.limits.which);
    CU_ASSERT_EQUAL(memcmp(&product.limits, &wanted.limits, sizeof(wanted.limits)), 0);

    const struct fmx_limits_override none = {0};
    CU_ASSERT_EQUAL(fmx_registry_product_set_limits(registry, "a1B2c3", &none, SAID), FMX_OK);
    CU_ASSERT_EQUAL(fmx_registry_product_set_status(registry, "a1B2c3", FMX_REGISTRY_ENABLED, SAID),
                    FMX_OK);
    CU_ASSERT_EQUAL(
        fmx_registry_product_set_registration(registry, "a1B2c3", FMX_REGISTER_KNOWN, SAID),
        FMX_OK);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_product_find(registry, "a1B2c3", &product, SAID), FMX_OK);
    CU_ASSERT(product.limits.which == 0 && product.status == FMX_REGISTRY_ENABLED);
    CU_ASSERT_EQUAL(product.registration, FMX_REGISTER_KNOWN);
    fmx_registry_close(registry);
    remove_folder();
}

static void a_malformed_product_is_refused_by_the_field(void)
{
    static char too_long[140];
    static const struct {
        struct fmx_product product;
        const char *words;
    } wrong[] = {
        {{.product_key = NULL}, "product key is missing"},
        {{.product_key = ""}, "product key: use 1 to 32"},
        {{.product_key = "a/b"}, "(it is 'a/b')"},
        {{.product_key = "a_b"}, "letters and digits (it is 'a_b')"},
        {{.product_key = "a\nb"}, "(it is 'a?b')"},
        {{.product_key = "sys"}, "product key: sys"},
        {{.product_key = "abcdefghijklmnopqrstuvwxyz0123456"}, "product key: use 1 to 32"},
        {{.product_key = "p", .secret = ""}, "secret must be 1 to 64"},
        {{.product_key = "p", .secret = "a\tb"}, "secret must be 1 to 64"},
        {{.product_key = "p", .secret = too_long}, "secret must be 1 to 64"},
        {{.product_key = "p", .name = too_long}, "name must be at most 128 bytes"},
        {{.product_key = "p", .name = "a\nb"}, "name must be"},
        {{.product_key = "p", .name = "\xff"}, "name must be"},
        {{.product_key = "p", .status = (enum fmx_registry_status)2}, "status must be"},
        {{.product_key = "p", .registration = 4}, "registration must be"},
        {{.product_key = "p", .limits = {.which = 1u << 31}}, "limits name one"},
        {{.product_key = "p", .limits = {.which = 1u << FMX_LIM_inflight_max}},
         "limit 'inflight_max': 0 is out of range; 1 to 32768"},
        {{.product_key = "p",
          .limits = {.which = 1u << FMX_LIM_keepalive_min_s | 1u << FMX_LIM_keepalive_max_s,
                     .limits = {.keepalive_min_s = 30, .keepalive_max_s = 20}}},
         "limit 'keepalive_min_s' is above 'keepalive_max_s'"},
    };
    struct fmx_registry *registry = make_registry();
    struct fmx_product product;

    memset(too_long, 'x', sizeof(too_long) - 1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CU_ASSERT_EQUAL(fmx_registry_product_add(registry, &wrong[i].product, SAID),
                        FMX_E_ARGUMENT);
        CU_ASSERT(says(wrong[i].words));
    }
    CU_ASSERT_EQUAL(fmx_registry_product_find(registry, "p", &product, SAID), FMX_E_STALE);
    add_product(registry, "p");
    const struct fmx_product again = {.product_key = "p"};
    CU_ASSERT_EQUAL(fmx_registry_product_add(registry, &again, SAID), FMX_E_ARGUMENT);
    CU_ASSERT(says("'p' exists already"));
    fmx_registry_close(registry);
    remove_folder();
}

static void what_changes_a_product_wants_one_that_is_there(void)
{
    static const struct fmx_limits_override none, unknown = {.which = 1u << 31};
    static const struct fmx_topic_class topic = {"user/a", FMX_TOPIC_MAY_PUBLISH};
    struct fmx_registry *registry = make_registry();
    struct fmx_device device = {.product_key = "tap", .device_name = "one"};

    CU_ASSERT_EQUAL(fmx_registry_product_set_status(registry, "tap", FMX_REGISTRY_ENABLED, SAID),
                    FMX_E_ARGUMENT);
    CU_ASSERT(says("no product 'tap'") && says("fleetmux registry product add"));
    CU_ASSERT_EQUAL(fmx_registry_product_set_registration(registry, "tap", 0, SAID),
                    FMX_E_ARGUMENT);
    CU_ASSERT_EQUAL(fmx_registry_product_set_limits(registry, "tap", &none, SAID), FMX_E_ARGUMENT);
    CU_ASSERT_EQUAL(fmx_registry_product_delete(registry, "tap", SAID), FMX_E_ARGUMENT);
    CU_ASSERT_EQUAL(fmx_registry_topic_set(registry, "tap", &topic, SAID), FMX_E_ARGUMENT);
    CU_ASSERT_EQUAL(fmx_registry_device_add(registry, &device, SAID), FMX_E_ARGUMENT);
    CU_ASSERT(says("no product 'tap'"));
    CU_ASSERT_EQUAL(fmx_registry_device_delete(registry, "tap", "one", SAID), FMX_E_ARGUMENT);
    add_product(registry, "tap");
    CU_ASSERT_EQUAL(
        fmx_registry_product_set_status(registry, "tap", (enum fmx_registry_status)7, SAID),
        FMX_E_ARGUMENT);
    CU_ASSERT_EQUAL(fmx_registry_product_set_registration(registry, "tap", 8, SAID),
                    FMX_E_ARGUMENT);
    CU_ASSERT_EQUAL(fmx_registry_product_set_limits(registry, "tap", &unknown, SAID),
                    FMX_E_ARGUMENT);
    fmx_registry_close(registry);
    remove_folder();
}

/* ── topic classes ── */

static char topics[512];

static bool note_topic(void *user, const struct fmx_topic_class *topic)
{
    size_t used = strlen(topics);

    (void)user;
    snprintf(topics + used, sizeof(topics) - used, "%s=%u ", topic->topic, topic->permission);
    return true;
}

static const char *topics_of(struct fmx_registry *registry, const char *product_key)
{
    topics[0] = '\0';
    CU_ASSERT_EQUAL(fmx_registry_each_topic(registry, product_key, note_topic, NULL, SAID), FMX_OK);
    return topics;
}

static enum fmx_status set_topic(struct fmx_registry *registry, const char *topic,
                                 unsigned permission)
{
    const struct fmx_topic_class wanted = {topic, permission};

    return fmx_registry_topic_set(registry, "pump", &wanted, SAID);
}

static void topic_classes_are_set_and_removed(void)
{
    struct fmx_registry *registry = make_registry();
    char long_class[140] = "user/";

    add_product(registry, "pump");
    CU_ASSERT_STRING_EQUAL(topics_of(registry, "pump"),
                           "user/get=2 user/update=1 user/update/error=1 ");
    CU_ASSERT_EQUAL(set_topic(registry, "user/a/+", FMX_TOPIC_MAY_SUBSCRIBE), FMX_OK);
    CU_ASSERT_EQUAL(set_topic(registry, "user/get", 3), FMX_OK);
    CU_ASSERT_EQUAL(set_topic(registry, "user/update", 0), FMX_OK);
    CU_ASSERT_STRING_EQUAL(topics_of(registry, "pump"),
                           "user/a/+=2 user/get=3 user/update/error=1 ");
    CU_ASSERT_EQUAL(set_topic(registry, "user/update", 0), FMX_E_ARGUMENT);
    CU_ASSERT(says("no topic class 'user/update'"));
    CU_ASSERT_EQUAL(set_topic(registry, "get", 1), FMX_E_ARGUMENT);
    CU_ASSERT(says("topic class: use user/") && says("'get'"));
    CU_ASSERT_EQUAL(set_topic(registry, "user/a", 4), FMX_E_ARGUMENT);
    CU_ASSERT(says("permission must be"));
    CU_ASSERT_EQUAL(set_topic(registry, NULL, 1), FMX_E_ARGUMENT);
    memset(long_class + 5, 'x', 122);
    CU_ASSERT_EQUAL(set_topic(registry, long_class, 1), FMX_E_ARGUMENT);
    CU_ASSERT(says("126 bytes"));
    long_class[126] = '\0';
    CU_ASSERT_EQUAL(set_topic(registry, long_class, 1), FMX_OK);
    CU_ASSERT_EQUAL(fmx_registry_each_topic(registry, "tap", note_topic, NULL, SAID),
                    FMX_E_ARGUMENT);
    fmx_registry_close(registry);
    remove_folder();
}

/* ── devices ── */

static void a_device_is_added_found_changed_and_deleted(void)
{
    struct fmx_registry *registry = make_registry();
    struct fmx_device device;

    add_product(registry, "pump");
    add_device(registry, "pump", "a-_@.:Z9", "its secret");
    add_device(registry, "pump", "made", NULL);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_device_find(registry, "pump", "a-_@.:Z9", &device, SAID),
                          FMX_OK);
    CU_ASSERT_STRING_EQUAL(device.product_key, "pump");
    CU_ASSERT_STRING_EQUAL(device.device_name, "a-_@.:Z9");
    CU_ASSERT_STRING_EQUAL(device.secret, "its secret");
    CU_ASSERT(device.status == FMX_REGISTRY_ENABLED && device.activated_ms == 0);
    CU_ASSERT(device.added_ms > 1700000000000);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_device_find(registry, "pump", "made", &device, SAID),
                          FMX_OK);
    CU_ASSERT_EQUAL(strspn(device.secret, "0123456789abcdef"), 32);
    CU_ASSERT_EQUAL(
        fmx_registry_device_set_status(registry, "pump", "made", FMX_REGISTRY_DISABLED, SAID),
        FMX_OK);
    CU_ASSERT_EQUAL(fmx_registry_device_find(registry, "pump", "made", &device, SAID), FMX_OK);
    CU_ASSERT_EQUAL(device.status, FMX_REGISTRY_DISABLED);
    CU_ASSERT_EQUAL(fmx_registry_device_delete(registry, "pump", "made", SAID), FMX_OK);
    CU_ASSERT_EQUAL(fmx_registry_device_find(registry, "pump", "made", &device, SAID), FMX_E_STALE);
    CU_ASSERT_PTR_NULL(device.device_name);
    CU_ASSERT_EQUAL(fmx_registry_device_find(registry, NULL, NULL, &device, SAID), FMX_E_STALE);
    fmx_registry_close(registry);
    remove_folder();
}

static void a_malformed_device_is_refused_by_the_field(void)
{
    static const struct {
        struct fmx_device device;
        const char *words;
    } wrong[] = {
        {{.product_key = NULL, .device_name = "one"}, "product key is missing"},
        {{.product_key = "p p", .device_name = "one"}, "product key:"},
        {{.product_key = "pump", .device_name = NULL}, "device name is missing"},
        {{.product_key = "pump", .device_name = ""}, "device name: use 1 to 64"},
        {{.product_key = "pump", .device_name = "a b"}, "device name: use letters"},
        {{.product_key = "pump", .device_name = "a/b"}, "(it is 'a/b')"},
        {{.product_key = "pump", .device_name = "one", .secret = ""}, "secret must be"},
        {{.product_key = "pump", .device_name = "one", .status = (enum fmx_registry_status) - 1},
         "status must be"},
        {{.product_key = "pump", .device_name = "there"}, "'there' exists already"},
        {{.product_key = "tap", .device_name = "one"}, "no product 'tap'"},
    };
    struct fmx_registry *registry = make_registry();

    add_product(registry, "pump");
    add_device(registry, "pump", "there", NULL);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CU_ASSERT_EQUAL(fmx_registry_device_add(registry, &wrong[i].device, SAID), FMX_E_ARGUMENT);
        CU_ASSERT(says(wrong[i].words));
    }
    CU_ASSERT_EQUAL(fmx_registry_device_set_status(registry, "pump", "nobody", 0, SAID),
                    FMX_E_ARGUMENT);
    CU_ASSERT(says("no device 'nobody'"));
    CU_ASSERT_EQUAL(fmx_registry_device_set_status(registry, "pump", "there", 5, SAID),
                    FMX_E_ARGUMENT);
    CU_ASSERT_EQUAL(fmx_registry_device_delete(registry, "pump", "nobody", SAID), FMX_E_ARGUMENT);
    CU_ASSERT_EQUAL(fmx_registry_device_delete(registry, "pump", "a b", SAID), FMX_E_ARGUMENT);
    fmx_registry_close(registry);
    remove_folder();
}

static void a_product_that_is_deleted_takes_everything_with_it(void)
{
    struct fmx_registry *registry = make_registry();
    struct fmx_limits_override limits = {.which = 1u << FMX_LIM_inflight_max,
                                         .limits = {.inflight_max = 5}};
    struct fmx_product product;
    int64_t left = -1;

    add_product(registry, "pump");
    import_devices(registry, "pump", "d", 100);
    CU_ASSERT_EQUAL(fmx_registry_product_set_limits(registry, "pump", &limits, SAID), FMX_OK);
    CU_ASSERT_EQUAL(fmx_registry_product_find(registry, "pump", &product, SAID), FMX_OK);
    CU_ASSERT_EQUAL(product.devices_count, 100);
    CU_ASSERT_EQUAL(fmx_registry_product_delete(registry, "pump", SAID), FMX_OK);
    CU_ASSERT_EQUAL(fmx_registry_number(registry, -1, &left,
                                        "SELECT (SELECT count(*) FROM device) + "
                                        "(SELECT count(*) FROM topic_class) + "
                                        "(SELECT count(*) FROM product_limit)",
                                        ""),
                    FMX_OK);
    CU_ASSERT_EQUAL(left, 0);
    fmx_registry_close(registry);
    remove_folder();
}

/* ── walks ── */

static char walked[512];
static int walk_left;

static bool note_product(void *user, const struct fmx_product *product)
{
    size_t used = strlen(walked);

    (void)user;
    snprintf(walked + used, sizeof(walked) - used, "%s:%u ", product->product_key,
             (unsigned)product->devices_count);
    return --walk_left > 0;
}

static bool note_device(void *user, const struct fmx_device *device)
{
    size_t used = strlen(walked);

    (void)user;
    snprintf(walked + used, sizeof(walked) - used, "%s/%s ", device->product_key,
             device->device_name);
    return --walk_left > 0;
}

static const char *walk_devices(struct fmx_registry *registry, const char *product_key, int most)
{
    walked[0] = '\0';
    walk_left = most;
    CU_ASSERT_EQUAL(fmx_registry_each_device(registry, product_key, note_device, NULL, SAID),
                    FMX_OK);
    return walked;
}

static void walks_go_by_name_and_end_when_told(void)
{
    struct fmx_registry *registry = make_registry();

    add_product(registry, "valve");
    add_product(registry, "pump");
    add_device(registry, "valve", "a", NULL);
    add_device(registry, "pump", "c", NULL);
    add_device(registry, "pump", "b", NULL);
    CU_ASSERT_STRING_EQUAL(walk_devices(registry, NULL, 9), "pump/b pump/c valve/a ");
    CU_ASSERT_STRING_EQUAL(walk_devices(registry, NULL, 2), "pump/b pump/c ");
    CU_ASSERT_STRING_EQUAL(walk_devices(registry, "valve", 9), "valve/a ");
    CU_ASSERT_EQUAL(fmx_registry_each_device(registry, "tap", note_device, NULL, SAID),
                    FMX_E_ARGUMENT);
    CU_ASSERT(says("'tap'"));
    walked[0] = '\0';
    walk_left = 9;
    CU_ASSERT_EQUAL(fmx_registry_each_product(registry, note_product, NULL, SAID), FMX_OK);
    CU_ASSERT_STRING_EQUAL(walked, "pump:2 valve:1 ");
    walked[0] = '\0';
    walk_left = 1;
    CU_ASSERT_EQUAL(fmx_registry_each_product(registry, note_product, NULL, SAID), FMX_OK);
    CU_ASSERT_STRING_EQUAL(walked, "pump:2 ");
    fmx_registry_close(registry);
    remove_folder();
}

/* ── imports ── */

struct rows {
    const struct fmx_device *devices;
    size_t count, next;
    enum fmx_status at_end;
};

static enum fmx_status next_row(void *user, struct fmx_device *out_device)
{
    struct rows *rows = user;

    if (rows->next == rows->count) {
        return rows->at_end;
    }
    *out_device = rows->devices[rows->next++];
    return FMX_OK;
}

static void an_import_is_all_or_nothing(void)
{
    static const struct {
        struct fmx_device last;
        uint64_t row;
        const char *words;
    } wrong[] = {
        {{.product_key = "pump", .device_name = "a b"}, 4, "device name:"},
        {{.product_key = "pump", .device_name = NULL}, 4, "device name is missing"},
        {{.product_key = "p/p", .device_name = "x"}, 4, "product key:"},
        {{.product_key = "tap", .device_name = "x"}, 4, "no product 'tap'"},
        {{.product_key = "pump", .device_name = "x", .secret = ""}, 4, "secret must be"},
        {{.product_key = "pump", .device_name = "x", .status = (enum fmx_registry_status)3},
         4,
         "status must be"},
        {{.product_key = "pump", .device_name = "two"},
         4,
         "'two' of product 'pump' stands in row 2 already"},
        {{.product_key = "pump", .device_name = "there"}, 4, "exists already"},
    };
    struct fmx_registry *registry = make_registry();
    uint64_t row = 0;

    add_product(registry, "pump");
    add_product(registry, "valve");
    add_device(registry, "pump", "there", "as before");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const struct fmx_device devices[] = {
            {.product_key = "valve", .device_name = "two"},
            {.product_key = "pump", .device_name = "two"},
            {.product_key = "pump", .device_name = "one", .secret = "given"},
            wrong[i].last,
            {.product_key = "pump", .device_name = "three"},
        };
        struct rows rows = {.devices = devices, .count = 5, .at_end = FMX_END};
        CU_ASSERT_EQUAL(fmx_registry_import(registry, next_row, NULL, &rows, &row, SAID),
                        FMX_E_ARGUMENT);
        CU_ASSERT_EQUAL(row, wrong[i].row);
        CU_ASSERT(says(wrong[i].words));
        CU_ASSERT_STRING_EQUAL(walk_devices(registry, NULL, 9), "pump/there ");
    }
    const struct fmx_device good[] = {
        {.product_key = "valve", .device_name = "two"},
        {.product_key = "pump", .device_name = "one", .secret = "given"},
        {.product_key = "pump", .device_name = "off", .status = FMX_REGISTRY_DISABLED},
    };
    struct rows failing = {.devices = good, .count = 3, .at_end = FMX_E_DONE};
    CU_ASSERT_EQUAL(fmx_registry_import(registry, next_row, NULL, &failing, &row, SAID),
                    FMX_E_DONE);
    CU_ASSERT_STRING_EQUAL(walk_devices(registry, NULL, 9), "pump/there ");
    struct rows rows = {.devices = good, .count = 3, .at_end = FMX_END};
    CU_ASSERT_EQUAL(fmx_registry_import(registry, next_row, NULL, &rows, &row, SAID), FMX_OK);
    CU_ASSERT_EQUAL(row, 3);
    CU_ASSERT_STRING_EQUAL(walk_devices(registry, NULL, 9),
                           "pump/off pump/one pump/there valve/two ");
    struct fmx_device device;
    CU_ASSERT_EQUAL(fmx_registry_device_find(registry, "pump", "one", &device, SAID), FMX_OK);
    CU_ASSERT_STRING_EQUAL(device.secret, "given");
    CU_ASSERT_EQUAL(fmx_registry_device_find(registry, "pump", "off", &device, SAID), FMX_OK);
    CU_ASSERT(strlen(device.secret) == 32 && device.status == FMX_REGISTRY_DISABLED);
    struct rows nothing = {.at_end = FMX_END};
    CU_ASSERT_EQUAL(fmx_registry_import(registry, next_row, NULL, &nothing, &row, SAID), FMX_OK);
    CU_ASSERT_EQUAL(row, 0);
    fmx_registry_close(registry);
    remove_folder();
}

/* What others do while rows are being gathered. */
struct meddler {
    struct made_devices source;
    struct fmx_registry *other;
    bool deletes_product;
};

static enum fmx_status next_and_meddle(void *user, struct fmx_device *out_device)
{
    struct meddler *meddler = user;

    if (meddler->source.made == 5 && meddler->deletes_product) {
        CU_ASSERT_EQUAL(fmx_registry_product_delete(meddler->other, "pump", SAID), FMX_OK);
        add_product(meddler->other, "pump");
    } else if (meddler->source.made == 5) {
        add_device(meddler->other, "pump", "d-0000003", NULL);
    }
    return next_made(&meddler->source, out_device);
}

static void an_import_sees_what_others_did_meanwhile_and_keeps_nobody_waiting(void)
{
    struct fmx_registry *registry = make_registry();
    uint64_t row = 0;

    add_product(registry, "pump");
    for (int deletes = 0; deletes < 2; deletes++) {
        struct meddler meddler = {
            .source = {.product_key = "pump", .prefix = "d", .count = 10},
            .other = open_registry(),
            .deletes_product = deletes == 1,
        };
        CU_ASSERT_EQUAL(fmx_registry_import(registry, next_and_meddle, NULL, &meddler, &row, SAID),
                        FMX_E_ARGUMENT);
        CU_ASSERT_EQUAL(row, deletes == 1 ? 1 : 4);
        CU_ASSERT(says(deletes == 1 ? "has been deleted meanwhile" : "exists already"));
        fmx_registry_close(meddler.other);
    }
    import_devices(registry, "pump", "d", 10);
    fmx_registry_close(registry);
    remove_folder();
}

static uint64_t progress_calls, progress_rows;

static void note_progress(void *user, uint64_t rows)
{
    (void)user;
    progress_calls++;
    progress_rows = rows;
}

static void a_long_import_tells_how_far_it_is(void)
{
    struct fmx_registry *registry = make_registry();
    struct made_devices source = {.product_key = "pump", .prefix = "d", .count = 70000};
    uint64_t row = 0;

    add_product(registry, "pump");
    CU_ASSERT_EQUAL(fmx_registry_import(registry, next_made, note_progress, &source, &row, SAID),
                    FMX_OK);
    CU_ASSERT(progress_calls == 1 && progress_rows == 65536 && row == 70000);
    fmx_registry_close(registry);
    remove_folder();
}

/* ── the log of changes ── */

static int64_t number(struct fmx_registry *registry, const char *sql)
{
    int64_t result = -1;

    CU_ASSERT_EQUAL(fmx_registry_number(registry, -1, &result, sql, ""), FMX_OK);
    return result;
}

static void the_log_is_bounded_and_has_no_gaps(void)
{
    struct fmx_registry *registry = make_registry();
    int64_t rows = FMX_REGISTRY_CHANGES_MAX + 50;

    CU_ASSERT_EQUAL_FATAL(fmx_registry_edit(registry), FMX_OK);
    for (int64_t i = 0; i < rows; i++) {
        CU_ASSERT_EQUAL_FATAL(fmx_registry_log(registry, FMX_CHANGE_DEVICE, "pump", "one"), FMX_OK);
    }
    CU_ASSERT_EQUAL(fmx_registry_end_edit(registry, FMX_OK), FMX_OK);
    CU_ASSERT_EQUAL(fmx_registry_edit(registry), FMX_OK);
    CU_ASSERT_EQUAL(fmx_registry_log(registry, FMX_CHANGE_DEVICE, "pump", "one"), FMX_OK);
    CU_ASSERT_EQUAL(fmx_registry_end_edit(registry, FMX_E_DONE), FMX_E_DONE);
    add_product(registry, "pump");
    CU_ASSERT_EQUAL(number(registry, "SELECT max(seq) FROM change"), rows + 1);
    CU_ASSERT_EQUAL(number(registry, "SELECT count(*) FROM change"), FMX_REGISTRY_CHANGES_MAX);
    CU_ASSERT_EQUAL(number(registry, "SELECT max(seq) - min(seq) + 1 FROM change"),
                    FMX_REGISTRY_CHANGES_MAX);
    import_devices(registry, "pump", "d", 100);
    CU_ASSERT_EQUAL(number(registry, "SELECT max(seq) FROM change"), rows + 2);
    fmx_registry_close(registry);
    remove_folder();
}

/* ── signing ── */

static void a_connect_is_signed_as_devices_sign(void)
{
    struct fmx_signed_connect made;

    CU_ASSERT_EQUAL_FATAL(
        fmx_sign_connect("a1B2c3", "pump-1", "0123456789abcdef", NULL, &made, SAID), FMX_OK);
    CU_ASSERT_STRING_EQUAL(
        made.client_id,
        "a1B2c3.pump-1|timestamp=2524608000000,securemode=3,signmethod=hmacsha256|");
    CU_ASSERT_STRING_EQUAL(made.username, "pump-1&a1B2c3");
    /* printf %s clientIda1B2c3.pump-1deviceNamepump-1productKeya1B2c3timestamp2524608000000 |
       openssl dgst -sha256 -hmac 0123456789abcdef */
    CU_ASSERT_STRING_EQUAL(made.password,
                           "EDC71BB3D0AC7232064041C956C34AB454741AE1B8A0D6388D43432B3D4341F0");
    const struct fmx_sign_options options = {.client_id = "logical",
                                             .method = "hmacmd5",
                                             .timestamp = "",
                                             .extra = "_ss=1,ext=3",
                                             .secure_mode = 2};
    CU_ASSERT_EQUAL_FATAL(
        fmx_sign_connect("a1B2c3", "pump-1", "0123456789abcdef", &options, &made, SAID), FMX_OK);
    CU_ASSERT_STRING_EQUAL(made.client_id, "logical|securemode=2,signmethod=hmacmd5,_ss=1,ext=3|");
    /* the same of clientIdlogicaldeviceNamepump-1productKeya1B2c3 with -md5 */
    CU_ASSERT_STRING_EQUAL(made.password, "D4ECC8E9B550039F1037ADA45D596892");
}

static void what_cannot_be_signed_is_refused_by_the_field(void)
{
    static char long_id[300], long_extra[500];
    static const struct {
        const char *product_key, *device_name, *secret;
        struct fmx_sign_options options;
        const char *words;
    } wrong[] = {
        {NULL, "d", "s", {0}, "are needed"},
        {"p/p", "d", "s", {0}, "product key:"},
        {"p", "d&d", "s", {0}, "device name:"},
        {"p", "d", "", {0}, "secret"},
        {"p", "d", "s", {.client_id = "a|b"}, "client id must be"},
        {"p", "d", "s", {.client_id = long_id}, "client id must be"},
        {"p", "d", "s", {.method = "sha256"}, "method must be"},
        {"p", "d", "s", {.timestamp = "now"}, "timestamp must be"},
        {"p", "d", "s", {.extra = "a|b"}, "extra options"},
        {"p", "d", "s", {.extra = long_extra}, "longer than 511 bytes"},
    };
    struct fmx_signed_connect made;

    memset(long_id, 'x', sizeof(long_id) - 1);
    memset(long_extra, 'x', sizeof(long_extra) - 1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CU_ASSERT_EQUAL(fmx_sign_connect(wrong[i].product_key, wrong[i].device_name,
                                         wrong[i].secret, &wrong[i].options, &made, SAID),
                        FMX_E_ARGUMENT);
        CU_ASSERT(says(wrong[i].words));
        CU_ASSERT(made.client_id[0] == '\0' && made.password[0] == '\0');
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_new_registry_is_private_and_can_be_opened),
    FMX_TEST_CASE(create_takes_no_file_that_exists_and_no_folder_that_does_not),
    FMX_TEST_CASE(open_tells_what_is_no_registry),
    FMX_TEST_CASE(open_takes_no_newer_version),
    FMX_TEST_CASE(damage_is_told_with_what_to_do),
    FMX_TEST_CASE(a_lock_is_told_after_a_while),
    FMX_TEST_CASE(a_product_is_added_with_what_is_not_said),
    FMX_TEST_CASE(a_product_is_added_and_changed_as_said),
    FMX_TEST_CASE(a_malformed_product_is_refused_by_the_field),
    FMX_TEST_CASE(what_changes_a_product_wants_one_that_is_there),
    FMX_TEST_CASE(topic_classes_are_set_and_removed),
    FMX_TEST_CASE(a_device_is_added_found_changed_and_deleted),
    FMX_TEST_CASE(a_malformed_device_is_refused_by_the_field),
    FMX_TEST_CASE(a_product_that_is_deleted_takes_everything_with_it),
    FMX_TEST_CASE(walks_go_by_name_and_end_when_told),
    FMX_TEST_CASE(an_import_is_all_or_nothing),
    FMX_TEST_CASE(an_import_sees_what_others_did_meanwhile_and_keeps_nobody_waiting),
    FMX_TEST_CASE(a_long_import_tells_how_far_it_is),
    FMX_TEST_CASE(the_log_is_bounded_and_has_no_gaps),
    FMX_TEST_CASE(a_connect_is_signed_as_devices_sign),
    FMX_TEST_CASE(what_cannot_be_signed_is_refused_by_the_field),
};

int main(int argc, char **argv)
{
    return fmx_test_main("registry", cases, sizeof cases / sizeof cases[0], argc, argv);
}
