/*
 * tls.h — ciphertext to plaintext and back: contexts, and streams that know no socket
 *
 *     accept, connect                           each turn
 *          │                                       │
 *          ▼                                       ▼
 *     fmx_tls_handshake ──► MORE, until OK    fmx_tls_take: records → plaintext
 *       whole records in, records out         fmx_tls_seal: plaintext → records
 *
 * A stream is given whole records only (record.h): so it never holds a part of one, and what a peer
 * costs is what it has sent. Records in lie wherever the caller has them and are used up in the
 * call; records out go to the caller's sink. A stream is used by one thread at a time; a context by
 * any number.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <fleetmux/error.h>
#include <fleetmux/tls.h>
#include <sys/uio.h>

#define FMX_TLS_PLAINTEXT_BYTES_MAX 16384u /* of one record */
#define FMX_TLS_PSK_BYTES_MAX       64u
#define FMX_TLS_PSK_IDENTITY_MAX    128u

struct fmx_tls_context;
struct fmx_tls_stream;
struct fmx_tls_session; /* what a client needs to resume */
struct fmx_tls_tickets; /* tickets.h */

/* Where records go: called within calls on a stream. False: no memory; the stream has failed. */
struct fmx_tls_sink {
    bool (*write)(void *user, fmx_slice records);
    void *user;
};

/*
 * The key of a PSK identity, asked for within fmx_tls_handshake on its thread. Returns its bytes;
 * 0: the identity is not known, and the handshake fails as with a wrong key.
 */
typedef size_t fmx_tls_psk_key(void *user, unsigned thread, fmx_slice identity,
                               uint8_t out_key[FMX_TLS_PSK_BYTES_MAX]);

struct fmx_tls_psk_source {
    fmx_tls_psk_key *key; /* NULL: options.psk_file alone */
    void *user;
};

/* ── contexts ── */

/*
 * Reads all files. `tickets` is borrowed and outlives the context; NULL: no resumption. `scope`
 * keeps sessions of these settings from others: at most 32 bytes. FMX_OK with one reference; else
 * FMX_E_OPTION, FMX_SYS_FILE (errno set), FMX_LIMIT_MEMORY, with words that name field, file and
 * fix.
 */
enum fmx_status fmx_tls_server_open(const struct fmx_tls_server *options,
                                    struct fmx_tls_tickets *tickets, fmx_slice scope,
                                    const struct fmx_tls_psk_source *psk,
                                    struct fmx_tls_context **out_context, char *error,
                                    size_t error_bytes) FMX_MUST_USE;

/* The same of a client; `cert`, `key`, `psk…` are each stream's, not the context's. */
enum fmx_status fmx_tls_client_open(const struct fmx_tls_client *options,
                                    struct fmx_tls_context **out_context, char *error,
                                    size_t error_bytes) FMX_MUST_USE;

/* References, counted atomically; each stream holds one. */
struct fmx_tls_context *fmx_tls_context_hold(struct fmx_tls_context *context);
void fmx_tls_context_drop(struct fmx_tls_context *context); /* NULL is harmless */

/* What of fmx_tls_server handshakes are bounded by. */
struct fmx_tls_bounds {
    uint32_t handshake_timeout_ms;
    uint32_t handshake_bytes_max;
    uint32_t handshake_records_max;
};

const struct fmx_tls_bounds *fmx_tls_context_bounds(const struct fmx_tls_context *context);

/* ── streams ── */

/* NULL: no memory. */
struct fmx_tls_stream *fmx_tls_accept(struct fmx_tls_context *context);

/* A certificate with its key, read from two files; shared by streams. Reference counted. */
struct fmx_tls_cert;
enum fmx_status fmx_tls_cert_read(const char *cert, const char *key, struct fmx_tls_cert **out_cert,
                                  char *error, size_t error_bytes) FMX_MUST_USE;
struct fmx_tls_cert *fmx_tls_cert_hold(struct fmx_tls_cert *cert);
void fmx_tls_cert_drop(struct fmx_tls_cert *cert); /* NULL is harmless */

struct fmx_tls_dial {
    const char *server_name;         /* SNI, unless it is an IP address; what the server must be */
    struct fmx_tls_cert *cert;       /* NULL: none */
    struct fmx_tls_session *session; /* to resume; NULL: none */
    fmx_slice psk_identity;          /* empty: none */
    fmx_slice psk_key;
};

/* All of `dial` is copied or referenced. NULL: no memory. */
struct fmx_tls_stream *fmx_tls_connect(struct fmx_tls_context *context,
                                       const struct fmx_tls_dial *dial);

void fmx_tls_stream_close(struct fmx_tls_stream *stream); /* NULL is harmless */

/*
 * Goes on with the handshake. A client's first call has no records. `records` moves past what was
 * used up, which is all unless FMX_OK is returned: the rest is for fmx_tls_take. `thread` is passed
 * on to the source of PSKs. FMX_OK: done; FMX_MORE: the peer's turn; else why it failed (−5xx), the
 * alert for it being in the sink.
 */
enum fmx_status fmx_tls_handshake(struct fmx_tls_stream *stream, unsigned thread,
                                  fmx_slice *records, const struct fmx_tls_sink *sink) FMX_MUST_USE;

/*
 * Decrypts what fits of `records`, and moves them past what was used up. `room_bytes` is at least
 * FMX_TLS_PLAINTEXT_BYTES_MAX, so that a record fits. FMX_OK with bytes in `out_bytes`: call again;
 * FMX_MORE: all is used up; FMX_END: the peer has said that it says no more; else why not (−5xx).
 */
enum fmx_status fmx_tls_take(struct fmx_tls_stream *stream, fmx_slice *records, uint8_t *room,
                             size_t room_bytes, size_t *out_bytes,
                             const struct fmx_tls_sink *sink) FMX_MUST_USE;

/* Encrypts all parts, in as few records as there can be. FMX_OK, or why not (−5xx, no memory). */
enum fmx_status fmx_tls_seal(struct fmx_tls_stream *stream, const struct iovec *parts,
                             unsigned parts_count, const struct fmx_tls_sink *sink) FMX_MUST_USE;

/* Says once that nothing follows (close_notify). */
void fmx_tls_end(struct fmx_tls_stream *stream, const struct fmx_tls_sink *sink);

/* After the handshake. Slices live as long as the stream. */
void fmx_tls_stream_facts(const struct fmx_tls_stream *stream, struct fmx_tls_facts *out_facts);

/*
 * Is the server's or our key an RSA key, so that the handshake is slow? A server knows after its
 * first step, a client after the handshake.
 */
bool fmx_tls_stream_used_rsa(const struct fmx_tls_stream *stream);

/*
 * Is the client's certificate its login: the context has client_cert_is_login, and a certificate
 * was shown? After the handshake.
 */
bool fmx_tls_stream_is_login(const struct fmx_tls_stream *stream);

/* What became of a failure, in words: "the peer sent alert unknown_ca". Static storage. */
const char *fmx_tls_stream_fault(const struct fmx_tls_stream *stream);

/* A client's: what the server has given it to resume, with a reference; NULL: nothing (yet). */
struct fmx_tls_session *fmx_tls_stream_session(struct fmx_tls_stream *stream);
void fmx_tls_session_drop(struct fmx_tls_session *session); /* NULL is harmless */

/* May it be offered once only (1.3: twice would tell who watches that it is the same client)? */
bool fmx_tls_session_is_used_once(const struct fmx_tls_session *session);

#endif
