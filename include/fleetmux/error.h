/*
 * error.h — the one status type, its classes, and words for people
 *
 * Zero is success. Positive is not an error but a different next step. Negative is a failure, in
 * classes of a hundred, so that "whose fault is it" is one division.
 */
#ifndef FLEETMUX_ERROR_H
#define FLEETMUX_ERROR_H

#include <fleetmux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, value, words): the whole list; the words finish the sentence "the session ended: …". */
#define FMX_STATUS_LIST(X)                                                                         \
    X(FMX_OK, 0, "ok")                                                                             \
    X(FMX_MORE, 1, "more bytes are needed")                                                        \
    X(FMX_FULL, 2, "a bounded queue is full; try again after it has drained")                      \
    X(FMX_LATER, 3, "the rate limit says wait")                                                    \
    X(FMX_END, 4, "the end was reached")                                                           \
    /* −1xx: this side decided, or its caller made a mistake */                                  \
    X(FMX_E_ARGUMENT, -100, "an argument is out of range")                                         \
    X(FMX_E_STATE, -101, "the call is not allowed in this state")                                  \
    X(FMX_E_STALE, -102, "the session no longer exists")                                           \
    X(FMX_E_OPTION, -103, "an option is out of range")                                             \
    X(FMX_E_TOPIC, -104, "the topic is not valid")                                                 \
    X(FMX_E_TOO_LARGE, -105, "the message is larger than the peer accepts")                        \
    X(FMX_E_TAKEN_OVER, -110, "another connection took the session over")                          \
    X(FMX_E_SHUTDOWN, -111, "this side is shutting down")                                          \
    X(FMX_E_KICKED, -112, "closed by an administrator")                                            \
    X(FMX_E_DONE, -113, "closed by this side as planned")                                          \
    /* −2xx: the peer broke the protocol, was refused, or left */                                \
    X(FMX_PEER_CLOSED, -200, "the peer closed the connection without DISCONNECT")                  \
    X(FMX_PEER_DISCONNECT, -201, "the peer sent DISCONNECT")                                       \
    X(FMX_PEER_NOT_MQTT, -202, "the first byte is neither MQTT CONNECT nor TLS")                   \
    X(FMX_PEER_LENGTH, -203, "the remaining length is malformed")                                  \
    X(FMX_PEER_KIND, -204, "the packet type is reserved or not allowed from this side")            \
    X(FMX_PEER_FLAGS, -205, "the fixed header's flags are wrong")                                  \
    X(FMX_PEER_SHORT, -206, "the packet ends before its fields do")                                \
    X(FMX_PEER_TRAILING, -207, "the packet has bytes after its last field")                        \
    X(FMX_PEER_UTF8, -208, "a string is not well-formed UTF-8")                                    \
    X(FMX_PEER_TOPIC_NAME, -209, "the topic name is not valid")                                    \
    X(FMX_PEER_TOPIC_FILTER, -210, "the topic filter is not valid")                                \
    X(FMX_PEER_PACKET_ID, -211, "the packet identifier is zero")                                   \
    X(FMX_PEER_PROPERTY, -212, "a property is unknown or not allowed in this packet")              \
    X(FMX_PEER_PROPERTY_TWICE, -213, "a property stands twice")                                    \
    X(FMX_PEER_PROPERTY_VALUE, -214, "a property's value is out of range")                         \
    X(FMX_PEER_PROTOCOL_NAME, -215, "the protocol name is not MQTT or MQIsdp")                     \
    X(FMX_PEER_VERSION, -216, "the protocol version is not supported")                             \
    X(FMX_PEER_CONNECT_FLAGS, -217, "the flags of CONNECT or CONNACK contradict each other")       \
    X(FMX_PEER_CLIENT_ID, -218, "the client identifier is not acceptable")                         \
    X(FMX_PEER_REASON_CODE, -219, "the reason code is not defined for this packet")                \
    X(FMX_PEER_EMPTY, -220, "SUBSCRIBE or UNSUBSCRIBE has no topic filter")                        \
    X(FMX_PEER_QOS, -221, "the QoS is 3")                                                          \
    X(FMX_PEER_SUBSCRIBE_OPTIONS, -222, "the subscription options are malformed")                  \
    X(FMX_PEER_ORDER, -223, "the packet is not allowed at this point of the session")              \
    X(FMX_PEER_ALIAS, -224, "the topic alias is zero, unknown or above the maximum")               \
    X(FMX_PEER_QOS2, -225, "QoS 2 is not supported")                                               \
    X(FMX_PEER_RETAIN, -226, "RETAIN is not supported")                                            \
    X(FMX_PEER_AUTH_METHOD, -227, "enhanced authentication is not supported")                      \
    X(FMX_PEER_CREDENTIALS, -228, "the user name or password is wrong")                            \
    X(FMX_PEER_NOT_AUTHORIZED, -229, "the client is not authorized")                               \
    X(FMX_PEER_SHARED, -230, "shared subscriptions are not supported")                             \
    X(FMX_PEER_SUBSCRIPTION_ID, -231, "subscription identifiers are not supported")                \
    X(FMX_PEER_RECEIVE_MAX, -232, "more QoS 1 messages in flight than Receive Maximum allows")     \
    X(FMX_PEER_ACK, -233, "an acknowledgement is of the wrong kind, or for nothing")               \
    X(FMX_PEER_KEEPALIVE, -234, "nothing was received within 1.5 times the keep-alive")            \
    X(FMX_PEER_CONNECT_TIMEOUT, -235, "CONNECT did not arrive in time")                            \
    X(FMX_PEER_REFUSED, -236, "the server refused the connection")                                 \
    X(FMX_PEER_SILENT, -237, "the server did not answer in time")                                  \
    X(FMX_PEER_KEEPALIVE_RANGE, -238, "the keep-alive is outside the allowed range")               \
    X(FMX_PEER_RESET, -239, "the peer reset the connection")                                       \
    X(FMX_PEER_SUBACK_CODES, -240, "SUBACK does not have one code for each filter")                \
    /* these three end no session: a fleet counts them */                                          \
    X(FMX_PEER_UNASKED, -241, "the server answered what nobody had asked")                         \
    X(FMX_PEER_MESSAGE_REFUSED, -242, "the server refused a message")                              \
    X(FMX_PEER_FILTER_REFUSED, -243, "the server refused a filter")                                \
    /* −3xx: a limit or a resource of ours */                                                    \
    X(FMX_LIMIT_PACKET, -300, "the packet is larger than the maximum packet size")                 \
    X(FMX_LIMIT_SUBSCRIPTIONS, -301, "the session has too many subscriptions")                     \
    X(FMX_LIMIT_RATE, -302, "the session sends faster than its limit")                             \
    X(FMX_LIMIT_QUEUE, -303, "the session reads too slowly; its queue is over its bound")          \
    X(FMX_LIMIT_SESSIONS, -304, "the shard has no room for another session")                       \
    X(FMX_LIMIT_CONNECT_RATE, -305, "the client connects more often than allowed")                 \
    X(FMX_LIMIT_MEMORY, -306, "memory ran out")                                                    \
    X(FMX_LIMIT_TOPIC, -307, "the topic is longer or deeper than allowed")                         \
    X(FMX_LIMIT_BUSY, -308, "the server is busy")                                                  \
    /* −4xx: the system; errno stands beside it */                                               \
    X(FMX_SYS_SOCKET, -400, "a socket could not be made")                                          \
    X(FMX_SYS_BIND, -401, "the address could not be bound")                                        \
    X(FMX_SYS_LISTEN, -402, "the address could not be listened on")                                \
    X(FMX_SYS_CONNECT, -403, "the connection could not be made")                                   \
    X(FMX_SYS_RECV, -404, "receiving failed")                                                      \
    X(FMX_SYS_SEND, -405, "sending failed")                                                        \
    X(FMX_SYS_RING, -406, "io_uring could not be set up")                                          \
    X(FMX_SYS_THREAD, -407, "a thread could not be started")                                       \
    X(FMX_SYS_FILE, -408, "a file could not be read or written")                                   \
    /* −5xx: TLS */                                                                              \
    X(FMX_TLS_FAILED, -500, "the TLS handshake failed")                                            \
    X(FMX_TLS_ALERT, -501, "the peer sent a TLS alert")                                            \
    X(FMX_TLS_VERSION, -502, "there is no TLS version that both sides allow")                      \
    X(FMX_TLS_SUITE, -503, "there is no cipher suite that both sides allow")                       \
    X(FMX_TLS_CERT, -504, "the peer's certificate was refused")                                    \
    X(FMX_TLS_NO_CERT, -505, "the peer has shown no certificate")                                  \
    X(FMX_TLS_PSK, -506, "the PSK identity is not known or its key is wrong")                      \
    X(FMX_TLS_RECORD, -507, "a TLS record is malformed, too large or not allowed here")            \
    X(FMX_TLS_TIMEOUT, -508, "the TLS handshake, or a record, did not end in time")                \
    X(FMX_TLS_TOO_LONG, -509, "the TLS handshake took more bytes or records than allowed")         \
    X(FMX_TLS_WANTED, -510, "the listener takes TLS only")                                         \
    X(FMX_TLS_UNWANTED, -511, "the listener takes no TLS")                                         \
    X(FMX_TLS_BUSY, -512, "too many TLS handshakes are unfinished, here or of this address")       \
    X(FMX_TLS_IDENTITY, -513, "CONNECT names another device than PSK or certificate")

enum fmx_status {
#define FMX_STATUS_ENUM(name, value, words) name = (value),
    FMX_STATUS_LIST(FMX_STATUS_ENUM)
#undef FMX_STATUS_ENUM
};

enum fmx_status_class {
    FMX_CLASS_OK = 0,     /* zero and above */
    FMX_CLASS_LOCAL = 1,  /* −1xx */
    FMX_CLASS_PEER = 2,   /* −2xx */
    FMX_CLASS_LIMIT = 3,  /* −3xx */
    FMX_CLASS_SYSTEM = 4, /* −4xx */
    FMX_CLASS_TLS = 5,    /* −5xx */
};

static inline enum fmx_status_class fmx_status_class(enum fmx_status status)
{
    return status >= 0 ? FMX_CLASS_OK : (enum fmx_status_class)(-(int)status / 100);
}

/*
 * The enumerator's name, e.g. "FMX_PEER_UTF8". Static storage; "?" for an unknown value. Any
 * thread.
 */
FMX_API const char *fmx_status_name(enum fmx_status status);

/* The words of the list above. Static storage; "?" for an unknown value. Any thread. */
FMX_API const char *fmx_status_text(enum fmx_status status);

#ifdef __cplusplus
}
#endif

#endif
