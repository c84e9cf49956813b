/*
 * tls_pure — certificates, flights, and the client that both sides are measured with
 *
 * Why it is so:   the client is BoringSSL directly, one for both, so that what differs is the
 *                 server. Certificates are made for each run, as `fleetmux cert dev` makes them.
 * Memory:         one context; an SSL for each connection
 * Threads:        one
 */
#include "bench/tls_pure.h"

#include <fleetmux/cert.h>

#include <openssl/err.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void pure_expect(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "bench: cannot measure: %s: %s\n", what, tls_bytes_reason());
        exit(2);
    }
}

/* ---- certificates ---------------------------------------------------------------------------- */

static void make(const struct pure_certs *certs, struct fmx_cert_options *options, const char *file,
                 const char *name, struct pure_files *out_files)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    char error[512] = "";
    options->common_name = name;
    snprintf(out_files->cert, sizeof out_files->cert, "%s/%s.crt", certs->folder, file);
    snprintf(out_files->key, sizeof out_files->key, "%s/%s.key", certs->folder, file);
    options->out_cert = out_files->cert;
    options->out_key = out_files->key;
    if (!options->is_authority && !options->is_client) {
        options->names = names;
        options->names_count = 2;
    }
    enum fmx_status status = fmx_cert_make(options, error, sizeof error);
    pure_expect(status == FMX_OK, error);
}

void pure_certs_make(struct pure_certs *certs)
{
    struct fmx_cert_options options;
    fmx_temporary_path(certs->folder, sizeof certs->folder, "bench-tls-XXXXXX");
    pure_expect(mkdtemp(certs->folder) != NULL, "a folder for files");
    fmx_cert_options_init(&options);
    options.is_authority = true;
    make(certs, &options, "ca", "bench authority", &certs->ca);

    fmx_cert_options_init(&options);
    options.issuer_cert = certs->ca.cert;
    options.issuer_key = certs->ca.key;
    make(certs, &options, "server", "localhost", &certs->server);
    options.key = FMX_CERT_KEY_RSA2048;
    make(certs, &options, "rsa", "localhost", &certs->rsa);

    fmx_cert_options_init(&options);
    options.issuer_cert = certs->ca.cert;
    options.issuer_key = certs->ca.key;
    options.is_client = true;
    make(certs, &options, "client", "device-0000042", &certs->client);
}

void pure_certs_remove(const struct pure_certs *certs)
{
    const struct pure_files *const all[] = {&certs->ca, &certs->server, &certs->rsa,
                                            &certs->client};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        (void)unlink(all[i]->cert);
        (void)unlink(all[i]->key);
    }
    (void)rmdir(certs->folder);
}

void pure_psk_key(uint8_t out_key[PURE_KEY_BYTES])
{
    for (uint8_t i = 0; i < PURE_KEY_BYTES; i++) {
        out_key[i] = (uint8_t)(i * 7 + 1);
    }
}

/* ---- flights --------------------------------------------------------------------------------- */

void pure_flight_add(struct pure_flight *flight, const void *bytes, size_t size)
{
    if (flight->size + size > flight->capacity) {
        flight->capacity = 2 * (flight->size + size);
        flight->at = realloc(flight->at, flight->capacity);
        pure_expect(flight->at != NULL, "memory");
    }
    memcpy(flight->at + flight->size, bytes, size);
    flight->size += size;
}

/* ---- the client ------------------------------------------------------------------------------ */

static unsigned on_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_room,
                       uint8_t *key, unsigned key_room)
{
    (void)ssl;
    (void)hint;
    if (identity_room < sizeof PURE_IDENTITY || key_room < PURE_KEY_BYTES) {
        return 0;
    }
    memcpy(identity, PURE_IDENTITY, sizeof PURE_IDENTITY);
    pure_psk_key(key);
    return PURE_KEY_BYTES;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct pure_client *client = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (!client->kind->resumed || client->session) {
        return 0;
    }
    client->session = session;
    return 1;
}

void pure_client_open(struct pure_client *client, const struct pure_kind *kind,
                      const struct pure_certs *certs)
{
    *client = (struct pure_client){.kind = kind};
    pure_expect(tls_bytes_open(&client->bytes), "memory");
    SSL_CTX *context = client->context = SSL_CTX_new(TLS_method());
    pure_expect(context && SSL_CTX_set_min_proto_version(context, kind->version) == 1 &&
                    SSL_CTX_set_max_proto_version(context, kind->version) == 1,
                "the client's context");
    pure_expect(!kind->suite || SSL_CTX_set_cipher_list(context, kind->suite) == 1, "the suite");
    if (kind->key == PURE_RSA) {
        pure_expect(SSL_CTX_set1_sigalgs_list(context, "RSA-PSS+SHA256:RSA+SHA256") == 1,
                    "signatures with RSA");
    }
    if (kind->mutual) {
        pure_expect(SSL_CTX_use_certificate_chain_file(context, certs->client.cert) == 1 &&
                        SSL_CTX_use_PrivateKey_file(context, certs->client.key, SSL_FILETYPE_PEM) ==
                            1,
                    "the client's certificate");
    }
    if (kind->psk) {
        SSL_CTX_set_psk_client_callback(context, on_psk);
    }
    SSL_CTX_set_app_data(context, client);
    SSL_CTX_set_quiet_shutdown(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
}

void pure_client_close(struct pure_client *client)
{
    SSL_SESSION_free(client->session);
    SSL_CTX_free(client->context);
    tls_bytes_close(&client->bytes);
}

static bool shake(struct pure_client *client, SSL *ssl, struct pure_flight *out)
{
    int result = SSL_do_handshake(ssl);
    pure_expect(result == 1 || SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ,
                "the client's handshake");
    ERR_clear_error();
    pure_flight_add(out, client->bytes.out, client->bytes.out_size);
    client->bytes.out_size = 0;
    return result == 1;
}

SSL *pure_client_begin(struct pure_client *client, struct pure_flight *out)
{
    SSL *ssl = tls_bytes_connection(&client->bytes, client->context);
    pure_expect(ssl && (!client->session || SSL_set_session(ssl, client->session) == 1), "memory");
    SSL_set_connect_state(ssl);
    client->bytes.in_size = 0;
    (void)shake(client, ssl, out);
    return ssl;
}

bool pure_client_step(struct pure_client *client, SSL *ssl, const struct pure_flight *in,
                      struct pure_flight *out)
{
    client->bytes.in = in->at;
    client->bytes.in_size = in->size;
    return shake(client, ssl, out);
}

bool pure_client_got(const struct pure_client *client, SSL *ssl, bool resumed)
{
    const struct pure_kind *kind = client->kind;
    EVP_PKEY *key = NULL;
    X509 *cert = SSL_get_peer_certificate(ssl);
    if (cert) {
        key = X509_get_pubkey(cert);
    }
    int type = key ? EVP_PKEY_id(key) : EVP_PKEY_NONE;
    EVP_PKEY_free(key);
    X509_free(cert);
    int wanted = kind->key == PURE_P256  ? EVP_PKEY_EC
                 : kind->key == PURE_RSA ? EVP_PKEY_RSA
                                         : EVP_PKEY_NONE;
    return SSL_version(ssl) == kind->version && SSL_session_reused(ssl) == resumed &&
           type == wanted &&
           (!kind->suite ||
            strcmp(SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)), kind->suite) == 0);
}
