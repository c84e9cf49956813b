/*
 * settings — defaults and ranges of what a listener offers and a client asks for
 *
 * Why it is so:   what is wrong with numbers and with fields that do not go together is said
 *                 before any file is read
 * Threads:        pure
 * Not here:       what is wrong with a file: see cert_read.c, verify.c, psk_file.c
 */
#include "tls/internal.h"

#include <stdarg.h>
#include <stdio.h>

#define SERVER_NAMES_MAX 1024u

const char *fmx_tls_version_name(enum fmx_tls_version version)
{
    switch (version) {
    case FMX_TLS_10:
        return "TLS 1.0";
    case FMX_TLS_11:
        return "TLS 1.1";
    case FMX_TLS_12:
        return "TLS 1.2";
    case FMX_TLS_13:
        return "TLS 1.3";
    }
    return "?";
}

void fmx_tls_server_init(struct fmx_tls_server *server)
{
    *server = (struct fmx_tls_server){
        .min = FMX_TLS_12,
        .max = FMX_TLS_13,
        .client_auth = FMX_TLS_CLIENT_AUTH_NONE,
        .client_chain_max = 4,
        .client_chain_bytes_max = 16384,
        .tickets = true,
        .ticket_rotate_s = 43200,
        .ticket_lifetime_s = 86400,
        .record_bytes_max = 4096,
        .handshake_timeout_ms = 10000,
        .handshake_bytes_max = 32768,
        .handshake_records_max = 64,
    };
}

void fmx_tls_client_init(struct fmx_tls_client *client)
{
    *client = (struct fmx_tls_client){
        .min = FMX_TLS_12,
        .max = FMX_TLS_13,
        .alpn = true,
        .psk = FMX_TLS_PSK_NONE,
        .resume = 1,
        .record_bytes_max = 4096,
    };
}

void fmx_tls_limits_init(struct fmx_tls_limits *limits)
{
    *limits = (struct fmx_tls_limits){
        .workers = 0,
        .turn_budget_us = 500,
        .handshakes_per_second = 4000,
        .unfinished_max = 1000,
        .unfinished_per_address_max = 256,
        .partial_record_timeout_ms = 10000,
    };
}

enum fmx_status fmx_tls_refuse(char *error, size_t error_bytes, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, error_bytes, format, arguments);
    va_end(arguments);
    return FMX_E_OPTION;
}

enum fmx_status fmx_tls_no_memory(char *error, size_t error_bytes)
{
    snprintf(error, error_bytes, "no memory");
    return FMX_LIMIT_MEMORY;
}

static enum fmx_status check_range(const char *field, uint32_t value, uint32_t min, uint32_t max,
                                   char *error, size_t error_bytes)
{
    if (value >= min && value <= max) {
        return FMX_OK;
    }
    return fmx_tls_refuse(error, error_bytes, "%s is %u: write a number from %u to %u", field,
                          value, min, max);
}

static enum fmx_status check_versions(enum fmx_tls_version min, enum fmx_tls_version max,
                                      char *error, size_t error_bytes)
{
    if (min < FMX_TLS_10 || min > FMX_TLS_13) {
        return fmx_tls_refuse(error, error_bytes,
                              "min is no TLS version: write one from 1.0 to 1.3");
    }
    if (max < FMX_TLS_10 || max > FMX_TLS_13) {
        return fmx_tls_refuse(error, error_bytes,
                              "max is no TLS version: write one from 1.0 to 1.3");
    }
    if (min > max) {
        return fmx_tls_refuse(error, error_bytes, "min is %s, above max, which is %s",
                              fmx_tls_version_name(min), fmx_tls_version_name(max));
    }
    return FMX_OK;
}

static enum fmx_status check_psk_versions(enum fmx_tls_version min, char *error, size_t error_bytes)
{
    if (min > FMX_TLS_12) {
        return fmx_tls_refuse(error, error_bytes,
                              "min is %s: with psk it is at most TLS 1.2, since keys of devices do "
                              "not go with later ones",
                              fmx_tls_version_name(min));
    }
    return FMX_OK;
}

static enum fmx_status check_numbers(const struct fmx_tls_server *options, char *error,
                                     size_t error_bytes)
{
    const struct {
        const char *field;
        uint32_t value;
        uint32_t min;
        uint32_t max;
    } ranges[] = {
        {"client_auth", (uint32_t)options->client_auth, 0, FMX_TLS_CLIENT_AUTH_REQUIRE},
        {"client_chain_max", options->client_chain_max, 1, 16},
        {"client_chain_bytes_max", options->client_chain_bytes_max, 1024, 102400},
        {"ticket_rotate_s", options->ticket_rotate_s, 60, 604800},
        {"ticket_lifetime_s", options->ticket_lifetime_s, 60, 604800},
        {"record_bytes_max", options->record_bytes_max, 512, FMX_TLS_PLAINTEXT_BYTES_MAX},
        {"handshake_timeout_ms", options->handshake_timeout_ms, 100, 600000},
        {"handshake_bytes_max", options->handshake_bytes_max, 4096, 262144},
        {"handshake_records_max", options->handshake_records_max, 8, 4096},
        {"server_names",
         options->server_names_count > SERVER_NAMES_MAX ? SERVER_NAMES_MAX + 1
                                                        : (uint32_t)options->server_names_count,
         0, SERVER_NAMES_MAX},
    };

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        enum fmx_status status = check_range(ranges[i].field, ranges[i].value, ranges[i].min,
                                             ranges[i].max, error, error_bytes);
        if (status != FMX_OK) {
            return status;
        }
    }
    return FMX_OK;
}

static enum fmx_status check_client_auth(const struct fmx_tls_server *options, char *error,
                                         size_t error_bytes)
{
    if (options->client_auth != FMX_TLS_CLIENT_AUTH_NONE && options->client_ca == NULL) {
        return fmx_tls_refuse(
            error, error_bytes,
            "client_ca is missing: client_auth needs the authorities whose client "
            "certificates are good");
    }
    if (options->client_auth == FMX_TLS_CLIENT_AUTH_NONE && options->client_ca != NULL) {
        return fmx_tls_refuse(error, error_bytes,
                              "client_ca goes with client_auth request or require only");
    }
    if (options->client_auth == FMX_TLS_CLIENT_AUTH_NONE && options->client_cert_is_login) {
        return fmx_tls_refuse(error, error_bytes,
                              "client_cert_is_login goes with client_auth request or require only");
    }
    return FMX_OK;
}

enum fmx_status fmx_tls_server_check(const struct fmx_tls_server *options, char *error,
                                     size_t error_bytes)
{
    bool has_psk = options->psk || options->psk_file != NULL;
    enum fmx_status status = check_versions(options->min, options->max, error, error_bytes);

    if (status == FMX_OK) {
        status = check_numbers(options, error, error_bytes);
    }
    if (status == FMX_OK && has_psk) {
        status = check_psk_versions(options->min, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = check_client_auth(options, error, error_bytes);
    }
    if (status != FMX_OK) {
        return status;
    }
    if (options->cert == NULL && options->cert_rsa == NULL &&
        (!has_psk || options->server_names_count > 0)) {
        return fmx_tls_refuse(error, error_bytes,
                              "cert is missing: give the server's certificate and its key");
    }
    if (options->old_suites && options->cert == NULL && options->cert_rsa == NULL) {
        return fmx_tls_refuse(error, error_bytes,
                              "old_suites needs an RSA certificate: give cert_rsa and key_rsa");
    }
    return FMX_OK;
}

enum fmx_status fmx_tls_client_check(const struct fmx_tls_client *options, char *error,
                                     size_t error_bytes)
{
    enum fmx_status status = check_versions(options->min, options->max, error, error_bytes);

    if (status == FMX_OK && options->psk != FMX_TLS_PSK_NONE) {
        status = check_psk_versions(options->min, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = check_range("record_bytes_max", options->record_bytes_max, 512,
                             FMX_TLS_PLAINTEXT_BYTES_MAX, error, error_bytes);
    }
    if (status == FMX_OK && options->insecure && options->ca != NULL) {
        return fmx_tls_refuse(error, error_bytes,
                              "ca and insecure contradict each other: give one of them");
    }
    return status;
}
