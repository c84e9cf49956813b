/*
 * test_session_out — the client's side, what goes towards the peer, the last word, and time
 */
#include "proto/reason.h"
#include "proto/session.h"
#include "tests/support/run.h"
#include "tests/support/session.h"

#define S(n) ((n)*FMX_NS_PER_S)

/* ---- the client's side ----------------------------------------------------------------------- */

static void client_announces_its_limits_in_5_only(void)
{
    struct fmx_session session;
    struct fmx_packet connect = connect_of(FMX_MQTT_50);

    fmx_session_init(&session, FMX_SIDE_CLIENT, &defaults);
    fmx_session_connect(&session, &connect.connect);
    CU_ASSERT_EQUAL(connect.connect.props.receive_max, 3);
    CU_ASSERT_EQUAL(connect.connect.props.packet_bytes_max, 262144);
    CU_ASSERT_EQUAL(connect.connect.props.topic_alias_max, 20);
    CU_ASSERT_EQUAL(connect.connect.props.present, FMX_PROP_BIT(FMX_PROP_RECEIVE_MAX) |
                                                       FMX_PROP_BIT(FMX_PROP_PACKET_BYTES_MAX) |
                                                       FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS_MAX));
    connect = connect_of(FMX_MQTT_311);
    fmx_session_init(&session, FMX_SIDE_CLIENT, &defaults);
    fmx_session_connect(&session, &connect.connect);
    CU_ASSERT_EQUAL(connect.connect.props.present, 0);
}

static void client_wants_connack_first(void)
{
    struct fmx_session session;

    fmx_session_init(&session, FMX_SIDE_CLIENT, &defaults);
    CU_ASSERT(is_closed(feed(&session, publish_of("a", 0)), FMX_PEER_ORDER));
    CU_ASSERT(is_closed(start_client(&session, FMX_MQTT_50, publish_of("a", 0)), FMX_PEER_ORDER));
    CU_ASSERT(is_closed(start_client(&session, FMX_MQTT_50, (struct fmx_packet){.kind = FMX_AUTH}),
                        FMX_PEER_ORDER));
}

static void client_takes_over_the_servers_terms(void)
{
    struct fmx_session session;
    struct fmx_packet connack = {.kind = FMX_CONNACK};
    struct fmx_props *props = &connack.connack.props;

    props->receive_max = 2;
    props->packet_bytes_max = 100;
    props->topic_alias_max = 5;
    props->server_keepalive_s = 45;
    props->session_expiry_s = 77;
    props->maximum_qos = 0;
    props->retain_available = 0;
    props->present = FMX_PROP_BIT(FMX_PROP_RECEIVE_MAX) | FMX_PROP_BIT(FMX_PROP_PACKET_BYTES_MAX) |
                     FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS_MAX) |
                     FMX_PROP_BIT(FMX_PROP_SERVER_KEEP_ALIVE) |
                     FMX_PROP_BIT(FMX_PROP_SESSION_EXPIRY) | FMX_PROP_BIT(FMX_PROP_MAXIMUM_QOS) |
                     FMX_PROP_BIT(FMX_PROP_RETAIN_AVAILABLE);
    CU_ASSERT(is_delivered(start_client(&session, FMX_MQTT_50, connack)));
    CU_ASSERT(session.peer_receive_max == 2 && session.peer_packet_bytes_max == 100);
    CU_ASSERT(session.peer_alias_max == 5 && session.keepalive_s == 45);
    CU_ASSERT_EQUAL(session.session_expiry_s, 77);
    struct fmx_packet publish = publish_of("a", 1);
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 9, 1), FMX_E_ARGUMENT);
    publish = publish_of("a", 0);
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 9, 1), FMX_OK);
    publish.publish.retain = true;
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 9, 1), FMX_E_ARGUMENT);
}

static void client_delivers_a_refusal_and_closes(void)
{
    struct fmx_session session;
    struct fmx_packet connack = {.kind = FMX_CONNACK};
    struct fmx_packet last;

    connack.connack.reason = 5;
    CU_ASSERT(
        is_delivered_and_closed(start_client(&session, FMX_MQTT_311, connack), FMX_PEER_REFUSED));
    CU_ASSERT_FALSE(fmx_session_end(&session, FMX_PEER_REFUSED, (fmx_slice){0}, &last));
}

static void client_refuses_a_session_that_cannot_be_present(void)
{
    struct fmx_session session;
    struct fmx_packet connack = {.kind = FMX_CONNACK};

    connack.connack.session_present = true;
    CU_ASSERT(is_closed(start_client(&session, FMX_MQTT_50, connack), FMX_PEER_ORDER));
    CU_ASSERT(is_delivered(start_client(&session, FMX_MQTT_31, connack)));
}

static void client_hears_a_servers_disconnect_in_5_only(void)
{
    struct fmx_session session;
    struct fmx_packet packet = {.kind = FMX_DISCONNECT};

    packet.disconnect.reason = FMX_REASON_TAKEN_OVER;
    open_client(&session, FMX_MQTT_50);
    CU_ASSERT(is_delivered_and_closed(feed(&session, packet), FMX_PEER_DISCONNECT));
    open_client(&session, FMX_MQTT_311);
    CU_ASSERT(is_closed(feed(&session, packet), FMX_PEER_ORDER));
}

/* A server's role would not know what to do with it. */
static void client_hears_of_answers_that_nobody_asked_for(void)
{
    static const enum fmx_packet_kind kinds[] = {FMX_PUBACK, FMX_SUBACK, FMX_UNSUBACK,
                                                 FMX_PINGRESP};
    struct fmx_session session;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        open_client(&session, FMX_MQTT_311);
        struct fmx_actions actions = feed(&session, ack_of(kinds[i], 7));
        CU_ASSERT(is_delivered(actions));
        CU_ASSERT_EQUAL(actions.tag, 0);
    }
    open_server(&session, FMX_MQTT_311);
    CU_ASSERT_EQUAL(feed(&session, ack_of(FMX_PUBACK, 7)).todo, 0);
}

/* ---- towards the peer ------------------------------------------------------------------------ */

static void session_gives_identifiers_back_with_their_tags(void)
{
    uint64_t storage[8];
    struct fmx_session session;
    struct fmx_packet publish = publish_of("a", 1);
    uint16_t id = 0;

    open_client(&session, FMX_MQTT_50);
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 9, 70), FMX_FULL);
    fmx_inflight_move(&session.out, storage, 8);
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 9, 70), FMX_OK);
    CU_ASSERT_EQUAL(publish.publish.packet_id, 1);
    CU_ASSERT_EQUAL(fmx_inflight_take(&session.out, 80, &id), FMX_OK);
    struct fmx_actions actions = feed(&session, ack_of(FMX_SUBACK, id));
    CU_ASSERT(is_delivered(actions) && actions.tag == 80);
    actions = feed(&session, ack_of(FMX_PUBACK, 1));
    CU_ASSERT(is_delivered(actions) && actions.tag == 70);
    CU_ASSERT_EQUAL(feed(&session, ack_of(FMX_PUBACK, 1)).tag, 0); /* no longer in use */
    CU_ASSERT_EQUAL(feed(&session, ack_of(FMX_UNSUBACK, 500)).tag, 0);
}

static void session_keeps_to_the_peers_window_and_packet_size(void)
{
    uint64_t storage[16];
    struct fmx_session session;
    struct fmx_packet connect = connect_of(FMX_MQTT_50);
    struct fmx_packet publish = publish_of("a", 1);

    connect.connect.props.receive_max = 2;
    connect.connect.props.packet_bytes_max = 100;
    set_prop(&connect.connect.props, FMX_PROP_RECEIVE_MAX);
    set_prop(&connect.connect.props, FMX_PROP_PACKET_BYTES_MAX);
    (void)admit(&session, connect, &defaults);
    fmx_inflight_move(&session.out, storage, 16);
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 101, 1), FMX_E_TOO_LARGE);
    CU_ASSERT_EQUAL(fmx_session_window_left(&session), 2);
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 100, 1), FMX_OK);
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 100, 1), FMX_OK);
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 100, 1), FMX_FULL);
    CU_ASSERT(is_delivered(feed(&session, ack_of(FMX_PUBACK, 2))));
    CU_ASSERT_EQUAL(fmx_session_window_left(&session), 1);
    open_server(&session, FMX_MQTT_311);
    CU_ASSERT_EQUAL(fmx_session_window_left(&session), 8);
}

static void session_publishes_only_when_open(void)
{
    struct fmx_session session;
    struct fmx_packet publish = publish_of("a", 0);

    fmx_session_init(&session, FMX_SIDE_SERVER, &defaults);
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 9, 1), FMX_E_STATE);
    open_server(&session, FMX_MQTT_311);
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 9, 1), FMX_OK);
    publish.publish.qos = 2;
    CU_ASSERT_EQUAL(fmx_session_publish(&session, &publish.publish, 9, 1), FMX_E_ARGUMENT);
}

/* ---- the last word --------------------------------------------------------------------------- */

static void session_refuses_in_the_version_that_was_asked_for(void)
{
    static const struct {
        unsigned asked;
        uint8_t version;
        uint8_t reason;
    } rows[] = {{0, FMX_MQTT_31, 1}, {2, FMX_MQTT_31, 1}, {6, FMX_MQTT_50, 0x84}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fmx_session session;
        struct fmx_packet last;
        fmx_session_init(&session, FMX_SIDE_SERVER, &defaults);
        fmx_session_on_version(&session, rows[i].asked);
        CU_ASSERT_EQUAL(session.version, rows[i].version);
        CU_ASSERT(fmx_session_end(&session, FMX_PEER_VERSION, (fmx_slice){0}, &last));
        CU_ASSERT_EQUAL(last.kind, FMX_CONNACK);
        CU_ASSERT_EQUAL(last.connack.reason, rows[i].reason);
    }
}

static void session_refuses_with_a_reason_string_in_5(void)
{
    struct fmx_session session;
    struct fmx_packet last;

    fmx_session_init(&session, FMX_SIDE_SERVER, &defaults);
    CU_ASSERT(is_delivered(feed(&session, connect_of(FMX_MQTT_50))));
    CU_ASSERT(fmx_session_end(&session, FMX_PEER_CREDENTIALS, (fmx_slice){0}, &last));
    CU_ASSERT(last.kind == FMX_CONNACK && last.connack.reason == FMX_REASON_CREDENTIALS);
    CU_ASSERT(fmx_slice_equal(last.connack.props.reason_string,
                              fmx_slice_of(fmx_status_text(FMX_PEER_CREDENTIALS))));
    fmx_session_init(&session, FMX_SIDE_SERVER, &defaults);
    CU_ASSERT(is_delivered(feed(&session, connect_of(FMX_MQTT_311))));
    CU_ASSERT(fmx_session_end(&session, FMX_PEER_CREDENTIALS, (fmx_slice){0}, &last));
    CU_ASSERT(last.connack.reason == 4 && last.connack.props.present == 0);
}

static void session_says_no_more_than_the_peer_has_room_for(void)
{
    struct fmx_session session;
    struct fmx_packet connect = connect_of(FMX_MQTT_50);
    struct fmx_packet last;

    connect.connect.props.packet_bytes_max = 20;
    set_prop(&connect.connect.props, FMX_PROP_PACKET_BYTES_MAX);
    (void)admit(&session, connect, &defaults);
    CU_ASSERT(fmx_session_end(&session, FMX_PEER_KEEPALIVE, (fmx_slice){0}, &last));
    CU_ASSERT_EQUAL(last.disconnect.reason, FMX_REASON_KEEP_ALIVE_TIMEOUT);
    CU_ASSERT_EQUAL(last.disconnect.props.present, 0);
    connect.connect.props.packet_bytes_max = 3;
    (void)admit(&session, connect, &defaults);
    CU_ASSERT_FALSE(fmx_session_end(&session, FMX_PEER_KEEPALIVE, (fmx_slice){0}, &last));
}

static void session_disconnects_with_a_code_its_side_may_use(void)
{
    static const enum fmx_status statuses[] = {
#define STATUS(name, value, words) name,
        FMX_STATUS_LIST(STATUS)
#undef STATUS
    };

    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct fmx_session server;
        struct fmx_session client;
        struct fmx_packet last;
        open_server(&server, FMX_MQTT_50);
        open_client(&client, FMX_MQTT_50);
        if (fmx_session_end(&server, statuses[i], (fmx_slice){0}, &last)) {
            CU_ASSERT(
                fmx_reason_is_allowed(last.disconnect.reason, FMX_DISCONNECT, FMX_SIDE_SERVER));
            CU_ASSERT_NOT_EQUAL(last.disconnect.reason, FMX_REASON_SUCCESS);
        }
        if (fmx_session_end(&client, statuses[i], (fmx_slice){0}, &last)) {
            CU_ASSERT(
                fmx_reason_is_allowed(last.disconnect.reason, FMX_DISCONNECT, FMX_SIDE_CLIENT));
        }
    }
}

static void session_before_5_says_goodbye_only_as_a_client_and_as_planned(void)
{
    struct fmx_session session;
    struct fmx_packet last;

    open_server(&session, FMX_MQTT_311);
    CU_ASSERT_FALSE(fmx_session_end(&session, FMX_E_SHUTDOWN, (fmx_slice){0}, &last));
    open_client(&session, FMX_MQTT_311);
    CU_ASSERT(fmx_session_end(&session, FMX_E_DONE, (fmx_slice){0}, &last));
    CU_ASSERT_EQUAL(last.kind, FMX_DISCONNECT);
    open_client(&session, FMX_MQTT_311);
    CU_ASSERT_FALSE(fmx_session_end(&session, FMX_PEER_ALIAS, (fmx_slice){0}, &last));
    open_client(&session, FMX_MQTT_50);
    CU_ASSERT(fmx_session_end(&session, FMX_E_DONE, (fmx_slice){0}, &last));
    CU_ASSERT(last.disconnect.reason == 0 && last.disconnect.props.present == 0);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void server_closes_after_one_and_a_half_keepalives(void)
{
    struct fmx_session session;
    struct fmx_actions actions;

    open_server(&session, FMX_MQTT_311);
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(10), S(5), 0, &actions), S(95));
    CU_ASSERT_EQUAL(actions.todo, 0);
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(95) - 1, S(5), 0, &actions), S(95));
    CU_ASSERT_EQUAL(actions.todo, 0);
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(95), S(5), 0, &actions), UINT64_MAX);
    CU_ASSERT(is_closed(actions, FMX_PEER_KEEPALIVE));
}

static void client_pings_after_a_quiet_keepalive(void)
{
    struct fmx_session session;
    struct fmx_actions actions;

    open_client(&session, FMX_MQTT_311);
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(59), 0, 0, &actions), S(60));
    CU_ASSERT_EQUAL(actions.todo, 0);
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(60), 0, 0, &actions), S(90));
    CU_ASSERT(actions.todo == FMX_DO_REPLY && actions.reply == FMX_PINGREQ);
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(61), 0, S(60), &actions), S(90));
    CU_ASSERT_EQUAL(actions.todo, 0);
    CU_ASSERT_EQUAL(feed(&session, (struct fmx_packet){.kind = FMX_PINGRESP}).todo, 0);
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(62), S(62), S(60), &actions), S(120));
}

static void client_closes_when_no_answer_comes_although_it_goes_on_sending(void)
{
    struct fmx_session session;
    struct fmx_actions actions;

    open_client(&session, FMX_MQTT_50);
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(60), 0, 0, &actions), S(90));
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(89), 0, S(88), &actions), S(90));
    CU_ASSERT_EQUAL(actions.todo, 0);
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(90), 0, S(89), &actions), UINT64_MAX);
    CU_ASSERT(is_closed(actions, FMX_PEER_SILENT));
}

static void session_asks_for_no_time_without_keepalive_or_before_open(void)
{
    struct fmx_session session;
    struct fmx_actions actions;

    fmx_session_init(&session, FMX_SIDE_SERVER, &defaults);
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(1000000), 0, 0, &actions), UINT64_MAX);
    CU_ASSERT_EQUAL(actions.todo, 0);
    open_client(&session, FMX_MQTT_311);
    session.keepalive_s = 0;
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(1000000), 0, 0, &actions), UINT64_MAX);
    CU_ASSERT_EQUAL(actions.todo, 0);
}

static void client_that_is_mute_says_nothing_by_itself_and_is_not_ended_for_it(void)
{
    struct fmx_session session;
    struct fmx_actions actions;
    struct fmx_packet last;

    open_client(&session, FMX_MQTT_50);
    fmx_session_mute(&session);
    CU_ASSERT_EQUAL(fmx_session_on_time(&session, S(1000000), 0, 0, &actions), UINT64_MAX);
    CU_ASSERT_EQUAL(actions.todo, 0);
    CU_ASSERT_FALSE(fmx_session_end(&session, FMX_E_DONE, (fmx_slice){0}, &last));
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(client_announces_its_limits_in_5_only),
    FMX_TEST_CASE(client_wants_connack_first),
    FMX_TEST_CASE(client_takes_over_the_servers_terms),
    FMX_TEST_CASE(client_delivers_a_refusal_and_closes),
    FMX_TEST_CASE(client_refuses_a_session_that_cannot_be_present),
    FMX_TEST_CASE(client_hears_a_servers_disconnect_in_5_only),
    FMX_TEST_CASE(client_hears_of_answers_that_nobody_asked_for),
    FMX_TEST_CASE(session_gives_identifiers_back_with_their_tags),
    FMX_TEST_CASE(session_keeps_to_the_peers_window_and_packet_size),
    FMX_TEST_CASE(session_publishes_only_when_open),
    FMX_TEST_CASE(session_refuses_in_the_version_that_was_asked_for),
    FMX_TEST_CASE(session_refuses_with_a_reason_string_in_5),
    FMX_TEST_CASE(session_says_no_more_than_the_peer_has_room_for),
    FMX_TEST_CASE(session_disconnects_with_a_code_its_side_may_use),
    FMX_TEST_CASE(session_before_5_says_goodbye_only_as_a_client_and_as_planned),
    FMX_TEST_CASE(server_closes_after_one_and_a_half_keepalives),
    FMX_TEST_CASE(client_pings_after_a_quiet_keepalive),
    FMX_TEST_CASE(client_closes_when_no_answer_comes_although_it_goes_on_sending),
    FMX_TEST_CASE(session_asks_for_no_time_without_keepalive_or_before_open),
    FMX_TEST_CASE(client_that_is_mute_says_nothing_by_itself_and_is_not_ended_for_it),
};

int main(int argc, char **argv)
{
    return fmx_test_main("session_out", cases, sizeof cases / sizeof cases[0], argc, argv);
}
