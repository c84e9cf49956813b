/*
 * gateway_listen — where a gateway listens, and what it takes there
 *
 * Why it is so:   one line of text says it all: "mqtts://0.0.0.0:8883#old" is TLS alone with the
 *                 settings of that name. A listener without a word about it takes both, told by a
 *                 client's first byte, as the platform's own ports do
 * Words:          settings: one of options.tls; unnamed: those for listeners that name none
 * Invariants:     a listener that takes TLS has settings, and all settings have a listener
 * Threads:        any
 * Limits:         FMX_LISTENERS_MAX listeners of FMX_LISTEN_TEXT_BYTES each
 * Not here:       addresses: address.c; what the settings are worth: gateway_tls_options.c
 */
#include "engine/roles/gateway_tls.h"

#include "engine/roles/address.h"

#include <stdio.h>

/* What stands in front of the address. */
enum scheme {
    SCHEME_NONE,
    SCHEME_PLAIN,
    SCHEME_TLS,
    SCHEME_UNKNOWN,
};

/* A listener's text, taken apart. */
struct parts {
    enum scheme scheme;
    const char *name; /* NULL: none */
    char address[FMX_LISTEN_TEXT_BYTES];
};

static enum fmx_status refuse(const char *text, const char *words, char *error, size_t error_bytes)
{
    snprintf(error, error_bytes, "listen is '%s': %s", text == NULL ? "" : text, words);
    return FMX_E_OPTION;
}

static enum scheme take_scheme(const char **text)
{
    static const struct {
        const char *prefix;
        enum scheme scheme;
    } rows[] = {{"mqtt://", SCHEME_PLAIN}, {"mqtts://", SCHEME_TLS}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t bytes = strlen(rows[i].prefix);
        if (strncmp(*text, rows[i].prefix, bytes) == 0) {
            *text += bytes;
            return rows[i].scheme;
        }
    }
    return strstr(*text, "://") == NULL ? SCHEME_NONE : SCHEME_UNKNOWN;
}

static enum fmx_status take_apart(const char *text, struct parts *parts, char *error,
                                  size_t error_bytes)
{
    const char *at = text;

    if (text == NULL || strlen(text) >= FMX_LISTEN_TEXT_BYTES) {
        return refuse(text == NULL ? "" : "…",
                      "write ADDRESS:PORT, such as 127.0.0.1:1883 or [::1]:1883", error,
                      error_bytes);
    }
    parts->scheme = take_scheme(&at);
    if (parts->scheme == SCHEME_UNKNOWN) {
        return refuse(text, "write mqtt:// for plain MQTT, mqtts:// for TLS, or neither", error,
                      error_bytes);
    }
    const char *sharp = strchr(at, '#');
    size_t bytes = sharp == NULL ? strlen(at) : (size_t)(sharp - at);
    parts->name = sharp == NULL ? NULL : sharp + 1;
    memcpy(parts->address, at, bytes);
    parts->address[bytes] = '\0';
    if (parts->name != NULL && *parts->name == '\0') {
        return refuse(text, "write the name of TLS settings behind #, or leave # out", error,
                      error_bytes);
    }
    if (parts->name != NULL && parts->scheme == SCHEME_PLAIN) {
        return refuse(text, "mqtt:// takes no TLS: write mqtts://, or leave # and the name out",
                      error, error_bytes);
    }
    return FMX_OK;
}

/* Which settings have this name; NULL: no name. */
static uint32_t find_settings(const struct fmx_gateway_options *options, const char *name)
{
    for (uint32_t i = 0; i < options->tls_count; i++) {
        const char *here = options->tls[i].name;
        if (name == NULL ? here == NULL : here != NULL && strcmp(here, name) == 0) {
            return i;
        }
    }
    return FMX_TLS_NO_SETTINGS;
}

static enum fmx_status parse_one(const struct fmx_gateway_options *options, const char *text,
                                 struct fmx_gateway_listener *out, char *error, size_t error_bytes)
{
    struct parts parts;
    enum fmx_status status = take_apart(text, &parts, error, error_bytes);

    if (status == FMX_OK) {
        status =
            fmx_address_parse("listen", parts.address, false, &out->address, error, error_bytes);
    }
    if (status != FMX_OK) {
        return status;
    }
    out->settings = FMX_TLS_NO_SETTINGS;
    if (parts.scheme != SCHEME_PLAIN) {
        out->settings = find_settings(options, parts.name);
    }
    if (out->settings == FMX_TLS_NO_SETTINGS && parts.name != NULL) {
        return refuse(text, "no TLS settings have that name: correct it, or add such settings",
                      error, error_bytes);
    }
    if (out->settings == FMX_TLS_NO_SETTINGS && parts.scheme == SCHEME_TLS) {
        return refuse(text,
                      options->tls_count == 0
                          ? "TLS needs a certificate: add TLS settings with cert and key"
                          : "all TLS settings have names: write #NAME behind the port",
                      error, error_bytes);
    }
    out->transport = out->settings == FMX_TLS_NO_SETTINGS ? FMX_TRANSPORT_PLAIN
                     : parts.scheme == SCHEME_TLS         ? FMX_TRANSPORT_TLS
                                                          : FMX_TRANSPORT_ANY;
    return FMX_OK;
}

/* Settings that nobody uses are a mistake that would be found out too late. */
static enum fmx_status check_use(const struct fmx_gateway_options *options,
                                 const struct fmx_gateway_listener *listeners, char *error,
                                 size_t error_bytes)
{
    char label[FMX_TLS_LABEL_BYTES];

    for (uint32_t i = 0; i < options->tls_count; i++) {
        const struct fmx_tls_server *settings = &options->tls[i];
        bool is_used = false;
        for (size_t l = 0; l < options->listen_count; l++) {
            is_used |= listeners[l].settings == i;
        }
        if (!is_used && settings->name != NULL) {
            snprintf(error, error_bytes,
                     "%s is used by no listener: write #%s behind one, or leave the settings out",
                     fmx_gateway_tls_label(settings, label), settings->name);
            return FMX_E_OPTION;
        }
        if (!is_used) {
            snprintf(error, error_bytes,
                     "tls without a name is used by no listener: add one without #NAME that takes "
                     "TLS, or leave the settings out");
            return FMX_E_OPTION;
        }
    }
    return FMX_OK;
}

enum fmx_status fmx_gateway_listen_parse(const struct fmx_gateway_options *options,
                                         struct fmx_gateway_listener out[FMX_LISTENERS_MAX],
                                         char *error, size_t error_bytes)
{
    for (size_t i = 0; i < options->listen_count; i++) {
        enum fmx_status status =
            parse_one(options, options->listen[i], &out[i], error, error_bytes);
        if (status != FMX_OK) {
            return status;
        }
    }
    return check_use(options, out, error, error_bytes);
}
