/*
 * fleet_publish — options about messages become what a group publishes and subscribes to
 *
 * Why it is so:   options say how many messages all clients send together, or each client in which
 *                 interval; the library knows intervals only. A payload is as it stands, or a text
 *                 with variables, or made up; only one of these can have been meant
 * Memory:         files and the texts that had to be put together live in this file, for the one
 *                 plan of the process
 * Threads:        one
 * Limits:         payloads of 268,000,000 bytes
 * Not here:       properties: fleet_properties.c
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/number.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_MAX        32768
#define PAYLOAD_BYTES_MAX 268000000u
#define DEFAULT_TOPIC     "bench/%i"
#define TEMPLATE          "template://"

static char *payload;                                             /* of a file */
static struct fmx_fleet_subscribe subscribes[FLAG_ITEMS_MAX + 3]; /* and those of devices */

static bool refuse(struct flag_set *set, const char *words)
{
    snprintf(set->error, sizeof(set->error), "%s", words);
    return false;
}

/* ── payloads ── */

/* Reads a file into `payload`, with a 0 behind it. */
static bool read_payload(struct flag_set *set, const char *option, const char *path,
                         size_t *out_bytes)
{
    FILE *file = fopen(path, "re");
    long bytes = -1;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        bytes = ftell(file);
        rewind(file);
    }
    bool is_good = bytes >= 0 && bytes <= (long)PAYLOAD_BYTES_MAX;
    if (is_good) {
        payload = malloc((size_t)bytes + 1);
        is_good = payload != NULL && fread(payload, 1, (size_t)bytes, file) == (size_t)bytes;
    }
    if (!is_good) {
        snprintf(set->error, sizeof(set->error), "option '--%s': '%.200s' cannot be read: %s",
                 option, path,
                 bytes == LONG_MAX                 ? strerror(EISDIR)
                 : bytes > (long)PAYLOAD_BYTES_MAX ? "it is larger than a payload can be"
                                                   : strerror(errno != 0 ? errno : EIO));
    } else {
        payload[bytes] = '\0';
        *out_bytes = (size_t)bytes;
    }
    if (file != NULL) {
        fclose(file);
    }
    return is_good;
}

/* emqtt-bench's variables in ours; %RANDOM% has the length of --size. */
static const struct {
    const char *theirs;
    const char *ours;
} variables[] = {
    {"%TIMESTAMP%", "%t"},
    {"%TIMESTAMPMS%", "%t"},
    {"%TIMESTAMPUS%", "%{time:us}"},
    {"%TIMESTAMPNS%", "%{time:ns}"},
    {"%UNIQUE%", "%{int:1000000000000000:9007199254740991}"},
};

#define VARIABLES_COUNT (sizeof(variables) / sizeof(variables[0]))

/* Writes what stands for the variable at `at`, or the letter; returns how many were used up. */
static size_t put_variable(FILE *out, const char *at, uint32_t random_bytes)
{
    for (size_t index = 0; index < VARIABLES_COUNT; index++) {
        size_t bytes = strlen(variables[index].theirs);
        if (strncmp(at, variables[index].theirs, bytes) == 0) {
            fputs(variables[index].ours, out);
            return bytes;
        }
    }
    if (strncmp(at, "%RANDOM%", 8) == 0) {
        if (random_bytes > 0) {
            fprintf(out, "%%{text:%u}", (unsigned)random_bytes);
        }
        return 8;
    }
    fputs(*at == '%' ? "%%" : (char[]){*at, '\0'}, out);
    return 1;
}

/* The template in `payload` becomes a text of ours. */
static bool translate(struct fleet_settings *settings, struct flag_set *set)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    if (out == NULL) {
        return refuse(set, "no memory");
    }
    for (const char *at = payload; *at != '\0';) {
        at += put_variable(out, at, settings->publish.payload_bytes);
    }
    if (fclose(out) != 0) {
        free(text);
        return refuse(set, "no memory");
    }
    free(payload);
    payload = text;
    settings->publish.text = payload;
    return true;
}

static bool make_template(struct fleet_settings *settings, struct flag_set *set, const char *path)
{
    size_t bytes = 0;

    if (!read_payload(set, "message", path, &bytes)) {
        return false;
    }
    if (strlen(payload) != bytes) {
        return refuse(set, "option '--message': the template has a byte 0 in it; use --file");
    }
    return translate(settings, set);
}

static bool make_payload(struct fleet_settings *settings, struct flag_set *set)
{
    int given =
        (settings->message != NULL) + (settings->payload_file != NULL) + (settings->text != NULL);
    size_t bytes = 0;

    free(payload);
    payload = NULL;
    if (given > 1) {
        return refuse(set, "--message, --text and --file each say what is sent; leave all but one "
                           "out");
    }
    if (given > 0 && settings->publish.thing_model) {
        return refuse(set, "option '--thing-model' has a payload of its own; leave --message, "
                           "--text and --file out");
    }
    settings->publish.text = settings->text;
    if (settings->payload_file != NULL) {
        if (!read_payload(set, "file", settings->payload_file, &bytes)) {
            return false;
        }
        settings->publish.payload = (fmx_slice){(const uint8_t *)payload, bytes};
    }
    if (settings->message != NULL && strncmp(settings->message, TEMPLATE, strlen(TEMPLATE)) == 0) {
        return make_template(settings, set, settings->message + strlen(TEMPLATE));
    }
    if (settings->message != NULL) {
        settings->publish.payload = fmx_slice_of(settings->message);
    }
    return true;
}

/* ── when ── */

/* Options of one schedule choose it, and go with no other one. */
static bool choose_schedule(struct fleet_settings *settings, struct flag_set *set)
{
    struct fmx_fleet_publish *publish = &settings->publish;
    bool has_burst = flags_is_given(set, "burst") || flags_is_given(set, "burst-spacing");
    bool has_change = flags_is_given(set, "change");

    if (!flags_is_given(set, "schedule")) {
        publish->schedule = publish->interval_ns == 0 ? FMX_FLEET_CLOSED_LOOP
                            : has_burst               ? FMX_FLEET_BURSTS
                            : has_change              ? FMX_FLEET_ON_CHANGE
                                                      : FMX_FLEET_CONSTANT;
    }
    if (has_burst && publish->schedule != FMX_FLEET_BURSTS) {
        return refuse(set,
                      "options '--burst' and '--burst-spacing' go with --schedule bursts only");
    }
    if (has_change && publish->schedule != FMX_FLEET_ON_CHANGE) {
        return refuse(set, "option '--change' goes with --schedule on-change only");
    }
    if (publish->interval_ns == 0 && publish->schedule != FMX_FLEET_CLOSED_LOOP) {
        return refuse(set, "option '--interval_of_msg' is 0, which is --schedule closed");
    }
    return true;
}

/* The interval of one client at which all of them send so many messages a second. */
static bool make_rate(struct fleet_settings *settings, struct flag_set *set)
{
    struct fmx_fleet_publish *publish = &settings->publish;
    double each = publish->schedule == FMX_FLEET_BURSTS      ? publish->burst_count
                  : publish->schedule == FMX_FLEET_ON_CHANGE ? publish->change
                                                             : 1;

    if (flags_is_given(set, "interval_of_msg")) {
        return refuse(set, "options '--rate' and '--interval_of_msg' say the same; leave one out");
    }
    if (publish->schedule == FMX_FLEET_CLOSED_LOOP) {
        return refuse(set, "option '--rate' has no meaning with --schedule closed; leave one out");
    }
    double interval_ns = each * (double)settings->group.clients_count * (double)NUMBER_NS_PER_S /
                         settings->publishes_per_second;
    if (interval_ns < 1 || interval_ns > 86400e9) {
        return refuse(set, interval_ns < 1
                               ? "option '--rate' is more than a message a nanosecond and client"
                               : "option '--rate' is less than a message a day and client");
    }
    publish->interval_ns = (uint64_t)(interval_ns + 0.5);
    return true;
}

/* ── all of it ── */

static bool make_publishing(struct fleet_settings *settings, struct flag_set *set)
{
    struct fmx_fleet_publish *publish = &settings->publish;

    if (publish->thing_model && settings->topics.count > 0) {
        return refuse(set, "option '--thing-model' has a topic of its own; leave --topic out");
    }
    if (settings->topics.count > 1) {
        return refuse(set, "one topic is published with options; several are written as a "
                           "scenario: 'fleetmux fleet run'");
    }
    if (settings->qos > 1) {
        return refuse(set,
                      "option '--qos': QoS 2 is not spoken here, and a QoS 1 run would measure "
                      "another exchange; write 0 or 1");
    }
    publish->topic = settings->topics.count > 0 ? settings->topics.items[0] : NULL;
    if (publish->topic == NULL && !publish->thing_model) {
        publish->topic = DEFAULT_TOPIC;
        flags_note(set, "topic", "none is given: it is " DEFAULT_TOPIC);
    }
    publish->qos = settings->qos;
    publish->messages_max = settings->limit;
    settings->group.publishes = publish;
    settings->group.publishes_count = 1;
    return make_payload(settings, set) && choose_schedule(settings, set) &&
           (settings->publishes_per_second == 0 || make_rate(settings, set));
}

static void subscribe(struct fmx_fleet_group *group, const char *filter, uint8_t qos)
{
    struct fmx_fleet_subscribe *row = &subscribes[group->subscribes_count++];

    fmx_fleet_subscribe_init(row);
    row->filter = filter;
    row->qos = qos;
}

static void make_subscribing(struct fleet_settings *settings, struct flag_set *set)
{
    if (settings->topics.count == 0 && settings->group.calls.answer == FMX_FLEET_ANSWER_OFF) {
        subscribe(&settings->group, DEFAULT_TOPIC, settings->qos > 0);
        flags_note(set, "topic", "none is given: it is " DEFAULT_TOPIC);
    }
    if (settings->qos > 1) {
        flags_note(set, "qos", "QoS 2 is not spoken here: it subscribes with QoS 1");
    }
    for (size_t index = 0; index < settings->topics.count; index++) {
        subscribe(&settings->group, settings->topics.items[index], settings->qos > 0);
    }
}

/*
 * What devices subscribe to without being told to. The server does it for them if they ask, but
 * not for calls on custom topics.
 */
static void add_filters_of_devices(struct fleet_settings *settings)
{
    struct fmx_fleet_group *group = &settings->group;
    bool is_device = group->platform.product_key != NULL || group->platform.device != NULL;
    bool has_calls = group->calls.answer != FMX_FLEET_ANSWER_OFF;

    if (is_device && has_calls && !group->platform.auto_subscribe) {
        subscribe(group, "/sys/%p/%d/rrpc/request/+", 0);
    }
    if (is_device && has_calls && (group->platform.ext & 1) != 0) {
        subscribe(group, "/ext/rrpc/+/%p/%d/user/get", 0);
    }
    if (settings->publish.thing_model && !group->platform.auto_subscribe) {
        subscribe(group, "/sys/%p/%d/thing/event/property/post_reply", 0);
    }
}

bool fleet_publish_make(struct fleet_settings *settings, struct flag_set *set)
{
    settings->group.subscribes = subscribes;
    settings->group.subscribes_count = 0;
    if (settings->group.window == 0) {
        settings->group.window = WINDOW_MAX;
    }
    if (settings->kind == FLEET_PUB && !make_publishing(settings, set)) {
        return false;
    }
    if (settings->kind == FLEET_SUB) {
        make_subscribing(settings, set);
    }
    add_filters_of_devices(settings);
    return true;
}
