/*
 * test_fleet_plan_words — what the library says of a plan names options, or places in a file
 */
#include "tests/support/run.h"
#include "tools/fleetmux/fleet.h"

#include <string.h>

static struct fleet_settings settings;
static struct scenario scenario;
static bool file_has_it;

/* The file's tables are tested by test_scenario. */
bool scenario_words(struct scenario *of, const char *path, char *words, size_t words_bytes)
{
    CU_ASSERT_PTR_EQUAL(of, &scenario);
    if (file_has_it) {
        snprintf(words, words_bytes, "%s:3:7: key 'x'", path);
    }
    return file_has_it;
}

static void begin(enum fleet_kind kind)
{
    memset(&settings, 0, sizeof(settings));
    memset(&scenario, 0, sizeof(scenario));
    settings.kind = kind;
    if (kind == FLEET_RUN) {
        settings.scenario = &scenario;
        settings.scenario_file = "a.yaml";
    }
}

static void check_words(const char *said, const char *expected)
{
    char words[FLAG_ERROR_BYTES];

    snprintf(words, sizeof(words), "%s", said);
    fleet_plan_words(&settings, words, sizeof(words));
    CU_ASSERT_STRING_EQUAL(words, expected);
}

static void a_field_becomes_its_option(void)
{
    begin(FLEET_PUB);
    check_words("groups[0].clients_count is 0: write 1", "option '--count' is 0: write 1");
    check_words("groups[a b].tls.ca: 'x' is no file", "option '--cafile': 'x' is no file");
    check_words("groups[0].publishes[0].interval_ns is 1", "option '--interval_of_msg' is 1");
    check_words("groups[0].publishes[12].properties.user[3].key is 'x'",
                "groups[0].publishes[12].properties.user[3].key is 'x'");
    check_words("groups[0].targets[1]: no such host", "option '--host': no such host");
    check_words("cpus is '99': write 0", "option '--cpus' is '99': write 0");
}

static void the_option_is_the_one_that_was_written(void)
{
    begin(FLEET_PUB);
    check_words("groups[0].client_id is long", "option '--prefix' is long");
    check_words("groups[0].publishes[0].text is bad", "option '--message' is bad");
    check_words("groups[0].tls.cert: no", "option '--cert': no");
    settings.client_id = "x%i";
    settings.text = "%t";
    settings.cert_template = "%i.crt";
    settings.key_template = "%i.key";
    check_words("groups[0].client_id is long", "option '--client-id' is long");
    check_words("groups[0].publishes[0].text is bad", "option '--text' is bad");
    check_words("groups[0].tls.cert: no", "option '--cert-template': no");
    check_words("groups[0].tls.key: no", "option '--key-template': no");
}

static void a_file_of_one_client_is_its_options(void)
{
    begin(FLEET_CONN);
    settings.cert_template = "%i.crt";
    check_words("groups[0].client 7: tls.cert: '7.crt' cannot be read",
                "option '--cert-template': client 7: '7.crt' cannot be read");
    check_words("client 7: tls.cert: '7.crt' cannot be read",
                "option '--cert-template': client 7: '7.crt' cannot be read");
    check_words("groups[0].client 7: no device has this number",
                "groups[0].client 7: no device has this number");
    check_words("client ", "client ");
}

static void other_words_stay_as_they_are(void)
{
    static const char *const all[] = {
        "",
        "no memory",
        "groups[0]",
        "groups[",
        "groups[0].",
        "sessions_max is 9: too many",
        "groups[0].no_such_field is 1",
        "x[",
        "x[1",
        "x[].y",
    };
    char line[200];

    begin(FLEET_CONN);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        check_words(all[i], all[i]);
    }
    memset(line, 'a', sizeof(line) - 1); /* longer than any field */
    line[sizeof(line) - 1] = '\0';
    check_words(line, line);
}

static void a_scenario_is_named_by_its_line(void)
{
    begin(FLEET_RUN);
    file_has_it = true;
    check_words("groups[0].tls.ca: 'x' is no file", "a.yaml:3:7: key 'x'");
    check_words("cpus is '99'", "a.yaml:3:7: key 'x'");
    settings.plan.mux.cpus = "99"; /* an option overrules the file */
    check_words("cpus is '99'", "option '--cpus' is '99'");
    file_has_it = false;
    check_words("groups[0].targets[0]: no such host", "option '--host': no such host");
    check_words("groups[0].username is long", "groups[0].username is long");
    check_words("no memory", "no memory");
}

static void wrong_input_is_usage_and_the_machine_is_not(void)
{
    char words[FLAG_ERROR_BYTES] = "groups[0].tls.ca: 'x' cannot be read";

    begin(FLEET_CONN);
    CU_ASSERT_EQUAL(fleet_plan_say_refused(&settings, FMX_SYS_FILE, words, sizeof(words)),
                    EXIT_USAGE);
    CU_ASSERT_STRING_EQUAL(words, "option '--cafile': 'x' cannot be read");
    CU_ASSERT_EQUAL(fleet_plan_say_refused(&settings, FMX_E_OPTION, words, sizeof(words)),
                    EXIT_USAGE);
    snprintf(words, sizeof(words), "no memory");
    CU_ASSERT_EQUAL(fleet_plan_say_refused(&settings, FMX_LIMIT_MEMORY, words, sizeof(words)),
                    EXIT_NO_START);
    words[0] = '\0';
    CU_ASSERT_EQUAL(fleet_plan_say_refused(&settings, FMX_SYS_RING, words, sizeof(words)),
                    EXIT_NO_START);
}

static void a_plan_is_checked_in_words_of_options(void)
{
    static struct flag_set set;

    begin(FLEET_CONN);
    fmx_fleet_plan_init(&settings.plan);
    fmx_fleet_group_init(&settings.group);
    const char *const targets[] = {"127.0.0.1:1"};
    settings.group.targets = targets;
    settings.group.targets_count = 1;
    settings.group.client_id = "c%i";
    settings.group.clients_count = 1;
    settings.plan.groups = &settings.group;
    settings.plan.groups_count = 1;
    CU_ASSERT(fleet_plan_check(&settings, &set));
    settings.group.username = "%z";
    CU_ASSERT_FALSE(fleet_plan_check(&settings, &set));
    CU_ASSERT_PTR_EQUAL(strstr(set.error, "option '--username'"), set.error);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_field_becomes_its_option),
    FMX_TEST_CASE(the_option_is_the_one_that_was_written),
    FMX_TEST_CASE(a_file_of_one_client_is_its_options),
    FMX_TEST_CASE(other_words_stay_as_they_are),
    FMX_TEST_CASE(a_scenario_is_named_by_its_line),
    FMX_TEST_CASE(wrong_input_is_usage_and_the_machine_is_not),
    FMX_TEST_CASE(a_plan_is_checked_in_words_of_options),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_plan_words", cases, sizeof cases / sizeof cases[0], argc, argv);
}
