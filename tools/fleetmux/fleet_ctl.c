/*
 * fleet_ctl — the verb that talks to a running fleet
 *
 * Why it is so:   as `fleetmux ctl` does to a gateway, and over the same kind of socket; the fleet
 *                 checks what it is asked, so that scripts and people read the same words
 * Threads:        one
 * Not here:       the other end: fleet_control.c; the connection: ctl_client.c
 */
#include "tools/fleetmux/ctl.h"
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/help.h"
#include "tools/fleetmux/words.h"

#include <json-c/json.h>

#include <string.h>

struct fleet_ctl_settings {
    const char *operands[2];
    const char *control;
    bool wants_json, wants_help;
};

#define AT(member) FLAG_AT(struct fleet_ctl_settings, member)

static const struct flag rows[] = {
    {.name = "control",
     .kind = FLAG_TEXT,
     AT(control),
     .argument = "PATH",
     .group = "All",
     .help = "the fleet's socket, as its --control says"},
    {.name = "json",
     .kind = FLAG_SWITCH,
     AT(wants_json),
     .group = "All",
     .help = "print the answer as JSON, in one line"},
    {.name = "help",
     .kind = FLAG_SWITCH,
     AT(wants_help),
     .group = "All",
     .help = "print this text"},
};

static struct fleet_ctl_settings settings;

static void init(struct flag_set *set)
{
    settings = (struct fleet_ctl_settings){0};
    flags_init(set, rows, sizeof(rows) / sizeof(rows[0]), 0, &settings);
    set->operands = settings.operands;
    set->operands_max = 2;
}

void fleet_ctl_help(FILE *out)
{
    struct flag_set set;

    init(&set);
    fprintf(out, "usage: fleetmux fleet ctl --control PATH COMMAND [VALUE]\n\n"
                 "Talks to a running fleet over the socket that its --control has made.\n\n"
                 "  status       what it does, and how well\n"
                 "  rate FACTOR  publish at so many times the planned rate: 2, 0.5, 150%%\n"
                 "  pause        nothing more is planned, neither connect nor message\n"
                 "  resume       it goes on\n"
                 "  storm SHARE  so many of the open clients leave at once: 10%%, 0.1\n"
                 "  stop         end as with Ctrl-C: drain, and tell the summary\n\n"
                 "Exit status: 0 done; 1 usage; 6 not done; 7 no fleet answers.\n");
    help_print_rows(&set, out);
}

/* ── printing ── */

static const char *text_of(json_object *object, const char *name)
{
    json_object *value = NULL;

    return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : "";
}

static uint64_t count_of(json_object *object, const char *name)
{
    json_object *value = NULL;

    return json_object_object_get_ex(object, name, &value) ? json_object_get_uint64(value) : 0;
}

static double real_of(json_object *object, const char *name)
{
    json_object *value = NULL;

    return json_object_object_get_ex(object, name, &value) ? json_object_get_double(value) : 0;
}

static void print_counts(json_object *answer, const char *name)
{
    json_object *counts = NULL;
    const char *between = "";

    printf("%-10s ", name);
    if (json_object_object_get_ex(answer, name, &counts)) {
        json_object_object_foreach(counts, word, value)
        {
            printf("%s%s %s", between, words_count(json_object_get_uint64(value)).text, word);
            between = ", ";
        }
    }
    printf("\n");
}

static void print_latencies(json_object *answer)
{
    json_object *recent = NULL;

    if (!json_object_object_get_ex(answer, "recent", &recent)) {
        return;
    }
    json_object_object_foreach(recent, name, latency)
    {
        printf("%-14s p50 %s", name, words_time(count_of(latency, "p50Ns")).text);
        printf(", p99 %s", words_time(count_of(latency, "p99Ns")).text);
        printf(", max %s\n", words_time(count_of(latency, "maxNs")).text);
    }
}

static void print_status(json_object *answer)
{
    printf("%-10s %s%s%s, for %s\n", "run", text_of(answer, "fleet"),
           text_of(answer, "scenario")[0] != '\0' ? " " : "", text_of(answer, "scenario"),
           words_time(count_of(answer, "elapsedMs") * 1000000).text);
    printf("%-10s %s, stage %s\n", "state", text_of(answer, "state"), text_of(answer, "stage"));
    printf("%-10s %s%s\n", "verdict", text_of(answer, "verdict"),
           strcmp(text_of(answer, "isValid"), "true") == 0 ? "" : ": INVALID");
    printf("%-10s x %g: %s messages a second", "rate", real_of(answer, "rate"),
           words_real(real_of(answer, "publishesPerSecond")).text);
    printf(" of %s planned\n", words_real(real_of(answer, "publishesWantedPerSecond")).text);
    print_counts(answer, "clients");
    print_counts(answer, "messages");
    print_latencies(answer);
}

static int show(json_object *answer, bool is_status)
{
    const char *error = text_of(answer, "error");

    if (strcmp(text_of(answer, "ok"), "true") != 0) {
        const char *words = strncmp(error, "field ", 6) == 0 ? strstr(error, ": ") : NULL;
        if (words != NULL) { /* a field of JSON, which nobody has written here */
            return usage_error("fleet ctl", words + 2);
        }
        fprintf(stderr, "fleetmux fleet ctl: %s\n", error);
        return EXIT_NOT_DONE;
    }
    if (settings.wants_json) {
        printf("%s\n", json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE));
    } else if (is_status) {
        print_status(answer);
    }
    return EXIT_PASS;
}

/* ── asking ── */

static int ask(void)
{
    struct ctl_client client;
    char error[FLAG_ERROR_BYTES] = "";
    int status = EXIT_NO_GATEWAY;

    if (!ctl_client_open(&client, settings.control, "fleet", error)) {
        fprintf(stderr, "fleetmux fleet ctl: %s\n", error);
        return status;
    }
    json_object *asked = json_object_new_object();
    json_object_object_add(asked, "do", json_object_new_string(settings.operands[0]));
    if (settings.operands[1] != NULL) {
        json_object_object_add(asked, "value", json_object_new_string(settings.operands[1]));
    }
    json_object *answer = ctl_client_ask(&client, asked, error);
    if (answer == NULL) {
        fprintf(stderr, "fleetmux fleet ctl: %s\n", error);
    } else {
        status = show(answer, strcmp(settings.operands[0], "status") == 0);
    }
    json_object_put(answer);
    json_object_put(asked);
    ctl_client_close(&client);
    return status;
}

int verb_fleet_ctl(int argc, char **argv)
{
    struct flag_set set;

    init(&set);
    if (!flags_parse(&set, argc, argv)) {
        return usage_error("fleet ctl", set.error);
    }
    if (settings.wants_help) {
        fleet_ctl_help(stdout);
        return EXIT_PASS;
    }
    if (set.operands_count == 0) {
        return usage_error("fleet ctl", "write status, rate, pause, resume, storm or stop");
    }
    if (settings.control == NULL) {
        return usage_error("fleet ctl", "write --control PATH, as the fleet was given");
    }
    return ask();
}
