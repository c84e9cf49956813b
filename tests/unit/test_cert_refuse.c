/*
 * test_cert_refuse — options, names and issuers that are none are refused in words
 */
#include "tests/support/cert.h"

#include <errno.h>

/* ── options that are none ── */

static void no_common_name(struct fmx_cert_options *options)
{
    options->common_name = NULL;
}

static void an_empty_common_name(struct fmx_cert_options *options)
{
    options->common_name = "";
}

static void a_long_common_name(struct fmx_cert_options *options)
{
    options->common_name = "12345678901234567890123456789012345678901234567890123456789012345";
}

static void a_line_in_the_common_name(struct fmx_cert_options *options)
{
    options->common_name = "a\nb";
}

static void no_utf8(struct fmx_cert_options *options)
{
    options->common_name = "\xff\xfe";
}

static void an_empty_organization(struct fmx_cert_options *options)
{
    options->organization = "";
}

static void too_many_days(struct fmx_cert_options *options)
{
    options->days = 36501;
}

static void an_unknown_key(struct fmx_cert_options *options)
{
    options->key = (enum fmx_cert_key)7;
}

static void a_client_that_is_an_authority(struct fmx_cert_options *options)
{
    options->is_authority = true;
    options->is_client = true;
}

static void a_client_with_names(struct fmx_cert_options *options)
{
    options->is_client = true;
}

static void a_server_without_names(struct fmx_cert_options *options)
{
    options->names_count = 0;
}

static void too_many_names(struct fmx_cert_options *options)
{
    options->names_count = 65;
}

static void no_out_cert(struct fmx_cert_options *options)
{
    options->out_cert = NULL;
}

static void no_out_key(struct fmx_cert_options *options)
{
    options->out_key = "";
}

static void one_file_for_both(struct fmx_cert_options *options)
{
    options->out_key = options->out_cert;
}

static void an_issuer_without_key(struct fmx_cert_options *options)
{
    options->issuer_cert = "ca.pem";
}

static void a_key_without_issuer(struct fmx_cert_options *options)
{
    options->issuer_key = "ca.key";
}

static void two_issuers(struct fmx_cert_options *options)
{
    options->issuer_cert = "ca.pem";
    options->issuer = (const struct fmx_cert_issuer *)options;
}

static void bad_options_are_refused_in_words(void)
{
    static const struct {
        void (*spoil)(struct fmx_cert_options *options);
        const char *words;
    } bad[] = {
        {no_common_name, "common_name is missing; write"},
        {an_empty_common_name, "common_name: '' has 0 bytes; write 1 to 64"},
        {a_long_common_name, "has 65 bytes; write 1 to 64"},
        {a_line_in_the_common_name, "common_name: byte 2 is a control character"},
        {no_utf8, "is not UTF-8"},
        {an_empty_organization, "organization: '' has 0 bytes"},
        {too_many_days, "days: 36501 is out of range; write 1 to 36500"},
        {an_unknown_key, "key: 7 is no kind of key"},
        {a_client_that_is_an_authority, "is_client: an authority is not a client"},
        {a_client_with_names, "names: only a server has names"},
        {a_server_without_names, "names: a server needs one"},
        {too_many_names, "names: there are 65; write at most 64"},
        {no_out_cert, "out_cert is missing"},
        {no_out_key, "out_key is missing"},
        {one_file_for_both, "is the certificate's file too; name another"},
        {an_issuer_without_key, "issuer_key is missing"},
        {a_key_without_issuer, "issuer_cert is missing"},
        {two_issuers, "issuer: there are issuer_cert or issuer_key too"},
    };
    static const char *names[65];

    new_folder();
    for (size_t i = 0; i < 65; i++) {
        names[i] = "localhost";
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct order order;
        order_init(&order, "server", NULL);
        order.options.names = names;
        order.options.names_count = 1;
        bad[i].spoil(&order.options);
        CU_ASSERT_EQUAL(fmx_cert_make(&order.options, error, sizeof(error)), FMX_E_OPTION);
        if (strstr(error, bad[i].words) == NULL) {
            fprintf(stderr, "options %zu: %s\n", i, error);
            CU_FAIL("the words are others");
        }
    }
    CU_ASSERT_EQUAL(files_count(), 0);
}

static void what_is_no_name_of_a_server_is_refused(void)
{
    static const char *const bad[] = {
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-",
        "a b",
        "a/b",
        "*",
        "*.",
        "a.*",
        "*a.b",
        "*.*.b",
        "1.2.3",
        "1.2.3.4.5",
        "256.0.0.1",
        "1.2.3.0x4 ",
        "[::1]",
        "::1%lo",
        "a:1883",
        "mqtt://a",
        "DNS:a",
        "a,DNS:b",
        "a\nb",
        "k\xc3\xbc",
        "1",
        "example.com.",
        "2001:db8::g",
        "123456789012345678901234567890123456789012345678901234567890abcd.x",
    };
    static const char *const good[] = {
        "a",
        "A-b_c.D",
        "1a",
        "xn--kche-0ra.de",
        "*.x",
        "0.0.0.0",
        "::",
        "::ffff:1.2.3.4",
        "12345678901234567890123456789012345678901234567890123456789abcd.x",
    };
    char longest[256];
    struct order order;

    new_folder();
    order_init(&order, "server", NULL);
    order.options.names_count = 1;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        order.options.names = &bad[i];
        CU_ASSERT_EQUAL(fmx_cert_make(&order.options, error, sizeof(error)), FMX_E_OPTION);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "is neither a DNS name nor an IP address; write as"));
    }
    order.options.names = good;
    order.options.names_count = sizeof(good) / sizeof(good[0]);
    make_ordered(&order);
    for (size_t i = 0; i < 254; i++) {
        longest[i] = (char)(i % 2 == 0 ? 'a' : '.');
    }
    longest[253] = 'a';
    longest[254] = '\0';
    const char *name = longest;
    order_init(&order, "long", NULL);
    order.options.names = &name;
    order.options.names_count = 1;
    CU_ASSERT_EQUAL(fmx_cert_make(&order.options, error, sizeof(error)), FMX_E_OPTION);
    longest[253] = '\0';
    make_ordered(&order);
}

/* ── issuers that are none ── */

/* Changes the authority and lets it sign itself again. */
static void change_authority(const char *name, void (*change)(X509 *x509))
{
    struct chain chain;
    char file_name[64];

    read_chain(name, &chain);
    change(chain.all[0]);
    CU_ASSERT(X509_sign(chain.all[0], chain.key, EVP_sha256()) > 0);
    snprintf(file_name, sizeof(file_name), "%s.pem", name);
    FILE *file = fopen(in_folder(file_name), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    PEM_write_X509(file, chain.all[0]);
    fclose(file);
    drop_chain(&chain);
}

static void expire(X509 *x509)
{
    X509_gmtime_adj(X509_getm_notAfter(x509), -3 * DAY_S);
}

static void postpone(X509 *x509)
{
    X509_gmtime_adj(X509_getm_notBefore(x509), DAY_S);
}

static void shorten_path(X509 *x509)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();

    constraints->ca = 0xff;
    constraints->pathlen = ASN1_INTEGER_new();
    ASN1_INTEGER_set(constraints->pathlen, 0);
    X509_add1_ext_i2d(x509, NID_basic_constraints, constraints, 1, X509V3_ADD_REPLACE);
    BASIC_CONSTRAINTS_free(constraints);
}

static void forbid_signing(X509 *x509)
{
    ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();

    ASN1_BIT_STRING_set_bit(bits, 0, 1);
    X509_add1_ext_i2d(x509, NID_key_usage, bits, 1, X509V3_ADD_REPLACE);
    ASN1_BIT_STRING_free(bits);
}

static void refuses_issuer(const char *cert, const char *key, enum fmx_status expected,
                           const char *words)
{
    struct fmx_cert_issuer *issuer = NULL;
    char cert_path[FMX_TEMPORARY_FILE_BYTES], key_path[FMX_TEMPORARY_FILE_BYTES];

    snprintf(cert_path, sizeof(cert_path), "%s/%s", folder, cert);
    snprintf(key_path, sizeof(key_path), "%s/%s", folder, key);
    CU_ASSERT_EQUAL(fmx_cert_issuer_open(cert_path, key_path, &issuer, error, sizeof(error)),
                    expected);
    CU_ASSERT_PTR_NULL(issuer);
    if (strstr(error, words) == NULL) {
        fprintf(stderr, "%s and %s: %s\n", cert, key, error);
        CU_FAIL("the words are others");
    }
}

static void an_issuer_that_cannot_sign_is_refused(void)
{
    new_folder();
    make_authority("ca", NULL);
    make_authority("other", NULL);
    make_server("server", "ca", FMX_CERT_KEY_P256);
    refuses_issuer("server.pem", "server.key", FMX_E_OPTION, "may not sign certificates; name the");
    refuses_issuer("ca.pem", "other.key", FMX_E_OPTION, "issuer_key: the key in '");
    refuses_issuer("none.pem", "ca.key", FMX_SYS_FILE, "none.pem' cannot be read: No such file");
    CU_ASSERT_EQUAL(errno, ENOENT);
    refuses_issuer("ca.pem", "none.key", FMX_SYS_FILE, "issuer_key: '");
    refuses_issuer("ca.key", "ca.key", FMX_E_OPTION, "holds no certificate");
    refuses_issuer("ca.pem", "ca.pem", FMX_E_OPTION, "holds no key");
    change_authority("other", forbid_signing);
    refuses_issuer("other.pem", "other.key", FMX_E_OPTION, "may not sign certificates");
    make_authority("late", NULL);
    change_authority("late", postpone);
    refuses_issuer("late.pem", "late.key", FMX_E_OPTION, "is not valid yet");
    make_authority("old", NULL);
    change_authority("old", expire);
    refuses_issuer("old.pem", "old.key", FMX_E_OPTION, "has expired 3 days ago; make a new");
    fmx_cert_issuer_close(NULL);
}

static void a_path_length_is_obeyed(void)
{
    struct order order;

    new_folder();
    make_authority("ca", NULL);
    change_authority("ca", shorten_path);
    make_client("device", "ca");
    CU_ASSERT_EQUAL(verdict("device", "ca", X509_PURPOSE_SSL_CLIENT, NULL, NULL), X509_V_OK);
    order_init(&order, "middle", "ca");
    order.options.is_authority = true;
    CU_ASSERT_EQUAL(fmx_cert_make(&order.options, error, sizeof(error)), FMX_E_OPTION);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "is_authority: the issuer may not sign authorities"));
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(bad_options_are_refused_in_words),
    FMX_TEST_CASE(what_is_no_name_of_a_server_is_refused),
    FMX_TEST_CASE(an_issuer_that_cannot_sign_is_refused),
    FMX_TEST_CASE(a_path_length_is_obeyed),
};

int main(int argc, char **argv)
{
    return run_in_folder("cert_refuse", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
