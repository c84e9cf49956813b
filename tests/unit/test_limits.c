/*
 * test_limits — every limit by name, in text, in its range; one set laid over another
 */
#include <fleetmux/limits.h>

#include "tests/support/run.h"

#include <stdio.h>

static const struct fmx_limits open_profile = {
#define OPEN(name, least, most, open, platform, may_be_unlimited, words) .name = (open),
    FMX_LIMITS_LIST(OPEN)
#undef OPEN
};

static const struct fmx_limits platform_profile = {
#define PLATFORM(name, least, most, open, platform, may_be_unlimited, words) .name = (platform),
    FMX_LIMITS_LIST(PLATFORM)
#undef PLATFORM
};

static bool sets(struct fmx_limits_override *override, enum fmx_limit limit, const char *value)
{
    char error[200] = "untouched";
    enum fmx_status status = fmx_limits_override_set(override, fmx_slice_of(fmx_limit_name(limit)),
                                                     fmx_slice_of(value), error, sizeof error);

    if (status == FMX_OK) {
        return true;
    }
    CU_ASSERT_EQUAL(status, FMX_E_OPTION);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, fmx_limit_name(limit)));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, value));
    return false;
}

static bool sets_number(struct fmx_limits_override *override, enum fmx_limit limit, uint64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return sets(override, limit, text);
}

static void limits_are_found_by_their_names(void)
{
    for (unsigned i = 0; i < FMX_LIMITS_COUNT; i++) {
        fmx_slice name = fmx_slice_of(fmx_limit_name((enum fmx_limit)i));
        CU_ASSERT_EQUAL(fmx_limit_find(name), i);
        CU_ASSERT(strlen(fmx_limit_words((enum fmx_limit)i)) > 10);
        name.bytes--;
        CU_ASSERT_EQUAL(fmx_limit_find(name), FMX_LIMITS_COUNT);
    }
    CU_ASSERT_EQUAL(fmx_limit_find((fmx_slice){0}), FMX_LIMITS_COUNT);
    CU_ASSERT_EQUAL(fmx_limit_find(fmx_slice_of("over_limit")), FMX_LIM_over_limit);
    CU_ASSERT_EQUAL(fmx_limit_find(fmx_slice_of("Over_limit")), FMX_LIMITS_COUNT);
}

static void limits_out_of_the_list_are_harmless(void)
{
    struct fmx_limits limits = platform_profile;
    uint32_t least = 1;
    uint32_t most = 1;
    bool may_be_unlimited = true;

    fmx_limits_set(&limits, FMX_LIMITS_COUNT, 5);
    CU_ASSERT_EQUAL(memcmp(&limits, &platform_profile, sizeof limits), 0);
    CU_ASSERT_EQUAL(fmx_limits_get(&limits, FMX_LIMITS_COUNT), 0);
    fmx_limit_range(FMX_LIMITS_COUNT, &least, &most, &may_be_unlimited);
    CU_ASSERT(least == 0 && most == 0 && !may_be_unlimited);
    CU_ASSERT_STRING_EQUAL(fmx_limit_name(FMX_LIMITS_COUNT), "?");
    CU_ASSERT_STRING_EQUAL(fmx_limit_words(FMX_LIMITS_COUNT), "?");
}

static void limits_are_got_and_set_where_the_struct_has_them(void)
{
    struct fmx_limits limits = {0};

#define TRY(name, least, most, open, platform, may_be_unlimited, words)                            \
    fmx_limits_set(&limits, FMX_LIM_##name, 77 + FMX_LIM_##name);                                  \
    CU_ASSERT_EQUAL(limits.name, 77 + FMX_LIM_##name);                                             \
    limits.name = 99;                                                                              \
    CU_ASSERT_EQUAL(fmx_limits_get(&limits, FMX_LIM_##name), 99);
    FMX_LIMITS_LIST(TRY)
#undef TRY
}

static void limits_have_the_ranges_of_the_list(void)
{
    uint32_t low;
    uint32_t high;
    bool unlimited;

#define TRY(name, least, most, open, platform, may_be_unlimited, words)                            \
    fmx_limit_range(FMX_LIM_##name, &low, &high, &unlimited);                                      \
    CU_ASSERT(low == (least) && high == (most) && unlimited == (may_be_unlimited));                \
    CU_ASSERT_STRING_EQUAL(fmx_limit_words(FMX_LIM_##name), words);
    FMX_LIMITS_LIST(TRY)
#undef TRY
}

static void override_takes_every_limit_at_the_ends_of_its_range(void)
{
    for (unsigned i = 0; i < FMX_LIMITS_COUNT; i++) {
        enum fmx_limit limit = (enum fmx_limit)i;
        struct fmx_limits_override override = {0};
        uint32_t least;
        uint32_t most;
        bool may_be_unlimited;
        fmx_limit_range(limit, &least, &most, &may_be_unlimited);
        CU_ASSERT(sets_number(&override, limit, least));
        CU_ASSERT_EQUAL(override.which, UINT32_C(1) << i);
        CU_ASSERT_EQUAL(fmx_limits_get(&override.limits, limit), least);
        CU_ASSERT(sets_number(&override, limit, most));
        CU_ASSERT_EQUAL(fmx_limits_get(&override.limits, limit), most);
        CU_ASSERT_FALSE(sets_number(&override, limit, (uint64_t)most + 1));
        CU_ASSERT(least == 0 || !sets_number(&override, limit, least - 1));
        CU_ASSERT_EQUAL(fmx_limits_get(&override.limits, limit), most);
        CU_ASSERT_EQUAL(sets(&override, limit, "none"), may_be_unlimited);
        CU_ASSERT_EQUAL(fmx_limits_get(&override.limits, limit),
                        may_be_unlimited ? FMX_UNLIMITED : most);
    }
}

static void override_refuses_what_is_no_value_and_stays_as_it_was(void)
{
    static const char *const values[] = {
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "0x10",
        "1e3",
        "1.5",
        "1k",
        "None",
        "4294967295",
        "4294967296",
        "99999999999999999999",
        "drop it",
        "unlimited",
        "Drop",
    };
    const struct fmx_limits_override none = {0};

    for (unsigned i = 0; i < FMX_LIMITS_COUNT; i++) {
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            struct fmx_limits_override override = none;
            CU_ASSERT_FALSE(sets(&override, (enum fmx_limit)i, values[v]));
            CU_ASSERT_EQUAL(memcmp(&override, &none, sizeof none), 0);
        }
    }
}

static void override_knows_the_words_of_over_limit_alone(void)
{
    static const char *const words[] = {"drop", "delay", "disconnect"};

    for (unsigned i = 0; i < FMX_LIMITS_COUNT; i++) {
        for (unsigned w = 0; w < 3; w++) {
            struct fmx_limits_override override = {0};
            CU_ASSERT_EQUAL(sets(&override, (enum fmx_limit)i, words[w]), i == FMX_LIM_over_limit);
            CU_ASSERT(i != FMX_LIM_over_limit || override.limits.over_limit == w);
        }
    }
}

static void override_names_limit_value_and_range_in_its_error(void)
{
    struct fmx_limits_override override = {0};
    fmx_slice value = fmx_slice_of("5");
    char error[200];

    CU_ASSERT_EQUAL(fmx_limits_override_set(&override, fmx_slice_of("packet_bytes_max"), value,
                                            error, sizeof error),
                    FMX_E_OPTION);
    CU_ASSERT_STRING_EQUAL(error, "packet_bytes_max: '5' will not do; use 16 to 268435460");
    CU_ASSERT_EQUAL(fmx_limits_override_set(&override, fmx_slice_of("upstream_per_second"),
                                            fmx_slice_of("0"), error, sizeof error),
                    FMX_E_OPTION);
    CU_ASSERT_STRING_EQUAL(error,
                           "upstream_per_second: '0' will not do; use 1 to 1000000, or none");
    CU_ASSERT_EQUAL(
        fmx_limits_override_set(&override, fmx_slice_of("over_limit"), value, error, sizeof error),
        FMX_E_OPTION);
    CU_ASSERT_STRING_EQUAL(error, "over_limit: '5' will not do; use drop, delay or disconnect");
    CU_ASSERT_EQUAL(fmx_limits_override_set(&override, fmx_slice_of("paket_bytes_max"), value,
                                            error, sizeof error),
                    FMX_E_OPTION);
    CU_ASSERT_STRING_EQUAL(error, "'paket_bytes_max' is no limit");
}

static void override_shows_foreign_text_cut_and_printable(void)
{
    struct fmx_limits_override override = {0};
    uint8_t text[1000];
    char error[200];

    memset(text, 0x1b, sizeof text);
    fmx_slice foreign = {text, sizeof text};
    CU_ASSERT_EQUAL(fmx_limits_override_set(&override, foreign, foreign, error, sizeof error),
                    FMX_E_OPTION);
    CU_ASSERT_EQUAL(strspn(error + 1, "?"), 40);
    CU_ASSERT_STRING_EQUAL(error + 41, "' is no limit");
    CU_ASSERT_EQUAL(fmx_limits_override_set(&override, fmx_slice_of("receive_max"), foreign, error,
                                            sizeof error),
                    FMX_E_OPTION);
    CU_ASSERT_PTR_NULL(strchr(error, 0x1b));
    CU_ASSERT_EQUAL(fmx_limits_override_set(&override, foreign, foreign, error, 4), FMX_E_OPTION);
    CU_ASSERT_STRING_EQUAL(error, "'??");
    CU_ASSERT_EQUAL(fmx_limits_override_set(&override, foreign, foreign, NULL, 0), FMX_E_OPTION);
}

static void override_changes_only_what_it_names(void)
{
    for (unsigned i = 0; i < FMX_LIMITS_COUNT; i++) {
        struct fmx_limits limits = platform_profile;
        struct fmx_limits expected = platform_profile;
        struct fmx_limits_override override = {.which = UINT32_C(1) << i};
        memset(&override.limits, 1, sizeof override.limits);
        fmx_limits_apply(&limits, &override);
        fmx_limits_set(&expected, (enum fmx_limit)i, 0x01010101);
        CU_ASSERT_EQUAL(memcmp(&limits, &expected, sizeof limits), 0);
    }
}

static void override_of_nothing_changes_nothing(void)
{
    struct fmx_limits limits = open_profile;
    struct fmx_limits_override override = {.which = ~((UINT32_C(1) << FMX_LIMITS_COUNT) - 1)};

    fmx_limits_apply(&limits, &override);
    CU_ASSERT_EQUAL(memcmp(&limits, &open_profile, sizeof limits), 0);
}

static void check_passes_both_profiles(void)
{
    char error[200] = "untouched";

    CU_ASSERT_EQUAL(fmx_limits_check(&open_profile, error, sizeof error), FMX_OK);
    CU_ASSERT_EQUAL(fmx_limits_check(&platform_profile, error, sizeof error), FMX_OK);
    CU_ASSERT_STRING_EQUAL(error, "untouched");
}

static void check_finds_every_limit_outside_its_range(void)
{
    for (unsigned i = 0; i < FMX_LIMITS_COUNT; i++) {
        enum fmx_limit limit = (enum fmx_limit)i;
        struct fmx_limits limits = platform_profile;
        char error[200] = "";
        uint32_t least;
        uint32_t most;
        bool may_be_unlimited;
        fmx_limit_range(limit, &least, &most, &may_be_unlimited);
        fmx_limits_set(&limits, limit, FMX_UNLIMITED);
        CU_ASSERT_EQUAL(fmx_limits_check(&limits, error, sizeof error) == FMX_OK, may_be_unlimited);
        if (most < FMX_UNLIMITED - 1) {
            fmx_limits_set(&limits, limit, most + 1);
            CU_ASSERT_EQUAL(fmx_limits_check(&limits, error, sizeof error), FMX_E_OPTION);
            CU_ASSERT_PTR_NOT_NULL(strstr(error, fmx_limit_name(limit)));
        }
        if (least > 0) {
            fmx_limits_set(&limits, limit, least - 1);
            CU_ASSERT_EQUAL(fmx_limits_check(&limits, error, sizeof error), FMX_E_OPTION);
            CU_ASSERT_PTR_NOT_NULL(strstr(error, fmx_limit_name(limit)));
        }
    }
}

static void check_finds_a_least_above_its_most(void)
{
    struct fmx_limits limits = platform_profile;
    char error[200] = "";

    limits.keepalive_min_s = limits.keepalive_max_s = 60;
    limits.call_timeout_min_ms = limits.call_timeout_max_ms = 500;
    CU_ASSERT_EQUAL(fmx_limits_check(&limits, error, sizeof error), FMX_OK);
    limits.keepalive_min_s = 61;
    CU_ASSERT_EQUAL(fmx_limits_check(&limits, error, sizeof error), FMX_E_OPTION);
    CU_ASSERT_STRING_EQUAL(error, "keepalive_min_s (61) is above keepalive_max_s (60)");
    limits.keepalive_max_s = FMX_UNLIMITED;
    CU_ASSERT_EQUAL(fmx_limits_check(&limits, error, sizeof error), FMX_OK);
    limits.call_timeout_min_ms = 501;
    CU_ASSERT_EQUAL(fmx_limits_check(&limits, error, sizeof error), FMX_E_OPTION);
    CU_ASSERT_STRING_EQUAL(error, "call_timeout_min_ms (501) is above call_timeout_max_ms (500)");
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(limits_are_found_by_their_names),
    FMX_TEST_CASE(limits_out_of_the_list_are_harmless),
    FMX_TEST_CASE(limits_are_got_and_set_where_the_struct_has_them),
    FMX_TEST_CASE(limits_have_the_ranges_of_the_list),
    FMX_TEST_CASE(override_takes_every_limit_at_the_ends_of_its_range),
    FMX_TEST_CASE(override_refuses_what_is_no_value_and_stays_as_it_was),
    FMX_TEST_CASE(override_knows_the_words_of_over_limit_alone),
    FMX_TEST_CASE(override_names_limit_value_and_range_in_its_error),
    FMX_TEST_CASE(override_shows_foreign_text_cut_and_printable),
    FMX_TEST_CASE(override_changes_only_what_it_names),
    FMX_TEST_CASE(override_of_nothing_changes_nothing),
    FMX_TEST_CASE(check_passes_both_profiles),
    FMX_TEST_CASE(check_finds_every_limit_outside_its_range),
    FMX_TEST_CASE(check_finds_a_least_above_its_most),
};

int main(int argc, char **argv)
{
    return fmx_test_main("limits", cases, sizeof cases / sizeof cases[0], argc, argv);
}
