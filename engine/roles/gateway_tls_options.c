/*
 * gateway_tls_options — what is refused of options.tls and options.tls_limits
 *
 * Why it is so:   what one set of settings says about itself is checked where it is used, in tls/;
 *                 here is what only a gateway knows: its profile, its other settings, and fields
 *                 that mean nothing beside one another
 * Threads:        any
 * Not here:       ranges of a field: fmx_tls_server_open; listeners: gateway_listen.c
 */
#include "engine/roles/gateway_tls.h"

#include "engine/options.h"

#include <stdio.h>

#define SERVER_NAME_BYTES_MAX 253u
#define SERVER_NAMES_MAX      1024u
#define WORDS_BYTES           384u

const char *fmx_gateway_tls_label(const struct fmx_tls_server *settings,
                                  char out[FMX_TLS_LABEL_BYTES])
{
    if (settings->name == NULL) {
        snprintf(out, FMX_TLS_LABEL_BYTES, "tls");
    } else {
        snprintf(out, FMX_TLS_LABEL_BYTES, "tls '%.*s'", (int)FMX_TLS_NAME_MAX, settings->name);
    }
    return out;
}

/* Printable, and nothing that a listener's text needs for itself. */
static bool is_name(const char *name)
{
    size_t bytes = strlen(name);

    for (size_t i = 0; i < bytes; i++) {
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '#' || name[i] == '\'') {
            return false;
        }
    }
    return bytes >= 1 && bytes <= FMX_TLS_NAME_MAX;
}

/* A certificate and its key come together. NULL: they do, or neither is there. */
static const char *pair_fault(const char *cert, const char *key, bool is_rsa)
{
    if (cert != NULL && key == NULL) {
        return is_rsa ? "key_rsa is missing: cert_rsa needs its key"
                      : "key is missing: cert needs its key";
    }
    if (cert == NULL && key != NULL) {
        return is_rsa ? "cert_rsa is missing: key_rsa is of no use alone"
                      : "cert is missing: key is of no use alone";
    }
    return NULL;
}

/* "a.example", "*.a.example": labels of letters, digits, '-' and '_', with a star in front only. */
static bool is_server_name(const char *name)
{
    const char *at = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
    size_t label = 0;

    if (strlen(name) > SERVER_NAME_BYTES_MAX) {
        return false;
    }
    for (; *at != '\0'; at++) {
        bool is_letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                         (*at >= '0' && *at <= '9') || *at == '-' || *at == '_';
        if (!is_letter && (*at != '.' || label == 0)) {
            return false;
        }
        label = *at == '.' ? 0 : label + 1;
    }
    return label > 0;
}

static bool is_taken(const struct fmx_tls_server *settings, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcasecmp(settings->server_names[i].name, settings->server_names[index].name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *server_name_fault(const struct fmx_tls_server *settings, size_t index)
{
    const struct fmx_tls_server_name *entry = &settings->server_names[index];
    const char *fault = pair_fault(entry->cert, entry->key, false);

    if (entry->name == NULL || !is_server_name(entry->name)) {
        return "write a name such as mqtt.example.com or *.example.com";
    }
    if (is_taken(settings, index)) {
        return "the name is there twice: leave one out";
    }
    if (fault == NULL) {
        fault = pair_fault(entry->cert_rsa, entry->key_rsa, true);
    }
    if (fault == NULL && entry->cert == NULL && entry->cert_rsa == NULL) {
        fault = "cert is missing: give the certificate for this name and its key";
    }
    return fault;
}

static const char *names_fault(const struct fmx_tls_server *settings, char words[WORDS_BYTES])
{
    if (settings->server_names_count > SERVER_NAMES_MAX ||
        (settings->server_names == NULL && settings->server_names_count > 0)) {
        return "server_names: give at most 1024";
    }
    for (size_t i = 0; i < settings->server_names_count; i++) {
        const char *name = settings->server_names[i].name;
        const char *fault = server_name_fault(settings, i);
        if (fault != NULL) {
            snprintf(words, WORDS_BYTES, "server name '%.200s': %s", name == NULL ? "" : name,
                     fault);
            return words;
        }
    }
    return NULL;
}

static const char *psk_fault(const struct fmx_gateway_options *options,
                             const struct fmx_tls_server *settings)
{
    bool has_psk = settings->psk || settings->psk_file != NULL;

    if (settings->psk && options->profile != FMX_PROFILE_PLATFORM) {
        return "psk takes secrets of the registry's devices, and the open profile has none: choose "
               "the platform's, or give psk_file";
    }
    if (has_psk && settings->client_auth == FMX_TLS_CLIENT_AUTH_REQUIRE) {
        return "client_auth is require, and a client with a PSK has no certificate: write request, "
               "or give PSKs to settings of their own";
    }
    return NULL;
}

static const char *tickets_fault(const struct fmx_tls_server *settings)
{
    if (settings->ticket_keys == NULL) {
        return NULL;
    }
    if (!settings->tickets) {
        return "ticket_keys is of no use without tickets: switch tickets on, or leave it out";
    }
    if (settings->client_cert_is_login) {
        return "ticket_keys is of no use with client_cert_is_login, where sessions are not "
               "resumed: leave it out";
    }
    return NULL;
}

static const char *settings_fault(const struct fmx_gateway_options *options,
                                  const struct fmx_tls_server *settings, char words[WORDS_BYTES])
{
    const char *fault = pair_fault(settings->cert, settings->key, false);

    if (fault == NULL) {
        fault = pair_fault(settings->cert_rsa, settings->key_rsa, true);
    }
    if (fault == NULL) {
        fault = names_fault(settings, words);
    }
    if (fault == NULL) {
        fault = psk_fault(options, settings);
    }
    if (fault == NULL) {
        fault = tickets_fault(settings);
    }
    return fault;
}

/* ── among settings ── */

static bool has_same_name(const struct fmx_tls_server *a, const struct fmx_tls_server *b)
{
    if (a->name == NULL || b->name == NULL) {
        return a->name == b->name;
    }
    return strcmp(a->name, b->name) == 0;
}

static const char *among_fault(const struct fmx_gateway_options *options, size_t index)
{
    const struct fmx_tls_server *settings = &options->tls[index];

    for (size_t i = 0; i < index; i++) {
        const struct fmx_tls_server *other = &options->tls[i];
        if (has_same_name(settings, other)) {
            return settings->name == NULL ? "only one of the settings may be without a name"
                                          : "the name is there twice: choose another";
        }
        if (settings->ticket_keys != NULL && other->ticket_keys != NULL &&
            strcmp(settings->ticket_keys, other->ticket_keys) == 0 &&
            settings->ticket_rotate_s != other->ticket_rotate_s) {
            return "ticket_rotate_s: other settings turn the keys in the same file at another "
                   "pace: write the same number";
        }
    }
    return NULL;
}

static enum fmx_status check_settings(const struct fmx_gateway_options *options, size_t index,
                                      char *error, size_t error_bytes)
{
    const struct fmx_tls_server *settings = &options->tls[index];
    char label[FMX_TLS_LABEL_BYTES];
    char words[WORDS_BYTES];

    if (settings->name != NULL && !is_name(settings->name)) {
        snprintf(error, error_bytes,
                 "%s: write a name of 1 to 64 letters, digits and other signs but # and blanks",
                 fmx_gateway_tls_label(settings, label));
        return FMX_E_OPTION;
    }
    const char *fault = among_fault(options, index);
    if (fault == NULL) {
        fault = settings_fault(options, settings, words);
    }
    if (fault == NULL) {
        return FMX_OK;
    }
    snprintf(error, error_bytes, "%s: %s", fmx_gateway_tls_label(settings, label), fault);
    return FMX_E_OPTION;
}

static enum fmx_status check_limits(const struct fmx_tls_limits *limits, char *error,
                                    size_t error_bytes)
{
    const struct fmx_option_range ranges[] = {
        {"tls_limits.workers", limits->workers, 0, 64},
        {"tls_limits.turn_budget_us", limits->turn_budget_us, 50, 100000},
        {"tls_limits.handshakes_per_second", limits->handshakes_per_second, 1, 1000000},
        {"tls_limits.unfinished_max", limits->unfinished_max, 1, 1000000},
        {"tls_limits.unfinished_per_address_max", limits->unfinished_per_address_max, 0, 1000000},
        {"tls_limits.partial_record_timeout_ms", limits->partial_record_timeout_ms, 100, 600000},
    };

    return fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);
}

enum fmx_status fmx_gateway_tls_check(const struct fmx_gateway_options *options, char *error,
                                      size_t error_bytes)
{
    const struct fmx_option_range count = {"tls_count", options->tls_count, 0,
                                           FMX_TLS_SETTINGS_MAX};
    enum fmx_status status = fmx_options_check(&count, 1, error, error_bytes);

    if (status == FMX_OK) {
        status = check_limits(&options->tls_limits, error, error_bytes);
    }
    if (status == FMX_OK && options->tls_count > 0 && options->tls == NULL) {
        snprintf(error, error_bytes, "tls is missing: tls_count is %zu", options->tls_count);
        return FMX_E_OPTION;
    }
    for (size_t i = 0; status == FMX_OK && i < options->tls_count; i++) {
        status = check_settings(options, i, error, error_bytes);
    }
    return status;
}
