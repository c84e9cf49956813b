/*
 * test_dialect — client ids as real SDKs send them and as none should, user names, signatures
 */
#include "proto/dialect.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tls/hmac.h"

#include <stdio.h>
#include <stdlib.h>

#define YEAR_2050 "2524608000000"

static struct fmx_dialect_client client_of(const char *field)
{
    struct fmx_dialect_client client;
    const char *fault = "not set";
    enum fmx_status status = fmx_dialect_client_id(fmx_slice_of(field), &client, &fault);

    if (status != FMX_OK || fault != NULL) {
        printf("%s: %s\n", field, fault);
        CU_FAIL("a client id that should be taken was refused");
    }
    return client;
}

static bool is(fmx_slice slice, const char *text)
{
    return fmx_slice_equal(slice, fmx_slice_of(text));
}

/* ── the exact forms of SDKs ── */

static void client_id_of_the_c_sdk_4_is_understood(void)
{
    struct fmx_dialect_client client =
        client_of("pk.dn|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=3,"
                  "signmethod=hmacsha256,ext=3,mid=m,pid=p,os=linux,_conn=tcp_1a|");

    CU_ASSERT(is(client.logical_id, "pk.dn"));
    CU_ASSERT(is(client.timestamp, YEAR_2050));
    CU_ASSERT(is(client.sdk, "sdk-c-4.1.0"));
    CU_ASSERT(client.has_options && client.has_timestamp && client.has_secure_mode);
    CU_ASSERT(client.auto_subscribe);
    CU_ASSERT_FALSE(client.is_gateway);
    CU_ASSERT_EQUAL(client.secure_mode, 3);
    CU_ASSERT_EQUAL(client.sign_method, FMX_SIGN_HMAC_SHA256);
    CU_ASSERT_EQUAL(client.auth_type, FMX_AUTH_SECRET);
    CU_ASSERT_EQUAL(client.ext, FMX_EXT_RRPC | FMX_EXT_NOTIFY);
}

static void client_id_of_the_c_sdk_4_without_extension_is_understood(void)
{
    struct fmx_dialect_client client =
        client_of("pk.dn|timestamp=2524608000000,_ss=1,_v=sdk-c-4.2.0,securemode=2,"
                  "signmethod=hmacsha256,ext=3,|");

    CU_ASSERT_EQUAL(client.secure_mode, 2);
    CU_ASSERT_EQUAL(client.ext, 3);
}

static void client_id_that_is_to_be_assigned_begins_with_the_pipe(void)
{
    struct fmx_dialect_client client =
        client_of("|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=2,"
                  "signmethod=hmacsha256,ext=3,_conn=tls_0|");

    CU_ASSERT_EQUAL(client.logical_id.bytes, 0);
    CU_ASSERT(client.has_options);
    CU_ASSERT(is(client.timestamp, YEAR_2050));
}

static void client_id_of_the_c_sdk_3_is_understood(void)
{
    struct fmx_dialect_client client =
        client_of("pk.dn|timestamp=2524608000000,_v=sdk-c-3.2.0,securemode=2,"
                  "signmethod=hmacsha256,lan=C,_ss=1,gw=0,ext=0,custom|");

    CU_ASSERT(is(client.sdk, "sdk-c-3.2.0"));
    CU_ASSERT(is(client.language, "C"));
    CU_ASSERT(client.auto_subscribe);
    CU_ASSERT_FALSE(client.is_gateway);
    CU_ASSERT_EQUAL(client.ext, 0);
}

static void client_id_of_the_c_sdk_2_is_understood(void)
{
    struct fmx_dialect_client client =
        client_of("id|securemode=-1,_v=sdk-c-2.3.0,timestamp=2524608000000,"
                  "signmethod=hmacsha1,lan=C,gw=1,ext=1,pid=p,mid=m|");

    CU_ASSERT_EQUAL(client.secure_mode, -1);
    CU_ASSERT_EQUAL(client.sign_method, FMX_SIGN_HMAC_SHA1);
    CU_ASSERT(client.is_gateway);
    CU_ASSERT_FALSE(client.auto_subscribe);
    CU_ASSERT_EQUAL(client.ext, FMX_EXT_RRPC);
}

static void client_id_of_node_has_a_comma_after_the_closing_pipe(void)
{
    struct fmx_dialect_client client =
        client_of("pk&dn|securemode=3,signmethod=hmacsha1,timestamp=1612345678901,lan=NodeJS,"
                  "_v=1.2.8|,");

    CU_ASSERT(is(client.logical_id, "pk&dn"));
    CU_ASSERT(is(client.language, "NodeJS"));
    CU_ASSERT(is(client.sdk, "1.2.8"));
    CU_ASSERT(is(client.timestamp, "1612345678901"));
}

static void client_id_of_python_is_understood(void)
{
    struct fmx_dialect_client client =
        client_of("pk&dn|securemode=3,signmethod=hmacsha1,ext=1,_ss=1,lan=Python,_v=1.2.13,"
                  "timestamp=1612345678|");

    CU_ASSERT(is(client.timestamp, "1612345678"));
    CU_ASSERT(is(client.language, "Python"));
}

static void client_id_of_a_mini_program_has_pipes_and_blanks_in_a_value(void)
{
    struct fmx_dialect_client client = client_of("id|securemode=2,lan=JS|WX,timestamp=7|,");

    CU_ASSERT(is(client.language, "JS|WX"));
    CU_ASSERT(is(client.timestamp, "7"));
    client = client_of("id|timestamp=7,lan=JS|Broswer |,");
    CU_ASSERT(is(client.language, "JS|Broswer "));
    client = client_of("id|timestamp=7,lan=JS|Ali|");
    CU_ASSERT(is(client.language, "JS|Ali"));
    client = client_of("id|timestamp=7,lan=JS|Ali");
    CU_ASSERT(is(client.language, "JS|Ali"));
}

static void client_id_with_a_token_is_understood(void)
{
    struct fmx_dialect_client client =
        client_of("issued.id|authType=connwl,securemode=-2,_ss=1,ext=3,_v=sdk-c-4.2.0|");

    CU_ASSERT(is(client.logical_id, "issued.id"));
    CU_ASSERT_EQUAL(client.auth_type, FMX_AUTH_TOKEN);
    CU_ASSERT_EQUAL(client.secure_mode, -2);
    CU_ASSERT_FALSE(client.has_timestamp);
}

static void client_id_of_a_registration_is_understood(void)
{
    struct fmx_dialect_client client =
        client_of("dn.pk|random=4711,authType=register,securemode=2,signmethod=hmacsha256,"
                  "instanceId=iot-1|");

    CU_ASSERT_EQUAL(client.auth_type, FMX_AUTH_REGISTER);
    CU_ASSERT(is(client.random, "4711"));
    CU_ASSERT(is(client.instance_id, "iot-1"));
    client = client_of("pk.dn|authType=regnwl,random=0badcafe,signmethod=hmacsha256,securemode=2|");
    CU_ASSERT_EQUAL(client.auth_type, FMX_AUTH_REGISTER_NEW);
}

/* ── liberties ── */

static void client_id_without_a_pipe_has_no_options(void)
{
    struct fmx_dialect_client client = client_of("a,timestamp=7,signmethod=hmacsha1");

    CU_ASSERT(is(client.logical_id, "a,timestamp=7,signmethod=hmacsha1"));
    CU_ASSERT_FALSE(client.has_options || client.has_timestamp || client.has_secure_mode);
    CU_ASSERT_EQUAL(client.sign_method, FMX_SIGN_HMAC_MD5);
    client = client_of("");
    CU_ASSERT_EQUAL(client.logical_id.bytes, 0);
    CU_ASSERT_FALSE(client.has_options);
}

static void client_id_tolerates_what_does_no_harm(void)
{
    static const char *const fields[] = {
        "id|",
        "id||",
        "id|,|",
        "id|,,,|,,,",
        "id|mid|",
        "id|=|",
        "id|=,==,a=b=c|",
        "id|unknown=,v=1,productKey=pk|",
        "id|gw=,_ss=,lan=,_v=,instanceId=,random=|",
        "id|gw=x,_ss=yes|",
        "id|_conn=tls_1f_-0301|",
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct fmx_dialect_client client = client_of(fields[i]);
        CU_ASSERT(is(client.logical_id, "id"));
        CU_ASSERT(client.has_options);
        CU_ASSERT_FALSE(client.has_timestamp || client.auto_subscribe || client.is_gateway);
    }
}

static void client_id_counts_the_last_of_a_repeated_option(void)
{
    struct fmx_dialect_client client = client_of("id|timestamp=1,ext=1,timestamp=2,ext=2|");

    CU_ASSERT(is(client.timestamp, "2"));
    CU_ASSERT_EQUAL(client.ext, FMX_EXT_NOTIFY);
}

static void client_id_knows_all_secure_modes(void)
{
    static const struct {
        const char *field;
        int32_t mode;
    } rows[] = {
        {"|securemode=0|", 0},
        {"|securemode=-2|", -2},
        {"|securemode=8|", 8},
        {"|securemode=14|", 14},
        {"|securemode=2147483647|", INT32_MAX},
        {"|securemode=-2147483647|", -INT32_MAX},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CU_ASSERT_EQUAL(client_of(rows[i].field).secure_mode, rows[i].mode);
    }
    CU_ASSERT_EQUAL(client_of("|ext=4294967295|").ext, UINT32_MAX);
}

/* ── refusals ── */

/* Fit for a Reason String, and names the field. */
static bool is_good_fault(const char *fault, const char *field)
{
    size_t bytes = fault != NULL ? strlen(fault) : 0;

    for (size_t i = 0; i < bytes; i++) {
        if (fault[i] < ' ' || fault[i] > '~') {
            return false;
        }
    }
    return bytes > 0 && bytes <= 120 && strstr(fault, field) == fault;
}

static void client_id_is_refused_with_words_for_the_option(void)
{
    static const char *const rows[][2] = {
        {"id|signmethod=sha256|", "signmethod"},
        {"id|signmethod=HMACSHA1|", "signmethod"},
        {"id|signmethod=hmacsha2|", "signmethod"},
        {"id|signmethod=|", "signmethod"},
        {"id|signmethod|", "signmethod"},
        {"id|signmethod=hmacsha1 |", "signmethod"},
        {"id|timestamp=|", "timestamp"},
        {"id|timestamp=x|", "timestamp"},
        {"id|timestamp=-1|", "timestamp"},
        {"id|timestamp=12 |", "timestamp"},
        {"id|timestamp=12|junk|", "timestamp"},
        {"id|timestamp=12||", "timestamp"},
        {"id|securemode=|", "securemode"},
        {"id|securemode=-|", "securemode"},
        {"id|securemode=--2|", "securemode"},
        {"id|securemode=+2|", "securemode"},
        {"id|securemode=tls|", "securemode"},
        {"id|securemode=2147483648|", "securemode"},
        {"id|securemode=99999999999999999999|", "securemode"},
        {"id|ext=|", "ext"},
        {"id|ext=-1|", "ext"},
        {"id|ext=0x1|", "ext"},
        {"id|ext=4294967296|", "ext"},
        {"id|authType=|", "authType"},
        {"id|authType=Register|", "authType"},
        {"id|authType=secret|", "authType"},
        {"id|authType=register|", "random"},
        {"id|authType=regnwl,random=|", "random"},
        {"id|ext=1,_v=1,,timestamp=y,signmethod=none|", "timestamp"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fmx_dialect_client client;
        const char *fault = NULL;
        enum fmx_status status = fmx_dialect_client_id(fmx_slice_of(rows[i][0]), &client, &fault);
        if (status != FMX_PEER_CLIENT_ID || !is_good_fault(fault, rows[i][1])) {
            printf("%s: %s\n", rows[i][0], fault != NULL ? fault : "taken");
            CU_FAIL("a row of the table does not hold");
        }
    }
    CU_PASS("all rows were asked");
}

/* `text` with `bytes` nines in place of its '*'. */
static enum fmx_status ask_long(const char *text, size_t bytes, const char **out_fault)
{
    struct fmx_dialect_client client;
    const char *star = strchr(text, '*');
    size_t front = (size_t)(star - text);
    size_t back = strlen(star + 1);
    uint8_t *field = malloc(front + bytes + back);

    CU_ASSERT_PTR_NOT_NULL_FATAL(field);
    memcpy(field, text, front);
    memset(field + front, '9', bytes);
    memcpy(field + front + bytes, star + 1, back);
    enum fmx_status status =
        fmx_dialect_client_id((fmx_slice){field, front + bytes + back}, &client, out_fault);
    free(field);
    return status;
}

static void client_id_bounds_what_is_signed(void)
{
    static const struct {
        const char *text;
        size_t most;
        const char *field;
    } rows[] = {
        {"*|timestamp=7|", FMX_LOGICAL_ID_BYTES_MAX, "client id"},
        {"*", FMX_LOGICAL_ID_BYTES_MAX, "client id"},
        {"id|timestamp=*|", FMX_SIGN_PARAM_BYTES_MAX, "timestamp"},
        {"id|random=*,authType=register|", FMX_SIGN_PARAM_BYTES_MAX, "random"},
    };
    const char *fault;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CU_ASSERT_EQUAL(ask_long(rows[i].text, rows[i].most, &fault), FMX_OK);
        CU_ASSERT_EQUAL(ask_long(rows[i].text, rows[i].most + 1, &fault), FMX_PEER_CLIENT_ID);
        CU_ASSERT(is_good_fault(fault, rows[i].field));
        CU_ASSERT_EQUAL(ask_long(rows[i].text, 65000, &fault), FMX_PEER_CLIENT_ID);
    }
    CU_ASSERT_EQUAL(ask_long("id|_v=*|", 65000, &fault), FMX_OK);
    CU_ASSERT_EQUAL(ask_long("id|*|", 65000, &fault), FMX_OK);
}

/* Slices of a result must lie in the field; the copy makes a read outside visible to sanitizers. */
static void client_id_survives_any_cut_of_a_good_one(void)
{
    static const char whole[] = "pk.dn|timestamp=25,_ss=1,_v=s,securemode=-2,signmethod=hmacmd5,"
                                "lan=JS|WX,gw=1,authType=register,random=1,instanceId=i,ext=3|,";

    for (size_t bytes = 0; bytes < sizeof whole; bytes++) {
        struct fmx_dialect_client client;
        const char *fault = "not set";
        uint8_t *copy = malloc(bytes + 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy + 1, whole, bytes);
        enum fmx_status status =
            fmx_dialect_client_id((fmx_slice){copy + 1, bytes}, &client, &fault);
        CU_ASSERT_EQUAL(status == FMX_OK, fault == NULL);
        CU_ASSERT(fault == NULL || is_good_fault(fault, ""));
        free(copy);
    }
}

/* ── user names ── */

static void username_is_taken_apart(void)
{
    fmx_slice device_name;
    fmx_slice product_key;
    const char *fault = "not set";

    CU_ASSERT_EQUAL(fmx_dialect_username(fmx_slice_of("light-1.@:_&a1B2c3"), &device_name,
                                         &product_key, &fault),
                    FMX_OK);
    CU_ASSERT(is(device_name, "light-1.@:_"));
    CU_ASSERT(is(product_key, "a1B2c3"));
    CU_ASSERT_PTR_NULL(fault);
    CU_ASSERT_EQUAL(
        fmx_dialect_username(fmx_slice_of("温度&pk"), &device_name, &product_key, &fault), FMX_OK);
    CU_ASSERT(is(device_name, "温度"));
}

static void username_is_refused_with_words_for_its_half(void)
{
    static const char *const rows[][2] = {
        {"", "user name"},
        {"dn", "user name"},
        {"dn.pk", "user name"},
        {"&", "device name"},
        {"&pk", "device name"},
        {"d/n&pk", "device name"},
        {"d+n&pk", "device name"},
        {"#&pk", "device name"},
        {"d|n&pk", "device name"},
        {"d,n&pk", "device name"},
        {"d\tn&pk", "device name"},
        {"d\x7f&pk", "device name"},
        {"d\xc2\x85&pk", "device name"},
        {"d\xff&pk", "device name"},
        {"d\xc2&pk", "device name"},
        {"dn&", "product key"},
        {"dn&p&k", "product key"},
        {"dn&p/k", "product key"},
        {"dn&+", "product key"},
        {"dn&p\nk", "product key"},
        {"dn&sys", "product key"},
        {"dn&ext", "product key"},
        {"dn&ota", "product key"},
        {"dn&shadow", "product key"},
        {"dn&broadcast", "product key"},
        {"dn&as", "product key"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fmx_slice device_name;
        fmx_slice product_key;
        const char *fault = NULL;
        enum fmx_status status =
            fmx_dialect_username(fmx_slice_of(rows[i][0]), &device_name, &product_key, &fault);
        if (status != FMX_PEER_CREDENTIALS || !is_good_fault(fault, rows[i][1])) {
            printf("%s: %s\n", rows[i][0], fault != NULL ? fault : "taken");
            CU_FAIL("a row of the table does not hold");
        }
    }
    CU_PASS("all rows were asked");
}

static void names_have_their_bounds(void)
{
    uint8_t text[FMX_DEVICE_NAME_BYTES_MAX + 1];
    fmx_slice name = {text, 0};

    memset(text, 'n', sizeof text);
    CU_ASSERT_PTR_NOT_NULL(fmx_dialect_device_name_fault(name));
    CU_ASSERT_PTR_NOT_NULL(fmx_dialect_product_key_fault(name));
    for (name.bytes = 1; name.bytes <= sizeof text; name.bytes++) {
        CU_ASSERT_EQUAL(fmx_dialect_device_name_fault(name) == NULL, name.bytes <= 64);
        CU_ASSERT_EQUAL(fmx_dialect_product_key_fault(name) == NULL, name.bytes <= 32);
    }
    CU_ASSERT_PTR_NULL(fmx_dialect_device_name_fault(fmx_slice_of("sys")));
    CU_ASSERT_PTR_NULL(fmx_dialect_product_key_fault(fmx_slice_of("system")));
}

/* ── signatures ── */

static bool signs(const char *field, const char *expected)
{
    struct fmx_dialect_client client = client_of(field);
    uint8_t content[FMX_SIGNED_BYTES_MAX];
    size_t bytes = fmx_dialect_signed(&client, fmx_slice_of("device"), fmx_slice_of("pk"), content);

    return is((fmx_slice){content, bytes}, expected);
}

static void signed_content_is_as_published(void)
{
    CU_ASSERT(signs("12345|securemode=3,signmethod=hmacsha1,timestamp=789|",
                    "clientId12345deviceNamedeviceproductKeypktimestamp789"));
    CU_ASSERT(signs("12345|securemode=3|", "clientId12345deviceNamedeviceproductKeypk"));
    CU_ASSERT(signs("12345", "clientId12345deviceNamedeviceproductKeypk"));
    CU_ASSERT(signs("|timestamp=2524608000000|",
                    "clientIddeviceNamedeviceproductKeypktimestamp2524608000000"));
    CU_ASSERT(signs("x|authType=register,random=1234,timestamp=5|",
                    "deviceNamedeviceproductKeypkrandom1234"));
    CU_ASSERT(signs("x|authType=regnwl,random=1234|", "deviceNamedeviceproductKeypkrandom1234"));
    CU_ASSERT(signs("x|random=1234|", "clientIdxdeviceNamedeviceproductKeypk"));
    CU_ASSERT(signs("x|authType=connwl|", ""));
}

static void signed_content_fits_at_its_longest(void)
{
    uint8_t text[FMX_LOGICAL_ID_BYTES_MAX];
    uint8_t content[FMX_SIGNED_BYTES_MAX];
    struct fmx_dialect_client client = {
        .logical_id = {text, FMX_LOGICAL_ID_BYTES_MAX},
        .timestamp = {text, FMX_SIGN_PARAM_BYTES_MAX},
        .has_timestamp = true,
    };

    memset(text, '9', sizeof text);
    size_t bytes = fmx_dialect_signed(&client, (fmx_slice){text, FMX_DEVICE_NAME_BYTES_MAX},
                                      (fmx_slice){text, FMX_PRODUCT_KEY_BYTES_MAX}, content);
    CU_ASSERT_EQUAL(bytes, 8 + 256 + 10 + 64 + 10 + 32 + 9 + 128);
}

static enum fmx_hmac_kind kind_of(enum fmx_sign_method method)
{
    return method == FMX_SIGN_HMAC_MD5    ? FMX_HMAC_MD5
           : method == FMX_SIGN_HMAC_SHA1 ? FMX_HMAC_SHA1
                                          : FMX_HMAC_SHA256;
}

/* The gateway's way from the fields of CONNECT to a verdict. */
static bool admits(const char *field, const char *username, const char *password,
                   const char *secret)
{
    struct fmx_dialect_client client = client_of(field);
    uint8_t content[FMX_SIGNED_BYTES_MAX];
    uint8_t digest[FMX_HMAC_BYTES_MAX];
    uint8_t told[FMX_HMAC_BYTES_MAX];
    size_t digest_bytes = 0;
    size_t told_bytes = 0;
    fmx_slice device_name;
    fmx_slice product_key;
    const char *fault;

    if (fmx_dialect_username(fmx_slice_of(username), &device_name, &product_key, &fault) !=
        FMX_OK) {
        return false;
    }
    size_t bytes = fmx_dialect_signed(&client, device_name, product_key, content);
    if (fmx_hmac(kind_of(client.sign_method), fmx_slice_of(secret), (fmx_slice){content, bytes},
                 digest, &digest_bytes) != FMX_OK) {
        return false;
    }
    return fmx_dialect_unhex(fmx_slice_of(password), told, sizeof told, &told_bytes) &&
           fmx_hmac_equal((fmx_slice){digest, digest_bytes}, (fmx_slice){told, told_bytes});
}

static void password_of_each_published_vector_is_admitted(void)
{
    static const struct {
        const char *field;
        const char *password;
        const char *secret;
    } rows[] = {
        {"12345|signmethod=hmacsha1,timestamp=789|", "FAFD82A3D602B37FB0FA8B7892F24A477F851A14",
         "secret"},
        {"12345|signmethod=hmacsha1,timestamp=789|,", "fafd82a3d602b37fb0fa8b7892f24a477f851a14",
         "secret"},
        {"12345|signmethod=hmacmd5,timestamp=789|", "14B198324FE55E1D3C88F2E705E201EE", "secret"},
        {"12345|timestamp=789|", "14B198324FE55E1D3C88F2E705E201EE", "secret"},
        {"12345|signmethod=hmacsha256,timestamp=789|",
         "6074A46A91B1EBB2CC4EA42790AD0E80202C9843859FC292E57C4EB19FAD9E57", "secret"},
        {"pk.device|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=2,"
         "signmethod=hmacsha256,ext=3,_conn=tls_0|",
         "2EAB47D05EC94FAB1A34E7E9F54AEBD34A1E15770F932E05300193007E0091E9", "secret"},
        {"|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=2,"
         "signmethod=hmacsha256,ext=3,_conn=tls_0|",
         "9DEA83E5947409FB4220128787F6BC66D77090396D01E641880AB505497A6DF6", "secret"},
        {"device.pk|random=1234,authType=register,securemode=2,signmethod=hmacsha256|",
         "EBF330C023DC7B4CD81EBE4C5A00850DB2BFC961EB9DB3473A0B0FE8613F344A", "prodsecret"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CU_ASSERT(admits(rows[i].field, "device&pk", rows[i].password, rows[i].secret));
        CU_ASSERT_FALSE(admits(rows[i].field, "device&pk", rows[i].password, "other"));
        CU_ASSERT_FALSE(admits(rows[i].field, "devicf&pk", rows[i].password, rows[i].secret));
        CU_ASSERT_FALSE(admits(rows[i].field, "device&pk", "", rows[i].secret));
    }
}

/* ── hex ── */

static void hex_comes_back_as_it_went(void)
{
    struct fmx_prng prng = {.state = 5};

    for (size_t bytes = 0; bytes <= 32; bytes++) {
        uint8_t in[32] = {0};
        uint8_t out[32] = {0};
        char text[64];
        size_t out_bytes = 99;
        for (size_t i = 0; i < bytes; i++) {
            in[i] = (uint8_t)fmx_prng_next(&prng);
        }
        for (int upper = 0; upper < 2; upper++) {
            fmx_dialect_hex((fmx_slice){in, bytes}, upper != 0, text);
            fmx_slice hex = {(const uint8_t *)text, 2 * bytes};
            CU_ASSERT(fmx_dialect_unhex(hex, out, bytes, &out_bytes));
            CU_ASSERT(fmx_slice_equal((fmx_slice){in, bytes}, (fmx_slice){out, out_bytes}));
            CU_ASSERT(bytes == 0 || !fmx_dialect_unhex(hex, out, bytes - 1, &out_bytes));
        }
    }
}

static void hex_has_the_case_that_was_asked_for(void)
{
    const uint8_t bytes[] = {0x00, 0x9a, 0xbc, 0xde, 0xff};
    char text[10];

    fmx_dialect_hex((fmx_slice){bytes, sizeof bytes}, true, text);
    CU_ASSERT(is((fmx_slice){(uint8_t *)text, 10}, "009ABCDEFF"));
    fmx_dialect_hex((fmx_slice){bytes, sizeof bytes}, false, text);
    CU_ASSERT(is((fmx_slice){(uint8_t *)text, 10}, "009abcdeff"));
}

static void unhex_takes_every_digit_and_nothing_else(void)
{
    uint8_t out[1];
    size_t bytes;

    for (unsigned byte = 0; byte < 256; byte++) {
        const uint8_t first[] = {(uint8_t)byte, '0'};
        const uint8_t second[] = {'0', (uint8_t)byte};
        bool is_digit = byte != 0 && strchr("0123456789abcdefABCDEF", (int)byte) != NULL;
        CU_ASSERT_EQUAL(fmx_dialect_unhex((fmx_slice){first, 2}, out, 1, &bytes), is_digit);
        CU_ASSERT_EQUAL(fmx_dialect_unhex((fmx_slice){second, 2}, out, 1, &bytes), is_digit);
        CU_ASSERT_EQUAL(bytes, is_digit ? 1 : 0);
    }
    CU_ASSERT_FALSE(fmx_dialect_unhex(fmx_slice_of("0"), out, 1, &bytes));
    CU_ASSERT_FALSE(fmx_dialect_unhex(fmx_slice_of("000"), out, 1, &bytes));
    CU_ASSERT_FALSE(fmx_dialect_unhex(fmx_slice_of("0000"), out, 1, &bytes));
    CU_ASSERT(fmx_dialect_unhex((fmx_slice){0}, out, 0, &bytes));
}

/* ── quirks ── */

static void quirk_of_the_c_sdk_4_is_for_5_0_only(void)
{
    fmx_slice sdk = fmx_slice_of("sdk-c-4.1.0");

    CU_ASSERT(fmx_dialect_quirks(sdk, FMX_MQTT_50).session_present_is_0);
    CU_ASSERT_FALSE(fmx_dialect_quirks(sdk, FMX_MQTT_311).session_present_is_0);
    CU_ASSERT_FALSE(fmx_dialect_quirks(sdk, FMX_MQTT_31).session_present_is_0);
    CU_ASSERT_FALSE(
        fmx_dialect_quirks(fmx_slice_of("sdk-c-3.2.0"), FMX_MQTT_50).session_present_is_0);
    CU_ASSERT_FALSE(fmx_dialect_quirks(fmx_slice_of("sdk-c-4"), FMX_MQTT_50).session_present_is_0);
    CU_ASSERT_FALSE(fmx_dialect_quirks((fmx_slice){0}, FMX_MQTT_50).session_present_is_0);
}

/* ── securemode ── */

static void secure_mode_is_of_one_kind_of_channel(void)
{
    static const int32_t on_tls[] = {2, -1, 14};

    CU_ASSERT(fmx_dialect_secure_mode_fits(3, false));
    CU_ASSERT_FALSE(fmx_dialect_secure_mode_fits(3, true));
    for (size_t i = 0; i < sizeof on_tls / sizeof on_tls[0]; i++) {
        CU_ASSERT(fmx_dialect_secure_mode_fits(on_tls[i], true));
        CU_ASSERT_FALSE(fmx_dialect_secure_mode_fits(on_tls[i], false));
    }
    CU_ASSERT_FALSE(fmx_dialect_secure_mode_fits(8, true)); /* ID², which is not spoken here */
    CU_ASSERT_FALSE(fmx_dialect_secure_mode_fits(8, false));
}

/* ── PSK identities ── */

static void psk_identity_is_read_in_both_forms(void)
{
    struct fmx_dialect_psk psk;

    CU_ASSERT_EQUAL(
        fmx_dialect_psk_read(fmx_slice_of("devicename|hmacsha256|pk&device|" YEAR_2050), &psk),
        FMX_OK);
    CU_ASSERT(is(psk.product_key, "pk"));
    CU_ASSERT(is(psk.device_name, "device"));
    CU_ASSERT(is(psk.timestamp, YEAR_2050));
    CU_ASSERT_EQUAL(psk.sign_method, FMX_SIGN_HMAC_SHA256);
    CU_ASSERT_EQUAL(fmx_dialect_psk_read(fmx_slice_of("devicename|hmacsha256|p&d|0"), &psk),
                    FMX_OK);
    CU_ASSERT(is(psk.timestamp, "0"));
    CU_ASSERT_EQUAL(fmx_dialect_psk_read(fmx_slice_of("pk/device"), &psk), FMX_OK);
    CU_ASSERT(is(psk.product_key, "pk"));
    CU_ASSERT(is(psk.device_name, "device"));
    CU_ASSERT_EQUAL(psk.timestamp.bytes, 0);
}

static void psk_identity_that_is_none_is_refused(void)
{
    static const char *const bad[] = {
        "",
        "x",
        "/",
        "pk/",
        "/dn",
        "pk/dn/x",
        "pk&dn",
        "sys/dn",
        "pk/d\x01",
        "pk/\xff",
        "|",
        "|||",
        "devicename|hmacsha256|pk&dn",
        "devicename|hmacsha256|pk&dn|",
        "devicename|hmacsha256|pk&dn|12x",
        "devicename|hmacsha256|pk&dn|-1",
        "devicename|hmacsha256|pk&dn|1|",
        "devicename|hmacsha256|pk&dn|1|2",
        "devicename|hmacsha256|pk|1",
        "devicename|hmacsha256|&dn|1",
        "devicename|hmacsha256|pk&|1",
        "devicename|hmacsha256|pk/dn|1",
        "devicename|hmacsha256|pk&dn&x|1",
        "devicename|hmacsha1|pk&dn|1",
        "devicename||pk&dn|1",
        "Devicename|hmacsha256|pk&dn|1",
        "deviceid|hmacsha256|pk&dn|1",
    };
    struct fmx_dialect_psk psk;
    char longest[256];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (fmx_dialect_psk_read(fmx_slice_of(bad[i]), &psk) != FMX_TLS_PSK) {
            printf("%s\n", bad[i]);
            CU_FAIL("an identity that is none was taken");
        }
    }
    CU_ASSERT_EQUAL(fmx_dialect_psk_read((fmx_slice){0}, &psk), FMX_TLS_PSK);
    memset(longest, '1', sizeof longest);
    memcpy(longest, "devicename|hmacsha256|pk&dn|", 28);
    CU_ASSERT_EQUAL(
        fmx_dialect_psk_read((fmx_slice){.data = (uint8_t *)longest, .bytes = 128}, &psk), FMX_OK);
    CU_ASSERT_EQUAL(
        fmx_dialect_psk_read((fmx_slice){.data = (uint8_t *)longest, .bytes = 129}, &psk),
        FMX_TLS_PSK);
}

static void psk_identity_that_is_written_is_read_again(void)
{
    struct fmx_prng prng = {.state = 7};

    for (int round = 0; round < 2000; round++) {
        char product_key[40], device_name[70];
        uint8_t identity[FMX_PSK_IDENTITY_BYTES_MAX];
        bool has_timestamp = fmx_prng_below(&prng, 2) == 0;
        int pk_bytes = snprintf(product_key, sizeof product_key, "%0*u",
                                1 + (int)fmx_prng_below(&prng, 32), 7u);
        int dn_bytes = snprintf(device_name, sizeof device_name, "%0*u",
                                1 + (int)fmx_prng_below(&prng, 64), 9u);
        struct fmx_dialect_psk psk = {
            .product_key = {.data = (uint8_t *)product_key, .bytes = (size_t)pk_bytes},
            .device_name = {.data = (uint8_t *)device_name, .bytes = (size_t)dn_bytes},
            .timestamp = has_timestamp ? fmx_slice_of(YEAR_2050) : (fmx_slice){0},
            .sign_method = FMX_SIGN_HMAC_SHA256,
        };
        struct fmx_dialect_psk again;
        size_t bytes = fmx_dialect_psk_identity(&psk, identity);
        if (bytes > 0) { /* else it would be too long */
            CU_ASSERT_EQUAL(
                fmx_dialect_psk_read((fmx_slice){.data = identity, .bytes = bytes}, &again),
                FMX_OK);
            CU_ASSERT(fmx_slice_equal(again.product_key, psk.product_key));
            CU_ASSERT(fmx_slice_equal(again.device_name, psk.device_name));
            CU_ASSERT(fmx_slice_equal(again.timestamp, psk.timestamp));
        }
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(client_id_of_the_c_sdk_4_is_understood),
    FMX_TEST_CASE(client_id_of_the_c_sdk_4_without_extension_is_understood),
    FMX_TEST_CASE(client_id_that_is_to_be_assigned_begins_with_the_pipe),
    FMX_TEST_CASE(client_id_of_the_c_sdk_3_is_understood),
    FMX_TEST_CASE(client_id_of_the_c_sdk_2_is_understood),
    FMX_TEST_CASE(client_id_of_node_has_a_comma_after_the_closing_pipe),
    FMX_TEST_CASE(client_id_of_python_is_understood),
    FMX_TEST_CASE(client_id_of_a_mini_program_has_pipes_and_blanks_in_a_value),
    FMX_TEST_CASE(client_id_with_a_token_is_understood),
    FMX_TEST_CASE(client_id_of_a_registration_is_understood),
    FMX_TEST_CASE(client_id_without_a_pipe_has_no_options),
    FMX_TEST_CASE(client_id_tolerates_what_does_no_harm),
    FMX_TEST_CASE(client_id_counts_the_last_of_a_repeated_option),
    FMX_TEST_CASE(client_id_knows_all_secure_modes),
    FMX_TEST_CASE(client_id_is_refused_with_words_for_the_option),
    FMX_TEST_CASE(client_id_bounds_what_is_signed),
    FMX_TEST_CASE(client_id_survives_any_cut_of_a_good_one),
    FMX_TEST_CASE(username_is_taken_apart),
    FMX_TEST_CASE(username_is_refused_with_words_for_its_half),
    FMX_TEST_CASE(names_have_their_bounds),
    FMX_TEST_CASE(signed_content_is_as_published),
    FMX_TEST_CASE(signed_content_fits_at_its_longest),
    FMX_TEST_CASE(password_of_each_published_vector_is_admitted),
    FMX_TEST_CASE(hex_comes_back_as_it_went),
    FMX_TEST_CASE(hex_has_the_case_that_was_asked_for),
    FMX_TEST_CASE(unhex_takes_every_digit_and_nothing_else),
    FMX_TEST_CASE(quirk_of_the_c_sdk_4_is_for_5_0_only),
    FMX_TEST_CASE(secure_mode_is_of_one_kind_of_channel),
    FMX_TEST_CASE(psk_identity_is_read_in_both_forms),
    FMX_TEST_CASE(psk_identity_that_is_none_is_refused),
    FMX_TEST_CASE(psk_identity_that_is_written_is_read_again),
};

int main(int argc, char **argv)
{
    return fmx_test_main("dialect", cases, sizeof cases / sizeof cases[0], argc, argv);
}
