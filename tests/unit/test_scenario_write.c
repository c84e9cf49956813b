/*
 * test_scenario_write — a plan that is written and read again is the same plan
 */
#include "tests/support/prng.h"
#include "tests/support/scenario.h"
#include "tests/support/seed.h"
#include "tools/fleetmux/fleet.h"

#include <math.h>

static char error[FLAG_ERROR_BYTES];

/* ── a random plan ── */

#define MANY 4

struct made {
    struct fmx_fleet_plan plan;
    struct fmx_fleet_group groups[MANY];
    struct fmx_tls_client tls[MANY];
    struct fmx_fleet_publish publishes[MANY][MANY];
    struct fmx_fleet_subscribe subscribes[MANY][MANY];
    struct fmx_fleet_property user[MANY][MANY][MANY];
    struct fmx_fleet_stage stages[2 + MANY];
    const char *targets[MANY][2];
    const char *sources[MANY][2];
    char texts[256][64];
    size_t texts_count;
    struct fmx_prng prng;
};

static uint64_t below(struct made *made, uint64_t n)
{
    return fmx_prng_below(&made->prng, n);
}

static bool flip(struct made *made)
{
    return below(made, 2) == 1;
}

/* A text that asks for quoting, of a group of its own. */
static const char *text_of(struct made *made, const char *what, size_t group)
{
    static const char *const tails[] = {"",  " ",  "\"'", ": x", "#",    "\\", "\n", "ü",
                                        "~", "%%", "-",   "*",   "null", "😀",  "\t", "{}"};
    char *text = made->texts[made->texts_count++ % 256];

    snprintf(text, sizeof(made->texts[0]), "%s%zu%s", what, group, tails[below(made, 16)]);
    return text;
}

static double share_of(struct made *made)
{
    return flip(made) ? (double)below(made, 101) / 100
                      : (double)fmx_prng_next(&made->prng) * 0x1p-64;
}

static void make_tls(struct made *made, size_t group)
{
    struct fmx_tls_client *tls = &made->tls[group];

    fmx_tls_client_init(tls);
    tls->min = flip(made) ? FMX_TLS_10 : FMX_TLS_12;
    tls->max = flip(made) ? FMX_TLS_12 : FMX_TLS_13;
    tls->insecure = flip(made);
    tls->alpn = flip(made);
    tls->ca = !tls->insecure && flip(made) ? "/ca.pem" : NULL;
    tls->resume = share_of(made);
    tls->record_bytes_max = 512 + (uint32_t)below(made, 1000);
    tls->server_name = flip(made) ? "mqtt.example" : NULL;
    if (flip(made)) {
        tls->cert = "/certs/%i.crt";
        tls->key = "/certs/%i.key";
    } else if (tls->max == FMX_TLS_12) {
        tls->psk = FMX_TLS_PSK_GIVEN;
        tls->psk_identity = "psk %i";
        tls->psk_key = "00ff";
    }
    made->groups[group].tls = tls;
}

static void make_device(struct made *made, size_t group)
{
    struct fmx_fleet_platform *platform = &made->groups[group].platform;
    static const char *const keys[] = {"Pa", "Pb", "Pc", "Pd"};

    platform->product_key = keys[group];
    platform->device_name = "dev_%i";
    platform->sign_method = (enum fmx_fleet_sign)below(made, 3);
    platform->timestamp = flip(made) ? "" : "12345";
    platform->sdk = flip(made) ? "" : "c-sdk";
    platform->secure_mode = (int)below(made, 20) - 9;
    platform->more_options = flip(made) ? "lan=C,gw=0" : NULL;
    platform->ext = (uint32_t)below(made, 4);
    platform->auto_subscribe = flip(made);
    if (flip(made)) {
        platform->registration = FMX_FLEET_REGISTER_KNOWN;
        platform->product_secret = "ps";
    } else if (flip(made)) {
        platform->secret = "secret: \"%\"";
    } else {
        platform->secret_key = "key";
    }
}

static void make_payload(struct made *made, struct fmx_fleet_publish *publish)
{
    static const uint8_t bytes[] = {0, 1, 0xff, 'x'};

    switch (below(made, 5)) {
    case 0:
        publish->text = "{\"a\":%{int:1:6},\n\"b\":\"%c\"}";
        break;
    case 1:
        publish->payload = fmx_slice_of("raw % \"text\"\n");
        break;
    case 2:
        publish->payload = (fmx_slice){.data = bytes, .bytes = 1 + below(made, 4)};
        break;
    case 3:
        publish->payload = fmx_slice_of("\xff\xfe no UTF-8");
        break;
    default:
        publish->payload_bytes = (uint32_t)below(made, 100000);
        break;
    }
}

static void make_properties(struct made *made, size_t group, size_t place,
                            struct fmx_fleet_publish *publish)
{
    struct fmx_fleet_properties *properties = &publish->properties;
    struct fmx_fleet_property *user = made->user[group][place];

    properties->correlation_bytes = (uint32_t)below(made, 65536);
    properties->content_type = flip(made) ? "text/plain; x=\"1\"" : NULL;
    properties->message_expiry_s = (uint32_t)below(made, 100000);
    properties->is_text = flip(made);
    properties->use_aliases = flip(made);
    properties->user_count = below(made, MANY + 1);
    properties->user = user;
    for (size_t i = 0; i < properties->user_count; i++) {
        user[i] = (struct fmx_fleet_property){.key = flip(made) ? "key" : "<<",
                                              .value = text_of(made, "v", i)};
    }
    if (flip(made)) {
        properties->response_topic = "answers/%i";
        publish->response_timeout_ms = flip(made) ? 1 + (uint32_t)below(made, 3600000) : 0;
    }
}

static void make_publish(struct made *made, size_t group, size_t place)
{
    struct fmx_fleet_publish *publish = &made->publishes[group][place];

    fmx_fleet_publish_init(publish);
    publish->name = flip(made) ? text_of(made, "publish", place) : NULL;
    publish->topic = "t/%i";
    publish->qos = (uint8_t)below(made, 2);
    publish->retain = flip(made);
    publish->skip_when_away = flip(made);
    publish->messages_max = flip(made) ? below(made, UINT64_C(1) << 62) : 0;
    publish->schedule = (enum fmx_fleet_schedule)below(made, 5);
    if (publish->schedule != FMX_FLEET_CLOSED_LOOP) {
        publish->interval_ns = 1000 + below(made, UINT64_C(1) << 50);
    }
    if (publish->schedule == FMX_FLEET_BURSTS) {
        publish->burst_count = 1 + (uint32_t)below(made, 65536);
        publish->burst_spacing_ns = below(made, publish->interval_ns / publish->burst_count + 1);
    }
    if (publish->schedule == FMX_FLEET_ON_CHANGE) {
        publish->change = share_of(made) / 2 + 0.25;
    }
    if (made->groups[group].version == FMX_MQTT_50) {
        make_properties(made, group, place, publish);
    }
    if (made->groups[group].platform.product_key != NULL && flip(made)) {
        publish->thing_model = true;
        publish->topic = NULL;
        publish->payload_bytes = 300 + (uint32_t)below(made, 1000);
        return;
    }
    make_payload(made, publish);
}

static void make_subscribe(struct made *made, size_t group, size_t place)
{
    struct fmx_fleet_subscribe *subscribe = &made->subscribes[group][place];
    static const char *const filters[] = {"a/%i", "#", "+/b", "c: \"d\""};

    fmx_fleet_subscribe_init(subscribe);
    subscribe->filter = filters[place];
    subscribe->qos = (uint8_t)below(made, 2);
    subscribe->late_ns = flip(made) ? below(made, UINT64_C(1) << 50) : 0;
    if (made->groups[group].version == FMX_MQTT_50) {
        subscribe->no_local = flip(made);
        subscribe->as_published = flip(made);
        subscribe->retain_handling = (uint8_t)below(made, 3);
    }
}

static void make_rest(struct made *made, size_t group)
{
    struct fmx_fleet_group *plan = &made->groups[group];

    plan->calls.answer = (enum fmx_fleet_answer)below(made, 4);
    if (plan->calls.answer != FMX_FLEET_ANSWER_OFF) {
        plan->calls.delay_ms = (uint32_t)below(made, 60001);
        plan->calls.pending_max = 1 + (uint32_t)below(made, 1048576);
    }
    if (plan->calls.answer == FMX_FLEET_ANSWER_FIXED) {
        plan->calls.payload = flip(made) ? fmx_slice_of("\x80") : fmx_slice_of(" an answer ");
    }
    plan->reconnect = (enum fmx_fleet_reconnect)below(made, 3);
    if (flip(made)) {
        plan->reconnect_min_ms = 1 + (uint32_t)below(made, 1000);
        plan->reconnect_max_ms = 1000 + (uint32_t)below(made, 1000000);
    }
    plan->link = (struct fmx_fleet_link){.delay_ms = (uint32_t)below(made, 60001),
                                         .jitter_ms = (uint32_t)below(made, 60001),
                                         .loss = share_of(made) / 2,
                                         .read_bytes_per_second = below(made, 1u << 30)};
}

static void make_group(struct made *made, size_t group)
{
    static const char *const ids[] = {"a%i", "b%i", "c%i", "d%i"};
    static const char *const names[] = {"meters", "b \"b\"", "- c", "d: 1"};
    struct fmx_fleet_group *plan = &made->groups[group];

    fmx_fleet_group_init(plan);
    plan->name = names[group];
    plan->clients_count = 1 + (uint32_t)below(made, 1000000);
    plan->first_number = 1 + (uint32_t)below(made, 1000);
    made->targets[group][0] = "127.0.0.1:1883";
    made->targets[group][1] = "[::1]:7";
    plan->targets = made->targets[group];
    plan->targets_count = 1 + below(made, 2);
    made->sources[group][0] = "127.0.0.2";
    made->sources[group][1] = "127.0.0.3";
    plan->sources_count = below(made, 3);
    plan->sources = made->sources[group];
    plan->connect_timeout_ms = 100 + (uint32_t)below(made, 599900);
    plan->linger_zero = flip(made);
    plan->version = flip(made) ? FMX_MQTT_50 : flip(made) ? FMX_MQTT_311 : FMX_MQTT_31;
    plan->keepalive_s = (uint16_t)below(made, 65536);
    plan->clean = flip(made);
    if (plan->version == FMX_MQTT_50) {
        plan->session_expiry_s = (uint32_t)below(made, UINT64_C(1) << 32);
    }
    plan->receive_max = (uint16_t)(1 + below(made, 65535));
    plan->window = 1 + (uint32_t)below(made, 32768);
    if (flip(made)) {
        make_tls(made, group);
    }
    if (flip(made)) {
        make_device(made, group);
    } else {
        plan->client_id = ids[group];
        plan->username = flip(made) ? text_of(made, "user", group) : NULL;
        plan->password = plan->username != NULL ? text_of(made, "password", group) : NULL;
    }
    make_rest(made, group);
    plan->publishes = made->publishes[group];
    plan->publishes_count = below(made, MANY + 1);
    plan->subscribes = made->subscribes[group];
    plan->subscribes_count = below(made, MANY + 1);
    for (size_t i = 0; i < MANY; i++) {
        make_publish(made, group, i);
        make_subscribe(made, group, i);
    }
}

static void make_stage(struct made *made, struct fmx_fleet_stage *stage)
{
    enum fmx_fleet_stage_kind kind = (enum fmx_fleet_stage_kind)below(made, 4);
    double rate = (double)(1 + below(made, 10000)) / (double)(1 + below(made, 7));

    fmx_fleet_stage_init(stage, kind);
    stage->name = flip(made) ? text_of(made, "stage", kind) : NULL;
    stage->groups = below(made, UINT64_C(1) << made->plan.groups_count);
    stage->duration_ns = 1 + below(made, UINT64_C(1) << 50);
    stage->publish_begin = (double)below(made, 300) / 100;
    stage->publish_end = flip(made) ? stage->publish_begin : share_of(made) * 1000;
    if (kind == FMX_FLEET_RAMP || kind == FMX_FLEET_STORM) {
        stage->share = share_of(made);
    }
    if (kind == FMX_FLEET_RAMP || kind == FMX_FLEET_CHURN) {
        stage->rate_begin = rate;
        stage->rate_end = flip(made) ? rate : rate * 3;
    }
    if (kind == FMX_FLEET_CHURN || kind == FMX_FLEET_STORM) {
        stage->leave = (enum fmx_fleet_leave)below(made, 4);
        stage->is_by_policy = flip(made);
    }
    if (kind == FMX_FLEET_STORM) {
        stage->duration_ns += UINT64_C(86400000000000);
        stage->within_ns = below(made, UINT64_C(86400000000000));
    }
}

static struct made *make(uint64_t seed)
{
    struct made *made = calloc(1, sizeof(*made));

    CU_ASSERT_PTR_NOT_NULL_FATAL(made);
    made->prng.state = seed;
    fmx_fleet_plan_init(&made->plan);
    struct fmx_fleet_plan *plan = &made->plan;
    plan->seed = fmx_prng_next(&made->prng);
    plan->duration_ns = below(made, UINT64_C(1) << 50);
    plan->drain_ms = (uint32_t)below(made, 600001);
    plan->mux.shards_count = (uint32_t)below(made, 3);
    plan->mux.cpus = flip(made) ? "0" : NULL;
    plan->mux.pin = flip(made);
    plan->connects_inflight_max = (uint32_t)below(made, 1048577);
    plan->tls_limits.workers = (uint32_t)below(made, 65);
    plan->groups = made->groups;
    plan->groups_count = 1 + below(made, MANY);
    for (size_t i = 0; i < plan->groups_count; i++) {
        make_group(made, i);
    }
    plan->stages = made->stages;
    plan->stages_count = 1 + below(made, MANY);
    fmx_fleet_stage_init(&made->stages[0], FMX_FLEET_RAMP); /* of all groups */
    for (size_t i = 1; i < plan->stages_count; i++) {
        make_stage(made, &made->stages[i]);
    }
    return made;
}

/* ── field by field ── */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

#define SAME(field)      FMX_SEED_ASSERT(seed, a->field == b->field)
#define SAME_TEXT(field) FMX_SEED_ASSERT(seed, same_text(a->field, b->field))
/* compares bits: what was written is not allowed to be nearly the same */
#define SAME_REAL(field) FMX_SEED_ASSERT(seed, memcmp(&a->field, &b->field, sizeof(double)) == 0)

static void same_tls(uint64_t seed, const struct fmx_tls_client *a, const struct fmx_tls_client *b)
{
    FMX_SEED_ASSERT(seed, (a == NULL) == (b == NULL));
    if (a == NULL) {
        return;
    }
    SAME_TEXT(ca);
    SAME(insecure);
    SAME_TEXT(server_name);
    SAME(min);
    SAME(max);
    SAME_TEXT(suites);
    SAME(alpn);
    SAME_TEXT(cert);
    SAME_TEXT(key);
    SAME(psk);
    SAME_TEXT(psk_identity);
    SAME_TEXT(psk_key);
    SAME_REAL(resume);
    SAME_TEXT(key_log);
    SAME(record_bytes_max);
}

static void same_platform(uint64_t seed, const struct fmx_fleet_platform *a,
                          const struct fmx_fleet_platform *b)
{
    SAME_TEXT(product_key);
    SAME_TEXT(device_name);
    SAME_TEXT(secret);
    SAME_TEXT(secret_key);
    SAME(device);
    SAME_TEXT(client_id);
    SAME(sign_method);
    SAME(secure_mode);
    SAME_TEXT(timestamp);
    SAME_TEXT(sdk);
    SAME_TEXT(more_options);
    SAME(ext);
    SAME(auto_subscribe);
    SAME(registration);
    SAME_TEXT(product_secret);
}

static void same_publish(uint64_t seed, const struct fmx_fleet_publish *a,
                         const struct fmx_fleet_publish *b)
{
    SAME_TEXT(name);
    SAME_TEXT(topic);
    SAME(qos);
    SAME(retain);
    SAME(schedule);
    SAME(interval_ns);
    SAME(burst_count);
    SAME(burst_spacing_ns);
    SAME_REAL(change);
    SAME(messages_max);
    SAME(skip_when_away);
    FMX_SEED_ASSERT(seed, fmx_slice_equal(a->payload, b->payload));
    SAME_TEXT(text);
    SAME(payload_bytes);
    SAME(thing_model);
    SAME(response_timeout_ms);
    SAME_TEXT(properties.response_topic);
    SAME(properties.correlation_bytes);
    SAME_TEXT(properties.content_type);
    SAME(properties.message_expiry_s);
    SAME(properties.is_text);
    SAME(properties.use_aliases);
    SAME(properties.user_count);
    for (size_t i = 0; i < a->properties.user_count; i++) {
        SAME_TEXT(properties.user[i].key);
        SAME_TEXT(properties.user[i].value);
    }
}

static void same_subscribe(uint64_t seed, const struct fmx_fleet_subscribe *a,
                           const struct fmx_fleet_subscribe *b)
{
    SAME_TEXT(filter);
    SAME(qos);
    SAME(no_local);
    SAME(as_published);
    SAME(retain_handling);
    SAME(late_ns);
}

static void same_group(uint64_t seed, const struct fmx_fleet_group *a,
                       const struct fmx_fleet_group *b)
{
    SAME_TEXT(name);
    SAME(clients_count);
    SAME(first_number);
    SAME(targets_count);
    for (size_t i = 0; i < a->targets_count; i++) {
        SAME_TEXT(targets[i]);
    }
    SAME(sources_count);
    for (size_t i = 0; i < a->sources_count; i++) {
        SAME_TEXT(sources[i]);
    }
    SAME(connect_timeout_ms);
    SAME(linger_zero);
    SAME(version);
    SAME_TEXT(client_id);
    SAME_TEXT(username);
    SAME_TEXT(password);
    SAME(keepalive_s);
    SAME(clean);
    SAME(session_expiry_s);
    SAME(receive_max);
    SAME(calls.answer);
    FMX_SEED_ASSERT(seed, fmx_slice_equal(a->calls.payload, b->calls.payload));
    SAME(calls.delay_ms);
    SAME(calls.pending_max);
    SAME(window);
    SAME(reconnect);
    SAME(reconnect_min_ms);
    SAME(reconnect_max_ms);
    SAME(manner);
    SAME(link.delay_ms);
    SAME(link.jitter_ms);
    SAME_REAL(link.loss);
    SAME(link.read_bytes_per_second);
    same_tls(seed, a->tls, b->tls);
    same_platform(seed, &a->platform, &b->platform);
    SAME(publishes_count);
    for (size_t i = 0; i < a->publishes_count; i++) {
        same_publish(seed, &a->publishes[i], &b->publishes[i]);
    }
    SAME(subscribes_count);
    for (size_t i = 0; i < a->subscribes_count; i++) {
        same_subscribe(seed, &a->subscribes[i], &b->subscribes[i]);
    }
}

static void same_stage(uint64_t seed, const struct fmx_fleet_stage *a,
                       const struct fmx_fleet_stage *b)
{
    SAME(kind);
    SAME_TEXT(name);
    SAME(groups);
    SAME(duration_ns);
    SAME_REAL(share);
    SAME_REAL(rate_begin);
    SAME_REAL(rate_end);
    SAME_REAL(publish_begin);
    SAME_REAL(publish_end);
    SAME(within_ns);
    SAME(leave);
    SAME(is_by_policy);
}

static void same_plan(uint64_t seed, const struct fmx_fleet_plan *a, const struct fmx_fleet_plan *b)
{
    SAME(seed);
    SAME(duration_ns);
    SAME(drain_ms);
    SAME(connects_inflight_max);
    SAME(mux.shards_count);
    SAME_TEXT(mux.cpus);
    SAME(mux.pin);
    SAME(tls_limits.workers);
    SAME(groups_count);
    for (size_t i = 0; i < a->groups_count; i++) {
        same_group(seed, &a->groups[i], &b->groups[i]);
    }
    SAME(stages_count);
    for (size_t i = 0; i < a->stages_count; i++) {
        same_stage(seed, &a->stages[i], &b->stages[i]);
    }
}

/* ── cases ── */

static void random_plans_come_back_as_they_were(void)
{
    struct fmx_scenario_folder folder;

    fmx_scenario_enter(&folder);
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        struct made *made = make(seed);
        struct scenario whole = {.plan = made->plan, .name = "a \"name\"\n", .description = "#"};
        whole.thresholds.items[whole.thresholds.count++] = "lost==0";
        char *text = scenario_write(&whole, error, sizeof(error));
        if (text == NULL) {
            fprintf(stderr, "%s\n", error);
        }
        FMX_SEED_ASSERT(seed, text != NULL);
        struct scenario *again = fmx_scenario_of(text, error, sizeof(error));
        if (again == NULL) {
            fprintf(stderr, "%s\n%s", error, text);
        }
        FMX_SEED_ASSERT(seed, again != NULL);
        FMX_SEED_ASSERT(seed, same_text(again->name, whole.name));
        FMX_SEED_ASSERT(seed, same_text(again->description, "#"));
        FMX_SEED_ASSERT(seed, again->thresholds.count == 1);
        same_plan(seed, &again->plan, &made->plan);
        char *twice = scenario_write(again, error, sizeof(error));
        FMX_SEED_ASSERT(seed, twice != NULL && strcmp(text, twice) == 0);
        free(twice);
        scenario_close(again);
        free(text);
        free(made);
    }
    fmx_scenario_leave(&folder);
}

static void what_is_at_its_default_is_not_written(void)
{
    static const char *const targets[] = {"127.0.0.1:1883"};
    struct fmx_fleet_group group;
    struct scenario whole = {0};

    fmx_fleet_group_init(&group);
    group.targets = targets;
    group.targets_count = 1;
    fmx_fleet_plan_init(&whole.plan);
    whole.plan.groups = &group;
    whole.plan.groups_count = 1;
    char *text = scenario_write(&whole, error, sizeof(error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_STRING_EQUAL(text, "groups:\n- clients: 1\n  target: \"127.0.0.1:1883\"\n");
    free(text);
}

static void files_are_written_from_the_root_on(void)
{
    static const char *const targets[] = {"127.0.0.1:1883"};
    struct fmx_scenario_folder folder;
    struct fmx_fleet_group group;
    struct fmx_tls_client tls;
    struct scenario whole = {0};
    char expected[FMX_TEMPORARY_FILE_BYTES];

    fmx_scenario_enter(&folder);
    fmx_fleet_group_init(&group);
    fmx_tls_client_init(&tls);
    tls.ca = "ca.pem";
    group.tls = &tls;
    group.targets = targets;
    group.targets_count = 1;
    fmx_fleet_plan_init(&whole.plan);
    whole.plan.groups = &group;
    whole.plan.groups_count = 1;
    char *text = scenario_write(&whole, error, sizeof(error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    snprintf(expected, sizeof(expected), "cafile: \"%s/ca.pem\"\n", folder.path);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, expected));
    free(text);
    fmx_scenario_leave(&folder);
}

static void a_list_of_devices_is_named_again(void)
{
    static const char csv[] = "product_key,device_name,device_secret\nP,one,s1\nP,two,s2\n";
    struct fmx_scenario_folder folder;
    char expected[FMX_TEMPORARY_FILE_BYTES];

    fmx_scenario_enter(&folder);
    fmx_scenario_put("d.csv", csv, strlen(csv));
    struct scenario *scenario = fmx_scenario_of(
        "groups:\n- device: {devices: d.csv, sign: hmacmd5}\n", error, sizeof(error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(scenario);
    char *text = scenario_write(scenario, error, sizeof(error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    snprintf(expected, sizeof(expected), "devices: \"%s/d.csv\"\n", folder.path);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, expected));
    struct scenario *again = fmx_scenario_of(text, error, sizeof(error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT_EQUAL(again->plan.groups[0].clients_count, 2);
    CU_ASSERT_EQUAL(again->plan.groups[0].platform.sign_method, FMX_FLEET_SIGN_MD5);
    free(text);
    scenario_close(again);
    scenario_close(scenario);
    CU_ASSERT(unlink("d.csv") == 0);
    fmx_scenario_leave(&folder);
}

static void a_text_that_is_not_utf8_is_refused_by_its_key(void)
{
    struct scenario whole = {.name = "\xff"};

    fmx_fleet_plan_init(&whole.plan);
    CU_ASSERT_PTR_NULL(scenario_write(&whole, error, sizeof(error)));
    CU_ASSERT_STRING_EQUAL(error, "key 'name': is not UTF-8 text, which a scenario must be");
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(random_plans_come_back_as_they_were),
    FMX_TEST_CASE(what_is_at_its_default_is_not_written),
    FMX_TEST_CASE(files_are_written_from_the_root_on),
    FMX_TEST_CASE(a_list_of_devices_is_named_again),
    FMX_TEST_CASE(a_text_that_is_not_utf8_is_refused_by_its_key),
};

int main(int argc, char **argv)
{
    return fmx_test_main("scenario_write", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
