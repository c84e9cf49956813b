/*
 * test_hmac — the platform's published passwords come out as published
 */
#include "tests/support/run.h"
#include "tls/hmac.h"

#include <string.h>

#define NORMAL_CONTENT "clientId12345deviceNamedeviceproductKeypktimestamp789"

/* True if the digest, written as upper-case hex, is `expected`. */
static bool digest_is(enum fmx_hmac_kind kind, const char *key, const char *content,
                      const char *expected)
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t digest[FMX_HMAC_BYTES_MAX];
    char hex[2 * FMX_HMAC_BYTES_MAX + 1];
    size_t digest_bytes = 0;

    if (fmx_hmac(kind, fmx_slice_of(key), fmx_slice_of(content), digest, &digest_bytes) != FMX_OK) {
        return false;
    }
    for (size_t index = 0; index < digest_bytes; index++) {
        hex[2 * index] = digits[digest[index] >> 4];
        hex[2 * index + 1] = digits[digest[index] & 15];
    }
    hex[2 * digest_bytes] = '\0';
    return strcmp(hex, expected) == 0;
}

static void hmac_gives_the_published_sha1_password(void)
{
    CU_ASSERT(digest_is(FMX_HMAC_SHA1, "secret", NORMAL_CONTENT,
                        "FAFD82A3D602B37FB0FA8B7892F24A477F851A14"));
}

static void hmac_gives_the_published_md5_password(void)
{
    CU_ASSERT(
        digest_is(FMX_HMAC_MD5, "secret", NORMAL_CONTENT, "14B198324FE55E1D3C88F2E705E201EE"));
}

static void hmac_gives_the_published_sha256_password(void)
{
    CU_ASSERT(digest_is(FMX_HMAC_SHA256, "secret", NORMAL_CONTENT,
                        "6074A46A91B1EBB2CC4EA42790AD0E80202C9843859FC292E57C4EB19FAD9E57"));
}

static void hmac_signs_a_client_id_of_key_and_name(void)
{
    CU_ASSERT(digest_is(FMX_HMAC_SHA256, "secret",
                        "clientIdpk.devicedeviceNamedeviceproductKeypktimestamp2524608000000",
                        "2EAB47D05EC94FAB1A34E7E9F54AEBD34A1E15770F932E05300193007E0091E9"));
}

static void hmac_signs_an_empty_logical_client_id(void)
{
    CU_ASSERT(digest_is(FMX_HMAC_SHA256, "secret",
                        "clientIddeviceNamedeviceproductKeypktimestamp2524608000000",
                        "9DEA83E5947409FB4220128787F6BC66D77090396D01E641880AB505497A6DF6"));
}

static void hmac_signs_a_dynamic_registration(void)
{
    CU_ASSERT(digest_is(FMX_HMAC_SHA256, "prodsecret", "deviceNamedeviceproductKeypkrandom1234",
                        "EBF330C023DC7B4CD81EBE4C5A00850DB2BFC961EB9DB3473A0B0FE8613F344A"));
}

static void hmac_takes_an_empty_key_and_content(void)
{
    uint8_t digest[FMX_HMAC_BYTES_MAX];
    fmx_slice none = {.data = NULL, .bytes = 0};
    size_t digest_bytes = 99;

    CU_ASSERT_EQUAL(fmx_hmac(FMX_HMAC_SHA256, none, none, digest, &digest_bytes), FMX_OK);
    CU_ASSERT_EQUAL(digest_bytes, 32);
    CU_ASSERT(digest_is(FMX_HMAC_SHA256, "", "",
                        "B613679A0814D9EC772F95D778C35FC5FF1697C493715653C6C712144292C5AD"));
}

static void hmac_takes_a_key_longer_than_a_block(void)
{
    /* RFC 4231, test case 6 */
    char key[132];

    memset(key, 0xaa, sizeof key - 1);
    key[sizeof key - 1] = '\0';
    CU_ASSERT(digest_is(FMX_HMAC_SHA256, key,
                        "Test Using Larger Than Block-Size Key - Hash Key First",
                        "60E431591EE0B67F0D8A26AACBF5B77F8E0BC6213728C5140546040F0EE37F54"));
}

static void hmac_refuses_an_unknown_kind(void)
{
    uint8_t digest[FMX_HMAC_BYTES_MAX];
    fmx_slice key = fmx_slice_of("secret");
    size_t digest_bytes = 99;

    CU_ASSERT_EQUAL(fmx_hmac((enum fmx_hmac_kind)7, key, key, digest, &digest_bytes),
                    FMX_E_ARGUMENT);
    CU_ASSERT_EQUAL(digest_bytes, 0);
}

static void hmac_equal_needs_same_length_and_bytes(void)
{
    fmx_slice none = {.data = NULL, .bytes = 0};

    CU_ASSERT_TRUE(fmx_hmac_equal(fmx_slice_of("abcd"), fmx_slice_of("abcd")));
    CU_ASSERT_FALSE(fmx_hmac_equal(fmx_slice_of("abcd"), fmx_slice_of("abce")));
    CU_ASSERT_FALSE(fmx_hmac_equal(fmx_slice_of("abcd"), fmx_slice_of("xbcd")));
    CU_ASSERT_FALSE(fmx_hmac_equal(fmx_slice_of("abcd"), fmx_slice_of("abc")));
    CU_ASSERT_FALSE(fmx_hmac_equal(fmx_slice_of("abcd"), none));
    CU_ASSERT_TRUE(fmx_hmac_equal(none, none));
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(hmac_gives_the_published_sha1_password),
    FMX_TEST_CASE(hmac_gives_the_published_md5_password),
    FMX_TEST_CASE(hmac_gives_the_published_sha256_password),
    FMX_TEST_CASE(hmac_signs_a_client_id_of_key_and_name),
    FMX_TEST_CASE(hmac_signs_an_empty_logical_client_id),
    FMX_TEST_CASE(hmac_signs_a_dynamic_registration),
    FMX_TEST_CASE(hmac_takes_an_empty_key_and_content),
    FMX_TEST_CASE(hmac_takes_a_key_longer_than_a_block),
    FMX_TEST_CASE(hmac_refuses_an_unknown_kind),
    FMX_TEST_CASE(hmac_equal_needs_same_length_and_bytes),
};

int main(int argc, char **argv)
{
    return fmx_test_main("hmac", cases, sizeof cases / sizeof cases[0], argc, argv);
}
