/*
 * tls_bytes — how BoringSSL reads from bytes at hand and writes behind others
 */
#ifndef BENCH_TLS_BYTES_H
#define BENCH_TLS_BYTES_H

#include <openssl/ssl.h>

#include <stdbool.h>
#include <stdint.h>

/* Of one thread, for all its connections: set before each call, looked at after it. */
struct tls_bytes {
    const uint8_t *in; /* not read yet */
    size_t in_size;
    uint8_t *out; /* written */
    size_t out_size;
    size_t out_capacity;
    BIO *bio;
};

/* False: no memory. */
bool tls_bytes_open(struct tls_bytes *bytes);
void tls_bytes_close(struct tls_bytes *bytes); /* all zero is harmless */

/* A connection that reads and writes there; NULL: no memory. */
SSL *tls_bytes_connection(struct tls_bytes *bytes, SSL_CTX *context);

/* What BoringSSL says about the last failure; clears it. Static storage. */
const char *tls_bytes_reason(void);

#endif
