/*
 * role.h — the only way up: what a shard calls in the role that uses it
 *
 * The interface belongs to the caller, so it lies here and not beside the roles. All calls run on
 * the shard. In any of them the role may send, publish, close or open connections of the shard:
 * that only marks and queues, nothing is freed before the end of the turn.
 */
#ifndef ENGINE_ROLE_H
#define ENGINE_ROLE_H

#include "engine/msg.h"
#include "engine/timer.h"
#include "proto/session.h"

struct fmx_conn;
struct fmx_shard;

struct fmx_role {
    enum fmx_side side;     /* which end of the protocol our connections are */
    uint32_t session_bytes; /* the role's part of a slot, zeroed at open; see fmx_conn_part */

    /* Once per shard: on its thread before the first turn, and when no shard runs any more. */
    enum fmx_status (*open_shard)(struct fmx_shard *shard);
    void (*close_shard)(struct fmx_shard *shard);

    /* TCP is up. */
    void (*on_open)(struct fmx_conn *conn);
    /* What fmx_conn_ask_peer_name asked: the name is there, or the kernel could not tell. The
       connection may have ended meanwhile. */
    void (*on_peer_name)(struct fmx_conn *conn, bool is_known);
    /* A packet the session has accepted; `tag`: what fmx_session_publish was given, with
       acknowledgements. The packet dies with the return. */
    void (*on_packet)(struct fmx_conn *conn, struct fmx_packet *packet, uint64_t tag);
    /* The output queue, which was above its mark, is nearly empty. */
    void (*on_writable)(struct fmx_conn *conn);
    /* The session is over: conn->cause says why. Called once, also if on_open never was. */
    void (*on_close)(struct fmx_conn *conn);
    /* The slot goes: release what the role's part owns. Post and send nothing. */
    void (*on_release)(struct fmx_conn *conn);
    /* A timer of kind FMX_TIMER_ROLE is due. */
    void (*on_timer)(struct fmx_shard *shard, struct fmx_timer *timer);
    /* What the role asked for with FMX_OP_TICK; NULL if it never does. */
    void (*on_tick)(struct fmx_shard *shard);
    /* A message from another shard or a caller. Owned pointers in it are now the role's. */
    void (*on_message)(struct fmx_shard *shard, struct fmx_msg *message);
    /* Once a turn, after all of the above and before what was queued is sent. */
    void (*on_turn)(struct fmx_shard *shard);
    /* A message nobody will take any more: releases what it owns. */
    void (*discard)(struct fmx_shard *shard, struct fmx_msg *message);
    /* STOP arrived: begin no new work. Closing the connections is the shard's task. */
    void (*on_stop)(struct fmx_shard *shard);
    /* May the shard end now? Asked while it drains. */
    bool (*is_drained)(struct fmx_shard *shard);
};

#endif
