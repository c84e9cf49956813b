/*
 * test_fleet_device — who a device of a fleet is, what it signs, and which plans are refused
 */
#include "engine/roles/fleet.h"
#include "tests/support/run.h"

#include <stdio.h>
#include <stdlib.h>

#define ERROR_BYTES 512

static void sound_plan(struct fmx_fleet_plan *plan)
{
    static const char *const targets[] = {"127.0.0.1:1883"};

    fmx_fleet_plan_init(plan);
    plan->targets = targets;
    plan->targets_count = 1;
    plan->platform.product_key = "pk";
    plan->platform.secret = "secret";
}

/* ── signing ── */

struct vector {
    const char *client_id;
    const char *timestamp;
    enum fmx_sign_method method;
    const char *password;
};

/* The vendor's page, and what SDKs send. */
static const struct vector vectors[] = {
    {"12345", "789", FMX_SIGN_HMAC_SHA1, "FAFD82A3D602B37FB0FA8B7892F24A477F851A14"},
    {"12345", "789", FMX_SIGN_HMAC_MD5, "14B198324FE55E1D3C88F2E705E201EE"},
    {"12345", "789", FMX_SIGN_HMAC_SHA256,
     "6074A46A91B1EBB2CC4EA42790AD0E80202C9843859FC292E57C4EB19FAD9E57"},
    {"pk.device", "2524608000000", FMX_SIGN_HMAC_SHA256,
     "2EAB47D05EC94FAB1A34E7E9F54AEBD34A1E15770F932E05300193007E0091E9"},
    {"", "2524608000000", FMX_SIGN_HMAC_SHA256,
     "9DEA83E5947409FB4220128787F6BC66D77090396D01E641880AB505497A6DF6"},
};

static const struct fmx_fleet_device device = {
    .product_key = "pk", .device_name = "device", .secret = "secret"};

static void expect(fmx_slice got, const char *wanted)
{
    if (!fmx_slice_equal(got, fmx_slice_of(wanted))) {
        fprintf(stderr, "got '%.*s', not '%s'\n", (int)got.bytes, (const char *)got.data, wanted);
        CU_FAIL("other text");
    }
}

static void devices_sign_as_the_platform_says(void)
{
    struct fmx_fleet_login login;

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct fmx_dialect_client client = {.logical_id = fmx_slice_of(vectors[i].client_id),
                                            .timestamp = fmx_slice_of(vectors[i].timestamp),
                                            .has_timestamp = true,
                                            .sign_method = vectors[i].method,
                                            .secure_mode = 3};
        CU_ASSERT_FATAL(
            fmx_fleet_sign(&client, NULL, &device, fmx_slice_of(device.secret), &login));
        CU_ASSERT(login.has_username && login.has_password);
        expect(login.username, "device&pk");
        expect(login.password, vectors[i].password);
    }
}

static void registrations_are_signed_with_the_products_secret(void)
{
    const struct fmx_dialect_client client = {.logical_id = fmx_slice_of("device.pk"),
                                              .random = fmx_slice_of("1234"),
                                              .auth_type = FMX_AUTH_REGISTER,
                                              .sign_method = FMX_SIGN_HMAC_SHA256,
                                              .secure_mode = -2};
    struct fmx_fleet_login login;

    CU_ASSERT_FATAL(fmx_fleet_sign(&client, NULL, &device, fmx_slice_of("prodsecret"), &login));
    expect(login.client_id,
           "device.pk|authType=register,random=1234,signmethod=hmacsha256,securemode=-2|");
    expect(login.password, "EBF330C023DC7B4CD81EBE4C5A00850DB2BFC961EB9DB3473A0B0FE8613F344A");
}

static void a_token_is_the_password(void)
{
    const struct fmx_dialect_client client = {.logical_id = fmx_slice_of("issued"),
                                              .auth_type = FMX_AUTH_TOKEN,
                                              .sdk = fmx_slice_of("fleetmux"),
                                              .ext = 3,
                                              .auto_subscribe = true,
                                              .secure_mode = -2};
    struct fmx_fleet_login login;

    CU_ASSERT_FATAL(fmx_fleet_sign(&client, NULL, &device, fmx_slice_of("^1^2^ab"), &login));
    expect(login.client_id, "issued|authType=connwl,_ss=1,_v=fleetmux,ext=3,securemode=-2|");
    expect(login.password, "^1^2^ab");
}

static void what_a_device_says_is_understood_by_the_gateways_reader(void)
{
    const struct fmx_dialect_client client = {.logical_id = fmx_slice_of("pk.device"),
                                              .timestamp = fmx_slice_of("789"),
                                              .has_timestamp = true,
                                              .sdk = fmx_slice_of("sdk-c-4.1.0"),
                                              .ext = FMX_EXT_RRPC | FMX_EXT_NOTIFY,
                                              .sign_method = FMX_SIGN_HMAC_SHA1,
                                              .auto_subscribe = true,
                                              .secure_mode = 2};
    struct fmx_dialect_client read;
    struct fmx_fleet_login login;
    const char *fault = NULL;

    CU_ASSERT_FATAL(fmx_fleet_sign(&client, "lan=C,gw=1", &device, fmx_slice_of("s"), &login));
    expect(login.client_id, "pk.device|timestamp=789,_ss=1,_v=sdk-c-4.1.0,signmethod=hmacsha1,"
                            "ext=3,lan=C,gw=1,securemode=2|");
    CU_ASSERT_EQUAL_FATAL(fmx_dialect_client_id(login.client_id, &read, &fault), FMX_OK);
    CU_ASSERT(fmx_slice_equal(read.logical_id, client.logical_id));
    CU_ASSERT(fmx_slice_equal(read.timestamp, client.timestamp));
    CU_ASSERT(fmx_slice_equal(read.sdk, client.sdk));
    CU_ASSERT(fmx_slice_equal(read.language, fmx_slice_of("C")));
    CU_ASSERT(read.auto_subscribe && read.is_gateway && read.has_secure_mode);
    CU_ASSERT_EQUAL(read.secure_mode, 2);
    CU_ASSERT_EQUAL(read.ext, 3);
    CU_ASSERT_EQUAL(read.sign_method, FMX_SIGN_HMAC_SHA1);
    CU_ASSERT_EQUAL(read.auth_type, FMX_AUTH_SECRET);
}

/* ── who is client n ── */

static bool find_device(void *user, uint32_t number, struct fmx_fleet_device *out_device)
{
    if (number > *(const uint32_t *)user) {
        return false;
    }
    snprintf(out_device->product_key, sizeof out_device->product_key, "theirs");
    snprintf(out_device->device_name, sizeof out_device->device_name, "n%u", number);
    snprintf(out_device->secret, sizeof out_device->secret, "s%u", number);
    return true;
}

static void devices_come_from_templates_one_secret_or_a_key(void)
{
    struct fmx_fleet_device found;
    struct fmx_fleet_plan plan;
    char error[ERROR_BYTES] = "";

    sound_plan(&plan);
    plan.first_number = 100;
    plan.platform.product_key = "pk%n";
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_device(&plan, 7, &found, error, sizeof error), FMX_OK);
    CU_ASSERT_STRING_EQUAL(found.product_key, "pk7");
    CU_ASSERT_STRING_EQUAL(found.device_name, "device_107");
    CU_ASSERT_STRING_EQUAL(found.secret, "secret");
    plan.platform.secret = NULL;
    plan.platform.secret_key = "k";
    plan.platform.device_name = "device_%n";
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_device(&plan, 1, &found, error, sizeof error), FMX_OK);
    /* printf device_1 | openssl dgst -sha256 -hmac k */
    CU_ASSERT_STRING_EQUAL(found.secret, "4b7a22063dfd0fe856fe680e34445807");
}

static void devices_come_from_the_user(void)
{
    struct fmx_fleet_device found;
    struct fmx_fleet_plan plan;
    char error[ERROR_BYTES] = "";
    uint32_t last = 5;

    sound_plan(&plan);
    plan.platform.product_key = NULL;
    plan.platform.secret = NULL;
    plan.platform.device = find_device;
    plan.platform.device_user = &last;
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_device(&plan, 4, &found, error, sizeof error), FMX_OK);
    CU_ASSERT_STRING_EQUAL(found.product_key, "theirs");
    CU_ASSERT_STRING_EQUAL(found.device_name, "n5");
    CU_ASSERT_STRING_EQUAL(found.secret, "s5");
    CU_ASSERT_EQUAL(fmx_fleet_device(&plan, 5, &found, error, sizeof error), FMX_END);
}

static void a_plan_without_devices_has_none(void)
{
    struct fmx_fleet_device found;
    struct fmx_fleet_plan plan;
    char error[ERROR_BYTES] = "";

    sound_plan(&plan);
    plan.platform.product_key = NULL;
    CU_ASSERT_EQUAL(fmx_fleet_device(&plan, 0, &found, error, sizeof error), FMX_E_OPTION);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "product_key"));
}

/* ── templates ── */

static void devices_names_are_variables_of_devices_only(void)
{
    struct fmx_template_values values = {.number = 3,
                                         .run_number = 2,
                                         .client_id = fmx_slice_of("c"),
                                         .username = fmx_slice_of("u"),
                                         .product_key = fmx_slice_of("pk"),
                                         .device_name = fmx_slice_of("dn")};
    uint8_t out[FMX_TEMPLATE_BYTES_MAX];
    char error[ERROR_BYTES] = "";

    expect(fmx_template_fill("/%p/%d/%i/%n/%c/%u/%%d", &values, out), "/pk/dn/3/2/c/u/%d");
    CU_ASSERT_EQUAL(fmx_template_check("topic", "%p%d", &values, error, sizeof error), FMX_OK);
    CU_ASSERT_EQUAL(fmx_template_check("topic", "%x", &values, error, sizeof error), FMX_E_OPTION);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "%p, %d"));
    values.product_key = (fmx_slice){0};
    CU_ASSERT_EQUAL(fmx_template_check("topic", "%p", &values, error, sizeof error), FMX_E_OPTION);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "topic is '%p'"));
    CU_ASSERT_PTR_NULL(strstr(error, "%d"));
}

/* ── plans ── */

static char long_text[2000];

static void spoil_product_key(struct fmx_fleet_plan *plan)
{
    plan->platform.product_key = "p/k";
}

static void spoil_product_key_with_a_name(struct fmx_fleet_plan *plan)
{
    plan->platform.product_key = "pk%d";
}

static void spoil_device_name(struct fmx_fleet_plan *plan)
{
    plan->platform.device_name = "device_%c";
}

static void spoil_device_name_by_length(struct fmx_fleet_plan *plan)
{
    plan->platform.device_name = "a_name_of_fifty_five_bytes_and_up_to_ten_more_digits____%i";
}

static void spoil_both(struct fmx_fleet_plan *plan)
{
    plan->platform.device = find_device;
}

static void spoil_secret(struct fmx_fleet_plan *plan)
{
    plan->platform.secret = NULL;
}

static void spoil_two_secrets(struct fmx_fleet_plan *plan)
{
    plan->platform.secret_key = "k";
}

static void spoil_long_secret(struct fmx_fleet_plan *plan)
{
    plan->platform.secret = long_text;
}

static void spoil_client_id(struct fmx_fleet_plan *plan)
{
    plan->platform.client_id = "a|b";
}

static void spoil_client_id_by_length(struct fmx_fleet_plan *plan)
{
    plan->platform.client_id = long_text + sizeof long_text - 301;
}

static void spoil_timestamp(struct fmx_fleet_plan *plan)
{
    plan->platform.timestamp = "now";
}

static void spoil_sdk(struct fmx_fleet_plan *plan)
{
    plan->platform.sdk = "a,b";
}

static void spoil_more_options(struct fmx_fleet_plan *plan)
{
    plan->platform.more_options = "lan=JS|Ali";
}

static void spoil_secure_mode(struct fmx_fleet_plan *plan)
{
    plan->platform.secure_mode = 100;
}

static void spoil_ext(struct fmx_fleet_plan *plan)
{
    plan->platform.ext = 4;
}

static void spoil_sign_method(struct fmx_fleet_plan *plan)
{
    plan->platform.sign_method = (enum fmx_fleet_sign)3;
}

static void spoil_registration(struct fmx_fleet_plan *plan)
{
    plan->platform.registration = (enum fmx_fleet_register)3;
}

static void spoil_product_secret(struct fmx_fleet_plan *plan)
{
    plan->platform.registration = FMX_FLEET_REGISTER_KNOWN;
}

static void spoil_thing_model(struct fmx_fleet_plan *plan)
{
    plan->platform.thing_model = true;
    plan->topic = "t";
}

static void spoil_open_thing_model(struct fmx_fleet_plan *plan)
{
    plan->platform.product_key = NULL;
    plan->platform.thing_model = true;
}

static void spoil_open_topic(struct fmx_fleet_plan *plan)
{
    plan->platform.product_key = NULL;
    plan->topic = "/%p/%d";
}

static void spoil_answer(struct fmx_fleet_plan *plan)
{
    plan->calls.answer = (enum fmx_fleet_answer)9;
}

static void spoil_delay(struct fmx_fleet_plan *plan)
{
    plan->calls.delay_ms = 60001;
}

static void spoil_pending(struct fmx_fleet_plan *plan)
{
    plan->calls.pending_max = 0;
}

static void spoil_correlation(struct fmx_fleet_plan *plan)
{
    plan->properties.correlation_bytes = 65536;
}

static void spoil_response_topic(struct fmx_fleet_plan *plan)
{
    plan->properties.response_topic = "%y";
}

static void spoil_version(struct fmx_fleet_plan *plan)
{
    plan->properties.use_aliases = true;
    plan->version = FMX_MQTT_311;
}

static void spoil_user_properties(struct fmx_fleet_plan *plan)
{
    plan->properties.user_count = 1;
}

static const struct {
    void (*spoil)(struct fmx_fleet_plan *plan);
    const char *field;
} refusals[] = {
    {spoil_product_key, "product_key"},
    {spoil_product_key_with_a_name, "product_key"},
    {spoil_device_name, "device_name"},
    {spoil_device_name_by_length, "device_name"},
    {spoil_both, "product_key"},
    {spoil_secret, "secret"},
    {spoil_two_secrets, "secret"},
    {spoil_long_secret, "secret"},
    {spoil_client_id, "client_id"},
    {spoil_client_id_by_length, "client_id"},
    {spoil_timestamp, "timestamp"},
    {spoil_sdk, "sdk"},
    {spoil_more_options, "more_options"},
    {spoil_secure_mode, "secure_mode"},
    {spoil_ext, "ext"},
    {spoil_sign_method, "sign_method"},
    {spoil_registration, "registration"},
    {spoil_product_secret, "product_secret"},
    {spoil_thing_model, "thing_model"},
    {spoil_open_thing_model, "thing_model"},
    {spoil_open_topic, "topic"},
    {spoil_answer, "calls.answer"},
    {spoil_delay, "delay_ms"},
    {spoil_pending, "pending_max"},
    {spoil_correlation, "correlation_bytes"},
    {spoil_response_topic, "response_topic"},
    {spoil_version, "use_aliases"},
    {spoil_user_properties, "user"},
};

static void a_plan_that_cannot_be_is_refused_by_the_fields_name(void)
{
    struct fmx_fleet_plan plan;
    char error[ERROR_BYTES];

    memset(long_text, 'x', sizeof long_text - 1);
    sound_plan(&plan);
    CU_ASSERT_EQUAL(fmx_fleet_plan_check(&plan, error, sizeof error), FMX_OK);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        sound_plan(&plan);
        refusals[i].spoil(&plan);
        error[0] = '\0';
        if (fmx_fleet_plan_check(&plan, error, sizeof error) != FMX_E_OPTION ||
            strstr(error, refusals[i].field) == NULL) {
            fprintf(stderr, "refusal %zu, of %s: '%s'\n", i, refusals[i].field, error);
            CU_FAIL("a plan that cannot be is refused");
        }
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(devices_sign_as_the_platform_says),
    FMX_TEST_CASE(registrations_are_signed_with_the_products_secret),
    FMX_TEST_CASE(a_token_is_the_password),
    FMX_TEST_CASE(what_a_device_says_is_understood_by_the_gateways_reader),
    FMX_TEST_CASE(devices_come_from_templates_one_secret_or_a_key),
    FMX_TEST_CASE(devices_come_from_the_user),
    FMX_TEST_CASE(a_plan_without_devices_has_none),
    FMX_TEST_CASE(devices_names_are_variables_of_devices_only),
    FMX_TEST_CASE(a_plan_that_cannot_be_is_refused_by_the_fields_name),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_device", cases, sizeof cases / sizeof cases[0], argc, argv);
}
