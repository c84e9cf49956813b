/*
 * gateway — the verb that accepts MQTT clients
 *
 * Why it is so:   settings come from three places, in this order: the library's defaults, the file
 *                 of --config, the command line. The command line is read twice: first to learn
 *                 about --config and to refuse nonsense early, then on top of the file.
 * States:         starting → listening (one line on standard output) → draining → ended; the
 *                 first SIGTERM or SIGINT drains, a second one ends at once
 * Threads:        the main thread waits; the library's shards do the work
 * Limits:         every limit of struct fmx_gateway_options has its option and its key
 * Not here:       how values are read: flags.c; files: config.c
 */
#include "tools/fleetmux/config.h"
#include "tools/fleetmux/flags.h"
#include "tools/fleetmux/help.h"
#include "tools/fleetmux/number.h"
#include "tools/fleetmux/process.h"
#include "tools/fleetmux/signals.h"
#include "tools/fleetmux/verbs.h"
#include "tools/fleetmux/words.h"

#include <fleetmux/fleetmux.h>

#include <inttypes.h>
#include <string.h>

#define LISTEN_MAX     16
#define LISTEN_DEFAULT "127.0.0.1:1883"

struct gateway_settings {
    struct fmx_gateway_options options;
    struct flag_list listen;
    uint32_t drain_ms;
    uint64_t stats_every_ns;
    const char *config;
    bool wants_config_printed;
    bool wants_help;
};

/* Lists point into themselves and the help shows defaults: one place for both. */
static struct gateway_settings settings;

static const struct flag_choice profiles[] = {
    {"open", FMX_PROFILE_OPEN}, {"platform", FMX_PROFILE_PLATFORM}, {NULL, 0}};

static const struct flag_choice log_levels[] = {{"error", FMX_LOG_ERROR},
                                                {"warn", FMX_LOG_WARN},
                                                {"info", FMX_LOG_INFO},
                                                {"debug", FMX_LOG_DEBUG},
                                                {NULL, 0}};

#define AT(member) FLAG_AT(struct gateway_settings, member)
#define MS         .kind = FLAG_TIME, .plain_ns = NUMBER_NS_PER_MS, .stored_ns = NUMBER_NS_PER_MS
#define SECONDS    .kind = FLAG_TIME, .plain_ns = NUMBER_NS_PER_S, .stored_ns = NUMBER_NS_PER_S

static const struct flag rows[] = {
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
     .help = "print this text"},

    {.name = "listen",
     .kind = FLAG_LIST,
     .has_commas = true,
     AT(listen),
     .max = LISTEN_MAX,
     .argument = "ADDR:PORT",
     .group = "Clients",
     .help =
         "accept here; repeat it for more addresses; \":1883\" is every address, IPv6 stands in "
         "brackets, port 0 is any"},
    {.name = "profile",
     .kind = FLAG_CHOICE,
     .choices = profiles,
     AT(options.profile),
     .argument = "NAME",
     .group = "Clients",
     .help = "open: plain MQTT for anybody's clients; platform: signed devices"},
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
    {.name = "keepalive-min-s",
     SECONDS,
     AT(options.keepalive_min_s),
     .max = 65535,
     .argument = "SECONDS",
     .group = "Clients",
     .help = "shortest keep-alive; 0: any"},
    {.name = "keepalive-max-s",
     SECONDS,
     AT(options.keepalive_max_s),
     .max = 65535,
     .argument = "SECONDS",
     .group = "Clients",
     .help = "longest keep-alive; 0: any, also none"},
    {.name = "session-expiry-max-s",
     SECONDS,
     AT(options.session_expiry_max_s),
     .max = UINT32_MAX,
     .argument = "SECONDS",
     .group = "Clients",
     .help = "a persistent session is forgotten so long after its client left; 4294967295: never"},
    {.name = "drain-ms",
     MS,
     AT(drain_ms),
     .max = 600000,
     .argument = "MS",
     .group = "Clients",
     .help = "at the end, wait so long for queues to empty"},

    {.name = "packet-bytes-max",
     .kind = FLAG_UINT,
     AT(options.packet_bytes_max),
     .min = 16,
     .max = 268435460,
     .argument = "BYTES",
     .group = "Limits of a session",
     .help = "largest packet taken"},
    {.name = "inflight-max",
     .kind = FLAG_UINT,
     AT(options.inflight_max),
     .min = 1,
     .max = 32768,
     .argument = "COUNT",
     .group = "Limits of a session",
     .help = "QoS 1 messages sent to a client and not yet acknowledged"},
    {.name = "receive-max",
     .kind = FLAG_UINT,
     AT(options.receive_max),
     .min = 1,
     .max = 65535,
     .argument = "COUNT",
     .group = "Limits of a session",
     .help = "QoS 1 messages taken from a client and not yet acknowledged"},
    {.name = "topic-alias-max",
     .kind = FLAG_UINT,
     AT(options.topic_alias_max),
     .max = 65535,
     .argument = "COUNT",
     .group = "Limits of a session",
     .help = "topic aliases of a client"},
    {.name = "topic-bytes-max",
     .kind = FLAG_UINT,
     AT(options.topic_bytes_max),
     .min = 1,
     .max = 65535,
     .argument = "BYTES",
     .group = "Limits of a session",
     .help = "longest topic name or filter"},
    {.name = "topic-levels-max",
     .kind = FLAG_UINT,
     AT(options.topic_levels_max),
     .min = 1,
     .max = 128,
     .argument = "COUNT",
     .group = "Limits of a session",
     .help = "most levels of a topic name or filter"},
    {.name = "user-properties-max",
     .kind = FLAG_UINT,
     AT(options.user_properties_max),
     .max = 1048576,
     .argument = "COUNT",
     .group = "Limits of a session",
     .help = "user properties in one packet"},
    {.name = "subscriptions-max",
     .kind = FLAG_UINT,
     AT(options.subscriptions_max),
     .min = 1,
     .max = 1000000,
     .argument = "COUNT",
     .group = "Limits of a session",
     .help = "subscriptions of one client"},
    {.name = "queue-messages-max",
     .kind = FLAG_UINT,
     AT(options.queue_messages_max),
     .min = 1,
     .max = 100000000,
     .argument = "COUNT",
     .group = "Limits of a session",
     .help = "QoS 1 messages that wait for a client, there or absent"},
    {.name = "queue-bytes-max",
     .kind = FLAG_UINT,
     AT(options.queue_bytes_max),
     .min = 1024,
     .max = UINT64_C(1) << 40,
     .argument = "BYTES",
     .group = "Limits of a session",
     .help = "the bytes of these messages"},
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
    {.name = "publisher-qos-decides",
     .kind = FLAG_SWITCH,
     AT(options.publisher_qos_decides),
     .group = "Limits of a session",
     .help = "deliver at the publisher's QoS, not at the lower of its and the subscriber's"},
    {.name = "retain-is-refused",
     .kind = FLAG_BOOL,
     AT(options.retain_is_refused),
     .argument = "true|false",
     .group = "Limits of a session",
     .help = "MQTT 5.0: answer RETAIN with 0x9A; false: clear it, as always before 5.0"},

    {.name = "log-level",
     .kind = FLAG_CHOICE,
     .choices = log_levels,
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
     .help = "receive buffers of a shard, a power of two"},
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
};

#define ROWS_COUNT (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS_COUNT <= FLAG_ROWS_MAX, "the set of flags holds no more rows");

static void init_settings(void)
{
    memset(&settings, 0, sizeof(settings));
    fmx_gateway_options_init(&settings.options);
    settings.drain_ms = 5000;
    settings.listen.items[settings.listen.count++] = LISTEN_DEFAULT;
}

void gateway_help(FILE *out)
{
    struct flag_set set;

    init_settings();
    flags_init(&set, rows, ROWS_COUNT, 0, &settings);
    fprintf(out, "usage: fleetmux gateway [OPTIONS]\n\n"
                 "Accepts MQTT 3.1, 3.1.1 and 5.0 clients and carries their messages. Prints one\n"
                 "line 'listening ADDR:PORT shards N' when it accepts; logs to standard error.\n"
                 "SIGTERM or SIGINT drains it; a second one ends it at once.\n\n"
                 "Each option but those under General is also a key of the file, with _ for -.\n"
                 "Numbers take k, M, G or Ki, Mi, Gi; times take ms, s, m, h.\n");
    help_print_rows(&set, out);
}

/* Defaults, file, command line. False: set->error. The file's texts live in *out_config. */
static bool read_settings(struct flag_set *set, int argc, char **argv, struct config **out_config)
{
    init_settings();
    flags_init(set, rows, ROWS_COUNT, 0, &settings);
    if (!flags_parse(set, argc, argv)) {
        return false;
    }
    const char *path = settings.config;
    if (path != NULL && !settings.wants_help) {
        init_settings();
        *out_config = config_open(path, set);
        if (*out_config == NULL || !flags_parse(set, argc, argv)) {
            return false;
        }
    }
    settings.options.listen = settings.listen.items;
    settings.options.listen_count = settings.listen.count;
    return true;
}

/* "127.0.0.1:1883" with the port that it really is. */
static void print_address(const char *listen, uint16_t port)
{
    const char *colon = strrchr(listen, ':');
    int bytes = colon == NULL ? (int)strlen(listen) : (int)(colon - listen);

    printf("%.*s:%u", bytes > 0 ? bytes : 1, bytes > 0 ? listen : "*", (unsigned)port);
}

static void print_listening(const struct fmx_gateway *gateway)
{
    printf("listening ");
    for (size_t index = 0; index < settings.listen.count; index++) {
        printf("%s", index > 0 ? ", " : "");
        print_address(settings.listen.items[index], fmx_gateway_port(gateway, index));
    }
    printf(" shards %" PRIu32 "\n", fmx_gateway_shards_count(gateway));
    fflush(stdout);
}

/* One line: what there is now, and what went through since the line before. */
static void print_stats(const struct fmx_gateway *gateway, struct fmx_stats *last)
{
    struct fmx_stats now;
    uint64_t in = 0, out = 0;

    fmx_gateway_stats(gateway, &now);
    in = now.publishes_in_qos0 + now.publishes_in_qos1;
    in -= last->publishes_in_qos0 + last->publishes_in_qos1;
    out = now.publishes_out_qos0 + now.publishes_out_qos1;
    out -= last->publishes_out_qos0 + last->publishes_out_qos1;
    fprintf(stderr,
            "stats: sessions %" PRIu64 " parked %" PRIu64 " subscriptions %" PRIu64
            " opened +%" PRIu64 " in +%" PRIu64 " out +%" PRIu64 " dropped %" PRIu64
            " queued %s calls +%" PRIu64 " rss %s\n",
            now.sessions_now, now.parked_now, now.subscriptions_now,
            now.sessions_opened - last->sessions_opened, in, out,
            now.dropped_qos0 + now.dropped_qos1 + now.dropped_too_large + now.dropped_expired,
            words_bytes(now.queued_bytes_now).text, now.enters - last->enters,
            words_bytes(process_rss_bytes()).text);
    *last = now;
}

static void wait_for_end(const struct fmx_gateway *gateway)
{
    struct fmx_stats last = {0};
    uint64_t every_ns = settings.stats_every_ns > 0 ? settings.stats_every_ns : UINT64_MAX;

    while (signals_wait(every_ns) == 0) {
        if (every_ns != UINT64_MAX) {
            print_stats(gateway, &last);
        }
    }
}

static int could_not(const char *what, enum fmx_status status, const char *error)
{
    fprintf(stderr, "fleetmux gateway: cannot %s: %s\n", what,
            error[0] != '\0' ? error : fmx_status_text(status));
    return status == FMX_E_OPTION ? EXIT_USAGE : EXIT_NO_START;
}

static int run(void)
{
    struct fmx_gateway *gateway = NULL;
    char error[FLAG_ERROR_BYTES] = "";
    enum fmx_status status = FMX_OK;

    signals_hold();
    status = fmx_gateway_open(&settings.options, &gateway, error, sizeof(error));
    if (status != FMX_OK) {
        return could_not("open the gateway", status, error);
    }
    status = fmx_gateway_start(gateway, error, sizeof(error));
    if (status != FMX_OK) {
        fmx_gateway_close(gateway);
        return could_not("start", status, error);
    }
    print_listening(gateway);
    wait_for_end(gateway);
    signals_release(EXIT_ABORTED);
    fmx_gateway_stop(gateway, settings.drain_ms);
    fmx_gateway_close(gateway);
    return EXIT_PASS;
}

int verb_gateway(int argc, char **argv)
{
    struct flag_set set;
    struct config *config = NULL;
    int result = EXIT_PASS;

    if (!read_settings(&set, argc, argv, &config)) {
        result = usage_error("gateway", set.error);
    } else if (settings.wants_help) {
        gateway_help(stdout);
    } else if (settings.wants_config_printed) {
        result = config_print(&set, stdout) ? EXIT_PASS : usage_error("gateway", set.error);
    } else {
        result = run();
    }
    config_close(config);
    return result;
}
