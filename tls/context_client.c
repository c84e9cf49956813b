/*
 * context_client — whom clients trust and what they offer, made into a context
 *
 * Why it is so:   one context serves all clients of a fleet; what is a client's own (certificate,
 *                 key, name, session) comes with each fmx_tls_connect
 * Invariants:     without `insecure`, no server is believed that an authority does not vouch for
 * Memory:         the context owns all
 * Threads:        any
 * Not here:       which chain is good: see verify.c
 */
#include "tls/internal.h"

#include <openssl/err.h>
#include <openssl/pool.h>

#include <errno.h>
#include <unistd.h>

/* A server's handshake is larger than a client's: its chain, and names of authorities. */
#define HANDSHAKE_TIMEOUT_MS  30000u
#define HANDSHAKE_BYTES_MAX   131072u
#define HANDSHAKE_RECORDS_MAX 512u
#define CHAIN_BYTES_MAX       65536u
#define SESSION_LIFETIME_S    604800u /* the most TLS 1.3 allows; the server says less */

#define PSK_SUITES                                                                                 \
    "ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES128-CBC-SHA:ECDHE-PSK-AES256-CBC-SHA:"               \
    "PSK-AES128-CBC-SHA:PSK-AES256-CBC-SHA"

static enum fmx_status set_suites(const struct fmx_tls_context *context,
                                  const struct fmx_tls_client *options, char *error,
                                  size_t error_bytes)
{
    const char *suites = options->suites;

    if (suites == NULL) {
        suites = context->has_psk ? PSK_SUITES : "ALL";
    }
    bool is_good = SSL_CTX_set_strict_cipher_list(context->ssl, suites) == 1;
    ERR_clear_error();
    if (!is_good) {
        return fmx_tls_refuse(error, error_bytes,
                              "suites is '%.200s': a name in it is not known; write names such as "
                              "ECDHE-ECDSA-AES128-GCM-SHA256 with colons between",
                              suites);
    }
    return FMX_OK;
}

static enum fmx_status set_system_authorities(struct fmx_tls_context *context, char *error,
                                              size_t error_bytes)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/cert.pem",
    };
    uint8_t unused[32];

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], R_OK) == 0) {
            return fmx_tls_authorities_read("ca", places[i], &context->authorities, NULL, unused,
                                            error, error_bytes);
        }
    }
    return fmx_tls_refuse(
        error, error_bytes,
        "ca is missing, and the system has no authorities of its own: give a file "
        "with the authority of your servers, or install ca-certificates");
}

static enum fmx_status set_authorities(struct fmx_tls_context *context,
                                       const struct fmx_tls_client *options, char *error,
                                       size_t error_bytes)
{
    uint8_t unused[32];

    context->is_insecure = options->insecure;
    SSL_CTX_set_custom_verify(context->ssl, SSL_VERIFY_PEER, fmx_tls_verify_server);
    SSL_CTX_set_max_cert_list(context->ssl, CHAIN_BYTES_MAX);
    SSL_CTX_set0_buffer_pool(context->ssl, fmx_tls_pool());
    /* who is known by a key of his own shows no certificate */
    if (options->insecure || (context->has_psk && options->ca == NULL)) {
        return FMX_OK;
    }
    if (options->ca == NULL) {
        return set_system_authorities(context, error, error_bytes);
    }
    return fmx_tls_authorities_read("ca", options->ca, &context->authorities, NULL, unused, error,
                                    error_bytes);
}

/* Keeps the newest: a server may send several, and TLS 1.3 sends them late. */
static int take_session(SSL *ssl, SSL_SESSION *session)
{
    struct fmx_tls_stream *stream = fmx_tls_stream_of(ssl);

    SSL_SESSION_free(stream->session);
    stream->session = session;
    return 1;
}

static void set_sessions(struct fmx_tls_context *context, const struct fmx_tls_client *options)
{
    context->keeps_session = options->resume > 0;
    if (!context->keeps_session) {
        SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
        (void)SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET);
        return;
    }
    SSL_CTX_set_session_cache_mode(context->ssl,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context->ssl, take_session);
    (void)SSL_CTX_set_timeout(context->ssl, SESSION_LIFETIME_S);
    SSL_CTX_set_session_psk_dhe_timeout(context->ssl, SESSION_LIFETIME_S);
}

static enum fmx_status open_client(struct fmx_tls_context *context,
                                   const struct fmx_tls_client *options, char *error,
                                   size_t error_bytes)
{
    static const uint8_t mqtt[] = {4, 'm', 'q', 't', 't'};
    enum fmx_tls_version max = options->max;

    context->has_psk = options->psk != FMX_TLS_PSK_NONE;
    if (context->has_psk && max > FMX_TLS_12) {
        max = FMX_TLS_12;
    }
    context->bounds = (struct fmx_tls_bounds){
        .handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS,
        .handshake_bytes_max = HANDSHAKE_BYTES_MAX,
        .handshake_records_max = HANDSHAKE_RECORDS_MAX,
    };
    enum fmx_status status =
        fmx_tls_context_common(context, options->min, max, options->record_bytes_max,
                               options->key_log, error, error_bytes);
    if (status == FMX_OK) {
        status = set_suites(context, options, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = set_authorities(context, options, error, error_bytes);
    }
    if (status == FMX_OK && options->alpn &&
        SSL_CTX_set_alpn_protos(context->ssl, mqtt, sizeof mqtt) != 0) {
        status = fmx_tls_no_memory(error, error_bytes);
    }
    if (status == FMX_OK) {
        set_sessions(context, options);
        SSL_CTX_set_cert_cb(context->ssl, fmx_tls_dialled_cert, NULL);
        if (context->has_psk) {
            SSL_CTX_set_psk_client_callback(context->ssl, fmx_tls_dialled_psk);
        }
    }
    return status;
}

enum fmx_status fmx_tls_client_open(const struct fmx_tls_client *options,
                                    struct fmx_tls_context **out_context, char *error,
                                    size_t error_bytes)
{
    struct fmx_tls_context *context = NULL;
    enum fmx_status status = fmx_tls_client_check(options, error, error_bytes);

    *out_context = NULL;
    if (status == FMX_OK) {
        status = fmx_tls_context_new(false, &context, error, error_bytes);
    }
    if (status != FMX_OK) {
        return status;
    }
    status = open_client(context, options, error, error_bytes);
    if (status != FMX_OK) {
        int number = errno;
        fmx_tls_context_drop(context);
        errno = number;
        return status;
    }
    *out_context = context;
    return FMX_OK;
}
