/*
 * fleet.h — one run of the fleet: its settings, what was seen of it, and how it is told
 */
#ifndef FMX_TOOLS_FLEET_H
#define FMX_TOOLS_FLEET_H

#include "tools/fleetmux/flags.h"
#include "tools/fleetmux/verbs.h"

#include <fleetmux/fleetmux.h>

/* Bits of the kinds of fleet, as in struct flag's verbs. */
enum fleet_kind {
    FLEET_CONN = 1,
    FLEET_PUB = 2,
    FLEET_SUB = 4,
};

struct fleet_settings {
    struct fmx_fleet_plan plan;
    struct fmx_tls_client tls; /* plan.tls, if there is TLS */
    enum fleet_kind kind;
    struct flag_list hosts, sources, topics, user_properties;
    uint16_t port;
    uint64_t connect_interval_ns;
    uint32_t start_number;
    const char *prefix, *client_id, *message, *json;
    const char *devices_file, *device_prefix, *timestamp, *sdk, *rrpc, *rrpc_message;
    const char *export_file; /* of --export-devices; "-": standard output */
    const char *cert, *key, *cert_template, *key_template;
    uint8_t qos;
    uint64_t limit;
    struct flag_span reconnect;
    bool is_quiet, wants_help, has_tls; /* the last: --tls alone */
};

/* When a counter moved: from the poll before its first step to the poll of its last one. */
struct fleet_meter {
    uint64_t began_ns, last_ns, polled_ns, count;
};

struct fleet_run {
    const struct fleet_settings *settings;
    struct fmx_fleet_snapshot now;    /* the latest; at the end: after the drain */
    struct fmx_fleet_snapshot at_end; /* before the drain: clients by state */
    struct fleet_meter connects, tls_full, tls_resumed, sent, acked, received;
    uint64_t ready_ns;                    /* all clients up; 0: not yet, or never */
    uint64_t rss_before_bytes, rss_bytes; /* before the start; before the drain */
    uint32_t shards_count;
    int signo; /* what ended the run, 0: itself */
};

/* Sums up what went wrong. All zero: the ledger adds up. */
struct fleet_verdict {
    enum exit_status status;
    uint64_t messages_lost;    /* unacknowledged, or missing between received ones */
    uint64_t messages_missing; /* of --limit: never sent, or never received */
    uint64_t clients_never_up;
    char words[256]; /* the first line of the summary */
};

/* fleet_flags.c: the table. Fills settings with defaults, then the set with the kind's rows. */
void fleet_flags_init(struct fleet_settings *settings, enum fleet_kind kind, struct flag_set *set);

/* fleet_plan.c: makes settings->plan whole. False: set->error. One plan at a time. */
bool fleet_plan_make(struct fleet_settings *settings, struct flag_set *set);

/* fleet_platform.c: the same for what --product and --devices bring with them. */
bool fleet_platform_make(struct fleet_settings *settings, struct flag_set *set);

/* fleet_tls.c: and for TLS; before the hosts are targets. */
bool fleet_tls_make(struct fleet_settings *settings, struct flag_set *set);

/*
 * fleet_devices.c: the devices of a CSV file, in one block. Without `has_secrets` their column may
 * be missing or empty. False: error names line and field.
 */
bool fleet_devices_load(const char *path, bool has_secrets, char *error, size_t error_bytes);
size_t fleet_devices_count(void);

/* Fills in row `number` (from 1) of the file: what struct fmx_fleet_platform calls. */
bool fleet_devices_find(void *user, uint32_t number, struct fmx_fleet_device *out_device);

/* Writes the plan's devices as such a file; "-": to standard output. The exit status. */
int fleet_devices_export(const struct fmx_fleet_plan *plan, const char *path);

/* fleet_verdict.c */
void fleet_meter_poll(struct fleet_meter *meter, uint64_t now_ns, uint64_t count);
double fleet_meter_rate(const struct fleet_meter *meter);
void fleet_verdict_make(const struct fleet_run *run, struct fleet_verdict *out_verdict);
const char *fleet_kind_name(enum fleet_kind kind);

/* fleet_hints.c: what to do about a cause; NULL: nothing to say. */
const char *fleet_hint(const struct fmx_fleet_cause *cause, bool was_anybody_open);

/* fleet_progress.c: at most one line a second. A log line does not tear the line being rewritten.
 */
void fleet_progress_begin(const struct fleet_settings *settings);
void fleet_progress_show(const struct fleet_run *run);
void fleet_progress_end(void);
void fleet_progress_log(void *user, enum fmx_log_level level, const char *line);

/* fleet_summary.c: for people. */
void fleet_summary_print(const struct fleet_run *run, const struct fleet_verdict *verdict,
                         FILE *out);

/* fleet_json.c: for programs. False: the file could not be written. */
bool fleet_json_write(const struct fleet_run *run, const struct fleet_verdict *verdict,
                      const char *path);

#endif
