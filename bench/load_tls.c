/*
 * load_tls — TLS under the load's connections
 *
 * Why it is so:   most devices come over TLS, so the same scenarios have to be run over it. The
 *                 load is a client of its own, with BoringSSL directly, and knows no server: it
 *                 takes what is agreed, unless options narrow what it offers. Sending collects what
 *                 BoringSSL has written, so that the last word of a handshake and CONNECT leave in
 *                 one send, and a batch of messages in another.
 * Words:          resume: all connections offer the session that the first one was given, which is
 *                 therefore alone until it has it.
 * Memory:         an SSL for each connection
 * Limits:         a server must let one ticket be used many times, as one that keeps no list does
 */
#include "bench/load.h"
#include "bench/tls_bytes.h"

#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>

struct load_tls {
    SSL_CTX *context;
    SSL_SESSION *session; /* the first that was given */
    struct tls_bytes bytes;
    uint32_t full;
    uint32_t resumed;
    bool has_complained;
    uint8_t raw[LOAD_TLS_RAW_BYTES];
};

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct load_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (tls->session) {
        return 0;
    }
    tls->session = session;
    return 1;
}

/* A server on 127.0.0.0/8 must have its address in its certificate. */
static bool trust(SSL_CTX *context, const struct load_options *options)
{
    if (!options->cafile) {
        return true;
    }
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return SSL_CTX_load_verify_locations(context, options->cafile, NULL) == 1 &&
           X509_VERIFY_PARAM_set1_ip_asc(param, options->host) == 1;
}

static bool set_up(struct load_tls *tls, const struct load_options *options)
{
    SSL_CTX *context = tls->context;
    if (SSL_CTX_set_min_proto_version(context, options->tls_version) != 1 ||
        SSL_CTX_set_max_proto_version(context, options->tls_version) != 1) {
        return false;
    }
    if (options->tls_rsa &&
        (SSL_CTX_set1_sigalgs_list(context, "RSA-PSS+SHA256:RSA+SHA256") != 1 ||
         SSL_CTX_set_cipher_list(context, "ECDHE-RSA-AES128-GCM-SHA256") != 1)) {
        return false;
    }
    SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_quiet_shutdown(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    return trust(context, options);
}

bool load_tls_open(struct load_net *net)
{
    const struct load_options *options = net->options;
    if (!options->tls) {
        return true;
    }
    net->tls = calloc(1, sizeof *net->tls);
    if (net->tls) {
        net->tls->context = SSL_CTX_new(TLS_method());
    }
    if (net->tls && net->tls->context && tls_bytes_open(&net->tls->bytes) &&
        set_up(net->tls, options)) {
        return true;
    }
    fprintf(stderr, "bench_load: TLS%s%s: %s\n", options->cafile ? ", --cafile " : "",
            options->cafile ? options->cafile : "", tls_bytes_reason());
    return false;
}

void load_tls_close(struct load_net *net)
{
    if (net->tls) {
        tls_bytes_close(&net->tls->bytes);
        SSL_SESSION_free(net->tls->session);
        SSL_CTX_free(net->tls->context);
        free(net->tls);
        net->tls = NULL;
    }
}

bool load_tls_waits_for_session(const struct load_net *net)
{
    return net->tls && net->options->tls_resume && !net->tls->session;
}

uint8_t *load_tls_raw(struct load_net *net)
{
    return net->tls->raw;
}

/* The first failure in words; the others would be the same. */
static void complain(struct load_tls *tls)
{
    if (!tls->has_complained) {
        tls->has_complained = true;
        (void)fprintf(stderr, "bench_load: TLS: %s\n", tls_bytes_reason());
    }
}

static bool is_waiting(const SSL *ssl, int result)
{
    return SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ;
}

bool load_tls_begin(struct load_net *net, struct load_conn *conn)
{
    struct load_tls *tls = net->tls;
    tls->bytes.in_size = 0;
    conn->ssl = tls_bytes_connection(&tls->bytes, tls->context);
    if (!conn->ssl) {
        return false;
    }
    if (net->options->tls_resume && tls->session) {
        SSL_set_session(conn->ssl, tls->session);
    }
    SSL_set_connect_state(conn->ssl);
    return is_waiting(conn->ssl, SSL_do_handshake(conn->ssl));
}

void load_tls_got(struct load_net *net, size_t size)
{
    net->tls->bytes.in = net->tls->raw;
    net->tls->bytes.in_size = size;
}

int load_tls_shake(struct load_net *net, struct load_conn *conn)
{
    struct load_tls *tls = net->tls;
    int result = SSL_do_handshake(conn->ssl);
    if (result == 1) {
        bool resumed = SSL_session_reused(conn->ssl) == 1;
        tls->resumed += resumed;
        tls->full += !resumed;
        return 1;
    }
    if (is_waiting(conn->ssl, result)) {
        return 0;
    }
    complain(tls);
    return -1;
}

ssize_t load_tls_read(struct load_net *net, struct load_conn *conn, uint8_t *to, size_t room)
{
    size_t size = 0;
    for (;;) {
        int got = SSL_read(conn->ssl, to + size, (int)(room - size));
        if (got > 0) {
            size += (size_t)got;
        } else if (is_waiting(conn->ssl, got)) {
            return (ssize_t)size;
        } else {
            if (SSL_get_error(conn->ssl, got) != SSL_ERROR_ZERO_RETURN) {
                complain(net->tls);
            }
            return -1;
        }
    }
}

bool load_tls_seal(struct load_conn *conn, const void *bytes, size_t size)
{
    return SSL_write(conn->ssl, bytes, (int)size) == (int)size;
}

const uint8_t *load_tls_sealed(struct load_net *net, size_t *out_size)
{
    *out_size = net->tls->bytes.out_size;
    net->tls->bytes.out_size = 0;
    return net->tls->bytes.out;
}

void load_tls_end(struct load_net *net, struct load_conn *conn)
{
    if (conn->ssl) {
        SSL_free(conn->ssl);
        conn->ssl = NULL;
        net->tls->bytes.out_size = 0;
    }
}

uint32_t load_tls_report(const struct load_net *net)
{
    if (!net->tls) {
        return 0;
    }
    uint32_t first = net->options->tls_resume && net->tls->full > 0 ? 1 : 0;
    uint32_t not_resumed = net->options->tls_resume ? net->tls->full - first : 0;
    load_report("tls_full", "handshakes", net->tls->full);
    load_report("tls_resumed", "handshakes", net->tls->resumed);
    load_report("not_resumed", "handshakes", not_resumed);
    return not_resumed;
}
