/*
 * cert_issuer.h — an authority that signs, as cert_make.c sees it
 */
#ifndef TLS_CERT_ISSUER_H
#define TLS_CERT_ISSUER_H

#include "tls/internal.h"

#include <fleetmux/cert.h>

struct fmx_cert_issuer {
    struct fmx_tls_cert *cert; /* its chain and its key */
    X509 *x509;                /* the chain's first */
    char *chain;               /* PEM that follows what it signs; may be empty */
    size_t chain_bytes;
    int64_t ends_s; /* UNIX time */
    bool may_sign_authorities;
};

/* FMX_OK, or FMX_E_OPTION with words: it has ended. `path` may be NULL. */
enum fmx_status fmx_cert_issuer_check_end(const struct fmx_cert_issuer *issuer, const char *path,
                                          char *error, size_t error_bytes) FMX_MUST_USE;

#endif
