/*
 * test_fleet_plan — what is wrong with a plan is said with place, field and fix; what open copies
 */
#include "engine/roles/fleet.h"
#include "tests/support/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ERROR_BYTES 512

/* Two groups: meters that publish and ask, a panel that listens; a ramp, then time. */
struct world {
    struct fmx_fleet_plan plan;
    struct fmx_fleet_group groups[2];
    struct fmx_fleet_publish publishes[2];
    struct fmx_fleet_subscribe subscribes[1];
    struct fmx_fleet_stage stages[5];
    struct fmx_fleet_property user[1];
};

static char long_text[2000];
static const char *const targets[] = {"127.0.0.1:1883", "localhost:1884"};

static void sound_meters(struct world *world)
{
    struct fmx_fleet_group *meters = &world->groups[0];
    struct fmx_fleet_publish *ask = &world->publishes[1];

    fmx_fleet_publish_init(&world->publishes[0]);
    fmx_fleet_publish_init(ask);
    world->publishes[0].topic = "meters/%c/reading";
    world->publishes[0].text = "{\"id\":\"%c\",\"n\":%s,\"m\":\"%m\"}";
    ask->topic = "meters/%c/ask";
    ask->response_timeout_ms = 1000;
    ask->properties.response_topic = "meters/%c/answer";
    world->user[0] = (struct fmx_fleet_property){.key = "key", .value = "value"};
    ask->properties.user = world->user;
    ask->properties.user_count = 1;
    meters->name = "meters";
    meters->clients_count = 10;
    meters->targets = targets;
    meters->targets_count = 2;
    meters->publishes = world->publishes;
    meters->publishes_count = 2;
}

static void sound_panel(struct world *world)
{
    struct fmx_fleet_group *panel = &world->groups[1];

    fmx_fleet_subscribe_init(&world->subscribes[0]);
    world->subscribes[0].filter = "meters/+/reading";
    panel->client_id = "panel_%i";
    panel->targets = targets;
    panel->targets_count = 1;
    panel->subscribes = world->subscribes;
    panel->subscribes_count = 1;
}

static void sound_world(struct world *world)
{
    memset(world, 0, sizeof *world);
    memset(long_text, 'x', sizeof long_text - 1);
    fmx_fleet_plan_init(&world->plan);
    fmx_fleet_group_init(&world->groups[0]);
    fmx_fleet_group_init(&world->groups[1]);
    sound_meters(world);
    sound_panel(world);
    for (size_t i = 0; i < sizeof world->stages / sizeof world->stages[0]; i++) {
        fmx_fleet_stage_init(&world->stages[i], i == 0 ? FMX_FLEET_RAMP : FMX_FLEET_HOLD);
    }
    world->stages[0].rate_begin = world->stages[0].rate_end = 50;
    world->plan.groups = world->groups;
    world->plan.groups_count = 2;
    world->plan.stages = world->stages;
    world->plan.stages_count = 2;
}

static bool is_sound(const struct world *world)
{
    char error[ERROR_BYTES] = "";
    bool is_good = fmx_fleet_plan_check(&world->plan, error, sizeof error) == FMX_OK;

    if (!is_good) {
        fprintf(stderr, "refused: '%s'\n", error);
    }
    return is_good;
}

/* ── what is refused ── */

static bool no_device(void *user, uint32_t number, struct fmx_fleet_device *out_device)
{
    (void)user;
    (void)number;
    (void)out_device;
    return false;
}

#define SPOIL(name, ...)                                                                           \
    static void spoil_##name(struct world *world)                                                  \
    {                                                                                              \
        struct fmx_fleet_plan *plan = &world->plan;                                                \
        struct fmx_fleet_group *meters = &world->groups[0];                                        \
        struct fmx_fleet_group *panel = &world->groups[1];                                         \
        struct fmx_fleet_publish *reading = &world->publishes[0];                                  \
        struct fmx_fleet_publish *ask = &world->publishes[1];                                      \
        struct fmx_fleet_subscribe *listen = &world->subscribes[0];                                \
        struct fmx_fleet_stage *stages = world->stages;                                            \
        (void)plan;                                                                                \
        (void)meters;                                                                              \
        (void)panel;                                                                               \
        (void)reading;                                                                             \
        (void)ask;                                                                                 \
        (void)listen;                                                                              \
        (void)stages;                                                                              \
        __VA_ARGS__                                                                                \
    }

/* the whole */
SPOIL(shards, plan->mux.recv_buffers_count = 3;)
SPOIL(no_groups, plan->groups_count = 0;)
SPOIL(missing_groups, plan->groups = NULL;)
SPOIL(missing_stages, plan->stages = NULL;)
SPOIL(many_groups, plan->groups_count = 65;)
SPOIL(part, plan->part = 2; plan->parts_count = 2;)
SPOIL(parts, plan->parts_count = 0;)
SPOIL(inflight, plan->connects_inflight_max = 2000000;)
SPOIL(drain, plan->drain_ms = 600001;)
SPOIL(duration, plan->duration_ns = UINT64_MAX;)
/* a group */
SPOIL(no_clients, panel->clients_count = 0;)
SPOIL(many_clients, panel->clients_count = 16000001;)
SPOIL(all_clients, panel->clients_count = 15999991;)
SPOIL(last_number, panel->first_number = 4294967295; panel->clients_count = 2;)
SPOIL(no_targets, panel->targets_count = 0;)
SPOIL(missing_targets, panel->targets = NULL;)
SPOIL(target, static const char *const bad[] = {"127.0.0.1"}; panel->targets = bad;)
SPOIL(port, static const char *const bad[] = {"a:1", "a:65536"}; panel->targets = bad;
      panel->targets_count = 2;)
SPOIL(source, static const char *const bad[] = {"localhost"}; panel->sources = bad;
      panel->sources_count = 1;)
SPOIL(timeout, panel->connect_timeout_ms = 99;)
SPOIL(group_version, panel->version = (enum fmx_version)6;)
SPOIL(receive_max, panel->receive_max = 0;)
SPOIL(window, panel->window = 0;)
SPOIL(answer, panel->calls.answer = (enum fmx_fleet_answer)9;)
SPOIL(delay, panel->calls.delay_ms = 60001;)
SPOIL(pending, panel->calls.pending_max = 0;)
SPOIL(reconnect, panel->reconnect = (enum fmx_fleet_reconnect)3;)
SPOIL(reconnect_min, panel->reconnect_min_ms = 0;)
SPOIL(reconnect_max, panel->reconnect = FMX_FLEET_RECONNECT_EXPONENTIAL;
      panel->reconnect_max_ms = 999;)
SPOIL(manner, panel->manner = (enum fmx_fleet_manner)3;)
SPOIL(silent, panel->manner = FMX_FLEET_SILENT;)
SPOIL(silent_publishes, meters->manner = FMX_FLEET_HALF_CONNECT;)
SPOIL(link_delay, panel->link.delay_ms = 60001;)
SPOIL(link_jitter, panel->link.jitter_ms = 60001;)
SPOIL(link_loss, panel->link.loss = 0.51;)
SPOIL(link_loss_nan, panel->link.loss = (double)NAN;)
/* who clients are */
SPOIL(no_client_id, panel->client_id = NULL;)
SPOIL(client_id, panel->client_id = "%q";)
SPOIL(client_id_length, panel->client_id = long_text;)
SPOIL(client_id_utf8, panel->client_id = "\xff_%i";)
SPOIL(client_id_of_all, panel->client_id = "panel"; panel->clients_count = 2;)
SPOIL(client_id_of_users, panel->client_id = "%u"; panel->username = "%i";
      panel->clients_count = 2;)
SPOIL(client_id_empty, panel->client_id = ""; panel->version = FMX_MQTT_311; panel->clean = false;)
SPOIL(username, panel->username = "%q";)
SPOIL(password, panel->password = "p"; panel->version = FMX_MQTT_311;)
SPOIL(twins, panel->client_id = "fleetmux_%i";)
SPOIL(twins_of_numbers, panel->client_id = meters->client_id = "%n"; panel->first_number = 900;)
SPOIL(twin_devices, meters->platform.product_key = panel->platform.product_key = "pk";
      meters->platform.secret = panel->platform.secret = "s";)
/* devices */
SPOIL(product_key, panel->platform.product_key = "p/k";)
SPOIL(product_key_name, panel->platform.product_key = "pk%d";)
#define DEVICES panel->platform.product_key = "pk", panel->platform.secret = "s";
SPOIL(device_name, DEVICES panel->platform.device_name = "device_%c";)
SPOIL(device_name_length, DEVICES panel->platform.device_name =
                              "a_name_of_fifty_five_bytes_and_up_to_ten_more_digits____%i";)
SPOIL(device_name_of_all, DEVICES panel->platform.device_name = "d"; panel->clients_count = 3;)
SPOIL(device_id_of_all, DEVICES panel->platform.client_id = "c"; panel->clients_count = 3;)
SPOIL(both, DEVICES panel->platform.device = no_device;)
SPOIL(secret, panel->platform.product_key = "pk";)
SPOIL(two_secrets, DEVICES panel->platform.secret_key = "k";)
SPOIL(long_secret, DEVICES panel->platform.secret = long_text;)
SPOIL(device_id, DEVICES panel->platform.client_id = "a|b";)
SPOIL(device_id_length, DEVICES panel->platform.client_id = long_text + sizeof long_text - 301;)
SPOIL(timestamp, DEVICES panel->platform.timestamp = "now";)
SPOIL(sdk, DEVICES panel->platform.sdk = "a,b";)
SPOIL(more_options, DEVICES panel->platform.more_options = "lan=JS|Ali";)
SPOIL(secure_mode, DEVICES panel->platform.secure_mode = 100;)
SPOIL(ext, DEVICES panel->platform.ext = 4;)
SPOIL(sign_method, DEVICES panel->platform.sign_method = (enum fmx_fleet_sign)3;)
SPOIL(registration, DEVICES panel->platform.registration = (enum fmx_fleet_register)3;)
SPOIL(product_secret, DEVICES panel->platform.registration = FMX_FLEET_REGISTER_KNOWN;)
SPOIL(open_registration, panel->platform.registration = FMX_FLEET_REGISTER_KNOWN;)
/* publishes */
SPOIL(missing_publishes, meters->publishes = NULL;)
SPOIL(many_publishes, meters->publishes_count = 65;)
SPOIL(no_topic, reading->topic = NULL;)
SPOIL(topic, reading->topic = "%p/%d";)
SPOIL(topic_wildcard, reading->topic = "meters/+";)
SPOIL(topic_empty, reading->topic = "";)
SPOIL(topic_by_name, reading->topic = "%c"; meters->client_id = "a#%i";)
SPOIL(qos, ask->qos = 2;)
SPOIL(schedule, reading->schedule = (enum fmx_fleet_schedule)5;)
SPOIL(interval, reading->interval_ns = 0;)
SPOIL(long_interval, reading->interval_ns = UINT64_MAX;)
SPOIL(burst_count, reading->burst_count = 0;)
SPOIL(burst, reading->schedule = FMX_FLEET_BURSTS; reading->burst_count = 3;
      reading->burst_spacing_ns = 333333334;)
SPOIL(change, reading->schedule = FMX_FLEET_ON_CHANGE; reading->change = 0;)
SPOIL(change_nan, reading->schedule = FMX_FLEET_ON_CHANGE; reading->change = (double)NAN;)
SPOIL(payload_bytes, reading->payload_bytes = 268000001;)
SPOIL(payload, ask->payload = (fmx_slice){.bytes = 1};)
SPOIL(two_payloads, reading->payload = fmx_slice_of("p");)
SPOIL(text, reading->text = "value %{real:1}";)
SPOIL(text_length, reading->text = "%{text:200000000}%{text:100000000}";)
SPOIL(thing_topic, reading->thing_model = true;)
SPOIL(thing_text, meters->platform.device = no_device; reading->thing_model = true;
      reading->topic = NULL;)
SPOIL(thing_open, reading->thing_model = true; reading->topic = reading->text = NULL;)
SPOIL(request_version, meters->version = FMX_MQTT_311; ask->properties.response_topic = NULL;
      ask->properties.user_count = 0;)
SPOIL(request_timeout, ask->response_timeout_ms = 3600001;)
SPOIL(request_topic, ask->properties.response_topic = NULL;)
SPOIL(response_topic, ask->properties.response_topic = "%y";)
SPOIL(response_wildcard, ask->properties.response_topic = "answers/#";)
SPOIL(correlation, ask->properties.correlation_bytes = 65536;)
SPOIL(user, ask->properties.user = NULL;)
SPOIL(user_value, world->user[0].value = NULL;)
SPOIL(user_utf8, world->user[0].key = "\xc0";)
SPOIL(user_count, ask->properties.user_count = 1025;)
SPOIL(content_type, ask->properties.content_type = "\xc0";)
SPOIL(aliases, reading->properties.use_aliases = true; meters->publishes_count = 1;
      meters->version = FMX_MQTT_31;)
SPOIL(
    whole_message, reading->text = NULL; reading->payload_bytes = 268000000;
    reading->properties.correlation_bytes = 65535; static struct fmx_fleet_property many[1000];
    static char value[1000]; memset(value, 'v', sizeof value - 1);
    for (size_t i = 0; i < 1000;
         i++) { many[i].key = many[i].value = value; } reading->properties.user = many;
    reading->properties.user_count = 1000;)
/* subscribes */
SPOIL(missing_subscribes, panel->subscribes = NULL;)
SPOIL(filter, listen->filter = "meters/+x";)
SPOIL(no_filter, listen->filter = NULL;)
SPOIL(filter_text, listen->filter = "%z";)
SPOIL(subscribe_qos, listen->qos = 2;)
SPOIL(retain_handling, listen->retain_handling = 3;)
SPOIL(no_local, listen->no_local = true; panel->version = FMX_MQTT_311;)
SPOIL(shared, listen->no_local = true; listen->filter = "$share/g/meters/#";)
/* stages */
SPOIL(stage_kind, stages[1].kind = (enum fmx_fleet_stage_kind)5;)
SPOIL(share, stages[0].share = 1.1;)
SPOIL(rate, stages[0].rate_end = (double)INFINITY;)
SPOIL(negative_rate, stages[0].rate_begin = -1;)
SPOIL(publish_rate, stages[0].publish_end = 2e6;)
SPOIL(leave, stages[1].leave = (enum fmx_fleet_leave)4;)
SPOIL(stage_groups, stages[1].groups = 4;)
SPOIL(endless, plan->stages_count = 3;)
SPOIL(churn, stages[1].kind = FMX_FLEET_CHURN;)
SPOIL(churn_first, stages[0].kind = FMX_FLEET_CHURN; stages[0].duration_ns = 1;)
SPOIL(still_ramp, stages[0].rate_end = 0; stages[0].duration_ns = 1000;)
SPOIL(still_stop, stages[1].kind = FMX_FLEET_STOP; stages[1].rate_begin = 5;)
SPOIL(storm, stages[1].kind = FMX_FLEET_STORM; stages[1].within_ns = 2; stages[1].duration_ns = 1;)
SPOIL(stopped, stages[1].kind = FMX_FLEET_STOP; stages[2].kind = FMX_FLEET_RAMP;
      plan->stages_count = 3;)
SPOIL(left_out, stages[0].groups = 1;)

struct refusal {
    void (*spoil)(struct world *world);
    const char *words; /* it begins with them */
    const char *fix;   /* and has these in it */
};

static const struct refusal refusals[] = {
    {spoil_shards, "recv_buffers_count is 3", ""},
    {spoil_no_groups, "groups_count is 0", "from 1 to 64"},
    {spoil_missing_groups, "groups is missing", ""},
    {spoil_missing_stages, "stages is missing", ""},
    {spoil_many_groups, "groups_count is 65", "from 1 to 64"},
    {spoil_part, "part is 2", "from 0 to 1"},
    {spoil_parts, "parts_count is 0", "from 1 to"},
    {spoil_inflight, "connects_inflight_max is 2000000", "to 1048576"},
    {spoil_drain, "drain_ms is 600001", "to 600000"},
    {spoil_duration, "duration_ns is ", "from 0 to 8640000000000000"},
    {spoil_no_clients, "groups[1].clients_count is 0", "from 1 to 16000000"},
    {spoil_many_clients, "groups[1].clients_count is 16000001", "from 1 to 16000000"},
    {spoil_all_clients, "groups[1].clients_count is 15999991, which makes 16000001",
     "at most 16000000"},
    {spoil_last_number, "groups[1].first_number is 4294967295", "at most 4294967294"},
    {spoil_no_targets, "groups[1].targets_count is 0", "from 1 to 64"},
    {spoil_missing_targets, "groups[1].targets is missing", ""},
    {spoil_target, "groups[1].targets[0] is '127.0.0.1'", "ADDRESS:PORT"},
    {spoil_port, "groups[1].targets[1] is 'a:65536'", "a port up to 65535"},
    {spoil_source, "groups[1].sources[0] is 'localhost'", "numeric address"},
    {spoil_timeout, "groups[1].connect_timeout_ms is 99", "from 100 to 600000"},
    {spoil_group_version, "groups[1].version is 6", "from 3 to 5"},
    {spoil_receive_max, "groups[1].receive_max is 0", "from 1 to 65535"},
    {spoil_window, "groups[1].window is 0", "from 1 to 32768"},
    {spoil_answer, "groups[1].calls.answer is 9", "from 0 to 3"},
    {spoil_delay, "groups[1].calls.delay_ms is 60001", "to 60000"},
    {spoil_pending, "groups[1].calls.pending_max is 0", "from 1 to"},
    {spoil_reconnect, "groups[1].reconnect is 3", "from 0 to 2"},
    {spoil_reconnect_min, "groups[1].reconnect_min_ms is 0", "from 1 to 86400000"},
    {spoil_reconnect_max, "groups[1].reconnect_max_ms is 999", "from 1000"},
    {spoil_manner, "groups[1].manner is 3", "from 0 to 2"},
    {spoil_silent, "groups[1].subscribes: ", "leave them out"},
    {spoil_silent_publishes, "groups[meters].publishes: ", "leave them out"},
    {spoil_link_delay, "groups[1].link.delay_ms is 60001", "to 60000"},
    {spoil_link_jitter, "groups[1].link.jitter_ms is 60001", "to 60000"},
    {spoil_link_loss, "groups[1].link.loss is 0.51", "from 0 to 0.5"},
    {spoil_link_loss_nan, "groups[1].link.loss is ", "from 0 to 0.5"},
    {spoil_no_client_id, "groups[1].client_id is missing", "fleetmux_%i"},
    {spoil_client_id, "groups[1].client_id is '%q'", "the variables are"},
    {spoil_client_id_length, "groups[1].client_id is longer", "1023"},
    {spoil_client_id_utf8, "groups[1].client_id is not UTF-8", ""},
    {spoil_client_id_of_all, "groups[1].client_id is 'panel'", "write %i into it"},
    {spoil_client_id_of_users, "groups[1].client_id is '%u'", "write %i into it"},
    {spoil_client_id_empty, "groups[1].client_id is empty", "MQTT 5.0"},
    {spoil_username, "groups[1].username is '%q'", "the variables are"},
    {spoil_password, "groups[1].password without username", "MQTT 5.0"},
    {spoil_twins, "groups[1].client_id gives", "of clients of groups[meters] at"},
    {spoil_twins_of_numbers, "groups[1].client_id gives", "groups[meters]"},
    {spoil_twin_devices, "groups[1].platform.device_name gives", "groups[meters]"},
    {spoil_product_key, "groups[1].platform.product_key is 'p/k'", ""},
    {spoil_product_key_name, "groups[1].platform.product_key is 'pk%d'", "the variables are"},
    {spoil_device_name, "groups[1].platform.device_name is 'device_%c'", "%i and %n"},
    {spoil_device_name_length, "groups[1].platform.device_name is ", ""},
    {spoil_device_name_of_all, "groups[1].platform.device_name is 'd'", "write %i into it"},
    {spoil_device_id_of_all, "groups[1].platform.client_id is 'c'", "write %i into it"},
    {spoil_both, "groups[1].platform.product_key and device", "one of them"},
    {spoil_secret, "groups[1].platform.secret: nothing says", "give one of"},
    {spoil_two_secrets, "groups[1].platform.secret: more than one", "give one of"},
    {spoil_long_secret, "groups[1].platform.secret has 1999 bytes", "1 to 64"},
    {spoil_device_id, "groups[1].platform.client_id is 'a|b'", "without '|'"},
    {spoil_device_id_length, "groups[1].platform.client_id is 'xxx", "at most"},
    {spoil_timestamp, "groups[1].platform.timestamp is 'now'", "write digits"},
    {spoil_sdk, "groups[1].platform.sdk is longer", "|,"},
    {spoil_more_options, "groups[1].platform.more_options is longer", "|"},
    {spoil_secure_mode, "groups[1].platform.secure_mode is 100", "from -9 to 99"},
    {spoil_ext, "groups[1].platform.ext is 4", "from 0 to 3"},
    {spoil_sign_method, "groups[1].platform.sign_method is 3", "from 0 to 2"},
    {spoil_registration, "groups[1].platform.registration is 3", "from 0 to 2"},
    {spoil_product_secret, "groups[1].platform.product_secret is missing", "sign with it"},
    {spoil_open_registration, "groups[1].platform.registration needs devices", "product_key"},
    {spoil_missing_publishes, "groups[meters].publishes is missing", ""},
    {spoil_many_publishes, "groups[meters].publishes_count is 65", "from 0 to 64"},
    {spoil_no_topic, "groups[meters].publishes[0].topic is missing", ""},
    {spoil_topic, "groups[meters].publishes[0].topic is '%p/%d'", "the variables are"},
    {spoil_topic_wildcard, "groups[meters].publishes[0].topic is 'meters/+'", "without + and #"},
    {spoil_topic_empty, "groups[meters].publishes[0].topic is ''", "1 byte or more"},
    {spoil_topic_by_name, "groups[meters].publishes[0].topic is '%c'", "without + and #"},
    {spoil_qos, "groups[meters].publishes[1].qos is 2: write 0 or 1", ""},
    {spoil_schedule, "groups[meters].publishes[0].schedule is 5", "from 0 to 4"},
    {spoil_interval, "groups[meters].publishes[0].interval_ns is 0", "from 1 to"},
    {spoil_long_interval, "groups[meters].publishes[0].interval_ns is ", "from 1 to"},
    {spoil_burst_count, "groups[meters].publishes[0].burst_count is 0", "from 1 to 65536"},
    {spoil_burst, "groups[meters].publishes[0].burst_spacing_ns is 333333334", "at most 333333333"},
    {spoil_change, "groups[meters].publishes[0].change is 0", "above 0, to 1"},
    {spoil_change_nan, "groups[meters].publishes[0].change is ", "above 0, to 1"},
    {spoil_payload_bytes, "groups[meters].publishes[0].payload_bytes is 268000001", "268000000"},
    {spoil_payload, "groups[meters].publishes[1].payload is missing", ""},
    {spoil_two_payloads, "groups[meters].publishes[0].payload and text", "give one of them"},
    {spoil_text, "groups[meters].publishes[0].text: character 7", ""},
    {spoil_text_length, "groups[meters].publishes[0].text: character 18", "268000000"},
    {spoil_thing_topic, "groups[meters].publishes[0].thing_model needs devices", ""},
    {spoil_thing_text, "groups[meters].publishes[0].thing_model has", "leave text out"},
    {spoil_thing_open, "groups[meters].publishes[0].thing_model needs devices", "product_key"},
    {spoil_request_version, "groups[meters].publishes[1].response_timeout_ms needs version", ""},
    {spoil_request_timeout, "groups[meters].publishes[1].response_timeout_ms is 3600001",
     "to 3600000"},
    {spoil_request_topic, "groups[meters].publishes[1].properties.response_topic is missing", ""},
    {spoil_response_topic, "groups[meters].publishes[1].properties.response_topic is '%y'", ""},
    {spoil_response_wildcard, "groups[meters].publishes[1].properties.response_topic is",
     "without + and #"},
    {spoil_correlation, "groups[meters].publishes[1].properties.correlation_bytes is 65536", ""},
    {spoil_user, "groups[meters].publishes[1].properties.user is missing", ""},
    {spoil_user_value, "groups[meters].publishes[1].properties.user[0]: ", ""},
    {spoil_user_utf8, "groups[meters].publishes[1].properties.user[0]: ", ""},
    {spoil_user_count, "groups[meters].publishes[1].properties.user_count is 1025", "to 1024"},
    {spoil_content_type, "groups[meters].publishes[1].properties.content_type is not UTF-8", ""},
    {spoil_aliases, "groups[meters].publishes[0].properties.use_aliases needs version", ""},
    {spoil_whole_message, "groups[meters].publishes[0].properties make a message", "268435455"},
    {spoil_missing_subscribes, "groups[1].subscribes is missing", ""},
    {spoil_filter, "groups[1].subscribes[0].filter is 'meters/+x'", "whole level"},
    {spoil_no_filter, "groups[1].subscribes[0].filter is missing", ""},
    {spoil_filter_text, "groups[1].subscribes[0].filter is '%z'", "the variables are"},
    {spoil_subscribe_qos, "groups[1].subscribes[0].qos is 2: write 0 or 1", ""},
    {spoil_retain_handling, "groups[1].subscribes[0].retain_handling is 3", "0, 1 or 2"},
    {spoil_no_local, "groups[1].subscribes[0].no_local needs version MQTT 5.0", ""},
    {spoil_shared, "groups[1].subscribes[0].no_local is not allowed", "leave it out"},
    {spoil_stage_kind, "stages[1].kind is 5", "from 0 to 4"},
    {spoil_share, "stages[0].share is 1.1", "from 0 to 1"},
    {spoil_rate, "stages[0].rate_end is inf", "from 0 to 10000000"},
    {spoil_negative_rate, "stages[0].rate_begin is -1", "from 0 to 10000000"},
    {spoil_publish_rate, "stages[0].publish_end is 2e+06", "from 0 to 1000000"},
    {spoil_leave, "stages[1].leave is 4", "from 0 to 3"},
    {spoil_stage_groups, "stages[1].groups is 0x4", "within 0x3"},
    {spoil_endless, "stages[1].duration_ns is 0", "how long this hold lasts"},
    {spoil_churn, "stages[1].rate_end is 0", "how many clients leave a second"},
    {spoil_churn_first, "stages[0].kind is churn", "begin with a ramp"},
    {spoil_still_ramp, "stages[0].rate_end is 0, but rate_begin is 50", "a ramp that"},
    {spoil_still_stop, "stages[1].rate_end is 0, but rate_begin is 5", "a stop that"},
    {spoil_storm, "stages[1].within_ns is 2", "at most duration_ns, which is 1"},
    {spoil_stopped, "stages[2].groups: ", "stopped for good"},
    {spoil_left_out, "groups[1].clients_count is 1, but no ramp", "add a stage"},
};

static void a_plan_that_cannot_be_is_refused_with_place_field_and_fix(void)
{
    struct world world;
    char error[ERROR_BYTES];

    sound_world(&world);
    CU_ASSERT_FATAL(is_sound(&world));
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *refusal = &refusals[i];
        sound_world(&world);
        refusal->spoil(&world);
        error[0] = '\0';
        if (fmx_fleet_plan_check(&world.plan, error, sizeof error) != FMX_E_OPTION ||
            strncmp(error, refusal->words, strlen(refusal->words)) != 0 ||
            strstr(error, refusal->fix) == NULL) {
            fprintf(stderr, "refusal %zu, '%s … %s': '%s'\n", i, refusal->words, refusal->fix,
                    error);
            CU_FAIL("a plan that cannot be is refused");
        }
    }
}

/* Words that do not fit are cut, not written behind their place. */
static void words_are_cut_to_their_room(void)
{
    struct world world;
    char error[40];

    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        for (size_t room = 1; room < 32; room += 5) {
            memset(error, '!', sizeof error);
            sound_world(&world);
            refusals[i].spoil(&world);
            CU_ASSERT_EQUAL(fmx_fleet_plan_check(&world.plan, error, room), FMX_E_OPTION);
            CU_ASSERT(memchr(error, '\0', room) != NULL && error[room] == '!');
        }
    }
}

/* ── what is allowed ── */

SPOIL(closed_loop, reading->schedule = FMX_FLEET_CLOSED_LOOP; reading->interval_ns = 0;)
SPOIL(bursts_that_fit, reading->schedule = FMX_FLEET_BURSTS; reading->burst_count = 4;
      reading->burst_spacing_ns = 250000000;)
SPOIL(no_ids, panel->client_id = ""; panel->clients_count = 9;)
SPOIL(other_numbers, panel->client_id = meters->client_id; panel->first_number = 11;)
SPOIL(other_target, panel->client_id = meters->client_id; panel->targets = targets + 1;
      meters->targets_count = 1;)
SPOIL(silent_twins, panel->client_id = meters->client_id; panel->manner = FMX_FLEET_SILENT;
      panel->subscribes_count = 0;)
SPOIL(users_device, panel->platform.device = no_device; panel->clients_count = 100;)
SPOIL(things, DEVICES world->publishes[0] = *ask; fmx_fleet_publish_init(ask);
      ask->thing_model = true; panel->publishes = ask; panel->publishes_count = 1;
      meters->publishes_count = 1;)
SPOIL(fixed_reconnect, panel->reconnect = FMX_FLEET_RECONNECT_FIXED;
      panel->reconnect_min_ms = 86400000;)
SPOIL(no_stages, plan->stages_count = 0; plan->stages = NULL;)
SPOIL(unpaced, stages[0].rate_begin = stages[0].rate_end = 0;)
SPOIL(rising_ramp, stages[0].rate_begin = 0; stages[0].duration_ns = 1000;)
SPOIL(rising_churn, stages[1].kind = FMX_FLEET_CHURN; stages[1].rate_end = 5;
      stages[1].duration_ns = 7;)
SPOIL(one_group_stops, stages[1].kind = FMX_FLEET_STOP; stages[1].groups = 1;
      stages[2].kind = FMX_FLEET_STORM; plan->stages_count = 3;)
SPOIL(late_ramp, stages[0].kind = FMX_FLEET_HOLD; stages[0].duration_ns = 5;
      stages[1].kind = FMX_FLEET_RAMP;)
SPOIL(last_part, plan->part = 4; plan->parts_count = 5;)
SPOIL(shared_filter, listen->filter = "$share/g/meters/#";)
SPOIL(largest, reading->text = NULL; reading->payload_bytes = 268000000;)

static void a_plan_that_can_be_is_not_refused(void)
{
    static void (*const changes[])(struct world *) = {
        spoil_closed_loop,     spoil_bursts_that_fit, spoil_no_ids,       spoil_other_numbers,
        spoil_other_target,    spoil_silent_twins,    spoil_users_device, spoil_things,
        spoil_fixed_reconnect, spoil_no_stages,       spoil_unpaced,      spoil_rising_ramp,
        spoil_rising_churn,    spoil_one_group_stops, spoil_late_ramp,    spoil_last_part,
        spoil_shared_filter,   spoil_largest,
    };
    struct world world;

    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        sound_world(&world);
        changes[i](&world);
        if (!is_sound(&world)) {
            fprintf(stderr, "of change %zu\n", i);
            CU_FAIL("a plan that can be is not refused");
        }
    }
}

/* ── what open makes of it ── */

/* A text whose bytes are gone as soon as they have been copied. */
static char *passing(const char *text)
{
    static char room[8][64];
    static size_t next;
    char *place = room[next++ % 8];

    snprintf(place, sizeof room[0], "%s", text);
    return place;
}

static void teams_are_copies_of_their_own(void)
{
    struct fmx_fleet fleet = {0};
    struct world world;
    char error[ERROR_BYTES] = "";

    sound_world(&world);
    char *topic = passing("meters/%c/reading");
    char *name = passing("meters");
    char *stage = passing("begin");
    char *user = passing("value");
    char *payload = passing("payload");
    world.publishes[0].topic = topic;
    world.publishes[0].text = NULL;
    world.publishes[0].payload = fmx_slice_of(payload);
    world.groups[0].name = name;
    world.stages[0].name = stage;
    world.user[0].value = user;
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_teams_open(&fleet, &world.plan, error, sizeof error), FMX_OK);
    topic[0] = name[0] = stage[0] = user[0] = payload[0] = '!';
    memset(&world, 0xff, sizeof world);
    const struct fmx_fleet_team *team = &fleet.teams[0];
    CU_ASSERT_STRING_EQUAL(team->plan.publishes[0].topic, "meters/%c/reading");
    CU_ASSERT(fmx_slice_equal(team->plan.publishes[0].payload, fmx_slice_of("payload")));
    CU_ASSERT_STRING_EQUAL(team->plan.name, "meters");
    CU_ASSERT_STRING_EQUAL(fleet.plan.stages[0].name, "begin");
    CU_ASSERT_STRING_EQUAL(team->plan.publishes[1].properties.user[0].value, "value");
    CU_ASSERT_STRING_EQUAL(team->plan.targets[1], "localhost:1884");
    CU_ASSERT_STRING_EQUAL(fleet.teams[1].plan.subscribes[0].filter, "meters/+/reading");
    CU_ASSERT(team->topics_have_names && !team->topics_have_devices);
    CU_ASSERT(!fleet.teams[1].topics_have_names);
    fmx_fleet_teams_close(&fleet);
}

static void teams_know_what_follows_from_the_plan(void)
{
    struct fmx_fleet fleet = {0};
    struct world world;
    char error[ERROR_BYTES] = "";

    sound_world(&world);
    world.groups[1].receive_max = 7;
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_teams_open(&fleet, &world.plan, error, sizeof error), FMX_OK);
    const struct fmx_fleet_team *meters = &fleet.teams[0];
    const struct fmx_fleet_team *panel = &fleet.teams[1];
    CU_ASSERT_EQUAL(fleet.teams_count, 2);
    CU_ASSERT_EQUAL(fleet.clients_count, 11);
    CU_ASSERT_EQUAL(panel->first_index, 10);
    CU_ASSERT_EQUAL(meters->session.receive_max, 65535);
    CU_ASSERT_EQUAL(panel->session.receive_max, 7);
    CU_ASSERT_EQUAL(meters->session.packet_bytes_max, FMX_FLEET_PACKET_BYTES_MAX);
    CU_ASSERT(fleet.has_subscribes && !fleet.ends_by_count);
    CU_ASSERT_EQUAL(meters->plan.publishes[1].properties.correlation_bytes, 8);
    CU_ASSERT_EQUAL(meters->plan.publishes[0].properties.correlation_bytes, 0);
    CU_ASSERT_PTR_NOT_NULL(meters->topics[0].text);
    CU_ASSERT_PTR_NULL(meters->topics[1].text);
    CU_ASSERT_EQUAL(meters->topics[1].user_bytes, 1 + 2 + 3 + 2 + 5);
    CU_ASSERT_NOT_EQUAL(meters->topics[0].hash, meters->topics[1].hash);
    CU_ASSERT_EQUAL(meters->sources_count, 0);
    fmx_fleet_teams_close(&fleet);
}

static void a_plan_without_stages_has_a_ramp_and_then_time(void)
{
    struct fmx_fleet fleet = {0};
    struct world world;
    char error[ERROR_BYTES] = "";

    sound_world(&world);
    world.plan.stages_count = 0;
    world.publishes[0].messages_max = world.publishes[1].messages_max = 5;
    world.publishes[0].text = "%{text:17000000}";
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_teams_open(&fleet, &world.plan, error, sizeof error), FMX_OK);
    CU_ASSERT_EQUAL_FATAL(fleet.plan.stages_count, 2);
    CU_ASSERT_EQUAL(fleet.plan.stages[0].kind, FMX_FLEET_RAMP);
    CU_ASSERT(fleet.plan.stages[0].rate_end > 99 && fleet.plan.stages[0].rate_end < 101);
    CU_ASSERT_EQUAL(fleet.plan.stages[1].kind, FMX_FLEET_HOLD);
    CU_ASSERT(fleet.ends_by_count);
    CU_ASSERT(fleet.session.packet_bytes_max > 17000000); /* what we send ourselves comes back */
    fmx_fleet_teams_close(&fleet);
}

static void many_clients_are_spread_over_loopback(void)
{
    static const char *const mine[] = {"127.0.0.9"};
    struct fmx_fleet fleet = {0};
    struct world world;
    char error[ERROR_BYTES] = "";

    sound_world(&world);
    world.groups[0].targets_count = 1;
    world.groups[0].clients_count = 70000; /* the panel's share the ports with these */
    world.groups[1].sources = mine;
    world.groups[1].sources_count = 1;
    CU_ASSERT_EQUAL_FATAL(fmx_fleet_teams_open(&fleet, &world.plan, error, sizeof error), FMX_OK);
    CU_ASSERT_EQUAL(fleet.teams[0].sources_count, 11);
    CU_ASSERT_EQUAL(fleet.teams[1].sources_count, 1);
    fmx_fleet_teams_close(&fleet);
}

static void what_cannot_be_opened_is_told_with_its_place(void)
{
    static const char *const bad[] = {"127.0.0.1"};
    struct fmx_fleet fleet = {0};
    struct fmx_tls_client tls;
    struct world world;
    char error[ERROR_BYTES] = "";

    sound_world(&world);
    world.groups[1].targets = bad;
    CU_ASSERT_NOT_EQUAL(fmx_fleet_teams_open(&fleet, &world.plan, error, sizeof error), FMX_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "groups[1].targets[0] is '127.0.0.1'"));
    fmx_fleet_teams_close(&fleet);
    memset(&fleet, 0, sizeof fleet);
    sound_world(&world);
    fmx_tls_client_init(&tls);
    tls.ca = "/no/such/file.pem";
    world.groups[0].tls = &tls;
    CU_ASSERT_EQUAL(fmx_fleet_teams_open(&fleet, &world.plan, error, sizeof error), FMX_SYS_FILE);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "groups[meters].tls.ca"));
    fmx_fleet_teams_close(&fleet);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_plan_that_cannot_be_is_refused_with_place_field_and_fix),
    FMX_TEST_CASE(words_are_cut_to_their_room),
    FMX_TEST_CASE(a_plan_that_can_be_is_not_refused),
    FMX_TEST_CASE(teams_are_copies_of_their_own),
    FMX_TEST_CASE(teams_know_what_follows_from_the_plan),
    FMX_TEST_CASE(a_plan_without_stages_has_a_ramp_and_then_time),
    FMX_TEST_CASE(many_clients_are_spread_over_loopback),
    FMX_TEST_CASE(what_cannot_be_opened_is_told_with_its_place),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_plan", cases, sizeof cases / sizeof cases[0], argc, argv);
}
