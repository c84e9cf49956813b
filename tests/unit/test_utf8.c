/*
 * test_utf8 — which strings MQTT allows, against a decoder that counts code points
 */
#include "tests/support/run.h"

#include "proto/utf8.h"
#include "tests/support/bytes.h"
#include "tests/support/cut.h"
#include "tests/support/prng.h"

/* The twin: collects the code point, then asks whether it was written as short as can be. */
static bool is_valid_slowly(fmx_slice text)
{
    static const uint32_t least[] = {0x01, 0x80, 0x800, 0x10000};

    for (size_t i = 0; i < text.bytes;) {
        uint8_t lead = text.data[i++];
        unsigned more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : 3;
        if (more == 3 && lead >> 3 != 30) {
            return false;
        }
        uint32_t point = more == 0 ? lead : lead & (0x3fu >> more);
        for (unsigned k = 0; k < more; k++, i++) {
            if (i >= text.bytes || text.data[i] >> 6 != 2) {
                return false;
            }
            point = point << 6 | (text.data[i] & 0x3f);
        }
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
            return false;
        }
    }
    return true;
}

static bool is_valid(const char *notation)
{
    uint8_t bytes[64];
    size_t count = fmx_bytes_of(notation, bytes, sizeof bytes);

    return fmx_utf8_is_valid((fmx_slice){bytes, count});
}

static void utf8_accepts_the_edges_of_each_length(void)
{
    static const char *const good[] = {"",         "01",       "7f",
                                       "c280",     "dfbf",     "e0a080",
                                       "ecbfbf",   "ed8080",   "ed9fbf",
                                       "ee8080",   "efbfbe",   "efbfbf",
                                       "f0908080", "f3bfbfbf", "f4808080",
                                       "f48fbfbf", "efbbbf41", "'plain text, longer than a word'"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CU_ASSERT(is_valid(good[i]));
    }
}

static void utf8_refuses_what_is_just_beyond_the_edges(void)
{
    static const char *const bad[] = {
        "00",           "80",         "bf",         "c080",     "c1bf",        "c2",
        "c27f",         "c2c0",       "e08080",     "e09fbf",   "eda080",      "edbfbf",
        "e4b8",         "e4b87f",     "f0808080",   "f08fbfbf", "f4908080",    "f5808080",
        "ff",           "fe",         "f0908041",   "f09f98",   "e4",          "f0",
        "4100",         "41c3",       "f888808080", "edb080",   "'1234567'00", "'12345678'00",
        "'12345678'80", "00'1234567'"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (is_valid(bad[i])) {
            fprintf(stderr, "accepted %s\n", bad[i]);
        }
        CU_ASSERT_FALSE(is_valid(bad[i]));
    }
}

static void utf8_judges_every_pair_of_bytes_as_its_twin(void)
{
    for (unsigned pair = 0; pair < 65536; pair++) {
        uint8_t bytes[11] = "abcdefghijk";
        bytes[6] = (uint8_t)(pair >> 8);
        bytes[7] = (uint8_t)pair;
        fmx_slice text = {bytes + pair % 3, sizeof bytes - pair % 3};
        CU_ASSERT_EQUAL_FATAL(fmx_utf8_is_valid(text), is_valid_slowly(text));
    }
}

static void utf8_judges_every_three_and_four_bytes_as_its_twin(void)
{
    for (unsigned i = 0; i < 1u << 22; i++) {
        const uint8_t bytes[4] = {(uint8_t)(0xe0 | i >> 18), (uint8_t)(i >> 10),
                                  (uint8_t)(0x70 + (i >> 5 & 31) * 3),
                                  (uint8_t)(0x70 + (i & 31) * 3)};
        fmx_slice three = {bytes, 3};
        fmx_slice four = {bytes, 4};
        CU_ASSERT_EQUAL_FATAL(fmx_utf8_is_valid(three), is_valid_slowly(three));
        CU_ASSERT_EQUAL_FATAL(fmx_utf8_is_valid(four), is_valid_slowly(four));
    }
}

static void judge(void *context, fmx_slice prefix)
{
    (void)context;
    CU_ASSERT_EQUAL(fmx_utf8_is_valid(prefix), is_valid_slowly(prefix));
}

static void utf8_judges_every_prefix_as_its_twin(void)
{
    uint8_t bytes[64];
    size_t count = fmx_bytes_of("'word by word, then '41c3a9e4b8ade4b8ad'and'f09f9880'!'00'a'",
                                bytes, sizeof bytes);

    for (size_t start = 0; start < count; start++) {
        fmx_cut_every_prefix((fmx_slice){bytes + start, count - start}, judge, NULL);
    }
}

static void utf8_judges_random_bytes_as_its_twin(void)
{
    static const uint8_t likely[] = {0x00, 0x41, 0x7f, 0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xf0, 0xf4};
    struct fmx_prng prng = {20251122};

    for (unsigned round = 0; round < 200000; round++) {
        uint8_t bytes[24];
        size_t count = fmx_prng_below(&prng, sizeof bytes);
        for (size_t i = 0; i < count; i++) {
            uint64_t dice = fmx_prng_below(&prng, 40);
            bytes[i] = dice < sizeof likely ? likely[dice] : (uint8_t)('a' + dice % 26);
        }
        judge(NULL, (fmx_slice){bytes, count});
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(utf8_accepts_the_edges_of_each_length),
    FMX_TEST_CASE(utf8_refuses_what_is_just_beyond_the_edges),
    FMX_TEST_CASE(utf8_judges_every_pair_of_bytes_as_its_twin),
    FMX_TEST_CASE(utf8_judges_every_three_and_four_bytes_as_its_twin),
    FMX_TEST_CASE(utf8_judges_every_prefix_as_its_twin),
    FMX_TEST_CASE(utf8_judges_random_bytes_as_its_twin),
};

int main(int argc, char **argv)
{
    return fmx_test_main("utf8", cases, sizeof cases / sizeof cases[0], argc, argv);
}
