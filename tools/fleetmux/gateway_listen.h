/*
 * gateway_listen.h — where the gateway listens, and with which settings of TLS
 *
 *     mqtts://ADDRESS:PORT?KEY=VALUE&KEY=VALUE
 *
 * mqtt:// takes plain MQTT, mqtts:// TLS; without either both are taken if there is a certificate
 * or a PSK. What stands behind ? changes single settings for that listener.
 */
#ifndef FMX_TOOLS_GATEWAY_LISTEN_H
#define FMX_TOOLS_GATEWAY_LISTEN_H

#include "tools/fleetmux/flags.h"

#include <fleetmux/gateway.h>

#define GATEWAY_LISTEN_MAX 16

/* The settings of TLS that listeners have unless they change them. */
struct gateway_tls {
    struct fmx_tls_server server;  /* but its name and its server_names */
    struct flag_list server_names; /* NAME=CERT,KEY or NAME=CERT,KEY,CERT_RSA,KEY_RSA */
};

/* Their rows, over struct gateway_tls: gateway_tls_flags.c. The names begin with "tls-". */
#define GATEWAY_TLS_ROWS_COUNT 25
extern const struct flag gateway_tls_rows[GATEWAY_TLS_ROWS_COUNT];

void gateway_tls_init(struct gateway_tls *tls);

/* What to listen to, as struct fmx_gateway_options wants it. Points into itself. */
struct gateway_listeners {
    const char *addresses[GATEWAY_LISTEN_MAX];
    size_t count;
    struct fmx_tls_server servers[GATEWAY_LISTEN_MAX];
    size_t servers_count;
    struct fmx_tls_server_name *names; /* of all servers */
    size_t names_count, names_room;
    char *texts; /* what had to be written anew */
    size_t texts_used, texts_room;
};

/*
 * Makes listeners of what was written: 1 … GATEWAY_LISTEN_MAX of them. Borrows the items, and the
 * texts of `tls`. False: `error`, of FLAG_ERROR_BYTES, names the listener, the key and the fix.
 * Wipe it in either case.
 */
bool gateway_listen_make(const struct flag_list *listen, const struct gateway_tls *tls,
                         struct gateway_listeners *out_listeners, char *error);

/* All zero is fine. */
void gateway_listen_wipe(struct gateway_listeners *listeners);

#endif
