/*
 * dial — what is a client's own: name, certificate, key and session
 *
 * Why it is so:   one context serves all clients of a fleet; what differs comes with the dial, is
 *                 needed in the handshake only, and is wiped and freed at its end
 * Invariants:     the certificate is handed to the library only if the server asks for one
 * Memory:         one block, owned by the stream until its handshake has ended
 * Threads:        those of the stream
 */
#include "tls/internal.h"

#include <fleetmux/private/assert.h>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/mem.h>

#include <stdlib.h>

bool fmx_tls_is_address(const char *name)
{
    uint8_t address[16];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static struct fmx_tls_dialled *dialled_new(const struct fmx_tls_dial *dial)
{
    const char *name = dial->server_name == NULL ? "" : dial->server_name;
    size_t name_bytes = strlen(name);
    struct fmx_tls_dialled *dialled = calloc(1, sizeof *dialled + name_bytes + 1);

    FMX_ASSERT(dial->psk_identity.bytes <= FMX_TLS_PSK_IDENTITY_MAX);
    FMX_ASSERT(dial->psk_key.bytes <= FMX_TLS_PSK_BYTES_MAX);
    if (dialled == NULL) {
        return NULL;
    }
    dialled->cert = dial->cert == NULL ? NULL : fmx_tls_cert_hold(dial->cert);
    dialled->psk_key_bytes = (uint8_t)dial->psk_key.bytes;
    dialled->psk_identity_bytes = (uint8_t)dial->psk_identity.bytes;
    if (dial->psk_key.bytes > 0) {
        memcpy(dialled->psk_key, dial->psk_key.data, dial->psk_key.bytes);
    }
    if (dial->psk_identity.bytes > 0) {
        memcpy(dialled->psk_identity, dial->psk_identity.data, dial->psk_identity.bytes);
    }
    memcpy(dialled->server_name, name, name_bytes);
    return dialled;
}

void fmx_tls_dialled_free(struct fmx_tls_dialled *dialled)
{
    if (dialled == NULL) {
        return;
    }
    fmx_tls_cert_drop(dialled->cert);
    OPENSSL_cleanse(dialled->psk_key, sizeof dialled->psk_key);
    free(dialled);
}

int fmx_tls_dialled_cert(SSL *ssl, void *unused)
{
    struct fmx_tls_stream *stream = fmx_tls_stream_of(ssl);
    const struct fmx_tls_cert *cert = stream->dialled->cert;

    (void)unused;
    if (cert == NULL) {
        return 1;
    }
    stream->used_rsa = cert->kind == FMX_TLS_KEY_RSA;
    return SSL_set_chain_and_key(ssl, (CRYPTO_BUFFER *const *)cert->chain, cert->chain_count,
                                 cert->key, NULL);
}

unsigned fmx_tls_dialled_psk(SSL *ssl, const char *hint, char *out_identity, unsigned identity_max,
                             uint8_t *out_key, unsigned key_max)
{
    const struct fmx_tls_dialled *dialled = fmx_tls_stream_of(ssl)->dialled;

    (void)hint;
    if (dialled->psk_identity_bytes >= identity_max || dialled->psk_key_bytes > key_max) {
        return 0;
    }
    memcpy(out_identity, dialled->psk_identity, dialled->psk_identity_bytes);
    out_identity[dialled->psk_identity_bytes] = '\0';
    memcpy(out_key, dialled->psk_key, dialled->psk_key_bytes);
    return dialled->psk_key_bytes;
}

struct fmx_tls_stream *fmx_tls_connect(struct fmx_tls_context *context,
                                       const struct fmx_tls_dial *dial)
{
    FMX_ASSERT(!context->is_server);
    struct fmx_tls_stream *stream = fmx_tls_stream_new(context);

    if (stream == NULL) {
        return NULL;
    }
    stream->dialled = dialled_new(dial);
    bool is_good = stream->dialled != NULL;
    SSL_set_connect_state(stream->ssl);
    if (is_good && stream->dialled->server_name[0] != '\0' &&
        !fmx_tls_is_address(stream->dialled->server_name)) {
        is_good = SSL_set_tlsext_host_name(stream->ssl, stream->dialled->server_name) == 1;
    }
    if (is_good && dial->session != NULL) {
        is_good = SSL_set_session(stream->ssl, (SSL_SESSION *)dial->session) == 1;
    }
    ERR_clear_error();
    if (!is_good) {
        fmx_tls_stream_close(stream);
        return NULL;
    }
    return stream;
}
