/*
 * gateway — the verb that accepts MQTT clients
 *
 * Why it is so:   the library serves; the verb only puts things in order: what can fail for a
 *                 reason of its own (socket, file) is opened before the gateway, and what uses the
 *                 gateway is ended before it.
 * States:         starting → listening (one line on standard output) → draining → ended; the
 *                 first SIGTERM or SIGINT drains, a second one ends at once; SIGHUP opens the
 *                 events' file again, takes over the limits of the configuration file, and has the
 *                 files of TLS read again
 * Threads:        the main thread waits; the library's shards do the work; control.c and events.c
 *                 have a thread each
 * Not here:       the settings: gateway_flags.c; ctl: control.c; events: events.c
 */
#include "tools/fleetmux/control.h"
#include "tools/fleetmux/events.h"
#include "tools/fleetmux/gateway_flags.h"
#include "tools/fleetmux/gateway_limits.h"
#include "tools/fleetmux/gateway_tls.h"
#include "tools/fleetmux/help.h"
#include "tools/fleetmux/process.h"
#include "tools/fleetmux/signals.h"
#include "tools/fleetmux/verbs.h"
#include "tools/fleetmux/words.h"

#include <fleetmux/fleetmux.h>

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define LIMITS_TRIES   200
#define LIMITS_WAIT_NS 10000000

/* Lists point into themselves: settings stay where they are. */
static struct gateway_settings settings;
static struct gateway_settings settings_again; /* read at SIGHUP */

/* All that runs. */
struct service {
    int argc;
    char *const *argv;
    struct control_socket socket; /* fd −1: none */
    struct control *control;
    struct events *events;
    struct fmx_gateway *gateway;
    struct gateway_reload reload;
    struct gateway_limits limits;
    struct fmx_limits limits_read; /* when the sources were last read */
};

static void print_help(enum fmx_profile profile, FILE *out)
{
    struct flag_set set;

    gateway_flags_init(&settings, profile, &set);
    fprintf(out, "usage: fleetmux gateway [OPTIONS]\n\n"
                 "Accepts MQTT 3.1, 3.1.1 and 5.0 clients and carries their messages. Prints one\n"
                 "line 'listening ADDR:PORT shards N' when it accepts; logs to standard error.\n"
                 "SIGTERM or SIGINT drains it; a second one ends it at once. SIGHUP opens the\n"
                 "file of --events again, takes over changed limits of the file of --config, and\n"
                 "reads certificates, keys, PSKs and ticket keys again.\n\n"
                 "Each option but those under General is also a key of the file, with _ for -.\n"
                 "Numbers take k, M, G or Ki, Mi, Gi; times take ms, s, m, h.\n");
    help_print_rows(&set, out);
}

void gateway_help(FILE *out)
{
    print_help(FMX_PROFILE_OPEN, out);
}

/* Telling ------------------------------------------------------------------------------------- */

/* "127.0.0.1:1883" with the port that it really is, and, if there is TLS, what it takes. */
static void print_listener(FILE *out, const struct fmx_gateway *gateway, size_t index)
{
    struct gateway_listener listener = gateway_tls_listener(&settings.options, index);
    const char *address = (const char *)listener.address.data;
    size_t bytes = listener.address.bytes;

    while (bytes > 0 && address[bytes - 1] != ':') {
        bytes--;
    }
    bytes -= bytes > 0;
    fprintf(out, "%.*s:%u", bytes > 0 ? (int)bytes : 1, bytes > 0 ? address : "*",
            (unsigned)fmx_gateway_port(gateway, index));
    if (settings.options.tls_count > 0) {
        fprintf(out, " %s", gateway_tls_takes(&listener));
    }
}

/* On standard output, unless that is where the events go. */
static void print_listening(const struct fmx_gateway *gateway)
{
    bool is_taken = settings.events != NULL && strcmp(settings.events, "-") == 0;
    FILE *out = is_taken ? stderr : stdout;

    fprintf(out, "listening ");
    for (size_t index = 0; index < settings.options.listen_count; index++) {
        fprintf(out, "%s", index > 0 ? ", " : "");
        print_listener(out, gateway, index);
    }
    fprintf(out, " shards %" PRIu32 "\n", fmx_gateway_shards_count(gateway));
    fflush(out);
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
            " queued %s calls +%" PRIu64 " rss %s",
            now.sessions_now, now.parked_now, now.subscriptions_now,
            now.sessions_opened - last->sessions_opened, in, out,
            now.dropped_qos0 + now.dropped_qos1 + now.dropped_too_large + now.dropped_expired,
            words_bytes(now.queued_bytes_now).text, now.enters - last->enters,
            words_bytes(process_rss_bytes()).text);
    if (settings.options.tls_count > 0) {
        fprintf(stderr,
                " tls %" PRIu64 " unfinished %" PRIu64 " full +%" PRIu64 " resumed +%" PRIu64
                " failed +%" PRIu64,
                now.tls_now, now.tls_unfinished_now, now.tls_full - last->tls_full,
                now.tls_resumed - last->tls_resumed,
                now.tls_failed + now.tls_timeout + now.tls_shed -
                    (last->tls_failed + last->tls_timeout + last->tls_shed));
    }
    fprintf(stderr, "\n");
    *last = now;
}

static int could_not(const char *what, enum fmx_status status, const char *error)
{
    fprintf(stderr, "fleetmux gateway: cannot %s: %s\n", what,
            error[0] != '\0' ? error : fmx_status_text(status));
    return status == FMX_E_OPTION ? EXIT_USAGE : EXIT_NO_START;
}

/* SIGHUP -------------------------------------------------------------------------------------- */

/* Limits that the sources now say differently than before; what ctl has set stays otherwise. */
static enum fmx_status apply_limits(struct service *service, char *error, size_t error_bytes)
{
    struct fmx_gateway_caller *caller = NULL;
    struct fmx_limits_override changed;
    enum fmx_status status = FMX_OK;

    gateway_limits_diff(&service->limits_read, &settings_again.options.limits, &changed);
    if (changed.which == 0) {
        return FMX_OK;
    }
    status = fmx_gateway_caller_open(service->gateway, &caller);
    if (status != FMX_OK) {
        return status;
    }
    for (int tries = 0; tries < LIMITS_TRIES; tries++) {
        status = gateway_limits_set(&service->limits, caller, &changed, error, error_bytes);
        if (status != FMX_FULL) {
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = LIMITS_WAIT_NS}, NULL);
    }
    fmx_gateway_caller_close(caller);
    if (status == FMX_OK) {
        service->limits_read = settings_again.options.limits;
    }
    return status;
}

static void reload_limits(struct service *service)
{
    struct flag_set set;
    struct config *config = NULL;
    char error[FLAG_ERROR_BYTES] = "";

    if (!gateway_flags_read(&settings_again, service->argc, service->argv, &set, &config)) {
        fprintf(stderr, "fleetmux gateway: the limits stay as they are: %s\n", set.error);
    } else {
        enum fmx_status status = apply_limits(service, error, sizeof(error));
        if (status != FMX_OK) {
            fprintf(stderr, "fleetmux gateway: the limits stay as they are: %s\n",
                    error[0] != '\0' ? error : fmx_status_text(status));
        }
    }
    gateway_flags_wipe(&settings_again);
    config_close(config);
}

/* The library says so if it went well. */
static void reload_files(struct service *service)
{
    char error[FLAG_ERROR_BYTES] = "";

    if (settings.options.tls_count > 0 &&
        gateway_reload_files(&service->reload, error, sizeof(error)) != FMX_OK) {
        fprintf(stderr, "fleetmux gateway: TLS: %s\n", error);
    }
}

static void reload(struct service *service)
{
    if (service->events != NULL) {
        events_reopen(service->events);
    }
    reload_limits(service);
    reload_files(service);
}

static void wait_for_end(struct service *service)
{
    struct fmx_stats last = {0};
    uint64_t every_ns = settings.stats_every_ns > 0 ? settings.stats_every_ns : UINT64_MAX;

    for (;;) {
        int signo = signals_wait(every_ns);
        if (signo == SIGHUP) {
            reload(service);
        } else if (signo != 0) {
            return;
        } else if (every_ns != UINT64_MAX) {
            print_stats(service->gateway, &last);
        }
    }
}

/* From start to end --------------------------------------------------------------------------- */

/* False: there must be a control socket, and there is none. */
static bool open_socket(struct service *service, char *error)
{
    bool is_auto = strcmp(settings.control, CONTROL_PATH_AUTO) == 0;

    if (strcmp(settings.control, CONTROL_PATH_NONE) == 0 ||
        control_listen(is_auto ? control_default_path() : settings.control, &service->socket,
                       error)) {
        return true;
    }
    if (is_auto) {
        fprintf(stderr, "fleetmux gateway: going on without a control socket: %s\n", error);
    }
    return is_auto;
}

/* Control socket, events, gateway; the exit status if that fails. */
static int start(struct service *service)
{
    char error[FLAG_ERROR_BYTES] = "";
    enum fmx_status status = FMX_OK;

    if (!open_socket(service, error)) {
        return could_not("open the control socket", FMX_SYS_SOCKET, error);
    }
    if (settings.events != NULL) {
        service->events =
            events_open(settings.events, settings.events_queue_bytes, error, sizeof(error));
        if (service->events == NULL) {
            return could_not("write events", FMX_SYS_FILE, error);
        }
        events_listen(service->events, &settings.options);
    }
    error[0] = '\0';
    status = fmx_gateway_open(&settings.options, &service->gateway, error, sizeof(error));
    if (status != FMX_OK) {
        return could_not("open the gateway", status, error);
    }
    status = fmx_gateway_start(service->gateway, error, sizeof(error));
    if (status != FMX_OK) {
        return could_not("start", status, error);
    }
    service->reload.gateway = service->gateway;
    return EXIT_PASS;
}

static bool start_control(struct service *service)
{
    struct control_setup setup = {
        .socket = &service->socket,
        .gateway = service->gateway,
        .options = &settings.options,
        .limits = &service->limits,
        .reload = &service->reload,
        .events = service->events,
    };
    char error[FLAG_ERROR_BYTES] = "";

    if (service->socket.fd >= 0) {
        service->control = control_start(&setup, error);
        if (service->control == NULL) {
            fprintf(stderr, "fleetmux gateway: %s\n", error);
        }
    }
    return service->socket.fd < 0 || service->control != NULL;
}

static void drain(struct service *service)
{
    signals_release(EXIT_ABORTED);
    if (service->control != NULL) {
        control_quiet(service->control);
        control_unlisten(&service->socket);
    }
    fmx_gateway_stop(service->gateway, settings.drain_ms);
    if (service->control != NULL) {
        control_close(service->control);
    }
}

static int run(int argc, char *const *argv)
{
    struct service service = {.argc = argc, .argv = argv, .socket = {.fd = -1}};

    signals_hold();
    signals_hear(SIGHUP);
    gateway_limits_init(&service.limits, &settings.options.limits);
    gateway_reload_init(&service.reload);
    service.limits_read = settings.options.limits;
    int result = start(&service);
    if (result == EXIT_PASS) {
        if (start_control(&service)) {
            print_listening(service.gateway);
            wait_for_end(&service);
        } else {
            result = EXIT_NO_START;
        }
        drain(&service);
    }
    if (service.gateway != NULL) {
        fmx_gateway_close(service.gateway);
    }
    events_close(service.events);
    control_unlisten(&service.socket);
    gateway_reload_wipe(&service.reload);
    gateway_limits_wipe(&service.limits);
    return result;
}

int verb_gateway(int argc, char **argv)
{
    struct flag_set set;
    struct config *config = NULL;
    int result = EXIT_PASS;

    if (!gateway_flags_read(&settings, argc, argv, &set, &config)) {
        result = usage_error("gateway", set.error);
    } else if (settings.wants_help) {
        print_help(settings.options.profile, stdout);
    } else if (settings.wants_config_printed) {
        result = config_print(&set, stdout) ? EXIT_PASS : usage_error("gateway", set.error);
    } else {
        result = run(argc, argv);
    }
    gateway_flags_wipe(&settings);
    config_close(config);
    return result;
}
