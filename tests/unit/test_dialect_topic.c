/*
 * test_dialect_topic — whose a topic is, who may use it, classes against a twin, owners, call ids
 */
#include "proto/dialect.h"
#include "proto/topic.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdio.h>

#define CALL_ID "889455942124347392"

enum { NONE = 0, P = 1, S = 2, PS = 3 };

struct row {
    const char *topic;
    enum fmx_topic_use use;
    int may; /* of P and S */
    const char *rest;
    const char *message_id;
};

static struct fmx_dialect_topic ask_name(const char *name)
{
    return fmx_dialect_topic_name(fmx_slice_of(name), fmx_slice_of("pk"), fmx_slice_of("dn"));
}

static struct fmx_dialect_topic ask_filter(const char *filter)
{
    return fmx_dialect_topic_filter(fmx_slice_of(filter), fmx_slice_of("pk"), fmx_slice_of("dn"));
}

static bool is(fmx_slice slice, const char *text)
{
    return fmx_slice_equal(slice, fmx_slice_of(text != NULL ? text : ""));
}

static void expect_row(const struct row *row, struct fmx_dialect_topic topic)
{
    int may = (topic.may_publish ? P : 0) | (topic.may_subscribe ? S : 0);

    if (topic.use != row->use || may != row->may || !is(topic.rest, row->rest) ||
        !is(topic.message_id, row->message_id)) {
        printf("%s: use %d, may %d, rest '%.*s', id '%.*s'\n", row->topic, (int)topic.use, may,
               (int)topic.rest.bytes, (const char *)topic.rest.data, (int)topic.message_id.bytes,
               (const char *)topic.message_id.data);
        CU_FAIL("a row of the table does not hold");
    }
}

/* ── names ── */

static void name_of_the_device_has_its_use_and_permission(void)
{
    static const struct row rows[] = {
        {"/pk/dn/user/get", FMX_USE_CUSTOM, PS, "user/get", NULL},
        {"/pk/dn/user/a/b/c", FMX_USE_CUSTOM, PS, "user/a/b/c", NULL},
        {"/pk/dn/user//", FMX_USE_CUSTOM, PS, "user//", NULL},
        {"/sys/pk/dn/rrpc/request/" CALL_ID, FMX_USE_RRPC, S, NULL, CALL_ID},
        {"/sys/pk/dn/rrpc/response/" CALL_ID, FMX_USE_RRPC, P, NULL, CALL_ID},
        {"/ext/rrpc/" CALL_ID "/pk/dn/user/get", FMX_USE_RRPC_CUSTOM, PS, "/pk/dn/user/get",
         CALL_ID},
        {"/ext/rrpc/" CALL_ID "/sys/pk/dn/thing/service/set", FMX_USE_RRPC_CUSTOM, PS,
         "/sys/pk/dn/thing/service/set", CALL_ID},
        {"/ext/rrpc/1/sys/pk/dn/thing/event/property/post", FMX_USE_RRPC_CUSTOM, NONE,
         "/sys/pk/dn/thing/event/property/post", "1"},
        {"/ext/ntp/pk/dn/request", FMX_USE_NTP, P, NULL, NULL},
        {"/ext/ntp/pk/dn/response", FMX_USE_NTP, S, NULL, NULL},
        {"/ext/ntp/pk/dn/other", FMX_USE_NTP, NONE, NULL, NULL},
        {"/ext/error/pk/dn", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ext/error/pk/dn/", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/ext/register", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ext/regnwl", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ext/auth/identity/response", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ext/session/pk/dn/combine/login", FMX_USE_SYSTEM, P, NULL, NULL},
        {"/ext/session/pk/dn/combine/login_reply", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ext/session/pk/dn/combine/batch_logout", FMX_USE_SYSTEM, P, NULL, NULL},
        {"/ext/session/pk/dn/combine/batch_logout_reply", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ext/session/pk/dn/combine/other", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/ota/device/inform/pk/dn", FMX_USE_SYSTEM, P, NULL, NULL},
        {"/ota/device/progress/pk/dn", FMX_USE_SYSTEM, P, NULL, NULL},
        {"/ota/device/request/pk/dn", FMX_USE_SYSTEM, P, NULL, NULL},
        {"/ota/device/upgrade/pk/dn", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ota/device/upgrade/pk/dn/x", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/ota/device/other/pk/dn", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/shadow/update/pk/dn", FMX_USE_SYSTEM, P, NULL, NULL},
        {"/shadow/get/pk/dn", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/shadow/get_reply/pk/dn", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/broadcast/pk/a", FMX_USE_BROADCAST, S, NULL, NULL},
        {"/broadcast/pk/a/b", FMX_USE_BROADCAST, S, NULL, NULL},
        {"/sys/pk/dn/broadcast/request/123", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/sys/pk/dn/broadcast/request/123_reply", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/sys/pk/dn/broadcast/other", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/sys/pk/dn/other", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/sys/pk/dn", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/sys/pk/dn/", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/sys/pk/dn/thing", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/sys/pk/dn/thing/", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/sys/pk/dn/thingy/a", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/sys/pk/dn/rrpc/", FMX_USE_RRPC, NONE, NULL, NULL},
        {"/sys/pk/dn/rrpc/request", FMX_USE_RRPC, NONE, NULL, NULL},
        {"/sys/pk/dn/rrpc/request/", FMX_USE_RRPC, NONE, NULL, NULL},
        {"/sys/pk/dn/rrpc/response/1/2", FMX_USE_RRPC, NONE, NULL, "1"},
        {"/sys/pk/dn/rrpc/other/1", FMX_USE_RRPC, NONE, NULL, "1"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_row(&rows[i], ask_name(rows[i].topic));
    }
    CU_PASS("all rows were asked");
}

static void name_below_thing_has_its_direction(void)
{
    static const struct {
        const char *path;
        int may;
    } rows[] = {
        {"thing/event/property/post", P},
        {"thing/event/property/post_reply", S},
        {"thing/event/alarm/post", P},
        {"thing/event/alarm/post_reply", S},
        {"thing/event/property/batch/post", P},
        {"thing/event/property/history/post", P},
        {"thing/event/property/history/post_reply", S},
        {"thing/service/property/set", S},
        {"thing/service/property/set_reply", P},
        {"thing/service/property/get", S},
        {"thing/service/reboot", S},
        {"thing/service/reboot_reply", P},
        {"thing/model/up_raw", P},
        {"thing/model/up_raw_reply", S},
        {"thing/model/down_raw", S},
        {"thing/model/down_raw_reply", P},
        {"thing/property/desired/get", P},
        {"thing/property/desired/get_reply", S},
        {"thing/property/desired/delete_reply", S},
        {"thing/deviceinfo/update", P},
        {"thing/deviceinfo/update_reply", S},
        {"thing/deviceinfo/delete_reply", S},
        {"thing/dsltemplate/get_reply", S},
        {"thing/dynamicTsl/get_reply", S},
        {"thing/config/get", P},
        {"thing/config/get_reply", S},
        {"thing/config/push", S},
        {"thing/config/push_reply", PS}, /* one SDK subscribes to it */
        {"thing/config/log/get_reply", S},
        {"thing/config/log/push", S},
        {"thing/log/post", P},
        {"thing/ota/firmware/get", P},
        {"thing/ota/firmware/get_reply", S},
        {"thing/job/get", P},
        {"thing/job/get_reply", S},
        {"thing/job/update_reply", S},
        {"thing/job/notify", S},
        {"thing/bootstrap/notify", S},
        {"thing/secure_tunnel/notify", S},
        {"thing/reset", P},
        {"thing/reset_reply", S},
        {"thing/topo/add", P},
        {"thing/topo/add_reply", S},
        {"thing/topo/delete_reply", S},
        {"thing/topo/get_reply", S},
        {"thing/topo/add/notify", S},
        {"thing/topo/change", S},
        {"thing/sub/register", P},
        {"thing/sub/register_reply", S},
        {"thing/sub/unregister_reply", S},
        {"thing/proxy/provisioning/product_register_reply", S},
        {"thing/list/found_reply", S},
        {"thing/gateway/permit", S},
        {"thing/disable", S},
        {"thing/disable_reply", P},
        {"thing/enable", S},
        {"thing/delete", S},
        {"thing/not/yet/known", PS},
        {"thing/_reply", PS},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "/sys/pk/dn/%s", rows[i].path);
        struct row row = {name, FMX_USE_THING, rows[i].may, rows[i].path, NULL};
        expect_row(&row, ask_name(name));
        row.may &= S;
        expect_row(&row, ask_filter(name));
    }
    CU_PASS("all rows were asked");
}

static void name_of_another_is_foreign(void)
{
    static const char *const names[] = {
        "a",
        "/",
        "//",
        "/pk",
        "/pk/dn",
        "/pk/dn/",
        "/pk/dn/user",
        "/pk/dn/user/",
        "/pk/dn/users/a",
        "/pk/dn/get",
        "pk/dn/user/get",
        "/pk/dn2/user/get",
        "/pk/d/user/get",
        "/pk2/dn/user/get",
        "/PK/dn/user/get",
        "//dn/user/get",
        "/dn/pk/user/get",
        "/sys/pk/dn2/thing/event/property/post",
        "/sys/pk2/dn/thing/event/property/post",
        "/sys/pk",
        "/sys//dn/thing/a",
        "/sys",
        "/sysx/pk/dn/thing/a",
        "sys/pk/dn/thing/a",
        "/ota/device/upgrade/pk/dn2",
        "/ota/device/pk/dn",
        "/ota/device//pk/dn",
        "/ota/upgrade/pk/dn",
        "/shadow/get/pk/dn2",
        "/shadow/pk/dn",
        "/ext/ntp/pk/dn2/request",
        "/ext/error/pk/dn2",
        "/ext/error/pk",
        "/ext/session/pk/dn2/combine/login",
        "/ext/register/x",
        "/ext/other/pk/dn",
        "/ext/auth/identity",
        "/broadcast/pk2/a",
        "/broadcast/pk",
        "/broadcast/pk/",
        "/broadcast//a",
        "/as/mqtt/status/pk/dn",
        "/ext/rrpc/7/pk/dn2/user/get",
        "/ext/rrpc/7/sys/pk/dn2/thing/service/set",
        "/ext/rrpc/7/sys/pk/dn/rrpc/request/1",
        "/ext/rrpc/7/ext/rrpc/1/pk/dn/user/get",
        "/ext/rrpc/7/ext/register",
        "/ext/rrpc/7/broadcast/pk/a",
        "/ext/rrpc/7/ext/ntp/pk/dn/response",
        "/ext/rrpc/7",
        "/ext/rrpc/7/",
        "/ext/rrpc/",
        "/ext/rrpc//pk/dn/user/get",
        "$SYS/pk/dn",
        "$share/g//pk/dn/user/get",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct row row = {names[i], FMX_USE_FOREIGN, NONE, NULL, NULL};
        expect_row(&row, ask_name(names[i]));
        expect_row(&row, ask_filter(names[i]));
    }
    CU_PASS("all rows were asked");
}

/* ── filters ── */

static void filter_of_the_device_has_its_use(void)
{
    static const struct row rows[] = {
        {"/pk/dn/user/#", FMX_USE_CUSTOM, S, "user/#", NULL},
        {"/pk/dn/user/+/get", FMX_USE_CUSTOM, S, "user/+/get", NULL},
        {"/sys/pk/dn/#", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/sys/pk/dn/+/+/+", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/sys/pk/dn/thing/#", FMX_USE_THING, S, "thing/#", NULL},
        {"/sys/pk/dn/thing/service/+", FMX_USE_THING, S, "thing/service/+", NULL},
        {"/sys/pk/dn/thing/service/#", FMX_USE_THING, S, "thing/service/#", NULL},
        {"/sys/pk/dn/thing/service/property/+", FMX_USE_THING, S, "thing/service/property/+", NULL},
        {"/sys/pk/dn/thing/event/+/post_reply", FMX_USE_THING, S, "thing/event/+/post_reply", NULL},
        {"/sys/pk/dn/thing/event/+/post", FMX_USE_THING, NONE, "thing/event/+/post", NULL},
        {"/sys/pk/dn/rrpc/request/+", FMX_USE_RRPC, S, NULL, "+"},
        {"/sys/pk/dn/rrpc/request/#", FMX_USE_RRPC, S, NULL, "#"},
        {"/sys/pk/dn/rrpc/request/7", FMX_USE_RRPC, S, NULL, "7"},
        {"/sys/pk/dn/rrpc/request", FMX_USE_RRPC, NONE, NULL, NULL},
        {"/sys/pk/dn/rrpc/response/+", FMX_USE_RRPC, NONE, NULL, "+"},
        {"/sys/pk/dn/rrpc/+/+", FMX_USE_RRPC, S, NULL, "+"},
        {"/sys/pk/dn/rrpc/#", FMX_USE_RRPC, S, NULL, NULL},
        {"/sys/pk/dn/broadcast/request/+", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/sys/pk/dn/other/#", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ext/rrpc/+/pk/dn/user/get", FMX_USE_RRPC_CUSTOM, S, "/pk/dn/user/get", "+"},
        {"/ext/rrpc/+/pk/dn/user/#", FMX_USE_RRPC_CUSTOM, S, "/pk/dn/user/#", "+"},
        {"/ext/rrpc/9/pk/dn/user/+", FMX_USE_RRPC_CUSTOM, S, "/pk/dn/user/+", "9"},
        {"/ext/rrpc/+/sys/pk/dn/thing/service/+", FMX_USE_RRPC_CUSTOM, S,
         "/sys/pk/dn/thing/service/+", "+"},
        {"/ext/rrpc/+/sys/pk/dn/#", FMX_USE_RRPC_CUSTOM, S, "/sys/pk/dn/#", "+"},
        {"/ext/ntp/pk/dn/response", FMX_USE_NTP, S, NULL, NULL},
        {"/ext/ntp/pk/dn/request", FMX_USE_NTP, NONE, NULL, NULL},
        {"/ext/ntp/pk/dn/+", FMX_USE_NTP, S, NULL, NULL},
        {"/ext/error/pk/dn", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ext/error/pk/dn/#", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ext/session/pk/dn/#", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ext/session/pk/dn/combine/+", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ext/register", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ota/device/upgrade/pk/dn", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/ota/device/inform/pk/dn", FMX_USE_SYSTEM, NONE, NULL, NULL},
        {"/ota/device/+/pk/dn", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/shadow/+/pk/dn", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/shadow/get/pk/dn/#", FMX_USE_SYSTEM, S, NULL, NULL},
        {"/broadcast/pk/a/b", FMX_USE_BROADCAST, S, NULL, NULL},
        {"/broadcast/pk/#", FMX_USE_BROADCAST, NONE, NULL, NULL},
        {"/broadcast/pk/+", FMX_USE_BROADCAST, NONE, NULL, NULL},
        {"/broadcast/pk/a/#", FMX_USE_BROADCAST, NONE, NULL, NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_row(&rows[i], ask_filter(rows[i].topic));
    }
    CU_PASS("all rows were asked");
}

static void filter_that_may_match_another_is_foreign(void)
{
    static const char *const filters[] = {
        "#",
        "+",
        "/#",
        "/+/#",
        "/+/+/user/get",
        "/pk/+/user/get",
        "/+/dn/user/get",
        "/pk/#",
        "/pk/dn/#",
        "/pk/dn/+/get",
        "/+/pk/dn/thing/service/property/set",
        "+/pk/dn/user/get",
        "/sys/#",
        "/sys/pk/#",
        "/sys/+/dn/#",
        "/sys/pk/+/thing/service/property/set",
        "/sys/+/+/rrpc/request/+",
        "/ext/#",
        "/ext/rrpc/#",
        "/ext/rrpc/+",
        "/ext/rrpc/+/#",
        "/ext/rrpc/+/pk/#",
        "/ext/rrpc/+/+/dn/user/get",
        "/ext/rrpc/+/+/+/user/get",
        "/ext/rrpc/+/sys/pk/#",
        "/ext/rrpc/+/ext/rrpc/+/pk/dn/user/get",
        "/ext/+/pk/dn",
        "/ext/+/+/pk/dn/user/get",
        "/ext/+",
        "/ext/error/+/dn",
        "/ext/session/pk/#",
        "/ext/ntp/pk/+/response",
        "/ota/#",
        "/ota/device/#",
        "/ota/+/upgrade/pk/dn",
        "/ota/device/upgrade/pk/+",
        "/ota/device/upgrade/+/dn",
        "/shadow/#",
        "/shadow/get/pk/#",
        "/broadcast/#",
        "/broadcast/+/a",
        "/broadcast/pk2/a",
    };

    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        struct row row = {filters[i], FMX_USE_FOREIGN, NONE, NULL, NULL};
        expect_row(&row, ask_filter(filters[i]));
    }
    CU_PASS("all rows were asked");
}

/* ── a device's own topics against every other device's, at random ── */

static const fmx_slice no_name;

static size_t random_topic(struct fmx_prng *prng, bool is_filter, char *out, size_t room)
{
    static const char *const words[] = {
        "sys",     "ext",      "ota",   "device", "shadow",  "broadcast",   "rrpc", "ntp",
        "error",   "session",  "thing", "user",   "request", "response",    "get",  "service",
        "upgrade", "register", "pk",    "pk",     "pk",      "dn",          "dn",   "dn",
        "pk2",     "dn2",      "",      "123",    "combine", "login_reply",
    };
    static const char *const starts[] = {
        "",       "/sys/pk",     "/sys/pk/dn/",    "/ota/device", "/ext/rrpc/1",
        "/pk/dn", "/ext/rrpc/+", "/broadcast/pk/", "/pk/dn/user", "/ext/rrpc/1/sys/pk/dn",
    };
    const char *start = starts[fmx_prng_below(prng, sizeof starts / sizeof starts[0])];
    size_t levels = 1 + (size_t)fmx_prng_below(prng, 6);
    size_t used = (size_t)snprintf(out, room, "%s", is_filter || !strchr(start, '+') ? start : "");

    for (size_t i = 0; i < levels; i++) {
        uint64_t dice = fmx_prng_below(prng, 40);
        bool is_wild = is_filter && dice >= 30;
        const char *word = !is_wild ? words[dice % 30] : dice > 36 && i + 1 == levels ? "#" : "+";
        used += (size_t)snprintf(out + used, room - used, "/%s", word);
    }
    return used;
}

/* A name that the filter matches: something else for each wildcard. */
static size_t fill_in(struct fmx_prng *prng, const char *filter, char *out, size_t room)
{
    static const char *const words[] = {"",        "pk",       "dn",    "pk2",      "dn2",
                                        "user",    "get",      "sys",   "rrpc",     "123",
                                        "upgrade", "response", "thing", "register", "x"};
    size_t used = 0;

    for (; *filter != '\0'; filter++) {
        const char *word = words[fmx_prng_below(prng, sizeof words / sizeof words[0])];
        if (*filter == '+' || *filter == '#') {
            used += (size_t)snprintf(out + used, room - used, "%s", word);
        } else {
            out[used++] = *filter;
        }
    }
    out[used] = '\0';
    return used;
}

static bool has_owner(fmx_slice name, const char *product_key, const char *device_name)
{
    fmx_slice key = no_name;
    fmx_slice device = no_name;

    return fmx_dialect_topic_owner(name, &key, &device) && is(key, product_key) &&
           is(device, device_name);
}

static void name_is_its_owners_alone_and_every_own_name_has_its_owner(void)
{
    static const char *const devices[][2] = {
        {"pk", "dn"}, {"pk", "dn2"}, {"pk2", "dn"}, {"dn", "pk"}, {"user", "user"}};
    unsigned owned = 0;
    char text[256];

    for (uint64_t seed = 1; seed <= 100000; seed++) {
        struct fmx_prng prng = {.state = seed};
        fmx_slice name = {(uint8_t *)text, random_topic(&prng, false, text, sizeof text)};
        for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
            struct fmx_dialect_topic topic = fmx_dialect_topic_name(
                name, fmx_slice_of(devices[i][0]), fmx_slice_of(devices[i][1]));
            bool is_owner = has_owner(name, devices[i][0], devices[i][1]);
            bool is_shared = topic.use == FMX_USE_BROADCAST || is(name, "/ext/register") ||
                             is(name, "/ext/regnwl");
            bool is_foreign = topic.use == FMX_USE_FOREIGN;
            /* a call that cannot be made still names whom it was for */
            FMX_SEED_ASSERT(seed, is_shared || is_foreign || is_owner);
            FMX_SEED_ASSERT(seed, !is_foreign || !(topic.may_publish || topic.may_subscribe));
            owned += is_owner;
        }
    }
    CU_ASSERT(owned > 20000);
}

static void filter_of_a_device_matches_nothing_of_another(void)
{
    unsigned matched = 0;
    char filter_text[256];
    char name_text[256];

    for (uint64_t seed = 1; seed <= 300000; seed++) {
        struct fmx_prng prng = {.state = seed};
        fmx_slice filter = {(uint8_t *)filter_text,
                            random_topic(&prng, true, filter_text, sizeof filter_text)};
        fmx_slice name = {(uint8_t *)name_text,
                          seed % 2 == 0 ? random_topic(&prng, false, name_text, sizeof name_text)
                                        : fill_in(&prng, filter_text, name_text, sizeof name_text)};
        fmx_slice key = no_name;
        fmx_slice device = no_name;
        struct fmx_dialect_topic topic = ask_filter(filter_text);
        FMX_SEED_ASSERT(seed, !topic.may_publish);
        if (topic.use == FMX_USE_FOREIGN || !fmx_topic_matches(filter, name)) {
            continue;
        }
        matched++;
        FMX_SEED_ASSERT(seed, !fmx_dialect_topic_owner(name, &key, &device) ||
                                  (is(key, "pk") && is(device, "dn")));
        FMX_SEED_ASSERT(seed, strstr(name_text, "/broadcast/pk2") != name_text);
    }
    CU_ASSERT(matched > 30000);
}

/* ── without a subscription ── */

static bool is_auto(const char *name, bool auto_subscribe, uint32_t ext)
{
    return fmx_dialect_is_auto(fmx_slice_of(name), fmx_slice_of("pk"), fmx_slice_of("dn"),
                               auto_subscribe, ext);
}

static void everything_of_the_system_comes_with_auto_subscribe(void)
{
    static const char *const names[] = {
        "/sys/pk/dn/thing/event/property/post_reply",
        "/sys/pk/dn/thing/service/property/set",
        "/sys/pk/dn/thing/service/reboot",
        "/sys/pk/dn/thing/something/new",
        "/sys/pk/dn/rrpc/request/7",
        "/sys/pk/dn/broadcast/request/1",
        "/ext/ntp/pk/dn/response",
        "/ext/error/pk/dn",
        "/ext/session/pk/dn/combine/login_reply",
        "/ota/device/upgrade/pk/dn",
        "/shadow/get/pk/dn",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CU_ASSERT(is_auto(names[i], true, 0));
        CU_ASSERT_FALSE(is_auto(names[i], false, FMX_EXT_RRPC));
    }
}

static void some_come_to_everybody(void)
{
    CU_ASSERT(is_auto("/ext/register", false, 0));
    CU_ASSERT(is_auto("/ext/regnwl", false, 0));
    CU_ASSERT(is_auto("/ext/auth/identity/response", false, 0));
    CU_ASSERT(is_auto("/ext/error/pk/dn", false, FMX_EXT_NOTIFY));
    CU_ASSERT_FALSE(is_auto("/ext/error/pk/dn", false, 0));
    CU_ASSERT_FALSE(is_auto("/ext/error/pk/dn2", true, FMX_EXT_NOTIFY));
}

static void calls_on_topics_come_as_far_as_they_are_wanted(void)
{
    static const char service[] = "/ext/rrpc/1/sys/pk/dn/thing/service/reboot";

    CU_ASSERT(is_auto(service, true, FMX_EXT_RRPC));
    CU_ASSERT_FALSE(is_auto(service, true, 0));
    CU_ASSERT_FALSE(is_auto(service, false, FMX_EXT_RRPC));
    CU_ASSERT_FALSE(is_auto("/ext/rrpc/1/pk/dn/user/get", true, FMX_EXT_RRPC));
}

static void what_needs_a_subscription_never_comes_without(void)
{
    static const char *const names[] = {
        "/pk/dn/user/get",
        "/broadcast/pk/a",
        "/sys/pk/dn/thing/event/property/post",
        "/sys/pk/dn/rrpc/response/1",
        "/sys/pk/dn2/thing/service/property/set",
        "/ext/ntp/pk/dn/request",
        "/sys/pk/dn/other",
        "a",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CU_ASSERT_FALSE(is_auto(names[i], true, FMX_EXT_RRPC | FMX_EXT_NOTIFY));
    }
}

/* ── owners ── */

static void owner_is_found_wherever_it_stands(void)
{
    static const char *const owned[] = {
        "/sys/pk/dn/thing/service/property/set",
        "/sys/pk/dn/rrpc/request/1",
        "/pk/dn/user/get",
        "/ota/device/upgrade/pk/dn",
        "/shadow/get/pk/dn",
        "/ext/ntp/pk/dn/response",
        "/ext/error/pk/dn",
        "/ext/session/pk/dn/combine/login_reply",
        "/ext/rrpc/7/pk/dn/user/get",
        "/ext/rrpc/7/sys/pk/dn/thing/service/reboot",
    };
    static const char *const ownerless[] = {
        "/broadcast/pk/a",
        "/ext/register",
        "/ext/regnwl",
        "/ext/auth/identity/response",
        "/as/mqtt/status/pk/dn",
        "/as/mqtt/user/x",
        "/sys/sys/dn/thing/a",
        "/sys/pk",
        "/pk/dn/get",
        "/ext/rrpc/1/ext/rrpc/1/pk/dn/user/get",
        "/ext/rrpc/1/ext/register",
        "/ext/foo/user/get",
        "/sys/p\x01k/dn/thing/a",
        "/sys/0123456789012345678901234567890123/dn/thing/a",
        "a/b",
        "/",
    };
    fmx_slice key = no_name;
    fmx_slice device = no_name;

    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        CU_ASSERT(has_owner(fmx_slice_of(owned[i]), "pk", "dn"));
    }
    for (size_t i = 0; i < sizeof ownerless / sizeof ownerless[0]; i++) {
        CU_ASSERT_FALSE(fmx_dialect_topic_owner(fmx_slice_of(ownerless[i]), &key, &device));
    }
    CU_ASSERT_FALSE(fmx_dialect_topic_owner(no_name, &key, &device));
}

/* ── classes ── */

static void class_is_one_that_a_product_may_define(void)
{
    static const struct {
        const char *text;
        unsigned permission;
        bool is_good;
    } rows[] = {
        {"user/get", 2, true},    {"user/update", 1, true}, {"user/update/error", 3, true},
        {"user/+/get", 2, true},  {"user/#", 2, true},      {"user/+", 2, true},
        {"user/+/get", 1, false}, {"user/#", 3, false},     {"user/get", 0, false},
        {"user/get", 4, false},   {"", 2, false},           {"user", 2, false},
        {"user/", 2, false},      {"user//a", 2, false},    {"user/a/", 2, false},
        {"/user/a", 2, false},    {"users/a", 2, false},    {"+/a", 2, false},
        {"user/#/a", 2, false},   {"user/a#", 2, false},    {"user/a+", 2, false},
        {"user/\xff", 2, false},  {"user/温度/+", 2, true},
    };
    uint8_t text[FMX_TOPIC_CLASS_BYTES_MAX + 1];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *fault =
            fmx_dialect_topic_class_fault(fmx_slice_of(rows[i].text), rows[i].permission);
        if ((fault == NULL) != rows[i].is_good) {
            printf("%s, %u: %s\n", rows[i].text, rows[i].permission, fault != NULL ? fault : "ok");
            CU_FAIL("a row of the table does not hold");
        }
        CU_ASSERT(fault == NULL || strlen(fault) <= 120);
    }
    memset(text, 'a', sizeof text);
    memcpy(text, "user/", 5);
    CU_ASSERT_PTR_NULL(fmx_dialect_topic_class_fault((fmx_slice){text, sizeof text - 1}, 1));
    CU_ASSERT_PTR_NOT_NULL(fmx_dialect_topic_class_fault((fmx_slice){text, sizeof text}, 1));
}

/* Topics below "user" out of an alphabet; valid filters only. */
struct crowd {
    char text[4000][16];
    size_t count;
};

static void gather_behind(struct crowd *crowd, const char *front, const char *const *words)
{
    for (; *words != NULL; words++) {
        char topic[16];
        (void)snprintf(topic, sizeof topic, "%.12s/%s", front, *words);
        if (fmx_topic_check_filter(fmx_slice_of(topic)) == FMX_OK) {
            CU_ASSERT_FATAL(crowd->count < sizeof crowd->text / sizeof crowd->text[0]);
            memcpy(crowd->text[crowd->count++], topic, sizeof topic);
        }
    }
}

/* All of 1 … `depth` levels, level by level: what was gathered is the front of what follows. */
static void gather(struct crowd *crowd, const char *const *words, size_t depth)
{
    size_t from = 0;

    crowd->count = 0;
    gather_behind(crowd, "user", words);
    for (size_t level = 1; level < depth; level++) {
        size_t to = crowd->count;
        for (; from < to; from++) {
            gather_behind(crowd, crowd->text[from], words);
        }
    }
}

/* The twin: a filter is covered if every name that it matches, matches the class. */
static bool twin_covers(const char *topic_class, const char *filter, const struct crowd *names)
{
    for (size_t i = 0; i < names->count; i++) {
        fmx_slice name = fmx_slice_of(names->text[i]);
        if (fmx_topic_matches(fmx_slice_of(filter), name) &&
            !fmx_topic_matches(fmx_slice_of(topic_class), name)) {
            return false;
        }
    }
    return true;
}

static void class_covers_a_filter_as_its_twin_says(void)
{
    /* "c" is in no filter and names go deeper than filters: what is enough to tell them apart */
    static const char *const of_filters[] = {"a", "b", "", "+", "#", NULL};
    static const char *const of_names[] = {"a", "b", "", "c", NULL};
    static struct crowd filters;
    static struct crowd names;
    size_t covered = 0;

    gather(&filters, of_filters, 3);
    gather(&names, of_names, 4);
    memcpy(names.text[names.count++], "user", 5);
    for (size_t c = 0; c < filters.count; c++) {
        for (size_t f = 0; f < filters.count; f++) {
            bool covers = fmx_dialect_topic_class_covers(fmx_slice_of(filters.text[c]),
                                                         fmx_slice_of(filters.text[f]), true);
            covered += covers;
            if (covers != twin_covers(filters.text[c], filters.text[f], &names)) {
                printf("%s covering %s\n", filters.text[c], filters.text[f]);
                CU_FAIL_FATAL("covering and its twin differ");
            }
        }
    }
    CU_ASSERT(covered > 900);
}

static void class_covers_a_name_that_it_matches(void)
{
    static const struct {
        const char *topic_class;
        const char *rest;
        bool is_filter;
        bool covers;
    } rows[] = {
        {"user/get", "user/get", false, true},   {"user/get", "user/get2", false, false},
        {"user/get", "user", false, false},      {"user/+/get", "user/x/get", false, true},
        {"user/#", "user/a/b", false, true},     {"user/update", "user/update/error", false, false},
        {"user/get", "user/+", true, false},     {"user/get", "user/#", true, false},
        {"user/+", "user/+", true, true},        {"user/+", "user/#", true, false},
        {"user/+/get", "user/+/+", true, false}, {"user/+/+", "user/+/get", true, true},
        {"user/#", "user/+/get/#", true, true},  {"user/a/#", "user/a", true, true},
        {"user/a/+", "user/a", true, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CU_ASSERT_EQUAL(fmx_dialect_topic_class_covers(fmx_slice_of(rows[i].topic_class),
                                                       fmx_slice_of(rows[i].rest),
                                                       rows[i].is_filter),
                        rows[i].covers);
    }
}

/* ── call ids ── */

static void call_id_comes_back_as_it_went(void)
{
    static const uint64_t ends[] = {1000000000000000000u, 1000000000000000001u, INT64_MAX - 1,
                                    INT64_MAX};
    struct fmx_prng prng = {.state = 11};
    uint8_t digits[FMX_RRPC_ID_BYTES];
    uint64_t back;

    for (unsigned i = 0; i < 20000; i++) {
        uint64_t id = i < 4 ? ends[i] : ends[0] + fmx_prng_below(&prng, INT64_MAX - ends[0] + 1);
        fmx_dialect_rrpc_id_write(id, digits);
        CU_ASSERT(fmx_dialect_rrpc_id_read((fmx_slice){digits, sizeof digits}, &back));
        CU_ASSERT_EQUAL(back, id);
    }
    CU_ASSERT(is((fmx_slice){digits, 0}, ""));
    fmx_dialect_rrpc_id_write(INT64_MAX, digits);
    CU_ASSERT(is((fmx_slice){digits, sizeof digits}, "9223372036854775807"));
}

static void call_id_that_is_not_ours_is_refused(void)
{
    static const char *const texts[] = {
        "",
        "1",
        "999999999999999999",
        "0999999999999999999",
        "9223372036854775808",
        "9999999999999999999",
        "10000000000000000000",
        "-100000000000000000",
        "100000000000000000x",
        "+",
        "#",
    };
    uint64_t id;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CU_ASSERT_FALSE(fmx_dialect_rrpc_id_read(fmx_slice_of(texts[i]), &id));
    }
    CU_ASSERT(fmx_dialect_rrpc_id_read(fmx_slice_of("1000000000000000000"), &id));
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(name_of_the_device_has_its_use_and_permission),
    FMX_TEST_CASE(name_below_thing_has_its_direction),
    FMX_TEST_CASE(name_of_another_is_foreign),
    FMX_TEST_CASE(filter_of_the_device_has_its_use),
    FMX_TEST_CASE(filter_that_may_match_another_is_foreign),
    FMX_TEST_CASE(name_is_its_owners_alone_and_every_own_name_has_its_owner),
    FMX_TEST_CASE(filter_of_a_device_matches_nothing_of_another),
    FMX_TEST_CASE(everything_of_the_system_comes_with_auto_subscribe),
    FMX_TEST_CASE(some_come_to_everybody),
    FMX_TEST_CASE(calls_on_topics_come_as_far_as_they_are_wanted),
    FMX_TEST_CASE(what_needs_a_subscription_never_comes_without),
    FMX_TEST_CASE(owner_is_found_wherever_it_stands),
    FMX_TEST_CASE(class_is_one_that_a_product_may_define),
    FMX_TEST_CASE(class_covers_a_filter_as_its_twin_says),
    FMX_TEST_CASE(class_covers_a_name_that_it_matches),
    FMX_TEST_CASE(call_id_comes_back_as_it_went),
    FMX_TEST_CASE(call_id_that_is_not_ours_is_refused),
};

int main(int argc, char **argv)
{
    return fmx_test_main("dialect_topic", cases, sizeof cases / sizeof cases[0], argc, argv);
}
