/*
 * test_fleet_message — what a fleet writes into messages and reads from them; where calls are
 * answered
 */
#include "engine/roles/fleet.h"
#include "tests/support/run.h"

#include <stdio.h>
#include <stdlib.h>

/* A shard as far as messages need one. */
static struct fmx_fleet fleet;
static struct fmx_fleet_shard shard;

static void begin(bool has_posts, uint32_t payload_bytes)
{
    struct fmx_fleet_plan plan;

    fmx_fleet_plan_init(&plan);
    plan.payload_bytes = payload_bytes;
    plan.platform.product_key = "pk";
    plan.platform.secret = "s";
    plan.platform.thing_model = has_posts;
    memset(&fleet, 0, sizeof fleet);
    memset(&shard, 0, sizeof shard);
    CU_ASSERT_FATAL(fmx_fleet_plan_copy(&fleet, &plan));
    shard.fleet = &fleet;
    CU_ASSERT_FATAL(fmx_fleet_message_open(&shard));
}

static void end(void)
{
    fmx_fleet_message_close(&shard);
    fmx_fleet_plan_wipe(&fleet);
}

static fmx_slice make(uint32_t index, uint64_t sequence, uint64_t planned_ns,
                      struct fmx_publish *out_publish)
{
    struct fmx_fleet_client client = {.index = index & FMX_FLEET_INDEX_MASK, .sequence = sequence};

    *out_publish = *fmx_fleet_message_make(&shard, &client, planned_ns);
    return out_publish->payload;
}

static void check_mark(fmx_slice payload, uint32_t publisher, uint64_t sequence,
                       uint64_t planned_ns)
{
    struct fmx_fleet_mark mark = {0};

    CU_ASSERT(fmx_fleet_mark_read(payload, &mark));
    CU_ASSERT_EQUAL(mark.publisher, publisher);
    CU_ASSERT_EQUAL(mark.sequence, sequence);
    CU_ASSERT_EQUAL(mark.planned_ns, planned_ns);
}

static void a_payload_says_who_which_and_when(void)
{
    struct fmx_publish publish;

    begin(false, 100);
    fmx_slice payload = make(41, UINT64_MAX - 1, 1234567890123456789u, &publish);
    CU_ASSERT_EQUAL(payload.bytes, 100);
    check_mark(payload, 42, UINT64_MAX - 1, 1234567890123456789u);
    payload.bytes = 23;
    CU_ASSERT_FALSE(fmx_fleet_mark_read(payload, &(struct fmx_fleet_mark){0}));
    end();
}

static void a_short_payload_has_no_mark(void)
{
    struct fmx_publish publish;

    begin(false, 23);
    fmx_slice payload = make(0, 0, 1, &publish);
    CU_ASSERT(fmx_slice_equal(payload, fmx_slice_of("abcdefghijklmnopqrstuvw")));
    end();
}

static const char post_of_7[] =
    "{\"id\":\"7\",\"version\":\"1.0\",\"params\":{\"mark\":"
    "\"666d783100000001000000000000000700000000000003e8\",\"pad\":\"aaaaaaaaaaaaaaaaaaa";

static void a_post_is_the_same_json_whatever_was_there_before(void)
{
    struct fmx_publish publish;
    static const char last[] = "\"},\"method\":\"thing.event.property.post\"}";

    for (uint32_t bytes = 0; bytes <= 300; bytes += 100) {
        begin(true, bytes);
        (void)make(9, UINT64_MAX, UINT64_MAX, &publish); /* the longest head there is */
        fmx_slice payload = make(0, 7, 1000, &publish);
        CU_ASSERT_EQUAL(payload.bytes, shard.payload_bytes);
        CU_ASSERT(payload.bytes >= bytes && payload.bytes < 300 + 1);
        CU_ASSERT_EQUAL(memcmp(payload.data, post_of_7, sizeof post_of_7 - 1), 0);
        CU_ASSERT_EQUAL(
            memcmp(payload.data + payload.bytes - (sizeof last - 1), last, sizeof last - 1), 0);
        CU_ASSERT_EQUAL(memchr(payload.data + sizeof post_of_7 - 1, '"',
                               payload.bytes - (sizeof post_of_7 - 1)),
                        payload.data + payload.bytes - (sizeof last - 1));
        end();
    }
}

static void a_post_says_who_which_and_when(void)
{
    struct fmx_publish publish;

    begin(true, 0);
    check_mark(make(5, 0, 0, &publish), 6, 0, 0);
    check_mark(make(5, UINT64_MAX, UINT64_MAX, &publish), 6, UINT64_MAX, UINT64_MAX);
    end();
}

static void a_topic_is_that_of_the_client_that_asks(void)
{
    struct fmx_fleet_client one = {.index = 0};
    struct fmx_fleet_client other = {.index = 8};

    begin(false, 24);
    fleet.plan.topic = "fleet/%i/up";
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT(
            fmx_slice_equal(fmx_fleet_message_topic(&shard, &one), fmx_slice_of("fleet/1/up")));
        CU_ASSERT(
            fmx_slice_equal(fmx_fleet_message_topic(&shard, &one), fmx_slice_of("fleet/1/up")));
        CU_ASSERT(
            fmx_slice_equal(fmx_fleet_message_topic(&shard, &other), fmx_slice_of("fleet/9/up")));
    }
    end();
}

static void other_payloads_have_no_mark(void)
{
    static const char *const texts[] = {
        "",
        "{",
        "{}",
        "{\"params\":{\"mark\":\"",
        "hello",
        "{\"id\":\"7\",\"version\":\"1.0\",\"params\":{\"mark\":\"666d7831\"}}",
        "{\"id\":\"7\",\"version\":\"1.0\",\"params\":{\"mark\":"
        "\"776d783100000001000000000000000700000000000003e8\"",
        "{\"id\":\"7\",\"version\":\"1.0\",\"params\":{\"mark\":"
        "\"666d78310000000100000000000000070000000000000xyz\""};
    struct fmx_fleet_mark mark;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t bytes = strlen(texts[i]);
        uint8_t *copy = malloc(bytes + 1); /* so that a read beyond it is seen */
        CU_ASSERT_FATAL(copy != NULL);
        uint8_t *exact = memcpy(realloc(copy, bytes > 0 ? bytes : 1), texts[i], bytes);
        CU_ASSERT_FALSE(fmx_fleet_mark_read((fmx_slice){.data = exact, .bytes = bytes}, &mark));
        free(exact);
    }
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
    FMX_TEST_CASE(a_short_payload_has_no_mark),
    FMX_TEST_CASE(a_post_is_the_same_json_whatever_was_there_before),
    FMX_TEST_CASE(a_post_says_who_which_and_when),
    FMX_TEST_CASE(a_topic_is_that_of_the_client_that_asks),
    FMX_TEST_CASE(other_payloads_have_no_mark),
    FMX_TEST_CASE(calls_are_answered_where_their_topics_say),
    FMX_TEST_CASE(other_messages_are_no_calls),
    FMX_TEST_CASE(a_topic_too_long_to_answer_is_no_call),
    FMX_TEST_CASE(replies_are_known_by_their_topic),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_message", cases, sizeof cases / sizeof cases[0], argc, argv);
}
