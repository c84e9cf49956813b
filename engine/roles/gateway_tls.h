/*
 * gateway_tls.h — listeners of a gateway and what they offer: settings, contexts, keys of tickets
 *
 *     gateway_listen.c        "mqtts://ADDRESS:PORT#NAME" → address, transport, settings
 *     gateway_tls_options.c   what is refused
 *     gateway_tls.c           files → contexts; again at a reload; the thread that turns keys
 *     channel.c               whom a connection's channel proves, and the keys of PSKs
 */
#ifndef ENGINE_ROLES_GATEWAY_TLS_H
#define ENGINE_ROLES_GATEWAY_TLS_H

#include "engine/mux.h"
#include "tls/tls.h"

#include <fleetmux/gateway.h>

#define FMX_TLS_SETTINGS_MAX  16u
#define FMX_TLS_NAME_MAX      64u
#define FMX_TLS_NO_SETTINGS   UINT32_MAX
#define FMX_TLS_LABEL_BYTES   (FMX_TLS_NAME_MAX + 8u)
#define FMX_LISTEN_TEXT_BYTES 352u /* an address, its scheme, a name */

struct fmx_gateway_tls;

/* ── gateway_listen.c ── */

struct fmx_gateway_listener {
    struct fmx_address address;
    enum fmx_transport transport;
    uint32_t settings; /* which of options.tls; FMX_TLS_NO_SETTINGS: it takes no TLS */
};

/* All of options.listen. FMX_OK or FMX_E_OPTION, with words that name listener and fix. */
enum fmx_status fmx_gateway_listen_parse(const struct fmx_gateway_options *options,
                                         struct fmx_gateway_listener out[FMX_LISTENERS_MAX],
                                         char *error, size_t error_bytes) FMX_MUST_USE;

/* ── gateway_tls_options.c ── */

/* How settings are called in words: "tls", "tls 'old'". */
const char *fmx_gateway_tls_label(const struct fmx_tls_server *settings,
                                  char out[FMX_TLS_LABEL_BYTES]);

/*
 * Of options.tls and options.tls_limits what must hold before a file is read; the rest, field by
 * field, is fmx_tls_server_open's. FMX_OK or FMX_E_OPTION, with words.
 */
enum fmx_status fmx_gateway_tls_check(const struct fmx_gateway_options *options, char *error,
                                      size_t error_bytes) FMX_MUST_USE;

/* ── gateway_tls.c ── */

/*
 * Copies the settings and reads their files. FMX_OK, with NULL if there are none; else as
 * fmx_tls_server_open, with words that name the settings.
 */
enum fmx_status fmx_gateway_tls_open(struct fmx_gateway *gateway,
                                     const struct fmx_gateway_options *options,
                                     struct fmx_gateway_tls **out_tls, char *error,
                                     size_t error_bytes) FMX_MUST_USE;

/* No stream of it is left. NULL is harmless. */
void fmx_gateway_tls_close(struct fmx_gateway_tls *tls);

/* What a listener with these settings offers, until the next reload; borrowed. */
struct fmx_tls_context *fmx_gateway_tls_context(const struct fmx_gateway_tls *tls,
                                                uint32_t settings);

/*
 * Says what is unusual about listeners, and starts the thread if keys of tickets have to be looked
 * after. Before shards run. FMX_OK or FMX_SYS_THREAD, with words. NULL is harmless.
 */
enum fmx_status fmx_gateway_tls_start(struct fmx_gateway_tls *tls,
                                      const struct fmx_gateway_listener *listeners,
                                      size_t listeners_count, char *error,
                                      size_t error_bytes) FMX_MUST_USE;

/* Ends the thread and refuses reloads. Harmless if nothing was started, and for NULL. */
void fmx_gateway_tls_stop(struct fmx_gateway_tls *tls);

/* Any thread. */
uint64_t fmx_gateway_tls_reloads(const struct fmx_gateway_tls *tls);

#endif
