/*
 * loop_regress — defects that were once in the engine, each told from outside: what a client, a
 * fleet or an embedding program saw of it
 *
 * Each case stands for one story that went wrong, and does what made it go wrong, often enough that
 * it would again. Most of them hang on an order of events that well-behaved clients seldom bring
 * about: a large packet behind CONNECT, a shard that is slow for a while, a peer that has ended
 * before it was listened to, a connection right behind a goodbye. So the peers are plain sockets
 * wherever the bytes and their order matter, and fleets only where the fleet itself was wrong.
 *
 * Words:          watch: what the callbacks saw; they run on the shards, so all of it is atomic
 *                 hold: a callback that does not return for a while, and its shard with it
 * Threads:        the test's; two more in the case of the slow shard, which write and read at once
 */
#include "tests/loop/support.h"

#include <linux/sockios.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE_BYTES      (900u * 1024)
#define LARGE_ROUNDS     20u
#define HOLD_ROUNDS      3u
#define PUMPED           20000u
#define NAMED_CLIENTS    5u
#define NAMED_FIRST      41u
#define NAMED_MESSAGES   50u
#define FILTERS          25u
#define LIMIT            100u
#define REPLACEMENTS     2000u
#define KEPT_MESSAGES    20u
#define ANY_FREE         65535u /* an identifier, but none of those in use */
#define RESUMES          8u
#define LAST_WORDS       3000u
#define LAST_WORD_ROUNDS 20u
#define LATE_MS          20u
#define GOODBYES         LOOP_SIZE(2000u, 500u)

/* ── what all of them do ── */

static struct loop_peer join(uint16_t port, const char *client_id, enum fmx_version version)
{
    return loop_connect(
        port, &(struct loop_connect){.client_id = client_id, .version = version, .clean = true});
}

static struct loop_peer join_number(uint16_t port, const char *prefix, unsigned number,
                                    enum fmx_version version)
{
    char client_id[32];

    snprintf(client_id, sizeof client_id, "%s_%u", prefix, number);
    return join(port, client_id, version);
}

/* The identifier at the beginning of PUBACK, SUBACK. */
static uint16_t id_of(const struct loop_packet *packet)
{
    return (uint16_t)(packet->body[0] << 8 | packet->body[1]);
}

static void expect_pong(struct loop_peer peer)
{
    static const uint8_t ping[] = {0xc0, 0};
    static struct loop_packet answer;

    CU_ASSERT_FATAL(loop_send(peer.fd, ping, sizeof ping));
    CU_ASSERT_FATAL(loop_receive(peer.fd, &answer));
    LOOP_EQUAL(answer.head, 0xd0);
}

static void say_goodbye(struct loop_peer peer)
{
    static const uint8_t goodbye[] = {0xe0, 0};

    CU_ASSERT(loop_send(peer.fd, goodbye, sizeof goodbye));
    close(peer.fd);
}

/* ── 1: a large packet behind CONNECT ── */

/* It waited for the verdict on CONNECT, receiving paused, and nobody let it go on. */
static size_t write_both(uint8_t *out, unsigned round, fmx_slice payload)
{
    enum fmx_version version = round % 2 == 0 ? FMX_MQTT_50 : FMX_MQTT_311;
    char client_id[32];

    snprintf(client_id, sizeof client_id, "hasty_%u", round);
    size_t count = loop_write_connect(
        out, &(struct loop_connect){.client_id = client_id, .version = version, .clean = true});
    return count + loop_write_publish(out + count, version, "large", payload, 1, 7);
}

static void expect_both_answers(int fd)
{
    static struct loop_packet answer;

    CU_ASSERT_FATAL(loop_receive(fd, &answer));
    LOOP_EQUAL(answer.head, 0x20);
    LOOP_EQUAL(answer.body[1], 0);
    CU_ASSERT_FATAL(loop_receive(fd, &answer));
    LOOP_EQUAL(answer.head, 0x40);
    LOOP_EQUAL(id_of(&answer), 7);
}

static void regress_1_large_packet_behind_connect_is_answered(void)
{
    uint8_t *payload = calloc(1, LARGE_BYTES);
    uint8_t *bytes = malloc(LARGE_BYTES + 1024);

    loop_begin();
    CU_ASSERT_FATAL(payload != NULL && bytes != NULL);
    struct fmx_gateway *gateway = loop_gateway(2);
    for (unsigned round = 0; round < LARGE_ROUNDS; round++) {
        size_t count = write_both(bytes, round, (fmx_slice){.data = payload, .bytes = LARGE_BYTES});
        int fd = loop_dial(fmx_gateway_port(gateway, 0), 0);
        CU_ASSERT_FATAL(loop_send(fd, bytes, count));
        expect_both_answers(fd);
        close(fd);
    }
    LOOP_EQUAL(loop_stats(gateway).publishes_in_qos1, LARGE_ROUNDS);
    free(payload);
    free(bytes);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── 2: a shard that is slow for a while ── */

struct shard_watch {
    _Atomic unsigned opens;
    _Atomic uint64_t shard; /* of the session opened last */
    _Atomic unsigned holds;
    _Atomic bool may_go_on;
};

static void watch_open(void *user, const struct fmx_gateway_session *session)
{
    struct shard_watch *watch = user;

    atomic_store(&watch->shard, session->id.bits >> 54);
    atomic_fetch_add(&watch->opens, 1);
}

static void hold_shard(void *user, const struct fmx_gateway_message *message)
{
    struct shard_watch *watch = user;

    if (fmx_slice_equal(message->topic, fmx_slice_of("hold"))) {
        atomic_fetch_add(&watch->holds, 1);
        while (!atomic_exchange(&watch->may_go_on, false)) {
            loop_pause_ms(1);
        }
    }
}

static struct fmx_gateway *gateway_with_holds(struct shard_watch *watch)
{
    struct fmx_gateway_options options;

    loop_gateway_options(&options, 2);
    options.callbacks =
        (struct fmx_gateway_callbacks){.on_open = watch_open, .on_message = hold_shard};
    options.user = watch;
    options.limits.queue_messages_max = 2 * PUMPED; /* nothing may be lost for want of room */
    return loop_gateway_start(&options);
}

static struct loop_peer join_off_shard(uint16_t port, struct shard_watch *watch, uint64_t shard)
{
    for (unsigned attempt = 0; attempt < 500; attempt++) {
        unsigned before = atomic_load(&watch->opens);
        struct loop_peer peer = join_number(port, "pump", attempt, FMX_MQTT_311);
        LOOP_WAIT(atomic_load(&watch->opens) > before);
        if (atomic_load(&watch->shard) != shard) {
            return peer;
        }
        close(peer.fd);
    }
    CU_FAIL_FATAL("all sessions are on one shard");
    return (struct loop_peer){.fd = -1};
}

/* Writes all messages on one thread while another reads their PUBACKs. */
struct pump {
    struct loop_peer peer;
    pthread_t writer;
    pthread_t reader;
    bool all_sent;
    unsigned acked; /* in their order */
};

static void *pump_messages(void *argument)
{
    struct pump *pump = argument;
    uint8_t *bytes = malloc(PUMPED * 32u);
    size_t count = 0;
    char text[16];

    for (unsigned i = 1; bytes != NULL && i <= PUMPED; i++) {
        snprintf(text, sizeof text, "%05u", i);
        count += loop_write_publish(bytes + count, pump->peer.version, "pump", fmx_slice_of(text),
                                    1, (uint16_t)i);
    }
    pump->all_sent = bytes != NULL && loop_send(pump->peer.fd, bytes, count);
    free(bytes);
    return NULL;
}

static void *read_acks(void *argument)
{
    struct pump *pump = argument;
    struct loop_packet *answer = malloc(sizeof *answer);

    while (answer != NULL && pump->acked < PUMPED && loop_receive(pump->peer.fd, answer)) {
        if (answer->head != 0x40 || id_of(answer) != pump->acked + 1) {
            break;
        }
        pump->acked++;
    }
    free(answer);
    return NULL;
}

static void pump_begin(struct pump *pump, struct loop_peer peer)
{
    *pump = (struct pump){.peer = peer};
    CU_ASSERT_FATAL(pthread_create(&pump->writer, NULL, pump_messages, pump) == 0);
    CU_ASSERT_FATAL(pthread_create(&pump->reader, NULL, read_acks, pump) == 0);
}

static void pump_end(struct pump *pump)
{
    pthread_join(pump->writer, NULL);
    pthread_join(pump->reader, NULL);
    CU_ASSERT(pump->all_sent);
    LOOP_EQUAL(pump->acked, PUMPED);
}

/* How many came, in their order, each acknowledged. */
static unsigned take_pumped(struct loop_peer peer)
{
    static struct loop_packet got;
    uint8_t ack[4];
    char text[16];
    uint16_t packet_id;
    unsigned count = 0;

    while (count < PUMPED && loop_receive(peer.fd, &got)) {
        snprintf(text, sizeof text, "%05u", count + 1);
        if (!fmx_slice_equal(loop_payload(peer, &got, &packet_id), fmx_slice_of(text)) ||
            !loop_send(peer.fd, ack, loop_write_puback(ack, packet_id))) {
            break;
        }
        count++;
    }
    return count;
}

static void regress_2_publishers_wake_after_another_shard_was_slow(void)
{
    static struct shard_watch watch;
    struct pump pump;

    loop_begin();
    struct fmx_gateway *gateway = gateway_with_holds(&watch);
    uint16_t port = fmx_gateway_port(gateway, 0);
    struct loop_peer slow = join(port, "slow", FMX_MQTT_311);
    LOOP_WAIT(atomic_load(&watch.opens) == 1);
    uint64_t shard = atomic_load(&watch.shard);
    loop_subscribe(slow, "pump", 1);
    struct loop_peer quick = join_off_shard(port, &watch, shard);
    for (unsigned round = 1; round <= HOLD_ROUNDS; round++) {
        loop_publish(slow, "hold", "", 0, 0);
        LOOP_WAIT(atomic_load(&watch.holds) == round);
        uint64_t waited = loop_stats(gateway).crossings_waited;
        pump_begin(&pump, quick);
        LOOP_WAIT(loop_stats(gateway).crossings_waited > waited); /* its inbox is full */
        atomic_store(&watch.may_go_on, true);
        LOOP_EQUAL(take_pumped(slow), PUMPED);
        pump_end(&pump);
    }
    LOOP_EQUAL(loop_stats(gateway).dropped_qos1, 0);
    close(slow.fd);
    close(quick.fd);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── 3: the variables of a fleet's topic ── */

struct name_watch {
    _Atomic unsigned seen[NAMED_CLIENTS];
    _Atomic unsigned messages;
    _Atomic unsigned foreign;
};

static void watch_name(void *user, const struct fmx_gateway_message *message)
{
    struct name_watch *watch = user;
    unsigned found = 0;
    char topic[64];

    for (unsigned i = 0; i < NAMED_CLIENTS; i++) {
        unsigned number = NAMED_FIRST + i;
        snprintf(topic, sizeof topic, "dev/id_%u/user_%u/%u", number, number, number);
        if (fmx_slice_equal(message->topic, fmx_slice_of(topic))) {
            atomic_fetch_add(&watch->seen[i], 1);
            found++;
        }
    }
    atomic_fetch_add(&watch->foreign, found == 1 ? 0 : 1);
    atomic_fetch_add(&watch->messages, 1);
}

static void plan_named(struct loop_plan *plan)
{
    loop_plan(plan, NAMED_CLIENTS, "id_%i");
    plan->group.first_number = NAMED_FIRST;
    plan->group.username = "user_%i";
    plan->publish.topic = "dev/%c/%u/%i";
    plan->publish.qos = 1;
    plan->publish.interval_ns = 5 * LOOP_MS_NS;
    plan->publish.messages_max = NAMED_MESSAGES;
}

static void regress_3_fleet_topics_know_client_id_and_user(void)
{
    static struct name_watch watch;
    struct fmx_gateway_options options;
    struct loop_plan plan;

    loop_begin();
    loop_gateway_options(&options, 2);
    options.callbacks.on_message = watch_name;
    options.user = &watch;
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    plan_named(&plan);
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(atomic_load(&watch.messages) == NAMED_MESSAGES);
    LOOP_EQUAL(atomic_load(&watch.foreign), 0);
    for (unsigned i = 0; i < NAMED_CLIENTS; i++) {
        CU_ASSERT(atomic_load(&watch.seen[i]) > 0);
    }
    loop_fleet_end(fleet);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── 4: more filters than Receive Maximum ── */

/* Receive Maximum bounds PUBLISH; SUBSCRIBE was counted too, and the client gave up. */
static void plan_filters(struct loop_plan *plan)
{
    static char texts[FILTERS][16];
    static const char *filters[FILTERS];

    for (unsigned i = 0; i < FILTERS; i++) {
        snprintf(texts[i], sizeof texts[i], "many/%u/%%i", i);
        filters[i] = texts[i];
    }
    loop_plan(plan, 3, "many_%i");
    plan->filters = filters;
    plan->filters_count = FILTERS;
    plan->subscribe_qos = 1;
    plan->publish.topic = "many/0/%i";
    plan->publish.qos = 1;
    plan->publish.interval_ns = 0; /* as much as the window lets through */
    plan->publish.messages_max = 1000;
}

static void regress_4_filters_may_outnumber_receive_maximum(void)
{
    struct fmx_gateway_options options;
    struct loop_plan plan;

    loop_begin();
    loop_gateway_options(&options, 2);
    options.limits.receive_max = 20;
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    plan_filters(&plan);
    struct fmx_fleet *fleet = loop_fleet(&plan, fmx_gateway_port(gateway, 0));
    LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == 3);
    LOOP_WAIT(loop_look(fleet).counters.publishes_acked == 1000);
    struct fmx_fleet_snapshot end = loop_look(fleet);
    LOOP_EQUAL(end.counters.clients_open, 3);
    LOOP_EQUAL(end.counters.connects_ok, 3);
    LOOP_EQUAL(end.counters.subscribes_refused, 0);
    LOOP_EQUAL(end.causes_count, 0);
    LOOP_EQUAL(loop_stats(gateway).subscriptions_now, 3 * FILTERS);
    loop_fleet_end(fleet);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── 5: a subscription replaced at the limit ── */

static uint8_t subscribe_reason(struct loop_peer peer, unsigned number, uint8_t qos)
{
    static struct loop_packet answer;
    uint8_t bytes[256];
    char filter[32];

    snprintf(filter, sizeof filter, "limit/%u", number);
    size_t count = loop_write_subscribe(bytes, peer.version, filter, qos);
    CU_ASSERT_FATAL(loop_send(peer.fd, bytes, count));
    CU_ASSERT_FATAL(loop_receive(peer.fd, &answer));
    CU_ASSERT_EQUAL_FATAL(answer.head, 0x90);
    return answer.body[answer.bytes - 1];
}

/* The last grant holds, and there is one subscription, not two. */
static void expect_one_copy(struct loop_peer peer, const char *topic)
{
    static struct loop_packet got;

    loop_publish(peer, topic, "once", 0, 0);
    CU_ASSERT_FATAL(loop_receive(peer.fd, &got));
    LOOP_EQUAL(got.head, 0x30);
    expect_pong(peer);
}

static void regress_5_replacing_a_subscription_at_the_limit_is_allowed(void)
{
    struct fmx_gateway_options options;

    loop_begin();
    loop_gateway_options(&options, 2);
    options.limits.subscriptions_max = LIMIT;
    struct fmx_gateway *gateway = loop_gateway_start(&options);
    struct loop_peer peer = join(fmx_gateway_port(gateway, 0), "full", FMX_MQTT_50);
    for (unsigned i = 0; i < LIMIT; i++) {
        LOOP_EQUAL(subscribe_reason(peer, i, 0), 0);
    }
    LOOP_EQUAL(subscribe_reason(peer, LIMIT, 0), 0x97);
    for (unsigned i = 0; i < REPLACEMENTS; i++) {
        uint8_t qos = (uint8_t)(i / LIMIT % 2);
        LOOP_EQUAL(subscribe_reason(peer, i % LIMIT, qos), qos);
    }
    LOOP_EQUAL(subscribe_reason(peer, LIMIT, 0), 0x97);
    LOOP_EQUAL(loop_stats(gateway).subscriptions_now, LIMIT);
    expect_one_copy(peer, "limit/7");
    close(peer.fd);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── 6: identifiers of a session that is resumed ── */

static const uint16_t unacked[] = {1, 18, 19, 20};

static bool is_unacked(uint16_t packet_id)
{
    return packet_id == 1 || (packet_id >= 18 && packet_id <= 20);
}

/* Connects to a session that is kept; is it still there? */
static struct loop_peer come(uint16_t port, const char *client_id, enum fmx_version version,
                             bool *out_session_present)
{
    static struct loop_packet answer;
    const struct loop_connect connect = {
        .client_id = client_id, .version = version, .session_expiry_s = 600};
    struct loop_peer peer = {.fd = loop_dial(port, 0), .version = version};
    uint8_t bytes[256];
    size_t count = loop_write_connect(bytes, &connect);

    CU_ASSERT_FATAL(loop_send(peer.fd, bytes, count));
    CU_ASSERT_FATAL(loop_receive(peer.fd, &answer));
    CU_ASSERT_EQUAL_FATAL(answer.head, 0x20);
    CU_ASSERT_EQUAL_FATAL(answer.body[1], 0);
    *out_session_present = (answer.body[0] & 1) != 0;
    return peer;
}

static void expect_message(struct loop_peer peer, uint8_t head, uint16_t packet_id, unsigned number)
{
    static struct loop_packet got;
    char text[16];
    uint16_t got_id;

    snprintf(text, sizeof text, "m%u", number);
    CU_ASSERT_FATAL(loop_receive(peer.fd, &got));
    LOOP_EQUAL(got.head, head);
    CU_ASSERT(fmx_slice_equal(loop_payload(peer, &got, &got_id), fmx_slice_of(text)));
    if (packet_id != ANY_FREE) {
        LOOP_EQUAL(got_id, packet_id);
    } else {
        CU_ASSERT(got_id > 0 && !is_unacked(got_id));
    }
}

static void send_ack(struct loop_peer peer, uint16_t packet_id)
{
    uint8_t ack[4];

    CU_ASSERT(loop_send(peer.fd, ack, loop_write_puback(ack, packet_id)));
}

static void tell(struct loop_peer teller, const char *topic, unsigned number)
{
    static struct loop_packet answer;
    char text[16];

    snprintf(text, sizeof text, "m%u", number);
    loop_publish(teller, topic, text, 1, (uint16_t)number);
    CU_ASSERT_FATAL(loop_receive(teller.fd, &answer));
    CU_ASSERT_EQUAL_FATAL(answer.head, 0x40);
}

/* Twenty messages come under 1 … 20; sixteen of them are acknowledged, and the peer is gone. */
static void leave_four(struct fmx_gateway *gateway, struct loop_peer teller, const char *client_id)
{
    bool session_present;
    uint64_t acks = loop_stats(gateway).pubacks_in;
    struct loop_peer peer =
        come(fmx_gateway_port(gateway, 0), client_id, teller.version, &session_present);

    CU_ASSERT(!session_present);
    loop_subscribe(peer, client_id, 1);
    for (uint16_t i = 1; i <= KEPT_MESSAGES; i++) {
        tell(teller, client_id, i);
        expect_message(peer, 0x32, i, i);
    }
    for (uint16_t i = 1; i <= KEPT_MESSAGES; i++) {
        if (!is_unacked(i)) {
            send_ack(peer, i);
        }
    }
    LOOP_WAIT(loop_stats(gateway).pubacks_in == acks + KEPT_MESSAGES - 4);
    close(peer.fd);
}

static void expect_four(struct fmx_gateway *gateway, struct loop_peer teller, const char *client_id)
{
    bool session_present;
    struct loop_peer peer =
        come(fmx_gateway_port(gateway, 0), client_id, teller.version, &session_present);

    CU_ASSERT(session_present);
    for (unsigned i = 0; i < 4; i++) {
        expect_message(peer, 0x3a, unacked[i], unacked[i]);
    }
    tell(teller, client_id, KEPT_MESSAGES + 1); /* under none of those still in use */
    expect_message(peer, 0x32, ANY_FREE, KEPT_MESSAGES + 1);
    for (unsigned i = 0; i < 4; i++) {
        send_ack(peer, unacked[i]);
    }
    expect_pong(peer);
    close(peer.fd);
}

static void run_resumes(enum fmx_version version)
{
    char client_id[32];

    struct fmx_gateway *gateway = loop_gateway(2);
    struct loop_peer teller = join(fmx_gateway_port(gateway, 0), "teller", version);
    for (unsigned i = 0; i < RESUMES; i++) { /* on the same shard and on another */
        snprintf(client_id, sizeof client_id, "kept_%u", i);
        leave_four(gateway, teller, client_id);
        expect_four(gateway, teller, client_id);
    }
    close(teller.fd);
    LOOP_WAIT(loop_stats(gateway).connections_now == 0);
    LOOP_EQUAL(loop_stats(gateway).dropped_qos1, 0);
    loop_gateway_end(gateway);
}

static void regress_6_identifiers_survive_a_resume(void)
{
    loop_begin();
    run_resumes(FMX_MQTT_311);
    run_resumes(FMX_MQTT_50);
}

/* ── 7: a client that ended before it was listened to ── */

/* Time enough for the client to say all it has to say, and to be gone. */
static enum fmx_status admit_late(void *user, const struct fmx_gateway_session *session,
                                  fmx_slice password)
{
    (void)user;
    (void)password;
    if (!fmx_slice_equal(session->client_id, fmx_slice_of("heir"))) {
        loop_pause_ms(LATE_MS);
    }
    return FMX_OK;
}

static struct fmx_gateway *gateway_that_is_late(void)
{
    struct fmx_gateway_options options;

    loop_gateway_options(&options, 2);
    options.callbacks.on_connect = admit_late;
    return loop_gateway_start(&options);
}

/* All that was written lies with the other end's kernel. */
static bool is_all_taken(int fd)
{
    int waiting = -1;

    return ioctl(fd, SIOCOUTQ, &waiting) == 0 && waiting == 0;
}

static size_t write_last_words(uint8_t *out, unsigned round)
{
    static const uint8_t ping[] = {0xc0, 0};
    char text[32];

    snprintf(text, sizeof text, "dying_%u", round);
    size_t count = loop_write_connect(
        out, &(struct loop_connect){.client_id = text, .version = FMX_MQTT_311, .clean = true});
    for (unsigned i = 1; i <= LAST_WORDS; i++) {
        snprintf(text, sizeof text, "m%u", i);
        count += loop_write_publish(out + count, FMX_MQTT_311, "last", fmx_slice_of(text), 0, 0);
        if (i % 100 == 0) { /* its answer cannot be sent if the client is gone */
            memcpy(out + count, ping, sizeof ping);
            count += sizeof ping;
        }
    }
    return count;
}

/*
 * Ends its direction and listens on, or closes at once: then the answers meet a reset, and what was
 * said before still counts.
 */
static void say_all_and_end(uint16_t port, unsigned round)
{
    uint8_t *bytes = malloc(LAST_WORDS * 32u + 256);

    CU_ASSERT_FATAL(bytes != NULL);
    size_t count = write_last_words(bytes, round);
    int fd = loop_dial(port, 0);
    CU_ASSERT(loop_send(fd, bytes, count));
    CU_ASSERT(shutdown(fd, SHUT_WR) == 0);
    if (round % 2 == 0) {
        CU_ASSERT(loop_drain_to_end(fd));
    } else {
        LOOP_WAIT(is_all_taken(fd));
    }
    close(fd);
    free(bytes);
}

static void regress_7_a_client_that_ended_is_heard_out(void)
{
    loop_begin();
    struct fmx_gateway *gateway = gateway_that_is_late();
    struct loop_peer heir = join(fmx_gateway_port(gateway, 0), "heir", FMX_MQTT_311);
    loop_subscribe(heir, "last", 0);
    for (unsigned round = 0; round < LAST_WORD_ROUNDS; round++) {
        say_all_and_end(fmx_gateway_port(gateway, 0), round);
        for (unsigned i = 1; i <= LAST_WORDS; i++) {
            expect_message(heir, 0x30, 0, i);
        }
    }
    LOOP_EQUAL(loop_stats(gateway).publishes_in_qos0, LAST_WORD_ROUNDS * LAST_WORDS);
    LOOP_EQUAL(loop_stats(gateway).dropped_qos0, 0);
    close(heir.fd);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

/* ── 8: a connection right behind a goodbye ── */

/* It got the place of the one that had left, and an end that was meant for that one. */
static void regress_8_connects_right_after_a_goodbye_are_not_cut(void)
{
    loop_begin();
    struct fmx_gateway *gateway = loop_gateway(1);
    uint16_t port = fmx_gateway_port(gateway, 0);
    for (unsigned i = 0; i < GOODBYES; i++) {
        say_goodbye(join_number(port, "leaves", i, FMX_MQTT_311));
        struct loop_peer next = join_number(port, "comes", i, FMX_MQTT_311);
        expect_pong(next);
        say_goodbye(next);
    }
    LOOP_EQUAL(loop_stats(gateway).sessions_opened, 2 * GOODBYES);
    loop_expect_empty(gateway);
    loop_gateway_end(gateway);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(regress_1_large_packet_behind_connect_is_answered),
    FMX_TEST_CASE(regress_2_publishers_wake_after_another_shard_was_slow),
    FMX_TEST_CASE(regress_3_fleet_topics_know_client_id_and_user),
    FMX_TEST_CASE(regress_4_filters_may_outnumber_receive_maximum),
    FMX_TEST_CASE(regress_5_replacing_a_subscription_at_the_limit_is_allowed),
    FMX_TEST_CASE(regress_6_identifiers_survive_a_resume),
    FMX_TEST_CASE(regress_7_a_client_that_ended_is_heard_out),
    FMX_TEST_CASE(regress_8_connects_right_after_a_goodbye_are_not_cut),
};

int main(int argc, char **argv)
{
    return fmx_test_main("regress", cases, sizeof cases / sizeof cases[0], argc, argv);
}
