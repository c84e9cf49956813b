/*
 * control.h — a running gateway's socket for those who run it
 *
 * The protocol is in docs/CONTROL.md; `fleetmux ctl` speaks it.
 */
#ifndef FMX_TOOLS_CONTROL_H
#define FMX_TOOLS_CONTROL_H

#include "tools/fleetmux/events.h"
#include "tools/fleetmux/gateway_limits.h"
#include "tools/fleetmux/gateway_tls.h"

#include <fleetmux/gateway.h>

#define CONTROL_PATH_AUTO  "auto" /* the first of the usual places */
#define CONTROL_PATH_NONE  "none"
#define CONTROL_PATH_BYTES 108 /* what a Unix socket's address holds */

/* control_socket.c: where the socket lies ----------------------------------------------------- */

/* A listening socket, and how to find it again to remove it. */
struct control_socket {
    int fd;
    char path[CONTROL_PATH_BYTES];
    uint64_t device, inode;
};

/* Where a gateway of this user listens unless told otherwise. In static storage. */
const char *control_default_path(void);

/*
 * Listens at `path`, which only this user may open, in place of a socket whose process is gone.
 * False: `error`, of 512 bytes, says why not.
 */
bool control_listen(const char *path, struct control_socket *out_socket, char *error);

/* Closes it and removes its name, if that is still its own. */
void control_unlisten(struct control_socket *socket);

/*
 * Connects to `path`, or to the first usual place where somebody answers; only to a process of this
 * user or of root. `peer` is what is looked for, in words. Returns a descriptor, or −1: `error`, of
 * 512 bytes, says why not.
 */
int control_connect(const char *path, const char *peer, char *error);

/* control.c: the server ----------------------------------------------------------------------- */

struct control;

/* What is served. All of it outlives the server. */
struct control_setup {
    struct control_socket *socket;
    struct fmx_gateway *gateway;
    const struct fmx_gateway_options *options;
    struct gateway_limits *limits;
    struct gateway_reload *reload;
    struct events *events; /* NULL: none */
};

/* Starts its thread; the gateway runs. NULL: `error`, of 512 bytes, says why not. */
struct control *control_start(const struct control_setup *setup, char *error);

/* Takes no further requests. Before the gateway is stopped. */
void control_quiet(struct control *control);

/* Gives the last answers, waiting at most a second, and ends. After the gateway is stopped. */
void control_close(struct control *control);

#endif
