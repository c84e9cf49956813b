/*
 * tls_sides — two ways to be a TLS server: BoringSSL alone, and a stream of tls/tls.h
 *
 * Why it is so:   bare is what BoringSSL costs at least: certificate, key, versions, and all else
 *                 as the library has it; bytes come from where they lie and go behind one another
 *                 in one buffer. Ours is set up as a gateway's listener: both certificates, tickets
 *                 from a ring, limits, and the checks of authorities.
 * Memory:         a context a side; an SSL, or a stream, a connection
 * Threads:        one
 */
#include "bench/tls_pure.h"
#include "tls/tickets.h"
#include "tls/tls.h"

#include <openssl/err.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bare ------------------------------------------------------------------------------------ */

struct bare {
    SSL_CTX *context;
    struct tls_bytes bytes;
    uint8_t room[FMX_TLS_PLAINTEXT_BYTES_MAX];
};

static unsigned bare_psk(SSL *ssl, const char *identity, uint8_t *key, unsigned room)
{
    (void)ssl;
    if (strcmp(identity, PURE_IDENTITY) != 0 || room < PURE_KEY_BYTES) {
        return 0;
    }
    pure_psk_key(key);
    return PURE_KEY_BYTES;
}

static void *bare_open(const struct pure_kind *kind, const struct pure_certs *certs)
{
    struct bare *bare = calloc(1, sizeof *bare);
    pure_expect(bare && tls_bytes_open(&bare->bytes), "memory");
    SSL_CTX *context = bare->context = SSL_CTX_new(TLS_method());
    const char *cert = kind->key == PURE_RSA ? certs->rsa.cert : certs->server.cert;
    const char *key = kind->key == PURE_RSA ? certs->rsa.key : certs->server.key;
    pure_expect(context && SSL_CTX_set_min_proto_version(context, kind->version) == 1 &&
                    SSL_CTX_set_max_proto_version(context, kind->version) == 1,
                "the bare context");
    if (kind->psk) {
        SSL_CTX_set_psk_server_callback(context, bare_psk);
        pure_expect(SSL_CTX_set_cipher_list(context, kind->suite) == 1, "the suite");
    } else {
        pure_expect(SSL_CTX_use_certificate_chain_file(context, cert) == 1 &&
                        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1,
                    "the bare server's certificate");
    }
    if (kind->mutual) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        pure_expect(SSL_CTX_load_verify_locations(context, certs->ca.cert, NULL) == 1,
                    "the authority");
    }
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(context, (const uint8_t *)"bench", 5);
    SSL_CTX_set_quiet_shutdown(context, 1);
    return bare;
}

static void *bare_accept(void *world)
{
    struct bare *bare = world;
    SSL *ssl = tls_bytes_connection(&bare->bytes, bare->context);
    pure_expect(ssl != NULL, "memory");
    SSL_set_accept_state(ssl);
    return ssl;
}

static void bare_written(struct bare *bare, struct pure_flight *out)
{
    pure_flight_add(out, bare->bytes.out, bare->bytes.out_size);
    bare->bytes.out_size = 0;
}

static bool bare_step(void *world, void *conn, const struct pure_flight *in,
                      struct pure_flight *out)
{
    struct bare *bare = world;
    bare->bytes.in = in->at;
    bare->bytes.in_size = in->size;
    int result = SSL_do_handshake(conn);
    pure_expect(result == 1 || SSL_get_error(conn, result) == SSL_ERROR_WANT_READ,
                "the bare handshake");
    ERR_clear_error();
    bare_written(bare, out);
    return result == 1;
}

static void bare_seal(void *world, void *conn, const void *bytes, size_t size,
                      struct pure_flight *out)
{
    struct bare *bare = world;
    pure_expect(SSL_write(conn, bytes, (int)size) == (int)size, "a bare record");
    bare_written(bare, out);
}

static size_t bare_take(void *world, void *conn, const uint8_t *records, size_t size)
{
    struct bare *bare = world;
    size_t sum = 0;
    bare->bytes.in = records;
    bare->bytes.in_size = size;
    while (bare->bytes.in_size > 0) {
        int got = SSL_read(conn, bare->room, sizeof bare->room);
        pure_expect(got > 0, "a record for the bare server");
        sum += (size_t)got;
    }
    return sum;
}

static void bare_end(void *world, void *conn)
{
    (void)world;
    SSL_free(conn);
}

static void bare_close(void *world)
{
    struct bare *bare = world;
    SSL_CTX_free(bare->context);
    tls_bytes_close(&bare->bytes);
    free(bare);
}

const struct pure_side pure_bare = {"bare",    bare_open, bare_accept, bare_step,
                                    bare_seal, bare_take, bare_end,    bare_close};

/* ---- ours ------------------------------------------------------------------------------------ */

struct ours {
    struct fmx_tls_context *context;
    struct fmx_tls_tickets *tickets;
    uint8_t room[FMX_TLS_PLAINTEXT_BYTES_MAX];
};

static size_t ours_psk(void *user, unsigned thread, fmx_slice identity,
                       uint8_t out_key[FMX_TLS_PSK_BYTES_MAX])
{
    (void)user;
    (void)thread;
    if (identity.bytes != sizeof PURE_IDENTITY - 1 ||
        memcmp(identity.data, PURE_IDENTITY, identity.bytes) != 0) {
        return 0;
    }
    pure_psk_key(out_key);
    return PURE_KEY_BYTES;
}

static void *ours_open(const struct pure_kind *kind, const struct pure_certs *certs)
{
    static const struct fmx_tls_psk_source source = {.key = ours_psk};
    char error[512] = "";
    struct ours *ours = calloc(1, sizeof *ours);
    struct fmx_tls_server options;
    pure_expect(ours != NULL, "memory");
    fmx_tls_server_init(&options);
    options.min = options.max = kind->version;
    options.cert = certs->server.cert;
    options.key = certs->server.key;
    options.cert_rsa = certs->rsa.cert;
    options.key_rsa = certs->rsa.key;
    options.psk = kind->psk;
    if (kind->mutual) {
        options.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
        options.client_ca = certs->ca.cert;
    }
    enum fmx_status status =
        fmx_tls_tickets_open(NULL, options.ticket_rotate_s, &ours->tickets, error, sizeof error);
    pure_expect(status == FMX_OK, error);
    status = fmx_tls_server_open(&options, ours->tickets, fmx_slice_of("bench"),
                                 kind->psk ? &source : &(struct fmx_tls_psk_source){0},
                                 &ours->context, error, sizeof error);
    pure_expect(status == FMX_OK, error);
    return ours;
}

static void *ours_accept(void *world)
{
    const struct ours *ours = world;
    struct fmx_tls_stream *stream = fmx_tls_accept(ours->context);
    pure_expect(stream != NULL, "memory");
    return stream;
}

static bool on_records(void *user, fmx_slice records)
{
    pure_flight_add(user, records.data, records.bytes);
    return true;
}

static bool ours_step(void *world, void *conn, const struct pure_flight *in,
                      struct pure_flight *out)
{
    struct fmx_tls_sink sink = {.write = on_records, .user = out};
    fmx_slice records = {.data = in->at, .bytes = in->size};
    (void)world;
    enum fmx_status status = fmx_tls_handshake(conn, 0, &records, &sink);
    pure_expect(status == FMX_OK || status == FMX_MORE, fmx_tls_stream_fault(conn));
    return status == FMX_OK;
}

static void ours_seal(void *world, void *conn, const void *bytes, size_t size,
                      struct pure_flight *out)
{
    struct fmx_tls_sink sink = {.write = on_records, .user = out};
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    (void)world;
    pure_expect(fmx_tls_seal(conn, &part, 1, &sink) == FMX_OK, fmx_tls_stream_fault(conn));
}

static size_t ours_take(void *world, void *conn, const uint8_t *records, size_t size)
{
    struct ours *ours = world;
    struct fmx_tls_sink sink = {.write = on_records};
    fmx_slice rest = {.data = records, .bytes = size};
    size_t sum = 0;
    while (rest.bytes > 0) {
        size_t bytes = 0;
        enum fmx_status status =
            fmx_tls_take(conn, &rest, ours->room, sizeof ours->room, &bytes, &sink);
        pure_expect(status == FMX_OK || status == FMX_MORE, fmx_tls_stream_fault(conn));
        sum += bytes;
    }
    return sum;
}

static void ours_end(void *world, void *conn)
{
    (void)world;
    fmx_tls_stream_close(conn);
}

static void ours_close(void *world)
{
    struct ours *ours = world;
    fmx_tls_context_drop(ours->context);
    fmx_tls_tickets_close(ours->tickets);
    free(ours);
}

const struct pure_side pure_ours = {"ours",    ours_open, ours_accept, ours_step,
                                    ours_seal, ours_take, ours_end,    ours_close};
