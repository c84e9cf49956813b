/*
 * test_result — results written, read, merged and shown: nothing is lost, nothing foreign gets in
 */
#include "tests/support/fake_result.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/temporary.h"
#include "tools/fleetmux/result_columns.h"
#include "tools/fleetmux/result_html.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ERROR_BYTES 768
#define PARTS_MAX   5u
#define SECONDS     12u
#define SAMPLES     300u
#define MUTATIONS   250u

static char error[ERROR_BYTES];
static char folder[FMX_TEMPORARY_BYTES];

/* ── files ── */

struct path {
    char text[FMX_TEMPORARY_FILE_BYTES];
};

static struct path path_of(const char *name)
{
    struct path path;

    snprintf(path.text, sizeof(path.text), "%s/%s", folder, name);
    return path;
}

static char *content_of(const char *path, size_t *out_bytes)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    long bytes = 0;

    CU_ASSERT_FATAL(file != NULL && fseek(file, 0, SEEK_END) == 0);
    bytes = ftell(file);
    rewind(file);
    text = malloc((size_t)bytes + 1);
    CU_ASSERT_FATAL(text != NULL && fread(text, 1, (size_t)bytes, file) == (size_t)bytes);
    text[bytes] = '\0';
    fclose(file);
    if (out_bytes != NULL) {
        *out_bytes = (size_t)bytes;
    }
    return text;
}

static void put(const char *path, const char *text, size_t bytes)
{
    FILE *file = fopen(path, "wb");

    CU_ASSERT_FATAL(file != NULL);
    CU_ASSERT_FATAL(fwrite(text, 1, bytes, file) == bytes);
    fclose(file);
}

static void write_result(const struct result *result, const char *path)
{
    error[0] = '\0';
    CU_ASSERT_FATAL(result_write(result, path, error, sizeof(error)));
    CU_ASSERT_STRING_EQUAL(error, "");
}

static struct result *read_result(const char *path)
{
    struct result *result = result_read(path, error, sizeof(error));

    if (result == NULL) {
        printf("%s\n", error);
    }
    CU_ASSERT_FATAL(result != NULL);
    return result;
}

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;

    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word)) {
        count++;
    }
    return count;
}

/* ── equal ── */

static void check_rows_equal(const struct result *a, const struct result *b)
{
    CU_ASSERT_EQUAL_FATAL(a->rows_count, b->rows_count);
    for (size_t i = 0; i < a->rows_count; i++) {
        CU_ASSERT(memcmp(&a->rows[i], &b->rows[i], sizeof(a->rows[i])) == 0);
    }
}

static void check_distributions_equal(const struct result *a, const struct result *b)
{
    for (size_t i = 0; i < FMX_FLEET_LATENCIES; i++) {
        CU_ASSERT(memcmp(a->distributions[i], b->distributions[i], sizeof(*a->distributions[i])) ==
                  0);
        CU_ASSERT(memcmp(&a->latency[i], &b->latency[i], sizeof(a->latency[i])) == 0);
    }
}

static void a_result_is_read_as_it_was_written(void)
{
    struct path first = path_of("first.json"), second = path_of("second.json");

    for (size_t i = 0; i < FAKE_RESULTS; i++) {
        struct result *result = fake_result(fake_result_names[i], 0);
        CU_ASSERT_FATAL(result != NULL);
        write_result(result, first.text);
        struct result *copy = read_result(first.text);
        check_rows_equal(result, copy);
        check_distributions_equal(result, copy);
        CU_ASSERT(memcmp(&result->counters, &copy->counters, sizeof(copy->counters)) == 0);
        CU_ASSERT(memcmp(&result->before_drain, &copy->before_drain, sizeof(copy->counters)) == 0);
        CU_ASSERT(memcmp(&result->stats, &copy->stats, sizeof(copy->stats)) == 0);
        CU_ASSERT_EQUAL(result->hash, copy->hash);
        CU_ASSERT_EQUAL(result->limit, copy->limit);
        CU_ASSERT_EQUAL(result->is_valid, copy->is_valid);
        CU_ASSERT_EQUAL(result->causes_count, copy->causes_count);
        CU_ASSERT_STRING_EQUAL(result->words, copy->words);
        write_result(copy, second.text); /* and all the rest: */
        char *before = content_of(first.text, NULL), *after = content_of(second.text, NULL);
        CU_ASSERT_STRING_EQUAL(before, after);
        free(before);
        free(after);
        result_close(copy);
        result_close(result);
    }
}

static void numbers_of_64_bits_and_odd_texts_survive(void)
{
    struct path path = path_of("wide.json");
    struct result *result = fake_result("full", 5);

    CU_ASSERT_FATAL(result != NULL);
    result->seed = UINT64_MAX;
    result->hash = UINT64_C(0x8000000000000001);
    result->counters.publishes_sent = UINT64_MAX - 1;
    result->base_rate = 0.1 + 0.2;
    snprintf(result->name, sizeof(result->name), "\"quoted\" \\ / \xc3\xa4");
    CU_ASSERT(result_set_text(&result->command, "fleetmux fleet pub -m '\x01\xff' --x"));
    CU_ASSERT(result_set_text(&result->scenario, "name: a\n\tb: c\n"));
    write_result(result, path.text);
    struct result *copy = read_result(path.text);
    CU_ASSERT_EQUAL(copy->seed, result->seed);
    CU_ASSERT_EQUAL(copy->hash, result->hash);
    CU_ASSERT_EQUAL(copy->counters.publishes_sent, result->counters.publishes_sent);
    CU_ASSERT_EQUAL(copy->base_rate, result->base_rate);
    CU_ASSERT_STRING_EQUAL(copy->name, result->name);
    CU_ASSERT_STRING_EQUAL(copy->scenario, result->scenario);
    CU_ASSERT_STRING_EQUAL(copy->command, "fleetmux fleet pub -m '?"
                                          "?' --x");
    result_close(copy);
    result_close(result);
}

/* ── merging ── */

/* One run in parts, and the same as one: what each counts is random, the sum is not. */
struct split {
    struct result *whole, *parts[PARTS_MAX];
    uint32_t count;
    struct fmx_prng prng;
};

static struct result *open_part(uint32_t part, uint32_t count)
{
    struct result *result = result_open();

    CU_ASSERT_FATAL(result != NULL);
    snprintf(result->verb, sizeof(result->verb), "run");
    snprintf(result->name, sizeof(result->name), "split");
    snprintf(result->host, sizeof(result->host), "one");
    CU_ASSERT_FATAL(result_set_text(&result->scenario, "name: split\n"));
    result->seed = 7;
    result->part = part;
    result->parts_count = count;
    result->groups_count = 2;
    result->groups = calloc(2, sizeof(*result->groups));
    CU_ASSERT_FATAL(result->groups != NULL);
    result->has_planned_end = result->is_finished = true;
    return result;
}

static void count_second(struct split *split, unsigned second, struct fmx_distribution *of_whole,
                         struct fmx_distribution *of_part)
{
    struct result_row *sum = result_add_row(split->whole);

    CU_ASSERT_FATAL(sum != NULL);
    fmx_distribution_init(of_whole);
    for (uint32_t i = 0; i < split->count; i++) {
        struct result *part = split->parts[i];
        struct result_row *row = result_add_row(part);
        CU_ASSERT_FATAL(row != NULL);
        fmx_distribution_init(of_part);
        row->begin_ns = second * UINT64_C(1000000000) + fmx_prng_below(&split->prng, 900) * 1000;
        row->end_ns = (second + 1) * UINT64_C(1000000000) - 1;
        for (unsigned j = 0; j < SAMPLES; j++) {
            uint64_t value = fmx_prng_below(&split->prng, 1ull << fmx_prng_below(&split->prng, 42));
            fmx_distribution_record(of_part, value, 1);
            fmx_distribution_record(of_whole, value, 1);
        }
        uint64_t grown = fmx_prng_below(&split->prng, 1000);
        part->counters.publishes_sent += grown;
        split->whole->counters.publishes_sent += grown;
        part->groups[second % 2].counters.received += grown;
        split->whole->groups[second % 2].counters.received += grown;
        row->publishes_wanted = (double)grown;
        sum->publishes_wanted += (double)grown;
        row->counters = part->counters;
        fmx_distribution_summary(of_part, &row->latency[FMX_FLEET_PUBACK]);
        fmx_distribution_add(part->distributions[FMX_FLEET_PUBACK], of_part);
    }
    sum->counters = split->whole->counters;
    fmx_distribution_summary(of_whole, &sum->latency[FMX_FLEET_PUBACK]);
    fmx_distribution_add(split->whole->distributions[FMX_FLEET_PUBACK], of_whole);
}

static void add_part_causes(struct split *split, uint32_t part)
{
    struct result *result = split->parts[part];

    result->causes_count = 2;
    result->causes[0].cause = (struct fmx_fleet_cause){.status = FMX_PEER_CLOSED, .count = 3};
    result->causes[1].cause = (struct fmx_fleet_cause){
        .status = FMX_PEER_REFUSED, .reason = (uint8_t)(0x80 + part % 2), .count = 10 + part};
    result->clients_count = 100 + part;
    result->hash = fmx_prng_next(&split->prng) | 1;
    split->whole->clients_count += result->clients_count;
    split->whole->hash += result->hash;
}

static void open_split(struct split *split, uint64_t seed)
{
    struct fmx_distribution *of_whole = malloc(sizeof(*of_whole)),
                            *of_part = malloc(sizeof(*of_part));

    CU_ASSERT_FATAL(of_whole != NULL && of_part != NULL);
    split->prng.state = seed;
    split->count = 2 + (uint32_t)fmx_prng_below(&split->prng, PARTS_MAX - 1);
    split->whole = open_part(0, 1);
    for (uint32_t i = 0; i < split->count; i++) {
        split->parts[i] = open_part(i, split->count);
        add_part_causes(split, i);
    }
    for (unsigned second = 0; second < SECONDS; second++) {
        count_second(split, second, of_whole, of_part);
    }
    free(of_whole);
    free(of_part);
}

static void close_split(struct split *split)
{
    result_close(split->whole);
    for (uint32_t i = 0; i < split->count; i++) {
        result_close(split->parts[i]);
    }
}

static void check_merged(const struct split *split, const struct result *merged)
{
    const struct result *whole = split->whole;

    CU_ASSERT(memcmp(merged->distributions[FMX_FLEET_PUBACK],
                     whole->distributions[FMX_FLEET_PUBACK],
                     sizeof(*merged->distributions[0])) == 0);
    CU_ASSERT(memcmp(&merged->counters, &whole->counters, sizeof(whole->counters)) == 0);
    CU_ASSERT_EQUAL(merged->groups[1].counters.received, whole->groups[1].counters.received);
    CU_ASSERT_EQUAL(merged->clients_count, whole->clients_count);
    CU_ASSERT_EQUAL(merged->hash, whole->hash);
    CU_ASSERT_EQUAL(merged->parts_merged, split->count);
    CU_ASSERT_EQUAL(merged->causes_count, split->count > 1 ? 3 : 2);
    CU_ASSERT_EQUAL_FATAL(merged->rows_count, whole->rows_count);
    for (size_t i = 0; i < whole->rows_count; i++) {
        const struct fmx_latency *bound = &merged->rows[i].latency[FMX_FLEET_PUBACK];
        const struct fmx_latency *exact = &whole->rows[i].latency[FMX_FLEET_PUBACK];
        CU_ASSERT(memcmp(&merged->rows[i].counters, &whole->rows[i].counters,
                         sizeof(whole->counters)) == 0);
        CU_ASSERT_EQUAL(merged->rows[i].publishes_wanted, whole->rows[i].publishes_wanted);
        CU_ASSERT_EQUAL(bound->count, exact->count);
        CU_ASSERT_EQUAL(bound->min_ns, exact->min_ns);
        CU_ASSERT_EQUAL(bound->max_ns, exact->max_ns);
        CU_ASSERT(bound->p50_ns + bound->p50_ns / 1024 + 1 >= exact->p50_ns);
        CU_ASSERT(bound->p99_ns + bound->p99_ns / 1024 + 1 >= exact->p99_ns);
    }
}

static void merged_parts_are_the_whole_in_any_order(void)
{
    struct path path = path_of("part.json");

    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct split split;
        open_split(&split, seed);
        uint32_t first = (uint32_t)fmx_prng_below(&split.prng, split.count);
        for (uint32_t i = 0; i < split.count; i++) {
            if (i == first) {
                continue;
            }
            write_result(split.parts[i], path.text); /* by way of a file, as people do */
            struct result *part = read_result(path.text);
            CU_ASSERT(result_merge(split.parts[first], part, error, sizeof(error)));
            result_close(part);
        }
        check_merged(&split, split.parts[first]);
        write_result(split.parts[first], path.text);
        struct result *copy = read_result(path.text);
        check_merged(&split, copy);
        result_close(copy);
        close_split(&split);
    }
}

static void check_refused(struct result *into, const struct result *part, const char *words)
{
    uint64_t sent = into->counters.publishes_sent;

    error[0] = '\0';
    CU_ASSERT_FALSE(result_merge(into, part, error, sizeof(error)));
    if (strstr(error, words) == NULL) {
        printf("'%s' is not in '%s'\n", words, error);
    }
    CU_ASSERT(strstr(error, words) != NULL);
    CU_ASSERT_EQUAL(into->counters.publishes_sent, sent);
    CU_ASSERT_EQUAL(into->parts_merged, 1);
}

static void what_is_no_part_of_the_same_run_is_refused(void)
{
    struct split split;

    open_split(&split, 3);
    struct result *a = split.parts[0], *b = split.parts[1];
    check_refused(a, a, "would count twice");
    check_refused(split.whole, split.whole, "whole runs");
    check_refused(a, split.whole, "the numbers of parts");
    b->seed++;
    check_refused(a, b, "the seeds");
    b->seed--;
    snprintf(b->name, sizeof(b->name), "other");
    check_refused(a, b, "the scenarios");
    snprintf(b->name, sizeof(b->name), "split");
    CU_ASSERT(result_set_text(&b->scenario, "name: other\n"));
    check_refused(a, b, "the scenarios");
    CU_ASSERT(result_set_text(&b->scenario, NULL));
    check_refused(a, b, "the scenarios");
    CU_ASSERT(result_set_text(&b->scenario, "name: split\n"));
    snprintf(b->groups[1].name, sizeof(b->groups[1].name), "other");
    check_refused(a, b, "the groups");
    b->groups[1].name[0] = '\0';
    b->clients_count = UINT32_MAX;
    check_refused(a, b, "more clients");
    close_split(&split);
}

static void missing_parts_are_named(void)
{
    struct result *result = fake_result("full", 3);
    uint32_t have[] = {0, 2};
    char words[64];

    CU_ASSERT_FATAL(result != NULL);
    result->parts_count = 3;
    result->parts_merged = 1;
    result->part = 1;
    result_missing_parts(result, words, sizeof(words));
    CU_ASSERT_STRING_EQUAL(words, "1, 3");
    result->parts = have;
    result->parts_merged = 2;
    result_missing_parts(result, words, sizeof(words));
    CU_ASSERT_STRING_EQUAL(words, "2");
    result->parts_count = 65536;
    result_missing_parts(result, words, sizeof(words));
    CU_ASSERT_STRING_EQUAL(words, "2, 4, 5, 6, 7, 8, 9, 10 and 65526 more");
    result->parts = NULL;
    result->part = 0;
    result->parts_merged = 1;
    result->parts_count = 1;
    result_missing_parts(result, words, sizeof(words));
    CU_ASSERT_STRING_EQUAL(words, "");
    result_close(result);
}

static void a_part_that_ended_early_keeps_its_counters(void)
{
    struct split split;

    open_split(&split, 4);
    struct result *a = split.parts[0], *b = split.parts[1];
    uint64_t sent = a->counters.publishes_sent + b->counters.publishes_sent;
    b->rows_count = 4;
    b->counters = b->rows[3].counters;
    sent = a->counters.publishes_sent + b->counters.publishes_sent;
    CU_ASSERT(result_merge(a, b, error, sizeof(error)));
    CU_ASSERT_EQUAL(a->rows_count, SECONDS);
    CU_ASSERT_EQUAL(a->rows[SECONDS - 1].counters.publishes_sent, sent);
    close_split(&split);
}

/* ── bad files ── */

/* In the file `from` is replaced by `to`; the error has `words`. */
static const struct {
    const char *from, *to, *words;
} mistakes[] = {
    {"\"program\": \"fleetmux\"", "\"program\": \"other\"", "no result"},
    {"\"program\"", "\"pogram\"", "no result"},
    {"\"schema\": 1", "\"schema\": 2", "newer fleetmux"},
    {"\"schema\": 1", "\"schema\": 0", "key 'schema'"},
    {"\"schema\": 1", "\"schema\": \"1\"", "a whole number is expected"},
    {"\"schema\": 1,", "", "before 0.2"},
    {"\"seed\": 1,", "", "key 'seed': is missing"},
    {"\"seed\": 1", "\"seed\": -1", "key 'seed': is out of range"},
    {"\"seed\": 1", "\"seed\": 18446744073709551616", "out of range at byte"},
    {"\"seed\": 1", "\"seed\": 18446744073709551616", ", behind 'seed'; 0 to"},
    {"\"seed\": 1", "\"seed\": 99999999999999999999999", "behind 'seed'"},
    {"\"seed\": 1", "\"seed\": -99999999999999999999999", "behind 'seed'"},
    {"\"seed\": 1", "\"seed\": -18446744073709551615", "key 'seed': is out of range"},
    {"[0,1000000000,", "[0,18446744073709551616,", "behind 'data'"},
    {"\"seed\": 1", "\"seed\": 1.5", "key 'seed': is a number; a whole number"},
    {"\"seed\": 1", "\"seed\": [1]", "key 'seed': is an array"},
    {"\"is_valid\": true", "\"is_valid\": 1", "key 'is_valid'"},
    {"\"limit\": \"OK\"", "\"limit\": \"MAYBE\"", "key 'limit': is not known"},
    {"\"host\": \"testbed\"", "\"host\": \"a\\u0000b\"", "control character"},
    {"\"host\": \"testbed\"", "\"host\": \"a\\u001b[31m\"", "control character"},
    {"\"host\": \"testbed\"",
     "\"host\": \"0123456789012345678901234567890123456789012345678901234567890123\"",
     "key 'host': has 64 bytes; at most 63"},
    {"\"part\": 0", "\"part\": 9", "less is expected"},
    {"\"parts\": [", "\"parts\": [7, ", "key 'parts'"},
    {"\"status\": \"FMX_SYS_RECV\"", "\"status\": \"FMX_NOTHING\"", "key 'causes[0].status'"},
    {"\"errno\": 104", "\"errno\": 104000", "key 'causes[0].errno'"},
    {"\"is_met\": true", "\"is_met\": \"yes\"", "key 'thresholds[0].is_met'"},
    {"\"publishes_sent\"", "\"publishes_snt\"", "did you mean 'publishes_sent'"},
    {"\"puback\": {\"min_ns\"", "\"pubick\": {\"min_ns\"", "key 'distributions.pubick'"},
    {"\"buckets\":[[", "\"buckets\":[[1,1],[0,1],[", "is not above the one before"},
    {"\"buckets\":[[", "\"buckets\":[[1,0],[", "has a count out of range"},
    {"\"buckets\":[[", "\"buckets\":[[1],[", "is not [edge in ns, count]"},
    {"\"buckets\":[[", "\"buckets\":[[4097,1],[", "is no edge of a bucket"},
    {"\"buckets\":[[", "\"buckets\":[[3,1],[", "does not fit the buckets"},
    {"\"buckets\":[[", "\"buckets\":[[3,18446744073709551615],[", "has a count out of range"},
    {"\"begin_ns\",\"end_ns\"", "\"begin_ns\",\"ende_ns\"", "did you mean 'end_ns'"},
    {"\"begin_ns\",\"end_ns\"", "\"begin_ns\",7", "key 'rows.columns[1]'"},
    {"\"begin_ns\",\"end_ns\"", "\"begin_ns\"", "cells, one for each column"},
    {"[0,1000000000,", "[0,-5,", "key 'rows.data[0].end_ns'"},
    {"[0,1000000000,", "[2000000000,1000000000,", "is after end_ns"},
    {"\"rows\": {", "\"raws\": {", "key 'rows': is missing"},
    {"\n}\n", "\n", "cut off"},
    {"\n}\n", "\n}\n{}", "more after its end"},
};

static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);

    if (at == NULL) {
        printf("there is no %s\n", from);
    }
    CU_ASSERT_FATAL(at != NULL);
    if (from[0] == '\n') { /* the end of the file */
        at = text + strlen(text) - strlen(from);
    }
    char *copy = malloc(strlen(text) + strlen(to) + 1);
    CU_ASSERT_FATAL(copy != NULL);
    memcpy(copy, text, (size_t)(at - text));
    memcpy(copy + (at - text), to, strlen(to));
    memcpy(copy + (at - text) + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
    return copy;
}

static void check_bad(const char *text, size_t bytes, const char *words)
{
    struct path path = path_of("bad.json");

    put(path.text, text, bytes);
    error[0] = '\0';
    struct result *result = result_read(path.text, error, sizeof(error));
    if (result != NULL || strstr(error, words) == NULL) {
        printf("'%s' is not in '%s'\n", words, error);
    }
    CU_ASSERT(result == NULL);
    CU_ASSERT(strstr(error, words) != NULL);
    CU_ASSERT(strstr(error, path.text) != NULL);
    result_close(result);
}

static char *sound_file(void)
{
    struct path path = path_of("sound.json");
    struct result *result = fake_result("full", 3);

    CU_ASSERT_FATAL(result != NULL);
    write_result(result, path.text);
    result_close(result);
    return content_of(path.text, NULL);
}

static void bad_files_are_refused_with_their_key(void)
{
    char *sound = sound_file();

    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char *text = replaced(sound, mistakes[i].from, mistakes[i].to);
        check_bad(text, strlen(text), mistakes[i].words);
        free(text);
    }
    free(sound);
    check_bad("", 0, "is empty");
    check_bad("null\n", 5, "it is null");
    check_bad("[]", 2, "no result");
    check_bad("{\"a\":\"\xff\"}", 9, "no JSON");
    check_bad("[[[[[[[[[[[[[[[[[[", 18, "no JSON");
    check_bad("{\"program\":\"fleetmux\",\"schema\":1}", 33, "key 'version': is missing");
    CU_ASSERT(result_read(path_of("none.json").text, error, sizeof(error)) == NULL);
    CU_ASSERT(strstr(error, "cannot be read: No such file") != NULL);
}

/* Cuts the line of a key out, in the section that begins with `section`, or everywhere. */
static char *without(const char *text, const char *section, const char *key)
{
    char *copy = strdup(text);

    CU_ASSERT_FATAL(copy != NULL);
    char *at = section != NULL ? strstr(copy, section) : copy;
    CU_ASSERT_FATAL(at != NULL);
    while ((at = strstr(at, key)) != NULL) {
        char *begin = at, *end = strchr(at, '\n');
        while (begin[-1] != '\n') {
            begin--;
        }
        memmove(begin, end + 1, strlen(end + 1) + 1);
        at = begin;
        if (section != NULL) {
            break;
        }
    }
    return copy;
}

static void a_counter_is_in_all_lists_or_in_none_of_an_older_file(void)
{
    static const char key[] = "\"publishes_sent\": ";
    char *sound = sound_file(), *cut;
    char own[64];

    cut = without(sound, "\n  \"counters\"", key);
    check_bad(cut, strlen(cut), "key 'counters.publishes_sent': is missing; a whole number");
    free(cut);
    cut = without(sound, "\n  \"before_drain\"", key);
    check_bad(cut, strlen(cut), "key 'before_drain.publishes_sent': is missing");
    free(cut);
    cut = without(sound, "\n  \"groups\"", key);
    check_bad(cut, strlen(cut), "key 'groups[0].counters.publishes_sent': is missing");
    free(cut);
    cut = without(sound, "\n  \"groups\"", "\"p99_ns\": ");
    check_bad(cut, strlen(cut), ".p99_ns': is missing");
    free(cut);

    cut = without(sound, NULL, key);
    snprintf(own, sizeof(own), "\"version\": \"%s\"", fmx_version_string());
    check_bad(cut, strlen(cut), "publishes_sent': is missing");
    char *older = replaced(cut, own, "\"version\": \"0.0.9\""); /* which did not have it yet */
    struct path path = path_of("older.json");
    put(path.text, older, strlen(older));
    struct result *result = result_read(path.text, error, sizeof(error));
    CU_ASSERT_FATAL(result != NULL);
    CU_ASSERT_EQUAL(result->counters.publishes_sent, 0);
    CU_ASSERT(result->counters.connects_ok > 0);
    result_close(result);
    free(older);
    free(cut);
    free(sound);
}

/* Whatever is read can be shown. */
static void show(struct result *result)
{
    CU_ASSERT(result_write(result, "/dev/null", error, sizeof(error)));
    CU_ASSERT(result_write_csv(result, "/dev/null", error, sizeof(error)));
    CU_ASSERT(result_write_hdr(result, FMX_FLEET_PUBACK, "/dev/null", error, sizeof(error)));
    CU_ASSERT(result_write_html(&result, 1, "/dev/null", error, sizeof(error)));
}

static void mutate(struct fmx_prng *prng, char *text, size_t *bytes)
{
    static const char digits[] = "0123456789-.e\"[]{},:\\ ";
    size_t times = 1 + fmx_prng_below(prng, 4);

    for (size_t i = 0; i<times && * bytes> 2; i++) {
        size_t at = fmx_prng_below(prng, *bytes);
        switch (fmx_prng_below(prng, 5)) {
        case 0:
            text[at] = (char)fmx_prng_next(prng);
            break;
        case 1:
            memmove(text + at, text + at + 1, *bytes - at - 1);
            *bytes -= 1;
            break;
        case 2:
            *bytes = fmx_prng_below(prng, 20) == 0 ? at : *bytes;
            break;
        default: /* the likeliest to be read */
            text[at] = text[at] >= '0' && text[at] <= '9'
                           ? digits[fmx_prng_below(prng, 10)]
                           : digits[fmx_prng_below(prng, sizeof(digits) - 1)];
        }
    }
}

static void mutated_files_are_refused_or_shown(void)
{
    struct path path = path_of("mutated.json");
    char *sound = sound_file();
    size_t sound_bytes = strlen(sound), shown = 0;
    char *text = malloc(sound_bytes + 1);
    struct fmx_prng prng = {.state = 1};

    CU_ASSERT_FATAL(text != NULL);
    for (size_t i = 0; i < MUTATIONS; i++) {
        size_t bytes = sound_bytes;
        memcpy(text, sound, bytes);
        mutate(&prng, text, &bytes);
        put(path.text, text, bytes);
        struct result *result = result_read(path.text, error, sizeof(error));
        if (result != NULL) {
            show(result);
            shown++;
        }
        result_close(result);
    }
    CU_ASSERT(shown > 0 && shown < MUTATIONS);
    free(text);
    free(sound);
}

/* ── other forms ── */

static void csv_has_as_many_cells_in_each_line(void)
{
    struct path path = path_of("rows.csv");
    struct result *result = fake_result("full", 7);

    CU_ASSERT_FATAL(result != NULL);
    snprintf(result->stages[0].name, sizeof(result->stages[0].name), "up \"and\" on");
    CU_ASSERT(result_write_csv(result, path.text, error, sizeof(error)));
    char *text = content_of(path.text, NULL), *end;
    CU_ASSERT(strncmp(text, "begin_s,end_s,connects_per_s,publishes_sent_per_s,", 50) == 0);
    CU_ASSERT(strstr(text, ",puback_p99_ns,") != NULL);
    CU_ASSERT(strstr(text, ",publishes_sent_total,") != NULL);
    CU_ASSERT(strstr(text, ",\"up \"\"and\"\" on\",") != NULL);
    size_t cells = 0, lines = 0;
    for (char *line = text; (end = strstr(line, "\r\n")) != NULL; line = end + 2, lines++) {
        *end = '\0';
        cells = lines == 0 ? count_of(line, ",") : cells;
        CU_ASSERT_EQUAL(count_of(line, ","), cells);
    }
    CU_ASSERT_EQUAL(lines, 8);
    free(text);
    result_close(result);
}

static void hdr_lines_rise_to_the_maximum(void)
{
    struct path path = path_of("puback.hdr");
    struct result *result = fake_result("pub", 0);
    double value = 0, percentile = 0, before_value = 0, before_percentile = 0;
    unsigned long long seen = 0;

    CU_ASSERT_FATAL(result != NULL);
    CU_ASSERT(result_write_hdr(result, FMX_FLEET_PUBACK, path.text, error, sizeof(error)));
    char *text = content_of(path.text, NULL), *rest = NULL;
    char *line = strtok_r(text, "\n", &rest);
    CU_ASSERT_STRING_EQUAL(line, "           Value     Percentile TotalCount 1/(1-Percentile)");
    size_t lines = 0;
    while ((line = strtok_r(NULL, "\n", &rest)) != NULL && line[0] != '#') {
        CU_ASSERT(sscanf(line, "%lf %lf %llu", &value, &percentile, &seen) == 3);
        CU_ASSERT(value >= before_value && percentile > before_percentile);
        before_value = value;
        before_percentile = percentile;
        lines++;
    }
    CU_ASSERT(lines > 30 && percentile == 1.0);
    CU_ASSERT_EQUAL(seen, result->distributions[FMX_FLEET_PUBACK]->total);
    CU_ASSERT_DOUBLE_EQUAL(value * 1e6, (double)result->distributions[FMX_FLEET_PUBACK]->max_ns, 1);
    CU_ASSERT(line != NULL && strncmp(line, "#[Mean    =", 11) == 0);
    line = strtok_r(NULL, "\n", &rest);
    CU_ASSERT(line != NULL && strncmp(line, "#[Max     =", 11) == 0);
    line = strtok_r(NULL, "\n", &rest);
    CU_ASSERT(line != NULL && strncmp(line, "#[Buckets =", 11) == 0);
    free(text);
    result_close(result);
}

static char *page_of(struct result *const *results, size_t count)
{
    struct path path = path_of("page.html");

    CU_ASSERT(result_write_html(results, count, path.text, error, sizeof(error)));
    return content_of(path.text, NULL);
}

static void every_kind_of_run_becomes_a_page(void)
{
    for (size_t i = 0; i < FAKE_RESULTS; i++) {
        struct result *result = fake_result(fake_result_names[i], 0);
        CU_ASSERT_FATAL(result != NULL);
        char *page = page_of(&result, 1);
        CU_ASSERT(strncmp(page, "<!DOCTYPE html>", 15) == 0);
        CU_ASSERT(strstr(page, "</html>") != NULL);
        CU_ASSERT(strstr(page, "nan") == NULL && strstr(page, "inf ") == NULL);
        CU_ASSERT(strstr(page, "http:") == NULL && strstr(page, "https:") == NULL);
        CU_ASSERT(strstr(page, " src=") == NULL && strstr(page, "@import") == NULL);
        CU_ASSERT_EQUAL(count_of(page, "<section"), count_of(page, "</section>"));
        CU_ASSERT_EQUAL(count_of(page, "<div"), count_of(page, "</div>"));
        CU_ASSERT_EQUAL(count_of(page, "INVALID: the generator was the limit"),
                        result->is_valid ? 0 : count_of(page, "<section"));
        free(page);
        result_close(result);
    }
}

static void what_people_have_named_is_escaped(void)
{
    struct result *results[2] = {fake_result("full", 4), fake_result("failed", 4)};

    CU_ASSERT_FATAL(results[0] != NULL && results[1] != NULL);
    for (size_t i = 0; i < 2; i++) {
        struct result *result = results[i];
        snprintf(result->name, sizeof(result->name), "<script>alert(1)</script>");
        snprintf(result->words, sizeof(result->words), "<script>");
        snprintf(result->host, sizeof(result->host), "\"><script>");
        snprintf(result->groups[0].name, sizeof(result->groups[0].name), "<script>");
        snprintf(result->stages[0].name, sizeof(result->stages[0].name), "\"><script>");
        snprintf(result->causes[0].more, sizeof(result->causes[0].more), "<script>");
        CU_ASSERT(result_set_text(&result->command, "<script>'\"&"));
        CU_ASSERT(result_set_text(&result->scenario, "</pre><script>"));
    }
    for (size_t count = 1; count <= 2; count++) {
        char *page = page_of(results, count);
        CU_ASSERT_EQUAL(count_of(page, "<script>"), 1); /* the page's own */
        free(page);
    }
    result_close(results[0]);
    result_close(results[1]);
}

static void a_page_of_an_hour_stays_small(void)
{
    struct result *result = fake_result("pub", 3600);
    size_t bytes = 0;

    CU_ASSERT_FATAL(result != NULL);
    CU_ASSERT(result_write_html(&result, 1, path_of("hour.html").text, error, sizeof(error)));
    free(content_of(path_of("hour.html").text, &bytes));
    CU_ASSERT(bytes < 1000000);
    result_close(result);
}

static void what_cannot_be_written_is_said(void)
{
    struct result *results[HTML_RESULTS_MAX + 1] = {NULL}, *result = fake_result("conn", 1);

    CU_ASSERT_FATAL(result != NULL);
    CU_ASSERT_FALSE(
        result_write_html(results, HTML_RESULTS_MAX + 1, "/dev/null", error, sizeof(error)));
    CU_ASSERT(strstr(error, "1 to 8 runs") != NULL);
    CU_ASSERT_FALSE(result_write(result, "/nowhere/file", error, sizeof(error)));
    CU_ASSERT(strstr(error, "cannot be written: No such file") != NULL);
    CU_ASSERT_FALSE(result_write(result, "/dev/full", error, sizeof(error)));
    CU_ASSERT(strstr(error, "could not be written whole: No space left") != NULL);
    result_close(result);
}

static void rates_are_of_the_seconds_in_which_something_grew(void)
{
    const size_t sent = offsetof(struct fmx_fleet_counters, publishes_sent);
    struct result *result = result_open();

    CU_ASSERT_FATAL(result != NULL);
    CU_ASSERT_EQUAL(result_rate(result, sent), 0);
    for (unsigned i = 0; i < 10; i++) {
        struct result_row *row = result_add_row(result);
        CU_ASSERT_FATAL(row != NULL);
        row->begin_ns = i * UINT64_C(1000000000);
        row->end_ns = row->begin_ns + UINT64_C(1000000000);
        row->counters.publishes_sent = i < 3 ? 0 : i < 7 ? (i - 2) * 100 : 400;
    }
    CU_ASSERT_DOUBLE_EQUAL(result_rate(result, sent), 100, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(result_row_rate(result, 3, sent), 100, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(result_row_rate(result, 8, sent), 0, 1e-9);
    result_close(result);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_result_is_read_as_it_was_written),
    FMX_TEST_CASE(numbers_of_64_bits_and_odd_texts_survive),
    FMX_TEST_CASE(merged_parts_are_the_whole_in_any_order),
    FMX_TEST_CASE(what_is_no_part_of_the_same_run_is_refused),
    FMX_TEST_CASE(missing_parts_are_named),
    FMX_TEST_CASE(a_part_that_ended_early_keeps_its_counters),
    FMX_TEST_CASE(bad_files_are_refused_with_their_key),
    FMX_TEST_CASE(a_counter_is_in_all_lists_or_in_none_of_an_older_file),
    FMX_TEST_CASE(mutated_files_are_refused_or_shown),
    FMX_TEST_CASE(csv_has_as_many_cells_in_each_line),
    FMX_TEST_CASE(hdr_lines_rise_to_the_maximum),
    FMX_TEST_CASE(every_kind_of_run_becomes_a_page),
    FMX_TEST_CASE(what_people_have_named_is_escaped),
    FMX_TEST_CASE(a_page_of_an_hour_stays_small),
    FMX_TEST_CASE(what_cannot_be_written_is_said),
    FMX_TEST_CASE(rates_are_of_the_seconds_in_which_something_grew),
};

static void remove_files(void)
{
    static const char *const names[] = {"first.json", "second.json", "wide.json",    "part.json",
                                        "bad.json",   "sound.json",  "mutated.json", "rows.csv",
                                        "puback.hdr", "page.html",   "hour.html",    "older.json"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unlink(path_of(names[i]).text);
    }
    rmdir(folder);
}

int main(int argc, char **argv)
{
    fmx_temporary_path(folder, sizeof(folder), "test_result_XXXXXX");
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return 1;
    }
    int result = fmx_test_main("result", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
    remove_files();
    return result;
}
