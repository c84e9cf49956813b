/*
 * loop_api — the calls and callbacks of include/fleetmux, as a program that embeds the library uses
 * them
 *
 * Words:          diary: what the callbacks saw, under a lock: they run on the shards
 */
#include "tests/loop/support.h"
#include "tests/support/bytes.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IDS_MAX    64u
#define CAUSES_MAX 64u

/* ── the diary ── */

struct diary {
    pthread_mutex_t lock;
    unsigned connects;
    unsigned opens;
    unsigned closes;
    unsigned messages;
    bool is_wrong; /* something in a callback was not as it should be */
    struct fmx_session_id ids[IDS_MAX];
    enum fmx_status causes[CAUSES_MAX];
    struct fmx_session_id closed_ids[CAUSES_MAX];
    bool session_present;
    char topic[64];
    char payload[64];
    char response_topic[64];
    char correlation[64];
    char properties[128]; /* "key=value;" in their order */
    uint8_t qos;
    bool retain;
    struct fmx_session_id from;
};

static void copy_text(char *out, size_t room, fmx_slice text)
{
    size_t bytes = text.bytes < room - 1 ? text.bytes : room - 1;

    if (bytes > 0) {
        memcpy(out, text.data, bytes);
    }
    out[bytes] = '\0';
}

static bool begins_with(fmx_slice text, const char *prefix)
{
    return text.bytes >= strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

static enum fmx_status note_connect(void *user, const struct fmx_gateway_session *session,
                                    fmx_slice password)
{
    struct diary *diary = user;

    pthread_mutex_lock(&diary->lock);
    diary->connects++;
    if (begins_with(session->username, "user_") && !begins_with(password, "pass_")) {
        diary->is_wrong = true;
    }
    pthread_mutex_unlock(&diary->lock);
    return begins_with(session->client_id, "cred")   ? FMX_PEER_CREDENTIALS
           : begins_with(session->client_id, "auth") ? FMX_PEER_NOT_AUTHORIZED
           : begins_with(session->client_id, "id")   ? FMX_PEER_CLIENT_ID
           : begins_with(session->client_id, "busy") ? FMX_LIMIT_BUSY
                                                     : FMX_OK;
}

static void note_open(void *user, const struct fmx_gateway_session *session)
{
    struct diary *diary = user;

    pthread_mutex_lock(&diary->lock);
    if (diary->opens < IDS_MAX) {
        diary->ids[diary->opens] = session->id;
    }
    diary->opens++;
    diary->session_present = session->session_present;
    if (fmx_session_id_equal(session->id, FMX_SESSION_NONE)) {
        diary->is_wrong = true;
    }
    pthread_mutex_unlock(&diary->lock);
}

static void note_properties(struct diary *diary, fmx_slice wire)
{
    size_t offset = 0;
    size_t used = 0;
    fmx_slice key;
    fmx_slice value;

    diary->properties[0] = '\0';
    while (fmx_user_property_next(wire, &offset, &key, &value) == FMX_OK) {
        used += (size_t)snprintf(diary->properties + used, sizeof diary->properties - used,
                                 "%.*s=%.*s;", (int)key.bytes, (const char *)key.data,
                                 (int)value.bytes, (const char *)value.data);
    }
}

static void note_message(void *user, const struct fmx_gateway_message *message)
{
    struct diary *diary = user;

    pthread_mutex_lock(&diary->lock);
    diary->messages++;
    diary->from = message->from;
    diary->qos = message->qos;
    diary->retain = message->retain;
    copy_text(diary->topic, sizeof diary->topic, message->topic);
    copy_text(diary->payload, sizeof diary->payload, message->payload);
    copy_text(diary->response_topic, sizeof diary->response_topic, message->response_topic);
    copy_text(diary->correlation, sizeof diary->correlation, message->correlation_data);
    note_properties(diary, message->user_properties);
    pthread_mutex_unlock(&diary->lock);
}

static void note_close(void *user, const struct fmx_gateway_end *end)
{
    struct diary *diary = user;

    pthread_mutex_lock(&diary->lock);
    if (diary->closes < CAUSES_MAX) {
        diary->causes[diary->closes] = end->cause;
        diary->closed_ids[diary->closes] = end->id;
    }
    diary->closes++;
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

static struct fmx_gateway *gateway_with_diary(struct diary *diary, uint32_t shards_count)
{
    struct fmx_gateway_options options;

    memset(diary, 0, sizeof *diary);
    pthread_mutex_init(&diary->lock, NULL);
    loop_gateway_options(&options, shards_count);
    options.callbacks = (struct fmx_gateway_callbacks){.on_connect = note_connect,
                                                       .on_open = note_open,
                                                       .on_message = note_message,
                                                       .on_close = note_close};
    options.user = diary;
    options.retain_is_refused = false; /* so that the callback sees the flag */
    return loop_gateway_start(&options);
}

static struct loop_peer join(uint16_t port, const char *client_id, enum fmx_version version)
{
    return loop_connect(
        port, &(struct loop_connect){.client_id = client_id, .version = version, .clean = true});
}

/* ── on_connect ── */

struct verdict {
    const char *client_id;
    uint8_t reason_3; /* 3.1 and 3.1.1 */
    uint8_t reason_5;
};

static void expect_refusal(uint16_t port, enum fmx_version version, const struct verdict *verdict)
{
    struct loop_plan plan;

    loop_plan(&plan, 10, verdict->client_id);
    plan.group.version = version;
    struct fmx_fleet *fleet = loop_fleet(&plan, port);
    LOOP_WAIT(loop_look(fleet).counters.clients_failed == 10);
    struct fmx_fleet_snapshot end = loop_look(fleet);
    for (size_t i = 1; i < end.causes_count; i++) {
        fprintf(stderr, "  also: version %d, %s: %s, errno %d, reason %u, %llu times\n", version,
                verdict->client_id, fmx_status_name(end.causes[i].status), end.causes[i].sys_errno,
                end.causes[i].reason, (unsigned long long)end.causes[i].count);
    }
    LOOP_EQUAL(end.causes_count, 1);
    LOOP_EQUAL(end.causes[0].status, FMX_PEER_REFUSED);
    LOOP_EQUAL(end.causes[0].reason,
               version == FMX_MQTT_50 ? verdict->reason_5 : verdict->reason_3);
    LOOP_EQUAL(end.causes[0].count, 10);
    LOOP_EQUAL(end.counters.connects_ok, 0);
    loop_fleet_end(fleet);
}

static void api_refuses_with_the_code_of_each_verdict(void)
{
    static const struct verdict verdicts[] = {
        {"cred_%i", 4, 0x86}, {"auth_%i", 5, 0x87}, {"id_%i", 2, 0x85}, {"busy_%i", 3, 0x89}};
    static struct diary diary;
    unsigned asked = 0;

    loop_begin();
    struct fmx_gateway *gateway = gateway_with_diary(&diary, 2);
    for (enum fmx_version version = FMX_MQTT_31; version <= FMX_MQTT_50; version++) {
        for (size_t i = 0; i < 4; i++) {
            expect_refusal(fmx_gateway_port(gateway, 0), version, &verdicts[i]);
            asked += 10;
        }
    }
    LOOP_EQUAL(look(&diary).connects, asked);
    LOOP_EQUAL(look(&diary).opens, 0);
    LOOP_EQUAL(look(&diary).closes, 0);
    LOOP_EQUAL(loop_stats(gateway).sessions_refused, asked);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

static void api_shows_names_and_reports_each_session_once(void)
{
    static struct diary diary;
    struct loop_plan plan;

    loop_begin();
    struct fmx_gateway *gateway = gateway_with_diary(&diary, 2);
    loop_plan(&plan, 50, "named_%i");
    plan.group.username = "user_%i";
    plan.group.password = "pass_%i";
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_look(fleet).counters.clients_open == 50);
    LOOP_EQUAL(look(&diary).opens, 50);
    LOOP_EQUAL(look(&diary).closes, 0);
    loop_fleet_end(fleet);
    LOOP_WAIT(look(&diary).closes == 50);
    struct diary end = look(&diary);
    CU_ASSERT(!end.is_wrong);
    for (unsigned i = 0; i < 50; i++) {
        unsigned found = 0;
        LOOP_EQUAL(end.causes[i], FMX_PEER_DISCONNECT);
        for (unsigned k = 0; k < 50; k++) {
            found += fmx_session_id_equal(end.ids[i], end.closed_ids[k]);
        }
        LOOP_EQUAL(found, 1);
    }
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── on_message ── */

static void api_shows_all_of_a_message(void)
{
    static struct diary diary;
    uint8_t bytes[256];

    loop_begin();
    struct fmx_gateway *gateway = gateway_with_diary(&diary, 2);
    struct loop_peer peer = join(fmx_gateway_port(gateway, 0), "teller", FMX_MQTT_50);
    size_t count = fmx_bytes_of_packet(0x33,
                                       "0005 'a/b/c' 0007"
                                       "28 08 0005 'r/s/t' 26 0001 'k' 0002 'v1' 09 0003 01 41 42"
                                       "26 0001 'k' 0002 'v2' 26 0000 0000 03 0002 'ct'"
                                       "'payload'",
                                       bytes, sizeof bytes);
    CU_ASSERT(loop_send(peer.fd, bytes, count));
    LOOP_WAIT(look(&diary).messages == 1);
    struct diary seen = look(&diary);
    CU_ASSERT_STRING_EQUAL(seen.topic, "a/b/c");
    CU_ASSERT_STRING_EQUAL(seen.payload, "payload");
    CU_ASSERT_STRING_EQUAL(seen.response_topic, "r/s/t");
    CU_ASSERT_STRING_EQUAL(seen.correlation, "\x01"
                                             "AB");
    CU_ASSERT_STRING_EQUAL(seen.properties, "k=v1;k=v2;=;");
    LOOP_EQUAL(seen.qos, 1);
    CU_ASSERT(seen.retain);
    CU_ASSERT(fmx_session_id_equal(seen.from, seen.ids[0]));
    close(peer.fd);

    struct loop_peer old = join(fmx_gateway_port(gateway, 0), "old", FMX_MQTT_311);
    loop_publish(old, "t", "", 0, 0);
    LOOP_WAIT(look(&diary).messages == 2);
    seen = look(&diary);
    CU_ASSERT_STRING_EQUAL(seen.payload, "");
    CU_ASSERT_STRING_EQUAL(seen.properties, "");
    LOOP_EQUAL(seen.qos, 0);
    CU_ASSERT(!seen.retain);
    close(old.fd);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── on_close ── */

static void expect_cause(struct diary *diary, unsigned closes, enum fmx_status cause)
{
    LOOP_WAIT(look(diary).closes == closes);
    LOOP_EQUAL(look(diary).causes[closes - 1], cause);
}

static void api_names_the_cause_of_each_end(void)
{
    static const uint8_t disconnect[] = {0xe0, 0};
    static const uint8_t publish_qos3[] = {0x36, 5, 0, 1, 't', 0, 1};
    static const uint8_t connect_again[] = {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T',
                                            4,    2,  0, 0, 0,   1,   'x'};
    static struct diary diary;
    struct fmx_gateway_caller *caller;

    loop_begin();
    struct fmx_gateway *gateway = gateway_with_diary(&diary, 2);
    uint16_t port = fmx_gateway_port(gateway, 0);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);

    struct loop_peer peer = join(port, "leaves", 4);
    CU_ASSERT(loop_send(peer.fd, disconnect, sizeof disconnect));
    expect_cause(&diary, 1, FMX_PEER_DISCONNECT);
    close(peer.fd);

    peer = join(port, "vanishes", 4);
    close(peer.fd);
    expect_cause(&diary, 2, FMX_PEER_CLOSED);

    peer = join(port, "errs", 4);
    CU_ASSERT(loop_send(peer.fd, publish_qos3, sizeof publish_qos3));
    expect_cause(&diary, 3, FMX_PEER_QOS);
    CU_ASSERT(loop_drain_to_end(peer.fd));
    close(peer.fd);

    peer = join(port, "repeats", 4);
    CU_ASSERT(loop_send(peer.fd, connect_again, sizeof connect_again));
    expect_cause(&diary, 4, FMX_PEER_ORDER);
    close(peer.fd);

    peer = join(port, "kicked", 5);
    CU_ASSERT_EQUAL(fmx_gateway_kick(caller, look(&diary).ids[4]), FMX_OK);
    expect_cause(&diary, 5, FMX_E_KICKED);
    close(peer.fd);

    peer = join(port, "twin", 4);
    struct loop_peer twin = join(port, "twin", 5);
    expect_cause(&diary, 6, FMX_E_TAKEN_OVER);
    close(peer.fd);
    close(twin.fd);
    expect_cause(&diary, 7, FMX_PEER_CLOSED);

    peer = loop_connect(
        port,
        &(struct loop_connect){.client_id = "sleeps", .version = 4, .clean = 1, .keepalive_s = 1});
    expect_cause(&diary, 8, FMX_PEER_KEEPALIVE);
    close(peer.fd);

    peer = join(port, "stays", 5);
    fmx_gateway_stop(gateway, 2000);
    expect_cause(&diary, 9, FMX_E_SHUTDOWN);
    close(peer.fd);
    fmx_gateway_caller_close(caller);
    fmx_gateway_close(gateway);
}

static void api_says_goodbye_with_the_right_reason_in_version_5(void)
{
    static struct loop_packet got;
    static struct diary diary;
    struct fmx_gateway_caller *caller;

    loop_begin();
    struct fmx_gateway *gateway = gateway_with_diary(&diary, 2);
    uint16_t port = fmx_gateway_port(gateway, 0);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
    struct loop_peer peer = join(port, "kicked", 5);
    CU_ASSERT_EQUAL(fmx_gateway_kick(caller, look(&diary).ids[0]), FMX_OK);
    CU_ASSERT(loop_receive(peer.fd, &got));
    LOOP_EQUAL(got.head, 0xe0);
    LOOP_EQUAL(got.body[0], 0x98);
    CU_ASSERT(loop_drain_to_end(peer.fd));
    close(peer.fd);

    peer = join(port, "twin", 5);
    struct loop_peer twin = join(port, "twin", 5);
    CU_ASSERT(loop_receive(peer.fd, &got));
    LOOP_EQUAL(got.head, 0xe0);
    LOOP_EQUAL(got.body[0], 0x8e);
    close(peer.fd);
    fmx_gateway_stop(gateway, 2000);
    CU_ASSERT(loop_receive(twin.fd, &got));
    LOOP_EQUAL(got.head, 0xe0);
    LOOP_EQUAL(got.body[0], 0x8b);
    CU_ASSERT(loop_drain_to_end(twin.fd));
    close(twin.fd);
    fmx_gateway_caller_close(caller);
    fmx_gateway_close(gateway);
}

/* ── calls from another thread ── */

#define LISTENERS 16u
#define CALLS     2000u

struct publishing {
    struct fmx_gateway *gateway;
    uint8_t qos;
    const char *topic;
    _Atomic unsigned done;
    _Atomic bool is_wrong;
};

static void *publish_numbers(void *argument)
{
    struct publishing *publishing = argument;
    struct fmx_gateway_caller *caller;

    if (fmx_gateway_caller_open(publishing->gateway, &caller) != FMX_OK) {
        atomic_store(&publishing->is_wrong, true);
        return NULL;
    }
    for (unsigned i = 0; i < CALLS; i++) {
        char text[16];
        snprintf(text, sizeof text, "%u", i);
        enum fmx_status status;
        while ((status = loop_service_publish(caller, fmx_slice_of(publishing->topic),
                                              fmx_slice_of(text), publishing->qos)) == FMX_FULL) {
            loop_pause_ms(1);
        }
        if (status != FMX_OK) {
            atomic_store(&publishing->is_wrong, true);
            return NULL;
        }
        atomic_fetch_add(&publishing->done, 1);
    }
    fmx_gateway_caller_close(caller);
    return NULL;
}

/* 0 … CALLS − 1, each once, in order, at this QoS. */
static void expect_numbers(struct loop_peer peer, uint8_t qos)
{
    static struct loop_packet got;

    for (unsigned i = 0; i < CALLS; i++) {
        uint16_t packet_id;
        char text[16];
        CU_ASSERT_FATAL(loop_receive(peer.fd, &got));
        CU_ASSERT_EQUAL_FATAL(got.head, 0x30 | qos << 1);
        copy_text(text, sizeof text, loop_payload(peer, &got, &packet_id));
        CU_ASSERT_EQUAL_FATAL(strtoul(text, NULL, 10), i);
        if (qos > 0) {
            uint8_t ack[4];
            CU_ASSERT_FATAL(loop_send(peer.fd, ack, loop_write_puback(ack, packet_id)));
        }
    }
}

static void api_publishes_from_threads_to_every_shard_in_order(void)
{
    struct loop_peer peers[2][LISTENERS];
    struct publishing publishings[2] = {{.qos = 0, .topic = "zero"}, {.qos = 1, .topic = "one"}};
    pthread_t threads[2];

    loop_begin();
    struct fmx_gateway *gateway = loop_gateway(4);
    uint16_t port = fmx_gateway_port(gateway, 0);
    for (unsigned i = 0; i < 2 * LISTENERS; i++) {
        char id[32];
        snprintf(id, sizeof id, "listener_%u", i);
        peers[i % 2][i / 2] = join(port, id, i % 3 == 0 ? FMX_MQTT_50 : FMX_MQTT_311);
        loop_subscribe(peers[i % 2][i / 2], i % 2 == 0 ? "zero" : "one", i % 2);
    }
    for (unsigned i = 0; i < 2; i++) {
        publishings[i].gateway = gateway;
        CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, publish_numbers, &publishings[i]) == 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        LOOP_EQUAL(publishings[i].done, CALLS);
        CU_ASSERT(!publishings[i].is_wrong);
    }
    for (unsigned i = 0; i < 2 * LISTENERS; i++) {
        expect_numbers(peers[i % 2][i / 2], i % 2);
        close(peers[i % 2][i / 2].fd);
    }
    LOOP_EQUAL(loop_stats(gateway).dropped_qos0, 0);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

static sem_t shard_may_go_on;
static _Atomic bool shard_is_held;

static void hold_the_shard(void *user, const struct fmx_gateway_message *message)
{
    (void)user;
    if (begins_with(message->topic, "hold")) {
        atomic_store(&shard_is_held, true);
        while (sem_wait(&shard_may_go_on) != 0) {
        }
    }
}

/* A callback that blocks, against all advice, makes the queue fill up. */
static void api_says_full_when_the_queue_is_and_loses_nothing_else(void)
{
    static struct loop_packet got;
    struct fmx_gateway_options options;
    struct fmx_gateway_caller *caller;
    unsigned accepted = 0;
    char text[16];

    loop_begin();
    sem_init(&shard_may_go_on, 0, 0);
    atomic_store(&shard_is_held, false);
    loop_gateway_options(&options, 1);
    options.callbacks.on_message = hold_the_shard;
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    uint16_t port = fmx_gateway_port(gateway, 0);
    struct loop_peer listener = join(port, "listener", 4);
    loop_subscribe(listener, "numbers", 1);
    struct loop_peer holder = join(port, "holder", 4);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
    loop_publish(holder, "hold", "", 0, 0);
    LOOP_WAIT(atomic_load(&shard_is_held));

    enum fmx_status status = FMX_OK;
    while (status == FMX_OK && accepted < 1000000) {
        snprintf(text, sizeof text, "%u", accepted);
        status = loop_service_publish(caller, fmx_slice_of("numbers"), fmx_slice_of(text), 1);
        accepted += status == FMX_OK;
    }
    LOOP_EQUAL(status, FMX_FULL);
    CU_ASSERT(accepted > 0);
    LOOP_EQUAL(loop_service_publish(caller, fmx_slice_of("numbers"), fmx_slice_of("x"), 1),
               FMX_FULL);
    sem_post(&shard_may_go_on);
    for (unsigned i = 0; i < accepted; i++) {
        uint16_t packet_id;
        uint8_t ack[4];
        CU_ASSERT_FATAL(loop_receive(listener.fd, &got));
        copy_text(text, sizeof text, loop_payload(listener, &got, &packet_id));
        CU_ASSERT_EQUAL_FATAL(strtoul(text, NULL, 10), i);
        CU_ASSERT_FATAL(loop_send(listener.fd, ack, loop_write_puback(ack, packet_id)));
    }
    LOOP_WAIT(loop_service_publish(caller, fmx_slice_of("numbers"), fmx_slice_of("end"), 1) ==
              FMX_OK); /* there is room again, and nothing came in between */
    CU_ASSERT_FATAL(loop_receive(listener.fd, &got));
    CU_ASSERT_EQUAL(memcmp(got.body + got.bytes - 3, "end", 3), 0);
    fmx_gateway_caller_close(caller);
    close(listener.fd);
    close(holder.fd);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
    sem_destroy(&shard_may_go_on);
}

static void api_refuses_calls_that_make_no_sense(void)
{
    static const char *const topics[] = {"", "a/+", "#", "a/#"};
    struct fmx_gateway_caller *caller;
    uint8_t zero[] = {'a', 0, 'b'};

    loop_begin();
    struct fmx_gateway *gateway = loop_gateway(2);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        LOOP_EQUAL(loop_service_publish(caller, fmx_slice_of(topics[i]), fmx_slice_of("x"), 0),
                   FMX_E_TOPIC);
    }
    LOOP_EQUAL(loop_service_publish(caller, (fmx_slice){zero, 3}, fmx_slice_of("x"), 0),
               FMX_E_TOPIC);
    LOOP_EQUAL(loop_service_publish(caller, fmx_slice_of("t"), fmx_slice_of("x"), 2),
               FMX_E_ARGUMENT);
    LOOP_EQUAL(loop_service_publish(caller, fmx_slice_of("t"), (fmx_slice){0}, 1), FMX_OK);
    LOOP_EQUAL(fmx_gateway_kick(caller, FMX_SESSION_NONE), FMX_E_ARGUMENT);
    LOOP_EQUAL(fmx_gateway_kick(caller, (struct fmx_session_id){UINT64_MAX}), FMX_E_ARGUMENT);
    fmx_gateway_caller_close(caller);
    loop_gateway_end(gateway);
}

/* The slot is used again; the id of the one before must not reach the one after. */
static void api_ignores_the_ids_of_sessions_that_are_gone(void)
{
    static struct diary diary;
    struct fmx_gateway_caller *caller;

    loop_begin();
    struct fmx_gateway *gateway = gateway_with_diary(&diary, 1);
    uint16_t port = fmx_gateway_port(gateway, 0);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
    struct loop_peer peer = join(port, "first", 4);
    close(peer.fd);
    LOOP_WAIT(look(&diary).closes == 1);
    LOOP_WAIT(loop_stats(gateway).connections_now == 0);
    peer = join(port, "second", 4);
    loop_subscribe(peer, "mine", 0);
    for (unsigned i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(fmx_gateway_kick(caller, look(&diary).ids[0]), FMX_OK);
    }
    CU_ASSERT_EQUAL(loop_service_publish(caller, fmx_slice_of("mine"), fmx_slice_of("x"), 0),
                    FMX_OK);
    static struct loop_packet got;
    CU_ASSERT(loop_receive(peer.fd, &got)); /* it came behind the kicks, so they are done */
    LOOP_EQUAL(look(&diary).closes, 1);
    CU_ASSERT_EQUAL(fmx_gateway_kick(caller, look(&diary).ids[1]), FMX_OK);
    expect_cause(&diary, 2, FMX_E_KICKED);
    close(peer.fd);
    fmx_gateway_caller_close(caller);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── snapshots ── */

struct watching {
    struct fmx_gateway *gateway;
    struct fmx_fleet *fleet;
    _Atomic bool is_over;
    _Atomic unsigned looks;
    _Atomic bool went_back;
};

static void *watch(void *argument)
{
    struct watching *watching = argument;
    struct fmx_stats before = {0};
    struct fmx_fleet_snapshot seen_before = {0};

    while (!atomic_load(&watching->is_over)) {
        struct fmx_stats now = loop_stats(watching->gateway);
        struct fmx_fleet_snapshot seen = loop_look(watching->fleet);
        if (now.packets_in < before.packets_in || now.bytes_out < before.bytes_out ||
            now.turns < before.turns || seen.counters.received < seen_before.counters.received ||
            seen.elapsed_ns < seen_before.elapsed_ns ||
            seen.counters.publishes_acked > seen.counters.publishes_sent ||
            now.sessions_now > 100 || now.queued_bytes_now > 1ull << 40) {
            atomic_store(&watching->went_back, true);
        }
        before = now;
        seen_before = seen;
        atomic_fetch_add(&watching->looks, 1);
    }
    return NULL;
}

static void api_takes_snapshots_from_another_thread_while_all_runs(void)
{
    static const char *const filters[] = {"self/%i"};
    struct loop_plan plan;
    struct watching watching = {0};
    pthread_t thread;

    loop_begin();
    watching.gateway = loop_gateway(2);
    loop_plan(&plan, 50, "self_%i");
    plan.filters = filters;
    plan.filters_count = 1;
    plan.subscribe_qos = 1;
    plan.publish.topic = "self/%i";
    plan.publish.qos = 1;
    plan.publish.interval_ns = LOOP_MS_NS;
    plan.publish.messages_max = 20000;
    watching.fleet = loop_fleet(&plan, fmx_gateway_port(watching.gateway, 0));
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, watch, &watching) == 0);
    LOOP_WAIT(loop_look(watching.fleet).counters.received == 20000);
    fmx_fleet_stop(watching.fleet); /* snapshots go on to the close */
    fmx_gateway_stop(watching.gateway, 5000);
    LOOP_WAIT(atomic_load(&watching.looks) > 100);
    atomic_store(&watching.is_over, true);
    pthread_join(thread, NULL);
    CU_ASSERT(!watching.went_back);
    LOOP_EQUAL(loop_stats(watching.gateway).sessions_now, 0);
    fmx_fleet_close(watching.fleet);
    fmx_gateway_close(watching.gateway);
}

/* ── start and stop ── */

static void api_starts_and_stops_twenty_times_and_keeps_nothing(void)
{
    static const char *const filters[] = {"self/%i"};
    struct loop_plan plan;
    unsigned files = 0;
    unsigned threads = 0;

    loop_begin();
    for (unsigned i = 0; i < 21; i++) {
        struct fmx_gateway_caller *caller;
        struct fmx_gateway *gateway = loop_gateway(2);
        CU_ASSERT_EQUAL(fmx_gateway_caller_open(gateway, &caller), FMX_OK);
        loop_plan(&plan, 50, "again_%i");
        plan.filters = filters;
        plan.filters_count = 1;
        plan.publish.topic = "self/%i";
        plan.publish.interval_ns = 10 * LOOP_MS_NS;
        struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
        LOOP_WAIT(loop_look(fleet).counters.received >= 100);
        fmx_gateway_caller_close(caller);
        if (i % 2 == 0) {
            loop_fleet_end(fleet);
            loop_gateway_end(gateway);
        } else {
            loop_gateway_end(gateway);
            loop_fleet_end(fleet);
        }
        if (i == 0) { /* what the process itself keeps is there by now */
            files = loop_files();
            threads = loop_threads();
        }
    }
    LOOP_EQUAL(loop_files(), files);
    LOOP_WAIT(loop_threads() <= threads); /* the system may count one for a moment after its end */
}

static void api_stops_either_side_while_clients_connect(void)
{
    struct loop_plan plan;

    for (unsigned i = 0; i < 8; i++) {
        loop_begin();
        struct fmx_gateway *gateway = loop_gateway(2);
        loop_plan(&plan, LOOP_SIZE(4000, 1000), "rush_%i");
        plan.group.reconnect_min_ms = i % 4 < 2 ? 0 : 10;
        plan.group.reconnect_max_ms = i % 4 < 2 ? 0 : 100;
        struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
        LOOP_WAIT(loop_stats(gateway).sessions_opened > 50 * i);
        if (i % 2 == 0) {
            fmx_gateway_stop(gateway, i * 100);
            LOOP_EQUAL(loop_stats(gateway).sessions_now, 0);
            LOOP_EQUAL(loop_stats(gateway).connections_now, 0);
            fmx_fleet_stop(fleet);
        } else {
            fmx_fleet_stop(fleet);
            loop_expect_empty(gateway);
            fmx_gateway_stop(gateway, 1000);
        }
        LOOP_EQUAL(loop_look(fleet).stats.connections_now, 0);
        fmx_fleet_close(fleet);
        fmx_gateway_close(gateway);
    }
}

static void api_stops_either_side_while_messages_flow(void)
{
    static const char *const filters[] = {"flow/#"};
    struct loop_plan plan;

    for (unsigned i = 0; i < 6; i++) {
        loop_begin();
        struct fmx_gateway *gateway = loop_gateway(2);
        loop_plan(&plan, 30, "flow_%i");
        plan.group.clean = i % 3 != 0;
        plan.group.session_expiry_s = i % 3 != 0 ? 0 : 60;
        plan.filters = filters;
        plan.filters_count = 1;
        plan.subscribe_qos = 1;
        plan.publish.topic = "flow/%i";
        plan.publish.qos = i % 2;
        plan.publish.interval_ns = LOOP_MS_NS;
        plan.whole.drain_ms = 1000;
        struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
        LOOP_WAIT(loop_look(fleet).counters.received > 1000);
        if (i < 3) {
            fmx_gateway_stop(gateway, 1000);
            fmx_fleet_stop(fleet);
        } else {
            fmx_fleet_stop(fleet);
            fmx_gateway_stop(gateway, 1000);
        }
        LOOP_EQUAL(loop_stats(gateway).sessions_now, 0);
        LOOP_EQUAL(loop_stats(gateway).connections_now, 0);
        LOOP_EQUAL(loop_stats(gateway).queued_bytes_now, 0);
        LOOP_EQUAL(loop_look(fleet).stats.connections_now, 0);
        fmx_gateway_close(gateway);
        fmx_fleet_close(fleet);
    }
}

static void api_stops_twice_and_closes_what_never_started(void)
{
    static const char *const targets[] = {"127.0.0.1:1"};
    struct fmx_gateway_options options;
    struct loop_plan plan;
    struct fmx_gateway *gateway;
    struct fmx_fleet *fleet;
    char error[256];

    loop_begin();
    gateway = loop_gateway(2); /* a first one, for what the process itself keeps */
    loop_gateway_end(gateway);
    unsigned files = loop_files();
    unsigned threads = loop_threads();
    gateway = loop_gateway(2);
    fmx_gateway_stop(gateway, 1000);
    fmx_gateway_stop(gateway, 0);
    fmx_gateway_close(gateway);

    loop_gateway_options(&options, 3);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_open(&options, &gateway, error, sizeof error), FMX_OK);
    LOOP_EQUAL(fmx_gateway_shards_count(gateway), 3);
    fmx_gateway_close(gateway);
    CU_ASSERT_EQUAL_FATAL(fmx_gateway_open(&options, &gateway, error, sizeof error), FMX_OK);
    fmx_gateway_stop(gateway, 1000);
    fmx_gateway_close(gateway);

    loop_plan(&plan, 3, "nobody_%i");
    plan.group.targets = targets;
    plan.group.targets_count = 1;
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_open(loop_plan_join(&plan), &fleet, error, sizeof error),
                          FMX_OK);
    LOOP_EQUAL(loop_look(fleet).counters.clients_open, 0);
    fmx_fleet_close(fleet);
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_open(loop_plan_join(&plan), &fleet, error, sizeof error),
                          FMX_OK);
    fmx_fleet_stop(fleet);
    fmx_fleet_close(fleet);
    fleet = loop_fleet(&plan, 0); /* nobody listens there */
    LOOP_WAIT(loop_look(fleet).counters.clients_failed == 3);
    LOOP_WAIT(loop_look(fleet).finished);
    LOOP_EQUAL(loop_look(fleet).causes[0].status, FMX_SYS_CONNECT);
    fmx_fleet_stop(fleet);
    fmx_fleet_stop(fleet);
    fmx_fleet_close(fleet);
    LOOP_EQUAL(loop_files(), files);
    LOOP_WAIT(loop_threads() <= threads);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(api_refuses_with_the_code_of_each_verdict),
    FMX_TEST_CASE(api_shows_names_and_reports_each_session_once),
    FMX_TEST_CASE(api_shows_all_of_a_message),
    FMX_TEST_CASE(api_names_the_cause_of_each_end),
    FMX_TEST_CASE(api_says_goodbye_with_the_right_reason_in_version_5),
    FMX_TEST_CASE(api_publishes_from_threads_to_every_shard_in_order),
    FMX_TEST_CASE(api_says_full_when_the_queue_is_and_loses_nothing_else),
    FMX_TEST_CASE(api_refuses_calls_that_make_no_sense),
    FMX_TEST_CASE(api_ignores_the_ids_of_sessions_that_are_gone),
    FMX_TEST_CASE(api_takes_snapshots_from_another_thread_while_all_runs),
    FMX_TEST_CASE(api_starts_and_stops_twenty_times_and_keeps_nothing),
    FMX_TEST_CASE(api_stops_either_side_while_clients_connect),
    FMX_TEST_CASE(api_stops_either_side_while_messages_flow),
    FMX_TEST_CASE(api_stops_twice_and_closes_what_never_started),
};

int main(int argc, char **argv)
{
    return fmx_test_main("api", cases, sizeof cases / sizeof cases[0], argc, argv);
}
