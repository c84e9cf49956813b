/*
 * reason.h — what the peer is told: status → reason code, per version (MQTT 5.0, 2.4)
 */
#ifndef PROTO_REASON_H
#define PROTO_REASON_H

#include <fleetmux/error.h>
#include <fleetmux/types.h>

enum fmx_reason {
    FMX_REASON_SUCCESS = 0x00,
    FMX_REASON_GRANTED_QOS_1 = 0x01,
    FMX_REASON_GRANTED_QOS_2 = 0x02,
    FMX_REASON_DISCONNECT_WITH_WILL = 0x04,
    FMX_REASON_NO_MATCHING_SUBSCRIBERS = 0x10,
    FMX_REASON_NO_SUBSCRIPTION_EXISTED = 0x11,
    FMX_REASON_CONTINUE_AUTHENTICATION = 0x18,
    FMX_REASON_REAUTHENTICATE = 0x19,
    FMX_REASON_UNSPECIFIED = 0x80,
    FMX_REASON_MALFORMED = 0x81,
    FMX_REASON_PROTOCOL_ERROR = 0x82,
    FMX_REASON_IMPLEMENTATION = 0x83,
    FMX_REASON_VERSION = 0x84,
    FMX_REASON_CLIENT_ID = 0x85,
    FMX_REASON_CREDENTIALS = 0x86,
    FMX_REASON_NOT_AUTHORIZED = 0x87,
    FMX_REASON_SERVER_UNAVAILABLE = 0x88,
    FMX_REASON_SERVER_BUSY = 0x89,
    FMX_REASON_BANNED = 0x8a,
    FMX_REASON_SHUTTING_DOWN = 0x8b,
    FMX_REASON_AUTH_METHOD = 0x8c,
    FMX_REASON_KEEP_ALIVE_TIMEOUT = 0x8d,
    FMX_REASON_TAKEN_OVER = 0x8e,
    FMX_REASON_TOPIC_FILTER_INVALID = 0x8f,
    FMX_REASON_TOPIC_NAME_INVALID = 0x90,
    FMX_REASON_PACKET_ID_IN_USE = 0x91,
    FMX_REASON_PACKET_ID_NOT_FOUND = 0x92,
    FMX_REASON_RECEIVE_MAX_EXCEEDED = 0x93,
    FMX_REASON_TOPIC_ALIAS_INVALID = 0x94,
    FMX_REASON_PACKET_TOO_LARGE = 0x95,
    FMX_REASON_RATE_TOO_HIGH = 0x96,
    FMX_REASON_QUOTA_EXCEEDED = 0x97,
    FMX_REASON_ADMINISTRATIVE = 0x98,
    FMX_REASON_PAYLOAD_FORMAT = 0x99,
    FMX_REASON_RETAIN_NOT_SUPPORTED = 0x9a,
    FMX_REASON_QOS_NOT_SUPPORTED = 0x9b,
    FMX_REASON_USE_ANOTHER_SERVER = 0x9c,
    FMX_REASON_SERVER_MOVED = 0x9d,
    FMX_REASON_SHARED_NOT_SUPPORTED = 0x9e,
    FMX_REASON_CONNECTION_RATE = 0x9f,
    FMX_REASON_MAXIMUM_CONNECT_TIME = 0xa0,
    FMX_REASON_SUBSCRIPTION_ID_NOT_SUPPORTED = 0xa1,
    FMX_REASON_WILDCARD_NOT_SUPPORTED = 0xa2,
};

/*
 * The code for CONNACK: a 5.0 reason code, or a return code 1 … 5 of the versions before. 0 where
 * the version has no way to say it: then the connection is closed without CONNACK.
 */
uint8_t fmx_reason_for_connack(enum fmx_status status, enum fmx_version version);

/* The code for a 5.0 DISCONNECT from this side; 0x80 for what has no code of its own. */
uint8_t fmx_reason_for_disconnect(enum fmx_status status);

/* The code for one filter in SUBACK: 0x80 before 5.0; FMX_OK gives 0. */
uint8_t fmx_reason_for_suback(enum fmx_status status, enum fmx_version version);

/* The code for a 5.0 PUBACK; FMX_OK gives 0. */
uint8_t fmx_reason_for_puback(enum fmx_status status);

/* The name of the specification's table, e.g. "Topic Name invalid"; "?" for an unknown code. */
const char *fmx_reason_name(uint8_t reason);

/* The words of a return code of 3.1 and 3.1.1 (0 … 5). */
const char *fmx_return_code_name(uint8_t return_code);

/* May this 5.0 code stand in a packet of this kind, sent by this side? (2.4, table) */
bool fmx_reason_is_allowed(uint8_t reason, unsigned packet_kind, enum fmx_side from);

#endif
