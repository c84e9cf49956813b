/*
 * test_flags — options and file values are read exactly, and wrong ones are answered with the fix
 */
#include "tests/support/run.h"
#include "tests/support/temporary.h"
#include "tools/fleetmux/config.h"
#include "tools/fleetmux/flags.h"
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/number.h"
#include "tools/fleetmux/words.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    uint32_t shards;
    uint16_t alias;
    uint64_t every_ns;
    uint32_t wait_ms;
    double rate;
    bool retain, clean;
    uint8_t colour;
    const char *text;
    struct flag_list list, long_list;
    struct flag_span span;
    uint32_t rate_max;
    uint32_t age_s;
};

static const struct flag_choice colours[] = {{"red", 1}, {"green", 2}, {NULL, 0}};

#define AT(member) FLAG_AT(struct settings, member)

static const struct flag rows[] = {
    {.name = "shards", .letter = 'n', .kind = FLAG_UINT, AT(shards), .max = 1024},
    {.name = "topic-alias-max", .kind = FLAG_UINT, AT(alias), .min = 1, .max = 65535},
    {.name = "every",
     .kind = FLAG_TIME,
     AT(every_ns),
     .plain_ns = NUMBER_NS_PER_S,
     .stored_ns = 1,
     .max = UINT64_C(100) * NUMBER_NS_PER_S},
    {.name = "wait-ms",
     .kind = FLAG_TIME,
     AT(wait_ms),
     .plain_ns = NUMBER_NS_PER_MS,
     .stored_ns = NUMBER_NS_PER_MS,
     .max = 60000},
    {.name = "rate", .letter = 'R', .kind = FLAG_REAL, AT(rate), .max = 1000000},
    {.name = "retain", .letter = 'r', .kind = FLAG_SWITCH, AT(retain)},
    {.name = "clean", .letter = 'C', .kind = FLAG_BOOL, AT(clean)},
    {.name = "colour", .kind = FLAG_CHOICE, AT(colour), .choices = colours},
    {.name = "text", .letter = 't', .kind = FLAG_TEXT, AT(text), .argument = "TEXT"},
    {.name = "list",
     .letter = 'l',
     .kind = FLAG_LIST,
     AT(list),
     .max = 3,
     .has_commas = true,
     .argument = "ITEM"},
    {.name = "long-list", .kind = FLAG_LIST, AT(long_list), .max = 64, .argument = "ITEM"},
    {.name = "span",
     .kind = FLAG_SPAN,
     AT(span),
     .plain_ns = NUMBER_NS_PER_MS,
     .stored_ns = NUMBER_NS_PER_MS,
     .min = 1,
     .max = 60000,
     .command_line = true},
    {.name = "rate-max", .kind = FLAG_UINT, AT(rate_max), .max = 9, .may_be_none = true},
    {.name = "age-s",
     .kind = FLAG_TIME,
     AT(age_s),
     .plain_ns = NUMBER_NS_PER_S,
     .stored_ns = NUMBER_NS_PER_S,
     .max = 60,
     .may_be_none = true},
    {.name = "elsewhere", .kind = FLAG_SWITCH, .verbs = 2, AT(retain)},
};

static struct settings settings;
static struct flag_set set;

/* Parses words, the last one NULL, on top of empty settings. */
static bool parse(char *const *words)
{
    int count = 0;

    while (words[count] != NULL) {
        count++;
    }
    memset(&settings, 0, sizeof(settings));
    flags_init(&set, rows, sizeof(rows) / sizeof(rows[0]), 1, &settings);
    return flags_parse(&set, count, words);
}

#define PARSE(...) parse((char *[]){__VA_ARGS__, NULL})

static bool says(const char *words)
{
    return strstr(set.error, words) != NULL;
}

static void numbers_take_suffixes_and_refuse_the_rest(void)
{
    uint64_t count = 0;

    CU_ASSERT(number_read_count("10k", &count) == NUMBER_OK && count == 10000);
    CU_ASSERT(number_read_count("1.5Ki", &count) == NUMBER_OK && count == 1536);
    CU_ASSERT(number_read_count("18446744073709551615", &count) == NUMBER_OK &&
              count == UINT64_MAX);
    CU_ASSERT_EQUAL(number_read_count("18446744073709551616", &count), NUMBER_TOO_LARGE);
    CU_ASSERT_EQUAL(number_read_count("18446744073709551615k", &count), NUMBER_TOO_LARGE);
    CU_ASSERT_EQUAL(number_read_count("0.5", &count), NUMBER_FRACTION);
    CU_ASSERT_EQUAL(number_read_count("", &count), NUMBER_NOT);
    CU_ASSERT_EQUAL(number_read_count("-1", &count), NUMBER_NOT);
    CU_ASSERT_EQUAL(number_read_count("10x", &count), NUMBER_NOT);
    CU_ASSERT_EQUAL(number_read_count("10 ", &count), NUMBER_NOT);
    CU_ASSERT_EQUAL(number_read_count("0x10", &count), NUMBER_NOT);
}

static void times_are_exact_in_any_unit(void)
{
    uint64_t time = 0;

    CU_ASSERT(number_read_time("0.3s", 1, 1, &time) == NUMBER_OK && time == 300000000);
    CU_ASSERT(number_read_time("250", NUMBER_NS_PER_MS, 1, &time) == NUMBER_OK &&
              time == 250000000);
    CU_ASSERT(number_read_time("1.5h", 1, NUMBER_NS_PER_S, &time) == NUMBER_OK && time == 5400);
    CU_ASSERT(number_read_time("4294967295", NUMBER_NS_PER_S, NUMBER_NS_PER_S, &time) ==
                  NUMBER_OK &&
              time == UINT32_MAX);
    CU_ASSERT_EQUAL(number_read_time("1us", 1, NUMBER_NS_PER_MS, &time), NUMBER_FRACTION);
    CU_ASSERT_EQUAL(number_read_time("1d", 1, 1, &time), NUMBER_NOT);
}

static void options_are_read_in_every_spelling(void)
{
    CU_ASSERT(PARSE("--shards", "3", "--wait-ms=2s", "-R", "0.5", "-C", "true"));
    CU_ASSERT_EQUAL(settings.shards, 3);
    CU_ASSERT_EQUAL(settings.wait_ms, 2000);
    CU_ASSERT_DOUBLE_EQUAL(settings.rate, 0.5, 1e-12);
    CU_ASSERT(settings.clean);
    CU_ASSERT(PARSE("-n7", "-t=a=b", "--colour", "green", "--every", "0.25", "--span", "5-1s"));
    CU_ASSERT_EQUAL(settings.shards, 7);
    CU_ASSERT_STRING_EQUAL(settings.text, "a=b");
    CU_ASSERT_EQUAL(settings.colour, 2);
    CU_ASSERT_EQUAL(settings.every_ns, 250000000);
    CU_ASSERT(settings.span.min == 5 && settings.span.max == 1000);
}

static void a_switch_takes_true_or_false_and_nothing_else(void)
{
    CU_ASSERT(PARSE("--retain") && settings.retain);
    CU_ASSERT(PARSE("-r", "false") && !settings.retain);
    CU_ASSERT(PARSE("--retain=true", "-n", "2") && settings.retain && settings.shards == 2);
    CU_ASSERT(!PARSE("--retain", "yes") && says("unexpected argument 'yes'"));
    CU_ASSERT(says("behind '--retain'; write true or false"));
    CU_ASSERT(!PARSE("--clean") && says("needs a value: true or false"));
}

static void none_is_a_number_only_where_it_may_be(void)
{
    char text[FLAG_VALUE_BYTES];

    CU_ASSERT(PARSE("--rate-max", "none", "--age-s", "none"));
    CU_ASSERT_EQUAL(settings.rate_max, UINT32_MAX);
    CU_ASSERT_EQUAL(settings.age_s, UINT32_MAX);
    CU_ASSERT(flags_format(&set, flags_find(&set, "age-s"), 0, text, sizeof(text)));
    CU_ASSERT_STRING_EQUAL(text, "none");
    CU_ASSERT(PARSE("--rate-max", "9", "--age-s", "1m"));
    CU_ASSERT(settings.rate_max == 9 && settings.age_s == 60);
    CU_ASSERT_FALSE(PARSE("--rate-max", "10"));
    CU_ASSERT(says("write a number from 0 to 9, or none"));
    CU_ASSERT_FALSE(PARSE("--rate-max", "4294967295"));
    CU_ASSERT_FALSE(PARSE("--shards", "none"));
}

static void operands_are_taken_where_there_is_room_for_them(void)
{
    const char *operands[2];
    char *words[] = {"one", "--shards", "3", "--", "--wait-ms"};
    char *many[] = {"one", "two", "three"};

    CU_ASSERT_FALSE(PARSE("one"));
    CU_ASSERT(says("unexpected argument 'one'"));
    set.operands = operands;
    set.operands_max = 2;
    CU_ASSERT(flags_parse(&set, 5, words));
    CU_ASSERT(set.operands_count == 2 && settings.shards == 3);
    CU_ASSERT_STRING_EQUAL(operands[0], "one");
    CU_ASSERT_STRING_EQUAL(operands[1], "--wait-ms");
    CU_ASSERT_FALSE(flags_parse(&set, 3, many));
    CU_ASSERT(says("'three' is one argument too many"));
}

static void lists_grow_within_a_source_and_are_replaced_by_the_next(void)
{
    CU_ASSERT(PARSE("-l", "a", "--list", "b,c"));
    CU_ASSERT_EQUAL_FATAL(settings.list.count, 3);
    CU_ASSERT_STRING_EQUAL(settings.list.items[2], "c");
    CU_ASSERT(flags_parse(&set, 2, (char *[]){"-l", "d"}));
    CU_ASSERT_EQUAL_FATAL(settings.list.count, 1);
    CU_ASSERT_STRING_EQUAL(settings.list.items[0], "d");
    CU_ASSERT(!PARSE("-l", "a,b,c,d") && says("one too many"));
    CU_ASSERT(!PARSE("-l", "a,") && says("not empty"));
}

static void a_wrong_option_gets_the_nearest_one(void)
{
    CU_ASSERT(!PARSE("--shard", "3") && says("unknown option '--shard'; did you mean '--shards'?"));
    CU_ASSERT(!PARSE("--topic_alias_max", "3") && says("did you mean '--topic-alias-max'?"));
    CU_ASSERT(!PARSE("--coluor") && says("did you mean '--colour'?"));
    CU_ASSERT(!PARSE("-N", "3") && says("did you mean '-n' (--shards)?"));
    CU_ASSERT(!PARSE("-shards", "3") && says("did you mean '--shards'?"));
    CU_ASSERT(!PARSE("--zzzzzz") && says("unknown option '--zzzzzz'") && !says("mean"));
    CU_ASSERT(!PARSE("--elsewhere") && says("has no meaning here"));
    CU_ASSERT(!PARSE("--") && says("unexpected argument"));
    CU_ASSERT(!PARSE("-") && says("unexpected argument"));
}

static void a_wrong_value_gets_the_range(void)
{
    CU_ASSERT(!PARSE("--shards", "1025") && says("'1025' is out of range; write a number from 0"));
    CU_ASSERT(!PARSE("--topic-alias-max", "0") && says("from 1 to 65535"));
    CU_ASSERT(!PARSE("-n", "x") && says("option '-n': 'x' is not a number"));
    CU_ASSERT(!PARSE("--shards") && says("option '--shards' needs a value"));
    CU_ASSERT(!PARSE("--wait-ms", "1us") && says("too fine"));
    CU_ASSERT(!PARSE("--colour", "blue") && says("write one of red, green"));
    CU_ASSERT(!PARSE("--span", "9-5") && says("out of range"));
    CU_ASSERT(!PARSE("--span", "9") && says("MIN-MAX"));
    CU_ASSERT(!PARSE("-t", "") && says("not empty"));
    CU_ASSERT(!PARSE("--rate", "-5") && says("is not a number"));
}

/* "-h -c 5": whoever writes that has forgotten the host, and has none that is called -c. */
static void an_option_is_no_value_of_another(void)
{
    CU_ASSERT(!PARSE("-t", "-n", "5"));
    CU_ASSERT(says("option '-t' needs a value: TEXT, not empty; '-n' is an option"));
    CU_ASSERT(says("as a value is written -t=-n"));
    CU_ASSERT(PARSE("-t=-n") && strcmp(settings.text, "-n") == 0);
    CU_ASSERT(!PARSE("--text", "--shards", "5") && says("written --text=--shards"));
    CU_ASSERT(!PARSE("--text", "--shards=5") && says("'--shards=5' is an option"));
    CU_ASSERT(!PARSE("--list", "-r") && says("option '--list' needs a value"));
    CU_ASSERT(PARSE("--text=--shards") && strcmp(settings.text, "--shards") == 0);
    static char *const values[] = {"-", "--", "-1", "-x", "-nn", "--shard", "--elsewhere", "-t n"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        CU_ASSERT(PARSE("-t", values[i]) && strcmp(settings.text, values[i]) == 0);
    }
}

static void distance_counts_slips_of_the_keyboard(void)
{
    CU_ASSERT_EQUAL(nearest_distance("", "abc"), 3);
    CU_ASSERT_EQUAL(nearest_distance("abc", "abc"), 0);
    CU_ASSERT_EQUAL(nearest_distance("flete", "fleet"), 1);
    CU_ASSERT_EQUAL(nearest_distance("kitten", "sitting"), 3);
}

static void figures_are_written_with_the_digits_that_matter(void)
{
    CU_ASSERT_STRING_EQUAL(words_count(0).text, "0");
    CU_ASSERT_STRING_EQUAL(words_count(999).text, "999");
    CU_ASSERT_STRING_EQUAL(words_count(1234567).text, "1,234,567");
    CU_ASSERT_STRING_EQUAL(words_count(UINT64_MAX).text, "18,446,744,073,709,551,615");
    CU_ASSERT_STRING_EQUAL(words_time(1234).text, "1.23 us");
    CU_ASSERT_STRING_EQUAL(words_time(12340000).text, "12.3 ms");
    CU_ASSERT_STRING_EQUAL(words_bytes(1536).text, "1.50 KiB");
}

/* Files ---------------------------------------------------------------------------------------- */

static struct config *read_text(const char *text)
{
    char path[FMX_TEMPORARY_BYTES];

    fmx_temporary_path(path, sizeof(path), "test_flags_XXXXXX");
    int file = mkstemp(path);
    memset(&settings, 0, sizeof(settings));
    flags_init(&set, rows, sizeof(rows) / sizeof(rows[0]), 1, &settings);
    CU_ASSERT_FATAL(file >= 0);
    CU_ASSERT_EQUAL(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    struct config *config = config_open(path, &set);
    unlink(path);
    return config;
}

static bool file_is_refused(const char *text, const char *words)
{
    struct config *config = read_text(text);
    bool is_right = config == NULL && says(words);

    config_close(config);
    return is_right;
}

static void a_file_is_read_like_options(void)
{
    struct config *config = read_text("# note\nshards: 3\nwait_ms: 2s\nlist:\n  - x\n  - y\n"
                                      "text: \"a: b\"\nretain: true\ncolour: green\n");

    CU_ASSERT_FATAL(config != NULL);
    CU_ASSERT(settings.shards == 3 && settings.wait_ms == 2000 && settings.retain);
    CU_ASSERT_EQUAL_FATAL(settings.list.count, 2);
    CU_ASSERT_STRING_EQUAL(settings.list.items[1], "y");
    CU_ASSERT_STRING_EQUAL(settings.text, "a: b");
    CU_ASSERT_EQUAL(settings.colour, 2);
    config_close(config);
    config = read_text("# nothing\n");
    CU_ASSERT(config != NULL);
    config_close(config);
}

static void a_bad_file_is_refused_with_line_and_key(void)
{
    CU_ASSERT(
        file_is_refused("shards: 1\n\nshrads: 2\n", ":3: unknown key 'shrads'; did you mean"));
    CU_ASSERT(file_is_refused("retain: true\nshards: 9999\n", ":2: key 'shards': '9999' is out"));
    CU_ASSERT(file_is_refused("shards: 10x\n", ":1: key 'shards': '10x' is not a number"));
    CU_ASSERT(file_is_refused("retain: maybe\n", "write true or false"));
    CU_ASSERT(file_is_refused("list: x\n", ":1:7: key 'list': expects a list"));
    CU_ASSERT(file_is_refused("\nshards: [1]\n", ":2:9: key 'shards': expects one plain value"));
    CU_ASSERT(file_is_refused("shards: 1\nshards: 2\n", "key 'shards': stands twice"));
    CU_ASSERT(file_is_refused("span: 1-2\n", "unknown key 'span'"));
    CU_ASSERT(file_is_refused("- a\n", "lines of 'key: value'"));
    CU_ASSERT(file_is_refused("text: \"x\n", "key 'text'"));
}

static void settings_printed_and_read_again_are_the_same(void)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    CU_ASSERT_FATAL(out != NULL);
    CU_ASSERT(PARSE("-n", "5", "-t", "a: #b", "-l", "x,y", "--topic-alias-max", "9", "--colour",
                    "red", "-R", "0.1", "--age-s", "none"));
    CU_ASSERT(config_print(&set, out));
    fclose(out);
    struct config *config = read_text(text);
    CU_ASSERT_FATAL(config != NULL);
    CU_ASSERT(settings.shards == 5 && settings.alias == 9 && settings.colour == 1);
    CU_ASSERT_STRING_EQUAL(settings.text, "a: #b");
    CU_ASSERT_EQUAL(settings.list.count, 2);
    CU_ASSERT_EQUAL(settings.age_s, UINT32_MAX);
    CU_ASSERT_DOUBLE_EQUAL(settings.rate, 0.1, 1e-12);
    config_close(config);
    free(text);
}

static void texts_of_any_length_and_with_any_letters_are_printed_whole(void)
{
    static const char *const items[] = {"mqtts://:8884?min=1.0&old_suites=true&cert=a%2Cb.crt",
                                        ":1883",
                                        "[::1]:1883",
                                        "a=b,c # d",
                                        "%x",
                                        "*.example=a,b"};
    static char long_item[3 * FLAG_LIST_BYTES];
    char *text = NULL;
    size_t bytes = 0, count = sizeof(items) / sizeof(items[0]);
    FILE *out = open_memstream(&text, &bytes);

    CU_ASSERT_FATAL(out != NULL);
    memset(long_item, 'x', sizeof(long_item) - 1);
    CU_ASSERT(PARSE("--topic-alias-max", "9", "--colour", "red", "--text", long_item));
    for (size_t index = 0; index < count; index++) {
        CU_ASSERT(flags_give(&set, flags_find(&set, "long-list"), items[index]));
    }
    CU_ASSERT(flags_give(&set, flags_find(&set, "long-list"), long_item));
    CU_ASSERT(config_print(&set, out));
    fclose(out);
    struct config *config = read_text(text);
    CU_ASSERT_FATAL(config != NULL);
    CU_ASSERT_STRING_EQUAL(settings.text, long_item);
    CU_ASSERT_EQUAL(settings.list.count, 0); /* an empty one is not printed */
    CU_ASSERT_EQUAL_FATAL(settings.long_list.count, count + 1);
    for (size_t index = 0; index < count; index++) {
        CU_ASSERT_STRING_EQUAL(settings.long_list.items[index], items[index]);
    }
    CU_ASSERT_STRING_EQUAL(settings.long_list.items[count], long_item);
    config_close(config);
    free(text);
    config = read_text("long_list: [mqtts://:8884?min=1.0&x=true, \":1883\"]\n");
    CU_ASSERT_FATAL(config != NULL);
    CU_ASSERT_EQUAL_FATAL(settings.long_list.count, 2);
    CU_ASSERT_STRING_EQUAL(settings.long_list.items[0], "mqtts://:8884?min=1.0&x=true");
    config_close(config);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(numbers_take_suffixes_and_refuse_the_rest),
    FMX_TEST_CASE(times_are_exact_in_any_unit),
    FMX_TEST_CASE(options_are_read_in_every_spelling),
    FMX_TEST_CASE(a_switch_takes_true_or_false_and_nothing_else),
    FMX_TEST_CASE(none_is_a_number_only_where_it_may_be),
    FMX_TEST_CASE(operands_are_taken_where_there_is_room_for_them),
    FMX_TEST_CASE(lists_grow_within_a_source_and_are_replaced_by_the_next),
    FMX_TEST_CASE(a_wrong_option_gets_the_nearest_one),
    FMX_TEST_CASE(a_wrong_value_gets_the_range),
    FMX_TEST_CASE(an_option_is_no_value_of_another),
    FMX_TEST_CASE(distance_counts_slips_of_the_keyboard),
    FMX_TEST_CASE(figures_are_written_with_the_digits_that_matter),
    FMX_TEST_CASE(a_file_is_read_like_options),
    FMX_TEST_CASE(a_bad_file_is_refused_with_line_and_key),
    FMX_TEST_CASE(settings_printed_and_read_again_are_the_same),
    FMX_TEST_CASE(texts_of_any_length_and_with_any_letters_are_printed_whole),
};

int main(int argc, char **argv)
{
    return fmx_test_main("flags", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
