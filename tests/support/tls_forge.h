/*
 * tls_forge.h — records that no honest stream would send, encrypted as if it had
 *
 * For AES-128-GCM, TLS 1.2 and 1.3. Links BoringSSL itself, so a program that uses it names
 * support/tls_forge.c among its sources.
 */
#ifndef TESTS_SUPPORT_TLS_FORGE_H
#define TESTS_SUPPORT_TLS_FORGE_H

#include <fleetmux/types.h>

#include <openssl/base.h>

struct tls_forge {
    bool is_13;
    uint8_t key[16];
    uint8_t iv[12]; /* in 1.2 the first four bytes */
    uint8_t secret[32];
    uint64_t sequence;
};

/*
 * Goes on where this side has stopped writing. `key_log` is a file that its context writes to,
 * whose last connection this is; it may be NULL for 1.2.
 */
void tls_forge_begin(struct tls_forge *forge, const SSL *ssl, const char *key_log);

/* The next record, into `out`, which has room for 64 bytes more than `content`. Its bytes. */
size_t tls_forge_record(struct tls_forge *forge, uint8_t type, fmx_slice content, uint8_t *out);

/* What is forged from now on is under the next key: a KeyUpdate has been. */
void tls_forge_update(struct tls_forge *forge);

#endif
