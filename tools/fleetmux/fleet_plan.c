/*
 * fleet_plan — turns options into the library's plan
 *
 * Why it is so:   options speak emqtt-bench's language (a host and a port, an interval between
 *                 connects, a prefix); the plan speaks the library's (targets, a rate, templates).
 *                 conn, pub and sub are a plan of one group: all connect, and stay
 * Memory:         the texts that had to be put together live in this file, for the one plan of
 *                 the process
 * Threads:        one
 * Not here:       the plan of `run`: fleet_run.c; messages: fleet_publish.c; what the library says
 *                 of a plan, in words of options: fleet_plan_words.c
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/number.h"

#include <string.h>

#define TARGET_BYTES     300
#define RECONNECT_MS_MAX 86400000u
#define RETRY_MS         1000u /* --num-retry-connect */
#define THEIR_RETRY_MS   5000u /* --reconnect COUNT, as emqtt has it */

static char target_texts[FLAG_ITEMS_MAX][TARGET_BYTES];
static const char *targets[FLAG_ITEMS_MAX];
static char client_id[FLAG_ERROR_BYTES];
static struct fmx_fleet_stage stages[2];

static bool refuse(struct flag_set *set, const char *words)
{
    snprintf(set->error, sizeof(set->error), "%s", words);
    return false;
}

/* ── where to ── */

/* "host" and "::1" get the port; "host:1884" and "[::1]:1884" have one. */
static int make_target(const char *host, unsigned port, char *out_text)
{
    const char *first = strchr(host, ':'), *last = strrchr(host, ':');

    if (host[0] == '[') {
        return last != NULL && last[-1] == ']'
                   ? snprintf(out_text, TARGET_BYTES, "%s", host)
                   : snprintf(out_text, TARGET_BYTES, "%s:%u", host, port);
    }
    if (first == NULL) {
        return snprintf(out_text, TARGET_BYTES, "%s:%u", host, port);
    }
    if (first == last) {
        return snprintf(out_text, TARGET_BYTES, "%s", host);
    }
    return snprintf(out_text, TARGET_BYTES, "[%s]:%u", host, port);
}

static bool make_targets(struct fleet_settings *settings, struct flag_set *set)
{
    for (size_t index = 0; index < settings->hosts.count; index++) {
        const char *host = settings->hosts.items[index];
        if (host[0] == '-') {
            snprintf(set->error, sizeof(set->error),
                     "option '--host': '%.100s' is no host; write a name or an address", host);
            return false;
        }
        if (host[0] == '[' && strchr(host, ']') == NULL) {
            return refuse(set, "option '--host': a ']' is missing; write [IPV6]:PORT");
        }
        if (make_target(host, settings->port, target_texts[index]) >= TARGET_BYTES) {
            return refuse(set, "option '--host': the name is longer than any host's name");
        }
        targets[index] = target_texts[index];
    }
    settings->group.targets = targets;
    settings->group.targets_count = settings->hosts.count;
    settings->group.sources = settings->sources.items;
    settings->group.sources_count = settings->sources.count;
    return true;
}

/* ── who ── */

static bool is_for_all(const char *text)
{
    return strstr(text, "%i") == NULL && strstr(text, "%n") == NULL;
}

static bool make_client_id(struct fleet_settings *settings, struct flag_set *set)
{
    struct fmx_fleet_group *group = &settings->group;
    bool has_prefix = flags_is_given(set, "prefix");

    if (settings->client_id == NULL) {
        int bytes = snprintf(client_id, sizeof(client_id), "%s%s%%i",
                             settings->has_short_ids && !has_prefix ? "" : settings->prefix,
                             settings->has_short_ids ? "" : "_");
        group->client_id = client_id;
        return (size_t)bytes < sizeof(client_id) || refuse(set, "option '--prefix' is too long");
    }
    group->client_id = settings->client_id;
    if (is_for_all(settings->client_id) && !flags_is_given(set, "count")) {
        group->clients_count = 1;
    }
    if (group->clients_count > 1 && is_for_all(settings->client_id)) {
        return refuse(set, "option '--client-id': clients would share one id and throw each other "
                           "out; put %i or %n into it");
    }
    return true;
}

/* ── when ── */

static bool read_ms(const char *text, uint64_t *out_ms)
{
    return number_read_time(text, NUMBER_NS_PER_MS, NUMBER_NS_PER_MS, out_ms) == NUMBER_OK &&
           *out_ms >= 1 && *out_ms <= RECONNECT_MS_MAX;
}

/* MIN-MAX */
static bool read_span(const char *text, uint64_t *out_min_ms, uint64_t *out_max_ms)
{
    char first[32];
    const char *dash = strchr(text, '-');

    if (dash == NULL || (size_t)(dash - text) >= sizeof(first)) {
        return false;
    }
    memcpy(first, text, (size_t)(dash - text));
    first[dash - text] = '\0';
    return read_ms(first, out_min_ms) && read_ms(dash + 1, out_max_ms) &&
           *out_min_ms <= *out_max_ms;
}

static void set_reconnect(struct fmx_fleet_group *group, enum fmx_fleet_reconnect reconnect,
                          uint64_t min_ms, uint64_t max_ms)
{
    group->reconnect = reconnect;
    group->reconnect_min_ms = (uint32_t)min_ms;
    group->reconnect_max_ms = (uint32_t)max_ms;
}

static bool make_reconnect(struct fleet_settings *settings, struct flag_set *set)
{
    struct fmx_fleet_group *group = &settings->group;
    const char *text = settings->reconnect;
    uint64_t min_ms = 0, max_ms = 0, count = 0;

    if (text == NULL || strcmp(text, "none") == 0 || strcmp(text, "0") == 0) {
        if (settings->retries > 0) {
            set_reconnect(group, FMX_FLEET_RECONNECT_FIXED, RETRY_MS, RETRY_MS);
        }
        return true;
    }
    if (strncmp(text, "fixed:", 6) == 0 && read_ms(text + 6, &min_ms)) {
        set_reconnect(group, FMX_FLEET_RECONNECT_FIXED, min_ms, min_ms);
        return true;
    }
    if (read_span(text, &min_ms, &max_ms)) {
        set_reconnect(group, FMX_FLEET_RECONNECT_EXPONENTIAL, min_ms, max_ms);
        return true;
    }
    if (number_read_count(text, &count) == NUMBER_OK) { /* emqtt-bench's: how often */
        set_reconnect(group, FMX_FLEET_RECONNECT_FIXED, THEIR_RETRY_MS, THEIR_RETRY_MS);
        flags_note(set, "reconnect",
                   "a count, as emqtt-bench takes it: clients come back after 5 s "
                   "each time, without counting");
        return true;
    }
    return refuse(set, "option '--reconnect' wants MIN-MAX with 1 ms <= MIN <= MAX <= 24h, as in "
                       "100ms-10s, or fixed:TIME, or none");
}

static void make_stages(struct fleet_settings *settings, const struct flag_set *set)
{
    double rate = settings->connects_per_second;

    if (flags_is_given(set, "interval") && !flags_is_given(set, "connrate")) {
        rate = settings->connect_interval_ns == 0
                   ? 0
                   : (double)NUMBER_NS_PER_S / (double)settings->connect_interval_ns;
    }
    fmx_fleet_stage_init(&stages[0], FMX_FLEET_RAMP);
    fmx_fleet_stage_init(&stages[1], FMX_FLEET_HOLD);
    stages[0].rate_begin = rate;
    stages[0].rate_end = rate;
    if (settings->waits) {
        stages[0].publish_begin = 0;
        stages[0].publish_end = 0;
    }
    settings->plan.stages = stages;
    settings->plan.stages_count = 2;
    settings->group.first_number = settings->start_number + 1;
}

/* ── the run ── */

/* "2/5" */
static bool make_shard(struct fleet_settings *settings, struct flag_set *set)
{
    char first[16];
    const char *text = settings->shard;
    const char *slash = text == NULL ? NULL : strchr(text, '/');
    uint64_t part = 0, parts = 0;

    if (text == NULL) {
        return true;
    }
    if (slash == NULL || (size_t)(slash - text) >= sizeof(first)) {
        return refuse(set, "option '--shard' wants K/N, as in 2/5");
    }
    memcpy(first, text, (size_t)(slash - text));
    first[slash - text] = '\0';
    if (number_read_count(first, &part) != NUMBER_OK ||
        number_read_count(slash + 1, &parts) != NUMBER_OK || part < 1 || part > parts ||
        parts > 65536) {
        return refuse(set, "option '--shard' wants K/N with 1 <= K <= N <= 65536, as in 2/5");
    }
    settings->plan.part = (uint32_t)part - 1;
    settings->plan.parts_count = (uint32_t)parts;
    return true;
}

static bool make_telling(struct fleet_settings *settings, struct flag_set *set)
{
    if (settings->log_to != NULL) {
        if (strcmp(settings->log_to, "null") != 0 && strcmp(settings->log_to, "console") != 0) {
            return refuse(set, "option '--log_to' wants console or null");
        }
        settings->is_quiet = settings->is_quiet || settings->log_to[0] == 'n';
    }
    if (settings->restapi != NULL && strcmp(settings->restapi, "disabled") != 0) {
        if (settings->metrics != NULL) {
            return refuse(set, "options '--restapi' and '--metrics' say the same; leave one out");
        }
        settings->metrics = settings->restapi;
    }
    return true;
}

/* 3.1.1 has no word for it: a session of it would last as long as the server likes. */
static bool check_expiry(const struct fleet_settings *settings, struct flag_set *set)
{
    return settings->group.session_expiry_s == 0 || settings->group.version == FMX_MQTT_50 ||
           refuse(set, "option '--session-expiry' is of MQTT 5.0; write -V 5, or leave it out");
}

static bool make_group(struct fleet_settings *settings, struct flag_set *set)
{
    make_stages(settings, set);
    if (!make_reconnect(settings, set) || !fleet_tls_make(settings, set) ||
        !make_targets(settings, set) || !make_client_id(settings, set) ||
        !fleet_platform_make(settings, set) || !fleet_properties_make(settings, set) ||
        !check_expiry(settings, set) || !fleet_publish_make(settings, set)) {
        return false;
    }
    settings->plan.groups = &settings->group;
    settings->plan.groups_count = 1;
    return true;
}

bool fleet_plan_make(struct fleet_settings *settings, struct flag_set *set)
{
    bool is_made =
        settings->kind == FLEET_RUN ? fleet_run_make(settings, set) : make_group(settings, set);

    return is_made && make_shard(settings, set) && make_telling(settings, set);
}

void fleet_plan_print_notes(const struct flag_set *set, FILE *out)
{
    for (size_t index = 0; index < set->notes_count; index++) {
        fprintf(out, "fleetmux fleet: --%s: %s\n", set->notes[index].option,
                set->notes[index].words);
    }
}
