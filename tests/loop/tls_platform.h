/*
 * tls_platform.h — for loop tests of devices over TLS: a gateway with many kinds of listeners,
 * devices that sign
 */
#ifndef TESTS_LOOP_TLS_PLATFORM_H
#define TESTS_LOOP_TLS_PLATFORM_H

#include "tests/loop/platform.h"
#include "tests/loop/tls.h"

#include <stdatomic.h>

/* ── a gateway ── */

enum tls_port {
    TLS_PORT_ANY,   /* plain, and TLS 1.2 and 1.3 with a certificate */
    TLS_PORT_PSK,   /* PSKs of the registry, no certificate */
    TLS_PORT_LOGIN, /* certificates as logins */
    TLS_PORT_OLD,   /* from TLS 1.0 on, static RSA */
    TLS_PORT_BOTH,  /* PSKs and a certificate */
    TLS_PORTS_COUNT,
};

/* What on_open has said last. */
struct tls_last {
    struct fmx_tls_facts facts; /* without its slices */
    bool is_tls;
    char username[160];
    char psk_identity[160];
    char cert_name[160];
    char server_name[160];
};

struct tls_opened {
    atomic_int count;
    pthread_mutex_t lock;
    struct tls_last last; /* under the lock: platform_last */
};

struct tls_platform {
    struct world world;
    struct fmx_gateway_options options;
    struct fmx_tls_server settings[TLS_PORTS_COUNT];
    uint16_t ports[TLS_PORTS_COUNT];
    struct tls_opened opened;
    struct loop_log log;
};

/* `user` is a struct tls_opened. */
void platform_on_open(void *user, const struct fmx_gateway_session *session);
struct tls_last platform_last(struct tls_opened *opened);

/* Registry with d1, d2 and lamp, options; everything but the start, so that a case can change what
   it likes. */
void platform_prepare(struct tls_platform *p, uint32_t workers);
void platform_start(struct tls_platform *p);
void platform_begin(struct tls_platform *p, uint32_t workers); /* both */

struct fmx_stats platform_stats(struct tls_platform *p);

/* Nothing is left of all connections, and the gateway ends; the registry stays, or goes too. */
void platform_stop(struct tls_platform *p);
void platform_end(struct tls_platform *p);

/* ── devices ── */

/* CONNECT of a device that signs, as it is over TLS. */
void platform_sign(const char *device_name, struct fmx_signed_connect *out);

/* What CONNACK says; 255: there was none. */
uint8_t platform_say_connect(struct tls_peer *peer, const struct loop_connect *connect);
uint8_t platform_say_signed(struct tls_peer *peer, const struct fmx_signed_connect *sc,
                            enum fmx_version version);

/* Opens, says CONNECT as `device_name`, hears the answer; ends the case if it cannot open. */
uint8_t platform_connect_as(struct tls_peer *peer, const struct tls_peer_options *options,
                            const char *device_name);

#endif
