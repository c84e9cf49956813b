/*
 * tickets — a ring of three keys for session tickets, in memory or in a file that processes share
 *
 * Why it is so:   whoever has the key of a ticket can read the session that it resumes (and, at
 *                 1.2, the one that it came from), so no key may stay for long. Next is there one
 *                 period before a ticket is made with it: every process has read it by then.
 *                 Tickets of the previous key are taken and made anew. Keys are random: to derive
 *                 them from the time and a secret would give all of them away with the secret
 * Format:         text: one line that says what it is, then one line for each key: its place, since
 *                 when it is current (UNIX seconds; 0: it never was), name, AES key and HMAC key in
 *                 hexadecimal. The file is replaced by rename, never changed, so reading needs no
 *                 lock. An empty file is one that is about to be made
 * Invariants:     (1) whoever replaces the file holds the flock on the file that has the name at
 *                 that moment: after locking it is looked whether it still has. The wait for it is
 *                 bounded
 *                 (2) of several processes that find the keys old one moves them on: the others
 *                 read them again under the lock and find them young
 *                 (3) a file that others may read or write is refused; one with a fault leaves the
 *                 keys in use as they are, and is never written to
 *                 (4) the owner stays: root may move the keys of another user's gateway on
 * Memory:         owns the keys; wiped wherever they lay
 * Threads:        fmx_tls_tickets_apply: any; the ring is held for the time of one copy. Everything
 *                 else with one `tickets`: one thread
 * Limits:         a clock that is behind the file by more than a period moves the keys on, as
 *                 nobody knows how old they are; after three periods without a look all are new
 * Not here:       how long a ticket is good for: context.c; when to look: engine/roles
 */
#include "tls/tickets.h"

#include "tls/internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fleetmux/private/assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/cipher.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#define NAME_BYTES 16u
#define AES_BYTES  32u
#define HMAC_BYTES 32u
#define IV_BYTES   16u

#define FILE_BYTES_MAX 1024u
#define SINCE_S_MAX    253402300799u /* the last second of the year 9999 */
#define LOCK_TRIES     500u          /* of 10 ms */

static_assert(NAME_BYTES == SSL_TICKET_KEY_NAME_LEN, "tickets begin with the name of their key");

enum place { PREVIOUS, CURRENT, NEXT, PLACES_COUNT };

static const char *const place_names[PLACES_COUNT] = {"previous", "current", "next"};

#define MARK "# fleetmux TLS ticket keys, format "
static const char first_line[] = MARK "1; who has them can read resumed sessions";

struct key {
    uint64_t since_s; /* 0: was never current */
    uint8_t name[NAME_BYTES];
    uint8_t aes[AES_BYTES];
    uint8_t hmac[HMAC_BYTES];
};

struct ring {
    struct key keys[PLACES_COUNT];
};

/* By which a changed file is known. */
struct seen {
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec written, changed;
};

struct fmx_tls_tickets {
    pthread_rwlock_t lock; /* of ring */
    struct ring ring;
    char *file; /* NULL: none */
    uint32_t rotate_s;
    struct seen seen;
};

/* The file that a call is about, and where its words go. */
struct call {
    const char *file;
    char *error;
    size_t error_bytes;
    int sys_errno;
};

static __attribute__((format(printf, 3, 4))) enum fmx_status refuse(struct call *call,
                                                                    enum fmx_status status,
                                                                    const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(call->error, call->error_bytes, format, arguments);
    va_end(arguments);
    return status;
}

/* `what` was not possible; errno says why. */
static enum fmx_status refuse_sys(struct call *call, const char *what)
{
    call->sys_errno = errno;
    return refuse(call, FMX_SYS_FILE, "the ticket keys '%s' cannot be %s: %s", call->file, what,
                  strerror(errno));
}

/* ── the ring ── */

static struct key make_key(uint64_t since_s)
{
    struct key key = {.since_s = since_s};

    RAND_bytes(key.name, sizeof(key.name));
    RAND_bytes(key.aes, sizeof(key.aes));
    RAND_bytes(key.hmac, sizeof(key.hmac));
    return key;
}

static void make_ring(struct ring *ring, uint64_t unix_s)
{
    for (int place = 0; place < PLACES_COUNT; place++) {
        ring->keys[place] = make_key(place == CURRENT ? unix_s : 0);
    }
}

static void move_on(struct ring *ring, unsigned steps, uint64_t unix_s)
{
    for (; steps > 0; steps--) {
        ring->keys[PREVIOUS] = ring->keys[CURRENT];
        ring->keys[CURRENT] = ring->keys[NEXT];
        ring->keys[CURRENT].since_s = unix_s;
        ring->keys[NEXT] = make_key(0);
    }
}

/* By how many keys the ring should have moved on by now, at most all. */
static unsigned steps_due(const struct ring *ring, uint32_t rotate_s, uint64_t unix_s)
{
    uint64_t since_s = ring->keys[CURRENT].since_s;

    if (since_s > unix_s) {
        return since_s - unix_s > rotate_s ? 1 : 0;
    }
    uint64_t periods = (unix_s - since_s) / rotate_s;
    return periods < PLACES_COUNT ? (unsigned)periods : PLACES_COUNT;
}

static void install(struct fmx_tls_tickets *tickets, const struct ring *ring)
{
    pthread_rwlock_wrlock(&tickets->lock);
    tickets->ring = *ring;
    pthread_rwlock_unlock(&tickets->lock);
}

/* ── text ── */

static void put_hex(char **at, const uint8_t *bytes, size_t count, char end)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        *(*at)++ = digits[bytes[i] >> 4];
        *(*at)++ = digits[bytes[i] & 15];
    }
    *(*at)++ = end;
}

/* Returns the bytes written, at most FILE_BYTES_MAX. */
static size_t format_ring(const struct ring *ring, char text[FILE_BYTES_MAX])
{
    char *at = text + snprintf(text, FILE_BYTES_MAX, "%s\n", first_line);

    for (int place = 0; place < PLACES_COUNT; place++) {
        const struct key *key = &ring->keys[place];
        at += snprintf(at, 64, "%s %" PRIu64 " ", place_names[place], key->since_s);
        put_hex(&at, key->name, sizeof(key->name), ' ');
        put_hex(&at, key->aes, sizeof(key->aes), ' ');
        put_hex(&at, key->hmac, sizeof(key->hmac), '\n');
    }
    FMX_ASSERT((size_t)(at - text) <= FILE_BYTES_MAX);
    return (size_t)(at - text);
}

/* What is left to read, and which line that is. */
struct reader {
    struct call *call;
    const char *at;
    const char *end;
    unsigned line;
};

static enum fmx_status refuse_line(const struct reader *reader, const char *words)
{
    return refuse(reader->call, FMX_E_OPTION,
                  "the ticket keys '%s', line %u: %s; put a copy of the file back, or remove it to "
                  "have it made anew",
                  reader->call->file, reader->line, words);
}

/* The text up to `end`, which is stepped over; NULL as data: it does not come in this line. */
static fmx_slice take_until(struct reader *reader, char end)
{
    const char *from = reader->at;
    size_t left = (size_t)(reader->end - from);
    const char *line_end = memchr(from, '\n', left);
    const char *found = memchr(from, end, line_end != NULL ? (size_t)(line_end - from) + 1 : left);

    if (found == NULL) {
        return (fmx_slice){0};
    }
    reader->at = found + 1;
    return (fmx_slice){.data = (const uint8_t *)from, .bytes = (size_t)(found - from)};
}

static bool read_number(fmx_slice text, uint64_t *out_number)
{
    uint64_t number = 0;

    for (size_t i = 0; i < text.bytes && number <= SINCE_S_MAX; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out_number = number;
    return text.bytes > 0 && number <= SINCE_S_MAX;
}

static bool read_hex(fmx_slice text, uint8_t *out, size_t bytes)
{
    if (text.bytes != 2 * bytes) {
        return false;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t digit = text.data[i];
        uint8_t lower = digit | 0x20;
        bool is_letter = lower >= 'a' && lower <= 'f';
        if (!is_letter && (digit < '0' || digit > '9')) {
            return false;
        }
        uint8_t value = (uint8_t)(is_letter ? lower - 'a' + 10 : digit - '0');
        out[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : out[i / 2] | value);
    }
    return true;
}

static enum fmx_status read_key(struct reader *reader, enum place place, struct key *out_key)
{
    char words[96];

    if (!fmx_slice_equal(take_until(reader, ' '), fmx_slice_of(place_names[place]))) {
        snprintf(words, sizeof(words), "it does not begin with '%s '", place_names[place]);
        return refuse_line(reader, words);
    }
    if (!read_number(take_until(reader, ' '), &out_key->since_s)) {
        return refuse_line(reader, "the second field is not a UNIX time");
    }
    if (!read_hex(take_until(reader, ' '), out_key->name, sizeof(out_key->name))) {
        return refuse_line(reader, "the name is not 32 hexadecimal digits");
    }
    if (!read_hex(take_until(reader, ' '), out_key->aes, sizeof(out_key->aes))) {
        return refuse_line(reader, "the AES key is not 64 hexadecimal digits");
    }
    if (!read_hex(take_until(reader, '\n'), out_key->hmac, sizeof(out_key->hmac))) {
        return refuse_line(reader, "the HMAC key is not 64 hexadecimal digits and a line end");
    }
    return FMX_OK;
}

static enum fmx_status read_first_line(struct reader *reader)
{
    fmx_slice line = take_until(reader, '\n');
    fmx_slice mark = fmx_slice_of(MARK);

    if (line.bytes < mark.bytes || memcmp(line.data, mark.data, mark.bytes) != 0) {
        return refuse(
            reader->call, FMX_E_OPTION,
            "'%s' is not a file of ticket keys; name another file, which is made if it is "
            "not there",
            reader->call->file);
    }
    if (line.data[mark.bytes] != '1' || line.data[mark.bytes + 1] != ';') {
        return refuse(reader->call, FMX_E_OPTION,
                      "the ticket keys '%s' have a format that is newer than this program; name "
                      "another file, or update",
                      reader->call->file);
    }
    return FMX_OK;
}

static enum fmx_status read_ring(struct call *call, fmx_slice text, struct ring *out_ring)
{
    struct reader reader = {.call = call,
                            .at = (const char *)text.data,
                            .end = (const char *)text.data + text.bytes,
                            .line = 1};
    enum fmx_status status = read_first_line(&reader);
    const struct key *keys = out_ring->keys;

    for (int place = 0; place < PLACES_COUNT && status == FMX_OK; place++) {
        reader.line++;
        status = read_key(&reader, (enum place)place, &out_ring->keys[place]);
        for (int other = 0; other < place && status == FMX_OK; other++) {
            if (memcmp(keys[place].name, keys[other].name, NAME_BYTES) == 0) {
                status = refuse_line(&reader, "the name is that of another key");
            }
        }
    }
    if (status == FMX_OK && reader.at != reader.end) {
        reader.line++;
        return refuse_line(&reader, "nothing may follow the third key");
    }
    return status;
}

/* ── the file ── */

static struct seen seen_of(const struct stat *about)
{
    return (struct seen){.device = about->st_dev,
                         .inode = about->st_ino,
                         .bytes = about->st_size,
                         .written = about->st_mtim,
                         .changed = about->st_ctim};
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same(const struct seen *a, const struct seen *b)
{
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           is_same_time(a->written, b->written) && is_same_time(a->changed, b->changed);
}

/* Opens without ever waiting for another end, should it be a pipe. */
static enum fmx_status open_file(struct call *call, int flags, const char *what, int *out_fd,
                                 struct stat *out_about)
{
    int fd = open(call->file, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);

    if (fd < 0) {
        return refuse_sys(call, what);
    }
    if (fstat(fd, out_about) != 0) {
        refuse_sys(call, what);
        close(fd);
        return FMX_SYS_FILE;
    }
    if (!S_ISREG(out_about->st_mode)) {
        close(fd);
        return refuse(call, FMX_E_OPTION, "the ticket keys '%s' are not a file; name a file",
                      call->file);
    }
    *out_fd = fd;
    return FMX_OK;
}

static enum fmx_status check_mode(struct call *call, const struct stat *about)
{
    unsigned mode = about->st_mode & 07777u;

    if ((mode & 077u) == 0) {
        return FMX_OK;
    }
    return refuse(call, FMX_E_OPTION,
                  "the ticket keys '%s' can be read or written by others (mode %04o); write: chmod "
                  "600 '%s'",
                  call->file, mode, call->file);
}

static enum fmx_status read_fd(struct call *call, int fd, struct ring *out_ring)
{
    uint8_t text[FILE_BYTES_MAX + 1]; /* one more shows that there is too much */
    size_t bytes = 0;
    ssize_t count = 1;

    while (count > 0 && bytes < sizeof(text)) {
        count = pread(fd, text + bytes, sizeof(text) - bytes, (off_t)bytes);
        bytes += count > 0 ? (size_t)count : 0;
        count = count < 0 && errno == EINTR ? 1 : count;
    }
    enum fmx_status status =
        count < 0 ? refuse_sys(call, "read")
                  : read_ring(call, (fmx_slice){.data = text, .bytes = bytes}, out_ring);
    OPENSSL_cleanse(text, sizeof(text));
    return status;
}

/*
 * What the file holds; needs no lock. FMX_END: the file is empty.
 */
static enum fmx_status read_file(struct call *call, struct ring *out_ring, struct seen *out_seen)
{
    struct stat about;
    int fd;
    enum fmx_status status = open_file(call, O_RDONLY, "read", &fd, &about);

    if (status != FMX_OK) {
        return status;
    }
    *out_seen = seen_of(&about);
    status = check_mode(call, &about);
    if (status == FMX_OK) {
        status = about.st_size == 0 ? FMX_END : read_fd(call, fd, out_ring);
    }
    close(fd);
    return status;
}

static enum fmx_status write_fd(struct call *call, int fd, const char *text, size_t bytes,
                                const struct stat *old)
{
    if (fchmod(fd, 0600) != 0 ||
        (old->st_uid != geteuid() && fchown(fd, old->st_uid, old->st_gid) != 0)) {
        return refuse_sys(call, "written");
    }
    while (bytes > 0) {
        ssize_t count = write(fd, text, bytes);
        if (count < 0 && errno != EINTR) {
            return refuse_sys(call, "written");
        }
        text += count > 0 ? count : 0;
        bytes -= count > 0 ? (size_t)count : 0;
    }
    return fsync(fd) == 0 ? FMX_OK : refuse_sys(call, "written");
}

/* The name is on disk a little sooner; if it does not work, the old or the new file is there. */
static void sync_folder(char *path)
{
    char *slash = strrchr(path, '/');

    slash[slash == path ? 1 : 0] = '\0'; /* a real path has a slash */
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* Writes beside the file `real`, and renames over it. `beside` is what a crash may have left. */
static enum fmx_status write_beside(struct call *call, const struct ring *ring,
                                    const struct stat *old, const char *real, const char *beside)
{
    char text[FILE_BYTES_MAX];

    unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        call->sys_errno = errno;
        return refuse(call, FMX_SYS_FILE, "the ticket keys cannot be written to '%s': %s", beside,
                      strerror(errno));
    }
    enum fmx_status status = write_fd(call, fd, text, format_ring(ring, text), old);
    OPENSSL_cleanse(text, sizeof(text));
    close(fd);
    if (status == FMX_OK && rename(beside, real) != 0) {
        status = refuse_sys(call, "replaced");
    }
    if (status != FMX_OK) {
        unlink(beside);
    }
    return status;
}

/* Replaces the file, which is locked; `old` is about it. A link to a file stays one. */
static enum fmx_status write_file(struct call *call, const struct ring *ring,
                                  const struct stat *old)
{
    char *real = realpath(call->file, NULL);
    size_t bytes = real != NULL ? strlen(real) + sizeof("-new") : 0;
    char *beside = real != NULL ? malloc(bytes) : NULL;
    enum fmx_status status;

    if (beside == NULL) {
        status = refuse_sys(call, "written");
    } else {
        snprintf(beside, bytes, "%s-new", real);
        status = write_beside(call, ring, old, real, beside);
        sync_folder(beside);
    }
    free(beside);
    free(real);
    return status;
}

/* One try for the lock. FMX_LATER: another has it, or has just replaced the file. */
static enum fmx_status try_lock(struct call *call, int flags, int *out_fd, struct stat *out_about)
{
    struct stat now;
    enum fmx_status status = open_file(call, flags, "opened for writing", out_fd, out_about);

    if (status != FMX_OK) {
        return status;
    }
    if (flock(*out_fd, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK || errno == EINTR ? FMX_LATER : refuse_sys(call, "locked");
    } else if (stat(call->file, &now) != 0 || now.st_ino != out_about->st_ino ||
               now.st_dev != out_about->st_dev) {
        status = FMX_LATER;
    }
    if (status != FMX_OK) {
        close(*out_fd);
    }
    return status;
}

static enum fmx_status lock_file(struct call *call, bool may_make, int *out_fd,
                                 struct stat *out_about)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int flags = O_RDWR | (may_make ? O_CREAT : 0);

    for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
        enum fmx_status status = try_lock(call, flags, out_fd, out_about);
        if (status != FMX_LATER) {
            return status;
        }
        nanosleep(&pause, NULL);
    }
    errno = EWOULDBLOCK;
    return refuse_sys(call, "locked for 5 s, as another process has them");
}

/*
 * Moves the keys in the file on under its lock: by as much as is due at `unix_s`, or, if `rotate_s`
 * is 0, by one. Makes them if the file is empty, or missing and `may_make`.
 */
static enum fmx_status change_file(struct call *call, bool may_make, uint32_t rotate_s,
                                   uint64_t unix_s, struct ring *out_ring)
{
    struct stat about;
    unsigned steps = 0;
    int fd;
    enum fmx_status status = lock_file(call, may_make, &fd, &about);

    if (status != FMX_OK) {
        return status;
    }
    bool is_empty = about.st_size == 0;
    status = check_mode(call, &about);
    if (status == FMX_OK && is_empty) {
        make_ring(out_ring, unix_s);
    } else if (status == FMX_OK) {
        status = read_fd(call, fd, out_ring);
        steps = rotate_s > 0 ? steps_due(out_ring, rotate_s, unix_s) : 1;
    }
    if (status == FMX_OK && (is_empty || steps > 0)) {
        move_on(out_ring, steps, unix_s);
        status = write_file(call, out_ring, &about);
    }
    close(fd);
    return status;
}

/* ── looking ── */

/* Takes over what the file holds. FMX_END: it is empty. */
static enum fmx_status take_file(struct fmx_tls_tickets *tickets, struct call *call)
{
    struct ring ring;
    struct seen seen;
    enum fmx_status status = read_file(call, &ring, &seen);

    if (status == FMX_OK) {
        install(tickets, &ring);
        tickets->seen = seen;
    }
    OPENSSL_cleanse(&ring, sizeof(ring));
    return status;
}

static enum fmx_status take_changes(struct fmx_tls_tickets *tickets, struct call *call)
{
    struct stat about;

    if (stat(call->file, &about) != 0) {
        call->sys_errno = errno;
        if (errno != ENOENT) {
            return refuse_sys(call, "read");
        }
        return refuse(call, FMX_SYS_FILE,
                      "the ticket keys '%s' are gone; put the file back, or write: fleetmux cert "
                      "tickets '%s'",
                      call->file, call->file);
    }
    struct seen seen = seen_of(&about);
    if (is_same(&seen, &tickets->seen)) {
        return FMX_OK;
    }
    enum fmx_status status = take_file(tickets, call);
    if (status == FMX_END) {
        return refuse(call, FMX_E_OPTION,
                      "the ticket keys '%s' are empty; write: fleetmux cert tickets '%s'",
                      call->file, call->file);
    }
    return status;
}

/* Changes the file and takes over what it holds then. */
static enum fmx_status change_and_take(struct fmx_tls_tickets *tickets, struct call *call,
                                       bool may_make, uint64_t unix_s)
{
    struct ring ring;
    enum fmx_status status = change_file(call, may_make, tickets->rotate_s, unix_s, &ring);

    if (status == FMX_OK) {
        install(tickets, &ring);
    }
    OPENSSL_cleanse(&ring, sizeof(ring));
    return status;
}

/* Only the thread that changes the ring calls this, so it may read it as it is. */
static bool is_due(const struct fmx_tls_tickets *tickets, uint64_t unix_s)
{
    return steps_due(&tickets->ring, tickets->rotate_s, unix_s) > 0;
}

static void look_here(struct fmx_tls_tickets *tickets, uint64_t unix_s)
{
    struct ring ring = tickets->ring;

    move_on(&ring, steps_due(&ring, tickets->rotate_s, unix_s), unix_s);
    install(tickets, &ring);
    OPENSSL_cleanse(&ring, sizeof(ring));
}

enum fmx_status fmx_tls_tickets_look(struct fmx_tls_tickets *tickets, uint64_t unix_s, char *error,
                                     size_t error_bytes)
{
    struct call call = {.file = tickets->file, .error = error, .error_bytes = error_bytes};

    if (tickets->file == NULL) {
        if (is_due(tickets, unix_s)) {
            look_here(tickets, unix_s);
        }
        return FMX_OK;
    }
    enum fmx_status status = take_changes(tickets, &call);
    if (status == FMX_OK && is_due(tickets, unix_s)) {
        status = change_and_take(tickets, &call, false, unix_s);
    }
    errno = call.sys_errno;
    return status;
}

/* ── opening ── */

static uint64_t now_s(void)
{
    time_t now = time(NULL);

    return now > 0 ? (uint64_t)now : 0;
}

/* The first look: makes what is not there. */
static enum fmx_status first_look(struct fmx_tls_tickets *tickets, struct call *call)
{
    uint64_t unix_s = now_s();

    if (tickets->file == NULL) {
        make_ring(&tickets->ring, unix_s);
        return FMX_OK;
    }
    enum fmx_status status = take_file(tickets, call);
    bool is_missing = status == FMX_SYS_FILE && call->sys_errno == ENOENT;
    if (status == FMX_END || is_missing || (status == FMX_OK && is_due(tickets, unix_s))) {
        status = change_and_take(tickets, call, true, unix_s);
    }
    return status;
}

enum fmx_status fmx_tls_tickets_open(const char *file, uint32_t rotate_s,
                                     struct fmx_tls_tickets **out_tickets, char *error,
                                     size_t error_bytes)
{
    struct call call = {.file = file, .error = error, .error_bytes = error_bytes};
    struct fmx_tls_tickets *tickets = calloc(1, sizeof(*tickets));

    FMX_ASSERT(rotate_s > 0);
    *out_tickets = NULL;
    if (tickets == NULL || pthread_rwlock_init(&tickets->lock, NULL) != 0) {
        free(tickets);
        return refuse(&call, FMX_LIMIT_MEMORY, "no memory for ticket keys");
    }
    tickets->rotate_s = rotate_s;
    tickets->file = file != NULL ? strdup(file) : NULL;
    enum fmx_status status = file != NULL && tickets->file == NULL
                                 ? refuse(&call, FMX_LIMIT_MEMORY, "no memory for ticket keys")
                                 : first_look(tickets, &call);
    if (status != FMX_OK) {
        fmx_tls_tickets_close(tickets);
        errno = call.sys_errno;
        return status;
    }
    *out_tickets = tickets;
    return FMX_OK;
}

void fmx_tls_tickets_close(struct fmx_tls_tickets *tickets)
{
    if (tickets != NULL) {
        pthread_rwlock_destroy(&tickets->lock);
        OPENSSL_cleanse(&tickets->ring, sizeof(tickets->ring));
        free(tickets->file);
        free(tickets);
    }
}

enum fmx_status fmx_tls_tickets_rotate(const char *file, uint64_t unix_s, char *error,
                                       size_t error_bytes)
{
    struct call call = {.file = file, .error = error, .error_bytes = error_bytes};
    struct ring ring;
    enum fmx_status status = change_file(&call, true, 0, unix_s, &ring);

    OPENSSL_cleanse(&ring, sizeof(ring));
    errno = call.sys_errno;
    return status;
}

/* ── using ── */

/* The place of the key with that name; PLACES_COUNT: there is none. */
static int place_of(const struct ring *ring, const uint8_t *name)
{
    int place = 0;

    while (place < PLACES_COUNT && memcmp(ring->keys[place].name, name, NAME_BYTES) != 0) {
        place++;
    }
    return place;
}

int fmx_tls_tickets_apply(struct fmx_tls_tickets *tickets, uint8_t *name, uint8_t *iv,
                          EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac, bool is_new)
{
    struct key key = {0};

    pthread_rwlock_rdlock(&tickets->lock);
    int place = is_new ? CURRENT : place_of(&tickets->ring, name);
    if (place != PLACES_COUNT) {
        key = tickets->ring.keys[place];
    }
    pthread_rwlock_unlock(&tickets->lock);
    if (place == PLACES_COUNT) {
        return 0;
    }
    if (is_new) {
        memcpy(name, key.name, NAME_BYTES);
        RAND_bytes(iv, IV_BYTES);
    }
    bool is_ready = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.aes, iv, is_new) &&
                    HMAC_Init_ex(hmac, key.hmac, HMAC_BYTES, EVP_sha256(), NULL);
    OPENSSL_cleanse(&key, sizeof(key));
    if (!is_ready) {
        return -1;
    }
    return place == PREVIOUS ? 2 : 1;
}
