/*
 * gateway_tls.h — what a gateway's listeners take, and its files of TLS read again
 */
#ifndef FMX_TOOLS_GATEWAY_TLS_H
#define FMX_TOOLS_GATEWAY_TLS_H

#include <fleetmux/gateway.h>

#include <pthread.h>

/* A listener without what stands around its address. */
struct gateway_listener {
    fmx_slice address; /* "127.0.0.1:8883" */
    bool takes_plain, takes_tls;
};

struct gateway_listener gateway_tls_listener(const struct fmx_gateway_options *options,
                                             size_t index);

/* "mqtt", "mqtts", "mqtt+mqtts" */
const char *gateway_tls_takes(const struct gateway_listener *listener);

/* Calls `file` for each file that settings of TLS are read from, once for each. */
void gateway_tls_files(const struct fmx_gateway_options *options,
                       void (*file)(void *user, const char *path), void *user);

/* Whoever wants to reload, in turn. */
struct gateway_reload {
    pthread_mutex_t mutex;
    struct fmx_gateway *gateway;
};

void gateway_reload_init(struct gateway_reload *reload);
void gateway_reload_wipe(struct gateway_reload *reload);

/*
 * Reads all files again: fmx_gateway_reload. Otherwise `error`, of at least 512 bytes, says why not
 * and what is in force. Any thread but a shard's.
 */
enum fmx_status gateway_reload_files(struct gateway_reload *reload, char *error,
                                     size_t error_bytes) FMX_MUST_USE;

#endif
