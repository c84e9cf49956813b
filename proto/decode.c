/*
 * decode — a whole frame becomes a view
 *
 * Why it is so:   one decoder for three versions: their packets differ in a few fields, and the
 *                 version is an argument where they do. The kinds stand in the order of the
 *                 standard's chapter 3, each function in the order of the fields on the wire.
 *                 PUBLISH and the PUBACK of four bytes are nearly all of the traffic and are met
 *                 before the table
 * Words:          source: the reader together with who sent the bytes, and in which version
 * Invariants:     (1) FMX_OK: every byte of the body belongs to a field of the view
 *                 (2) what the reader ran out of is SHORT, whatever else would be wrong too
 *                 (3) the view of an accepted packet can be encoded again, and equals itself then
 * Memory:         views borrow from the frame; nothing is copied
 * Threads:        pure
 * Limits:         none of its own: the frame is bounded
 * Not here:       what a session allows at this moment: session.c
 * Decisions:      3.1 leaves bits "not used" that 3.1.1 reserves: in CONNECT's and CONNACK's flags
 *                 they are ignored, in the fixed header they are checked as in 3.1.1, so that what
 *                 speaks another protocol is told by its first byte; but for DUP, which 3.1 has on
 *                 SUBSCRIBE, UNSUBSCRIBE and PUBREL
 */
#include "proto/decode.h"

#include "proto/limits.h"
#include "proto/reason.h"
#include "proto/topic.h"
#include "proto/utf8.h"

struct source {
    struct fmx_reader reader;
    enum fmx_side from;
    enum fmx_version version;
};

/* --- what several kinds share ----------------------------------------------------------------- */

/* After the last field: was there enough, and not too much? */
static enum fmx_status finish(const struct source *in)
{
    if (in->reader.failed) {
        return FMX_PEER_SHORT;
    }
    return fmx_reader_left(&in->reader) > 0 ? FMX_PEER_TRAILING : FMX_OK;
}

static bool has_shortest_length(const struct fmx_frame *frame)
{
    return frame->bytes == 1 + frame->body.bytes + fmx_varint_bytes((uint32_t)frame->body.bytes);
}

/* All of the packet; it lies in one piece, the body, which is never empty, at its end. */
static fmx_slice wire_of(const struct fmx_frame *frame)
{
    return frame->body.bytes > 0 && has_shortest_length(frame)
               ? (fmx_slice){.data = frame->body.data + frame->body.bytes - frame->bytes,
                             .bytes = frame->bytes}
               : (fmx_slice){0};
}

static void clear_props(struct fmx_props *props)
{
    props->present = 0;
    props->user_count = 0;
    props->raw = (fmx_slice){0};
}

/* Properties exist since 5.0; Authentication Data needs its Method (3.1.2.11.10). */
static enum fmx_status read_props(struct source *in, unsigned place, struct fmx_props *props)
{
    if (in->version < FMX_MQTT_50) {
        clear_props(props);
        return FMX_OK;
    }
    enum fmx_status status = fmx_props_read(&in->reader, place, props);
    if (status == FMX_OK && fmx_props_has(props, FMX_PROP_AUTH_DATA) &&
        !fmx_props_has(props, FMX_PROP_AUTH_METHOD)) {
        return FMX_PEER_PROPERTY_VALUE;
    }
    return status;
}

static enum fmx_status check_response_topic(const struct fmx_props *props)
{
    return fmx_props_has(props, FMX_PROP_RESPONSE_TOPIC)
               ? fmx_topic_check_name(props->response_topic)
               : FMX_OK;
}

static enum fmx_status read_packet_id(struct source *in, uint16_t *out_packet_id)
{
    *out_packet_id = fmx_read_u16(&in->reader);
    if (in->reader.failed) {
        return FMX_PEER_SHORT;
    }
    return *out_packet_id == 0 ? FMX_PEER_PACKET_ID : FMX_OK;
}

/* The optional end of 3.4 … 3.7, 3.14 and 3.15: nothing, a code, or a code and properties. */
static enum fmx_status read_reason(struct source *in, enum fmx_packet_kind kind,
                                   uint8_t *out_reason, struct fmx_props *props)
{
    enum fmx_status status = FMX_OK;

    *out_reason = FMX_REASON_SUCCESS;
    clear_props(props);
    if (in->version < FMX_MQTT_50) {
        return finish(in);
    }
    if (fmx_reader_left(&in->reader) > 0) {
        *out_reason = fmx_read_u8(&in->reader);
    }
    if (fmx_reader_left(&in->reader) > 0) {
        status = read_props(in, kind, props);
    }
    if (status == FMX_OK) {
        status = finish(in);
    }
    if (status == FMX_OK && !fmx_reason_is_allowed(*out_reason, kind, in->from)) {
        return FMX_PEER_REASON_CODE;
    }
    return status;
}

/* --- 3.1 CONNECT ------------------------------------------------------------------------------ */

enum connect_flags {
    CONNECT_RESERVED = 0x01,
    CONNECT_CLEAN = 0x02,
    CONNECT_WILL = 0x04,
    CONNECT_WILL_QOS = 0x18,
    CONNECT_WILL_QOS_SHIFT = 3,
    CONNECT_WILL_RETAIN = 0x20,
    CONNECT_PASSWORD = 0x40,
    CONNECT_USERNAME = 0x80,
};

static enum fmx_status read_version(struct source *in, struct fmx_connect *connect)
{
    fmx_slice name = fmx_read_string(&in->reader);
    bool is_named_31 = fmx_slice_equal(name, fmx_slice_of("MQIsdp"));

    if (in->reader.failed) {
        return FMX_PEER_SHORT;
    }
    if (!is_named_31 && !fmx_slice_equal(name, fmx_slice_of("MQTT"))) {
        return FMX_PEER_PROTOCOL_NAME;
    }
    uint8_t level = fmx_read_u8(&in->reader);
    if (in->reader.failed) {
        return FMX_PEER_SHORT;
    }
    in->version = connect->version = (enum fmx_version)level;
    bool is_known =
        is_named_31 ? level == FMX_MQTT_31 : level == FMX_MQTT_311 || level == FMX_MQTT_50;
    return is_known ? FMX_OK : FMX_PEER_VERSION;
}

/* 3.1 disregards what hangs on an absent will; later versions forbid it. */
static enum fmx_status take_flags(struct fmx_connect *connect, unsigned flags)
{
    const unsigned of_will = CONNECT_WILL_QOS | CONNECT_WILL_RETAIN;

    connect->has_will = (flags & CONNECT_WILL) != 0;
    if (connect->version == FMX_MQTT_31) {
        flags &= ~(CONNECT_RESERVED | (connect->has_will ? 0 : of_will));
    }
    connect->clean = (flags & CONNECT_CLEAN) != 0;
    connect->will_qos = (uint8_t)((flags & CONNECT_WILL_QOS) >> CONNECT_WILL_QOS_SHIFT);
    connect->will_retain = (flags & CONNECT_WILL_RETAIN) != 0;
    connect->has_username = (flags & CONNECT_USERNAME) != 0;
    connect->has_password = (flags & CONNECT_PASSWORD) != 0;
    if ((flags & CONNECT_RESERVED) != 0 || (!connect->has_will && (flags & of_will) != 0) ||
        (connect->version < FMX_MQTT_50 && connect->has_password && !connect->has_username)) {
        return FMX_PEER_CONNECT_FLAGS;
    }
    return connect->will_qos > 2 ? FMX_PEER_QOS : FMX_OK;
}

static enum fmx_status read_client_id(struct source *in, struct fmx_connect *connect)
{
    connect->client_id = fmx_read_string(&in->reader);
    if (in->reader.failed) {
        return FMX_PEER_SHORT;
    }
    if (!fmx_utf8_is_valid(connect->client_id)) {
        return FMX_PEER_UTF8;
    }
    bool is_missing = connect->client_id.bytes == 0 && in->version == FMX_MQTT_31;
    return is_missing ? FMX_PEER_CLIENT_ID : FMX_OK;
}

static enum fmx_status read_will(struct source *in, struct fmx_connect *connect)
{
    enum fmx_status status = FMX_OK;

    if (!connect->has_will) {
        return FMX_OK;
    }
    status = read_props(in, FMX_PROPS_OF_WILL, &connect->will_props);
    if (status != FMX_OK) {
        return status;
    }
    connect->will_topic = fmx_read_string(&in->reader);
    connect->will_payload = fmx_read_string(&in->reader);
    if (in->reader.failed) {
        return FMX_PEER_SHORT;
    }
    status = fmx_topic_check_name(connect->will_topic);
    return status != FMX_OK ? status : check_response_topic(&connect->will_props);
}

/* 3.1 lets a client set the flags and leave the fields out at the packet's end. */
static enum fmx_status read_credentials(struct source *in, struct fmx_connect *connect)
{
    bool may_end = in->version == FMX_MQTT_31;

    connect->has_username &= !(may_end && fmx_reader_left(&in->reader) == 0);
    if (connect->has_username) {
        connect->username = fmx_read_string(&in->reader);
    }
    connect->has_password &= !(may_end && fmx_reader_left(&in->reader) == 0);
    if (connect->has_password) {
        connect->password = fmx_read_string(&in->reader);
    }
    enum fmx_status status = finish(in);
    if (status == FMX_OK && !fmx_utf8_is_valid(connect->username)) {
        return FMX_PEER_UTF8;
    }
    return status;
}

static enum fmx_status read_connect_head(struct source *in, struct fmx_connect *connect)
{
    enum fmx_status status = read_version(in, connect);

    if (status != FMX_OK) {
        return status;
    }
    unsigned flags = fmx_read_u8(&in->reader);
    connect->keepalive_s = fmx_read_u16(&in->reader);
    if (in->reader.failed) {
        return FMX_PEER_SHORT;
    }
    status = take_flags(connect, flags);
    return status != FMX_OK ? status : read_props(in, FMX_CONNECT, &connect->props);
}

static enum fmx_status read_connect(struct source *in, struct fmx_packet *out)
{
    struct fmx_connect *connect = &out->connect;
    *connect = (struct fmx_connect){.version = FMX_MQTT_311};
    enum fmx_status status = read_connect_head(in, connect);

    if (status == FMX_OK) {
        status = read_client_id(in, connect);
    }
    if (status == FMX_OK) {
        status = read_will(in, connect);
    }
    return status == FMX_OK ? read_credentials(in, connect) : status;
}

/* --- 3.2 CONNACK ------------------------------------------------------------------------------ */

#define RETURN_CODE_MAX 5u

static bool is_return_code(const struct source *in, uint8_t reason)
{
    return in->version < FMX_MQTT_50 ? reason <= RETURN_CODE_MAX
                                     : fmx_reason_is_allowed(reason, FMX_CONNACK, in->from);
}

static enum fmx_status read_connack(struct source *in, struct fmx_packet *out)
{
    struct fmx_connack *connack = &out->connack;
    unsigned flags = fmx_read_u8(&in->reader);

    connack->reason = fmx_read_u8(&in->reader);
    if (in->version == FMX_MQTT_31) {
        flags = 0;
    }
    connack->session_present = (flags & 1) != 0;
    enum fmx_status status = read_props(in, FMX_CONNACK, &connack->props);
    if (status == FMX_OK) {
        status = finish(in);
    }
    if (status != FMX_OK) {
        return status;
    }
    if (flags > 1 || (connack->session_present && connack->reason != 0)) {
        return FMX_PEER_CONNECT_FLAGS;
    }
    return is_return_code(in, connack->reason) ? FMX_OK : FMX_PEER_REASON_CODE;
}

/* --- 3.3 PUBLISH ------------------------------------------------------------------------------ */

enum publish_flags {
    PUBLISH_RETAIN = 0x01,
    PUBLISH_QOS = 0x06,
    PUBLISH_QOS_SHIFT = 1,
    PUBLISH_DUP = 0x08,
};

/* Only a server may say which subscription matched (3.3.4-6). */
static enum fmx_status read_publish_props(struct source *in, struct fmx_props *props)
{
    enum fmx_status status = fmx_props_read(&in->reader, FMX_PUBLISH, props);

    if (status != FMX_OK || props->present == 0) {
        return status;
    }
    if (in->from == FMX_SIDE_CLIENT && fmx_props_has(props, FMX_PROP_SUBSCRIPTION_ID)) {
        return FMX_PEER_PROPERTY;
    }
    return check_response_topic(props);
}

static enum fmx_status check_publish_topic(const struct fmx_publish *publish)
{
    if (publish->topic.bytes == 0 && fmx_props_has(&publish->props, FMX_PROP_TOPIC_ALIAS)) {
        return FMX_OK;
    }
    return fmx_topic_check_name(publish->topic);
}

static enum fmx_status check_publish_flags(unsigned flags)
{
    if ((flags & PUBLISH_QOS) == PUBLISH_QOS) {
        return FMX_PEER_QOS;
    }
    bool is_dup_of_nothing = (flags & PUBLISH_DUP) != 0 && (flags & PUBLISH_QOS) == 0;
    return is_dup_of_nothing ? FMX_PEER_FLAGS : FMX_OK;
}

static enum fmx_status read_publish(struct source *in, unsigned flags, struct fmx_publish *publish)
{
    enum fmx_status flags_status = check_publish_flags(flags);

    publish->qos = (uint8_t)((flags & PUBLISH_QOS) >> PUBLISH_QOS_SHIFT);
    publish->dup = (flags & PUBLISH_DUP) != 0;
    publish->retain = (flags & PUBLISH_RETAIN) != 0;
    if (flags_status != FMX_OK) {
        return flags_status;
    }
    publish->topic = fmx_read_string(&in->reader);
    publish->packet_id = publish->qos > 0 ? fmx_read_u16(&in->reader) : 0;
    if (in->reader.failed) {
        return FMX_PEER_SHORT;
    }
    if (publish->qos > 0 && publish->packet_id == 0) {
        return FMX_PEER_PACKET_ID;
    }
    clear_props(&publish->props);
    if (in->version == FMX_MQTT_50) {
        enum fmx_status status = read_publish_props(in, &publish->props);
        if (status != FMX_OK) {
            return status;
        }
    }
    publish->payload = fmx_read_rest(&in->reader);
    return check_publish_topic(publish);
}

/* --- 3.4 … 3.7 PUBACK, PUBREC, PUBREL, PUBCOMP ------------------------------------------------ */

/* One for each message at QoS 1, and nearly all of them two bytes: met before the table, too. */
static enum fmx_status read_short_puback(struct source *in, struct fmx_ack *ack)
{
    ack->reason = FMX_REASON_SUCCESS;
    clear_props(&ack->props);
    return read_packet_id(in, &ack->packet_id);
}

static enum fmx_status read_ack(struct source *in, struct fmx_packet *out)
{
    struct fmx_ack *ack = &out->ack;
    enum fmx_status status = read_packet_id(in, &ack->packet_id);

    return status != FMX_OK ? status : read_reason(in, out->kind, &ack->reason, &ack->props);
}

/* --- 3.8 and 3.10 SUBSCRIBE, UNSUBSCRIBE ------------------------------------------------------ */

enum subscribe_options {
    OPTIONS_QOS = 0x03,
    OPTIONS_NO_LOCAL = 0x04,
    OPTIONS_RETAIN_AS_PUBLISHED = 0x08,
    OPTIONS_RETAIN_HANDLING = 0x30,
    OPTIONS_RETAIN_HANDLING_SHIFT = 4,
    OPTIONS_RESERVED = 0xc0,
    OPTIONS_RESERVED_BEFORE_50 = 0xfc,
};

static enum fmx_status check_options(const struct source *in, fmx_slice filter, unsigned options)
{
    unsigned reserved = in->version < FMX_MQTT_50 ? OPTIONS_RESERVED_BEFORE_50 : OPTIONS_RESERVED;

    if ((options & reserved) != 0 ||
        (options & OPTIONS_RETAIN_HANDLING) == OPTIONS_RETAIN_HANDLING) {
        return FMX_PEER_SUBSCRIBE_OPTIONS;
    }
    if ((options & OPTIONS_NO_LOCAL) != 0 && fmx_topic_is_shared(filter)) {
        return FMX_PEER_SUBSCRIBE_OPTIONS;
    }
    return (options & OPTIONS_QOS) > 2 ? FMX_PEER_QOS : FMX_OK;
}

/* "$share/name/filter" (4.8.2): a name without wildcard, then a filter of its own. */
static bool is_shared_well_formed(fmx_slice filter)
{
    struct fmx_topic_walk walk = fmx_topic_walk_of(filter);
    fmx_slice prefix;
    fmx_slice name;

    return fmx_topic_next_level(&walk, &prefix) && fmx_topic_next_level(&walk, &name) &&
           name.bytes > 0 && !fmx_topic_has_wildcard(name) && !walk.ended && walk.rest.bytes > 0;
}

static enum fmx_status check_filter(const struct source *in, fmx_slice filter)
{
    enum fmx_status status = fmx_topic_check_filter(filter);

    if (status == FMX_OK && in->version == FMX_MQTT_50 && fmx_topic_is_shared(filter) &&
        !is_shared_well_formed(filter)) {
        return FMX_PEER_TOPIC_FILTER;
    }
    return status;
}

static enum fmx_status read_filter(struct source *in, bool has_options)
{
    fmx_slice filter = fmx_read_string(&in->reader);
    unsigned options = has_options ? fmx_read_u8(&in->reader) : 0;

    if (in->reader.failed) {
        return FMX_PEER_SHORT;
    }
    enum fmx_status status = check_filter(in, filter);
    return status != FMX_OK ? status : check_options(in, filter, options);
}

static enum fmx_status read_filters(struct source *in, bool has_options,
                                    struct fmx_subscribe *subscribe)
{
    const uint8_t *start = in->reader.at;

    subscribe->filters_count = 0;
    while (fmx_reader_left(&in->reader) > 0) {
        enum fmx_status status = read_filter(in, has_options);
        if (status != FMX_OK) {
            return status;
        }
        subscribe->filters_count++;
    }
    subscribe->filters = (fmx_slice){.data = start, .bytes = (size_t)(in->reader.at - start)};
    return subscribe->filters_count > 0 ? FMX_OK : FMX_PEER_EMPTY;
}

static enum fmx_status read_subscribe(struct source *in, struct fmx_packet *out)
{
    struct fmx_subscribe *subscribe = &out->subscribe;
    enum fmx_status status = read_packet_id(in, &subscribe->packet_id);

    if (status == FMX_OK) {
        status = read_props(in, out->kind, &subscribe->props);
    }
    return status != FMX_OK ? status : read_filters(in, out->kind == FMX_SUBSCRIBE, subscribe);
}

enum fmx_status fmx_filter_next(fmx_slice filters, bool has_options, size_t *offset,
                                struct fmx_filter *out_filter)
{
    struct fmx_reader reader = fmx_reader_of(filters);

    (void)fmx_read_bytes(&reader, *offset);
    if (fmx_reader_left(&reader) == 0) {
        return FMX_END;
    }
    fmx_slice filter = fmx_read_string(&reader);
    unsigned options = has_options ? fmx_read_u8(&reader) : 0;
    *offset = filters.bytes - fmx_reader_left(&reader);
    *out_filter = (struct fmx_filter){
        .filter = filter,
        .qos = options & OPTIONS_QOS,
        .no_local = (options & OPTIONS_NO_LOCAL) != 0,
        .retain_as_published = (options & OPTIONS_RETAIN_AS_PUBLISHED) != 0,
        .retain_handling =
            (uint8_t)((options & OPTIONS_RETAIN_HANDLING) >> OPTIONS_RETAIN_HANDLING_SHIFT),
    };
    return reader.failed ? FMX_END : FMX_OK;
}

/* --- 3.9 and 3.11 SUBACK, UNSUBACK ------------------------------------------------------------ */

static bool is_suback_code(const struct source *in, enum fmx_packet_kind kind, uint8_t code)
{
    return in->version < FMX_MQTT_50
               ? code <= FMX_REASON_GRANTED_QOS_2 || code == FMX_REASON_UNSPECIFIED
               : fmx_reason_is_allowed(code, kind, in->from);
}

static enum fmx_status read_suback(struct source *in, struct fmx_packet *out)
{
    struct fmx_suback *suback = &out->suback;
    enum fmx_status status = read_packet_id(in, &suback->packet_id);

    if (status == FMX_OK) {
        status = read_props(in, out->kind, &suback->props);
    }
    if (status != FMX_OK) {
        return status;
    }
    if (out->kind == FMX_UNSUBACK && in->version < FMX_MQTT_50) {
        suback->codes = (fmx_slice){0};
        return finish(in);
    }
    suback->codes = fmx_read_rest(&in->reader);
    for (size_t i = 0; i < suback->codes.bytes; i++) {
        if (!is_suback_code(in, out->kind, suback->codes.data[i])) {
            return FMX_PEER_REASON_CODE;
        }
    }
    return suback->codes.bytes > 0 ? FMX_OK : FMX_PEER_SHORT;
}

/* --- 3.12 and 3.13 PINGREQ, PINGRESP ---------------------------------------------------------- */

static enum fmx_status read_ping(struct source *in, struct fmx_packet *out)
{
    (void)out;
    return finish(in);
}

/* --- 3.14 and 3.15 DISCONNECT, AUTH ----------------------------------------------------------- */

/* A server does not set the session's expiry when it leaves (3.14.2-2). */
static enum fmx_status read_disconnect(struct source *in, struct fmx_packet *out)
{
    struct fmx_disconnect *disconnect = &out->disconnect;
    enum fmx_status status = read_reason(in, out->kind, &disconnect->reason, &disconnect->props);

    if (status == FMX_OK && in->from == FMX_SIDE_SERVER &&
        fmx_props_has(&disconnect->props, FMX_PROP_SESSION_EXPIRY)) {
        return FMX_PEER_PROPERTY;
    }
    return status;
}

/* The method may be missing from the empty form only (3.15.2). */
static enum fmx_status read_auth(struct source *in, struct fmx_packet *out)
{
    struct fmx_disconnect *auth = &out->disconnect;
    bool is_empty = fmx_reader_left(&in->reader) == 0;
    enum fmx_status status = read_reason(in, out->kind, &auth->reason, &auth->props);

    if (status == FMX_OK && !is_empty && !fmx_props_has(&auth->props, FMX_PROP_AUTH_METHOD)) {
        return FMX_PEER_PROPERTY;
    }
    return status;
}

/* --- the table -------------------------------------------------------------------------------- */

#define NEVER 0xffu
#define ANY   0xffu

/*
 * `since[side]`: the first version in which that side may send this kind; `most`: bytes of its body
 * before 5.0, and in 5.0.
 */
static const struct {
    enum fmx_status (*read)(struct source *in, struct fmx_packet *out);
    uint8_t flags;
    uint8_t since[2];
    uint8_t most[2];
} kinds[16] = {
    /*                                    from: server         client */
    [0] = {NULL, 0, {NEVER, NEVER}, {ANY, ANY}},
    [FMX_CONNECT] = {read_connect, 0, {NEVER, FMX_MQTT_31}, {ANY, ANY}},
    [FMX_CONNACK] = {read_connack, 0, {FMX_MQTT_31, NEVER}, {2, ANY}},
    [FMX_PUBLISH] = {NULL, 0, {NEVER, NEVER}, {ANY, ANY}}, /* met before the table */
    [FMX_PUBACK] = {read_ack, 0, {FMX_MQTT_31, FMX_MQTT_31}, {2, ANY}},
    [FMX_PUBREC] = {read_ack, 0, {FMX_MQTT_31, FMX_MQTT_31}, {2, ANY}},
    [FMX_PUBREL] = {read_ack, 2, {FMX_MQTT_31, FMX_MQTT_31}, {2, ANY}},
    [FMX_PUBCOMP] = {read_ack, 0, {FMX_MQTT_31, FMX_MQTT_31}, {2, ANY}},
    [FMX_SUBSCRIBE] = {read_subscribe, 2, {NEVER, FMX_MQTT_31}, {ANY, ANY}},
    [FMX_SUBACK] = {read_suback, 0, {FMX_MQTT_31, NEVER}, {ANY, ANY}},
    [FMX_UNSUBSCRIBE] = {read_subscribe, 2, {NEVER, FMX_MQTT_31}, {ANY, ANY}},
    [FMX_UNSUBACK] = {read_suback, 0, {FMX_MQTT_31, NEVER}, {2, ANY}},
    [FMX_PINGREQ] = {read_ping, 0, {NEVER, FMX_MQTT_31}, {0, 0}},
    [FMX_PINGRESP] = {read_ping, 0, {FMX_MQTT_31, NEVER}, {0, 0}},
    [FMX_DISCONNECT] = {read_disconnect, 0, {FMX_MQTT_50, FMX_MQTT_31}, {0, ANY}},
    [FMX_AUTH] = {read_auth, 0, {FMX_MQTT_50, FMX_MQTT_50}, {ANY, ANY}},
};

static_assert(FMX_SIDE_SERVER == 0 && FMX_SIDE_CLIENT == 1, "`since` is indexed by side");

/* In 3.1 the packets of QoS 1 may carry DUP when they are sent again (3.1, 2.1). */
static bool has_right_flags(unsigned head, unsigned wanted, enum fmx_version version)
{
    unsigned flags = head & 0x0f;
    unsigned ignored = version == FMX_MQTT_31 && wanted != 0 ? PUBLISH_DUP : 0;

    return (flags & ~ignored) == wanted;
}

static enum fmx_status check_kind(const struct fmx_frame *frame, enum fmx_side from,
                                  enum fmx_version version)
{
    unsigned kind = frame->head >> 4;
    size_t most = kinds[kind].most[version == FMX_MQTT_50];

    if (version < kinds[kind].since[from]) {
        return FMX_PEER_KIND;
    }
    if (!has_right_flags(frame->head, kinds[kind].flags, version)) {
        return FMX_PEER_FLAGS;
    }
    return most != ANY && frame->body.bytes > most ? FMX_PEER_TRAILING : FMX_OK;
}

enum fmx_status fmx_decode_head(const struct fmx_frame *frame, enum fmx_side from,
                                enum fmx_version version)
{
    unsigned kind = frame->head >> 4;

    if (kind == FMX_CONNECT) {
        return check_kind(frame, from, FMX_MQTT_311);
    }
    if (version == FMX_MQTT_50 && !has_shortest_length(frame)) {
        return FMX_PEER_LENGTH;
    }
    return kind == FMX_PUBLISH ? check_publish_flags(frame->head & 0x0f)
                               : check_kind(frame, from, version);
}

enum fmx_status fmx_decode(const struct fmx_frame *frame, enum fmx_side from,
                           enum fmx_version version, struct fmx_packet *out_packet)
{
    struct source in = {fmx_reader_of(frame->body), from, version};
    unsigned kind = frame->head >> 4;

    out_packet->kind = (enum fmx_packet_kind)kind;
    if (kind == FMX_CONNECT) {
        out_packet->connect.version = FMX_MQTT_311;
        in.version = FMX_MQTT_311;
    } else if (version == FMX_MQTT_50 && !has_shortest_length(frame)) {
        return FMX_PEER_LENGTH;
    }
    if (kind == FMX_PUBLISH) {
        out_packet->publish.wire = wire_of(frame);
        return read_publish(&in, frame->head & 0x0f, &out_packet->publish);
    }
    if (frame->head == FMX_PUBACK << 4 && frame->body.bytes == 2) {
        return read_short_puback(&in, &out_packet->ack);
    }
    enum fmx_status status = check_kind(frame, from, in.version);
    if (status != FMX_OK) {
        return status;
    }
    status = kinds[kind].read(&in, out_packet);
    if (kind == FMX_CONNECT && status == FMX_OK && in.version == FMX_MQTT_50 &&
        !has_shortest_length(frame)) {
        return FMX_PEER_LENGTH;
    }
    return status;
}
