/*
 * listen.h — listening sockets: one for each shard and address, so that the kernel spreads
 * connections
 */
#ifndef ENGINE_LISTEN_H
#define ENGINE_LISTEN_H

#include <fleetmux/error.h>
#include <sys/socket.h>

/*
 * Binds and listens with SO_REUSEPORT. Port 0 in `address` is replaced by the one that was got, so
 * that the next shard binds the same. FMX_OK; FMX_SYS_SOCKET, FMX_SYS_BIND, FMX_SYS_LISTEN with
 * errno set.
 */
enum fmx_status fmx_listen_open(struct sockaddr_storage *address, socklen_t address_bytes,
                                uint32_t backlog, int *out_fd) FMX_MUST_USE;

/*
 * Is the address free? SO_REUSEPORT alone would let two gateways of one user share a port and take
 * each other's connections. Waits up to a second for one that is taken. FMX_OK; FMX_SYS_SOCKET or
 * FMX_SYS_BIND with errno set.
 */
enum fmx_status fmx_listen_probe(const struct sockaddr_storage *address,
                                 socklen_t address_bytes) FMX_MUST_USE;

#endif
