/*
 * tls — for loop tests of TLS: certificates, a gateway with three listeners, clients, and peers
 * whose records the test carries itself
 *
 * Why it is so:   a test that says what a record is, and when it leaves, finds what a client that
 *                 behaves never shows
 * Memory:         files in a folder of their own, which goes away with the process
 * Threads:        the test's
 */
#include "tests/loop/tls.h"

#include <fleetmux/cert.h>

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <dirent.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ── files ── */

#define NAME_BYTES FMX_TEMPORARY_FILE_BYTES

static char folder[FMX_TEMPORARY_BYTES];
static char cert_files[TLS_FILES_COUNT][NAME_BYTES];
static char key_files[TLS_FILES_COUNT][NAME_BYTES];

static void remove_folder(void)
{
    char name[NAME_BYTES + 300];
    DIR *directory = opendir(folder);
    struct dirent *entry;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
        unlink(name);
    }
    if (directory != NULL) {
        closedir(directory);
    }
    rmdir(folder);
}

const char *tls_path(const char *name)
{
    static char ring[8][NAME_BYTES];
    static unsigned at;

    if (folder[0] == '\0') {
        fmx_temporary_path(folder, sizeof folder, "fmx_tls_XXXXXX");
        CU_ASSERT_FATAL(mkdtemp(folder) != NULL);
        atexit(remove_folder);
    }
    char *out = ring[at++ % 8];
    snprintf(out, NAME_BYTES, "%s/%.60s", folder, name);
    return out;
}

static void make(const struct fmx_cert_options *options)
{
    char error[512] = "";

    if (fmx_cert_make(options, error, sizeof error) != FMX_OK) {
        fprintf(stderr, "%s: %s\n", options->out_cert, error);
        CU_FAIL_FATAL("fmx_cert_make");
    }
}

static void name_files(enum tls_file file, const char *name)
{
    char full[40];

    snprintf(full, sizeof full, "%s.pem", name);
    memcpy(cert_files[file], tls_path(full), NAME_BYTES);
    snprintf(full, sizeof full, "%s.key", name);
    memcpy(key_files[file], tls_path(full), NAME_BYTES);
}

static void make_authority(enum tls_file file, const char *name)
{
    struct fmx_cert_options options;

    name_files(file, name);
    fmx_cert_options_init(&options);
    options.is_authority = true;
    options.common_name = name;
    options.out_cert = cert_files[file];
    options.out_key = key_files[file];
    make(&options);
}

static void make_server(enum tls_file file, const char *name, const char *host,
                        enum fmx_cert_key key)
{
    const char *names[] = {host, "127.0.0.1"};
    struct fmx_cert_options options;

    name_files(file, name);
    fmx_cert_options_init(&options);
    options.key = key;
    options.common_name = host;
    options.names = names;
    options.names_count = 2;
    options.issuer_cert = tls_cert(TLS_FILE_CA);
    options.issuer_key = tls_key(TLS_FILE_CA);
    options.out_cert = cert_files[file];
    options.out_key = key_files[file];
    make(&options);
}

static void make_client(const char *name, const char *issuer_cert, const char *issuer_key,
                        const char *out_cert, const char *out_key)
{
    struct fmx_cert_options options;

    fmx_cert_options_init(&options);
    options.is_client = true;
    options.common_name = name;
    options.organization = "a1pk";
    options.issuer_cert = issuer_cert;
    options.issuer_key = issuer_key;
    options.out_cert = out_cert;
    options.out_key = out_key;
    make(&options);
}

static void make_stranger(void)
{
    char ca_cert[NAME_BYTES], ca_key[NAME_BYTES];
    struct fmx_cert_options options;

    memcpy(ca_cert, tls_path("unknown-ca.pem"), sizeof ca_cert);
    memcpy(ca_key, tls_path("unknown-ca.key"), sizeof ca_key);
    fmx_cert_options_init(&options);
    options.is_authority = true;
    options.common_name = "unknown";
    options.out_cert = ca_cert;
    options.out_key = ca_key;
    make(&options);
    name_files(TLS_FILE_STRANGER, "stranger");
    make_client("stranger", ca_cert, ca_key, cert_files[TLS_FILE_STRANGER],
                key_files[TLS_FILE_STRANGER]);
}

static void make_file(enum tls_file file)
{
    switch (file) {
    case TLS_FILE_CA:
        make_authority(file, "ca");
        break;
    case TLS_FILE_SERVER:
        make_server(file, "server", "localhost", FMX_CERT_KEY_P256);
        break;
    case TLS_FILE_OTHER:
        make_server(file, "other", "other.example", FMX_CERT_KEY_P256);
        break;
    case TLS_FILE_RSA:
        make_server(file, "rsa", "localhost", FMX_CERT_KEY_RSA2048);
        break;
    case TLS_FILE_CLIENT:
        name_files(file, "client");
        make_client("lamp", tls_cert(TLS_FILE_CA), tls_key(TLS_FILE_CA), cert_files[file],
                    key_files[file]);
        break;
    case TLS_FILE_STRANGER:
        make_stranger();
        break;
    case TLS_FILES_COUNT:
        break;
    }
}

const char *tls_cert(enum tls_file file)
{
    if (cert_files[file][0] == '\0') {
        make_file(file);
    }
    return cert_files[file];
}

const char *tls_key(enum tls_file file)
{
    (void)tls_cert(file);
    return key_files[file];
}

static void append_file(const char *from, const char *to, const char *mode)
{
    static char bytes[65536];
    FILE *in = fopen(from, "r");
    FILE *out = fopen(to, mode);

    CU_ASSERT_FATAL(in != NULL && out != NULL);
    size_t count = fread(bytes, 1, sizeof bytes, in);
    CU_ASSERT_EQUAL(fwrite(bytes, 1, count, out), count);
    fclose(in);
    CU_ASSERT_EQUAL(fclose(out), 0);
}

void tls_copy_file(const char *from, const char *to)
{
    append_file(from, to, "w");
}

/* Authorities below one another; fmx_cert_make writes who stands above a certificate behind it. */
const char *tls_long_chain(unsigned count, const char **out_key)
{
    static char cert[NAME_BYTES], key[NAME_BYTES];
    char issuer_cert[NAME_BYTES], issuer_key[NAME_BYTES], name[40];
    struct fmx_cert_options options;

    snprintf(issuer_cert, sizeof issuer_cert, "%s", tls_cert(TLS_FILE_CA));
    snprintf(issuer_key, sizeof issuer_key, "%s", tls_key(TLS_FILE_CA));
    CU_ASSERT_FATAL(count >= 1);
    for (unsigned i = 1; i <= count; i++) {
        snprintf(name, sizeof name, "chain-%u-%u", count, i);
        snprintf(cert, sizeof cert, "%s.pem", tls_path(name));
        snprintf(key, sizeof key, "%s.key", tls_path(name));
        if (i == count) {
            make_client("lamp", issuer_cert, issuer_key, cert, key);
            break;
        }
        fmx_cert_options_init(&options);
        options.is_authority = true;
        options.common_name = name;
        options.issuer_cert = issuer_cert;
        options.issuer_key = issuer_key;
        options.out_cert = cert;
        options.out_key = key;
        make(&options);
        memcpy(issuer_cert, cert, NAME_BYTES);
        memcpy(issuer_key, key, NAME_BYTES);
    }
    *out_key = key;
    return cert;
}

const char *tls_big_chain(unsigned count)
{
    static char chain[NAME_BYTES];

    snprintf(chain, sizeof chain, "%s", tls_path("big.chain"));
    append_file(tls_cert(TLS_FILE_CLIENT), chain, "w");
    for (unsigned i = 0; i < count; i++) {
        append_file(tls_cert(TLS_FILE_CA), chain, "a");
    }
    return chain;
}

/* ── a gateway ── */

/*
 * Long, and shorter than a wait: where data and the peer's end come at once, some kernels (6.18)
 * tell a receive that stays armed of the data only.
 */
#define TIMEOUT_MS LOOP_SIZE(15000, 45000)

void tls_world(struct tls_world *world, uint32_t shards_count, uint32_t workers)
{
    static const char *const listen[] = {"127.0.0.1:0", "mqtts://127.0.0.1:0",
                                         "mqtt://127.0.0.1:0"};

    loop_begin();
    *world = (struct tls_world){0};
    loop_gateway_options(&world->options, shards_count);
    fmx_tls_server_init(&world->server);
    world->server.cert = tls_cert(TLS_FILE_SERVER);
    world->server.key = tls_key(TLS_FILE_SERVER);
    world->server.handshake_timeout_ms = TIMEOUT_MS;
    world->options.mux.log_level = FMX_LOG_ERROR; /* what clients do is told as a warning */
    world->options.listen = listen;
    world->options.listen_count = 3;
    world->options.tls_limits.workers = workers;
    world->options.tls_limits.unfinished_max = 100000;
    world->options.tls_limits.unfinished_per_address_max = 100000;
    world->options.tls_limits.handshakes_per_second = 1000000;
    world->options.connect_timeout_ms = TIMEOUT_MS;
}

void tls_start(struct tls_world *world)
{
    world->options.tls = &world->server;
    world->options.tls_count = 1;
    world->gateway = loop_gateway_start(&world->options);
    world->port = fmx_gateway_port(world->gateway, 0);
    world->tls_port = fmx_gateway_port(world->gateway, 1);
    world->plain_port = fmx_gateway_port(world->gateway, 2);
}

struct fmx_stats tls_stats(const struct tls_world *world)
{
    return loop_stats(world->gateway);
}

void tls_expect_empty(const struct tls_world *world)
{
    loop_expect_empty(world->gateway);
    LOOP_WAIT(tls_stats(world).tls_unfinished_now == 0);
    LOOP_WAIT(tls_stats(world).tls_now == 0);
}

void tls_end(struct tls_world *world)
{
    tls_expect_empty(world);
    loop_gateway_end(world->gateway);
}

static void talk_to_oneself(struct tls_peer *peer)
{
    static struct loop_packet got;
    uint16_t packet_id;
    uint8_t ack[4];

    tls_subscribe(peer, "self/honest", 1);
    CU_ASSERT(tls_publish(peer, "self/honest", fmx_slice_of("hello"), 1, 9));
    for (unsigned i = 0; i < 2; i++) { /* PUBACK and PUBLISH, in any order */
        CU_ASSERT_FATAL(tls_receive(peer, &got));
        if (got.head >> 4 == 3) {
            fmx_slice payload = tls_payload(&got, &packet_id);
            CU_ASSERT(payload.bytes == 5 && memcmp(payload.data, "hello", 5) == 0);
            CU_ASSERT(tls_peer_send(peer, ack, loop_write_puback(ack, packet_id)));
        } else {
            CU_ASSERT_EQUAL(got.head, 0x40);
        }
    }
    CU_ASSERT(tls_peer_send(peer, (uint8_t[]){0xe0, 0}, 2));
}

void tls_serve(const struct tls_world *world)
{
    struct tls_peer_options options = tls_client(world->port);
    struct tls_peer peer;

    options.ca = tls_cert(TLS_FILE_CA);
    tls_join(&peer, &options,
             &(struct loop_connect){.client_id = "honest", .version = FMX_MQTT_311, .clean = true});
    talk_to_oneself(&peer);
    CU_ASSERT(tls_peer_drain(&peer));
    tls_peer_close(&peer);

    struct loop_peer plain = loop_connect(
        world->port,
        &(struct loop_connect){.client_id = "plain", .version = FMX_MQTT_311, .clean = true});
    loop_subscribe(plain, "self/plain", 0);
    CU_ASSERT(loop_send(plain.fd, (uint8_t[]){0xe0, 0}, 2));
    CU_ASSERT(loop_drain_to_end(plain.fd));
    close(plain.fd);
}

/* ── memory ── */

#if LOOP_SANITIZED
size_t __sanitizer_get_current_allocated_bytes(void);
#endif
int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes)
    __attribute__((weak)); /* jemalloc's, if it is linked */

bool tls_memory(size_t *out_bytes)
{
#if LOOP_SANITIZED
    *out_bytes = __sanitizer_get_current_allocated_bytes();
    return true;
#else
    uint64_t epoch = 1;
    size_t bytes = sizeof *out_bytes;

    if (mallctl != NULL) {
        return mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0 &&
               mallctl("stats.allocated", out_bytes, &bytes, NULL, 0) == 0;
    }
    struct mallinfo2 info = mallinfo2();
    *out_bytes = info.uordblks + info.hblkhd;
    return true;
#endif
}

/* ── MQTT over tls_peer ── */

struct tls_peer_options tls_client(uint16_t port)
{
    return (struct tls_peer_options){.port = port, .server_name = "localhost"};
}

void tls_join(struct tls_peer *peer, const struct tls_peer_options *options,
              const struct loop_connect *connect)
{
    static struct loop_packet got;
    uint8_t bytes[1024];

    if (!tls_peer_open(peer, options)) {
        fprintf(stderr, "  %s\n", peer->words);
        CU_FAIL_FATAL("tls_peer_open");
    }
    CU_ASSERT_FATAL(tls_peer_send(peer, bytes, loop_write_connect(bytes, connect)));
    CU_ASSERT_FATAL(tls_receive(peer, &got));
    CU_ASSERT_EQUAL_FATAL(got.head, 0x20);
    CU_ASSERT_EQUAL_FATAL(got.body[1], 0);
}

void tls_join_plainly(struct tls_peer *peer, uint16_t port, const char *client_id)
{
    struct tls_peer_options options = tls_client(port);

    tls_join(
        peer, &options,
        &(struct loop_connect){.client_id = client_id, .version = FMX_MQTT_311, .clean = true});
}

void tls_subscribe(struct tls_peer *peer, const char *filter, uint8_t qos)
{
    static struct loop_packet got;
    uint8_t bytes[600];

    CU_ASSERT_FATAL(
        tls_peer_send(peer, bytes, loop_write_subscribe(bytes, FMX_MQTT_311, filter, qos)));
    CU_ASSERT_FATAL(tls_receive(peer, &got));
    CU_ASSERT_EQUAL_FATAL(got.head, 0x90);
    CU_ASSERT_EQUAL_FATAL(got.body[got.bytes - 1], qos);
}

bool tls_publish(struct tls_peer *peer, const char *topic, fmx_slice payload, uint8_t qos,
                 uint16_t packet_id)
{
    uint8_t *bytes = malloc(payload.bytes + 1024);

    CU_ASSERT_FATAL(bytes != NULL);
    size_t count = loop_write_publish(bytes, FMX_MQTT_311, topic, payload, qos, packet_id);
    bool is_sent = tls_peer_send(peer, bytes, count);
    free(bytes);
    return is_sent;
}

bool tls_receive(struct tls_peer *peer, struct loop_packet *packet)
{
    uint8_t byte;
    unsigned shift = 0;

    packet->bytes = 0;
    if (!tls_peer_receive(peer, &packet->head, 1)) {
        return false;
    }
    do {
        if (shift > 21 || !tls_peer_receive(peer, &byte, 1)) {
            return false;
        }
        packet->bytes |= (size_t)(byte & 127) << shift;
        shift += 7;
    } while ((byte & 128) != 0);
    return packet->bytes <= sizeof packet->body &&
           tls_peer_receive(peer, packet->body, packet->bytes);
}

fmx_slice tls_payload(const struct loop_packet *packet, uint16_t *out_packet_id)
{
    return loop_payload((struct loop_peer){.version = FMX_MQTT_311}, packet, out_packet_id);
}

/* ── peers whose records the test carries ── */

void tls_wire_begin(struct tls_wire *wire, int fd, const struct tls_peer_options *options)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    wire->is_done = false;
    CU_ASSERT_FATAL(tls_peer_begin(&wire->peer, fd, options));
    wire->in = BIO_new(BIO_s_mem());
    wire->out = BIO_new(BIO_s_mem());
    CU_ASSERT_FATAL(wire->in != NULL && wire->out != NULL);
    BIO_set_mem_eof_return(wire->in, -1);
    SSL_set_bio(wire->peer.ssl, wire->in, wire->out);
}

void tls_wire_open(struct tls_wire *wire, const struct tls_peer_options *options)
{
    tls_wire_begin(wire, loop_dial(options->port, 0), options);
}

bool tls_wire_step(struct tls_wire *wire)
{
    ERR_clear_error();
    int result = SSL_connect(wire->peer.ssl);
    wire->is_done = result == 1;
    return wire->is_done || SSL_get_error(wire->peer.ssl, result) == SSL_ERROR_WANT_READ;
}

size_t tls_wire_take(struct tls_wire *wire, uint8_t *out, size_t room)
{
    int got = BIO_read(wire->out, out, (int)room);

    return got > 0 ? (size_t)got : 0;
}

bool tls_wire_say(struct tls_wire *wire)
{
    uint8_t bytes[4096];
    size_t count;

    while ((count = tls_wire_take(wire, bytes, sizeof bytes)) > 0) {
        if (!loop_send(wire->peer.fd, bytes, count)) {
            return false;
        }
    }
    return true;
}

bool tls_wire_hear(struct tls_wire *wire)
{
    uint8_t bytes[4096];
    ssize_t got = recv(wire->peer.fd, bytes, sizeof bytes, 0);

    return got > 0 && BIO_write(wire->in, bytes, (int)got) == got;
}

bool tls_wire_handshake(struct tls_wire *wire)
{
    while (!wire->is_done) {
        if (!tls_wire_step(wire) || !tls_wire_say(wire) ||
            (!wire->is_done && !tls_wire_hear(wire))) {
            return false;
        }
    }
    return true;
}

bool tls_wire_hear_end(struct tls_wire *wire)
{
    return loop_drain_to_end(wire->peer.fd);
}

/* RFC 5246, 6.2.3.3, and RFC 5288: an explicit nonce in front, 16 bytes of tag behind. */
size_t tls_wire_forge(struct tls_wire *wire, unsigned number, uint8_t type, fmx_slice plaintext,
                      uint8_t *out)
{
    SSL *ssl = wire->peer.ssl;
    uint8_t keys[128], nonce[12], words[13];
    uint64_t sequence = SSL_get_write_sequence(ssl) + number;
    size_t key_bytes = SSL_get_key_block_len(ssl), sealed;
    EVP_AEAD_CTX aead;

    CU_ASSERT_EQUAL_FATAL(key_bytes, 2 * (16 + 4));
    CU_ASSERT_FATAL(SSL_generate_key_block(ssl, keys, key_bytes) == 1);
    for (unsigned i = 0; i < 8; i++) {
        words[i] = nonce[4 + i] = (uint8_t)(sequence >> (56 - 8 * i));
    }
    memcpy(nonce, keys + 32, 4); /* behind both keys */
    memcpy(words + 8, (uint8_t[]){type, 3, 3}, 3);
    words[11] = (uint8_t)(plaintext.bytes >> 8);
    words[12] = (uint8_t)plaintext.bytes;
    CU_ASSERT_FATAL(EVP_AEAD_CTX_init(&aead, EVP_aead_aes_128_gcm(), keys, 16, 16, NULL) == 1);
    CU_ASSERT_FATAL(EVP_AEAD_CTX_seal(&aead, out + 5 + 8, &sealed, plaintext.bytes + 16, nonce,
                                      sizeof nonce, plaintext.data, plaintext.bytes, words,
                                      sizeof words) == 1);
    EVP_AEAD_CTX_cleanup(&aead);
    memcpy(out, words + 8, 3);
    out[3] = (uint8_t)((8 + sealed) >> 8);
    out[4] = (uint8_t)(8 + sealed);
    memcpy(out + 5, nonce + 4, 8);
    return 5 + 8 + sealed;
}

void tls_reset(int fd)
{
    const struct linger linger = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

void tls_wire_close(struct tls_wire *wire, bool is_reset)
{
    if (is_reset && wire->peer.fd >= 0) {
        tls_reset(wire->peer.fd);
        wire->peer.fd = -1;
    }
    tls_peer_drop(&wire->peer);
}

size_t tls_hello(uint8_t *out, size_t room)
{
    struct tls_peer_options options = {.server_name = "localhost"};
    struct tls_wire wire;

    tls_wire_begin(&wire, -1, &options);
    CU_ASSERT_FATAL(tls_wire_step(&wire));
    size_t count = tls_wire_take(&wire, out, room);
    tls_peer_drop(&wire.peer);
    CU_ASSERT_FATAL(count > 5 && count < room && out[0] == 0x16);
    return count;
}
