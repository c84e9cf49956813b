/*
 * tls_pki.h — certificates and keys for tests, good and odd ones, in a folder that goes away
 *
 * Links BoringSSL itself, so a program that uses it names support/tls_pki.c among its sources. One
 * thread. What cannot be made ends the program.
 */
#ifndef TESTS_SUPPORT_TLS_PKI_H
#define TESTS_SUPPORT_TLS_PKI_H

#include <fleetmux/types.h>

/* Zeros: an ECDSA P-256 key, signed by itself, good from a day ago until in a year. */
struct tls_pki_request {
    const char *stem;   /* of the files STEM.crt and STEM.key */
    const char *issuer; /* its stem; NULL: signs itself */
    int rsa_bits;       /* 0: ECDSA */
    int curve;          /* NID; 0: P-256 */
    bool is_authority;
    const char *common_name; /* NULL: none */
    const char *organization;
    const char *second_common_name;
    const char *names;        /* "DNS:localhost,IP:127.0.0.1" */
    const char *usage;        /* "digitalSignature" */
    const char *extended;     /* "serverAuth" */
    size_t common_name_bytes; /* 0: up to its end; else it may hold a zero byte */
    long from_s;              /* from now; 0: a day ago */
    long until_s;             /* 0: in a year */
};

void tls_pki_make(const struct tls_pki_request *request);

/*
 * ca; server (localhost, 127.0.0.1) and server_rsa of it; client of it (device1, pk1); other_ca and
 * other of that.
 */
void tls_pki_standard(void);

/* Where "server.crt" lies. Lives as long as the program; the same pointer for the same name. */
const char *tls_pki_path(const char *name);

/* Writes a file there and returns where. */
const char *tls_pki_write(const char *name, const char *text);
const char *tls_pki_write_bytes(const char *name, fmx_slice bytes);

/* Two or more files of the folder, ended by NULL, one after another. */
const char *tls_pki_join(const char *name, ...);

#endif
