/*
 * ctl — the verb that talks to a running gateway
 *
 * Why it is so:   what ctl knows is the socket and how to print; the gateway checks what it is
 *                 asked, so that scripts on the socket and people at the shell hear the same words.
 * Threads:        one
 * Not here:       requests: ctl_ask.c; the socket: ctl_client.c; printing: ctl_show.c; the other
 *                 end: control.c
 */
#include "tools/fleetmux/ctl.h"

#include "tools/fleetmux/control.h"
#include "tools/fleetmux/help.h"
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/number.h"

#include <json-c/json.h>

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define BIT(verb)  (1U << CONTROL_##verb)
#define AT(member) FLAG_AT(struct ctl_settings, member)

static const struct command {
    const char *arguments;
    size_t operands_least, operands_most;
    const char *help;
} commands[CONTROL_VERBS_COUNT] = {
    [CONTROL_STATUS] = {"", 0, 0, "what runs, since when, and how much there is of it"},
    [CONTROL_STATS] = {"", 0, 0, "all counters, or what they do each second"},
    [CONTROL_DEVICES] = {"", 0, 0, "the sessions that are open"},
    [CONTROL_QUERY] = {"PK/DN", 1, 1, "whether a device is there, and what waits for it"},
    [CONTROL_PUBLISH] = {"[PK/DN] --topic T < PAYLOAD", 0, 1,
                         "send a message to a device, or to all that subscribed to the topic"},
    [CONTROL_BROADCAST] = {"PK < PAYLOAD", 1, 1, "send a message to every device of a product"},
    [CONTROL_CALL] = {"PK/DN < PAYLOAD", 1, 1, "call a device and print its answer"},
    [CONTROL_KICK] = {"PK/DN | SESSION", 1, 1, "end a session"},
    [CONTROL_LIMITS] = {"[PK] [NAME=VALUE...]", 0, CTL_OPERANDS_MAX,
                        "show limits, or change them while the gateway runs"},
    [CONTROL_RELOAD] = {"", 0, 0, "read certificates, keys, PSKs and ticket keys again"},
};

static const struct flag rows[] = {
    {.name = "control",
     .kind = FLAG_TEXT,
     AT(control),
     .argument = "PATH",
     .group = "All",
     .help = "the gateway's socket, as its --control says; auto: the first of the usual places "
             "where one answers"},
    {.name = "json",
     .kind = FLAG_SWITCH,
     AT(wants_json),
     .group = "All",
     .help = "print the answer as JSON, one object a line"},
    {.name = "help",
     .kind = FLAG_SWITCH,
     AT(wants_help),
     .group = "All",
     .help = "print this text"},
    {.name = "watch",
     .kind = FLAG_TIME,
     .verbs = BIT(STATS),
     AT(watch_ns),
     .min = 100 * NUMBER_NS_PER_MS,
     .max = UINT64_C(86400) * NUMBER_NS_PER_S,
     .plain_ns = NUMBER_NS_PER_S,
     .stored_ns = 1,
     .argument = "SECONDS",
     .group = "stats",
     .help = "print a line that often, until it is interrupted"},
    {.name = "topic",
     .kind = FLAG_TEXT,
     .verbs = BIT(PUBLISH) | BIT(CALL),
     AT(topic),
     .argument = "TOPIC",
     .group = "publish, call",
     .help = "where to; a call without it takes the system's topic"},
    {.name = "timeout",
     .kind = FLAG_TIME,
     .verbs = BIT(CALL),
     AT(timeout_ms),
     .min = 1,
     .max = CONTROL_TIMEOUT_MS_LAST,
     .plain_ns = NUMBER_NS_PER_S,
     .stored_ns = NUMBER_NS_PER_MS,
     .argument = "SECONDS",
     .group = "call",
     .help = "how long the device has for its answer; the gateway's limits bound it"},
    {.name = "qos",
     .letter = 'q',
     .kind = FLAG_UINT,
     .verbs = BIT(PUBLISH),
     AT(qos),
     .max = 1,
     .argument = "0|1",
     .group = "publish",
     .help = "at 1 ctl waits until the device has acknowledged, or the gateway has stored it"},
    {.name = "property",
     .kind = FLAG_LIST,
     .verbs = BIT(PUBLISH),
     AT(properties),
     .max = FLAG_ITEMS_MAX,
     .argument = "KEY=VALUE",
     .group = "publish",
     .help = "a user property; repeat it for more"},
    {.name = "response-topic",
     .kind = FLAG_TEXT,
     .verbs = BIT(PUBLISH),
     AT(response_topic),
     .argument = "TOPIC",
     .group = "publish",
     .help = "where an answer is to go"},
    {.name = "correlation",
     .kind = FLAG_TEXT,
     .verbs = BIT(PUBLISH),
     AT(correlation),
     .argument = "TEXT",
     .group = "publish",
     .help = "what the answer is to bear"},
    {.name = "content-type",
     .kind = FLAG_TEXT,
     .verbs = BIT(PUBLISH),
     AT(content_type),
     .argument = "TEXT",
     .group = "publish",
     .help = "what the payload is"},
    {.name = "text",
     .kind = FLAG_SWITCH,
     .verbs = BIT(PUBLISH),
     AT(is_text),
     .group = "publish",
     .help = "the payload is UTF-8 (Payload Format Indicator)"},
    {.name = "expiry",
     .kind = FLAG_TIME,
     .verbs = BIT(PUBLISH),
     AT(expiry_s),
     .min = 1,
     .max = UINT32_MAX,
     .plain_ns = NUMBER_NS_PER_S,
     .stored_ns = NUMBER_NS_PER_S,
     .argument = "SECONDS",
     .group = "publish",
     .help = "a message that waits longer is dropped"},
};

#define ROWS_COUNT (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS_COUNT <= FLAG_ROWS_MAX, "the set of flags holds no more rows");

static struct ctl_settings settings; /* lists point into themselves */

static void init_settings(struct flag_set *set, uint32_t verbs)
{
    memset(&settings, 0, sizeof(settings));
    settings.control = CONTROL_PATH_AUTO;
    settings.timeout_ms = CONTROL_TIMEOUT_MS;
    flags_init(set, rows, ROWS_COUNT, verbs, &settings);
    set->operands = settings.operands;
    set->operands_max = CTL_OPERANDS_MAX;
}

static bool find_command(const char *name, enum control_verb *out_verb)
{
    for (unsigned verb = 0; verb < CONTROL_VERBS_COUNT; verb++) {
        if (strcmp(control_verb_name((enum control_verb)verb), name) == 0) {
            *out_verb = (enum control_verb)verb;
            return true;
        }
    }
    return false;
}

static void print_commands(FILE *out)
{
    char synopsis[80];

    fprintf(out, "usage: fleetmux ctl COMMAND [OPTIONS]\n\n"
                 "Talks to a running gateway over its control socket. PK/DN is a device, by\n"
                 "product key and device name.\n\n");
    for (unsigned verb = 0; verb < CONTROL_VERBS_COUNT; verb++) {
        snprintf(synopsis, sizeof(synopsis), "%s %s", control_verb_name((enum control_verb)verb),
                 commands[verb].arguments);
        fprintf(out, "  %-36s ", synopsis);
        help_print_wrapped(out, commands[verb].help, 39, 39);
    }
}

/* `name` is a command; NULL, or no command: all of them. */
void ctl_help(FILE *out, const char *name)
{
    enum control_verb verb = CONTROL_STATUS;
    struct flag_set set;

    if (name != NULL && find_command(name, &verb)) {
        init_settings(&set, 1U << verb);
        fprintf(out, "usage: fleetmux ctl %s %s [OPTIONS]\n\n%s\n", name, commands[verb].arguments,
                commands[verb].help);
    } else {
        init_settings(&set, UINT32_MAX);
        print_commands(out);
    }
    fprintf(out, "\nExit status: 0 done; 1 usage; 6 not done: the call's code is not SUCCESS, the\n"
                 "message was not delivered, nobody was there; 7 no gateway answers.\n");
    help_print_rows(&set, out);
}

/* Where the command stands; options before it are those that all have. */
static const char *command_of(int argc, char *const *argv)
{
    for (int index = 0; index < argc; index++) {
        if (strcmp(argv[index], "--control") == 0) {
            index++;
        } else if (argv[index][0] != '-') {
            return argv[index];
        }
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    struct nearest nearest = {.word = name};
    char words[FLAG_ERROR_BYTES];

    for (unsigned verb = 0; verb < CONTROL_VERBS_COUNT; verb++) {
        nearest_consider(&nearest, control_verb_name((enum control_verb)verb));
    }
    snprintf(words, sizeof(words), "unknown command '%.100s'%s%s%s", name,
             nearest.best != NULL ? "; did you mean '" : "",
             nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
    return usage_error("ctl", words);
}

/* Asking -------------------------------------------------------------------------------------- */

static int no_gateway(const char *error)
{
    fprintf(stderr, "fleetmux ctl: %s\n", error);
    return EXIT_NO_GATEWAY;
}

static bool is_ok(json_object *answer)
{
    json_object *ok = NULL;

    return json_object_object_get_ex(answer, "ok", &ok) && json_object_get_boolean(ok);
}

/* Page after page. */
static int list_sessions(struct ctl_client *client, json_object *ask, char *error)
{
    json_object *answer = NULL, *next = NULL;
    bool is_first = true, has_more = true;
    int result = EXIT_PASS;

    while (has_more && result == EXIT_PASS) {
        answer = ctl_client_ask(client, ask, error);
        if (answer == NULL) {
            return no_gateway(error);
        }
        if (is_ok(answer)) {
            ctl_show_page(&settings, answer, is_first);
        } else {
            result = ctl_show(&settings, answer);
        }
        is_first = false;
        has_more = json_object_object_get_ex(answer, "next", &next);
        json_object_object_add(ask, "cursor", json_object_get(next));
        json_object_put(answer);
    }
    return result;
}

static int watch_stats(struct ctl_client *client, json_object *ask, char *error)
{
    struct timespec pause = {.tv_sec = (time_t)(settings.watch_ns / NUMBER_NS_PER_S),
                             .tv_nsec = (long)(settings.watch_ns % NUMBER_NS_PER_S)};
    json_object *before = NULL;

    for (unsigned line = 0;; line++) {
        json_object *now = ctl_client_ask(client, ask, error);
        if (now == NULL) {
            json_object_put(before);
            return no_gateway(error);
        }
        if (settings.wants_json) {
            (void)ctl_show(&settings, now);
        } else if (before != NULL) {
            ctl_show_rates(before, now, line - 1);
        }
        json_object_put(before);
        before = now;
        nanosleep(&pause, NULL);
    }
}

static int ask_once(struct ctl_client *client, json_object *ask, char *error)
{
    json_object *answer = ctl_client_ask(client, ask, error);

    if (answer == NULL) {
        return no_gateway(error);
    }
    int result = ctl_show(&settings, answer);
    json_object_put(answer);
    return result;
}

static int run(void)
{
    struct ctl_client client;
    char error[FLAG_ERROR_BYTES] = "";

    if (!ctl_client_open(&client, settings.control, "gateway", error)) {
        return no_gateway(error);
    }
    json_object *ask = ctl_ask_make(&settings, error);
    int result = EXIT_USAGE;
    if (ask == NULL) {
        (void)usage_error("ctl", error);
    } else if (settings.verb == CONTROL_DEVICES) {
        result = list_sessions(&client, ask, error);
    } else if (settings.verb == CONTROL_STATS && settings.watch_ns > 0) {
        result = watch_stats(&client, ask, error);
    } else {
        result = ask_once(&client, ask, error);
    }
    json_object_put(ask);
    ctl_client_close(&client);
    return result;
}

int verb_ctl(int argc, char **argv)
{
    const char *name = command_of(argc, argv);
    enum control_verb verb = CONTROL_STATUS;
    struct flag_set set;
    char words[128];

    if (name != NULL && !find_command(name, &verb)) {
        return unknown_command(name);
    }
    init_settings(&set, name != NULL ? 1U << verb : UINT32_MAX);
    if (!flags_parse(&set, argc, argv)) {
        return usage_error("ctl", set.error);
    }
    if (settings.wants_help) {
        ctl_help(stdout, name);
        return EXIT_PASS;
    }
    if (name == NULL) {
        return usage_error("ctl", "write what is to be done, as in 'fleetmux ctl status'");
    }
    settings.verb = verb;
    settings.operands_count = set.operands_count - 1; /* the first is the command itself */
    memmove(settings.operands, settings.operands + 1,
            settings.operands_count * sizeof(settings.operands[0]));
    if (settings.operands_count < commands[verb].operands_least ||
        settings.operands_count > commands[verb].operands_most) {
        snprintf(words, sizeof(words), "write 'fleetmux ctl %s %s'", name,
                 commands[verb].arguments);
        return usage_error("ctl", words);
    }
    return run();
}
