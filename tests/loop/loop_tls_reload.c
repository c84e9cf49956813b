/*
 * loop_tls_reload — files of TLS read again while devices come and talk, and sessions that are
 * resumed afterwards, and after a restart
 */
#include "tests/loop/tls_platform.h"

#include <openssl/ssl.h>

#include <stdio.h>
#include <unistd.h>

/* ── reload ── */

static bool answers(struct tls_peer *peer)
{
    uint8_t answer[2];

    return tls_peer_send(peer, "\xc0\x00", 2) && tls_peer_receive(peer, answer, 2) &&
           answer[0] == 0xd0;
}

/* The name in the certificate that a new client sees. */
static const char *shown(struct tls_platform *p, enum tls_port port)
{
    static char name[64];
    struct tls_peer_options options = tls_client(p->ports[port]);
    struct tls_peer peer;

    CU_ASSERT_FATAL(tls_peer_open(&peer, &options));
    (void)tls_peer_server(&peer, name, sizeof name);
    tls_peer_close(&peer);
    return name;
}

static void reload_reads_the_files_again_or_leaves_all_as_it_was(void)
{
    struct tls_platform p;
    struct tls_peer older, newer;
    char cert[FMX_TEMPORARY_FILE_BYTES], key[FMX_TEMPORARY_FILE_BYTES], error[512] = "";

    platform_prepare(&p, 0);
    snprintf(cert, sizeof cert, "%s", tls_path("reload.pem"));
    snprintf(key, sizeof key, "%s", tls_path("reload.key"));
    tls_copy_file(tls_cert(TLS_FILE_SERVER), cert);
    tls_copy_file(tls_key(TLS_FILE_SERVER), key);
    p.settings[TLS_PORT_ANY].cert = cert;
    p.settings[TLS_PORT_ANY].key = key;
    platform_start(&p);
    memset(p.settings, 0xee, sizeof p.settings); /* all is copied */
    struct tls_peer_options options = tls_client(p.ports[TLS_PORT_ANY]);
    LOOP_EQUAL(platform_connect_as(&older, &options, "d1"), 0);
    CU_ASSERT_STRING_EQUAL(shown(&p, TLS_PORT_ANY), "localhost");

    tls_copy_file(tls_cert(TLS_FILE_OTHER), cert); /* of another key */
    LOOP_EQUAL(fmx_gateway_reload(p.world.gateway, error, sizeof error), FMX_E_OPTION);
    CU_ASSERT(strstr(error, "tls: ") != NULL && strstr(error, "key") != NULL);
    CU_ASSERT_STRING_EQUAL(shown(&p, TLS_PORT_ANY), "localhost");
    unlink(cert);
    LOOP_EQUAL(fmx_gateway_reload(p.world.gateway, error, sizeof error), FMX_SYS_FILE);
    CU_ASSERT(strstr(error, cert) != NULL);
    LOOP_EQUAL(platform_stats(&p).tls_reloads, 0);

    tls_copy_file(tls_cert(TLS_FILE_OTHER), cert);
    tls_copy_file(tls_key(TLS_FILE_OTHER), key);
    LOOP_EQUAL(fmx_gateway_reload(p.world.gateway, error, sizeof error), FMX_OK);
    LOOP_EQUAL(platform_stats(&p).tls_reloads, 1);
    CU_ASSERT(loop_log_has(&p.log, "were read again"));
    for (int i = 0; i < 8; i++) { /* on whatever shard */
        LOOP_WAIT(strcmp(shown(&p, TLS_PORT_ANY), "other.example") == 0);
    }
    CU_ASSERT_STRING_EQUAL(shown(&p, TLS_PORT_OLD), "localhost");
    CU_ASSERT(answers(&older));
    LOOP_EQUAL(platform_connect_as(&newer, &options, "d2"), 0);
    CU_ASSERT(answers(&newer));
    CU_ASSERT(answers(&older));
    tls_peer_close(&older);
    tls_peer_close(&newer);
    platform_end(&p);
}

static void reload_without_tls_says_so(void)
{
    struct fmx_gateway *gateway;
    char error[512] = "";

    loop_begin();
    gateway = loop_gateway(1);
    LOOP_EQUAL(fmx_gateway_reload(gateway, error, sizeof error), FMX_E_STATE);
    CU_ASSERT(strstr(error, "no TLS") != NULL);
    LOOP_EQUAL(loop_stats(gateway).tls_reloads, 0);
    loop_gateway_end(gateway);
}

static void reload_may_come_while_devices_do(void)
{
    struct tls_platform p;
    struct tls_peer peer;
    char error[512] = "";

    platform_begin(&p, 1);
    struct tls_peer_options options = tls_client(p.ports[TLS_PORT_ANY]);
    for (int i = 0; i < 40; i++) {
        LOOP_EQUAL(fmx_gateway_reload(p.world.gateway, error, sizeof error), FMX_OK);
        options.port = p.ports[i % 2 == 0 ? TLS_PORT_ANY : TLS_PORT_OLD];
        LOOP_EQUAL(platform_connect_as(&peer, &options, i % 2 == 0 ? "d1" : "d2"), 0);
        tls_peer_close(&peer);
    }
    LOOP_EQUAL(platform_stats(&p).tls_reloads, 40);
    platform_end(&p);
}

/* ── resumption ── */

static SSL_SESSION *session_of(struct tls_platform *p, enum tls_port port)
{
    struct tls_peer_options options = tls_client(p->ports[port]);
    struct tls_peer peer;

    options.max = FMX_TLS_12;
    LOOP_EQUAL(platform_connect_as(&peer, &options, "d1"), 0);
    SSL_SESSION *session = tls_peer_take_session(&peer);
    tls_peer_close(&peer);
    return session;
}

static bool resumes(struct tls_platform *p, enum tls_port port, SSL_SESSION *session)
{
    struct tls_peer_options options = tls_client(p->ports[port]);
    struct tls_peer peer;

    options.max = FMX_TLS_12;
    options.session = session;
    LOOP_EQUAL(platform_connect_as(&peer, &options, "d1"), 0);
    bool is = tls_peer_resumed(&peer);
    tls_peer_close(&peer);
    return is;
}

static void session_is_resumed_after_reload_and_restart_on_its_listener_only(void)
{
    struct tls_platform p;
    char keys[FMX_TEMPORARY_FILE_BYTES], error[512];

    platform_prepare(&p, 0);
    snprintf(keys, sizeof keys, "%s", tls_path("tickets"));
    unlink(keys);
    p.settings[TLS_PORT_ANY].ticket_keys = keys;
    p.settings[TLS_PORT_OLD].ticket_keys = keys;
    platform_start(&p);
    SSL_SESSION *session = session_of(&p, TLS_PORT_ANY);
    CU_ASSERT_FATAL(session != NULL);
    CU_ASSERT(resumes(&p, TLS_PORT_ANY, session));
    CU_ASSERT_FALSE(resumes(&p, TLS_PORT_OLD, session));
    LOOP_EQUAL(fmx_gateway_reload(p.world.gateway, error, sizeof error), FMX_OK);
    CU_ASSERT(resumes(&p, TLS_PORT_ANY, session));
    tls_copy_file(keys, tls_path("tickets-as-they-were"));
    tls_copy_file(tls_cert(TLS_FILE_CA), keys); /* that is no file of keys */
    for (int i = 0; i < 2; i++) {               /* as often as it is asked for */
        error[0] = '\0';
        LOOP_EQUAL(fmx_gateway_reload(p.world.gateway, error, sizeof error), FMX_E_OPTION);
        CU_ASSERT(strstr(error, keys) != NULL);
    }
    CU_ASSERT(resumes(&p, TLS_PORT_ANY, session));
    tls_copy_file(tls_path("tickets-as-they-were"), keys);
    LOOP_EQUAL(fmx_gateway_reload(p.world.gateway, error, sizeof error), FMX_OK);
    LOOP_EQUAL(platform_stats(&p).tls_reloads, 2);
    platform_stop(&p);
    platform_start(&p);
    CU_ASSERT(resumes(&p, TLS_PORT_ANY, session));
    LOOP_EQUAL(platform_stats(&p).tls_resumed, 1);
    SSL_SESSION_free(session);
    platform_end(&p);
}

static void keys_of_tickets_that_cannot_be_read_are_logged_and_the_old_ones_stay(void)
{
    struct tls_platform p;
    char keys[FMX_TEMPORARY_FILE_BYTES], error[512] = "";

    platform_prepare(&p, 0);
    snprintf(keys, sizeof keys, "%s", tls_path("tickets-spoilt"));
    p.settings[TLS_PORT_ANY].ticket_keys = keys;
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_open(&p.options, &p.world.gateway, error, sizeof error),
                          FMX_OK);
    tls_copy_file(tls_cert(TLS_FILE_CA), keys);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_start(p.world.gateway, error, sizeof error), FMX_OK);
    p.ports[TLS_PORT_ANY] = fmx_gateway_port(p.world.gateway, TLS_PORT_ANY);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(p.world.gateway, &p.world.caller), FMX_OK);
    LOOP_WAIT(loop_log_has(&p.log, "; the keys in use stay"));
    CU_ASSERT(loop_log_has(&p.log, keys));
    SSL_SESSION *session = session_of(&p, TLS_PORT_ANY);
    CU_ASSERT(session != NULL && resumes(&p, TLS_PORT_ANY, session));
    SSL_SESSION_free(session);
    platform_end(&p);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(reload_reads_the_files_again_or_leaves_all_as_it_was),
    FMX_TEST_CASE(reload_without_tls_says_so),
    FMX_TEST_CASE(reload_may_come_while_devices_do),
    FMX_TEST_CASE(keys_of_tickets_that_cannot_be_read_are_logged_and_the_old_ones_stay),
    FMX_TEST_CASE(session_is_resumed_after_reload_and_restart_on_its_listener_only),
};

int main(int argc, char **argv)
{
    return fmx_test_main("tls_reload", cases, sizeof cases / sizeof cases[0], argc, argv);
}
