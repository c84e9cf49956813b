/*
 * floor_tls — TLS under the relay: BoringSSL and nothing around it
 *
 * Why it is so:   what a handshake and a record cost with the library alone, through sockets as a
 *                 gateway has them: one SSL made at the first byte, its bytes taken from where the
 *                 kernel left them, and one send for all that a turn has to say.
 * Invariants:     (1) what the handshake has written leaves before what the relay says
 * Memory:         an SSL for each connection
 * Limits:         one certificate, TLS 1.2 and 1.3, BoringSSL's own choice of suites and tickets
 * Not here:       limits of any kind, time-outs, names, client certificates: none, on purpose
 */
#include "bench/floor.h"
#include "bench/tls_bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAINTEXT_BYTES 16384u

struct floor_tls {
    SSL_CTX *context;
    struct tls_bytes bytes;
    uint8_t plaintext[PLAINTEXT_BYTES];
};

bool floor_tls_open(struct floor *floor, const char *cert, const char *key)
{
    struct floor_tls *tls = calloc(1, sizeof *tls);
    if (!tls || !tls_bytes_open(&tls->bytes)) {
        return false;
    }
    tls->context = SSL_CTX_new(TLS_method());
    if (!tls->context || SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_use_certificate_chain_file(tls->context, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls->context, key, SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "bench_floor: --cert %s --key %s: %s\n", cert, key, tls_bytes_reason());
        return false;
    }
    SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_quiet_shutdown(tls->context, 1);
    floor->tls = tls;
    return true;
}

void floor_tls_end(struct floor_conn *conn)
{
    SSL_free(conn->ssl);
    conn->ssl = NULL;
}

/* What BoringSSL has written goes behind what waits. */
static void take_written(struct floor *floor, struct floor_conn *conn)
{
    struct tls_bytes *bytes = &floor->tls->bytes;
    floor_append(&conn->wire, bytes->out, bytes->out_size);
    bytes->out_size = 0;
}

static bool is_waiting(const SSL *ssl, int result)
{
    return SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ;
}

static bool read_all(struct floor *floor, uint32_t index)
{
    struct floor_conn *conn = &floor->conns[index];
    struct floor_tls *tls = floor->tls;
    for (;;) {
        int got = SSL_read(conn->ssl, tls->plaintext, sizeof tls->plaintext);
        if (got <= 0) {
            return is_waiting(conn->ssl, got);
        }
        if (!floor_on_bytes(floor, index, tls->plaintext, (size_t)got)) {
            return false;
        }
    }
}

bool floor_tls_on_bytes(struct floor *floor, uint32_t index, const uint8_t *bytes, size_t size)
{
    struct floor_conn *conn = &floor->conns[index];
    struct floor_tls *tls = floor->tls;
    if (!conn->ssl) {
        conn->ssl = tls_bytes_connection(&tls->bytes, tls->context);
        if (!conn->ssl) {
            return false;
        }
        SSL_set_accept_state(conn->ssl);
    }
    tls->bytes.in = bytes;
    tls->bytes.in_size = size;
    bool good = true;
    if (SSL_in_init(conn->ssl)) {
        int result = SSL_do_handshake(conn->ssl);
        good = result == 1 || is_waiting(conn->ssl, result);
    }
    good = good && (SSL_in_init(conn->ssl) || read_all(floor, index));
    (void)tls_bytes_reason();
    if (tls->bytes.out_size > 0) {
        take_written(floor, conn);
        floor_queue(floor, index);
    }
    return good;
}

void floor_tls_seal(struct floor *floor, struct floor_conn *conn)
{
    if (conn->out.size > 0 && conn->ssl) {
        floor->tls->bytes.in_size = 0;
        SSL_write(conn->ssl, conn->out.at, (int)conn->out.size);
        conn->out.size = 0;
        take_written(floor, conn);
    }
}
