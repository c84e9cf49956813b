/*
 * gateway_listen — reads listeners, and gives each its settings of TLS
 *
 * Why it is so:   most gateways have one set of settings, so these are flat options and keys. A few
 *                 have a listener of its own for old devices; it needs to say only what is other
 *                 there. So a listener may change single settings behind its address, read by the
 *                 rows that the options have, and the library gets a named copy of the whole.
 * Words:          query: what stands behind ?, as in a URL: KEY=VALUE, & between, %2C for a byte
 *                 that would end it; defaults: the settings of the options
 * Invariants:     a listener that shall take TLS has something to prove itself with: a certificate
 *                 or a PSK
 * Memory:         one block for texts, one for names; all else is borrowed
 * Threads:        one
 * Limits:         GATEWAY_LISTEN_MAX listeners, FLAG_ITEMS_MAX server names for each; the files of
 *                 a server name have no commas in their names
 * Not here:       whether files and settings are good: the library, when it opens the gateway
 */
#include "tools/fleetmux/gateway_listen.h"

#include "tools/fleetmux/nearest.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX       "tls-"
#define PREFIX_BYTES (sizeof(PREFIX) - 1)
#define KEY_BYTES    40
#define SPARE_BYTES  32 /* of a listener: its settings' name, and the ends of texts */

enum takes { TAKES_BOTH, TAKES_PLAIN, TAKES_TLS };

/* One listener as it was written. */
struct listener {
    const char *text;
    const char *address; /* in text, behind the scheme */
    size_t address_bytes;
    const char *query; /* NULL: none */
    enum takes takes;
};

struct maker {
    const struct gateway_tls *tls;
    struct gateway_listeners *out;
    bool uses_defaults; /* some listener does */
    char *error;
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct maker *maker,
                                                         const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(maker->error, FLAG_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

/* Copies text behind what there is; make_room has seen to it that it fits. */
static char *keep(struct gateway_listeners *out, const char *text, size_t bytes)
{
    char *kept = memcpy(out->texts + out->texts_used, text, bytes);

    kept[bytes] = '\0';
    out->texts_used += bytes + 1;
    return kept;
}

/* Room for all that could be written anew: an address, a query, its server names taken apart. */
static bool make_room(struct gateway_listeners *out, const struct flag_list *listen,
                      const struct gateway_tls *tls)
{
    size_t bytes = 1;

    for (size_t index = 0; index < tls->server_names.count; index++) {
        bytes += strlen(tls->server_names.items[index]) + 1;
    }
    bytes *= listen->count + 1; /* each may have them */
    for (size_t index = 0; index < listen->count; index++) {
        bytes += 3 * strlen(listen->items[index]) + SPARE_BYTES;
    }
    out->texts = malloc(bytes);
    out->texts_room = bytes;
    out->names_room = tls->server_names.count + listen->count * FLAG_ITEMS_MAX;
    out->names = calloc(out->names_room, sizeof(*out->names));
    return out->texts != NULL && out->names != NULL;
}

/* A listener's text ---------------------------------------------------------------------------- */

static bool read_scheme(const struct maker *maker, struct listener *listener)
{
    size_t bytes = strcspn(listener->text, ":?#");

    if (strncmp(listener->text + bytes, "://", 3) != 0) {
        listener->address = listener->text;
        return true;
    }
    listener->takes = bytes == 4 ? TAKES_PLAIN : TAKES_TLS;
    listener->address = listener->text + bytes + 3;
    if ((bytes != 4 && bytes != 5) || memcmp(listener->text, "mqtts", bytes) != 0) {
        return refuse(maker,
                      "listener '%.100s': '%.*s://' is unknown; write mqtt:// for plain MQTT, "
                      "mqtts:// for TLS, or neither for both",
                      listener->text, (int)(bytes < 32 ? bytes : 32), listener->text);
    }
    return true;
}

static bool read_listener(const struct maker *maker, const char *text, struct listener *listener)
{
    *listener = (struct listener){.text = text};
    if (!read_scheme(maker, listener)) {
        return false;
    }
    listener->address_bytes = strcspn(listener->address, "?#");
    const char *end = listener->address + listener->address_bytes;
    if (*end == '#') {
        return refuse(
            maker,
            "listener '%.100s': '#' has no meaning here; settings stand behind '?', as in "
            "mqtts://:8883?min=1.3",
            text);
    }
    listener->query = *end == '?' ? end + 1 : NULL;
    if (listener->query != NULL && listener->takes == TAKES_PLAIN) {
        return refuse(maker,
                      "listener '%.100s': plain MQTT has no settings; write mqtts://, or leave out "
                      "what begins with '?'",
                      text);
    }
    return true;
}

/* Its query ------------------------------------------------------------------------------------ */

/* A row's key behind an address: "old_suites" of "tls-old-suites". */
static const char *name_key(const struct flag *row, char out_key[KEY_BYTES])
{
    snprintf(out_key, KEY_BYTES, "%s", row->name + PREFIX_BYTES);
    for (char *at = strchr(out_key, '-'); at != NULL; at = strchr(at, '-')) {
        *at = '_';
    }
    return out_key;
}

static const struct flag *find_row(const char *key)
{
    char name[KEY_BYTES];

    for (size_t index = 0; index < GATEWAY_TLS_ROWS_COUNT; index++) {
        if (strcmp(name_key(&gateway_tls_rows[index], name), key) == 0) {
            return &gateway_tls_rows[index];
        }
    }
    return NULL;
}

static bool refuse_key(const struct maker *maker, const struct listener *listener, const char *key)
{
    static char keys[GATEWAY_TLS_ROWS_COUNT][KEY_BYTES];
    struct nearest nearest = {.word = strncmp(key, "tls_", 4) == 0 ? key + 4 : key};
    char all[FLAG_ERROR_BYTES];
    size_t used = 0;

    for (size_t index = 0; index < GATEWAY_TLS_ROWS_COUNT; index++) {
        name_key(&gateway_tls_rows[index], keys[index]);
        nearest_consider(&nearest, keys[index]);
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", index > 0 ? ", " : "",
                                 keys[index]);
        used = used < sizeof(all) ? used : sizeof(all) - 1;
    }
    return refuse(maker, "listener '%.60s': unknown key '%.40s'; %s%s%swrite one of %s",
                  listener->text, key, nearest.best != NULL ? "did you mean '" : "",
                  nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'? Or " : "",
                  all);
}

/* The value of a hexadecimal digit, −1 for anything else. */
static int hex_digit(char letter)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *at = letter == '\0' ? NULL : strchr(digits, letter);

    return at == NULL ? -1 : (int)(at - digits) - (at - digits > 15 ? 6 : 0);
}

/* %XX to the byte, in place; nothing gets longer. */
static bool decode(char *text)
{
    char *to = text;

    while (*text != '\0') {
        char byte = *text++;
        if (byte == '%') {
            int high = hex_digit(text[0]);
            int low = high < 0 ? -1 : hex_digit(text[1]);
            if (low < 0 || (high | low) == 0) {
                return false;
            }
            byte = (char)(high << 4 | low);
            text += 2;
        }
        *to++ = byte;
    }
    *to = '\0';
    return true;
}

/* An empty text, or list, is none: this listener has no such file. */
static void take_away(struct gateway_tls *tls, const struct flag *row)
{
    void *place = (char *)tls + row->offset;

    if (row->kind == FLAG_LIST) {
        ((struct flag_list *)place)->count = 0;
    } else {
        *(const char **)place = NULL;
    }
}

/* One KEY=VALUE, which is cut up. */
static bool take_part(const struct maker *maker, const struct listener *listener, char *part,
                      struct flag_set *set)
{
    char *value = strchr(part, '=');

    if (value != NULL) {
        *value++ = '\0';
    }
    const struct flag *row = find_row(part);
    if (row == NULL) {
        return refuse_key(maker, listener, part);
    }
    if (row->kind != FLAG_LIST && flags_is_given(set, row->name)) {
        return refuse(maker, "listener '%.100s': key '%s' stands twice; remove one", listener->text,
                      part);
    }
    if (value == NULL && row->kind == FLAG_SWITCH) {
        return flags_give(set, row, "true");
    }
    if (value == NULL) {
        return refuse(maker, "listener '%.100s': key '%s' needs a value; write %s=VALUE",
                      listener->text, part, part);
    }
    if (!decode(value)) {
        return refuse(maker,
                      "listener '%.100s': key '%s': '%.60s' has a '%%' without two hexadecimal "
                      "digits behind it; write %%25 for a '%%'",
                      listener->text, part, value);
    }
    if (*value == '\0' && (row->kind == FLAG_TEXT || row->kind == FLAG_LIST)) {
        take_away(set->settings, row);
        return true;
    }
    return flags_give(set, row, value) ||
           refuse(maker, "listener '%.100s': key '%s': %.300s", listener->text, part, set->error);
}

static bool take_query(const struct maker *maker, const struct listener *listener,
                       struct gateway_tls *tls)
{
    char *part = keep(maker->out, listener->query, strlen(listener->query));
    struct flag_set set;

    flags_init(&set, gateway_tls_rows, GATEWAY_TLS_ROWS_COUNT, 0, tls);
    while (part != NULL) {
        char *next = strchr(part, '&');
        if (next != NULL) {
            *next++ = '\0';
        }
        if (!take_part(maker, listener, part, &set)) {
            return false;
        }
        part = next;
    }
    return true;
}

/* Server names --------------------------------------------------------------------------------- */

/* "NAME=CERT,KEY[,CERT_RSA,KEY_RSA]" */
static bool take_name(const struct maker *maker, const char *text)
{
    struct gateway_listeners *out = maker->out;
    struct fmx_tls_server_name *name = &out->names[out->names_count];
    char *at = keep(out, text, strlen(text));
    const char *files[4] = {NULL};
    size_t count = 0;

    name->name = at;
    at = strchr(at, '=');
    for (; at != NULL && count < 4; count++) {
        *at++ = '\0';
        files[count] = at;
        at = strchr(at, ',');
    }
    bool is_good = at == NULL && *name->name != '\0' && (count == 2 || count == 4);
    for (size_t index = 0; index < count; index++) {
        is_good = is_good && *files[index] != '\0';
    }
    if (!is_good) {
        return refuse(maker,
                      "server name '%.200s' is not good; write NAME=CERT,KEY or "
                      "NAME=CERT,KEY,CERT_RSA,KEY_RSA",
                      text);
    }
    name->cert = files[0];
    name->key = files[1];
    name->cert_rsa = files[2];
    name->key_rsa = files[3];
    out->names_count++;
    return true;
}

static bool take_names(const struct maker *maker, const struct flag_list *list,
                       struct fmx_tls_server *server)
{
    server->server_names = maker->out->names + maker->out->names_count;
    server->server_names_count = list->count;
    for (size_t index = 0; index < list->count; index++) {
        if (!take_name(maker, list->items[index])) {
            return false;
        }
    }
    return true;
}

/* Settings ------------------------------------------------------------------------------------- */

/* Whether clients can be shown who this is. */
static bool has_proof(const struct gateway_tls *tls)
{
    const struct fmx_tls_server *server = &tls->server;

    return server->cert != NULL || server->cert_rsa != NULL || server->psk ||
           server->psk_file != NULL || tls->server_names.count > 0;
}

static bool refuse_proof(const struct maker *maker, const struct listener *listener)
{
    return refuse(maker,
                  "listener '%.100s' takes TLS, but has neither a certificate nor a PSK; add "
                  "--tls-cert and --tls-key, --tls-psk or --tls-psk-file, or the same behind its "
                  "'?'",
                  listener->text);
}

/* Settings that listeners have in common, if one has them. */
static bool add_defaults(struct maker *maker)
{
    struct gateway_listeners *out = maker->out;
    struct fmx_tls_server *server = &out->servers[out->servers_count];

    if (!maker->uses_defaults) {
        return true;
    }
    *server = maker->tls->server;
    out->servers_count++;
    return take_names(maker, &maker->tls->server_names, server);
}

/* A copy for one listener, named by its place, as errors will say. */
static bool add_own(const struct maker *maker, const struct listener *listener)
{
    struct gateway_listeners *out = maker->out;
    struct fmx_tls_server *server = &out->servers[out->servers_count];
    struct gateway_tls tls = *maker->tls;
    char name[SPARE_BYTES];

    if (!take_query(maker, listener, &tls)) {
        return false;
    }
    if (!has_proof(&tls)) {
        return refuse_proof(maker, listener);
    }
    int bytes = snprintf(name, sizeof(name), "listener-%zu", out->count + 1);
    char *address = keep(out, listener->text, strcspn(listener->text, "?"));
    out->texts_used--; /* it goes on */
    (void)keep(out, "#", 1);
    out->texts_used--;
    *server = tls.server;
    server->name = keep(out, name, (size_t)bytes);
    out->addresses[out->count] = address;
    out->servers_count++;
    return take_names(maker, &tls.server_names, server);
}

static bool add_listener(struct maker *maker, const char *text)
{
    struct gateway_listeners *out = maker->out;
    struct listener listener;

    if (!read_listener(maker, text, &listener)) {
        return false;
    }
    if (listener.query != NULL) {
        if (!add_own(maker, &listener)) {
            return false;
        }
    } else {
        bool has_defaults = has_proof(maker->tls);
        if (listener.takes == TAKES_TLS && !has_defaults) {
            return refuse_proof(maker, &listener);
        }
        maker->uses_defaults |= has_defaults && listener.takes != TAKES_PLAIN;
        out->addresses[out->count] = text;
    }
    out->count++;
    return true;
}

/* Where others take TLS by settings of their own, what has none and says nothing takes none. */
static void say_plain(struct gateway_listeners *out)
{
    for (size_t index = 0; index < out->count; index++) {
        const char *address = out->addresses[index];
        if (strstr(address, "://") == NULL && strchr(address, '#') == NULL) {
            char *text = keep(out, "mqtt://", 7);
            out->texts_used--;
            (void)keep(out, address, strlen(address));
            out->addresses[index] = text;
        }
    }
}

/* The first setting that somebody has changed; NULL: none. */
static const struct flag *find_change(const struct gateway_tls *tls)
{
    struct gateway_tls untouched, touched = *tls;
    struct flag_set set, other;
    char now[FLAG_VALUE_BYTES], before[FLAG_VALUE_BYTES];

    gateway_tls_init(&untouched);
    flags_init(&set, gateway_tls_rows, GATEWAY_TLS_ROWS_COUNT, 0, &touched);
    flags_init(&other, gateway_tls_rows, GATEWAY_TLS_ROWS_COUNT, 0, &untouched);
    for (size_t index = 0; index < GATEWAY_TLS_ROWS_COUNT; index++) {
        const struct flag *row = &gateway_tls_rows[index];
        bool is_there = flags_format(&set, row, 0, now, sizeof(now));
        bool was_there = flags_format(&other, row, 0, before, sizeof(before));
        if (is_there != was_there || (is_there && strcmp(now, before) != 0)) {
            return row;
        }
    }
    return NULL;
}

/* Whoever asks for client certificates must not get plain MQTT because a line is missing. */
static bool check_unused(const struct maker *maker)
{
    const struct flag *row = has_proof(maker->tls) ? NULL : find_change(maker->tls);

    if (row == NULL || maker->out->servers_count > 0) {
        return true;
    }
    return refuse(maker,
                  "--%s is set, but there is no TLS without a certificate or a PSK; add --tls-cert "
                  "and --tls-key, --tls-psk or --tls-psk-file",
                  row->name);
}

bool gateway_listen_make(const struct flag_list *listen, const struct gateway_tls *tls,
                         struct gateway_listeners *out_listeners, char *error)
{
    struct maker maker = {.tls = tls, .out = out_listeners, .error = error};

    *out_listeners = (struct gateway_listeners){0};
    if (!make_room(out_listeners, listen, tls)) {
        return refuse(&maker, "memory ran out");
    }
    for (size_t index = 0; index < listen->count; index++) {
        if (!add_listener(&maker, listen->items[index])) {
            return false;
        }
    }
    if (!add_defaults(&maker) || !check_unused(&maker)) {
        return false;
    }
    if (out_listeners->servers_count > 0 && !maker.uses_defaults) {
        say_plain(out_listeners);
    }
    return true;
}

void gateway_listen_wipe(struct gateway_listeners *listeners)
{
    free(listeners->names);
    free(listeners->texts);
    *listeners = (struct gateway_listeners){0};
}
