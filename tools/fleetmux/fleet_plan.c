/*
 * fleet_plan — turns options into the library's plan
 *
 * Why it is so:   options speak emqtt-bench's language (a host and a port, an interval between
 *                 connects, a prefix); the plan speaks the library's (targets, a rate, templates).
 * Memory:         the texts that had to be put together live in this file, for the one plan of
 *                 the process
 * Threads:        one
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/number.h"

#include <string.h>

#define TARGET_BYTES 300
#define WINDOW_MAX   32768

static char target_texts[FLAG_ITEMS_MAX][TARGET_BYTES];
static const char *targets[FLAG_ITEMS_MAX];
static char client_id[FLAG_ERROR_BYTES];
static const char *filters[FLAG_ITEMS_MAX + 3];

static bool refuse(struct flag_set *set, const char *words)
{
    snprintf(set->error, sizeof(set->error), "%s", words);
    return false;
}

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
        if (make_target(settings->hosts.items[index], settings->port, target_texts[index]) >=
            TARGET_BYTES) {
            return refuse(set, "option '--host': the name is longer than any host's name");
        }
        targets[index] = target_texts[index];
    }
    settings->plan.targets = targets;
    settings->plan.targets_count = settings->hosts.count;
    settings->plan.sources = settings->sources.items;
    settings->plan.sources_count = settings->sources.count;
    return true;
}

static bool make_client_id(struct fleet_settings *settings, struct flag_set *set)
{
    if (settings->client_id == NULL) {
        int bytes = snprintf(client_id, sizeof(client_id), "%s_%%i", settings->prefix);
        settings->plan.client_id = client_id;
        return (size_t)bytes < sizeof(client_id) || refuse(set, "option '--prefix' is too long");
    }
    settings->plan.client_id = settings->client_id;
    if (settings->plan.clients_count > 1 && strstr(settings->client_id, "%i") == NULL &&
        strstr(settings->client_id, "%n") == NULL) {
        return refuse(set, "option '--client-id': clients would share one id and throw each other "
                           "out; put %i or %n into it");
    }
    return true;
}

static void make_pace(struct fleet_settings *settings, const struct flag_set *set)
{
    struct fmx_fleet_plan *plan = &settings->plan;

    if (flags_is_given(set, "interval") && !flags_is_given(set, "connrate")) {
        plan->connects_per_second =
            settings->connect_interval_ns == 0
                ? 0
                : (double)NUMBER_NS_PER_S / (double)settings->connect_interval_ns;
    }
    plan->first_number = settings->start_number + 1;
    plan->reconnect_min_ms = settings->reconnect.min;
    plan->reconnect_max_ms = settings->reconnect.max;
}

static bool make_publishing(struct fleet_settings *settings, struct flag_set *set)
{
    struct fmx_fleet_plan *plan = &settings->plan;

    if (plan->platform.thing_model && settings->topics.count > 0) {
        return refuse(set, "option '--thing-model' has a topic of its own; leave --topic out");
    }
    if (settings->topics.count != 1 && !plan->platform.thing_model) {
        return refuse(set, "one topic is needed: write for example -t 'demo/%i'");
    }
    plan->topic = settings->topics.count > 0 ? settings->topics.items[0] : NULL;
    plan->publish_qos = settings->qos;
    plan->publishes_max = settings->limit;
    if (plan->publish_window == 0) {
        plan->publish_window = WINDOW_MAX;
    }
    if (settings->message != NULL) {
        plan->payload = fmx_slice_of(settings->message);
    }
    return true;
}

static bool make_subscribing(struct fleet_settings *settings, struct flag_set *set)
{
    if (settings->topics.count == 0 && settings->plan.calls.answer == FMX_FLEET_ANSWER_OFF) {
        return refuse(set, "a filter is needed: write for example -t 'demo/%i'");
    }
    settings->plan.filters = settings->topics.items;
    settings->plan.filters_count = settings->topics.count;
    settings->plan.subscribe_qos = settings->qos;
    return true;
}

/*
 * What devices subscribe to without being told to. The server does it for them if they ask, but
 * not for calls on custom topics.
 */
static void add_filters(struct fleet_settings *settings)
{
    struct fmx_fleet_plan *plan = &settings->plan;
    bool is_device = plan->platform.product_key != NULL || plan->platform.device != NULL;
    bool has_calls = plan->calls.answer != FMX_FLEET_ANSWER_OFF;

    for (size_t index = 0; index < plan->filters_count; index++) {
        filters[index] = plan->filters[index];
    }
    if (is_device && has_calls && !plan->platform.auto_subscribe) {
        filters[plan->filters_count++] = "/sys/%p/%d/rrpc/request/+";
    }
    if (is_device && has_calls && (plan->platform.ext & 1) != 0) {
        filters[plan->filters_count++] = "/ext/rrpc/+/%p/%d/user/get";
    }
    if (plan->platform.thing_model && !plan->platform.auto_subscribe) {
        filters[plan->filters_count++] = "/sys/%p/%d/thing/event/property/post_reply";
    }
    plan->filters = filters;
}

bool fleet_plan_make(struct fleet_settings *settings, struct flag_set *set)
{
    make_pace(settings, set);
    if (!fleet_tls_make(settings, set) || !make_targets(settings, set) ||
        !make_client_id(settings, set) || !fleet_platform_make(settings, set)) {
        return false;
    }
    if (settings->kind == FLEET_PUB && !make_publishing(settings, set)) {
        return false;
    }
    if (settings->kind == FLEET_SUB && !make_subscribing(settings, set)) {
        return false;
    }
    add_filters(settings);
    return true;
}
