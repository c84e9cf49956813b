/*
 * test_fleet_flags — options of the fleet about TLS: what turns it on, what becomes of the plan,
 * and which do not go together
 */
#include "tests/support/run.h"
#include "tools/fleetmux/fleet.h"

#include <stdio.h>
#include <string.h>

static struct fleet_settings settings;
static struct flag_set set;

static bool parse(char *const *words)
{
    int count = 0;

    while (words[count] != NULL) {
        count++;
    }
    fleet_flags_init(&settings, FLEET_CONN, &set);
    return flags_parse(&set, count, words) && fleet_plan_make(&settings, &set);
}

#define PARSE(...) parse((char *[]){__VA_ARGS__, NULL})

static bool says(const char *option, const char *words)
{
    bool does = strstr(set.error, option) != NULL && strstr(set.error, words) != NULL;

    if (!does) {
        fprintf(stderr, "'%s' does not say '%s' and '%s'\n", set.error, option, words);
    }
    return does;
}

static bool target_is(const char *text)
{
    return settings.plan.targets_count == 1 && strcmp(settings.plan.targets[0], text) == 0;
}

static void without_tls_there_is_none(void)
{
    CU_ASSERT(PARSE("-c", "1"));
    CU_ASSERT_PTR_NULL(settings.plan.tls);
    CU_ASSERT(target_is("127.0.0.1:1883"));
    CU_ASSERT(PARSE("-h", "mqtt://example.com"));
    CU_ASSERT_PTR_NULL(settings.plan.tls);
    CU_ASSERT(target_is("example.com:1883"));
    CU_ASSERT(PARSE("--tls", "false"));
    CU_ASSERT_PTR_NULL(settings.plan.tls);
}

static void any_option_about_tls_turns_it_on(void)
{
    static char *const options[][3] = {
        {"--tls"},
        {"--cafile", "ca"},
        {"--insecure"},
        {"--tls-server-name", "name"},
        {"--tls-min", "1.0"},
        {"--tls-max", "1.2"},
        {"--tls-suites", "AES128-SHA"},
        {"--tls-alpn", "false"},
        {"--cert", "a"},
        {"--key", "a"},
        {"--cert-template", "%i"},
        {"--key-template", "%i"},
        {"--psk", "given"},
        {"--tls-resume", "0.5"},
        {"--tls-record-bytes", "512"},
        {"--tls-workers", "1"},
        {"--tls-key-log", "log"},
        {"-h", "mqtts://127.0.0.1"},
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        CU_ASSERT(parse(options[i]));
        CU_ASSERT_PTR_EQUAL(settings.plan.tls, &settings.tls);
        CU_ASSERT(target_is("127.0.0.1:8883"));
    }
}

static void ports_follow_the_scheme_unless_they_are_given(void)
{
    CU_ASSERT(PARSE("-h", "mqtts://example.com"));
    CU_ASSERT(target_is("example.com:8883"));
    CU_ASSERT(PARSE("-h", "mqtts://example.com:1"));
    CU_ASSERT(target_is("example.com:1"));
    CU_ASSERT(PARSE("-h", "mqtts://[::1]"));
    CU_ASSERT(target_is("[::1]:8883"));
    CU_ASSERT(PARSE("-h", "::1", "--tls", "-p", "1883"));
    CU_ASSERT(target_is("[::1]:1883"));
    CU_ASSERT(PARSE("-h", "mqtts://a,b:7"));
    CU_ASSERT_EQUAL(settings.plan.targets_count, 2);
    CU_ASSERT_STRING_EQUAL(settings.plan.targets[0], "a:8883");
    CU_ASSERT_STRING_EQUAL(settings.plan.targets[1], "b:7");
}

static void settings_arrive_in_the_plan(void)
{
    const struct fmx_tls_client *tls;

    CU_ASSERT(PARSE("--cafile", "ca.pem", "--tls-server-name", "x.example", "--tls-min", "1.0",
                    "--tls-max", "1.1", "--tls-alpn", "false", "--tls-resume", "0.25",
                    "--tls-record-bytes", "16Ki", "--tls-workers", "3", "--tls-suites", "A:B"));
    tls = settings.plan.tls;
    CU_ASSERT_STRING_EQUAL(tls->ca, "ca.pem");
    CU_ASSERT_STRING_EQUAL(tls->server_name, "x.example");
    CU_ASSERT_STRING_EQUAL(tls->suites, "A:B");
    CU_ASSERT_EQUAL(tls->min, FMX_TLS_10);
    CU_ASSERT_EQUAL(tls->max, FMX_TLS_11);
    CU_ASSERT_FALSE(tls->alpn || tls->insecure);
    CU_ASSERT(tls->resume == 0.25);
    CU_ASSERT_EQUAL(tls->record_bytes_max, 16384);
    CU_ASSERT_EQUAL(settings.plan.tls_limits.workers, 3);
    CU_ASSERT(PARSE("--psk", "given", "--psk-identity", "%i", "--psk-key", "00ff"));
    CU_ASSERT_EQUAL(tls->psk, FMX_TLS_PSK_GIVEN);
    CU_ASSERT_STRING_EQUAL(tls->psk_identity, "%i");
    CU_ASSERT_STRING_EQUAL(tls->psk_key, "00ff");
    CU_ASSERT(PARSE("--psk", "sdk", "--product", "pk", "--secret", "s"));
    CU_ASSERT_EQUAL(tls->psk, FMX_TLS_PSK_SDK);
}

static void paths_are_templates_only_if_asked_for(void)
{
    CU_ASSERT(PARSE("--cert", "100%i.crt", "--key", "a.key"));
    CU_ASSERT_STRING_EQUAL(settings.plan.tls->cert, "100%%i.crt");
    CU_ASSERT_STRING_EQUAL(settings.plan.tls->key, "a.key");
    CU_ASSERT(PARSE("--cert-template", "%i.crt", "--key-template", "%i.key"));
    CU_ASSERT_STRING_EQUAL(settings.plan.tls->cert, "%i.crt");
    CU_ASSERT_STRING_EQUAL(settings.plan.tls->key, "%i.key");
    CU_ASSERT(PARSE("--cert-template", "%i.crt", "--key", "all.key"));
    CU_ASSERT_STRING_EQUAL(settings.plan.tls->key, "all.key");
}

static void what_does_not_go_together_is_refused_with_the_fix(void)
{
    static char long_path[5000];

    memset(long_path, '%', sizeof long_path - 1);
    CU_ASSERT(!PARSE("-h", "mqtt://a", "--cafile", "ca") && says("--cafile", "write mqtts://"));
    CU_ASSERT(!PARSE("-h", "mqtt://a", "--tls") && says("--tls", "write mqtts://"));
    CU_ASSERT(!PARSE("--tls", "false", "--insecure") && says("--insecure", "--tls false"));
    CU_ASSERT(!PARSE("-h", "mqtt://a,mqtts://b") && says("--host", "either"));
    CU_ASSERT(!PARSE("-h", "http://a") && says("--host", "mqtts://HOST:PORT"));
    CU_ASSERT(!PARSE("-h", "mqtts://a/") && says("--host", "mqtts://HOST:PORT"));
    CU_ASSERT(!PARSE("-h", "mqtts://") && says("--host", "mqtts://HOST:PORT"));
    CU_ASSERT(!PARSE("--cert", "a", "--cert-template", "%i") && says("--cert-template", "leave"));
    CU_ASSERT(!PARSE("--key-template", "a") && says("--key-template", "%i"));
    CU_ASSERT(!PARSE("--cert", long_path) && says("--cert", "too long"));
    CU_ASSERT(!PARSE("--psk", "sdk") && says("--psk", "--product or --devices"));
    CU_ASSERT(!PARSE("--psk", "given", "--tls-max", "1.3") && says("--tls-max", "1.2"));
    CU_ASSERT(!PARSE("--psk-key", "00") && says("--psk-key", "--psk given"));
    CU_ASSERT(!PARSE("--psk-identity", "a") && says("--psk-identity", "--psk given"));
    CU_ASSERT(!PARSE("--tls-min", "1.4") && says("--tls-min", "1.3"));
    CU_ASSERT(!PARSE("--tls-resume", "2") && says("--tls-resume", "0 to 1"));
}

static void causes_of_tls_have_hints(void)
{
    static const enum fmx_status statuses[] = {FMX_TLS_FAILED, FMX_TLS_ALERT,  FMX_TLS_VERSION,
                                               FMX_TLS_SUITE,  FMX_TLS_CERT,   FMX_TLS_NO_CERT,
                                               FMX_TLS_PSK,    FMX_TLS_RECORD, FMX_TLS_TIMEOUT};
    const struct fmx_fleet_cause closed = {.status = FMX_PEER_CLOSED};
    struct fmx_fleet_cause alert = {.status = FMX_TLS_ALERT};

    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        CU_ASSERT_PTR_NOT_NULL(fleet_hint(&(struct fmx_fleet_cause){.status = statuses[i]}, false));
    }
    CU_ASSERT_PTR_NOT_NULL(
        strstr(fleet_hint(&(struct fmx_fleet_cause){.status = FMX_TLS_CERT}, true), "--cafile"));
    alert.words = "the peer sent alert protocol_version";
    CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&alert, true), "--tls-min"));
    alert.words = "the peer sent alert certificate_required";
    CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&alert, true), "--cert"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&closed, false), "--tls"));
    CU_ASSERT_PTR_NULL(strstr(fleet_hint(&closed, true), "--tls"));
    alert.words = "the peer sent alert something_else";
    CU_ASSERT_PTR_NOT_NULL(fleet_hint(&alert, true));
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(without_tls_there_is_none),
    FMX_TEST_CASE(any_option_about_tls_turns_it_on),
    FMX_TEST_CASE(ports_follow_the_scheme_unless_they_are_given),
    FMX_TEST_CASE(settings_arrive_in_the_plan),
    FMX_TEST_CASE(paths_are_templates_only_if_asked_for),
    FMX_TEST_CASE(what_does_not_go_together_is_refused_with_the_fix),
    FMX_TEST_CASE(causes_of_tls_have_hints),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_flags", cases, sizeof cases / sizeof cases[0], argc, argv);
}
