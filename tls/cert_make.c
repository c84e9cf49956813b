/*
 * cert_make — a key and an X.509 certificate for it, into two new files (RFC 5280)
 *
 * Why it is so:   what a fleet and a gateway need to speak TLS on a developer's machine, in a test,
 *                 or in a closed network with an authority of its own, without a shelf of options:
 *                 the extensions follow from what the certificate is for. Names are put together
 *                 field by field, never as text that is parsed again, so no name can smuggle in
 *                 another
 * Invariants:     (1) an RSA key of a server may encrypt too (keyEncipherment): static RSA needs it
 *                 (2) the key is written first: no certificate stands without its key
 *                 (3) nothing ends after its issuer
 * Memory:         owns nothing after a call; BoringSSL wipes what it frees
 * Threads:        pure but for the files
 * Limits:         64 names; 64 bytes of common name and of organization (RFC 5280, A.1)
 * Not here:       who signs: cert_issuer.c; how files come to be: file_new.c
 */
#include "tls/cert_issuer.h"
#include "tls/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define TEXT_BYTES_MAX 64u
#define NAMES_MAX      64u
#define DNS_BYTES_MAX  253u
#define LABEL_MAX      63u
#define DAYS_MAX       36500u
#define DAYS           825u
#define DAYS_AUTHORITY 3650u
#define DAY_S          86400
#define HOUR_S         3600
#define RSA_BITS       2048
#define SERIAL_BYTES   16u

/* One call. */
struct making {
    const struct fmx_cert_options *options;
    const struct fmx_cert_issuer *issuer; /* NULL: it signs itself */
    int64_t now_s;
    uint32_t days; /* 0: until the issuer's end */
    EVP_PKEY *key; /* the new one */
    X509 *x509;
    char *error;
    size_t error_bytes;
};

/* ── options ── */

static enum fmx_status no_memory(const struct making *making)
{
    return fmx_tls_no_memory(making->error, making->error_bytes);
}

/* 1 … 64 bytes without control characters; that they are UTF-8, BoringSSL says. */
static enum fmx_status check_text(const struct making *making, const char *field, const char *text)
{
    size_t bytes = strlen(text);

    if (bytes == 0 || bytes > TEXT_BYTES_MAX) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "%s: '%.80s' has %zu bytes; write 1 to %u", field, text, bytes,
                              TEXT_BYTES_MAX);
    }
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            return fmx_tls_refuse(making->error, making->error_bytes,
                                  "%s: byte %zu is a control character; write text", field,
                                  (size_t)(at - text) + 1);
        }
    }
    return FMX_OK;
}

/* Bytes of an address in network order: 4, 16; 0: it is none. */
static size_t read_address(const char *text, uint8_t out_address[16])
{
    if (inet_pton(AF_INET, text, out_address) == 1) {
        return 4;
    }
    return inet_pton(AF_INET6, text, out_address) == 1 ? 16 : 0;
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static bool is_label(const char *label, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (!is_label_char(label[i])) {
            return false;
        }
    }
    return bytes > 0 && bytes <= LABEL_MAX && label[0] != '-' && label[bytes - 1] != '-';
}

/* Labels with dots between; the first may be a star; the last is not a number (an address). */
static bool is_dns_name(const char *name)
{
    const char *label = strncmp(name, "*.", 2) == 0 ? name + 2 : name;

    if (strlen(name) > DNS_BYTES_MAX) {
        return false;
    }
    for (;;) {
        size_t bytes = strcspn(label, ".");
        if (!is_label(label, bytes)) {
            return false;
        }
        if (label[bytes] == '\0') {
            return strspn(label, "0123456789") < bytes;
        }
        label += bytes + 1;
    }
}

static enum fmx_status check_names(const struct making *making)
{
    const struct fmx_cert_options *options = making->options;
    bool is_server = !options->is_authority && !options->is_client;
    uint8_t address[16];

    if (!is_server && options->names_count > 0) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "names: only a server has names; leave them out");
    }
    if (is_server && options->names_count == 0) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "names: a server needs one, as clients look at nothing else; write a "
                              "DNS name or an IP address");
    }
    if (options->names_count > NAMES_MAX) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "names: there are %zu; write at most %u", options->names_count,
                              NAMES_MAX);
    }
    for (size_t i = 0; i < options->names_count; i++) {
        if (read_address(options->names[i], address) == 0 && !is_dns_name(options->names[i])) {
            return fmx_tls_refuse(making->error, making->error_bytes,
                                  "names: '%.255s' is neither a DNS name nor an IP address; write "
                                  "as in mqtt.example.com, *.example.com, 192.0.2.1 or 2001:db8::1",
                                  options->names[i]);
        }
    }
    return FMX_OK;
}

static enum fmx_status check_out(const struct making *making, const char *field, const char *path)
{
    if (path == NULL || path[0] == '\0') {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "%s is missing; write the name of a new file", field);
    }
    if (access(path, F_OK) == 0) {
        return fmx_tls_file_is_there(field, path, making->error, making->error_bytes);
    }
    return FMX_OK;
}

static enum fmx_status check_files(const struct making *making)
{
    const struct fmx_cert_options *options = making->options;
    enum fmx_status status = check_out(making, "out_cert", options->out_cert);

    if (status == FMX_OK) {
        status = check_out(making, "out_key", options->out_key);
    }
    if (status == FMX_OK && strcmp(options->out_cert, options->out_key) == 0) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "out_key: '%s' is the certificate's file too; name another",
                              options->out_key);
    }
    return status;
}

static enum fmx_status check_kind(const struct making *making)
{
    const struct fmx_cert_options *options = making->options;

    if (options->key != FMX_CERT_KEY_P256 && options->key != FMX_CERT_KEY_RSA2048) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "key: %d is no kind of key; write FMX_CERT_KEY_P256 or "
                              "FMX_CERT_KEY_RSA2048",
                              (int)options->key);
    }
    if (options->is_authority && options->is_client) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "is_client: an authority is not a client; leave one of both out");
    }
    if (options->days > DAYS_MAX) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "days: %" PRIu32 " is out of range; write 1 to %u", options->days,
                              DAYS_MAX);
    }
    if (options->issuer != NULL && (options->issuer_cert != NULL || options->issuer_key != NULL)) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "issuer: there are issuer_cert or issuer_key too; leave them out");
    }
    return FMX_OK;
}

static enum fmx_status check_options(const struct making *making)
{
    const struct fmx_cert_options *options = making->options;
    enum fmx_status status = check_kind(making);

    if (status == FMX_OK && options->common_name == NULL) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "common_name is missing; write whose certificate it is");
    }
    if (status == FMX_OK) {
        status = check_text(making, "common_name", options->common_name);
    }
    if (status == FMX_OK && options->organization != NULL) {
        status = check_text(making, "organization", options->organization);
    }
    if (status == FMX_OK) {
        status = check_names(making);
    }
    return status == FMX_OK ? check_files(making) : status;
}

/* Whether the issuer may sign this, and for how long. */
static enum fmx_status check_issuer(struct making *making)
{
    const struct fmx_cert_options *options = making->options;
    enum fmx_status status = fmx_cert_issuer_check_end(making->issuer, options->issuer_cert,
                                                       making->error, making->error_bytes);
    int64_t days_left = (making->issuer->ends_s - making->now_s) / DAY_S;

    if (status != FMX_OK) {
        return status;
    }
    if (options->is_authority && !making->issuer->may_sign_authorities) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "is_authority: the issuer may not sign authorities (its path length "
                              "is 0); name another issuer");
    }
    if (days_left >= (int64_t)making->days) {
        return FMX_OK;
    }
    if (options->days > 0) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "days: %" PRIu32 " is longer than the issuer is valid; write at most "
                              "%lld, or 0 for as long as it is",
                              options->days, (long long)days_left);
    }
    making->days = 0;
    return FMX_OK;
}

/* ── the certificate ── */

static EVP_PKEY *make_p256(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();

    if (ec == NULL || key == NULL || !EC_KEY_generate_key(ec) || !EVP_PKEY_set1_EC_KEY(key, ec)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EC_KEY_free(ec);
    return key;
}

static EVP_PKEY *make_rsa(void)
{
    RSA *rsa = RSA_new();
    BIGNUM *exponent = BN_new();
    EVP_PKEY *key = EVP_PKEY_new();

    if (rsa == NULL || exponent == NULL || key == NULL || !BN_set_word(exponent, RSA_F4) ||
        !RSA_generate_key_ex(rsa, RSA_BITS, exponent, NULL) || !EVP_PKEY_set1_RSA(key, rsa)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    BN_free(exponent);
    RSA_free(rsa);
    return key;
}

static bool set_serial(X509 *x509)
{
    uint8_t bytes[SERIAL_BYTES];
    BIGNUM *number = BN_new();

    RAND_bytes(bytes, sizeof(bytes));
    bytes[SERIAL_BYTES - 1] |= 1; /* not zero */
    bool is_good = number != NULL && BN_bin2bn(bytes, sizeof(bytes), number) != NULL &&
                   BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != NULL;
    BN_free(number);
    return is_good;
}

static bool set_times(const struct making *making)
{
    time_t now = (time_t)making->now_s;

    if (X509_time_adj_ex(X509_getm_notBefore(making->x509), 0, -HOUR_S, &now) == NULL) {
        return false;
    }
    if (making->days == 0) {
        return X509_set1_notAfter(making->x509, X509_get0_notAfter(making->issuer->x509));
    }
    return X509_time_adj_ex(X509_getm_notAfter(making->x509), (int)making->days, 0, &now) != NULL;
}

static bool add_name(X509_NAME *name, int nid, const char *text)
{
    return text == NULL ||
           X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const uint8_t *)text, -1, -1, 0);
}

static bool set_subject(const struct making *making)
{
    X509_NAME *name = X509_get_subject_name(making->x509);

    return add_name(name, NID_organizationName, making->options->organization) &&
           add_name(name, NID_commonName, making->options->common_name);
}

static bool set_issuer(const struct making *making)
{
    X509 *issuer = making->issuer != NULL ? making->issuer->x509 : making->x509;

    return X509_set_issuer_name(making->x509, X509_get_subject_name(issuer));
}

/* ── its extensions ── */

static bool add_constraints(const struct making *making)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    bool is_good = false;

    if (constraints != NULL) {
        constraints->ca = making->options->is_authority ? 0xff : 0;
        is_good = X509_add1_ext_i2d(making->x509, NID_basic_constraints, constraints, 1, 0) == 1;
    }
    BASIC_CONSTRAINTS_free(constraints);
    return is_good;
}

/* Bits of keyUsage as RFC 5280, 4.2.1.3 counts them. */
enum usage_bit { DIGITAL_SIGNATURE = 0, KEY_ENCIPHERMENT = 2, KEY_CERT_SIGN = 5, CRL_SIGN = 6 };

static bool add_usage(const struct making *making)
{
    const struct fmx_cert_options *options = making->options;
    bool may_encrypt = !options->is_client && options->key == FMX_CERT_KEY_RSA2048;
    ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    bool is_good = bits != NULL;

    if (is_good && options->is_authority) {
        is_good = ASN1_BIT_STRING_set_bit(bits, KEY_CERT_SIGN, 1) &&
                  ASN1_BIT_STRING_set_bit(bits, CRL_SIGN, 1);
    } else if (is_good) {
        is_good = ASN1_BIT_STRING_set_bit(bits, DIGITAL_SIGNATURE, 1) &&
                  (!may_encrypt || ASN1_BIT_STRING_set_bit(bits, KEY_ENCIPHERMENT, 1));
    }
    is_good = is_good && X509_add1_ext_i2d(making->x509, NID_key_usage, bits, 1, 0) == 1;
    ASN1_BIT_STRING_free(bits);
    return is_good;
}

static bool add_extended_usage(const struct making *making)
{
    int nid = making->options->is_client ? NID_client_auth : NID_server_auth;
    EXTENDED_KEY_USAGE *usage = EXTENDED_KEY_USAGE_new();
    bool is_good = usage != NULL && sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(nid)) &&
                   X509_add1_ext_i2d(making->x509, NID_ext_key_usage, usage, 0, 0) == 1;

    EXTENDED_KEY_USAGE_free(usage);
    return is_good;
}

/* The SHA-1 of the key, as RFC 5280, 4.2.1.2 (1) has it: a name for it, no protection. */
static bool add_key_id(const struct making *making)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned bytes = 0;
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    bool is_good = id != NULL &&
                   X509_pubkey_digest(making->x509, EVP_sha1(), digest, &bytes) == 1 &&
                   ASN1_OCTET_STRING_set(id, digest, (int)bytes) == 1 &&
                   X509_add1_ext_i2d(making->x509, NID_subject_key_identifier, id, 0, 0) == 1;

    ASN1_OCTET_STRING_free(id);
    return is_good;
}

/* An issuer without a name for its key is told by its subject alone. */
static bool add_issuer_key_id(const struct making *making)
{
    X509 *issuer = making->issuer != NULL ? making->issuer->x509 : making->x509;
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(issuer);
    AUTHORITY_KEYID *authority;

    if (making->issuer == NULL || id == NULL) {
        return true;
    }
    authority = AUTHORITY_KEYID_new();
    bool is_good =
        authority != NULL && (authority->keyid = ASN1_OCTET_STRING_dup(id)) != NULL &&
        X509_add1_ext_i2d(making->x509, NID_authority_key_identifier, authority, 0, 0) == 1;
    AUTHORITY_KEYID_free(authority);
    return is_good;
}

/* NULL: no memory. */
static GENERAL_NAME *make_name(const char *text)
{
    uint8_t address[16];
    size_t address_bytes = read_address(text, address);
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value =
        ASN1_STRING_type_new(address_bytes > 0 ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    bool is_set =
        value != NULL && (address_bytes > 0 ? ASN1_STRING_set(value, address, (int)address_bytes)
                                            : ASN1_STRING_set(value, text, -1));

    if (name == NULL || !is_set) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, address_bytes > 0 ? GEN_IPADD : GEN_DNS, value);
    return name;
}

static bool add_names(const struct making *making)
{
    const struct fmx_cert_options *options = making->options;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool is_good = names != NULL;

    for (size_t i = 0; i < options->names_count && is_good; i++) {
        GENERAL_NAME *name = make_name(options->names[i]);
        is_good = name != NULL && sk_GENERAL_NAME_push(names, name);
        if (!is_good) {
            GENERAL_NAME_free(name);
        }
    }
    is_good = is_good && X509_add1_ext_i2d(making->x509, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return is_good;
}

/*
 * Who is trusted as signing itself must be allowed to, or no key usage must say otherwise: so a
 * server or client that signs itself has none.
 */
static bool add_extensions(const struct making *making)
{
    const struct fmx_cert_options *options = making->options;

    return add_constraints(making) &&
           ((making->issuer == NULL && !options->is_authority) || add_usage(making)) &&
           (options->is_authority || add_extended_usage(making)) &&
           (options->names_count == 0 || add_names(making)) && add_key_id(making) &&
           add_issuer_key_id(making);
}

/* ── making and writing ── */

static enum fmx_status make(struct making *making)
{
    bool is_rsa = making->options->key == FMX_CERT_KEY_RSA2048;

    making->key = is_rsa ? make_rsa() : make_p256();
    making->x509 = X509_new();
    if (making->key == NULL || making->x509 == NULL) {
        return no_memory(making);
    }
    if (!set_subject(making)) {
        return fmx_tls_refuse(making->error, making->error_bytes,
                              "common_name or organization: is not UTF-8; write text in UTF-8");
    }
    EVP_PKEY *signer = making->issuer != NULL ? making->issuer->cert->key : making->key;
    bool is_good = X509_set_version(making->x509, X509_VERSION_3) && set_serial(making->x509) &&
                   set_times(making) && set_issuer(making) &&
                   X509_set_pubkey(making->x509, making->key) && add_extensions(making) &&
                   X509_sign(making->x509, signer, EVP_sha256()) > 0;
    return is_good ? FMX_OK : no_memory(making);
}

static enum fmx_status write_text(const struct making *making, BIO *text, bool is_key)
{
    const struct fmx_cert_options *options = making->options;
    fmx_slice content;

    if (!BIO_mem_contents(text, &content.data, &content.bytes)) {
        return no_memory(making);
    }
    return fmx_tls_file_make(is_key ? "out_key" : "out_cert",
                             is_key ? options->out_key : options->out_cert, content, is_key,
                             options->is_unsynced, making->error, making->error_bytes);
}

static bool print_cert(const struct making *making, BIO *out)
{
    const struct fmx_cert_issuer *issuer = making->issuer;

    return out != NULL && PEM_write_bio_X509(out, making->x509) &&
           (issuer == NULL || BIO_write_all(out, issuer->chain, issuer->chain_bytes));
}

static enum fmx_status write_both(const struct making *making)
{
    BIO *key = BIO_new(BIO_s_mem());
    BIO *cert = BIO_new(BIO_s_mem());
    enum fmx_status status = no_memory(making);

    if (key != NULL && PEM_write_bio_PKCS8PrivateKey(key, making->key, NULL, NULL, 0, NULL, NULL) &&
        print_cert(making, cert)) {
        status = write_text(making, key, true);
    }
    if (status == FMX_OK) {
        status = write_text(making, cert, false);
        if (status != FMX_OK) {
            int sys_errno = errno;
            unlink(making->options->out_key);
            errno = sys_errno;
        }
    }
    BIO_free(key);
    BIO_free(cert);
    return status;
}

void fmx_cert_options_init(struct fmx_cert_options *options)
{
    *options = (struct fmx_cert_options){.key = FMX_CERT_KEY_P256};
}

static enum fmx_status make_with_issuer(struct making *making)
{
    enum fmx_status status = making->issuer != NULL ? check_issuer(making) : FMX_OK;

    if (status == FMX_OK) {
        status = make(making);
    }
    if (status == FMX_OK) {
        status = write_both(making);
    }
    X509_free(making->x509);
    EVP_PKEY_free(making->key);
    ERR_clear_error();
    return status;
}

enum fmx_status fmx_cert_make(const struct fmx_cert_options *options, char *error,
                              size_t error_bytes)
{
    uint32_t days = options->is_authority ? DAYS_AUTHORITY : DAYS;
    struct making making = {.options = options,
                            .issuer = options->issuer,
                            .now_s = (int64_t)time(NULL),
                            .days = options->days > 0 ? options->days : days,
                            .error = error,
                            .error_bytes = error_bytes};
    struct fmx_cert_issuer *read = NULL;
    enum fmx_status status = check_options(&making);

    if (status == FMX_OK && (options->issuer_cert != NULL || options->issuer_key != NULL)) {
        status = fmx_cert_issuer_open(options->issuer_cert, options->issuer_key, &read, error,
                                      error_bytes);
        making.issuer = read;
    }
    if (status == FMX_OK) {
        status = make_with_issuer(&making);
    }
    int sys_errno = errno;
    fmx_cert_issuer_close(read);
    errno = sys_errno;
    return status;
}

enum fmx_status fmx_cert_rotate_tickets(const char *file, char *error, size_t error_bytes)
{
    time_t now = time(NULL);

    if (file == NULL || file[0] == '\0') {
        return fmx_tls_refuse(error, error_bytes, "file is missing; write the name of a file");
    }
    return fmx_tls_tickets_rotate(file, now > 0 ? (uint64_t)now : 0, error, error_bytes);
}
