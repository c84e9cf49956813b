/*
 * packet.h — one view per kind of control packet; slices borrow from the input
 *
 * A view lives as long as the bytes it was decoded from. The same structs are what the encoder
 * takes. In versions before 5.0 `props` are empty and reason codes are 0 unless said otherwise.
 */
#ifndef PROTO_PACKET_H
#define PROTO_PACKET_H

#include "proto/props.h"

enum fmx_packet_kind {
    FMX_CONNECT = 1,
    FMX_CONNACK = 2,
    FMX_PUBLISH = 3,
    FMX_PUBACK = 4,
    FMX_PUBREC = 5,
    FMX_PUBREL = 6,
    FMX_PUBCOMP = 7,
    FMX_SUBSCRIBE = 8,
    FMX_SUBACK = 9,
    FMX_UNSUBSCRIBE = 10,
    FMX_UNSUBACK = 11,
    FMX_PINGREQ = 12,
    FMX_PINGRESP = 13,
    FMX_DISCONNECT = 14,
    FMX_AUTH = 15,
};

/* 3.1 */
struct fmx_connect {
    enum fmx_version version;
    bool clean; /* Clean Session, or Clean Start */
    bool has_will;
    bool has_username;
    bool has_password;
    uint8_t will_qos;
    bool will_retain;
    uint16_t keepalive_s;
    fmx_slice client_id;
    fmx_slice will_topic;
    fmx_slice will_payload;
    fmx_slice username;
    fmx_slice password;
    struct fmx_props props;
    struct fmx_props will_props;
};

/* 3.2; before 5.0 `reason` is the return code 0 … 5 */
struct fmx_connack {
    bool session_present;
    uint8_t reason;
    struct fmx_props props;
};

/* 3.3 */
struct fmx_publish {
    fmx_slice topic;
    fmx_slice payload;
    /* The packet as it came, its length in the shortest form; else empty. Whoever changes more of
       the view than flags and identifier empties it. */
    fmx_slice wire;
    uint16_t packet_id; /* 0 at QoS 0 */
    uint8_t qos;
    bool dup;
    bool retain;
    struct fmx_props props;
};

/* 3.4 … 3.7: PUBACK, PUBREC, PUBREL, PUBCOMP */
struct fmx_ack {
    uint16_t packet_id;
    uint8_t reason;
    struct fmx_props props;
};

/* 3.8 and 3.10: SUBSCRIBE and UNSUBSCRIBE; the list stays in its wire form */
struct fmx_subscribe {
    uint16_t packet_id;
    uint32_t filters_count;
    fmx_slice filters; /* walk with fmx_filter_next */
    struct fmx_props props;
};

/* 3.9 and 3.11: SUBACK and UNSUBACK; UNSUBACK has codes in 5.0 only */
struct fmx_suback {
    uint16_t packet_id;
    fmx_slice codes; /* one byte for each filter */
    struct fmx_props props;
};

/* 3.14 and 3.15: DISCONNECT and AUTH */
struct fmx_disconnect {
    uint8_t reason;
    struct fmx_props props;
};

struct fmx_packet {
    enum fmx_packet_kind kind;
    union {
        struct fmx_connect connect;
        struct fmx_connack connack;
        struct fmx_publish publish;
        struct fmx_ack ack;
        struct fmx_subscribe subscribe;
        struct fmx_suback suback;
        struct fmx_disconnect disconnect;
    };
};

/* One entry of SUBSCRIBE (3.8.3). Before 5.0 only `qos` can be other than 0. */
struct fmx_filter {
    fmx_slice filter;
    uint8_t qos;
    bool no_local;
    bool retain_as_published;
    uint8_t retain_handling;
};

/*
 * Walks the list of a SUBSCRIBE (`has_options`) or an UNSUBSCRIBE that the decoder has accepted.
 * `offset` begins at 0. FMX_OK or FMX_END.
 */
enum fmx_status fmx_filter_next(fmx_slice filters, bool has_options, size_t *offset,
                                struct fmx_filter *out_filter) FMX_MUST_USE;

/* Appends one entry to a list in the making. */
void fmx_filter_write(struct fmx_writer *writer, bool has_options, const struct fmx_filter *filter);

#endif
