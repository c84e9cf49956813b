/*
 * tls_peer — a blocking TLS client for tests: one socket, one SSL, everything chosen by the test
 *
 * Why it is so:   it shares nothing with tls/, so that a fault there is not its own mirror image
 * Memory:         a context of its own for each peer
 * Threads:        one
 */
#include "tests/support/tls_peer.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 60

static bool say(struct tls_peer *peer, const char *what)
{
    uint32_t code = ERR_peek_error();
    const char *reason = code == 0 ? strerror(errno) : ERR_reason_error_string(code);

    snprintf(peer->words, sizeof peer->words, "%s: %s", what, reason == NULL ? "?" : reason);
    ERR_clear_error();
    return false;
}

static int dial(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = PATIENCE_S};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* ── what BoringSSL asks ── */

static unsigned on_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_room,
                       uint8_t *key, unsigned key_room)
{
    const struct tls_peer *peer = SSL_get_app_data(ssl);
    const struct tls_peer_options *options = &peer->options;
    size_t bytes = strlen(options->psk_identity);

    (void)hint;
    if (bytes >= identity_room || options->psk_key.bytes > key_room) {
        return 0;
    }
    memcpy(identity, options->psk_identity, bytes + 1);
    memcpy(key, options->psk_key.data, options->psk_key.bytes);
    return (unsigned)options->psk_key.bytes;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_peer *peer = SSL_get_app_data(ssl);

    SSL_SESSION_free(peer->session);
    peer->session = session;
    return 1; /* taken over */
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct tls_peer *peer = SSL_get_app_data(ssl);

    if (where == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY) {
        peer->alert = (uint8_t)(value & 0xff);
    }
}

/* ── the context ── */

static bool use_cert(struct tls_peer *peer)
{
    const struct tls_peer_options *options = &peer->options;

    if (options->cert == NULL) {
        return true;
    }
    return SSL_CTX_use_certificate_chain_file(peer->context, options->cert) == 1 &&
           SSL_CTX_use_PrivateKey_file(peer->context, options->key, SSL_FILETYPE_PEM) == 1;
}

static bool use_ca(struct tls_peer *peer)
{
    if (peer->options.ca == NULL) {
        SSL_CTX_set_verify(peer->context, SSL_VERIFY_NONE, NULL);
        return true;
    }
    SSL_CTX_set_verify(peer->context, SSL_VERIFY_PEER, NULL);
    return SSL_CTX_load_verify_locations(peer->context, peer->options.ca, NULL) == 1;
}

static bool make_context(struct tls_peer *peer)
{
    const struct tls_peer_options *options = &peer->options;

    peer->context = SSL_CTX_new(TLS_method());
    if (peer->context == NULL) {
        return say(peer, "context");
    }
    bool is_good =
        SSL_CTX_set_min_proto_version(peer->context, options->min) == 1 &&
        SSL_CTX_set_max_proto_version(peer->context, options->max) == 1 &&
        (options->suites == NULL ||
         SSL_CTX_set_strict_cipher_list(peer->context, options->suites) == 1) &&
        (options->sigalgs == NULL ||
         SSL_CTX_set1_sigalgs_list(peer->context, options->sigalgs) == 1) &&
        (options->groups == NULL || SSL_CTX_set1_curves_list(peer->context, options->groups) == 1);
    if (!is_good || !use_cert(peer) || !use_ca(peer)) {
        return say(peer, "options");
    }
    if (options->psk_identity != NULL) {
        SSL_CTX_set_psk_client_callback(peer->context, on_psk);
    }
    SSL_CTX_set_session_cache_mode(peer->context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(peer->context, on_session);
    SSL_CTX_set_info_callback(peer->context, on_info);
    return true;
}

static bool make_ssl(struct tls_peer *peer)
{
    const struct tls_peer_options *options = &peer->options;
    uint8_t alpn[32];

    peer->ssl = SSL_new(peer->context);
    if (peer->ssl == NULL) {
        return say(peer, "SSL");
    }
    SSL_set_app_data(peer->ssl, peer);
    if (options->server_name != NULL &&
        SSL_set_tlsext_host_name(peer->ssl, options->server_name) != 1) {
        return say(peer, "server name");
    }
    if (options->alpn != NULL) {
        size_t bytes = strlen(options->alpn);
        if (bytes >= sizeof alpn) {
            return say(peer, "ALPN");
        }
        alpn[0] = (uint8_t)bytes;
        memcpy(alpn + 1, options->alpn, bytes);
        SSL_set_alpn_protos(peer->ssl, alpn, (unsigned)bytes + 1);
    }
    if (options->session != NULL && SSL_set_session(peer->ssl, options->session) != 1) {
        return say(peer, "session");
    }
    return SSL_set_fd(peer->ssl, peer->fd) == 1 || say(peer, "socket");
}

/* ── life ── */

bool tls_peer_begin(struct tls_peer *peer, int fd, const struct tls_peer_options *options)
{
    signal(SIGPIPE, SIG_IGN); /* BoringSSL writes to sockets like to files */
    *peer = (struct tls_peer){.fd = fd, .options = *options};
    return make_context(peer) && make_ssl(peer);
}

bool tls_peer_dial(struct tls_peer *peer, const struct tls_peer_options *options)
{
    int fd = dial(options->port);

    if (fd < 0) {
        *peer = (struct tls_peer){.fd = -1, .options = *options};
        return say(peer, "connect");
    }
    return tls_peer_begin(peer, fd, options);
}

bool tls_peer_handshake(struct tls_peer *peer)
{
    ERR_clear_error();
    return SSL_connect(peer->ssl) == 1 || say(peer, "handshake");
}

bool tls_peer_open(struct tls_peer *peer, const struct tls_peer_options *options)
{
    return tls_peer_dial(peer, options) && tls_peer_handshake(peer);
}

static void release(struct tls_peer *peer)
{
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->context);
    SSL_SESSION_free(peer->session);
    if (peer->fd > 0) {
        close(peer->fd);
    }
    *peer = (struct tls_peer){.fd = -1};
}

void tls_peer_close(struct tls_peer *peer)
{
    if (peer->ssl != NULL && SSL_is_init_finished(peer->ssl)) {
        (void)SSL_shutdown(peer->ssl);
        ERR_clear_error();
    }
    release(peer);
}

void tls_peer_drop(struct tls_peer *peer)
{
    release(peer);
}

/* ── bytes ── */

bool tls_peer_send(struct tls_peer *peer, const void *bytes, size_t count)
{
    ERR_clear_error();
    return SSL_write(peer->ssl, bytes, (int)count) == (int)count || say(peer, "send");
}

int tls_peer_receive_some(struct tls_peer *peer, void *out, size_t room)
{
    ERR_clear_error();
    int got = SSL_read(peer->ssl, out, (int)room);
    if (got > 0) {
        return got;
    }
    if (SSL_get_error(peer->ssl, got) == SSL_ERROR_ZERO_RETURN) {
        return 0;
    }
    say(peer, "receive");
    return -1;
}

bool tls_peer_receive(struct tls_peer *peer, void *out, size_t count)
{
    uint8_t *at = out;

    while (count > 0) {
        int got = tls_peer_receive_some(peer, at, count);
        if (got <= 0) {
            return false;
        }
        at += got;
        count -= (size_t)got;
    }
    return true;
}

bool tls_peer_drain(struct tls_peer *peer)
{
    uint8_t bytes[4096];
    int got;

    errno = 0;
    do {
        got = tls_peer_receive_some(peer, bytes, sizeof bytes);
    } while (got > 0);
    return errno != EAGAIN && errno != EWOULDBLOCK;
}

/* ── what was agreed ── */

uint16_t tls_peer_version(const struct tls_peer *peer)
{
    return (uint16_t)SSL_version(peer->ssl);
}

uint16_t tls_peer_suite(const struct tls_peer *peer)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(peer->ssl);

    return cipher == NULL ? 0 : SSL_CIPHER_get_protocol_id(cipher);
}

bool tls_peer_resumed(const struct tls_peer *peer)
{
    return SSL_session_reused(peer->ssl) == 1;
}

bool tls_peer_has_rsa(const struct tls_peer *peer)
{
    X509 *cert = SSL_get_peer_certificate(peer->ssl);
    EVP_PKEY *key = cert == NULL ? NULL : X509_get_pubkey(cert);
    bool has_rsa = key != NULL && EVP_PKEY_id(key) == EVP_PKEY_RSA;

    EVP_PKEY_free(key);
    X509_free(cert);
    return has_rsa;
}

bool tls_peer_alpn_is(const struct tls_peer *peer, const char *name)
{
    const uint8_t *chosen;
    unsigned bytes;

    SSL_get0_alpn_selected(peer->ssl, &chosen, &bytes);
    return bytes == strlen(name) && (bytes == 0 || memcmp(chosen, name, bytes) == 0);
}

const char *tls_peer_server(const struct tls_peer *peer, char *out, size_t room)
{
    X509 *cert = SSL_get_peer_certificate(peer->ssl);

    out[0] = '\0';
    if (cert != NULL) {
        (void)X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, out,
                                        (int)room);
    }
    X509_free(cert);
    return out;
}

SSL_SESSION *tls_peer_take_session(struct tls_peer *peer)
{
    SSL_SESSION *session = peer->session;

    peer->session = NULL;
    return session;
}
