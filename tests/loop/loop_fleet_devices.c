/*
 * loop_fleet_devices — a fleet of the platform's devices on real sockets: what they say in CONNECT,
 * calls and their answers, property posts, properties, registration
 *
 * Why it is so:   the gateway's side of the dialect has tests of its own; here a gateway of the
 *                 open kind writes down what comes, and a server played by hand registers devices
 * Words:          diary: what the gateway's callbacks saw, under a lock: they run on the shards
 */
#include "tests/loop/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEVICES     LOOP_SIZE(200u, 40u)
#define DEVICES_MAX 200u

/* ── the diary ── */

struct diary {
    pthread_mutex_t lock;
    char client_id[600];
    char username[128];
    char password[128];
    char topic[256]; /* of the last message */
    char response_topic[256];
    char user_properties[256];
    char payload[512];
    size_t correlation_bytes;
    unsigned messages;
    unsigned by_device[DEVICES_MAX + 1]; /* messages on topics of pk/device_N */
    unsigned strange;                    /* on other topics */
    uint64_t payload_bytes;              /* in all */
};

static void copy_text(char *out, size_t room, fmx_slice text)
{
    snprintf(out, room, "%.*s", (int)text.bytes, (const char *)text.data);
}

static enum fmx_status note_connect(void *user, const struct fmx_gateway_session *session,
                                    fmx_slice password)
{
    struct diary *diary = user;

    pthread_mutex_lock(&diary->lock);
    copy_text(diary->client_id, sizeof diary->client_id, session->client_id);
    copy_text(diary->username, sizeof diary->username, session->username);
    copy_text(diary->password, sizeof diary->password, password);
    pthread_mutex_unlock(&diary->lock);
    return FMX_OK;
}

static void note_properties(struct diary *diary, fmx_slice wire)
{
    size_t offset = 0;
    size_t used = 0;
    fmx_slice key;
    fmx_slice value;

    diary->user_properties[0] = '\0';
    while (fmx_user_property_next(wire, &offset, &key, &value) == FMX_OK) {
        used += (size_t)snprintf(
            diary->user_properties + used, sizeof diary->user_properties - used, "%.*s=%.*s;",
            (int)key.bytes, (const char *)key.data, (int)value.bytes, (const char *)value.data);
    }
}

static void note_message(void *user, const struct fmx_gateway_message *message)
{
    struct diary *diary = user;
    unsigned number = 0;

    pthread_mutex_lock(&diary->lock);
    diary->messages++;
    diary->payload_bytes += message->payload.bytes;
    diary->correlation_bytes = message->correlation_data.bytes;
    copy_text(diary->topic, sizeof diary->topic, message->topic);
    copy_text(diary->response_topic, sizeof diary->response_topic, message->response_topic);
    copy_text(diary->payload, sizeof diary->payload, message->payload);
    note_properties(diary, message->user_properties);
    const char *device = strstr(diary->topic, "/pk/device_");
    if (device != NULL && sscanf(device, "/pk/device_%u/", &number) == 1 && number <= DEVICES_MAX) {
        diary->by_device[number]++;
    } else {
        diary->strange++;
    }
    pthread_mutex_unlock(&diary->lock);
}

/* A copy, at one instant. */
static struct diary look(struct diary *diary)
{
    struct diary copy;

    pthread_mutex_lock(&diary->lock);
    memcpy(&copy, diary, sizeof copy);
    pthread_mutex_unlock(&diary->lock);
    return copy;
}

static unsigned messages_of(struct diary *diary)
{
    return look(diary).messages;
}

static struct diary *diary_open(void)
{
    static struct diary diary;

    memset(&diary, 0, sizeof diary);
    pthread_mutex_init(&diary.lock, NULL);
    return &diary;
}

static struct fmx_gateway *gateway_with(struct diary *diary)
{
    struct fmx_gateway_options options;

    loop_begin();
    loop_gateway_options(&options, 2);
    options.callbacks.on_connect = note_connect;
    options.callbacks.on_message = note_message;
    options.user = diary;
    return loop_gateway_start(&options);
}

static void device_plan(struct loop_plan *plan, uint32_t clients_count)
{
    loop_plan(plan, clients_count, NULL);
    plan->group.platform.product_key = "pk";
    plan->group.platform.secret = "secret";
}

/* ── CONNECT ── */

static void devices_say_who_they_are(void)
{
    static const enum fmx_version versions[] = {FMX_MQTT_311, FMX_MQTT_50};
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary);

    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct loop_plan plan;
        device_plan(&plan, 1);
        plan.group.version = versions[i];
        plan.group.platform.device_name = "device";
        plan.group.platform.auto_subscribe = true;
        plan.group.platform.ext = 1;
        plan.group.platform.more_options = "lan=C";
        struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
        LOOP_WAIT(loop_look(fleet).counters.clients_open == 1);
        struct diary seen = look(diary);
        CU_ASSERT_STRING_EQUAL(seen.client_id,
                               "pk.device|timestamp=2524608000000,_ss=1,_v=fleetmux,"
                               "signmethod=hmacsha256,ext=1,lan=C,securemode=3|");
        CU_ASSERT_STRING_EQUAL(seen.username, "device&pk");
        CU_ASSERT_STRING_EQUAL(seen.password,
                               "2EAB47D05EC94FAB1A34E7E9F54AEBD34A1E15770F932E05300193007E0091E9");
        loop_fleet_end(fleet);
    }
    loop_gateway_end(gateway);
}

static bool every_other(void *user, uint32_t number, struct fmx_fleet_device *out_device)
{
    (void)user;
    snprintf(out_device->product_key, sizeof out_device->product_key, "pk");
    snprintf(out_device->device_name, sizeof out_device->device_name, "device_%u", number);
    snprintf(out_device->secret, sizeof out_device->secret, "s");
    return number % 2 == 0;
}

static void a_client_that_is_no_device_fails(void)
{
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary);
    struct loop_plan plan;

    device_plan(&plan, 10);
    plan.group.platform.product_key = NULL;
    plan.group.platform.secret = NULL;
    plan.group.platform.device = every_other;
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_look(fleet).counters.clients_open == 5 &&
              loop_look(fleet).counters.clients_failed == 5);
    struct fmx_fleet_snapshot seen = loop_look(fleet);
    LOOP_EQUAL(seen.causes_count, 1);
    CU_ASSERT_EQUAL(seen.causes[0].status, FMX_E_ARGUMENT);
    loop_fleet_end(fleet);
    loop_gateway_end(gateway);
}

/* ── calls ── */

enum form { SYSTEM_FORM, CUSTOM_FORM };

static const char *const call_filters[] = {"/sys/%p/%d/rrpc/request/+",
                                           "/ext/rrpc/+/%p/%d/user/get"};

static struct fmx_fleet *callees(struct fmx_gateway *gateway, enum fmx_version version,
                                 const struct fmx_fleet_calls *calls, uint32_t count)
{
    struct loop_plan plan;

    device_plan(&plan, count);
    plan.group.version = version;
    plan.group.calls = *calls;
    plan.filters = call_filters;
    plan.filters_count = 2;
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == count);
    return fleet;
}

static void call(struct fmx_gateway_caller *caller, enum form form, unsigned number, unsigned id,
                 fmx_slice payload)
{
    char topic[128];

    snprintf(topic, sizeof topic,
             form == SYSTEM_FORM ? "/sys/pk/device_%u/rrpc/request/10000000000000%05u"
                                 : "/ext/rrpc/10000000000000%2$05u/pk/device_%1$u/user/get",
             number, id);
    while (loop_service_publish(caller, fmx_slice_of(topic), payload, 0) == FMX_FULL) {
        loop_pause_ms(1);
    }
}

/* Each device is called so many times; each call is answered, by the right one, with `answer`. */
static void call_all(enum fmx_version version, enum form form, const struct fmx_fleet_calls *calls,
                     const char *answer)
{
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary);
    struct fmx_fleet *fleet = callees(gateway, version, calls, DEVICES);
    struct fmx_gateway_caller *caller;
    unsigned rounds = 5;

    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
    for (unsigned i = 0; i < rounds * DEVICES; i++) {
        call(caller, form, i % DEVICES + 1, i, fmx_slice_of("request"));
    }
    LOOP_WAIT(messages_of(diary) == rounds * DEVICES);
    struct diary seen = look(diary);
    for (unsigned i = 1; i <= DEVICES; i++) {
        LOOP_EQUAL(seen.by_device[i], rounds);
    }
    LOOP_EQUAL(seen.payload_bytes, rounds * DEVICES * strlen(answer));
    CU_ASSERT_STRING_EQUAL(seen.payload, answer);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(seen.topic, form == SYSTEM_FORM ? "/rrpc/response/1000" : "/ext/rrpc/1000"));
    LOOP_EQUAL(loop_look(fleet).counters.calls_received, rounds * DEVICES);
    LOOP_EQUAL(loop_look(fleet).counters.calls_answered, rounds * DEVICES);
    LOOP_EQUAL(loop_look(fleet).counters.calls_over_bound, 0);
    LOOP_EQUAL(loop_look(fleet).counters.received, 0);
    fmx_gateway_caller_close(caller);
    loop_fleet_end(fleet);
    loop_gateway_end(gateway);
}

static void devices_echo_calls_in_both_forms(void)
{
    const struct fmx_fleet_calls echo = {.answer = FMX_FLEET_ANSWER_ECHO, .pending_max = 1};

    call_all(FMX_MQTT_311, SYSTEM_FORM, &echo, "request");
    call_all(FMX_MQTT_50, SYSTEM_FORM, &echo, "request");
    call_all(FMX_MQTT_50, CUSTOM_FORM, &echo, "request");
}

static void devices_answer_what_they_were_told_to(void)
{
    const struct fmx_fleet_calls fixed = {
        .answer = FMX_FLEET_ANSWER_FIXED, .payload = fmx_slice_of("done"), .pending_max = 1};

    call_all(FMX_MQTT_50, SYSTEM_FORM, &fixed, "done");
}

static void devices_answer_after_a_delay(void)
{
    const struct fmx_fleet_calls later = {
        .answer = FMX_FLEET_ANSWER_ECHO, .delay_ms = 50, .pending_max = 65536};

    call_all(FMX_MQTT_311, SYSTEM_FORM, &later, "request");
    call_all(FMX_MQTT_50, CUSTOM_FORM, &later, "request");
}

static void large_answers_wait_too(void)
{
    const struct fmx_fleet_calls later = {
        .answer = FMX_FLEET_ANSWER_ECHO, .delay_ms = 20, .pending_max = 65536};
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary);
    struct fmx_fleet *fleet = callees(gateway, FMX_MQTT_50, &later, 4);
    struct fmx_gateway_caller *caller;
    static uint8_t bytes[200000];
    uint64_t total = 0;

    memset(bytes, 'b', sizeof bytes);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
    for (unsigned i = 0; i < 60; i++) {
        size_t size = (size_t)i * 3331 % sizeof bytes;
        call(caller, SYSTEM_FORM, i % 4 + 1, i, (fmx_slice){.data = bytes, .bytes = size});
        total += size;
        LOOP_WAIT(messages_of(diary) + 12 > i); /* what is at QoS 0 has no queue without end */
    }
    LOOP_WAIT(look(diary).payload_bytes == total);
    LOOP_EQUAL(messages_of(diary), 60);
    LOOP_EQUAL(loop_look(fleet).counters.calls_answered, 60);
    fmx_gateway_caller_close(caller);
    loop_fleet_end(fleet);
    loop_gateway_end(gateway);
}

/* The queue was used, is empty, and has no room for what comes next. */
static void regress_1_a_large_answer_after_a_small_one_is_given_once(void)
{
    const struct fmx_fleet_calls later = {
        .answer = FMX_FLEET_ANSWER_ECHO, .delay_ms = 20, .pending_max = 65536};
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary);
    struct fmx_fleet *fleet = callees(gateway, FMX_MQTT_50, &later, 1);
    struct fmx_gateway_caller *caller;
    static uint8_t bytes[190000];

    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
    call(caller, SYSTEM_FORM, 1, 1, (fmx_slice){.data = bytes, .bytes = 60000});
    LOOP_WAIT(messages_of(diary) == 1);
    call(caller, SYSTEM_FORM, 1, 2, (fmx_slice){.data = bytes, .bytes = sizeof bytes});
    LOOP_WAIT(messages_of(diary) == 2);
    LOOP_EQUAL(look(diary).payload_bytes, 60000 + sizeof bytes);
    fmx_gateway_caller_close(caller);
    loop_fleet_end(fleet);
    LOOP_EQUAL(messages_of(diary), 2);
    loop_gateway_end(gateway);
}

static void answers_over_the_bound_are_counted_and_not_given(void)
{
    const struct fmx_fleet_calls later = {
        .answer = FMX_FLEET_ANSWER_ECHO, .delay_ms = 60000, .pending_max = 10};
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary);
    struct fmx_fleet *fleet = callees(gateway, FMX_MQTT_50, &later, 10);
    uint32_t bound = (10 + fmx_fleet_shards_count(fleet) - 1) / fmx_fleet_shards_count(fleet) *
                     fmx_fleet_shards_count(fleet);
    struct fmx_gateway_caller *caller;

    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
    for (unsigned i = 0; i < 200; i++) {
        call(caller, SYSTEM_FORM, i % 10 + 1, i, fmx_slice_of("x"));
    }
    LOOP_WAIT(loop_look(fleet).counters.calls_over_bound == 200 - bound);
    LOOP_WAIT(loop_look(fleet).counters.calls_received == 200);
    LOOP_EQUAL(loop_look(fleet).counters.calls_over_bound, 200 - bound);
    LOOP_EQUAL(loop_look(fleet).counters.calls_answered, 0);
    LOOP_EQUAL(messages_of(diary), 0);
    fmx_gateway_caller_close(caller);
    loop_fleet_end(fleet); /* with answers that still wait */
    loop_gateway_end(gateway);
}

static void calls_of_a_gone_connection_are_forgotten(void)
{
    const uint32_t delay_ms = LOOP_SIZE(1000, 3000); /* the gateway is gone by then */
    const struct fmx_fleet_calls later = {
        .answer = FMX_FLEET_ANSWER_ECHO, .delay_ms = delay_ms, .pending_max = 100};
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary);
    struct fmx_fleet *fleet = callees(gateway, FMX_MQTT_50, &later, 1);
    struct fmx_gateway_caller *caller;

    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
    call(caller, SYSTEM_FORM, 1, 1, fmx_slice_of("x"));
    LOOP_WAIT(loop_look(fleet).counters.calls_received == 1);
    fmx_gateway_caller_close(caller);
    loop_gateway_end(gateway);
    LOOP_WAIT(loop_look(fleet).counters.clients_lost == 1);
    loop_pause_ms(delay_ms + 100);
    LOOP_EQUAL(loop_look(fleet).counters.calls_answered, 0);
    loop_fleet_end(fleet);
}

static void devices_that_never_answer_count(void)
{
    const struct fmx_fleet_calls never = {.answer = FMX_FLEET_ANSWER_NEVER, .pending_max = 1};
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary);
    struct fmx_fleet *fleet = callees(gateway, FMX_MQTT_50, &never, 10);
    struct fmx_gateway_caller *caller;

    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
    for (unsigned i = 0; i < 50; i++) {
        call(caller, i % 2 == 0 ? SYSTEM_FORM : CUSTOM_FORM, i % 10 + 1, i, fmx_slice_of("x"));
    }
    LOOP_WAIT(loop_look(fleet).counters.calls_received == 50);
    LOOP_EQUAL(loop_look(fleet).counters.calls_answered, 0);
    LOOP_EQUAL(loop_look(fleet).counters.calls_over_bound, 0);
    LOOP_EQUAL(messages_of(diary), 0);
    fmx_gateway_caller_close(caller);
    loop_fleet_end(fleet);
    loop_gateway_end(gateway);
}

/* ── property posts ── */

static void post_and_reply(struct fmx_gateway *gateway, struct diary *diary)
{
    static const char *const filters[] = {"/sys/%p/%d/thing/event/property/post_reply"};
    struct fmx_gateway_caller *caller;
    struct loop_plan plan;

    device_plan(&plan, DEVICES);
    plan.publish.thing_model = true;
    plan.filters = filters;
    plan.filters_count = 1;
    plan.publish.qos = 1;
    plan.publish.interval_ns = 10 * LOOP_MS_NS;
    plan.publish.messages_max = 10 * DEVICES;
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_look(fleet).counters.publishes_acked == 10 * DEVICES);
    LOOP_EQUAL(look(diary).strange, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(look(diary).topic, "/thing/event/property/post"));
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
    for (unsigned i = 1; i <= DEVICES; i++) {
        char topic[128];
        snprintf(topic, sizeof topic, "/sys/pk/device_%u/thing/event/property/post_reply", i);
        CU_ASSERT_EQUAL(loop_service_publish(caller, fmx_slice_of(topic),
                                             fmx_slice_of("{\"id\":\"0\",\"code\":200}"), i % 2),
                        FMX_OK);
    }
    LOOP_WAIT(loop_look(fleet).counters.thing_replies == DEVICES);
    LOOP_EQUAL(loop_look(fleet).counters.received, 0);
    fmx_gateway_caller_close(caller);
    loop_fleet_end(fleet);
}

static void devices_post_properties_and_hear_replies(void)
{
    static const char *const filters[] = {"/sys/#"};
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary);
    struct loop_plan plan;

    loop_plan(&plan, 1, "watcher");
    plan.filters = filters;
    plan.filters_count = 1;
    plan.subscribe_qos = 1;
    struct fmx_fleet *watcher = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_look(watcher).counters.clients_subscribed == 1);
    post_and_reply(gateway, diary);
    LOOP_WAIT(loop_look(watcher).counters.received == 11 * DEVICES);
    LOOP_EQUAL(loop_look(watcher).counters.received_foreign, DEVICES); /* the replies */
    LOOP_EQUAL(loop_look(watcher).counters.received_gap, 0);
    LOOP_EQUAL(loop_look(watcher).counters.received_duplicate, 0);
    LOOP_EQUAL(loop_latency(watcher, FMX_FLEET_DELIVERY).count, 10 * DEVICES);
    loop_fleet_end(watcher);
    loop_gateway_end(gateway);
}

/* ── properties ── */

static void messages_carry_the_properties_asked_for(void)
{
    static const struct fmx_fleet_property user[] = {{"a", "1"}, {"b", ""}, {"a", "2"}};
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary);
    struct loop_plan plan;

    device_plan(&plan, 1);
    plan.publish.topic = "/%p/%d/user/update";
    plan.publish.qos = 1;
    plan.publish.messages_max = 1;
    plan.publish.interval_ns = LOOP_MS_NS;
    plan.publish.properties = (struct fmx_fleet_properties){.response_topic = "/%p/%d/user/get",
                                                            .correlation_bytes = 100,
                                                            .user = user,
                                                            .user_count = 3};
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(messages_of(diary) == 1);
    struct diary seen = look(diary);
    CU_ASSERT_STRING_EQUAL(seen.topic, "/pk/device_1/user/update");
    CU_ASSERT_STRING_EQUAL(seen.response_topic, "/pk/device_1/user/get");
    CU_ASSERT_STRING_EQUAL(seen.user_properties, "a=1;b=;a=2;");
    LOOP_EQUAL(seen.correlation_bytes, 100);
    loop_fleet_end(fleet);
    loop_gateway_end(gateway);
}

/* So many bytes come in for so many messages. */
static uint64_t bytes_of_run(bool use_aliases, unsigned messages)
{
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary);
    struct loop_plan plan;

    device_plan(&plan, 10);
    plan.publish.topic = "/%p/%d/user/a_topic_that_is_worth_an_alias";
    plan.publish.qos = 1;
    plan.publish.messages_max = messages;
    plan.publish.interval_ns = 0;
    plan.publish.properties.use_aliases = use_aliases;
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_look(fleet).counters.publishes_acked == messages);
    struct diary seen = look(diary);
    LOOP_EQUAL(seen.messages, messages);
    LOOP_EQUAL(seen.strange, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.topic, "/user/a_topic_that_is_worth_an_alias"));
    uint64_t bytes = loop_stats(gateway).bytes_in;
    loop_fleet_end(fleet);
    loop_gateway_end(gateway);
    return bytes;
}

static void aliases_stand_for_topics(void)
{
    uint64_t plain = bytes_of_run(false, 1000);
    uint64_t aliased = bytes_of_run(true, 1000);

    CU_ASSERT(aliased + 990 * 40 < plain); /* ten first ones, and 990 without 40 bytes at least */
}

/* ── registration, by a server played by hand ── */

struct server {
    int listener;
    int fd;
    struct loop_packet packet;
};

static void server_accept(struct server *server)
{
    server->fd = accept(server->listener, NULL, NULL);
    CU_ASSERT_FATAL(server->fd >= 0);
    CU_ASSERT_FATAL(loop_receive(server->fd, &server->packet));
    CU_ASSERT_EQUAL_FATAL(server->packet.head, 0x10);
}

static bool packet_has(const struct loop_packet *packet, const char *text)
{
    return memmem(packet->body, packet->bytes, text, strlen(text)) != NULL;
}

static void server_say(struct server *server, const char *topic, const char *text)
{
    static const uint8_t connack[] = {0x20, 2, 0, 0};
    uint8_t bytes[1024];

    CU_ASSERT_FATAL(loop_send(server->fd, connack, sizeof connack));
    if (topic != NULL) {
        size_t count = loop_write_publish(bytes, FMX_MQTT_311, topic, fmx_slice_of(text), 1, 7);
        CU_ASSERT_FATAL(loop_send(server->fd, bytes, count));
        CU_ASSERT_FATAL(loop_receive(server->fd, &server->packet));
        CU_ASSERT_EQUAL(server->packet.head, 0x40);
    }
}

/* The device says goodbye, and comes again. */
static void server_next(struct server *server)
{
    CU_ASSERT_FATAL(loop_receive(server->fd, &server->packet));
    CU_ASSERT_EQUAL(server->packet.head, 0xe0);
    close(server->fd);
    server_accept(server);
}

static struct fmx_fleet *registering(struct server *server, enum fmx_fleet_register registration)
{
    uint16_t port;
    struct loop_plan plan;

    loop_begin();
    server->listener = loop_listen_anywhere(&port);
    device_plan(&plan, 1);
    plan.group.version = FMX_MQTT_311;
    plan.group.connect_timeout_ms = 60000;
    plan.group.platform.device_name = "device";
    plan.group.platform.secret = NULL;
    plan.group.platform.registration = registration;
    plan.group.platform.product_secret = "prodsecret";
    struct fmx_fleet *fleet = loop_fleet(&plan, port);
    server_accept(server);
    return fleet;
}

static void server_end(struct server *server, struct fmx_fleet *fleet)
{
    LOOP_WAIT(loop_look(fleet).counters.connects_ok == 1);
    LOOP_WAIT(loop_look(fleet).counters.clients_open == 1);
    LOOP_EQUAL(loop_look(fleet).counters.registrations_ok, 1);
    LOOP_EQUAL(loop_look(fleet).causes_count, 0);
    close(server->listener);
    fmx_fleet_stop(fleet);
    close(server->fd);
    fmx_fleet_close(fleet);
}

static void a_known_device_learns_its_secret_and_comes_back(void)
{
    static struct server server;
    struct fmx_fleet *fleet = registering(&server, FMX_FLEET_REGISTER_KNOWN);

    CU_ASSERT(packet_has(&server.packet, "pk.device|authType=register,random="));
    CU_ASSERT(packet_has(&server.packet, ",signmethod=hmacsha256,securemode=-2|"));
    CU_ASSERT(packet_has(&server.packet, "device&pk"));
    LOOP_EQUAL(loop_look(fleet).counters.clients_connecting, 1);
    server_say(&server, "/ext/register",
               "{\"productKey\":\"pk\",\"deviceName\":\"device\",\"deviceSecret\" : \"secret\"}");
    server_next(&server);
    CU_ASSERT(packet_has(&server.packet, "pk.device|timestamp=2524608000000,"));
    CU_ASSERT(packet_has(&server.packet,
                         "2EAB47D05EC94FAB1A34E7E9F54AEBD34A1E15770F932E05300193007E0091E9"));
    server_say(&server, NULL, NULL);
    server_end(&server, fleet);
}

static void a_new_device_learns_a_token_and_comes_back(void)
{
    static struct server server;
    struct fmx_fleet *fleet = registering(&server, FMX_FLEET_REGISTER_NEW);

    CU_ASSERT(packet_has(&server.packet, "pk.device|authType=regnwl,random="));
    server_say(&server, "/ext/regnwl",
               "{\"productKey\":\"pk\",\"deviceName\":\"device\",\"clientId\":\"issued\","
               "\"deviceToken\":\"^1^1700000000000^0a1b\"}");
    server_next(&server);
    CU_ASSERT(packet_has(&server.packet, "issued|authType=connwl,_v=fleetmux,securemode=-2|"));
    CU_ASSERT(packet_has(&server.packet, "^1^1700000000000^0a1b"));
    server_say(&server, NULL, NULL);
    server_end(&server, fleet);
}

static void a_device_that_is_told_nothing_useful_fails(void)
{
    static const char *const answers[] = {"",
                                          "{}",
                                          "{\"deviceSecret\":\"\"}",
                                          "{\"deviceSecret\":\"a\\\"b\"}",
                                          "{\"deviceSecret\":7}",
                                          "{\"deviceSecret\"",
                                          "{\"deviceSecret\":\"a"};

    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        static struct server server;
        struct fmx_fleet *fleet = registering(&server, FMX_FLEET_REGISTER_KNOWN);
        server_say(&server, "/ext/register", answers[i]);
        LOOP_WAIT(loop_look(fleet).counters.clients_failed == 1);
        LOOP_EQUAL(loop_look(fleet).counters.registrations_ok, 0);
        CU_ASSERT_EQUAL(loop_look(fleet).causes[0].status, FMX_PEER_ORDER);
        close(server.listener);
        close(server.fd);
        loop_fleet_end(fleet);
    }
}

static void a_device_does_not_wait_for_an_answer_for_ever(void)
{
    struct diary *diary = diary_open();
    struct fmx_gateway *gateway = gateway_with(diary); /* says yes to all, and then nothing */
    struct loop_plan plan;

    device_plan(&plan, 3);
    plan.group.connect_timeout_ms = 300;
    plan.group.platform.registration = FMX_FLEET_REGISTER_NEW;
    plan.group.platform.product_secret = "prodsecret";
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_look(fleet).counters.clients_failed == 3);
    CU_ASSERT_EQUAL(loop_look(fleet).causes[0].status, FMX_PEER_SILENT);
    loop_fleet_end(fleet);
    loop_gateway_end(gateway);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(devices_say_who_they_are),
    FMX_TEST_CASE(a_client_that_is_no_device_fails),
    FMX_TEST_CASE(devices_echo_calls_in_both_forms),
    FMX_TEST_CASE(devices_answer_what_they_were_told_to),
    FMX_TEST_CASE(devices_answer_after_a_delay),
    FMX_TEST_CASE(large_answers_wait_too),
    FMX_TEST_CASE(regress_1_a_large_answer_after_a_small_one_is_given_once),
    FMX_TEST_CASE(answers_over_the_bound_are_counted_and_not_given),
    FMX_TEST_CASE(calls_of_a_gone_connection_are_forgotten),
    FMX_TEST_CASE(devices_that_never_answer_count),
    FMX_TEST_CASE(devices_post_properties_and_hear_replies),
    FMX_TEST_CASE(messages_carry_the_properties_asked_for),
    FMX_TEST_CASE(aliases_stand_for_topics),
    FMX_TEST_CASE(a_known_device_learns_its_secret_and_comes_back),
    FMX_TEST_CASE(a_new_device_learns_a_token_and_comes_back),
    FMX_TEST_CASE(a_device_that_is_told_nothing_useful_fails),
    FMX_TEST_CASE(a_device_does_not_wait_for_an_answer_for_ever),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_devices", cases, sizeof cases / sizeof cases[0], argc, argv);
}
