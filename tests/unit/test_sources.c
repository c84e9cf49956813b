/*
 * test_sources — counts of source addresses: a bound for each, IPv6 by its network, memory back
 */
#include "engine/sources.h"
#include "tests/support/run.h"

#include <arpa/inet.h>

static struct sockaddr_in6 name_of(const char *text)
{
    struct sockaddr_in6 name = {0};
    struct sockaddr_in *name4 = (struct sockaddr_in *)&name;

    if (strchr(text, ':') != NULL) {
        name.sin6_family = AF_INET6;
        CU_ASSERT_EQUAL_FATAL(inet_pton(AF_INET6, text, &name.sin6_addr), 1);
    } else {
        name4->sin_family = AF_INET;
        CU_ASSERT_EQUAL_FATAL(inet_pton(AF_INET, text, &name4->sin_addr), 1);
    }
    return name;
}

static uint32_t take(struct fmx_sources *sources, const char *text, uint32_t max)
{
    struct sockaddr_in6 name = name_of(text);

    return fmx_sources_take(sources, &name, max);
}

static void each_address_has_its_own_bound(void)
{
    struct fmx_sources sources = {0};

    CU_ASSERT_EQUAL_FATAL(fmx_sources_open(&sources, 7), FMX_OK);
    uint32_t first = take(&sources, "127.0.0.1", 2);
    CU_ASSERT_NOT_EQUAL(first, 0);
    CU_ASSERT_EQUAL(take(&sources, "127.0.0.1", 2), first);
    CU_ASSERT_EQUAL(take(&sources, "127.0.0.1", 2), 0);
    uint32_t other = take(&sources, "127.0.0.2", 2);
    CU_ASSERT_NOT_EQUAL(other, 0);
    CU_ASSERT_NOT_EQUAL(other, first);
    fmx_sources_give(&sources, first);
    CU_ASSERT_EQUAL(take(&sources, "127.0.0.1", 2), first);
    fmx_sources_give(&sources, first);
    fmx_sources_give(&sources, first);
    fmx_sources_give(&sources, other);
    fmx_sources_give(&sources, 0);
    CU_ASSERT_EQUAL(sources.slab.used, 0);
    CU_ASSERT_EQUAL(sources.index.used, 0);
    fmx_sources_close(&sources);
}

static void long_addresses_count_by_their_network(void)
{
    struct fmx_sources sources = {0};

    CU_ASSERT_EQUAL_FATAL(fmx_sources_open(&sources, 7), FMX_OK);
    uint32_t one = take(&sources, "2001:db8:1:2::1", 2);
    CU_ASSERT_EQUAL(take(&sources, "2001:db8:1:2:ffff::9", 2), one);
    CU_ASSERT_EQUAL(take(&sources, "2001:db8:1:2::3", 2), 0);
    uint32_t next = take(&sources, "2001:db8:1:3::1", 2);
    CU_ASSERT_NOT_EQUAL(next, 0);
    CU_ASSERT_NOT_EQUAL(next, one);
    fmx_sources_give(&sources, one);
    fmx_sources_give(&sources, one);
    fmx_sources_give(&sources, next);
    fmx_sources_close(&sources);
}

/* Same 64 bits, another family. */
static void families_do_not_mix(void)
{
    struct fmx_sources sources = {0};

    CU_ASSERT_EQUAL_FATAL(fmx_sources_open(&sources, 7), FMX_OK);
    uint32_t four = take(&sources, "0.0.0.0", 9);
    uint32_t six = take(&sources, "::1", 9);
    CU_ASSERT_NOT_EQUAL(four, six);
    fmx_sources_give(&sources, four);
    fmx_sources_give(&sources, six);
    fmx_sources_close(&sources);
}

static void many_come_and_go(void)
{
    enum { COUNT = 20000 };
    static uint32_t numbers[COUNT];
    struct fmx_sources sources = {0};

    CU_ASSERT_EQUAL_FATAL(fmx_sources_open(&sources, 7), FMX_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct sockaddr_in6 name = name_of("10.0.0.0");
        ((struct sockaddr_in *)&name)->sin_addr.s_addr = htonl(0x0a000000u + i / 2);
        numbers[i] = fmx_sources_take(&sources, &name, 2);
        CU_ASSERT_NOT_EQUAL_FATAL(numbers[i], 0);
    }
    CU_ASSERT_EQUAL(sources.index.used, COUNT / 2);
    for (uint32_t i = 0; i < COUNT; i++) {
        fmx_sources_give(&sources, numbers[i]);
    }
    CU_ASSERT_EQUAL(sources.index.used, 0);
    fmx_sources_close(&sources);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(each_address_has_its_own_bound),
    FMX_TEST_CASE(long_addresses_count_by_their_network),
    FMX_TEST_CASE(families_do_not_mix),
    FMX_TEST_CASE(many_come_and_go),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sources", cases, sizeof cases / sizeof cases[0], argc, argv);
}
