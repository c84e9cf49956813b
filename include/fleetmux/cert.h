/*
 * cert.h — certificates for development: an authority of one's own, servers and devices
 *
 * What `fleetmux cert` calls. Files are PEM; keys are PKCS#8, unencrypted, and only their owner may
 * read them. Signatures are ECDSA or RSA with SHA-256, as the issuer's key is.
 */
#ifndef FLEETMUX_CERT_H
#define FLEETMUX_CERT_H

#include <fleetmux/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FMX_CERT_ERROR_BYTES 512

/* An authority, read once to sign many. Any number of threads may use it at once. */
struct fmx_cert_issuer;

/*
 * FMX_OK; FMX_E_OPTION (what is in the files cannot sign, or they do not belong together),
 * FMX_SYS_FILE (errno set), FMX_LIMIT_MEMORY, with words in `error` that name field, file and fix.
 */
FMX_API enum fmx_status fmx_cert_issuer_open(const char *issuer_cert, const char *issuer_key,
                                             struct fmx_cert_issuer **out_issuer, char *error,
                                             size_t error_bytes) FMX_MUST_USE;
FMX_API void fmx_cert_issuer_close(struct fmx_cert_issuer *issuer); /* NULL is harmless */

enum fmx_cert_key {
    FMX_CERT_KEY_P256 = 0,
    FMX_CERT_KEY_RSA2048,
};

struct fmx_cert_options {
    enum fmx_cert_key key; /* FMX_CERT_KEY_P256 */
    bool is_authority;
    bool is_client;           /* for clients; else for servers */
    const char *common_name;  /* 1 … 64 bytes */
    const char *organization; /* NULL: none; else 1 … 64 bytes */
    const char *const *names; /* of a server: DNS names and IP addresses, each as text */
    size_t names_count;       /* 1 … 64; of others 0 */
    uint32_t days; /* 1 … 36,500, and not beyond the issuer's end; 0: 825, of an authority
                                 3,650, or if that is sooner, until the issuer's end */
    const char *issuer_cert; /* NULL, and no `issuer`: it signs itself */
    const char *issuer_key;
    const struct fmx_cert_issuer *issuer; /* instead of both */
    const char *out_cert; /* files to write, neither of which may be there yet: the certificate, and
                             after it its issuers but for the one that signs itself */
    const char *out_key;
    bool is_unsynced; /* do not wait for the disk: for many; sync the file system afterwards */
};

FMX_API void fmx_cert_options_init(struct fmx_cert_options *options);

/*
 * Makes a key and a certificate for it, valid from an hour ago on. Both files are there as a whole,
 * or neither; should the process be killed between them, the key alone. FMX_OK; FMX_E_OPTION,
 * FMX_SYS_FILE (errno set; EEXIST: one is there already), FMX_LIMIT_MEMORY, with words in `error`
 * that name field, value and fix. Any thread.
 */
FMX_API enum fmx_status fmx_cert_make(const struct fmx_cert_options *options, char *error,
                                      size_t error_bytes) FMX_MUST_USE;

/*
 * Makes a file of ticket keys, or moves the keys in it one on: next becomes current, a new one
 * next. Other processes that use the file see it within a minute. As fmx_cert_make.
 */
FMX_API enum fmx_status fmx_cert_rotate_tickets(const char *file, char *error,
                                                size_t error_bytes) FMX_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
