/*
 * main — picks the verb
 *
 * Why it is so:   one command with verbs, so that there is one thing to install and one place to
 *                 ask for help. A verb gets its own part of the command line and knows the rest of
 *                 its business itself.
 * Threads:        one
 */
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/verbs.h"

#include <fleetmux/fleetmux.h>

#include <stdbool.h>
#include <string.h>

static int verb_version(int argc, char **argv);
static int verb_help(int argc, char **argv);

static const struct verb {
    const char *name;
    const char *arguments;
    const char *help;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"gateway", "[OPTIONS]", "accept MQTT clients and carry their messages", verb_gateway},
    {"fleet", "conn|pub|sub [OPTIONS]", "be many MQTT clients: connect, publish, subscribe",
     verb_fleet},
    {"fleet", "run|check SCENARIO.yaml", "the same from a file; look whether they fit here",
     verb_fleet},
    {"report", "RESULT.json... [OPTIONS]", "show results of a fleet: a page, side by side, merged",
     verb_report},
    {"ctl", "COMMAND [OPTIONS]", "ask a running gateway, or tell it what to do", verb_ctl},
    {"registry", "COMMAND [OPTIONS]", "edit the registry of products and devices", verb_registry},
    {"cert", "COMMAND [OPTIONS]", "make certificates for TLS, and keys of tickets", verb_cert},
    {"version", "", "print the version", verb_version},
    {"help", "VERB [COMMAND]", "explain a verb and its options", verb_help},
};

#define VERBS_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static void print_help(FILE *out)
{
    fprintf(out, "fleetmux - an MQTT gateway and a fleet of MQTT clients on io_uring\n\nusage:\n");
    for (size_t index = 0; index < VERBS_COUNT; index++) {
        char synopsis[64];
        snprintf(synopsis, sizeof(synopsis), "%s %s", verbs[index].name, verbs[index].arguments);
        fprintf(out, "  fleetmux %-32s %s\n", synopsis, verbs[index].help);
    }
    fprintf(out, "\nexit status:\n"
                 "  0  the gateway drained and ended; the fleet kept its plan and lost nothing\n"
                 "  1  usage: an unknown verb or option, a bad value, a bad file\n"
                 "  2  a threshold was missed, or a search found nothing that holds\n"
                 "  3  the fleet itself was the limit: its figures are not the server's\n"
                 "  4  aborted: cut short by a signal, or clients or messages were lost\n"
                 "  5  could not start: kernel, limits or addresses\n"
                 "  6  ctl: no answer, not delivered, or nobody there; a word says which\n"
                 "  7  ctl: no gateway answers\n"
                 "\n'fleetmux help gateway' and 'fleetmux help fleet pub' list the options.\n");
}

static int verb_version(int argc, char **argv)
{
    (void)argv;
    if (argc > 0) {
        return usage_error("version", "takes no arguments");
    }
    printf("fleetmux %s\n", fmx_version_string());
    return EXIT_PASS;
}

static int unknown_verb(const char *name)
{
    struct nearest nearest = {.word = name};

    for (size_t index = 0; index < VERBS_COUNT; index++) {
        nearest_consider(&nearest, verbs[index].name);
    }
    fprintf(stderr, "fleetmux: unknown verb '%.100s'", name);
    if (nearest.best != NULL) {
        fprintf(stderr, "; did you mean '%s'?", nearest.best);
    }
    fprintf(stderr, "\ntry 'fleetmux help'\n");
    return EXIT_USAGE;
}

static int verb_help(int argc, char **argv)
{
    if (argc == 0 || strcmp(argv[0], "help") == 0 || strcmp(argv[0], "version") == 0) {
        print_help(stdout);
    } else if (strcmp(argv[0], "gateway") == 0) {
        gateway_help(stdout);
    } else if (strcmp(argv[0], "fleet") == 0) {
        return fleet_help(stdout, argc > 1 ? argv[1] : NULL);
    } else if (strcmp(argv[0], "report") == 0) {
        report_help(stdout);
    } else if (strcmp(argv[0], "ctl") == 0) {
        ctl_help(stdout, argc > 1 ? argv[1] : NULL);
    } else if (strcmp(argv[0], "registry") == 0) {
        registry_help(stdout);
    } else if (strcmp(argv[0], "cert") == 0) {
        cert_help(stdout);
    } else {
        return unknown_verb(argv[0]);
    }
    return EXIT_PASS;
}

int usage_error(const char *verb, const char *words)
{
    fprintf(stderr, "fleetmux %s: %s\ntry 'fleetmux help %s'\n", verb, words, verb);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    for (size_t index = 0; index < VERBS_COUNT; index++) {
        if (strcmp(argv[1], verbs[index].name) == 0) {
            return verbs[index].run(argc - 2, argv + 2);
        }
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return verb_help(0, NULL);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        return verb_version(0, NULL);
    }
    return unknown_verb(argv[1]);
}
