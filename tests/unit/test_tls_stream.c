/*
 * test_tls_stream — a client's stream and a server's agree, talk, resume and end
 */
#include "tests/support/run.h"
#include "tests/support/tls_pipe.h"
#include "tests/support/tls_pki.h"
#include "tests/support/tls_setup.h"

#include <fleetmux/private/assert.h>

#include <stdlib.h>
#include <time.h>

static char error[512];

/* Opens a pipe between contexts with these options; the contexts live on in the streams. */
static struct tls_pipe *pipe_of(const struct fmx_tls_client *client,
                                const struct fmx_tls_server *server,
                                const struct fmx_tls_dial *dial)
{
    struct fmx_tls_context *client_context = tls_client_of(client);
    struct fmx_tls_context *server_context = tls_server_of(server, NULL);
    struct tls_pipe *pipe = tls_pipe_open(client_context, server_context, dial);

    fmx_tls_context_drop(client_context);
    fmx_tls_context_drop(server_context);
    return pipe;
}

static struct fmx_tls_facts facts_of(const struct tls_side *side)
{
    struct fmx_tls_facts facts;

    fmx_tls_stream_facts(side->stream, &facts);
    return facts;
}

/* ── agreeing ── */

static void stream_agrees_on_each_version_with_each_key(void)
{
    static const enum fmx_tls_version versions[] = {FMX_TLS_10, FMX_TLS_11, FMX_TLS_12, FMX_TLS_13};

    for (unsigned i = 0; i < 12; i++) {
        enum fmx_tls_version version = versions[i % 4];
        struct fmx_tls_client client = tls_client_options();
        struct fmx_tls_server server = i < 4   ? tls_ecdsa_options()
                                       : i < 8 ? tls_rsa_options()
                                               : tls_both_options();
        client.min = client.max = version;
        server.min = FMX_TLS_10;
        struct tls_pipe *pipe = pipe_of(&client, &server, NULL);
        CU_ASSERT_TRUE(tls_pipe_talks(pipe));
        if (tls_pipe_is_open(pipe)) {
            struct fmx_tls_facts facts = facts_of(&pipe->server);
            CU_ASSERT_EQUAL(facts.version, version);
            CU_ASSERT_EQUAL(facts_of(&pipe->client).version, version);
            CU_ASSERT_PTR_NOT_NULL(facts.suite);
            CU_ASSERT_FALSE(facts.resumed);
            CU_ASSERT_FALSE(facts.has_client_cert);
            CU_ASSERT_TRUE(fmx_slice_equal(facts.server_name, fmx_slice_of("localhost")));
            CU_ASSERT_TRUE(fmx_slice_equal(facts.alpn, fmx_slice_of("mqtt")));
            CU_ASSERT_EQUAL(facts.psk_identity.bytes, 0);
            CU_ASSERT_EQUAL(fmx_tls_stream_used_rsa(pipe->server.stream), i >= 4 && i < 8);
            CU_ASSERT_EQUAL(fmx_tls_stream_used_rsa(pipe->client.stream), i >= 4 && i < 8);
        }
        tls_pipe_free(pipe);
    }
}

static void stream_agrees_on_the_highest_version_of_both(void)
{
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_server server = tls_ecdsa_options();
    struct tls_pipe *pipe = pipe_of(&client, &server, NULL);

    CU_ASSERT_EQUAL(facts_of(&pipe->server).version, FMX_TLS_13);
    CU_ASSERT_STRING_EQUAL(facts_of(&pipe->server).suite, "TLS_AES_128_GCM_SHA256");
    tls_pipe_free(pipe);
    server.max = FMX_TLS_12;
    pipe = pipe_of(&client, &server, NULL);
    CU_ASSERT_EQUAL(facts_of(&pipe->server).version, FMX_TLS_12);
    CU_ASSERT_STRING_EQUAL(facts_of(&pipe->client).suite,
                           "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    tls_pipe_free(pipe);
}

static void stream_fails_without_a_common_version(void)
{
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_server server = tls_ecdsa_options();

    client.min = client.max = FMX_TLS_13;
    server.max = FMX_TLS_12;
    struct tls_pipe *pipe = pipe_of(&client, &server, NULL);
    CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_VERSION);
    CU_ASSERT_EQUAL(pipe->client.status, FMX_TLS_ALERT);
    CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->client.stream),
                           "the peer sent alert protocol_version");
    tls_pipe_free(pipe);
    client.min = client.max = FMX_TLS_11;
    pipe = pipe_of(&client, &server, NULL);
    CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_VERSION);
    tls_pipe_free(pipe);
}

static void stream_fails_without_a_common_suite(void)
{
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_server server = tls_ecdsa_options();

    client.max = FMX_TLS_12;
    client.suites = "AES128-SHA";
    struct tls_pipe *pipe = pipe_of(&client, &server, NULL);
    CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_SUITE);
    CU_ASSERT_EQUAL(pipe->client.status, FMX_TLS_ALERT);
    CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->client.stream),
                           "the peer sent alert handshake_failure");
    tls_pipe_free(pipe);
}

static void stream_serves_static_rsa_to_old_devices(void)
{
    static const char *const suites[][2] = {
        {"AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"},
        {"AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"},
        {"ECDHE-RSA-AES128-SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"},
        {"ECDHE-ECDSA-AES128-SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"},
    };

    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        struct fmx_tls_client client = tls_client_options();
        struct fmx_tls_server server = tls_both_options();
        client.max = FMX_TLS_12;
        client.suites = suites[i][0];
        server.old_suites = true;
        struct tls_pipe *pipe = pipe_of(&client, &server, NULL);
        CU_ASSERT_TRUE(tls_pipe_talks(pipe));
        if (tls_pipe_is_open(pipe)) {
            CU_ASSERT_STRING_EQUAL(facts_of(&pipe->server).suite, suites[i][1]);
            CU_ASSERT_EQUAL(fmx_tls_stream_used_rsa(pipe->server.stream), i < 3);
        }
        tls_pipe_free(pipe);
    }
}

static void stream_chooses_alpn_only_if_mqtt_is_offered(void)
{
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_server server = tls_ecdsa_options();

    client.alpn = false;
    struct tls_pipe *pipe = pipe_of(&client, &server, NULL);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    CU_ASSERT_EQUAL(facts_of(&pipe->server).alpn.bytes, 0);
    CU_ASSERT_EQUAL(facts_of(&pipe->client).alpn.bytes, 0);
    tls_pipe_free(pipe);
}

/* ── certificates ── */

static void expect_refused_by_client(const char *stem, const char *name, const char *fault)
{
    char file[64];
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_server server = tls_ecdsa_options();
    const struct fmx_tls_dial dial = {.server_name = name};

    (void)snprintf(file, sizeof file, "%s.crt", stem);
    server.cert = tls_pki_path(file);
    (void)snprintf(file, sizeof file, "%s.key", stem);
    server.key = tls_pki_path(file);
    for (int i = 0; i < 2; i++) {
        client.max = i == 0 ? FMX_TLS_12 : FMX_TLS_13;
        struct tls_pipe *pipe = pipe_of(&client, &server, &dial);
        CU_ASSERT_EQUAL(pipe->client.status, FMX_TLS_CERT);
        CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->client.stream), fault);
        CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_ALERT);
        tls_pipe_free(pipe);
    }
}

static void client_refuses_a_server_that_is_not_the_one_it_dialled(void)
{
    tls_pki_make(&(struct tls_pki_request){.stem = "expired",
                                           .issuer = "ca",
                                           .names = "DNS:localhost",
                                           .from_s = -7200,
                                           .until_s = -3600});
    tls_pki_make(&(struct tls_pki_request){
        .stem = "later", .issuer = "ca", .names = "DNS:localhost", .from_s = 3600});
    tls_pki_make(&(struct tls_pki_request){
        .stem = "for_clients", .issuer = "ca", .names = "DNS:localhost", .extended = "clientAuth"});
    expect_refused_by_client("other", "localhost", "unable to get local issuer certificate");
    expect_refused_by_client("expired", "localhost", "certificate has expired");
    expect_refused_by_client("later", "localhost", "certificate is not yet valid");
    expect_refused_by_client("for_clients", "localhost", "unsupported certificate purpose");
    expect_refused_by_client("server", "elsewhere.example", "Hostname mismatch");
    expect_refused_by_client("server", "127.0.0.2", "IP address mismatch");
    expect_refused_by_client("server", NULL,
                             "there is no server name to check the certificate for");
}

static void client_takes_a_server_by_its_address(void)
{
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_server server = tls_ecdsa_options();
    const struct fmx_tls_dial dial = {.server_name = "127.0.0.1"};
    struct tls_pipe *pipe = pipe_of(&client, &server, &dial);

    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    CU_ASSERT_EQUAL(facts_of(&pipe->server).server_name.bytes, 0);
    tls_pipe_free(pipe);
}

static void client_that_is_insecure_takes_any_server(void)
{
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_server server = tls_ecdsa_options();
    const struct fmx_tls_dial dial = {.server_name = NULL};

    client.ca = NULL;
    client.insecure = true;
    server.cert = tls_pki_path("other.crt");
    server.key = tls_pki_path("other.key");
    struct tls_pipe *pipe = pipe_of(&client, &server, &dial);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    tls_pipe_free(pipe);
}

static void server_sends_its_whole_chain(void)
{
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_server server = tls_ecdsa_options();

    tls_pki_make(&(struct tls_pki_request){
        .stem = "middle", .issuer = "ca", .is_authority = true, .common_name = "between"});
    tls_pki_make(&(struct tls_pki_request){
        .stem = "leaf", .issuer = "middle", .names = "DNS:localhost", .common_name = "leaf"});
    server.cert = tls_pki_join("leaf_chain.crt", "leaf.crt", "middle.crt", NULL);
    server.key = tls_pki_path("leaf.key");
    struct tls_pipe *pipe = pipe_of(&client, &server, NULL);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    tls_pipe_free(pipe);
    server.cert = tls_pki_path("leaf.crt");
    pipe = pipe_of(&client, &server, NULL);
    CU_ASSERT_EQUAL(pipe->client.status, FMX_TLS_CERT);
    tls_pipe_free(pipe);
}

/* The common name of the certificate that the server has shown tells which it was. */
static void expect_shown(const struct fmx_tls_server *server, const char *name, const char *suites,
                         bool expected_rsa, bool expected_good)
{
    struct fmx_tls_client client = tls_client_options();
    const struct fmx_tls_dial dial = {.server_name = name};

    for (int i = 0; i < 2; i++) {
        client.max = i == 0 ? FMX_TLS_12 : FMX_TLS_13;
        client.suites = suites;
        struct tls_pipe *pipe = pipe_of(&client, server, &dial);
        CU_ASSERT_EQUAL(tls_pipe_is_open(pipe), expected_good);
        if (tls_pipe_is_open(pipe) && (i == 0 || !expected_rsa)) {
            CU_ASSERT_EQUAL(fmx_tls_stream_used_rsa(pipe->server.stream), expected_rsa);
        }
        tls_pipe_free(pipe);
    }
}

static void server_chooses_certificates_by_name_and_by_what_is_offered(void)
{
    struct fmx_tls_server server = tls_both_options();
    struct fmx_tls_server_name names[3] = {
        {.name = "a.example"}, {.name = "*.Many.example"}, {.name = "x.many.example"}};

    tls_pki_make(&(struct tls_pki_request){.stem = "a", .issuer = "ca", .names = "DNS:a.example"});
    tls_pki_make(
        &(struct tls_pki_request){.stem = "many", .issuer = "ca", .names = "DNS:*.many.example"});
    tls_pki_make(
        &(struct tls_pki_request){.stem = "x", .issuer = "ca", .names = "DNS:x.many.example"});
    names[0].cert = tls_pki_path("a.crt");
    names[0].key = tls_pki_path("a.key");
    names[1].cert = tls_pki_path("many.crt");
    names[1].key = tls_pki_path("many.key");
    names[2].cert = tls_pki_path("x.crt");
    names[2].key = tls_pki_path("x.key");
    server.server_names = names;
    server.server_names_count = 3;
    expect_shown(&server, "localhost", NULL, false, true);
    expect_shown(&server, "localhost", "ECDHE-RSA-AES128-GCM-SHA256", true, true);
    expect_shown(&server, "A.EXAMPLE", NULL, false, true);
    expect_shown(&server, "one.many.example", NULL, false, true);
    expect_shown(&server, "x.many.example", NULL, false, true);
    expect_shown(&server, "one.two.many.example", NULL, false, false);
    expect_shown(&server, "many.example", NULL, false, false);
    expect_shown(&server, "b.example", NULL, false, false);
}

/* ── certificates of clients ── */

static struct tls_pipe *pipe_with_cert(const char *stem, const struct fmx_tls_server *server,
                                       enum fmx_tls_version version)
{
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_cert *cert = stem == NULL ? NULL : tls_cert_of(stem);
    const struct fmx_tls_dial dial = {.server_name = "localhost", .cert = cert};

    client.min = client.max = version;
    struct tls_pipe *pipe = pipe_of(&client, server, &dial);
    fmx_tls_cert_drop(cert);
    return pipe;
}

static struct fmx_tls_server asking_options(enum fmx_tls_client_auth auth, bool is_login)
{
    struct fmx_tls_server server = tls_ecdsa_options();

    server.min = FMX_TLS_10;
    server.client_auth = auth;
    server.client_ca = tls_pki_path("ca.crt");
    server.client_cert_is_login = is_login;
    return server;
}

static void server_knows_a_client_by_its_certificate(void)
{
    static const enum fmx_tls_version versions[] = {FMX_TLS_10, FMX_TLS_12, FMX_TLS_13};

    for (unsigned i = 0; i < 6; i++) {
        const struct fmx_tls_server server = asking_options(
            i < 3 ? FMX_TLS_CLIENT_AUTH_REQUIRE : FMX_TLS_CLIENT_AUTH_REQUEST, i % 2 == 0);
        struct tls_pipe *pipe = pipe_with_cert("client", &server, versions[i % 3]);
        CU_ASSERT_TRUE(tls_pipe_talks(pipe));
        if (tls_pipe_is_open(pipe)) {
            static const uint8_t none[32];
            struct fmx_tls_facts facts = facts_of(&pipe->server);
            CU_ASSERT_TRUE(facts.has_client_cert);
            CU_ASSERT_NOT_EQUAL(memcmp(facts.client_cert_sha256, none, sizeof none), 0);
            CU_ASSERT_TRUE(fmx_slice_equal(facts.cert_name, fmx_slice_of("device1")));
            CU_ASSERT_TRUE(fmx_slice_equal(facts.cert_organization, fmx_slice_of("pk1")));
            CU_ASSERT_EQUAL(fmx_tls_stream_is_login(pipe->server.stream), i % 2 == 0);
        }
        tls_pipe_free(pipe);
    }
}

static void server_refuses_a_client_without_a_certificate_only_if_required(void)
{
    static const enum fmx_tls_version versions[] = {FMX_TLS_10, FMX_TLS_12, FMX_TLS_13};

    for (unsigned i = 0; i < 3; i++) {
        struct fmx_tls_server server = asking_options(FMX_TLS_CLIENT_AUTH_REQUIRE, true);
        struct tls_pipe *pipe = pipe_with_cert(NULL, &server, versions[i]);
        CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_NO_CERT);
        CU_ASSERT_EQUAL(pipe->client.status, FMX_TLS_ALERT);
        tls_pipe_free(pipe);
        server = asking_options(FMX_TLS_CLIENT_AUTH_REQUEST, true);
        pipe = pipe_with_cert(NULL, &server, versions[i]);
        CU_ASSERT_TRUE(tls_pipe_talks(pipe));
        CU_ASSERT_FALSE(facts_of(&pipe->server).has_client_cert);
        CU_ASSERT_FALSE(fmx_tls_stream_is_login(pipe->server.stream));
        tls_pipe_free(pipe);
    }
}

static void expect_client_refused(const char *stem, bool is_login, const char *fault)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct fmx_tls_server server = asking_options(FMX_TLS_CLIENT_AUTH_REQUEST, is_login);
        struct tls_pipe *pipe = pipe_with_cert(stem, &server, i == 0 ? FMX_TLS_12 : FMX_TLS_13);
        CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_CERT);
        CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->server.stream), fault);
        CU_ASSERT_EQUAL(pipe->client.status, FMX_TLS_ALERT);
        tls_pipe_free(pipe);
    }
}

static void server_refuses_certificates_that_are_not_good(void)
{
    tls_pki_make(&(struct tls_pki_request){.stem = "expired_client",
                                           .issuer = "ca",
                                           .common_name = "device1",
                                           .from_s = -7200,
                                           .until_s = -3600});
    expect_client_refused("other", false, "unable to get local issuer certificate");
    expect_client_refused("expired_client", false, "certificate has expired");
    expect_client_refused("server", false, "unsupported certificate purpose");
}

#define NAME_FAULT "the certificate's common name is missing, there twice, too long or no text"

static void server_refuses_logins_that_are_ambiguous(void)
{
    static char long_name[65];

    memset(long_name, 'n', sizeof long_name - 1);
    tls_pki_make(&(struct tls_pki_request){
        .stem = "twice", .issuer = "ca", .common_name = "a", .second_common_name = "b"});
    tls_pki_make(
        &(struct tls_pki_request){.stem = "nobody", .issuer = "ca", .organization = "pk1"});
    tls_pki_make(&(struct tls_pki_request){
        .stem = "zero", .issuer = "ca", .common_name = "device1\0.evil", .common_name_bytes = 13});
    tls_pki_make(
        &(struct tls_pki_request){.stem = "long", .issuer = "ca", .common_name = long_name});
    expect_client_refused("twice", true, NAME_FAULT);
    expect_client_refused("nobody", true, NAME_FAULT);
    expect_client_refused("zero", true, NAME_FAULT);
    const struct fmx_tls_server server = asking_options(FMX_TLS_CLIENT_AUTH_REQUIRE, false);
    struct tls_pipe *pipe = pipe_with_cert("zero", &server, FMX_TLS_13);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    CU_ASSERT_EQUAL(facts_of(&pipe->server).cert_name.bytes, 0);
    tls_pipe_free(pipe);
    pipe = pipe_with_cert("long", &server, FMX_TLS_12);
    CU_ASSERT_EQUAL(facts_of(&pipe->server).cert_name.bytes, 64);
    tls_pipe_free(pipe);
}

static void server_bounds_a_client_chain(void)
{
    struct fmx_tls_server server = asking_options(FMX_TLS_CLIENT_AUTH_REQUIRE, false);

    tls_pki_make(&(struct tls_pki_request){
        .stem = "step1", .issuer = "ca", .is_authority = true, .common_name = "one"});
    tls_pki_make(&(struct tls_pki_request){
        .stem = "step2", .issuer = "step1", .is_authority = true, .common_name = "two"});
    tls_pki_make(&(struct tls_pki_request){.stem = "deep",
                                           .issuer = "step2",
                                           .common_name = "deep",
                                           .names =
                                               "DNS:a-name-that-takes-some-room.example,"
                                               "DNS:another-name-that-takes-room.example,"
                                               "DNS:a-third-name-that-takes-some-more-room.example,"
                                               "DNS:a-fourth-name-so-that-it-is-enough.example"});
    (void)tls_pki_join("deep.crt", "deep.crt", "step2.crt", "step1.crt", NULL);
    struct tls_pipe *pipe = pipe_with_cert("deep", &server, FMX_TLS_13);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    tls_pipe_free(pipe);
    server.client_chain_max = 2;
    pipe = pipe_with_cert("deep", &server, FMX_TLS_13);
    CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_CERT);
    tls_pipe_free(pipe);
    server.client_chain_max = 3;
    server.client_chain_bytes_max = 1024;
    for (int i = 0; i < 2; i++) {
        pipe = pipe_with_cert("deep", &server, i == 0 ? FMX_TLS_12 : FMX_TLS_13);
        CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_CERT);
        CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->server.stream),
                               "the client's chain has more bytes than client_chain_bytes_max");
        tls_pipe_free(pipe);
    }
}

/* ── PSK ── */

static struct tls_pipe *psk_pipe(const char *identity, const char *key, const char *suites,
                                 const struct fmx_tls_server *server)
{
    struct fmx_tls_client client = tls_client_options();
    const struct fmx_tls_dial dial = {.server_name = "localhost",
                                      .psk_identity = fmx_slice_of(identity),
                                      .psk_key = fmx_slice_of(key)};

    client.psk = FMX_TLS_PSK_GIVEN;
    client.suites = suites;
    struct fmx_tls_context *client_context = tls_client_of(&client);
    struct fmx_tls_context *server_context = tls_server_of(server, NULL);
    struct tls_pipe *pipe = tls_pipe_new(client_context, server_context, &dial);
    fmx_tls_context_drop(client_context);
    fmx_tls_context_drop(server_context);
    pipe->server.thread = 7;
    tls_pipe_run(pipe);
    return pipe;
}

static void psk_of_the_sdk_agrees_in_each_suite(void)
{
    static const char *const suites[][2] = {
        {NULL, "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256"},
        {"PSK-AES128-CBC-SHA", "TLS_PSK_WITH_AES_128_CBC_SHA"},
        {"PSK-AES256-CBC-SHA", "TLS_PSK_WITH_AES_256_CBC_SHA"},
        {"ECDHE-PSK-AES128-CBC-SHA", "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA"},
        {"ECDHE-PSK-AES256-CBC-SHA", "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA"},
    };

    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        const struct fmx_tls_server server = tls_psk_options();
        struct tls_pipe *pipe = psk_pipe(TLS_SDK_IDENTITY, TLS_SDK_KEY, suites[i][0], &server);
        CU_ASSERT_TRUE(tls_pipe_talks(pipe));
        if (tls_pipe_is_open(pipe)) {
            struct fmx_tls_facts facts = facts_of(&pipe->server);
            CU_ASSERT_EQUAL(facts.version, FMX_TLS_12);
            CU_ASSERT_STRING_EQUAL(facts.suite, suites[i][1]);
            CU_ASSERT_TRUE(fmx_slice_equal(facts.psk_identity, fmx_slice_of(TLS_SDK_IDENTITY)));
            CU_ASSERT_FALSE(fmx_tls_stream_used_rsa(pipe->server.stream));
            CU_ASSERT_EQUAL(tls_registry_asked_by, 7);
        }
        tls_pipe_free(pipe);
    }
}

static void psk_unknown_looks_like_wrong(void)
{
    static const char *const suites[] = {NULL, "PSK-AES128-CBC-SHA"};
    char fault[128];

    for (size_t i = 0; i < 4; i++) {
        const struct fmx_tls_server server = tls_psk_options();
        struct tls_pipe *pipe = psk_pipe(i % 2 == 0 ? TLS_SDK_IDENTITY : "somebody", "no such key",
                                         suites[i / 2], &server);
        CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_PSK);
        CU_ASSERT_EQUAL(pipe->client.status, FMX_TLS_ALERT);
        if (i % 2 == 0) {
            (void)snprintf(fault, sizeof fault, "%s", fmx_tls_stream_fault(pipe->client.stream));
        }
        CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->client.stream), fault);
        tls_pipe_free(pipe);
    }
}

static void psk_file_is_asked_before_the_registry(void)
{
    struct fmx_tls_server server = tls_psk_options();

    server.psk_file =
        tls_pki_write("psk", "# comment\n\nfirst:61\r\n"
                             "with:colon:6B6579\n" TLS_SDK_IDENTITY ":66696c65\nz:00");
    struct tls_pipe *pipe = psk_pipe("with:colon", "key", NULL, &server);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    tls_pipe_free(pipe);
    pipe = psk_pipe("first", "a", "PSK-AES128-CBC-SHA", &server);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    tls_pipe_free(pipe);
    pipe = psk_pipe(TLS_SDK_IDENTITY, "file", NULL, &server);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    tls_pipe_free(pipe);
    pipe = psk_pipe(TLS_SDK_IDENTITY, TLS_SDK_KEY, NULL, &server);
    CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_PSK);
    tls_pipe_free(pipe);
    server.psk_file = tls_pki_write("psk2", "other:00\n");
    pipe = psk_pipe(TLS_SDK_IDENTITY, TLS_SDK_KEY, NULL, &server);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    tls_pipe_free(pipe);
}

static void psk_listener_with_a_certificate_serves_both(void)
{
    struct fmx_tls_server server = tls_ecdsa_options();

    server.psk = true;
    struct tls_pipe *pipe = psk_pipe(TLS_SDK_IDENTITY, TLS_SDK_KEY, NULL, &server);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    tls_pipe_free(pipe);
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_context *client_context = tls_client_of(&client);
    struct fmx_tls_context *server_context = tls_server_of(&server, NULL);
    pipe = tls_pipe_open(client_context, server_context, NULL);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    CU_ASSERT_EQUAL(facts_of(&pipe->server).version, FMX_TLS_12);
    CU_ASSERT_EQUAL(facts_of(&pipe->server).psk_identity.bytes, 0);
    tls_pipe_free(pipe);
    fmx_tls_context_drop(client_context);
    fmx_tls_context_drop(server_context);
}

/* ── resumption ── */

struct world {
    struct fmx_tls_tickets *tickets;
    struct fmx_tls_context *client;
    struct fmx_tls_context *server;
    struct fmx_tls_session *session;
};

static struct world world_of(const struct fmx_tls_server *server, enum fmx_tls_version version)
{
    struct world world = {0};
    struct fmx_tls_client client = tls_client_options();

    client.min = client.max = version;
    world.client = tls_client_of(&client);
    world.tickets = tls_tickets_new();
    world.server = tls_server_of(server, world.tickets);
    return world;
}

static void end_world(struct world *world)
{
    fmx_tls_session_drop(world->session);
    fmx_tls_context_drop(world->client);
    fmx_tls_context_drop(world->server);
    fmx_tls_tickets_close(world->tickets);
}

/* Connects with the session of before, if any, and keeps the new one. Was it resumed? */
static bool resumes(struct world *world)
{
    const struct fmx_tls_dial dial = {.server_name = "localhost", .session = world->session};
    struct tls_pipe *pipe = tls_pipe_open(world->client, world->server, &dial);

    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    bool resumed = tls_pipe_is_open(pipe) && facts_of(&pipe->server).resumed;
    CU_ASSERT_EQUAL(resumed, tls_pipe_is_open(pipe) && facts_of(&pipe->client).resumed);
    fmx_tls_session_drop(world->session);
    world->session = fmx_tls_stream_session(pipe->client.stream);
    tls_pipe_free(pipe);
    return resumed;
}

static void session_is_resumed_at_each_version(void)
{
    static const enum fmx_tls_version versions[] = {FMX_TLS_10, FMX_TLS_11, FMX_TLS_12, FMX_TLS_13};

    for (unsigned i = 0; i < 4; i++) {
        struct fmx_tls_server server = tls_ecdsa_options();
        server.min = FMX_TLS_10;
        struct world world = world_of(&server, versions[i]);
        CU_ASSERT_FALSE(resumes(&world));
        CU_ASSERT_PTR_NOT_NULL_FATAL(world.session);
        CU_ASSERT_EQUAL(fmx_tls_session_is_used_once(world.session), versions[i] == FMX_TLS_13);
        CU_ASSERT_TRUE(resumes(&world));
        CU_ASSERT_TRUE(resumes(&world));
        end_world(&world);
    }
}

static void session_is_resumed_after_the_keys_have_moved_on(void)
{
    static const enum fmx_tls_version versions[] = {FMX_TLS_12, FMX_TLS_13};

    for (unsigned i = 0; i < 2; i++) {
        const struct fmx_tls_server server = tls_ecdsa_options();
        struct world world = world_of(&server, versions[i]);
        uint64_t now = (uint64_t)time(NULL);
        CU_ASSERT_FALSE(resumes(&world));
        now += 3601;
        CU_ASSERT_EQUAL(fmx_tls_tickets_look(world.tickets, now, error, sizeof error), FMX_OK);
        CU_ASSERT_TRUE(resumes(&world)); /* with the previous key, and made anew */
        now += 3601;
        CU_ASSERT_EQUAL(fmx_tls_tickets_look(world.tickets, now, error, sizeof error), FMX_OK);
        CU_ASSERT_TRUE(resumes(&world));
        for (int turn = 0; turn < 2; turn++) {
            now += 3601;
            CU_ASSERT_EQUAL(fmx_tls_tickets_look(world.tickets, now, error, sizeof error), FMX_OK);
        }
        CU_ASSERT_FALSE(resumes(&world));
        CU_ASSERT_TRUE(resumes(&world));
        end_world(&world);
    }
}

static void session_of_one_scope_is_not_resumed_in_another(void)
{
    const struct fmx_tls_server server = tls_ecdsa_options();

    for (unsigned i = 0; i < 2; i++) {
        struct world world = world_of(&server, i == 0 ? FMX_TLS_12 : FMX_TLS_13);
        struct fmx_tls_context *other = NULL;
        CU_ASSERT_FALSE(resumes(&world));
        CU_ASSERT_TRUE(resumes(&world));
        CU_ASSERT_EQUAL(fmx_tls_server_open(&server, world.tickets, fmx_slice_of("elsewhere"), NULL,
                                            &other, error, sizeof error),
                        FMX_OK);
        fmx_tls_context_drop(world.server);
        world.server = other;
        CU_ASSERT_FALSE(resumes(&world));
        end_world(&world);
    }
}

static void session_is_not_resumed_without_tickets(void)
{
    for (unsigned i = 0; i < 4; i++) {
        struct fmx_tls_server server = tls_ecdsa_options();
        if (i >= 2) { /* who asks for certificates makes none either */
            server = asking_options(FMX_TLS_CLIENT_AUTH_REQUEST, false);
        }
        server.tickets = i >= 2;
        struct world world = world_of(&server, i % 2 == 0 ? FMX_TLS_12 : FMX_TLS_13);
        CU_ASSERT_FALSE(resumes(&world));
        CU_ASSERT_PTR_NULL(world.session);
        CU_ASSERT_FALSE(resumes(&world));
        end_world(&world);
    }
}

static void session_by_psk_is_not_resumed(void)
{
    const struct fmx_tls_server server = tls_psk_options();
    struct fmx_tls_client client = tls_client_options();
    const struct fmx_tls_dial dial = {.server_name = "localhost",
                                      .psk_identity = fmx_slice_of(TLS_SDK_IDENTITY),
                                      .psk_key = fmx_slice_of(TLS_SDK_KEY)};
    struct world world = world_of(&server, FMX_TLS_12);

    client.psk = FMX_TLS_PSK_SDK;
    fmx_tls_context_drop(world.client);
    world.client = tls_client_of(&client);
    struct tls_pipe *pipe = tls_pipe_open(world.client, world.server, &dial);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    CU_ASSERT_PTR_NULL(fmx_tls_stream_session(pipe->client.stream));
    tls_pipe_free(pipe);
    end_world(&world);
}

/* ── talking ── */

static void records_are_as_few_as_there_can_be(void)
{
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_server server = tls_ecdsa_options();
    static uint8_t text[10000];

    server.record_bytes_max = 1000;
    struct tls_pipe *pipe = pipe_of(&client, &server, NULL);
    const struct fmx_tls_sink sink = tls_side_sink(&pipe->server);
    const struct iovec parts[] = {{text, 10}, {text, 0}, {text + 10, 500}, {text + 510, 9490}};
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)(i * 7);
    }
    tls_pipe_run(pipe);
    CU_ASSERT_EQUAL(fmx_tls_seal(pipe->server.stream, parts, 4, &sink), FMX_OK);
    CU_ASSERT_EQUAL(pipe->server.out_bytes, sizeof text + 10u * 22);
    tls_pipe_run(pipe);
    CU_ASSERT_EQUAL(pipe->client.in_bytes, sizeof text);
    CU_ASSERT_EQUAL(memcmp(pipe->client.in, text, sizeof text), 0);
    tls_pipe_free(pipe);
}

static void largest_records_go_both_ways_in_every_version(void)
{
    static char text[70000];

    memset(text, 'x', sizeof text - 1);
    for (unsigned i = 0; i < 4; i++) {
        struct fmx_tls_client client = tls_client_options();
        struct fmx_tls_server server = tls_ecdsa_options();
        client.min = client.max = (enum fmx_tls_version)(FMX_TLS_10 + i);
        server.min = FMX_TLS_10;
        server.record_bytes_max = client.record_bytes_max = 16384;
        struct tls_pipe *pipe = pipe_of(&client, &server, NULL);
        CU_ASSERT_EQUAL(tls_side_say(&pipe->client, text), FMX_OK);
        CU_ASSERT_EQUAL(tls_side_say(&pipe->server, text), FMX_OK);
        tls_pipe_run(pipe);
        CU_ASSERT_TRUE(tls_side_heard(&pipe->client, text));
        CU_ASSERT_TRUE(tls_side_heard(&pipe->server, text));
        tls_pipe_free(pipe);
    }
}

static void stream_is_the_same_record_by_record(void)
{
    for (unsigned i = 0; i < 8; i++) {
        struct fmx_tls_client client = tls_client_options();
        struct fmx_tls_server server = asking_options(FMX_TLS_CLIENT_AUTH_REQUIRE, i >= 4);
        struct fmx_tls_cert *cert = tls_cert_of("client");
        const struct fmx_tls_dial dial = {.server_name = "localhost", .cert = cert};
        client.min = client.max = (enum fmx_tls_version)(FMX_TLS_10 + i % 4);
        client.record_bytes_max = server.record_bytes_max = 512; /* tears the handshake too */
        struct fmx_tls_context *client_context = tls_client_of(&client);
        struct fmx_tls_context *server_context = tls_server_of(&server, NULL);
        struct tls_pipe *pipe = tls_pipe_new(client_context, server_context, &dial);
        pipe->by_record = true;
        tls_pipe_run(pipe);
        CU_ASSERT_TRUE(tls_pipe_talks(pipe));
        tls_pipe_free(pipe);
        fmx_tls_context_drop(client_context);
        fmx_tls_context_drop(server_context);
        fmx_tls_cert_drop(cert);
    }
}

static void end_is_said_once_and_told_after_all_data(void)
{
    for (unsigned i = 0; i < 4; i++) {
        struct fmx_tls_client client = tls_client_options();
        struct fmx_tls_server server = tls_ecdsa_options();
        client.min = client.max = (enum fmx_tls_version)(FMX_TLS_10 + i);
        server.min = FMX_TLS_10;
        struct tls_pipe *pipe = pipe_of(&client, &server, NULL);
        const struct fmx_tls_sink sink = tls_side_sink(&pipe->client);
        CU_ASSERT_EQUAL(tls_side_say(&pipe->client, "last words"), FMX_OK);
        fmx_tls_end(pipe->client.stream, &sink);
        size_t bytes = pipe->client.out_bytes;
        fmx_tls_end(pipe->client.stream, &sink);
        CU_ASSERT_EQUAL(pipe->client.out_bytes, bytes);
        tls_pipe_run(pipe);
        CU_ASSERT_TRUE(tls_side_heard(&pipe->server, "last words"));
        CU_ASSERT_EQUAL(pipe->server.status, FMX_END);
        /* the other side may still speak */
        CU_ASSERT_EQUAL(tls_side_say(&pipe->server, "yes"), FMX_OK);
        tls_pipe_run(pipe);
        CU_ASSERT_TRUE(tls_side_heard(&pipe->client, "yes"));
        tls_pipe_free(pipe);
    }
}

static void key_log_gets_whole_lines_that_its_owner_alone_may_read(void)
{
    struct fmx_tls_client client = tls_client_options();
    struct fmx_tls_server server = tls_ecdsa_options();

    client.key_log = server.key_log = tls_pki_path("keys");
    struct tls_pipe *pipe = pipe_of(&client, &server, NULL);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    tls_pipe_free(pipe);
    FILE *file = fopen(client.key_log, "r");
    char line[512];
    unsigned lines = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        CU_ASSERT_EQUAL(strchr(line, '\n'), line + strlen(line) - 1);
        lines++;
    }
    CU_ASSERT_EQUAL(lines, 10);
    fclose(file);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(stream_agrees_on_each_version_with_each_key),
    FMX_TEST_CASE(stream_agrees_on_the_highest_version_of_both),
    FMX_TEST_CASE(stream_fails_without_a_common_version),
    FMX_TEST_CASE(stream_fails_without_a_common_suite),
    FMX_TEST_CASE(stream_serves_static_rsa_to_old_devices),
    FMX_TEST_CASE(stream_chooses_alpn_only_if_mqtt_is_offered),
    FMX_TEST_CASE(client_refuses_a_server_that_is_not_the_one_it_dialled),
    FMX_TEST_CASE(client_takes_a_server_by_its_address),
    FMX_TEST_CASE(client_that_is_insecure_takes_any_server),
    FMX_TEST_CASE(server_sends_its_whole_chain),
    FMX_TEST_CASE(server_chooses_certificates_by_name_and_by_what_is_offered),
    FMX_TEST_CASE(server_knows_a_client_by_its_certificate),
    FMX_TEST_CASE(server_refuses_a_client_without_a_certificate_only_if_required),
    FMX_TEST_CASE(server_refuses_certificates_that_are_not_good),
    FMX_TEST_CASE(server_refuses_logins_that_are_ambiguous),
    FMX_TEST_CASE(server_bounds_a_client_chain),
    FMX_TEST_CASE(psk_of_the_sdk_agrees_in_each_suite),
    FMX_TEST_CASE(psk_unknown_looks_like_wrong),
    FMX_TEST_CASE(psk_file_is_asked_before_the_registry),
    FMX_TEST_CASE(psk_listener_with_a_certificate_serves_both),
    FMX_TEST_CASE(session_is_resumed_at_each_version),
    FMX_TEST_CASE(session_is_resumed_after_the_keys_have_moved_on),
    FMX_TEST_CASE(session_of_one_scope_is_not_resumed_in_another),
    FMX_TEST_CASE(session_is_not_resumed_without_tickets),
    FMX_TEST_CASE(session_by_psk_is_not_resumed),
    FMX_TEST_CASE(records_are_as_few_as_there_can_be),
    FMX_TEST_CASE(largest_records_go_both_ways_in_every_version),
    FMX_TEST_CASE(stream_is_the_same_record_by_record),
    FMX_TEST_CASE(end_is_said_once_and_told_after_all_data),
    FMX_TEST_CASE(key_log_gets_whole_lines_that_its_owner_alone_may_read),
};

int main(int argc, char **argv)
{
    tls_pki_standard();
    return fmx_test_main("tls_stream", cases, sizeof cases / sizeof cases[0], argc, argv);
}
