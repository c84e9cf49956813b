/*
 * stats.h — counters: one flat struct, summed over the shards at a snapshot
 *
 * Every counter only grows, but for those named …_now. A snapshot is taken without stopping a
 * shard: counters of different shards may be some microseconds apart.
 */
#ifndef FLEETMUX_STATS_H
#define FLEETMUX_STATS_H

#include <fleetmux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, words) */
#define FMX_STATS_LIST(X)                                                                          \
    X(turns, "turns of all shards")                                                                \
    X(enters, "system calls that entered the ring")                                                \
    X(completions, "completions reaped")                                                           \
    X(wakeups, "wake-ups sent to sleeping shards")                                                 \
    X(bytes_in, "bytes received")                                                                  \
    X(bytes_out, "bytes sent")                                                                     \
    X(sends, "sends completed")                                                                    \
    X(packets_in, "control packets received")                                                      \
    X(packets_out, "control packets queued for sending")                                           \
    X(packets_torn, "packets that straddled two receive buffers and were copied once")             \
    X(buffers_starved, "times the receive buffers ran out")                                        \
    X(receive_pauses, "times a session's receiving was paused")                                    \
    X(accepts, "connections accepted")                                                             \
    X(accepts_shed, "connections accepted and closed for want of room")                            \
    X(dials, "connections begun")                                                                  \
    X(dials_failed, "connections that could not be made")                                          \
    X(connections_now, "connections held now")                                                     \
    X(sessions_now, "MQTT sessions open now")                                                      \
    X(sessions_opened, "MQTT sessions opened")                                                     \
    X(sessions_refused, "CONNECT refused")                                                         \
    X(closed_local, "connections ended by this side's decision")                                   \
    X(closed_peer, "connections ended by the peer, or for what it did")                            \
    X(closed_limit, "connections ended at a limit")                                                \
    X(closed_system, "connections ended by the system")                                            \
    X(publishes_in_qos0, "PUBLISH received at QoS 0")                                              \
    X(publishes_in_qos1, "PUBLISH received at QoS 1")                                              \
    X(publishes_out_qos0, "PUBLISH sent at QoS 0")                                                 \
    X(publishes_out_qos1, "PUBLISH sent at QoS 1")                                                 \
    X(pubacks_in, "PUBACK received")                                                               \
    X(pubacks_out, "PUBACK sent")                                                                  \
    X(dropped_qos0, "QoS 0 messages dropped because a queue was over its bound")                   \
    X(dropped_qos1, "QoS 1 messages dropped, oldest first, because a session's store was full")    \
    X(dropped_too_large, "messages not sent because the receiver takes no packet that large")      \
    X(dropped_expired, "messages dropped because their expiry had passed")                         \
    X(dropped_absent, "QoS 0 messages not kept for absent clients")                                \
    X(unrouted, "messages nobody had subscribed to")                                               \
    X(subscriptions_now, "subscriptions held now")                                                 \
    X(takeovers, "sessions taken over by a newer connection")                                      \
    X(wills_ignored, "wills accepted and not published")                                           \
    X(parked_now, "persistent sessions kept for absent clients now")                               \
    X(stored_now, "QoS 1 messages kept for absent clients now")                                    \
    X(refused_client_id, "CONNECT refused: client id or its options malformed")                    \
    X(refused_credentials, "CONNECT refused: unknown device or wrong signature")                   \
    X(refused_disabled, "CONNECT refused: device or product disabled")                             \
    X(refused_keepalive, "CONNECT refused: keep-alive out of range")                               \
    X(refused_connect_rate, "CONNECT refused: connects_per_minute of this device")                 \
    X(refused_properties, "CONNECT refused: user properties over a limit")                         \
    X(secure_mode_mismatches, "CONNECT whose securemode contradicts its channel")                  \
    X(registrations, "devices that fetched their credentials over MQTT")                           \
    X(publishes_unauthorized, "PUBLISH dropped: the topic is not the device's to publish to")      \
    X(subscribes_unauthorized, "filters refused: not the device's to subscribe to")                \
    X(limited_upstream, "PUBLISH over upstream_per_second")                                        \
    X(limited_upstream_qos1, "PUBLISH over upstream_qos1_per_second")                              \
    X(limited_downstream,                                                                          \
      "messages to a device over downstream_per_second or its Receive Maximum")                    \
    X(limited_subscriptions, "filters refused: subscriptions_max")                                 \
    X(limited_properties, "PUBLISH over a limit of its properties")                                \
    X(limited_topic, "PUBLISH or filters over topic_bytes_max, levels or slashes")                 \
    X(limited_packet, "connections ended: a packet over packet_bytes_max")                         \
    X(limited_receive_max, "connections ended: receive_max")                                       \
    X(delayed, "times a device had to wait because of a rate (over_limit delay)")                  \
    X(not_subscribed, "messages to a device that has not subscribed to their topic")               \
    X(notices, "error notices published to devices")                                               \
    X(ntp_answers, "time requests answered")                                                       \
    X(thing_answers, "thing-model posts answered")                                                 \
    X(service_payloads_malformed, "time requests and thing-model posts that are no such JSON")     \
    X(calls_now, "calls that wait for an answer now")                                              \
    X(calls_begun, "calls sent towards a device")                                                  \
    X(calls_answered, "calls answered in time")                                                    \
    X(calls_timeout, "calls ended: TIMEOUT")                                                       \
    X(calls_offline, "calls ended: OFFLINE")                                                       \
    X(calls_halfconn, "calls ended: HALFCONN")                                                     \
    X(calls_unknown, "calls ended: UNKNOWN")                                                       \
    X(call_answers_late, "answers that came late or fit no call")                                  \
    X(store_lost, "QoS 1 messages that could not be written to the store")                         \
    X(tls_now, "TLS connections open now, handshake done")                                         \
    X(tls_unfinished_now, "TLS handshakes that are not done now")                                  \
    X(tls_full, "TLS handshakes done in full")                                                     \
    X(tls_resumed, "TLS handshakes done by resuming a session")                                    \
    X(tls_failed, "TLS handshakes that failed")                                                    \
    X(tls_timeout, "TLS handshakes, or records, that did not end in time")                         \
    X(tls_shed, "connections closed because too many TLS handshakes were unfinished")              \
    X(tls_delayed, "TLS handshakes that waited for handshakes_per_second")                         \
    X(tls_10, "TLS handshakes done in TLS 1.0")                                                    \
    X(tls_11, "TLS handshakes done in TLS 1.1")                                                    \
    X(tls_12, "TLS handshakes done in TLS 1.2")                                                    \
    X(tls_13, "TLS handshakes done in TLS 1.3")                                                    \
    X(tls_psk, "TLS handshakes done with a PSK")                                                   \
    X(tls_client_certs, "TLS handshakes done with a client certificate")                           \
    X(tls_wanted, "connections closed: the listener takes TLS only")                               \
    X(tls_unwanted, "connections closed: the listener takes no TLS")                               \
    X(tls_identity_mismatches, "CONNECT refused: another device than PSK or certificate says")     \
    X(tls_reloads, "times certificates and keys were replaced")                                    \
    X(crossings, "messages pushed to another shard")                                               \
    X(crossings_waited, "messages that waited because another shard's inbox was full")             \
    X(queued_bytes_now, "bytes queued in this process for all sessions now")                       \
    X(turn_ns_longest, "longest turn of a shard, in nanoseconds")

struct fmx_stats {
#define FMX_STATS_FIELD(name, words) uint64_t name;
    FMX_STATS_LIST(FMX_STATS_FIELD)
#undef FMX_STATS_FIELD
};

/*
 * What a latency histogram says, in nanoseconds; all 0 if `count` is 0. Three significant digits.
 */
struct fmx_latency {
    uint64_t count;
    uint64_t min_ns;
    uint64_t p50_ns;
    uint64_t p90_ns;
    uint64_t p99_ns;
    uint64_t p999_ns;
    uint64_t max_ns;
};

#ifdef __cplusplus
}
#endif

#endif
