/*
 * stream — one connection's TLS: handshake, records to plaintext and back, and its end
 *
 * Why it is so:   everything that a call needs lies on its stack (struct fmx_tls_call), so that a
 *                 stream that waits is little more than the library's own state, and that is shed
 *                 of all that only a handshake needs
 * Words:          open — the handshake is done
 *                 status — sticky: once a stream has failed or ended it says so at each call
 * Invariants:     (1) plaintext that came before a failure is given out before the failure is told
 *                 (2) the library's error queue, which is the thread's, is left empty
 *                 (3) a stream that has failed says nothing more but the alert that told the peer
 *                 why
 * Memory:         owns the library's object, the login, the session; holds its context
 * Threads:        one at a time
 * Limits:         of records in a row that carry nothing, the library's: 32 empty ones, 32 key
 *                 updates, 4 warnings
 */
#include "tls/internal.h"

#include <fleetmux/private/assert.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/nid.h>

#include <stdlib.h>

/* ── beginning and end ── */

struct fmx_tls_stream *fmx_tls_stream_new(struct fmx_tls_context *context)
{
    struct fmx_tls_stream *stream = calloc(1, sizeof *stream);

    if (stream == NULL) {
        return NULL;
    }
    stream->context = fmx_tls_context_hold(context);
    stream->ssl = SSL_new(context->ssl);
    BIO *bio = stream->ssl == NULL ? NULL : fmx_tls_bio_new(stream);
    ERR_clear_error();
    if (bio == NULL) {
        fmx_tls_stream_close(stream);
        return NULL;
    }
    SSL_set_bio(stream->ssl, bio, bio);
    SSL_set_shed_handshake_config(stream->ssl, 1);
    return stream;
}

struct fmx_tls_stream *fmx_tls_accept(struct fmx_tls_context *context)
{
    FMX_ASSERT(context->is_server);
    struct fmx_tls_stream *stream = fmx_tls_stream_new(context);

    if (stream != NULL) {
        SSL_set_accept_state(stream->ssl);
    }
    return stream;
}

void fmx_tls_stream_close(struct fmx_tls_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    SSL_free(stream->ssl);
    SSL_SESSION_free(stream->session);
    fmx_tls_dialled_free(stream->dialled);
    free(stream->login);
    fmx_tls_context_drop(stream->context);
    free(stream);
}

/* ── failures ── */

static enum fmx_status fail(struct fmx_tls_stream *stream, enum fmx_status status,
                            const char *words)
{
    stream->status = status;
    if (stream->fault == NULL) { /* who looked at the certificate knows better */
        stream->fault = words;
    }
    return status;
}

/*
 * What the library's answer, which is not success, means. FMX_MORE: it wants records, and there are
 * no more.
 */
static enum fmx_status judge(struct fmx_tls_stream *stream, int result, bool is_open)
{
    const char *words = NULL;
    int error = SSL_get_error(stream->ssl, result);

    if (stream->sink_failed) {
        ERR_clear_error();
        return fail(stream, FMX_LIMIT_MEMORY, "memory ran out");
    }
    if (error == SSL_ERROR_WANT_READ && !stream->is_malformed) {
        return FMX_MORE;
    }
    if (error == SSL_ERROR_WANT_READ) {
        (void)SSL_send_fatal_alert(stream->ssl, SSL_AD_UNEXPECTED_MESSAGE);
        ERR_clear_error();
        return fail(stream, FMX_TLS_RECORD, "what came is no TLS record");
    }
    if (error == SSL_ERROR_ZERO_RETURN && is_open) {
        stream->status = FMX_END;
        return FMX_END;
    }
    enum fmx_status status = fmx_tls_fault_of(stream, error, is_open, &words);
    return fail(stream, status, words);
}

/* The library clears its queue when it is called, so this is all that is needed. */
static void leave(struct fmx_tls_stream *stream)
{
    stream->call = NULL;
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

/* ── handshake ── */

enum fmx_status fmx_tls_handshake(struct fmx_tls_stream *stream, unsigned thread,
                                  fmx_slice *records, const struct fmx_tls_sink *sink)
{
    struct fmx_tls_call call = {.records = *records, .sink = sink, .thread = thread};

    if (stream->status != FMX_OK) {
        return stream->status;
    }
    stream->call = &call;
    int result = SSL_do_handshake(stream->ssl);
    enum fmx_status status = result == 1 ? FMX_OK : judge(stream, result, false);
    leave(stream);
    *records = call.records;
    if (status != FMX_MORE) {
        fmx_tls_dialled_free(stream->dialled);
        stream->dialled = NULL;
    }
    return status;
}

/* ── records to plaintext ── */

/* False: the next record's plaintext may be more than there is room for. */
static bool fits(const struct fmx_tls_call *call, size_t room_bytes)
{
    const uint8_t *header = call->records.data;

    if (room_bytes >= FMX_TLS_PLAINTEXT_BYTES_MAX || call->records.bytes < 5) {
        return true;
    }
    return ((size_t)header[3] << 8 | header[4]) <= room_bytes;
}

/* FMX_OK: some plaintext; FMX_MORE: nothing is left. */
static enum fmx_status take(struct fmx_tls_stream *stream, const struct fmx_tls_call *call,
                            uint8_t *room, size_t room_bytes, size_t *out_bytes)
{
    bool has_pending = SSL_pending(stream->ssl) > 0;

    while (has_pending || call->records.bytes > 0) {
        size_t left = room_bytes - *out_bytes;
        if (*out_bytes > 0 && (left == 0 || !fits(call, left))) {
            return FMX_OK;
        }
        int got =
            SSL_read(stream->ssl, room + *out_bytes, left > INT32_MAX ? INT32_MAX : (int)left);
        if (got <= 0) {
            enum fmx_status status = judge(stream, got, true);
            return *out_bytes > 0 ? FMX_OK : status;
        }
        *out_bytes += (size_t)got;
        has_pending = SSL_pending(stream->ssl) > 0;
    }
    return *out_bytes > 0 ? FMX_OK : FMX_MORE;
}

enum fmx_status fmx_tls_take(struct fmx_tls_stream *stream, fmx_slice *records, uint8_t *room,
                             size_t room_bytes, size_t *out_bytes, const struct fmx_tls_sink *sink)
{
    struct fmx_tls_call call = {.records = *records, .sink = sink};

    FMX_ASSERT(room_bytes >= FMX_TLS_PLAINTEXT_BYTES_MAX);
    *out_bytes = 0;
    if (stream->status != FMX_OK) {
        return stream->status;
    }
    stream->call = &call;
    enum fmx_status status = take(stream, &call, room, room_bytes, out_bytes);
    leave(stream);
    *records = call.records;
    return status;
}

/* ── plaintext to records ── */

static enum fmx_status write_record(struct fmx_tls_stream *stream, const uint8_t *bytes,
                                    size_t count)
{
    while (count > 0) {
        int done = SSL_write(stream->ssl, bytes, (int)count);
        if (done <= 0) {
            enum fmx_status status = judge(stream, done, true);
            FMX_ASSERT(status != FMX_MORE);
            return status;
        }
        bytes += done;
        count -= (size_t)done;
    }
    return FMX_OK;
}

/* Small parts are gathered to one record; what fills one goes as it lies. */
static enum fmx_status seal(struct fmx_tls_stream *stream, const struct iovec *parts,
                            unsigned parts_count)
{
    uint8_t gathered[FMX_TLS_PLAINTEXT_BYTES_MAX];
    const size_t record_bytes = stream->context->record_bytes_max;
    enum fmx_status status = FMX_OK;
    size_t used = 0;

    for (unsigned i = 0; i < parts_count && status == FMX_OK; i++) {
        const uint8_t *bytes = parts[i].iov_base;
        size_t left = parts[i].iov_len;
        while (left > 0 && status == FMX_OK) {
            size_t count = left < record_bytes - used ? left : record_bytes - used;
            if (count == record_bytes) {
                status = write_record(stream, bytes, count);
            } else {
                memcpy(gathered + used, bytes, count);
                used += count;
            }
            bytes += count;
            left -= count;
            if (used == record_bytes && status == FMX_OK) {
                status = write_record(stream, gathered, used);
                used = 0;
            }
        }
    }
    if (used > 0 && status == FMX_OK) {
        status = write_record(stream, gathered, used);
    }
    return status;
}

enum fmx_status fmx_tls_seal(struct fmx_tls_stream *stream, const struct iovec *parts,
                             unsigned parts_count, const struct fmx_tls_sink *sink)
{
    struct fmx_tls_call call = {.sink = sink};

    if (stream->status != FMX_OK && stream->status != FMX_END) {
        return stream->status;
    }
    FMX_ASSERT(!stream->has_said_end);
    stream->call = &call;
    enum fmx_status status = seal(stream, parts, parts_count);
    leave(stream);
    return status;
}

void fmx_tls_end(struct fmx_tls_stream *stream, const struct fmx_tls_sink *sink)
{
    struct fmx_tls_call call = {.sink = sink};

    if (stream->has_said_end || (stream->status != FMX_OK && stream->status != FMX_END) ||
        SSL_in_init(stream->ssl)) {
        return;
    }
    stream->has_said_end = true;
    stream->call = &call;
    (void)SSL_shutdown(stream->ssl);
    leave(stream);
}

/* ── what is known ── */

static fmx_slice slice_of(const char *text)
{
    return text == NULL ? (fmx_slice){0} : fmx_slice_of(text);
}

static void client_facts(const struct fmx_tls_stream *stream, struct fmx_tls_facts *out_facts)
{
    const struct fmx_tls_login *login = stream->login;
    const uint8_t *digest = NULL;
    size_t digest_bytes = 0;

    SSL_SESSION_get0_peer_sha256(SSL_get_session(stream->ssl), &digest, &digest_bytes);
    if (digest_bytes == sizeof out_facts->client_cert_sha256) {
        out_facts->has_client_cert = true;
        memcpy(out_facts->client_cert_sha256, digest, digest_bytes);
    }
    if (login != NULL) {
        out_facts->cert_name = (fmx_slice){login->text, login->name_bytes};
        out_facts->cert_organization =
            (fmx_slice){login->text + login->name_bytes, login->organization_bytes};
    }
}

void fmx_tls_stream_facts(const struct fmx_tls_stream *stream, struct fmx_tls_facts *out_facts)
{
    const SSL *ssl = stream->ssl;
    const uint8_t *alpn = NULL;
    unsigned alpn_bytes = 0;

    FMX_ASSERT(!SSL_in_init(ssl));
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_bytes);
    *out_facts = (struct fmx_tls_facts){
        .version = (enum fmx_tls_version)SSL_version(ssl),
        .suite = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl)),
        .resumed = SSL_session_reused(ssl) == 1,
        .server_name = slice_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)),
        .alpn = {alpn, alpn_bytes},
        .psk_identity = slice_of(SSL_get_psk_identity(ssl)),
    };
    if (stream->context->is_server) {
        client_facts(stream, out_facts);
    }
}

bool fmx_tls_stream_is_login(const struct fmx_tls_stream *stream)
{
    return stream->context->client_cert_is_login && stream->login != NULL;
}

bool fmx_tls_stream_used_rsa(const struct fmx_tls_stream *stream)
{
    const SSL_CIPHER *suite = SSL_get_current_cipher(stream->ssl);
    uint16_t signature = SSL_get_peer_signature_algorithm(stream->ssl);

    if (suite == NULL || SSL_session_reused(stream->ssl) == 1 ||
        SSL_CIPHER_get_auth_nid(suite) == NID_auth_psk) {
        return false;
    }
    return stream->used_rsa || SSL_CIPHER_get_auth_nid(suite) == NID_auth_rsa ||
           (!stream->context->is_server && signature != 0 &&
            SSL_get_signature_algorithm_key_type(signature) == EVP_PKEY_RSA);
}

const char *fmx_tls_stream_fault(const struct fmx_tls_stream *stream)
{
    return stream->fault == NULL ? "nothing has failed" : stream->fault;
}

/* ── sessions of a client ── */

/* Up to 1.2 a session that was resumed is good for another time; of 1.3 each is used once. */
struct fmx_tls_session *fmx_tls_stream_session(struct fmx_tls_stream *stream)
{
    SSL_SESSION *session = stream->session;

    if (session == NULL && stream->context->keeps_session && !SSL_in_init(stream->ssl) &&
        SSL_version(stream->ssl) <= TLS1_2_VERSION && SSL_session_reused(stream->ssl) == 1) {
        session = SSL_get_session(stream->ssl);
    }
    if (session == NULL || SSL_SESSION_is_resumable(session) != 1) {
        return NULL;
    }
    (void)SSL_SESSION_up_ref(session);
    return (struct fmx_tls_session *)session;
}

void fmx_tls_session_drop(struct fmx_tls_session *session)
{
    SSL_SESSION_free((SSL_SESSION *)session);
}

bool fmx_tls_session_is_used_once(const struct fmx_tls_session *session)
{
    return SSL_SESSION_should_be_single_use((const SSL_SESSION *)session) == 1;
}
