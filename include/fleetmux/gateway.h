/*
 * gateway.h — the server role: what devices and other MQTT clients connect to
 *
 *     struct fmx_gateway_options options;
 *     fmx_gateway_options_init(&options);
 *     options.listen = (const char *[]){"127.0.0.1:1883"};
 *     options.listen_count = 1;
 *     fmx_gateway_open(&options, &gateway, error, sizeof(error));
 *     fmx_gateway_start(gateway, error, sizeof(error));
 *     …
 *     fmx_gateway_stop(gateway, 5000);
 *     fmx_gateway_close(gateway);
 *
 * Threads: open, start, stop and close belong to one thread of the caller's. Callbacks run on the
 * library's shards and must not block: a shard serves tens of thousands of sessions. A caller
 * handle (fmx_gateway_caller_open) lets one thread of yours publish and close sessions.
 */
#ifndef FLEETMUX_GATEWAY_H
#define FLEETMUX_GATEWAY_H

#include <fleetmux/options.h>
#include <fleetmux/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fmx_gateway;
struct fmx_gateway_caller;

enum fmx_profile {
    FMX_PROFILE_OPEN = 0,     /* plain MQTT for anybody's clients */
    FMX_PROFILE_PLATFORM = 1, /* signed devices and the platform's rules */
};

/* A session that is now open. Slices live until the callback returns. */
struct fmx_gateway_session {
    struct fmx_session_id id;
    enum fmx_version version;
    fmx_slice client_id;
    fmx_slice username;
    uint16_t keepalive_s;
    bool clean;
    bool session_present;
};

/* A message from a client. Slices live until the callback returns. */
struct fmx_gateway_message {
    struct fmx_session_id from;
    fmx_slice topic;
    fmx_slice payload; /* where the kernel put it, if the packet was whole in one buffer */
    uint8_t qos;
    bool retain;
    fmx_slice response_topic;
    fmx_slice correlation_data;
    fmx_slice user_properties; /* wire form; walk with fmx_user_property_next */
};

/* All may be NULL. `user` is options.user. Each runs on the shard of the session it is about. */
struct fmx_gateway_callbacks {
    /* CONNECT has passed all checks. FMX_OK admits; FMX_PEER_CREDENTIALS, FMX_PEER_NOT_AUTHORIZED,
       FMX_PEER_CLIENT_ID or FMX_LIMIT_BUSY refuse with the matching code. */
    enum fmx_status (*on_connect)(void *user, const struct fmx_gateway_session *session,
                                  fmx_slice password);
    void (*on_open)(void *user, const struct fmx_gateway_session *session);
    void (*on_message)(void *user, const struct fmx_gateway_message *message);
    void (*on_close)(void *user, struct fmx_session_id id, enum fmx_status cause);
};

struct fmx_gateway_options {
    struct fmx_mux_options mux;
    enum fmx_profile profile; /* FMX_PROFILE_OPEN */
    const char *const
        *listen;         /* "ADDRESS:PORT", "[::1]:1883", ":1883" for every address; port 0: any */
    size_t listen_count; /* 1 … 16 */
    uint32_t backlog;    /* connections the kernel keeps waiting (4,096) */
    uint32_t connect_timeout_ms;   /* from TCP to a whole CONNECT, 100 … 600,000 (10,000) */
    uint32_t packet_bytes_max;     /* 16 … 268,435,460 (1,048,576); announced in 5.0 */
    uint32_t inflight_max;         /* QoS 1 towards one client, 1 … 32,768 (4,096) */
    uint16_t receive_max;          /* QoS 1 from one client, 1 … 65,535 (1,024); announced */
    uint16_t topic_alias_max;      /* from one client, 0 … 65,535 (32); announced */
    uint32_t topic_bytes_max;      /* 1 … 65,535 (65,535) */
    uint32_t topic_levels_max;     /* 1 … 128 (128) */
    uint32_t user_properties_max;  /* in one packet (1,024) */
    uint32_t subscriptions_max;    /* per session (10,000) */
    uint32_t queue_messages_max;   /* QoS 1 waiting for one session, there or absent (10,000) */
    uint64_t queue_bytes_max;      /* the same in bytes (16 MiB) */
    uint32_t session_expiry_max_s; /* 604,800; 4,294,967,295: no bound */
    uint16_t keepalive_min_s;      /* 0: every keep-alive is allowed (0) */
    uint16_t keepalive_max_s;      /* 0: no bound (0) */
    bool publisher_qos_decides;    /* false: the lower of publisher's and subscriber's QoS */
    bool retain_is_refused;        /* 5.0: Retain Available 0, RETAIN 1 → 0x9A (true); false, and
                                      always before 5.0: delivered with the flag cleared */
    struct fmx_gateway_callbacks callbacks;
    void *user;
};

/* Fills in every default named above. Any thread. */
FMX_API void fmx_gateway_options_init(struct fmx_gateway_options *options);

/*
 * Checks the options and makes a gateway that does not listen yet. FMX_OK, FMX_E_OPTION,
 * FMX_LIMIT_MEMORY. After a failure `error` (of `error_bytes`, at least 1) says which option, its
 * value, and what to write instead.
 */
FMX_API enum fmx_status fmx_gateway_open(const struct fmx_gateway_options *options,
                                         struct fmx_gateway **out_gateway, char *error,
                                         size_t error_bytes) FMX_MUST_USE;

/*
 * Starts the shards and listens. Returns when all accept. FMX_OK; FMX_SYS_RING (kernel or limits),
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
 * one second and all of them for `drain_ms`, closes all, ends the shards. No callback runs
 * afterwards.
 */
FMX_API void fmx_gateway_stop(struct fmx_gateway *gateway, uint32_t drain_ms);

/* Releases everything. The gateway is stopped or was never started; callers are closed. */
FMX_API void fmx_gateway_close(struct fmx_gateway *gateway);

/* A snapshot of the counters; any thread, between start and close. */
FMX_API void fmx_gateway_stats(const struct fmx_gateway *gateway, struct fmx_stats *out_stats);

/*
 * A handle for one thread of yours: one bounded queue towards each shard. Between start and stop.
 */
FMX_API enum fmx_status fmx_gateway_caller_open(
    struct fmx_gateway *gateway, struct fmx_gateway_caller **out_caller) FMX_MUST_USE;
FMX_API void fmx_gateway_caller_close(struct fmx_gateway_caller *caller);

/*
 * Publishes to every session that has subscribed to `topic`. The message is copied before the call
 * returns. FMX_OK (queued), FMX_FULL (nothing queued: try again later), FMX_E_TOPIC,
 * FMX_E_ARGUMENT (QoS above 1), FMX_E_TOO_LARGE (above what MQTT can say), FMX_LIMIT_MEMORY. Only
 * the caller's own thread.
 */
FMX_API enum fmx_status fmx_gateway_publish(struct fmx_gateway_caller *caller, fmx_slice topic,
                                            fmx_slice payload, uint8_t qos) FMX_MUST_USE;

/*
 * Closes a session (5.0: DISCONNECT 0x98). A stale id is ignored. FMX_OK, FMX_FULL,
 * FMX_E_ARGUMENT.
 */
FMX_API enum fmx_status fmx_gateway_kick(struct fmx_gateway_caller *caller,
                                         struct fmx_session_id id) FMX_MUST_USE;

/*
 * Walks user properties in their wire form; `offset` begins at 0. FMX_OK or FMX_END. Any thread.
 * (MQTT 5.0, 3.3.2.3.7)
 */
FMX_API enum fmx_status fmx_user_property_next(fmx_slice user_properties, size_t *offset,
                                               fmx_slice *out_key,
                                               fmx_slice *out_value) FMX_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
