/*
 * cert_issuer — an authority that signs: its certificate, its key, and what follows its signatures
 *
 * Why it is so:   a fleet has a certificate for each device, and to read the authority anew for
 *                 each would take as long as to sign. What is checked does not change: only whether
 *                 it has ended is looked at again
 * Invariants:     (1) the certificate may sign, by its constraints and its key usage, and the key
 *                 is its key
 *                 (2) nothing here changes after opening, so any number of threads may sign
 * Memory:         owns certificate, key and text
 * Threads:        see (2)
 * Not here:       reading the files: cert_read.c
 */
#include "tls/cert_issuer.h"

#include "tls/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define DAY_S 86400

/* Where words go, and what they are about. */
struct words {
    const char *path;
    char *error;
    size_t error_bytes;
};

static enum fmx_status refuse(const struct words *words, const char *what)
{
    return fmx_tls_refuse(words->error, words->error_bytes,
                          "issuer_cert: '%s' %s; name the certificate of an authority", words->path,
                          what);
}

/* Seconds from now to `then`; negative: it has passed. */
static bool seconds_until(const ASN1_TIME *then, int64_t *out_seconds)
{
    int days, seconds;

    if (!ASN1_TIME_diff(&days, &seconds, NULL, then)) {
        return false;
    }
    *out_seconds = (int64_t)days * DAY_S + seconds;
    return true;
}

static enum fmx_status check(struct fmx_cert_issuer *issuer, const struct words *words)
{
    int64_t begins_in_s, ends_in_s;

    if (!X509_check_ca(issuer->x509)) { /* by constraints and key usage */
        return refuse(words, "may not sign certificates");
    }
    if (!seconds_until(X509_get0_notBefore(issuer->x509), &begins_in_s) ||
        !seconds_until(X509_get0_notAfter(issuer->x509), &ends_in_s)) {
        return refuse(words, "has a damaged time");
    }
    if (begins_in_s > 0) {
        return refuse(words, "is not valid yet");
    }
    issuer->ends_s = (int64_t)time(NULL) + ends_in_s;
    issuer->may_sign_authorities = X509_get_pathlen(issuer->x509) != 0;
    return FMX_OK;
}

static bool signs_itself(X509 *x509)
{
    return X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509)) == 0;
}

/* Writes the certificates of the chain that a peer cannot have: all but one that signs itself. */
static bool write_chain(const struct fmx_tls_cert *cert, BIO *out)
{
    bool is_good = true;

    for (size_t i = 0; i < cert->chain_count && is_good; i++) {
        X509 *x509 = X509_parse_from_buffer(cert->chain[i]);
        is_good = x509 != NULL && (signs_itself(x509) || PEM_write_bio_X509(out, x509));
        X509_free(x509);
    }
    return is_good;
}

static bool keep_chain(struct fmx_cert_issuer *issuer)
{
    BIO *out = BIO_new(BIO_s_mem());
    const uint8_t *text = NULL;
    size_t bytes = 0;

    if (out == NULL || !write_chain(issuer->cert, out) || !BIO_mem_contents(out, &text, &bytes)) {
        BIO_free(out);
        return false;
    }
    issuer->chain = malloc(bytes + 1);
    if (issuer->chain != NULL && bytes > 0) {
        memcpy(issuer->chain, text, bytes);
        issuer->chain_bytes = bytes;
    }
    BIO_free(out);
    return issuer->chain != NULL;
}

static enum fmx_status read_issuer(struct fmx_cert_issuer *issuer, const char *cert,
                                   const char *key, const struct words *words)
{
    enum fmx_status status = fmx_tls_cert_read_named(
        "issuer_cert", cert, "issuer_key", key, &issuer->cert, words->error, words->error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    issuer->x509 = X509_parse_from_buffer(issuer->cert->chain[0]);
    if (issuer->x509 == NULL || !keep_chain(issuer)) {
        return fmx_tls_no_memory(words->error, words->error_bytes);
    }
    return check(issuer, words);
}

enum fmx_status fmx_cert_issuer_open(const char *issuer_cert, const char *issuer_key,
                                     struct fmx_cert_issuer **out_issuer, char *error,
                                     size_t error_bytes)
{
    const struct words words = {.path = issuer_cert, .error = error, .error_bytes = error_bytes};

    *out_issuer = NULL;
    if (issuer_cert == NULL || issuer_key == NULL) {
        return fmx_tls_refuse(error, error_bytes,
                              "%s is missing: to sign, an issuer needs its certificate and its key",
                              issuer_cert == NULL ? "issuer_cert" : "issuer_key");
    }
    struct fmx_cert_issuer *issuer = calloc(1, sizeof(*issuer));
    if (issuer == NULL) {
        return fmx_tls_no_memory(error, error_bytes);
    }
    enum fmx_status status = read_issuer(issuer, issuer_cert, issuer_key, &words);
    if (status == FMX_OK) {
        status = fmx_cert_issuer_check_end(issuer, issuer_cert, error, error_bytes);
    }
    if (status != FMX_OK) {
        fmx_cert_issuer_close(issuer);
        return status;
    }
    *out_issuer = issuer;
    return FMX_OK;
}

enum fmx_status fmx_cert_issuer_check_end(const struct fmx_cert_issuer *issuer, const char *path,
                                          char *error, size_t error_bytes)
{
    int64_t since_s = (int64_t)time(NULL) - issuer->ends_s;

    if (since_s <= 0) {
        return FMX_OK;
    }
    return fmx_tls_refuse(error, error_bytes,
                          "issuer_cert: '%s' has expired %lld days ago; make a new authority",
                          path != NULL ? path : "it", (long long)(since_s / DAY_S));
}

void fmx_cert_issuer_close(struct fmx_cert_issuer *issuer)
{
    if (issuer != NULL) {
        fmx_tls_cert_drop(issuer->cert);
        X509_free(issuer->x509);
        free(issuer->chain);
        free(issuer);
    }
}
