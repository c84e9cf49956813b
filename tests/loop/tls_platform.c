/*
 * tls_platform — for loop tests of devices over TLS: a gateway with many kinds of listeners,
 * devices that sign
 *
 * Threads:        the test's; what on_open says from any
 */
#include "tests/loop/tls_platform.h"

#include <stdio.h>

/* ── a gateway ── */

static const char *const listen_texts[TLS_PORTS_COUNT] = {
    [TLS_PORT_ANY] = "127.0.0.1:0",
    [TLS_PORT_PSK] = "mqtts://127.0.0.1:0#psk",
    [TLS_PORT_LOGIN] = "mqtts://127.0.0.1:0#login",
    [TLS_PORT_OLD] = "127.0.0.1:0#old",
    [TLS_PORT_BOTH] = "mqtts://127.0.0.1:0#both",
};

static void copy(char *out, size_t room, fmx_slice text)
{
    snprintf(out, room, "%.*s", (int)text.bytes, text.bytes > 0 ? (const char *)text.data : "");
}

void platform_on_open(void *user, const struct fmx_gateway_session *session)
{
    struct tls_opened *opened = user;
    struct tls_last last = {.is_tls = session->tls != NULL};

    copy(last.username, sizeof last.username, session->username);
    if (last.is_tls) {
        last.facts = *session->tls;
        copy(last.psk_identity, sizeof last.psk_identity, session->tls->psk_identity);
        copy(last.cert_name, sizeof last.cert_name, session->tls->cert_name);
        copy(last.server_name, sizeof last.server_name, session->tls->server_name);
    }
    pthread_mutex_lock(&opened->lock);
    opened->last = last;
    pthread_mutex_unlock(&opened->lock);
    atomic_fetch_add(&opened->count, 1);
}

struct tls_last platform_last(struct tls_opened *opened)
{
    pthread_mutex_lock(&opened->lock);
    struct tls_last last = opened->last;
    pthread_mutex_unlock(&opened->lock);
    return last;
}

static void fill_settings(struct tls_platform *p)
{
    for (size_t i = 0; i < TLS_PORTS_COUNT; i++) {
        struct fmx_tls_server *settings = &p->settings[i];
        fmx_tls_server_init(settings);
        const char *sharp = strchr(listen_texts[i], '#');
        settings->name = sharp == NULL ? NULL : sharp + 1;
        if (i != TLS_PORT_PSK) {
            settings->cert = tls_cert(TLS_FILE_SERVER);
            settings->key = tls_key(TLS_FILE_SERVER);
        }
        settings->psk = i == TLS_PORT_PSK || i == TLS_PORT_BOTH;
    }
    p->settings[TLS_PORT_LOGIN].client_auth = FMX_TLS_CLIENT_AUTH_REQUEST;
    p->settings[TLS_PORT_LOGIN].client_ca = tls_cert(TLS_FILE_CA);
    p->settings[TLS_PORT_LOGIN].client_cert_is_login = true;
    p->settings[TLS_PORT_OLD].min = FMX_TLS_10;
    p->settings[TLS_PORT_OLD].old_suites = true;
    p->settings[TLS_PORT_OLD].cert_rsa = tls_cert(TLS_FILE_RSA);
    p->settings[TLS_PORT_OLD].key_rsa = tls_key(TLS_FILE_RSA);
}

void platform_start(struct tls_platform *p)
{
    p->world.gateway = loop_gateway_start(&p->options);
    for (size_t i = 0; i < TLS_PORTS_COUNT; i++) {
        p->ports[i] = fmx_gateway_port(p->world.gateway, i);
    }
    p->world.port = p->ports[TLS_PORT_ANY];
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(p->world.gateway, &p->world.caller), FMX_OK);
}

void platform_prepare(struct tls_platform *p, uint32_t workers)
{
    loop_begin();
    *p = (struct tls_platform){0};
    loop_log_init(&p->log);
    pthread_mutex_init(&p->opened.lock, NULL);
    world_make_registry(&p->world);
    world_add_device(&p->world, "lamp");
    fill_settings(p);
    fmx_gateway_options_init(&p->options, FMX_PROFILE_PLATFORM);
    p->options.mux.shards_count = 2;
    p->options.mux.log = loop_log_line;
    p->options.mux.log_user = &p->log;
    p->options.listen = listen_texts;
    p->options.listen_count = TLS_PORTS_COUNT;
    p->options.tls = p->settings;
    p->options.tls_count = TLS_PORTS_COUNT;
    p->options.tls_limits.workers = workers;
    p->options.registry = p->world.registry_path;
    p->options.limits.connects_per_minute = FMX_UNLIMITED;
    p->options.callbacks.on_open = platform_on_open;
    p->options.user = &p->opened;
}

void platform_begin(struct tls_platform *p, uint32_t workers)
{
    platform_prepare(p, workers);
    platform_start(p);
}

struct fmx_stats platform_stats(struct tls_platform *p)
{
    return loop_stats(p->world.gateway);
}

void platform_stop(struct tls_platform *p)
{
    loop_expect_empty(p->world.gateway);
    LOOP_WAIT(platform_stats(p).tls_now == 0);
    LOOP_WAIT(platform_stats(p).tls_unfinished_now == 0);
    world_stop(&p->world);
}

void platform_end(struct tls_platform *p)
{
    platform_stop(p);
    world_end_registry(&p->world);
}

/* ── devices ── */

void platform_sign(const char *device_name, struct fmx_signed_connect *out)
{
    struct fmx_sign_options options = {.secure_mode = 2};
    char error[FMX_REGISTRY_ERROR_BYTES];

    CU_ASSERT_EQUAL_FATAL(fmx_sign_connect(PK, device_name, world_secret(device_name), &options,
                                           out, error, sizeof error),
                          FMX_OK);
}

uint8_t platform_say_connect(struct tls_peer *peer, const struct loop_connect *connect)
{
    static struct loop_packet got;
    uint8_t bytes[1024];

    if (!tls_peer_send(peer, bytes, loop_write_connect(bytes, connect)) ||
        !tls_receive(peer, &got) || got.head != 0x20) {
        return 255;
    }
    return got.body[1];
}

uint8_t platform_say_signed(struct tls_peer *peer, const struct fmx_signed_connect *sc,
                            enum fmx_version version)
{
    return platform_say_connect(peer, &(struct loop_connect){.client_id = sc->client_id,
                                                             .username = sc->username,
                                                             .password = sc->password,
                                                             .version = version,
                                                             .clean = true,
                                                             .keepalive_s = 300});
}

uint8_t platform_connect_as(struct tls_peer *peer, const struct tls_peer_options *options,
                            const char *device_name)
{
    struct fmx_signed_connect sc;

    if (!tls_peer_open(peer, options)) {
        fprintf(stderr, "  %s\n", peer->words);
        CU_FAIL_FATAL("tls_peer_open");
    }
    platform_sign(device_name, &sc);
    return platform_say_signed(peer, &sc, FMX_MQTT_311);
}
