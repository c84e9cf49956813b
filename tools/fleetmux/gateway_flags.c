/*
 * gateway_flags — the table of the gateway's settings
 *
 * Why it is so:   settings come from three places, in this order: the profile's defaults, the file
 *                 of --config, the command line. But the file and the command line may name the
 *                 profile. So everything is read once to learn it, and if it is not the one whose
 *                 defaults were filled in, once more. The rows of limits are made from the
 *                 library's own list, so that a limit it gains has its option at once.
 * Threads:        one
 * Limits:         every limit of struct fmx_gateway_options has its option and its key
 * Not here:       how values are read: flags.c; files: config.c; the rows of struct fmx_tls_server:
 *                 gateway_tls_flags.c; what listeners come to: gateway_listen.c
 */
#include "tools/fleetmux/gateway_flags.h"

#include "tools/fleetmux/choices.h"
#include "tools/fleetmux/control.h"
#include "tools/fleetmux/number.h"

#include <string.h>

#define LISTEN_DEFAULT   "127.0.0.1:1883"
#define LIMIT_NAME_BYTES 40

static const struct flag_choice profiles[] = {
    {"open", FMX_PROFILE_OPEN}, {"platform", FMX_PROFILE_PLATFORM}, {NULL, 0}};

static const struct flag_choice over_limits[] = {{"drop", FMX_OVER_LIMIT_DROP},
                                                 {"delay", FMX_OVER_LIMIT_DELAY},
                                                 {"disconnect", FMX_OVER_LIMIT_DISCONNECT},
                                                 {NULL, 0}};

#define AT(member) FLAG_AT(struct gateway_settings, member)
#define MS         .kind = FLAG_TIME, .plain_ns = NUMBER_NS_PER_MS, .stored_ns = NUMBER_NS_PER_MS
#define US         .kind = FLAG_TIME, .plain_ns = NUMBER_NS_PER_US, .stored_ns = NUMBER_NS_PER_US

static const struct flag own_rows[] = {
    {.name = "config",
     .kind = FLAG_TEXT,
     .command_line = true,
     AT(config),
     .argument = "FILE",
     .group = "General",
     .help = "read settings from this YAML file; options override it"},
    {.name = "print-config",
     .kind = FLAG_SWITCH,
     .command_line = true,
     AT(wants_config_printed),
     .group = "General",
     .help = "print the settings in effect as YAML and end"},
    {.name = "stats",
     .kind = FLAG_TIME,
     .command_line = true,
     AT(stats_every_ns),
     .plain_ns = NUMBER_NS_PER_S,
     .stored_ns = 1,
     .max = UINT64_C(86400) * NUMBER_NS_PER_S,
     .argument = "SECONDS",
     .group = "General",
     .help = "print a line of counters on standard error that often; 0: never"},
    {.name = "help",
     .kind = FLAG_SWITCH,
     .command_line = true,
     AT(wants_help),
     .group = "General",
     .help = "print this text; after --profile platform, with its defaults"},

    {.name = "listen",
     .kind = FLAG_LIST,
     .has_commas = true,
     AT(listen),
     .max = GATEWAY_LISTEN_MAX,
     .argument = "ADDR:PORT",
     .group = "Clients",
     .help =
         "accept here; repeat it for more addresses; \":1883\" is every address, IPv6 stands in "
         "brackets, port 0 is any; mqtt:// in front takes plain MQTT only, mqtts:// TLS only; "
         "?KEY=VALUE&KEY=VALUE behind it changes settings of TLS for this one, with keys as below "
         "without \"tls-\" and with _ for -"},
    {.name = "profile",
     .kind = FLAG_CHOICE,
     .choices = profiles,
     AT(options.profile),
     .argument = "NAME",
     .group = "Clients",
     .help = "open: plain MQTT for anybody's clients; platform: signed devices, and its own "
             "defaults of what follows"},
    {.name = "registry",
     .kind = FLAG_TEXT,
     AT(options.registry),
     .argument = "FILE",
     .group = "Clients",
     .help = "products and devices; made and changed with 'fleetmux registry'; platform only"},
    {.name = "store",
     .kind = FLAG_TEXT,
     AT(options.store),
     .argument = "FILE",
     .group = "Clients",
     .help = "keep persistent sessions in this file, made if needed; default: they end with the "
             "process"},
    {.name = "backlog",
     .kind = FLAG_UINT,
     AT(options.backlog),
     .min = 1,
     .max = 65535,
     .argument = "COUNT",
     .group = "Clients",
     .help = "connections that wait in the kernel for each shard; net.core.somaxconn bounds it"},
    {.name = "connect-timeout-ms",
     MS,
     AT(options.connect_timeout_ms),
     .min = 100,
     .max = 600000,
     .argument = "MS",
     .group = "Clients",
     .help = "a connection without a whole CONNECT by then is closed"},
    {.name = "drain-ms",
     MS,
     AT(drain_ms),
     .max = 600000,
     .argument = "MS",
     .group = "Clients",
     .help = "at the end, wait so long for queues to empty"},

    {.name = "publisher-qos-decides",
     .kind = FLAG_SWITCH,
     AT(options.publisher_qos_decides),
     .group = "Rules",
     .help = "deliver at the publisher's QoS, not at the lower of its and the subscriber's; on in "
             "the platform profile"},
    {.name = "retain-is-refused",
     .kind = FLAG_BOOL,
     AT(options.retain_is_refused),
     .argument = "true|false",
     .group = "Rules",
     .help = "MQTT 5.0: answer RETAIN with 0x9A; false: clear it, as always before 5.0"},
    {.name = "clamps-keepalive",
     .kind = FLAG_BOOL,
     AT(options.clamps_keepalive),
     .argument = "true|false",
     .group = "Rules",
     .help = "platform: lower a keep-alive above --keepalive-max-s; false: refuse it"},
    {.name = "answers-are-uplink",
     .kind = FLAG_SWITCH,
     AT(options.answers_are_uplink),
     .group = "Rules",
     .help = "platform: devices' answers to calls are messages too"},
    {.name = "checks-secure-mode",
     .kind = FLAG_SWITCH,
     AT(options.checks_secure_mode),
     .group = "Rules",
     .help = "platform: refuse a securemode that contradicts the channel, not only count it"},
    {.name = "registers-again",
     .kind = FLAG_SWITCH,
     AT(options.registers_again),
     .group = "Rules",
     .help = "platform: a device that has logged in before may fetch its credentials again"},

    {.name = "answers-thing-model",
     .kind = FLAG_SWITCH,
     AT(options.answers_thing_model),
     .group = "Rules",
     .help = "platform: answer .../post with .../post_reply, code 200"},

    {.name = "control",
     .kind = FLAG_TEXT,
     AT(control),
     .argument = "PATH",
     .group = "Service",
     .help = "serve 'fleetmux ctl' on this Unix socket; auto: $XDG_RUNTIME_DIR/fleetmux.sock, "
             "/run/fleetmux.sock or /tmp/fleetmux-UID.sock; none: not at all"},
    {.name = "events",
     .kind = FLAG_TEXT,
     AT(events),
     .argument = "FILE",
     .group = "Service",
     .help = "add what happens to this file, as lines of JSON; -: to standard output; SIGHUP opens "
             "it again"},
    {.name = "events-queue-bytes",
     .kind = FLAG_UINT,
     AT(events_queue_bytes),
     .min = 1 << 20,
     .max = UINT64_C(1) << 36,
     .argument = "BYTES",
     .group = "Service",
     .help = "lines that wait to be written; more are dropped and counted"},

    {.name = "log-level",
     .kind = FLAG_CHOICE,
     .choices = choices_log_levels,
     AT(options.mux.log_level),
     .argument = "LEVEL",
     .group = "Process",
     .help = "error, warn, info or debug"},
    {.name = "shards",
     .kind = FLAG_UINT,
     AT(options.mux.shards_count),
     .max = FMX_SHARDS_MAX,
     .argument = "COUNT",
     .group = "Process",
     .help = "threads, each with its own ring; 0: one per processor"},
    {.name = "cpus",
     .kind = FLAG_TEXT,
     AT(options.mux.cpus),
     .argument = "LIST",
     .group = "Process",
     .help = "processors to use, as in 0-3,6; default: those allowed"},
    {.name = "pin",
     .kind = FLAG_BOOL,
     AT(options.mux.pin),
     .argument = "true|false",
     .group = "Process",
     .help = "keep each shard on its processor"},
    {.name = "sessions",
     .kind = FLAG_UINT,
     AT(options.mux.sessions_max),
     .max = 16000000,
     .argument = "COUNT",
     .group = "Process",
     .help = "sessions at a time; 0: what the descriptor limit gives; more than that adds shards"},
    {.name = "recv-buffers-count",
     .kind = FLAG_UINT,
     .power_of_two = true,
     AT(options.mux.recv_buffers_count),
     .min = 64,
     .max = 32768,
     .argument = "COUNT",
     .group = "Process",
     .help = "receive buffers of a shard at most, a power of two"},
    {.name = "recv-buffer-bytes",
     .kind = FLAG_UINT,
     AT(options.mux.recv_buffer_bytes),
     .min = 512,
     .max = 65536,
     .argument = "BYTES",
     .group = "Process",
     .help = "size of a receive buffer"},
    {.name = "shard-bytes-max",
     .kind = FLAG_UINT,
     AT(options.mux.shard_bytes_max),
     .min = 1048576,
     .max = UINT64_C(1) << 44,
     .argument = "BYTES",
     .group = "Process",
     .help = "bytes queued for all sessions of a shard"},

    {.name = "tls-workers",
     .kind = FLAG_UINT,
     AT(options.tls_limits.workers),
     .max = 64,
     .argument = "COUNT",
     .group = "Limits of TLS handshakes",
     .help = "threads that do handshakes; 0: shards do them, between their other work"},
    {.name = "tls-turn-budget-us",
     US,
     AT(options.tls_limits.turn_budget_us),
     .min = 50,
     .max = 100000,
     .argument = "US",
     .group = "Limits of TLS handshakes",
     .help = "without workers: time for handshakes in one turn of a shard"},
    {.name = "tls-handshakes-per-second",
     .kind = FLAG_UINT,
     AT(options.tls_limits.handshakes_per_second),
     .min = 1,
     .max = 1000000,
     .argument = "COUNT",
     .group = "Limits of TLS handshakes",
     .help = "of a shard, in full ECDSA handshakes; RSA counts more, resumed less; others wait"},
    {.name = "tls-unfinished-max",
     .kind = FLAG_UINT,
     AT(options.tls_limits.unfinished_max),
     .min = 1,
     .max = 1000000,
     .argument = "COUNT",
     .group = "Limits of TLS handshakes",
     .help = "handshakes of a shard that are not done; more are closed"},
    {.name = "tls-unfinished-per-address-max",
     .kind = FLAG_UINT,
     AT(options.tls_limits.unfinished_per_address_max),
     .max = 1000000,
     .argument = "COUNT",
     .group = "Limits of TLS handshakes",
     .help = "of them from one address; 0: no bound"},
    {.name = "tls-partial-record-timeout-ms",
     MS,
     AT(options.tls_limits.partial_record_timeout_ms),
     .min = 100,
     .max = 600000,
     .argument = "MS",
     .group = "Limits of TLS handshakes",
     .help = "a record that has begun and is not whole by then ends the connection"},

    {.name = "send-queue-bytes-max",
     .kind = FLAG_UINT,
     AT(options.mux.send_queue_bytes_max),
     .min = 1024,
     .max = UINT64_C(1) << 30,
     .argument = "BYTES",
     .group = "Limits of a session",
     .help = "bytes for a client that the kernel has not taken yet"},
    {.name = "packets-per-turn-max",
     .kind = FLAG_UINT,
     AT(options.mux.packets_per_turn_max),
     .min = 1,
     .max = 65536,
     .argument = "COUNT",
     .group = "Limits of a session",
     .help = "packets of one client before others have their turn"},
};

#define OWN_ROWS_COUNT   (sizeof(own_rows) / sizeof(own_rows[0]))
#define ROWS_COUNT       (OWN_ROWS_COUNT + GATEWAY_TLS_ROWS_COUNT + FMX_LIMITS_COUNT)
#define FIRST_BEHIND_TLS "tls-workers" /* of our own rows */
_Static_assert(ROWS_COUNT <= FLAG_ROWS_MAX, "the set of flags holds no more rows");
_Static_assert(sizeof(struct fmx_limits) == FMX_LIMITS_COUNT * sizeof(uint32_t),
               "limits follow one another");

static struct flag rows[ROWS_COUNT]; /* our own, between them those of TLS, those of limits */
static char limit_names[FMX_LIMITS_COUNT][LIMIT_NAME_BYTES];

static bool ends_with(const char *name, const char *end)
{
    size_t bytes = strlen(name), end_bytes = strlen(end);

    return bytes >= end_bytes && strcmp(name + bytes - end_bytes, end) == 0;
}

/* What a limit's name says about its unit. */
static void choose_kind(struct flag *row, enum fmx_limit limit)
{
    const char *name = fmx_limit_name(limit);

    if (limit == FMX_LIM_over_limit) {
        row->kind = FLAG_CHOICE;
        row->choices = over_limits;
        row->argument = "POLICY";
    } else if (ends_with(name, "_ms") || ends_with(name, "_s")) {
        row->kind = FLAG_TIME;
        row->plain_ns = ends_with(name, "_ms") ? NUMBER_NS_PER_MS : NUMBER_NS_PER_S;
        row->stored_ns = row->plain_ns;
        row->argument = ends_with(name, "_ms") ? "MS" : "SECONDS";
    } else {
        row->kind = FLAG_UINT;
        row->argument = ends_with(name, "_bytes_max") ? "BYTES" : "COUNT";
    }
}

static struct flag limit_row(enum fmx_limit limit)
{
    char *name = limit_names[limit];
    struct flag row = {
        .name = name,
        AT(options.limits),
        .group = "Limits of a session",
        .help = fmx_limit_words(limit),
    };
    uint32_t least = 0, most = 0;

    snprintf(name, LIMIT_NAME_BYTES, "%s", fmx_limit_name(limit));
    for (char *at = strchr(name, '_'); at != NULL; at = strchr(at, '_')) {
        *at = '-';
    }
    fmx_limit_range(limit, &least, &most, &row.may_be_none);
    row.offset += (size_t)limit * sizeof(uint32_t);
    row.width = sizeof(uint32_t);
    row.min = least;
    row.max = most;
    choose_kind(&row, limit);
    return row;
}

static struct flag tls_row(size_t index)
{
    struct flag row = gateway_tls_rows[index];

    row.offset += offsetof(struct gateway_settings, tls);
    return row;
}

static void make_rows(void)
{
    size_t used = 0;

    for (size_t index = 0; index < OWN_ROWS_COUNT; index++) {
        bool is_behind_tls = strcmp(own_rows[index].name, FIRST_BEHIND_TLS) == 0;
        for (size_t tls = 0; is_behind_tls && tls < GATEWAY_TLS_ROWS_COUNT; tls++) {
            rows[used++] = tls_row(tls);
        }
        rows[used++] = own_rows[index];
    }
    for (unsigned limit = 0; limit < FMX_LIMITS_COUNT; limit++) {
        rows[used++] = limit_row((enum fmx_limit)limit);
    }
}

void gateway_flags_init(struct gateway_settings *settings, enum fmx_profile profile,
                        struct flag_set *set)
{
    make_rows();
    memset(settings, 0, sizeof(*settings));
    fmx_gateway_options_init(&settings->options, profile);
    fmx_tls_limits_init(&settings->options.tls_limits);
    gateway_tls_init(&settings->tls);
    settings->drain_ms = 5000;
    settings->control = CONTROL_PATH_AUTO;
    settings->events_queue_bytes = 64 << 20;
    settings->listen.items[settings->listen.count++] = LISTEN_DEFAULT;
    flags_init(set, rows, ROWS_COUNT, 0, settings);
}

/* All sources once, over the defaults of a profile. */
static bool read_once(struct gateway_settings *settings, enum fmx_profile profile, const char *path,
                      int argc, char *const *argv, struct flag_set *set, struct config **out_config)
{
    gateway_flags_init(settings, profile, set);
    config_close(*out_config);
    *out_config = NULL;
    if (path != NULL) {
        *out_config = config_open(path, set);
        if (*out_config == NULL) {
            return false;
        }
    }
    return flags_parse(set, argc, argv);
}

bool gateway_flags_read(struct gateway_settings *settings, int argc, char *const *argv,
                        struct flag_set *set, struct config **out_config)
{
    *out_config = NULL;
    if (!read_once(settings, FMX_PROFILE_OPEN, NULL, argc, argv, set, out_config)) {
        return false;
    }
    const char *path = settings->wants_help ? NULL : settings->config;
    enum fmx_profile profile = settings->options.profile;
    if (!read_once(settings, profile, path, argc, argv, set, out_config)) {
        return false;
    }
    if (settings->options.profile != profile && /* the file names another */
        !read_once(settings, settings->options.profile, path, argc, argv, set, out_config)) {
        return false;
    }
    if (!gateway_listen_make(&settings->listen, &settings->tls, &settings->listeners, set->error)) {
        return false;
    }
    settings->options.listen = settings->listeners.addresses;
    settings->options.listen_count = settings->listeners.count;
    settings->options.tls = settings->listeners.servers;
    settings->options.tls_count = settings->listeners.servers_count;
    return true;
}

void gateway_flags_wipe(struct gateway_settings *settings)
{
    gateway_listen_wipe(&settings->listeners);
}
