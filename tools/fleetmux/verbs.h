/*
 * verbs.h — what the command can do, and how it ends
 */
#ifndef FMX_TOOLS_VERBS_H
#define FMX_TOOLS_VERBS_H

#include <stdio.h>

enum exit_status {
    EXIT_PASS = 0,
    EXIT_USAGE = 1,     /* a wrong verb, option, value or file */
    EXIT_THRESHOLD = 2, /* a threshold was missed, or a search found nothing */
    EXIT_GENERATOR = 3, /* the fleet, not the server, was the limit */
    EXIT_ABORTED = 4,   /* a run was cut short, or clients or messages were lost */
    EXIT_NO_START = 5,  /* kernel, limits or addresses did not allow to start */
    EXIT_NOT_DONE = 6,  /* ctl: no answer, not delivered, nobody there; a word says which */
    EXIT_NO_GATEWAY = 7 /* ctl: none answers at the control socket */
};

/* Each takes what follows its name on the command line and returns the exit status. */
int verb_gateway(int argc, char **argv);
int verb_fleet(int argc, char **argv);
int verb_report(int argc, char **argv);
int verb_ctl(int argc, char **argv);
int verb_registry(int argc, char **argv);
int verb_cert(int argc, char **argv);

void gateway_help(FILE *out);

/* `command` is one of ctl's, or NULL: all of them. */
void ctl_help(FILE *out, const char *command);
void report_help(FILE *out);
void registry_help(FILE *out);
void cert_help(FILE *out);

/* `kind` is what stands behind "fleet", or "scenario" or "metrics"; NULL: what there is. The exit
 * status: usage, if there is no such kind. */
int fleet_help(FILE *out, const char *kind);

/* Prints "fleetmux VERB: words" and where to read on; returns EXIT_USAGE. */
int usage_error(const char *verb, const char *words);

#endif
