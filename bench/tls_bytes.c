/*
 * tls_bytes — how BoringSSL reads from bytes at hand and writes behind others
 *
 * Why it is so:   what is compared with the gateway's streams, and what loads them, should cost as
 *                 little as BoringSSL can: no buffer between it and the bytes, one BIO for all
 *                 connections of a thread
 * Memory:         the output grows to the most that one call has written, and stays so
 * Threads:        one
 */
#include "bench/tls_bytes.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 65536u

static BIO_METHOD *method;

static int read_bytes(BIO *bio, char *to, int size)
{
    struct tls_bytes *bytes = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (bytes->in_size == 0 || size <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t taken = (size_t)size < bytes->in_size ? (size_t)size : bytes->in_size;
    memcpy(to, bytes->in, taken);
    bytes->in += taken;
    bytes->in_size -= taken;
    return (int)taken;
}

static int write_bytes(BIO *bio, const char *from, int size)
{
    struct tls_bytes *bytes = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (size <= 0) {
        return 0;
    }
    if (bytes->out_size + (size_t)size > bytes->out_capacity) {
        size_t capacity = 2 * (bytes->out_size + (size_t)size);
        uint8_t *grown = realloc(bytes->out, capacity);
        if (!grown) {
            return -1;
        }
        bytes->out = grown;
        bytes->out_capacity = capacity;
    }
    memcpy(bytes->out + bytes->out_size, from, (size_t)size);
    bytes->out_size += (size_t)size;
    return size;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

bool tls_bytes_open(struct tls_bytes *bytes)
{
    *bytes = (struct tls_bytes){0};
    if (!method) {
        method = BIO_meth_new(0, "bytes");
    }
    if (!method || BIO_meth_set_read(method, read_bytes) != 1 ||
        BIO_meth_set_write(method, write_bytes) != 1 || BIO_meth_set_ctrl(method, control) != 1) {
        return false;
    }
    bytes->bio = BIO_new(method);
    bytes->out = malloc(CAPACITY_FIRST);
    if (!bytes->bio || !bytes->out) {
        return false;
    }
    bytes->out_capacity = CAPACITY_FIRST;
    BIO_set_data(bytes->bio, bytes);
    BIO_set_init(bytes->bio, 1);
    return true;
}

void tls_bytes_close(struct tls_bytes *bytes)
{
    BIO_free(bytes->bio);
    free(bytes->out);
    *bytes = (struct tls_bytes){0};
}

SSL *tls_bytes_connection(struct tls_bytes *bytes, SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);
    if (ssl) {
        BIO_up_ref(bytes->bio);
        SSL_set_bio(ssl, bytes->bio, bytes->bio);
    }
    return ssl;
}

const char *tls_bytes_reason(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return words ? words : "the connection broke";
}
