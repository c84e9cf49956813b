/*
 * file_new — a new file that is there as a whole or not at all, and replaces nothing
 *
 * Why it is so:   a key that is half written, or written over another, is worse than none. So the
 *                 content goes into a file without a name (O_TMPFILE), and gets its name when it is
 *                 whole; the kernel gives a name only if nobody has it. File systems without such
 *                 files get one with a random name, which a crash may leave
 * Memory:         owns nothing
 * Threads:        any
 * Not here:       files that are replaced: tickets.c
 */
#include "tls/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/rand.h>

struct new_file {
    const char *path;
    fmx_slice content;
    mode_t mode;
    bool is_unsynced;
};

/* Writes all, and waits for the disk. False: errno is set. */
static bool write_all(int fd, const struct new_file *file)
{
    const uint8_t *at = file->content.data;
    size_t left = file->content.bytes;

    while (left > 0) {
        ssize_t count = write(fd, at, left);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        at += count > 0 ? count : 0;
        left -= count > 0 ? (size_t)count : 0;
    }
    return file->is_unsynced || fsync(fd) == 0;
}

/* The folder of a path, cut off where it has room for no more. */
static void folder_of(const char *path, char out_folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t bytes = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);

    snprintf(out_folder, PATH_MAX, "%.*s", bytes > 0 ? (int)bytes : 1, bytes > 0 ? path : ".");
}

/* 0, or errno. */
static int close_with(int fd, bool is_good)
{
    int sys_errno = is_good ? 0 : errno;

    close(fd);
    return sys_errno;
}

/* 0; EEXIST; ENOSYS: it cannot be done in this way; or another errno. */
static int make_unnamed(const char *folder, const struct new_file *file)
{
    char name[40];
    int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, file->mode);

    if (fd < 0) {
        return errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL ? ENOSYS : errno;
    }
    if (!write_all(fd, file)) {
        return close_with(fd, false);
    }
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    int sys_errno =
        close_with(fd, linkat(AT_FDCWD, name, AT_FDCWD, file->path, AT_SYMLINK_FOLLOW) == 0);
    return sys_errno == 0 || sys_errno == EEXIST ? sys_errno : ENOSYS;
}

/* 0, or errno. */
static int make_named(const struct new_file *file)
{
    char name[PATH_MAX];
    uint32_t number;

    RAND_bytes((uint8_t *)&number, sizeof(number));
    if (snprintf(name, sizeof(name), "%s-new-%08x", file->path, number) >= (int)sizeof(name)) {
        return ENAMETOOLONG;
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, file->mode);
    if (fd < 0) {
        return errno;
    }
    int sys_errno = close_with(fd, write_all(fd, file) && link(name, file->path) == 0);
    unlink(name);
    return sys_errno;
}

static void sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd); /* without it the file is there after a power failure, or not at all */
        close(fd);
    }
}

enum fmx_status fmx_tls_file_make(const char *field, const char *path, fmx_slice content,
                                  bool is_secret, bool is_unsynced, char *error, size_t error_bytes)
{
    const struct new_file file = {.path = path,
                                  .content = content,
                                  .mode = is_secret ? 0600 : 0644,
                                  .is_unsynced = is_unsynced};
    char folder[PATH_MAX];

    folder_of(path, folder);
    int sys_errno = make_unnamed(folder, &file);
    if (sys_errno == ENOSYS) {
        sys_errno = make_named(&file);
    }
    if (sys_errno == 0) {
        if (!is_unsynced) {
            sync_folder(folder);
        }
        return FMX_OK;
    }
    if (sys_errno == EEXIST) {
        return fmx_tls_file_is_there(field, path, error, error_bytes);
    }
    snprintf(error, error_bytes, "%s: '%s' cannot be written: %s", field, path,
             strerror(sys_errno));
    errno = sys_errno;
    return FMX_SYS_FILE;
}

enum fmx_status fmx_tls_file_is_there(const char *field, const char *path, char *error,
                                      size_t error_bytes)
{
    snprintf(error, error_bytes, "%s: '%s' is there already; remove it, or name another", field,
             path);
    errno = EEXIST;
    return FMX_SYS_FILE;
}
