/*
 * test_control — a request of the control socket is read exactly, and a wrong one is answered with
 * the name of its field
 */
#include "tests/support/run.h"
#include "tools/fleetmux/control_ask.h"

#include <json-c/json.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct control_ask ask;
static char error[CONTROL_ERROR_BYTES];

static bool reads(const char *line)
{
    control_ask_wipe(&ask);
    error[0] = '\0';
    return control_ask_read(line, strlen(line), &ask, error);
}

static bool refuses(const char *line, const char *words)
{
    bool is_refused = !reads(line) && strstr(error, words) != NULL;

    if (!is_refused) {
        fprintf(stderr, "%s\n  said   %s\n  wanted %s\n", line, error, words);
    }
    return is_refused;
}

static bool is_text(fmx_slice slice, const char *text)
{
    return fmx_slice_equal(slice, fmx_slice_of(text));
}

static void each_verb_is_known_by_its_name(void)
{
    CU_ASSERT(reads("{\"do\":\"status\"}") && ask.verb == CONTROL_STATUS && ask.id == NULL);
    CU_ASSERT(reads("{\"do\":\"stats\",\"id\":null}") && ask.verb == CONTROL_STATS);
    CU_ASSERT(reads("{\"do\":\"devices\",\"cursor\":\"18446744073709551615\"} \r") &&
              ask.cursor == UINT64_MAX);
    CU_ASSERT(reads("{\"do\":\"query\",\"productKey\":\"a\",\"deviceName\":\"b\"}") &&
              is_text(ask.product_key, "a") && is_text(ask.device_name, "b"));
    CU_ASSERT(reads("{\"do\":\"kick\",\"session\":\"00000000000000ff\"}") &&
              ask.session.bits == 0xff);
    CU_ASSERT(reads("{\"do\":\"limits\"}") && ask.limits.which == 0);
    CU_ASSERT(reads("{\"do\":\"reload\"}") && ask.verb == CONTROL_RELOAD);
    CU_ASSERT(refuses("{}", "field do: is missing"));
    CU_ASSERT(refuses("{\"do\":\"stat\"}", "did you mean 'stats'"));
    CU_ASSERT(refuses("{\"do\":\"status\\u0000\"}", "field do"));
}

static void the_id_is_kept_even_if_the_rest_is_wrong(void)
{
    CU_ASSERT(!reads("{\"what\":1,\"id\":{\"a\":[1]}}"));
    CU_ASSERT_STRING_EQUAL(json_object_to_json_string_ext(ask.id, JSON_C_TO_STRING_PLAIN),
                           "{\"a\":[1]}");
    CU_ASSERT(!reads("{\"id\":18446744073709551615,\"do\":7}"));
    CU_ASSERT_STRING_EQUAL(json_object_to_json_string(ask.id), "18446744073709551615");
}

static void a_publication_has_all_its_properties(void)
{
    const struct fmx_gateway_publication *publication = &ask.publication;
    fmx_slice key, value;
    size_t offset = 0;

    CU_ASSERT_FATAL(
        reads("{\"do\":\"publish\",\"productKey\":\"a\",\"deviceName\":\"b\",\"topic\":\"/a/b/x\","
              "\"payload64\":\"AP8=\",\"qos\":1,\"properties\":{\"responseTopic\":\"/a/b/y\","
              "\"correlationData\":\"\",\"userProperty\":[{\"key\":\"k\",\"value\":\"v1\"},"
              "{\"value\":\"\",\"key\":\"k\"}],\"contentType\":\"c\",\"payloadFormatIndicator\":1,"
              "\"messageExpiryInterval\":4294967295}}"));
    CU_ASSERT(is_text(publication->topic, "/a/b/x") && publication->qos == 1);
    CU_ASSERT(fmx_slice_equal(publication->payload, (fmx_slice){(const uint8_t *)"\0\xff", 2}));
    CU_ASSERT(is_text(publication->response_topic, "/a/b/y"));
    CU_ASSERT(publication->has_correlation_data && publication->correlation_data.bytes == 0);
    CU_ASSERT(is_text(publication->content_type, "c") && publication->payload_is_text);
    CU_ASSERT(publication->expiry_s == UINT32_MAX);
    CU_ASSERT(fmx_user_property_next(publication->user_properties, &offset, &key, &value) ==
                  FMX_OK &&
              is_text(key, "k") && is_text(value, "v1"));
    CU_ASSERT(fmx_user_property_next(publication->user_properties, &offset, &key, &value) ==
                  FMX_OK &&
              is_text(key, "k") && is_text(value, ""));
    CU_ASSERT(fmx_user_property_next(publication->user_properties, &offset, &key, &value) ==
              FMX_END);
    CU_ASSERT(reads("{\"do\":\"publish\",\"topic\":\"t\",\"payload\":\"\\u0000\\u00e4\"}"));
    CU_ASSERT(fmx_slice_equal(publication->payload, (fmx_slice){(const uint8_t *)"\0\xc3\xa4", 3}));
    CU_ASSERT(!publication->has_correlation_data && publication->user_properties.bytes == 0);
}

static void a_call_has_a_timeout_of_its_own_or_the_usual_one(void)
{
    CU_ASSERT(reads("{\"do\":\"call\",\"productKey\":\"a\",\"deviceName\":\"b\"}") &&
              ask.timeout_ms == CONTROL_TIMEOUT_MS && ask.publication.topic.bytes == 0);
    CU_ASSERT(
        reads("{\"do\":\"call\",\"productKey\":\"a\",\"deviceName\":\"b\",\"timeoutMs\":1}") &&
        ask.timeout_ms == 1);
}

static void limits_are_read_by_name(void)
{
    CU_ASSERT(reads("{\"do\":\"limits\",\"limits\":{\"receive_max\":7,"
                    "\"upstream_per_second\":\"none\",\"over_limit\":\"delay\"}}"));
    CU_ASSERT_EQUAL(ask.limits.which, 1U << FMX_LIM_receive_max |
                                          1U << FMX_LIM_upstream_per_second |
                                          1U << FMX_LIM_over_limit);
    CU_ASSERT_EQUAL(ask.limits.limits.receive_max, 7);
    CU_ASSERT_EQUAL(ask.limits.limits.upstream_per_second, FMX_UNLIMITED);
    CU_ASSERT_EQUAL(ask.limits.limits.over_limit, FMX_OVER_LIMIT_DELAY);
}

static void what_is_wrong_is_named(void)
{
    static const struct {
        const char *line, *words;
    } samples[] = {
        {"", "line: ends"},
        {"{\"do\":", "line: ends"},
        {"[]", "line: is no object"},
        {"{\"do\":\"status\"} {}", "line: is no JSON"},
        {"{'do':'status'}", "line: is no JSON"},
        {"{\"do\":\"\xff\"}", "line: is no JSON"},
        {"{\"a\":[[[[[[[[[[1]]]]]]]]]]}", "nesting"},
        {"{\"do\":null}", "field do: is null"},
        {"{\"do\":\"status\",\"id\":\""
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxx\"}",
         "field id"},
        {"{\"do\":\"status\",\"qos\":1}", "field qos: has no meaning"},
        {"{\"do\":\"reload\",\"topic\":\"t\"}", "field topic: has no meaning for 'reload'"},
        {"{\"do\":\"status\",\"device\":1}", "field device: is unknown"},
        {"{\"do\":\"publish\"}", "field topic: is missing"},
        {"{\"do\":\"publish\",\"topic\":1}", "field topic: is a number; write a string"},
        {"{\"do\":\"publish\",\"topic\":\"t\",\"qos\":2}", "field qos: is out of range"},
        {"{\"do\":\"publish\",\"topic\":\"t\",\"qos\":-1}", "field qos: is out of range"},
        {"{\"do\":\"publish\",\"topic\":\"t\",\"qos\":true}", "field qos: is true or false"},
        {"{\"do\":\"publish\",\"topic\":\"t\",\"payload64\":\"A\"}",
         "field payload64: is no base64"},
        {"{\"do\":\"publish\",\"topic\":\"t\",\"payload\":\"\",\"payload64\":\"\"}",
         "field payload"},
        {"{\"do\":\"publish\",\"topic\":\"t\",\"deviceName\":\"d\"}",
         "field productKey: is missing"},
        {"{\"do\":\"publish\",\"topic\":\"t\",\"properties\":1}", "field properties: is a number"},
        {"{\"do\":\"publish\",\"topic\":\"t\",\"properties\":{\"contentTypes\":\"\"}}",
         "did you mean 'contentType'"},
        {"{\"do\":\"publish\",\"topic\":\"t\",\"properties\":{\"userProperty\":[{\"key\":\"k\"}]}}",
         "field properties.userProperty"},
        {"{\"do\":\"publish\",\"topic\":\"t\",\"properties\":{\"messageExpiryInterval\":0}}",
         "field properties.messageExpiryInterval: is out of range"},
        {"{\"do\":\"query\",\"productKey\":\"a\"}", "field deviceName: is missing"},
        {"{\"do\":\"query\",\"productKey\":\"\",\"deviceName\":\"b\"}",
         "field productKey: is empty"},
        {"{\"do\":\"broadcast\"}", "field productKey: is missing"},
        {"{\"do\":\"call\",\"productKey\":\"a\",\"deviceName\":\"b\",\"timeoutMs\":0}",
         "field timeoutMs"},
        {"{\"do\":\"kick\"}", "field session"},
        {"{\"do\":\"kick\",\"session\":\"0x1\"}", "field session"},
        {"{\"do\":\"devices\",\"cursor\":\"18446744073709551616\"}", "field cursor"},
        {"{\"do\":\"devices\",\"cursor\":1}", "field cursor: is a number; write a string"},
        {"{\"do\":\"limits\",\"limits\":[]}", "field limits: is an array"},
        {"{\"do\":\"limits\",\"limits\":{\"recieve_max\":1}}", "field limits"},
        {"{\"do\":\"limits\",\"limits\":{\"receive_max\":0}}", "field limits: receive_max"},
        {"{\"do\":\"limits\",\"limits\":{\"receive_max\":{}}}", "field limits: is an object"},
    };

    for (size_t index = 0; index < sizeof(samples) / sizeof(samples[0]); index++) {
        CU_ASSERT(refuses(samples[index].line, samples[index].words));
    }
}

/* Every beginning of a good line, and every byte of it replaced: read or refused, no more. */
static void nothing_that_is_cut_or_torn_does_harm(void)
{
    static const char good[] =
        "{\"id\":1,\"do\":\"publish\",\"productKey\":\"a\",\"deviceName\":\"b\",\"topic\":\"/a/b\","
        "\"payload64\":\"AP8=\",\"properties\":{\"userProperty\":[{\"key\":\"k\",\"value\":\"v\"}],"
        "\"correlationData\":\"AAAA\"}}";
    static const char letters[] = "\"{}[]:,\\ 0a\xff\n";

    for (size_t bytes = 0; bytes < sizeof(good) - 1; bytes++) {
        char *line = malloc(bytes + 1);
        memcpy(line, good, bytes);
        control_ask_wipe(&ask);
        CU_ASSERT_FALSE(control_ask_read(line, bytes, &ask, error));
        for (size_t letter = 0; letter < sizeof(letters) && bytes > 0; letter++) {
            memcpy(line, good, bytes);
            line[letter * 7 % bytes] = letters[letter];
            control_ask_wipe(&ask);
            (void)control_ask_read(line, bytes, &ask, error);
        }
        free(line);
    }
    for (size_t place = 0; place < sizeof(good) - 1; place++) {
        for (size_t letter = 0; letter < sizeof(letters); letter++) {
            char line[sizeof(good)];
            memcpy(line, good, sizeof(good));
            line[place] = letters[letter];
            control_ask_wipe(&ask);
            (void)control_ask_read(line, sizeof(good) - 1, &ask, error);
        }
    }
    control_ask_wipe(&ask);
}

int main(int argc, char **argv)
{
    static const struct fmx_test_case cases[] = {
        FMX_TEST_CASE(each_verb_is_known_by_its_name),
        FMX_TEST_CASE(the_id_is_kept_even_if_the_rest_is_wrong),
        FMX_TEST_CASE(a_publication_has_all_its_properties),
        FMX_TEST_CASE(a_call_has_a_timeout_of_its_own_or_the_usual_one),
        FMX_TEST_CASE(limits_are_read_by_name),
        FMX_TEST_CASE(what_is_wrong_is_named),
        FMX_TEST_CASE(nothing_that_is_cut_or_torn_does_harm),
    };

    int result = fmx_test_main("control", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
    control_ask_wipe(&ask);
    return result;
}
