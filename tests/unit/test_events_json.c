/*
 * test_events_json — lines of events have their exact shape, are JSON whatever clients send, and
 * keep to their room
 */
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"
#include "tools/fleetmux/base64.h"
#include "tools/fleetmux/events_json.h"

#include <json-c/json.h>

#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 8192
#define TIME_MS    UINT64_C(1535700748205) /* 2018-08-31 07:32:28.205 UTC */

static char line[LINE_BYTES];

#define SLICE(literal)                                                                             \
    ((fmx_slice){.data = (const uint8_t *)(literal), .bytes = sizeof(literal) - 1})

static bool is_line(size_t bytes, const char *wanted)
{
    bool is_good = bytes == strlen(wanted) && memcmp(line, wanted, bytes) == 0;

    if (!is_good) {
        fprintf(stderr, "got    %.*swanted %s", (int)bytes, line, wanted);
    }
    return is_good;
}

static struct fmx_gateway_message a_message(void)
{
    return (struct fmx_gateway_message){
        .from = {0x2a},
        .message_id = UINT64_C(1234567890123456789),
        .product_key = SLICE("a1B2c3D4"),
        .device_name = SLICE("pump-1"),
        .topic = SLICE("/a1B2c3D4/pump-1/user/update"),
        .payload = SLICE("{\"on\":1}"),
        .qos = 1,
    };
}

static void a_device_that_comes_is_told_as_the_platform_does(void)
{
    struct fmx_gateway_session session = {
        .client_id = SLICE("ignored"),
        .product_key = SLICE("a1B2c3D4"),
        .device_name = SLICE("pump-1"),
        .address = SLICE("192.0.2.1"),
    };

    CU_ASSERT(
        is_line(events_json_online(&session, TIME_MS, line, LINE_BYTES),
                "{\"type\":\"status\",\"status\":\"online\",\"productKey\":\"a1B2c3D4\","
                "\"deviceName\":\"pump-1\",\"time\":\"2018-08-31 15:32:28.205\","
                "\"utcTime\":\"2018-08-31T07:32:28.205Z\",\"lastTime\":\"2018-08-31 15:32:28.205\","
                "\"utcLastTime\":\"2018-08-31T07:32:28.205Z\",\"clientIp\":\"192.0.2.1\"}\n"));
}

static void a_device_that_goes_is_told_with_its_reason_and_last_packet(void)
{
    struct fmx_gateway_end end = {
        .offline_code = 427,
        .last_in_ms = TIME_MS - 10,
        .product_key = SLICE("a1B2c3D4"),
        .device_name = SLICE("pump-1"),
        .address = SLICE("2001:db8::1"),
    };

    CU_ASSERT(
        is_line(events_json_offline(&end, TIME_MS, line, LINE_BYTES),
                "{\"type\":\"status\",\"status\":\"offline\",\"productKey\":\"a1B2c3D4\","
                "\"deviceName\":\"pump-1\",\"time\":\"2018-08-31 15:32:28.205\","
                "\"utcTime\":\"2018-08-31T07:32:28.205Z\",\"lastTime\":\"2018-08-31 15:32:28.195\","
                "\"utcLastTime\":\"2018-08-31T07:32:28.195Z\",\"clientIp\":\"2001:db8::1\","
                "\"offlineReasonCode\":427}\n"));
}

static struct fmx_tls_facts some_facts(void)
{
    return (struct fmx_tls_facts){.version = FMX_TLS_13, .suite = "TLS_AES_128_GCM_SHA256"};
}

static bool is_tls(const struct fmx_tls_facts *facts, const char *wanted)
{
    CU_ASSERT(events_json_tls_room(facts) <= LINE_BYTES);
    return is_line(events_json_tls(facts, line, events_json_tls_room(facts)), wanted);
}

static void what_tls_has_agreed_on_is_told_and_nothing_of_plain_connections(void)
{
    struct fmx_tls_facts facts = some_facts();
    struct fmx_gateway_session session = {.id = {0x2a}, .client_id = SLICE("c"), .tls = &facts};

    CU_ASSERT(
        is_line(events_json_online(&session, 0, line, LINE_BYTES),
                "{\"type\":\"status\",\"status\":\"online\",\"clientId\":\"c\","
                "\"session\":\"000000000000002a\","
                "\"time\":\"1970-01-01 08:00:00.000\",\"utcTime\":\"1970-01-01T00:00:00.000Z\""
                ",\"lastTime\":\"1970-01-01 08:00:00.000\","
                "\"utcLastTime\":\"1970-01-01T00:00:00.000Z\",\"clientIp\":\"\","
                "\"tls\":{\"version\":\"TLS 1.3\",\"suite\":\"TLS_AES_128_GCM_SHA256\","
                "\"resumed\":false}}\n"));
    facts.version = FMX_TLS_12;
    facts.resumed = true;
    facts.server_name = SLICE("mqtt.example.com");
    facts.alpn = SLICE("mqtt");
    facts.psk_identity = SLICE("pump\"\xff/cellar");
    CU_ASSERT(is_tls(&facts, "{\"version\":\"TLS 1.2\",\"suite\":\"TLS_AES_128_GCM_SHA256\","
                             "\"resumed\":true,\"serverName\":\"mqtt.example.com\","
                             "\"alpn\":\"mqtt\",\"pskIdentity\":\"pump\\\"\xef\xbf\xbd/cellar\"}"));
    facts = some_facts();
    facts.cert_name = SLICE("nobody has shown it");
    CU_ASSERT(is_tls(&facts, "{\"version\":\"TLS 1.3\",\"suite\":\"TLS_AES_128_GCM_SHA256\","
                             "\"resumed\":false}"));
    facts.has_client_cert = true;
    facts.client_cert_sha256[0] = 0x0a;
    facts.client_cert_sha256[31] = 0xf1;
    facts.cert_name = SLICE("cellar");
    facts.cert_organization = SLICE("pump");
    CU_ASSERT(is_tls(&facts, "{\"version\":\"TLS 1.3\",\"suite\":\"TLS_AES_128_GCM_SHA256\","
                             "\"resumed\":false,\"certSha256\":"
                             "\"0a000000000000000000000000000000000000000000000000000000000000f1\","
                             "\"certName\":\"cellar\",\"certOrganization\":\"pump\"}"));
}

static void whatever_a_peer_calls_itself_there_is_room_for_it_and_it_is_json(void)
{
    static const uint8_t nasty[200] = {0};
    struct fmx_tls_facts facts = some_facts();

    facts.has_client_cert = true;
    facts.server_name = facts.psk_identity = facts.cert_name = (fmx_slice){nasty, sizeof(nasty)};
    size_t room = events_json_tls_room(&facts), bytes = events_json_tls(&facts, line, room);
    CU_ASSERT_FATAL(bytes > 0 && bytes < LINE_BYTES);
    line[bytes] = '\0';
    json_object *object = json_tokener_parse(line);
    CU_ASSERT(object != NULL);
    json_object_put(object);
    for (size_t less = 0; less < bytes; less++) {
        CU_ASSERT_EQUAL(events_json_tls(&facts, line, less), 0);
    }
}

static void without_a_product_the_client_id_stands_in(void)
{
    struct fmx_gateway_session session = {.id = {0x2a}, .client_id = SLICE("say \"hi\"")};
    struct fmx_gateway_message message = {.from = {0x2a}, .topic = SLICE("a/b")};

    CU_ASSERT(
        is_line(events_json_online(&session, 0, line, LINE_BYTES),
                "{\"type\":\"status\",\"status\":\"online\",\"clientId\":\"say "
                "\\\"hi\\\"\",\"session\":\"000000000000002a\","
                "\"time\":\"1970-01-01 08:00:00.000\",\"utcTime\":\"1970-01-01T00:00:00.000Z\""
                ",\"lastTime\":\"1970-01-01 08:00:00.000\","
                "\"utcLastTime\":\"1970-01-01T00:00:00.000Z\",\"clientIp\":\"\"}\n"));
    CU_ASSERT(is_line(events_json_message(&message, 7, line, LINE_BYTES),
                      "{\"type\":\"message\",\"topic\":\"a/b\",\"messageId\":\"0\","
                      "\"generateTime\":7,\"session\":\"000000000000002a\",\"qos\":0,"
                      "\"payload\":\"\"}\n"));
}

static void a_message_has_what_it_came_with(void)
{
    struct fmx_gateway_message message = a_message();
    uint8_t properties[64];
    size_t bytes = 0;

    CU_ASSERT(is_line(events_json_message(&message, TIME_MS, line, LINE_BYTES),
                      "{\"type\":\"message\",\"topic\":\"/a1B2c3D4/pump-1/user/update\","
                      "\"messageId\":\"1234567890123456789\",\"generateTime\":1535700748205,"
                      "\"productKey\":\"a1B2c3D4\",\"deviceName\":\"pump-1\",\"qos\":1,"
                      "\"payload\":\"{\\\"on\\\":1}\"}\n"));
    message.payload = SLICE("\xff\x00");
    message.response_topic = SLICE("/a1B2c3D4/pump-1/user/get");
    message.has_correlation_data = true;
    message.correlation_data = SLICE("\x01\x02\x03\x04");
    message.content_type = SLICE("text/plain");
    message.payload_is_text = true;
    CU_ASSERT(fmx_user_property_write(properties, sizeof(properties), &bytes, SLICE("k"),
                                      SLICE("1")) == FMX_OK);
    CU_ASSERT(fmx_user_property_write(properties, sizeof(properties), &bytes, SLICE("k"),
                                      SLICE("")) == FMX_OK);
    message.user_properties = (fmx_slice){properties, bytes};
    CU_ASSERT(is_line(events_json_message(&message, TIME_MS, line, LINE_BYTES),
                      "{\"type\":\"message\",\"topic\":\"/a1B2c3D4/pump-1/user/update\","
                      "\"messageId\":\"1234567890123456789\",\"generateTime\":1535700748205,"
                      "\"productKey\":\"a1B2c3D4\",\"deviceName\":\"pump-1\",\"qos\":1,"
                      "\"payload64\":\"/wA=\",\"properties\":{"
                      "\"responseTopic\":\"/a1B2c3D4/pump-1/user/get\","
                      "\"correlationData\":\"AQIDBA==\",\"userProperty\":[{\"key\":\"k\",\"value\":"
                      "\"1\"},{\"key\":\"k\",\"value\":\"\"}],\"contentType\":\"text/plain\","
                      "\"payloadFormatIndicator\":1}}\n"));
}

static void correlation_data_of_no_bytes_is_still_there(void)
{
    struct fmx_gateway_message message = {.topic = SLICE("t"), .has_correlation_data = true};

    size_t bytes = events_json_message(&message, 0, line, LINE_BYTES);
    line[bytes] = '\0';
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"properties\":{\"correlationData\":\"\"}}"));
}

/* What a reader of JSON gets as the payload. False: it is no JSON, or not one line. */
static bool payload_comes_back(fmx_slice payload, bool *out_is_text)
{
    struct fmx_gateway_message message = {.topic = SLICE("t"), .payload = payload};
    size_t bytes = events_json_message(&message, 0, line, LINE_BYTES - 1), got = 0;
    uint8_t data[LINE_BYTES];
    json_object *value = NULL;

    line[bytes] = '\0';
    if (bytes == 0 || memchr(line, '\n', bytes) != line + bytes - 1) {
        return false;
    }
    json_object *root = json_tokener_parse(line);
    *out_is_text = json_object_object_get_ex(root, "payload", &value);
    if (*out_is_text) {
        got = (size_t)json_object_get_string_len(value);
        memcpy(data, json_object_get_string(value), got);
    } else if (!json_object_object_get_ex(root, "payload64", &value) ||
               !base64_read(json_object_get_string(value),
                            (size_t)json_object_get_string_len(value), data, &got)) {
        got = SIZE_MAX;
    }
    json_object_put(root);
    return fmx_slice_equal((fmx_slice){data, got}, payload);
}

static void every_byte_is_escaped_at_every_place(void)
{
    uint8_t text[24];
    bool is_text = false;

    for (unsigned byte = 0; byte < 0x80; byte++) {
        for (size_t place = 0; place < sizeof(text); place++) {
            memset(text, 'x', sizeof(text));
            text[place] = (uint8_t)byte;
            CU_ASSERT(payload_comes_back((fmx_slice){text, sizeof(text)}, &is_text) && is_text);
            CU_ASSERT(payload_comes_back((fmx_slice){text, place + 1}, &is_text) && is_text);
        }
    }
}

static void what_is_not_utf8_becomes_base64(void)
{
    static const struct {
        fmx_slice bytes;
        bool is_text;
    } samples[] = {
        {SLICE("\x7f"), true},
        {SLICE("\x80"), false},
        {SLICE("\xc0\x80"), false},
        {SLICE("\xc1\xbf"), false},
        {SLICE("\xc2\x80"), true},
        {SLICE("\xdf\xbf"), true},
        {SLICE("\xc2"), false},
        {SLICE("\xc2x"), false},
        {SLICE("\xe0\x9f\xbf"), false},
        {SLICE("\xe0\xa0\x80"), true},
        {SLICE("\xed\x9f\xbf"), true},
        {SLICE("\xed\xa0\x80"), false}, /* a surrogate */
        {SLICE("\xef\xbf\xbf"), true},
        {SLICE("\xe2\x82"), false},
        {SLICE("\xf0\x8f\xbf\xbf"), false},
        {SLICE("\xf0\x90\x80\x80"), true},
        {SLICE("\xf4\x8f\xbf\xbf"), true},
        {SLICE("\xf4\x90\x80\x80"), false},
        {SLICE("\xf5\x80\x80\x80"), false},
        {SLICE("\xff"), false},
    };
    uint8_t padded[32];

    for (size_t index = 0; index < sizeof(samples) / sizeof(samples[0]); index++) {
        fmx_slice sample = samples[index].bytes;
        for (size_t before = 0; before <= 16; before++) {
            bool is_text = false;
            memset(padded, 'x', sizeof(padded));
            memcpy(padded + before, sample.data, sample.bytes);
            fmx_slice whole = {padded, before + sample.bytes};
            CU_ASSERT(payload_comes_back(whole, &is_text));
            CU_ASSERT_EQUAL(is_text, samples[index].is_text);
            CU_ASSERT_EQUAL(events_json_is_text(whole), samples[index].is_text);
            whole.bytes = sizeof(padded);
            CU_ASSERT(payload_comes_back(whole, &is_text));
            CU_ASSERT_EQUAL(is_text, samples[index].is_text);
        }
    }
}

static void random_payloads_come_back(void)
{
    struct fmx_prng prng = {.state = 7};
    uint8_t payload[200];

    for (unsigned step = 0; step < 20000; step++) {
        size_t bytes = fmx_prng_below(&prng, sizeof(payload));
        unsigned kind = (unsigned)fmx_prng_below(&prng, 3);
        bool is_text = false;
        for (size_t index = 0; index < bytes; index++) {
            uint8_t byte = (uint8_t)fmx_prng_next(&prng);
            payload[index] = kind == 0 ? byte : kind == 1 ? byte & 0x7f : (uint8_t)('!' + byte % 8);
        }
        FMX_SEED_ASSERT(7, payload_comes_back((fmx_slice){payload, bytes}, &is_text));
        FMX_SEED_ASSERT(7, is_text == events_json_is_text((fmx_slice){payload, bytes}));
        FMX_SEED_ASSERT(7, is_text || kind == 0);
    }
}

static void names_that_are_not_utf8_are_mended(void)
{
    struct fmx_gateway_message message = {.topic = SLICE("a\xff\xc3\xa4\xe2\x82/b")};

    size_t bytes = events_json_message(&message, 0, line, LINE_BYTES);
    line[bytes] = '\0';
    CU_ASSERT_PTR_NOT_NULL(
        strstr(line, "\"topic\":\"a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd/b\""));
}

static void a_line_that_has_no_room_is_not_begun(void)
{
    struct fmx_gateway_message message = a_message();
    uint8_t properties[64];
    size_t bytes = 0;

    CU_ASSERT(fmx_user_property_write(properties, sizeof(properties), &bytes, SLICE("key"),
                                      SLICE("\x01")) == FMX_OK);
    message.user_properties = (fmx_slice){properties, bytes};
    message.content_type = SLICE("x");
    for (unsigned kind = 0; kind < 2; kind++) {
        message.payload = kind == 0 ? SLICE("\n\xff\"\\ some text that is longer than a word")
                                    : SLICE("\n\"\\ some text that is longer than a word");
        size_t whole = events_json_message(&message, TIME_MS, line, LINE_BYTES);
        CU_ASSERT(whole > 0);
        for (size_t room = 0; room < whole; room++) {
            char *tight = malloc(room + 1); /* so that a sanitizer sees a step too far */
            tight[room] = 'c';
            CU_ASSERT_EQUAL(events_json_message(&message, TIME_MS, tight, room), 0);
            CU_ASSERT_EQUAL(tight[room], 'c');
            free(tight);
        }
        CU_ASSERT_EQUAL(events_json_message(&message, TIME_MS, line, whole), whole);
    }
    CU_ASSERT_EQUAL(events_json_dropped(12, line, 27), 0);
    CU_ASSERT(is_line(events_json_dropped(12, line, LINE_BYTES),
                      "{\"type\":\"dropped\",\"count\":12}\n"));
}

static void dates_hold_at_the_ends_of_years_and_months(void)
{
    static const struct {
        uint64_t time_ms;
        const char *date;
    } samples[] = {
        {UINT64_C(951782399999), "2000-02-28T23:59:59.999Z"},
        {UINT64_C(951782400000), "2000-02-29T00:00:00.000Z"},
        {UINT64_C(951868800000), "2000-03-01T00:00:00.000Z"},
        {UINT64_C(978307199999), "2000-12-31T23:59:59.999Z"},
        {UINT64_C(978307200000), "2001-01-01T00:00:00.000Z"},
        {UINT64_C(1709164800000), "2024-02-29T00:00:00.000Z"},
        {UINT64_C(4107542399000), "2100-02-28T23:59:59.000Z"},
        {UINT64_C(4107542400000), "2100-03-01T00:00:00.000Z"},
    };
    struct fmx_gateway_session session = {.client_id = SLICE("c")};

    for (size_t index = 0; index < sizeof(samples) / sizeof(samples[0]); index++) {
        size_t bytes = events_json_online(&session, samples[index].time_ms, line, LINE_BYTES);
        line[bytes] = '\0';
        const char *time = strstr(line, "\"utcTime\":\"");
        CU_ASSERT(time != NULL && strncmp(time + 11, samples[index].date, 24) == 0);
    }
}

int main(int argc, char **argv)
{
    static const struct fmx_test_case cases[] = {
        FMX_TEST_CASE(a_device_that_comes_is_told_as_the_platform_does),
        FMX_TEST_CASE(a_device_that_goes_is_told_with_its_reason_and_last_packet),
        FMX_TEST_CASE(what_tls_has_agreed_on_is_told_and_nothing_of_plain_connections),
        FMX_TEST_CASE(whatever_a_peer_calls_itself_there_is_room_for_it_and_it_is_json),
        FMX_TEST_CASE(without_a_product_the_client_id_stands_in),
        FMX_TEST_CASE(a_message_has_what_it_came_with),
        FMX_TEST_CASE(correlation_data_of_no_bytes_is_still_there),
        FMX_TEST_CASE(every_byte_is_escaped_at_every_place),
        FMX_TEST_CASE(what_is_not_utf8_becomes_base64),
        FMX_TEST_CASE(random_payloads_come_back),
        FMX_TEST_CASE(names_that_are_not_utf8_are_mended),
        FMX_TEST_CASE(a_line_that_has_no_room_is_not_begun),
        FMX_TEST_CASE(dates_hold_at_the_ends_of_years_and_months),
    };

    return fmx_test_main("events_json", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
