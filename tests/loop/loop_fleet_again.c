/*
 * loop_fleet_again — what was not acknowledged goes out again to a session that was kept, as a
 * server sees it
 */
#include "tests/loop/support.h"
#include "tests/support/bytes.h"

#include <sys/socket.h>
#include <unistd.h>

#define KEPT_311 "20 02 0100"
#define KEPT_5   "20 03 0100 00"
#define NEW_31   "20 02 0000" /* 3.1 has no Session Present */

#define MESSAGE   0x32
#define AGAIN     0x3a
#define PUBACK    0x40
#define SUBSCRIBE 0x82

/* One client, whose server is the test. */
struct server {
    int listener;
    int fd;
    struct fmx_fleet *fleet;
    struct loop_plan plan;
    struct loop_packet packet;
};

struct message {
    uint16_t packet_id;
    uint8_t topic_bytes;
    size_t bytes;
    uint8_t body[512];
};

static struct server server;
static const fmx_template filter[] = {"to/one"};

static void begin(enum fmx_version version, unsigned messages)
{
    loop_begin();
    loop_plan(&server.plan, 1, "one");
    server.plan.group.version = version;
    server.plan.group.clean = false;
    server.plan.group.session_expiry_s = version == FMX_MQTT_50 ? 60 : 0;
    server.plan.group.reconnect_min_ms = 1;
    server.plan.filters = filter;
    server.plan.filters_count = 1;
    server.plan.publish.topic = "from/one";
    server.plan.publish.qos = 1;
    server.plan.publish.interval_ns = LOOP_MS_NS;
    server.plan.publish.messages_max = messages;
}

static void start(void)
{
    uint16_t port;

    server.listener = loop_listen_anywhere(&port);
    server.fleet = loop_fleet(&server.plan, port);
}

static struct fmx_fleet_counters seen(void)
{
    return loop_look(server.fleet).counters;
}

static void say(const char *notation)
{
    uint8_t bytes[256];
    size_t count = fmx_bytes_of(notation, bytes, sizeof bytes);

    CU_ASSERT(loop_send(server.fd, bytes, count));
}

static void let_in(const char *connack)
{
    server.fd = accept(server.listener, NULL, NULL);
    CU_ASSERT_FATAL(server.fd >= 0 && loop_receive(server.fd, &server.packet));
    CU_ASSERT_EQUAL_FATAL(server.packet.head, 0x10);
    say(connack);
}

/* The next packet is one of this kind. */
static const struct loop_packet *hear(unsigned head)
{
    CU_ASSERT_FATAL(loop_receive(server.fd, &server.packet));
    LOOP_EQUAL(server.packet.head, head);
    return &server.packet;
}

static struct message hear_message(unsigned head)
{
    const struct loop_packet *packet = hear(head);
    struct message message = {.topic_bytes = packet->body[1], .bytes = packet->bytes};

    CU_ASSERT_FATAL(packet->bytes <= sizeof message.body);
    memcpy(message.body, packet->body, packet->bytes);
    const uint8_t *id = message.body + 2 + message.topic_bytes;
    message.packet_id = (uint16_t)(id[0] << 8 | id[1]);
    return message;
}

static void hear_again(const struct message *before)
{
    struct message message = hear_message(AGAIN);

    LOOP_EQUAL(message.packet_id, before->packet_id);
    LOOP_EQUAL(message.bytes, before->bytes);
    CU_ASSERT(memcmp(message.body, before->body, before->bytes) == 0);
}

/* Several in one go, from the first to the one before the end. */
static void acknowledge_all(uint16_t first, uint16_t end)
{
    uint8_t pubacks[16][4];
    size_t count = 0;

    for (uint16_t id = first; id != end; id++) {
        const uint8_t puback[4] = {PUBACK, 2, (uint8_t)(id >> 8), (uint8_t)id};
        CU_ASSERT_FATAL(count < sizeof pubacks / sizeof pubacks[0]);
        memcpy(pubacks[count++], puback, sizeof puback);
    }
    CU_ASSERT(loop_send(server.fd, pubacks, count * sizeof pubacks[0]));
}

static void acknowledge(uint16_t packet_id)
{
    acknowledge_all(packet_id, packet_id + 1);
}

/* Returns the identifier. */
static uint16_t hear_subscribe(void)
{
    const struct loop_packet *packet = hear(SUBSCRIBE);
    uint8_t high = packet->body[0];
    uint8_t low = packet->body[1];
    const uint8_t old[] = {0x90, 3, high, low, 0};
    const uint8_t in_5[] = {0x90, 4, high, low, 0, 0};
    bool is_5 = server.plan.group.version == FMX_MQTT_50;

    CU_ASSERT(is_5 ? loop_send(server.fd, in_5, sizeof in_5)
                   : loop_send(server.fd, old, sizeof old));
    return (uint16_t)(high << 8 | low);
}

/* All that is to be said was said. */
static void end(unsigned sent, unsigned acked, unsigned resent)
{
    LOOP_WAIT(loop_look(server.fleet).finished);
    close(server.listener);
    close(server.fd); /* or its goodbye would be waited for */
    fmx_fleet_stop(server.fleet);
    LOOP_EQUAL(seen().publishes_sent, sent);
    LOOP_EQUAL(seen().publishes_acked, acked);
    LOOP_EQUAL(seen().publishes_unacked, sent - acked);
    LOOP_EQUAL(seen().publishes_outstanding, 0);
    LOOP_EQUAL(seen().publishes_sent_again, resent);
    fmx_fleet_close(server.fleet);
}

/* Three messages, of which the second is acknowledged when the connection ends. */
static void lose_two(struct message messages[3], const char *connack)
{
    start();
    let_in(connack);
    LOOP_EQUAL(hear_subscribe(), 1);
    for (unsigned i = 0; i < 3; i++) {
        messages[i] = hear_message(MESSAGE);
        LOOP_EQUAL(messages[i].packet_id, i + 2);
    }
    acknowledge(messages[1].packet_id);
    LOOP_WAIT(seen().publishes_acked == 1);
    close(server.fd);
}

static void send_again(enum fmx_version version, const char *fresh, const char *kept)
{
    struct message messages[3];

    begin(version, 3);
    lose_two(messages, fresh);
    let_in(kept);
    hear_again(&messages[0]);
    hear_again(&messages[2]);
    LOOP_EQUAL(hear_subscribe(), 5);
    LOOP_EQUAL(seen().publishes_outstanding, 2);
    acknowledge(messages[2].packet_id);
    acknowledge(messages[0].packet_id);
    end(3, 3, 2);
}

static void what_is_unacked_goes_out_again(void)
{
    send_again(FMX_MQTT_31, NEW_31, NEW_31);
    send_again(FMX_MQTT_311, "20 02 0000", KEPT_311);
    send_again(FMX_MQTT_50, "20 03 0000 00", KEPT_5);
}

/* Until it is acknowledged, on as many connections as that takes. */
static void and_again(void)
{
    struct message messages[3];

    begin(FMX_MQTT_50, 3);
    lose_two(messages, "20 03 0000 00");
    for (unsigned i = 0; i < 3; i++) {
        let_in(KEPT_5);
        hear_again(&messages[0]);
        hear_again(&messages[2]);
        close(server.fd);
    }
    let_in(KEPT_5);
    hear_again(&messages[0]);
    acknowledge(messages[0].packet_id);
    hear_again(&messages[2]);
    acknowledge(messages[2].packet_id);
    end(3, 3, 8);
}

/* Nothing of it is sent: SUBSCRIBE comes first, as the first of its connection. */
static void give_up(enum fmx_version version, const char *fresh, const char *later)
{
    struct message messages[3];

    begin(version, 3);
    lose_two(messages, fresh);
    let_in(later);
    LOOP_EQUAL(hear_subscribe(), 1);
    end(3, 1, 0);
}

static void a_session_that_is_gone_has_lost_them(void)
{
    give_up(FMX_MQTT_311, "20 02 0000", "20 02 0000");
    give_up(FMX_MQTT_50, "20 03 0000 00", "20 03 0000 00");
}

static void what_the_server_takes_no_more_is_not_sent(void)
{
    give_up(FMX_MQTT_50, "20 03 0000 00", "20 05 0100 02 2400");        /* Maximum QoS */
    give_up(FMX_MQTT_50, "20 03 0000 00", "20 08 0100 05 27 00000010"); /* Maximum Packet Size */
}

static void clean_sessions_forget(void)
{
    struct message messages[3];

    begin(FMX_MQTT_311, 3);
    server.plan.group.clean = true;
    lose_two(messages, "20 02 0000");
    LOOP_WAIT(seen().publishes_unacked == 2);
    let_in("20 02 0000");
    LOOP_EQUAL(hear_subscribe(), 1);
    end(3, 1, 0);
}

static void receive_maximum_holds_for_them_too(void)
{
    struct message messages[3];

    begin(FMX_MQTT_50, 3);
    lose_two(messages, "20 03 0000 00");
    let_in("20 06 0100 03 21 0001");
    hear_again(&messages[0]);
    LOOP_EQUAL(hear_subscribe(), 5);
    say("32 0c 0006 'to/one' 0009 00 'x'"); /* what it says next is about that */
    (void)hear(PUBACK);
    acknowledge(messages[0].packet_id);
    hear_again(&messages[2]);
    acknowledge(messages[2].packet_id);
    end(3, 3, 2);
}

static void aliases_are_not_those_of_before(void)
{
    struct message messages[3];

    begin(FMX_MQTT_50, 3);
    server.plan.publish.properties.use_aliases = true;
    lose_two(messages, "20 06 0000 03 22 000a");
    LOOP_EQUAL(messages[2].topic_bytes, 0);
    let_in(KEPT_5);
    (void)hear_message(AGAIN);
    struct message last = hear_message(AGAIN);
    LOOP_EQUAL(last.packet_id, messages[2].packet_id);
    LOOP_EQUAL(last.topic_bytes, strlen("from/one"));
    CU_ASSERT(memcmp(last.body + 2, "from/one", strlen("from/one")) == 0);
    LOOP_EQUAL(last.body[2 + last.topic_bytes + 2], 0); /* no properties; the rest is the payload */
    CU_ASSERT(memcmp(last.body + last.bytes - 16, messages[2].body + messages[2].bytes - 16, 16) ==
              0);
    LOOP_EQUAL(hear_subscribe(), 5);
    acknowledge(messages[0].packet_id);
    acknowledge(messages[2].packet_id);
    end(3, 3, 2);
}

/* The newest one is acknowledged: what comes new has its identifier again. Answers are kept too. */
static void fresh_identifiers_follow(void)
{
    begin(FMX_MQTT_50, 2);
    server.plan.group.calls.answer = FMX_FLEET_ANSWER_ECHO;
    start();
    let_in("20 03 0000 00");
    LOOP_EQUAL(hear_subscribe(), 1);
    struct message first = hear_message(MESSAGE);
    acknowledge(hear_message(MESSAGE).packet_id);
    LOOP_WAIT(seen().publishes_acked == 1);
    close(server.fd);

    let_in(KEPT_5);
    hear_again(&first);
    LOOP_EQUAL(hear_subscribe(), 3);
    say("32 0f 0006 'to/one' 0009 04 08 0001 'r'"); /* a request, answered on "r" */
    CU_ASSERT_FATAL(loop_receive(server.fd, &server.packet));
    if (server.packet.head == PUBACK) { /* the request's own */
        CU_ASSERT_FATAL(loop_receive(server.fd, &server.packet));
    }
    LOOP_EQUAL(server.packet.head, MESSAGE);
    LOOP_EQUAL(server.packet.body[2], 'r');
    struct message answer = {.packet_id = 4, .topic_bytes = 1, .bytes = server.packet.bytes};
    memcpy(answer.body, server.packet.body, server.packet.bytes);
    close(server.fd);

    let_in(KEPT_5);
    hear_again(&first);
    hear_again(&answer);
    LOOP_EQUAL(hear_subscribe(), 5);
    acknowledge(answer.packet_id);
    acknowledge(first.packet_id);
    LOOP_WAIT(seen().publishes_acked == 2);
    LOOP_EQUAL(seen().calls_answered, 1);
    end(2, 2, 2);
}

/* One message at a time, and an answer: what is due goes on when that is acknowledged. */
static void answers_make_room_too(void)
{
    begin(FMX_MQTT_50, 2);
    server.plan.group.window = 1;
    server.plan.group.calls.answer = FMX_FLEET_ANSWER_ECHO;
    start();
    let_in("20 03 0000 00");
    LOOP_EQUAL(hear_subscribe(), 1);
    struct message first = hear_message(MESSAGE);
    say("32 0f 0006 'to/one' 0009 04 08 0001 'r'");
    uint16_t answer = hear_message(MESSAGE).packet_id; /* and behind it */
    (void)hear(PUBACK);
    LOOP_WAIT(seen().publishes_overdue == 1);
    close(server.fd);

    let_in("20 06 0100 03 21 0001");
    hear_again(&first);
    LOOP_EQUAL(hear_subscribe(), 4);
    acknowledge(first.packet_id);
    LOOP_EQUAL(hear_message(AGAIN).packet_id, answer);
    acknowledge(answer);
    acknowledge(hear_message(MESSAGE).packet_id);
    end(2, 2, 1);
}

/* A server asks and asks, and acknowledges nothing. */
static void answers_are_kept_within_a_bound(void)
{
    enum { BYTES = 200000 };
    static uint8_t request[BYTES + 19]; /* its payload is nothing but zeros */
    uint64_t most = (64u << 20) / BYTES;

    LOOP_EQUAL(fmx_bytes_of("32 cf9a0c 0006 'to/one' 0009 04 08 0001 'r'", request, 19), 19);
    begin(FMX_MQTT_50, 1);
    server.plan.group.calls.answer = FMX_FLEET_ANSWER_ECHO;
    start();
    let_in("20 03 0000 00");
    LOOP_EQUAL(hear_subscribe(), 1);
    acknowledge(hear_message(MESSAGE).packet_id);
    for (unsigned i = 0; i <= most + 1; i++) {
        CU_ASSERT_FATAL(loop_send(server.fd, request, sizeof request));
        do { /* the answer, if there is one, comes before it */
            CU_ASSERT_FATAL(loop_receive(server.fd, &server.packet));
        } while (server.packet.head != PUBACK);
    }
    LOOP_EQUAL(seen().calls_received, most + 2);
    LOOP_EQUAL(seen().calls_answered + seen().calls_over_bound, most + 2);
    CU_ASSERT(seen().calls_over_bound > 0 && seen().calls_answered > most - 2);
    end(1, 1, 0);
}

/* All but the first is acknowledged for so long that hardly an identifier is left behind it. */
static void subscribe_finds_an_identifier(void)
{
    unsigned last_id = 2 + 32768 - 256;
    unsigned count = last_id - 1;
    struct message last;

    begin(FMX_MQTT_311, count + 1);
    server.plan.publish.interval_ns = 0;
    start();
    let_in("20 02 0000");
    LOOP_EQUAL(hear_subscribe(), 1);
    struct message first = hear_message(MESSAGE);
    for (uint16_t id = 3; id <= last_id; id++) {
        last = hear_message(MESSAGE);
        if (id % 16 == 2) {
            acknowledge_all(id == 18 ? 3 : id - 15, id == last_id ? id : id + 1);
        }
    }
    LOOP_WAIT(seen().publishes_acked == count - 2);
    close(server.fd);

    let_in(KEPT_311);
    hear_again(&first);
    hear_again(&last);
    LOOP_EQUAL(hear_subscribe(), last_id + 1);
    acknowledge(first.packet_id);
    acknowledge(last.packet_id);
    acknowledge(hear_message(MESSAGE).packet_id);
    end(count + 1, count + 1, 2);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(what_is_unacked_goes_out_again),
    FMX_TEST_CASE(and_again),
    FMX_TEST_CASE(a_session_that_is_gone_has_lost_them),
    FMX_TEST_CASE(what_the_server_takes_no_more_is_not_sent),
    FMX_TEST_CASE(clean_sessions_forget),
    FMX_TEST_CASE(receive_maximum_holds_for_them_too),
    FMX_TEST_CASE(aliases_are_not_those_of_before),
    FMX_TEST_CASE(fresh_identifiers_follow),
    FMX_TEST_CASE(answers_make_room_too),
    FMX_TEST_CASE(answers_are_kept_within_a_bound),
    FMX_TEST_CASE(subscribe_finds_an_identifier),
};

int main(int argc, char **argv)
{
    return fmx_test_main("loop_fleet_again", cases, sizeof cases / sizeof cases[0], argc, argv);
}
