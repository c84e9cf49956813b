/*
 * loop_platform — the platform's profile through the C API: devices that sign, a service that
 * publishes, calls and listens
 *
 * Words:          device: a plain peer with a signed CONNECT
 */
#include "tests/loop/platform.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define TEXT_ROOM 512

/* ── devices ── */

/* The CONNACK's code for a CONNECT that is spoilt somehow. */
static uint8_t refusal(struct world *world, const struct fmx_signed_connect *sc,
                       enum fmx_version version, uint16_t keepalive_s)
{
    static struct loop_packet answer;
    uint8_t bytes[1024];
    int fd = loop_dial(world->port, 0);
    const char *username = sc->username[0] != '\0' ? sc->username : NULL;
    size_t count = loop_write_connect(bytes, &(struct loop_connect){.client_id = sc->client_id,
                                                                    .username = username,
                                                                    .password = sc->password,
                                                                    .version = version,
                                                                    .clean = true,
                                                                    .keepalive_s = keepalive_s});

    CU_ASSERT_FATAL(loop_send(fd, bytes, count));
    CU_ASSERT_FATAL(loop_receive(fd, &answer));
    CU_ASSERT_EQUAL_FATAL(answer.head, 0x20);
    close(fd);
    return answer.body[1];
}

static bool topic_is(const struct loop_packet *packet, const char *topic)
{
    return packet->body[0] == 0 && packet->body[1] == strlen(topic) &&
           memcmp(packet->body + 2, topic, strlen(topic)) == 0;
}

/* ── results ── */

struct result {
    atomic_int count;
    atomic_int value;
    char text[TEXT_ROOM];
    uint64_t number;
};

static void delivered(void *user, enum fmx_delivery delivery)
{
    struct result *result = user;

    atomic_store(&result->value, (int)delivery);
    atomic_fetch_add(&result->count, 1);
}

static void answered(void *user, const struct fmx_gateway_answer *answer)
{
    struct result *result = user;

    snprintf(result->text, sizeof result->text, "%.*s", (int)answer->payload.bytes,
             (const char *)answer->payload.data);
    result->number = answer->message_id;
    atomic_store(&result->value, (int)answer->code);
    atomic_fetch_add(&result->count, 1);
}

static void queried(void *user, const struct fmx_gateway_state *state)
{
    struct result *result = user;

    result->number = state->stored_count;
    atomic_store(&result->value, (int)state->presence);
    atomic_fetch_add(&result->count, 1);
}

static int publish_to(struct world *world, const char *device_name, const char *topic,
                      const char *text, uint8_t qos)
{
    struct result result = {0};
    struct fmx_gateway_publication publication = {
        .topic = fmx_slice_of(topic), .payload = fmx_slice_of(text), .qos = qos};

    CU_ASSERT_EQUAL_FATAL(fmx_gateway_publish_to(world->caller, fmx_slice_of(PK),
                                                 fmx_slice_of(device_name), &publication, delivered,
                                                 &result),
                          FMX_OK);
    LOOP_WAIT(atomic_load(&result.count) > 0);
    return atomic_load(&result.value);
}

static int presence_of(struct world *world, const char *device_name)
{
    struct result result = {0};

    CU_ASSERT_EQUAL_FATAL(fmx_gateway_query(world->caller, fmx_slice_of(PK),
                                            fmx_slice_of(device_name), queried, &result),
                          FMX_OK);
    LOOP_WAIT(atomic_load(&result.count) > 0);
    return atomic_load(&result.value);
}

/* ── identity ── */

static void platform_admits_who_signs_and_says_why_not(void)
{
    struct world world;
    struct fmx_signed_connect sc;

    world_begin(&world, false);
    LOOP_EQUAL(presence_of(&world, "d1"), FMX_DEVICE_UNACTIVE);
    struct loop_peer device = world_join(&world, "d1", "_ss=1,ext=1", FMX_MQTT_311, true);
    LOOP_EQUAL(presence_of(&world, "d1"), FMX_DEVICE_ONLINE);
    close(device.fd);
    LOOP_WAIT(presence_of(&world, "d1") == FMX_DEVICE_OFFLINE);
    LOOP_EQUAL(presence_of(&world, "nobody"), FMX_DEVICE_UNKNOWN);

    world_sign("d1", NULL, &sc);
    sc.password[3] = sc.password[3] == 'A' ? 'B' : 'A';
    LOOP_EQUAL(refusal(&world, &sc, FMX_MQTT_311, 300), 4);
    LOOP_EQUAL(refusal(&world, &sc, FMX_MQTT_50, 300), 0x86);
    world_sign("nobody", NULL, &sc);
    LOOP_EQUAL(refusal(&world, &sc, FMX_MQTT_311, 300), 4);
    world_sign("d1", NULL, &sc);
    struct fmx_signed_connect nameless = sc;
    nameless.username[0] = '\0';
    LOOP_EQUAL(refusal(&world, &nameless, FMX_MQTT_311, 300), 4);
    LOOP_EQUAL(refusal(&world, &sc, FMX_MQTT_311, 29), 2);
    LOOP_EQUAL(refusal(&world, &sc, FMX_MQTT_50, 0), 0x82);
    memcpy(strstr(sc.client_id, "hmacsha256"), "hmacsha257", 10);
    LOOP_EQUAL(refusal(&world, &sc, FMX_MQTT_311, 300), 2);
    LOOP_EQUAL(refusal(&world, &sc, FMX_MQTT_50, 300), 0x85);
    LOOP_EQUAL(loop_stats(world.gateway).refused_credentials, 4);
    LOOP_EQUAL(loop_stats(world.gateway).refused_keepalive, 2);
    LOOP_EQUAL(loop_stats(world.gateway).refused_client_id, 2);
    LOOP_EQUAL(loop_stats(world.gateway).sessions_refused, 8);
    world_end(&world);
}

static void platform_follows_the_registry_at_once(void)
{
    struct world world;
    struct fmx_signed_connect sc;
    char error[FMX_REGISTRY_ERROR_BYTES];

    world_begin(&world, false);
    struct loop_peer device = world_join(&world, "d2", NULL, FMX_MQTT_311, true);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_device_set_status(
                              world.registry, PK, "d2", FMX_REGISTRY_DISABLED, error, sizeof error),
                          FMX_OK);
    CU_ASSERT(loop_drain_to_end(device.fd)); /* its session is ended */
    close(device.fd);
    world_sign("d2", NULL, &sc);
    LOOP_EQUAL(refusal(&world, &sc, FMX_MQTT_311, 300), 5);
    LOOP_EQUAL(refusal(&world, &sc, FMX_MQTT_50, 300), 0x87);
    LOOP_EQUAL(presence_of(&world, "d2"), FMX_DEVICE_DISABLED);
    world_add_device(&world, "d3");
    LOOP_WAIT(presence_of(&world, "d3") == FMX_DEVICE_UNACTIVE);
    device = world_join(&world, "d3", NULL, FMX_MQTT_50, true);
    close(device.fd);
    world_end(&world);
}

static void platform_throws_out_the_older_of_two(void)
{
    struct world world;

    world_begin(&world, false);
    struct loop_peer older = world_join(&world, "d1", NULL, FMX_MQTT_50, true);
    struct loop_peer newer = world_join(&world, "d1", NULL, FMX_MQTT_311, true);
    static struct loop_packet last;
    CU_ASSERT_FATAL(loop_receive(older.fd, &last));
    LOOP_EQUAL(last.head, 0xe0);
    LOOP_EQUAL(last.body[0], 0x8e);
    close(older.fd);
    close(newer.fd);
    world_end(&world);
}

/* ── messages to a device ── */

static void platform_tells_what_became_of_a_message(void)
{
    struct world world;
    static struct loop_packet got;
    uint16_t id;

    world_begin(&world, false);
    LOOP_EQUAL(publish_to(&world, "d1", "/" PK "/d1/user/get", "x", 1), FMX_DELIVERY_OFFLINE);
    struct loop_peer device = world_join(&world, "d1", "_ss=1", FMX_MQTT_50, true);
    LOOP_EQUAL(publish_to(&world, "d1", "/" PK "/d1/user/get", "x", 0),
               FMX_DELIVERY_NOT_SUBSCRIBED);
    LOOP_EQUAL(publish_to(&world, "d1", "/sys/" PK "/d1/thing/service/property/set", "auto", 0),
               FMX_DELIVERY_SENT);
    CU_ASSERT_FATAL(loop_receive(device.fd, &got));
    CU_ASSERT(topic_is(&got, "/sys/" PK "/d1/thing/service/property/set"));
    loop_subscribe(device, "/" PK "/d1/user/get", 0);
    LOOP_EQUAL(publish_to(&world, "d1", "/" PK "/d1/user/get", "x", 0), FMX_DELIVERY_SENT);
    CU_ASSERT_FATAL(loop_receive(device.fd, &got));
    CU_ASSERT(topic_is(&got, "/" PK "/d1/user/get"));

    struct result result = {0};
    struct fmx_gateway_publication publication = {
        .topic = fmx_slice_of("/" PK "/d1/user/get"), .payload = fmx_slice_of("y"), .qos = 1};
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_publish_to(world.caller, fmx_slice_of(PK), fmx_slice_of("d1"),
                                                 &publication, delivered, &result),
                          FMX_OK);
    CU_ASSERT_FATAL(loop_receive(device.fd, &got)); /* QoS 1 although it has subscribed at 0 */
    (void)loop_payload(device, &got, &id);
    CU_ASSERT(id != 0);
    LOOP_EQUAL(atomic_load(&result.count), 0);
    uint8_t puback[8];
    CU_ASSERT(loop_send(device.fd, puback, loop_write_puback(puback, id)));
    LOOP_WAIT(atomic_load(&result.count) == 1);
    LOOP_EQUAL(atomic_load(&result.value), FMX_DELIVERY_ACKNOWLEDGED);

    CU_ASSERT_EQUAL_FATAL(fmx_gateway_publish_to(world.caller, fmx_slice_of(PK), fmx_slice_of("d1"),
                                                 &publication, delivered, &result),
                          FMX_OK);
    CU_ASSERT_FATAL(loop_receive(device.fd, &got));
    close(device.fd); /* a clean session: nobody will acknowledge it */
    LOOP_WAIT(atomic_load(&result.count) == 2);
    LOOP_EQUAL(atomic_load(&result.value), FMX_DELIVERY_DROPPED);
    LOOP_EQUAL(fmx_gateway_publish_to(world.caller, fmx_slice_of(PK), fmx_slice_of("d2"),
                                      &publication, delivered, &result),
               FMX_E_TOPIC);
    world_end(&world);
}

static void platform_keeps_messages_over_a_restart(void)
{
    struct world world;
    static struct loop_packet got;
    char text[16];
    uint16_t id;

    world_begin(&world, true);
    struct loop_peer device = world_join(&world, "d1", NULL, FMX_MQTT_311, false);
    loop_subscribe(device, "/" PK "/d1/user/get", 1);
    close(device.fd);
    LOOP_WAIT(loop_stats(world.gateway).parked_now == 1);
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%d", i);
        LOOP_EQUAL(publish_to(&world, "d1", "/" PK "/d1/user/get", text, 1), FMX_DELIVERY_STORED);
    }
    for (int round = 0; round < 2; round++) {
        world_stop(&world);
        world_start(&world, NULL, NULL);
        LOOP_EQUAL(loop_stats(world.gateway).stored_now, 50);
        LOOP_EQUAL(loop_stats(world.gateway).parked_now, 1);
    }
    device = world_join(&world, "d1", NULL, FMX_MQTT_311, false);
    for (int i = 0; i < 50; i++) {
        CU_ASSERT_FATAL(loop_receive(device.fd, &got));
        fmx_slice payload = loop_payload(device, &got, &id);
        snprintf(text, sizeof text, "%d", i);
        CU_ASSERT(fmx_slice_equal(payload, fmx_slice_of(text)));
        uint8_t puback[8];
        if (i < 40) {
            CU_ASSERT(loop_send(device.fd, puback, loop_write_puback(puback, id)));
        }
    }
    LOOP_WAIT(loop_stats(world.gateway).pubacks_in == 40);
    close(device.fd);
    LOOP_WAIT(loop_stats(world.gateway).parked_now == 1);
    world_stop(&world);
    world_start(&world, NULL, NULL);
    LOOP_EQUAL(loop_stats(world.gateway).stored_now, 10);
    world_end(&world);
}

/* ── calls ── */

static void answer_call(struct loop_peer device, const struct loop_packet *request,
                        const char *text)
{
    char topic[256];
    size_t bytes = (size_t)request->body[0] * 256 + request->body[1];

    snprintf(topic, sizeof topic, "%.*s", (int)bytes, (const char *)request->body + 2);
    char *word = strstr(topic, "/rrpc/request/");
    if (word != NULL) { /* the custom form is answered on the same topic */
        char tail[64];
        snprintf(tail, sizeof tail, "%s", word + strlen("/rrpc/request/"));
        snprintf(word, sizeof topic - (size_t)(word - topic), "/rrpc/response/%s", tail);
    }
    loop_publish(device, topic, text, 0, 0);
}

static struct fmx_gateway_request request_to(const char *device_name, const char *topic)
{
    return (struct fmx_gateway_request){.product_key = fmx_slice_of(PK),
                                        .device_name = fmx_slice_of(device_name),
                                        .topic = fmx_slice_of(topic),
                                        .payload = fmx_slice_of("ping"),
                                        .timeout_ms = 60000};
}

static void platform_calls_a_device_and_gets_its_answer(void)
{
    struct world world;
    struct result result = {0};
    static struct loop_packet got;

    world_begin(&world, false);
    struct loop_peer device = world_join(&world, "d1", "_ss=1,ext=1", FMX_MQTT_311, true);
    struct fmx_gateway_request request = request_to("d1", "");
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_call(world.caller, &request, answered, &result), FMX_OK);
    CU_ASSERT_FATAL(loop_receive(device.fd, &got));
    answer_call(device, &got, "pong");
    LOOP_WAIT(atomic_load(&result.count) == 1);
    LOOP_EQUAL(atomic_load(&result.value), FMX_CALL_SUCCESS);
    CU_ASSERT_STRING_EQUAL(result.text, "pong");
    CU_ASSERT(result.number >= 1000000000000000000ull && result.number <= INT64_MAX);
    answer_call(device, &got, "again");
    LOOP_WAIT(loop_stats(world.gateway).call_answers_late == 1);

    loop_subscribe(device, "/" PK "/d1/user/get", 1);
    request = request_to("d1", "/" PK "/d1/user/get");
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_call(world.caller, &request, answered, &result), FMX_OK);
    CU_ASSERT_FATAL(loop_receive(device.fd, &got));
    CU_ASSERT(memcmp(got.body + 2, "/ext/rrpc/", 10) == 0);
    answer_call(device, &got, "custom");
    LOOP_WAIT(atomic_load(&result.count) == 2);
    LOOP_EQUAL(atomic_load(&result.value), FMX_CALL_SUCCESS);
    CU_ASSERT_STRING_EQUAL(result.text, "custom");

    request = request_to("d2", "");
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_call(world.caller, &request, answered, &result), FMX_OK);
    LOOP_WAIT(atomic_load(&result.count) == 3);
    LOOP_EQUAL(atomic_load(&result.value), FMX_CALL_OFFLINE);

    request = request_to("d1", "");
    request.timeout_ms = 1000;
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_call(world.caller, &request, answered, &result), FMX_OK);
    LOOP_WAIT(atomic_load(&result.count) == 4); /* nobody answers */
    LOOP_EQUAL(atomic_load(&result.value), FMX_CALL_TIMEOUT);
    CU_ASSERT_FATAL(loop_receive(device.fd, &got));
    request.timeout_ms = 60000;
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_call(world.caller, &request, answered, &result), FMX_OK);
    CU_ASSERT_FATAL(loop_receive(device.fd, &got)); /* gone only after the call has reached it */
    close(device.fd);
    LOOP_WAIT(atomic_load(&result.count) == 5);
    LOOP_EQUAL(atomic_load(&result.value), FMX_CALL_HALFCONN);
    LOOP_EQUAL(loop_stats(world.gateway).calls_now, 0);
    request.timeout_ms = 600001;
    LOOP_EQUAL(fmx_gateway_call(world.caller, &request, answered, &result), FMX_E_ARGUMENT);
    world_end(&world);
}

/* ── what a device says ── */

static void on_message(void *user, const struct fmx_gateway_message *message)
{
    struct result *result = user;

    snprintf(result->text, sizeof result->text, "%.*s %.*s %.*s %.*s",
             (int)message->product_key.bytes, (const char *)message->product_key.data,
             (int)message->device_name.bytes, (const char *)message->device_name.data,
             (int)message->topic.bytes, (const char *)message->topic.data,
             (int)message->payload.bytes, (const char *)message->payload.data);
    atomic_fetch_add(&result->count, 1);
}

static void on_batch(void *user, uint32_t shard_index)
{
    struct result *result = user;

    (void)shard_index;
    atomic_fetch_add(&result->value, 1);
}

static void platform_hears_devices_on_their_own_topics_only(void)
{
    struct world world = {0};
    struct result heard = {0};
    const struct fmx_gateway_callbacks callbacks = {.on_message = on_message, .on_batch = on_batch};
    static struct loop_packet got;

    loop_begin();
    world_make_registry(&world);
    world_start(&world, &callbacks, &heard);
    struct loop_peer device = world_join(&world, "d1", "ext=3", FMX_MQTT_50, true);
    loop_publish(device, "/" PK "/d1/user/update?_rid=12", "hello", 1, 5);
    CU_ASSERT_FATAL(loop_receive(device.fd, &got));
    LOOP_EQUAL(got.head, 0x40);
    LOOP_EQUAL(atomic_load(&heard.count), 1);
    CU_ASSERT_STRING_EQUAL(heard.text, PK " d1 /" PK "/d1/user/update hello");
    LOOP_WAIT(atomic_load(&heard.value) == 1);
    static const char *const refused[] = {"/" PK "/d2/user/update", "/" PK "/d1/user/get",
                                          "/" PK "/d1/user/other", "anything",
                                          "/sys/" PK "/d2/thing/event/property/post"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        loop_publish(device, refused[i], "x", 1, (uint16_t)(10 + i));
        do {
            CU_ASSERT_FATAL(loop_receive(device.fd, &got)); /* a notice may come too */
        } while (got.head != 0x40);
        CU_ASSERT(got.bytes > 3 && got.body[2] == 0x87);
    }
    LOOP_EQUAL(atomic_load(&heard.count), 1);
    LOOP_EQUAL(loop_stats(world.gateway).publishes_unauthorized, 5);
    LOOP_EQUAL(loop_stats(world.gateway).notices, 1);
    loop_publish(device, "/ext/ntp/" PK "/d1/request", "{\"deviceSendTime\":\"17\"}", 0, 0);
    CU_ASSERT_FATAL(loop_receive(device.fd, &got));
    CU_ASSERT(topic_is(&got, "/ext/ntp/" PK "/d1/response"));
    fmx_slice answer = loop_payload(device, &got, &(uint16_t){0});
    CU_ASSERT(memmem(answer.data, answer.bytes, "\"deviceSendTime\":\"17\"", 21) != NULL);
    close(device.fd);
    world_end(&world);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(platform_admits_who_signs_and_says_why_not),
    FMX_TEST_CASE(platform_follows_the_registry_at_once),
    FMX_TEST_CASE(platform_throws_out_the_older_of_two),
    FMX_TEST_CASE(platform_tells_what_became_of_a_message),
    FMX_TEST_CASE(platform_keeps_messages_over_a_restart),
    FMX_TEST_CASE(platform_calls_a_device_and_gets_its_answer),
    FMX_TEST_CASE(platform_hears_devices_on_their_own_topics_only),
};

int main(int argc, char **argv)
{
    return fmx_test_main("platform", cases, sizeof cases / sizeof cases[0], argc, argv);
}
