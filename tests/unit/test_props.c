/*
 * test_props — MQTT 5.0 properties, against a second table
 */
#include "tests/support/run.h"

#include "tests/support/bytes.h"
#include "tests/support/cut.h"
#include "tests/support/packet_equal.h"
#include "tests/support/props_table.h"
#include "tests/support/random_packet.h"

#define PLACES_COUNT 16u

static bool has_props(unsigned place)
{
    return place != FMX_PINGREQ && place != FMX_PINGRESP;
}

static enum fmx_status read_of(const char *notation, unsigned place, struct fmx_props *out_props)
{
    static uint8_t bytes[128];
    size_t count = fmx_bytes_of(notation, bytes, sizeof bytes);
    struct fmx_reader reader = fmx_reader_of((fmx_slice){bytes, count});

    return fmx_props_read(&reader, place, out_props);
}

static const struct fmx_prop_row *row_of(unsigned prop)
{
    for (size_t i = 0; i < FMX_PROP_ROWS_COUNT; i++) {
        if (fmx_prop_rows[i].prop == prop) {
            return &fmx_prop_rows[i];
        }
    }
    return NULL;
}

/* A well-formed property `times` times in a block of its own. */
static enum fmx_status read_times(unsigned prop, unsigned times, unsigned place)
{
    static const char *const values[] = {"01", "0001", "00000001", "01", "0001'a'", "0001'a'"};
    const struct fmx_prop_row *row = row_of(prop);
    const char *value = row != NULL ? values[row->type] : "0001'k'0001'v'";
    char text[128];
    uint8_t one[16];
    size_t bytes = times * (1 + fmx_bytes_of(value, one, sizeof one));
    struct fmx_props props;
    int at = snprintf(text, sizeof text, "%02x", (unsigned)bytes);

    for (unsigned i = 0; i < times; i++) {
        at += snprintf(text + at, sizeof text - (size_t)at, "%02x%s", prop, value);
    }
    return read_of(text, place, &props);
}

static bool is_allowed(unsigned prop, unsigned place)
{
    const struct fmx_prop_row *row = row_of(prop);

    if (row == NULL) {
        return prop == FMX_PROP_USER_PROPERTY && has_props(place);
    }
    return fmx_prop_row_stands_in(row, place);
}

static void props_know_every_identifier_and_place(void)
{
    for (unsigned prop = 0; prop < 256; prop++) {
        for (unsigned place = 0; place < PLACES_COUNT; place++) {
            enum fmx_status expected = is_allowed(prop, place) ? FMX_OK : FMX_PEER_PROPERTY;
            CU_ASSERT_EQUAL(read_times(prop, 1, place), expected);
        }
    }
}

static void props_repeat_only_where_they_may(void)
{
    for (unsigned prop = 0; prop < 64; prop++) {
        for (unsigned place = 0; place < PLACES_COUNT; place++) {
            bool repeats = prop == FMX_PROP_USER_PROPERTY ||
                           (prop == FMX_PROP_SUBSCRIPTION_ID && place == FMX_PUBLISH);
            if (is_allowed(prop, place)) {
                CU_ASSERT_EQUAL(read_times(prop, 2, place),
                                repeats ? FMX_OK : FMX_PEER_PROPERTY_TWICE);
            }
        }
    }
}

static const struct {
    const char *block;
    uint8_t place;
    int16_t status;
} faults[] = {
    {"", FMX_PUBLISH, FMX_PEER_SHORT},
    {"01", FMX_PUBLISH, FMX_PEER_SHORT},
    {"80", FMX_PUBLISH, FMX_PEER_SHORT},
    {"8000", FMX_PUBLISH, FMX_PEER_SHORT},
    {"ffffffff7f", FMX_PUBLISH, FMX_PEER_SHORT},
    {"01 01", FMX_PUBLISH, FMX_PEER_SHORT},
    {"02 2300", FMX_PUBLISH, FMX_PEER_SHORT},
    {"03 02 0000", FMX_PUBLISH, FMX_PEER_SHORT},
    {"03 03 0001", FMX_PUBLISH, FMX_PEER_SHORT},
    {"03 26 0000", FMX_PUBLISH, FMX_PEER_SHORT},
    {"02 0b 80", FMX_PUBLISH, FMX_PEER_SHORT},
    {"03 0b 8000", FMX_PUBLISH, FMX_PEER_SHORT},
    {"06 0b ffffffffff", FMX_PUBLISH, FMX_PEER_SHORT},
    {"02 0b 00", FMX_PUBLISH, FMX_PEER_PROPERTY_VALUE},
    {"02 01 02", FMX_PUBLISH, FMX_PEER_PROPERTY_VALUE},
    {"02 17 02", FMX_CONNECT, FMX_PEER_PROPERTY_VALUE},
    {"02 19 ff", FMX_CONNECT, FMX_PEER_PROPERTY_VALUE},
    {"03 21 0000", FMX_CONNECT, FMX_PEER_PROPERTY_VALUE},
    {"05 27 00000000", FMX_CONNECT, FMX_PEER_PROPERTY_VALUE},
    {"03 21 0000", FMX_CONNACK, FMX_PEER_PROPERTY_VALUE},
    {"02 24 02", FMX_CONNACK, FMX_PEER_PROPERTY_VALUE},
    {"02 25 02", FMX_CONNACK, FMX_PEER_PROPERTY_VALUE},
    {"02 28 02", FMX_CONNACK, FMX_PEER_PROPERTY_VALUE},
    {"02 29 02", FMX_CONNACK, FMX_PEER_PROPERTY_VALUE},
    {"02 2a 02", FMX_CONNACK, FMX_PEER_PROPERTY_VALUE},
    {"04 03 0001 ff", FMX_PUBLISH, FMX_PEER_UTF8},
    {"04 1f 0001 00", FMX_PUBACK, FMX_PEER_UTF8},
    {"06 26 0001 ff 0000", FMX_PUBACK, FMX_PEER_UTF8},
    {"06 26 0000 0001 ff", FMX_PUBACK, FMX_PEER_UTF8},
    {"01 00", FMX_PUBLISH, FMX_PEER_PROPERTY},
    {"02 a6 00", FMX_PUBLISH, FMX_PEER_PROPERTY},
    {"06 01 01 23 0001 04", FMX_PUBLISH, FMX_PEER_PROPERTY},
};

static void props_name_what_is_malformed(void)
{
    struct fmx_props props;

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        enum fmx_status status = read_of(faults[i].block, faults[i].place, &props);
        if ((int)status != faults[i].status) {
            fprintf(stderr, "%s: %s\n", faults[i].block, fmx_status_name(status));
        }
        CU_ASSERT_EQUAL((int)status, faults[i].status);
    }
}

static void props_take_binary_data_as_it_is(void)
{
    struct fmx_props props;

    CU_ASSERT_EQUAL(read_of("05 09 0002 00ff", FMX_PUBLISH, &props), FMX_OK);
    CU_ASSERT_EQUAL(props.correlation_data.bytes, 2);
    CU_ASSERT_EQUAL(props.correlation_data.data[1], 0xff);
}

static void props_keep_the_last_of_several_subscription_ids(void)
{
    struct fmx_props props;

    CU_ASSERT_EQUAL(read_of("05 0b 01 0b ff7f", FMX_PUBLISH, &props), FMX_OK);
    CU_ASSERT_EQUAL(props.subscription_id, 16383);
}

static void props_leave_the_reader_behind_the_block(void)
{
    const uint8_t bytes[] = {0x02, 0x01, 0x01, 0x77};
    struct fmx_reader reader = fmx_reader_of((fmx_slice){bytes, sizeof bytes});
    struct fmx_props props;

    CU_ASSERT_EQUAL(fmx_props_read(&reader, FMX_PUBLISH, &props), FMX_OK);
    CU_ASSERT_EQUAL(fmx_read_u8(&reader), 0x77);
}

static void props_walk_user_properties_between_others(void)
{
    struct fmx_props props;
    size_t offset = 0;
    fmx_slice key, value;

    CU_ASSERT_EQUAL(read_of("15 26 0001'a'0001'1' 0101 0b8101 26 0001'a'0000", FMX_PUBLISH, &props),
                    FMX_PEER_SHORT);
    CU_ASSERT_EQUAL(read_of("12 26 0001'a'0001'1' 0101 0b8101 26 0001'a'0000", FMX_PUBLISH, &props),
                    FMX_OK);
    CU_ASSERT_EQUAL(props.user_count, 2);
    CU_ASSERT_EQUAL(fmx_props_next_user(props.raw, &offset, &key, &value), FMX_OK);
    CU_ASSERT(fmx_slice_equal(value, fmx_slice_of("1")));
    CU_ASSERT_EQUAL(fmx_props_next_user(props.raw, &offset, &key, &value), FMX_OK);
    CU_ASSERT(fmx_slice_equal(key, fmx_slice_of("a")));
    CU_ASSERT_EQUAL(value.bytes, 0);
    CU_ASSERT_EQUAL(fmx_props_next_user(props.raw, &offset, &key, &value), FMX_END);
    CU_ASSERT_EQUAL(fmx_props_next_user(props.raw, &offset, &key, &value), FMX_END);
}

static void props_write_an_empty_block_as_one_zero(void)
{
    struct fmx_props props = {0};
    uint8_t out[1] = {0xff};
    struct fmx_writer writer = fmx_writer_of(out, sizeof out);

    CU_ASSERT_EQUAL(fmx_props_bytes(&props), 1);
    fmx_props_write(&writer, &props);
    CU_ASSERT_FALSE(writer.failed);
    CU_ASSERT_EQUAL(out[0], 0);
}

static void expect_no_ok(void *context, fmx_slice prefix)
{
    struct fmx_reader reader = fmx_reader_of(prefix);
    struct fmx_props props;
    fmx_slice whole = *(const fmx_slice *)context;
    enum fmx_status status = fmx_props_read(&reader, FMX_PUBLISH, &props);

    CU_ASSERT_EQUAL(status, prefix.bytes == whole.bytes ? FMX_OK : FMX_PEER_SHORT);
}

static void props_are_short_wherever_they_are_cut(void)
{
    uint8_t bytes[64];
    size_t count = fmx_bytes_of("26 0101 0200000001 030001'c' 080001'r' 09000100 0b8101 23000a "
                                "260001'k'0001'v'",
                                bytes, sizeof bytes);
    bytes[0] = (uint8_t)(count - 1);
    fmx_slice whole = {bytes, count};

    fmx_cut_every_prefix(whole, expect_no_ok, &whole);
}

static void walk_every_prefix(void *context, fmx_slice prefix)
{
    size_t offset = 0;
    unsigned found = 0;
    fmx_slice key, value;

    (void)context;
    while (fmx_props_next_user(prefix, &offset, &key, &value) == FMX_OK) {
        found++;
    }
    CU_ASSERT(found <= 2 && offset == prefix.bytes);
}

static void props_walk_ends_in_a_torn_block(void)
{
    uint8_t bytes[64];
    size_t count =
        fmx_bytes_of("26 0001'a'0001'1' 0101 0b8101 26 0001'a'0000 7f", bytes, sizeof bytes);

    fmx_cut_every_prefix((fmx_slice){bytes, count}, walk_every_prefix, NULL);
}

static void round_trip(uint64_t seed, unsigned place)
{
    static struct fmx_random_store store;
    static uint8_t wire[1 << 18], again[1 << 18];
    struct fmx_prng prng = {seed};
    struct fmx_props made, read;

    store.used = 0;
    fmx_random_props(&prng, place, &store, &made);
    struct fmx_writer writer = fmx_writer_of(wire, fmx_props_bytes(&made));
    fmx_props_write(&writer, &made);
    fmx_slice written = {wire, (size_t)(writer.at - wire)};
    struct fmx_reader reader = fmx_reader_of(written);
    enum fmx_status status = fmx_props_read(&reader, place, &read);
    bool is_good = !writer.failed && writer.at == writer.end && status == FMX_OK &&
                   fmx_reader_left(&reader) == 0 && fmx_props_equal(&made, &read);
    if (is_good) {
        writer = fmx_writer_of(again, fmx_props_bytes(&read));
        fmx_props_write(&writer, &read);
        is_good = fmx_slice_equal(written, (fmx_slice){again, (size_t)(writer.at - again)});
    }
    if (!is_good) {
        fprintf(stderr, "seed %llu, place %u: %s\n", (unsigned long long)seed, place,
                fmx_status_name(status));
    }
    CU_ASSERT(is_good);
}

static void props_come_back_as_they_were_written(void)
{
    for (uint64_t seed = 0; seed < 8000; seed++) {
        unsigned place = (unsigned)(seed % PLACES_COUNT);
        if (has_props(place)) {
            round_trip(seed, place);
        }
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(props_know_every_identifier_and_place),
    FMX_TEST_CASE(props_repeat_only_where_they_may),
    FMX_TEST_CASE(props_name_what_is_malformed),
    FMX_TEST_CASE(props_take_binary_data_as_it_is),
    FMX_TEST_CASE(props_keep_the_last_of_several_subscription_ids),
    FMX_TEST_CASE(props_leave_the_reader_behind_the_block),
    FMX_TEST_CASE(props_walk_user_properties_between_others),
    FMX_TEST_CASE(props_write_an_empty_block_as_one_zero),
    FMX_TEST_CASE(props_are_short_wherever_they_are_cut),
    FMX_TEST_CASE(props_walk_ends_in_a_torn_block),
    FMX_TEST_CASE(props_come_back_as_they_were_written),
};

int main(int argc, char **argv)
{
    return fmx_test_main("props", cases, sizeof cases / sizeof cases[0], argc, argv);
}
