/*
 * reason — what the peer is told
 *
 * Why it is so:   every status has one row, every packet that can carry a code one column, so that
 *                 a refusal is read off rather than reasoned out, and a test can hold each column
 *                 against the codes that the standard allows in that packet
 * Words:          return code: the byte of a 3.x CONNACK, 1 … 5; SILENT: the packet cannot say it,
 *                 or nobody is left to hear it; the connection is closed without it
 * Invariants:     (1) a column holds only codes allowed in its packet from a server  (2) what a
 *                 broken signature, an unknown device and a wrong password are told is the same
 * Threads:        pure
 * Not here:       whether a packet with the code may be sent at this moment: session.c. A few codes
 *                 of the DISCONNECT column are a server's only; a client asks fmx_reason_is_allowed
 */
#include "proto/reason.h"

#include "proto/packet.h"

/* --- the codes of 5.0 (2.4) ------------------------------------------------------------------- */

#define IN(kind)    (1u << (kind))
#define IN_CONNACK  IN(FMX_CONNACK)
#define IN_ACK      (IN(FMX_PUBACK) | IN(FMX_PUBREC))
#define IN_RELEASE  (IN(FMX_PUBREL) | IN(FMX_PUBCOMP))
#define IN_SUBACK   IN(FMX_SUBACK)
#define IN_UNSUBACK IN(FMX_UNSUBACK)
#define IN_LEAVE    IN(FMX_DISCONNECT)
#define IN_AUTH     IN(FMX_AUTH)

#define BY_SERVER(kinds)                                                                           \
    {                                                                                              \
        kinds, 0                                                                                   \
    }
#define BY_BOTH(kinds)                                                                             \
    {                                                                                              \
        kinds, kinds                                                                               \
    }
#define OURS                                                                                       \
    {                                                                                              \
        IN_ACK | IN_CONNACK | IN_SUBACK | IN_UNSUBACK | IN_LEAVE, IN_ACK | IN_LEAVE                \
    }

/* Where a code may stand, by the side that sends it. The zeros are codes that do not exist. */
static const struct {
    const char *name;
    uint16_t kinds[2]; /* by enum fmx_side; bit n: packet type n */
} codes[] = {
    [0x00] = {"Success",
              {IN_CONNACK | IN_ACK | IN_RELEASE | IN_SUBACK | IN_UNSUBACK | IN_LEAVE | IN_AUTH,
               IN_ACK | IN_RELEASE | IN_LEAVE}},
    [0x01] = {"Granted QoS 1", BY_SERVER(IN_SUBACK)},
    [0x02] = {"Granted QoS 2", BY_SERVER(IN_SUBACK)},
    [0x04] = {"Disconnect with Will Message", {0, IN_LEAVE}},
    [0x10] = {"No matching subscribers", BY_SERVER(IN_ACK)},
    [0x11] = {"No subscription existed", BY_SERVER(IN_UNSUBACK)},
    [0x18] = {"Continue authentication", BY_BOTH(IN_AUTH)},
    [0x19] = {"Re-authenticate", {0, IN_AUTH}},
    [0x80] = {"Unspecified error", OURS},
    [0x81] = {"Malformed Packet", {IN_CONNACK | IN_LEAVE, IN_LEAVE}},
    [0x82] = {"Protocol Error", {IN_CONNACK | IN_LEAVE, IN_LEAVE}},
    [0x83] = {"Implementation specific error", OURS},
    [0x84] = {"Unsupported Protocol Version", BY_SERVER(IN_CONNACK)},
    [0x85] = {"Client Identifier not valid", BY_SERVER(IN_CONNACK)},
    [0x86] = {"Bad User Name or Password", BY_SERVER(IN_CONNACK)},
    [0x87] = {"Not authorized", {IN_CONNACK | IN_ACK | IN_SUBACK | IN_UNSUBACK | IN_LEAVE, IN_ACK}},
    [0x88] = {"Server unavailable", BY_SERVER(IN_CONNACK)},
    [0x89] = {"Server busy", BY_SERVER(IN_CONNACK | IN_LEAVE)},
    [0x8a] = {"Banned", BY_SERVER(IN_CONNACK)},
    [0x8b] = {"Server shutting down", BY_SERVER(IN_LEAVE)},
    [0x8c] = {"Bad authentication method", BY_SERVER(IN_CONNACK | IN_LEAVE)},
    [0x8d] = {"Keep Alive timeout", BY_SERVER(IN_LEAVE)},
    [0x8e] = {"Session taken over", BY_SERVER(IN_LEAVE)},
    [0x8f] = {"Topic Filter invalid", BY_SERVER(IN_SUBACK | IN_UNSUBACK | IN_LEAVE)},
    [0x90] = {"Topic Name invalid", {IN_CONNACK | IN_ACK | IN_LEAVE, IN_ACK | IN_LEAVE}},
    [0x91] = {"Packet Identifier in use", {IN_ACK | IN_SUBACK | IN_UNSUBACK, IN_ACK}},
    [0x92] = {"Packet Identifier not found", BY_BOTH(IN_RELEASE)},
    [0x93] = {"Receive Maximum exceeded", BY_BOTH(IN_LEAVE)},
    [0x94] = {"Topic Alias invalid", BY_BOTH(IN_LEAVE)},
    [0x95] = {"Packet too large", {IN_CONNACK | IN_LEAVE, IN_LEAVE}},
    [0x96] = {"Message rate too high", BY_BOTH(IN_LEAVE)},
    [0x97] = {"Quota exceeded", {IN_CONNACK | IN_ACK | IN_SUBACK | IN_LEAVE, IN_ACK | IN_LEAVE}},
    [0x98] = {"Administrative action", BY_BOTH(IN_LEAVE)},
    [0x99] = {"Payload format invalid", {IN_CONNACK | IN_ACK | IN_LEAVE, IN_ACK | IN_LEAVE}},
    [0x9a] = {"Retain not supported", BY_SERVER(IN_CONNACK | IN_LEAVE)},
    [0x9b] = {"QoS not supported", BY_SERVER(IN_CONNACK | IN_LEAVE)},
    [0x9c] = {"Use another server", BY_SERVER(IN_CONNACK | IN_LEAVE)},
    [0x9d] = {"Server moved", BY_SERVER(IN_CONNACK | IN_LEAVE)},
    [0x9e] = {"Shared Subscriptions not supported", BY_SERVER(IN_SUBACK | IN_LEAVE)},
    [0x9f] = {"Connection rate exceeded", BY_SERVER(IN_CONNACK | IN_LEAVE)},
    [0xa0] = {"Maximum connect time", BY_SERVER(IN_LEAVE)},
    [0xa1] = {"Subscription Identifiers not supported", BY_SERVER(IN_SUBACK | IN_LEAVE)},
    [0xa2] = {"Wildcard Subscriptions not supported", BY_SERVER(IN_SUBACK | IN_LEAVE)},
};

#define CODES_COUNT (sizeof codes / sizeof codes[0])

const char *fmx_reason_name(uint8_t reason)
{
    return reason < CODES_COUNT && codes[reason].name != NULL ? codes[reason].name : "?";
}

bool fmx_reason_is_allowed(uint8_t reason, unsigned packet_kind, enum fmx_side from)
{
    return reason < CODES_COUNT && (codes[reason].kinds[from] >> packet_kind & 1) != 0;
}

/* --- the return codes of 3.1 and 3.1.1 -------------------------------------------------------- */

enum return_code {
    RETURN_VERSION = 1,
    RETURN_CLIENT_ID = 2,
    RETURN_UNAVAILABLE = 3,
    RETURN_CREDENTIALS = 4,
    RETURN_NOT_AUTHORIZED = 5,
};

const char *fmx_return_code_name(uint8_t return_code)
{
    static const char *const names[] = {
        "Connection Accepted", "unacceptable protocol version", "identifier rejected",
        "Server unavailable",  "bad user name or password",     "not authorized",
    };

    return return_code < sizeof names / sizeof names[0] ? names[return_code] : "?";
}

/* --- status → code ---------------------------------------------------------------------------- */

#define SILENT 0u

struct row {
    int16_t status;     /* enum fmx_status */
    uint8_t connack;    /* 5.0 */
    uint8_t connack_3x; /* 3.1, 3.1.1 */
    uint8_t disconnect; /* 5.0 */
    uint8_t suback;     /* 5.0 */
    uint8_t puback;     /* 5.0 */
};

/* What has no row of its own. */
static const struct row other = {0, 0x80, SILENT, 0x80, 0x80, 0x80};

/* clang-format off */
static const struct row rows[] = {
    /*                           CONNACK         3.x          DISC  SUBACK PUBACK */
    {FMX_OK,                     0x00, 0,                     0x00, 0x00, 0x00},
    {FMX_FULL,                   0x89, RETURN_UNAVAILABLE,    0x97, 0x97, 0x97},
    {FMX_LATER,                  0x97, RETURN_UNAVAILABLE,    0x96, 0x97, 0x97},
    /* this side */
    {FMX_E_TOPIC,                0x90, SILENT,                0x90, 0x8f, 0x90},
    {FMX_E_TOO_LARGE,            0x95, SILENT,                0x95, 0x80, 0x97},
    {FMX_E_TAKEN_OVER,           0x80, SILENT,                0x8e, 0x80, 0x80},
    {FMX_E_SHUTDOWN,             0x88, RETURN_UNAVAILABLE,    0x8b, 0x80, 0x80},
    {FMX_E_KICKED,               0x87, RETURN_NOT_AUTHORIZED, 0x98, 0x80, 0x80},
    {FMX_E_DONE,                 0x88, RETURN_UNAVAILABLE,    0x00, 0x80, 0x80},
    /* the peer is gone, was never there, or speaks something else */
    {FMX_PEER_CLOSED,            SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_PEER_RESET,             SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_PEER_DISCONNECT,        SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_PEER_NOT_MQTT,          SILENT, SILENT,              0x81, 0x80, 0x80},
    {FMX_PEER_CONNECT_TIMEOUT,   SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_PEER_REFUSED,           SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_PEER_SILENT,            SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_PEER_KEEPALIVE,         SILENT, SILENT,              0x8d, 0x80, 0x80},
    {FMX_TLS_FAILED,             SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_ALERT,              SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_VERSION,            SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_SUITE,              SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_CERT,               SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_NO_CERT,            SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_PSK,                SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_RECORD,             SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_TIMEOUT,            SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_TOO_LONG,           SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_WANTED,             SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_UNWANTED,           SILENT, SILENT,              0x80, 0x80, 0x80},
    {FMX_TLS_BUSY,               SILENT, SILENT,              0x80, 0x80, 0x80},
    /* malformed: the bytes cannot be read as the standard says (1.2) */
    {FMX_PEER_LENGTH,            0x81, SILENT,                0x81, 0x80, 0x80},
    {FMX_PEER_FLAGS,             0x81, SILENT,                0x81, 0x80, 0x80},
    {FMX_PEER_SHORT,             0x81, SILENT,                0x81, 0x80, 0x80},
    {FMX_PEER_TRAILING,          0x81, SILENT,                0x81, 0x80, 0x80},
    {FMX_PEER_UTF8,              0x81, SILENT,                0x81, 0x8f, 0x99},
    {FMX_PEER_QOS,               0x81, SILENT,                0x81, 0x80, 0x80},
    {FMX_PEER_PROPERTY,          0x81, SILENT,                0x81, 0x80, 0x99},
    {FMX_PEER_CONNECT_FLAGS,     0x81, SILENT,                0x81, 0x80, 0x80},
    {FMX_PEER_SUBSCRIBE_OPTIONS, 0x81, SILENT,                0x81, 0x80, 0x80},
    /* protocol error: readable, but not allowed */
    {FMX_PEER_KIND,              0x82, SILENT,                0x82, 0x80, 0x80},
    {FMX_PEER_PACKET_ID,         0x82, SILENT,                0x82, 0x80, 0x80},
    {FMX_PEER_PROPERTY_TWICE,    0x82, SILENT,                0x82, 0x80, 0x99},
    {FMX_PEER_PROPERTY_VALUE,    0x82, SILENT,                0x82, 0x80, 0x99},
    {FMX_PEER_REASON_CODE,       0x82, SILENT,                0x82, 0x80, 0x80},
    {FMX_PEER_EMPTY,             0x82, SILENT,                0x82, 0x80, 0x80},
    {FMX_PEER_ORDER,             0x82, SILENT,                0x82, 0x80, 0x80},
    {FMX_PEER_ACK,               0x82, SILENT,                0x82, 0x80, 0x80},
    {FMX_PEER_SUBACK_CODES,      0x82, SILENT,                0x82, 0x80, 0x80},
    {FMX_PEER_KEEPALIVE_RANGE,   0x82, RETURN_CLIENT_ID,      0x82, 0x80, 0x80},
    /* what has a code of its own */
    {FMX_PEER_PROTOCOL_NAME,     0x84, SILENT,                0x82, 0x80, 0x80},
    {FMX_PEER_VERSION,           0x84, RETURN_VERSION,        0x82, 0x80, 0x80},
    {FMX_PEER_CLIENT_ID,         0x85, RETURN_CLIENT_ID,      0x82, 0x80, 0x80},
    {FMX_PEER_CREDENTIALS,       0x86, RETURN_CREDENTIALS,    0x87, 0x87, 0x87},
    {FMX_PEER_NOT_AUTHORIZED,    0x87, RETURN_NOT_AUTHORIZED, 0x87, 0x87, 0x87},
    {FMX_TLS_IDENTITY,           0x87, RETURN_NOT_AUTHORIZED, 0x87, 0x87, 0x87},
    {FMX_PEER_AUTH_METHOD,       0x8c, RETURN_NOT_AUTHORIZED, 0x8c, 0x80, 0x80},
    {FMX_PEER_TOPIC_FILTER,      0x82, SILENT,                0x8f, 0x8f, 0x80},
    {FMX_PEER_TOPIC_NAME,        0x90, SILENT,                0x90, 0x8f, 0x90},
    {FMX_PEER_RECEIVE_MAX,       0x82, SILENT,                0x93, 0x80, 0x80},
    {FMX_PEER_ALIAS,             0x82, SILENT,                0x94, 0x80, 0x80},
    {FMX_PEER_RETAIN,            0x9a, SILENT,                0x9a, 0x80, 0x80},
    {FMX_PEER_QOS2,              0x9b, SILENT,                0x9b, 0x80, 0x80},
    {FMX_PEER_SHARED,            0x82, SILENT,                0x9e, 0x9e, 0x80},
    {FMX_PEER_SUBSCRIPTION_ID,   0x82, SILENT,                0xa1, 0xa1, 0x80},
    /* limits of ours */
    {FMX_LIMIT_PACKET,           0x95, SILENT,                0x95, 0x80, 0x80},
    {FMX_LIMIT_SUBSCRIPTIONS,    0x97, RETURN_UNAVAILABLE,    0x97, 0x97, 0x80},
    {FMX_LIMIT_RATE,             0x97, RETURN_UNAVAILABLE,    0x96, 0x97, 0x97},
    {FMX_LIMIT_QUEUE,            0x97, RETURN_UNAVAILABLE,    0x97, 0x97, 0x97},
    {FMX_LIMIT_SESSIONS,         0x89, RETURN_UNAVAILABLE,    0x89, 0x97, 0x97},
    {FMX_LIMIT_CONNECT_RATE,     0x97, RETURN_UNAVAILABLE,    0x9f, 0x80, 0x80},
    {FMX_LIMIT_MEMORY,           0x89, RETURN_UNAVAILABLE,    0x89, 0x97, 0x97},
    {FMX_LIMIT_TOPIC,            0x90, SILENT,                0x90, 0x8f, 0x90},
    {FMX_LIMIT_BUSY,             0x89, RETURN_UNAVAILABLE,    0x89, 0x80, 0x80},
    /* the system below us */
    {FMX_SYS_SOCKET,             0x88, RETURN_UNAVAILABLE,    0x80, 0x80, 0x80},
    {FMX_SYS_CONNECT,            0x88, RETURN_UNAVAILABLE,    0x80, 0x80, 0x80},
    {FMX_SYS_RING,               0x88, RETURN_UNAVAILABLE,    0x80, 0x80, 0x80},
    {FMX_SYS_THREAD,             0x88, RETURN_UNAVAILABLE,    0x80, 0x80, 0x80},
    {FMX_SYS_FILE,               0x88, RETURN_UNAVAILABLE,    0x80, 0x80, 0x80},
};
/* clang-format on */

static const struct row *row_of(enum fmx_status status)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].status == (int)status) {
            return &rows[i];
        }
    }
    return &other;
}

uint8_t fmx_reason_for_connack(enum fmx_status status, enum fmx_version version)
{
    const struct row *row = row_of(status);

    return version < FMX_MQTT_50 ? row->connack_3x : row->connack;
}

uint8_t fmx_reason_for_disconnect(enum fmx_status status)
{
    return row_of(status)->disconnect;
}

uint8_t fmx_reason_for_suback(enum fmx_status status, enum fmx_version version)
{
    if (version < FMX_MQTT_50) {
        return status == FMX_OK ? FMX_REASON_SUCCESS : FMX_REASON_UNSPECIFIED;
    }
    return row_of(status)->suback;
}

uint8_t fmx_reason_for_puback(enum fmx_status status)
{
    return row_of(status)->puback;
}
