/*
 * context — what the contexts of servers and of clients have in common
 *
 * Why it is so:   a context is the library's SSL_CTX and what our callbacks need beside it; a
 *                 reload makes another one, and old streams keep the one that they began with
 * Memory:         reference counted; each stream holds one
 * Threads:        any; nothing in it changes once it is open, but the count
 * Limits:         a line of the key log is written in one piece, so that threads do not mix lines
 */
#include "tls/internal.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/x509.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

struct fmx_tls_context *fmx_tls_context_of(const SSL *ssl)
{
    return fmx_tls_stream_of(ssl)->context;
}

enum fmx_status fmx_tls_context_new(bool is_server, struct fmx_tls_context **out_context,
                                    char *error, size_t error_bytes)
{
    struct fmx_tls_context *context = calloc(1, sizeof *context);

    *out_context = NULL;
    if (context == NULL) {
        return fmx_tls_no_memory(error, error_bytes);
    }
    atomic_init(&context->references, 1);
    context->is_server = is_server;
    context->key_log = -1;
    context->ssl = SSL_CTX_new(TLS_with_buffers_method());
    ERR_clear_error();
    if (context->ssl == NULL || fmx_tls_pool() == NULL) {
        fmx_tls_context_drop(context);
        return fmx_tls_no_memory(error, error_bytes);
    }
    *out_context = context;
    return FMX_OK;
}

/* A line that does not get written is no reason to end a handshake. */
static void log_key(const SSL *ssl, const char *line)
{
    const struct iovec parts[] = {
        {.iov_base = (void *)(uintptr_t)line, .iov_len = strlen(line)},
        {.iov_base = (void *)(uintptr_t) "\n", .iov_len = 1},
    };
    int number = errno;

    (void)!writev(fmx_tls_context_of(ssl)->key_log, parts, 2);
    errno = number;
}

static enum fmx_status open_key_log(struct fmx_tls_context *context, const char *path, char *error,
                                    size_t error_bytes)
{
    context->key_log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (context->key_log < 0) {
        int number = errno;
        snprintf(error, error_bytes, "key_log: '%s' cannot be written: %s", path, strerror(number));
        errno = number;
        return FMX_SYS_FILE;
    }
    SSL_CTX_set_keylog_callback(context->ssl, log_key);
    return FMX_OK;
}

enum fmx_status fmx_tls_context_common(struct fmx_tls_context *context, enum fmx_tls_version min,
                                       enum fmx_tls_version max, uint32_t record_bytes_max,
                                       const char *key_log, char *error, size_t error_bytes)
{
    SSL_CTX *ssl = context->ssl;

    context->min = (uint16_t)min;
    context->max = (uint16_t)max;
    context->record_bytes_max = record_bytes_max;
    if (SSL_CTX_set_min_proto_version(ssl, (uint16_t)min) != 1 ||
        SSL_CTX_set_max_proto_version(ssl, (uint16_t)max) != 1 ||
        SSL_CTX_set_max_send_fragment(ssl, record_bytes_max) != 1 ||
        SSL_CTX_set1_curves_list(ssl, "X25519:P-256:P-384") != 1) {
        ERR_clear_error();
        return fmx_tls_no_memory(error, error_bytes);
    }
    (void)SSL_CTX_set_mode(ssl,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (min <= FMX_TLS_10) {
        (void)SSL_CTX_set_mode(ssl, SSL_MODE_CBC_RECORD_SPLITTING);
    }
    SSL_CTX_set_early_data_enabled(ssl, 0);
    if (key_log != NULL) {
        return open_key_log(context, key_log, error, error_bytes);
    }
    return FMX_OK;
}

struct fmx_tls_context *fmx_tls_context_hold(struct fmx_tls_context *context)
{
    (void)atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void fmx_tls_context_drop(struct fmx_tls_context *context)
{
    if (context == NULL ||
        atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    SSL_CTX_free(context->ssl);
    X509_STORE_free(context->authorities);
    fmx_tls_psk_table_close(&context->psk_table);
    fmx_tls_pair_drop(&context->pair);
    fmx_tls_names_close(&context->names);
    if (context->key_log >= 0) {
        (void)close(context->key_log);
    }
    free(context);
}

const struct fmx_tls_bounds *fmx_tls_context_bounds(const struct fmx_tls_context *context)
{
    return &context->bounds;
}
