/*
 * loop_tls_platform — devices over TLS through the C API: secrets as PSKs, certificates as logins,
 * channels that name a device, what old peers need
 *
 * Words:          lamp: the device of TLS_FILE_CLIENT; its product is PK
 */
#include "tests/loop/tls_platform.h"

#include <openssl/hmac.h>
#include <openssl/ssl.h>

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define SUITE_RSA_AES128_SHA 0x002f
#define SUITE_PSK_AES128_SHA 0x008c
#define SUITE_ECDHE_PSK      0xccac
#define IDENTITY_TOPIC       "/ext/auth/identity/response"

struct psk {
    char identity[129];
    uint8_t key[64];
    size_t key_bytes;
};

/* ── devices ── */

static bool is_shaken(struct tls_peer *peer, const struct tls_peer_options *options)
{
    const struct loop_connect connect = {
        .client_id = "x", .username = "nobody&x", .password = "", .version = FMX_MQTT_311};

    /* in 1.3 a client believes that it is connected before the server has looked at it */
    return tls_peer_open(peer, options) && platform_say_connect(peer, &connect) != 255;
}

/* The same, and away again. */
static bool is_let_in(const struct tls_peer_options *options)
{
    struct tls_peer peer;
    bool is = is_shaken(&peer, options);

    tls_peer_close(&peer);
    return is;
}

/* What CONNACK says to one that shows its certificate and names nobody; then it is away again. */
static uint8_t nameless_code(const struct tls_peer_options *options)
{
    struct tls_peer peer;

    CU_ASSERT_FATAL(tls_peer_open(&peer, options));
    uint8_t code = platform_say_connect(&peer, &(struct loop_connect){.client_id = "any",
                                                                      .username = "&",
                                                                      .password = "",
                                                                      .version = FMX_MQTT_50,
                                                                      .clean = true,
                                                                      .keepalive_s = 300});
    tls_peer_close(&peer);
    return code;
}

/* As the C SDKs do: the identity with a date, the key in digits. */
static void sdk_psk(const char *device_name, struct psk *psk)
{
    snprintf(psk->identity, sizeof psk->identity, "devicename|hmacsha256|" PK "&%s|2524608000000",
             device_name);
    char content[128];
    snprintf(content, sizeof content, "id" PK "&%stimestamp2524608000000", device_name);
    uint8_t digest[32];
    unsigned digest_bytes = 0;
    const char *secret = world_secret(device_name);
    HMAC(EVP_sha256(), secret, strlen(secret), (const uint8_t *)content, strlen(content), digest,
         &digest_bytes);
    char digits[65];
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(digits + 2 * i, 3, "%02X", digest[i]);
    }
    memcpy(psk->key, digits, sizeof psk->key);
    psk->key_bytes = sizeof psk->key;
}

static void plain_psk(const char *device_name, struct psk *psk)
{
    const char *secret = world_secret(device_name);

    snprintf(psk->identity, sizeof psk->identity, PK "/%s", device_name);
    psk->key_bytes = strlen(secret);
    memcpy(psk->key, secret, psk->key_bytes);
}

static struct tls_peer_options psk_client(uint16_t port, const struct psk *psk, const char *suites)
{
    struct tls_peer_options options = tls_client(port);

    options.psk_identity = psk->identity;
    options.psk_key = (fmx_slice){.data = psk->key, .bytes = psk->key_bytes};
    options.suites = suites;
    return options;
}

static struct tls_peer_options cert_client(uint16_t port, enum tls_file file)
{
    struct tls_peer_options options = tls_client(port);

    options.cert = tls_cert(file);
    options.key = tls_key(file);
    return options;
}

/* ── PSK ── */

static void device_logs_in_with_its_secret_as_a_psk(void)
{
    struct tls_platform p;
    struct psk psk;
    struct tls_peer peer;

    platform_begin(&p, 0);
    sdk_psk("d1", &psk);
    struct tls_peer_options options = psk_client(p.ports[TLS_PORT_PSK], &psk, "PSK-AES128-CBC-SHA");
    options.max = FMX_TLS_12;
    LOOP_EQUAL(platform_connect_as(&peer, &options, "d1"), 0);
    LOOP_EQUAL(tls_peer_suite(&peer), SUITE_PSK_AES128_SHA);
    LOOP_EQUAL(tls_peer_version(&peer), FMX_TLS_12);
    LOOP_WAIT(atomic_load(&p.opened.count) == 1);
    CU_ASSERT(platform_last(&p.opened).is_tls);
    CU_ASSERT_STRING_EQUAL(platform_last(&p.opened).psk_identity, psk.identity);
    CU_ASSERT_STRING_EQUAL(platform_last(&p.opened).server_name, "localhost");
    CU_ASSERT_STRING_EQUAL(platform_last(&p.opened).facts.suite, "TLS_PSK_WITH_AES_128_CBC_SHA");
    LOOP_EQUAL(platform_last(&p.opened).facts.version, FMX_TLS_12);
    CU_ASSERT_FALSE(platform_last(&p.opened).facts.has_client_cert);
    tls_peer_close(&peer);

    plain_psk("d2", &psk);
    options = psk_client(p.ports[TLS_PORT_PSK], &psk, "ECDHE-PSK-CHACHA20-POLY1305");
    LOOP_EQUAL(platform_connect_as(&peer, &options, "d2"), 0);
    LOOP_EQUAL(tls_peer_suite(&peer), SUITE_ECDHE_PSK);
    tls_peer_close(&peer);
    LOOP_EQUAL(platform_stats(&p).tls_psk, 2);
    LOOP_EQUAL(platform_stats(&p).tls_12, 2);
    LOOP_EQUAL(platform_stats(&p).tls_identity_mismatches, 0);
    LOOP_EQUAL(platform_stats(&p).secure_mode_mismatches, 0);
    CU_ASSERT(loop_log_has(&p.log, "tls 'psk': psk: devices may show their secrets"));
    platform_end(&p);
}

static void device_logs_in_with_a_psk_that_a_worker_looks_up(void)
{
    struct tls_platform p;
    struct psk psk;
    struct tls_peer peers[8];

    platform_begin(&p, 2);
    for (size_t i = 0; i < 8; i++) {
        plain_psk(i % 2 == 0 ? "d1" : "d2", &psk);
        struct tls_peer_options options =
            psk_client(p.ports[i % 4 < 2 ? TLS_PORT_PSK : TLS_PORT_BOTH], &psk, "PSK");
        LOOP_EQUAL(platform_connect_as(&peers[i], &options, i % 2 == 0 ? "d1" : "d2"), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        tls_peer_drop(&peers[i]);
    }
    LOOP_EQUAL(platform_stats(&p).tls_psk, 8);
    platform_end(&p);
}

static void psk_that_is_wrong_unknown_or_disabled_ends_in_the_handshake(void)
{
    struct tls_platform p;
    struct psk psk;
    struct tls_peer peer;
    char error[FMX_REGISTRY_ERROR_BYTES];

    platform_begin(&p, 0);
    sdk_psk("d1", &psk);
    psk.key[7] ^= 1;
    struct tls_peer_options options = psk_client(p.ports[TLS_PORT_PSK], &psk, "PSK-AES128-CBC-SHA");
    CU_ASSERT_FALSE(is_shaken(&peer, &options));
    tls_peer_close(&peer);
    plain_psk("nobody", &psk);
    CU_ASSERT_FALSE(is_shaken(&peer, &options));
    tls_peer_close(&peer);
    snprintf(psk.identity, sizeof psk.identity, "not spelled like a device");
    CU_ASSERT_FALSE(is_shaken(&peer, &options));
    tls_peer_close(&peer);
    LOOP_WAIT(platform_stats(&p).tls_failed == 3);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_device_set_status(p.world.registry, PK, "d1",
                                                         FMX_REGISTRY_DISABLED, error,
                                                         sizeof error),
                          FMX_OK);
    sdk_psk("d1", &psk);
    options = psk_client(p.ports[TLS_PORT_PSK], &psk, "PSK-AES128-CBC-SHA");
    LOOP_WAIT(!is_let_in(&options)); /* once the registry's thread has seen it */
    platform_end(&p);
}

static void psk_of_one_device_is_no_channel_for_another(void)
{
    struct tls_platform p;
    struct psk psk;
    struct tls_peer peer;
    struct fmx_signed_connect sc;

    platform_begin(&p, 0);
    plain_psk("d1", &psk);
    struct tls_peer_options options = psk_client(p.ports[TLS_PORT_BOTH], &psk, "PSK");
    LOOP_EQUAL(platform_connect_as(&peer, &options, "d2"), 5);
    CU_ASSERT(tls_peer_drain(&peer));
    tls_peer_close(&peer);
    CU_ASSERT_FATAL(tls_peer_open(&peer, &options));
    platform_sign("d2", &sc);
    LOOP_EQUAL(platform_say_signed(&peer, &sc, FMX_MQTT_50), 0x87);
    tls_peer_close(&peer);
    LOOP_EQUAL(platform_stats(&p).tls_identity_mismatches, 2);
    CU_ASSERT(loop_log_has(&p.log, "another device than its PSK says"));
    CU_ASSERT_FATAL(tls_peer_open(&peer, &options)); /* the signature counts as well */
    platform_sign("d1", &sc);
    sc.password[0] = sc.password[0] == 'A' ? 'B' : 'A';
    LOOP_EQUAL(platform_say_signed(&peer, &sc, FMX_MQTT_311), 4);
    tls_peer_close(&peer);
    options = tls_client(p.ports[TLS_PORT_BOTH]); /* a certificate instead: nobody is named */
    LOOP_EQUAL(platform_connect_as(&peer, &options, "d2"), 0);
    LOOP_EQUAL(tls_peer_version(&peer), FMX_TLS_12);
    tls_peer_close(&peer);
    platform_end(&p);
}

/* ── certificates ── */

static void certificate_stands_for_the_signature(void)
{
    struct tls_platform p;
    struct tls_peer peer;
    struct loop_connect connect = {.client_id = "any",
                                   .username = "lamp&" PK,
                                   .password = "",
                                   .version = FMX_MQTT_311,
                                   .clean = true,
                                   .keepalive_s = 300};

    platform_begin(&p, 0);
    struct tls_peer_options options = cert_client(p.ports[TLS_PORT_LOGIN], TLS_FILE_CLIENT);
    for (uint16_t version = FMX_TLS_12; version <= FMX_TLS_13; version++) {
        options.min = options.max = version;
        CU_ASSERT_FATAL(tls_peer_open(&peer, &options));
        LOOP_EQUAL(platform_say_connect(&peer, &connect), 0);
        tls_peer_close(&peer);
    }
    LOOP_WAIT(atomic_load(&p.opened.count) == 2);
    CU_ASSERT_STRING_EQUAL(platform_last(&p.opened).cert_name, "lamp");
    CU_ASSERT(platform_last(&p.opened).facts.has_client_cert);
    CU_ASSERT(tls_peer_open(&peer, &options)); /* of another device */
    connect.username = "d1&" PK;
    LOOP_EQUAL(platform_say_connect(&peer, &connect), 5);
    tls_peer_close(&peer);
    LOOP_EQUAL(platform_connect_as(&peer, &options, "d1"), 5); /* and if it could sign for it */
    tls_peer_close(&peer);
    LOOP_EQUAL(platform_stats(&p).tls_identity_mismatches, 2);
    CU_ASSERT(loop_log_has(&p.log, "another device than its certificate says"));
    options = cert_client(p.ports[TLS_PORT_LOGIN], TLS_FILE_STRANGER);
    CU_ASSERT_FALSE(is_shaken(&peer, &options));
    tls_peer_close(&peer);
    options = tls_client(p.ports[TLS_PORT_LOGIN]); /* none was asked for more than asked */
    LOOP_EQUAL(platform_connect_as(&peer, &options, "d1"), 0);
    tls_peer_close(&peer);
    LOOP_EQUAL(platform_stats(&p).tls_client_certs, 4);
    platform_end(&p);
}

static void certificate_without_a_user_name_hears_who_it_is(void)
{
    static const char *const names[] = {"", "&", NULL};
    static struct loop_packet got;
    struct tls_platform p;
    struct tls_peer peer;
    uint16_t packet_id;

    platform_begin(&p, 0);
    struct tls_peer_options options = cert_client(p.ports[TLS_PORT_LOGIN], TLS_FILE_CLIENT);
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_FATAL(tls_peer_open(&peer, &options));
        LOOP_EQUAL(
            platform_say_connect(&peer, &(struct loop_connect){.client_id = "any|securemode=2|",
                                                               .username = names[i],
                                                               .password = "",
                                                               .version = FMX_MQTT_311,
                                                               .clean = true,
                                                               .keepalive_s = 300}),
            0);
        CU_ASSERT_FATAL(tls_receive(&peer, &got));
        LOOP_EQUAL(got.head, 0x30);
        LOOP_EQUAL(got.body[1], strlen(IDENTITY_TOPIC));
        CU_ASSERT_EQUAL(memcmp(got.body + 2, IDENTITY_TOPIC, strlen(IDENTITY_TOPIC)), 0);
        fmx_slice payload = tls_payload(&got, &packet_id);
        CU_ASSERT(fmx_slice_equal(
            payload, fmx_slice_of("{\"productKey\":\"" PK "\",\"deviceName\":\"lamp\"}")));
        LOOP_WAIT(atomic_load(&p.opened.count) == (int)i + 1);
        CU_ASSERT_STRING_EQUAL(platform_last(&p.opened).username, "lamp&" PK);
        tls_peer_close(&peer);
    }
    LOOP_EQUAL(platform_stats(&p).secure_mode_mismatches, 0);
    options = tls_client(p.ports[TLS_PORT_LOGIN]); /* without one, nobody stands for the name */
    CU_ASSERT_FATAL(tls_peer_open(&peer, &options));
    LOOP_EQUAL(platform_say_connect(&peer, &(struct loop_connect){.client_id = "any",
                                                                  .username = "&",
                                                                  .password = "",
                                                                  .version = FMX_MQTT_311,
                                                                  .clean = true,
                                                                  .keepalive_s = 300}),
               4);
    tls_peer_close(&peer);
    platform_end(&p);
}

static void certificate_of_who_is_disabled_or_unknown_is_no_login(void)
{
    struct tls_platform p;
    char error[FMX_REGISTRY_ERROR_BYTES];

    platform_begin(&p, 0);
    struct tls_peer_options options = cert_client(p.ports[TLS_PORT_LOGIN], TLS_FILE_CLIENT);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_device_set_status(p.world.registry, PK, "lamp",
                                                         FMX_REGISTRY_DISABLED, error,
                                                         sizeof error),
                          FMX_OK);
    LOOP_WAIT(nameless_code(&options) == 0x87);
    CU_ASSERT_EQUAL_FATAL(
        fmx_registry_device_delete(p.world.registry, PK, "lamp", error, sizeof error), FMX_OK);
    LOOP_WAIT(nameless_code(&options) == 0x86);
    LOOP_EQUAL(platform_stats(&p).tls_identity_mismatches, 0);
    platform_end(&p);
}

/* ── old peers, and what they say of the channel ── */

static void peer_of_the_c_sdks_logs_in_with_static_rsa(void)
{
    struct tls_platform p;
    struct tls_peer peer;

    platform_begin(&p, 0);
    struct tls_peer_options options = tls_client(p.ports[TLS_PORT_OLD]);
    options.suites = "AES128-SHA";
    options.max = FMX_TLS_12;
    for (uint16_t version = FMX_TLS_10; version <= FMX_TLS_12; version++) {
        options.min = options.max = version;
        LOOP_EQUAL(platform_connect_as(&peer, &options, "d1"), 0);
        LOOP_EQUAL(tls_peer_suite(&peer), SUITE_RSA_AES128_SHA);
        LOOP_EQUAL(tls_peer_version(&peer), version);
        tls_peer_close(&peer);
    }
    LOOP_EQUAL(platform_stats(&p).tls_10, 1);
    LOOP_EQUAL(platform_stats(&p).tls_11, 1);
    LOOP_EQUAL(platform_stats(&p).tls_12, 1);
    CU_ASSERT(loop_log_has(&p.log, "listener 4: tls 'old' takes TLS 1.0"));
    CU_ASSERT(loop_log_has(&p.log, "tls 'old': old_suites"));
    options.port = p.ports[TLS_PORT_ANY]; /* where nobody has opened them */
    CU_ASSERT_FALSE(is_shaken(&peer, &options));
    tls_peer_close(&peer);
    platform_end(&p);
}

static void secure_mode_is_held_against_the_channel(void)
{
    struct tls_platform p;
    struct fmx_signed_connect sc;
    struct tls_peer peer;

    platform_prepare(&p, 0);
    p.options.checks_secure_mode = true;
    platform_start(&p);
    struct tls_peer_options options = tls_client(p.ports[TLS_PORT_ANY]);
    LOOP_EQUAL(platform_connect_as(&peer, &options, "d1"), 0);
    tls_peer_close(&peer);
    CU_ASSERT_FATAL(tls_peer_open(&peer, &options));
    world_sign("d1", NULL, &sc); /* 3, which is plain TCP */
    LOOP_EQUAL(platform_say_signed(&peer, &sc, FMX_MQTT_311), 2);
    tls_peer_close(&peer);
    LOOP_EQUAL(platform_stats(&p).secure_mode_mismatches, 1);
    struct loop_peer plain = world_join(&p.world, "d1", NULL, FMX_MQTT_311, true);
    close(plain.fd);
    LOOP_EQUAL(platform_stats(&p).secure_mode_mismatches, 1);
    platform_end(&p);
}

/* ── lists ── */

static void on_list(void *user, const struct fmx_gateway_session *sessions, size_t count,
                    uint64_t next_cursor)
{
    atomic_uint *seen = user;

    (void)next_cursor;
    for (size_t i = 0; i < count; i++) {
        bool is_d1 = fmx_slice_equal(sessions[i].device_name, fmx_slice_of("d1"));
        if (is_d1 && sessions[i].tls != NULL && sessions[i].tls->version == FMX_TLS_13 &&
            fmx_slice_equal(sessions[i].tls->server_name, fmx_slice_of("localhost"))) {
            atomic_fetch_or(seen, 1);
        } else if (!is_d1 && sessions[i].tls == NULL) {
            atomic_fetch_or(seen, 2);
        } else {
            atomic_fetch_or(seen, 4);
        }
    }
    atomic_fetch_add(seen, 16);
}

static void sessions_are_listed_with_what_was_agreed(void)
{
    struct tls_platform p;
    struct tls_peer peer;
    atomic_uint seen = 0;

    platform_begin(&p, 0);
    struct tls_peer_options options = tls_client(p.ports[TLS_PORT_ANY]);
    LOOP_EQUAL(platform_connect_as(&peer, &options, "d1"), 0);
    struct loop_peer plain = world_join(&p.world, "d2", NULL, FMX_MQTT_311, true);
    CU_ASSERT_EQUAL(fmx_gateway_list(p.world.caller, 0, on_list, &seen), FMX_OK);
    LOOP_WAIT(atomic_load(&seen) >= 16);
    CU_ASSERT_EQUAL(fmx_gateway_list(p.world.caller, 1ull << 32, on_list, &seen), FMX_OK);
    LOOP_WAIT(atomic_load(&seen) >= 32);
    LOOP_EQUAL(atomic_load(&seen), 32 + 1 + 2);
    tls_peer_close(&peer);
    close(plain.fd);
    platform_end(&p);
}

static void login_by_certificate_is_never_resumed(void)
{
    struct tls_platform p;
    struct tls_peer peer;

    platform_begin(&p, 0);
    struct tls_peer_options options = cert_client(p.ports[TLS_PORT_LOGIN], TLS_FILE_CLIENT);
    CU_ASSERT_FATAL(tls_peer_open(&peer, &options));
    LOOP_EQUAL(platform_say_connect(&peer, &(struct loop_connect){.client_id = "any",
                                                                  .username = "lamp&" PK,
                                                                  .password = "",
                                                                  .version = FMX_MQTT_311,
                                                                  .clean = true,
                                                                  .keepalive_s = 300}),
               0);
    CU_ASSERT_PTR_NULL(tls_peer_take_session(&peer));
    tls_peer_close(&peer);
    platform_end(&p);
}

/* ── the open profile ── */

static enum fmx_status admit_lamp(void *user, const struct fmx_gateway_session *session,
                                  fmx_slice password)
{
    (void)user;
    (void)password;
    return fmx_slice_equal(session->username, fmx_slice_of("lamp")) && session->tls != NULL &&
                   fmx_slice_equal(session->tls->cert_name, fmx_slice_of("lamp"))
               ? FMX_OK
               : FMX_PEER_NOT_AUTHORIZED;
}

static void certificate_is_the_user_name_in_the_open_profile(void)
{
    static const char *const listen[] = {"mqtts://127.0.0.1:0"};
    struct fmx_gateway_options options;
    struct fmx_tls_server settings;
    struct tls_opened opened = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct tls_peer peer;

    loop_begin();
    loop_gateway_options(&options, 1);
    fmx_tls_server_init(&settings);
    settings.cert = tls_cert(TLS_FILE_SERVER);
    settings.key = tls_key(TLS_FILE_SERVER);
    settings.client_auth = FMX_TLS_CLIENT_AUTH_REQUEST;
    settings.client_ca = tls_cert(TLS_FILE_CA);
    settings.client_cert_is_login = true;
    options.listen = listen;
    options.tls = &settings;
    options.tls_count = 1;
    options.callbacks.on_connect = admit_lamp;
    options.callbacks.on_open = platform_on_open;
    options.user = &opened;
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    struct tls_peer_options client = cert_client(fmx_gateway_port(gateway, 0), TLS_FILE_CLIENT);
    CU_ASSERT_FATAL(tls_peer_open(&peer, &client));
    LOOP_EQUAL(platform_say_connect(&peer, &(struct loop_connect){.client_id = "c",
                                                                  .username = "somebody else",
                                                                  .password = "",
                                                                  .version = FMX_MQTT_311,
                                                                  .clean = true}),
               0);
    LOOP_WAIT(atomic_load(&opened.count) == 1);
    CU_ASSERT_STRING_EQUAL(platform_last(&opened).username, "lamp");
    tls_peer_close(&peer);
    client = tls_client(fmx_gateway_port(gateway, 0));
    CU_ASSERT_FATAL(tls_peer_open(&peer, &client));
    LOOP_EQUAL(platform_say_connect(&peer, &(struct loop_connect){.client_id = "c",
                                                                  .username = "lamp",
                                                                  .password = "",
                                                                  .version = FMX_MQTT_311,
                                                                  .clean = true}),
               5); /* the service wants the certificate */
    tls_peer_close(&peer);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(device_logs_in_with_its_secret_as_a_psk),
    FMX_TEST_CASE(device_logs_in_with_a_psk_that_a_worker_looks_up),
    FMX_TEST_CASE(psk_that_is_wrong_unknown_or_disabled_ends_in_the_handshake),
    FMX_TEST_CASE(psk_of_one_device_is_no_channel_for_another),
    FMX_TEST_CASE(certificate_stands_for_the_signature),
    FMX_TEST_CASE(certificate_without_a_user_name_hears_who_it_is),
    FMX_TEST_CASE(certificate_of_who_is_disabled_or_unknown_is_no_login),
    FMX_TEST_CASE(peer_of_the_c_sdks_logs_in_with_static_rsa),
    FMX_TEST_CASE(secure_mode_is_held_against_the_channel),
    FMX_TEST_CASE(sessions_are_listed_with_what_was_agreed),
    FMX_TEST_CASE(login_by_certificate_is_never_resumed),
    FMX_TEST_CASE(certificate_is_the_user_name_in_the_open_profile),
};

int main(int argc, char **argv)
{
    return fmx_test_main("tls_platform", cases, sizeof cases / sizeof cases[0], argc, argv);
}
