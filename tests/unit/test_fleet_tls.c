/*
 * test_fleet_tls — TLS in a plan: what is refused, what the rest of the plan becomes, PSKs
 */
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_tls.h"
#include "tests/support/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ERROR_BYTES 512

static char long_text[2048];

/* A plan of one group with TLS. */
struct world {
    struct fmx_fleet_plan plan;
    struct fmx_fleet_group group;
    struct fmx_tls_client tls;
};

static void sound_world(struct world *world)
{
    static const char *const targets[] = {"127.0.0.1:8883"};
    struct fmx_fleet_group *group = &world->group;

    memset(long_text, 'x', sizeof long_text - 1);
    fmx_fleet_plan_init(&world->plan);
    fmx_fleet_group_init(group);
    fmx_tls_client_init(&world->tls);
    world->plan.groups = group;
    world->plan.groups_count = 1;
    group->targets = targets;
    group->targets_count = 1;
    group->platform.product_key = "pk";
    group->platform.secret = "secret";
    group->tls = &world->tls;
}

static enum fmx_status check(const struct world *world)
{
    char error[ERROR_BYTES];

    return fmx_fleet_plan_check(&world->plan, error, sizeof error);
}

/* ── what is refused ── */

#define SPOIL(name, ...)                                                                           \
    static void spoil_##name(struct world *world)                                                  \
    {                                                                                              \
        struct fmx_tls_client *tls = &world->tls;                                                  \
        (void)tls;                                                                                 \
        __VA_ARGS__                                                                                \
    }

SPOIL(min, tls->min = (enum fmx_tls_version)0x0300;)
SPOIL(max, tls->max = (enum fmx_tls_version)0x0305;)
SPOIL(order, tls->min = FMX_TLS_13; tls->max = FMX_TLS_12;)
SPOIL(psk_version, tls->psk = FMX_TLS_PSK_SDK; tls->min = FMX_TLS_13;)
SPOIL(psk, tls->psk = (enum fmx_tls_psk)4;)
SPOIL(insecure, tls->insecure = true; tls->ca = "ca.pem";)
SPOIL(empty_name, tls->server_name = "";)
SPOIL(long_name, tls->server_name = long_text;)
SPOIL(cert_alone, tls->cert = "a.crt";)
SPOIL(key_alone, tls->key = "a.key";)
SPOIL(key_of_each, tls->cert = "100%%.crt"; tls->key = "%i.key";)
SPOIL(cert_and_psk, tls->cert = "a"; tls->key = "b"; tls->psk = FMX_TLS_PSK_SECRET;)
SPOIL(cert_text, tls->cert = "%x.crt"; tls->key = "a.key";)
SPOIL(key_text, tls->cert = "%i.crt"; tls->key = "%i.%k";)
SPOIL(cert_length, tls->cert = long_text; tls->key = "a.key";)
SPOIL(no_identity, tls->psk = FMX_TLS_PSK_GIVEN; tls->psk_key = "00";)
SPOIL(no_key, tls->psk = FMX_TLS_PSK_GIVEN; tls->psk_identity = "a";)
SPOIL(empty_key, tls->psk = FMX_TLS_PSK_GIVEN; tls->psk_identity = "a"; tls->psk_key = "";)
SPOIL(odd_key, tls->psk = FMX_TLS_PSK_GIVEN; tls->psk_identity = "a"; tls->psk_key = "0";)
SPOIL(word_key, tls->psk = FMX_TLS_PSK_GIVEN; tls->psk_identity = "a"; tls->psk_key = "key!";)
SPOIL(long_key, tls->psk = FMX_TLS_PSK_GIVEN; tls->psk_identity = "a";
      memset(long_text, 'a', sizeof long_text - 1); tls->psk_key = long_text + 2047 - 130;)
SPOIL(empty_identity, tls->psk = FMX_TLS_PSK_GIVEN; tls->psk_identity = ""; tls->psk_key = "00";)
SPOIL(long_identity, tls->psk = FMX_TLS_PSK_GIVEN; tls->psk_identity = long_text + 2047 - 129;
      tls->psk_key = "00";)
SPOIL(identity_text, tls->psk = FMX_TLS_PSK_GIVEN; tls->psk_identity = "%q"; tls->psk_key = "00";)
SPOIL(stray_identity, tls->psk_identity = "a";)
SPOIL(stray_key, tls->psk = FMX_TLS_PSK_SDK; tls->psk_key = "00";)
SPOIL(no_device, tls->psk = FMX_TLS_PSK_SECRET; world->group.platform.product_key = NULL;)
SPOIL(registering, tls->psk = FMX_TLS_PSK_SDK; world->group.platform.product_secret = "s";
      world->group.platform.registration = FMX_FLEET_REGISTER_KNOWN;)
SPOIL(sdk_names, tls->psk = FMX_TLS_PSK_SDK;
      world->group.platform.product_key = "a_product_key_of_thirty_two_byte";
      world->group.platform.device_name = "a_device_name_of_sixty_bytes_as_long_as_it_may_be_%i";)
SPOIL(resume, tls->resume = 1.01;)
SPOIL(resume_nan, tls->resume = (double)NAN;)
SPOIL(record, tls->record_bytes_max = 511;)
SPOIL(large_record, tls->record_bytes_max = 16385;)
SPOIL(workers, world->plan.tls_limits.workers = 65;)
SPOIL(budget, world->plan.tls_limits.turn_budget_us = 49;)
SPOIL(partial, world->plan.tls_limits.partial_record_timeout_ms = 99;)

static const struct {
    void (*spoil)(struct world *world);
    const char *field;
    const char *fix;
} refusals[] = {
    {spoil_min, "tls.min", "FMX_TLS_10 to FMX_TLS_13"},
    {spoil_max, "tls.max", "FMX_TLS_10 to FMX_TLS_13"},
    {spoil_order, "tls.min", "write a lower tls.min"},
    {spoil_psk_version, "tls.min", "up to TLS 1.2"},
    {spoil_psk, "tls.psk", "0 to 3"},
    {spoil_insecure, "tls.ca", "leave one of them out"},
    {spoil_empty_name, "tls.server_name", "1 to 255"},
    {spoil_long_name, "tls.server_name", "1 to 255"},
    {spoil_cert_alone, "tls.key", "go together"},
    {spoil_key_alone, "tls.cert", "go together"},
    {spoil_key_of_each, "tls.key", "a certificate of its own"},
    {spoil_cert_and_psk, "tls.cert", "leave one of them out"},
    {spoil_cert_text, "tls.cert", "the variables are"},
    {spoil_key_text, "tls.key", "the variables are"},
    {spoil_cert_length, "tls.cert", "1023"},
    {spoil_no_identity, "tls.psk_identity", "is missing"},
    {spoil_no_key, "tls.psk_key", "is missing"},
    {spoil_empty_key, "tls.psk_key", "hex digits"},
    {spoil_odd_key, "tls.psk_key", "hex digits"},
    {spoil_word_key, "tls.psk_key", "hex digits"},
    {spoil_long_key, "tls.psk_key", "2 to 128 hex digits"},
    {spoil_empty_identity, "tls.psk_identity", "128 bytes"},
    {spoil_long_identity, "tls.psk_identity", "128 bytes"},
    {spoil_identity_text, "tls.psk_identity", "the variables are"},
    {spoil_stray_identity, "tls.psk_identity", "FMX_TLS_PSK_GIVEN"},
    {spoil_stray_key, "tls.psk_key", "FMX_TLS_PSK_GIVEN"},
    {spoil_no_device, "tls.psk", "product_key or device"},
    {spoil_registering, "tls.psk", "registration"},
    {spoil_sdk_names, "tls.psk_identity", "shorter names"},
    {spoil_resume, "tls.resume", "0 to 1"},
    {spoil_resume_nan, "tls.resume", "0 to 1"},
    {spoil_record, "tls.record_bytes_max", "512 to 16384"},
    {spoil_large_record, "tls.record_bytes_max", "512 to 16384"},
    {spoil_workers, "tls_limits.workers", "0 to 64"},
    {spoil_budget, "tls_limits.turn_budget_us", "50 to 100000"},
    {spoil_partial, "tls_limits.partial_record_timeout_ms", "100 to 600000"},
};

static void tls_that_cannot_be_is_refused_with_field_and_fix(void)
{
    struct world world;
    char error[ERROR_BYTES];

    sound_world(&world);
    CU_ASSERT_EQUAL(check(&world), FMX_OK);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        sound_world(&world);
        refusals[i].spoil(&world);
        error[0] = '\0';
        if (fmx_fleet_plan_check(&world.plan, error, sizeof error) != FMX_E_OPTION ||
            strstr(error, refusals[i].field) == NULL || strstr(error, refusals[i].fix) == NULL) {
            fprintf(stderr, "refusal %zu, of %s: '%s'\n", i, refusals[i].field, error);
            CU_FAIL("TLS that cannot be is refused");
        }
    }
}

static void what_devices_do_is_allowed(void)
{
    struct world world;
    struct fmx_tls_client *tls = &world.tls;

    sound_world(&world);
    tls->cert = "certs/%p/%d.crt";
    tls->key = "certs/%p/%d.key";
    CU_ASSERT_EQUAL(check(&world), FMX_OK);
    tls->cert = tls->key = "100%%.pem";
    CU_ASSERT_EQUAL(check(&world), FMX_OK);
    tls->cert = "%i.crt"; /* certificates of their own, one key */
    CU_ASSERT_EQUAL(check(&world), FMX_OK);
    tls->cert = tls->key = NULL;
    for (enum fmx_tls_psk psk = FMX_TLS_PSK_SDK; psk <= FMX_TLS_PSK_SECRET; psk++) {
        tls->psk = psk; /* tls.max stays above 1.2 */
        CU_ASSERT_EQUAL(check(&world), FMX_OK);
    }
    tls->psk = FMX_TLS_PSK_GIVEN;
    tls->psk_identity = "%u-%i";
    tls->psk_key = "00FFaa";
    world.group.platform.product_key = NULL;
    world.group.username = "user";
    CU_ASSERT_EQUAL(check(&world), FMX_OK);
}

/* ── what becomes of the rest of the plan ── */

static void say_nothing(void *user, enum fmx_log_level level, const char *line)
{
    (void)user;
    (void)level;
    (void)line;
}

static void look_at_defaults(struct fmx_fleet_plan *plan, uint32_t inflight, int secure_mode)
{
    struct fmx_fleet fleet = {0};
    char error[ERROR_BYTES] = "";

    CU_ASSERT_EQUAL(fmx_fleet_teams_open(&fleet, plan, error, sizeof error), FMX_OK);
    CU_ASSERT_EQUAL(fleet.plan.connects_inflight_max, inflight);
    CU_ASSERT_EQUAL(fleet.teams[0].plan.platform.secure_mode, secure_mode);
    fmx_fleet_teams_close(&fleet);
}

static void what_is_left_open_follows_the_channel(void)
{
    struct world world;

    sound_world(&world);
    world.tls.insecure = true; /* no authorities are read */
    world.plan.mux.log = say_nothing;
    look_at_defaults(&world.plan, 128, 2);
    world.group.tls = NULL;
    look_at_defaults(&world.plan, 1024, 3);
    world.group.tls = &world.tls;
    world.plan.connects_inflight_max = 7;
    world.group.platform.secure_mode = 3;
    look_at_defaults(&world.plan, 7, 3);
}

/* ── PSKs ── */

struct psk_case {
    enum fmx_tls_psk psk;
    const char *product_key;
    uint32_t number;
    const char *identity;
    const char *key;
};

static const struct psk_case psk_cases[] = {
    {FMX_TLS_PSK_SDK, "pk", 6, "devicename|hmacsha256|pk&device_7|2524608000000",
     "56EB8134EB4A5D6417AE883A88C2BFC91F46036BAB0A656C43AF1EBA5DA34782"},
    {FMX_TLS_PSK_SECRET, "pk", 6, "pk/device_7", "secret"},
    {FMX_TLS_PSK_GIVEN, "pk", 6, "pk.device_7:6", "key"},
    {FMX_TLS_PSK_GIVEN, NULL, 41, "fleetmux_42:41", "key"},
};

static void look_at_psk(const struct psk_case *wanted)
{
    struct fmx_fleet_tls shared = {.psk_key = "key", .psk_key_bytes = 3};
    static struct fmx_fleet_team team;
    struct fmx_fleet_psk psk;

    fmx_fleet_group_init(&team.plan);
    fmx_tls_client_init(&shared.options);
    team.tls = &shared;
    team.plan.tls = &shared.options;
    team.plan.platform.product_key = wanted->product_key;
    team.plan.platform.secret = "secret";
    shared.options.psk = wanted->psk;
    shared.options.psk_identity = "%c:%n";
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_psk_of(&team, wanted->number, &psk), FMX_OK);
    const fmx_slice identity = {.data = psk.identity, .bytes = psk.identity_bytes};
    const fmx_slice key = {.data = psk.key, .bytes = psk.key_bytes};
    if (!fmx_slice_equal(identity, fmx_slice_of(wanted->identity)) ||
        !fmx_slice_equal(key, fmx_slice_of(wanted->key))) {
        fprintf(stderr, "identity '%.*s', key '%.*s'\n", (int)identity.bytes,
                (const char *)identity.data, (int)key.bytes, (const char *)key.data);
        CU_FAIL("another PSK");
    }
}

static void clients_have_the_psk_that_the_plan_says(void)
{
    for (size_t i = 0; i < sizeof psk_cases / sizeof psk_cases[0]; i++) {
        look_at_psk(&psk_cases[i]);
    }
}

static bool find_device(void *user, uint32_t number, struct fmx_fleet_device *out_device)
{
    (void)user;
    snprintf(out_device->product_key, sizeof out_device->product_key, "%s",
             "a_product_key_of_thirty_two_byte");
    memset(out_device->device_name, 'd', number == 1 ? 59 : 60);
    snprintf(out_device->secret, sizeof out_device->secret, "%s", number == 4 ? "" : "s");
    return number <= 4;
}

static void a_device_that_cannot_have_a_psk_is_told(void)
{
    struct fmx_fleet_tls shared = {0};
    static struct fmx_fleet_team team;
    struct fmx_fleet_psk psk;

    fmx_fleet_group_init(&team.plan);
    team.tls = &shared;
    team.plan.tls = &shared.options;
    team.plan.platform.device = find_device;
    shared.options.psk = FMX_TLS_PSK_SDK;
    CU_ASSERT_EQUAL(fmx_fleet_psk_of(&team, 0, &psk), FMX_OK); /* 128 bytes */
    CU_ASSERT_EQUAL(psk.identity_bytes, 128);
    CU_ASSERT_EQUAL(fmx_fleet_psk_of(&team, 1, &psk), FMX_TLS_PSK); /* one more */
    shared.options.psk = FMX_TLS_PSK_SECRET;
    CU_ASSERT_EQUAL(fmx_fleet_psk_of(&team, 1, &psk), FMX_OK);
    CU_ASSERT_EQUAL(fmx_fleet_psk_of(&team, 3, &psk), FMX_TLS_PSK); /* without a secret */
    CU_ASSERT_EQUAL(fmx_fleet_psk_of(&team, 4, &psk), FMX_E_ARGUMENT);
}

/* ── texts ── */

static void texts_are_filled_in_for_any_client(void)
{
    struct world world;
    struct fmx_fleet_group *group = &world.group;
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];
    fmx_slice text;

    sound_world(&world);
    CU_ASSERT(fmx_fleet_fill_any(group, 4, "%p/%d/%i/%n/%u/%c.%%", filled, &text));
    CU_ASSERT(fmx_slice_equal(text, fmx_slice_of("pk/device_5/5/4/device_5&pk/pk.device_5.%")));
    group->platform.product_key = NULL;
    group->platform.device = find_device;
    CU_ASSERT(fmx_fleet_fill_any(group, 9, "%i", filled, &text)); /* nobody is asked */
    CU_ASSERT_FALSE(fmx_fleet_fill_any(group, 9, "%d", filled, &text));
    CU_ASSERT(fmx_template_has_variables("%i") && fmx_template_has_variables("%%%n"));
    CU_ASSERT_FALSE(fmx_template_has_variables("100%%") || fmx_template_has_variables("a"));
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(tls_that_cannot_be_is_refused_with_field_and_fix),
    FMX_TEST_CASE(what_devices_do_is_allowed),
    FMX_TEST_CASE(what_is_left_open_follows_the_channel),
    FMX_TEST_CASE(clients_have_the_psk_that_the_plan_says),
    FMX_TEST_CASE(a_device_that_cannot_have_a_psk_is_told),
    FMX_TEST_CASE(texts_are_filled_in_for_any_client),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_tls", cases, sizeof cases / sizeof cases[0], argc, argv);
}
