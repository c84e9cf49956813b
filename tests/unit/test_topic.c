/*
 * test_topic — validity, matching by the specification's examples and against a twin, the hash
 */
#include "proto/topic.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"

#include <stdio.h>
#include <stdlib.h>

static void topic_name_is_checked(void)
{
    CU_ASSERT_EQUAL(fmx_topic_check_name(fmx_slice_of("a")), FMX_OK);
    CU_ASSERT_EQUAL(fmx_topic_check_name(fmx_slice_of("/")), FMX_OK);
    CU_ASSERT_EQUAL(fmx_topic_check_name(fmx_slice_of("/pk/dn/user/get")), FMX_OK);
    CU_ASSERT_EQUAL(fmx_topic_check_name(fmx_slice_of("温度/ü")), FMX_OK);
    CU_ASSERT_EQUAL(fmx_topic_check_name(fmx_slice_of("")), FMX_PEER_TOPIC_NAME);
    CU_ASSERT_EQUAL(fmx_topic_check_name(fmx_slice_of("a/+")), FMX_PEER_TOPIC_NAME);
    CU_ASSERT_EQUAL(fmx_topic_check_name(fmx_slice_of("a#")), FMX_PEER_TOPIC_NAME);
    CU_ASSERT_EQUAL(fmx_topic_check_name(fmx_slice_of("a\xff")), FMX_PEER_UTF8);
    CU_ASSERT_EQUAL(fmx_topic_check_name((fmx_slice){(const uint8_t *)"a\0b", 3}), FMX_PEER_UTF8);
}

static void topic_filter_is_checked(void)
{
    static const char *const good[] = {"#",  "+",     "/",          "a",    "a/#",   "+/+",
                                       "/+", "+/a/#", "$share/g/a", "a//b", "$SYS/#"};
    static const char *const bad[] = {"", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##", "++"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CU_ASSERT_EQUAL(fmx_topic_check_filter(fmx_slice_of(good[i])), FMX_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_EQUAL(fmx_topic_check_filter(fmx_slice_of(bad[i])), FMX_PEER_TOPIC_FILTER);
    }
    CU_ASSERT_EQUAL(fmx_topic_check_filter(fmx_slice_of("a/\xc0\x80")), FMX_PEER_UTF8);
}

static void topic_may_have_65535_bytes_and_no_more(void)
{
    uint8_t *long_topic = malloc(65536);

    CU_ASSERT_PTR_NOT_NULL_FATAL(long_topic);
    memset(long_topic, 'a', 65536);
    CU_ASSERT_EQUAL(fmx_topic_check_name((fmx_slice){long_topic, 65535}), FMX_OK);
    CU_ASSERT_EQUAL(fmx_topic_check_name((fmx_slice){long_topic, 65536}), FMX_PEER_TOPIC_NAME);
    CU_ASSERT_EQUAL(fmx_topic_check_filter((fmx_slice){long_topic, 65536}), FMX_PEER_TOPIC_FILTER);
    free(long_topic);
}

static void topic_questions_are_answered(void)
{
    CU_ASSERT(fmx_topic_has_wildcard(fmx_slice_of("a/+")));
    CU_ASSERT(fmx_topic_has_wildcard(fmx_slice_of("#")));
    CU_ASSERT_FALSE(fmx_topic_has_wildcard(fmx_slice_of("a/b")));
    CU_ASSERT(fmx_topic_is_shared(fmx_slice_of("$share/g/a")));
    CU_ASSERT_FALSE(fmx_topic_is_shared(fmx_slice_of("$share")));
    CU_ASSERT_FALSE(fmx_topic_is_shared(fmx_slice_of("$shared/g")));
    CU_ASSERT_EQUAL(fmx_topic_levels(fmx_slice_of("a")), 1);
    CU_ASSERT_EQUAL(fmx_topic_levels(fmx_slice_of("/a/")), 3);
}

static void topic_levels_are_slashes_and_one(void)
{
    uint8_t text[40];
    struct fmx_prng prng = {.state = 30};

    for (unsigned round = 0; round < 20000; round++) {
        size_t bytes = fmx_prng_below(&prng, sizeof text);
        size_t levels = 1;
        for (size_t i = 0; i < bytes; i++) {
            static const uint8_t near[] = {'/', '.', '0', '/' ^ 0x80, 0, 0xff, 'a', '/'};
            text[i] = near[fmx_prng_below(&prng, sizeof near)];
            levels += text[i] == '/';
        }
        CU_ASSERT_EQUAL(fmx_topic_levels((fmx_slice){text, bytes}), levels);
    }
}

static void topic_walk_sees_empty_levels(void)
{
    static const char *const expected[] = {"", "a", "", "b", ""};
    struct fmx_topic_walk walk = fmx_topic_walk_of(fmx_slice_of("/a//b/"));
    fmx_slice level = {0};

    for (size_t i = 0; i < 5; i++) {
        CU_ASSERT(fmx_topic_next_level(&walk, &level));
        CU_ASSERT(fmx_slice_equal(level, fmx_slice_of(expected[i])));
    }
    CU_ASSERT(walk.ended);
    CU_ASSERT_FALSE(fmx_topic_next_level(&walk, &level));
}

static void topic_matches_as_the_specification_says(void)
{
    static const struct {
        const char *filter;
        const char *name;
        bool matches;
    } rows[] = {
        {"sport/tennis/player1/#", "sport/tennis/player1", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/tennis/player1/#", "sport/tennis/player11", false},
        {"sport/tennis/player1/#", "sport/tennis", false},
        {"sport/#", "sport", true},
        {"sport/#", "sport/", true},
        {"sport/#", "sports", false},
        {"#", "anything/at/all", true},
        {"#", "/", true},
        {"sport/tennis/+", "sport/tennis/player1", true},
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+", "/finance", false},
        {"+/tennis/#", "sport/tennis", true},
        {"+/#", "a", true},
        {"+/#", "a/b/c", true},
        {"#", "$SYS/monitor", false},
        {"+/monitor", "$SYS/monitor", false},
        {"$SYS/#", "$SYS/monitor/a", true},
        {"$SYS/#", "$SYS", true},
        {"$SYS/monitor/+", "$SYS/monitor/a", true},
        {"a/#", "$a/b", false},
        {"a", "A", false},
        {"a/b", "a/b/c", false},
        {"a/b/c", "a/b", false},
        {"a/+/c", "a//c", true},
        {"a/b", "a/b", true},
        {"abcdefgh/ijklmnop/+/qrstuvwx", "abcdefgh/ijklmnop/x/qrstuvwx", true},
        {"abcdefgh/ijklmnop/+/qrstuvwx", "abcdefgh/ijklmnop/x/qrstuvwy", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool matches = fmx_topic_matches(fmx_slice_of(rows[i].filter), fmx_slice_of(rows[i].name));
        if (matches != rows[i].matches) {
            printf("%s against %s\n", rows[i].filter, rows[i].name);
            CU_FAIL("a row of the table does not hold");
        }
    }
    CU_PASS("all rows were asked");
}

static void topic_matching_never_reads_outside(void)
{
    CU_ASSERT_FALSE(fmx_topic_matches((fmx_slice){0}, fmx_slice_of("a")));
    CU_ASSERT_FALSE(fmx_topic_matches(fmx_slice_of("#"), (fmx_slice){0}));
    /* Invalid ones get an answer, whichever. */
    (void)fmx_topic_matches(fmx_slice_of("a#b+"), fmx_slice_of("a+b"));
    (void)fmx_topic_matches(fmx_slice_of("++"), fmx_slice_of("a/"));
}

/* The twin: level by level, as the text of 4.7 reads. */
static bool twin_matches(struct fmx_topic_walk filter, struct fmx_topic_walk name)
{
    fmx_slice f = {0};
    fmx_slice n = {0};
    bool has_f = fmx_topic_next_level(&filter, &f);
    bool is_hash = has_f && fmx_slice_equal(f, fmx_slice_of("#"));
    bool has_n = fmx_topic_next_level(&name, &n);

    if (is_hash) {
        return true;
    }
    if (!has_f || !has_n) {
        return !has_f && !has_n;
    }
    if (!fmx_slice_equal(f, fmx_slice_of("+")) && !fmx_slice_equal(f, n)) {
        return false;
    }
    return twin_matches(filter, name);
}

static bool twin_matches_whole(fmx_slice filter, fmx_slice name)
{
    if (name.data[0] == '$' && (filter.data[0] == '+' || filter.data[0] == '#')) {
        return false;
    }
    return twin_matches(fmx_topic_walk_of(filter), fmx_topic_walk_of(name));
}

/* Few different levels, so that many pairs match, at length or nearly. */
static size_t random_topic(struct fmx_prng *prng, bool is_filter, char *out, size_t room)
{
    static const char *const words[] = {"",   "a",  "b",           "aa",
                                        "ab", "$a", "temperature", "temperatur"};
    size_t levels = 1 + (size_t)fmx_prng_below(prng, 5);
    size_t used = 0;

    for (size_t i = 0; i < levels; i++) {
        uint64_t dice = fmx_prng_below(prng, is_filter ? 12 : 8);
        bool is_hash = dice >= 10 && i + 1 == levels;
        const char *word = dice < 8 ? words[dice] : is_hash ? "#" : "+";
        used += (size_t)snprintf(out + used, room - used, "%s%s", i > 0 ? "/" : "", word);
    }
    return used;
}

static void topic_matching_agrees_with_its_twin(void)
{
    char name_text[128];
    char filter_text[128];
    unsigned matched = 0;

    for (uint64_t seed = 1; seed <= 300000; seed++) {
        struct fmx_prng prng = {.state = seed};
        fmx_slice filter = {(uint8_t *)filter_text,
                            random_topic(&prng, true, filter_text, sizeof filter_text)};
        fmx_slice name = {(uint8_t *)name_text,
                          random_topic(&prng, false, name_text, sizeof name_text)};
        if (filter.bytes == 0 || name.bytes == 0) {
            continue;
        }
        bool matches = fmx_topic_matches(filter, name);
        matched += matches;
        if (matches != twin_matches_whole(filter, name)) {
            printf("seed %llu: %s against %s\n", (unsigned long long)seed, filter_text, name_text);
            CU_FAIL_FATAL("matching and its twin differ");
        }
    }
    CU_ASSERT(matched > 5000);
}

static void topic_loses_a_tracing_suffix(void)
{
    static const char *const rows[][2] = {
        {"/pk/dn/user/get?_rid=1612345678901", "/pk/dn/user/get"},
        {"/pk/dn/user/get", "/pk/dn/user/get"},
        {"/a?_rid=", "/a?_rid="},
        {"/a?_rid=1/b", "/a?_rid=1/b"},
        {"/a?x=1?_rid=7", "/a?x=1"},
        {"/a?_rid=7?x", "/a?_rid=7?x"},
        {"?", "?"},
        {"", ""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fmx_slice stripped = fmx_topic_strip_rid(fmx_slice_of(rows[i][0]));
        CU_ASSERT(fmx_slice_equal(stripped, fmx_slice_of(rows[i][1])));
    }
}

static void hash_depends_on_bytes_and_seed_but_not_on_place(void)
{
    uint8_t room[64];
    uint64_t first[40];

    for (size_t bytes = 0; bytes < 40; bytes++) {
        for (size_t offset = 0; offset < 8; offset++) {
            memset(room, 0xee, sizeof room);
            memset(room + offset, 'x', bytes);
            uint64_t hash = fmx_topic_hash((fmx_slice){room + offset, bytes}, 1);
            first[bytes] = offset == 0 ? hash : first[bytes];
            CU_ASSERT_EQUAL(hash, first[bytes]);
        }
        CU_ASSERT_NOT_EQUAL(first[bytes], fmx_topic_hash((fmx_slice){room + 7, bytes}, 2));
        CU_ASSERT(bytes == 0 || first[bytes] != first[bytes - 1]);
    }
    CU_ASSERT_EQUAL(fmx_topic_hash((fmx_slice){0}, 1), first[0]);
}

static void hash_changes_half_of_its_bits_with_any_bit_of_input(void)
{
    uint8_t text[48];

    for (size_t bytes = 1; bytes <= sizeof text; bytes++) {
        unsigned flips = 0;
        for (unsigned bit = 0; bit < 8 * bytes; bit++) {
            memset(text, 'a', sizeof text);
            uint64_t before = fmx_topic_hash((fmx_slice){text, bytes}, 3);
            text[bit / 8] ^= (uint8_t)(1u << bit % 8);
            uint64_t after = fmx_topic_hash((fmx_slice){text, bytes}, 3);
            unsigned changed = (unsigned)__builtin_popcountll(before ^ after);
            CU_ASSERT(changed > 8 && changed < 56);
            flips += changed;
        }
        CU_ASSERT(flips > 26 * 8 * bytes && flips < 38 * 8 * bytes);
    }
}

static void hash_spreads_a_fleet_over_buckets(void)
{
    enum { BUCKETS = 1 << 16, TOPICS = 4 * BUCKETS };
    static uint8_t low[BUCKETS];
    static uint8_t high[BUCKETS];
    unsigned fullest = 0;
    char text[64];

    for (unsigned i = 0; i < TOPICS; i++) {
        int bytes = snprintf(text, sizeof text, "/a1Bcd/device%06u/user/get", i);
        uint64_t hash = fmx_topic_hash((fmx_slice){(uint8_t *)text, (size_t)bytes}, 4);
        unsigned in_low = ++low[hash % BUCKETS];
        unsigned in_high = ++high[hash >> 48];
        fullest = in_low > fullest ? in_low : fullest;
        fullest = in_high > fullest ? in_high : fullest;
    }
    /* Four are expected; chance alone reaches about sixteen. */
    CU_ASSERT(fullest < 22);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(topic_name_is_checked),
    FMX_TEST_CASE(topic_filter_is_checked),
    FMX_TEST_CASE(topic_may_have_65535_bytes_and_no_more),
    FMX_TEST_CASE(topic_questions_are_answered),
    FMX_TEST_CASE(topic_levels_are_slashes_and_one),
    FMX_TEST_CASE(topic_walk_sees_empty_levels),
    FMX_TEST_CASE(topic_matches_as_the_specification_says),
    FMX_TEST_CASE(topic_matching_never_reads_outside),
    FMX_TEST_CASE(topic_matching_agrees_with_its_twin),
    FMX_TEST_CASE(topic_loses_a_tracing_suffix),
    FMX_TEST_CASE(hash_depends_on_bytes_and_seed_but_not_on_place),
    FMX_TEST_CASE(hash_changes_half_of_its_bits_with_any_bit_of_input),
    FMX_TEST_CASE(hash_spreads_a_fleet_over_buckets),
};

int main(int argc, char **argv)
{
    return fmx_test_main("topic", cases, sizeof cases / sizeof cases[0], argc, argv);
}
