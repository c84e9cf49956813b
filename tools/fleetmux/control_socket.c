/*
 * control_socket — where the control socket lies, and who may open it
 *
 * Why it is so:   a name in the file system outlives its process, so one that nobody answers at is
 *                 replaced, and one that somebody answers at is not. Between looking and replacing,
 *                 the folder is locked: two gateways that start together do not take each other's
 *                 name. The mode is set before the name exists (umask), not after, when somebody
 *                 could already have connected.
 * Invariants:     (1) only a socket is ever removed, and at the end only our own
 *                 (2) ctl says nothing to a process of another user, but for root
 * Threads:        umask is the whole process's: listen before there are threads that make files
 * Not here:       what is said: control.c, ctl_client.c
 */
#include "tools/fleetmux/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ERROR_BYTES  512
#define LOCK_TRIES   200
#define LOCK_WAIT_NS 10000000
#define BACKLOG      64

/* The usual places, from 0; NULL behind the last. */
static const char *usual_path(unsigned index)
{
    static char runtime[CONTROL_PATH_BYTES], temporary[CONTROL_PATH_BYTES];
    const char *folder = secure_getenv("XDG_RUNTIME_DIR");
    bool has_folder = folder != NULL && folder[0] == '/' && strlen(folder) < 80;

    if (has_folder && index == 0) {
        snprintf(runtime, sizeof(runtime), "%s/fleetmux.sock", folder);
        return runtime;
    }
    index -= has_folder;
    if (index == 0) {
        return "/run/fleetmux.sock";
    }
    snprintf(temporary, sizeof(temporary), "/tmp/fleetmux-%u.sock", (unsigned)geteuid());
    return index == 1 ? temporary : NULL;
}

static void name_folder(const char *path, char *out_folder)
{
    const char *slash = strrchr(path, '/');
    int bytes = slash == NULL || slash == path ? 1 : (int)(slash - path);

    snprintf(out_folder, CONTROL_PATH_BYTES, "%.*s", bytes, slash == NULL ? "." : path);
}

/* The first in whose folder this user may make it. */
const char *control_default_path(void)
{
    char folder[CONTROL_PATH_BYTES];
    unsigned index = 0;

    for (; usual_path(index + 1) != NULL; index++) {
        name_folder(usual_path(index), folder);
        if (access(folder, W_OK | X_OK) == 0) {
            break;
        }
    }
    return usual_path(index);
}

static bool make_address(const char *path, struct sockaddr_un *out_address, char *error)
{
    *out_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] == '\0' || strlen(path) >= sizeof(out_address->sun_path)) {
        snprintf(error, ERROR_BYTES, "'%.200s' is too long for a socket's name; at most %zu bytes",
                 path, sizeof(out_address->sun_path) - 1);
        return false;
    }
    memcpy(out_address->sun_path, path, strlen(path) + 1);
    return true;
}

/* Listening ----------------------------------------------------------------------------------- */

/* The folder's descriptor, locked; −1: `error`. */
static int lock_folder(const char *path, char *error)
{
    char folder[CONTROL_PATH_BYTES];
    int tries = 0;

    name_folder(path, folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || ++tries == LOCK_TRIES) {
            close(fd);
            fd = -1;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_NS}, NULL);
        }
    }
    if (fd < 0) {
        snprintf(error, ERROR_BYTES, "the folder '%s' cannot be used: %s", folder, strerror(errno));
    }
    return fd;
}

/* The process at the other end, for people; 0: unknown. */
static int peer_of(int fd)
{
    struct ucred peer = {0};
    socklen_t bytes = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 ? peer.pid : 0;
}

/* Makes room for a new socket. False: something stands there that is not to be removed. */
static bool clear_name(const struct sockaddr_un *address, char *error)
{
    const char *path = address->sun_path;
    struct stat status;

    if (lstat(path, &status) != 0) {
        return true; /* if it is not for want of a file, bind will say so */
    }
    if (!S_ISSOCK(status.st_mode)) {
        snprintf(error, ERROR_BYTES, "'%s' is there and is no socket; choose another name", path);
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    bool is_stale = result != 0 && errno == ECONNREFUSED;
    if (is_stale && unlink(path) == 0) {
        close(fd);
        return true;
    }
    if (is_stale || (result != 0 && errno != EAGAIN)) {
        snprintf(error, ERROR_BYTES, "'%s' is there and cannot be replaced: %s", path,
                 strerror(errno));
    } else {
        snprintf(error, ERROR_BYTES, "'%s' is in use by process %d; choose another name", path,
                 result == 0 ? peer_of(fd) : 0);
    }
    close(fd);
    return false;
}

static bool bind_name(int fd, const struct sockaddr_un *address)
{
    mode_t mask = umask(0177);
    int result = bind(fd, (const struct sockaddr *)address, sizeof(*address));

    umask(mask);
    return result == 0 && listen(fd, BACKLOG) == 0;
}

static bool remember(const struct sockaddr_un *address, int fd, struct control_socket *out_socket)
{
    struct stat status;

    if (lstat(address->sun_path, &status) != 0) {
        return false;
    }
    out_socket->fd = fd;
    memcpy(out_socket->path, address->sun_path, sizeof(out_socket->path));
    out_socket->device = status.st_dev;
    out_socket->inode = status.st_ino;
    return true;
}

bool control_listen(const char *path, struct control_socket *out_socket, char *error)
{
    struct sockaddr_un address;
    bool is_good = false;

    out_socket->fd = -1;
    if (!make_address(path, &address, error)) {
        return false;
    }
    int folder = lock_folder(path, error);
    if (folder < 0) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (clear_name(&address, error)) {
        is_good = bind_name(fd, &address) && remember(&address, fd, out_socket);
        if (!is_good) {
            snprintf(error, ERROR_BYTES, "'%s' cannot be made: %s", path, strerror(errno));
        }
    }
    if (!is_good) {
        close(fd);
    }
    close(folder);
    return is_good;
}

void control_unlisten(struct control_socket *socket)
{
    struct stat status;

    if (socket->fd < 0) {
        return;
    }
    close(socket->fd);
    socket->fd = -1;
    if (lstat(socket->path, &status) == 0 && status.st_dev == socket->device &&
        status.st_ino == socket->inode) {
        unlink(socket->path);
    }
}

/* Connecting ---------------------------------------------------------------------------------- */

static bool is_ours(int fd)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t bytes = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0 || geteuid() == 0);
}

static int connect_to(const char *path, const char *peer, char *error)
{
    struct sockaddr_un address;

    if (!make_address(path, &address, error)) {
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        snprintf(error, ERROR_BYTES, "no %s answers at '%s': %s", peer, path, strerror(errno));
    } else if (!is_ours(fd)) {
        snprintf(error, ERROR_BYTES, "'%s' belongs to another user's process", path);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

int control_connect(const char *path, const char *peer, char *error)
{
    if (strcmp(path, CONTROL_PATH_AUTO) != 0) {
        return connect_to(path, peer, error);
    }
    char places[ERROR_BYTES / 2] = "";
    size_t used = 0;
    for (unsigned index = 0; usual_path(index) != NULL; index++) {
        const char *usual = usual_path(index);
        int fd = connect_to(usual, peer, error);
        if (fd >= 0) {
            return fd;
        }
        used += (size_t)snprintf(places + used, sizeof(places) - used, "%s%s", used > 0 ? ", " : "",
                                 usual);
        used = used < sizeof(places) ? used : sizeof(places) - 1;
    }
    snprintf(error, ERROR_BYTES, "no %s answers at %s; is one running, and is --control right?",
             peer, places);
    return -1;
}
