/*
 * file — a small file of certificates, keys or secrets, read as a whole
 *
 * Why it is so:   whoever reads keys through a library's file functions leaves copies in buffers
 *                 that nobody wipes; here there is one copy, and it is wiped
 * Memory:         the caller owns the file's text until fmx_tls_file_wipe
 * Threads:        any
 * Limits:         FILE_BYTES_MAX
 */
#include "tls/internal.h"

#include <openssl/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)64 << 20)

static enum fmx_status cannot(const char *field, const char *path, char *error, size_t error_bytes)
{
    int number = errno;

    snprintf(error, error_bytes, "%s: '%s' cannot be read: %s", field, path, strerror(number));
    errno = number;
    return FMX_SYS_FILE;
}

/* Fills the file's text, which has room for `room_bytes`. False: errno is set. */
static bool read_all(int descriptor, struct fmx_tls_file *file, size_t room_bytes)
{
    while (file->bytes < room_bytes) {
        ssize_t got = read(descriptor, file->text + file->bytes, room_bytes - file->bytes);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return false;
        }
        if (got == 0) {
            return true;
        }
        file->bytes += (size_t)got;
    }
    return true;
}

static enum fmx_status read_open(int descriptor, const char *field, const char *path,
                                 struct fmx_tls_file *out_file, char *error, size_t error_bytes)
{
    struct stat facts;

    if (fstat(descriptor, &facts) != 0) {
        return cannot(field, path, error, error_bytes);
    }
    if (!S_ISREG(facts.st_mode)) {
        return fmx_tls_refuse(error, error_bytes, "%s: '%s' is not a file", field, path);
    }
    if (facts.st_size == 0) {
        return fmx_tls_refuse(error, error_bytes, "%s: '%s' is empty", field, path);
    }
    if ((uint64_t)facts.st_size > FILE_BYTES_MAX) {
        return fmx_tls_refuse(error, error_bytes, "%s: '%s' has more than %zu bytes", field, path,
                              FILE_BYTES_MAX);
    }
    out_file->text = malloc((size_t)facts.st_size + 1);
    if (out_file->text == NULL) {
        return fmx_tls_no_memory(error, error_bytes);
    }
    if (!read_all(descriptor, out_file, (size_t)facts.st_size)) {
        return cannot(field, path, error, error_bytes);
    }
    out_file->text[out_file->bytes] = '\0';
    return FMX_OK;
}

enum fmx_status fmx_tls_file_read(const char *field, const char *path,
                                  struct fmx_tls_file *out_file, char *error, size_t error_bytes)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    *out_file = (struct fmx_tls_file){0};
    if (descriptor < 0) {
        return cannot(field, path, error, error_bytes);
    }
    enum fmx_status status = read_open(descriptor, field, path, out_file, error, error_bytes);
    int number = errno;
    (void)close(descriptor);
    if (status != FMX_OK) {
        fmx_tls_file_wipe(out_file);
    }
    errno = number;
    return status;
}

void fmx_tls_file_wipe(struct fmx_tls_file *file)
{
    if (file->text != NULL) {
        OPENSSL_cleanse(file->text, file->bytes);
    }
    free(file->text);
    *file = (struct fmx_tls_file){0};
}
