/*
 * gateway.h — the server role inside: what a shard and a session of it hold; who calls whom
 *
 *     gateway.c          the public calls, options, the role's table of callbacks
 *     gateway_session.c  CONNECT to the end: claims, admission, hand-over
 *     subscribe.c        SUBSCRIBE, UNSUBSCRIBE, and telling other shards what is wanted here
 *     deliver.c          a PUBLISH on its way to everyone who gets it
 *     directory.c        whose a client id is, and what is kept for the absent
 *     backlog.c          QoS 1 messages that wait
 *
 * The open profile decides what is allowed; the platform's rules are columns beside it.
 */
#ifndef ENGINE_ROLES_GATEWAY_H
#define ENGINE_ROLES_GATEWAY_H

#include "engine/mux.h"
#include "engine/roles/directory.h"
#include "engine/router.h"

#include <fleetmux/gateway.h>

struct fmx_gateway {
    struct fmx_gateway_options options; /* read-only after open; pointers in it are not kept */
    struct fmx_session_options session; /* read-only after open */
    struct fmx_mux *mux;
    uint64_t hash_seed; /* read-only after open: client ids are spread over homes by it */
    size_t listen_count;
};

struct fmx_gateway_caller {
    struct fmx_mux_caller *mux_caller;
    struct fmx_gateway *gateway;
    uint32_t
        shard; /* where its messages are routed first: one shard, so that they keep their order */
};

/* One per shard: shard->role_state. */
struct fmx_gateway_shard {
    struct fmx_gateway *gateway;
    struct fmx_shard *shard;
    struct fmx_router *router;
    struct fmx_directory directory;
    uint32_t *remote_heads; /* chains in the router of what other shards want; [shard] */
    bool *wants_all;        /* shards whose interest found no memory here: they get everything */
    uint32_t wants_all_count;
    uint64_t assigned; /* client ids made up so far */
    uint64_t assigned_seed;
    struct fmx_conn *congested; /* publishers that wait for another shard's inbox */
    uint8_t *filter_scratch;    /* 65,535 bytes */
};

/* Where a session stands in its conversation with the home of its client id. */
enum fmx_claim_state {
    FMX_CLAIM_NONE,      /* before CONNECT, or refused, or handed over: home knows nothing of it */
    FMX_CLAIM_WAITING,   /* CLAIM sent, CLAIMED outstanding */
    FMX_CLAIM_OWNED,     /* the client id is ours */
    FMX_CLAIM_LEAVING,   /* GONE sent, RELEASE outstanding */
    FMX_CLAIM_RELEASING, /* RELEASE has come; RELEASED goes out when the end has been reported */
};

/* The role's part of a slot. */
struct fmx_gateway_session_part {
    uint8_t *names;             /* client id, then user name if a callback wants it */
    uint64_t hash;              /* of the client id */
    uint64_t since_ns;          /* when CONNECT came */
    struct fmx_backlog backlog; /* QoS 1 that waits for the window or for room */
    struct fmx_conn *next_congested;
    uint32_t identity;      /* at home */
    uint32_t subscriptions; /* chain in this shard's router, unless its state is at home */
    uint32_t subscriptions_count;
    uint16_t client_id_bytes;
    uint16_t username_bytes;
    uint8_t claim; /* enum fmx_claim_state */
    bool is_kept;  /* its state is at home: subscriptions there, messages via there */
    bool is_open;  /* on_open was called, sessions_now counts it */
    bool is_congested;
    bool id_is_assigned; /* the server made the client id up */
};

static_assert(sizeof(struct fmx_conn) + sizeof(struct fmx_gateway_session_part) <= 384,
              "what a quiet session costs");

static inline struct fmx_gateway_shard *fmx_gateway_of(struct fmx_shard *shard)
{
    return shard->role_state;
}

static inline struct fmx_gateway_session_part *fmx_gateway_part(struct fmx_conn *conn)
{
    return fmx_conn_part(conn);
}

static inline uint32_t fmx_gateway_home(const struct fmx_gateway_shard *gateway, uint64_t hash)
{
    return (uint32_t)((hash >> 32) % gateway->shard->shards_count);
}

/* Receivers in a router: what the number means is in its upper two bits. */
enum fmx_receiver_kind {
    FMX_RECEIVER_CONN = 0,     /* slot of a connection of this shard */
    FMX_RECEIVER_IDENTITY = 1, /* slot of an identity whose home is this shard */
    FMX_RECEIVER_SHARD = 2,    /* another shard */
};

#define FMX_RECEIVER_KIND_SHIFT 30u
#define FMX_RECEIVER_INDEX_MASK 0x3fffffffu

static inline uint32_t fmx_receiver(enum fmx_receiver_kind kind, uint32_t index)
{
    return (uint32_t)kind << FMX_RECEIVER_KIND_SHIFT | index;
}

/* ── gateway.c ── */

/* Releases what a message owns, when nobody is there to take it. */
void fmx_gateway_discard(struct fmx_shard *shard, struct fmx_msg *message);

/* ── gateway_session.c ── */

void fmx_gateway_on_connect(struct fmx_conn *conn, const struct fmx_connect *connect);
void fmx_gateway_on_claiming(struct fmx_gateway_shard *gateway, const struct fmx_msg *message);
void fmx_gateway_on_claimed(struct fmx_gateway_shard *gateway, struct fmx_msg *message);
void fmx_gateway_on_release(struct fmx_gateway_shard *gateway, const struct fmx_msg *message);
void fmx_gateway_session_ended(struct fmx_conn *conn);
void fmx_gateway_session_wipe(struct fmx_conn *conn);

/* ── subscribe.c ── */

void fmx_gateway_on_subscribe(struct fmx_conn *conn, const struct fmx_packet *packet);
void fmx_gateway_on_subscribe_msg(struct fmx_gateway_shard *gateway, struct fmx_msg *message);
void fmx_gateway_on_subscribed_msg(struct fmx_gateway_shard *gateway, struct fmx_msg *message);
void fmx_gateway_on_interest(struct fmx_gateway_shard *gateway, struct fmx_msg *message);

/* Removes every subscription of a chain, and tells the other shards what nobody wants any more. */
void fmx_gateway_unsubscribe_all(struct fmx_gateway_shard *gateway, uint32_t *head);

/* ── deliver.c ── */

/* Routes a message of a session of this shard. */
void fmx_gateway_publish_from(struct fmx_conn *conn, const struct fmx_publish *publish);

/* Routes a message that came from another shard or a caller; takes over the reference. */
void fmx_gateway_publish_msg(struct fmx_gateway_shard *gateway, struct fmx_payload *payload,
                             bool is_from_caller);

/* A message from home to a session of this shard; takes over the reference. */
void fmx_gateway_on_deliver(struct fmx_gateway_shard *gateway, struct fmx_msg *message);

/* Sends from the backlog what the window and the queue have room for. */
void fmx_gateway_pump(struct fmx_conn *conn);

/* A PUBACK has come for what was sent with this tag. */
void fmx_gateway_on_puback(struct fmx_conn *conn, uint64_t tag);

/* Moves what was sent and not acknowledged in front of the backlog, with its identifiers. */
void fmx_gateway_collect_unacked(struct fmx_conn *conn);

/* Publishers that waited for other shards go on where there is room again; once a turn. */
void fmx_gateway_go_on(struct fmx_gateway_shard *gateway);

/* One of them is gone. */
void fmx_gateway_forget_congested(struct fmx_conn *conn);

#endif
