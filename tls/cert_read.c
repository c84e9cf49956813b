/*
 * cert_read — a chain of certificates and its key, from two files of PEM
 *
 * Why it is so:   chains are held as bytes (CRYPTO_BUFFER), not as parsed X509s, which are several
 *                 times as large; and in one pool, so that a chain that 20,000 streams see, or an
 *                 authority that 20,000 certificates carry, is there once
 * Words:          leaf — the certificate of the key, first in its chain
 * Invariants:     the key belongs to the leaf
 * Memory:         reference counted; the pool lives as long as the process
 * Threads:        any; references are atomic (released before the last one is acquired)
 * Limits:         FMX_TLS_CHAIN_MAX certificates; ECDSA on P-256, P-384, P-521, RSA from 2,048
 *                 bits
 * Not here:       whom we trust: see verify.c
 */
#include "tls/internal.h"

#include <fleetmux/private/assert.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <pthread.h>

#define RSA_BITS_MIN 2048u

static pthread_once_t pool_once = PTHREAD_ONCE_INIT;
static CRYPTO_BUFFER_POOL *pool;

static void make_pool(void)
{
    pool = CRYPTO_BUFFER_POOL_new();
}

CRYPTO_BUFFER_POOL *fmx_tls_pool(void)
{
    (void)pthread_once(&pool_once, make_pool);
    return pool;
}

static bool is_certificate(const char *name)
{
    return strcmp(name, "CERTIFICATE") == 0 || strcmp(name, "X509 CERTIFICATE") == 0;
}

static bool is_x509(const uint8_t *der, long der_bytes)
{
    const uint8_t *at = der;
    X509 *x509 = d2i_X509(NULL, &at, der_bytes);

    X509_free(x509);
    return x509 != NULL && at == der + der_bytes;
}

/* One block of PEM into the chain. False: the file is not good, and `error` says why. */
static bool take_block(struct fmx_tls_cert *cert, const char *field, const char *path,
                       const char *name, const uint8_t *der, long der_bytes, char *error,
                       size_t error_bytes)
{
    if (!is_certificate(name)) {
        return true; /* a key in the same file, parameters of a curve */
    }
    if (cert->chain_count == FMX_TLS_CHAIN_MAX) {
        (void)fmx_tls_refuse(error, error_bytes, "%s: '%s' has more than %u certificates", field,
                             path, FMX_TLS_CHAIN_MAX);
        return false;
    }
    if (!is_x509(der, der_bytes)) {
        (void)fmx_tls_refuse(error, error_bytes, "%s: certificate %zu in '%s' is damaged", field,
                             cert->chain_count + 1, path);
        return false;
    }
    cert->chain[cert->chain_count] = CRYPTO_BUFFER_new(der, (size_t)der_bytes, fmx_tls_pool());
    if (cert->chain[cert->chain_count] == NULL) {
        (void)fmx_tls_no_memory(error, error_bytes);
        return false;
    }
    cert->chain_count++;
    return true;
}

static enum fmx_status read_chain(struct fmx_tls_cert *cert, const char *field, const char *path,
                                  const struct fmx_tls_file *file, char *error, size_t error_bytes)
{
    BIO *bio = BIO_new_mem_buf(file->text, (int)file->bytes);
    bool is_good = bio != NULL;
    char *name = NULL;
    char *header = NULL;
    uint8_t *der = NULL;
    long der_bytes = 0;

    if (bio == NULL) {
        return fmx_tls_no_memory(error, error_bytes);
    }
    error[0] = '\0';
    while (is_good && PEM_read_bio(bio, &name, &header, &der, &der_bytes) == 1) {
        is_good = take_block(cert, field, path, name, der, der_bytes, error, error_bytes);
        OPENSSL_cleanse(der, (size_t)der_bytes); /* it may have been a key */
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    uint32_t why = ERR_peek_last_error();
    ERR_clear_error();
    BIO_free(bio);
    if (!is_good) {
        return FMX_E_OPTION;
    }
    if (ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) != PEM_R_NO_START_LINE) {
        return fmx_tls_refuse(error, error_bytes, "%s: '%s' is damaged after certificate %zu",
                              field, path, cert->chain_count);
    }
    if (cert->chain_count == 0) {
        return fmx_tls_refuse(error, error_bytes,
                              "%s: '%s' holds no certificate: it must be PEM, beginning with "
                              "-----BEGIN CERTIFICATE-----",
                              field, path);
    }
    return FMX_OK;
}

/* No passphrases: nobody is there to ask. */
static int no_passphrase(char *buffer, int size, int writing, void *user)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

static enum fmx_status read_key(struct fmx_tls_cert *cert, const char *field, const char *path,
                                char *error, size_t error_bytes)
{
    struct fmx_tls_file file;
    enum fmx_status status = fmx_tls_file_read(field, path, &file, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    bool is_encrypted = strstr(file.text, "ENCRYPTED") != NULL;
    BIO *bio = BIO_new_mem_buf(file.text, (int)file.bytes);
    if (bio != NULL) {
        cert->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    }
    BIO_free(bio);
    ERR_clear_error();
    fmx_tls_file_wipe(&file);
    if (cert->key != NULL) {
        return FMX_OK;
    }
    if (is_encrypted) {
        return fmx_tls_refuse(error, error_bytes,
                              "%s: the key in '%s' is encrypted: take the passphrase off, and let "
                              "only its owner read the file",
                              field, path);
    }
    return fmx_tls_refuse(
        error, error_bytes,
        "%s: '%s' holds no key: it must be PEM, beginning with -----BEGIN PRIVATE "
        "KEY----- or the like",
        field, path);
}

/* What the key can do; refuses those that no peer takes. */
static enum fmx_status judge_key(struct fmx_tls_cert *cert, const char *field, const char *path,
                                 char *error, size_t error_bytes)
{
    int kind = EVP_PKEY_id(cert->key);

    if (kind == EVP_PKEY_RSA) {
        cert->kind = FMX_TLS_KEY_RSA;
        if (EVP_PKEY_bits(cert->key) < (int)RSA_BITS_MIN) {
            return fmx_tls_refuse(error, error_bytes,
                                  "%s: the RSA key in '%s' has %d bits: it needs %u or more", field,
                                  path, EVP_PKEY_bits(cert->key), RSA_BITS_MIN);
        }
        return FMX_OK;
    }
    cert->kind = FMX_TLS_KEY_ECDSA;
    if (kind == EVP_PKEY_EC) {
        const EC_GROUP *group = EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(cert->key));
        switch (EC_GROUP_get_curve_name(group)) {
        case NID_X9_62_prime256v1:
            cert->signature = SSL_SIGN_ECDSA_SECP256R1_SHA256;
            return FMX_OK;
        case NID_secp384r1:
            cert->signature = SSL_SIGN_ECDSA_SECP384R1_SHA384;
            return FMX_OK;
        case NID_secp521r1:
            cert->signature = SSL_SIGN_ECDSA_SECP521R1_SHA512;
            return FMX_OK;
        default:
            break;
        }
    }
    return fmx_tls_refuse(error, error_bytes,
                          "%s: the key in '%s' is neither ECDSA (P-256, P-384, P-521) nor RSA",
                          field, path);
}

/* Does the key belong to the leaf, and what may it be used for? */
static enum fmx_status join(struct fmx_tls_cert *cert, const char *cert_field,
                            const char *cert_path, const char *key_field, const char *key_path,
                            char *error, size_t error_bytes)
{
    X509 *leaf = X509_parse_from_buffer(cert->chain[0]);
    EVP_PKEY *public_key = leaf == NULL ? NULL : X509_get_pubkey(leaf);
    bool is_readable = public_key != NULL;
    bool is_pair = is_readable && EVP_PKEY_cmp(public_key, cert->key) == 1;

    if (leaf != NULL) {
        cert->can_decrypt = (X509_get_key_usage(leaf) & X509v3_KU_KEY_ENCIPHERMENT) != 0;
    }
    EVP_PKEY_free(public_key);
    X509_free(leaf);
    ERR_clear_error();
    if (!is_readable) {
        return fmx_tls_refuse(error, error_bytes,
                              "%s: the first certificate in '%s' has a key of an unknown kind: use "
                              "ECDSA P-256 or RSA",
                              cert_field, cert_path);
    }
    if (!is_pair) {
        return fmx_tls_refuse(
            error, error_bytes,
            "%s: the key in '%s' is not that of the first certificate in '%s' (%s)", key_field,
            key_path, cert_path, cert_field);
    }
    return FMX_OK;
}

static enum fmx_status read_both(struct fmx_tls_cert *cert, const char *cert_field,
                                 const char *cert_path, const char *key_field, const char *key_path,
                                 char *error, size_t error_bytes)
{
    struct fmx_tls_file file;
    enum fmx_status status = fmx_tls_file_read(cert_field, cert_path, &file, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    status = read_chain(cert, cert_field, cert_path, &file, error, error_bytes);
    fmx_tls_file_wipe(&file);
    if (status == FMX_OK) {
        status = read_key(cert, key_field, key_path, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = judge_key(cert, key_field, key_path, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = join(cert, cert_field, cert_path, key_field, key_path, error, error_bytes);
    }
    return status;
}

enum fmx_status fmx_tls_cert_read_named(const char *cert_field, const char *cert,
                                        const char *key_field, const char *key,
                                        struct fmx_tls_cert **out_cert, char *error,
                                        size_t error_bytes)
{
    *out_cert = NULL;
    if (cert == NULL) {
        return fmx_tls_refuse(error, error_bytes, "%s is missing: %s is its key", cert_field,
                              key_field);
    }
    if (key == NULL) {
        return fmx_tls_refuse(error, error_bytes, "%s is missing: %s needs its key", key_field,
                              cert_field);
    }
    struct fmx_tls_cert *made = OPENSSL_malloc(sizeof *made);
    if (made == NULL || fmx_tls_pool() == NULL) {
        OPENSSL_free(made);
        return fmx_tls_no_memory(error, error_bytes);
    }
    memset(made, 0, sizeof *made);
    atomic_init(&made->references, 1);
    enum fmx_status status = read_both(made, cert_field, cert, key_field, key, error, error_bytes);
    if (status != FMX_OK) {
        int number = errno;
        fmx_tls_cert_drop(made);
        errno = number;
        return status;
    }
    *out_cert = made;
    return FMX_OK;
}

enum fmx_status fmx_tls_cert_read(const char *cert, const char *key, struct fmx_tls_cert **out_cert,
                                  char *error, size_t error_bytes)
{
    return fmx_tls_cert_read_named("cert", cert, "key", key, out_cert, error, error_bytes);
}

struct fmx_tls_cert *fmx_tls_cert_hold(struct fmx_tls_cert *cert)
{
    (void)atomic_fetch_add_explicit(&cert->references, 1, memory_order_relaxed);
    return cert;
}

void fmx_tls_cert_drop(struct fmx_tls_cert *cert)
{
    if (cert == NULL ||
        atomic_fetch_sub_explicit(&cert->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < cert->chain_count; i++) {
        CRYPTO_BUFFER_free(cert->chain[i]);
    }
    EVP_PKEY_free(cert->key);
    OPENSSL_free(cert);
}
