/*
 * fleet_flags — the options of the fleet: which server, how many clients, who they are
 *
 * Why it is so:   people have command lines for emqtt-bench at hand, so its letters and names mean
 *                 here what they mean there: -h is the host, -i milliseconds between connects, -I
 *                 milliseconds between messages, and numbers begin after --startnumber. What it
 *                 does not have comes under mosquitto's names, or ours; --help has no letter. _ and
 *                 - are the same in a name
 * Threads:        one
 * Limits:         FLAG_ROWS_MAX rows over all tables; a test sees that they are not reached
 * Not here:       how options become a plan: fleet_plan.c; other options: fleet_flags_….c
 */
#include "tools/fleetmux/fleet_flags.h"

#include <string.h>

static const struct flag_choice versions[] = {
    {"5", FMX_MQTT_50},      {"4", FMX_MQTT_311},        {"3", FMX_MQTT_31},
    {"5.0", FMX_MQTT_50},    {"3.1.1", FMX_MQTT_311},    {"3.1", FMX_MQTT_31},
    {"mqttv5", FMX_MQTT_50}, {"mqttv311", FMX_MQTT_311}, {"mqttv31", FMX_MQTT_31},
    {"311", FMX_MQTT_311},   {"31", FMX_MQTT_31},        {NULL, 0}};

static const struct flag rows[] = {
    {.name = "host",
     .letter = 'h',
     .kind = FLAG_LIST,
     .has_commas = true,
     AT(hosts),
     .max = FLAG_ITEMS_MAX,
     .argument = "HOST,...",
     .group = "Server",
     .help = "server, or several with commas, taken in turn; HOST:PORT overrides --port, mqtts:// "
             "before it turns TLS on and mqtt:// off; run: for groups that name no target"},
    {.name = "port",
     .letter = 'p',
     .kind = FLAG_UINT,
     AT(port),
     .min = 1,
     .max = 65535,
     .argument = "PORT",
     .group = "Server",
     .help = "the server's port; with TLS 8883 unless it is given; run: as --host"},
    {.name = "ifaddr",
     .letter = 'A',
     .kind = FLAG_LIST,
     .has_commas = true,
     .verbs = FLEET_GROUP,
     AT(sources),
     .max = FLAG_ITEMS_MAX,
     .argument = "ADDR,...",
     .group = "Server",
     .help = "source addresses, taken in turn; on loopback they are spread without being asked"},

    {.name = "count",
     .letter = 'c',
     .kind = FLAG_UINT,
     .verbs = FLEET_GROUP,
     AT(group.clients_count),
     .min = 1,
     .max = 16000000,
     .argument = "COUNT",
     .group = "Clients",
     .help = "how many clients"},
    {.name = "startnumber",
     .letter = 'n',
     .kind = FLAG_UINT,
     .verbs = FLEET_GROUP,
     AT(start_number),
     .max = 4000000000,
     .argument = "NUMBER",
     .group = "Clients",
     .help = "the first client's number is one more"},
    {.name = "connrate",
     .letter = 'R',
     .kind = FLAG_REAL,
     .verbs = FLEET_GROUP,
     AT(connects_per_second),
     .max = 10000000,
     .argument = "RATE",
     .group = "Clients",
     .help = "connects per second; 0: as fast as it goes; overrides --interval"},
    {.name = "interval",
     .letter = 'i',
     TIME(NUMBER_NS_PER_MS, 1),
     .verbs = FLEET_GROUP,
     AT(connect_interval_ns),
     .max = NS_PER_DAY,
     .argument = "MS",
     .group = "Clients",
     .help = "between two connects; 0: as fast as it goes"},
    {.name = "connects-inflight",
     .kind = FLAG_UINT,
     .verbs = FLEET_GROUP,
     AT(plan.connects_inflight_max),
     .max = 16000000,
     .argument = "COUNT",
     .group = "Clients",
     .help = "connects begun and not yet answered; 0: 1024, with TLS 128"},
    {.name = "connect-timeout-ms",
     TIME(NUMBER_NS_PER_MS, NUMBER_NS_PER_MS),
     .verbs = FLEET_GROUP,
     AT(group.connect_timeout_ms),
     .min = 1,
     .max = 3600000,
     .argument = "MS",
     .group = "Clients",
     .help = "for TCP, TLS and CONNACK together"},
    {.name = "reconnect",
     .kind = FLAG_TEXT,
     .verbs = FLEET_GROUP,
     AT(reconnect),
     .argument = "MIN-MAX",
     .group = "Clients",
     .help = "come back after a loss, waiting so long: exponential, with full jitter, as in "
             "100ms-10s; fixed:TIME: always so long; none: stay away, the default"},
    {.name = "linger-zero",
     .kind = FLAG_SWITCH,
     .verbs = FLEET_GROUP,
     AT(group.linger_zero),
     .group = "Clients",
     .help = "close with RST, which leaves no TIME_WAIT behind"},

    {.name = "version",
     .also = "protocol-version",
     .letter = 'V',
     .kind = FLAG_CHOICE,
     .choices = versions,
     .verbs = FLEET_GROUP,
     AT(group.version),
     .argument = "VERSION",
     .group = "MQTT",
     .help = "3: 3.1, 4: 3.1.1, 5: 5.0; or mqttv31, mqttv311, mqttv5"},
    {.name = "prefix",
     .also = "id-prefix",
     .kind = FLAG_TEXT,
     .verbs = FLEET_GROUP,
     AT(prefix),
     .argument = "TEXT",
     .group = "MQTT",
     .help = "client ids are TEXT_%i; fleets that run at once need different ones"},
    {.name = "shortids",
     .letter = 's',
     .kind = FLAG_SWITCH,
     .verbs = FLEET_CONN | FLEET_SUB,
     AT(has_short_ids),
     .group = "MQTT",
     .help = "client ids are the number alone, behind --prefix if that is given"},
    {.name = "shortids",
     .kind = FLAG_SWITCH,
     .verbs = FLEET_PUB,
     AT(has_short_ids),
     .group = "MQTT",
     .help = "client ids are the number alone, behind --prefix if that is given"},
    {.name = "client-id",
     .also = "id",
     .kind = FLAG_TEXT,
     .verbs = FLEET_GROUP,
     AT(client_id),
     .argument = "TEXT",
     .group = "MQTT",
     .help = "client id as a whole, with %i or %n in it; overrides --prefix"},
    {.name = "username",
     .letter = 'u',
     .kind = FLAG_TEXT,
     .verbs = FLEET_GROUP,
     AT(group.username),
     .argument = "TEXT",
     .group = "MQTT",
     .help = "user name, with variables"},
    {.name = "password",
     .also = "pw",
     .letter = 'P',
     .kind = FLAG_TEXT,
     .verbs = FLEET_GROUP,
     AT(group.password),
     .argument = "TEXT",
     .group = "MQTT",
     .help = "password, with variables"},
    {.name = "keepalive",
     .letter = 'k',
     TIME(NUMBER_NS_PER_S, NUMBER_NS_PER_S),
     .verbs = FLEET_GROUP,
     AT(group.keepalive_s),
     .max = 65535,
     .argument = "SECONDS",
     .group = "MQTT",
     .help = "keep-alive; 0: none"},
    {.name = "clean",
     .letter = 'C',
     .kind = FLAG_SWITCH,
     .verbs = FLEET_GROUP,
     AT(group.clean),
     .argument = "true|false",
     .group = "MQTT",
     .help = "clean session, clean start in 5.0; true unless -C false. Then what is not "
             "acknowledged goes out again on the next connection"},
    {.name = "session-expiry",
     .letter = 'x',
     TIME(NUMBER_NS_PER_S, NUMBER_NS_PER_S),
     .verbs = FLEET_GROUP,
     AT(group.session_expiry_s),
     .max = UINT32_MAX,
     .argument = "SECONDS",
     .group = "MQTT",
     .help = "5.0 only: how long the server keeps the session; 4294967295: for ever"},
    {.name = "receive-max",
     .kind = FLAG_UINT,
     .verbs = FLEET_GROUP,
     AT(group.receive_max),
     .min = 1,
     .max = 65535,
     .argument = "COUNT",
     .group = "MQTT",
     .help = "5.0: QoS 1 messages the server may send unacknowledged"},
};

const struct fleet_rows fleet_rows_server = {rows, sizeof(rows) / sizeof(rows[0])};

/* The tables one after another: one for the process, since rows are alike in all of them. */
static struct flag all[FLAG_ROWS_MAX];

static size_t gather(void)
{
    const struct fleet_rows *const tables[] = {&fleet_rows_server, &fleet_rows_message,
                                               &fleet_rows_device, &fleet_rows_tls,
                                               &fleet_rows_run,    &fleet_rows_other};
    size_t count = 0;

    for (size_t index = 0; index < sizeof(tables) / sizeof(tables[0]); index++) {
        for (size_t row = 0; row < tables[index]->count && count < FLAG_ROWS_MAX; row++) {
            all[count++] = tables[index]->rows[row];
        }
    }
    return count;
}

void fleet_flags_init(struct fleet_settings *settings, enum fleet_kind kind, struct flag_set *set)
{
    memset(settings, 0, sizeof(*settings));
    fmx_fleet_plan_init(&settings->plan);
    fmx_fleet_group_init(&settings->group);
    fmx_fleet_publish_init(&settings->publish);
    fmx_tls_client_init(&settings->tls);
    settings->kind = kind & ~(unsigned)FLEET_CHECK;
    settings->is_check = (kind & FLEET_CHECK) != 0;
    settings->hosts.items[settings->hosts.count++] = "127.0.0.1";
    settings->port = 1883;
    settings->group.clients_count = 200;
    settings->connect_interval_ns = UINT64_C(10) * NUMBER_NS_PER_MS;
    settings->give_up_ns = UINT64_C(60) * NUMBER_NS_PER_S;
    settings->connects_per_second = 100;
    settings->prefix = settings->kind == FLEET_PUB   ? "fleetmux_pub"
                       : settings->kind == FLEET_SUB ? "fleetmux_sub"
                                                     : "fleetmux_conn";
    settings->device_prefix = "device";
    settings->timestamp = settings->group.platform.timestamp;
    settings->sdk = settings->group.platform.sdk;
    settings->plan.mux.log_level = FMX_LOG_WARN;
    flags_init(set, all, gather(), settings->kind, settings);
    set->is_lenient = true;
    if (settings->kind == FLEET_RUN) {
        set->operands = settings->operands;
        set->operands_max = 1;
    }
}
