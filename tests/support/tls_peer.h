/*
 * tls_peer.h — a blocking TLS client for tests: one socket, one SSL, everything chosen by the test
 *
 * Links BoringSSL itself, so a program that uses it names support/tls_peer.c among its sources.
 * Reads and writes give up after a while, so a test that waits in vain ends.
 */
#ifndef TESTS_SUPPORT_TLS_PEER_H
#define TESTS_SUPPORT_TLS_PEER_H

#include <fleetmux/types.h>

#include <openssl/base.h>

#define TLS_PEER_WORDS_BYTES 256

/* Zeros are BoringSSL's own choices. */
struct tls_peer_options {
    uint16_t port; /* of 127.0.0.1 */
    uint16_t min;  /* 0x0301 … 0x0304 */
    uint16_t max;
    const char *suites;      /* for 1.2 and older, in BoringSSL's words */
    const char *sigalgs;     /* as "rsa_pkcs1_sha256" */
    const char *groups;      /* as "P-256:X25519" */
    const char *ca;          /* the server's certificate is checked; NULL: any is taken */
    const char *server_name; /* SNI */
    const char *alpn;        /* one name, as "mqtt" */
    const char *cert;        /* files */
    const char *key;
    const char *psk_identity;
    fmx_slice psk_key;
    SSL_SESSION *session; /* to resume; stays the caller's */
};

struct tls_peer {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    SSL_SESSION *session; /* the last that the server has given; NULL: none yet */
    struct tls_peer_options options;
    uint8_t alert;                    /* that the server has sent; 0: none */
    char words[TLS_PEER_WORDS_BYTES]; /* why the last call failed */
};

/* TCP and context, no handshake yet. False, with `words`; tls_peer_close is due either way. */
bool tls_peer_dial(struct tls_peer *peer, const struct tls_peer_options *options);

/* On a socket of the caller's, which is taken over. */
bool tls_peer_begin(struct tls_peer *peer, int fd, const struct tls_peer_options *options);

/* False: it has failed, and `alert` and `words` say how. */
bool tls_peer_handshake(struct tls_peer *peer);

/* Dial and handshake. */
bool tls_peer_open(struct tls_peer *peer, const struct tls_peer_options *options);

/* All of them, or false. */
bool tls_peer_send(struct tls_peer *peer, const void *bytes, size_t count);

/* Up to `room` bytes, at least one; 0: the end of the stream (close_notify); −1: it broke. */
int tls_peer_receive_some(struct tls_peer *peer, void *out, size_t room);

/* All of them, or false. */
bool tls_peer_receive(struct tls_peer *peer, void *out, size_t count);

/* What came is thrown away. True: the server has said that nothing follows, or has gone. */
bool tls_peer_drain(struct tls_peer *peer);

/* What was agreed; after the handshake. */
uint16_t tls_peer_version(const struct tls_peer *peer);
uint16_t tls_peer_suite(const struct tls_peer *peer); /* its number, 0x1301 */
bool tls_peer_resumed(const struct tls_peer *peer);
bool tls_peer_has_rsa(const struct tls_peer *peer); /* the server's certificate has an RSA key */
bool tls_peer_alpn_is(const struct tls_peer *peer, const char *name);
/* The common name of the server's certificate; "" without. */
const char *tls_peer_server(const struct tls_peer *peer, char *out, size_t room);

/* Takes the session out of the peer, to be resumed; NULL: none. Released with SSL_SESSION_free. */
SSL_SESSION *tls_peer_take_session(struct tls_peer *peer);

/* Says goodbye (close_notify) and closes; all zeros is harmless. */
void tls_peer_close(struct tls_peer *peer);

/* Closes the socket without a word. */
void tls_peer_drop(struct tls_peer *peer);

#endif
