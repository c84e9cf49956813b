/*
 * test_fleet_device — who a device of a fleet is, and what it signs
 */
#include "engine/roles/fleet_device.h"
#include "tests/support/run.h"

#include <stdio.h>
#include <stdlib.h>

#define ERROR_BYTES 512

static void sound_group(struct fmx_fleet_group *group)
{
    static const char *const targets[] = {"127.0.0.1:1883"};

    fmx_fleet_group_init(group);
    group->targets = targets;
    group->targets_count = 1;
    group->platform.product_key = "pk";
    group->platform.secret = "secret";
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
    struct fmx_fleet_group group;
    char error[ERROR_BYTES] = "";

    sound_group(&group);
    group.first_number = 100;
    group.platform.product_key = "pk%n";
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_device(&group, 7, &found, error, sizeof error), FMX_OK);
    CU_ASSERT_STRING_EQUAL(found.product_key, "pk7");
    CU_ASSERT_STRING_EQUAL(found.device_name, "device_107");
    CU_ASSERT_STRING_EQUAL(found.secret, "secret");
    group.platform.secret = NULL;
    group.platform.secret_key = "k";
    group.platform.device_name = "device_%n";
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_device(&group, 1, &found, error, sizeof error), FMX_OK);
    /* printf device_1 | openssl dgst -sha256 -hmac k */
    CU_ASSERT_STRING_EQUAL(found.secret, "4b7a22063dfd0fe856fe680e34445807");
}

static void devices_come_from_the_user(void)
{
    struct fmx_fleet_device found;
    struct fmx_fleet_group group;
    char error[ERROR_BYTES] = "";
    uint32_t last = 5;

    sound_group(&group);
    group.platform.product_key = NULL;
    group.platform.secret = NULL;
    group.platform.device = find_device;
    group.platform.device_user = &last;
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_device(&group, 4, &found, error, sizeof error), FMX_OK);
    CU_ASSERT_STRING_EQUAL(found.product_key, "theirs");
    CU_ASSERT_STRING_EQUAL(found.device_name, "n5");
    CU_ASSERT_STRING_EQUAL(found.secret, "s5");
    CU_ASSERT_EQUAL(fmx_fleet_device(&group, 5, &found, error, sizeof error), FMX_END);
}

static void a_group_without_devices_has_none(void)
{
    struct fmx_fleet_device found;
    struct fmx_fleet_group group;
    char error[ERROR_BYTES] = "";

    sound_group(&group);
    group.platform.product_key = NULL;
    CU_ASSERT_EQUAL(fmx_fleet_device(&group, 0, &found, error, sizeof error), FMX_E_OPTION);
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

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(devices_sign_as_the_platform_says),
    FMX_TEST_CASE(registrations_are_signed_with_the_products_secret),
    FMX_TEST_CASE(a_token_is_the_password),
    FMX_TEST_CASE(what_a_device_says_is_understood_by_the_gateways_reader),
    FMX_TEST_CASE(devices_come_from_templates_one_secret_or_a_key),
    FMX_TEST_CASE(devices_come_from_the_user),
    FMX_TEST_CASE(a_group_without_devices_has_none),
    FMX_TEST_CASE(devices_names_are_variables_of_devices_only),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_device", cases, sizeof cases / sizeof cases[0], argc, argv);
}
