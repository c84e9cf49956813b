/*
 * gateway.h — the server role: what devices and other MQTT clients connect to
 *
 *     struct fmx_gateway_options options;
 *     fmx_gateway_options_init(&options, FMX_PROFILE_OPEN);
 *     options.listen = (const char *[]){"127.0.0.1:1883"};
 *     options.listen_count = 1;
 *     fmx_gateway_open(&options, &gateway, error, sizeof(error));
 *     fmx_gateway_start(gateway, error, sizeof(error));
 *     …
 *     fmx_gateway_stop(gateway, 5000);
 *     fmx_gateway_close(gateway);
 *
 * Threads: open, start, stop and close belong to one thread of the caller's. Callbacks, and what
 * completes a call, run on the library's shards and must not block: a shard serves tens of
 * thousands of sessions. Calls need a caller handle: one thread of yours opens its own
 * (fmx_gateway_caller_open); a callback uses the one it is given, and only until it returns.
 *
 * Completions: each call that returned FMX_OK and takes a `done` completes exactly once, also when
 * the gateway stops. It may do so before the call returns.
 */
#ifndef FLEETMUX_GATEWAY_H
#define FLEETMUX_GATEWAY_H

#include <fleetmux/limits.h>
#include <fleetmux/options.h>
#include <fleetmux/stats.h>
#include <fleetmux/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fmx_gateway;
struct fmx_gateway_caller;

enum fmx_profile {
    FMX_PROFILE_OPEN = 0,     /* plain MQTT for anybody's clients */
    FMX_PROFILE_PLATFORM = 1, /* signed devices and the platform's rules */
};

/* ── what a service hears ──────────────────────────────────────────────────────────────────── */

/* A session that is now open. Slices live until the callback returns. */
struct fmx_gateway_session {
    struct fmx_session_id id;
    struct fmx_gateway_caller *caller; /* for calls from within this callback */
    enum fmx_version version;
    fmx_slice client_id;   /* platform: the logical one, which is signed */
    fmx_slice username;    /* of its certificate, where that is the login */
    fmx_slice product_key; /* platform only; else empty, as device_name */
    fmx_slice device_name;
    fmx_slice address; /* of the peer, as text, without the port; empty if it is not known */
    const struct fmx_tls_facts *tls; /* NULL: plain TCP */
    uint16_t keepalive_s;
    bool clean;
    bool session_present;
};

/* A session that is over. Slices live until the callback returns. */
struct fmx_gateway_end {
    struct fmx_session_id id;
    struct fmx_gateway_caller *caller;
    enum fmx_status cause;
    uint16_t offline_code; /* the platform's number for the cause: 427 taken over, … */
    uint64_t last_in_ms;   /* UNIX time of its last packet */
    fmx_slice client_id;
    fmx_slice product_key;
    fmx_slice device_name;
    fmx_slice address;
};

/* A message from a client. Slices live until the callback returns. */
struct fmx_gateway_message {
    struct fmx_session_id from;
    uint32_t shard_index; /* as on_batch says it */
    struct fmx_gateway_caller *caller;
    uint64_t message_id; /* made by the gateway: 10^18 … 2^63 − 1 */
    fmx_slice product_key;
    fmx_slice device_name;
    fmx_slice topic;   /* without a tracing suffix */
    fmx_slice payload; /* where the kernel put it, if the packet was whole in one buffer */
    uint8_t qos;
    bool retain;
    bool payload_is_text; /* Payload Format Indicator */
    bool has_correlation_data;
    bool has_expiry;
    uint32_t expiry_s; /* Message Expiry Interval */
    fmx_slice response_topic;
    fmx_slice correlation_data;
    fmx_slice content_type;
    fmx_slice user_properties; /* wire form; walk with fmx_user_property_next */
};

/* What a look-up says of a device, in place of the registry. */
struct fmx_gateway_device {
    bool is_disabled;
    uint8_t secret_bytes;
    uint8_t secret[64];
};

/* All may be NULL. `user` is options.user. Each runs on the shard of the session it is about. */
struct fmx_gateway_callbacks {
    /* CONNECT has passed all checks. FMX_OK admits; FMX_PEER_CREDENTIALS, FMX_PEER_NOT_AUTHORIZED,
       FMX_PEER_CLIENT_ID or FMX_LIMIT_BUSY refuse with the matching code. */
    enum fmx_status (*on_connect)(void *user, const struct fmx_gateway_session *session,
                                  fmx_slice password);
    /* Platform: the device's secret, in place of options.registry. FMX_OK, or FMX_E_STALE for a
       device that is not known. Limits of its product: fmx_gateway_set_limits; without a registry
       every custom topic of its own is allowed to a device. For PSKs it is called during the
       handshake too, and then perhaps on a thread of tls_limits.workers. */
    enum fmx_status (*on_device)(void *user, fmx_slice product_key, fmx_slice device_name,
                                 struct fmx_gateway_device *out_device);
    void (*on_open)(void *user, const struct fmx_gateway_session *session);
    void (*on_message)(void *user, const struct fmx_gateway_message *message);
    /* The turn of a shard in which on_message was called is over: a service that passes messages on
       in batches closes its batch here. */
    void (*on_batch)(void *user, uint32_t shard_index);
    void (*on_close)(void *user, const struct fmx_gateway_end *end);
};

struct fmx_gateway_options {
    struct fmx_mux_options mux;
    enum fmx_profile profile;
    const char *const
        *listen;         /* "ADDRESS:PORT", "[::1]:1883", ":1883" for every address; port 0: any;
                            "mqtt://…" takes plain MQTT only, "mqtts://…" TLS only, what says
                            neither both, if there is `tls`, told by a client's first byte;
                            "…#NAME": with the settings of that name */
    size_t listen_count; /* 1 … 16 */
    const struct fmx_tls_server *tls; /* of the listeners; without: no TLS */
    size_t tls_count;                 /* 0 … 16, each with another name */
    struct fmx_tls_limits tls_limits;
    uint32_t backlog;            /* connections the kernel keeps waiting (4,096) */
    uint32_t connect_timeout_ms; /* from TCP to a whole CONNECT, 100 … 600,000 (10,000); with TLS to
                                    its first byte, and again from the end of the handshake */
    struct fmx_limits limits;    /* the profile's, limits.h */
    const char *registry; /* platform: the file of registry.h; NULL: callbacks.on_device decides */
    const char *store; /* persistent sessions on disk: a file, made if needed; NULL: they end with
                             the process */
    bool
        publisher_qos_decides; /* false: the lower of publisher's and subscriber's QoS (open: false,
                                   platform: true) */
    bool retain_is_refused;    /* 5.0: Retain Available 0, RETAIN 1 → 0x9A (true); false, and
                                   always before 5.0: delivered with the flag cleared */
    bool clamps_keepalive;   /* platform: longer than keepalive_max_s is lowered (true), or refused
                                   (false); shorter than keepalive_min_s is always refused */
    bool answers_are_uplink; /* platform: on_message hears answers to calls too (false) */
    bool checks_secure_mode; /* platform: securemode that contradicts the channel is refused, not
                                   only counted (false) */
    bool registers_again;    /* platform: a device that has logged in before may fetch its
                                   credentials again (false) */
    bool answers_thing_model; /* platform: …/post is answered with …/post_reply, code 200 (false) */
    struct fmx_gateway_callbacks callbacks;
    void *user;
};

/* Fills in the defaults of a profile, named above and in limits.h. Any thread. */
FMX_API void fmx_gateway_options_init(struct fmx_gateway_options *options,
                                      enum fmx_profile profile);

/*
 * Checks the options and makes a gateway that does not listen yet; opens registry and store.
 * FMX_OK, FMX_E_OPTION, FMX_LIMIT_MEMORY, FMX_SYS_FILE, FMX_SYS_THREAD. After a failure `error` (of
 * `error_bytes`, at least 512) says which option, its value, and what to write instead.
 */
FMX_API enum fmx_status fmx_gateway_open(const struct fmx_gateway_options *options,
                                         struct fmx_gateway **out_gateway, char *error,
                                         size_t error_bytes) FMX_MUST_USE;

/*
 * Starts the shards and listens. Returns when all accept; waits up to a second for an address that
 * is in use, as that of a gateway which was killed may be. FMX_OK; FMX_SYS_RING (kernel or limits),
 * FMX_SYS_BIND, FMX_SYS_LISTEN, FMX_SYS_THREAD, FMX_LIMIT_MEMORY, with words in `error`. After a
 * failure only fmx_gateway_close is allowed.
 */
FMX_API enum fmx_status fmx_gateway_start(struct fmx_gateway *gateway, char *error,
                                          size_t error_bytes) FMX_MUST_USE;

/* After start: shards that run, and the port of listener `index` (of use where 0 was asked). */
FMX_API uint32_t fmx_gateway_shards_count(const struct fmx_gateway *gateway);
FMX_API uint16_t fmx_gateway_port(const struct fmx_gateway *gateway, size_t index);

/*
 * Drains: stops accepting, says goodbye (5.0: DISCONNECT 0x8B), lets each queue empty for at most
 * one second and all of them for `drain_ms`, closes all, ends the shards. What callers are still
 * waiting for completes before this returns, perhaps on this thread; no callback runs afterwards.
 * No call of a caller may be under way.
 */
FMX_API void fmx_gateway_stop(struct fmx_gateway *gateway, uint32_t drain_ms);

/* Releases everything. The gateway is stopped or was never started; callers are closed. */
FMX_API void fmx_gateway_close(struct fmx_gateway *gateway);

/*
 * Reads all files of options.tls again, by the paths that open was given: certificates, keys,
 * authorities, PSKs, ticket keys. What connects from now on gets them; open connections stay as
 * they are. After a failure all listeners are as they were. Between start and stop, any thread but
 * a callback's, one at a time; it waits for the disk, and for other processes that change a file of
 * ticket keys, up to 5 s. FMX_OK; FMX_E_OPTION,
 * FMX_SYS_FILE, FMX_LIMIT_MEMORY, with words in `error` (at least 512 bytes) that name settings,
 * field, file and fix; FMX_E_STATE: there is no TLS, or the gateway does not run; FMX_FULL: a shard
 * has taken no message for a second, and some listeners may have the new files: call again.
 */
FMX_API enum fmx_status fmx_gateway_reload(struct fmx_gateway *gateway, char *error,
                                           size_t error_bytes) FMX_MUST_USE;

/* A snapshot of the counters; any thread, between start and close. */
FMX_API void fmx_gateway_stats(const struct fmx_gateway *gateway, struct fmx_stats *out_stats);

/*
 * A handle for one thread of yours: one bounded queue towards each shard. Between start and stop.
 */
FMX_API enum fmx_status fmx_gateway_caller_open(
    struct fmx_gateway *gateway, struct fmx_gateway_caller **out_caller) FMX_MUST_USE;
FMX_API void fmx_gateway_caller_close(struct fmx_gateway_caller *caller);

/* ── messages to clients ───────────────────────────────────────────────────────────────────── */

/* Something to publish. All is copied before the call returns. */
struct fmx_gateway_publication {
    fmx_slice topic;
    fmx_slice payload;
    uint8_t qos; /* 0, 1 */
    bool payload_is_text;
    bool has_correlation_data;
    uint32_t expiry_s; /* 0: none */
    fmx_slice response_topic;
    fmx_slice correlation_data;
    fmx_slice content_type;
    fmx_slice user_properties; /* wire form; fmx_user_property_write */
};

/* What became of a message to a device. */
enum fmx_delivery {
    FMX_DELIVERY_SENT,           /* QoS 0: given to its connection */
    FMX_DELIVERY_ACKNOWLEDGED,   /* QoS 1: its PUBACK has come */
    FMX_DELIVERY_STORED,         /* QoS 1: it is away; on disk (without options.store: in memory) */
    FMX_DELIVERY_OFFLINE,        /* it is away, and QoS or session keep nothing */
    FMX_DELIVERY_NOT_SUBSCRIBED, /* it is there, and has not subscribed to the topic */
    FMX_DELIVERY_DROPPED,        /* at a limit, or its session ended before it was acknowledged */
    FMX_DELIVERY_SHUTDOWN,       /* the gateway stopped before any of these was known */
};

FMX_API const char *fmx_delivery_name(enum fmx_delivery delivery); /* "sent", … */

typedef void fmx_gateway_delivered(void *user, enum fmx_delivery delivery);

/*
 * Publishes to every session that has subscribed to the topic: in the open profile any topic, in
 * the platform's /broadcast/PRODUCT KEY/…. FMX_OK (queued), FMX_FULL (nothing queued: try again
 * later), FMX_E_TOPIC, FMX_E_ARGUMENT (a field is out of range), FMX_E_TOO_LARGE (above what MQTT
 * can say), FMX_LIMIT_MEMORY.
 */
FMX_API enum fmx_status fmx_gateway_publish(struct fmx_gateway_caller *caller,
                                            const struct fmx_gateway_publication *publication)
    FMX_MUST_USE;

/*
 * Publishes to one device; the topic is one of its own. At QoS 1 a persistent session gets it when
 * it comes back. `done` may be NULL. FMX_OK (`done` follows), or as fmx_gateway_publish;
 * FMX_E_TOPIC also if the topic is none of the device's. Platform profile.
 */
FMX_API enum fmx_status fmx_gateway_publish_to(struct fmx_gateway_caller *caller,
                                               fmx_slice product_key, fmx_slice device_name,
                                               const struct fmx_gateway_publication *publication,
                                               fmx_gateway_delivered *done,
                                               void *user) FMX_MUST_USE;

/*
 * Publishes to every session of a product that is open now, on its own topic
 * /sys/PRODUCT KEY/DEVICE NAME/broadcast/request/ID, without a subscription. QoS 0. Platform
 * profile. FMX_OK and the rest as fmx_gateway_publish.
 */
FMX_API enum fmx_status fmx_gateway_broadcast(struct fmx_gateway_caller *caller,
                                              fmx_slice product_key,
                                              fmx_slice payload) FMX_MUST_USE;

/* ── calls ─────────────────────────────────────────────────────────────────────────────────── */

enum fmx_call_code {
    FMX_CALL_SUCCESS,
    FMX_CALL_TIMEOUT,  /* no answer in time */
    FMX_CALL_OFFLINE,  /* the device is not there */
    FMX_CALL_HALFCONN, /* its connection broke before it had answered */
    FMX_CALL_UNKNOWN,  /* anything else: the gateway stops, or has no memory */
};

FMX_API const char *fmx_call_code_name(enum fmx_call_code code); /* "SUCCESS", … */

struct fmx_gateway_request {
    fmx_slice product_key;
    fmx_slice device_name;
    fmx_slice topic; /* a custom topic of the device, /PRODUCT KEY/DEVICE NAME/user/…; empty: the
                        system form */
    fmx_slice payload;
    uint32_t timeout_ms; /* 1 … 600,000; brought into call_timeout_min_ms … call_timeout_max_ms of
                            its product */
};

struct fmx_gateway_answer {
    enum fmx_call_code code;
    uint64_t message_id; /* 0: the call was never sent */
    fmx_slice payload;   /* lives until the callback returns */
};

typedef void fmx_gateway_answered(void *user, const struct fmx_gateway_answer *answer);

/*
 * Calls a device: publishes a request to it and hands over its answer. FMX_OK (`done` follows);
 * FMX_FULL (nothing was begun), FMX_E_ARGUMENT (a name, or the timeout), FMX_E_TOPIC (none of the
 * device's custom topics), FMX_E_TOO_LARGE, FMX_LIMIT_MEMORY. Platform profile. Answers that are
 * late or fit no call are counted and dropped.
 */
FMX_API enum fmx_status fmx_gateway_call(struct fmx_gateway_caller *caller,
                                         const struct fmx_gateway_request *request,
                                         fmx_gateway_answered *done, void *user) FMX_MUST_USE;

/*
 * The same, and waits for the answer, of which at most `room` bytes are copied to `out_payload`;
 * out_answer->payload then lies there, cut short if it was longer. Never in a callback
 * (FMX_E_STATE). Otherwise as fmx_gateway_call; FMX_OK means that there is a code.
 */
FMX_API enum fmx_status fmx_gateway_call_wait(struct fmx_gateway_caller *caller,
                                              const struct fmx_gateway_request *request,
                                              uint8_t *out_payload, size_t room,
                                              struct fmx_gateway_answer *out_answer) FMX_MUST_USE;

/* ── sessions ──────────────────────────────────────────────────────────────────────────────── */

/*
 * Closes a session (5.0: DISCONNECT 0x98). A stale id is ignored. FMX_OK, FMX_FULL,
 * FMX_E_ARGUMENT.
 */
FMX_API enum fmx_status fmx_gateway_kick(struct fmx_gateway_caller *caller,
                                         struct fmx_session_id id) FMX_MUST_USE;

/* The same by name. `done` (may be NULL) hears whether there was a session. Platform profile. */
FMX_API enum fmx_status fmx_gateway_kick_device(struct fmx_gateway_caller *caller,
                                                fmx_slice product_key, fmx_slice device_name,
                                                void (*done)(void *user, bool was_there),
                                                void *user) FMX_MUST_USE;

enum fmx_device_presence {
    FMX_DEVICE_UNKNOWN,  /* not in the registry */
    FMX_DEVICE_UNACTIVE, /* never connected */
    FMX_DEVICE_OFFLINE,
    FMX_DEVICE_ONLINE,
    FMX_DEVICE_DISABLED,
};

FMX_API const char *fmx_device_presence_name(enum fmx_device_presence presence); /* "ONLINE", … */

struct fmx_gateway_state {
    enum fmx_device_presence presence;
    struct fmx_session_id session; /* FMX_SESSION_NONE: it is not there */
    uint64_t since_ms; /* UNIX time of its CONNECT, or since when it is away; 0: unknown */
    bool has_session;  /* there, or kept */
    uint32_t subscriptions_count; /* of a kept session */
    uint32_t stored_count;        /* QoS 1 messages that wait for it while it is away */
};

/*
 * Asks for a device's state. FMX_OK (`done` follows), FMX_FULL, FMX_E_ARGUMENT, FMX_LIMIT_MEMORY.
 * Platform profile.
 */
FMX_API enum fmx_status fmx_gateway_query(
    struct fmx_gateway_caller *caller, fmx_slice product_key, fmx_slice device_name,
    void (*done)(void *user, const struct fmx_gateway_state *state), void *user) FMX_MUST_USE;

/*
 * Sessions that are open now, a page at a time: `cursor` begins at 0 and is then what the last page
 * said; a next cursor of 0 ends the list. FMX_OK (`done` follows with at most FMX_LIST_PAGE
 * sessions, perhaps none), FMX_FULL, FMX_E_ARGUMENT, FMX_LIMIT_MEMORY.
 */
#define FMX_LIST_PAGE 256
FMX_API enum fmx_status fmx_gateway_list(struct fmx_gateway_caller *caller, uint64_t cursor,
                                         void (*done)(void *user,
                                                      const struct fmx_gateway_session *sessions,
                                                      size_t count, uint64_t next_cursor),
                                         void *user) FMX_MUST_USE;

/*
 * Changes limits while the gateway runs: its own (an empty product key) or those of a product, on
 * top of the gateway's; later calls add to earlier ones. What has been announced to a client
 * (packet size, Receive Maximum, aliases, keep-alive) changes with its next CONNECT; everything
 * else at once. Not written to the registry: a later change of the product there replaces it.
 * FMX_OK, FMX_E_OPTION with words, FMX_FULL (some shards may have it already: call again),
 * FMX_LIMIT_MEMORY.
 */
FMX_API enum fmx_status fmx_gateway_set_limits(struct fmx_gateway_caller *caller,
                                               fmx_slice product_key,
                                               const struct fmx_limits_override *override,
                                               char *error, size_t error_bytes) FMX_MUST_USE;

/* ── user properties ───────────────────────────────────────────────────────────────────────── */

/*
 * Walks user properties in their wire form; `offset` begins at 0. FMX_OK or FMX_END. Any thread.
 * (MQTT 5.0, 3.3.2.3.7)
 */
FMX_API enum fmx_status fmx_user_property_next(fmx_slice user_properties, size_t *offset,
                                               fmx_slice *out_key,
                                               fmx_slice *out_value) FMX_MUST_USE;

/*
 * Appends one to a list in the making: `*bytes` of `room` are used. FMX_OK, FMX_FULL (no room,
 * nothing written), FMX_E_ARGUMENT (longer than 65,535 bytes, or no UTF-8). Any thread.
 */
FMX_API enum fmx_status fmx_user_property_write(uint8_t *out, size_t room, size_t *bytes,
                                                fmx_slice key, fmx_slice value) FMX_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
