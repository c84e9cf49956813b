/*
 * msg.h — the closed list of what may cross from one shard to another
 *
 * A message is 64 bytes at most. A pointer in it is owned by the message: whoever pops it owns it.
 * What each kind means, and who answers what, is drawn in roles/gateway.h.
 */
#ifndef ENGINE_MSG_H
#define ENGINE_MSG_H

#include <assert.h>
#include <fleetmux/error.h>

struct fmx_payload;
struct fmx_parcel;
struct fmx_order;
struct fmx_limits_change;
struct fmx_tls_context;

enum fmx_msg_kind {
    FMX_MSG_NONE = 0,
    /* to any shard, from the process */
    FMX_MSG_STOP,      /* drain, then end */
    FMX_MSG_BEGIN,     /* the plan's clock runs */
    FMX_MSG_STEER,     /* another rate, a pause, a storm: roles/fleet.h */
    FMX_MSG_RENEW_TLS, /* a listener has other certificates and keys */
    /* about identities: between a session's shard and its client id's home */
    FMX_MSG_CLAIMING, /* session → its own shard: claim my client id, if I am still there */
    FMX_MSG_CLAIM,    /* session → home: this client id is mine now */
    FMX_MSG_CLAIMED,  /* home → session: yes, with what was kept; or no */
    FMX_MSG_RELEASE,  /* home → session: hand over and end */
    FMX_MSG_RELEASED, /* session → home: here is all I had */
    FMX_MSG_GONE,     /* session → home: my connection is gone */
    /* about subscriptions */
    FMX_MSG_SUBSCRIBE,  /* session → home: a persistent session's SUBSCRIBE or UNSUBSCRIBE */
    FMX_MSG_SUBSCRIBED, /* home → session: its codes */
    FMX_MSG_INTEREST,   /* shard → every other: I have (no longer) a subscriber to this filter */
    /* about messages */
    FMX_MSG_PUBLISH, /* shard or caller → shard: route this among your own */
    FMX_MSG_DELIVER, /* home → session: this one is for you */
    FMX_MSG_KICK,    /* caller → session */
    /* about what a service asks for: roles/order.h */
    FMX_MSG_ORDER,       /* caller → home of a device: this is for it */
    FMX_MSG_ORDER_TO,    /* home → session: this is for you */
    FMX_MSG_CALL_ANSWER, /* session → home: its answer to a call */
    FMX_MSG_CALL_END,    /* session → home: there will be none */
    FMX_MSG_BROADCAST,   /* caller → shard → every other: for each session of a product */
    /* about products, registrations and the store */
    FMX_MSG_PRODUCT,    /* → every shard: the registry has changed here */
    FMX_MSG_LIMITS,     /* caller → every shard: these limits are in force now */
    FMX_MSG_REGISTERED, /* → session: what it has asked to be registered as */
    FMX_MSG_SETTLED,    /* session → home: a stored message was acknowledged, or is no more */
    FMX_MSG_COMMITTED,  /* store → shard: look what is on disk now */
};

/* A client id or a list of filters on its way: bytes behind a length, freed by the receiver. */
struct fmx_blob {
    size_t bytes;
    uint8_t data[];
};

/* When a client's buckets are full again, whatever connections it has meanwhile; 0: they are. */
struct fmx_rate_memory {
    uint64_t up_full_ns;
    uint64_t up_qos1_full_ns;
};

/* An allocated copy, or NULL. */
struct fmx_blob *fmx_blob_make(fmx_slice bytes);

static inline fmx_slice fmx_blob_slice(const struct fmx_blob *blob)
{
    return (fmx_slice){.data = blob->data, .bytes = blob->bytes};
}

#define FMX_SHARD_NONE UINT16_MAX

struct fmx_msg {
    uint16_t kind;       /* enum fmx_msg_kind */
    uint16_t from_shard; /* set when posted; FMX_SHARD_NONE: from a caller outside */
    uint32_t identity;   /* index of the directory entry at home, where the message is about one */
    union {
        struct {
            struct fmx_session_id session;
            struct fmx_blob *client_id;
            uint64_t hash;
            uint64_t since_ns; /* when its CONNECT came: of two claims the later one is the newer */
            uint32_t expiry_s; /* 0: ends with the connection */
            bool clean;        /* what was kept before is dropped */
            uint8_t flags;     /* what home has to know of the session while it is away */
        } claim;
        struct {
            struct fmx_session_id session;
            struct fmx_parcel *parcel; /* what was kept; NULL: nothing */
            enum fmx_status status;
            bool session_present;
            bool is_kept; /* the session's state is at home */
            struct fmx_rate_memory rates;
        } claimed;
        struct {
            struct fmx_session_id session;
            enum fmx_status cause;
        } release;
        struct {
            struct fmx_session_id session;
            struct fmx_parcel *parcel;
            uint64_t hash; /* of its client id */
            struct fmx_rate_memory rates;
            uint32_t expiry_s;
        } released;
        struct {
            struct fmx_session_id session;
            uint64_t hash; /* of its client id */
            struct fmx_rate_memory rates;
            bool is_final; /* nothing to hand over: no RELEASED will follow */
        } gone;
        struct {
            struct fmx_session_id session;
            struct fmx_blob *list; /* filters in wire form; codes on the way back */
            uint16_t packet_id;
            bool is_unsubscribe;
            uint8_t version;
        } subscribe;
        struct {
            struct fmx_blob *filter;
            bool is_added;
        } interest;
        struct {
            struct fmx_payload *payload;
            bool is_first; /* it comes from a caller: other shards have to hear of it */
        } publish;
        struct {
            struct fmx_session_id session;
            struct fmx_payload *payload;
            uint8_t options; /* of the subscription: QoS and flags, router.h */
        } deliver;
        struct {
            struct fmx_session_id session;
            uint64_t since_ns; /* when CONNECT came */
        } claiming;
        struct {
            struct fmx_session_id session;
            enum fmx_status cause;
        } about; /* KICK */
        struct {
            struct fmx_order *order;
            struct fmx_session_id session; /* ORDER_TO */
        } order;
        struct {
            uint64_t message_id;
            uint64_t hash; /* of the answering device's key */
            struct fmx_payload *payload;
            uint8_t code; /* CALL_END: enum fmx_call_code */
        } call;
        struct {
            struct fmx_blob *product_key;
            struct fmx_payload *payload;
            uint64_t message_id;
            bool is_passed_on; /* by the shard that had it from the caller */
        } broadcast;
        struct {
            struct fmx_blob *key;
            bool is_gone; /* disabled or deleted: who is welcome all the same comes back */
        } product;
        struct {
            struct fmx_limits_change *change;
        } limits;
        struct {
            struct fmx_session_id session;
            struct fmx_blob *secret;    /* or token */
            struct fmx_blob *client_id; /* with a token */
            enum fmx_status status;
        } registered;
        struct {
            uint64_t store_id;
        } settled;
        struct {
            uint32_t drain_ms;
        } stop;
        struct {
            struct fmx_tls_context *context; /* a reference */
            uint32_t listener;
        } renew_tls;
        struct {
            double value;   /* rate, share, or 1 for a pause and 0 for its end */
            uint32_t group; /* of a storm */
            uint8_t wish;   /* enum fmx_fleet_wish of roles/fleet.h */
            uint8_t leave;
        } steer;
    };
};

static_assert(sizeof(struct fmx_msg) <= 64, "a message is one cache line");

#endif
