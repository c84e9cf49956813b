/*
 * test_session — what a session makes of what comes: CONNECT, PUBLISH and all the rest
 */
#include "proto/session.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/session.h"

#include <stdlib.h>

/* ---- CONNECT --------------------------------------------------------------------------------- */

static void session_wants_connect_first(void)
{
    for (unsigned kind = FMX_CONNACK; kind <= FMX_AUTH; kind++) {
        struct fmx_session session;
        struct fmx_packet packet = {.kind = (enum fmx_packet_kind)kind};
        struct fmx_packet last;
        fmx_session_init(&session, FMX_SIDE_SERVER, &defaults);
        CU_ASSERT(is_closed(feed(&session, packet), FMX_PEER_ORDER));
        CU_ASSERT_FALSE(fmx_session_end(&session, FMX_PEER_ORDER, (fmx_slice){0}, &last));
    }
}

static void session_refuses_second_connect(void)
{
    struct fmx_session session;

    open_server(&session, FMX_MQTT_311);
    CU_ASSERT(is_closed(feed(&session, connect_of(FMX_MQTT_311)), FMX_PEER_ORDER));
}

static void session_takes_an_empty_client_id_where_the_version_does(void)
{
    struct fmx_packet connect = connect_of(FMX_MQTT_311);

    connect.connect.client_id.bytes = 0;
    CU_ASSERT(is_delivered(offer(connect)));
    connect.connect.clean = false;
    CU_ASSERT(is_closed(offer(connect), FMX_PEER_CLIENT_ID));
    connect.connect.version = FMX_MQTT_50;
    CU_ASSERT(is_delivered(offer(connect)));
    connect.connect.version = FMX_MQTT_31;
    connect.connect.clean = true;
    CU_ASSERT(is_closed(offer(connect), FMX_PEER_CLIENT_ID));
}

static void session_refuses_enhanced_authentication(void)
{
    struct fmx_packet connect = connect_of(FMX_MQTT_50);

    set_prop(&connect.connect.props, FMX_PROP_AUTH_DATA);
    CU_ASSERT(is_closed(offer(connect), FMX_PEER_PROPERTY_VALUE));
    set_prop(&connect.connect.props, FMX_PROP_AUTH_METHOD);
    CU_ASSERT(is_closed(offer(connect), FMX_PEER_AUTH_METHOD));
}

static void session_accepts_a_will_and_checks_its_form(void)
{
    struct fmx_packet connect = connect_of(FMX_MQTT_50);

    connect.connect.has_will = true;
    connect.connect.will_qos = 2;
    connect.connect.will_topic = fmx_slice_of("gone");
    CU_ASSERT(is_delivered(offer(connect)));
    set_prop(&connect.connect.will_props, FMX_PROP_RESPONSE_TOPIC);
    connect.connect.will_props.response_topic = fmx_slice_of("a/+");
    CU_ASSERT(is_closed(offer(connect), FMX_PEER_TOPIC_NAME));
}

static void session_bounds_the_keepalive(void)
{
    static const struct {
        uint16_t asked_s;
        uint16_t granted_s;
    } rows[] = {{30, 30}, {1200, 1200}, {1201, 1200}, {65535, 1200}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fmx_session session;
        struct fmx_packet connect = connect_of(FMX_MQTT_50);
        connect.connect.keepalive_s = rows[i].asked_s;
        struct fmx_packet connack = admit(&session, connect, &defaults);
        bool is_said = fmx_props_has(&connack.connack.props, FMX_PROP_SERVER_KEEP_ALIVE);
        CU_ASSERT_EQUAL(session.keepalive_s, rows[i].granted_s);
        CU_ASSERT_EQUAL(is_said, rows[i].asked_s != rows[i].granted_s);
    }
    for (uint16_t asked_s = 0; asked_s < 30; asked_s++) {
        struct fmx_packet connect = connect_of(FMX_MQTT_311);
        connect.connect.keepalive_s = asked_s;
        CU_ASSERT(is_closed(offer(connect), FMX_PEER_KEEPALIVE_RANGE));
    }
}

static void session_lowers_no_keepalive_to_the_bound_if_none_is_too_little(void)
{
    struct fmx_session_options options = defaults;
    struct fmx_session session;
    struct fmx_packet connect = connect_of(FMX_MQTT_311);

    options.keepalive_min_s = 0;
    connect.connect.keepalive_s = 0;
    (void)admit(&session, connect, &options);
    CU_ASSERT_EQUAL(session.keepalive_s, 1200);
    options.keepalive_max_s = 0;
    (void)admit(&session, connect, &options);
    CU_ASSERT_EQUAL(session.keepalive_s, 0);
}

static uint32_t expiry_granted(enum fmx_version version, bool clean, const uint32_t *asked_s,
                               bool *out_is_said)
{
    struct fmx_session session;
    struct fmx_packet connect = connect_of(version);

    connect.connect.clean = clean;
    if (asked_s != NULL) {
        connect.connect.props.session_expiry_s = *asked_s;
        set_prop(&connect.connect.props, FMX_PROP_SESSION_EXPIRY);
    }
    struct fmx_packet connack = admit(&session, connect, &defaults);
    *out_is_said = fmx_props_has(&connack.connack.props, FMX_PROP_SESSION_EXPIRY);
    return session.session_expiry_s;
}

static void session_grants_expiry_up_to_the_maximum(void)
{
    static const uint32_t little = 100;
    static const uint32_t for_ever = UINT32_MAX;
    bool is_said = true;

    CU_ASSERT_EQUAL(expiry_granted(FMX_MQTT_311, true, NULL, &is_said), 0);
    CU_ASSERT_EQUAL(expiry_granted(FMX_MQTT_311, false, NULL, &is_said), 604800);
    CU_ASSERT_FALSE(is_said);
    CU_ASSERT_EQUAL(expiry_granted(FMX_MQTT_50, false, NULL, &is_said), 0);
    CU_ASSERT_FALSE(is_said);
    CU_ASSERT_EQUAL(expiry_granted(FMX_MQTT_50, true, &little, &is_said), 100);
    CU_ASSERT_FALSE(is_said);
    CU_ASSERT_EQUAL(expiry_granted(FMX_MQTT_50, true, &for_ever, &is_said), 604800);
    CU_ASSERT(is_said);
}

static void session_announces_what_differs_from_the_specification(void)
{
    struct fmx_session_options generous = defaults;
    struct fmx_session session;
    struct fmx_packet connack = admit(&session, connect_of(FMX_MQTT_50), &defaults);
    const struct fmx_props *props = &connack.connack.props;

    CU_ASSERT_EQUAL(connack.connack.reason, 0);
    CU_ASSERT_EQUAL(props->present, FMX_PROP_BIT(FMX_PROP_MAXIMUM_QOS) |
                                        FMX_PROP_BIT(FMX_PROP_RETAIN_AVAILABLE) |
                                        FMX_PROP_BIT(FMX_PROP_RECEIVE_MAX) |
                                        FMX_PROP_BIT(FMX_PROP_PACKET_BYTES_MAX) |
                                        FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS_MAX) |
                                        FMX_PROP_BIT(FMX_PROP_SUBSCRIPTION_ID_AVAILABLE) |
                                        FMX_PROP_BIT(FMX_PROP_SHARED_AVAILABLE));
    CU_ASSERT(props->maximum_qos == 1 && props->retain_available == 0);
    CU_ASSERT(props->receive_max == 3 && props->packet_bytes_max == 262144);
    CU_ASSERT(props->topic_alias_max == 20 && props->shared_available == 0);

    generous.receive_max = 65535;
    generous.packet_bytes_max = FMX_PACKET_BYTES_MAX;
    generous.topic_alias_max = 0;
    generous.retain_is_refused = false;
    connack = admit(&session, connect_of(FMX_MQTT_50), &generous);
    CU_ASSERT_EQUAL(connack.connack.props.present,
                    FMX_PROP_BIT(FMX_PROP_MAXIMUM_QOS) |
                        FMX_PROP_BIT(FMX_PROP_SUBSCRIPTION_ID_AVAILABLE) |
                        FMX_PROP_BIT(FMX_PROP_SHARED_AVAILABLE));
    connack = admit(&session, connect_of(FMX_MQTT_311), &defaults);
    CU_ASSERT_EQUAL(connack.connack.props.present, 0);
}

static void session_says_present_and_assigned_as_told(void)
{
    struct fmx_session session;
    struct fmx_packet connect = connect_of(FMX_MQTT_50);
    struct fmx_packet connack;

    connect.connect.clean = false;
    fmx_session_init(&session, FMX_SIDE_SERVER, &defaults);
    CU_ASSERT(is_delivered(feed(&session, connect)));
    fmx_session_admit(&session, true, fmx_slice_of("made-up"), &connack);
    CU_ASSERT(connack.connack.session_present);
    CU_ASSERT(fmx_props_has(&connack.connack.props, FMX_PROP_ASSIGNED_CLIENT_ID));
    CU_ASSERT(fmx_slice_equal(connack.connack.props.assigned_client_id, fmx_slice_of("made-up")));
}

/* ---- PUBLISH towards us ---------------------------------------------------------------------- */

static void session_refuses_qos_2(void)
{
    static const enum fmx_packet_kind steps[] = {FMX_PUBREC, FMX_PUBREL, FMX_PUBCOMP};
    struct fmx_session server;
    struct fmx_session client;

    open_server(&server, FMX_MQTT_311);
    open_client(&client, FMX_MQTT_50);
    CU_ASSERT(is_closed(feed(&server, publish_of("a", 2)), FMX_PEER_QOS2));
    CU_ASSERT(is_closed(feed(&client, publish_of("a", 2)), FMX_PEER_QOS2));
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT(is_closed(feed(&server, ack_of(steps[i], 1)), FMX_PEER_QOS2));
    }
}

static void session_refuses_retain_in_5_and_clears_it_before(void)
{
    struct fmx_session_options kind = defaults;
    struct fmx_session session;
    struct fmx_packet publish = publish_of("a", 0);
    struct fmx_actions actions;

    publish.publish.retain = true;
    open_server(&session, FMX_MQTT_50);
    CU_ASSERT(is_closed(feed(&session, publish), FMX_PEER_RETAIN));
    open_server(&session, FMX_MQTT_311);
    fmx_session_on_packet(&session, &publish, &actions);
    CU_ASSERT(is_delivered(actions));
    CU_ASSERT_FALSE(publish.publish.retain);
    kind.retain_is_refused = false;
    publish.publish.retain = true;
    (void)admit(&session, connect_of(FMX_MQTT_50), &kind);
    fmx_session_on_packet(&session, &publish, &actions);
    CU_ASSERT(is_delivered(actions) && publish.publish.retain);
}

static void session_holds_the_peer_to_its_receive_window(void)
{
    struct fmx_session session;

    open_server(&session, FMX_MQTT_50);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT(is_delivered(feed(&session, publish_of("a", 1))));
    }
    CU_ASSERT(is_delivered(feed(&session, publish_of("a", 0))));
    CU_ASSERT(is_closed(feed(&session, publish_of("a", 1)), FMX_PEER_RECEIVE_MAX));
    fmx_session_acknowledged(&session);
    CU_ASSERT(is_delivered(feed(&session, publish_of("a", 1))));
    CU_ASSERT_EQUAL(session.unacked_in, 3);
}

static void session_knows_no_receive_window_before_5(void)
{
    struct fmx_session session;

    open_server(&session, FMX_MQTT_311);
    for (unsigned i = 0; i < 65535; i++) {
        CU_ASSERT_FATAL(is_delivered(feed(&session, publish_of("a", 1))));
    }
    CU_ASSERT(is_closed(feed(&session, publish_of("a", 1)), FMX_PEER_RECEIVE_MAX));
}

static struct fmx_packet aliased(const char *topic, uint16_t alias)
{
    struct fmx_packet packet = publish_of(topic, 0);

    packet.publish.props.topic_alias = alias;
    set_prop(&packet.publish.props, FMX_PROP_TOPIC_ALIAS);
    return packet;
}

static void session_fills_in_an_aliased_topic(void)
{
    fmx_slice old;
    struct fmx_session session;
    struct fmx_actions actions;
    struct fmx_alias_in *aliases = malloc(fmx_alias_in_bytes(20));
    struct fmx_packet first = aliased("a/b", 20);
    struct fmx_packet second = aliased("", 20);

    CU_ASSERT_PTR_NOT_NULL_FATAL(aliases);
    open_server(&session, FMX_MQTT_50);
    CU_ASSERT(is_closed(feed(&session, aliased("", 20)), FMX_PEER_ALIAS));
    CU_ASSERT(is_delivered(feed(&session, first)));
    CU_ASSERT(fmx_session_alias_is_new(&first.publish));
    fmx_alias_in_init(aliases, 20);
    session.aliases = aliases;
    CU_ASSERT_EQUAL(fmx_alias_in_put(aliases, 20, first.publish.topic, &old), FMX_OK);
    CU_ASSERT_FALSE(fmx_session_alias_is_new(&second.publish));
    fmx_session_on_packet(&session, &second, &actions);
    CU_ASSERT(is_delivered(actions));
    CU_ASSERT(fmx_slice_equal(second.publish.topic, fmx_slice_of("a/b")));
    free(aliases);
}

static void session_refuses_aliases_out_of_range(void)
{
    struct fmx_session session;

    open_server(&session, FMX_MQTT_50);
    CU_ASSERT(is_closed(feed(&session, aliased("a", 0)), FMX_PEER_ALIAS));
    CU_ASSERT(is_closed(feed(&session, aliased("a", 21)), FMX_PEER_ALIAS));
    CU_ASSERT(is_closed(feed(&session, aliased("", 1)), FMX_PEER_ALIAS));
    CU_ASSERT(is_closed(feed(&session, publish_of("", 0)), FMX_PEER_TOPIC_NAME));
}

static void session_measures_topics_without_their_tracing_suffix(void)
{
    char text[200];
    struct fmx_session session;

    open_server(&session, FMX_MQTT_311);
    memset(text, 'a', sizeof text);
    text[128] = '\0';
    CU_ASSERT(is_delivered(feed(&session, publish_of(text, 0))));
    memcpy(text + 128, "?_rid=1234", 11);
    CU_ASSERT(is_delivered(feed(&session, publish_of(text, 0))));
    memcpy(text + 128, "a", 2);
    CU_ASSERT(is_closed(feed(&session, publish_of(text, 0)), FMX_LIMIT_TOPIC));
    CU_ASSERT(is_delivered(feed(&session, publish_of("1/2/3/4/5/6/7/8", 0))));
    CU_ASSERT(is_closed(feed(&session, publish_of("1/2/3/4/5/6/7/8/9", 0)), FMX_LIMIT_TOPIC));
    CU_ASSERT(is_delivered(feed(&session, publish_of("///////", 0))));
    CU_ASSERT(is_closed(feed(&session, publish_of("////////", 0)), FMX_LIMIT_TOPIC));
}

static void session_refuses_properties_that_do_not_fit(void)
{
    struct fmx_session session;
    struct fmx_packet publish = publish_of("a", 0);

    open_server(&session, FMX_MQTT_50);
    publish.publish.props.user_count = 20;
    set_prop(&publish.publish.props, FMX_PROP_USER_PROPERTY);
    CU_ASSERT(is_delivered(feed(&session, publish)));
    publish.publish.props.user_count = 21;
    CU_ASSERT(is_closed(feed(&session, publish), FMX_PEER_PROPERTY_VALUE));
    publish = publish_of("a", 0);
    set_prop(&publish.publish.props, FMX_PROP_RESPONSE_TOPIC);
    publish.publish.props.response_topic = fmx_slice_of("b/#");
    CU_ASSERT(is_closed(feed(&session, publish), FMX_PEER_TOPIC_NAME));
    publish = publish_of("a", 0);
    set_prop(&publish.publish.props, FMX_PROP_SUBSCRIPTION_ID);
    CU_ASSERT(is_closed(feed(&session, publish), FMX_PEER_PROPERTY));
}

/* ---- the rest of what a server hears --------------------------------------------------------- */

static void session_delivers_subscriptions_and_bounds_their_filters(void)
{
    uint8_t room[512];
    struct fmx_session session;
    struct fmx_packet packet = with_filter(FMX_SUBSCRIBE, "$share/g/a", room);

    open_server(&session, FMX_MQTT_50);
    CU_ASSERT(is_delivered(feed(&session, packet)));
    set_prop(&packet.subscribe.props, FMX_PROP_SUBSCRIPTION_ID);
    CU_ASSERT(is_closed(feed(&session, packet), FMX_PEER_SUBSCRIPTION_ID));
    packet = with_filter(FMX_SUBSCRIBE, "1/2/3/4/5/6/7/8/#", room);
    CU_ASSERT(is_closed(feed(&session, packet), FMX_LIMIT_TOPIC));
    packet = with_filter(FMX_UNSUBSCRIBE, "a/+", room);
    CU_ASSERT(is_delivered(feed(&session, packet)));
}

static void session_answers_pingreq(void)
{
    struct fmx_session session;
    struct fmx_actions actions;

    open_server(&session, FMX_MQTT_311);
    actions = feed(&session, (struct fmx_packet){.kind = FMX_PINGREQ});
    CU_ASSERT(actions.todo == FMX_DO_REPLY && actions.reply == FMX_PINGRESP);
}

static void session_ends_with_disconnect(void)
{
    struct fmx_session session;
    struct fmx_packet last;

    open_server(&session, FMX_MQTT_50);
    CU_ASSERT(is_delivered_and_closed(feed(&session, (struct fmx_packet){.kind = FMX_DISCONNECT}),
                                      FMX_PEER_DISCONNECT));
    CU_ASSERT_FALSE(fmx_session_end(&session, FMX_PEER_DISCONNECT, (fmx_slice){0}, &last));
    CU_ASSERT_EQUAL(session.state, FMX_SESSION_ENDED);
    CU_ASSERT_EQUAL(feed(&session, publish_of("a", 0)).todo, 0);
    CU_ASSERT_FALSE(fmx_session_end(&session, FMX_E_DONE, (fmx_slice){0}, &last));
}

static struct fmx_actions leave(struct fmx_session *session, const uint32_t *asked_s,
                                uint32_t leaves_s)
{
    struct fmx_packet connect = connect_of(FMX_MQTT_50);
    struct fmx_packet packet = {.kind = FMX_DISCONNECT};

    if (asked_s != NULL) {
        connect.connect.props.session_expiry_s = *asked_s;
        set_prop(&connect.connect.props, FMX_PROP_SESSION_EXPIRY);
    }
    (void)admit(session, connect, &defaults);
    packet.disconnect.props.session_expiry_s = leaves_s;
    set_prop(&packet.disconnect.props, FMX_PROP_SESSION_EXPIRY);
    return feed(session, packet);
}

static void session_lets_expiry_change_but_not_come_alive(void)
{
    static const uint32_t asked_s = 100;
    struct fmx_session session;

    CU_ASSERT(is_closed(leave(&session, NULL, 1), FMX_PEER_PROPERTY_VALUE));
    CU_ASSERT(is_delivered_and_closed(leave(&session, NULL, 0), FMX_PEER_DISCONNECT));
    CU_ASSERT(is_delivered_and_closed(leave(&session, &asked_s, 0), FMX_PEER_DISCONNECT));
    CU_ASSERT_EQUAL(session.session_expiry_s, 0);
    CU_ASSERT(is_delivered_and_closed(leave(&session, &asked_s, UINT32_MAX), FMX_PEER_DISCONNECT));
    CU_ASSERT_EQUAL(session.session_expiry_s, 604800);
}

static void session_refuses_packets_of_the_wrong_side(void)
{
    static const enum fmx_packet_kind to_server[] = {FMX_CONNACK, FMX_SUBACK, FMX_UNSUBACK,
                                                     FMX_PINGRESP, FMX_AUTH};
    static const enum fmx_packet_kind to_client[] = {FMX_CONNECT,     FMX_CONNACK, FMX_SUBSCRIBE,
                                                     FMX_UNSUBSCRIBE, FMX_PINGREQ, FMX_AUTH};
    struct fmx_session session;

    open_server(&session, FMX_MQTT_50);
    for (size_t i = 0; i < sizeof to_server / sizeof to_server[0]; i++) {
        CU_ASSERT(
            is_closed(feed(&session, (struct fmx_packet){.kind = to_server[i]}), FMX_PEER_ORDER));
    }
    open_client(&session, FMX_MQTT_50);
    for (size_t i = 0; i < sizeof to_client / sizeof to_client[0]; i++) {
        CU_ASSERT(
            is_closed(feed(&session, (struct fmx_packet){.kind = to_client[i]}), FMX_PEER_ORDER));
    }
}

/* ---- anything at all ------------------------------------------------------------------------- */

static struct fmx_packet random_packet(struct fmx_prng *prng, uint8_t *room)
{
    static const char *const topics[] = {"", "a", "a/b/c", "1/2/3/4/5/6/7/8/9", "x?_rid=1"};
    struct fmx_packet packet = {.kind = (enum fmx_packet_kind)(1 + fmx_prng_below(prng, 15))};
    const char *topic = topics[fmx_prng_below(prng, 5)];

    if (packet.kind == FMX_CONNECT) {
        packet = connect_of((enum fmx_version)(3 + fmx_prng_below(prng, 3)));
        packet.connect.keepalive_s = (uint16_t)fmx_prng_below(prng, 2000);
    } else if (packet.kind == FMX_PUBLISH) {
        packet = publish_of(topic, (uint8_t)fmx_prng_below(prng, 3));
        packet.publish.retain = fmx_prng_below(prng, 8) == 0;
        if (fmx_prng_below(prng, 3) == 0) {
            packet.publish.props = aliased(topic, (uint16_t)fmx_prng_below(prng, 23)).publish.props;
        }
    } else if (packet.kind == FMX_SUBSCRIBE || packet.kind == FMX_UNSUBSCRIBE) {
        packet = with_filter(packet.kind, topic, room);
    } else if (packet.kind == FMX_CONNACK) {
        packet.connack.reason = fmx_prng_below(prng, 4) == 0 ? 0x87 : 0;
    } else {
        packet = ack_of(packet.kind, (uint16_t)fmx_prng_below(prng, 12));
    }
    return packet;
}

static void session_keeps_its_invariants_whatever_comes(void)
{
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct fmx_prng prng = {.state = seed};
        enum fmx_version version = (enum fmx_version)(3 + fmx_prng_below(&prng, 3));
        uint64_t storage[8];
        uint8_t room[512];
        struct fmx_session session;
        struct fmx_packet last;
        struct fmx_actions actions = {0};
        if (fmx_prng_below(&prng, 2) == 0) {
            open_server(&session, version);
        } else {
            open_client(&session, version);
        }
        fmx_inflight_move(&session.out, storage, 8);
        for (unsigned at = 0; at < 30; at++) {
            struct fmx_packet out = publish_of("a", 1);
            actions = feed(&session, random_packet(&prng, room));
            if (fmx_session_publish(&session, &out.publish, 9, seed) < 0) {
                CU_FAIL_FATAL("an open session refuses to publish");
            }
            if (session.unacked_in > 0 && fmx_prng_below(&prng, 2) == 0) {
                fmx_session_acknowledged(&session);
            }
            CU_ASSERT_FATAL((actions.todo & FMX_DO_CLOSE) == 0 || actions.close_status < 0);
            CU_ASSERT_FATAL(session.state == FMX_SESSION_OPEN);
        }
        (void)fmx_session_end(&session, actions.close_status, (fmx_slice){0}, &last);
        fmx_session_check(&session);
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(session_wants_connect_first),
    FMX_TEST_CASE(session_refuses_second_connect),
    FMX_TEST_CASE(session_takes_an_empty_client_id_where_the_version_does),
    FMX_TEST_CASE(session_refuses_enhanced_authentication),
    FMX_TEST_CASE(session_accepts_a_will_and_checks_its_form),
    FMX_TEST_CASE(session_bounds_the_keepalive),
    FMX_TEST_CASE(session_lowers_no_keepalive_to_the_bound_if_none_is_too_little),
    FMX_TEST_CASE(session_grants_expiry_up_to_the_maximum),
    FMX_TEST_CASE(session_announces_what_differs_from_the_specification),
    FMX_TEST_CASE(session_says_present_and_assigned_as_told),
    FMX_TEST_CASE(session_refuses_qos_2),
    FMX_TEST_CASE(session_refuses_retain_in_5_and_clears_it_before),
    FMX_TEST_CASE(session_holds_the_peer_to_its_receive_window),
    FMX_TEST_CASE(session_knows_no_receive_window_before_5),
    FMX_TEST_CASE(session_fills_in_an_aliased_topic),
    FMX_TEST_CASE(session_refuses_aliases_out_of_range),
    FMX_TEST_CASE(session_measures_topics_without_their_tracing_suffix),
    FMX_TEST_CASE(session_refuses_properties_that_do_not_fit),
    FMX_TEST_CASE(session_delivers_subscriptions_and_bounds_their_filters),
    FMX_TEST_CASE(session_answers_pingreq),
    FMX_TEST_CASE(session_ends_with_disconnect),
    FMX_TEST_CASE(session_lets_expiry_change_but_not_come_alive),
    FMX_TEST_CASE(session_refuses_packets_of_the_wrong_side),
    FMX_TEST_CASE(session_keeps_its_invariants_whatever_comes),
};

int main(int argc, char **argv)
{
    return fmx_test_main("session", cases, sizeof cases / sizeof cases[0], argc, argv);
}
