/*
 * hello — which certificate a client gets, by what its ClientHello offers
 *
 * Why it is so:   ECDSA costs the server a tenth of RSA, so it is taken wherever the client can;
 *                 the library chooses a suite for the certificate that it has, not the other way
 *                 round, so the choice is made before it looks
 * Words:          version — what the library is going to agree on: the highest of the client's
 *                 that the context allows
 * Invariants:     every field is the peer's: parsed within bounds; what does not parse is left to
 *                 the library, which refuses it with the right alert
 * Threads:        any; called within fmx_tls_handshake
 * Limits:         a linear look at what the client offers, which the handshake's byte limit bounds
 * Not here:       the table of names: see names.c
 */
#include "tls/internal.h"

#include <openssl/bytestring.h>
#include <openssl/nid.h>

#define GROUPS     0x000au
#define SIGNATURES 0x000du
#define VERSIONS   0x002bu

#define ECDSA_SHA1 0x0203u

/* The list within an extension: `length_bytes` of length before it, nothing after it. */
static bool list_of(const SSL_CLIENT_HELLO *hello, uint16_t type, size_t length_bytes,
                    CBS *out_list)
{
    const uint8_t *data = NULL;
    size_t bytes = 0;
    CBS extension;

    if (SSL_early_callback_ctx_extension_get(hello, type, &data, &bytes) == 0) {
        return false;
    }
    CBS_init(&extension, data, bytes);
    bool is_there = length_bytes == 1 ? CBS_get_u8_length_prefixed(&extension, out_list)
                                      : CBS_get_u16_length_prefixed(&extension, out_list);
    return is_there != 0 && CBS_len(&extension) == 0;
}

static bool holds(CBS list, uint16_t value)
{
    uint16_t next = 0;

    while (CBS_get_u16(&list, &next)) {
        if (next == value) {
            return true;
        }
    }
    return false;
}

static uint16_t version_of(const struct fmx_tls_context *context, const SSL_CLIENT_HELLO *hello)
{
    uint16_t best = 0;
    uint16_t next = 0;
    CBS list;

    if (!list_of(hello, VERSIONS, 1, &list)) {
        best = hello->version < FMX_TLS_12 ? hello->version : (uint16_t)FMX_TLS_12;
        return best < context->max ? best : context->max;
    }
    while (CBS_get_u16(&list, &next)) {
        if (next >= context->min && next <= context->max && next > best) {
            best = next;
        }
    }
    return best;
}

static bool offers_suite(const SSL_CLIENT_HELLO *hello, const SSL_CIPHER *suite)
{
    CBS offered;

    CBS_init(&offered, hello->cipher_suites, hello->cipher_suites_len);
    return holds(offered, SSL_CIPHER_get_protocol_id(suite));
}

/* Is there a suite with this way to prove who the server is that both sides allow? */
static bool shares_suite(const struct fmx_tls_context *context, const SSL_CLIENT_HELLO *hello,
                         uint16_t version, int auth)
{
    const STACK_OF(SSL_CIPHER) *ours = SSL_CTX_get_ciphers(context->ssl);

    for (size_t i = 0; i < sk_SSL_CIPHER_num(ours); i++) {
        const SSL_CIPHER *suite = sk_SSL_CIPHER_value(ours, i);
        if (SSL_CIPHER_get_auth_nid(suite) == auth &&
            SSL_CIPHER_get_min_version(suite) <= version && offers_suite(hello, suite)) {
            return true;
        }
    }
    return false;
}

static bool shares_group(const SSL_CLIENT_HELLO *hello)
{
    CBS list;

    return list_of(hello, GROUPS, 2, &list) &&
           (holds(list, SSL_CURVE_X25519) || holds(list, SSL_CURVE_SECP256R1) ||
            holds(list, SSL_CURVE_SECP384R1));
}

static bool can_ecdsa(const struct fmx_tls_context *context, const struct fmx_tls_cert *cert,
                      const SSL_CLIENT_HELLO *hello)
{
    uint16_t version = version_of(context, hello);
    bool has_signatures = false;
    CBS list;

    has_signatures = list_of(hello, SIGNATURES, 2, &list);
    if (version >= FMX_TLS_13) {
        return has_signatures && holds(list, cert->signature);
    }
    if (!shares_suite(context, hello, version, NID_auth_ecdsa) || !shares_group(hello)) {
        return false;
    }
    if (version < FMX_TLS_12 || !has_signatures) {
        return true;
    }
    return holds(list, SSL_SIGN_ECDSA_SECP256R1_SHA256) ||
           holds(list, SSL_SIGN_ECDSA_SECP384R1_SHA384) ||
           holds(list, SSL_SIGN_ECDSA_SECP521R1_SHA512) || holds(list, ECDSA_SHA1);
}

/* The host name of the server_name extension; empty: none. */
static fmx_slice name_of(const SSL_CLIENT_HELLO *hello)
{
    uint8_t kind = 0;
    CBS list;
    CBS name;

    if (!list_of(hello, TLSEXT_TYPE_server_name, 2, &list) || !CBS_get_u8(&list, &kind) ||
        kind != TLSEXT_NAMETYPE_host_name || !CBS_get_u16_length_prefixed(&list, &name)) {
        return (fmx_slice){0};
    }
    return (fmx_slice){CBS_data(&name), CBS_len(&name)};
}

static const struct fmx_tls_cert *choose(const struct fmx_tls_context *context,
                                         const struct fmx_tls_pair *pair,
                                         const SSL_CLIENT_HELLO *hello)
{
    if (pair->cert == NULL || pair->cert_rsa == NULL) {
        return pair->cert != NULL ? pair->cert : pair->cert_rsa;
    }
    return can_ecdsa(context, pair->cert, hello) ? pair->cert : pair->cert_rsa;
}

/*
 * Sessions by PSK are not resumed: the key is asked for each time, so that a device whose secret is
 * taken away is out at once. A client that offers both kinds gets PSK, which stands first.
 */
static void refuse_ticket_for_psk(const struct fmx_tls_context *context,
                                  const SSL_CLIENT_HELLO *hello)
{
    if (context->has_psk && shares_suite(context, hello, FMX_TLS_12, NID_auth_psk)) {
        (void)SSL_set_options(hello->ssl, SSL_OP_NO_TICKET);
    }
}

enum ssl_select_cert_result_t fmx_tls_hello(const SSL_CLIENT_HELLO *hello)
{
    struct fmx_tls_stream *stream = fmx_tls_stream_of(hello->ssl);
    const struct fmx_tls_context *context = stream->context;
    const struct fmx_tls_pair *pair = fmx_tls_names_find(&context->names, name_of(hello));
    const struct fmx_tls_pair *standard = &context->pair;

    refuse_ticket_for_psk(context, hello);
    const struct fmx_tls_cert *cert = choose(context, pair == NULL ? standard : pair, hello);
    if (cert == NULL) {
        return ssl_select_cert_success;
    }
    stream->used_rsa = cert->kind == FMX_TLS_KEY_RSA;
    /* the standard pair's first stands in the context already */
    if (cert == (standard->cert != NULL ? standard->cert : standard->cert_rsa)) {
        return ssl_select_cert_success;
    }
    return SSL_set_chain_and_key(hello->ssl, (CRYPTO_BUFFER *const *)cert->chain, cert->chain_count,
                                 cert->key, NULL) == 1
               ? ssl_select_cert_success
               : ssl_select_cert_error;
}
