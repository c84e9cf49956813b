/*
 * ctl_show — prints what the gateway has answered
 *
 * Why it is so:   names come from clients. What a terminal would take as a command is not printed
 *                 as it is.
 * Threads:        one
 * Not here:       JSON for programs is the answer as it came
 */
#include "tools/fleetmux/base64.h"
#include "tools/fleetmux/ctl.h"
#include "tools/fleetmux/words.h"

#include <fleetmux/fleetmux.h>

#include <json-c/json.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CELL_BYTES    1024
#define COLUMNS       6
#define HEADING_EVERY 20

/* Reading ------------------------------------------------------------------------------------- */

static const char *get_text(json_object *object, const char *name)
{
    json_object *value = NULL;

    return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : "";
}

static uint64_t get_count(json_object *object, const char *name)
{
    json_object *value = NULL;

    return json_object_object_get_ex(object, name, &value) ? json_object_get_uint64(value) : 0;
}

static bool get_flag(json_object *object, const char *name)
{
    json_object *value = NULL;

    return json_object_object_get_ex(object, name, &value) && json_object_get_boolean(value);
}

static json_object *get_member(json_object *object, const char *name)
{
    json_object *value = NULL;

    return json_object_object_get_ex(object, name, &value) ? value : NULL;
}

/* Printing ------------------------------------------------------------------------------------ */

/* The text with '?' for what is no printable character. */
static void clean(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = '?';
        } else if (*text == '\xc2' && (unsigned char)text[1] < 0xa0) { /* U+0080 … U+009F */
            *text = *(text + 1) = '?';
        }
    }
}

static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static void print_cell(const char *text, size_t width)
{
    size_t used = width_of(text);

    printf("%s%*s", text, used < width ? (int)(width - used) : 0, "");
}

__attribute__((format(printf, 2, 3))) static void print_fact(const char *name, const char *format,
                                                             ...)
{
    char text[CELL_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    clean(text);
    printf("%-15s%s\n", name, text);
}

/* "2018-08-31 07:32:28 UTC" */
static void format_time(uint64_t time_ms, char *out_text, size_t text_bytes)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;

    gmtime_r(&seconds, &parts);
    strftime(out_text, text_bytes, "%Y-%m-%d %H:%M:%S UTC", &parts);
}

/* Answers ------------------------------------------------------------------------------------- */

static void show_events(json_object *answer)
{
    json_object *events = get_member(answer, "events");

    if (events != NULL) {
        print_fact("events", "%s written, %s dropped, %s failed writes",
                   words_count(get_count(events, "written")).text,
                   words_count(get_count(events, "dropped")).text,
                   words_count(get_count(events, "writeErrors")).text);
    }
}

static void show_status(json_object *answer)
{
    json_object *listen = get_member(answer, "listen");
    char started[64];

    format_time(get_count(answer, "startedMs"), started, sizeof(started));
    print_fact("version", "%s", get_text(answer, "version"));
    print_fact("profile", "%s", get_text(answer, "profile"));
    print_fact("process", "%s", get_text(answer, "pid"));
    print_fact("since", "%s", started);
    print_fact("shards", "%s", get_text(answer, "shards"));
    for (size_t index = 0; listen != NULL && index < json_object_array_length(listen); index++) {
        json_object *address = json_object_array_get_idx(listen, index);
        print_fact("listens to", "%s, port %s, %s", get_text(address, "address"),
                   get_text(address, "port"), get_text(address, "takes"));
    }
    print_fact("sessions", "%s", words_count(get_count(answer, "sessions")).text);
    print_fact("kept, away", "%s", words_count(get_count(answer, "parked")).text);
    print_fact("subscriptions", "%s", words_count(get_count(answer, "subscriptions")).text);
    print_fact("stored", "%s", words_count(get_count(answer, "stored")).text);
    show_events(answer);
}

static void show_stats(json_object *answer)
{
    json_object *stats = get_member(answer, "stats");

#define SHOW_STAT(name, words)                                                                     \
    printf("%-26s  %20s  %s\n", #name, words_count(get_count(stats, #name)).text, words);
    FMX_STATS_LIST(SHOW_STAT)
#undef SHOW_STAT
    show_events(answer);
}

static void show_query(json_object *answer)
{
    char since[64] = "unknown";

    if (get_count(answer, "sinceMs") != 0) {
        format_time(get_count(answer, "sinceMs"), since, sizeof(since));
    }
    print_fact("status", "%s", get_text(answer, "status"));
    print_fact("since", "%s", since);
    if (get_member(answer, "session") != NULL) {
        print_fact("connection", "%s", get_text(answer, "session"));
    }
    print_fact("session", "%s", get_flag(answer, "hasSession") ? "yes" : "no");
    print_fact("subscriptions", "%s", words_count(get_count(answer, "subscriptions")).text);
    print_fact("stored", "%s", words_count(get_count(answer, "stored")).text);
}

static void show_limits(json_object *answer)
{
    json_object *limits = get_member(answer, "limits");

    if (json_object_object_length(limits) == 0) {
        printf("none of its own\n");
    }
    json_object_object_foreach(limits, name, value)
    {
        enum fmx_limit limit = fmx_limit_find(fmx_slice_of(name));
        printf("%-26s  %12s  %s\n", name, json_object_get_string(value),
               limit < FMX_LIMITS_COUNT ? fmx_limit_words(limit) : "");
    }
}

static void show_reload(json_object *answer)
{
    json_object *files = get_member(answer, "files");
    char file[CELL_BYTES];

    printf("read again; open connections stay as they are\n");
    for (size_t index = 0; files != NULL && index < json_object_array_length(files); index++) {
        snprintf(file, sizeof(file), "%s",
                 json_object_get_string(json_object_array_get_idx(files, index)));
        clean(file);
        printf("  %s\n", file);
    }
}

/* The payload as it is, the code beside it. */
static void show_call(json_object *answer)
{
    json_object *payload = get_member(answer, "payload");
    json_object *letters = get_member(answer, "payload64");
    size_t bytes = 0;

    if (payload != NULL) {
        fwrite(json_object_get_string(payload), 1, (size_t)json_object_get_string_len(payload),
               stdout);
    } else if (letters != NULL) {
        size_t count = (size_t)json_object_get_string_len(letters);
        uint8_t *data = malloc(count + 1);
        if (data != NULL && base64_read(json_object_get_string(letters), count, data, &bytes)) {
            fwrite(data, 1, bytes, stdout);
        }
        free(data);
    }
    fflush(stdout);
    fprintf(stderr, "%s\n", get_text(answer, "code"));
}

static bool is_delivered(const char *delivery)
{
    return strcmp(delivery, "queued") == 0 ||
           strcmp(delivery, fmx_delivery_name(FMX_DELIVERY_SENT)) == 0 ||
           strcmp(delivery, fmx_delivery_name(FMX_DELIVERY_ACKNOWLEDGED)) == 0 ||
           strcmp(delivery, fmx_delivery_name(FMX_DELIVERY_STORED)) == 0;
}

/* Whether it was done, as the exit status tells. */
static bool is_done(const struct ctl_settings *settings, json_object *answer)
{
    switch (settings->verb) {
    case CONTROL_CALL:
        return strcmp(get_text(answer, "code"), fmx_call_code_name(FMX_CALL_SUCCESS)) == 0;
    case CONTROL_PUBLISH:
    case CONTROL_BROADCAST:
        return is_delivered(get_text(answer, "delivery"));
    case CONTROL_KICK:
        return get_member(answer, "wasThere") == NULL || get_flag(answer, "wasThere");
    default:
        return true;
    }
}

static void show_for_people(const struct ctl_settings *settings, json_object *answer)
{
    switch (settings->verb) {
    case CONTROL_STATUS:
        show_status(answer);
        break;
    case CONTROL_STATS:
        show_stats(answer);
        break;
    case CONTROL_QUERY:
        show_query(answer);
        break;
    case CONTROL_LIMITS:
        show_limits(answer);
        break;
    case CONTROL_RELOAD:
        show_reload(answer);
        break;
    case CONTROL_CALL:
        show_call(answer);
        break;
    case CONTROL_PUBLISH:
    case CONTROL_BROADCAST:
        printf("%s\n", get_text(answer, "delivery"));
        break;
    case CONTROL_KICK:
        printf("%s\n", is_done(settings, answer) ? "kicked" : "was not there");
        break;
    case CONTROL_DEVICES:
    case CONTROL_VERBS_COUNT:
        break;
    }
}

int ctl_show(const struct ctl_settings *settings, json_object *answer)
{
    const char *error = get_text(answer, "error");

    if (!get_flag(answer, "ok")) {
        fprintf(stderr, "fleetmux ctl: %s\n", error);
        return strncmp(error, "field ", 6) == 0 ? EXIT_USAGE : EXIT_NOT_DONE;
    }
    if (settings->wants_json) {
        printf("%s\n", json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE));
    } else {
        show_for_people(settings, answer);
    }
    fflush(stdout);
    return is_done(settings, answer) ? EXIT_PASS : EXIT_NOT_DONE;
}

/* Lists --------------------------------------------------------------------------------------- */

static const char *const headings[COLUMNS] = {"NAME", "ADDRESS",    "MQTT",
                                              "TLS",  "KEEP-ALIVE", "SESSION"};

/* "1.3"; "-": plain. */
static const char *tls_version(json_object *session)
{
    const char *version = get_text(get_member(session, "tls"), "version");

    return strncmp(version, "TLS ", 4) == 0 ? version + 4 : "-";
}

static void make_cell(json_object *session, size_t column, char *out_cell)
{
    static const char *const members[COLUMNS] = {"clientId", "clientIp",   "version",
                                                 NULL,       "keepaliveS", "session"};

    if (column == 0 && get_member(session, "productKey") != NULL) {
        snprintf(out_cell, CELL_BYTES, "%s/%s", get_text(session, "productKey"),
                 get_text(session, "deviceName"));
    } else {
        snprintf(out_cell, CELL_BYTES, "%s",
                 members[column] != NULL ? get_text(session, members[column])
                                         : tls_version(session));
    }
    clean(out_cell);
}

void ctl_show_page(const struct ctl_settings *settings, json_object *answer, bool is_first)
{
    json_object *sessions = get_member(answer, "sessions");
    size_t widths[COLUMNS] = {16, 15, 5, 3, 10, 16}, count = json_object_array_length(sessions);
    char cell[CELL_BYTES];

    for (size_t index = 0; index < count && settings->wants_json; index++) {
        printf("%s\n", json_object_to_json_string_ext(json_object_array_get_idx(sessions, index),
                                                      JSON_C_TO_STRING_PLAIN |
                                                          JSON_C_TO_STRING_NOSLASHESCAPE));
    }
    if (settings->wants_json) {
        return;
    }
    for (size_t index = 0; index < count; index++) {
        for (size_t column = 0; column < COLUMNS; column++) {
            make_cell(json_object_array_get_idx(sessions, index), column, cell);
            widths[column] = width_of(cell) > widths[column] ? width_of(cell) : widths[column];
        }
    }
    for (size_t column = 0; column < COLUMNS && is_first; column++) {
        print_cell(headings[column], column + 1 < COLUMNS ? widths[column] + 2 : 0);
    }
    printf("%s", is_first ? "\n" : "");
    for (size_t index = 0; index < count; index++) {
        for (size_t column = 0; column < COLUMNS; column++) {
            make_cell(json_object_array_get_idx(sessions, index), column, cell);
            print_cell(cell, column + 1 < COLUMNS ? widths[column] + 2 : 0);
        }
        printf("\n");
    }
}

/* Per second, between two answers to stats. */
static double rate_of(json_object *before, json_object *now, const char *const *counters)
{
    json_object *old = get_member(before, "stats"), *new = get_member(now, "stats");
    uint64_t time_ms = get_count(now, "nowMs") - get_count(before, "nowMs");
    uint64_t count = 0;

    for (; *counters != NULL; counters++) {
        count += get_count(new, *counters) - get_count(old, *counters);
    }
    return time_ms > 0 ? (double)count * 1000 / (double)time_ms : 0;
}

void ctl_show_rates(json_object *before, json_object *now, unsigned line)
{
    static const struct {
        const char *heading;
        const char *counters[6];
    } rates[] = {
        {"CONNECTS/S", {"sessions_opened", NULL}},
        {"IN/S", {"publishes_in_qos0", "publishes_in_qos1", NULL}},
        {"OUT/S", {"publishes_out_qos0", "publishes_out_qos1", NULL}},
        {"DROPPED/S",
         {"dropped_qos0", "dropped_qos1", "dropped_too_large", "dropped_expired", NULL}},
        {"BYTES IN/S", {"bytes_in", NULL}},
        {"BYTES OUT/S", {"bytes_out", NULL}},
    };
    json_object *stats = get_member(now, "stats");

    if (line % HEADING_EVERY == 0) {
        printf("%10s %10s", "SESSIONS", "STORED");
        for (size_t index = 0; index < sizeof(rates) / sizeof(rates[0]); index++) {
            printf(" %12s", rates[index].heading);
        }
        printf("\n");
    }
    printf("%10s %10s", words_count(get_count(stats, "sessions_now")).text,
           words_count(get_count(stats, "stored_now")).text);
    for (size_t index = 0; index < sizeof(rates) / sizeof(rates[0]); index++) {
        printf(" %12s", words_real(rate_of(before, now, rates[index].counters)).text);
    }
    printf("\n");
    fflush(stdout);
}
