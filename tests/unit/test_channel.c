/*
 * test_channel — keys of PSK identities, and whom a channel lets in
 */
#include "engine/roles/channel.h"
#include "engine/roles/gateway.h"
#include "tests/support/run.h"

#include <stdlib.h>

#define SDK_IDENTITY(names) "devicename|hmacsha256|" names "|2524608000000"

/* What the service knows: pk/device with "secret", pk/off disabled, pk/bare without a secret. */
static enum fmx_status on_device(void *user, fmx_slice product_key, fmx_slice device_name,
                                 struct fmx_gateway_device *out_device)
{
    unsigned *asked = user;

    ++*asked;
    bool is_off = fmx_slice_equal(device_name, fmx_slice_of("off"));
    bool is_bare = fmx_slice_equal(device_name, fmx_slice_of("bare"));
    bool is_long = fmx_slice_equal(device_name, fmx_slice_of("long"));
    if (!fmx_slice_equal(product_key, fmx_slice_of("pk")) ||
        (!is_off && !is_bare && !is_long &&
         !fmx_slice_equal(device_name, fmx_slice_of("device")))) {
        return FMX_E_STALE;
    }
    out_device->is_disabled = is_off;
    out_device->secret_bytes = is_bare ? 0 : is_long ? 64 : 6;
    memset(out_device->secret, 'x', sizeof out_device->secret);
    if (!is_long) {
        memcpy(out_device->secret, "secret", 6);
    }
    return FMX_OK;
}

static unsigned asked;

static struct fmx_gateway *open_gateway(void)
{
    struct fmx_gateway *gateway = calloc(1, sizeof *gateway);

    CU_ASSERT_FATAL(gateway != NULL);
    gateway->options.callbacks.on_device = on_device;
    gateway->options.user = &asked;
    asked = 0;
    return gateway;
}

static size_t key_of(const char *identity, uint8_t key[FMX_TLS_PSK_BYTES_MAX])
{
    struct fmx_gateway *gateway = open_gateway();
    size_t bytes = fmx_channel_psk_key(gateway, 0, fmx_slice_of(identity), key);

    free(gateway);
    return bytes;
}

static void key_of_the_sdk_is_the_signature_in_upper_case(void)
{
    uint8_t key[FMX_TLS_PSK_BYTES_MAX];

    CU_ASSERT_EQUAL_FATAL(key_of(SDK_IDENTITY("pk&device"), key), 64);
    CU_ASSERT_EQUAL(
        memcmp(key, "8B822A077426D2593B379A8B41768D89F550AC70C5926D2BF5B80D4A9A836B27", 64), 0);
    CU_ASSERT_EQUAL(key_of("devicename|hmacsha256|pk&device|1", key), 64);
    CU_ASSERT_NOT_EQUAL(
        memcmp(key, "8B822A077426D2593B379A8B41768D89F550AC70C5926D2BF5B80D4A9A836B27", 64), 0);
}

static void key_of_the_plain_form_is_the_secret(void)
{
    uint8_t key[FMX_TLS_PSK_BYTES_MAX];

    CU_ASSERT_EQUAL_FATAL(key_of("pk/device", key), 6);
    CU_ASSERT_EQUAL(memcmp(key, "secret", 6), 0);
    CU_ASSERT_EQUAL(key_of("pk/long", key), 64);
}

static void key_is_kept_from_who_is_unknown_disabled_or_has_no_secret(void)
{
    static const char *const identities[] = {
        SDK_IDENTITY("pk&other"), "pk/other", SDK_IDENTITY("pk&off"), "pk/off",
        SDK_IDENTITY("pk&bare"),  "pk/bare",  "other/device",
    };
    static const uint8_t zeros[FMX_TLS_PSK_BYTES_MAX];
    uint8_t key[FMX_TLS_PSK_BYTES_MAX];

    for (size_t i = 0; i < sizeof identities / sizeof identities[0]; i++) {
        memset(key, 0xaa, sizeof key);
        CU_ASSERT_EQUAL(key_of(identities[i], key), 0);
        CU_ASSERT_EQUAL(asked, 1);
        CU_ASSERT_EQUAL(memcmp(key, zeros, sizeof key), 0);
    }
}

static void key_is_not_looked_for_if_the_identity_is_none(void)
{
    uint8_t key[FMX_TLS_PSK_BYTES_MAX];

    CU_ASSERT_EQUAL(key_of("somebody", key), 0);
    CU_ASSERT_EQUAL(asked, 0);
    CU_ASSERT_EQUAL(key_of("", key), 0);
    CU_ASSERT_EQUAL(asked, 0);
}

static void channel_that_names_nobody_lets_everybody_in(void)
{
    struct fmx_channel channel = {.is_tls = true};

    CU_ASSERT(fmx_channel_fits(&channel, fmx_slice_of("pk"), fmx_slice_of("dn")));
    channel.proof = "its PSK";
    channel.product_key = fmx_slice_of("pk");
    channel.device_name = fmx_slice_of("dn");
    CU_ASSERT(fmx_channel_fits(&channel, fmx_slice_of("pk"), fmx_slice_of("dn")));
    CU_ASSERT_FALSE(fmx_channel_fits(&channel, fmx_slice_of("pk"), fmx_slice_of("dn2")));
    CU_ASSERT_FALSE(fmx_channel_fits(&channel, fmx_slice_of("pk2"), fmx_slice_of("dn")));
    CU_ASSERT_FALSE(fmx_channel_fits(&channel, fmx_slice_of("dn"), fmx_slice_of("pk")));
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(key_of_the_sdk_is_the_signature_in_upper_case),
    FMX_TEST_CASE(key_of_the_plain_form_is_the_secret),
    FMX_TEST_CASE(key_is_kept_from_who_is_unknown_disabled_or_has_no_secret),
    FMX_TEST_CASE(key_is_not_looked_for_if_the_identity_is_none),
    FMX_TEST_CASE(channel_that_names_nobody_lets_everybody_in),
};

int main(int argc, char **argv)
{
    return fmx_test_main("channel", cases, sizeof cases / sizeof cases[0], argc, argv);
}
