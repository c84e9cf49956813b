/*
 * bio — the library's way to our bytes: records of the call that runs, and the caller's sink
 *
 * Why it is so:   no buffer of its own: what comes in is copied out of the caller's slice, what
 *                 goes out is given on as it comes; a stream that waits holds nothing here
 * Invariants:     the library reads from whole records only, so it never sets memory aside for one
 *                 that is merely announced
 * Memory:         one small object for each stream
 * Threads:        those of the stream
 */
#include "tls/internal.h"

#include "tls/record.h"

#include <fleetmux/private/assert.h>

#include <openssl/bio.h>

#include <pthread.h>

static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method;

/* Begins with the next record, if there is a whole one. */
static bool begin_record(struct fmx_tls_stream *stream, struct fmx_tls_call *call)
{
    size_t record_bytes = 0;

    if (call->record_bytes > 0) {
        return true;
    }
    if (call->records.bytes == 0) {
        return false;
    }
    if (fmx_tls_record_next(call->records, &record_bytes) != FMX_OK) {
        stream->is_malformed = true;
        return false;
    }
    call->record_bytes = record_bytes;
    return true;
}

static int read_records(BIO *bio, char *out, int room)
{
    struct fmx_tls_stream *stream = BIO_get_data(bio);
    struct fmx_tls_call *call = stream->call;

    BIO_clear_retry_flags(bio);
    if (room <= 0 || !begin_record(stream, call)) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t bytes = (size_t)room < call->record_bytes ? (size_t)room : call->record_bytes;
    memcpy(out, call->records.data, bytes);
    call->records.data += bytes;
    call->records.bytes -= bytes;
    call->record_bytes -= bytes;
    return (int)bytes;
}

static int write_records(BIO *bio, const char *records, int bytes)
{
    struct fmx_tls_stream *stream = BIO_get_data(bio);
    const struct fmx_tls_sink *sink = stream->call->sink;

    BIO_clear_retry_flags(bio);
    if (!stream->sink_failed && bytes > 0) {
        stream->sink_failed =
            !sink->write(sink->user, (fmx_slice){(const uint8_t *)records, (size_t)bytes});
    }
    if (stream->sink_failed) {
        BIO_set_retry_write(bio);
        return -1;
    }
    return bytes;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static void make_method(void)
{
    BIO_METHOD *made = BIO_meth_new(0, "records");

    if (made == NULL) {
        return;
    }
    FMX_ASSERT(BIO_meth_set_read(made, read_records) == 1);
    FMX_ASSERT(BIO_meth_set_write(made, write_records) == 1);
    FMX_ASSERT(BIO_meth_set_ctrl(made, control) == 1);
    method = made;
}

BIO *fmx_tls_bio_new(struct fmx_tls_stream *stream)
{
    (void)pthread_once(&method_once, make_method);
    BIO *bio = method == NULL ? NULL : BIO_new(method);

    if (bio != NULL) {
        BIO_set_data(bio, stream);
        BIO_set_init(bio, 1);
    }
    return bio;
}

struct fmx_tls_stream *fmx_tls_stream_of(const SSL *ssl)
{
    return BIO_get_data(SSL_get_rbio(ssl));
}
