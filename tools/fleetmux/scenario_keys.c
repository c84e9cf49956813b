/*
 * scenario_keys — the tables: every key that a scenario may have, level by level
 *
 * Why it is so:   a format of six dozen keys stays right only if reader, writer, errors and help
 *                 look at the same rows. A key that is no plain value has functions of its own; its
 *                 row then says no more than its name and what it is for.
 * Words:          see scenario_parts.h
 * Invariants:     (1) rows of one level share one struct of settings, in which the library's own
 *                 struct comes first
 *                 (2) of a pair of numbers the second lies right behind the first
 * Threads:        read-only
 * Not here:       the words of errors: scenario_read.c, scenario_value.c
 */
#include "tools/fleetmux/number.h"
#include "tools/fleetmux/choices.h"
#include "tools/fleetmux/scenario_parts.h"

#include <string.h>

#define S_PER_DAY  UINT64_C(86400)
#define MS_PER_DAY (S_PER_DAY * 1000)
#define NS_PER_DAY (S_PER_DAY * NUMBER_NS_PER_S)
#define TEXT       .kind = FLAG_TEXT, .argument = "a text"
#define FILE_NAME  .kind = FLAG_TEXT, .argument = "the name of a file"
#define NUMBER     .kind = FLAG_UINT
#define YES_OR_NO  .kind = FLAG_BOOL
#define CHOICE(of) .kind = FLAG_CHOICE, .choices = (of)
#define TIME_NS    .kind = FLAG_TIME, .plain_ns = NUMBER_NS_PER_S, .stored_ns = 1
#define TIME_MS    .kind = FLAG_TIME, .plain_ns = NUMBER_NS_PER_S, .stored_ns = NUMBER_NS_PER_MS
#define TIME_S     .kind = FLAG_TIME, .plain_ns = NUMBER_NS_PER_S, .stored_ns = NUMBER_NS_PER_S

#define KEYS(of) .keys = (of), .keys_count = sizeof(of) / sizeof((of)[0])

/* A key whose value lies in this field of the level's settings; the library calls it `called`. */
#define KEY(settings, at, called, ...)                                                             \
    .member = (called), .row = {FLAG_AT(settings, at), __VA_ARGS__}

/* ── the file ── */

#define PLAN(field, ...) KEY(struct scenario, plan.field, #field, __VA_ARGS__)

static const struct scenario_key top_keys[] = {
    {KEY(struct scenario, name, NULL, .name = "name", TEXT, .help = "of the scenario, in results")},
    {KEY(struct scenario, description, NULL, .name = "description", TEXT,
         .help = "what it is for; for readers")},
    {PLAN(seed, .name = "seed", NUMBER, .max = UINT64_MAX,
          .help = "of every random choice: the same seed makes the same messages")},
    {PLAN(duration_ns, .name = "duration", TIME_NS, .max = 100 * NS_PER_DAY,
          .help = "publishing ends so long after the start, whatever the stage; 0: with the last "
                  "stage")},
    {PLAN(drain_ms, .name = "drain", TIME_MS, .max = 600000,
          .help = "how long acknowledgements and messages are waited for at the end")},
    {PLAN(mux.shards_count, .name = "shards", NUMBER, .max = FMX_SHARDS_MAX,
          .help = "threads; 0: one per processor")},
    {PLAN(mux.cpus, .name = "cpus", TEXT,
          .help = "processors to use: numbers and ranges from 0 on, as in 0-3,6; each is one "
                  "that the process may use"),
     .standard = "those allowed"},
    {PLAN(mux.pin, .name = "pin", YES_OR_NO, .help = "keep each shard on its processor")},
    {PLAN(connects_inflight_max, .name = "connects_inflight", NUMBER, .max = 1048576,
          .help = "connects begun and not yet answered, of all groups; 0: 1024, with TLS 128")},
    {PLAN(tls_limits.workers, .name = "tls_workers", NUMBER, .max = 64,
          .help = "threads that do TLS handshakes; 0: shards do them themselves")},
    {.row = {.name = "groups", .help = "who connects: clients that are alike"},
     .member = "groups",
     .is_needed = true,
     .level = &scenario_group,
     .read = scenario_read_groups,
     .write = scenario_write_groups,
     .words = "a list of groups, 1 to 64"},
    {.row = {.name = "stages", .help = "when they come and go, and how fast they publish"},
     .member = "stages",
     .level = &scenario_stage,
     .read = scenario_read_stages,
     .write = scenario_write_stages,
     .words = "a list of stages, up to 1024",
     .standard = "all connect, 100 a second, and stay"},
    {.row = {.name = "thresholds",
             .help = "what must hold at the end, as in puback.p99<50ms; see docs/FLEET.md"},
     .read = scenario_read_thresholds,
     .write = scenario_write_thresholds,
     .words = "a list of conditions, up to 64"},
};

static void init_top(void *settings)
{
    struct scenario *scenario = settings;

    memset(scenario, 0, sizeof(*scenario));
    fmx_fleet_plan_init(&scenario->plan);
}

const struct scenario_level scenario_top = {
    .path = "",
    .title = "The file",
    KEYS(top_keys),
    .settings_bytes = sizeof(struct scenario),
    .init = init_top,
    .finish = scenario_finish_top,
};

/* ── groups ── */

static const struct flag_choice versions[] = {{"5.0", FMX_MQTT_50},
                                              {"3.1.1", FMX_MQTT_311},
                                              {"3.1", FMX_MQTT_31},
                                              {"5", FMX_MQTT_50},
                                              {"4", FMX_MQTT_311},
                                              {"3", FMX_MQTT_31},
                                              {NULL, 0}};

static const struct flag_choice manners[] = {{"honest", FMX_FLEET_HONEST},
                                             {"silent", FMX_FLEET_SILENT},
                                             {"half-connect", FMX_FLEET_HALF_CONNECT},
                                             {NULL, 0}};

#define GROUP(field, ...) KEY(struct group_settings, plan.field, #field, __VA_ARGS__)

static const struct scenario_key group_keys[] = {
    {GROUP(name, .name = "name", TEXT, .help = "of the group, in results and for stages"),
     .standard = "group 1, group 2 …"},
    {GROUP(clients_count, .name = "clients", NUMBER, .min = 1, .max = 16000000,
           .help = "how many; need not be said beside a list of devices"),
     .is_written = true, .standard = "none; with a list of devices their number"},
    {.row = {.name = "target",
             .help = "where they connect to, taken in turn: HOST, HOST:PORT, [IPV6]:PORT; mqtts:// "
                     "before it turns TLS on"},
     .member = "targets",
     .read = scenario_read_targets,
     .write = scenario_write_targets,
     .words = "a host or a list of hosts, up to 64",
     .standard = "as -h and -p say: 127.0.0.1:1883, with TLS port 8883"},
    {.row = {.name = "sources", .help = "source addresses, taken in turn"},
     .member = "sources",
     .read = scenario_read_sources,
     .write = scenario_write_sources,
     .words = "an address or a list of addresses, up to 65536",
     .standard = "the system chooses; on loopback they are spread as needed"},
    {GROUP(client_id, .name = "client_id", TEXT, .help = "client ids, with variables")},
    {GROUP(username, .name = "username", TEXT, .help = "user names, with variables")},
    {GROUP(password, .name = "password", TEXT, .help = "passwords, with variables")},
    {GROUP(first_number, .name = "first_number", NUMBER, .max = UINT32_MAX,
           .help = "the first client's number, %i; the others count on")},
    {GROUP(version, .name = "version", CHOICE(versions), .help = "of MQTT")},
    {GROUP(keepalive_s, .name = "keepalive", TIME_S, .max = 65535, .help = "keep-alive; 0: none")},
    {GROUP(clean, .name = "clean", YES_OR_NO, .help = "clean session, clean start in 5.0")},
    {GROUP(session_expiry_s, .name = "session_expiry", TIME_S, .max = UINT32_MAX,
           .help = "5.0 only, with another version it is refused: how long the server keeps the "
                   "session; 4294967295s: for ever")},
    {GROUP(receive_max, .name = "receive_max", NUMBER, .min = 1, .max = 65535,
           .help = "5.0: QoS 1 messages that the server may send unacknowledged")},
    {GROUP(window, .name = "window", NUMBER, .min = 1, .max = 32768,
           .help = "QoS 1 messages that a client has unacknowledged, at most")},
    {GROUP(connect_timeout_ms, .name = "connect_timeout", TIME_MS, .min = 100, .max = 600000,
           .help = "for TCP, TLS and CONNACK together")},
    {GROUP(linger_zero, .name = "linger_zero", YES_OR_NO,
           .help = "close with RST, which leaves no TIME_WAIT behind")},
    {.row = {.name = "device", .help = "clients are devices of the platform, and sign"},
     .member = "platform",
     .level = &scenario_device,
     .words = "the keys of a device"},
    {.row = {.name = "tls", .help = "speak TLS; true: with all defaults"},
     .member = "tls",
     .level = &scenario_tls,
     .read = scenario_read_tls,
     .write = scenario_write_tls,
     .words = "true, false, or the keys of TLS",
     .standard = "off, unless a target says mqtts://"},
    {.row = {.name = "publish", .help = "what each client says: one topic an item"},
     .member = "publishes",
     .level = &scenario_publish,
     .read = scenario_read_publishes,
     .write = scenario_write_publishes,
     .words = "a list of publishes, up to 64"},
    {.row = {.name = "subscribe", .help = "what each client hears: a filter, or its keys, an item"},
     .member = "subscribes",
     .level = &scenario_subscribe,
     .read = scenario_read_subscribes,
     .write = scenario_write_subscribes,
     .words = "a filter, or a list of filters or of their keys, up to 64"},
    {.row = {.name = "answers",
             .help = "to RRPC calls and 5.0 requests: their kind alone, or the keys of answers"},
     .member = "calls",
     .level = &scenario_answers,
     .read = scenario_read_answers,
     .write = scenario_write_answers,
     .words = "off, echo, fixed, never, or the keys of answers",
     .standard = "off"},
    {.row = {.name = "reconnect",
             .help = "after a loss: not at all, after so long, or the keys of reconnect"},
     .level = &scenario_reconnect,
     .read = scenario_read_reconnect,
     .write = scenario_write_reconnect,
     .words = "none, a time such as 5s, or the keys of reconnect",
     .standard = "none"},
    {GROUP(manner, .name = "manner", CHOICE(manners),
           .help =
               "silent: TCP, and TLS if there is any, but no MQTT; half-connect: half a CONNECT "
               "and never the rest")},
    {.row = {.name = "link", .help = "a poor connection, emulated"},
     .member = "link",
     .level = &scenario_link,
     .words = "the keys of a link"},
};

static void init_group(void *settings)
{
    struct group_settings *group = settings;

    memset(group, 0, sizeof(*group));
    fmx_fleet_group_init(&group->plan);
    fmx_tls_client_init(&group->tls);
}

#define GROUP_LEVEL .settings_bytes = sizeof(struct group_settings), .init = init_group

const struct scenario_level scenario_group = {
    .path = "groups[]",
    .title = "A group",
    KEYS(group_keys),
    GROUP_LEVEL,
    .finish = scenario_finish_group,
};

/* ── devices of the platform ── */

#define DEVICE(field, ...) KEY(struct group_settings, plan.platform.field, #field, __VA_ARGS__)

static const struct scenario_key device_keys[] = {
    {DEVICE(product_key, .name = "product", TEXT,
            .help = "the product's key; %i and %n are variables")},
    {DEVICE(device_name, .name = "name", TEXT,
            .help = "the device's name, in which %i and %n are variables")},
    {DEVICE(secret, .name = "secret", TEXT, .help = "the secret of every device")},
    {DEVICE(secret_key, .name = "secret_key", TEXT,
            .help = "secrets are made from this key: the first 32 hex digits, in lower case, of "
                    "HMAC-SHA256 over the device's name")},
    {KEY(struct group_settings, devices, NULL, .name = "devices", FILE_NAME,
         .help = "instead of all these a CSV file with the columns product_key, device_name and "
                 "device_secret; client %i is row %i"),
     .form = FORM_PATH, .write = scenario_write_devices},
    {KEY(struct group_settings, registry, NULL, .name = "registry", FILE_NAME,
         .help =
             "or a registry of fleetmux, whose devices, by name, they are; with `product` those "
             "of one"),
     .form = FORM_PATH, .write = scenario_write_devices},
    {DEVICE(client_id, .name = "client_id", TEXT,
            .help = "the part of the client id that is signed, with variables")},
    {DEVICE(sign_method, .name = "sign", CHOICE(choices_sign_methods), .help = "how it is signed")},
    {DEVICE(timestamp, .name = "timestamp", .kind = FLAG_TEXT, .argument = "digits",
            .help = "signed too"),
     .form = FORM_NONE_TEXT},
    {DEVICE(sdk, .name = "sdk", TEXT, .help = "the SDK that devices say they have, _v"),
     .form = FORM_NONE_TEXT},
    {DEVICE(secure_mode, .name = "secure_mode", NUMBER, .min = 9, .max = 99,
            .help = "what the client id says of the channel: 2 TLS, 3 plain TCP; 0: as it is"),
     .form = FORM_SIGNED},
    {DEVICE(more_options, .name = "options", TEXT,
            .help = "further ones of the client id, as in lan=C,gw=0")},
    {DEVICE(ext, .name = "ext", NUMBER, .max = 3,
            .help = "1: calls on custom topics are wanted, 2: notices of errors, 3: both")},
    {DEVICE(auto_subscribe, .name = "auto_subscribe", YES_OR_NO,
            .help = "_ss=1: the server subscribes them to the system's topics")},
    {DEVICE(registration, .name = "register", CHOICE(choices_registrations),
            .help =
                "they first ask for their secret (known to the registry) or for a token (new)")},
    {DEVICE(product_secret, .name = "product_secret", TEXT, .help = "signs what `register` asks")},
};

const struct scenario_level scenario_device = {
    .path = "groups[].device",
    .title = "A device of the platform",
    KEYS(device_keys),
    GROUP_LEVEL,
};

/* ── TLS ── */

static const struct flag_choice psks[] = {{"none", FMX_TLS_PSK_NONE},
                                          {"sdk", FMX_TLS_PSK_SDK},
                                          {"secret", FMX_TLS_PSK_SECRET},
                                          {"given", FMX_TLS_PSK_GIVEN},
                                          {NULL, 0}};

#define TLS(field, ...) KEY(struct group_settings, tls.field, #field, __VA_ARGS__)

static const struct scenario_key tls_keys[] = {
    {TLS(ca, .name = "cafile", FILE_NAME, .help = "authorities whose servers are trusted, PEM"),
     .form = FORM_PATH, .standard = "the system's"},
    {TLS(insecure, .name = "insecure", YES_OR_NO, .help = "trust any server: for tests only")},
    {TLS(server_name, .name = "server_name", TEXT,
         .help = "the server to ask for (SNI), whose name its certificate must hold"),
     .standard = "the target's host"},
    {TLS(min, .name = "min", CHOICE(choices_tls_versions), .help = "oldest version")},
    {TLS(max, .name = "max", CHOICE(choices_tls_versions),
         .help = "newest version; with a PSK at most 1.2")},
    {TLS(suites, .name = "suites", TEXT,
         .help = "of 1.2 and older, in BoringSSL's words, best first, with : between"),
     .standard = "all that there are"},
    {TLS(alpn, .name = "alpn", YES_OR_NO, .help = "offer the protocol's name, mqtt")},
    {TLS(cert, .name = "cert", FILE_NAME,
         .help = "the clients' certificate, PEM; with variables in it one for each"),
     .form = FORM_PATH_TEMPLATE},
    {TLS(key, .name = "key", FILE_NAME, .help = "its key; the same variables"),
     .form = FORM_PATH_TEMPLATE},
    {TLS(psk, .name = "psk", CHOICE(psks),
         .help =
             "a pre-shared key instead of certificates: sdk, as the platform's C SDKs make it of "
             "the device's secret; secret, the secret itself; given, see the next two")},
    {TLS(psk_identity, .name = "psk_identity", TEXT,
         .help = "with psk: given: the identity, with variables")},
    {TLS(psk_key, .name = "psk_key", .kind = FLAG_TEXT, .argument = "hexadecimal digits",
         .help = "with psk: given: the key")},
    {TLS(resume, .name = "resume", .kind = FLAG_REAL, .max = 1,
         .help = "share of reconnects that offer the session of before"),
     .form = FORM_SHARE},
    {TLS(record_bytes_max, .name = "record_bytes", NUMBER, .min = 512, .max = 16384,
         .help = "most plaintext in a record that is sent")},
    {TLS(key_log, .name = "key_log", FILE_NAME,
         .help = "secrets of every connection are added to this file, for tools that read captured "
                 "traffic"),
     .form = FORM_PATH},
};

const struct scenario_level scenario_tls = {
    .path = "groups[].tls",
    .title = "TLS",
    KEYS(tls_keys),
    GROUP_LEVEL,
};

/* ── answers, reconnecting, links ── */

static const struct flag_choice answers[] = {{"off", FMX_FLEET_ANSWER_OFF},
                                             {"echo", FMX_FLEET_ANSWER_ECHO},
                                             {"fixed", FMX_FLEET_ANSWER_FIXED},
                                             {"never", FMX_FLEET_ANSWER_NEVER},
                                             {NULL, 0}};

#define CALLS(field, ...) KEY(struct group_settings, plan.calls.field, #field, __VA_ARGS__)

static const struct scenario_key answers_keys[] = {
    {CALLS(answer, .name = "kind", CHOICE(answers),
           .help = "echo: the request's payload; fixed: `payload`; never: count them only")},
    {.row = {.name = "payload", .help = "with kind: fixed: what is answered, as it stands"},
     .member = "payload",
     .read = scenario_read_answer_payload,
     .write = scenario_write_answer_payload,
     .words = "a text"},
    {.row = {.name = "base64", .help = "the same, of any bytes"},
     .read = scenario_read_answer_payload,
     .words = "base64, with padding"},
    {CALLS(delay_ms, .name = "delay", TIME_MS, .max = 60000, .help = "before each answer")},
    {CALLS(pending_max, .name = "pending", NUMBER, .min = 1, .max = 1048576,
           .help = "answers that wait for their delay, over all shards, at most")},
};

const struct scenario_level scenario_answers = {
    .path = "groups[].answers",
    .title = "Answers",
    KEYS(answers_keys),
    GROUP_LEVEL,
};

static const struct flag_choice reconnects[] = {{"none", FMX_FLEET_RECONNECT_NONE},
                                                {"fixed", FMX_FLEET_RECONNECT_FIXED},
                                                {"exponential", FMX_FLEET_RECONNECT_EXPONENTIAL},
                                                {NULL, 0}};

static const struct scenario_key reconnect_keys[] = {
    {GROUP(reconnect, .name = "kind", CHOICE(reconnects),
           .help =
               "fixed: after `min`; exponential: after a time drawn from 0 to min × 2^failures, "
               "at most max"),
     .standard = "exponential"},
    {GROUP(reconnect_min_ms, .name = "min", TIME_MS, .min = 1, .max = MS_PER_DAY,
           .help = "the first wait, at most")},
    {GROUP(reconnect_max_ms, .name = "max", TIME_MS, .min = 1, .max = MS_PER_DAY,
           .help = "the longest wait")},
};

const struct scenario_level scenario_reconnect = {
    .path = "groups[].reconnect",
    .title = "Reconnecting",
    KEYS(reconnect_keys),
    GROUP_LEVEL,
};

#define LINK(field, ...) KEY(struct group_settings, plan.link.field, #field, __VA_ARGS__)

static const struct scenario_key link_keys[] = {
    {LINK(delay_ms, .name = "delay", TIME_MS, .max = 60000, .help = "each way")},
    {LINK(jitter_ms, .name = "jitter", TIME_MS, .max = 60000, .help = "up to so much more")},
    {LINK(loss, .name = "loss", .kind = FLAG_REAL, .max = 1,
          .help =
              "share of sends that are lost at first, as TCP feels it: 200 ms later; up to 50%"),
     .form = FORM_SHARE, .words = "a share from 0% to 50%"},
    {LINK(read_bytes_per_second, .name = "read", NUMBER, .max = UINT64_C(1) << 40,
          .help = "a slow reader takes so many bytes a second; 0: what comes"),
     .form = FORM_SPEED},
};

const struct scenario_level scenario_link = {
    .path = "groups[].link",
    .title = "A link",
    KEYS(link_keys),
    GROUP_LEVEL,
};

/* ── publishes ── */

static const struct flag_choice schedules[] = {
    {"constant", FMX_FLEET_CONSTANT},       {"poisson", FMX_FLEET_POISSON},
    {"bursts", FMX_FLEET_BURSTS},           {"on-change", FMX_FLEET_ON_CHANGE},
    {"closed-loop", FMX_FLEET_CLOSED_LOOP}, {NULL, 0}};

static const struct flag_choice aways[] = {{"late", false}, {"skip", true}, {NULL, 0}};

#define PUBLISH(field, ...) KEY(struct publish_settings, plan.field, #field, __VA_ARGS__)
#define PAYLOAD             .read = scenario_read_payload

static const struct scenario_key publish_keys[] = {
    {PUBLISH(name, .name = "name", TEXT, .help = "in results"), .standard = "its topic"},
    {PUBLISH(topic, .name = "topic", TEXT, .help = "with variables; needed but with thing_model")},
    {PUBLISH(schedule, .name = "schedule", CHOICE(schedules),
             .help =
                 "constant; poisson: random, of the same mean; bursts; on-change: a look each "
                 "time, and a message if something has changed; closed-loop: the next as soon as "
                 "the window has room")},
    {PUBLISH(interval_ns, .name = "every", TIME_NS, .min = 1000, .max = 100 * NS_PER_DAY,
             .help = "of each client, at a factor of 100%; nothing in a closed loop")},
    {PUBLISH(burst_count, .name = "burst_count", NUMBER, .min = 1, .max = 65536,
             .help = "bursts: messages of one")},
    {PUBLISH(burst_spacing_ns, .name = "burst_spacing", TIME_NS, .max = 100 * NS_PER_DAY,
             .help = "bursts: between them; 0: all at once")},
    {PUBLISH(change, .name = "change", .kind = FLAG_REAL, .max = 1,
             .help = "on-change: share of looks that find a change, above 0%"),
     .form = FORM_SHARE},
    {PUBLISH(messages_max, .name = "count", NUMBER, .max = UINT64_C(1) << 62,
             .help = "messages of all the group's clients, in equal shares; 0: no end")},
    {PUBLISH(skip_when_away, .name = "when_away", CHOICE(aways),
             .help = "what falls due while a client is not connected is sent late, or skipped and "
                     "counted")},
    {PUBLISH(qos, .name = "qos", NUMBER, .max = 1, .help = "0 or 1")},
    {PUBLISH(retain, .name = "retain", YES_OR_NO, .help = "set the RETAIN flag")},
    {PUBLISH(payload_bytes, .name = "size", NUMBER, .max = SCENARIO_PAYLOAD_MAX,
             .help =
                 "a payload that is made up, of so many bytes; from 32 on a receiving group can "
                 "check it"),
     .read = scenario_read_payload},
    {.row = {.name = "text", .help = "a payload with variables"},
     .member = "text",
     PAYLOAD,
     .write = scenario_write_payload,
     .words = "a text"},
    {.row = {.name = "text_file", .help = "the same from a file"},
     PAYLOAD,
     .words = "the name of a file"},
    {.row = {.name = "json", .help = "YAML that becomes a JSON text, with variables in its texts"},
     PAYLOAD,
     .words = "keys, a list or a value"},
    {.row = {.name = "raw", .help = "a payload as it stands, without variables"},
     .member = "payload",
     PAYLOAD,
     .words = "a text"},
    {.row = {.name = "file", .help = "the same from a file, of any bytes"},
     PAYLOAD,
     .words = "the name of a file"},
    {.row = {.name = "base64", .help = "the same, of any bytes"},
     PAYLOAD,
     .words = "base64, with padding"},
    {PUBLISH(thing_model, .name = "thing_model", YES_OR_NO,
             .help =
                 "property posts of the platform's thing model, of `size` bytes, instead of topic "
                 "and payload; replies are counted")},
    {.row = {.name = "request", .help = "5.0: each message asks for an answer, which is measured"},
     .level = &scenario_request,
     .write = scenario_write_request,
     .words = "the keys of a request"},
    {.row = {.name = "properties", .help = "5.0"},
     .member = "properties",
     .level = &scenario_properties,
     .words = "the keys of properties"},
};

static void init_publish(void *settings)
{
    struct publish_settings *publish = settings;

    memset(publish, 0, sizeof(*publish));
    fmx_fleet_publish_init(&publish->plan);
}

#define PUBLISH_LEVEL .settings_bytes = sizeof(struct publish_settings), .init = init_publish

const struct scenario_level scenario_publish = {
    .path = "groups[].publish[]",
    .title = "A publish",
    KEYS(publish_keys),
    PUBLISH_LEVEL,
    .finish = scenario_finish_publish,
};

static const struct scenario_key request_keys[] = {
    {PUBLISH(properties.response_topic, .name = "response_topic", TEXT,
             .help = "with variables; clients subscribe to it by themselves"),
     .is_needed = true},
    {PUBLISH(response_timeout_ms, .name = "timeout", TIME_MS, .min = 1, .max = 3600000,
             .help = "an answer that has not come by then counts as none"),
     .is_written = true, .standard = "5s"},
};

const struct scenario_level scenario_request = {
    .path = "groups[].publish[].request",
    .title = "A request",
    KEYS(request_keys),
    PUBLISH_LEVEL,
    .finish = scenario_finish_request,
};

static const struct flag_choice formats[] = {{"bytes", false}, {"text", true}, {NULL, 0}};

#define PROPERTIES(field, ...)                                                                     \
    KEY(struct publish_settings, plan.properties.field, #field, __VA_ARGS__)

static const struct scenario_key properties_keys[] = {
    {PROPERTIES(response_topic, .name = "response_topic", TEXT,
                .help = "with variables; for requests that are measured see `request`"),
     .write = scenario_write_response_topic},
    {PROPERTIES(correlation_bytes, .name = "correlation", NUMBER, .max = 65535,
                .help = "bytes of Correlation Data; 0: none")},
    {PROPERTIES(content_type, .name = "content_type", TEXT, .help = "Content Type")},
    {PROPERTIES(message_expiry_s, .name = "expiry", TIME_S, .max = UINT32_MAX,
                .help = "Message Expiry Interval; 0: none")},
    {PROPERTIES(is_text, .name = "format", CHOICE(formats), .help = "Payload Format Indicator")},
    {PROPERTIES(use_aliases, .name = "aliases", YES_OR_NO,
                .help = "a topic alias instead of the topic, where the server offers any")},
    {.row = {.name = "user", .help = "User Properties, in this order"},
     .member = "user",
     .read = scenario_read_user,
     .write = scenario_write_user,
     .words = "keys and texts, or a list of such, up to 1024"},
};

const struct scenario_level scenario_properties = {
    .path = "groups[].publish[].properties",
    .title = "Properties of a publish",
    KEYS(properties_keys),
    PUBLISH_LEVEL,
};

/* ── subscribes ── */

#define SUBSCRIBE(field, ...) KEY(struct fmx_fleet_subscribe, field, #field, __VA_ARGS__)

static const struct scenario_key subscribe_keys[] = {
    {SUBSCRIBE(filter, .name = "filter", TEXT, .help = "with variables"), .is_needed = true},
    {SUBSCRIBE(qos, .name = "qos", NUMBER, .max = 1, .help = "0 or 1")},
    {SUBSCRIBE(late_ns, .name = "late", TIME_NS, .max = 100 * NS_PER_DAY,
               .help = "messages that take longer are counted as late; 0: none is")},
    {SUBSCRIBE(no_local, .name = "no_local", YES_OR_NO, .help = "5.0: none of our own messages")},
    {SUBSCRIBE(as_published, .name = "as_published", YES_OR_NO,
               .help = "5.0: keep the RETAIN flag as it was published")},
    {SUBSCRIBE(retain_handling, .name = "retain_handling", NUMBER, .max = 2,
               .help =
                   "5.0: retained messages are sent 0 always, 1 to new subscriptions, 2 never")},
};

static void init_subscribe(void *settings)
{
    memset(settings, 0, sizeof(struct fmx_fleet_subscribe));
    fmx_fleet_subscribe_init(settings);
}

const struct scenario_level scenario_subscribe = {
    .path = "groups[].subscribe[]",
    .title = "A subscription",
    KEYS(subscribe_keys),
    .settings_bytes = sizeof(struct fmx_fleet_subscribe),
    .init = init_subscribe,
};

/* ── stages ── */

#define RAMP  (1u << FMX_FLEET_RAMP)
#define HOLD  (1u << FMX_FLEET_HOLD)
#define CHURN (1u << FMX_FLEET_CHURN)
#define STORM (1u << FMX_FLEET_STORM)
#define STOP  (1u << FMX_FLEET_STOP)

static const struct flag_choice leaves[] = {{"disconnect", FMX_FLEET_LEAVE_DISCONNECT},
                                            {"close", FMX_FLEET_LEAVE_CLOSE},
                                            {"reset", FMX_FLEET_LEAVE_RESET},
                                            {"vanish", FMX_FLEET_LEAVE_VANISH},
                                            {NULL, 0}};

static const struct flag_choice returns[] = {{"at-once", false}, {"by-policy", true}, {NULL, 0}};

#define STAGE(field, ...) KEY(struct stage_settings, plan.field, #field, __VA_ARGS__)

_Static_assert(offsetof(struct fmx_fleet_stage, rate_end) ==
                   offsetof(struct fmx_fleet_stage, rate_begin) + sizeof(double),
               "the rates are a pair");
_Static_assert(offsetof(struct fmx_fleet_stage, publish_end) ==
                   offsetof(struct fmx_fleet_stage, publish_begin) + sizeof(double),
               "the factors are a pair");

static const struct scenario_key stage_keys[] = {
    {STAGE(name, .name = "name", TEXT, .help = "in results"), .standard = "what it is"},
    {.row = {.name = "groups", .help = "whom it is about, by their names"},
     .member = "groups",
     .read = scenario_read_stage_groups,
     .write = scenario_write_stage_groups,
     .words = "the name of a group, or a list of names",
     .standard = "all"},
    {STAGE(share, .name = "share", .verbs = RAMP | STORM, .kind = FLAG_REAL, .max = 1,
           .help = "ramp: connect until so many of each group have; storm: so many leave"),
     .form = FORM_SHARE},
    {STAGE(rate_begin, .name = "rate", .verbs = RAMP | CHURN | STOP, .kind = FLAG_REAL,
           .max = 10000000,
           .help =
               "ramp: connects; churn, stop: clients that leave; of all its groups together, from "
               "the stage's begin to its end; max: as fast as it goes"),
     .form = FORM_RATES, .standard = "max; churn needs one"},
    {STAGE(duration_ns, .name = "for", TIME_NS, .max = 100 * NS_PER_DAY,
           .help = "how long; a ramp ends when all of it are answered, at the earliest then; 0 in "
                   "the last stage: to the end of the run")},
    {STAGE(within_ns, .name = "within", .verbs = STORM, TIME_NS, .max = NS_PER_DAY,
           .help = "storm: they leave within this time")},
    {STAGE(leave, .name = "leave", .verbs = CHURN | STORM | STOP, CHOICE(leaves),
           .help =
               "disconnect: DISCONNECT, then the end of TCP; close: the end of TCP; reset: RST; "
               "vanish: nothing, and the connection stays with nobody behind it")},
    {STAGE(is_by_policy, .name = "comes_back", .verbs = CHURN | STORM, CHOICE(returns),
           .help = "who left does so at once, or as the group's reconnect says")},
    {STAGE(publish_begin, .name = "publish", .kind = FLAG_REAL, .max = 1000000,
           .help =
               "how fast all publishes of its groups run, from the stage's begin to its end; 0%: "
               "none is planned"),
     .form = FORM_FACTORS},
};

static void init_stage(void *settings)
{
    struct stage_settings *stage = settings;

    memset(stage, 0, sizeof(*stage));
    fmx_fleet_stage_init(&stage->plan, FMX_FLEET_RAMP);
}

const struct scenario_level scenario_stage = {
    .path = "stages[]",
    .title = "A stage: ramp, hold, churn, storm or stop",
    KEYS(stage_keys),
    .settings_bytes = sizeof(struct stage_settings),
    .init = init_stage,
};

const char *scenario_stage_name(enum fmx_fleet_stage_kind kind)
{
    static const char *const names[] = {
        [FMX_FLEET_RAMP] = "ramp",   [FMX_FLEET_HOLD] = "hold", [FMX_FLEET_CHURN] = "churn",
        [FMX_FLEET_STORM] = "storm", [FMX_FLEET_STOP] = "stop",
    };
    return (size_t)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : NULL;
}

const struct scenario_level *const scenario_levels[] = {
    &scenario_top,
    &scenario_group,
    &scenario_device,
    &scenario_tls,
    &scenario_publish,
    &scenario_request,
    &scenario_properties,
    &scenario_subscribe,
    &scenario_answers,
    &scenario_reconnect,
    &scenario_link,
    &scenario_stage,
    NULL,
};
