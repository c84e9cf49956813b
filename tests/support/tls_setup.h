/*
 * tls_setup.h — contexts for tests of streams: the usual options, opened or the program ends
 *
 * Of the certificates of tls_pki_standard. A program that uses it names support/tls_setup.c and
 * support/tls_pki.c among its sources.
 */
#ifndef TESTS_SUPPORT_TLS_SETUP_H
#define TESTS_SUPPORT_TLS_SETUP_H

#include "tls/tickets.h"
#include "tls/tls.h"

#define TLS_SDK_IDENTITY "device1|hmacsha256|pk1&device1|2524608000000"
#define TLS_SDK_KEY      "8B822A077426D2593B379A8B41768D89F550AC70C5926D2BF5B80D4A9A836B27"

/* An ECDSA certificate; an RSA one; both; none, with PSK of the registry. */
struct fmx_tls_server tls_ecdsa_options(void);
struct fmx_tls_server tls_rsa_options(void);
struct fmx_tls_server tls_both_options(void);
struct fmx_tls_server tls_psk_options(void);

/* Trusts "ca". */
struct fmx_tls_client tls_client_options(void);

/* Knows TLS_SDK_IDENTITY by TLS_SDK_KEY, and nobody else. */
extern const struct fmx_tls_psk_source tls_registry;
extern unsigned tls_registry_asked_by; /* the thread of the last question */

struct fmx_tls_context *tls_server_of(const struct fmx_tls_server *options,
                                      struct fmx_tls_tickets *tickets);
struct fmx_tls_context *tls_client_of(const struct fmx_tls_client *options);
struct fmx_tls_tickets *tls_tickets_new(void);

/* Of "STEM.crt" and "STEM.key". */
struct fmx_tls_cert *tls_cert_of(const char *stem);

#endif
