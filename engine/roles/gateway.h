/*
 * gateway.h — the server role inside: what a shard and a session of it hold; who calls whom
 *
 *     gateway.c           open to close, the role's table of callbacks
 *     gateway_options.c   defaults of the profiles, and what is refused
 *     gateway_messages.c  what other shards and threads say to a shard
 *     gateway_tls.h       listeners, TLS and its certificates, whom a channel proves
 *     gateway_calls.c     what a service calls: from any thread to the shard that answers
 *     gateway_session.c   CONNECT to the end: claims, admission, hand-over
 *     subscribe.c         SUBSCRIBE, UNSUBSCRIBE, and telling other shards what is wanted here
 *     deliver.c           a PUBLISH on its way to everyone who gets it
 *     waiting.c           QoS 1 messages and publishers that wait
 *     directory.c         whose a client id is, and what is kept for the absent
 *     backlog.c           a queue of QoS 1 messages
 *     journal.c, store.c  what is kept, on disk as well
 *
 *     open.c              the open profile: what is allowed, and that is nearly all
 *     platform.c          the platform's: who a device is
 *     platform_publish.c  what it may say, and how much of it
 *     system_topics.c     what the gateway answers itself: time, thing-model posts, notices
 *     service.c           orders of a service to a device
 *     rrpc.c, device.c, product.c, connect_rate.c
 */
#ifndef ENGINE_ROLES_GATEWAY_H
#define ENGINE_ROLES_GATEWAY_H

#include "engine/mux.h"
#include "engine/roles/connect_rate.h"
#include "engine/roles/device.h"
#include "engine/roles/directory.h"
#include "engine/roles/gateway_tls.h"
#include "engine/roles/profile.h"
#include "engine/roles/rrpc.h"
#include "engine/roles/store.h"
#include "engine/router.h"

#include <fleetmux/gateway.h>

struct fmx_gateway {
    struct fmx_gateway_options options; /* read-only after open; pointers in it are not kept */
    struct fmx_session_options
        session; /* of a connection before its CONNECT; read-only after open */
    const struct fmx_profile_rules *profile;
    struct fmx_mux *mux;
    struct fmx_devices *devices;                  /* NULL: no registry */
    struct fmx_store *store;                      /* NULL: nothing outlives the process */
    struct fmx_mux_caller *_Atomic keeper_caller; /* for the registry's thread, from start on */
    struct fmx_mux_caller *_Atomic store_caller;  /* for the store's */
    atomic_uint quiet_shards; /* while they stop: those that have no connection any more */
    atomic_bool is_stopping;  /* written by stop */
    uint64_t hash_seed;       /* read-only after open: client ids are spread over homes by it */
    size_t listen_count;
    struct fmx_gateway_listener listeners[FMX_LISTENERS_MAX]; /* read-only after open */
    struct fmx_gateway_tls *tls;                              /* NULL: no listener takes TLS */
};

struct fmx_gateway_caller {
    struct fmx_mux_caller *mux_caller; /* NULL: it is a shard's, for its callbacks */
    struct fmx_shard *on_shard;        /* NULL: it is a thread's outside */
    struct fmx_gateway *gateway;
    uint32_t
        shard; /* where its messages are routed first: one shard, so that they keep their order */
};

/* One per shard: shard->role_state. */
struct fmx_gateway_shard {
    struct fmx_gateway *gateway;
    struct fmx_shard *shard;
    struct fmx_gateway_caller caller; /* what callbacks of this shard are given */
    struct fmx_router *router;
    struct fmx_directory directory;
    struct fmx_products products;
    struct fmx_gateway_product *open_product; /* the open profile's only one */
    struct fmx_calls calls;
    struct fmx_connect_rate connect_rate;
    struct fmx_awaiting *awaiting; /* orders that end when the disk has them; a ring */
    uint32_t awaiting_first;
    uint32_t awaiting_count;
    uint32_t awaiting_capacity;
    _Atomic uint64_t committed;       /* by the store's thread: all up to it is on disk */
    struct fmx_broadcast *broadcasts; /* under way, oldest first */
    uint64_t messages;                /* numbers given to uplink messages */
    bool is_quiet;                    /* counted in quiet_shards */
    uint32_t quiet_turns;             /* since all were */
    bool batch_is_open;               /* on_message was called in this turn */
    uint32_t *remote_heads;           /* chains in the router of what other shards want; [shard] */
    bool *wants_all; /* shards whose interest found no memory here: they get everything */
    uint32_t wants_all_count;
    uint64_t assigned; /* client ids made up so far */
    uint64_t assigned_seed;
    uint32_t congested;      /* the first publisher that waits for another's inbox: slot, from 1 */
    uint8_t *filter_scratch; /* 65,535 bytes */
};

/* An order that ends as STORED once the store has committed `sequence`. */
struct fmx_awaiting {
    uint64_t sequence;
    struct fmx_receipt *receipt;
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
    uint8_t *names; /* the key (open: client id; platform: user name), then what callbacks want
                       (open: user name; platform: logical client id) */
    struct fmx_device_state *device; /* platform only */
    struct fmx_backlog backlog;      /* QoS 1 that waits for the window or for room */
    uint32_t next_congested;         /* slot, counted from 1; 0: none */
    uint32_t identity;               /* at home */
    uint32_t subscriptions;          /* chain in this shard's router, unless its state is at home */
    uint32_t subscriptions_count;
    uint16_t key_bytes;
    uint16_t rest_bytes;
    uint8_t claim;           /* enum fmx_claim_state */
    bool is_kept : 1;        /* its state is at home: subscriptions there, messages via there */
    bool is_open : 1;        /* on_open was called, sessions_now counts it */
    bool is_congested : 1;   /* waits in the shard's list */
    bool id_is_assigned : 1; /* the server made the client id up */
};

static_assert(sizeof(struct fmx_conn) + sizeof(struct fmx_gateway_session_part) == 256,
              "a quiet session is four cache lines");

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

static inline fmx_slice fmx_gateway_key(const struct fmx_gateway_session_part *part)
{
    return (fmx_slice){.data = part->names, .bytes = part->key_bytes};
}

static inline fmx_slice fmx_gateway_rest(const struct fmx_gateway_session_part *part)
{
    return (fmx_slice){.data = part->rest_bytes == 0 ? NULL : part->names + part->key_bytes,
                       .bytes = part->rest_bytes};
}

/* The limits a session is under. */
static inline const struct fmx_limits *fmx_gateway_limits(struct fmx_conn *conn)
{
    const struct fmx_device_state *device = fmx_gateway_part(conn)->device;

    return device != NULL ? &device->product->limits
                          : &fmx_gateway_of(conn->shard)->open_product->limits;
}

/* The hash of a session's key: it names the home. */
uint64_t fmx_gateway_hash(struct fmx_conn *conn);

/* Names of a platform session; empty in the open profile. */
fmx_slice fmx_gateway_product_key(const struct fmx_gateway_session_part *part);
fmx_slice fmx_gateway_device_name(const struct fmx_gateway_session_part *part);

/* The two names in a key; false: it has no '&'. */
bool fmx_gateway_split_key(fmx_slice key, fmx_slice *out_product_key, fmx_slice *out_device_name);

/* ── gateway_options.c ── */

/* FMX_OK or FMX_E_OPTION, with words. */
enum fmx_status fmx_gateway_options_check(const struct fmx_gateway_options *options, char *error,
                                          size_t error_bytes) FMX_MUST_USE;

/* ── gateway_messages.c ── */

void fmx_gateway_on_message(struct fmx_shard *shard, struct fmx_msg *message);

/* Releases what a message owns, when nobody is there to take it. */
void fmx_gateway_discard(struct fmx_shard *shard, struct fmx_msg *message);

/* ── gateway.c ── */

/* UNIX milliseconds of a time on the shards' clock. */
uint64_t fmx_gateway_unix_ms(uint64_t at_ns, uint64_t now_ns);

/* ── gateway_calls.c ── */

/* A change of limits on its way to one shard. */
struct fmx_limits_change {
    struct fmx_limits_override override;
    uint8_t key_bytes;
    uint8_t key[FMX_PRODUCT_KEY_BYTES_MAX];
};

/* From the registry's thread: `user` is the gateway. */
void fmx_gateway_on_product_changed(void *user, fmx_slice product_key);
void fmx_gateway_on_device_gone(void *user, fmx_slice product_key, fmx_slice device_name);
void fmx_gateway_on_registry_trouble(void *user, const char *words);
void fmx_gateway_on_registered(void *user, uint64_t tag, enum fmx_status status, fmx_slice secret,
                               fmx_slice client_id);

/* ── gateway_session.c ── */

/*
 * Keeps names; counts a will and asks the service, to which the user is `username`, whatever
 * CONNECT says. False: the connection has been closed.
 */
bool fmx_gateway_keep_names(struct fmx_conn *conn, fmx_slice key, fmx_slice rest);
bool fmx_gateway_ask_service(struct fmx_conn *conn, const struct fmx_connect *connect,
                             fmx_slice username);

/* The session begins to claim its key; CONNACK follows when it has it. */
void fmx_gateway_claim(struct fmx_conn *conn);

/* What a description of a session points to beside the session itself. */
struct fmx_session_room {
    char address[FMX_ADDRESS_TEXT_BYTES];
    struct fmx_tls_facts facts;
};

/* What callbacks hear of a session. */
struct fmx_gateway_session fmx_gateway_describe(struct fmx_conn *conn,
                                                struct fmx_session_room *room);

/* A CONNECT of `who`, as far as that is known, is refused, in words, logged and counted. */
void fmx_gateway_refuse(struct fmx_conn *conn, enum fmx_status status, fmx_slice who,
                        const char *words, _Atomic uint64_t *counter);

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

/* A kept session's subscription as it was when the process last ended. */
enum fmx_status fmx_gateway_restore_subscription(struct fmx_gateway_shard *gateway,
                                                 struct fmx_identity *identity, fmx_slice filter,
                                                 uint8_t options) FMX_MUST_USE;

/* Removes every subscription of a chain, and tells the other shards what nobody wants any more. */
void fmx_gateway_unsubscribe_all(struct fmx_gateway_shard *gateway, uint32_t *head);

/* ── deliver.c ── */

#define FMX_TAG_NOTHING 1ull /* an identifier in use, and nothing to send again */

/* Routes a message of a session of this shard, and acknowledges it; the view is used up. */
void fmx_gateway_publish_from(struct fmx_conn *conn, struct fmx_publish *publish);

/* Routes a message that came from another shard or a caller; takes over the reference. */
void fmx_gateway_publish_msg(struct fmx_gateway_shard *gateway, struct fmx_payload *payload,
                             bool is_from_caller);

/* A number for a message of a client: 10^18 … 2^63 − 1. */
static inline uint64_t fmx_gateway_next_message_id(struct fmx_gateway_shard *gateway)
{
    return 1ull << 62 | (uint64_t)gateway->shard->index << 52 |
           (gateway->messages++ & ((1ull << 52) - 1));
}

/* What the service hears of a PUBLISH. */
void fmx_gateway_tell_service(struct fmx_conn *conn, const struct fmx_publish *publish);

/*
 * To one session of this shard, as if it had subscribed; takes over the reference. QoS 0 outside
 * its rate is dropped unless `is_owed` (an answer, a call). The receipt, if there is one, is told.
 */
void fmx_gateway_give_to(struct fmx_conn *conn, struct fmx_payload *payload, bool is_owed);

/* For a session that is away; takes over the reference. */
void fmx_gateway_keep_for(struct fmx_gateway_shard *gateway, struct fmx_identity *identity,
                          struct fmx_payload *payload);

/* A message from home to a session of this shard; takes over the reference. */
void fmx_gateway_on_deliver(struct fmx_gateway_shard *gateway, struct fmx_msg *message);

/* Has a backlog more than these limits allow? */
static inline bool fmx_gateway_is_over(const struct fmx_limits *limits,
                                       const struct fmx_backlog *backlog)
{
    return fmx_backlog_count(backlog) > limits->queue_messages_max ||
           fmx_backlog_bytes(backlog) > limits->queue_bytes_max;
}

/* The limits of the session with this key, wherever it is. */
const struct fmx_limits *fmx_gateway_limits_of(struct fmx_gateway_shard *gateway, fmx_slice key);

/* Gives up what a tag stands for. */
void fmx_gateway_drop_tag(uint64_t tag);

/* Sends a message to an open session with room for it, under the identifier that is in it. */
void fmx_gateway_count_out(struct fmx_conn *conn, uint8_t qos);

/* Looks at the backlog again as soon as the rate towards the device allows. */
void fmx_gateway_pump_later(struct fmx_conn *conn);

/*
 * Puts an alias in place of the topic of a packet towards a device that takes some, if there is one
 * and the packet stays within the device's bound.
 */
void fmx_gateway_use_alias(struct fmx_conn *conn, struct fmx_packet *packet);

/* Sends from the backlog what the window and the queue have room for. */
void fmx_gateway_pump(struct fmx_conn *conn);

/* A PUBACK has come for what was sent with this tag. */
void fmx_gateway_on_puback(struct fmx_conn *conn, uint64_t tag);

/* Moves what was sent and not acknowledged in front of the backlog, with its identifiers. */
void fmx_gateway_collect_unacked(struct fmx_conn *conn);

/* This connection waits, until no shard and no disk is behind any more. */
void fmx_gateway_make_wait(struct fmx_conn *conn);

/* Publishers that waited for other shards go on where there is room again; once a turn. */
void fmx_gateway_go_on(struct fmx_gateway_shard *gateway);

/* One of them is gone. */
void fmx_gateway_forget_congested(struct fmx_conn *conn);

/* Every message that this session had, sent or waiting, is dropped. */
void fmx_gateway_drop_all(struct fmx_conn *conn);

/* ── platform.c ── */

void fmx_platform_on_peer_name(struct fmx_conn *conn, bool is_known);
/*
 * Looks the device up once more, now that whoever ends the sessions of a disabled one would find
 * this session, and has the time of its first login written. False: it may not stay.
 */
bool fmx_platform_welcome(struct fmx_conn *conn);
void fmx_platform_on_registered(struct fmx_gateway_shard *gateway, struct fmx_msg *message);

/* ── platform_publish.c ── */

void fmx_platform_on_publish(struct fmx_conn *conn, struct fmx_publish *publish);
void fmx_platform_on_timer(struct fmx_timer *timer);

/* What is wrong with the user properties of a packet, in words; NULL: nothing. */
const char *fmx_platform_users_fault(const struct fmx_props *props, const struct fmx_limits *limits,
                                     bool is_v5);

/* ── system_topics.c ── */

/* A message of the gateway's own to a session, QoS 0. */
void fmx_system_say(struct fmx_conn *conn, fmx_slice topic, fmx_slice payload);

void fmx_system_ntp(struct fmx_conn *conn, const struct fmx_publish *publish, uint64_t received_ms);
void fmx_system_thing(struct fmx_conn *conn, const struct fmx_publish *publish);

/* Tells a device that has asked for notices why a message of it did not go its way. */
void fmx_system_notice(struct fmx_conn *conn, const char *what, fmx_slice topic, const char *words);

/* Tells a device that came with its certificate alone who it is. */
void fmx_system_identity(struct fmx_conn *conn);

/* The answer to a registration, and nothing more follows. */
void fmx_system_credentials(struct fmx_conn *conn, fmx_slice secret, fmx_slice client_id);

/* ── service.c ── */

void fmx_service_on_order(struct fmx_gateway_shard *gateway, struct fmx_order *order);
void fmx_service_on_order_to(struct fmx_gateway_shard *gateway, const struct fmx_msg *message);
/* A call's time is over. */
void fmx_service_on_overdue(struct fmx_gateway_shard *gateway, struct fmx_timer *timer);
void fmx_service_on_broadcast(struct fmx_gateway_shard *gateway, struct fmx_msg *message);

/* Does an answer of the gateway's own on this topic reach the session? */
bool fmx_service_reaches(struct fmx_conn *conn, fmx_slice topic);

/* Goes on with broadcasts; once a turn. */
void fmx_service_go_on(struct fmx_gateway_shard *gateway);
void fmx_service_close(struct fmx_gateway_shard *gateway);

/* ── journal.c ── */

/* What is kept goes to disk as well; all harmless without a store. */
void fmx_journal_session(struct fmx_gateway_shard *gateway, struct fmx_identity *identity);
void fmx_journal_forget(struct fmx_gateway_shard *gateway, const struct fmx_kept *kept);
void fmx_journal_subscribe(struct fmx_gateway_shard *gateway, const struct fmx_kept *kept,
                           fmx_slice filter, uint8_t options);
void fmx_journal_unsubscribe(struct fmx_gateway_shard *gateway, const struct fmx_kept *kept,
                             fmx_slice filter);

/*
 * A message for an absent session, which stays the caller's. Its receipt, if there is one, is told
 * when it is on disk.
 */
void fmx_journal_message(struct fmx_gateway_shard *gateway, const struct fmx_kept *kept,
                         struct fmx_payload *payload);

/* A message of this session is no more: acknowledged or dropped. At its home, or from its shard. */
void fmx_journal_settle(struct fmx_gateway_shard *gateway, struct fmx_payload *payload);
void fmx_journal_settle_from(struct fmx_conn *conn, const struct fmx_payload *payload);

/* Before the shard's first turn: what is on disk and has its home here. */
enum fmx_status fmx_journal_read(struct fmx_gateway_shard *gateway) FMX_MUST_USE;

/* Once a turn: hands over what is new, ends the orders that are on disk by now. */
void fmx_journal_go_on(struct fmx_gateway_shard *gateway);

/* No shard runs any more, and the store is closed: who still waits for it hears the end. */
void fmx_journal_end_all(struct fmx_gateway_shard *gateway);

#endif
