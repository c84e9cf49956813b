/*
 * limits.h — what one session may do: one flat struct, for a gateway and for each product
 *
 * A gateway has one set; in the platform profile a product may override any of it, also while the
 * gateway runs. FMX_UNLIMITED, where it is allowed, is written `none` in text. 0 means none at all,
 * never a default.
 */
#ifndef FLEETMUX_LIMITS_H
#define FLEETMUX_LIMITS_H

#include <fleetmux/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FMX_UNLIMITED UINT32_MAX

/* What happens to a message over a rate from the device (over_limit). */
enum fmx_over_limit {
    FMX_OVER_LIMIT_DROP = 0,       /* QoS 0 dropped; QoS 1 dropped without PUBACK, 5.0: 0x97 */
    FMX_OVER_LIMIT_DELAY = 1,      /* later packets wait: the TCP window closes */
    FMX_OVER_LIMIT_DISCONNECT = 2, /* 5.0: DISCONNECT 0x96 */
};

/*
 * X(name, least, most, open, platform, may_be_unlimited, words): range, and the defaults of the two
 * profiles. With may_be_unlimited, FMX_UNLIMITED is allowed beside the range.
 */
#define FMX_LIMITS_LIST(X)                                                                         \
    X(packet_bytes_max, 16, 268435460, 1048576, 262144, 0, "largest packet taken, in bytes")       \
    X(receive_max, 1, 65535, 1024, 10, 0, "QoS 1 messages from the client not yet acknowledged")   \
    X(inflight_max, 1, 32768, 4096, 4096, 0, "QoS 1 messages to the client not yet acknowledged")  \
    X(topic_alias_max, 0, 65535, 32, 20, 0, "topic aliases of the client")                         \
    X(topic_alias_out_max, 0, 65535, 0, 20, 0, "topic aliases towards the client, if it offers")   \
    X(topic_bytes_max, 1, 65535, 65535, 128, 0, "longest topic name or filter, in bytes")          \
    X(topic_levels_max, 1, 128, 128, 128, 0, "most levels of a topic name or filter")              \
    X(custom_topic_slashes_max, 1, 127, 127, 7, 0, "most slashes in a device's custom topic")      \
    X(subscriptions_max, 0, 16777216, 10000, 100, 0, "subscriptions of one session")               \
    X(user_properties_max, 0, 1048576, 1024, 20, 0, "user properties in one packet")               \
    X(user_property_bytes_max, 1, 131070, 131070, 128, 0, "key and value of a user property")      \
    X(response_topic_bytes_max, 1, 65535, 65535, 128, 0, "longest response topic, in bytes")       \
    X(correlation_data_bytes_max, 1, 65535, 65535, 128, 0, "longest correlation data, in bytes")   \
    X(keepalive_min_s, 0, 65535, 0, 30, 0, "shortest keep-alive; 0: any, also none")               \
    X(keepalive_max_s, 1, 65535, FMX_UNLIMITED, 1200, 1, "longest keep-alive; longer is lowered")  \
    X(upstream_per_second, 1, 1000000, FMX_UNLIMITED, 30, 1, "messages a second from the client")  \
    X(upstream_qos1_per_second, 1, 1000000, FMX_UNLIMITED, 10, 1, "of these, at QoS 1")            \
    X(downstream_per_second, 1, 1000000, FMX_UNLIMITED, 50, 1, "messages a second to the client")  \
    X(over_limit, 0, 2, 0, 0, 0, "over a rate from the client: 0 drop, 1 delay, 2 disconnect")     \
    X(connects_per_minute, 1, 60000, FMX_UNLIMITED, 5, 1, "CONNECTs a minute of one client")       \
    X(queue_messages_max, 0, 16777216, 10000, 1000, 0, "QoS 1 messages that wait for one client")  \
    X(queue_bytes_max, 0, 4294967294, 16777216, 1048576, 0, "the bytes of these messages")         \
    X(session_expiry_max_s, 0, 4294967294, 604800, 604800, 1, "a session outlives its client")     \
    X(call_timeout_min_ms, 1, 600000, 1000, 1000, 0, "shortest time a call may wait")              \
    X(call_timeout_max_ms, 1, 600000, 8000, 8000, 0, "longest time a call may wait")

struct fmx_limits {
#define FMX_LIMITS_FIELD(name, least, most, open, platform, may_be_unlimited, words) uint32_t name;
    FMX_LIMITS_LIST(FMX_LIMITS_FIELD)
#undef FMX_LIMITS_FIELD
};

/* The index of a limit in the list; what an override names. */
enum fmx_limit {
#define FMX_LIMITS_INDEX(name, least, most, open, platform, may_be_unlimited, words) FMX_LIM_##name,
    FMX_LIMITS_LIST(FMX_LIMITS_INDEX)
#undef FMX_LIMITS_INDEX
        FMX_LIMITS_COUNT
};

/* Some of the limits: those whose bit (1 << enum fmx_limit) is set in `which`. */
struct fmx_limits_override {
    uint32_t which;
    struct fmx_limits limits;
};

/* Name, words and range of a limit; static storage. Any thread. */
FMX_API const char *fmx_limit_name(enum fmx_limit limit);
FMX_API const char *fmx_limit_words(enum fmx_limit limit);
FMX_API void fmx_limit_range(enum fmx_limit limit, uint32_t *out_least, uint32_t *out_most,
                             bool *out_may_be_unlimited);

/* The limit with this name, as in text; FMX_LIMITS_COUNT: there is none. Any thread. */
FMX_API enum fmx_limit fmx_limit_find(fmx_slice name);

FMX_API uint32_t fmx_limits_get(const struct fmx_limits *limits, enum fmx_limit limit);
FMX_API void fmx_limits_set(struct fmx_limits *limits, enum fmx_limit limit, uint32_t value);

/*
 * Sets one limit of an override from its name and a value as text: a number, or `none` where
 * FMX_UNLIMITED is allowed, or drop, delay, disconnect for over_limit. FMX_OK or FMX_E_OPTION with
 * words in `error` that name the limit, the value and the range. Any thread.
 */
FMX_API enum fmx_status fmx_limits_override_set(struct fmx_limits_override *override,
                                                fmx_slice name, fmx_slice value, char *error,
                                                size_t error_bytes) FMX_MUST_USE;

/* The limits with the override laid over them. Any thread. */
FMX_API void fmx_limits_apply(struct fmx_limits *limits,
                              const struct fmx_limits_override *override);

/* FMX_OK or FMX_E_OPTION: every limit in its range, and no least above its most. */
FMX_API enum fmx_status fmx_limits_check(const struct fmx_limits *limits, char *error,
                                         size_t error_bytes) FMX_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
