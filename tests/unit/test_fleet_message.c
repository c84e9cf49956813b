/*
 * test_fleet_message — what a fleet writes into messages and reads from them; where calls are
 * answered
 */
#include "engine/roles/fleet_message.h"
#include "engine/roles/fleet_request.h"
#include "engine/shard.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"

#include <stdio.h>
#include <stdlib.h>

/* A fleet of one group, and a shard of it, as far as messages need them. */
static struct fmx_fleet fleet;
static struct fmx_shard engine;
static struct fmx_fleet_shard shard;
static struct fmx_fleet_crew crew;
static struct fmx_fleet_client clients[10];

static struct fmx_fleet_group group;
static struct fmx_fleet_publish publishes[2];
static const char *const targets[] = {"127.0.0.1:1883"};

/* What a test changes before it begins. */
static void prepare(void)
{
    fmx_fleet_group_init(&group);
    group.clients_count = 10;
    group.targets = targets;
    group.targets_count = 1;
    group.publishes = publishes;
    group.publishes_count = 1;
    for (size_t i = 0; i < 2; i++) {
        fmx_fleet_publish_init(&publishes[i]);
        publishes[i].topic = "fleet/%i/up";
    }
}

static void begin(void)
{
    struct fmx_fleet_plan plan;
    char error[300];

    fmx_fleet_plan_init(&plan);
    plan.groups = &group;
    plan.groups_count = 1;
    plan.seed = 7;
    memset(&fleet, 0, sizeof fleet);
    memset(&shard, 0, sizeof shard);
    memset(&crew, 0, sizeof crew);
    if (fmx_fleet_teams_open(&fleet, &plan, error, sizeof error) != FMX_OK) {
        fprintf(stderr, "%s\n", error);
        CU_FAIL_FATAL("no teams");
    }
    shard.fleet = &fleet;
    shard.shard = &engine;
    crew.team = &fleet.teams[0];
    crew.fleet = &shard;
    crew.clients = clients;
    for (uint32_t i = 0; i < 10; i++) {
        clients[i] = (struct fmx_fleet_client){.crew = &crew, .number = i & 0xff};
    }
    CU_ASSERT_FATAL(fmx_fleet_message_open(&shard));
}

static void end(void)
{
    fmx_fleet_message_close(&shard);
    fmx_fleet_teams_close(&fleet);
}

static struct fmx_message_wish wish_of(uint32_t number, uint64_t sequence, uint64_t planned_ns)
{
    return (struct fmx_message_wish){.client = &clients[number],
                                     .sequence = sequence,
                                     .sent_before = sequence,
                                     .planned_ns = planned_ns};
}

static fmx_slice make(uint32_t number, uint64_t sequence, uint64_t planned_ns)
{
    struct fmx_message_wish wish = wish_of(number, sequence, planned_ns);
    uint64_t hash;

    return fmx_fleet_message_make(&shard, &wish, &hash)->payload;
}

static void check_mark(fmx_slice payload, uint32_t publisher, uint64_t sequence,
                       uint64_t planned_ns, uint64_t sent_ns)
{
    struct fmx_fleet_mark mark = {0};

    CU_ASSERT(fmx_fleet_mark_read(payload, &mark));
    CU_ASSERT_EQUAL(mark.origin, fleet.origin);
    CU_ASSERT_EQUAL(mark.publisher, publisher);
    CU_ASSERT_EQUAL(mark.topic, 0);
    CU_ASSERT_EQUAL(mark.sequence, sequence);
    CU_ASSERT_EQUAL(mark.planned_ns, planned_ns);
    CU_ASSERT_EQUAL(mark.sent_ns, sent_ns);
    CU_ASSERT(fmx_fleet_mark_is_near(&fleet, &mark));
}

/* ── marks ── */

static void a_payload_says_who_which_and_when(void)
{
    prepare();
    publishes[0].payload_bytes = 100;
    begin();
    engine.now_ns = 1234567890123456799u;
    fmx_slice payload = make(4, (1ull << 48) - 2, 1234567890123456789u);
    CU_ASSERT_EQUAL(payload.bytes, 100);
    check_mark(payload, 4, (1ull << 48) - 2, 1234567890123456789u, 1234567890123456799u);
    CU_ASSERT_EQUAL(memcmp(payload.data + 32, "ghijklmnopqrstuvwxyzabc", 23), 0);
    payload.bytes = FMX_MARK_BYTES - 1;
    CU_ASSERT_FALSE(fmx_fleet_mark_read(payload, &(struct fmx_fleet_mark){0}));
    end();
}

static void lateness_is_never_below_0_nor_beyond_its_bits(void)
{
    prepare();
    begin();
    engine.now_ns = 5;
    check_mark(make(0, 0, 1000), 0, 0, 1000, 1000);
    engine.now_ns = UINT64_MAX;
    check_mark(make(0, 0, 1000), 0, 0, 1000, 1000 + (1ull << 48) - 1);
    end();
}

static void a_forged_time_does_not_wrap(void)
{
    uint8_t payload[FMX_MARK_BYTES];
    struct fmx_fleet_mark mark;

    memset(payload, 0xff, sizeof payload);
    memcpy(payload, "fmx2", 4);
    CU_ASSERT(fmx_fleet_mark_read((fmx_slice){.data = payload, .bytes = sizeof payload}, &mark));
    CU_ASSERT_EQUAL(mark.planned_ns, UINT64_MAX);
    CU_ASSERT_EQUAL(mark.sent_ns, UINT64_MAX);
}

static void skipped_messages_have_no_number_in_marks(void)
{
    struct fmx_fleet_mark mark;
    uint64_t hash;

    prepare();
    begin();
    struct fmx_message_wish wish = wish_of(0, 90, 0);
    wish.sent_before = 50;
    CU_ASSERT(fmx_fleet_mark_read(fmx_fleet_message_make(&shard, &wish, &hash)->payload, &mark));
    CU_ASSERT_EQUAL(mark.sequence, 50);
    end();
}

static void a_short_payload_has_no_mark(void)
{
    for (uint32_t bytes = 0; bytes < FMX_MARK_BYTES; bytes++) {
        prepare();
        publishes[0].payload_bytes = bytes;
        begin();
        fmx_slice payload = make(0, 0, 1);
        CU_ASSERT_EQUAL(payload.bytes, bytes);
        CU_ASSERT_EQUAL(memcmp(payload.data, "abcdefghijklmnopqrstuvwxyzabcdef", bytes), 0);
        CU_ASSERT_FALSE(fmx_fleet_is_marked(crew.team, 0));
        end();
    }
}

static void a_given_payload_is_sent_as_it_is(void)
{
    prepare();
    publishes[0].payload = fmx_slice_of("just this");
    begin();
    CU_ASSERT(fmx_slice_equal(make(0, 0, 1), fmx_slice_of("just this")));
    CU_ASSERT_FALSE(fmx_fleet_is_marked(crew.team, 0));
    end();
}

static void origins_agree_on_the_machine_and_differ_by_run(void)
{
    unsigned same = 0;

    for (unsigned i = 0; i < 16; i++) {
        uint32_t one = fmx_fleet_origin();
        uint32_t other = fmx_fleet_origin();
        CU_ASSERT_EQUAL(one >> 16, other >> 16);
        same += one == other;
    }
    CU_ASSERT(same <= 1);
}

/* ── posts ── */

static void begin_posts(uint32_t payload_bytes)
{
    prepare();
    group.platform.product_key = "pk";
    group.platform.secret = "s";
    publishes[0].thing_model = true;
    publishes[0].topic = NULL;
    publishes[0].payload_bytes = payload_bytes;
    begin();
}

static const char post_of_7[] = "{\"id\":\"7\",\"version\":\"1.0\",\"params\":{\"mark\":\"666d7832";
static const char post_last[] = "\"},\"method\":\"thing.event.property.post\"}";

static void a_post_is_whole_json_whatever_was_there_before(void)
{
    for (uint32_t bytes = 0; bytes <= 400; bytes += 100) {
        begin_posts(bytes);
        (void)make(9, UINT64_MAX, UINT64_MAX); /* the longest head there is */
        engine.now_ns = 1000;
        fmx_slice payload = make(0, 7, 1000);
        const char *text = (const char *)payload.data;
        size_t front = sizeof post_of_7 - 1 + FMX_MARK_DIGITS - 8 + strlen("\",\"pad\":\"");
        size_t pad = payload.bytes - front - (sizeof post_last - 1);
        CU_ASSERT(payload.bytes >= bytes && payload.bytes <= 400);
        CU_ASSERT_EQUAL(memcmp(text, post_of_7, sizeof post_of_7 - 1), 0);
        CU_ASSERT_EQUAL(memcmp(text + front - 9, "\",\"pad\":\"", 9), 0);
        size_t padded = 0;
        while (padded < pad && text[front + padded] == 'a') {
            padded++;
        }
        CU_ASSERT_EQUAL(padded, pad);
        CU_ASSERT_EQUAL(memcmp(text + front + pad, post_last, sizeof post_last - 1), 0);
        check_mark(payload, 0, 7, 1000, 1000);
        end();
    }
}

/* ── texts ── */

static void check_front(fmx_slice payload, const char *text)
{
    CU_ASSERT(payload.bytes > strlen(text) && memcmp(payload.data, text, strlen(text)) == 0);
}

static void a_text_is_filled_in_for_the_client_that_asks(void)
{
    struct fmx_fleet_mark mark;

    prepare();
    group.username = "u%n";
    publishes[0].text = "{\"id\":\"%c\",\"u\":\"%u\",\"s\":%s,\"m\":\"%m\"}";
    begin();
    engine.now_ns = 77;
    for (unsigned i = 0; i < 2; i++) {
        fmx_slice one = make(0, 5, 70);
        check_front(one, "{\"id\":\"fleetmux_1\",\"u\":\"u0\",\"s\":5,");
        check_mark(one, 0, 5, 70, 77);
        fmx_slice other = make(8, 6, 71);
        check_front(other, "{\"id\":\"fleetmux_9\",\"u\":\"u8\",\"s\":6,");
        check_mark(other, 8, 6, 71, 77);
        CU_ASSERT(fmx_fleet_mark_read(other, &mark));
    }
    CU_ASSERT(fmx_fleet_is_marked(crew.team, 0));
    end();
}

static void devices_have_their_names_in_texts(void)
{
    prepare();
    group.platform.product_key = "pk";
    group.platform.secret = "s";
    publishes[0].topic = "/%p/%d/user/up";
    publishes[0].text = "%p %d %c";
    begin();
    CU_ASSERT(fmx_slice_equal(make(2, 0, 0), fmx_slice_of("pk device_3 pk.device_3")));
    CU_ASSERT_FALSE(fmx_fleet_is_marked(crew.team, 0));
    end();
}

/* ── properties ── */

static void properties_are_those_of_the_plan(void)
{
    static const struct fmx_fleet_property user[] = {{"a", "1"}, {"b", "2"}};
    uint64_t hash;
    size_t offset = 0;
    fmx_slice key;
    fmx_slice value;

    prepare();
    publishes[0].properties = (struct fmx_fleet_properties){.response_topic = "back/%i",
                                                            .correlation_bytes = 11,
                                                            .user = user,
                                                            .user_count = 2,
                                                            .content_type = "application/json",
                                                            .message_expiry_s = 60,
                                                            .is_text = true};
    publishes[0].qos = 1;
    publishes[0].retain = true;
    publishes[1].qos = 0;
    group.publishes_count = 2;
    begin();
    struct fmx_message_wish wish = wish_of(3, 12, 0);
    const struct fmx_publish *message = fmx_fleet_message_make(&shard, &wish, &hash);
    const struct fmx_props *props = &message->props;
    CU_ASSERT(message->qos == 1 && message->retain && !message->dup);
    CU_ASSERT(fmx_props_has(props, FMX_PROP_PAYLOAD_FORMAT) && props->payload_format == 1);
    CU_ASSERT(fmx_props_has(props, FMX_PROP_MESSAGE_EXPIRY) && props->message_expiry_s == 60);
    CU_ASSERT(fmx_props_has(props, FMX_PROP_CONTENT_TYPE));
    CU_ASSERT(fmx_slice_equal(props->content_type, fmx_slice_of("application/json")));
    CU_ASSERT(fmx_props_has(props, FMX_PROP_RESPONSE_TOPIC));
    CU_ASSERT(fmx_slice_equal(props->response_topic, fmx_slice_of("back/4")));
    CU_ASSERT(fmx_props_has(props, FMX_PROP_CORRELATION_DATA));
    CU_ASSERT_EQUAL_FATAL(props->correlation_data.bytes, 11);
    struct fmx_reader reader = fmx_reader_of(props->correlation_data);
    uint64_t name = (uint64_t)fmx_read_u32(&reader) << 32;
    name |= fmx_read_u32(&reader);
    CU_ASSERT_EQUAL(name, fmx_fleet_request_name(3, 0, 12));
    CU_ASSERT_EQUAL(memcmp(props->correlation_data.data + 8, "ijk", 3), 0);
    CU_ASSERT_EQUAL(props->user_count, 2);
    CU_ASSERT_EQUAL(fmx_props_next_user(props->raw, &offset, &key, &value), FMX_OK);
    CU_ASSERT(fmx_slice_equal(key, fmx_slice_of("a")) && fmx_slice_equal(value, fmx_slice_of("1")));
    wish.topic = 1;
    message = fmx_fleet_message_make(&shard, &wish, &hash);
    CU_ASSERT_EQUAL(message->props.present, 0);
    CU_ASSERT_EQUAL(message->props.user_count, 0);
    CU_ASSERT(message->qos == 0 && !message->retain);
    end();
}

static void before_5_there_are_no_properties(void)
{
    uint64_t hash;

    prepare();
    group.version = FMX_MQTT_311;
    begin();
    struct fmx_message_wish wish = wish_of(3, 12, 0);
    const struct fmx_publish *message = fmx_fleet_message_make(&shard, &wish, &hash);
    CU_ASSERT_EQUAL(message->props.present, 0);
    CU_ASSERT_EQUAL(message->props.user_count, 0);
    end();
}

/* ── topics, hashes ── */

static void a_topic_is_that_of_the_client_that_asks(void)
{
    prepare();
    publishes[1].topic = "other";
    group.publishes_count = 2;
    begin();
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT(fmx_slice_equal(fmx_fleet_message_topic(&shard, &clients[0], 0),
                                  fmx_slice_of("fleet/1/up")));
        CU_ASSERT(fmx_slice_equal(fmx_fleet_message_topic(&shard, &clients[0], 0),
                                  fmx_slice_of("fleet/1/up")));
        CU_ASSERT(fmx_slice_equal(fmx_fleet_message_topic(&shard, &clients[0], 1),
                                  fmx_slice_of("other")));
        CU_ASSERT(fmx_slice_equal(fmx_fleet_message_topic(&shard, &clients[8], 0),
                                  fmx_slice_of("fleet/9/up")));
    }
    end();
}

static uint64_t hash_of(struct fmx_message_wish wish)
{
    uint64_t hash;

    (void)fmx_fleet_message_make(&shard, &wish, &hash);
    return hash;
}

static uint64_t hash_of_prepared(void)
{
    begin();
    uint64_t hash = hash_of(wish_of(0, 3, 5));
    end();
    return hash;
}

static void a_hash_knows_what_was_sent_but_not_when(void)
{
    static const struct fmx_fleet_property user[] = {{"a", "1"}};

    prepare();
    publishes[0].text = "%{int:0:1000000} %t %m";
    begin();
    struct fmx_message_wish wish = wish_of(0, 3, 5);
    uint64_t hash = hash_of(wish);
    wish.planned_ns = 9;
    wish.sent_before = 1;
    engine.now_ns++;
    CU_ASSERT_EQUAL(hash_of(wish), hash);
    wish.step = 1;
    CU_ASSERT_NOT_EQUAL(hash_of(wish), hash);
    CU_ASSERT_NOT_EQUAL(hash_of(wish_of(0, 4, 5)), hash);
    CU_ASSERT_NOT_EQUAL(hash_of(wish_of(1, 3, 5)), hash);
    end();
    CU_ASSERT_EQUAL(hash_of_prepared(), hash); /* another origin, another place in memory */
    publishes[0].text = "%{int:0:1000001} %t %m";
    CU_ASSERT_NOT_EQUAL(hash_of_prepared(), hash);
    publishes[0].text = "%{int:0:1000000} %t %m";
    publishes[0].topic = "fleet/%i/down";
    CU_ASSERT_NOT_EQUAL(hash_of_prepared(), hash);
    publishes[0].topic = "fleet/%i/up";
    publishes[0].qos = 1;
    CU_ASSERT_NOT_EQUAL(hash_of_prepared(), hash);
    publishes[0].qos = 0;
    publishes[0].properties.user = user;
    publishes[0].properties.user_count = 1;
    CU_ASSERT_NOT_EQUAL(hash_of_prepared(), hash);
    publishes[0].properties.user_count = 0;
    publishes[0].properties.response_topic = "r";
    CU_ASSERT_NOT_EQUAL(hash_of_prepared(), hash);
}

/* ── reading what others have sent ── */

static bool reads(const void *data, size_t bytes, struct fmx_fleet_mark *out_mark)
{
    uint8_t *exact = malloc(bytes > 0 ? bytes : 1); /* so that a read beyond it is seen */

    CU_ASSERT_FATAL(exact != NULL);
    if (bytes > 0) {
        memcpy(exact, data, bytes);
    }
    bool is_read = fmx_fleet_mark_read((fmx_slice){.data = exact, .bytes = bytes}, out_mark);
    free(exact);
    return is_read;
}

#define HEX_MARK "666d78320001000200000304000000000005000000000006000000000000000a"

static void a_mark_is_found_within_64_kib(void)
{
    static char payload[70000];
    struct fmx_fleet_mark mark = {0};

    for (size_t at = 0; at < sizeof payload - FMX_MARK_DIGITS; at += 1 + at / 3) {
        memset(payload, '6', sizeof payload);
        memcpy(payload + at, HEX_MARK, FMX_MARK_DIGITS);
        bool is_read = reads(payload, sizeof payload, &mark);
        CU_ASSERT_EQUAL(is_read, at + FMX_MARK_DIGITS <= 65536);
        if (is_read) {
            CU_ASSERT(mark.origin == 0x10002 && mark.publisher == 3 && mark.topic == 4);
            CU_ASSERT(mark.sequence == 5 && mark.planned_ns == 10 && mark.sent_ns == 16);
        }
    }
}

static void what_only_looks_like_a_mark_is_passed_over(void)
{
    struct fmx_fleet_mark mark = {0};
    static const char text[] = "666d7832zz 666d7832666d78 " HEX_MARK;

    CU_ASSERT(reads(text, sizeof text - 1, &mark));
    CU_ASSERT_EQUAL(mark.sequence, 5);
}

static void other_payloads_have_no_mark(void)
{
    static const char *const texts[] = {
        "",
        "{",
        "{}",
        "fmx2",
        "hello",
        "666d7832",
        "fmx1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "{\"id\":\"7\",\"version\":\"1.0\",\"params\":{\"mark\":\"666d7832\"}}",
        "666d7832000100020000030400000000000500000000000600000000000000g0",
        "666d783200010002000003040000000000050000000000060000000000000"};
    struct fmx_fleet_mark mark;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CU_ASSERT_FALSE(reads(texts[i], strlen(texts[i]), &mark));
    }
}

static void any_payload_can_be_read(void)
{
    static const char *const bits[] = {"666d7832", "fmx2", HEX_MARK, "6", "66", "0", "x", "\""};

    for (uint64_t seed = 1; seed <= 100000; seed++) {
        struct fmx_prng prng = {.state = seed};
        struct fmx_fleet_mark mark;
        uint8_t payload[300];
        size_t used = 0;
        while (used < 200 && fmx_prng_below(&prng, 10) > 0) {
            const char *bit = bits[fmx_prng_below(&prng, sizeof bits / sizeof bits[0])];
            size_t bytes = fmx_prng_below(&prng, strlen(bit) + 1);
            memcpy(payload + used, bit, bytes);
            used += bytes;
            payload[used] = (uint8_t)fmx_prng_next(&prng);
            used += fmx_prng_below(&prng, 8) == 0;
        }
        (void)reads(payload, used, &mark);
    }
    CU_PASS("nothing was read beyond a payload");
}

/* ── calls ── */

static void check_answer(const char *request, const char *answer)
{
    uint8_t out[FMX_TEMPLATE_BYTES_MAX];
    fmx_slice topic = fmx_fleet_answer_topic(fmx_slice_of(request), out);

    if (!fmx_slice_equal(topic, fmx_slice_of(answer))) {
        fprintf(stderr, "%s: '%.*s', not '%s'\n", request, (int)topic.bytes,
                (const char *)topic.data, answer);
        CU_FAIL("answered elsewhere");
    }
}

static void calls_are_answered_where_their_topics_say(void)
{
    check_answer("/sys/pk/dn/rrpc/request/889455942124347392",
                 "/sys/pk/dn/rrpc/response/889455942124347392");
    check_answer("/sys/p/d/rrpc/request/1", "/sys/p/d/rrpc/response/1");
    check_answer("/ext/rrpc/889455942124347392/pk/dn/user/get",
                 "/ext/rrpc/889455942124347392/pk/dn/user/get");
    check_answer("/ext/rrpc/1/sys/pk/dn/thing/service/x", "/ext/rrpc/1/sys/pk/dn/thing/service/x");
    check_answer("/ext/rrpc/1/t", "/ext/rrpc/1/t");
}

static void other_messages_are_no_calls(void)
{
    static const char *const topics[] = {"a",
                                         "/sys",
                                         "/sys/",
                                         "/sys/pk",
                                         "/sys/pk/dn",
                                         "/sys/pk/dn/rrpc/request",
                                         "/sys/pk/dn/rrpc/request/",
                                         "/sys/pk/dn/rrpc/request/1/2",
                                         "/sys/pk/dn/rrpc/response/1",
                                         "/sys/pk/rrpc/request/1",
                                         "/sys/pk/dn/thing/event/property/post_reply",
                                         "/ext/rrpc",
                                         "/ext/rrpc/",
                                         "/ext/rrpc/1",
                                         "/ext/rrpc/1/",
                                         "/ext/rrpc//t",
                                         "/ext/ntp/pk/dn/response",
                                         "x/sys/pk/dn/rrpc/request/1"};

    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        check_answer(topics[i], "");
    }
}

static void a_topic_too_long_to_answer_is_no_call(void)
{
    char topic[FMX_TEMPLATE_BYTES_MAX + 1];

    memset(topic, 'x', sizeof topic);
    memcpy(topic, "/sys/pk/dn/rrpc/request/", 24);
    topic[sizeof topic - 1] = '\0';
    check_answer(topic, "");
}

static void replies_are_known_by_their_topic(void)
{
    CU_ASSERT(fmx_fleet_is_thing_reply(fmx_slice_of("/sys/pk/dn/thing/event/property/post_reply")));
    CU_ASSERT_FALSE(fmx_fleet_is_thing_reply(fmx_slice_of("/thing/event/property/post_reply")));
    CU_ASSERT_FALSE(fmx_fleet_is_thing_reply(fmx_slice_of("/sys/pk/dn/thing/event/property/post")));
    CU_ASSERT_FALSE(fmx_fleet_is_thing_reply(fmx_slice_of("")));
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_payload_says_who_which_and_when),
    FMX_TEST_CASE(lateness_is_never_below_0_nor_beyond_its_bits),
    FMX_TEST_CASE(a_forged_time_does_not_wrap),
    FMX_TEST_CASE(skipped_messages_have_no_number_in_marks),
    FMX_TEST_CASE(a_short_payload_has_no_mark),
    FMX_TEST_CASE(a_given_payload_is_sent_as_it_is),
    FMX_TEST_CASE(origins_agree_on_the_machine_and_differ_by_run),
    FMX_TEST_CASE(a_post_is_whole_json_whatever_was_there_before),
    FMX_TEST_CASE(a_text_is_filled_in_for_the_client_that_asks),
    FMX_TEST_CASE(devices_have_their_names_in_texts),
    FMX_TEST_CASE(properties_are_those_of_the_plan),
    FMX_TEST_CASE(before_5_there_are_no_properties),
    FMX_TEST_CASE(a_topic_is_that_of_the_client_that_asks),
    FMX_TEST_CASE(a_hash_knows_what_was_sent_but_not_when),
    FMX_TEST_CASE(a_mark_is_found_within_64_kib),
    FMX_TEST_CASE(what_only_looks_like_a_mark_is_passed_over),
    FMX_TEST_CASE(other_payloads_have_no_mark),
    FMX_TEST_CASE(any_payload_can_be_read),
    FMX_TEST_CASE(calls_are_answered_where_their_topics_say),
    FMX_TEST_CASE(other_messages_are_no_calls),
    FMX_TEST_CASE(a_topic_too_long_to_answer_is_no_call),
    FMX_TEST_CASE(replies_are_known_by_their_topic),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_message", cases, sizeof cases / sizeof cases[0], argc, argv);
}
