/*
 * result_file — files that results are written to
 *
 * Why it is so:   a disk that is full is found out when the file is closed, so closing has an
 *                 answer. Whoever reads a result must not find half of one, so it is written
 *                 beside its place, as PATH.PID.part, and renamed at the end; what is no plain file
 *                 (/dev/stdout, a pipe), and where a folder takes no new file, it is written at
 *                 once. Where a part fails for another reason (a full disk, too many files) so
 *                 would the file, and what it held would be gone. What people have named (groups,
 *                 scenarios, command lines) may hold any bytes; what is written is UTF-8
 * Threads:        one
 */
#include "tools/fleetmux/result_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART_BYTES  (PATH_MAX + 32)
#define NEW_MODE    0666u /* less the umask */
#define SECRET_MODE 0600u

/* ── before it is written ── */

bool result_file_may_open(const char *path)
{
    struct stat facts;

    if (strcmp(path, "-") == 0) {
        return true;
    }
    if (stat(path, &facts) == 0) {
        errno = EISDIR; /* whoever reads from a pipe would take a first opening for the only one */
        return !S_ISDIR(facts.st_mode) && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
    }
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, NEW_MODE);
    if (file < 0) {
        return false;
    }
    close(file);
    char *name = realpath(path, NULL); /* a link that leads nowhere stays one */
    if (name != NULL) {
        unlink(name);
        free(name);
    }
    return true;
}

/* The folder that a name stands in; behind it the name. */
static const char *split(const char *path, char out_folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    int bytes = slash == NULL ? 0 : (int)(slash - path) + 1;

    snprintf(out_folder, PATH_MAX, "%.*s", bytes > 0 ? bytes : 1, bytes > 0 ? path : ".");
    return path + bytes;
}

static bool are_same(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

bool result_file_is_same(const char *path, const char *other)
{
    char folder[PATH_MAX], other_folder[PATH_MAX];
    struct stat facts, other_facts;

    if (strcmp(path, "-") == 0 || strcmp(other, "-") == 0) {
        return strcmp(path, other) == 0;
    }
    bool is_there = stat(path, &facts) == 0, is_other_there = stat(other, &other_facts) == 0;
    if (is_there || is_other_there) {
        return is_there && is_other_there && S_ISREG(facts.st_mode) &&
               are_same(&facts, &other_facts);
    }
    return strcmp(split(path, folder), split(other, other_folder)) == 0 &&
           stat(folder, &facts) == 0 && stat(other_folder, &other_facts) == 0 &&
           are_same(&facts, &other_facts);
}

/* ── writing ── */

/* Where it is written until it is whole. */
static void name_part(const char *path, char out_name[PART_BYTES])
{
    snprintf(out_name, PART_BYTES, "%.*s.%ld.part", PATH_MAX, path, (long)getpid());
}

/* Would another file in its place be the same to everybody? */
static bool is_plain(const char *path, const struct stat *facts)
{
    return S_ISREG(facts->st_mode) && facts->st_nlink == 1 && facts->st_uid == geteuid() &&
           access(path, W_OK) == 0;
}

/* NULL: errno says why. */
static FILE *open_part(const char *path, bool has_mode, mode_t mode)
{
    char name[PART_BYTES];

    name_part(path, name);
    (void)unlink(name); /* of a process that has died with this number */
    int part = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (part < 0) {
        return NULL;
    }
    FILE *file = !has_mode || fchmod(part, mode) == 0 ? fdopen(part, "w") : NULL;
    if (file == NULL) {
        int number = errno;
        close(part);
        unlink(name);
        errno = number;
    }
    return file;
}

/* NULL: errno says why. A file keeps its mode, but for one with secrets. */
static FILE *open_at_once(const char *path, bool has_secrets)
{
    struct stat facts;
    int file =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, has_secrets ? SECRET_MODE : NEW_MODE);

    if (file < 0) {
        return NULL;
    }
    if (has_secrets && fstat(file, &facts) == 0 && S_ISREG(facts.st_mode)) {
        (void)fchmod(file, SECRET_MODE); /* of another user's file it is that user's choice */
    }
    FILE *opened = fdopen(file, "w");
    if (opened == NULL) {
        close(file);
    }
    return opened;
}

/* Is there no room for a part where there may be some for the file? */
static bool is_of_the_folder(int number)
{
    return number == EACCES || number == EPERM || number == EROFS || number == ENAMETOOLONG;
}

static FILE *open_any(const char *path, bool has_secrets)
{
    struct stat before;
    bool is_there = lstat(path, &before) == 0;
    mode_t mode = has_secrets ? SECRET_MODE : is_there ? before.st_mode & 07777 : NEW_MODE;

    if (!is_there || is_plain(path, &before)) {
        FILE *file = open_part(path, is_there || has_secrets, mode);
        if (file != NULL || !is_of_the_folder(errno)) {
            return file;
        }
    }
    return open_at_once(path, has_secrets);
}

static FILE *open_or_say(const char *path, bool has_secrets, char *error, size_t error_bytes)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : open_any(path, has_secrets);

    if (file == NULL) {
        snprintf(error, error_bytes, "'%.200s' cannot be written: %s", path, strerror(errno));
    }
    return file;
}

FILE *result_file_open(const char *path, char *error, size_t error_bytes)
{
    return open_or_say(path, false, error, error_bytes);
}

FILE *result_file_open_secret(const char *path, char *error, size_t error_bytes)
{
    return open_or_say(path, true, error, error_bytes);
}

/* Was it opened as a part of `path`? */
static bool is_part(FILE *file, const char name[PART_BYTES])
{
    struct stat own, there;

    return fstat(fileno(file), &own) == 0 && lstat(name, &there) == 0 && are_same(&own, &there);
}

void result_file_abandon(FILE *file, const char *path)
{
    char name[PART_BYTES];

    if (file == stdout) {
        return;
    }
    name_part(path, name);
    bool has_part = is_part(file, name);
    (void)fclose(file);
    if (has_part) {
        unlink(name);
    }
}

bool result_file_close(FILE *file, const char *path, char *error, size_t error_bytes)
{
    char name[PART_BYTES];
    bool is_whole = fflush(file) == 0 && ferror(file) == 0;
    int number = errno;

    name_part(path, name);
    bool has_part = file != stdout && is_part(file, name);
    if (file != stdout && fclose(file) != 0 && is_whole) {
        is_whole = false;
        number = errno;
    }
    if (has_part && is_whole && rename(name, path) != 0) {
        is_whole = false;
        number = errno;
    }
    if (!is_whole) {
        snprintf(error, error_bytes, "'%.200s' could not be written whole: %s", path,
                 strerror(number));
    }
    if (!is_whole && has_part) {
        unlink(name);
    }
    return is_whole;
}

/* Bytes of the character that begins here, 0 if it is none. */
static size_t character_bytes(const unsigned char *at)
{
    if (at[0] < 0x80) {
        return (at[0] >= ' ' && at[0] != 0x7f) || at[0] == '\n' || at[0] == '\t' ? 1 : 0;
    }
    size_t bytes = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) { /* the terminating zero is not, either */
            return 0;
        }
    }
    bool is_long = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool is_none = (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf4 && at[1] >= 0x90) ||
                   (at[0] == 0xc2 && at[1] < 0xa0); /* surrogates, beyond Unicode, control */
    return is_long || is_none ? 0 : bytes;
}

char *result_file_clean(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL) {
        return NULL;
    }
    for (unsigned char *at = (unsigned char *)copy; *at != '\0';) {
        size_t bytes = character_bytes(at);
        if (bytes == 0) {
            *at = '?';
            bytes = 1;
        }
        at += bytes;
    }
    return copy;
}
