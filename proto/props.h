/*
 * props.h — MQTT 5.0 properties: which exist, where they are allowed, how often (2.2.2)
 *
 * A decoded block is one struct: bit n of `present` says that property identifier n was there and
 * its field is valid; fields that are not present are not set. User properties are not copied out:
 * they are iterated in the raw block, in their order.
 */
#ifndef PROTO_PROPS_H
#define PROTO_PROPS_H

#include "proto/cursor.h"
#include <fleetmux/error.h>

enum fmx_prop {
    FMX_PROP_PAYLOAD_FORMAT = 0x01,
    FMX_PROP_MESSAGE_EXPIRY = 0x02,
    FMX_PROP_CONTENT_TYPE = 0x03,
    FMX_PROP_RESPONSE_TOPIC = 0x08,
    FMX_PROP_CORRELATION_DATA = 0x09,
    FMX_PROP_SUBSCRIPTION_ID = 0x0b,
    FMX_PROP_SESSION_EXPIRY = 0x11,
    FMX_PROP_ASSIGNED_CLIENT_ID = 0x12,
    FMX_PROP_SERVER_KEEP_ALIVE = 0x13,
    FMX_PROP_AUTH_METHOD = 0x15,
    FMX_PROP_AUTH_DATA = 0x16,
    FMX_PROP_REQUEST_PROBLEM = 0x17,
    FMX_PROP_WILL_DELAY = 0x18,
    FMX_PROP_REQUEST_RESPONSE = 0x19,
    FMX_PROP_RESPONSE_INFO = 0x1a,
    FMX_PROP_SERVER_REFERENCE = 0x1c,
    FMX_PROP_REASON_STRING = 0x1f,
    FMX_PROP_RECEIVE_MAX = 0x21,
    FMX_PROP_TOPIC_ALIAS_MAX = 0x22,
    FMX_PROP_TOPIC_ALIAS = 0x23,
    FMX_PROP_MAXIMUM_QOS = 0x24,
    FMX_PROP_RETAIN_AVAILABLE = 0x25,
    FMX_PROP_USER_PROPERTY = 0x26,
    FMX_PROP_PACKET_BYTES_MAX = 0x27,
    FMX_PROP_WILDCARD_AVAILABLE = 0x28,
    FMX_PROP_SUBSCRIPTION_ID_AVAILABLE = 0x29,
    FMX_PROP_SHARED_AVAILABLE = 0x2a,
};

#define FMX_PROP_BIT(prop) (1ull << (prop))

struct fmx_props {
    uint64_t present; /* FMX_PROP_BIT of each property that is there */
    fmx_slice raw;    /* the whole block without its length; user properties live here */
    uint32_t message_expiry_s;
    uint32_t session_expiry_s;
    uint32_t will_delay_s;
    uint32_t packet_bytes_max;
    uint32_t subscription_id; /* the last one, where several are allowed */
    uint32_t user_count;
    uint16_t server_keepalive_s;
    uint16_t receive_max;
    uint16_t topic_alias_max;
    uint16_t topic_alias;
    uint8_t payload_format;
    uint8_t request_problem;
    uint8_t request_response;
    uint8_t maximum_qos;
    uint8_t retain_available;
    uint8_t wildcard_available;
    uint8_t subscription_id_available;
    uint8_t shared_available;
    fmx_slice content_type;
    fmx_slice response_topic;
    fmx_slice correlation_data;
    fmx_slice assigned_client_id;
    fmx_slice auth_method;
    fmx_slice auth_data;
    fmx_slice response_info;
    fmx_slice server_reference;
    fmx_slice reason_string;
};

static inline bool fmx_props_has(const struct fmx_props *props, enum fmx_prop prop)
{
    return (props->present & FMX_PROP_BIT(prop)) != 0;
}

/* Where a block stands: a packet type (1 … 15), or the will inside CONNECT. */
#define FMX_PROPS_OF_WILL 0

/*
 * Reads a property length and that many bytes. `place` is a packet type or FMX_PROPS_OF_WILL.
 * FMX_OK, or FMX_PEER_SHORT, FMX_PEER_PROPERTY (unknown, or not allowed at this place),
 * FMX_PEER_PROPERTY_TWICE, FMX_PEER_PROPERTY_VALUE (out of its range, e.g. a Receive Maximum of 0),
 * FMX_PEER_UTF8. Topic Alias and Response Topic are checked elsewhere. Slices borrow from the
 * reader's span.
 */
enum fmx_status fmx_props_read(struct fmx_reader *reader, unsigned place,
                               struct fmx_props *out_props) FMX_MUST_USE;

/* Bytes of the block that fmx_props_write would write, its length field included. */
size_t fmx_props_bytes(const struct fmx_props *props);

/*
 * Writes the length and every present property in the order of identifiers; then the user
 * properties of `raw`, unchanged and in their order, if user_count is not 0. The user property's
 * bit in `present` means nothing here.
 */
void fmx_props_write(struct fmx_writer *writer, const struct fmx_props *props);

/*
 * Walks the user properties of a raw block that fmx_props_read has accepted or fmx_user_write has
 * made. `offset` begins at 0. FMX_OK with the next pair, or FMX_END.
 */
enum fmx_status fmx_props_next_user(fmx_slice raw, size_t *offset, fmx_slice *out_key,
                                    fmx_slice *out_value) FMX_MUST_USE;

/* Appends one user property to a raw block in the making. */
void fmx_user_write(struct fmx_writer *writer, fmx_slice key, fmx_slice value);

#endif
