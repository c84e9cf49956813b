/*
 * tls.h — for loop tests of TLS: certificates, a gateway with three listeners, clients, and peers
 * whose records the test carries itself
 */
#ifndef TESTS_LOOP_TLS_H
#define TESTS_LOOP_TLS_H

#include "tests/loop/support.h"
#include "tests/support/temporary.h"
#include "tests/support/tls_peer.h"

#include <openssl/bio.h>

#define TLS_RECORD_MAX (5u + 16384u + 256u)

/* ── files, made at first use, gone with the process ── */

enum tls_file {
    TLS_FILE_CA,       /* an authority, P-256 */
    TLS_FILE_SERVER,   /* "localhost", P-256 */
    TLS_FILE_OTHER,    /* "other.example", P-256 */
    TLS_FILE_RSA,      /* "localhost", RSA */
    TLS_FILE_CLIENT,   /* "lamp" of "a1pk", P-256 */
    TLS_FILE_STRANGER, /* a client of an authority that nobody knows */
    TLS_FILES_COUNT,
};

const char *tls_cert(enum tls_file file);
const char *tls_key(enum tls_file file);

/* A name in the folder of the files; a ring of eight. */
const char *tls_path(const char *name);

void tls_copy_file(const char *from, const char *to);

/* A client's chain of so many certificates below TLS_FILE_CA; its key lies in *out_key. */
const char *tls_long_chain(unsigned count, const char **out_key);

/* The client's own certificate, and another one so many times behind it. */
const char *tls_big_chain(unsigned count);

/* ── a gateway ── */

struct tls_world {
    struct fmx_gateway_options options;
    struct fmx_tls_server server;
    struct fmx_gateway *gateway;
    uint16_t port;       /* plain and TLS */
    uint16_t tls_port;   /* TLS only */
    uint16_t plain_port; /* plain only */
};

/* loop_begin, and options with defaults: change them, then tls_start. */
void tls_world(struct tls_world *world, uint32_t shards_count, uint32_t workers);
void tls_start(struct tls_world *world);
struct fmx_stats tls_stats(const struct tls_world *world);

/* Nothing is left of all connections. */
void tls_expect_empty(const struct tls_world *world);

/* The same, and the gateway ends. */
void tls_end(struct tls_world *world);

/* An honest client over TLS, and one without, log in, publish to themselves and leave. */
void tls_serve(const struct tls_world *world);

/* Live bytes of the process; false: nobody counts them here. */
bool tls_memory(size_t *out_bytes);

/* ── MQTT over tls_peer ── */

/* A defaulted client of the port, any version. */
struct tls_peer_options tls_client(uint16_t port);

/* TCP, TLS, CONNECT, a good CONNACK; ends the case otherwise. */
void tls_join(struct tls_peer *peer, const struct tls_peer_options *options,
              const struct loop_connect *connect);
void tls_join_plainly(struct tls_peer *peer, uint16_t port, const char *client_id);
void tls_subscribe(struct tls_peer *peer, const char *filter, uint8_t qos);
bool tls_publish(struct tls_peer *peer, const char *topic, fmx_slice payload, uint8_t qos,
                 uint16_t packet_id);

/* One packet; false: the end of the stream. */
bool tls_receive(struct tls_peer *peer, struct loop_packet *packet);

/* All of 3.1.1 here. */
fmx_slice tls_payload(const struct loop_packet *packet, uint16_t *out_packet_id);

/* ── peers whose records the test carries ── */

struct tls_wire {
    struct tls_peer peer;
    BIO *in; /* the peer's ends of what the test carries */
    BIO *out;
    bool is_done; /* the handshake is */
};

/* TCP; nothing is said yet. Ends the case if that fails. */
void tls_wire_open(struct tls_wire *wire, const struct tls_peer_options *options);

/* The same on a socket of the caller's, which is taken over. */
void tls_wire_begin(struct tls_wire *wire, int fd, const struct tls_peer_options *options);

/* Goes on with what has come. False: the handshake has failed. */
bool tls_wire_step(struct tls_wire *wire);

/* What it wants to say, out of it; its bytes. */
size_t tls_wire_take(struct tls_wire *wire, uint8_t *out, size_t room);

/* All it wants to say goes to the gateway; false: it does not listen. */
bool tls_wire_say(struct tls_wire *wire);

/* Waits for some bytes; false: there is an end. */
bool tls_wire_hear(struct tls_wire *wire);

/* Step, say, hear, until it is done. */
bool tls_wire_handshake(struct tls_wire *wire);

/* Hears until the gateway ends the stream. */
bool tls_wire_hear_end(struct tls_wire *wire);

/* A record of TLS 1.2 with AES-128-GCM made by hand, after the handshake; `number` counts from 0
   behind those that the peer has sent itself. Its bytes. */
size_t tls_wire_forge(struct tls_wire *wire, unsigned number, uint8_t type, fmx_slice plaintext,
                      uint8_t *out);

void tls_wire_close(struct tls_wire *wire, bool is_reset);

/* The record that a client begins with; its bytes. */
size_t tls_hello(uint8_t *out, size_t room);

void tls_reset(int fd); /* closes with RST */

#endif
