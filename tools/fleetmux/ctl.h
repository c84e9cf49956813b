/*
 * ctl.h — one command to a running gateway, from the command line to what is printed
 */
#ifndef FMX_TOOLS_CTL_H
#define FMX_TOOLS_CTL_H

#include "tools/fleetmux/control_ask.h"
#include "tools/fleetmux/flags.h"
#include "tools/fleetmux/verbs.h"

#define CTL_OPERANDS_MAX 64

/* What the gateway may take in one line, less what stands around it. */
#define CTL_PAYLOAD_BYTES_MAX (360U << 10)

struct ctl_settings {
    enum control_verb verb;
    const char *operands[CTL_OPERANDS_MAX];
    size_t operands_count;
    const char *control;
    const char *topic, *response_topic, *correlation, *content_type;
    struct flag_list properties; /* KEY=VALUE */
    uint8_t qos;
    bool is_text;
    uint32_t expiry_s;   /* 0: none */
    uint32_t timeout_ms; /* of a call */
    uint64_t watch_ns;   /* of stats; 0: once */
    bool wants_json, wants_help;
};

struct json_object;

/* ctl_ask.c: the request as JSON; NULL: `error`, of FLAG_ERROR_BYTES. Reads standard input. */
struct json_object *ctl_ask_make(const struct ctl_settings *settings, char *error);

/* ctl_client.c: a connection to a gateway, or to a fleet. */
struct ctl_client {
    int fd;
    const char *peer; /* "gateway", "fleet" */
    char *text;
    size_t room;
};

/* False: `error`, of FLAG_ERROR_BYTES. */
bool ctl_client_open(struct ctl_client *client, const char *path, const char *peer, char *error);

/* Asks and waits for the answer, which is the caller's; NULL: `error`. */
struct json_object *ctl_client_ask(struct ctl_client *client, struct json_object *ask, char *error);
void ctl_client_close(struct ctl_client *client);

/* ctl_show.c: an answer for people or as JSON. Returns the exit status. */
int ctl_show(const struct ctl_settings *settings, struct json_object *answer);

/* One page of the list; `is_first`: with a heading. */
void ctl_show_page(const struct ctl_settings *settings, struct json_object *answer, bool is_first);

/* One line of --watch: what has changed between two answers; `line` counts from 0. */
void ctl_show_rates(struct json_object *before, struct json_object *now, unsigned line);

#endif
