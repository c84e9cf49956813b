/*
 * profile.h — what differs between the open profile and the platform's: one table each
 */
#ifndef ENGINE_ROLES_PROFILE_H
#define ENGINE_ROLES_PROFILE_H

#include "engine/conn.h"

struct fmx_gateway_shard;

struct fmx_profile_rules {
    /* A CONNECT that the protocol accepts: refuses it, or has it claim its key. */
    void (*on_connect)(struct fmx_conn *conn, const struct fmx_connect *connect);
    /* A PUBLISH of an open session; acknowledging it is the profile's, and the view is used up. */
    void (*on_publish)(struct fmx_conn *conn, struct fmx_publish *publish);
    /* May the session with this key subscribe to a filter? FMX_OK, or what SUBACK says. */
    enum fmx_status (*may_subscribe)(struct fmx_gateway_shard *gateway, fmx_slice key,
                                     fmx_slice filter);
    /* Do messages on this filter's topics come from every shard? */
    bool (*is_shared)(fmx_slice filter);
    /* Is this filter subscribed to without a word, so that UNSUBSCRIBE has to be remembered? */
    bool (*is_automatic)(fmx_slice key, fmx_slice filter);
};

extern const struct fmx_profile_rules fmx_profile_open;
extern const struct fmx_profile_rules fmx_profile_platform;

#endif
