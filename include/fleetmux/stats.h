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
