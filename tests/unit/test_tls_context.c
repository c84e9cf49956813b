/*
 * test_tls_context — what is wrong with options and files is said with field, file and fix
 */
#include "tests/support/run.h"
#include "tests/support/tls_pki.h"
#include "tests/support/tls_setup.h"
#include "tls/internal.h"

#include <fleetmux/private/assert.h>

#include <openssl/nid.h>
#include <openssl/ssl.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char error[512];

static enum fmx_status open_server(const struct fmx_tls_server *options)
{
    struct fmx_tls_context *context = NULL;

    error[0] = '\0';
    errno = 0;
    enum fmx_status status = fmx_tls_server_open(options, NULL, fmx_slice_of("scope"), NULL,
                                                 &context, error, sizeof error);
    CU_ASSERT_EQUAL(status == FMX_OK, context != NULL);
    fmx_tls_context_drop(context);
    return status;
}

static void expect_words(const char *words)
{
    if (strstr(error, words) == NULL) {
        printf("\n    '%s' lacks '%s'\n", error, words);
        CU_FAIL("words");
    }
}

static void expect_refused(const struct fmx_tls_server *options, const char *words)
{
    CU_ASSERT_EQUAL(open_server(options), FMX_E_OPTION);
    expect_words(words);
}

static struct fmx_tls_server with_cert(const char *cert, const char *key)
{
    struct fmx_tls_server options = tls_ecdsa_options();

    options.cert = cert;
    options.key = key;
    return options;
}

static void expect_cert_refused(const char *cert, const char *key, const char *words)
{
    struct fmx_tls_server options = with_cert(cert, key);

    expect_refused(&options, words);
}

static void server_opens_with_what_is_right(void)
{
    struct fmx_tls_server options = tls_both_options();

    CU_ASSERT_EQUAL(open_server(&options), FMX_OK);
    options.cert = options.key = NULL; /* an RSA certificate alone */
    CU_ASSERT_EQUAL(open_server(&options), FMX_OK);
    options = tls_rsa_options(); /* given as the first */
    options.old_suites = true;
    CU_ASSERT_EQUAL(open_server(&options), FMX_OK);
}

static void server_names_the_file_that_cannot_be_read(void)
{
    struct fmx_tls_server options = tls_both_options();

    options.cert = "/nonexistent/server.crt";
    CU_ASSERT_EQUAL(open_server(&options), FMX_SYS_FILE);
    CU_ASSERT_EQUAL(errno, ENOENT);
    CU_ASSERT_STRING_EQUAL(
        error, "cert: '/nonexistent/server.crt' cannot be read: No such file or directory");
    options = tls_both_options();
    options.key_rsa = "/nonexistent/rsa.key";
    CU_ASSERT_EQUAL(open_server(&options), FMX_SYS_FILE);
    expect_words("key_rsa: '/nonexistent/rsa.key' cannot be read");
    options = tls_ecdsa_options();
    options.key_log = "/nonexistent/keys";
    CU_ASSERT_EQUAL(open_server(&options), FMX_SYS_FILE);
    CU_ASSERT_EQUAL(errno, ENOENT);
    expect_words("key_log: '/nonexistent/keys' cannot be written: No such file");
}

static void server_refuses_a_certificate_that_is_none(void)
{
    const char *key = tls_pki_path("server.key");
    const char *path = NULL;

    expect_cert_refused(NULL, NULL, "cert is missing: give the server's certificate and its key");
    expect_cert_refused(tls_pki_path("server.crt"), NULL, "key is missing: cert needs its key");
    expect_cert_refused(tls_pki_write("empty", ""), key, "is empty");
    expect_cert_refused("/", key, "cert: '/' is not a file");
    expect_cert_refused(tls_pki_write("text", "no certificate\n"), key,
                        "holds no certificate: it must be PEM, beginning with -----BEGIN CERT");
    expect_cert_refused(
        tls_pki_write("base64", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"),
        key, "is damaged after certificate 0");
    expect_cert_refused(
        tls_pki_write("der", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key,
        "certificate 1 in");
    expect_words("is damaged");
    (void)tls_pki_write("cut", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    path = tls_pki_join("half", "server.crt", "cut", NULL);
    expect_cert_refused(path, key, "is damaged after certificate 1");
    (void)tls_pki_join("four", "ca.crt", "ca.crt", "ca.crt", "ca.crt", NULL);
    path = tls_pki_join("seventeen", "server.crt", "four", "four", "four", "four", NULL);
    expect_cert_refused(path, key, "has more than 16 certificates");
}

static void server_refuses_a_key_that_does_not_go(void)
{
    const char *cert = tls_pki_path("server.crt");

    expect_cert_refused(cert, tls_pki_path("client.key"),
                        "is not that of the first certificate in");
    expect_cert_refused(cert, tls_pki_path("server_rsa.key"),
                        "is not that of the first certificate in");
    expect_cert_refused(cert, cert, "holds no key: it must be PEM");
    expect_cert_refused(cert,
                        tls_pki_write("locked", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
                                                "-----END ENCRYPTED PRIVATE KEY-----\n"),
                        "is encrypted: take the passphrase off");
    tls_pki_make(&(struct tls_pki_request){.stem = "weak", .issuer = "ca", .rsa_bits = 1024});
    expect_cert_refused(tls_pki_path("weak.crt"), tls_pki_path("weak.key"),
                        "has 1024 bits: it needs 2048 or more");
    tls_pki_make(
        &(struct tls_pki_request){.stem = "curve", .issuer = "ca", .curve = NID_secp224r1});
    expect_cert_refused(tls_pki_path("curve.crt"), tls_pki_path("curve.key"),
                        "is neither ECDSA (P-256, P-384, P-521) nor RSA");
}

static void server_takes_other_curves(void)
{
    static const int curves[] = {NID_secp384r1, NID_secp521r1};

    for (size_t i = 0; i < 2; i++) {
        tls_pki_make(
            &(struct tls_pki_request){.stem = "curve", .issuer = "ca", .curve = curves[i]});
        struct fmx_tls_server options =
            with_cert(tls_pki_path("curve.crt"), tls_pki_path("curve.key"));
        CU_ASSERT_EQUAL(open_server(&options), FMX_OK);
    }
}

static void server_wants_two_kinds_of_keys(void)
{
    struct fmx_tls_server options = tls_both_options();

    options.cert_rsa = options.cert;
    options.key_rsa = options.key;
    expect_refused(&options, "cert_rsa: its key is no RSA key: give it as cert and key");
    options = tls_both_options();
    options.cert = options.cert_rsa;
    options.key = options.key_rsa;
    expect_refused(&options, "cert: its key is an RSA key too");
    options = tls_both_options();
    options.cert_rsa = NULL;
    expect_refused(&options, "cert_rsa is missing: key_rsa is its key");
}

static void server_refuses_names_that_are_none(void)
{
    static const char *const bad[] = {"", ".a", "a..b", "a.", "a b", "*.", "*", "a.*.b", "*a.b"};
    struct fmx_tls_server options = tls_ecdsa_options();
    struct fmx_tls_server_name names[2] = {
        {.name = "a.example", .cert = options.cert, .key = options.key},
        {.name = "A.Example", .cert = options.cert, .key = options.key}};

    options.server_names = names;
    options.server_names_count = 2;
    expect_refused(&options, "server_names: 'a.example' stands twice");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        names[1].name = bad[i];
        expect_refused(&options, "write a DNS name, or *. and a DNS name");
        expect_words("server_names[1].name is '");
    }
    names[1].name = "b.example";
    names[1].cert = NULL;
    expect_refused(&options, "server_names[1].cert is missing: 'b.example' needs a certificate");
    names[1].cert = "/nonexistent";
    CU_ASSERT_EQUAL(open_server(&options), FMX_SYS_FILE);
    expect_words("server_names[1].cert: '/nonexistent' cannot be read");
    names[1].cert = options.cert;
    names[1].key = tls_pki_path("client.key");
    expect_refused(&options, "server_names[1].key: the key in");
    options.server_names_count = 1025;
    expect_refused(&options, "server_names is 1025: write a number from 0 to 1024");
}

static void names_are_found_with_one_star_for_one_label(void)
{
    const struct fmx_tls_server options = tls_ecdsa_options();
    struct fmx_tls_server_name names[] = {{.name = "m.example"},
                                          {.name = "*.example"},
                                          {.name = "*.b.example"},
                                          {.name = "a.b.example"}};
    static const struct {
        const char *name;
        int found; /* in `names`; -1: none */
    } tries[] = {
        {"m.example", 0},    {"M.EXAMPLE", 0},   {"x.example", 1}, {"b.example", 1},
        {"a.b.example", 3},  {"x.b.example", 2}, {"example", -1},  {".example", -1},
        {"a.x.example", -1}, {"m.example.", -1}, {"*.example", 1}, {"", -1},
    };
    struct fmx_tls_names all;
    static uint8_t huge[300];

    for (size_t i = 0; i < 4; i++) {
        names[i].cert = options.cert;
        names[i].key = options.key;
    }
    FMX_ASSERT(fmx_tls_names_open(names, 4, &all, error, sizeof error) == FMX_OK);
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        const struct fmx_tls_pair *pair = fmx_tls_names_find(&all, fmx_slice_of(tries[i].name));
        const char *expected = tries[i].found < 0 ? NULL : names[tries[i].found].name;
        const struct fmx_tls_pair *right = NULL;
        for (size_t j = 0; j < all.count && expected != NULL; j++) {
            if (strcmp(all.all[j].name, expected) == 0) {
                right = &all.all[j].pair;
            }
        }
        CU_ASSERT_PTR_EQUAL(pair, right);
    }
    memset(huge, 'a', sizeof huge);
    CU_ASSERT_PTR_NULL(fmx_tls_names_find(&all, (fmx_slice){huge, sizeof huge}));
    CU_ASSERT_PTR_NULL(fmx_tls_names_find(
        &all, (fmx_slice){(const uint8_t *)"m.example\0.evil", sizeof "m.example\0.evil" - 1}));
    fmx_tls_names_close(&all);
}

static void server_refuses_suites_that_do_not_go(void)
{
    struct fmx_tls_server options = tls_ecdsa_options();

    options.suites = "ECDHE-ECDSA-AES128-GCM-SHA256:NO-SUCH-SUITE";
    expect_refused(&options,
                   "suites is 'ECDHE-ECDSA-AES128-GCM-SHA256:NO-SUCH-SUITE': a name in it");
    options.suites = "";
    expect_refused(&options, "suites is ''");
    options = tls_ecdsa_options();
    options.psk_file = tls_pki_write("one", "a:00\n");
    options.suites = "ECDHE-ECDSA-AES128-GCM-SHA256";
    expect_refused(&options, "suites has none for psk: add ECDHE-PSK-CHACHA20-POLY1305");
    options = tls_ecdsa_options();
    options.old_suites = true;
    expect_refused(&options, "old_suites needs an RSA certificate: give cert_rsa and key_rsa");
    tls_pki_make(&(struct tls_pki_request){
        .stem = "signs", .issuer = "ca", .rsa_bits = 2048, .usage = "digitalSignature"});
    options.cert_rsa = tls_pki_path("signs.crt");
    options.key_rsa = tls_pki_path("signs.key");
    expect_refused(&options, "has no key encipherment, which static RSA needs");
}

static void server_offers_suites_by_option(void)
{
    static const struct {
        bool old_versions;
        bool old_suites;
        bool psk;
        size_t count;
        const char *first;
        const char *last;
    } rows[] = {
        {false, false, false, 6, "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"},
        {true, false, false, 10, "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-SHA"},
        {false, true, false, 14, "ECDHE-ECDSA-AES128-GCM-SHA256", "AES256-SHA"},
        {true, true, false, 14, "ECDHE-ECDSA-AES128-GCM-SHA256", "AES256-SHA"},
        {false, false, true, 11, "ECDHE-PSK-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fmx_tls_server options = tls_both_options();
        options.min = rows[i].old_versions ? FMX_TLS_10 : FMX_TLS_12;
        options.old_suites = rows[i].old_suites;
        options.psk = rows[i].psk;
        struct fmx_tls_context *context = tls_server_of(&options, NULL);
        const STACK_OF(SSL_CIPHER) *suites = SSL_CTX_get_ciphers(context->ssl);
        size_t count = sk_SSL_CIPHER_num(suites);
        CU_ASSERT_EQUAL(count, rows[i].count);
        CU_ASSERT_STRING_EQUAL(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(suites, 0)), rows[i].first);
        CU_ASSERT_STRING_EQUAL(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(suites, count - 1)),
                               rows[i].last);
        fmx_tls_context_drop(context);
    }
}

static void server_refuses_versions_out_of_order(void)
{
    struct fmx_tls_server options = tls_ecdsa_options();

    options.min = FMX_TLS_13;
    options.max = FMX_TLS_12;
    expect_refused(&options, "min is TLS 1.3, above max, which is TLS 1.2");
    options.min = (enum fmx_tls_version)0x0300;
    expect_refused(&options, "min is no TLS version: write one from 1.0 to 1.3");
    options = tls_ecdsa_options();
    options.max = (enum fmx_tls_version)0x0305;
    expect_refused(&options, "max is no TLS version");
    options = tls_ecdsa_options();
    options.psk = true;
    options.min = FMX_TLS_13;
    expect_refused(&options, "min is TLS 1.3: with psk it is at most TLS 1.2");
}

static void server_refuses_numbers_out_of_range(void)
{
    struct fmx_tls_server options;
    const struct {
        uint32_t *field;
        uint32_t low;
        uint32_t high;
        const char *name;
    } ranges[] = {
        {&options.client_chain_max, 0, 17, "client_chain_max is "},
        {&options.client_chain_bytes_max, 1023, 102401, "client_chain_bytes_max is "},
        {&options.ticket_rotate_s, 59, 604801, "ticket_rotate_s is "},
        {&options.ticket_lifetime_s, 59, 604801, "ticket_lifetime_s is "},
        {&options.record_bytes_max, 511, 16385, "record_bytes_max is "},
        {&options.handshake_timeout_ms, 99, 600001, "handshake_timeout_ms is "},
        {&options.handshake_bytes_max, 4095, 262145, "handshake_bytes_max is "},
        {&options.handshake_records_max, 7, 4097, "handshake_records_max is "},
    };

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        for (unsigned side = 0; side < 4; side++) {
            options = tls_ecdsa_options();
            *ranges[i].field = side < 2 ? ranges[i].low + side % 2 : ranges[i].high - side % 2;
            if (side % 2 == 0) {
                expect_refused(&options, ranges[i].name);
                expect_words(": write a number from ");
            } else {
                CU_ASSERT_EQUAL(open_server(&options), FMX_OK);
            }
        }
    }
}

static void server_refuses_client_auth_without_its_parts(void)
{
    struct fmx_tls_server options = tls_ecdsa_options();

    options.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
    expect_refused(&options, "client_ca is missing: client_auth needs the authorities");
    options.client_ca = tls_pki_write("text", "no certificate\n");
    expect_refused(&options, "client_ca: '");
    expect_words("holds no certificate");
    (void)tls_pki_write("der", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    options.client_ca = tls_pki_join("half", "ca.crt", "der", NULL);
    expect_refused(&options, "is damaged after certificate 1");
    options.client_ca = "/nonexistent";
    CU_ASSERT_EQUAL(open_server(&options), FMX_SYS_FILE);
    expect_words("client_ca: '/nonexistent' cannot be read");
    options = tls_ecdsa_options();
    options.client_ca = tls_pki_path("ca.crt");
    expect_refused(&options, "client_ca goes with client_auth request or require only");
    options = tls_ecdsa_options();
    options.client_cert_is_login = true;
    expect_refused(&options, "client_cert_is_login goes with client_auth request or require only");
    options = tls_ecdsa_options();
    options.client_auth = (enum fmx_tls_client_auth)3;
    expect_refused(&options, "client_auth is 3");
}

static void expect_psk_refused(const char *lines, const char *words)
{
    struct fmx_tls_server options;

    fmx_tls_server_init(&options);
    options.psk_file = tls_pki_write("psk", lines);
    expect_refused(&options, words);
}

static void psk_file_is_refused_by_line(void)
{
    static char large[400];
    struct fmx_tls_server options;
    const struct fmx_slice zero = {(const uint8_t *)"a:00\nb\0c:00\n", 12};

    expect_psk_refused("a:00\nnothing\n", "psk_file: line 2 of '");
    expect_words("': there is no colon: write IDENTITY:KEY, the key in hexadecimal");
    expect_psk_refused(":00\n", "line 1 of '");
    expect_words("the identity has no or more than 128 bytes");
    expect_psk_refused("a:0\n", "the key must have 2 to 128 hexadecimal digits, two for each byte");
    expect_psk_refused("a:\n", "the key must have 2 to 128");
    expect_psk_refused("a:0g\n", "the key has a letter that is no hexadecimal digit");
    expect_psk_refused("b:00\n# c\na:11\n\nb:22\n", "psk_file: lines 1 and 5 of '");
    expect_words("have the same identity");
    expect_psk_refused("# nobody\n\n", "has no line IDENTITY:KEY");
    expect_psk_refused("", "is empty");
    memset(large, 'i', 129);
    memcpy(large + 129, ":00", 4);
    expect_psk_refused(large, "the identity has no or more than 128 bytes");
    memset(large, '0', sizeof large);
    memcpy(large, "a:", 2);
    large[2 + 130] = '\0';
    expect_psk_refused(large, "the key must have 2 to 128");
    fmx_tls_server_init(&options);
    options.psk_file = tls_pki_write_bytes("psk", zero);
    expect_refused(&options, "there is a zero byte");
    options.psk_file = "/nonexistent";
    CU_ASSERT_EQUAL(open_server(&options), FMX_SYS_FILE);
    expect_words("psk_file: '/nonexistent' cannot be read");
    options.psk_file = NULL;
    options.psk = true;
    expect_refused(&options, "psk: there is no registry to look devices up in");
}

static void psk_file_finds_each_of_many(void)
{
    static char text[40000];
    struct fmx_tls_psk_table table;
    uint8_t key[FMX_TLS_PSK_BYTES_MAX];
    char identity[16];
    size_t used = 0;

    for (unsigned i = 0; i < 1000; i++) {
        unsigned number = i * 7919u % 1000;
        used += (size_t)snprintf(text + used, sizeof text - used, "id%u:%04x\n", number, number);
    }
    FMX_ASSERT(fmx_tls_psk_table_open(tls_pki_write("many", text), &table, error, sizeof error) ==
               FMX_OK);
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(identity, sizeof identity, "id%u", i);
        CU_ASSERT_EQUAL(fmx_tls_psk_table_find(&table, fmx_slice_of(identity), key), 2);
        CU_ASSERT_EQUAL((unsigned)key[0] << 8 | key[1], i);
    }
    CU_ASSERT_EQUAL(fmx_tls_psk_table_find(&table, fmx_slice_of("id"), key), 0);
    CU_ASSERT_EQUAL(fmx_tls_psk_table_find(&table, fmx_slice_of("id1000"), key), 0);
    CU_ASSERT_EQUAL(fmx_tls_psk_table_find(&table, fmx_slice_of(""), key), 0);
    CU_ASSERT_EQUAL(fmx_tls_psk_table_find(&table, fmx_slice_of("zzz"), key), 0);
    fmx_tls_psk_table_close(&table);
}

static enum fmx_status open_client(const struct fmx_tls_client *options)
{
    struct fmx_tls_context *context = NULL;

    error[0] = '\0';
    enum fmx_status status = fmx_tls_client_open(options, &context, error, sizeof error);
    CU_ASSERT_EQUAL(status == FMX_OK, context != NULL);
    fmx_tls_context_drop(context);
    return status;
}

static void client_refuses_what_does_not_go(void)
{
    struct fmx_tls_client options = tls_client_options();

    CU_ASSERT_EQUAL(open_client(&options), FMX_OK);
    options.insecure = true;
    CU_ASSERT_EQUAL(open_client(&options), FMX_E_OPTION);
    expect_words("ca and insecure contradict each other");
    options = tls_client_options();
    options.ca = "/nonexistent";
    CU_ASSERT_EQUAL(open_client(&options), FMX_SYS_FILE);
    expect_words("ca: '/nonexistent' cannot be read");
    options = tls_client_options();
    options.suites = "NONE-SUCH";
    CU_ASSERT_EQUAL(open_client(&options), FMX_E_OPTION);
    expect_words("suites is 'NONE-SUCH': a name in it is not known");
    options = tls_client_options();
    options.record_bytes_max = 100;
    CU_ASSERT_EQUAL(open_client(&options), FMX_E_OPTION);
    expect_words("record_bytes_max is 100: write a number from 512 to 16384");
    options = tls_client_options();
    options.min = FMX_TLS_13;
    options.psk = FMX_TLS_PSK_SECRET;
    CU_ASSERT_EQUAL(open_client(&options), FMX_E_OPTION);
    expect_words("with psk it is at most TLS 1.2");
    options = tls_client_options();
    options.key_log = "/nonexistent/keys";
    CU_ASSERT_EQUAL(open_client(&options), FMX_SYS_FILE);
}

static void client_without_authorities_uses_the_systems(void)
{
    struct fmx_tls_client options = tls_client_options();

    options.ca = NULL;
    if (open_client(&options) != FMX_OK) {
        expect_words("ca is missing, and the system has no authorities of its own");
    }
}

static void certificate_of_a_client_is_read_with_words(void)
{
    struct fmx_tls_cert *cert = NULL;

    CU_ASSERT_EQUAL(fmx_tls_cert_read(tls_pki_path("client.crt"), tls_pki_path("client.key"), &cert,
                                      error, sizeof error),
                    FMX_OK);
    fmx_tls_cert_drop(fmx_tls_cert_hold(cert));
    fmx_tls_cert_drop(cert);
    CU_ASSERT_EQUAL(
        fmx_tls_cert_read("/nonexistent", tls_pki_path("client.key"), &cert, error, sizeof error),
        FMX_SYS_FILE);
    CU_ASSERT_PTR_NULL(cert);
    expect_words("cert: '/nonexistent' cannot be read");
}

static void key_log_is_its_owners_alone(void)
{
    struct fmx_tls_client options = tls_client_options();
    struct stat facts;

    options.key_log = tls_pki_path("keys");
    CU_ASSERT_EQUAL(open_client(&options), FMX_OK);
    CU_ASSERT_EQUAL(stat(options.key_log, &facts), 0);
    CU_ASSERT_EQUAL(facts.st_mode & 0777, 0600);
}

static void defaults_and_version_names_are_as_said(void)
{
    struct fmx_tls_limits limits;

    fmx_tls_limits_init(&limits);
    CU_ASSERT_EQUAL(limits.workers, 0);
    CU_ASSERT_EQUAL(limits.unfinished_per_address_max, 256);
    CU_ASSERT_STRING_EQUAL(fmx_tls_version_name(FMX_TLS_10), "TLS 1.0");
    CU_ASSERT_STRING_EQUAL(fmx_tls_version_name(FMX_TLS_13), "TLS 1.3");
    CU_ASSERT_STRING_EQUAL(fmx_tls_version_name((enum fmx_tls_version)0), "?");
    const struct fmx_tls_server options = tls_ecdsa_options();
    struct fmx_tls_context *context = tls_server_of(&options, NULL);
    const struct fmx_tls_bounds *bounds = fmx_tls_context_bounds(context);
    CU_ASSERT_EQUAL(bounds->handshake_timeout_ms, 10000);
    CU_ASSERT_EQUAL(bounds->handshake_bytes_max, 32768);
    CU_ASSERT_EQUAL(bounds->handshake_records_max, 64);
    fmx_tls_context_drop(fmx_tls_context_hold(context));
    fmx_tls_context_drop(context);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(server_opens_with_what_is_right),
    FMX_TEST_CASE(server_names_the_file_that_cannot_be_read),
    FMX_TEST_CASE(server_refuses_a_certificate_that_is_none),
    FMX_TEST_CASE(server_refuses_a_key_that_does_not_go),
    FMX_TEST_CASE(server_takes_other_curves),
    FMX_TEST_CASE(server_wants_two_kinds_of_keys),
    FMX_TEST_CASE(server_refuses_names_that_are_none),
    FMX_TEST_CASE(names_are_found_with_one_star_for_one_label),
    FMX_TEST_CASE(server_refuses_suites_that_do_not_go),
    FMX_TEST_CASE(server_offers_suites_by_option),
    FMX_TEST_CASE(server_refuses_versions_out_of_order),
    FMX_TEST_CASE(server_refuses_numbers_out_of_range),
    FMX_TEST_CASE(server_refuses_client_auth_without_its_parts),
    FMX_TEST_CASE(psk_file_is_refused_by_line),
    FMX_TEST_CASE(psk_file_finds_each_of_many),
    FMX_TEST_CASE(client_refuses_what_does_not_go),
    FMX_TEST_CASE(client_without_authorities_uses_the_systems),
    FMX_TEST_CASE(certificate_of_a_client_is_read_with_words),
    FMX_TEST_CASE(key_log_is_its_owners_alone),
    FMX_TEST_CASE(defaults_and_version_names_are_as_said),
};

int main(int argc, char **argv)
{
    tls_pki_standard();
    return fmx_test_main("tls_context", cases, sizeof cases / sizeof cases[0], argc, argv);
}
