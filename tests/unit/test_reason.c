/*
 * test_reason — every status has words, and a code that its packet may carry
 */
#include "tests/support/run.h"

#include "proto/packet.h"
#include "proto/reason.h"

static const enum fmx_status all[] = {
#define VALUE(name, value, words) name,
    FMX_STATUS_LIST(VALUE)
#undef VALUE
};

#define ALL_COUNT (sizeof all / sizeof all[0])

static void status_has_a_name_and_words(void)
{
    for (size_t i = 0; i < ALL_COUNT; i++) {
        CU_ASSERT_EQUAL(strncmp(fmx_status_name(all[i]), "FMX_", 4), 0);
        CU_ASSERT(strlen(fmx_status_text(all[i])) > 1);
    }
    CU_ASSERT_STRING_EQUAL(fmx_status_name(FMX_PEER_UTF8), "FMX_PEER_UTF8");
    CU_ASSERT_STRING_EQUAL(fmx_status_name((enum fmx_status) - 999), "?");
    CU_ASSERT_STRING_EQUAL(fmx_status_text((enum fmx_status) - 999), "?");
}

static void status_class_is_its_hundred(void)
{
    CU_ASSERT_EQUAL(fmx_status_class(FMX_LATER), FMX_CLASS_OK);
    CU_ASSERT_EQUAL(fmx_status_class(FMX_E_STALE), FMX_CLASS_LOCAL);
    CU_ASSERT_EQUAL(fmx_status_class(FMX_PEER_UTF8), FMX_CLASS_PEER);
    CU_ASSERT_EQUAL(fmx_status_class(FMX_LIMIT_RATE), FMX_CLASS_LIMIT);
    CU_ASSERT_EQUAL(fmx_status_class(FMX_SYS_RECV), FMX_CLASS_SYSTEM);
    CU_ASSERT_EQUAL(fmx_status_class(FMX_TLS_ALERT), FMX_CLASS_TLS);
}

static void reason_is_always_one_the_packet_may_carry(void)
{
    for (size_t i = 0; i < ALL_COUNT; i++) {
        uint8_t connack = fmx_reason_for_connack(all[i], FMX_MQTT_50);
        uint8_t disconnect = fmx_reason_for_disconnect(all[i]);
        uint8_t suback = fmx_reason_for_suback(all[i], FMX_MQTT_50);
        uint8_t puback = fmx_reason_for_puback(all[i]);
        CU_ASSERT(fmx_reason_is_allowed(connack, FMX_CONNACK, FMX_SIDE_SERVER));
        CU_ASSERT(fmx_reason_is_allowed(disconnect, FMX_DISCONNECT, FMX_SIDE_SERVER));
        CU_ASSERT(fmx_reason_is_allowed(suback, FMX_SUBACK, FMX_SIDE_SERVER));
        CU_ASSERT(fmx_reason_is_allowed(puback, FMX_PUBACK, FMX_SIDE_SERVER));
        CU_ASSERT(fmx_reason_for_connack(all[i], FMX_MQTT_311) <= 5);
        CU_ASSERT_EQUAL(fmx_reason_for_connack(all[i], FMX_MQTT_311),
                        fmx_reason_for_connack(all[i], FMX_MQTT_31));
        CU_ASSERT_EQUAL(suback >= 0x80 && puback >= 0x80, all[i] != FMX_OK);
    }
}

static void reason_refuses_connect_as_the_platform_does(void)
{
    static const struct {
        enum fmx_status status;
        uint8_t in_5;
        uint8_t in_3;
    } rows[] = {
        {FMX_OK, 0x00, 0},
        {FMX_PEER_VERSION, 0x84, 1},
        {FMX_PEER_CLIENT_ID, 0x85, 2},
        {FMX_PEER_KEEPALIVE_RANGE, 0x82, 2},
        {FMX_LIMIT_BUSY, 0x89, 3},
        {FMX_LIMIT_SESSIONS, 0x89, 3},
        {FMX_LIMIT_CONNECT_RATE, 0x97, 3},
        {FMX_E_SHUTDOWN, 0x88, 3},
        {FMX_PEER_CREDENTIALS, 0x86, 4},
        {FMX_PEER_NOT_AUTHORIZED, 0x87, 5},
        {FMX_PEER_AUTH_METHOD, 0x8c, 5},
        {FMX_TLS_IDENTITY, 0x87, 5},
        {FMX_TLS_RECORD, 0, 0},
        {FMX_PEER_SHORT, 0x81, 0},
        {FMX_PEER_PROPERTY_TWICE, 0x82, 0},
        {FMX_PEER_KEEPALIVE, 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CU_ASSERT_EQUAL(fmx_reason_for_connack(rows[i].status, FMX_MQTT_50), rows[i].in_5);
        CU_ASSERT_EQUAL(fmx_reason_for_connack(rows[i].status, FMX_MQTT_311), rows[i].in_3);
    }
}

static void reason_ends_sessions_with_the_fitting_code(void)
{
    static const struct {
        enum fmx_status status;
        uint8_t reason;
    } rows[] = {
        {FMX_E_DONE, 0x00},
        {FMX_E_TAKEN_OVER, 0x8e},
        {FMX_E_SHUTDOWN, 0x8b},
        {FMX_E_KICKED, 0x98},
        {FMX_PEER_KEEPALIVE, 0x8d},
        {FMX_PEER_RECEIVE_MAX, 0x93},
        {FMX_PEER_ALIAS, 0x94},
        {FMX_LIMIT_PACKET, 0x95},
        {FMX_LIMIT_RATE, 0x96},
        {FMX_LIMIT_QUEUE, 0x97},
        {FMX_PEER_RETAIN, 0x9a},
        {FMX_PEER_QOS2, 0x9b},
        {FMX_PEER_SHARED, 0x9e},
        {FMX_PEER_UTF8, 0x81},
        {FMX_PEER_ORDER, 0x82},
        {FMX_PEER_TOPIC_NAME, 0x90},
        {FMX_PEER_TOPIC_FILTER, 0x8f},
        {FMX_SYS_SEND, 0x80},
        {FMX_PEER_SUBSCRIPTION_ID, 0xa1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CU_ASSERT_EQUAL(fmx_reason_for_disconnect(rows[i].status), rows[i].reason);
    }
}

static void reason_answers_one_filter_or_message(void)
{
    CU_ASSERT_EQUAL(fmx_reason_for_suback(FMX_OK, FMX_MQTT_311), 0);
    CU_ASSERT_EQUAL(fmx_reason_for_suback(FMX_PEER_NOT_AUTHORIZED, FMX_MQTT_311), 0x80);
    CU_ASSERT_EQUAL(fmx_reason_for_suback(FMX_PEER_NOT_AUTHORIZED, FMX_MQTT_50), 0x87);
    CU_ASSERT_EQUAL(fmx_reason_for_suback(FMX_LIMIT_SUBSCRIPTIONS, FMX_MQTT_50), 0x97);
    CU_ASSERT_EQUAL(fmx_reason_for_suback(FMX_PEER_SHARED, FMX_MQTT_50), 0x9e);
    CU_ASSERT_EQUAL(fmx_reason_for_puback(FMX_PEER_NOT_AUTHORIZED), 0x87);
    CU_ASSERT_EQUAL(fmx_reason_for_puback(FMX_LIMIT_RATE), 0x97);
    CU_ASSERT_EQUAL(fmx_reason_for_puback(FMX_PEER_PROPERTY_VALUE), 0x99);
    CU_ASSERT_EQUAL(fmx_reason_for_puback(FMX_LIMIT_TOPIC), 0x90);
}

/* The DISCONNECT table of the standard (3.14.2.1), by who may send the code. */
static void reason_knows_who_may_send_which_disconnect(void)
{
    static const uint8_t both[] = {0x00, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93,
                                   0x94, 0x95, 0x96, 0x97, 0x98, 0x99};
    static const uint8_t server[] = {0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x9a,
                                     0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2};

    for (unsigned code = 0; code < 256; code++) {
        bool in_both = memchr(both, (int)code, sizeof both) != NULL;
        bool in_server = memchr(server, (int)code, sizeof server) != NULL;
        CU_ASSERT_EQUAL(fmx_reason_is_allowed((uint8_t)code, FMX_DISCONNECT, FMX_SIDE_SERVER),
                        in_both || in_server);
        CU_ASSERT_EQUAL(fmx_reason_is_allowed((uint8_t)code, FMX_DISCONNECT, FMX_SIDE_CLIENT),
                        in_both || code == 0x04);
    }
}

static void reason_has_a_name_exactly_if_it_is_allowed_somewhere(void)
{
    for (unsigned code = 0; code < 256; code++) {
        bool is_used = false;
        for (unsigned kind = 0; kind < 16; kind++) {
            is_used |= fmx_reason_is_allowed((uint8_t)code, kind, FMX_SIDE_SERVER) ||
                       fmx_reason_is_allowed((uint8_t)code, kind, FMX_SIDE_CLIENT);
        }
        CU_ASSERT_EQUAL(is_used, strcmp(fmx_reason_name((uint8_t)code), "?") != 0);
    }
    CU_ASSERT_STRING_EQUAL(fmx_reason_name(0x90), "Topic Name invalid");
    CU_ASSERT_STRING_EQUAL(fmx_return_code_name(4), "bad user name or password");
    CU_ASSERT_STRING_EQUAL(fmx_return_code_name(6), "?");
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(status_has_a_name_and_words),
    FMX_TEST_CASE(status_class_is_its_hundred),
    FMX_TEST_CASE(reason_is_always_one_the_packet_may_carry),
    FMX_TEST_CASE(reason_refuses_connect_as_the_platform_does),
    FMX_TEST_CASE(reason_ends_sessions_with_the_fitting_code),
    FMX_TEST_CASE(reason_answers_one_filter_or_message),
    FMX_TEST_CASE(reason_knows_who_may_send_which_disconnect),
    FMX_TEST_CASE(reason_has_a_name_exactly_if_it_is_allowed_somewhere),
};

int main(int argc, char **argv)
{
    return fmx_test_main("reason", cases, sizeof cases / sizeof cases[0], argc, argv);
}
