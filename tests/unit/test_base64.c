/*
 * test_base64 — the vectors of RFC 4648, every length, and what is not base64
 */
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tools/fleetmux/base64.h"

#include <string.h>

static const struct {
    const char *plain;
    const char *letters;
} vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/"},
};

#define VECTORS_COUNT (sizeof(vectors) / sizeof(vectors[0]))

static bool reads(const char *letters)
{
    uint8_t data[64];
    size_t bytes = 0;

    return base64_read(letters, strlen(letters), data, &bytes);
}

static void the_vectors_of_rfc_4648_hold(void)
{
    for (size_t index = 0; index < VECTORS_COUNT; index++) {
        const char *plain = vectors[index].plain, *wanted = vectors[index].letters;
        char letters[64];
        uint8_t data[64];
        size_t bytes = 0;
        size_t count = base64_write((const uint8_t *)plain, strlen(plain), letters);
        CU_ASSERT_EQUAL(count, strlen(wanted));
        CU_ASSERT_EQUAL(count, base64_letters(strlen(plain)));
        CU_ASSERT(memcmp(letters, wanted, count) == 0);
        CU_ASSERT(base64_read(wanted, strlen(wanted), data, &bytes));
        CU_ASSERT(bytes == strlen(plain) && memcmp(data, plain, bytes) == 0);
    }
}

static void every_length_comes_back(void)
{
    struct fmx_prng prng = {.state = 1};
    uint8_t plain[300], data[304];
    char letters[404];

    for (size_t length = 0; length <= sizeof(plain); length++) {
        size_t bytes = 0;
        for (size_t index = 0; index < length; index++) {
            plain[index] = (uint8_t)fmx_prng_next(&prng);
        }
        size_t count = base64_write(plain, length, letters);
        CU_ASSERT(base64_read(letters, count, data, &bytes));
        CU_ASSERT(bytes == length && memcmp(data, plain, length) == 0);
    }
}

static void what_is_not_base64_is_refused(void)
{
    static const char
        *const wrong[] =
            {
                "Z",    "Zg",       "Zg=",   "Zg===",      "=",      "====",
                "Z===", "Zg=v",     "Zm9v ", "Zm 9v",      "Zm9v\n", "Zm9_",
                "Zm9-", "Zg==Zg==", "Zm9v=", "\xc3\xa4==", "Zh==", /* bits behind the end */
                "Zm9=",
            };

    for (size_t index = 0; index < sizeof(wrong) / sizeof(wrong[0]); index++) {
        CU_ASSERT_FALSE(reads(wrong[index]));
    }
    CU_ASSERT(reads("Zg=="));
    CU_ASSERT(reads("Zm8="));
}

int main(int argc, char **argv)
{
    static const struct fmx_test_case cases[] = {
        FMX_TEST_CASE(the_vectors_of_rfc_4648_hold),
        FMX_TEST_CASE(every_length_comes_back),
        FMX_TEST_CASE(what_is_not_base64_is_refused),
    };

    return fmx_test_main("base64", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
