/*
 * channel.h — whom a connection's channel proves, before CONNECT has said who that is
 */
#ifndef ENGINE_ROLES_CHANNEL_H
#define ENGINE_ROLES_CHANNEL_H

#include "engine/conn.h"
#include "engine/roles/devices.h"
#include "tls/tls.h"

struct fmx_gateway;

/* What TLS says of a connection. Slices live until on_release. */
struct fmx_channel {
    bool is_tls;
    bool is_login;     /* a client certificate, in place of user name and password */
    const char *proof; /* what names the device below, in words; NULL: nothing does */
    fmx_slice product_key;
    fmx_slice device_name;
    struct fmx_tls_facts facts; /* if is_tls */
};

struct fmx_channel fmx_channel_of(const struct fmx_conn *conn);

/*
 * May a session of this device be on that channel? True where the channel names nobody, and for a
 * device that it names.
 */
bool fmx_channel_fits(const struct fmx_channel *channel, fmx_slice product_key,
                      fmx_slice device_name);

/*
 * A device of the registry, or of callbacks.on_device. `reader` only on the thread of that number.
 * False: it is not known; product fields are filled in all the same if the product is. The copy
 * holds secrets: the caller wipes it.
 */
bool fmx_channel_find_device(struct fmx_gateway *gateway, uint32_t reader, fmx_slice product_key,
                             fmx_slice device_name, struct fmx_device_info *out_info);

/* As struct fmx_tls_psk_source wants it: `user` is the gateway. */
size_t fmx_channel_psk_key(void *user, unsigned thread, fmx_slice identity,
                           uint8_t out_key[FMX_TLS_PSK_BYTES_MAX]);

#endif
