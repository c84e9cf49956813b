/*
 * session.h — sessions of either side, opened in one line, and the packets they are told
 */
#ifndef FMX_TESTS_SUPPORT_SESSION_H
#define FMX_TESTS_SUPPORT_SESSION_H

#include "proto/session.h"
#include "tests/support/run.h"

/* A gateway's limits, small where a test has to reach them. */
static const struct fmx_session_options defaults = {
    .packet_bytes_max = 262144,
    .inflight_max = 8,
    .session_expiry_max_s = 604800,
    .topic_bytes_max = 128,
    .topic_levels_max = 8,
    .user_properties_max = 20,
    .receive_max = 3,
    .topic_alias_max = 20,
    .keepalive_min_s = 30,
    .keepalive_max_s = 1200,
    .retain_is_refused = true,
};

static inline struct fmx_packet connect_of(enum fmx_version version)
{
    struct fmx_packet packet = {.kind = FMX_CONNECT};

    packet.connect.version = version;
    packet.connect.clean = true;
    packet.connect.keepalive_s = 60;
    packet.connect.client_id = fmx_slice_of("device");
    return packet;
}

static inline struct fmx_packet publish_of(const char *topic, uint8_t qos)
{
    struct fmx_packet packet = {.kind = FMX_PUBLISH};

    packet.publish.topic = fmx_slice_of(topic);
    packet.publish.qos = qos;
    packet.publish.packet_id = qos > 0 ? 9 : 0;
    return packet;
}

static inline struct fmx_packet ack_of(enum fmx_packet_kind kind, uint16_t packet_id)
{
    struct fmx_packet packet = {.kind = kind};

    if (kind == FMX_SUBACK || kind == FMX_UNSUBACK) {
        packet.suback.packet_id = packet_id;
    } else {
        packet.ack.packet_id = packet_id;
    }
    return packet;
}

static inline struct fmx_actions feed(struct fmx_session *session, struct fmx_packet packet)
{
    struct fmx_actions actions;

    fmx_session_on_packet(session, &packet, &actions);
    fmx_session_check(session);
    return actions;
}

static inline bool is_delivered(struct fmx_actions actions)
{
    return actions.todo == FMX_DO_DELIVER;
}

static inline bool is_closed(struct fmx_actions actions, enum fmx_status status)
{
    return actions.todo == FMX_DO_CLOSE && actions.close_status == status;
}

static inline bool is_delivered_and_closed(struct fmx_actions actions, enum fmx_status status)
{
    return actions.todo == (FMX_DO_DELIVER | FMX_DO_CLOSE) && actions.close_status == status;
}

/* A server's session after this CONNECT was admitted; returns the CONNACK. */
static inline struct fmx_packet admit(struct fmx_session *session, struct fmx_packet connect,
                                      const struct fmx_session_options *options)
{
    struct fmx_packet connack;

    fmx_session_init(session, FMX_SIDE_SERVER, options);
    CU_ASSERT_FATAL(is_delivered(feed(session, connect)));
    CU_ASSERT_EQUAL(session->state, FMX_SESSION_EXPECT_VERDICT);
    fmx_session_admit(session, false, (fmx_slice){0}, &connack);
    CU_ASSERT_EQUAL(session->state, FMX_SESSION_OPEN);
    return connack;
}

static inline void open_server(struct fmx_session *session, enum fmx_version version)
{
    (void)admit(session, connect_of(version), &defaults);
}

static inline struct fmx_actions start_client(struct fmx_session *session, enum fmx_version version,
                                              struct fmx_packet connack)
{
    struct fmx_packet connect = connect_of(version);

    fmx_session_init(session, FMX_SIDE_CLIENT, &defaults);
    fmx_session_connect(session, &connect.connect);
    return feed(session, connack);
}

static inline void open_client(struct fmx_session *session, enum fmx_version version)
{
    struct fmx_packet connack = {.kind = FMX_CONNACK};

    CU_ASSERT(is_delivered(start_client(session, version, connack)));
    CU_ASSERT_EQUAL(session->state, FMX_SESSION_OPEN);
}

static inline struct fmx_actions offer(struct fmx_packet connect)
{
    struct fmx_session session;

    fmx_session_init(&session, FMX_SIDE_SERVER, &defaults);
    return feed(&session, connect);
}

static inline struct fmx_packet with_filter(enum fmx_packet_kind kind, const char *filter,
                                            uint8_t *room)
{
    struct fmx_packet packet = {.kind = kind};
    struct fmx_writer writer = fmx_writer_of(room, 512);
    struct fmx_filter entry = {.filter = fmx_slice_of(filter), .qos = 1};

    fmx_filter_write(&writer, kind == FMX_SUBSCRIBE, &entry);
    packet.subscribe.packet_id = 4;
    packet.subscribe.filters_count = 1;
    packet.subscribe.filters = (fmx_slice){room, (size_t)(writer.at - room)};
    return packet;
}

static inline void set_prop(struct fmx_props *props, enum fmx_prop prop)
{
    props->present |= FMX_PROP_BIT(prop);
}

#endif
