/*
 * fleet_plan_words — what the library says of a plan, in words of options
 *
 * Why it is so:   the library names fields of its structs, which nobody who has written options
 *                 knows; an error must name what is to be changed: an option, or the line of a
 *                 scenario, which has tables of its own for this
 * Words:          field: a path in the plan behind "groups[0].", without numbers of items
 * Invariants:     (1) words about a field that is not in the table stay as they are
 * Memory:         none
 * Threads:        any
 * Not here:       the checks: fmx_fleet_plan_check and fmx_fleet_open
 */
#include "tools/fleetmux/fleet.h"

#include <ctype.h>
#include <string.h>

#define FIELD_BYTES 80u

/* Of several options the one that most people write. */
static const struct {
    const char *field, *option;
} rows[] = {
    {"answers.payload", "rrpc-message"},
    {"calls.payload", "rrpc-message"},
    {"calls.pending_max", "rrpc-pending"},
    {"clients_count", "count"},
    {"connect_timeout_ms", "connect-timeout-ms"},
    {"connects_inflight_max", "connects-inflight"},
    {"cpus", "cpus"},
    {"first_number", "startnumber"},
    {"mux.cpus", "cpus"},
    {"password", "password"},
    {"platform.client_id", "client-id"},
    {"platform.device_name", "device-prefix"},
    {"platform.ext", "ext"},
    {"platform.more_options", "client-options"},
    {"platform.product_key", "product"},
    {"platform.product_secret", "product-secret"},
    {"platform.registration", "register"},
    {"platform.sdk", "sdk"},
    {"platform.secret", "secret"},
    {"platform.secret_key", "secret-key"},
    {"platform.secure_mode", "secure-mode"},
    {"platform.timestamp", "timestamp"},
    {"publishes.burst_count", "burst"},
    {"publishes.burst_spacing_ns", "burst-spacing"},
    {"publishes.change", "change"},
    {"publishes.interval_ns", "interval_of_msg"},
    {"publishes.messages_max", "limit"},
    {"publishes.payload_bytes", "size"},
    {"publishes.properties.content_type", "property"},
    {"publishes.properties.correlation_bytes", "correlation-bytes"},
    {"publishes.properties.is_text", "property"},
    {"publishes.properties.message_expiry_s", "property"},
    {"publishes.properties.response_topic", "response-topic"},
    {"publishes.properties.use_aliases", "aliases"},
    {"publishes.properties.user", "user-property"},
    {"publishes.text", "text"},
    {"publishes.topic", "topic"},
    {"receive_max", "receive-max"},
    {"session_expiry_s", "session-expiry"},
    {"sources", "ifaddr"},
    {"subscribes", "topic"},
    {"subscribes.filter", "topic"},
    {"targets", "host"},
    {"tls.ca", "cafile"},
    {"tls.cert", "cert"},
    {"tls.key", "key"},
    {"tls.key_log", "tls-key-log"},
    {"tls.max", "tls-max"},
    {"tls.min", "tls-min"},
    {"tls.psk", "psk"},
    {"tls.psk_identity", "psk-identity"},
    {"tls.psk_key", "psk-key"},
    {"tls.server_name", "tls-server-name"},
    {"tls.suites", "tls-suites"},
    {"username", "username"},
    {"window", "inflight"},
};

/* The field that words begin with; what stands behind it. */
static const char *read_field(const char *words, char *out_field)
{
    size_t used = 0;
    const char *at = words;

    if (strncmp(at, "groups[", 7) == 0 && strchr(at, '.') != NULL) {
        at = strchr(at, '.') + 1;
    }
    while (used + 1 < FIELD_BYTES && (isalnum((unsigned char)*at) || *at == '_' || *at == '.')) {
        out_field[used++] = *at++;
        if (*at == '[') {
            at += strcspn(at, "]");
            at += *at == ']';
        }
    }
    out_field[used] = '\0';
    return at;
}

static const char *find_option(const struct fleet_settings *settings, const char *field)
{
    if (strcmp(field, "client_id") == 0) {
        return settings->client_id != NULL ? "client-id" : "prefix";
    }
    if (strcmp(field, "tls.cert") == 0 && settings->cert_template != NULL) {
        return "cert-template";
    }
    if (strcmp(field, "tls.key") == 0 && settings->key_template != NULL) {
        return "key-template";
    }
    if (strcmp(field, "publishes.text") == 0 && settings->text == NULL) {
        return "message"; /* template:// */
    }
    for (size_t index = 0; index < sizeof(rows) / sizeof(rows[0]); index++) {
        if (strcmp(rows[index].field, field) == 0) {
            return rows[index].option;
        }
    }
    return NULL;
}

/* "groups[0].client 7: tls.cert: …" → "groups[0].tls.cert: client 7: …" */
static void put_field_first(char *words, size_t words_bytes)
{
    char said[FLAG_ERROR_BYTES];
    const char *dot = strstr(words, "].client ");
    const char *client = dot != NULL && strncmp(words, "groups[", 7) == 0 ? dot + 2 : words;

    if (strncmp(client, "client ", 7) != 0) {
        return;
    }
    const char *colon = client + 7 + strspn(client + 7, "0123456789");
    if (strncmp(colon, ": tls.", 6) != 0) {
        return;
    }
    const char *field = colon + 2;
    size_t bytes = 4 + strspn(field + 4, "abcdefghijklmnopqrstuvwxyz_");
    snprintf(said, sizeof(said), "%.*s%.*s: %.*s%s", (int)(client - words), words, (int)bytes,
             field, (int)(colon - client), client, field + bytes);
    snprintf(words, words_bytes, "%s", said);
}

/* Is the option in force although the file may say something else? See fleet_run.c. */
static bool overrules(const struct fleet_settings *settings, const char *field)
{
    return strcmp(field, "cpus") == 0 &&
           settings->plan.mux.cpus != settings->scenario->plan.mux.cpus;
}

void fleet_plan_words(const struct fleet_settings *settings, char *words, size_t words_bytes)
{
    char field[FIELD_BYTES], said[FLAG_ERROR_BYTES];

    put_field_first(words, words_bytes);
    const char *rest = read_field(words, field);
    const char *option = find_option(settings, field);
    bool is_run = settings->kind == FLEET_RUN;
    if (is_run && !overrules(settings, field) &&
        scenario_words(settings->scenario, settings->scenario_file, words, words_bytes)) {
        return;
    }
    bool is_given = !is_run || strcmp(field, "targets") == 0 || overrules(settings, field);
    if (option != NULL && is_given) {
        snprintf(said, sizeof(said), "option '--%s'%.*s", option, (int)sizeof(said) - 64, rest);
        snprintf(words, words_bytes, "%s", said);
    }
}

int fleet_plan_say_refused(const struct fleet_settings *settings, enum fmx_status status,
                           char *words, size_t words_bytes)
{
    bool is_usage = status == FMX_E_OPTION || status == FMX_SYS_FILE; /* a file that is named */

    fleet_plan_words(settings, words, words_bytes);
    fprintf(stderr, "fleetmux fleet: %s%s\n", is_usage ? "" : "cannot open the fleet: ",
            words[0] != '\0' ? words : fmx_status_text(status));
    return is_usage ? EXIT_USAGE : EXIT_NO_START;
}

bool fleet_plan_check(const struct fleet_settings *settings, struct flag_set *set)
{
    char words[FLAG_ERROR_BYTES] = "";

    if (settings->kind == FLEET_RUN ||
        fmx_fleet_plan_check(&settings->plan, words, sizeof(words)) == FMX_OK) {
        return true;
    }
    fleet_plan_words(settings, words, sizeof(words));
    snprintf(set->error, sizeof(set->error), "%s", words);
    return false;
}
