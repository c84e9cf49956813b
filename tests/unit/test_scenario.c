/*
 * test_scenario — scenarios are read as they are meant, and wrong ones are answered with their line
 */
#include "tests/support/prng.h"
#include "tests/support/scenario.h"
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/scenario_parts.h"

#include <dirent.h>

static char error[FLAG_ERROR_BYTES];

#define ONE "groups:\n- clients: 1\n"

/* ── what is wrong ── */

static const struct {
    const char *text;
    const char *words; /* behind the file's name */
} bad[] = {
    /* YAML */
    {"", ": there is nothing in it; see 'fleetmux help fleet scenario'"},
    {"# nothing\n", ": there is nothing in it; see 'fleetmux help fleet scenario'"},
    {"hello\n", ":1:1: the file has no keys; write lines of 'key: value'"},
    {"- 1\n", ":1:1: the file has no keys; write lines of 'key: value'"},
    {"groups: *x\n", ":1:9: this is not YAML: found undefined alias"},
    {"groups:\n\t- x\n",
     ":2:1: this is not YAML: found character that cannot start any token (while scanning for the "
     "next token that begins at line 2); put a text that begins with %, @, ` or a tab into quotes"},
    {ONE "---\nb: 1\n", ":3:1: a second document begins here; a scenario is one"},
    {"name: \xff\xfe\n", ":1:7: here is something that is not UTF-8 text; save the file as UTF-8"},
    {"name: x\ngroups:\n- name: a\x01z\n", ":3:10: here is a control character; leave it out"},
    {ONE "name: \"a\\0b\"\n", ":3:7: key 'name': has a zero byte in it; leave it out"},
    {ONE "name: !!binary aGk=\n",
     ":3:7: key 'name': has the tag tag:yaml.org,2002:binary; leave it out"},
    {ONE "? [a]\n: b\n", ":3:3: has a key that is no word; write a name"},

    /* keys */
    {"grups: []\n", ":1:1: key 'grups': there is no such key; did you mean 'groups'?"},
    {"seed: 1\n", ":1:1: 'groups' is missing; write a list of groups, 1 to 64"},
    {ONE "groups: []\n", ":3:1: key 'groups': stands twice; remove one"},
    {"groups: []\n", ":1:9: key 'groups': is not good here; write a list of groups, 1 to 64"},
    {ONE "  qos: 1\n", ":3:3: key 'groups[0].qos': there is no such key here; it is one of "
                       "groups[].publish[]"},
    {ONE "session_expiry: 4s\n",
     ":3:1: key 'session_expiry': there is no such key here; it is one of groups[]"},
    {ONE "zzz: 4s\n", ":3:1: key 'zzz': there is no such key"},
    {ONE "name:\n", ":3:6: key 'name': has no value; write a text, not empty"},
    {"groups:\n- name: a\n",
     ":2:3: key 'groups[0]': 'clients' is missing; write how many there are, as in clients: 10k"},
    {"groups:\n- &g\n  clients: 1\n  <<: *g\n",
     ":2:3: key 'groups[0]': '<<' merges 16 deep, or itself; undo that"},
    {"groups:\n- clients: 1\n  <<: 5\n",
     ":3:7: key 'groups[0]': '<<' takes keys, as in <<: *anchor, or a list of such"},

    /* values */
    {"groups:\n- clients: 0\n", ":2:12: key 'groups[0].clients': '0' is out of range; write a "
                                "number from 1 to 16000000"},
    {"groups:\n- clients: 10kk\n", ":2:12: key 'groups[0].clients': '10kk' is not a number; write "
                                   "a number from 1 to 16000000"},
    {"groups:\n- clients: [1]\n", ":2:12: key 'groups[0].clients': is a list; write a number from "
                                  "1 to 16000000"},
    {ONE "  clean: yes\n",
     ":3:10: key 'groups[0].clean': 'yes' is not good here; write true or false"},
    {ONE "seed: 18446744073709551616\n", ":3:7: key 'seed': '18446744073709551616' is out of "
                                         "range; write a number from 0 to 18446744073709551615"},
    {ONE "duration: 1 hour\n", ":3:11: key 'duration': '1 hour' is not a time; write a time from "
                               "0s to 2400h, such as 250ms, 10s or 5m"},

    /* groups */
    {ONE "  target: http://x\n", ":3:11: key 'groups[0].target[0]': 'http://x' is not a host; "
                                 "write HOST, HOST:PORT, mqtt://HOST:PORT or mqtts://HOST:PORT"},
    {ONE "  target: [mqtt://a, mqtts://b]\n",
     ":2:3: key 'groups[0]': the targets say mqtt:// and mqtts://; a group does either: make two"},
    {ONE "  target: mqtt://a\n  tls: true\n",
     ":2:3: key 'groups[0]': 'tls' and the scheme of the target contradict one another; leave one "
     "out"},
    {ONE "  tls: {min: 1.4}\n",
     ":3:14: key 'groups[0].tls.min': '1.4' is not good here; write one of 1.0, 1.1, 1.2, 1.3; did "
     "you mean '1.0'?"},
    {ONE "  tls: maybe\n", ":3:8: key 'groups[0].tls': 'maybe' is not good here; write true, "
                           "false, or the keys of TLS"},
    {ONE "  tls: {cert: a.crt}\n",
     ":3:8: key 'groups[0].tls.key' is missing: a certificate and its key go together"},
    {ONE "  session_expiry: 5s\n  version: 3.1.1\n",
     ":3:19: key 'groups[0].session_expiry': is of MQTT 5.0; write version: 5, or leave it out"},
    {ONE "  reconnect: soon\n", ":3:14: key 'groups[0].reconnect': 'soon' is not good here; write "
                                "none, a time such as 5s, or the keys of reconnect"},
    {ONE "  reconnect: 5\n", ":3:14: key 'groups[0].reconnect': '5' has no unit; write for example "
                             "5ms, 5s or 5m"},
    {ONE "  reconnect: {min: 10s, max: 1s}\n",
     ":3:14: key 'groups[0].reconnect': 'min' is above 'max'; swap them"},
    {ONE "  answers: ecko\n", ":3:12: key 'groups[0].answers': 'ecko' is not good here; write one "
                              "of off, echo, fixed, never; did you mean 'echo'?"},
    {ONE "  answers: {kind: fixed}\n",
     ":3:12: key 'groups[0].answers': 'payload' is missing; write what is answered"},
    {ONE "  link: {loss: 60%}\n",
     ":3:16: key 'groups[0].link.loss' is 0.6: write a number from 0 to 0.5"},
    {ONE "  link: {read: fast}\n", ":3:16: key 'groups[0].link.read': 'fast' is not a speed; write "
                                   "bytes a second such as 64Ki/s, "
                                   "from 0 to 1099511627776"},
    {ONE "- clients: 1\n  name: a\n  client_id: x\n- clients: 1\n  name: a\n  client_id: y\n",
     ":7:9: key 'groups[2].name': 'a' is the name of another group too; rename one"},
    {ONE "  device: {secret: x}\n", ":3:11: key 'groups[0].device': nothing says who the devices "
                                    "are; write product, devices or registry"},
    {ONE "  device: {devices: no.csv}\n",
     ":3:21: key 'groups[0].device.devices': 'no.csv' cannot be read: No such file or directory"},
    {ONE "  device: {product: a, name: \"%c\", secret: s}\n",
     ":3:30: key 'groups[0].device.name' is '%c': the variables are %i and %n"},
    {ONE "  username: x\n  device: {product: a, secret: s}\n",
     ":3:13: key 'groups[0].username': has no meaning for devices; leave it out"},

    /* publishes */
    {ONE "  publish:\n  - {topic: a, every: 10}\n",
     ":4:23: key 'groups[0].publish[0].every': '10' has no unit; write for example 10ms, 10s or "
     "10m"},
    {ONE "  publish:\n  - {topic: a, evry: 1s}\n",
     ":4:16: key 'groups[0].publish[0].evry': there is no such key; did you mean 'every'?"},
    {ONE "  publish:\n  - {every: 1s}\n", ":4:5: key 'groups[0].publish[0]': 'topic' is missing; "
                                          "write for example topic: \"demo/%i\""},
    {ONE "  publish:\n  - {topic: a/#}\n",
     ":4:13: key 'groups[0].publish[0].topic' is 'a/#': write a topic name, of 1 byte or more of "
     "UTF-8 without + and #"},
    {ONE "  publish:\n  - {topic: a, text: x, json: {a: 1}}\n",
     ":4:31: key 'groups[0].publish[0].json': 'text' says already what is sent; leave one of them "
     "out"},
    {ONE "  publish:\n  - {topic: a, file: missing.bin}\n",
     ":4:22: key 'groups[0].publish[0].file': 'missing.bin' cannot be read: No such file or "
     "directory"},
    {ONE "  publish: {topic: a, base64: x}\n",
     ":3:31: key 'groups[0].publish[0].base64': is not base64; write base64, with padding"},
    {ONE "  publish: {topic: a, burst_count: 3}\n",
     ":3:36: key 'groups[0].publish[0].burst_count': goes with schedule: bursts only"},
    {ONE "  publish: {topic: a, schedule: burst}\n",
     ":3:33: key 'groups[0].publish[0].schedule': 'burst' is not good here; write one of constant, "
     "poisson, bursts, on-change, closed-loop; did you mean 'bursts'?"},
    {ONE "  publish: {topic: a, schedule: bursts, burst_count: 10, burst_spacing: 1s}\n",
     ":3:12: key 'groups[0].publish[0]': 10 messages do not fit into 'every', 1s; write a "
     "'burst_spacing' of at most 100ms"},
    {ONE "  publish: {topic: a, json: {a: 1, a: 2}}\n",
     ":3:36: key 'groups[0].publish[0].json': 'a' stands twice; remove one"},
    {ONE "  publish: {topic: a, json: &a [*a]}\n",
     ":3:29: key 'groups[0].publish[0].json': is more than 64 levels deep, or holds itself"},
    {ONE "  publish: {topic: a, properties: {user: x}}\n",
     ":3:42: key 'groups[0].publish[0].properties.user': is not good here; write keys and texts, "
     "or "
     "a list of such, up to 1024"},
    {ONE "  version: 4\n  publish: {topic: a, request: {response_topic: b}}\n",
     ":4:49: key 'groups[0].publish[0].request.response_topic' needs version MQTT 5.0: leave it "
     "out, or write that version"},
    {ONE "  subscribe: [{qos: 1}]\n",
     ":3:15: key 'groups[0].subscribe[0]': 'filter' is missing; write a text, not empty"},
    {ONE "  subscribe: [a, b/#/c]\n",
     ":3:18: key 'groups[0].subscribe[1].filter' is 'b/#/c': write a topic filter, with + as a "
     "whole level and # as the whole last one"},

    /* stages and thresholds */
    {ONE "stages: [rmap]\n", ":3:10: key 'stages[0]': there is no stage 'rmap'; did you mean "
                             "'ramp'?"},
    {ONE "stages: [{ramp: 5, hold: 3s}]\n",
     ":3:10: key 'stages[0]': is not one stage; write ramp, hold, churn, storm or stop, and behind "
     "it its keys, as in - hold: 5m"},
    {ONE "stages: [ramp, {hold: 0s}, {hold: 1s}]\n",
     ":3:23: key 'stages[1].hold.for' is 0, but stages follow: write how long this hold lasts"},
    {ONE "stages: [ramp, churn]\n",
     ":3:16: key 'stages[1].churn': 'rate' is missing; write for example 20/s"},
    {ONE "stages: [ramp, {hold: {share: 1}}]\n",
     ":3:24: key 'stages[1].hold.share': has no meaning in a hold; leave it out"},
    {"groups: [{name: meters, clients: 1}]\nstages: [ramp, {hold: {groups: metres}}]\n",
     ":2:32: key 'stages[1].hold.groups': no group is called 'metres'; did you mean 'meters'?"},
    {ONE "stages: [ramp, {storm: {within: 5s, for: 1s}}]\n",
     ":3:16: key 'stages[1].storm': 'within' is 5s, longer than 'for', 1s"},
    {ONE "stages: [{ramp: 5..x}]\n", ":3:17: key 'stages[0].ramp': '5..x' is not a rate; write a "
                                     "rate such as 500/s or 30/m, two as "
                                     "in 100..500/s, or max; up to 10000000/s"},
    {ONE "thresholds: [pubak.p99<5ms]\n",
     ":3:14: key 'thresholds[0]': threshold 'pubak.p99<5ms': unknown metric 'pubak.p99'; did you "
     "mean 'puback.p99'?"},
};

static void wrong_scenarios_are_refused_with_line_and_key(void)
{
    struct fmx_scenario_folder folder;

    fmx_scenario_enter(&folder);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char expected[FLAG_ERROR_BYTES];
        struct scenario *scenario = fmx_scenario_of(bad[i].text, error, sizeof(error));
        snprintf(expected, sizeof(expected), "%s%s", FMX_SCENARIO_FILE, bad[i].words);
        CU_ASSERT_PTR_NULL(scenario);
        if (scenario != NULL || strcmp(error, expected) != 0) {
            fprintf(stderr, "%s\nsays:   %s\nnot:    %s\n", bad[i].text,
                    scenario != NULL ? "nothing" : error, expected);
            CU_FAIL("another answer");
        }
        scenario_close(scenario);
    }
    fmx_scenario_leave(&folder);
}

static bool refuses(const char *words)
{
    struct scenario *scenario = scenario_open(FMX_SCENARIO_FILE, NULL, error, sizeof(error));
    bool does = scenario == NULL && strstr(error, words) != NULL;

    if (!does) {
        fprintf(stderr, "'%s' does not say '%s'\n", scenario == NULL ? error : "", words);
    }
    scenario_close(scenario);
    return does;
}

static void files_of_any_size_and_depth_end_at_a_bound(void)
{
    struct fmx_scenario_folder folder;
    size_t bytes = (16u << 20) + 1;
    char *text = malloc(bytes + 64);
    size_t used = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    fmx_scenario_enter(&folder);
    memset(text, '#', bytes);
    fmx_scenario_put(FMX_SCENARIO_FILE, text, bytes);
    CU_ASSERT(refuses("is larger than 16 MiB"));

    /* each level holds the one before ten times */
    used = (size_t)snprintf(text, bytes, "x-0: &a0 [1, 2, 3]\n");
    for (int level = 1; level <= 30; level++) {
        used += (size_t)snprintf(text + used, bytes - used, "x-%d: &a%d [*a%d", level, level,
                                 level - 1);
        for (int i = 0; i < 9; i++) {
            used += (size_t)snprintf(text + used, bytes - used, ", *a%d", level - 1);
        }
        used += (size_t)snprintf(text + used, bytes - used, "]\n");
    }
    used += (size_t)snprintf(text + used, bytes - used, ONE "  publish: {topic: a, json: *a30}\n");
    fmx_scenario_put(FMX_SCENARIO_FILE, text, used);
    CU_ASSERT(refuses("becomes a text of more than 4 MiB"));

    memset(text, '[', 100000);
    fmx_scenario_put(FMX_SCENARIO_FILE, text, 100000);
    CU_ASSERT(refuses(":1:101: here are more than 100 levels"));
    CU_ASSERT(unlink(FMX_SCENARIO_FILE) == 0);
    CU_ASSERT(refuses("cannot be read: No such file or directory"));
    fmx_scenario_leave(&folder);
    free(text);
}

/* ── what is meant ── */

static struct scenario *open_good(const char *text)
{
    struct scenario *scenario = fmx_scenario_of(text, error, sizeof(error));

    if (scenario == NULL) {
        fprintf(stderr, "%s\n", error);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(scenario);
    return scenario;
}

static void values_arrive_in_the_plan(void)
{
    struct fmx_scenario_folder folder;

    fmx_scenario_enter(&folder);
    struct scenario *scenario = open_good(
        "name: a name\nseed: 7\nduration: 1.5m\ndrain: 250ms\nshards: 2\nconnects_inflight: 1k\n"
        "groups:\n"
        "- {name: a, clients: 10k, client_id: a%i, target: [h1, 'h2:7', '::1', '[::1]:9']}\n"
        "- {name: b, clients: 1, target: mqtts://x, tls: {min: 1.3, resume: 25%},\n"
        "   reconnect: 5s, link: {delay: 1.5s, loss: 0.25%, read: 10Ki/s}, answers: echo}\n"
        "stages:\n- ramp: {rate: 100..500/s, publish: 0%}\n- ramp\n- hold: 5m\n"
        "- churn: 30/m\n");
    const struct fmx_fleet_plan *plan = &scenario->plan;
    const struct fmx_fleet_group *a = &plan->groups[0], *b = &plan->groups[1];

    CU_ASSERT_STRING_EQUAL(scenario->name, "a name");
    CU_ASSERT(plan->seed == 7 && plan->duration_ns == UINT64_C(90000000000));
    CU_ASSERT(plan->drain_ms == 250 && plan->mux.shards_count == 2);
    CU_ASSERT(plan->connects_inflight_max == 1000 && plan->groups_count == 2);
    CU_ASSERT(a->clients_count == 10000 && a->targets_count == 4 && a->tls == NULL);
    CU_ASSERT_STRING_EQUAL(a->targets[0], "h1:1883");
    CU_ASSERT_STRING_EQUAL(a->targets[1], "h2:7");
    CU_ASSERT_STRING_EQUAL(a->targets[2], "[::1]:1883");
    CU_ASSERT_STRING_EQUAL(a->targets[3], "[::1]:9");
    CU_ASSERT_STRING_EQUAL(b->targets[0], "x:8883");
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->tls);
    CU_ASSERT(b->tls->min == FMX_TLS_13 && b->tls->resume == 0.25);
    CU_ASSERT(b->reconnect == FMX_FLEET_RECONNECT_FIXED && b->reconnect_min_ms == 5000);
    CU_ASSERT(b->link.delay_ms == 1500 && b->link.loss == 0.0025);
    CU_ASSERT(b->link.read_bytes_per_second == 10240);
    CU_ASSERT(b->calls.answer == FMX_FLEET_ANSWER_ECHO);
    CU_ASSERT(plan->stages_count == 4);
    CU_ASSERT(plan->stages[0].rate_begin == 100 && plan->stages[0].rate_end == 500);
    CU_ASSERT(plan->stages[0].publish_begin == 0 && plan->stages[1].publish_end == 1);
    CU_ASSERT(plan->stages[2].kind == FMX_FLEET_HOLD);
    CU_ASSERT(plan->stages[2].duration_ns == UINT64_C(300000000000));
    CU_ASSERT(plan->stages[3].rate_begin == 0.5 && plan->stages[3].rate_end == 0.5);
    scenario_close(scenario);
    fmx_scenario_leave(&folder);
}

static void groups_without_a_target_go_where_the_command_line_says(void)
{
    static const char *const items[] = {"one", "mqtts://two:5"};
    struct scenario_hosts hosts = {.items = items, .count = 1, .port = 77};
    struct fmx_scenario_folder folder;

    fmx_scenario_enter(&folder);
    fmx_scenario_put(FMX_SCENARIO_FILE, ONE, strlen(ONE));
    struct scenario *scenario = scenario_open(FMX_SCENARIO_FILE, &hosts, error, sizeof(error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(scenario);
    CU_ASSERT_STRING_EQUAL(scenario->plan.groups[0].targets[0], "one:77");
    scenario_close(scenario);
    hosts.items = &items[1];
    scenario = scenario_open(FMX_SCENARIO_FILE, &hosts, error, sizeof(error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(scenario);
    CU_ASSERT_STRING_EQUAL(scenario->plan.groups[0].targets[0], "two:5");
    CU_ASSERT_PTR_NOT_NULL(scenario->plan.groups[0].tls);
    scenario_close(scenario);
    scenario = open_good(ONE);
    CU_ASSERT_STRING_EQUAL(scenario->plan.groups[0].targets[0], "127.0.0.1:1883");
    scenario_close(scenario);
    scenario = open_good(ONE "  tls: true\n");
    CU_ASSERT_STRING_EQUAL(scenario->plan.groups[0].targets[0], "127.0.0.1:8883");
    scenario_close(scenario);
    fmx_scenario_leave(&folder);
}

static void anchors_and_merges_share_keys(void)
{
    struct fmx_scenario_folder folder;

    fmx_scenario_enter(&folder);
    struct scenario *scenario =
        open_good("x-a: &a {keepalive: 7s, window: 3}\nx-b: &b {<<: *a, window: 4, clean: false}\n"
                  "groups:\n- {<<: *a, clients: 1, window: 9, client_id: a}\n"
                  "- {clients: 1, <<: [*b, *a], client_id: b}\n");
    const struct fmx_fleet_group *groups = scenario->plan.groups;

    CU_ASSERT(groups[0].keepalive_s == 7 && groups[0].window == 9 && groups[0].clean);
    CU_ASSERT(groups[1].keepalive_s == 7 && groups[1].window == 4 && !groups[1].clean);
    scenario_close(scenario);
    fmx_scenario_leave(&folder);
}

static void json_is_as_it_reads(void)
{
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"{a: 1, b: -1.5e3, c: 0x10, d: 01, e: 1., f: \"1\"}",
         "{\"a\":1,\"b\":-1.5e3,\"c\":\"0x10\",\"d\":\"01\",\"e\":\"1.\",\"f\":\"1\"}"},
        {"{a: true, b: null, c: ~, d: \"true\", e: yes, f: }",
         "{\"a\":true,\"b\":null,\"c\":null,\"d\":\"true\",\"e\":\"yes\",\"f\":null}"},
        {"[\"%t\", \"%{int:1:6}\", \"%{real:0:1:2}\", \"%{one:1|2}\", \"%{one:a|2}\"]",
         "[%t,%{int:1:6},%{real:0:1:2},%{one:1|2},\"%{one:a|2}\"]"},
        {"[\"%{time:iso}\", \"%{time:us}\", \"%{int:1:2}%{int:1:2}\", \"%c\", \"x%i\"]",
         "[\"%{time:iso}\",%{time:us},\"%{int:1:2}%{int:1:2}\",\"%c\",\"x%i\"]"},
        {"{\"q\\\"\": \"a\\\\b\\n\", s: [], m: {}}",
         "{\"q\\\"\":\"a\\\\b\\u000a\",\"s\":[],\"m\":{}}"},
        {"plain", "\"plain\""},
    };
    struct fmx_scenario_folder folder;

    fmx_scenario_enter(&folder);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), ONE "  publish: {topic: a, json: %s}\n", cases[i].yaml);
        struct scenario *scenario = open_good(text);
        CU_ASSERT_STRING_EQUAL(scenario->plan.groups[0].publishes[0].text, cases[i].json);
        scenario_close(scenario);
    }
    fmx_scenario_leave(&folder);
}

static void files_are_found_beside_the_scenario(void)
{
    static const char csv[] = "product_key,device_name,device_secret\nP,one,s1\nP,two,s2\n";
    static const uint8_t bytes[] = {1, 0, 2};
    static const char text[] = "groups:\n- device: {devices: d.csv}\n  publish:\n"
                               "  - {topic: a, file: p.bin}\n  - {topic: b, text_file: p.txt}\n"
                               "  tls: {cafile: ca.pem, cert: \"%i.crt\", key: /k/%i.key}\n";
    struct fmx_scenario_folder folder;
    char path[FMX_TEMPORARY_FILE_BYTES], expected[FMX_TEMPORARY_FILE_BYTES];

    fmx_scenario_enter(&folder);
    fmx_scenario_put("d.csv", csv, strlen(csv));
    fmx_scenario_put("p.bin", bytes, sizeof(bytes));
    fmx_scenario_put("p.txt", "t %i", 4);
    fmx_scenario_put(FMX_SCENARIO_FILE, text, strlen(text));
    snprintf(path, sizeof(path), "%s/%s", folder.path, FMX_SCENARIO_FILE);
    CU_ASSERT(chdir("/") == 0);
    struct scenario *scenario = scenario_open(path, NULL, error, sizeof(error));
    CU_ASSERT(chdir(folder.path) == 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(scenario);
    const struct fmx_fleet_group *group = &scenario->plan.groups[0];
    struct fmx_fleet_device device;
    CU_ASSERT_EQUAL(group->clients_count, 2);
    CU_ASSERT(group->platform.device(group->platform.device_user, 2, &device));
    CU_ASSERT_STRING_EQUAL(device.device_name, "two");
    CU_ASSERT(group->publishes[0].payload.bytes == 3 &&
              memcmp(group->publishes[0].payload.data, bytes, 3) == 0);
    CU_ASSERT_STRING_EQUAL(group->publishes[1].text, "t %i");
    snprintf(expected, sizeof(expected), "%s/ca.pem", folder.path);
    CU_ASSERT_STRING_EQUAL(group->tls->ca, expected);
    snprintf(expected, sizeof(expected), "%s/%%i.crt", folder.path);
    CU_ASSERT_STRING_EQUAL(group->tls->cert, expected);
    CU_ASSERT_STRING_EQUAL(group->tls->key, "/k/%i.key");
    scenario_close(scenario);
    CU_ASSERT(unlink("d.csv") == 0 && unlink("p.bin") == 0 && unlink("p.txt") == 0);
    fmx_scenario_leave(&folder);
}

/* ── what comes with the command ── */

static void ready_scenarios_are_good_and_of_a_modest_size(void)
{
    DIR *folder = opendir(FMX_SOURCE_DIR "/tools/scenarios");
    const struct dirent *entry = NULL;
    size_t count = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(folder);
    while ((entry = readdir(folder)) != NULL) {
        char path[1024];
        uint64_t clients = 0, whole_ns = 0;
        if (strstr(entry->d_name, ".yaml") == NULL) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/tools/scenarios/%s", FMX_SOURCE_DIR, entry->d_name);
        struct scenario *scenario = scenario_open(path, NULL, error, sizeof(error));
        if (scenario == NULL) {
            fprintf(stderr, "%s\n", error);
        }
        CU_ASSERT_PTR_NOT_NULL_FATAL(scenario);
        for (size_t i = 0; i < scenario->plan.groups_count; i++) {
            clients += scenario->plan.groups[i].clients_count;
        }
        for (size_t i = 0; i < scenario->plan.stages_count; i++) {
            whole_ns += scenario->plan.stages[i].duration_ns;
        }
        CU_ASSERT(clients >= 500 && clients <= 5000);
        CU_ASSERT(whole_ns > 0 && whole_ns <= UINT64_C(90000000000));
        CU_ASSERT(scenario->name != NULL && scenario->description != NULL);
        CU_ASSERT(scenario->thresholds.count > 0);
        scenario_close(scenario);
        count++;
    }
    closedir(folder);
    CU_ASSERT_EQUAL(count, 4);
}

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 1u << 20);

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT(fread(text, 1, (1u << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

/* "| `every` | a time from 1us to 2400h | `1s` |", as the tables have it. */
static void make_row(const struct scenario_key *key, const void *defaults, char *out_row,
                     size_t row_bytes)
{
    char form[FLAG_VALUE_BYTES], room[FLAG_VALUE_BYTES];
    const char *standard = key->is_needed ? "must be there" : key->standard;
    bool is_value = standard == NULL && key->row.width > 0;

    scenario_value_describe(key, form, sizeof(form));
    if (key->row.kind == FLAG_TIME) {
        form[strcspn(form, ",")] = '\0';
    } else if (strcmp(form, "a text, not empty") == 0) {
        form[strlen("a text")] = '\0';
    }
    standard = is_value ? scenario_value_text(key, defaults, room, sizeof(room)) : standard;
    is_value = is_value && standard != NULL;
    snprintf(out_row, row_bytes, "\n| `%s` | %s | %s%s%s | ", key->row.name, form,
             is_value ? "`" : "", standard != NULL ? standard : "none", is_value ? "`" : "");
}

static void check_section(const struct scenario_level *level, const char *section)
{
    void *defaults = malloc(level->settings_bytes);
    size_t rows = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(defaults);
    level->init(defaults);
    for (const char *at = section; (at = strstr(at, "\n| `")) != NULL; at++) {
        rows++;
    }
    CU_ASSERT_EQUAL(rows, level->keys_count);
    for (size_t i = 0; i < level->keys_count; i++) {
        char row[1024];
        make_row(&level->keys[i], defaults, row, sizeof(row));
        if (strstr(section, row) == NULL) {
            fprintf(stderr, "docs/SCENARIOS.md has no such row under '%s':%s\n", level->path, row);
            CU_FAIL("no row");
        }
    }
    free(defaults);
}

/* Under each level's heading stands a row for each of its keys, with range and default. */
static void every_key_stands_in_the_docs(void)
{
    char *docs = read_whole(FMX_SOURCE_DIR "/docs/SCENARIOS.md");

    for (const struct scenario_level *const *level = scenario_levels; *level != NULL; level++) {
        char heading[64];
        snprintf(heading, sizeof(heading), "\n### `%s`\n",
                 (*level)->path[0] != '\0' ? (*level)->path : "(file)");
        char *begin = strstr(docs, heading);
        if (begin == NULL) {
            fprintf(stderr, "docs/SCENARIOS.md has no heading%s\n", heading);
            CU_FAIL("no heading");
            continue;
        }
        const char *end = strstr(begin + 4, "\n#");
        char *section = strndup(begin, end != NULL ? (size_t)(end - begin) : strlen(begin));
        check_section(*level, section);
        free(section);
    }
    free(docs);
}

static void the_first_scenario_of_the_docs_is_good(void)
{
    struct fmx_scenario_folder folder;
    char *docs = read_whole(FMX_SOURCE_DIR "/docs/SCENARIOS.md");
    char *begin = strstr(docs, "```yaml\n");

    CU_ASSERT_PTR_NOT_NULL_FATAL(begin);
    begin += strlen("```yaml\n");
    char *end = strstr(begin, "```");
    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    *end = '\0';
    fmx_scenario_enter(&folder);
    struct scenario *scenario = fmx_scenario_of(begin, error, sizeof(error));
    if (scenario == NULL) {
        fprintf(stderr, "%s\n", error);
    }
    CU_ASSERT_PTR_NOT_NULL(scenario);
    scenario_close(scenario);
    fmx_scenario_leave(&folder);
    free(docs);
}

static void help_names_every_key(void)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    scenario_help(out);
    fclose(out);
    for (const struct scenario_level *const *level = scenario_levels; *level != NULL; level++) {
        for (size_t i = 0; i < (*level)->keys_count; i++) {
            char line[64];
            snprintf(line, sizeof(line), "\n  %s ", (*level)->keys[i].row.name);
            CU_ASSERT_PTR_NOT_NULL(strstr(text, line));
        }
    }
    free(text);
}

/* ── anything else ── */

/* A good scenario with some bytes changed, cut out or doubled, is read or refused, and no more. */
static void mutations_are_read_or_refused(void)
{
    static const char *const words[] = {"&a ", "*a", "<<: ", "- ", "\n", "{", "}", "[", "]",
                                        ": ",  "%",  "\"",   "0",  "!",  "x", "|", ">", "#"};
    struct fmx_scenario_folder folder;
    char *origin = read_whole(FMX_SOURCE_DIR "/tools/scenarios/connected-cars.yaml");
    size_t bytes = strlen(origin);
    char *text = malloc(2 * bytes);

    fmx_scenario_enter(&folder);
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct fmx_prng prng = {.state = seed};
        memcpy(text, origin, bytes + 1);
        for (uint64_t left = 1 + fmx_prng_below(&prng, 4); left > 0; left--) {
            size_t at = fmx_prng_below(&prng, bytes - 20);
            const char *word = words[fmx_prng_below(&prng, sizeof(words) / sizeof(words[0]))];
            switch (fmx_prng_below(&prng, 4)) {
            case 0:
                text[at] = (char)(1 + fmx_prng_below(&prng, 255));
                break;
            case 1:
                memmove(text + at, text + at + 10, bytes - at - 10);
                break;
            default:
                memcpy(text + at, word, strlen(word));
                break;
            }
        }
        struct scenario *scenario = fmx_scenario_of(text, error, sizeof(error));
        if (scenario == NULL) {
            CU_ASSERT(strncmp(error, FMX_SCENARIO_FILE ":", strlen(FMX_SCENARIO_FILE) + 1) == 0);
        } else {
            char *again = scenario_write(scenario, error, sizeof(error));
            CU_ASSERT_PTR_NOT_NULL(again);
            free(again);
        }
        scenario_close(scenario);
    }
    fmx_scenario_leave(&folder);
    free(text);
    free(origin);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(wrong_scenarios_are_refused_with_line_and_key),
    FMX_TEST_CASE(files_of_any_size_and_depth_end_at_a_bound),
    FMX_TEST_CASE(values_arrive_in_the_plan),
    FMX_TEST_CASE(groups_without_a_target_go_where_the_command_line_says),
    FMX_TEST_CASE(anchors_and_merges_share_keys),
    FMX_TEST_CASE(json_is_as_it_reads),
    FMX_TEST_CASE(files_are_found_beside_the_scenario),
    FMX_TEST_CASE(ready_scenarios_are_good_and_of_a_modest_size),
    FMX_TEST_CASE(every_key_stands_in_the_docs),
    FMX_TEST_CASE(the_first_scenario_of_the_docs_is_good),
    FMX_TEST_CASE(help_names_every_key),
    FMX_TEST_CASE(mutations_are_read_or_refused),
};

int main(int argc, char **argv)
{
    return fmx_test_main("scenario", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
