/*
 * loop_fleet_hostile — what a server does wrong is counted by cause, and ends nothing but its own
 * connection
 */
#include "proto/reason.h"
#include "tests/loop/hostile.h"
#include "tests/loop/support.h"

#define CONNECT   1
#define PUBLISH   3
#define SUBSCRIBE 8
#define MESSAGES  4u

/* What the server says to one kind of packet, and what the fleet makes of it. */
struct row {
    uint8_t to;
    const char *says_311; /* NULL: the row is not for this version */
    const char *says_5;
    enum hostile_end then;
    enum fmx_status status;
    uint8_t reason_311;
    uint8_t reason_5;
    const char *words;
    unsigned count; /* of the cause; 0: 1 */
    bool is_fault;
    bool goes_on;
};

#define ENDS(packet, in_311, in_5, cause, kind)                                                    \
    {                                                                                              \
        .to = (packet), .says_311 = (in_311), .says_5 = (in_5), .status = (cause),                 \
        .words = (kind), .is_fault = true                                                          \
    }
#define BORNE(packet, in_311, in_5, kind, times)                                                   \
    {                                                                                              \
        .to = (packet), .says_311 = (in_311), .says_5 = (in_5), .status = FMX_PEER_UNASKED,        \
        .words = (kind), .count = (times), .is_fault = true, .goes_on = true                       \
    }
#define GOES_ON(packet, in_311, in_5, cause, code_311, code_5, times)                              \
    {                                                                                              \
        .to = (packet), .says_311 = (in_311), .says_5 = (in_5), .status = (cause),                 \
        .reason_311 = (code_311), .reason_5 = (code_5), .count = (times), .goes_on = true          \
    }
#define LOST(packet, in_311, in_5, ends, cause, code_311, code_5)                                  \
    {                                                                                              \
        .to = (packet), .says_311 = (in_311), .says_5 = (in_5), .then = (ends), .status = (cause), \
        .reason_311 = (code_311), .reason_5 = (code_5)                                             \
    }

/* A fleet of one client, which subscribes to one topic and publishes some messages to it. */
struct world {
    struct hostile_script script;
    struct hostile *hostile;
    struct loop_plan plan;
};

static struct world world;
static const fmx_template filter[] = {"here/%i"};

static void prepare(const struct hostile_script *script)
{
    loop_begin();
    memset(&world, 0, sizeof world);
    world.script = *script;
    world.hostile = hostile_open(&world.script);
    loop_plan(&world.plan, 1, "hostile_%i");
    world.plan.group.version = script->version;
    world.plan.group.connect_timeout_ms = 300000; /* nothing here ends because it was late */
    world.plan.filters = filter;
    world.plan.filters_count = 1;
    world.plan.publish.topic = "here/%i";
    world.plan.publish.qos = 1;
    world.plan.publish.interval_ns = LOOP_MS_NS;
    world.plan.publish.messages_max = MESSAGES;
    world.plan.whole.mux.shards_count = 1;
}

static struct fmx_fleet *start(void)
{
    return loop_fleet(&world.plan, hostile_port(world.hostile));
}

static struct hostile_done end(struct fmx_fleet *fleet)
{
    fmx_fleet_close(fleet);
    return hostile_close(world.hostile);
}

/* In 5.0 a server that has let us in is told what it did; of QoS 2 a client has no code. */
static void expect_goodbye(const struct row *row, struct hostile_done done)
{
    uint8_t code = row->status == FMX_PEER_QOS2 ? FMX_REASON_IMPLEMENTATION
                                                : fmx_reason_for_disconnect(row->status);

    if (row->is_fault && !row->goes_on &&
        (row->to == SUBSCRIBE || strncmp(row->says_5, "20 03 0000", 10) == 0)) {
        LOOP_EQUAL(done.goodbye, code);
    }
}

static void expect_ledger(const struct fmx_fleet_counters *seen)
{
    LOOP_EQUAL(seen->publishes_sent_qos1, seen->publishes_acked + seen->publishes_refused +
                                              seen->publishes_unacked +
                                              seen->publishes_outstanding);
    LOOP_EQUAL(seen->received, seen->received_once + seen->received_copies +
                                   seen->received_redelivered + seen->received_duplicate +
                                   seen->received_foreign + seen->received_unchecked);
    if (seen->deliveries_expected > 0) {
        LOOP_EQUAL(seen->deliveries_expected, seen->received_once + seen->deliveries_lost);
    }
}

static void expect_row(const struct fmx_fleet *fleet, const struct row *row, bool is_5)
{
    const struct fmx_fleet_snapshot seen = loop_look(fleet);
    const struct fmx_fleet_cause *cause = &seen.causes[0];
    unsigned count = row->count > 0 ? row->count : 1;

    LOOP_EQUAL(seen.causes_count, 1);
    LOOP_EQUAL(-cause->status, -row->status);
    LOOP_EQUAL(cause->reason, is_5 ? row->reason_5 : row->reason_311);
    LOOP_EQUAL(cause->count, count);
    CU_ASSERT(row->words == NULL ? cause->words == NULL
                                 : cause->words != NULL && strcmp(cause->words, row->words) == 0);
    CU_ASSERT((fmx_fleet_cause_reason(cause) != NULL) == (cause->reason != 0));
    LOOP_EQUAL(seen.counters.server_faults, row->is_fault ? count : 0);
    LOOP_EQUAL(seen.counters.connections_lost + seen.counters.connects_failed, !row->goes_on);
    LOOP_EQUAL(seen.counters.publishes_sent,
               row->goes_on ? MESSAGES : seen.counters.publishes_sent);
    expect_ledger(&seen.counters);
}

static void play(const struct row *row, bool is_5)
{
    struct hostile_script script = {.version = is_5 ? FMX_MQTT_50 : FMX_MQTT_311,
                                    .to = row->to,
                                    .says = is_5 ? row->says_5 : row->says_311,
                                    .then = row->then};

    if (script.says == NULL) {
        return;
    }
    prepare(&script);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).finished);
    fmx_fleet_stop(fleet);
    unsigned failures = CU_get_number_of_failures();
    expect_row(fleet, row, is_5);
    if (CU_get_number_of_failures() > failures) {
        const struct fmx_fleet_cause cause = loop_look(fleet).causes[0];
        fprintf(stderr, "'%s' (%s): %s %s\n", script.says, is_5 ? "5.0" : "3.1.1",
                fmx_status_name(cause.status), cause.words != NULL ? cause.words : "");
    }
    struct hostile_done done = end(fleet);
    if (is_5) {
        expect_goodbye(row, done);
    }
}

static void play_all(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        play(&rows[i], false);
        play(&rows[i], true);
    }
}

#define PLAY_ALL(rows) play_all(rows, sizeof(rows) / sizeof((rows)[0]))

static void refusals_have_their_code(void)
{
    static const struct row rows[] = {
        LOST(CONNECT, "20 02 0005", "20 03 0087 00", HOSTILE_STAYS, FMX_PEER_REFUSED, 5, 0x87),
        LOST(CONNECT, "20 02 0003", "20 03 0089 00", HOSTILE_CLOSES, FMX_PEER_REFUSED, 3, 0x89),
        GOES_ON(PUBLISH, NULL, "40 04 eeee 97 00", FMX_PEER_MESSAGE_REFUSED, 0, 0x97, MESSAGES),
        GOES_ON(PUBLISH, NULL, "40 03 eeee 87", FMX_PEER_MESSAGE_REFUSED, 0, 0x87, MESSAGES),
        GOES_ON(SUBSCRIBE, "90 03 eeee 80", "90 04 eeee 00 a2", FMX_PEER_FILTER_REFUSED, 0x80, 0xa2,
                1),
        LOST(SUBSCRIBE, NULL, "90 04 eeee 00 00 e0 02 8b 00", HOSTILE_STAYS, FMX_PEER_DISCONNECT, 0,
             0x8b),
    };

    PLAY_ALL(rows);
}

static void a_reset_is_told_from_a_close(void)
{
    static const struct row rows[] = {
        LOST(CONNECT, "", "", HOSTILE_CLOSES, FMX_PEER_CLOSED, 0, 0),
        LOST(CONNECT, "", "", HOSTILE_RESETS, FMX_PEER_RESET, 0, 0),
        LOST(SUBSCRIBE, "90 03 eeee 00", "90 04 eeee 00 00", HOSTILE_CLOSES, FMX_PEER_CLOSED, 0, 0),
        LOST(SUBSCRIBE, "90 03 eeee 00", "90 04 eeee 00 00", HOSTILE_RESETS, FMX_PEER_RESET, 0, 0),
    };

    PLAY_ALL(rows);
}

static void what_nobody_asked_for_is_counted_and_borne(void)
{
    static const struct row rows[] = {
        BORNE(PUBLISH, "40 02 eeee 40 02 7777", "40 02 eeee 40 02 7777", "PUBACK", MESSAGES),
        BORNE(PUBLISH, "40 02 eeee 40 02 eeee", "40 03 eeee 00 40 02 eeee", "PUBACK", MESSAGES),
        BORNE(SUBSCRIBE, "d0 00 90 03 eeee 00", "d0 00 90 04 eeee 00 00", "PINGRESP", 1),
    };

    PLAY_ALL(rows);
}

static void what_breaks_the_protocol_ends_the_connection(void)
{
    static const struct row rows[] = {
        ENDS(SUBSCRIBE, "90 04 eeee 00 00", "90 05 eeee 00 00 00", FMX_PEER_SUBACK_CODES, "SUBACK"),
        ENDS(SUBSCRIBE, "90 02 eeee", "90 03 eeee 00", FMX_PEER_SHORT, "SUBACK"),
        ENDS(SUBSCRIBE, "90 03 7777 00", "90 04 7777 00 00", FMX_PEER_ACK, "SUBACK"),
        ENDS(SUBSCRIBE, "b0 02 eeee", "b0 04 eeee 00 00", FMX_PEER_ACK, "UNSUBACK"),
        ENDS(SUBSCRIBE, "40 02 eeee", "40 02 eeee", FMX_PEER_ACK, "PUBACK"),
        ENDS(CONNECT, "20 02 0000 20 02 0000", "20 03 0000 00 20 03 0000 00", FMX_PEER_ORDER,
             "CONNACK"),
        ENDS(CONNECT, "20 02 0000 82 06 0001 0001'a'00", "20 03 0000 00 82 07 0001 00 0001'a'00",
             FMX_PEER_KIND, "SUBSCRIBE"),
        ENDS(CONNECT, "20 02 0000 c0 00", "20 03 0000 00 c0 00", FMX_PEER_KIND, "PINGREQ"),
        ENDS(CONNECT, "20 02 0000 e0 00", NULL, FMX_PEER_KIND, "DISCONNECT"),
        ENDS(CONNECT, NULL, "20 03 0000 00 f0 00", FMX_PEER_ORDER, "AUTH"),
        ENDS(CONNECT, "20 02 0000 34 05 0001'a' 0001", "20 03 0000 00 34 06 0001'a' 0001 00",
             FMX_PEER_QOS2, "PUBLISH"),
        ENDS(CONNECT, "20 02 0100", "20 03 0100 00", FMX_PEER_ORDER,
             "CONNACK"), /* a session that was not to be there */
        ENDS(CONNECT, "20 02 00ff", "20 03 00ff 00", FMX_PEER_REASON_CODE, "CONNACK"),
    };

    PLAY_ALL(rows);
}

/* Other protocols, whose first bytes promise more than ever comes. */
static void garbage_is_refused_at_its_head(void)
{
    static const struct row rows[] = {
        ENDS(CONNECT, "'HTTP/1.1'", "'HTTP/1.1'", FMX_PEER_FLAGS, "PUBACK"),
        ENDS(CONNECT, "'SSH-2.0'", "'SSH-2.0'", FMX_PEER_FLAGS, "PUBREC"),
        ENDS(CONNECT, "'220 ready'", "'220 ready'", FMX_PEER_ORDER, "PUBLISH"),
        ENDS(CONNECT, "15 0303 0002", "15 0303 0002", FMX_PEER_KIND, "CONNECT"),
        ENDS(CONNECT, "00 7f", "00 7f", FMX_PEER_KIND, "type 0"),
        ENDS(CONNECT, "f0 ff7f", NULL, FMX_PEER_KIND, "AUTH"),
        ENDS(CONNECT, "20 7f", NULL, FMX_PEER_TRAILING, "CONNACK"),
        ENDS(SUBSCRIBE, "36 ff7f", "36 ff7f", FMX_PEER_QOS, "PUBLISH"),
        ENDS(SUBSCRIBE, "48 ff7f", "48 ff7f", FMX_PEER_FLAGS, "PUBACK"),
        ENDS(SUBSCRIBE, "30 ffffff7f", "30 ffffff7f", FMX_LIMIT_PACKET, "PUBLISH"),
        ENDS(SUBSCRIBE, "30 ffffffff", "30 ffffffff", FMX_PEER_LENGTH, "PUBLISH"),
    };

    PLAY_ALL(rows);
}

/* One kind of packet is never answered: its client gives up. */
static struct fmx_fleet_counters leave_unanswered(uint8_t kind)
{
    struct hostile_script script = {.version = FMX_MQTT_311, .to = kind, .says = ""};

    prepare(&script);
    world.plan.group.connect_timeout_ms = LOOP_SIZE(1000, 3000); /* its CONNACK is in time */
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).causes_count > 0);
    fmx_fleet_stop(fleet);
    const struct fmx_fleet_snapshot seen = loop_look(fleet);
    LOOP_EQUAL(seen.causes_count, 1);
    LOOP_EQUAL(-seen.causes[0].status, -FMX_PEER_SILENT);
    LOOP_EQUAL(seen.counters.server_faults, 0);
    LOOP_EQUAL(seen.counters.clients_subscribed, 0);
    (void)end(fleet);
    return seen.counters;
}

static void a_server_that_says_nothing_is_given_up(void)
{
    LOOP_EQUAL(leave_unanswered(CONNECT).clients_failed, 1);
}

static void a_server_that_leaves_out_a_suback_is_given_up(void)
{
    LOOP_EQUAL(leave_unanswered(SUBSCRIBE).clients_lost, 1);
}

/* ── who counts as subscribed ── */

static void whose_filters_are_all_refused_is_not_subscribed(void)
{
    struct hostile_script script = {
        .version = FMX_MQTT_311, .to = SUBSCRIBE, .says = "90 03 eeee 80"};

    prepare(&script);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.publishes_acked == MESSAGES); /* it goes on all the same */
    const struct fmx_fleet_snapshot seen = loop_look(fleet);
    LOOP_EQUAL(seen.counters.clients_subscribed, 0);
    LOOP_EQUAL(seen.counters.subscribes_refused, 1);
    LOOP_EQUAL(seen.ready_ns, 0);
    LOOP_EQUAL(loop_latency(fleet, FMX_FLEET_SUBACK).count, 1);
    fmx_fleet_stop(fleet);
    LOOP_EQUAL(loop_look(fleet).counters.clients_subscribed, 0);
    (void)end(fleet);
}

/* ── the ledger ── */

#define PUBLISHERS  4u
#define SUBSCRIBERS 2u
#define SEVERAL     50u /* of each publisher, to each of two topics */

static struct {
    char target[32];
    const char *targets[1];
    struct fmx_fleet_plan plan;
    struct fmx_fleet_group groups[2];
    struct fmx_fleet_publish publishes[2];
    struct fmx_fleet_subscribe subscribe;
    struct fmx_fleet_stage stages[3];
} many;

/* Subscribers come first, so that each message has to reach each of them. */
static struct fmx_fleet *begin_many(const struct hostile_script *script, bool is_other_marked)
{
    loop_begin();
    memset(&many, 0, sizeof many);
    world.script = *script;
    world.hostile = hostile_open(&world.script);
    snprintf(many.target, sizeof many.target, "127.0.0.1:%u", hostile_port(world.hostile));
    many.targets[0] = many.target;
    fmx_fleet_subscribe_init(&many.subscribe);
    many.subscribe.filter = "#";
    loop_group(&many.groups[0], "sub_%i", SUBSCRIBERS, many.targets);
    loop_group(&many.groups[1], "pub_%i", PUBLISHERS, many.targets);
    for (unsigned i = 0; i < 2; i++) {
        fmx_fleet_publish_init(&many.publishes[i]);
        many.publishes[i].topic = i == 0 ? "one/%i" : "other/%i";
        many.publishes[i].qos = 1;
        many.publishes[i].interval_ns = (i + 1) * LOOP_MS_NS;
        many.publishes[i].messages_max = (uint64_t)PUBLISHERS * SEVERAL;
    }
    if (!is_other_marked) {
        many.publishes[1].payload = fmx_slice_of("it is what it is");
    }
    many.groups[0].subscribes = &many.subscribe;
    many.groups[0].subscribes_count = 1;
    many.groups[1].publishes = many.publishes;
    many.groups[1].publishes_count = 2;
    loop_stages_of_two(many.stages, 0);
    loop_plan_of_two(&many.plan, many.groups, many.stages, 3);
    return loop_fleet_start(&many.plan);
}

static void refuse(unsigned refuses, bool passes_all)
{
    struct hostile_script script = {
        .version = FMX_MQTT_50, .refuses = refuses, .passes_all = passes_all};
    struct fmx_fleet *fleet = begin_many(&script, true);
    const uint64_t sent = 2ull * PUBLISHERS * SEVERAL;

    LOOP_WAIT(loop_look(fleet).finished);
    fmx_fleet_stop(fleet);
    struct hostile_done done = hostile_done(world.hostile);
    struct fmx_fleet_counters seen = loop_look(fleet).counters;
    LOOP_EQUAL(seen.publishes_sent, sent);
    LOOP_EQUAL(done.refused, sent / refuses);
    LOOP_EQUAL(done.passed, passes_all ? sent : sent - done.refused);
    LOOP_EQUAL(seen.publishes_refused, done.refused);
    LOOP_EQUAL(seen.received_once, done.passed * SUBSCRIBERS);
    LOOP_EQUAL(seen.deliveries_expected, done.passed * SUBSCRIBERS);
    LOOP_EQUAL(seen.deliveries_lost, 0);
    expect_ledger(&seen);
    (void)end(fleet);
}

static void a_refused_message_is_not_lost(void)
{
    refuse(3, false);
    refuse(2, false);
    refuse(1, false);
    refuse(1000, false); /* more than there are */
}

static void a_refused_message_that_comes_has_come(void)
{
    refuse(3, true);
}

/* It takes identifiers out of the same window, and says nothing of those that have a mark. */
static void a_refused_message_without_a_mark_is_nobodys(void)
{
    for (unsigned refuses = 1; refuses <= 4; refuses++) {
        struct hostile_script script = {.version = FMX_MQTT_50, .refuses = refuses};
        struct fmx_fleet *fleet = begin_many(&script, false);
        LOOP_WAIT(loop_look(fleet).finished);
        fmx_fleet_stop(fleet);
        struct hostile_done done = hostile_done(world.hostile);
        struct fmx_fleet_counters seen = loop_look(fleet).counters;
        LOOP_EQUAL(seen.publishes_refused, done.refused);
        LOOP_EQUAL(seen.received_once + seen.received_foreign, done.passed * SUBSCRIBERS);
        LOOP_EQUAL(seen.deliveries_expected, seen.received_once);
        LOOP_EQUAL(seen.deliveries_lost, 0);
        expect_ledger(&seen);
        (void)end(fleet);
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(refusals_have_their_code),
    FMX_TEST_CASE(a_reset_is_told_from_a_close),
    FMX_TEST_CASE(what_nobody_asked_for_is_counted_and_borne),
    FMX_TEST_CASE(what_breaks_the_protocol_ends_the_connection),
    FMX_TEST_CASE(garbage_is_refused_at_its_head),
    FMX_TEST_CASE(a_server_that_says_nothing_is_given_up),
    FMX_TEST_CASE(a_server_that_leaves_out_a_suback_is_given_up),
    FMX_TEST_CASE(whose_filters_are_all_refused_is_not_subscribed),
    FMX_TEST_CASE(a_refused_message_is_not_lost),
    FMX_TEST_CASE(a_refused_message_that_comes_has_come),
    FMX_TEST_CASE(a_refused_message_without_a_mark_is_nobodys),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_hostile", cases, sizeof cases / sizeof cases[0], argc, argv);
}
