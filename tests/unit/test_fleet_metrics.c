/*
 * test_fleet_metrics — Prometheus text of runs that never were, and wishes as they are written
 */
#include "tests/support/fake_result.h"
#include "tests/support/run.h"
#include "tools/fleetmux/fleet_serving.h"
#include "tools/fleetmux/fleet_view.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 128
#define LINES_MAX  8192

/* ── a strict reader of the format ── */

struct reading {
    char *lines[LINES_MAX];
    size_t lines_count;
    char family[NAME_BYTES], type[16];
    char seen[LINES_MAX / 4][NAME_BYTES]; /* families */
    size_t seen_count;
};

static char *text;
static struct reading reading;

static void complain(const char *what, const char *line)
{
    fprintf(stderr, "%s: %s\n", what, line);
    CU_FAIL("the text is not well formed");
}

static size_t name_bytes(const char *line)
{
    size_t bytes = 0;

    while (isalnum((unsigned char)line[bytes]) || line[bytes] == '_' || line[bytes] == ':') {
        bytes++;
    }
    return isdigit((unsigned char)line[0]) ? 0 : bytes;
}

static bool is_of_family(const char *name, size_t bytes)
{
    static const char *const ends[] = {"", "_sum", "_count", "_bucket"};
    bool is_plain = strcmp(reading.type, "counter") == 0 || strcmp(reading.type, "gauge") == 0;
    size_t ends_count = is_plain ? 1 : strcmp(reading.type, "summary") == 0 ? 3 : 4;
    char whole[NAME_BYTES + 16];

    for (size_t i = 0; i < ends_count; i++) {
        snprintf(whole, sizeof(whole), "%s%s", reading.family, ends[i]);
        if (strlen(whole) == bytes && memcmp(whole, name, bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* Behind {…}, whose texts are escaped; NULL: it is not well formed. */
static const char *skip_labels(const char *at)
{
    if (*at != '{') {
        return at;
    }
    do {
        at++;
        size_t bytes = name_bytes(at);
        if (bytes == 0 || at[bytes] != '=' || at[bytes + 1] != '"') {
            return NULL;
        }
        for (at += bytes + 2; *at != '"'; at++) {
            if (*at == '\0' || (*at == '\\' && strchr("\\\"n", *++at) == NULL)) {
                return NULL;
            }
        }
        at++;
    } while (*at == ',');
    return *at == '}' ? at + 1 : NULL;
}

static void read_comment(const char *line)
{
    char name[NAME_BYTES], type[16];

    if (sscanf(line, "# TYPE %127s %15s", name, type) == 2) {
        if (strcmp(name, reading.family) != 0) {
            complain("a TYPE without its HELP", line);
        }
        snprintf(reading.type, sizeof(reading.type), "%s", type);
        return;
    }
    if (sscanf(line, "# HELP %127s %15s", name, type) != 2) {
        complain("no HELP and no TYPE", line);
        return;
    }
    for (size_t i = 0; i < reading.seen_count; i++) {
        if (strcmp(reading.seen[i], name) == 0) {
            complain("a family twice", line);
        }
    }
    snprintf(reading.seen[reading.seen_count++], NAME_BYTES, "%s", name);
    snprintf(reading.family, sizeof(reading.family), "%s", name);
    reading.type[0] = '\0';
}

static void read_sample(const char *line)
{
    size_t bytes = name_bytes(line);
    const char *at = bytes > 0 ? skip_labels(line + bytes) : NULL;
    char *end = NULL;

    if (at == NULL || *at != ' ') {
        complain("labels", line);
        return;
    }
    double value = strtod(at + 1, &end);
    if (end == at + 1 || *end != '\0') {
        complain("value", line);
    }
    if (!is_of_family(line, bytes)) {
        complain("a sample of another family", line);
    }
    bool is_counter = strcmp(reading.type, "counter") == 0;
    size_t family = strlen(reading.family);
    if (is_counter != (family > 6 && strcmp(reading.family + family - 6, "_total") == 0)) {
        complain("_total", line);
    }
    if (is_counter && !(value >= 0)) {
        complain("a counter below 0", line);
    }
    for (size_t i = 0; i < reading.lines_count; i++) {
        size_t keys = (size_t)(at - line);
        if (strncmp(reading.lines[i], line, keys + 1) == 0) {
            complain("a sample twice", line);
        }
    }
}

/* Prints a view into `text`, and reads it. */
static void print(const struct fleet_view *view)
{
    size_t bytes;

    free(text);
    text = NULL;
    memset(&reading, 0, sizeof(reading));
    FILE *out = open_memstream(&text, &bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    fleet_metrics_print(view, out);
    fclose(out);
    char *copy = strdup(text), *at = copy;
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    for (char *line = strsep(&at, "\n"); at != NULL; line = strsep(&at, "\n")) {
        if (line[0] == '#') {
            read_comment(line);
        } else {
            read_sample(line);
            CU_ASSERT_FATAL(reading.lines_count < LINES_MAX);
            reading.lines[reading.lines_count++] = line;
        }
    }
    free(copy);
}

static bool says(const char *line)
{
    char whole[512];

    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (strstr(text, whole) == NULL) {
        fprintf(stderr, "'%s' is not there\n", line);
        return false;
    }
    return true;
}

static void take(struct fleet_view *view, const char *name, unsigned seconds)
{
    struct result *result = fake_result(name, seconds);

    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    CU_ASSERT(fleet_view_copy(view, result));
    result_close(result); /* the view is a copy */
    print(view);
}

/* ── cases ── */

static void every_run_is_well_formed_text(void)
{
    for (size_t i = 0; i < FAKE_RESULTS; i++) {
        struct fleet_view *view = fleet_view_open();
        CU_ASSERT_PTR_NOT_NULL_FATAL(view);
        take(view, fake_result_names[i], 0);
        CU_ASSERT(reading.seen_count > 100);
        fleet_view_close(view);
    }
}

static void one_view_takes_one_run_after_the_other(void)
{
    struct fleet_view *view = fleet_view_open();

    CU_ASSERT_PTR_NOT_NULL_FATAL(view);
    take(view, "full", 10); /* several groups, then one, then several */
    take(view, "start", 0);
    take(view, "full", 20);
    fleet_view_close(view);
}

static void durations_are_counted_by_their_bounds(void)
{
    struct result *result = fake_result("start", 0);
    struct fleet_view *view = fleet_view_open();

    CU_ASSERT_FATAL(result != NULL && view != NULL);
    struct fmx_distribution *puback = result->distributions[FMX_FLEET_PUBACK];
    fmx_distribution_record(puback, 9000, 3);              /* up to 10 us */
    fmx_distribution_record(puback, 2000000, 2);           /* 2 ms */
    fmx_distribution_record(puback, UINT64_C(1) << 41, 1); /* 37 minutes */
    CU_ASSERT(fleet_view_copy(view, result));
    print(view);
    CU_ASSERT(says("fleetmux_fleet_puback_latency_seconds_bucket{le=\"1e-05\"} 3"));
    CU_ASSERT(says("fleetmux_fleet_puback_latency_seconds_bucket{le=\"0.001\"} 3"));
    CU_ASSERT(says("fleetmux_fleet_puback_latency_seconds_bucket{le=\"0.0025\"} 5"));
    CU_ASSERT(says("fleetmux_fleet_puback_latency_seconds_bucket{le=\"60\"} 5"));
    CU_ASSERT(says("fleetmux_fleet_puback_latency_seconds_bucket{le=\"+Inf\"} 6"));
    CU_ASSERT(says("fleetmux_fleet_puback_latency_seconds_count 6"));
    CU_ASSERT(says("fleetmux_fleet_suback_latency_seconds_bucket{le=\"+Inf\"} 0"));
    CU_ASSERT(says("fleetmux_fleet_suback_latency_run_seconds{quantile=\"0.99\"} NaN"));
    double sum_s = view->histograms[FMX_FLEET_PUBACK].sum_s;
    CU_ASSERT(sum_s > 2198.5 && sum_s < 2200.5);
    result_close(result);
    fleet_view_close(view);
}

static void names_of_people_are_escaped_and_told_apart(void)
{
    struct result *result = fake_result("full", 0);
    struct fleet_view *view = fleet_view_open();

    CU_ASSERT_FATAL(result != NULL && view != NULL && result->groups_count >= 2);
    snprintf(result->groups[0].name, sizeof(result->groups[0].name), "a\"b\\c\nd\xff{}");
    memcpy(result->groups[1].name, result->groups[0].name, sizeof(result->groups[0].name));
    snprintf(result->name, sizeof(result->name), "\xc3\xa4,=\"");
    CU_ASSERT(fleet_view_copy(view, result));
    print(view);
    CU_ASSERT(strstr(text, "{group=\"a\\\"b\\\\c\\nd?{}\"} ") != NULL);
    CU_ASSERT(strstr(text, "{group=\"a\\\"b\\\\c\\nd?{} (group 2)\"} ") != NULL);
    CU_ASSERT(strstr(text, "scenario=\"\xc3\xa4,=\\\"\"") != NULL);
    CU_ASSERT_FATAL(result->groups_count >= 3);
    for (size_t i = 0; i < 3; i++) { /* the third one's name is what the second would get */
        snprintf(result->groups[i].name, sizeof(result->groups[i].name), "twice%s",
                 i < 2 ? "" : " (group 2)");
    }
    CU_ASSERT(fleet_view_copy(view, result));
    print(view);
    CU_ASSERT(strstr(text, "{group=\"twice (group 2)\"} ") != NULL);
    CU_ASSERT(strstr(text, "{group=\"twice (group 2) (group 2)\"} ") != NULL);
    result_close(result);
    fleet_view_close(view);
}

static void one_verdict_and_one_state_are_on(void)
{
    struct fleet_view *view = fleet_view_open();

    CU_ASSERT_PTR_NOT_NULL_FATAL(view);
    take(view, "server", 0);
    CU_ASSERT(says("fleetmux_fleet_verdict{verdict=\"SERVER-LIMITED\"} 1"));
    CU_ASSERT(says("fleetmux_fleet_verdict{verdict=\"OK\"} 0"));
    CU_ASSERT(says("fleetmux_fleet_valid 1"));
    take(view, "invalid", 0);
    CU_ASSERT(says("fleetmux_fleet_verdict{verdict=\"GENERATOR-LIMITED\"} 1"));
    CU_ASSERT(says("fleetmux_fleet_verdict{verdict=\"SERVER-LIMITED\"} 0"));
    CU_ASSERT(says("fleetmux_fleet_valid 0"));
    struct result *result = fake_result("paused", 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    result->is_finished = false;
    CU_ASSERT(fleet_view_copy(view, result));
    result_close(result);
    print(view);
    CU_ASSERT(says("fleetmux_fleet_state{state=\"paused\"} 1"));
    CU_ASSERT(says("fleetmux_fleet_state{state=\"running\"} 0"));
    fleet_view_close(view);
}

static void wishes_that_wait_are_kept_until_they_are_granted(void)
{
    struct fleet_wishes wishes = {0};

    fleet_wishes_add(&wishes, (struct fleet_wish){FLEET_WISH_NONE, 0});
    fleet_wishes_add(&wishes, (struct fleet_wish){FLEET_WISH_QUIT, 0}); /* does not wait */
    CU_ASSERT_EQUAL(wishes.count, 0);
    fleet_wishes_add(&wishes, (struct fleet_wish){FLEET_WISH_STORM, 0.5});
    fleet_wishes_add(&wishes, (struct fleet_wish){FLEET_WISH_RATE, 2});
    fleet_wishes_add(&wishes, (struct fleet_wish){FLEET_WISH_PAUSE, 1});
    CU_ASSERT_EQUAL(wishes.count, 3);
    fleet_wishes_add(&wishes, (struct fleet_wish){FLEET_WISH_RATE, 4});
    fleet_wishes_add(&wishes, (struct fleet_wish){FLEET_WISH_PAUSE, 0});
    fleet_wishes_add(&wishes, (struct fleet_wish){FLEET_WISH_STORM, 0.5});
    CU_ASSERT_EQUAL(wishes.count, 3);
    CU_ASSERT(wishes.waiting[0].kind == FLEET_WISH_STORM && wishes.waiting[0].value == 0.75);
    fleet_wishes_drop_first(&wishes);
    CU_ASSERT(wishes.waiting[0].kind == FLEET_WISH_RATE && wishes.waiting[0].value == 4);
    CU_ASSERT(wishes.waiting[1].kind == FLEET_WISH_PAUSE && wishes.waiting[1].value == 0);
    fleet_wishes_drop_first(&wishes);
    fleet_wishes_drop_first(&wishes);
    CU_ASSERT_EQUAL(wishes.count, 0);
}

static void wishes_are_read_and_refused_in_words(void)
{
    static const struct {
        const char *verb, *value;
        enum fleet_wish_kind kind; /* NONE: refused, */
        double number;
        const char *words; /* with these */
    } rows[] = {
        {"rate", "2", FLEET_WISH_RATE, 2, NULL},
        {"rate", "150%", FLEET_WISH_RATE, 1.5, NULL},
        {"rate", "0", FLEET_WISH_RATE, 0, NULL},
        {"rate", "1k", FLEET_WISH_RATE, 1000, NULL},
        {"pause", NULL, FLEET_WISH_PAUSE, 1, NULL},
        {"resume", NULL, FLEET_WISH_PAUSE, 0, NULL},
        {"storm", "10%", FLEET_WISH_STORM, 0.1, NULL},
        {"storm", "1", FLEET_WISH_STORM, 1, NULL},
        {"stop", NULL, FLEET_WISH_QUIT, 0, NULL},
        {"rate", NULL, FLEET_WISH_NONE, 0, "rate needs a value"},
        {"rate", "", FLEET_WISH_NONE, 0, "is not a number"},
        {"rate", "-1", FLEET_WISH_NONE, 0, "is not a number"},
        {"rate", "inf", FLEET_WISH_NONE, 0, "is not a number"},
        {"rate", "nan", FLEET_WISH_NONE, 0, "is not a number"},
        {"rate", "2M", FLEET_WISH_NONE, 0, "is not from 0 to 1,000,000"},
        {"rate", "%", FLEET_WISH_NONE, 0, "is not a number"},
        {"storm", "10", FLEET_WISH_NONE, 0, "is not above 0 and at most 100%"},
        {"storm", "0", FLEET_WISH_NONE, 0, "is not above 0 and at most 100%"},
        {"pause", "1", FLEET_WISH_NONE, 0, "takes no value"},
        {"strom", "10%", FLEET_WISH_NONE, 0, "did you mean 'storm'?"},
    };
    char error[FLEET_SERVING_ERROR_BYTES];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fleet_wish wish = {0};
        bool is_good = fleet_wish_read(rows[i].verb, rows[i].value, &wish, error);
        CU_ASSERT_EQUAL(is_good, rows[i].kind != FLEET_WISH_NONE);
        CU_ASSERT(!is_good || (wish.kind == rows[i].kind && wish.value == rows[i].number));
        if (!is_good && (rows[i].words == NULL || strstr(error, rows[i].words) == NULL)) {
            fprintf(stderr, "%s %s: %s\n", rows[i].verb, rows[i].value, error);
            CU_FAIL("it is refused in other words");
        }
    }
}

int main(int argc, char **argv)
{
    static const struct fmx_test_case cases[] = {
        FMX_TEST_CASE(every_run_is_well_formed_text),
        FMX_TEST_CASE(one_view_takes_one_run_after_the_other),
        FMX_TEST_CASE(durations_are_counted_by_their_bounds),
        FMX_TEST_CASE(names_of_people_are_escaped_and_told_apart),
        FMX_TEST_CASE(one_verdict_and_one_state_are_on),
        FMX_TEST_CASE(wishes_are_read_and_refused_in_words),
        FMX_TEST_CASE(wishes_that_wait_are_kept_until_they_are_granted),
    };
    int result =
        fmx_test_main("fleet_metrics", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);

    free(text);
    return result;
}
