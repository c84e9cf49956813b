/*
 * tls_pki — certificates and keys for tests
 *
 * Threads:        one
 * Limits:         FILES_MAX files
 */
#include "tests/support/tls_pki.h"

#include "tests/support/temporary.h"

#include <fleetmux/private/assert.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX  128u
#define DAY_S      86400L
#define PATH_BYTES FMX_TEMPORARY_FILE_BYTES

static char folder[FMX_TEMPORARY_BYTES];
static char paths[FILES_MAX][PATH_BYTES];
static size_t paths_count;
static pid_t owner;

static void remove_all(void)
{
    if (owner != getpid()) {
        return;
    }
    for (size_t i = 0; i < paths_count; i++) {
        (void)unlink(paths[i]);
    }
    (void)rmdir(folder);
}

const char *tls_pki_path(const char *name)
{
    char path[PATH_BYTES];

    if (owner == 0) {
        fmx_temporary_path(folder, sizeof folder, "fmx-tls-XXXXXX");
        FMX_ASSERT(mkdtemp(folder) != NULL);
        owner = getpid();
        FMX_ASSERT(atexit(remove_all) == 0);
    }
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    FMX_ASSERT(length > 0 && (size_t)length < sizeof path);
    for (size_t i = 0; i < paths_count; i++) {
        if (strcmp(paths[i], path) == 0) {
            return paths[i];
        }
    }
    FMX_ASSERT(paths_count < FILES_MAX);
    memcpy(paths[paths_count], path, sizeof path);
    return paths[paths_count++];
}

const char *tls_pki_write_bytes(const char *name, fmx_slice bytes)
{
    const char *path = tls_pki_path(name);
    FILE *file = fopen(path, "wb");

    FMX_ASSERT(file != NULL);
    FMX_ASSERT(bytes.bytes == 0 || fwrite(bytes.data, 1, bytes.bytes, file) == bytes.bytes);
    FMX_ASSERT(fclose(file) == 0);
    return path;
}

const char *tls_pki_write(const char *name, const char *text)
{
    return tls_pki_write_bytes(name, fmx_slice_of(text));
}

const char *tls_pki_join(const char *name, ...)
{
    static char text[1 << 17];
    size_t used = 0;
    va_list names;

    va_start(names, name);
    for (const char *next = va_arg(names, const char *); next != NULL;
         next = va_arg(names, const char *)) {
        FILE *file = fopen(tls_pki_path(next), "rb");
        FMX_ASSERT(file != NULL);
        used += fread(text + used, 1, sizeof text - used, file);
        FMX_ASSERT(used < sizeof text && fclose(file) == 0);
    }
    va_end(names);
    return tls_pki_write_bytes(name, (fmx_slice){(const uint8_t *)text, used});
}

static BIO *open_file(const char *stem, const char *end, const char *mode)
{
    char name[128];

    (void)snprintf(name, sizeof name, "%s.%s", stem, end);
    BIO *file = BIO_new_file(tls_pki_path(name), mode);
    FMX_ASSERT(file != NULL);
    return file;
}

static EVP_PKEY *make_key(const struct tls_pki_request *request)
{
    EVP_PKEY *key = EVP_PKEY_new();

    FMX_ASSERT(key != NULL);
    if (request->rsa_bits == 0) {
        EC_KEY *ec =
            EC_KEY_new_by_curve_name(request->curve == 0 ? NID_X9_62_prime256v1 : request->curve);
        FMX_ASSERT(ec != NULL && EC_KEY_generate_key(ec) == 1);
        FMX_ASSERT(EVP_PKEY_assign_EC_KEY(key, ec) == 1);
        return key;
    }
    RSA *rsa = RSA_new();
    BIGNUM *exponent = BN_new();
    FMX_ASSERT(BN_set_word(exponent, RSA_F4) == 1);
    FMX_ASSERT(RSA_generate_key_ex(rsa, request->rsa_bits, exponent, NULL) == 1);
    BN_free(exponent);
    FMX_ASSERT(EVP_PKEY_assign_RSA(key, rsa) == 1);
    return key;
}

static void add_name(X509_NAME *subject, const char *kind, const char *text, size_t bytes)
{
    if (text != NULL) {
        FMX_ASSERT(X509_NAME_add_entry_by_txt(subject, kind, MBSTRING_UTF8, (const uint8_t *)text,
                                              bytes == 0 ? -1 : (int)bytes, -1, 0) == 1);
    }
}

static void add_extension(X509 *cert, int kind, const char *value)
{
    if (value == NULL) {
        return;
    }
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, NULL, kind, value);
    FMX_ASSERT(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void fill(X509 *cert, const struct tls_pki_request *request)
{
    static long serial = 1;
    X509_NAME *subject = X509_get_subject_name(cert);

    FMX_ASSERT(X509_set_version(cert, X509_VERSION_3) == 1);
    FMX_ASSERT(ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++) == 1);
    FMX_ASSERT(X509_gmtime_adj(X509_getm_notBefore(cert),
                               request->from_s == 0 ? -DAY_S : request->from_s) != NULL);
    FMX_ASSERT(X509_gmtime_adj(X509_getm_notAfter(cert),
                               request->until_s == 0 ? 365 * DAY_S : request->until_s) != NULL);
    add_name(subject, "O", request->organization, 0);
    add_name(subject, "CN", request->common_name, request->common_name_bytes);
    add_name(subject, "CN", request->second_common_name, 0);
    add_extension(cert, NID_basic_constraints,
                  request->is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(cert, NID_subject_alt_name, request->names);
    add_extension(cert, NID_key_usage, request->is_authority ? "keyCertSign" : request->usage);
    add_extension(cert, NID_ext_key_usage, request->extended);
}

static void sign(X509 *cert, EVP_PKEY *key, const char *issuer)
{
    EVP_PKEY *issuer_key = key;
    X509 *issuer_cert = cert;

    if (issuer != NULL) {
        BIO *file = open_file(issuer, "crt", "r");
        issuer_cert = PEM_read_bio_X509(file, NULL, NULL, NULL);
        BIO_free(file);
        file = open_file(issuer, "key", "r");
        issuer_key = PEM_read_bio_PrivateKey(file, NULL, NULL, NULL);
        BIO_free(file);
    }
    FMX_ASSERT(issuer_cert != NULL && issuer_key != NULL);
    FMX_ASSERT(X509_set_issuer_name(cert, X509_get_subject_name(issuer_cert)) == 1);
    FMX_ASSERT(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
    if (issuer != NULL) {
        X509_free(issuer_cert);
        EVP_PKEY_free(issuer_key);
    }
}

void tls_pki_make(const struct tls_pki_request *request)
{
    EVP_PKEY *key = make_key(request);
    X509 *cert = X509_new();

    FMX_ASSERT(cert != NULL);
    fill(cert, request);
    FMX_ASSERT(X509_set_pubkey(cert, key) == 1);
    sign(cert, key, request->issuer);
    BIO *file = open_file(request->stem, "crt", "w");
    FMX_ASSERT(PEM_write_bio_X509(file, cert) == 1);
    BIO_free(file);
    file = open_file(request->stem, "key", "w");
    FMX_ASSERT(PEM_write_bio_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    BIO_free(file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

void tls_pki_standard(void)
{
    const struct tls_pki_request requests[] = {
        {.stem = "ca", .is_authority = true, .common_name = "test authority"},
        {.stem = "other_ca", .is_authority = true, .common_name = "another authority"},
        {.stem = "server",
         .issuer = "ca",
         .common_name = "server",
         .names = "DNS:localhost,IP:127.0.0.1",
         .usage = "digitalSignature",
         .extended = "serverAuth"},
        {.stem = "server_rsa",
         .issuer = "ca",
         .rsa_bits = 2048,
         .common_name = "server",
         .names = "DNS:localhost,IP:127.0.0.1",
         .usage = "digitalSignature,keyEncipherment",
         .extended = "serverAuth"},
        {.stem = "client",
         .issuer = "ca",
         .common_name = "device1",
         .organization = "pk1",
         .usage = "digitalSignature",
         .extended = "clientAuth"},
        {.stem = "other",
         .issuer = "other_ca",
         .common_name = "device1",
         .names = "DNS:localhost",
         .usage = "digitalSignature"},
    };

    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        tls_pki_make(&requests[i]);
    }
}
