/*
 * verify — is the peer's chain of certificates good, and who does a client's say it is?
 *
 * Why it is so:   the library keeps chains as bytes; they are parsed for as long as this takes
 *                 only, since parsed ones would be most of what an idle client costs
 * Words:          authorities — certificates that are trusted because they stand in a file
 *                 login — common name and organization of a client's certificate
 * Invariants:     nothing of a certificate is believed before the whole chain is good
 *                 a server is believed only if its certificate is for the name that was dialled
 * Memory:         a login is one block, owned by the stream
 * Threads:        any; the store of authorities locks itself
 * Limits:         client_chain_max certificates; names of 1 … FMX_TLS_LOGIN_BYTES_MAX bytes, each
 *                 once; no revocation lists
 */
#include "tls/internal.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/stack.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdlib.h>

#define SERVER_DEPTH_MAX 10
#define NAMES_MAX        32u /* more of them are not told to clients: they may send any */

/* ── authorities ── */

static bool add_name(X509 *x509, STACK_OF(CRYPTO_BUFFER) * names)
{
    uint8_t *der = NULL;
    int der_bytes = i2d_X509_NAME(X509_get_subject_name(x509), &der);

    if (der_bytes < 0) {
        return false;
    }
    CRYPTO_BUFFER *name = CRYPTO_BUFFER_new(der, (size_t)der_bytes, NULL);
    OPENSSL_free(der);
    if (name == NULL || sk_CRYPTO_BUFFER_push(names, name) == 0) {
        CRYPTO_BUFFER_free(name);
        return false;
    }
    return true;
}

static bool add_authority(X509 *x509, X509_STORE *store, STACK_OF(CRYPTO_BUFFER) * names,
                          SHA256_CTX *hash)
{
    uint8_t *der = NULL;
    int der_bytes = i2d_X509(x509, &der);

    if (der_bytes < 0) {
        return false;
    }
    SHA256_Update(hash, der, (size_t)der_bytes);
    OPENSSL_free(der);
    return X509_STORE_add_cert(store, x509) == 1 && (names == NULL || add_name(x509, names));
}

/* How many were added; -1: no memory. `out_is_damaged`: something after them does not parse. */
static long add_authorities(const struct fmx_tls_file *file, X509_STORE *store,
                            STACK_OF(CRYPTO_BUFFER) * names, SHA256_CTX *hash, bool *out_is_damaged)
{
    BIO *bio = BIO_new_mem_buf(file->text, (int)file->bytes);
    bool is_good = bio != NULL;
    long count = 0;
    X509 *x509 = NULL;

    while (is_good && (x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        is_good = add_authority(x509, store, names, hash);
        X509_free(x509);
        count++;
    }
    uint32_t why = ERR_peek_last_error();
    *out_is_damaged =
        is_good && !(ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE);
    ERR_clear_error();
    BIO_free(bio);
    return is_good ? count : -1;
}

static enum fmx_status fill(const char *field, const char *path, X509_STORE *store,
                            STACK_OF(CRYPTO_BUFFER) * names, uint8_t out_sha256[32], char *error,
                            size_t error_bytes)
{
    struct fmx_tls_file file;
    SHA256_CTX hash;
    bool is_damaged = false;
    enum fmx_status status = fmx_tls_file_read(field, path, &file, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    SHA256_Init(&hash);
    long count = add_authorities(&file, store, names, &hash, &is_damaged);
    SHA256_Final(out_sha256, &hash);
    fmx_tls_file_wipe(&file);
    if (count < 0) {
        return fmx_tls_no_memory(error, error_bytes);
    }
    if (is_damaged) {
        return fmx_tls_refuse(error, error_bytes, "%s: '%s' is damaged after certificate %ld",
                              field, path, count);
    }
    if (count == 0) {
        return fmx_tls_refuse(error, error_bytes,
                              "%s: '%s' holds no certificate: it must be PEM, beginning with "
                              "-----BEGIN CERTIFICATE-----",
                              field, path);
    }
    return FMX_OK;
}

static void free_names(STACK_OF(CRYPTO_BUFFER) * names)
{
    sk_CRYPTO_BUFFER_pop_free(names, CRYPTO_BUFFER_free);
}

enum fmx_status fmx_tls_authorities_read(const char *field, const char *path,
                                         X509_STORE **out_store,
                                         STACK_OF(CRYPTO_BUFFER) * *out_names,
                                         uint8_t out_sha256[32], char *error, size_t error_bytes)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(CRYPTO_BUFFER) *names = out_names == NULL ? NULL : sk_CRYPTO_BUFFER_new_null();
    enum fmx_status status = FMX_LIMIT_MEMORY;

    *out_store = NULL;
    if (store == NULL || (out_names != NULL && names == NULL)) {
        (void)fmx_tls_no_memory(error, error_bytes);
    } else {
        status = fill(field, path, store, names, out_sha256, error, error_bytes);
    }
    if (status != FMX_OK) {
        X509_STORE_free(store);
        free_names(names);
        return status;
    }
    *out_store = store;
    if (names != NULL && sk_CRYPTO_BUFFER_num(names) > NAMES_MAX) {
        free_names(names);
        names = sk_CRYPTO_BUFFER_new_null();
    }
    if (out_names != NULL) {
        *out_names = names;
    }
    return FMX_OK;
}

/* ── chains ── */

static void free_chain(STACK_OF(X509) * chain)
{
    sk_X509_pop_free(chain, X509_free);
}

static size_t bytes_of(const STACK_OF(CRYPTO_BUFFER) * shown)
{
    size_t bytes = 0;

    for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(shown); i++) {
        bytes += CRYPTO_BUFFER_len(sk_CRYPTO_BUFFER_value(shown, i));
    }
    return bytes;
}

/* What the peer has shown, parsed; NULL: it does not parse, or no memory. */
static STACK_OF(X509) * parse(const STACK_OF(CRYPTO_BUFFER) * shown)
{
    STACK_OF(X509) *chain = sk_X509_new_null();

    for (size_t i = 0; chain != NULL && i < sk_CRYPTO_BUFFER_num(shown); i++) {
        X509 *x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(shown, i));
        if (x509 == NULL || sk_X509_push(chain, x509) == 0) {
            X509_free(x509);
            free_chain(chain);
            return NULL;
        }
    }
    return chain;
}

static bool ask_for_name(X509_STORE_CTX *check, const char *name)
{
    X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(check);

    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (fmx_tls_is_address(name)) {
        return X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1;
    }
    return X509_VERIFY_PARAM_set1_host(parameters, name, strlen(name)) == 1;
}

/* X509_V_OK, or what is wrong. `name`: of a server; NULL: a client's chain. */
static int judge(X509_STORE *authorities, STACK_OF(X509) * chain, const char *name, int depth_max)
{
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    int verdict = X509_V_ERR_OUT_OF_MEM;

    if (check != NULL &&
        X509_STORE_CTX_init(check, authorities, sk_X509_value(chain, 0), chain) == 1 &&
        X509_STORE_CTX_set_default(check, name == NULL ? "ssl_client" : "ssl_server") == 1) {
        X509_VERIFY_PARAM_set_depth(X509_STORE_CTX_get0_param(check), depth_max);
        if (name != NULL && !ask_for_name(check, name)) {
            verdict = X509_V_ERR_HOSTNAME_MISMATCH;
        } else if (X509_verify_cert(check) == 1) {
            verdict = X509_V_OK;
        } else {
            verdict = X509_STORE_CTX_get_error(check);
            verdict = verdict == X509_V_OK ? X509_V_ERR_UNSPECIFIED : verdict;
        }
    }
    X509_STORE_CTX_free(check);
    ERR_clear_error();
    return verdict;
}

static enum ssl_verify_result_t refuse(struct fmx_tls_stream *stream, const char *fault,
                                       uint8_t alert, uint8_t *out_alert)
{
    stream->fault = fault;
    *out_alert = alert;
    ERR_clear_error();
    return ssl_verify_invalid;
}

static enum ssl_verify_result_t refuse_for(struct fmx_tls_stream *stream, int verdict,
                                           uint8_t *out_alert)
{
    return refuse(stream, X509_verify_cert_error_string(verdict),
                  (uint8_t)SSL_alert_from_verify_result(verdict), out_alert);
}

/* ── logins ── */

/* The only entry of this kind as UTF-8 into `text`. Its bytes; 0: none; -1: not a good one. */
static int text_of(X509 *x509, int kind, uint8_t text[FMX_TLS_LOGIN_BYTES_MAX])
{
    const X509_NAME *subject = X509_get_subject_name(x509);
    int at = X509_NAME_get_index_by_NID(subject, kind, -1);
    uint8_t *utf8 = NULL;

    if (at < 0) {
        return 0;
    }
    if (X509_NAME_get_index_by_NID(subject, kind, at) >= 0) {
        return -1;
    }
    int bytes =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool is_good = bytes > 0 && bytes <= (int)FMX_TLS_LOGIN_BYTES_MAX &&
                   memchr(utf8, '\0', (size_t)bytes) == NULL;
    if (is_good) {
        memcpy(text, utf8, (size_t)bytes);
    }
    OPENSSL_free(utf8);
    ERR_clear_error();
    return is_good ? bytes : -1;
}

/* Fills in the stream's login; returns what is wrong with the names, NULL: nothing. */
static const char *take_login(struct fmx_tls_stream *stream, X509 *leaf, bool must_name)
{
    uint8_t name[FMX_TLS_LOGIN_BYTES_MAX];
    uint8_t organization[FMX_TLS_LOGIN_BYTES_MAX];
    int name_bytes = text_of(leaf, NID_commonName, name);
    int organization_bytes = text_of(leaf, NID_organizationName, organization);

    if (must_name && name_bytes <= 0) {
        return "the certificate's common name is missing, there twice, too long or no text";
    }
    if (must_name && organization_bytes < 0) {
        return "the certificate's organization is there twice, too long or no text";
    }
    name_bytes = name_bytes < 0 ? 0 : name_bytes;
    organization_bytes = organization_bytes < 0 ? 0 : organization_bytes;
    struct fmx_tls_login *login =
        malloc(sizeof *login + (size_t)name_bytes + (size_t)organization_bytes);
    if (login == NULL) {
        return "memory ran out";
    }
    login->name_bytes = (uint8_t)name_bytes;
    login->organization_bytes = (uint8_t)organization_bytes;
    memcpy(login->text, name, (size_t)name_bytes);
    memcpy(login->text + name_bytes, organization, (size_t)organization_bytes);
    free(stream->login);
    stream->login = login;
    return NULL;
}

enum ssl_verify_result_t fmx_tls_verify_client(SSL *ssl, uint8_t *out_alert)
{
    struct fmx_tls_stream *stream = fmx_tls_stream_of(ssl);
    const struct fmx_tls_context *context = stream->context;
    const STACK_OF(CRYPTO_BUFFER) *shown = SSL_get0_peer_certificates(ssl);

    if (shown == NULL || sk_CRYPTO_BUFFER_num(shown) == 0) {
        return refuse(stream, "the client has shown no certificate", SSL_AD_CERTIFICATE_REQUIRED,
                      out_alert);
    }
    if (sk_CRYPTO_BUFFER_num(shown) > context->client_chain_max) {
        return refuse(stream, "the client's chain has more certificates than client_chain_max",
                      SSL_AD_BAD_CERTIFICATE, out_alert);
    }
    if (bytes_of(shown) > context->client_chain_bytes_max) {
        return refuse(stream, "the client's chain has more bytes than client_chain_bytes_max",
                      SSL_AD_BAD_CERTIFICATE, out_alert);
    }
    STACK_OF(X509) *chain = parse(shown);
    if (chain == NULL) {
        return refuse(stream, "the client's certificate does not parse", SSL_AD_BAD_CERTIFICATE,
                      out_alert);
    }
    int verdict = judge(context->authorities, chain, NULL, (int)context->client_chain_max);
    const char *fault = verdict == X509_V_OK ? take_login(stream, sk_X509_value(chain, 0),
                                                          context->client_cert_is_login)
                                             : NULL;
    free_chain(chain);
    if (verdict != X509_V_OK) {
        return refuse_for(stream, verdict, out_alert);
    }
    return fault == NULL ? ssl_verify_ok : refuse(stream, fault, SSL_AD_BAD_CERTIFICATE, out_alert);
}

enum ssl_verify_result_t fmx_tls_verify_server(SSL *ssl, uint8_t *out_alert)
{
    struct fmx_tls_stream *stream = fmx_tls_stream_of(ssl);
    const struct fmx_tls_context *context = stream->context;
    const STACK_OF(CRYPTO_BUFFER) *shown = SSL_get0_peer_certificates(ssl);

    if (context->is_insecure) {
        return ssl_verify_ok;
    }
    if (stream->dialled->server_name[0] == '\0') {
        return refuse(stream, "there is no server name to check the certificate for",
                      SSL_AD_BAD_CERTIFICATE, out_alert);
    }
    STACK_OF(X509) *chain = shown == NULL ? NULL : parse(shown);
    if (chain == NULL || sk_X509_num(chain) == 0) {
        free_chain(chain);
        return refuse(stream, "the server's certificate does not parse", SSL_AD_BAD_CERTIFICATE,
                      out_alert);
    }
    int verdict =
        judge(context->authorities, chain, stream->dialled->server_name, SERVER_DEPTH_MAX);
    free_chain(chain);
    return verdict == X509_V_OK ? ssl_verify_ok : refuse_for(stream, verdict, out_alert);
}
