/*
 * test_tls_record — records are found at their seams, and nothing else is taken for one
 */
#include "tests/support/cut.h"
#include "tests/support/run.h"
#include "tls/record.h"

static enum fmx_status next(const uint8_t *data, size_t bytes, size_t *out_bytes)
{
    return fmx_tls_record_next((fmx_slice){data, bytes}, out_bytes);
}

static void record_that_is_whole_has_its_size(void)
{
    const uint8_t record[] = {22, 3, 1, 0, 3, 'a', 'b', 'c', 23};
    size_t bytes = 0;

    CU_ASSERT_EQUAL(next(record, 8, &bytes), FMX_OK);
    CU_ASSERT_EQUAL(bytes, 8);
    CU_ASSERT_EQUAL(next(record, 9, &bytes), FMX_OK);
    CU_ASSERT_EQUAL(bytes, 8);
}

static void check_prefix(void *context, fmx_slice prefix)
{
    size_t bytes = 0;

    (void)context;
    CU_ASSERT_EQUAL(fmx_tls_record_next(prefix, &bytes), prefix.bytes < 8 ? FMX_MORE : FMX_OK);
    CU_ASSERT_EQUAL(bytes, prefix.bytes < 5 ? 5 : 8);
}

static void record_that_is_cut_wants_more(void)
{
    const uint8_t record[] = {23, 3, 3, 0, 3, 'a', 'b', 'c'};

    fmx_cut_every_prefix((fmx_slice){record, sizeof record}, check_prefix, NULL);
}

static void record_may_be_empty_and_as_large_as_the_standard_says(void)
{
    const uint8_t empty[] = {21, 3, 4, 0, 0};
    const uint8_t largest[] = {20, 3, 0, 0x48, 0};
    size_t bytes = 0;

    CU_ASSERT_EQUAL(next(empty, sizeof empty, &bytes), FMX_OK);
    CU_ASSERT_EQUAL(bytes, 5);
    CU_ASSERT_EQUAL(next(largest, sizeof largest, &bytes), FMX_MORE);
    CU_ASSERT_EQUAL(bytes, FMX_TLS_RECORD_BYTES_MAX);
}

static void record_is_refused_at_the_first_byte_that_is_wrong(void)
{
    const uint8_t kinds[] = {0, 16, 19, 24, 0x80, 255};
    const uint8_t old[] = {22, 2, 0, 0, 1};
    const uint8_t large[] = {22, 3, 1, 0x48, 1};
    const uint8_t larger[] = {22, 3, 1, 0x49, 0};
    size_t bytes = 0;

    for (size_t i = 0; i < sizeof kinds; i++) {
        CU_ASSERT_EQUAL(next(&kinds[i], 1, &bytes), FMX_TLS_RECORD);
    }
    CU_ASSERT_EQUAL(next(old, 1, &bytes), FMX_MORE);
    CU_ASSERT_EQUAL(next(old, 2, &bytes), FMX_TLS_RECORD);
    CU_ASSERT_EQUAL(next(large, 4, &bytes), FMX_MORE);
    CU_ASSERT_EQUAL(next(large, 5, &bytes), FMX_TLS_RECORD);
    CU_ASSERT_EQUAL(next(larger, 3, &bytes), FMX_MORE);
    CU_ASSERT_EQUAL(next(larger, 4, &bytes), FMX_TLS_RECORD);
}

static void record_of_plain_mqtt_or_http_is_none(void)
{
    const uint8_t connect[] = {0x10, 0x0c, 0, 4, 'M', 'Q', 'T', 'T'};
    size_t bytes = 0;

    CU_ASSERT_EQUAL(next(connect, sizeof connect, &bytes), FMX_TLS_RECORD);
    CU_ASSERT_EQUAL(next((const uint8_t *)"GET / HTTP", 10, &bytes), FMX_TLS_RECORD);
    CU_ASSERT_EQUAL(next(NULL, 0, &bytes), FMX_MORE);
    CU_ASSERT_EQUAL(bytes, 5);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(record_that_is_whole_has_its_size),
    FMX_TEST_CASE(record_that_is_cut_wants_more),
    FMX_TEST_CASE(record_may_be_empty_and_as_large_as_the_standard_says),
    FMX_TEST_CASE(record_is_refused_at_the_first_byte_that_is_wrong),
    FMX_TEST_CASE(record_of_plain_mqtt_or_http_is_none),
};

int main(int argc, char **argv)
{
    return fmx_test_main("tls_record", cases, sizeof cases / sizeof cases[0], argc, argv);
}
