/*
 * fleet.h — one run of the fleet: its settings, and how it is told
 */
#ifndef FMX_TOOLS_FLEET_H
#define FMX_TOOLS_FLEET_H

#include "tools/fleetmux/flags.h"
#include "tools/fleetmux/result.h"
#include "tools/fleetmux/scenario.h"
#include "tools/fleetmux/verbs.h"

#include <fleetmux/fleetmux.h>

/* Bits of the kinds of fleet, as in struct flag's verbs. */
enum fleet_kind {
    FLEET_CONN = 1,
    FLEET_PUB = 2,
    FLEET_SUB = 4,
    FLEET_RUN = 8,    /* the plan comes from a file */
    FLEET_CHECK = 16, /* any of the above, but only looked at */
};

struct fleet_settings {
    struct fmx_fleet_plan plan;       /* what is run, in the end */
    struct fmx_fleet_group group;     /* conn, pub, sub: its one group, */
    struct fmx_fleet_publish publish; /* its one topic */
    struct fmx_tls_client tls;        /* group.tls, if there is TLS */
    enum fleet_kind kind;             /* without FLEET_CHECK */
    bool is_check;                    /* look only */
    struct flag_list hosts, sources, topics, user_properties, thresholds;
    struct flag_list properties; /* CMD PROPERTY VALUE …, as mosquitto's -D has them */
    uint16_t port;
    double connects_per_second;
    uint64_t connect_interval_ns;
    double publishes_per_second; /* of all clients together; 0: --interval_of_msg says */
    uint32_t start_number;
    const char *prefix, *client_id, *message, *payload_file, *text;
    const char *devices_file, *device_prefix, *timestamp, *sdk, *rrpc, *rrpc_message;
    const char *export_file; /* of --export-devices; "-": standard output */
    const char *cert, *key, *cert_template, *key_template, *psk;
    const char *scenario_file; /* run, check */
    const char *operands[1];
    const char *save_file, *json, *csv, *hdr, *html, *hashes;
    const char *metrics, *restapi, *control; /* "[IP:]PORT" twice; a path */
    const char *find_rate, *shard;           /* a condition; "2/5" */
    const char *reconnect, *log_to;
    enum fmx_tls_version tls_only; /* both least and newest; 0: not given */
    uint32_t retries;              /* of a first connect that fails */
    uint8_t qos;
    uint64_t limit;
    uint64_t give_up_ns; /* sub with a limit: ends after so long without a message; 0: never */
    bool is_quiet, is_plain, wants_help; /* plain: lines, no screen */
    bool has_tls, has_ssl;               /* --tls; --ssl, which trusts anybody */
    bool has_short_ids, waits;           /* waits: nobody publishes before all are connected */
    bool accepts_invalid;
    bool is_forced;      /* starts although capacity says no */
    bool ignored_switch; /* where options go that mean nothing here */
    const char *ignored_text;
    struct scenario *scenario; /* run: what was read */
};

/*
 * fleet_flags.c: the table. Fills settings with defaults, then the set with the kind's rows; `kind`
 * may have FLEET_CHECK beside another bit.
 */
void fleet_flags_init(struct fleet_settings *settings, enum fleet_kind kind, struct flag_set *set);

/* fleet_plan.c: makes settings->plan whole. False: set->error. One plan at a time. */
bool fleet_plan_make(struct fleet_settings *settings, struct flag_set *set);

/* fleet_plan_words.c: the library's error about a plan; a field of it becomes its option, or its
 * place in the scenario. */
void fleet_plan_words(const struct fleet_settings *settings, char *words, size_t words_bytes);

/* The library could not open the plan: says why. The exit status. */
int fleet_plan_say_refused(const struct fleet_settings *settings, enum fmx_status status,
                           char *words, size_t words_bytes);

/* The plan as a whole, before a name is resolved or a file is read; a scenario was looked at with
 * its lines. False: set->error says what is wrong. */
bool fleet_plan_check(const struct fleet_settings *settings, struct flag_set *set);

/* What was noted about options of other tools, a line each. */
void fleet_plan_print_notes(const struct flag_set *set, FILE *out);

/* fleet_run.c: the same as fleet_plan_make, from settings->scenario_file; closed by the next. */
bool fleet_run_make(struct fleet_settings *settings, struct flag_set *set);

/* Writes the plan to settings->save_file as a scenario. False: set->error. */
bool fleet_run_save(const struct fleet_settings *settings, struct flag_set *set);

/* fleet_publish.c: what is published and subscribed to; when devices and their number are known. */
bool fleet_publish_make(struct fleet_settings *settings, struct flag_set *set);

/* fleet_properties.c: --user-property and -D. */
bool fleet_properties_make(struct fleet_settings *settings, struct flag_set *set);

/* fleet_platform.c: the same for what --product and --devices bring with them. */
bool fleet_platform_make(struct fleet_settings *settings, struct flag_set *set);

/* fleet_tls.c: and for TLS; before the hosts are targets. */
bool fleet_tls_make(struct fleet_settings *settings, struct flag_set *set);

/*
 * fleet_devices.c: the devices of a CSV file, in one block; several files may be loaded. Without
 * `has_secrets` their column may be missing or empty. NULL: error names file, line and field.
 */
struct fleet_devices;
struct fleet_devices *fleet_devices_load(const char *path, bool has_secrets, char *error,
                                         size_t error_bytes);

/* Those of a registry; of one product, or with NULL of all. NULL: error. */
struct fleet_devices *fleet_devices_load_registry(const char *path, const char *product_key,
                                                  char *error, size_t error_bytes);
size_t fleet_devices_count(const struct fleet_devices *devices);
const char *fleet_devices_path(const struct fleet_devices *devices);
bool fleet_devices_is_registry(const struct fleet_devices *devices);
const char *fleet_devices_product(const struct fleet_devices *devices); /* NULL: no certain one */
void fleet_devices_close(struct fleet_devices *devices);

/* Fills in row `number` (from 1) of the file: what struct fmx_fleet_platform calls; user is one. */
bool fleet_devices_find(void *user, uint32_t number, struct fmx_fleet_device *out_device);

/* Writes the group's devices as such a file; "-": to standard output. The exit status. */
int fleet_devices_export(const struct fmx_fleet_group *group, const char *path);

const char *fleet_kind_name(enum fleet_kind kind);

/* fleet_hints.c: what to do about a cause; NULL: nothing to say. */
const char *fleet_hint(const struct fmx_fleet_cause *cause, bool was_anybody_open);

/*
 * fleet_capacity.c: how many clients of the plan fit, and which limit binds. Lines for people go to
 * `out` (NULL: nowhere).
 */
struct fleet_capacity {
    uint64_t clients_wanted, clients_fit;
    char binding[64]; /* the limit's name; "": none binds */
    char remedy[256]; /* the command that lifts it */
};
bool fleet_capacity_check(const struct fmx_fleet_plan *plan, FILE *out,
                          struct fleet_capacity *out_capacity, char *error, size_t error_bytes);

/* ── how it is shown while it runs ── */

/* What somebody has asked for by a key, the control socket or HTTP. */
enum fleet_wish_kind {
    FLEET_WISH_NONE = 0,
    FLEET_WISH_RATE,  /* value: the factor */
    FLEET_WISH_PAUSE, /* value: 1 pause, 0 go on */
    FLEET_WISH_STORM, /* value: share */
    FLEET_WISH_QUIT,  /* gracefully, with the summary */
};

struct fleet_wish {
    enum fleet_wish_kind kind;
    double value;
};

/* fleet_wish.c: wishes that the fleet had no room for, at most one of each kind, oldest first. */
struct fleet_wishes {
    struct fleet_wish waiting[FLEET_WISH_QUIT];
    size_t count;
};

/* A newer rate or pause takes the older one's place; of two storms each takes its share. */
void fleet_wishes_add(struct fleet_wishes *wishes, struct fleet_wish wish);
void fleet_wishes_drop_first(struct fleet_wishes *wishes);

/* fleet_screen.c: ncurses. False: this is no terminal for it; use lines. */
bool fleet_screen_begin(const struct result *result);
/* Draws at most four times a second; returns what the latest keys ask for. */
struct fleet_wish fleet_screen_show(const struct result *result);
void fleet_screen_end(void);

/* fleet_progress.c: lines instead. A log line tears neither. */
void fleet_progress_begin(bool is_quiet);
void fleet_progress_show(const struct result *result);
void fleet_progress_end(void);
void fleet_progress_log(void *user, enum fmx_log_level level, const char *line);

/* fleet_summary.c: at most thirty lines, the verdict first. */
void fleet_summary_print(const struct result *result, FILE *out);

/*
 * fleet_serving.c: Prometheus text and control over HTTP at `metrics`, "[IP:]PORT", control on the
 * Unix socket `control`; NULL: not that. Signals are held already. NULL: error.
 */
struct fleet_serving;
struct fleet_serving *fleet_serving_open(const char *metrics, const char *control,
                                         const struct result *result, char *error,
                                         size_t error_bytes);
/* Before the run: can they be that? False: error names the option. */
bool fleet_serving_check(const char *metrics, const char *control, char *error, size_t error_bytes);
/* The rate belongs to a search: from now on wishes for another one are refused. */
void fleet_serving_keep_rate(struct fleet_serving *serving);
/* Hands them a copy of what there is to tell; returns one wish, if there is one. */
struct fleet_wish fleet_serving_poll(struct fleet_serving *serving, const struct result *result);
void fleet_serving_close(struct fleet_serving *serving);

/* fleet_ctl.c: talks to a running fleet. */
int verb_fleet_ctl(int argc, char **argv);
void fleet_ctl_help(FILE *out);

#endif
