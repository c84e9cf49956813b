/*
 * test_payload — what is kept of a message, and what a receiver later sees of it
 */
#include "engine/payload.h"
#include "proto/limits.h"
#include "tests/support/packet_equal.h"
#include "tests/support/random_packet.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#define SEEDS  3000u
#define NOW_NS (1000 * FMX_NS_PER_S)

static const struct fmx_session_id somebody = {77};
static struct fmx_random_store store;

static const uint64_t passed_on =
    FMX_PROP_BIT(FMX_PROP_PAYLOAD_FORMAT) | FMX_PROP_BIT(FMX_PROP_CONTENT_TYPE) |
    FMX_PROP_BIT(FMX_PROP_RESPONSE_TOPIC) | FMX_PROP_BIT(FMX_PROP_CORRELATION_DATA) |
    FMX_PROP_BIT(FMX_PROP_USER_PROPERTY);

static struct fmx_publish plain(void)
{
    return (struct fmx_publish){
        .topic = fmx_slice_of("a/b"), .payload = fmx_slice_of("hello"), .qos = 1, .packet_id = 9};
}

static void make_publish(struct fmx_prng *prng, struct fmx_packet *packet)
{
    do {
        store.used = 0;
        fmx_random_packet(prng, FMX_MQTT_50, FMX_SIDE_CLIENT, &store, packet);
    } while (packet->kind != FMX_PUBLISH);
}

static void payload_shows_the_message_and_the_properties_that_are_passed_on(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct fmx_prng prng = {.state = seed};
        struct fmx_packet given;
        struct fmx_packet seen = {.kind = FMX_PUBLISH};
        make_publish(&prng, &given);
        struct fmx_payload *payload = fmx_payload_make(&given.publish, somebody, 0);
        FMX_SEED_ASSERT(seed, payload != NULL && payload->refs == 1);
        FMX_SEED_ASSERT(seed, payload->qos == given.publish.qos);
        FMX_SEED_ASSERT(seed, fmx_session_id_equal(payload->from, somebody));
        fmx_payload_view(payload, NOW_NS, &seen.publish);
        struct fmx_packet expected = {.kind = FMX_PUBLISH};
        expected.publish.topic = given.publish.topic;
        expected.publish.payload = given.publish.payload;
        expected.publish.props = given.publish.props;
        expected.publish.props.present &= passed_on;
        FMX_SEED_ASSERT(seed, fmx_packet_equal(&seen, &expected, FMX_MQTT_50));
        fmx_payload_give(payload);
    }
}

static void payload_outlives_the_bytes_it_was_made_from(void)
{
    uint8_t bytes[] = "a/bhello";
    struct fmx_publish given = {.topic = {bytes, 3}, .payload = {bytes + 3, 5}};
    struct fmx_publish seen;
    struct fmx_payload *payload = fmx_payload_make(&given, somebody, 0);

    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    memset(bytes, 0, sizeof(bytes));
    fmx_payload_view(payload, NOW_NS, &seen);
    CU_ASSERT(fmx_slice_equal(seen.topic, fmx_slice_of("a/b")));
    CU_ASSERT(fmx_slice_equal(seen.payload, fmx_slice_of("hello")));
    CU_ASSERT_EQUAL(fmx_payload_bytes(payload), sizeof(*payload) + 8);
    fmx_payload_give(payload);
}

static void payload_view_leaves_the_receivers_fields_to_the_receiver(void)
{
    struct fmx_publish given = plain();
    struct fmx_publish seen;
    struct fmx_payload *payload = fmx_payload_make(&given, somebody, 0);

    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    given.dup = true;
    fmx_payload_view(payload, NOW_NS, &seen);
    CU_ASSERT(seen.qos == 0 && seen.packet_id == 0 && !seen.dup && !seen.retain);
    fmx_payload_give(payload);
}

static uint32_t expiry_seen(const struct fmx_payload *payload, uint64_t now_ns)
{
    struct fmx_publish seen;

    fmx_payload_view(payload, now_ns, &seen);
    CU_ASSERT(fmx_props_has(&seen.props, FMX_PROP_MESSAGE_EXPIRY));
    return seen.props.message_expiry_s;
}

static void payload_expiry_counts_down_and_never_to_less_than_is_left(void)
{
    struct fmx_publish given = plain();
    struct fmx_payload *payload = fmx_payload_make(&given, somebody, NOW_NS + 10 * FMX_NS_PER_S);

    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    CU_ASSERT_EQUAL(expiry_seen(payload, NOW_NS), 10);
    CU_ASSERT_EQUAL(expiry_seen(payload, NOW_NS + 1), 10);
    CU_ASSERT_EQUAL(expiry_seen(payload, NOW_NS + FMX_NS_PER_S), 9);
    CU_ASSERT_EQUAL(expiry_seen(payload, NOW_NS + 9 * FMX_NS_PER_S + 1), 1);
    CU_ASSERT(!fmx_payload_is_expired(payload, NOW_NS + 10 * FMX_NS_PER_S - 1));
    CU_ASSERT(fmx_payload_is_expired(payload, NOW_NS + 10 * FMX_NS_PER_S));
    CU_ASSERT_EQUAL(expiry_seen(payload, NOW_NS + 20 * FMX_NS_PER_S), 0);
    fmx_payload_give(payload);
}

static void payload_without_expiry_never_expires(void)
{
    struct fmx_publish given = plain();
    struct fmx_publish seen;
    struct fmx_payload *payload = fmx_payload_make(&given, somebody, 0);

    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    CU_ASSERT(!fmx_payload_is_expired(payload, UINT64_MAX));
    fmx_payload_view(payload, UINT64_MAX, &seen);
    CU_ASSERT(!fmx_props_has(&seen.props, FMX_PROP_MESSAGE_EXPIRY));
    fmx_payload_give(payload);
}

static void payload_is_exported_as_it_is_if_nobody_else_needs_it(void)
{
    struct fmx_publish given = plain();
    struct fmx_payload *payload = fmx_payload_make(&given, somebody, 0);

    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    CU_ASSERT_PTR_EQUAL_FATAL(fmx_payload_export(payload), payload);
    CU_ASSERT_EQUAL(payload->refs, 1);
    fmx_payload_give(payload);
}

static void payload_is_exported_as_a_copy_if_others_hold_it(void)
{
    struct fmx_publish given = plain();
    struct fmx_publish seen;
    struct fmx_payload *payload = fmx_payload_make(&given, somebody, 5);

    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    struct fmx_payload *copy = fmx_payload_export(fmx_payload_take(payload));
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(copy, payload);
    CU_ASSERT(payload->refs == 1 && copy->refs == 1);
    fmx_payload_give(payload);
    fmx_payload_view(copy, 0, &seen);
    CU_ASSERT(fmx_slice_equal(seen.topic, given.topic));
    CU_ASSERT(fmx_slice_equal(seen.payload, given.payload));
    CU_ASSERT(copy->qos == 1 && copy->expires_ns == 5);
    fmx_payload_give(copy);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(payload_shows_the_message_and_the_properties_that_are_passed_on),
    FMX_TEST_CASE(payload_outlives_the_bytes_it_was_made_from),
    FMX_TEST_CASE(payload_view_leaves_the_receivers_fields_to_the_receiver),
    FMX_TEST_CASE(payload_expiry_counts_down_and_never_to_less_than_is_left),
    FMX_TEST_CASE(payload_without_expiry_never_expires),
    FMX_TEST_CASE(payload_is_exported_as_it_is_if_nobody_else_needs_it),
    FMX_TEST_CASE(payload_is_exported_as_a_copy_if_others_hold_it),
};

int main(int argc, char **argv)
{
    return fmx_test_main("payload", cases, sizeof cases / sizeof cases[0], argc, argv);
}
