/*
 * listen — listening sockets: one for each shard and address, so that the kernel spreads
 * connections
 *
 * Why it is so:   a connection lives on the shard that accepted it; handing accepted sockets over
 *                 costs twice as much as letting SO_REUSEPORT choose
 * Memory:         descriptors belong to the caller
 * Threads:        the one that starts the process
 * Limits:         the backlog is cut by the kernel to net.core.somaxconn; TAKEN_MS_MAX for an
 *                 address to become free: of a process that was killed the kernel takes down rings,
 *                 and with them listening sockets, only behind its end
 * Not here:       accepting: shard.c
 */
#include "engine/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <time.h>
#include <unistd.h>

#define TAKEN_MS_MAX 1000u
#define LOOK_MS      20u

static int open_socket(int family, bool share_port)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
                     sizeof(on)); /* accepted sockets inherit it */
    if (family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    if (share_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static enum fmx_status fail(int fd, enum fmx_status status)
{
    int cause = errno;

    close(fd);
    errno = cause;
    return status;
}

enum fmx_status fmx_listen_open(struct sockaddr_storage *address, socklen_t address_bytes,
                                uint32_t backlog, int *out_fd)
{
    int fd = open_socket(address->ss_family, true);

    if (fd < 0) {
        return FMX_SYS_SOCKET;
    }
    if (bind(fd, (struct sockaddr *)address, address_bytes) < 0) {
        return fail(fd, FMX_SYS_BIND);
    }
    if (listen(fd, (int)backlog) < 0 ||
        getsockname(fd, (struct sockaddr *)address, &address_bytes) < 0) {
        return fail(fd, FMX_SYS_LISTEN);
    }
    *out_fd = fd;
    return FMX_OK;
}

static enum fmx_status probe(const struct sockaddr_storage *address, socklen_t address_bytes)
{
    int fd = open_socket(address->ss_family, false);

    if (fd < 0) {
        return FMX_SYS_SOCKET;
    }
    if (bind(fd, (const struct sockaddr *)address, address_bytes) < 0) {
        return fail(fd, FMX_SYS_BIND);
    }
    close(fd);
    return FMX_OK;
}

enum fmx_status fmx_listen_probe(const struct sockaddr_storage *address, socklen_t address_bytes)
{
    static const struct timespec look = {.tv_nsec = LOOK_MS * 1000000};
    enum fmx_status status = probe(address, address_bytes);

    for (unsigned ms = 0; status == FMX_SYS_BIND && errno == EADDRINUSE && ms < TAKEN_MS_MAX;
         ms += LOOK_MS) {
        (void)nanosleep(&look, NULL);
        status = probe(address, address_bytes);
    }
    return status;
}
