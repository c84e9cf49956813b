/*
 * tls_pure.h — TLS without the kernel: what is compared, and the two that are
 *
 *     client (not measured)                       server (measured)
 *       flight ───────────────────────────────────► step ──► bare: BoringSSL, nothing around it
 *       flight ◄─────────────────────────────────── out      ours: a stream of tls/tls.h
 */
#ifndef BENCH_TLS_PURE_H
#define BENCH_TLS_PURE_H

#include "bench/tls_bytes.h"
#include "tests/support/temporary.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PURE_IDENTITY  "a1Q5XoY7PkQ/device-0000042"
#define PURE_KEY_BYTES 32u

enum pure_key { PURE_P256, PURE_RSA, PURE_NO_KEY };

struct pure_kind {
    const char *name;
    uint16_t version;
    enum pure_key key;
    const char *suite; /* the client's; NULL: its own choice */
    bool resumed;
    bool mutual;
    bool psk;
};

/* Files of an authority's own, of two servers and of a client; made anew by each run. */
struct pure_files {
    char cert[FMX_TEMPORARY_FILE_BYTES];
    char key[FMX_TEMPORARY_FILE_BYTES];
};

struct pure_certs {
    char folder[FMX_TEMPORARY_BYTES];
    struct pure_files ca;
    struct pure_files server;
    struct pure_files rsa;
    struct pure_files client;
};

/* Ends the process, with words, if it cannot. */
void pure_certs_make(struct pure_certs *certs);
void pure_certs_remove(const struct pure_certs *certs);
void pure_expect(bool holds, const char *what);

/* The key of every PSK identity. */
void pure_psk_key(uint8_t out_key[PURE_KEY_BYTES]);

/* Bytes on their way. */
struct pure_flight {
    uint8_t *at;
    size_t size;
    size_t capacity;
};

void pure_flight_add(struct pure_flight *flight, const void *bytes, size_t size);

/* A way to be a server. Whatever fails ends the process. */
struct pure_side {
    const char *name;
    void *(*open)(const struct pure_kind *kind, const struct pure_certs *certs);
    void *(*accept)(void *world);
    /* Takes a flight in, adds what it says to `out`; true: the handshake is done. */
    bool (*step)(void *world, void *conn, const struct pure_flight *in, struct pure_flight *out);
    /* Plaintext to records and back; `take` returns how many bytes there were. */
    void (*seal)(void *world, void *conn, const void *bytes, size_t size, struct pure_flight *out);
    size_t (*take)(void *world, void *conn, const uint8_t *records, size_t size);
    void (*end)(void *world, void *conn);
    void (*close)(void *world);
};

extern const struct pure_side pure_bare;
extern const struct pure_side pure_ours;

/* The other end, one for both sides; not measured. */
struct pure_client {
    const struct pure_kind *kind;
    struct tls_bytes bytes;
    SSL_CTX *context;
    SSL_SESSION *session; /* of a resumed kind, from the first handshake */
};

void pure_client_open(struct pure_client *client, const struct pure_kind *kind,
                      const struct pure_certs *certs);
void pure_client_close(struct pure_client *client);
SSL *pure_client_begin(struct pure_client *client, struct pure_flight *out);
/* Takes what the server says; true: the handshake is done. */
bool pure_client_step(struct pure_client *client, SSL *ssl, const struct pure_flight *in,
                      struct pure_flight *out);
/* Is what was agreed what the kind is about? */
bool pure_client_got(const struct pure_client *client, SSL *ssl, bool resumed);

/* tls_records.c: the same two, records of established connections. */
void pure_records_compare(const struct pure_certs *certs, unsigned rounds, unsigned ms,
                          bool as_json);

#endif
