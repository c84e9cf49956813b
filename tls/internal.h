/*
 * internal.h — what the files of tls/ know of one another; the only header of ours with BoringSSL's
 * types in it
 *
 *     context_server.c ─┬─ context.c ─ cert_read.c ─ file.c       stream.c ─┬─ dial.c
 *     context_client.c ─┘       │                                           ├─ bio.c
 *        hello.c, names.c       └─ key log, references                      └─ fault.c
 *        psk_file.c, verify.c, tickets.c
 */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include "tls/tickets.h"
#include "tls/tls.h"

#include <openssl/base.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>

#include <stdatomic.h>

/* ── settings.c ── */

/* Words into `error`; returns FMX_E_OPTION. */
enum fmx_status fmx_tls_refuse(char *error, size_t error_bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Words for memory that ran out; returns FMX_LIMIT_MEMORY. */
enum fmx_status fmx_tls_no_memory(char *error, size_t error_bytes);

/* Are the numbers in range, and do the fields go together? Reads no file. */
enum fmx_status fmx_tls_server_check(const struct fmx_tls_server *options, char *error,
                                     size_t error_bytes) FMX_MUST_USE;
enum fmx_status fmx_tls_client_check(const struct fmx_tls_client *options, char *error,
                                     size_t error_bytes) FMX_MUST_USE;

/* ── file.c ── */

/* A file as a whole, with a zero byte after it that does not count. */
struct fmx_tls_file {
    char *text;
    size_t bytes;
};

/* `field` is what the words call it. FMX_OK, FMX_SYS_FILE (errno set), FMX_E_OPTION (too large or
 * empty), FMX_LIMIT_MEMORY. */
enum fmx_status fmx_tls_file_read(const char *field, const char *path,
                                  struct fmx_tls_file *out_file, char *error,
                                  size_t error_bytes) FMX_MUST_USE;
void fmx_tls_file_wipe(struct fmx_tls_file *file);

/* ── file_new.c ── */

/*
 * Makes a file that is there as a whole or not at all; a secret for its owner alone. FMX_OK;
 * FMX_SYS_FILE (errno set; EEXIST: it is there already), with words that begin with `field`.
 */
enum fmx_status fmx_tls_file_make(const char *field, const char *path, fmx_slice content,
                                  bool is_secret, bool is_unsynced, char *error,
                                  size_t error_bytes) FMX_MUST_USE;

/* Words for a file that is there already, and may not be; returns FMX_SYS_FILE, errno is EEXIST. */
enum fmx_status fmx_tls_file_is_there(const char *field, const char *path, char *error,
                                      size_t error_bytes);

/* ── cert_read.c ── */

#define FMX_TLS_CHAIN_MAX 16u /* certificates in a chain of ours */

enum fmx_tls_key_kind {
    FMX_TLS_KEY_ECDSA,
    FMX_TLS_KEY_RSA,
};

struct fmx_tls_cert {
    atomic_uint references;
    enum fmx_tls_key_kind kind;
    uint16_t signature; /* of an ECDSA key in TLS 1.3: ecdsa_secp256r1_sha256, … */
    bool can_decrypt;   /* its key usage allows static RSA */
    size_t chain_count; /* the leaf stands first */
    EVP_PKEY *key;
    CRYPTO_BUFFER *chain[FMX_TLS_CHAIN_MAX];
};

/* As fmx_tls_cert_read, with the names of the two fields for the words. */
enum fmx_status fmx_tls_cert_read_named(const char *cert_field, const char *cert,
                                        const char *key_field, const char *key,
                                        struct fmx_tls_cert **out_cert, char *error,
                                        size_t error_bytes) FMX_MUST_USE;

/* All certificates of a chain are held once in the process, whoever has them. */
CRYPTO_BUFFER_POOL *fmx_tls_pool(void);

/* ── names.c: which certificates for which name (SNI) ── */

/* One name's certificates; either may be NULL, not both. */
struct fmx_tls_pair {
    struct fmx_tls_cert *cert;
    struct fmx_tls_cert *cert_rsa;
};

struct fmx_tls_name {
    char *name; /* in small letters, "*.example.com" for one label in front */
    struct fmx_tls_pair pair;
};

struct fmx_tls_names {
    struct fmx_tls_name *all; /* sorted */
    size_t count;
};

enum fmx_status fmx_tls_pair_read(const char *prefix, const char *cert, const char *key,
                                  const char *cert_rsa, const char *key_rsa,
                                  struct fmx_tls_pair *out_pair, char *error,
                                  size_t error_bytes) FMX_MUST_USE;
void fmx_tls_pair_drop(struct fmx_tls_pair *pair);

enum fmx_status fmx_tls_names_open(const struct fmx_tls_server_name *names, size_t count,
                                   struct fmx_tls_names *out_names, char *error,
                                   size_t error_bytes) FMX_MUST_USE;
void fmx_tls_names_close(struct fmx_tls_names *names);

/* NULL: no such name. */
const struct fmx_tls_pair *fmx_tls_names_find(const struct fmx_tls_names *names, fmx_slice name);

/* ── hello.c ── */

/* For SSL_CTX_set_select_certificate_cb: name and certificate, by what the client offers. */
enum ssl_select_cert_result_t fmx_tls_hello(const SSL_CLIENT_HELLO *hello);

/* ── psk_file.c ── */

struct fmx_tls_psk_entry; /* identity and key in one block */

struct fmx_tls_psk_table {
    struct fmx_tls_psk_entry **all; /* sorted by identity */
    size_t count;
};

enum fmx_status fmx_tls_psk_table_open(const char *path, struct fmx_tls_psk_table *out_table,
                                       char *error, size_t error_bytes) FMX_MUST_USE;
void fmx_tls_psk_table_close(struct fmx_tls_psk_table *table);

/* The key's bytes; 0: not there. */
size_t fmx_tls_psk_table_find(const struct fmx_tls_psk_table *table, fmx_slice identity,
                              uint8_t out_key[FMX_TLS_PSK_BYTES_MAX]);

/* ── verify.c: the peer's chain ── */

/* Authorities in `path`; `out_names` has their subjects in DER, for clients; may be NULL. */
enum fmx_status fmx_tls_authorities_read(const char *field, const char *path,
                                         X509_STORE **out_store,
                                         STACK_OF(CRYPTO_BUFFER) * *out_names,
                                         uint8_t out_sha256[32], char *error,
                                         size_t error_bytes) FMX_MUST_USE;

/* For SSL_CTX_set_custom_verify. */
enum ssl_verify_result_t fmx_tls_verify_client(SSL *ssl, uint8_t *out_alert);
enum ssl_verify_result_t fmx_tls_verify_server(SSL *ssl, uint8_t *out_alert);

/* Who a client's certificate says it is. */
#define FMX_TLS_LOGIN_BYTES_MAX 64u

struct fmx_tls_login {
    uint8_t name_bytes;
    uint8_t organization_bytes;
    uint8_t text[]; /* name, organization */
};

/* ── context.c ── */

struct fmx_tls_context {
    atomic_uint references;
    bool is_server;
    bool has_psk;
    bool client_cert_is_login;
    bool is_insecure; /* a client's */
    bool keeps_session;
    int key_log; /* -1: none */
    uint32_t record_bytes_max;
    uint32_t client_chain_max;
    uint32_t client_chain_bytes_max;
    uint16_t min;
    uint16_t max;
    struct fmx_tls_bounds bounds;
    SSL_CTX *ssl;
    X509_STORE *authorities;
    struct fmx_tls_tickets *tickets; /* borrowed */
    struct fmx_tls_psk_source psk;
    struct fmx_tls_psk_table psk_table;
    struct fmx_tls_pair pair; /* for clients that name none of `names` */
    struct fmx_tls_names names;
};

/* What servers and clients have in common; `fmx_tls_context_drop` undoes it at any point. */
enum fmx_status fmx_tls_context_new(bool is_server, struct fmx_tls_context **out_context,
                                    char *error, size_t error_bytes) FMX_MUST_USE;
enum fmx_status fmx_tls_context_common(struct fmx_tls_context *context, enum fmx_tls_version min,
                                       enum fmx_tls_version max, uint32_t record_bytes_max,
                                       const char *key_log, char *error,
                                       size_t error_bytes) FMX_MUST_USE;
struct fmx_tls_context *fmx_tls_context_of(const SSL *ssl);

/* ── stream.c ── */

/* What a stream needs within a call only. */
struct fmx_tls_call {
    fmx_slice records;   /* not read yet */
    size_t record_bytes; /* of the one that is being read, not read yet */
    const struct fmx_tls_sink *sink;
    unsigned thread;
};

/* What a stream needs within the handshake only; dial.c has a client's. */
struct fmx_tls_dialled;

struct fmx_tls_stream {
    SSL *ssl;
    struct fmx_tls_context *context;
    struct fmx_tls_call *call;       /* NULL outside calls */
    struct fmx_tls_dialled *dialled; /* a client's, until the handshake ends */
    struct fmx_tls_login *login;     /* a server's, with a client certificate */
    SSL_SESSION *session;            /* a client's newest */
    const char *fault;
    enum fmx_status status; /* FMX_OK until the peer has ended, or something has failed */
    bool used_rsa;
    bool sink_failed;
    bool is_malformed; /* what was given does not begin with a whole record */
    bool has_said_end;
};

/* Without its side (accept, connect) and what is a client's own. NULL: no memory. */
struct fmx_tls_stream *fmx_tls_stream_new(struct fmx_tls_context *context);

/* Within callbacks. */
struct fmx_tls_stream *fmx_tls_stream_of(const SSL *ssl);

/* ── dial.c ── */

struct fmx_tls_dialled {
    struct fmx_tls_cert *cert;
    uint8_t psk_key_bytes;
    uint8_t psk_identity_bytes;
    uint8_t psk_key[FMX_TLS_PSK_BYTES_MAX];
    char psk_identity[FMX_TLS_PSK_IDENTITY_MAX];
    char server_name[]; /* empty: none */
};

void fmx_tls_dialled_free(struct fmx_tls_dialled *dialled); /* NULL is harmless */

/* Is it an IP address, and so no name to say or to look for among DNS names? */
bool fmx_tls_is_address(const char *name);

/* For SSL_CTX_set_cert_cb and SSL_CTX_set_psk_client_callback. */
int fmx_tls_dialled_cert(SSL *ssl, void *unused);
unsigned fmx_tls_dialled_psk(SSL *ssl, const char *hint, char *out_identity, unsigned identity_max,
                             uint8_t *out_key, unsigned key_max);

/* ── bio.c: records of a call, and the sink, as BoringSSL wants them ── */

/* NULL: no memory. */
BIO *fmx_tls_bio_new(struct fmx_tls_stream *stream);

/* ── fault.c ── */

/* What the first error of BoringSSL's queue means; clears the queue. `is_open`: after the
 * handshake. */
enum fmx_status fmx_tls_fault_of(const struct fmx_tls_stream *stream, int ssl_error, bool is_open,
                                 const char **out_words);

/* ── tickets.c ── */

/*
 * For BoringSSL's ticket callback: fills in name, cipher and HMAC for a new ticket, or for the one
 * whose name stands there. As SSL_CTX_set_tlsext_ticket_key_cb wants it: 1, 2 (the ticket is to be
 * made anew), 0 (unknown key), -1. Any thread.
 */
int fmx_tls_tickets_apply(struct fmx_tls_tickets *tickets, uint8_t *name, uint8_t *iv,
                          EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac, bool is_new);

#endif
