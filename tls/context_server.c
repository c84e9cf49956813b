/*
 * context_server — a listener's certificates, keys, suites and tickets, made into a context
 *
 * Why it is so:   everything that can be wrong is found here, with words, and not by the first
 *                 client
 * Words:          scope — of a listener; sessions of one are not resumed at another, nor after the
 *                 authorities for client certificates have changed
 * Invariants:     a context with PSK agrees on TLS 1.2 at most: there is no such PSK in 1.3
 *                 a context that asks for client certificates makes no tickets
 * Memory:         the context owns all but the tickets
 * Threads:        any
 * Not here:       which certificate a client gets: see hello.c; which chain is good: see verify.c
 */
#include "tls/internal.h"

#include <fleetmux/private/assert.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/stack.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define SCOPE_BYTES_MAX  32u
#define SUITES_BYTES_MAX 2048u

#define UNKNOWN_KEY_BYTES 32u

#define PSK_SUITES                                                                                 \
    "ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES128-CBC-SHA:ECDHE-PSK-AES256-CBC-SHA:"               \
    "PSK-AES128-CBC-SHA:PSK-AES256-CBC-SHA"
#define AEAD_SUITES                                                                                \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CBC_SUITES                                                                                 \
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
#define OLD_SUITES CBC_SUITES ":AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA:AES256-SHA"

/* ── suites ── */

static bool has_suite_by(const SSL_CTX *ssl, int auth)
{
    const STACK_OF(SSL_CIPHER) *suites = SSL_CTX_get_ciphers(ssl);

    for (size_t i = 0; i < sk_SSL_CIPHER_num(suites); i++) {
        if (SSL_CIPHER_get_auth_nid(sk_SSL_CIPHER_value(suites, i)) == auth) {
            return true;
        }
    }
    return false;
}

static enum fmx_status set_suites(const struct fmx_tls_context *context,
                                  const struct fmx_tls_server *options, char *error,
                                  size_t error_bytes)
{
    char suites[SUITES_BYTES_MAX];
    int bytes = 0;

    if (options->suites != NULL) {
        bytes = snprintf(suites, sizeof suites, "%s%s", options->suites,
                         options->old_suites ? ":" OLD_SUITES : "");
    } else {
        bytes = snprintf(suites, sizeof suites, "%s%s%s%s", context->has_psk ? PSK_SUITES ":" : "",
                         AEAD_SUITES, options->min < FMX_TLS_12 ? ":" CBC_SUITES : "",
                         options->old_suites ? ":" OLD_SUITES : "");
    }
    if (bytes < 0 || (size_t)bytes >= sizeof suites) {
        return fmx_tls_refuse(error, error_bytes, "suites has more than %u bytes",
                              SUITES_BYTES_MAX);
    }
    bool is_good = SSL_CTX_set_strict_cipher_list(context->ssl, suites) == 1;
    ERR_clear_error();
    if (!is_good) {
        return fmx_tls_refuse(
            error, error_bytes,
            "suites is '%.200s': a name in it is not known, or none is left; write "
            "names such as ECDHE-ECDSA-AES128-GCM-SHA256 with colons between",
            options->suites == NULL ? suites : options->suites);
    }
    if (context->has_psk && !has_suite_by(context->ssl, NID_auth_psk)) {
        return fmx_tls_refuse(error, error_bytes,
                              "suites has none for psk: add ECDHE-PSK-CHACHA20-POLY1305 or "
                              "PSK-AES128-CBC-SHA");
    }
    (void)SSL_CTX_set_options(context->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    return FMX_OK;
}

/* ── certificates ── */

static const struct fmx_tls_cert *rsa_of(const struct fmx_tls_pair *pair)
{
    if (pair->cert != NULL && pair->cert->kind == FMX_TLS_KEY_RSA) {
        return pair->cert;
    }
    return pair->cert_rsa;
}

static enum fmx_status check_old_suites(const struct fmx_tls_context *context, char *error,
                                        size_t error_bytes)
{
    const struct fmx_tls_cert *rsa = rsa_of(&context->pair);

    if (rsa == NULL) {
        return fmx_tls_refuse(error, error_bytes,
                              "old_suites needs an RSA certificate: give cert_rsa and key_rsa");
    }
    if (!rsa->can_decrypt) {
        return fmx_tls_refuse(error, error_bytes,
                              "old_suites: the key usage of the RSA certificate has no key "
                              "encipherment, which static RSA needs: have it made with it");
    }
    return FMX_OK;
}

static enum fmx_status set_certs(struct fmx_tls_context *context,
                                 const struct fmx_tls_server *options, char *error,
                                 size_t error_bytes)
{
    enum fmx_status status =
        fmx_tls_pair_read("", options->cert, options->key, options->cert_rsa, options->key_rsa,
                          &context->pair, error, error_bytes);

    if (status == FMX_OK) {
        status = fmx_tls_names_open(options->server_names, options->server_names_count,
                                    &context->names, error, error_bytes);
    }
    if (status == FMX_OK && options->old_suites) {
        status = check_old_suites(context, error, error_bytes);
    }
    if (status != FMX_OK) {
        return status;
    }
    const struct fmx_tls_cert *first =
        context->pair.cert != NULL ? context->pair.cert : context->pair.cert_rsa;
    if (first != NULL &&
        SSL_CTX_set_chain_and_key(context->ssl, (CRYPTO_BUFFER *const *)first->chain,
                                  first->chain_count, first->key, NULL) != 1) {
        ERR_clear_error();
        return fmx_tls_no_memory(error, error_bytes);
    }
    SSL_CTX_set_select_certificate_cb(context->ssl, fmx_tls_hello);
    return FMX_OK;
}

static enum fmx_status set_client_auth(struct fmx_tls_context *context,
                                       const struct fmx_tls_server *options, uint8_t out_sha256[32],
                                       char *error, size_t error_bytes)
{
    STACK_OF(CRYPTO_BUFFER) *names = NULL;

    memset(out_sha256, 0, SHA256_DIGEST_LENGTH);
    if (options->client_auth == FMX_TLS_CLIENT_AUTH_NONE) {
        return FMX_OK;
    }
    enum fmx_status status =
        fmx_tls_authorities_read("client_ca", options->client_ca, &context->authorities, &names,
                                 out_sha256, error, error_bytes);
    if (status != FMX_OK) {
        return status;
    }
    SSL_CTX_set0_client_CAs(context->ssl, names);
    SSL_CTX_set_custom_verify(context->ssl,
                              options->client_auth == FMX_TLS_CLIENT_AUTH_REQUIRE
                                  ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                  : SSL_VERIFY_PEER,
                              fmx_tls_verify_client);
    SSL_CTX_set_max_cert_list(context->ssl, options->client_chain_bytes_max);
    SSL_CTX_set_retain_only_sha256_of_client_certs(context->ssl, 1);
    context->client_chain_max = options->client_chain_max;
    context->client_chain_bytes_max = options->client_chain_bytes_max;
    context->client_cert_is_login = options->client_cert_is_login;
    return FMX_OK;
}

/* ── PSK ── */

static size_t key_of(const struct fmx_tls_context *context, unsigned thread, fmx_slice identity,
                     uint8_t out_key[FMX_TLS_PSK_BYTES_MAX])
{
    size_t bytes = fmx_tls_psk_table_find(&context->psk_table, identity, out_key);

    if (bytes == 0 && context->psk.key != NULL) {
        bytes = context->psk.key(context->psk.user, thread, identity, out_key);
        FMX_ASSERT(bytes <= FMX_TLS_PSK_BYTES_MAX);
    }
    return bytes;
}

/*
 * An identity that is not known gets a key of chance, so that the handshake goes on and fails where
 * it fails with a wrong key.
 */
static unsigned find_psk(SSL *ssl, const char *identity, uint8_t *out_key, unsigned key_max)
{
    const struct fmx_tls_stream *stream = fmx_tls_stream_of(ssl);
    uint8_t chance[UNKNOWN_KEY_BYTES];
    uint8_t key[FMX_TLS_PSK_BYTES_MAX];

    RAND_bytes(chance, sizeof chance);
    size_t bytes = key_of(stream->context, stream->call->thread, fmx_slice_of(identity), key);
    if (bytes == 0) {
        bytes = sizeof chance;
        memcpy(key, chance, bytes);
    }
    FMX_ASSERT(bytes <= key_max);
    memcpy(out_key, key, bytes);
    OPENSSL_cleanse(key, sizeof key);
    return (unsigned)bytes;
}

static enum fmx_status set_psk(struct fmx_tls_context *context,
                               const struct fmx_tls_server *options,
                               const struct fmx_tls_psk_source *psk, char *error,
                               size_t error_bytes)
{
    if (!context->has_psk) {
        return FMX_OK;
    }
    if (options->psk && (psk == NULL || psk->key == NULL)) {
        return fmx_tls_refuse(error, error_bytes,
                              "psk: there is no registry to look devices up in: give one, or "
                              "psk_file");
    }
    if (options->psk) {
        context->psk = *psk;
    }
    SSL_CTX_set_psk_server_callback(context->ssl, find_psk);
    if (options->psk_file == NULL) {
        return FMX_OK;
    }
    return fmx_tls_psk_table_open(options->psk_file, &context->psk_table, error, error_bytes);
}

/* ── sessions ── */

static int apply_ticket(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher,
                        HMAC_CTX *hmac, int is_new)
{
    return fmx_tls_tickets_apply(fmx_tls_context_of(ssl)->tickets, name, iv, cipher, hmac,
                                 is_new != 0);
}

static void set_scope(const struct fmx_tls_context *context, const struct fmx_tls_server *options,
                      fmx_slice scope, const uint8_t authorities_sha256[32])
{
    const uint8_t kinds[] = {(uint8_t)scope.bytes, (uint8_t)options->client_auth,
                             context->client_cert_is_login, options->psk,
                             options->psk_file != NULL};
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX hash;

    static_assert(SHA256_DIGEST_LENGTH <= SSL_MAX_SID_CTX_LENGTH, "the digest is the scope");
    SHA256_Init(&hash);
    SHA256_Update(&hash, kinds, sizeof kinds);
    SHA256_Update(&hash, scope.data, scope.bytes);
    SHA256_Update(&hash, authorities_sha256, SHA256_DIGEST_LENGTH);
    SHA256_Final(digest, &hash);
    FMX_ASSERT(SSL_CTX_set_session_id_context(context->ssl, digest, sizeof digest) == 1);
}

/*
 * Who has shown a certificate shows it each time: a ticket would outlive it, in 1.3 by days, and
 * does not say whose it was.
 */
static void set_sessions(struct fmx_tls_context *context, const struct fmx_tls_server *options,
                         struct fmx_tls_tickets *tickets)
{
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    if (tickets == NULL || !options->tickets || options->client_auth != FMX_TLS_CLIENT_AUTH_NONE) {
        (void)SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET);
        return;
    }
    context->tickets = tickets;
    (void)SSL_CTX_set_tlsext_ticket_key_cb(context->ssl, apply_ticket);
    (void)SSL_CTX_set_num_tickets(context->ssl, 1);
    (void)SSL_CTX_set_timeout(context->ssl, options->ticket_lifetime_s);
    SSL_CTX_set_session_psk_dhe_timeout(context->ssl, options->ticket_lifetime_s);
}

/* "mqtt", if it is offered; else no protocol is agreed on, which old clients expect. */
static int choose_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_bytes, const uint8_t *offered,
                       unsigned offered_bytes, void *unused)
{
    static const uint8_t mqtt[] = {'m', 'q', 't', 't'};
    unsigned at = 0;

    (void)ssl;
    (void)unused;
    while (at < offered_bytes) {
        unsigned bytes = offered[at];
        if (bytes > offered_bytes - at - 1) {
            break;
        }
        if (bytes == sizeof mqtt && memcmp(offered + at + 1, mqtt, sizeof mqtt) == 0) {
            *out = offered + at + 1;
            *out_bytes = (uint8_t)bytes;
            return SSL_TLSEXT_ERR_OK;
        }
        at += 1 + bytes;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* ── together ── */

static enum fmx_status open_server(struct fmx_tls_context *context,
                                   const struct fmx_tls_server *options,
                                   struct fmx_tls_tickets *tickets, fmx_slice scope,
                                   const struct fmx_tls_psk_source *psk, char *error,
                                   size_t error_bytes)
{
    enum fmx_tls_version max = options->max;
    uint8_t authorities_sha256[SHA256_DIGEST_LENGTH];

    context->has_psk = options->psk || options->psk_file != NULL;
    if (context->has_psk && max > FMX_TLS_12) {
        max = FMX_TLS_12;
    }
    context->bounds = (struct fmx_tls_bounds){
        .handshake_timeout_ms = options->handshake_timeout_ms,
        .handshake_bytes_max = options->handshake_bytes_max,
        .handshake_records_max = options->handshake_records_max,
    };
    enum fmx_status status =
        fmx_tls_context_common(context, options->min, max, options->record_bytes_max,
                               options->key_log, error, error_bytes);
    if (status == FMX_OK) {
        status = set_suites(context, options, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = set_certs(context, options, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = set_client_auth(context, options, authorities_sha256, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = set_psk(context, options, psk, error, error_bytes);
    }
    if (status == FMX_OK) {
        set_scope(context, options, scope, authorities_sha256);
        set_sessions(context, options, tickets);
        SSL_CTX_set_alpn_select_cb(context->ssl, choose_alpn, NULL);
    }
    return status;
}

enum fmx_status fmx_tls_server_open(const struct fmx_tls_server *options,
                                    struct fmx_tls_tickets *tickets, fmx_slice scope,
                                    const struct fmx_tls_psk_source *psk,
                                    struct fmx_tls_context **out_context, char *error,
                                    size_t error_bytes)
{
    struct fmx_tls_context *context = NULL;
    enum fmx_status status = fmx_tls_server_check(options, error, error_bytes);

    FMX_ASSERT(scope.bytes <= SCOPE_BYTES_MAX);
    *out_context = NULL;
    if (status == FMX_OK) {
        status = fmx_tls_context_new(true, &context, error, error_bytes);
    }
    if (status != FMX_OK) {
        return status;
    }
    status = open_server(context, options, tickets, scope, psk, error, error_bytes);
    if (status != FMX_OK) {
        int number = errno;
        fmx_tls_context_drop(context);
        errno = number;
        return status;
    }
    *out_context = context;
    return FMX_OK;
}
