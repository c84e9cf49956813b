/*
 * test_fleet_flags — options of the fleet: what becomes of the plan, which do not go together, and
 * what is made of the words of emqtt-bench and mosquitto
 */
#include "tests/support/run.h"
#include "tests/support/temporary.h"
#include "tools/fleetmux/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fleet_settings settings;
static struct flag_set set;

static bool parse_as(enum fleet_kind kind, char *const *words)
{
    int count = 0;

    while (words[count] != NULL) {
        count++;
    }
    fleet_flags_init(&settings, kind, &set);
    bool is_good = flags_parse(&set, count, words) && fleet_plan_make(&settings, &set);
    char error[FLAG_ERROR_BYTES];

    if (is_good && fmx_fleet_plan_check(&settings.plan, error, sizeof(error)) != FMX_OK) {
        fprintf(stderr, "the library says: %s\n", error);
    }
    return is_good;
}

static bool parse(char *const *words)
{
    return parse_as(FLEET_CONN, words);
}

#define PARSE(...) parse((char *[]){__VA_ARGS__, NULL})
#define PUB(...)   parse_as(FLEET_PUB, (char *[]){__VA_ARGS__, NULL})
#define SUB(...)   parse_as(FLEET_SUB, (char *[]){__VA_ARGS__, NULL})

/* `run` is of other tests. */
bool fleet_run_make(struct fleet_settings *run_settings, struct flag_set *run_set)
{
    (void)run_settings;
    (void)run_set;
    return true;
}

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
    return settings.group.targets_count == 1 && strcmp(settings.group.targets[0], text) == 0;
}

static void without_tls_there_is_none(void)
{
    CU_ASSERT(PARSE("-c", "1"));
    CU_ASSERT_FALSE(PARSE("-x", "5", "-V", "4"));
    CU_ASSERT(says("--session-expiry", "is of MQTT 5.0; write -V 5"));
    CU_ASSERT_FALSE(SUB("-I", "5"));
    CU_ASSERT(says("'-I' (--interval_of_msg)", "has no meaning here"));
    CU_ASSERT(PARSE("-x", "5", "-V", "5"));
    CU_ASSERT_PTR_NULL(settings.group.tls);
    CU_ASSERT(target_is("127.0.0.1:1883"));
    CU_ASSERT(!PARSE("-h") && says("option '-h' needs a value", "--help"));
    CU_ASSERT(!PARSE("-h", "-c", "5") && says("option '-h' needs a value", "'-c' is an option"));
    CU_ASSERT(!PARSE("-h", "--no") && says("option '--host'", "'--no' is no host"));
    CU_ASSERT(PARSE("-h", "mqtt://example.com"));
    CU_ASSERT_PTR_NULL(settings.group.tls);
    CU_ASSERT(target_is("example.com:1883"));
    CU_ASSERT(PARSE("--tls", "false"));
    CU_ASSERT_PTR_NULL(settings.group.tls);
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
        CU_ASSERT_PTR_EQUAL(settings.group.tls, &settings.tls);
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
    CU_ASSERT_EQUAL(settings.group.targets_count, 2);
    CU_ASSERT_STRING_EQUAL(settings.group.targets[0], "a:8883");
    CU_ASSERT_STRING_EQUAL(settings.group.targets[1], "b:7");
}

static void settings_arrive_in_the_plan(void)
{
    const struct fmx_tls_client *tls;

    CU_ASSERT(PARSE("--cafile", "ca.pem", "--tls-server-name", "x.example", "--tls-min", "1.0",
                    "--tls-max", "1.1", "--tls-alpn", "false", "--tls-resume", "0.25",
                    "--tls-record-bytes", "16Ki", "--tls-workers", "3", "--tls-suites", "A:B"));
    tls = settings.group.tls;
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
    CU_ASSERT_STRING_EQUAL(settings.group.tls->cert, "100%%i.crt");
    CU_ASSERT_STRING_EQUAL(settings.group.tls->key, "a.key");
    CU_ASSERT(PARSE("--cert-template", "%i.crt", "--key-template", "%i.key"));
    CU_ASSERT_STRING_EQUAL(settings.group.tls->cert, "%i.crt");
    CU_ASSERT_STRING_EQUAL(settings.group.tls->key, "%i.key");
    CU_ASSERT(PARSE("--cert-template", "%i.crt", "--key", "all.key"));
    CU_ASSERT_STRING_EQUAL(settings.group.tls->key, "all.key");
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

/* ── notes ── */

static bool notes(const char *option)
{
    for (size_t index = 0; index < set.notes_count; index++) {
        if (strcmp(set.notes[index].option, option) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_silent(void)
{
    for (size_t index = 0; index < set.notes_count; index++) {
        fprintf(stderr, "note: %s: %s\n", set.notes[index].option, set.notes[index].words);
    }
    return set.notes_count == 0;
}

/* ── a plan of one group ── */

static void all_connect_at_the_rate_and_stay(void)
{
    CU_ASSERT(PARSE("-c", "10"));
    CU_ASSERT_EQUAL_FATAL(settings.plan.stages_count, 2);
    CU_ASSERT(settings.plan.stages[0].kind == FMX_FLEET_RAMP);
    CU_ASSERT(settings.plan.stages[0].rate_begin == 100 && settings.plan.stages[0].rate_end == 100);
    CU_ASSERT(settings.plan.stages[1].kind == FMX_FLEET_HOLD);
    CU_ASSERT_EQUAL(settings.plan.stages[1].duration_ns, 0);
    CU_ASSERT(settings.plan.groups_count == 1 && settings.plan.groups[0].clients_count == 10);
    CU_ASSERT_EQUAL(settings.group.publishes_count, 0);
    CU_ASSERT_EQUAL(settings.group.subscribes_count, 0);
    CU_ASSERT(PARSE("-i", "4") && settings.plan.stages[0].rate_end == 250);
    CU_ASSERT(PARSE("-i", "0") && settings.plan.stages[0].rate_end == 0);
    CU_ASSERT(PARSE("-i", "4", "-R", "20k") && settings.plan.stages[0].rate_end == 20000);
    CU_ASSERT(PARSE("--duration", "90") && settings.plan.duration_ns == 90000000000);
    CU_ASSERT(PARSE("--duration", "2m") && settings.plan.duration_ns == 120000000000);
    CU_ASSERT(PARSE("-c", "1", "-c", "2") && settings.group.clients_count == 2);
    CU_ASSERT(PARSE("-n", "41") && settings.group.first_number == 42);
}

static void every_table_has_room(void)
{
    fleet_flags_init(&settings, FLEET_CONN, &set);
    CU_ASSERT(set.count < FLAG_ROWS_MAX);
    CU_ASSERT_PTR_NOT_NULL(flags_find(&set, "disable-clean-session")); /* the last of them */
    for (size_t one = 0; one < set.count; one++) { /* no name and no letter means two things */
        for (size_t other = 0; other < one; other++) {
            uint32_t all = FLEET_CONN | FLEET_PUB | FLEET_SUB | FLEET_RUN;
            const struct flag *a = &set.rows[one], *b = &set.rows[other];
            if (((a->verbs == 0 ? all : a->verbs) & (b->verbs == 0 ? all : b->verbs)) != 0) {
                CU_ASSERT_STRING_NOT_EQUAL(a->name, b->name);
                CU_ASSERT(a->letter == 0 || a->letter != b->letter);
            }
        }
    }
}

static void messages_of_all_clients_are_shared_out(void)
{
    CU_ASSERT(PUB("-t", "a", "-c", "50", "--rate", "1000"));
    CU_ASSERT(settings.publish.schedule == FMX_FLEET_CONSTANT);
    CU_ASSERT_EQUAL(settings.publish.interval_ns, 50000000);
    CU_ASSERT(PUB("-t", "a", "-c", "50", "--rate", "1k", "--burst", "4", "--burst-spacing", "1ms"));
    CU_ASSERT(settings.publish.schedule == FMX_FLEET_BURSTS);
    CU_ASSERT(settings.publish.burst_count == 4 && settings.publish.burst_spacing_ns == 1000000);
    CU_ASSERT_EQUAL(settings.publish.interval_ns, 200000000);
    CU_ASSERT(PUB("-t", "a", "-c", "50", "--rate", "1k", "--change", "0.5"));
    CU_ASSERT(settings.publish.schedule == FMX_FLEET_ON_CHANGE);
    CU_ASSERT_EQUAL(settings.publish.interval_ns, 25000000);
    CU_ASSERT(PUB("-t", "a", "-I", "0") && settings.publish.schedule == FMX_FLEET_CLOSED_LOOP);
    CU_ASSERT(PUB("-t", "a", "--schedule", "poisson", "-I", "2s"));
    CU_ASSERT(settings.publish.schedule == FMX_FLEET_POISSON);
    CU_ASSERT_EQUAL(settings.publish.interval_ns, 2000000000);
    CU_ASSERT(PUB("-t", "a", "-L", "1M") && settings.publish.messages_max == 1000000);
    CU_ASSERT(PUB("-t", "a", "-F", "0") && settings.group.window == 32768);
    CU_ASSERT(!PUB("-t", "a", "--rate", "5", "-I", "5") && says("--rate", "leave one out"));
    CU_ASSERT(!PUB("-t", "a", "--rate", "5", "--schedule", "closed") && says("--rate", "closed"));
    CU_ASSERT(!PUB("-t", "a", "-I", "0", "--schedule", "poisson") && says("interval", "closed"));
    CU_ASSERT(!PUB("-t", "a", "--burst", "3", "--schedule", "poisson") && says("burst", "bursts"));
    CU_ASSERT(!PUB("-t", "a", "--change", "1", "--burst", "2") && says("--change", "on-change"));
    CU_ASSERT(!PUB("-t", "a", "--rate", "0.000001", "-c", "1") && says("--rate", "a day"));
}

static void a_payload_is_said_in_one_way(void)
{
    static const char text[] = "at %TIMESTAMP% %TIMESTAMPUS% 5% %i %RANDOM%%%UNIQUE%.";
    char path[FMX_TEMPORARY_BYTES], uri[FMX_TEMPORARY_FILE_BYTES];

    fmx_temporary_path(path, sizeof(path), "test_fleet_flags_XXXXXX");
    int file = mkstemp(path);
    CU_ASSERT_FATAL(file >= 0);
    CU_ASSERT_EQUAL(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    CU_ASSERT(PUB("-t", "a", "-m", "%i stays"));
    CU_ASSERT(settings.publish.payload.bytes == 8 && settings.publish.text == NULL);
    CU_ASSERT_EQUAL(memcmp(settings.publish.payload.data, "%i stays", 8), 0);
    CU_ASSERT(PUB("-t", "a", "--text", "%i goes"));
    CU_ASSERT_STRING_EQUAL(settings.publish.text, "%i goes");
    CU_ASSERT(PUB("-t", "a", "-f", path));
    CU_ASSERT_EQUAL(settings.publish.payload.bytes, strlen(text));
    snprintf(uri, sizeof(uri), "template://%s", path);
    CU_ASSERT(PUB("-t", "a", "-m", uri, "-s", "12"));
    CU_ASSERT_STRING_EQUAL(settings.publish.text, "at %t %{time:us} 5%% %%i %{text:12}%%"
                                                  "%{int:1000000000000000:9007199254740991}.");
    CU_ASSERT(!PUB("-t", "a", "-m", "a", "--text", "b") && says("--text", "all but one"));
    CU_ASSERT(!PUB("-t", "a", "-f", "/nowhere/at/all") && says("--file", "No such file"));
    CU_ASSERT(!PUB("-t", "a", "-f", "/") && says("--file", "cannot be read"));
    CU_ASSERT(!PUB("-t", "a", "-m", "template:///nowhere") && says("--message", "No such file"));
    unlink(path);
}

static void filters_are_several_and_topics_one(void)
{
    CU_ASSERT(SUB("-t", "a/%i", "-t", "b,c/#", "-q", "1"));
    CU_ASSERT_EQUAL_FATAL(settings.group.subscribes_count, 2);
    CU_ASSERT_STRING_EQUAL(settings.group.subscribes[1].filter, "b,c/#");
    CU_ASSERT_EQUAL(settings.group.subscribes[1].qos, 1);
    CU_ASSERT(!PUB("-t", "a", "-t", "b") && says("topic", "fleet run"));
    CU_ASSERT(PUB("-c", "1") && notes("topic"));
    CU_ASSERT_STRING_EQUAL(settings.publish.topic, "bench/%i");
    CU_ASSERT(SUB("-c", "1") && notes("topic") && settings.group.subscribes_count == 1);
}

static void devices_get_their_filters(void)
{
    CU_ASSERT(PARSE("--product", "pk", "--secret", "s", "--rrpc", "echo", "--ext", "1"));
    CU_ASSERT_EQUAL_FATAL(settings.group.subscribes_count, 2);
    CU_ASSERT(PUB("--product", "pk", "--secret", "s", "--thing-model", "-I", "1"));
    CU_ASSERT_EQUAL(settings.group.subscribes_count, 1);
    CU_ASSERT_PTR_NULL(settings.publish.topic);
    CU_ASSERT(is_silent());
    CU_ASSERT(!PUB("--product", "pk", "--secret", "s", "--thing-model", "-m", "x") &&
              says("--thing-model", "payload"));
}

static void reconnecting_has_four_spellings(void)
{
    CU_ASSERT(PARSE("-c", "1") && settings.group.reconnect == FMX_FLEET_RECONNECT_NONE);
    CU_ASSERT(PARSE("--reconnect", "0") && settings.group.reconnect == FMX_FLEET_RECONNECT_NONE);
    CU_ASSERT(PARSE("--reconnect", "100-10s"));
    CU_ASSERT(settings.group.reconnect == FMX_FLEET_RECONNECT_EXPONENTIAL);
    CU_ASSERT(settings.group.reconnect_min_ms == 100 && settings.group.reconnect_max_ms == 10000);
    CU_ASSERT(PARSE("--reconnect", "fixed:2s") && is_silent());
    CU_ASSERT(settings.group.reconnect == FMX_FLEET_RECONNECT_FIXED);
    CU_ASSERT_EQUAL(settings.group.reconnect_min_ms, 2000);
    CU_ASSERT(PARSE("--reconnect", "3") && notes("reconnect"));
    CU_ASSERT_EQUAL(settings.group.reconnect_min_ms, 5000);
    CU_ASSERT(PARSE("--num-retry-connect", "3") && notes("num-retry-connect"));
    CU_ASSERT(settings.group.reconnect == FMX_FLEET_RECONNECT_FIXED);
    CU_ASSERT(!PARSE("--reconnect", "10-1") && says("--reconnect", "MIN-MAX"));
    CU_ASSERT(!PARSE("--reconnect", "0-1") && says("--reconnect", "MIN-MAX"));
    CU_ASSERT(!PARSE("--reconnect", "soon") && says("--reconnect", "MIN-MAX"));
}

static void a_part_of_a_fleet_has_its_number(void)
{
    CU_ASSERT(PARSE("--shard", "2/5"));
    CU_ASSERT(settings.plan.part == 1 && settings.plan.parts_count == 5);
    CU_ASSERT(!PARSE("--shard", "0/5") && says("--shard", "K/N"));
    CU_ASSERT(!PARSE("--shard", "6/5") && says("--shard", "K/N"));
    CU_ASSERT(!PARSE("--shard", "2") && says("--shard", "2/5"));
    CU_ASSERT(!PARSE("--shard", "2/") && says("--shard", "2/5"));
}

static void thresholds_follow_one_another(void)
{
    CU_ASSERT(PUB("--threshold", "puback.p99<50ms", "lost==0", "rate>=9900", "-t", "a",
                  "--threshold", "connects_failed!=1"));
    CU_ASSERT_EQUAL_FATAL(settings.thresholds.count, 4);
    CU_ASSERT_STRING_EQUAL(settings.thresholds.items[2], "rate>=9900");
    CU_ASSERT(!PUB("--threshold", "a<1", "b") && says("unexpected", "'b'"));
}

/* ── emqtt-bench ── */

static void short_ids_are_the_number(void)
{
    CU_ASSERT(PARSE("-c", "1"));
    CU_ASSERT_STRING_EQUAL(settings.group.client_id, "fleetmux_conn_%i");
    CU_ASSERT(PARSE("--prefix", "a"));
    CU_ASSERT_STRING_EQUAL(settings.group.client_id, "a_%i");
    CU_ASSERT(PARSE("-s"));
    CU_ASSERT_STRING_EQUAL(settings.group.client_id, "%i");
    CU_ASSERT(SUB("-s", "true", "--prefix", "a", "-t", "x"));
    CU_ASSERT_STRING_EQUAL(settings.group.client_id, "a%i");
    CU_ASSERT(PUB("--shortids", "-s", "64", "-t", "x"));
    CU_ASSERT_STRING_EQUAL(settings.group.client_id, "%i");
    CU_ASSERT_EQUAL(settings.publish.payload_bytes, 64);
}

static void bare_switches_and_both_dashes_are_taken(void)
{
    CU_ASSERT(PUB("-C", "false", "-r", "-t", "a", "--interval_of_msg", "5"));
    CU_ASSERT(!settings.group.clean && settings.publish.retain);
    CU_ASSERT_EQUAL(settings.publish.interval_ns, 5000000);
    CU_ASSERT(PUB("-C", "-t", "a", "--interval-of-msg", "5", "--wait_before_publishing"));
    CU_ASSERT(settings.group.clean);
    CU_ASSERT_EQUAL(settings.publish.interval_ns, 5000000);
    CU_ASSERT(settings.plan.stages[0].publish_begin == 0 &&
              settings.plan.stages[0].publish_end == 0);
    CU_ASSERT(settings.plan.stages[1].publish_begin == 1);
    CU_ASSERT(PUB("-w", "false", "-t", "a") && settings.plan.stages[0].publish_end == 1);
}

static void what_changes_nothing_is_taken_with_a_line(void)
{
    CU_ASSERT(PUB("-t", "a", "-l", "--force-major-gc-interval", "10", "-Q", "true", "--qoelog", "f",
                  "--payload-hdrs", "cnt64,ts", "--retry-interval", "3", "--max-random-wait", "5",
                  "--min_random_wait", "2", "-d", "--load-qst", "x", "--prometheus"));
    CU_ASSERT(notes("lowmem") && notes("force-major-gc-interval") && notes("qoe"));
    CU_ASSERT(notes("qoelog") && notes("payload-hdrs") && notes("retry-interval"));
    CU_ASSERT(notes("dist") && notes("load-qst") && notes("prometheus"));
    CU_ASSERT(PUB("-t", "a", "--retry-interval", "0", "--force-major-gc-interval", "0", "--qoe",
                  "false", "--ws", "false", "--quic", "false", "--lowmem", "false",
                  "--num-retry-connect", "0", "--reconnect", "0", "--restapi", "disabled",
                  "--max-random-wait", "0", "--ssl", "false", "-x", "0", "--log_to", "console"));
    CU_ASSERT(is_silent());
    CU_ASSERT(settings.metrics == NULL && settings.group.tls == NULL && !settings.is_quiet);
    CU_ASSERT(PUB("-t", "a", "--restapi", "127.0.0.1:8080", "--log-to", "null"));
    CU_ASSERT_STRING_EQUAL(settings.metrics, "127.0.0.1:8080");
    CU_ASSERT(settings.is_quiet);
    CU_ASSERT(SUB("-t", "a", "-q", "2") && notes("qos") && settings.group.subscribes[0].qos == 1);
}

static void what_would_be_another_run_is_refused(void)
{
    CU_ASSERT(!PARSE("--ws") && says("--ws", "WebSockets"));
    CU_ASSERT(!PARSE("--quic", "true") && says("--quic", "QUIC"));
    CU_ASSERT(!PARSE("--keyex-algs", "secp384r1") && says("--keyex-algs", "chosen"));
    CU_ASSERT(!PUB("-t", "a", "-q", "2") && says("--qos", "QoS 2"));
    CU_ASSERT(!PUB("--topics-payload", "x.json") && says("--topics-payload", "fleet run"));
    CU_ASSERT(!PARSE("--capath", "/etc/ssl") && says("--capath", "--cafile"));
    CU_ASSERT(!PARSE("--will-topic", "a") && says("--will-topic", "wills"));
    CU_ASSERT(!PARSE("--will-payload", "a") && says("--will-payload", "wills"));
    CU_ASSERT(!PARSE("--log_to", "file") && says("--log_to", "null"));
}

static void ssl_trusts_anybody_unless_an_authority_is_named(void)
{
    CU_ASSERT(PARSE("-p", "8883", "--ssl") && notes("ssl"));
    CU_ASSERT(settings.group.tls != NULL && settings.tls.insecure);
    CU_ASSERT(target_is("127.0.0.1:8883"));
    CU_ASSERT(PARSE("-S", "--cacertfile", "ca") && is_silent() && !settings.tls.insecure);
    CU_ASSERT_STRING_EQUAL(settings.tls.ca, "ca");
    CU_ASSERT(PARSE("-S", "--tls") && is_silent() && !settings.tls.insecure);
    CU_ASSERT(PARSE("--ssl", "--certfile", "c.pem", "--keyfile", "k.pem"));
    CU_ASSERT_STRING_EQUAL(settings.tls.cert, "c.pem");
    CU_ASSERT_STRING_EQUAL(settings.tls.key, "k.pem");
    CU_ASSERT(PARSE("--ssl-version", "tlsv1.2", "--ciphers", "A,B"));
    CU_ASSERT(settings.tls.min == FMX_TLS_12 && settings.tls.max == FMX_TLS_12);
    CU_ASSERT_STRING_EQUAL(settings.tls.suites, "A:B");
    CU_ASSERT(!PARSE("--ssl-version", "tlsv1.2", "--tls-max", "1.3") &&
              says("--ssl-version", "only"));
    CU_ASSERT(!PARSE("--ssl", "false", "--cafile", "ca") && says("--cafile", "--ssl false"));
}

/* ── mosquitto ── */

static void mosquittos_words_are_taken(void)
{
    CU_ASSERT(PARSE("--psk", "00fF", "--psk-identity", "x"));
    CU_ASSERT_EQUAL(settings.tls.psk, FMX_TLS_PSK_GIVEN);
    CU_ASSERT_STRING_EQUAL(settings.tls.psk_key, "00fF");
    CU_ASSERT(!PARSE("--psk", "0", "--psk-identity", "x") && says("--psk", "hex"));
    CU_ASSERT(!PARSE("--psk", "zz") && says("--psk", "sdk"));
    CU_ASSERT(PARSE("-A", "127.0.0.2", "--tls-version", "tlsv1.3", "-V", "mqttv311", "--id", "me"));
    CU_ASSERT(settings.group.sources_count == 1 && settings.tls.min == FMX_TLS_13);
    CU_ASSERT(settings.group.version == FMX_MQTT_311 && settings.group.clients_count == 1);
    CU_ASSERT_STRING_EQUAL(settings.group.client_id, "me");
    CU_ASSERT(PARSE("--pw", "secret", "-W", "9") && settings.plan.duration_ns == 9000000000);
    CU_ASSERT(!PARSE("-i", "me") && says("-i", "not a number"));
}

static void properties_have_mosquittos_names(void)
{
    const struct fmx_fleet_properties *properties = &settings.publish.properties;

    CU_ASSERT(PUB("-t", "a", "-D", "connect", "session-expiry-interval", "60", "-D", "connect",
                  "receive-maximum", "7", "-D", "publish", "user-property", "k", "v",
                  "--user-property", "a=b", "-D", "publish", "content-type", "text/plain",
                  "--property", "publish", "message-expiry-interval", "9", "-D", "publish",
                  "response-topic", "r/%i", "-D", "publish", "payload-format-indicator", "1", "-D",
                  "publish", "user-property", "user-property", "w"));
    CU_ASSERT(settings.group.session_expiry_s == 60 && settings.group.receive_max == 7);
    CU_ASSERT_EQUAL_FATAL(properties->user_count, 3);
    CU_ASSERT_STRING_EQUAL(properties->user[0].key, "a");
    CU_ASSERT_STRING_EQUAL(properties->user[1].value, "v");
    CU_ASSERT_STRING_EQUAL(properties->user[2].key, "user-property");
    CU_ASSERT_STRING_EQUAL(properties->user[2].value, "w");
    CU_ASSERT_STRING_EQUAL(properties->content_type, "text/plain");
    CU_ASSERT_STRING_EQUAL(properties->response_topic, "r/%i");
    CU_ASSERT(properties->message_expiry_s == 9 && properties->is_text && is_silent());
    CU_ASSERT(PUB("-t", "a", "-D", "publish", "correlation-data", "12345", "-D", "publish",
                  "topic-alias", "1"));
    CU_ASSERT(properties->correlation_bytes == 5 && properties->use_aliases && notes("property"));
    CU_ASSERT(!PUB("-D", "connect", "session-expiry") && says("-D", "needs a value"));
    CU_ASSERT(!PUB("-D", "publish", "user-property", "k") && says("-D", "needs a value"));
    CU_ASSERT(!PUB("-D", "publish", "contenttype", "x") && says("--property", "'content-type'"));
    CU_ASSERT(!PUB("-D", "will", "user-property", "a", "b") && says("--property", "will"));
    CU_ASSERT(!PARSE("-D", "publish", "topic-alias", "1") && says("--property", "pub only"));
    CU_ASSERT(!PUB("-D", "connect", "receive-maximum", "0") && says("--property", "from 1"));
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
    FMX_TEST_CASE(all_connect_at_the_rate_and_stay),
    FMX_TEST_CASE(every_table_has_room),
    FMX_TEST_CASE(messages_of_all_clients_are_shared_out),
    FMX_TEST_CASE(a_payload_is_said_in_one_way),
    FMX_TEST_CASE(filters_are_several_and_topics_one),
    FMX_TEST_CASE(devices_get_their_filters),
    FMX_TEST_CASE(reconnecting_has_four_spellings),
    FMX_TEST_CASE(a_part_of_a_fleet_has_its_number),
    FMX_TEST_CASE(thresholds_follow_one_another),
    FMX_TEST_CASE(short_ids_are_the_number),
    FMX_TEST_CASE(bare_switches_and_both_dashes_are_taken),
    FMX_TEST_CASE(what_changes_nothing_is_taken_with_a_line),
    FMX_TEST_CASE(what_would_be_another_run_is_refused),
    FMX_TEST_CASE(ssl_trusts_anybody_unless_an_authority_is_named),
    FMX_TEST_CASE(mosquittos_words_are_taken),
    FMX_TEST_CASE(properties_have_mosquittos_names),
    FMX_TEST_CASE(causes_of_tls_have_hints),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_flags", cases, sizeof cases / sizeof cases[0], argc, argv);
}
